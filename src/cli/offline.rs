//! Opening a file for one command.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::Usage;
use crate::config::{self, Config, Sources};
use crate::engine::{Engine, EngineOptions, Error};
use crate::store::StoreError;

/// The file of a command that has other arguments.
#[derive(Debug, clap::Args)]
pub(super) struct FileFlag {
    /// The stack file
    #[arg(long = "file", env = "CAIRN_FILE", default_value = "stack.cairn")]
    pub(super) file: PathBuf,
}

/// The file as the command's argument.
#[derive(Debug, clap::Args)]
pub(super) struct FileArgument {
    /// The stack file
    #[arg(env = "CAIRN_FILE", default_value = "stack.cairn")]
    pub(super) file: PathBuf,
}

/// An engine on a file that no server holds; closing it leaves the file alone on disk.
pub(super) struct Offline {
    pub(super) engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Offline {
    /// Opens a file that must exist, with the limits that a server would have.
    pub(super) fn open(path: &Path) -> Result<Self> {
        must_exist(path)?;
        Self::open_or_make(path, &options()?)
    }

    /// Opens a file, making it when it does not exist.
    pub(super) fn open_or_make(path: &Path, options: &EngineOptions) -> Result<Self> {
        let engine = Engine::open(path, options).map_err(|error| explain_open(path, error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("no runtime could be started")?;
        Ok(Self { engine, runtime })
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// What the environment says about owner, limits and durability.
pub(super) fn options() -> Result<EngineOptions> {
    let sources = Sources { variables: config::variables(), ..Sources::default() };
    let config = Config::load(&sources).map_err(|error| Usage(error.to_string()))?;
    Ok(crate::app::engine_options(&config))
}

/// Refuses a path where there is no file: a typing error must not make one.
pub(super) fn must_exist(path: &Path) -> Result<()> {
    if !path.exists() {
        let name = path.display();
        bail!("{name} does not exist; make it with `cairn init {name}`, or name another file");
    }
    Ok(())
}

/// The sentence for a file that could not be opened.
pub(crate) fn explain_open(path: &Path, error: Error) -> anyhow::Error {
    let name = path.display();
    match error {
        Error::Storage(StoreError::InUse { path, holder }) => anyhow!(
            "{path} is in use by {holder}; stop it first, or use the API of the server that has it (/types, /records, /tokens, \
             /attachments)"
        ),
        // These texts name the file and the next step.
        Error::Storage(StoreError::Refused(reason)) => anyhow!(reason),
        Error::Storage(StoreError::Io(fault)) if fault.kind() == std::io::ErrorKind::NotFound => {
            anyhow!("{name} cannot be made: its folder does not exist; make the folder first")
        }
        Error::Storage(StoreError::Io(fault)) => {
            anyhow!("{name} cannot be opened: {fault}; check its folder and permissions")
        }
        Error::Storage(StoreError::Full) => {
            anyhow!("{name} cannot be opened: the disk is full; free some space first")
        }
        Error::Storage(fault) => {
            anyhow!(
                "{name} cannot be opened: {fault}; `cairn verify {name}` says whether it is damaged"
            )
        }
        other => anyhow!("{name} cannot be opened: {other}"),
    }
}

/// An engine error with its fields spelled out, for a person.
pub(super) fn explain(error: Error) -> anyhow::Error {
    anyhow!(reason(&error))
}

/// One line that says why the engine refused.
pub(super) fn reason(error: &Error) -> String {
    let listed = |faults: &[crate::schema::FieldFault]| {
        let texts: Vec<String> = faults
            .iter()
            .take(20)
            .map(|fault| {
                if fault.path.is_empty() {
                    fault.message.clone()
                } else {
                    format!("{}: {}", fault.path, fault.message)
                }
            })
            .collect();
        texts.join("; ")
    };
    match error {
        Error::Invalid(faults) => listed(faults),
        Error::Drift { type_id, violations } => format!(
            "type {type_id} exists with another schema ({}); register a new version of it instead",
            listed(violations)
        ),
        Error::Storage(fault) => fault.to_string(),
        other => other.to_string(),
    }
}
