//! Answers remembered for requests that may be sent twice.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A remembered answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    pub fingerprint: Vec<u8>,
    pub status: u16,
    pub body: String,
}

impl View<'_> {
    /// The answer to this caller's key, unless it was given before `since` (milliseconds).
    pub fn answer(&self, who: &str, key: &str, since: i64) -> Result<Option<AnswerRow>> {
        Ok(self
            .prepare(
                "SELECT fingerprint, status, body
                   FROM answer
                  WHERE who = ?1
                    AND key = ?2
                    AND at >= ?3",
            )?
            .query_row((who, key, since), |row| {
                Ok(AnswerRow { fingerprint: row.get(0)?, status: row.get(1)?, body: row.get(2)? })
            })
            .optional()?)
    }
}

impl Unit<'_> {
    /// Remembers an answer, and forgets those given before `since`.
    pub fn remember_answer(
        &mut self,
        who: &str,
        key: &str,
        answer: &AnswerRow,
        since: i64,
    ) -> Result<()> {
        self.prepare("DELETE FROM answer WHERE at < ?1")?.execute([since])?;
        let at = self.at;
        self.prepare(
            "INSERT OR REPLACE INTO answer (who, key, fingerprint, status, body, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((who, key, &answer.fingerprint, answer.status, &answer.body, at))?;
        Ok(())
    }
}
