//! What the tests of the live protocol share.

use serde_json::{Value, json};

use crate::common::{Reply, Who, next};

/// An entity that no other test uses.
pub(crate) fn entity() -> String {
    format!("things{}", next())
}

/// The envelope of a refusal, whole.
#[track_caller]
pub(crate) fn refused(reply: Reply, status: u16, code: &str) -> Value {
    let body = reply.fails(status, code);
    assert_eq!(body["error"]["status"], json!(status), "{body}");
    assert_eq!(body["error"]["message"], body["message"], "{body}");
    body
}

/// Fields that a refusal names.
pub(crate) fn named(body: &Value) -> Vec<&str> {
    let details = body["error"]["details"].as_array();
    details.into_iter().flatten().filter_map(|detail| detail["field"].as_str()).collect()
}

/// Creates a record that must be accepted; its id.
#[track_caller]
pub(crate) fn make(who: &Who, entity: &str, fields: Value) -> String {
    let made = who.post(&format!("/api/data/{entity}"), fields).is(201);
    made["id"].as_str().unwrap().to_owned()
}

/// The newest transaction.
#[track_caller]
pub(crate) fn tx(body: &Value) -> i64 {
    let tx = body["tx"].as_i64().unwrap_or_else(|| panic!("no tx in {body}"));
    assert_eq!(body["txId"], json!(tx.to_string()), "{body}");
    tx
}

/// Ids of records, in order.
pub(crate) fn ids(records: &Value) -> Vec<&str> {
    records.as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect()
}
