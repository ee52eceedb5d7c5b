//! The live protocol over HTTP, as clients see it: one module for each chapter of its specification.
//!
//! Drives the built executable over real sockets on real files. Knows the protocol's text, not the code.
//!
//! Invariants
//! B1. Tests that share the server use entities of their own; whoever changes what all see starts its own.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod admin;
mod batch;
mod data;
mod functions;
mod http_manners;
mod libraries;
mod mail;
mod mutate;
mod query;
mod rules;
mod support;
