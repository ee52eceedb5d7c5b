//! `cairn doctor`: what is in a file, and what deserves a look.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};

use super::offline::{self, FileArgument, Offline, explain};
use super::progress::Progress;
use super::{Outcome, backup, interrupt, output};
use crate::engine::TokenRow;
use crate::engine::backups::{Cancel, salvage};
use crate::store::FORMAT;
use crate::util::json as reader;
use crate::util::time;

const DAY_MS: i64 = 86_400_000;
/// A backup older than this deserves a look.
const BACKUP_DAYS_MAX: i64 = 7;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    target: FileArgument,
    /// Save everything that can still be read of a damaged file into a new one, and say what was lost
    #[arg(long, value_name = "NEW")]
    salvage: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Outcome> {
    let path = &args.target.file;
    super::offline::must_exist(path)?;
    if let Some(target) = &args.salvage {
        return save(path, target, args.json);
    }
    // Looked at before opening mends them.
    let (mode, wal_bytes) = (mode(path), wal_bytes(path));
    let offline = Offline::open(path)?;
    let (engine, owner) = (&offline.engine, offline.engine.owner_caller());
    let counts = engine.counts().map_err(explain)?;
    let (mut public, mut orphans) = (0_u64, 0_u64);
    engine
        .export_each(&mut |exported| {
            let permissions = exported.record.permissions.as_deref().unwrap_or("[]");
            public += u64::from(exported.record.deleted_at.is_none() && is_public(permissions));
            Ok(())
        })
        .map_err(explain)?;
    let garbage = offline.wait(engine.collect_garbage(&owner, Some(0), true)).map_err(explain)?;
    orphans += garbage.deleted.len() as u64;
    let now = engine.clock().now_ms();
    let last_backup = engine.last_backup(&owner).map_err(explain)?;
    let unsound = engine.backup_folder().list().into_iter().filter_map(|entry| entry.receipt);
    let unsound: Vec<String> =
        unsound.filter(|receipt| !receipt.sound).map(|receipt| receipt.name).collect();
    let pruned = engine.last_pruned().map_err(explain)?;
    let tokens = engine.tokens(&owner).map_err(explain)?;
    let count = |wanted: fn(&TokenRow, i64) -> bool| {
        tokens.iter().filter(|row| wanted(row, now)).count() as u64
    };
    let expired = count(|row, now| row.expires_at.is_some_and(|at| at <= now));
    let endless = count(|row, _| row.expires_at.is_none());

    let mut advice = Vec::new();
    if let Some(mode) = mode.filter(|mode| mode & 0o077 != 0) {
        advice.push(format!("the file had mode {mode:o}, readable by others; it is 600 now"));
    }
    if wal_bytes > 0 {
        advice.push(format!(
            "{} of log lay beside the file: its last process was killed; the log is merged now",
            output::bytes(wal_bytes)
        ));
    }
    if public > 0 {
        advice.push(format!("{} may be read by everybody", output::counted(public, "record")));
    }
    if orphans > 0 {
        advice.push(format!(
            "{} ({}) belong to no record; POST /attachments/gc removes them",
            output::counted(orphans, "stored file"),
            output::bytes(garbage.reclaimed_bytes)
        ));
    }
    if endless > 0 {
        advice.push(format!("{} without an end", output::counted(endless, "token")));
    }
    if expired > 0 {
        advice.push(format!("{} expired; they open nothing", output::counted(expired, "token")));
    }
    match &last_backup {
        None => advice.push(format!(
            "there is no backup; `cairn backup --file {}` makes one, the setting backup_every makes them by itself",
            path.display()
        )),
        Some(last) => {
            let age_days = now.saturating_sub(last.at) / DAY_MS;
            if age_days >= BACKUP_DAYS_MAX {
                advice.push(format!("the last backup is {age_days} days old: {}", last.name));
            }
            if counts.last_tx < last.tx {
                advice.push(format!(
                    "the last backup holds more than the file (tx {} and {}): this is an older state",
                    last.tx, counts.last_tx
                ));
            }
        }
    }
    for name in &unsound {
        advice.push(format!("the backup {name} is damaged; remove it and look at its disk"));
    }
    if let Some(pruned) = pruned.as_ref().filter(|pruned| pruned.versions > 0) {
        advice.push(format!(
            "{} were let go by rule at {}",
            output::counted(u64::try_from(pruned.versions).unwrap_or(0), "earlier version"),
            time::format_ms(pruned.at)
        ));
    }
    let free = u64::try_from(counts.free_bytes).unwrap_or(0);
    let all = u64::try_from(counts.file_bytes).unwrap_or(0);
    if free > 64 << 20 && free > all / 2 {
        advice.push(format!(
            "{} of the file are free pages; new data will use them, `cairn compact` gives them back",
            output::bytes(free)
        ));
    }
    if args.json {
        output::json(&json!({
            "file": path.display().to_string(), "format": FORMAT, "owner": engine.owner(), "types": counts.types,
            "records": counts.records, "deletedRecords": counts.deleted_records, "versions": counts.versions,
            "changes": counts.changes, "associations": counts.associations, "blobs": counts.blobs,
            "blobBytes": counts.blob_bytes, "tokens": counts.tokens, "tokensExpired": expired,
            "tokensWithoutEnd": endless, "publicRecords": public, "orphanBlobs": orphans, "lastTx": counts.last_tx,
            "fileBytes": counts.file_bytes, "freeBytes": counts.free_bytes, "walBytes": wal_bytes,
            "lastBackup": last_backup.as_ref().map(|last| json!({
                "name": last.name, "at": time::format_ms(last.at), "tx": last.tx,
                "verifiedAt": time::format_ms(last.verified_at),
            })),
            "damagedBackups": unsound,
            "lastPruned": pruned.as_ref().map(|pruned| json!({
                "at": time::format_ms(pruned.at), "versions": pruned.versions, "collections": pruned.collections,
            })),
            "mode": mode.map(|mode| format!("{mode:o}")), "advice": advice,
        }))?;
        return Ok(Outcome::Done);
    }
    let size = |count: i64| output::bytes(u64::try_from(count).unwrap_or(0));
    output::line(format_args!("{}: format {FORMAT}, owner {}", path.display(), engine.owner()))?;
    output::line(format_args!(
        "{} records, {} deleted, {} earlier versions, {} types, {} associations",
        counts.records, counts.deleted_records, counts.versions, counts.types, counts.associations
    ))?;
    output::line(format_args!(
        "{} blobs, {}; {} tokens",
        counts.blobs,
        size(counts.blob_bytes),
        counts.tokens
    ))?;
    output::line(format_args!(
        "{} on disk, {} of it free; last tx {}",
        size(counts.file_bytes),
        size(counts.free_bytes),
        counts.last_tx
    ))?;
    if let Some(last) = &last_backup {
        output::line(format_args!(
            "last verified backup: {} of {}, tx {}",
            last.name,
            time::format_ms(last.at),
            last.tx
        ))?;
    }
    for line in &advice {
        output::line(format_args!("- {line}"))?;
    }
    if advice.is_empty() {
        output::line("nothing deserves a look")?;
    }
    Ok(Outcome::Done)
}

