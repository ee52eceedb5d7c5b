//! `POST /api/mutate` and `/api/transact` (live 9).

use serde_json::{Value, json};

use crate::common::{call, server};
use crate::support::{entity, ids, make, named, refused, tx};

#[test]
fn the_example_of_the_protocol() {
    let server = server();
    let (who, t) = (server.person(), entity());
    make(&who, &t, json!({ "id": "b", "title": "B" }));
    make(&who, &t, json!({ "id": "c" }));
    let ops = json!([
        { "entity": &t, "id": "a", "op": "set", "data": { "title": "New", "done": false } },
        { "entity": &t, "id": "b", "op": "merge", "data": { "done": true } },
        { "entity": &t, "id": "c", "op": "delete" }
    ]);
    let done = who.post("/api/mutate", json!({ "ops": ops })).is(200);
    let tx = tx(&done);
    assert_eq!(
        done,
        json!({ "tx": tx, "results": [
            { "op": "set", "id": "a", "entity": &t, "status": "created",
              "data": { "id": "a", "title": "New", "done": false } },
            { "op": "merge", "id": "b", "entity": &t, "status": "updated",
              "data": { "id": "b", "title": "B", "done": true } },
            { "op": "delete", "id": "c", "entity": &t, "status": "deleted" } ],
            "txId": tx.to_string(), "tx_id": tx, "affected": 3, "entity_ids": ["a", "b", "c"] })
    );
}

#[test]
fn verbs_and_their_synonyms() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let one = |path: &str, list: &str, op: Value| {
        let done = who.post(path, json!({ list: [op] })).is(200);
        let result = &done["results"][0];
        (result["op"].clone(), result["status"].clone(), result["data"].clone())
    };
    let status = |verb: &str, status: &str| (json!(verb), json!(status));
    for (path, list, op, verb, expected, data) in [
        (
            "/api/mutate",
            "mutations",
            json!({ "op": "insert", "entity": &t, "data": { "id": "a", "v": 1 } }),
            "insert",
            "created",
            json!({ "id": "a", "v": 1 }),
        ),
        (
            "/api/transact",
            "ops",
            json!({ "kind": "merge", "type": &t, "id": "a", "data": { "w": 1 } }),
            "merge",
            "updated",
            json!({ "id": "a", "v": 1, "w": 1 }),
        ),
        (
            "/v1/apps/my-app/transact",
            "ops",
            json!({ "kind": "set", "collection": &t, "id": "a", "data": { "x": 1 } }),
            "set",
            "updated",
            json!({ "id": "a", "x": 1 }),
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "action": "update", "entity": &t, "id": "a", "data": { "y": 1 } }),
            "update",
            "updated",
            json!({ "id": "a", "x": 1, "y": 1 }),
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "op": "upsert", "entity": &t, "id": "b", "data": {} }),
            "upsert",
            "created",
            json!({ "id": "b" }),
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "op": "upsert", "entity": &t, "id": "b", "data": { "z": 1 } }),
            "upsert",
            "updated",
            json!({ "id": "b", "z": 1 }),
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "op": "retract", "entity": &t, "id": "b" }),
            "retract",
            "deleted",
            Value::Null,
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "op": "delete", "entity": &t, "id": "b" }),
            "delete",
            "noop",
            Value::Null,
        ),
        (
            "/api/mutate",
            "ops",
            json!({ "op": "create", "entity": &t, "id": "c", "data": {} }),
            "create",
            "created",
            json!({ "id": "c" }),
        ),
    ] {
        let (op_seen, status_seen, data_seen) = one(path, list, op.clone());
        assert_eq!((op_seen, status_seen), status(verb, expected), "{op}");
        assert_eq!(data_seen, data, "{op}");
    }
}

