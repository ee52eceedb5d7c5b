//! Media types, file names and byte ranges, in and out of headers.
//!
//! Everything here comes from strangers and goes to browsers. Knows the syntax of RFC 6266, 8187
//! and 9110 as far as one file needs it. Does not know files.
//!
//! Invariants
//! M1. What [`served_type`] returns is on the safe list, one well-formed media type and free of
//!     control characters; a browser never runs it.
//! M2. What [`disposition`] returns is always `attachment`, in ASCII that ends no header line.
//! M3. At most one range is served; a `Range` that cannot be read is ignored.

/// What is served when nothing better is known, or nothing else is safe.
pub(super) const OCTET_STREAM: &str = "application/octet-stream";

/// The media type to serve: the first of the candidates, if a browser cannot be made to run it.
pub(super) fn served_type<'a>(
    asked: Option<&'a str>,
    filename: Option<&str>,
    established: Option<&'a str>,
) -> &'a str {
    let by_name = || filename.and_then(type_of_extension);
    let candidate = asked.or_else(by_name).or(established).unwrap_or(OCTET_STREAM);
    if is_safe(candidate) { candidate.trim() } else { OCTET_STREAM }
}

/// Types of known extensions. Those that a browser would run are listed so that their content is
/// not passed off as something else by a stored type.
fn type_of_extension(filename: &str) -> Option<&'static str> {
    let (_, extension) = filename.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "avif" => "image/avif",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "html" | "htm" => "text/html",
        "xhtml" => "application/xhtml+xml",
        "svg" => "image/svg+xml",
        "js" | "mjs" => "text/javascript",
        "xml" => "application/xml",
        "xsl" => "text/xsl",
        _ => return None,
    })
}

fn is_safe(candidate: &str) -> bool {
    let Some((kind, subtype)) = essence(candidate) else { return false };
    match (kind.as_str(), subtype.as_str()) {
        ("image", subtype) => subtype != "svg+xml",
        ("video" | "audio", _) | ("application", "pdf" | "octet-stream") | ("text", "plain") => {
            true
        }
        _ => false,
    }
}

/// Type and subtype in lower case, when the whole text is one well-formed media type.
fn essence(text: &str) -> Option<(String, String)> {
    if text.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
        return None;
    }
    let mut scan = Scan { rest: text.trim() };
    let kind = scan.token()?;
    scan.sign('/')?;
    let subtype = scan.token()?;
    loop {
        scan.blanks();
        if scan.rest.is_empty() {
            return Some((kind.to_ascii_lowercase(), subtype.to_ascii_lowercase()));
        }
        scan.sign(';')?;
        scan.blanks();
        scan.token()?;
        scan.sign('=')?;
        scan.value()?;
    }
}

/// A cursor over a header's value.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(sign)?;
        Some(())
    }

    /// One or more characters that need no quotes (RFC 9110 `token`).
    fn token(&mut self) -> Option<&'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a quoted text without its quotes and escapes.
    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut out = String::new();
        let mut signs = quoted.char_indices();
        loop {
            match signs.next()? {
                (at, '"') => {
                    self.rest = &quoted[at + 1..];
                    return Some(out);
                }
                (_, '\\') => out.push(signs.next()?.1),
                (_, sign) => out.push(sign),
            }
        }
    }
}

