//! Acting on behalf of somebody: both halves must allow (stack 2.2, 6.4).

use serde_json::json;

use crate::common::{id, server};

#[test]
fn both_halves_must_allow() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner.make(&kind, json!({}));
    let path = format!("/records/{}", id(&made));
    // (subject may, application may): only both is enough.
    for subject_may in [false, true] {
        for app_may in [false, true] {
            let (ann, app) = (s.person(), s.person());
            if subject_may {
                s.grant(&kind, &["create", "read-any", "update-any", "delete-any"], Some(&ann.did));
            }
            if app_may {
                s.grant(&kind, &["create", "read-any", "update-any", "delete-any"], Some(&app.did));
            }
            let who = s.delegate(&app.did, &ann.did);
            let both = subject_may && app_may;
            let say = |ok: u16| if both { ok } else { 403 };
            let context = format!("subject {subject_may}, application {app_may}");
            assert_eq!(who.get(&path).status, say(200), "{context}");
            assert_eq!(
                who.find(json!({ "filter": { "typeId": kind } })).contains(&id(&made)),
                both,
                "{context}"
            );
            assert_eq!(who.patch(&path, json!({})).status, say(200), "{context}");
            assert_eq!(who.get(&format!("{path}/versions")).status, say(200), "{context}");
            assert_eq!(who.delete(&path).status, say(204), "{context}");
            assert_eq!(who.poke(&format!("{path}/undelete")).status, say(200), "{context}");
            assert_eq!(
                who.create(json!({ "typeId": kind, "content": {} })).status,
                say(200),
                "{context}"
            );
        }
    }
}

/// The owner as a subject is not the owner: the application still needs its grants. As a principal it needs none.
#[test]
fn the_owner_on_one_side() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    let app = s.person();
    let for_owner = s.delegate(&app.did, &s.owner_did());
    for_owner.get(&path).denied();
    for_owner.create(json!({ "typeId": kind, "content": {} })).denied();
    s.grant(&kind, &["read-own"], Some(&app.did));
    for_owner.get(&path).is(200);
    for_owner.patch(&path, json!({})).denied();
    s.grant(&kind, &["update-own", "create"], Some(&app.did));
    for_owner.patch(&path, json!({})).is(200);
    let made = for_owner.make(&kind, json!({}));
    assert_eq!(made["entityId"], json!(s.owner_did()));
    assert_eq!(made["principalId"], json!(app.did));

    let ann = s.person();
    let by_owner = s.delegate(&s.owner_did(), &ann.did);
    by_owner.get(&path).denied();
    s.grant(&kind, &["read-any", "create"], Some(&ann.did));
    by_owner.get(&path).is(200);
    let made = by_owner.make(&kind, json!({}));
    assert_eq!(made["entityId"], json!(ann.did));
    assert_eq!(made["principalId"], json!(s.owner_did()));
}

/// Default grants are for people, never for what an application may do.
#[test]
fn default_grants_do_not_cover_applications() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({}))));
    s.grant(&kind, &["create", "read-any"], None);
    let (ann, app) = (s.person(), s.person());
    ann.get(&path).is(200);
    app.get(&path).is(200);
    let who = s.delegate(&app.did, &ann.did);
    who.get(&path).denied();
    who.create(json!({ "typeId": kind, "content": {} })).denied();
    s.grant(&kind, &["read-own"], Some(&app.did));
    who.get(&path).is(200);
}

/// The same identity twice is no delegation.
#[test]
fn acting_for_oneself() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create"], None);
    let made = s.delegate(&ann.did, &ann.did).make(&kind, json!({}));
    assert_eq!(made["entityId"], json!(ann.did));
    assert!(made.get("principalId").is_none());
    s.delegate(&s.owner_did(), &s.owner_did()).get("/tokens").is(200);
}

/// On the application's side `-own` and `-any` both mean the verb; on the subject's side they do not.
#[test]
fn own_and_any() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let (ann, app) = (s.person(), s.person());
    s.grant(&kind, &["create", "read-own"], Some(&ann.did));
    s.grant(&kind, &["create", "read-own"], Some(&app.did));
    let foreign = format!("/records/{}", id(&s.owner().make(&kind, json!({}))));
    let own = format!("/records/{}", id(&ann.make(&kind, json!({}))));
    let of_app = format!("/records/{}", id(&app.make(&kind, json!({}))));
    let who = s.delegate(&app.did, &ann.did);
    who.get(&own).is(200);
    who.get(&foreign).denied();
    who.get(&of_app).denied();
    let made = who.make(&kind, json!({}));
    ann.get(&format!("/records/{}", id(&made))).is(200);
    app.get(&format!("/records/{}", id(&made))).denied();
    assert_eq!(
        who.find(json!({ "filter": { "typeId": kind, "principalId": app.did } })),
        [id(&made)]
    );
    assert_eq!(
        s.owner()
            .get(&format!(
                "/records?typeId={}&principalId={}",
                crate::common::encode(&kind),
                crate::common::encode(&app.did)
            ))
            .is(200)["records"][0]["id"],
        json!(id(&made))
    );
}

