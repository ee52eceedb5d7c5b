//! Files by path (live 11): upload, signed links, download, list, delete, and the spellings of the client libraries.
//!
//! [`routes`] is the table. `upload` reads bodies, `multipart` takes forms apart, `resumable` uploads in ranges, `links`
//! reads and prints signed addresses.
//!
//! Knows forms, headers and addresses. Does not know who may do what, or where bytes are.
//!
//! Invariants
//! S1. Who may not is refused before path, form or existence is looked at.
//! S2. Bytes go out as `faces::download` serves them: safe type, `attachment`, sandbox policy.
//! S3. A path is percent-decoded once, by whoever read it off the wire, and checked after that.

mod links;
mod multipart;
mod resumable;
mod upload;

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_RANGE, HeaderName};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use self::links::Transform;
use super::errors::{Code, Failure};
use super::http::{Asked, Intake, JSON_BYTES_MAX, LiveFace, reply, route};
use crate::engine::stored_files::{FILE_ROWS_MAX, FileInfo};
use crate::engine::{Engine, StoredFile};
use crate::faces::download::{Refused, Served, download};
use crate::faces::media::served_type;
use crate::net::{Guard, Reply, Route};
use crate::schema::file_path::FilePath;
use crate::schema::rules::StorageOperation;
use crate::util::json::parse_object;
use crate::util::time::format_ms;

const LIST_ROWS_DEFAULT: u32 = 100;
/// Sent by libraries whose `download` wants bytes where the protocol answers JSON (live 11.4).
const LIBRARY_MARKS: [&str; 2] = ["x-darshdb-ns", "x-darshdb-db"];
const IMAGE_TRANSFORM: HeaderName = HeaderName::from_static("x-image-transform");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
/// The storage rules are asked by each handler, before it reads the body.
const STREAMED: Intake = Intake { body_bytes_max: None, token_in_query: false, by_rules: false };

