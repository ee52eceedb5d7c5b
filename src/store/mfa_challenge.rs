//! Challenges between a right password and the second factor. Kept as SHA-256 only.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `mfa_challenge` without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeRow {
    pub account: i64,
    pub fingerprint: Option<[u8; 32]>,
    pub failures: i64,
    pub expires_at: i64,
}

const BY_HASH: &str = "
    SELECT account, fingerprint, failures, expires_at
      FROM mfa_challenge
     WHERE hash = ?1";

/// Keeps the newest challenges of an account.
const TRIM: &str = "
    DELETE FROM mfa_challenge
     WHERE hash IN (SELECT hash
                      FROM mfa_challenge
                     WHERE account = ?1
                     ORDER BY expires_at DESC
                     LIMIT -1 OFFSET ?2)";

impl View<'_> {
    pub fn mfa_challenge(&self, hash: &[u8; 32]) -> Result<Option<ChallengeRow>> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(ChallengeRow {
                account: row.get(0)?,
                fingerprint: row.get(1)?,
                failures: row.get(2)?,
                expires_at: row.get(3)?,
            })
        };
        Ok(self.prepare(BY_HASH)?.query_row([hash.as_slice()], read).optional()?)
    }
}

impl Unit<'_> {
    /// Stores a challenge, after sweeping dead ones; an account keeps at most `open_max`.
    pub fn insert_mfa_challenge(
        &mut self,
        hash: &[u8; 32],
        row: &ChallengeRow,
        open_max: i64,
    ) -> Result<()> {
        let now = self.at();
        self.prepare("DELETE FROM mfa_challenge WHERE expires_at <= ?1")?.execute([now])?;
        self.prepare(TRIM)?.execute([row.account, open_max - 1])?;
        self.prepare(
            "INSERT INTO mfa_challenge (hash, account, fingerprint, failures, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            hash.as_slice(),
            row.account,
            row.fingerprint.as_ref().map(<[u8; 32]>::as_slice),
            row.failures,
            row.expires_at,
        ))?;
        Ok(())
    }

    pub fn set_mfa_failures(&mut self, hash: &[u8; 32], failures: i64) -> Result<()> {
        self.prepare("UPDATE mfa_challenge SET failures = ?2 WHERE hash = ?1")?
            .execute((hash.as_slice(), failures))?;
        Ok(())
    }

    pub fn remove_mfa_challenge(&mut self, hash: &[u8; 32]) -> Result<()> {
        self.prepare("DELETE FROM mfa_challenge WHERE hash = ?1")?.execute([hash.as_slice()])?;
        Ok(())
    }

    pub fn remove_mfa_challenges_of(&mut self, account: i64) -> Result<()> {
        self.prepare("DELETE FROM mfa_challenge WHERE account = ?1")?.execute([account])?;
        Ok(())
    }
}
