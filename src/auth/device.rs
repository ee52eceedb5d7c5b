//! What a session list calls the device: a few words made of `User-Agent`.
//!
//! Knows the common browsers and systems by the words they put there. Does not know versions, and
//! decides nothing: the text is for people only.
//!
//! Invariants
//! E1. The text has at most [`DEVICE_CHARS_MAX`] characters, all printable ASCII, whatever came in.

/// The longest text.
pub const DEVICE_CHARS_MAX: usize = 64;
/// What is looked at; real values are well below.
const USER_AGENT_BYTES_MAX: usize = 1_024;

const UNKNOWN: &str = "Unknown device";

/// Browsers by the word only they have; those that also carry another's word come first.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems, the more particular word first: Android says Linux, an iPhone says Mac OS X.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("iPod", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
];

/// `Chrome on macOS` when both are recognised, otherwise the first product token (`curl/8.5.0`),
/// otherwise `Unknown device`.
#[must_use]
pub fn device_text(user_agent: Option<&str>) -> String {
    let Some(agent) = user_agent.filter(|agent| agent.len() <= USER_AGENT_BYTES_MAX) else {
        return UNKNOWN.to_owned();
    };
    let named = |table: &[(&str, &'static str)]| {
        table.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
    };
    if let (Some(browser), Some(system)) = (named(BROWSERS), named(SYSTEMS)) {
        return format!("{browser} on {system}");
    }
    let product = agent.split_ascii_whitespace().next().unwrap_or("");
    // RFC 9110, 5.6.2 `token`, and the slash before the version.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    let fits = (1..=DEVICE_CHARS_MAX).contains(&product.len()) && product.bytes().all(plain);
    if fits { product.to_owned() } else { UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn common_devices() {
        let cases = [
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome on macOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
                "Safari on iOS",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPadOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome on ChromeOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36 OPR/105.0",
                "Opera on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
                "Safari on macOS",
            ),
            ("curl/8.5.0", "curl/8.5.0"),
            ("python-httpx/0.27.0", "python-httpx/0.27.0"),
            ("GuzzleHttp/7", "GuzzleHttp/7"),
            ("node", "node"),
            ("Mozilla/5.0 (PlayStation 5)", "Mozilla/5.0"),
            ("", UNKNOWN),
            ("   ", UNKNOWN),
            ("<script>alert(1)</script>", UNKNOWN),
            ("日本/1.0", UNKNOWN),
        ];
        for (agent, text) in cases {
            assert_eq!(device_text(Some(agent)), text, "{agent}");
        }
        assert_eq!(device_text(None), UNKNOWN);
        assert_eq!(device_text(Some(&"a".repeat(65))), UNKNOWN);
        assert_eq!(device_text(Some(&"Chrome/ Linux".repeat(1_000))), UNKNOWN);
    }

    proptest! {
        #[test]
        fn always_short_and_plain(agent in any::<String>()) {
            let text = device_text(Some(&agent));
            prop_assert!(text.len() <= DEVICE_CHARS_MAX);
            prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
    }
}
