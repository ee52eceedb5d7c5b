//! Record permissions (stack 5.2, 6.2, 7.6).

use serde_json::{Value, json};

use crate::common::{Who, call, id, server, version};

/// Entries that are refused wherever a list of permissions is taken.
pub(crate) fn malformed() -> Vec<Value> {
    vec![
        json!({}),
        json!(null),
        json!("public"),
        json!([]),
        json!({ "access": "everyone" }),
        json!({ "access": "Public" }),
        json!({ "access": 1 }),
        json!({ "access": "entity" }),
        json!({ "access": "entity", "entityId": "" }),
        json!({ "access": "entity", "entityId": 5, "read": true }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": "yes" }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": 1 }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": true, "write": "no" }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": false, "write": true }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "write": true }),
        json!({ "access": "group" }),
        json!({ "access": "group", "groupId": "" }),
        json!({ "access": "group", "groupId": 5, "read": true }),
        json!({ "access": "group", "entityId": "did:web:a.b", "read": true }),
        json!({ "access": "group", "groupId": "1hk153x00001", "read": null, "write": 1 }),
        json!({ "access": "group", "groupId": "1hk153x00001", "write": true }),
    ]
}

pub(crate) fn well_formed() -> Vec<Value> {
    vec![
        json!({ "access": "public" }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": true, "write": true }),
        json!({ "access": "entity", "entityId": "did:web:a.b", "read": true }),
        json!({ "access": "entity", "entityId": "did:web:a.b" }),
        json!({ "access": "group", "groupId": "1hk153x00001", "read": true, "write": false, "role": "admin" }),
        json!({ "access": "group", "groupId": "nowhere", "read": true }),
    ]
}

pub(crate) fn entity(who: &Who, write: bool) -> Value {
    json!({ "access": "entity", "entityId": who.did, "read": true, "write": write })
}

/// Who may do what under each kind of entry: rows are lists, columns are anonymous, the named person, another person.
#[test]
fn what_an_entry_allows() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (ann, bob) = (s.person(), s.person());
    let people = [s.anonymous(), ann.clone(), bob];
    let no_read = json!({ "access": "entity", "entityId": ann.did, "read": false, "write": false });
    for (list, reads, writes) in [
        (json!([]), [false; 3], [false; 3]),
        (json!([{ "access": "public" }]), [true; 3], [false; 3]),
        (json!([entity(&ann, false)]), [false, true, false], [false; 3]),
        (json!([entity(&ann, true)]), [false, true, false], [false, true, false]),
        (json!([no_read]), [false; 3], [false; 3]),
        (json!([no_read, { "access": "public" }]), [true; 3], [false; 3]),
        (json!([{ "access": "public" }, entity(&ann, true)]), [true; 3], [false, true, false]),
        // A key that public entries do not have grants nothing more.
        (json!([{ "access": "public", "write": true, "read": true }]), [true; 3], [false; 3]),
    ] {
        let made = owner
            .create(json!({ "typeId": kind, "content": { "n": 0 }, "permissions": list }))
            .is(200);
        let path = format!("/records/{}", id(&made));
        for (n, who) in people.iter().enumerate() {
            let expect = |allowed: bool| {
                if allowed {
                    200
                } else if who.token.is_none() {
                    401
                } else {
                    403
                }
            };
            let read = if reads[n] { 200 } else { 403 };
            assert_eq!(who.get(&path).status, read, "{list} person {n}");
            assert_eq!(who.get(&format!("{path}/permissions")).status, read);
            assert_eq!(who.get(&format!("{path}/associations")).status, read);
            let found = who.find(json!({ "filter": { "typeId": kind } })).contains(&id(&made));
            assert_eq!(found, reads[n], "the query agrees with the read: {list} person {n}");
            assert_eq!(
                who.patch(&path, json!({ "n": 1 })).status,
                expect(writes[n]),
                "{list} person {n}"
            );
            assert_eq!(
                who.get(&format!("{path}/versions")).status,
                if writes[n] { 200 } else { 403 }
            );
            let status = who.delete(&path).status;
            assert_eq!(status, if writes[n] { 204 } else { expect(false) }, "write covers delete");
            let status = who.poke(&format!("{path}/undelete")).status;
            assert_eq!(status, expect(writes[n]));
            assert_eq!(
                who.put(&format!("{path}/permissions"), json!({ "permissions": [] })).status,
                expect(false)
            );
            assert_eq!(
                who.delete(&format!("{path}?hard=true")).status,
                expect(false),
                "never a hard delete"
            );
        }
        owner.get(&path).is(200);
    }
}

