//! Pages against the in-memory evaluator: filters, orders, search, time travel; and the plans SQLite makes.
//!
//! tidy: sql: reads plans only

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::Map;

use super::*;
use crate::schema::filter::{Comparison, FieldPath, OrderDirection, compare};
use crate::schema::words::text_of;
use crate::schema::{Schema, TypeId};
use crate::store::types::NewType;
use crate::store::{Actor, AssociationKind, AssociationRow, Op, Options, Unit};
use crate::util::clock::Clock;

fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

struct Fixture {
    store: Store,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, _) = Clock::manual(1_700_000_000_000);
        let options = Options {
            clock,
            query_threads: 1,
            durability: crate::store::Durability::Normal,
            ..Options::default()
        };
        let store = Store::open(&directory.path().join("t.cairn"), &options).unwrap();
        Self { store, _directory: directory }
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T> + Send + 'static,
    ) -> T {
        self.store.write_blocking(work).unwrap()
    }

    fn add_type(&self, base: &str, schema: &'static str, search: bool) -> TypeRowId {
        let base = base.to_owned();
        self.write(move |unit| {
            let info = unit.insert_type(NewType {
                id: TypeId::new(base, 1),
                name: String::new(),
                schema: Schema::parse_text(schema).unwrap(),
                schema_text: schema.to_owned(),
                schema_hash: String::new(),
                migrates_from: None,
                search,
                collection_config: None,
                created_at: None,
            })?;
            Ok(info.row_id)
        })
    }

    fn find(&self, find: &Find) -> Vec<RecordRow> {
        self.store.read(|view| view.find(find)).unwrap()
    }

    fn rids(&self, find: &Find) -> Vec<i64> {
        self.find(find).iter().map(|row| row.rid).collect()
    }

    fn plan(&self, find: &Find) -> Vec<String> {
        self.store.read(|view| view.explain_find(find)).unwrap().1
    }
}

fn all() -> Find {
    Find {
        scope: Scope { all: true, ..Scope::default() },
        sort: SortKey::Id,
        direction: Direction::Ascending,
        limit: 10_000,
        ..Find::default()
    }
}

fn row(rid: i64, type_id: i64, content: &Map<String, Value>) -> RecordRow {
    RecordRow {
        rid,
        type_id,
        version: 1,
        tx: 0,
        created_at: 1_000 + rid % 7,
        updated_at: 2_000 + rid % 5,
        deleted_at: None,
        subject: None,
        principal: None,
        app: None,
        parent: None,
        alias: None,
        permissions: None,
        associations: None,
        content: Value::Object(content.clone()).to_string(),
    }
}

fn create(unit: &mut Unit<'_>, mut row: RecordRow) -> Result<()> {
    row.tx = unit.tx();
    unit.insert_record(&row)?;
    unit.append_change(row.rid, 1, Op::Create, Actor::default(), None)
}

// ---- random contents and conditions -------------------------------------------------------------------------------

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "1.0",
    "10e-1",
    "2",
    "100",
    "1e2",
    "-3",
    "0.1",
    "0.10",
    "0.10000000000000000001",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "12345678901234567890123",
    "1e400",
    "-1e400",
    "5e-324",
    "1.5",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "abc",
    "b",
    "é",
    "É",
    "10",
    "1",
    "%",
    "_",
    "x\u{0}y",
    "x",
    "😀",
    "\u{e000}",
    "true",
    "{\"a\":1}",
    "[1]",
    "a b",
    "null",
];
const FIELDS: &[&str] = &["a", "b", "c", "a.b", "a.0", "a.b.c", "createdAt", "we\"ird", "", "ü"];

fn number() -> impl Strategy<Value = Value> {
    prop::sample::select(NUMBERS).prop_map(|text| json::parse(text.as_bytes()).unwrap())
}

fn scalar_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => number(),
        4 => prop::sample::select(TEXTS).prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar_value().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&["a", "b", "b.c", "c"][..]), inner), 0..3)
                .prop_map(|members| {
                    Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                }),
        ]
    })
}

fn contents() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((prop::sample::select(FIELDS), value()), 0..6)
        .prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        10 => prop::sample::select(FIELDS).prop_map(|f| Operand::Field(FieldPath(f.to_owned()))),
        2 => prop::sample::select(FIELDS).prop_map(|f| Operand::Key(f.to_owned())),
        1 => Just(Operand::Id),
        1 => Just(Operand::CreatedAt),
        1 => Just(Operand::UpdatedAt),
        1 => Just(Operand::Subject),
    ]
}

