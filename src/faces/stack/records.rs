//! Records: create, read, change, remove, their permissions, associations and versions.
//!
//! Knows the stack's bodies and which of their keys count. Does not know what a change means or
//! who may make it; both are the engine's.
//!
//! Invariants
//! R1. A body's key of the wrong type is absent where it is optional, a `bad_request` where it is
//!     needed.
//! R2. Of a history, however long, two parts are in memory.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ETAG, HeaderName};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::StackFace;
use super::dto::{self, ok, record_reply, representation_reply};
use super::errors::Failure;
use super::gate::Asked;
use super::headers::{if_match, prefers_representation};
use crate::engine::{AsOf, Caller, Engine, NewRecord, Record};
use crate::net::{Content, Reply};
use crate::util::json::parse;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Parts of a long list of versions that may wait for a slow reader.
const PARTS_AHEAD: usize = 1;

/// Keys that may stand beside a wrapped patch (stack.md 7.3).
const ENVELOPE_KEYS: [&str; 12] = [
    "id",
    "typeId",
    "version",
    "createdAt",
    "updatedAt",
    "entityId",
    "principalId",
    "appId",
    "parentId",
    "permissions",
    "associations",
    "unlisted",
];
/// Keys that wrap a patch, of two older and newer generations of clients.
const WRAPPERS: [&str; 2] = ["content", "contentPatch"];

pub(super) async fn create(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let new = new_record(asked.object()?)?;
    let record = cx.engine.create(&asked.who, new).await?;
    Ok(record_reply(&record))
}

fn new_record(mut body: Map<String, Value>) -> Result<NewRecord, Failure> {
    let type_id = needed_text(&mut body, "typeId")?;
    let content = needed_object(&mut body, "content")?;
    Ok(NewRecord {
        id: optional_text(&mut body, "id"),
        type_id,
        content,
        parent: optional_text(&mut body, "parentId").filter(|id| !id.is_empty()),
        app: optional_text(&mut body, "appId").filter(|app| !app.is_empty()),
        permissions: optional_list(&mut body, "permissions"),
        associations: optional_list(&mut body, "associations"),
    })
}

pub(super) async fn get(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let as_of = as_of(asked.query("as_of"))?;
    let record = cx.engine.get(&asked.who, asked.call.param(0), as_of)?;
    Ok(record_reply(&record))
}

/// A point in the past, by number or by time.
pub(super) fn as_of(text: Option<&str>) -> Result<Option<AsOf>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match AsOf::parse(text) {
        Some(as_of) => Ok(Some(as_of)),
        None => Err(Failure::bad_request("as_of must be a transaction number or an ISO time")),
    }
}

pub(super) async fn update(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.object()?;
    let seen = if_match(&asked.call.headers)?;
    let id = asked.call.param(0);
    let patch = match wrapper(&body) {
        Some(wrapper) if !declares(&cx, id, wrapper) => unwrap(body, wrapper),
        _ => body,
    };
    let record = cx.engine.update(&asked.who, id, patch, seen).await?;
    Ok(record_reply(&record))
}

/// The key that wraps the patch, as far as the body alone can tell.
fn wrapper(body: &Map<String, Value>) -> Option<&'static str> {
    let mut present = WRAPPERS.into_iter().filter(|key| body.contains_key(*key));
    let (wrapper, None) = (present.next()?, present.next()) else { return None };
    let others_fit = body.keys().all(|key| key == wrapper || ENVELOPE_KEYS.contains(&key.as_str()));
    (others_fit && body[wrapper].is_object()).then_some(wrapper)
}

/// Whether the record's type has a field of this name, so that a patch may mean it.
///
/// Asked as the owner: somebody who may change a record without reading it writes the same patch,
/// and nothing of the record gets into the answer.
fn declares(cx: &StackFace, id: &str, field: &str) -> bool {
    cx.engine
        .get(&cx.engine.owner_caller(), id, None)
        .is_ok_and(|record| record.type_info.schema.field(field).is_some())
}

fn unwrap(mut body: Map<String, Value>, wrapper: &str) -> Map<String, Value> {
    match body.remove(wrapper) {
        Some(Value::Object(patch)) => patch,
        _ => body,
    }
}

