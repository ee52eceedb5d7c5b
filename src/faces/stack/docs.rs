//! What the documents say of the stack's bodies: JSON Schemas and examples.
//!
//! Knows shapes. Checks nothing: bodies are read by the handlers, these schemas describe what they
//! accept and give.

use serde_json::{Value, json};

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

fn described(text: &str) -> Value {
    json!({ "type": "string", "description": text })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn positive() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

pub(super) fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn list_of(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn open_object() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

pub(super) fn one_of(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

pub(super) fn association() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "label"],
        "properties": {
            "kind": one_of(&["tag", "attachment", "relationship"]),
            "label": text(),
            "fileId": described("With kind attachment: 64 hex digits"),
            "recordId": described("With kind relationship: a record id, or a DID in a group")
        }
    })
}

pub(super) fn permission() -> Value {
    json!({
        "type": "object",
        "required": ["access"],
        "properties": {
            "access": one_of(&["public", "entity", "group"]),
            "entityId": described("With access entity: a DID"),
            "groupId": described("With access group: the id of a _group record"),
            "read": flag(),
            "write": flag(),
            "role": one_of(&["admin"])
        }
    })
}

pub(super) fn permissions() -> Value {
    json!({
        "type": "object",
        "required": ["permissions"],
        "properties": { "permissions": list_of(permission()) }
    })
}

pub(super) fn associations() -> Value {
    json!({
        "type": "object",
        "required": ["associations"],
        "properties": { "associations": list_of(association()) }
    })
}

pub(super) fn record() -> Value {
    json!({
        "type": "object",
        "required": ["id", "typeId", "createdAt", "updatedAt", "content", "version"],
        "properties": {
            "id": described("12 characters, sorted by time"),
            "typeId": described("`name@version`"),
            "createdAt": instant(),
            "updatedAt": instant(),
            "content": open_object(),
            "version": positive(),
            "parentId": text(),
            "entityId": described("The author: a DID"),
            "appId": text(),
            "principalId": described("Who acted, when it was not the author"),
            "deletedAt": instant(),
            "permissions": list_of(permission()),
            "associations": list_of(association())
        }
    })
}

pub(super) fn uploaded() -> Value {
    let mut schema = record();
    schema["properties"]["fileId"] = described("Repeats content.fileId");
    schema
}

pub(super) fn new_record() -> Value {
    json!({
        "type": "object",
        "required": ["typeId", "content"],
        "properties": {
            "id": described("Minted by the server when absent"),
            "typeId": text(),
            "content": open_object(),
            "parentId": text(),
            "appId": text(),
            "permissions": list_of(permission()),
            "associations": list_of(association())
        }
    })
}

pub(super) fn patch() -> Value {
    json!({
        "type": "object",
        "additionalProperties": true,
        "description": "The content patch itself: omitted keys stay, null removes, anything else replaces"
    })
}

pub(super) fn migration() -> Value {
    json!({
        "type": "object",
        "required": ["toTypeId", "content"],
        "properties": { "toTypeId": text(), "content": open_object() }
    })
}

pub(super) fn snapshot() -> Value {
    json!({
        "type": "object",
        "required": ["version", "typeId", "content", "updatedAt", "associations"],
        "properties": {
            "version": positive(),
            "typeId": text(),
            "content": open_object(),
            "updatedAt": instant(),
            "entityId": text(),
            "associations": list_of(association()),
            "permissions": list_of(permission())
        }
    })
}

pub(super) fn snapshots() -> Value {
    list_of(snapshot())
}

pub(super) fn page() -> Value {
    json!({
        "type": "object",
        "required": ["records", "cursor", "total"],
        "properties": {
            "records": list_of(record()),
            "cursor": { "type": ["string", "null"], "description": "null at the end" },
            "total": { "type": "null" }
        }
    })
}

