//! The streaming part of the live protocol over real sockets.
//!
//! Every server listens on port 0 and is stopped by its test. Times are injected and short where a rule names them; a
//! test waits for what the server sends, never for a time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod documented;
mod events;
mod libraries;
mod lifetime;
mod property;
mod rooms;
mod stage;
