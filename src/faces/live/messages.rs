//! The messages of a live connection, in all three dialects (live chapters 13 and 15).
//!
//! Inbound text or MessagePack becomes a [`Message`]; outbound messages are built here as JSON
//! values and [`encode`]d with the codec of the connection.
//!
//! Knows spellings: the documented messages (A), the app client's envelope (B), the short forms (C).
//! Does not know connections, subscriptions or what a query means; queries and operations stay as
//! JSON for [`super::query_form`] and [`super::mutate_form`].
//!
//! Invariants
//! G1. A fault carries the dialect and the id of the message at fault, so that it can be answered
//!     in kind.
//! G2. Names, ids, rooms and presence data of a returned message are within their bounds.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::diff::{Diff, Row, id_of};
use super::fault::{Detail, FormFault, quoted};
use super::messagepack;
use crate::live::presence::{self, Peer, ROOM_BYTES_MAX};
use crate::util::json;

/// The longest id a client may choose, in characters.
pub const MESSAGE_ID_CHARS_MAX: usize = 128;
/// The largest presence data, as JSON text.
const PRESENCE_BYTES_MAX: usize = presence::DATA_BYTES_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    MessagePack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A: the reference page.
    Documented,
    /// B: `{type, id, payload}`.
    App,
    /// C: `sub`, `mut`, `pres-*`.
    ShortForm,
}

/// One inbound message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub dialect: Dialect,
    /// The id that the reply repeats.
    pub id: Option<String>,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// `token` is `None` only for an anonymous connection of the app dialect.
    Auth {
        token: Option<String>,
        app: Option<String>,
    },
    Query {
        query: Value,
    },
    /// `subscription` is the client's name for it.
    Subscribe {
        subscription: String,
        query: Value,
        since: Option<i64>,
    },
    /// In the short form the server's `sub_id` where it was sent, else the client's name.
    Unsubscribe {
        subscription: String,
    },
    Mutate {
        ops: Value,
    },
    Ping,
    Pong,
    PresenceEnter {
        room: String,
        data: Map<String, Value>,
    },
    /// Merged in the documented dialect, replaced in the others.
    PresenceUpdate {
        room: String,
        data: Map<String, Value>,
    },
    PresenceLeave {
        room: String,
    },
}

/// A message that was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageFault {
    pub dialect: Dialect,
    pub id: Option<String>,
    pub fault: FormFault,
}

/// What an error message says.
#[derive(Clone, Copy, Debug)]
pub struct ErrorText<'a> {
    pub code: &'a str,
    pub message: &'a str,
    pub status: u16,
    pub details: &'a [Detail],
}

/// Reads one data frame.
///
/// # Errors
/// [`MessageFault`]; the connection may go on.
pub fn parse(codec: Codec, frame: &[u8]) -> Result<Message, MessageFault> {
    let value = match codec {
        Codec::Json => json::parse(frame).map_err(|fault| FormFault::invalid(fault.to_string())),
        Codec::MessagePack => {
            messagepack::read(frame).map_err(|fault| FormFault::invalid(fault.to_string()))
        }
    };
    let lost = |fault| MessageFault { dialect: Dialect::Documented, id: None, fault };
    let Value::Object(message) = value.map_err(lost)? else {
        return Err(lost(FormFault::invalid("a message must be an object")));
    };
    parse_message(&message)
}

/// The bytes of an outbound message.
#[must_use]
pub fn encode(codec: Codec, message: &Value) -> Vec<u8> {
    match codec {
        Codec::Json => json::minify(message).into_bytes(),
        Codec::MessagePack => messagepack::write(message),
    }
}

fn parse_message(message: &Map<String, Value>) -> Result<Message, MessageFault> {
    let kind = message.get("type").and_then(Value::as_str).unwrap_or("");
    let dialect = if message.contains_key("payload") {
        Dialect::App
    } else if matches!(kind, "sub" | "unsub" | "mut") || kind.starts_with("pres-") {
        Dialect::ShortForm
    } else {
        Dialect::Documented
    };
    let fault = |id, fault| MessageFault { dialect, id, fault };
    let id = message_id(message).map_err(|wrong| fault(None, wrong))?;
    let request = match dialect {
        Dialect::Documented => documented(kind, message),
        Dialect::App => app(kind, message),
        Dialect::ShortForm => short_form(kind, message),
    };
    match request {
        Ok(request) => Ok(Message { dialect, id, request }),
        Err(wrong) => Err(fault(id, wrong)),
    }
}

