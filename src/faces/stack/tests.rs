//! The face over a real file, without sockets: calls go through the table as a router would send them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::{StackFace, routes};
use crate::auth::Auth;
use crate::crypto::{did_key, ed25519_generate, ed25519_sign, handshake_payload, hex, sha256};
use crate::engine::{Engine, EngineOptions, StoreOptions};
use crate::net::{Body, Call, Content, Query, Route};
use crate::schema::Schema;
use crate::util::clock::Clock;
use crate::util::json::parse;
use crate::util::rng::Rng;

const OWNER_TOKEN: &str = "the owner's token";
const ORIGIN: &str = "https://stack.example.com";
const NOTE: &str = "com.example/note@1";

struct Face {
    _folder: tempfile::TempDir,
    engine: Engine,
    routes: Vec<Route>,
    runtime: tokio::runtime::Runtime,
}

/// A request in the making.
struct Ask<'a> {
    face: &'a Face,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        parse(&self.bytes).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn is(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, status, "{text}");
        assert!(status != 204 || self.bytes.is_empty(), "204 has no body");
        self
    }

    #[track_caller]
    fn fails(self, status: u16, code: &str) -> Value {
        let body = self.is(status).json();
        assert_eq!(body["error"]["code"], code, "{body}");
        body
    }
}

impl Face {
    fn new() -> Self {
        Self::with(EngineOptions::default())
    }

    fn with(options: EngineOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let auth = Arc::new(Auth::new(engine.clone(), Some(OWNER_TOKEN), ORIGIN.to_owned()));
        let routes = routes(&Arc::new(StackFace { engine: engine.clone(), auth }));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let face = Self { _folder: folder, engine, routes, runtime };
        face.register(NOTE, json!({ "title": { "kind": "string" } })).is(201);
        face
    }

    fn register(&self, id: &str, schema: Value) -> Answer {
        let hash = Schema::parse(schema.as_object().unwrap()).unwrap().hash();
        let body = json!({ "id": id, "name": "T", "schema": schema, "schemaHash": hash });
        self.post("/types", body).send()
    }

    /// As the owner, unless said otherwise.
    fn ask(&self, method: Method, target: &str) -> Ask<'_> {
        Ask {
            face: self,
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: vec![],
        }
        .token(OWNER_TOKEN)
    }

    fn get(&self, target: &str) -> Ask<'_> {
        self.ask(Method::GET, target)
    }

    fn post(&self, target: &str, body: Value) -> Ask<'_> {
        self.ask(Method::POST, target).json(body)
    }

    fn note(&self) -> String {
        let made = self.post("/records", json!({ "typeId": NOTE, "content": { "title": "a" } }));
        made.send().is(200).json()["id"].as_str().unwrap().to_owned()
    }

    fn token_of(&self, did: &str) -> String {
        let made = self.post("/tokens", json!({ "entityId": did })).send().is(201).json();
        made["token"].as_str().unwrap().to_owned()
    }
}

impl Ask<'_> {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    fn anonymous(mut self) -> Self {
        self.headers.remove("authorization");
        self
    }

    fn json(self, body: Value) -> Self {
        self.bytes(body.to_string().into_bytes())
    }

    fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    #[track_caller]
    fn send(self) -> Answer {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let (route, params) = self
            .face
            .routes
            .iter()
            .filter(|route| route.method == self.method)
            .filter_map(|route| Some((route, params(route.address, path)?)))
            .min_by_key(|(_, params)| params.len())
            .unwrap_or_else(|| panic!("no route for {} {path}", self.method));
        let call = Call {
            method: self.method,
            path: path.to_owned(),
            params,
            query: Query::parse(query),
            headers: self.headers,
            body: Body::whole(self.body),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "r-1".to_owned(),
        };
        self.face.runtime.block_on(async {
            let reply = (route.run)(call).await;
            let mut bytes = Vec::new();
            match reply.content {
                Content::Empty => {}
                Content::Bytes(whole) => bytes.extend_from_slice(&whole),
                Content::Stream { mut source, .. } => {
                    while let Some(piece) = source.recv().await {
                        bytes.extend_from_slice(&piece.unwrap());
                    }
                }
            }
            Answer { status: reply.status.as_u16(), headers: reply.headers, bytes }
        })
    }
}

