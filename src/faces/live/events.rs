//! `GET /api/subscribe`: one live query as server-sent events (live 14).
//!
//! Knows events. Does not know what a query means.
//!
//! Invariants
//! V1. What can be refused is refused before the stream starts, as JSON.
//! V2. While a client reads slowly its changes wait joined; nothing is dropped silently.

use std::sync::Arc;

use http::Method;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::errors::{Code, Failure};
use super::http::{Asked, Intake, route};
use super::messages;
use super::streams::{Holder, Streams, complete, data_of, documented, keyed, query_of, renew, say};
use super::transactions::refused;
use crate::live::inbox::{Inbox, Item, Key};
use crate::live::{Change, Delivery, RootRows, Subscription};
use crate::net::{EventSender, Guard, Reply, Route, StreamEvent, event_stream};
use crate::util::json::parse;

/// The subscription's id where the client chooses none.
const ID: &str = "sub-1";
/// The only query of a stream.
const KEY: Key = 1;

pub(super) fn routes(cx: &Arc<Streams>) -> Vec<Route> {
    let mut all = Vec::new();
    for (address, name) in [
        ("/api/subscribe", "live.subscribe"),
        ("/v1/apps/{appId}/subscribe", "live.apps.subscribe"),
    ] {
        let streams = Arc::clone(cx);
        let run = move |_, asked| start(Arc::clone(&streams), asked);
        let intake = Intake { token_in_query: true, ..Intake::default() };
        let text = json!({ "type": "string" });
        all.push(
            route(&cx.face, (Method::GET, address), name, Guard::Required, intake, run)
                .summary("Follow a query: its result, then every change of it")
                .query("q", text.clone(), "a query, as JSON")
                .query("table", text.clone(), "a collection, in place of a query")
                .query("query", text.clone(), "a query whose every change is a complete result")
                .query("id", text.clone(), "name of the subscription in events")
                .query("since", json!({ "type": "integer" }), "the last transaction known")
                .query("token", text, "access token, for clients that cannot set headers")
                .raw_reply(200, "text/event-stream")
                .fails(&[400, 401, 403]),
        );
    }
    all
}

/// How changes are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Diffs,
    /// Complete results.
    Updates,
}

/// A stream that was let in.
struct Stream {
    cx: Arc<Streams>,
    holder: Holder,
    inbox: Arc<Inbox>,
    style: Style,
    id: String,
    /// Complete results of several roots.
    latest: Vec<(String, RootRows)>,
    report: String,
    _subscription: Subscription,
}

async fn start(cx: Arc<Streams>, asked: Asked) -> Result<Reply, Failure> {
    let call = &asked.call;
    let (query, style) = match (call.query.get("q"), call.query.get("table")) {
        (Some(text), _) => (read(text)?, Style::Diffs),
        (None, Some(table)) => (json!({ table: {} }), Style::Diffs),
        (None, None) => match call.query.get("query") {
            Some(text) => (read(text)?, Style::Updates),
            None => return Err(Failure::invalid("q: is required")),
        },
    };
    let id = call.query.get("id").unwrap_or(ID).to_owned();
    if id.is_empty() || id.chars().count() > messages::MESSAGE_ID_CHARS_MAX {
        return Err(Failure::invalid("id: must be a text of 1 to 128 characters"));
    }
    let since = match call.query.get("since").filter(|_| style == Style::Diffs) {
        None => None,
        Some(text) => Some(
            text.parse::<i64>()
                .ok()
                .filter(|tx| *tx >= 0)
                .ok_or_else(|| Failure::invalid("since: must be a transaction number"))?,
        ),
    };
    let query = query_of(&query)?;
    let token = asked.token().unwrap_or_default().to_owned();
    let mut holder = Holder::admitted(&cx, asked.who.clone(), &token);
    if !holder.is_good(&cx) {
        return Err(Failure::unauthenticated());
    }
    let caller = &holder.caller;
    let inbox = Inbox::new();
    let sink = inbox.sink(KEY, style == Style::Updates);
    let subscription = cx.hub.subscribe(caller, query.roots, since, sink).await;
    let subscription = subscription.map_err(|error| refused(caller, error))?;
    let first = timeout(cx.times.first_result, inbox.first(KEY)).await;
    let mut stream = Stream {
        holder,
        inbox,
        style,
        id,
        latest: Vec::new(),
        report: call.request_id.clone(),
        _subscription: subscription,
        cx,
    };
    let events = match first {
        Ok(Delivery::Initial { tx, roots }) => stream.initial(tx, roots),
        Ok(Delivery::Resumed { since, change }) => stream.resumed(since, &change, &query.entities),
        Ok(Delivery::Change(_)) => Vec::new(),
        Ok(Delivery::Failed(error)) => return Err(refused(&stream.holder.caller, error)),
        Err(_) => {
            return Err(Failure::new(Code::Unavailable, "the query is waiting; try again shortly"));
        }
    };
    let (sender, mut reply) = event_stream();
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    tokio::spawn(stream.run(sender, events));
    Ok(reply)
}

