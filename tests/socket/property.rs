//! Whatever is written, by whoever: at every delivery a subscriber holds what running the query at that `tx` gave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use cairn::engine::tree::{Node, Root};
use cairn::engine::{
    Caller, Engine, EngineOptions, NewRecord, NewTypeInput, RootValue, RowOp, Verb,
};
use cairn::faces::live::query_form::{QueryLimits, parse_query};
use cairn::live::diff::{Diff, Row, id_of};
use cairn::live::fold::fold;
use cairn::live::{Change, Delivery, Hub, RootRows, Sink, Subscription};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use crate::client::PATIENCE;

const NOTE: &str = "com.example/note@1";
const NOTES: usize = 3;

#[derive(Clone, Debug)]
enum Write {
    Row(Verb, usize, usize, Vec<(usize, i64)>),
    Link(Verb, usize, usize),
    /// Of a record of a stack type: content, whom it is shown to, or its end.
    Note(usize, i64),
    Share(usize, bool),
    DeleteNote(usize),
    /// Other rules.
    Rules(usize),
}

/// Rules that let everybody write, and hide rows or fields.
fn rules(which: usize) -> Option<Map<String, Value>> {
    let open =
        |read: Value| json!({ "read": read, "create": true, "update": true, "delete": true });
    let of_t = match which {
        0 => return None,
        1 => json!({ "$where": { "a": { "$gte": 1 } } }),
        2 => json!({ "allow": true, "fields": { "c": { "$where": { "a": 1 } } } }),
        _ => json!({ "$where": { "$or": [{ "b": 0 }, { "id": "$auth.userId" }] } }),
    };
    let document = json!({ "version": 1, "entities": { "t": open(of_t), "*": open(json!(true)) } });
    document.as_object().cloned()
}

fn write() -> impl Strategy<Value = Write> {
    let verb = prop_oneof![3 => Just(Verb::Set), 3 => Just(Verb::Upsert), 2 => Just(Verb::Delete)];
    let fields = proptest::collection::vec((0..3_usize, 0..4_i64), 0..3);
    let link = prop_oneof![2 => Just(Verb::Link), 1 => Just(Verb::Unlink)];
    prop_oneof![
        8 => (verb, 0..2_usize, 0..6_usize, fields).prop_map(|(v, e, id, f)| Write::Row(v, e, id, f)),
        3 => (link, 0..6_usize, 0..6_usize).prop_map(|(v, from, to)| Write::Link(v, from, to)),
        1 => (0..NOTES, 0..4_i64).prop_map(|(note, n)| Write::Note(note, n)),
        2 => (0..NOTES, proptest::bool::ANY).prop_map(|(note, open)| Write::Share(note, open)),
        1 => (0..NOTES).prop_map(Write::DeleteNote),
        1 => (0..4_usize).prop_map(Write::Rules),
    ]
}

fn queries() -> Vec<Vec<Root>> {
    let texts = [
        json!({ "t": {} }),
        json!({ "t": { "$where": { "a": 1 } } }),
        json!({ "t": { "$where": { "$or": [{ "a": { "$gt": 1 } }, { "b": { "$exists": false } }] },
                       "$select": ["a"] } }),
        json!({ "t": { "$order": { "a": "desc" }, "$limit": 2 } }),
        json!({ "t": { "$order": [{ "b": "asc" }, { "a": "desc" }], "$limit": 2, "$offset": 1 } }),
        json!({ "t": { "$where": { "b": { "$lt": 3 } }, "$limit": 3 } }),
        json!({ "t": { "u": {} } }),
        json!({ "t": { "$where": { "a": { "$gte": 1 } }, "u": { "$order": { "a": "asc" }, "$limit": 1 } } }),
        json!({ "t": { "$aggregate": "count", "$where": { "a": 1 } }, "u": { "$where": { "c": 2 } } }),
        json!({ "u": { "$aggregate": { "$sum": "a" } } }),
    ];
    let parsed = texts.iter().map(|text| parse_query(text, QueryLimits::default()).unwrap().roots);
    let notes = |node| vec![Root { entity: "com.example/note".into(), node }];
    let window = Node { limit: Some(2), ..Node::default() };
    parsed.chain([notes(Node::default()), notes(window)]).collect()
}

struct Line(Sender<Delivery>);

impl Sink for Line {
    fn deliver(&self, delivery: Delivery) {
        let _ = self.0.send(delivery);
    }

    fn wants_rows(&self) -> bool {
        true
    }
}

/// What a client holds of one root.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Rows(Vec<Row>),
    Value(Value),
}

impl Held {
    fn of(rows: &RootRows) -> Self {
        match rows {
            RootRows::Rows(rows) => Self::Rows(rows.iter().map(|row| Row::clone(row)).collect()),
            RootRows::Value(value) => Self::Value(value.clone()),
        }
    }

