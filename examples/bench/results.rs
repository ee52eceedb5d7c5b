//! What was measured, by name: `target.workload@connections.metric`, or `target.workload.metric`
//! where connections have no meaning. One value per round.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::load::Outcome;

const MIB: f64 = 1024.0;

/// The figures of one target in one workload.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: String,
    pub connections: Option<usize>,
    pub target: String,
    pub metrics: BTreeMap<&'static str, Vec<f64>>,
}

#[derive(Default)]
pub struct Results {
    pub rows: Vec<Row>,
    /// Runs that do not count, and why.
    pub void: Vec<String>,
}

impl Results {
    pub fn add(
        &mut self,
        target: &str,
        workload: &str,
        connections: Option<usize>,
        metric: &'static str,
        value: f64,
    ) {
        let same = |row: &&mut Row| {
            row.target == target && row.workload == workload && row.connections == connections
        };
        let n = match self.rows.iter_mut().find(same) {
            Some(row) => return row.metrics.entry(metric).or_default().push(value),
            // Rows of one workload and connection count stay together.
            None => self
                .rows
                .iter()
                .rposition(|row| row.workload == workload && row.connections == connections)
                .map_or(self.rows.len(), |n| n + 1),
        };
        let metrics = BTreeMap::from([(metric, vec![value])]);
        let (target, workload) = (target.to_owned(), workload.to_owned());
        self.rows.insert(n, Row { workload, connections, target, metrics });
    }

    /// The usual figures of a load run.
    pub fn add_run(&mut self, target: &str, workload: &str, connections: usize, run: &Outcome) {
        let mut add = |metric, value| self.add(target, workload, Some(connections), metric, value);
        let count = run.count as f64;
        add("rate", count / run.seconds);
        add("p50_us", run.latency.quantile_us(0.50));
        add("p95_us", run.latency.quantile_us(0.95));
        add("p99_us", run.latency.quantile_us(0.99));
        if let Some(value) = run.cpu_us {
            add("cpu_us", value / count);
        }
        if let Some(value) = run.written {
            add("disk_bytes", value / count);
        }
        if let Some(value) = run.disturbed {
            add("others_percent", value * 100.0);
        }
        if let Some(value) = run.rss_kib_peak {
            add("rss_mib", value / MIB);
        }
        if let Some(value) = run.anonymous_kib_peak {
            add("anonymous_mib", value / MIB);
        }
    }

    /// The rounds of a name, as goals spell it.
    pub fn rounds(&self, name: &str) -> Option<&[f64]> {
        let (target, rest) = name.split_once('.')?;
        let (workload, metric) = rest.rsplit_once('.')?;
        let (workload, connections) = match workload.split_once('@') {
            Some((workload, connections)) => (workload, Some(connections.parse().ok()?)),
            None => (workload, None),
        };
        let row = self.rows.iter().find(|row| {
            row.target == target && row.workload == workload && row.connections == connections
        })?;
        row.metrics.get(metric).map(Vec::as_slice)
    }

    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "workload": row.workload,
                "connections": row.connections,
                "target": row.target,
                "median": row.metrics.iter().map(|(name, rounds)| (*name, median(rounds)))
                    .collect::<BTreeMap<_, _>>(),
                "rounds": row.metrics,
            })
        });
        Value::Array(rows.collect())
    }
}

/// The middle value; 0 when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let mut results = Results::default();
        results.add("cairn", "read-hot", Some(64), "rate", 3.0);
        results.add("cairn", "read-hot", Some(64), "rate", 5.0);
        results.add("cairn", "idle", None, "empty_mib", 7.0);
        assert_eq!(results.rounds("cairn.read-hot@64.rate"), Some(&[3.0, 5.0][..]));
        assert_eq!(results.rounds("cairn.idle.empty_mib"), Some(&[7.0][..]));
        assert_eq!(results.rounds("cairn.read-hot@1.rate"), None);
        assert_eq!(results.rounds("x"), None);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
