//! The text a client signs to prove that it holds a DID's key.
//!
//! Knows the payload of the challenge. Does not know nonces: whether one was issued and is still
//! good is the caller's to check first.
//!
//! Invariants
//! S1. The origin is handed in from the configuration, never read from a request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{did_key, sign};

/// The longest signature text that is decoded; 64 bytes take 86 characters.
const SIGNATURE_CHARS_MAX: usize = 128;

/// The four signed lines, joined by one `\n`, without one at the end.
#[must_use]
pub fn handshake_payload(origin: &str, did: &str, nonce: &str) -> String {
    format!("haverstack-auth-v1\n{origin}\n{did}\n{nonce}")
}

/// Whether `signature` (base64url without padding) is one by the key in `did` over the payload.
///
/// False for a malformed DID or signature too.
#[must_use]
pub fn verify_handshake(origin: &str, did: &str, nonce: &str, signature: &str) -> bool {
    if signature.len() > SIGNATURE_CHARS_MAX {
        return false;
    }
    let (Some(public), Ok(signature)) = (did_key::parse(did), URL_SAFE_NO_PAD.decode(signature))
    else {
        return false;
    };
    sign::ed25519_verify(&public, handshake_payload(origin, did, nonce).as_bytes(), &signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://stack.example.com";
    const NONCE: &str = "k7Qm2ZxRt9vLbNc4Hy8Wf3";
    const DID: &str = "did:key:z6Mkfsz9oK6i2355mvEwtDYdAmqCN6kmQETThJtARfj9iGum";
    const GOOD: &str =
        "CIvHvqS75hEpPDZi7hwLFOMM44-UCMuF5HzZ9_OIAMQvsGAYGsvXXpXQTP3KaPH2qKnQxl2j3xcB_v-axIx8Bg";
    const BAD: &str =
        "qFvrpIE8dSPBO8-4QgFbS8jgs8dIz5XcqmqHX1GzFKrg6EnwNnc9vu2y8K1UHXKIUDo_NJgTj5B4xSGXUotiBg";
    const OTHER_DID: &str = "did:key:z6Mktp5FtRqj2M7JxnPz9JWGMCUTE5o3XGt1br11TczKGp7B";
    const OTHER_GOOD: &str =
        "HV-vmd5p9cj6V4HjTUWLt1ySnFpp-hT4P_Lh_JXueTV8D992L4V-oEyL6koGY-kbkMB3ulJTLf7SYfnuXkXZDQ";

    #[test]
    fn known_answers() {
        assert!(verify_handshake(ORIGIN, DID, NONCE, GOOD));
        assert!(!verify_handshake(ORIGIN, DID, NONCE, BAD));
        assert!(verify_handshake(ORIGIN, OTHER_DID, NONCE, OTHER_GOOD));
    }

    #[test]
    fn every_part_counts() {
        assert!(!verify_handshake("https://evil.example.com", DID, NONCE, GOOD));
        assert!(!verify_handshake(ORIGIN, OTHER_DID, NONCE, GOOD));
        assert!(!verify_handshake(ORIGIN, DID, "other", GOOD));
        assert!(!verify_handshake(ORIGIN, "did:web:example.com", NONCE, GOOD));
        for signature in ["", "*", &GOOD[1..], &format!("{GOOD}=="), &"A".repeat(100_000)] {
            assert!(!verify_handshake(ORIGIN, DID, NONCE, signature));
        }
    }

    #[test]
    fn payload_is_four_lines() {
        assert_eq!(handshake_payload("o", "d", "n"), "haverstack-auth-v1\no\nd\nn");
    }
}