pub(super) async fn delete(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let seen = if_match(&asked.call.headers)?;
    let id = asked.call.param(0);
    if asked.call.query.get("hard") == Some("true") {
        cx.engine.purge(&asked.who, id, seen).await?;
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let record = cx.engine.delete(&asked.who, id, seen).await?;
    Ok(done(&asked, &record))
}

pub(super) async fn undelete(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let seen = if_match(&asked.call.headers)?;
    let record = cx.engine.undelete(&asked.who, asked.call.param(0), seen).await?;
    Ok(record_reply(&record))
}

pub(super) async fn migrate(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = asked.object()?;
    let to_type = needed_text(&mut body, "toTypeId")?;
    let content = needed_object(&mut body, "content")?;
    let seen = if_match(&asked.call.headers)?;
    let id = asked.call.param(0);
    let record = cx.engine.migrate(&asked.who, id, &to_type, content, seen).await?;
    Ok(record_reply(&record))
}

pub(super) async fn permissions(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let record = cx.engine.get(&asked.who, asked.call.param(0), None)?;
    let list = record.permissions.as_deref().unwrap_or("[]");
    Ok(ok(format!("{{\"permissions\":{list}}}")).with(ETAG, &dto::etag(&record)))
}

pub(super) async fn set_permissions(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = asked.object()?;
    let Some(Value::Array(permissions)) = body.remove("permissions") else {
        return Err(Failure::bad_request("permissions must be a list"));
    };
    let seen = if_match(&asked.call.headers)?;
    let id = asked.call.param(0);
    let record = cx.engine.set_permissions(&asked.who, id, permissions, seen).await?;
    Ok(done(&asked, &record))
}

pub(super) async fn associations(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let record = cx.engine.get(&asked.who, asked.call.param(0), None)?;
    let all = record.associations.as_deref().unwrap_or("[]");
    let (kind, label) = (asked.query("kind"), asked.query("label"));
    let reply = if kind.is_none() && label.is_none() {
        ok(format!("{{\"associations\":{all}}}"))
    } else {
        let chosen = chosen_associations(all, kind, label)?;
        ok(format!("{{\"associations\":{chosen}}}"))
    };
    Ok(reply.with(ETAG, &dto::etag(&record)))
}

fn chosen_associations(
    all: &str,
    kind: Option<&str>,
    label: Option<&str>,
) -> Result<Value, Failure> {
    let Value::Array(mut list) = parse(all.as_bytes())? else { return Ok(Value::Array(vec![])) };
    let fits = |one: &Value, key: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| one.get(key).and_then(Value::as_str) == Some(wanted))
    };
    list.retain(|one| fits(one, "kind", kind) && fits(one, "label", label));
    Ok(Value::Array(list))
}

pub(super) async fn associate(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let one = association(&asked.object()?)?;
    let seen = if_match(&asked.call.headers)?;
    let record = cx.engine.associate(&asked.who, asked.call.param(0), one, seen).await?;
    Ok(done(&asked, &record))
}

/// Both spellings; some intermediaries drop the body of a `DELETE`, which may therefore say the
/// same in its query.
pub(super) async fn dissociate(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let in_query = asked.body.is_empty() && asked.call.method == Method::DELETE;
    let one = if in_query { queried(&asked) } else { asked.object()? };
    let one = association(&one)?;
    let seen = if_match(&asked.call.headers)?;
    let record = cx.engine.dissociate(&asked.who, asked.call.param(0), one, seen).await?;
    Ok(done(&asked, &record))
}

fn queried(asked: &Asked) -> Map<String, Value> {
    ["kind", "label", "fileId", "recordId"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), Value::from(asked.query(key)?))))
        .collect()
}

