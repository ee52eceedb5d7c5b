//! Rules of the security document that hold for every address at once, tried on all of them (`docs/security.md`), and that
//! page itself: every test it names exists.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{Server, Setup, Who, call, encode, upload};
use serde_json::{Value, json};

/// Addresses for everybody, by the first words of their names. A new one belongs here only when it must answer strangers.
const OPEN: [&str; 22] = [
    "health",
    "api.health",
    "stack.discover",
    "types.list",
    "types.get",
    "auth.challenge",
    "auth.token",
    "owner_link.exchange",
    "live.auth.signup",
    "live.auth.signin",
    "live.auth.refresh",
    "live.auth.magic_link",
    "live.auth.verify",
    "live.auth.oauth",
    "live.auth.reset",
    "live.auth.forgot",
    "live.admin.health",
    "live.ws",
    "openapi",
    "docs",
    "admin",
    "landing",
];

/// One documented address and method.
struct Operation {
    name: String,
    method: String,
    path: String,
    /// `None`: for everybody. `Some(false)`: a credential may be there. `Some(true)`: it must.
    guarded: Option<bool>,
    streams: bool,
}

fn operations(server: &Server) -> Vec<Operation> {
    let document = server.anonymous().get("/_/openapi.json").is(200);
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(name) = operation["operationId"].as_str() else { continue };
            let ways = operation["security"].as_array().unwrap();
            all.push(Operation {
                name: name.replacen(".apps.", ".", 1),
                method: method.to_uppercase(),
                path: filled(path),
                guarded: (!ways.is_empty()).then(|| !ways.contains(&json!({}))),
                streams: operation["responses"].to_string().contains("text/event-stream"),
            });
        }
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "some1" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn ask(who: &Who, operation: &Operation) -> common::Reply {
    let call = call(&operation.method, &operation.path);
    let reads = operation.method == "GET";
    who.send(if reads { call } else { call.json(&json!({})) })
}

/// S45: what says that it needs a credential refuses who has none, before it looks at anything else; what is open to
/// everybody is on a list.
#[test]
fn s45_every_address_has_its_guard() {
    let server = Setup::new().start();
    let (nobody, stale) = (server.anonymous(), server.with_token("stale", ""));
    for operation in operations(&server) {
        let shown = format!("{} {} ({})", operation.method, operation.path, operation.name);
        match operation.guarded {
            None => {
                let listed = OPEN.iter().any(|open| operation.name.starts_with(open));
                assert!(listed, "{shown} is open to everybody and not on the list");
            }
            Some(true) => assert_eq!(ask(&nobody, &operation).status, 401, "{shown}"),
            Some(false) => {}
        }
        // The second step of a sign-in, a link from a letter: what they carry is their credential, an old token beside it says
        // nothing.
        let carries_its_own =
            ["live.auth.mfa.verify", "live.auth.verify"].contains(&&*operation.name);
        if operation.guarded.is_some() && !carries_its_own {
            assert_eq!(ask(&stale, &operation).status, 401, "a bad credential: {shown}");
        }
    }
}

/// S13: no `GET` changes anything, whoever asks, and no answer sets a cookie. S19: headers of every answer.
#[test]
fn s13_reading_changes_nothing_and_sets_no_cookie() {
    let server = Setup::new().start();
    let owner = server.owner();
    let kind = server.new_type("note", json!({}));
    owner.make(&kind, json!({ "a": 1 }));
    let newest = |owner: &Who| owner.get("/_/stats").is(200)["lastTx"].as_i64().unwrap();
    let before = newest(&owner);
    for who in [server.anonymous(), server.person(), server.owner()] {
        let at = newest(&owner);
        for operation in operations(&server) {
            if operation.method != "GET" || operation.streams || operation.name == "live.ws" {
                continue;
            }
            let reply = ask(&who, &operation);
            let shown = format!("{} {}", operation.path, reply.status);
            assert!(reply.header("set-cookie").is_none(), "{shown}");
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{shown}");
            assert!(reply.header("cross-origin-resource-policy").is_some(), "{shown}");
            let page = operation.guarded.is_none();
            if who.token.is_some() && !page {
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{shown}");
            }
            let media = reply.header("content-type").unwrap_or_default();
            if media.starts_with("application/json") {
                assert_eq!(media, "application/json; charset=utf-8", "{shown}");
            }
        }
        assert_eq!(newest(&owner), at, "a read wrote something");
    }
    // Only the token of the person in between was written.
    assert_eq!(newest(&owner), before);
}

