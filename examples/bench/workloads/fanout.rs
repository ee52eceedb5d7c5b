//! Live queries over sockets: one change to many subscribers, many subscriptions that few changes concern,
//! and subscribers that only wait.
//!
//! A subscriber checks what it is told: every unit once, `tx` rising. A run with one message missing or extra is void.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Bench;
use crate::histogram::Histogram;
use crate::http::Client;
use crate::load::{Expect, Order, Requests};
use crate::process::{Usage, anonymous_kib};
use crate::target::Instance;
use crate::websocket::{Socket, tx_of};

/// The subscribers of a paced and of a free run.
const CROWDS: [(usize, &str, &str); 3] = [
    (1, "fanout-1", "fanout-1-free"),
    (100, "fanout-100", "fanout-100-free"),
    (1_000, "fanout-1000", "fanout-1000-free"),
];
/// From one change to the next in a paced run.
const PACE: Duration = Duration::from_millis(50);
/// Writers of a free run; each changes a row of its own as fast as it is answered.
const FREE_WRITERS: usize = 16;
/// A delivery that takes longer is missing.
const DELIVERY_WAIT: Duration = Duration::from_secs(20);
/// After the last delivery nothing more may come.
const EXTRA_WAIT: Duration = Duration::from_millis(300);
/// Sockets and subscriptions on each behind `fanout-sparse`.
const SPARSE_SOCKETS: usize = 100;
const SPARSE_EACH: usize = 100;
/// Rows that concern one of them each.
const SPARSE_HITS: usize = 200;
/// Connections that insert beside them.
const SPARSE_WRITERS: usize = 64;
/// Inserts made beforehand; a longer run starts over.
const SPARSE_INSERTS: usize = 5_000;
/// Idle subscribers; the server takes 8,192 connections (SECURITY S16).
const IDLE_SOCKETS: usize = 8_000;
/// Memory is read so long after the last of them.
const SETTLE: Duration = Duration::from_secs(2);

/// An account whose token sockets and requests use: rules are applied to it, unlike to the owner.
pub fn sign_up(address: &str, name: &str) -> Result<String> {
    let body = json!({ "email": format!("{name}@example.org"), "password": super::live::PASSWORD });
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let body = body.to_string();
    let path = "/api/auth/signup";
    let request = crate::http::request("POST", path, address, &headers, Some(body.as_bytes()));
    let answer = Client::open(address)?.ask(&request)?;
    ensure!(answer.status == 201, "signing up answered {}", answer.shown());
    crate::adapter::text_at(&answer.json()?, "/accessToken")
}

/// `fanout-N`, `fanout-N-free`.
pub fn run(bench: &mut Bench) -> Result<()> {
    let instance = bench.own_cairn()?;
    let token = sign_up(&instance.address, "crowd")?;
    for (subscribers, paced_name, free_name) in CROWDS {
        for _ in 0..bench.options.rounds {
            if bench.wanted(paced_name) {
                paced(bench, &instance, &token, subscribers, paced_name)?;
            }
            if bench.wanted(free_name) {
                free(bench, &instance, &token, subscribers, free_name)?;
            }
        }
    }
    Ok(())
}

/// What subscribers of one run have seen together.
#[derive(Default)]
struct Seen {
    messages: Cell<u64>,
    bytes: Cell<u64>,
    /// The last `tx` of each subscriber.
    last: RefCell<Vec<i64>>,
    failed: RefCell<Option<anyhow::Error>>,
    news: Notify,
}

impl Seen {
    /// Waits until `done`, or says what is missing.
    async fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let waited = timeout(DELIVERY_WAIT, async {
            while !done(self) && self.failed.borrow().is_none() {
                self.news.notified().await;
            }
        });
        let waited = waited.await;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        waited.with_context(|| format!("{what}: {} messages after all", self.messages.get()))
    }
}

