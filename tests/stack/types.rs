//! Types: registration, hash, drift, listing (stack 4).

use serde_json::{Value, json};

use crate::common::{Setup, call, encode, is_instant, next, schema_hash, server, text, type_body};

fn fresh() -> String {
    format!("com.example.k{}/thing", next())
}

#[test]
fn hash_vectors_of_the_protocol() {
    let s = server();
    let long = json!({
        "title": { "kind": "string" },
        "body": { "kind": "text", "required": true },
        "emails": { "kind": "array", "items": { "kind": "object", "properties": {
            "value": { "kind": "string", "required": true }, "label": { "kind": "string" } } } }
    });
    for (schema, hash) in [
        (json!({}), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (
            json!({"title":{"kind":"string"}}),
            "2aa1b67cfc8eaf5e74cae7e04972004cbc0c34852c6b5b2cb829d2de1db2a25a",
        ),
        (
            json!({"title":{"required":true,"kind":"string"}}),
            "bef6655eb4f68da197277e4a8198f5e8cdca874a9aa1b4699275fb0296d88c95",
        ),
        (
            json!({"title":{"kind":"string","required":false}}),
            "cbceb47cd70a26c96a4be55c249096906bd3d93ec8eb1b3c44175a56373d4cb6",
        ),
        (long, "ce54f22a2bafd2d731a7e8cdf7565b47a181900842f5acd493096a8a6811a820"),
    ] {
        assert_eq!(schema_hash(&schema), hash, "the tests' own hash");
        let id = format!("{}@1", fresh());
        let body = json!({ "id": id, "name": "N", "schema": schema, "schemaHash": hash });
        assert_eq!(s.owner().post("/types", body).is(201)["schemaHash"], json!(hash));
    }
}

/// Names are ordered as JavaScript orders them, unknown keys do not count, whatever order they come in.
#[test]
fn hash_of_odd_names() {
    let s = server();
    let field = json!({ "kind": "string" });
    for names in [
        vec!["b", "a", "10", "2", "01", "-1", "1.5", "4294967294", "4294967295"],
        vec!["é", "z", "\u{10000}", "\u{ffff}", "\u{e000}"],
        vec!["a\"b", "a\\b", "a\nb", "a\u{7f}b", "a/b", "\u{1}"],
        vec!["", " ", "kind", "required", "items"],
    ] {
        let schema: Value =
            Value::Object(names.iter().map(|n| ((*n).to_owned(), field.clone())).collect());
        s.register(&format!("{}@1", fresh()), schema);
    }
    let noisy = json!({ "a": { "x": 1, "kind": "number", "indexed": true, "description": "d" } });
    let plain = json!({ "a": { "kind": "number" } });
    assert_eq!(schema_hash(&noisy), schema_hash(&plain));
    s.register(&format!("{}@1", fresh()), noisy);
}

#[test]
fn registering_derives_what_the_id_says() {
    let s = server();
    let base = fresh();
    let id = format!("{base}@7");
    let mut body = type_body(&id, &json!({ "title": { "kind": "string" } }));
    body["baseId"] = json!("something.else");
    body["version"] = json!(99);
    body["createdAt"] = json!("2000-01-01T00:00:00.000Z");
    body["migratesFrom"] = json!(format!("{base}@6"));
    let made = s.owner().post("/types", body).is(201);
    assert_eq!(made["baseId"], json!(base));
    assert_eq!(made["version"], 7);
    assert_eq!(made["migratesFrom"], json!(format!("{base}@6")));
    assert!(is_instant(text(&made["createdAt"])) && !text(&made["createdAt"]).starts_with("2000"));
    let read = s.anonymous().get(&format!("/types/{}", encode(&id))).is(200);
    assert_eq!(read, made);

    // The last @ followed by digits to the end splits.
    let odd = format!("a@b@{}@3", next());
    let made = s.register(&odd, json!({}));
    assert_eq!(made["version"], 3);
    assert_eq!(made["baseId"], json!(odd.trim_end_matches("@3")));
    assert!(made.get("migratesFrom").is_none(), "{made}");
}

#[test]
fn list_is_a_bare_array_in_order_with_the_system_types() {
    let s = server();
    let base = fresh();
    for n in [10, 2, 1] {
        s.register(&format!("{base}@{n}"), json!({}));
    }
    let list = s.anonymous().get("/types").is(200);
    let list = list.as_array().expect("a bare array");
    let keys: Vec<(String, i64)> = list
        .iter()
        .map(|t| (text(&t["baseId"]).to_owned(), t["version"].as_i64().unwrap()))
        .collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(keys, sorted, "by base id, then version as a number");
    let fields = |id: &str| -> Vec<String> {
        let found =
            list.iter().find(|t| t["id"] == id).unwrap_or_else(|| panic!("{id} is not listed"));
        found["schema"].as_object().unwrap().keys().cloned().collect()
    };
    for (id, names) in [
        ("_config@1", vec!["entityId", "timezone"]),
        ("_entity@1", vec!["did", "name", "handle"]),
        ("_app@1", vec!["appId", "name", "version", "did"]),
        ("_group@1", vec!["name", "handle", "stackUrl"]),
        ("_grant@1", vec!["typeId", "actions", "granteeEntityId"]),
        ("_attachment@1", vec!["fileId", "mimeType", "size", "filename"]),
    ] {
        let mut got = fields(id);
        let mut wanted: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted, "{id}");
        let read = s.anonymous().get(&format!("/types/{}", encode(id))).is(200);
        assert_eq!(read["schemaHash"], json!(schema_hash(&read["schema"])));
    }
    assert!(!list.iter().any(|t| text(&t["id"]).starts_with("org.haverstack/")), "commons are off");
}

