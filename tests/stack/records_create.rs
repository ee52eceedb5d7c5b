//! Creating and reading records (stack 3, 4.2, 5, 7.1, 7.2).

use serde_json::{Map, Value, json};

use crate::common::{
    Key, call, id, id_at, is_instant, is_record_id, next, now_ms, server, text, version,
};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_record_has_its_six_members_and_no_empty_ones() {
    let s = server();
    let kind = s.new_type("note", json!({ "title": { "kind": "string" } }));
    let made = s.owner().make(&kind, json!({ "title": "Hello" }));
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "typeId", "createdAt", "updatedAt", "content", "version", "entityId"]);
    assert!(is_record_id(text(&made["id"])));
    assert_eq!(made["typeId"], json!(kind));
    assert!(is_instant(text(&made["createdAt"])) && made["createdAt"] == made["updatedAt"]);
    assert_eq!(made["content"], json!({ "title": "Hello" }));
    assert_eq!(version(&made), 1);
    assert_eq!(made["entityId"], json!(s.owner_did()));
    assert_eq!(s.owner().get(&format!("/records/{}", id(&made))).is(200), made);
}

#[test]
fn everything_a_client_may_say_is_kept() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let parent = id(&owner.make(&kind, json!({})));
    let file = text(&owner.upload("text/plain", b"everything")["fileId"]).to_owned();
    let permissions = json!([
        { "access": "public" },
        { "access": "entity", "entityId": "did:web:example.com", "read": true, "write": false },
        { "access": "group", "groupId": parent, "read": true, "write": true, "role": "admin" }
    ]);
    let associations = json!([
        { "kind": "tag", "label": "starred" },
        { "kind": "attachment", "label": "avatar", "fileId": file },
        { "kind": "relationship", "label": "reply-to", "recordId": parent }
    ]);
    let made = owner
        .create(
            json!({ "typeId": kind, "content": {}, "parentId": parent, "appId": "com.example.app",
            "permissions": permissions, "associations": associations }),
        )
        .is(200);
    assert_eq!(made["parentId"], json!(parent));
    assert_eq!(made["appId"], "com.example.app");
    assert_eq!(made["permissions"], permissions);
    let mut got = made["associations"].as_array().unwrap().clone();
    let mut wanted = associations.as_array().unwrap().clone();
    got.sort_by_key(Value::to_string);
    wanted.sort_by_key(Value::to_string);
    assert_eq!(got, wanted);
    assert!(made.get("principalId").is_none() && made.get("deletedAt").is_none());
}

/// Clients send whole records back; what only the server says is ignored.
#[test]
fn server_owned_members_are_ignored() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create"], Some(&ann.did));
    let past = "2001-01-01T00:00:00.000Z";
    let made = ann
        .create(json!({ "typeId": kind, "content": {}, "createdAt": past, "updatedAt": past, "version": 9,
            "deletedAt": past, "entityId": s.owner_did(), "principalId": s.owner_did(), "nonsense": [1] }))
        .is(200);
    assert_eq!(version(&made), 1);
    assert!(made["createdAt"] != past && made["updatedAt"] != past);
    assert_eq!(made["entityId"], json!(ann.did));
    assert!(
        made.get("deletedAt").is_none()
            && made.get("principalId").is_none()
            && made.get("nonsense").is_none()
    );
}

#[test]
fn optional_members_of_the_wrong_type_count_as_absent() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    for wrong in [json!(5), json!(true), json!({}), json!(null)] {
        let made = s
            .owner()
            .create(json!({ "typeId": kind, "content": {}, "id": wrong, "parentId": wrong, "appId": wrong,
                "permissions": wrong, "associations": wrong }))
            .is(200);
        for key in ["parentId", "appId", "permissions", "associations"] {
            assert!(made.get(key).is_none(), "{key}: {made}");
        }
        assert!(is_record_id(&id(&made)));
    }
    for empty in [json!({ "permissions": [] }), json!({ "associations": [] })] {
        let mut body = json!({ "typeId": kind, "content": {} });
        body.as_object_mut().unwrap().extend(empty.as_object().unwrap().clone());
        let made = s.owner().create(body).is(200);
        assert!(made.get("permissions").is_none() && made.get("associations").is_none());
    }
}

