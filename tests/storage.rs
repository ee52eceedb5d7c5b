//! Files by path over real sockets: forms in every shape, links, ranges, refusals and what they leave behind.
//!
//! The server runs in this process, so that a test can look into the file behind it and move its clock.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cairn::auth::Auth;
use cairn::auth::access_token::{ACCESS_TOKEN_S, AccessTokens};
use cairn::auth::accounts::{AccountSettings, Accounts, SignUpPolicy};
use cairn::auth::password_pool::PasswordPool;
use cairn::crypto::password::Cost;
use cairn::engine::{Engine, EngineOptions};
use cairn::faces::Envelopes;
use cairn::faces::live::http::LiveFace;
use cairn::faces::live::query_form::QueryLimits;
use cairn::faces::live::{auth, storage};
use cairn::live::Hub;
use cairn::live::statistics::Statistics;
use cairn::net::{Rate, RateLimits, Router, Server, Settings};
use cairn::util::clock::{Clock, ManualClock};
use cairn::util::rng::Rng;
use common::{Call, Reply, call};
use serde_json::{Value, json};
use tempfile::TempDir;

const OWNER_TOKEN: &str = "owner-token-of-the-tests-0123456789abcdef";
const BYTES_MAX: u64 = 1 << 20;

struct World {
    _folder: TempDir,
    engine: Engine,
    hand: ManualClock,
    server: Option<Server>,
    address: SocketAddr,
}

impl World {
    fn start() -> Self {
        Self::start_with(None)
    }

    fn start_with(public_url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_775_390_400_000);
        let mut options =
            EngineOptions { storage_bytes_max: BYTES_MAX, ..EngineOptions::default() };
        options.store.clock = clock.clone();
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let pool = Arc::new(PasswordPool::start(Cost::LEAST, Rng::os()).unwrap());
        let tokens = Arc::new(AccessTokens::new(engine.clone(), "cairn", ACCESS_TOKEN_S).unwrap());
        let open = AccountSettings { sign_up: SignUpPolicy::Open, ..AccountSettings::default() };
        let accounts = Arc::new(Accounts::new(engine.clone(), pool, Arc::clone(&tokens), open));
        let authority = Auth::new(engine.clone(), Some(OWNER_TOKEN), "http://127.0.0.1".into())
            .with_verifier(Box::new(tokens));
        let rate = Rate::new(clock, RateLimits::none());
        let face = Arc::new(LiveFace {
            engine: engine.clone(),
            accounts,
            auth: Arc::new(authority),
            rate: rate.clone(),
            app_id: None,
            public_url: public_url.map(str::to_owned),
            hub: Hub::start(engine.clone()).unwrap(),
            statistics: Arc::new(Statistics::new(engine.clock().clone())),
            limits: QueryLimits::default(),
            started_ms: engine.clock().now_ms(),
            dial: OnceLock::new(),
        });
        let mut routes = auth::routes(&face);
        routes.extend(storage::routes(&face));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings { rate, ..Settings::default() };
        let router = Router::new(routes).unwrap();
        let server = Server::start(vec![listener], settings, router, Arc::new(Envelopes)).unwrap();
        Self { _folder: folder, engine, hand, server: Some(server), address }
    }

    fn sign_up(&self, email: &str) -> Person {
        let body = json!({ "email": email, "password": "correct horse battery" });
        let answer = call("POST", "/api/auth/signup").json(&body).send(self.address).is(201);
        Person { address: self.address, token: answer["accessToken"].as_str().unwrap().to_owned() }
    }

    fn owner(&self) -> Person {
        Person { address: self.address, token: OWNER_TOKEN.to_owned() }
    }

    fn send(&self, call: Call) -> Reply {
        call.send(self.address)
    }

    /// Follows a link without a credential.
    fn follow(&self, url: &str) -> Reply {
        self.send(call("GET", of_link(url)))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(10));
        }
        self.engine.close();
    }
}

struct Person {
    address: SocketAddr,
    token: String,
}

impl Person {
    fn send(&self, call: Call) -> Reply {
        call.header("Authorization", &format!("Bearer {}", self.token)).send(self.address)
    }

    fn get(&self, path: &str) -> Reply {
        self.send(call("GET", path))
    }

    fn put(&self, path: &str, kind: &str, bytes: &[u8]) -> Value {
        let path = format!("/api/storage/upload?path={path}");
        self.send(call("POST", &path).header("Content-Type", kind).bytes(bytes)).is(201)
    }

    fn paths(&self) -> Vec<String> {
        let list = self.get("/api/storage").is(200);
        let files = list["files"].as_array().unwrap();
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    }
}

