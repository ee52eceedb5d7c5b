//! `cairn serve`: the default command.
//!
//! Knows the process: listeners, signals, what is printed, the ready file. Does not know how requests are answered.
//!
//! Invariants
//! V1. Standard output gets three lines at the first start: address, owner link, how to stop; later starts leave the link
//!     out once it was used, or when an owner token is configured.
//! V2. The ready file appears whole, once requests are answered, and goes when the server stops.
//! V3. The first SIGTERM, SIGINT or SIGHUP lets requests finish for at most [`app::DRAIN_MAX`], closes the file and ends
//!     with 0; the second ends at once, which the file survives as it survives a crash.
//! V4. A restored file that waits is taken over without giving up the addresses: requests in flight finish, the file is closed
//!     and opened again, connections that come meanwhile wait.
//! V5. When the disk failed to keep a commit, the server stops by itself and the exit code is 1.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Arg, Command};
use serde_json::json;

use super::offline::explain_open;
use super::{Outcome, Usage, output};
use crate::app::{self, Cairn, Serving, StartError};
use crate::config::{self, Config, Origin, Sources};

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";
/// How often another free port is tried when the one of the first address is taken on the second.
const PORT_TRIES_MAX: u32 = 16;

pub(super) fn command() -> Command {
    config::add_flags(Command::new("serve").about("Serve a stack file (the default command)"))
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .env("CAIRN_CONFIG")
                .hide_env_values(true)
                .value_name("FILE")
                .help("Read settings from this file; see --print-config"),
        )
        .arg(
            Arg::new(PRINT_CONFIG)
                .long(PRINT_CONFIG)
                .value_name("FORMAT")
                .value_parser(["toml", "markdown"])
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("toml")
                .help("Print every setting as it would be used, as a sample cairn.toml, and end"),
        )
}

pub(super) fn run(matches: &clap::ArgMatches) -> Result<Outcome> {
    let config = load(matches)?;
    match matches.get_one::<String>(PRINT_CONFIG).map(String::as_str) {
        Some("markdown") => {
            output::line(config::reference().trim_end())?;
            return Ok(Outcome::Done);
        }
        Some(_) => {
            output::line(config.to_toml().trim_end())?;
            return Ok(Outcome::Done);
        }
        None => {}
    }
    output::start_log(config.log);
    warn(&config);
    let path = config.file.clone();
    let cairn = Cairn::with(config).map_err(|error| explain_open(&path, error))?;
    // The file first: of two processes with the same settings, the second learns who has it, not that a port is taken.
    let listeners = match bind(cairn.config()) {
        Ok(listeners) => listeners,
        Err(error) => {
            cairn.close();
            return Err(error);
        }
    };
    serve(cairn, listeners)
}

/// How serving ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Asked,
    /// The disk failed; the log says everything.
    Unsafe,
    /// A restored file waits to be opened.
    Restart,
}

/// Serves until told to stop, through every restart, and closes the file.
fn serve(cairn: Cairn, mut listeners: Vec<TcpListener>) -> Result<Outcome> {
    let config = cairn.config().clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime could be started")?;
    let ready = config.ready_file.clone();
    let outcome = runtime.block_on(async {
        // Listened to before anybody can know that we are here.
        let mut told = Told::listen(config.exit_with_stdin)?;
        let (mut cairn, mut first) = (cairn, true);
        loop {
            let ended = serve_once(&cairn, &mut listeners, &mut told, first).await;
            apart(|| cairn.close())?;
            match ended? {
                Ended::Asked => return Ok(Outcome::Done),
                Ended::Unsafe => return Ok(Outcome::Bad),
                // Whoever connects meanwhile waits: the listeners stay open.
                Ended::Restart => {
                    cairn = apart(|| Cairn::with(config.clone()))?
                        .map_err(|error| explain_open(&config.file, error))
                        .context(
                            "the restored file cannot be served; the one before it lies beside it",
                        )?;
                    tracing::info!("the restored file is served");
                    first = false;
                }
            }
        }
    });
    if let Some(path) = &ready {
        // Somebody else may have taken it away.
        let _ = std::fs::remove_file(path);
    }
    outcome
}

