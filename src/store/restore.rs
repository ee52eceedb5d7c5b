//! Another file in the place of a stack file: staged beside it, verified, then swapped in, with the old file kept.
//!
//! A restore has two halves. [`stage`] writes `FILE-restored`, which gets that name only when it is whole, verified and on the
//! disk. From that name on it is decided: whoever opens the file next, under its lock, takes the staged one over
//! ([`take_over`]). A process that dies in either half leaves the old file or the new one; a server that runs takes part by
//! closing the file and opening it again.
//!
//! Swapping the file under an open engine was considered: every reader, cache and subscription would have to notice that the
//! numbers it remembers mean something else. Closing and opening is what they are made for.
//!
//! Invariants
//! V1. Before the staged name exists nothing of the old file was touched; after it the new one will take its place.
//! V2. The old file is never removed: it gets the name `FILE.before-restore-…`, with its log where that could not be merged.
//! V3. No log or journal of the old file is ever beside the new one.
//! V4. Each step can be repeated: a take-over that was cut short is finished by the next one.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backup::{self, BackupStage, Cancel, Label, Part};
use super::error::{Result, StoreError};
use super::lock::FileLock;
use super::maintain::Verification;
use super::open::{self, beside};
use super::{Archive, Durability, Options};
use crate::util::time;

/// Ends the name of a file that waits to be swapped in.
const STAGED: &str = "-restored";
/// Names for old files of one second.
const OLD_NAMES_MAX: u32 = 1_000;

/// A file on its way: verified, not yet decided.
pub struct Staging {
    part: Part,
    pub verification: Verification,
}

impl Staging {
    /// Copies `source`, which may be in use, to where the new file of `target` is prepared, and verifies the copy: also that a
    /// backup still holds what was written into it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the copy is not sound, [`StoreError::Cancelled`], faults of the disk. Nothing is left.
    pub fn copy(
        source: &Archive,
        target: &Path,
        cancel: &Cancel,
        progress: &mut dyn FnMut(BackupStage),
    ) -> Result<Self> {
        let part = Part::begin(target)?;
        let label = source.read(|view| view.meta_text(backup::LABEL))?;
        let (tx, sizes) =
            backup::copy(source.connection(), source.path(), &part.path, cancel, progress)?;
        let verification = backup::check_copy(&part.path, tx, &sizes, cancel, progress)?;
        if let Some(label) = label.and_then(|text| serde_json::from_str::<Label>(&text).ok())
            && (label.digest != verification.digest || label.tx != tx)
        {
            return Err(StoreError::Refused(format!(
                "{} is damaged: it was made with digest {} at tx {}, and holds digest {} at tx {tx}. Restore another backup",
                source.path().display(),
                label.digest,
                label.tx,
                verification.digest
            )));
        }
        backup::unlabel(&open::open_copy(&part.path)?)?;
        Ok(Self { part, verification })
    }

    /// One that [`Staging::change`] has to finish.
    pub(super) fn unverified(part: Part) -> Self {
        Self { part, verification: Verification::default() }
    }

    /// Lets `work` open the copy as a stack file of its own and change it; verifies it again.
    ///
    /// # Errors
    /// Those of `work`, and as [`Staging::copy`].
    pub fn change<E: From<StoreError>>(
        &mut self,
        cancel: &Cancel,
        progress: &mut dyn FnMut(BackupStage),
        work: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.part.unlocked(work)?;
        let archive = Archive::open_held(&self.part.path, None, true)?;
        let (tx, sizes) =
            archive.read(|view| Ok::<_, StoreError>((view.last_tx()?, view.type_sizes()?)))?;
        drop(archive);
        self.verification = backup::check_copy(&self.part.path, tx, &sizes, cancel, progress)?;
        stand_alone(&self.part.path)?;
        Ok(())
    }

    /// Ends every session, handshake and token of the copy, and its signing keys: who holds one signs in again.
    pub fn end_sessions(&self) -> Result<()> {
        open::open_copy(&self.part.path)?.execute_batch(
            "BEGIN;
             DELETE FROM spent_refresh;
             DELETE FROM session;
             DELETE FROM mfa_challenge;
             DELETE FROM nonce;
             DELETE FROM token;
             DELETE FROM signing_key;
             COMMIT;",
        )?;
        Ok(())
    }

    /// Gives the copy the name it was made for, which nothing may have yet.
    pub fn keep(self, target: &Path) -> Result<()> {
        self.part.finish(target, false)
    }

