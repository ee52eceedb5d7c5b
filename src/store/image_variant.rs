//! Variants of images: a cache in the file, each row beside the blob it was made from.
//!
//! Invariants
//! V1. All variants together hold at most [`VARIANT_BYTES_MAX`]; the oldest go first.
//! V2. A variant goes with the row of its source, at the latest.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// Bytes of all variants in the file.
const VARIANT_BYTES_MAX: i64 = 256 << 20;
/// Variants of one image.
const OF_ONE_MAX: i64 = 64;
/// Rows that one new variant may push out.
const EVICTED_MAX: i64 = 256;

const BY_KEY: &str = "
    SELECT media_type, bytes
      FROM image_variant
     WHERE source = ?1
       AND transform = ?2";

const TRIM_OF_ONE: &str = "
    DELETE FROM image_variant
     WHERE id IN (SELECT id
                    FROM image_variant
                   WHERE source = ?1
                   ORDER BY id DESC
                   LIMIT -1 OFFSET ?2)";

const OLDEST: &str = "
    SELECT id, size
      FROM image_variant
     ORDER BY id
     LIMIT ?1";

/// Looks at an index of numbers alone.
const TOTAL: &str = "SELECT coalesce(sum(size), 0) FROM image_variant";

impl View<'_> {
    /// Media type and bytes of a variant.
    pub fn image_variant(&self, blob: i64, transform: &str) -> Result<Option<(String, Vec<u8>)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.prepare(BY_KEY)?.query_row((blob, transform), read).optional()?)
    }
}

impl Unit<'_> {
    /// Keeps a variant, unless its source has gone meanwhile; older ones make room.
    pub fn insert_image_variant(
        &mut self,
        blob: i64,
        transform: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<()> {
        let named = "SELECT 1 FROM blob WHERE id = ?1 AND hash IS NOT NULL";
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        if size > VARIANT_BYTES_MAX || !self.prepare(named)?.exists([blob])? {
            return Ok(());
        }
        self.prepare(TRIM_OF_ONE)?.execute([blob, OF_ONE_MAX - 1])?;
        let total: i64 = self.prepare(TOTAL)?.query_row([], |row| row.get(0))?;
        let mut excess = total + size - VARIANT_BYTES_MAX;
        if excess > 0 {
            let oldest: Vec<(i64, i64)> = self
                .prepare(OLDEST)?
                .query_map([EVICTED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (id, size) in oldest {
                if excess <= 0 {
                    break;
                }
                self.prepare("DELETE FROM image_variant WHERE id = ?1")?.execute([id])?;
                excess -= size;
            }
            if excess > 0 {
                // Too many small ones to make room at once; the next time goes on.
                return Ok(());
            }
        }
        self.prepare(
            "INSERT OR REPLACE INTO image_variant (source, transform, media_type, size, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((blob, transform, media_type, size, bytes))?;
        Ok(())
    }

    /// Every variant of a blob goes.
    pub fn remove_image_variants(&mut self, blob: i64) -> Result<()> {
        self.prepare("DELETE FROM image_variant WHERE source = ?1")?.execute([blob])?;
        Ok(())
    }
}
