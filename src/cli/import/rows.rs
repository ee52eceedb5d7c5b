//! Rows of a source file, one at a time: NDJSON, JSON, CSV.
//!
//! Knows the three formats and line numbers. Does not know types, records or the engine.
//!
//! Invariants
//! R1. Memory is bounded by [`ROW_BYTES_MAX`], whatever the size of the file.
//! R2. A row that cannot be read is a row with a reason; only a file that ends in the middle, or whose rest cannot be told
//!     apart into rows, ends the reading.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::util::json;

/// The longest row, in bytes.
pub(super) const ROW_BYTES_MAX: usize = 16 << 20;
/// How much of a bad row is repeated in the report.
const EXCERPT_CHARS_MAX: usize = 300;
const COLUMNS_MAX: usize = 10_000;
const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object per line
    Ndjson,
    /// An array of objects, or objects one after another
    Json,
    /// A header line, then one row per line
    Csv,
}

impl Format {
    /// The format a name ends with.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// One row of the source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Where it starts, counted from 1.
    pub(super) line: u64,
    pub(super) value: Result<Map<String, Value>, String>,
    /// Its beginning as it stands in the file, for the report.
    pub(super) excerpt: String,
}

/// A source that is being read.
pub(super) struct Rows {
    source: Source,
    bytes_read: Rc<Cell<u64>>,
}

enum Source {
    Lines { reader: BufReader<Counted>, line: u64 },
    Values(Splitter),
    Csv { reader: csv::Reader<Limited>, columns: Vec<String>, since_row: Rc<Cell<u64>> },
}

impl Rows {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path, format: Format, delimiter: Option<u8>) -> Result<Self> {
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(
                File::open(path).with_context(|| format!("{} cannot be read", path.display()))?,
            )
        };
        let tab = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        Self::new(input, format, delimiter.unwrap_or(if tab { b'\t' } else { b',' }))
            .with_context(|| format!("{} cannot be imported", path.display()))
    }

    fn new(input: Box<dyn Read>, format: Format, delimiter: u8) -> Result<Self> {
        let bytes_read = Rc::new(Cell::new(0));
        let mut reader = BufReader::new(Counted { input, count: Rc::clone(&bytes_read) });
        if reader.fill_buf()?.starts_with(BOM) {
            reader.consume(BOM.len());
        }
        let source = match format {
            Format::Ndjson => Source::Lines { reader, line: 0 },
            Format::Json => Source::Values(Splitter::new(reader)?),
            Format::Csv => {
                let since_row = Rc::new(Cell::new(0));
                let limited = Limited { input: reader, since_row: Rc::clone(&since_row) };
                let mut reader = csv::ReaderBuilder::new()
                    .flexible(true)
                    .delimiter(delimiter)
                    .from_reader(limited);
                let columns: Vec<String> =
                    reader.headers()?.iter().map(|name| name.trim().to_owned()).collect();
                check_columns(&columns)?;
                Source::Csv { reader, columns, since_row }
            }
        };
        Ok(Self { source, bytes_read })
    }

    /// Column names, for CSV.
    pub(super) fn columns(&self) -> Option<&[String]> {
        match &self.source {
            Source::Csv { columns, .. } => Some(columns),
            _ => None,
        }
    }

    /// Bytes taken from the source so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// The next row, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        match &mut self.source {
            Source::Lines { reader, line } => next_line(reader, line),
            Source::Values(splitter) => splitter.next(),
            Source::Csv { reader, columns, since_row } => {
                since_row.set(0);
                next_csv(reader, columns)
            }
        }
    }
}

fn check_columns(columns: &[String]) -> Result<()> {
    if columns.len() > COLUMNS_MAX {
        bail!("the header has {} columns, at most {COLUMNS_MAX} are read", columns.len());
    }
    let mut seen = HashSet::new();
    for (n, name) in columns.iter().enumerate() {
        if name.is_empty() {
            bail!("column {} has no name in the header", n + 1);
        }
        if !seen.insert(name) {
            bail!("two columns are called {name:?}");
        }
    }
    Ok(())
}

fn object_row(line: u64, bytes: &[u8]) -> Row {
    let value = json::parse_object(bytes).map_err(|fault| fault.to_string());
    let excerpt = if value.is_err() { excerpt(bytes) } else { String::new() };
    Row { line, value, excerpt }
}

fn excerpt(bytes: &[u8]) -> String {
    let some = &bytes[..bytes.len().min(EXCERPT_CHARS_MAX * 4)];
    String::from_utf8_lossy(some).trim().chars().take(EXCERPT_CHARS_MAX).collect()
}

fn too_long() -> String {
    format!("longer than {ROW_BYTES_MAX} bytes")
}

