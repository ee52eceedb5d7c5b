//! Cards that bind an application or a person to a DID (stack 6.4).

use serde_json::json;

use crate::common::{Key, id, next, server, version};

fn did() -> String {
    Key::of(next()).did
}

#[test]
fn application_cards() {
    let s = server();
    let owner = s.owner();
    let ann = s.person();
    let (app, other) = (did(), did());
    let made = owner
        .create(json!({ "typeId": "_app@1", "content": { "appId": "com.example.one", "name": "n", "did": app },
            "permissions": [super::permissions::entity(&ann, true)] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "did": other })).invalid(&["did"]);
    owner.patch(&path, json!({ "did": null })).invalid(&["did"]);
    owner.patch(&path, json!({ "appId": "com.example.two" })).invalid(&["appId"]);
    owner
        .patch(&path, json!({ "appId": "com.example.two", "did": other }))
        .invalid(&["appId", "did"]);
    owner.patch(&path, json!({ "did": app, "appId": "com.example.one", "name": "m" })).is(200);
    // A writer changes name and version, never the binding.
    ann.patch(&path, json!({ "name": "x", "version": "2" })).is(200);
    ann.patch(&path, json!({ "did": other })).denied();
    ann.patch(&path, json!({ "appId": "x.y" })).denied();
    owner.post(&format!("{path}/migrate"), json!({ "toTypeId": "_app@1", "content": { "appId": "com.example.one", "name": "n", "did": other } })).invalid(&["did"]);
    // Unique by DID, not by name, counting the deleted.
    let card = |app_id: &str, did: &str| json!({ "typeId": "_app@1", "content": { "appId": app_id, "name": "n", "did": did } });
    owner.create(card("com.example.one", &app)).conflict();
    owner.create(card("com.example.one", &other)).is(200);
    owner.delete(&path).is(204);
    owner.create(card("com.example.three", &app)).conflict();
    let bare = owner.make("_app@1", json!({ "appId": "com.example.four", "name": "n" }));
    owner.patch(&format!("/records/{}", id(&bare)), json!({ "did": app })).conflict();
    owner.patch(&format!("/records/{}", id(&bare)), json!({ "did": did() })).is(200);
    // Going back to before the binding would unset it.
    owner.poke(&format!("/records/{}/restore/1", id(&bare))).invalid(&["did"]);
}

#[test]
fn people_cards() {
    let s = server();
    let owner = s.owner();
    let ann = s.person();
    s.grant("_entity", &["create", "update-own", "read-own"], Some(&ann.did));
    let someone = did();
    let made = ann.make("_entity@1", json!({ "did": someone, "name": "n" }));
    let path = format!("/records/{}", id(&made));
    ann.patch(&path, json!({ "did": did() })).invalid(&["did"]);
    ann.patch(&path, json!({ "did": someone, "name": "m" })).is(200);
    ann.create(json!({ "typeId": "_entity@1", "content": { "did": someone, "name": "n" } }))
        .conflict();
    owner
        .create(json!({ "typeId": "_entity@1", "content": { "did": someone, "name": "n" } }))
        .conflict();
    owner.delete(&path).is(204);
    ann.create(json!({ "typeId": "_entity@1", "content": { "did": someone, "name": "n" } }))
        .conflict();
    // Nobody claims to be the owner; before the id is looked at.
    let claim = json!({ "typeId": "_entity@1", "id": "bad", "content": { "did": s.owner_did(), "name": "n" } });
    ann.create(claim.clone()).denied();
    s.delegate(&ann.did, &s.owner_did()).create(claim).denied();
    assert_eq!(version(&owner.get(&path).is(200)), 3);
}

/// An application that has a card may write under that name only.
#[test]
fn the_name_of_a_delegated_application() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let (ann, app) = (s.person(), s.person());
    s.grant(&kind, &["create"], Some(&ann.did));
    s.grant(&kind, &["create"], Some(&app.did));
    let who = s.delegate(&app.did, &ann.did);
    let body = |name: &str| json!({ "typeId": kind, "content": {}, "appId": name });
    // No card, no check.
    who.create(body("com.example.anything")).is(200);
    s.owner().make("_app@1", json!({ "appId": "com.example.mine", "name": "n", "did": app.did }));
    assert_eq!(who.create(body("com.example.mine")).is(200)["appId"], "com.example.mine");
    who.create(body("com.example.other")).denied();
    who.create(json!({ "typeId": kind, "content": {} })).is(200);
    // People say what they like.
    ann.create(body("com.example.other")).is(200);
    // Before the id.
    who.create(json!({ "typeId": kind, "content": {}, "appId": "com.example.other", "id": "bad" }))
        .denied();
    // Uploads too.
    s.grant("_attachment", &["create"], Some(&ann.did));
    s.grant("_attachment", &["create"], Some(&app.did));
    let upload =
        |path: &str| who.send(crate::common::call("POST", path).bytes(b"delegated upload"));
    upload("/attachments?appId=com.example.other").denied();
    assert_eq!(upload("/attachments?appId=com.example.mine").is(200)["appId"], "com.example.mine");
}
