//! Who is calling: credentials become an `engine::Caller`.
//!
//! A bearer text is offered to a list of [`Verifier`]s, the owner's token first; the first that
//! knows it decides. Faces with credentials of their own (access tokens, sessions) add a verifier,
//! so every face accepts every kind.
//!
//! Knows the `Authorization` header, the challenge of `did:key` holders and the owner's one-time
//! link. Does not know what a caller may do.
//!
//! Invariants
//! A1. A credential that is present and not good is an error, never "anonymous".
//! A2. The owner's token is kept as SHA-256 and compared in constant time.
//! A3. The origin that challenges are signed over is the configured one, never the request's.

pub mod access_token;
pub mod accounts;
mod challenge;
pub mod device;
pub mod letters;
mod origin;
mod owner_link;
pub mod password_policy;
pub mod password_pool;

use http::header::{AUTHORIZATION, HeaderMap};

pub use challenge::{Challenge, HandshakeError, Redeemed};
pub use origin::ascii_origin;

use crate::crypto::{constant_time_eq, sha256};
use crate::engine::{Caller, Engine, Error};

/// What must stand before the token, capital letter and blank included.
const SCHEME: &str = "Bearer ";

/// One kind of credential.
pub trait Verifier: Send + Sync {
    /// The holder of `token`; `None` when it is not of this kind, or no longer good.
    ///
    /// # Errors
    /// When the file could not be asked; the credential is then neither good nor bad.
    fn verify(&self, token: &str) -> Result<Option<Caller>, Error>;
}

/// Why a request has no caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Another scheme, or a token that is unknown, revoked or expired.
    #[error("the credential is not valid")]
    Rejected,
    #[error(transparent)]
    Engine(#[from] Error),
}

/// Turns credentials into callers.
pub struct Auth {
    engine: Engine,
    owner_token_hash: Option<[u8; 32]>,
    base_origin: String,
    verifiers: Vec<Box<dyn Verifier>>,
}

impl Auth {
    /// `owner_token` is the configured break-glass token; an empty one counts as none.
    /// `base_origin` is what [`ascii_origin`] makes of the public base URL.
    #[must_use]
    pub fn new(engine: Engine, owner_token: Option<&str>, base_origin: String) -> Self {
        let issued = IssuedTokens { engine: engine.clone() };
        Self {
            engine,
            owner_token_hash: owner_token
                .filter(|token| !token.is_empty())
                .map(|token| sha256(token.as_bytes())),
            base_origin,
            verifiers: vec![Box::new(issued)],
        }
    }

    /// Accepts a further kind of credential, asked after those before it.
    #[must_use]
    pub fn with_verifier(mut self, verifier: Box<dyn Verifier>) -> Self {
        self.verifiers.push(verifier);
        self
    }

    /// Scheme, host and non-default port of the public base URL.
    #[must_use]
    pub fn base_origin(&self) -> &str {
        &self.base_origin
    }

    /// Who sent a request with these headers; no `Authorization` is anonymous.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] for anything but one `Bearer` credential that a verifier knows.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Caller::anonymous()) };
        if values.next().is_some() {
            return Err(AuthError::Rejected);
        }
        let text = value.to_str().map_err(|_| AuthError::Rejected)?;
        let token = text.strip_prefix(SCHEME).ok_or(AuthError::Rejected)?;
        self.caller_of(token)?.ok_or(AuthError::Rejected)
    }

    /// The holder of a bearer text, for credentials that come another way (WebSocket messages).
    ///
    /// # Errors
    /// When the file could not be asked.
    pub fn caller_of(&self, token: &str) -> Result<Option<Caller>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        if let Some(hash) = &self.owner_token_hash
            && constant_time_eq(hash, &sha256(token.as_bytes()))
        {
            return Ok(Some(self.engine.owner_caller()));
        }
        for verifier in &self.verifiers {
            if let Some(caller) = verifier.verify(token)? {
                return Ok(Some(caller));
            }
        }
        Ok(None)
    }
}

/// Tokens that the owner or a handshake issued.
struct IssuedTokens {
    engine: Engine,
}

impl Verifier for IssuedTokens {
    fn verify(&self, token: &str) -> Result<Option<Caller>, Error> {
        // Issued secrets are plain hex. A dot makes it an access token, which needs no look into the file.
        if token.contains('.') {
            return Ok(None);
        }
        self.engine.caller_of_token(token)
    }
}
