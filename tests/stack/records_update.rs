//! Patching content (stack 7.3).

use serde_json::{Value, json};

use crate::common::{call, id, server, text, version};

#[test]
fn merge_patch_of_the_top_level() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made =
        owner.make(&kind, json!({ "a": 1, "b": { "x": 1, "y": 2 }, "c": [1, 2], "d": null }));
    let path = format!("/records/{}", id(&made));
    for (patch, after) in [
        (json!({ "a": 2 }), json!({ "a": 2, "b": { "x": 1, "y": 2 }, "c": [1, 2], "d": null })),
        (json!({ "b": { "x": 9 } }), json!({ "a": 2, "b": { "x": 9 }, "c": [1, 2], "d": null })),
        (json!({ "c": null, "d": null, "nope": null }), json!({ "a": 2, "b": { "x": 9 } })),
        (json!({ "b": { "z": null } }), json!({ "a": 2, "b": { "z": null } })),
        (
            json!({ "e": false, "f": "", "g": 0 }),
            json!({ "a": 2, "b": { "z": null }, "e": false, "f": "", "g": 0 }),
        ),
        (json!({ "b": [], "e": null, "f": null, "g": null }), json!({ "a": 2, "b": [] })),
    ] {
        let now = owner.patch(&path, patch).is(200);
        assert_eq!(now["content"], after);
    }
    let now = owner.get(&path).is(200);
    assert_eq!(version(&now), 7);
    assert_eq!(now["createdAt"], made["createdAt"]);
    assert!(text(&now["updatedAt"]) >= text(&made["updatedAt"]));
    assert_eq!(now["entityId"], made["entityId"]);
}

/// A content patch always makes a version, even when nothing changes.
#[test]
fn a_patch_always_bumps() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({ "a": 1 }))));
    for expected in 2..5 {
        assert_eq!(version(&s.owner().patch(&path, json!({ "a": 1 })).is(200)), expected);
    }
    assert_eq!(version(&s.owner().patch(&path, json!({})).is(200)), 5);
    assert_eq!(s.owner().get(&format!("{path}/versions")).is(200).as_array().unwrap().len(), 4);
}

#[test]
fn the_merged_content_must_fit_the_stored_type() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type(
        "note",
        json!({ "title": { "kind": "string", "required": true }, "n": { "kind": "number" } }),
    );
    let made = owner.make(&kind, json!({ "title": "t" }));
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "title": 5 })).invalid(&["title"]);
    owner.patch(&path, json!({ "title": null })).invalid(&["title"]);
    owner.patch(&path, json!({ "title": null, "n": "x" })).invalid(&["title", "n"]);
    assert_eq!(owner.get(&path).is(200), made, "nothing changed");
    for key in ["__proto__", "constructor", "prototype"] {
        for value in [json!(null), json!({})] {
            owner
                .patch(&path, Value::Object([(key.to_owned(), value)].into_iter().collect()))
                .invalid(&[key]);
        }
    }
    // Record members are content here: the type cannot be changed this way.
    let now = owner.patch(&path, json!({ "typeId": "_app@1", "id": "x", "version": 99 })).is(200);
    assert_eq!(now["typeId"], json!(kind));
    assert_eq!(version(&now), 2);
    assert_eq!(
        now["content"],
        json!({ "title": "t", "typeId": "_app@1", "id": "x", "version": 99 })
    );
}