fn documented(kind: &str, message: &Map<String, Value>) -> Result<Request, FormFault> {
    Ok(match kind {
        "auth" => Request::Auth { token: Some(text(message, "token")?), app: None },
        "subscribe" => Request::Subscribe {
            subscription: needed_id(message, "id")?,
            query: needed(message, "query")?,
            since: since(message)?,
        },
        "unsubscribe" => Request::Unsubscribe { subscription: needed_id(message, "id")? },
        "mutate" => {
            needed_id(message, "id")?;
            Request::Mutate { ops: ops(message)? }
        }
        "ping" => Request::Ping,
        "pong" => Request::Pong,
        "presence-enter" => {
            Request::PresenceEnter { room: room(message)?, data: presence_data(message)? }
        }
        "presence-update" => {
            Request::PresenceUpdate { room: room(message)?, data: presence_data(message)? }
        }
        "presence-leave" => Request::PresenceLeave { room: room(message)? },
        _ => return Err(unknown_type(kind)),
    })
}

fn short_form(kind: &str, message: &Map<String, Value>) -> Result<Request, FormFault> {
    Ok(match kind {
        "sub" => Request::Subscribe {
            subscription: needed_id(message, "id")?,
            query: needed(message, "query")?,
            since: since(message)?,
        },
        "unsub" => Request::Unsubscribe {
            subscription: match message.get("sub_id") {
                None | Some(Value::Null) => needed_id(message, "id")?,
                Some(_) => needed_id(message, "sub_id")?,
            },
        },
        "mut" => Request::Mutate { ops: ops(message)? },
        "pres-join" => {
            Request::PresenceEnter { room: room(message)?, data: presence_data(message)? }
        }
        "pres-state" => {
            Request::PresenceUpdate { room: room(message)?, data: presence_data(message)? }
        }
        "pres-leave" => Request::PresenceLeave { room: room(message)? },
        _ => return Err(unknown_type(kind)),
    })
}

fn app(kind: &str, message: &Map<String, Value>) -> Result<Request, FormFault> {
    let none = Map::new();
    let payload = match message.get("payload") {
        Some(Value::Object(payload)) => payload,
        Some(Value::Null) | None => &none,
        Some(_) => return Err(FormFault::at("payload", "must be an object")),
    };
    Ok(match kind {
        "auth" => {
            let app = match payload.get("appId") {
                None | Some(Value::Null) => None,
                Some(_) => Some(text(payload, "appId")?),
            };
            if payload.get("anonymous") == Some(&Value::Bool(true)) {
                Request::Auth { token: None, app }
            } else {
                Request::Auth { token: Some(text(payload, "token")?), app }
            }
        }
        "query" => Request::Query { query: Value::Object(payload.clone()) },
        "subscribe" => Request::Subscribe {
            subscription: needed_id(payload, "subId")?,
            query: needed(payload, "query")?,
            since: None,
        },
        "unsubscribe" => Request::Unsubscribe { subscription: needed_id(payload, "subId")? },
        "transact" => Request::Mutate { ops: ops(payload)? },
        "presence-join" => {
            Request::PresenceEnter { room: room(payload)?, data: presence_data(payload)? }
        }
        "presence-publish" => {
            Request::PresenceUpdate { room: room(payload)?, data: presence_data(payload)? }
        }
        "presence-leave" => Request::PresenceLeave { room: room(payload)? },
        "ping" => Request::Ping,
        "pong" => Request::Pong,
        _ => return Err(unknown_type(kind)),
    })
}

fn message_id(message: &Map<String, Value>) -> Result<Option<String>, FormFault> {
    match message.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(_) => needed_id(message, "id").map(Some),
    }
}

fn needed_id(of: &Map<String, Value>, key: &str) -> Result<String, FormFault> {
    let id = of.get(key).and_then(Value::as_str).unwrap_or("");
    if id.is_empty() || id.chars().count() > MESSAGE_ID_CHARS_MAX {
        return Err(FormFault::at(
            key,
            format!("must be a text of 1 to {MESSAGE_ID_CHARS_MAX} characters"),
        ));
    }
    Ok(id.to_owned())
}

fn needed(of: &Map<String, Value>, key: &str) -> Result<Value, FormFault> {
    of.get(key).cloned().ok_or_else(|| FormFault::at(key, "is required"))
}

fn text(of: &Map<String, Value>, key: &str) -> Result<String, FormFault> {
    let text = of.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| FormFault::at(key, "must be a text"))
}

fn ops(of: &Map<String, Value>) -> Result<Value, FormFault> {
    let ops = of.get("ops").or_else(|| of.get("mutations"));
    ops.cloned().ok_or_else(|| FormFault::at("ops", "is required"))
}

