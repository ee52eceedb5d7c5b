//! `cairn import`: rows of a file, files of a folder, or a whole export.
//!
//! Knows the command's arguments and its order of work. Does not know what makes a record valid: the engine does.
//!
//! Invariants
//! I1. A batch and the mark of how far it reached are committed together: the same command after a kill goes on behind the
//!     last committed row, so that no row is imported twice and none is left out.
//! I2. Memory is bounded by one batch, [`BATCH_BYTES_MAX`] plus one row.
//! I3. A rejected row changes nothing and is reported with its line and the reason.
//! I4. `--dry-run` opens an existing file only to read its types and makes none.

mod convert;
mod folder;
mod infer;
mod report;
mod restore;
mod rows;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};

use self::convert::Conversion;
use self::infer::{Cells, FieldsLeft, Guess};
use self::report::Report;
use self::rows::{Format, Rows};
use super::offline::{self, FileFlag, Offline, explain, reason};
use super::progress::Progress;
use super::types::display_name;
use super::{Outcome, Usage, output};
use crate::crypto;
use crate::engine::{ImportRecord, NewRecord, NewTypeInput};
use crate::schema::{Schema, TypeId, reserved_keys};
use crate::util::id::RecordId;

const BATCH_ROWS_DEFAULT: u32 = 500;
const BATCH_ROWS_MAX: i64 = 5_000;
/// Source bytes after which a batch is committed whatever its rows.
const BATCH_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    target: FileFlag,
    /// NDJSON, JSON or CSV file, folder, or export; `-` is standard input
    source: PathBuf,
    /// Type of the records, such as com.example/place@1
    #[arg(long = "type", value_name = "TYPE")]
    type_id: Option<String>,
    /// Make the type's schema from the rows, show it and register it
    #[arg(long, requires = "type_id")]
    infer: bool,
    /// Format of the source; from its name when left out
    #[arg(long)]
    format: Option<Format>,
    /// What separates CSV columns, one character
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<char>,
    /// Store a column under another name; an empty FIELD leaves the column out
    #[arg(long = "map", value_name = "COLUMN=FIELD")]
    maps: Vec<String>,
    /// Column that names each record, unique within the type: a row whose record exists is rejected
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// Check every row against the schema and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write rejected rows to this file, one JSON object a line: line, reason, row
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Rows in one transaction
    #[arg(long, value_name = "ROWS", default_value_t = BATCH_ROWS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=BATCH_ROWS_MAX))]
    batch: u32,
    /// Folder with the files of an export that was written with --blobs
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Import from the first row, even if this source was imported before
    #[arg(long)]
    again: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What an import did.
#[derive(Debug, Default)]
struct Tally {
    imported: u64,
    rejected: u64,
    /// Files that were there already.
    present: u64,
}

pub(super) fn run(args: &ImportArgs) -> Result<Outcome> {
    let source = &args.source;
    if source.is_dir() {
        return folder::run(args);
    }
    if source != Path::new("-") && !source.exists() {
        bail!("{} does not exist; name a file or folder to import", source.display());
    }
    if restore::is_export(source) {
        return restore::run(args);
    }
    import_rows(args)
}