/// S19: behind a proxy that speaks TLS, and only there, browsers are told to stay with it.
#[test]
fn s19_strict_transport_over_https_only() {
    let told = |server: &Server| {
        let asked = call("GET", "/types").header("X-Forwarded-Proto", "https");
        asked.send(server.address).header("strict-transport-security").map(str::to_owned)
    };
    let plain = || Setup::new().without("CAIRN_BASE_URL");
    assert_eq!(told(&plain().start()), None, "nobody vouches for the header");
    let behind = plain().env("CAIRN_TRUST_PROXY", "127.0.0.1").start();
    assert_eq!(told(&behind).as_deref(), Some("max-age=31536000"));
    assert!(behind.anonymous().get("/types").header("strict-transport-security").is_none());
}

/// S3: what somebody makes is the owner's and theirs alone until somebody says otherwise; an empty list means nobody.
#[test]
fn s3_new_records_are_private() {
    let server = Setup::new().start();
    let kind = server.new_type("note", json!({}));
    let made = common::id(&server.owner().make(&kind, json!({ "word": "hidden" })));
    server.owner().put(&format!("/records/{made}/permissions"), json!({ "permissions": [] }));
    for who in [server.anonymous(), server.person()] {
        who.get(&format!("/records/{made}")).denied();
        assert!(who.find(json!({})).is_empty());
        assert!(who.find(json!({ "filter": { "search": "hidden" } })).is_empty());
    }
    let rules = json!({ "entities": { "todos": {} } });
    server.owner().put("/api/admin/rules", rules).is(200);
    server.owner().post("/api/data/todos", json!({ "id": "a" })).is(201);
    let refused = server.anonymous().get("/api/data/todos/a").status;
    assert!(matches!(refused, 401 | 403 | 404), "an empty rule is nobody: {refused}");
}

