//! Settings with their origins, figures over the last hour, the request log, advice.
//!
//! Invariants
//! F1. Memory is bounded: [`SAMPLES_MAX`] samples of a few numbers each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{AdminFace, Asked, Failure, list_of, object_of, ok, route, text, whole};
use crate::net::{Answered, Guard, Reply, Route, Totals};
use crate::util::process::resident_bytes;
use crate::util::time::format_ms;

/// How often figures are taken.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// Samples kept: an hour.
const SAMPLES_MAX: usize = 360;
/// Requests of one answer, when not said otherwise and at most.
const REQUESTS_DEFAULT: usize = 200;
const REQUESTS_MAX: usize = 1_000;
const _: () = assert!(REQUESTS_DEFAULT <= REQUESTS_MAX);
/// Free pages that deserve a word, when they are also more than half of the file.
const FREE_BYTES_NOTED: i64 = 64 << 20;
/// Bytes of write-ahead log that deserve a word.
const WAL_BYTES_NOTED: u64 = 64 << 20;

/// Figures of one interval.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: i64,
    requests: u64,
    refused: u64,
    failed: u64,
    average_ms: f64,
    slowest_ms: f64,
    writes: i64,
    subscriptions: u64,
    wal_bytes: u64,
    memory_bytes: Option<u64>,
}

/// What was counted when the interval began.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    totals: Totals,
    last_tx: i64,
}

/// The last samples, the oldest first.
#[derive(Debug, Default)]
pub struct History(Mutex<(VecDeque<Sample>, Begun)>);

impl History {
    /// Counts from here on.
    #[must_use]
    pub fn starting_at(last_tx: i64) -> Self {
        let begun = Begun { totals: Totals::default(), last_tx };
        Self(Mutex::new((VecDeque::new(), begun)))
    }

    // Every change below is whole, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Sample>, Begun)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdminFace {
    /// Ends an interval. Called every [`SAMPLE_EVERY`].
    pub fn sample(&self) {
        let (totals, last_tx) = (self.traffic.begin_interval(), self.engine.last_tx());
        let mut history = self.history.lock();
        let sample = self.figures(&history.1, &totals, last_tx);
        if history.0.len() >= SAMPLES_MAX {
            history.0.pop_front();
        }
        history.0.push_back(sample);
        history.1 = Begun { totals, last_tx };
    }

    fn figures(&self, begun: &Begun, totals: &Totals, last_tx: i64) -> Sample {
        let requests = totals.requests.saturating_sub(begun.totals.requests);
        let spent = totals.spent.saturating_sub(begun.totals.spent).as_secs_f64() * 1_000.0;
        Sample {
            at_ms: self.engine.clock().now_ms(),
            requests,
            refused: totals.refused.saturating_sub(begun.totals.refused),
            failed: totals.failed.saturating_sub(begun.totals.failed),
            average_ms: if requests == 0 { 0.0 } else { spent / requests as f64 },
            slowest_ms: totals.slowest.as_secs_f64() * 1_000.0,
            writes: last_tx - begun.last_tx,
            subscriptions: self.hub.as_ref().map_or(0, |hub| hub.subscriptions()),
            wal_bytes: self.engine.wal_bytes(),
            memory_bytes: resident_bytes(),
        }
    }
}

