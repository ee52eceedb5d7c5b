//! `POST /api/mutate` and `/api/transact`: lists of operations as one transaction (live 9).
//!
//! Knows the bodies. Does not know what an operation does.
//!
//! Invariants
//! M1. The answer is rendered inside the unit it answers, so that a request sent twice is answered alike.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::{Code, Failure};
use super::fault::Detail;
use super::http::{Asked, BATCH_BYTES_MAX, Intake, LiveFace, at_both};
use super::mutate_form::{Action, Edge, Mutation, parse_mutations};
use super::query::push_tx;
use super::schemas;
use crate::engine::{Caller, Error, MutateError, Mutated, Row, RowOp, Status, Verb};
use crate::net::{Reply, Route};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The transaction addresses.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    macro_rules! entry {
        ($path:literal, $summary:literal) => {
            at_both!(
                all,
                cx,
                POST $path,
                $path,
                Optional,
                Intake::by_rules(BATCH_BYTES_MAX),
                mutate,
                |route| documented(route.summary($summary))
            );
        };
    }
    entry!("mutate", "Apply operations in order, all or nothing");
    entry!("transact", "As mutate");
    all
}

fn documented(route: Route) -> Route {
    route
        .header("Idempotency-Key", "A second request with this key gets the answer of the first")
        .body(schemas::transaction())
        .reply(200, schemas::mutated())
        .example(
            Some(json!({ "ops": [
                { "entity": "todos", "id": "a", "op": "set", "data": { "title": "New" } },
                { "entity": "todos", "id": "c", "op": "delete" } ] })),
            Some(json!({ "tx": 45, "results": [
                { "op": "set", "id": "a", "entity": "todos", "status": "created",
                  "data": { "id": "a", "title": "New" } },
                { "op": "delete", "id": "c", "entity": "todos", "status": "deleted" } ],
                "txId": "45", "tx_id": 45, "affected": 2, "entity_ids": ["a", "c"] })),
        )
        .fails(&[400, 401, 403, 404, 409, 413, 429, 503, 507])
}

async fn mutate(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = Value::Object(asked.required_object()?);
    let mutations = parse_mutations(&body)?;
    let (ops, verbs) = split(mutations);
    let render = move |done: Mutated| (StatusCode::OK, Value::Object(mutated_body(&verbs, done)));
    cx.transact(&asked, ops, Refused::ByPlace, render).await
}

/// How the place of a failed operation is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As `ops[2]`.
    ByPlace,
    /// Not at all: the client sent one operation and did not number it.
    Whole,
}

impl LiveFace {
    /// Runs operations as one transaction, remembers the answer where the client asked for that, and counts.
    pub(super) async fn transact(
        &self,
        asked: &Asked,
        ops: Vec<RowOp>,
        refused: Refused,
        render: impl FnOnce(Mutated) -> (StatusCode, Value) + Send + 'static,
    ) -> Result<Reply, Failure> {
        let key = asked.idempotency()?;
        let (who, request_id) = (asked.who.clone(), asked.call.request_id.clone());
        let started = Instant::now();
        let answer = move |done: Result<Mutated, MutateError>| match done {
            Ok(done) => {
                let (status, body) = render(done);
                (status.as_u16(), body.to_string())
            }
            Err(error) => {
                let failure = failure_of(error, refused, &who);
                let status = failure.code.status().as_u16();
                (status, Value::Object(failure.body(&request_id)).to_string())
            }
        };
        let outcome = self.engine.mutate_once(&asked.who, ops, key, answer).await?;
        if outcome.status < 400 && !outcome.replayed {
            self.statistics.mutation(started.elapsed());
        }
        let status =
            StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = Reply::json(status, outcome.body);
        Ok(if outcome.replayed { reply.with(REPLAYED, "true") } else { reply })
    }
}

/// Operations for the engine, and the verbs as they were sent.
pub(super) fn split(mutations: Vec<Mutation>) -> (Vec<RowOp>, Vec<String>) {
    mutations
        .into_iter()
        .map(|mutation| {
            let verb = mutation.verb.clone();
            (row_op(mutation), verb)
        })
        .unzip()
}

pub(super) fn row_op(mutation: Mutation) -> RowOp {
    let targets = |edges: Vec<Edge>| {
        edges.into_iter().map(|edge| (edge.label, edge.entity, edge.id)).collect()
    };
    let (verb, id, data, targets) = match mutation.action {
        Action::Set { id, data } => (Verb::Set, id, data, Vec::new()),
        Action::Insert { id, data } => (Verb::Insert, id, data, Vec::new()),
        Action::Merge { id, data } => (Verb::Merge, Some(id), data, Vec::new()),
        Action::Upsert { id, data } => (Verb::Upsert, id, data, Vec::new()),
        Action::Delete { id } => (Verb::Delete, Some(id), Map::new(), Vec::new()),
        Action::Link { id, edges } => (Verb::Link, Some(id), Map::new(), targets(edges)),
        Action::Unlink { id, edges } => (Verb::Unlink, Some(id), Map::new(), targets(edges)),
    };
    RowOp { verb, entity: mutation.entity, id, data, targets, if_tx: mutation.if_tx }
}

/// The body of a transaction that went well: the documented keys, then those of the libraries.
pub(super) fn mutated_body(verbs: &[String], done: Mutated) -> Map<String, Value> {
    let (tx, ids): (i64, Vec<Value>) =
        (done.tx, done.results.iter().map(|result| json!(result.id)).collect());
    let affected = done.results.iter().filter(|result| result.status != Status::Noop).count();
    let mut body = Map::new();
    body.insert("tx".into(), json!(tx));
    body.insert("results".into(), results(verbs, done));
    push_tx(&mut body, tx);
    body.insert("tx_id".into(), json!(tx));
    body.insert("affected".into(), json!(affected));
    body.insert("entity_ids".into(), Value::Array(ids));
    body
}

/// One element for each operation, in order.
pub(super) fn results(verbs: &[String], done: Mutated) -> Value {
    let one = |(result, verb): (crate::engine::RowResult, &String)| {
        let mut element = Map::new();
        element.insert("op".into(), json!(verb));
        element.insert("id".into(), json!(result.id));
        element.insert("entity".into(), json!(result.entity));
        element.insert("status".into(), json!(result.status.name()));
        if let Some(row) = result.row {
            element.insert("data".into(), Value::Object(record(row)));
        }
        Value::Object(element)
    };
    done.results.into_iter().zip(verbs).map(one).collect()
}

/// A row as clients see it: `id`, then its fields.
pub(super) fn record(row: Row) -> Map<String, Value> {
    let mut record = Map::with_capacity(row.fields.len() + 1);
    record.insert("id".to_owned(), Value::String(row.id));
    record.extend(row.fields);
    record
}

/// The refusal of a transaction for this caller.
pub(super) fn failure_of(error: MutateError, refused: Refused, who: &Caller) -> Failure {
    let MutateError { index, error } = error;
    let missing = matches!(error, Error::Missing { .. });
    let mut failure = Failure::from(error).seen_by(who);
    if refused == Refused::Whole || matches!(failure.code, Code::Internal | Code::Unauthenticated) {
        return failure;
    }
    let place = format!("ops[{index}]");
    let message = if missing { "does not exist".to_owned() } else { failure.message.clone() };
    let fields = std::mem::take(&mut failure.details).into_iter().map(|detail| Detail {
        field: format!("{place}.data.{}", detail.field),
        message: detail.message,
    });
    let details = std::iter::once(Detail { field: place.clone(), message }).chain(fields);
    failure.with_details(details.collect())
}
