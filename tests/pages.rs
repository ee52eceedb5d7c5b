//! What the admin pages ask for beside the protocols: `/_/…` over a real socket on a real file.
//!
//! Invariants
//! P1. Each story has a server of its own: figures and settings are those of one process.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{OWNER_TOKEN, Setup, text};
use serde_json::{Value, json};

const TYPE: &str = "com.example/note@1";

fn list<'a>(body: &'a Value, name: &str) -> &'a [Value] {
    body[name].as_array().unwrap_or_else(|| panic!("no {name} in {body}"))
}

#[test]
fn settings_say_where_they_come_from_and_hide_secrets() {
    let server = Setup::new().env("CAIRN_OWNER_NAME", "Ada").start();
    let body = server.owner().get("/_/settings").is(200);
    let setting = |key: &str| list(&body, "settings").iter().find(|one| one["key"] == key).unwrap();
    let name = setting("owner_name");
    assert_eq!((&name["value"], &name["origin"]), (&json!("\"Ada\""), &json!("environment")));
    assert_eq!(setting("no_rate_limit")["origin"], "flag");
    assert_eq!(setting("durability")["origin"], "default");
    assert_eq!(setting("owner_token")["value"], json!("\"***\""));
    assert!(!body.to_string().contains(OWNER_TOKEN));
    for key in ["key", "value", "origin", "about", "variable", "flag"] {
        assert!(name.get(key).is_some(), "{key}");
    }
    assert_eq!(setting("listen")["flag"], "--listen");
    assert_eq!(body["owner"], json!(server.owner_did()));
    server.person().get("/_/settings").fails(403, "permission");
    server.anonymous().get("/_/settings").fails(401, "unauthorized");
}

#[test]
fn requests_and_figures_are_kept_without_secrets() {
    let server = Setup::new().start();
    let owner = server.owner();
    server.anonymous().get("/records/nothing-here?secret=hush").fails(404, "not_found");
    owner.post("/api/data/todos", json!({ "title": "a" })).is(201);
    let body = owner.get("/_/requests").is(200);
    let all = list(&body, "requests");
    assert_eq!(all[0]["path"], "/api/data/todos");
    assert_eq!((&all[0]["method"], &all[0]["status"]), (&json!("POST"), &json!(201)));
    assert_eq!(
        (&all[1]["path"], &all[1]["status"]),
        (&json!("/records/nothing-here"), &json!(404))
    );
    assert!(!body.to_string().contains("hush"));
    assert_eq!(list(&owner.get("/_/requests?limit=1").is(200), "requests").len(), 1);
    for bad in ["limit=0", "limit=1001", "slow=maybe"] {
        owner.get(&format!("/_/requests?{bad}")).fails(400, "bad_request");
    }
    owner.get("/_/requests?slow=true").is(200);
    let figures = owner.get("/_/metrics").is(200);
    let last = list(&figures, "samples").last().unwrap();
    assert!(last["requests"].as_u64().unwrap() >= 3, "{last}");
    assert!(last["writes"].as_i64().unwrap() >= 1, "{last}");
    assert!(last["refused"].as_u64().unwrap() >= 1, "{last}");
    server.person().get("/_/metrics").fails(403, "permission");
    server.person().get("/_/requests").fails(403, "permission");
}

#[test]
fn the_doctor_says_what_deserves_a_look() {
    let server = Setup::new().start();
    let owner = server.owner();
    let advice = |owner: &common::Who| owner.get("/_/doctor").is(200)["advice"].to_string();
    assert!(advice(&owner).contains("no rules document"));
    owner.put("/api/admin/rules", json!({ "version": 1, "entities": {} })).is(200);
    assert!(!advice(&owner).contains("no rules document"));
    assert!(!advice(&owner).contains("token"));
    owner.post("/tokens", json!({})).is(201);
    assert!(advice(&owner).contains("1 token has no end"));
    server.person().get("/_/doctor").fails(403, "permission");
}