/// Values of an address's parameters, when `path` fits it.
fn params(address: &str, path: &str) -> Option<Vec<String>> {
    let (wanted, given): (Vec<_>, Vec<_>) =
        (address.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut params = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        if wanted.starts_with('{') {
            params.push(given.replace("%2F", "/").replace("%40", "@"));
        } else if wanted != given {
            return None;
        }
    }
    Some(params)
}

/// Every address is documented, named once, and has a success and its failures.
#[test]
fn the_table_is_complete() {
    let face = Face::new();
    let mut names: Vec<_> = face.routes.iter().map(|route| route.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), face.routes.len());
    for route in &face.routes {
        assert!(!route.doc.summary.is_empty(), "{route:?}");
        assert!(!route.doc.replies.is_empty() && !route.doc.fails.is_empty(), "{route:?}");
    }
}

/// A bad credential is refused everywhere, open addresses included; a guard comes before the body.
#[test]
fn credentials_come_first() {
    let face = Face::new();
    for target in ["/types", "/records", "/.well-known/stack", "/records/none"] {
        for header in ["Bearer nobody", "Basic abc", "bearer x", "Bearer", ""] {
            face.get(target).header("authorization", header).send().fails(401, "unauthorized");
        }
        assert_ne!(face.get(target).anonymous().send().status, 401, "{target}");
    }
    let alice = face.token_of("did:web:alice");
    let garbage = || face.ask(Method::POST, "/types").bytes("{");
    garbage().anonymous().send().fails(401, "unauthorized");
    garbage().token(&alice).send().fails(403, "permission");
    garbage().send().fails(400, "bad_request");
    let large = || face.ask(Method::POST, "/types").bytes("{".repeat((1 << 20) + 1));
    large().anonymous().send().fails(413, "payload_too_large");
    large().token("nobody").send().fails(401, "unauthorized");
    for body in ["null", "[]", "7", "\"x\"", ""] {
        face.ask(Method::POST, "/auth/challenge")
            .anonymous()
            .bytes(body)
            .send()
            .fails(400, "bad_request");
        face.ask(Method::POST, "/records").bytes(body).send().fails(400, "bad_request");
    }
}

/// Create, patch with each spelling, refuse a stale one, delete, bring back.
#[test]
fn the_life_of_a_record() {
    let face = Face::new();
    let body = json!({ "typeId": NOTE, "content": { "title": "a" }, "appId": "x", "version": 9 });
    let made = face.post("/records", body).send().is(200);
    assert_eq!(made.header("etag"), "\"1\"");
    let text = String::from_utf8(made.bytes.clone()).unwrap();
    let keys: Vec<_> = made.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        ["id", "typeId", "createdAt", "updatedAt", "content", "version", "entityId", "appId"],
        "{text}"
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let at = format!("/records/{id}");
    let patch = |body: Value| face.ask(Method::PATCH, &at).json(body);
    let record = patch(json!({ "title": "b" })).header("if-match", "\"1\"").send().is(200).json();
    assert_eq!((&record["content"]["title"], &record["version"]), (&json!("b"), &json!(2)));
    let wrapped = json!({ "id": id, "content": { "title": "c" } });
    assert_eq!(patch(wrapped).send().json()["content"], json!({ "title": "c" }));
    let bare = json!({ "content": { "title": "d" }, "more": 1 });
    assert_eq!(patch(bare).send().json()["content"]["content"]["title"], "d");
    let stale = patch(json!({})).header("if-match", "1").send().fails(412, "version_conflict");
    assert_eq!(
        stale["error"]["versionConflict"],
        json!({ "recordId": id, "expectedVersion": 1, "actualVersion": 4 })
    );
    patch(json!({})).header("if-match", "x").send().fails(400, "bad_request");
    let faults = patch(json!({ "title": 7, "__proto__": 1 })).send().fails(422, "validation");
    assert_eq!(faults["details"], faults["error"]["details"]);
    face.ask(Method::DELETE, &at).send().is(204);
    assert!(face.get(&at).send().is(200).json()["deletedAt"].is_string());
    let back = face.ask(Method::POST, &format!("{at}/undelete")).send().is(200).json();
    assert_eq!(back["version"], 6);
    let deleted = face.ask(Method::DELETE, &at).header("prefer", "return=representation").send();
    assert_eq!(deleted.is(200).json()["permissions"], json!([]));
    face.ask(Method::DELETE, &format!("{at}?hard=true")).send().is(204);
    face.get(&at).send().fails(404, "not_found");
}

