//! Stored files without a network: rules, replacement, links, uploads in ranges, what is left behind.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::engine::accounts::{Device, NewAccount, SignedIn, Terms};
use crate::engine::{AnonymousAccess, EngineOptions, Kind, NewToken, Role, RuleSet};
use crate::schema::rules::Rules;
use crate::store::{CHUNK_BYTES, RESUMABLE_MS_MAX};
use crate::util::clock::{Clock, ManualClock};
use crate::util::rng::Rng;

struct World {
    folder: TempDir,
    engine: Engine,
    hand: ManualClock,
    options: EngineOptions,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let mut options = EngineOptions {
            rng: Rng::seeded(1),
            storage_bytes_max: 2 << 20,
            ..EngineOptions::default()
        };
        options.store.clock = clock;
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { folder, engine, hand, options, runtime }
    }

    /// Closes the file and opens it again, which takes the last handle on it away.
    fn restart(&mut self) {
        let open = |name: &str| Engine::open(&self.folder.path().join(name), &self.options);
        drop(std::mem::replace(&mut self.engine, open("other.cairn").unwrap()));
        self.engine = open("a.cairn").unwrap();
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn sign_up(&self, email: &str) -> (SignedIn, Caller) {
        let new = NewAccount {
            login: email.into(),
            password: None,
            role: Role::Editor,
            display_name: None,
            avatar_url: None,
            metadata: Map::new(),
        };
        let signed =
            self.wait(self.engine.sign_up(new, Device::default(), Terms::default())).unwrap();
        let caller = self.engine.caller_of_session(&signed.session).unwrap().unwrap();
        (signed, caller)
    }

    fn rule(&self, document: Option<Value>, anonymous: AnonymousAccess) {
        let document = document.map(|text| Arc::new(Rules::parse(&text).unwrap()));
        self.engine.inner.rules.set(RuleSet { document, anonymous, tables: None });
    }

    fn put(&self, caller: &Caller, new: NewFile, bytes: &[u8]) -> Result<FileInfo> {
        let mut upload = self.engine.begin_file(caller)?;
        self.wait(async move {
            for piece in bytes.chunks(100_000) {
                upload.write(Bytes::copy_from_slice(piece)).await?;
            }
            upload.finish(new).await
        })
    }

    fn bytes(&self, caller: &Caller, name: &str) -> Result<Vec<u8>> {
        let (_, file) = self.engine.open_stored_file(caller, &path(name))?;
        let mut all = Vec::new();
        while (all.len() as u64) < file.size {
            all.extend(self.engine.read_file(&file, all.len() as u64, u64::MAX)?);
        }
        Ok(all)
    }

    /// Rows of `blob`, named or not, once the sweeps that wait have run.
    fn blobs(&self) -> (i64, i64) {
        for _ in 0..20 {
            self.wait(async {
                tokio::task::yield_now().await;
                self.engine.store().write(|_| Ok::<_, Error>(())).await.unwrap();
            });
        }
        let named = self.engine.counts().unwrap().blobs;
        let open = self.engine.store().read(|view| view.unnamed_blobs()).unwrap();
        (named, open)
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn new(name: &str) -> NewFile {
    NewFile { path: path(name), content_type: "text/plain".into(), metadata: Map::new() }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

#[test]
fn a_file_is_a_record_with_history() {
    let world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let long: Vec<u8> = pattern(CHUNK_BYTES * 2 + 7);
    let first = world.put(&alice, new("a/b.txt"), b"one").unwrap();
    let second = NewFile {
        metadata: json!({ "by": "me" }).as_object().unwrap().clone(),
        content_type: "image/png".into(),
        ..new("a/b.txt")
    };
    let second = world.put(&alice, second, &long).unwrap();
    assert_eq!((&first.record, first.size), (&second.record, 3));
    assert_eq!(world.bytes(&alice, "a/b.txt").unwrap(), long);
    let (info, stored) = world.engine.open_stored_file(&alice, &path("/a/b.txt")).unwrap();
    assert_eq!(info, second);
    assert_eq!((stored.filename.as_deref(), info.metadata.len()), (Some("b.txt"), 1));
    let owner = world.engine.owner_caller();
    let (versions, _) = world.engine.versions(&owner, &second.record, None).unwrap();
    assert_eq!(versions.len(), 1);
    assert!(versions[0].content.contains(&first.file_id));

    // The record keeps its bytes from collection; those it no longer names go.
    world.hand.advance_ms(1);
    let collected = world.wait(world.engine.collect_garbage(&owner, Some(0), false)).unwrap();
    assert_eq!(collected.deleted, [first.file_id]);
    world.wait(world.engine.remove_stored_file(&alice, &path("a/b.txt"))).unwrap();
    assert_eq!(kind(world.bytes(&alice, "a/b.txt")), Kind::NotFound);
    let again = world.wait(world.engine.remove_stored_file(&alice, &path("a/b.txt")));
    assert_eq!(kind(again), Kind::NotFound);
    // The path is free for another file, and the old one comes back by undoing its deletion.
    let third = world.put(&alice, new("a/b.txt"), b"three").unwrap();
    assert_ne!(third.record, second.record);
    assert_eq!(
        kind(world.wait(world.engine.undelete(&owner, &second.record, None))),
        Kind::Conflict
    );
    world.wait(world.engine.remove_stored_file(&alice, &path("a/b.txt"))).unwrap();
    world.wait(world.engine.undelete(&owner, &second.record, None)).unwrap();
    assert_eq!(world.bytes(&alice, "a/b.txt").unwrap(), long);
    assert!(world.put(&alice, new("empty"), b"").is_ok());
    assert_eq!(world.bytes(&alice, "empty").unwrap(), b"");
}

#[test]
fn refused_and_abandoned_uploads_leave_nothing() {
    let world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let before = world.blobs();
    assert_eq!(kind(world.put(&alice, new("big"), &vec![0; (2 << 20) + 1])), Kind::TooLarge);
    let bad_type = NewFile { content_type: "a\nb".into(), ..new("x") };
    assert_eq!(kind(world.put(&alice, bad_type, &[0; 300_000])), Kind::Invalid);
    let bad_metadata =
        NewFile { metadata: json!({"a": 1}).as_object().unwrap().clone(), ..new("x") };
    assert_eq!(kind(world.put(&alice, bad_metadata, b"")), Kind::Invalid);
    world.wait(async {
        let mut upload = world.engine.begin_file(&alice).unwrap();
        upload.write(Bytes::from(vec![1; 600_000])).await.unwrap();
    });
    assert_eq!(world.blobs(), before);
    assert!(world.wait(world.engine.list_files(&alice, "", 10, None)).unwrap().files.is_empty());
}

#[test]
fn lists_are_in_byte_order_and_go_on() {
    let world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    for name in ["b", "a/2", "a/10", "a-", "é", "a/ä", "c"] {
        world.put(&alice, new(name), name.as_bytes()).unwrap();
    }
    let list = |prefix: &str, limit, cursor: Option<&str>| {
        let page = world.wait(world.engine.list_files(&alice, prefix, limit, cursor)).unwrap();
        (page.files.into_iter().map(|file| file.path).collect::<Vec<_>>(), page.cursor)
    };
    assert_eq!(list("", 100, None).0, ["a-", "a/10", "a/2", "a/ä", "b", "c", "é"]);
    assert_eq!(list("a/", 100, None), (vec!["a/10".into(), "a/2".into(), "a/ä".into()], None));
    let (first, cursor) = list("a", 3, None);
    assert_eq!(first, ["a-", "a/10", "a/2"]);
    assert_eq!(list("a", 3, cursor.as_deref()), (vec!["a/ä".into()], None));
    assert_eq!(list("c", 3, cursor.as_deref()).0, ["c"]);
    assert_eq!(list("x", 3, None), (vec![], None));
    for cursor in ["%", "gA", &"a".repeat(2_000)] {
        let page = world.wait(world.engine.list_files(&alice, "", 1, Some(cursor)));
        assert_eq!(kind(page), Kind::BadRequest);
    }
}

#[test]
fn the_rules_decide() {
    let world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let (nobody, owner) = (Caller::anonymous(), world.engine.owner_caller());
    world.put(&alice, new("a"), b"1").unwrap();
    // Without a document: whoever is signed in.
    assert_eq!(kind(world.put(&nobody, new("b"), b"")), Kind::Unauthenticated);
    assert_eq!(kind(world.bytes(&nobody, "a")), Kind::Unauthenticated);
    world.rule(None, AnonymousAccess::Read);
    assert!(world.bytes(&nobody, "a").is_ok());
    assert_eq!(kind(world.put(&nobody, new("b"), b"")), Kind::Unauthenticated);
    world.rule(None, AnonymousAccess::Full);
    assert!(world.put(&nobody, new("b"), b"").is_ok());
    // With one: deny by default, admins pass.
    let storage = json!({ "upload": { "auth": true }, "read": true, "delete": { "role": "admin" },
        "maxFileSize": 4, "allowedTypes": ["image/png"] });
    world.rule(Some(json!({ "storage": storage })), AnonymousAccess::Full);
    let image = |name: &str| NewFile { content_type: "image/png".into(), ..new(name) };
    assert!(world.bytes(&nobody, "a").is_ok());
    assert_eq!(kind(world.put(&nobody, image("c"), b"")), Kind::Unauthenticated);
    assert_eq!(kind(world.put(&alice, image("c"), b"12345")), Kind::TooLarge);
    assert_eq!(kind(world.put(&alice, new("c"), b"1")), Kind::MediaType);
    assert!(world.put(&alice, image("c"), b"1234").is_ok());
    assert_eq!(
        kind(world.wait(world.engine.begin_resumable(&alice, new("d"), 1))),
        Kind::MediaType
    );
    assert_eq!(
        kind(world.wait(world.engine.begin_resumable(&alice, image("d"), 5))),
        Kind::TooLarge
    );
    assert_eq!(kind(world.wait(world.engine.remove_stored_file(&alice, &path("c")))), Kind::Denied);
    assert!(world.put(&owner, new("c"), b"12345").is_ok());
    assert!(world.wait(world.engine.remove_stored_file(&owner, &path("c"))).is_ok());
    world.rule(Some(json!({})), AnonymousAccess::None);
    assert_eq!(kind(world.bytes(&alice, "a")), Kind::Denied);
    assert_eq!(kind(world.wait(world.engine.list_files(&alice, "", 1, None))), Kind::Denied);
    // Who acts for somebody else needs a grant of their own.
    let delegate = Caller::of("did:web:tool", world.engine.owner());
    assert_eq!(kind(world.bytes(&delegate, "a")), Kind::Denied);
}

#[test]
fn s41_links_die_with_what_they_hang_on() {
    let world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let (second, _) = world.sign_up("b@example.com");
    let bob = world.engine.caller_of_session(&second.session).unwrap().unwrap();
    world.put(&alice, new("a"), b"1").unwrap();
    let info = |who: &Caller| world.engine.open_stored_file(who, &path("a")).unwrap().0;
    let link = |who: &Caller| world.engine.sign_link(who, &info(who), 3_600, "").unwrap();
    let open = |link: &Link, transform: &str| world.engine.open_link(&path("a"), link, transform);
    let good = link(&alice);
    assert_eq!(open(&good, "").unwrap().0, info(&alice));
    // Nothing of it can be changed.
    for bad in [
        Link { expires_s: good.expires_s + 1, ..good.clone() },
        Link { holder: "owner".into(), ..good.clone() },
        Link { content_type: "text/html".into(), ..good.clone() },
        Link { record: String::new(), ..good.clone() },
        Link { signature: good.signature.chars().rev().collect(), ..good.clone() },
        Link { signature: String::new(), ..good.clone() },
    ] {
        assert_eq!(kind(open(&bad, "")), Kind::Unauthenticated, "{bad:?}");
    }
    assert_eq!(kind(open(&good, "width=1")), Kind::Unauthenticated);
    let other = world.engine.open_link(&path("b"), &good, "");
    assert_eq!(kind(other), Kind::Unauthenticated);

    // A rotation leaves the links of the key before.
    let owner = world.engine.owner_caller();
    let keys = crate::engine::accounts::LINK_KEYS;
    world.wait(world.engine.rotate_signing_key(&owner, keys)).unwrap();
    assert!(open(&good, "").is_ok());

    let of_bob = link(&bob);
    assert!(open(&of_bob, "").is_ok());
    world.wait(world.engine.sign_out(&bob)).unwrap();
    assert_eq!(kind(open(&of_bob, "")), Kind::Unauthenticated);

    let (token, secret) =
        world.wait(world.engine.issue_token(&owner, NewToken::default())).unwrap();
    let by_token = world.engine.caller_of_token(&secret).unwrap().unwrap();
    let of_token = link(&by_token);
    assert!(open(&of_token, "").is_ok());
    world.wait(world.engine.revoke_token(&owner, &token.id)).unwrap();
    assert_eq!(kind(open(&of_token, "")), Kind::Unauthenticated);

    let of_owner = link(&owner);
    world.rule(Some(json!({ "storage": { "read": { "role": "viewer" } } })), AnonymousAccess::None);
    assert_eq!(kind(open(&good, "")), Kind::Unauthenticated);
    assert!(open(&of_owner, "").is_ok());
    world.rule(None, AnonymousAccess::Read);
    let of_anybody = link(&Caller::anonymous());
    assert!(open(&of_anybody, "").is_ok());
    world.rule(None, AnonymousAccess::None);
    assert_eq!(kind(open(&of_anybody, "")), Kind::Unauthenticated);

    // Another type under the same path is another thing to serve; equal types go on.
    world.put(&alice, new("a"), b"2").unwrap();
    assert!(open(&good, "").is_ok());
    world.put(&alice, NewFile { content_type: "image/png".into(), ..new("a") }, b"2").unwrap();
    assert_eq!(kind(open(&good, "")), Kind::Unauthenticated);
    world.put(&alice, new("a"), b"3").unwrap();
    world.hand.advance_ms(3_599_000);
    assert!(open(&good, "").is_ok());
    world.wait(world.engine.remove_stored_file(&alice, &path("a"))).unwrap();
    assert_eq!(kind(open(&good, "")), Kind::NotFound);
    // Nor does it open what is stored there later.
    world.put(&alice, new("a"), b"4").unwrap();
    assert_eq!(kind(open(&good, "")), Kind::NotFound);
    world.hand.advance_ms(1_000);
    assert_eq!(kind(open(&good, "")), Kind::Unauthenticated);
    let long = world.engine.sign_link(&alice, &info(&alice), i64::MAX, "").unwrap();
    assert_eq!(long.expires_s, world.engine.clock().now_ms() / 1_000 + LINK_SECONDS_MAX);
}

impl World {
    fn send(&self, who: &Caller, id: &str, all: &[u8], first: usize, end: usize) -> Result<u64> {
        let mut chunk = self.engine.begin_chunk(who, id, first as u64, end as u64)?;
        self.wait(async {
            for piece in all[first..end].chunks(70_000) {
                chunk.write(Bytes::copy_from_slice(piece)).await?;
            }
            chunk.finish().await
        })
    }
}

#[test]
fn ranges_in_any_order_become_a_file() {
    let mut world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let (_, bob) = world.sign_up("b@example.com");
    let size = CHUNK_BYTES * 3 + 1_000;
    let all: Vec<u8> = pattern(size);
    let id = world.wait(world.engine.begin_resumable(&alice, new("r"), size as u64)).unwrap();
    let complete = |world: &World| world.wait(world.engine.complete_resumable(&alice, &id));
    let middle = CHUNK_BYTES + 17;
    assert_eq!(world.send(&alice, &id, &all, middle, size).unwrap(), (size - middle) as u64);
    assert_eq!(complete(&world).unwrap(), Completion::Incomplete(vec![(0, middle as u64)]));
    // Others do not see it.
    assert_eq!(kind(world.engine.resumable(&bob, &id)), Kind::NotFound);
    assert_eq!(kind(world.send(&bob, &id, &all, 0, 1)), Kind::NotFound);
    let by_bob = world.wait(world.engine.complete_resumable(&bob, &id));
    assert_eq!(kind(by_bob), Kind::NotFound);
    // A body that does not fit its range.
    for (first, end) in [(0, size as u64 + 1), (5, 5), (7, 6)] {
        assert_eq!(kind(world.engine.begin_chunk(&alice, &id, first, end)), Kind::BadRequest);
    }
    let mut short = world.engine.begin_chunk(&alice, &id, 0, 10).unwrap();
    world.wait(short.write(Bytes::from_static(b"12345"))).unwrap();
    assert_eq!(kind(world.wait(short.finish())), Kind::BadRequest);
    let mut long = world.engine.begin_chunk(&alice, &id, 0, 3).unwrap();
    assert_eq!(kind(world.wait(long.write(Bytes::from_static(b"12345")))), Kind::BadRequest);
    drop(long);

    // It outlives a restart, unlike uploads that cannot be gone on with.
    world.restart();
    assert_eq!(
        world.engine.resumable(&alice, &id).unwrap(),
        ResumableState { received: (size - middle) as u64, size: size as u64 }
    );
    assert_eq!(world.send(&alice, &id, &all, 0, 100).unwrap(), (size - middle + 100) as u64);
    assert_eq!(world.send(&alice, &id, &all, 0, 100).unwrap(), (size - middle + 100) as u64);
    assert_eq!(world.send(&alice, &id, &all, 90, middle + 5).unwrap(), size as u64);
    let Completion::Stored(info) = complete(&world).unwrap() else { panic!() };
    assert_eq!((info.path.as_str(), info.size), ("r", size as u64));
    assert_eq!(world.bytes(&alice, "r").unwrap(), all);
    assert_eq!(kind(complete(&world)), Kind::NotFound);
    assert_eq!(kind(world.send(&alice, &id, &all, 0, 1)), Kind::NotFound);
    // The same bytes once more are kept once.
    let before = world.blobs();
    let id = world.wait(world.engine.begin_resumable(&alice, new("s"), size as u64)).unwrap();
    world.send(&alice, &id, &all, 0, size).unwrap();
    world.wait(world.engine.complete_resumable(&alice, &id)).unwrap();
    assert_eq!(world.blobs(), before);
    let id = world.wait(world.engine.begin_resumable(&alice, new("none"), 0)).unwrap();
    let none = world.wait(world.engine.complete_resumable(&alice, &id)).unwrap();
    assert!(matches!(none, Completion::Stored(info) if info.size == 0));
}

#[test]
fn uploads_that_nobody_goes_on_with_are_swept() {
    let mut world = World::new();
    let (_, alice) = world.sign_up("a@example.com");
    let begin = |world: &World| world.wait(world.engine.begin_resumable(&alice, new("r"), 10));
    let first = begin(&world).unwrap();
    world.send(&alice, &first, &[0; 10], 0, 5).unwrap();
    let second = begin(&world).unwrap();
    assert_eq!(world.blobs(), (0, 2));
    world.hand.advance_ms(RESUMABLE_MS_MAX);
    world.send(&alice, &second, &[0; 10], 0, 5).unwrap();
    world.hand.advance_ms(1);
    assert_eq!(kind(world.engine.resumable(&alice, &first)), Kind::NotFound);
    let third = begin(&world).unwrap();
    assert_eq!(world.blobs(), (0, 2));
    world.hand.advance_ms(RESUMABLE_MS_MAX);
    // At a start too.
    world.restart();
    assert_eq!(world.blobs(), (0, 1));
    assert!(world.engine.resumable(&alice, &third).is_ok());
    for _ in 1..100 {
        begin(&world).unwrap();
    }
    assert_eq!(kind(begin(&world)), Kind::Conflict);
}
