//! `/_/backups`: copies of the whole file, for the owner.
//!
//! Work that is done soon is answered with its outcome; what takes longer is answered 202 with how far it is, and the list
//! shows it until it is done.
//!
//! Knows shapes and headers. Does not know how a backup is made or where it lies.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::StackFace;
use super::dto::{self, ok, push_text};
use super::errors::Failure;
use super::gate::{Asked, route};
use crate::engine::backups::{
    BackupDownload, BackupEntry, BackupStage, BackupWork, Receipt, RestoreOptions, Running, Wanted,
};
use crate::engine::{AsOf, Error, Result as EngineResult};
use crate::faces::media;
use crate::net::{Content, Guard, Reply, Route};
use crate::util::json::{parse_object, push_string};
use crate::util::time::format_ms;

/// How long an answer waits for the outcome.
const OUTCOME_WAIT: Duration = Duration::from_secs(20);
/// Pieces of a download that may wait for a slow reader.
const PIECES_AHEAD: usize = 2;

pub(super) fn routes(cx: &Arc<StackFace>) -> Vec<Route> {
    let at = |method, address| (method, address);
    vec![
        route(cx, at(Method::GET, "/_/backups"), "backups.list", Guard::Owner, list)
            .summary("Backups of the whole file, newest first, and what is being done")
            .reply(200, list_schema())
            .fails(&[401, 403]),
        route(cx, at(Method::POST, "/_/backups"), "backups.make", Guard::Owner, make)
            .summary("Make a backup, verified before it is kept; 202 when it takes longer than 20 seconds")
            .reply(201, backup_schema())
            .reply(202, running_schema())
            .example(None, Some(example()))
            .fails(&[401, 403, 409, 507]),
        route(cx, at(Method::GET, "/_/backups/{name}"), "backups.download", Guard::Owner, download)
            .summary("The bytes of a backup")
            .raw_reply(200, media::OCTET_STREAM)
            .fails(&[401, 403, 404]),
        route(cx, at(Method::DELETE, "/_/backups/{name}"), "backups.delete", Guard::Owner, delete)
            .summary("Remove a backup")
            .empty_reply(204)
            .fails(&[401, 403, 404]),
        route(
            cx,
            at(Method::POST, "/_/backups/{name}/verify"),
            "backups.verify",
            Guard::Owner,
            verify,
        )
        .summary("Check every page, reference and file of a backup again; 202 when it takes longer than 20 seconds")
        .reply(200, backup_schema())
        .reply(202, running_schema())
        .example(None, Some(example()))
        .fails(&[401, 403, 404, 409]),
        route(
            cx,
            at(Method::POST, "/_/backups/{name}/restore"),
            "backups.restore",
            Guard::Owner,
            restore,
        )
        .summary(
            "Put a backup in the place of the file (202: it is opened again, credentials of then apply), or bring a record or a \
             type of it back as new versions (200)",
        )
        .body(restore_body_schema())
        .reply(200, brought_back_schema())
        .reply(202, restored_schema())
        .example(
            Some(json!({ "type": "com.example/note@1" })),
            Some(json!({ "created": 1, "changed": 2, "unchanged": 0, "files": 0 })),
        )
        .fails(&[400, 401, 403, 404, 409, 507]),
    ]
}

async fn list(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let all = cx.engine.backups(&asked.who)?;
    let mut out = String::from("{\"folder\":");
    push_string(&mut out, &all.folder.to_string_lossy());
    out.push_str(&format!(",\"keep\":{},\"running\":", all.keep));
    match &all.running {
        Some(running) => push_running(&mut out, running),
        None => out.push_str("null"),
    }
    out.push_str(",\"lastVerified\":");
    push_last(&mut out, all.last_sound.as_ref());
    out.push_str(",\"backups\":");
    dto::push_all(&mut out, &all.entries, push_entry);
    out.push('}');
    Ok(ok(out))
}

async fn make(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let outcome = cx.engine.start_backup(&asked.who)?;
    answer(&cx, &asked, StatusCode::CREATED, outcome).await
}

async fn verify(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let outcome = cx.engine.start_verify_backup(&asked.who, asked.call.param(0))?;
    answer(&cx, &asked, StatusCode::OK, outcome).await
}

