//! The second factor: time-based codes (RFC 6238) and recovery codes.
//!
//! HMAC-SHA-1, 6 digits, 30 seconds: what every authenticator application assumes.
//!
//! Knows seeds, codes and their texts. Does not know accounts, nor how many tries somebody has left.
//!
//! Invariants
//! O1. A code is good for the step before, the present and the next one; all three are always
//!     compared, in constant time.
//! O2. A step at or before the last one used never verifies again: each code works once.
//! O3. A recovery code is stored as its SHA-256 only; it carries 80 random bits, so that is enough.

use ring::hmac;

use super::{constant_time_eq, sha256};
use crate::util::rng::Rng;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 20;
/// Seconds of one step.
pub const STEP_S: i64 = 30;
/// Digits of a code.
pub const CODE_DIGITS: usize = 6;
/// Steps by which a phone's clock may be wrong.
pub const STEPS_OFF: i64 = 1;
/// Recovery codes in one set.
pub const RECOVERY_CODES: usize = 10;

const RECOVERY_BYTES: usize = 10;
const RECOVERY_CHARS: usize = RECOVERY_BYTES * 8 / 5;
/// Longer texts are not decoded.
const BASE32_CHARS_MAX: usize = 1_024;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A fresh seed.
#[must_use]
pub fn new_seed(rng: &Rng) -> [u8; SEED_BYTES] {
    rng.bytes()
}

/// The step that `now_ms` lies in.
#[must_use]
pub fn step_at(now_ms: i64) -> i64 {
    now_ms.div_euclid(STEP_S * 1_000)
}

/// The code of one step.
#[must_use]
pub fn code_of(seed: &[u8], step: i64) -> String {
    format!("{:0width$}", truncated(seed, step) % 1_000_000, width = CODE_DIGITS)
}

/// The step that `code` belongs to, which the caller stores as the last one used; `None` for a
/// wrong, an old or an already used code. Blanks inside the code do not count.
#[must_use]
pub fn verify_code(seed: &[u8], code: &str, now_ms: i64, last_step: Option<i64>) -> Option<i64> {
    let digits: String = code.chars().filter(|sign| !sign.is_whitespace()).take(16).collect();
    if digits.len() != CODE_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let now = step_at(now_ms);
    let mut found = None;
    for step in now - STEPS_OFF..=now + STEPS_OFF {
        let right = constant_time_eq(code_of(seed, step).as_bytes(), digits.as_bytes());
        if right && last_step.is_none_or(|last| step > last) {
            found = Some(step);
        }
    }
    found
}

/// What an authenticator application reads from the QR code.
///
/// Source: Google Authenticator, "Key Uri Format".
#[must_use]
pub fn otpauth_uri(issuer: &str, account: &str, seed: &[u8]) -> String {
    let (issuer, account) = (percent(issuer), percent(account));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={CODE_DIGITS}&period={STEP_S}",
        base32(seed)
    )
}

/// A recovery code: the text to show once, and what to store.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode {
    /// `XXXX-XXXX-XXXX-XXXX`
    pub text: String,
    pub hash: [u8; 32],
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode(***)")
    }
}

/// A fresh set of recovery codes.
#[must_use]
pub fn new_recovery_codes(rng: &Rng) -> Vec<RecoveryCode> {
    let one = || {
        let letters = base32(&rng.bytes::<RECOVERY_BYTES>());
        let mut text = String::with_capacity(RECOVERY_CHARS + 3);
        for (place, letter) in letters.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        RecoveryCode { text, hash: sha256(letters.as_bytes()) }
    };
    std::iter::repeat_with(one).take(RECOVERY_CODES).collect()
}

/// The stored form of a recovery code as somebody typed it: any case, with or without hyphens and
/// blanks. `None` when it cannot be one.
#[must_use]
pub fn recovery_hash(typed: &str) -> Option<[u8; 32]> {
    let letters: String = typed
        .chars()
        .filter(|sign| !sign.is_whitespace() && *sign != '-')
        .take(RECOVERY_CHARS + 1)
        .map(|sign| sign.to_ascii_uppercase())
        .collect();
    let fits =
        letters.len() == RECOVERY_CHARS && letters.bytes().all(|letter| BASE32.contains(&letter));
    fits.then(|| sha256(letters.as_bytes()))
}

/// RFC 4648 base 32, upper case, without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(letter(bits >> held));
        }
    }
    if held > 0 {
        out.push(letter(bits << (5 - held)));
    }
    out
}

