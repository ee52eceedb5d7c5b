//! Types: list, read, register.
//!
//! Knows which keys of a registration count. Does not know the schema language or drift.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::StackFace;
use super::dto::{self, ok};
use super::errors::Failure;
use super::gate::Asked;
use crate::engine::NewTypeInput;
use crate::net::Reply;

pub(super) async fn list(cx: Arc<StackFace>, _asked: Asked) -> Result<Reply, Failure> {
    let types = cx.engine.types();
    let mut out = String::new();
    dto::push_all(&mut out, &types.all(), |out, of| dto::push_type(out, of));
    Ok(ok(out))
}

pub(super) async fn get(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let types = cx.engine.types();
    let Some(of) = types.get(asked.call.param(0)) else {
        return Err(Failure::not_found("no such type"));
    };
    let mut out = String::new();
    dto::push_type(&mut out, of);
    Ok(ok(out))
}

pub(super) async fn register(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let new = new_type(asked.object()?)?;
    let made = cx.engine.register_type(&asked.who, new).await?;
    let mut out = String::new();
    dto::push_type(&mut out, &made);
    Ok(Reply::json(StatusCode::CREATED, out))
}

/// `baseId`, `version` and `createdAt` are derived, whatever the body says of them.
fn new_type(mut body: Map<String, Value>) -> Result<NewTypeInput, Failure> {
    let mut text = |key: &str| match body.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(Failure::bad_request(format!("{key} must be a text, not empty"))),
    };
    let (id, name, schema_hash) = (text("id")?, text("name")?, text("schemaHash")?);
    let migrates_from = text("migratesFrom").ok();
    let Some(Value::Object(schema)) = body.remove("schema") else {
        return Err(Failure::bad_request("schema must be an object"));
    };
    let search = body.get("search").and_then(Value::as_bool);
    Ok(NewTypeInput { id, name, schema, schema_hash: Some(schema_hash), migrates_from, search })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    #[test]
    fn four_keys_are_needed() {
        let whole = r#"{"id":"a@1","name":"A","schema":{},"schemaHash":"x","baseId":7,"version":"x","migratesFrom":1}"#;
        let body = parse_object(whole.as_bytes()).unwrap();
        let new = new_type(body.clone()).unwrap();
        assert!(new.migrates_from.is_none() && new.search.is_none());
        for key in ["id", "name", "schema", "schemaHash"] {
            for value in [None, Some(Value::Null), Some(Value::from("")), Some(Value::from(7))] {
                let mut body = body.clone();
                body.remove(key);
                body.extend(value.map(|value| (key.to_owned(), value)));
                assert!(new_type(body).is_err(), "{key}");
            }
        }
    }
}
