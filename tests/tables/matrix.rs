//! Every role, every operation, every field: what the grants of a document mean (7.2 to 7.4, 7.6).

use serde_json::{Value, json};

use crate::common::{Reply, Who};
use crate::support::{member, refused, serve};

/// A grant as written, and whether it holds for a member and for somebody without a role.
const GRANTS: [(&str, bool, bool); 5] = [
    ("all", true, true),
    ("authenticated", true, true),
    ("[member]", true, false),
    // A custom role that sounds like one of the engine's is nobody here.
    ("[editor]", false, false),
    ("[]", false, false),
];

#[track_caller]
fn answers(reply: Reply, status: u16) {
    match status {
        401 => drop(refused(reply, 401, "UNAUTHORIZED")),
        404 => drop(refused(reply, 404, "NOT_FOUND")),
        _ => assert_eq!(reply.status, status, "{reply}"),
    }
}

#[test]
fn every_role_every_operation_every_field() {
    let mut document =
        "name: m\nauth: { roles: [{ name: editor, level: 30 }] }\ntables:\n".to_owned();
    for (r, (read, ..)) in GRANTS.iter().enumerate() {
        for (w, (write, ..)) in GRANTS.iter().enumerate() {
            document.push_str(&format!(
                "  - name: t{r}{w}
    fields: [{{ name: open, type: integer }}, {{ name: field, type: integer }}]
    permissions:
      read: all
      create: {write}
      update: {write}
      delete: {write}
      fields: [{{ field: field, read: {read}, write: {read} }}]
  - name: u{r}{w}
    fields: [{{ name: open, type: integer }}]
    permissions: {{ read: {read}, create: {write}, update: {write}, delete: {write} }}
"
            ));
        }
    }
    let server = serve(&document);
    let (owner, anonymous) = (server.owner(), server.anonymous());
    let people: [(Who, usize); 2] = [(member(&server).0, 0), (server.person(), 1)];
    for (r, read) in GRANTS.iter().enumerate() {
        for (w, write) in GRANTS.iter().enumerate() {
            let (t, u) = (format!("/api/tables/t{r}{w}"), format!("/api/tables/u{r}{w}"));
            let made =
                owner.post(&format!("{t}/records"), json!({ "open": 1, "field": 2 })).is(201);
            assert_eq!(made["fields"]["field"], 2);
            owner.post(&format!("{u}/records"), json!({ "open": 1 })).is(201);
            for (who, role) in &people {
                let holds = |grant: &(&str, bool, bool)| if *role == 0 { grant.1 } else { grant.2 };
                let (reads, writes) = (holds(read), holds(write));
                let expect = |allowed: bool, status: u16| if allowed { status } else { 404 };
                // The grants of the table.
                answers(who.get(&u), expect(reads, 200));
                answers(who.get(&format!("{u}/records")), expect(reads, 200));
                answers(who.get(&format!("{u}/records/1")), expect(reads, 200));
                let record = format!("{u}/records/1");
                answers(
                    who.patch(&record, json!({ "open": role + 5 })),
                    expect(reads && writes, 200),
                );
                let made = who.post(&format!("{u}/records"), json!({ "open": 3 }));
                if writes {
                    let made = made.is(201);
                    let own = format!("{u}/records/{}", made["id"].as_str().unwrap());
                    assert_eq!(made["fields"].get("open").is_some(), reads, "{made}");
                    answers(who.delete(&own), expect(reads, 204));
                } else {
                    answers(made, 404);
                    answers(who.delete(&record), 404);
                }
                // The grants of a field; the table is open to all for reading.
                let shown = who.get(&format!("{t}/records/1")).is(200);
                assert_eq!(shown["fields"].get("field").is_some(), reads, "t{r}{w} {role}");
                answers(who.get(&format!("{t}/records?sort=field")), expect(reads, 200));
                let named = json!({ "open": 1, "field": role + 7 });
                answers(
                    who.patch(&format!("{t}/records/1"), named.clone()),
                    expect(reads && writes, 200),
                );
                answers(who.post(&format!("{t}/records"), named), expect(reads && writes, 201));
                answers(
                    who.patch(&format!("{t}/records/1"), json!({ "open": 9 })),
                    expect(writes, 200),
                );
            }
            // Guests are let near two addresses of a table that all may read, and no other.
            let open = if read.0 == "all" { 200 } else { 401 };
            answers(anonymous.get(&format!("{u}/records")), open);
            answers(anonymous.get(&format!("{u}/records/1")), open);
            let shown = anonymous.get(&format!("{t}/records/1")).is(200);
            assert_eq!(shown["fields"].get("field").is_some(), read.0 == "all");
            answers(anonymous.get(&u), 401);
            answers(anonymous.post(&format!("{u}/records"), json!({ "open": 1 })), 401);
            answers(anonymous.patch(&format!("{u}/records/1"), json!({ "open": 1 })), 401);
            answers(anonymous.delete(&format!("{u}/records/1")), 401);
        }
    }
}

#[test]
fn rules_on_rows_hold_for_lists_reads_and_writes() {
    let server = serve(
        "
name: rows
auth: {}
tables:
  - name: tasks
    fields: [{ name: title, type: single-line-text }, { name: owner_id, type: single-line-text }]
    permissions: { read: authenticated, create: [member], update: [member], delete: [member] }
    rowLevelPermissions:
      read: { when: { field: owner_id, operator: eq, value: $currentUser.id } }
      create: { when: { field: owner_id, operator: eq, value: $currentUser.id } }
",
    );
    let ((ada, ada_id), (bob, _)) = (member(&server), member(&server));
    let records = "/api/tables/tasks/records";
    let body = json!({ "title": "x", "owner_id": ada_id });
    ada.post(records, body.clone()).is(201);
    refused(bob.post(records, body), 404, "NOT_FOUND");
    let total = |who: &Who| who.get(records).is(200)["pagination"]["total"].clone();
    assert_eq!([total(&ada), total(&bob), total(&server.owner())], [1, 0, 1].map(Value::from));
    for reply in [
        bob.get(&format!("{records}/1")),
        bob.patch(&format!("{records}/1"), json!({ "title": "y" })),
        bob.delete(&format!("{records}/1")),
    ] {
        refused(reply, 404, "NOT_FOUND");
    }
    ada.patch(&format!("{records}/1"), json!({ "title": "y" })).is(200);
}