fn import_rows(args: &ImportArgs) -> Result<Outcome> {
    let source = &args.source;
    let name = source.display();
    let type_id = args
        .type_id
        .as_deref()
        .ok_or_else(|| Usage(format!("{name}: --type says which type the records get")))?;
    if TypeId::parse(type_id).is_none() {
        return Err(
            Usage(format!("--type {type_id:?} is no type such as com.example/place@1")).into()
        );
    }
    let format = args.format.or_else(|| Format::of(source)).ok_or_else(|| {
        Usage(format!("{name}: --format says whether it is ndjson, json or csv; its name does not"))
    })?;
    let delimiter = args
        .delimiter
        .map(|c| {
            u8::try_from(c).map_err(|_| Usage(format!("--delimiter {c:?} is no ASCII character")))
        })
        .transpose()?;
    let open = || Rows::open(source, format, delimiter);
    let mut rows = open()?;
    let mut conversion = Conversion::new(&args.maps, args.id_column.as_deref(), rows.columns())
        .map_err(|error| Usage(format!("{name}: {error}")))?;

    let mut inferred = None;
    if args.infer {
        if source == Path::new("-") {
            return Err(Usage(
                "--infer reads the source twice, which standard input cannot".into(),
            )
            .into());
        }
        inferred = Some(infer(&mut rows, &conversion)?);
        rows = open()?;
    }
    let offline = match args.dry_run && !args.target.file.exists() {
        true => None,
        false if args.infer => {
            Some(Offline::open_or_make(&args.target.file, &offline::options()?)?)
        }
        false => Some(Offline::open(&args.target.file)?),
    };
    let schema = settle_type(args, type_id, offline.as_ref(), inferred.as_ref())?;
    if format == Format::Csv {
        conversion.type_cells(&schema);
    }
    let job = Job { args, type_id, conversion: &conversion, schema: &schema };
    let tally = match (&offline, args.dry_run) {
        (Some(offline), false) => job.import(offline, rows)?,
        _ => job.check(rows)?,
    };
    finish(args, &tally, inferred.as_ref())
}

/// Reads the whole source for its schema.
fn infer(rows: &mut Rows, conversion: &Conversion) -> Result<Map<String, Value>> {
    let cells = if rows.columns().is_some() { Cells::Text } else { Cells::Typed };
    let (mut guess, mut left) = (Guess::default(), FieldsLeft::default());
    while let Some(row) = rows.next()? {
        if let Ok(value) = row.value {
            guess.add(&conversion.rename(value), cells, &mut left);
        }
    }
    if cells == Cells::Text {
        guess.settle_cells();
    }
    Ok(guess.schema())
}

/// The schema that rows are read by; shows and registers an inferred one.
fn settle_type(
    args: &ImportArgs,
    type_id: &str,
    offline: Option<&Offline>,
    inferred: Option<&Map<String, Value>>,
) -> Result<Schema> {
    let Some(raw) = inferred else {
        let known = offline.and_then(|offline| offline.engine.types().get(type_id).cloned());
        return known.map(|info| info.schema.clone()).ok_or_else(|| {
            anyhow!(
                "type {type_id} is not registered in {}; add it with `cairn type add`, or let --infer make it from the rows",
                args.target.file.display()
            )
        });
    };
    let schema = Schema::parse(raw).context("the rows give no schema")?;
    if !args.json {
        output::line(format_args!("{type_id} {:#}", Value::Object(raw.clone())))?;
    }
    if let (Some(offline), false) = (offline, args.dry_run) {
        let input = NewTypeInput {
            id: type_id.to_owned(),
            name: display_name(type_id),
            schema: raw.clone(),
            schema_hash: None,
            migrates_from: None,
            search: None,
        };
        let owner = offline.engine.owner_caller();
        offline.wait(offline.engine.register_type(&owner, input)).map_err(explain)?;
    }
    Ok(schema)
}

/// What every row goes through.
struct Job<'a> {
    args: &'a ImportArgs,
    type_id: &'a str,
    conversion: &'a Conversion,
    schema: &'a Schema,
}

