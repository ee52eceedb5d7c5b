//! Two changes of one query as one: for subscribers that read too slowly (live 12.7).
//!
//! Pure. Knows differences. Does not know who gets them.
//!
//! Invariants
//! O1. Applying the joined change gives what applying the two in order gives.
//! O2. A row that came and went in between is not mentioned.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::diff::{Diff, Row, Updated, id_of, row_changes};
use super::group::{Change, EncodedCache, RootChange};

/// Joins two changes; `None` when the second undoes the first.
#[must_use]
pub fn fold(earlier: &Change, later: &Change) -> Option<Change> {
    let mut roots: Vec<RootChange> = Vec::with_capacity(earlier.roots.len());
    for was in &earlier.roots {
        match later.roots.iter().find(|is| is.index == was.index) {
            None => roots.push(was.clone()),
            Some(is) => roots.extend(fold_root(was, is)),
        }
    }
    let fresh = later.roots.iter().filter(|is| earlier.roots.iter().all(|w| w.index != is.index));
    roots.extend(fresh.cloned());
    roots.sort_by_key(|root| root.index);
    let encoded = EncodedCache::default();
    (!roots.is_empty()).then_some(Change { tx: later.tx, roots, encoded })
}

/// As [`fold`], for subscribers that get complete results: only those are kept.
#[must_use]
pub fn fold_rows(earlier: &Change, later: &Change) -> Change {
    let fresh = |is: &&RootChange| later.roots.iter().all(|l| l.index != is.index);
    let mut roots: Vec<RootChange> = earlier
        .roots
        .iter()
        .filter(fresh)
        .chain(&later.roots)
        .map(|root| RootChange { diff: None, entity: root.entity.clone(), ..root.clone() })
        .collect();
    roots.sort_by_key(|root| root.index);
    Change { tx: later.tx, roots, encoded: EncodedCache::default() }
}

fn fold_root(was: &RootChange, is: &RootChange) -> Option<RootChange> {
    let diff = match (&was.diff, &is.diff) {
        (Some(was), Some(is)) => Some(fold_diff(was, is)?),
        (was, is) => is.clone().or_else(|| was.clone()),
    };
    Some(RootChange {
        entity: is.entity.clone(),
        index: is.index,
        diff,
        value: is.value.clone().or_else(|| was.value.clone()),
        rows: is.rows.clone().or_else(|| was.rows.clone()),
    })
}

/// Joins two differences; `None` when nothing is left.
#[must_use]
pub fn fold_diff(earlier: &Diff, later: &Diff) -> Option<Diff> {
    // Of each row that either names: what the client has, and what it is to have.
    type Sides<'d> = (Option<&'d Arc<Row>>, Option<&'d Arc<Row>>);
    fn sides(diff: &Diff) -> impl Iterator<Item = Sides<'_>> {
        let removed = diff.removed.iter().map(|row| (Some(row), None));
        let updated = diff.updated.iter().map(|updated| (Some(&updated.was), Some(&updated.row)));
        removed.chain(updated).chain(diff.added.iter().map(|row| (None, Some(row))))
    }
    let mut rows: Vec<Sides<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (was, is) in sides(earlier).chain(sides(later)) {
        let id = was.or(is).map_or("", |row| id_of(row));
        match places.entry(id) {
            Entry::Occupied(place) => rows[*place.get()].1 = is,
            Entry::Vacant(place) => {
                place.insert(rows.len());
                rows.push((was, is));
            }
        }
    }
    let mut folded =
        Diff { order: later.order.clone().or_else(|| earlier.order.clone()), ..Diff::default() };
    for sides in rows {
        match sides {
            (None, None) => {}
            (None, Some(is)) => folded.added.push(Arc::clone(is)),
            (Some(was), None) => folded.removed.push(Arc::clone(was)),
            (Some(was), Some(is)) => {
                if let Some(changes) = row_changes(was, is) {
                    let (was, row) = (Arc::clone(was), Arc::clone(is));
                    folded.updated.push(Updated { was, row, changes });
                }
            }
        }
    }
    if let Some(order) = &folded.order {
        let places: HashMap<&str, usize> =
            order.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        folded.added.sort_by_key(|row| places.get(id_of(row)).copied());
    }
    let empty = folded.added.is_empty()
        && folded.updated.is_empty()
        && folded.removed.is_empty()
        && folded.order.is_none();
    (!empty).then_some(folded)
}

