//! Cairn: a whole backend in one executable and one SQLite file.
//!
//! Layers, outermost first: [`net`] (bytes), [`faces`] (wire protocols), [`auth`] (who is calling),
//! [`engine`] (may they, and do it), [`store`] (the file). `ARCHITECTURE.md` tells the whole story.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "headers name the private constants and parts that hold what they promise"
)]

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod engine;
pub mod faces;
pub mod jobs;
pub mod live;
pub mod net;
pub mod openapi;
pub mod schema;
pub mod store;
pub mod util;

pub use app::{Cairn, Serving};
