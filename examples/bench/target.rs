//! Servers under measurement: how to get one, and talking to it through its adapter.
//!
//! A [`Target`] is a description; an [`Instance`] is one that answers. Those the benchmark starts live
//! in a folder of their own that goes with them; those of `--target` are used as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::adapter::{Adapter, Template, Variables, text_at};
use crate::document::{self, Random};
use crate::http::{Answer, Client};
use crate::load::{self, Expect, Order, Plan, Requests};
use crate::process::{Launch, Server};

/// Connections that fill a server with records.
const FILL_CONNECTIONS: usize = 64;
/// Requests made beforehand while filling.
const FILL_STEP: u64 = 50_000;
/// Ids kept of each kind of record.
const IDS_MAX: usize = 100_000;

#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub adapter: Arc<Adapter>,
    pub how: How,
}

#[derive(Clone, Debug)]
pub enum How {
    /// A fresh one for each stage.
    Start {
        launch: Launch,
        /// File and statements run on it once it holds its records (the reference's index).
        after_fill: Option<(String, String)>,
    },
    /// Somebody else runs it.
    Running { address: String, pid: Option<u32> },
}

pub struct Instance {
    pub name: String,
    pub address: String,
    pub pid: Option<u32>,
    adapter: Arc<Adapter>,
    how: How,
    variables: Variables,
    /// Ids of the records made by [`Instance::fill`], by the request that made them.
    ids: BTreeMap<String, Vec<String>>,
    // Order matters: the server ends before its folder goes.
    server: Option<Server>,
    dir: Option<TempDir>,
}

impl Instance {
    /// Starts (or finds) the server and runs the adapter's set-up.
    pub fn open(target: &Target, base: &Path) -> Result<Self> {
        let mut instance = Self {
            name: target.name.clone(),
            address: String::new(),
            pid: None,
            adapter: Arc::clone(&target.adapter),
            how: target.how.clone(),
            variables: target.adapter.variables.clone(),
            ids: BTreeMap::new(),
            server: None,
            dir: None,
        };
        match &target.how {
            How::Running { address, pid } => {
                instance.address.clone_from(address);
                instance.pid = *pid;
            }
            How::Start { .. } => {
                instance.dir = Some(tempfile::tempdir_in(base)?);
                instance.start("hello", &[])?;
            }
        }
        instance.set_up().with_context(|| format!("setting up {}", target.name))?;
        Ok(instance)
    }

    /// Starts the server on its folder; the time until the named request was answered 2xx.
    pub fn start(&mut self, request: &str, values: &[(&str, &str)]) -> Result<Duration> {
        let How::Start { launch, .. } = &self.how else {
            anyhow::bail!("{} was not started here", self.name)
        };
        let dir = self.dir.as_ref().context("a started server has a folder")?;
        let request = self.request(request)?.clone();
        let (server, time) = Server::start(launch, dir.path(), |address| {
            let asked = self.adapter.template(&request, address, &self.variables).render(values);
            let answer = Client::open(address).and_then(|mut client| client.ask(&asked));
            answer.is_ok_and(|answer| (200..300).contains(&answer.status))
        })?;
        self.address = server.address();
        self.pid = Some(server.pid());
        self.server = Some(server);
        Ok(time)
    }

    /// Ends the server as an operator would; its folder stays.
    pub fn stop(&mut self) -> Result<()> {
        self.pid = None;
        self.server.take().map_or(Ok(()), Server::stop)
    }

    /// A file in the server's folder.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        Ok(self.dir.as_ref().context("a started server has a folder")?.path().join(name))
    }

    fn set_up(&mut self) -> Result<()> {
        let adapter = Arc::clone(&self.adapter);
        for request in &adapter.setup {
            let template = adapter.template(request, &self.address, &self.variables);
            let answer = Client::open(&self.address)?.ask(&template.render(&[]))?;
            let what = format!("{} {}", request.method, request.path);
            ensure!((200..300).contains(&answer.status), "{what} answered {}", answer.shown());
            for (name, pointer) in &request.capture {
                let value = text_at(&answer.json()?, pointer).context(what.clone())?;
                self.variables.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    pub fn has(&self, request: &str) -> bool {
        self.adapter.requests.contains_key(request)
    }

    pub fn request(&self, name: &str) -> Result<&crate::adapter::Request> {
        let request = self.adapter.requests.get(name);
        request.with_context(|| format!("the adapter of {} has no request {name}", self.name))
    }

    pub fn template(&self, name: &str) -> Result<Template> {
        Ok(self.adapter.template(self.request(name)?, &self.address, &self.variables))
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Sends one request and expects 2xx.
    pub fn ask(&self, name: &str, values: &[(&str, &str)]) -> Result<Answer> {
        let answer = Client::open(&self.address)?.ask(&self.template(name)?.render(values))?;
        ensure!(
            (200..300).contains(&answer.status),
            "{name} of {} answered {}",
            self.name,
            answer.shown()
        );
        Ok(answer)
    }

    pub fn ids(&self, request: &str) -> Result<&[String]> {
        let ids = self.ids.get(request).map_or(&[][..], Vec::as_slice);
        ensure!(!ids.is_empty(), "{} holds no records made by {request}", self.name);
        Ok(ids)
    }

    /// Creates `records` documents with the named request, through the server.
    pub fn fill(&mut self, request: &str, records: u64, authors: u64) -> Result<()> {
        let mut random = Random::new(11);
        let mut made = 0;
        while made < records {
            let step = FILL_STEP.min(records - made);
            let requests = self.creates(request, &mut random, made..made + step, authors)?;
            let outcome = load::run(Plan {
                address: self.address.clone(),
                requests: Arc::new(requests),
                connections: FILL_CONNECTIONS,
                threads: 1,
                warm_up: Duration::ZERO,
                measure: Duration::ZERO,
                requests_max: step as usize,
                pid: None,
            })
            .with_context(|| format!("filling {} with {request}", self.name))?;
            ensure!(outcome.count == step, "{} of {step} records were made", outcome.count);
            let ids = self.ids.entry(request.to_owned()).or_default();
            let room = IDS_MAX - ids.len().min(IDS_MAX);
            ids.extend(outcome.ids.into_iter().take(room));
            made += step;
        }
        if let How::Start { after_fill: Some((file, sql)), .. } = &self.how {
            let connection = rusqlite::Connection::open(self.file(file)?)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.execute_batch(sql)?;
        }
        Ok(())
    }

    /// Creation requests for the numbered documents.
    pub fn creates(
        &self,
        request: &str,
        random: &mut Random,
        numbers: std::ops::Range<u64>,
        authors: u64,
    ) -> Result<Requests> {
        let id = self.request(request)?.id.clone();
        let template = self.template(request)?;
        let expect = id.map_or(Expect::Nothing, Expect::NewId);
        let mut requests = Requests::new(Order::InTurn, expect);
        for n in numbers {
            let doc = document::document(random, n, authors);
            requests.push(&template.render(&[("doc", &doc)]));
        }
        Ok(requests)
    }
}
