//! Going back to a version, and moving to another type (stack 7.9, 7.10).

use serde_json::{Value, json};

use crate::common::{id, next, server, text, type_body, version};

#[test]
fn restore_brings_content_type_and_associations_only() {
    let s = server();
    let owner = s.owner();
    let old = s.new_type("old", json!({ "t": { "kind": "string", "required": true } }));
    let new = s.new_type("new", json!({ "n": { "kind": "number", "required": true } }));
    let parent = id(&owner.make(&old, json!({ "t": "p" })));
    let tag = json!([{ "kind": "tag", "label": "x" }]);
    let v1 = owner
        .create(json!({ "typeId": old, "content": { "t": "1" }, "associations": tag, "parentId": parent, "appId": "a.b" }))
        .is(200);
    let path = format!("/records/{}", id(&v1));
    owner
        .post(&format!("{path}/migrate"), json!({ "toTypeId": new, "content": { "n": 2 } }))
        .is(200);
    owner.delete(&format!("{path}/associations?kind=tag&label=x")).is(204);
    owner
        .put(&format!("{path}/permissions"), json!({ "permissions": [{ "access": "public" }] }))
        .is(204);
    let back = owner.poke(&format!("{path}/restore/1")).is(200);
    assert_eq!(back["content"], v1["content"]);
    assert_eq!(back["typeId"], json!(old));
    assert_eq!(back["associations"], tag);
    assert_eq!(back["permissions"], json!([{ "access": "public" }]), "permissions stay");
    assert_eq!(
        (&back["parentId"], &back["appId"], &back["entityId"]),
        (&v1["parentId"], &v1["appId"], &v1["entityId"])
    );
    assert_eq!(version(&back), 5);
    let snapshot = owner.get(&format!("{path}/versions/4")).is(200);
    assert_eq!((&snapshot["typeId"], &snapshot["associations"]), (&json!(new), &json!([])));
    // A restore is always a change.
    assert_eq!(version(&owner.poke(&format!("{path}/restore/1")).is(200)), 6);
    assert_eq!(owner.find(json!({ "filter": { "typeId": old, "tags": ["x"] } })), [id(&v1)]);
    assert!(owner.find(json!({ "filter": { "typeId": new } })).is_empty());
}

/// Restoring does not undelete, and the deleted state is no part of it.
#[test]
fn restore_of_a_deleted_record() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({ "a": 1 }))));
    owner.patch(&path, json!({ "a": 2 })).is(200);
    owner.delete(&path).is(204);
    let now = owner.poke(&format!("{path}/restore/1")).is(200);
    assert_eq!(now["content"], json!({ "a": 1 }));
    assert!(now["deletedAt"].is_string(), "{now}");
}

#[test]
fn a_snapshot_that_no_longer_fits_is_refused_whole() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner.make(&kind, json!({ "t": 5 }));
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "t": "text" })).is(200);
    owner.post("/types", type_body(&kind, &json!({ "t": { "kind": "string" } }))).is(201);
    let before = owner.get(&path).is(200);
    owner.poke(&format!("{path}/restore/1")).invalid(&["t"]);
    assert_eq!(owner.get(&path).is(200), before);
}

#[test]
fn who_may_restore() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({ "pic": { "kind": "file-ref" } }));
    let hidden = id(&owner.make(&kind, json!({})));
    let file = || {
        let bytes = format!("restore {}", next());
        text(&owner.upload("text/plain", bytes.as_bytes())["fileId"]).to_owned()
    };
    let (reader, writer) = (s.person(), s.person());
    let permissions = json!([
        super::permissions::entity(&reader, false),
        super::permissions::entity(&writer, true)
    ]);
    let make = |first: Value, associations: Value| {
        let body = json!({ "typeId": kind, "content": first, "associations": associations, "permissions": permissions });
        let path = format!("/records/{}", id(&owner.create(body).is(200)));
        for association in associations.as_array().unwrap() {
            owner.post(&format!("{path}/associations/delete"), association.clone()).is(204);
        }
        owner.patch(&path, json!({ "pic": null, "a": 2 })).is(200);
        path
    };
    let plain = make(json!({}), json!([]));
    s.anonymous().poke(&format!("{plain}/restore/1")).unauthorized();
    s.person().poke(&format!("{plain}/restore/1")).denied();
    reader.poke(&format!("{plain}/restore/1")).denied();
    reader.poke(&format!("{plain}/restore/99")).denied();
    writer.poke(&format!("{plain}/restore/1")).is(200);
    writer.poke(&format!("{plain}/restore/99")).missing();
    writer.poke("/records/1hk153x00001/restore/1").missing();
    // References of the snapshot are gated like fresh ones. Each file is its own: once the owner has restored a reference,
    // the writer can read it, and so may make more.
    for path in [
        make(json!({ "pic": file() }), json!([])),
        make(json!({}), json!([{ "kind": "attachment", "label": "x", "fileId": file() }])),
        make(json!({}), json!([{ "kind": "relationship", "label": "x", "recordId": hidden }])),
    ] {
        let before = owner.get(&path).is(200);
        writer.poke(&format!("{path}/restore/1")).denied();
        assert_eq!(owner.get(&path).is(200), before);
        owner.poke(&format!("{path}/restore/1")).is(200);
    }
    let tagged = make(json!({}), json!([{ "kind": "tag", "label": "x" }]));
    writer.poke(&format!("{tagged}/restore/1")).is(200);
}

