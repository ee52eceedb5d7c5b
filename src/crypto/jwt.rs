//! Compact JSON Web Tokens with one pinned algorithm: HS256.
//!
//! There is no header to negotiate with. A token is accepted only when its first segment is, byte
//! for byte, the one this module writes for one of the keys in hand; `none`, other algorithms,
//! `jku`, `x5u`, `jwk` and key paths in `kid` (SECURITY S36) therefore never reach a parser.
//!
//! Knows signing keys and the claims `iss`, `aud`, `exp` and `nbf`. Does not know sessions: whether
//! the one a token names still lives is the caller's to check.
//!
//! Invariants
//! J1. No claim is read before the signature has been verified, in constant time.
//! J2. A token is verified with the current or the previous key; it is signed with the current one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{constant_time_eq, hmac_sha256};
use crate::util::json;
use crate::util::rng::Rng;

/// Secrets are at least this long.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longer texts are no tokens of ours; they are refused before any work.
pub const TOKEN_CHARS_MAX: usize = 16 * 1024;
/// How far two clocks may differ.
pub const LEEWAY_S: i64 = 60;
const KEY_ID_CHARS_MAX: usize = 32;

/// Why a token was refused. For the log: callers learn only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtFault {
    #[error("not a token of this server")]
    Malformed,
    #[error("wrong signature")]
    Signature,
    #[error("issued by or for somebody else")]
    Audience,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYet,
}

/// One signing key and the header its tokens carry.
#[derive(Clone)]
pub struct JwtKey {
    secret: Vec<u8>,
    /// The first segment of every token of this key.
    header: String,
}

impl JwtKey {
    /// `id` is 1 to 32 characters of `[A-Za-z0-9_-]`, the secret at least 32 bytes; `None` otherwise.
    #[must_use]
    pub fn new(id: &str, secret: &[u8]) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (1..=KEY_ID_CHARS_MAX).contains(&id.len())
            && id.bytes().all(plain)
            && secret.len() >= SECRET_BYTES_MIN;
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{id}"}}"#);
        fits.then(|| Self { secret: secret.to_vec(), header: URL_SAFE_NO_PAD.encode(header) })
    }

    /// A fresh secret of 32 bytes, to be stored beside its id.
    #[must_use]
    pub fn new_secret(rng: &Rng) -> [u8; SECRET_BYTES_MIN] {
        rng.bytes()
    }
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JwtKey(***)")
    }
}

/// What a token must say about itself.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub now_ms: i64,
}

/// The key in use and, after a rotation, the one before it.
#[derive(Clone, Debug)]
pub struct JwtKeys {
    current: JwtKey,
    previous: Option<JwtKey>,
}

impl JwtKeys {
    #[must_use]
    pub fn new(current: JwtKey, previous: Option<JwtKey>) -> Self {
        Self { current, previous }
    }

    /// `next` becomes the current key; tokens of the one before the present one die.
    #[must_use]
    pub fn rotate(self, next: JwtKey) -> Self {
        Self { current: next, previous: Some(self.current) }
    }

    /// The token that carries `claims`, signed with the current key.
    #[must_use]
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        let mut token = self.current.header.clone();
        token.push('.');
        let text = serde_json::to_string(claims).expect("a JSON object has a text");
        URL_SAFE_NO_PAD.encode_string(text, &mut token);
        let tag = hmac_sha256(&self.current.secret, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        token
    }

    /// The claims of a token that is ours, meant for `expected` and valid now.
    ///
    /// # Errors
    /// [`JwtFault`].
    pub fn verify(
        &self,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Map<String, Value>, JwtFault> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(JwtFault::Malformed);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(JwtFault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtFault::Malformed)?;
        let key = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.header == header)
            .ok_or(JwtFault::Malformed)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| JwtFault::Malformed)?;
        if !constant_time_eq(&tag, &hmac_sha256(&key.secret, signed.as_bytes())) {
            return Err(JwtFault::Signature);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| JwtFault::Malformed)?;
        let claims = json::parse_object(&claims).map_err(|_| JwtFault::Malformed)?;
        check_claims(&claims, expected)?;
        Ok(claims)
    }
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), JwtFault> {
    let is = |value: &Value, wanted: &str| value.as_str() == Some(wanted);
    let issued = claims.get("iss").is_some_and(|issuer| is(issuer, expected.issuer));
    let meant = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(|one| is(one, expected.audience)),
        Some(one) => is(one, expected.audience),
        None => false,
    };
    if !issued || !meant {
        return Err(JwtFault::Audience);
    }
    let now_s = expected.now_ms.div_euclid(1_000);
    let expires_s = seconds(claims.get("exp").ok_or(JwtFault::Malformed)?)?;
    if now_s >= expires_s.saturating_add(LEEWAY_S) {
        return Err(JwtFault::Expired);
    }
    if let Some(from) = claims.get("nbf")
        && now_s.saturating_add(LEEWAY_S) < seconds(from)?
    {
        return Err(JwtFault::NotYet);
    }
    Ok(())
}

