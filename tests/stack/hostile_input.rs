//! Hostile values in every place a client can put one: the documented refusal, never a fault, nothing left behind.

use serde_json::{Value, json};

use crate::common::{Setup, call, encode, id, next, server};

/// Texts that break somebody somewhere.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\r\nX-Evil: 1",
        "../../etc/passwd",
        "..\\..\\x",
        "'",
        "\"",
        "`",
        "\\",
        ";",
        "--",
        "'; DROP TABLE record; --",
        "' OR '1'='1",
        "%",
        "_",
        "%00",
        "%s%n",
        "${7*7}",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "\u{202e}",
        "\u{feff}",
        "\u{fffd}",
        "\u{10ffff}",
        "🏳️‍🌈",
        "İ",
        "ß",
        "NaN",
        "Infinity",
        "-0",
        "1e999",
        "null",
        "true",
        "undefined",
        "[object Object]",
        "__proto__",
        "constructor",
        "did:key:",
        "did:key:z",
        "did:x:y",
        "_config",
        "_grant@1",
        "@",
        "@1",
        "a@",
        "x@99999999999999999999",
        "1hk153x00001",
        "zzzzzzzzzzzz",
        "$.a",
        "$",
        "*",
        "a AND b",
        "NEAR(",
        "rowid",
    ]
    .iter()
    .map(|t| (*t).to_owned())
    .collect();
    texts.push("x".repeat(5_000));
    texts.push("é".repeat(3_000));
    texts
}

/// In addresses.
#[test]
fn in_paths() {
    let s = server();
    let owner = s.owner();
    for text in hostile() {
        if text.is_empty() || text.len() > 1_000 {
            continue;
        }
        let e = encode(&text);
        let fixed = matches!(text.as_str(), "_config");
        for (method, path) in [
            ("GET", format!("/records/{e}")),
            ("GET", format!("/records/{e}/versions")),
            ("GET", format!("/records/{e}/associations")),
            ("GET", format!("/records/{e}/permissions")),
            ("GET", format!("/types/{e}")),
            ("GET", format!("/attachments/{e}")),
            ("DELETE", format!("/attachments/{e}")),
            ("POST", format!("/records/{e}/undelete")),
            ("DELETE", format!("/records/{e}")),
            ("POST", format!("/records/{e}/restore/1")),
        ] {
            let reply = owner.send(call(method, &path));
            if fixed || text == "_grant@1" {
                assert!(reply.status < 500, "{reply}");
            } else {
                assert!(matches!(reply.status, 404 | 400), "{text:?}: {reply}");
            }
        }
        for path in [
            format!("/records/1hk153x00001/versions/{e}"),
            format!("/records/_config/versions/{e}"),
        ] {
            let reply = owner.get(&path);
            assert!(matches!(reply.status, 400 | 404), "{text:?}: {reply}");
        }
        owner.delete(&format!("/tokens/{e}")).is(204);
    }
    for path in [
        "/records/%",
        "/records/%zz",
        "/records/%f",
        "/records/%ff%fe",
        "/records/%c0%af",
        "/types/%ED%A0%80",
    ] {
        let reply = owner.get(path);
        assert!(matches!(reply.status, 400 | 404), "{reply}");
    }
}

/// In query parameters.
#[test]
fn in_parameters() {
    let s = server();
    for name in [
        "typeId",
        "parentId",
        "appId",
        "entityId",
        "principalId",
        "tag",
        "hasAttachment",
        "attachmentFileId",
        "relatedTo",
        "relatedToLabel",
        "createdBefore",
        "createdAfter",
        "updatedBefore",
        "updatedAfter",
        "search",
        "includeDeleted",
        "sort",
        "direction",
        "limit",
        "cursor",
        "as_of",
    ] {
        for text in hostile() {
            let e = encode(&text);
            if e.len() > 6_000 {
                continue;
            }
            let reply = s.owner().get(&format!("/records?{name}={e}"));
            assert!(matches!(reply.status, 200 | 400), "{name}={text:.40}: {reply}");
        }
    }
    for odd in [
        "?",
        "?&",
        "?=",
        "?=x",
        "?&&&",
        "?a",
        "?typeId",
        "?typeId[]=x",
        "?%",
        "?%zz=1",
        "?limit=10&limit=20",
        "?sort=createdAt&sort=version",
        "?\u{e9}=1",
    ] {
        let reply = s.owner().get(&format!("/records{}", odd.replace('é', "%E9")));
        assert!(matches!(reply.status, 200 | 400), "{odd}: {reply}");
    }
    let many = (0..300).map(|n| format!("tag=t{n}&")).collect::<String>();
    let reply = s.owner().get(&format!("/records?{many}"));
    assert!(matches!(reply.status, 200 | 400), "{reply}");
}

