//! The engine on a real file: the stories of the stack protocol in short.

use serde_json::{Map, Value, json};

use super::*;
use crate::schema::Schema;

struct Stack {
    _folder: tempfile::TempDir,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

impl Stack {
    fn new() -> Self {
        Self::with(&EngineOptions::default())
    }

    fn with(options: &EngineOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(&folder.path().join("a.cairn"), options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let stack = Self { _folder: folder, engine, runtime };
        stack.register("com.example/note@1", json!({ "title": { "kind": "string" } }));
        stack
    }

    fn register(&self, id: &str, schema: Value) {
        let schema = object(schema);
        let hash = Schema::parse(&schema).unwrap().hash();
        let input = NewTypeInput {
            id: id.into(),
            name: "T".into(),
            schema,
            schema_hash: Some(hash),
            migrates_from: None,
            search: None,
        };
        self.runtime
            .block_on(self.engine.register_type(&self.engine.owner_caller(), input))
            .unwrap();
    }

    fn create(&self, who: &Caller, type_id: &str, content: Value) -> Result<Record> {
        let new =
            NewRecord { type_id: type_id.into(), content: object(content), ..NewRecord::default() };
        self.runtime.block_on(self.engine.create(who, new))
    }

    fn ids(&self, who: &Caller, query: Query) -> Vec<String> {
        let page = self.runtime.block_on(self.engine.query(who, query)).unwrap();
        page.records.into_iter().map(|record| record.id).collect()
    }
}

/// S57: a search through everything that cannot end in time is told so, and reads by id go on.
#[test]
fn a_query_past_its_deadline_is_a_timeout() {
    let options = EngineOptions {
        store: StoreOptions {
            query_deadline: std::time::Duration::ZERO,
            ..StoreOptions::default()
        },
        ..EngineOptions::default()
    };
    let s = Stack::with(&options);
    let owner = s.engine.owner_caller();
    let made: Vec<Record> = (0..300)
        .map(|n| s.create(&owner, "com.example/note@1", json!({ "n": n })).unwrap())
        .collect();
    let query = Query { content: vec![("n".into(), json!("none"))], ..Query::default() };
    let ended = s.runtime.block_on(s.engine.query(&owner, query)).unwrap_err();
    assert_eq!(ended.kind(), Kind::Timeout);
    assert_eq!(s.engine.get(&owner, &made[0].id, None).unwrap().version, 1);
    // A page in the order of an index is no such search.
    assert_eq!(s.ids(&owner, Query { limit: 5, ..Query::default() }).len(), 5);
}

/// Create, patch, patch, restore: each keeps the state it replaced, and the past can be read.
#[test]
fn versions_are_kept_and_come_back() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let made = s.create(&owner, "com.example/note@1", json!({ "title": "a", "n": 1 })).unwrap();
    let at_first = made.tx;
    let run = |future| s.runtime.block_on(future);
    let patch = object(json!({ "title": "b", "n": null }));
    let second = s.runtime.block_on(s.engine.update(&owner, &made.id, patch, Some(1))).unwrap();
    assert_eq!((second.version, second.content.as_str()), (2, r#"{"title":"b"}"#));
    let stale =
        s.runtime.block_on(s.engine.update(&owner, &made.id, Map::new(), Some(1))).unwrap_err();
    assert_eq!(stale.kind(), Kind::Stale);
    let versions: Vec<i64> =
        s.engine.versions(&owner, &made.id, None).unwrap().0.iter().map(|v| v.version).collect();
    assert_eq!(versions, [1]);
    let back = run(s.engine.restore(&owner, &made.id, 1, None)).unwrap();
    assert_eq!((back.version, back.content.as_str()), (3, r#"{"title":"a","n":1}"#));
    let then = s.engine.get(&owner, &made.id, Some(AsOf::Tx(second.tx))).unwrap();
    assert_eq!((then.version, then.content.as_str()), (2, r#"{"title":"b"}"#));
    let before = s.engine.get(&owner, &made.id, Some(AsOf::Tx(at_first - 1))).unwrap_err();
    assert_eq!(before.kind(), Kind::NotFound);
}

/// A grant opens a type, permissions open a record, and a query shows exactly what a get allows.
#[test]
fn rights_hold_for_get_and_query_alike() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let guest = Caller::of("did:example:guest", "did:example:guest");
    let note = s.create(&owner, "com.example/note@1", json!({ "title": "a" })).unwrap();
    assert_eq!(s.engine.get(&guest, &note.id, None).unwrap_err().kind(), Kind::Denied);
    assert_eq!(s.create(&guest, "com.example/note@1", json!({})).unwrap_err().kind(), Kind::Denied);
    let grant = json!({ "typeId": "com.example/note", "actions": ["create", "read-own"] });
    let grant = s.create(&owner, "_grant@1", grant).unwrap();
    let own = s.create(&guest, "com.example/note@1", json!({ "title": "mine" })).unwrap();
    assert_eq!(s.ids(&guest, Query::default()), std::slice::from_ref(&own.id));
    assert_eq!(s.ids(&Caller::anonymous(), Query::default()), Vec::<String>::new());
    let open = vec![json!({ "access": "public" })];
    s.runtime.block_on(s.engine.set_permissions(&owner, &note.id, open, None)).unwrap();
    assert_eq!(s.ids(&Caller::anonymous(), Query::default()), std::slice::from_ref(&note.id));
    assert_eq!(s.ids(&guest, Query::default()), [own.id.clone(), note.id.clone()]);
    s.runtime.block_on(s.engine.delete(&owner, &grant.id, None)).unwrap();
    assert_eq!(s.ids(&guest, Query::default()), std::slice::from_ref(&note.id));
    assert_eq!(s.engine.get(&guest, &own.id, None).unwrap_err().kind(), Kind::Denied);
    let explained = s.engine.explain(&owner, &guest, Action::Read, &note.id).unwrap();
    assert_eq!(explained.rule, Rule::PublicEntry);
}

/// What is remembered of grants and groups ends with the change that takes it away, whichever way that is done.
#[test]
fn remembered_rights_end_at_once() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let guest = Caller::of("did:example:guest", "did:example:guest");
    let member =
        json!({ "kind": "relationship", "label": "member", "recordId": "did:example:guest" });
    let group = s.create(&owner, "_group@1", json!({ "name": "g" })).unwrap();
    let note = s.create(&owner, "com.example/note@1", json!({ "title": "a" })).unwrap();
    let entry = json!({ "access": "group", "groupId": group.id, "read": true });
    s.runtime.block_on(s.engine.set_permissions(&owner, &note.id, vec![entry], None)).unwrap();
    let reads = || s.engine.get(&guest, &note.id, None).is_ok();
    let refused = || {
        // Twice: once from the file, once from memory. And a page agrees.
        assert!(!reads() && !reads());
        assert_eq!(s.ids(&guest, Query::default()), Vec::<String>::new());
    };
    let allowed = || {
        assert!(reads() && reads());
        assert_eq!(s.ids(&guest, Query::default()), std::slice::from_ref(&note.id));
    };
    refused();
    s.runtime
        .block_on(s.engine.associate(&owner, &group.id, object(member.clone()), None))
        .unwrap();
    allowed();
    s.runtime.block_on(s.engine.delete(&owner, &group.id, None)).unwrap();
    refused();
    s.runtime.block_on(s.engine.undelete(&owner, &group.id, None)).unwrap();
    allowed();
    s.runtime.block_on(s.engine.dissociate(&owner, &group.id, object(member), None)).unwrap();
    refused();
    let grant = json!({
        "typeId": "com.example/note", "actions": ["read-any"], "granteeEntityId": "did:example:guest"
    });
    let grant = s.create(&owner, "_grant@1", grant).unwrap();
    allowed();
    let less = object(json!({ "actions": ["create"] }));
    s.runtime.block_on(s.engine.update(&owner, &grant.id, less, None)).unwrap();
    refused();
    let more = object(json!({ "actions": ["read-any"] }));
    s.runtime.block_on(s.engine.update(&owner, &grant.id, more, None)).unwrap();
    allowed();
    s.runtime.block_on(s.engine.purge(&owner, &grant.id, None)).unwrap();
    refused();
}

/// Equal bytes are stored once; a referenced file cannot go; an unfinished upload leaves nothing.
#[test]
fn files_come_and_go() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let send = |media_type: &str| {
        let input = UploadInput {
            media_type: media_type.into(),
            filename: Some("a.bin".into()),
            app: None,
            record: true,
        };
        s.runtime.block_on(async {
            let mut upload = s.engine.begin_upload(&owner, input).await?;
            for piece in bytes.chunks(10_000) {
                upload.write(bytes::Bytes::copy_from_slice(piece)).await?;
            }
            upload.finish().await
        })
    };
    let first = send("text/plain").unwrap();
    assert_eq!(send("text/html").unwrap_err().kind(), Kind::Invalid);
    send("text/plain").unwrap();
    let file = s.engine.open_file(&owner, &first.file_id).unwrap();
    assert_eq!((file.size, file.media_type.as_deref()), (600_000, Some("text/plain")));
    let (mut read, mut at) = (Vec::new(), 0);
    while at < file.size {
        let piece = s.engine.read_file(&file, at, file.size - at).unwrap();
        at += piece.len() as u64;
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, bytes);
    let guest = Caller::of("did:example:guest", "did:example:guest");
    assert_eq!(s.engine.open_file(&guest, &first.file_id).unwrap_err().kind(), Kind::Denied);
    s.runtime.block_on(s.engine.delete_file(&owner, &first.file_id)).unwrap();
    assert_eq!(s.engine.open_file(&owner, &first.file_id).unwrap_err().kind(), Kind::NotFound);
    // The rejected and the second upload were swept by tasks of the runtime.
    s.runtime.block_on(async {
        for _ in 0..1000 {
            if s.engine.counts().unwrap().blobs == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    s.engine.close();
    // A closed engine gives the file back, though its handle lives on: a restore opens it again in the same process.
    let again = Engine::open(s.engine.path(), &EngineOptions::default()).unwrap();
    again.close();
}

/// The full-text index follows every write at once.
#[test]
fn search_is_exact_at_once() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let note = s.create(&owner, "com.example/note@1", json!({ "title": "hello world" })).unwrap();
    let find = |text: &str| Query { search: Some(text.into()), ..Query::default() };
    assert_eq!(s.ids(&owner, find("hello")), std::slice::from_ref(&note.id));
    let patch = object(json!({ "title": "goodbye" }));
    s.runtime.block_on(s.engine.update(&owner, &note.id, patch, None)).unwrap();
    assert!(s.ids(&owner, find("hello")).is_empty());
    assert_eq!(s.ids(&owner, find("goodbye")), std::slice::from_ref(&note.id));
    assert!(s.ids(&owner, find("***")).is_empty());
}

/// A delegated token may do what both halves allow.
#[test]
fn delegation_is_an_intersection() {
    let s = Stack::new();
    let owner = s.engine.owner_caller();
    let app = "did:example:app";
    let delegated = Caller::of(app, s.engine.owner());
    let note = s.create(&owner, "com.example/note@1", json!({ "title": "a" })).unwrap();
    assert_eq!(s.engine.get(&delegated, &note.id, None).unwrap_err().kind(), Kind::Denied);
    let grant = json!({ "typeId": "com.example/note@1", "actions": ["read-any", "create"],
                        "granteeEntityId": app });
    s.create(&owner, "_grant@1", grant).unwrap();
    assert!(s.engine.get(&delegated, &note.id, None).is_ok());
    assert_eq!(s.ids(&delegated, Query::default()), std::slice::from_ref(&note.id));
    let made = s.create(&delegated, "com.example/note@1", json!({})).unwrap();
    assert_eq!(made.principal.as_deref(), Some(app));
    assert_eq!(made.subject.as_deref(), Some(s.engine.owner()));
    let denied = s.runtime.block_on(s.engine.update(&delegated, &made.id, Map::new(), None));
    assert_eq!(denied.unwrap_err().kind(), Kind::Denied);
}

fn op(verb: Verb, entity: &str, id: Option<&str>, data: Value) -> RowOp {
    RowOp {
        verb,
        entity: entity.into(),
        id: id.map(str::to_owned),
        data: object(data),
        targets: Vec::new(),
        if_tx: None,
    }
}

fn root(entity: &str, filter: crate::schema::filter::Filter) -> Vec<tree::Root> {
    let node = tree::Node { filter, ..tree::Node::default() };
    vec![tree::Root { entity: entity.into(), node }]
}

impl Stack {
    fn rows(&self, who: &Caller, roots: Vec<tree::Root>) -> Vec<Value> {
        let answer = self.runtime.block_on(self.engine.run_tree(who, Arc::new(roots))).unwrap();
        match answer.roots.into_iter().next().unwrap().1 {
            RootValue::Rows(rows) => rows.into_iter().map(|r| Value::Object(r.fields)).collect(),
            RootValue::Value(value) => vec![value],
        }
    }
}

/// Rows by chosen ids, a relation by field and back, all or nothing.
#[test]
fn rows_of_open_collections() {
    let s = Stack::new();
    let user = Caller::of("did:example:u", "did:example:u");
    let ops = vec![
        op(Verb::Set, "lists", Some("l1"), json!({ "name": "home" })),
        op(Verb::Set, "todos", Some("a"), json!({ "title": "x", "done": false, "listId": "l1" })),
        op(Verb::Insert, "todos", None, json!({ "title": "y", "done": true, "listId": "l1" })),
    ];
    let done = s.runtime.block_on(s.engine.mutate(&user, ops)).unwrap().unwrap();
    assert_eq!(done.results[1].status, Status::Created);
    let failing = vec![
        op(Verb::Set, "todos", Some("z"), json!({})),
        op(Verb::Merge, "todos", Some("nope"), json!({ "a": 1 })),
    ];
    let failed = s.runtime.block_on(s.engine.mutate(&user, failing)).unwrap().unwrap_err();
    assert_eq!((failed.index, failed.error.kind()), (1, Kind::NotFound));
    let all = crate::schema::filter::Filter::True;
    let rows = s.rows(&user, root("todos", all.clone()));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], json!({ "id": "a", "title": "x", "done": false, "listId": "l1" }));
    let mut with_list = root("todos", all.clone());
    with_list[0].node.relations.push(("list".into(), tree::Node::default()));
    let rows = s.rows(&user, with_list);
    assert_eq!(rows[0]["list"], json!({ "id": "l1", "name": "home" }));
    let mut with_todos = root("lists", all.clone());
    with_todos[0].node.relations.push(("todos".into(), tree::Node::default()));
    let rows = s.rows(&user, with_todos);
    assert_eq!(rows[0]["todos"].as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["todos"][0]["id"], "a");
    // The stack face sees the same records, under their type.
    let todos = Query { types: vec!["todos@1".into()], ..Query::default() };
    assert_eq!(s.ids(&user, todos).len(), 2);
    assert!(s.ids(&Caller::anonymous(), Query::default()).is_empty());
    let anonymous =
        s.runtime.block_on(s.engine.run_tree(&Caller::anonymous(), Arc::new(root("todos", all))));
    assert_eq!(anonymous.unwrap_err().kind(), Kind::Denied);
}

/// A deleted row gives its id free; links point at what a later operation makes.
#[test]
fn ids_are_freed_and_links_wait() {
    let s = Stack::new();
    let user = Caller::of("did:example:u", "did:example:u");
    let run = |ops| s.runtime.block_on(s.engine.mutate(&user, ops)).unwrap().unwrap();
    run(vec![op(Verb::Set, "t", Some("x"), json!({ "n": 1 }))]);
    let gone = run(vec![op(Verb::Delete, "t", Some("x"), json!({}))]);
    assert_eq!(gone.results[0].status, Status::Deleted);
    let again = run(vec![op(Verb::Delete, "t", Some("x"), json!({}))]);
    assert_eq!(again.results[0].status, Status::Noop);
    assert_eq!(again.tx, gone.tx + 1);
    run(vec![op(Verb::Insert, "t", Some("x"), json!({ "n": 2 }))]);
    let mut link = op(Verb::Link, "t", Some("x"), json!({}));
    link.targets = vec![("friend".into(), Some("p".into()), "later".into())];
    run(vec![link, op(Verb::Set, "p", Some("later"), json!({ "k": true }))]);
    let mut roots = root("t", crate::schema::filter::Filter::True);
    roots[0].node.relations.push(("friend".into(), tree::Node::default()));
    let rows = s.rows(&user, roots);
    let want = json!([{ "id": "x", "n": 2, "friend": [{ "id": "later", "k": true }] }]);
    assert_eq!(Value::Array(rows), want);
}
