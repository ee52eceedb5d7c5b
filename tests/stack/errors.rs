//! The error envelope and the order of the first checks (stack 1.3, 1.4).

use serde_json::json;

use crate::common::{Who, call, id, server};

const LIMIT: usize = 1_048_576;

/// A JSON body of exactly this many bytes.
fn sized(bytes: usize) -> Vec<u8> {
    let mut body = b"{\"x\":\"".to_vec();
    body.resize(bytes - 2, b'a');
    body.extend_from_slice(b"\"}");
    body
}

fn json_routes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("POST", "/records"),
        ("POST", "/records/query"),
        ("PATCH", "/records/1hk153x00001"),
        ("PUT", "/records/1hk153x00001/permissions"),
        ("POST", "/records/1hk153x00001/associations"),
        ("POST", "/records/1hk153x00001/associations/delete"),
        ("POST", "/records/1hk153x00001/migrate"),
        ("POST", "/types"),
        ("POST", "/tokens"),
        ("PATCH", "/entity"),
        ("POST", "/auth/challenge"),
        ("POST", "/auth/token"),
        ("POST", "/attachments/gc"),
    ]
}

#[test]
fn a_body_that_is_too_large() {
    let s = server();
    for (method, path) in json_routes() {
        for who in [s.owner(), s.person(), s.anonymous()] {
            let send = |body: &[u8], chunked: bool| {
                let request = call(method, path).bytes(body);
                who.send(if chunked { request.chunked() } else { request })
            };
            send(&sized(LIMIT + 1), false).fails(413, "payload_too_large");
            // Oversized and malformed is oversized; without a length it is counted.
            send(&vec![b'{'; LIMIT + 1], true).fails(413, "payload_too_large");
        }
    }
    // A bad credential is seen first, or the size; nobody can tell.
    let reply = call("POST", "/records")
        .header("Authorization", "Bearer bad")
        .bytes(&sized(LIMIT + 1))
        .send(s.address);
    assert!(matches!(reply.status, 401 | 413), "{reply}");
    // Exactly the limit is read.
    s.owner().send(call("POST", "/records/query").bytes(&sized(LIMIT))).is(200);
    s.owner().send(call("POST", "/records/query").bytes(&sized(LIMIT)).chunked()).is(200);
}

/// A declared length alone decides; the server does not wait for the bytes.
#[test]
fn a_declared_length_is_believed_when_it_is_too_large() {
    let s = server();
    for length in ["1048577", "99999999999", "18446744073709551615"] {
        let head = format!(
            "POST /records HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n",
            s.address,
            crate::common::OWNER_TOKEN
        );
        let reply = crate::common::Reply::parse(&s.raw(head.as_bytes()), head);
        if length == "18446744073709551615" && reply.status == 400 {
            continue; // not a length at all for some readers
        }
        reply.fails(413, "payload_too_large");
    }
}

/// Every route: what is no JSON object is 400, and never a fault; after the guard.
#[test]
fn bodies_that_are_no_json_object() {
    let s = server();
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "nope",
        "{\"a\":1",
        "{\"a\":1}}",
        "{'a':1}",
        "{\"a\":1,}",
        "{a:1}",
        "null",
        "true",
        "1",
        "\"x\"",
        "[]",
        "[{}]",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{\"a\":1}{\"b\":2}",
        "\u{feff}{}",
        "{\"a\":\"\n\"}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "// x\n{}",
        &deep,
    ]
    .iter()
    .map(|t| t.as_bytes().to_vec())
    .chain([
        b"\xff\xfe{\x00}\x00".to_vec(),
        b"{\"a\":\"\xff\"}".to_vec(),
        b"{\"a\":\"\xc3\x28\"}".to_vec(),
        b"{\"a\":1}\0".to_vec(),
        b"\0".to_vec(),
        b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
    ])
    .collect();
    let kind = s.new_type("note", json!({}));
    let record = id(&s.owner().make(&kind, json!({})));
    for (method, path) in json_routes() {
        let path = path.replace("1hk153x00001", &record);
        for body in &bodies {
            if path.ends_with("/gc") && body.is_empty() {
                continue;
            }
            let reply = s.owner().send(call(method, &path).bytes(body));
            assert_eq!(
                reply.status,
                400,
                "{method} {path} {:?}\n{reply}",
                String::from_utf8_lossy(&body[..body.len().min(60)])
            );
            reply.bad_request();
        }
    }
    assert_eq!(s.owner().get(&format!("/records/{record}")).is(200)["version"], 1);
}

/// The content type of a JSON request is of no interest.
#[test]
fn content_type_is_not_checked() {
    let s = server();
    for media in ["text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense", ""] {
        s.owner()
            .send(call("POST", "/records/query").header("Content-Type", media).bytes(b"{}"))
            .is(200);
    }
    s.owner().send(call("POST", "/records/query").bytes(b"{}")).is(200);
}

/// One of each code, by the shortest way.
#[test]
fn every_code() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "t": { "kind": "string" } }));
    let record = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    owner.create(json!({})).bad_request();
    s.anonymous().get("/tokens").unauthorized();
    s.anonymous().get(&record).denied();
    owner.get("/records/1hk153x00001").missing();
    owner.delete("/records/_config").conflict();
    owner.post("/types", crate::common::type_body(&kind, &json!({}))).fails(409, "schema_drift");
    owner.send(call("PATCH", &record).json(&json!({})).if_match(9)).fails(412, "version_conflict");
    owner.patch(&record, json!({ "t": 1 })).invalid(&["t"]);
}

/// Error texts carry nothing of the inside: no statement, no path, no other person's data.
#[test]
fn errors_reveal_nothing() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "t": { "kind": "string" } }));
    let hidden = id(&owner.make(&kind, json!({ "t": "topsecret" })));
    let ann = s.person();
    s.grant(&kind, &["create"], Some(&ann.did));
    let file = s.file().display().to_string();
    let show = |who: &Who, request: crate::common::Call| who.send(request).text();
    let texts = [
        show(&ann, call("GET", &format!("/records/{hidden}"))),
        show(
            &ann,
            call("POST", "/records").json(&json!({ "typeId": kind, "content": {}, "id": hidden })),
        ),
        show(
            &ann,
            call("POST", "/records")
                .json(&json!({ "typeId": kind, "content": {}, "parentId": hidden })),
        ),
        show(
            &ann,
            call("PATCH", &format!("/records/{hidden}")).json(&json!({ "t": 5 })).if_match(9),
        ),
        show(&owner, call("GET", "/records?cursor=%27%3B%20DROP%20TABLE%20record")),
        show(&owner, call("GET", "/records?sort=%27%3B%20DROP%20TABLE%20record")),
        show(&owner, call("POST", "/records/query").json(&json!({ "filter": { "search": "\"" } }))),
    ];
    for text in texts {
        let lower = text.to_ascii_lowercase();
        for word in [
            "topsecret",
            "sqlite",
            "select ",
            "insert ",
            "panicked",
            "src/",
            ".rs:",
            "fts5",
            file.as_str(),
        ] {
            assert!(!lower.contains(&word.to_ascii_lowercase()), "{word:?} in {text}");
        }
    }
}
