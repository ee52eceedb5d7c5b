//! The live protocol: queries, transactions, subscriptions, functions, accounts.
//!
//! The modules ending in `_form` read what clients send, in every spelling the protocol knows, into
//! one typed form each. They are pure: JSON in, values or a [`fault::FormFault`] out.

pub mod auth;
mod changes;
pub mod errors;
mod events;
pub mod functions_form;
pub mod http;
pub mod messagepack;
pub mod messages;
pub mod mutate_form;
pub mod pattern;
pub mod query_form;
mod rooms;
mod socket;
pub mod sql_text;
pub mod streams;
pub mod transactions;

pub use crate::live::diff;
pub use crate::schema::{fault, filter_form, names, rules};
