//! The tables protocol: an application's tables as addresses of their own.
//!
//! Knows the protocol's words, envelopes and parameters. Does not know SQL, nor who may do what: it asks the engine.
//!
//! Invariants
//! T1. Without an application no address of this face is there.
//! T2. To somebody signed in, a table, a record or a field that is closed looks exactly like one that does not exist.

mod definitions;
mod errors;
mod filter;
mod gate;
mod lists;
mod records;
mod routes;
mod shape;

pub use gate::TablesFace;
pub use routes::routes;
