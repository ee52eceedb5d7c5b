//! Backups and restores over the built program: while writes go on, with a server and without, and with a kill in the middle.
//!
//! Knows the command line, the process contract and `/_/backups`. Does not know the file.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use cairn::crypto::{hex, sha256};
use common::{OWNER_TOKEN, Server, Setup, call, encode, id, text};
use serde_json::{Value, json};

const NOTE: &str = "com.example/note@1";

/// Runs `cairn` beside a file and expects this exit code; gives standard output and standard error.
#[track_caller]
fn cairn(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("the executable starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    );
    assert_eq!(status.code(), Some(code), "cairn {arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn cairn_json(folder: &Path, arguments: &[&str], code: i32) -> Value {
    let (stdout, stderr) = cairn(folder, arguments, code);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Lines of an export, without when it was made.
fn export(folder: &Path, file: &str) -> Vec<String> {
    let (text, _) = cairn(folder, &["export", file], 0);
    text.lines().skip(1).map(str::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().expect("it is there").permissions().mode() & 0o777
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        0o600
    }
}

/// Makes and changes notes until told to stop.
fn write_on(server: &Server, stop: &AtomicBool) {
    let owner = server.owner();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let made = owner.make(NOTE, json!({ "n": n }));
        owner.patch(&format!("/records/{}", id(&made)), json!({ "n": n + 1 })).is(200);
    }
}

/// S69: backups while four writers write. Each one is the state at its `tx` and nothing else: every record and every earlier
/// version of it is what the live file says was there at that `tx`.
#[test]
fn s69_a_backup_under_writes_is_the_state_at_its_tx() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let owner = server.owner();
    let file = owner.upload("application/octet-stream", &vec![7; 700_000]);
    for n in 0..30 {
        owner.make(NOTE, json!({ "n": n }));
    }
    let stop = AtomicBool::new(false);
    let backups = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| write_on(&server, &stop));
        }
        // One by the server, one by a process beside it.
        let first = owner.poke("/_/backups").is(201);
        let beside = cairn_json(
            server.folder(),
            &["backup", "beside.cairn", "--file", "stack.cairn", "--json"],
            0,
        );
        stop.store(true, Ordering::Relaxed);
        let folder = server.folder().join("stack.cairn-backups");
        [(folder.join(text(&first["name"])), first), (server.folder().join("beside.cairn"), beside)]
    });
    for (path, made) in &backups {
        assert_eq!(mode(path), 0o600);
        let bytes = std::fs::read(path).expect("it is there");
        assert_eq!(hex(&sha256(&bytes)), text(&made["sha256"]));
        let tx = made["tx"].as_i64().expect("a number");
        let at = path.to_str().expect("UTF-8");
        let verified = cairn_json(server.folder(), &["verify", at, "--json"], 0);
        assert_eq!((&verified["lastTx"], &verified["digest"]), (&json!(tx), &made["digest"]));
        assert!(verified["backupAt"].is_string() && verified["blobs"] == 1, "{verified}");
        assert_eq!(bytes, std::fs::read(path).expect("it is there"), "verifying changes nothing");
        // Asked about the same moment, the live file tells the same.
        let mut notes = 0;
        for line in export(server.folder(), at) {
            let line: Value = serde_json::from_str(&line).expect("a line");
            let record = &line["record"];
            if record["typeId"] != NOTE {
                continue;
            }
            notes += 1;
            let then = owner.get(&format!("/records/{}?as_of={tx}", text(&record["id"]))).is(200);
            assert_eq!(
                (&then["version"], &then["content"]),
                (&record["version"], &record["content"]),
                "{record}"
            );
        }
        let listed = owner
            .get(&format!("/records?typeId={}&as_of={tx}&limit=1000", encode(NOTE)))
            .is(200)["records"]
            .as_array()
            .map_or(0, Vec::len);
        assert!(notes > 0 && (notes == listed || listed == 1_000), "{notes} {listed}");
    }
    let stored = text(&file["fileId"]).to_owned();
    let listed = names(server.folder());
    assert!(!listed.iter().any(|name| name.ends_with(".part")), "{listed:?}");
    let setup = server.stop();
    // The backup is a stack file of its own.
    std::fs::copy(&backups[0].0, setup.file()).expect("copied");
    let server = setup.start();
    assert_eq!(server.owner().get(&format!("/attachments/{stored}")).body, vec![7; 700_000]);
}

