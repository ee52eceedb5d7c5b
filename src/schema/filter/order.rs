//! Orders of records: in memory, and as bytes for whoever sorts bytes.

use std::cmp::Ordering;

use serde_json::Value;

use super::{OrderDirection, OrderKey, RecordView};
use crate::util::json::{num_cmp, push_num_sort_key};

/// Compares two records by the keys, the first one most significant, then by record id, ascending.
#[must_use]
pub fn compare(keys: &[OrderKey], a: &RecordView<'_>, b: &RecordView<'_>) -> Ordering {
    keys.iter()
        .map(|key| key.compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.rid.cmp(&b.rid))
}

impl OrderKey {
    /// Compares two records by this key alone.
    #[must_use]
    pub fn compare(&self, a: &RecordView<'_>, b: &RecordView<'_>) -> Ordering {
        self.compare_values(&self.operand.value(a), &self.operand.value(b))
    }

    /// Compares two values of the operand; null comes last in both directions.
    #[must_use]
    pub fn compare_values(&self, a: &Value, b: &Value) -> Ordering {
        match (a.is_null(), b.is_null(), self.direction) {
            (true, true, _) => Ordering::Equal,
            (true, false, _) => Ordering::Greater,
            (false, true, _) => Ordering::Less,
            (false, false, OrderDirection::Ascending) => value_cmp(a, b),
            (false, false, OrderDirection::Descending) => value_cmp(b, a),
        }
    }
}

/// Numbers, strings, booleans, then objects and arrays, which are all alike.
pub(super) fn value_cmp(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => num_cmp(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Bool(_) => 3,
        Value::Array(_) | Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// Appends bytes that sort, compared byte by byte, as the value does in ascending order. Nothing for null, which has a
/// place of its own.
pub fn push_sort_key(out: &mut Vec<u8>, value: &Value) {
    if value.is_null() {
        return;
    }
    out.push(rank(value));
    match value {
        Value::Number(number) => push_num_sort_key(out, number),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bool(yes) => out.push(u8::from(*yes)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse;

    #[test]
    fn bytes_sort_as_values_do() {
        let texts = [
            "-1e400",
            "-1000",
            "-12.5",
            "-12",
            "-0.001",
            "0",
            "-0",
            "0.0",
            "1e-9",
            "0.1",
            "0.10",
            "1",
            "1.0",
            "1.5",
            "2",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e30",
            "\"\"",
            "\"A\"",
            "\"a\"",
            "\"aa\"",
            "\"é\"",
            "\"😀\"",
            "false",
            "true",
            "[]",
            "{\"a\":1}",
        ];
        let values: Vec<Value> = texts.iter().map(|t| parse(t.as_bytes()).unwrap()).collect();
        let bytes = |value: &Value| {
            let mut out = Vec::new();
            push_sort_key(&mut out, value);
            out
        };
        for a in &values {
            for b in &values {
                assert_eq!(bytes(a).cmp(&bytes(b)), value_cmp(a, b), "{a} {b}");
            }
        }
        for pair in values.windows(2) {
            assert!(value_cmp(&pair[0], &pair[1]).is_le(), "{} {}", pair[0], pair[1]);
        }
    }
}
