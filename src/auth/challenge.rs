//! Proving that one holds the key of a `did:key`: challenge, signature, token.
//!
//! Knows the order in which a proof is judged. Does not know how nonces and tokens are kept, or
//! how a refusal looks on the wire.
//!
//! Invariants
//! H1. Nothing is stored for a DID that is not a well-formed Ed25519 `did:key`.
//! H2. A nonce is spent by the first attempt of its DID, good or not; an attempt with another DID
//!     spends nothing.

use crate::crypto::{did_key, verify_handshake};
use crate::engine::Error;

use super::Auth;

/// A nonce to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub nonce: String,
    /// Milliseconds since the Unix epoch.
    pub expires_at: i64,
}

/// A token for whoever proved to be the DID.
#[derive(Clone)]
pub struct Redeemed {
    pub token: String,
    /// Milliseconds since the Unix epoch.
    pub expires_at: i64,
}

/// Why there is no challenge or no token.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("a did:key with an Ed25519 key is needed")]
    InvalidDid,
    /// Never issued, spent, or issued to another DID: one answer for all three.
    #[error("this nonce is not open")]
    UnknownNonce,
    #[error("this nonce has expired")]
    ExpiredNonce,
    #[error("the signature does not fit")]
    InvalidSignature,
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Auth {
    /// Opens a challenge for a DID; `None` stands for one that is missing or no text.
    ///
    /// # Errors
    /// [`HandshakeError::InvalidDid`], or the engine's.
    pub async fn challenge(&self, did: Option<&str>) -> Result<Challenge, HandshakeError> {
        let did = well_formed(did)?;
        let (nonce, expires_at) = self.engine.open_challenge(did).await?;
        Ok(Challenge { nonce, expires_at })
    }

    /// Judges a proof and issues a token, which acts as the DID and for nobody else.
    ///
    /// # Errors
    /// Each of [`HandshakeError`], in the order of its variants as far as they depend on the
    /// request: a signature that is no text is found before the nonce is spent, any other after.
    pub async fn redeem(
        &self,
        did: Option<&str>,
        nonce: Option<&str>,
        signature: Option<&str>,
    ) -> Result<Redeemed, HandshakeError> {
        let did = well_formed(did)?;
        let nonce = nonce.ok_or(HandshakeError::UnknownNonce)?;
        let signature = signature.ok_or(HandshakeError::InvalidSignature)?;
        let expires_at =
            self.engine.spend_challenge(nonce, did).await?.ok_or(HandshakeError::UnknownNonce)?;
        if expires_at <= self.engine.clock().now_ms() {
            return Err(HandshakeError::ExpiredNonce);
        }
        if !is_base64url(signature) || !verify_handshake(&self.base_origin, did, nonce, signature) {
            tracing::info!(did, "a challenge was answered with a signature that does not fit");
            return Err(HandshakeError::InvalidSignature);
        }
        let (token, expires_at) = self.engine.issue_handshake_token(did).await?;
        tracing::info!(principal = did, subject = did, "a challenge was met, token issued");
        Ok(Redeemed { token, expires_at })
    }
}

/// Length is checked by `did_key` before it decodes anything.
fn well_formed(did: Option<&str>) -> Result<&str, HandshakeError> {
    did.filter(|did| did_key::parse(did).is_some()).ok_or(HandshakeError::InvalidDid)
}

/// `^[A-Za-z0-9_-]+$`.
fn is_base64url(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