/// In bodies: each place of each body gets each text. What is accepted reads back the same; what is refused leaves nothing.
#[test]
fn in_bodies() {
    let s = Setup::new().start();
    let owner = s.owner();
    let ann = s.person();
    let kind = s.new_type("note", json!({}));
    s.grant(&kind, &["create", "read-own", "update-own", "delete-own"], Some(&ann.did));
    let record = id(&ann.make(&kind, json!({})));
    let count = || owner.find(json!({ "filter": { "includeDeleted": true }, "limit": 1000 })).len();
    for text in hostile() {
        let t = json!(text);
        let before = count();
        let mut made = 0;
        for (body, key) in [
            (json!({ "typeId": t, "content": {} }), ""),
            (json!({ "typeId": kind, "content": {}, "id": t }), ""),
            (json!({ "typeId": kind, "content": {}, "parentId": t }), "parentId"),
            (json!({ "typeId": kind, "content": {}, "appId": t }), "appId"),
            (json!({ "typeId": kind, "content": { "a": t } }), "content"),
            (json!({ "typeId": kind, "content": { (text.clone()): 1 } }), "content"),
            (
                json!({ "typeId": kind, "content": {}, "associations": [{ "kind": "tag", "label": t }] }),
                "associations",
            ),
            (
                json!({ "typeId": kind, "content": {}, "associations": [{ "kind": t, "label": "x" }] }),
                "",
            ),
            (
                json!({ "typeId": kind, "content": {}, "associations": [{ "kind": "relationship", "label": "x", "recordId": t }] }),
                "",
            ),
            (
                json!({ "typeId": kind, "content": {}, "associations": [{ "kind": "attachment", "label": "x", "fileId": t }] }),
                "",
            ),
            (
                json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "entity", "entityId": t, "read": true }] }),
                "permissions",
            ),
            (json!({ "typeId": kind, "content": {}, "permissions": [{ "access": t }] }), ""),
        ] {
            let reply = ann.create(body.clone());
            assert!(matches!(reply.status, 200 | 400 | 403 | 409 | 422), "{reply}");
            if reply.status == 200 {
                made += 1;
                let stored = reply.json();
                if key == "content" {
                    assert_eq!(stored[key], body[key]);
                }
                if !key.is_empty() {
                    let got = ann.get(&format!("/records/{}", id(&stored))).is(200);
                    assert_eq!(got[key], stored[key]);
                }
            }
        }
        assert_eq!(count(), before + made, "{text:.40}: what was refused is not there");
        for (name, body) in [
            ("associations", json!({ "kind": "tag", "label": t })),
            ("associations", json!({ "kind": t, "label": t })),
            ("associations/delete", json!({ "kind": t, "label": t, "recordId": t, "fileId": t })),
            ("migrate", json!({ "toTypeId": t, "content": {} })),
        ] {
            let reply = owner.post(&format!("/records/{record}/{name}"), body);
            assert!(matches!(reply.status, 204 | 400 | 422), "{reply}");
        }
        let reply = owner.post("/tokens", json!({ "entityId": t, "label": t, "expiresAt": t }));
        assert!(matches!(reply.status, 422 | 201), "{reply}");
        let reply = owner.post("/tokens", json!({ "label": t }));
        assert!(matches!(reply.status, 201 | 422), "{reply}");
        let reply = owner.post("/types", json!({ "id": t, "name": t, "schema": { (text.clone()): { "kind": t } }, "schemaHash": t }));
        assert!(matches!(reply.status, 400 | 422), "{reply}");
        let reply =
            s.anonymous().post("/auth/token", json!({ "did": t, "nonce": t, "signature": t }));
        assert!(matches!(reply.status, 400 | 401), "{reply}");
        for filter in [
            json!({ "typeId": t }),
            json!({ "parentId": t }),
            json!({ "tags": [t] }),
            json!({ "relatedTo": { "recordId": t, "label": t } }),
            json!({ "content": { (text.clone()): t } }),
            json!({ "search": t }),
            json!({ "createdAt": { "before": t } }),
            json!({ "attachmentFileId": t, "hasAttachment": t }),
            json!({ "entityId": [t], "appId": [t], "principalId": t }),
        ] {
            let reply = owner.post("/records/query", json!({ "filter": filter }));
            assert!(matches!(reply.status, 200 | 400), "{reply}");
        }
    }
    assert_eq!(s.anonymous().get("/health").is(200)["status"], "ok");
}

