//! `GET /_/changes`: the journal as a feed, by pages, by waiting, or as events.
//!
//! Knows parameters and events. What an entry is and who may see it is the engine's.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::errors::Failure;
use super::http::{Asked, Intake, reply, route};
use super::streams::{Holder, Streams};
use crate::engine::{CHANGES_DEFAULT, CHANGES_MAX, ChangeEntry, Changes, Since};
use crate::net::{EventSender, Guard, Reply, Route, StreamEvent, event_stream};
use crate::util::time::format_ms;

/// The longest an answer waits for something to tell.
const WAIT_S_MAX: u64 = 50;
/// Names in `types`.
const TYPES_MAX: usize = 100;

pub(super) fn routes(cx: &Arc<Streams>) -> Vec<Route> {
    let streams = Arc::clone(cx);
    let run = move |_, asked| feed(Arc::clone(&streams), asked);
    let intake = Intake::default();
    let number = |most: u64| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let all = ["tx", "seq", "id", "typeId", "version", "op", "at", "actor"];
    let entry = json!({ "type": "object", "required": all, "properties": {
        "tx": { "type": "integer" }, "seq": { "type": "integer" }, "id": { "type": "string" },
        "typeId": { "type": ["string", "null"] }, "version": { "type": "integer" },
        "op": { "type": "string" }, "at": { "type": "string", "format": "date-time" },
        "actor": { "type": ["string", "null"] } } });
    let schema = json!({ "type": "object", "required": ["changes", "next", "tx"], "properties": {
        "changes": { "type": "array", "items": entry }, "next": { "type": "string" },
        "tx": { "type": "integer" } } });
    let mut entry =
        route(&cx.face, (Method::GET, "/_/changes"), "changes", Guard::Required, intake, run)
            .summary("What happened to the records the caller may read, in order")
            .query(
                "since",
                json!({ "type": "string" }),
                "a transaction number, or an earlier `next`",
            )
            .query("limit", number(CHANGES_MAX.into()), "entries of one answer")
            .query(
                "types",
                json!({ "type": "string" }),
                "types or collections, separated by commas",
            )
            .query("wait", number(WAIT_S_MAX), "seconds to wait when there is nothing")
            .reply(200, schema)
            .fails(&[400, 401, 503]);
    entry.face = "cairn";
    vec![entry]
}

struct Wanted {
    since: Since,
    limit: u32,
    types: Vec<String>,
    wait: Duration,
}

async fn feed(cx: Arc<Streams>, asked: Asked) -> Result<Reply, Failure> {
    let mut wanted = wanted(&asked)?;
    let streams =
        asked.call.header(ACCEPT.as_str()).is_some_and(|a| a.contains("text/event-stream"));
    let mut commits = cx.commits.clone();
    commits.mark_unchanged();
    if streams {
        let token = asked.token().unwrap_or_default().to_owned();
        let holder = Holder::admitted(&cx, asked.who.clone(), &token);
        let (sender, mut reply) = event_stream();
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        tokio::spawn(stream(cx, holder, wanted, commits, sender));
        return Ok(reply);
    }
    let deadline = Instant::now() + wanted.wait;
    let shutdown = cx.shutdown.clone();
    loop {
        let page = page(&cx, &asked.who, &wanted).await?;
        wanted.since = page.next;
        // Nothing of what was looked at is the caller's: there may be more right now.
        let is_done = !page.entries.is_empty() || wanted.wait.is_zero();
        if is_done || shutdown.is_begun() {
            return Ok(reply(StatusCode::OK, &body(&page)));
        }
        if matches!(page.next, Since::Tx(_)) {
            let woken = tokio::select! {
                woken = timeout_at(deadline, commits.changed()) => matches!(woken, Ok(Ok(()))),
                () = shutdown.begun() => false,
            };
            if !woken {
                return Ok(reply(StatusCode::OK, &body(&page)));
            }
        }
    }
}

