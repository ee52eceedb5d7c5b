//! Backups of the whole file: made, verified, listed and removed, by the owner alone.
//!
//! One piece of such work runs at a time, on a thread of its own; who asks may wait for it or look at how far it is.
//!
//! Knows the folder of backups and the store's copies. Does not know schedules (see `jobs`) or any wire format.
//!
//! Invariants
//! B1. What is in the folder under a backup's name was verified before it got that name.
//! B2. At most one backup, verification or restore runs; a second one is refused, not queued.
//! B3. Closing the engine ends what runs and waits for its end.

mod bring_back;
mod folder;
mod restore;
mod rewind;
mod salvage;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use bring_back::{BroughtBack, Wanted};
pub use folder::{BackupEntry, BackupFolder, BackupType, Receipt};

pub use restore::{RestoreOptions, Restored, restore_over, restore_to};
pub use rewind::Rewound;
pub use salvage::salvage;

pub use crate::store::{BackupStage, Cancel};

use super::error::{Error, Result};
use super::{Caller, Engine};
use crate::store::{Archive, BackupFile, BackupOrder, StoreError, Verification, sha256_of};

/// Bytes of a download that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Where backups go and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupOptions {
    /// `FILE-backups` beside the file when not set.
    pub folder: Option<PathBuf>,
    pub keep: usize,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { folder: None, keep: 7 }
    }
}

/// Which work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupWork {
    Backup,
    Verify,
    Restore,
}

/// How far the work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub work: BackupWork,
    pub stage: BackupStage,
}

/// Everything about the backups of a stack.
#[derive(Clone, Debug)]
pub struct Backups {
    pub folder: PathBuf,
    pub keep: usize,
    pub running: Option<Running>,
    pub last_sound: Option<Receipt>,
    /// Newest first.
    pub entries: Vec<BackupEntry>,
}

/// A backup on its way out, piece by piece.
#[derive(Debug)]
pub struct BackupDownload {
    file: File,
    pub bytes: u64,
    pub sha256: Option<String>,
}

impl BackupDownload {
    /// The next piece; empty at the end.
    pub fn next_piece(&mut self) -> std::io::Result<Bytes> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut filled = 0;
        while filled < piece.len() {
            match self.file.read(&mut piece[filled..])? {
                0 => break,
                got => filled += got,
            }
        }
        piece.truncate(filled);
        Ok(piece.into())
    }
}

/// The one piece of work, and what ends it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    running: Mutex<Option<Running>>,
    cancel: Cancel,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Desk {
    fn at(&self, stage: BackupStage) {
        if let Some(running) = &mut *self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.stage = stage;
        }
    }

    /// Ends what runs and waits for it.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Held while work runs.
struct Slot(Engine);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.desk().running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Engine {
    /// Where the backups of this file are.
    #[must_use]
    pub fn backup_folder(&self) -> BackupFolder {
        BackupFolder::of(self.path(), self.options().backups.folder.as_deref())
    }

