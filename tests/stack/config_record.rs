//! The configuration record (stack 6.6).

use serde_json::json;

use crate::common::{Setup, server, version};

#[test]
fn the_configuration_is_the_owners_and_stays() {
    let s = Setup::new().start();
    let owner = s.owner();
    let config = owner.get("/records/_config").is(200);
    assert_eq!((&config["id"], &config["typeId"]), (&json!("_config"), &json!("_config@1")));
    assert_eq!(config["content"]["entityId"], json!(s.owner_did()));
    assert!(config["content"].get("timezone").is_none());
    s.anonymous().get("/records/_config").denied();
    s.person().get("/records/_config").denied();
    s.person().patch("/records/_config", json!({ "timezone": "x" })).denied();
    s.person().delete("/records/_config").denied();

    let now = owner.patch("/records/_config", json!({ "timezone": "Europe/Paris" })).is(200);
    assert_eq!(now["content"]["timezone"], "Europe/Paris");
    assert_eq!(version(&now), version(&config) + 1);
    owner.patch("/records/_config", json!({ "entityId": s.owner_did(), "more": 1 })).is(200);
    for other in [json!("did:web:a.b"), json!(null), json!("")] {
        let reply = owner.patch("/records/_config", json!({ "entityId": other }));
        assert!(reply.status == 409 || reply.status == 422 && other.is_null(), "{reply}");
    }
    owner.patch("/records/_config", json!({ "entityId": "did:web:a.b" })).conflict();
    owner
        .post(
            "/records/_config/migrate",
            json!({ "toTypeId": "_config@1", "content": { "entityId": "did:web:a.b" } }),
        )
        .conflict();
    // There is no second one, and nothing becomes one.
    let second = json!({ "typeId": "_config@1", "content": { "entityId": s.owner_did() } });
    owner.create(second).conflict();
    owner.delete("/records/_config").conflict();
    owner.delete("/records/_config?hard=true").conflict();
    let last = owner.get("/records/_config").is(200);
    assert!(last.get("deletedAt").is_none());
    assert_eq!(last["content"]["entityId"], json!(s.owner_did()));
    owner.poke("/records/_config/restore/1").is(200);
    assert_eq!(owner.get("/records/_config/versions").is(200).as_array().unwrap().len(), 3);
}

/// No query ever shows it.
#[test]
fn never_in_a_query() {
    let s = server();
    for filter in [
        json!({ "typeId": "_config@1" }),
        json!({ "typeId": "_config@1", "includeDeleted": true }),
        json!({ "entityId": s.owner_did(), "typeId": ["_config@1"] }),
        json!({ "typeId": "_config@1", "content": { "entityId": s.owner_did() } }),
        json!({ "typeId": "_config@1", "search": s.owner_did() }),
        json!({ "typeId": "_config@1", "parentId": null }),
    ] {
        assert!(s.owner().find(json!({ "filter": filter })).is_empty(), "{filter}");
    }
    assert_eq!(s.owner().get("/records?typeId=_config%401").is(200)["records"], json!([]));
    let everything = s.owner().find(json!({ "filter": { "includeDeleted": true }, "limit": 1000, "sort": { "field": "createdAt", "direction": "asc" } }));
    assert!(!everything.contains(&"_config".to_owned()));
}
