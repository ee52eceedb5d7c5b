//! Secrets that tokens and links are signed with.

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `signing_key`. Holds a secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    pub id: String,
    pub secret: Vec<u8>,
}

/// The newest first; ids break ties, so that the order is always the same.
const OF_PURPOSE: &str = "
    SELECT id, secret
      FROM signing_key
     WHERE purpose = ?1
     ORDER BY created_at DESC, id DESC
     LIMIT ?2";

const TRIM: &str = "
    DELETE FROM signing_key
     WHERE id IN (SELECT id
                    FROM signing_key
                   WHERE purpose = ?1
                   ORDER BY created_at DESC, id DESC
                   LIMIT -1 OFFSET ?2)";

impl View<'_> {
    /// Keys of a purpose, the newest first.
    pub fn signing_keys(&self, purpose: &str, rows: i64) -> Result<Vec<SigningKeyRow>> {
        let mut statement = self.prepare(OF_PURPOSE)?;
        let rows = statement.query_map((purpose, rows), |row| {
            Ok(SigningKeyRow { id: row.get(0)?, secret: row.get(1)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    /// Stores a key as the newest of its purpose and keeps at most `kept` of them.
    pub fn insert_signing_key(
        &mut self,
        purpose: &str,
        key: &SigningKeyRow,
        kept: i64,
    ) -> Result<()> {
        let at = self.at();
        // Two rotations within a millisecond still have an order.
        let newest: i64 = self
            .prepare("SELECT coalesce(max(created_at), 0) FROM signing_key WHERE purpose = ?1")?
            .query_row([purpose], |row| row.get(0))?;
        self.prepare(
            "INSERT INTO signing_key (id, purpose, secret, created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((&key.id, purpose, &key.secret, at.max(newest + 1)))?;
        self.prepare(TRIM)?.execute((purpose, kept))?;
        Ok(())
    }
}
