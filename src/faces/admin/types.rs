//! `POST /_/types/check`: what registering a type would mean, before it is done.
//!
//! Knows the body, which is that of `POST /types` with less required. Does not know the schema language.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{AdminFace, Asked, Failure, list_of, object_of, ok, route, text, whole};
use crate::engine::{NewTypeInput, TypeCheck};
use crate::net::{Guard, Reply, Route};
use crate::schema::FieldFault;

pub(super) fn routes(cx: &Arc<AdminFace>) -> Vec<Route> {
    let fault = || object_of(json!({ "path": text(), "message": text() }));
    let example = object_of(json!({ "id": text(), "faults": list_of(fault()) }));
    let reply = object_of(json!({
        "exists": { "type": "boolean" }, "lookedAt": list_of(text()), "records": whole(),
        "failing": whole(), "examples": list_of(example), "drift": list_of(fault()),
        "duplicates": list_of(text()), "indexesMade": list_of(text()), "indexesDropped": list_of(text()) }));
    vec![
        route(cx, (Method::POST, "/_/types/check"), "types.check", Guard::Owner, check)
            .summary("What registering a type would mean: records that would fail, indexes, drift")
            .body(json!({ "type": "object", "required": ["id", "schema"], "properties": {
                "id": text(), "schema": { "type": "object", "additionalProperties": true },
                "migratesFrom": text() } }))
            .reply(200, reply)
            .example(
                Some(json!({ "id": "com.example/note@1",
                    "schema": { "title": { "kind": "string", "required": true, "indexed": true } } })),
                Some(json!({ "exists": true, "lookedAt": ["com.example/note@1"], "records": 3,
                    "failing": 1,
                    "examples": [{ "id": "1m89b3wp79t8",
                        "faults": [{ "path": "title", "message": "this field is required" }] }],
                    "drift": [], "duplicates": [], "indexesMade": ["title"], "indexesDropped": [] })),
            )
            .fails(&[400, 401, 403, 413, 503]),
    ]
}

async fn check(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = asked.object()?;
    let mut given = |key: &str| match body.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let id = given("id").ok_or_else(|| Failure::bad_request("id must be a text, not empty"))?;
    let migrates_from = given("migratesFrom");
    let Some(Value::Object(schema)) = body.remove("schema") else {
        return Err(Failure::bad_request("schema must be an object"));
    };
    let name = id.clone();
    let input = NewTypeInput { id, name, schema, schema_hash: None, migrates_from, search: None };
    let found = cx.engine.check_type(&asked.who, input).await?;
    Ok(ok(&shown(&found)))
}

fn shown(found: &TypeCheck) -> Value {
    let faults = |list: &[FieldFault]| -> Vec<Value> {
        list.iter().map(|one| json!({ "path": one.path, "message": one.message })).collect()
    };
    let examples: Vec<Value> = found
        .examples
        .iter()
        .map(|(id, list)| json!({ "id": id, "faults": faults(list) }))
        .collect();
    json!({
        "exists": found.exists, "lookedAt": found.looked_at, "records": found.records,
        "failing": found.failing, "examples": examples, "drift": faults(&found.drift),
        "duplicates": found.duplicates, "indexesMade": found.indexes_made,
        "indexesDropped": found.indexes_dropped,
    })
}
