//! The machine without a server: disk, SQLite in this process.

use anyhow::Result;

use super::Bench;
use crate::anchors;

/// Tasks that wait for their commit.
pub const SUBMITTERS: u64 = 64;

pub fn run(bench: &mut Bench) -> Result<()> {
    let dir = bench.options.dir.clone();
    for _ in 0..bench.options.rounds {
        let time = anchors::fdatasync_us(&dir)?;
        bench.results.add("machine", "fdatasync", None, "p50_us", time);
        for (name, synchronous) in [("group-commit", "NORMAL"), ("group-commit-full", "FULL")] {
            let rate = anchors::group_commit(&dir, synchronous, SUBMITTERS, bench.options.measure)?;
            bench.results.add("machine", name, Some(SUBMITTERS as usize), "rate", rate);
        }
    }
    Ok(())
}