async fn restore(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let name = asked.call.param(0);
    match read_restore(&asked.body)? {
        Restore::Records(wanted) => {
            let outcome = cx.engine.start_bring_back(&asked.who, name, wanted)?;
            match tokio::time::timeout(OUTCOME_WAIT, outcome).await {
                Ok(done) => {
                    let done = done.map_err(|_| no_outcome())??;
                    Ok(ok(format!(
                        "{{\"created\":{},\"changed\":{},\"unchanged\":{},\"files\":{}}}",
                        done.created, done.changed, done.unchanged, done.files
                    )))
                }
                Err(_) => still_running(&cx, &asked),
            }
        }
        Restore::Whole(options) => {
            let outcome = cx.engine.start_restore(&asked.who, name, options)?;
            match tokio::time::timeout(OUTCOME_WAIT, outcome).await {
                Ok(done) => {
                    let restored = done.map_err(|_| no_outcome())??;
                    let mut out = String::from("{\"restarting\":true,\"name\":");
                    push_string(&mut out, name);
                    out.push_str(&format!(
                        ",\"tx\":{},\"records\":{},\"deletedRecords\":{},\"files\":{}",
                        restored.tx, restored.records, restored.deleted_records, restored.files
                    ));
                    if let Some(rewound) = restored.rewound {
                        out.push_str(&format!(
                            ",\"asOf\":{{\"tx\":{},\"changed\":{},\"removed\":{},\"unknown\":{},\"purged\":{}}}",
                            rewound.tx,
                            rewound.changed,
                            rewound.removed,
                            rewound.unknown,
                            rewound.purged
                        ));
                    }
                    out.push('}');
                    Ok(Reply::json(StatusCode::ACCEPTED, out))
                }
                Err(_) => still_running(&cx, &asked),
            }
        }
    }
}

enum Restore {
    Whole(RestoreOptions),
    Records(Wanted),
}

/// No body is a restore of the whole.
fn read_restore(body: &[u8]) -> Result<Restore, Failure> {
    if body.is_empty() {
        return Ok(Restore::Whole(RestoreOptions::default()));
    }
    let body = parse_object(body)?;
    let named = |key: &str| -> Result<Option<String>, Failure> {
        match body.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(Failure::bad_request(format!("{key} must be a text"))),
        }
    };
    let as_of = match body.get("asOf") {
        None | Some(Value::Null) => None,
        Some(Value::Number(tx)) => tx.as_i64().map(AsOf::Tx),
        Some(Value::String(text)) => AsOf::parse(text),
        Some(_) => return Err(bad_moment()),
    };
    if as_of.is_none() && body.get("asOf").is_some_and(|given| !given.is_null()) {
        return Err(bad_moment());
    }
    let end_sessions = match body.get("endSessions") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(end)) => *end,
        Some(_) => return Err(Failure::bad_request("endSessions must be true or false")),
    };
    match (named("record")?, named("type")?) {
        (None, None) => Ok(Restore::Whole(RestoreOptions { as_of, end_sessions })),
        (Some(id), None) if as_of.is_none() && !end_sessions => {
            Ok(Restore::Records(Wanted::Record(id)))
        }
        (None, Some(name)) if as_of.is_none() && !end_sessions => {
            Ok(Restore::Records(Wanted::Type(name)))
        }
        _ => Err(Failure::bad_request(
            "record, type and the options of a whole restore exclude each other",
        )),
    }
}

fn bad_moment() -> Failure {
    Failure::bad_request("asOf must be a tx number or an instant")
}

/// The thread panicked; the log says why.
fn no_outcome() -> Error {
    Error::Conflict("the work ended without an outcome".into())
}

/// The outcome when it comes soon, else how far it is.
async fn answer(
    cx: &StackFace,
    asked: &Asked,
    done: StatusCode,
    outcome: oneshot::Receiver<EngineResult<Receipt>>,
) -> Result<Reply, Failure> {
    match tokio::time::timeout(OUTCOME_WAIT, outcome).await {
        Ok(Ok(receipt)) => {
            let mut out = String::new();
            push_receipt(&mut out, &receipt?);
            Ok(Reply::json(done, out))
        }
        Ok(Err(_)) => Err(no_outcome().into()),
        Err(_) => still_running(cx, asked),
    }
}

/// 202, with how far the work is.
pub(super) fn still_running(cx: &StackFace, asked: &Asked) -> Result<Reply, Failure> {
    let mut out = String::from("{\"running\":");
    match cx.engine.backups(&asked.who)?.running {
        Some(running) => push_running(&mut out, &running),
        None => out.push_str("null"),
    }
    out.push('}');
    Ok(Reply::json(StatusCode::ACCEPTED, out))
}

