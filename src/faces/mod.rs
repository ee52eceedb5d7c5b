//! The wire protocols. A face translates; it decides nothing.
//!
//! Each folder is one face. The files beside them serve addresses that belong to several faces or
//! to none: health, and refusals made before any handler.
//!
//! Invariants
//! A1. Faces never reach the store or each other; authorisation is the engine's.
//! A2. Whatever is refused, at any address, has the body of the face that owns the address.

pub mod admin;
mod download;
mod envelope;
mod health;
pub mod live;
mod media;
pub mod stack;
pub mod tables;

pub use envelope::{Envelopes, error_schema};
pub use health::{Health, health_routes};