#[test]
fn ids_rise_with_creation() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let made: Vec<String> = (0..50).map(|_| id(&s.owner().make(&kind, json!({})))).collect();
    assert!(made.windows(2).all(|w| w[0] < w[1]), "{made:?}");
}

#[test]
fn ids_chosen_by_clients() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create", "read-own"], Some(&ann.did));
    let with_id = |id: &str| json!({ "typeId": kind, "content": {}, "id": id });
    for who in [s.owner(), ann.clone()] {
        for skew in [0, -23 * HOUR_MS, 23 * HOUR_MS] {
            let chosen = id_at(now_ms() + skew);
            assert_eq!(id(&who.create(with_id(&chosen)).is(200)), chosen);
            assert_eq!(id(&who.get(&format!("/records/{chosen}")).is(200)), chosen);
        }
        for skew in [-25 * HOUR_MS, 25 * HOUR_MS, 24 * 365 * HOUR_MS] {
            who.create(with_id(&id_at(now_ms() + skew))).invalid(&["id"]);
        }
        for far in ["000000000000", "zzzzzzzzzzzz", "1hk153x00001"] {
            who.create(with_id(far)).invalid(&["id"]);
        }
        for bad in [
            "",
            "x",
            "_",
            "_config",
            "_1hk153x0000",
            "1hk153x0000",
            "1hk153x000011",
            "1hk153x0000i",
            "1hk153x0000l",
            "1hk153x0000o",
            "1hk153x0000u",
            "1HK153X00001",
            "1hk153x0000é",
            "1hk153x0000\u{0}",
            "1hk153x00001\n",
            " 1hk153x00001",
            "../../../etc",
            "did:key:z6Mk",
        ] {
            who.create(with_id(bad)).bad_request();
        }
    }
}

/// A taken id is refused, whoever asks, and nothing of the holder changes. Deleting does not give it free.
#[test]
fn an_id_is_never_given_twice() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let other = s.new_type("other", json!({}));
    let taken = owner.make(&kind, json!({ "n": 1 }));
    let body = |kind: &str| json!({ "typeId": kind, "content": { "n": 2 }, "id": id(&taken) });
    owner.create(body(&kind)).conflict();
    owner.create(body(&other)).conflict();
    let ann = s.person();
    s.grant(&other, &["create"], Some(&ann.did));
    ann.create(body(&other)).conflict();
    assert_eq!(owner.get(&format!("/records/{}", id(&taken))).is(200), taken);
    owner.delete(&format!("/records/{}", id(&taken))).is(204);
    owner.create(body(&kind)).conflict();
}

/// Two creations with the same id at once: one is the record, all others are told.
#[test]
fn an_id_is_won_once_in_a_race() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let chosen = id_at(now_ms());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let owner = s.owner();
                let body = json!({ "typeId": kind, "content": { "n": n }, "id": chosen });
                scope.spawn(move || owner.create(body).status)
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|s| matches!(s, 200 | 409)), "{statuses:?}");
}

#[test]
fn what_a_body_must_have() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    for type_id in [json!(null), json!(""), json!(5), json!([kind]), json!({})] {
        owner.create(json!({ "typeId": type_id, "content": {} })).bad_request();
    }
    for content in [json!(null), json!(""), json!(5), json!([]), json!("{}")] {
        owner.create(json!({ "typeId": kind, "content": content })).bad_request();
        owner.create(json!({ "typeId": "unknown@1", "content": content })).bad_request();
    }
    owner.create(json!({ "content": {} })).bad_request();
    owner.create(json!({ "typeId": kind })).bad_request();
    for type_id in [
        "unknown@1",
        "com.example/none@1",
        kind.trim_end_matches("@1"),
        &kind.replace("@1", "@2"),
        "@",
        "\u{0}",
    ] {
        owner.create(json!({ "typeId": type_id, "content": {} })).invalid(&["typeId"]);
    }
}

