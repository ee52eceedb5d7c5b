//! The stack protocol, seen from outside: one module for each chapter of its specification.
//!
//! Drives the built executable over real sockets on real files. Knows the protocol's text, not the code.
//!
//! Invariants
//! B1. Tests that share the server use types, people and files of their own; whoever changes what all see starts its own.

#[path = "../common/mod.rs"]
mod common;

mod associations;
mod attachments;
mod bindings;
mod config_record;
mod cors;
mod delegation;
mod delete;
mod discovery;
mod entity;
mod errors;
mod gc;
mod golden;
mod grants;
mod groups;
mod handshake;
mod hostile_input;
mod http_manners;
mod if_match;
mod permissions;
mod prefer;
mod queries;
mod records_create;
mod records_update;
mod reference_gating;
mod restore_migrate;
mod search;
mod tokens;
mod types;
mod versions;
