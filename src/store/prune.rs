//! Earlier versions that are let go by rule, and bytes that must be gone.
//!
//! Invariants
//! P1. A pruned version loses its state; its journal entry stays, so numbers and order never change.
//! P2. The current state of a record is never touched.

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// Which earlier versions of a record stay: those that either limit keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Those that were replaced at this time or later, in milliseconds; `None`: none for their age.
    pub since: Option<i64>,
    /// So many of the newest.
    pub newest: i64,
}

/// A record that has earlier versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithHistory {
    pub rid: i64,
    pub collection: String,
}

/// Records with earlier versions, in order of their ids. Index: `change_history`.
const WITH_HISTORY: &str = "
    SELECT h.rid, c.name
      FROM (SELECT DISTINCT rid
              FROM change
             WHERE replaced IS NOT NULL
               AND rid > ?1
             ORDER BY rid
             LIMIT ?2) h
      JOIN record r ON r.rid = h.rid
      JOIN type t ON t.id = r.type
      JOIN collection c ON c.id = t.collection
     ORDER BY h.rid";

/// The last of the records that the page above looked at.
const LAST_LOOKED_AT: &str = "
    SELECT max(rid)
      FROM (SELECT DISTINCT rid
              FROM change
             WHERE replaced IS NOT NULL
               AND rid > ?1
             ORDER BY rid
             LIMIT ?2)";

const PRUNABLE: &str = "
    SELECT count(*)
      FROM change
     WHERE rid = ?1
       AND replaced IS NOT NULL
       AND at < ?2
       AND version <= (SELECT version FROM record WHERE rid = ?1) - ?3";

const PRUNE: &str = "
    UPDATE change
       SET replaced = NULL
     WHERE rid = ?1
       AND replaced IS NOT NULL
       AND at < ?2
       AND version <= (SELECT version FROM record WHERE rid = ?1) - ?3";

impl View<'_> {
    /// Some records with earlier versions after `rid`, and where to go on; `None` at the end.
    pub fn with_history(&self, rid: i64, rows: i64) -> Result<(Vec<WithHistory>, Option<i64>)> {
        let mut statement = self.prepare(WITH_HISTORY)?;
        let found = statement.query_map((rid, rows), |row| {
            Ok(WithHistory { rid: row.get(0)?, collection: row.get(1)? })
        })?;
        let page = found.collect::<rusqlite::Result<_>>()?;
        let last = self.prepare(LAST_LOOKED_AT)?.query_row((rid, rows), |row| row.get(0))?;
        Ok((page, last))
    }

    /// How many versions of a record [`Unit::prune_versions`] would let go.
    pub fn prunable(&self, rid: i64, kept: Kept) -> Result<i64> {
        let before = kept.since.unwrap_or(i64::MAX);
        Ok(self.prepare(PRUNABLE)?.query_row((rid, before, kept.newest), |row| row.get(0))?)
    }
}

impl Unit<'_> {
    /// Lets the versions of a record go that neither limit keeps; gives how many.
    pub fn prune_versions(&mut self, rid: i64, kept: Kept) -> Result<i64> {
        let before = kept.since.unwrap_or(i64::MAX);
        let pruned = self.prepare(PRUNE)?.execute((rid, before, kept.newest))?;
        Ok(i64::try_from(pruned).unwrap_or(i64::MAX))
    }

    /// Runs a step whose removed bytes are overwritten in their pages instead of merely given free.
    pub fn overwriting<T, E: From<super::StoreError>>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.connection
            .pragma_update(None, "secure_delete", true)
            .map_err(super::StoreError::from)?;
        let done = step(self);
        let off = self.connection.pragma_update(None, "secure_delete", false);
        let done = done?;
        off.map_err(super::StoreError::from)?;
        Ok(done)
    }

    /// Merges the full-text index into one piece, in which words of removed records no longer are.
    pub fn merge_search(&mut self) -> Result<()> {
        self.overwriting(|unit| {
            unit.prepare("INSERT INTO search (search) VALUES ('optimize')")?.execute([])?;
            Ok(())
        })
    }

    /// Forgets the answers kept for requests that come twice: they may hold what was purged.
    pub fn forget_answers(&mut self) -> Result<()> {
        self.overwriting(|unit| {
            unit.prepare("DELETE FROM answer")?.execute([])?;
            Ok(())
        })
    }
}
