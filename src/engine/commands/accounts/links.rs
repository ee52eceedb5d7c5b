//! Links sent by mail: made for a name, good once, for a short while.
//!
//! Knows what a link is worth. Does not know mail: `auth` sends the secret and hands it back in.
//!
//! Invariants
//! K1. A secret leaves this file once, when it is made; the file keeps its SHA-256 (SECURITY S30).
//! K2. Making a link for a name without an account makes none, and says so to nobody but `auth`.
//! K3. A name is sent at most one letter of a kind a minute: nobody fills somebody else's mailbox.

use std::sync::Arc;

use super::sessions::{self, Device, SignedIn, Terms};
use super::sign_in::after_password;
use super::{NewAccount, SignIn, insert, live, lockout, login_name, own};
use crate::crypto;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Role};
pub use crate::store::LinkPurpose;
use crate::store::{MailLinkRow, Unit};

/// Between two letters of a kind to one name.
pub const LETTER_PAUSE_MS: i64 = 60_000;
const SECRET_BYTES: usize = 32;
/// Links of a kind that one name may have open; past that the oldest is void.
const OPEN_MAX: i64 = 3;
const MINUTE_MS: i64 = 60_000;

/// How long a link lives.
#[must_use]
pub fn link_ms(purpose: LinkPurpose) -> i64 {
    match purpose {
        LinkPurpose::SignIn => 15 * MINUTE_MS,
        LinkPurpose::ResetPassword => 30 * MINUTE_MS,
        LinkPurpose::Verify => 24 * 60 * MINUTE_MS,
        LinkPurpose::Invite => 7 * 24 * 60 * MINUTE_MS,
    }
}

/// A link to be sent.
#[derive(Clone)]
pub struct NewLink {
    pub secret: String,
    pub login: String,
    /// Milliseconds.
    pub expires_at: i64,
}

impl std::fmt::Debug for NewLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewLink({})", self.login)
    }
}

/// What an invitation is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub login: String,
    pub role: Role,
}

impl Invitation {
    fn of(row: &MailLinkRow) -> Self {
        let role = row.role.as_deref().and_then(Role::parse).unwrap_or(Role::Viewer);
        Self { login: row.login.clone(), role }
    }
}

fn hashed(secret: &str) -> [u8; 32] {
    crypto::sha256(secret.as_bytes())
}

fn make(
    inner: &crate::engine::Inner,
    unit: &mut Unit<'_>,
    purpose: LinkPurpose,
    row: MailLinkRow,
) -> Result<NewLink> {
    let secret = inner.options.rng.base64url(SECRET_BYTES);
    unit.insert_mail_link(&hashed(&secret), purpose, &row, OPEN_MAX)?;
    Ok(NewLink { secret, login: row.login, expires_at: row.expires_at })
}

impl Engine {
    /// Makes a link for whoever has this login name; `None` where nobody has, or one was made just now.
    pub async fn make_mail_link(
        &self,
        login: &str,
        purpose: LinkPurpose,
    ) -> Result<Option<NewLink>> {
        let (inner, login) = (Arc::clone(&self.inner), login_name(login));
        self.store()
            .write(move |unit| {
                let now = unit.at();
                let Some(account) = unit.account_by_login(&login)? else { return Ok(None) };
                if live(unit, account.rid)?.is_none() {
                    return Ok(None);
                }
                let newest = unit.newest_mail_link(&login, purpose)?;
                if newest.is_some_and(|at| now - at < LETTER_PAUSE_MS) {
                    return Ok(None);
                }
                let expires_at = now + link_ms(purpose);
                let row = MailLinkRow { account: Some(account.rid), login, role: None, expires_at };
                make(&inner, unit, purpose, row).map(Some)
            })
            .await
    }

    /// Invites somebody. For administrators.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name has an account.
    pub async fn invite(&self, caller: &Caller, login: &str, role: Role) -> Result<NewLink> {
        self.check_admin(caller)?;
        let (inner, login) = (Arc::clone(&self.inner), login_name(login));
        self.store()
            .write(move |unit| {
                if unit.account_by_login(&login)?.is_some() {
                    return Err(Error::Conflict("this name has an account already".into()));
                }
                let expires_at = unit.at() + link_ms(LinkPurpose::Invite);
                let role = Some(role.name().to_owned());
                let row = MailLinkRow { account: None, login, role, expires_at };
                make(&inner, unit, LinkPurpose::Invite, row)
            })
            .await
    }

