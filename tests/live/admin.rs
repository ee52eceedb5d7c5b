//! `/api/admin/*` (live 16).

use serde_json::{Value, json};

use crate::common::{Setup, call};
use crate::support::{make, refused};

#[test]
fn health_and_figures() {
    let server = Setup::new().start();
    let (owner, who) = (server.owner(), server.person());
    let health = server.anonymous().get("/api/admin/health").is(200);
    assert_eq!((&health["status"], &health["postgres"]), (&json!("healthy"), &json!("connected")));
    assert_eq!(
        (&health["protocolVersion"], &health["connections"]),
        (&json!(1), &json!({ "websocket": 0, "http": 1 }))
    );
    assert!(health["uptime"].is_u64());

    let stats = || owner.get("/api/admin/stats").is(200);
    let before = stats();
    assert_eq!(before["queries"], json!({ "total": 0, "perSecond": 0.0, "avgLatencyMs": 0.0 }));
    make(&who, "todos", json!({ "id": "a" }));
    who.patch("/api/data/todos/a", json!({ "n": 1 })).is(200);
    refused(who.post("/api/data/todos", json!({ "id": "a" })), 409, "CONFLICT");
    who.get("/api/data/todos").is(200);
    who.get("/api/data/todos/a").is(200);
    who.post("/api/query", json!({ "todos": {} })).is(200);
    let after = stats();
    assert_eq!((&after["queries"]["total"], &after["mutations"]["total"]), (&json!(3), &json!(2)));
    assert!(after["queries"]["perSecond"].as_f64().unwrap() > 0.0);
    assert!(after["mutations"]["avgLatencyMs"].as_f64().unwrap() > 0.0);
    assert_eq!(after["subscriptions"], json!({ "active": 0 }));
    assert_eq!(
        after["users"],
        json!({ "total": 0, "activeToday": 0 }),
        "issued tokens are no accounts"
    );
    owner.upload("text/plain", b"twelve bytes");
    assert_eq!(stats()["storage"], json!({ "totalFiles": 1, "totalBytes": 12 }));
}

#[test]
fn what_entities_hold() {
    let server = Setup::new().start();
    let (owner, who) = (server.owner(), server.person());
    assert_eq!(owner.get("/api/admin/schema").is(200), json!({ "entities": [] }));
    make(&who, "lists", json!({ "id": "l1", "name": "A" }));
    make(
        &who,
        "todos",
        json!({ "id": "a", "title": "x", "listId": "l1", "n": 1, "m": 1, "parent": null, "o": {} }),
    );
    make(
        &who,
        "todos",
        json!({ "id": "b", "title": "l1", "listId": "gone", "m": "x", "n": null, "parent": "a" }),
    );
    make(&who, "gone", json!({ "id": "g" }));
    who.delete("/api/data/gone").is(204);
    let link = json!({ "ops": [{ "op": "link", "entity": "lists", "id": "l1", "data": { "tags": ["a", "b"] } }] });
    who.post("/api/mutate", link).is(200);
    server.register("com.example/note@1", json!({ "text": { "kind": "string" } }));
    let schema = owner.get("/api/admin/schema").is(200);
    let attribute =
        |name: &str, kind: &str, count: u32| json!({ "name": name, "type": kind, "count": count });
    let relation = |name: &str, target: &str, count: u32| json!({ "name": name, "target": target, "count": count });
    assert_eq!(
        schema,
        json!({ "entities": [
            { "name": "com.example/note", "count": 0, "attributes": [], "relations": [] },
            { "name": "lists", "count": 1, "attributes": [attribute("name", "string", 1)],
              "relations": [relation("tags", "todos", 1)] },
            { "name": "todos", "count": 2,
              "attributes": [attribute("m", "mixed", 2), attribute("n", "number", 2),
                             attribute("o", "object", 1), attribute("parent", "string", 2)],
              "relations": [relation("listId", "lists", 2), relation("title", "lists", 2)] } ] })
    );
}

#[test]
fn administration_is_for_administrators() {
    let server = Setup::new().start();
    for (method, path) in [
        ("GET", "stats"),
        ("GET", "schema"),
        ("GET", "sessions"),
        ("GET", "rules"),
        ("PUT", "rules"),
        ("DELETE", "rules"),
    ] {
        let request = call(method, &format!("/api/admin/{path}"));
        refused(server.anonymous().send(request.clone()), 401, "UNAUTHENTICATED");
        refused(server.person().send(request.clone()), 403, "PERMISSION_DENIED");
        // "alg": "none", "role": "admin"
        let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9.";
        refused(server.with_token(forged, "").send(request), 401, "UNAUTHENTICATED");
    }
    let me = server.owner().get("/api/auth/me").is(200);
    assert_eq!((&me["id"], &me["role"]), (&json!("admin"), &json!("admin")));
    let by_key = call("GET", "/api/admin/stats").header("X-Api-Key", crate::common::OWNER_TOKEN);
    server.anonymous().send(by_key).is(200);
}

#[test]
fn sessions_of_everybody() {
    let server = Setup::new().env("CAIRN_SIGNUP", "open").start();
    let body = json!({ "email": "a@example.com", "password": "correct horse battery" });
    let session = server.anonymous().post("/api/auth/signup", body).is(201);
    let list = server.owner().get("/api/admin/sessions").is(200);
    assert_eq!(
        (&list["count"], &list["sessions"][0]["userId"]),
        (&json!(1), &session["user"]["id"])
    );
    let user = server.with_token(session["accessToken"].as_str().unwrap(), "");
    refused(user.get("/api/admin/sessions"), 403, "PERMISSION_DENIED");
    let users = server.owner().get("/api/admin/stats").is(200)["users"].clone();
    assert_eq!(users, json!({ "total": 1, "activeToday": 1 }));
    let profile = user.get("/api/data/users").is(200);
    assert_eq!(profile["data"][0]["id"], session["user"]["id"]);
    assert_eq!(profile["data"][0]["claims"], Value::Null);
}

/// 16.5: what administration addresses there are is for administrators to know.
#[test]
fn unknown_addresses_are_unknown_to_administrators_only() {
    let server = Setup::new().start();
    for path in ["/api/admin/nothing", "/api/admin/stats/more", "/api/admin/functions2"] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let ask = |who: crate::common::Who| who.send(call(method, path));
            refused(ask(server.anonymous()), 401, "UNAUTHENTICATED");
            refused(ask(server.person()), 403, "PERMISSION_DENIED");
            refused(ask(server.owner()), 404, "NOT_FOUND");
        }
    }
    let wrong = server.owner().send(call("POST", "/api/admin/stats"));
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS"));
    refused(wrong, 405, "INVALID_ARGUMENT");
    let document = server.owner().get("/api/openapi.json").is(200);
    let listed = document["paths"].as_object().unwrap().keys();
    assert!(!listed.into_iter().any(|path| path.contains("/api/admin/{path}")));
}