#[test]
fn system_types_keep_their_creation_instant() {
    let s = Setup::new().start();
    let read = |s: &crate::common::Server| {
        s.anonymous().get("/types/_grant%401").is(200)["createdAt"].clone()
    };
    let before = read(&s);
    let s = s.stop().start();
    assert_eq!(read(&s), before);
}

#[test]
fn unknown_types_are_404() {
    let s = server();
    for id in ["nope", "nope%401", "_grant", "_grant%402", "%00", "_grant@1%20", "a%2Fb%2Fc@1"] {
        s.anonymous().get(&format!("/types/{id}")).missing();
    }
    s.anonymous().get("/types/%ff").bad_request();
    // Raw and encoded ids are the same address.
    s.anonymous().get("/types/_grant@1").is(200);
}

#[test]
fn guard_comes_first() {
    let s = server();
    let body = type_body(&format!("{}@1", fresh()), &json!({}));
    s.anonymous().post("/types", body.clone()).unauthorized();
    let ann = s.person();
    for who in
        [ann.clone(), s.delegate(&s.owner_did(), &ann.did), s.delegate(&ann.did, &s.owner_did())]
    {
        who.post("/types", body.clone()).denied();
        who.send(call("POST", "/types").bytes(b"{")).denied();
    }
    s.anonymous().get(&format!("/types/{}", encode(text(&body["id"])))).missing();
}

/// Checks in the order of the protocol: shape, hash, id and definitions.
#[test]
fn what_cannot_be_registered() {
    let s = server();
    let owner = s.owner();
    let id = format!("{}@1", fresh());
    let good = type_body(&id, &json!({}));
    for (key, values) in [
        ("id", vec![json!(null), json!(""), json!(1), json!([])]),
        ("name", vec![json!(null), json!(""), json!(1), json!({})]),
        ("schema", vec![json!(null), json!("{}"), json!([]), json!(1)]),
        ("schemaHash", vec![json!(null), json!("")]),
    ] {
        for value in values {
            let mut body = good.clone();
            body[key] = value;
            // Even with a wrong hash or a wrong id beside it.
            if key != "schemaHash" {
                body["schemaHash"] = json!("wrong");
            }
            let reply = owner.post("/types", body);
            assert!(
                reply.status == 400 || key == "schemaHash" && reply.status == 422,
                "{key}: {reply}"
            );
        }
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(key);
        owner.post("/types", body).bad_request();
    }
    let mut wrong = good.clone();
    wrong["schemaHash"] = json!(schema_hash(&json!({ "a": { "kind": "string" } })));
    owner.post("/types", wrong.clone()).invalid(&["schemaHash"]);
    wrong["id"] = json!("no-version");
    owner.post("/types", wrong).invalid(&["schemaHash"]);
    for id in ["no-version", "a@", "@1", "a@b", "a@1b", "a@-1", "a@1.0", "a@ 1", "a@1 "] {
        owner.post("/types", type_body(id, &json!({}))).bad_request();
    }
    for schema in [
        json!({ "a": { "kind": "integer" } }),
        json!({ "a": { "kind": "object", "properties": { "b": { "kind": "nope" } } } }),
        json!({ "a": { "kind": "array", "items": { "kind": "nope" } } }),
    ] {
        owner.post("/types", type_body(&id, &schema)).bad_request();
    }
    // Definitions for which the protocol gives no hash: refused, one way or the other, and never a fault.
    for schema in [
        json!({ "a": "string" }),
        json!({ "a": null }),
        json!({ "a": {} }),
        json!({ "a": { "kind": 5 } }),
        json!({ "a": { "kind": "array" } }),
        json!({ "a": { "kind": "array", "items": "string" } }),
        json!({ "a": { "kind": "object" } }),
        json!({ "a": { "kind": "object", "properties": [] } }),
        json!({ "a": { "kind": "string", "required": "yes" } }),
    ] {
        let reply = owner.post("/types", type_body(&id, &schema));
        assert!(matches!(reply.status, 400 | 422), "{reply}");
    }
    s.anonymous().get(&format!("/types/{}", encode(&id))).missing();
}

