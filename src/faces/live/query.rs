//! `POST /api/query`: every spelling in, the answer in the style the spelling calls for (live 7).
//!
//! Knows styles. Does not know how a query is read or run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::http::{Asked, Intake, JSON_BYTES_MAX, LiveFace, at_both, reply};
use super::query_form::{LiveQuery, Root, Style, parse_query};
use super::schemas;
use crate::engine::{Caller, Error, RootValue, TreeAnswer};
use crate::net::{Reply, Route};
use http::StatusCode;

/// The query addresses.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    at_both!(
        all,
        cx,
        POST "query",
        "query",
        Optional,
        Intake::by_rules(JSON_BYTES_MAX),
        query,
        |route| {
            let records = json!({ "type": "array", "items": schemas::record() });
            let answer = json!({ "type": "object",
                "properties": { "tx": schemas::whole(), "txId": schemas::text(),
                                "data": records, "meta": schemas::object() },
                "additionalProperties": true });
            route
                .summary("Run a query; one key for each entity asked for, and the transaction seen")
                .body(schemas::object())
                .reply(200, answer)
                .example(
                    Some(json!({ "todos": { "$where": { "done": false },
                                            "$order": { "createdAt": "desc" }, "$limit": 20 } })),
                    Some(json!({ "todos": [ { "id": "a", "title": "Buy groceries", "done": false } ],
                                 "tx": 42, "txId": "42" })),
                )
                .fails(&[400, 401, 403, 413, 429, 503])
        }
    );
    all
}

async fn query(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = Value::Object(asked.required_object()?);
    let LiveQuery { roots, style } = parse_query(&body, cx.limits)?;
    let started = Instant::now();
    let answer = cx.run_tree(&asked.who, roots).await?;
    Ok(reply(StatusCode::OK, &answer_body(style, answer, started.elapsed())))
}

impl LiveFace {
    /// Runs a query and counts it.
    pub(super) async fn run_tree(
        &self,
        who: &Caller,
        roots: Vec<Root>,
    ) -> Result<TreeAnswer, Error> {
        let started = Instant::now();
        let answer = self.engine.run_tree(who, Arc::new(roots)).await;
        self.statistics.query(started.elapsed());
        answer
    }
}

/// The body of an answer.
pub(super) fn answer_body(style: Style, answer: TreeAnswer, took: Duration) -> Value {
    let (tx, filtered) = (answer.tx, answer.filtered);
    let mut roots = answer.roots.into_iter();
    match style {
        Style::Map => {
            let mut body = Map::new();
            body.extend(roots.map(|(entity, value)| (entity, root_value(value))));
            push_tx(&mut body, tx);
            Value::Object(body)
        }
        Style::Statements => {
            // The time is that of all statements: they run on one snapshot, as one query.
            roots.map(|(_, value)| Value::Object(data_and_meta(value, took, filtered))).collect()
        }
        Style::Data | Style::DataMeta => {
            let value = roots.next().map_or(RootValue::Rows(Vec::new()), |(_, value)| value);
            let mut body = data_and_meta(value, took, filtered);
            push_tx(&mut body, tx);
            Value::Object(body)
        }
    }
}

/// What functions see of an answer: the body without `tx` and `meta`.
pub(super) fn answer_value(style: Style, answer: TreeAnswer) -> Value {
    let mut roots = answer.roots.into_iter();
    match style {
        Style::Map => roots.map(|(entity, value)| (entity, root_value(value))).collect(),
        Style::Statements => roots.map(|(_, value)| root_value(value)).collect(),
        Style::Data | Style::DataMeta => {
            roots.next().map_or(Value::Null, |(_, value)| root_value(value))
        }
    }
}

/// The newest transaction visible, as a number and as the text that the application client wants.
pub(super) fn push_tx(body: &mut Map<String, Value>, tx: i64) {
    body.insert("tx".into(), json!(tx));
    body.insert("txId".into(), json!(tx.to_string()));
}

pub(super) fn root_value(value: RootValue) -> Value {
    match value {
        RootValue::Rows(rows) => rows.into_iter().map(|row| Value::Object(row.fields)).collect(),
        RootValue::Value(value) => value,
    }
}

fn data_and_meta(value: RootValue, took: Duration, filtered: bool) -> Map<String, Value> {
    let count = match &value {
        RootValue::Rows(rows) => rows.len(),
        RootValue::Value(_) => 1,
    };
    let milliseconds = (took.as_secs_f64() * 100_000.0).round() / 100.0;
    let mut body = Map::new();
    body.insert("data".into(), root_value(value));
    let meta = json!({ "count": count, "duration_ms": milliseconds, "cached": false,
                       "filtered": filtered });
    body.insert("meta".into(), meta);
    body
}
