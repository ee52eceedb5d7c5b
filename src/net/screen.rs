//! The bytes of a connection, looked at before the HTTP library sees them.
//!
//! Follows the framing of requests (heads, counted bodies, chunks) and judges every head as a
//! whole: limits (SECURITY S14), framing (S17), methods that nobody serves. A stricter reader in
//! front of a lenient one: what passes has one meaning only, so the two never disagree about where
//! a request ends, and every refusal is answered by us, in order, with the headers of every answer.
//!
//! Knows the grammar of HTTP/1.1 framing. Does not know sockets, time, or what a header means.
//!
//! Invariants
//! C1. Nothing of a head passes before the whole head was judged.
//! C2. At most [`PIPELINED_MAX`] heads pass in one call.

/// Requests that may wait behind the one being answered (S16).
pub(super) const PIPELINED_MAX: usize = 64;
/// Size and extensions of one chunk's first line.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// 15 hexadecimal digits stay below 2^60.
const CHUNK_DIGITS_MAX: usize = 15;
/// 18 decimal digits stay below 2^60.
const LENGTH_DIGITS_MAX: usize = 18;

/// What a head may measure.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Method, target and version, without the line's end.
    pub request_line_bytes_max: usize,
    /// All header lines together.
    pub header_bytes_max: usize,
    pub fields_max: usize,
    /// Fields after a chunked body.
    pub trailer_bytes_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 8 * 1024,
            header_bytes_max: 32 * 1024,
            fields_max: 100,
            trailer_bytes_max: 8 * 1024,
        }
    }
}

/// How the bytes after those that pass are to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Bring them again with more behind them.
    More,
    /// Bring them again after what passed was taken.
    Enough,
    /// They may be frames of a WebSocket: keep them.
    Hold,
    /// The request that starts there is answered with this status, then the connection ends.
    Refuse(u16),
    /// The body that is under way cannot be read any further.
    Broken,
}

#[derive(Debug)]
pub(super) struct Screen {
    limits: HeadLimits,
    state: State,
    head: Head,
    /// Heads that passed.
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunks(Chunk),
    /// After the head of a WebSocket request.
    Upgrade,
    Ended,
}

#[derive(Debug)]
enum Chunk {
    /// Digits so far, their value, bytes of the line.
    Size(usize, u64, usize),
    /// Inside extensions: bytes of the line, whether the last was CR.
    Extension(u64, usize, bool),
    Data(u64),
    DataEnd(bool),
    /// Trailer bytes so far, bytes of this line, whether the last was CR.
    Trailer(usize, usize, bool),
}

/// What the lines of a head have said so far.
#[derive(Debug, Default)]
struct Head {
    /// Where the next line starts, from the start of the head.
    line_at: usize,
    /// Where the header lines start; 0 before the request line was read.
    fields_at: usize,
    fields: usize,
    get: bool,
    old: bool,
    websocket: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Screen {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head, head: Head::default(), heads: 0 }
    }

    /// Whether a request's end has not been seen yet.
    pub(super) fn mid_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunks(_) | State::Ended)
    }

    /// How many heads have passed since the start.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether what follows may be frames of a WebSocket.
    pub(super) fn holds(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// Nothing more is wanted: a refusal is being answered.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
    }

    /// How many bytes pass, and what about the rest. `bytes` starts where the last call's passing
    /// bytes ended.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Verdict) {
        let (mut at, mut heads) = (0, 0);
        while at < bytes.len() {
            match &mut self.state {
                State::Head if heads == PIPELINED_MAX => return (at, Verdict::Enough),
                State::Head => match self.head.read(&bytes[at..], &self.limits) {
                    Ok(Some(length)) => {
                        at += length;
                        heads += 1;
                        self.heads += 1;
                        let head = std::mem::take(&mut self.head);
                        self.state = if head.websocket {
                            State::Upgrade
                        } else if head.chunked {
                            State::Chunks(Chunk::Size(0, 0, 0))
                        } else {
                            head.length.filter(|n| *n > 0).map_or(State::Head, State::Length)
                        };
                    }
                    Ok(None) => return (at, Verdict::More),
                    Err(status) => {
                        self.state = State::Ended;
                        return (at, Verdict::Refuse(status));
                    }
                },
                State::Length(left) => {
                    let step = clamp(*left, bytes.len() - at);
                    at += step;
                    *left -= step as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunks(chunk) => match chunk.read(&bytes[at..], &self.limits) {
                    Ok((step, ended)) => {
                        at += step;
                        if ended {
                            self.state = State::Head;
                        }
                    }
                    Err(Bad) => {
                        self.state = State::Ended;
                        return (at, Verdict::Broken);
                    }
                },
                State::Upgrade => return (at, Verdict::Hold),
                State::Ended => return (at, Verdict::Broken),
            }
        }
        (at, if matches!(self.state, State::Upgrade) { Verdict::Hold } else { Verdict::More })
    }
}

