//! Wire bodies to the letter: one file in `golden/` for each documented shape, key order included.
//!
//! What differs from run to run is replaced by its kind: `<id>`, `<instant>`, `<hex 64>`, …; texts of errors, which are
//! no part of the contract, by `<text>`.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{
    Key, Reply, Server, Setup, call, id, is_hex, is_instant, is_record_id, text, type_body,
};

fn normal(value: &mut Value, dids: &[(String, &str)]) {
    match value {
        Value::String(text) => {
            let kind = if is_instant(text) {
                "<instant>"
            } else if is_record_id(text) && text.starts_with('1') {
                "<id>"
            } else if is_hex(text, 64) {
                "<hex 64>"
            } else if is_hex(text, 16) {
                "<hex 16>"
            } else if text.len() == 24
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            {
                "<nonce>"
            } else if let Some((_, name)) = dids.iter().find(|(did, _)| did == text) {
                name
            } else {
                return;
            };
            *text = kind.to_owned();
        }
        Value::Array(list) => list.iter_mut().for_each(|v| normal(v, dids)),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                if key == "message" && member.is_string() {
                    *member = json!("<text>");
                } else {
                    normal(member, dids);
                }
            }
        }
        _ => {}
    }
}

struct Golden<'a> {
    server: &'a Server,
    dids: Vec<(String, &'a str)>,
    faults: Vec<String>,
}

impl Golden<'_> {
    fn check(&mut self, name: &str, reply: Reply) -> Value {
        let body = reply.json();
        let mut shown = body.clone();
        normal(&mut shown, &self.dids);
        let shown = serde_json::to_string_pretty(&shown).expect("JSON prints") + "\n";
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stack/golden/{name}.json"));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if kept != shown {
            self.faults.push(format!("{name}: expected\n{kept}\ngot\n{shown}"));
        }
        let _ = self.server;
        body
    }
}