    /// The backups there are, and what is being done.
    ///
    /// # Errors
    /// [`Error::Denied`] to all but the owner acting alone.
    pub fn backups(&self, caller: &Caller) -> Result<Backups> {
        self.check_alone(caller)?;
        let folder = self.backup_folder();
        let running = self.desk().running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Backups {
            folder: folder.path().to_owned(),
            keep: self.options().backups.keep,
            running,
            last_sound: folder.last_sound(),
            entries: folder.list(),
        })
    }

    /// The newest backup that was found sound.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn last_backup(&self, caller: &Caller) -> Result<Option<Receipt>> {
        self.check_alone(caller)?;
        Ok(self.backup_folder().last_sound())
    }

    /// Makes a backup in the folder, and removes those past the number that is kept. Runs on the calling thread.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Conflict`] while other such work runs or when the copy is not sound.
    pub fn backup(&self, caller: &Caller, cancel: &Cancel) -> Result<Receipt> {
        self.check_alone(caller)?;
        let _slot = self.begin(BackupWork::Backup)?;
        self.make_backup(cancel)
    }

    fn make_backup(&self, cancel: &Cancel) -> Result<Receipt> {
        let desk = self.desk();
        let folder = self.backup_folder();
        folder.prepare().map_err(StoreError::from)?;
        folder.sweep();
        let now = self.clock().now_ms();
        let name = folder.free_name(now).map_err(StoreError::from)?;
        let target = folder.path().join(&name);
        let order = BackupOrder {
            target: &target,
            overwrite: false,
            cancel,
            progress: &mut |stage| desk.at(stage),
        };
        let made = self.store().backup(order).map_err(sentence)?;
        let receipt = receipt_of(name, now, &made);
        folder.write_receipt(&receipt).map_err(StoreError::from)?;
        tracing::info!(name = receipt.name, tx = receipt.tx, bytes = receipt.bytes, "backup made");
        for name in folder.keep_newest(self.options().backups.keep) {
            tracing::info!(name, "an old backup was removed");
        }
        Ok(receipt)
    }

    /// As [`Engine::backup`], on a thread of its own: what is received is the outcome.
    ///
    /// # Errors
    /// As [`Engine::backup`].
    pub fn start_backup(&self, caller: &Caller) -> Result<oneshot::Receiver<Result<Receipt>>> {
        self.check_alone(caller)?;
        self.apart(BackupWork::Backup, |engine| engine.make_backup(&engine.desk().cancel))
    }

    /// Verifies a backup of the folder again, on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Missing`], [`Error::Conflict`] while other such work runs.
    pub fn start_verify_backup(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<oneshot::Receiver<Result<Receipt>>> {
        let path = self.backup_path(caller, name)?;
        let name = name.to_owned();
        self.apart(BackupWork::Verify, move |engine| engine.verify_backup(&name, &path))
    }

    fn verify_backup(&self, name: &str, path: &Path) -> Result<Receipt> {
        let desk = self.desk();
        let folder = self.backup_folder();
        let known = folder.entry(name).ok_or_else(|| missing(name))?;
        let now = self.clock().now_ms();
        let archive = Archive::open(path).map_err(sentence)?;
        let mut verification = archive
            .verify_until(&desk.cancel, |stage| desk.at(BackupStage::Verifying(stage.to_owned())))
            .map_err(sentence)?;
        drop(archive);
        let (sha256, bytes) = sha256_of(path)?;
        if let Some(first) = known.receipt.as_ref().filter(|receipt| receipt.sha256 != sha256) {
            verification.faults.push(format!(
                "bytes: the file had SHA-256 {} when it was made and has {sha256} now",
                first.sha256
            ));
        }
        let found = BackupFile { bytes, sha256, verification };
        let mut receipt = receipt_of(name.to_owned(), known.at, &found);
        receipt.verified_at = now;
        if let Some(first) = known.receipt {
            // What it was when it was made stays what it is compared with.
            receipt.at = first.at;
            receipt.sha256 = first.sha256;
        }
        folder.write_receipt(&receipt).map_err(StoreError::from)?;
        if !receipt.sound {
            tracing::error!(name, fault = receipt.faults.first(), "a backup is damaged");
        }
        Ok(receipt)
    }

    /// Opens a backup for a download.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Missing`].
    pub fn open_backup(&self, caller: &Caller, name: &str) -> Result<BackupDownload> {
        let path = self.backup_path(caller, name)?;
        let file = File::open(&path).map_err(StoreError::from)?;
        let bytes = file.metadata().map_err(StoreError::from)?.len();
        let receipt = self.backup_folder().entry(name).and_then(|entry| entry.receipt);
        tracing::info!(name, "a backup is downloaded");
        Ok(BackupDownload { file, bytes, sha256: receipt.map(|receipt| receipt.sha256) })
    }

    /// Removes a backup.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Missing`].
    pub fn delete_backup(&self, caller: &Caller, name: &str) -> Result<()> {
        self.backup_path(caller, name)?;
        self.backup_folder().remove(name).map_err(StoreError::from)?;
        tracing::info!(name, "a backup was removed");
        Ok(())
    }

    fn backup_path(&self, caller: &Caller, name: &str) -> Result<PathBuf> {
        self.check_alone(caller)?;
        self.backup_folder().find(name).ok_or_else(|| missing(name))
    }

    fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    /// Takes the one place for such work.
    fn begin(&self, work: BackupWork) -> Result<Slot> {
        let mut running = self.desk().running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Err(Error::Conflict(
                "a backup, verification or restore is running; try again when it is done".into(),
            ));
        }
        *running = Some(Running { work, stage: BackupStage::Copying { done: 0, total: 0 } });
        drop(running);
        Ok(Slot(self.clone()))
    }

    /// Runs work on a thread that [`Engine::close`] waits for.
    fn apart<T: Send + 'static>(
        &self,
        what: BackupWork,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let slot = self.begin(what)?;
        let (done, outcome) = oneshot::channel();
        let engine = self.clone();
        let running = std::thread::Builder::new().name("backup".into()).spawn(move || {
            let result = work(&engine);
            if let Err(error) = &result {
                tracing::error!(%error, cause = ?std::error::Error::source(error), "backup work failed");
            }
            // Who has the answer may ask for the next.
            drop(slot);
            // Who asked may have gone.
            let _ = done.send(result);
        });
        let running = running.map_err(StoreError::from)?;
        // The one before has given its place back, so it is at its end.
        *self.desk().thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(outcome)
    }
}

fn missing(name: &str) -> Error {
    Error::Missing { what: "backup", id: name.to_owned() }
}

/// A refusal with a sentence of its own is for the caller; faults of the disk are for the log.
fn sentence(error: StoreError) -> Error {
    match error {
        StoreError::Refused(reason) => Error::Conflict(reason),
        StoreError::Damaged(reason) => Error::Conflict(format!("the file is damaged: {reason}")),
        StoreError::Cancelled => Error::Conflict("it was interrupted".into()),
        other => other.into(),
    }
}

/// What a verified copy is remembered by.
#[must_use]
pub fn receipt_of(name: String, at: i64, made: &BackupFile) -> Receipt {
    let Verification { counts, types, faults, digest } = &made.verification;
    Receipt {
        name,
        at,
        tx: counts.last_tx,
        bytes: made.bytes,
        sha256: made.sha256.clone(),
        digest: digest.clone(),
        verified_at: at,
        sound: faults.is_empty(),
        faults: faults.clone(),
        records: counts.records,
        deleted_records: counts.deleted_records,
        versions: counts.versions,
        files: counts.blobs,
        file_bytes: counts.blob_bytes,
        types: types
            .iter()
            .map(|size| BackupType {
                type_id: size.type_id.clone(),
                records: size.records,
                deleted_records: size.deleted_records,
            })
            .collect(),
    }
}
