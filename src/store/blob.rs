//! Immutable bytes in 256 KiB pieces.
//!
//! Invariants
//! B1. A blob with a hash is whole. Pieces of an upload in progress hang on a row without hash, which no reader looks up.
//! B2. Pieces are written and removed a few at a time, so that other units never wait for a large file.

use rusqlite::{OptionalExtension, Row};

use super::Store;
use super::error::{Result, StoreError};
use super::view::View;
use super::writer::Unit;

/// Size of every piece but the last.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Bits of a piece's id that number it within its blob.
const NUMBER_BITS: u32 = 20;
/// Pieces removed in one unit.
const SWEEP_PIECES: i64 = 8;

/// A stored blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    pub id: i64,
    pub hash: String,
    pub size: i64,
    pub created_at: i64,
}

impl BlobRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: row.get(0)?, hash: row.get(1)?, size: row.get(2)?, created_at: row.get(3)? })
    }
}

/// An upload in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadId(pub(super) i64);

fn piece_id(blob: i64, number: i64) -> i64 {
    (blob << NUMBER_BITS) | number
}

impl View<'_> {
    pub fn blob(&self, hash: &str) -> Result<Option<BlobRow>> {
        Ok(self
            .prepare("SELECT id, hash, size, created_at FROM blob WHERE hash = ?1")?
            .query_row([hash], BlobRow::read)
            .optional()?)
    }

    /// Piece `number` of an upload in progress.
    pub fn upload_piece(&self, upload: UploadId, number: i64) -> Result<Option<Vec<u8>>> {
        self.blob_piece(upload.0, number)
    }

    /// How many whole blobs there are, and their bytes.
    pub fn file_totals(&self) -> Result<(i64, i64)> {
        Ok(self
            .prepare("SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE hash IS NOT NULL")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Piece `number` of a blob; `None` past the end or when the blob is gone.
    pub fn blob_piece(&self, blob: i64, number: i64) -> Result<Option<Vec<u8>>> {
        Ok(self
            .prepare("SELECT bytes FROM blob_chunk WHERE id = ?1")?
            .query_row([piece_id(blob, number)], |row| row.get(0))
            .optional()?)
    }

    /// Uploads in progress, and blobs that await the sweep.
    pub fn unnamed_blobs(&self) -> Result<i64> {
        Ok(self
            .prepare("SELECT count(*) FROM blob WHERE hash IS NULL")?
            .query_row([], |row| row.get(0))?)
    }

    /// Whole blobs with an id above `after`, in order of id.
    pub fn blobs_after(&self, after: i64, limit: i64) -> Result<Vec<BlobRow>> {
        let mut statement = self.prepare(
            "SELECT id, hash, size, created_at
               FROM blob
              WHERE id > ?1
                AND hash IS NOT NULL
              ORDER BY id
              LIMIT ?2",
        )?;
        let rows = statement.query_map((after, limit), BlobRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    /// Stores a small blob whole; when its bytes are there already, that one.
    pub fn put_blob(&mut self, hash: &str, bytes: &[u8]) -> Result<BlobRow> {
        if let Some(there) = self.blob(hash)? {
            return Ok(there);
        }
        let size = i64::try_from(bytes.len()).map_err(|_| StoreError::Full)?;
        let id = self
            .prepare("INSERT INTO blob (hash, size, created_at) VALUES (?1, ?2, ?3)")?
            .insert((hash, size, self.at))?;
        for (number, piece) in bytes.chunks(CHUNK_BYTES).enumerate() {
            self.add_piece(
                UploadId(id),
                i64::try_from(number).map_err(|_| StoreError::Full)?,
                piece,
            )?;
        }
        Ok(BlobRow { id, hash: hash.to_owned(), size, created_at: self.at })
    }

    pub fn begin_upload(&mut self) -> Result<UploadId> {
        let id = self
            .prepare("INSERT INTO blob (hash, size, created_at) VALUES (NULL, 0, ?1)")?
            .insert([self.at])?;
        Ok(UploadId(id))
    }

    pub fn add_piece(&mut self, upload: UploadId, number: i64, bytes: &[u8]) -> Result<()> {
        if number >> NUMBER_BITS != 0 {
            return Err(StoreError::Full);
        }
        self.prepare("INSERT INTO blob_chunk (id, bytes) VALUES (?1, ?2)")?
            .execute((piece_id(upload.0, number), bytes))?;
        Ok(())
    }

    /// Writes into piece `number` of an upload from `start` on; the piece has `piece_bytes`, and zeros where nothing came yet.
    pub fn write_into_piece(
        &mut self,
        upload: UploadId,
        number: i64,
        start: usize,
        bytes: &[u8],
        piece_bytes: usize,
    ) -> Result<()> {
        if number >> NUMBER_BITS != 0 {
            return Err(StoreError::Full);
        }
        let whole = bytes.len() == piece_bytes;
        let known = if whole { None } else { self.blob_piece(upload.0, number)? };
        let mut piece = known.unwrap_or_default();
        let piece = if whole {
            bytes
        } else {
            piece.resize(piece_bytes, 0);
            let end = start.saturating_add(bytes.len()).min(piece_bytes);
            let room = piece.get_mut(start..end).filter(|room| room.len() == bytes.len());
            room.ok_or(StoreError::Full)?.copy_from_slice(bytes);
            &piece
        };
        self.prepare("INSERT OR REPLACE INTO blob_chunk (id, bytes) VALUES (?1, ?2)")?
            .execute((piece_id(upload.0, number), piece))?;
        Ok(())
    }

    /// Makes an upload a blob. When equal bytes are there already the upload stays without hash, for the sweep.
    pub fn finish_upload(&mut self, upload: UploadId, hash: &str, size: i64) -> Result<BlobRow> {
        if let Some(there) = self.blob(hash)? {
            return Ok(there);
        }
        self.prepare("UPDATE blob SET hash = ?2, size = ?3, created_at = ?4 WHERE id = ?1")?
            .execute((upload.0, hash, size, self.at))?;
        Ok(BlobRow { id: upload.0, hash: hash.to_owned(), size, created_at: self.at })
    }

    /// Takes the name from a blob: it is gone for readers; its pieces await the sweep.
    pub fn unname_blob(&mut self, blob: i64) -> Result<UploadId> {
        self.prepare("UPDATE blob SET hash = NULL WHERE id = ?1")?.execute([blob])?;
        Ok(UploadId(blob))
    }

    /// Removes a few pieces of an unnamed blob. True when none are left and the row is gone.
    fn sweep_some(&mut self, upload: UploadId) -> Result<bool> {
        let named = self
            .prepare("SELECT 1 FROM blob WHERE id = ?1 AND hash IS NOT NULL")?
            .exists([upload.0])?;
        if named {
            return Ok(true);
        }
        let (first, end) = (piece_id(upload.0, 0), piece_id(upload.0 + 1, 0));
        let removed = self
            .prepare(
                "DELETE FROM blob_chunk
                  WHERE id IN (SELECT id FROM blob_chunk WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3)",
            )?
            .execute((first, end, SWEEP_PIECES))?;
        if i64::try_from(removed).unwrap_or(0) == SWEEP_PIECES {
            return Ok(false);
        }
        self.prepare("DELETE FROM blob WHERE id = ?1 AND hash IS NULL")?.execute([upload.0])?;
        Ok(true)
    }
}

impl Store {
    /// Removes an upload, or a blob that lost its name, a few pieces at a time.
    pub async fn sweep(&self, upload: UploadId) -> Result<()> {
        while !self.write(move |unit| unit.sweep_some(upload)).await? {}
        Ok(())
    }

    /// Uploads that a crash cut off, but for those that may still be resumed.
    pub(crate) fn sweep_uploads_of_last_run(&self) -> Result<()> {
        while self.write_blocking(|unit| unit.drop_stale_resumables())? > 0 {}
        let left: Vec<i64> = self.read(|view| {
            let mut statement = view.prepare(
                "SELECT id
                   FROM blob
                  WHERE hash IS NULL
                    AND id NOT IN (SELECT blob FROM resumable_upload)",
            )?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok::<_, StoreError>(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        for id in left {
            while !self.write_blocking(move |unit| unit.sweep_some(UploadId(id)))? {}
        }
        Ok(())
    }
}