    /// Decides: the copy, made for [`staged_for`] a file, takes its place when that is opened next.
    pub fn decide(self, file: &Path) -> Result<()> {
        self.part.finish(&staged_for(file), true)
    }
}

/// Where the file that will take the place of `file` is prepared.
#[must_use]
pub fn staged_for(file: &Path) -> PathBuf {
    beside(file, STAGED)
}

/// Whether a restore of `file` is decided and not done yet.
#[must_use]
pub fn restore_waits(file: &Path) -> bool {
    staged_for(file).exists()
}

/// Does a restore that is decided; gives the name that the old file has now, if there was one.
///
/// # Errors
/// [`StoreError::InUse`] while a process has the file.
pub fn finish_restore(file: &Path) -> Result<Option<PathBuf>> {
    let lock = FileLock::acquire(file)?;
    let (_lock, old) = take_over(file, lock)?;
    Ok(old)
}

/// Under the lock of the file that is there: swaps a staged file in. Gives the lock of the file that is there then.
pub(super) fn take_over(path: &Path, lock: FileLock) -> Result<(FileLock, Option<PathBuf>)> {
    let staged = staged_for(path);
    if !staged.exists() {
        return Ok((lock, None));
    }
    open::check_file(&staged)?;
    let has_bytes = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.len() > 0);
    let mut old = None;
    if has_bytes(path) {
        let log = beside(path, "-wal");
        if has_bytes(&log) || has_bytes(&beside(path, "-journal")) {
            merge_log(path);
        }
        let name = old_name(path, &staged)?;
        keep_as(path, &name)?;
        if has_bytes(&log) {
            keep_as(&log, &beside(&name, "-wal"))?;
        }
        backup::sync_folder_of(path)?;
        old = Some(name);
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(fault.into()),
            _ => {}
        }
    }
    backup::sync_folder_of(path)?;
    std::fs::rename(&staged, path)?;
    backup::sync_folder_of(path)?;
    // Where the lock is on the file itself, it was on the old one.
    let lock = if lock.is_beside() { lock } else { FileLock::acquire(path)? };
    Ok((lock, old))
}

/// Copies the old file's log back into it. When that cannot be done, because the file is damaged, its log is kept beside it.
fn merge_log(path: &Path) {
    let options = Options { durability: Durability::Full, ..Options::default() };
    let merged = open::open_writer(path, &options).and_then(|connection: Connection| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error.into())
    });
    if let Err(error) = merged {
        tracing::warn!(%error, "the log of the old file could not be merged; it is kept beside it");
    }
}

/// The name of the old file: the same one when this is tried again.
fn old_name(path: &Path, staged: &Path) -> Result<PathBuf> {
    let decided = staged.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH);
    let ms = i64::try_from(decided.unwrap_or_default().as_millis()).unwrap_or(0);
    let stamp: String =
        time::format_ms(ms).chars().filter(|c| !"-:".contains(*c)).take(15).collect();
    for number in 1..=OLD_NAMES_MAX {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        let name = beside(path, &format!(".before-restore-{stamp}Z{again}"));
        if !name.exists() || is_same(path, &name) {
            return Ok(name);
        }
    }
    Err(StoreError::Refused(format!("there are too many old files beside {}", path.display())))
}

/// Gives a file a second name, or another one where a file system knows no second names.
fn keep_as(path: &Path, name: &Path) -> Result<()> {
    if is_same(path, name) {
        return Ok(());
    }
    if std::fs::hard_link(path, name).is_err() {
        std::fs::rename(path, name)?;
    }
    Ok(())
}

