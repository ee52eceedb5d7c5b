//! Disks that fail, disks that are full, files that are damaged.
//!
//! The failing disk is a small C library that is loaded before the C library of the server; where that is not possible
//! (statically linked, another system) these stories are left out, the ones about damaged files are not.
//!
//! Knows the process contract and the stack protocol. Of the file it knows only that there are bytes to spoil.
//!
//! Invariants
//! D1. A refused write leaves nothing behind, and what was acknowledged before stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{OWNER_TOKEN, Setup, id};
use serde_json::json;

const KIND: &str = "com.example/disk@1";

/// A server on a disk that fails while `flag` exists.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn on_failing_disk(variable: &str) -> (common::Server, std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("failing_disk.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/failing_disk.c"))
        .arg("-ldl")
        .status()
        .expect("the compiler that builds SQLite is there");
    assert!(built.success());
    let flag = folder.path().join("now");
    let server = Setup::new()
        .env("LD_PRELOAD", &library.display().to_string())
        .env(variable, &flag.display().to_string())
        .start();
    server.register(KIND, json!({}));
    (server, flag, folder)
}

/// S67: a failed flush is not tried again. The write is not acknowledged, none after it is, and the process ends with 1;
/// everything that was acknowledged before is there at the next start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_failed_flush_ends_the_server() {
    let (mut server, flag, _folder) = on_failing_disk("FAIL_FLUSH");
    let owner = server.owner();
    let kept = id(&owner.make(KIND, json!({ "n": 1 })));
    fs::write(&flag, "").unwrap();
    let answer = answer_of(&server, &json!({ "typeId": KIND, "content": { "n": 2 } }));
    // A checkpoint may meet the failing disk before the request does; then the server is gone already.
    if !answer.is_empty() {
        is_internal(&answer);
    }
    // The disk works again, which changes nothing: what it dropped is not known.
    fs::remove_file(&flag).unwrap();
    assert_eq!(server.wait_code(), Some(1), "{}", server.log());
    assert!(server.log().contains("the disk failed while data was flushed"), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let log = server.file().with_extension("cairn-wal");
    assert!(fs::metadata(&log).is_ok_and(|m| m.len() > 0), "the log was not copied back");
    let server = server.kill().env("LD_PRELOAD", "").start();
    server.owner().get(&format!("/records/{kept}")).is(200);
    server.stop();
}

/// S67: a full disk refuses writes with 507 and takes them back whole; reads go on, and writing resumes by itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_full_disk_is_no_end() {
    let (server, flag, _folder) = on_failing_disk("FAIL_WRITE");
    let owner = server.owner();
    let kept = id(&owner.make(KIND, json!({ "n": 1 })));
    fs::write(&flag, "").unwrap();
    let long = "x".repeat(900_000);
    let mut refused = 0;
    for n in 0..3 {
        let body = json!({ "typeId": KIND, "content": { "n": n, "long": long } });
        owner.post("/records", body).fails(507, "storage_full");
        owner.send(common::upload("text/plain", &vec![b'a'; 2_000_000])).fails(507, "storage_full");
        refused += 1;
    }
    assert_eq!(refused, 3);
    owner.get(&format!("/records/{kept}")).is(200);
    assert_eq!(owner.find(json!({ "filter": { "typeId": KIND } })), std::slice::from_ref(&kept));
    fs::remove_file(&flag).unwrap();
    owner.make(KIND, json!({ "n": 2, "long": long }));
    owner.upload("text/plain", b"again");
    let setup = server.stop();
    let verified = cairn(&setup, "verify");
    assert!(verified.status.success(), "{}", said(&verified));
}

