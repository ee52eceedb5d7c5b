//! The OpenAPI 3.1 document and the page that explains it, made from the route tables.
//!
//! Knows routes and what they say of themselves. Does not know what they do.
//!
//! Invariants
//! O1. Every registered route is in the document, its own two included; nothing else is.
//! O2. The document names no type, table or record of the stack: it needs no credential.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::net::files::Assets;
use crate::net::{Call, Described, Doc, Guard, RateClass, Reply, Route};

/// Which addresses a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Every face that is on.
    All,
    /// One face, and the addresses shared by all.
    Face(&'a str),
}

/// The documents of a running server. Told its routes once they are known; each is made when it is first asked for, since
/// they are large and most starts need none.
#[derive(Debug, Default)]
pub struct Documents {
    /// The routes, and the address of the server.
    of: OnceLock<(Vec<Described>, String)>,
    whole: OnceLock<Bytes>,
    live: OnceLock<Bytes>,
}

impl Documents {
    /// Takes what the routes say of themselves.
    pub fn fill(&self, routes: &[Route], base_url: &str) {
        self.of.get_or_init(|| (described(routes), base_url.to_owned()));
    }

    fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| self.make(Part::All)).clone()
    }

    fn live(&self) -> Bytes {
        self.live.get_or_init(|| self.make(Part::Face("live"))).clone()
    }

    fn make(&self, part: Part<'_>) -> Bytes {
        let Some((routes, base_url)) = self.of.get() else { return Bytes::new() };
        Bytes::from(document(routes, part, base_url).to_string())
    }
}

/// What routes say of themselves, in their order.
#[must_use]
pub fn described(routes: &[Route]) -> Vec<Described> {
    routes.iter().map(Route::described).collect()
}

/// A route that answers with one embedded file.
fn page(
    assets: &Assets,
    (address, name): (&'static str, &'static str),
    file: &'static str,
    media_type: &'static str,
    summary: &'static str,
) -> Route {
    let assets = assets.clone();
    let run = move |call: Call| {
        let reply = assets.get(file, &call.headers);
        async move { reply.unwrap_or_else(|| Reply::empty(StatusCode::NOT_FOUND)) }
    };
    Route::new("cairn", Method::GET, address, name, Guard::None, run)
        .rate(RateClass::Unlimited)
        .summary(summary)
        .raw_reply(200, media_type)
}

/// The page at the root, where no application has one.
#[must_use]
pub fn landing(assets: &Assets) -> Vec<Route> {
    vec![
        page(assets, ("/", "landing.page"), "index.html", "text/html", "What this server is"),
        page(assets, ("/index.css", "landing.style"), "index.css", "text/css", "Part of the page"),
    ]
}

/// The addresses of documents and explorer.
#[must_use]
pub fn routes(documents: &Arc<Documents>, assets: &Assets) -> Vec<Route> {
    let mut routes = Vec::new();
    for (address, name, live) in [
        ("/_/openapi.json", "openapi.whole", false),
        ("/openapi.json", "openapi.plain", false),
        ("/api/openapi.json", "openapi.live", true),
    ] {
        let documents = Arc::clone(documents);
        let run = move |_: Call| {
            let bytes = if live { documents.live() } else { documents.whole() };
            let reply = Reply::json(StatusCode::OK, bytes);
            async move { reply }
        };
        routes.push(
            Route::new("cairn", Method::GET, address, name, Guard::None, run)
                .rate(RateClass::Unlimited)
                .summary("OpenAPI document of this server")
                .reply(200, json!({ "type": "object" })),
        );
    }
    for (address, name) in [
        ("/docs", "docs.page"),
        ("/redoc", "docs.redoc"),
        ("/api/docs", "docs.live"),
        ("/_/docs", "docs.admin"),
    ] {
        let summary = "Explorer of every address";
        routes.push(page(assets, (address, name), "docs.html", "text/html", summary));
    }
    for (address, name, file, kind) in [
        ("/docs.js", "docs.script", "docs.js", "text/javascript"),
        ("/docs.css", "docs.style", "docs.css", "text/css"),
    ] {
        routes.push(page(assets, (address, name), file, kind, "Part of the explorer"));
    }
    routes
}

/// The document of these routes.
#[must_use]
pub fn document(routes: &[Described], part: Part<'_>, base_url: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let wanted = match part {
            Part::All => true,
            Part::Face(face) => route.face == face || route.face == "cairn",
        };
        if !wanted || route.doc.unlisted {
            continue;
        }
        let (path, parameters) = address(route.address);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = entry {
            methods.insert(route.method.as_str().to_lowercase(), operation(route, &parameters));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cairn",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records, their history, links and files in one database file, over several wire protocols.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": base_url }],
        "tags": tags(routes, part),
        "paths": paths,
        "components": {
            "securitySchemes": { "bearerAuth": { "type": "http", "scheme": "bearer" } },
            "schemas": { "StackError": stack_error(), "LiveError": live_error(), "Error": shared_error() },
        },
    })
}

fn tags(routes: &[Described], part: Part<'_>) -> Value {
    let about = |face: &str| match face {
        "stack" => "Documents with history and ownership",
        "live" => "Accounts, queries, transactions and live updates over the same records",
        _ => "Health, documents and what belongs to no protocol",
    };
    let mut faces: Vec<&str> = routes.iter().map(|route| route.face).collect();
    // The native protocols first.
    let rank = |face: &str| match face {
        "stack" => 0,
        "live" => 1,
        "cairn" => 9,
        _ => 2,
    };
    faces.sort_unstable_by_key(|face| (rank(face), *face));
    faces.dedup();
    faces.retain(|face| match part {
        Part::All => true,
        Part::Face(one) => *face == one || *face == "cairn",
    });
    faces.iter().map(|face| json!({ "name": face, "description": about(face) })).collect()
}

