//! `POST /api/batch`: several calls in one, each as if it had come by itself (live 9.4).
//!
//! Knows how a call is described and how its answer is wrapped. Does not know what any address does.
//!
//! Invariants
//! B1. A call inside a batch passes the same gate as one from outside: credential, rate, body limit, rules.
//! B2. A batch holds at most [`OPERATIONS_MAX`] calls, and [`ANSWER_BYTES_MAX`] of answers before the last.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::{Code, Failure};
use super::fault::FormFault;
use super::http::{Asked, BATCH_BYTES_MAX, Intake, LiveFace, reply, route};
use super::schemas;
use crate::net::{Body, Call, Content, Guard, Query, RateClass, Refusal, Reply, Route, Router};

/// Calls of one batch.
pub const OPERATIONS_MAX: usize = 50;
/// Bytes of answers after which no further call of the batch is made.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Where the only addresses are that a batch may name.
const PREFIX: &str = "/api/";
/// Addresses whose bodies or answers are streams.
const STREAMS: [&str; 3] = ["/api/batch", "/api/subscribe", "/api/storage/upload"];
/// Headers of the batch that its calls have too: who asks, and from what kind of client.
const SHARED_HEADERS: [&str; 4] = ["authorization", "x-api-key", "x-darshdb-ns", "x-darshdb-db"];

/// The batch addresses; `inner` leads to the handlers of all others.
pub fn routes(cx: &Arc<LiveFace>, inner: &Router) -> Vec<Route> {
    [("/api/batch", "live.batch"), ("/v1/apps/{appId}/batch", "live.apps.batch")]
        .into_iter()
        .map(|(address, name)| {
            let (inner, intake) = (inner.clone(), Intake::by_rules(BATCH_BYTES_MAX));
            let run = move |cx, asked| batch(cx, inner.clone(), asked);
            documented(route(cx, (Method::POST, address), name, Guard::Optional, intake, run))
        })
        .collect()
}

fn documented(route: Route) -> Route {
    let operation = json!({ "type": "object", "required": ["method", "path"], "properties": {
        "method": { "type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"] },
        "path": schemas::text(), "body": schemas::object() } });
    route
        .summary("Make several calls, in order, each by itself")
        .body(json!({ "type": "object", "required": ["operations"], "properties": {
            "operations": { "type": "array", "items": operation,
                            "minItems": 1, "maxItems": OPERATIONS_MAX } } }))
        .reply(
            200,
            json!({ "type": "object", "required": ["results"], "properties": {
            "results": { "type": "array", "items": schemas::object() },
            "duration_ms": { "type": "number" } } }),
        )
        .example(
            Some(
                json!({ "operations": [ { "method": "GET", "path": "/api/data/todos?limit=1" } ] }),
            ),
            Some(json!({ "results": [ { "data": [], "total": 0, "hasMore": false,
                                        "has_more": false, "cursor": null, "status": 200 } ],
                         "duration_ms": 0.2 })),
        )
        .fails(&[400, 401, 413, 429])
}

async fn batch(cx: Arc<LiveFace>, inner: Router, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.required_object()?;
    let operations = match body.get("operations") {
        Some(Value::Array(list)) if (1..=OPERATIONS_MAX).contains(&list.len()) => list,
        _ => {
            let message = format!("must be a list of 1 to {OPERATIONS_MAX} operations");
            return Err(FormFault::at("operations", message).into());
        }
    };
    let started = Instant::now();
    let (mut results, mut bytes) = (Vec::with_capacity(operations.len()), 0);
    for operation in operations {
        let outcome = if bytes > ANSWER_BYTES_MAX {
            Err(Failure::new(Code::PayloadTooLarge, "the answers before are too large already"))
        } else {
            call(&cx, &inner, &asked, operation).await
        };
        results.push(match outcome {
            Ok((result, length)) => {
                bytes += length;
                result
            }
            Err(failure) => {
                with_status(failure.body(&asked.call.request_id), failure.code.status())
            }
        });
    }
    let milliseconds = (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
    let body = json!({ "results": results, "duration_ms": milliseconds });
    Ok(reply(StatusCode::OK, &body))
}

/// Makes one call; its wrapped answer, and how large that was.
async fn call(
    cx: &LiveFace,
    inner: &Router,
    asked: &Asked,
    operation: &Value,
) -> Result<(Value, usize), Failure> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let method = match text("method").map(str::to_ascii_uppercase).as_deref() {
        Some("GET") => Method::GET,
        Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        _ => return Err(FormFault::at("method", "must be GET, POST, PUT, PATCH or DELETE").into()),
    };
    let target = text("path").unwrap_or("");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let below = |from: &str| {
        path.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !path.starts_with(PREFIX) || STREAMS.iter().any(|from| below(from)) {
        return Err(FormFault::at("path", "is no address that a batch may call").into());
    }
    let (route, params) = inner.look_up(&method, path).map_err(refused)?;
    count(cx, asked, route.rate)?;
    let mut headers = HeaderMap::new();
    for name in SHARED_HEADERS {
        if let Some(value) = asked.call.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    let body = match operation.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            body.to_string()
        }
    };
    let reply = (route.run)(Call {
        method,
        path: path.to_owned(),
        params,
        query: Query::parse(query),
        headers,
        body: Body::whole(body),
        peer: asked.call.peer,
        request_id: asked.call.request_id.clone(),
    })
    .await;
    match reply.content {
        Content::Empty => Ok((with_status(Map::new(), reply.status), 0)),
        Content::Bytes(bytes) => {
            let value = crate::util::json::parse(&bytes)
                .map_err(|_| Failure::invalid("the answer of this address is not JSON"))?;
            let members = match value {
                Value::Object(members) => members,
                other => [("data".to_owned(), other)].into_iter().collect(),
            };
            Ok((with_status(members, reply.status), bytes.len()))
        }
        Content::Stream { .. } => Err(Failure::invalid("the answer of this address is a stream")),
    }
}

/// Takes a call from the buckets of the client's address, as the door does for calls from outside.
fn count(cx: &LiveFace, asked: &Asked, class: RateClass) -> Result<(), Failure> {
    let peer = asked.call.peer;
    let sign_in = (class == RateClass::SignIn).then(|| cx.rate.take_sign_in(peer));
    let anonymous = asked.who.is_anonymous().then(|| cx.rate.take_anonymous(peer));
    match sign_in.into_iter().chain(anonymous).find(|state| !state.allowed) {
        Some(state) => Err(Failure::rate_limited(state.wait_s)),
        None => Ok(()),
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Malformed(message) => Failure::invalid(message),
        Refusal::WrongMethod => Failure::invalid("this address has no such method"),
        _ => Failure::new(Code::NotFound, "no such address"),
    }
}

fn with_status(mut body: Map<String, Value>, status: StatusCode) -> Value {
    body.entry("status").or_insert_with(|| json!(status.as_u16()));
    Value::Object(body)
}
