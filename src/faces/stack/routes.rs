//! The stack's addresses: what each is called, who may call it, what goes in and out.
//!
//! The table feeds the router, the documents, metrics and the test that every documented endpoint
//! exists. Knows addresses. Does not know what happens behind them.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::gate::{route, streamed_route};
use super::{StackFace, attachments, backups, discovery, docs, queries, records, tokens, types};
use crate::net::{Guard, RateClass, Route};

const IF_MATCH: &str = "The version the change is meant for; another one answers 412";
const PREFER: &str = "return=representation answers 200 with the record";

/// Every address of the stack, and those under `/_/` that work on its records and tokens.
#[must_use]
pub fn routes(cx: &Arc<StackFace>) -> Vec<Route> {
    let mut all = discovery_routes(cx);
    all.extend(query_routes(cx));
    all.extend(record_routes(cx));
    all.extend(relation_routes(cx));
    all.extend(version_routes(cx));
    all.extend(type_routes(cx));
    all.extend(attachment_routes(cx));
    all.extend(token_routes(cx));
    all.extend(owner_routes(cx));
    all.extend(backups::routes(cx));
    all
}

fn get(address: &'static str) -> (Method, &'static str) {
    (Method::GET, address)
}

fn post(address: &'static str) -> (Method, &'static str) {
    (Method::POST, address)
}

fn put(address: &'static str) -> (Method, &'static str) {
    (Method::PUT, address)
}

fn patch(address: &'static str) -> (Method, &'static str) {
    (Method::PATCH, address)
}

fn delete(address: &'static str) -> (Method, &'static str) {
    (Method::DELETE, address)
}

fn discovery_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(cx, get("/.well-known/stack"), "stack.discover", Guard::None, discovery::document)
            .summary("What this stack is and can do")
            .reply(200, docs::discovery())
            .example(None, Some(docs::discovery_example()))
            .fails(&[401]),
        route(cx, get("/entity"), "entity.get", Guard::Required, discovery::entity)
            .summary("The owner's card")
            .reply(200, docs::record())
            .example(None, Some(docs::record_example()))
            .fails(&[401, 403, 404]),
        route(cx, patch("/entity"), "entity.update", Guard::Owner, discovery::update_entity)
            .summary("Change the owner's card")
            .body(json!({
                "type": "object",
                "additionalProperties": true,
                "description": "A patch, or one in `content`"
            }))
            .reply(200, docs::record())
            .example(Some(json!({ "content": { "name": "Ada" } })), Some(docs::record_example()))
            .fails(&[400, 401, 403, 404, 409, 413, 422]),
    ]
}

fn query_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    let sort = docs::one_of(&["createdAt", "updatedAt", "version"]);
    vec![
        route(cx, get("/records"), "records.list", Guard::Optional, queries::by_url)
            .summary("Query records by URL")
            .query("typeId", docs::texts(), "Exact type; repeat for any of several")
            .query("parentId", docs::text(), "Container; `null` is the root")
            .query("appId", docs::texts(), "Writing app, any of")
            .query("entityId", docs::texts(), "Author, any of")
            .query("principalId", docs::texts(), "Delegating app, any of")
            .query("tag", docs::texts(), "Has all of these tags")
            .query("hasAttachment", docs::text(), "Has an attachment with this label")
            .query("attachmentFileId", docs::text(), "References this file")
            .query("relatedTo", docs::text(), "Has a relationship to this record")
            .query("relatedToLabel", docs::text(), "… with this label (also `relatedLabel`)")
            .query("createdBefore", docs::text(), "ISO date or date-time, exclusive")
            .query("createdAfter", docs::text(), "ISO date or date-time, exclusive")
            .query("updatedBefore", docs::text(), "ISO date or date-time, exclusive")
            .query("updatedAfter", docs::text(), "ISO date or date-time, exclusive")
            .query("search", docs::text(), "Full text: words, \"phrases\", AND, OR, NOT")
            .query("includeDeleted", docs::flag(), "Soft-deleted records too")
            .query("sort", sort, "Default createdAt")
            .query("direction", docs::one_of(&["asc", "desc"]), "Default desc")
            .query("limit", docs::positive(), "Default 50; above 1000 counts as 1000")
            .query("cursor", docs::text(), "From the page before")
            .query("as_of", docs::text(), "A transaction number or an ISO time: the state then")
            .reply(200, docs::page())
            .example(None, Some(docs::page_example()))
            .fails(&[400, 401, 503]),
        route(cx, post("/records/query"), "records.query", Guard::Optional, queries::by_body)
            .summary("Query records by body, with content filters")
            .body(docs::query())
            .reply(200, docs::page())
            .example(
                Some(json!({
                    "filter": { "typeId": "com.example/note@1", "content": { "title": "Hello" } },
                    "sort": { "field": "updatedAt", "direction": "desc" },
                    "limit": 20
                })),
                Some(docs::page_example()),
            )
            .fails(&[400, 401, 413, 503]),
    ]
}

