//! Event streams (`text/event-stream`): a reply whose events are sent as they are made.
//!
//! Knows the wire form of events. Does not know what they say.
//!
//! Invariants
//! V1. At most [`EVENTS_WAITING_MAX`] events wait for a slow client; its maker waits with them, or
//!     is told with [`EventSender::try_send`].

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::{Content, Reply};

/// Events that wait for one client.
pub const EVENTS_WAITING_MAX: usize = 64;

/// An encoded event. Cheap to clone, so one encoding serves many clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent(Bytes);

impl StreamEvent {
    /// `name` and `id` are left out when empty; neither may hold a line break, which is dropped.
    #[must_use]
    pub fn new(name: &str, id: &str, data: &str) -> Self {
        let mut out = String::with_capacity(data.len() + name.len() + id.len() + 24);
        for (field, value) in [("event: ", name), ("id: ", id)] {
            if !value.is_empty() {
                out.push_str(field);
                out.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')));
                out.push('\n');
            }
        }
        // A lone CR ends a line for the receiver, too.
        for line in data.split('\n') {
            for part in line.strip_suffix('\r').unwrap_or(line).split('\r') {
                out.push_str("data: ");
                out.push_str(part);
                out.push('\n');
            }
        }
        out.push('\n');
        Self(out.into())
    }

    /// A line that clients ignore: keeps proxies from closing a quiet stream.
    #[must_use]
    pub fn comment() -> Self {
        Self(Bytes::from_static(b":\n\n"))
    }
}

/// Why an event was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventError {
    Full,
    /// The client, or the server, has ended the stream.
    Closed,
}

/// The way into one client's stream; the stream ends when all clones are dropped.
#[derive(Clone, Debug)]
pub struct EventSender(mpsc::Sender<std::io::Result<Bytes>>);

impl EventSender {
    /// Waits for room.
    ///
    /// # Errors
    /// [`EventError::Closed`].
    pub async fn send(&self, event: StreamEvent) -> Result<(), EventError> {
        self.0.send(Ok(event.0)).await.map_err(|_| EventError::Closed)
    }

    /// # Errors
    /// [`EventError`].
    pub fn try_send(&self, event: StreamEvent) -> Result<(), EventError> {
        self.0.try_send(Ok(event.0)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EventError::Full,
            mpsc::error::TrySendError::Closed(_) => EventError::Closed,
        })
    }

    /// Returns when the client is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// A reply that stays open, and the way to fill it.
#[must_use]
pub fn event_stream() -> (EventSender, Reply) {
    let (sender, source) = mpsc::channel(EVENTS_WAITING_MAX);
    let mut reply = Reply::new(StatusCode::OK, Content::Stream { length: None, source });
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
        // Some proxies would collect events otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        reply.headers.insert(name, HeaderValue::from_static(value));
    }
    (EventSender(sender), reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_and_data_cannot_break_out() {
        let check = |name, id, data, expected: &str| {
            assert_eq!(StreamEvent::new(name, id, data).0, expected.as_bytes());
        };
        check("", "", "{}", "data: {}\n\n");
        check("diff", "7", "a\nb", "event: diff\nid: 7\ndata: a\ndata: b\n\n");
        check("x\nid: 9", "", "a\r\nb\rid: 1", "event: xid: 9\ndata: a\ndata: b\ndata: id: 1\n\n");
        check("", "", "", "data: \n\n");
    }

    #[test]
    fn a_slow_client_is_told() {
        let (sender, reply) = event_stream();
        for _ in 0..EVENTS_WAITING_MAX {
            assert_eq!(sender.try_send(StreamEvent::comment()), Ok(()));
        }
        assert_eq!(sender.try_send(StreamEvent::comment()), Err(EventError::Full));
        drop(reply);
        assert_eq!(sender.try_send(StreamEvent::comment()), Err(EventError::Closed));
    }
}
