//! The second factor of an account, and its password: switching on, proving, switching off.
//!
//! Invariants
//! F1. A code's step and a recovery code are used up in the unit that accepts them.
//! F2. Taking a factor away or changing the password needs a sign-in within the last minutes, and ends all other sessions.

use std::sync::Arc;

use super::sessions::{end_all, is_fresh};
use super::sign_in::Credentials;
use super::{live, lockout, own};
use crate::crypto::totp;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Inner};
use crate::store::{AccountRow, Unit};

/// Something that proves the second factor.
#[derive(Clone)]
pub enum Proof {
    Code(String),
    RecoveryCode(String),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(***)")
    }
}

/// What to set an authenticator up with; shown this once.
#[derive(Clone)]
pub struct Enrolment {
    pub login: String,
    pub seed: [u8; totp::SEED_BYTES],
    /// `XXXX-XXXX-XXXX-XXXX`
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment(***)")
    }
}

/// What became of a change that has to be proven.
#[derive(Clone, Debug)]
pub enum Answer<T> {
    Done(T),
    /// The code or the password was wrong.
    Wrong,
    /// For so many milliseconds.
    Locked(i64),
    /// There is no second factor to confirm or to take away.
    NotEnrolled,
    /// The sign-in was too long ago.
    NotFresh,
}

/// Whether a proof is right; a right one is used up.
pub(super) fn is_right(unit: &mut Unit<'_>, account: &AccountRow, proof: &Proof) -> Result<bool> {
    match proof {
        Proof::Code(code) => {
            let Some(seed) = &account.totp_seed else { return Ok(false) };
            let step = totp::verify_code(seed, code, unit.now_ms(), account.totp_step);
            if let Some(step) = step {
                unit.set_totp_step(account.rid, step)?;
            }
            Ok(step.is_some())
        }
        Proof::RecoveryCode(typed) => match totp::recovery_hash(typed) {
            Some(hash) => Ok(unit.take_recovery_code(account.rid, &hash)?),
            None => Ok(false),
        },
    }
}

/// As [`is_right`] for a factor in force: wrong proofs count, a locked name is not asked.
fn prove(
    inner: &Inner,
    unit: &mut Unit<'_>,
    account: &AccountRow,
    proof: &Proof,
) -> Result<Answer<()>> {
    if account.totp_enabled_at.is_none() {
        return Ok(Answer::NotEnrolled);
    }
    let now = unit.at();
    if let Some(ms) = lockout::locked_ms(unit, &account.login, now)? {
        return Ok(Answer::Locked(ms));
    }
    if is_right(unit, account, proof)? {
        return Ok(Answer::Done(()));
    }
    lockout::count_failure(unit, inner.options.lockout, &account.login)?;
    Ok(Answer::Wrong)
}

fn own_account(unit: &Unit<'_>, rid: i64) -> Result<AccountRow> {
    live(unit, rid)?.map(|(account, _)| account).ok_or(Error::Unauthenticated)
}

/// Fresh recovery codes in place of the old ones.
fn renew_codes(inner: &Inner, unit: &mut Unit<'_>, rid: i64) -> Result<Vec<String>> {
    let codes = totp::new_recovery_codes(&inner.options.rng);
    let hashes: Vec<[u8; 32]> = codes.iter().map(|code| code.hash).collect();
    unit.set_recovery_codes(rid, &hashes)?;
    Ok(codes.into_iter().map(|code| code.text).collect())
}

impl Engine {
    /// Prepares a second factor, which is asked for once [`Engine::confirm_factor`] was right.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is one in force.
    pub async fn enable_factor(&self, caller: &Caller) -> Result<Enrolment> {
        let (inner, rid) = (Arc::clone(&self.inner), own(caller)?);
        self.store()
            .write(move |unit| {
                let account = own_account(unit, rid)?;
                if account.totp_enabled_at.is_some() {
                    return Err(Error::Conflict("a second factor is in force already".into()));
                }
                let seed = totp::new_seed(&inner.options.rng);
                unit.set_totp_seed(rid, Some(&seed))?;
                let recovery_codes = renew_codes(&inner, unit, rid)?;
                Ok(Enrolment { login: account.login, seed, recovery_codes })
            })
            .await
    }

