//! Copies of a whole file, taken while writing goes on, and trusted only once they were verified.
//!
//! How: SQLite's backup interface, a mebibyte at a time, on a reader's connection that holds one snapshot from the first page
//! to the last. What was considered instead, and why not:
//!
//! - The same without a snapshot of its own: every commit of another connection starts the copy again, so that a busy file is
//!   never done.
//! - Stepping on the writer's connection, which SQLite keeps up to date by itself: nothing has to be held, but each step is
//!   time in which no commit happens, and a slow target disk would be felt by everybody who writes.
//! - `VACUUM INTO`: a snapshot as well, but it rewrites every table and index, at several times the processor time; it is what
//!   `compact` does, where that is the point.
//!
//! So a backup costs writers nothing but the disk they share. What it does cost is the log, which cannot start again from its
//! beginning while the snapshot is held: it grows by what is written meanwhile. Therefore the copy rests after each step only
//! while the log is small, goes on without rest once it is larger than the checkpointer's bound, and gives up at
//! [`LOG_BYTES_MAX`] or the size of the file itself. The snapshot also means that nothing restarts, and that the copy holds
//! exactly the units up to the `tx` that was the newest when it began.
//!
//! Invariants
//! K1. A target appears under its name only when it is whole, verified and on the disk; a copy that fails leaves nothing. One that
//!     is killed leaves `.part`, which the next copy to that name takes away.
//! K2. What is verified is what was copied: counts per type and `tx` are taken from the source's snapshot and compared.
//! K3. A target is private (0600) from its first byte, and is not replaced unless that was asked for.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use serde::{Deserialize, Serialize};

use super::checkpoint::WAL_BYTES_SOFT;
use super::error::{Result, StoreError};
use super::lock::FileLock;
use super::maintain::{TypeSize, Verification};
use super::open::{self, beside};
use super::{Archive, Store};
use crate::crypto;

/// Pages copied in one step: a mebibyte.
const STEP_PAGES: i32 = 256;
/// The longest rest after a step.
const REST_MAX: Duration = Duration::from_millis(50);
/// A log larger than this, and larger than the file, ends a backup.
pub(crate) const LOG_BYTES_MAX: u64 = 1 << 30;
/// Key of table `meta` under which a copy says what it is.
pub(super) const LABEL: &str = "backup";
/// Added to a target's name until it is verified.
const PART: &str = ".part";
const READ_BYTES: usize = 256 * 1024;

/// Ends a long piece of work from another thread. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<(Mutex<bool>, Condvar)>);

impl Cancel {
    pub fn cancel(&self) {
        *self.0.0.lock().expect("no holder of this lock panics") = true;
        self.0.1.notify_all();
    }

    pub fn is_cancelled(&self) -> bool {
        *self.0.0.lock().expect("no holder of this lock panics")
    }

    /// Waits, unless cancelled meanwhile or before. True when cancelled.
    pub fn wait(&self, at_most: Duration) -> bool {
        let cancelled = self.0.0.lock().expect("no holder of this lock panics");
        let (cancelled, _) = self
            .0
            .1
            .wait_timeout_while(cancelled, at_most, |cancelled| !*cancelled)
            .expect("no holder of this lock panics");
        *cancelled
    }

    fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    }
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupStage {
    /// Pages copied, and pages in all.
    Copying { done: u64, total: u64 },
    /// What is being looked at.
    Verifying(String),
}

/// How a copy is made.
pub struct BackupOrder<'a> {
    pub target: &'a Path,
    /// Whether a file that has the target's name is replaced.
    pub overwrite: bool,
    pub cancel: &'a Cancel,
    pub progress: &'a mut dyn FnMut(BackupStage),
}

/// A copy that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    pub bytes: u64,
    /// Of the whole file, in hex.
    pub sha256: String,
    pub verification: Verification,
}

/// What a copy says about itself, beside everything it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    /// Milliseconds.
    pub(super) at: i64,
    pub(super) tx: i64,
    /// As [`Verification::digest`]: damage that SQLite itself would not see shows as another digest.
    pub(super) digest: String,
}

