//! Definitions (8).

use serde_json::json;

use crate::support::{CRM, member, refused, serve};

#[test]
fn definitions_show_what_the_caller_may_see() {
    let server = serve(CRM);
    let (member, _) = member(&server);
    refused(server.anonymous().get("/api/tables"), 401, "UNAUTHORIZED");
    refused(server.with_token("bad", "").get("/api/tables"), 401, "UNAUTHORIZED");
    let list = member.get("/api/tables/").is(200);
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["contacts", "posts"]);
    assert_eq!(list[0]["id"], "7");
    let table = member.get("/api/tables/contacts").is(200);
    assert_eq!(member.get("/api/tables/7").is(200), table);
    assert_eq!((&table["primaryKey"], &table["description"]), (&json!("id"), &json!("People")));
    assert_eq!(table["permissions"]["create"], json!(["admin", "member"]));
    let fields = table["fields"].as_array().unwrap();
    let status = fields.iter().find(|field| field["name"] == "status").unwrap();
    assert_eq!((&status["id"], &status["options"][0]), (&json!("3"), &json!("Lead")));
    assert!(!fields.iter().any(|field| field["name"] == "pay"), "{table}");
    let whole = server.owner().get("/api/tables/contacts").is(200);
    assert_eq!(whole["fields"].as_array().unwrap().len(), 10);
    // A closed table and a missing one look alike.
    let closed = refused(member.get("/api/tables/secrets"), 404, "NOT_FOUND");
    assert_eq!(refused(member.get("/api/tables/nothing"), 404, "NOT_FOUND"), closed);
    assert_eq!(closed["message"], "Resource not found");
    let may = member.get("/api/tables/contacts/permissions").is(200);
    assert_eq!(
        may,
        json!({ "table": { "read": true, "create": true, "update": true, "delete": true },
                "fields": { "pay": { "read": false, "write": false } } })
    );
}
