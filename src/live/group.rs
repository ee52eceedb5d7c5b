//! What a group of equal subscriptions knows: its result, and how a change of it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;

use super::diff::{Diff, Row, Shape, Updated, diff, row_changes};
use crate::engine::{self, Followed, RootValue, Shown, Watch};

/// A complete result of one root.
#[derive(Clone, Debug)]
pub enum RootRows {
    Rows(Vec<Arc<Row>>),
    /// Of a root with an aggregate.
    Value(Value),
}

impl RootRows {
    pub(super) fn of(value: RootValue) -> Self {
        match value {
            RootValue::Rows(rows) => {
                Self::Rows(rows.into_iter().map(|row| Arc::new(row.fields)).collect())
            }
            RootValue::Value(value) => Self::Value(value),
        }
    }

    /// What a client of `self` must be told to have `new`.
    fn change_to(&self, new: &Self, shape: Shape) -> Option<(Option<Diff>, Option<Value>)> {
        match (self, new) {
            (Self::Rows(old), Self::Rows(new)) => Some((Some(diff(old, new, shape)?), None)),
            (Self::Value(old), Self::Value(new)) if old == new => None,
            (_, Self::Value(new)) => Some((None, Some(new.clone()))),
            (Self::Value(_), Self::Rows(new)) => Some((Some(diff(&[], new, shape)?), None)),
        }
    }
}

/// How one root changed.
#[derive(Clone, Debug)]
pub struct RootChange {
    pub entity: String,
    /// Place of the root in its query.
    pub index: usize,
    pub diff: Option<Diff>,
    /// The new value, for aggregates.
    pub value: Option<Value>,
    /// The complete result after the change, when some member's sink wants it.
    pub rows: Option<RootRows>,
}

/// One difference, shared by every member of a group.
#[derive(Debug)]
pub struct Change {
    pub tx: i64,
    pub roots: Vec<RootChange>,
    pub encoded: EncodedCache,
}

/// Encodings of a change, made once for all members that read the same.
#[derive(Debug, Default)]
pub struct EncodedCache(Mutex<Vec<(u8, String, Bytes)>>);

impl EncodedCache {
    /// The encoding under `(format, subscription id)`, made at the first call.
    pub fn get_or_make(&self, key: (u8, &str), make: impl FnOnce() -> Bytes) -> Bytes {
        /// Members that choose ids of their own would fill it without use.
        const KEPT_MAX: usize = 8;
        let mut known = self.0.lock().expect("no holder of this lock panics");
        if let Some((_, _, bytes)) = known.iter().find(|(f, id, _)| *f == key.0 && id == key.1) {
            return bytes.clone();
        }
        let bytes = make();
        if known.len() < KEPT_MAX {
            known.push((key.0, key.1.to_owned(), bytes.clone()));
        }
        bytes
    }
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum Delivery {
    /// The first result.
    Initial {
        tx: i64,
        roots: Vec<(String, RootRows)>,
    },
    /// In place of the first result, for a subscriber that named the last `tx` it knows: what changed since.
    Resumed {
        since: i64,
        change: Arc<Change>,
    },
    Change(Arc<Change>),
    /// The query cannot be followed any more; nothing comes after this.
    Failed(engine::Error),
}

/// Where deliveries go. Called on a thread of the hub; must not block.
pub trait Sink: Send + Sync {
    fn deliver(&self, delivery: Delivery);

    /// Whether changes should carry complete results.
    fn wants_rows(&self) -> bool {
        false
    }
}

/// A root's result as the group keeps it.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// In order of creation, brought up to date row by row.
    Plain(BTreeMap<i64, Arc<Row>>),
    Whole(RootRows),
}

impl Kept {
    pub(super) fn of(watch: &Watch, value: RootValue) -> Self {
        match value {
            RootValue::Rows(rows) if watch.is_plain => Self::Plain(
                rows.into_iter().map(|Shown { rid, fields, .. }| (rid, Arc::new(fields))).collect(),
            ),
            value => Self::Whole(RootRows::of(value)),
        }
    }

    pub(super) fn rows(&self) -> RootRows {
        match self {
            Self::Plain(rows) => RootRows::Rows(rows.values().cloned().collect()),
            Self::Whole(rows) => rows.clone(),
        }
    }
}

/// The results of a group's roots.
pub(super) type State = Vec<Kept>;

/// Everything that tells `new` from `old`, root by root; empty when a client would see no difference.
pub(super) fn difference(
    watches: &[Watch],
    old: &State,
    new: &State,
    with_rows: bool,
) -> Vec<RootChange> {
    let mut changes = Vec::new();
    for (index, watch) in watches.iter().enumerate() {
        let (Some(was), Some(is)) = (old.get(index), new.get(index)) else { continue };
        let (was, is) = (was.rows(), is.rows());
        let shape = if watch.is_window { Shape::Window } else { Shape::Set };
        let Some((diff, value)) = was.change_to(&is, shape) else { continue };
        let rows = with_rows.then_some(is);
        changes.push(RootChange { entity: watch.entity.clone(), index, diff, value, rows });
    }
    changes
}

/// Applies the changes of one unit to a state of plain roots; what changed for a client.
pub(super) fn advance(
    watches: &[Watch],
    state: &mut State,
    changes: &[&Followed],
    with_rows: bool,
) -> Vec<RootChange> {
    let mut told = Vec::new();
    for (index, watch) in watches.iter().enumerate() {
        let Some(Kept::Plain(rows)) = state.get_mut(index) else { continue };
        let mut found = Diff::default();
        let mut added = BTreeMap::new();
        for change in changes {
            if !watch.is_of(change) {
                continue;
            }
            match (rows.get(&change.rid).cloned(), watch.show(change)) {
                (None, None) => {}
                (None, Some(shown)) => {
                    let row = Arc::new(shown.fields);
                    rows.insert(change.rid, Arc::clone(&row));
                    added.insert(change.rid, row);
                }
                (Some(was), None) => {
                    rows.remove(&change.rid);
                    found.removed.push(was);
                }
                (Some(was), Some(shown)) => {
                    if let Some(changes) = row_changes(&was, &shown.fields) {
                        let row = Arc::new(shown.fields);
                        rows.insert(change.rid, Arc::clone(&row));
                        found.updated.push(Updated { was, row, changes });
                    }
                }
            }
        }
        found.added = added.into_values().collect();
        if found.added.is_empty() && found.updated.is_empty() && found.removed.is_empty() {
            continue;
        }
        let rows = with_rows.then(|| RootRows::Rows(rows.values().cloned().collect()));
        told.push(RootChange {
            entity: watch.entity.clone(),
            index,
            diff: Some(found),
            value: None,
            rows,
        });
    }
    told
}