impl Store {
    /// Copies the file as it is now, while writing goes on, verifies the copy and gives it its name. Runs on the calling thread.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with a sentence when there is a file of that name, when the copy is not sound, or when the log
    /// grew too large meanwhile; [`StoreError::Cancelled`]; faults of the disk. None leaves anything behind.
    pub fn backup(&self, order: BackupOrder<'_>) -> Result<BackupFile> {
        let shared = &self.inner.shared;
        // A connection of its own: it is busy for long.
        let source = shared.open_reader()?;
        let made = take(&source, &shared.path, shared.clock.now_ms(), order);
        shared.halt.close(source);
        made
    }
}

impl Archive {
    /// As [`Store::backup`], of a file that is only looked at. `now_ms` is the time that the copy will say.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup(&self, now_ms: i64, order: BackupOrder<'_>) -> Result<BackupFile> {
        take(self.connection(), self.path(), now_ms, order)
    }

    /// Checks everything that can be checked, and when this is a backup also that it still is what was written.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn verify(&self, progress: impl FnMut(&str)) -> Result<Verification> {
        self.verify_until(&Cancel::default(), progress)
    }

    /// As [`Archive::verify`]; ends with [`StoreError::Cancelled`] when cancelled.
    ///
    /// # Errors
    /// As [`Archive::verify`].
    pub fn verify_until(
        &self,
        cancel: &Cancel,
        progress: impl FnMut(&str),
    ) -> Result<Verification> {
        self.read(|view| {
            let mut found = view.verify_until(progress, &|| cancel.is_cancelled())?;
            let label = view.meta_text(LABEL).unwrap_or_default();
            if let Some(label) = label.and_then(|text| serde_json::from_str::<Label>(&text).ok())
                && (label.digest != found.digest || label.tx != found.counts.last_tx)
            {
                found.fault(format!(
                    "content: this backup was made with digest {} at tx {}; it holds digest {} at tx {}",
                    label.digest, label.tx, found.digest, found.counts.last_tx
                ));
            }
            Ok(found)
        })
    }

    /// When the file was made as a backup, in milliseconds; `None` for any other file.
    pub fn backup_at(&self) -> Result<Option<i64>> {
        let label = self.read(|view| view.meta_text(LABEL))?;
        Ok(label.and_then(|text| serde_json::from_str::<Label>(&text).ok()).map(|label| label.at))
    }
}

fn take(
    source: &Connection,
    path: &Path,
    now_ms: i64,
    order: BackupOrder<'_>,
) -> Result<BackupFile> {
    let BackupOrder { target, overwrite, cancel, progress } = order;
    if !overwrite && target.exists() {
        return Err(taken(target));
    }
    let part = Part::begin(target)?;
    let (tx, sizes) = copy(source, path, &part.path, cancel, progress)?;
    let verification = check_copy(&part.path, tx, &sizes, cancel, progress)?;
    label(&part.path, &Label { at: now_ms, tx, digest: verification.digest.clone() })?;
    cancel.check()?;
    let (sha256, bytes) = sha256_of(&part.path)?;
    part.finish(target, overwrite)?;
    Ok(BackupFile { bytes, sha256, verification })
}

