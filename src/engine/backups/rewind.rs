//! A file taken back to an earlier moment: every record as it was after that unit, and nothing of what came later.
//!
//! Records, their versions, associations, search and permissions go back. Types, files, accounts and tokens stay as the file
//! has them: they have no history.
//!
//! Invariants
//! W1. Never the open file of a server: a copy that nobody uses yet.
//! W2. A record whose state of that moment is not known any more (its versions were pruned) keeps its newest state and is
//!     counted; nothing is guessed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::engine::commands::commit;
use crate::engine::error::{Error, Result};
use crate::engine::record::type_of;
use crate::engine::{AsOf, Engine, EngineOptions, Inner};
use crate::store::{Op, RecordRow, Unit};

/// Records in one unit.
const PAGE: i64 = 200;
const ENTRIES: i64 = 1_000;

/// What going back did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewound {
    /// The unit whose state the file has.
    pub tx: i64,
    /// Records that are as they were.
    pub changed: u64,
    /// Records that did not exist then.
    pub removed: u64,
    /// Records whose state of then is not known any more.
    pub unknown: u64,
    /// Records that existed then or were made since, and were removed for good.
    pub purged: u64,
}

/// What the journal says happened after the moment.
#[derive(Default)]
struct Since {
    /// The last entry that stays.
    seq: i64,
    created: HashSet<i64>,
    touched: HashSet<i64>,
    purged: HashSet<i64>,
}

/// Opens the file at `path` and takes it back.
pub(super) fn rewind(path: &Path, options: &EngineOptions, to: AsOf) -> Result<Rewound> {
    let mut options = options.clone();
    // Nothing is added to it on opening but what every file has.
    options.owner_name = None;
    let engine = Engine::open(path, &options)?;
    let done = rewind_open(&engine, to);
    engine.close();
    done
}

fn rewind_open(engine: &Engine, to: AsOf) -> Result<Rewound> {
    let inner = &engine.inner;
    let (tx, last) = engine.store().read(|view| Ok::<_, Error>((to.tx(view)?, view.last_tx()?)))?;
    if tx > last || tx < 0 {
        return Err(Error::BadRequest(format!("the backup holds the units up to {last}")));
    }
    let since = since(engine, tx)?;
    let mut done = Rewound { tx, purged: since.purged.len() as u64, ..Rewound::default() };
    let mut rids: Vec<i64> = since.touched.iter().copied().collect();
    rids.sort_unstable();
    // First what was not there: it may hold ids that others had.
    let (gone, there): (Vec<i64>, Vec<i64>) =
        rids.into_iter().partition(|rid| since.created.contains(rid));
    for part in gone.chunks(usize::try_from(PAGE).unwrap_or(1)) {
        let (inner, part) = (Arc::clone(inner), part.to_vec());
        done.removed += engine.store().write_blocking(move |unit| {
            let mut removed = 0;
            for rid in part {
                if let Some(row) = unit.record(rid)? {
                    commit::remove(&inner, unit, &row)?;
                    removed += 1;
                }
            }
            Ok::<_, Error>(removed)
        })?;
    }
    let mut unknown = Vec::new();
    for part in there.chunks(usize::try_from(PAGE).unwrap_or(1)) {
        let (inner, part) = (Arc::clone(inner), part.to_vec());
        let (changed, lost) = engine.store().write_blocking(move |unit| {
            let (mut changed, mut lost) = (0, Vec::new());
            for rid in part {
                let Some(row) = unit.record(rid)? else { continue };
                if row.tx <= tx {
                    continue;
                }
                match unit.state_at(&row, tx)? {
                    Some(past) => {
                        take_back(&inner, unit, &row, &past)?;
                        changed += 1;
                    }
                    None => lost.push(rid),
                }
            }
            Ok::<_, Error>((changed, lost))
        })?;
        done.changed += changed;
        unknown.extend(lost);
    }
    done.unknown = unknown.len() as u64;
    let seq = since.seq;
    engine.store().write_blocking(move |unit| {
        for rid in unknown {
            unit.date_back(rid, seq, tx)?;
        }
        Ok::<_, Error>(unit.forget_changes(seq, tx)?)
    })?;
    Ok(done)
}

fn since(engine: &Engine, tx: i64) -> Result<Since> {
    engine.store().read(|view| {
        let mut since = Since { seq: view.seq_at_tx(tx)?, ..Since::default() };
        let mut after = since.seq;
        loop {
            let page = view.changes_after(after, ENTRIES)?;
            let Some(last) = page.last() else { return Ok(since) };
            after = last.seq;
            for entry in page {
                match entry.op {
                    Op::Create => {
                        since.created.insert(entry.rid);
                    }
                    Op::Purge => {
                        since.purged.insert(entry.rid);
                    }
                    _ => {}
                }
                since.touched.insert(entry.rid);
            }
        }
    })
}

/// Puts a record's earlier state into its row, and into everything derived from it.
fn take_back(inner: &Inner, unit: &mut Unit<'_>, now: &RecordRow, past: &RecordRow) -> Result<()> {
    let mut past = past.clone();
    let collection = type_of(unit, past.type_id)?.collection;
    if let Some(alias) = past.alias.clone() {
        match (now.deleted_at.is_some(), past.deleted_at.is_some()) {
            (true, false) if unit.rid_of_alias(collection, &alias)?.is_none() => {
                unit.add_alias(collection, &alias, past.rid)?;
            }
            (false, true) => unit.remove_alias(collection, &alias)?,
            (true, false) => past.alias = None,
            _ => {}
        }
    }
    unit.update_record(&past)?;
    commit::derive(inner, unit, now, &past)
}
