//! Frames of RFC 6455, server side: what clients send is unmasked and judged, what we send is
//! encoded once.
//!
//! Knows bytes. Does not know sockets or queues.
//!
//! Invariants
//! F1. A message is at most [`MESSAGE_BYTES_MAX`] in at most [`FRAGMENTS_MAX`] frames, and text is
//!     UTF-8; a length that breaks this is refused from the frame's first bytes.
//! F2. When nothing is under way, no buffer is held.

use bytes::Bytes;

use super::{Message, code};

/// A message after its fragments were joined (SECURITY S22).
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
pub(super) const FRAGMENTS_MAX: usize = 1_024;
/// Payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;
/// First two bytes, longest length, mask.
const HEAD_BYTES_MAX: usize = 14;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// An encoded frame. Cheap to clone; clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::encode(TEXT, text.as_bytes())
    }

    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::encode(BINARY, bytes)
    }

    /// A ping, which the client answers by itself.
    #[must_use]
    pub fn ping() -> Self {
        Self::encode(PING, &[])
    }

    pub(super) fn pong(payload: &[u8]) -> Self {
        Self::encode(PONG, payload)
    }

    pub(super) fn close(code: Option<u16>, reason: &str) -> Self {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.to_be_bytes());
            let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            payload.extend_from_slice(&reason.as_bytes()[..end]);
        }
        Self::encode(CLOSE, &payload)
    }

    /// Frames that were encoded before, one after the other: sent together or not at all.
    #[must_use]
    pub fn encoded(frames: Bytes) -> Self {
        Self(frames)
    }

    fn encode(opcode: u8, payload: &[u8]) -> Self {
        let mut out = Vec::with_capacity(payload.len() + HEAD_BYTES_MAX);
        out.push(0x80 | opcode);
        let length = payload.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => out.push(short),
            (_, Ok(medium)) => {
                out.push(126);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        Self(out.into())
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// What the reader makes of a frame, or of the last of several.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// Bytes to events.
#[derive(Debug)]
pub(super) struct Decoder {
    input: Vec<u8>,
    at: usize,
    /// The message whose fragments are being joined.
    joined: Vec<u8>,
    /// Its opcode; 0 when there is none.
    opcode: u8,
    fragments: usize,
}

/// A frame's first bytes, judged.
struct Head {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Where the payload starts and how long it is.
    start: usize,
    length: usize,
}

impl Decoder {
    pub(super) fn new(input: Vec<u8>) -> Self {
        Self { input, at: 0, joined: Vec::new(), opcode: 0, fragments: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next event; `None` when more bytes are needed; the close code of a violation.
    pub(super) fn next(&mut self) -> Result<Option<Event>, u16> {
        loop {
            let Some(head) = self.head()? else {
                self.shrink();
                return Ok(None);
            };
            let end = head.start + head.length;
            let Some(payload) = self.input.get_mut(self.at + head.start..self.at + end) else {
                self.shrink();
                return Ok(None);
            };
            unmask(payload, head.mask);
            let from = self.at + head.start;
            self.at += end;
            let to = self.at;
            let event = match head.opcode {
                CLOSE => Some(Event::Close(close_code(&self.input[from..to])?)),
                PING => Some(Event::Ping(self.input[from..to].to_vec())),
                PONG => Some(Event::Pong),
                opcode => {
                    if opcode != CONTINUATION {
                        self.opcode = opcode;
                    }
                    self.fragments += 1;
                    self.joined.extend_from_slice(&self.input[from..to]);
                    if head.last { Some(Event::Message(self.message()?)) } else { None }
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Gives back what was used; all of it when nothing is under way.
    fn shrink(&mut self) {
        if self.at == self.input.len() {
            self.input = Vec::new();
        } else if self.at > 0 {
            self.input.drain(..self.at);
        }
        self.at = 0;
    }

    fn message(&mut self) -> Result<Message, u16> {
        let bytes = std::mem::take(&mut self.joined);
        let opcode = std::mem::take(&mut self.opcode);
        self.fragments = 0;
        if opcode == TEXT {
            String::from_utf8(bytes).map(Message::Text).map_err(|_| code::NOT_UTF8)
        } else {
            Ok(Message::Binary(bytes.into()))
        }
    }

    fn head(&self) -> Result<Option<Head>, u16> {
        let bytes = &self.input[self.at..];
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let control = opcode >= CLOSE;
        let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
        // Reserved bits mean extensions, and none was agreed on; clients mask, always.
        if first & 0x70 != 0 || !known || second & 0x80 == 0 {
            return Err(code::PROTOCOL);
        }
        let short = usize::from(second & 0x7f);
        if control && (!last || short > CONTROL_BYTES_MAX) {
            return Err(code::PROTOCOL);
        }
        let (length, start) = match short {
            126 => match *bytes {
                [_, _, a, b, ..] => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match *bytes {
                [_, _, a, b, c, d, e, f, g, h, ..] => {
                    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10)
                }
                _ => return Ok(None),
            },
            short => (short as u64, 2),
        };
        if !control {
            let fresh = opcode != CONTINUATION;
            if fresh == (self.opcode != 0) {
                return Err(code::PROTOCOL);
            }
            let room = MESSAGE_BYTES_MAX - self.joined.len();
            if length > room as u64 || self.fragments >= FRAGMENTS_MAX {
                return Err(code::TOO_LARGE);
            }
        }
        let length = usize::try_from(length).map_err(|_| code::TOO_LARGE)?;
        let Some(&[a, b, c, d]) = bytes.get(start..start + 4) else { return Ok(None) };
        Ok(Some(Head { last, opcode, mask: [a, b, c, d], start: start + 4, length }))
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, u16> {
    let [a, b, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(code::PROTOCOL) };
    };
    let code = u16::from_be_bytes([*a, *b]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(code::PROTOCOL);
    }
    std::str::from_utf8(reason).map_err(|_| code::NOT_UTF8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let Frame(bytes) = Frame::encode(0, payload);
        let mut out = bytes.to_vec();
        let head = out.len() - payload.len();
        out[0] = first;
        out[1] |= 0x80;
        unmask(&mut out[head..], MASK);
        out.splice(head..head, MASK);
        out
    }

    /// What some bytes mean, arriving whole and byte by byte.
    fn events(bytes: &[u8]) -> Result<Vec<Event>, u16> {
        let mut whole = Decoder::new(bytes.to_vec());
        let mut all = Vec::new();
        let outcome = loop {
            match whole.next() {
                Ok(Some(event)) => all.push(event),
                Ok(None) => break Ok(()),
                Err(code) => break Err(code),
            }
        };
        let (mut slow, mut again) = (Decoder::new(Vec::new()), Vec::new());
        let slow_outcome = bytes.iter().try_for_each(|byte| {
            slow.push(&[*byte]);
            while let Some(event) = slow.next()? {
                again.push(event);
            }
            Ok(())
        });
        assert_eq!((&all, outcome), (&again, slow_outcome));
        outcome.map(|()| all)
    }

    fn text(text: &str) -> Event {
        Event::Message(Message::Text(text.to_owned()))
    }

    #[test]
    fn s22_messages_are_unmasked_and_joined_around_control_frames() {
        let mut bytes = frame(0x81, "größer".as_bytes());
        bytes.extend(frame(0x01, b"one "));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x00, "tw\u{f6}".as_bytes()));
        bytes.extend(frame(0x80, b""));
        bytes.extend(frame(0x82, &[0xff; 300]));
        bytes.extend(frame(0x8a, b""));
        bytes.extend(frame(0x88, &[0x0f, 0xa0, b'x']));
        let expected = vec![
            text("größer"),
            Event::Ping(b"ping".to_vec()),
            text("one twö"),
            Event::Message(Message::Binary(vec![0xff; 300].into())),
            Event::Pong,
            Event::Close(Some(4000)),
        ];
        assert_eq!(events(&bytes), Ok(expected));
    }

    #[test]
    fn s22_violations_have_their_codes() {
        let unmasked = Frame::text("x").into_bytes().to_vec();
        let split = "ö".as_bytes();
        for (bytes, code) in [
            (unmasked, 1002),
            (frame(0xc1, b""), 1002),
            (frame(0x91, b""), 1002),
            (frame(0x83, b""), 1002),
            (frame(0x8b, b""), 1002),
            (frame(0x09, b""), 1002),
            (frame(0x89, &[0; 126]), 1002),
            (frame(0x80, b""), 1002),
            ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
            (frame(0x88, b"x"), 1002),
            (frame(0x88, &[0x03, 0xed]), 1002),
            (frame(0x88, &[0x03, 0xe8, 0xff]), 1007),
            (frame(0x81, &split[..1]), 1007),
            (vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 1009),
            ([frame(0x02, &[0; 1000]), vec![0x80, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0]].concat(), 1009),
        ] {
            assert_eq!(events(&bytes), Err(code), "{:?}", &bytes[..bytes.len().min(12)]);
        }
    }

    #[test]
    fn s22_fragments_are_counted() {
        let mut decoder = Decoder::new(frame(0x01, b""));
        for _ in 1..FRAGMENTS_MAX {
            decoder.push(&frame(0x00, b""));
        }
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(&frame(0x80, b""));
        assert_eq!(decoder.next(), Err(code::TOO_LARGE));
    }

    #[test]
    fn the_largest_message_passes_and_leaves_no_buffer() {
        let mut decoder = Decoder::new(frame(0x82, &vec![7; MESSAGE_BYTES_MAX]));
        let Ok(Some(Event::Message(Message::Binary(bytes)))) = decoder.next() else {
            panic!("no message")
        };
        assert!(bytes.len() == MESSAGE_BYTES_MAX && bytes.iter().all(|b| *b == 7));
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.input.capacity() + decoder.joined.capacity(), 0);
    }

    #[test]
    fn frames_are_encoded_with_the_shortest_length() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = Frame::binary(&vec![0; length]);
            assert_eq!(frame.bytes().len(), length + head);
        }
        assert_eq!(Frame::text("hi").bytes().as_ref(), b"\x81\x02hi");
        let long = Frame::close(Some(1000), &"ö".repeat(100));
        assert_eq!(long.bytes().len(), 2 + 2 + 122);
    }
}
