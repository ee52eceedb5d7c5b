//! The types that come with the product.
//!
//! Knows their ids, names and fields. Does not know when they are registered.
//!
//! Invariants
//! Y1. Every entry parses as a type id and a schema.
//! Y2. A released entry never changes other than additively.

use serde_json::{Map, Value, json};

/// A built-in type: id, name, schema.
pub type BuiltIn = (&'static str, &'static str, Value);

/// The types every stack has.
#[must_use]
pub fn types() -> Vec<BuiltIn> {
    vec![
        ("_config@1", "Config", fields("entityId!, timezone")),
        ("_entity@1", "Entity", fields("did!, name!, handle")),
        ("_app@1", "App", fields("appId!, name!, version, did")),
        ("_group@1", "Group", fields("name!, handle, stackUrl")),
        ("_grant@1", "Grant", fields("typeId!, actions! strings, granteeEntityId")),
        (
            "_user@1",
            "User",
            fields("email, displayName, avatarUrl, role, metadata object, claims object"),
        ),
        ("_attachment@1", "Attachment", fields("fileId!, mimeType!, size! number, filename")),
        (
            "_file@1",
            "File",
            fields("path!, fileId! file-ref, size! number, contentType!, metadata object"),
        ),
        ("_rules@1", "Rules", fields("document! object")),
        ("_function@1", "Function", fields("name!, definition! object")),
    ]
}

/// The optional catalogue of common types, registered only when configured.
#[must_use]
pub fn commons() -> Vec<BuiltIn> {
    let mut contact = fields("name!");
    for list in ["emails", "phones", "urls"] {
        let labelled = json!({ "kind": "object", "properties": fields("value!, label") });
        contact[list] = json!({ "kind": "array", "items": labelled });
    }
    for (name, field) in object(fields("org, note text")) {
        contact[name] = field;
    }
    let mut page = fields("slug!, text! text, title, format, publishedAt date");
    page["collection"] = json!({ "kind": "object", "properties": fields("typeId!, tag, order") });
    vec![
        ("org.haverstack/note@1", "Note", fields("text! text, title, format")),
        ("org.haverstack/bookmark@1", "Bookmark", fields("url!, title, description text")),
        (
            "org.haverstack/task@1",
            "Task",
            fields("title!, done! boolean, notes text, due date, completedAt date"),
        ),
        ("org.haverstack/contact@1", "Contact", contact),
        (
            "org.haverstack/article@1",
            "Article",
            fields("title!, text! text, format, summary text, url, author, publishedAt date"),
        ),
        (
            "org.haverstack/place@1",
            "Place",
            fields("latitude! number, longitude! number, name, address, url"),
        ),
        ("org.haverstack/page@1", "Page", page),
        (
            "org.haverstack/photo@1",
            "Photo",
            fields("image! file-ref, caption text, alt, takenAt date"),
        ),
    ]
}

/// Spells out a short list: `name[!] [kind]`, comma-separated; `!` is required, no kind is
/// `string`, the kind `strings` is an array of them, `object` one with any fields.
fn fields(list: &str) -> Value {
    let mut out = Map::new();
    for entry in list.split(", ") {
        let (name, kind) = entry.split_once(' ').unwrap_or((entry, "string"));
        let mut field = match kind {
            "object" => json!({ "kind": "object", "properties": {} }),
            "strings" => json!({ "kind": "array", "items": { "kind": "string" } }),
            kind => json!({ "kind": kind }),
        };
        let bare = name.trim_end_matches('!');
        if bare.len() < name.len() {
            field["required"] = Value::Bool(true);
        }
        out.insert(bare.to_owned(), field);
    }
    Value::Object(out)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Schema, TypeId};

    #[test]
    fn all_are_well_formed_and_distinct() {
        let all: Vec<_> = types().into_iter().chain(commons()).collect();
        let mut ids: Vec<_> = all.iter().map(|(id, ..)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 18);
        for (id, name, schema) in all {
            assert_eq!(TypeId::parse(id).unwrap().version, 1);
            assert!(name.starts_with(char::is_uppercase));
            assert!(!Schema::parse(schema.as_object().unwrap()).unwrap().is_open(), "{id}");
        }
    }

    #[test]
    fn short_lists_are_spelled_out() {
        let grant = &types()[4];
        assert_eq!(
            grant.2.to_string(),
            r#"{"typeId":{"kind":"string","required":true},"actions":{"kind":"array","items":{"kind":"string"},"required":true},"granteeEntityId":{"kind":"string"}}"#
        );
        let contact = Schema::parse(commons()[3].2.as_object().unwrap()).unwrap();
        let names: Vec<_> = contact.fields().map(|(name, _)| name).collect();
        assert_eq!(names, ["name", "emails", "phones", "urls", "org", "note"]);
    }
}
