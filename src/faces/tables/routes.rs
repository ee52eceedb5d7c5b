//! The addresses of this face that are served.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::gate::{TablesFace, route};
use super::{definitions, lists, records};
use crate::net::{Guard, Route};

fn text() -> Value {
    json!({ "type": "string" })
}

fn whole() -> Value {
    json!({ "type": "integer" })
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

fn record() -> Value {
    json!({ "type": "object", "required": ["id", "fields", "createdAt", "updatedAt"],
        "properties": { "id": text(), "fields": object(), "createdAt": text(), "updatedAt": text() },
        "additionalProperties": true })
}

fn table() -> Value {
    json!({ "type": "object", "required": ["id", "name", "createdAt", "updatedAt"],
        "properties": { "id": text(), "name": text(), "createdAt": text(), "updatedAt": text() },
        "additionalProperties": true })
}

/// Every address that is served while an application is loaded.
#[must_use]
pub fn routes(cx: &Arc<TablesFace>) -> Vec<Route> {
    let mut all = definition_routes(cx);
    all.extend(record_routes(cx));
    all
}

fn definition_routes(cx: &Arc<TablesFace>) -> Vec<Route> {
    const TABLE: &str = "/api/tables/{tableId}";
    const PERMISSIONS: &str = "/api/tables/{tableId}/permissions";
    let get = |address| (Method::GET, address);
    vec![
        route(cx, get("/api/tables"), "tables.list", Guard::Required, definitions::list)
            .summary("Tables that the caller may read")
            .reply(200, json!({ "type": "array", "items": table() }))
            .fails(&[401, 404, 429]),
        route(cx, get(TABLE), "tables.get", Guard::Required, definitions::get)
            .summary("A table's definition")
            .reply(200, table())
            .fails(&[401, 404, 429]),
        route(
            cx,
            get(PERMISSIONS),
            "tables.permissions",
            Guard::Required,
            definitions::permissions,
        )
        .summary("What the caller may do with a table")
        .reply(
            200,
            json!({ "type": "object", "required": ["table", "fields"],
                "properties": { "table": object(), "fields": object() } }),
        )
        .fails(&[401, 404, 429]),
    ]
}

fn record_routes(cx: &Arc<TablesFace>) -> Vec<Route> {
    const RECORDS: &str = "/api/tables/{tableId}/records";
    const RECORD: &str = "/api/tables/{tableId}/records/{recordId}";
    let page = json!({ "type": "object", "required": ["records", "pagination"], "properties": {
        "records": { "type": "array", "items": record() }, "pagination": object() } });
    vec![
        route(cx, (Method::GET, RECORDS), "tables.records.list", Guard::Optional, lists::list)
            .summary("A page of a table's records")
            .query("limit", whole(), "Records of the page, 1 to 100; 10 without it")
            .query("offset", whole(), "Records to leave out")
            .query("page", whole(), "Page from 1, when there is no offset")
            .query("sort", text(), "`field:asc,field2:desc`")
            .query("order", text(), "Direction of sort keys that say none")
            .query("fields", text(), "Names of the fields wanted, with commas")
            .query("filter", text(), "JSON of conditions, or `field:value`")
            .query("q", text(), "A part of some text")
            .reply(200, page)
            .fails(&[400, 401, 404, 429, 503]),
        route(
            cx,
            (Method::POST, RECORDS),
            "tables.records.create",
            Guard::Required,
            records::create,
        )
        .summary("Create a record")
        .body(object())
        .reply(201, record())
        .example(Some(json!({ "fields": { "name": "Ada" } })), None)
        .fails(&[400, 401, 404, 409, 413, 429, 503]),
        route(cx, (Method::GET, RECORD), "tables.records.get", Guard::Optional, records::get)
            .summary("A record")
            .query("fields", text(), "Names of the fields wanted, with commas")
            .reply(200, record())
            .fails(&[400, 401, 404, 429]),
        route(
            cx,
            (Method::PATCH, RECORD),
            "tables.records.update",
            Guard::Required,
            records::update,
        )
        .summary("Change fields of a record")
        .body(object())
        .reply(200, record())
        .example(Some(json!({ "fields": { "name": "Ada" } })), None)
        .fails(&[400, 401, 404, 409, 413, 429, 503]),
        route(
            cx,
            (Method::DELETE, RECORD),
            "tables.records.delete",
            Guard::Required,
            records::delete,
        )
        .summary("Delete a record")
        .empty_reply(204)
        .fails(&[400, 401, 404, 429, 503]),
    ]
}
