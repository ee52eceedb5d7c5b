//! The stack's shapes as JSON text, keys in the order of its document.
//!
//! Stored JSON (content, schema, permissions, associations) is passed through as it is, never
//! parsed to be printed. Knows names and order. Does not know who may see what: what it is given
//! is meant to be shown.
//!
//! Invariants
//! W1. Members that are unset are absent: never `null`, never an empty list, except where the
//!     document says "always".

use http::StatusCode;
use http::header::ETAG;

use crate::engine::{Page, Record, Snapshot, TokenRow, TypeInfo};
use crate::net::Reply;
use crate::util::json::push_string;
use crate::util::time::push_ms;

/// Bytes of a record beside its content, about.
const RECORD_FRAME_BYTES: usize = 320;

/// A `200` (or other success) with JSON text.
pub(super) fn ok(text: String) -> Reply {
    Reply::json(StatusCode::OK, text)
}

/// A single record with its `ETag`.
pub(super) fn record_reply(record: &Record) -> Reply {
    let mut out = String::with_capacity(record.content.len() + RECORD_FRAME_BYTES);
    push_record(&mut out, record);
    ok(out).with(ETAG, &etag(record))
}

/// What `Prefer: return=representation` is answered with: `permissions` always stands in it.
pub(super) fn representation_reply(record: &Record) -> Reply {
    let mut out = String::with_capacity(record.content.len() + RECORD_FRAME_BYTES);
    push_record_with(&mut out, record, Some("[]"));
    ok(out).with(ETAG, &etag(record))
}

pub(super) fn etag(record: &Record) -> String {
    format!("\"{}\"", record.version)
}

/// Appends a record (stack.md section 5).
pub(super) fn push_record(out: &mut String, record: &Record) {
    push_record_with(out, record, None);
}

/// As [`push_record`]; `private` stands for the permissions of a record that has none.
fn push_record_with(out: &mut String, record: &Record, private: Option<&str>) {
    out.push_str("{\"id\":");
    push_string(out, &record.id);
    out.push_str(",\"typeId\":");
    push_string(out, &record.type_info.id);
    push_instant(out, "createdAt", record.created_at);
    push_instant(out, "updatedAt", record.updated_at);
    out.push_str(",\"content\":");
    out.push_str(&record.content);
    out.push_str(",\"version\":");
    out.push_str(&record.version.to_string());
    push_text(out, "parentId", record.parent.as_deref());
    push_text(out, "entityId", record.subject.as_deref());
    push_text(out, "appId", record.app.as_deref());
    push_text(out, "principalId", record.principal.as_deref());
    if let Some(deleted_at) = record.deleted_at {
        push_instant(out, "deletedAt", deleted_at);
    }
    if let Some(permissions) = list(record.permissions.as_deref()).or(private) {
        push_name(out, "permissions");
        out.push_str(permissions);
    }
    push_list(out, "associations", record.associations.as_deref());
    out.push('}');
}

/// The envelope of both query routes.
pub(super) fn page(page: &Page) -> String {
    let bytes: usize =
        page.records.iter().map(|record| record.content.len() + RECORD_FRAME_BYTES).sum();
    let mut out = String::with_capacity(bytes + 64);
    out.push_str("{\"records\":");
    push_all(&mut out, &page.records, push_record);
    out.push_str(",\"cursor\":");
    push_text_or_null(&mut out, page.cursor.as_deref());
    // A count would tell how many records the caller may not see.
    out.push_str(",\"total\":null}");
    out
}

/// Appends an earlier version (stack.md 5.3).
pub(super) fn push_snapshot(out: &mut String, snapshot: &Snapshot) {
    out.push_str("{\"version\":");
    out.push_str(&snapshot.version.to_string());
    push_text(out, "typeId", Some(&snapshot.type_id));
    out.push_str(",\"content\":");
    out.push_str(&snapshot.content);
    push_instant(out, "updatedAt", snapshot.updated_at);
    push_text(out, "entityId", snapshot.subject.as_deref());
    out.push_str(",\"associations\":");
    out.push_str(list(snapshot.associations.as_deref()).unwrap_or("[]"));
    push_list(out, "permissions", snapshot.permissions.as_deref());
    out.push('}');
}

/// Appends a type (stack.md 4.4).
pub(super) fn push_type(out: &mut String, of: &TypeInfo) {
    out.push_str("{\"id\":");
    push_string(out, &of.id);
    push_text(out, "baseId", Some(&of.base));
    out.push_str(",\"version\":");
    out.push_str(&of.version.to_string());
    push_text(out, "name", Some(&of.name));
    out.push_str(",\"schema\":");
    out.push_str(&of.schema_text);
    push_text(out, "schemaHash", Some(&of.schema_hash));
    push_instant(out, "createdAt", of.created_at);
    push_text(out, "migratesFrom", of.migrates_from.as_deref());
    if !of.search {
        out.push_str(",\"search\":false");
    }
    out.push('}');
}

/// Appends a token (stack.md 2.3). `secret` is shown once, when it was just made.
pub(super) fn push_token(out: &mut String, row: &TokenRow, secret: Option<&str>) {
    out.push_str("{\"id\":");
    push_string(out, &row.id);
    push_text(out, "principalId", Some(&row.principal));
    push_text(out, "subjectId", Some(&row.subject));
    // The name an older generation of clients reads.
    push_text(out, "entityId", Some(&row.principal));
    out.push_str(",\"label\":");
    push_text_or_null(out, row.label.as_deref());
    push_instant(out, "createdAt", row.created_at);
    match row.expires_at {
        Some(expires_at) => push_instant(out, "expiresAt", expires_at),
        None => out.push_str(",\"expiresAt\":null"),
    }
    push_text(out, "token", secret);
    out.push('}');
}

/// Appends a JSON array, each element by `push`.
pub(super) fn push_all<T>(out: &mut String, all: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    for (place, one) in all.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push(out, one);
    }
    out.push(']');
}

/// Appends `,"name":"text"` when there is a text.
pub(super) fn push_text(out: &mut String, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    push_name(out, name);
    push_string(out, text);
}

/// Appends `,"name":"2024-01-01T00:00:00.000Z"`.
pub(super) fn push_instant(out: &mut String, name: &str, ms: i64) {
    push_name(out, name);
    out.push('"');
    push_ms(out, ms);
    out.push('"');
}

/// A stored JSON list; an empty one is none.
pub(super) fn list(text: Option<&str>) -> Option<&str> {
    text.filter(|text| *text != "[]")
}

fn push_list(out: &mut String, name: &str, text: Option<&str>) {
    let Some(text) = list(text) else { return };
    push_name(out, name);
    out.push_str(text);
}

fn push_text_or_null(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.push_str("null"),
    }
}

fn push_name(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}
