//! Power cuts: a server killed in the middle of writes keeps every write it has acknowledged, and a sound file.
//!
//! Several writers send creations, patches, tags and uploads over real sockets while the process is killed with SIGKILL. After
//! the next start everything that was answered is there, versions are without gaps, and `cairn verify` finds no fault.
//!
//! Knows the process contract and the stack protocol. Does not know the file.
//!
//! Invariants
//! K1. What was acknowledged is there. What was not may be there, but then whole.
//! K2. When to kill is counted in acknowledged writes, never in time.

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};

use common::{OWNER_TOKEN, Server, Setup, encode, id, text, version};
use serde_json::{Value, json};

/// Kills of the ordinary run; `CAIRN_CRASH_ROUNDS` asks for more.
const ROUNDS: u64 = 5;
const WRITERS: u64 = 4;
const KIND: &str = "com.example/crash@1";

/// An acknowledged write.
#[derive(Debug)]
enum Done {
    Created {
        id: String,
        n: u64,
    },
    /// The record now has this version and this value.
    Patched {
        id: String,
        version: i64,
        n: u64,
    },
    Deleted {
        id: String,
        version: i64,
    },
    Uploaded {
        file: String,
        bytes: Vec<u8>,
    },
}

/// A request that may be cut off: `None` unless a whole 200 came back.
fn ask(address: SocketAddr, request: &[u8]) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return None;
    }
    serde_json::from_slice(&answer[end + 4..]).ok()
}

fn write_request(address: SocketAddr, call: common::Call) -> Option<Value> {
    let call = call.header("Authorization", &format!("Bearer {OWNER_TOKEN}")).represent();
    ask(address, &call.to_bytes(address))
}

/// Writes until it is told to stop, or the server is gone, and reports what was acknowledged.
fn writer(address: SocketAddr, stream: u64, stop: &AtomicBool, report: &Sender<Done>) {
    let mut last: Option<(String, i64)> = None;
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let done = match (n % 7, &last) {
            (3, _) => {
                // More than one piece, so that a kill can fall between them.
                let bytes: Vec<u8> =
                    format!("{stream}-{n}-{}", common::next()).into_bytes().repeat(30_000);
                let call = common::upload("application/octet-stream", &bytes);
                write_request(address, call)
                    .map(|made| Done::Uploaded { file: text(&made["fileId"]).to_owned(), bytes })
            }
            (1 | 2 | 5, Some((id, version))) => {
                let call = common::call("PATCH", &format!("/records/{id}"))
                    .json(&json!({ "n": n }))
                    .if_match(*version);
                write_request(address, call).map(|made| Done::Patched {
                    id: id.clone(),
                    version: common::version(&made),
                    n,
                })
            }
            (6, Some((id, _))) => {
                let call = common::call("DELETE", &format!("/records/{id}"));
                write_request(address, call)
                    .map(|made| Done::Deleted { id: id.clone(), version: common::version(&made) })
            }
            _ => {
                let body = json!({ "typeId": KIND, "content": { "n": n, "t": format!("word{stream}x{n}") }, "associations": [{ "kind": "tag", "label": "made" }] });
                let call = common::call("POST", "/records").json(&body);
                write_request(address, call).map(|made| Done::Created { id: id(&made), n })
            }
        };
        let Some(done) = done else { return };
        last = match &done {
            Done::Created { id, .. } => Some((id.clone(), 1)),
            Done::Patched { id, version, .. } => Some((id.clone(), *version)),
            Done::Deleted { .. } => None,
            Done::Uploaded { .. } => last,
        };
        if report.send(done).is_err() {
            return;
        }
    }
}

/// One life of a server: writes until `kills_after` acknowledgements, then SIGKILL while the writers go on.
fn one_life(server: Server, kills_after: usize, kept: &mut Vec<Done>) -> Setup {
    let address = server.address;
    let stop = AtomicBool::new(false);
    let (report, acknowledged) = mpsc::channel();
    std::thread::scope(|scope| {
        for stream in 0..WRITERS {
            let (report, stop) = (report.clone(), &stop);
            scope.spawn(move || writer(address, stream, stop, &report));
        }
        drop(report);
        kept.extend(acknowledged.iter().take(kills_after));
        let setup = server.kill();
        stop.store(true, Ordering::Relaxed);
        // What was acknowledged between the count and the kill counts as well.
        kept.extend(acknowledged.iter());
        setup
    })
}

