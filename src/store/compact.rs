//! A file written anew without its free pages.
//!
//! `VACUUM INTO` writes a new file beside, which is verified, compared with the old one and swapped in as a restore is. A plain
//! `VACUUM` would write the whole file into the log first and from there back: three times the space, and no progress to show.
//! The file must be nobody else's: what was written meanwhile would be lost.
//!
//! Invariants
//! C1. The new file holds exactly what the old one held: same digest, same counts.
//! C2. Cut short at any point, the file is the old one or the new one, whole.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::backup::{self, Cancel, Part};
use super::error::{Result, StoreError};
use super::lock::FileLock;
use super::{Archive, BackupStage, Durability, Options, open, restore};

/// How often the size of the new file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

/// Writes the file anew. `progress` is told pages written of pages in all.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::Refused`] when the file is not sound, [`StoreError::Full`], [`StoreError::Cancelled`]. The
/// file is as it was then.
pub fn compact(
    path: &Path,
    cancel: &Cancel,
    progress: &mut (dyn FnMut(BackupStage) + Send),
) -> Result<Compacted> {
    open::check_file(path)?;
    let lock = FileLock::acquire(path)?;
    let (lock, _) = restore::take_over(path, lock)?;
    let before = std::fs::metadata(path)?.len();
    let part = Part::begin(&restore::staged_for(path))?;
    let mut connection =
        open::open_writer(path, &Options { durability: Durability::Full, ..Options::default() })?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let count = |sql: &str| -> Result<i64> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
    let total = count("PRAGMA page_count")? - count("PRAGMA freelist_count")?;
    let page = u64::try_from(count("PRAGMA page_size")?).unwrap_or(4_096);
    connection.pragma_update(None, "synchronous", "OFF")?;
    let stop = cancel.clone();
    connection.progress_handler(10_000, Some(move || stop.is_cancelled()))?;
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        scope.spawn(|| {
            let total = u64::try_from(total).unwrap_or(0);
            let woken = Cancel::default();
            while !done.load(Ordering::Acquire) {
                let bytes = std::fs::metadata(&part.path).map_or(0, |metadata| metadata.len());
                progress(BackupStage::Copying { done: (bytes / page).min(total), total });
                woken.wait(LOOK_EVERY);
            }
        });
        let written = connection.execute("VACUUM INTO ?1", [&part.path.display().to_string()]);
        done.store(true, Ordering::Release);
        written
    });
    match written.map_err(StoreError::from) {
        Err(StoreError::Deadline) => return Err(StoreError::Cancelled),
        other => other?,
    };
    connection.close().map_err(|(_, error)| error)?;
    let old = Archive::open_held(path, None, true)?;
    let found = old.read(|view| view.verify_until(|_| (), &|| cancel.is_cancelled()))?;
    drop(old);
    let new = backup::check_copy(&part.path, found.counts.last_tx, &found.types, cancel, progress)?;
    if new.digest != found.digest || !found.faults.is_empty() {
        return Err(StoreError::Refused(format!(
            "{} is not sound, so it was left as it is; run `cairn verify` on it",
            path.display()
        )));
    }
    part.finish(&restore::staged_for(path), true)?;
    let (_lock, old) = restore::take_over(path, lock)?;
    if let Some(old) = old {
        std::fs::remove_file(old)?;
    }
    Ok(Compacted { before, after: std::fs::metadata(path)?.len() })
}
