//! Keeps the write-ahead log small, off the writer's path.
//!
//! A thread copies finished pages back (PASSIVE) while there are commits. When readers held it back and the log has grown
//! past [`WAL_BYTES_SOFT`], it asks the writer to restart the log between two batches. When nothing was written for a while
//! the log is emptied, so that an idle file stands alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Shared;
use super::error::{Result, StoreError};
use super::open;
use super::writer::Requests;

/// Past this size the writer restarts the log between batches.
pub(crate) const WAL_BYTES_SOFT: u64 = 64 << 20;
const PERIOD: Duration = Duration::from_millis(200);
/// Periods without a commit after which the log is emptied.
const IDLE_PERIODS: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Set by the writer with every commit.
    pub(crate) committed: AtomicBool,
    stop: Mutex<bool>,
    wake: Condvar,
}

#[derive(Debug)]
pub(crate) struct Checkpointer {
    signals: Arc<Signals>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    pub(crate) fn new() -> Self {
        Self { signals: Arc::new(Signals::default()), thread: Mutex::new(None) }
    }

    pub(crate) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    pub(crate) fn start(&self, shared: Arc<Shared>, writer: Requests) -> Result<()> {
        let connection = open::open_checkpointer(&shared.path)?;
        let signals = Arc::clone(&self.signals);
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            let mut idle_periods = 0;
            let mut log_may_hold_frames = true;
            loop {
                {
                    let stop = signals.stop.lock().expect("no holder of this lock panics");
                    // Idle and empty: nothing to look at until the writer commits again, but commits do not wake this
                    // thread, so that they stay cheap; it looks once a second then.
                    let period = if log_may_hold_frames { PERIOD } else { PERIOD * IDLE_PERIODS };
                    let (stop, _) = signals
                        .wake
                        .wait_timeout(stop, period)
                        .expect("no holder of this lock panics");
                    if *stop || shared.halt.reason().is_some() {
                        break;
                    }
                }
                if signals.committed.swap(false, Ordering::Relaxed) {
                    idle_periods = 0;
                    log_may_hold_frames = true;
                    let copied =
                        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                            row.get::<_, i64>(1)
                        });
                    if let Err(error) = copied.map_err(StoreError::from) {
                        tracing::warn!(%error, "a checkpoint failed");
                        shared.halt.look_at(&error);
                    }
                    if open::wal_bytes(&shared.path) > WAL_BYTES_SOFT {
                        writer.restart_log();
                    }
                } else if log_may_hold_frames {
                    idle_periods += 1;
                    if idle_periods >= IDLE_PERIODS {
                        writer.empty_log();
                        log_may_hold_frames = false;
                        idle_periods = 0;
                    }
                }
            }
            shared.halt.close(connection);
        })?;
        *self.thread.lock().expect("no holder of this lock panics") = Some(thread);
        Ok(())
    }

    pub(crate) fn stop(&self) {
        *self.signals.stop.lock().expect("no holder of this lock panics") = true;
        self.signals.wake.notify_all();
        if let Some(thread) = self.thread.lock().expect("no holder of this lock panics").take() {
            let _ = thread.join();
        }
    }
}
