//! Issued tokens and open challenges. Secrets are kept as SHA-256 only.

use rusqlite::{OptionalExtension, Row};

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `token` without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub id: String,
    pub principal: String,
    pub subject: String,
    pub label: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
}

impl TokenRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            principal: row.get(1)?,
            subject: row.get(2)?,
            label: row.get(3)?,
            created_at: row.get(4)?,
            expires_at: row.get(5)?,
        })
    }
}

/// An open challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonceRow {
    /// SHA-256 of the nonce, in hex.
    pub hash: String,
    pub did: String,
    pub expires_at: i64,
}

impl View<'_> {
    pub fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>> {
        Ok(self
            .prepare("SELECT id, principal, subject, label, created_at, expires_at FROM token WHERE hash = ?1")?
            .query_row([hash.as_slice()], TokenRow::read)
            .optional()?)
    }

    pub fn token(&self, id: &str) -> Result<Option<TokenRow>> {
        Ok(self
            .prepare(
                "SELECT id, principal, subject, label, created_at, expires_at FROM token WHERE id = ?1",
            )?
            .query_row([id], TokenRow::read)
            .optional()?)
    }

    /// Every token, newest first.
    pub fn tokens(&self) -> Result<Vec<TokenRow>> {
        let mut statement = self.prepare(
            "SELECT id, principal, subject, label, created_at, expires_at
               FROM token
              ORDER BY created_at DESC, rowid DESC",
        )?;
        let rows = statement.query_map([], TokenRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    pub fn insert_token(&mut self, row: &TokenRow, hash: &[u8; 32]) -> Result<()> {
        self.prepare(
            "INSERT INTO token (id, hash, principal, subject, label, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            &row.id,
            hash.as_slice(),
            &row.principal,
            &row.subject,
            &row.label,
            row.created_at,
            row.expires_at,
        ))?;
        Ok(())
    }

    /// True when there was such a token.
    pub fn remove_token(&mut self, id: &str) -> Result<bool> {
        Ok(self.prepare("DELETE FROM token WHERE id = ?1")?.execute([id])? > 0)
    }

    pub fn remove_expired_tokens(&mut self, now: i64) -> Result<usize> {
        Ok(self
            .prepare("DELETE FROM token WHERE expires_at IS NOT NULL AND expires_at <= ?1")?
            .execute([now])?)
    }

    /// Stores a challenge, after sweeping dead ones and, past `open_max`, the oldest.
    pub fn insert_nonce(&mut self, row: &NonceRow, now: i64, open_max: i64) -> Result<()> {
        self.prepare("DELETE FROM nonce WHERE expires_at <= ?1")?.execute([now])?;
        let open: i64 =
            self.prepare("SELECT count(*) FROM nonce")?.query_row([], |row| row.get(0))?;
        if open >= open_max {
            self.prepare("DELETE FROM nonce WHERE nonce IN (SELECT nonce FROM nonce ORDER BY expires_at LIMIT ?1)")?
                .execute([open - open_max + 1])?;
        }
        self.prepare("INSERT INTO nonce (nonce, did, expires_at) VALUES (?1, ?2, ?3)")?
            .execute((&row.hash, &row.did, row.expires_at))?;
        Ok(())
    }

    /// Spends a challenge: removes the row that matches both, answers its expiry.
    pub fn take_nonce(&mut self, hash: &str, did: &str) -> Result<Option<i64>> {
        Ok(self
            .prepare("DELETE FROM nonce WHERE nonce = ?1 AND did = ?2 RETURNING expires_at")?
            .query_row((hash, did), |row| row.get(0))
            .optional()?)
    }
}