/// Everything acknowledged so far is there, as it was said.
fn check(server: &Server, kept: &[Done]) {
    let owner = server.owner();
    let mut last: BTreeMap<&str, (i64, Option<u64>, bool)> = BTreeMap::new();
    for done in kept {
        match done {
            Done::Created { id, n } => {
                last.insert(id, (1, Some(*n), false));
            }
            Done::Patched { id, version, n } => {
                last.insert(id, (*version, Some(*n), false));
            }
            Done::Deleted { id, version } => {
                last.insert(id, (*version, None, true));
            }
            Done::Uploaded { file, bytes } => {
                let got = owner.get(&format!("/attachments/{file}"));
                assert_eq!(got.status, 200, "an acknowledged upload is gone: {file}");
                assert!(got.body == *bytes, "an acknowledged upload is damaged: {file}");
            }
        }
    }
    for (id, (said, n, deleted)) in last {
        let record = owner.get(&format!("/records/{id}")).is(200);
        // One more write may have happened without its answer having arrived.
        let now = version(&record);
        assert!(now == said || now == said + 1, "{id}: acknowledged {said}, found {record}");
        let unanswered = now == said + 1;
        if let (Some(n), false) = (n, unanswered) {
            assert_eq!(record["content"]["n"], json!(n), "{record}");
        }
        assert!(unanswered || record["deletedAt"].is_string() == deleted, "{record}");
        let history = owner.get(&format!("/records/{id}/versions")).is(200);
        let numbers: Vec<i64> = history.as_array().expect("a list").iter().map(version).collect();
        assert_eq!(numbers, (1..now).rev().collect::<Vec<_>>(), "{id}: no gap and nothing beside");
    }
    // The indexes tell the same as the records.
    let mut cursor = String::new();
    let mut listed = 0;
    loop {
        let page = owner
            .get(&format!(
                "/records?typeId={}&tag=made&includeDeleted=true&limit=1000{cursor}",
                encode(KIND)
            ))
            .is(200);
        listed += page["records"].as_array().expect("a list").len();
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={}", encode(next));
    }
    let made = kept.iter().filter(|done| matches!(done, Done::Created { .. })).count();
    assert!(listed >= made, "{listed} listed, {made} acknowledged");
}

/// `cairn verify FILE --json`, after the server has gone: no fault, and how many blobs there are.
fn verify(setup: &Setup) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .arg("verify")
        .arg(setup.file())
        .arg("--json")
        .output()
        .expect("verify runs");
    let shown = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "verify: {shown}");
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert!(found["faults"].as_array().is_none_or(Vec::is_empty), "{shown}");
    found
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long to test is for whoever runs the test")]
fn acknowledged_writes_survive_a_kill() {
    let rounds =
        std::env::var("CAIRN_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut server = Setup::new().start();
    server.register(KIND, json!({}));
    let mut kept = Vec::new();
    for round in 0..rounds {
        // Another place in the course of things each time, from the first writes on.
        let kills_after = usize::try_from(1 + round * 37 % 150).expect("small");
        let setup = one_life(server, kills_after, &mut kept);
        verify(&setup);
        server = setup.start();
        check(&server, &kept);
    }
    // Unfinished uploads leave nothing: every file has its record, and collecting all of them leaves no piece behind.
    let records = server.owner().find(
        json!({ "filter": { "typeId": "_attachment@1", "includeDeleted": true }, "limit": 1000 }),
    );
    let collected = server.owner().post("/attachments/gc", json!({ "graceMs": 0 })).is(200);
    assert_eq!(
        collected["deleted"].as_array().expect("a list").len(),
        records.len(),
        "no file without a record"
    );
    let setup = server.stop();
    verify(&setup);
    for suffix in ["-wal", "-shm"] {
        let beside = format!("{}{suffix}", setup.file().display());
        assert!(
            !std::path::Path::new(&beside).exists(),
            "after a stop the file stands alone: {beside}"
        );
    }
}

/// A kill during the very first start leaves a file that the next start can use.
#[test]
fn a_kill_right_after_the_start() {
    let mut setup = Setup::new();
    for _ in 0..3 {
        setup = setup.start().kill();
        verify(&setup);
    }
    let server = setup.start();
    server.owner().get("/records/_config").is(200);
    server.stop();
}