/// Path and query of an absolute address.
fn of_link(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

const BOUNDARY: &str = "----cairn-test-7MA4YWxk";

/// Name, file name, media type, content.
type Part<'a> = (&'a str, Option<&'a str>, Option<&'a str>, &'a [u8]);

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, filename, kind, content) in parts {
        write!(out, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"").unwrap();
        if let Some(filename) = filename {
            write!(out, "; filename=\"{filename}\"").unwrap();
        }
        if let Some(kind) = kind {
            write!(out, "\r\nContent-Type: {kind}").unwrap();
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(content);
        out.extend_from_slice(b"\r\n");
    }
    write!(out, "--{BOUNDARY}--\r\n").unwrap();
    out
}

fn upload(kind: &str, body: &[u8]) -> Call {
    call("POST", "/api/storage/upload").header("Content-Type", kind).bytes(body)
}

fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn forms_in_any_order_and_under_any_label() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    let photo = pattern(700_001);
    let file = ("file", Some("x.jpg"), Some("image/jpeg"), &photo[..]);
    let path = ("path", None, None, &b"/images/photo.jpg"[..]);
    let kind = ("contentType", None, None, &b"image/png"[..]);
    let metadata = ("metadata", None, None, &br#"{"by":"me"}"#[..]);
    let other = ("other", None, None, &b"ignored"[..]);
    for (parts, wanted) in [
        (vec![path, file], "image/jpeg"),
        (vec![file, path], "image/jpeg"),
        (vec![kind, file, other, metadata, path], "image/png"),
        (vec![file, path, kind, metadata], "image/png"),
    ] {
        for (label, chunked) in [(form_type(), false), ("application/json".into(), true)] {
            let mut call = upload(&label, &form(&parts));
            if chunked {
                call = call.chunked();
            }
            let stored = alice.send(call).is(201);
            assert_eq!(stored["path"], "images/photo.jpg");
            assert_eq!(
                (&stored["contentType"], &stored["size"]),
                (&json!(wanted), &json!(700_001))
            );
            assert_eq!(stored["expiresAt"], "2026-04-05T13:00:00.000Z");
            let bytes = world.follow(stored["url"].as_str().unwrap());
            assert_eq!((bytes.status, bytes.body == photo), (200, true));
        }
    }
    assert_eq!(alice.paths(), ["images/photo.jpg"]);
    let seen = alice.get("/api/storage/images/photo.jpg").is(200);
    assert_eq!(seen["metadata"], json!({ "by": "me" }));

    // Without a path one is made up; without a label the bytes are taken as they are.
    let stored = alice.send(upload(&form_type(), &form(&[("file", None, None, b"")]))).is(201);
    assert!(stored["path"].as_str().unwrap().starts_with("uploads/"), "{stored}");
    assert_eq!(
        (&stored["size"], &stored["contentType"]),
        (&json!(0), &json!("application/octet-stream"))
    );
    let query = b"-- a comment\r\nSELECT 1";
    let stored = alice.put("a.sql", "application/sql", query);
    assert_eq!(stored["size"], query.len());
    let bare = call("POST", "/v1/apps/my-app/storage/upload?path=b").bytes(b"-");
    assert_eq!(alice.send(bare).is(201)["contentType"], "application/octet-stream");
}

#[test]
fn refused_uploads_say_why_and_leave_nothing() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    let file = ("file", None, None, &b"1"[..]);
    let name = |path: &'static [u8]| ("path", None, None, path);
    for parts in [
        vec![],
        vec![name(b"a")],
        vec![file, file],
        vec![file, name(b"../a")],
        vec![file, name(b"")],
        vec![file, name(b"upload")],
        vec![file, name(b"\xff")],
        vec![file, ("metadata", None, None, &b"[]"[..])],
        vec![file, ("metadata", None, None, &br#"{"a":1}"#[..])],
        vec![file, ("contentType", None, None, &b"a\tb"[..])],
        vec![file; 1].into_iter().chain(vec![("x", None, None, &b""[..]); 16]).collect(),
    ] {
        alice.send(upload(&form_type(), &form(&parts))).fails(400, "INVALID_ARGUMENT");
    }
    // Cut off in the middle, and nothing but beginnings.
    let whole = form(&[file, name(b"a")]);
    for body in [&whole[..whole.len() - 4], &whole[..60], b"", b"--x"] {
        alice.send(upload(&form_type(), body)).fails(400, "INVALID_ARGUMENT");
    }
    let mut endless = format!("--{BOUNDARY}\r\n").into_bytes();
    endless.resize(900_000, b'a');
    alice.send(upload(&form_type(), &endless)).fails(400, "INVALID_ARGUMENT");
    alice.send(upload("multipart/form-data", &whole)).fails(400, "INVALID_ARGUMENT");

    // Too large: declared, counted, in a form or not.
    let large = pattern(usize::try_from(BYTES_MAX).unwrap() + 1);
    for chunked in [false, true] {
        for call in [
            upload("text/plain", &large),
            upload(&form_type(), &form(&[("file", None, None, &large)])),
        ] {
            let call = if chunked { call.chunked() } else { call };
            alice.send(call).fails(413, "PAYLOAD_TOO_LARGE");
        }
    }
    // Nobody in particular.
    world.send(upload("text/plain", b"1")).fails(401, "UNAUTHENTICATED");
    let stale = upload("text/plain", b"1").header("Authorization", "Bearer nonsense");
    world.send(stale).fails(401, "UNAUTHENTICATED");

    // A client that goes away.
    let head = format!(
        "POST /api/storage/upload?path=gone HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 600000\r\n\r\n",
        world.address, alice.token
    );
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&pattern(550_000)).unwrap();
    drop(stream);

    assert_eq!(alice.paths(), Vec::<String>::new());
    assert_eq!(world.engine.counts().unwrap().blobs, 0);
}

