//! `POST /api/fn/{name}` and its administration (live 10).

use serde_json::{Value, json};

use crate::common::{Who, call, encode, next, server};
use crate::support::{entity, ids, named, refused, tx};

fn store(owner: &Who, definition: Value) -> String {
    let name = format!("lib/f{}", next());
    owner.put(&format!("/api/admin/functions/{name}"), definition).is(200);
    name
}

#[test]
fn the_example_of_the_protocol() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let name = store(
        &server.owner(),
        json!({
        "kind": "mutation",
        "args": { "title": { "type": "string", "min": 1, "max": 500 }, "listId": { "type": "id" } },
        "auth": true,
        "ops": [
            { "op": "insert", "entity": &t, "id": "$id.todo", "data": { "title": "$args.title",
              "listId": "$args.listId", "done": false, "userId": "$auth.userId", "at": "$now" } },
            { "op": "set", "entity": &t, "id": "last", "data": { "todo": "$id.todo" } } ],
        "result": "$id.todo" }),
    );
    let done =
        who.post(&format!("/api/fn/{name}"), json!({ "title": "Milk", "listId": "l1" })).is(200);
    let id = done["result"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    let made = who.get(&format!("/api/data/{t}/{id}"));
    assert_eq!(made.header("etag"), Some(&*format!("\"{}\"", tx(&done))));
    let made = made.is(200);
    assert_eq!((&made["title"], &made["userId"]), (&json!("Milk"), &json!(who.did)));
    assert!(made["at"].is_i64());
    assert_eq!(who.get(&format!("/api/data/{t}/last")).is(200)["todo"], json!(id));
    // The name may come percent-encoded, and below the application client's address.
    let body = json!({ "title": "x", "listId": "l" });
    who.post(&format!("/v1/apps/a/fn/{}", encode(&name)), body).is(200);

    for (args, places) in [
        (json!({}), vec!["title", "listId"]),
        (json!({ "title": "", "listId": "a b" }), vec!["title", "listId"]),
        (json!({ "title": "x", "listId": "l", "more": 1 }), vec!["more"]),
    ] {
        let body = refused(who.post(&format!("/api/fn/{name}"), args), 400, "INVALID_ARGUMENT");
        assert_eq!(body["message"], "Validation failed");
        assert_eq!(named(&body), places);
    }
    refused(
        who.send(call("POST", &format!("/api/fn/{name}")).bytes(b"[]")),
        400,
        "INVALID_ARGUMENT",
    );
    refused(who.post("/api/fn/nothing", json!({})), 404, "NOT_FOUND");
    refused(who.post("/api/fn/not%20a%20name", json!({})), 404, "NOT_FOUND");
    refused(server.anonymous().post(&format!("/api/fn/{name}"), json!({})), 401, "UNAUTHENTICATED");
}

#[test]
fn queries_and_results() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for n in 0..3 {
        who.post(&format!("/api/data/{t}"), json!({ "id": format!("r{n}"), "n": n })).is(201);
    }
    let plain = store(
        &server.owner(),
        json!({ "kind": "query",
        "args": { "min": { "type": "number", "optional": true } },
        "query": { &t: { "$where": { "n": { "$gte": "$args.min" } } } } }),
    );
    let found = who.post(&format!("/api/fn/{plain}"), json!({ "min": 1 })).is(200);
    assert_eq!(ids(&found["result"][&t]), ["r1", "r2"]);
    tx(&found);
    // An empty body is no arguments, whatever its type says; a placeholder without a value matches nothing.
    let request =
        call("POST", &format!("/api/fn/{plain}")).header("Content-Type", "application/json");
    assert_eq!(who.send(request.bytes(b"")).is(200)["result"][&t], json!([]));
    let shaped = store(
        &server.owner(),
        json!({ "kind": "query", "query": { "collection": &t },
        "result": { "first": "$result.0.id" } }),
    );
    assert_eq!(
        who.post(&format!("/api/fn/{shaped}"), json!({})).is(200)["result"],
        json!({ "first": "r0" })
    );
}

