//! Definitions of tables, as far as the caller may see them (tables 8).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::gate::{Asked, Need, TablesFace, reply};
use crate::engine::TableRights;
use crate::net::Reply;
use crate::schema::tables::Table;
use crate::util::time::format_ms;

fn head(cx: &TablesFace, table: &Table) -> (Map<String, Value>, Value) {
    let since = cx.engine.table_since(table).unwrap_or_else(|| cx.engine.clock().now_ms());
    let mut body = Map::new();
    body.insert("id".into(), Value::String(table.id.to_string()));
    body.insert("name".into(), Value::from(table.name.as_str()));
    if let Some(text) = &table.description {
        body.insert("description".into(), Value::from(text.as_str()));
    }
    (body, Value::String(format_ms(since)))
}

pub(super) async fn list(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut shown = Vec::new();
    for table in &cx.app.tables {
        if cx.engine.table_rights(&asked.who, table)?.read {
            let (mut body, since) = head(&cx, table);
            body.insert("createdAt".into(), since.clone());
            body.insert("updatedAt".into(), since);
            shown.push(Value::Object(body));
        }
    }
    if shown.is_empty() && !asked.who.is_anonymous() {
        return Err(Failure::not_found());
    }
    Ok(reply(StatusCode::OK, &Value::Array(shown)))
}

pub(super) async fn get(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Read)?;
    let (mut body, since) = head(&cx, table);
    body.insert("fields".into(), fields(table, &rights));
    body.insert("primaryKey".into(), Value::from("id"));
    body.insert("views".into(), json!([]));
    if let Some(permissions) = &table.permissions {
        body.insert("permissions".into(), Value::Object(permissions.written.clone()));
    }
    body.insert("createdAt".into(), since.clone());
    body.insert("updatedAt".into(), since);
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

fn fields(table: &Table, rights: &TableRights) -> Value {
    let seen = table.fields.iter().filter(|f| rights.reads(&f.name) || rights.writes(&f.name));
    seen.map(|field| {
        let mut entry = Map::new();
        entry.insert("id".into(), Value::String(field.id.to_string()));
        entry.insert("name".into(), Value::from(field.name.as_str()));
        entry.insert("type".into(), Value::from(field.type_name.as_str()));
        entry.insert("required".into(), Value::Bool(field.required));
        for (key, set) in [("unique", field.unique), ("indexed", field.indexed)] {
            if set {
                entry.insert(key.into(), Value::Bool(true));
            }
        }
        entry.extend(field.options.clone());
        Value::Object(entry)
    })
    .collect()
}

pub(super) async fn permissions(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Read)?;
    let entries = table.permissions.iter().flat_map(|given| &given.fields);
    let fields: Map<String, Value> = entries
        .map(|(name, ..)| {
            let may = json!({ "read": rights.reads(name), "write": rights.writes(name) });
            (name.clone(), may)
        })
        .collect();
    let body = json!({
        "table": { "read": rights.read, "create": rights.create, "update": rights.update,
            "delete": rights.delete },
        "fields": fields,
    });
    Ok(reply(StatusCode::OK, &body))
}
