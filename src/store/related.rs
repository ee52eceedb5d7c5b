//! Look-ups of many rows at once, for relations: one statement for all parents.

use super::TypeRowId;
use super::error::Result;
use super::record::RecordRow;
use super::view::View;

const BY_RIDS: &str = "
    SELECT r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, r.principal, r.app,
           r.parent, r.alias, r.permissions, r.associations, r.content
      FROM record r
     WHERE r.rid IN (SELECT value FROM json_each(?1))
       AND r.deleted_at IS NULL
     ORDER BY r.rid";

const BY_ALIASES: &str = "
    SELECT r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, r.principal, r.app,
           r.parent, r.alias, r.permissions, r.associations, r.content
      FROM alias a
      JOIN record r ON r.rid = a.rid
     WHERE a.id IN (SELECT value FROM json_each(?1))
       AND r.deleted_at IS NULL
     ORDER BY r.rid";

/// Records of some types with a relationship to one of the targets: target and record.
const INTO: &str = "
    SELECT DISTINCT a.target, r.rid
      FROM association a
      JOIN record r ON r.rid = a.rid
     WHERE a.kind = 2
       AND a.target IN (SELECT value FROM json_each(?1))
       AND r.type IN (SELECT value FROM json_each(?2))
       AND r.deleted_at IS NULL
     ORDER BY r.rid";

impl View<'_> {
    /// The live records with these row numbers.
    pub fn records_of(&self, rids: &[i64]) -> Result<Vec<RecordRow>> {
        self.rows_by(BY_RIDS, &json_list(rids))
    }

    /// The live records with one of these chosen ids, in whatever collection.
    pub fn records_called(&self, ids: &[&str]) -> Result<Vec<RecordRow>> {
        self.rows_by(BY_ALIASES, &json_list(ids))
    }

    fn rows_by(&self, sql: &str, list: &str) -> Result<Vec<RecordRow>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map([list], RecordRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Which live records of these types point at which of the targets (record ids as text).
    pub fn pointing_at(&self, targets: &[&str], types: &[TypeRowId]) -> Result<Vec<(String, i64)>> {
        let mut statement = self.prepare(INTO)?;
        let rows = statement.query_map((json_list(targets), json_list(types)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn json_list<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}
