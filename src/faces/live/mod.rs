//! The live protocol: queries, transactions, subscriptions, functions, accounts.
//!
//! The modules ending in `_form` read what clients send, in every spelling the protocol knows, into
//! one typed form each. They are pure: JSON in, values or a [`fault::FormFault`] out.

pub mod admin;
pub mod auth;
pub mod batch;
mod changes;
mod console;
pub mod data;
pub mod errors;
mod events;
pub mod functions;
pub mod functions_form;
pub mod http;
pub mod messagepack;
pub mod messages;
pub mod mutate;
pub mod mutate_form;
pub mod pattern;
pub mod query;
pub mod query_form;
mod rooms;
mod schemas;
mod socket;
pub mod sql_text;
pub mod storage;
pub mod streams;

pub use crate::live::diff;
pub use crate::schema::{fault, filter_form, names, rules};

use std::sync::Arc;

use self::http::LiveFace;
use crate::net::{Route, RouteError, Router};

/// Every address of the face.
///
/// # Errors
/// Two of them are the same.
pub fn routes(cx: &Arc<LiveFace>) -> Result<Vec<Route>, RouteError> {
    let mut all = auth::routes(cx);
    all.extend(query::routes(cx));
    all.extend(data::routes(cx));
    all.extend(mutate::routes(cx));
    all.extend(functions::routes(cx));
    all.extend(admin::routes(cx));
    all.extend(console::routes(cx));
    all.extend(storage::routes(cx));
    // A batch calls what has been listed so far, in this process.
    let inner = Router::new(all.clone())?;
    all.extend(batch::routes(cx, &inner));
    Ok(all)
}