#[test]
fn links_carry_their_own_permission() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    let stored = alice.put("d/%C3%A4%20b.txt", "text/plain", b"0123456789");
    assert_eq!(stored["path"], "d/ä b.txt");
    let address = "/api/storage/d/%C3%A4%20b.txt";
    let link = alice.get(address).is(200);
    let url = link["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("http://{}{address}?expires=1775394000&sig=", world.address)),
        "{url}"
    );
    let bytes = world.follow(url);
    assert_eq!((bytes.status, bytes.body.as_slice()), (200, &b"0123456789"[..]));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-length", "10"),
        ("content-disposition", "attachment; filename*=UTF-8''%C3%A4%20b.txt"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("cache-control", "private, no-cache"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(bytes.header(name), Some(value), "{bytes:?}");
    }
    let etag = bytes.header("etag").unwrap().to_owned();
    let path = of_link(url);
    let part = world.send(call("GET", path).header("Range", "bytes=2-4"));
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let none = world.send(call("GET", path).header("Range", "bytes=10-"));
    assert_eq!(none.header("content-range"), Some("bytes */10"));
    none.fails(416, "INVALID_ARGUMENT");
    assert_eq!(world.send(call("GET", path).header("If-None-Match", &etag)).status, 304);
    assert_eq!(world.send(call("HEAD", path)).header("content-length"), Some("10"));
    // A bad credential beside a good link does no harm.
    let both = world.send(call("GET", path).header("Authorization", "Bearer x"));
    assert_eq!(both.status, 200);

    // Nothing of the address can be changed.
    for (from, to) in [
        ("expires=1775394000", "expires=1775394001"),
        ("expires=1775394000", "expires=x"),
        ("sig=", "sig=A"),
        ("holder=sess_", "holder=owner"),
        ("type=text", "type=image"),
        ("&file=", "&file=0"),
        ("&holder=", "&width=5&holder="),
        ("%20b.txt", "%20c.txt"),
    ] {
        world.send(call("GET", &path.replace(from, to))).fails(401, "UNAUTHENTICATED");
    }
    world.send(call("GET", address)).fails(401, "UNAUTHENTICATED");

    // Lifetimes.
    for (query, seconds) in [("expiry=60", 60), ("expiresIn=604800", 86_400)] {
        let link = alice.get(&format!("/api/storage/url?path=d/%C3%A4%20b.txt&{query}")).is(200);
        assert_eq!(link["expiresIn"], seconds);
    }
    alice.get(&format!("{address}?expiry=1")).fails(400, "INVALID_ARGUMENT");
    world.hand.advance_ms(3_600_000);
    world.send(call("GET", path)).fails(401, "UNAUTHENTICATED");

    // It ends with the session that made it, and with the file.
    let bob = world.sign_up("b@example.com");
    let path_of =
        |who: &Person| of_link(who.get(address).is(200)["url"].as_str().unwrap()).to_owned();
    let (of_bob, of_owner) = (path_of(&bob), path_of(&world.owner()));
    assert_eq!(world.send(call("GET", &of_bob)).status, 200);
    bob.send(call("POST", "/api/auth/signout")).is(204);
    world.send(call("GET", &of_bob)).fails(401, "UNAUTHENTICATED");
    assert_eq!(world.send(call("GET", &of_owner)).status, 200);
    world.owner().send(call("DELETE", address)).is(204);
    world.send(call("GET", &of_owner)).fails(404, "NOT_FOUND");
    world.owner().get(address).fails(404, "NOT_FOUND");
}

