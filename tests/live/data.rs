//! `/api/data/*` (live 8).

use serde_json::{Value, json};

use crate::common::{Setup, call, encode, server};
use crate::support::{entity, ids, make, named, refused, tx};

#[test]
fn a_record_lives() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let made = who.post(&format!("/api/data/{t}"), json!({ "title": "a", "n": null })).is(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(id.len(), 12);
    assert_eq!(made["data"], json!({ "id": id, "title": "a", "n": null }));
    assert_eq!((&made["entity"], &made["title"]), (&json!(t), &json!("a")));
    let address = format!("/api/data/{t}/{id}");
    let reply = who.get(&address);
    assert_eq!(reply.header("etag"), Some(&*format!("\"{}\"", tx(&made))));
    assert_eq!(reply.is(200)["data"], made["data"]);

    let changed = who.patch(&address, json!({ "n": 1 })).is(200);
    assert_eq!(changed["data"], json!({ "id": id, "title": "a", "n": 1 }), "the whole record");
    assert!(tx(&changed) > tx(&made));
    let by_post = who.post(&address, json!({ "n": null })).is(200);
    assert_eq!(by_post["data"]["n"], Value::Null);
    let put = who.put(&address, json!({ "only": true })).is(200);
    assert_eq!(put["data"], json!({ "id": id, "only": true }));
    assert_eq!(who.patch(&address, json!({})).is(200)["data"], put["data"]);

    who.delete(&address).is(204);
    for reply in [who.get(&address), who.delete(&address), who.patch(&address, json!({ "a": 1 }))] {
        let body = refused(reply, 404, "NOT_FOUND");
        assert_eq!(body["message"], json!(format!("{t}/{id} does not exist")));
    }
    assert_eq!(who.put(&address, json!({ "new": 1 })).is(200)["data"]["new"], 1);
}

/// Libraries take the body for the record; the envelope's own keys win.
#[test]
fn fields_are_spread_but_never_over_the_envelope() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let fields =
        json!({ "id": "x", "data": 1, "tx": 2, "entity": 3, "error": 4, "message": 5, "name": 6 });
    make(&who, &t, fields.clone());
    let body = who.get(&format!("/api/data/{t}/x")).is(200);
    assert_eq!(body["data"], fields);
    assert_eq!((&body["name"], &body["entity"]), (&json!(6), &json!(t)));
    assert!(body.get("error").is_none() && body.get("message").is_none());
}

#[test]
fn ids_are_the_clients_business() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for id in ["darsh", "user-123", "a.b:c@d~e", "01890b2e-7a1c-7000-8000-000000000000", "_x"] {
        assert_eq!(make(&who, &t, json!({ "id": id, "v": 1 })), id);
        let taken = who.post(&format!("/api/data/{t}"), json!({ "id": id }));
        refused(taken, 409, "CONFLICT");
        let address = format!("/api/data/{t}/{}", encode(id));
        assert_eq!(who.get(&address).is(200)["id"], *id);
        who.delete(&address).is(204);
        make(&who, &t, json!({ "id": id, "v": 2 }));
    }
    for bad in ["a%2Fb", "%20", "-a", "ä", "a%00"] {
        let body = refused(
            who.get(&format!("/api/data/{t}/{}", bad.replace('ä', "%C3%A4"))),
            400,
            "INVALID_ARGUMENT",
        );
        assert_eq!(named(&body), ["id"], "{bad}");
    }
    let long = "a".repeat(129);
    refused(who.get(&format!("/api/data/{t}/{long}")), 400, "INVALID_ARGUMENT");
    for bad in ["tx", "9a", "a%20b", "a.b"] {
        refused(who.get(&format!("/api/data/{bad}")), 400, "INVALID_ARGUMENT");
        refused(who.post(&format!("/api/data/{bad}"), json!({})), 400, "INVALID_ARGUMENT");
    }
    let other = who.patch(&format!("/api/data/{t}/darsh"), json!({ "id": "else" }));
    assert_eq!(named(&refused(other, 400, "INVALID_ARGUMENT")), ["id"]);
    let field = who.post(&format!("/api/data/{t}"), json!({ "$x": 1 }));
    assert_eq!(named(&refused(field, 400, "INVALID_ARGUMENT")), ["$x"]);
    refused(who.post("/api/data/_config", json!({})), 403, "PERMISSION_DENIED");
    refused(who.get("/api/data/_config"), 403, "PERMISSION_DENIED");
}

