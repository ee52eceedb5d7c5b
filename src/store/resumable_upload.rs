//! Uploads that clients may go on with after an interruption, and what arrived of them.
//!
//! Invariants
//! R1. The pieces hang on a blob row without hash; it goes when the upload does, unless it became a blob.
//! R2. `revision` rises with every write, so that whoever read the pieces can tell that they are still those.

use rusqlite::{OptionalExtension, Row};

use super::UploadId;
use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// An upload that nobody wrote to for this long is given up.
pub const RESUMABLE_MS_MAX: i64 = 24 * 3_600_000;
/// Uploads given up in one unit.
const STALE_ROWS: i64 = 16;

/// A row of table `resumable_upload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumableRow {
    pub id: String,
    /// Who may go on with it; empty for nobody in particular.
    pub owner: String,
    pub path: String,
    pub content_type: String,
    /// JSON object or none.
    pub metadata: Option<String>,
    pub size: i64,
    pub upload: UploadId,
    /// JSON: the ranges that arrived, `[[first, end], …]`.
    pub received: String,
    pub revision: i64,
    pub touched_at: i64,
}

impl ResumableRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            owner: row.get(1)?,
            path: row.get(2)?,
            content_type: row.get(3)?,
            metadata: row.get(4)?,
            size: row.get(5)?,
            upload: UploadId(row.get(6)?),
            received: row.get(7)?,
            revision: row.get(8)?,
            touched_at: row.get(9)?,
        })
    }
}

const BY_ID: &str = "
    SELECT id, owner, path, content_type, metadata, size, blob, received, revision, touched_at
      FROM resumable_upload
     WHERE id = ?1";

const STALE: &str = "
    SELECT id, blob
      FROM resumable_upload
     WHERE touched_at < ?1
     ORDER BY touched_at
     LIMIT ?2";

impl View<'_> {
    /// An upload that was not given up.
    pub fn resumable(&self, id: &str) -> Result<Option<ResumableRow>> {
        let row = self.prepare(BY_ID)?.query_row([id], ResumableRow::read).optional()?;
        let since = self.now_ms() - RESUMABLE_MS_MAX;
        Ok(row.filter(|row| row.touched_at >= since))
    }

    /// How many uploads somebody has open.
    pub fn resumables_of(&self, owner: &str) -> Result<i64> {
        Ok(self
            .prepare("SELECT count(*) FROM resumable_upload WHERE owner = ?1")?
            .query_row([owner], |row| row.get(0))?)
    }
}

impl Unit<'_> {
    /// Stores a fresh upload; its revision and time are set here.
    pub fn insert_resumable(&mut self, row: &ResumableRow) -> Result<()> {
        let at = self.at();
        self.prepare(
            "INSERT INTO resumable_upload (id, owner, path, content_type, metadata, size, blob, received, revision, touched_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)",
        )?
        .execute((
            &row.id,
            &row.owner,
            &row.path,
            &row.content_type,
            &row.metadata,
            row.size,
            row.upload.0,
            &row.received,
            at,
        ))?;
        Ok(())
    }

    pub fn note_received(&mut self, id: &str, received: &str) -> Result<()> {
        let at = self.at();
        self.prepare(
            "UPDATE resumable_upload
                SET received = ?2, revision = revision + 1, touched_at = ?3
              WHERE id = ?1",
        )?
        .execute((id, received, at))?;
        Ok(())
    }

    pub fn remove_resumable(&mut self, id: &str) -> Result<()> {
        self.prepare("DELETE FROM resumable_upload WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Forgets uploads that nobody wrote to for [`RESUMABLE_MS_MAX`]; their pieces await the sweep.
    pub fn take_stale_resumables(&mut self) -> Result<Vec<UploadId>> {
        let before = self.at() - RESUMABLE_MS_MAX;
        let stale: Vec<(String, i64)> = {
            let mut statement = self.prepare(STALE)?;
            let rows =
                statement.query_map((before, STALE_ROWS), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let mut uploads = Vec::with_capacity(stale.len());
        for (id, blob) in stale {
            self.remove_resumable(&id)?;
            uploads.push(UploadId(blob));
        }
        Ok(uploads)
    }

    /// As [`Unit::take_stale_resumables`], for the sweep at the start, which finds the pieces by itself.
    pub(crate) fn drop_stale_resumables(&mut self) -> Result<usize> {
        Ok(self.take_stale_resumables()?.len())
    }
}