#[test]
fn replacing_the_list() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = owner.make(&kind, json!({}));
    let path = format!("/records/{}", id(&made));
    let list = format!("{path}/permissions");
    assert_eq!(owner.get(&list).is(200), json!({ "permissions": [] }));
    let full = json!([{ "access": "public" }, { "access": "entity", "entityId": "did:web:a.b", "read": true, "write": true }]);
    owner.put(&list, json!({ "permissions": full })).is(204);
    assert_eq!(owner.get(&list).is(200), json!({ "permissions": full }));
    let now = owner.get(&path).is(200);
    assert_eq!((version(&now), &now["permissions"]), (2, &full));
    // The same again is no change; another order is one.
    owner.put(&list, json!({ "permissions": full })).is(204);
    assert_eq!(version(&owner.get(&path).is(200)), 2);
    let turned = json!([full[1], full[0]]);
    owner.put(&list, json!({ "permissions": turned })).is(204);
    assert_eq!(version(&owner.get(&path).is(200)), 3);
    owner.put(&list, json!({ "permissions": [] })).is(204);
    let now = owner.get(&path).is(200);
    assert!(now.get("permissions").is_none() && version(&now) == 4);
    owner.put(&list, json!({ "permissions": [] })).is(204);
    assert_eq!(version(&owner.get(&path).is(200)), 4);
    // The role is part of an entry.
    let group = |role: bool| {
        let mut entry =
            json!({ "access": "group", "groupId": "1hk153x00001", "read": true, "write": false });
        if role {
            entry["role"] = json!("admin");
        }
        json!({ "permissions": [entry] })
    };
    owner.put(&list, group(false)).is(204);
    owner.put(&list, group(true)).is(204);
    assert_eq!(version(&owner.get(&path).is(200)), 6);
}

#[test]
fn what_is_no_list() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}/permissions", id(&owner.make(&kind, json!({}))));
    for body in [
        json!({}),
        json!({ "permissions": null }),
        json!({ "permissions": {} }),
        json!({ "permissions": "public" }),
        json!([]),
    ] {
        owner.put(&path, body).bad_request();
    }
    for bad in malformed() {
        owner.put(&path, json!({ "permissions": [bad] })).invalid(&["permissions[0]"]);
    }
    for good in well_formed() {
        owner.put(&path, json!({ "permissions": [good] })).is(204);
    }
    owner.put("/records/1hk153x00001/permissions", json!({ "permissions": [] })).missing();
    owner.get("/records/1hk153x00001/permissions").missing();
}

/// The creator may replace the list, a mere writer may not, nor a grantee of every action.
#[test]
fn who_may_replace() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (ann, bob) = (s.person(), s.person());
    s.grant(&kind, &["create"], Some(&ann.did));
    s.grant(&kind, &["create", "read-any", "update-any", "delete-any"], Some(&bob.did));
    let made = ann.make(&kind, json!({}));
    let path = format!("/records/{}/permissions", id(&made));
    let body = json!({ "permissions": [entity(&bob, true)] });
    s.anonymous().put(&path, body.clone()).unauthorized();
    bob.put(&path, body.clone()).denied();
    ann.put(&path, body.clone()).is(204);
    bob.put(&path, json!({ "permissions": [] })).denied();
    owner.put(&path, json!({ "permissions": [] })).is(204);
    // Having lost all read access, the creator still owns the decision.
    ann.get(&format!("/records/{}", id(&made))).denied();
    ann.put(&path, json!({ "permissions": [entity(&ann, false)] })).is(204);
    ann.get(&format!("/records/{}", id(&made))).is(200);
    // The gate is asked before the shape of the list.
    bob.put(&path, json!({ "permissions": [{}] })).denied();
    s.anonymous().send(call("PUT", &path).bytes(b"{")).unauthorized();
}

/// A non-owner may give permissions in a create.
#[test]
fn a_grantee_may_share_what_it_makes() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let (ann, bob) = (s.person(), s.person());
    s.grant(&kind, &["create"], Some(&ann.did));
    let made = ann
        .create(json!({ "typeId": kind, "content": {}, "permissions": [entity(&bob, false)] }))
        .is(200);
    bob.get(&format!("/records/{}", id(&made))).is(200);
    // Creating is not reading.
    ann.get(&format!("/records/{}", id(&made))).denied();
}

/// The switch of 6.7: who cannot read a record is told that there is none. Who can read it, but not do more, is still told so.
#[test]
fn unreadable_records_can_look_missing() {
    let s = crate::common::Setup::new().env("CAIRN_UNREADABLE", "not_found").start();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (ann, bob) = (s.person(), s.person());
    let body = json!({ "typeId": kind, "content": {}, "permissions": [entity(&ann, false)] });
    let path = format!("/records/{}", id(&owner.create(body).is(200)));
    ann.get(&path).is(200);
    ann.patch(&path, json!({})).denied();
    for who in [s.anonymous(), bob.clone()] {
        let (hidden, missing) = (who.get(&path), who.get("/records/1hk153x00001"));
        assert_eq!(hidden.status, missing.status);
        hidden.missing();
        who.get(&format!("{path}/permissions")).missing();
    }
    bob.patch(&path, json!({})).missing();
    bob.delete(&path).missing();
    s.anonymous().patch(&path, json!({})).unauthorized();
    owner.get(&path).is(200);
}