fn record_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(cx, post("/records"), "records.create", Guard::Required, records::create)
            .summary("Create a record")
            .body(docs::new_record())
            .reply(200, docs::record())
            .example(
                Some(json!({ "typeId": "com.example/note@1", "content": { "title": "Hello" } })),
                Some(docs::record_example()),
            )
            .fails(&[400, 401, 403, 409, 413, 422]),
        route(cx, get("/records/{id}"), "records.get", Guard::Optional, records::get)
            .summary("Read a record, soft-deleted ones too")
            .query("as_of", docs::text(), "A transaction number or an ISO time: the state then")
            .reply(200, docs::record())
            .example(None, Some(docs::record_example()))
            .fails(&[400, 401, 403, 404]),
        route(cx, patch("/records/{id}"), "records.update", Guard::Required, records::update)
            .summary("Merge-patch the content")
            .header("If-Match", IF_MATCH)
            .body(docs::patch())
            .reply(200, docs::record())
            .example(Some(json!({ "title": "Hello" })), Some(docs::record_example()))
            .fails(&[400, 401, 403, 404, 409, 412, 413, 422]),
        route(cx, delete("/records/{id}"), "records.delete", Guard::Required, records::delete)
            .summary("Delete a record: softly, or with its history")
            .query("hard", docs::flag(), "`true`: nothing remains (the owner only)")
            .header("If-Match", IF_MATCH)
            .header("Prefer", PREFER)
            .empty_reply(204)
            .reply(200, docs::record())
            .fails(&[400, 401, 403, 404, 409, 412]),
        route(
            cx,
            post("/records/{id}/undelete"),
            "records.undelete",
            Guard::Required,
            records::undelete,
        )
        .summary("Bring a soft-deleted record back")
        .header("If-Match", IF_MATCH)
        .reply(200, docs::record())
        .example(None, Some(docs::record_example()))
        .fails(&[400, 401, 403, 404, 409, 412]),
        route(cx, post("/records/{id}/migrate"), "records.migrate", Guard::Owner, records::migrate)
            .summary("Move a record to another type, with new content")
            .header("If-Match", IF_MATCH)
            .body(docs::migration())
            .reply(200, docs::record())
            .example(
                Some(json!({ "toTypeId": "com.example/note@2", "content": { "title": "Hello" } })),
                Some(docs::record_example()),
            )
            .fails(&[400, 401, 403, 404, 409, 412, 413, 422]),
    ]
}

