//! One record (9.1 to 9.7).

use serde_json::json;

use crate::support::{CRM, member, named, refused, serve};

const RECORDS: &str = "/api/tables/contacts/records";

#[test]
fn a_record_is_made_read_changed_and_deleted() {
    let server = serve(CRM);
    let (member, _) = member(&server);
    let made = member
        .post(
            RECORDS,
            json!({ "fields": { "name": "Ada", "amount": "12.345", "score": "4",
            "tags": ["red"], "born_on": "1990-02-01T10:00:00Z" } }),
        )
        .is(201);
    assert_eq!(made["id"], "1");
    assert_eq!(
        made["fields"].to_string(),
        json!({ "deleted_at": null, "name": "Ada", "email": null, "status": "Lead", "score": 4,
            "amount": "12.35", "active": false, "tags": ["red"], "born_on": "1990-02-01",
            "made_at": made["createdAt"] })
        .to_string()
    );
    assert_eq!((&made["name"], &made["amount"]), (&json!("Ada"), &json!("12.35")));
    let address = format!("{RECORDS}/1");
    assert_eq!(member.get(&address).is(200), made);
    let some = member.get(&format!("{address}?fields=name,pay")).is(200);
    assert_eq!(some["fields"], json!({ "name": "Ada" }));
    let changed = member.patch(&address, json!({ "score": 5, "born_on": null })).is(200);
    assert_eq!((&changed["score"], &changed["born_on"]), (&json!(5), &json!(null)));
    let same = member.patch(&address, json!({ "score": 5 })).is(200);
    assert_eq!(same["updatedAt"], changed["updatedAt"]);
    let nothing = member.patch(&address, json!({})).is(200);
    assert_eq!(nothing["record"]["fields"], changed["fields"]);
    let stale = json!({ "score": 6, "updatedAt": "2020-01-01T00:00:00.000Z" });
    refused(member.patch(&address, stale), 409, "CONFLICT");
    let fresh = json!({ "fields": { "score": 6 }, "updatedAt": changed["updatedAt"] });
    assert_eq!(member.patch(&address, fresh).is(200)["score"], 6);
    member.delete(&address).is(204);
    refused(member.delete(&address), 404, "NOT_FOUND");
    refused(member.get(&address), 404, "NOT_FOUND");
    refused(member.patch(&address, json!({ "score": 1 })), 404, "NOT_FOUND");
}

#[test]
fn faults_name_their_fields_in_the_table_s_order() {
    let server = serve(CRM);
    let owner = server.owner();
    let body = refused(owner.post(RECORDS, json!({})), 400, "VALIDATION_ERROR");
    assert_eq!((&body["message"], named(&body)), (&json!("Missing required fields"), vec!["name"]));
    assert_eq!(body["field"], "name");
    let bad = json!({ "born_on": "2020-02-30", "score": 101, "email": "x", "name": "" });
    let body = refused(owner.post(RECORDS, bad), 400, "VALIDATION_ERROR");
    assert_eq!(named(&body), ["name", "email", "score", "born_on"]);
    let body =
        refused(owner.post(RECORDS, json!({ "id": 4, "name": "x" })), 400, "VALIDATION_ERROR");
    assert_eq!(body["message"], "Cannot write to readonly field 'id'");
    let body =
        refused(owner.post(RECORDS, json!({ "made_at": "x", "no": 1 })), 400, "VALIDATION_ERROR");
    assert_eq!(named(&body), ["made_at", "no"]);
    let text = crate::common::call("POST", RECORDS).bytes(b"{");
    assert_eq!(named(&refused(owner.send(text), 400, "VALIDATION_ERROR")), ["body"]);
    owner.post(RECORDS, json!({ "name": "a", "email": "a@b.c" })).is(201);
    let taken =
        refused(owner.post(RECORDS, json!({ "name": "b", "email": "a@b.c" })), 409, "CONFLICT");
    assert_eq!(
        (&taken["message"], named(&taken)),
        (&json!("Resource already exists"), vec!["email"])
    );
    refused(owner.patch(&format!("{RECORDS}/1"), json!({ "name": null })), 400, "VALIDATION_ERROR");
    let put = crate::common::call("PUT", &format!("{RECORDS}/1")).json(&json!({}));
    refused(owner.send(put), 405, "VALIDATION_ERROR");
}

/// Whatever face writes: the same grants, the same field types, the same records.
#[test]
fn other_faces_pass_the_same_gate() {
    let server = serve(CRM);
    let (member, _) = member(&server);
    server.owner().post(RECORDS, json!({ "name": "Ada", "pay": 10 })).is(201);
    let row = member.get("/api/data/contacts/1").is(200);
    assert_eq!((&row["data"]["name"], &row["data"]["pay"]), (&json!("Ada"), &json!(null)));
    assert_eq!(member.get("/api/data/secrets").status, 403);
    let made = member.post("/api/data/contacts", json!({ "name": "Bob", "score": "7" })).is(201);
    assert_eq!((&made["id"], &made["data"]["score"]), (&json!("2"), &json!(7)));
    assert_eq!(member.post("/api/data/contacts", json!({ "name": "B", "score": 1e9 })).status, 400);
    assert_eq!(member.post("/api/data/contacts", json!({ "name": "B", "pay": 1 })).status, 403);
    let body = json!({ "typeId": "contacts@1", "content": { "name": "C", "email": "no" } });
    server.owner().post("/records", body).invalid(&["email"]);
}
