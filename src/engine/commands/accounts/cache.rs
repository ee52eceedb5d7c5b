//! Sessions as of the last look: a request of a known session reads no database.
//!
//! Invariants
//! C1. What a commit ended or changed is forgotten before that commit is answered.
//! C2. What was read before such a commit is never remembered after it: a reader takes the epoch first and hands it back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::engine::Caller;

/// Sessions remembered in memory; past that the memory is emptied and fills again.
const SESSIONS_CACHED_MAX: usize = 10_000;
/// The time of last use is written at most this often for each session.
pub(crate) const TOUCH_MS: i64 = 60_000;

/// A session that was live when it was read.
#[derive(Debug)]
pub(crate) struct KnownSession {
    pub(crate) account: i64,
    pub(crate) caller: Caller,
    /// It has to be read again from then on.
    pub(crate) until: i64,
    /// When its last use was last written.
    pub(crate) touched: AtomicI64,
}

impl KnownSession {
    /// Whether the use at `now` is to be written; true for one of those who ask at the same time.
    pub(crate) fn is_touch_due(&self, now: i64) -> bool {
        let last = self.touched.load(Ordering::Relaxed);
        now - last >= TOUCH_MS
            && self
                .touched
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    known: HashMap<Arc<str>, Arc<KnownSession>>,
}

type Listener = Box<dyn Fn(i64) + Send + Sync>;

pub(crate) struct SessionCache {
    state: RwLock<State>,
    /// Counts what ended or changed, for those who keep connections open.
    changes: watch::Sender<u64>,
    /// Told which account changed, after its sessions were forgotten.
    listeners: RwLock<Vec<Listener>>,
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCache")
    }
}

impl Default for SessionCache {
    fn default() -> Self {
        Self {
            state: RwLock::default(),
            changes: watch::Sender::new(0),
            listeners: RwLock::default(),
        }
    }
}

impl SessionCache {
    pub(crate) fn epoch(&self) -> u64 {
        self.read().epoch
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<KnownSession>> {
        self.read().known.get(id).cloned()
    }

    /// Remembers what was read at `epoch`, unless something changed since.
    pub(crate) fn put(&self, epoch: u64, id: &str, session: Arc<KnownSession>) {
        let mut state = self.write();
        if state.epoch != epoch {
            return;
        }
        if state.known.len() >= SESSIONS_CACHED_MAX {
            state.known.clear();
        }
        state.known.insert(Arc::from(id), session);
    }

    pub(crate) fn forget(&self, id: &str) {
        self.change(|known| {
            known.remove(id);
        });
    }

    pub(crate) fn forget_account(&self, account: i64) {
        self.change(|known| known.retain(|_, session| session.account != account));
        for listener in self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(account);
        }
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<Arc<str>, Arc<KnownSession>>)) {
        let epoch = {
            let mut state = self.write();
            state.epoch += 1;
            change(&mut state.known);
            state.epoch
        };
        self.changes.send_replace(epoch);
    }

    // Every change of the state is complete or has not begun, so a poisoned lock is as good as any.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
