//! Deleting softly and for good, and taking it back (stack 7.4, 7.5).

use serde_json::json;

use crate::common::{id, is_instant, server, text, version};

#[test]
fn soft_delete_and_back() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner
        .create(json!({ "typeId": kind, "content": { "a": 1 }, "associations": [{ "kind": "tag", "label": "x" }] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    owner.delete(&path).is(204);
    let gone = owner.get(&path).is(200);
    assert!(is_instant(text(&gone["deletedAt"])));
    assert_eq!(version(&gone), 2);
    assert_eq!(gone["content"], made["content"], "returned complete");
    assert_eq!(gone["associations"], made["associations"]);
    assert!(owner.find(json!({ "filter": { "typeId": kind } })).is_empty());
    assert_eq!(
        owner.find(json!({ "filter": { "typeId": kind, "includeDeleted": true } })),
        [id(&made)]
    );
    // Again: no bump.
    owner.delete(&path).is(204);
    assert_eq!(owner.get(&path).is(200), gone);
    let back = owner.poke(&format!("{path}/undelete")).is(200);
    assert!(back.get("deletedAt").is_none());
    assert_eq!(version(&back), 3);
    assert_eq!(owner.poke(&format!("{path}/undelete")).is(200), back, "no change the second time");
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind } })), [id(&made)]);
    let history = owner.get(&format!("{path}/versions")).is(200);
    assert_eq!(history.as_array().unwrap().len(), 2);
    // The body of an undelete is of no interest.
    owner.post(&format!("{path}/undelete"), json!({ "x": 1 })).is(200);
}

#[test]
fn hard_delete_leaves_nothing() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner
        .create(json!({ "typeId": kind, "content": { "a": "zyzzyva" }, "associations": [{ "kind": "tag", "label": "x" }] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    let child =
        owner.create(json!({ "typeId": kind, "content": {}, "parentId": id(&made) })).is(200);
    owner.patch(&path, json!({ "b": 1 })).is(200);
    // Anything but `true` is the soft one.
    for not in ["hard=1", "hard=TRUE", "hard=false", "hard=", "hard", "hard=true%20"] {
        owner.delete(&format!("{path}?{not}")).is(204);
        owner.get(&path).is(200);
    }
    owner.delete(&format!("{path}?hard=true")).is(204);
    for (method, rest) in [
        ("GET", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("GET", "/permissions"),
        ("GET", "/associations"),
        ("DELETE", ""),
        ("DELETE", "?hard=true"),
        ("POST", "/undelete"),
        ("POST", "/restore/1"),
    ] {
        owner.send(crate::common::call(method, &format!("{path}{rest}"))).missing();
    }
    owner.patch(&path, json!({})).missing();
    owner.post(&format!("{path}/associations"), json!({ "kind": "tag", "label": "y" })).missing();
    let all = json!({ "filter": { "typeId": kind, "includeDeleted": true } });
    assert_eq!(owner.find(all), [id(&child)]);
    assert!(
        owner
            .find(
                json!({ "filter": { "typeId": kind, "search": "zyzzyva", "includeDeleted": true } })
            )
            .is_empty()
    );
    assert!(
        owner
            .find(json!({ "filter": { "typeId": kind, "tags": ["x"], "includeDeleted": true } }))
            .is_empty()
    );
    assert_eq!(
        owner.get(&format!("/records/{}", id(&child))).is(200)["parentId"],
        json!(id(&made))
    );
}

#[test]
fn who_may_delete() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create", "delete-own"], Some(&ann.did));
    let path = format!("/records/{}", id(&ann.make(&kind, json!({}))));
    let hard = format!("{path}?hard=true");
    s.anonymous().delete(&path).unauthorized();
    s.anonymous().delete(&hard).unauthorized();
    s.person().delete(&path).denied();
    s.person().delete(&hard).denied();
    ann.delete(&hard).denied();
    s.delegate(&s.owner_did(), &ann.did).delete(&hard).denied();
    s.delegate(&ann.did, &s.owner_did()).delete(&hard).denied();
    owner.get(&path).is(200);
    ann.delete(&path).is(204);
    ann.poke(&format!("{path}/undelete")).is(200);
    s.person().poke(&format!("{path}/undelete")).denied();
    s.anonymous().poke(&format!("{path}/undelete")).unauthorized();
    owner.delete(&hard).is(204);
    for who in [ann, s.person()] {
        who.delete("/records/1hk153x00001").missing();
        who.poke("/records/1hk153x00001/undelete").missing();
        who.get(&path).missing();
    }
    s.anonymous().get(&path).missing();
}

/// Deleting does not change who may read.
#[test]
fn a_soft_deleted_record_keeps_its_readers() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner
        .create(json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    owner.delete(&path).is(204);
    assert!(s.anonymous().get(&path).is(200)["deletedAt"].is_string());
    let all = json!({ "filter": { "typeId": kind, "includeDeleted": true } });
    assert_eq!(s.anonymous().find(all), [id(&made)]);
}