/// A type that declares `content` keeps its patches bare.
#[test]
fn a_declared_wrapper_is_a_field() {
    let face = Face::new();
    let schema = json!({ "content": { "kind": "object", "properties": {} } });
    face.register("com.example/page@1", schema).is(201);
    let new = json!({ "typeId": "com.example/page@1", "content": {} });
    let id = face.post("/records", new).send().is(200).json()["id"].as_str().unwrap().to_owned();
    let patch = json!({ "content": { "title": "x" } });
    let record = face.ask(Method::PATCH, &format!("/records/{id}")).json(patch.clone()).send();
    assert_eq!(record.is(200).json()["content"], patch);
}

/// Both spellings of removal, with body and with query; answers with and without the record.
#[test]
fn associations_come_and_go() {
    let face = Face::new();
    let at = format!("/records/{}/associations", face.note());
    let tag = json!({ "kind": "tag", "label": "starred" });
    face.post(&at, tag.clone()).send().is(204);
    face.post(&at, tag.clone()).send().is(204);
    let list = json!({ "associations": [tag] });
    assert_eq!(face.get(&at).send().is(200).json(), list);
    assert_eq!(
        face.get(&format!("{at}?kind=tag&label=x")).send().json()["associations"],
        json!([])
    );
    face.post(&at, json!({ "kind": "tag" })).send().fails(400, "bad_request");
    face.post(&at, json!({ "kind": "star", "label": "x" })).send().fails(400, "bad_request");
    face.ask(Method::DELETE, &at).send().fails(400, "bad_request");
    face.ask(Method::DELETE, &format!("{at}?kind=tag&label=starred")).send().is(204);
    assert_eq!(face.get(&at).send().json()["associations"], json!([]));
    face.post(&at, tag.clone()).header("prefer", "return=representation").send().is(200);
    face.post(&format!("{at}/delete"), tag.clone()).send().is(204);
    face.post(&at, tag.clone()).send().is(204);
    face.ask(Method::DELETE, &at).json(tag).send().is(204);
    assert_eq!(face.get(&at).send().json()["associations"], json!([]));
}

/// Permissions are replaced whole; a reader sees the record, not its history.
#[test]
fn permissions_and_history() {
    let face = Face::new();
    let at = format!("/records/{}", face.note());
    let alice = face.token_of("did:web:alice");
    face.get(&at).token(&alice).send().fails(403, "permission");
    face.get(&at).anonymous().send().fails(403, "permission");
    let put = |body: Value| face.ask(Method::PUT, &format!("{at}/permissions")).json(body);
    put(json!({ "permissions": "x" })).send().fails(400, "bad_request");
    put(json!({ "permissions": [{ "access": "all" }] })).send().fails(422, "validation");
    let public = json!({ "permissions": [{ "access": "public" }] });
    put(public.clone()).send().is(204);
    assert_eq!(face.get(&format!("{at}/permissions")).anonymous().send().is(200).json(), public);
    face.get(&at).anonymous().send().is(200);
    face.get(&format!("{at}/versions")).anonymous().send().fails(403, "permission");
    let versions = face.get(&format!("{at}/versions")).send().is(200).json();
    assert_eq!(versions[0]["version"], 1);
    assert_eq!(versions[0]["associations"], json!([]));
    face.get(&format!("{at}/versions/x")).send().fails(400, "bad_request");
    face.get(&format!("{at}/versions/7")).send().fails(404, "not_found");
    let back = face.ask(Method::POST, &format!("{at}/restore/1")).send().is(200).json();
    assert_eq!((&back["version"], &back["permissions"]), (&json!(3), &public["permissions"]));
    let migrated = json!({ "toTypeId": "none@1", "content": {} });
    face.post(&format!("{at}/migrate"), migrated.clone())
        .token(&alice)
        .send()
        .fails(403, "permission");
    face.post(&format!("{at}/migrate"), migrated).send().fails(422, "validation");
}

#[test]
fn queries_page_and_refuse() {
    let face = Face::new();
    let ids: Vec<_> = (0..3).map(|_| face.note()).collect();
    let page = face.get("/records?typeId=com.example%2Fnote%401&limit=2&direction=asc").send();
    let page = page.is(200).json();
    assert_eq!(page["total"], Value::Null);
    assert_eq!(page["records"].as_array().unwrap().len(), 2);
    let cursor = page["cursor"].as_str().unwrap();
    let rest = face.post(
        "/records/query",
        json!({
            "filter": { "typeId": NOTE, "content": { "title": "a" } },
            "sort": { "field": "createdAt", "direction": "asc" }, "cursor": cursor
        }),
    );
    let rest = rest.send().is(200).json();
    assert_eq!((&rest["records"][0]["id"], &rest["cursor"]), (&json!(ids[2]), &Value::Null));
    for cursor in ["not-a-valid-cursor", "YmFkZmllbGR8MTIzfDFoazE1M3gwMDAwMQ=="] {
        face.get(&format!("/records?cursor={cursor}")).send().fails(400, "bad_request");
    }
    let none = face.get("/records?typeId=com.example%2Fnote%401").anonymous().send().is(200).json();
    assert_eq!(none, json!({ "records": [], "cursor": null, "total": null }));
}

