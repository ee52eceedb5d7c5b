//! Signing up, signing in, refreshing: what the faces' account addresses have in common.
//!
//! Puts together the engine's accounts, the password threads, the password policy and access tokens. A face reads its own
//! wire form, calls one method, and words the refusal.
//!
//! Invariants
//! A1. Unknown name, wrong password and disabled account cost the same and answer the same (SECURITY S32).
//! A2. A locked name is refused before its password is looked at, and again after.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::access_token::{AccessTokens, IssuedToken};
use super::password_policy::{PasswordChars, check_password};
use super::password_pool::{PasswordPool, PoolError, Verdict};
use crate::crypto::totp;
use crate::engine::accounts::{
    Answer, Attempt, Credentials, Device, NewAccount, Proof, Refresh, SecondFactor, SignIn,
    SignedIn, Terms, login_name,
};
use crate::engine::{Caller, Engine, Error, Role};
use crate::schema::FieldFault;

/// Bytes of an e-mail address.
pub const EMAIL_BYTES_MAX: usize = 254;
const DISPLAY_NAME_CHARS_MAX: usize = 200;
const AVATAR_URL_BYTES_MAX: usize = 2_048;
const METADATA_BYTES_MAX: usize = 16 * 1024;

/// Who may make an account for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpPolicy {
    Open,
    /// Whoever was invited; addresses without a place for an invitation refuse.
    Invite,
    Closed,
}

/// What is configured about accounts.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub sign_up: SignUpPolicy,
    pub new_role: Role,
    pub password_chars: PasswordChars,
    /// What an authenticator shows beside the login name.
    pub totp_issuer: String,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            sign_up: SignUpPolicy::Closed,
            new_role: Role::Editor,
            password_chars: PasswordChars::default(),
            totp_issuer: "Cairn".into(),
        }
    }
}

/// Why somebody was not let in, or a change of an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Also for names that do not exist.
    #[error("wrong name or password")]
    InvalidCredentials,
    #[error("wrong code")]
    InvalidCode,
    /// Too many failures on this name.
    #[error("too many failed sign-ins; try again in {} minutes", .retry_after_s.div_ceil(60))]
    Locked { retry_after_s: u64 },
    /// A refresh token, a challenge or a session that is not good (any more).
    #[error("not signed in, or not any more")]
    Unauthenticated,
    #[error("sign-up is closed here; ask the owner for an account")]
    SignUpClosed,
    /// Something that needs a sign-in within the last minutes.
    #[error("sign in again to do this")]
    NotFresh,
    #[error("no second factor is set up")]
    NotEnrolled,
    #[error(transparent)]
    Engine(#[from] Error),
}

impl From<PoolError> for AccountError {
    fn from(_: PoolError) -> Self {
        // The process ending is, for the one who asks, the same: try again shortly.
        Self::Engine(Error::Busy)
    }
}

/// What somebody signs up with, as typed.
#[derive(Clone, Default)]
pub struct SignUpForm {
    pub email: String,
    pub password: String,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
    pub metadata: Map<String, Value>,
}

impl std::fmt::Debug for SignUpForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignUpForm({})", self.email)
    }
}

/// A session with its tokens.
#[derive(Clone, Debug)]
pub struct Session {
    pub signed_in: SignedIn,
    pub access: IssuedToken,
}

/// What a right password led to.
#[derive(Clone, Debug)]
pub enum Welcome {
    Session(Box<Session>),
    /// The secret of a challenge.
    SecondFactor(String),
}

/// What an authenticator is set up with.
#[derive(Clone)]
pub struct FactorSetup {
    /// Base 32.
    pub secret: String,
    /// `otpauth://…`
    pub uri: String,
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for FactorSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FactorSetup(***)")
    }
}

/// The account addresses of all faces, without their wire forms.
pub struct Accounts {
    engine: Engine,
    passwords: Arc<PasswordPool>,
    tokens: Arc<AccessTokens>,
    settings: AccountSettings,
}

impl Accounts {
    #[must_use]
    pub fn new(
        engine: Engine,
        passwords: Arc<PasswordPool>,
        tokens: Arc<AccessTokens>,
        settings: AccountSettings,
    ) -> Self {
        Self { engine, passwords, tokens, settings }
    }

