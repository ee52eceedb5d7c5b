//! Queries: parameters, strictness, order, cursors, equality (stack 9).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Who, base64, encode, id, ids, instant, next, now_ms, server, text, type_body};

/// Ids by `GET /records`.
#[track_caller]
fn list(who: &Who, parameters: &str) -> Vec<String> {
    ids(&who.get(&format!("/records?{parameters}")).is(200))
}

fn set(list: Vec<String>) -> BTreeSet<String> {
    list.into_iter().collect()
}

#[test]
fn envelope() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let empty = json!({ "records": [], "cursor": null, "total": null });
    let none = format!("/records?typeId={}", encode(&kind));
    for who in [s.owner(), s.person(), s.anonymous()] {
        assert_eq!(who.get(&none).is(200), empty);
        assert_eq!(
            who.post("/records/query", json!({ "filter": { "typeId": kind } })).is(200),
            empty
        );
        assert_eq!(
            who.get("/records?typeId=never.heard%2Fof%401").is(200),
            empty,
            "an unknown type matches nothing"
        );
    }
    let made = s.owner().make(&kind, json!({ "a": 1 }));
    let found = s.owner().get(&none).is(200);
    assert_eq!(found, json!({ "records": [made], "cursor": null, "total": null }));
    for body in [
        json!({}),
        json!({ "filter": null, "sort": null }),
        json!({ "filter": {} }),
        json!({ "limit": null, "cursor": null }),
    ] {
        s.owner().post("/records/query", body).is(200);
    }
}

