//! Nobody points at what they cannot reach (stack 6.5).

use serde_json::{Value, json};

use crate::common::{id, next, server, text};

#[test]
fn parents_and_relationships() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create", "update-own", "read-own"], Some(&ann.did));
    let hidden = id(&owner.make(&kind, json!({})));
    let shown = id(&owner
        .create(json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }] }))
        .is(200));
    let own = id(&ann.make(&kind, json!({})));
    let list = format!("/records/{own}/associations");
    for (target, allowed) in [
        (hidden.as_str(), false),
        ("1hk153x00001", false),
        ("nonsense", false),
        (&ann.did, false),
        (&shown, true),
        (&own, true),
    ] {
        let parent = ann.create(json!({ "typeId": kind, "content": {}, "parentId": target }));
        let relation = json!({ "kind": "relationship", "label": "x", "recordId": target });
        let related =
            ann.create(json!({ "typeId": kind, "content": {}, "associations": [relation] }));
        let added = ann.post(&list, relation.clone());
        if allowed {
            assert_eq!(parent.is(200)["parentId"], json!(target));
            related.is(200);
            added.is(204);
        } else {
            let bodies = [parent.text(), related.text(), added.text()];
            assert!(
                bodies.iter().all(|b| !b.contains(target)),
                "missing and unreadable look alike: {bodies:?}"
            );
            parent.denied();
            related.denied();
            added.denied();
        }
        // The owner may point anywhere.
        owner.create(json!({ "typeId": kind, "content": {}, "parentId": target, "associations": [relation] })).is(200);
    }
    // Removing is never gated, tags never.
    owner.post(&list, json!({ "kind": "relationship", "label": "y", "recordId": hidden })).is(204);
    ann.post(
        &format!("{list}/delete"),
        json!({ "kind": "relationship", "label": "y", "recordId": hidden }),
    )
    .is(204);
    ann.post(&list, json!({ "kind": "tag", "label": hidden })).is(204);
    // A deleted record that can be read can be pointed at.
    owner.delete(&format!("/records/{shown}")).is(204);
    ann.create(json!({ "typeId": kind, "content": {}, "parentId": shown })).is(200);
}

/// The same bodies for missing and unreadable targets, to the byte.
#[test]
fn missing_and_unreadable_are_one_answer() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    s.grant(&kind, &["create"], Some(&ann.did));
    let hidden = id(&s.owner().make(&kind, json!({})));
    let say =
        |target: &str| ann.create(json!({ "typeId": kind, "content": {}, "parentId": target }));
    let (a, b) = (say(&hidden), say("1hk153x00001"));
    assert_eq!((a.status, a.json()["error"].clone()), (b.status, b.json()["error"].clone()));
}

#[test]
fn files() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type(
        "photo",
        json!({ "image": { "kind": "file-ref" }, "loose": { "kind": "string" } }),
    );
    let ann = s.person();
    s.grant(&kind, &["create", "update-own", "read-own"], Some(&ann.did));
    let file = |n: &str| {
        text(&owner.upload("text/plain", format!("gating {n} {}", next()).as_bytes())["fileId"])
            .to_owned()
    };
    let (hidden, shown, by_field) = (file("a"), file("b"), file("c"));
    let public = json!([{ "access": "public" }]);
    owner.create(json!({ "typeId": kind, "content": {}, "permissions": public, "associations": [{ "kind": "attachment", "label": "x", "fileId": shown }] })).is(200);
    owner
        .create(json!({ "typeId": kind, "content": { "image": by_field }, "permissions": public }))
        .is(200);
    // A string that looks like a file id is no reference.
    owner
        .create(json!({ "typeId": kind, "content": { "loose": hidden }, "permissions": public }))
        .is(200);
    let own = format!("/records/{}", id(&ann.make(&kind, json!({}))));
    for (target, allowed) in
        [(&hidden, false), (&"0".repeat(64), false), (&shown, true), (&by_field, true)]
    {
        let attachment = json!({ "kind": "attachment", "label": "x", "fileId": target });
        let replies = [
            ann.create(json!({ "typeId": kind, "content": { "image": target } })).status,
            ann.create(json!({ "typeId": kind, "content": {}, "associations": [attachment] }))
                .status,
            ann.patch(&own, json!({ "image": target })).status,
            ann.post(&format!("{own}/associations"), attachment).status,
        ];
        assert_eq!(replies, if allowed { [200, 200, 200, 204] } else { [403; 4] }, "{target}");
        ann.create(json!({ "typeId": kind, "content": { "loose": target } })).is(200);
        owner.create(json!({ "typeId": kind, "content": { "image": target } })).is(200);
    }
    // What is not in the patch is not asked about again.
    let foreign = owner.create(json!({ "typeId": kind, "content": { "image": hidden }, "permissions": [super::permissions::entity(&ann, true)] })).is(200);
    ann.patch(&format!("/records/{}", id(&foreign)), json!({ "loose": "x" })).is(200);
}

/// One's own upload can be used; somebody else's cannot, even with the same bytes' name known.
#[test]
fn own_uploads() {
    let s = server();
    let kind = s.new_type("photo", json!({ "image": { "kind": "file-ref" } }));
    let (ann, bob) = (s.person(), s.person());
    s.grant(&kind, &["create"], None);
    for who in [&ann, &bob] {
        s.grant("_attachment", &["create"], Some(&who.did));
    }
    let bytes = format!("own upload {}", next());
    let uploaded = ann.upload("text/plain", bytes.as_bytes());
    let body = |file: &Value| json!({ "typeId": kind, "content": { "image": file } });
    ann.create(body(&uploaded["fileId"])).is(200);
    bob.create(body(&uploaded["fileId"])).denied();
    let again = bob.upload("text/plain", bytes.as_bytes());
    assert_eq!(again["fileId"], uploaded["fileId"]);
    assert_ne!(again["id"], uploaded["id"]);
    bob.create(body(&again["fileId"])).is(200);
    // Once the metadata record is gone, it no longer opens the file.
    s.owner().delete(&format!("/records/{}", id(&again))).is(204);
    bob.create(body(&again["fileId"])).denied();
    // An application needs the right to read attachments.
    s.grant(&kind, &["create"], Some(&bob.did));
    let by_app = s.delegate(&bob.did, &ann.did);
    by_app.create(body(&uploaded["fileId"])).denied();
    s.grant("_attachment", &["read-own"], Some(&bob.did));
    by_app.create(body(&uploaded["fileId"])).is(200);
}