/// The address as OpenAPI writes it, and the names of its parameters.
fn address(address: &str) -> (String, Vec<String>) {
    let (mut path, mut parameters) = (String::new(), Vec::new());
    let mut rest = address;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        let end = from.find('}').map_or(from.len(), |end| end + 1);
        let name = from[1..end.saturating_sub(1).max(1)].trim_matches('*');
        path.push_str(before);
        path.push('{');
        path.push_str(name);
        path.push('}');
        parameters.push(name.to_owned());
        rest = &from[end..];
    }
    path.push_str(rest);
    (path, parameters)
}

fn operation(route: &Described, parameters: &[String]) -> Value {
    let doc: &Doc = &route.doc;
    let mut listed: Vec<Value> = parameters
        .iter()
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    listed.extend(doc.params.iter().map(|param| {
        json!({ "name": param.name, "in": param.place, "required": param.required,
                "description": param.summary, "schema": param.schema })
    }));
    let mut operation = json!({
        "operationId": route.name,
        "tags": [route.face],
        "summary": doc.summary,
        "parameters": listed,
        "responses": responses(route),
        "security": security(route.guard),
    });
    if let Some((media_type, schema)) = &doc.body {
        let mut content = json!({ "schema": schema });
        if let Some(example) = &doc.body_example {
            content["example"] = example.clone();
        }
        operation["requestBody"] = json!({ "content": { *media_type: content } });
    }
    operation
}

fn security(guard: Guard) -> Value {
    match guard {
        Guard::None => json!([]),
        Guard::Optional => json!([{}, { "bearerAuth": [] }]),
        Guard::Required | Guard::Owner | Guard::Admin => json!([{ "bearerAuth": [] }]),
    }
}

fn responses(route: &Described) -> Value {
    let mut responses = Map::new();
    for (n, (status, media_type, schema)) in route.doc.replies.iter().enumerate() {
        let mut reply = json!({ "description": reason(*status) });
        if !media_type.is_empty() {
            let mut content = json!({ "schema": schema });
            if let (0, Some(example)) = (n, &route.doc.reply_example) {
                content["example"] = example.clone();
            }
            reply["content"] = json!({ *media_type: content });
        }
        responses.insert(status.to_string(), reply);
    }
    let schema = match route.face {
        "stack" => "#/components/schemas/StackError",
        "live" => "#/components/schemas/LiveError",
        _ => "#/components/schemas/Error",
    };
    let mut fails = route.doc.fails.clone();
    if matches!(route.guard, Guard::Required | Guard::Owner | Guard::Admin) {
        fails.push(401);
    }
    fails.extend([429, 500, 503]);
    for status in fails {
        responses.entry(status.to_string()).or_insert_with(|| {
            json!({ "description": reason(status),
                    "content": { "application/json": { "schema": { "$ref": schema } } } })
        });
    }
    Value::Object(responses)
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}

fn detail(path: &str) -> Value {
    json!({ "type": "array", "items": { "type": "object", "required": [path, "message"],
            "properties": { path: { "type": "string" }, "message": { "type": "string" } } } })
}

fn stack_error() -> Value {
    json!({
        "type": "object", "required": ["error"],
        "properties": {
            "error": {
                "type": "object", "required": ["code", "message"],
                "properties": {
                    "code": { "type": "string" }, "message": { "type": "string" },
                    "details": detail("path"),
                    "versionConflict": { "type": "object" }, "schemaDrift": { "type": "object" },
                },
            },
            "details": detail("path"),
        },
    })
}

fn live_error() -> Value {
    json!({
        "type": "object", "required": ["error", "message"],
        "properties": {
            "error": {
                "type": "object", "required": ["code", "message", "status"],
                "properties": {
                    "code": { "type": "string" }, "message": { "type": "string" },
                    "status": { "type": "integer" }, "retryAfter": { "type": "integer" },
                    "details": detail("field"),
                },
            },
            "message": { "type": "string" },
        },
    })
}

fn shared_error() -> Value {
    json!({ "type": "object", "required": ["error"],
            "properties": { "error": { "type": "object", "required": ["code", "message"] } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Route> {
        let run = |_: Call| async { Reply::empty(StatusCode::NO_CONTENT) };
        vec![
            Route::new("stack", Method::GET, "/records/{id}", "records.read", Guard::Optional, run)
                .summary("Read one")
                .query("as_of", json!({ "type": "string" }), "a moment")
                .reply(200, json!({ "type": "object" }))
                .fails(&[403, 404]),
            Route::new("live", Method::GET, "/api/storage/{path*}", "s.get", Guard::Required, run)
                .summary("Get a file")
                .empty_reply(204),
        ]
    }

    #[test]
    fn routes_become_operations() {
        let document = document(&described(&sample()), Part::All, "http://localhost");
        let read = &document["paths"]["/records/{id}"]["get"];
        assert_eq!(read["operationId"], "records.read");
        assert_eq!(read["parameters"][0]["name"], "id");
        assert_eq!(read["parameters"][1]["in"], "query");
        assert_eq!(read["security"], json!([{}, { "bearerAuth": [] }]));
        assert!(read["responses"]["404"]["content"].is_object());
        let file = &document["paths"]["/api/storage/{path}"]["get"];
        assert_eq!(file["responses"]["204"], json!({ "description": "No Content" }));
        assert!(file["responses"]["401"].is_object());
    }

    #[test]
    fn a_part_holds_its_face() {
        let document = document(&described(&sample()), Part::Face("live"), "");
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["/api/storage/{path}"]);
    }
}