fn clamp(n: u64, max: usize) -> usize {
    usize::try_from(n).map_or(max, |n| n.min(max))
}

struct Bad;

impl Chunk {
    /// One step: bytes used, and whether the body ended there.
    fn read(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<(usize, bool), Bad> {
        let byte = bytes[0];
        *self = match *self {
            Self::Data(left) => {
                let step = clamp(left, bytes.len());
                let left = left - step as u64;
                *self = if left == 0 { Self::DataEnd(false) } else { Self::Data(left) };
                return Ok((step, false));
            }
            Self::Size(digits, value, line) => match byte {
                _ if byte.is_ascii_hexdigit() && digits < CHUNK_DIGITS_MAX => {
                    let digit = char::from(byte).to_digit(16).ok_or(Bad)?;
                    Self::Size(digits + 1, value * 16 + u64::from(digit), line + 1)
                }
                b';' if digits > 0 => Self::Extension(value, line + 1, false),
                b'\r' if digits > 0 => Self::Extension(value, line + 1, true),
                _ => return Err(Bad),
            },
            Self::Extension(value, line, cr) => match (cr, byte) {
                (true, b'\n') if value == 0 => Self::Trailer(0, 0, false),
                (true, b'\n') => Self::Data(value),
                (false, b'\r') => Self::Extension(value, line + 1, true),
                (false, b' '..=b'~' | b'\t') if line < CHUNK_LINE_BYTES_MAX => {
                    Self::Extension(value, line + 1, false)
                }
                _ => return Err(Bad),
            },
            Self::DataEnd(false) if byte == b'\r' => Self::DataEnd(true),
            Self::DataEnd(true) if byte == b'\n' => Self::Size(0, 0, 0),
            Self::DataEnd(_) => return Err(Bad),
            Self::Trailer(sum, line, cr) => match (cr, byte) {
                (true, b'\n') if line == 0 => {
                    *self = Self::Size(0, 0, 0);
                    return Ok((1, true));
                }
                (true, b'\n') => Self::Trailer(sum + 1, 0, false),
                (false, b'\r') => Self::Trailer(sum + 1, line, true),
                (false, b'\n' | 0) | (true, _) => return Err(Bad),
                (false, _) if sum < limits.trailer_bytes_max => {
                    Self::Trailer(sum + 1, line + 1, false)
                }
                _ => return Err(Bad),
            },
        };
        Ok((1, false))
    }
}

impl Head {
    /// The length of the head once it is complete; the status of the refusal when it is bad.
    fn read(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, u16> {
        loop {
            let rest = &bytes[self.line_at..];
            let Some(end) = rest.iter().position(|b| *b == b'\n') else {
                self.measure(bytes.len(), limits)?;
                // Garbage (a TLS hello, say) is told at once, not after the header time.
                if self.fields_at == 0 && rest.first().is_some_and(|b| !line_starts_with(*b)) {
                    return Err(400);
                }
                return Ok(None);
            };
            let Some((b'\r', line)) = rest[..end].split_last() else { return Err(400) };
            let next = self.line_at + end + 1;
            self.measure(next, limits)?;
            if self.fields_at == 0 {
                // One empty line before a request line is tolerated (RFC 9112, 2.2).
                if line.is_empty() && self.line_at == 0 {
                    self.line_at = next;
                    continue;
                }
                self.request_line(line)?;
                self.fields_at = next;
            } else if line.is_empty() {
                if self.old && self.chunked {
                    return Err(400);
                }
                if self.chunked && self.length.is_some() {
                    return Err(400);
                }
                self.websocket &=
                    self.get && !self.old && !self.chunked && self.length.unwrap_or(0) == 0;
                return Ok(Some(next));
            } else {
                self.fields += 1;
                if self.fields > limits.fields_max {
                    return Err(431);
                }
                self.field(line)?;
            }
            self.line_at = next;
        }
    }

    /// Lengths so far, with or without the end of a line.
    fn measure(&self, length: usize, limits: &HeadLimits) -> Result<(), u16> {
        /// CR LF, and an empty line before.
        const ENDS: usize = 4;
        if self.fields_at == 0 {
            if length > limits.request_line_bytes_max + ENDS {
                return Err(414);
            }
        } else if length - self.fields_at > limits.header_bytes_max + 2 {
            return Err(431);
        }
        Ok(())
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), u16> {
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(400);
        };
        if method.is_empty() || !method.iter().all(|b| is_token(*b)) || target.is_empty() {
            return Err(400);
        }
        self.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ if version.starts_with(b"HTTP/") => return Err(505),
            _ => return Err(400),
        };
        if method == b"TRACE" || method == b"CONNECT" {
            return Err(405);
        }
        self.get = method == b"GET";
        // Plain targets are told by one look; for the rest the library's own judgement is asked,
        // so that it never refuses what passed here.
        let plain = target[0] == b'/' && target.iter().all(|b| is_plain(*b));
        if !plain && http::Uri::try_from(target).is_err() {
            return Err(400);
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), u16> {
        let colon = line.iter().position(|b| *b == b':').ok_or(400_u16)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // A blank first is obsolete folding, a blank last hides the name: neither is a token.
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(400);
        }
        if value.iter().fold(false, |bad, b| bad | (*b < 0x20 && *b != b'\t') | (*b == 0x7f)) {
            return Err(400);
        }
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.websocket |= names_websocket(value);
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let digits = value.trim_ascii();
                if digits.is_empty() || digits.len() > LENGTH_DIGITS_MAX {
                    return Err(400);
                }
                let mut length = 0_u64;
                for digit in digits {
                    if !digit.is_ascii_digit() {
                        return Err(400);
                    }
                    length = length * 10 + u64::from(digit - b'0');
                }
                if self.length.is_some_and(|before| before != length) {
                    return Err(400);
                }
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(400);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the value of an `Upgrade` header lists what we can upgrade to.
pub(super) fn names_websocket(value: &[u8]) -> bool {
    let mut parts = value.split(|b| *b == b',');
    parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn line_starts_with(byte: u8) -> bool {
    is_token(byte) || byte == b'\r'
}

const TOKEN: u8 = 1;
const PLAIN: u8 = 2;
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0x21_u8;
    while byte < 0x7f {
        let letter = byte.is_ascii_alphanumeric();
        if letter || is_in(byte, b"!#$%&'*+-.^_`|~") {
            table[byte as usize] |= TOKEN;
        }
        if letter || is_in(byte, b"/-._~%?&=:@!$'()*+,;") {
            table[byte as usize] |= PLAIN;
        }
        byte += 1;
    }
    table
}

const fn is_in(byte: u8, list: &[u8]) -> bool {
    let mut at = 0;
    while at < list.len() {
        if list[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Characters of methods and field names (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

fn is_plain(byte: u8) -> bool {
    CLASSES[byte as usize] & PLAIN != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen::new(HeadLimits::default())
    }

    /// The verdict over one piece, and over the same bytes one at a time: both must agree.
    fn check(input: &[u8], expected: Verdict) {
        let (_, whole) = screen().push(input);
        assert_eq!(whole, expected, "{:?}", String::from_utf8_lossy(input));
        let (mut screen, mut held) = (screen(), Vec::new());
        for byte in input {
            held.push(*byte);
            let (pass, verdict) = screen.push(&held);
            held.drain(..pass);
            if matches!(verdict, Verdict::Refuse(_) | Verdict::Broken) {
                assert_eq!(verdict, expected, "{:?} by bytes", String::from_utf8_lossy(input));
                return;
            }
        }
        assert!(!matches!(expected, Verdict::Refuse(_) | Verdict::Broken));
    }

    fn head(lines: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
    }

    #[test]
    fn s17_framing_that_two_readers_could_read_differently_is_refused() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 9999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\rb\r\n",
            "X: a\0b\r\n",
            "X: a\r\n folded\r\n",
            "X: a\n",
            "No colon\r\n",
            ": empty\r\n",
            "B@d: 1\r\n",
        ] {
            check(&head(lines), Verdict::Refuse(400));
        }
        for line in
            ["GET  / HTTP/1.1", "GET /", "GE T / HTTP/1.1", "GET /\x7f HTTP/1.1", "\x16\x03"]
        {
            check(format!("{line}\r\n\r\n").as_bytes(), Verdict::Refuse(400));
        }
        check(b"GET / HTTP/1.1\nHost: a\n\n", Verdict::Refuse(400));
        check(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Verdict::Refuse(400));
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Verdict::Refuse(505));
        check(b"TRACE / HTTP/1.1\r\n\r\n", Verdict::Refuse(405));
        check(b"CONNECT a:1 HTTP/1.1\r\n\r\n", Verdict::Refuse(405));
    }

    #[test]
    fn s17_repeated_equal_lengths_are_one() {
        check(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n",
            Verdict::More,
        );
    }

    #[test]
    fn s14_a_head_has_exact_limits() {
        let limits = HeadLimits {
            request_line_bytes_max: 32,
            header_bytes_max: 64,
            fields_max: 3,
            trailer_bytes_max: 16,
        };
        let verdict = |text: String| Screen::new(limits).push(text.as_bytes()).1;
        let line = |n: usize| format!("GET /{} HTTP/1.1", "a".repeat(n - 14));
        assert_eq!(verdict(format!("{}\r\n\r\n", line(32))), Verdict::More);
        assert_eq!(verdict(format!("{}\r\n\r\n", line(35))), Verdict::Refuse(414));
        assert_eq!(verdict("a".repeat(40)), Verdict::Refuse(414));
        let field = |n: usize| format!("{}\r\na: {}\r\n\r\n", line(20), "b".repeat(n - 5));
        assert_eq!(verdict(field(64)), Verdict::More);
        assert_eq!(verdict(field(65)), Verdict::Refuse(431));
        assert_eq!(verdict(format!("{}\r\na: {}", line(20), "b".repeat(80))), Verdict::Refuse(431));
        let fields = |n: usize| format!("{}\r\n{}\r\n", line(20), "a: b\r\n".repeat(n));
        assert_eq!(verdict(fields(3)), Verdict::More);
        assert_eq!(verdict(fields(4)), Verdict::Refuse(431));
        let trailers = |n: usize| {
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: {}\r\n\r\n",
                "b".repeat(n)
            )
        };
        let limits = HeadLimits { trailer_bytes_max: 16, ..HeadLimits::default() };
        assert_eq!(Screen::new(limits).push(trailers(8).as_bytes()).1, Verdict::More);
        assert_eq!(Screen::new(limits).push(trailers(40).as_bytes()).1, Verdict::Broken);
    }

    #[test]
    fn bodies_are_followed_to_the_next_head() {
        let input = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n\
            POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
        let mut screen = screen();
        assert_eq!(screen.push(input), (input.len(), Verdict::More));
        assert!(!screen.mid_body());
        for bad in ["\r\n", "g\r\n", " 3\r\n", "3 \r\n", "3\n", "3\r\nabcd", "FFFFFFFFFFFFFFFF\r\n"]
        {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{bad}");
            check(text.as_bytes(), Verdict::Broken);
        }
    }

    #[test]
    fn s16_pipelined_heads_pass_in_bounded_numbers() {
        let input = b"GET / HTTP/1.1\r\n\r\n".repeat(PIPELINED_MAX + 1);
        let one = input.len() / (PIPELINED_MAX + 1);
        assert_eq!(screen().push(&input), (PIPELINED_MAX * one, Verdict::Enough));
    }

    #[test]
    fn bytes_after_an_upgrade_are_held() {
        let input = head("Upgrade: WebSocket\r\nConnection: Upgrade\r\n");
        let mut all = input.clone();
        all.extend_from_slice(b"\x81\x80");
        assert_eq!(screen().push(&all), (input.len(), Verdict::Hold));
    }
}
