//! The load generator: keep-alive connections in a closed loop, requests made beforehand.
//!
//! [`run`] opens all connections, warms up, measures for a fixed time, and joins. A worker sends one
//! request, reads the whole answer, notes the time, and takes the next; nothing is parsed but status
//! and length, except that every [`LOOK_EVERY`]th answer is compared with what it must hold.
//!
//! Knows sockets, requests and the server's process id. Does not know targets or workloads.
//!
//! Invariants
//! B1. One wrong answer, lost connection or failed look voids the run: `run` returns an error.
//! B2. Only answers that arrive inside the measured time count, for rate, latency and CPU alike.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::document::Random;
use crate::histogram::Histogram;
use crate::http::{Answer, parse_chunks, parse_head};
use crate::process::{Usage, machine_busy_us};

/// Every so many answers of a connection, one is looked into.
const LOOK_EVERY: u64 = 64;
/// Memory of the server is sampled this often.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// Ids of new records kept per connection.
const KEPT_IDS_MAX: usize = 64;

/// Which request comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, shared by all connections.
    InTurn,
    Random,
}

/// What an answer must hold, beside status 2xx.
#[derive(Clone, Debug)]
pub enum Expect {
    Nothing,
    /// An id at this pointer; it is kept.
    NewId(String),
    /// This text somewhere in the body, one per request.
    Texts(Vec<String>),
    /// At least so many rows at this pointer.
    Rows(String, usize),
}

/// Requests made beforehand, in one piece of memory.
#[derive(Debug)]
pub struct Requests {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
    pub order: Order,
    pub expect: Expect,
}

impl Requests {
    pub fn new(order: Order, expect: Expect) -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), order, expect }
    }

    pub fn push(&mut self, request: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(request);
        self.spans.push(start..self.bytes.len());
    }

    /// `total` requests drawn from several kinds by weight. Answers are not looked into: what they
    /// hold differs by kind.
    pub fn mix(parts: &[(u64, Self)], total: usize) -> Self {
        let weights: u64 = parts.iter().map(|(weight, _)| weight).sum();
        let mut random = Random::new(31);
        let mut mixed = Self::new(Order::Random, Expect::Nothing);
        for _ in 0..total {
            let mut left = random.below(weights);
            for (weight, part) in parts {
                if left < *weight {
                    mixed.push(part.get(random.below(part.len() as u64) as usize));
                    break;
                }
                left -= weight;
            }
        }
        mixed
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    fn get(&self, n: usize) -> &[u8] {
        &self.bytes[self.spans[n].clone()]
    }
}

/// One run.
pub struct Plan {
    pub address: String,
    pub requests: Arc<Requests>,
    pub connections: usize,
    pub threads: usize,
    pub warm_up: Duration,
    pub measure: Duration,
    /// Stop after so many requests in all, whatever the time; 0: no such end.
    pub requests_max: usize,
    pub pid: Option<u32>,
}

/// What a run found.
pub struct Outcome {
    pub count: u64,
    pub seconds: f64,
    pub latency: Histogram,
    pub ids: Vec<String>,
    /// Of the server, over the measured time.
    pub cpu_us: Option<f64>,
    pub written: Option<f64>,
    pub rss_kib_peak: Option<f64>,
    pub anonymous_kib_peak: Option<f64>,
    /// What processes other than server and generator took of all processors: 0 to 1. Much of it
    /// makes rates worthless.
    pub disturbed: Option<f64>,
}

struct Shared {
    plan: Plan,
    start: Instant,
    next: AtomicUsize,
    failed: AtomicBool,
}

#[derive(Default)]
struct Found {
    latency: Histogram,
    ids: Vec<String>,
    error: Option<anyhow::Error>,
}

