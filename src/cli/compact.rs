//! `cairn compact` and `cairn purge`: a file without free pages, and one without a trace of some records.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::json;

use super::offline::{FileArgument, FileFlag, Offline, explain, explain_open, must_exist};
use super::progress::Progress;
use super::{Outcome, backup, interrupt, output};
use crate::engine::Error;
use crate::engine::backups::Cancel;
use crate::store::{Compacted, StoreError, compact};

#[derive(Debug, clap::Args)]
pub(super) struct CompactArgs {
    #[command(flatten)]
    target: FileArgument,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PurgeArgs {
    /// Ids of the records
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    target: FileFlag,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompactArgs) -> Result<Outcome> {
    let path = &args.target.file;
    must_exist(path)?;
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let pruned = {
        let offline = Offline::open(path)?;
        let owner = offline.engine.owner_caller();
        offline.engine.prune_versions(&owner, &cancel).map_err(explain)?
    };
    let done = write_anew(path, &cancel, args.json)?;
    if args.json {
        output::json(&json!({
            "file": path.display().to_string(), "bytesBefore": done.before, "bytesAfter": done.after,
            "versionsPruned": pruned.versions, "pruned": pruned.collections,
        }))?;
        return Ok(Outcome::Done);
    }
    for (collection, versions) in &pruned.collections {
        output::line(format_args!("{collection}: {versions} earlier versions let go by rule"))?;
    }
    output::line(format_args!(
        "{}: {} before, {} now",
        path.display(),
        output::bytes(done.before),
        output::bytes(done.after)
    ))?;
    Ok(Outcome::Done)
}

pub(super) fn purge(args: &PurgeArgs) -> Result<Outcome> {
    let path = &args.target.file;
    must_exist(path)?;
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let (purged, files, backups) = {
        let offline = Offline::open(path)?;
        let (engine, owner) = (&offline.engine, offline.engine.owner_caller());
        let purged = engine.purge_for_privacy(&owner, &args.ids).map_err(explain)?;
        // Files that belonged to these records alone.
        let files =
            offline.wait(engine.collect_garbage(&owner, Some(0), false)).map_err(explain)?;
        (purged, files.deleted.len(), engine.backup_folder().list())
    };
    write_anew(path, &cancel, args.json)?;
    let names: Vec<&str> = backups.iter().map(|entry| entry.name.as_str()).collect();
    if args.json {
        output::json(&json!({
            "file": path.display().to_string(), "purged": purged, "filesRemoved": files,
            "backupsThatMayHoldIt": names,
        }))?;
        return Ok(Outcome::Done);
    }
    output::line(format_args!(
        "purged {} and {} from {}; the file was written anew",
        output::counted(purged, "record"),
        output::counted(files as u64, "file"),
        path.display()
    ))?;
    if !names.is_empty() {
        output::line(format_args!(
            "backups made before may still hold them: {}",
            names.join(", ")
        ))?;
    }
    output::line(
        "copies elsewhere, and blocks of the disk that the old file had, are beyond this program",
    )?;
    Ok(Outcome::Done)
}

fn write_anew(path: &Path, cancel: &Cancel, silent: bool) -> Result<Compacted> {
    let mut progress = Progress::new("compact", None, silent);
    let done = compact(path, cancel, &mut |stage| backup::show(&mut progress, &stage));
    progress.end();
    done.map_err(|error| match error {
        StoreError::Cancelled => anyhow!("interrupted; {} is as it was", path.display()),
        StoreError::Full => anyhow!(
            "{} is as it was: the disk has no room for a second copy of it; free some space first",
            path.display()
        ),
        other => explain_open(path, Error::Storage(other)),
    })
}
