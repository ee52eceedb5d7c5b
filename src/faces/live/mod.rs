//! The live protocol: queries, transactions, subscriptions, functions, accounts.
//!
//! The modules ending in `_form` read what clients send, in every spelling the protocol knows, into
//! one typed form each. They are pure: JSON in, values or a [`fault::FormFault`] out.

pub mod auth;
pub mod errors;
pub mod functions_form;
pub mod http;
pub mod messagepack;
pub mod messages;
pub mod mutate_form;
pub mod pattern;
pub mod query_form;
pub mod sql_text;
pub mod storage;

pub use crate::live::diff;
pub use crate::schema::{fault, filter_form, names, rules};
