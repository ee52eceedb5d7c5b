//! One read snapshot, and everything that can be read from it. The methods sit in the files of their tables.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{CachedStatement, Connection};

use super::error::{Result, StoreError};
use super::{Shared, Types};

/// A consistent state of the file: a reader's snapshot, or what the writer sees inside its unit.
pub struct View<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) shared: &'c Shared,
    /// In the writer: the types as this batch has changed them.
    pub(crate) types: Option<Arc<Types>>,
    /// What is read may not be committed.
    pub(crate) in_writer: bool,
    /// How often rights had changed before the snapshot was opened, when that is known to be what it holds.
    pub(crate) rights_settled: Option<u64>,
    /// Something has been read: SQLite fixes a snapshot at the first read, not when it is opened.
    pub(crate) fixed: Cell<bool>,
}

impl View<'_> {
    pub(crate) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Makes sure that the snapshot is fixed.
    pub(crate) fn fix(&self) -> Result<()> {
        if !self.fixed.get() {
            self.record_exists(0)?;
            self.fixed.set(true);
        }
        Ok(())
    }

    /// The registered types.
    pub fn types(&self) -> Arc<Types> {
        self.types.clone().unwrap_or_else(|| self.shared.types())
    }

    /// The unit that last changed [`View::types`], when these are the types of the snapshot: they are published a moment after
    /// their commit, so a reader may find newer or older ones. The same answer before and after a piece of work means that
    /// all of it saw the snapshot's own types.
    pub fn types_tx(&self) -> Result<Option<i64>> {
        let of_types = self.shared.types_tx.load(Ordering::Acquire);
        let tx = self.last_tx()?;
        let is_published = tx <= self.shared.last_tx.load(Ordering::Acquire);
        Ok((of_types <= tx && is_published).then_some(of_types))
    }

    /// The clock's time.
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }
}

/// Opens a snapshot, runs `work` on it, closes it.
pub(crate) fn on_snapshot<T, E: From<StoreError>>(
    connection: &Connection,
    shared: &Shared,
    work: impl FnOnce(&View<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let run = |sql: &str| -> Result<()> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    let rights_settled = shared.rights.settled();
    run("BEGIN")?;
    let fixed = Cell::new(false);
    let result =
        work(&View { connection, shared, types: None, in_writer: false, rights_settled, fixed });
    let ended = run("COMMIT");
    if ended.is_err() {
        // An interrupted statement can leave the transaction open; what it read is not used then.
        let _ = connection.execute_batch("ROLLBACK");
        return result.and_then(|_| Err(StoreError::Deadline.into()));
    }
    result
}
