//! Signing keys: made with the file, kept across restarts, changed by the owner.
//!
//! Invariants
//! K1. Every purpose has a key; after a rotation the one before it stays for verification.

use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Inner};
use crate::store::{SigningKeyRow, Unit, View};

/// Keys of access tokens.
pub const ACCESS_KEYS: &str = "access";
/// Keys of signed links; others than those of tokens (SECURITY S41).
pub const LINK_KEYS: &str = "link";
const PURPOSES: [&str; 2] = [ACCESS_KEYS, LINK_KEYS];

const SECRET_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;
/// The one in use and the one before it.
const KEYS_KEPT: i64 = 2;

/// A secret and the name its signatures carry.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub id: String,
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

pub(crate) fn has_keys(view: &View<'_>) -> Result<bool> {
    for purpose in PURPOSES {
        if view.signing_keys(purpose, 1)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn make_keys(inner: &Inner, unit: &mut Unit<'_>) -> Result<()> {
    for purpose in PURPOSES {
        if unit.signing_keys(purpose, 1)?.is_empty() {
            unit.insert_signing_key(purpose, &fresh(inner), KEYS_KEPT)?;
        }
    }
    Ok(())
}

fn fresh(inner: &Inner) -> SigningKeyRow {
    let rng = &inner.options.rng;
    SigningKeyRow { id: rng.hex(KEY_ID_BYTES), secret: rng.bytes::<SECRET_BYTES>().to_vec() }
}

impl Engine {
    /// The keys of a purpose, the one in use first. For `auth` and for links; never for a face to show.
    pub fn signing_keys(&self, purpose: &'static str) -> Result<Vec<SigningKey>> {
        let rows = self.store().read(|view| view.signing_keys(purpose, KEYS_KEPT))?;
        Ok(rows.into_iter().map(|row| SigningKey { id: row.id, secret: row.secret }).collect())
    }

    /// Puts a fresh key into use; what the key before the present one signed is void. For the owner alone.
    pub async fn rotate_signing_key(&self, caller: &Caller, purpose: &'static str) -> Result<()> {
        self.check_alone(caller)?;
        let key = fresh(&self.inner);
        self.store()
            .write(move |unit| {
                unit.insert_signing_key(purpose, &key, KEYS_KEPT)?;
                Ok::<_, Error>(())
            })
            .await
    }
}
