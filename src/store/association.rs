//! The index of associations, both directions. What a record shows is its own `associations` text.

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// What an edge is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssociationKind {
    Tag = 0,
    Attachment = 1,
    Relationship = 2,
    /// A content field declared `file-ref`; kept here for look-ups only.
    FileField = 3,
}

/// One edge: `target` is a blob hash, a record id or DID, empty for a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssociationRow {
    pub kind: AssociationKind,
    pub label: String,
    pub target: String,
}

impl View<'_> {
    /// Records that have a relationship with this label to `target`.
    pub fn related(&self, target: &str, label: &str, limit: i64) -> Result<Vec<i64>> {
        let mut statement = self.prepare(
            "SELECT rid FROM association WHERE kind = 2 AND target = ?1 AND label = ?2 ORDER BY rid LIMIT ?3",
        )?;
        let rows = statement.query_map((target, label, limit), |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Every record with any relationship to `target`: record and label.
    pub fn relations_to(&self, target: &str) -> Result<Vec<(i64, String)>> {
        let mut statement = self.prepare(
            "SELECT rid, label FROM association WHERE kind = 2 AND target = ?1 ORDER BY rid, label",
        )?;
        let rows = statement.query_map([target], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Groups this identity belongs to: rid of the group and whether as admin. Only live `_group` records count.
    pub fn groups_of(&self, did: &str) -> Result<Vec<(i64, bool)>> {
        let mut statement = self.prepare(
            "SELECT a.rid, max(a.label = 'admin')
               FROM association a
               JOIN record r ON r.rid = a.rid
               JOIN type t ON t.id = r.type
               JOIN collection c ON c.id = t.collection
              WHERE a.kind = 2
                AND a.target = ?1
                AND a.label IN ('admin', 'member')
                AND r.deleted_at IS NULL
                AND c.name = '_group'
              GROUP BY a.rid",
        )?;
        let rows = statement.query_map([did], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Calls `each` with every record that references a file, soft-deleted ones included, until it says stop.
    pub fn each_reference_to(
        &self,
        hash: &str,
        mut each: impl FnMut(i64) -> Result<std::ops::ControlFlow<()>>,
    ) -> Result<()> {
        let mut statement = self
            .prepare("SELECT DISTINCT rid FROM association WHERE kind IN (1, 3) AND target = ?1")?;
        let mut rows = statement.query([hash])?;
        while let Some(row) = rows.next()? {
            if each(row.get(0)?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    pub fn is_referenced(&self, hash: &str) -> Result<bool> {
        Ok(self
            .prepare("SELECT 1 FROM association WHERE kind IN (1, 3) AND target = ?1 LIMIT 1")?
            .exists([hash])?)
    }
}

impl Unit<'_> {
    pub fn add_edge(&mut self, rid: i64, edge: &AssociationRow) -> Result<()> {
        self.prepare(
            "INSERT OR IGNORE INTO association (rid, kind, label, target) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((rid, edge.kind as i64, &edge.label, &edge.target))?;
        Ok(())
    }

    pub fn remove_edge(&mut self, rid: i64, edge: &AssociationRow) -> Result<()> {
        self.prepare(
            "DELETE FROM association WHERE rid = ?1 AND kind = ?2 AND label = ?3 AND target = ?4",
        )?
        .execute((rid, edge.kind as i64, &edge.label, &edge.target))?;
        Ok(())
    }

    pub fn remove_edges_of(&mut self, rid: i64) -> Result<()> {
        self.prepare("DELETE FROM association WHERE rid = ?1")?.execute([rid])?;
        Ok(())
    }
}
