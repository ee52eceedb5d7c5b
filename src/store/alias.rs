//! Ids that a client or a protocol chose, unique within their collection.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// The pseudo-collection of the stack's fixed ids: `_config`, an imported owner card.
pub const FIXED_IDS: i64 = 0;

/// Chosen ids from one on, in byte order. Index: the primary key.
const FROM: &str = "
    SELECT id, rid
      FROM alias
     WHERE collection = ?1
       AND id >= ?2
     ORDER BY id
     LIMIT ?3";

const AFTER: &str = "
    SELECT id, rid
      FROM alias
     WHERE collection = ?1
       AND id > ?2
     ORDER BY id
     LIMIT ?3";

impl View<'_> {
    /// Chosen ids that begin with `prefix`, in byte order, those after `after`; at most `rows`.
    pub fn aliases_with_prefix(
        &self,
        collection: i64,
        prefix: &str,
        after: Option<&str>,
        rows: i64,
    ) -> Result<Vec<(String, i64)>> {
        let (sql, from) = match after {
            Some(after) if after >= prefix => (AFTER, after),
            _ => (FROM, prefix),
        };
        let mut statement = self.prepare(sql)?;
        let found = statement.query_map((collection, from, rows), |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        let mut page = Vec::new();
        for row in found {
            let row = row?;
            if !row.0.starts_with(prefix) {
                break;
            }
            page.push(row);
        }
        Ok(page)
    }

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
