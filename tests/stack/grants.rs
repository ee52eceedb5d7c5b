//! Type grants (stack 6.3, 6.4).

use serde_json::{Value, json};

use crate::common::{id, next, server, version};

const ACTIONS: [&str; 7] =
    ["create", "read-own", "read-any", "update-own", "update-any", "delete-own", "delete-any"];

/// The whole table: a holder of exactly one action against every operation on own and foreign records.
#[test]
fn each_action_allows_itself_and_nothing_else() {
    let s = server();
    let owner = s.owner();
    for action in ACTIONS {
        let kind = s.new_type("note", json!({}));
        let ann = s.person();
        let first = s.grant(&kind, &["create"], Some(&ann.did));
        let own = id(&ann.make(&kind, json!({ "n": 0 })));
        owner.delete(&format!("/records/{first}")).is(204);
        ann.create(json!({ "typeId": kind, "content": {} })).denied();
        let foreign = id(&owner.make(&kind, json!({ "n": 0 })));
        s.grant(&kind, &[action], Some(&ann.did));

        let allowed = |verb: &str, is_own: bool| {
            action == format!("{verb}-any") || is_own && action == format!("{verb}-own")
        };
        let created = ann.create(json!({ "typeId": kind, "content": {} })).status;
        assert_eq!(created, if action == "create" { 200 } else { 403 }, "{action}: create");
        for (record, is_own) in [(&own, true), (&foreign, false)] {
            let path = format!("/records/{record}");
            let say = |verb: &str, ok: u16| if allowed(verb, is_own) { ok } else { 403 };
            let context = format!("{action}, own {is_own}");
            assert_eq!(ann.get(&path).status, say("read", 200), "{context}: get");
            assert_eq!(
                ann.get(&format!("{path}/permissions")).status,
                say("read", 200),
                "{context}"
            );
            let found = ann.find(json!({ "filter": { "typeId": kind } })).contains(record);
            assert_eq!(found, allowed("read", is_own), "{context}: query");
            assert_eq!(
                ann.patch(&path, json!({ "n": 1 })).status,
                say("update", 200),
                "{context}: patch"
            );
            let tag = json!({ "kind": "tag", "label": "x" });
            assert_eq!(
                ann.post(&format!("{path}/associations"), tag.clone()).status,
                say("update", 204),
                "{context}: tag"
            );
            assert_eq!(
                ann.post(&format!("{path}/associations/delete"), tag).status,
                say("update", 204),
                "{context}"
            );
            assert_eq!(
                ann.get(&format!("{path}/versions")).status,
                say("update", 200),
                "{context}: history"
            );
            owner.patch(&path, json!({ "n": 2 })).is(200);
            assert_eq!(
                ann.poke(&format!("{path}/restore/1")).status,
                say("update", 200),
                "{context}: restore"
            );
            assert_eq!(ann.delete(&path).status, say("delete", 204), "{context}: delete");
            assert_eq!(
                ann.poke(&format!("{path}/undelete")).status,
                say("delete", 200),
                "{context}: undelete"
            );
            assert_eq!(ann.delete(&format!("{path}?hard=true")).status, 403, "{context}: hard");
            let replaced =
                ann.put(&format!("{path}/permissions"), json!({ "permissions": [] })).status;
            assert_eq!(
                replaced,
                if is_own { 204 } else { 403 },
                "{context}: the creator replaces the list"
            );
        }
    }
}

#[test]
fn several_actions_and_several_grants_add_up() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create", "read-own"], Some(&ann.did));
    s.grant(&kind, &["update-own"], Some(&ann.did));
    let path = format!("/records/{}", id(&ann.make(&kind, json!({}))));
    ann.get(&path).is(200);
    ann.patch(&path, json!({})).is(200);
    ann.delete(&path).denied();
}

