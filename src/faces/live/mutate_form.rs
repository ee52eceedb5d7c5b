//! The operations of a transaction (live 9.1, 9.2), in every spelling, as typed [`Mutation`]s.
//!
//! Knows shapes, names and the number of operations. Does not know which records exist: conflicts,
//! missing records and rights are found when the transaction runs.
//!
//! Invariants
//! M1. Nothing is returned unless every operation is well formed; all faults come together, each
//!     with its place (`ops[2].entity`).
//! M2. `data` of a returned operation holds no `id`; its field names are valid.

use serde_json::{Map, Value};

use super::fault::{Details, FormFault, quoted};
use super::names::{is_entity, is_field, is_id};

/// Operations of one transaction.
pub const OPS_MAX: usize = 1_000;
/// Edges that one `link` or `unlink` may name.
pub const EDGES_MAX: usize = 1_000;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The verb as sent, which the result echoes.
    pub verb: String,
    pub entity: String,
    pub action: Action,
    /// The transaction that last changed the record must be this one; 0 when it must not exist.
    pub if_tx: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create, or replace the whole record.
    Set {
        id: Option<String>,
        data: Map<String, Value>,
    },
    /// Create; an existing id is a conflict.
    Insert {
        id: Option<String>,
        data: Map<String, Value>,
    },
    /// Merge shallowly into an existing record.
    Merge {
        id: String,
        data: Map<String, Value>,
    },
    /// Merge if present, else create.
    Upsert {
        id: Option<String>,
        data: Map<String, Value>,
    },
    /// Remove; a missing record is no fault.
    Delete {
        id: String,
    },
    Link {
        id: String,
        edges: Vec<Edge>,
    },
    Unlink {
        id: String,
        edges: Vec<Edge>,
    },
}

/// One edge from the record of the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub label: String,
    pub id: String,
    /// The entity of the target. `None`: the entity called like the label if it has the id, else
    /// the one that has it.
    pub entity: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Set,
    Insert,
    Merge,
    Upsert,
    Delete,
    Link,
    Unlink,
}

impl Verb {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "set" => Self::Set,
            "insert" | "create" => Self::Insert,
            "merge" | "update" => Self::Merge,
            "upsert" => Self::Upsert,
            "delete" | "retract" => Self::Delete,
            "link" => Self::Link,
            "unlink" => Self::Unlink,
            _ => return None,
        })
    }
}

/// Reads the body of `/api/mutate`: `ops` (or `mutations`).
///
/// # Errors
/// [`FormFault::InvalidArgument`] with a detail for every fault.
pub fn parse_mutations(body: &Value) -> Result<Vec<Mutation>, FormFault> {
    let body = body
        .as_object()
        .ok_or_else(|| FormFault::invalid("a transaction must be an object with ops"))?;
    let ops = body.get("ops").or_else(|| body.get("mutations"));
    let ops = ops.ok_or_else(|| FormFault::at("ops", "is required"))?;
    parse_ops(ops)
}

/// Reads the list of operations itself.
///
/// # Errors
/// As [`parse_mutations`].
pub fn parse_ops(ops: &Value) -> Result<Vec<Mutation>, FormFault> {
    let ops = match ops {
        Value::Array(ops) if ops.is_empty() => {
            return Err(FormFault::at("ops", "must hold at least one operation"));
        }
        Value::Array(ops) if ops.len() > OPS_MAX => {
            return Err(FormFault::at(
                "ops",
                format!("may hold {OPS_MAX} operations, got {}", ops.len()),
            ));
        }
        Value::Array(ops) => ops,
        _ => return Err(FormFault::at("ops", "must be an array")),
    };
    let mut faults = Details::default();
    let mutations: Vec<Mutation> = ops
        .iter()
        .enumerate()
        .filter_map(|(n, op)| read_op(&format!("ops[{n}]"), op, &mut faults))
        .collect();
    faults.into_first()?;
    Ok(mutations)
}