#[test]
fn s59_what_a_browser_would_run_goes_out_as_bytes() {
    let world = World::start_with(Some("https://files.example.com"));
    let alice = world.sign_up("a@example.com");
    for kind in
        ["text/html", "image/svg+xml", "application/xml", "text/javascript", "application/json"]
    {
        let stored = alice.put("x", kind, b"<script>");
        assert_eq!(stored["contentType"], kind);
        let url = stored["url"].as_str().unwrap();
        assert!(url.starts_with("https://files.example.com/api/storage/x?"), "{url}");
        let bytes = world.follow(url);
        assert_eq!(bytes.header("content-type"), Some("application/octet-stream"));
        assert!(bytes.header("content-disposition").unwrap().starts_with("attachment"));
    }
}

#[test]
fn libraries_get_bytes_and_their_own_spellings() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    for name in ["p/b", "p/a", "q", "p/c"] {
        alice.put(name, "text/plain", name.as_bytes());
    }
    for call in [
        call("GET", "/api/storage/p/a?download=1"),
        call("GET", "/api/storage/p/a")
            .header("X-DarshDB-NS", "n")
            .header("Accept", "application/json"),
        call("GET", "/v1/apps/x/storage//p/a").header("X-DarshDB-DB", "d"),
    ] {
        let bytes = alice.send(call);
        assert_eq!((bytes.status, bytes.text().as_str()), (200, "p/a"));
        assert_eq!(bytes.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(bytes.header("cache-control"), Some("no-store"));
    }
    world.send(call("GET", "/api/storage/p/a?download=1")).fails(401, "UNAUTHENTICATED");
    let first = alice.get("/api/storage/list?prefix=/p/&limit=2").is(200);
    let paths = |list: &Value| -> Vec<String> {
        let files = list["files"].as_array().unwrap();
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (paths(&first), &first["hasMore"]),
        (vec!["p/a".into(), "p/b".into()], &json!(true))
    );
    assert_eq!(first["cursor"], first["nextCursor"]);
    let cursor = first["cursor"].as_str().unwrap();
    let second = alice.get(&format!("/api/storage?prefix=p/&cursor={cursor}")).is(200);
    assert_eq!((paths(&second), &second["hasMore"]), (vec!["p/c".into()], &json!(false)));
    assert_eq!(second["files"][0]["updatedAt"], "2026-04-05T12:00:00.000Z");
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=%25"] {
        alice.get(&format!("/api/storage?{query}")).fails(400, "INVALID_ARGUMENT");
    }
    alice.send(call("DELETE", "/api/storage/files?path=/p/a")).is(204);
    let by_body = call("DELETE", "/api/storage/delete").json(&json!({ "path": "p/b" }));
    assert_eq!(alice.send(by_body).is(200), json!({ "ok": true }));
    alice.send(call("DELETE", "/v1/apps/my-app/storage/p/c")).is(204);
    alice.send(call("DELETE", "/api/storage/p/c")).fails(404, "NOT_FOUND");
    assert_eq!(alice.paths(), ["q"]);
    for path in ["a/../b", "a//b", "a%2F..%2Fb", "a%5Cb", "%00", "C:/x", "a/"] {
        alice.get(&format!("/api/storage/{path}")).fails(400, "INVALID_ARGUMENT");
    }
    // Decoded once: this is a name with a percent sign.
    alice.get("/api/storage/%252e%252e").fails(404, "NOT_FOUND");
    alice.get("/api/storage/url").fails(400, "INVALID_ARGUMENT");
    let delete = call("DELETE", "/api/storage/delete").json(&json!({}));
    alice.send(delete).fails(400, "INVALID_ARGUMENT");
}

#[test]
fn transforms_are_checked_signed_and_left_undone() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    alice.put("a.png", "image/png", b"png");
    let link = alice.get("/api/storage/a.png?width=20&fit=cover").is(200);
    let url = link["url"].as_str().unwrap();
    let bytes = world.follow(url);
    assert_eq!(
        (bytes.text().as_str(), bytes.header("x-image-transform")),
        ("png", Some("unsupported"))
    );
    world.follow(&url.replace("width=20", "width=21")).fails(401, "UNAUTHENTICATED");
    world.follow(&url.replace("&width=20", "")).fails(401, "UNAUTHENTICATED");
    world.follow(&url.replace("width=20", "width=0")).fails(400, "INVALID_ARGUMENT");
    for query in ["width=4097", "fit=x", "quality=0", "blur=0.1", "download=1&height=0"] {
        alice.get(&format!("/api/storage/a.png?{query}")).fails(400, "INVALID_ARGUMENT");
    }
}

