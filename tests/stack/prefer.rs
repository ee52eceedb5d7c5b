//! `Prefer: return=representation` (stack 1.8).

use serde_json::{Value, json};

use crate::common::{call, id, server, version};

#[test]
fn routes_without_a_body_can_answer_with_the_record() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({ "a": 1 }))));
    let tag = json!({ "kind": "tag", "label": "x" });
    let public = json!([{ "access": "public" }]);
    // (request, version after it, associations, permissions)
    let steps = [
        (
            call("POST", &format!("{path}/associations")).json(&tag),
            2,
            Some(json!([tag])),
            json!([]),
        ),
        (
            call("POST", &format!("{path}/associations")).json(&tag),
            2,
            Some(json!([tag])),
            json!([]),
        ),
        (
            call("PUT", &format!("{path}/permissions")).json(&json!({ "permissions": public })),
            3,
            Some(json!([tag])),
            public.clone(),
        ),
        (call("POST", &format!("{path}/associations/delete")).json(&tag), 4, None, public.clone()),
        (call("DELETE", &format!("{path}/associations")).json(&tag), 4, None, public.clone()),
        (
            call("PUT", &format!("{path}/permissions")).json(&json!({ "permissions": [] })),
            5,
            None,
            json!([]),
        ),
        (call("DELETE", &path), 6, None, json!([])),
    ];
    for (request, number, associations, permissions) in steps {
        let reply = owner.send(request.represent());
        assert_eq!(reply.header("etag"), Some(format!("\"{number}\"").as_str()), "{reply}");
        let record = reply.is(200);
        assert_eq!(version(&record), number);
        assert_eq!(record.get("associations"), associations.as_ref());
        assert_eq!(record["permissions"], permissions, "always present in this body");
        let mut stored = owner.get(&path).is(200);
        if permissions == json!([]) {
            assert!(stored.get("permissions").is_none());
            stored["permissions"] = Value::Null;
        }
        assert_eq!(stored["content"], record["content"]);
        assert_eq!(stored["updatedAt"], record["updatedAt"]);
    }
    assert!(owner.get(&path).is(200)["deletedAt"].is_string());
}

#[test]
fn where_it_does_not_apply() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let make = || format!("/records/{}", id(&owner.make(&kind, json!({}))));
    owner.send(call("DELETE", &format!("{}?hard=true", make())).represent()).is(204);
    for other in
        ["return=minimal", "handling=strict", "respond-async", "", "representation", "return"]
    {
        owner.send(call("DELETE", &make()).header("Prefer", other)).is(204);
    }
    for spelling in [
        "return=representation",
        "return=\"representation\"",
        "respond-async, return=representation",
        "RETURN=representation",
    ] {
        let reply = owner.send(call("DELETE", &make()).header("Prefer", spelling));
        assert!(reply.status == 200 || spelling != "return=representation", "{spelling}: {reply}");
    }
    // A refusal is a refusal.
    let path = make();
    s.person().send(call("DELETE", &path).represent()).denied();
    owner
        .send(
            call("PUT", &format!("{path}/permissions"))
                .json(&json!({ "permissions": [{}] }))
                .represent(),
        )
        .invalid(&["permissions[0]"]);
}
