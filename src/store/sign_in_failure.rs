//! Counters of wrong passwords and codes, one for each login name that was tried.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// What is known of a name; the name itself is kept as SHA-256 only, since people type passwords there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureRow {
    pub failures: i64,
    pub last_at: i64,
    pub locked_until: Option<i64>,
}

/// Makes room: names that are not locked go first, the oldest first.
const MAKE_ROOM: &str = "
    DELETE FROM sign_in_failure
     WHERE name IN (SELECT name
                      FROM sign_in_failure
                     ORDER BY coalesce(locked_until, 0) > ?1, last_at
                     LIMIT ?2)";

impl View<'_> {
    pub fn sign_in_failures(&self, name: &[u8; 32]) -> Result<Option<FailureRow>> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(FailureRow {
                failures: row.get(0)?,
                last_at: row.get(1)?,
                locked_until: row.get(2)?,
            })
        };
        Ok(self
            .prepare("SELECT failures, last_at, locked_until FROM sign_in_failure WHERE name = ?1")?
            .query_row([name.as_slice()], read)
            .optional()?)
    }
}

impl Unit<'_> {
    /// Stores a counter, after sweeping those last touched before `stale`; at most `names_max` stay.
    pub fn put_sign_in_failures(
        &mut self,
        name: &[u8; 32],
        row: &FailureRow,
        stale: i64,
        names_max: i64,
    ) -> Result<()> {
        self.prepare("DELETE FROM sign_in_failure WHERE last_at < ?1")?.execute([stale])?;
        if row.failures == 1 {
            let names: i64 = self
                .prepare("SELECT count(*) FROM sign_in_failure")?
                .query_row([], |row| row.get(0))?;
            if names >= names_max {
                self.prepare(MAKE_ROOM)?.execute([row.last_at, names - names_max + 1])?;
            }
        }
        self.prepare(
            "INSERT OR REPLACE INTO sign_in_failure (name, failures, last_at, locked_until)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((name.as_slice(), row.failures, row.last_at, row.locked_until))?;
        Ok(())
    }

    pub fn remove_sign_in_failures(&mut self, name: &[u8; 32]) -> Result<()> {
        self.prepare("DELETE FROM sign_in_failure WHERE name = ?1")?.execute([name.as_slice()])?;
        Ok(())
    }
}
