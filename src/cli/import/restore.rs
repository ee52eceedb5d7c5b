//! `cairn import` of an export: the same ids, authors, versions, files.
//!
//! A file that does not exist yet is made for the owner whom the export names.
//!
//! Invariants
//! X1. Every record comes with its whole history or not at all.
//! X2. An export that was cut short is said to be: its last line counts what came before.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::report::Report;
use super::{ImportArgs, Mark, Outcome, Reached, Tally, finish, source_bytes, stopped};
use crate::cli::dump::{BlobLine, EXPORT_FORMAT, EXPORT_START, Header, Line, StateLine, Totals};
use crate::cli::offline::{self, Offline, explain, reason};
use crate::cli::progress::Progress;
use crate::cli::types::read_definition;
use crate::engine::{
    Error, ExactRecord, ExactType, ImportRecord, NewRecord, Snapshot, Upload, UploadInput,
};
use crate::util::{json, time};

/// The longest line: a record's content with everything around it.
const LINE_BYTES_MAX: usize = 128 << 20;
/// What a record may have with all its versions.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// Bytes after which waiting records are committed.
const BATCH_BYTES_MAX: usize = 8 << 20;
const PIECE_BYTES: usize = 256 * 1024;

/// Whether a file begins as an export does.
pub(super) fn is_export(path: &Path) -> bool {
    let mut start = [0; EXPORT_START.len()];
    path != Path::new("-")
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *EXPORT_START
}

pub(super) fn run(args: &ImportArgs) -> Result<Outcome> {
    let name = args.source.display();
    let mut lines = Lines::open(&args.source)?;
    let first = lines.next()?.ok_or_else(|| anyhow!("{name} is empty"))?;
    let header: Header = parse::<Line>(&first)?
        .cairn
        .ok_or_else(|| anyhow!("{name} does not begin as an export"))
        .and_then(|raw| parse(raw.get()))?;
    ensure!(
        header.export <= EXPORT_FORMAT,
        "{name} is an export of format {}, this program reads up to {EXPORT_FORMAT}; install a newer cairn",
        header.export
    );
    if args.dry_run {
        return check(args, lines);
    }
    let mut options = offline::options()?;
    // What one stack took, another must: the limit is for uploads.
    options.attachment_bytes_max = u64::MAX;
    if !args.target.file.exists() {
        options.owner_did = Some(header.owner.clone());
    }
    let offline = Offline::open_or_make(&args.target.file, &options)?;
    if offline.engine.owner() != header.owner {
        eprintln!(
            "{name} belongs to {}, {} to {}: records keep their authors",
            header.owner,
            args.target.file.display(),
            offline.engine.owner()
        );
    }
    let mut mark = Mark::of(args, "export")?;
    match mark.read(&offline, args.again)? {
        Reached::Start => {}
        Reached::Line(line) => eprintln!("going on behind line {line}"),
        Reached::End => {
            eprintln!("{name} was imported before; --again imports it once more");
            return Ok(Outcome::Done);
        }
    }
    let report = Report::start(args.report.as_deref(), mark.line)?;
    let mut restore = Restore {
        args,
        offline: &offline,
        report,
        mark,
        tally: Tally::default(),
        seen: Totals::default(),
        waiting: Vec::new(),
        waiting_bytes: 0,
        upload: None,
    };
    let mut progress = Progress::new("import", source_bytes(&args.source), args.json);
    let totals = restore.run(&mut lines, &mut progress);
    progress.end();
    let totals = match totals {
        Ok(totals) => totals,
        Err(fault) => {
            // What came whole before the fault is kept, so that a repaired source goes on from there.
            restore.upload = None;
            restore.waiting.pop();
            restore.flush()?;
            return Err(fault.context(format!("{name}, line {}", lines.line)));
        }
    };
    restore.report.flush()?;
    ensure!(
        restore.seen == totals,
        "{name} announces {totals:?} at its end, but {:?} came: it is damaged; export again",
        restore.seen
    );
    finish(args, &restore.tally, None)
}

/// Reads every line and stores nothing.
fn check(args: &ImportArgs, mut lines: Lines) -> Result<Outcome> {
    let mut seen = Totals::default();
    let mut tally = Tally::default();
    let mut ended = None;
    while let Some(text) = lines.next()? {
        let at = || format!("{}, line {}", args.source.display(), lines.line);
        let line: Line<'_> = parse(&text).with_context(at)?;
        if let Some(raw) = line.type_ {
            read_definition(json::parse(raw.get().as_bytes())?).with_context(at)?;
            seen.types += 1;
        } else if line.blob.is_some() {
            seen.blobs += 1;
        } else if let Some(raw) = line.record.or(line.version) {
            State::read(raw).with_context(at)?;
            seen.records += u64::from(line.record.is_some());
        }
        ended = line.end.or(ended);
    }
    ensure!(ended == Some(seen), "{} was cut short; export again", args.source.display());
    tally.imported = seen.records;
    finish(args, &tally, None)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|fault| anyhow!("no line of an export: {fault}"))
}