#[test]
fn backups_are_listed_downloaded_verified_and_removed() {
    let server = Setup::new().env("CAIRN_BACKUP_KEEP", "2").start();
    let owner = server.owner();
    let stranger = server.person();
    for (method, path) in [
        ("GET", "/_/backups"),
        ("POST", "/_/backups"),
        ("GET", "/_/backups/stack-20240101T000000Z.cairn"),
        ("DELETE", "/_/backups/stack-20240101T000000Z.cairn"),
        ("POST", "/_/backups/stack-20240101T000000Z.cairn/verify"),
        ("POST", "/_/backups/stack-20240101T000000Z.cairn/restore"),
    ] {
        assert_eq!(server.anonymous().send(call(method, path)).status, 401, "{method} {path}");
        assert_eq!(stranger.send(call(method, path)).status, 403, "{method} {path}");
    }
    let none = owner.get("/_/backups").is(200);
    assert_eq!(
        (&none["backups"], &none["lastVerified"], &none["running"], &none["keep"]),
        (&json!([]), &Value::Null, &Value::Null, &json!(2))
    );
    assert_eq!(owner.get("/_/stats").is(200)["lastBackup"], Value::Null);
    let made = owner.poke("/_/backups").is(201);
    let name = text(&made["name"]).to_owned();
    let path = format!("/_/backups/{name}");
    let got = owner.get(&path);
    assert_eq!(hex(&sha256(&got.body)), text(&made["sha256"]));
    let stats = owner.get("/_/stats").is(200);
    assert_eq!(
        (&stats["lastBackup"]["name"], &stats["lastBackup"]["tx"]),
        (&made["name"], &made["tx"])
    );
    let list = owner.get("/_/backups").is(200);
    assert_eq!(list["backups"], json!([made]));
    assert_eq!(owner.poke(&format!("{path}/verify")).is(200)["sound"], true);

    // A byte that changed on the disk is found, and a damaged backup is not called the last good one.
    let folder = server.folder().join("stack.cairn-backups");
    assert_eq!((mode(&folder), mode(&folder.join(format!("{name}.json")))), (0o700, 0o600));
    let mut bytes = got.body.clone();
    let last = bytes.len() - 2_000;
    bytes[last] ^= 1;
    std::fs::write(folder.join(&name), bytes).expect("written");
    let found = owner.poke(&format!("{path}/verify")).is(200);
    assert_eq!(found["sound"], false, "{found}");
    assert!(text(&found["faults"][0]).len() > 10, "{found}");
    assert_eq!(owner.get("/_/stats").is(200)["lastBackup"], Value::Null);
    assert_eq!(owner.poke(&format!("{path}/restore")).status, 409);

    // Other files of the folder are nobody's business, and no name leads out of it.
    std::fs::write(folder.join("other.cairn"), "mine").expect("written");
    for name in ["other.cairn", "..%2Fstack.cairn", "stack.cairn", "nothing-20240101T000000Z.cairn"]
    {
        assert_eq!(owner.get(&format!("/_/backups/{name}")).status, 404, "{name}");
        assert_eq!(owner.delete(&format!("/_/backups/{name}")).status, 404, "{name}");
    }
    for _ in 0..3 {
        owner.poke("/_/backups").is(201);
    }
    let kept = owner.get("/_/backups").is(200)["backups"].as_array().map_or(0, Vec::len);
    assert_eq!(kept, 2, "the oldest went");
    assert!(folder.join("other.cairn").exists() && server.file().exists());
    let newest = owner.get("/_/backups").is(200)["backups"][0]["name"].clone();
    let newest = format!("/_/backups/{}", text(&newest));
    assert_eq!(owner.delete(&newest).status, 204);
    assert_eq!(owner.get(&newest).status, 404);
    assert!(!server.log().contains(OWNER_TOKEN));
}

#[test]
fn the_command_refuses_and_says_why() {
    let home = tempfile::tempdir().expect("a folder");
    let at = home.path();
    cairn(at, &["init"], 0);
    let (line, _) = cairn(at, &["backup", "b.cairn"], 0);
    assert!(
        line.starts_with("wrote and verified b.cairn: tx ") && line.contains("sha256 "),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
    let before = std::fs::read(at.join("b.cairn")).expect("it is there");
    let (_, why) = cairn(at, &["backup", "b.cairn"], 1);
    assert!(why.contains("b.cairn exists already"), "{why}");
    assert_eq!(std::fs::read(at.join("b.cairn")).expect("it is there"), before);
    cairn(at, &["backup", "b.cairn", "--overwrite"], 0);
    let (_, why) = cairn(at, &["backup", "nowhere/b.cairn"], 1);
    assert!(why.contains("nowhere/b.cairn cannot be written"), "{why}");
    let (_, why) = cairn(at, &["backup", "c.cairn", "--file", "missing.cairn"], 1);
    assert!(why.contains("missing.cairn does not exist"), "{why}");
    // Into a folder, and into the one beside the file, under a dated name.
    std::fs::create_dir(at.join("disk")).expect("made");
    cairn(at, &["backup", "disk"], 0);
    let made = cairn_json(at, &["backup", "--json"], 0);
    assert!(text(&made["backup"]).starts_with("stack.cairn-backups/stack-2"), "{made}");
    assert!(names(&at.join("disk"))[0].starts_with("stack-2"), "{:?}", names(&at.join("disk")));
    assert_eq!(
        names(at),
        ["b.cairn", "disk", "stack.cairn", "stack.cairn-backups"],
        "nothing half-written"
    );
}

/// Waits until the server answers with the restored file: the restart is noticed by what it tells.
fn until(what: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !what() {
        assert!(std::time::Instant::now() < end, "it did not come");
        std::thread::yield_now();
    }
}

/// The status of a GET, if it gets an answer: a server that changes over to another file takes connections all the time, but may
/// close one that it took a moment before without one.
fn status(server: &Server, token: &str, path: &str) -> Option<String> {
    let call = call("GET", path).header("Authorization", &format!("Bearer {token}"));
    let answer = server.raw_if_any(&call.to_bytes(server.address));
    let line = String::from_utf8_lossy(&answer).into_owned();
    Some(line.split(' ').nth(1)?.to_owned())
}

fn old_ones(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.contains(".before-restore-")).collect()
}