    /// A result without an order is a set.
    fn ordered(self, is_window: bool) -> Self {
        match self {
            Self::Rows(mut rows) if !is_window => {
                rows.sort_by(|a, b| id_of(a).cmp(id_of(b)));
                Self::Rows(rows)
            }
            held => held,
        }
    }
}

/// Applies a difference as a strict client does.
fn apply(rows: &mut Vec<Row>, diff: &Diff) {
    for gone in &diff.removed {
        let place = rows.iter().position(|row| id_of(row) == id_of(gone));
        rows.remove(place.expect("what is removed was there"));
    }
    for updated in &diff.updated {
        let row = rows.iter_mut().find(|row| id_of(row) == id_of(&updated.row));
        let row = row.expect("what is updated is there");
        for (name, value) in &updated.changes {
            if name == "$unset" {
                for name in value.as_array().unwrap() {
                    row.shift_remove(name.as_str().unwrap()).expect("what vanishes was there");
                }
            } else {
                row.insert(name.clone(), value.clone());
            }
        }
    }
    for row in &diff.added {
        assert!(rows.iter().all(|r| id_of(r) != id_of(row)), "what is added was not there");
        rows.push(Row::clone(row));
    }
    if let Some(order) = &diff.order {
        assert_eq!(order.len(), rows.len());
        rows.sort_by_key(|row| order.iter().position(|id| id == id_of(row)).expect("in order"));
    }
}

struct Follower {
    caller: Caller,
    roots: Arc<Vec<Root>>,
    inbox: Receiver<Delivery>,
    _subscription: Subscription,
    /// What the query gave after each unit.
    wanted: HashMap<i64, Vec<Held>>,
}

struct World {
    engine: Engine,
    hub: Hub,
    runtime: tokio::runtime::Runtime,
    notes: Vec<Option<String>>,
    users: [Caller; 2],
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let engine = Engine::open(&path, &EngineOptions::default()).unwrap();
        let hub = Hub::start(engine.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let users = ["did:example:a", "did:example:b"].map(|did| Caller::of(did, did));
        let note = NewTypeInput {
            id: NOTE.into(),
            name: "Note".into(),
            schema: json!({ "n": { "kind": "number" } }).as_object().cloned().unwrap(),
            schema_hash: None,
            migrates_from: None,
            search: None,
        };
        runtime.block_on(engine.register_type(&engine.owner_caller(), note)).unwrap();
        Self { engine, hub, runtime, notes: vec![None; NOTES], users, _folder: folder }
    }

    fn follow(&self, caller: &Caller, roots: Vec<Root>) -> Follower {
        let (out, inbox) = channel();
        let roots = Arc::new(roots);
        let following = self.hub.subscribe(caller, Arc::clone(&roots), None, Arc::new(Line(out)));
        let subscription = self.runtime.block_on(following).unwrap();
        let caller = caller.clone();
        let wanted = HashMap::new();
        Follower { caller, roots, inbox, _subscription: subscription, wanted }
    }

    /// Notes what every query gives now.
    fn look(&self, followers: &mut [Follower]) {
        for follower in followers {
            let run = self.engine.run_tree(&follower.caller, Arc::clone(&follower.roots));
            let answer = self.runtime.block_on(run).unwrap();
            let held = |(place, (_, value)): (usize, (String, RootValue))| {
                let held = match value {
                    RootValue::Rows(rows) => {
                        Held::Rows(rows.into_iter().map(|row| row.fields).collect())
                    }
                    RootValue::Value(value) => Held::Value(value),
                };
                held.ordered(follower.roots[place].node.is_window())
            };
            let held = answer.roots.into_iter().enumerate().map(held).collect();
            follower.wanted.insert(answer.tx, held);
        }
    }

