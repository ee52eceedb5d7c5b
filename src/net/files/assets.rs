//! The files built into the executable: landing page, admin UI, explorer of the interface.
//!
//! Invariants
//! A1. A page carries the policy of SECURITY S20; nothing here needs a credential.
//! A2. Only names that hold a hash of their content are kept by clients without asking.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderMap, VARY,
};
use http::{StatusCode, header::HeaderValue};

use super::{INDEX, PAGE_POLICY, media_type, segments, unchanged};
use crate::net::{Content, Handler, Reply};

/// A part of a file's name that is a hash has at least this many characters (`app-1f3a9c0d.js`).
const HASH_CHARS_MIN: usize = 8;
/// Ends the name of a file that is the compressed form of its sibling.
const GZIP_END: &str = ".gz";

#[derive(rust_embed::RustEmbed)]
#[folder = "assets/"]
struct Embedded;

#[derive(Debug)]
struct Asset {
    bytes: Bytes,
    gzip: Option<Bytes>,
    etag: String,
}

/// The embedded files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Assets(Arc<HashMap<String, Asset>>);

impl Assets {
    /// All that was built in.
    #[must_use]
    pub fn embedded() -> Self {
        Self::from_files(|path| Embedded::get(path).map(|file| file.data), Embedded::iter())
    }

    fn from_files<S: AsRef<str>>(
        get: impl Fn(&str) -> Option<std::borrow::Cow<'static, [u8]>>,
        names: impl Iterator<Item = S>,
    ) -> Self {
        let bytes = |path: &str| {
            get(path).map(|data| match data {
                std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
                std::borrow::Cow::Owned(data) => Bytes::from(data),
            })
        };
        let mut table = HashMap::new();
        for name in names {
            let name = name.as_ref();
            let Some(content) = bytes(name).filter(|_| !name.ends_with(GZIP_END)) else { continue };
            let digest = ring::digest::digest(&ring::digest::SHA256, &content);
            let hex: String =
                digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let gzip = bytes(&format!("{name}{GZIP_END}"));
            let asset = Asset { bytes: content, gzip, etag: format!("\"{hex}\"") };
            table.insert(name.to_owned(), asset);
        }
        Self(Arc::new(table))
    }

    /// The file at `path`, which is percent-encoded and relative to the folder of assets; an empty
    /// one is the landing page.
    #[must_use]
    pub fn get(&self, path: &str, headers: &HeaderMap) -> Option<Reply> {
        let name = segments(path)?.join("/");
        let asset = self.0.get(&name)?;
        let accepts = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
        let gzip = asset.gzip.as_ref().filter(|_| accepts.is_some_and(takes_gzip));
        let kept = if has_hash(&name) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let etag = match gzip {
            // The compressed form is another sequence of bytes.
            Some(_) => format!("{}-gz\"", asset.etag.trim_end_matches('"')),
            None => asset.etag.clone(),
        };
        let fresh = unchanged(headers, &etag, None);
        let content = gzip.unwrap_or(&asset.bytes).clone();
        let mut reply = if fresh {
            Reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            Reply::new(StatusCode::OK, Content::Bytes(content))
        };
        reply = reply.with(ETAG, &etag).with(CACHE_CONTROL, kept);
        if asset.gzip.is_some() {
            reply.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if gzip.is_some() && !fresh {
            reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let kind = media_type(&name);
        if kind.starts_with("text/html") {
            reply = reply.with(CONTENT_SECURITY_POLICY, PAGE_POLICY);
        }
        Some(reply.with(CONTENT_TYPE, kind))
    }

    /// Serves the files of one folder for a route whose first parameter spans the rest of the path,
    /// or that has none (the folder's own page). What is not there is 404 without content.
    #[must_use]
    pub fn below(&self, folder: &'static str) -> Handler {
        let assets = self.clone();
        Arc::new(move |call| {
            let path = format!("{folder}/{}", encode(call.param(0)));
            let reply = assets.get(&path, &call.headers);
            let reply = reply.unwrap_or_else(|| Reply::empty(StatusCode::NOT_FOUND));
            Box::pin(async move { reply })
        })
    }

    /// Serves the files for a route whose first parameter spans the rest of the path, or that has
    /// none; what is not there shows the landing page when `pages` says so (a UI that routes by
    /// itself), and is 404 without content otherwise.
    #[must_use]
    pub fn handler(&self, pages: Pages) -> Handler {
        let assets = self.clone();
        Arc::new(move |call| {
            let reply = assets.get(&encode(call.param(0)), &call.headers);
            let reply = reply.or_else(|| match pages {
                // A missing script is an error, not a page.
                Pages::RoutedByUi if !call.param(0).contains('.') => {
                    assets.get(INDEX, &call.headers)
                }
                _ => None,
            });
            let reply = reply.unwrap_or_else(|| Reply::empty(StatusCode::NOT_FOUND));
            Box::pin(async move { reply })
        })
    }
}

/// What an address shows that no file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    FilesOnly,
    RoutedByUi,
}

/// Parameters come decoded; a percent sign in them must not be decoded again.
fn encode(path: &str) -> String {
    path.replace('%', "%25")
}

fn takes_gzip(accept: &str) -> bool {
    accept.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let q = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            q.is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        named && !refused
    })
}

