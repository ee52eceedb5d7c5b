//! What waits for one reader: changes of its live queries, news of its rooms.
//!
//! The hub and the rooms put in without waiting; the reader takes out when its client can be told. While the reader is
//! behind, what waits for one query becomes one change (live 12.7).
//!
//! Knows queries by a number. Does not know sockets or any wire format.
//!
//! Invariants
//! I1. Changes of one query come out in the order they went in, joined or not; none is lost.
//! I2. Past [`WAITING_BYTES_MAX`], or [`CHANGES_MAX`] changes of one query, changes are joined; if that does not bring the
//!     sum below, the inbox says so with [`Inbox::is_overloaded`] and takes no more.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::fold::{fold, fold_rows, weight};
use super::group::{Change, Delivery, Sink};
use super::presence::{Listener, News};
use crate::engine::Error;

/// Memory that waiting changes may keep alive.
pub const WAITING_BYTES_MAX: usize = 1 << 20;
/// Changes of one query that wait one by one.
pub const CHANGES_MAX: usize = 64;

/// The reader's name of a query.
pub type Key = u64;

/// Something to tell.
#[derive(Debug)]
pub enum Item {
    Change(Key, Arc<Change>),
    /// The query ended.
    Failed(Key, Error),
    Room(Arc<News>),
}

enum Turn {
    Query(Key),
    Room(Arc<str>),
}

#[derive(Default)]
struct Waiting {
    first: Option<Delivery>,
    changes: VecDeque<(Arc<Change>, usize)>,
    failed: Option<Error>,
    has_turn: bool,
}

#[derive(Default)]
struct State {
    queries: BTreeMap<Key, Waiting>,
    rooms: HashMap<Arc<str>, Arc<News>>,
    /// Queries and rooms with something to tell, the one that has waited longest first.
    turns: VecDeque<Turn>,
    /// Changes in all queries, and what they weigh as far as it was asked.
    count: usize,
    bytes: usize,
    overloaded: bool,
}

#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    ready: Notify,
    /// First deliveries have a bell of their own: who waits for one must not be kept by the rest.
    first: Notify,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({})", self.state().turns.len())
    }
}

/// One query's way in.
struct Slot {
    inbox: Arc<Inbox>,
    key: Key,
    wants_rows: bool,
}

impl Sink for Slot {
    fn deliver(&self, delivery: Delivery) {
        self.inbox.deliver(self.key, self.wants_rows, delivery);
    }

    fn wants_rows(&self) -> bool {
        self.wants_rows
    }
}

impl Listener for Inbox {
    fn hear(&self, news: Arc<News>) {
        {
            let mut state = self.state();
            let room = Arc::clone(&news.room);
            if let Some(was) = state.rooms.get_mut(&room) {
                *was = Arc::new(was.and_then(&news));
            } else {
                state.rooms.insert(Arc::clone(&room), news);
                state.turns.push_back(Turn::Room(room));
            }
        }
        self.ready.notify_one();
    }
}

impl Inbox {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Every change of the state is complete or has not begun, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way in for a query. `wants_rows`: its reader tells complete results.
    #[must_use]
    pub fn sink(self: &Arc<Self>, key: Key, wants_rows: bool) -> Arc<dyn Sink> {
        self.state().queries.insert(key, Waiting::default());
        Arc::new(Slot { inbox: Arc::clone(self), key, wants_rows })
    }

    /// The first delivery of a query.
    pub async fn first(&self, key: Key) -> Delivery {
        loop {
            let told = self.first.notified();
            {
                let mut state = self.state();
                if let Some(waiting) = state.queries.get_mut(&key) {
                    if let Some(first) = waiting.first.take() {
                        return first;
                    }
                    if let Some(error) = waiting.failed.take() {
                        return Delivery::Failed(error);
                    }
                }
            }
            told.await;
        }
    }

    /// Returns when there is something to take.
    pub async fn ready(&self) {
        loop {
            let told = self.ready.notified();
            {
                let state = self.state();
                if !state.turns.is_empty() || state.overloaded {
                    return;
                }
            }
            told.await;
        }
    }