/// S69: while the server runs, by its API and by the command line; the address stays, the old file is kept.
#[test]
fn s69_a_running_server_swaps_the_file() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let owner = server.owner();
    let kept = id(&owner.make(NOTE, json!({ "n": 1 })));
    let made = owner.poke("/_/backups").is(201);
    cairn(server.folder(), &["backup", "beside.cairn"], 0);
    let lost = id(&owner.make(NOTE, json!({ "n": 2 })));
    owner.patch(&format!("/records/{kept}"), json!({ "n": 3 })).is(200);

    let path = format!("/_/backups/{}/restore", text(&made["name"]));
    let answer = owner.poke(&path).is(202);
    assert_eq!((&answer["restarting"], &answer["tx"]), (&json!(true), &made["tx"]));
    until(|| status(&server, OWNER_TOKEN, &format!("/records/{lost}")).as_deref() == Some("404"));
    assert_eq!(owner.get(&format!("/records/{kept}")).is(200)["content"]["n"], 1);
    assert_eq!(old_ones(server.folder()).len(), 1);
    // It works on: a write after the restart is in the restored file.
    let new = id(&owner.make(NOTE, json!({ "n": 4 })));

    let (said, _) = cairn(server.folder(), &["restore", "beside.cairn"], 0);
    assert!(said.contains("the server that has it took it over"), "{said}");
    until(|| status(&server, OWNER_TOKEN, &format!("/records/{new}")).as_deref() == Some("404"));
    assert_eq!(owner.get(&format!("/records/{kept}")).is(200)["content"]["n"], 1);
    let old = old_ones(server.folder());
    assert_eq!(old.len(), 2, "{old:?}");
    let found = cairn_json(server.folder(), &["verify", &old[1], "--json"], 0);
    assert_eq!(found["sound"], true, "{found}");
    let setup = server.stop();
    let left = names(setup.file().parent().expect("a folder"));
    assert!(
        !left.iter().any(|name| name.contains("-restored") || name.ends_with("-wal")),
        "{left:?}"
    );
}