fn since(of: &Map<String, Value>) -> Result<Option<i64>, FormFault> {
    match of.get("since") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().filter(|tx| *tx >= 0) {
            Some(tx) => Ok(Some(tx)),
            None => Err(FormFault::at("since", "must be a transaction number")),
        },
    }
}

fn room(of: &Map<String, Value>) -> Result<String, FormFault> {
    let name = of.get("room").or_else(|| of.get("roomId")).and_then(Value::as_str).unwrap_or("");
    if !(1..=ROOM_BYTES_MAX).contains(&name.len()) {
        return Err(FormFault::at(
            "room",
            format!("must be a text of 1 to {ROOM_BYTES_MAX} bytes"),
        ));
    }
    Ok(name.to_owned())
}

fn presence_data(of: &Map<String, Value>) -> Result<Map<String, Value>, FormFault> {
    let data = match of.get("data").or_else(|| of.get("state")) {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(FormFault::at("data", "must be an object")),
    };
    let bytes = serde_json::to_string(data).map_or(usize::MAX, |text| text.len());
    if bytes > PRESENCE_BYTES_MAX {
        return Err(FormFault::at("data", format!("may have {PRESENCE_BYTES_MAX} bytes")));
    }
    Ok(data.clone())
}

fn unknown_type(kind: &str) -> FormFault {
    if kind.is_empty() {
        return FormFault::at("type", "is required");
    }
    FormFault::at("type", format!("unknown message {:?}", quoted(kind)))
}

// Outbound. Each function returns one message; `id` is the request's where it had one.

/// Authentication succeeded.
#[must_use]
pub fn auth_ok(
    dialect: Dialect,
    id: Option<&str>,
    user_id: Option<&str>,
    session_id: Option<&str>,
) -> Value {
    if dialect == Dialect::App {
        let payload = json!({"userId": user_id, "anonymous": user_id.is_none()});
        return envelope("auth-ok", id, payload);
    }
    let mut message = json!({"type": "auth-ok", "userId": user_id});
    if let Some(session_id) = session_id {
        message["sessionId"] = session_id.into();
        message["session_id"] = session_id.into();
    }
    message["protocolVersion"] = 1.into();
    with_id(message, id)
}

/// Authentication failed: all of these, in this order, then the connection is closed.
#[must_use]
pub fn auth_failed(dialect: Dialect, id: Option<&str>, message: &str) -> Vec<Value> {
    const CODE: &str = "UNAUTHENTICATED";
    if dialect == Dialect::App {
        return vec![envelope("auth-error", id, json!({"code": CODE, "message": message}))];
    }
    vec![
        json!({"type": "auth-error", "message": message, "code": CODE}),
        json!({"type": "auth-err", "error": message}),
    ]
}

/// A, first result: the body of a query without `tx`, keyed by entity.
#[must_use]
pub fn q_init(id: &str, data: Map<String, Value>, tx: i64) -> Value {
    json!({"type": "q-init", "id": id, "data": data, "tx": tx})
}

/// A, what one transaction changed in one root. `since` only in answer to a `since`.
#[must_use]
pub fn q_diff(id: &str, entity: &str, diff: &Diff, tx: i64, since: Option<i64>) -> Value {
    let updated: Vec<Value> =
        diff.updated.iter().map(|updated| Value::Object(updated.changes.clone())).collect();
    let removed: Vec<Value> = diff.removed.iter().map(|row| id_of(row).into()).collect();
    let mut message =
        json!({"type": "q-diff", "id": id, "entity": entity, "added": rows(&diff.added)});
    message["updated"] = updated.into();
    message["removed"] = removed.into();
    if let Some(order) = &diff.order {
        message["order"] = order.clone().into();
    }
    message["tx"] = tx.into();
    if let Some(since) = since {
        message["since"] = since.into();
    }
    message
}

/// A, the new value of a root with `$aggregate`.
#[must_use]
pub fn q_diff_value(id: &str, entity: &str, value: Value, tx: i64) -> Value {
    json!({"type": "q-diff", "id": id, "entity": entity, "value": value,
        "added": [], "updated": [], "removed": [], "tx": tx})
}

/// C, first result.
#[must_use]
pub fn sub_ok(id: &str, sub_id: &str, initial: &[Arc<Row>]) -> Value {
    json!({"type": "sub-ok", "id": id, "sub_id": sub_id, "initial": rows(initial)})
}