/// A grant speaks of the family, whichever version it names.
#[test]
fn a_grant_covers_the_family() {
    let s = server();
    let base = format!("com.example.f{}/note", next());
    for n in [1, 2] {
        s.register(&format!("{base}@{n}"), json!({}));
    }
    for named in [base.clone(), format!("{base}@1"), format!("{base}@2"), format!("{base}@99")] {
        let ann = s.person();
        s.grant(&named, &["create"], Some(&ann.did));
        for n in [1, 2] {
            ann.make(&format!("{base}@{n}"), json!({}));
        }
    }
    let ann = s.person();
    for other in [
        format!("{base}s"),
        format!("{base}@x"),
        base[..base.len() - 1].to_owned(),
        "*".to_owned(),
        String::new(),
    ] {
        s.grant(&other, &["create"], Some(&ann.did));
    }
    ann.create(json!({ "typeId": format!("{base}@1"), "content": {} })).denied();
}

#[test]
fn default_grants_cover_everybody_with_a_name() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    s.grant(&kind, &["create", "read-own"], None);
    let (ann, bob) = (s.person(), s.person());
    let path = format!("/records/{}", id(&ann.make(&kind, json!({}))));
    ann.get(&path).is(200);
    bob.get(&path).denied();
    bob.make(&kind, json!({}));
    s.anonymous().get(&path).denied();
    s.anonymous().create(json!({ "typeId": kind, "content": {} })).unauthorized();
    // Everybody may read, but nobody is not everybody.
    s.grant(&kind, &["read-any"], None);
    bob.get(&path).is(200);
    s.anonymous().get(&path).denied();
    assert!(s.anonymous().find(json!({ "filter": { "typeId": kind } })).is_empty());
}

/// Only a missing grantee is everybody: an empty one is nobody, a group is not everybody.
#[test]
fn a_lost_grantee_is_not_everybody() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let body = json!({ "typeId": kind, "content": {} });
    let group = id(&owner.make("_group@1", json!({ "name": "g" })));
    for extra in [
        json!({ "granteeEntityId": "" }),
        json!({ "granteeGroupId": group }),
        json!({ "granteeEntityId": "did:web:other.example" }),
    ] {
        let mut content = json!({ "typeId": kind, "actions": ["create"] });
        content.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        owner.make("_grant@1", content);
        ann.create(body.clone()).denied();
    }
    // A null is "absent" nowhere but in the schema; read as missing or as nobody, it must not be refused with a fault.
    let reply = owner.create(json!({ "typeId": "_grant@1", "content": { "typeId": "x", "actions": [], "granteeEntityId": null } }));
    assert!(matches!(reply.status, 200 | 422), "{reply}");
}

/// Revoking, changing, deleting and undeleting a grant take effect with the next request.
#[test]
fn grants_are_alive() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let grant = format!("/records/{}", s.grant(&kind, &["create"], Some(&ann.did)));
    let body = json!({ "typeId": kind, "content": {} });
    let may = |expected: bool| assert_eq!(ann.create(body.clone()).status == 200, expected);
    may(true);
    owner.patch(&grant, json!({ "actions": ["read-own"] })).is(200);
    may(false);
    owner.patch(&grant, json!({ "actions": ["read-own", "create"] })).is(200);
    may(true);
    owner.delete(&grant).is(204);
    may(false);
    owner.poke(&format!("{grant}/undelete")).is(200);
    may(true);
    owner.patch(&grant, json!({ "granteeEntityId": "did:web:other.example" })).is(200);
    may(false);
    owner.patch(&grant, json!({ "granteeEntityId": null })).is(200);
    may(true);
    owner.patch(&grant, json!({ "typeId": "com.example/else@1" })).is(200);
    may(false);
    let last = version(&owner.get(&grant).is(200));
    owner.poke(&format!("{grant}/restore/{}", last - 1)).is(200);
    may(true);
    owner.delete(&format!("{grant}?hard=true")).is(204);
    may(false);
}

