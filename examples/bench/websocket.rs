//! A WebSocket client, as little of one as the benchmark needs: text messages in one frame each.
//!
//! Knows frames and sockets. Does not know what is in a message.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::parse_head;

/// A message of the server is never larger: its own limit.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What a socket holds while it waits for a message.
const BUFFER_BYTES: usize = 2 * 1024;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame at the start of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    payload: Range<usize>,
}

/// Reads a frame at the start of `data`; `None` until it is complete.
fn parse_frame(data: &[u8]) -> Result<Option<Frame>> {
    let [first, second, ..] = *data else { return Ok(None) };
    ensure!(first & 0x70 == 0 && second & 0x80 == 0, "a frame that no server sends");
    ensure!(first & 0x80 != 0, "a message in several frames");
    let (start, bytes) = match second {
        126 => match data.get(2..4) {
            Some(size) => (4, usize::from(u16::from_be_bytes(size.try_into()?))),
            None => return Ok(None),
        },
        127 => match data.get(2..10) {
            Some(size) => (10, usize::try_from(u64::from_be_bytes(size.try_into()?))?),
            None => return Ok(None),
        },
        bytes => (2, usize::from(bytes)),
    };
    ensure!(bytes <= MESSAGE_BYTES_MAX, "a frame of {bytes} bytes");
    let frame = Frame { kind: first & 0x0F, payload: start..start + bytes };
    Ok((data.len() >= frame.payload.end).then_some(frame))
}

/// A masked frame; the mask is zero, which changes nothing and is as legal as any.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | kind];
    match payload.len() {
        n @ 0..126 => bytes.push(0x80 | n as u8),
        n @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// One open socket.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are read already, and that are filled.
    start: usize,
    filled: usize,
}

impl Socket {
    /// Connects and upgrades.
    pub async fn open(address: &str, path: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        let mut socket = Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, filled: 0 };
        let asked = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: Y2Fpcm4tYmVuY2htYXJrIQ==\r\n\r\n"
        );
        socket.stream.write_all(asked.as_bytes()).await?;
        let head = loop {
            if let Some(head) = parse_head(&socket.buffer[..socket.filled])? {
                break head;
            }
            socket.more().await?;
        };
        ensure!(head.status == 101, "{path} answered {} to an upgrade", head.status);
        socket.start = head.bytes;
        Ok(socket)
    }

    /// Opens and signs in.
    pub async fn signed_in(address: &str, token: &str) -> Result<Self> {
        let mut socket = Self::open(address, "/ws").await?;
        socket.send(&serde_json::json!({ "type": "auth", "token": token })).await?;
        socket.until("auth-ok").await?;
        Ok(socket)
    }

    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.stream.write_all(&frame(TEXT, message.to_string().as_bytes())).await?;
        Ok(())
    }

    /// Follows a query; what it answers first is read.
    pub async fn subscribe(&mut self, id: &str, query: &Value) -> Result<()> {
        let message = serde_json::json!({ "type": "subscribe", "id": id, "query": query });
        self.send(&message).await?;
        self.until("q-init").await?;
        Ok(())
    }

    /// Waits for a message of this type; any other but signs of life is an error.
    pub async fn until(&mut self, kind: &str) -> Result<Value> {
        loop {
            let bytes = self.receive().await?;
            let message: Value = serde_json::from_slice(bytes)?;
            match message["type"].as_str() {
                Some(found) if found == kind => return Ok(message),
                Some("ping" | "pong") => {}
                _ => bail!("instead of {kind} came {message}"),
            }
        }
    }

    /// The next message, where it lies.
    pub async fn receive(&mut self) -> Result<&[u8]> {
        loop {
            let Some(found) = parse_frame(&self.buffer[self.start..self.filled])? else {
                self.more().await?;
                continue;
            };
            let payload = self.start + found.payload.start..self.start + found.payload.end;
            self.start += found.payload.end;
            match found.kind {
                TEXT => return Ok(&self.buffer[payload]),
                PING => {
                    let answer = frame(PONG, &self.buffer[payload]);
                    self.stream.write_all(&answer).await?;
                }
                PONG => {}
                CLOSE => {
                    let reason = self.buffer[payload].get(..2).map_or(0, |code| {
                        u16::from_be_bytes(code.try_into().expect("two bytes are two"))
                    });
                    bail!("the server closed the socket with {reason}");
                }
                kind => bail!("a frame of kind {kind}"),
            }
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let n = self.stream.read(&mut self.buffer[self.filled..]).await?;
        ensure!(n > 0, "the server closed the connection");
        self.filled += n;
        Ok(())
    }
}

/// The number after `"tx":`, without parsing the rest.
pub fn tx_of(message: &[u8]) -> Option<i64> {
    let name = b"\"tx\":";
    // From the end: a row may have a field of that name, the message says it last.
    let at = message.windows(name.len()).rposition(|window| window == name)? + name.len();
    let digits = message[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| Some(number.unwrap_or(0) * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let found = parse_frame(b"\x81\x05hellorest").expect("good");
        assert_eq!(found, Some(Frame { kind: TEXT, payload: 2..7 }));
        assert_eq!(parse_frame(b"\x81\x05hell").expect("good"), None);
        assert_eq!(parse_frame(b"\x81\x7e\x01").expect("good"), None);
        let mut long = b"\x82\x7e\x01\x00".to_vec();
        long.resize(260, 7);
        assert_eq!(parse_frame(&long).expect("good").map(|frame| frame.payload), Some(4..260));
        assert!(parse_frame(b"\x01\x00").is_err());
        assert!(parse_frame(b"\x81\x80").is_err());
    }

    #[test]
    fn frames_are_written() {
        assert_eq!(frame(TEXT, b"hi"), b"\x81\x82\0\0\0\0hi");
        assert_eq!(frame(TEXT, &[b'x'; 300])[..4], [0x81, 0xFE, 1, 44]);
        assert_eq!(frame(TEXT, &[b'x'; 70_000])[..10], [0x81, 0xFF, 0, 0, 0, 0, 0, 1, 17, 112]);
    }

    #[test]
    fn the_unit_is_found() {
        assert_eq!(tx_of(br#"{"added":[{"tx":1}],"tx":42}"#), Some(42));
        assert_eq!(tx_of(br#"{"tx":"#), None);
        assert_eq!(tx_of(b""), None);
    }
}