fn some_id() -> impl Strategy<Value = Value> {
    (1i64..60).prop_map(|rid| match rid % 4 {
        0 => Value::from(format!("alias-{rid}")),
        _ => Value::from(filter::id_text(rid)),
    })
}

fn operand_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        10 => value(),
        1 => some_id(),
        1 => (1_000i64..1_007).prop_map(Value::from),
        1 => Just(Value::from("did:x:1")),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let text = || prop::sample::select(TEXTS).prop_map(str::to_owned);
    let comparison = prop::sample::select(vec![
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    prop_oneof![
        4 => operand_value().prop_map(Test::Equal),
        4 => (comparison, operand_value()).prop_map(|(c, v)| Test::Compare(c, v)),
        1 => prop::collection::vec(operand_value(), 0..4).prop_map(Test::In),
        1 => prop::collection::vec(prop::sample::select(TEXTS).prop_map(Value::from), 0..4).prop_map(Test::In),
        1 => prop::collection::vec(number(), 0..4).prop_map(Test::In),
        1 => prop::collection::vec(some_id(), 0..4).prop_map(Test::In),
        2 => value().prop_map(Test::Contains),
        1 => text().prop_map(Test::StartsWith),
        1 => text().prop_map(Test::EndsWith),
        1 => text().prop_map(Test::Like),
        2 => Just(Test::Present),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        1 => Just(Filter::True),
        1 => Just(Filter::False),
        12 => (operand(), test()).prop_map(|(o, t)| Filter::Is(o, t)),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            1 => inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    })
}