/// `app-1f3a9c0d.js`, `app.1f3a9c0d.css`.
fn has_hash(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let Some((stem, _)) = file.rsplit_once('.') else { return false };
    let part = stem.rsplit(['-', '.']).next().filter(|part| part.len() < stem.len());
    part.is_some_and(|part| {
        part.len() >= HASH_CHARS_MIN
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && part.bytes().any(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn some() -> Assets {
        let get = |path: &str| match path {
            "index.html" => Some(Cow::Borrowed(b"<p>".as_slice())),
            "app-1f3a9c0d.js" => Some(Cow::Borrowed(b"1".as_slice())),
            "app-1f3a9c0d.js.gz" => Some(Cow::Borrowed(b"z".as_slice())),
            _ => None,
        };
        Assets::from_files(get, ["index.html", "app-1f3a9c0d.js", "app-1f3a9c0d.js.gz"].iter())
    }

    fn header(reply: &Reply, name: http::HeaderName) -> Option<&str> {
        reply.headers.get(name).map(|v| v.to_str().unwrap())
    }

    #[test]
    fn s20_pages_carry_the_policy_and_are_asked_for_again() {
        let page = some().get("", &HeaderMap::new()).unwrap();
        assert_eq!(header(&page, CONTENT_SECURITY_POLICY), Some(PAGE_POLICY));
        assert_eq!(header(&page, CACHE_CONTROL), Some("no-cache"));
        let mut again = HeaderMap::new();
        again.insert(http::header::IF_NONE_MATCH, page.headers[ETAG].clone());
        assert_eq!(some().get("", &again).unwrap().status, StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn hashed_names_are_kept_and_compressed_forms_are_used() {
        let plain = some().get("app-1f3a9c0d.js", &HeaderMap::new()).unwrap();
        assert!(header(&plain, CACHE_CONTROL).unwrap().contains("immutable"));
        assert_eq!(header(&plain, CONTENT_ENCODING), None);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.8"));
        let packed = some().get("app-1f3a9c0d.js", &headers).unwrap();
        assert_eq!(header(&packed, CONTENT_ENCODING), Some("gzip"));
        assert_ne!(packed.headers[ETAG], plain.headers[ETAG]);
        assert!(some().get("app-1f3a9c0d.js.gz", &headers).is_none());
        assert!(some().get("../Cargo.toml", &headers).is_none());
        assert!(!takes_gzip("gzip;q=0, br") && !takes_gzip("identity"));
        assert!(!has_hash("index.html") && !has_hash("translations-en.js"));
    }

    #[test]
    fn the_landing_page_is_built_in() {
        let page = Assets::embedded().get("/", &HeaderMap::new()).unwrap();
        let Content::Bytes(bytes) = page.content else { panic!("no bytes") };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains("/docs") && text.contains("/_/openapi.json"));
        assert!(!text.contains("<script") && !text.contains("style="));
    }
}
