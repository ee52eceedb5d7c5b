//! `cairn verify`: is this file whole?

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use super::offline::{FileArgument, explain_open, must_exist};
use super::progress::Progress;
use super::{Outcome, output};
use crate::engine::Error;
use crate::store::{Options, Store, StoreError};

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
    // The store alone: an engine writes its built-in types at start, and a suspect file should not be written to.
    let store = Store::open(path, &Options::default())
        .map_err(|error| explain_open(path, Error::Storage(error)))?;
    let mut progress = Progress::new("verify", None, args.json);
    let found = store
        .read(|view| view.verify(|stage| progress.stage(stage)))
        .map_err(|error: StoreError| anyhow!(error))
        .with_context(|| format!("{name} cannot be read to its end; restore a backup"))?;
    progress.end();
    store.close();
    let counts = found.counts;
    if args.json {
        output::json(&json!({
            "file": name.to_string(), "sound": found.faults.is_empty(), "faults": found.faults,
            "digest": found.digest, "records": counts.records, "deletedRecords": counts.deleted_records,
            "changes": counts.changes, "blobs": counts.blobs, "lastTx": counts.last_tx,
        }))?;
    } else if found.faults.is_empty() {
        output::line(format_args!(
            "{name} is sound: {} records, {} deleted, {} versions, {} blobs, last tx {}",
            counts.records, counts.deleted_records, counts.versions, counts.blobs, counts.last_tx
        ))?;
        output::line(format_args!("digest {}", found.digest))?;
    } else {
        for fault in &found.faults {
            output::line(fault)?;
        }
        output::line(format_args!(
            "{name} is damaged: {}; keep it as it is and restore a backup to another name",
            output::counted(found.faults.len() as u64, "fault")
        ))?;
    }
    Ok(if found.faults.is_empty() { Outcome::Done } else { Outcome::Bad })
}