/// `{content: …}` and `{contentPatch: …}` are unwrapped when they cannot be meant otherwise.
#[test]
fn envelopes_of_other_generations() {
    let s = server();
    let owner = s.owner();
    let plain = s.new_type("plain", json!({}));
    let with_field =
        s.new_type("page", json!({ "content": { "kind": "object", "properties": {} } }));
    let bare = |kind: &str, patch: Value| {
        let made = owner.make(kind, json!({ "a": 1 }));
        let now = owner.patch(&format!("/records/{}", id(&made)), patch.clone()).is(200);
        let mut expected = patch;
        if expected.get("a").is_none() {
            expected["a"] = json!(1);
        }
        assert_eq!(now["content"], expected, "is the bare patch");
    };
    for wrapper in ["content", "contentPatch"] {
        let wrapped = |value: Value| json!({ wrapper: value });
        let made = owner.make(&plain, json!({ "a": 1, "b": 2 }));
        let path = format!("/records/{}", id(&made));
        let now = owner.patch(&path, wrapped(json!({ "a": 5, "b": null }))).is(200);
        assert_eq!(now["content"], json!({ "a": 5 }), "{wrapper} is unwrapped");
        let mut whole = made.clone();
        whole.as_object_mut().unwrap().remove("content");
        whole[wrapper] = json!({ "c": 1 });
        whole["unlisted"] = json!(true);
        whole["permissions"] = json!([{ "access": "public" }]);
        whole["associations"] = json!([]);
        whole["parentId"] = json!("x");
        let now = owner.patch(&path, whole).is(200);
        assert_eq!(
            now["content"],
            json!({ "a": 5, "c": 1 }),
            "beside record members, which are ignored"
        );
        assert!(now.get("permissions").is_none() && now.get("parentId").is_none());

        bare(&plain, wrapped(json!("text")));
        bare(&plain, wrapped(json!([1])));
        let mut beside = wrapped(json!({ "x": 1 }));
        beside["title"] = json!("t");
        bare(&plain, beside);
    }
    bare(&plain, json!({ "content": { "x": 1 }, "contentPatch": { "y": 1 } }));
    bare(&with_field, json!({ "content": { "x": 1 } }));
    // The field is called `content`, so `contentPatch` still wraps.
    let made = owner.make(&with_field, json!({ "a": 1 }));
    let now = owner
        .patch(&format!("/records/{}", id(&made)), json!({ "contentPatch": { "a": 2 } }))
        .is(200);
    assert_eq!(now["content"], json!({ "a": 2 }));
    // Reserved keys are looked for in what was unwrapped.
    owner
        .patch(&format!("/records/{}", id(&made)), json!({ "contentPatch": { "prototype": 2 } }))
        .invalid(&["prototype"]);
}

/// Order: credential, existence, rights, version, keys, content.
#[test]
fn checks_come_in_order() {
    let s = server();
    let kind = s.new_type("note", json!({ "t": { "kind": "string" } }));
    let made = s.owner().make(&kind, json!({}));
    let path = format!("/records/{}", id(&made));
    let worst =
        |path: &str| call("PATCH", path).json(&json!({ "__proto__": 1, "t": 5 })).if_match(9);
    s.anonymous().send(worst(&path)).unauthorized();
    s.anonymous().send(worst("/records/1hk153x00001")).unauthorized();
    s.person().send(worst("/records/1hk153x00001")).missing();
    s.person().send(worst(&path)).denied();
    s.owner().send(worst(&path)).fails(412, "version_conflict");
    let reply = s.owner().patch(&path, json!({ "__proto__": 1, "t": 5 }));
    reply.fails(422, "validation");
    assert_eq!(s.owner().get(&path).is(200), made);
}

#[test]
fn a_soft_deleted_record_can_be_patched() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({ "a": 1 }))));
    s.owner().delete(&path).is(204);
    let now = s.owner().patch(&path, json!({ "a": 2 })).is(200);
    assert_eq!(version(&now), 3);
    assert!(now["deletedAt"].is_string());
    assert_eq!(now["content"], json!({ "a": 2 }));
}

/// Writers that come at once lose nothing: every patch is a version of its own.
#[test]
fn no_update_is_lost() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({}))));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (owner, path) = (s.owner(), path.clone());
            scope.spawn(move || {
                for m in 0..5 {
                    owner.patch(&path, json!({ format!("k{n}-{m}"): 1 })).is(200);
                }
            });
        }
    });
    let now = s.owner().get(&path).is(200);
    assert_eq!(version(&now), 41);
    assert_eq!(now["content"].as_object().unwrap().len(), 40);
    let history = s.owner().get(&format!("{path}/versions")).is(200);
    for (n, snapshot) in history.as_array().unwrap().iter().rev().enumerate() {
        assert_eq!(snapshot["version"].as_u64(), Some(n as u64 + 1));
        assert_eq!(snapshot["content"].as_object().unwrap().len(), n);
    }
}