/// 22: nothing is done, no number is used, the place is told.
#[test]
fn all_or_nothing() {
    let server = server();
    let (who, t) = (server.person(), entity());
    make(&who, &t, json!({ "id": "there" }));
    for (bad, status, code, message) in [
        (
            json!({ "entity": &t, "id": "nope", "op": "merge", "data": { "a": 1 } }),
            404,
            "NOT_FOUND",
            "does not exist",
        ),
        (
            json!({ "entity": &t, "id": "there", "op": "insert", "data": {} }),
            409,
            "CONFLICT",
            "exists already",
        ),
        (
            json!({ "entity": &t, "id": "there", "op": "merge", "data": {}, "ifTx": 1 }),
            409,
            "CONFLICT",
            "transaction",
        ),
        (
            json!({ "entity": &t, "id": "there", "op": "set", "data": {}, "ifTx": 0 }),
            409,
            "CONFLICT",
            "exists already",
        ),
        (
            json!({ "entity": "_config", "id": "x", "op": "set", "data": {} }),
            403,
            "PERMISSION_DENIED",
            "not allowed",
        ),
        (
            json!({ "entity": &t, "id": "there", "op": "link", "target": { "entity": &t, "id": "nope" } }),
            404,
            "NOT_FOUND",
            "does not exist",
        ),
    ] {
        let first = json!({ "entity": &t, "id": "z", "op": "set", "data": {} });
        let body = refused(who.post("/api/mutate", json!({ "ops": [first, bad] })), status, code);
        assert_eq!(named(&body), ["ops[1]"], "{body}");
        let said = body["error"]["details"][0]["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        refused(who.get(&format!("/api/data/{t}/z")), 404, "NOT_FOUND");
    }
}

/// In a server of its own: a number that is not used shows only there.
#[test]
fn a_failed_transaction_uses_no_number() {
    let server = crate::common::Setup::new().start();
    let who = server.owner();
    let first = tx(&who.post("/api/data/t", json!({ "id": "a" })).is(201));
    refused(who.post("/api/data/t", json!({ "id": "a" })), 409, "CONFLICT");
    let ops = json!([{ "op": "set", "entity": "t", "id": "b", "data": {} },
                     { "op": "merge", "entity": "t", "id": "no", "data": {} }]);
    refused(who.post("/api/mutate", json!({ "ops": ops })), 404, "NOT_FOUND");
    refused(who.delete("/api/data/t/nobody"), 404, "NOT_FOUND");
    assert_eq!(tx(&who.post("/api/data/t", json!({ "id": "c" })).is(201)), first + 1);
    // A write without effect is one all the same.
    let noop = json!({ "ops": [{ "op": "delete", "entity": "t", "id": "nobody" }] });
    let done = who.post("/api/mutate", noop).is(200);
    assert_eq!((tx(&done), &done["affected"]), (first + 2, &json!(0)));
    assert_eq!(tx(&who.post("/api/query", json!({ "t": {} })).is(200)), first + 2);
}

#[test]
fn later_operations_see_earlier_ones() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let ops = json!([
        { "op": "link", "entity": &t, "id": "a", "target": { "entity": &t, "id": "b" } },
    ]);
    refused(who.post("/api/mutate", json!({ "ops": ops })), 404, "NOT_FOUND");
    let ops = json!([
        { "op": "set", "entity": &t, "id": "a", "data": { "n": 1 } },
        { "op": "link", "entity": &t, "id": "a", "target": { "entity": &t, "id": "b" } },
        { "op": "set", "entity": &t, "id": "b", "data": {} },
        { "op": "merge", "entity": &t, "id": "a", "data": { "m": 2 } },
        { "op": "set", "entity": &t, "id": "c", "data": {} },
        { "op": "delete", "entity": &t, "id": "c" }
    ]);
    let done = who.post("/api/mutate", json!({ "ops": ops })).is(200);
    assert_eq!(done["results"][0]["data"], json!({ "id": "a", "n": 1, "m": 2 }), "after the whole");
    assert!(done["results"][4].get("data").is_none());
    let linked = who.post("/api/query", json!({ &t: { &t: {}, "$where": { "n": 1 } } })).is(200);
    assert_eq!(ids(&linked[&t][0][&t]), ["b"]);
    let undo = json!({ "ops": [{ "op": "unlink", "entity": &t, "id": "a", "data": { &t: "b" } }] });
    assert_eq!(who.post("/api/mutate", undo).is(200)["results"][0]["status"], "unlinked");
}

#[test]
fn malformed_lists() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for (body, places) in [
        (json!({}), vec!["ops"]),
        (json!({ "ops": [] }), vec!["ops"]),
        (json!({ "ops": [{ "op": "explode", "entity": &t }] }), vec!["ops[0].op"]),
        (
            json!({ "ops": [{ "op": "set", "entity": &t, "data": {} }, { "op": "set", "data": {} }] }),
            vec!["ops[1].entity"],
        ),
        (json!({ "ops": [{ "op": "merge", "entity": &t, "data": {} }] }), vec!["ops[0].id"]),
        (
            json!({ "ops": vec![json!({ "op": "delete", "entity": &t, "id": "a" }); 1_001] }),
            vec!["ops"],
        ),
    ] {
        let body = refused(who.post("/api/mutate", body), 400, "INVALID_ARGUMENT");
        assert_eq!(named(&body), places);
    }
    let many: Vec<Value> = (0..1_000)
        .map(|n| json!({ "op": "insert", "entity": &t, "data": { "text": format!("{n} {}", "x".repeat(1_200)) } }))
        .collect();
    let done = who.post("/api/mutate", json!({ "ops": many })).is(200);
    assert_eq!(done["affected"], 1_000, "more than 1 MiB is fine here");
    refused(who.send(call("POST", "/api/mutate")), 400, "INVALID_ARGUMENT");
}

#[test]
fn answers_are_remembered_refusals_too() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let send = |ops: &Value| {
        let request = call("POST", "/api/transact").header("Idempotency-Key", "once");
        who.send(request.json(&json!({ "ops": ops })))
    };
    let ops = json!([{ "op": "merge", "entity": &t, "id": "a", "data": { "n": 1 } }]);
    let first = refused(send(&ops), 404, "NOT_FOUND");
    make(&who, &t, json!({ "id": "a" }));
    let again = send(&ops);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(refused(again, 404, "NOT_FOUND")["message"], first["message"]);
    refused(send(&json!([{ "op": "delete", "entity": &t, "id": "a" }])), 409, "CONFLICT");
}