    /// Puts a prepared second factor into force. In force already: only looks whether the code is right.
    pub async fn confirm_factor(&self, caller: &Caller, code: &str) -> Result<Answer<()>> {
        let (inner, rid) = (Arc::clone(&self.inner), own(caller)?);
        let proof = Proof::Code(code.to_owned());
        self.store()
            .write(move |unit| {
                let account = own_account(unit, rid)?;
                if account.totp_enabled_at.is_some() {
                    return prove(&inner, unit, &account, &proof);
                }
                if account.totp_seed.is_none() {
                    return Ok(Answer::NotEnrolled);
                }
                // Nothing to guess here: whoever confirms was shown the seed.
                if !is_right(unit, &account, &proof)? {
                    return Ok(Answer::Wrong);
                }
                let at = unit.at();
                unit.set_totp_enabled(rid, at)?;
                Ok(Answer::Done(()))
            })
            .await
    }

    /// Takes the second factor away and ends all other sessions.
    pub async fn disable_factor(&self, caller: &Caller, proof: Proof) -> Result<Answer<()>> {
        let (inner, rid, caller) = (Arc::clone(&self.inner), own(caller)?, caller.clone());
        self.store()
            .write(move |unit| {
                let (account, now) = (own_account(unit, rid)?, unit.at());
                if account.totp_enabled_at.is_none() {
                    return Ok(Answer::NotEnrolled);
                }
                if !is_fresh(unit, &caller, now)? {
                    return Ok(Answer::NotFresh);
                }
                let answer = prove(&inner, unit, &account, &proof)?;
                if let Answer::Done(()) = answer {
                    unit.set_totp_seed(rid, None)?;
                    unit.set_recovery_codes(rid, &[])?;
                    end_all(&inner, unit, rid, caller.session().map(|id| &**id))?;
                }
                Ok(answer)
            })
            .await
    }

    /// Fresh recovery codes; the old ones are void.
    pub async fn renew_recovery_codes(
        &self,
        caller: &Caller,
        proof: Proof,
    ) -> Result<Answer<Vec<String>>> {
        let (inner, rid) = (Arc::clone(&self.inner), own(caller)?);
        self.store()
            .write(move |unit| {
                let account = own_account(unit, rid)?;
                Ok(match prove(&inner, unit, &account, &proof)? {
                    Answer::Done(()) => Answer::Done(renew_codes(&inner, unit, rid)?),
                    Answer::Wrong => Answer::Wrong,
                    Answer::Locked(ms) => Answer::Locked(ms),
                    Answer::NotEnrolled => Answer::NotEnrolled,
                    Answer::NotFresh => Answer::NotFresh,
                })
            })
            .await
    }

    /// Sets the caller's own password, once the old one was compared, and ends all other sessions.
    pub async fn change_password(
        &self,
        caller: &Caller,
        checked: Credentials,
        hash: String,
    ) -> Result<Answer<()>> {
        let (inner, rid, caller) = (Arc::clone(&self.inner), own(caller)?, caller.clone());
        self.store()
            .write(move |unit| {
                let (account, now) = (own_account(unit, rid)?, unit.at());
                if !is_fresh(unit, &caller, now)? {
                    return Ok(Answer::NotFresh);
                }
                if account.password.as_deref() != checked.password() {
                    return Ok(Answer::Wrong);
                }
                unit.set_password(rid, &hash)?;
                end_all(&inner, unit, rid, caller.session().map(|id| &**id))?;
                Ok(Answer::Done(()))
            })
            .await
    }

    /// Sets somebody's password and ends their sessions. For administrators and the command line.
    pub async fn set_password(&self, caller: &Caller, user_id: &str, hash: String) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, rid) = (Arc::clone(&self.inner), super::rid_of_user(user_id)?);
        let user_id = user_id.to_owned();
        self.store()
            .write(move |unit| {
                let account = unit.account(rid)?.ok_or_else(|| super::missing(&user_id))?;
                unit.set_password(rid, &hash)?;
                lockout::forgive(unit, &account.login)?;
                end_all(&inner, unit, rid, None)
            })
            .await
    }
}
