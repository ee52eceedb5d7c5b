//! `cairn export`: everything in one NDJSON file, or with the bytes of files in a folder beside it.
//!
//! Invariants
//! E1. The target appears under its name only when it is complete; until then it has `.part` behind it.
//! E2. Memory is bounded by one record with its history and one piece of a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::dump::{EXPORT_FORMAT, Totals, push_record, push_version};
use super::offline::{FileArgument, Offline, explain};
use super::progress::Progress;
use super::{Outcome, output, types};
use crate::engine::{Error, StoredFile};
use crate::util::time;

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    target: FileArgument,
    /// Where to write; standard output when left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the bytes of files into this folder instead of into the export
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Print one line of JSON about what was written; needs --output
    #[arg(long, requires = "output")]
    json: bool,
}

pub(super) fn run(args: &ExportArgs) -> Result<Outcome> {
    let offline = Offline::open(&args.target.file)?;
    if let Some(folder) = &args.blobs {
        make_private_folder(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let Some(target) = &args.output else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        write_all(&offline, args, &mut out)?;
        out.flush()?;
        return Ok(Outcome::Done);
    };
    let name = target.display();
    if target.exists() {
        bail!("{name} exists already; choose another name");
    }
    let part = with_suffix(target, ".part");
    let totals = (|| -> Result<Totals> {
        let mut out = BufWriter::new(make_private(&part)?);
        let totals = write_all(&offline, args, &mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, target)?;
        Ok(totals)
    })()
    .inspect_err(|_| drop(std::fs::remove_file(&part)))
    .with_context(|| format!("{name} cannot be written"))?;
    let Totals { types, blobs, records } = totals;
    if args.json {
        output::json(
            &json!({ "file": name.to_string(), "types": types, "blobs": blobs, "records": records }),
        )?;
    } else {
        output::line(format_args!(
            "wrote {name}: {types} types, {blobs} blobs, {records} records"
        ))?;
    }
    Ok(Outcome::Done)
}

fn write_all(offline: &Offline, args: &ExportArgs, out: &mut dyn Write) -> Result<Totals> {
    let engine = &offline.engine;
    let mut totals = Totals::default();
    let at = time::format_ms(engine.clock().now_ms());
    let head = json!({ "cairn": { "export": EXPORT_FORMAT, "owner": engine.owner(), "at": at } });
    writeln!(out, "{head}")?;
    for info in engine.types().all() {
        // Built-in ones too: the owner may have widened them, and only their name tells them from others.
        writeln!(out, "{}", json!({ "type": types::as_json(&info) }))?;
        totals.types += 1;
    }
    let counts = engine.counts().map_err(explain)?;
    let all = u64::try_from(counts.records + counts.deleted_records).unwrap_or(0);
    let mut progress = Progress::new("export", Some(all), args.json);
    let owner = engine.owner_caller();
    let mut after = 0;
    loop {
        let page = engine.blobs_after(after, 100).map_err(explain)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for blob in &page {
            let file = engine.open_file(&owner, &blob.hash).map_err(explain)?;
            write_blob(offline, args, &file, out)?;
            totals.blobs += 1;
        }
    }
    let mut text = String::new();
    let mut failed = None;
    engine
        .export_each(&mut |exported| {
            push_record(&mut text, &exported.record);
            for snapshot in &exported.history {
                push_version(&mut text, snapshot);
            }
            totals.records += 1;
            progress.at(totals.records, totals.records);
            let written = out.write_all(text.as_bytes());
            text.clear();
            // The engine's error type has no room for a broken pipe: kept here, any refusal ends the walk.
            written.map_err(|fault| {
                failed = Some(fault);
                Error::BadRequest("the export could not be written".into())
            })
        })
        .map_err(|error| failed.take().map_or_else(|| explain(error), |fault| anyhow!(fault)))?;
    progress.end();
    let Totals { types, blobs, records } = totals;
    writeln!(out, "{}", json!({ "end": { "types": types, "blobs": blobs, "records": records } }))?;
    Ok(totals)
}

fn write_blob(
    offline: &Offline,
    args: &ExportArgs,
    file: &StoredFile,
    out: &mut dyn Write,
) -> Result<()> {
    let mut line = json!({ "blob": { "fileId": file.file_id, "size": file.size } });
    if let Some(folder) = &args.blobs {
        line["blob"]["file"] = json!(file.file_id);
        writeln!(out, "{line}")?;
        let path = folder.join(&file.file_id);
        if path.metadata().is_ok_and(|metadata| metadata.len() == file.size) {
            return Ok(()); // Named by its hash: an earlier export wrote it.
        }
        let part = with_suffix(&path, ".part");
        drop(std::fs::remove_file(&part));
        let write = || -> Result<()> {
            let mut target = make_private(&part)?;
            each_piece(offline, file, &mut |piece| Ok(target.write_all(piece)?))?;
            target.sync_all()?;
            Ok(std::fs::rename(&part, &path)?)
        };
        return write().with_context(|| format!("{} cannot be written", path.display()));
    }
    writeln!(out, "{line}")?;
    each_piece(offline, file, &mut |piece| {
        Ok(writeln!(out, "{{\"chunk\":\"{}\"}}", STANDARD.encode(piece))?)
    })
}

fn each_piece(
    offline: &Offline,
    file: &StoredFile,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut at = 0;
    while at < file.size {
        let piece = offline.engine.read_file(file, at, file.size - at).map_err(explain)?;
        if piece.is_empty() {
            bail!("file {} ends at byte {at} of {}; run `cairn verify`", file.file_id, file.size);
        }
        each(&piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a file that only its owner may read (SECURITY S65).
pub(super) fn make_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
