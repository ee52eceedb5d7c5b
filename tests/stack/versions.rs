//! History (stack 5.3, 7.8, 8).

use serde_json::{Value, json};

use crate::common::{call, id, server, text, version};

fn numbers(history: &Value) -> Vec<i64> {
    history.as_array().expect("a list").iter().map(version).collect()
}

#[test]
fn every_mutation_leaves_the_state_before_it() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let v1 = owner.make(&kind, json!({ "a": 1 }));
    let path = format!("/records/{}", id(&v1));
    assert_eq!(
        owner.get(&format!("{path}/versions")).is(200),
        json!([]),
        "version 1 has no history"
    );
    owner.get(&format!("{path}/versions/1")).missing();
    let tag = json!({ "kind": "tag", "label": "x" });
    owner.post(&format!("{path}/associations"), tag.clone()).is(204);
    let v2 = owner.get(&path).is(200);
    owner
        .put(&format!("{path}/permissions"), json!({ "permissions": [{ "access": "public" }] }))
        .is(204);
    let v3 = owner.get(&path).is(200);
    owner.delete(&path).is(204);
    let v4 = owner.get(&path).is(200);
    let v5 = owner.poke(&format!("{path}/undelete")).is(200);
    let v6 = owner.patch(&path, json!({ "a": 2 })).is(200);
    assert_eq!([&v1, &v2, &v3, &v4, &v5, &v6].map(version), [1, 2, 3, 4, 5, 6]);
    let history = owner.get(&format!("{path}/versions")).is(200);
    assert_eq!(numbers(&history), [5, 4, 3, 2, 1]);
    for state in [&v1, &v2, &v3, &v4, &v5] {
        let n = version(state);
        let snapshot = owner.get(&format!("{path}/versions/{n}")).is(200);
        let in_list = history.as_array().unwrap().iter().find(|h| version(h) == n).unwrap();
        assert_eq!(&snapshot, in_list);
        assert_eq!(snapshot["content"], state["content"]);
        assert_eq!(snapshot["typeId"], state["typeId"]);
        assert_eq!(snapshot["updatedAt"], state["updatedAt"]);
        assert_eq!(snapshot["entityId"], state["entityId"]);
        let none = json!([]);
        assert_eq!(
            &snapshot["associations"],
            state.get("associations").unwrap_or(&none),
            "[] when there were none"
        );
        assert_eq!(snapshot.get("permissions"), state.get("permissions"), "version {n}");
        for key in ["parentId", "appId", "principalId", "id"] {
            assert!(snapshot.get(key).is_none(), "{key}");
        }
    }
    owner.get(&format!("{path}/versions/6")).missing();
}

#[test]
fn numbers_of_versions() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    owner.patch(&path, json!({})).is(200);
    for bad in ["x", "-1", "1.0", "1e0", "%201", "1%20", "+1", "0x1", "%D9%A1"] {
        owner.get(&format!("{path}/versions/{bad}")).bad_request();
        owner.poke(&format!("{path}/restore/{bad}")).bad_request();
    }
    for none in ["0", "2", "99999999999999999999999999999999", "9223372036854775807"] {
        owner.get(&format!("{path}/versions/{none}")).missing();
        owner.poke(&format!("{path}/restore/{none}")).missing();
    }
    owner.get(&format!("{path}/versions/01")).is(200);
    owner.get("/records/1hk153x00001/versions").missing();
    owner.get("/records/1hk153x00001/versions/1").missing();
}

/// History needs the right to write; nobody gets 403, and permissions are for the owner alone.
#[test]
fn who_may_look_back() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (reader, writer, granted) = (s.person(), s.person(), s.person());
    s.grant(&kind, &["update-any"], Some(&granted.did));
    let made = owner
        .create(json!({ "typeId": kind, "content": {}, "permissions": [
            { "access": "public" }, super::permissions::entity(&reader, false), super::permissions::entity(&writer, true)] }))
        .is(200);
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "a": 1 })).is(200);
    for rest in ["/versions", "/versions/1"] {
        let path = format!("{path}{rest}");
        for who in [s.anonymous(), s.person(), reader.clone()] {
            who.get(&path).denied();
        }
        for who in [&writer, &granted] {
            let reply = who.get(&path);
            assert!(
                !reply.text().contains("permissions") && !reply.text().contains(&reader.did),
                "{reply}"
            );
            let body = reply.is(200);
            let snapshot = if body.is_array() { &body[0] } else { &body };
            assert_eq!(text(&snapshot["entityId"]), s.owner_did());
        }
        assert!(owner.get(&path).text().contains(&reader.did));
        // A token for the owner that is not the owner alone does not see them either.
        let app = s.person();
        s.grant(&kind, &["update-any"], Some(&app.did));
        let by_app = s.delegate(&app.did, &s.owner_did()).get(&path);
        assert!(by_app.status == 200 && !by_app.text().contains("permissions"), "{by_app}");
    }
    // Somebody who may write but not read sees the history.
    granted.get(&path).is(200);
    owner.put(&format!("{path}/permissions"), json!({ "permissions": [] })).is(204);
    granted.get(&path).denied();
    granted.get(&format!("{path}/versions")).is(200);
}

/// The protocol's second example: create, patch, patch, restore, migrate.
#[test]
fn the_example_of_the_protocol() {
    let s = server();
    let owner = s.owner();
    let old = s.new_type("old", json!({}));
    let new = s.new_type("new", json!({}));
    let path = format!("/records/{}", id(&owner.make(&old, json!({ "n": 1 }))));
    owner.patch(&path, json!({ "n": 2 })).is(200);
    let v3 = owner.patch(&path, json!({ "n": 3 })).is(200);
    let history = || owner.get(&format!("{path}/versions")).is(200);
    assert_eq!((version(&v3), numbers(&history())), (3, vec![2, 1]));
    let v4 = owner.poke(&format!("{path}/restore/1")).is(200);
    assert_eq!((version(&v4), numbers(&history())), (4, vec![3, 2, 1]));
    assert_eq!(v4["content"], json!({ "n": 1 }));
    let v5 = owner
        .post(&format!("{path}/migrate"), json!({ "toTypeId": new, "content": { "m": 1 } }))
        .is(200);
    assert_eq!((version(&v5), numbers(&history())), (5, vec![4, 3, 2, 1]));
    assert_eq!(history()[0]["typeId"], json!(old));
    assert_eq!(v5["typeId"], json!(new));
    owner.delete(&format!("{path}?hard=true")).is(204);
    owner.send(call("GET", &format!("{path}/versions"))).missing();
}