/// C, what one transaction changed: full records in all three lists.
#[must_use]
pub fn short_diff(id: &str, sub_id: &str, diff: &Diff, tx: i64) -> Value {
    let updated: Vec<Value> =
        diff.updated.iter().map(|updated| Value::Object(Row::clone(&updated.row))).collect();
    json!({"type": "diff", "sub_id": sub_id, "id": id, "tx": tx, "changes": {
        "inserted": rows(&diff.added), "updated": updated, "deleted": rows(&diff.removed)}})
}

/// B, the reply to a query.
#[must_use]
pub fn query_result(id: Option<&str>, data: Value, tx: i64) -> Value {
    envelope("query-result", id, json!({"data": data, "txId": tx.to_string()}))
}

/// B, the reply to a subscription; its data follows as [`subscription_update`].
#[must_use]
pub fn subscribed(id: Option<&str>, subscription: &str, tx: i64) -> Value {
    envelope("query-result", id, json!({"subId": subscription, "txId": tx.to_string()}))
}

/// B, the complete result after a change.
#[must_use]
pub fn subscription_update(subscription: &str, data: Value, tx: i64) -> Value {
    let payload = json!({"data": data, "txId": tx.to_string(), "tx": tx});
    envelope("subscription-update", Some(subscription), payload)
}

/// The reply to the end of a subscription. `subscription` is the client's name for it.
#[must_use]
pub fn unsubscribe_ok(dialect: Dialect, id: Option<&str>, subscription: &str) -> Value {
    match dialect {
        Dialect::Documented => json!({"type": "unsubscribe-ok", "id": subscription}),
        Dialect::ShortForm => json!({"type": "unsub-ok", "id": id.unwrap_or(subscription)}),
        Dialect::App => envelope("query-result", id, json!({"subId": subscription})),
    }
}

/// A transaction was committed; `results` as in the answer over HTTP.
#[must_use]
pub fn mutate_ok(dialect: Dialect, id: Option<&str>, tx: i64, results: Value) -> Value {
    match dialect {
        Dialect::Documented => {
            with_id(json!({"type": "mutate-ok", "tx": tx, "results": results}), id)
        }
        Dialect::ShortForm => with_id(json!({"type": "mut-ok", "tx": tx}), id),
        Dialect::App => {
            let payload = json!({"txId": tx.to_string(), "tx": tx, "results": results});
            envelope("tx-ok", id, payload)
        }
    }
}

/// A transaction was refused.
#[must_use]
pub fn mutate_error(dialect: Dialect, id: Option<&str>, error: &ErrorText<'_>) -> Value {
    match dialect {
        Dialect::Documented => {
            with_id(json!({"type": "mutate-error", "error": error_object(error)}), id)
        }
        Dialect::ShortForm => with_id(json!({"type": "mut-err", "error": error.message}), id),
        Dialect::App => envelope("tx-error", id, error_object(error)),
    }
}

/// A subscription of the short form was refused; the other dialects use [`error`].
#[must_use]
pub fn sub_err(id: &str, error: &ErrorText<'_>) -> Value {
    json!({"type": "sub-err", "id": id, "error": error.message})
}

/// Any other refusal. Give the short-form dialect on a connection that has used it: its clients
/// read `error` as a text.
#[must_use]
pub fn error(dialect: Dialect, id: Option<&str>, error: &ErrorText<'_>) -> Value {
    match dialect {
        Dialect::Documented => with_id(
            json!({"type": "error", "error": error_object(error), "message": error.message}),
            id,
        ),
        Dialect::ShortForm => with_id(
            json!({"type": "error", "error": error.message, "message": error.message, "code": error.code}),
            id,
        ),
        Dialect::App => envelope("error", id, error_object(error)),
    }
}

/// The keep-alive question; the same in every dialect.
#[must_use]
pub fn ping() -> Value {
    json!({"type": "ping"})
}

/// The answer to a client's ping.
#[must_use]
pub fn pong(dialect: Dialect, id: Option<&str>) -> Value {
    match dialect {
        Dialect::App => envelope("pong", id, Value::Null),
        _ => with_id(json!({"type": "pong"}), id),
    }
}

/// What happened in a room since the last message about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresenceChange<'a> {
    pub joined: &'a [Peer],
    pub updated: &'a [Peer],
    /// Connection ids, and whose they were.
    pub left: &'a [Peer],
}

/// A: the room as it is now. `own` is the id of the connection that gets the message.
#[must_use]
pub fn presence_change(room: &str, peers: &[Peer], own: &str, change: PresenceChange<'_>) -> Value {
    let left: Vec<Value> = change.left.iter().map(|peer| (*peer.id).into()).collect();
    json!({"type": "presence-change", "room": room, "peers": documented_peers(peers), "self": own,
        "joined": documented_peers(change.joined), "updated": documented_peers(change.updated),
        "left": left})
}

