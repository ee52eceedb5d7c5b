//! Request headers of the stack: `If-Match` and `Prefer`.
//!
//! Knows their syntax. Does not know versions: comparing is the engine's, after authorisation.
//!
//! Invariants
//! I1. A version that cannot be read is refused, never taken for absent.

use http::header::{HeaderMap, IF_MATCH};

use super::errors::Failure;

/// The version a client says it has seen; absent and `*` are none.
///
/// # Errors
/// `bad_request` for anything but one version, with or without quotes and `W/`.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let readable = match (value.to_str(), values.next()) {
        (Ok(text), None) => seen_version(text),
        _ => None,
    };
    readable.ok_or_else(|| Failure::bad_request("If-Match must be a version, as in \"3\""))
}

/// `None` when unreadable, `Some(None)` for `*`.
fn seen_version(text: &str) -> Option<Option<i64>> {
    let text = text.trim();
    if text == "*" {
        return Some(None);
    }
    let text = text.strip_prefix("W/").unwrap_or(text);
    let digits = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Some)
}

/// Whether the client asked to see the record after a change that is normally answered without one.
pub(super) fn prefers_representation(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("return")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("representation")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn versions_with_and_without_dress() {
        for text in ["3", "\"3\"", "W/\"3\"", " \"3\" ", "W/3", "003"] {
            assert_eq!(seen_version(text), Some(Some(3)), "{text}");
        }
        assert_eq!(seen_version("*"), Some(None));
        assert_eq!(seen_version("0"), Some(Some(0)));
    }

    #[test]
    fn everything_else_is_unreadable() {
        for text in [
            "",
            "\"",
            "\"\"",
            "abc",
            "\"3",
            "3\"",
            "\"*\"",
            "-1",
            "1.0",
            "\"1\", \"2\"",
            "w/\"3\"",
            "٣",
            "99999999999999999999",
        ] {
            assert_eq!(seen_version(text), None, "{text}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(if_match(&headers).unwrap(), None);
        headers.append(IF_MATCH, HeaderValue::from_static("1"));
        headers.append(IF_MATCH, HeaderValue::from_static("2"));
        assert!(if_match(&headers).is_err());
    }

    #[test]
    fn preferences_are_a_list() {
        let prefers = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(text));
            prefers_representation(&headers)
        };
        assert!(prefers("return=representation"));
        assert!(prefers("respond-async, Return=\"representation\""));
        assert!(prefers("wait=5; return = representation"));
        assert!(!prefers("return=minimal"));
        assert!(!prefers("representation"));
    }
}