fn samples<T>(strategy: &impl Strategy<Value = T>, count: usize, seed: u64) -> Vec<T> {
    let mut runner = TestRunner::new(config(1, seed));
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Random records, the same in an unindexed and in an indexed type; with rows and parsed contents to judge by.
struct Mixed {
    fixture: Fixture,
    plain: TypeRowId,
    indexed: TypeRowId,
    rows: Vec<(RecordRow, Map<String, Value>, Option<&'static str>)>,
}

const INDEXED: &str = r#"{"a":{"kind":"number","indexed":true},"b":{"kind":"string","unique":true},"a.b":{"kind":"number","indexed":true},"ü":{"kind":"boolean","indexed":true}}"#;

impl Mixed {
    fn new(contents: &[Map<String, Value>]) -> Self {
        let fixture = Fixture::new();
        let plain = fixture.add_type("plain", "{}", true);
        let indexed = fixture.add_type("indexed", INDEXED, false);
        let author = fixture.write(|unit| unit.intern("did:x:1"));
        let mut rows = Vec::new();
        for (n, content) in contents.iter().enumerate() {
            for (type_id, base) in [(plain, 0), (indexed, 1_000)] {
                let rid = base + i64::try_from(n).unwrap() + 1;
                let mut row = row(rid, type_id, content);
                if rid % 4 == 0 {
                    row.alias = Some(format!("alias-{}", rid % 1_000));
                }
                let subject = (rid % 3 == 0).then_some("did:x:1");
                row.subject = subject.map(|_| author);
                rows.push((row, content.clone(), subject));
            }
        }
        let stored: Vec<RecordRow> = rows.iter().map(|(row, _, _)| row.clone()).collect();
        fixture.write(move |unit| {
            for row in stored {
                if let Some(alias) = &row.alias {
                    let collection = unit.types().by_row(row.type_id).unwrap().collection;
                    unit.connection.execute(
                        "INSERT INTO alias (collection, id, rid) VALUES (?1, ?2, ?3)",
                        (collection, alias, row.rid),
                    )?;
                }
                create(unit, row)?;
            }
            Ok(())
        });
        Self { fixture, plain, indexed, rows }
    }

    fn each<T>(
        &self,
        type_id: Option<TypeRowId>,
        mut see: impl FnMut(&RecordView<'_>) -> T,
    ) -> Vec<T> {
        self.rows
            .iter()
            .filter(|(row, _, _)| type_id.is_none_or(|id| row.type_id == id))
            .map(|(row, content, subject)| {
                let id = row.alias.clone().unwrap_or_else(|| filter::id_text(row.rid));
                see(&RecordView {
                    content,
                    rid: row.rid,
                    id: &id,
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                    subject: *subject,
                })
            })
            .collect()
    }

    fn matching(&self, type_id: Option<TypeRowId>, filter: &Filter) -> Vec<i64> {
        let mut rids: Vec<i64> = self
            .each(type_id, |view| filter.matches(view).then_some(view.rid))
            .into_iter()
            .flatten()
            .collect();
        rids.sort_unstable();
        rids
    }
}

#[test]
fn a_filter_means_the_same_in_memory_and_in_sql() {
    let mixed = Mixed::new(&samples(&contents(), 60, 11));
    let tx = mixed.fixture.store.last_tx();
    proptest!(config(250, 12), |(filter in filters())| {
        let find = Find { filter: Some(filter.clone()), ..all() };
        for only in [mixed.plain, mixed.indexed] {
            let page = Find { types: Some(vec![only]), ..find.clone() };
            prop_assert_eq!(mixed.fixture.rids(&page), mixed.matching(Some(only), &filter), "{:?}", page.types);
        }
        let expected = mixed.matching(None, &filter);
        let merged = Find { types: Some(vec![mixed.plain, mixed.indexed]), ..find.clone() };
        prop_assert_eq!(mixed.fixture.rids(&merged), expected.clone());
        prop_assert_eq!(mixed.fixture.rids(&find), expected.clone());
        let past = Find { as_of_tx: Some(tx), ..merged.clone() };
        prop_assert_eq!(mixed.fixture.rids(&past), expected.clone());
        let count = mixed.fixture.store.read(|view| view.count(&merged, 1_000)).unwrap();
        prop_assert_eq!(usize::try_from(count).unwrap(), expected.len());
    });
}

/// `a` holds numbers only, `b` strings only, as their kinds say; so the index may give the order.
fn kept_kinds() -> impl Strategy<Value = Map<String, Value>> {
    let field = |values: BoxedStrategy<Value>| {
        prop::option::of(prop_oneof![9 => values, 1 => Just(Value::Null)])
    };
    let texts = prop::sample::select(TEXTS).prop_map(Value::from).boxed();
    (field(number().boxed()), field(texts), prop::option::of(value())).prop_map(|(a, b, c)| {
        let members = [("a", a), ("b", b), ("c", c)];
        members.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect()
    })
}

fn orders() -> impl Strategy<Value = Vec<OrderKey>> {
    let operand = prop_oneof![
        8 => prop::sample::select(&["a", "b", "c", "c.a", "c.0"][..])
            .prop_map(|f| Operand::Field(FieldPath(f.to_owned()))),
        1 => Just(Operand::Id),
        1 => Just(Operand::CreatedAt),
        1 => Just(Operand::UpdatedAt),
        1 => Just(Operand::Subject),
    ];
    let direction =
        prop::sample::select(vec![OrderDirection::Ascending, OrderDirection::Descending]);
    let key = (operand, direction).prop_map(|(operand, direction)| OrderKey { operand, direction });
    prop::collection::vec(key, 1..3)
}

#[test]
fn an_order_is_the_same_in_memory_and_in_sql() {
    let mixed = Mixed::new(&samples(&kept_kinds(), 60, 21));
    let tx = mixed.fixture.store.last_tx();
    proptest!(config(60, 22), |(keys in orders(), offset in 0i64..40, limit in 0i64..40)| {
        for types in [vec![mixed.plain], vec![mixed.indexed], vec![mixed.plain, mixed.indexed]] {
            let mut rows: Vec<_> = mixed.rows.iter().filter(|(row, _, _)| types.contains(&row.type_id)).collect();
            let ids: Vec<_> = rows.iter()
                .map(|(row, _, _)| (row.rid, row.alias.clone().unwrap_or_else(|| filter::id_text(row.rid))))
                .collect();
            let id_of = |rid: i64| ids.iter().find(|(known, _)| *known == rid).unwrap().1.as_str();
            let view = |(row, content, subject): &(RecordRow, Map<String, Value>, Option<&'static str>)| {
                (row.rid, content.clone(), row.created_at, row.updated_at, *subject)
            };
            rows.sort_by(|a, b| {
                let (a, b) = (view(a), view(b));
                let seen = |(rid, content, created_at, updated_at, subject): &(i64, Map<String, Value>, i64, i64, Option<&'static str>)| {
                    (*rid, content.clone(), *created_at, *updated_at, *subject)
                };
                let (a, b) = (seen(&a), seen(&b));
                let a = RecordView { content: &a.1, rid: a.0, id: id_of(a.0), created_at: a.2, updated_at: a.3, subject: a.4 };
                let b = RecordView { content: &b.1, rid: b.0, id: id_of(b.0), created_at: b.2, updated_at: b.3, subject: b.4 };
                compare(&keys, &a, &b)
            });
            let expected: Vec<i64> = rows.iter().map(|(row, _, _)| row.rid).collect();
            let find = Find { types: Some(types), order: keys.clone(), ..all() };
            prop_assert_eq!(mixed.fixture.rids(&find), expected.clone());
            let past = Find { as_of_tx: Some(tx), ..find.clone() };
            prop_assert_eq!(mixed.fixture.rids(&past), expected.clone());
            let page = Find { offset, limit, ..find };
            let window: Vec<i64> = expected.into_iter()
                .skip(usize::try_from(offset).unwrap()).take(usize::try_from(limit).unwrap()).collect();
            prop_assert_eq!(mixed.fixture.rids(&page), window);
        }
    });
}

#[test]
fn aggregates_are_those_of_the_matching_records() {
    let mixed = Mixed::new(&samples(&kept_kinds(), 40, 31));
    let kinds = [
        AggregateKind::Count,
        AggregateKind::CountPresent,
        AggregateKind::Sum,
        AggregateKind::Average,
        AggregateKind::Min,
        AggregateKind::Max,
    ];
    proptest!(config(20, 32), |(filter in filters(), operand in operand())| {
        let find = Find {
            types: Some(vec![mixed.plain]), filter: Some(filter.clone()), limit: 1, ..all()
        };
        for kind in kinds {
            let mut expected = Aggregate::new(kind);
            mixed.each(Some(mixed.plain), |view| {
                if filter.matches(view) {
                    expected.add(&operand.value(view));
                }
            });
            let found = mixed.fixture.store.read(|view| view.aggregate(&find, kind, &operand)).unwrap();
            // Min and max keep the first of equal numbers, whose spelling depends on the order they come in.
            prop_assert!(json::json_eq(&found, &expected.finish()), "{:?} {}", kind, found);
        }
    });
}

#[test]
fn pages_by_key_hand_out_every_record_once() {
    let mixed = Mixed::new(&samples(&contents(), 30, 41));
    for sort in [SortKey::Created, SortKey::Updated, SortKey::Version, SortKey::Id] {
        for direction in [Direction::Ascending, Direction::Descending] {
            for types in [Some(vec![mixed.plain]), Some(vec![mixed.plain, mixed.indexed]), None] {
                let whole = Find { types, sort, direction, ..all() };
                let expected = mixed.fixture.rids(&whole);
                let mut found = Vec::new();
                let mut after = None;
                loop {
                    let page = mixed.fixture.find(&Find { after, limit: 7, ..whole.clone() });
                    let Some(last) = page.last() else { break };
                    after = Some((sort.of(last), last.rid));
                    found.extend(page.iter().map(|row| row.rid));
                }
                assert_eq!(found, expected, "{sort:?} {direction:?}");
            }
        }
    }
}

// ---- search -------------------------------------------------------------------------------------------------------

fn texts() -> impl Strategy<Value = Map<String, Value>> {
    let word = prop::sample::select(
        &[
            "alpha",
            "Beta",
            "été",
            "ÉTÉ",
            "ete",
            "İx",
            "नमस्ते",
            "日本",
            "x1",
            "a_b",
            "don't",
            "ß",
            "–",
            "e\u{301}",
        ][..],
    );
    let text = prop::collection::vec(word, 0..5).prop_map(|words| Value::from(words.join(" ")));
    (text.clone(), prop::collection::vec(text, 0..3)).prop_map(|(one, several)| {
        let mut content = Map::new();
        content.insert("t".to_owned(), one);
        content.insert("l".to_owned(), Value::from(several));
        content
    })
}

#[test]
fn search_finds_what_the_words_say_with_and_without_index() {
    let fixture = Fixture::new();
    let with = fixture.add_type("with", "{}", true);
    let without = fixture.add_type("without", "{}", false);
    let contents = samples(&texts(), 40, 51);
    let stored = contents.clone();
    fixture.write(move |unit| {
        for (n, content) in stored.iter().enumerate() {
            let rid = i64::try_from(n).unwrap() + 1;
            create(unit, row(rid, with, content))?;
            unit.set_search_text(rid, &text_of(content), false)?;
            create(unit, row(1_000 + rid, without, content))?;
        }
        Ok(())
    });
    let tx = fixture.store.last_tx();
    let pieces = "(alpha|beta|ÉTÉ|ete|ix|İx|नमस्ते|नम|日本|x1|a_b|don't|ß|e\u{301}|AND|OR|NOT|\\(|\\)|\"alpha été\"|\"ete x1\"|NEAR\\(alpha beta, 2\\)|\\*)";
    let expressions = proptest::string::string_regex(&format!("({pieces} ){{1,5}}")).unwrap();
    let read = std::cell::Cell::new(0);
    proptest!(config(200, 52), |(text in expressions)| {
        let Ok(search) = Search::parse(&text) else { return Ok(()) };
        read.set(read.get() + 1);
        let mut expected = Vec::new();
        for base in [0, 1_000] {
            for (n, content) in contents.iter().enumerate() {
                if search.matches_content(content) {
                    expected.push(base + i64::try_from(n).unwrap() + 1);
                }
            }
        }
        for types in [None, Some(vec![with, without])] {
            let find = Find { types, search: Some(search.clone()), ..all() };
            prop_assert_eq!(fixture.rids(&find), expected.clone(), "{}", text);
            let past = Find { as_of_tx: Some(tx), ..find };
            prop_assert_eq!(fixture.rids(&past), expected.clone(), "{}", text);
        }
        let only = Find { types: Some(vec![with]), search: Some(search), ..all() };
        expected.retain(|rid| *rid < 1_000);
        prop_assert_eq!(fixture.rids(&only), expected, "{}", text);
    });
    assert!(read.get() > 100, "the expressions are hardly ever readable: {}", read.get());
}

// ---- time travel --------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Act {
    Create(Map<String, Value>, bool),
    Update(usize, Map<String, Value>, bool),
    Delete(usize),
    Purge(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let content = || {
        (0i64..4, prop::sample::select(&["x", "y"][..])).prop_map(|(a, t)| {
            Map::from_iter([("a".to_owned(), Value::from(a)), ("t".to_owned(), Value::from(t))])
        })
    };
    let act = prop_oneof![
        4 => (content(), any::<bool>()).prop_map(|(c, tag)| Act::Create(c, tag)),
        6 => (0usize..6, content(), any::<bool>()).prop_map(|(n, c, tag)| Act::Update(n, c, tag)),
        2 => (0usize..6).prop_map(Act::Delete),
        1 => (0usize..6).prop_map(Act::Purge),
    ];
    prop::collection::vec(act, 1..25)
}

const TAGGED: &str = r#"[{"kind":"tag","label":"hot"},{"kind":"attachment","label":"pic","fileId":"ff"},{"kind":"relationship","label":"re","recordId":"zz"}]"#;

/// Runs the acts, one unit each or two in one; gives what the file held after each unit.
fn replay(
    fixture: &Fixture,
    type_id: TypeRowId,
    acts: &[Act],
) -> Vec<(i64, BTreeMap<i64, RecordRow>)> {
    let mut now: BTreeMap<i64, RecordRow> = BTreeMap::new();
    let mut states: Vec<(i64, BTreeMap<i64, RecordRow>)> =
        vec![(fixture.store.last_tx(), now.clone())];
    let mut next = fixture.store.last_tx() * 1_000;
    for pair in acts.chunks(2) {
        let pair = pair.to_vec();
        let mut state = now.clone();
        let (tx, state, gone, minted) = fixture.write(move |unit| {
            let mut gone = Vec::new();
            for act in pair {
                let pick = |state: &BTreeMap<i64, RecordRow>, n: usize| {
                    (!state.is_empty()).then(|| *state.keys().nth(n % state.len()).unwrap())
                };
                match act {
                    Act::Create(content, tag) => {
                        next += 1;
                        let mut made = row(next, type_id, &content);
                        made.tx = unit.tx();
                        made.associations = tag.then(|| TAGGED.to_owned());
                        create(unit, made.clone())?;
                        state.insert(next, made);
                    }
                    Act::Update(n, content, tag) => {
                        let Some(rid) = pick(&state, n) else { continue };
                        let before = state[&rid].clone();
                        let after = RecordRow {
                            version: before.version + 1,
                            tx: unit.tx(),
                            updated_at: before.updated_at + 10,
                            deleted_at: None,
                            associations: tag.then(|| TAGGED.to_owned()),
                            content: Value::Object(content).to_string(),
                            ..before.clone()
                        };
                        unit.append_change(
                            rid,
                            after.version,
                            Op::Update,
                            Actor::default(),
                            Some(&before),
                        )?;
                        unit.update_record(&after)?;
                        state.insert(rid, after);
                    }
                    Act::Delete(n) => {
                        let Some(rid) = pick(&state, n) else { continue };
                        let before = state[&rid].clone();
                        let after = RecordRow {
                            version: before.version + 1,
                            tx: unit.tx(),
                            deleted_at: Some(9),
                            ..before.clone()
                        };
                        unit.append_change(
                            rid,
                            after.version,
                            Op::Delete,
                            Actor::default(),
                            Some(&before),
                        )?;
                        unit.update_record(&after)?;
                        state.insert(rid, after);
                    }
                    Act::Purge(n) => {
                        let Some(rid) = pick(&state, n) else { continue };
                        let version = state[&rid].version + 1;
                        unit.append_change(rid, version, Op::Purge, Actor::default(), None)?;
                        unit.blank_history(rid)?;
                        unit.remove_record(rid)?;
                        state.remove(&rid);
                        gone.push(rid);
                    }
                }
            }
            if !unit.tx_used {
                unit.append_nothing(Actor::default())?;
            }
            Ok((unit.tx(), state, gone, next))
        });
        next = minted;
        now = state;
        // A purge takes a record out of the past as well.
        for (_, earlier) in &mut states {
            earlier.retain(|rid, _| !gone.contains(rid));
        }
        states.push((tx, now.clone()));
    }
    states
}

#[test]
fn the_past_is_what_was_there() {
    let fixture = Fixture::new();
    let type_id = {
        let schema = r#"{"a":{"kind":"number","indexed":true}}"#;
        fixture.add_type("t", schema, true)
    };
    proptest!(config(12, 61), |(acts in acts())| {
        // Each round starts on an empty table, above the journal of the rounds before.
        fixture.write(move |unit| {
            unit.connection.execute_batch("DELETE FROM record")?;
            unit.append_nothing(Actor::default())
        });
        let states = replay(&fixture, type_id, &acts);
        for (tx, state) in &states {
            let base = Find { types: Some(vec![type_id]), as_of_tx: Some(*tx), include_deleted: true, ..all() };
            let rows: Vec<_> = state.values().cloned().collect();
            prop_assert_eq!(fixture.find(&base), rows.clone(), "after unit {}", tx);
            let current = fixture.find(&Find { as_of_tx: None, ..base.clone() });
            let single: Vec<_> = fixture.store.read(|view| -> Result<Vec<RecordRow>> {
                let mut found = Vec::new();
                for row in &current {
                    found.extend(view.state_at(row, *tx)?);
                }
                Ok(found)
            }).unwrap();
            prop_assert_eq!(single, rows.clone());
            let some = |keep: &dyn Fn(&RecordRow) -> bool| -> Vec<i64> {
                rows.iter().filter(|row| keep(row)).map(|row| row.rid).collect()
            };
            let live = Find { include_deleted: false, ..base.clone() };
            prop_assert_eq!(fixture.rids(&live), some(&|row| row.deleted_at.is_none()));
            let tagged = some(&|row| row.associations.is_some());
            for find in [
                Find { tags: vec!["hot".to_owned()], ..base.clone() },
                Find { has_attachment: Some("pic".to_owned()), ..base.clone() },
                Find { file: Some("ff".to_owned()), ..base.clone() },
                Find { related: Some(Related { target: "zz".to_owned(), label: Some("re".to_owned()) }), ..base.clone() },
            ] {
                prop_assert_eq!(fixture.rids(&find), tagged.clone());
            }
            let a = Operand::Field(FieldPath("a".to_owned()));
            let two = Filter::Is(a, Test::Equal(Value::from(2)));
            let find = Find { filter: Some(two), ..base.clone() };
            prop_assert_eq!(fixture.rids(&find), some(&|row| row.content.contains("\"a\":2")));
            let find = Find { search: Some(Search::parse("x").unwrap()), ..base.clone() };
            prop_assert_eq!(fixture.rids(&find), some(&|row| row.content.contains("\"x\"")));
            let find = Find { sort: SortKey::Updated, direction: Direction::Descending, ..base };
            let mut by_time = rows.clone();
            by_time.sort_by_key(|row| std::cmp::Reverse((row.updated_at, row.rid)));
            prop_assert_eq!(fixture.find(&find), by_time);
        }
    });
}

/// A record that was readable then but is not now must not be readable through the past, and the other way round.
#[test]
fn the_past_is_read_with_the_rights_of_today() {
    let fixture = Fixture::new();
    let type_id = fixture.add_type("t", "{}", true);
    let content = Map::new();
    let (open, shut) = (Some(r#"[{"access":"public"}]"#.to_owned()), None);
    for (rid, then, now) in [(1, open.clone(), shut.clone()), (2, shut, open)] {
        let made = RecordRow { permissions: then, ..row(rid, type_id, &content) };
        let before = fixture.write(move |unit| {
            create(unit, made.clone())?;
            Ok(RecordRow { tx: unit.tx(), ..made })
        });
        fixture.write(move |unit| {
            let after = RecordRow { permissions: now, version: 2, tx: unit.tx(), ..before.clone() };
            unit.append_change(rid, 2, Op::Permit, Actor::default(), Some(&before))?;
            unit.update_record(&after)
        });
    }
    let then = fixture.store.last_tx() - 1;
    let anonymous = Find { scope: Scope::default(), as_of_tx: Some(then), ..all() };
    assert_eq!(fixture.rids(&anonymous), [2]);
    assert_eq!(fixture.rids(&Find { as_of_tx: None, ..anonymous.clone() }), [2]);
    assert_eq!(fixture.rids(&Find { scope: all().scope, ..anonymous }), [1, 2]);
}

// ---- plans --------------------------------------------------------------------------------------------------------

#[test]
fn every_shape_uses_its_index() {
    let fixture = Fixture::new();
    let schema = r#"{"n":{"kind":"number","indexed":true},"s":{"kind":"string","indexed":true},"o":{"kind":"object","properties":{},"indexed":true}}"#;
    let type_id = fixture.add_type("t", schema, true);
    fixture.write(move |unit| {
        create(unit, row(1, type_id, &Map::new()))?;
        unit.add_edge(
            1,
            &AssociationRow {
                kind: AssociationKind::Tag,
                label: "hot".to_owned(),
                target: String::new(),
            },
        )
    });
    let of = Find { types: Some(vec![type_id]), sort: SortKey::Created, ..all() };
    let is = |field: &str, test: Test| {
        Some(Filter::Is(Operand::Field(FieldPath(field.to_owned())), test))
    };
    let by = |field: &str, direction| {
        vec![OrderKey { operand: Operand::Field(FieldPath(field.to_owned())), direction }]
    };
    let (up, down) = (OrderDirection::Ascending, OrderDirection::Descending);
    // The page, what the plan must name, and whether it needs no sort of the whole.
    let shapes = [
        ("type page", of.clone(), "record_type_created", true),
        (
            "type page in order of creation",
            Find { sort: SortKey::Id, ..of.clone() },
            "record_type (type=?)",
            true,
        ),
        (
            "equality + created",
            Find { filter: is("n", Test::Equal(Value::from(5))), ..of.clone() },
            "field_",
            true,
        ),
        (
            "text equality + created",
            Find { filter: is("s", Test::Equal(Value::from("x"))), ..of.clone() },
            "field_",
            true,
        ),
        (
            "content equality",
            Find {
                content: vec![ValueTest { field: "s".to_owned(), value: Value::from("x") }],
                ..of.clone()
            },
            "field_",
            true,
        ),
        (
            "range",
            Find {
                filter: is("n", Test::Compare(Comparison::Greater, Value::from(5))),
                sort: SortKey::Updated,
                ..of.clone()
            },
            "field_",
            false,
        ),
        (
            "range + order",
            Find {
                filter: is("n", Test::Compare(Comparison::GreaterOrEqual, Value::from(5))),
                order: by("n", up),
                ..of.clone()
            },
            "field_",
            true,
        ),
        (
            "fraction",
            Find {
                filter: is("n", Test::Equal(json::parse(b"0.1").unwrap())),
                sort: SortKey::Updated,
                ..of.clone()
            },
            "field_",
            false,
        ),
        (
            "prefix",
            Find {
                filter: is("s", Test::StartsWith("ab".to_owned())),
                sort: SortKey::Updated,
                ..of.clone()
            },
            "field_",
            false,
        ),
        (
            "one of",
            Find {
                filter: is("s", Test::In(vec![Value::from("a"), Value::from("b")])),
                sort: SortKey::Updated,
                ..of.clone()
            },
            "field_",
            false,
        ),
        ("order ascending", Find { order: by("n", up), ..of.clone() }, "field_", true),
        ("order descending", Find { order: by("s", down), ..of.clone() }, "field_", true),
        (
            "parent page",
            Find { types: None, parent: Some(Some("p".to_owned())), ..of.clone() },
            "record_parent",
            true,
        ),
        ("tag", Find { tags: vec!["hot".to_owned()], ..of.clone() }, "record_type_created", true),
        (
            "relation",
            Find { related: Some(Related { target: "z".to_owned(), label: None }), ..of.clone() },
            "association_target",
            false,
        ),
        ("file", Find { file: Some("f".to_owned()), ..of.clone() }, "association_target", false),
        (
            "id",
            Find {
                filter: Some(Filter::Is(Operand::Id, Test::Equal(Value::from("x")))),
                ..of.clone()
            },
            "INTEGER PRIMARY KEY (rowid=?)",
            false,
        ),
    ];
    for (name, find, index, ordered) in shapes {
        let plan = fixture.plan(&find);
        assert!(plan.iter().any(|step| step.contains(index)), "{name}: {plan:#?}");
        // The whole of a field's partial index, in order, is meant.
        let meant = |step: &str| {
            ["json_each", "CONSTANT", "USING INDEX field_"].iter().any(|m| step.contains(m))
        };
        let scan = |step: &String| step.starts_with("SCAN") && !meant(step);
        assert!(!plan.iter().any(scan), "{name}: {plan:#?}");
        if ordered {
            let sorts = |step: &String| step == "USE TEMP B-TREE FOR ORDER BY";
            assert!(!plan.iter().any(sorts), "{name}: {plan:#?}");
        }
    }
    let counted = Find { filter: is("n", Test::Equal(Value::from(5))), ..of.clone() };
    let (_, plan) = fixture.store.read(|view| view.explain_count(&counted, 100)).unwrap();
    assert!(plan.iter().any(|step| step.contains("field_")), "{plan:#?}");
    // Meant: without a type, a page walks the records in order.
    let plan = fixture.plan(&Find { types: None, ..of.clone() });
    assert!(plan.iter().any(|step| step.contains("record_created")), "{plan:#?}");

    let types = fixture.store.types();
    let cheap = |find: Find| find.is_cheap(&types);
    assert!(cheap(of.clone()) && cheap(Find { sort: SortKey::Id, ..of.clone() }));
    assert!(cheap(counted) && cheap(Find { order: by("n", up), ..of.clone() }));
    assert!(!cheap(Find { order: by("o", up), ..of.clone() }));
    assert!(!cheap(Find { filter: is("x", Test::Present), ..of.clone() }));
    assert!(!cheap(Find { as_of_tx: Some(1), ..of.clone() }));
    assert!(!cheap(Find { offset: 10_000, ..of.clone() }));
    assert!(!cheap(Find { sort: SortKey::Updated, ..of.clone() }));
    assert!(!cheap(Find { scope: Scope::default(), ..of }));
}

/// A field is declared after open records held anything in it: its index finds, but does not order.
/// A plan is made once for a statement, not again for each value.
#[test]
fn other_values_are_not_planned_anew() {
    let fixture = Fixture::new();
    let schema = r#"{"s":{"kind":"string","indexed":true}}"#;
    let type_id = fixture.add_type("t", schema, true);
    let of = |value: &str| Find {
        types: Some(vec![type_id]),
        filter: Some(Filter::Is(
            Operand::Field(FieldPath("s".to_owned())),
            Test::Equal(Value::String(value.to_owned())),
        )),
        sort: SortKey::Created,
        limit: 50,
        ..all()
    };
    let planned = fixture.store.read(|view| -> Result<i32> {
        let (text, _) = view.explain_find(&of("a"))?;
        for value in ["a", "b", "c", "d"] {
            view.find(&of(value))?;
        }
        Ok(view.prepare(&text)?.get_status(rusqlite::StatementStatus::RePrepare))
    });
    assert_eq!(planned.unwrap(), 0);
}

#[test]
fn a_field_declared_late_orders_by_the_rules_still() {
    let fixture = Fixture::new();
    let type_id = fixture.add_type("t", "{}", true);
    fixture.write(move |unit| {
        let contents =
            [r#"{"n":true}"#, r#"{"n":5}"#, r#"{"n":"x"}"#, r#"{"n":[]}"#, "{}", r#"{"n":0}"#];
        for (rid, content) in (1..).zip(contents) {
            create(unit, row(rid, type_id, &json::parse_object(content.as_bytes()).unwrap()))?;
        }
        let old = unit.types().by_row(type_id).unwrap().clone();
        let schema = Schema::parse_text(r#"{"n":{"kind":"number","indexed":true}}"#).unwrap();
        let new = TypeInfo {
            schema_text: Value::from(schema.raw().clone()).to_string(),
            schema,
            ..(*old).clone()
        };
        unit.update_type(&old, new)?;
        Ok(())
    });
    let n = Operand::Field(FieldPath("n".to_owned()));
    for (direction, expected) in [
        (OrderDirection::Ascending, [6, 2, 3, 1, 4, 5]),
        (OrderDirection::Descending, [4, 1, 3, 2, 6, 5]),
    ] {
        let order = vec![OrderKey { operand: n.clone(), direction }];
        let find = Find { types: Some(vec![type_id]), order, ..all() };
        assert_eq!(fixture.rids(&find), expected);
    }
    let five = Filter::Is(n, Test::Equal(Value::from(5)));
    let find = Find { types: Some(vec![type_id]), filter: Some(five), ..all() };
    assert_eq!(fixture.rids(&find), [2]);
    assert!(fixture.plan(&find).iter().any(|step| step.contains("field_")));
}

#[test]
fn a_filter_that_nests_too_deep_is_refused() {
    let fixture = Fixture::new();
    let mut filter = Filter::False;
    for _ in 0..crate::schema::filter::DEPTH_MAX {
        filter = Filter::Not(Box::new(filter));
    }
    let find = Find { filter: Some(filter), ..all() };
    assert!(matches!(fixture.store.read(|view| view.find(&find)), Err(StoreError::Refused(_))));
}