impl Job<'_> {
    /// Checks every row and stores none.
    fn check(&self, mut rows: Rows) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut report = Report::start(self.args.report.as_deref(), 0)?;
        let mut progress = Progress::new("check", source_bytes(&self.args.source), self.args.json);
        while let Some(row) = rows.next()? {
            let faults = row.value.and_then(|value| {
                let (_, content) = self.conversion.apply(value)?;
                let mut faults = reserved_keys(&content);
                faults.extend(self.schema.validate(&content));
                if faults.is_empty() {
                    return Ok(());
                }
                Err(reason(&crate::engine::Error::Invalid(faults)))
            });
            match faults {
                Ok(()) => tally.imported += 1,
                Err(why) => {
                    tally.rejected += 1;
                    report.reject(row.line, &why, &row.excerpt)?;
                }
            }
            progress.at(rows.bytes_read(), tally.imported + tally.rejected);
        }
        progress.end();
        report.end()?;
        Ok(tally)
    }

    /// Stores rows batch by batch, from where an earlier run of the same command stopped.
    fn import(&self, offline: &Offline, mut rows: Rows) -> Result<Tally> {
        let mut mark = Mark::of(self.args, self.type_id)?;
        let mut tally = Tally::default();
        match mark.read(offline, self.args.again)? {
            Reached::Start => {}
            Reached::End => {
                eprintln!(
                    "{} was imported before; --again imports it once more",
                    self.args.source.display()
                );
                return Ok(tally);
            }
            Reached::Line(line) => eprintln!("going on behind line {line}"),
        }
        let mut report = Report::start(self.args.report.as_deref(), mark.line)?;
        let mut progress = Progress::new("import", source_bytes(&self.args.source), self.args.json);
        let mut batch = Batch::default();
        loop {
            let next = rows.next();
            let row = match next {
                Ok(Some(row)) if row.line <= mark.line => continue,
                Ok(Some(row)) => row,
                Ok(None) => {
                    mark.done = true;
                    break;
                }
                // What was read is good: keep it, then say why the rest is not.
                Err(fault) => {
                    self.flush(offline, &mut batch, &mark, &mut report, &mut tally)?;
                    progress.end();
                    report.end()?;
                    return Err(fault.context(format!(
                        "{} was read up to line {}; {} imported",
                        self.args.source.display(),
                        mark.reached.max(mark.line),
                        output::counted(tally.imported, "row")
                    )));
                }
            };
            mark.reached = row.line;
            match row.value.and_then(|value| self.conversion.apply(value)) {
                Ok((id, content)) => batch.push(row.line, self.record(id, content)),
                Err(why) => batch.faults.push((row.line, why, row.excerpt)),
            }
            let bytes = rows.bytes_read() - batch.bytes_from;
            if batch.len() >= self.args.batch as usize || bytes >= BATCH_BYTES_MAX {
                self.flush(offline, &mut batch, &mark, &mut report, &mut tally)?;
                batch.bytes_from = rows.bytes_read();
                progress.at(rows.bytes_read(), tally.imported + tally.rejected);
            }
        }
        self.flush(offline, &mut batch, &mark, &mut report, &mut tally)?;
        progress.end();
        report.end()?;
        Ok(tally)
    }

    fn record(&self, id: Option<String>, content: Map<String, Value>) -> ImportRecord {
        let (id, alias) = match id {
            Some(id) if RecordId::parse(&id).is_some() => (Some(id), None),
            alias => (None, alias),
        };
        let record =
            NewRecord { id, type_id: self.type_id.to_owned(), content, ..NewRecord::default() };
        ImportRecord { record, created_at: None, alias, exact: None }
    }

    /// Commits a batch together with how far it reached.
    fn flush(
        &self,
        offline: &Offline,
        batch: &mut Batch,
        mark: &Mark,
        report: &mut Report,
        tally: &mut Tally,
    ) -> Result<()> {
        let records = std::mem::take(&mut batch.records);
        let results = offline
            .wait(offline.engine.import_batch(records, mark.entry()))
            .map_err(explain)
            .with_context(|| stopped(self.args))?;
        let mut rejected = std::mem::take(&mut batch.faults);
        for (line, result) in batch.lines.drain(..).zip(results) {
            match result {
                Ok(_) => tally.imported += 1,
                Err(error) => rejected.push((line, reason(&error), String::new())),
            }
        }
        rejected.sort_by_key(|(line, ..)| *line);
        tally.rejected += rejected.len() as u64;
        for (line, why, excerpt) in rejected {
            report.reject(line, &why, &excerpt)?;
        }
        report.flush()
    }
}

/// What a person does about a write that failed in the middle.
fn stopped(args: &ImportArgs) -> String {
    format!(
        "importing into {} stopped; the same command goes on from there",
        args.target.file.display()
    )
}