async fn delete(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.delete_backup(&asked.who, asked.call.param(0))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

async fn download(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let name = asked.call.param(0).to_owned();
    let download = cx.engine.open_backup(&asked.who, &name)?;
    let mut reply = Reply::empty(StatusCode::OK)
        .with(CONTENT_TYPE, media::OCTET_STREAM)
        .with(CONTENT_DISPOSITION, &media::disposition(Some(&name)));
    if let Some(sha256) = &download.sha256 {
        reply = reply.with(ETAG, &format!("\"{sha256}\""));
    }
    if asked.call.method == Method::HEAD {
        return Ok(reply.with(CONTENT_LENGTH, &download.bytes.to_string()));
    }
    let (pieces, source) = mpsc::channel(PIECES_AHEAD);
    let length = Some(download.bytes);
    tokio::spawn(send_pieces(download, pieces));
    reply.content = Content::Stream { length, source };
    Ok(reply)
}

async fn send_pieces(
    mut download: BackupDownload,
    pieces: mpsc::Sender<std::io::Result<bytes::Bytes>>,
) {
    loop {
        match download.next_piece() {
            Ok(piece) if piece.is_empty() => return,
            Ok(piece) => {
                if pieces.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
            Err(fault) => {
                tracing::error!(%fault, "the download of a backup broke off");
                // The length was promised, so the answer breaks off.
                let _ = pieces.send(Err(fault)).await;
                return;
            }
        }
    }
}

fn push_entry(out: &mut String, entry: &BackupEntry) {
    match &entry.receipt {
        Some(receipt) => push_receipt(out, receipt),
        None => {
            out.push_str("{\"name\":");
            push_string(out, &entry.name);
            out.push_str(&format!(
                ",\"at\":\"{}\",\"bytes\":{},\"verifiedAt\":null,\"sound\":null}}",
                format_ms(entry.at),
                entry.bytes
            ));
        }
    }
}

pub(super) fn push_receipt(out: &mut String, receipt: &Receipt) {
    out.push_str("{\"name\":");
    push_string(out, &receipt.name);
    out.push_str(&format!(
        ",\"at\":\"{}\",\"bytes\":{},\"tx\":{},\"verifiedAt\":\"{}\",\"sound\":{}",
        format_ms(receipt.at),
        receipt.bytes,
        receipt.tx,
        format_ms(receipt.verified_at),
        receipt.sound
    ));
    push_text(out, "sha256", Some(&receipt.sha256));
    push_text(out, "digest", Some(&receipt.digest));
    for (name, value) in [
        ("records", receipt.records),
        ("deletedRecords", receipt.deleted_records),
        ("versions", receipt.versions),
        ("files", receipt.files),
        ("fileBytes", receipt.file_bytes),
    ] {
        out.push_str(&format!(",\"{name}\":{value}"));
    }
    out.push_str(",\"types\":");
    dto::push_all(out, &receipt.types, |out, size| {
        out.push_str("{\"typeId\":");
        push_string(out, &size.type_id);
        out.push_str(&format!(
            ",\"records\":{},\"deletedRecords\":{}}}",
            size.records, size.deleted_records
        ));
    });
    if !receipt.faults.is_empty() {
        out.push_str(",\"faults\":");
        dto::push_all(out, &receipt.faults, |out, fault: &String| push_string(out, fault));
    }
    out.push('}');
}

/// The newest sound backup in short, or `null`.
pub(super) fn push_last(out: &mut String, last: Option<&Receipt>) {
    let Some(last) = last else {
        out.push_str("null");
        return;
    };
    out.push_str("{\"name\":");
    push_string(out, &last.name);
    out.push_str(&format!(
        ",\"at\":\"{}\",\"tx\":{},\"bytes\":{},\"verifiedAt\":\"{}\"}}",
        format_ms(last.at),
        last.tx,
        last.bytes,
        format_ms(last.verified_at)
    ));
}

fn push_running(out: &mut String, running: &Running) {
    let work = match running.work {
        BackupWork::Backup => "backup",
        BackupWork::Verify => "verify",
        BackupWork::Restore => "restore",
    };
    out.push_str(&format!("{{\"work\":\"{work}\",\"stage\":"));
    match &running.stage {
        BackupStage::Copying { done, total } => {
            out.push_str(&format!("\"copying\",\"done\":{done},\"total\":{total}}}"));
        }
        BackupStage::Verifying(what) => {
            push_string(out, what);
            out.push('}');
        }
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn whole() -> Value {
    json!({ "type": "integer" })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn backup_schema() -> Value {
    json!({
        "type": "object",
        "description": "One that came from elsewhere and was not verified yet has name, at and bytes alone",
        "required": ["name", "at", "bytes", "verifiedAt", "sound"],
        "properties": {
            "name": text(), "at": instant(), "bytes": whole(),
            "tx": { "type": "integer", "description": "The newest unit it holds" },
            "verifiedAt": or_null(instant()),
            "sound": { "type": ["boolean", "null"] },
            "sha256": { "type": "string", "description": "Of the file" },
            "digest": { "type": "string", "description": "Of what it holds, as `cairn verify` prints it" },
            "records": whole(), "deletedRecords": whole(), "versions": whole(), "files": whole(),
            "fileBytes": whole(),
            "types": { "type": "array", "items": {
                "type": "object",
                "required": ["typeId", "records", "deletedRecords"],
                "properties": { "typeId": text(), "records": whole(), "deletedRecords": whole() }
            } },
            "faults": { "type": "array", "items": text() }
        }
    })
}

fn work_schema() -> Value {
    json!({
        "type": ["object", "null"],
        "required": ["work", "stage"],
        "properties": {
            "work": { "type": "string", "enum": ["backup", "verify", "restore"] },
            "stage": { "type": "string", "description": "`copying`, or what is being looked at" },
            "done": { "type": "integer", "description": "Pages copied" },
            "total": whole()
        }
    })
}

pub(super) fn running_schema() -> Value {
    json!({ "type": "object", "required": ["running"], "properties": { "running": work_schema() } })
}

/// The newest sound backup, wherever it was written.
pub(super) fn last_schema() -> Value {
    json!({
        "type": ["object", "null"],
        "required": ["name", "at", "tx", "bytes", "verifiedAt"],
        "properties": {
            "name": { "type": "string", "description": "A path when it is not in the folder" },
            "at": instant(), "tx": whole(), "bytes": whole(), "verifiedAt": instant()
        }
    })
}

fn list_schema() -> Value {
    json!({
        "type": "object",
        "required": ["folder", "keep", "running", "lastVerified", "backups"],
        "properties": {
            "folder": text(), "keep": whole(), "running": work_schema(), "lastVerified": last_schema(),
            "backups": { "type": "array", "items": backup_schema() }
        }
    })
}

fn restore_body_schema() -> Value {
    json!({
        "type": "object",
        "description": "Empty or absent: the whole file",
        "properties": {
            "asOf": { "type": ["integer", "string"], "description": "A tx or an instant: the state of an earlier moment" },
            "endSessions": { "type": "boolean", "description": "End every session and token that the backup holds" },
            "record": { "type": "string", "description": "One record, by id" },
            "type": { "type": "string", "description": "Every record of a type or collection" }
        }
    })
}

fn brought_back_schema() -> Value {
    json!({
        "type": "object",
        "required": ["created", "changed", "unchanged", "files"],
        "properties": {
            "created": { "type": "integer", "description": "Records that were gone" },
            "changed": { "type": "integer", "description": "Records with the backup's state as a new version" },
            "unchanged": whole(),
            "files": { "type": "integer", "description": "Files whose bytes were gone" }
        }
    })
}

fn restored_schema() -> Value {
    json!({
        "type": "object",
        "description": "`restarting` once the file is prepared; `running` while it still is",
        "properties": {
            "restarting": { "const": true }, "name": text(), "tx": whole(), "records": whole(),
            "deletedRecords": whole(), "files": whole(), "running": work_schema(),
            "asOf": {
                "type": "object",
                "properties": {
                    "tx": whole(), "changed": whole(), "removed": whole(),
                    "unknown": { "type": "integer", "description": "Records whose state of then was pruned" },
                    "purged": whole()
                }
            }
        }
    })
}

fn example() -> Value {
    json!({
        "name": "stack-20240101T000000Z.cairn", "at": "2024-01-01T00:00:00.000Z", "bytes": 372_736, "tx": 7,
        "verifiedAt": "2024-01-01T00:00:00.000Z", "sound": true, "sha256": "0".repeat(64),
        "digest": "0".repeat(64), "records": 3, "deletedRecords": 1, "versions": 2, "files": 0,
        "fileBytes": 0, "types": [{ "typeId": "com.example/note@1", "records": 3, "deletedRecords": 1 }]
    })
}