/// Lines of a file, with a bound.
struct Lines {
    reader: BufReader<File>,
    line: u64,
    bytes: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), line: 0, bytes: 0 })
    }

    fn next(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        let got = Read::by_ref(&mut self.reader)
            .take(LINE_BYTES_MAX as u64 + 1)
            .read_line(&mut text)
            .with_context(|| format!("line {} cannot be read", self.line + 1))?;
        self.line += 1;
        self.bytes += got as u64;
        ensure!(got <= LINE_BYTES_MAX, "line {} is longer than {LINE_BYTES_MAX} bytes", self.line);
        Ok((got > 0).then_some(text))
    }
}

/// A record line or a version line, converted.
struct State {
    line: u64,
    import: ImportRecord,
    bytes: usize,
}

impl State {
    fn read(raw: &RawValue) -> Result<(StateLine<'_>, ExactRecord)> {
        let state: StateLine<'_> = parse(raw.get())?;
        let instant =
            |text: &str| time::parse_instant(text).ok_or_else(|| anyhow!("{text:?} is no instant"));
        let exact = ExactRecord {
            version: state.version,
            updated_at: instant(&state.updated_at)?,
            deleted_at: state.deleted_at.as_deref().map(instant).transpose()?,
            subject: state.entity_id.clone(),
            principal: state.principal_id.clone(),
            history: Vec::new(),
        };
        Ok((state, exact))
    }

    fn record(line: u64, raw: &RawValue) -> Result<Self> {
        let (state, exact) = Self::read(raw)?;
        let created_at = state
            .created_at
            .as_deref()
            .and_then(time::parse_instant)
            .ok_or_else(|| anyhow!("createdAt is missing"))?;
        let record = NewRecord {
            id: state.id,
            type_id: state.type_id,
            content: json::parse_object(state.content.get().as_bytes())?,
            parent: state.parent_id,
            app: state.app_id,
            permissions: state.permissions,
            associations: state.associations,
        };
        let import = ImportRecord {
            record,
            created_at: Some(created_at),
            alias: state.alias,
            exact: Some(exact),
        };
        Ok(Self { line, import, bytes: raw.get().len() })
    }

    /// Adds the next earlier version.
    fn add_version(&mut self, raw: &RawValue) -> Result<()> {
        self.bytes += raw.get().len();
        ensure!(
            self.bytes <= RECORD_BYTES_MAX,
            "one record has more than {RECORD_BYTES_MAX} bytes"
        );
        let (state, exact) = Self::read(raw)?;
        let Some(of) = &mut self.import.exact else { bail!("a version without its record") };
        let list = |values: &[Value]| (!values.is_empty()).then(|| Value::from(values).to_string());
        of.history.push(Snapshot {
            version: state.version,
            type_id: state.type_id,
            updated_at: exact.updated_at,
            deleted_at: exact.deleted_at,
            subject: of.subject.as_deref().map(Arc::from),
            permissions: list(&state.permissions),
            associations: list(&state.associations),
            content: json::minify(&json::parse(state.content.get().as_bytes())?),
        });
        Ok(())
    }
}

struct Restore<'a> {
    args: &'a ImportArgs,
    offline: &'a Offline,
    report: Report,
    mark: Mark,
    tally: Tally,
    seen: Totals,
    /// Records that wait for their commit; the last may still get versions.
    waiting: Vec<State>,
    waiting_bytes: usize,
    upload: Option<Receiving>,
}

/// A file whose chunks are coming.
struct Receiving {
    /// `None` when its bytes are there already.
    upload: Option<Upload>,
    file_id: String,
    left: u64,
}