/// Subscribers of one query, reading until the tasks are dropped.
async fn crowd(
    tasks: &LocalSet,
    instance: &Instance,
    token: &str,
    subscribers: usize,
) -> Result<Rc<Seen>> {
    let seen = Rc::new(Seen::default());
    seen.last.borrow_mut().resize(subscribers, 0);
    for n in 0..subscribers {
        let mut socket = Socket::signed_in(&instance.address, token).await?;
        socket.subscribe("s", &json!({ "ticks": {} })).await?;
        let seen = Rc::clone(&seen);
        tasks.spawn_local(async move {
            if let Err(error) = read_on(&mut socket, n, &seen).await {
                seen.failed.borrow_mut().get_or_insert(error);
                seen.news.notify_one();
            }
        });
    }
    Ok(seen)
}

async fn read_on(socket: &mut Socket, n: usize, seen: &Seen) -> Result<()> {
    loop {
        let message = socket.receive().await?;
        if !message.starts_with(br#"{"type":"q-diff""#) {
            continue;
        }
        let tx = tx_of(message).context("a difference without tx")?;
        let last = std::mem::replace(&mut seen.last.borrow_mut()[n], tx);
        ensure!(tx > last, "subscriber {n} was told unit {tx} after {last}");
        seen.messages.set(seen.messages.get() + 1);
        seen.bytes.set(seen.bytes.get() + message.len() as u64);
        seen.news.notify_one();
    }
}