    /// The next thing to tell. `behind`: all that waits for its query, as one.
    pub fn take(&self, behind: bool) -> Option<Item> {
        let mut state = self.state();
        let state = &mut *state;
        while let Some(turn) = state.turns.pop_front() {
            let key = match turn {
                Turn::Room(room) => match state.rooms.remove(&room) {
                    Some(news) => return Some(Item::Room(news)),
                    None => continue,
                },
                Turn::Query(key) => key,
            };
            let Some(waiting) = state.queries.get_mut(&key) else { continue };
            waiting.has_turn = false;
            if behind {
                let before = waiting.load();
                waiting.join();
                state.account(before, key);
            }
            let Some(waiting) = state.queries.get_mut(&key) else { continue };
            if let Some((change, bytes)) = waiting.changes.pop_front() {
                if !waiting.changes.is_empty() || waiting.failed.is_some() {
                    waiting.has_turn = true;
                    state.turns.push_back(Turn::Query(key));
                }
                state.count -= 1;
                state.bytes -= bytes;
                return Some(Item::Change(key, change));
            }
            if let Some(error) = waiting.failed.take() {
                state.queries.remove(&key);
                return Some(Item::Failed(key, error));
            }
        }
        None
    }

    /// The reader does not want a query any more.
    pub fn forget(&self, key: Key) {
        let mut state = self.state();
        if let Some(waiting) = state.queries.remove(&key) {
            let (count, bytes) = waiting.load();
            state.count -= count;
            state.bytes -= bytes;
        }
    }

    /// The reader has left a room.
    pub fn forget_room(&self, room: &str) {
        self.state().rooms.remove(room);
    }

    /// More waits than may, though joined: the reader is to be given up.
    pub fn is_overloaded(&self) -> bool {
        self.state().overloaded
    }

    fn deliver(&self, key: Key, wants_rows: bool, delivery: Delivery) {
        let mut state = self.state();
        if state.overloaded {
            return;
        }
        let is_behind = state.count > 0;
        let Some(waiting) = state.queries.get_mut(&key) else { return };
        match delivery {
            first @ (Delivery::Initial { .. } | Delivery::Resumed { .. }) => {
                waiting.first = Some(first);
                drop(state);
                self.first.notify_one();
                return;
            }
            Delivery::Failed(error) => waiting.failed = Some(error),
            Delivery::Change(change) => {
                let before = waiting.load();
                match waiting.changes.pop_back() {
                    // A complete result replaces the one before.
                    Some((was, _)) if wants_rows => {
                        waiting.changes.push_back((Arc::new(fold_rows(&was, &change)), 0));
                    }
                    was => {
                        waiting.changes.extend(was);
                        // Only what has to wait is weighed.
                        let bytes = if is_behind && !wants_rows { weight(&change) } else { 0 };
                        waiting.changes.push_back((change, bytes));
                        if waiting.changes.len() > CHANGES_MAX {
                            waiting.join();
                        }
                    }
                }
                state.account(before, key);
                if state.bytes > WAITING_BYTES_MAX {
                    state.join_all();
                    state.overloaded = state.bytes > WAITING_BYTES_MAX;
                }
            }
        }
        state.give_turn(key);
        drop(state);
        self.ready.notify_one();
        // Who waits for the first delivery learns of a failure too.
        self.first.notify_one();
    }
}

impl Waiting {
    fn load(&self) -> (usize, usize) {
        (self.changes.len(), self.changes.iter().map(|(_, bytes)| bytes).sum())
    }

    /// All changes as one.
    fn join(&mut self) {
        if self.changes.len() < 2 {
            return;
        }
        let mut joined: Option<Arc<Change>> = None;
        for (change, _) in self.changes.drain(..) {
            joined = match joined {
                None => Some(change),
                Some(was) => fold(&was, &change).map(Arc::new),
            };
        }
        self.changes.extend(joined.map(|change| {
            let bytes = weight(&change);
            (change, bytes)
        }));
    }
}

impl State {
    /// Counts anew what waits for a query, which was `before`.
    fn account(&mut self, before: (usize, usize), key: Key) {
        let now = self.queries.get(&key).map_or((0, 0), Waiting::load);
        self.count = self.count + now.0 - before.0;
        self.bytes = self.bytes + now.1 - before.1;
    }

    fn join_all(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        for waiting in self.queries.values_mut() {
            waiting.join();
            let load = waiting.load();
            count += load.0;
            bytes += load.1;
        }
        (self.count, self.bytes) = (count, bytes);
    }