/// Every storage address, twice: as documented, and below `/v1/apps/{appId}`. Whether somebody without a credential may
/// call is for the rules to say.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    macro_rules! both {
        ($method:ident $path:literal, $name:literal, $run:path, $doc:expr) => {{
            let document: fn(Route) -> Route = $doc;
            for (address, name) in [
                (concat!("/api/storage", $path), concat!("live.storage.", $name)),
                (concat!("/v1/apps/{appId}/storage", $path), concat!("live.apps.storage.", $name)),
            ] {
                let entry = (Method::$method, address);
                all.push(document(route(cx, entry, name, Guard::Optional, STREAMED, $run)));
            }
        }};
    }
    both!(POST "/upload", "upload", upload::upload, |route| {
        route
            .summary("Upload a file: a form with `file`, `path`, `contentType`, `metadata`, or the bytes themselves")
            .query("path", text(), "Where to store a body that is no form")
            .media_body("multipart/form-data", form_schema())
            .reply(201, stored_schema())
            .example(None, Some(stored_example()))
            .fails(&[400, 401, 403, 413, 415, 503, 507])
    });
    both!(POST "/upload/resumable", "resumable.begin", resumable::begin, |route| {
        route
            .summary("Open an upload in ranges")
            .body(json!({ "type": "object", "required": ["path", "size"], "properties": {
                "path": text(), "contentType": text(), "size": { "type": "integer", "minimum": 0 },
                "metadata": texts() } }))
            .reply(200, json!({ "type": "object", "properties": {
                "uploadId": text(), "chunkSize": { "type": "integer" } } }))
            .example(Some(json!({ "path": "films/a.mp4", "contentType": "video/mp4", "size": 9_000_000 })),
                Some(json!({ "uploadId": "q0Zt4cC3n2vX", "chunkSize": resumable::CHUNK_BYTES_WISHED })))
            .fails(&[400, 401, 403, 409, 413, 415, 503])
    });
    both!(GET "/upload/resumable/{uploadId}", "resumable.state", resumable::state, |route| {
        route
            .summary("How far an upload is")
            .reply(200, json!({ "type": "object", "properties": { "uploadId": text(),
                "received": { "type": "integer" }, "size": { "type": "integer" },
                "complete": { "type": "boolean" } } }))
            .fails(&[401, 403, 404])
    });
    both!(PUT "/upload/resumable/{uploadId}/chunk", "resumable.chunk", resumable::chunk, |route| {
        route
            .summary("Send one range")
            .header("Content-Range", "`bytes <first>-<last>/<size>`")
            .header("X-Chunk-Index", "Number of the chunk; not needed")
            .raw_body("application/octet-stream")
            .reply(200, json!({ "type": "object", "properties": { "received": { "type": "integer" } } }))
            .example(None, Some(json!({ "received": 2_097_152 })))
            .fails(&[400, 401, 403, 404, 503, 507])
    });
    both!(POST "/upload/resumable/{uploadId}/complete", "resumable.complete", resumable::complete, |route| {
        route
            .summary("Make the file of the ranges")
            .reply(200, stored_schema())
            .example(None, Some(stored_example()))
            .fails(&[401, 403, 404, 409, 413, 415, 503])
    });
    both!(GET "", "list", list, |route| listed(route).summary("List files by path"));
    both!(GET "/list", "list_as_library", list, |route| {
        listed(route).summary("List files by path, as one library spells it")
    });
    both!(GET "/url", "link", link, |route| {
        linked(route)
            .query("path", text(), "The file")
            .summary("A signed link to a file named in the query")
    });
    both!(DELETE "/files", "delete_by_query", delete_by_query, |route| {
        route
            .query("path", text(), "The file")
            .summary("Delete a file named in the query")
            .empty_reply(204)
            .fails(&[400, 401, 403, 404, 503])
    });
    both!(DELETE "/delete", "delete_by_body", delete_by_body, |route| {
        route
            .summary("Delete a file named in the body")
            .body(json!({ "type": "object", "required": ["path"], "properties": { "path": text() } }))
            .reply(200, json!({ "type": "object", "properties": { "ok": { "type": "boolean" } } }))
            .example(Some(json!({ "path": "images/photo.jpg" })), Some(json!({ "ok": true })))
            .fails(&[400, 401, 403, 404, 503])
    });
    both!(GET "/{path*}", "get", get, |route| {
        linked(route)
            .summary("A signed link to a file; with a signature or `download=1` its bytes")
            .query("expires", json!({ "type": "integer" }), "Of a signed link: Unix seconds")
            .query("sig", text(), "Of a signed link: its signature")
            .query("holder", text(), "Of a signed link: what it hangs on")
            .query("file", text(), "Of a signed link: the record of the file")
            .query("type", text(), "Of a signed link: the media type")
            .query("download", json!({ "enum": ["1", "true"] }), "Answer the bytes")
            .raw_reply(206, "application/octet-stream")
            .empty_reply(304)
            .fails(&[416])
    });
    both!(DELETE "/{path*}", "delete", delete, |route| {
        route.summary("Delete a file").empty_reply(204).fails(&[400, 401, 403, 404, 503])
    });
    all
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn texts() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn form_schema() -> Value {
    json!({ "type": "object", "required": ["file"], "properties": {
        "file": { "type": "string", "format": "binary" }, "path": text(), "contentType": text(),
        "metadata": { "type": "string", "description": "JSON object of texts" } } })
}

fn stored_schema() -> Value {
    json!({ "type": "object", "properties": { "path": text(), "url": text(),
        "size": { "type": "integer" }, "contentType": text(),
        "expiresAt": { "type": "string", "format": "date-time" }, "etag": text() } })
}

fn stored_example() -> Value {
    json!({ "path": "images/photo.jpg",
        "url": "http://127.0.0.1:7700/api/storage/images/photo.jpg?expires=1775394000&sig=…",
        "size": 245_760, "contentType": "image/jpeg", "expiresAt": "2026-04-05T13:00:00Z",
        "etag": "9f86d081…" })
}

