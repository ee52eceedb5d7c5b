//! The OpenAPI document, made from the table of routes.
//!
//! What a route says of itself is all there is: an address without a summary or a reply is a hole in the document, which a
//! test looks for. `routes` serves the document and the page that shows it.
//!
//! Knows routes and the error bodies of the faces. Does not know what any address does, nor any record or type.
//!
//! Invariants
//! O1. Every route is an operation; one address is listed once, however its parameters are spelled.
//! O2. Every parameter of an address is declared, and nothing else is declared to be in it.

mod routes;
#[cfg(test)]
mod tests;

pub use routes::publish;

use std::collections::HashMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::faces::error_schema;
use crate::net::{Guard, Param, Route};

const OPENAPI: &str = "3.1.0";
const BEARER: &str = "bearerAuth";

/// Which routes a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// The addresses that clients of the live protocol know.
    Live,
}

impl Part {
    fn has(self, route: &Route) -> bool {
        match self {
            Self::Whole => true,
            // Shared addresses below `/api` are also theirs.
            Self::Live => {
                route.face == "live"
                    || (route.face == "cairn" && route.address.starts_with("/api/"))
            }
        }
    }
}

/// The document of all routes of a part.
#[must_use]
pub fn document<'r>(routes: impl IntoIterator<Item = &'r Route>, part: Part) -> Value {
    let mut spelled: HashMap<String, String> = HashMap::new();
    let mut paths: Map<String, Value> = Map::new();
    let mut faces: Vec<&str> = Vec::new();
    for route in routes.into_iter().filter(|route| part.has(route)) {
        if !faces.contains(&route.face) {
            faces.push(route.face);
        }
        let (path, names) = path(route.address);
        // A second route at the address takes the parameter names of the first.
        let path = spelled.entry(shape(&path)).or_insert(path);
        let names = if names.is_empty() { names } else { self::path(path).1 };
        let item = paths.entry(path.clone()).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.as_str().to_ascii_lowercase(), operation(route, &names));
        }
    }
    let schemas: Map<String, Value> =
        faces.iter().map(|face| (error_name(face), error_schema(face))).collect();
    let tags: Vec<Value> =
        faces.iter().map(|face| json!({ "name": face, "description": about(face) })).collect();
    json!({
        "openapi": OPENAPI,
        "info": {
            "title": "Cairn",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Records with history, files, queries and live subscriptions over one file",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { BEARER: { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
}

fn about(face: &str) -> &'static str {
    match face {
        "stack" => "Records with history and ownership, types, attachments, tokens",
        "live" => "Accounts, queries, transactions, subscriptions, files by path",
        "tables" => "Tables, views, activity",
        "objects" => "Objects, associations, events",
        "studio" => "Templates, entities, assets",
        _ => "Health, documents and what all faces share",
    }
}

/// The address without the mark of parameters that span segments, and the names of its parameters.
fn path(address: &str) -> (String, Vec<String>) {
    let (mut out, mut names) = (String::new(), Vec::new());
    let mut rest = address;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let name = name.trim_start_matches('*').trim_end_matches('*');
        out.push_str(before);
        out.push('{');
        out.push_str(name);
        out.push('}');
        names.push(name.to_owned());
        rest = after;
    }
    out.push_str(rest);
    (out, names)
}

/// The path with its parameters unnamed.
fn shape(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for sign in path.chars() {
        match sign {
            '{' => inside = true,
            '}' => out.push_str("{}"),
            _ if !inside => out.push(sign),
            _ => {}
        }
        inside &= sign != '}';
    }
    out
}

fn operation(route: &Route, names: &[String]) -> Value {
    let doc = &route.doc;
    let mut out = Map::new();
    out.insert("operationId".into(), json!(route.name));
    out.insert("summary".into(), json!(doc.summary));
    out.insert("tags".into(), json!([route.face]));
    match route.guard {
        Guard::Owner => out.insert("description".into(), json!("For the owner alone.")),
        Guard::Admin => out.insert("description".into(), json!("For administrators.")),
        Guard::None | Guard::Optional | Guard::Required => None,
    };
    let in_path = names.iter().map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let parameters: Vec<Value> = in_path.chain(doc.params.iter().map(parameter)).collect();
    if !parameters.is_empty() {
        out.insert("parameters".into(), Value::Array(parameters));
    }
    if let Some((media_type, schema)) = &doc.body {
        let content = content(media_type, schema, doc.body_example.as_ref());
        out.insert("requestBody".into(), json!({ "content": content }));
    }
    out.insert("responses".into(), responses(route));
    let bearer = json!({ BEARER: [] });
    let security = match route.guard {
        Guard::None => json!([]),
        Guard::Optional => json!([{}, bearer]),
        Guard::Required | Guard::Owner | Guard::Admin => json!([bearer]),
    };
    out.insert("security".into(), security);
    Value::Object(out)
}

fn parameter(param: &Param) -> Value {
    json!({ "name": param.name, "in": param.place, "required": param.required,
        "description": param.summary, "schema": param.schema })
}

fn content(media_type: &str, schema: &Value, example: Option<&Value>) -> Value {
    let mut media = Map::new();
    media.insert("schema".into(), schema.clone());
    if let Some(example) = example {
        media.insert("example".into(), example.clone());
    }
    json!({ media_type: media })
}

fn responses(route: &Route) -> Value {
    let doc = &route.doc;
    let mut out: Map<String, Value> = Map::new();
    let mut example = doc.reply_example.as_ref();
    for (status, media_type, schema) in &doc.replies {
        let reply = out
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": reason(*status) }));
        if media_type.is_empty() {
            continue;
        }
        // The example is that of the first JSON reply.
        let shown = if media_type.contains("json") { example.take() } else { None };
        if let (Some(reply), Value::Object(media)) =
            (reply.as_object_mut(), content(media_type, schema, shown))
        {
            let known = reply.entry("content").or_insert_with(|| json!({}));
            if let Some(known) = known.as_object_mut() {
                known.extend(media);
            }
        }
    }
    let refusal = |description: &str| {
        let reference = format!("#/components/schemas/{}", error_name(route.face));
        json!({ "description": description,
            "content": { "application/json": { "schema": { "$ref": reference } } } })
    };
    for status in &doc.fails {
        out.entry(status.to_string()).or_insert_with(|| refusal(reason(*status)));
    }
    // What the server itself refuses: methods, framing, rates, faults.
    out.entry("default").or_insert_with(|| refusal("Refused"));
    Value::Object(out)
}

fn reason(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

/// `LiveError`
fn error_name(face: &str) -> String {
    let mut letters = face.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain("Error".chars()).collect()
}
