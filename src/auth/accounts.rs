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
use tokio::sync::Semaphore;

use super::access_token::{AccessTokens, IssuedToken};
use super::letters::{LinkPage, Post, letter};
use super::password_policy::{PasswordChars, check_password};
use super::password_pool::{PasswordPool, PoolError, Verdict};
use crate::crypto::totp;
use crate::engine::accounts::{
    Answer, Attempt, Credentials, Device, LinkPurpose, NewAccount, NewLink, Proof, Refresh,
    SecondFactor, SignIn, SignedIn, Terms, login_name,
};
use crate::engine::{Caller, Engine, Error, Role};
use crate::schema::FieldFault;

/// Bytes of an e-mail address.
pub const EMAIL_BYTES_MAX: usize = 254;
/// Letters that are prepared at the same time.
const LETTERS_AT_ONCE: usize = 32;
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
    /// A link by mail that is unknown, expired or used.
    #[error("the link is not good, or not any more")]
    BadLink,
    #[error("mail is not configured here")]
    NoMail,
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
    /// The secret of an invitation.
    pub invitation: Option<String>,
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

/// What a link led to.
#[derive(Clone, Debug)]
pub enum Spent {
    Welcome(Welcome),
    /// The address is confirmed.
    Verified,
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
    mail: Option<Mail>,
}

/// The way letters go.
struct Mail {
    post: Arc<dyn Post>,
    page: LinkPage,
    /// Letters that are being prepared.
    desks: Arc<Semaphore>,
}

impl Accounts {
    #[must_use]
    pub fn new(
        engine: Engine,
        passwords: Arc<PasswordPool>,
        tokens: Arc<AccessTokens>,
        settings: AccountSettings,
    ) -> Self {
        Self { engine, passwords, tokens, settings, mail: None }
    }

    /// Sends links by mail; without it whatever needs mail answers [`AccountError::NoMail`].
    #[must_use]
    pub fn with_mail(mut self, post: Arc<dyn Post>, page: LinkPage) -> Self {
        let desks = Arc::new(Semaphore::new(LETTERS_AT_ONCE));
        self.mail = Some(Mail { post, page, desks });
        self
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
        let invited = match (&form.invitation, self.settings.sign_up) {
            (_, SignUpPolicy::Closed) | (None, SignUpPolicy::Invite) => {
                return Err(AccountError::SignUpClosed);
            }
            (Some(secret), _) => {
                let login = login_name(&form.email);
                let known = self.engine.invitation(secret)?.filter(|one| one.login == login);
                known.ok_or(AccountError::SignUpClosed)?;
                true
            }
            (None, SignUpPolicy::Open) => false,
        };
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
        if let (true, Some(secret)) = (invited, form.invitation) {
            let made = self.engine.sign_up_invited(&secret, new, device, terms).await?;
            return Ok(self.session(made.ok_or(AccountError::SignUpClosed)?));
        }
        let signed_in = self.engine.sign_up(new, device, terms).await?;
        if self.mail.is_some() {
            // It can be asked for again; that there is an account already is what counts.
            let _ = self.send_link(&signed_in.profile.email, LinkPurpose::Verify);
        }
        Ok(self.session(signed_in))
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

    /// Whether links can be sent at all.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.mail.is_some()
    }

    /// Sends a link to whoever has this name. The answer and its time are the same where nobody has: all that could differ
    /// happens afterwards (SECURITY S32).
    ///
    /// # Errors
    /// [`AccountError::NoMail`]; [`Error::Invalid`] naming `email`; [`Error::Busy`].
    pub fn send_link(&self, login: &str, purpose: LinkPurpose) -> Result<(), AccountError> {
        let mail = self.mail.as_ref().ok_or(AccountError::NoMail)?;
        if !is_email(login) {
            return Err(Error::invalid("email", "must be an e-mail address").into());
        }
        let desk = Arc::clone(&mail.desks).try_acquire_owned().map_err(|_| Error::Busy)?;
        let (engine, post, page) = (self.engine.clone(), Arc::clone(&mail.post), mail.page.clone());
        let login = login.to_owned();
        tokio::spawn(async move {
            match engine.make_mail_link(&login, purpose).await {
                Ok(Some(link)) => {
                    if !post.send(letter(purpose, &link, &page)) {
                        tracing::warn!("a letter was not sent: too many wait already");
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::error!(?error, "a link could not be made"),
            }
            drop(desk);
        });
        Ok(())
    }

    /// Sends the caller a link that confirms the own address; false when it is confirmed already.
    pub fn send_verification(&self, caller: &Caller) -> Result<bool, AccountError> {
        let (login, verified) = self.engine.own_address(caller)?;
        if !verified {
            self.send_link(&login, LinkPurpose::Verify)?;
        }
        Ok(!verified)
    }

    /// Uses a link up that signs in or confirms an address.
    ///
    /// # Errors
    /// [`AccountError::NoMail`], [`AccountError::BadLink`].
    pub async fn spend_link(
        &self,
        secret: &str,
        device: Device,
        terms: Terms,
    ) -> Result<Spent, AccountError> {
        if self.mail.is_none() {
            return Err(AccountError::NoMail);
        }
        match self.engine.sign_in_by_link(secret, device, terms).await? {
            Some(SignIn::Done(signed_in)) => {
                let session = Box::new(self.session(*signed_in));
                return Ok(Spent::Welcome(Welcome::Session(session)));
            }
            Some(SignIn::SecondFactor(challenge)) => {
                return Ok(Spent::Welcome(Welcome::SecondFactor(challenge)));
            }
            Some(SignIn::Locked(ms)) => return Err(locked(ms)),
            Some(SignIn::Refused) => return Err(AccountError::BadLink),
            None => {}
        }
        match self.engine.verify_by_link(secret).await? {
            true => Ok(Spent::Verified),
            false => Err(AccountError::BadLink),
        }
    }

    /// Sets a password by a link.
    ///
    /// # Errors
    /// [`AccountError::NoMail`], [`AccountError::BadLink`]; [`Error::Invalid`] naming `password`.
    pub async fn reset_password(&self, secret: &str, new: String) -> Result<(), AccountError> {
        if self.mail.is_none() {
            return Err(AccountError::NoMail);
        }
        // Before a hash is spent on it; the writer decides.
        let login = self.engine.reset_link_login(secret)?.ok_or(AccountError::BadLink)?;
        let hash = self.hash_new_password(&login, new).await?;
        match self.engine.reset_password(secret, hash).await? {
            true => Ok(()),
            false => Err(AccountError::BadLink),
        }
    }

    /// Invites somebody, by mail where that is configured; whether a letter is on its way.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `email`, [`Error::Conflict`] when the address has an account.
    pub async fn invite(
        &self,
        caller: &Caller,
        email: &str,
        role: Role,
    ) -> Result<(NewLink, bool), AccountError> {
        if !is_email(email) {
            return Err(Error::invalid("email", "must be an e-mail address").into());
        }
        let link = self.engine.invite(caller, email, role).await?;
        let sent = self
            .mail
            .as_ref()
            .is_some_and(|mail| mail.post.send(letter(LinkPurpose::Invite, &link, &mail.page)));
        Ok((link, sent))
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