#[test]
fn ranges_become_a_file() {
    let world = World::start();
    let (alice, bob) = (world.sign_up("a@example.com"), world.sign_up("b@example.com"));
    let all = pattern(900_000);
    let base = "/v1/apps/my-app/storage/upload/resumable";
    let begin = |body: Value| alice.send(call("POST", base).json(&body));
    for body in [
        json!({ "path": "r" }),
        json!({ "size": 1 }),
        json!({ "path": "../r", "size": 1 }),
        json!({ "path": "r", "size": -1 }),
        json!({ "path": "r", "size": 1, "metadata": [] }),
        json!({ "path": "r", "size": 1, "contentType": 1 }),
    ] {
        begin(body).fails(400, "INVALID_ARGUMENT");
    }
    begin(json!({ "path": "r", "size": BYTES_MAX + 1 })).fails(413, "PAYLOAD_TOO_LARGE");
    let opened =
        begin(json!({ "path": "/films/r.mp4", "size": all.len(), "contentType": "video/mp4",
        "metadata": { "k": "v" } }))
        .is(200);
    assert_eq!(opened["chunkSize"], 2_097_152);
    let one = format!("{base}/{}", opened["uploadId"].as_str().unwrap());
    let chunk = |first: usize, end: usize, bytes: &[u8]| {
        let range = format!("bytes {first}-{}/{}", end - 1, all.len());
        call("PUT", &format!("{one}/chunk")).header("Content-Range", &range).bytes(bytes)
    };
    let send = |first: usize, end: usize| alice.send(chunk(first, end, &all[first..end])).is(200);
    assert_eq!(send(500_000, 900_000)["received"], 400_000);
    assert_eq!(send(500_000, 900_000)["received"], 400_000);
    let state = alice.get(&one).is(200);
    assert_eq!((&state["received"], &state["complete"]), (&json!(400_000), &json!(false)));
    let early = alice.send(call("POST", &format!("{one}/complete"))).fails(409, "CONFLICT");
    assert_eq!(early["error"]["details"][0]["field"], "bytes 0-499999");
    // What does not fit is refused; others do not see it.
    alice.send(chunk(0, 10, b"short")).fails(400, "INVALID_ARGUMENT");
    alice.send(chunk(0, 10, b"short").chunked()).fails(400, "INVALID_ARGUMENT");
    alice.send(chunk(0, 3, b"longer").chunked()).fails(400, "INVALID_ARGUMENT");
    alice.send(chunk(900_000, 900_005, b"above")).fails(400, "INVALID_ARGUMENT");
    let unnamed = call("PUT", &format!("{one}/chunk")).bytes(b"x");
    alice.send(unnamed).fails(400, "INVALID_ARGUMENT");
    bob.get(&one).fails(404, "NOT_FOUND");
    bob.send(chunk(0, 1, b"x")).fails(404, "NOT_FOUND");
    world.send(chunk(0, 1, b"x")).fails(401, "UNAUTHENTICATED");
    assert_eq!(send(0, 300_000)["received"], 700_000);
    assert_eq!(send(300_000, 500_000)["received"], 900_000);
    assert_eq!(alice.get(&one).is(200)["complete"], true);
    let stored = alice.send(call("POST", &format!("{one}/complete"))).is(200);
    assert_eq!((&stored["path"], &stored["size"]), (&json!("films/r.mp4"), &json!(900_000)));
    let bytes = world.follow(stored["url"].as_str().unwrap());
    assert!(bytes.body == all && bytes.header("content-type") == Some("video/mp4"));
    alice.get(&one).fails(404, "NOT_FOUND");
    // Given up after a day.
    let opened = begin(json!({ "path": "s", "size": 5 })).is(200);
    let one = format!("{base}/{}", opened["uploadId"].as_str().unwrap());
    world.hand.advance_ms(24 * 3_600_000 + 1);
    let owner = world.owner();
    owner.get(&one).fails(404, "NOT_FOUND");
}

/// Bytes beyond the first piece stream; a slow reader gets all of them.
#[test]
fn large_files_stream_both_ways() {
    let world = World::start();
    let alice = world.sign_up("a@example.com");
    let all = pattern(usize::try_from(BYTES_MAX).unwrap());
    let stored = alice.put("large", "application/octet-stream", &all);
    let bytes = world.follow(stored["url"].as_str().unwrap());
    assert!(bytes.body == all);
    let tail = call("GET", "/api/storage/large?download=1").header("Range", "bytes=-300000");
    assert!(alice.send(tail).body == all[all.len() - 300_000..]);
}