/// Numbers, depth and width beyond reason.
#[test]
fn shapes() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "n": { "kind": "number" } }));
    let before = owner.find(json!({ "filter": { "typeId": kind } })).len();
    let wrap = |content: &str| format!(r#"{{"typeId":"{kind}","content":{content}}}"#);
    let deep = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    let deep_list = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let wide = format!("[{}]", vec!["1"; 200_000].join(","));
    for (content, wanted) in [
        (deep(40), vec![200]),
        (deep(70), vec![400]),
        (deep(10_000), vec![400]),
        (deep_list(100_000), vec![400]),
        (format!("{{\"a\":{wide}}}"), vec![400]),
        ("{\"n\":1e400}".into(), vec![200, 400, 422]),
        (format!("{{\"n\":{}}}", "9".repeat(65)), vec![400]),
        (format!("{{\"n\":{}}}", "9".repeat(60)), vec![200, 400, 422]),
        ("{\"n\":-}".into(), vec![400]),
        ("{\"n\":1.}".into(), vec![400]),
        (format!("{{\"{}\":1}}", "k".repeat(100_000)), vec![200, 400, 422]),
    ] {
        let reply = owner.send(call("POST", "/records").bytes(wrap(&content).as_bytes()));
        assert!(
            wanted.contains(&reply.status),
            "{content:.40}: {} {:.200}",
            reply.status,
            reply.text()
        );
    }
    let _ = before;
    // A schema nests to a bound as well.
    let mut definition = json!({ "kind": "string" });
    for _ in 0..60 {
        definition = json!({ "kind": "array", "items": definition });
    }
    let id = format!("com.example.d{}/deep@1", next());
    let reply = owner.post("/types", crate::common::type_body(&id, &json!({ "a": definition })));
    assert!(matches!(reply.status, 201 | 400 | 422), "{reply}");
    if reply.status == 201 {
        let mut value = json!("x");
        for _ in 0..40 {
            value = json!([value]);
        }
        owner.create(json!({ "typeId": id, "content": { "a": value } })).fails(422, "validation");
    }
}

/// Lists as long as a body allows are taken or refused, in bounded time.
#[test]
fn long_lists() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let tags: Vec<Value> =
        (0..10_000).map(|n| json!({ "kind": "tag", "label": format!("t{n}") })).collect();
    let people: Vec<Value> = (0..8_000).map(|n| json!({ "access": "entity", "entityId": format!("did:web:p{n}.example"), "read": true })).collect();
    for body in [
        json!({ "typeId": kind, "content": {}, "associations": tags }),
        json!({ "typeId": kind, "content": {}, "permissions": people }),
    ] {
        let reply = owner.create(body);
        assert!(matches!(reply.status, 200 | 400 | 413 | 422), "{}", reply.status);
    }
    let many: Vec<String> = (0..20_000).map(|n| format!("t{n}")).collect();
    for filter in [
        json!({ "typeId": many }),
        json!({ "tags": many }),
        json!({ "appId": many }),
        json!({ "content": many.iter().map(|m| (m.clone(), json!(1))).collect::<serde_json::Map<_, _>>() }),
    ] {
        let reply = owner.post("/records/query", json!({ "filter": filter }));
        assert!(matches!(reply.status, 200 | 400), "{} {:.200}", reply.status, reply.text());
    }
    owner.get("/.well-known/stack").is(200);
}