/// Copies one snapshot; gives the newest unit and the records by type that it holds.
pub(super) fn copy(
    source: &Connection,
    path: &Path,
    target: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<(i64, Vec<TypeSize>)> {
    source.execute_batch("BEGIN")?;
    let copied = (|| -> Result<_> {
        // The first read fixes the snapshot.
        let tx = super::change::last_tx(source)?;
        let sizes = super::maintain::type_sizes(source)?;
        let mut copy = open::open_copy(target)?;
        // Nobody else sees it yet, and it is flushed as a whole at the end.
        copy.pragma_update(None, "journal_mode", "OFF")?;
        copy.pragma_update(None, "synchronous", "OFF")?;
        steps(&Backup::new(source, &mut copy)?, path, cancel, progress)?;
        // The copy is a file that stands alone, without a log of its own.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        Ok((tx, sizes))
    })();
    let ended = source.execute_batch("COMMIT");
    let copied = copied?;
    ended?;
    Ok(copied)
}

fn steps(
    backup: &Backup<'_, '_>,
    path: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<()> {
    loop {
        let begun = Instant::now();
        let state = backup.step(STEP_PAGES)?;
        let at = backup.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or(0);
        let total = pages(at.pagecount);
        progress(BackupStage::Copying { done: total - pages(at.remaining).min(total), total });
        match state {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => {
                return Err(StoreError::Refused(
                    "the file is locked by another program; try again when it is done".into(),
                ));
            }
        }
        let log = open::wal_bytes(path);
        if log > LOG_BYTES_MAX && log > total.saturating_mul(4_096) {
            return Err(StoreError::Refused(
                "more was written during the backup than it could keep up with; try again at a quieter time, or to a faster \
                 disk"
                    .into(),
            ));
        }
        // Half of the disk for those who write, as long as there is time.
        let rest =
            if log > WAL_BYTES_SOFT { Duration::ZERO } else { begun.elapsed().min(REST_MAX) };
        if cancel.wait(rest) {
            return Err(StoreError::Cancelled);
        }
    }
}

/// Verifies a finished copy, which must hold this unit and these records.
pub(super) fn check_copy(
    path: &Path,
    tx: i64,
    sizes: &[TypeSize],
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<Verification> {
    let archive = Archive::open_held(path, None, true)?;
    let found = archive.read(|view| {
        view.verify_until(|stage| progress(BackupStage::Verifying(stage.to_owned())), &|| {
            cancel.is_cancelled()
        })
    })?;
    let fault = match found.faults.first() {
        Some(fault) => Some(fault.clone()),
        None if found.counts.last_tx != tx || found.types != sizes => {
            Some("it does not hold what was copied".to_owned())
        }
        None => None,
    };
    match fault {
        None => Ok(found),
        Some(fault) => Err(StoreError::Refused(format!(
            "the copy is not sound ({fault}), so it was not kept; run `cairn verify` on the file it was taken of"
        ))),
    }
}

/// Writes into a finished copy what it is.
fn label(path: &Path, label: &Label) -> Result<()> {
    let text = serde_json::to_string(label).map_err(|e| StoreError::Refused(e.to_string()))?;
    let copy = open::open_copy(path)?;
    copy.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (LABEL, text))?;
    Ok(())
}

/// Takes the label from a file that is to be written to: it stops being a backup.
pub(super) fn unlabel(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM meta WHERE key = ?1", [LABEL])?;
    Ok(())
}

/// The SHA-256 of a file in hex, and its bytes.
///
/// # Errors
/// Those of reading it.
pub fn sha256_of(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hash = crypto::Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let got = file.read(&mut buffer)?;
        if got == 0 {
            return Ok((crypto::hex(&hash.finish()), bytes));
        }
        hash.update(&buffer[..got]);
        bytes += got as u64;
    }
}

/// Takes away what a killed process left half-written; what another one is writing right now stays.
pub fn remove_abandoned(part: &Path) {
    if let Ok(Some(_lock)) = FileLock::share(part) {
        let _ = std::fs::remove_file(part);
    }
}

fn taken(target: &Path) -> StoreError {
    StoreError::Refused(format!("{} exists already; choose another name", target.display()))
}

/// A target that is not finished; dropping it takes it away.
pub(super) struct Part {
    pub(super) path: PathBuf,
    // Whoever makes the same target at the same time is refused. Only `unlocked` takes it.
    lock: Option<FileLock>,
    finished: bool,
}

impl Part {
    /// An empty, private file beside the target; one that a killed process left there is taken over.
    pub(super) fn begin(target: &Path) -> Result<Self> {
        let path = beside(target, PART);
        let lock = FileLock::acquire(&path)?;
        let part = Self { path, lock: Some(lock), finished: false };
        part.remove_beside();
        let file = File::options().write(true).open(&part.path)?;
        file.set_len(0)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(part)
    }

    fn remove_beside(&self) {
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(beside(&self.path, suffix));
        }
    }

    /// Lets somebody open it as a stack file.
    pub(super) fn unlocked<E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock = None;
        let worked = work(&self.path);
        self.lock = Some(FileLock::acquire(&self.path)?);
        worked
    }

    /// Flushes it and gives it its name.
    pub(super) fn finish(mut self, target: &Path, overwrite: bool) -> Result<()> {
        File::options().write(true).open(&self.path)?.sync_all()?;
        if overwrite {
            std::fs::rename(&self.path, target)?;
        } else {
            // A link is refused when there is such a name, also one that came a moment ago.
            match std::fs::hard_link(&self.path, target) {
                Ok(()) => std::fs::remove_file(&self.path)?,
                Err(fault) if fault.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(taken(target));
                }
                // A file system without links.
                Err(_) if target.exists() => return Err(taken(target)),
                Err(_) => std::fs::rename(&self.path, target)?,
            }
        }
        self.finished = true;
        sync_folder_of(target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
        self.remove_beside();
    }
}

