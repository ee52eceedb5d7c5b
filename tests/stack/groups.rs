//! Groups: membership, roles, management (stack 6.2, 6.4).

use serde_json::{Value, json};

use crate::common::{Server, Who, id, server, version};

fn member(who: &Who, label: &str) -> Value {
    json!({ "kind": "relationship", "label": label, "recordId": who.did })
}

/// A group of the owner with an admin and a member.
fn group(s: &Server, admin: &Who, plain: &Who) -> String {
    let made = s
        .owner()
        .create(json!({ "typeId": "_group@1", "content": { "name": "g" },
            "associations": [member(admin, "admin"), member(plain, "member")] }))
        .is(200);
    id(&made)
}

#[test]
fn membership_opens_what_is_shared_with_the_group() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (admin, plain, other) = (s.person(), s.person(), s.person());
    let group = group(&s, &admin, &plain);
    let entry = |read: bool, write: bool, role: bool| {
        let mut entry =
            json!({ "access": "group", "groupId": group, "read": read, "write": write });
        if role {
            entry["role"] = json!("admin");
        }
        entry
    };
    for (entry, reads, writes) in [
        (entry(true, false, false), [true, true, false], [false; 3]),
        (entry(true, true, false), [true, true, false], [true, true, false]),
        (entry(true, false, true), [true, false, false], [false; 3]),
        (entry(true, true, true), [true, false, false], [true, false, false]),
        (entry(false, false, false), [false; 3], [false; 3]),
    ] {
        let made =
            owner.create(json!({ "typeId": kind, "content": {}, "permissions": [entry] })).is(200);
        let path = format!("/records/{}", id(&made));
        for (n, who) in [&admin, &plain, &other].into_iter().enumerate() {
            assert_eq!(
                who.get(&path).status,
                if reads[n] { 200 } else { 403 },
                "{entry} person {n}"
            );
            let found = who.find(json!({ "filter": { "typeId": kind } })).contains(&id(&made));
            assert_eq!(found, reads[n], "{entry} person {n}: the query agrees");
            assert_eq!(
                who.patch(&path, json!({})).status,
                if writes[n] { 200 } else { 403 },
                "{entry} person {n}"
            );
        }
        s.anonymous().get(&path).denied();
        owner.get(&path).is(200);
    }
}

/// Roles are looked up for each request: joining, leaving and the end of the group count at once.
#[test]
fn roles_are_fresh() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (admin, plain, late) = (s.person(), s.person(), s.person());
    let group = group(&s, &admin, &plain);
    let shared = json!([{ "access": "group", "groupId": group, "read": true }]);
    let path = format!(
        "/records/{}",
        id(&owner.create(json!({ "typeId": kind, "content": {}, "permissions": shared })).is(200))
    );
    let members = format!("/records/{group}/associations");
    let sees = |who: &Who, expected: bool| assert_eq!(who.get(&path).status == 200, expected);
    sees(&late, false);
    owner.post(&members, member(&late, "member")).is(204);
    sees(&late, true);
    owner.post(&format!("{members}/delete"), member(&late, "member")).is(204);
    sees(&late, false);
    for label in ["Member", "members", "owner", ""] {
        let _ = owner.post(&members, member(&late, label));
        sees(&late, false);
    }
    owner.post(&members, json!({ "kind": "tag", "label": late.did })).is(204);
    sees(&late, false);
    sees(&plain, true);
    owner.delete(&format!("/records/{group}")).is(204);
    sees(&plain, false);
    sees(&admin, false);
    owner.poke(&format!("/records/{group}/undelete")).is(200);
    sees(&plain, true);
    owner.delete(&format!("/records/{group}?hard=true")).is(204);
    sees(&plain, false);
}

/// Only a group is a group.
#[test]
fn other_records_are_no_groups() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let fake = id(&owner
        .create(json!({ "typeId": kind, "content": {}, "associations": [member(&ann, "admin")] }))
        .is(200));
    for group in [fake.as_str(), "1hk153x00001", "nowhere", &ann.did, "_config"] {
        let made = owner
            .create(json!({ "typeId": kind, "content": {},
                "permissions": [{ "access": "group", "groupId": group, "read": true, "write": true }] }))
            .is(200);
        ann.get(&format!("/records/{}", id(&made))).denied();
    }
}