/// Each filter finds exactly its records, on both routes alike.
#[test]
fn filters() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "pic": { "kind": "file-ref" } }));
    let other = s.new_type("other", json!({}));
    let file =
        text(&owner.upload("text/plain", format!("filters {}", next()).as_bytes())["fileId"])
            .to_owned();
    let target = id(&owner.make(&other, json!({})));
    let ann = s.person();
    let app = s.person();
    s.grant(&kind, &["create"], None);
    s.grant(&kind, &["create"], Some(&app.did));
    let with = |who: &Who, extra: Value| {
        let mut body = json!({ "typeId": kind, "content": {} });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        id(&who.create(body).is(200))
    };
    let plain = with(&owner, json!({}));
    let child = with(&owner, json!({ "parentId": target, "appId": "com.example.one" }));
    let tagged = with(
        &owner,
        json!({ "appId": "com.example.two", "associations": [{ "kind": "tag", "label": "a" }, { "kind": "tag", "label": "b" }] }),
    );
    let one_tag = with(&owner, json!({ "associations": [{ "kind": "tag", "label": "a" }] }));
    let attached = with(
        &owner,
        json!({ "associations": [{ "kind": "attachment", "label": "cover", "fileId": file }] }),
    );
    let by_field = with(&owner, json!({ "content": { "pic": file } }));
    let related = with(
        &owner,
        json!({ "associations": [{ "kind": "relationship", "label": "reply", "recordId": target }] }),
    );
    let of_ann = with(&ann, json!({}));
    let delegated = with(&s.delegate(&app.did, &ann.did), json!({}));
    let all: Vec<&String> = vec![
        &plain, &child, &tagged, &one_tag, &attached, &by_field, &related, &of_ann, &delegated,
    ];
    let t = format!("typeId={}", encode(&kind));
    let without_child: Vec<&String> = all.iter().copied().filter(|r| **r != child).collect();
    let (ann_did, app_did) = (encode(&ann.did), encode(&app.did));
    let cases: Vec<(String, Value, Vec<&String>)> = vec![
        (String::new(), json!({}), all.clone()),
        (format!("typeId={}", encode(&other)), json!({ "typeId": [kind, other] }), vec![]),
        ("parentId=null".into(), json!({ "parentId": null }), without_child),
        (format!("parentId={target}"), json!({ "parentId": target }), vec![&child]),
        ("parentId=1hk153x00001".into(), json!({ "parentId": "1hk153x00001" }), vec![]),
        ("appId=com.example.one".into(), json!({ "appId": "com.example.one" }), vec![&child]),
        ("appId=com.example.one&appId=com.example.two".into(), json!({ "appId": ["com.example.one", "com.example.two"] }), vec![&child, &tagged]),
        ("appId=nobody".into(), json!({ "appId": "nobody" }), vec![]),
        (format!("entityId={ann_did}"), json!({ "entityId": ann.did }), vec![&of_ann, &delegated]),
        (format!("entityId={ann_did}&entityId=x"), json!({ "entityId": [ann.did, "x"] }), vec![&of_ann, &delegated]),
        (format!("principalId={app_did}"), json!({ "principalId": app.did }), vec![&delegated]),
        ("tag=a".into(), json!({ "tags": ["a"] }), vec![&tagged, &one_tag]),
        ("tag=a&tag=b".into(), json!({ "tags": ["a", "b"] }), vec![&tagged]),
        ("tag=a&tag=c".into(), json!({ "tags": ["a", "c"] }), vec![]),
        ("tag=cover".into(), json!({ "tags": ["cover"] }), vec![]),
        ("hasAttachment=cover".into(), json!({ "hasAttachment": "cover" }), vec![&attached]),
        ("hasAttachment=a".into(), json!({ "hasAttachment": "a" }), vec![]),
        (format!("attachmentFileId={file}"), json!({ "attachmentFileId": file }), vec![&attached, &by_field]),
        (format!("relatedTo={target}"), json!({ "relatedTo": { "recordId": target } }), vec![&related]),
        (format!("relatedTo={target}&relatedToLabel=reply"), json!({ "relatedTo": { "recordId": target, "label": "reply" } }), vec![&related]),
        (format!("relatedTo={target}&relatedLabel=reply"), json!({ "relatedTo": { "recordId": target, "label": "reply" } }), vec![&related]),
        (format!("relatedTo={target}&relatedToLabel=no"), json!({ "relatedTo": { "recordId": target, "label": "no" } }), vec![]),
        (format!("relatedTo={target}&tag=a"), json!({ "relatedTo": { "recordId": target }, "tags": ["a"] }), vec![]),
        ("tag=&appId=&hasAttachment=&attachmentFileId=&relatedTo=&createdAfter=&search=&limit=&cursor=&sort=&direction=".into(), json!({}), all.clone()),
        ("createdAfter=2000-01-01&createdBefore=2100-01-01T00:00:00Z".into(), json!({ "createdAt": { "after": "2000-01-01", "before": "2100-01-01T00:00:00Z" } }), all.clone()),
        ("createdBefore=2000-01-01".into(), json!({ "createdAt": { "before": "2000-01-01" } }), vec![]),
        ("updatedAfter=2000-01-01".into(), json!({ "updatedAt": { "after": "2000-01-01" } }), all.clone()),
        ("updatedBefore=2000-01-01T00:00:00%2B02:00".into(), json!({ "updatedAt": { "before": "2000-01-01T00:00:00+02:00" } }), vec![]),
        ("unknown=1".into(), json!({ "unknown": 1 }), all.clone()),
    ];
    for (parameters, mut filter, expected) in cases {
        let expected: BTreeSet<String> = expected.into_iter().cloned().collect();
        if filter.get("typeId").is_none() {
            filter["typeId"] = json!(kind);
            assert_eq!(set(list(&owner, &format!("{t}&{parameters}"))), expected, "{parameters}");
            assert_eq!(set(owner.find(json!({ "filter": filter }))), expected, "{filter}");
        }
    }
    let both = set(owner.find(json!({ "filter": { "typeId": [kind, other] } })));
    assert!(both.len() == all.len() + 1 && both.contains(&target));
    assert_eq!(set(list(&owner, &format!("{t}&typeId={}", encode(&other)))), both);
    // A file's own metadata record does not reference it.
    let found = owner.find(json!({ "filter": { "attachmentFileId": file } }));
    assert_eq!(found.len(), 2, "{found:?}");
}

/// Bounds are strict.
#[test]
fn instants_are_exclusive() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let made = s.owner().make(&kind, json!({}));
    let at = text(&made["createdAt"]);
    let ms = cairn::util::time::parse_instant(at).unwrap();
    let (before, after) = (instant(ms - 1), instant(ms + 1));
    for (bound, key, hit) in [
        (at, "before", false),
        (at, "after", false),
        (&after, "before", true),
        (&after, "after", false),
        (&before, "after", true),
        (&before, "before", false),
    ] {
        for field in ["createdAt", "updatedAt"] {
            let found =
                s.owner().find(json!({ "filter": { "typeId": kind, field: { key: bound } } }));
            assert_eq!(!found.is_empty(), hit, "{field} {key} {bound}");
        }
    }
}