#[test]
fn a_mutation_is_one_transaction_and_may_be_sent_twice() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let name = store(
        &server.owner(),
        json!({ "kind": "mutation",
        "args": { "id": { "type": "id" } },
        "ops": [ { "op": "insert", "entity": &t, "data": {} },
                 { "op": "merge", "entity": &t, "id": "$args.id", "data": { "seen": true } } ] }),
    );
    let body =
        refused(who.post(&format!("/api/fn/{name}"), json!({ "id": "no" })), 404, "NOT_FOUND");
    assert_eq!(named(&body), ["ops[1]"]);
    assert_eq!(who.get(&format!("/api/data/{t}")).is(200)["total"], 0);
    who.post(&format!("/api/data/{t}"), json!({ "id": "a" })).is(201);
    let send = || {
        let request = call("POST", &format!("/api/fn/{name}")).header("Idempotency-Key", "f");
        who.send(request.json(&json!({ "id": "a" })))
    };
    let first = send().is(200);
    assert_eq!(first["result"][1]["status"], "updated", "without a result: what was done");
    let again = send();
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.is(200), first);
    assert_eq!(who.get(&format!("/api/data/{t}")).is(200)["total"], 2);
}

#[test]
fn administration() {
    let server = crate::common::Setup::new().start();
    let (owner, who) = (server.owner(), server.person());
    let definition = json!({ "kind": "query", "query": { "t": {} } });
    assert_eq!(owner.get("/api/admin/functions").is(200), json!({ "functions": [], "count": 0 }));
    let stored = owner.put("/api/admin/functions/b", definition.clone()).is(200);
    assert_eq!(stored["name"], "b");
    owner
        .put(
            "/api/admin/functions/a",
            json!({ "kind": "query", "query": { "t": {} }, "internal": true }),
        )
        .is(200);
    let list = owner.get("/api/admin/functions").is(200);
    assert_eq!((&list["count"], &list["functions"][0]["name"]), (&json!(2), &json!("a")));
    assert_eq!(
        (&list["functions"][1]["kind"], &list["functions"][1]["args"]),
        (&json!("query"), &json!({}))
    );
    refused(who.post("/api/fn/a", json!({})), 404, "NOT_FOUND");
    refused(owner.post("/api/fn/a", json!({})), 404, "NOT_FOUND");
    who.post("/api/fn/b", json!({})).is(200);
    let body = refused(
        owner.put("/api/admin/functions/c", json!({ "kind": "code" })),
        400,
        "INVALID_ARGUMENT",
    );
    assert_eq!(named(&body), ["kind"]);
    for reply in [
        who.get("/api/admin/functions"),
        who.put("/api/admin/functions/b", definition.clone()),
        who.delete("/api/admin/functions/b"),
    ] {
        refused(reply, 403, "PERMISSION_DENIED");
    }
    refused(server.anonymous().get("/api/admin/functions"), 401, "UNAUTHENTICATED");
    owner.delete("/api/admin/functions/b").is(204);
    refused(owner.delete("/api/admin/functions/b"), 404, "NOT_FOUND");
    refused(who.post("/api/fn/b", json!({})), 404, "NOT_FOUND");
    owner.put("/api/admin/functions/b", definition).is(200);
    // Too deep for a caller is too deep for a function, but it is the function's fault.
    owner.put("/api/admin/functions/many", json!({ "kind": "query",
        "args": { "list": { "type": "any" } }, "query": { "t": { "$where": { "a": { "$in": "$args.list" } } } } })).is(200);
    let long: Vec<u32> = (0..1_001).collect();
    refused(who.post("/api/fn/many", json!({ "list": long })), 400, "RESOURCE_EXCEEDED");
    // They outlive the process.
    let server = server.stop().start();
    server.owner().post("/api/fn/b", json!({})).is(200);
}
