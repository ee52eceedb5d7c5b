//! Whether a condition holds for one record, in memory.
//!
//! Cost: linear in filter and content, but for containment of lists, which is their product.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::like::like;
use super::{Comparison, FieldPath, Filter, Operand, RecordView, Test};
use crate::util::json::{json_eq, num_cmp};

static NULL: Value = Value::Null;

impl Filter {
    /// Whether the condition holds for this record.
    #[must_use]
    pub fn matches(&self, record: &RecordView<'_>) -> bool {
        match self {
            Self::True => true,
            Self::False => false,
            Self::And(parts) => parts.iter().all(|part| part.matches(record)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(record)),
            Self::Not(inner) => !inner.matches(record),
            Self::Is(operand, test) => test.holds(&operand.value(record)),
        }
    }
}

impl FieldPath {
    /// The value in this place, `None` when there is none.
    #[must_use]
    pub fn find<'c>(&self, content: &'c Map<String, Value>) -> Option<&'c Value> {
        if let Some(value) = content.get(&self.0) {
            return Some(value);
        }
        let (first, rest) = self.0.split_once('.')?;
        rest.split('.').try_fold(content.get(first)?, |value, segment| match value {
            Value::Object(members) => members.get(segment),
            Value::Array(items) => items.get(place(segment)?),
            _ => None,
        })
    }
}

/// A segment as a place in an array: digits only, no leading zero.
fn place(segment: &str) -> Option<usize> {
    let plain = segment.bytes().all(|byte| byte.is_ascii_digit())
        && (segment == "0" || !segment.starts_with('0'));
    if plain { segment.parse().ok() } else { None }
}

impl Operand {
    /// What the operand is in this record; `null` where there is nothing.
    #[must_use]
    pub fn value<'r>(&self, record: &RecordView<'r>) -> Cow<'r, Value> {
        let text = |text: &str| Cow::Owned(Value::String(text.to_owned()));
        let instant = |name: &str, at: i64| {
            record.content.get(name).map_or_else(|| Cow::Owned(Value::from(at)), Cow::Borrowed)
        };
        match self {
            Self::Field(path) => Cow::Borrowed(path.find(record.content).unwrap_or(&NULL)),
            Self::Key(name) => Cow::Borrowed(record.content.get(name).unwrap_or(&NULL)),
            Self::Id => text(record.id),
            Self::CreatedAt => instant("createdAt", record.created_at),
            Self::UpdatedAt => instant("updatedAt", record.updated_at),
            Self::Subject => record.subject.map_or(Cow::Borrowed(&NULL), text),
        }
    }
}

impl Test {
    /// Whether the test holds for a value.
    #[must_use]
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equal(other) => json_eq(value, other),
            Self::Compare(comparison, other) => {
                let order = match (value, other) {
                    (Value::Number(a), Value::Number(b)) => num_cmp(a, b),
                    (Value::String(a), Value::String(b)) => a.cmp(b),
                    _ => return false,
                };
                comparison.admits(order)
            }
            Self::In(list) => list.iter().any(|other| json_eq(value, other)),
            Self::Contains(part) => contains(value, part),
            Self::StartsWith(prefix) => value.as_str().is_some_and(|s| s.starts_with(prefix)),
            Self::EndsWith(suffix) => value.as_str().is_some_and(|s| s.ends_with(suffix)),
            Self::Like(pattern) => value.as_str().is_some_and(|s| like(pattern, s)),
            Self::Present => !value.is_null(),
        }
    }
}

impl Comparison {
    fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::String(value), Value::String(part)) => value.contains(part.as_str()),
        (Value::Array(items), Value::Array(parts)) => {
            parts.iter().all(|part| items.iter().any(|item| is_or_contains(item, part)))
        }
        (Value::Array(_), Value::Object(_)) => false,
        (Value::Array(items), scalar) => items.iter().any(|item| json_eq(item, scalar)),
        (Value::Object(members), Value::Object(parts)) => parts
            .iter()
            .all(|(key, part)| members.get(key).is_some_and(|member| is_or_contains(member, part))),
        _ => false,
    }
}

