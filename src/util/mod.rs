//! Small parts that every layer uses: clock, dates, ids, JSON, randomness.
//!
//! Leaves: nothing here knows another module of the crate, except each other. Time and randomness
//! enter the program here only, as handles that are passed in, so that tests can set both.

pub mod clock;
pub mod id;
pub mod json;
pub mod process;
pub mod rng;
pub mod time;
