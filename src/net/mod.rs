//! Bytes: listeners, HTTP framing and limits, routing, WebSocket frames, embedded files.
//!
//! Knows hyper, sockets and headers. Does not know what any address means, who is calling, or any store.
//!
//! Invariants
//! N1. A handler runs only after host, origin, framing and size checks passed.
//! N2. Every answer carries the headers of SECURITY S19 and an `X-Request-Id`.
//! N3. Nothing is buffered beyond a named bound; a body is read only as fast as its handler asks.

mod call;
mod connection;
mod door;
mod event_stream;
pub mod files;
mod gate;
mod outgoing;
mod rate;
mod reply;
mod route;
mod router;
mod screen;
mod server;
mod traffic;
pub mod websocket;

pub use call::{Body, BodyError, Call, Query};
pub use connection::{Dial, Gauges, Times};
pub use door::IpRange;
pub use event_stream::{EVENTS_WAITING_MAX, EventError, EventSender, StreamEvent, event_stream};
pub use rate::{Rate, RateLimits, RateState, UNLIMITED};
pub use reply::{Content, Reply};
pub use route::{
    BoxFuture, Described, Doc, Envelope, Guard, Handler, Param, RateClass, Refusal, Route,
};
pub use router::{RouteError, Router};
pub use screen::HeadLimits;
pub use server::{CONNECTIONS_MAX, Server, Settings, Shutdown};
pub use traffic::{Answered, Totals, Traffic};