#[test]
fn content_equality() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let rows: Vec<(Value, String)> = [
        json!({ "v": "1" }),
        json!({ "v": 1 }),
        json!({ "v": 1.5 }),
        json!({ "v": true }),
        json!({ "v": false }),
        json!({ "v": 0 }),
        json!({ "v": "" }),
        json!({ "v": null }),
        json!({}),
        json!({ "v": "true" }),
        json!({ "v": [1] }),
        json!({ "v": { "a": 1 } }),
        json!({ "v": "null" }),
        json!({ "v": "é" }),
    ]
    .into_iter()
    .map(|content| (content.clone(), id(&owner.make(&kind, content))))
    .collect();
    let find = |value: Value| {
        set(owner.find(json!({ "filter": { "typeId": kind, "content": { "v": value } } })))
    };
    for value in [
        json!("1"),
        json!(1),
        json!(1.5),
        json!(true),
        json!(false),
        json!(0),
        json!(""),
        json!("true"),
        json!("null"),
        json!("é"),
    ] {
        let expected = rows
            .iter()
            .filter(|(c, _)| c.get("v") == Some(&value))
            .map(|(_, id)| id.clone())
            .collect();
        assert_eq!(find(value.clone()), expected, "{value}");
    }
    let null = rows
        .iter()
        .filter(|(c, _)| c.get("v").is_none_or(Value::is_null))
        .map(|(_, id)| id.clone())
        .collect();
    assert_eq!(find(json!(null)), null, "absent or null");
    assert!(
        find(json!([1])).is_empty() && find(json!({ "a": 1 })).is_empty(),
        "never by structure"
    );
    assert!(find(json!("E")).is_empty() && find(json!("É")).is_empty());
    // 1 and 1.0 are the same number.
    let reply =
        owner.send(crate::common::call("POST", "/records/query").bytes(
            format!(r#"{{"filter":{{"typeId":"{kind}","content":{{"v":1.0}}}}}}"#).as_bytes(),
        ));
    assert_eq!(ids(&reply.is(200)).len(), 1);
}

/// A key is a name, never a path and never a piece of a language.
#[test]
fn content_keys_are_literal() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    owner.make(&kind, json!({ "a": { "b": 1 }, "l": [1] }));
    let names = [
        "a.b",
        "$.a.b",
        "l[0]",
        "a\"b",
        "a'b",
        "a\\b",
        "'; DROP TABLE record; --",
        "",
        " ",
        "$",
        "*",
        "%",
        "_",
        "é",
        "\u{1F600}",
        "a->>b",
        "[0]",
        "#",
    ];
    for name in names {
        let find = || owner.find(json!({ "filter": { "typeId": kind, "content": { name: 1 } } }));
        assert!(find().is_empty(), "{name:?} is no path");
        let made = id(&owner.make(&kind, json!({ name: 1 })));
        assert_eq!(find(), [made], "{name:?}");
    }
    // Control characters in a key: refused or literal, never a fault.
    for name in ["\u{0}", "a\u{0}b", "\u{1f}"] {
        let reply = owner.post(
            "/records/query",
            json!({ "filter": { "typeId": kind, "content": { name: 1 } } }),
        );
        assert!(matches!(reply.status, 200 | 400), "{reply}");
    }
}

