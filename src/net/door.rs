//! Who may come in at all: host, origin, cross-origin reading, and the headers of every answer.
//!
//! Knows headers and the settings about names. Does not know routes, credentials or bodies.
//!
//! Invariants
//! D1. Names are compared whole, ignoring case, never by a part.
//! D2. Nothing forwarded is believed unless the peer is a configured proxy.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};

use super::{RateState, Settings};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// What every cross-origin page may send (stack 1.7, live 3.6).
const ALLOW_HEADERS: &str = "Authorization, Content-Type, Content-Disposition, If-Match, Prefer, \
    X-Api-Key, X-DarshDB-NS, X-DarshDB-DB, X-Device-Fingerprint, Content-Range, X-Chunk-Index, \
    Idempotency-Key";
const ALLOW_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
const EXPOSE_HEADERS: &str = "X-Request-Id, Content-Disposition, ETag, X-RateLimit-Limit, \
    X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After";
/// How long a browser may remember a preflight.
const MAX_AGE_S: &str = "600";
const HSTS: &str = "max-age=31536000";
/// Longer `X-Forwarded-For` chains are cut at the far end.
const FORWARDED_HOPS_MAX: usize = 16;

/// Addresses that share their first bits: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    bits: u128,
    mask: u128,
}

impl IpRange {
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        as_bits(ip) & self.mask == self.bits
    }
}

/// IPv4 as its mapped IPv6 address, so that one comparison serves both.
fn as_bits(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for IpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let fault = || format!("{text:?} is no address or address/prefix");
        let ip: IpAddr = address.trim().parse().map_err(|_| fault())?;
        let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse::<u32>().ok().filter(|p| *p <= width),
            None => Some(width),
        };
        let free = width - prefix.ok_or_else(fault)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        Ok(Self { bits: as_bits(ip) & mask, mask })
    }
}

/// Scheme and authority, in lower case, without a default port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    authority: String,
}

impl Origin {
    /// Of a URL or the value of `Origin`.
    fn parse(text: &str) -> Option<Self> {
        let (https, rest) = if let Some(rest) = strip_prefix_ignore_case(text, "https://") {
            (true, rest)
        } else {
            (false, strip_prefix_ignore_case(text, "http://")?)
        };
        let authority = rest.split(['/', '?', '#']).next().filter(|a| !a.is_empty())?;
        let authority = without_default_port(authority, https).to_ascii_lowercase();
        Some(Self { https, authority })
    }

    fn is(&self, https: bool, authority: &str) -> bool {
        self.https == https
            && self.authority.eq_ignore_ascii_case(without_default_port(authority, https))
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn without_default_port(authority: &str, https: bool) -> &str {
    let port = if https { ":443" } else { ":80" };
    authority.strip_suffix(port).or_else(|| authority.strip_suffix(':')).unwrap_or(authority)
}

/// The host of an authority and its port's text; `None` when malformed.
fn split_authority(authority: &str) -> Option<(&str, &str)> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let port = &authority[end..];
        (&authority[..end], if port.is_empty() { "" } else { port.strip_prefix(':')? })
    } else {
        authority.split_once(':').unwrap_or((authority, ""))
    };
    let port_fine = port.is_empty()
        || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0));
    let host_fine = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    (port_fine && host_fine).then_some((host, port))
}

/// The settings about names, prepared.
#[derive(Debug)]
pub(super) struct Door {
    public: Option<Origin>,
    hosts: Vec<String>,
    any_origin: bool,
    origins: Vec<Origin>,
    dev: bool,
    proxies: Vec<IpRange>,
}

/// What the door found out about a request that may come in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) peer: IpAddr,
    https: bool,
    /// `Access-Control-Allow-Origin` of the answer.
    allow_origin: Option<HeaderValue>,
    /// Whether the answer must not be kept by anybody (S19).
    private: bool,
}

