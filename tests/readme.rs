//! The commands of README.md, docs/live.md and docs/operations.md, run as they stand there, give the answers that stand there.
//!
//! Needs `bash` and `curl`, like a reader of the pages; without them there is nothing to check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Keys whose values differ from run to run.
const FRESH: &[&str] = &["id", "createdAt", "updatedAt", "entityId", "recordId", "at", "actor"];

/// A command and what the page says it prints.
struct Step {
    command: String,
    answer: String,
}

/// What follows `$ ` in the console blocks; lines with two blanks in front belong to the command before.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step { command: command.to_owned(), answer: String::new() });
        } else if let Some(last) = steps.last_mut().filter(|_| inside) {
            let text = if line.starts_with("  ") { &mut last.command } else { &mut last.answer };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
        }
    }
    steps
}

/// The text with whatever is fresh blanked, when it is JSON.
fn settled(text: &str) -> String {
    fn blank(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(blank),
            Value::Object(object) => {
                for (key, value) in object {
                    // A type's id is chosen, a record's is not.
                    let chosen = value.as_str().is_some_and(|text| text.contains('@'));
                    if FRESH.contains(&key.as_str()) && !chosen {
                        *value = Value::from("…");
                    } else {
                        blank(value);
                    }
                }
            }
            _ => {}
        }
    }
    match serde_json::from_str(text.trim()) {
        Ok(mut value) => {
            blank(&mut value);
            value.to_string()
        }
        Err(_) => text.trim().to_owned(),
    }
}

#[test]
fn the_readme_is_true() {
    check(include_str!("../README.md"), 12);
}

#[test]
fn the_page_about_live_is_true() {
    check(include_str!("../docs/live.md"), 12);
}

/// Of the page about running Cairn, what stands in its console blocks: backup, verify, restore beside a running server.
#[test]
fn the_page_about_operations_is_true() {
    check(include_str!("../docs/operations.md"), 5);
}

fn check(page: &str, least: usize) {
    let there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !there("bash") || !there("curl") {
        return;
    }
    let steps = steps(page);
    assert!(steps.len() >= least, "{} commands", steps.len());
    let folder = tempfile::tempdir().unwrap();
    let token = "1f".repeat(32);
    let mut server = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("CAIRN_OWNER_TOKEN", &token)
        .env_remove("CAIRN_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let (_, url) = first.trim().rsplit_once(" at ").unwrap();

    let mut script = String::new();
    for step in &steps {
        // The server is ours, on a free port, with a token we know.
        let starts = ["export CAIRN_OWNER_TOKEN", "cargo run"];
        if !starts.iter().any(|start| step.command.starts_with(start)) {
            script.push_str(&step.command.replace("http://127.0.0.1:7700", url));
        }
        script.push_str("\nprintf '\\n\\036'\n");
    }
    let built = std::path::Path::new(env!("CARGO_BIN_EXE_cairn")).parent().unwrap();
    let mut paths = vec![built.to_owned()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let done = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env_remove("CAIRN_FILE")
        .env("CAIRN_OWNER_TOKEN", &token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    for (step, answer) in steps.iter().zip(printed.split('\u{1e}')) {
        assert_eq!(settled(answer), settled(&step.answer), "$ {}", step.command);
    }
}