#[test]
fn strictness() {
    let s = server();
    let who = s.owner();
    for parameters in [
        "limit=abc",
        "limit=-5",
        "limit=2.7",
        "limit=0",
        "limit=1e3",
        "limit=%201",
        "limit=0x10",
        "limit=99999999999999999999999x",
        "createdBefore=yesterday",
        "createdAfter=2024-13-01",
        "updatedBefore=1",
        "updatedAfter=2024-02-30T00:00:00Z",
        "createdAfter=null",
        "sort=title",
        "sort=id",
        "sort=CREATEDAT",
        "sort=createdAt%20desc",
        "sort=rid;--",
        "direction=up",
        "direction=DESC",
        "direction=ascending",
        "cursor=not-a-valid-cursor",
        "cursor=YmFkZmllbGR8MTIzfDFoazE1M3gwMDAwMQ%3D%3D",
        "cursor=AAAA",
        "cursor=%00",
        "cursor=%E9",
    ] {
        who.get(&format!("/records?{parameters}")).bad_request();
        s.anonymous().get(&format!("/records?{parameters}")).bad_request();
    }
    for body in [
        json!({ "filter": [] }),
        json!({ "filter": "x" }),
        json!({ "filter": 1 }),
        json!({ "sort": "createdAt" }),
        json!({ "sort": [] }),
        json!({ "sort": { "field": "title" } }),
        json!({ "sort": { "field": 5 } }),
        json!({ "sort": { "field": "createdAt", "direction": "up" } }),
        json!({ "sort": { "field": "createdAt", "direction": 1 } }),
        json!({ "limit": 0 }),
        json!({ "limit": -1 }),
        json!({ "limit": 1.5 }),
        json!({ "limit": "10" }),
        json!({ "limit": [] }),
        json!({ "limit": true }),
        json!({ "cursor": 5 }),
        json!({ "cursor": "not-a-valid-cursor" }),
        json!({ "cursor": "YmFkZmllbGR8MTIzfDFoazE1M3gwMDAwMQ==" }),
        json!({ "filter": { "tags": "a" } }),
        json!({ "filter": { "tags": [1] } }),
        json!({ "filter": { "tags": { "a": 1 } } }),
        json!({ "filter": { "content": [] } }),
        json!({ "filter": { "content": "x" } }),
        json!({ "filter": { "typeId": 5 } }),
        json!({ "filter": { "typeId": [5] } }),
        json!({ "filter": { "appId": {} } }),
        json!({ "filter": { "entityId": [null] } }),
        json!({ "filter": { "principalId": 5 } }),
        json!({ "filter": { "parentId": 5 } }),
        json!({ "filter": { "parentId": [] } }),
        json!({ "filter": { "hasAttachment": true } }),
        json!({ "filter": { "attachmentFileId": 5 } }),
        json!({ "filter": { "search": 5 } }),
        json!({ "filter": { "relatedTo": {} } }),
        json!({ "filter": { "relatedTo": "x" } }),
        json!({ "filter": { "relatedTo": { "recordId": 5 } } }),
        json!({ "filter": { "relatedTo": { "recordId": "x", "label": 5 } } }),
        json!({ "filter": { "includeDeleted": "true" } }),
        json!({ "filter": { "createdAt": "2024-01-01" } }),
        json!({ "filter": { "createdAt": { "before": "x" } } }),
        json!({ "filter": { "createdAt": { "after": 5 } } }),
        json!({ "filter": { "updatedAt": { "before": "" } } }),
        json!({ "filter": { "updatedAt": [] } }),
    ] {
        who.post("/records/query", body).bad_request();
    }
}