/// B: the room without the receiver, and the receiver. `id` is the request's in a reply to a join,
/// which also names the subscription; in a push it is the subscription's.
#[must_use]
pub fn presence_update(id: &str, subscription: Option<&str>, others: &[Peer], own: &Peer) -> Value {
    let others: Vec<Value> = others.iter().map(app_peer).collect();
    let mut payload = Map::new();
    if let Some(subscription) = subscription {
        payload.insert("subId".to_owned(), subscription.into());
    }
    payload.insert("peers".to_owned(), others.into());
    payload.insert("self".to_owned(), app_peer(own));
    envelope("presence-update", Some(id), Value::Object(payload))
}

/// B: the reply to publishing and leaving.
#[must_use]
pub fn presence_done(id: Option<&str>) -> Value {
    envelope("presence-update", id, json!({"ok": true}))
}

/// C: the room at the time of joining.
#[must_use]
pub fn pres_snap(room: &str, members: &[Peer]) -> Value {
    json!({"type": "pres-snap", "room": room, "members": short_peers(members)})
}

/// C: what changed in the room.
#[must_use]
pub fn pres_diff(room: &str, change: PresenceChange<'_>) -> Value {
    json!({"type": "pres-diff", "room": room, "joined": short_peers(change.joined),
        "left": short_peers(change.left), "updated": short_peers(change.updated)})
}

fn documented_peers(peers: &[Peer]) -> Vec<Value> {
    peers
        .iter()
        .map(|peer| json!({"id": *peer.id, "userId": *peer.user_id, "data": *peer.data}))
        .collect()
}

fn short_peers(peers: &[Peer]) -> Vec<Value> {
    peers.iter().map(|peer| json!({"user_id": *peer.user_id, "state": *peer.data})).collect()
}

fn app_peer(peer: &Peer) -> Value {
    json!({"peerId": *peer.id, "userId": *peer.user_id, "state": *peer.data, "lastSeen": peer.last_seen})
}

fn rows(rows: &[Arc<Row>]) -> Vec<Value> {
    rows.iter().map(|row| Value::Object(Row::clone(row))).collect()
}

fn error_object(error: &ErrorText<'_>) -> Value {
    let mut object = json!({"code": error.code, "message": error.message, "status": error.status});
    if !error.details.is_empty() {
        let details = error.details.iter();
        let details: Vec<Value> = details
            .map(|detail| json!({"field": detail.field, "message": detail.message}))
            .collect();
        object["details"] = details.into();
    }
    object
}

fn envelope(kind: &str, id: Option<&str>, payload: Value) -> Value {
    let mut message = with_id(json!({"type": kind}), id);
    message["payload"] = payload;
    message
}

