//! The owner's one-time link: how a fresh file gets its first credential without a password.
//!
//! Knows the secret while it is made and while it is exchanged. Does not know how the link is
//! shown; the file keeps its SHA-256 only.
//!
//! Invariants
//! L1. At most one link is open; making one closes the one before.
//! L2. A link is exchanged once: the hash is removed before the token is issued. Should issuing
//!     fail, the next start prints a fresh link.

use crate::crypto::sha256;
use crate::engine::Error;

use super::Auth;

/// 256 bits, as every secret here.
const SECRET_BYTES: usize = 32;
/// What the issued token is called in the list of tokens.
const LABEL: &str = "owner link";

impl Auth {
    /// Makes the link's secret and remembers its hash. Shown once, by the caller.
    ///
    /// # Errors
    /// The engine's, when the hash could not be stored.
    pub async fn open_owner_link(&self) -> Result<String, Error> {
        let secret = self.engine.rng().hex(SECRET_BYTES);
        self.engine.set_owner_link(sha256(secret.as_bytes())).await?;
        Ok(secret)
    }

    /// Whether the owner still needs a link: none was used yet, or what it gave was revoked. A file that is only read can keep
    /// none.
    ///
    /// # Errors
    /// The engine's.
    pub fn wants_owner_link(&self) -> Result<bool, Error> {
        if self.engine.is_read_only() {
            return Ok(false);
        }
        let tokens = self.engine.tokens(&self.engine.owner_caller())?;
        Ok(!tokens.iter().any(|token| token.label.as_deref() == Some(LABEL)))
    }

    /// Exchanges the secret for an owner token; `None` when no such link is open.
    ///
    /// # Errors
    /// The engine's.
    pub async fn spend_owner_link(&self, secret: &str) -> Result<Option<String>, Error> {
        if !self.engine.spend_owner_link(sha256(secret.as_bytes())).await? {
            return Ok(None);
        }
        let token = self.engine.issue_owner_token(LABEL).await?;
        tracing::info!("the owner link was used");
        Ok(Some(token))
    }
}
