//! The difference between two results of one query (live 12.2, 12.3).
//!
//! Pure: two sequences of rows keyed by `id` in, what changed out. Why a row came or went does not
//! matter here.
//!
//! Knows rows. Does not know queries, transactions or any wire format, but keeps what each dialect
//! needs: the full row, the changed fields, the last known content.
//!
//! Invariants
//! D1. Applying a diff to the old result gives the new one: as a set of rows, and as a sequence too
//!     when the query is a window.
//! D2. A diff that would change nothing is `None`.
//! D3. Rows shared by both results (the same `Arc`) cost one pointer comparison.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::util::json::json_eq;

/// One record as the query returns it, `id` included.
pub type Row = Map<String, Value>;

/// A row in both results that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    /// The row before the change.
    pub was: Arc<Row>,
    /// The row after the change.
    pub row: Arc<Row>,
    /// `id`, the fields whose value changed, and `$unset` with the names of those that vanished.
    pub changes: Row,
}

/// What changed between two results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// In the new result only, in its order.
    pub added: Vec<Arc<Row>>,
    pub updated: Vec<Updated>,
    /// In the old result only, as it was.
    pub removed: Vec<Arc<Row>>,
    /// The ids of the whole new window; present when its membership or sequence changed.
    pub order: Option<Vec<String>>,
}

/// Whether a query's result has an order that clients must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No `$order`, `$limit` or `$offset`.
    Set,
    Window,
}

/// The id of a row; rows of a result have one, text without it is the empty id.
#[must_use]
pub fn id_of(row: &Row) -> &str {
    row.get("id").and_then(Value::as_str).unwrap_or("")
}

/// What changed from `old` to `new`; `None` when a client would see no difference.
///
/// Cost: linear in both results; only rows that are not shared are compared.
#[must_use]
pub fn diff(old: &[Arc<Row>], new: &[Arc<Row>], shape: Shape) -> Option<Diff> {
    let before: HashMap<&str, &Arc<Row>> = old.iter().map(|row| (id_of(row), row)).collect();
    let after: HashMap<&str, &Arc<Row>> = new.iter().map(|row| (id_of(row), row)).collect();
    let mut diff = Diff::default();
    for row in new {
        match before.get(id_of(row)) {
            None => diff.added.push(Arc::clone(row)),
            Some(was) if Arc::ptr_eq(was, row) => {}
            Some(was) => {
                if let Some(changes) = row_changes(was, row) {
                    let (was, row) = (Arc::clone(was), Arc::clone(row));
                    diff.updated.push(Updated { was, row, changes });
                }
            }
        }
    }
    diff.removed.extend(old.iter().filter(|row| !after.contains_key(id_of(row))).map(Arc::clone));
    if shape == Shape::Window
        && !old.iter().map(|row| id_of(row)).eq(new.iter().map(|row| id_of(row)))
    {
        diff.order = Some(new.iter().map(|row| id_of(row).to_owned()).collect());
    }
    let empty = diff.added.is_empty()
        && diff.updated.is_empty()
        && diff.removed.is_empty()
        && diff.order.is_none();
    (!empty).then_some(diff)
}

