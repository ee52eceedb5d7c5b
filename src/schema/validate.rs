//! Content against schema: every violation at once, nothing changed.
//!
//! Knows what each kind accepts. Does not know stored records: references are checked for form
//! only.
//!
//! Invariants
//! V1. Undeclared fields are fine at every level; `null` counts as absent.
//! V2. At most [`FAULTS_MAX`] faults are listed, and no more once their paths have reached
//!     [`FAULT_BYTES_MAX`] together, however bad the content.

use serde_json::{Map, Value};

use super::definition::{Field, Kind, Schema};
use crate::util::time::is_date_field;

/// How deep declared content is followed, the content itself being depth 0.
pub const VALUE_DEPTH_MAX: usize = 32;
/// How many faults an answer lists.
pub const FAULTS_MAX: usize = 1_000;
/// How long the paths of the listed faults may grow together; the last one may go past it.
pub const FAULT_BYTES_MAX: usize = 256 * 1_024;

/// Top-level content keys that no record may have.
pub const RESERVED_KEYS: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// One unacceptable field: where (`address.city`, `phones[0].value`) and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    pub path: String,
    pub message: String,
}

impl FieldFault {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The reserved keys that `content` (or a patch) has at its top level.
#[must_use]
pub fn reserved_keys(content: &Map<String, Value>) -> Vec<FieldFault> {
    RESERVED_KEYS
        .into_iter()
        .filter(|key| content.contains_key(*key))
        .map(|key| FieldFault::new(key, "this name is reserved"))
        .collect()
}

impl Schema {
    /// All violations, in the order of the schema; empty when `content` is acceptable.
    #[must_use]
    pub fn validate(&self, content: &Map<String, Value>) -> Vec<FieldFault> {
        let mut check = Check { path: String::new(), faults: Vec::new(), fault_bytes: 0 };
        check.members(self, content, 0);
        check.faults
    }

    /// The top-level fields declared `file-ref` that `content` holds a string in: name and hash.
    #[must_use]
    pub fn file_refs(&self, content: &Map<String, Value>) -> Vec<(String, String)> {
        self.fields()
            .filter(|(_, field)| field.kind == Kind::FileRef)
            .filter_map(|(name, _)| {
                Some((name.to_owned(), content.get(name)?.as_str()?.to_owned()))
            })
            .collect()
    }
}

/// A walk over content; `path` is where it stands.
struct Check {
    path: String,
    faults: Vec<FieldFault>,
    fault_bytes: usize,
}

impl Check {
    fn members(&mut self, schema: &Schema, content: &Map<String, Value>, depth: usize) {
        for (name, field) in schema.fields() {
            let value = content.get(name).filter(|value| !value.is_null());
            if self.full() || value.is_none() && !field.is_required() {
                continue;
            }
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(name);
            match value {
                Some(value) => self.value(field, value, depth + 1),
                None => self.fault("this field is required"),
            }
            self.path.truncate(outer);
        }
    }

    fn value(&mut self, field: &Field, value: &Value, depth: usize) {
        if depth > VALUE_DEPTH_MAX {
            return self.fault("nested too deeply");
        }
        match (field.kind, value) {
            (Kind::String | Kind::Text | Kind::RecordRef, Value::String(_))
            | (Kind::Number, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => {}
            (Kind::Date, Value::String(text)) if is_date_field(text) => {}
            (Kind::FileRef, Value::String(text)) if is_file_hash(text) => {}
            (Kind::Array, Value::Array(elements)) => {
                let Some(items) = &field.items else { return };
                for (place, element) in elements.iter().enumerate() {
                    let outer = self.path.len();
                    self.path.push_str(&format!("[{place}]"));
                    self.value(items, element, depth + 1);
                    self.path.truncate(outer);
                    if self.full() {
                        return;
                    }
                }
            }
            (Kind::Object, Value::Object(content)) => {
                let Some(properties) = &field.properties else { return };
                self.members(properties, content, depth);
            }
            (kind, _) => self.fault(expected(kind)),
        }
    }

    fn fault(&mut self, message: &str) {
        if !self.full() {
            self.fault_bytes += self.path.len();
            self.faults.push(FieldFault::new(self.path.as_str(), message));
        }
    }

    fn full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX || self.fault_bytes >= FAULT_BYTES_MAX
    }
}

/// `^[0-9a-f]{64}$`.
fn is_file_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::String | Kind::Text => "expected a string",
        Kind::Number => "expected a number",
        Kind::Boolean => "expected true or false",
        Kind::Date => "expected an ISO 8601 date or date-time",
        Kind::RecordRef => "expected a record id",
        Kind::FileRef => "expected a file id, 64 lower-case hex digits",
        Kind::Array => "expected an array",
        Kind::Object => "expected an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::read;
    use super::*;
    use crate::util::json::parse_object;

