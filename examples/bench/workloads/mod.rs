//! What is measured. A workload (or a few that must be measured side by side) is a file here, or a
//! function in one, and a line in [`ALL`].
//!
//! [`Bench`] carries options, results and the servers of the current stage. Servers are started once
//! per stage and shared by the workloads of it; [`Bench::alternate`] visits them in turn.

mod blobs;
mod engine;
mod fanout;
pub mod files;
mod hub;
mod lists;
mod live;
mod machine;
mod reads;
mod search;
mod writes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::document::{self, Random};
use crate::load::{self, Expect, Order, Outcome, Plan, Requests};
use crate::results::Results;
use crate::target::{Instance, Target};

/// Pages of every list.
pub const PAGE_ROWS: usize = 50;
/// Requests made beforehand for a run; a longer run starts over.
const REQUESTS_MAX: usize = 20_000;
/// New records read back after an insert run.
const READ_BACK_MAX: usize = 20;

/// What is asked of a run.
pub struct Options {
    pub dir: PathBuf,
    pub cairn: PathBuf,
    pub rounds: usize,
    pub warm_up: Duration,
    pub measure: Duration,
    pub connections: Vec<usize>,
    pub threads: usize,
    /// Records in the file for reads and lists.
    pub records: u64,
    /// Records for search and scans.
    pub records_large: u64,
    pub blob_bytes: u64,
    pub wal_time: Duration,
    /// Empty: everything.
    pub only: Vec<String>,
}

/// Which data the servers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing yet.
    Empty,
    /// [`Options::records`] of each kind that reads and lists need.
    Filled,
    /// [`Options::records_large`] in the full-text index.
    Large,
    /// The workload starts what it needs.
    Own,
}

pub struct Workload {
    /// The names in results; more than one where they are measured in turn with each other.
    pub names: &'static [&'static str],
    pub stage: Stage,
    pub run: fn(&mut Bench) -> Result<()>,
}

/// In the order they run; those of one stage stand together.
pub const ALL: &[Workload] = &[
    Workload { names: &["machine"], stage: Stage::Own, run: machine::run },
    Workload {
        names: &["engine-insert", "batch-insert", "engine-list"],
        stage: Stage::Own,
        run: engine::run,
    },
    Workload {
        names: &["insert", "insert-durable", "auth-insert"],
        stage: Stage::Empty,
        run: writes::insert,
    },
    Workload {
        names: &["hello", "read", "read-hot", "read-public", "auth-read"],
        stage: Stage::Filled,
        run: reads::point,
    },
    Workload {
        names: &["list-indexed", "list-newest", "list-deep"],
        stage: Stage::Filled,
        run: lists::run,
    },
    Workload { names: &["mixed"], stage: Stage::Filled, run: writes::mixed },
    Workload { names: &["update", "history"], stage: Stage::Filled, run: writes::update },
    Workload {
        names: &["list-large", "fts-rare", "fts-common", "filter-scan"],
        stage: Stage::Large,
        run: search::run,
    },
    Workload { names: &["hub-match"], stage: Stage::Own, run: hub::run },
    Workload {
        names: &[
            "fanout-1",
            "fanout-1-free",
            "fanout-100",
            "fanout-100-free",
            "fanout-1000",
            "fanout-1000-free",
        ],
        stage: Stage::Own,
        run: fanout::run,
    },
    Workload {
        names: &["fanout-sparse", "fanout-sparse-none"],
        stage: Stage::Own,
        run: fanout::sparse,
    },
    Workload { names: &["idle-subscribers"], stage: Stage::Own, run: fanout::idle },
    Workload {
        names: &["sign-in", "read-before-sign-in", "read-beside-sign-in"],
        stage: Stage::Own,
        run: live::sign_in,
    },
    Workload { names: &["nested-down", "nested-up"], stage: Stage::Own, run: live::nested },
    Workload { names: &["blob-put", "blob-get"], stage: Stage::Own, run: blobs::move_blobs },
    Workload { names: &["blob-beside-insert"], stage: Stage::Own, run: blobs::beside_insert },
    Workload { names: &["idle", "size", "cold"], stage: Stage::Own, run: files::footprint },
    Workload { names: &["exe"], stage: Stage::Own, run: files::executable },
    Workload { names: &["wal"], stage: Stage::Own, run: files::wal },
];

pub struct Bench {
    pub options: Options,
    pub results: Results,
    /// All but the durable Cairn, which only [`writes::insert`] visits.
    pub targets: Vec<Target>,
    /// Cairn with `--durability full`, its default.
    pub durable: Target,
    stage: Option<Stage>,
    fleet: Vec<Instance>,
}

/// One entry of an alternating measurement.
pub struct Visit {
    /// Index into the fleet.
    pub instance: usize,
    /// Under which name the figures are kept; usually the instance's.
    pub target: String,
    pub workload: &'static str,
    pub requests: Arc<Requests>,
}

impl Bench {
    pub fn new(options: Options, targets: Vec<Target>, durable: Target) -> Self {
        let results = Results::default();
        Self { options, results, targets, durable, stage: None, fleet: Vec::new() }
    }

    /// Runs everything that is wanted. An error in one workload voids it and nothing else.
    pub fn run(&mut self) {
        for workload in ALL {
            if !workload.names.iter().any(|name| self.wanted(name)) {
                continue;
            }
            let names = workload.names.join(", ");
            eprintln!("{names}");
            let done = self.enter(workload.stage).and_then(|()| (workload.run)(self));
            if let Err(error) = done {
                self.void(&names, &error);
            }
        }
        self.fleet.clear();
    }