/// Section 7.1: each request breaks one rule and the ones after it; the answer names the earliest.
#[test]
fn checks_come_in_order() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "title": { "kind": "string", "required": true } }));
    let hidden = id(&owner.make(&kind, json!({ "title": "hidden" })));
    let ann = s.person();
    let app = Key::of(next()).did;
    let by_app = s.delegate(&app, &ann.did);
    // Everything from step 4 on is wrong with this one.
    let all_wrong = json!({ "typeId": kind, "content": { "title": 5, "__proto__": 1 }, "id": "bad", "parentId": hidden,
        "permissions": [{ "access": "nonsense" }], "associations": [{ "kind": "relationship", "label": "x", "recordId": hidden }] });
    let but = |changes: Value| {
        let mut body = all_wrong.clone();
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    // 1 anonymous, before the shape of the body.
    s.anonymous().create(all_wrong.clone()).unauthorized();
    s.anonymous().send(call("POST", "/records").bytes(b"not json")).unauthorized();
    s.anonymous().create(json!([])).unauthorized();
    // 2 shape, before anything about the type or rights.
    ann.create(but(json!({ "typeId": "" }))).bad_request();
    ann.create(but(json!({ "content": 5, "typeId": "unknown@1" }))).bad_request();
    // 3 the type, before rights.
    ann.create(but(json!({ "typeId": "unknown@1" }))).invalid(&["typeId"]);
    // 4 rights, before the id.
    ann.create(all_wrong.clone()).denied();
    s.grant(&kind, &["create"], Some(&ann.did));
    s.grant(&kind, &["create"], Some(&app));
    // 6 permissions under delegation, before the id.
    by_app.create(all_wrong.clone()).denied();
    by_app.create(but(json!({ "permissions": [] }))).bad_request();
    // 8 the id: format, then skew, before references.
    ann.create(all_wrong.clone()).bad_request();
    ann.create(but(json!({ "id": "1hk153x00001" }))).invalid(&["id"]);
    // 9 references, before the content.
    let near = json!(id_at(now_ms()));
    ann.create(but(json!({ "id": near }))).denied();
    ann.create(but(json!({ "id": near, "parentId": null }))).denied();
    ann.create(but(json!({ "id": near, "associations": [] }))).denied();
    // 10 content and permissions, before the duplicate id.
    let reply = ann.create(but(json!({ "id": hidden, "parentId": null, "associations": [] })));
    let body = reply.fails(422, "validation");
    assert!(
        body["error"]["details"].as_array().unwrap().len() >= 2,
        "all are reported together: {body}"
    );
    // 12 the duplicate id is found last.
    ann.create(json!({ "typeId": kind, "content": { "title": "t" }, "id": hidden })).conflict();
    // Nothing came of all this.
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind } })), [hidden]);
}

/// The same for files: establishing evidence and media type (steps 5, 11).
#[test]
fn attachment_records_are_checked_too() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("album", json!({}));
    let bytes = format!("picture {}", next());
    let file = text(&owner.upload("image/png", bytes.as_bytes())["fileId"]).to_owned();
    let ann = s.person();
    s.grant("_attachment", &["create", "read-own"], Some(&ann.did));
    let record = |media: &str, id: &str| {
        json!({ "typeId": "_attachment@1", "id": id,
            "content": { "fileId": file, "mimeType": media, "size": bytes.len() } })
    };
    let near = id_at(now_ms());
    // 5 a create grant does not help, nor do own metadata records, before the id.
    ann.create(record("image/png", "bad")).denied();
    // Once a readable record references the file, it does.
    let shown = owner
        .create(json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }],
            "associations": [{ "kind": "attachment", "label": "x", "fileId": file }] }))
        .is(200);
    ann.create(record("image/png", "bad")).bad_request();
    // 11 another media type than the established one, which is not told, before the duplicate id.
    let body = ann.create(record("image/gif", &id(&shown))).invalid(&["mimeType"]);
    assert!(!body.to_string().contains("image/png"), "{body}");
    ann.create(record("image/png", &id(&shown))).conflict();
    assert_eq!(ann.create(record("image/png", &near)).is(200)["entityId"], json!(ann.did));
    owner.create(record("text/plain", &id_at(now_ms()))).invalid(&["mimeType"]);
    // Somebody else's file: unknown bytes are refused as unreachable ones are.
    let unknown = json!({ "typeId": "_attachment@1", "content": { "fileId": "0".repeat(64), "mimeType": "a/b", "size": 1 } });
    ann.create(unknown).denied();
}

