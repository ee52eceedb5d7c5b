//! A large collection: indexed pages, full text, and a filter that no index covers, alone and with
//! point reads beside it.

use std::sync::Arc;

use anyhow::{Result, anyhow};

use super::{Bench, PAGE_ROWS, Visit, lists_of, reads_of};
use crate::document::{self, COMMON, RARE_WORDS, Random, SCORES};

/// Different values asked for.
const VALUES: u64 = 2_000;
/// Connections that read single records while one scans.
const READERS: usize = 16;

/// `list-large`, `fts-rare`, `fts-common`, `filter-scan`.
pub fn run(bench: &mut Bench) -> Result<()> {
    let mut random = Random::new(21);
    let mut visits = Vec::new();
    for (n, instance) in bench.fleet().iter().enumerate() {
        let mut add = |request, workload, placeholder, values: Vec<String>, rows| -> Result<()> {
            if instance.has(request) {
                let requests = lists_of(instance, request, placeholder, values, rows)?;
                visits.push(Visit::new(n, instance, workload, requests));
            }
            Ok(())
        };
        let authors = document::authors(bench.options.records_large);
        let authors = (0..authors).map(|author| format!("u{author}")).collect();
        add("list-large", "list-large", "author", authors, PAGE_ROWS / 2)?;
        let rare = (0..VALUES).map(|_| format!("rare{}", random.below(RARE_WORDS))).collect();
        add("search-rare", "fts-rare", "rare", rare, 0)?;
        add("search-common", "fts-common", "common", vec![COMMON.to_owned()], PAGE_ROWS)?;
        let scores = (0..VALUES).map(|_| random.below(SCORES).to_string()).collect();
        add("filter-scan", "filter-scan", "score", scores, 0)?;
    }
    bench.alternate(&[1], &visits);
    if bench.wanted("filter-scan") {
        beside(bench, &visits)?;
    }
    Ok(())
}

/// Point reads alone, then while one connection scans all the time.
fn beside(bench: &mut Bench, visits: &[Visit]) -> Result<()> {
    for visit in visits.iter().filter(|visit| visit.workload == "filter-scan") {
        let instance = &bench.fleet()[visit.instance];
        if !instance.has("read") {
            continue;
        }
        let reads = Arc::new(reads_of(instance, "read", instance.ids("create-text")?)?);
        for _ in 0..bench.options.rounds {
            let instance = &bench.fleet()[visit.instance];
            let alone = bench.load(instance, &reads, READERS, None)?;
            let (beside, scan) = std::thread::scope(|scope| {
                let scan = scope.spawn(|| bench.load(instance, &visit.requests, 1, None));
                let beside = bench.load(instance, &reads, READERS, None);
                (beside, scan.join().map_err(|_| anyhow!("the scanning thread panicked")))
            });
            let (beside, scan) = (beside?, scan??);
            bench.results.add_run(&visit.target, "read-alone", READERS, &alone);
            bench.results.add_run(&visit.target, "read-beside-scan", READERS, &beside);
            bench.results.add_run(&visit.target, "scan-beside-read", 1, &scan);
        }
    }
    Ok(())
}