    /// Makes an account and signs it in.
    ///
    /// # Errors
    /// [`AccountError::SignUpClosed`]; [`Error::Invalid`] naming the fields `email`, `password`, `displayName`,
    /// `avatarUrl`, `metadata`; [`Error::Conflict`] when the address has an account.
    pub async fn sign_up(
        &self,
        form: SignUpForm,
        device: Device,
        terms: Terms,
    ) -> Result<Session, AccountError> {
        if self.settings.sign_up != SignUpPolicy::Open {
            return Err(AccountError::SignUpClosed);
        }
        let faults = self.sign_up_faults(&form);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults).into());
        }
        // Before a hash is spent on it; the writer decides.
        if !self.engine.is_login_free(&form.email)? {
            return Err(Error::Conflict("this address has an account already".into()).into());
        }
        let hash = self.passwords.hash(form.password).await?;
        let new = NewAccount {
            login: form.email,
            password: Some(hash),
            role: self.settings.new_role,
            display_name: form.display_name,
            avatar_url: form.avatar_url,
            metadata: form.metadata,
        };
        Ok(self.session(self.engine.sign_up(new, device, terms).await?))
    }

    fn sign_up_faults(&self, form: &SignUpForm) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: &str| faults.push(FieldFault::new(field, message));
        if !is_email(&form.email) {
            fault("email", "must be an e-mail address");
        }
        let chars = self.settings.password_chars;
        if let Err(reason) = check_password(&form.password, &form.email, chars) {
            fault("password", &reason.to_string());
        }
        let long = |text: &Option<String>, max: usize| {
            text.as_deref().is_some_and(|text| text.chars().nth(max).is_some())
        };
        if long(&form.display_name, DISPLAY_NAME_CHARS_MAX) {
            fault("displayName", "must have at most 200 characters");
        }
        if form.avatar_url.as_deref().is_some_and(|text| text.len() > AVATAR_URL_BYTES_MAX) {
            fault("avatarUrl", "is too long");
        }
        if crate::util::json::minify(&Value::Object(form.metadata.clone())).len()
            > METADATA_BYTES_MAX
        {
            fault("metadata", "is too long");
        }
        faults
    }

    /// Compares a password and signs in, or asks for the second factor.
    ///
    /// # Errors
    /// [`AccountError::InvalidCredentials`], [`AccountError::Locked`].
    pub async fn sign_in(
        &self,
        login: &str,
        password: String,
        device: Device,
        terms: Terms,
    ) -> Result<Welcome, AccountError> {
        let attempt = self.engine.credentials(login)?;
        let (checked, stale) = self.compare(login, attempt, &password).await?;
        let rehashed = match stale {
            true => Some(self.passwords.hash(password).await?),
            false => None,
        };
        match self.engine.finish_sign_in(checked, rehashed, device, terms).await? {
            SignIn::Done(signed_in) => Ok(Welcome::Session(Box::new(self.session(*signed_in)))),
            SignIn::SecondFactor(challenge) => Ok(Welcome::SecondFactor(challenge)),
            SignIn::Locked(ms) => Err(locked(ms)),
            SignIn::Refused => Err(AccountError::InvalidCredentials),
        }
    }

    /// The credentials whose password was right, and whether the hash wants to be made anew.
    async fn compare(
        &self,
        login: &str,
        attempt: Attempt,
        password: &str,
    ) -> Result<(Credentials, bool), AccountError> {
        let known = match attempt {
            Attempt::Locked(ms) => return Err(locked(ms)),
            Attempt::Known(known) => Some(known),
            Attempt::Unknown => None,
        };
        let hash = known.as_ref().and_then(Credentials::password).map(str::to_owned);
        let verdict = self.passwords.verify(password.to_owned(), hash).await?;
        match (verdict, known) {
            (Verdict::Right { stale }, Some(known)) => Ok((known, stale)),
            _ => match self.engine.count_sign_in_failure(login).await? {
                Some(ms) => Err(locked(ms)),
                None => Err(AccountError::InvalidCredentials),
            },
        }
    }

    /// Answers the challenge of a sign-in.
    ///
    /// # Errors
    /// [`AccountError::Unauthenticated`] for a challenge that is unknown, expired or used up;
    /// [`AccountError::InvalidCode`], [`AccountError::Locked`].
    pub async fn second_factor(
        &self,
        challenge: &str,
        proof: Proof,
        device: Device,
        terms: Terms,
    ) -> Result<Session, AccountError> {
        match self.engine.finish_second_factor(challenge, proof, device, terms).await? {
            SecondFactor::Done(signed_in) => Ok(self.session(*signed_in)),
            SecondFactor::Wrong => Err(AccountError::InvalidCode),
            SecondFactor::Locked(ms) => Err(locked(ms)),
            SecondFactor::NoChallenge => Err(AccountError::Unauthenticated),
        }
    }

    /// Exchanges a refresh token.
    ///
    /// # Errors
    /// [`AccountError::Unauthenticated`]; one that was used before has ended its session.
    pub async fn refresh(&self, token: &str, device: Device) -> Result<Session, AccountError> {
        match self.engine.refresh_session(token, device).await? {
            Refresh::Rotated(signed_in) => Ok(self.session(*signed_in)),
            Refresh::Refused => Err(AccountError::Unauthenticated),
        }
    }

    /// Sets up a second factor that is not in force yet.
    pub async fn enable_factor(&self, caller: &Caller) -> Result<FactorSetup, AccountError> {
        let made = self.engine.enable_factor(caller).await?;
        Ok(FactorSetup {
            secret: totp::base32(&made.seed),
            uri: totp::otpauth_uri(&self.settings.totp_issuer, &made.login, &made.seed),
            recovery_codes: made.recovery_codes,
        })
    }

    /// Puts it into force.
    pub async fn confirm_factor(&self, caller: &Caller, code: &str) -> Result<(), AccountError> {
        done(self.engine.confirm_factor(caller, code).await?)
    }

    /// Takes it away and ends all other sessions.
    pub async fn disable_factor(&self, caller: &Caller, proof: Proof) -> Result<(), AccountError> {
        done(self.engine.disable_factor(caller, proof).await?)
    }

    /// Fresh recovery codes; the old ones are void.
    pub async fn renew_recovery_codes(
        &self,
        caller: &Caller,
        proof: Proof,
    ) -> Result<Vec<String>, AccountError> {
        done(self.engine.renew_recovery_codes(caller, proof).await?)
    }

    /// Changes the caller's own password and ends all other sessions.
    ///
    /// # Errors
    /// [`AccountError::InvalidCredentials`] for a wrong old password; [`Error::Invalid`] naming `password`.
    pub async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: String,
    ) -> Result<(), AccountError> {
        let login = self.engine.own_profile(caller)?.email;
        let attempt = self.engine.own_credentials(caller)?;
        let (checked, _) = self.compare(&login, attempt, old).await?;
        let hash = self.hash_new_password(&login, new).await?;
        match done(self.engine.change_password(caller, checked, hash).await?) {
            Err(AccountError::InvalidCode) => Err(AccountError::InvalidCredentials),
            other => other,
        }
    }

    /// The hash of a password that its holder may have; for the command line and administrators too.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `password`.
    pub async fn hash_new_password(
        &self,
        login: &str,
        password: String,
    ) -> Result<String, AccountError> {
        check_password(&password, &login_name(login), self.settings.password_chars)
            .map_err(|reason| Error::invalid("password", reason.to_string()))?;
        Ok(self.passwords.hash(password).await?)
    }

    fn session(&self, signed_in: SignedIn) -> Session {
        let access = self.tokens.issue(&signed_in);
        Session { signed_in, access }
    }
}

fn done<T>(answer: Answer<T>) -> Result<T, AccountError> {
    Err(match answer {
        Answer::Done(value) => return Ok(value),
        Answer::Wrong => AccountError::InvalidCode,
        Answer::Locked(ms) => locked(ms),
        Answer::NotEnrolled => AccountError::NotEnrolled,
        Answer::NotFresh => AccountError::NotFresh,
    })
}

fn locked(ms: i64) -> AccountError {
    AccountError::Locked { retry_after_s: ms.max(1).unsigned_abs().div_ceil(1_000) }
}

/// One `@` with text on both sides, no blank or control character, at most [`EMAIL_BYTES_MAX`] bytes.
#[must_use]
pub fn is_email(typed: &str) -> bool {
    let text = typed.trim();
    let odd = |sign: char| sign.is_whitespace() || sign.is_control();
    text.len() <= EMAIL_BYTES_MAX
        && !text.contains(odd)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}
