//! The benchmark: Cairn beside what the machine can do and beside other servers.
//!
//! It starts the release executable, visits all targets in turn for several rounds, checks every
//! kind of answer, and prints medians, spread, latencies, CPU per request, memory and bytes written;
//! `--check goals.json` judges the goals. How to run it and how to read it: `docs/benchmark.md`.
//!
//! Knows the parts. What is measured is in `workloads/`, what a server understands in `adapters/`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people: counts far below 2^52, indices below usize"
)]
#![allow(unreachable_pub, reason = "a program has no outside: pub means for the other modules")]
#![allow(clippy::print_stdout, reason = "the report is the purpose of this program")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark waits for times, reads its anchors' environment, and opens databases of its own"
)]

mod adapter;
mod anchors;
mod document;
mod goals;
mod histogram;
mod http;
mod load;
mod process;
mod report;
mod results;
mod target;
mod websocket;
mod workloads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::adapter::Adapter;
use crate::goals::{Goals, Judged};
use crate::process::Launch;
use crate::target::{How, Target};
use crate::workloads::{Bench, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Cairn's name in results and goals.
pub const CAIRN: &str = "cairn";
/// Cairn with its default durability; its figures are kept as `cairn.insert-durable`.
const CAIRN_DURABLE: &str = "cairn-durable";
const OWNER_TOKEN: &str = "bench-owner-token-0123456789abcdef";
/// Fewer rounds are no measurement.
const ROUNDS_MIN: usize = 3;

/// Measures Cairn beside what the machine can do and beside other servers.
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Arguments {
    /// The executable of Cairn.
    #[arg(long, value_name = "PATH", default_value = "target/release/cairn")]
    cairn: PathBuf,
    /// Executable of the reference server; without it the one inside this program stands in.
    #[arg(long, value_name = "PATH")]
    reference: Option<PathBuf>,
    /// Another server that already runs, with `--adapter`.
    #[arg(long, value_name = "NAME=URL")]
    target: Vec<String>,
    /// What requests that server understands (a JSON file, see docs/benchmark.md).
    #[arg(long, value_name = "NAME=FILE")]
    adapter: Vec<String>,
    /// Process id of that server, for CPU, memory and disk.
    #[arg(long, value_name = "NAME=PID")]
    pid: Vec<String>,
    /// Visits per target, workload and connection count; at least 3.
    #[arg(long, default_value_t = ROUNDS_MIN)]
    rounds: usize,
    /// About two minutes: one short round, less data. Good for a look, not for a verdict.
    #[arg(long)]
    quick: bool,
    /// Only these workloads.
    #[arg(long, value_name = "WORKLOAD,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Connection counts.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Seconds measured per run.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Seconds of inserts while the write-ahead log is watched.
    #[arg(long, default_value_t = 600.0)]
    wal_seconds: f64,
    /// Records behind reads and lists.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Records behind search and scans.
    #[arg(long, default_value_t = 1_000_000)]
    records_large: u64,
    /// Folder for the servers' files; on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    dir: PathBuf,
    /// Also write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Judge these goals; a missed floor makes the exit code 1.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Be the bare hyper server (environment: PORT).
    #[arg(long, hide = true)]
    anchor_hello: bool,
    /// Be the reference server (environment: PORT, DB, SYNC).
    #[arg(long, hide = true)]
    anchor_reference: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.anchor_hello {
        anchors::serve(anchors::Role::Hello).map(|()| true)
    } else if arguments.anchor_reference {
        anchors::serve(anchors::Role::Reference).map(|()| true)
    } else {
        run(&arguments)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every run counted and no floor was missed.
fn run(arguments: &Arguments) -> Result<bool> {
    let options = options(arguments)?;
    let goals = arguments.check.as_deref().map(Goals::load).transpose()?;
    let targets = targets(arguments)?;
    let about = about(arguments, &options, &targets);
    let durable = cairn(&options.cairn, CAIRN_DURABLE, "full")?;
    let mut bench = Bench::new(options, targets, durable);
    bench.run();
    let judged = match &goals {
        Some(goals) => goals.judge(&bench.results, arguments.quick)?,
        None => Vec::new(),
    };
    print!("{}", report::markdown(&bench.options, &bench.results, &judged, &about));
    if let Some(path) = &arguments.json {
        let value = report::json(&bench.options, &bench.results, &judged, &about);
        std::fs::write(path, format!("{value:#}\n"))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(bench.results.void.is_empty() && !judged.iter().any(Judged::failed))
}

fn options(arguments: &Arguments) -> Result<Options> {
    ensure!(arguments.rounds >= ROUNDS_MIN || arguments.quick, "fewer than {ROUNDS_MIN} rounds");
    ensure!(arguments.threads > 0 && !arguments.connections.contains(&0), "0 is no load");
    for name in &arguments.only {
        let known = workloads::ALL.iter().any(|workload| workload.names.contains(&name.as_str()));
        ensure!(known, "no workload {name}");
    }
    ensure!(arguments.cairn.is_file(), "{} is not there", arguments.cairn.display());
    std::fs::create_dir_all(&arguments.dir)?;
    let full = Options {
        dir: arguments.dir.canonicalize()?,
        cairn: arguments.cairn.canonicalize()?,
        rounds: arguments.rounds,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs_f64(arguments.seconds),
        connections: arguments.connections.clone(),
        threads: arguments.threads,
        records: arguments.records,
        records_large: arguments.records_large,
        blob_bytes: 1 << 30,
        wal_time: Duration::from_secs_f64(arguments.wal_seconds),
        only: arguments.only.clone(),
    };
    if !arguments.quick {
        return Ok(full);
    }
    Ok(Options {
        rounds: 1,
        warm_up: Duration::from_millis(300),
        measure: Duration::from_secs(1),
        connections: vec![1, 64],
        records: full.records.min(50_000),
        records_large: full.records_large.min(100_000),
        blob_bytes: 256 << 20,
        wal_time: Duration::from_secs(10),
        ..full
    })
}

/// Cairn, the anchors, and whoever else was named, in the order they are visited.
fn targets(arguments: &Arguments) -> Result<Vec<Target>> {
    let own = std::env::current_exe()?;
    let port = ("PORT".to_owned(), "{port}".to_owned());
    let hyper = Target {
        name: "hyper".to_owned(),
        adapter: Arc::new(Adapter::parse(adapter::HYPER)?),
        how: How::Start {
            launch: Launch {
                program: own.clone(),
                args: vec!["--anchor-hello".to_owned()],
                env: vec![port.clone()],
            },
            after_fill: None,
        },
    };
    let (program, args) = match &arguments.reference {
        Some(path) => (path.canonicalize().with_context(|| path.display().to_string())?, vec![]),
        None => (own, vec!["--anchor-reference".to_owned()]),
    };
    let settings = [
        ("DB", "{dir}/reference.db"),
        ("FRESH", "1"),
        ("SYNC", "NORMAL"),
        ("CKPT", "16000"),
        ("ACK", "task"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let index =
        "CREATE INDEX IF NOT EXISTS by_author ON records (json_extract(content, '$.author'))";
    let reference = Target {
        name: "reference".to_owned(),
        adapter: Arc::new(Adapter::parse(adapter::REFERENCE)?),
        how: How::Start {
            launch: Launch { program, args, env: settings.into_iter().chain([port]).collect() },
            after_fill: Some(("reference.db".to_owned(), index.to_owned())),
        },
    };
    let mut all = vec![hyper, reference, cairn(&arguments.cairn.canonicalize()?, CAIRN, "normal")?];
    let adapters = pairs(&arguments.adapter)?;
    let pids = pairs(&arguments.pid)?;
    for (name, url) in pairs(&arguments.target)? {
        let taken = all.iter().any(|target| target.name == name) || name == CAIRN_DURABLE;
        ensure!(!taken, "{name} is taken");
        let address = url.strip_prefix("http://").context("a target's URL starts with http://")?;
        let file =
            adapters.get(&name).with_context(|| format!("--adapter {name}=FILE is missing"))?;
        let pid = pids.get(&name).map(|pid| pid.parse()).transpose().context("--pid")?;
        let address = address.trim_end_matches('/').to_owned();
        let adapter = Arc::new(Adapter::load(Path::new(file))?);
        all.push(Target { name, adapter, how: How::Running { address, pid } });
    }
    Ok(all)
}

fn cairn(program: &Path, name: &str, durability: &str) -> Result<Target> {
    let args = [
        "serve",
        &format!("{{dir}}/{}", workloads::files::FILE),
        "--listen",
        "127.0.0.1:{port}",
        "--ready-file",
        "{dir}/ready.json",
        "--durability",
        durability,
        "--no-rate-limit",
    ];
    Ok(Target {
        name: name.to_owned(),
        adapter: Arc::new(Adapter::parse(adapter::CAIRN)?),
        how: How::Start {
            launch: Launch {
                program: program.to_owned(),
                args: args.map(str::to_owned).to_vec(),
                env: vec![
                    ("CAIRN_OWNER_TOKEN".to_owned(), OWNER_TOKEN.to_owned()),
                    ("CAIRN_ATTACHMENT_BYTES_MAX".to_owned(), (2_u64 << 30).to_string()),
                ],
            },
            after_fill: None,
        },
    })
}

/// `NAME=VALUE` arguments; names are what result names are made of.
fn pairs(arguments: &[String]) -> Result<BTreeMap<String, String>> {
    arguments
        .iter()
        .map(|argument| {
            let (name, value) = argument.split_once('=').context("expected NAME=VALUE")?;
            let good = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            ensure!(good, "{name}: letters, digits, - and _ only");
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn about(arguments: &Arguments, options: &Options, targets: &[Target]) -> Vec<String> {
    let reference = match &arguments.reference {
        Some(_) => "`reference` is the server given with --reference",
        None => "`reference` is the one inside this program",
    };
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let mut lines = vec![
        report::machine(),
        format!("targets in turn: {}; {reference}", names.join(", ")),
        format!(
            "{} records of {} B behind reads and lists, {} behind search and scans",
            options.records,
            document::DOCUMENT_BYTES,
            options.records_large
        ),
    ];
    if arguments.quick {
        lines.push("a quick run: good for a look, not for a verdict".to_owned());
    }
    lines
}
