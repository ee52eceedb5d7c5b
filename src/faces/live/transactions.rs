//! Transactions as clients see them: operations in, results out (live 9).
//!
//! Knows shapes. Does not know what an operation does.

use serde_json::{Map, Value, json};

use super::errors::{Code, Failure};
use super::fault::Detail;
use super::mutate_form::{Action, Edge, Mutation, parse_ops};
use crate::engine::{Caller, Engine, Kind, MutateError, RowOp, RowResult, Verb};

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub tx: i64,
    /// One object for each operation, in order.
    pub results: Value,
}

/// Reads operations and applies them as one unit.
///
/// # Errors
/// Malformed operations, all at once; else the first that failed, by its place.
pub async fn transact(engine: &Engine, caller: &Caller, ops: &Value) -> Result<Done, Failure> {
    let mutations = parse_ops(ops)?;
    let verbs: Vec<String> = mutations.iter().map(|mutation| mutation.verb.clone()).collect();
    let ops = mutations.into_iter().map(row_op).collect();
    match engine.mutate(caller, ops).await {
        Ok(Ok(done)) => Ok(Done { tx: done.tx, results: results(&verbs, done.results) }),
        Ok(Err(failed)) => Err(refusal(caller, failed)),
        Err(error) => Err(refused(caller, error)),
    }
}

/// The refusal of one operation.
#[must_use]
pub fn refusal(caller: &Caller, MutateError { index, error }: MutateError) -> Failure {
    let failure = refused(caller, error);
    if failure.details.is_empty() && failure.code != Code::Internal {
        let message = failure.message.clone();
        let detail = Detail { field: format!("ops[{index}]"), message };
        return failure.with_details(vec![detail]);
    }
    failure
}

/// An error of the engine, as the caller may know it: somebody who is not signed in is told to (live 17.3).
#[must_use]
pub fn refused(caller: &Caller, error: crate::engine::Error) -> Failure {
    if caller.is_anonymous() && error.kind() == Kind::Denied {
        return Failure::unauthenticated();
    }
    error.into()
}

/// The engine's form of an operation.
#[must_use]
pub fn row_op(mutation: Mutation) -> RowOp {
    let Mutation { entity, action, if_tx, .. } = mutation;
    let stored = |verb, id, data| (verb, id, data, Vec::new());
    let linked = |verb, id, edges: Vec<Edge>| {
        let targets = edges.into_iter().map(|edge| (edge.label, edge.entity, edge.id)).collect();
        (verb, Some(id), Map::new(), targets)
    };
    let (verb, id, data, targets) = match action {
        Action::Set { id, data } => stored(Verb::Set, id, data),
        Action::Insert { id, data } => stored(Verb::Insert, id, data),
        Action::Merge { id, data } => stored(Verb::Merge, Some(id), data),
        Action::Upsert { id, data } => stored(Verb::Upsert, id, data),
        Action::Delete { id } => stored(Verb::Delete, Some(id), Map::new()),
        Action::Link { id, edges } => linked(Verb::Link, id, edges),
        Action::Unlink { id, edges } => linked(Verb::Unlink, id, edges),
    };
    RowOp { verb, entity, id, data, targets, if_tx }
}

/// The results, each with the verb as it was sent.
#[must_use]
pub fn results(verbs: &[String], results: Vec<RowResult>) -> Value {
    let one = |(verb, result): (&String, RowResult)| {
        let RowResult { entity, id, status, row } = result;
        let mut shown = json!({ "op": verb, "id": id, "entity": entity, "status": status.name() });
        if let Some(row) = row {
            let mut data = Map::with_capacity(row.fields.len() + 1);
            data.insert("id".into(), Value::String(row.id));
            data.extend(row.fields);
            shown["data"] = Value::Object(data);
        }
        shown
    };
    verbs.iter().zip(results).map(one).collect()
}