fn read(text: &str) -> Result<Value, Failure> {
    Ok(parse(text.as_bytes())?)
}

impl Stream {
    /// Until the client, the server or the session's end. `events` go first.
    async fn run(mut self, sender: EventSender, events: Vec<StreamEvent>) {
        for event in events {
            if sender.send(event).await.is_err() {
                return;
            }
        }
        let (heartbeat, ask) = (self.cx.times.heartbeat, self.cx.times.credential);
        let mut next_beat = Instant::now() + heartbeat;
        let mut next_look = Instant::now() + ask;
        let shutdown = self.cx.shutdown.clone();
        loop {
            tokio::select! {
                () = self.inbox.ready() => {
                    match self.tell(&sender).await {
                        Ok(()) => next_beat = Instant::now() + heartbeat,
                        Err(Over) => return,
                    }
                }
                () = self.holder.news() => {
                    if !self.holder.is_good(&self.cx) {
                        return self.end(&sender, &Failure::unauthenticated()).await;
                    }
                }
                () = sleep_until(next_look), if self.holder.must_ask() => {
                    next_look = Instant::now() + ask;
                    if !self.holder.is_good(&self.cx) {
                        return self.end(&sender, &Failure::unauthenticated()).await;
                    }
                }
                () = sleep_until(next_beat) => {
                    next_beat = Instant::now() + heartbeat;
                    // A full queue needs no sign that the stream lives. The session may have run out meanwhile.
                    let _ = sender.try_send(StreamEvent::comment());
                    if !self.holder.is_good(&self.cx) {
                        return self.end(&sender, &Failure::unauthenticated()).await;
                    }
                }
                () = sender.closed() => return,
                () = shutdown.begun() => return,
            }
        }
    }

    /// Tells what waits; while the client is slow the rest joins in the inbox.
    async fn tell(&mut self, sender: &EventSender) -> Result<(), Over> {
        if self.inbox.is_overloaded() {
            let failure = Failure::new(Code::Unavailable, "the client reads too slowly");
            self.end(sender, &failure).await;
            return Err(Over);
        }
        let mut behind = false;
        while let Some(item) = self.inbox.take(behind) {
            let events = match item {
                Item::Change(_, change) => self.change(&change),
                Item::Failed(_, error) => {
                    let failure = refused(&self.holder.caller, error);
                    self.end(sender, &failure).await;
                    return Err(Over);
                }
                Item::Room(_) => Vec::new(),
            };
            for event in events {
                if sender.try_send(event.clone()).is_ok() {
                    continue;
                }
                behind = true;
                tokio::select! {
                    sent = sender.send(event) => sent.map_err(|_| Over)?,
                    () = self.holder.news() => {
                        if !self.holder.is_good(&self.cx) {
                            return Err(Over);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn end(&self, sender: &EventSender, failure: &Failure) {
        say(failure, &self.report, |_| ());
        let data = Value::Object(failure.body(&self.report)).to_string();
        let _ = sender.try_send(StreamEvent::new("error", "", &data));
    }

    fn initial(&mut self, tx: i64, roots: Vec<(String, RootRows)>) -> Vec<StreamEvent> {
        if self.style == Style::Diffs {
            return vec![event("q-init", tx, messages::q_init(&self.id, keyed(&roots), tx))];
        }
        let events = vec![update(tx, data_of(&roots))];
        if roots.len() > 1 {
            self.latest = roots;
        }
        events
    }

    fn resumed(&self, since: i64, change: &Change, entities: &[String]) -> Vec<StreamEvent> {
        if change.roots.is_empty() {
            let entity = entities.first().map_or("", String::as_str);
            let nothing = Default::default();
            let message = messages::q_diff(&self.id, entity, &nothing, change.tx, Some(since));
            return vec![event("q-diff", change.tx, message)];
        }
        self.diffs(change, Some(since))
    }

    fn change(&mut self, change: &Change) -> Vec<StreamEvent> {
        if self.style == Style::Diffs {
            return self.diffs(change, None);
        }
        let data = if self.latest.is_empty() {
            match complete(change) {
                Some(root) => data_of(&root),
                None => return Vec::new(),
            }
        } else {
            renew(&mut self.latest, change);
            data_of(&self.latest)
        };
        vec![update(change.tx, data)]
    }

    fn diffs(&self, change: &Change, since: Option<i64>) -> Vec<StreamEvent> {
        let messages = documented(&self.id, change, since).into_iter();
        messages.map(|message| event("q-diff", change.tx, message)).collect()
    }
}

/// The stream has ended.
struct Over;

/// The message of a WebSocket without its type.
fn event(name: &str, tx: i64, mut message: Value) -> StreamEvent {
    if let Value::Object(members) = &mut message {
        members.shift_remove("type");
    }
    StreamEvent::new(name, &tx.to_string(), &message.to_string())
}

fn update(tx: i64, data: Value) -> StreamEvent {
    let data = json!({ "data": data, "txId": tx.to_string() });
    StreamEvent::new("update", &tx.to_string(), &data.to_string())
}
