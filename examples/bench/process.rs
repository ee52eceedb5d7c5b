//! Processes: what one uses (from `/proc`), and starting, watching and ending a server.
//!
//! Linux only, like the numbers in PERFORMANCE.md.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A server must answer this long after it was started.
const READY_WAIT: Duration = Duration::from_secs(20);
/// A server must be gone this long after SIGTERM.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// `/proc/PID/stat` counts in these (USER_HZ is 100 on Linux).
const TICK_US: f64 = 10_000.0;

/// What a process has used until now.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    pub rss_kib: f64,
    /// The part of `rss_kib` that is not file mappings.
    pub anonymous_kib: f64,
    pub cpu_us: f64,
    /// Bytes sent to disk.
    pub written: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        let mut usage = Self::default();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        for line in status.lines() {
            if let Some(rest) = line.strip_prefix("VmRSS:") {
                usage.rss_kib = first_number(rest);
            } else if let Some(rest) = line.strip_prefix("RssAnon:") {
                usage.anonymous_kib = first_number(rest);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in brackets may hold anything, so count from behind it: state is field 3,
        // utime and stime are 14 and 15.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after.split(' ').collect();
        ensure!(fields.len() > 13, "/proc/{pid}/stat has an unknown form");
        usage.cpu_us = (fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) * TICK_US;
        // Unreadable when the process belongs to somebody else: then 0.
        if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/io")) {
            let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
            usage.written = line.map_or(0.0, first_number);
        }
        Ok(usage)
    }
}

/// Microseconds all processors together have been busy since the machine started.
pub fn machine_busy_us() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or("");
    // user, nice, system, idle, iowait, irq, softirq, …: all but idle and iowait.
    let ticks = line.split_whitespace().take(7).enumerate();
    let busy =
        ticks.filter(|(n, _)| !matches!(n, 3 | 4)).filter_map(|(_, word)| word.parse::<f64>().ok());
    Ok(busy.sum::<f64>() * TICK_US)
}

/// Anonymous memory in KiB, counted page by page (dearer and more exact than [`Usage`]).
pub fn anonymous_kib(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    Ok(line.map_or(0.0, first_number))
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// How to start a server. `{dir}` and `{port}` in arguments and values are filled in.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// A server started by the benchmark; dropping it kills it.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts the server and waits until `ready` (given its address) says so.
    pub fn start(
        launch: &Launch,
        dir: &Path,
        mut ready: impl FnMut(&str) -> bool,
    ) -> Result<(Self, Duration)> {
        let port = free_port()?;
        let fill = |text: &str| {
            text.replace("{dir}", &dir.to_string_lossy()).replace("{port}", &port.to_string())
        };
        let log = dir.join("server.log");
        let mut command = Command::new(&launch.program);
        command.args(launch.args.iter().map(|arg| fill(arg)));
        command.envs(launch.env.iter().map(|(name, value)| (name, fill(value))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        let start = Instant::now();
        let child =
            command.spawn().with_context(|| format!("starting {}", launch.program.display()))?;
        let mut server = Self { child, port };
        let address = server.address();
        while !ready(&address) {
            if let Some(status) = server.child.try_wait()? {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("{} ended with {status}: {}", launch.program.display(), said.trim());
            }
            ensure!(
                start.elapsed() < READY_WAIT,
                "{} did not answer on {address} within {READY_WAIT:?}",
                launch.program.display()
            );
            std::thread::sleep(Duration::from_micros(300));
        }
        Ok((server, start.elapsed()))
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, then waits for the end; a server that does not end cleanly is an error.
    pub fn stop(mut self) -> Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        ensure!(sent.success(), "kill -TERM failed");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status} after SIGTERM");
                return Ok(());
            }
            ensure!(start.elapsed() < STOP_WAIT, "the server ignored SIGTERM for {STOP_WAIT:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