#[test]
fn a_type_is_checked_before_it_is_registered() {
    let server = Setup::new().start();
    let owner = server.owner();
    server.register(TYPE, json!({ "title": { "kind": "string" } }));
    for content in [json!({ "title": "a" }), json!({ "title": "a", "n": "x" }), json!({})] {
        owner.make(TYPE, content);
    }
    let gone = owner.make(TYPE, json!({}));
    owner.delete(&format!("/records/{}", text(&gone["id"]))).is(204);
    let check = |id: &str, schema: Value| {
        owner.post("/_/types/check", json!({ "id": id, "schema": schema })).is(200)
    };
    let wider = json!({ "title": { "kind": "string", "required": true, "unique": true, "indexed": true },
                        "n": { "kind": "number" } });
    let found = check(TYPE, wider.clone());
    assert_eq!(
        (&found["exists"], &found["records"], &found["failing"]),
        (&json!(true), &json!(3), &json!(2))
    );
    assert_eq!(found["duplicates"], json!(["title"]));
    assert_eq!(found["indexesMade"], json!(["title"]));
    assert_eq!(list(&found, "examples")[0]["faults"][0]["path"], "n");
    assert!(!list(&found, "drift").is_empty());
    // Nothing was done.
    let id = "com.example%2Fnote%401";
    assert_eq!(
        owner.get(&format!("/types/{id}")).is(200)["schema"],
        json!({ "title": { "kind": "string" } })
    );
    // A next version is checked against the records of its collection.
    let next = check("com.example/note@2", wider);
    assert_eq!((&next["exists"], &next["lookedAt"]), (&json!(false), &json!([TYPE])));
    assert_eq!(next["failing"], json!(2));
    let fresh = check("com.example/other@1", json!({}));
    assert_eq!((&fresh["records"], &fresh["lookedAt"]), (&json!(0), &json!([])));
    for bad in [
        json!({ "schema": {} }),
        json!({ "id": "x", "schema": {} }),
        json!({ "id": TYPE, "schema": 7 }),
        json!({ "id": TYPE, "schema": { "a": { "kind": "odd" } } }),
    ] {
        owner.post("/_/types/check", bad).fails(400, "bad_request");
    }
    let person = server.person();
    person.post("/_/types/check", json!({ "id": TYPE, "schema": {} })).fails(403, "permission");
}

#[test]
fn accounts_are_made_changed_and_shut_out() {
    let server = Setup::new().start();
    let owner = server.owner();
    let new =
        json!({ "email": "Ada@Example.com", "password": "quartz-lantern-7", "displayName": "Ada" });
    let made = owner.post("/_/users", new.clone()).is(201);
    let id = text(&made["id"]).to_owned();
    assert_eq!((&made["email"], &made["role"]), (&json!("ada@example.com"), &json!("editor")));
    assert!(!made.to_string().contains("quartz"));
    owner.post("/_/users", new).fails(409, "conflict");
    for (email, password) in [("nobody", "quartz-lantern-7"), ("bob@example.com", "short")] {
        owner
            .post("/_/users", json!({ "email": email, "password": password }))
            .fails(422, "invalid");
    }
    owner
        .post(
            "/_/users",
            json!({ "email": "b@example.com", "password": "quartz-lantern-7", "role": "king" }),
        )
        .fails(400, "bad_request");
    let sign_in = json!({ "email": "ada@example.com", "password": "quartz-lantern-7" });
    let session = server.anonymous().post("/api/auth/signin", sign_in.clone()).is(200);
    let ada = server.with_token(text(&session["accessToken"]), "");
    ada.get("/api/auth/me").is(200);
    ada.get("/_/users").fails(403, "permission");
    let path = format!("/_/users/{id}");
    let changed = owner.patch(&path, json!({ "role": "admin", "displayName": null })).is(200);
    assert_eq!((&changed["role"], &changed["displayName"]), (&json!("admin"), &Value::Null));
    // An administrator sees accounts, and not what is the owner's.
    assert_eq!(list(&ada.get("/_/users").is(200), "users").len(), 1);
    ada.get("/_/settings").fails(403, "permission");
    owner.delete(&format!("{path}/sessions")).is(204);
    ada.get("/api/auth/me").fails(401, "UNAUTHENTICATED");
    assert_eq!(owner.patch(&path, json!({ "disabled": true })).is(200)["disabled"], true);
    server.anonymous().post("/api/auth/signin", sign_in.clone()).fails(401, "INVALID_CREDENTIALS");
    owner.patch(&path, json!({ "disabled": false })).is(200);
    server.anonymous().post("/api/auth/signin", sign_in).is(200);
    owner.patch(&path, json!({})).fails(400, "bad_request");
    owner.patch("/_/users/usr_000000000000", json!({ "role": "viewer" })).fails(404, "not_found");
    owner.delete("/_/users/nobody/sessions").fails(404, "not_found");
    assert_eq!(list(&owner.get(&format!("/_/users?after={id}")).is(200), "users").len(), 0);
}