/// One association: kind, label and what its kind points at; other keys have no effect.
fn association(body: &Map<String, Value>) -> Result<Map<String, Value>, Failure> {
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Failure::bad_request(format!("{key} must be a text, not empty")))
    };
    let (kind, label) = (text("kind")?, text("label")?);
    let mut one = Map::new();
    one.insert("kind".into(), kind.into());
    one.insert("label".into(), label.into());
    match kind {
        "tag" => {}
        "attachment" => drop(one.insert("fileId".into(), text("fileId")?.into())),
        "relationship" => drop(one.insert("recordId".into(), text("recordId")?.into())),
        _ => {
            return Err(Failure::bad_request("kind must be tag, attachment or relationship"));
        }
    }
    Ok(one)
}

pub(super) async fn versions(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let id = asked.call.param(0).to_owned();
    let (snapshots, more) = cx.engine.versions(&asked.who, &id, None)?;
    let mut out = String::new();
    dto::push_all(&mut out, &snapshots, dto::push_snapshot);
    let oldest = match snapshots.last() {
        Some(oldest) if more => oldest.version,
        _ => return Ok(ok(out)),
    };
    // The bracket that closes the list comes with its last part.
    out.pop();
    let (parts, source) = mpsc::channel(PARTS_AHEAD);
    let history = History { engine: cx.engine.clone(), who: asked.who, id, oldest };
    tokio::spawn(history.send(out, parts));
    let mut reply = ok(String::new());
    reply.content = Content::Stream { length: None, source };
    Ok(reply)
}

/// The rest of a history that is too long to be held at once. Each part is a look of its own, so the caller's rights are
/// asked again, and no snapshot of the file waits for a slow reader; what is appended meanwhile is newer than all of it.
struct History {
    engine: Engine,
    who: Caller,
    id: String,
    /// The oldest version sent so far.
    oldest: i64,
}

impl History {
    async fn send(mut self, first: String, parts: mpsc::Sender<std::io::Result<Bytes>>) {
        let mut part = first;
        loop {
            if parts.send(Ok(part.into())).await.is_err() {
                return;
            }
            let (snapshots, more) =
                match self.engine.versions(&self.who, &self.id, Some(self.oldest)) {
                    Ok(found) => found,
                    // The status is gone already: the answer breaks off, which no reader takes for its end.
                    Err(error) => {
                        tracing::warn!(record = self.id, %error, "a list of versions broke off");
                        let _ = parts.send(Err(std::io::ErrorKind::UnexpectedEof.into())).await;
                        return;
                    }
                };
            part = String::new();
            for snapshot in &snapshots {
                part.push(',');
                dto::push_snapshot(&mut part, snapshot);
            }
            match snapshots.last() {
                Some(oldest) if more => self.oldest = oldest.version,
                _ => {
                    part.push(']');
                    let _ = parts.send(Ok(part.into())).await;
                    return;
                }
            }
        }
    }
}

pub(super) async fn version(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let number = version_number(asked.call.param(1))?;
    let snapshot = cx.engine.version(&asked.who, asked.call.param(0), number)?;
    let mut out = String::new();
    dto::push_snapshot(&mut out, &snapshot);
    Ok(ok(out))
}

pub(super) async fn restore(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let number = version_number(asked.call.param(1))?;
    let seen = if_match(&asked.call.headers)?;
    let record = cx.engine.restore(&asked.who, asked.call.param(0), number, seen).await?;
    Ok(record_reply(&record))
}

/// `^[0-9]+$`; a number past every version is well formed and simply does not exist.
fn version_number(text: &str) -> Result<i64, Failure> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::bad_request("a version is a number"));
    }
    Ok(text.parse().unwrap_or(i64::MAX))
}

/// The answer of a change that shows its record only when asked to.
fn done(asked: &Asked, record: &Record) -> Reply {
    if prefers_representation(&asked.call.headers) {
        representation_reply(record).with(PREFERENCE_APPLIED, "return=representation")
    } else {
        Reply::empty(StatusCode::NO_CONTENT).with(ETAG, &dto::etag(record))
    }
}

fn needed_text(body: &mut Map<String, Value>, key: &str) -> Result<String, Failure> {
    optional_text(body, key)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Failure::bad_request(format!("{key} must be a text, not empty")))
}

