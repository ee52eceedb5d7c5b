//! `POST /api/fn/{name}`: declarative functions, called and administered (live 10).
//!
//! Knows addresses and answers. Does not know definitions ([`super::functions_form`]) nor where they are kept.
//!
//! Invariants
//! F1. A function runs as its caller: what it does is decided by the caller's rights.
//! F2. The operations of a mutation, and its remembered answer, are one unit.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::{Code, Failure};
use super::functions_form::{Function, FunctionCall, Work, is_function_name};
use super::http::{Asked, Intake, JSON_BYTES_MAX, LiveFace, at_both, reply, route};
use super::mutate::{Refused, results, split};
use super::query::{answer_value, push_tx};
use super::schemas;
use crate::engine::Mutated;
use crate::net::{Guard, Reply, Route};

/// The addresses of functions.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    at_both!(
        all,
        cx,
        POST "fn/{name*}",
        "fn.call",
        Optional,
        Intake::by_rules(JSON_BYTES_MAX),
        call,
        |route| {
            route
                .summary("Call a function with its arguments")
                .header("Idempotency-Key", "A second request with this key gets the first answer")
                .body(schemas::object())
                .reply(200, json!({ "type": "object", "required": ["result", "tx"],
                    "properties": { "result": {}, "tx": schemas::whole(), "txId": schemas::text(),
                                    "duration_ms": { "type": "number" } } }))
                .example(
                    Some(json!({ "title": "Milk", "listId": "l1" })),
                    Some(json!({ "result": "019d5d83-9e00-7000-8000-000000000000", "tx": 46,
                                 "txId": "46" })),
                )
                .fails(&[400, 401, 403, 404, 409, 413, 429, 503, 507])
        }
    );
    let intake = Intake::default();
    let of = "/api/admin/functions/{name*}";
    all.push(
        route(
            cx,
            (Method::GET, "/api/admin/functions"),
            "live.admin.functions",
            Guard::Admin,
            intake,
            list,
        )
        .summary("Every function")
        .reply(
            200,
            json!({ "type": "object", "required": ["functions", "count"],
            "properties": { "count": schemas::whole(),
                "functions": { "type": "array", "items": definition() } } }),
        )
        .fails(&[401, 403, 429, 503]),
    );
    all.push(
        route(cx, (Method::PUT, of), "live.admin.functions.set", Guard::Admin, intake, set)
            .summary("Store a function, replacing one of that name")
            .body(definition())
            .reply(200, definition())
            .example(Some(example()), Some(example()))
            .fails(&[400, 401, 403, 409, 413, 429, 503, 507]),
    );
    all.push(
        route(
            cx,
            (Method::DELETE, of),
            "live.admin.functions.remove",
            Guard::Admin,
            intake,
            remove,
        )
        .summary("Take a function away")
        .empty_reply(204)
        .fails(&[401, 403, 404, 429, 503, 507]),
    );
    all
}

fn definition() -> Value {
    json!({ "type": "object", "required": ["kind"], "properties": {
        "name": schemas::text(), "kind": { "type": "string", "enum": ["query", "mutation"] },
        "args": schemas::object(), "auth": {}, "query": schemas::object(),
        "ops": { "type": "array", "items": schemas::object() }, "result": {},
        "internal": { "type": "boolean" }, "description": schemas::text() } })
}

fn example() -> Value {
    json!({ "name": "createTodo", "kind": "mutation",
        "args": { "title": { "type": "string", "min": 1, "max": 500 } }, "auth": true,
        "ops": [ { "op": "insert", "entity": "todos", "id": "$id.todo",
                   "data": { "title": "$args.title", "userId": "$auth.userId", "createdAt": "$now" } } ],
        "result": "$id.todo" })
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("function {:?} does not exist", super::fault::quoted(name)),
    )
}

impl LiveFace {
    /// A function that callers may know of.
    fn function(&self, name: &str) -> Result<Function, Failure> {
        let stored = if is_function_name(name) { self.engine.function(name)? } else { None };
        let definition = stored.ok_or_else(|| unknown(name))?;
        // It was read when it was stored; one that came another way may not be readable.
        let function = Function::parse(Some(name), &Value::Object(definition))?;
        if function.internal { Err(unknown(name)) } else { Ok(function) }
    }
}

/// Limits that a function breaks are its own, not the caller's.
fn exceeded(mut failure: Failure) -> Failure {
    if failure.code == Code::QueryTooComplex {
        failure.code = Code::ResourceExceeded;
    }
    failure
}

async fn call(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let function = cx.function(asked.call.param(0))?;
    let who = cx.engine.auth_context(&asked.who);
    if !function.allows(&who) {
        return Err(if asked.who.is_anonymous() {
            Failure::unauthenticated()
        } else {
            Failure::new(Code::PermissionDenied, "not allowed")
        });
    }
    let call = function.call(asked.object()?, &who, cx.engine.rng())?;
    match call.work(cx.limits).map_err(|fault| exceeded(fault.into()))? {
        Work::Query(query) => {
            let started = Instant::now();
            let answer = cx.run_tree(&asked.who, query.roots).await;
            let answer = answer.map_err(|error| exceeded(error.into()))?;
            let tx = answer.tx;
            let result = call.result(answer_value(query.style, answer));
            let mut body = answer_of(result, tx);
            let milliseconds = (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
            body.insert("duration_ms".into(), json!(milliseconds));
            Ok(reply(StatusCode::OK, &Value::Object(body)))
        }
        Work::Mutations(mutations) => {
            let (ops, verbs) = split(mutations);
            let render = move |done: Mutated| (StatusCode::OK, mutation_answer(call, &verbs, done));
            cx.transact(&asked, ops, Refused::ByPlace, render).await
        }
    }
}

/// Without a `result` of its own, a mutation answers what its operations did.
fn mutation_answer(call: FunctionCall, verbs: &[String], done: Mutated) -> Value {
    let tx = done.tx;
    Value::Object(answer_of(call.result(results(verbs, done)), tx))
}

fn answer_of(result: Value, tx: i64) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("result".into(), result);
    push_tx(&mut body, tx);
    body
}

async fn list(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let functions = cx.engine.functions(&asked.who).await?;
    let count = functions.len();
    let shown = |mut definition: Map<String, Value>| {
        definition.entry("args").or_insert_with(|| json!({}));
        Value::Object(definition)
    };
    let functions: Vec<Value> = functions.into_iter().map(shown).collect();
    Ok(reply(StatusCode::OK, &json!({ "functions": functions, "count": count })))
}

async fn set(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = Value::Object(asked.required_object()?);
    let function = Function::parse(Some(asked.call.param(0)), &body)?;
    let definition = function.definition.clone();
    cx.engine.set_function(&asked.who, &function.name, function.definition).await?;
    Ok(reply(StatusCode::OK, &Value::Object(definition)))
}

async fn remove(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let name = asked.call.param(0);
    if !is_function_name(name) {
        return Err(unknown(name));
    }
    cx.engine.remove_function(&asked.who, name).await?;
    Ok(asked.no_content())
}