/// Blank lines are no rows.
fn next_line(reader: &mut BufReader<Counted>, line: &mut u64) -> Result<Option<Row>> {
    loop {
        let mut bytes = Vec::new();
        let (mut ended, mut length) = (false, 0);
        while !ended {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(piece.len(), |at| at + 1);
            length += used;
            if bytes.len() < ROW_BYTES_MAX {
                bytes.extend_from_slice(&piece[..used]);
            }
            ended = end.is_some();
            reader.consume(used);
        }
        if length == 0 {
            return Ok(None);
        }
        *line += 1;
        if length > ROW_BYTES_MAX {
            let excerpt = excerpt(&bytes);
            return Ok(Some(Row { line: *line, value: Err(too_long()), excerpt }));
        }
        let text = bytes.trim_ascii();
        if !text.is_empty() {
            return Ok(Some(object_row(*line, text)));
        }
    }
}

fn next_csv(reader: &mut csv::Reader<Limited>, columns: &[String]) -> Result<Option<Row>> {
    let mut record = csv::ByteRecord::new();
    let start = reader.position().line();
    let more = reader
        .read_byte_record(&mut record)
        .with_context(|| format!("the row that starts at line {start} cannot be read"))?;
    if !more {
        return Ok(None);
    }
    let line = record.position().map_or(start, csv::Position::line);
    let mut raw = record.iter().take(20).fold(Vec::new(), |mut all, field| {
        all.extend_from_slice(&field[..field.len().min(EXCERPT_CHARS_MAX)]);
        all.push(b',');
        all
    });
    raw.pop();
    let value = if record.len() == columns.len() {
        let mut object = Map::new();
        let mut fault = None;
        for (name, field) in columns.iter().zip(&record) {
            match std::str::from_utf8(field) {
                Ok(text) => drop(object.insert(name.clone(), Value::String(text.to_owned()))),
                Err(_) => fault = Some(format!("column {name} is not UTF-8")),
            }
        }
        fault.map_or(Ok(object), Err)
    } else {
        Err(format!("{} columns, the header has {}", record.len(), columns.len()))
    };
    let excerpt = if value.is_err() { excerpt(&raw) } else { String::new() };
    Ok(Some(Row { line, value, excerpt }))
}

/// Counts what passes, for the progress bar.
struct Counted {
    input: Box<dyn Read>,
    count: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.count.set(self.count.get() + got as u64);
        Ok(got)
    }
}

/// Refuses to go on inside one CSV row for ever: a quote that is never closed swallows the rest of a file.
struct Limited {
    input: BufReader<Counted>,
    since_row: Rc<Cell<u64>>,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > ROW_BYTES_MAX as u64 {
            let text = format!("it is {}; is a quote not closed?", too_long());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let got = self.input.read(buffer)?;
        self.since_row.set(self.since_row.get() + got as u64);
        Ok(got)
    }
}

/// Cuts a JSON text into the elements of its array, or into the values that stand one after another, without
/// understanding them.
struct Splitter {
    reader: BufReader<Counted>,
    line: u64,
    array: bool,
    /// Nothing more may come: the array has ended.
    ended: bool,
    first: bool,
}

impl Splitter {
    fn new(reader: BufReader<Counted>) -> Result<Self> {
        let mut splitter = Self { reader, line: 1, array: false, ended: false, first: true };
        if splitter.peek()? == Some(b'[') {
            splitter.reader.consume(1);
            splitter.array = true;
        }
        Ok(splitter)
    }

    /// The next byte that is no white space, not yet taken.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            let blanks = piece.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += newlines(&piece[..blanks]);
            let next = piece.get(blanks).copied();
            self.reader.consume(blanks);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn next(&mut self) -> Result<Option<Row>> {
        let mut next = self.peek()?;
        if self.ended || !self.array {
            return match next {
                None => Ok(None),
                Some(_) if self.ended => bail!("line {}: something follows the array", self.line),
                Some(_) => self.value().map(Some),
            };
        }
        if next == Some(b',') && !self.first {
            self.reader.consume(1);
            next = self.peek()?;
        } else if next == Some(b']') {
            self.reader.consume(1);
            self.ended = true;
            return self.next();
        } else if !self.first && next.is_some() {
            bail!("line {}: a comma or the end of the array is expected", self.line);
        }
        if next.is_none() {
            bail!("line {}: the file ends inside the array", self.line);
        }
        self.first = false;
        self.value().map(Some)
    }

