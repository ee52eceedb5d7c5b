//! Permission rules over HTTP (live 17). Each story has a server of its own: rules are one document.

use serde_json::{Value, json};

use crate::common::{Server, Setup};
use crate::support::{make, named, refused};

fn ruled(entities: Value) -> Server {
    let server = Setup::new().start();
    server.owner().put("/api/admin/rules", json!({ "version": 1, "entities": entities })).is(200);
    server
}

#[test]
fn the_document_is_kept() {
    let server = Setup::new().start();
    let owner = server.owner();
    assert_eq!(owner.get("/api/admin/rules").is(200), json!({}));
    let rules = json!({ "version": 1, "entities": { "todos": { "read": true } } });
    assert_eq!(owner.put("/api/admin/rules", rules.clone()).is(200), rules);
    let bad = json!({ "entities": { "todos": { "read": {}, "raed": true } }, "more": 1 });
    let body = refused(owner.put("/api/admin/rules", bad), 400, "INVALID_ARGUMENT");
    assert_eq!(named(&body), ["entities.todos.read", "entities.todos.raed", "more"]);
    assert_eq!(owner.get("/api/admin/rules").is(200), rules);
    // It is a record: it has versions, and is in force after a restart.
    let server = server.stop().start();
    let owner = server.owner();
    assert_eq!(owner.get("/api/admin/rules").is(200), rules);
    assert_eq!(server.anonymous().get("/api/data/todos").is(200)["total"], 0);
    refused(server.anonymous().get("/api/data/other"), 401, "UNAUTHENTICATED");
    let record = owner.get("/records/_rules").is(200);
    assert_eq!(record["content"]["document"], rules);
    owner
        .patch("/records/_rules", json!({ "content": { "document": { "entities": 7 } } }))
        .invalid(&["entities"]);
    owner
        .patch("/records/_rules", json!({ "content": { "document": { "entities": {} } } }))
        .is(200);
    refused(server.person().get("/api/data/todos"), 403, "PERMISSION_DENIED");
    owner.delete("/api/admin/rules").is(204);
    server.person().get("/api/data/todos").is(200);
    refused(server.anonymous().get("/api/data/todos"), 401, "UNAUTHENTICATED");
    owner.delete("/api/admin/rules").is(204);
    assert_eq!(owner.get("/api/admin/rules").is(200), json!({}));
    owner.put("/api/admin/rules", rules.clone()).is(200);
    assert_eq!(owner.get("/api/admin/rules").is(200), rules);
}

#[test]
fn rows_belong_to_somebody() {
    let own = json!({ "$where": { "userId": "$auth.userId" } });
    let server = ruled(json!({ "todos": {
        "read": { "any": [own, { "$where": { "public": true } }] }, "create": own, "update": own,
        "delete": { "role": "admin" } } }));
    let (ada, bob) = (server.person(), server.person());
    make(&ada, "todos", json!({ "id": "mine", "userId": ada.did }));
    make(&ada, "todos", json!({ "id": "shown", "userId": ada.did, "public": true }));
    refused(bob.post("/api/data/todos", json!({ "userId": ada.did })), 403, "PERMISSION_DENIED");
    let list = bob.get("/api/data/todos").is(200);
    assert_eq!((&list["total"], &list["data"][0]["id"]), (&json!(1), &json!("shown")));
    let query = bob.post("/api/query", json!({ "query": "SELECT * FROM todos" })).is(200);
    assert_eq!(query["meta"]["filtered"], true);
    // Invisible is missing; visible but not one's own is forbidden.
    refused(bob.get("/api/data/todos/mine"), 404, "NOT_FOUND");
    refused(bob.patch("/api/data/todos/mine", json!({})), 404, "NOT_FOUND");
    refused(bob.patch("/api/data/todos/shown", json!({})), 403, "PERMISSION_DENIED");
    // The rule also holds on what becomes of the row.
    refused(
        ada.patch("/api/data/todos/mine", json!({ "userId": bob.did })),
        403,
        "PERMISSION_DENIED",
    );
    refused(ada.delete("/api/data/todos/mine"), 403, "PERMISSION_DENIED");
    refused(ada.delete("/api/data/todos/nobody"), 403, "PERMISSION_DENIED");
    refused(ada.delete("/api/data/todos"), 403, "PERMISSION_DENIED");
    refused(ada.get("/api/data/other"), 403, "PERMISSION_DENIED");
    server.owner().delete("/api/data/todos/mine").is(204);
    // A precondition does not tell when an invisible row changed.
    let ops = json!({ "ops": [{ "op": "merge", "entity": "todos", "id": "nobody", "data": {}, "ifTx": 1 }] });
    refused(bob.post("/api/mutate", ops), 404, "NOT_FOUND");
}

