//! Issued tokens, the DID handshake's challenges, and the one-time link of a new owner.
//!
//! Invariants
//! K1. A secret leaves this file once, when it is made; the file keeps its SHA-256.
//! K2. A revoked or expired token is refused by the next look-up, cached or not.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use crate::crypto::{self, did_key};
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine};
use crate::schema::FieldFault;
use crate::store::{NonceRow, TokenRow};

/// Life of a token from the handshake.
const HANDSHAKE_TOKEN_MS: i64 = 7 * 24 * 3_600_000;
/// Life of a challenge.
const NONCE_MS: i64 = 5 * 60_000;
/// Open challenges; past that the oldest go (SECURITY S37).
const NONCES_MAX: i64 = 10_000;
/// Tokens remembered in memory; past that the memory is emptied and fills again.
const TOKENS_CACHED_MAX: usize = 10_000;
/// Characters of a token's label.
const LABEL_CHARS_MAX: usize = 1_000;
const OWNER_LINK: &str = "owner_link_hash";

/// What somebody asks to issue.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// Who authenticates with it; the owner when absent.
    pub principal: Option<String>,
    /// For whom it acts; the principal when absent.
    pub subject: Option<String>,
    pub label: Option<String>,
    /// Milliseconds.
    pub expires_at: Option<i64>,
}

/// Look-ups of the last tokens seen, by hash.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often tokens were revoked. What was read from the file before the last time is not remembered.
    epoch: u64,
    /// Who a token speaks for, and when it ends.
    by_hash: HashMap<[u8; 32], (Caller, Option<i64>)>,
}

impl TokenCache {
    fn get(&self, hash: &[u8; 32]) -> Option<(Caller, Option<i64>)> {
        self.0.read().expect("no holder of this lock panics").by_hash.get(hash).cloned()
    }

    /// To be asked before the file is, and given to [`TokenCache::put`].
    fn epoch(&self) -> u64 {
        self.0.read().expect("no holder of this lock panics").epoch
    }

    /// Remembers what the file said, unless tokens were revoked since `epoch`.
    fn put(&self, epoch: u64, hash: [u8; 32], caller: Caller, expires_at: Option<i64>) {
        let mut known = self.0.write().expect("no holder of this lock panics");
        if known.epoch != epoch {
            return;
        }
        if known.by_hash.len() >= TOKENS_CACHED_MAX {
            known.by_hash.clear();
        }
        known.by_hash.insert(hash, (caller, expires_at));
    }

    fn forget_all(&self) {
        let mut known = self.0.write().expect("no holder of this lock panics");
        known.epoch += 1;
        known.by_hash.clear();
    }
}

impl Engine {
    /// Issues a token; the second value is its secret, shown this once. For the owner alone.
    pub async fn issue_token(&self, caller: &Caller, new: NewToken) -> Result<(TokenRow, String)> {
        self.check_alone(caller)?;
        let principal = new.principal.unwrap_or_else(|| self.owner().to_owned());
        let subject = new.subject.clone().unwrap_or_else(|| principal.clone());
        let mut faults = Vec::new();
        if !did_key::is_did(&principal) {
            faults.push(FieldFault::new("entityId", "must be a DID"));
        }
        if new.subject.is_some() && !did_key::is_did(&subject) {
            faults.push(FieldFault::new("onBehalfOf", "must be a DID"));
        }
        if new.label.as_deref().is_some_and(|label| label.chars().count() > LABEL_CHARS_MAX) {
            faults.push(FieldFault::new("label", "is too long"));
        }
        super::special::none(faults)?;
        self.store_token(principal, subject, new.label, new.expires_at).await
    }

    async fn store_token(
        &self,
        principal: String,
        subject: String,
        label: Option<String>,
        expires_at: Option<i64>,
    ) -> Result<(TokenRow, String)> {
        let (id, secret) = (self.rng().hex(8), self.rng().hex(32));
        let hash = crypto::sha256(secret.as_bytes());
        let row = self
            .store()
            .write(move |unit| {
                let created_at = unit.at();
                let row = TokenRow { id, principal, subject, label, created_at, expires_at };
                unit.insert_token(&row, &hash)?;
                Ok::<_, Error>(row)
            })
            .await?;
        Ok((row, secret))
    }

    /// Every issued token, newest first. For the owner alone.
    pub fn tokens(&self, caller: &Caller) -> Result<Vec<TokenRow>> {
        self.check_alone(caller)?;
        self.store().read(|view| Ok(view.tokens()?))
    }

    /// Ends a token; an unknown id is no error. For the owner alone.
    pub async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<()> {
        self.check_alone(caller)?;
        let (id, inner) = (id.to_owned(), Arc::clone(&self.inner));
        self.store()
            .write(move |unit| {
                unit.remove_token(&id)?;
                // Not after the answer: whoever asked may have gone away, and the token must be dead all the same.
                unit.after_commit(move || inner.tokens.forget_all());
                Ok(())
            })
            .await
    }