#[test]
fn values_are_checked_by_kind_without_coercion() {
    let s = server();
    let owner = s.owner();
    let hash = "a".repeat(64);
    let nested =
        json!({ "kind": "object", "properties": { "n": { "kind": "number", "required": true } } });
    let good: Vec<(Value, Vec<Value>)> = vec![
        (
            json!({ "kind": "string" }),
            vec![json!(""), json!("x"), json!("\u{0}"), json!("x".repeat(10_000)), json!(null)],
        ),
        (json!({ "kind": "text" }), vec![json!("a\nb")]),
        (
            json!({ "kind": "number" }),
            vec![json!(0), json!(-1), json!(1.5), json!(1e300), json!(9_007_199_254_740_993_i64)],
        ),
        (json!({ "kind": "boolean" }), vec![json!(true), json!(false)]),
        (
            json!({ "kind": "date" }),
            vec![
                json!("2024-02-29"),
                json!("2024-01-01T00:00:00"),
                json!("2024-01-01T00:00:00Z"),
                json!("2024-01-01T00:00:00.123456Z"),
                json!("2024-01-01T23:59:59+05:30"),
                json!("0001-01-01"),
                json!("9999-12-31"),
            ],
        ),
        (
            json!({ "kind": "record-ref" }),
            vec![json!("1hk153x00001"), json!("anything"), json!("")],
        ),
        (json!({ "kind": "file-ref" }), vec![json!(hash)]),
        (
            json!({ "kind": "array", "items": { "kind": "string" } }),
            vec![json!([]), json!(["a", "b"])],
        ),
        (nested.clone(), vec![json!({ "n": 1 }), json!({ "n": 1, "more": [1, null] })]),
    ];
    for (definition, values) in good {
        let kind = s.new_type("good", json!({ "v": definition }));
        for value in values {
            let made = owner.make(&kind, json!({ "v": value }));
            assert_eq!(made["content"]["v"], value);
        }
        owner.make(&kind, json!({}));
    }
    let bad: Vec<(Value, Vec<Value>)> = vec![
        (json!({ "kind": "string" }), vec![json!(1), json!(true), json!([]), json!({})]),
        (json!({ "kind": "text" }), vec![json!(1), json!([])]),
        (json!({ "kind": "number" }), vec![json!("1"), json!(true), json!([1])]),
        (json!({ "kind": "boolean" }), vec![json!("true"), json!(0), json!(1)]),
        (
            json!({ "kind": "date" }),
            vec![
                json!(0),
                json!(""),
                json!("today"),
                json!("2023-02-29"),
                json!("2024-02-30"),
                json!("2024-13-01"),
                json!("2024-1-1"),
                json!("2024-01-01T25:00:00Z"),
                json!("2024-01-01T00:60:00Z"),
                json!("2024-01-01T00:00Z"),
                json!("2024-01-01 00:00:00"),
                json!("2024-01-01T00:00:00.Z"),
                json!("2024-01-01T00:00:00+0100"),
                json!("2024-01-01Z"),
                json!("2024-01-01T00:00:00z"),
                json!("２０２４-01-01"),
            ],
        ),
        (json!({ "kind": "record-ref" }), vec![json!(1), json!({})]),
        (
            json!({ "kind": "file-ref" }),
            vec![
                json!(""),
                json!("A".repeat(64)),
                json!("a".repeat(63)),
                json!("a".repeat(65)),
                json!("g".repeat(64)),
                json!(1),
            ],
        ),
        (json!({ "kind": "array", "items": { "kind": "string" } }), vec![json!("a"), json!({})]),
        (nested, vec![json!([]), json!("x")]),
    ];
    for (definition, values) in bad {
        let kind = s.new_type("bad", json!({ "v": definition }));
        for value in values {
            owner.create(json!({ "typeId": kind, "content": { "v": value } })).invalid(&["v"]);
        }
        assert!(owner.find(json!({ "filter": { "typeId": kind } })).is_empty());
    }
}