    pub fn wanted(&self, name: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == name)
    }

    pub fn void(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("  void: {what}: {error:#}");
        self.results.void.push(format!("{what}: {error:#}"));
    }

    /// Gets the servers of a stage; those of another stage end.
    fn enter(&mut self, stage: Stage) -> Result<()> {
        if self.stage == Some(stage) && stage != Stage::Own {
            return Ok(());
        }
        self.stage = None;
        self.fleet.clear();
        let mut targets = if stage == Stage::Own { Vec::new() } else { self.targets.clone() };
        if stage == Stage::Empty {
            targets.push(self.durable.clone());
        }
        for target in targets {
            let name = target.name.clone();
            match self.prepare(&target, stage) {
                Ok(instance) => self.fleet.extend(instance),
                Err(error) => self.void(&name, &error),
            }
        }
        self.stage = Some(stage);
        Ok(())
    }

    /// Starts a target and gives it the records of the stage; `None` where it has no part in it.
    fn prepare(&self, target: &Target, stage: Stage) -> Result<Option<Instance>> {
        let has = |name: &str| target.adapter.requests.contains_key(name);
        if stage == Stage::Large && !has("create-text") {
            return Ok(None);
        }
        let mut instance = Instance::open(target, &self.options.dir)?;
        let mut fill = |request: &str, records: u64| {
            if has(request) {
                instance.fill(request, records, document::authors(records))?;
            }
            anyhow::Ok(())
        };
        match stage {
            Stage::Empty | Stage::Own => {}
            Stage::Filled => {
                fill("create", self.options.records)?;
                fill("create-listed", self.options.records)?;
                fill("create-public", reads::PUBLIC_RECORDS)?;
            }
            Stage::Large => fill("create-text", self.options.records_large)?,
        }
        Ok(Some(instance))
    }

    pub fn fleet(&self) -> &[Instance] {
        &self.fleet
    }

    /// The servers that know a request.
    pub fn with<'b>(&'b self, request: &'b str) -> impl Iterator<Item = (usize, &'b Instance)> {
        self.fleet.iter().enumerate().filter(move |(_, instance)| instance.has(request))
    }

    /// Runs every visit in turn, for each connection count and round.
    pub fn alternate(&mut self, connections: &[usize], visits: &[Visit]) {
        let visits: Vec<&Visit> =
            visits.iter().filter(|visit| self.wanted(visit.workload)).collect();
        for connections in connections {
            for _ in 0..self.options.rounds {
                for visit in &visits {
                    let instance = &self.fleet[visit.instance];
                    let run = self.load(instance, &visit.requests, *connections, None);
                    let run = run.and_then(|run| read_back(instance, &run).map(|()| run));
                    match run {
                        Ok(run) => {
                            self.results.add_run(&visit.target, visit.workload, *connections, &run);
                        }
                        Err(error) => {
                            let what = format!("{}.{}@{connections}", visit.target, visit.workload);
                            self.void(&what, &error);
                        }
                    }
                }
            }
        }
    }

    /// One load run with the usual times.
    pub fn load(
        &self,
        instance: &Instance,
        requests: &Arc<Requests>,
        connections: usize,
        measure: Option<Duration>,
    ) -> Result<Outcome> {
        load::run(Plan {
            address: instance.address.clone(),
            requests: Arc::clone(requests),
            connections,
            threads: self.options.threads.min(connections),
            warm_up: self.options.warm_up,
            measure: measure.unwrap_or(self.options.measure),
            requests_max: 0,
            pid: instance.pid,
        })
    }

    /// The first target, which is Cairn, started afresh beside the stage.
    pub fn own_cairn(&self) -> Result<Instance> {
        let target = self.targets.iter().find(|target| target.name == crate::CAIRN);
        Instance::open(target.context("no Cairn among the targets")?, &self.options.dir)
    }
}

impl Visit {
    pub fn new(instance: usize, of: &Instance, workload: &'static str, requests: Requests) -> Self {
        let requests = Arc::new(requests);
        Self { instance, target: of.name.clone(), workload, requests }
    }
}

/// Some of the new records of a run must be there.
fn read_back(instance: &Instance, run: &Outcome) -> Result<()> {
    if instance.has("read") {
        for id in run.ids.iter().take(READ_BACK_MAX) {
            instance.ask("read", &[("id", id)]).context("reading a new record back")?;
        }
    }
    Ok(())
}

/// Reads of these ids, in random order; every looked-at answer must name its id.
fn reads_of(instance: &Instance, request: &str, ids: &[String]) -> Result<Requests> {
    let template = instance.template(request)?;
    let ids: Vec<String> = ids.iter().take(REQUESTS_MAX).cloned().collect();
    let mut requests = Requests::new(Order::Random, Expect::Texts(Vec::new()));
    for id in &ids {
        requests.push(&template.render(&[("id", id)]));
    }
    requests.expect = Expect::Texts(ids);
    Ok(requests)
}

/// Creations of fresh documents, in turn.
fn creates_of(instance: &Instance, request: &str) -> Result<Requests> {
    instance.creates(request, &mut Random::new(5), 0..REQUESTS_MAX as u64, 1000)
}

/// A list request, once for each value of one placeholder, in random order.
fn lists_of(
    instance: &Instance,
    request: &str,
    placeholder: &str,
    values: impl IntoIterator<Item = String>,
    rows: usize,
) -> Result<Requests> {
    let template = instance.template(request)?;
    let pointer = instance.request(request)?.rows.clone();
    let expect = pointer.map_or(Expect::Nothing, |pointer| Expect::Rows(pointer, rows));
    let mut requests = Requests::new(Order::Random, expect);
    for value in values {
        requests.push(&template.render(&[(placeholder, &value)]));
    }
    Ok(requests)
}