#[test]
fn types_are_listed_and_checked() {
    let face = Face::new();
    let one = face.get("/types/com.example%2Fnote%401").anonymous().send().is(200).json();
    assert_eq!((&one["baseId"], &one["version"]), (&json!("com.example/note"), &json!(1)));
    assert!(face.get("/types").anonymous().send().is(200).json().is_array());
    face.get("/types/none@1").send().fails(404, "not_found");
    let drift = face.register(NOTE, json!({ "title": { "kind": "number" } }));
    let drift = drift.fails(409, "schema_drift");
    assert_eq!(drift["error"]["schemaDrift"]["typeId"], NOTE);
    assert_eq!(drift["error"]["schemaDrift"]["violations"][0]["path"], "title");
    let wrong = json!({ "id": "a@1", "name": "A", "schema": {}, "schemaHash": "00" });
    let wrong = face.post("/types", wrong).send().fails(422, "validation");
    assert_eq!(wrong["details"][0]["path"], "schemaHash");
}

/// A large file goes in and out in pieces; ranges, conditions and unsafe types behave.
#[test]
fn files_in_and_out() {
    let face = Face::new();
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let upload = || {
        face.ask(Method::POST, "/attachments")
            .header("content-type", "text/html")
            .header("content-disposition", "attachment; filename*=UTF-8''%C3%A9.html")
            .bytes(bytes.clone())
    };
    upload().anonymous().send().fails(401, "unauthorized");
    upload().token(&face.token_of("did:web:alice")).send().fails(403, "permission");
    let made = upload().send().is(200).json();
    let id = hex(&sha256(&bytes));
    assert_eq!((&made["fileId"], &made["content"]["fileId"]), (&json!(id), &json!(id)));
    assert_eq!(made["content"]["filename"], "é.html");
    let at = format!("/attachments/{id}");
    let whole = face.get(&at).send().is(200);
    assert_eq!(whole.bytes, bytes);
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(whole.header("content-disposition"), "attachment; filename*=UTF-8''%C3%A9.html");
    assert_eq!(whole.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(whole.header("cache-control"), "no-store");
    let etag = format!("\"{id}\"");
    assert_eq!(whole.header("etag"), etag);
    let part = face.get(&at).header("range", "bytes=262140-262150").send().is(206);
    assert_eq!(part.bytes, bytes[262_140..=262_150]);
    assert_eq!(part.header("content-range"), "bytes 262140-262150/700000");
    let past = face.get(&at).header("range", "bytes=700000-").send().is(416);
    assert_eq!(past.header("content-range"), "bytes */700000");
    let other = face.get(&at).header("range", "bytes=0-1").header("if-range", "\"x\"").send();
    assert_eq!(other.is(200).bytes.len(), bytes.len());
    face.get(&at).header("if-none-match", &format!("W/{etag}")).send().is(304);
    let head =
        face.ask(Method::GET, &format!("{at}?contentType=image%2Fpng&filename=x.png")).send();
    assert_eq!(head.header("content-type"), "image/png");
    assert_eq!(head.header("content-disposition"), "attachment; filename*=UTF-8''x.png");
    face.get(&at).anonymous().send().fails(401, "unauthorized");
    face.get("/attachments/none").send().fails(404, "not_found");
    let clash = face.ask(Method::POST, "/attachments").header("content-type", "image/png");
    let clash = clash.bytes(bytes.clone()).send().fails(422, "validation");
    assert_eq!(clash["details"][0]["path"], "mimeType");
    assert!(!clash.to_string().contains("text/html"));
    let bare =
        face.ask(Method::POST, "/attachments?record=false").bytes("abc").send().is(201).json();
    assert_eq!(bare, json!({ "fileId": hex(&sha256(b"abc")), "size": 3 }));
    let swept = face.post("/attachments/gc", json!({ "graceMs": 0, "dryRun": true })).send().json();
    assert_eq!(swept["reclaimedBytes"], 700_003);
    face.ask(Method::DELETE, &at).send().is(204);
    face.ask(Method::DELETE, &at).send().fails(404, "not_found");
    face.ask(Method::POST, "/attachments/gc").send().is(200);
}

/// An upload past the ceiling is refused, declared or counted, and leaves nothing.
#[test]
fn large_uploads_are_refused() {
    let face = Face::with(EngineOptions { attachment_bytes_max: 8, ..EngineOptions::default() });
    face.ask(Method::POST, "/attachments")
        .bytes("123456789")
        .send()
        .fails(413, "payload_too_large");
    face.ask(Method::POST, "/attachments").bytes("12345678").send().is(200);
    face.ask(Method::POST, "/attachments").send().is(200);
}

#[test]
fn tokens_are_shown_once() {
    let face = Face::new();
    let made = face.post("/tokens", json!({ "entityId": "did:web:a", "onBehalfOf": "did:web:b" }));
    let made = made.send().is(201).json();
    assert_eq!(
        (&made["principalId"], &made["subjectId"]),
        (&json!("did:web:a"), &json!("did:web:b"))
    );
    assert_eq!((&made["entityId"], &made["label"]), (&json!("did:web:a"), &Value::Null));
    let listed = face.get("/tokens").send().is(200).json();
    assert_eq!(listed["tokens"][0]["createdAt"], made["createdAt"]);
    assert!(listed["tokens"][0].get("token").is_none());
    let at = format!("/tokens/{}", made["id"].as_str().unwrap());
    face.ask(Method::DELETE, &at).send().is(204);
    face.ask(Method::DELETE, &at).send().is(204);
    face.get("/types").token(made["token"].as_str().unwrap()).send().fails(401, "unauthorized");
    let faults = face.post("/tokens", json!({ "entityId": "a", "expiresAt": "x" })).send();
    assert_eq!(faults.fails(422, "validation")["details"].as_array().unwrap().len(), 2);
}

/// S37: a nonce is good for five minutes less a moment, and then it is spent by the try that comes too late. S30: the file
/// keeps no nonce as it was given out.
#[test]
fn a_nonce_expires() {
    use base64::Engine as _;
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let store = StoreOptions { clock, ..StoreOptions::default() };
    let face = Face::with(EngineOptions { store, ..EngineOptions::default() });
    let (seed, public) = ed25519_generate(&Rng::os());
    let did = did_key::format(&public);
    let redeem = |wait_ms: i64| {
        let opened = face.post("/auth/challenge", json!({ "did": did })).anonymous().send();
        let nonce = opened.is(200).json()["nonce"].as_str().unwrap().to_owned();
        hand.advance_ms(wait_ms);
        let payload = handshake_payload(ORIGIN, &did, &nonce);
        let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(ed25519_sign(&seed, payload.as_bytes()));
        let body = json!({ "did": did, "nonce": nonce, "signature": signature });
        (face.post("/auth/token", body.clone()).anonymous().send(), nonce, body)
    };
    redeem(5 * 60_000 - 1).0.is(200);
    let (late, nonce, body) = redeem(5 * 60_000);
    late.fails(401, "expired_nonce");
    face.post("/auth/token", body).anonymous().send().fails(401, "unknown_nonce");
    let log = std::fs::read(face.engine.path().with_extension("cairn-wal")).unwrap();
    assert!(!log.windows(nonce.len()).any(|bytes| bytes == nonce.as_bytes()));
}

/// S57: past a bound of queues or time the answer is 503 with `Retry-After`; S67: a full disk is 507.
#[test]
fn what_is_too_much_now_can_be_tried_again() {
    use crate::engine::Error;
    for error in [Error::Busy, Error::Timeout] {
        let reply = super::errors::Failure::from(error).into_reply("r-1");
        assert_eq!(reply.status, 503);
        assert_eq!(reply.headers["retry-after"], "1");
    }
    assert_eq!(super::errors::Failure::from(Error::Full).into_reply("r-1").status, 507);
}

/// The handshake: every refusal in its order, then a token that works and a nonce that does not.
#[test]
fn a_key_holder_signs_in() {
    let face = Face::new();
    let (seed, public) = ed25519_generate(&Rng::seeded(1));
    let did = did_key::format(&public);
    let ask = |body: Value| face.post("/auth/challenge", body).anonymous().send();
    ask(json!({ "did": "did:web:a" })).fails(400, "invalid_did");
    ask(json!({})).fails(400, "invalid_did");
    let opened = ask(json!({ "did": did })).is(200).json();
    let nonce = opened["nonce"].as_str().unwrap().to_owned();
    let signature = {
        use base64::Engine as _;
        let payload = handshake_payload(ORIGIN, &did, &nonce);
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(ed25519_sign(&seed, payload.as_bytes()))
    };
    let redeem = |body: Value| face.post("/auth/token", body).anonymous().send();
    redeem(json!({ "did": "x", "nonce": nonce })).fails(400, "invalid_did");
    redeem(json!({ "did": did, "signature": signature })).fails(401, "unknown_nonce");
    redeem(json!({ "did": did, "nonce": nonce })).fails(401, "invalid_signature");
    let other = did_key::format(&ed25519_generate(&Rng::seeded(2)).1);
    let good = json!({ "did": did, "nonce": nonce, "signature": signature, "onBehalfOf": other });
    redeem(json!({ "did": other, "nonce": nonce, "signature": signature }))
        .fails(401, "unknown_nonce");
    let token = redeem(good.clone()).is(200).json();
    assert_eq!((&token["principalId"], &token["subjectId"]), (&json!(did), &json!(did)));
    redeem(good).fails(401, "unknown_nonce");
    face.get("/types").token(token["token"].as_str().unwrap()).send().is(200);
    let nonce = ask(json!({ "did": did })).json()["nonce"].clone();
    let wrong = json!({ "did": did, "nonce": nonce, "signature": "a+b" });
    redeem(wrong.clone()).fails(401, "invalid_signature");
    redeem(wrong).fails(401, "unknown_nonce");
}

#[test]
fn the_owner_link_works_once() {
    let face = Face::new();
    let auth = Auth::new(face.engine.clone(), None, ORIGIN.to_owned());
    let first = face.runtime.block_on(auth.open_owner_link()).unwrap();
    let second = face.runtime.block_on(auth.open_owner_link()).unwrap();
    let exchange =
        |secret: &str| face.post("/_/owner-link", json!({ "secret": secret })).anonymous().send();
    exchange(&first).fails(401, "unauthorized");
    let token = exchange(&second).is(200).json();
    exchange(&second).fails(401, "unauthorized");
    face.get("/tokens").token(token["token"].as_str().unwrap()).send().is(200);
}

#[test]
fn discovery_card_and_explanation() {
    let options = EngineOptions { owner_name: Some("Ada".into()), ..EngineOptions::default() };
    let face = Face::with(options);
    let document = face.get("/.well-known/stack").anonymous().send().is(200).json();
    assert_eq!(document["entityId"], face.engine.owner());
    assert!(document.get("timezone").is_none());
    assert_eq!(document["capabilities"]["maxContentBytes"], 1 << 20);
    face.get("/entity").anonymous().send().fails(401, "unauthorized");
    assert_eq!(face.get("/entity").send().is(200).json()["content"]["name"], "Ada");
    for body in [json!({ "name": "Bo" }), json!({ "content": { "name": "Bo" } })] {
        let card = face.ask(Method::PATCH, "/entity").json(body).send().is(200).json();
        assert_eq!(card["content"]["name"], "Bo");
    }
    let id = face.note();
    let explained = face.get(&format!("/_/explain?record={id}&principal=did:web:a")).send().is(200);
    assert_eq!(explained.json()["allowed"], false);
    face.get(&format!("/_/explain?record={id}&action=fly")).send().fails(400, "bad_request");
    face.get("/_/explain?record=none").send().fails(404, "not_found");
}

/// With the switch on, a record somebody cannot read is one that does not exist.
#[test]
fn unreadable_records_can_be_missing() {
    let options = EngineOptions { unreadable_as_missing: true, ..EngineOptions::default() };
    let face = Face::with(options);
    let at = format!("/records/{}", face.note());
    let alice = face.token_of("did:web:alice");
    face.get(&at).token(&alice).send().fails(404, "not_found");
    face.get(&format!("{at}/versions")).anonymous().send().fails(404, "not_found");
    face.ask(Method::PATCH, &at).token(&alice).json(json!({})).send().fails(404, "not_found");
    let public = json!({ "permissions": [{ "access": "public" }] });
    face.ask(Method::PUT, &format!("{at}/permissions")).json(public).send().is(204);
    face.ask(Method::PATCH, &at).token(&alice).json(json!({})).send().fails(403, "permission");
}