fn relation_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(
            cx,
            get("/records/{id}/permissions"),
            "records.permissions",
            Guard::Optional,
            records::permissions,
        )
        .summary("Who else may read or write a record")
        .reply(200, docs::permissions())
        .example(None, Some(docs::permissions_example()))
        .fails(&[401, 403, 404]),
        route(
            cx,
            put("/records/{id}/permissions"),
            "records.set_permissions",
            Guard::Required,
            records::set_permissions,
        )
        .summary("Replace a record's permissions")
        .header("If-Match", IF_MATCH)
        .header("Prefer", PREFER)
        .body(docs::permissions())
        .empty_reply(204)
        .reply(200, docs::record())
        .example(Some(docs::permissions_example()), None)
        .fails(&[400, 401, 403, 404, 412, 413, 422]),
        route(
            cx,
            get("/records/{id}/associations"),
            "records.associations",
            Guard::Optional,
            records::associations,
        )
        .summary("Tags, attachments and relationships of a record")
        .query("kind", docs::one_of(&["tag", "attachment", "relationship"]), "Only this kind")
        .query("label", docs::text(), "Only this label")
        .reply(200, docs::associations())
        .example(None, Some(json!({ "associations": [docs::tag_example()] })))
        .fails(&[401, 403, 404]),
        route(
            cx,
            post("/records/{id}/associations"),
            "records.associate",
            Guard::Required,
            records::associate,
        )
        .summary("Add an association")
        .header("If-Match", IF_MATCH)
        .header("Prefer", PREFER)
        .body(docs::association())
        .empty_reply(204)
        .reply(200, docs::record())
        .example(Some(docs::tag_example()), None)
        .fails(&[400, 401, 403, 404, 412, 413]),
        route(
            cx,
            post("/records/{id}/associations/delete"),
            "records.dissociate",
            Guard::Required,
            records::dissociate,
        )
        .summary("Remove an association")
        .header("If-Match", IF_MATCH)
        .header("Prefer", PREFER)
        .body(docs::association())
        .empty_reply(204)
        .reply(200, docs::record())
        .example(Some(docs::tag_example()), None)
        .fails(&[400, 401, 403, 404, 412, 413]),
        route(
            cx,
            delete("/records/{id}/associations"),
            "records.dissociate_by_delete",
            Guard::Required,
            records::dissociate,
        )
        .summary("Remove an association; an older spelling, by body or query")
        .query("kind", docs::one_of(&["tag", "attachment", "relationship"]), "Without a body")
        .query("label", docs::text(), "Without a body")
        .query("fileId", docs::text(), "Without a body, for an attachment")
        .query("recordId", docs::text(), "Without a body, for a relationship")
        .header("If-Match", IF_MATCH)
        .header("Prefer", PREFER)
        .body(docs::association())
        .empty_reply(204)
        .reply(200, docs::record())
        .example(Some(docs::tag_example()), None)
        .fails(&[400, 401, 403, 404, 412, 413]),
    ]
}

fn version_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(
            cx,
            get("/records/{id}/versions"),
            "records.versions",
            Guard::Optional,
            records::versions,
        )
        .summary("Earlier versions, newest first, for whoever may change the record")
        .reply(200, docs::snapshots())
        .example(None, Some(json!([docs::snapshot_example()])))
        .fails(&[401, 403, 404]),
        route(
            cx,
            get("/records/{id}/versions/{version}"),
            "records.version",
            Guard::Optional,
            records::version,
        )
        .summary("One earlier version")
        .reply(200, docs::snapshot())
        .example(None, Some(docs::snapshot_example()))
        .fails(&[400, 401, 403, 404]),
        route(
            cx,
            post("/records/{id}/restore/{version}"),
            "records.restore",
            Guard::Required,
            records::restore,
        )
        .summary("Bring an earlier version back as a new one")
        .header("If-Match", IF_MATCH)
        .reply(200, docs::record())
        .example(None, Some(docs::record_example()))
        .fails(&[400, 401, 403, 404, 409, 412, 422]),
    ]
}

fn type_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(cx, get("/types"), "types.list", Guard::None, types::list)
            .summary("All types")
            .reply(200, docs::type_list())
            .example(None, Some(json!([docs::type_example()])))
            .fails(&[401]),
        route(cx, get("/types/{id}"), "types.get", Guard::None, types::get)
            .summary("One type")
            .reply(200, docs::type_info())
            .example(None, Some(docs::type_example()))
            .fails(&[401, 404]),
        route(cx, post("/types"), "types.register", Guard::Owner, types::register)
            .summary("Register a type, or widen its schema")
            .body(docs::new_type())
            .reply(201, docs::type_info())
            .example(Some(docs::new_type_example()), Some(docs::type_example()))
            .fails(&[400, 401, 403, 409, 413, 422]),
    ]
}

fn attachment_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        streamed_route(
            cx,
            post("/attachments"),
            "attachments.upload",
            Guard::Required,
            attachments::upload,
        )
        .summary("Store bytes, and a record about them")
        .query("appId", docs::text(), "The writing app")
        .query("record", docs::flag(), "`false`: bytes only, answered with 201")
        .header("Content-Type", "Kept as the file's media type")
        .header("Content-Disposition", "Its filename is kept")
        .raw_body("application/octet-stream")
        .reply(200, docs::uploaded())
        .reply(201, docs::texts_named(&["fileId"]))
        .fails(&[401, 403, 413, 422, 507]),
        route(
            cx,
            get("/attachments/{fileId}"),
            "attachments.download",
            Guard::Optional,
            attachments::download,
        )
        .summary("The bytes of a file, or one range of them")
        .query("contentType", docs::text(), "Served as this, when it is safe")
        .query("filename", docs::text(), "Offered as the name to save under")
        .header("Range", "One byte range")
        .raw_reply(200, "application/octet-stream")
        .raw_reply(206, "application/octet-stream")
        .empty_reply(304)
        .fails(&[401, 403, 404, 416]),
        route(
            cx,
            delete("/attachments/{fileId}"),
            "attachments.delete",
            Guard::Owner,
            attachments::delete,
        )
        .summary("Delete a file nothing references")
        .empty_reply(204)
        .fails(&[401, 403, 404, 409]),
        route(
            cx,
            post("/attachments/gc"),
            "attachments.collect",
            Guard::Owner,
            attachments::collect_garbage,
        )
        .summary("Delete every file nothing references")
        .body(docs::garbage())
        .reply(200, docs::collected())
        .example(
            Some(json!({ "graceMs": 0, "dryRun": true })),
            Some(json!({ "deleted": [], "reclaimedBytes": 0 })),
        )
        .fails(&[400, 401, 403, 413]),
    ]
}

