//! Signing in, as far as it is not hashing: look up, lock, second factor, session.
//!
//! A sign-in is three steps, because a hash takes tens of milliseconds: [`Engine::credentials`] reads, `auth` compares,
//! then [`Engine::finish_sign_in`] or [`Engine::count_sign_in_failure`] writes.

use std::sync::Arc;

use super::factors::{self, Proof};
use super::sessions::{self, Device, SignedIn, Terms};
use super::{live, lockout, login_name, own};
use crate::crypto;
use crate::engine::error::Result;
use crate::engine::{Caller, Engine, Inner};
use crate::store::{AccountRow, ChallengeRow, Unit};

/// Life of a challenge between password and second factor.
const CHALLENGE_MS: i64 = 300_000;
/// Wrong codes that one challenge takes.
const CHALLENGE_TRIES: i64 = 5;
/// Open challenges of one account; past that the oldest go.
const CHALLENGES_MAX: i64 = 10;
const CHALLENGE_BYTES: usize = 32;

/// What a password has to be compared with.
#[derive(Clone)]
pub struct Credentials {
    rid: i64,
    login: String,
    password: Option<String>,
}

impl Credentials {
    /// PHC string.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// What is known of a name that somebody wants to sign in with.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// For so many milliseconds.
    Locked(i64),
    Known(Credentials),
    /// No such account, or it may not sign in: to be treated as a wrong password.
    Unknown,
}

/// What a right password led to.
#[derive(Clone, Debug)]
pub enum SignIn {
    Done(Box<SignedIn>),
    /// The secret of a challenge: the second factor is asked for.
    SecondFactor(String),
    Locked(i64),
    /// The account or its password changed while the password was compared.
    Refused,
}

/// What a second factor led to.
#[derive(Clone, Debug)]
pub enum SecondFactor {
    Done(Box<SignedIn>),
    Wrong,
    Locked(i64),
    /// The challenge is unknown, expired or used up.
    NoChallenge,
}

impl Engine {
    /// What to compare a password with.
    pub fn credentials(&self, login: &str) -> Result<Attempt> {
        let login = login_name(login);
        self.store().read(|view| {
            if let Some(ms) = lockout::locked_ms(view, &login, view.now_ms())? {
                return Ok(Attempt::Locked(ms));
            }
            let Some(account) = view.account_by_login(&login)? else {
                return Ok(Attempt::Unknown);
            };
            Ok(match live(view, account.rid)? {
                Some(_) => Attempt::Known(Credentials {
                    rid: account.rid,
                    login,
                    password: account.password,
                }),
                None => Attempt::Unknown,
            })
        })
    }

    /// What to compare the caller's own password with.
    pub fn own_credentials(&self, caller: &Caller) -> Result<Attempt> {
        let rid = own(caller)?;
        match self.store().read(|view| view.account(rid))? {
            Some(account) => self.credentials(&account.login),
            None => Ok(Attempt::Unknown),
        }
    }

    /// The password was right: a session, or the question for the second factor. `rehashed` replaces a hash that is
    /// weaker than wanted.
    pub async fn finish_sign_in(
        &self,
        checked: Credentials,
        rehashed: Option<String>,
        device: Device,
        terms: Terms,
    ) -> Result<SignIn> {
        let inner = Arc::clone(&self.inner);
        self.store()
            .write(move |unit| finish(&inner, unit, &checked, rehashed, &device, terms))
            .await
    }

    /// Answers a challenge with a code.
    pub async fn finish_second_factor(
        &self,
        challenge: &str,
        proof: Proof,
        device: Device,
        terms: Terms,
    ) -> Result<SecondFactor> {
        let (inner, hash) = (Arc::clone(&self.inner), crypto::sha256(challenge.as_bytes()));
        self.store().write(move |unit| prove(&inner, unit, &hash, &proof, device, terms)).await
    }
}

fn finish(
    inner: &Inner,
    unit: &mut Unit<'_>,
    checked: &Credentials,
    rehashed: Option<String>,
    device: &Device,
    terms: Terms,
) -> Result<SignIn> {
    let now = unit.at();
    // Others may have failed on this name, or changed the password, since it was looked up.
    if let Some(ms) = lockout::locked_ms(unit, &checked.login, now)? {
        return Ok(SignIn::Locked(ms));
    }
    let Some((account, _)) = live(unit, checked.rid)? else { return Ok(SignIn::Refused) };
    if account.password != checked.password {
        return Ok(SignIn::Refused);
    }
    if let Some(hash) = rehashed {
        unit.set_password(account.rid, &hash)?;
    }
    after_password(inner, unit, &account, device, terms)
}

/// The first factor was right: a session, or the question for the second one.
pub(super) fn after_password(
    inner: &Inner,
    unit: &mut Unit<'_>,
    account: &AccountRow,
    device: &Device,
    terms: Terms,
) -> Result<SignIn> {
    let now = unit.at();
    if account.totp_enabled_at.is_some() {
        let secret = inner.options.rng.base64url(CHALLENGE_BYTES);
        let row = ChallengeRow {
            account: account.rid,
            fingerprint: device.fingerprint_hash(),
            failures: 0,
            expires_at: now + CHALLENGE_MS,
        };
        unit.insert_mfa_challenge(&crypto::sha256(secret.as_bytes()), &row, CHALLENGES_MAX)?;
        return Ok(SignIn::SecondFactor(secret));
    }
    lockout::forgive(unit, &account.login)?;
    Ok(SignIn::Done(Box::new(sessions::start(inner, unit, account.rid, device, terms)?)))
}

fn prove(
    inner: &Inner,
    unit: &mut Unit<'_>,
    hash: &[u8; 32],
    proof: &Proof,
    device: Device,
    terms: Terms,
) -> Result<SecondFactor> {
    let now = unit.at();
    let Some(challenge) = unit.mfa_challenge(hash)?.filter(|row| row.expires_at > now) else {
        return Ok(SecondFactor::NoChallenge);
    };
    let Some((account, _)) = live(unit, challenge.account)? else {
        return Ok(SecondFactor::NoChallenge);
    };
    if let Some(ms) = lockout::locked_ms(unit, &account.login, now)? {
        return Ok(SecondFactor::Locked(ms));
    }
    if !factors::is_right(unit, &account, proof)? {
        let failures = challenge.failures + 1;
        if failures >= CHALLENGE_TRIES {
            unit.remove_mfa_challenge(hash)?;
        } else {
            unit.set_mfa_failures(hash, failures)?;
        }
        lockout::count_failure(unit, inner.options.lockout, &account.login)?;
        return Ok(SecondFactor::Wrong);
    }
    unit.remove_mfa_challenge(hash)?;
    lockout::forgive(unit, &account.login)?;
    let began_on = challenge.fingerprint;
    let started = sessions::start_bound(inner, unit, account.rid, &device, began_on, terms)?;
    Ok(SecondFactor::Done(Box::new(started)))
}