/// Grants cannot be granted, nor the configuration, nor application cards: whatever a grant record says.
#[test]
fn families_no_grant_reaches() {
    let s = server();
    let owner = s.owner();
    let ann = s.person();
    let app_card =
        id(&owner.make("_app@1", json!({ "appId": "com.example.unreachable", "name": "n" })));
    let grant_record = s.grant("com.example/none", &["create"], Some("did:web:nobody.example"));
    for family in ["_grant", "_grant@1", "_config", "_config@1", "_app", "_app@1", "_app@7"] {
        for grantee in [Some(ann.did.as_str()), None] {
            let mut content = json!({ "typeId": family, "actions": ACTIONS });
            if let Some(grantee) = grantee {
                content["granteeEntityId"] = json!(grantee);
            }
            let reply = owner.create(json!({ "typeId": "_grant@1", "content": content }));
            assert!(matches!(reply.status, 200 | 422), "{reply}");
        }
    }
    for record in [app_card.as_str(), &grant_record, "_config"] {
        ann.get(&format!("/records/{record}")).denied();
        ann.patch(&format!("/records/{record}"), json!({ "name": "x" })).denied();
        ann.delete(&format!("/records/{record}")).denied();
        ann.get(&format!("/records/{record}/versions")).denied();
    }
    ann.create(json!({ "typeId": "_app@1", "content": { "appId": "a.b", "name": "n" } })).denied();
    ann.create(
        json!({ "typeId": "_grant@1", "content": { "typeId": "x", "actions": ["create"] } }),
    )
    .denied();
    ann.create(json!({ "typeId": "_config@1", "content": { "entityId": ann.did } })).denied();
    assert!(
        ann.find(json!({ "filter": { "typeId": ["_grant@1", "_app@1", "_config@1"] } })).is_empty()
    );
    let unknown = owner.create(json!({ "typeId": "_grant@1", "content": { "typeId": "com.example/x", "actions": ["everything"] } }));
    assert!(matches!(unknown.status, 200 | 422), "{unknown}");
}

/// Changing a grant is for the owner alone, whatever the grant record's own permissions say; its history is ordinary.
#[test]
fn grant_records_are_the_owners() {
    let s = server();
    let owner = s.owner();
    let ann = s.person();
    let made = owner
        .create(json!({ "typeId": "_grant@1", "content": { "typeId": "com.example/none", "actions": ["create"], "granteeEntityId": "did:web:a.b" },
            "permissions": [super::permissions::entity(&ann, true)] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "actions": ["create"] })).is(200);
    ann.get(&path).is(200);
    ann.get(&format!("{path}/versions")).is(200);
    let delegated = s.delegate(&ann.did, &s.owner_did());
    for who in [&ann, &delegated] {
        who.patch(&path, json!({ "actions": ACTIONS })).denied();
        who.delete(&path).denied();
        who.poke(&format!("{path}/undelete")).denied();
        who.poke(&format!("{path}/restore/1")).denied();
        who.post(&format!("{path}/associations"), json!({ "kind": "tag", "label": "x" })).denied();
        who.post(&format!("{path}/associations/delete"), json!({ "kind": "tag", "label": "x" }))
            .denied();
        who.put(&format!("{path}/permissions"), json!({ "permissions": [] })).denied();
    }
    assert_eq!(version(&owner.get(&path).is(200)), 2);
}

/// Malformed grant contents are refused by the type itself.
#[test]
fn grants_have_a_type() {
    let s = server();
    for (content, path) in [
        (json!({ "actions": ["create"] }), "typeId"),
        (json!({ "typeId": "x" }), "actions"),
        (json!({ "typeId": 5, "actions": [] }), "typeId"),
        (json!({ "typeId": "x", "actions": "create" }), "actions"),
        (json!({ "typeId": "x", "actions": [1] }), "actions[0]"),
        (json!({ "typeId": "x", "actions": [], "granteeEntityId": 5 }), "granteeEntityId"),
    ] {
        let reply = s.owner().create(json!({ "typeId": "_grant@1", "content": content }));
        let body = reply.fails(422, "validation");
        let details: &Vec<Value> = body["error"]["details"].as_array().unwrap();
        assert!(details.iter().any(|d| d["path"] == path), "{body}");
    }
}