#[test]
fn all_violations_are_reported_with_their_paths() {
    let s = server();
    let kind = s.new_type(
        "contact",
        json!({
            "name": { "kind": "string", "required": true },
            "age": { "kind": "number" },
            "address": { "kind": "object", "properties": { "city": { "kind": "string", "required": true }, "zip": { "kind": "string" } } },
            "phones": { "kind": "array", "items": { "kind": "object", "properties": { "value": { "kind": "string", "required": true } } } },
            "grid": { "kind": "array", "items": { "kind": "array", "items": { "kind": "number" } } }
        }),
    );
    let create = |content: Value| s.owner().create(json!({ "typeId": kind, "content": content }));
    create(json!({})).invalid(&["name"]);
    create(json!({ "name": null })).invalid(&["name"]);
    create(json!({ "name": 1, "age": "x", "address": { "zip": 5 }, "phones": [{ "value": "ok" }, {}, { "value": 1 }, "x"], "grid": [[1], [2, "x"]] }))
        .invalid(&["name", "age", "address.city", "address.zip", "phones[1].value", "phones[2].value", "phones[3]", "grid[1][1]"]);
    let content = json!({ "name": "a", "age": null, "address": null, "phones": null, "extra": { "deep": [1, { "x": null }] } });
    assert_eq!(
        create(content.clone()).is(200)["content"],
        content,
        "undeclared fields and nulls are kept"
    );
    create(json!({ "name": "a", "address": {} })).invalid(&["address.city"]);
    create(json!({ "name": "a", "phones": [null] })).invalid(&["phones[0]"]);
}

#[test]
fn reserved_keys_at_the_top_only() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    for key in ["__proto__", "constructor", "prototype"] {
        let content = |value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
        for value in [json!({}), json!(null), json!("x")] {
            s.owner().create(json!({ "typeId": kind, "content": content(value) })).invalid(&[key]);
        }
        let nested = json!({ "a": content(json!(1)) });
        assert_eq!(s.owner().make(&kind, nested.clone())["content"], nested);
    }
    // Names that look like something to someone else.
    let odd = json!({ "": 1, "a.b": 2, "$": 3, "\"": 4, "\\": 5, "\u{1}": 6, "[0]": 7, "id": 8, "toString": 9, "ключ": 10, "'; DROP TABLE record; --": 11 });
    assert_eq!(s.owner().make(&kind, odd.clone())["content"], odd);
}

/// Content is passed through as text: numbers, escapes and key order come back as they were.
#[test]
fn content_comes_back_as_it_was_written() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    for content in [
        r#"{"z":1,"a":2,"m":{"y":1,"b":2}}"#,
        r#"{"n":1.0,"e":1e+2,"big":123456789012345678901234567890,"small":-0.0,"long":0.1234567890123456789}"#,
        r#"{"s":"😀 \" \\ \u0000 \n é"}"#,
        r#"{"a":[],"o":{},"f":false,"z":0,"e":"","n":null}"#,
    ] {
        let body = format!(r#"{{"typeId":"{kind}","content":{content}}}"#);
        let reply = s.owner().send(call("POST", "/records").bytes(body.as_bytes()));
        assert!(reply.text().contains(content), "{reply}");
        let made = id(&reply.is(200));
        let read = s.owner().get(&format!("/records/{made}"));
        assert!(read.text().contains(content), "{read}");
        let listed = s.owner().post("/records/query", json!({ "filter": { "typeId": kind } }));
        assert!(listed.text().contains(content), "{listed}");
    }
    // Of duplicate keys the last counts, blanks go.
    let body = format!(
        "{{\"typeId\":\"{kind}\",\"content\":{{ \"a\" : 1 ,\n\t\"a\" : 2 }},\"content\":{{ \"b\" : 3 , \"b\":4 }} }}"
    );
    let reply = s.owner().send(call("POST", "/records").bytes(body.as_bytes()));
    assert_eq!(reply.is(200)["content"], json!({ "b": 4 }));
}

