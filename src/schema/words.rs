//! The words of a record's texts, for full-text search.
//!
//! Pure. Knows how text becomes words. Does not know where words are indexed.

use serde_json::{Map, Value};

/// Every string in the content, nested ones too, one after the other.
#[must_use]
pub fn text_of(content: &Map<String, Value>) -> String {
    fn walk(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, out)),
            Value::Object(members) => members.values().for_each(|member| walk(member, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut out = String::new();
    content.values().for_each(|value| walk(value, &mut out));
    out
}
