//! Ed25519: make a key, sign, verify.
//!
//! Knows keys as bytes. Does not know whose they are or where they are kept.
//!
//! Invariants
//! G1. A [`Seed`] never shows its bytes unless asked by name, and is wiped when dropped.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::util::rng::Rng;

/// The 32 secret bytes an Ed25519 key is made from.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed read from where it is kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be kept.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.0).expect("any 32 bytes are an Ed25519 seed")
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from dropping the write as dead.
        std::hint::black_box(&self.0);
    }
}

/// A fresh key: its seed and its public half.
#[must_use]
pub fn ed25519_generate(rng: &Rng) -> (Seed, [u8; 32]) {
    let seed = Seed(rng.bytes());
    let public = ed25519_public(&seed);
    (seed, public)
}

/// The public half of a key.
#[must_use]
pub fn ed25519_public(seed: &Seed) -> [u8; 32] {
    seed.pair().public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

/// Signs `message`. Deterministic.
#[must_use]
pub fn ed25519_sign(seed: &Seed, message: &[u8]) -> [u8; 64] {
    seed.pair().sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
}

/// Whether `signature` (64 bytes, else no) is one over `message` by the key `public`.
#[must_use]
pub fn ed25519_verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{hex, unhex};

    /// RFC 8032 section 7.1, test 2.
    #[test]
    fn known_signature() {
        let seed =
            unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let seed = Seed::from_bytes(seed.try_into().unwrap());
        let public = ed25519_public(&seed);
        assert_eq!(
            hex(&public),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        let signature = ed25519_sign(&seed, &[0x72]);
        assert_eq!(
            hex(&signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(ed25519_verify(&public, &[0x72], &signature));
    }

    #[test]
    fn only_the_signed_message_verifies() {
        let (seed, public) = ed25519_generate(&Rng::seeded(1));
        let (_, other) = ed25519_generate(&Rng::seeded(2));
        let signature = ed25519_sign(&seed, b"message");
        assert!(ed25519_verify(&public, b"message", &signature));
        assert!(!ed25519_verify(&public, b"massage", &signature));
        assert!(!ed25519_verify(&other, b"message", &signature));
        assert!(!ed25519_verify(&public, b"message", &signature[..63]));
        assert!(!ed25519_verify(&public, b"message", &[]));
    }

    #[test]
    fn a_seed_hides_itself() {
        assert_eq!(format!("{:?}", Seed::from_bytes([7; 32])), "Seed(hidden)");
    }
}