/// Every sort field in both directions: pages of any size give the whole, once, in order.
#[test]
fn pages_neither_repeat_nor_skip() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made: Vec<String> = (0..23).map(|n| id(&owner.make(&kind, json!({ "n": n })))).collect();
    for (n, id) in made.iter().enumerate() {
        for _ in 0..n % 4 {
            owner.patch(&format!("/records/{id}"), json!({})).is(200);
        }
    }
    for field in ["createdAt", "updatedAt", "version"] {
        for direction in ["asc", "desc"] {
            let whole = owner.post("/records/query", json!({ "filter": { "typeId": kind }, "sort": { "field": field, "direction": direction } })).is(200);
            let keys: Vec<(String, String)> = whole["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| {
                    let key = if field == "version" {
                        format!("{:08}", r["version"].as_i64().unwrap())
                    } else {
                        text(&r[field]).to_owned()
                    };
                    (key, id(r))
                })
                .collect();
            let mut sorted = keys.clone();
            sorted.sort();
            if direction == "desc" {
                sorted.reverse();
            }
            assert_eq!(keys, sorted, "{field} {direction}: ties by id in the same direction");
            for limit in [1, 4, 7, 22, 23, 24] {
                let (mut seen, mut cursor) = (Vec::new(), Value::Null);
                loop {
                    let page = owner.post("/records/query", json!({ "filter": { "typeId": kind }, "sort": { "field": field, "direction": direction }, "limit": limit, "cursor": cursor })).is(200);
                    seen.extend(ids(&page));
                    cursor = page["cursor"].clone();
                    if cursor.is_null() {
                        break;
                    }
                    assert!(seen.len() < 100, "it ends");
                }
                assert_eq!(seen, ids(&whole), "{field} {direction} by {limit}");
            }
        }
    }
    // Defaults: newest first, by creation; a sort without direction is descending.
    let mut newest = made.clone();
    newest.reverse();
    assert_eq!(list(&owner, &format!("typeId={}", encode(&kind))), newest);
    assert_eq!(
        owner.find(json!({ "filter": { "typeId": kind }, "sort": { "field": "createdAt" } })),
        newest
    );
    assert_eq!(list(&owner, &format!("typeId={}&direction=asc", encode(&kind))), made);
    assert_eq!(
        list(&owner, &format!("typeId={}&sort=createdAt&direction=asc&limit=5", encode(&kind))),
        made[..5]
    );
}

/// Records that come or change between pages disturb no page.
#[test]
fn a_page_walk_under_writes() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made: Vec<String> = (0..10).map(|n| id(&owner.make(&kind, json!({ "n": n })))).collect();
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = owner
            .post(
                "/records/query",
                json!({ "filter": { "typeId": kind }, "limit": 3, "cursor": cursor }),
            )
            .is(200);
        seen.extend(ids(&page));
        owner.make(&kind, json!({ "late": true }));
        owner.patch(&format!("/records/{}", made[0]), json!({})).is(200);
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let mut newest = made;
    newest.reverse();
    assert_eq!(seen, newest);
}

#[test]
fn cursors_belong_to_their_sort_field() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    for _ in 0..3 {
        owner.make(&kind, json!({}));
    }
    let page = |sort: &str, cursor: Value| {
        owner.post("/records/query", json!({ "filter": { "typeId": kind }, "sort": { "field": sort }, "limit": 1, "cursor": cursor }))
    };
    let cursor = page("createdAt", Value::Null).is(200)["cursor"].clone();
    assert!(cursor.is_string());
    page("createdAt", cursor.clone()).is(200);
    page("updatedAt", cursor.clone()).bad_request();
    page("version", cursor.clone()).bad_request();
    let cursor = text(&cursor);
    let decoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(cursor).expect("standard padded base64")
    };
    assert!(String::from_utf8_lossy(&decoded).contains("createdAt"));
    assert_eq!(
        owner
            .get(&format!("/records?typeId={}&limit=1&cursor={}", encode(&kind), encode(cursor)))
            .is(200)["records"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // Everything near a cursor is refused or harmless, never a fault.
    for n in 0..cursor.len() {
        let cut = &cursor[..n];
        let reply = page("createdAt", json!(cut));
        assert!(matches!(reply.status, 200 | 400), "{reply}");
    }
    for text in [
        "createdAt||",
        "createdAt|x|1hk153x00001",
        "createdAt|1",
        "createdAt|9999999999999999999999|1hk153x00001",
        "|",
        "createdAt|1|' OR 1=1 --",
        "createdAt|NaN|1hk153x00001",
        "",
    ] {
        let reply = page("createdAt", json!(base64(text.as_bytes())));
        assert!(matches!(reply.status, 200 | 400), "{reply}");
    }
}

#[test]
fn limits() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    for _ in 0..55 {
        owner.make(&kind, json!({}));
    }
    let t = format!("typeId={}", encode(&kind));
    assert_eq!(list(&owner, &t).len(), 50, "the default");
    assert!(owner.get(&format!("/records?{t}")).is(200)["cursor"].is_string());
    assert_eq!(list(&owner, &format!("{t}&limit=1000")).len(), 55);
    assert_eq!(list(&owner, &format!("{t}&limit=1001")).len(), 55, "clamped");
    assert_eq!(list(&owner, &format!("{t}&limit=4294967297")).len(), 55);
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind }, "limit": 1_000_000 })).len(), 55);
}