    fn faults(schema: &str, content: &str) -> Vec<String> {
        let content = parse_object(content.as_bytes()).unwrap();
        read(schema).validate(&content).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn each_kind_takes_its_values_and_no_others() {
        let hash = format!("\"{}\"", "0a".repeat(32));
        let upper = format!("\"{}\"", "0A".repeat(32));
        let cases: [(&str, &[&str], &[&str]); 7] = [
            ("string", &["\"\"", "\"x\""], &["1", "true", "[]", "{}"]),
            ("text", &["\"x\""], &["1"]),
            ("number", &["0", "-1.5e9"], &["\"1\"", "true"]),
            ("boolean", &["true", "false"], &["\"true\"", "0", "1"]),
            ("date", &["\"2024-02-29\""], &["\"2024-02-30\"", "\"\"", "1704067200000"]),
            ("record-ref", &["\"anything\""], &["1", "{}"]),
            ("file-ref", &[&hash], &[&upper, "\"0a\"", "1"]),
        ];
        for (kind, good, bad) in cases {
            let schema = format!(r#"{{"f":{{"kind":"{kind}"}}}}"#);
            for value in good {
                assert!(
                    faults(&schema, &format!("{{\"f\":{value}}}")).is_empty(),
                    "{kind} {value}"
                );
            }
            for value in bad {
                assert_eq!(faults(&schema, &format!("{{\"f\":{value}}}")), ["f"], "{kind} {value}");
            }
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let schema = r#"{"a":{"kind":"string","required":true},"b":{"kind":"string"},"c":{"kind":"number","required":false}}"#;
        assert_eq!(faults(schema, "{}"), ["a"]);
        assert_eq!(faults(schema, r#"{"a":null,"b":null,"c":null}"#), ["a"]);
        assert!(faults(schema, r#"{"a":""}"#).is_empty());
    }

    #[test]
    fn all_violations_come_together_with_their_paths() {
        let schema = r#"{
            "title":{"kind":"string","required":true},
            "address":{"kind":"object","properties":{"city":{"kind":"string","required":true}}},
            "phones":{"kind":"array","items":{"kind":"object","properties":{"value":{"kind":"string","required":true}}}},
            "grid":{"kind":"array","items":{"kind":"array","items":{"kind":"number"}}}}"#;
        let content = r#"{"address":{"extra":1},"phones":[{},{"value":1},{"value":"x"},null,"y"],"grid":[[1,"2"],3],"more":{"a":[]}}"#;
        assert_eq!(
            faults(schema, content),
            [
                "title",
                "address.city",
                "phones[0].value",
                "phones[1].value",
                "phones[3]",
                "phones[4]",
                "grid[0][1]",
                "grid[1]"
            ]
        );
    }

    #[test]
    fn faults_are_bounded() {
        let content = format!("{{\"a\":[{}1]}}", "1,".repeat(5_000));
        let schema = r#"{"a":{"kind":"array","items":{"kind":"string"}}}"#;
        assert_eq!(faults(schema, &content).len(), FAULTS_MAX);
    }

    #[test]
    fn reserved_keys_are_found_at_the_top_only() {
        let content =
            parse_object(br#"{"prototype":1,"__proto__":null,"a":{"constructor":1}}"#).unwrap();
        let paths: Vec<_> = reserved_keys(&content).into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["__proto__", "prototype"]);
    }

    #[test]
    fn file_refs_are_the_declared_ones_at_the_top() {
        let schema = read(
            r#"{"image":{"kind":"file-ref"},"name":{"kind":"string"},"none":{"kind":"file-ref"},
                "deep":{"kind":"object","properties":{"image":{"kind":"file-ref"}}}}"#,
        );
        let content =
            parse_object(br#"{"image":"aa","name":"bb","none":null,"deep":{"image":"cc"}}"#)
                .unwrap();
        assert_eq!(schema.file_refs(&content), [("image".to_owned(), "aa".to_owned())]);
    }
}