/// The `updated` entry of one row, or `None` when nothing visible changed.
#[must_use]
pub fn row_changes(was: &Row, is: &Row) -> Option<Row> {
    let mut changes = Row::new();
    changes.insert("id".to_owned(), Value::String(id_of(is).to_owned()));
    for (name, value) in is {
        if !was.get(name).is_some_and(|old| json_eq(old, value)) {
            changes.insert(name.clone(), value.clone());
        }
    }
    let unset: Vec<Value> = was
        .keys()
        .filter(|name| !is.contains_key(*name))
        .map(|name| Value::String(name.clone()))
        .collect();
    if !unset.is_empty() {
        changes.insert("$unset".to_owned(), Value::Array(unset));
    }
    (changes.len() > 1).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
    use serde_json::json;

    fn rows(value: Value) -> Vec<Arc<Row>> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|row| Arc::new(row.as_object().unwrap().clone()))
            .collect()
    }

    /// A diff as the documented dialect prints it.
    fn printed(diff: &Diff) -> Value {
        let rows = |rows: &[Arc<Row>]| {
            rows.iter().map(|row| Value::Object(Row::clone(row))).collect::<Vec<_>>()
        };
        let mut out = json!({
            "added": rows(&diff.added),
            "updated": diff.updated.iter().map(|updated| &updated.changes).collect::<Vec<_>>(),
            "removed": diff.removed.iter().map(|row| id_of(row)).collect::<Vec<_>>(),
        });
        if let Some(order) = &diff.order {
            out["order"] = json!(order);
        }
        out
    }

    #[track_caller]
    fn check(old: Value, new: Value, shape: Shape, wanted: Value) {
        let found = diff(&rows(old), &rows(new), shape);
        assert_eq!(found.as_ref().map_or(Value::Null, printed), wanted);
    }

    /// 12.2.
    #[test]
    fn buckets() {
        check(
            json!([{"id": "a", "x": 1}, {"id": "b", "x": 1}]),
            json!([{"id": "a", "x": 1}, {"id": "c", "x": 2, "y": null}]),
            Shape::Set,
            json!({"added": [{"id": "c", "x": 2, "y": null}], "updated": [], "removed": ["b"]}),
        );
        check(
            json!([{"id": "a", "x": 1, "y": 2, "z": {"k": 1, "l": 2}}]),
            json!([{"id": "a", "x": 2, "z": {"l": 2, "k": 1.0}, "n": null}]),
            Shape::Set,
            json!({"added": [], "updated": [{"id": "a", "x": 2, "n": null, "$unset": ["y"]}], "removed": []}),
        );
        check(json!([{"id": "a"}]), json!([{"id": "a"}]), Shape::Window, Value::Null);
        check(json!([]), json!([]), Shape::Window, Value::Null);
        // A moved row is nothing to tell when the query has no order.
        check(
            json!([{"id": "a"}, {"id": "b"}]),
            json!([{"id": "b"}, {"id": "a"}]),
            Shape::Set,
            Value::Null,
        );
        // An expansion that changed comes whole (12.5).
        check(
            json!([{"id": "a", "tags": [{"id": "t", "n": 1}]}]),
            json!([{"id": "a", "tags": [{"id": "t", "n": 2}]}]),
            Shape::Set,
            json!({"added": [], "updated": [{"id": "a", "tags": [{"id": "t", "n": 2}]}], "removed": []}),
        );
    }

    /// Chapter 22, "Window with limit".
    #[test]
    fn the_window_of_the_transcript() {
        let first = json!([{"id": "r1", "p": 5}, {"id": "r2", "p": 4}]);
        let second = json!([{"id": "r4", "p": 9}, {"id": "r1", "p": 5}]);
        check(
            first.clone(),
            second.clone(),
            Shape::Window,
            json!({"added": [{"id": "r4", "p": 9}], "updated": [], "removed": ["r2"], "order": ["r4", "r1"]}),
        );
        check(
            second,
            first.clone(),
            Shape::Window,
            json!({"added": [{"id": "r2", "p": 4}], "updated": [], "removed": ["r4"], "order": ["r1", "r2"]}),
        );
        check(
            first,
            json!([{"id": "r2", "p": 7}, {"id": "r1", "p": 5}]),
            Shape::Window,
            json!({"added": [], "updated": [{"id": "r2", "p": 7}], "removed": [], "order": ["r2", "r1"]}),
        );
        // A pure move: three empty buckets and the order.
        check(
            json!([{"id": "a"}, {"id": "b"}]),
            json!([{"id": "b"}, {"id": "a"}]),
            Shape::Window,
            json!({"added": [], "updated": [], "removed": [], "order": ["b", "a"]}),
        );
    }

    #[test]
    fn full_rows_are_kept_for_the_other_dialects() {
        let (old, new) = (
            rows(json!([{"id": "a", "x": 1}, {"id": "b", "x": 1}])),
            rows(json!([{"id": "a", "x": 2}])),
        );
        let diff = diff(&old, &new, Shape::Set).unwrap();
        assert!(Arc::ptr_eq(&diff.updated[0].row, &new[0]));
        assert!(Arc::ptr_eq(&diff.removed[0], &old[1]));
    }

    /// What a client does with a diff.
    fn apply(old: &[Row], diff: &Value) -> Vec<Row> {
        let mut rows: Vec<Row> = old
            .iter()
            .filter(|row| !diff["removed"].as_array().unwrap().contains(&row["id"]))
            .cloned()
            .collect();
        for changes in diff["updated"].as_array().unwrap() {
            let row = rows.iter_mut().find(|row| row["id"] == changes["id"]).unwrap();
            for (name, value) in changes.as_object().unwrap() {
                match name.as_str() {
                    "$unset" => value.as_array().unwrap().iter().for_each(|name| {
                        row.shift_remove(name.as_str().unwrap());
                    }),
                    _ => {
                        row.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        rows.extend(
            diff["added"].as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()),
        );
        if let Some(order) = diff.get("order").and_then(Value::as_array) {
            rows.sort_by_key(|row| order.iter().position(|id| *id == row["id"]));
        }
        rows
    }

    fn result() -> impl Strategy<Value = Vec<Arc<Row>>> {
        let value = "(1|2|null|\\{\"k\":1\\}|\\[1,2\\])";
        let fields = proptest::collection::hash_map("[xyz]", value, 0..3);
        proptest::collection::vec(("[a-f]", fields), 0..8).prop_map(|written| {
            let mut rows: Vec<Arc<Row>> = Vec::new();
            for (id, fields) in written {
                if rows.iter().any(|row| id_of(row) == id) {
                    continue;
                }
                let mut row = Row::new();
                row.insert("id".to_owned(), Value::String(id));
                for (name, text) in fields {
                    row.insert(name, serde_json::from_str(&text).unwrap());
                }
                rows.push(Arc::new(row));
            }
            rows
        })
    }

    proptest! {
        /// D1, over a chain of results.
        #[test]
        fn initial_and_diffs_give_the_last(results in proptest::collection::vec(result(), 1..5)) {
            for shape in [Shape::Window, Shape::Set] {
                let mut held: Vec<Row> = results[0].iter().map(|row| Row::clone(row)).collect();
                for step in results.windows(2) {
                    if let Some(diff) = diff(&step[0], &step[1], shape) {
                        held = apply(&held, &printed(&diff));
                    }
                    let mut wanted: Vec<Row> = step[1].iter().map(|row| Row::clone(row)).collect();
                    if shape == Shape::Set {
                        let key = |row: &Row| id_of(row).to_owned();
                        held.sort_by_key(key);
                        wanted.sort_by_key(key);
                    }
                    prop_assert_eq!(&held, &wanted);
                }
            }
        }

        /// D2.
        #[test]
        fn no_change_is_no_diff(result in result()) {
            let copy: Vec<Arc<Row>> = result.iter().map(|row| Arc::new(Row::clone(row))).collect();
            prop_assert!(diff(&result, &copy, Shape::Window).is_none());
        }
    }
}
