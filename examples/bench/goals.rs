//! Goals: what a figure must reach, and whether it did. The file is `goals.json`.
//!
//! A metric is an expression over result names (`cairn.insert@64.rate / reference.insert@64.rate`),
//! constants of the file and numbers, with `+ - * / ( )`, every part set apart by a space. It is
//! evaluated once per round, since only figures of one round were measured side by side; the median
//! of the rounds is judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::results::{Results, median};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goals {
    #[serde(default)]
    #[expect(dead_code, reason = "a comment inside the data")]
    about: String,
    #[serde(default)]
    constants: BTreeMap<String, f64>,
    goals: Vec<Goal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    id: String,
    goal: String,
    #[serde(default)]
    metric: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    better: Better,
    #[serde(default)]
    floor: Option<f64>,
    #[serde(default)]
    target: Option<f64>,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Better {
    #[default]
    Higher,
    Lower,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Judged always.
    #[default]
    Now,
    /// Needs the sizes of a full run; a quick run shows the figure and fails nobody for it.
    Full,
    /// No workload measures it yet.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Target,
    Floor,
    /// There is no floor, and the target is not reached.
    Short,
    Missed,
    NotMeasured,
    Later,
}

impl Verdict {
    pub fn shown(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Floor => "floor",
            Self::Short => "short of the target",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
            Self::Later => "later",
        }
    }
}

/// One goal and what became of it.
pub struct Judged<'g> {
    pub goal: &'g Goal,
    pub value: Option<f64>,
    pub verdict: Verdict,
    /// Whether a miss fails the run.
    pub binding: bool,
}

impl Goals {
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let goals: Self =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        for goal in &goals.goals {
            let whole = goal.status == Status::Later || !goal.metric.is_empty();
            ensure!(whole, "{}: no metric", goal.id);
        }
        Ok(goals)
    }

    /// # Errors
    /// When a metric is not a well-formed expression.
    pub fn judge(&self, results: &Results, quick: bool) -> Result<Vec<Judged<'_>>> {
        self.goals
            .iter()
            .map(|goal| {
                let value = match goal.status {
                    Status::Later => None,
                    _ => self.value(results, &goal.metric).with_context(|| goal.id.clone())?,
                };
                let verdict = match value {
                    None if goal.status == Status::Later => Verdict::Later,
                    None => Verdict::NotMeasured,
                    Some(value) => goal.verdict(value),
                };
                let binding = !(quick && goal.status == Status::Full);
                Ok(Judged { goal, value, verdict, binding })
            })
            .collect()
    }

    /// The median over the rounds; `None` when a name was not measured.
    fn value(&self, results: &Results, metric: &str) -> Result<Option<f64>> {
        let mut rounds = 1;
        let mut missing = false;
        for word in metric.split_whitespace().filter(|word| word.contains('.')) {
            if word.parse::<f64>().is_err() {
                match results.rounds(word) {
                    Some(values) => rounds = rounds.max(values.len()),
                    None => missing = true,
                }
            }
        }
        let mut values = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let look_up = |name: &str| -> Result<f64> {
                if let Some(value) = self.constants.get(name) {
                    return Ok(*value);
                }
                ensure!(name.contains('.'), "no constant {name}");
                Ok(results.rounds(name).map_or(0.0, |values| {
                    // Figures with another number of rounds were not measured side by side.
                    if values.len() == rounds { values[round] } else { median(values) }
                }))
            };
            values.push(evaluate(metric, &look_up)?);
        }
        let value = median(&values);
        Ok((!missing && value.is_finite()).then_some(value))
    }
}

impl Goal {
    fn verdict(&self, value: f64) -> Verdict {
        let reached = |wanted: Option<f64>| {
            wanted.is_none_or(|wanted| match self.better {
                Better::Higher => value >= wanted,
                Better::Lower => value <= wanted,
            })
        };
        match (reached(self.floor), reached(self.target)) {
            (true, true) => Verdict::Target,
            (true, false) if self.floor.is_none() => Verdict::Short,
            (true, false) => Verdict::Floor,
            (false, _) => Verdict::Missed,
        }
    }

    fn shown(&self, value: Option<f64>) -> String {
        let Some(value) = value else { return "–".to_owned() };
        match self.unit.as_str() {
            "%" => format!("{:.0} %", value * 100.0),
            "x" => format!("{value:.2}x"),
            unit if value.abs() >= 100.0 => format!("{value:.0} {unit}"),
            unit => format!("{value:.2} {unit}").trim_end().to_owned(),
        }
    }
}

