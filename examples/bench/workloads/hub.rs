//! The hub in this process, without sockets: what matching a commit costs beside 10,000 equality subscriptions.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cairn::engine::tree::{Node, Root};
use cairn::engine::{Caller, Durability, Engine, EngineOptions, RowOp, Verb};
use cairn::live::{Delivery, Hub, Sink, Subscription};
use cairn::schema::filter::{FieldPath, Filter, Operand, Test};
use serde_json::{Map, Value, json};
use tokio::task::LocalSet;

use super::Bench;
use super::machine::SUBMITTERS;

const SUBSCRIPTIONS: u64 = 10_000;
/// Every so many rows, one concerns a subscription.
const HIT_EVERY: u64 = 1_000;
/// First results must be there after this long.
const READY_WAIT: Duration = Duration::from_secs(60);
/// The name of the hub's matching thread.
const THREAD: &str = "live";

/// Counts what it is told.
#[derive(Default)]
struct Count {
    first: AtomicU64,
    changes: AtomicU64,
    failed: AtomicU64,
}

struct Listener(Arc<Count>);

impl Sink for Listener {
    fn deliver(&self, delivery: Delivery) {
        let count = match delivery {
            Delivery::Initial { .. } => &self.0.first,
            Delivery::Change(_) => &self.0.changes,
            Delivery::Resumed { .. } | Delivery::Failed(_) => &self.0.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// `hub-match`: inserts by tasks that wait for their commit, without and with subscriptions, in turn.
pub fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..bench.options.rounds {
        let none = inserts(bench, &runtime, 0)?;
        let all = inserts(bench, &runtime, SUBSCRIPTIONS)?;
        let mut add =
            |metric, value| bench.results.add(crate::CAIRN, "hub-match", None, metric, value);
        add("rate_none", none.0);
        add("rate", all.0);
        add("commit_cpu_none_us", none.1);
        add("commit_cpu_us", all.1);
    }
    Ok(())
}

fn engine(dir: &Path) -> Result<Engine> {
    let mut options = EngineOptions::default();
    options.store.durability = Durability::Normal;
    Ok(Engine::open(&dir.join("hub.cairn"), &options)?)
}

/// Rows a second, and microseconds of the matching thread per row.
fn inserts(
    bench: &Bench,
    runtime: &tokio::runtime::Runtime,
    subscriptions: u64,
) -> Result<(f64, f64)> {
    let dir = tempfile::tempdir_in(&bench.options.dir)?;
    let engine = engine(dir.path())?;
    let hub = Hub::start(engine.clone())?;
    let caller = Caller::of("did:example:bench", "did:example:bench");
    let count = Arc::new(Count::default());
    let kept = runtime.block_on(follow(&engine, &hub, &caller, &count, subscriptions))?;
    // A thread has its name only once it runs.
    wait(|| thread_cpu_us().is_ok()).context("the hub has no thread of the expected name")?;
    let cpu_before = thread_cpu_us()?;
    let made = Rc::new(Cell::new(0_u64));
    let error = Rc::new(RefCell::new(None));
    let end = Instant::now() + bench.options.measure;
    let tasks = LocalSet::new();
    for _ in 0..SUBMITTERS {
        let (engine, caller) = (engine.clone(), caller.clone());
        let (made, error) = (Rc::clone(&made), Rc::clone(&error));
        tasks.spawn_local(async move {
            while Instant::now() < end && error.borrow().is_none() {
                let n = made.replace(made.get() + 1);
                let key = if n.is_multiple_of(HIT_EVERY) {
                    format!("k{}", n / HIT_EVERY % SUBSCRIPTIONS)
                } else {
                    format!("other{n}")
                };
                if let Err(failed) = insert(&engine, &caller, &key).await {
                    error.borrow_mut().get_or_insert(failed);
                }
            }
        });
    }
    runtime.block_on(tasks);
    if let Some(error) = error.take() {
        return Err(error);
    }
    let (made, seconds) = (made.get(), bench.options.measure.as_secs_f64());
    let wanted = if subscriptions > 0 { made.div_ceil(HIT_EVERY) } else { 0 };
    let told = || count.changes.load(Ordering::Relaxed);
    wait(|| told() >= wanted).with_context(|| format!("{} told of {wanted}", told()))?;
    let cpu = thread_cpu_us()? - cpu_before;
    ensure!(told() == wanted, "{} told, {wanted} concerned somebody", told());
    ensure!(count.failed.load(Ordering::Relaxed) == 0, "a subscription failed");
    drop(kept);
    hub.stop();
    engine.close();
    Ok((made as f64 / seconds, cpu / made as f64))
}

/// Subscribes, one key each, and waits for all first results.
async fn follow(
    engine: &Engine,
    hub: &Hub,
    caller: &Caller,
    count: &Arc<Count>,
    subscriptions: u64,
) -> Result<Vec<Subscription>> {
    // The collection must be there.
    insert(engine, caller, "first").await?;
    let mut kept = Vec::new();
    for n in 0..subscriptions {
        let key = Operand::Field(FieldPath("key".to_owned()));
        let filter = Filter::Is(key, Test::Equal(Value::String(format!("k{n}"))));
        let node = Node { filter, ..Node::default() };
        let roots = Arc::new(vec![Root { entity: "items".to_owned(), node }]);
        let sink = Arc::new(Listener(Arc::clone(count)));
        kept.push(hub.subscribe(caller, roots, None, sink).await?);
    }
    let ready = || count.first.load(Ordering::Relaxed);
    wait(|| ready() == subscriptions)
        .with_context(|| format!("{} of {subscriptions} are ready", ready()))?;
    Ok(kept)
}

async fn insert(engine: &Engine, caller: &Caller, key: &str) -> Result<()> {
    let data: Map<String, Value> = json!({ "key": key, "note": "a row among many" })
        .as_object()
        .cloned()
        .context("an object")?;
    let op = RowOp {
        verb: Verb::Insert,
        entity: "items".to_owned(),
        id: None,
        data,
        targets: Vec::new(),
        if_tx: None,
    };
    engine.mutate(caller, vec![op]).await?.map_err(|refused| refused.error)?;
    Ok(())
}

fn wait(done: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !done() {
        ensure!(start.elapsed() < READY_WAIT, "not within {READY_WAIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Time on a processor of the hub's matching thread so far.
fn thread_cpu_us() -> Result<f64> {
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == THREAD) {
            let text = fs::read_to_string(path.join("schedstat"))?;
            let nanoseconds = text.split(' ').next().context("schedstat is empty")?;
            return Ok(nanoseconds.parse::<f64>()? / 1e3);
        }
    }
    anyhow::bail!("no thread is called {THREAD}")
}