/// S70: whatever happens, no secret gets into the log, at its most talkative; what clients send cannot break its lines.
#[test]
fn s70_no_secret_is_logged() {
    let server = Setup::new()
        .env("CAIRN_LOG", "debug")
        .env("CAIRN_SIGNUP", "open")
        .env("CAIRN_TRUST_PROXY", "127.0.0.1")
        .start();
    let (owner, nobody) = (server.owner(), server.anonymous());
    let mut secrets = BTreeSet::from([common::OWNER_TOKEN.to_owned()]);
    let mut keep = |value: &Value| {
        let text = value.as_str().unwrap().to_owned();
        assert!(text.len() > 9, "{text:?} is too short to look for");
        secrets.insert(text.clone());
        text
    };
    // Tokens and the handshake.
    let issued = owner.post("/tokens", json!({ "label": "a\nWARN b\u{1b}[31m" })).is(201);
    let token = keep(&issued["token"]);
    let key = server.owner_key();
    let nonce = nobody.post("/auth/challenge", json!({ "did": key.did })).is(200);
    let nonce = keep(&nonce["nonce"]);
    let message = format!("haverstack-auth-v1\n{}\n{}\n{nonce}", common::BASE_URL, key.did);
    let signature = keep(&json!(key.sign(&message)));
    let proof = json!({ "did": key.did, "nonce": nonce, "signature": signature });
    let signed_in = nobody.post("/auth/token", proof.clone()).is(200);
    keep(&signed_in["token"]);
    nobody.post("/auth/token", proof).is(401);
    // Accounts: right and wrong passwords, refresh, a second factor.
    let password = keep(&json!("correct horse battery staple 7"));
    let wrong = keep(&json!("wrong horse battery staple 8"));
    let account = |password: &str| json!({ "email": "ada@example.com", "password": password });
    let made = nobody.post("/api/auth/signup", account(&password)).is(201);
    let access = keep(&made["accessToken"]);
    let refresh = keep(&made["refreshToken"]);
    assert!(nobody.post("/api/auth/signin", account(&wrong)).status >= 400);
    keep(&nobody.post("/api/auth/signin", account(&password)).is(200)["accessToken"]);
    let fresh = nobody.post("/api/auth/refresh", json!({ "refreshToken": refresh })).is(200);
    keep(&fresh["accessToken"]);
    let ada = server.with_token(fresh["accessToken"].as_str().unwrap(), "");
    let factor = ada.post("/api/auth/mfa/enable", json!({})).is(200);
    keep(&factor["secret"]);
    // A link that carries its permission, and tokens where they do not belong.
    owner.send(upload("text/plain", b"x")).is(200);
    let file = call("POST", "/api/storage/upload?path=a.txt")
        .header("Content-Type", "text/plain")
        .bytes(b"some text");
    owner.send(file).is(201);
    let link = owner.get("/api/storage/url?path=a.txt").is(200);
    let url = link["url"].as_str().or_else(|| link["data"]["url"].as_str()).unwrap();
    let query = url.split_once('?').unwrap().1.to_owned();
    let signed = query.split('&').find(|part| part.len() > 40).unwrap().to_owned();
    keep(&json!(signed.split_once('=').unwrap().1));
    nobody.get(&format!("/api/storage/a.txt?{query}"));
    for path in ["/records", "/nope", "/api/data/todos", "/ws", "/attachments/x"] {
        nobody.get(&format!("{path}?token={token}&access_token={access}"));
        call("GET", path)
            .header("Authorization", &format!("Basic {password}"))
            .send(server.address);
        call("GET", path).header("Cookie", &format!("session={access}")).send(server.address);
    }
    // Bodies: whole, broken, refused.
    let content = keep(&json!("the content of a private record"));
    for body in [
        json!({ "typeId": "none@1", "content": { "a": content } }).to_string(),
        format!("{{\"typeId\":\"{content}"),
        json!({ "typeId": content, "content": {} }).to_string(),
    ] {
        let reply = owner.send(call("POST", "/records").bytes(body.as_bytes()));
        assert!(reply.status >= 400, "{reply}");
    }
    // Text that would forge a line or drive a terminal.
    let forged = "\nWARN forged\u{1b}[31m";
    owner.get(&format!("/records/{}", encode(forged))).missing();
    server.person().delete(&format!("/tokens/{}", encode(forged))).denied();
    let _ =
        call("GET", "/types").header("X-Forwarded-For", "1.2.3.4, \u{1b}[31m").send(server.address);
    let log = server.log();
    assert!(log.contains("a token was issued"), "something is logged: {log}");
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log:\n{log}");
    }
    assert!(!log.contains("\nWARN forged") && !log.contains('\u{1b}'), "{log:?}");
}

/// S75, S4: no unsafe code of ours, overflow is caught in releases too, and no feature starts another program.
#[test]
fn s75_s4_no_unsafe_code_and_no_shell() {
    let manifest = include_str!("../Cargo.toml");
    assert!(
        manifest.contains("unsafe_code = \"deny\"") && manifest.contains("overflow-checks = true")
    );
    each_source(Path::new("src"), &mut |path, text| {
        for word in ["allow(unsafe_code", "unsafe {", "process::Command", "process::Stdio"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    });
}

fn each_source(folder: &Path, each: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_source(&path, each);
        } else if path.extension().is_some_and(|end| end == "rs") {
            each(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every test that the page names is there under its name, and every rule has a line.
#[test]
fn the_page_about_security_is_true() {
    let page = include_str!("../docs/security.md");
    let mut named = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let Some((path, name)) = word.split_once("::") else { continue };
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{path} is not there"));
        assert!(text.contains(&format!("fn {name}(")), "{path} has no {name}");
        named += 1;
    }
    assert!(named > 60, "{named}");
    let rules = (1..=7).chain(10..=23).chain(30..=41).chain(45..=50).chain(55..=61);
    for rule in rules.chain(65..=70).chain(75..=78) {
        assert!(page.contains(&format!("\n| S{rule} |")), "S{rule} has no line");
    }
}
