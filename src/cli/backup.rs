//! `cairn backup`: a verified copy of the whole file, while a server has it or not.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::interrupt;
use super::offline::{self, FileFlag, explain_open, must_exist};
use super::progress::Progress;
use super::{Outcome, output};
use crate::engine::Error;
use crate::engine::backups::{BackupFolder, BackupStage, Cancel, receipt_of};
use crate::store::{Archive, BackupOrder, StoreError};
use crate::util::clock::Clock;
use crate::util::time;

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// Where to write the backup: a file, or a folder for a dated name in it; FILE-backups beside the file when left out
    dest: Option<PathBuf>,
    #[command(flatten)]
    target: FileFlag,
    /// Replace a file that has this name
    #[arg(long)]
    overwrite: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &BackupArgs) -> Result<Outcome> {
    let path = &args.target.file;
    must_exist(path)?;
    let folder = BackupFolder::of(path, offline::options()?.backups.folder.as_deref());
    // A reader beside the server that may have the file: whoever can read the file needs no credential for this.
    let archive = Archive::open(path).map_err(|error| explain_open(path, Error::Storage(error)))?;
    let clock = Clock::system();
    let now = clock.now_ms();
    let dest = match &args.dest {
        Some(dest) if !dest.is_dir() => dest.clone(),
        within => {
            let own = BackupFolder::of(path, within.as_deref().or(Some(folder.path())));
            let made = || -> std::io::Result<PathBuf> {
                own.prepare()?;
                Ok(own.path().join(own.free_name(now)?))
            };
            made().with_context(|| format!("{} cannot be written to", own.path().display()))?
        }
    };
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let mut progress = Progress::new("backup", None, args.json);
    let made = archive.backup(
        now,
        BackupOrder {
            target: &dest,
            overwrite: args.overwrite,
            cancel: &cancel,
            progress: &mut |stage| show(&mut progress, &stage),
        },
    );
    progress.end();
    let made = made.map_err(|error| explain(&dest, error))?;
    let receipt = receipt_of(name_for(&folder, &dest), now, &made);
    if let Err(fault) = folder.write_receipt(&receipt) {
        // The backup is good without; only `doctor` will not know of it.
        tracing::warn!(%fault, folder = %folder.path().display(), "the receipt could not be written");
    }
    let counts = made.verification.counts;
    if args.json {
        output::json(&json!({
            "backup": dest.display().to_string(), "at": time::format_ms(now), "tx": counts.last_tx,
            "bytes": made.bytes, "sha256": made.sha256, "digest": made.verification.digest,
            "records": counts.records, "deletedRecords": counts.deleted_records,
            "versions": counts.versions, "blobs": counts.blobs,
            "types": made.verification.types.iter().map(|size| json!({
                "typeId": size.type_id, "records": size.records, "deletedRecords": size.deleted_records,
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        output::line(format_args!(
            "wrote and verified {}: tx {}, {} records, {} deleted, {} versions, {} blobs, {}, sha256 {}",
            dest.display(),
            counts.last_tx,
            counts.records,
            counts.deleted_records,
            counts.versions,
            counts.blobs,
            output::bytes(made.bytes),
            made.sha256
        ))?;
    }
    Ok(Outcome::Done)
}

/// Its name in the folder, or the whole path elsewhere.
fn name_for(folder: &BackupFolder, dest: &Path) -> String {
    let name = dest.file_name().map(|name| name.to_string_lossy().into_owned());
    match name.filter(|name| folder.find(name).is_some_and(|there| same(&there, dest))) {
        Some(name) => name,
        None => std::path::absolute(dest).unwrap_or_else(|_| dest.to_owned()).display().to_string(),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Shows how far a copy is.
pub(super) fn show(progress: &mut Progress, stage: &BackupStage) {
    match stage {
        // A terminal shows every step, a log only the stages.
        BackupStage::Copying { done, total } => progress.share(*done, *total),
        BackupStage::Verifying(what) => progress.stage(&format!("verifying {what}")),
    }
}

/// The sentence for a copy that was not made.
pub(super) fn explain(dest: &Path, error: StoreError) -> anyhow::Error {
    let name = dest.display();
    let failed = || -> Result<()> {
        match error {
            StoreError::Cancelled => bail!("interrupted; {name} was not written"),
            StoreError::Refused(reason) => bail!("{reason}"),
            StoreError::InUse { .. } => bail!("{name} is being written by another process"),
            StoreError::Full => bail!("{name} was not written: the disk is full"),
            StoreError::Damaged(reason) => bail!(
                "{name} was not written: the file is damaged ({reason}); `cairn doctor --salvage` saves what can be read"
            ),
            StoreError::Io(fault) => bail!("{name} cannot be written: {fault}"),
            other => bail!("{name} was not written: {other}"),
        }
    };
    failed().err().unwrap_or_else(|| anyhow::anyhow!("{name} was not written"))
}