async fn page(
    cx: &Streams,
    who: &crate::engine::Caller,
    wanted: &Wanted,
) -> Result<Changes, Failure> {
    let Wanted { since, limit, types, .. } = wanted;
    Ok(cx.engine().changes(who, *since, *limit, types.clone()).await?)
}

async fn stream(
    cx: Arc<Streams>,
    mut holder: Holder,
    mut wanted: Wanted,
    mut commits: tokio::sync::watch::Receiver<i64>,
    sender: EventSender,
) {
    let (heartbeat, ask) = (cx.times.heartbeat, cx.times.credential);
    let shutdown = cx.shutdown.clone();
    loop {
        if !holder.is_good(&cx) {
            let body = Failure::unauthenticated().body("");
            let text = Value::Object(body).to_string();
            let _ = sender.try_send(StreamEvent::new("error", "", &text));
            return;
        }
        commits.borrow_and_update();
        let Ok(page) = page(&cx, &holder.caller, &wanted).await else { return };
        for (place, entry) in page.entries.iter().enumerate() {
            // Going on there misses nothing of a unit that was told in part.
            let is_last = place + 1 == page.entries.len();
            let next = if is_last { page.next } else { Since::Seq(entry.seq) };
            let event = StreamEvent::new("change", &cursor(next), &shown(entry).to_string());
            if sender.send(event).await.is_err() {
                return;
            }
        }
        wanted.since = page.next;
        if matches!(page.next, Since::Seq(_)) {
            continue;
        }
        let mut next_beat = Instant::now() + heartbeat;
        loop {
            tokio::select! {
                changed = commits.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = holder.news() => break,
                () = sleep_until(Instant::now() + ask), if holder.must_ask() => break,
                () = sleep_until(next_beat) => {
                    next_beat = Instant::now() + heartbeat;
                    let _ = sender.try_send(StreamEvent::comment());
                }
                () = sender.closed() => return,
                () = shutdown.begun() => return,
            }
        }
    }
}

fn wanted(asked: &Asked) -> Result<Wanted, Failure> {
    let query = &asked.call.query;
    let fault = |name: &str, what: &str| Failure::invalid(format!("{name}: {what}"));
    let since = match query.get("since") {
        None => Since::Tx(0),
        Some(text) => parse_cursor(text)
            .ok_or_else(|| fault("since", "must be a transaction number, or an earlier next"))?,
    };
    let limit = match query.get("limit") {
        None => CHANGES_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=CHANGES_MAX).contains(limit))
            .ok_or_else(|| fault("limit", &format!("must be 1 to {CHANGES_MAX}")))?,
    };
    let wait_s = match query.get("wait") {
        None => 0,
        Some(text) => text.parse::<u64>().map_err(|_| fault("wait", "must be seconds"))?,
    };
    let types: Vec<String> = query
        .all("types")
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if types.len() > TYPES_MAX {
        return Err(fault("types", &format!("may name {TYPES_MAX}")));
    }
    Ok(Wanted { since, limit, types, wait: Duration::from_secs(wait_s.min(WAIT_S_MAX)) })
}

/// A transaction number, or the place of an entry behind a point.
fn cursor(place: Since) -> String {
    match place {
        Since::Tx(tx) => tx.to_string(),
        Since::Seq(seq) => format!(".{seq}"),
    }
}

fn parse_cursor(text: &str) -> Option<Since> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    match text.strip_prefix('.') {
        Some(seq) => number(seq).map(Since::Seq),
        None => number(text).map(Since::Tx),
    }
}

fn shown(entry: &ChangeEntry) -> Value {
    json!({
        "tx": entry.tx,
        "seq": entry.seq,
        "id": entry.id,
        "typeId": entry.type_id,
        "version": entry.version,
        "op": entry.op,
        "at": format_ms(entry.at),
        "actor": entry.actor.as_deref(),
    })
}

fn body(page: &Changes) -> Value {
    let changes: Vec<Value> = page.entries.iter().map(shown).collect();
    json!({ "changes": changes, "next": cursor(page.next), "tx": page.last_tx })
}
