//! The hub over a real engine: what a subscriber is told, in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Map, Value, json};

use super::{Delivery, Hub, RootRows, Sink};
use crate::engine::tree::{Node, Root};
use crate::engine::{Caller, Engine, EngineOptions, RowOp, Verb};
use crate::schema::filter::{FieldPath, Filter, Operand, OrderDirection, OrderKey, Test};

struct Inbox(Sender<Delivery>);

impl Sink for Inbox {
    fn deliver(&self, delivery: Delivery) {
        let _ = self.0.send(delivery);
    }
}

struct Stage {
    _folder: tempfile::TempDir,
    engine: Engine,
    hub: Hub,
    runtime: tokio::runtime::Runtime,
    user: Caller,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine =
            Engine::open(&folder.path().join("a.cairn"), &EngineOptions::default()).unwrap();
        let hub = Hub::start(engine.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let user = Caller::of("did:example:u", "did:example:u");
        Self { _folder: folder, engine, hub, runtime, user }
    }

    fn write(&self, verb: Verb, id: &str, data: Value) -> i64 {
        let data: Map<String, Value> = data.as_object().cloned().unwrap();
        let (entity, targets) = ("t".to_owned(), Vec::new());
        let op = RowOp { verb, entity, id: Some(id.into()), data, targets, if_tx: None };
        self.runtime.block_on(self.engine.mutate(&self.user, vec![op])).unwrap().unwrap().tx
    }

    fn follow(&self, node: Node, since: Option<i64>) -> (super::Subscription, Receiver<Delivery>) {
        let (out, inbox) = channel();
        let roots = Arc::new(vec![Root { entity: "t".into(), node }]);
        let sink = Arc::new(Inbox(out));
        let subscription =
            self.runtime.block_on(self.hub.subscribe(&self.user, roots, since, sink)).unwrap();
        (subscription, inbox)
    }
}