/// `None` after noting at least one fault.
fn read_op(at: &str, op: &Value, faults: &mut Details) -> Option<Mutation> {
    let Value::Object(op) = op else {
        faults.push(at, "must be an object");
        return None;
    };
    // Every part is read before giving up, so that all faults are told at once.
    let verb = read_verb(at, op, faults);
    let entity = read_entity(at, op, faults);
    let if_tx = read_if_tx(at, op, faults);
    let id = read_id(&format!("{at}.id"), op.get("id"), faults);
    let (verb, name) = verb?;
    let action = match verb {
        Verb::Link | Verb::Unlink => {
            let edges = read_edges(at, op, faults);
            let id = required(at, id, faults)?;
            match verb {
                Verb::Link => Action::Link { id, edges: edges? },
                _ => Action::Unlink { id, edges: edges? },
            }
        }
        Verb::Delete => {
            let inside = op.get("data").and_then(|data| data.get("id"));
            let id = match id? {
                Some(id) => Some(id),
                None => read_id(&format!("{at}.data.id"), inside, faults)?,
            };
            Action::Delete { id: required(at, Some(id), faults)? }
        }
        Verb::Set | Verb::Insert | Verb::Merge | Verb::Upsert => {
            let data = read_data(&format!("{at}.data"), op.get("data"), faults);
            let (id, mut data) = (id?, data?);
            let inside = read_id(&format!("{at}.data.id"), data.get("id"), faults)?;
            data.shift_remove("id");
            if id.is_some() && inside.is_some() && id != inside {
                faults.push(format!("{at}.data.id"), "must equal the id of the operation");
                return None;
            }
            let id = id.or(inside);
            match verb {
                Verb::Set => Action::Set { id, data },
                Verb::Insert => Action::Insert { id, data },
                Verb::Upsert => Action::Upsert { id, data },
                _ => Action::Merge { id: required(at, Some(id), faults)?, data },
            }
        }
    };
    Some(Mutation { verb: name.to_owned(), entity: entity?, action, if_tx: if_tx? })
}

fn read_verb<'o>(
    at: &str,
    op: &'o Map<String, Value>,
    faults: &mut Details,
) -> Option<(Verb, &'o str)> {
    let sent = ["op", "kind", "action"].into_iter().find_map(|key| op.get(key));
    let name = sent.and_then(Value::as_str);
    let verb = name.and_then(|name| Some((Verb::named(name)?, name)));
    if verb.is_none() {
        let message = match name {
            Some(name) => format!("unknown operation {:?}", quoted(name)),
            None => "is required".to_owned(),
        };
        faults.push(format!("{at}.op"), message);
    }
    verb
}

fn read_entity(at: &str, op: &Map<String, Value>, faults: &mut Details) -> Option<String> {
    let sent = ["entity", "type", "collection"].into_iter().find_map(|key| op.get(key));
    match sent.and_then(Value::as_str) {
        Some(name) if is_entity(name) => Some(name.to_owned()),
        Some(name) => {
            faults.push(
                format!("{at}.entity"),
                format!("{:?} is not the name of an entity", quoted(name)),
            );
            None
        }
        None => {
            faults.push(format!("{at}.entity"), "is required");
            None
        }
    }
}

fn read_if_tx(at: &str, op: &Map<String, Value>, faults: &mut Details) -> Option<Option<i64>> {
    match op.get("ifTx") {
        None | Some(Value::Null) => Some(None),
        Some(value) => {
            let tx = value.as_i64().filter(|tx| *tx >= 0);
            if tx.is_none() {
                faults.push(format!("{at}.ifTx"), "must be a transaction number");
            }
            tx.map(Some)
        }
    }
}

/// `Some(None)` when there is none; `None` after noting a fault.
fn read_id(at: &str, sent: Option<&Value>, faults: &mut Details) -> Option<Option<String>> {
    match sent {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(id)) if is_id(id) => Some(Some(id.clone())),
        Some(_) => {
            faults.push(at, "is not a valid id");
            None
        }
    }
}