/// The message with the id behind its type, if there is one.
fn with_id(mut message: Value, id: Option<&str>) -> Value {
    if let (Some(id), Value::Object(members)) = (id, &mut message) {
        members.shift_insert(1, "id".to_owned(), id.into());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::live::diff::{Shape, diff};
    use proptest::prelude::{any, proptest};

    fn read(message: Value) -> Result<Message, MessageFault> {
        let as_json = parse(Codec::Json, &encode(Codec::Json, &message));
        let as_pack = parse(Codec::MessagePack, &encode(Codec::MessagePack, &message));
        assert_eq!(as_json, as_pack, "both codecs mean the same: {message}");
        as_json
    }

    fn check(message: Value, dialect: Dialect, id: Option<&str>, request: Request) {
        let wanted = Message { dialect, id: id.map(str::to_owned), request };
        assert_eq!(read(message), Ok(wanted));
    }

    fn s(text: &str) -> String {
        text.to_owned()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn documented_messages() {
        use Dialect::Documented as A;
        let auth = Request::Auth { token: Some(s("t")), app: None };
        check(json!({"type": "auth", "token": "t"}), A, None, auth);
        let query = json!({"t": {"$limit": 2}});
        let subscribe =
            |since| Request::Subscribe { subscription: s("s"), query: query.clone(), since };
        check(
            json!({"type": "subscribe", "id": "s", "query": query}),
            A,
            Some("s"),
            subscribe(None),
        );
        check(
            json!({"type": "subscribe", "id": "s", "query": query, "since": 9}),
            A,
            Some("s"),
            subscribe(Some(9)),
        );
        check(
            json!({"type": "unsubscribe", "id": "s"}),
            A,
            Some("s"),
            Request::Unsubscribe { subscription: s("s") },
        );
        let ops = json!([{"entity": "todos", "id": "y", "op": "set", "data": {"done": false}}]);
        for key in ["ops", "mutations"] {
            check(
                json!({"type": "mutate", "id": "m1", key: ops}),
                A,
                Some("m1"),
                Request::Mutate { ops: ops.clone() },
            );
        }
        check(json!({"type": "ping"}), A, None, Request::Ping);
        check(json!({"type": "ping", "id": "p"}), A, Some("p"), Request::Ping);
        check(json!({"type": "pong"}), A, None, Request::Pong);
        let data = object(json!({"name": "A"}));
        for (room, state) in [("room", "data"), ("roomId", "state")] {
            check(
                json!({"type": "presence-enter", room: "d", state: data}),
                A,
                None,
                Request::PresenceEnter { room: s("d"), data: data.clone() },
            );
        }
        check(
            json!({"type": "presence-enter", "room": "d"}),
            A,
            None,
            Request::PresenceEnter { room: s("d"), data: Map::new() },
        );
        check(
            json!({"type": "presence-update", "room": "d", "data": data}),
            A,
            None,
            Request::PresenceUpdate { room: s("d"), data },
        );
        check(
            json!({"type": "presence-leave", "room": "d"}),
            A,
            None,
            Request::PresenceLeave { room: s("d") },
        );
    }

    #[test]
    fn short_form_messages() {
        use Dialect::ShortForm as C;
        let query = json!({"query": "SELECT * FROM users"});
        check(
            json!({"type": "sub", "id": "live_17", "query": query, "diff": true}),
            C,
            Some("live_17"),
            Request::Subscribe { subscription: s("live_17"), query, since: None },
        );
        check(
            json!({"type": "unsub", "id": "u", "sub_id": "s-1"}),
            C,
            Some("u"),
            Request::Unsubscribe { subscription: s("s-1") },
        );
        check(
            json!({"type": "unsub", "id": "u"}),
            C,
            Some("u"),
            Request::Unsubscribe { subscription: s("u") },
        );
        check(
            json!({"type": "mut", "id": "m", "ops": []}),
            C,
            Some("m"),
            Request::Mutate { ops: json!([]) },
        );
        let data = object(json!({"x": 1}));
        check(
            json!({"type": "pres-join", "room": "r", "state": data}),
            C,
            None,
            Request::PresenceEnter { room: s("r"), data: data.clone() },
        );
        check(
            json!({"type": "pres-state", "room": "r", "state": data}),
            C,
            None,
            Request::PresenceUpdate { room: s("r"), data },
        );
        check(
            json!({"type": "pres-leave", "room": "r"}),
            C,
            None,
            Request::PresenceLeave { room: s("r") },
        );
    }

    #[test]
    fn app_messages() {
        use Dialect::App as B;
        let message =
            |kind: &str, payload: Value| json!({"type": kind, "id": "m_1", "payload": payload});
        let id = Some("m_1");
        let app = Some(s("my-app"));
        check(
            message("auth", json!({"appId": "my-app", "token": "t"})),
            B,
            id,
            Request::Auth { token: Some(s("t")), app: app.clone() },
        );
        check(
            message("auth", json!({"appId": "my-app", "anonymous": true})),
            B,
            id,
            Request::Auth { token: None, app },
        );
        let query =
            json!({"collection": "todos", "where": [{"field": "done", "op": "=", "value": false}]});
        check(message("query", query.clone()), B, id, Request::Query { query: query.clone() });
        check(
            message("subscribe", json!({"subId": "sub_1", "query": query})),
            B,
            id,
            Request::Subscribe { subscription: s("sub_1"), query, since: None },
        );
        check(
            message("unsubscribe", json!({"subId": "sub_1"})),
            B,
            id,
            Request::Unsubscribe { subscription: s("sub_1") },
        );
        let ops = json!([{"kind": "delete", "entity": "todos", "id": "y"}]);
        check(message("transact", json!({"ops": ops})), B, id, Request::Mutate { ops });
        check(
            message("presence-join", json!({"roomId": "r"})),
            B,
            id,
            Request::PresenceEnter { room: s("r"), data: Map::new() },
        );
        check(
            message("presence-publish", json!({"roomId": "r", "state": {}})),
            B,
            id,
            Request::PresenceUpdate { room: s("r"), data: Map::new() },
        );
        check(
            message("presence-leave", json!({"roomId": "r"})),
            B,
            id,
            Request::PresenceLeave { room: s("r") },
        );
        check(message("ping", Value::Null), B, id, Request::Ping);
    }

    #[test]
    fn faults_can_be_answered_in_kind() {
        use Dialect::{App, Documented, ShortForm};
        let long = "x".repeat(129);
        let cases = [
            (json!([]), Documented, None, "object"),
            (json!({}), Documented, None, "type"),
            (json!({"type": 1}), Documented, None, "type"),
            (json!({"type": "nope", "id": "a"}), Documented, Some("a"), "nope"),
            (json!({"type": "auth"}), Documented, None, "token"),
            (json!({"type": "subscribe", "id": "a"}), Documented, Some("a"), "query"),
            (json!({"type": "subscribe", "query": {}}), Documented, None, "id"),
            (json!({"type": "subscribe", "id": long, "query": {}}), Documented, None, "id"),
            (json!({"type": "subscribe", "id": 5, "query": {}}), Documented, None, "id"),
            (
                json!({"type": "subscribe", "id": "a", "query": {}, "since": -1}),
                Documented,
                Some("a"),
                "since",
            ),
            (json!({"type": "mutate", "id": "a"}), Documented, Some("a"), "ops"),
            (json!({"type": "mutate", "ops": []}), Documented, None, "id"),
            (json!({"type": "presence-enter"}), Documented, None, "room"),
            (json!({"type": "presence-enter", "room": "x".repeat(257)}), Documented, None, "room"),
            (json!({"type": "presence-enter", "room": "r", "data": []}), Documented, None, "data"),
            (
                json!({"type": "presence-enter", "room": "r", "data": {"a": "x".repeat(16_384)}}),
                Documented,
                None,
                "data",
            ),
            (json!({"type": "sub", "id": "a"}), ShortForm, Some("a"), "query"),
            (json!({"type": "pres-pub", "id": "a"}), ShortForm, Some("a"), "pres-pub"),
            (json!({"type": "subscribe", "id": "a", "payload": {}}), App, Some("a"), "subId"),
            (json!({"type": "subscribe", "id": "a", "payload": 1}), App, Some("a"), "payload"),
            (
                json!({"type": "auth", "id": "a", "payload": {"anonymous": false}}),
                App,
                Some("a"),
                "token",
            ),
            (json!({"type": "mutate", "id": "a", "payload": {}}), App, Some("a"), "mutate"),
        ];
        for (message, dialect, id, part) in cases {
            let fault = read(message.clone()).expect_err("refused");
            assert_eq!((fault.dialect, fault.id.as_deref()), (dialect, id), "{message}");
            assert!(fault.fault.to_string().contains(part), "{message}: {:?}", fault.fault);
        }
        for frame in [&b"{"[..], b"", b"\xff"] {
            assert!(parse(Codec::Json, frame).is_err());
        }
    }

    fn rows_of(value: Value) -> Vec<Arc<Row>> {
        value.as_array().unwrap().iter().map(|row| Arc::new(object(row.clone()))).collect()
    }

    fn text(message: &Value) -> String {
        String::from_utf8(encode(Codec::Json, message)).unwrap()
    }

    /// Chapter 22, byte for byte where it shows a whole message.
    #[test]
    fn the_transcripts() {
        let old = rows_of(json!([{"id": "r1", "p": 5}, {"id": "r2", "p": 4}]));
        let new = rows_of(json!([{"id": "r4", "p": 9}, {"id": "r1", "p": 5}]));
        let change = diff(&old, &new, Shape::Window).unwrap();
        assert_eq!(
            text(&q_init("s", object(json!({"t": [{"id": "r1", "p": 5}]})), 3)),
            r#"{"type":"q-init","id":"s","data":{"t":[{"id":"r1","p":5}]},"tx":3}"#
        );
        assert_eq!(
            text(&q_diff("s", "t", &change, 4, None)),
            r#"{"type":"q-diff","id":"s","entity":"t","added":[{"id":"r4","p":9}],"updated":[],"removed":["r2"],"order":["r4","r1"],"tx":4}"#
        );
        assert_eq!(q_diff("s", "t", &change, 4, Some(3))["since"], 3);
        assert_eq!(
            text(&mutate_ok(Dialect::Documented, Some("m1"), 8, json!([]))),
            r#"{"type":"mutate-ok","id":"m1","tx":8,"results":[]}"#
        );
        assert_eq!(
            text(&auth_ok(Dialect::App, Some("m_1"), Some("usr_a"), Some("sess_b"))),
            r#"{"type":"auth-ok","id":"m_1","payload":{"userId":"usr_a","anonymous":false}}"#
        );
        assert_eq!(
            text(&subscribed(Some("m_2"), "sub_1", 8)),
            r#"{"type":"query-result","id":"m_2","payload":{"subId":"sub_1","txId":"8"}}"#
        );
        assert_eq!(
            text(&subscription_update("sub_1", json!([{"id": "y", "done": false}]), 8)),
            r#"{"type":"subscription-update","id":"sub_1","payload":{"data":[{"id":"y","done":false}],"txId":"8","tx":8}}"#
        );
        assert_eq!(
            text(&sub_ok("live_17", "s-1", &[])),
            r#"{"type":"sub-ok","id":"live_17","sub_id":"s-1","initial":[]}"#
        );
        let created = rows_of(json!([{"id": "darsh", "name": "D"}]));
        let change = diff(&[], &created, Shape::Set).unwrap();
        assert_eq!(
            text(&short_diff("live_17", "s-1", &change, 10)),
            r#"{"type":"diff","sub_id":"s-1","id":"live_17","tx":10,"changes":{"inserted":[{"id":"darsh","name":"D"}],"updated":[],"deleted":[]}}"#
        );
    }

    #[test]
    fn refusals_in_every_dialect() {
        use Dialect::{App, Documented, ShortForm};
        let details = [Detail { field: s("ops[1]"), message: s("does not exist") }];
        let refusal =
            ErrorText { code: "NOT_FOUND", message: "gone", status: 404, details: &details };
        let object = r#"{"code":"NOT_FOUND","message":"gone","status":404,"details":[{"field":"ops[1]","message":"does not exist"}]}"#;
        let cases = [
            (
                mutate_error(Documented, Some("m"), &refusal),
                format!(r#"{{"type":"mutate-error","id":"m","error":{object}}}"#),
            ),
            (
                mutate_error(ShortForm, Some("m"), &refusal),
                s(r#"{"type":"mut-err","id":"m","error":"gone"}"#),
            ),
            (
                mutate_error(App, Some("m"), &refusal),
                format!(r#"{{"type":"tx-error","id":"m","payload":{object}}}"#),
            ),
            (
                error(Documented, None, &refusal),
                format!(r#"{{"type":"error","error":{object},"message":"gone"}}"#),
            ),
            (
                error(App, Some("m"), &refusal),
                format!(r#"{{"type":"error","id":"m","payload":{object}}}"#),
            ),
            (sub_err("l", &refusal), s(r#"{"type":"sub-err","id":"l","error":"gone"}"#)),
        ];
        for (message, wanted) in cases {
            assert_eq!(text(&message), wanted);
        }
        assert!(error(ShortForm, None, &refusal)["error"].is_string());
        let pair = auth_failed(Documented, None, "Invalid token");
        assert_eq!(
            pair.iter().map(text).collect::<Vec<_>>(),
            [
                r#"{"type":"auth-error","message":"Invalid token","code":"UNAUTHENTICATED"}"#,
                r#"{"type":"auth-err","error":"Invalid token"}"#
            ]
        );
        assert_eq!(auth_failed(App, Some("m"), "no").len(), 1);
        assert_eq!(text(&pong(App, Some("m"))), r#"{"type":"pong","id":"m","payload":null}"#);
        assert_eq!(text(&pong(Documented, Some("p"))), r#"{"type":"pong","id":"p"}"#);
    }

    #[test]
    fn presence_in_every_dialect() {
        let peer = |id: &str| Peer {
            id: id.into(),
            user_id: "usr_a".into(),
            data: Arc::default(),
            last_seen: 7,
        };
        let (one, two) = (peer("conn-1"), peer("conn-2"));
        let both = [one.clone(), two.clone()];
        let change = PresenceChange {
            joined: std::slice::from_ref(&two),
            left: std::slice::from_ref(&one),
            ..Default::default()
        };
        let message = presence_change("d", &both, "conn-1", change);
        assert_eq!(message["left"], json!(["conn-1"]));
        assert_eq!(message["joined"], json!([{"id": "conn-2", "userId": "usr_a", "data": {}}]));
        assert_eq!(message["self"], "conn-1");
        let message = presence_update("m_1", Some("pres_1"), std::slice::from_ref(&two), &one);
        assert_eq!(message["payload"]["subId"], "pres_1");
        assert_eq!(
            message["payload"]["self"],
            json!({"peerId": "conn-1", "userId": "usr_a", "state": {}, "lastSeen": 7})
        );
        assert_eq!(pres_snap("d", &both)["members"][0], json!({"user_id": "usr_a", "state": {}}));
        assert_eq!(pres_diff("d", change)["left"][0]["user_id"], "usr_a");
        assert_eq!(presence_done(Some("m"))["payload"], json!({"ok": true}));
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(Codec::Json, &bytes);
            let _ = parse(Codec::MessagePack, &bytes);
        }
    }
}
