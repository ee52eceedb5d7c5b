//! `cairn import FOLDER`: each file an attachment record with its bytes.
//!
//! Running it again adds nothing: a file whose bytes and name are in the stack is skipped. Links, and anything that is
//! neither a file nor a folder, are left out.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::Value;

use super::report::Report;
use super::{ImportArgs, Outcome, Tally, finish};
use crate::cli::offline::{self, Offline, reason};
use crate::cli::progress::Progress;
use crate::crypto;
use crate::engine::{Error, Query, UploadInput};

const PIECE_BYTES: usize = 256 * 1024;
const DEPTH_MAX: usize = 64;

pub(super) fn run(args: &ImportArgs) -> Result<Outcome> {
    let root = args
        .source
        .canonicalize()
        .with_context(|| format!("{} cannot be read", args.source.display()))?;
    let offline = match args.dry_run {
        true => None,
        false => Some(Offline::open_or_make(&args.target.file, &offline::options()?)?),
    };
    let own = args.target.file.canonicalize().ok();
    let mut report = Report::start(args.report.as_deref(), 0)?;
    let mut progress = Progress::new("import", None, args.json);
    let mut tally = Tally::default();
    let mut number = 0;
    each_file(&root, 0, &mut |path| {
        // The stack file itself, with its side files, may lie in the folder.
        let name = path.to_string_lossy();
        if own.as_ref().is_some_and(|own| name.starts_with(&*own.to_string_lossy())) {
            return Ok(());
        }
        number += 1;
        let below = path.strip_prefix(&root).unwrap_or(path);
        let filename: Vec<_> =
            below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let filename = filename.join("/");
        let done = match &offline {
            Some(offline) => upload(offline, path, &filename)?,
            None => Done::Imported,
        };
        match done {
            Done::Imported => tally.imported += 1,
            Done::Present => tally.present += 1,
            Done::Rejected(why) => {
                tally.rejected += 1;
                report.reject(number, &format!("{filename}: {why}"), "")?;
            }
        }
        progress.at(number, number);
        Ok(())
    })?;
    progress.end();
    report.end()?;
    finish(args, &tally, None)
}

/// Calls `each` with every regular file below `folder`, in the order of names.
fn each_file(folder: &Path, depth: usize, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    anyhow::ensure!(depth < DEPTH_MAX, "{} is nested deeper than {DEPTH_MAX}", folder.display());
    let read = || -> std::io::Result<Vec<(PathBuf, std::fs::FileType)>> {
        std::fs::read_dir(folder)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.path(), entry.file_type()?))
            })
            .collect()
    };
    let mut entries = read().with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (path, kind) in entries {
        if kind.is_dir() {
            each_file(&path, depth + 1, each)?;
        } else if kind.is_file() {
            each(&path)?;
        }
    }
    Ok(())
}

enum Done {
    Imported,
    Present,
    Rejected(String),
}

fn upload(offline: &Offline, path: &Path, filename: &str) -> Result<Done> {
    let mut hash = crypto::Sha256::new();
    if let Err(fault) = each_piece(path, &mut |piece| {
        hash.update(&piece);
        Ok(())
    }) {
        return Ok(Done::Rejected(format!("{fault:#}")));
    }
    let file_id = crypto::hex(&hash.finish());
    let (engine, owner) = (&offline.engine, offline.engine.owner_caller());
    let present = Query {
        types: vec!["_attachment@1".into()],
        content: vec![
            ("fileId".into(), Value::String(file_id.clone())),
            ("filename".into(), Value::String(filename.into())),
        ],
        limit: 1,
        ..Query::default()
    };
    let page = offline.wait(engine.query(&owner, present)).map_err(offline::explain)?;
    if !page.records.is_empty() {
        return Ok(Done::Present);
    }
    // Bytes that are there already keep the media type they came with first.
    let established = engine.open_file(&owner, &file_id).ok().and_then(|file| file.media_type);
    let input = UploadInput {
        media_type: established.unwrap_or_else(|| media_type(path).to_owned()),
        filename: Some(filename.to_owned()),
        app: None,
        record: true,
    };
    let sent = (|| -> Result<()> {
        let mut upload = offline.wait(engine.begin_upload(&owner, input))?;
        each_piece(path, &mut |piece| Ok(offline.wait(upload.write(piece))?))?;
        offline.wait(upload.finish())?;
        Ok(())
    })();
    match sent {
        Ok(()) => Ok(Done::Imported),
        Err(fault) => match fault.downcast_ref::<Error>() {
            Some(Error::Storage(_) | Error::Full) => Err(fault.context(format!(
                "importing stopped at {filename}; the same command goes on from there"
            ))),
            Some(error) => Ok(Done::Rejected(reason(error))),
            None => Ok(Done::Rejected(format!("{fault:#}"))),
        },
    }
}

/// By the end of the name; what is not listed is only bytes.
fn media_type(path: &Path) -> &'static str {
    const TYPES: &[(&str, &str)] = &[
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("avif", "image/avif"),
        ("bmp", "image/bmp"),
        ("svg", "image/svg+xml"),
        ("mp4", "video/mp4"),
        ("webm", "video/webm"),
        ("mov", "video/quicktime"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("ogg", "audio/ogg"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("md", "text/markdown"),
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("json", "application/json"),
        ("zip", "application/zip"),
    ];
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    let known = TYPES.iter().find(|(known, _)| end.as_deref() == Some(*known));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

fn each_piece(path: &Path, each: &mut dyn FnMut(Bytes) -> Result<()>) -> Result<()> {
    let mut file = File::open(path).context("cannot be read")?;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let got = Read::by_ref(&mut file)
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
            .context("cannot be read")?;
        if got == 0 {
            return Ok(());
        }
        each(Bytes::from(piece))?;
    }
}