impl Restore<'_> {
    fn run(&mut self, lines: &mut Lines, progress: &mut Progress) -> Result<Totals> {
        while let Some(text) = lines.next()? {
            let line: Line<'_> = parse(&text)?;
            if let Some(totals) = line.end {
                ensure!(self.upload.is_none(), "the file before has chunks missing");
                self.mark.reached = lines.line;
                self.mark.done = true;
                self.flush()?;
                return Ok(totals);
            }
            match line {
                Line { type_: Some(raw), .. } => self.add_type(raw)?,
                Line { blob: Some(raw), .. } => self.begin_blob(&parse(raw.get())?)?,
                Line { chunk: Some(chunk), .. } => self.add_chunk(chunk)?,
                Line { record: Some(raw), .. } => self.add_record(lines.line, raw)?,
                Line { version: Some(raw), .. } => {
                    // Versions of a record that an earlier run stored are behind the mark as well.
                    if let Some(last) = self.waiting.last_mut() {
                        last.add_version(raw)?;
                        self.waiting_bytes += raw.get().len();
                    } else {
                        ensure!(lines.line <= self.mark.line, "a version without its record");
                    }
                }
                _ => bail!("a line of no known kind; a newer cairn may know it"),
            }
            progress.at(lines.bytes, self.seen.records);
        }
        bail!("the export was cut short: its last line is missing; export again")
    }

    fn add_type(&mut self, raw: &RawValue) -> Result<()> {
        let definition = json::parse(raw.get().as_bytes())?;
        let created_at = definition.get("createdAt").and_then(Value::as_str);
        let exact = ExactType {
            created_at: created_at.and_then(time::parse_instant),
            open: definition.get("open") == Some(&Value::Bool(true)),
        };
        let input = read_definition(definition)?;
        let id = input.id.clone();
        match self.offline.wait(self.offline.engine.import_type(input, exact)) {
            // Built in, and this program's own has grown since.
            Err(Error::Drift { .. }) if id.starts_with('_') => {}
            other => drop(
                other.map_err(explain).with_context(|| format!("type {id} was not registered"))?,
            ),
        }
        self.seen.types += 1;
        Ok(())
    }

    fn begin_blob(&mut self, line: &BlobLine) -> Result<()> {
        ensure!(self.upload.is_none(), "the file before has chunks missing");
        let (engine, owner) = (&self.offline.engine, self.offline.engine.owner_caller());
        let there = engine.open_file(&owner, &line.file_id).is_ok();
        let upload = if there {
            None
        } else {
            let input = UploadInput {
                media_type: "application/octet-stream".into(),
                filename: None,
                app: None,
                record: false,
            };
            Some(self.offline.wait(engine.begin_upload(&owner, input)).map_err(explain)?)
        };
        self.upload = Some(Receiving { upload, file_id: line.file_id.clone(), left: line.size });
        if let Some(file) = &line.file {
            if there {
                self.upload = None;
                self.seen.blobs += 1;
                return Ok(());
            }
            self.add_file(file)?;
        }
        self.end_blob_when_whole()
    }

    /// Bytes that lie beside the export.
    fn add_file(&mut self, name: &str) -> Result<()> {
        let folder = self.args.blobs.as_ref().ok_or_else(|| {
            anyhow!("the bytes of its files are not in the export; --blobs DIR names their folder")
        })?;
        let hash = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(hash, "{name:?} is no name of a file of an export");
        let path = folder.join(name);
        let mut file =
            File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            Read::by_ref(&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            self.add_bytes(piece)?;
        }
    }

    fn add_chunk(&mut self, chunk: &str) -> Result<()> {
        ensure!(self.upload.is_some(), "a chunk without its file");
        self.add_bytes(STANDARD.decode(chunk).context("a chunk is not base64")?)?;
        self.end_blob_when_whole()
    }

    fn add_bytes(&mut self, bytes: Vec<u8>) -> Result<()> {
        let Some(receiving) = &mut self.upload else { return Ok(()) };
        receiving.left = receiving
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| anyhow!("file {} has more bytes than announced", receiving.file_id))?;
        if let Some(upload) = &mut receiving.upload {
            self.offline.wait(upload.write(Bytes::from(bytes))).map_err(explain)?;
        }
        Ok(())
    }

    fn end_blob_when_whole(&mut self) -> Result<()> {
        let Some(receiving) = self.upload.take_if(|receiving| receiving.left == 0) else {
            return Ok(());
        };
        if let Some(upload) = receiving.upload {
            let stored = self.offline.wait(upload.finish()).map_err(explain)?;
            ensure!(
                stored.file_id == receiving.file_id,
                "file {} is damaged: its bytes are those of {}",
                receiving.file_id,
                stored.file_id
            );
        }
        self.seen.blobs += 1;
        Ok(())
    }

    fn add_record(&mut self, line: u64, raw: &RawValue) -> Result<()> {
        ensure!(self.upload.is_none(), "the file before has chunks missing");
        self.seen.records += 1;
        if line <= self.mark.line {
            return Ok(());
        }
        let full = self.waiting.len() >= self.args.batch as usize;
        if full || self.waiting_bytes >= BATCH_BYTES_MAX {
            self.mark.reached = line - 1;
            self.flush()?;
        }
        let state = State::record(line, raw)?;
        self.waiting_bytes += state.bytes;
        self.waiting.push(state);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.waiting_bytes = 0;
        let (mut about, mut records) = (Vec::new(), Vec::new());
        for state in std::mem::take(&mut self.waiting) {
            about.push((state.line, state.import.record.id.clone()));
            records.push(state.import);
        }
        let results = self
            .offline
            .wait(self.offline.engine.import_batch(records, self.mark.entry()))
            .map_err(explain)
            .with_context(|| stopped(self.args))?;
        for ((line, id), result) in about.into_iter().zip(results) {
            match result {
                Ok(_) => self.tally.imported += 1,
                // Every file has this one from its beginning.
                Err(Error::Conflict(_)) if id.as_deref() == Some("_config") => {
                    self.tally.present += 1;
                }
                Err(error) => {
                    self.tally.rejected += 1;
                    self.report.reject(line, &reason(&error), "")?;
                }
            }
        }
        self.report.flush()
    }
}