/// The file name in a `Content-Disposition`: `filename*` where it can be decoded, else `filename`.
///
/// A name is data: it may hold anything, and is percent-encoded when it goes out again.
pub(super) fn uploaded_name(header: &[u8]) -> Option<String> {
    let header = String::from_utf8_lossy(header);
    let mut scan = Scan { rest: &header };
    let (mut plain, mut extended) = (None, None);
    // The kind (`attachment`, `form-data`) is of no interest; a value may begin with a parameter.
    let from = header.find(';').map_or(0, |at| at + 1);
    if header[..from].contains('=') {
        scan.rest = &header;
    } else {
        scan.rest = &header[from..];
    }
    loop {
        scan.rest = scan.rest.trim_start_matches([' ', '\t', ';']);
        let Some(name) = scan.token() else { break };
        scan.blanks();
        if scan.sign('=').is_none() {
            continue;
        }
        scan.blanks();
        let quoted = if scan.rest.starts_with('"') { scan.value() } else { None };
        // Without quotes, letters beyond ASCII and blanks are taken too; so is a quote that never
        // closes.
        let value = quoted.unwrap_or_else(|| scan.until_semicolon());
        match name.to_ascii_lowercase().as_str() {
            "filename" if plain.is_none() => plain = Some(value),
            "filename*" if extended.is_none() => extended = decode_extended(&value),
            _ => {}
        }
        // Whatever else stood in the value (an unquoted blank) is skipped.
        scan.until_semicolon();
    }
    extended.or(plain).filter(|name| !name.is_empty())
}

impl Scan<'_> {
    fn until_semicolon(&mut self) -> String {
        let end = self.rest.find(';').unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        value.trim().trim_start_matches('"').to_owned()
    }
}

