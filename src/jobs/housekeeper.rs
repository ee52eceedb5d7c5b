//! The thread that makes backups when they are due, lets earlier versions go by rule once a day, and sees when another process decided a restore.
//!
//! Knows the clock and the schedule. Does not know how a backup is made.
//!
//! Invariants
//! H1. Whether a backup is due is read from the folder, so a restart neither repeats nor skips one.
//! H2. After a failure the next try waits, so that a full disk is not written to over and over; every failure is in the log.
//! H3. [`Housekeeper::stop`] ends running work and returns once the thread has ended.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::backups::Cancel;
use crate::engine::{Engine, Error, Kind};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The wait after a failure, unless the schedule itself is shorter.
const RETRY_MS: i64 = 10 * 60_000;
const PRUNE_EVERY_MS: i64 = 24 * 3_600_000;

/// Runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Housekeeper {
    stop: Cancel,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be done, and when it failed last.
struct Work {
    engine: Engine,
    every_ms: Option<i64>,
    failed_at: Option<i64>,
    pruned_at: Option<i64>,
}

impl Housekeeper {
    /// `every`: how often a backup is made; never without it.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(engine: Engine, every: Option<Duration>) -> std::io::Result<Self> {
        let stop = Cancel::default();
        let seen = stop.clone();
        let mut work = Work::new(engine, every);
        let thread = std::thread::Builder::new().name("housekeeper".into()).spawn(move || {
            while !seen.wait(LOOK_EVERY) {
                work.look(&seen);
            }
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    pub fn stop(&self) {
        self.stop.cancel();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Work {
    fn new(engine: Engine, every: Option<Duration>) -> Self {
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self { engine, every_ms: every.map(ms), failed_at: None, pruned_at: None }
    }

    /// Does what is due.
    fn look(&mut self, stop: &Cancel) {
        if self.engine.restore_waits() {
            self.engine.ask_restart();
            return;
        }
        self.backup_when_due(stop);
        self.prune_when_due(stop);
    }

    fn prune_when_due(&mut self, stop: &Cancel) {
        if self.engine.options().version_rules.is_empty() || self.engine.is_read_only() {
            return;
        }
        let now = self.engine.clock().now_ms();
        // Read from the file once; from then on remembered.
        let last = match self.pruned_at {
            Some(at) => Some(at),
            None => self.engine.last_pruned().ok().flatten().map(|pruned| pruned.at),
        };
        if last.is_some_and(|at| !has_passed(at, PRUNE_EVERY_MS, now)) {
            self.pruned_at = last;
            return;
        }
        self.pruned_at = Some(now);
        if let Err(error) = self.engine.prune_versions(&self.engine.owner_caller(), stop) {
            tracing::error!(%error, "letting earlier versions go failed; the next try is tomorrow");
        }
    }

    fn backup_when_due(&mut self, stop: &Cancel) {
        let Some(every_ms) = self.every_ms else { return };
        let now = self.engine.clock().now_ms();
        let retry_ms = every_ms.min(RETRY_MS);
        if self.failed_at.is_some_and(|at| !has_passed(at, retry_ms, now)) {
            return;
        }
        let newest = self.engine.backup_folder().newest();
        if newest.is_some_and(|newest| !has_passed(newest.at, every_ms, now)) {
            return;
        }
        match self.engine.backup(&self.engine.owner_caller(), stop) {
            Ok(_) => self.failed_at = None,
            Err(_) if stop.is_cancelled() => {}
            // The owner's own is being made.
            Err(error) if is_busy(&error) => {}
            Err(error) => {
                self.failed_at = Some(now);
                tracing::error!(
                    %error,
                    cause = ?std::error::Error::source(&error),
                    "the scheduled backup failed; the next try follows"
                );
            }
        }
    }
}

fn is_busy(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.to_string().contains("is running")
}

/// Whether `span_ms` have passed since `at`. A clock that was set back further than that counts as well: waiting for it to come
/// round again could take years.
fn has_passed(at: i64, span_ms: i64, now: i64) -> bool {
    now.saturating_sub(at).saturating_abs() >= span_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;
    use crate::engine::backups::BackupOptions;
    use crate::util::clock::Clock;

    const HOUR_MS: i64 = 3_600_000;

    /// A day of hourly looks: a backup each six hours, two kept; a restart makes none, a clock set back makes one.
    #[test]
    fn backups_are_made_when_due() {
        let home = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_704_067_200_000);
        let mut options = EngineOptions::default();
        options.store.clock = clock;
        options.backups = BackupOptions { folder: Some(home.path().join("kept")), keep: 2 };
        let engine = Engine::open(&home.path().join("a.cairn"), &options).unwrap();
        let names = || -> Vec<String> {
            engine.backup_folder().list().into_iter().map(|entry| entry.name).collect()
        };
        let every = Some(Duration::from_secs(6 * 3_600));
        let never = Cancel::default();
        let mut work = Work::new(engine.clone(), None);
        work.look(&never);
        assert!(names().is_empty());
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..24 {
            let mut work = Work::new(engine.clone(), every);
            work.look(&never);
            work.look(&never);
            seen.extend(names());
            hand.advance_ms(HOUR_MS);
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert_eq!(names(), ["a-20240101T180000Z.cairn", "a-20240101T120000Z.cairn"]);
        let last = engine.last_backup(&engine.owner_caller()).unwrap().unwrap();
        assert!(last.sound && last.name == "a-20240101T180000Z.cairn", "{last:?}");
        hand.advance_ms(-100 * HOUR_MS);
        let mut work = Work::new(engine.clone(), every);
        work.look(&never);
        assert_eq!(names().len(), 2);
        engine.close();
    }

    /// A folder that cannot be written is not tried at every look.
    #[test]
    fn a_failure_is_tried_again_later() {
        let home = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_704_067_200_000);
        let folder = home.path().join("kept");
        std::fs::write(&folder, "in the way").unwrap();
        let mut options = EngineOptions::default();
        options.store.clock = clock;
        options.backups = BackupOptions { folder: Some(folder.clone()), keep: 2 };
        let engine = Engine::open(&home.path().join("a.cairn"), &options).unwrap();
        let mut work = Work::new(engine.clone(), Some(Duration::from_secs(3_600)));
        let never = Cancel::default();
        work.look(&never);
        assert!(work.failed_at.is_some());
        std::fs::remove_file(&folder).unwrap();
        work.look(&never);
        assert!(engine.backup_folder().newest().is_none(), "not yet");
        hand.advance_ms(RETRY_MS);
        work.look(&never);
        assert!(engine.backup_folder().newest().is_some() && work.failed_at.is_none());
        engine.close();
    }
}