/// Managing a group is for its admins and the owner; the write bit and grants do not help.
#[test]
fn management() {
    let s = server();
    let owner = s.owner();
    let (admin, plain, writer, new) = (s.person(), s.person(), s.person(), s.person());
    let group = group(&s, &admin, &plain);
    let path = format!("/records/{group}");
    s.grant("_group", &["read-any", "update-any", "delete-any"], Some(&writer.did));
    let list = json!([
        super::permissions::entity(&writer, true),
        super::permissions::entity(&plain, true)
    ]);
    owner.put(&format!("{path}/permissions"), json!({ "permissions": list })).is(204);
    for who in [&writer, &plain, &s.person()] {
        who.patch(&path, json!({ "name": "mine" })).denied();
        who.post(&format!("{path}/associations"), member(who, "admin")).denied();
        who.post(&format!("{path}/associations/delete"), member(&admin, "admin")).denied();
        who.put(&format!("{path}/permissions"), json!({ "permissions": [] })).denied();
        who.delete(&path).denied();
        who.poke(&format!("{path}/undelete")).denied();
        who.poke(&format!("{path}/restore/1")).denied();
        who.get(&format!("{path}/versions")).denied();
    }
    plain.get(&path).is(200);
    // An admin needs no permission and no grant.
    admin.get(&path).denied();
    assert_eq!(admin.patch(&path, json!({ "name": "ours" })).is(200)["content"]["name"], "ours");
    admin.post(&format!("{path}/associations"), member(&new, "admin")).is(204);
    admin.get(&format!("{path}/versions")).is(200);
    new.post(&format!("{path}/associations/delete"), member(&admin, "admin")).is(204);
    admin.patch(&path, json!({})).denied();
    new.put(&format!("{path}/permissions"), json!({ "permissions": [{ "access": "public" }] }))
        .is(204);
    s.anonymous().get(&path).is(200);
    new.delete(&path).is(204);
    let after = new.poke(&format!("{path}/undelete")).status;
    assert!(matches!(after, 200 | 403), "a deleted group has no admins, or still has them");
    new.delete(&format!("{path}?hard=true")).denied();
    owner.delete(&format!("{path}?hard=true")).is(204);
}

/// Who makes a group manages it.
#[test]
fn the_creator_is_the_first_admin() {
    let s = server();
    let ann = s.person();
    s.grant("_group@1", &["create"], Some(&ann.did));
    let made = ann.make("_group@1", json!({ "name": "g" }));
    assert_eq!(made["associations"], json!([member(&ann, "admin")]));
    assert_eq!(version(&made), 1);
    ann.patch(&format!("/records/{}", id(&made)), json!({ "name": "h" })).is(200);
    // Already listed: once.
    let made = ann
        .create(json!({ "typeId": "_group@1", "content": { "name": "g" }, "associations": [member(&ann, "admin"), member(&ann, "member")] }))
        .is(200);
    assert_eq!(made["associations"].as_array().unwrap().len(), 2);
    let made = s.owner().make("_group@1", json!({ "name": "g" }));
    assert_eq!(
        made["associations"],
        json!([{ "kind": "relationship", "label": "admin", "recordId": s.owner_did() }])
    );
    // Members need not exist anywhere.
    let stranger = json!({ "kind": "relationship", "label": "member", "recordId": "did:web:stranger.example" });
    ann.create(
        json!({ "typeId": "_group@1", "content": { "name": "g" }, "associations": [stranger] }),
    )
    .is(200);
}

/// An application may manage a group only when both it and the person it acts for may.
#[test]
fn management_under_delegation() {
    let s = server();
    let owner = s.owner();
    let (admin, plain, app) = (s.person(), s.person(), s.person());
    let group = group(&s, &admin, &plain);
    let path = format!("/records/{group}");
    let tag = json!({ "kind": "tag", "label": "x" });
    s.grant("_group", &["update-any", "read-any"], Some(&app.did));
    for (principal, subject, allowed) in [
        (&app.did, &admin.did, false),
        (&admin.did, &app.did, false),
        (&admin.did, &plain.did, false),
        (&s.owner_did(), &admin.did, true),
        (&admin.did, &s.owner_did(), true),
        (&s.owner_did(), &plain.did, false),
    ] {
        let who = s.delegate(principal, subject);
        let status = who.post(&format!("{path}/associations"), tag.clone()).status;
        assert_eq!(status, if allowed { 204 } else { 403 }, "{principal} for {subject}");
    }
    owner.get(&path).is(200);
}