#[test]
fn fields_are_hidden_everywhere() {
    let server = ruled(json!({ "people": {
        "read": { "allow": true, "fields": { "ssn": false, "email": { "$where": { "id": "$auth.userId" } } } },
        "create": { "auth": true }, "update": { "auth": true } } }));
    let who = server.person();
    let made =
        who.post("/api/data/people", json!({ "id": "x", "ssn": 1, "email": "e", "n": 1 })).is(201);
    assert_eq!(made["data"], json!({ "id": "x", "n": 1 }));
    assert!(made.get("ssn").is_none());
    assert_eq!(who.get("/api/data/people/x").is(200)["data"], made["data"]);
    assert_eq!(
        who.patch("/api/data/people/x", json!({ "n": 2 })).is(200)["data"],
        json!({ "id": "x", "n": 2 })
    );
    let done = who
        .post(
            "/api/mutate",
            json!({ "ops": [{ "op": "merge", "entity": "people", "id": "x", "data": {} }] }),
        )
        .is(200);
    assert_eq!(done["results"][0]["data"], json!({ "id": "x", "n": 2 }));
    let body = refused(
        who.post("/api/query", json!({ "people": { "$where": { "ssn": 1 } } })),
        403,
        "PERMISSION_DENIED",
    );
    assert_eq!(body["message"], "You do not have read access to people.ssn");
    let all = server.anonymous().get("/api/data/people").is(200);
    assert_eq!(all["data"], json!([{ "id": "x", "n": 2 }]));
    assert_eq!(server.owner().get("/api/data/people/x").is(200)["ssn"], 1);
    refused(server.anonymous().patch("/api/data/people/x", json!({})), 401, "UNAUTHENTICATED");
    refused(server.anonymous().patch("/api/data/people/nobody", json!({})), 401, "UNAUTHENTICATED");
}

#[test]
fn without_rules_the_setting_decides_over_strangers() {
    let server = Setup::new().env("CAIRN_ANONYMOUS", "read").start();
    make(&server.owner(), "todos", json!({ "id": "a" }));
    let nobody = server.anonymous();
    nobody.get("/api/data/todos/a").is(200);
    refused(nobody.get("/api/data/users"), 401, "UNAUTHENTICATED");
    refused(nobody.post("/api/data/todos", json!({})), 401, "UNAUTHENTICATED");
    refused(nobody.delete("/api/data/todos"), 401, "UNAUTHENTICATED");
    refused(
        nobody.post(
            "/api/mutate",
            json!({ "ops": [{ "op": "delete", "entity": "todos", "id": "no" }] }),
        ),
        401,
        "UNAUTHENTICATED",
    );
    refused(server.with_token("stale", "").get("/api/data/todos/a"), 401, "UNAUTHENTICATED");
    let server = server.stop().env("CAIRN_ANONYMOUS", "full").start();
    server.anonymous().post("/api/data/todos", json!({ "id": "b" })).is(201);
    let rules = json!({ "entities": { "todos": { "read": { "auth": true } } } });
    server.owner().put("/api/admin/rules", rules).is(200);
    refused(server.anonymous().get("/api/data/todos/b"), 401, "UNAUTHENTICATED");
}

/// The stack's own records are the owner's here too.
#[test]
fn rules_do_not_reach_types_made_elsewhere() {
    let server = Setup::new().start();
    let who = server.person();
    let type_id = server.new_type("note", json!({ "text": { "kind": "string" } }));
    server.owner().make(&type_id, json!({ "text": "secret" }));
    for path in ["_user", "_function", "_grant"] {
        let reply = who.get(&format!("/api/data/{path}"));
        assert!(reply.status == 403 || reply.json()["total"] == 0, "{reply}");
    }
    who.create(json!({ "typeId": "_function@1", "content": { "name": "f", "definition": {} } }))
        .denied();
}