/// What the owner's creation of `body` is answered, as it came. Sent by hand: `Who` takes a 500 for a failure of the test, and
/// no answer too.
fn answer_of(server: &common::Server, body: &serde_json::Value) -> String {
    let call = common::call("POST", "/records")
        .header("Authorization", &format!("Bearer {OWNER_TOKEN}"))
        .json(body);
    let answer = server.raw_if_any(&call.to_bytes(server.address));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A 500 that says nothing but a number to report.
fn is_internal(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains(r#"{"error":{"code":"internal""#), "{answer}");
    assert!(!answer.contains("disk") && !answer.contains("damaged"), "{answer}");
}

fn cairn(setup: &Setup, command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cairn")).arg(command).arg(setup.file()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A stack with enough in it that pages far from the start hold records.
fn filled() -> (Setup, Vec<String>) {
    let server = Setup::new().start();
    server.register(KIND, json!({}));
    let owner = server.owner();
    let ids = (0..40)
        .map(|n| id(&owner.make(KIND, json!({ "n": n, "long": format!("{n} ").repeat(5_000) }))));
    let ids = ids.collect();
    (server.stop(), ids)
}

/// S68: a file that was cut off is served read-only, with a sentence that names the next step, and is not changed.
#[test]
fn a_cut_off_file_is_only_read() {
    let (setup, ids) = filled();
    let path = setup.file();
    let bytes = fs::read(&path).unwrap();
    let cut = bytes.len() / 4096 * 4096 - 8192;
    fs::write(&path, &bytes[..cut]).unwrap();
    let server = setup.start();
    let log = server.log();
    for word in ["damaged", "read-only", "cairn verify", "cairn doctor"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    let owner = server.owner();
    let readable =
        ids.iter().filter(|id| owner.get(&format!("/records/{id}")).status == 200).count();
    assert!(readable > 30, "{readable} of 40 can be read");
    is_internal(&answer_of(&server, &json!({ "typeId": KIND, "content": {} })));
    let setup = server.stop();
    assert_eq!(fs::read(&path).unwrap(), bytes[..cut], "not a byte was changed");
    let verified = cairn(&setup, "verify");
    assert_eq!(verified.status.code(), Some(1), "{}", said(&verified));
    assert!(said(&verified).contains("damaged"), "{}", said(&verified));
    let looked_at = cairn(&setup, "doctor");
    assert!(said(&looked_at).contains("damaged"), "{}", said(&looked_at));
}

/// S68: spoiled pages, wherever they are: the program says what it is, or serves what it can; it never panics and never
/// calls the file sound.
#[test]
fn spoiled_pages_are_noticed() {
    let (setup, _) = filled();
    let path = setup.file();
    let bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in [1, 2, pages / 2, pages - 1] {
        let mut spoiled = bytes.clone();
        spoiled[page * 4096..page * 4096 + 2048].fill(0xA5);
        fs::write(&path, &spoiled).unwrap();
        let verified = cairn(&setup, "verify");
        let said = said(&verified);
        assert_eq!(verified.status.code(), Some(1), "page {page}: {said}");
        assert!(!said.contains("panicked"), "page {page}: {said}");
    }
    fs::write(&path, &bytes).unwrap();
    assert!(cairn(&setup, "verify").status.success());
}

/// S68: no file of ours, or one cut off in its header: a sentence, exit code 1, and the bytes as they were.
#[test]
fn what_is_no_stack_is_left_alone() {
    let (setup, _) = filled();
    let path = setup.file();
    let bytes = fs::read(&path).unwrap();
    let mut newer = bytes.clone();
    newer[60..64].copy_from_slice(&99_i32.to_be_bytes());
    let stories: [(Vec<u8>, &str); 4] = [
        (b"SQLite format 3".to_vec(), "shorter than a database header"),
        (vec![b'x'; 5_000], "not a SQLite database"),
        (bytes[..100].to_vec(), "damaged"),
        (newer, "install a newer cairn"),
    ];
    for (bytes, reason) in stories {
        fs::write(&path, &bytes).unwrap();
        for command in ["serve", "verify", "doctor"] {
            let output = Command::new(env!("CARGO_BIN_EXE_cairn"))
                .arg(command)
                .arg(&path)
                .env("CAIRN_OWNER_TOKEN", OWNER_TOKEN)
                .env("CAIRN_LISTEN", "127.0.0.1:0")
                .output()
                .unwrap();
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{command}, {reason}: {said}");
            assert!(said.contains(reason), "{command}, {reason}: {said}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{command}, {reason}");
        }
    }
}
