//! `POST /_/query`: a query of any collection, now or at a past moment, with the way its rows were found.
//!
//! The query language is that of `POST /api/query`. Here a root may also be a collection whose name is none the live protocol
//! knows (`com.example/city`): the address is for the owner, who reads them all.
//!
//! Knows parameters. Does not know how a query is run or explained.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::http::{Asked, Intake, LiveFace, reply, route};
use super::names::is_entity;
use super::query::root_value;
use super::query_form::{LiveQuery, ROOTS_MAX, parse_query};
use super::schemas;
use crate::engine::AsOf;
use crate::net::{Guard, Reply, Route};

/// Stands for a root whose name the query language does not take, while the query is read.
const STAND_IN: &str = "collection-";

pub(super) fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let plan = json!({ "type": "object", "required": ["collection", "steps"], "properties": {
        "collection": schemas::text(), "steps": { "type": "array", "items": schemas::text() } } });
    let answer = json!({ "type": "object", "required": ["data", "tx", "rows", "ms", "plan"], "properties": {
        "data": schemas::object(), "tx": schemas::whole(), "rows": schemas::whole(),
        "asOf": { "type": ["integer", "null"] }, "ms": { "type": "number" },
        "plan": { "type": "array", "items": plan } } });
    let entry = (Method::POST, "/_/query");
    let mut entry = route(cx, entry, "console.query", Guard::Owner, Intake::default(), query)
        .summary("Run a query over any collection, now or at a past moment, and say how it was run")
        .body(json!({ "type": "object", "required": ["query"], "properties": {
            "query": schemas::object(),
            "as_of": { "type": ["string", "integer", "null"],
                       "description": "A transaction number or an ISO time: the state back then" } } }))
        .reply(200, answer)
        .example(
            Some(json!({ "query": { "todos": { "$where": { "done": false }, "$limit": 20 } } })),
            Some(json!({ "data": { "todos": [] }, "tx": 42, "asOf": null, "rows": 0, "ms": 0.2,
                "plan": [ { "collection": "todos", "steps": ["SEARCH r USING INDEX record_live"] } ] })),
        )
        .fails(&[400, 401, 403, 413, 429, 503]);
    entry.face = "cairn";
    vec![entry]
}

async fn query(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = asked.required_object()?;
    let Some(Value::Object(wanted)) = body.remove("query") else {
        return Err(Failure::invalid("query must be an object: collection to conditions"));
    };
    let as_of = match body.remove("as_of") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let moment = AsOf::parse(&text).ok_or_else(|| {
                Failure::invalid("as_of must be a transaction number or an ISO time")
            })?;
            Some(moment)
        }
    };
    let (wanted, names) = stand_in(wanted)?;
    let LiveQuery { mut roots, .. } = parse_query(&Value::Object(wanted), cx.limits)?;
    for root in &mut roots {
        if let Some(name) = place(&root.entity).and_then(|place| names.get(place)) {
            root.entity.clone_from(name);
        }
    }
    let explained = cx.engine.run_tree_explained(&asked.who, Arc::new(roots), as_of).await?;
    let tx = explained.answer.tx;
    let data: Map<String, Value> = explained
        .answer
        .roots
        .into_iter()
        .map(|(entity, value)| (entity, root_value(value)))
        .collect();
    let rows: usize = data.values().map(|value| value.as_array().map_or(1, Vec::len)).sum();
    let plan: Vec<Value> = explained
        .plans
        .into_iter()
        .map(|(collection, steps)| json!({ "collection": collection, "steps": steps }))
        .collect();
    let ms = (explained.took.as_secs_f64() * 100_000.0).round() / 100.0;
    let body = json!({ "data": data, "tx": tx, "asOf": explained.as_of, "rows": rows, "ms": ms, "plan": plan });
    Ok(reply(StatusCode::OK, &body))
}

/// The query with stand-ins for names that the language does not take, and those names.
fn stand_in(query: Map<String, Value>) -> Result<(Map<String, Value>, Vec<String>), Failure> {
    if query.is_empty() || query.len() > ROOTS_MAX {
        return Err(Failure::invalid(format!("a query names 1 to {ROOTS_MAX} collections")));
    }
    let mut names = Vec::new();
    let mut readable = Map::new();
    for (name, node) in query {
        let odd = !is_entity(&name) && !name.starts_with('$');
        if odd || name.starts_with(STAND_IN) {
            readable.insert(format!("{STAND_IN}{}", names.len()), node);
            names.push(name);
        } else {
            readable.insert(name, node);
        }
    }
    Ok((readable, names))
}

fn place(entity: &str) -> Option<usize> {
    entity.strip_prefix(STAND_IN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_collection_may_be_a_root() {
        let Value::Object(query) =
            json!({ "todos": {}, "com.example/city": {}, "collection-0": {} })
        else {
            panic!("an object")
        };
        let (readable, names) = stand_in(query).unwrap();
        assert_eq!(readable.keys().collect::<Vec<_>>(), ["todos", "collection-0", "collection-1"]);
        assert_eq!(names, ["com.example/city", "collection-0"]);
        assert_eq!((place("collection-1"), place("todos")), (Some(1), None));
        assert!(stand_in(Map::new()).is_err());
    }
}