fn required(at: &str, id: Option<Option<String>>, faults: &mut Details) -> Option<String> {
    let id = id?;
    if id.is_none() {
        faults.push(format!("{at}.id"), "is required");
    }
    id
}

/// The fields of a record as a client sent them; used by the data addresses too.
///
/// Returns `None` after noting at least one fault. An `id` is left inside.
pub fn read_data(
    at: &str,
    sent: Option<&Value>,
    faults: &mut Details,
) -> Option<Map<String, Value>> {
    let Some(Value::Object(data)) = sent else {
        faults.push(at, "must be an object");
        return None;
    };
    let mut fine = true;
    for name in data.keys().filter(|name| !is_field(name)) {
        faults.push(format!("{at}.{}", quoted(name)), "is not a valid field name");
        fine = false;
    }
    fine.then(|| data.clone())
}

fn read_edges(at: &str, op: &Map<String, Value>, faults: &mut Details) -> Option<Vec<Edge>> {
    if let Some(target) = op.get("target").filter(|target| !target.is_null()) {
        let entity = target.get("entity").and_then(Value::as_str).filter(|name| is_entity(name));
        let id = target.get("id").and_then(Value::as_str).filter(|id| is_id(id));
        if entity.is_none() {
            faults.push(format!("{at}.target.entity"), "must be the name of an entity");
        }
        if id.is_none() {
            faults.push(format!("{at}.target.id"), "must be an id");
        }
        let (entity, id) = (entity?.to_owned(), id?.to_owned());
        return Some(vec![Edge { label: entity.clone(), id, entity: Some(entity) }]);
    }
    let Some(Value::Object(labels)) = op.get("data") else {
        faults.push(format!("{at}.target"), "is required, or data with labels and ids");
        return None;
    };
    let (mut edges, mut fine) = (Vec::new(), true);
    for (label, ids) in labels {
        let at = format!("{at}.data.{}", quoted(label));
        let ids = match ids {
            Value::Array(ids) => ids.as_slice(),
            one => std::slice::from_ref(one),
        };
        let valid = ids.iter().all(|id| id.as_str().is_some_and(is_id));
        if !is_field(label) || !valid {
            faults.push(at, "must be a label with an id or a list of ids");
            fine = false;
        } else if edges.len() + ids.len() > EDGES_MAX {
            faults.push(at, format!("one operation may name {EDGES_MAX} edges"));
            return None;
        } else {
            edges.extend(ids.iter().filter_map(Value::as_str).map(|id| Edge {
                label: label.clone(),
                id: id.to_owned(),
                entity: None,
            }));
        }
    }
    if fine && edges.is_empty() {
        faults.push(format!("{at}.data"), "names no edge");
        return None;
    }
    fine.then_some(edges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn one(op: Value) -> Mutation {
        parse_mutations(&json!({"ops": [op]})).unwrap_or_else(|fault| panic!("{fault:?}")).remove(0)
    }

    fn places(body: &Value) -> Vec<String> {
        match parse_mutations(body) {
            Err(FormFault::InvalidArgument { details, message }) => {
                assert!(message.starts_with(&details[0].field), "{message}");
                details.into_iter().map(|detail| detail.field).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The example of 9.1.
    #[test]
    fn the_example_of_the_protocol() {
        let mutations = parse_mutations(&json!({"ops": [
            {"entity": "todos", "id": "a", "op": "set", "data": {"title": "New", "done": false}},
            {"entity": "todos", "id": "b", "op": "merge", "data": {"done": true}},
            {"entity": "todos", "id": "c", "op": "delete"}
        ]}))
        .unwrap();
        let actions: Vec<&Action> = mutations.iter().map(|mutation| &mutation.action).collect();
        assert_eq!(
            actions,
            [
                &Action::Set {
                    id: Some("a".to_owned()),
                    data: object(json!({"title": "New", "done": false}))
                },
                &Action::Merge { id: "b".to_owned(), data: object(json!({"done": true})) },
                &Action::Delete { id: "c".to_owned() },
            ]
        );
        assert!(mutations.iter().all(|mutation| mutation.entity == "todos"));
    }

    #[test]
    fn synonyms_mean_the_same_and_the_verb_is_kept() {
        let wanted = one(json!({"entity": "t", "op": "insert", "data": {"a": 1}}));
        assert_eq!(wanted.action, Action::Insert { id: None, data: object(json!({"a": 1})) });
        for op in [
            json!({"type": "t", "kind": "insert", "data": {"a": 1}}),
            json!({"collection": "t", "action": "insert", "data": {"a": 1}, "id": null}),
        ] {
            assert_eq!(one(op.clone()), wanted, "{op}");
        }
        let listed = parse_mutations(
            &json!({"mutations": [{"op": "insert", "entity": "t", "data": {"a": 1}}]}),
        );
        assert_eq!(listed, Ok(vec![wanted.clone()]));
        let create = one(json!({"entity": "t", "op": "create", "data": {"a": 1}}));
        assert_eq!((create.verb.as_str(), &create.action), ("create", &wanted.action));
        for (sent, same) in [("update", "merge"), ("retract", "delete")] {
            let op = |verb: &str| one(json!({"entity": "t", "op": verb, "id": "a", "data": {}}));
            assert_eq!(op(sent).action, op(same).action);
            assert_eq!(op(sent).verb, sent);
        }
    }

    #[test]
    fn the_id_may_stand_in_the_data() {
        let op = one(json!({"entity": "t", "op": "set", "data": {"a": 1, "id": "x", "b": 2}}));
        let Action::Set { id, data } = op.action else { panic!() };
        assert_eq!(id.as_deref(), Some("x"));
        assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "b"]);
        let op = one(json!({"entity": "t", "op": "merge", "id": "x", "data": {"id": "x"}}));
        assert_eq!(op.action, Action::Merge { id: "x".to_owned(), data: Map::new() });
        let op = one(json!({"entity": "t", "op": "delete", "data": {"id": "x"}}));
        assert_eq!(op.action, Action::Delete { id: "x".to_owned() });
        let other = json!({"ops": [{"entity": "t", "op": "set", "id": "y", "data": {"id": "x"}}]});
        assert_eq!(places(&other), ["ops[0].data.id"]);
    }

    #[test]
    fn links_in_both_spellings() {
        let edge = |label: &str, id: &str, entity: Option<&str>| Edge {
            label: label.to_owned(),
            id: id.to_owned(),
            entity: entity.map(str::to_owned),
        };
        let op = one(
            json!({"entity": "t", "id": "a", "op": "link", "target": {"entity": "users", "id": "u"}}),
        );
        let edges = vec![edge("users", "u", Some("users"))];
        assert_eq!(op.action, Action::Link { id: "a".to_owned(), edges });
        let op = one(
            json!({"entity": "t", "id": "a", "op": "unlink", "data": {"owner": "u", "tags": ["x", "y"]}}),
        );
        let edges =
            vec![edge("owner", "u", None), edge("tags", "x", None), edge("tags", "y", None)];
        assert_eq!(op.action, Action::Unlink { id: "a".to_owned(), edges });
    }

    #[test]
    fn preconditions() {
        let op = one(json!({"entity": "t", "op": "set", "id": "a", "data": {}, "ifTx": 0}));
        assert_eq!(op.if_tx, Some(0));
        for tx in [json!(-1), json!("1"), json!(1.5)] {
            let body = json!({"ops": [{"entity": "t", "op": "set", "data": {}, "ifTx": tx}]});
            assert_eq!(places(&body), ["ops[0].ifTx"]);
        }
    }

    #[test]
    fn every_fault_has_its_place() {
        let cases = [
            (json!({}), vec!["ops"]),
            (json!({"ops": []}), vec!["ops"]),
            (json!({"ops": {}}), vec!["ops"]),
            (json!({"ops": [1]}), vec!["ops[0]"]),
            (json!({"ops": [{}]}), vec!["ops[0].op", "ops[0].entity"]),
            (
                json!({"ops": [{"entity": "t", "op": "insert", "data": {}}, {"entity": "a b", "op": "zap"}]}),
                vec!["ops[1].op", "ops[1].entity"],
            ),
            (json!({"ops": [{"entity": "tx", "op": "set", "data": {}}]}), vec!["ops[0].entity"]),
            (json!({"ops": [{"entity": "t", "op": "set"}]}), vec!["ops[0].data"]),
            (json!({"ops": [{"entity": "t", "op": "set", "data": []}]}), vec!["ops[0].data"]),
            (
                json!({"ops": [{"entity": "t", "op": "set", "id": "a/b", "data": {"$x": 1, "": 2}}]}),
                vec!["ops[0].id", "ops[0].data.$x", "ops[0].data."],
            ),
            (
                json!({"ops": [{"entity": "t", "op": "set", "data": {"id": 7}}]}),
                vec!["ops[0].data.id"],
            ),
            (json!({"ops": [{"entity": "t", "op": "merge", "data": {}}]}), vec!["ops[0].id"]),
            (json!({"ops": [{"entity": "t", "op": "delete"}]}), vec!["ops[0].id"]),
            (json!({"ops": [{"entity": "t", "op": "delete", "id": 1}]}), vec!["ops[0].id"]),
            (json!({"ops": [{"entity": "t", "op": "link", "id": "a"}]}), vec!["ops[0].target"]),
            (
                json!({"ops": [{"entity": "t", "op": "link", "target": {}}]}),
                vec!["ops[0].target.entity", "ops[0].target.id", "ops[0].id"],
            ),
            (
                json!({"ops": [{"entity": "t", "op": "link", "id": "a", "data": {"l": 1}}]}),
                vec!["ops[0].data.l"],
            ),
            (
                json!({"ops": [{"entity": "t", "op": "link", "id": "a", "data": {}}]}),
                vec!["ops[0].data"],
            ),
            (json!({"ops": [{"entity": "t", "op": 1}]}), vec!["ops[0].op"]),
        ];
        for (body, wanted) in cases {
            assert_eq!(places(&body), wanted, "{body}");
        }
        assert!(parse_mutations(&json!([])).is_err());
    }

    #[test]
    fn limits() {
        let body =
            |n: usize| json!({"ops": vec![json!({"entity": "t", "op": "delete", "id": "a"}); n]});
        assert_eq!(parse_mutations(&body(OPS_MAX)).unwrap().len(), OPS_MAX);
        assert_eq!(places(&body(OPS_MAX + 1)), ["ops"]);
        let many = json!({"ops": vec![json!(1); OPS_MAX]});
        assert_eq!(places(&many).len(), crate::faces::live::fault::DETAILS_MAX);
        let edges = |n: usize| json!({"ops": [{"entity": "t", "op": "link", "id": "a", "data": {"l": vec!["x"; n]}}]});
        assert!(parse_mutations(&edges(EDGES_MAX)).is_ok());
        assert_eq!(places(&edges(EDGES_MAX + 1)), ["ops[0].data.l"]);
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "(set|insert|merge|delete|link|t|a b|)".prop_map(Value::from),
        ];
        let key = "(ops|op|kind|entity|type|id|data|target|ifTx|\\$x)";
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((key, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// An operation is either returned or at fault, never dropped.
        #[test]
        fn nothing_is_lost(ops in proptest::collection::vec(anything(), 1..4)) {
            if let Ok(read) = parse_mutations(&json!({"ops": ops})) {
                assert_eq!(read.len(), ops.len());
            }
        }
    }
}
