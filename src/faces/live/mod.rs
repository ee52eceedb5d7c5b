//! The live protocol: queries, transactions, subscriptions, functions, accounts.
//!
//! The modules ending in `_form` read what clients send, in every spelling the protocol knows, into
//! one typed form each. They are pure: JSON in, values or a [`fault::FormFault`] out.

pub mod auth;
pub mod diff;
pub mod errors;
pub mod fault;
pub mod filter_form;
pub mod http;
pub mod messagepack;
pub mod messages;
pub mod mutate_form;
pub mod names;
pub mod query_form;
pub mod rules;
pub mod sql_text;