/// Public records: the subject half is open, the application half still needs its grant.
#[test]
fn public_records_under_delegation() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let public = s
        .owner()
        .create(json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }] }))
        .is(200);
    let path = format!("/records/{}", id(&public));
    let (ann, app) = (s.person(), s.person());
    let who = s.delegate(&app.did, &ann.did);
    who.get(&path).denied();
    ann.get(&path).is(200);
    s.grant(&kind, &["read-any"], Some(&app.did));
    who.get(&path).is(200);
}

/// Handing out permissions is not delegated.
#[test]
fn permissions_under_delegation() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (ann, app) = (s.person(), s.person());
    let all = ["create", "read-any", "update-any", "delete-any"];
    s.grant(&kind, &all, Some(&ann.did));
    s.grant(&kind, &all, Some(&app.did));
    let by_app = s.delegate(&app.did, &ann.did);
    let list = json!([{ "access": "public" }]);
    by_app.create(json!({ "typeId": kind, "content": {}, "permissions": list })).denied();
    by_app.create(json!({ "typeId": kind, "content": {}, "permissions": [] })).is(200);
    let by_owner = s.delegate(&s.owner_did(), &ann.did);
    by_owner.create(json!({ "typeId": kind, "content": {}, "permissions": list })).is(200);

    let of_ann = format!("/records/{}/permissions", id(&ann.make(&kind, json!({}))));
    let of_owner = format!("/records/{}/permissions", id(&owner.make(&kind, json!({}))));
    let of_app = format!("/records/{}/permissions", id(&app.make(&kind, json!({}))));
    let body = json!({ "permissions": list });
    for (who, path, allowed) in [
        (&by_app, &of_ann, false),
        (&by_app, &of_owner, false),
        (&by_app, &of_app, false),
        (&by_owner, &of_ann, true),
        (&by_owner, &of_owner, false),
        (&s.delegate(&ann.did, &s.owner_did()), &of_ann, true),
        (&s.delegate(&app.did, &s.owner_did()), &of_ann, false),
        (&s.delegate(&app.did, &s.owner_did()), &of_app, true),
    ] {
        let status = who.put(path, body.clone()).status;
        assert_eq!(status, if allowed { 204 } else { 403 }, "{path} by {}", who.did);
    }
}

/// Owner routes are for the owner alone.
#[test]
fn owner_routes() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({}))));
    for who in
        [s.delegate(&ann.did, &s.owner_did()), s.delegate(&s.owner_did(), &ann.did), ann.clone()]
    {
        who.get("/tokens").denied();
        who.post("/tokens", json!({})).denied();
        who.delete("/tokens/x").denied();
        who.post("/types", json!({})).denied();
        who.patch("/entity", json!({ "name": "x" })).denied();
        who.post("/attachments/gc", json!({})).denied();
        who.delete(&format!("/attachments/{}", "0".repeat(64))).denied();
        who.post(&format!("{path}/migrate"), json!({})).denied();
        who.delete(&format!("{path}?hard=true")).denied();
    }
    for (method, path) in [
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("DELETE", "/tokens/x"),
        ("POST", "/types"),
        ("PATCH", "/entity"),
        ("POST", "/attachments/gc"),
        ("DELETE", "/attachments/x"),
        ("POST", "/records/x/migrate"),
        ("POST", "/records"),
        ("PATCH", "/records/x"),
        ("DELETE", "/records/x"),
        ("POST", "/records/x/undelete"),
        ("PUT", "/records/x/permissions"),
        ("POST", "/records/x/associations"),
        ("POST", "/records/x/associations/delete"),
        ("DELETE", "/records/x/associations"),
        ("POST", "/records/x/restore/1"),
        ("POST", "/attachments"),
        ("GET", "/entity"),
    ] {
        s.anonymous().send(crate::common::call(method, path).json(&json!({}))).unauthorized();
    }
}
