//! Rejected rows: the first few on standard error, all of them in the report file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Shown on standard error when there is no report file.
const SHOWN_MAX: u64 = 20;

/// Where rejections go.
pub(super) struct Report {
    file: Option<(PathBuf, BufWriter<File>)>,
    rejected: u64,
}

impl Report {
    /// Begins a report. When an import goes on behind `line`, what was reported up to there is kept.
    pub(super) fn start(path: Option<&Path>, line: u64) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, rejected: 0 }) };
        let make = || -> Result<BufWriter<File>> {
            let kept = if line > 0 { reported_up_to(path, line)? } else { Vec::new() };
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            // It repeats parts of rows, which are as private as the stack file.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut writer = BufWriter::new(options.open(path)?);
            writer.write_all(&kept)?;
            Ok(writer)
        };
        let writer = make().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { file: Some((path.to_owned(), writer)), rejected: 0 })
    }

    pub(super) fn reject(&mut self, line: u64, reason: &str, excerpt: &str) -> Result<()> {
        self.rejected += 1;
        let Some((path, writer)) = &mut self.file else {
            if self.rejected <= SHOWN_MAX {
                eprintln!(
                    "line {line}: {}",
                    reason.escape_debug().to_string().replace("\\\"", "\"")
                );
            } else if self.rejected == SHOWN_MAX + 1 {
                eprintln!("more rows were rejected; --report FILE lists them all");
            }
            return Ok(());
        };
        let mut entry = json!({ "line": line, "reason": reason });
        if !excerpt.is_empty() {
            entry["row"] = Value::String(excerpt.to_owned());
        }
        writeln!(writer, "{entry}").with_context(|| format!("{} cannot be written", path.display()))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some((path, writer)) = &mut self.file {
            writer.flush().with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.flush()
    }
}

/// Lines of an earlier report about rows up to `line`, those that are whole.
fn reported_up_to(path: &Path, line: u64) -> Result<Vec<u8>> {
    let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    for entry in BufReader::new(file).lines() {
        let entry = entry?;
        let of = serde_json::from_str::<Value>(&entry).ok().and_then(|e| e.get("line")?.as_u64());
        if of.is_some_and(|of| of <= line) {
            kept.extend_from_slice(entry.as_bytes());
            kept.push(b'\n');
        }
    }
    Ok(kept)
}
