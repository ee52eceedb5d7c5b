//! Where the document and its explorer are served; nobody needs a credential for them.
//!
//! Invariants
//! R1. The documents list these addresses too.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Part, document};
use crate::net::files::Assets;
use crate::net::{Call, Guard, Reply, Route};

/// The documents as text, made once all routes are known.
struct Documents {
    whole: Bytes,
    live: Bytes,
}

/// Adds the documents and the explorer to the routes, which are then complete.
#[must_use]
pub fn publish(mut routes: Vec<Route>) -> Vec<Route> {
    let documents: Arc<OnceLock<Documents>> = Arc::default();
    for (address, name, part, summary) in [
        ("/_/openapi.json", "openapi", Part::Whole, "This document: every address that is served"),
        ("/openapi.json", "openapi.short", Part::Whole, "The same document"),
        ("/api/openapi.json", "openapi.live", Part::Live, "The addresses of the live protocol"),
    ] {
        let documents = Arc::clone(&documents);
        let route = Route::new("cairn", Method::GET, address, name, Guard::None, move |_: Call| {
            let text = documents.get().map(|documents| match part {
                Part::Whole => documents.whole.clone(),
                Part::Live => documents.live.clone(),
            });
            async move {
                Reply::json(StatusCode::OK, text.unwrap_or_default())
                    .with(CACHE_CONTROL, "no-cache")
            }
        });
        let schema = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
        routes.push(route.summary(summary).reply(200, schema));
    }
    let assets = Assets::embedded();
    for (address, name, file, summary) in [
        ("/_/docs", "docs", "docs.html", "Explorer of every address"),
        ("/docs", "docs.short", "docs.html", "The same page"),
        ("/redoc", "docs.redoc", "docs.html", "The same page"),
        ("/api/docs", "docs.live", "docs.html", "Explorer of the live protocol"),
        ("/_/docs.js", "docs.script", "docs.js", "Script of the explorer"),
        ("/_/docs.css", "docs.style", "docs.css", "Style of the explorer"),
    ] {
        let assets = assets.clone();
        let route =
            Route::new("cairn", Method::GET, address, name, Guard::None, move |call: Call| {
                let reply = assets.get(file, &call.headers);
                async move { reply.unwrap_or_else(|| Reply::empty(StatusCode::NOT_FOUND)) }
            });
        routes.push(route.summary(summary).raw_reply(200, media_type(file)));
    }
    let text = |value: &Value| Bytes::from(value.to_string());
    documents.get_or_init(|| Documents {
        whole: text(&document(&routes, Part::Whole)),
        live: text(&document(&routes, Part::Live)),
    });
    routes
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        _ => "text/html",
    }
}