/// `<charset>'<language>'<percent-encoded>`, always read as UTF-8.
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (_charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let mut out = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

/// The `Content-Disposition` of a download.
pub(super) fn disposition(filename: Option<&str>) -> String {
    let Some(name) = filename else { return "attachment".to_owned() };
    let mut out = String::from("attachment; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!".contains(&byte) {
            out.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

/// Which bytes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// `length` is at least 1 and ends within the file.
    Part {
        offset: u64,
        length: u64,
    },
    /// Nothing of the file lies in the range.
    Nothing,
}

/// Reads a `Range` for a file of `size` bytes.
pub(super) fn wanted(range: Option<&str>, size: u64) -> Wanted {
    range.and_then(|text| one_range(text, size)).unwrap_or(Wanted::Whole)
}

/// `None` for what is no single, well-formed byte range.
fn one_range(text: &str, size: u64) -> Option<Wanted> {
    let (unit, set) = text.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (offset, end) = match (first.trim(), last.trim()) {
        ("", last) => {
            let length = number(last)?.min(size);
            (size - length, size)
        }
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    if offset >= end {
        return Some(Wanted::Nothing);
    }
    Some(Wanted::Part { offset, length: end - offset })
}

/// Whether an `If-None-Match` names `etag` (weakly: a leading `W/` does not matter).
pub(super) fn names_etag(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_candidate_decides() {
        assert_eq!(served_type(Some("image/png"), Some("a.txt"), Some("audio/ogg")), "image/png");
        assert_eq!(served_type(None, Some("a.b.TXT"), Some("audio/ogg")), "text/plain");
        assert_eq!(served_type(None, Some("a.unknown"), Some("audio/ogg")), "audio/ogg");
        assert_eq!(served_type(None, Some("noextension"), None), OCTET_STREAM);
        // A dangerous extension is not rescued by a harmless stored type.
        assert_eq!(served_type(None, Some("x.SVG"), Some("image/png")), OCTET_STREAM);
        assert_eq!(served_type(Some("text/html"), None, Some("image/png")), OCTET_STREAM);
    }

    #[test]
    fn only_the_safe_list_passes() {
        for safe in [
            "image/png",
            "IMAGE/PNG",
            "image/x-anything",
            "video/mp4; codecs=\"avc1, mp4a\"",
            "audio/mpeg",
            "application/pdf",
            "text/plain;charset=utf-8",
            "text/plain ; charset=utf-8",
            "application/octet-stream",
        ] {
            assert_eq!(served_type(Some(safe), None, None), safe);
        }
        for unsafe_type in [
            "image/svg+xml",
            "image/SVG+xml; charset=utf-8",
            "image/svg+xml ",
            "text/html",
            "text/javascript",
            "application/xhtml+xml",
            "application/json",
            "multipart/x-mixed-replace",
            "image/png,text/html",
            "image/png, text/html",
            "image/png;a=b,text/html",
            "image/png;",
            "image/png; x",
            "image/png\r\nSet-Cookie: a=b",
            "image/png\0",
            "image/png\t",
            "image/pñg",
            "image",
            "image/",
            "/png",
            "",
            "image /png",
            "image/png text/html",
            "text/plain; x=\"open",
        ] {
            assert_eq!(served_type(Some(unsafe_type), None, None), OCTET_STREAM, "{unsafe_type:?}");
        }
    }

    #[test]
    fn names_are_found() {
        let name = |header: &str| uploaded_name(header.as_bytes());
        let cases = [
            ("attachment; filename=\"a b.txt\"", Some("a b.txt")),
            ("attachment; filename=plain.txt", Some("plain.txt")),
            ("attachment;FILENAME=\"x\"", Some("x")),
            ("attachment; filename=\"q\\\"uote\\\\.txt\"", Some("q\"uote\\.txt")),
            ("attachment; filename=\"semi;colon.txt\"", Some("semi;colon.txt")),
            ("attachment; filename=\"old\"; filename*=UTF-8''na%C3%AFve%20x", Some("naïve x")),
            ("attachment; filename*=utf-8'en'a%2Fb; filename=\"old\"", Some("a/b")),
            ("attachment; filename*=iso-8859-1''%C3%A9", Some("é")),
            // What cannot be decoded falls back.
            ("attachment; filename*=UTF-8''%FF; filename=\"old\"", Some("old")),
            ("attachment; filename*=UTF-8''%4; filename=\"old\"", Some("old")),
            ("attachment; filename*=plain; filename=\"old\"", Some("old")),
            ("attachment; filename=grüße.txt; x=y", Some("grüße.txt")),
            ("filename=\"bare.txt\"", Some("bare.txt")),
            ("attachment; notfilename=\"x\"; filename=\"y\"", Some("y")),
            ("attachment; filename=\"../../etc/passwd\"", Some("../../etc/passwd")),
            ("attachment", None),
            ("attachment; filename=\"\"", None),
            ("attachment; filename", None),
            ("", None),
            (";;;=;=\"", None),
        ];
        for (header, expected) in cases {
            assert_eq!(name(header).as_deref(), expected, "{header:?}");
        }
        assert_eq!(name("attachment; filename=\"never closed").as_deref(), Some("never closed"));
        assert_eq!(
            uploaded_name(b"attachment; filename=\"\xff.txt\"").as_deref(),
            Some("\u{fffd}.txt")
        );
        let _ = name(&"\"\\;=*'%".repeat(4_000));
    }

    #[test]
    fn names_leave_encoded() {
        assert_eq!(disposition(None), "attachment");
        assert_eq!(
            disposition(Some("a b\"\r\n;é/..\\.txt")),
            "attachment; filename*=UTF-8''a%20b%22%0D%0A%3B%C3%A9%2F..%5C.txt"
        );
    }

    #[test]
    fn one_range_is_read() {
        let part = |offset, length| Wanted::Part { offset, length };
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=2-5"), part(2, 4)),
            (Some("bytes=2-"), part(2, 8)),
            (Some("bytes=-3"), part(7, 3)),
            (Some("bytes=-30"), part(0, 10)),
            (Some("bytes=9-99999999999999999999999"), part(9, 1)),
            (Some("Bytes = 1-2"), part(1, 2)),
            (Some("bytes=10-"), Wanted::Nothing),
            (Some("bytes=10-11"), Wanted::Nothing),
            (Some("bytes=99999999999999999999-"), Wanted::Nothing),
            (Some("bytes=-0"), Wanted::Nothing),
            // Ignored: reversed, several, other units, no numbers.
            (Some("bytes=5-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("items=0-1"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("bytes"), Wanted::Whole),
        ];
        for (text, expected) in cases {
            assert_eq!(wanted(text, 10), expected, "{text:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Nothing);
    }

    #[test]
    fn etags_match_weakly() {
        assert!(names_etag("\"a\", W/\"b\"", "\"b\""));
        assert!(names_etag("*", "\"b\""));
        assert!(!names_etag("\"a\", b", "\"b\""));
    }
}
