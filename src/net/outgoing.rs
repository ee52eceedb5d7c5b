//! A reply's content as the body type of the HTTP library, without copying.
//!
//! Invariants
//! O1. The request counts as in flight until its body was handed over or dropped.
//! O2. A stream with a stated length brings exactly that, or breaks the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

use super::Content;
use super::connection::InFlight;

#[derive(Debug)]
pub(super) struct Outgoing {
    kind: Kind,
    in_flight: InFlight,
}

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Counted(u64, Receiver<io::Result<Bytes>>),
    Endless(Receiver<io::Result<Bytes>>),
}

impl Outgoing {
    pub(super) fn new(content: Content, in_flight: InFlight) -> Self {
        let kind = match content {
            Content::Empty => Kind::Whole(None),
            Content::Bytes(bytes) => Kind::Whole(Some(bytes).filter(|b| !b.is_empty())),
            Content::Stream { length: Some(length), source } => Kind::Counted(length, source),
            Content::Stream { length: None, source } => Kind::Endless(source),
        };
        Self { kind, in_flight }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let next = match &mut this.kind {
            Kind::Whole(bytes) => bytes.take().map(Ok),
            Kind::Counted(0, _) => None,
            Kind::Counted(left, source) => match ready!(source.poll_recv(cx)) {
                Some(Ok(bytes)) if bytes.len() as u64 <= *left => {
                    *left -= bytes.len() as u64;
                    Some(Ok(bytes))
                }
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(_)) | None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            },
            // An event stream would hold up the stop of the server for ever.
            Kind::Endless(_) if this.in_flight.connection().is_stopping() => None,
            Kind::Endless(source) => ready!(source.poll_recv(cx)),
        };
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole(None) | Kind::Counted(0, _))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Counted(left, _) => SizeHint::with_exact(*left),
            Kind::Endless(_) => SizeHint::default(),
        }
    }
}
