//! Access tokens: short-lived JWTs that name a session.
//!
//! Knows claims and keys. Does not know sessions beyond their id: whether one lives, and who it is, says the engine at each
//! look, so that an ended session takes its tokens along (SECURITY S35).
//!
//! Invariants
//! T1. A token is good only while its session is live and belongs to the account the token names.
//! T2. Role and claims of a caller are those of the account now, not those written in the token.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, json};

use super::Verifier;
use crate::crypto::jwt::{Expected, JwtKey, JwtKeys};
use crate::engine::accounts::{ACCESS_KEYS, SignedIn, SigningKey};
use crate::engine::{Caller, Engine, Error};

/// Who the tokens are for: every face of this program.
const AUDIENCE: &str = "cairn";
/// Life of a token where nothing else is said.
pub const ACCESS_TOKEN_S: i64 = 900;
/// The longest that may be configured.
pub const ACCESS_TOKEN_S_MAX: i64 = 3_600;
const _: () = assert!(ACCESS_TOKEN_S <= ACCESS_TOKEN_S_MAX);

/// A token that was just made.
#[derive(Clone)]
pub struct IssuedToken {
    pub text: String,
    /// Milliseconds, a whole second.
    pub expires_at: i64,
    /// Seconds from now.
    pub expires_in: i64,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuedToken(***)")
    }
}

/// Issues and checks access tokens.
pub struct AccessTokens {
    engine: Engine,
    issuer: String,
    life_s: i64,
    keys: RwLock<JwtKeys>,
}

impl AccessTokens {
    /// `issuer` is the public base URL, or the product's name without one. `life_s` is bounded to a minute and an hour.
    ///
    /// # Errors
    /// The file could not be asked for its keys.
    pub fn new(engine: Engine, issuer: &str, life_s: i64) -> Result<Self, Error> {
        let keys = RwLock::new(load(&engine)?);
        let life_s = life_s.clamp(60, ACCESS_TOKEN_S_MAX);
        Ok(Self { engine, issuer: issuer.to_owned(), life_s, keys })
    }

    /// A token for a session that was just started or refreshed; it never outlives the session.
    #[must_use]
    pub fn issue(&self, signed_in: &SignedIn) -> IssuedToken {
        let now_s = self.engine.clock().now_ms().div_euclid(1_000);
        let expires_s = (now_s + self.life_s).min(signed_in.expires_at.div_euclid(1_000));
        let profile = &signed_in.profile;
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(self.issuer));
        claims.insert("aud".into(), json!(AUDIENCE));
        claims.insert("sub".into(), json!(profile.user_id));
        claims.insert("sid".into(), json!(signed_in.session));
        claims.insert("roles".into(), json!([profile.role.name()]));
        claims.insert("role".into(), json!(profile.role.name()));
        claims.insert("claims".into(), json!(profile.claims));
        claims.insert("iat".into(), json!(now_s));
        claims.insert("exp".into(), json!(expires_s));
        let text = self.keys.read().unwrap_or_else(PoisonError::into_inner).sign(&claims);
        IssuedToken { text, expires_at: expires_s * 1_000, expires_in: expires_s - now_s }
    }

    /// The holder of a token; `None` when it is none of ours, expired, or its session ended.
    ///
    /// # Errors
    /// When the file could not be asked.
    pub fn verify(&self, token: &str) -> Result<Option<Caller>, Error> {
        let expected = Expected {
            issuer: &self.issuer,
            audience: AUDIENCE,
            now_ms: self.engine.clock().now_ms(),
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(claims) = keys.verify(token, &expected) else { return Ok(None) };
        drop(keys);
        let text = |name: &str| claims.get(name).and_then(|value| value.as_str());
        let (Some(session), Some(user_id)) = (text("sid"), text("sub")) else { return Ok(None) };
        let caller = self.engine.caller_of_session(session)?;
        let same = |caller: &Caller| caller.account().is_some_and(|a| a.user_id == user_id);
        Ok(caller.filter(same))
    }

    /// Puts a fresh key into use; tokens of the key before the present one die. For the owner alone.
    ///
    /// # Errors
    /// As [`Engine::rotate_signing_key`].
    pub async fn rotate_key(&self, caller: &Caller) -> Result<(), Error> {
        self.engine.rotate_signing_key(caller, ACCESS_KEYS).await?;
        let fresh = load(&self.engine)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl Verifier for Arc<AccessTokens> {
    fn verify(&self, token: &str) -> Result<Option<Caller>, Error> {
        AccessTokens::verify(self, token)
    }
}

fn load(engine: &Engine) -> Result<JwtKeys, Error> {
    let damaged = || Error::BadRequest("the file has no usable key for access tokens".into());
    let usable = |key: SigningKey| JwtKey::new(&key.id, &key.secret);
    let mut keys = engine.signing_keys(ACCESS_KEYS)?.into_iter();
    let current = keys.next().and_then(usable).ok_or_else(damaged)?;
    Ok(JwtKeys::new(current, keys.next().and_then(usable)))
}
