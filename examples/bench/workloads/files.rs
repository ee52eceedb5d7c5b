//! What Cairn takes when nothing happens: memory, file, start, executable, and the write-ahead log.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Bench, creates_of, lists_of};
use crate::process::{Usage, anonymous_kib};
use crate::target::Instance;

/// A server is left alone this long before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);
/// Starts per round.
const STARTS: usize = 3;
/// Connections that insert and that list while the log is watched.
const WRITERS: usize = 64;
const READERS: usize = 8;
/// The log is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The file, as `--cairn` is told to name it.
pub const FILE: &str = "stack.cairn";
/// The records whose cost G22, G24 and G27 speak of.
const RECORDS: u64 = 100_000;

/// `idle`, `size` and `cold`, all of one file.
pub fn footprint(bench: &mut Bench) -> Result<()> {
    let mut instance = bench.own_cairn()?;
    let name = instance.name.clone();
    settle(bench, &instance, "empty")?;
    let records = RECORDS.min(bench.options.records);
    let empty = size_when_stopped(&mut instance)?;
    instance.start("hello", &[])?;
    instance.fill("create", records, 1000)?;
    let full = size_when_stopped(&mut instance)?;
    let per_record = (full - empty) as f64 / records as f64;
    bench.results.add(&name, "size", None, "bytes_per_record", per_record);
    let id = instance.ids("create")?[0].clone();
    for round in 0..bench.options.rounds * STARTS {
        let time = instance.start("read", &[("id", &id)])?;
        bench.results.add(&name, "cold", None, "ms", time.as_secs_f64() * 1e3);
        if round == 0 {
            settle(bench, &instance, "full")?;
        }
        instance.stop()?;
    }
    Ok(())
}

fn settle(bench: &mut Bench, instance: &Instance, state: &str) -> Result<()> {
    std::thread::sleep(SETTLE);
    let pid = instance.pid.context("a started server has a process")?;
    let (all, anonymous) = match state {
        "empty" => ("empty_rss_mib", "empty_anonymous_mib"),
        _ => ("full_rss_mib", "full_anonymous_mib"),
    };
    let name = instance.name.clone();
    bench.results.add(&name, "idle", None, all, Usage::of(pid)?.rss_kib / 1024.0);
    bench.results.add(&name, "idle", None, anonymous, anonymous_kib(pid)? / 1024.0);
    Ok(())
}

/// Stops the server: what is left is the file alone.
fn size_when_stopped(instance: &mut Instance) -> Result<u64> {
    instance.stop()?;
    let wal = instance.file(&format!("{FILE}-wal"))?;
    ensure!(!wal.exists(), "the write-ahead log is still there after a clean end");
    Ok(fs::metadata(instance.file(FILE)?)?.len())
}

/// `exe`: bytes of the executable, as it is.
pub fn executable(bench: &mut Bench) -> Result<()> {
    let bytes = fs::metadata(&bench.options.cairn)?.len();
    bench.results.add(crate::CAIRN, "exe", None, "mb", bytes as f64 / 1e6);
    Ok(())
}

/// `wal`: the largest log while records go in and pages are read.
pub fn wal(bench: &mut Bench) -> Result<()> {
    let mut instance = bench.own_cairn()?;
    instance.fill("create-listed", 1_000, 1000)?;
    let creates = Arc::new(creates_of(&instance, "create-listed")?);
    let lists = Arc::new(lists_of(&instance, "list-newest", "", [String::new()], 1)?);
    let measure = Some(bench.options.wal_time);
    let path = instance.file(&format!("{FILE}-wal"))?;
    let done = AtomicBool::new(false);
    let (inserts, reads, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| largest(&path, &done));
        let reads = scope.spawn(|| bench.load(&instance, &lists, READERS, measure));
        let inserts = bench.load(&instance, &creates, WRITERS, measure);
        let reads = reads.join().map_err(|_| anyhow!("the reading thread panicked"));
        done.store(true, Ordering::Relaxed);
        (inserts, reads, watch.join().map_err(|_| anyhow!("the watching thread panicked")))
    });
    let (inserts, reads, peak) = (inserts?, reads??, peak?);
    bench.results.add_run(&instance.name, "wal-inserts", WRITERS, &inserts);
    bench.results.add_run(&instance.name, "wal-lists", READERS, &reads);
    bench.results.add(&instance.name, "wal", None, "peak_mib", peak as f64 / f64::from(1 << 20));
    Ok(())
}

fn largest(path: &Path, done: &AtomicBool) -> u64 {
    let mut peak = 0;
    while !done.load(Ordering::Relaxed) {
        peak = peak.max(fs::metadata(path).map_or(0, |file| file.len()));
        std::thread::sleep(LOOK_EVERY);
    }
    peak
}