/// The round trip without a server: the restored file holds what the backup held, word for word, and the old one is kept.
#[test]
fn a_restore_is_the_backup_again() {
    let home = tempfile::tempdir().expect("a folder");
    let at = home.path();
    cairn(at, &["init"], 0);
    std::fs::write(at.join("rows.ndjson"), "{\"text\":\"one\"}\n{\"text\":\"two\"}\n")
        .expect("written");
    cairn(at, &["import", "rows.ndjson", "--file", "stack.cairn", "--type", NOTE, "--infer"], 0);
    cairn(at, &["backup", "b.cairn"], 0);
    let before = export(at, "stack.cairn");
    std::fs::write(at.join("more.ndjson"), "{\"text\":\"three\"}\n").expect("written");
    cairn(at, &["import", "more.ndjson", "--file", "stack.cairn", "--type", NOTE], 0);
    let after = export(at, "stack.cairn");
    assert_ne!(before, after);
    let done = cairn_json(at, &["restore", "b.cairn", "--json"], 0);
    assert_eq!(export(at, "stack.cairn"), before);
    assert_eq!(mode(&at.join("stack.cairn")), 0o600);
    let old = Path::new(text(&done["old"])).file_name().expect("a name").to_owned();
    assert_eq!(export(at, old.to_str().expect("UTF-8")), after);
    cairn(at, &["restore", "b.cairn", "--into", "new.cairn"], 0);
    assert_eq!(export(at, "new.cairn"), before);
    let (_, why) = cairn(at, &["restore", "b.cairn", "--into", "new.cairn"], 1);
    assert!(
        why.contains("new.cairn exists already") && why.contains("nothing was changed"),
        "{why}"
    );
    let (_, why) = cairn(at, &["restore", "stack.cairn"], 1);
    assert!(why.contains("is the stack file itself"), "{why}");
    let (_, why) = cairn(at, &["restore", "b.cairn", "--as-of", "soon"], 2);
    assert!(why.contains("neither a tx number"), "{why}");

    // A damaged backup and one of a newer format are refused, and everything is as it was.
    let whole = std::fs::read(at.join("b.cairn")).expect("read");
    let live = std::fs::read(at.join("stack.cairn")).expect("read");
    let listed = names(at);
    let mut damaged = whole.clone();
    // In the record alone, where SQLite sees nothing wrong.
    for place in 0..damaged.len() - 8 {
        if damaged[place..].starts_with(b":\"two\"") {
            damaged[place + 2] = b'2';
        }
    }
    std::fs::write(at.join("b.cairn"), damaged).expect("written");
    let (_, why) = cairn(at, &["restore", "b.cairn"], 1);
    assert!(why.contains("nothing was changed") && why.contains("damaged"), "{why}");
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&999_i32.to_be_bytes());
    std::fs::write(at.join("b.cairn"), newer).expect("written");
    let (_, why) = cairn(at, &["restore", "b.cairn"], 1);
    assert!(why.contains("format 999") && why.contains("install a newer cairn"), "{why}");
    std::fs::write(at.join("b.cairn"), &whole[..whole.len() / 2]).expect("written");
    let (_, why) = cairn(at, &["restore", "b.cairn"], 1);
    assert!(why.contains("damaged") || why.contains("nothing was changed"), "{why}");
    assert_eq!(std::fs::read(at.join("stack.cairn")).expect("read"), live);
    assert_eq!(names(at), listed);
}

/// Every record as it was at a tx: the same as the live file tells about that moment.
#[test]
fn as_of_takes_every_record_back() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let owner = server.owner();
    let note = |n: i64| id(&owner.make(NOTE, json!({ "n": n, "word": format!("word{n}") })));
    let (changed, deleted, revived, same) = (note(1), note(2), note(3), note(4));
    assert_eq!(owner.delete(&format!("/records/{revived}")).status, 204);
    owner.patch(&format!("/records/{changed}"), json!({ "n": 10, "word": "tenth" })).is(200);
    let tx = owner.get("/_/stats").is(200)["lastTx"].as_i64().expect("a number");
    owner.patch(&format!("/records/{changed}"), json!({ "n": 11, "word": "eleventh" })).is(200);
    assert_eq!(owner.delete(&format!("/records/{deleted}")).status, 204);
    owner.poke(&format!("/records/{revived}/undelete")).is(200);
    let young = note(5);
    let gone = note(6);
    owner.delete(&format!("/records/{gone}?hard=true"));
    let made = owner.poke("/_/backups").is(201);
    let backup = format!("stack.cairn-backups/{}", text(&made["name"]));
    let then = tx.to_string();
    let done = cairn_json(
        server.folder(),
        &["restore", &backup, "--into", "then.cairn", "--as-of", &then, "--json"],
        0,
    );
    assert_eq!(done["tx"], tx, "{done}");
    assert_eq!(
        (&done["asOf"]["changed"], &done["asOf"]["unknown"]),
        (&json!(3), &json!(0)),
        "{done}"
    );
    let found = cairn_json(server.folder(), &["verify", "then.cairn", "--json"], 0);
    assert_eq!((&found["sound"], &found["lastTx"]), (&json!(true), &json!(tx)), "{found}");

    // The same by the API, with the server going on.
    let path = format!("/_/backups/{}/restore", text(&made["name"]));
    assert_eq!(owner.post(&path, json!({ "asOf": tx + 1_000 })).status, 400);
    assert_eq!(owner.post(&path, json!({ "asOf": "soon" })).status, 400);
    assert_eq!(owner.post(&path, json!({ "record": same, "asOf": tx })).status, 400);
    owner.post(&path, json!({ "asOf": tx })).is(202);
    until(|| status(&server, OWNER_TOKEN, &format!("/records/{young}")).as_deref() == Some("404"));
    let get = |id: &str| owner.get(&format!("/records/{id}")).is(200);
    assert_eq!(
        (&get(&changed)["content"]["n"], &get(&changed)["version"]),
        (&json!(10), &json!(2))
    );
    assert!(get(&deleted)["deletedAt"].is_null() && get(&revived)["deletedAt"].is_string());
    assert_eq!(get(&same)["version"], 1);
    let search = |word: &str| owner.find(json!({ "filter": { "search": word } }));
    assert_eq!(search("tenth"), std::slice::from_ref(&changed));
    assert!(search("eleventh").is_empty() && search("word5").is_empty());
    assert_eq!(owner.get("/_/stats").is(200)["lastTx"], tx);
    owner.patch(&format!("/records/{changed}"), json!({ "n": 12 })).is(200);
    assert_eq!(get(&changed)["version"], 3);
}

