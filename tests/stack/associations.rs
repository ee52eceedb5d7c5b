//! Tags, attachments and relationships of a record (stack 5.1, 7.7).

use serde_json::{Value, json};

use crate::common::{call, encode, id, server, text, version};

fn sorted(list: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        list["associations"].as_array().expect("a list").iter().map(Value::to_string).collect();
    all.sort();
    all
}

#[test]
fn add_list_and_remove() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let other = id(&owner.make(&kind, json!({})));
    let file = text(&owner.upload("text/plain", b"associations")["fileId"]).to_owned();
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    let list = format!("{path}/associations");
    assert_eq!(owner.get(&list).is(200), json!({ "associations": [] }));
    let all = [
        json!({ "kind": "tag", "label": "a" }),
        json!({ "kind": "tag", "label": "b" }),
        json!({ "kind": "attachment", "label": "a", "fileId": file }),
        json!({ "kind": "relationship", "label": "a", "recordId": other }),
        json!({ "kind": "relationship", "label": "b", "recordId": other }),
        json!({ "kind": "relationship", "label": "a", "recordId": "1hk153x00001" }),
    ];
    for (n, association) in all.iter().enumerate() {
        owner.post(&list, association.clone()).is(204);
        owner.post(&list, association.clone()).is(204);
        assert_eq!(version(&owner.get(&path).is(200)), 2 + i64::try_from(n).unwrap(), "once each");
    }
    let mut wanted: Vec<String> = all.iter().map(Value::to_string).collect();
    wanted.sort();
    assert_eq!(sorted(&owner.get(&list).is(200)), wanted);
    for (filter, count) in [
        ("kind=tag", 2),
        ("kind=attachment", 1),
        ("kind=relationship", 3),
        ("label=a", 4),
        ("label=b", 2),
        ("kind=tag&label=a", 1),
        ("kind=relationship&label=b", 1),
        ("kind=nope", 0),
        ("label=A", 0),
        ("kind=tag&label=nope", 0),
        ("x=1", 6),
    ] {
        let got = owner.get(&format!("{list}?{filter}")).is(200);
        assert_eq!(got["associations"].as_array().unwrap().len(), count, "{filter}");
    }
    // Three spellings of a removal, each with identity as a whole.
    owner
        .post(
            &format!("{list}/delete"),
            json!({ "kind": "relationship", "label": "a", "recordId": "1hk153x00002" }),
        )
        .is(204);
    owner.post(&format!("{list}/delete"), json!({ "kind": "tag", "label": "nope" })).is(204);
    assert_eq!(version(&owner.get(&path).is(200)), 7, "what is not there is no change");
    owner.post(&format!("{list}/delete"), all[0].clone()).is(204);
    owner.send(call("DELETE", &list).json(&all[1])).is(204);
    owner.delete(&format!("{list}?kind=relationship&label=a&recordId={other}")).is(204);
    owner.delete(&format!("{list}?kind=attachment&label=a&fileId={file}")).is(204);
    let left = owner.get(&path).is(200);
    assert_eq!(version(&left), 11);
    let mut wanted: Vec<String> = [&all[4], &all[5]].iter().map(|a| a.to_string()).collect();
    wanted.sort();
    assert_eq!(sorted(&left), wanted);
    owner.delete(&format!("{list}?kind=relationship&label=b&recordId={other}")).is(204);
    owner.post(&format!("{list}/delete"), all[5].clone()).is(204);
    assert!(owner.get(&path).is(200).get("associations").is_none(), "absent when there are none");
}

#[test]
fn what_is_no_association() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    let list = format!("{path}/associations");
    for bad in [
        json!({}),
        json!({ "kind": "tag" }),
        json!({ "label": "x" }),
        json!({ "kind": "", "label": "x" }),
        json!({ "kind": "tag", "label": "" }),
        json!({ "kind": "tag", "label": 5 }),
        json!({ "kind": 5, "label": "x" }),
        json!({ "kind": "nope", "label": "x" }),
        json!({ "kind": "Tag", "label": "x" }),
        json!({ "kind": "attachment", "label": "x" }),
        json!({ "kind": "attachment", "label": "x", "fileId": "" }),
        json!({ "kind": "attachment", "label": "x", "fileId": 5 }),
        json!({ "kind": "relationship", "label": "x" }),
        json!({ "kind": "relationship", "label": "x", "recordId": "" }),
        json!({ "kind": "relationship", "label": "x", "fileId": "x" }),
        json!([]),
        json!("tag"),
    ] {
        owner.post(&list, bad).bad_request();
    }
    owner.send(call("POST", &list)).bad_request();
    assert_eq!(version(&owner.get(&path).is(200)), 1);
    // Labels are any text.
    for label in ["ä", "a/b", "a b", "\"", "'", "%", "\u{1F600}", "*"] {
        owner.post(&list, json!({ "kind": "tag", "label": label })).is(204);
        let found = owner.get(&format!("{list}?label={}", encode(label))).is(200);
        assert_eq!(found["associations"], json!([{ "kind": "tag", "label": label }]));
        owner.delete(&format!("{list}?kind=tag&label={}", encode(label))).is(204);
    }
    assert!(owner.get(&path).is(200).get("associations").is_none());
}

#[test]
fn who_may_change_them() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let (reader, writer) = (s.person(), s.person());
    let made = owner
        .create(json!({ "typeId": kind, "content": {},
            "permissions": [super::permissions::entity(&reader, false), super::permissions::entity(&writer, true)] }))
        .is(200);
    let list = format!("/records/{}/associations", id(&made));
    let tag = json!({ "kind": "tag", "label": "x" });
    for request in [
        call("POST", &list).json(&tag),
        call("POST", &format!("{list}/delete")).json(&tag),
        call("DELETE", &list).json(&tag),
        call("DELETE", &format!("{list}?kind=tag&label=x")),
    ] {
        s.anonymous().send(request.clone()).unauthorized();
        s.person().send(request.clone()).denied();
        reader.send(request.clone()).denied();
        writer.send(request).is(204);
    }
    s.anonymous().get(&list).denied();
    s.person().get(&list).denied();
    reader.get(&list).is(200);
    writer.post("/records/1hk153x00001/associations", tag.clone()).missing();
    writer.post("/records/1hk153x00001/associations/delete", tag.clone()).missing();
    writer.get("/records/1hk153x00001/associations").missing();
    s.anonymous().post("/records/1hk153x00001/associations", tag).unauthorized();
}