/// Runs a plan to its end.
///
/// # Errors
/// The first wrong answer or broken connection of any worker; the whole run is void then.
pub fn run(plan: Plan) -> Result<Outcome> {
    ensure!(plan.requests.len() > 0, "no requests to send");
    let (threads, pid, by_count) = (plan.threads, plan.pid, plan.requests_max > 0);
    let measure = plan.measure;
    let next = AtomicUsize::new(0);
    let shared =
        Arc::new(Shared { plan, start: Instant::now(), next, failed: AtomicBool::new(false) });
    let workers: Vec<_> = (0..threads)
        .map(|n| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || work(&shared, n))
        })
        .collect();
    let mut watched = Watched::default();
    let unreadable = watch(&shared, &mut watched).err();
    if unreadable.is_some() {
        shared.failed.store(true, Ordering::Relaxed);
    }
    let mut all = Found::default();
    for worker in workers {
        let found = worker.join().map_err(|_| anyhow!("a load thread panicked"))?;
        all.latency.merge(&found.latency);
        all.ids.extend(found.ids);
        all.error = all.error.or(found.error);
    }
    // A worker's error says more than a server that is gone.
    if let Some(error) = all.error.or(unreadable) {
        return Err(error.context("the run is void"));
    }
    if by_count {
        watched.after = pid.map(Usage::of).transpose()?;
    }
    ensure!(all.latency.count > 0, "no answer arrived inside the measured time");
    let seconds =
        if by_count { shared.start.elapsed().as_secs_f64() } else { measure.as_secs_f64() };
    let used = watched.before.zip(watched.after);
    Ok(Outcome {
        count: all.latency.count,
        seconds,
        latency: all.latency,
        ids: all.ids,
        cpu_us: used.map(|(before, after)| after.cpu_us - before.cpu_us),
        written: used.map(|(before, after)| after.written - before.written),
        rss_kib_peak: pid.map(|_| watched.rss_kib_peak),
        anonymous_kib_peak: pid.map(|_| watched.anonymous_kib_peak),
        disturbed: watched.disturbed,
    })
}

/// What the server's process used, seen from outside.
#[derive(Default)]
struct Watched {
    before: Option<Usage>,
    after: Option<Usage>,
    rss_kib_peak: f64,
    anonymous_kib_peak: f64,
    disturbed: Option<f64>,
}

/// Samples the server over the measured time; ends with it. A run by count has no such time: then
/// only the start is taken.
fn watch(shared: &Shared, watched: &mut Watched) -> Result<()> {
    let plan = &shared.plan;
    let Some(pid) = plan.pid else { return Ok(()) };
    if plan.requests_max > 0 {
        watched.before = Some(Usage::of(pid)?);
        return Ok(());
    }
    let from = shared.start + plan.warm_up;
    let to = from + plan.measure;
    sleep_until(from, &shared.failed);
    let before = Usage::of(pid)?;
    watched.before = Some(before);
    let own = std::process::id();
    let (busy_before, own_before) = (machine_busy_us()?, Usage::of(own)?.cpu_us);
    while Instant::now() < to && !shared.failed.load(Ordering::Relaxed) {
        sleep_until((Instant::now() + SAMPLE_EVERY).min(to), &shared.failed);
        let usage = Usage::of(pid)?;
        watched.rss_kib_peak = watched.rss_kib_peak.max(usage.rss_kib);
        watched.anonymous_kib_peak = watched.anonymous_kib_peak.max(usage.anonymous_kib);
        watched.after = Some(usage);
    }
    let known = watched.after.map_or(0.0, |after| after.cpu_us - before.cpu_us)
        + Usage::of(own)?.cpu_us
        - own_before;
    let cores = std::thread::available_parallelism()?.get() as f64;
    let foreign = machine_busy_us()? - busy_before - known;
    watched.disturbed = Some((foreign / plan.measure.as_micros() as f64 / cores).clamp(0.0, 1.0));
    Ok(())
}

fn sleep_until(time: Instant, failed: &AtomicBool) {
    while !failed.load(Ordering::Relaxed) {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(SAMPLE_EVERY));
    }
}

/// One thread with its share of the connections.
fn work(shared: &Arc<Shared>, thread: usize) -> Found {
    let found = Rc::new(RefCell::new(Found::default()));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Found { error: Some(error.into()), ..Found::default() },
    };
    let tasks = tokio::task::LocalSet::new();
    for connection in (thread..shared.plan.connections).step_by(shared.plan.threads) {
        let (shared, found) = (Arc::clone(shared), Rc::clone(&found));
        tasks.spawn_local(async move {
            if let Err(error) = connect_and_ask(&shared, &found, connection as u64).await {
                shared.failed.store(true, Ordering::Relaxed);
                found.borrow_mut().error.get_or_insert(error);
            }
        });
    }
    runtime.block_on(tasks);
    found.take()
}