    fn give_turn(&mut self, key: Key) {
        if let Some(waiting) = self.queries.get_mut(&key)
            && !waiting.has_turn
        {
            waiting.has_turn = true;
            self.turns.push_back(Turn::Query(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::live::diff::{Diff, Row, Shape, diff};
    use crate::live::{EncodedCache, RootChange};

    fn rows(value: Value) -> Vec<Arc<Row>> {
        let rows = value.as_array().unwrap().iter();
        rows.map(|row| Arc::new(row.as_object().unwrap().clone())).collect()
    }

    fn change(tx: i64, old: Value, new: Value) -> Delivery {
        let diff = diff(&rows(old), &rows(new), Shape::Set);
        let root = RootChange { entity: "t".into(), index: 0, diff, value: None, rows: None };
        Delivery::Change(Arc::new(Change {
            tx,
            roots: vec![root],
            encoded: EncodedCache::default(),
        }))
    }

    fn taken(inbox: &Inbox, behind: bool) -> Option<(Key, i64, Diff)> {
        match inbox.take(behind)? {
            Item::Change(key, change) => {
                Some((key, change.tx, change.roots[0].diff.clone().unwrap()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn numbered(n: i64) -> Value {
        json!([{ "id": "a", "n": n }])
    }

    #[test]
    fn changes_come_out_in_order_and_queries_take_turns() {
        let inbox = Inbox::new();
        let (one, two) = (inbox.sink(1, false), inbox.sink(2, false));
        for n in 0..3 {
            one.deliver(change(10 + n, numbered(n), numbered(n + 1)));
        }
        two.deliver(change(20, json!([]), numbered(0)));
        let order: Vec<_> =
            std::iter::from_fn(|| taken(&inbox, false)).map(|t| (t.0, t.1)).collect();
        assert_eq!(order, [(1, 10), (2, 20), (1, 11), (1, 12)]);
        assert_eq!(inbox.state().count, 0);
    }

    #[test]
    fn who_is_behind_gets_all_as_one() {
        let inbox = Inbox::new();
        let sink = inbox.sink(1, false);
        for n in 0..3 {
            sink.deliver(change(10 + n, numbered(n), numbered(n + 1)));
        }
        let (_, tx, diff) = taken(&inbox, true).unwrap();
        assert_eq!((tx, &*diff.updated[0].was), (12, &*rows(numbered(0))[0]));
        assert_eq!(*diff.updated[0].row, *rows(numbered(3))[0]);
        assert!(inbox.take(true).is_none());
        // What was undone in between is not told.
        sink.deliver(change(20, numbered(3), numbered(4)));
        sink.deliver(change(21, numbered(4), numbered(3)));
        assert!(inbox.take(true).is_none());
        assert_eq!(inbox.state().count, 0);
        assert_eq!(inbox.state().bytes, 0);
        // And many wait as few.
        for n in 0..1_000 {
            sink.deliver(change(30 + n, numbered(n), numbered(n + 1)));
        }
        assert!(inbox.state().count <= CHANGES_MAX);
        assert!(!inbox.is_overloaded());
    }

    #[test]
    fn more_than_may_wait_overloads_it() {
        let inbox = Inbox::new();
        let sink = inbox.sink(1, false);
        let row = |n: i64| json!([{ "id": format!("r{n}"), "x": "x".repeat(300_000) }]);
        for n in 0..4 {
            assert!(!inbox.is_overloaded());
            sink.deliver(change(n, json!([]), row(n)));
        }
        sink.deliver(change(4, json!([]), row(4)));
        assert!(inbox.is_overloaded());
        // The same row again and again does not.
        let inbox = Inbox::new();
        let sink = inbox.sink(1, false);
        for n in 0..20 {
            let text = |n: i64| json!([{ "id": "a", "x": format!("{n}{}", "x".repeat(100_000)) }]);
            sink.deliver(change(n, text(n), text(n + 1)));
        }
        assert!(!inbox.is_overloaded());
    }

    #[test]
    fn what_is_forgotten_is_not_told() {
        let inbox = Inbox::new();
        let sink = inbox.sink(1, false);
        sink.deliver(change(1, json!([]), numbered(0)));
        inbox.forget(1);
        sink.deliver(change(2, json!([]), numbered(0)));
        assert!(inbox.take(false).is_none());
        assert_eq!(inbox.state().count, 0);
    }

    #[test]
    fn the_first_delivery_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let inbox = Inbox::new();
        let sink = inbox.sink(1, false);
        let other = inbox.sink(2, false);
        let first = std::thread::spawn(move || {
            other.deliver(change(1, json!([]), numbered(0)));
            sink.deliver(Delivery::Failed(Error::Denied));
        });
        let failed = runtime.block_on(inbox.first(1));
        assert!(matches!(failed, Delivery::Failed(Error::Denied)));
        first.join().unwrap();
        assert_eq!(taken(&inbox, false).map(|t| t.0), Some(2));
        runtime.block_on(async {
            let sink = inbox.sink(3, false);
            sink.deliver(Delivery::Initial { tx: 5, roots: Vec::new() });
            assert!(matches!(inbox.first(3).await, Delivery::Initial { tx: 5, .. }));
        });
    }
}
