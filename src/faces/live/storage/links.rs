//! Addresses that carry their own permission, and what they may ask for (live 11.3, 11.9).
//!
//! Knows how a link is spelled. What it is worth is the engine's to say.

use serde_json::json;

use super::Failure;
use crate::engine::stored_files::{LINK_SECONDS_MAX, Link};
use crate::faces::live::http::LiveFace;
use crate::net::{Call, Query, Route};

/// Seconds a link may be asked to live; what is above the engine's bound is cut to it.
pub(super) const EXPIRY_S_MIN: i64 = 60;
pub(super) const EXPIRY_S_MAX: i64 = 604_800;
pub(super) const EXPIRY_S_DEFAULT: i64 = 3_600;
const _: () = assert!(EXPIRY_S_DEFAULT <= LINK_SECONDS_MAX);
const FITS: [&str; 5] = ["cover", "contain", "fill", "inside", "outside"];
const FORMATS: [&str; 4] = ["webp", "avif", "jpeg", "png"];
const EDGE_MAX: u32 = 4_096;
const QUALITY_MAX: u32 = 100;
const BLUR: std::ops::RangeInclusive<f64> = 0.3..=1_000.0;
/// Digits a number may be spelled with.
const NUMBER_CHARS_MAX: usize = 12;

/// What a link wants done to an image, in one spelling: it is part of what is signed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Transform(String);

impl Transform {
    /// # Errors
    /// `INVALID_ARGUMENT` for a value out of its range, codec or not.
    pub(super) fn read(query: &Query) -> Result<Self, Failure> {
        let mut text = String::new();
        for name in ["width", "height", "fit", "format", "quality", "blur"] {
            let Some(value) = query.get(name) else { continue };
            if !is_allowed(name, value) {
                return Err(Failure::invalid(format!("{name} is out of its range")));
            }
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        Ok(Self(text))
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// `width=200&fit=cover`
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn documented(route: Route) -> Route {
        let edge = json!({ "type": "integer", "minimum": 1, "maximum": EDGE_MAX });
        let quality = json!({ "type": "integer", "minimum": 1, "maximum": QUALITY_MAX });
        let blur = json!({ "type": "number", "minimum": BLUR.start(), "maximum": BLUR.end() });
        route
            .query("width", edge.clone(), "Image transform; answered with the original")
            .query("height", edge, "Image transform")
            .query("fit", json!({ "enum": FITS }), "Image transform")
            .query("format", json!({ "enum": FORMATS }), "Image transform")
            .query("quality", quality, "Image transform")
            .query("blur", blur, "Image transform")
    }
}

fn is_allowed(name: &str, value: &str) -> bool {
    let spelled = |value: &str| {
        value.len() <= NUMBER_CHARS_MAX && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let whole =
        |max: u32| spelled(value) && value.parse().is_ok_and(|n: u32| (1..=max).contains(&n));
    match name {
        "width" | "height" => whole(EDGE_MAX),
        "quality" => whole(QUALITY_MAX),
        "fit" => FITS.contains(&value),
        "format" => FORMATS.contains(&value),
        _ => spelled(value) && value.parse().is_ok_and(|n: f64| BLUR.contains(&n)),
    }
}

/// How long a link is asked to live.
pub(super) fn seconds(query: &Query) -> Result<i64, Failure> {
    let Some(text) = query.get("expiry").or_else(|| query.get("expiresIn")) else {
        return Ok(EXPIRY_S_DEFAULT);
    };
    let wanted = text.parse().ok().filter(|n| (EXPIRY_S_MIN..=EXPIRY_S_MAX).contains(n));
    let wanted = wanted.ok_or_else(|| {
        Failure::invalid(format!("expiry must be {EXPIRY_S_MIN} to {EXPIRY_S_MAX} seconds"))
    })?;
    Ok(wanted.min(LINK_SECONDS_MAX))
}

/// The link in an address; `None` when it is not whole.
pub(super) fn read(query: &Query) -> Option<Link> {
    let text = |name: &str| query.get(name).map(str::to_owned);
    Some(Link {
        expires_s: query.get("expires")?.parse().ok()?,
        holder: text("holder")?,
        record: text("file")?,
        content_type: text("type")?,
        signature: text("sig")?,
    })
}

/// Scheme and host for links: as configured, else as the client called.
pub(super) fn base(cx: &LiveFace, call: &Call) -> String {
    match (&cx.public_url, call.header("host")) {
        (Some(url), _) => url.clone(),
        (None, Some(host)) => format!("http://{host}"),
        (None, None) => cx.auth.base_origin().to_owned(),
    }
}

/// The address of a link.
pub(super) fn address(base: &str, path: &str, link: &Link, transform: &Transform) -> String {
    let mut out = format!("{base}/api/storage/");
    push_encoded(&mut out, path, b"/");
    out.push_str(&format!("?expires={}&sig={}", link.expires_s, link.signature));
    for (name, value) in
        [("holder", &link.holder), ("file", &link.record), ("type", &link.content_type)]
    {
        out.push('&');
        out.push_str(name);
        out.push('=');
        push_encoded(&mut out, value, b"");
    }
    if !transform.is_none() {
        out.push('&');
        out.push_str(transform.text());
    }
    out
}

/// Percent-encodes all but unreserved characters and those in `plain`.
fn push_encoded(out: &mut String, text: &str, plain: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_it_was_printed() {
        let link = Link {
            expires_s: 1_775_394_000,
            holder: "sess_a-b".into(),
            record: "1hk153x00001".into(),
            content_type: "text/plain; charset=utf-8".into(),
            signature: "00ff".into(),
        };
        let transform = Transform::read(&Query::parse("height=3&width=20&fit=cover&x=1")).unwrap();
        assert_eq!(transform.text(), "width=20&height=3&fit=cover");
        let printed = address("http://a:1", "ä b/c?.txt", &link, &transform);
        let (path, query) = printed.split_once('?').unwrap();
        assert_eq!(path, "http://a:1/api/storage/%C3%A4%20b/c%3F.txt");
        let query = Query::parse(query);
        assert_eq!(read(&query).unwrap(), link);
        assert_eq!(Transform::read(&query).unwrap(), transform);
        assert_eq!(read(&Query::parse("expires=1&sig=00")), None);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (query, good) in [
            ("width=1&height=4096&quality=100&blur=0.3&format=avif&fit=outside", true),
            ("blur=1000", true),
            ("width=0", false),
            ("width=4097", false),
            ("width=-1", false),
            ("width=1.5", false),
            ("width=%2B5", false),
            ("height=", false),
            ("quality=101", false),
            ("blur=0.2", false),
            ("blur=1000.1", false),
            ("blur=NaN", false),
            ("blur=1e2", false),
            ("fit=stretch", false),
            ("format=gif", false),
        ] {
            assert_eq!(Transform::read(&Query::parse(query)).is_ok(), good, "{query}");
        }
        for (query, wanted) in [
            ("", Some(3_600)),
            ("expiry=60", Some(60)),
            ("expiresIn=86401", Some(86_400)),
            ("expiry=604800", Some(86_400)),
            ("expiry=59", None),
            ("expiry=604801", None),
            ("expiry=x", None),
        ] {
            assert_eq!(seconds(&Query::parse(query)).ok(), wanted, "{query}");
        }
    }
}
