//! Which passwords an account may have.
//!
//! Length, and what everybody guesses first: the commonest passwords, the login name, the name of
//! this product. No rules on composition, no expiry (SECURITY S31).
//!
//! Knows texts. Does not know accounts or hashes.
//!
//! Invariants
//! Y1. A protocol's or an application's own bounds only narrow: never fewer than
//!     [`PASSWORD_CHARS_MIN`], and 64 characters are always acceptable.

use std::cmp::Ordering;

/// The least number of characters, on every face.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The most, where a protocol does not say less.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Bounds from outside may not forbid passwords of this length.
pub const PASSWORD_CHARS_MAX_LEAST: usize = 64;
const _: () = assert!(PASSWORD_CHARS_MIN <= PASSWORD_CHARS_MAX_LEAST);
const _: () = assert!(PASSWORD_CHARS_MAX_LEAST <= PASSWORD_CHARS_MAX);

const PRODUCT: &str = "cairn";

/// Sorted by bytes, one a line, lower case; the lines `#` and `# …` at the top are comments.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a password was refused. The text is for the person who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    #[error("must have at least {0} characters")]
    TooShort(usize),
    #[error("must have at most {0} characters")]
    TooLong(usize),
    #[error("is one of the most common passwords; choose another")]
    Common,
    #[error("must not be your login name")]
    LoginName,
    #[error("must not be the name of this product")]
    ProductName,
}

/// How long a password may be, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordChars {
    min: usize,
    max: usize,
}

impl PasswordChars {
    /// The bounds of a protocol or an application, narrowed to Y1.
    #[must_use]
    pub fn new(min: usize, max: usize) -> Self {
        Self {
            min: min.clamp(PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX_LEAST),
            max: max.clamp(PASSWORD_CHARS_MAX_LEAST, PASSWORD_CHARS_MAX),
        }
    }
}

impl Default for PasswordChars {
    fn default() -> Self {
        Self { min: PASSWORD_CHARS_MIN, max: PASSWORD_CHARS_MAX }
    }
}

/// Whether the holder of `login_name` (often an e-mail address) may have this password.
///
/// # Errors
/// The first rule that `password` breaks.
pub fn check_password(
    password: &str,
    login_name: &str,
    chars: PasswordChars,
) -> Result<(), PasswordFault> {
    // One more than the bound is all that has to be counted.
    let length = password.chars().take(chars.max + 1).count();
    if length < chars.min {
        return Err(PasswordFault::TooShort(chars.min));
    }
    if length > chars.max {
        return Err(PasswordFault::TooLong(chars.max));
    }
    let lower = password.to_lowercase();
    let login_name = login_name.trim().to_lowercase();
    let local = login_name.split_once('@').map_or(login_name.as_str(), |(local, _)| local);
    if lower == login_name || lower == local {
        return Err(PasswordFault::LoginName);
    }
    if is_product_name(&lower) {
        return Err(PasswordFault::ProductName);
    }
    if is_common(&lower) {
        return Err(PasswordFault::Common);
    }
    Ok(())
}

/// The name is shorter than any password, so what counts is the name repeated or filled up with
/// digits and signs: `cairncairn`, `Cairn-2024`, `cairnbase`.
fn is_product_name(lower: &str) -> bool {
    let letters: String = lower.chars().filter(|sign| sign.is_alphabetic()).collect();
    letters == "cairnbase"
        || (letters.len().is_multiple_of(PRODUCT.len())
            && !letters.is_empty()
            && letters.as_bytes().chunks(PRODUCT.len()).all(|part| part == PRODUCT.as_bytes()))
}

/// Binary search in the text itself: no table is built, at most 13 lines are looked at.
fn is_common(lower: &str) -> bool {
    let list = COMMON.as_bytes();
    let (mut from, mut to) = (comments_end(list), list.len());
    while from < to {
        let middle = from + (to - from) / 2;
        let start = list[from..middle]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(from, |at| from + at + 1);
        let end =
            list[middle..to].iter().position(|byte| *byte == b'\n').map_or(to, |at| middle + at);
        match list[start..end].cmp(lower.as_bytes()) {
            Ordering::Equal => return true,
            Ordering::Less => from = (end + 1).min(to),
            Ordering::Greater => to = start,
        }
    }
    false
}

fn comments_end(list: &[u8]) -> usize {
    let mut at = 0;
    while list[at..].starts_with(b"# ") || list[at..].starts_with(b"#\n") {
        at = list[at..].iter().position(|byte| *byte == b'\n').map_or(list.len(), |n| at + n + 1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordFault> {
        check_password(password, "ada.lovelace@example.com", PasswordChars::default())
    }

    #[test]
    fn the_list_is_sorted_and_every_line_is_found() {
        let lines: Vec<&str> = COMMON[comments_end(COMMON.as_bytes())..].lines().collect();
        assert!(lines.len() > 3_000);
        assert!(lines.is_sorted());
        for line in &lines {
            assert!(is_common(line), "{line}");
            assert!(
                !is_common(&format!("{line}~")) || lines.contains(&format!("{line}~").as_str())
            );
            assert!(line.chars().count() >= PASSWORD_CHARS_MIN, "{line}");
            assert_eq!(&line.to_lowercase(), line);
        }
        for other in ["", "\n", "0", "zzzzzzzzzzzzzzzz", "# Copyright (c)", "password1\npassword"] {
            assert!(!is_common(other), "{other}");
        }
    }

    #[test]
    fn lengths_are_in_characters() {
        assert_eq!(check("kürzer!"), Err(PasswordFault::TooShort(8)));
        assert_eq!(check("länger!!"), Ok(()));
        assert_eq!(check(&"ü".repeat(128)), Ok(()));
        assert_eq!(check(&"ü".repeat(129)), Err(PasswordFault::TooLong(128)));
        assert_eq!(check("        "), Ok(()), "any character, also blanks");
    }

    /// S31: the commonest, the login name, the product's name.
    #[test]
    fn what_everybody_guesses_is_refused() {
        for common in ["password1", "PASSWORD1", "qwertyuiop", "12345678", "iloveyou"] {
            assert_eq!(check(common), Err(PasswordFault::Common), "{common}");
        }
        for name in ["ada.lovelace", "Ada.Lovelace@Example.com"] {
            assert_eq!(check(name), Err(PasswordFault::LoginName), "{name}");
        }
        for name in ["cairncairn", "Cairn-2024", "cairnbase", "c.a.i.r.n!!"] {
            assert_eq!(check(name), Err(PasswordFault::ProductName), "{name}");
        }
        for fine in ["Passw0rd!1", "cairns of orkney", "12345679-ada", "correct horse"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        assert_eq!(check_password("12345679-", "", PasswordChars::default()), Ok(()));
    }

    #[test]
    fn outer_bounds_only_narrow() {
        assert_eq!(PasswordChars::new(1, 20), PasswordChars { min: 8, max: 64 });
        assert_eq!(PasswordChars::new(12, 100), PasswordChars { min: 12, max: 100 });
        assert_eq!(PasswordChars::new(500, 5_000), PasswordChars { min: 64, max: 128 });
    }
}