pub(super) fn query() -> Value {
    let span = json!({
        "type": "object",
        "properties": { "before": instant(), "after": instant() }
    });
    let any_of = json!({ "oneOf": [text(), texts()] });
    json!({
        "type": "object",
        "properties": {
            "filter": {
                "type": ["object", "null"],
                "properties": {
                    "typeId": any_of,
                    "parentId": { "type": ["string", "null"], "description": "null is the root" },
                    "appId": any_of,
                    "entityId": any_of,
                    "principalId": any_of,
                    "tags": texts(),
                    "hasAttachment": text(),
                    "attachmentFileId": text(),
                    "relatedTo": {
                        "type": "object",
                        "required": ["recordId"],
                        "properties": { "recordId": text(), "label": text() }
                    },
                    "createdAt": span,
                    "updatedAt": span,
                    "search": text(),
                    "content": {
                        "type": "object",
                        "additionalProperties": true,
                        "description": "Top-level field to exact value; null is absent or null"
                    },
                    "includeDeleted": flag()
                }
            },
            "sort": {
                "type": ["object", "null"],
                "required": ["field"],
                "properties": {
                    "field": one_of(&["createdAt", "updatedAt", "version"]),
                    "direction": one_of(&["asc", "desc"])
                }
            },
            "limit": { "type": "integer", "minimum": 1, "default": 50 },
            "cursor": { "type": ["string", "null"] },
            "as_of": described("A transaction number or an ISO time: the state back then")
        }
    })
}

pub(super) fn type_info() -> Value {
    json!({
        "type": "object",
        "required": ["id", "baseId", "version", "name", "schema", "schemaHash", "createdAt"],
        "properties": {
            "id": text(),
            "baseId": text(),
            "version": { "type": "integer" },
            "name": text(),
            "schema": open_object(),
            "schemaHash": described("SHA-256 of the canonical schema, hex"),
            "createdAt": instant(),
            "migratesFrom": text(),
            "search": flag()
        }
    })
}

pub(super) fn type_list() -> Value {
    list_of(type_info())
}

pub(super) fn new_type() -> Value {
    json!({
        "type": "object",
        "required": ["id", "name", "schema", "schemaHash"],
        "properties": {
            "id": text(),
            "name": text(),
            "schema": open_object(),
            "schemaHash": text(),
            "migratesFrom": text(),
            "search": { "type": "boolean", "default": true }
        }
    })
}

pub(super) fn collected() -> Value {
    json!({
        "type": "object",
        "required": ["deleted", "reclaimedBytes"],
        "properties": { "deleted": texts(), "reclaimedBytes": { "type": "integer" } }
    })
}

pub(super) fn garbage() -> Value {
    json!({
        "type": "object",
        "properties": { "graceMs": { "type": "number", "minimum": 0 }, "dryRun": flag() }
    })
}

pub(super) fn token() -> Value {
    json!({
        "type": "object",
        "required": ["id", "principalId", "subjectId", "entityId", "label", "createdAt", "expiresAt"],
        "properties": {
            "id": text(),
            "principalId": text(),
            "subjectId": text(),
            "entityId": described("Repeats principalId"),
            "label": { "type": ["string", "null"] },
            "createdAt": instant(),
            "expiresAt": { "type": ["string", "null"], "format": "date-time" }
        }
    })
}

pub(super) fn issued_token() -> Value {
    let mut schema = token();
    schema["properties"]["token"] = described("The secret, shown this once");
    schema
}

pub(super) fn tokens() -> Value {
    json!({
        "type": "object",
        "required": ["tokens"],
        "properties": { "tokens": list_of(token()) }
    })
}

pub(super) fn new_token() -> Value {
    json!({
        "type": "object",
        "properties": {
            "entityId": described("Principal; the owner when absent"),
            "onBehalfOf": described("Subject; the principal when absent"),
            "label": text(),
            "expiresAt": instant()
        }
    })
}

/// An object of texts, all needed.
pub(super) fn texts_named(names: &[&str]) -> Value {
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), text())).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

pub(super) fn discovery() -> Value {
    json!({
        "type": "object",
        "required": ["version", "entityId", "capabilities", "auth"],
        "properties": {
            "version": text(),
            "entityId": text(),
            "timezone": text(),
            "capabilities": {
                "type": "object",
                "required": ["fullTextSearch", "maxAttachmentBytes", "maxContentBytes"],
                "properties": {
                    "fullTextSearch": flag(),
                    "contentFieldQuery": flag(),
                    "sortableFields": texts(),
                    "maxAttachmentBytes": { "type": "integer" },
                    "maxContentBytes": { "type": "integer" }
                }
            },
            "auth": { "type": "object", "properties": { "methods": texts() } }
        }
    })
}

