//! A WebSocket client written by hand: masks, fragments, and shows what comes as it comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cairn::faces::live::messagepack;
use serde_json::Value;

/// Longer than any answer takes, shorter than a hanging test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const MASK: [u8; 4] = [7, 11, 13, 17];

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Message(Value),
    Ping,
    Close(u16),
    End,
}

pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    binary: bool,
}

impl Client {
    /// Upgrades at an address; the answer's status line when it is refused.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &str) -> Result<Self, String> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        )
        .unwrap();
        let mut client = Self { stream, read: Vec::new(), binary: false };
        loop {
            let end = client.read.windows(4).position(|part| part == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(client.read.drain(..end + 4).collect()).unwrap();
                if head.starts_with("HTTP/1.1 101 ") {
                    return Ok(client);
                }
                return Err(head);
            }
            assert!(client.fill(), "an answer to the upgrade");
        }
    }

    /// As the application client: MessagePack in binary frames.
    pub(crate) fn binary(mut self) -> Self {
        self.binary = true;
        self
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        if self.binary {
            let bytes = messagepack::write(message);
            self.frame(true, 2, &bytes);
        } else {
            self.frame(true, 1, message.to_string().as_bytes());
        }
    }

    /// One message in as many frames as it has bytes, up to 1000.
    pub(crate) fn send_in_pieces(&mut self, message: &Value) {
        let text = message.to_string();
        let size = text.len().div_ceil(1_000);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        for (place, piece) in pieces.iter().enumerate() {
            let opcode = if place == 0 { 1 } else { 0 };
            self.frame(place + 1 == pieces.len(), opcode, piece);
        }
    }

    pub(crate) fn frame(&mut self, last: bool, opcode: u8, payload: &[u8]) {
        let mut out = vec![if last { 0x80 | opcode } else { opcode }];
        match payload.len() {
            short @ 0..126 => out.push(0x80 | u8::try_from(short).unwrap()),
            medium @ 126..65_536 => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.raw(&out);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        // A server that has closed already says so in what it sent.
        let _ = self.stream.write_all(bytes);
    }

    /// The next thing; a ping is answered.
    pub(crate) fn next(&mut self) -> Got {
        loop {
            if let Some((opcode, payload)) = self.take_frame() {
                match opcode {
                    1 => {
                        assert!(!self.binary, "text on a binary connection");
                        return Got::Message(serde_json::from_slice(&payload).unwrap());
                    }
                    2 => {
                        assert!(self.binary, "binary on a text connection");
                        return Got::Message(messagepack::read(&payload).unwrap());
                    }
                    8 => {
                        let code = payload.get(..2).map_or(0, |c| u16::from_be_bytes([c[0], c[1]]));
                        self.frame(true, 8, &payload);
                        return Got::Close(code);
                    }
                    9 => {
                        self.frame(true, 10, &payload);
                        return Got::Ping;
                    }
                    10 => {}
                    other => panic!("opcode {other}"),
                }
            } else if !self.fill() {
                return Got::End;
            }
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.read.first()?, *self.read.get(1)?);
        assert_eq!(second & 0x80, 0, "servers do not mask");
        assert_eq!(first & 0xF0, 0x80, "the server does not fragment");
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(self.read.get(2..4)?.try_into().unwrap()))),
            127 => {
                let length = u64::from_be_bytes(self.read.get(2..10)?.try_into().unwrap());
                (10, usize::try_from(length).unwrap())
            }
            short => (2, usize::from(short)),
        };
        self.read.get(start..start + length)?;
        let mut frame: Vec<u8> = self.read.drain(..start + length).collect();
        Some((first & 0xF, frame.split_off(start)))
    }

    /// The next message, whatever pings come before.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            match self.next() {
                Got::Message(message) => return message,
                Got::Ping => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// The next message must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: &Value) {
        assert_eq!(self.message(), *wanted);
    }

    /// Asks, and takes the next message as the answer.
    pub(crate) fn ask(&mut self, message: &Value) -> Value {
        self.send(message);
        self.message()
    }

    /// The connection ends with this code, after nothing but pings.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) {
        loop {
            match self.next() {
                Got::Ping => {}
                got => return assert_eq!(got, Got::Close(code)),
            }
        }
    }
}
