//! HTTP/1.1 from the client's side, as little of it as the benchmark needs.
//!
//! [`parse_head`] and [`parse_chunks`] read answers for both clients: the load generator's (tokio,
//! `load.rs`) and the blocking [`Client`] here, which prepares data and moves blobs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// An answer that takes longer than this counts as an error.
pub const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Of a wrong answer, this much is shown.
const SHOWN_BYTES: usize = 300;

/// What a response head says about the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Bytes of the head, the empty line included.
    pub bytes: usize,
    /// `None`: chunked.
    pub body_bytes: Option<usize>,
    pub close: bool,
}

/// Reads a head at the start of `data`; `None` until it is complete.
pub fn parse_head(data: &[u8]) -> Result<Option<Head>> {
    let Some(end) = data.windows(4).position(|four| four == b"\r\n\r\n") else {
        ensure!(data.len() < 64 * 1024, "the head of the answer does not end");
        return Ok(None);
    };
    ensure!(data.starts_with(b"HTTP/1.") && end >= 12, "not an HTTP/1 answer");
    let status = std::str::from_utf8(&data[9..12])?.parse().context("status of the answer")?;
    let mut head = Head { status, bytes: end + 4, body_bytes: Some(0), close: data[7] == b'0' };
    for line in data[..end].split(|byte| *byte == b'\n').skip(1) {
        // The three that matter start with these letters; skip the rest without looking closer.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            head.body_bytes = Some(std::str::from_utf8(value)?.parse().context("content-length")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.body_bytes = None;
        } else if name.eq_ignore_ascii_case(b"connection") {
            head.close = value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(head))
}

/// The body of a chunked answer and the bytes it took; `None` until it is complete.
pub fn parse_chunks(data: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = data[at..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&data[at..at + line])?.split(';').next().unwrap_or("");
        let size = usize::from_str_radix(size.trim(), 16).context("size of a chunk")?;
        let start = at + line + 2;
        if data.len() < start + size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&data[start..start + size]);
        at = start + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// The bytes of a request.
pub fn request(
    method: &str,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if let Some(body) = body {
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A complete answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first part of the answer, for messages.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN_BYTES)]);
        format!("{} {text}", self.status)
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.shown()))
    }
}

/// One blocking keep-alive connection.
pub struct Client {
    stream: TcpStream,
    data: Vec<u8>,
}

impl Client {
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        Ok(Self { stream, data: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    pub fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request)?;
        self.answer()
    }

    pub fn answer(&mut self) -> Result<Answer> {
        let head = self.head()?;
        let body = match head.body_bytes {
            Some(bytes) => {
                while self.data.len() < bytes {
                    self.more()?;
                }
                self.data.drain(..bytes).collect()
            }
            None => loop {
                if let Some((body, used)) = parse_chunks(&self.data)? {
                    self.data.drain(..used);
                    break body;
                }
                self.more()?;
            },
        };
        Ok(Answer { status: head.status, body })
    }

    /// Reads an answer with a known length piece by piece, without keeping it.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> Result<(u16, u64)> {
        let head = self.head()?;
        let Some(total) = head.body_bytes else { bail!("the download has no content-length") };
        let mut left = total - self.data.len().min(total);
        each(&self.data);
        self.data.clear();
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let n = self.stream.read(&mut buffer)?;
            ensure!(n > 0 && n <= left, "the download broke off {left} bytes early");
            each(&buffer[..n]);
            left -= n;
        }
        Ok((head.status, total as u64))
    }

    fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(head) = parse_head(&self.data)? {
                self.data.drain(..head.bytes);
                if head.status != 100 {
                    return Ok(head);
                }
            } else {
                self.more()?;
            }
        }
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 64 * 1024];
        let n = self.stream.read(&mut buffer)?;
        ensure!(n > 0, "the server closed the connection");
        self.data.extend_from_slice(&buffer[..n]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("good");
        let wanted = Head { status: 200, bytes: 38, body_bytes: Some(5), close: false };
        assert_eq!(head, Some(wanted));
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\nconte").expect("good"), None);
        assert!(parse_head(b"SSH-2.0-x\r\n\r\n").is_err());
        let head = parse_head(
            b"HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        );
        let head = head.expect("good").expect("whole");
        assert!(head.close && head.body_bytes.is_none());
    }

    #[test]
    fn chunks_are_joined() {
        let data = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nrest";
        assert_eq!(parse_chunks(data).expect("good"), Some((b"abcde".to_vec(), 24)));
        assert_eq!(parse_chunks(&data[..20]).expect("good"), None);
    }
}
