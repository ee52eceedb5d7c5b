//! What goes out.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::RateState;

/// The body of a reply.
pub enum Content {
    Empty,
    Bytes(Bytes),
    /// Pieces that are made while they are sent; the channel is small, so a slow reader slows the maker.
    /// `length` is sent as `Content-Length`; without one the body is chunked (event streams).
    Stream {
        length: Option<u64>,
        source: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>,
    },
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream { length, .. } => write!(f, "Stream({length:?})"),
        }
    }
}

/// An answer. `net` adds the headers that every answer has.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub content: Content,
    /// The caller's bucket, when the face took from one; it fills the `X-RateLimit-*` headers.
    pub rate: Option<RateState>,
}

impl Reply {
    /// A body of JSON text.
    pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(status, Content::Bytes(text.into()));
        reply
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        reply
    }

    /// Kept by no cache, unless the handler said otherwise.
    #[must_use]
    pub fn unstored(mut self) -> Self {
        self.headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        self
    }

    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, Content::Empty)
    }

    /// A body of any kind; its headers are the caller's.
    pub fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: HeaderMap::new(), content, rate: None }
    }

    /// Says which bucket the caller's request was taken from.
    #[must_use]
    pub fn rated(mut self, state: RateState) -> Self {
        self.rate = Some(state);
        self
    }

    /// Adds a header. A value that no header may hold is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}
