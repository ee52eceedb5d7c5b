//! Current states of records.

use rusqlite::{OptionalExtension, Row};

use super::NameId;
use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `record`. Instants are milliseconds; `permissions`, `associations` and `content` are JSON text.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    pub rid: i64,
    pub type_id: i64,
    pub version: i64,
    pub tx: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    pub subject: Option<NameId>,
    pub principal: Option<NameId>,
    pub app: Option<NameId>,
    pub parent: Option<String>,
    pub alias: Option<String>,
    pub permissions: Option<String>,
    pub associations: Option<String>,
    pub content: String,
}

/// The columns [`RecordRow::read`] expects, of a table or alias named `r`.
pub(crate) const COLUMNS: &str = "r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, \
     r.principal, r.app, r.parent, r.alias, r.permissions, r.associations, r.content";

impl RecordRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rid: row.get(0)?,
            type_id: row.get(1)?,
            version: row.get(2)?,
            tx: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
            deleted_at: row.get(6)?,
            subject: row.get(7)?,
            principal: row.get(8)?,
            app: row.get(9)?,
            parent: row.get(10)?,
            alias: row.get(11)?,
            permissions: row.get(12)?,
            associations: row.get(13)?,
            content: row.get(14)?,
        })
    }
}

impl RecordRow {
    /// Bytes of the texts that may be long.
    pub(crate) fn text_bytes(&self) -> usize {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.content.len() + bytes(&self.permissions) + bytes(&self.associations)
    }
}

const BY_ID: &str = "
    SELECT r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, r.principal, r.app,
           r.parent, r.alias, r.permissions, r.associations, r.content
      FROM record r
     WHERE r.rid = ?1";

const INSERT: &str = "
    INSERT INTO record (rid, type, version, tx, created_at, updated_at, deleted_at, subject, principal, app, parent, alias,
                        permissions, associations, content)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

const UPDATE: &str = "
    UPDATE record
       SET type = ?2, version = ?3, tx = ?4, updated_at = ?5, deleted_at = ?6, alias = ?7, permissions = ?8,
           associations = ?9, content = ?10
     WHERE rid = ?1";

const PAGE_OF_TYPE: &str = "
    SELECT r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, r.principal, r.app,
           r.parent, r.alias, r.permissions, r.associations, r.content
      FROM record r
     WHERE r.type = ?1
       AND (r.created_at, r.rid) > (?2, ?3)
     ORDER BY r.created_at, r.rid
     LIMIT ?4";

const AFTER: &str = "
    SELECT r.rid, r.type, r.version, r.tx, r.created_at, r.updated_at, r.deleted_at, r.subject, r.principal, r.app,
           r.parent, r.alias, r.permissions, r.associations, r.content
      FROM record r
     WHERE r.rid > ?1
     ORDER BY r.rid
     LIMIT ?2";

impl View<'_> {
    pub fn record(&self, rid: i64) -> Result<Option<RecordRow>> {
        let row = self.prepare(BY_ID)?.query_row([rid], RecordRow::read).optional()?;
        self.fixed.set(true);
        Ok(row)
    }

    pub fn record_exists(&self, rid: i64) -> Result<bool> {
        Ok(self.prepare("SELECT 1 FROM record WHERE rid = ?1")?.exists([rid])?)
    }

    /// The greatest record id in the file.
    pub fn last_rid(&self) -> Result<i64> {
        Ok(self.prepare("SELECT coalesce(max(rid), 0) FROM record")?.query_row([], |r| r.get(0))?)
    }

    /// Records of one type whose top-level string field `field` holds `value`; uses the field's index where it has one.
    pub fn records_with_text(
        &self,
        type_id: i64,
        field: &str,
        value: &str,
    ) -> Result<Vec<RecordRow>> {
        let sql = super::types::text_lookup_sql(type_id, field);
        let mut statement = self.prepare(&sql)?;
        let rows = statement.query_map([value], RecordRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The first-created record of one type whose top-level string field `field` holds `value`.
    pub fn first_with_text(
        &self,
        type_id: i64,
        field: &str,
        value: &str,
    ) -> Result<Option<RecordRow>> {
        let sql = super::types::text_lookup_sql(type_id, field);
        Ok(self.prepare(&sql)?.query_row([value], RecordRow::read).optional()?)
    }

    /// Records of a type in order of creation, strictly after a creation time and record id.
    pub fn page_of_type(
        &self,
        type_id: i64,
        after: (i64, i64),
        rows: i64,
    ) -> Result<Vec<RecordRow>> {
        let mut statement = self.prepare(PAGE_OF_TYPE)?;
        let rows = statement.query_map((type_id, after.0, after.1, rows), RecordRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Records in order of their ids, strictly after one.
    pub fn records_after(&self, rid: i64, rows: i64) -> Result<Vec<RecordRow>> {
        let mut statement = self.prepare(AFTER)?;
        let rows = statement.query_map((rid, rows), RecordRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    pub fn insert_record(&mut self, row: &RecordRow) -> Result<()> {
        // By position: finding fifteen parameters by name costs a microsecond.
        self.prepare(INSERT)?.execute((
            row.rid,
            row.type_id,
            row.version,
            row.tx,
            row.created_at,
            row.updated_at,
            row.deleted_at,
            row.subject,
            row.principal,
            row.app,
            &row.parent,
            &row.alias,
            &row.permissions,
            &row.associations,
            &row.content,
        ))?;
        Ok(())
    }

    pub fn update_record(&mut self, row: &RecordRow) -> Result<()> {
        self.prepare(UPDATE)?.execute((
            row.rid,
            row.type_id,
            row.version,
            row.tx,
            row.updated_at,
            row.deleted_at,
            &row.alias,
            &row.permissions,
            &row.associations,
            &row.content,
        ))?;
        Ok(())
    }

    /// Sets what is otherwise fixed at creation: times and alias of an imported record.
    pub fn set_origin(&mut self, row: &RecordRow) -> Result<()> {
        self.prepare(
            "UPDATE record SET created_at = ?2, updated_at = ?3, alias = ?4, subject = ?5, principal = ?6 WHERE rid = ?1",
        )?
        .execute((
            row.rid,
            row.created_at,
            row.updated_at,
            &row.alias,
            row.subject,
            row.principal,
        ))?;
        Ok(())
    }

    pub fn remove_record(&mut self, rid: i64) -> Result<()> {
        self.prepare("DELETE FROM record WHERE rid = ?1")?.execute([rid])?;
        Ok(())
    }
}