/// One record, and one type, come back as new versions; what was there is in the history, what is alike is left alone.
#[test]
fn records_come_back_as_new_versions() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    server.register("com.example/other@1", json!({}));
    let owner = server.owner();
    let bytes = vec![9; 600_000];
    let file = text(&owner.upload("text/plain", &bytes)["fileId"]).to_owned();
    let with_file = id(&owner
        .create(json!({
            "typeId": NOTE, "content": { "n": 1 },
            "associations": [{ "kind": "attachment", "label": "scan", "fileId": file }],
        }))
        .is(200));
    let changed = id(&owner.make(NOTE, json!({ "n": 2 })));
    owner.patch(&format!("/records/{changed}"), json!({ "n": 3 })).is(200);
    let same = id(&owner.make(NOTE, json!({ "n": 4 })));
    let other = id(&owner.make("com.example/other@1", json!({ "n": 5 })));
    let made = owner.poke("/_/backups").is(201);
    let path = format!("/_/backups/{}/restore", text(&made["name"]));
    for gone in [&with_file, &other] {
        owner.delete(&format!("/records/{gone}?hard=true"));
        assert_eq!(owner.get(&format!("/records/{gone}")).status, 404);
    }
    owner.delete(&format!("/attachments/{file}"));
    assert_eq!(owner.get(&format!("/attachments/{file}")).status, 404);
    owner.patch(&format!("/records/{changed}"), json!({ "n": 6 })).is(200);

    assert_eq!(owner.post(&path, json!({ "record": "nobody" })).status, 404);
    assert_eq!(owner.post(&path, json!({ "type": "com.example/nothing" })).status, 404);
    let one = owner.post(&path, json!({ "record": changed })).is(200);
    assert_eq!((&one["changed"], &one["created"]), (&json!(1), &json!(0)), "{one}");
    let record = owner.get(&format!("/records/{changed}")).is(200);
    assert_eq!((&record["version"], &record["content"]["n"]), (&json!(4), &json!(3)));
    let history = owner.get(&format!("/records/{changed}/versions")).is(200);
    assert_eq!(history[0]["content"]["n"], 6, "what was there is kept: {history}");

    let all = owner.post(&path, json!({ "type": "com.example/note" })).is(200);
    assert_eq!(
        all,
        json!({ "created": 1, "changed": 0, "unchanged": 2, "files": 1 }),
        "{changed} is as the backup has it by now"
    );
    assert_eq!(owner.get(&format!("/attachments/{file}")).body, bytes);
    assert_eq!(owner.get(&format!("/records/{with_file}")).is(200)["content"]["n"], 1);
    assert_eq!(owner.get(&format!("/records/{same}")).is(200)["version"], 1);
    assert_eq!(owner.get(&format!("/records/{other}")).status, 404, "nobody asked for it");

    // By the command, without the server.
    let backup = format!("stack.cairn-backups/{}", text(&made["name"]));
    let (_, why) = cairn(server.folder(), &["restore", &backup, "--record", &other], 1);
    assert!(why.contains("POST /_/backups/NAME/restore"), "{why}");
    let setup = server.stop();
    let folder = setup.file().parent().expect("a folder").to_owned();
    let done = cairn_json(&folder, &["restore", &backup, "--record", &other, "--json"], 0);
    assert_eq!(done["created"], 1, "{done}");
    let found = cairn_json(&folder, &["verify", "--json"], 0);
    assert_eq!(found["sound"], true, "{found}");
}

/// S66: on request a restored file lets nobody in with what the backup had: tokens end, everything else is there.
#[test]
fn s66_a_restore_can_end_sessions() {
    let server = Setup::new().start();
    let person = server.person();
    assert_eq!(person.get("/types").status, 200);
    let made = server.owner().poke("/_/backups").is(201);
    let path = format!("/_/backups/{}/restore", text(&made["name"]));
    server.owner().post(&path, json!({ "endSessions": true })).is(202);
    let token = person.token.clone().unwrap();
    until(|| status(&server, &token, "/types").as_deref() == Some("401"));
    server.owner().get("/types").is(200);
}