/// Inside containers a string must be equal; only objects and arrays may hold more than was asked.
fn is_or_contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            contains(value, part)
        }
        _ => json_eq(value, part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    fn field(name: &str) -> Operand {
        Operand::Field(FieldPath(name.to_owned()))
    }

    fn holds(content: &str, operand: Operand, test: Test) -> bool {
        let content = parse_object(content.as_bytes()).unwrap();
        let record = RecordView {
            content: &content,
            rid: 1,
            id: "darsh",
            created_at: 1_000,
            updated_at: 2_000,
            subject: Some("did:x:ann"),
        };
        Filter::Is(operand, test).matches(&record)
    }

    fn value(text: &str) -> Value {
        crate::util::json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn equality_is_by_type_and_value() {
        let cases = [
            (r#"{"f":1}"#, "1.0", true),
            (r#"{"f":100}"#, "1e2", true),
            (r#"{"f":9007199254740993}"#, "9007199254740992", false),
            (r#"{"f":1}"#, "\"1\"", false),
            (r#"{"f":1}"#, "true", false),
            (r#"{"f":[1]}"#, "1", false),
            (r#"{"f":{"a":1,"b":2}}"#, r#"{"b":2.0,"a":1}"#, true),
            (r#"{"f":null}"#, "null", true),
            (r#"{}"#, "null", true),
            (r#"{}"#, "5", false),
        ];
        for (content, other, expected) in cases {
            let test = Test::Equal(value(other));
            assert_eq!(holds(content, field("f"), test), expected, "{content} {other}");
        }
    }

    #[test]
    fn comparison_needs_two_numbers_or_two_strings() {
        let greater = |text: &str| Test::Compare(Comparison::Greater, value(text));
        assert!(holds(r#"{"f":2}"#, field("f"), greater("1.5")));
        assert!(holds(r#"{"f":"b"}"#, field("f"), greater("\"a\"")));
        for content in [r#"{"f":"2"}"#, r#"{"f":null}"#, "{}", r#"{"f":true}"#, r#"{"f":[2]}"#] {
            assert!(!holds(content, field("f"), greater("1")), "{content}");
        }
    }

    #[test]
    fn paths_enter_objects_and_arrays_and_literal_names_win() {
        let content = r#"{"a":{"b":[{"c":1}]},"a.b":7,"x":{"0":"zero"}}"#;
        let is = |text: &str| Test::Equal(value(text));
        assert!(holds(content, field("a.b.0.c"), is("1")));
        assert!(holds(content, field("a.b"), is("7")));
        assert!(holds(content, field("x.0"), is("\"zero\"")));
        for missing in ["a.b.00.c", "a.b.+0.c", "a.b.1.c", "a.b.0.c.d", "a.", "."] {
            assert!(!holds(content, field(missing), Test::Present), "{missing}");
        }
        assert!(!holds(content, Operand::Key("a.b.0.c".to_owned()), Test::Present));
    }

    #[test]
    fn containment_has_a_form_for_each_container() {
        let cases = [
            (r#"{"f":"hello"}"#, "\"ell\"", true),
            (r#"{"f":"hello"}"#, "\"Ell\"", false),
            (r#"{"f":[1,"a",null]}"#, "1.0", true),
            (r#"{"f":[1,"a",null]}"#, "null", true),
            (r#"{"f":["abc"]}"#, "\"a\"", false),
            (r#"{"f":[1,2,3]}"#, "[3,1]", true),
            (r#"{"f":[1,2,3]}"#, "[4]", false),
            (r#"{"f":[1]}"#, "[]", true),
            (r#"{"f":[{"a":1}]}"#, r#"{"a":1}"#, false),
            (r#"{"f":[{"a":1,"b":2}]}"#, r#"[{"a":1}]"#, true),
            (r#"{"f":{"a":{"b":1,"c":2},"t":"long"}}"#, r#"{"a":{"b":1}}"#, true),
            (r#"{"f":{"a":{"b":1,"c":2},"t":"long"}}"#, r#"{"t":"lon"}"#, false),
            (r#"{"f":5}"#, "5", false),
            (r#"{}"#, "null", false),
        ];
        for (content, part, expected) in cases {
            let test = Test::Contains(value(part));
            assert_eq!(holds(content, field("f"), test), expected, "{content} {part}");
        }
    }

    #[test]
    fn system_times_give_way_to_fields_of_their_name() {
        let is = |text: &str| Test::Equal(value(text));
        assert!(holds("{}", Operand::CreatedAt, is("1000")));
        assert!(holds(r#"{"createdAt":"x"}"#, Operand::CreatedAt, is("\"x\"")));
        assert!(holds(r#"{"updatedAt":null}"#, Operand::UpdatedAt, is("null")));
        assert!(holds(r#"{"id":"other"}"#, Operand::Id, is("\"darsh\"")));
        assert!(holds("{}", Operand::Subject, Test::StartsWith("did:".to_owned())));
    }

    #[test]
    fn nothing_of_nothing() {
        let content = Map::new();
        let record = RecordView {
            content: &content,
            rid: 1,
            id: "",
            created_at: 0,
            updated_at: 0,
            subject: None,
        };
        assert!(Filter::And(vec![]).matches(&record));
        assert!(!Filter::Or(vec![]).matches(&record));
        assert!(!Filter::Is(field("f"), Test::In(vec![])).matches(&record));
        assert!(
            Filter::Not(Box::new(Filter::Is(field("f"), Test::Equal(value("5"))))).matches(&record)
        );
    }
}
