//! Hashing, comparing, signing.
//!
//! A leaf over `ring` and `argon2`: no algorithm is implemented here, only chosen. Knows bytes and keys. Does
//! not know who holds them or what is signed, except the one payload in [`handshake`].
//!
//! Invariants
//! X1. Secrets are compared with [`constant_time_eq`] only.
//! X2. Nothing here prints a secret: key types have no `Debug` that shows bytes.

pub mod did_key;
mod handshake;
mod hash;
pub mod jwt;
pub mod password;
mod sign;
pub mod totp;

pub use handshake::{handshake_payload, verify_handshake};
pub use hash::{Sha256, constant_time_eq, hex, hmac_sha256, sha256, unhex};
pub use sign::{Seed, ed25519_generate, ed25519_public, ed25519_sign, ed25519_verify};
