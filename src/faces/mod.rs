//! The wire protocols. A face translates; it decides nothing.
//!
//! Each folder is one face. The files beside them serve addresses that belong to several faces or
//! to none: health, and refusals made before any handler.
//!
//! Invariants
//! A1. Faces never reach the store or each other; authorisation is the engine's.
//! A2. Whatever is refused, at any address, has the body of the face that owns the address.

mod envelope;
mod health;
pub mod stack;

pub use envelope::Envelopes;
pub use health::{Health, health_routes};