impl Door {
    pub(super) fn new(settings: &Settings) -> Self {
        let public = settings.base_url.as_deref().and_then(Origin::parse);
        let mut hosts: Vec<String> =
            settings.hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
        if let Some((host, _)) = public.as_ref().and_then(|p| split_authority(&p.authority)) {
            hosts.push(host.to_owned());
        }
        Self {
            public,
            hosts,
            any_origin: settings.origins.iter().any(|o| o == "*"),
            origins: settings.origins.iter().filter_map(|o| Origin::parse(o)).collect(),
            dev: settings.dev,
            proxies: settings.trusted_proxies.clone(),
        }
    }

    /// SECURITY S10 and who is asking; the status of the refusal otherwise.
    pub(super) fn enter(&self, peer: IpAddr, parts: &Parts) -> Result<Visitor, StatusCode> {
        self.check_host(parts)?;
        let proxied = !self.proxies.is_empty() && self.proxies.iter().any(|p| p.contains(peer));
        let headers = &parts.headers;
        let https = if proxied && let Some(scheme) = headers.get("x-forwarded-proto") {
            scheme.as_bytes().eq_ignore_ascii_case(b"https")
        } else {
            self.public.as_ref().is_some_and(|p| p.https)
        };
        let allow_origin = headers.get(header::ORIGIN).and_then(|origin| {
            if self.any_origin {
                return Some(HeaderValue::from_static("*"));
            }
            self.listed(origin.to_str().ok()?).then(|| origin.clone())
        });
        Ok(Visitor {
            peer: if proxied { self.client(peer, headers) } else { peer },
            https,
            allow_origin,
            private: has_credential(headers),
        })
    }