#[cfg(unix)]
fn is_same(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same(_a: &Path, _b: &Path) -> bool {
    false
}

/// Takes a closed file out of log mode, so that its bytes are all there is of it.
pub(super) fn stand_alone(path: &Path) -> Result<()> {
    open::open_copy(path)?.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Store;

    /// A file whose mark says which one it is; what is in its log only when `logged`.
    fn file(path: &Path, mark: &'static str) -> Store {
        let store = Store::open(path, &Options::default()).unwrap();
        store.write_blocking(move |unit| unit.set_meta_text("mark", mark)).unwrap();
        store
    }

    fn mark(path: &Path) -> String {
        let store = Store::open(path, &Options::default()).unwrap();
        store.read(|view| view.meta_text("mark")).unwrap().unwrap()
    }

    fn stage(backup: &Path, target: &Path) -> Result<()> {
        let source = Archive::open(backup)?;
        let cancel = Cancel::default();
        Staging::copy(&source, &staged_for(target), &cancel, &mut |_| ())?.decide(target)
    }

    fn old_ones(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains(".before-restore-"))
            .collect();
        names.sort();
        names
    }

    /// S69: the next one to open the file finds the restored one; the old one is kept, with what was only in its log.
    #[test]
    fn s69_a_decided_restore_is_done_by_the_next_open() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, path) = (folder.path().join("b.cairn"), folder.path().join("a.cairn"));
        drop(file(&backup, "new"));
        let live = file(&path, "old");
        stage(&backup, &path).unwrap();
        assert!(restore_waits(&path));
        assert!(matches!(finish_restore(&path), Err(StoreError::InUse { .. })));
        assert_eq!(live.read(|view| view.meta_text("mark")).unwrap().as_deref(), Some("old"));
        // Killed here: the machine has the file, its log and the staged one.
        let elsewhere = tempfile::tempdir().unwrap();
        let found = elsewhere.path().join("a.cairn");
        for suffix in ["", "-wal", STAGED] {
            fs::copy(beside(&path, suffix), beside(&found, suffix)).unwrap();
        }
        drop(live);
        for (path, folder) in [(&path, folder.path()), (&found, elsewhere.path())] {
            assert_eq!(mark(path), "new");
            assert!(!restore_waits(path));
            let old = old_ones(folder);
            assert_eq!(old.len(), 1, "{old:?}");
            assert_eq!(mark(&old[0]), "old");
            assert_eq!(mark(path), "new");
        }
    }

    /// Cut short after any step, the take-over is finished by the next one, with one old file and no foreign log.
    #[test]
    fn a_take_over_that_was_cut_short_is_finished() {
        for steps_done in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let (backup, path) = (folder.path().join("b.cairn"), folder.path().join("a.cairn"));
            drop(file(&backup, "new"));
            drop(file(&path, "old"));
            stage(&backup, &path).unwrap();
            let staged = staged_for(&path);
            let name = old_name(&path, &staged).unwrap();
            if steps_done == 3 {
                // A file system without links, and the end of the process between the two renames.
                fs::rename(&path, &name).unwrap();
            } else if steps_done >= 1 {
                keep_as(&path, &name).unwrap();
            }
            if steps_done == 2 {
                fs::rename(&staged, &path).unwrap();
            }
            assert_eq!(mark(&path), "new", "{steps_done}");
            let old = old_ones(folder.path());
            assert_eq!(old.len(), 1, "{steps_done} {old:?}");
            assert_eq!(mark(&old[0]), "old");
        }
    }

    /// A damaged old file keeps its log, and the log never touches the new file.
    #[test]
    fn the_log_of_a_damaged_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, path) = (folder.path().join("b.cairn"), folder.path().join("a.cairn"));
        drop(file(&backup, "new"));
        drop(file(&path, "old"));
        fs::write(&path, vec![3; 8_192]).unwrap();
        fs::write(beside(&path, "-wal"), vec![4; 4_096]).unwrap();
        stage(&backup, &path).unwrap();
        let old = finish_restore(&path).unwrap().unwrap();
        assert_eq!(fs::read(&old).unwrap(), vec![3; 8_192]);
        assert_eq!(fs::read(beside(&old, "-wal")).unwrap(), vec![4; 4_096]);
        assert_eq!(mark(&path), "new");
    }

    /// A damaged backup is refused before anything is decided, and the file and its folder are as they were.
    #[test]
    fn a_damaged_backup_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, path) = (folder.path().join("b.cairn"), folder.path().join("a.cairn"));
        let bytes = b"bytes of a blob that will be another one".to_vec();
        let store = file(&backup, "new");
        let hash = crate::crypto::hex(&crate::crypto::sha256(&bytes));
        let stored = bytes.clone();
        store.write_blocking(move |unit| unit.put_blob(&hash, &stored)).unwrap();
        drop(store);
        drop(file(&path, "old"));
        let mut damaged = fs::read(&backup).unwrap();
        let at = damaged.windows(bytes.len()).position(|w| w == bytes).unwrap();
        damaged[at] ^= 1;
        fs::write(&backup, damaged).unwrap();
        let before = fs::read(&path).unwrap();
        let why = stage(&backup, &path).unwrap_err().to_string();
        assert!(why.contains("not sound"), "{why}");
        assert_eq!(fs::read(&path).unwrap(), before);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.cairn", "b.cairn"]);
    }
}
