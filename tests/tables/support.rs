//! What the tests of this protocol share.

use serde_json::{Value, json};

use crate::common::{Reply, Server, Setup, Who, next};

/// Contacts with fields of many types, and a table that only administrators see.
pub(crate) const CRM: &str = "
name: crm
auth:
  allowSignUp: true
tables:
  - id: 7
    name: contacts
    description: People
    fields:
      - { name: name, type: single-line-text, required: true }
      - { name: email, type: email, unique: true }
      - { name: status, type: single-select, options: [Lead, Active, Gone], default: Lead }
      - { name: score, type: integer, min: 0, max: 100 }
      - { name: amount, type: decimal, precision: 2 }
      - { name: active, type: checkbox }
      - { name: tags, type: multi-select, options: [red, blue], maxSelections: 2 }
      - { name: born_on, type: date }
      - { name: made_at, type: created-at }
      - { name: pay, type: currency, currency: USD }
    permissions:
      read: authenticated
      create: [admin, member]
      update: [admin, member]
      delete: [admin, member]
      fields:
        - { field: pay, read: [admin], write: [admin] }
  - name: secrets
    fields: [ { name: note, type: long-text } ]
    permissions: { read: [admin], create: [admin] }
  - name: posts
    fields: [ { name: title, type: single-line-text } ]
    permissions: { read: all, create: [member] }
";

/// A server with this application, under a public address.
pub(crate) fn serve(document: &str) -> Server {
    start(Setup::new(), document)
}

/// A server with this application that nobody else can reach.
pub(crate) fn serve_on_loopback(document: &str) -> Server {
    start(Setup::new().without("CAIRN_BASE_URL"), document)
}

fn start(setup: Setup, document: &str) -> Server {
    let setup = setup.env("CAIRN_SIGNUP", "open");
    let path = setup.file().with_file_name("app.yaml");
    std::fs::write(&path, document).unwrap();
    let path = path.to_str().unwrap().to_owned();
    setup.arg("--app").arg(&path).start()
}

/// Somebody who signed up, and its id.
pub(crate) fn member(server: &Server) -> (Who, String) {
    let email = format!("member{}@example.com", next());
    let body = json!({ "email": email, "password": "correct horse battery" });
    let session = server.anonymous().post("/api/auth/signup", body).is(201);
    let id = session["user"]["id"].as_str().unwrap().to_owned();
    (server.with_token(session["accessToken"].as_str().unwrap(), ""), id)
}

/// The envelope of a refusal, whole.
#[track_caller]
pub(crate) fn refused(reply: Reply, status: u16, code: &str) -> Value {
    let body = reply.is(status);
    assert_eq!((&body["success"], &body["code"]), (&json!(false), &json!(code)), "{body}");
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    body
}

/// The fields that a refusal names.
pub(crate) fn named(body: &Value) -> Vec<&str> {
    let faults = body["errors"].as_array().into_iter().flatten();
    faults.map(|fault| fault["field"].as_str().unwrap()).collect()
}

pub(crate) fn ids(page: &Value) -> Vec<&str> {
    let records = page["records"].as_array().unwrap();
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}
