//! The export format: NDJSON, one kind of line per key.
//!
//! ```text
//! {"cairn":{"export":1,"owner":"did:…","at":"…Z"}}          first line
//! {"type":{"id","name","schema",…}}                         as `POST /types` reads it
//! {"blob":{"fileId","size"}}  then  {"chunk":"base64"}…     or {"blob":{"fileId","size","file":"name"}}
//! {"record":{"id","typeId","version",…}}                    as the stack protocol shows it, with alias
//! {"version":{…}}…                                          earlier versions of the record before, oldest first
//! {"end":{"types":1,"blobs":1,"records":1}}                 last line: an export without it was cut short
//! ```
//!
//! Tokens, sessions and signing keys are not in an export: they are secrets of one installation.
//!
//! Knows lines. Does not know files or the engine's work.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::{Record, Snapshot};
use crate::util::json::push_string;
use crate::util::time;

/// The format this program writes and the newest it reads.
pub(super) const EXPORT_FORMAT: u64 = 1;
/// How an export begins.
pub(super) const EXPORT_START: &[u8] = b"{\"cairn\":{\"export\":";

/// One line, by its only key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) cairn: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub(super) type_: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) blob: Option<&'a RawValue>,
    pub(super) chunk: Option<&'a str>,
    #[serde(borrow)]
    pub(super) record: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) version: Option<&'a RawValue>,
    pub(super) end: Option<Totals>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) export: u64,
    pub(super) owner: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) types: u64,
    pub(super) blobs: u64,
    pub(super) records: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlobLine {
    pub(super) file_id: String,
    pub(super) size: u64,
    pub(super) file: Option<String>,
}

/// A record, or a version of one: those have no `id` and no `createdAt`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateLine<'a> {
    pub(super) id: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) type_id: String,
    pub(super) version: i64,
    pub(super) created_at: Option<String>,
    pub(super) updated_at: String,
    pub(super) deleted_at: Option<String>,
    pub(super) entity_id: Option<String>,
    pub(super) principal_id: Option<String>,
    pub(super) app_id: Option<String>,
    pub(super) parent_id: Option<String>,
    #[serde(default)]
    pub(super) permissions: Vec<Value>,
    #[serde(default)]
    pub(super) associations: Vec<Value>,
    #[serde(borrow)]
    pub(super) content: &'a RawValue,
}

/// Appends `{"record":{…}}` and a line break.
pub(super) fn push_record(out: &mut String, record: &Record) {
    out.push_str("{\"record\":{");
    let mut object = Members { out, first: true };
    object.text("id", Some(&record.id));
    object.text("alias", record.alias.as_deref().filter(|alias| *alias != record.id));
    object.text("typeId", Some(&record.type_info.id));
    object.raw("version", Some(&record.version.to_string()));
    object.instant("createdAt", Some(record.created_at));
    object.instant("updatedAt", Some(record.updated_at));
    object.instant("deletedAt", record.deleted_at);
    object.text("entityId", record.subject.as_deref());
    object.text("principalId", record.principal.as_deref());
    object.text("appId", record.app.as_deref());
    object.text("parentId", record.parent.as_deref());
    object.raw("permissions", record.permissions.as_deref());
    object.raw("associations", record.associations.as_deref());
    object.raw("content", Some(&record.content));
    out.push_str("}}\n");
}

/// Appends `{"version":{…}}` and a line break.
pub(super) fn push_version(out: &mut String, snapshot: &Snapshot) {
    out.push_str("{\"version\":{");
    let mut object = Members { out, first: true };
    object.text("typeId", Some(&snapshot.type_id));
    object.raw("version", Some(&snapshot.version.to_string()));
    object.instant("updatedAt", Some(snapshot.updated_at));
    object.instant("deletedAt", snapshot.deleted_at);
    object.raw("permissions", snapshot.permissions.as_deref());
    object.raw("associations", snapshot.associations.as_deref());
    object.raw("content", Some(&snapshot.content));
    out.push_str("}}\n");
}

/// Writes members of an object; absent ones are left out.
struct Members<'a> {
    out: &'a mut String,
    first: bool,
}

impl Members<'_> {
    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        push_string(self.out, key);
        self.out.push(':');
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key);
            push_string(self.out, value);
        }
    }

    /// `value` is JSON already.
    fn raw(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key);
            self.out.push_str(value);
        }
    }

    fn instant(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.key(key);
            self.out.push('"');
            time::push_ms(self.out, value);
            self.out.push('"');
        }
    }
}