#[test]
fn migrate() {
    let s = server();
    let owner = s.owner();
    let old = s.new_type("old", json!({}));
    let new = s.new_type("new", json!({ "n": { "kind": "number", "required": true } }));
    let made = owner.make(&old, json!({ "a": 1 }));
    let path = format!("/records/{}", id(&made));
    let migrate = format!("{path}/migrate");
    for body in [
        json!({}),
        json!({ "toTypeId": new }),
        json!({ "content": {} }),
        json!({ "toTypeId": "", "content": {} }),
        json!({ "toTypeId": 5, "content": {} }),
        json!({ "toTypeId": new, "content": [] }),
        json!({ "toTypeId": new, "content": null }),
    ] {
        owner.post(&migrate, body).bad_request();
    }
    owner.post(&migrate, json!({ "toTypeId": "unknown@1", "content": {} })).invalid(&["toTypeId"]);
    owner.post(&migrate, json!({ "toTypeId": new, "content": {} })).invalid(&["n"]);
    owner.post(&migrate, json!({ "toTypeId": new, "content": { "n": "x" } })).invalid(&["n"]);
    owner
        .post(&migrate, json!({ "toTypeId": new, "content": { "n": 1, "prototype": 1 } }))
        .invalid(&["prototype"]);
    owner
        .post("/records/1hk153x00001/migrate", json!({ "toTypeId": new, "content": { "n": 1 } }))
        .missing();
    assert_eq!(owner.get(&path).is(200), made);
    let now = owner.post(&migrate, json!({ "toTypeId": new, "content": { "n": 1 } })).is(200);
    assert_eq!(now["content"], json!({ "n": 1 }), "the complete new content");
    assert_eq!(now["typeId"], json!(new));
    assert_eq!(version(&now), 2);
    // Within the same type too.
    assert_eq!(
        version(&owner.post(&migrate, json!({ "toTypeId": new, "content": { "n": 1 } })).is(200)),
        3
    );
}

#[test]
fn only_the_owner_alone_migrates() {
    let s = server();
    let old = s.new_type("old", json!({}));
    let ann = s.person();
    s.grant(&old, &["create", "read-any", "update-any", "delete-any"], Some(&ann.did));
    let path = format!("/records/{}/migrate", id(&ann.make(&old, json!({}))));
    let body = json!({ "toTypeId": old, "content": {} });
    s.anonymous().post(&path, body.clone()).unauthorized();
    for who in
        [ann.clone(), s.delegate(&s.owner_did(), &ann.did), s.delegate(&ann.did, &s.owner_did())]
    {
        who.post(&path, body.clone()).denied();
        who.post(&path, json!({})).denied();
        who.post("/records/1hk153x00001/migrate", body.clone()).denied();
    }
}

#[test]
fn migrating_special_families() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let into = |path: &str, to: &str, content: Value| {
        owner.post(&format!("{path}/migrate"), json!({ "toTypeId": to, "content": content }))
    };
    // A record does not become a group: nobody would have been its admin by creation.
    let note = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    into(&note, "_group@1", json!({ "name": "g" })).conflict();
    // A file's facts stay when leaving the family.
    let upload = owner.upload("text/plain", format!("migrate {}", next()).as_bytes());
    let file = format!("/records/{}", id(&upload));
    let content = upload["content"].clone();
    for (key, value) in
        [("fileId", json!("0".repeat(64))), ("size", json!(1)), ("mimeType", json!("image/png"))]
    {
        let mut changed = content.clone();
        changed[key] = value;
        into(&file, &kind, changed.clone()).invalid(&[key]);
        into(&file, "_attachment@1", changed).invalid(&[key]);
    }
    let mut renamed = content.clone();
    renamed["filename"] = json!("new.txt");
    into(&file, "_attachment@1", renamed.clone()).is(200);
    into(&file, &kind, renamed.clone()).is(200);
    // Coming back, the media type must be the established one.
    let second =
        owner.upload("text/plain", format!("migrate {}", next()).as_bytes())["content"].clone();
    let mut wrong = second.clone();
    wrong["mimeType"] = json!("image/png");
    into(&note, "_attachment@1", wrong).invalid(&["mimeType"]);
    into(&note, "_attachment@1", second).is(200);
}
