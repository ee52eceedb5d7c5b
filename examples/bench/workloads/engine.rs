//! Cairn's engine in this process, without sockets: what the server adds is the difference.
//!
//! Uses the library `cairn`, built with the same profile as the executable.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cairn::engine::{
    Caller, Durability, Engine, EngineOptions, ImportRecord, NewRecord, NewTypeInput, Query,
};
use serde_json::{Map, Value, json};

use super::machine::SUBMITTERS;
use super::{Bench, PAGE_ROWS};
use crate::document::{self, Random};
use crate::histogram::Histogram;

/// Documents made beforehand.
const DOCUMENTS: u64 = 10_000;
/// Rows in one transaction of an import.
const BATCH_ROWS: u64 = 500;
const PLAIN: &str = "org.cairn.bench/plain@1";
const LISTED: &str = "org.cairn.bench/listed@1";

type Content = Map<String, Value>;

/// `engine-insert`, `batch-insert`, `engine-list`.
pub fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let authors = document::authors(bench.options.records_large);
    let mut random = Random::new(13);
    let contents = (0..DOCUMENTS)
        .map(|n| Ok(serde_json::from_str(&document::document(&mut random, n, authors))?))
        .collect::<Result<Vec<Content>>>()?;
    if bench.wanted("engine-insert") {
        for _ in 0..bench.options.rounds {
            let rate = inserts(bench, &runtime, &contents)?;
            let at = Some(SUBMITTERS as usize);
            bench.results.add(crate::CAIRN, "engine-insert", at, "rate", rate);
        }
    }
    if bench.wanted("batch-insert") || bench.wanted("engine-list") {
        batches_and_lists(bench, &runtime, &contents, authors)?;
    }
    Ok(())
}

fn open(runtime: &tokio::runtime::Runtime, dir: &Path) -> Result<(Engine, Caller)> {
    let mut options = EngineOptions::default();
    options.store.durability = Durability::Normal;
    let engine = Engine::open(&dir.join("engine.cairn"), &options)?;
    let owner = engine.owner_caller();
    for (id, indexed) in [(PLAIN, false), (LISTED, true)] {
        let schema = json!({
            "author": { "kind": "string", "indexed": indexed }, "body": { "kind": "text" },
            "score": { "kind": "number" }, "status": { "kind": "string" },
            "title": { "kind": "string" },
        });
        let input = NewTypeInput {
            id: id.to_owned(),
            name: "Bench".to_owned(),
            schema: schema.as_object().cloned().context("an object")?,
            schema_hash: None,
            migrates_from: None,
            search: Some(false),
        };
        runtime.block_on(engine.register_type(&owner, input))?;
    }
    Ok((engine, owner))
}

fn record(type_id: &str, content: &Content) -> NewRecord {
    NewRecord { type_id: type_id.to_owned(), content: content.clone(), ..NewRecord::default() }
}

/// Creations a second by tasks that wait for their commit.
fn inserts(bench: &Bench, runtime: &tokio::runtime::Runtime, contents: &[Content]) -> Result<f64> {
    let dir = tempfile::tempdir_in(&bench.options.dir)?;
    let (engine, owner) = open(runtime, dir.path())?;
    let tasks = tokio::task::LocalSet::new();
    let _inside = runtime.enter();
    tokio::spawn(Engine::deliver_answers());
    let count = Rc::new(Cell::new(0_usize));
    let error = Rc::new(Cell::new(None));
    let end = Instant::now() + bench.options.measure;
    // Shared by all tasks, which live as long as this function at most.
    let contents: Rc<[Content]> = contents.into();
    for _ in 0..SUBMITTERS {
        let (engine, owner) = (engine.clone(), owner.clone());
        let (count, error, contents) = (Rc::clone(&count), Rc::clone(&error), Rc::clone(&contents));
        tasks.spawn_local(async move {
            while Instant::now() < end {
                let content = &contents[count.get() % contents.len()];
                match engine.create(&owner, record(PLAIN, content)).await {
                    Ok(_) => count.set(count.get() + 1),
                    Err(failed) => return error.set(Some(failed)),
                }
            }
        });
    }
    runtime.block_on(tasks);
    engine.close();
    if let Some(error) = error.take() {
        return Err(error.into());
    }
    Ok(count.get() as f64 / bench.options.measure.as_secs_f64())
}

/// Imports the large collection in batches, then asks for indexed pages of it.
fn batches_and_lists(
    bench: &mut Bench,
    runtime: &tokio::runtime::Runtime,
    contents: &[Content],
    authors: u64,
) -> Result<()> {
    let records = bench.options.records_large;
    let dir = tempfile::tempdir_in(&bench.options.dir)?;
    let (engine, owner) = open(runtime, dir.path())?;
    let start = Instant::now();
    let mut random = Random::new(17);
    let mut made = 0;
    while made < records {
        let step = BATCH_ROWS.min(records - made);
        let rows = (made..made + step).map(|n| {
            let mut record = record(LISTED, &contents[n as usize % contents.len()]);
            // The documents repeat, their authors must not.
            record.content.insert("author".to_owned(), author(&mut random, authors).into());
            ImportRecord { record, created_at: None, alias: None, exact: None }
        });
        for made in runtime.block_on(engine.import_batch(rows.collect(), None))? {
            made?;
        }
        made += step;
    }
    let rate = records as f64 / start.elapsed().as_secs_f64();
    bench.results.add(crate::CAIRN, "batch-insert", None, "rate", rate);
    if !bench.wanted("engine-list") {
        return Ok(());
    }
    for _ in 0..bench.options.rounds {
        let mut times = Histogram::default();
        let end = Instant::now() + bench.options.measure;
        while Instant::now() < end {
            let author = author(&mut random, authors);
            let query = Query {
                types: vec![LISTED.to_owned()],
                content: vec![("author".to_owned(), author.into())],
                limit: PAGE_ROWS as u32,
                ..Query::default()
            };
            let start = Instant::now();
            let page = runtime.block_on(engine.query(&owner, query))?;
            times.add(start.elapsed().as_nanos() as u64);
            // An author has 100 records or more on average.
            ensure!(page.records.len() > PAGE_ROWS / 2, "a page of {}", page.records.len());
        }
        for (metric, share) in [("p50_us", 0.5), ("p99_us", 0.99)] {
            bench.results.add(crate::CAIRN, "engine-list", None, metric, times.quantile_us(share));
        }
    }
    engine.close();
    Ok(())
}

fn author(random: &mut Random, authors: u64) -> String {
    format!("u{}", random.below(authors))
}