/// About how many bytes of memory a change keeps alive.
#[must_use]
pub fn weight(change: &Change) -> usize {
    let of_row = |row: &Row| object_weight(row);
    let mut bytes = 0;
    for root in &change.roots {
        bytes += root.value.as_ref().map_or(0, value_weight);
        let Some(diff) = &root.diff else { continue };
        bytes += diff.added.iter().chain(&diff.removed).map(|row| of_row(row)).sum::<usize>();
        let of_update = |u: &Updated| of_row(&u.was) + of_row(&u.row) + of_row(&u.changes);
        bytes += diff.updated.iter().map(of_update).sum::<usize>();
        bytes += diff.order.iter().flatten().map(|id| id.len() + 24).sum::<usize>();
    }
    bytes
}

fn object_weight(object: &Map<String, Value>) -> usize {
    object.iter().map(|(name, value)| name.len() + 56 + value_weight(value)).sum()
}

fn value_weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 8,
        Value::Number(_) => 24,
        Value::String(text) => text.len() + 24,
        Value::Array(items) => 32 + items.iter().map(value_weight).sum::<usize>(),
        Value::Object(object) => 64 + object_weight(object),
    }
}

#[cfg(test)]
mod tests {
    use super::super::diff::{Shape, diff};
    use super::*;
    use proptest::prelude::{Strategy, prop_assert_eq, proptest};

    type Rows = Vec<Arc<Row>>;

    /// What a client does with a difference.
    fn apply(old: &[Row], diff: &Diff) -> Vec<Row> {
        let gone = |row: &Row| diff.removed.iter().any(|r| id_of(r) == id_of(row));
        let mut rows: Vec<Row> = old.iter().filter(|row| !gone(row)).cloned().collect();
        for updated in &diff.updated {
            let row = rows.iter_mut().find(|row| id_of(row) == id_of(&updated.row)).unwrap();
            for (name, value) in &updated.changes {
                if name == "$unset" {
                    for name in value.as_array().unwrap() {
                        row.shift_remove(name.as_str().unwrap());
                    }
                } else {
                    row.insert(name.clone(), value.clone());
                }
            }
        }
        rows.extend(diff.added.iter().map(|row| Row::clone(row)));
        if let Some(order) = &diff.order {
            rows.sort_by_key(|row| order.iter().position(|id| id == id_of(row)));
        }
        rows
    }

    fn results() -> impl Strategy<Value = Rows> {
        let fields = proptest::collection::hash_map("[xyz]", 0..3_i64, 0..3);
        proptest::collection::vec(("[a-e]", fields), 0..6).prop_map(|written| {
            let mut rows: Rows = Vec::new();
            for (id, fields) in written {
                if rows.iter().all(|row| id_of(row) != id) {
                    let mut row = Row::new();
                    row.insert("id".to_owned(), id.into());
                    row.extend(fields.into_iter().map(|(name, value)| (name, value.into())));
                    rows.push(Arc::new(row));
                }
            }
            rows
        })
    }

    fn same(shape: Shape, mut a: Vec<Row>, mut b: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
        if shape == Shape::Set {
            a.sort_by_key(|row| id_of(row).to_owned());
            b.sort_by_key(|row| id_of(row).to_owned());
        }
        (a, b)
    }

    proptest! {
        /// O1, over chains of results.
        #[test]
        fn a_folded_chain_gives_the_last(states in proptest::collection::vec(results(), 2..6)) {
            for shape in [Shape::Window, Shape::Set] {
                let mut folded: Option<Diff> = None;
                for step in states.windows(2) {
                    folded = match (folded, diff(&step[0], &step[1], shape)) {
                        (Some(was), Some(is)) => fold_diff(&was, &is),
                        (was, is) => is.or(was),
                    };
                }
                let first: Vec<Row> = states[0].iter().map(|row| Row::clone(row)).collect();
                let last: Vec<Row> = states[states.len() - 1].iter().map(|row| Row::clone(row)).collect();
                let held = folded.map_or(first.clone(), |folded| apply(&first, &folded));
                let (held, last) = same(shape, held, last);
                prop_assert_eq!(held, last);
            }
        }
    }

    #[test]
    fn values_and_roots() {
        let root = |index, value: i64| RootChange {
            entity: "t".into(),
            index,
            diff: None,
            value: Some(value.into()),
            rows: None,
        };
        let change = |tx, roots| Change { tx, roots, encoded: EncodedCache::default() };
        let one = change(1, vec![root(1, 5), root(2, 1)]);
        let two = change(2, vec![root(0, 7), root(2, 2)]);
        let folded = fold(&one, &two).unwrap();
        assert_eq!(folded.tx, 2);
        let told: Vec<_> = folded.roots.iter().map(|r| (r.index, r.value.clone())).collect();
        assert_eq!(told, [(0, Some(7.into())), (1, Some(5.into())), (2, Some(2.into()))]);
        assert_eq!(fold_rows(&one, &two).roots.len(), 3);
        assert!(weight(&folded) > 0);
    }
}