/// The bytes of a base 32 text in any case; padding, blanks and hyphens are ignored.
#[must_use]
pub fn unbase32(text: &str) -> Option<Vec<u8>> {
    if text.len() > BASE32_CHARS_MAX {
        return None;
    }
    let (mut bits, mut held) = (0u32, 0u32);
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    for sign in text.bytes() {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a',
            b'2'..=b'7' => sign - b'2' + 26,
            b'=' | b'-' | b' ' => continue,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    Some(out)
}

fn letter(bits: u32) -> char {
    char::from(BASE32[(bits & 31) as usize])
}

/// RFC 4226, section 5.3.
fn truncated(seed: &[u8], step: i64) -> u32 {
    // RFC 6238 is SHA-1 by default, and authenticator applications ignore anything else.
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 15);
    let word = [tag[at], tag[at + 1], tag[at + 2], tag[at + 3]];
    u32::from_be_bytes(word) & 0x7fff_ffff
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::collections::HashSet;

    const SEED: &[u8] = b"12345678901234567890";

    /// RFC 6238, appendix B, the SHA-1 rows; six of the eight digits.
    #[test]
    fn known_codes() {
        let rows = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (at_s, code) in rows {
            let now_ms = at_s * 1_000;
            assert_eq!(code_of(SEED, step_at(now_ms)), code);
            assert_eq!(verify_code(SEED, code, now_ms, None), Some(step_at(now_ms)));
        }
        // RFC 4226, appendix D.
        assert_eq!(code_of(SEED, 0), "755224");
        assert_eq!(code_of(SEED, 9), "520489");
    }

    /// S34: ±1 step, each code once.
    #[test]
    fn one_step_off_and_once() {
        let now_ms = 1_111_111_111_000;
        let step = step_at(now_ms);
        for (off, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let code = code_of(SEED, step + off);
            let wanted = good.then_some(step + off);
            assert_eq!(verify_code(SEED, &code, now_ms, None), wanted, "{off}");
        }
        let code = code_of(SEED, step);
        assert_eq!(verify_code(SEED, &code, now_ms, Some(step - 1)), Some(step));
        assert_eq!(verify_code(SEED, &code, now_ms, Some(step)), None);
        assert_eq!(verify_code(SEED, &code, now_ms, Some(step + 1)), None);
        assert_eq!(verify_code(SEED, &code_of(SEED, step - 1), now_ms, Some(step)), None);
    }

    #[test]
    fn only_six_digits_are_a_code() {
        let now_ms = 59_000;
        assert_eq!(verify_code(SEED, "287 082", now_ms, None), Some(1));
        for code in ["", "28708", "2870820", "28708a", "２８７０８２", "+28708", &"2".repeat(9_999)]
        {
            assert_eq!(verify_code(SEED, code, now_ms, None), None, "{code}");
        }
        assert_eq!(step_at(-1), -1, "a clock before the epoch does not panic");
        let _ = verify_code(SEED, "287082", -1, None);
    }

    #[test]
    fn the_uri_is_what_applications_read() {
        assert_eq!(
            otpauth_uri("My Cairn", "ada@example.com", SEED),
            "otpauth://totp/My%20Cairn:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=My%20Cairn&algorithm=SHA1&digits=6&period=30"
        );
    }

    /// RFC 4648, section 10.
    #[test]
    fn known_base32() {
        for (plain, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), text);
            assert_eq!(unbase32(text).unwrap(), plain.as_bytes());
        }
        assert_eq!(unbase32("mzxw-6ytb oi======").unwrap(), b"foobar");
        for text in ["0", "1", "8", "é", &"A".repeat(2_000)] {
            assert_eq!(unbase32(text), None, "{text}");
        }
    }

    /// S34: ten codes of 80 bits, four groups of four.
    #[test]
    fn recovery_codes_have_their_shape() {
        let codes = new_recovery_codes(&Rng::os());
        assert_eq!(codes.len(), 10);
        let texts: HashSet<&str> = codes.iter().map(|code| code.text.as_str()).collect();
        assert_eq!(texts.len(), 10);
        for code in &codes {
            let groups: Vec<&str> = code.text.split('-').collect();
            assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4));
            assert_eq!(recovery_hash(&code.text), Some(code.hash));
            let typed = code.text.to_lowercase().replace('-', " ");
            assert_eq!(recovery_hash(&typed), Some(code.hash));
        }
        for typed in ["", "AAAA-AAAA-AAAA-AAA", "AAAA-AAAA-AAAA-AAAAA", "AAAA-AAAA-AAAA-AAA1"] {
            assert_eq!(recovery_hash(typed), None, "{typed}");
        }
        assert_eq!(format!("{:?}", codes[0]), "RecoveryCode(***)");
    }

    proptest! {
        #[test]
        fn base32_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(unbase32(&base32(&bytes)), Some(bytes));
        }
    }
}
