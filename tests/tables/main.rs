//! The tables protocol over HTTP, as clients see it: an application from a file, its definitions, records and grants.
//!
//! Drives the built executable over real sockets on real files. Knows the protocol's text, not the code.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod application;
mod definitions;
mod lists;
mod matrix;
mod records;
mod support;
