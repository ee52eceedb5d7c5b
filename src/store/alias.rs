//! Ids that a client or a protocol chose, unique within their collection.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// The pseudo-collection of the stack's fixed ids: `_config`, an imported owner card.
pub const FIXED_IDS: i64 = 0;

impl View<'_> {
    pub fn rid_of_alias(&self, collection: i64, id: &str) -> Result<Option<i64>> {
        Ok(self
            .prepare("SELECT rid FROM alias WHERE collection = ?1 AND id = ?2")?
            .query_row((collection, id), |row| row.get(0))
            .optional()?)
    }
}

impl View<'_> {
    /// Records with this chosen id, in any collection.
    pub fn rids_of_alias(&self, id: &str) -> Result<Vec<i64>> {
        let mut statement =
            self.prepare("SELECT rid FROM alias WHERE id = ?1 ORDER BY collection")?;
        let rows = statement.query_map([id], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    /// Fails with `Taken` when the collection has this id already.
    pub fn add_alias(&mut self, collection: i64, id: &str, rid: i64) -> Result<()> {
        self.prepare("INSERT INTO alias (collection, id, rid) VALUES (?1, ?2, ?3)")?
            .execute((collection, id, rid))?;
        Ok(())
    }

    pub fn remove_alias(&mut self, collection: i64, id: &str) -> Result<()> {
        self.prepare("DELETE FROM alias WHERE collection = ?1 AND id = ?2")?
            .execute((collection, id))?;
        Ok(())
    }
}