    /// One value: to the bracket that closes it, or to the comma, blank or bracket behind a plain one.
    fn value(&mut self) -> Result<Row> {
        let line = self.line;
        let (mut bytes, mut length) = (Vec::new(), 0);
        let (mut depth, mut in_string, mut escaped, mut done) = (0u64, false, false, false);
        while !done {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                if depth > 0 || in_string {
                    bail!("line {}: the file ends inside the value of line {line}", self.line);
                }
                break;
            }
            let mut used = 0;
            for byte in piece {
                let plain = depth == 0 && !in_string;
                if plain
                    && length + used > 0
                    && (b",]}".contains(byte) || byte.is_ascii_whitespace())
                {
                    done = true;
                    break;
                }
                used += 1;
                match (in_string, byte) {
                    (true, _) if escaped => escaped = false,
                    (true, b'\\') => escaped = true,
                    (true, b'"') => in_string = false,
                    (true, _) => {}
                    (false, b'"') => in_string = true,
                    (false, b'{' | b'[') => depth += 1,
                    (false, b'}' | b']') => depth = depth.saturating_sub(1),
                    (false, _) => {}
                }
                if depth == 0 && !in_string && b"}]\"".contains(byte) {
                    done = true;
                    break;
                }
            }
            length += used;
            self.line += newlines(&piece[..used]);
            if bytes.len() < ROW_BYTES_MAX {
                bytes.extend_from_slice(&piece[..used]);
            }
            self.reader.consume(used);
        }
        if length > ROW_BYTES_MAX {
            return Ok(Row { line, value: Err(too_long()), excerpt: excerpt(&bytes) });
        }
        Ok(object_row(line, &bytes))
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines and outcomes of a text; the reading's own failure comes last.
    fn read(text: impl Into<Vec<u8>>, format: Format) -> Vec<String> {
        let input: Box<dyn Read> = Box::new(io::Cursor::new(text.into()));
        let mut rows = match Rows::new(input, format, b',') {
            Ok(rows) => rows,
            Err(error) => return vec![format!("{error:#}")],
        };
        let mut seen = Vec::new();
        loop {
            match rows.next() {
                Ok(None) => return seen,
                Ok(Some(Row { line, value: Ok(value), .. })) => {
                    seen.push(format!("{line} {}", Value::Object(value)));
                }
                Ok(Some(Row { line, value: Err(reason), .. })) => {
                    seen.push(format!("{line} ! {reason}"));
                }
                Err(error) => {
                    seen.push(format!("{error:#}"));
                    return seen;
                }
            }
        }
    }

    /// Each bad line is its own fault; blank lines count as lines only.
    #[test]
    fn lines_of_json() {
        let seen = read("\u{feff}{\"a\":1}\r\n\n[2]\n{\"a\"\n{\"a\":3}", Format::Ndjson);
        assert_eq!(seen[0], "1 {\"a\":1}");
        assert_eq!(seen[1], "3 ! a JSON object is expected");
        assert!(seen[2].starts_with("4 ! not valid JSON"), "{seen:?}");
        assert_eq!(seen[3..], ["5 {\"a\":3}"]);
        assert_eq!(read("", Format::Ndjson), [""; 0]);
    }

    #[test]
    fn arrays_of_json() {
        let text = "[ {\"a\":\"],[\\\"\"},\n 7 ,{\"b\":{\"c\":[1]}}\n]\n";
        let all =
            ["1 {\"a\":\"],[\\\"\"}", "2 ! a JSON object is expected", "2 {\"b\":{\"c\":[1]}}"];
        assert_eq!(read(text, Format::Json), all);
        assert_eq!(read("[]", Format::Json), [""; 0]);
        assert_eq!(read("{\"a\":1}", Format::Json), ["1 {\"a\":1}"]);
        assert_eq!(read("{\"a\":1}\n{\"a\":2} ", Format::Json), ["1 {\"a\":1}", "2 {\"a\":2}"]);
        let broken = |text: &str| read(text, Format::Json).pop().unwrap();
        assert!(broken("[{\"a\":1}").contains("ends inside the array"));
        assert!(broken("[{\"a\":1},{").contains("ends inside the value"));
        assert!(broken("[{\"a\":1}] x").contains("follows the array"));
        assert!(broken("[{\"a\":1} {\"a\":2}]").contains("a comma"));
    }

    #[test]
    fn rows_of_csv() {
        let text = "\u{feff}name,note\nAnna,\"two\nlines\"\nBob\nCleo,x\n";
        let all = [
            "2 {\"name\":\"Anna\",\"note\":\"two\\nlines\"}",
            "4 ! 1 columns, the header has 2",
            "5 {\"name\":\"Cleo\",\"note\":\"x\"}",
        ];
        assert_eq!(read(text, Format::Csv), all);
        assert!(read("a,a\n1,2\n", Format::Csv)[0].contains("two columns are called"));
        assert!(read(b"a\n\xff\n".to_vec(), Format::Csv)[0].contains("not UTF-8"));
    }

    /// R1: a row without end is refused, and what follows it is still read where that can be told.
    #[test]
    fn long_rows_are_not_kept() {
        let long = "x".repeat(ROW_BYTES_MAX + 10);
        let lines = read(format!("{{\"a\":\"{long}\"}}\n{{\"a\":1}}\n"), Format::Ndjson);
        assert!(lines[0].starts_with("1 ! longer than") && lines[1] == "2 {\"a\":1}");
        let array = read(format!("[{{\"a\":\"{long}\"}},{{\"a\":1}}]"), Format::Json);
        assert!(array[0].starts_with("1 ! longer than") && array[1] == "1 {\"a\":1}");
        let csv = read(format!("a\n\"{long}{long}"), Format::Csv);
        assert!(csv[0].contains("is a quote not closed"), "{csv:?}");
    }
}