impl Judged<'_> {
    pub fn failed(&self) -> bool {
        self.binding && self.verdict == Verdict::Missed
    }

    /// A line of the table of goals.
    pub fn line(&self) -> String {
        let goal = self.goal;
        format!(
            "| {} | {} | {} | {} | {} | {}{} |",
            goal.id,
            goal.goal,
            goal.shown(self.value),
            goal.shown(goal.floor),
            goal.shown(goal.target),
            self.verdict.shown(),
            if self.binding { "" } else { " (quick: not binding)" },
        )
    }

    pub fn json(&self) -> Value {
        json!({
            "id": self.goal.id, "goal": self.goal.goal, "metric": self.goal.metric,
            "value": self.value, "floor": self.goal.floor, "target": self.goal.target,
            "verdict": self.verdict.shown().trim_matches('*'), "binding": self.binding,
        })
    }
}

/// Evaluates an expression by precedence climbing.
fn evaluate(text: &str, look_up: &dyn Fn(&str) -> Result<f64>) -> Result<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    let value = sum(&words, &mut at, look_up)?;
    ensure!(at == words.len(), "unexpected {:?}", words[at]);
    Ok(value)
}

fn sum(words: &[&str], at: &mut usize, look_up: &dyn Fn(&str) -> Result<f64>) -> Result<f64> {
    let mut value = product(words, at, look_up)?;
    while let Some(sign @ (&"+" | &"-")) = words.get(*at) {
        *at += 1;
        let right = product(words, at, look_up)?;
        value += if *sign == "+" { right } else { -right };
    }
    Ok(value)
}

fn product(words: &[&str], at: &mut usize, look_up: &dyn Fn(&str) -> Result<f64>) -> Result<f64> {
    let mut value = atom(words, at, look_up)?;
    while let Some(sign @ (&"*" | &"/")) = words.get(*at) {
        *at += 1;
        let right = atom(words, at, look_up)?;
        value = if *sign == "*" { value * right } else { value / right };
    }
    Ok(value)
}

fn atom(words: &[&str], at: &mut usize, look_up: &dyn Fn(&str) -> Result<f64>) -> Result<f64> {
    let Some(word) = words.get(*at) else { bail!("the expression breaks off") };
    *at += 1;
    if *word == "(" {
        let value = sum(words, at, look_up)?;
        ensure!(words.get(*at) == Some(&")"), "a bracket is not closed");
        *at += 1;
        return Ok(value);
    }
    match word.parse() {
        Ok(number) => Ok(number),
        Err(_) => look_up(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated() {
        let look_up = |name: &str| match name {
            "a.b@1.c" => Ok(6.0),
            other => bail!("unknown {other}"),
        };
        let value = |text| evaluate(text, &look_up);
        assert_eq!(value("a.b@1.c / 2 - 1").expect("good"), 2.0);
        assert_eq!(value("2 * ( 1 + a.b@1.c )").expect("good"), 14.0);
        for bad in ["", "1 +", "( 1", "1 2", "x"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rounds_are_judged_side_by_side() {
        let mut results = Results::default();
        for (a, b) in [(10.0, 10.0), (40.0, 20.0), (90.0, 30.0)] {
            results.add("a", "w", Some(1), "rate", a);
            results.add("b", "w", Some(1), "rate", b);
        }
        let text = r#"{"goals":[
            {"id":"1","goal":"g","metric":"a.w@1.rate / b.w@1.rate","floor":1.5,"target":3},
            {"id":"2","goal":"g","metric":"a.none@1.rate","floor":1},
            {"id":"3","goal":"g","status":"later"},
            {"id":"4","goal":"g","metric":"b.w@1.rate","better":"lower","floor":5,"status":"full"},
            {"id":"5","goal":"g","metric":"a.w@1.rate","target":90}]}"#;
        let goals: Goals = serde_json::from_str(text).expect("good");
        let judged = goals.judge(&results, true).expect("good");
        assert_eq!(judged[0].value, Some(2.0));
        let verdicts: Vec<_> = judged.iter().map(|j| (j.verdict, j.failed())).collect();
        let wanted = [
            (Verdict::Floor, false),
            (Verdict::NotMeasured, false),
            (Verdict::Later, false),
            (Verdict::Missed, false),
            (Verdict::Short, false),
        ];
        assert_eq!(verdicts, wanted);
        assert!(goals.judge(&results, false).expect("good")[3].failed());
    }
}
