//! The document: taken, refused with its places, kept over restarts.

use std::process::Command;

use serde_json::json;

use crate::common::Setup;
use crate::support::{CRM, refused, serve, serve_on_loopback};

#[test]
fn a_bad_document_is_refused_with_line_column_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app.yaml");
    for (document, reason) in [
        ("name: crm\nname: crm\n", "line 2, column 1"),
        (
            "name: crm\ntables:\n  - name: a\n    fields:\n      - { name: b, type: formula }\n",
            "line 5, column 26: /tables/0/fields/0/type: fields of type formula are not supported yet",
        ),
    ] {
        std::fs::write(&app, document).unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .arg("serve")
            .arg(folder.path().join("stack.cairn"))
            .args(["--listen", "127.0.0.1:0", "--app"])
            .arg(&app)
            .env_clear()
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(told.contains(reason) && told.contains("app.yaml"), "{told}");
    }
}

#[test]
fn without_an_application_there_are_no_tables() {
    let server = Setup::new().start();
    refused(server.owner().get("/api/tables"), 404, "NOT_FOUND");
}

#[test]
fn tables_outlive_a_restart_and_numbers_are_not_given_twice() {
    let server = serve(CRM);
    let make = |who: &crate::common::Who, name: &str| {
        let made = who.post("/api/tables/contacts/records", json!({ "name": name })).is(201);
        made["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(make(&server.owner(), "a"), "1");
    assert_eq!(make(&server.owner(), "b"), "2");
    server.owner().delete("/api/tables/contacts/records/2").is(204);
    let server = server.stop().start();
    assert_eq!(make(&server.owner(), "c"), "3");
    let record = server.owner().get("/api/tables/7/records/1").is(200);
    assert_eq!(record["name"], "a");
}

#[test]
fn without_its_application_a_table_is_closed() {
    let server = serve(CRM);
    let person = server.person();
    server.owner().post("/api/tables/posts/records", json!({ "title": "x" })).is(201);
    assert_eq!(person.get("/api/data/posts").is(200)["total"], 1);
    let setup = server.stop();
    // The flag is not taken back by the environment, so the face is switched off.
    let server = setup.env("CAIRN_FACES", "stack,live").start();
    assert_eq!(server.person().get("/api/data/posts").status, 403);
    assert_eq!(server.owner().get("/api/data/posts").is(200)["total"], 1);
}

#[test]
fn guests_of_an_application_without_accounts_may_do_everything_on_loopback() {
    let server = serve_on_loopback(
        "name: notes\ntables:\n  - name: notes\n    fields: [{ name: text, type: long-text }]\n",
    );
    let guest = server.anonymous();
    let made = guest.post("/api/tables/notes/records", json!({ "text": "x" })).is(201);
    assert_eq!(made["id"], "1");
    guest.patch("/api/tables/notes/records/1", json!({ "text": "y" })).is(200);
    assert_eq!(guest.get("/api/tables").is(200)[0]["name"], "notes");
    guest.delete("/api/tables/notes/records/1").is(204);
}
