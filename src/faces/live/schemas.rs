//! JSON Schemas and examples that the address tables of this face share, for the documents made from them.

use serde_json::{Value, json};

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn whole() -> Value {
    json!({ "type": "integer" })
}

/// A record: its fields and `id`.
pub(super) fn record() -> Value {
    json!({ "type": "object", "required": ["id"], "properties": { "id": text() },
            "additionalProperties": true })
}

/// Any object, such as the fields of a record.
pub(super) fn object() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

/// One record in its envelope; its fields are spread beside it too.
pub(super) fn one_record() -> Value {
    json!({ "type": "object", "required": ["data", "id", "entity"], "properties": {
        "data": record(), "id": text(), "entity": text(), "tx": whole(), "txId": text() } })
}

pub(super) fn mutated() -> Value {
    let result = json!({ "type": "object", "required": ["op", "id", "status"], "properties": {
        "op": text(), "id": text(), "entity": text(), "data": record(),
        "status": { "type": "string",
            "enum": ["created", "updated", "deleted", "noop", "linked", "unlinked"] } } });
    json!({ "type": "object", "required": ["tx", "results"], "properties": {
        "tx": whole(), "txId": text(), "tx_id": whole(), "affected": whole(),
        "entity_ids": { "type": "array", "items": text() },
        "results": { "type": "array", "items": result } } })
}

/// `ops`, in any of its spellings.
pub(super) fn transaction() -> Value {
    let op = json!({ "type": "object", "properties": {
        "entity": text(), "id": text(), "data": object(), "ifTx": whole(),
        "op": { "type": "string",
            "enum": ["set", "insert", "merge", "upsert", "delete", "link", "unlink"] },
        "target": { "type": "object", "properties": { "entity": text(), "id": text() } } } });
    json!({ "type": "object", "required": ["ops"], "properties": {
        "ops": { "type": "array", "items": op, "minItems": 1, "maxItems": 1_000 } } })
}