#[test]
fn lists_are_paged() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let names: Vec<String> = (0..7).map(|n| format!("r{n}")).collect();
    let ops: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, id)| json!({ "op": "set", "entity": &t, "id": id, "data": { "n": n % 3 } }))
        .collect();
    who.post("/api/mutate", json!({ "ops": ops })).is(200);
    let list = |query: &str| who.get(&format!("/api/data/{t}{query}")).is(200);

    let all = list("");
    assert_eq!(ids(&all["data"]), names);
    assert_eq!(
        (&all["total"], &all["hasMore"], &all["cursor"]),
        (&json!(7), &json!(false), &Value::Null)
    );
    let page = list("?limit=3&offset=2");
    assert_eq!(ids(&page["data"]), ["r2", "r3", "r4"]);
    assert_eq!(
        (&page["total"], &page["hasMore"], &page["has_more"]),
        (&json!(7), &json!(true), &json!(true))
    );

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(&format!("?limit=3{cursor}"));
        assert_eq!(page["total"], json!(7));
        seen.extend(ids(&page["data"]).into_iter().map(str::to_owned));
        match page["cursor"].as_str() {
            Some(text) => cursor = format!("&cursor={}", encode(text)),
            None => break,
        }
    }
    assert_eq!(seen, names);
    let ordered = list("?order=n:desc&order=id&limit=4");
    assert_eq!(ids(&ordered["data"]), ["r2", "r5", "r1", "r4"]);
    let next = encode(ordered["cursor"].as_str().unwrap());
    assert_eq!(
        ids(&list(&format!("?order=n:desc&order=id&limit=4&cursor={next}"))["data"]),
        ["r0", "r3", "r6"]
    );
    let filter = encode(r#"{"n":{"$in":[1,2]}}"#);
    assert_eq!(list(&format!("?where={filter}"))["total"], json!(4));
    assert_eq!(ids(&list("?limit=0")["data"]).len(), 1, "clamped");
    assert_eq!(ids(&list("?limit=99999&other=x")["data"]).len(), 7);
    assert_eq!(list(&format!("?offset={}", u64::MAX))["data"], json!([]));

    for bad in
        ["limit=x", "offset=-1", "cursor=%21", "where=%7B", "where=5", "order=n:up", "limit=1.5"]
    {
        refused(who.get(&format!("/api/data/{t}?{bad}")), 400, "INVALID_ARGUMENT");
    }
    // A record deleted between two pages takes no other out of sight.
    let first = list("?limit=2");
    who.delete(&format!("/api/data/{t}/r0")).is(204);
    let rest = list(&format!("?limit=10&cursor={}", encode(first["cursor"].as_str().unwrap())));
    assert_eq!(ids(&rest["data"]), ["r2", "r3", "r4", "r5", "r6"]);
}

#[test]
fn preconditions_name_a_transaction() {
    let server = server();
    let (who, t) = (server.person(), entity());
    make(&who, &t, json!({ "id": "a" }));
    let address = format!("/api/data/{t}/a");
    let seen = who.patch(&address, json!({ "n": 1 })).is(200);
    let with = |method, tag: &str| {
        who.send(call(method, &address).header("If-Match", tag).json(&json!({ "n": 2 })))
    };
    refused(with("PATCH", "\"1\""), 409, "CONFLICT");
    refused(with("PATCH", "\"x\""), 400, "INVALID_ARGUMENT");
    let reply = with("PATCH", &format!("\"{}\"", tx(&seen)));
    let tag = reply.header("etag").unwrap().to_owned();
    reply.is(200);
    refused(with("DELETE", &format!("\"{}\"", tx(&seen))), 409, "CONFLICT");
    with("PUT", &tag).is(200);
    let gone = call("PATCH", &format!("/api/data/{t}/nobody")).header("If-Match", "\"1\"");
    refused(who.send(gone.json(&json!({}))), 404, "NOT_FOUND");
}