/// Writes what can be read into a new file. The exit code is 1 when something was lost.
fn save(path: &Path, target: &Path, json: bool) -> Result<Outcome> {
    if target.exists() {
        bail!("{} exists already; choose another name", target.display());
    }
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let mut progress = Progress::new("salvage", None, json);
    let done = salvage(path, target, &offline::options()?, &cancel, &mut |stage| {
        backup::show(&mut progress, &stage);
    });
    progress.end();
    let saved = done.map_err(|error| {
        anyhow!("{} was not written: {}", target.display(), offline::reason(&error))
    })?;
    let nothing_lost = saved.pages_damaged == 0
        && saved.blobs_lost.is_empty()
        && saved.types_lost == 0
        && saved.tables_lost.is_empty();
    if json {
        output::json(&json!({
            "file": path.display().to_string(), "salvaged": target.display().to_string(), "pages": saved.pages,
            "pagesDamaged": saved.pages_damaged, "records": saved.records, "versions": saved.versions,
            "blobs": saved.blobs, "blobsLost": saved.blobs_lost, "typesLost": saved.types_lost,
            "tablesLost": saved.tables_lost,
        }))?;
    } else {
        output::line(format_args!(
            "saved into {}: {} records, {} earlier versions, {} blobs, of {} pages",
            target.display(),
            saved.records,
            saved.versions,
            saved.blobs,
            saved.pages
        ))?;
        if saved.pages_damaged > 0 {
            output::line(format_args!(
                "{} could not be read; what was on them is lost",
                output::counted(saved.pages_damaged, "page")
            ))?;
        }
        for hash in &saved.blobs_lost {
            output::line(format_args!("lost: the bytes of file {hash}"))?;
        }
        if saved.types_lost > 0 {
            output::line(format_args!(
                "the description of {} is lost; their records are of types called salvaged.…",
                output::counted(u64::try_from(saved.types_lost).unwrap_or(0), "type")
            ))?;
        }
        for table in &saved.tables_lost {
            output::line(format_args!("lost, wholly or in part: {}", lost_table(table)))?;
        }
        if nothing_lost {
            output::line(
                "nothing was lost that this can see; compare with the newest backup all the same",
            )?;
        }
    }
    Ok(if nothing_lost { Outcome::Done } else { Outcome::Bad })
}

fn lost_table(table: &str) -> &'static str {
    match table {
        "meta" => "settings of the file, the owner's key among them",
        "account" => "passwords and second factors; accounts need new ones",
        "recovery_code" => "recovery codes",
        _ => "tokens; issue new ones",
    }
}

/// Whether a list of permissions in wire form lets everybody read.
fn is_public(permissions: &str) -> bool {
    let Ok(Value::Array(entries)) = reader::parse(permissions.as_bytes()) else { return false };
    entries.iter().any(|entry| entry.get("access") == Some(&json!("public")))
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(path.metadata().ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> Option<u32> {
    None
}

fn wal_bytes(path: &Path) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    Path::new(&name).metadata().map_or(0, |metadata| metadata.len())
}
