//! The ASCII origin of a base URL, as browsers spell it.
//!
//! Knows `http` and `https` addresses with names or IP literals. Does not know the network, and
//! does not turn names with other letters into ASCII: such a name must be configured in its
//! `xn--` form.
//!
//! Invariants
//! O1. What comes out holds no path, no user name and no default port, and is lower case.

/// Scheme, host and non-default port of `base_url`; `None` when it is no plain `http(s)` address.
///
/// `https://Stack.example.com:443/some/path` gives `https://stack.example.com`.
#[must_use]
pub fn ascii_origin(base_url: &str) -> Option<String> {
    let (scheme, rest) = base_url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host_end = match host_port.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => host_port.find(':').unwrap_or(host_port.len()),
    };
    let (host, port) = host_port.split_at(host_end);
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(in_host) {
        return None;
    }
    let mut origin = format!("{scheme}://{}", host.to_ascii_lowercase());
    match port.strip_prefix(':') {
        None if port.is_empty() => {}
        None => return None,
        Some("") => {}
        Some(digits) => {
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let port: u16 = digits.parse().ok()?;
            if port != default_port {
                origin.push(':');
                origin.push_str(&port.to_string());
            }
        }
    }
    Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_user_and_default_port_go() {
        let cases = [
            ("https://stack.example.com/some/path", "https://stack.example.com"),
            ("HTTPS://Stack.Example.com:443", "https://stack.example.com"),
            ("http://localhost:7700", "http://localhost:7700"),
            ("http://localhost:80/", "http://localhost"),
            ("http://localhost:443/", "http://localhost:443"),
            ("http://me:secret@localhost:7700?x=1", "http://localhost:7700"),
            ("http://[::1]:7700/", "http://[::1]:7700"),
            ("https://[::1]", "https://[::1]"),
            ("https://host:", "https://host"),
        ];
        for (url, origin) in cases {
            assert_eq!(ascii_origin(url).as_deref(), Some(origin), "{url}");
        }
    }

    #[test]
    fn other_texts_have_none() {
        for url in [
            "",
            "localhost",
            "ftp://host",
            "https://",
            "https:///path",
            "https://host:port",
            "https://host:99999",
            "https://[::1",
            "https://[::1]x",
            "https://exämple.org",
            "https://a b",
        ] {
            assert_eq!(ascii_origin(url), None, "{url}");
        }
    }
}
