//! Sessions, and the refresh tokens they have exchanged. Secrets are kept as SHA-256 only.

use rusqlite::{OptionalExtension, Row};

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub account: i64,
    pub device: String,
    pub ip: String,
    pub fingerprint: Option<[u8; 32]>,
    pub created_at: i64,
    pub last_used_at: i64,
    pub refresh: [u8; 32],
    pub generation: i64,
    pub idle_ms: i64,
    pub expires_at: i64,
    pub ends_at: i64,
}

impl SessionRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            account: row.get(1)?,
            device: row.get(2)?,
            ip: row.get(3)?,
            fingerprint: row.get(4)?,
            created_at: row.get(5)?,
            last_used_at: row.get(6)?,
            refresh: row.get(7)?,
            generation: row.get(8)?,
            idle_ms: row.get(9)?,
            expires_at: row.get(10)?,
            ends_at: row.get(11)?,
        })
    }
}

const BY_ID: &str = "
    SELECT id, account, device, ip, fingerprint, created_at, last_used_at, refresh, generation, idle_ms, expires_at, ends_at
      FROM session
     WHERE id = ?1";

const BY_REFRESH: &str = "
    SELECT id, account, device, ip, fingerprint, created_at, last_used_at, refresh, generation, idle_ms, expires_at, ends_at
      FROM session
     WHERE refresh = ?1";

/// The one used last first.
const OF_ACCOUNT: &str = "
    SELECT id, account, device, ip, fingerprint, created_at, last_used_at, refresh, generation, idle_ms, expires_at, ends_at
      FROM session
     WHERE account = ?1
     ORDER BY last_used_at DESC, id DESC";

/// Of all accounts; sorts the whole table, so it is for query threads.
const USED_LAST: &str = "
    SELECT id, account, device, ip, fingerprint, created_at, last_used_at, refresh, generation, idle_ms, expires_at, ends_at
      FROM session
     WHERE expires_at > ?1
     ORDER BY last_used_at DESC, id DESC
     LIMIT ?2";

const INSERT: &str = "
    INSERT INTO session (id, account, device, ip, fingerprint, created_at, last_used_at, refresh, generation, idle_ms,
                         expires_at, ends_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Expired tokens, and all but the newest few.
const TRIM_SPENT: &str = "
    DELETE FROM spent_refresh
     WHERE session = ?1
       AND (generation <= ?2 OR expires_at <= ?3)";

impl View<'_> {
    pub fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(self.prepare(BY_ID)?.query_row([id], SessionRow::read).optional()?)
    }

    /// The session whose refresh token in force has this hash.
    pub fn session_by_refresh(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>> {
        Ok(self.prepare(BY_REFRESH)?.query_row([hash.as_slice()], SessionRow::read).optional()?)
    }

    /// The session that exchanged this refresh token earlier.
    pub fn session_of_spent(&self, hash: &[u8; 32]) -> Result<Option<String>> {
        Ok(self
            .prepare("SELECT session FROM spent_refresh WHERE hash = ?1")?
            .query_row([hash.as_slice()], |row| row.get(0))
            .optional()?)
    }

    /// Sessions of an account, expired ones too, the one used last first.
    pub fn sessions_of(&self, account: i64) -> Result<Vec<SessionRow>> {
        let mut statement = self.prepare(OF_ACCOUNT)?;
        let rows = statement.query_map([account], SessionRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Sessions that live at `now`, the one used last first.
    pub fn sessions_used_last(&self, now: i64, rows: i64) -> Result<Vec<SessionRow>> {
        let mut statement = self.prepare(USED_LAST)?;
        let rows = statement.query_map((now, rows), SessionRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many sessions live at `now`.
    pub fn session_count(&self, now: i64) -> Result<i64> {
        Ok(self
            .prepare("SELECT count(*) FROM session WHERE expires_at > ?1")?
            .query_row([now], |row| row.get(0))?)
    }
}

impl Unit<'_> {
    pub fn insert_session(&mut self, row: &SessionRow) -> Result<()> {
        self.prepare(INSERT)?.execute((
            &row.id,
            row.account,
            &row.device,
            &row.ip,
            row.fingerprint.as_ref().map(<[u8; 32]>::as_slice),
            row.created_at,
            row.last_used_at,
            row.refresh.as_slice(),
            row.generation,
            row.idle_ms,
            row.expires_at,
            row.ends_at,
        ))?;
        Ok(())
    }

    /// Exchanges the refresh token of `row` for the one with hash `next`; `spent_max` old ones are remembered.
    pub fn rotate_refresh(
        &mut self,
        row: &SessionRow,
        next: &[u8; 32],
        expires_at: i64,
        spent_max: i64,
    ) -> Result<()> {
        let now = self.at();
        self.prepare(TRIM_SPENT)?.execute((&row.id, row.generation - spent_max, now))?;
        self.prepare(
            "INSERT INTO spent_refresh (session, generation, hash, expires_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((&row.id, row.generation, row.refresh.as_slice(), row.expires_at))?;
        self.prepare(
            "UPDATE session
                SET refresh = ?2, generation = ?3, expires_at = ?4, last_used_at = ?5
              WHERE id = ?1",
        )?
        .execute((&row.id, next.as_slice(), row.generation + 1, expires_at, now))?;
        Ok(())
    }

    /// Notes a use; never moves back.
    pub fn touch_session(&mut self, id: &str, at: i64) -> Result<()> {
        self.prepare("UPDATE session SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2")?
            .execute((id, at))?;
        Ok(())
    }

    /// True when there was such a session.
    pub fn remove_session(&mut self, id: &str) -> Result<bool> {
        Ok(self.prepare("DELETE FROM session WHERE id = ?1")?.execute([id])? > 0)
    }

    /// Removes sessions nobody can use any more, a bounded number at a time.
    pub fn remove_expired_sessions(&mut self, now: i64, rows: i64) -> Result<()> {
        self.prepare(
            "DELETE FROM session
              WHERE id IN (SELECT id FROM session WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute([now, rows])?;
        Ok(())
    }
}
