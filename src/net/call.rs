//! What came in, as a handler sees it.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A request after the door's checks.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    /// As sent, percent-encoded, without the query.
    pub path: String,
    /// Values of the address's parameters, percent-decoded once, by position.
    pub params: Vec<String>,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Body,
    /// The client, after trusted proxies.
    pub peer: IpAddr,
    pub request_id: String,
}

impl Call {
    /// A header as text; `None` when absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path parameter `n`.
    pub fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }
}

/// The query string, decoded: pairs in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`: `+` is a blank, percent sequences are bytes, bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        fn decode(text: &str) -> String {
            let bytes = text.as_bytes();
            let mut out = Vec::with_capacity(bytes.len());
            let mut at = 0;
            while at < bytes.len() {
                let hex = |n: usize| bytes.get(at + n).and_then(|b| (*b as char).to_digit(16));
                match (bytes[at], hex(1), hex(2)) {
                    (b'%', Some(high), Some(low)) => {
                        out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        at += 2;
                    }
                    (b'+', ..) => out.push(b' '),
                    (byte, ..) => out.push(byte),
                }
                at += 1;
            }
            String::from_utf8(out)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
        }
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Declared or counted length above what the handler allows.
    TooLarge,
    /// The client went away, was too slow, or broke the framing.
    Broken,
}

/// A request body, read as fast as the handler asks.
#[derive(Debug)]
pub struct Body {
    declared: Option<u64>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Whole(Option<Bytes>),
}

impl Body {
    /// A body that is in memory already: tests, inner calls of a batch.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { declared: Some(bytes.len() as u64), source: Source::Whole(Some(bytes)) }
    }

    /// `Content-Length`, when there is one.
    pub fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next piece, `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.source {
            Source::Whole(bytes) => Ok(bytes.take().filter(|b| !b.is_empty())),
        }
    }

    /// The whole body, at most `bytes_max`. A declared length above it is refused before reading.
    pub async fn read(&mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        if self.declared.is_some_and(|n| n > bytes_max as u64) {
            return Err(BodyError::TooLarge);
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = Vec::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if all.len() + piece.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            all.extend_from_slice(&piece);
            next = self.chunk().await?;
        }
        Ok(Bytes::from(all))
    }
}
