//! Links sent by mail. Kept as SHA-256 only.

use rusqlite::{OptionalExtension, Row};

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// What a link is for. The numbers are in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    SignIn = 0,
    Verify = 1,
    ResetPassword = 2,
    Invite = 3,
}

/// A row of table `mail_link` without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailLinkRow {
    /// `None` for an invitation.
    pub account: Option<i64>,
    pub login: String,
    pub role: Option<String>,
    pub expires_at: i64,
}

impl MailLinkRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            account: row.get(0)?,
            login: row.get(1)?,
            role: row.get(2)?,
            expires_at: row.get(3)?,
        })
    }
}

const BY_HASH: &str = "
    SELECT account, login, role, expires_at
      FROM mail_link
     WHERE hash = ?1
       AND purpose = ?2";

const NEWEST: &str = "
    SELECT max(created_at)
      FROM mail_link
     WHERE login = ?1
       AND purpose = ?2";

/// Keeps the newest links of a name and purpose.
const TRIM: &str = "
    DELETE FROM mail_link
     WHERE hash IN (SELECT hash
                      FROM mail_link
                     WHERE login = ?1
                       AND purpose = ?2
                     ORDER BY created_at DESC
                     LIMIT -1 OFFSET ?3)";

impl View<'_> {
    pub fn mail_link(&self, hash: &[u8; 32], purpose: LinkPurpose) -> Result<Option<MailLinkRow>> {
        let purpose = purpose as i64;
        Ok(self
            .prepare(BY_HASH)?
            .query_row((hash.as_slice(), purpose), MailLinkRow::read)
            .optional()?)
    }

    /// When the newest open link of a name was made.
    pub fn newest_mail_link(&self, login: &str, purpose: LinkPurpose) -> Result<Option<i64>> {
        Ok(self.prepare(NEWEST)?.query_row((login, purpose as i64), |row| row.get(0))?)
    }
}

impl Unit<'_> {
    /// Stores a link, after sweeping dead ones; a name keeps at most `open_max` of a purpose.
    pub fn insert_mail_link(
        &mut self,
        hash: &[u8; 32],
        purpose: LinkPurpose,
        row: &MailLinkRow,
        open_max: i64,
    ) -> Result<()> {
        let (now, purpose) = (self.at(), purpose as i64);
        self.prepare("DELETE FROM mail_link WHERE expires_at <= ?1")?.execute([now])?;
        self.prepare(TRIM)?.execute((&row.login, purpose, open_max - 1))?;
        self.prepare(
            "INSERT INTO mail_link (hash, purpose, account, login, role, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            hash.as_slice(),
            purpose,
            row.account,
            &row.login,
            &row.role,
            now,
            row.expires_at,
        ))?;
        Ok(())
    }

    /// Uses a link up; `None` when there is none that is alive.
    pub fn take_mail_link(
        &mut self,
        hash: &[u8; 32],
        purpose: LinkPurpose,
    ) -> Result<Option<MailLinkRow>> {
        let found = self.mail_link(hash, purpose)?;
        self.prepare("DELETE FROM mail_link WHERE hash = ?1 AND purpose = ?2")?
            .execute((hash.as_slice(), purpose as i64))?;
        let now = self.at();
        Ok(found.filter(|row| row.expires_at > now))
    }

    pub fn remove_mail_links_of(&mut self, account: i64) -> Result<()> {
        self.prepare("DELETE FROM mail_link WHERE account = ?1")?.execute([account])?;
        Ok(())
    }
}
