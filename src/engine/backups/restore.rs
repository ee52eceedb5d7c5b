//! Restoring: the whole file, also as it was earlier, or single records as new versions.
//!
//! Invariants
//! R1. A whole restore never changes the open file: it prepares another one and asks for a restart.
//! R2. Records that are brought back become new versions; what they replace stays in their history.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::bring_back::{BroughtBack, Wanted, bring_back};
use super::rewind::{Rewound, rewind};
use super::{BackupStage, BackupWork, Cancel, missing, sentence};
use crate::engine::error::{Error, Result};
use crate::engine::{AsOf, Caller, Engine, EngineOptions};
use crate::store::{self, Archive, Staging};

/// What is asked of a restore of the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The state at an earlier moment than that of the backup.
    pub as_of: Option<AsOf>,
    /// Ends every session and token that the backup holds, and replaces its signing keys.
    pub end_sessions: bool,
}

/// A file that was prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The newest unit it holds.
    pub tx: i64,
    pub records: i64,
    pub deleted_records: i64,
    pub files: i64,
    pub rewound: Option<Rewound>,
}

/// Copies `source` to where `target` is prepared, verified, changed as asked.
fn prepare(
    source: &Archive,
    target: &Path,
    options: RestoreOptions,
    opening: &EngineOptions,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<(Staging, Restored)> {
    let mut staging = Staging::copy(source, target, cancel, progress).map_err(sentence)?;
    let mut rewound = None;
    if let Some(moment) = options.as_of {
        staging.change(cancel, progress, |path| {
            rewound = Some(rewind(path, opening, moment)?);
            Ok::<_, Error>(())
        })?;
    }
    if options.end_sessions {
        staging.end_sessions().map_err(sentence)?;
    }
    let counts = staging.verification.counts;
    let restored = Restored {
        tx: counts.last_tx,
        records: counts.records,
        deleted_records: counts.deleted_records,
        files: counts.blobs,
        rewound,
    };
    Ok((staging, restored))
}

/// Makes a new file of a backup, beside whatever is running. `target` must not exist.
///
/// # Errors
/// [`Error::Conflict`] with a sentence when the backup is not sound or the name is taken.
pub fn restore_to(
    source: &Archive,
    target: &Path,
    options: RestoreOptions,
    opening: &EngineOptions,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<Restored> {
    if target.exists() {
        return Err(Error::Conflict(format!(
            "{} exists already; choose another name",
            target.display()
        )));
    }
    let (staging, restored) = prepare(source, target, options, opening, cancel, progress)?;
    staging.keep(target).map_err(sentence)?;
    Ok(restored)
}

/// Prepares a backup to take the place of `file` when that is opened next.
///
/// # Errors
/// [`Error::Conflict`] with a sentence when the backup is not sound.
pub fn restore_over(
    source: &Archive,
    file: &Path,
    options: RestoreOptions,
    opening: &EngineOptions,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<Restored> {
    let staged = store::staged_for(file);
    let (staging, restored) = prepare(source, &staged, options, opening, cancel, progress)?;
    staging.decide(file).map_err(sentence)?;
    Ok(restored)
}

impl Engine {
    /// Prepares a backup of the folder to take the place of this file, and asks for the restart in which that happens. On a
    /// thread of its own.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Missing`], [`Error::Conflict`] when the backup is not sound or other such work runs.
    pub fn start_restore(
        &self,
        caller: &Caller,
        name: &str,
        options: RestoreOptions,
    ) -> Result<oneshot::Receiver<Result<Restored>>> {
        let path = self.backup_path(caller, name)?;
        let name = name.to_owned();
        self.apart(BackupWork::Restore, move |engine| {
            let desk = engine.desk();
            let archive = engine.untouched(&name, &path)?;
            let restored = restore_over(
                &archive,
                engine.path(),
                options,
                engine.options(),
                &desk.cancel,
                &mut |stage| desk.at(stage),
            )?;
            tracing::warn!(
                name,
                tx = restored.tx,
                "a backup is restored; the file is opened again"
            );
            engine.ask_restart();
            Ok(restored)
        })
    }

    /// Brings records of a backup of the folder back as new versions, on a thread of its own.
    ///
    /// # Errors
    /// As [`Engine::start_restore`].
    pub fn start_bring_back(
        &self,
        caller: &Caller,
        name: &str,
        wanted: Wanted,
    ) -> Result<oneshot::Receiver<Result<BroughtBack>>> {
        let path = self.backup_path(caller, name)?;
        let name = name.to_owned();
        let caller = caller.clone();
        self.apart(BackupWork::Restore, move |engine| {
            let archive = engine.untouched(&name, &path)?;
            engine.bring_back(&caller, &archive, &wanted, &engine.desk().cancel)
        })
    }

    /// Brings records of another file of the same stack back as new versions. Runs on the calling thread.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Missing`] when there is nothing of it in the backup.
    pub fn bring_back(
        &self,
        caller: &Caller,
        source: &Archive,
        wanted: &Wanted,
        cancel: &Cancel,
    ) -> Result<BroughtBack> {
        self.check_alone(caller)?;
        bring_back(&Arc::clone(&self.inner), source, wanted, cancel)
    }

    /// Opens a backup whose bytes are those that were written.
    fn untouched(&self, name: &str, path: &Path) -> Result<Archive> {
        let entry = self.backup_folder().entry(name).ok_or_else(|| missing(name))?;
        if let Some(receipt) = entry.receipt {
            let (sha256, _) = store::sha256_of(path)?;
            if sha256 != receipt.sha256 {
                return Err(Error::Conflict(format!(
                    "the backup is damaged: it had SHA-256 {} when it was made and has {sha256} now; restore another one",
                    receipt.sha256
                )));
            }
        }
        Archive::open(path).map_err(sentence)
    }

    /// Asks whoever runs this process to close the file and open it again.
    pub fn ask_restart(&self) {
        self.inner.restart.send_replace(true);
    }

    /// Whether another process decided a restore of this file.
    #[must_use]
    pub fn restore_waits(&self) -> bool {
        store::restore_waits(self.path())
    }

    /// Resolves when the file is to be closed and opened again: a restore waits for it. A program that embeds the engine does
    /// that when it suits it; until then everything goes on as before, and what is written then is in the old file alone.
    pub async fn restart_asked(&self) {
        let mut asked = self.inner.restart.subscribe();
        // The sender lives as long as `self`.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}
