//! Results for people (Markdown) and for programs (JSON).

use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use crate::goals::Judged;
use crate::results::{Results, Row, median};
use crate::workloads::Options;

/// Columns of the table of load runs: metric, heading, digits behind the point.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("p50_us", "p50 µs", 0),
    ("p95_us", "p95 µs", 0),
    ("p99_us", "p99 µs", 0),
    ("cpu_us", "CPU µs", 1),
    ("anonymous_mib", "anon. MiB", 1),
    ("rss_mib", "RSS MiB", 1),
    ("disk_bytes", "disk B", 0),
    ("others_percent", "others %", 0),
];

pub fn markdown(
    options: &Options,
    results: &Results,
    judged: &[Judged<'_>],
    about: &[String],
) -> String {
    let mut out = String::from("# Benchmark\n\n");
    for line in about {
        let _ = writeln!(out, "- {line}");
    }
    let _ = writeln!(
        out,
        "- {} round(s) of {:.1} s after {:.1} s; medians; ± is half the distance between the \
         slowest and the fastest round\n",
        options.rounds,
        options.measure.as_secs_f64(),
        options.warm_up.as_secs_f64(),
    );
    runs(&mut out, results);
    others(&mut out, results);
    if !judged.is_empty() {
        out.push_str("## Goals\n\n| # | goal | measured | floor | target | reached |\n");
        out.push_str("| --- | --- | --: | --: | --: | --- |\n");
        for judged in judged {
            let _ = writeln!(out, "{}", judged.line());
        }
        out.push('\n');
    }
    if !results.void.is_empty() {
        out.push_str("## Void\n\n");
        for line in &results.void {
            let _ = writeln!(out, "- {line}");
        }
        out.push('\n');
    }
    out
}

fn runs(out: &mut String, results: &Results) {
    let rows: Vec<&Row> = results
        .rows
        .iter()
        .filter(|row| row.metrics.contains_key("p50_us") && row.metrics.contains_key("rate"))
        .collect();
    if rows.is_empty() {
        return;
    }
    out.push_str("## Under load\n\n| workload | conn. | target | per s | ± |");
    for (_, heading, _) in COLUMNS {
        let _ = write!(out, " {heading} |");
    }
    out.push_str("\n| --- | --: | --- | --: | --: |");
    out.push_str(&" --: |".repeat(COLUMNS.len()));
    out.push('\n');
    for row in rows {
        let rate = &row.metrics["rate"];
        let _ = write!(
            out,
            "| {} | {} | {} | {:.0} | {} |",
            row.workload,
            row.connections.map_or_else(String::new, |n| n.to_string()),
            row.target,
            median(rate),
            spread(rate),
        );
        for (metric, _, digits) in COLUMNS {
            let _ = match row.metrics.get(metric) {
                Some(rounds) => write!(out, " {:.digits$} |", median(rounds)),
                None => write!(out, " |"),
            };
        }
        out.push('\n');
    }
    out.push('\n');
}

/// Everything that is one figure.
fn others(out: &mut String, results: &Results) {
    let mut table = String::new();
    for row in &results.rows {
        if row.metrics.contains_key("p50_us") && row.metrics.contains_key("rate") {
            continue;
        }
        for (metric, rounds) in &row.metrics {
            let at = row.connections.map_or_else(String::new, |n| format!("@{n}"));
            let _ = writeln!(
                table,
                "| {}.{}{at}.{metric} | {:.2} | {} |",
                row.target,
                row.workload,
                median(rounds),
                spread(rounds),
            );
        }
    }
    if !table.is_empty() {
        out.push_str("## Single figures\n\n| name | median | ± |\n| --- | --: | --: |\n");
        out.push_str(&table);
        out.push('\n');
    }
}

/// Half the range, as a share of the median.
fn spread(rounds: &[f64]) -> String {
    let middle = median(rounds);
    if rounds.len() < 2 || middle == 0.0 {
        return String::new();
    }
    let low = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let high = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.0} %", (high - low) / 2.0 / middle * 100.0)
}

pub fn json(
    options: &Options,
    results: &Results,
    judged: &[Judged<'_>],
    about: &[String],
) -> Value {
    json!({
        "about": about,
        "rounds": options.rounds,
        "measure_s": options.measure.as_secs_f64(),
        "records": options.records,
        "records_large": options.records_large,
        "results": results.json(),
        "goals": judged.iter().map(Judged::json).collect::<Vec<_>>(),
        "void": results.void,
    })
}

/// Processor and kernel, for the reader of a report.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} x {model}, Linux {}", kernel.trim())
}
