//! The journal as a feed: what happened to records that the caller may read now.
//!
//! Invariants
//! C1. An entry of a record that the caller may not read is not in the feed; one of a record that was removed for good is
//!     there for the owner alone.
//! C2. Going on at [`Changes::next`] misses nothing and repeats nothing.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::record::shown_id;
use crate::engine::{Caller, Engine};
use crate::store::{Op, View};
use crate::util::id::RecordId;

/// Entries of one answer, when not said otherwise and at most.
pub const CHANGES_DEFAULT: u32 = 100;
pub const CHANGES_MAX: u32 = 1_000;
const _: () = assert!(CHANGES_DEFAULT <= CHANGES_MAX);
/// Entries looked at for one answer, those of others included.
const SCAN_ENTRIES_MAX: usize = 10_000;
const SCAN_PAGE: i64 = 500;

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// After this unit.
    Tx(i64),
    /// After this entry.
    Seq(i64),
}

/// One entry; it says that something happened to a record, not what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeEntry {
    pub tx: i64,
    pub seq: i64,
    pub id: String,
    /// Unknown of a record that was removed for good.
    pub type_id: Option<String>,
    /// The version it made.
    pub version: i64,
    pub op: &'static str,
    /// Milliseconds.
    pub at: i64,
    /// For whom it was made.
    pub actor: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct Changes {
    pub entries: Vec<ChangeEntry>,
    /// Where to go on.
    pub next: Since,
    /// The newest unit; when `next` names it, that was all.
    pub last_tx: i64,
}

impl Engine {
    /// The feed after a place; `types` are exact types or collections, none of them is all.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a limit outside 1 to [`CHANGES_MAX`], [`Error::Unauthenticated`] for nobody.
    pub async fn changes(
        &self,
        caller: &Caller,
        since: Since,
        limit: u32,
        types: Vec<String>,
    ) -> Result<Changes> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        if !(1..=CHANGES_MAX).contains(&limit) {
            return Err(Error::BadRequest(format!("limit is 1 to {CHANGES_MAX}")));
        }
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store()
            .query(move |view: &View<'_>| {
                let access = Access::new(&inner, view, &caller);
                read(view, &access, since, limit as usize, &types)
            })
            .await
    }

    /// The newest unit, moving with every commit. Each call follows the commits for as long as the engine lives: call once.
    pub fn commits(&self) -> watch::Receiver<i64> {
        let newest = watch::Sender::new(self.last_tx());
        let seen = newest.subscribe();
        self.store().on_commit(move |committed| {
            newest.send_replace(committed.last_tx);
        });
        seen
    }
}

fn read(
    view: &View<'_>,
    access: &Access<'_>,
    since: Since,
    limit: usize,
    types: &[String],
) -> Result<Changes> {
    let last_tx = view.last_tx()?;
    let mut at = match since {
        Since::Tx(tx) => view.seq_at_tx(tx)?,
        Since::Seq(seq) => seq,
    };
    let registered = view.types();
    let wanted = |name: &str, base: &str| {
        types.is_empty() || types.iter().any(|one| one == name || one == base)
    };
    // Of each record: its id and type, when the caller may read it.
    let mut known: HashMap<i64, Option<(String, Option<String>)>> = HashMap::new();
    let (mut entries, mut scanned) = (Vec::new(), 0);
    loop {
        let page = view.changes_after(at, SCAN_PAGE)?;
        if page.is_empty() {
            return Ok(Changes { entries, next: Since::Tx(last_tx), last_tx });
        }
        for change in page {
            if entries.len() == limit || scanned == SCAN_ENTRIES_MAX {
                return Ok(Changes { entries, next: Since::Seq(at), last_tx });
            }
            (at, scanned) = (change.seq, scanned + 1);
            if matches!(change.op, Op::Nothing | Op::Prune) {
                continue;
            }
            if let std::collections::hash_map::Entry::Vacant(place) = known.entry(change.rid) {
                let shown = match view.record(change.rid)? {
                    None if access.alone() && types.is_empty() => {
                        RecordId::from_i64(change.rid).map(|id| (id.to_string(), None))
                    }
                    None => None,
                    Some(row) => {
                        let info = registered.by_row(row.type_id);
                        let fits = info.is_some_and(|info| wanted(&info.id, &info.base));
                        (fits && access.may(Action::Read, &row)?)
                            .then(|| (shown_id(&row), info.map(|info| info.id.clone())))
                    }
                };
                place.insert(shown);
            }
            let Some(Some((id, type_id))) = known.get(&change.rid) else { continue };
            entries.push(ChangeEntry {
                tx: change.tx,
                seq: change.seq,
                id: id.clone(),
                type_id: type_id.clone(),
                version: change.version,
                op: change.op.name(),
                at: change.at,
                actor: change.actor.map(|actor| view.name(actor)).transpose()?,
            });
        }
    }
}