fn listed(route: Route) -> Route {
    let file = json!({ "type": "object", "properties": { "path": text(),
        "size": { "type": "integer" }, "contentType": text(),
        "updatedAt": { "type": "string", "format": "date-time" } } });
    route
        .query("prefix", text(), "What paths begin with")
        .query("limit", json!({ "type": "integer", "minimum": 1, "maximum": FILE_ROWS_MAX,
            "default": LIST_ROWS_DEFAULT }), "Files in a page")
        .query("cursor", text(), "`cursor` of the page before")
        .reply(200, json!({ "type": "object", "properties": {
            "files": { "type": "array", "items": file }, "hasMore": { "type": "boolean" },
            "cursor": text(), "nextCursor": text() } }))
        .example(None, Some(json!({ "files": [{ "path": "images/photo.jpg", "size": 245_760,
            "contentType": "image/jpeg", "updatedAt": "2026-04-05T12:00:00Z" }], "hasMore": false })))
        .fails(&[400, 401, 403, 503])
}

fn linked(route: Route) -> Route {
    let seconds = json!({ "type": "integer", "minimum": links::EXPIRY_S_MIN,
        "maximum": links::EXPIRY_S_MAX, "default": links::EXPIRY_S_DEFAULT });
    let route = route
        .query("expiry", seconds.clone(), "Seconds the link lives, a day at most")
        .query("expiresIn", seconds, "The same");
    Transform::documented(route)
        .reply(
            200,
            json!({ "type": "object", "properties": { "url": text(),
            "expiresAt": { "type": "string", "format": "date-time" },
            "expiresIn": { "type": "integer" }, "path": text(), "size": { "type": "integer" },
            "contentType": text(), "metadata": texts(), "etag": text(),
            "updatedAt": { "type": "string", "format": "date-time" } } }),
        )
        .example(None, Some(stored_example()))
        .fails(&[400, 401, 403, 404])
}

fn path_of(text: &str) -> Result<FilePath, Failure> {
    FilePath::parse(text).map_err(Failure::invalid)
}

fn query_path(asked: &Asked) -> Result<FilePath, Failure> {
    path_of(asked.call.query.get("path").ok_or_else(|| Failure::invalid("path is missing"))?)
}

/// A JSON body, for handlers that check the right to call before they read one.
async fn object(asked: &mut Asked) -> Result<Map<String, Value>, Failure> {
    let bytes = asked.call.body.read(JSON_BYTES_MAX).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    Ok(parse_object(&bytes)?)
}

async fn get(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let query = &asked.call.query;
    if query.get("sig").is_some() || query.get("expires").is_some() {
        return get_by_link(&cx, &asked);
    }
    cx.engine.check_storage(&asked.who, StorageOperation::Read)?;
    let path = path_of(asked.call.param(0))?;
    let marked = LIBRARY_MARKS.iter().any(|name| asked.call.headers.contains_key(*name));
    if !marked && !matches!(query.get("download"), Some("1" | "true")) {
        return answer_link(&cx, &asked, &path);
    }
    let transform = Transform::read(query)?;
    let (info, file) = cx.engine.open_stored_file(&asked.who, &path)?;
    bytes(&cx.engine, &asked, &info, file, &transform)
}

