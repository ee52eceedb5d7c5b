//! The stack protocol: records with history and ownership, types, attachments, tokens.
//!
//! [`routes`] is the table; each entry names a function of the file for its family. A call first
//! passes `gate`, is then read into the engine's words, and what comes back is printed by `dto`
//! or refused by `errors`.
//!
//! Knows stack.md: names, statuses, order of checks on a request. Does not know SQL, sockets or
//! the rules of access.
//!
//! Invariants
//! P1. Every refusal has the envelope of `errors`; a fault inside reveals nothing but a report id.
//! P2. Everything a client may rely on is in the table, so that the documents made from it are
//!     complete.

mod attachments;
mod backups;
mod discovery;
mod docs;
mod dto;
mod errors;
mod gate;
mod headers;
mod queries;
mod records;
mod routes;
#[cfg(test)]
mod tests;
mod tokens;
mod types;

use crate::auth::Auth;
use crate::engine::Engine;

pub use routes::routes;

/// What the handlers work with.
pub struct StackFace {
    pub engine: Engine,
    pub auth: std::sync::Arc<Auth>,
}