/// The short-form libraries' `delete("users")`.
#[test]
fn a_collection_is_emptied() {
    let server = server();
    let (who, t) = (server.person(), entity());
    for n in 0..3 {
        make(&who, &t, json!({ "n": n }));
    }
    who.delete(&format!("/api/data/{t}")).is(204);
    assert_eq!(who.get(&format!("/api/data/{t}")).is(200)["total"], 0);
    who.delete(&format!("/api/data/{t}")).is(204);
    refused(who.delete("/api/data/users"), 403, "PERMISSION_DENIED");
}

#[test]
fn bodies_that_are_no_record() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let address = format!("/api/data/{t}");
    for body in ["", " ", "[]", "1", "{", "{\"a\":1}x", "\u{feff}{}"] {
        refused(who.send(call("POST", &address).bytes(body.as_bytes())), 400, "INVALID_ARGUMENT");
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    refused(who.send(call("POST", &address).bytes(large.as_bytes())), 413, "PAYLOAD_TOO_LARGE");
    assert_eq!(who.get(&address).is(200)["total"], 0);
    // Whatever the type says, or nothing.
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", ""]
    {
        let mut request = call("POST", &address).bytes(b"{\"a\":1}");
        if !media.is_empty() {
            request = request.header("Content-Type", media);
        }
        who.send(request).is(201);
    }
}

#[test]
fn a_create_sent_twice_happens_once() {
    let server = server();
    let (who, other, t) = (server.person(), server.person(), entity());
    let send = |who: &crate::common::Who, body: Value| {
        let request = call("POST", &format!("/api/data/{t}")).header("Idempotency-Key", "k-1");
        who.send(request.json(&body))
    };
    let first = send(&who, json!({ "a": 1 }));
    assert_eq!(first.header("idempotency-replayed"), None);
    let first = first.is(201);
    let again = send(&who, json!({ "a": 1 }));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.is(201), first);
    refused(send(&who, json!({ "a": 2 })), 409, "CONFLICT");
    send(&other, json!({ "a": 2 })).is(201);
    assert_eq!(who.get(&format!("/api/data/{t}")).is(200)["total"], 2);
    for key in ["", &"k".repeat(129)] {
        let request = call("POST", &format!("/api/data/{t}")).header("Idempotency-Key", key);
        refused(who.send(request.json(&json!({}))), 400, "INVALID_ARGUMENT");
    }
}

/// 5.4: accounts have every field of a profile; what an administrator puts beside them is shown as it is (transcript of 22).
#[test]
fn users_are_profiles_and_plain_records() {
    let server = Setup::new().env("CAIRN_SIGNUP", "open").start();
    let form = json!({ "email": "u@example.com", "password": "quartz-lantern-7" });
    let made = server.anonymous().post("/api/auth/signup", form).is(201);
    let id = made["user"]["id"].as_str().unwrap();
    server.owner().post("/api/data/users", json!({ "id": "darsh", "name": "D" })).is(201);
    let all = server.owner().post("/api/query", json!({ "users": {} })).is(200);
    assert_eq!(
        all["users"],
        json!([
            { "id": id, "email": "u@example.com", "role": "editor", "displayName": null,
              "avatarUrl": null, "metadata": {}, "createdAt": made["user"]["createdAt"] },
            { "id": "darsh", "name": "D" }
        ])
    );
    let one = server.owner().get(&format!("/api/data/users/{id}")).is(200);
    assert_eq!(one["data"], all["users"][0]);
    let rules = json!({ "version": 1, "entities": { "users": { "read": {
        "allow": true, "fields": { "metadata": false, "avatarUrl": { "role": "admin" } } } } } });
    server.owner().put("/api/admin/rules", rules).is(200);
    let seen = server.person().get(&format!("/api/data/users/{id}")).is(200);
    let names: Vec<&String> = seen["data"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["id", "email", "role", "displayName", "createdAt"]);
}