    /// Who holds this secret: `None` for an unknown, revoked or expired one.
    pub fn caller_of_token(&self, secret: &str) -> Result<Option<Caller>> {
        let hash = crypto::sha256(secret.as_bytes());
        let alive =
            |expires_at: Option<i64>| expires_at.is_none_or(|at| at > self.clock().now_ms());
        if let Some((caller, expires_at)) = self.inner.tokens.get(&hash) {
            return Ok(alive(expires_at).then_some(caller));
        }
        let epoch = self.inner.tokens.epoch();
        let Some(row) = self.store().read(|view| view.token_by_hash(&hash))? else {
            return Ok(None);
        };
        if !alive(row.expires_at) {
            return Ok(None);
        }
        let caller = Caller::of_token(&row.principal, &row.subject, &row.id);
        self.inner.tokens.put(epoch, hash, caller.clone(), row.expires_at);
        Ok(Some(caller))
    }

    /// A fresh challenge for a DID: nonce and its expiry. Sweeps dead challenges and tokens.
    pub async fn open_challenge(&self, did: &str) -> Result<(String, i64)> {
        let (nonce, did) = (self.rng().base64url(18), did.to_owned());
        let hash = nonce_hash(&nonce);
        let expires_at = self
            .store()
            .write(move |unit| {
                let now = unit.now_ms();
                let row = NonceRow { hash, did, expires_at: now + NONCE_MS };
                unit.insert_nonce(&row, now, NONCES_MAX)?;
                unit.remove_expired_tokens(now)?;
                Ok::<_, Error>(row.expires_at)
            })
            .await?;
        Ok((nonce, expires_at))
    }

    /// Spends a challenge; its expiry when nonce and DID belong together.
    pub async fn spend_challenge(&self, nonce: &str, did: &str) -> Result<Option<i64>> {
        let (hash, did) = (nonce_hash(nonce), did.to_owned());
        self.store().write(move |unit| Ok(unit.take_nonce(&hash, &did)?)).await
    }

    /// A token for a DID that proved itself: secret and expiry.
    pub async fn issue_handshake_token(&self, did: &str) -> Result<(String, i64)> {
        let expires_at = self.clock().now_ms() + HANDSHAKE_TOKEN_MS;
        let label = Some("did-challenge".to_owned());
        let (_, secret) =
            self.store_token(did.to_owned(), did.to_owned(), label, Some(expires_at)).await?;
        Ok((secret, expires_at))
    }

    /// Remembers the hash of the one-time owner link; an older one is void.
    pub async fn set_owner_link(&self, hash: [u8; 32]) -> Result<()> {
        self.store().write(move |unit| Ok(unit.set_meta_bytes(OWNER_LINK, &hash)?)).await
    }

    /// Uses up the owner link: true once for the right secret.
    pub async fn spend_owner_link(&self, hash: [u8; 32]) -> Result<bool> {
        self.store()
            .write(move |unit| {
                let Some(known) = unit.meta_bytes(OWNER_LINK)? else { return Ok(false) };
                let right = crypto::constant_time_eq(&known, &hash);
                if right {
                    unit.remove_meta(OWNER_LINK)?;
                    unit.set_meta_text("owner_claimed", "1")?;
                }
                Ok(right)
            })
            .await
    }

    /// Issues the owner's own token, for the link that was just spent.
    pub async fn issue_owner_token(&self, label: &str) -> Result<String> {
        let owner = self.owner().to_owned();
        let (_, secret) =
            self.store_token(owner.clone(), owner, Some(label.to_owned()), None).await?;
        Ok(secret)
    }

    /// Whether somebody has taken the stack with the owner link.
    pub fn is_claimed(&self) -> Result<bool> {
        self.store().read(|view| Ok(view.meta_text("owner_claimed")?.is_some()))
    }

    pub(crate) fn check_alone(&self, caller: &Caller) -> Result<()> {
        if self.is_owner_alone(caller) {
            Ok(())
        } else if caller.is_anonymous() {
            Err(Error::Unauthenticated)
        } else {
            Err(Error::Denied)
        }
    }
}

/// What the file keeps of a nonce (SECURITY S30).
fn nonce_hash(nonce: &str) -> String {
    crypto::hex(&crypto::sha256(nonce.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look-up that read the file before a revocation and comes back after it must not be remembered.
    #[test]
    fn what_was_read_before_a_revocation_is_not_remembered() {
        let cache = TokenCache::default();
        let (hash, caller) = ([7; 32], Caller::of("did:example:a", "did:example:a"));
        let before = cache.epoch();
        cache.forget_all();
        cache.put(before, hash, caller.clone(), None);
        assert!(cache.get(&hash).is_none());
        cache.put(cache.epoch(), hash, caller, None);
        assert!(cache.get(&hash).is_some());
        cache.forget_all();
        assert!(cache.get(&hash).is_none());
    }

    /// Memory for tokens is bounded: one more than fit empties it.
    #[test]
    fn no_more_tokens_are_remembered_than_fit() {
        let cache = TokenCache::default();
        let caller = Caller::of("did:example:a", "did:example:a");
        for n in 0..=TOKENS_CACHED_MAX {
            let hash = crypto::sha256(&n.to_be_bytes());
            cache.put(0, hash, caller.clone(), None);
        }
        assert_eq!(cache.0.read().unwrap().by_hash.len(), 1);
    }
}
