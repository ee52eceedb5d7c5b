//! Who may do what with a table, and what that means as a rules document.
//!
//! Invariants
//! G1. A role of the document never turns into one of the engine's that it does not mean: custom roles get names of
//!     their own.
//! G2. An operation that a `permissions` block leaves out is for administrators.

use serde_json::{Map, Value, json};

use super::{App, Table};
use crate::schema::rules::RULES_VERSION;

/// To whom something is given. Administrators need no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    All,
    Authenticated,
    Roles(Vec<String>),
}

/// The grants of a table; what is absent is for administrators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions {
    pub read: Option<Grant>,
    pub create: Option<Grant>,
    pub update: Option<Grant>,
    pub delete: Option<Grant>,
    /// Field, who may read it, who may write it; absent: as the table.
    pub fields: Vec<(String, Option<Grant>, Option<Grant>)>,
    /// The four grants of the table as written, for readers of its definition.
    pub written: Map<String, Value>,
}

/// Conditions on rows, as `$where` of a rules document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowRules {
    pub read: Option<Value>,
    pub write: Option<Value>,
    pub create: Option<Value>,
    pub delete: Option<Value>,
}

/// What a grant is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// The engine's name of a role.
fn role(name: &str) -> String {
    match name {
        "member" => "editor".to_owned(),
        "admin" | "viewer" => name.to_owned(),
        custom => format!("tables:{custom}"),
    }
}

fn rule(grant: Option<&Grant>, open: Use) -> Value {
    match grant {
        // Guests are never let near a write of an application that has accounts.
        Some(Grant::All) if open == Use::Read => json!(true),
        Some(Grant::All | Grant::Authenticated) => json!({ "auth": true }),
        Some(Grant::Roles(names)) if !names.is_empty() => {
            let names: Vec<String> = names.iter().map(|name| role(name)).collect();
            json!({ "role": names })
        }
        Some(Grant::Roles(_)) | None => json!(false),
    }
}

/// A rule that holds together with a condition on rows, and with the right to read where that is needed.
fn all_of(mut rules: Vec<Value>, rows: &[&Option<Value>]) -> Value {
    for condition in rows.iter().filter_map(|condition| condition.as_ref()) {
        rules.push(json!({ "$where": condition }));
    }
    match rules.len() {
        1 => rules.remove(0),
        _ => json!({ "all": rules }),
    }
}

pub(super) fn document(app: &App, guests_write: bool) -> Value {
    let mut entities = Map::new();
    for table in &app.tables {
        let rules = if app.has_auth { guarded(table) } else { open(guests_write) };
        entities.insert(table.family.clone(), rules);
    }
    json!({ "version": RULES_VERSION, "entities": entities })
}

/// Without accounts: everybody may, unless strangers can reach the server, who only read.
fn open(guests_write: bool) -> Value {
    json!({ "read": true, "create": guests_write, "update": guests_write, "delete": guests_write })
}

fn guarded(table: &Table) -> Value {
    // Without a block: whoever signed in, but viewers.
    let members = Permissions {
        read: Some(Grant::Roles(vec!["member".into()])),
        create: Some(Grant::Roles(vec!["member".into()])),
        update: Some(Grant::Roles(vec!["member".into()])),
        delete: Some(Grant::Roles(vec!["member".into()])),
        ..Permissions::default()
    };
    let given = table.permissions.as_ref().unwrap_or(&members);
    let rows = &table.rows;
    let read = rule(given.read.as_ref(), Use::Read);
    let write = |grant: &Option<Grant>| rule(grant.as_ref(), Use::Write);
    let (mut readable, mut writable) = (Map::new(), Map::new());
    for (field, read, write) in &given.fields {
        if let Some(grant) = read {
            readable.insert(field.clone(), rule(Some(grant), Use::Read));
        }
        if let Some(grant) = write {
            writable.insert(field.clone(), rule(Some(grant), Use::Write));
        }
    }
    let entry = |rule: Value, fields: &Map<String, Value>| match fields.is_empty() {
        true => rule,
        false => json!({ "allow": rule, "fields": fields }),
    };
    let create = all_of(vec![write(&given.create)], &[&rows.create]);
    let update = all_of(vec![read.clone(), write(&given.update)], &[&rows.read, &rows.write]);
    let delete = all_of(vec![read.clone(), write(&given.delete)], &[&rows.read, &rows.delete]);
    json!({
        "read": entry(all_of(vec![read], &[&rows.read]), &readable),
        "create": entry(create, &writable),
        "update": entry(update, &writable),
        "delete": delete,
    })
}