#[test]
fn the_console_asks_any_collection_at_any_moment() {
    let server = Setup::new().start();
    let owner = server.owner();
    server.register(TYPE, json!({ "title": { "kind": "string", "indexed": true } }));
    let record = owner.make(TYPE, json!({ "title": "before" }));
    owner.post("/api/data/todos", json!({ "id": "t", "n": 1 })).is(201);
    let query = json!({ "com.example/note": { "$where": { "title": "before" } },
                        "todos": { "$aggregate": "count" } });
    let now = owner.post("/_/query", json!({ "query": query })).is(200);
    assert_eq!(now["data"]["com.example/note"][0]["title"], "before");
    assert_eq!((&now["data"]["todos"], &now["rows"]), (&json!(1), &json!(2)));
    let plan = list(&now, "plan");
    assert_eq!(plan[0]["collection"], "com.example/note");
    assert!(plan[0]["steps"].to_string().contains("USING INDEX field_"), "{now}");
    let path = format!("/records/{}", text(&record["id"]));
    owner.patch(&path, json!({ "title": "after" })).is(200);
    let past = owner.post("/_/query", json!({ "query": query, "as_of": now["tx"] })).is(200);
    assert_eq!((&past["data"], &past["asOf"]), (&now["data"], &now["tx"]));
    let after = owner.post("/_/query", json!({ "query": query })).is(200);
    assert_eq!(after["data"]["com.example/note"], json!([]));
    for bad in [
        json!({ "query": {} }),
        json!({ "query": { "a/b": { "$odd": 1 } } }),
        json!({ "query": { "todos": {} }, "as_of": "soon" }),
        json!({ "query": { "todos": { "lists": {} } }, "as_of": 1 }),
        json!({}),
    ] {
        owner.post("/_/query", bad).fails(400, "INVALID_ARGUMENT");
    }
    let asked = json!({ "query": { "todos": {} } });
    server.person().post("/_/query", asked.clone()).fails(403, "PERMISSION_DENIED");
    server.anonymous().post("/_/query", asked).fails(401, "UNAUTHENTICATED");
}

/// The simulator judges an account with its role, as a request of it would be.
#[test]
fn accounts_are_explained_with_their_role() {
    let server = Setup::new().start();
    let owner = server.owner();
    let rules = json!({ "todos": { "read": { "role": "admin" }, "create": true } });
    owner.put("/api/admin/rules", json!({ "version": 1, "entities": rules })).is(200);
    owner.post("/api/data/todos", json!({ "id": "a" })).is(201);
    let record = owner.get("/records?typeId=todos%401").is(200)["records"][0]["id"].clone();
    let new = json!({ "email": "ada@example.com", "password": "quartz-lantern-7" });
    let id = text(&owner.post("/_/users", new).is(201)["id"]).to_owned();
    let explain = || {
        let who = format!("did:cairn:{id}");
        owner.get(&format!("/_/explain?record={}&principal={who}", text(&record))).is(200)
    };
    assert_eq!(explain()["allowed"], false, "{}", explain());
    owner.patch(&format!("/_/users/{id}"), json!({ "role": "admin" })).is(200);
    assert_eq!(explain()["allowed"], true, "{}", explain());
}