/// The credential of these calls is the address, which is made to be embedded in pages (SECURITY S19).
fn get_by_link(cx: &LiveFace, asked: &Asked) -> Result<Reply, Failure> {
    let path = path_of(asked.call.param(0))?;
    let transform = Transform::read(&asked.call.query)?;
    let link = links::read(&asked.call.query).ok_or_else(Failure::unauthenticated)?;
    let (info, file) = cx.engine.open_link(&path, &link, transform.text())?;
    let reply = bytes(&cx.engine, asked, &info, file, &transform)?;
    // Who keeps it asks again each time: the link may have died.
    Ok(reply
        .with(CACHE_CONTROL, "private, no-cache")
        .with(CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
}

fn bytes(
    engine: &Engine,
    asked: &Asked,
    info: &FileInfo,
    file: StoredFile,
    transform: &Transform,
) -> Result<Reply, Failure> {
    let name = file.filename.clone();
    let media_type = served_type(None, None, Some(&info.content_type));
    let served = Served { file, media_type, filename: name.as_deref() };
    let reply = match download(engine, &asked.call, served) {
        Ok(reply) => reply,
        Err(Refused::Engine(error)) => return Err(error.into()),
        Err(Refused::NoBytes(size)) => {
            let failure =
                Failure::new(Code::RangeNotSatisfiable, "the file has no bytes in this range");
            let reply = failure.into_reply(&asked.call.request_id);
            return Ok(reply.with(CONTENT_RANGE, &Refused::content_range(size)));
        }
    };
    if transform.is_none() {
        return Ok(reply);
    }
    // There is no image codec in this build: the original, and a word about it (live 11.9).
    Ok(reply.with(IMAGE_TRANSFORM, "unsupported"))
}

async fn link(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Read)?;
    let path = query_path(&asked)?;
    answer_link(&cx, &asked, &path)
}

fn answer_link(cx: &LiveFace, asked: &Asked, path: &FilePath) -> Result<Reply, Failure> {
    let transform = Transform::read(&asked.call.query)?;
    let seconds = links::seconds(&asked.call.query)?;
    let (info, _) = cx.engine.open_stored_file(&asked.who, path)?;
    let mut body = linked_file(cx, asked, &info, seconds, &transform)?;
    body.insert("updatedAt".into(), json!(format_ms(info.updated_at)));
    body.insert("expiresIn".into(), json!(seconds));
    if !info.metadata.is_empty() {
        body.insert("metadata".into(), Value::Object(info.metadata));
    }
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

/// A file as uploads answer it: with a fresh link.
fn linked_file(
    cx: &LiveFace,
    asked: &Asked,
    info: &FileInfo,
    seconds: i64,
    transform: &Transform,
) -> Result<Map<String, Value>, Failure> {
    let link = cx.engine.sign_link(&asked.who, info, seconds, transform.text())?;
    let base = links::base(cx, &asked.call);
    let mut body = Map::new();
    body.insert("path".into(), json!(info.path));
    body.insert("url".into(), json!(links::address(&base, &info.path, &link, transform)));
    body.insert("size".into(), json!(info.size));
    body.insert("contentType".into(), json!(info.content_type));
    body.insert("expiresAt".into(), json!(format_ms(link.expires_s.saturating_mul(1_000))));
    body.insert("etag".into(), json!(info.file_id));
    Ok(body)
}

fn stored(
    cx: &LiveFace,
    asked: &Asked,
    status: StatusCode,
    info: &FileInfo,
) -> Result<Reply, Failure> {
    let none = Transform::default();
    let body = linked_file(cx, asked, info, links::EXPIRY_S_DEFAULT, &none)?;
    Ok(reply(status, &Value::Object(body)))
}

async fn list(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Read)?;
    let query = &asked.call.query;
    let limit = match query.get("limit") {
        None | Some("") => LIST_ROWS_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=FILE_ROWS_MAX).contains(limit))
            .ok_or_else(|| Failure::invalid(format!("limit must be 1 to {FILE_ROWS_MAX}")))?,
    };
    let prefix = query.get("prefix").unwrap_or("").trim_start_matches('/');
    let cursor = query.get("cursor").filter(|text| !text.is_empty());
    let page = cx.engine.list_files(&asked.who, prefix, limit, cursor).await?;
    let files: Vec<Value> = page
        .files
        .iter()
        .map(|file| {
            json!({ "path": file.path, "size": file.size, "contentType": file.content_type,
                "updatedAt": format_ms(file.updated_at) })
        })
        .collect();
    let mut body = Map::new();
    body.insert("files".into(), Value::Array(files));
    body.insert("hasMore".into(), json!(page.cursor.is_some()));
    if let Some(cursor) = page.cursor {
        body.insert("nextCursor".into(), json!(cursor));
        body.insert("cursor".into(), json!(cursor));
    }
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

async fn delete(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Delete)?;
    let path = path_of(asked.call.param(0))?;
    cx.engine.remove_stored_file(&asked.who, &path).await?;
    Ok(asked.no_content())
}

async fn delete_by_query(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Delete)?;
    let path = query_path(&asked)?;
    cx.engine.remove_stored_file(&asked.who, &path).await?;
    Ok(asked.no_content())
}

async fn delete_by_body(cx: Arc<LiveFace>, mut asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Delete)?;
    let body = object(&mut asked).await?;
    let path = body.get("path").and_then(Value::as_str);
    let path = path_of(path.ok_or_else(|| Failure::invalid("path must be a text"))?)?;
    cx.engine.remove_stored_file(&asked.who, &path).await?;
    Ok(reply(StatusCode::OK, &json!({ "ok": true })))
}
