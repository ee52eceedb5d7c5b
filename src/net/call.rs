//! What came in, as a handler sees it.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::connection::Connection;

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
    Wire(Box<Wire>),
}

/// A body that is still arriving.
#[derive(Debug)]
struct Wire {
    incoming: Incoming,
    connection: Arc<Connection>,
    upgrade: Option<OnUpgrade>,
    received: u64,
    /// Time spent waiting for the client, not for the handler.
    waited: Duration,
}

impl Wire {
    /// How long to wait for the next byte: SECURITY S15.
    fn allowance(&self) -> Duration {
        let times = self.connection.times();
        let rate = times.body_bytes_per_second.max(1);
        let earned = Duration::from_millis(self.received.saturating_mul(1_000) / rate);
        (times.body_quiet + earned).saturating_sub(self.waited).min(times.body_quiet)
    }

    async fn chunk(&mut self, at_most: Duration) -> Result<Option<Bytes>, BodyError> {
        loop {
            let allowance = self.allowance().min(at_most);
            let started = Instant::now();
            let frame = poll_fn(|cx| Pin::new(&mut self.incoming).poll_frame(cx));
            let Ok(frame) = tokio::time::timeout(allowance, frame).await else {
                self.connection.mark_late();
                return Err(BodyError::Broken);
            };
            self.waited += started.elapsed();
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyError::Broken),
                // Trailers have nothing to say here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        self.received += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

impl Body {
    /// A body that is in memory already: tests, inner calls of a batch.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { declared: Some(bytes.len() as u64), source: Source::Whole(Some(bytes)) }
    }

    /// The body of a request on the wire.
    pub(super) fn wire(
        incoming: Incoming,
        upgrade: Option<OnUpgrade>,
        connection: &Arc<Connection>,
    ) -> Self {
        let declared = incoming.size_hint().exact();
        if upgrade.is_none() && incoming.is_end_stream() {
            return Self { declared, source: Source::Whole(None) };
        }
        let connection = Arc::clone(connection);
        let wire = Wire { incoming, connection, upgrade, received: 0, waited: Duration::ZERO };
        Self { declared, source: Source::Wire(Box::new(wire)) }
    }

    /// The way to the raw socket, once, when the client asked for another protocol.
    pub(super) fn take_upgrade(&mut self) -> Option<(OnUpgrade, Arc<Connection>)> {
        match &mut self.source {
            Source::Whole(_) => None,
            Source::Wire(wire) => Some((wire.upgrade.take()?, Arc::clone(&wire.connection))),
        }
    }

    /// `Content-Length`, when there is one.
    pub fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// [`BodyError::Broken`]; a body slower than SECURITY S15 allows is broken too, and its request
    /// is answered 408 whatever the handler replies.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.source {
            Source::Whole(bytes) => Ok(bytes.take().filter(|b| !b.is_empty())),
            Source::Wire(wire) => wire.chunk(Duration::MAX).await,
        }
    }

    async fn chunk_until(&mut self, deadline: Option<Instant>) -> Result<Option<Bytes>, BodyError> {
        match (&mut self.source, deadline) {
            (Source::Wire(wire), Some(deadline)) => {
                wire.chunk(deadline.saturating_duration_since(Instant::now())).await
            }
            _ => self.chunk().await,
        }
    }

    /// The whole body, at most `bytes_max`. A declared length above it is refused before reading.
    ///
    /// # Errors
    /// [`BodyError`]; a body that takes longer than [`super::Times::whole_body`] in all is broken.
    pub async fn read(&mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        if self.declared.is_some_and(|n| n > bytes_max as u64) {
            return Err(BodyError::TooLarge);
        }
        let deadline = match &self.source {
            Source::Whole(_) => None,
            Source::Wire(wire) => Some(Instant::now() + wire.connection.times().whole_body),
        };
        let Some(first) = self.chunk_until(deadline).await? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        let Some(second) = self.chunk_until(deadline).await? else { return Ok(first) };
        let mut all = Vec::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if all.len() + piece.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            all.extend_from_slice(&piece);
            next = self.chunk_until(deadline).await?;
        }
        Ok(Bytes::from(all))
    }
}
