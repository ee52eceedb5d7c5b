//! Files as answers: a folder of an application (`--public`) and what is built into the executable.
//!
//! Knows media types, ranges and the conditional headers. Does not know whose files they are.
//!
//! Invariants
//! F1. Only regular files below the folder are served: no `..`, no link, no name that starts with a
//!     dot, whatever way it is spelled.
//! F2. A file is read in pieces of [`PIECE_BYTES`], as fast as the client takes them.

mod assets;
mod folder;

use http::header::{self, HeaderMap, HeaderValue};

pub use assets::{Assets, Pages};
pub use folder::Folder;

/// One read of a file.
const PIECE_BYTES: usize = 64 * 1024;
/// The page that a folder's own address shows.
const INDEX: &str = "index.html";
/// What pages of ours may do (SECURITY S20).
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'";

/// By the end of the name; unknown ones are bytes.
fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    match end.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// The path's segments, decoded; `None` when one of them may not be asked for.
fn segments(path: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for raw in path.strip_prefix('/').unwrap_or(path).split('/') {
        let name = super::router::decode(raw)?;
        let last_of_folder = name.is_empty();
        let hostile = name.starts_with('.')
            || name.chars().any(|c| matches!(c, '/' | '\\' | ':') || c.is_control());
        if hostile {
            return None;
        }
        names.push(if last_of_folder { INDEX.to_owned() } else { name });
    }
    // An empty segment is a folder's own page, and only at the end.
    let pages = names.iter().rev().skip(1).any(|name| name == INDEX);
    (!pages).then_some(names)
}

/// Whether the client has this version already.
fn unchanged(headers: &HeaderMap, etag: &str, modified: Option<&str>) -> bool {
    if let Some(tags) = headers.get(header::IF_NONE_MATCH) {
        let mut tags = tags.to_str().unwrap_or("").split(',').map(str::trim);
        return tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
    }
    let since = headers.get(header::IF_MODIFIED_SINCE);
    modified.is_some() && since.and_then(|v| v.to_str().ok()) == modified
}

/// What a `Range` header asks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// First byte and how many.
    Part(u64, u64),
    Nothing,
}

/// One range of bytes; several, or a form we do not know, are the whole file (RFC 9110, 14.2).
fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        return Wanted::Whole;
    }
    let range = text(header::RANGE).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let end = length.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(last)) if first <= end && length > 0 => {
            Wanted::Part(first, last.min(end) - first + 1)
        }
        (Some(first), None) if last.is_empty() && first <= end && length > 0 => {
            Wanted::Part(first, length - first)
        }
        (None, Some(count)) if first.is_empty() && count > 0 && length > 0 => {
            let count = count.min(length);
            Wanted::Part(length - count, count)
        }
        (Some(_), Some(_)) => Wanted::Nothing,
        (Some(_), None) if last.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s60_hostile_paths_have_no_segments() {
        for path in [
            "/..",
            "/../x",
            "/a/../b",
            "/%2e%2e/x",
            "/.git/config",
            "/a/.env",
            "/a%2fb",
            "/a%5Cb",
            "/a%00",
            "/c:/x",
            "/%ff",
            "/%2",
            "//x",
            "/a//b",
            "/index.html/x",
            "/.",
            "/a%0ab",
        ] {
            assert_eq!(segments(path), None, "{path}");
        }
        for (path, expected) in [
            ("/", "index.html"),
            ("/a/", "a/index.html"),
            ("/a%20b/c..d.txt", "a b/c..d.txt"),
            ("/x", "x"),
        ] {
            assert_eq!(segments(path).unwrap().join("/"), expected);
        }
    }

    #[test]
    fn s59_one_range_is_served() {
        let ask = |range: &str, length| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
            wanted(&headers, "\"e\"", length)
        };
        for (range, expected) in [
            ("bytes=0-4", Wanted::Part(0, 5)),
            ("bytes=5-", Wanted::Part(5, 5)),
            ("bytes=-3", Wanted::Part(7, 3)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=8-99999999999999999999999", Wanted::Part(8, 2)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(ask(range, 10), expected, "{range}");
        }
        assert_eq!(ask("bytes=0-", 0), Wanted::Nothing);
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-4"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"old\""));
        assert_eq!(wanted(&headers, "\"e\"", 10), Wanted::Whole);
    }

    #[test]
    fn types_come_from_the_end_of_the_name() {
        assert_eq!(media_type("a/b.HTML"), "text/html; charset=utf-8");
        assert_eq!(media_type("a.b/c"), "application/octet-stream");
    }
}