/// Runs what blocks on a thread that no runtime has.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .map_err(|_| anyhow!("opening or closing the file panicked; the log says why"))
}

async fn serve_once(
    cairn: &Cairn,
    listeners: &mut Vec<TcpListener>,
    told: &mut Told,
    first: bool,
) -> Result<Ended> {
    let config = cairn.config();
    // Ours stay open for the next round.
    let clones: std::io::Result<Vec<TcpListener>> =
        listeners.iter().map(TcpListener::try_clone).collect();
    let clones = clones.context("the listeners cannot be used")?;
    let serving = cairn.serve_all(clones).map_err(explain_serving)?;
    let link = serving
        .owner_link(config)
        .await
        .map_err(super::offline::explain)
        .context("the owner link could not be made")?;
    if first || link.is_some() {
        greet(config, &serving, link.as_deref())?;
    }
    if let Some(path) = config.ready_file.as_deref() {
        write_ready(path, &serving)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let ended = tokio::select! {
        () = told.stop_asked() => Ended::Asked,
        // Of a failed disk the store has said everything in the log.
        () = cairn.engine().unsafe_to_go_on() => Ended::Unsafe,
        () = cairn.engine().restart_asked() => Ended::Restart,
    };
    if ended != Ended::Restart {
        // There is no next round: nobody may connect from here on.
        listeners.clear();
    }
    // Stopping blocks, so it has a thread of its own; meanwhile a second signal is heard.
    let (done, stopped) = tokio::sync::oneshot::channel();
    let stopping = std::thread::Builder::new()
        .name("stop".into())
        .spawn(move || {
            // Nobody listens any more when a second signal came.
            let _ = done.send(serving.stop());
        })
        .context("no thread could be started")?;
    tokio::select! {
        in_time = stopped => {
            if in_time != Ok(true) {
                tracing::warn!("requests were cut off: they took longer than the time to stop");
            }
        }
        () = told.by_signal(), if ended != Ended::Restart => std::process::exit(1),
    }
    drop(stopping.join());
    Ok(ended)
}

/// What the owner should know before anything is answered.
fn warn(config: &Config) {
    let beyond: Vec<String> = config
        .listen
        .0
        .iter()
        .filter(|address| !address.ip().is_loopback())
        .map(SocketAddr::to_string)
        .collect();
    let plain = config.base_url.as_ref().is_none_or(|url| !url.as_str().starts_with("https://"));
    if !beyond.is_empty() {
        tracing::warn!("{} can be reached from other machines", beyond.join(", "));
        if plain {
            tracing::warn!(
                "plain HTTP shows tokens to the network: put a TLS proxy in front and set base_url to its https address"
            );
        }
    }
    // SECURITY S4. On loopback alone it is only a note, so that a container's clean start has no warnings.
    if is_root() && beyond.is_empty() {
        tracing::info!("running as root; an account of its own is safer");
    } else if is_root() {
        tracing::warn!("running as root, reachable from other machines; use an account of its own");
    }
    for key in app::idle_settings(config) {
        tracing::warn!("the setting {key} has no effect: this program has nothing that uses it");
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of a process's folder is its effective user. Where there is no such folder, nothing is said.
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Opens every address. With port 0 the others get the port of the first, where that is free.
fn bind(config: &Config) -> Result<Vec<TcpListener>> {
    let addresses = &config.listen.0;
    let mut tries = 0;
    loop {
        tries += 1;
        match bind_all(addresses, *config.origin("listen") == Origin::Default) {
            Err((address, fault)) => {
                let picked = addresses.iter().all(|address| address.port() == 0);
                let taken = fault.kind() == std::io::ErrorKind::AddrInUse;
                if !(picked && taken && tries < PORT_TRIES_MAX) {
                    return Err(explain_bind(address, &fault));
                }
            }
            Ok(listeners) => return Ok(listeners),
        }
    }
}

fn bind_all(
    addresses: &[SocketAddr],
    default: bool,
) -> Result<Vec<TcpListener>, (SocketAddr, std::io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let mut wanted = *address;
        if let (0, Some(first)) = (wanted.port(), listeners.first()) {
            wanted.set_port(first.local_addr().map_err(|fault| (*address, fault))?.port());
        }
        match TcpListener::bind(wanted) {
            Ok(listener) => listeners.push(listener),
            // Nobody asked for it, and a machine without IPv6 has none.
            Err(fault)
                if (default || address.port() == 0)
                    && address.is_ipv6()
                    && !listeners.is_empty()
                    && fault.kind() != std::io::ErrorKind::AddrInUse =>
            {
                tracing::info!(%address, %fault, "not listened on");
            }
            Err(fault) => return Err((wanted, fault)),
        }
    }
    Ok(listeners)
}

fn explain_bind(address: SocketAddr, fault: &std::io::Error) -> anyhow::Error {
    match fault.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "{address} is in use by another program; stop it, or choose another port: --listen {}:0 takes a free one",
            address.ip()
        ),
        std::io::ErrorKind::PermissionDenied => anyhow!(
            "{address} may not be used: ports below 1024 need rights; choose another with --listen"
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            anyhow!("{address} is no address of this machine; choose another with --listen")
        }
        _ => anyhow!("{address} cannot be listened on: {fault}; choose another with --listen"),
    }
}

