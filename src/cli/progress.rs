//! How far long work is: a bar on a terminal, plain lines elsewhere, nothing with `--json`.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Rows between two plain lines.
const LINE_EVERY: u64 = 100_000;

/// Shown on standard error.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { done: u64, what: &'static str },
    Silent,
}

impl Progress {
    /// `total` is in the unit of [`Progress::at`]: bytes of the source or rows; `None` when unknown.
    pub(super) fn new(what: &'static str, total: Option<u64>, silent: bool) -> Self {
        if silent {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { done: 0, what };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() {
            "{prefix} {bar:30} {percent:>3} %  {msg}"
        } else {
            "{prefix} {spinner}  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Self::Bar(bar)
    }

    /// `position` in the unit of the total, `rows` finished.
    pub(super) fn at(&mut self, position: u64, rows: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(position);
                bar.set_message(format!("{rows} done"));
            }
            Self::Lines { done, what } => {
                if rows / LINE_EVERY > *done / LINE_EVERY {
                    eprintln!("{what}: {rows} done");
                }
                *done = rows;
            }
            Self::Silent => {}
        }
    }

    /// `done` of `total`, in a unit that means nothing to a person.
    pub(super) fn share(&mut self, done: u64, total: u64) {
        if let Self::Bar(bar) = self {
            bar.set_length(total.max(1));
            bar.set_message(format!("{} %", done.saturating_mul(100) / total.max(1)));
        }
    }

    /// A named stage of work that is not counted.
    pub(super) fn stage(&mut self, name: &str) {
        match self {
            Self::Bar(bar) => bar.set_message(name.to_owned()),
            Self::Lines { what, .. } => eprintln!("{what}: {name}"),
            Self::Silent => {}
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
