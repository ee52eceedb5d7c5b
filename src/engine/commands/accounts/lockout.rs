//! Guessing is stopped by name: so many failures in a row lock a name's sign-in for a while (SECURITY S33).
//!
//! Invariants
//! L1. The counter is the name's, whether or not there is such an account, on every face, across restarts.
//! L2. Attempts while a name is locked do not count and do not lengthen the lock.

use crate::crypto;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine};
use crate::store::{FailureRow, Unit, View};

/// A longer time without a failure starts the count again.
const GAP_MS: i64 = 30 * 60_000;
/// Names counted at the same time; past that the oldest that are not locked go.
const NAMES_MAX: i64 = 50_000;

/// When a name is locked, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    pub failures: i64,
    pub lock_ms: i64,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { failures: 5, lock_ms: 30 * 60_000 }
    }
}

/// `login` in its stored form.
fn key(login: &str) -> [u8; 32] {
    crypto::sha256(login.as_bytes())
}

/// Milliseconds that a name stays locked.
pub(super) fn locked_ms(view: &View<'_>, login: &str, now: i64) -> Result<Option<i64>> {
    let row = view.sign_in_failures(&key(login))?;
    Ok(row.and_then(|row| row.locked_until).map(|until| until - now).filter(|ms| *ms > 0))
}

/// Counts a failure; the answer is the rest of the lock when the name was locked already.
pub(super) fn count_failure(
    unit: &mut Unit<'_>,
    lockout: Lockout,
    login: &str,
) -> Result<Option<i64>> {
    let now = unit.at();
    if let Some(ms) = locked_ms(unit, login, now)? {
        return Ok(Some(ms));
    }
    let known = unit
        .sign_in_failures(&key(login))?
        .filter(|row| row.locked_until.is_none() && now - row.last_at <= GAP_MS);
    let failures = known.map_or(0, |row| row.failures) + 1;
    let locked_until = (failures >= lockout.failures).then(|| now + lockout.lock_ms);
    let row = FailureRow { failures, last_at: now, locked_until };
    let stale = now - GAP_MS.max(lockout.lock_ms);
    unit.put_sign_in_failures(&key(login), &row, stale, NAMES_MAX)?;
    Ok(None)
}

pub(super) fn forgive(unit: &mut Unit<'_>, login: &str) -> Result<()> {
    Ok(unit.remove_sign_in_failures(&key(login))?)
}

impl Engine {
    /// Counts a wrong password; milliseconds when the name was locked already, which is then the answer to give.
    pub async fn count_sign_in_failure(&self, login: &str) -> Result<Option<i64>> {
        let (login, lockout) = (super::login_name(login), self.options().lockout);
        self.store().write(move |unit| count_failure(unit, lockout, &login)).await
    }

    /// Lifts the lock of a name. For administrators and the command line.
    pub async fn unlock_sign_in(&self, caller: &Caller, login: &str) -> Result<()> {
        self.check_admin(caller)?;
        let login = super::login_name(login);
        self.store()
            .write(move |unit| {
                forgive(unit, &login)?;
                Ok::<_, Error>(())
            })
            .await
    }
}
