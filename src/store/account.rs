//! What accounts sign in with: login name, password hash, second factor, recovery codes.

use rusqlite::{OptionalExtension, Row};

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// A row of table `account`. Holds secrets, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The account's record.
    pub rid: i64,
    pub login: String,
    pub password: Option<String>,
    pub disabled_at: Option<i64>,
    pub totp_seed: Option<Vec<u8>>,
    pub totp_enabled_at: Option<i64>,
    pub totp_step: Option<i64>,
    /// When its holder showed that mail to the login name arrives.
    pub verified_at: Option<i64>,
}

impl AccountRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rid: row.get(0)?,
            login: row.get(1)?,
            password: row.get(2)?,
            disabled_at: row.get(3)?,
            totp_seed: row.get(4)?,
            totp_enabled_at: row.get(5)?,
            totp_step: row.get(6)?,
            verified_at: row.get(7)?,
        })
    }
}

const BY_LOGIN: &str = "
    SELECT rid, login, password, disabled_at, totp_seed, totp_enabled_at, totp_step, verified_login.at
      FROM account
           LEFT JOIN verified_login ON verified_login.account = rid
     WHERE login = ?1";

const BY_RID: &str = "
    SELECT rid, login, password, disabled_at, totp_seed, totp_enabled_at, totp_step, verified_login.at
      FROM account
           LEFT JOIN verified_login ON verified_login.account = rid
     WHERE rid = ?1";

const PAGE: &str = "
    SELECT rid, login, password, disabled_at, totp_seed, totp_enabled_at, totp_step, verified_login.at
      FROM account
           LEFT JOIN verified_login ON verified_login.account = rid
     WHERE rid > ?1
     ORDER BY rid
     LIMIT ?2";

impl View<'_> {
    pub fn account(&self, rid: i64) -> Result<Option<AccountRow>> {
        Ok(self.prepare(BY_RID)?.query_row([rid], AccountRow::read).optional()?)
    }

    /// Accounts, disabled ones too.
    pub fn account_count(&self) -> Result<i64> {
        Ok(self.prepare("SELECT count(*) FROM account")?.query_row([], |row| row.get(0))?)
    }

    /// `login` in its stored form.
    pub fn account_by_login(&self, login: &str) -> Result<Option<AccountRow>> {
        Ok(self.prepare(BY_LOGIN)?.query_row([login], AccountRow::read).optional()?)
    }

    /// Accounts in order of their records' ids, strictly after one.
    pub fn accounts_after(&self, rid: i64, rows: i64) -> Result<Vec<AccountRow>> {
        let mut statement = self.prepare(PAGE)?;
        let rows = statement.query_map([rid, rows], AccountRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Unit<'_> {
    /// An account without a second factor.
    pub fn insert_account(&mut self, rid: i64, login: &str, password: Option<&str>) -> Result<()> {
        self.prepare("INSERT INTO account (rid, login, password) VALUES (?1, ?2, ?3)")?
            .execute((rid, login, password))?;
        Ok(())
    }

    pub fn set_password(&mut self, rid: i64, password: &str) -> Result<()> {
        self.prepare("UPDATE account SET password = ?2 WHERE rid = ?1")?
            .execute((rid, password))?;
        Ok(())
    }

    /// Mail to the login name arrives. The first time counts.
    pub fn set_verified(&mut self, rid: i64, at: i64) -> Result<()> {
        self.prepare("INSERT OR IGNORE INTO verified_login (account, at) VALUES (?1, ?2)")?
            .execute([rid, at])?;
        Ok(())
    }

    pub fn set_disabled(&mut self, rid: i64, disabled_at: Option<i64>) -> Result<()> {
        self.prepare("UPDATE account SET disabled_at = ?2 WHERE rid = ?1")?
            .execute((rid, disabled_at))?;
        Ok(())
    }

    /// Replaces the second factor; `None` takes it away.
    pub fn set_totp_seed(&mut self, rid: i64, seed: Option<&[u8]>) -> Result<()> {
        self.prepare(
            "UPDATE account
                SET totp_seed = ?2, totp_enabled_at = NULL, totp_step = NULL
              WHERE rid = ?1",
        )?
        .execute((rid, seed))?;
        Ok(())
    }

    pub fn set_totp_enabled(&mut self, rid: i64, at: i64) -> Result<()> {
        self.prepare("UPDATE account SET totp_enabled_at = ?2 WHERE rid = ?1")?
            .execute([rid, at])?;
        Ok(())
    }

    /// Steps up to `step` are used up.
    pub fn set_totp_step(&mut self, rid: i64, step: i64) -> Result<()> {
        self.prepare("UPDATE account SET totp_step = ?2 WHERE rid = ?1")?.execute([rid, step])?;
        Ok(())
    }

    /// Replaces every recovery code of an account.
    pub fn set_recovery_codes(&mut self, rid: i64, hashes: &[[u8; 32]]) -> Result<()> {
        self.prepare("DELETE FROM recovery_code WHERE account = ?1")?.execute([rid])?;
        let mut insert =
            self.prepare("INSERT INTO recovery_code (account, hash) VALUES (?1, ?2)")?;
        for hash in hashes {
            insert.execute((rid, hash.as_slice()))?;
        }
        Ok(())
    }

    /// Uses up a recovery code; true when the account had it.
    pub fn take_recovery_code(&mut self, rid: i64, hash: &[u8; 32]) -> Result<bool> {
        Ok(self
            .prepare("DELETE FROM recovery_code WHERE account = ?1 AND hash = ?2")?
            .execute((rid, hash.as_slice()))?
            > 0)
    }
}
