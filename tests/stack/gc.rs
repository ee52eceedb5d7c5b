//! Collecting files nobody references (stack 10.4).

use serde_json::json;

use crate::common::{Setup, call, id, text};

#[test]
fn what_is_garbage() {
    let s = Setup::new().start();
    let owner = s.owner();
    let kind =
        s.new_type("note", json!({ "pic": { "kind": "file-ref" }, "loose": { "kind": "string" } }));
    let file = |name: &str| text(&owner.upload("text/plain", name.as_bytes())["fileId"]).to_owned();
    let (by_association, by_field, by_deleted, loose, alone) =
        (file("association"), file("field"), file("deleted"), file("loose"), file("alone 12345"));
    let bare = text(
        &owner.send(call("POST", "/attachments?record=false").bytes(b"bare")).is(201)["fileId"],
    )
    .to_owned();
    owner.create(json!({ "typeId": kind, "content": {}, "associations": [{ "kind": "attachment", "label": "x", "fileId": by_association }] })).is(200);
    owner.make(&kind, json!({ "pic": by_field }));
    let gone = owner.make(&kind, json!({ "pic": by_deleted }));
    owner.delete(&format!("/records/{}", id(&gone))).is(204);
    owner.make(&kind, json!({ "loose": loose }));

    let collect = |body: serde_json::Value| {
        let mut got = owner.post("/attachments/gc", body).is(200);
        got["deleted"].as_array_mut().unwrap().sort_by_key(|v| v.to_string());
        got
    };
    // The default grace is a day: nothing is old enough.
    let nothing = json!({ "deleted": [], "reclaimedBytes": 0 });
    assert_eq!(owner.poke("/attachments/gc").is(200), nothing, "the body may be empty");
    assert_eq!(collect(json!({})), nothing);
    assert_eq!(collect(json!({ "graceMs": 3_600_000 })), nothing);
    for wrong in [json!("0"), json!(null), json!([]), json!({}), json!(true)] {
        assert_eq!(collect(json!({ "graceMs": wrong })), nothing, "a wrong type is ignored");
    }
    let mut expected = vec![json!(loose), json!(alone), json!(bare)];
    expected.sort_by_key(|v| v.to_string());
    let bytes = "loose".len() + "alone 12345".len() + "bare".len();
    let all = json!({ "deleted": expected, "reclaimedBytes": bytes });
    assert_eq!(collect(json!({ "graceMs": 0, "dryRun": true })), all);
    assert_eq!(
        owner.get(&format!("/attachments/{alone}")).body,
        b"alone 12345",
        "a dry run deletes nothing"
    );
    assert_eq!(collect(json!({ "graceMs": 0, "dryRun": "true" })), all, "only true is a dry run");
    for gone in [&loose, &alone, &bare] {
        owner.get(&format!("/attachments/{gone}")).missing();
    }
    for kept in [&by_association, &by_field, &by_deleted] {
        assert_eq!(owner.get(&format!("/attachments/{kept}")).status, 200);
    }
    let left =
        owner.find(json!({ "filter": { "typeId": "_attachment@1", "includeDeleted": true } }));
    assert_eq!(left.len(), 3, "metadata records go with their bytes");
    assert_eq!(collect(json!({ "graceMs": 0 })), nothing);
    // A hard delete gives a file free.
    owner.delete(&format!("/records/{}?hard=true", id(&gone))).is(204);
    assert_eq!(collect(json!({ "graceMs": 0 }))["deleted"], json!([by_deleted]));
}

#[test]
fn guard_and_shape() {
    let s = Setup::new().start();
    for body in [&b"{"[..], b"nope", b"[]", b"null", b"1", b"\"x\"", b"\xff"] {
        s.owner().send(call("POST", "/attachments/gc").bytes(body)).bad_request();
    }
    s.anonymous().poke("/attachments/gc").unauthorized();
    s.person().poke("/attachments/gc").denied();
    s.person().send(call("POST", "/attachments/gc").bytes(b"{")).denied();
}

/// The established media type ends with the file.
#[test]
fn collected_bytes_can_come_back() {
    let s = Setup::new().start();
    let owner = s.owner();
    owner.upload("text/plain", b"back");
    owner.post("/attachments/gc", json!({ "graceMs": 0 })).is(200);
    let again = owner.upload("image/png", b"back");
    assert_eq!(owner.get(&format!("/attachments/{}", text(&again["fileId"]))).body, b"back");
}