    fn check_host(&self, parts: &Parts) -> Result<(), StatusCode> {
        let mut values = parts.headers.get_all(header::HOST).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(StatusCode::BAD_REQUEST);
        };
        let authority = value.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
        let (host, _) = split_authority(authority).ok_or(StatusCode::BAD_REQUEST)?;
        if let Some(target) = parts.uri.authority()
            && !target.as_str().eq_ignore_ascii_case(authority)
        {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        let known = host.eq_ignore_ascii_case("localhost")
            || literal(host).is_some_and(|ip| !ip.is_unspecified())
            || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host));
        if known { Ok(()) } else { Err(StatusCode::MISDIRECTED_REQUEST) }
    }

    /// The nearest address in the chain of proxies that is none of ours.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lines.filter_map(|v| v.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            let hop = hop.trim();
            let Some(ip) = hop.parse().ok().or_else(|| literal(split_authority(hop)?.0)) else {
                break;
            };
            client = ip.to_canonical();
            if !self.proxies.iter().any(|p| p.contains(client)) {
                break;
            }
        }
        client
    }

    /// Whether an origin is on the list for cross-origin reading (S12).
    fn listed(&self, origin: &str) -> bool {
        let Some(origin) = Origin::parse(origin) else { return false };
        let dev = || {
            let host = split_authority(&origin.authority).map(|(host, _)| host);
            self.dev && !origin.https && matches!(host, Some("localhost" | "127.0.0.1"))
        };
        self.origins.contains(&origin) || dev()
    }

    /// SECURITY S11: may the page that sent this change something, or listen?
    pub(super) fn origin_allowed(&self, parts: &Parts, visitor: &Visitor) -> bool {
        let headers = &parts.headers;
        let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let listens = || {
            headers.contains_key(header::UPGRADE)
                || headers.get(header::ACCEPT).is_some_and(|accept| {
                    accept.to_str().is_ok_and(|a| a.contains("text/event-stream"))
                })
        };
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (origin, second) = (origins.next(), origins.next());
        if safe && (origin.is_none() || !listens()) {
            return true;
        }
        let Some(origin) = origin else {
            return headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site");
        };
        let Some(text) = origin.to_str().ok().filter(|_| second.is_none()) else { return false };
        let Some(parsed) = Origin::parse(text) else { return false };
        let same_host = || {
            let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
            // Whoever asked for an address of this machine, not for the public name, came without what adds TLS in front.
            let direct = |host: &str| {
                split_authority(host).is_some_and(|(name, _)| {
                    name.eq_ignore_ascii_case("localhost") || literal(name).is_some()
                })
            };
            host.is_some_and(|host| {
                parsed.is(visitor.https, host) || direct(host) && parsed.is(false, host)
            })
        };
        let allowed = self.any_origin
            || self.public.as_ref() == Some(&parsed)
            || same_host()
            || self.listed(text);
        if !allowed {
            tracing::warn!(
                origin = ?text,
                "refused a page of another origin; TRUSTED_ORIGINS (setting `cors_origins`) would allow it"
            );
        }
        allowed
    }

    /// The headers of an answer to `OPTIONS`.
    ///
    /// They are the same for every page; only `Access-Control-Allow-Origin`, which [`Door::leave`] adds, lets one in.
    pub(super) fn preflight(headers: &mut HeaderMap) {
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
        set(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    }

    /// The headers that every answer has (S19); what a handler set itself stays.
    pub(super) fn leave(
        &self,
        headers: &mut HeaderMap,
        visitor: Option<&Visitor>,
        request_id: String,
        rate: &RateState,
    ) {
        headers.reserve(10);
        let mut set = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        set(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(request_id)) {
            set(X_REQUEST_ID, id);
        }
        if let Some(visitor) = visitor {
            if visitor.private {
                set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            if visitor.https {
                set(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
            }
            if let Some(origin) = &visitor.allow_origin {
                set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                let exposed = HeaderValue::from_static(EXPOSE_HEADERS);
                set(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            }
        }
        set_rate(headers, rate);
        if self.dev || self.any_origin || !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Whether a request carries anything that could be a credential.
pub(super) fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(header::COOKIE)
        || headers.contains_key("x-api-key")
}

fn set_rate(headers: &mut HeaderMap, rate: &RateState) {
    let number = |n: u32| match n {
        super::rate::UNLIMITED => HeaderValue::from_static("1000000"),
        n => HeaderValue::from(n),
    };
    headers.insert(RATE_LIMIT, number(rate.limit));
    headers.insert(RATE_REMAINING, number(rate.remaining));
    headers.insert(RATE_RESET, HeaderValue::from(rate.reset_s));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn door() -> Door {
        Door::new(&Settings {
            base_url: Some("https://stack.example.org".to_owned()),
            hosts: vec!["Box.local".to_owned()],
            origins: vec!["https://app.example.org".to_owned()],
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Settings::default()
        })
    }

    fn peer() -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    #[test]
    fn s10_only_known_hosts_come_in() {
        let door = door();
        let enter = |host| door.enter(peer(), &parts("GET", &[("host", host)])).err();
        for host in [
            "localhost",
            "LOCALHOST:7700",
            "127.0.0.1:1",
            "192.168.1.7",
            "[::1]:7700",
            "[fe80::1]",
            "stack.example.org",
            "Stack.Example.Org:443",
            "box.local",
            "localhost:",
        ] {
            assert_eq!(enter(host), None, "{host}");
        }
        for host in [
            "evil.example",
            "stack.example.org.evil.example",
            "xstack.example.org",
            "0.0.0.0",
            "[::]:80",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "2130706433",
            "0x7f.1",
        ] {
            assert_eq!(enter(host), Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        for host in
            ["", ":80", "localhost:0", "localhost:65536", "localhost:8x", "a@localhost", "[::1"]
        {
            assert_eq!(enter(host), Some(StatusCode::BAD_REQUEST), "{host}");
        }
        let two = parts("GET", &[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(door.enter(peer(), &two).err(), Some(StatusCode::BAD_REQUEST));
        assert_eq!(door.enter(peer(), &parts("GET", &[])).err(), Some(StatusCode::BAD_REQUEST));
        let mut other = parts("GET", &[("host", "localhost:1")]);
        other.uri = "http://127.0.0.1:1/x".parse().unwrap();
        assert_eq!(door.enter(peer(), &other).err(), Some(StatusCode::MISDIRECTED_REQUEST));
        other.uri = "http://localhost:1/x".parse().unwrap();
        assert!(door.enter(peer(), &other).is_ok());
    }

    #[test]
    fn s10_forwarded_addresses_count_from_proxies_only() {
        let door = door();
        let headers =
            [("host", "localhost"), ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.1.1")];
        let visitor = door.enter(peer(), &parts("GET", &headers)).unwrap();
        assert_eq!(visitor.peer, peer());
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let visitor = door.enter(proxy, &parts("GET", &headers)).unwrap();
        assert_eq!(visitor.peer, IpAddr::from([203, 0, 113, 9]));
        let none = door.enter(proxy, &parts("GET", &headers[..1])).unwrap();
        assert_eq!(none.peer, proxy);
    }

    #[test]
    fn s11_other_pages_change_nothing() {
        let door = door();
        let allowed = |method, extra: &[(&str, &str)]| {
            let mut headers = vec![("host", "127.0.0.1:7700")];
            headers.extend_from_slice(extra);
            let parts = parts(method, &headers);
            let visitor = door.enter(peer(), &parts).unwrap();
            door.origin_allowed(&parts, &visitor)
        };
        for origin in [
            "https://stack.example.org",
            "https://127.0.0.1:7700",
            "http://127.0.0.1:7700",
            "https://app.example.org:443",
        ] {
            assert!(allowed("POST", &[("origin", origin)]), "{origin}");
        }
        for origin in [
            "null",
            "http://stack.example.org",
            "https://127.0.0.1:7701",
            "http://127.0.0.1:7701",
            "http://localhost:7700",
            "http://app.example.org",
            "https://app.example.org.evil.example",
            "https://evil.example",
            "http://localhost:3000",
            "",
        ] {
            assert!(!allowed("POST", &[("origin", origin)]), "{origin}");
            assert!(!allowed("GET", &[("origin", origin), ("upgrade", "websocket")]), "{origin}");
            assert!(!allowed("GET", &[("origin", origin), ("accept", "text/event-stream")]));
            assert!(allowed("GET", &[("origin", origin)]), "{origin}");
        }
        assert!(allowed("DELETE", &[]));
        assert!(!allowed("DELETE", &[("sec-fetch-site", "cross-site")]));
        assert!(allowed("DELETE", &[("sec-fetch-site", "same-origin")]));
        assert!(!allowed("POST", &[("origin", "https://app.example.org"), ("origin", "null")]));
    }

    #[test]
    fn s12_nobody_reads_across_origins_unless_listed() {
        let answer = |settings: &Settings, origin: &str| {
            let door = Door::new(settings);
            let parts = parts("GET", &[("host", "localhost"), ("origin", origin)]);
            let visitor = door.enter(peer(), &parts).unwrap();
            let mut headers = HeaderMap::new();
            let rate = RateState { limit: 1, remaining: 1, reset_s: 1, wait_s: 1, allowed: true };
            door.leave(&mut headers, Some(&visitor), "id".to_owned(), &rate);
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
            headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().unwrap().to_owned())
        };
        let none = Settings::default();
        assert_eq!(answer(&none, "http://localhost:3000"), None);
        let dev = Settings { dev: true, ..Settings::default() };
        assert_eq!(answer(&dev, "http://localhost:3000").as_deref(), Some("http://localhost:3000"));
        assert_eq!(answer(&dev, "http://127.0.0.1:5173").as_deref(), Some("http://127.0.0.1:5173"));
        assert_eq!(answer(&dev, "http://localhost.evil.example"), None);
        assert_eq!(answer(&dev, "https://localhost:3000"), None);
        let any = Settings { origins: vec!["*".to_owned()], ..Settings::default() };
        assert_eq!(answer(&any, "https://evil.example").as_deref(), Some("*"));
    }

    #[test]
    fn ranges_of_addresses_are_parsed_and_matched() {
        let range: IpRange = "192.168.0.0/16".parse().unwrap();
        assert!(range.contains("192.168.3.4".parse().unwrap()));
        assert!(range.contains("::ffff:192.168.3.4".parse().unwrap()));
        assert!(!range.contains("192.169.0.1".parse().unwrap()));
        assert!("::1".parse::<IpRange>().unwrap().contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<IpRange>().unwrap().contains("8.8.8.8".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "10.0.0"] {
            assert!(bad.parse::<IpRange>().is_err(), "{bad}");
        }
    }
}