pub(super) fn stats() -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "types": list_of(json!({
                "type": "object",
                "required": ["typeId", "records", "deletedRecords"],
                "properties": {
                    "typeId": text(),
                    "records": { "type": "integer" },
                    "deletedRecords": { "type": "integer" }
                }
            })),
            "memoryBytes": {
                "type": "integer",
                "description": "Resident; absent where the system does not say"
            }
        }
    });
    let names = [
        "records",
        "deletedRecords",
        "versions",
        "changes",
        "associations",
        "files",
        "fileBytes",
        "tokens",
        "databaseBytes",
        "freeBytes",
        "lastTx",
        "walBytes",
    ];
    for name in names {
        schema["properties"][name] = json!({ "type": "integer" });
    }
    let always: Vec<&str> = ["types"].into_iter().chain(names).collect();
    schema["required"] = json!(always);
    schema["properties"]["lastBackup"] = super::backups::last_schema();
    schema
}

pub(super) fn decision() -> Value {
    json!({
        "type": "object",
        "required": ["allowed", "rule"],
        "properties": { "allowed": flag(), "rule": text() }
    })
}

pub(super) fn record_example() -> Value {
    json!({
        "id": "1hk153x00001",
        "typeId": "com.example/note@1",
        "createdAt": "2024-01-01T00:00:00.000Z",
        "updatedAt": "2024-01-01T00:00:00.000Z",
        "content": { "title": "Hello" },
        "version": 1
    })
}

pub(super) fn snapshot_example() -> Value {
    json!({
        "version": 1,
        "typeId": "com.example/note@1",
        "content": { "title": "Hello" },
        "updatedAt": "2024-01-01T00:00:00.000Z",
        "associations": []
    })
}

pub(super) fn page_example() -> Value {
    json!({ "records": [record_example()], "cursor": null, "total": null })
}

pub(super) fn tag_example() -> Value {
    json!({ "kind": "tag", "label": "starred" })
}

pub(super) fn permissions_example() -> Value {
    json!({ "permissions": [
        { "access": "public" },
        { "access": "entity", "entityId": "did:web:example.com", "read": true, "write": false }
    ] })
}

pub(super) fn type_example() -> Value {
    json!({
        "id": "com.example/note@1",
        "baseId": "com.example/note",
        "version": 1,
        "name": "Note",
        "schema": { "title": { "kind": "string" } },
        "schemaHash": "2aa1b67cfc8eaf5e74cae7e04972004cbc0c34852c6b5b2cb829d2de1db2a25a",
        "createdAt": "2024-01-01T00:00:00.000Z"
    })
}

pub(super) fn new_type_example() -> Value {
    json!({
        "id": "com.example/note@1",
        "name": "Note",
        "schema": { "title": { "kind": "string" } },
        "schemaHash": "2aa1b67cfc8eaf5e74cae7e04972004cbc0c34852c6b5b2cb829d2de1db2a25a"
    })
}

pub(super) fn token_example() -> Value {
    json!({
        "id": "9f86d081884c7d65",
        "principalId": "did:web:example.com",
        "subjectId": "did:web:example.com",
        "entityId": "did:web:example.com",
        "label": "phone",
        "createdAt": "2024-01-01T00:00:00.000Z",
        "expiresAt": null
    })
}

pub(super) fn discovery_example() -> Value {
    json!({
        "version": "1.0",
        "entityId": "did:key:z6Mkfsz9oK6i2355mvEwtDYdAmqCN6kmQETThJtARfj9iGum",
        "timezone": "America/New_York",
        "capabilities": {
            "fullTextSearch": true,
            "contentFieldQuery": true,
            "sortableFields": ["createdAt", "updatedAt", "version"],
            "maxAttachmentBytes": 52_428_800,
            "maxContentBytes": 1_048_576
        },
        "auth": { "methods": ["did-challenge"] }
    })
}