/// `tx`, ids added, ids or fields updated, ids removed, order.
fn told(delivery: Delivery) -> Value {
    let ids = |rows: &[Arc<super::diff::Row>]| {
        rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    match delivery {
        Delivery::Initial { tx, roots } => match &roots[0].1 {
            RootRows::Rows(rows) => json!({ "init": ids(rows), "tx": tx }),
            RootRows::Value(value) => json!({ "init": value, "tx": tx }),
        },
        Delivery::Change(change) => one(&change, ids),
        Delivery::Resumed { since, change } => {
            let mut told = one(&change, ids);
            told["since"] = json!(since);
            told
        }
        Delivery::Failed(error) => json!({ "failed": error.to_string() }),
    }
}

fn one(change: &super::Change, ids: impl Fn(&[Arc<super::diff::Row>]) -> Vec<Value>) -> Value {
    let Some(root) = change.roots.first() else { return json!({ "tx": change.tx }) };
    let Some(diff) = &root.diff else { return json!({ "value": root.value, "tx": change.tx }) };
    let updated: Vec<&super::diff::Row> = diff.updated.iter().map(|u| &u.changes).collect();
    let mut told = json!({ "added": ids(&diff.added), "updated": updated,
                           "removed": ids(&diff.removed), "tx": change.tx });
    if let Some(order) = &diff.order {
        told["order"] = json!(order);
    }
    told
}

fn next(inbox: &Receiver<Delivery>) -> Value {
    told(inbox.recv_timeout(std::time::Duration::from_secs(20)).expect("a delivery"))
}

fn field(name: &str) -> Operand {
    Operand::Field(FieldPath(name.into()))
}

/// Every run of a query counts, also those nobody asked for by a request (live 16.3).
#[test]
fn runs_are_counted() {
    let s = Stage::new();
    let statistics = Arc::new(super::statistics::Statistics::new(s.engine.clock().clone()));
    let hub = Hub::counting(s.engine.clone(), Arc::clone(&statistics)).unwrap();
    let (out, inbox) = channel();
    let node = Node { limit: Some(2), ..Node::default() };
    let roots = Arc::new(vec![Root { entity: "t".into(), node }]);
    let followed = hub.subscribe(&s.user, roots, None, Arc::new(Inbox(out)));
    let _subscription = s.runtime.block_on(followed).unwrap();
    next(&inbox);
    assert_eq!(statistics.queries().total, 1);
    s.write(Verb::Set, "a", json!({}));
    next(&inbox);
    assert_eq!(statistics.queries().total, 2);
}

/// Entering and leaving the filter, as the protocol's transcript tells it.
#[test]
fn rows_enter_and_leave_a_filter() {
    let s = Stage::new();
    s.write(Verb::Set, "x", json!({ "done": true }));
    let open = Filter::Is(field("done"), Test::Equal(json!(false)));
    let (_kept, inbox) = s.follow(Node { filter: open, ..Node::default() }, None);
    assert_eq!(next(&inbox)["init"], json!([]));
    let a = s.write(Verb::Merge, "x", json!({ "done": false }));
    let b = s.write(Verb::Merge, "x", json!({ "title": "t" }));
    let c = s.write(Verb::Merge, "x", json!({ "done": true }));
    s.write(Verb::Merge, "x", json!({ "title": "u" }));
    let d = s.write(Verb::Set, "y", json!({ "done": false }));
    assert_eq!(next(&inbox), json!({ "added": ["x"], "updated": [], "removed": [], "tx": a }));
    let title = json!([{ "id": "x", "title": "t" }]);
    assert_eq!(next(&inbox), json!({ "added": [], "updated": title, "removed": [], "tx": b }));
    assert_eq!(next(&inbox), json!({ "added": [], "updated": [], "removed": ["x"], "tx": c }));
    assert_eq!(next(&inbox), json!({ "added": ["y"], "updated": [], "removed": [], "tx": d }));
}

/// The window refills from beyond its limit, and what happens outside is not told.
#[test]
fn a_window_refills() {
    let s = Stage::new();
    for (id, p) in [("r1", 5), ("r2", 4), ("r3", 3)] {
        s.write(Verb::Set, id, json!({ "p": p }));
    }
    let order = vec![OrderKey { operand: field("p"), direction: OrderDirection::Descending }];
    let (_kept, inbox) = s.follow(Node { order, limit: Some(2), ..Node::default() }, None);
    assert_eq!(next(&inbox)["init"], json!(["r1", "r2"]));
    s.write(Verb::Set, "r4", json!({ "p": 9 }));
    let told = next(&inbox);
    assert_eq!((&told["added"], &told["removed"]), (&json!(["r4"]), &json!(["r2"])));
    assert_eq!(told["order"], json!(["r4", "r1"]));
    s.write(Verb::Delete, "r4", json!({}));
    assert_eq!(next(&inbox)["order"], json!(["r1", "r2"]));
    s.write(Verb::Merge, "r3", json!({ "p": 1 }));
    s.write(Verb::Merge, "r2", json!({ "p": 7 }));
    let told = next(&inbox);
    assert_eq!(told["updated"], json!([{ "id": "r2", "p": 7 }]));
    assert_eq!(told["order"], json!(["r2", "r1"]));
}

/// Who names the last unit it knows gets the difference, not the world.
#[test]
fn resuming_tells_the_difference() {
    let s = Stage::new();
    s.write(Verb::Set, "a", json!({ "n": 1 }));
    let known = s.write(Verb::Set, "b", json!({ "n": 1 }));
    s.write(Verb::Delete, "a", json!({}));
    s.write(Verb::Merge, "b", json!({ "n": 2 }));
    let last = s.write(Verb::Set, "c", json!({ "n": 3 }));
    let (_kept, inbox) = s.follow(Node::default(), Some(known));
    let told = next(&inbox);
    assert_eq!(
        told,
        json!({ "since": known, "tx": last, "added": ["c"], "removed": ["a"],
                             "updated": [{ "id": "b", "n": 2 }] })
    );
    drop(_kept);
    s.write(Verb::Set, "d", json!({}));
    let (_again, inbox) = s.follow(Node::default(), None);
    assert_eq!(next(&inbox)["init"], json!(["b", "c", "d"]));
    assert_eq!(s.hub.subscriptions(), 1);
}

/// Other rules are in force for what is followed already, without anybody telling the hub.
#[test]
fn other_rules_reach_live_queries() {
    let s = Stage::new();
    s.write(Verb::Set, "a", json!({ "open": true }));
    s.write(Verb::Set, "b", json!({ "open": false }));
    let (_kept, inbox) = s.follow(Node::default(), None);
    assert_eq!(next(&inbox)["init"], json!(["a", "b"]));
    let set = |rules: Value| {
        let document = json!({ "entities": { "t": rules } }).as_object().cloned();
        s.runtime.block_on(s.engine.set_rules(&s.engine.owner_caller(), document)).unwrap();
    };
    set(json!({ "read": { "$where": { "open": true } } }));
    assert_eq!(next(&inbox)["removed"], json!(["b"]));
    set(json!({ "read": true }));
    assert_eq!(next(&inbox)["added"], json!(["b"]));
    set(json!({ "read": false }));
    assert_eq!(next(&inbox), json!({ "failed": "not allowed" }));
}

/// A query of a collection that nobody made yet obeys the rules from its first row on.
#[test]
fn a_collection_to_be_is_ruled_too() {
    let s = Stage::new();
    let rules = json!({ "entities": { "*": { "create": true, "update": true,
        "read": { "$where": { "open": true } } } } });
    let document = rules.as_object().cloned();
    s.runtime.block_on(s.engine.set_rules(&s.engine.owner_caller(), document)).unwrap();
    let (_kept, inbox) = s.follow(Node::default(), None);
    assert_eq!(next(&inbox)["init"], json!([]));
    s.write(Verb::Set, "a", json!({ "open": false }));
    let tx = s.write(Verb::Set, "b", json!({ "open": true }));
    let told = next(&inbox);
    assert_eq!(told, json!({ "added": ["b"], "updated": [], "removed": [], "tx": tx }));
}

/// Two changes of rules, one right after the other: differences, and no second first result.
#[test]
fn rules_that_change_twice_are_told_as_differences() {
    let s = Stage::new();
    s.write(Verb::Set, "a", json!({ "n": 1 }));
    s.write(Verb::Set, "b", json!({ "n": 2 }));
    let (_kept, inbox) = s.follow(Node::default(), None);
    assert_eq!(next(&inbox)["init"], json!(["a", "b"]));
    for n in [1, 2, 1, 2] {
        let rules = json!({ "entities": { "t": { "read": { "$where": { "n": n } } } } });
        let document = rules.as_object().cloned();
        s.runtime.block_on(s.engine.set_rules(&s.engine.owner_caller(), document)).unwrap();
    }
    let mut held = vec!["a".to_owned(), "b".to_owned()];
    while held != ["b"] {
        let told = next(&inbox);
        let ids = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        held.retain(|id| !ids(&told["removed"]).contains(id));
        held.extend(ids(&told["added"]));
    }
}