/// Killed at any stage, `restore` leaves the old file or the new one, whole; the same command again is done.
#[test]
fn a_kill_in_the_middle_leaves_one_of_the_two() {
    let home = tempfile::tempdir().expect("a folder");
    let at = home.path();
    cairn(at, &["init"], 0);
    std::fs::write(at.join("rows.ndjson"), "{\"text\":\"one\"}\n".repeat(2_000)).expect("written");
    cairn(at, &["import", "rows.ndjson", "--file", "stack.cairn", "--type", NOTE, "--infer"], 0);
    cairn(at, &["backup", "b.cairn"], 0);
    let new = cairn_json(at, &["verify", "--json"], 0)["digest"].clone();
    std::fs::write(at.join("more.ndjson"), "{\"text\":\"two\"}\n").expect("written");
    cairn(at, &["import", "more.ndjson", "--file", "stack.cairn", "--type", NOTE], 0);
    let old = cairn_json(at, &["verify", "--json"], 0)["digest"].clone();
    assert_ne!(old, new);
    for stage in ["counts", "references", "blobs", "digest"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .args(["restore", "b.cairn"])
            .current_dir(at)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let _ = said.lines().map_while(Result::ok).find(|line| line.ends_with(stage));
        child.kill().expect("killed");
        child.wait().expect("it ended");
        let found = cairn_json(at, &["verify", "--json"], 0);
        let digest = &found["digest"];
        assert!(found["sound"] == true && (*digest == old || *digest == new), "{stage}: {found}");
        // Opening it decides the same, and that stays.
        cairn(at, &["doctor"], 0);
        let found = cairn_json(at, &["verify", "--json"], 0);
        let digest = &found["digest"];
        assert!(found["sound"] == true && (*digest == old || *digest == new), "{stage}: {found}");
    }
    cairn(at, &["restore", "b.cairn"], 0);
    assert_eq!(cairn_json(at, &["verify", "--json"], 0)["digest"], new);
    for name in old_ones(at) {
        let kept = cairn_json(at, &["verify", &name, "--json"], 0)["digest"].clone();
        assert!(kept == old || kept == new, "{name}");
    }
    let left = names(at);
    assert!(
        !left.iter().any(|name| name.ends_with(".part") || name.ends_with("-restored")),
        "{left:?}"
    );
}

/// What was answered is done: a server killed right after it said so starts with the restored file.
#[test]
fn a_kill_after_the_answer_is_finished_by_the_next_start() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let made = server.owner().poke("/_/backups").is(201);
    let lost = id(&server.owner().make(NOTE, json!({ "n": 2 })));
    let path = format!("/_/backups/{}/restore", text(&made["name"]));
    server.owner().poke(&path).is(202);
    let server = server.kill().start();
    assert_eq!(server.owner().get(&format!("/records/{lost}")).status, 404);
    assert_eq!(old_ones(server.folder()).len(), 1);
}

/// Whether any file of a folder that begins so holds these bytes, in any case of letters.
fn holds(folder: &Path, prefix: &str, secret: &str) -> Vec<String> {
    let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
    names(folder)
        .into_iter()
        .filter(|name| name.starts_with(prefix) && folder.join(name).is_file())
        .filter(|name| {
            let bytes = lower(&std::fs::read(folder.join(name)).expect("read"));
            bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
        })
        .collect()
}

/// After `purge` no byte of a record is left: not of its states, its history, its words in the search, its tags, its file, nor
/// of what the pages held before.
#[test]
fn a_purge_leaves_no_byte() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let owner = server.owner();
    let filler: Vec<String> = (0..40)
        .map(|n| id(&owner.make(NOTE, json!({ "text": format!("filler number {n} ").repeat(40) }))))
        .collect();
    let bytes = "The zanzibarfile secret. ".repeat(30_000);
    let file = text(&owner.upload("text/plain", bytes.as_bytes())["fileId"]).to_owned();
    let body = json!({
        "typeId": NOTE,
        "content": { "text": "Zanzibarfirst word" },
        "associations": [
            { "kind": "tag", "label": "zanzibartag" },
            { "kind": "attachment", "label": "scan", "fileId": file },
        ],
    });
    let secret = id(&owner.create(body).is(200));
    let path = format!("/records/{secret}");
    owner.patch(&path, json!({ "text": "Zanzibarsecond ".repeat(600) })).is(200);
    owner.patch(&path, json!({ "text": "Zanzibarthird" })).is(200);
    for id in &filler[..20] {
        owner.patch(&format!("/records/{id}"), json!({ "text": "less" })).is(200);
    }
    let setup = server.stop();
    let folder = setup.file().parent().expect("a folder").to_owned();
    assert_eq!(holds(&folder, "stack.cairn", "zanzibar"), ["stack.cairn"]);
    let before = export(&folder, "stack.cairn").len();
    let done = cairn_json(&folder, &["purge", &secret, "--json"], 0);
    assert_eq!((&done["purged"], &done["filesRemoved"]), (&json!(1), &json!(1)), "{done}");
    assert!(holds(&folder, "stack.cairn", "zanzibar").is_empty());
    assert_eq!(names(&folder).iter().filter(|name| name.starts_with("stack.cairn")).count(), 1);
    let found = cairn_json(&folder, &["verify", "--json"], 0);
    assert_eq!(found["sound"], true, "{found}");
    assert!(export(&folder, "stack.cairn").len() < before);
    let (_, why) = cairn(&folder, &["purge", "nobody"], 1);
    assert!(why.contains("nobody"), "{why}");
    let server = setup.start();
    let owner = server.owner();
    assert_eq!(owner.get(&path).status, 404);
    assert_eq!(owner.find(json!({ "filter": { "search": "filler" } })).len(), 20);
    // A record that is removed for good while a server runs leaves its pages at once, too.
    let other = id(&owner.make(NOTE, json!({ "n": 1, "text": "quicksilverword ".repeat(500) })));
    owner.delete(&format!("/records/{other}?hard=true"));
    let setup = server.stop();
    let raw = std::fs::read(setup.file()).expect("read");
    assert!(!raw.windows(31).any(|part| part == b"quicksilverword quicksilverword"));
}

