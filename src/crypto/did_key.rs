//! Identities as text: DIDs in general, and `did:key` of Ed25519 in particular.
//!
//! Knows the syntax. Does not know who exists.
//!
//! Invariants
//! E1. No candidate longer than [`DID_KEY_CHARS_MAX`] is decoded: base 58 costs quadratic time and
//!     the sign-in routes are open to everybody.

/// The longest text [`parse`] looks at.
pub const DID_KEY_CHARS_MAX: usize = 64;

const PREFIX: &str = "did:key:z";
/// Multicodec `ed25519-pub`.
const CODEC: [u8; 2] = [0xed, 0x01];

/// The public key in a well-formed Ed25519 `did:key`.
#[must_use]
pub fn parse(did: &str) -> Option<[u8; 32]> {
    if did.len() > DID_KEY_CHARS_MAX {
        return None;
    }
    let encoded = did.strip_prefix(PREFIX)?;
    let bytes = bs58::decode(encoded).into_vec().ok()?;
    bytes.strip_prefix(&CODEC)?.try_into().ok()
}

/// The `did:key` of an Ed25519 public key.
#[must_use]
pub fn format(public: &[u8; 32]) -> String {
    let mut bytes = [0; 34];
    bytes[..2].copy_from_slice(&CODEC);
    bytes[2..].copy_from_slice(public);
    format!("{PREFIX}{}", bs58::encode(bytes).into_string())
}

/// Whether `text` is a DID of any method: `^did:[a-z0-9]+:[A-Za-z0-9._:%-]+$`.
#[must_use]
pub fn is_did(text: &str) -> bool {
    let Some((method, rest)) = text.strip_prefix("did:").and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    let in_method = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let in_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"._:%-".contains(&byte);
    !method.is_empty()
        && method.bytes().all(in_method)
        && !rest.is_empty()
        && rest.bytes().all(in_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:key:z6Mkfsz9oK6i2355mvEwtDYdAmqCN6kmQETThJtARfj9iGum";

    #[test]
    fn reads_back_what_it_prints() {
        for public in [[0; 32], [7; 32], [255; 32]] {
            let did = format(&public);
            assert_eq!(parse(&did), Some(public));
            assert!(did.starts_with("did:key:z6Mk") && is_did(&did));
        }
        assert_eq!(format(&parse(DID).unwrap()), DID);
    }

    #[test]
    fn refuses_everything_else() {
        let of = |bytes: &[u8]| format!("{PREFIX}{}", bs58::encode(bytes).into_string());
        let wrong = [
            String::new(),
            "did:key:z".into(),
            "did:web:example.com".into(),
            DID.replace("did:key:z", "did:key:u"),
            DID.replace("6Mk", "6M0"),
            format!("{DID} "),
            format!("{DID}{}", "1".repeat(100_000)),
            // X25519, a byte short, a byte long.
            of(&[&[0xec, 0x01][..], &[7; 32]].concat()),
            of(&[&CODEC[..], &[7; 31]].concat()),
            of(&[&CODEC[..], &[7; 33]].concat()),
        ];
        for did in wrong {
            assert_eq!(parse(&did), None, "{did:.80}");
        }
    }

    #[test]
    fn generic_syntax() {
        for did in [DID, "did:web:example.com%3A8080:u:a-b_c", "did:x1:A.b"] {
            assert!(is_did(did), "{did}");
        }
        for text in [
            "",
            "did:",
            "did:key",
            "did:key:",
            "did::x",
            "did:Key:x",
            "did:key:a b",
            "x:key:a",
            "did:key:é",
        ] {
            assert!(!is_did(text), "{text}");
        }
    }
}