/// A page holds what the reader may see, full and in order, and counts nothing else.
#[test]
fn only_what_may_be_read() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let mut visible = Vec::new();
    for n in 0..30 {
        let permissions =
            if n % 3 == 0 { json!([super::permissions::entity(&ann, false)]) } else { json!([]) };
        let made = id(&owner
            .create(json!({ "typeId": kind, "content": { "n": n }, "permissions": permissions }))
            .is(200));
        if n % 3 == 0 {
            visible.push(made);
        }
    }
    visible.reverse();
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = ann
            .post(
                "/records/query",
                json!({ "filter": { "typeId": kind }, "limit": 4, "cursor": cursor }),
            )
            .is(200);
        assert_eq!(page["total"], Value::Null);
        seen.extend(ids(&page));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, visible);
    assert!(s.anonymous().find(json!({ "filter": { "typeId": kind } })).is_empty());
    // By content, tag and search too: hidden records answer no question.
    assert!(ann.find(json!({ "filter": { "typeId": kind, "content": { "n": 1 } } })).is_empty());
    assert_eq!(ann.find(json!({ "filter": { "typeId": kind, "content": { "n": 3 } } })).len(), 1);
}

#[test]
fn deleted_records_only_when_asked() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (kept, gone) = (id(&owner.make(&kind, json!({}))), id(&owner.make(&kind, json!({}))));
    owner.delete(&format!("/records/{gone}")).is(204);
    let t = format!("typeId={}", encode(&kind));
    assert_eq!(list(&owner, &t), [kept.as_str()]);
    assert_eq!(list(&owner, &format!("{t}&includeDeleted=true")), [gone.clone(), kept.clone()]);
    assert_eq!(list(&owner, &format!("{t}&includeDeleted=false")), [kept.as_str()]);
    assert_eq!(
        owner.find(json!({ "filter": { "typeId": kind, "includeDeleted": true } })),
        [gone, kept.clone()]
    );
    assert_eq!(
        owner.find(json!({ "filter": { "typeId": kind, "includeDeleted": false } })),
        [kept]
    );
}

/// `query` is an address of its own and never an id.
#[test]
fn the_literal_segment_wins() {
    let s = server();
    s.owner().get("/records/query").is(405);
    s.anonymous().post("/records/query", json!({})).is(200);
}

/// Anonymous readers see public records in queries, with both routes.
#[test]
fn anonymous_queries() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let made = s
        .owner()
        .create(json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }] }))
        .is(200);
    s.owner().make(&kind, json!({}));
    assert_eq!(list(&s.anonymous(), &format!("typeId={}", encode(&kind))), [id(&made)]);
    assert_eq!(s.anonymous().find(json!({ "filter": { "typeId": kind } })), [id(&made)]);
}

/// An index changes the cost of a filter, never its result.
#[test]
fn an_indexed_field_finds_the_same() {
    let s = server();
    let owner = s.owner();
    let kind = format!("com.example.i{}/note@1", next());
    let plain = json!({ "v": { "kind": "string" }, "n": { "kind": "number" } });
    s.register(&kind, plain);
    for v in ["a", "b", "a", "", "A"] {
        owner.make(&kind, json!({ "v": v, "n": v.len() }));
    }
    owner.make(&kind, json!({}));
    let find = |field: &str, value: Value| {
        owner.find(json!({ "filter": { "typeId": kind, "content": { field: value } } }))
    };
    let asked = [
        ("v", json!("a")),
        ("v", json!("")),
        ("v", json!(null)),
        ("v", json!(5)),
        ("n", json!(1)),
        ("n", json!("1")),
        ("n", json!(null)),
    ];
    let before: Vec<Vec<String>> = asked.iter().map(|(f, v)| find(f, v.clone())).collect();
    let indexed = json!({ "v": { "kind": "string", "indexed": true }, "n": { "kind": "number", "indexed": true } });
    owner.post("/types", type_body(&kind, &indexed)).is(201);
    let after: Vec<Vec<String>> = asked.iter().map(|(f, v)| find(f, v.clone())).collect();
    assert_eq!(before, after);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 0, 4, 0, 1]);
    let _ = now_ms();
}