fn explain_serving(error: StartError) -> anyhow::Error {
    match error {
        StartError::Engine(error) => super::offline::explain(error),
        other => anyhow!(other),
    }
}

fn greet(config: &Config, serving: &Serving, link: Option<&str>) -> Result<()> {
    output::line(format_args!("Cairn serves {} at {}", config.file.display(), serving.url()))?;
    if let Some(link) = link {
        output::line(format_args!("Owner link, works once: {link}"))?;
    }
    output::line("Stop with Ctrl-C")
}

/// Written beside and renamed, so that whoever waits for it never sees half of it.
fn write_ready(path: &Path, serving: &Serving) -> std::io::Result<()> {
    let address = serving.address().to_string();
    let text = json!({ "address": address, "url": serving.url(), "pid": std::process::id() });
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    std::fs::write(&part, format!("{text}\n"))?;
    std::fs::rename(&part, path)
}

/// Everything that tells the process to end.
struct Told {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 3],
    stdin_closed: Option<tokio::sync::watch::Receiver<bool>>,
}

impl Told {
    fn listen(to_stdin: bool) -> Result<Self> {
        let stdin_closed = if to_stdin { Some(watch_stdin()?) } else { None };
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| signal(kind).context("signals cannot be listened to");
            let signals = [
                listen(SignalKind::terminate())?,
                listen(SignalKind::interrupt())?,
                listen(SignalKind::hangup())?,
            ];
            Ok(Self { signals, stdin_closed })
        }
        #[cfg(not(unix))]
        Ok(Self { stdin_closed })
    }

    async fn stop_asked(&mut self) {
        // A clone, so that the next round after a restart waits for the same end.
        match self.stdin_closed.clone() {
            None => self.by_signal().await,
            Some(mut closed) => tokio::select! {
                () = self.by_signal() => {}
                // An error: the thread that reads ended, and so did standard input.
                _ = closed.wait_for(|closed| *closed) => {}
            },
        }
    }

    #[cfg(unix)]
    async fn by_signal(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn by_signal(&mut self) {
        // Without a handler the system ends the process itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves when standard input ends. The thread that reads it ends with the process.
fn watch_stdin() -> Result<tokio::sync::watch::Receiver<bool>> {
    let (closed, receiver) = tokio::sync::watch::channel(false);
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut buffer = [0; 1_024];
            while input.read(&mut buffer).is_ok_and(|got| got > 0) {}
            let _ = closed.send(true);
        })
        .context("no thread could be started")?;
    Ok(receiver)
}

fn load(matches: &clap::ArgMatches) -> Result<Config> {
    let file = match matches.get_one::<String>(CONFIG).filter(|path| !path.is_empty()) {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("{path} cannot be read; --config names the settings file")
            })?;
            Some((PathBuf::from(path), text))
        }
    };
    let sources =
        Sources { file, variables: config::variables(), flags: config::flags_given(matches) };
    Ok(Config::load(&sources).map_err(|error| Usage(error.to_string()))?)
}