#[test]
fn bodies() {
    let s = Setup::new().env("CAIRN_TIMEZONE", "Europe/Paris").start();
    let owner = s.owner();
    let (key, app) = (Key::of(1001), Key::of(1002));
    let dids = vec![
        (s.owner_did(), "<owner>"),
        (key.did.clone(), "<person>"),
        (app.did.clone(), "<application>"),
    ];
    let mut g = Golden { server: &s, dids, faults: Vec::new() };

    g.check("discovery", s.anonymous().get("/.well-known/stack"));
    let token = g.check("token_created", owner.post("/tokens", json!({ "entityId": app.did, "onBehalfOf": key.did, "label": "phone", "expiresAt": "2100-01-01" })));
    g.check("token_list", owner.get("/tokens"));
    let by_app = s.with_token(text(&token["token"]), &key.did);

    let challenge =
        g.check("challenge", s.anonymous().post("/auth/challenge", json!({ "did": key.did })));
    let nonce = text(&challenge["nonce"]);
    let signature =
        key.sign(&format!("haverstack-auth-v1\n{}\n{}\n{nonce}", crate::common::BASE_URL, key.did));
    let proof = json!({ "did": key.did, "nonce": nonce, "signature": signature });
    g.check("handshake_token", s.anonymous().post("/auth/token", proof.clone()));
    g.check("error_unknown_nonce", s.anonymous().post("/auth/token", proof));
    g.check("error_invalid_did", s.anonymous().post("/auth/challenge", json!({})));

    let kind = "com.example/note@1";
    let schema = json!({ "title": { "kind": "string" } });
    g.check("type", owner.post("/types", type_body(kind, &schema)));
    let mut next = type_body("com.example/note@2", &schema);
    next["migratesFrom"] = json!(kind);
    g.check("type_with_origin", owner.post("/types", next));
    g.check(
        "error_schema_drift",
        owner.post(
            "/types",
            type_body(kind, &json!({ "body": { "kind": "text", "required": true } })),
        ),
    );

    let made =
        g.check("record", owner.create(json!({ "typeId": kind, "content": { "title": "Hello" } })));
    let path = format!("/records/{}", id(&made));
    g.check(
        "upload_without_record",
        owner.send(call("POST", "/attachments?record=false").bytes(b"golden bytes")),
    );
    let upload = call("POST", "/attachments")
        .header("Content-Type", "text/plain")
        .header("Content-Disposition", "attachment; filename=\"a.txt\"");
    let upload = g.check("upload", owner.send(upload.bytes(b"golden text")));
    s.grant(kind, &["create", "read-own", "update-own", "delete-own"], Some(&app.did));
    s.grant(kind, &["create", "read-own", "update-own", "delete-own"], Some(&key.did));
    owner
        .put(&format!("{path}/permissions"), json!({ "permissions": [{ "access": "public" }] }))
        .is(204);
    let child = by_app.create(json!({ "typeId": kind, "content": { "title": "Child" }, "parentId": id(&made), "appId": "com.example.app" })).is(200);
    let child = format!("/records/{}", id(&child));
    owner.put(&format!("{child}/permissions"), json!({ "permissions": [
        { "access": "public" }, { "access": "entity", "entityId": key.did, "read": true, "write": false },
        { "access": "group", "groupId": id(&made), "read": true, "write": true, "role": "admin" } ] })).is(204);
    owner
        .post(&format!("{child}/associations"), json!({ "kind": "tag", "label": "starred" }))
        .is(204);
    owner.delete(&child).is(204);
    g.check("record_full", owner.get(&child));
    g.check("permissions", owner.get(&format!("{child}/permissions")));
    g.check("permissions_none", owner.get(&format!("/records/{}/permissions", id(&upload))));
    g.check("associations_tag", owner.get(&format!("{child}/associations")));
    owner
        .post(
            &format!("{path}/associations"),
            json!({ "kind": "attachment", "label": "avatar", "fileId": upload["fileId"] }),
        )
        .is(204);
    g.check("associations_attachment", owner.get(&format!("{path}/associations")));
    let relation = json!({ "kind": "relationship", "label": "reply-to", "recordId": id(&made) });
    let related =
        owner.create(json!({ "typeId": kind, "content": {}, "associations": [relation] })).is(200);
    g.check(
        "associations_relationship",
        owner.get(&format!("/records/{}/associations", id(&related))),
    );
    g.check("versions_owner", owner.get(&format!("{child}/versions")));
    let ann = s.person_of(&key.did);
    g.check("versions_writer", ann.get(&format!("{child}/versions")));
    g.check("snapshot", owner.get(&format!("{child}/versions/2")));
    g.check(
        "deleted_representation",
        owner.send(call("DELETE", &format!("/records/{}", id(&related))).represent()),
    );
    g.check("query", owner.get("/records?typeId=com.example%2Fnote%401"));
    g.check(
        "query_empty",
        owner.post("/records/query", json!({ "filter": { "typeId": "none@1" } })),
    );
    g.check("gc", owner.post("/attachments/gc", json!({ "graceMs": 0 })));
    g.check("config", owner.get("/records/_config"));

    g.check("error_bad_request", owner.create(json!({})));
    g.check("error_unauthorized", s.anonymous().get("/tokens"));
    g.check("error_permission", s.anonymous().get("/records/_config"));
    g.check("error_not_found", owner.get("/records/1hk153x00001"));
    g.check("error_conflict", owner.delete("/records/_config"));
    g.check(
        "error_version_conflict",
        owner.send(call("PATCH", &path).json(&json!({})).if_match(1)),
    );
    g.check(
        "error_payload_too_large",
        owner.send(call("POST", "/records").bytes(&vec![b' '; 1_048_577])),
    );
    g.check("error_validation", owner.patch(&path, json!({ "title": 5 })));
    assert!(g.faults.is_empty(), "{} bodies differ\n{}", g.faults.len(), g.faults.join("\n"));
}
