//! What a client asks first: the discovery document and the owner's card; `explain` and `stats`.
//!
//! Knows the shapes. Does not know where the figures in them are enforced.

use std::sync::Arc;

use super::StackFace;
use super::backups;
use super::dto::{self, ok, push_text, record_reply};
use super::errors::Failure;
use super::gate::Asked;
use crate::engine::{ACCOUNT_DID, Action, Caller, Kind};
use crate::net::Reply;
use crate::util::json::push_string;
use crate::util::process::resident_bytes;
use serde_json::Value;

/// `MAJOR.MINOR` of the wire protocol; clients refuse another major.
const PROTOCOL_VERSION: &str = "1.0";

pub(super) async fn document(cx: Arc<StackFace>, _asked: Asked) -> Result<Reply, Failure> {
    let options = cx.engine.options();
    let mut out = format!("{{\"version\":\"{PROTOCOL_VERSION}\"");
    push_text(&mut out, "entityId", Some(cx.engine.owner()));
    push_text(&mut out, "timezone", cx.engine.timezone().as_deref());
    out.push_str(
        ",\"capabilities\":{\"fullTextSearch\":true,\"contentFieldQuery\":true,\
         \"sortableFields\":[\"createdAt\",\"updatedAt\",\"version\"]",
    );
    out.push_str(&format!(
        ",\"maxAttachmentBytes\":{},\"maxContentBytes\":{}}}",
        options.attachment_bytes_max, options.content_bytes_max
    ));
    out.push_str(",\"auth\":{\"methods\":[\"did-challenge\"]}}");
    Ok(ok(out))
}

pub(super) async fn entity(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    Ok(record_reply(&cx.engine.owner_card(&asked.who)?))
}

pub(super) async fn update_entity(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = asked.object()?;
    let patch = match body.remove("content") {
        Some(Value::Object(patch)) => patch,
        Some(other) => {
            body.insert("content".to_owned(), other);
            body
        }
        None => body,
    };
    Ok(record_reply(&cx.engine.update_owner_card(&asked.who, patch).await?))
}

/// Whether somebody may do something to a record, and which rule says so.
pub(super) async fn explain(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let Some(record) = asked.query("record") else {
        return Err(Failure::bad_request("record must be the id of a record"));
    };
    let action = action(asked.query("action").unwrap_or("read"))?;
    let who = match (asked.query("principal"), asked.query("subject")) {
        (None, None) => Caller::anonymous(),
        (Some(one), None) | (None, Some(one)) => alone(&cx, &asked.who, one)?,
        (Some(principal), Some(subject)) => Caller::of(principal, subject),
    };
    let decision = cx.engine.explain(&asked.who, &who, action, record)?;
    let mut out = format!("{{\"allowed\":{},\"rule\":", decision.allowed);
    push_string(&mut out, &decision.rule.to_string());
    out.push('}');
    Ok(ok(out))
}

/// Somebody acting alone; an account with its role and claims, which rules ask for.
fn alone(cx: &StackFace, asking: &Caller, did: &str) -> Result<Caller, Failure> {
    if let Some(user) = did.strip_prefix(ACCOUNT_DID) {
        match cx.engine.profile(asking, user) {
            Ok(profile) => return Ok(Caller::of_account(Arc::new(profile.account()), "")),
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Caller::of(did, did))
}

/// How much is in the file, for the pages of the owner.
pub(super) async fn stats(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let (counts, sizes) = cx.engine.sizes(&asked.who).await?;
    let mut out = String::from("{\"types\":");
    dto::push_all(&mut out, &sizes, |out, size| {
        out.push_str("{\"typeId\":");
        push_string(out, &size.type_id);
        out.push_str(&format!(
            ",\"records\":{},\"deletedRecords\":{}}}",
            size.records, size.deleted_records
        ));
    });
    for (name, value) in [
        ("records", counts.records),
        ("deletedRecords", counts.deleted_records),
        ("versions", counts.versions),
        ("changes", counts.changes),
        ("associations", counts.associations),
        ("files", counts.blobs),
        ("fileBytes", counts.blob_bytes),
        ("tokens", counts.tokens),
        ("databaseBytes", counts.file_bytes),
        ("freeBytes", counts.free_bytes),
        ("lastTx", counts.last_tx),
    ] {
        out.push_str(&format!(",\"{name}\":{value}"));
    }
    out.push_str(&format!(",\"walBytes\":{}", cx.engine.wal_bytes()));
    out.push_str(",\"lastBackup\":");
    backups::push_last(&mut out, cx.engine.last_backup(&asked.who)?.as_ref());
    if let Some(bytes) = resident_bytes() {
        out.push_str(&format!(",\"memoryBytes\":{bytes}"));
    }
    out.push('}');
    Ok(ok(out))
}

fn action(name: &str) -> Result<Action, Failure> {
    match name {
        "read" => Ok(Action::Read),
        "update" => Ok(Action::Update),
        "delete" => Ok(Action::Delete),
        "permit" => Ok(Action::Permit),
        "purge" => Ok(Action::Purge),
        _ => Err(Failure::bad_request("action must be read, update, delete, permit or purge")),
    }
}
