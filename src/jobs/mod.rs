//! Work beside requests: what has to be done from time to time while a server runs, and what outlives the request it came from.
//!
//! Knows when, in bounded queues and attempts with outcomes in the log. Does not know how: each piece of work is a command of the
//! engine, or a letter that is finished.

mod housekeeper;
pub mod mail;

pub use housekeeper::Housekeeper;