pub(super) fn routes(cx: &Arc<AdminFace>) -> Vec<Route> {
    let (owner, boolean) = (Guard::Owner, json!({ "type": "boolean" }));
    let number = json!({ "type": "number" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let setting = object_of(json!({ "key": text(), "value": maybe("string"), "origin": text(),
        "about": text(), "variable": text(), "flag": maybe("string") }));
    let sample = object_of(
        json!({ "at": text(), "requests": whole(), "refused": whole(), "failed": whole(),
        "averageMs": number, "slowestMs": number, "writes": whole(), "subscriptions": whole(),
        "walBytes": whole(), "memoryBytes": maybe("integer") }),
    );
    let request =
        object_of(json!({ "at": text(), "requestId": text(), "method": text(), "path": text(),
        "status": whole(), "ms": number }));
    vec![
        route(cx, (Method::GET, "/_/settings"), "settings.get", owner, settings)
            .summary("Every setting, its value and where that came from; secrets are not shown")
            .reply(
                200,
                object_of(json!({ "settings": list_of(setting), "file": text(), "version": text(),
                "owner": text(), "readOnly": boolean })),
            )
            .fails(&[401, 403]),
        route(cx, (Method::GET, "/_/metrics"), "metrics.get", owner, metrics)
            .summary(
                "Figures of the last hour, one sample for each interval; the last one is not over",
            )
            .reply(200, object_of(json!({ "everySeconds": whole(), "samples": list_of(sample) })))
            .fails(&[401, 403]),
        route(cx, (Method::GET, "/_/requests"), "requests.list", owner, requests)
            .summary("The last requests, the newest first; kept in memory only")
            .query("slow", boolean, "Only those that took 100 ms or longer")
            .query(
                "limit",
                json!({ "type": "integer", "minimum": 1, "maximum": REQUESTS_MAX }),
                "Default 200",
            )
            .reply(200, object_of(json!({ "requests": list_of(request) })))
            .fails(&[400, 401, 403]),
        route(cx, (Method::GET, "/_/doctor"), "doctor.get", owner, doctor)
            .summary("What deserves a look")
            .reply(200, object_of(json!({ "advice": list_of(text()) })))
            .example(None, Some(json!({ "advice": ["2 tokens without an end"] })))
            .fails(&[401, 403, 503]),
    ]
}

async fn settings(cx: Arc<AdminFace>, _asked: Asked) -> Result<Reply, Failure> {
    let list: Vec<Value> = cx
        .settings
        .iter()
        .map(|one| {
            json!({ "key": one.key, "value": one.value, "origin": one.origin, "about": one.about,
                    "variable": one.variable, "flag": one.flag })
        })
        .collect();
    Ok(ok(&json!({
        "settings": list,
        "file": cx.engine.path().display().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "owner": cx.engine.owner(),
        "readOnly": cx.engine.is_read_only(),
    })))
}

async fn metrics(cx: Arc<AdminFace>, _asked: Asked) -> Result<Reply, Failure> {
    let (totals, last_tx) = (cx.traffic.totals(), cx.engine.last_tx());
    let samples: Vec<Value> = {
        let history = cx.history.lock();
        let running = cx.figures(&history.1, &totals, last_tx);
        history.0.iter().chain([&running]).map(shown).collect()
    };
    Ok(ok(&json!({ "everySeconds": SAMPLE_EVERY.as_secs(), "samples": samples })))
}

fn shown(sample: &Sample) -> Value {
    json!({
        "at": format_ms(sample.at_ms), "requests": sample.requests, "refused": sample.refused,
        "failed": sample.failed, "averageMs": rounded(sample.average_ms),
        "slowestMs": rounded(sample.slowest_ms), "writes": sample.writes,
        "subscriptions": sample.subscriptions, "walBytes": sample.wal_bytes,
        "memoryBytes": sample.memory_bytes,
    })
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

async fn requests(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let most = asked.number("limit", REQUESTS_DEFAULT, REQUESTS_MAX)?;
    let list = match asked.call.query.get("slow") {
        None | Some("" | "false" | "0") => cx.traffic.recent(most),
        Some("true" | "1") => cx.traffic.slow(most),
        Some(_) => return Err(Failure::bad_request("slow must be true or false")),
    };
    let list: Vec<Value> = list.iter().map(entry).collect();
    Ok(ok(&json!({ "requests": list })))
}

fn entry(one: &Answered) -> Value {
    json!({ "at": format_ms(one.at_ms), "requestId": one.request_id, "method": one.method.as_str(),
            "path": one.path, "status": one.status.as_u16(),
            "ms": rounded(one.took.as_secs_f64() * 1_000.0) })
}

async fn doctor(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let engine = &cx.engine;
    let (counts, _) = engine.sizes(&asked.who).await?;
    let tokens = engine.tokens(&asked.who)?;
    let now = engine.clock().now_ms();
    let endless = tokens.iter().filter(|token| token.expires_at.is_none()).count();
    let expired = tokens.iter().filter(|one| one.expires_at.is_some_and(|at| at <= now)).count();
    let mut advice = Vec::new();
    if engine.is_read_only() {
        advice.push(
            "The file is damaged and open for reading only. Copy it away, then run cairn verify."
                .to_owned(),
        );
    }
    advice.extend(cx.advice.iter().cloned());
    if cx.hub.is_some() && !engine.has_rules() {
        advice.push(
            "There is no rules document: whoever signs in may read and write every collection made through /api/data."
                .to_owned(),
        );
    }
    if endless > 0 {
        advice.push(format!("{} no end. Give tokens one, or revoke them.", have(endless, "token")));
    }
    if expired > 0 {
        advice.push(format!("{} expired; they open nothing.", have(expired, "token")));
    }
    if counts.free_bytes > FREE_BYTES_NOTED && counts.free_bytes > counts.file_bytes / 2 {
        advice.push("More than half of the file is free pages; new data will use them.".to_owned());
    }
    if engine.wal_bytes() > WAL_BYTES_NOTED {
        advice.push(
            "The write-ahead log is long: something has been reading for a long time.".to_owned(),
        );
    }
    Ok(ok(&json!({ "advice": advice })))
}

fn have(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} has") } else { format!("{count} {what}s have") }
}