#[test]
fn the_same_again_changes_nothing_but_the_name() {
    let s = server();
    let id = format!("{}@1", fresh());
    let schema = json!({ "a": { "kind": "string" } });
    let first = s.register(&id, schema.clone());
    assert_eq!(s.register(&id, schema.clone()), first);
    let mut renamed = type_body(&id, &schema);
    renamed["name"] = json!("Other");
    let second = s.owner().post("/types", renamed).is(201);
    assert_eq!(second["name"], "Other");
    assert_eq!(second["createdAt"], first["createdAt"]);
    assert_eq!(s.anonymous().get(&format!("/types/{}", encode(&id))).is(200), second);
}

#[test]
fn drift() {
    let s = server();
    let string = json!({ "kind": "string" });
    let object = |properties: Value| json!({ "kind": "object", "properties": properties });
    let array = |items: Value| json!({ "kind": "array", "items": items });
    let required = |kind: &str| json!({ "kind": kind, "required": true });
    // (before, after, paths of the violations)
    let cases: Vec<(Value, Value, Vec<&str>)> = vec![
        (json!({ "a": string }), json!({ "a": string, "b": string }), vec![]),
        (json!({ "a": string }), json!({ "a": { "kind": "string", "required": false } }), vec![]),
        (json!({}), json!({ "a": string }), vec![]),
        (json!({ "o": object(json!({})) }), json!({ "o": object(json!({ "n": string })) }), vec![]),
        (
            json!({ "l": array(object(json!({}))) }),
            json!({ "l": array(object(json!({ "n": string }))) }),
            vec![],
        ),
        (json!({ "a": string }), json!({}), vec!["a"]),
        (json!({ "a": string }), json!({ "a": { "kind": "text" } }), vec!["a"]),
        (json!({ "a": string }), json!({ "a": required("string") }), vec!["a"]),
        (json!({ "a": required("string") }), json!({ "a": string }), vec!["a"]),
        (json!({}), json!({ "a": required("string") }), vec!["a"]),
        (
            json!({ "a": string, "b": string }),
            json!({ "c": required("number") }),
            vec!["a", "b", "c"],
        ),
        (
            json!({ "o": object(json!({ "n": string })) }),
            json!({ "o": object(json!({})) }),
            vec!["o.n"],
        ),
        (
            json!({ "o": object(json!({})) }),
            json!({ "o": object(json!({ "n": required("string") })) }),
            vec!["o.n"],
        ),
        (
            json!({ "l": array(string.clone()) }),
            json!({ "l": array(json!({ "kind": "number" })) }),
            vec!["l[]"],
        ),
        (
            json!({ "l": array(object(json!({ "n": string }))) }),
            json!({ "l": array(object(json!({ "n": { "kind": "date" } }))) }),
            vec!["l[].n"],
        ),
        (json!({ "a": string }), json!({ "a": object(json!({})) }), vec!["a"]),
    ];
    for (before, after, paths) in cases {
        let id = format!("{}@1", fresh());
        let first = s.register(&id, before.clone());
        let reply = s.owner().post("/types", type_body(&id, &after));
        if paths.is_empty() {
            let second = reply.is(201);
            assert_eq!(second["createdAt"], first["createdAt"]);
            assert_eq!(second["schemaHash"], json!(schema_hash(&after)));
            continue;
        }
        let body = reply.fails(409, "schema_drift");
        let drift = &body["error"]["schemaDrift"];
        assert_eq!(drift["typeId"], json!(id));
        let mut got: Vec<&str> =
            drift["violations"].as_array().unwrap().iter().map(|v| text(&v["path"])).collect();
        got.sort_unstable();
        assert_eq!(got, paths, "{before} -> {after}");
        let kept = s.anonymous().get(&format!("/types/{}", encode(&id))).is(200);
        assert_eq!(kept, first, "nothing is stored");
    }
    // A system type drifts no more than any other.
    s.owner().post("/types", type_body("_grant@1", &json!({}))).fails(409, "schema_drift");
}

/// Another version of a family is another type, free to differ.
#[test]
fn versions_do_not_drift_against_each_other() {
    let s = server();
    let base = fresh();
    s.register(&format!("{base}@1"), json!({ "a": { "kind": "string" } }));
    s.register(&format!("{base}@2"), json!({ "a": { "kind": "number", "required": true } }));
}

/// Declared indexes and uniqueness stay out of the hash, and can be changed alone.
#[test]
fn unique_fields() {
    let s = server();
    let owner = s.owner();
    let id = format!("{}@1", fresh());
    let plain = json!({ "email": { "kind": "string" } });
    let unique = json!({ "email": { "kind": "string", "unique": true } });
    s.register(&id, unique.clone());
    owner.make(&id, json!({ "email": "a@x" }));
    owner.create(json!({ "typeId": id, "content": { "email": "a@x" } })).conflict();
    let second = owner.make(&id, json!({ "email": "b@x" }));
    owner.patch(&format!("/records/{}", text(&second["id"])), json!({ "email": "a@x" })).conflict();
    owner.make(&id, json!({}));
    owner.make(&id, json!({ "email": null }));
    s.register(&id, plain);
    owner.make(&id, json!({ "email": "a@x" }));
    owner.post("/types", type_body(&id, &unique)).conflict();
}
