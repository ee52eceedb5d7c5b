//! Bytes: listeners, HTTP framing and limits, routing, WebSocket frames, embedded files.
//!
//! Knows hyper, sockets and headers. Does not know what any address means, who is calling, or any store.
//!
//! Invariants
//! N1. A handler runs only after host, origin, framing and size checks passed.
//! N2. Every answer carries the headers of SECURITY S19 and an `X-Request-Id`.
//! N3. Nothing is buffered beyond a named bound; a body is read only as fast as its handler asks.

mod call;
mod reply;
mod route;

pub use call::{Body, BodyError, Call, Query};
pub use reply::{Content, Reply};
pub use route::{BoxFuture, Doc, Envelope, Guard, Handler, Param, Refusal, Route};