    /// What an invitation is good for, without using it up.
    pub fn invitation(&self, secret: &str) -> Result<Option<Invitation>> {
        let (hash, now) = (hashed(secret), self.clock().now_ms());
        let row = self.store().read(|view| view.mail_link(&hash, LinkPurpose::Invite))?;
        Ok(row.filter(|row| row.expires_at > now).as_ref().map(Invitation::of))
    }

    /// Makes the account that an invitation is for, with its role, and its first session. `None` when the invitation is not
    /// good, or for somebody else.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name has an account meanwhile.
    pub async fn sign_up_invited(
        &self,
        secret: &str,
        mut new: NewAccount,
        device: Device,
        terms: Terms,
    ) -> Result<Option<SignedIn>> {
        let (inner, hash) = (Arc::clone(&self.inner), hashed(secret));
        self.store()
            .write_several(move |unit| {
                let Some(row) = unit.take_mail_link(&hash, LinkPurpose::Invite)? else {
                    return Ok(None);
                };
                let invitation = Invitation::of(&row);
                if invitation.login != login_name(&new.login) {
                    // Refused whole, so that the invitation stays good for whom it is for.
                    return Err(Error::Denied);
                }
                new.role = invitation.role;
                let rid = insert(&inner, unit, &new)?;
                let at = unit.at();
                unit.set_verified(rid, at)?;
                sessions::start(&inner, unit, rid, &device, terms).map(Some)
            })
            .await
    }

    /// Signs in by a link, which shows that mail arrives; a second factor is asked for all the same. `None` when the link is
    /// not good.
    pub async fn sign_in_by_link(
        &self,
        secret: &str,
        device: Device,
        terms: Terms,
    ) -> Result<Option<SignIn>> {
        let (inner, hash) = (Arc::clone(&self.inner), hashed(secret));
        self.store()
            .write(move |unit| {
                let Some(rid) = account_of(unit, &hash, LinkPurpose::SignIn)? else {
                    return Ok(None);
                };
                let Some((account, _)) = live(unit, rid)? else { return Ok(None) };
                let at = unit.at();
                unit.set_verified(rid, at)?;
                after_password(&inner, unit, &account, &device, terms).map(Some)
            })
            .await
    }

    /// Notes that mail to a name arrives; false when the link is not good.
    pub async fn verify_by_link(&self, secret: &str) -> Result<bool> {
        let hash = hashed(secret);
        self.store()
            .write(move |unit| {
                let Some(rid) = account_of(unit, &hash, LinkPurpose::Verify)? else {
                    return Ok(false);
                };
                let at = unit.at();
                unit.set_verified(rid, at)?;
                Ok::<_, Error>(true)
            })
            .await
    }

    /// The name whose password a link may set, without using it up.
    pub fn reset_link_login(&self, secret: &str) -> Result<Option<String>> {
        let (hash, now) = (hashed(secret), self.clock().now_ms());
        let row = self.store().read(|view| view.mail_link(&hash, LinkPurpose::ResetPassword))?;
        Ok(row.filter(|row| row.expires_at > now).map(|row| row.login))
    }

    /// Sets a password by a link. Every session ends, every other link is void, a lock is lifted: whoever reads the mail is
    /// the holder. False when the link is not good.
    pub async fn reset_password(&self, secret: &str, hash: String) -> Result<bool> {
        let (inner, link) = (Arc::clone(&self.inner), hashed(secret));
        self.store()
            .write_several(move |unit| {
                let Some(rid) = account_of(unit, &link, LinkPurpose::ResetPassword)? else {
                    return Ok(false);
                };
                let Some((account, _)) = live(unit, rid)? else { return Ok(false) };
                let at = unit.at();
                unit.set_password(rid, &hash)?;
                unit.set_verified(rid, at)?;
                unit.remove_mail_links_of(rid)?;
                lockout::forgive(unit, &account.login)?;
                sessions::end_all(&inner, unit, rid, None)?;
                Ok(true)
            })
            .await
    }

    /// The caller's own name, to send a letter to, and whether mail there is known to arrive.
    pub fn own_address(&self, caller: &Caller) -> Result<(String, bool)> {
        let rid = own(caller)?;
        let account = self.store().read(|view| view.account(rid))?;
        account
            .map(|account| (account.login, account.verified_at.is_some()))
            .ok_or(Error::Unauthenticated)
    }
}

/// Uses a link up; the account it is for, should the name still be that account's.
fn account_of(unit: &mut Unit<'_>, hash: &[u8; 32], purpose: LinkPurpose) -> Result<Option<i64>> {
    let Some(row) = unit.take_mail_link(hash, purpose)? else { return Ok(None) };
    let account = row.account.map(|rid| unit.account(rid)).transpose()?.flatten();
    Ok(account.filter(|account| account.login == row.login).map(|account| account.rid))
}