#[test]
fn associations_in_a_create() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let tag = json!({ "kind": "tag", "label": "x" });
    let create = |list: Value| {
        s.owner().create(json!({ "typeId": kind, "content": {}, "associations": list }))
    };
    for (bad, path) in [
        (json!([{}]), "associations[0]"),
        (json!([tag, { "kind": "nope", "label": "x" }]), "associations[1]"),
        (json!([{ "kind": "tag" }]), "associations[0]"),
        (json!([{ "kind": "tag", "label": "" }]), "associations[0]"),
        (json!([{ "kind": "tag", "label": 5 }]), "associations[0]"),
        (json!([{ "label": "x" }]), "associations[0]"),
        (json!([tag, tag, { "kind": "attachment", "label": "x" }]), "associations[2]"),
        (
            json!([{ "kind": "attachment", "label": "x", "recordId": "1hk153x00001" }]),
            "associations[0]",
        ),
        (json!([{ "kind": "relationship", "label": "x" }]), "associations[0]"),
        (json!([{ "kind": "relationship", "label": "x", "recordId": "" }]), "associations[0]"),
        (json!([{ "kind": "relationship", "label": "x", "recordId": 7 }]), "associations[0]"),
        (json!(["tag"]), "associations[0]"),
        (json!([null]), "associations[0]"),
    ] {
        create(bad).invalid(&[path]);
    }
    let made = create(json!([tag, tag, { "kind": "tag", "label": "y" }, tag])).is(200);
    assert_eq!(made["associations"].as_array().unwrap().len(), 2, "duplicates collapse: {made}");
    // What does not belong to the kind is not part of the identity.
    let made =
        create(json!([{ "kind": "tag", "label": "x", "recordId": "1hk153x00001", "more": 1 }]))
            .is(200);
    assert_eq!(made["associations"], json!([tag]));
    // The owner may point at what does not exist.
    create(json!([{ "kind": "relationship", "label": "x", "recordId": "1hk153x00001" }])).is(200);
    s.owner().create(json!({ "typeId": kind, "content": {}, "parentId": "nowhere" })).is(200);
}

#[test]
fn permissions_in_a_create() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let create = |list: Value| {
        s.owner().create(json!({ "typeId": kind, "content": {}, "permissions": list }))
    };
    for bad in super::permissions::malformed() {
        create(json!([{ "access": "public" }, bad])).invalid(&["permissions[1]"]);
    }
    for good in super::permissions::well_formed() {
        create(json!([good])).is(200);
    }
}

/// Reading: missing is 404, not mine is 403, for nobody too.
#[test]
fn reading() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({ "secret": 1 }))));
    for who in [s.anonymous(), s.person()] {
        let reply = who.get(&path);
        assert!(!reply.text().contains("secret"));
        reply.denied();
        for missing in [
            "/records/1hk153x00001",
            "/records/nope",
            "/records/%2e%2e",
            "/records/%00",
            "/records/_nope",
            "/records/%F0%9F%98%80",
        ] {
            who.get(missing).missing();
        }
    }
    s.owner().get(&path).is(200);
    s.owner().get(&path.to_uppercase().replace("RECORDS", "records")).missing();
    s.owner().get(&format!("{path}?unknown=1&as=2")).is(200);
}