/// We write whole seconds, so nothing else is read.
fn seconds(value: &Value) -> Result<i64, JwtFault> {
    value.as_i64().ok_or(JwtFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};
    use serde_json::json;

    const NOW_MS: i64 = 1_775_390_400_000;
    const NOW_S: i64 = NOW_MS / 1_000;

    fn key(id: &str, byte: u8) -> JwtKey {
        JwtKey::new(id, &[byte; 32]).unwrap()
    }

    fn keys() -> JwtKeys {
        JwtKeys::new(key("k1", 7), None)
    }

    fn expected() -> Expected<'static> {
        Expected { issuer: "cairn", audience: "live", now_ms: NOW_MS }
    }

    fn claims(more: Value) -> Map<String, Value> {
        let mut all = json!({"iss": "cairn", "aud": "live", "exp": NOW_S + 900, "sub": "usr_a"});
        let all = all.as_object_mut().unwrap();
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
        all.clone()
    }

    fn verify(token: &str) -> Result<Map<String, Value>, JwtFault> {
        keys().verify(token, &expected())
    }

    /// A token with any header and claims, signed with the right secret.
    fn forge(header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac_sha256(&[7; 32], signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// RFC 7515, appendix A.1: the signature of a given header and payload.
    #[test]
    fn agrees_with_the_standard() {
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = URL_SAFE_NO_PAD.encode(hmac_sha256(&secret, signed.as_bytes()));
        assert_eq!(tag, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn round_trip_in_three_parts() {
        let claims = claims(json!({"claims": {"plan": "pro"}, "roles": ["editor"]}));
        let token = keys().sign(&claims);
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(verify(&token), Ok(claims));
    }

    /// S36: one pinned algorithm; nothing in the header is followed.
    #[test]
    fn foreign_headers_are_refused() {
        let body = serde_json::to_string(&claims(json!({}))).unwrap();
        let headers = [
            r#"{"alg":"none","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS512","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k2"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","jku":"https://evil.example.com/keys"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","x5u":"https://evil.example.com/key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","jwk":{"kty":"oct","k":"AA"}}"#,
            r#"{"alg":"HS256","alg":"none","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256", "typ":"JWT","kid":"k1"}"#,
            "",
        ];
        for header in headers {
            assert_eq!(verify(&forge(header, &body)), Err(JwtFault::Malformed), "{header}");
        }
        let ours = r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#;
        assert!(verify(&forge(ours, &body)).is_ok());
        let unsigned =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(ours), URL_SAFE_NO_PAD.encode(&body));
        assert_eq!(verify(&unsigned), Err(JwtFault::Signature));
        for (text, fault) in [
            ("[]", JwtFault::Malformed),
            ("", JwtFault::Malformed),
            ("{", JwtFault::Malformed),
            ("{}", JwtFault::Audience),
        ] {
            assert_eq!(verify(&forge(ours, text)), Err(fault), "{text}");
        }
    }

    #[test]
    fn every_claim_counts() {
        let cases = [
            (json!({"iss": "other"}), Err(JwtFault::Audience)),
            (json!({"iss": null}), Err(JwtFault::Audience)),
            (json!({"aud": "objects"}), Err(JwtFault::Audience)),
            (json!({"aud": null}), Err(JwtFault::Audience)),
            (json!({"aud": ["objects", "live"]}), Ok(())),
            (json!({"aud": []}), Err(JwtFault::Audience)),
            (json!({"exp": null}), Err(JwtFault::Malformed)),
            (json!({"exp": "9999999999"}), Err(JwtFault::Malformed)),
            (json!({"exp": NOW_S - LEEWAY_S + 1}), Ok(())),
            (json!({"exp": NOW_S - LEEWAY_S}), Err(JwtFault::Expired)),
            (json!({"exp": i64::MAX}), Ok(())),
            (json!({"exp": i64::MIN}), Err(JwtFault::Expired)),
            (json!({"nbf": NOW_S + LEEWAY_S}), Ok(())),
            (json!({"nbf": NOW_S + LEEWAY_S + 1}), Err(JwtFault::NotYet)),
            (json!({"nbf": true}), Err(JwtFault::Malformed)),
        ];
        for (more, wanted) in cases {
            let token = keys().sign(&claims(more.clone()));
            assert_eq!(verify(&token).map(|_| ()), wanted, "{more}");
        }
    }

    /// Rotation keeps the previous key for verification, and only that one.
    #[test]
    fn two_keys_are_known() {
        let first = keys();
        let old = first.sign(&claims(json!({})));
        let second = first.rotate(key("k2", 8));
        assert!(second.verify(&old, &expected()).is_ok());
        let new = second.sign(&claims(json!({})));
        assert_eq!(verify(&new), Err(JwtFault::Malformed));
        let third = second.rotate(key("k3", 9));
        assert!(third.verify(&new, &expected()).is_ok());
        assert_eq!(third.verify(&old, &expected()), Err(JwtFault::Malformed));
        // The same id with another secret is another key.
        let imposter = JwtKeys::new(key("k1", 1), None);
        assert_eq!(imposter.verify(&old, &expected()), Err(JwtFault::Signature));
    }

    #[test]
    fn keys_have_bounds_and_show_nothing() {
        assert!(JwtKey::new("", &[0; 32]).is_none());
        assert!(JwtKey::new("a/b", &[0; 32]).is_none());
        assert!(JwtKey::new("a\"", &[0; 32]).is_none());
        assert!(JwtKey::new(&"a".repeat(33), &[0; 32]).is_none());
        assert!(JwtKey::new("a", &[0; 31]).is_none());
        let shown = format!("{:?}", JwtKeys::new(key("k1", 65), Some(key("k0", 65))));
        assert!(!shown.contains("65") && !shown.contains("AAAA"), "{shown}");
        assert_eq!(verify(&"a.".repeat(TOKEN_CHARS_MAX)), Err(JwtFault::Malformed));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_no_token(place in 0usize..10_000, to in 0u8..128) {
            let token = keys().sign(&claims(json!({})));
            let mut bytes = token.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = to;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(changed == token || verify(&changed).is_err());
        }

        #[test]
        fn garbage_is_refused(text in ".{0,80}") {
            prop_assert!(verify(&text).is_err());
        }
    }
}