/// `compact` gives the free pages back and keeps everything else; old versions go by rule only, and it says how many.
#[test]
fn compacting_keeps_everything_but_free_pages() {
    let home = tempfile::tempdir().expect("a folder");
    let at = home.path();
    cairn(at, &["init"], 0);
    let rows = format!("{{\"text\":\"{}\"}}\n", "word ".repeat(200)).repeat(1_500);
    std::fs::write(at.join("rows.ndjson"), rows).expect("written");
    cairn(at, &["import", "rows.ndjson", "--file", "stack.cairn", "--type", NOTE, "--infer"], 0);
    let ids: Vec<String> = export(at, "stack.cairn")
        .iter()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line");
            (line["record"]["typeId"] == NOTE).then(|| text(&line["record"]["id"]).to_owned())
        })
        .collect();
    let mut arguments = vec!["purge"];
    arguments.extend(ids[..700].iter().map(String::as_str));
    cairn(at, &arguments, 0);
    let size = || std::fs::metadata(at.join("stack.cairn")).expect("there").len();
    let (small, before) = (size(), export(at, "stack.cairn"));
    let digest = cairn_json(at, &["verify", "--json"], 0)["digest"].clone();
    let done = cairn_json(at, &["compact", "--json"], 0);
    assert_eq!((&done["versionsPruned"], size() <= small), (&json!(0), true), "{done}");
    assert_eq!(cairn_json(at, &["verify", "--json"], 0)["digest"], digest);
    assert_eq!(export(at, "stack.cairn"), before);
    assert_eq!(mode(&at.join("stack.cairn")), 0o600);
    let listed = names(at);
    assert_eq!(listed, ["rows.ndjson", "stack.cairn"], "{listed:?}");
    // `doctor` misses the backup, and is content with one wherever it is.
    let (said, _) = cairn(at, &["doctor"], 0);
    assert!(said.contains("there is no backup"), "{said}");
    cairn(at, &["backup", "elsewhere.cairn"], 0);
    let (said, _) = cairn(at, &["doctor"], 0);
    assert!(said.contains("last verified backup: ") && !said.contains("no backup"), "{said}");
}

/// A file of some size, closed: its bytes, and what an export said about its records.
fn to_damage(at: &Path) -> (Vec<u8>, Vec<String>) {
    cairn(at, &["init"], 0);
    let rows: String = (0..1_200)
        .map(|n| format!("{{\"n\":{n},\"text\":\"note number {n} {}\"}}\n", "word ".repeat(30)))
        .collect();
    std::fs::write(at.join("rows.ndjson"), rows).expect("written");
    cairn(at, &["import", "rows.ndjson", "--file", "stack.cairn", "--type", NOTE, "--infer"], 0);
    std::fs::create_dir(at.join("photos")).expect("made");
    for n in 0..4_u8 {
        std::fs::write(at.join(format!("photos/{n}.bin")), vec![n + 1; 400_000]).expect("written");
    }
    cairn(at, &["import", "photos/", "--file", "stack.cairn"], 0);
    (std::fs::read(at.join("stack.cairn")).expect("read"), records(&export(at, "stack.cairn")))
}

/// The lines of an export that are records of notes.
fn records(lines: &[String]) -> Vec<String> {
    let of_notes = |line: &&String| line.starts_with("{\"record\"") && line.contains(NOTE);
    lines.iter().filter(of_notes).cloned().collect()
}

