//! Records going in: creations by owner and by token, durable ones, updates, the mixed load.

use anyhow::Result;

use super::{Bench, REQUESTS_MAX, Visit, creates_of, lists_of, reads_of};
use crate::document::{self, Random};
use crate::load::{Expect, Order, Requests};
use crate::results::median;
use crate::target::Instance;

/// Records whose history is read, and how often each was updated before.
const HISTORY_RECORDS: usize = 200;
const HISTORY_VERSIONS: usize = 10;

/// `insert`, `insert-durable`, `auth-insert`.
pub fn insert(bench: &mut Bench) -> Result<()> {
    let durable = bench.durable.name.clone();
    let mut visits = Vec::new();
    for (n, instance) in bench.with("create") {
        let requests = creates_of(instance, "create")?;
        if instance.name == durable {
            let mut visit = Visit::new(n, instance, "insert-durable", requests);
            crate::CAIRN.clone_into(&mut visit.target);
            visits.push(visit);
        } else {
            visits.push(Visit::new(n, instance, "insert", requests));
            if instance.has("create-issued") {
                let requests = creates_of(instance, "create-issued")?;
                visits.push(Visit::new(n, instance, "auth-insert", requests));
            }
        }
    }
    let connections = bench.options.connections.clone();
    bench.alternate(&connections, &visits);
    Ok(())
}

/// `update` and `history`.
pub fn update(bench: &mut Bench) -> Result<()> {
    let mut visits = Vec::new();
    for (n, instance) in bench.with("update") {
        visits.push(Visit::new(n, instance, "update", updates_of(instance)?));
        if instance.has("history") && bench.wanted("history") {
            let ids = &instance.ids("create")?[..HISTORY_RECORDS];
            let mut random = Random::new(8);
            for id in ids {
                for version in 0..HISTORY_VERSIONS {
                    let doc = document::document(&mut random, version as u64, 1000);
                    instance.ask("update", &[("id", id), ("doc", &doc)])?;
                }
            }
            let requests =
                lists_of(instance, "history", "id", ids.iter().cloned(), HISTORY_VERSIONS)?;
            visits.push(Visit::new(n, instance, "history", requests));
        }
    }
    let connections = bench.options.connections.clone();
    bench.alternate(&connections, &visits);
    Ok(())
}

/// Reads 70 %, lists 15 %, creations 10 %, updates 5 %, as far as the target has them.
pub fn mixed(bench: &mut Bench) -> Result<()> {
    let mut visits = Vec::new();
    for (n, instance) in bench.with("read") {
        let mut parts = vec![(70, reads_of(instance, "read", instance.ids("create")?)?)];
        if instance.has("list-indexed") {
            let authors = (0..document::authors(bench.options.records)).map(|a| format!("u{a}"));
            parts.push((15, lists_of(instance, "list-indexed", "author", authors, 0)?));
        }
        if instance.has("create") {
            parts.push((10, creates_of(instance, "create")?));
        }
        if instance.has("update") {
            parts.push((5, updates_of(instance)?));
        }
        visits.push(Visit::new(n, instance, "mixed", Requests::mix(&parts, REQUESTS_MAX)));
    }
    let connections = bench.options.connections.clone();
    bench.alternate(&connections, &visits);
    let peak = connections.iter().max().copied().unwrap_or(1);
    if let Some(rounds) = bench.results.rounds(&format!("cairn.mixed@{peak}.anonymous_mib")) {
        eprintln!("  anonymous memory under the mixed load: {:.1} MiB", median(rounds));
    }
    Ok(())
}

fn updates_of(instance: &Instance) -> Result<Requests> {
    let template = instance.template("update")?;
    let ids = instance.ids("create")?;
    let mut random = Random::new(6);
    let mut requests = Requests::new(Order::Random, Expect::Nothing);
    for n in 0..REQUESTS_MAX as u64 {
        let id = &ids[random.below(ids.len() as u64) as usize];
        let doc = document::document(&mut random, n, 1000);
        requests.push(&template.render(&[("id", id), ("doc", &doc)]));
    }
    Ok(requests)
}
