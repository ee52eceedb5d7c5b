//! Work that nobody asks for: what has to be done from time to time while a server runs.
//!
//! Knows when. Does not know how: each piece of work is a command of the engine.

mod housekeeper;

pub use housekeeper::Housekeeper;