fn needed_object(body: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, Failure> {
    match body.remove(key) {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(Failure::bad_request(format!("{key} must be an object"))),
    }
}

fn optional_text(body: &mut Map<String, Value>, key: &str) -> Option<String> {
    match body.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn optional_list(body: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match body.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    fn object(text: &str) -> Map<String, Value> {
        parse_object(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_patch_is_unwrapped_only_when_it_can_be_nothing_else() {
        let cases = [
            (r#"{"content":{"a":1}}"#, Some("content")),
            (r#"{"contentPatch":{}}"#, Some("contentPatch")),
            (r#"{"id":"x","content":{},"version":1,"unlisted":true}"#, Some("content")),
            (r#"{"content":{"a":1},"title":"x"}"#, None),
            (r#"{"content":{},"contentPatch":{}}"#, None),
            (r#"{"content":"text"}"#, None),
            (r#"{"content":null}"#, None),
            (r#"{"id":"x"}"#, None),
            (r#"{"deletedAt":null,"content":{}}"#, None),
            ("{}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(wrapper(&object(text)), expected, "{text}");
        }
        let patch = unwrap(object(r#"{"id":"x","content":{"b":1,"a":2}}"#), "content");
        assert_eq!(Value::Object(patch).to_string(), r#"{"b":1,"a":2}"#);
    }

    #[test]
    fn optional_keys_of_the_wrong_type_are_absent() {
        let new = new_record(object(
            r#"{"typeId":"a@1","content":{},"id":7,"parentId":{},"appId":[],"permissions":"x",
                "associations":{},"version":9,"entityId":"did:x:y"}"#,
        ))
        .unwrap();
        assert!(new.id.is_none() && new.parent.is_none() && new.app.is_none());
        assert!(new.permissions.is_empty() && new.associations.is_empty());
        for text in [
            r#"{"content":{}}"#,
            r#"{"typeId":"","content":{}}"#,
            r#"{"typeId":["a@1"],"content":{}}"#,
            r#"{"typeId":"a@1"}"#,
            r#"{"typeId":"a@1","content":[]}"#,
            r#"{"typeId":"a@1","content":null}"#,
        ] {
            assert!(new_record(object(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_association_has_what_its_kind_needs() {
        let read =
            |text: &str| association(&object(text)).ok().map(|one| Value::Object(one).to_string());
        assert_eq!(
            read(r#"{"label":"x","kind":"tag","fileId":"ignored"}"#).as_deref(),
            Some(r#"{"kind":"tag","label":"x"}"#)
        );
        assert_eq!(
            read(r#"{"kind":"relationship","label":"x","recordId":"r"}"#).as_deref(),
            Some(r#"{"kind":"relationship","label":"x","recordId":"r"}"#)
        );
        for text in [
            "{}",
            r#"{"kind":"tag"}"#,
            r#"{"label":"x"}"#,
            r#"{"kind":"tag","label":""}"#,
            r#"{"kind":"tag","label":1}"#,
            r#"{"kind":"star","label":"x"}"#,
            r#"{"kind":"attachment","label":"x"}"#,
            r#"{"kind":"attachment","label":"x","recordId":"r"}"#,
            r#"{"kind":"relationship","label":"x","recordId":null}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn associations_are_chosen_by_kind_and_label() {
        let all = r#"[{"kind":"tag","label":"a"},{"kind":"attachment","label":"a","fileId":"f"},{"kind":"tag","label":"b"}]"#;
        let labels = |kind, label| match chosen_associations(all, kind, label).unwrap() {
            Value::Array(list) => list.len(),
            _ => 0,
        };
        assert_eq!(labels(Some("tag"), None), 2);
        assert_eq!(labels(None, Some("a")), 2);
        assert_eq!(labels(Some("tag"), Some("a")), 1);
        assert_eq!(labels(Some("ta"), None), 0);
    }

    #[test]
    fn version_numbers_are_digits() {
        assert_eq!(version_number("12").unwrap(), 12);
        assert_eq!(version_number("99999999999999999999").unwrap(), i64::MAX);
        for text in ["", "-1", "+1", "1.0", "abc", "1 ", "٣"] {
            assert!(version_number(text).is_err(), "{text}");
        }
    }
}