/// Pages overwritten here and there, the root of a tree among them: every record and file on the other pages is saved, word for
/// word, and what is lost is said.
#[test]
fn what_can_be_read_of_a_damaged_file_is_saved() {
    let home = tempfile::tempdir().expect("a folder");
    let at = home.path();
    let (whole, before) = to_damage(at);
    // Sound: nothing is lost, and the result is the same.
    let done = cairn_json(at, &["doctor", "stack.cairn", "--salvage", "same.cairn", "--json"], 0);
    assert_eq!((&done["blobs"], &done["blobsLost"]), (&json!(4), &json!([])), "{done}");
    assert_eq!(records(&export(at, "same.cairn")), before);

    // Every 20th page, and the page that the table of records begins at.
    let mut damaged = whole.clone();
    let pages = damaged.len() / 4_096;
    for page in (20..pages).step_by(20) {
        damaged[page * 4_096..(page + 1) * 4_096].fill(0xa5);
    }
    std::fs::write(at.join("bad.cairn"), &damaged).expect("written");
    let said = cairn_json(at, &["verify", "bad.cairn", "--json"], 1);
    assert_eq!(said["sound"], false);
    let done = cairn_json(at, &["doctor", "bad.cairn", "--salvage", "saved.cairn", "--json"], 1);
    assert_eq!(std::fs::read(at.join("bad.cairn")).expect("read"), damaged, "only read");
    assert!(done["pagesDamaged"].as_u64().is_some_and(|n| n > 0), "{done}");
    let saved = records(&export(at, "saved.cairn"));
    let kept = saved.iter().filter(|line| before.contains(line)).count();
    assert_eq!(kept, saved.len(), "nothing is made up");
    assert!(kept * 100 >= before.len() * 88, "{kept} of {}", before.len());
    let found = cairn_json(at, &["verify", "saved.cairn", "--json"], 0);
    assert_eq!(found["sound"], true, "{found}");
    let lost = done["blobsLost"].as_array().map_or(0, Vec::len);
    assert_eq!(done["blobs"].as_u64().map(|blobs| blobs + lost as u64), Some(4), "{done}");
    // It is searched, and served, like any other file.
    let (rows, _) = cairn(at, &["doctor", "saved.cairn"], 0);
    assert!(rows.contains("records"), "{rows}");

    // Cut off in the middle, and without its first pages.
    std::fs::write(at.join("cut.cairn"), &whole[..whole.len() / 2 + 1_000]).expect("written");
    let done =
        cairn_json(at, &["doctor", "cut.cairn", "--salvage", "cut-saved.cairn", "--json"], 1);
    let saved = records(&export(at, "cut-saved.cairn"));
    assert!(!saved.is_empty() && saved.iter().all(|line| before.contains(line)), "{done}");
    let mut headless = whole.clone();
    headless[..3 * 4_096].fill(0);
    std::fs::write(at.join("headless.cairn"), &headless).expect("written");
    let done =
        cairn_json(at, &["doctor", "headless.cairn", "--salvage", "head-saved.cairn", "--json"], 1);
    assert!(done["records"].as_i64().is_some_and(|n| n > 1_000), "{done}");
    assert_eq!(done["blobs"], 4, "{done}");
    std::fs::write(at.join("noise.cairn"), vec![0x5a; 100_000]).expect("written");
    let (_, why) = cairn(at, &["doctor", "noise.cairn", "--salvage", "none.cairn"], 1);
    assert!(why.contains("holds nothing that can be read"), "{why}");
    assert!(!at.join("none.cairn").exists());
}

/// The log of a killed server counts as far as it is whole; without it, what was copied back before is there.
#[test]
fn a_log_is_salvaged_as_far_as_it_goes() {
    let server = Setup::new().start();
    server.register(NOTE, json!({}));
    let owner = server.owner();
    let first = id(&owner.make(NOTE, json!({ "n": 1 })));
    // Stopped and started again: the first is in the file itself, the others in the log.
    let server = server.stop().start();
    let owner = server.owner();
    let second = id(&owner.make(NOTE, json!({ "n": 2 })));
    owner.patch(&format!("/records/{first}"), json!({ "n": 10 })).is(200);
    let setup = server.kill();
    let folder = setup.file().parent().expect("a folder").to_owned();
    let has = |file: &str, id: &str| -> Option<i64> {
        records(&export(&folder, file)).iter().find_map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line");
            (line["record"]["id"] == id).then(|| line["record"]["content"]["n"].as_i64())?
        })
    };
    cairn(&folder, &["doctor", "stack.cairn", "--salvage", "with.cairn"], 0);
    assert_eq!((has("with.cairn", &first), has("with.cairn", &second)), (Some(10), Some(2)));
    std::fs::copy(folder.join("stack.cairn"), folder.join("alone.cairn")).expect("copied");
    cairn(&folder, &["doctor", "alone.cairn", "--salvage", "without.cairn"], 0);
    assert_eq!(cairn_json(&folder, &["verify", "without.cairn", "--json"], 0)["sound"], true);
    assert!(has("without.cairn", &first).is_some());
}