/// Rows that wait for their commit.
#[derive(Default)]
struct Batch {
    lines: Vec<u64>,
    records: Vec<ImportRecord>,
    faults: Vec<(u64, String, String)>,
    /// Source bytes read when it began.
    bytes_from: u64,
}

impl Batch {
    fn push(&mut self, line: u64, record: ImportRecord) {
        self.lines.push(line);
        self.records.push(record);
    }

    fn len(&self) -> usize {
        self.lines.len() + self.faults.len()
    }
}

/// How far a source has been imported; kept in the stack file.
struct Mark {
    key: Option<String>,
    bytes: u64,
    modified_ms: u64,
    /// Where this run began: rows up to here are in.
    line: u64,
    /// The last row read.
    reached: u64,
    done: bool,
}

enum Reached {
    Start,
    Line(u64),
    End,
}

impl Mark {
    /// The mark of this command: same source, type, mapping. Standard input has none.
    fn of(args: &ImportArgs, type_id: &str) -> Result<Self> {
        let mut mark =
            Self { key: None, bytes: 0, modified_ms: 0, line: 0, reached: 0, done: false };
        if args.source == Path::new("-") {
            return Ok(mark);
        }
        let path = args.source.canonicalize()?;
        let metadata = path.metadata()?;
        mark.bytes = metadata.len();
        let since = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        mark.modified_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let what = json!([path.to_string_lossy(), type_id, args.maps, args.id_column]).to_string();
        mark.key = Some(format!("import:{}", crypto::hex(&crypto::sha256(what.as_bytes()))));
        Ok(mark)
    }

    /// Finds out where to begin.
    fn read(&mut self, offline: &Offline, again: bool) -> Result<Reached> {
        let Some(key) = &self.key else { return Ok(Reached::Start) };
        let stored = offline.engine.import_mark(key).map_err(explain)?;
        let Some(stored) = stored.filter(|_| !again) else { return Ok(Reached::Start) };
        let stored: Value = serde_json::from_str(&stored).unwrap_or_default();
        let number = |name: &str| stored.get(name).and_then(Value::as_u64).unwrap_or(0);
        let same = number("bytes") == self.bytes && number("modifiedMs") == self.modified_ms;
        match (stored.get("done") == Some(&Value::Bool(true)), same) {
            (true, true) => Ok(Reached::End),
            // Another content under the same name: a source of its own.
            (true, false) => Ok(Reached::Start),
            (false, true) if number("line") == 0 => Ok(Reached::Start),
            (false, true) => {
                self.line = number("line");
                Ok(Reached::Line(self.line))
            }
            (false, false) => bail!(
                "the source has changed since its import stopped at line {}; bring the old one back, or start over with --again",
                number("line")
            ),
        }
    }

    fn entry(&self) -> Option<(String, String)> {
        let value = json!({
            "bytes": self.bytes, "modifiedMs": self.modified_ms, "line": self.reached.max(self.line), "done": self.done,
        });
        Some((self.key.clone()?, value.to_string()))
    }
}

fn source_bytes(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}

/// Prints what was done.
fn finish(
    args: &ImportArgs,
    tally: &Tally,
    inferred: Option<&Map<String, Value>>,
) -> Result<Outcome> {
    if args.json {
        let mut result = json!({
            "imported": tally.imported, "rejected": tally.rejected, "dryRun": args.dry_run,
        });
        if let Some(schema) = inferred {
            result["schema"] = Value::Object(schema.clone());
        }
        if tally.present > 0 {
            result["present"] = json!(tally.present);
        }
        output::json(&result)?;
    } else {
        let verb = if args.dry_run { "would be imported" } else { "imported" };
        let mut text = format!("{} {verb}, {} rejected", tally.imported, tally.rejected);
        if tally.present > 0 {
            text.push_str(&format!(", {} already there", tally.present));
        }
        if let (Some(report), true) = (&args.report, tally.rejected > 0) {
            text.push_str(&format!("; see {}", report.display()));
        }
        output::line(text)?;
    }
    Ok(if tally.rejected == 0 { Outcome::Done } else { Outcome::Bad })
}