fn token_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(cx, get("/tokens"), "tokens.list", Guard::Owner, tokens::list)
            .summary("Issued tokens, newest first, without their secrets")
            .reply(200, docs::tokens())
            .example(None, Some(json!({ "tokens": [docs::token_example()] })))
            .fails(&[401, 403]),
        route(cx, post("/tokens"), "tokens.issue", Guard::Owner, tokens::issue)
            .summary("Issue a token")
            .body(docs::new_token())
            .reply(201, docs::issued_token())
            .example(
                Some(json!({ "entityId": "did:web:example.com", "label": "phone" })),
                Some(docs::token_example()),
            )
            .fails(&[400, 401, 403, 413, 422]),
        route(cx, delete("/tokens/{id}"), "tokens.revoke", Guard::Owner, tokens::revoke)
            .summary("Revoke a token")
            .empty_reply(204)
            .fails(&[401, 403]),
        route(cx, post("/auth/challenge"), "auth.challenge", Guard::None, tokens::challenge)
            .summary("A nonce to sign with the key of a did:key")
            // Proves nothing yet, so it is no attempt; but it writes, for anybody.
            .rate(RateClass::Standard)
            .body(docs::texts_named(&["did"]))
            .reply(200, docs::texts_named(&["nonce", "expiresAt"]))
            .example(
                Some(json!({ "did": "did:key:z6Mkfsz9oK6i2355mvEwtDYdAmqCN6kmQETThJtARfj9iGum" })),
                Some(json!({
                    "nonce": "k7Qm2ZxRt9vLbNc4Hy8Wf3aB",
                    "expiresAt": "2024-01-01T00:05:00.000Z"
                })),
            )
            .fails(&[400, 401, 413]),
        route(cx, post("/auth/token"), "auth.token", Guard::None, tokens::redeem)
            .summary("A token for a signed nonce")
            .rate(RateClass::SignIn)
            .body(docs::texts_named(&["did", "nonce", "signature"]))
            .reply(200, docs::texts_named(&["token", "expiresAt", "principalId", "subjectId"]))
            .fails(&[400, 401, 413]),
    ]
}

fn owner_routes(cx: &Arc<StackFace>) -> Vec<Route> {
    vec![
        route(cx, post("/_/owner-link"), "owner_link.exchange", Guard::None, tokens::owner_link)
            .summary("Exchange the secret of the one-time owner link for a token")
            .rate(RateClass::SignIn)
            .body(docs::texts_named(&["secret"]))
            .reply(200, docs::texts_named(&["token", "entityId"]))
            .fails(&[400, 401, 413]),
        route(cx, get("/_/stats"), "stats.get", Guard::Owner, discovery::stats)
            .summary("How much is in the file: records by type, versions, files, bytes, memory")
            .reply(200, docs::stats())
            .fails(&[401, 403, 503]),
        route(cx, get("/_/explain"), "access.explain", Guard::Owner, discovery::explain)
            .summary("Whether somebody may do something to a record, and which rule decides")
            .query("record", docs::text(), "The record's id")
            .query(
                "action",
                docs::one_of(&["read", "update", "delete", "permit", "purge"]),
                "Default read",
            )
            .query("principal", docs::text(), "Who authenticated; anonymous when absent")
            .query("subject", docs::text(), "For whom; the principal when absent")
            .reply(200, docs::decision())
            .example(None, Some(json!({ "allowed": true, "rule": "the record is public" })))
            .fails(&[400, 401, 403, 404]),
    ]
}