/// Changes a row over a socket; the unit.
async fn change(writer: &mut Socket, row: &str, n: u64) -> Result<i64> {
    let data = json!({ "n": n, "note": "a change that everybody hears of" });
    let op = json!({ "op": "set", "entity": "ticks", "id": row, "data": data });
    writer.send(&json!({ "type": "mutate", "id": "m", "ops": [op] })).await?;
    writer.until("mutate-ok").await?["tx"].as_i64().context("mutate-ok without tx")
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One change at a time: how long until the last subscriber has it.
fn paced(
    bench: &mut Bench,
    instance: &Instance,
    token: &str,
    subscribers: usize,
    name: &'static str,
) -> Result<()> {
    let changes = (bench.options.measure.as_millis() / PACE.as_millis()).max(10) as u64;
    let pid = instance.pid.context("a started server has a process")?;
    let tasks = LocalSet::new();
    let (times, used) = runtime()?.block_on(tasks.run_until(async {
        let seen = crowd(&tasks, instance, token, subscribers).await?;
        let mut writer = Socket::signed_in(&instance.address, token).await?;
        let mut times = Histogram::default();
        // The first change meets cold caches on both sides.
        let mut before = Usage::of(pid)?;
        for n in 0..=changes {
            if n == 1 {
                before = Usage::of(pid)?;
            }
            let start = Instant::now();
            change(&mut writer, "one", n).await?;
            let wanted = (n + 1) * subscribers as u64;
            seen.wait(&format!("{wanted} were expected"), |seen| seen.messages.get() >= wanted)
                .await?;
            if n > 0 {
                times.add(start.elapsed().as_nanos() as u64);
            }
            tokio::time::sleep(PACE.saturating_sub(start.elapsed())).await;
        }
        let used = Usage::of(pid)?.cpu_us - before.cpu_us;
        tokio::time::sleep(EXTRA_WAIT).await;
        let extra = seen.messages.get() - (changes + 1) * subscribers as u64;
        ensure!(extra == 0, "{extra} messages too many");
        anyhow::Ok((times, used))
    }))?;
    let deliveries = (changes * subscribers as u64) as f64;
    let mut add = |metric, value| bench.results.add(&instance.name, name, None, metric, value);
    add("last_p50_us", times.quantile_us(0.50));
    add("last_p95_us", times.quantile_us(0.95));
    add("last_p99_us", times.quantile_us(0.99));
    add("delivery_cpu_us", used / deliveries);
    Ok(())
}

/// As fast as it goes: several writers, nobody waits for the subscribers. Under pressure the server may fold differences, so
/// what counts is that everybody arrives at the last unit.
fn free(
    bench: &mut Bench,
    instance: &Instance,
    token: &str,
    subscribers: usize,
    name: &'static str,
) -> Result<()> {
    let pid = instance.pid.context("a started server has a process")?;
    let measure = bench.options.measure;
    let tasks = LocalSet::new();
    let (changes, seconds, used, seen) = runtime()?.block_on(tasks.run_until(async {
        let seen = crowd(&tasks, instance, token, subscribers).await?;
        let before = Usage::of(pid)?;
        let start = Instant::now();
        let mut writers = Vec::new();
        for n in 0..FREE_WRITERS {
            let (address, token) = (instance.address.clone(), token.to_owned());
            writers.push(tasks.spawn_local(async move {
                let mut writer = Socket::signed_in(&address, &token).await?;
                let (mut changes, mut last, row) = (0, 0, format!("w{n}"));
                while start.elapsed() < measure {
                    last = change(&mut writer, &row, changes).await?;
                    changes += 1;
                }
                anyhow::Ok((changes, last))
            }));
        }
        let (mut changes, mut last) = (0, 0);
        for writer in writers {
            let (more, tx) = writer.await??;
            changes += more;
            last = last.max(tx);
        }
        let arrived = |seen: &Seen| seen.last.borrow().iter().all(|tx| *tx == last);
        seen.wait(&format!("everybody at unit {last}"), arrived).await?;
        let (seconds, used) =
            (start.elapsed().as_secs_f64(), Usage::of(pid)?.cpu_us - before.cpu_us);
        tokio::time::sleep(EXTRA_WAIT).await;
        let most = changes * subscribers as u64;
        ensure!(seen.messages.get() <= most, "{} messages of {most}", seen.messages.get());
        anyhow::Ok((changes, seconds, used, seen))
    }))?;
    let messages = seen.messages.get() as f64;
    let mut add = |metric, value| bench.results.add(&instance.name, name, None, metric, value);
    add("change_rate", changes as f64 / seconds);
    add("delivery_rate", messages / seconds);
    add("delivery_cpu_us", used / messages);
    // 100: nothing was folded.
    add("delivered_percent", 100.0 * messages / (changes as f64 * subscribers as f64));
    Ok(())
}

/// `fanout-sparse`: inserts beside 10,000 equality subscriptions that they do not concern, then some that do.
pub fn sparse(bench: &mut Bench) -> Result<()> {
    let (alone, beside) = (bench.own_cairn()?, bench.own_cairn()?);
    let token = sign_up(&beside.address, "sparse")?;
    let others = sign_up(&alone.address, "sparse")?;
    let runtime = runtime()?;
    let mut sockets = runtime.block_on(async {
        let mut sockets = Vec::new();
        for s in 0..SPARSE_SOCKETS {
            let mut socket = Socket::signed_in(&beside.address, &token).await?;
            for n in 0..SPARSE_EACH {
                let key = format!("k{}", s * SPARSE_EACH + n);
                let query = json!({ "items": { "$where": { "key": key } } });
                socket.subscribe(&key, &query).await?;
            }
            sockets.push(socket);
        }
        anyhow::Ok(sockets)
    })?;
    for _ in 0..bench.options.rounds {
        for (instance, token, name) in
            [(&alone, &others, "fanout-sparse-none"), (&beside, &token, "fanout-sparse")]
        {
            let run = bench.load(instance, &inserts(instance, token), SPARSE_WRITERS, None)?;
            bench.results.add_run(crate::CAIRN, name, SPARSE_WRITERS, &run);
        }
    }
    let times = runtime.block_on(hits(&beside, &token, &mut sockets))?;
    for (metric, share) in [("hit_p50_us", 0.5), ("hit_p99_us", 0.99)] {
        let value = times.quantile_us(share);
        bench.results.add(crate::CAIRN, "fanout-sparse", None, metric, value);
    }
    Ok(())
}

/// `POST /api/mutate` with these operations.
pub fn mutate_request(instance: &Instance, token: &str, ops: &[Value]) -> Vec<u8> {
    api_request(instance, token, "/api/mutate", &json!({ "ops": ops }))
}

pub fn api_request(instance: &Instance, token: &str, path: &str, body: &Value) -> Vec<u8> {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {token}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = body.to_string();
    crate::http::request("POST", path, &instance.address, &headers, Some(body.as_bytes()))
}

/// Rows whose key nobody asks for.
fn inserts(instance: &Instance, token: &str) -> Arc<Requests> {
    let mut requests = Requests::new(Order::InTurn, Expect::Nothing);
    for n in 0..SPARSE_INSERTS {
        let data = json!({ "key": format!("other{n}"), "n": n, "note": "of no concern" });
        let op = json!({ "op": "insert", "entity": "items", "data": data });
        requests.push(&mutate_request(instance, token, &[op]));
    }
    Arc::new(requests)
}

/// One row for one subscription after the other; each must be told to that one alone.
async fn hits(instance: &Instance, token: &str, sockets: &mut [Socket]) -> Result<Histogram> {
    let mut writer = Socket::signed_in(&instance.address, token).await?;
    let mut times = Histogram::default();
    for n in 0..SPARSE_HITS {
        // A prime step visits sockets and subscriptions without order.
        let at = n * 7_919 % (SPARSE_SOCKETS * SPARSE_EACH);
        let key = format!("k{at}");
        let op = json!({ "op": "insert", "entity": "items", "data": { "key": key, "n": n } });
        let start = Instant::now();
        writer.send(&json!({ "type": "mutate", "id": "m", "ops": [op] })).await?;
        let socket = &mut sockets[at / SPARSE_EACH];
        let told = timeout(DELIVERY_WAIT, socket.until("q-diff"));
        let told = told.await.with_context(|| format!("{key} was not told"))??;
        times.add(start.elapsed().as_nanos() as u64);
        ensure!(told["id"] == key.as_str(), "{key} was expected, not {told}");
        ensure!(told["added"][0]["key"] == key.as_str(), "not the row of {key}: {told}");
        writer.until("mutate-ok").await?;
    }
    tokio::time::sleep(EXTRA_WAIT).await;
    for (n, socket) in sockets.iter_mut().enumerate() {
        let extra = timeout(Duration::from_millis(1), socket.until("q-diff")).await;
        ensure!(extra.is_err(), "socket {n} was told something extra");
    }
    Ok(times)
}

/// `idle-subscribers`: memory that a subscriber takes while nothing happens, each with a query of its own and all with
/// the same.
pub fn idle(bench: &mut Bench) -> Result<()> {
    for (metric, rss, own) in
        [("kib_own_query", "rss_kib_own_query", true), ("kib", "rss_kib", false)]
    {
        let instance = bench.own_cairn()?;
        let pid = instance.pid.context("a started server has a process")?;
        let token = sign_up(&instance.address, "idle")?;
        let subscribers = IDLE_SOCKETS.min(files_max() / 2);
        let (anonymous, all) = runtime()?.block_on(async {
            // What the first socket brings to life is not the price of each.
            let _first = Socket::signed_in(&instance.address, &token).await?;
            tokio::time::sleep(SETTLE).await;
            let before = (anonymous_kib(pid)?, Usage::of(pid)?.rss_kib);
            let mut sockets = Vec::with_capacity(subscribers);
            for n in 0..subscribers {
                let mut socket = Socket::signed_in(&instance.address, &token).await?;
                let filter = if own { json!({ "$where": { "owner": n } }) } else { json!({}) };
                socket.subscribe("s", &json!({ "ticks": filter })).await?;
                sockets.push(socket);
            }
            tokio::time::sleep(SETTLE).await;
            let each = subscribers as f64;
            anyhow::Ok((
                (anonymous_kib(pid)? - before.0) / each,
                (Usage::of(pid)?.rss_kib - before.1) / each,
            ))
        })?;
        let mut add = |metric, value| {
            bench.results.add(crate::CAIRN, "idle-subscribers", None, metric, value);
        };
        add(metric, anonymous);
        add(rss, all);
        add("subscribers", subscribers as f64);
    }
    Ok(())
}

/// Files this process may open.
fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(1_024)
}
