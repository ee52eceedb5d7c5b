//! The owner's card (stack 11).

use serde_json::json;

use crate::common::{Setup, call, id, server, version};

#[test]
fn no_card() {
    let s = server();
    s.owner().get("/entity").missing();
    s.owner().patch("/entity", json!({ "name": "x" })).missing();
    s.person().get("/entity").missing();
    s.anonymous().get("/entity").unauthorized();
}

#[test]
fn a_configured_name_makes_a_card() {
    let s = Setup::new().env("CAIRN_OWNER_NAME", "Ada").start();
    let owner = s.owner();
    let card = owner.get("/entity").is(200);
    assert_eq!(card["typeId"], "_entity@1");
    assert_eq!(card["content"]["did"], json!(s.owner_did()));
    assert_eq!(card["content"]["name"], "Ada");
    assert!(card.get("entityId").is_none(), "made by nobody: {card}");
    let ann = s.person();
    s.anonymous().get("/entity").unauthorized();
    ann.get("/entity").denied();
    owner
        .put(
            &format!("/records/{}/permissions", id(&card)),
            json!({ "permissions": [{ "access": "public" }] }),
        )
        .is(204);
    assert_eq!(id(&ann.get("/entity").is(200)), id(&card));
    s.anonymous().get("/entity").unauthorized();

    // Both spellings of a change.
    let now = owner.patch("/entity", json!({ "content": { "name": "Lovelace" } })).is(200);
    assert_eq!(now["content"], json!({ "did": s.owner_did(), "name": "Lovelace" }));
    assert_eq!(version(&now), 3);
    let now = owner.patch("/entity", json!({ "handle": "ada" })).is(200);
    assert_eq!(now["content"]["handle"], "ada");
    owner.patch("/entity", json!({ "name": 5 })).invalid(&["name"]);
    owner.patch("/entity", json!({ "did": "did:web:a.b" })).invalid(&["did"]);
    for body in [json!([]), json!("x"), json!(null)] {
        owner.patch("/entity", body).bad_request();
    }
    s.anonymous().patch("/entity", json!({ "name": "x" })).unauthorized();
    ann.patch("/entity", json!({ "name": "x" })).denied();
    ann.send(call("PATCH", "/entity").bytes(b"{")).denied();

    // A restart makes no second card, nor does it change the first.
    let before = owner.get("/entity").is(200);
    let s = s.stop().env("CAIRN_OWNER_NAME", "Other").start();
    assert_eq!(s.owner().get("/entity").is(200), before);
    assert_eq!(
        s.owner()
            .find(json!({ "filter": { "typeId": "_entity@1", "includeDeleted": true } }))
            .len(),
        1
    );

    // A deleted card does not count, and is still a claim: no new one is made.
    s.owner().delete(&format!("/records/{}", id(&before))).is(204);
    s.owner().get("/entity").missing();
    s.owner().patch("/entity", json!({ "name": "x" })).missing();
    let s = s.stop().start();
    s.owner().get("/entity").missing();
    assert_eq!(
        s.owner()
            .find(json!({ "filter": { "typeId": "_entity@1", "includeDeleted": true } }))
            .len(),
        1
    );
}

/// The card is found by its DID, not by who made it.
#[test]
fn a_card_of_ones_own_making() {
    let s = Setup::new().start();
    let made = s.owner().make("_entity@1", json!({ "did": s.owner_did(), "name": "me" }));
    s.owner().make("_entity@1", json!({ "did": "did:web:other.example", "name": "other" }));
    assert_eq!(s.owner().get("/entity").is(200), made);
}