    fn write(&mut self, write: &Write, user: usize) {
        let entity = |entity: &usize| ["t", "u"][*entity].to_owned();
        let op = |verb, entity: String, id: String, data: Map<String, Value>, targets| RowOp {
            verb,
            entity,
            id: Some(id),
            data,
            targets,
            if_tx: None,
        };
        let (engine, owner) = (self.engine.clone(), self.engine.owner_caller());
        match write {
            Write::Row(verb, of, id, fields) => {
                let data = fields.iter().map(|(name, n)| (["a", "b", "c"][*name].into(), json!(n)));
                let op = op(*verb, entity(of), format!("r{id}"), data.collect(), Vec::new());
                let _ = self.runtime.block_on(engine.mutate(&self.users[user], vec![op])).unwrap();
            }
            Write::Link(verb, from, to) => {
                let targets = vec![("u".to_owned(), Some("u".to_owned()), format!("r{to}"))];
                let op = op(*verb, "t".into(), format!("r{from}"), Map::new(), targets);
                let _ = self.runtime.block_on(engine.mutate(&self.users[user], vec![op])).unwrap();
            }
            Write::Note(place, n) => {
                let content = json!({ "n": n }).as_object().cloned().unwrap();
                match &self.notes[*place] {
                    Some(id) => {
                        self.runtime.block_on(engine.update(&owner, id, content, None)).unwrap();
                    }
                    None => {
                        let new =
                            NewRecord { type_id: NOTE.into(), content, ..NewRecord::default() };
                        let made = self.runtime.block_on(engine.create(&owner, new)).unwrap();
                        self.notes[*place] = Some(made.id);
                    }
                }
            }
            Write::Share(place, open) => {
                let Some(id) = &self.notes[*place] else { return };
                let entry = json!({ "access": "entity", "entityId": "did:example:a",
                                    "level": "read" });
                let entries = if *open { vec![entry] } else { Vec::new() };
                self.runtime.block_on(engine.set_permissions(&owner, id, entries, None)).unwrap();
            }
            Write::Rules(which) => {
                self.runtime.block_on(engine.set_rules(&owner, rules(*which))).unwrap();
            }
            Write::DeleteNote(place) => {
                let Some(id) = self.notes[*place].take() else { return };
                self.runtime.block_on(engine.delete(&owner, &id, None)).unwrap();
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.hub.stop();
        self.engine.close();
    }
}

impl Follower {
    /// Takes deliveries until the newest result is held, and judges each of them.
    fn check(&self, last_tx: i64) {
        let windows: Vec<bool> = self.roots.iter().map(|root| root.node.is_window()).collect();
        let ordered = |held: &[Held]| -> Vec<Held> {
            let pairs = held.iter().cloned().zip(&windows);
            pairs.map(|(held, is_window)| held.ordered(*is_window)).collect()
        };
        let next = || {
            let late = |fault| panic!("{fault}: {:?} of {:?}", self.roots, self.caller);
            self.inbox.recv_timeout(PATIENCE).unwrap_or_else(late)
        };
        let Delivery::Initial { tx, roots } = next() else { panic!("a first result") };
        let first: Vec<Held> = roots.iter().map(|(_, rows)| Held::of(rows)).collect();
        let (mut held, mut at) = (first.clone(), tx);
        assert_eq!(ordered(&held), self.wanted[&tx], "{:?}", self.roots);
        // The same as one difference, as a slow reader gets it.
        let mut folded: Option<Arc<Change>> = None;
        let newest = &self.wanted[&last_tx];
        while ordered(&held) != *newest {
            let Delivery::Change(change) = next() else { panic!("a change") };
            assert!(change.tx > at && !change.roots.is_empty());
            at = change.tx;
            tell(&mut held, &change);
            assert_eq!(ordered(&held), self.wanted[&at], "{:?} at {at}", self.roots);
            for root in &change.roots {
                let whole = Held::of(root.rows.as_ref().expect("complete results were asked for"));
                let is_window = windows[root.index];
                assert_eq!(whole.ordered(is_window), ordered(&held)[root.index]);
            }
            folded = match folded {
                None => Some(change),
                Some(was) => fold(&was, &change).map(Arc::new),
            };
        }
        let mut at_once = first;
        if let Some(folded) = folded {
            tell(&mut at_once, &folded);
        }
        assert_eq!(ordered(&at_once), *newest, "joined: {:?}", self.roots);
    }
}

fn tell(held: &mut [Held], change: &Change) {
    for root in &change.roots {
        match (&mut held[root.index], &root.diff, &root.value) {
            (Held::Value(held), _, Some(value)) => *held = value.clone(),
            (Held::Rows(rows), Some(diff), _) => apply(rows, diff),
            other => panic!("a root does not change its kind: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        // A case takes a second when others use the machine.
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn a_subscriber_holds_what_the_query_gives(
        before in proptest::collection::vec(write(), 0..10),
        writes in proptest::collection::vec((write(), 0..2_usize), 1..30),
    ) {
        let mut world = World::new();
        for write in &before {
            world.write(write, 0);
        }
        let owner = world.engine.owner_caller();
        let callers = [world.users[0].clone(), world.users[1].clone(), owner];
        let mut followers: Vec<Follower> = callers
            .iter()
            .flat_map(|caller| queries().into_iter().map(|roots| (caller.clone(), roots)))
            .map(|(caller, roots)| world.follow(&caller, roots))
            .collect();
        world.look(&mut followers);
        for (write, user) in &writes {
            world.write(write, *user);
            world.look(&mut followers);
        }
        let last_tx = world.engine.last_tx();
        for follower in &followers {
            follower.check(last_tx);
        }
    }
}