async fn connect_and_ask(shared: &Shared, found: &RefCell<Found>, seed: u64) -> Result<()> {
    let plan = &shared.plan;
    let mut random = Random::new(seed + 7);
    let mut connection = Connection::open(&plan.address).await?;
    let from = shared.start + plan.warm_up;
    let by_count = plan.requests_max > 0;
    let to = from + plan.measure;
    let (mut asked, mut ids) = (0_u64, 0);
    while !shared.failed.load(Ordering::Relaxed) {
        let sent = Instant::now();
        if !by_count && sent >= to {
            break;
        }
        let n = match plan.requests.order {
            Order::Random => random.below(plan.requests.len() as u64) as usize,
            Order::InTurn => {
                let turn = shared.next.fetch_add(1, Ordering::Relaxed);
                if by_count && turn >= plan.requests_max {
                    break;
                }
                turn % plan.requests.len()
            }
        };
        let status = connection.ask(plan.requests.get(n)).await?;
        let now = Instant::now();
        if !(200..300).contains(&status) {
            return Err(wrong(plan.requests.get(n), status, connection.body(), "status"));
        }
        if by_count || (now >= from && now < to) {
            let nanoseconds = u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX);
            found.borrow_mut().latency.add(nanoseconds);
        }
        if asked.is_multiple_of(LOOK_EVERY) || by_count {
            let id = look(&plan.requests.expect, n, connection.body()).map_err(|e| {
                wrong(plan.requests.get(n), status, connection.body(), &e.to_string())
            })?;
            if let Some(id) = id.filter(|_| by_count || ids < KEPT_IDS_MAX) {
                found.borrow_mut().ids.push(id);
                ids += 1;
            }
        }
        asked += 1;
        connection.next().await?;
    }
    Ok(())
}

fn wrong(request: &[u8], status: u16, body: &[u8], why: &str) -> anyhow::Error {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or(request);
    let answer = Answer { status, body: body.to_vec() };
    anyhow!("{why}: {} answered {}", String::from_utf8_lossy(line), answer.shown())
}

/// Compares an answer with what it must hold; gives the new id where there is one.
fn look(expect: &Expect, n: usize, body: &[u8]) -> Result<Option<String>> {
    match expect {
        Expect::Nothing => Ok(None),
        Expect::NewId(pointer) => {
            let value = serde_json::from_slice(body)?;
            Ok(Some(crate::adapter::text_at(&value, pointer)?))
        }
        Expect::Texts(texts) => {
            let text = texts[n].as_bytes();
            let there = body.windows(text.len()).any(|window| window == text);
            ensure!(there, "{} is missing", texts[n]);
            Ok(None)
        }
        Expect::Rows(pointer, least) => {
            let value: serde_json::Value = serde_json::from_slice(body)?;
            let rows = value.pointer(pointer).and_then(|rows| rows.as_array());
            let rows = rows.with_context(|| format!("no array at '{pointer}'"))?.len();
            ensure!(rows >= *least, "{rows} rows, expected at least {least}");
            Ok(None)
        }
    }
}

/// A connection and the bytes it has received.
struct Connection {
    address: String,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are filled.
    filled: usize,
    /// Where the last answer's body lies in `buffer`, and where that answer ends.
    body: Range<usize>,
    end: usize,
    /// A chunked body, put together.
    joined: Option<Vec<u8>>,
    close: bool,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address: address.to_owned(),
            stream,
            buffer: vec![0; 8 * 1024],
            filled: 0,
            body: 0..0,
            end: 0,
            joined: None,
            close: false,
        })
    }

    /// Sends a request and reads the whole answer; its status.
    async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(head) = parse_head(&self.buffer[..self.filled])? {
                break head;
            }
            self.more().await?;
        };
        self.close = head.close;
        self.joined = None;
        match head.body_bytes {
            Some(bytes) => {
                self.end = head.bytes + bytes;
                while self.filled < self.end {
                    self.more().await?;
                }
            }
            None => loop {
                if let Some((body, used)) = parse_chunks(&self.buffer[head.bytes..self.filled])? {
                    self.joined = Some(body);
                    self.end = head.bytes + used;
                    break;
                }
                self.more().await?;
            },
        }
        self.body = head.bytes..self.end;
        Ok(head.status)
    }

    fn body(&self) -> &[u8] {
        self.joined.as_deref().unwrap_or(&self.buffer[self.body.clone()])
    }

    /// Makes room for the next answer.
    async fn next(&mut self) -> Result<()> {
        self.buffer.copy_within(self.end..self.filled, 0);
        self.filled -= self.end;
        self.end = 0;
        self.body = 0..0;
        if self.close {
            *self = Self::open(&self.address).await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let n = self.stream.read(&mut self.buffer[self.filled..]).await?;
        ensure!(n > 0, "the server closed the connection");
        self.filled += n;
        Ok(())
    }
}
