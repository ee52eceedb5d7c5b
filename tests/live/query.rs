//! `POST /api/query` (live 7): forms, styles, refusals.

use serde_json::json;

use crate::common::server;
use crate::support::{entity, ids, make, refused, tx};

#[test]
fn the_documented_form() {
    let server = server();
    let (who, t, empty) = (server.person(), entity(), entity());
    for (id, done) in [("a", false), ("b", true), ("c", false)] {
        make(&who, &t, json!({ "id": id, "done": done }));
    }
    let body =
        json!({ &t: { "$where": { "done": false }, "$order": { "id": "desc" } }, &empty: {} });
    let answer = who.post("/api/query", body).is(200);
    assert_eq!(ids(&answer[&t]), ["c", "a"]);
    assert_eq!(answer[&empty], json!([]));
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, [&t, &empty, "tx", "txId"], "one key for each root, in their order");
    let after = tx(&answer);
    assert!(tx(&who.patch(&format!("/api/data/{t}/a"), json!({})).is(200)) > after);
    let count = json!({ &t: { "$where": { "done": false }, "$aggregate": "count" } });
    assert_eq!(who.post("/api/query", count).is(200)[&t], json!(2));
}

#[test]
fn every_other_form_has_its_style() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for (id, age) in [("a", 30), ("b", 40)] {
        make(&who, &t, json!({ "id": id, "age": age }));
    }
    let of = |body| who.post("/api/query", body).is(200);
    let data = json!([{ "id": "b", "age": 40 }]);
    for body in [
        json!({ "collection": &t, "where": [{ "field": "age", "op": ">", "value": 30 }],
                "order": [{ "field": "age", "direction": "DESC" }], "limit": 5, "offset": 0, "select": null }),
        json!({ "type": &t, "$where": [{ "attribute": format!("{t}/age"), "op": "Gt", "value": 30 }] }),
        json!({ "query": { &t: { "$where": { "age": { "$gt": 30 } } } } }),
        json!({ "query": { "collection": &t, "where": [{ "field": "age", "op": "=", "value": 40 }] }, "args": {} }),
        json!({ "query": format!("select * from {t} where age > $min order by age desc;"), "vars": { "min": 30 } }),
        json!({ "query": { "raw": format!("SELECT * FROM {t}:b") } }),
    ] {
        let answer = of(body.clone());
        assert_eq!(answer["data"], data, "{body}");
        assert_eq!(answer["meta"]["count"], json!(1), "{body}");
        assert_eq!(answer["meta"]["cached"], json!(false));
        assert_eq!(answer["meta"]["filtered"], json!(false));
        assert!(answer["meta"]["duration_ms"].is_number());
        tx(&answer);
    }
    let two = of(json!({ "query": format!("SELECT age FROM {t}:a; SELECT * FROM {t}:nobody") }));
    assert_eq!(two[0]["data"], json!([{ "id": "a", "age": 30 }]));
    assert_eq!((&two[1]["data"], &two[1]["meta"]["count"]), (&json!([]), &json!(0)));
    assert_eq!(two.as_array().unwrap().len(), 2);
}

#[test]
fn what_is_refused() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for (body, status, code, says) in [
        (json!({}), 400, "INVALID_ARGUMENT", "entity"),
        (json!({ &t: 1 }), 400, "INVALID_ARGUMENT", &*t),
        (json!({ &t: { "$foo": 1 } }), 400, "INVALID_ARGUMENT", "$foo"),
        (
            json!({ &t: { "$where": { "a": { "$regex": "x" } } } }),
            400,
            "INVALID_ARGUMENT",
            "$regex",
        ),
        (json!({ &t: { "$limit": -1 } }), 400, "INVALID_ARGUMENT", "$limit"),
        (json!({ &t: { "$limit": 10_001 } }), 400, "QUERY_TOO_COMPLEX", "10000"),
        (json!({ &t: { "$semantic": {} } }), 400, "INVALID_ARGUMENT", "vector search"),
        (
            json!({ "query": format!("SELECT * FROM {t} WHERE a = $x") }),
            400,
            "INVALID_ARGUMENT",
            "x",
        ),
        (json!({ "query": "CREATE person" }), 400, "INVALID_ARGUMENT", "CREATE"),
        (json!({ "_config": {} }), 403, "PERMISSION_DENIED", ""),
    ] {
        let answer = refused(who.post("/api/query", body.clone()), status, code);
        assert!(answer["message"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
    let mut deep = json!({});
    for _ in 0..13 {
        deep = json!({ "x": deep });
    }
    refused(who.post("/api/query", json!({ &t: deep })), 400, "QUERY_TOO_COMPLEX");
    refused(server.anonymous().post("/api/query", json!({ "?": 1 })), 401, "UNAUTHENTICATED");
}

/// 6.7: links, fields, and what points back.
#[test]
fn relations_are_followed() {
    let server = server();
    let (who, list, item) = (server.person(), entity(), entity());
    make(&who, &list, json!({ "id": "l1", "name": "A" }));
    make(&who, &item, json!({ "id": "i1", "listId": "l1" }));
    make(&who, &item, json!({ "id": "i2", "list": "l1" }));
    let body = json!({ &item: { "list": {} } });
    let answer = who.post("/api/query", body).is(200);
    assert_eq!(answer[&item][0]["list"], json!({ "id": "l1", "name": "A" }));
    assert_eq!(answer[&item][1]["list"], json!({ "id": "l1", "name": "A" }));
    let link = json!({ "ops": [{ "op": "link", "entity": &list, "id": "l1",
                                 "data": { "tags": ["i1", "i2"] } }] });
    let done = who.post("/api/mutate", link).is(200);
    assert_eq!(done["results"][0]["status"], "linked");
    let answer =
        who.post("/api/query", json!({ &list: { "tags": { "$select": ["id"] } } })).is(200);
    assert_eq!(ids(&answer[&list][0]["tags"]), ["i1", "i2"]);
}
