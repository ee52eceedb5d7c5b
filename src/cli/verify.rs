//! `cairn verify`: is this file whole?

use anyhow::Result;
use serde_json::json;

use super::offline::{FileArgument, explain_open, must_exist};
use super::progress::Progress;
use super::{Outcome, output};
use crate::engine::Error;
use crate::store::{Archive, StoreError, sha256_of};
use crate::util::time;

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    target: FileArgument,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<Outcome> {
    let path = &args.target.file;
    let name = path.display();
    must_exist(path)?;
    // Only looked at: a suspect file should not be written to, and a server may have it.
    let archive = Archive::open(path).map_err(|error| explain_open(path, Error::Storage(error)))?;
    let mut progress = Progress::new("verify", None, args.json);
    let found = archive
        .verify(|stage| progress.stage(stage))
        .map_err(|error: StoreError| explain_open(path, Error::Storage(error)))?;
    progress.end();
    let backup_at = archive.backup_at().unwrap_or_default();
    let in_use = archive.is_in_use();
    drop(archive);
    // While somebody writes, the bytes of the file are not what was looked at.
    let sha256 = if in_use { None } else { Some(sha256_of(path)?.0) };
    let counts = found.counts;
    if args.json {
        output::json(&json!({
            "file": name.to_string(), "sound": found.faults.is_empty(), "faults": found.faults,
            "digest": found.digest, "sha256": sha256, "records": counts.records,
            "deletedRecords": counts.deleted_records, "changes": counts.changes, "versions": counts.versions,
            "blobs": counts.blobs, "lastTx": counts.last_tx, "inUse": in_use,
            "backupAt": backup_at.map(time::format_ms),
            "types": found.types.iter().map(|size| json!({
                "typeId": size.type_id, "records": size.records, "deletedRecords": size.deleted_records,
            })).collect::<Vec<_>>(),
        }))?;
    } else if found.faults.is_empty() {
        let what = backup_at
            .map_or_else(String::new, |at| format!(", a backup of {}", time::format_ms(at)));
        output::line(format_args!(
            "{name} is sound{what}: tx {}, {} records, {} deleted, {} versions, {} blobs, digest {}",
            counts.last_tx,
            counts.records,
            counts.deleted_records,
            counts.versions,
            counts.blobs,
            found.digest
        ))?;
    } else {
        for fault in &found.faults {
            output::line(fault)?;
        }
        output::line(format_args!(
            "{name} is damaged: {}; keep it as it is and restore a backup (`cairn restore BACKUP`), or save what can be read \
             (`cairn doctor {name} --salvage NEW.cairn`)",
            output::counted(found.faults.len() as u64, "fault")
        ))?;
    }
    Ok(if found.faults.is_empty() { Outcome::Done } else { Outcome::Bad })
}