/// Makes a name in a folder survive a power cut.
pub(super) fn sync_folder_of(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{Actor, Op, Options, RecordRow, Unit};

    fn add(unit: &mut Unit<'_>, rid: i64) -> Result<()> {
        let type_id = unit.types().get("a@1").map_or(1, |info| info.row_id);
        let row = RecordRow {
            rid,
            type_id,
            version: 1,
            tx: unit.tx(),
            created_at: unit.at(),
            updated_at: unit.at(),
            deleted_at: None,
            subject: None,
            principal: None,
            app: None,
            parent: None,
            alias: None,
            permissions: None,
            associations: None,
            content: format!("{{\"n\":\"number {rid} of the backup\"}}"),
        };
        unit.insert_record(&row)?;
        unit.append_change(rid, 1, Op::Create, Actor::default(), None)
    }

    struct Stand {
        folder: tempfile::TempDir,
        store: Store,
    }

    /// A store with a type, a hundred records and a blob of three pieces.
    fn stand() -> Stand {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.cairn"), &Options::default()).unwrap();
        store
            .write_blocking(|unit| {
                unit.connection.execute_batch(
                    "INSERT INTO collection (id, name) VALUES (1, 'a');
                     INSERT INTO type (id, collection, version, name, schema, schema_hash, created_at)
                     VALUES (1, 1, 1, 'A', '{}', '', 0);",
                )?;
                Ok::<_, StoreError>(())
            })
            .unwrap();
        for rid in 1..=100 {
            store.write_blocking(move |unit| add(unit, rid)).unwrap();
        }
        let bytes: Vec<u8> =
            (0..600_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let hash = crypto::hex(&crypto::sha256(&bytes));
        store.write_blocking(move |unit| unit.put_blob(&hash, &bytes)).unwrap();
        Stand { folder, store }
    }

    impl Stand {
        fn backup(&self, name: &str, progress: &mut dyn FnMut(BackupStage)) -> Result<BackupFile> {
            let cancel = Cancel::default();
            self.backup_with(name, false, &cancel, progress)
        }

        fn backup_with(
            &self,
            name: &str,
            overwrite: bool,
            cancel: &Cancel,
            progress: &mut dyn FnMut(BackupStage),
        ) -> Result<BackupFile> {
            let target = self.folder.path().join(name);
            self.store.backup(BackupOrder { target: &target, overwrite, cancel, progress })
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| !name.starts_with("a.cairn"))
                .collect();
            names.sort();
            names
        }
    }

    /// S69: writes that come in the middle are not in it and do not disturb it; it is the state at its tx, alone and private.
    #[test]
    fn s69_a_backup_is_one_moment() {
        let stand = stand();
        let before = stand.store.read(|view| view.verify(|_| ())).unwrap();
        let mut rid = 100;
        let made = stand
            .backup("b.cairn", &mut |stage| {
                if matches!(stage, BackupStage::Copying { .. }) {
                    rid += 1;
                    stand.store.write_blocking(move |unit| add(unit, rid)).unwrap();
                }
            })
            .unwrap();
        assert!(rid > 100, "something was written meanwhile");
        assert_eq!(made.verification.digest, before.digest);
        assert_eq!(
            (made.verification.counts.last_tx, made.verification.counts.records),
            (100, 100)
        );
        assert_eq!(made.verification.counts.blobs, 1);
        assert_eq!(made.verification.types[0].records, 100);
        assert_eq!(stand.names(), ["b.cairn"]);
        let path = stand.folder.path().join("b.cairn");
        let bytes = fs::read(&path).unwrap();
        assert_eq!(crypto::hex(&crypto::sha256(&bytes)), made.sha256);
        assert_eq!(
            (bytes[18], bytes.len() as u64),
            (1, made.bytes),
            "no log mode: it stands alone"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.verify(|_| ()).unwrap().faults, Vec::<String>::new());
        assert!(archive.backup_at().unwrap().is_some());
        drop(archive);
        assert_eq!(fs::read(&path).unwrap(), bytes, "verifying changes nothing");
        // As a file that is worked with it is no backup any more.
        let store = Store::open(&path, &Options::default()).unwrap();
        store.write_blocking(|unit| add(unit, 1_000)).unwrap();
        store.close();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.backup_at().unwrap(), None);
        assert!(archive.verify(|_| ()).unwrap().faults.is_empty());
    }

    /// Any byte of a record or of a file that is another one than was written is found, also where SQLite sees nothing wrong.
    #[test]
    fn a_flipped_byte_is_found() {
        let stand = stand();
        stand.backup("b.cairn", &mut |_| ()).unwrap();
        let path = stand.folder.path().join("b.cairn");
        let whole = fs::read(&path).unwrap();
        let blob: Vec<u8> =
            (0..600_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        for (what, wanted) in
            [(&b"number 50 of the backup"[..], "content:"), (&blob[300_000..300_064], "blob")]
        {
            let mut bytes = whole.clone();
            // Pages keep bytes of rows that moved away, so every place where they stand is changed.
            for at in 0..bytes.len() - what.len() {
                if bytes[at..].starts_with(what) {
                    bytes[at + 9] ^= 1;
                }
            }
            fs::write(&path, bytes).unwrap();
            let found = Archive::open(&path).unwrap().verify(|_| ()).unwrap();
            let faults = &found.faults;
            assert!(faults.iter().any(|fault| fault.starts_with(wanted)), "{wanted} {faults:?}");
        }
    }

    /// A source with a blob that lost a piece, or with a blob row left out, gives no backup, and leaves nothing.
    #[test]
    fn what_is_not_sound_is_not_kept() {
        for damage in [
            "DELETE FROM blob_chunk WHERE id % 1048576 = 1",
            "DELETE FROM blob",
            "UPDATE blob_chunk SET bytes = zeroblob(length(bytes)) WHERE id % 1048576 = 2",
        ] {
            let stand = stand();
            stand
                .store
                .write_blocking(move |unit| {
                    Ok::<_, StoreError>(unit.connection.execute_batch(damage)?)
                })
                .unwrap();
            let why = stand.backup("b.cairn", &mut |_| ()).unwrap_err().to_string();
            assert!(why.contains("not sound"), "{why}");
            assert!(stand.names().is_empty(), "{:?}", stand.names());
        }
    }

    #[test]
    fn an_interrupted_backup_leaves_nothing() {
        let stand = stand();
        for stop_at in ["copying", "verifying"] {
            let cancel = Cancel::default();
            let stopped = stand.backup_with("b.cairn", false, &cancel, &mut |stage| {
                if matches!(stage, BackupStage::Copying { .. }) == (stop_at == "copying") {
                    cancel.cancel();
                }
            });
            assert!(matches!(stopped, Err(StoreError::Cancelled)), "{stop_at}: {stopped:?}");
            assert!(stand.names().is_empty(), "{:?}", stand.names());
        }
        // What a killed process left is taken over, with its mode put right.
        fs::write(stand.folder.path().join("b.cairn.part"), vec![7; 1 << 20]).unwrap();
        stand.backup("b.cairn", &mut |_| ()).unwrap();
        assert_eq!(stand.names(), ["b.cairn"]);
        let first = fs::read(stand.folder.path().join("b.cairn")).unwrap();
        let why = stand.backup("b.cairn", &mut |_| ()).unwrap_err().to_string();
        assert!(why.contains("exists already"), "{why}");
        assert_eq!(fs::read(stand.folder.path().join("b.cairn")).unwrap(), first);
        stand.store.write_blocking(|unit| add(unit, 7_000)).unwrap();
        stand.backup_with("b.cairn", true, &Cancel::default(), &mut |_| ()).unwrap();
        assert_ne!(fs::read(stand.folder.path().join("b.cairn")).unwrap(), first);
        assert_eq!(stand.names(), ["b.cairn"]);
    }

    /// Another process's backup: a reader beside the server that has the file.
    #[test]
    fn a_file_that_is_in_use_is_backed_up_by_a_reader() {
        let stand = stand();
        let archive = Archive::open(&stand.folder.path().join("a.cairn")).unwrap();
        assert!(archive.is_in_use());
        let target = stand.folder.path().join("b.cairn");
        let cancel = Cancel::default();
        let order = BackupOrder {
            target: &target,
            overwrite: false,
            cancel: &cancel,
            progress: &mut |_| (),
        };
        let made = archive.backup(5, order).unwrap();
        assert_eq!(made.verification.counts.last_tx, 100);
        stand.store.write_blocking(|unit| add(unit, 101)).unwrap();
    }
}
