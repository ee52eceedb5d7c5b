//! The built program, driven as people and scripts drive it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use cairn::engine::{Engine, EngineOptions, NewRecord, RowOp, UploadInput, Verb};
use serde_json::{Value, json};

/// A folder of its own, in which the program runs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CAIRN_") {
                command.env_remove(name);
            }
        }
        command.env_remove("PORT").env_remove("BASE_URL");
        command
    }

    /// Runs to the end and expects this exit code; gives standard output and standard error.
    #[track_caller]
    fn run(&self, line: &str, code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert_eq!(status.code(), Some(code), "cairn {line}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    #[track_caller]
    fn json(&self, line: &str, code: i32) -> Value {
        serde_json::from_str(&self.run(line, code).0).unwrap()
    }

    /// Starts a server on a free port and waits for what it prints last.
    fn serve(&self, line: &str) -> Served {
        self.serve_with(line, &[])
    }

    fn serve_with(&self, line: &str, variables: &[(&str, &str)]) -> Served {
        let listen = if line.contains("--listen") { "" } else { "--listen 127.0.0.1:0" };
        let mut child = self
            .command(&format!("{line} {listen}"))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| line != "Stop with Ctrl-C") {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                let mut why = String::new();
                child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("it ended: {lines:?} {why}");
            }
            lines.push(line.trim_end().to_owned());
        }
        let (_, url) = lines[0].rsplit_once(" at ").unwrap();
        let url = url.to_owned();
        Served { child, stdout, lines, url }
    }

    fn engine(&self, name: &str) -> Engine {
        Engine::open(&self.path(name), &EngineOptions::default()).unwrap()
    }
}

/// A running server; killed when a test fails.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    lines: Vec<String>,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; gives how it ended, the rest of standard output, and standard error.
    fn end(&mut self) -> (ExitStatus, String, String) {
        let (mut rest, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), rest, log)
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.url.trim_start_matches("http://")).unwrap()
    }

    /// A request on a connection of its own; gives status and body.
    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let mut stream = self.connect();
        let credential =
            token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{credential}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }
}

/// What an export says about the stack: types, files and records, each record with its versions, in a fixed order. When
/// the export and its types were made is left out.
fn essence(export: &str) -> Vec<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    for line in export.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("version").is_some() || line.get("chunk").is_some() {
            parts.last_mut().unwrap().push(line);
        } else {
            parts.push(vec![line]);
        }
    }
    // The settings record of a new file is younger than the records that are copied into it.
    parts.sort_by_key(|part| part[0].to_string());
    parts
}

#[test]
fn exit_codes() {
    let place = Place::new();
    place.run("--version", 0);
    place.run("--help", 0);
    place.run("init a.cairn", 0);
    place.run("nonsense", 2);
    place.run("serve --nonsense", 2);
    place.run("serve --durability fast", 2);
    place.run("token new --file a.cairn --expires tomorrow", 2);
    let (_, why) = place.run("init a.cairn", 1);
    assert!(why.contains("a.cairn exists already"), "{why}");
    let (_, why) = place.run("verify missing.cairn", 1);
    assert!(why.contains("missing.cairn does not exist; make it with"), "{why}");
    assert_eq!(why.lines().count(), 1, "one line, no backtrace: {why}");
    assert!(!place.path("missing.cairn").exists(), "looking makes no file");
}

/// `--help` says of each command what it does; clap would take the comment of a part of its arguments.
#[test]
fn help_says_what_commands_do() {
    let (help, _) = Place::new().run("--help", 0);
    for line in [
        "init Make a stack file and its owner",
        "import Bring in NDJSON, JSON, CSV, a folder of files or an export",
        "export Write everything as NDJSON that `cairn import` reads",
        "verify Check pages, references, histories and every blob of a file",
        "doctor Say what is in a file and what deserves a look",
    ] {
        let said = help.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(said.into_iter().any(|said| said == line), "{line}: {help}");
    }
}

/// S65: the file is private from its first moment, and made private again when it was not.
#[cfg(unix)]
#[test]
fn s65_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    place.run("init a.cairn", 0);
    assert_eq!(mode("a.cairn"), 0o600);
    fs::set_permissions(place.path("a.cairn"), fs::Permissions::from_mode(0o644)).unwrap();
    let advice = place.json("doctor a.cairn --json", 0);
    assert_eq!(advice["mode"], "644");
    assert_eq!(mode("a.cairn"), 0o600);
    place.run("export a.cairn --output a.ndjson --blobs files", 0);
    assert_eq!((mode("a.ndjson"), mode("files")), (0o600, 0o700));
}

#[test]
fn foreign_and_newer_files_are_left_alone() {
    let place = Place::new();
    place.write("notes.txt", &"not a database ".repeat(20));
    let (_, why) = place.run("verify notes.txt", 1);
    assert!(why.contains("notes.txt is not a stack file"), "{why}");
    place.run("init a.cairn", 0);
    let mut bytes = fs::read(place.path("a.cairn")).unwrap();
    bytes[60..64].copy_from_slice(&999_i32.to_be_bytes());
    fs::write(place.path("new.cairn"), &bytes).unwrap();
    let (_, why) = place.run("export new.cairn", 1);
    assert!(why.contains("format 999") && why.contains("install a newer cairn"), "{why}");
    assert_eq!(fs::read(place.path("new.cairn")).unwrap(), bytes, "nothing was changed");
}

#[test]
fn damage_is_found() {
    let place = Place::new();
    place.run("init a.cairn", 0);
    assert_eq!(place.json("verify a.cairn --json", 0)["sound"], true);
    place.write("rows.ndjson", "{\"text\":\"remarkable words\"}\n");
    place.run("import rows.ndjson --file a.cairn --type com.example/note@1 --infer", 0);
    let mut bytes = fs::read(place.path("a.cairn")).unwrap();
    let at = bytes.windows(10).position(|w| w == b"remarkable").unwrap();
    bytes[at - 2] = b'}';
    fs::write(place.path("b.cairn"), bytes).unwrap();
    let found = place.json("verify b.cairn --json", 1);
    assert_eq!(found["sound"], false);
    assert!(found["faults"][0].as_str().unwrap().contains("JSON"), "{found}");
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let place = Place::new();
    place.run("init a.cairn", 0);
    let made = place.json("token new --file a.cairn --label laptop --expires 2020-01-01 --json", 0);
    let (secret, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(secret.len(), 64);
    let list = place.json("token list --file a.cairn --json", 0);
    assert_eq!((&list[0]["id"], &list[0]["label"]), (&made["id"], &json!("laptop")));
    assert!(!list.to_string().contains(secret), "S30: shown once");
    assert_eq!(place.json("doctor a.cairn --json", 0)["tokensExpired"], 1);
    place.run(&format!("token revoke --file a.cairn {id}"), 0);
    let (_, why) = place.run(&format!("token revoke --file a.cairn {id}"), 1);
    assert!(why.contains("there is no token"), "{why}");
}

#[test]
fn types_are_added_listed_and_shown() {
    let place = Place::new();
    place.run("init a.cairn", 0);
    place.write(
        "types.json",
        r#"[{"id":"com.example/note@1","schema":{"title":{"kind":"string","indexed":true}}}]"#,
    );
    place.run("type add --file a.cairn types.json", 0);
    let (shown, _) = place.run("type show --file a.cairn com.example/note@1", 0);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["name"], &shown["schema"]["title"]["indexed"]),
        (&json!("Note"), &json!(true))
    );
    assert!(place.run("type list --file a.cairn", 0).0.contains("com.example/note@1  title"));
    place
        .write("types.json", r#"{"id":"com.example/note@1","schema":{"title":{"kind":"number"}}}"#);
    let (_, why) = place.run("type add --file a.cairn types.json", 1);
    assert!(why.contains("title") && why.contains("new version"), "{why}");
}

const TOWNS: &str =
    "Name,Pop,Zip\nBern,134000,03000\nZug,many,1\nUri,1\n\"Chur\nCity\",38000,7000\n";

/// Good rows are kept; each bad one is reported with the line where it starts, and why.
#[test]
fn import_rejects_bad_rows_by_line() {
    let place = Place::new();
    place.run("init", 0);
    place.write("town.json", r#"{"id":"com.example/town@1","schema":{"name":{"kind":"string","required":true},"pop":{"kind":"number"},"zip":{"kind":"string"}}}"#);
    place.run("type add town.json", 0);
    place.write("towns.csv", TOWNS);
    let line = "import towns.csv --type com.example/town@1 --map Name=name --map Pop=pop --map Zip=zip \
                --id-column Zip --report bad.ndjson --json";
    let done = place.json(line, 1);
    assert_eq!((&done["imported"], &done["rejected"]), (&json!(2), &json!(2)));
    let report: Vec<Value> =
        place.read("bad.ndjson").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(report.len(), 2, "{report:?}");
    assert_eq!((&report[0]["line"], &report[1]["line"]), (&json!(3), &json!(4)));
    assert!(report[0]["reason"].as_str().unwrap().starts_with("pop:"), "{report:?}");
    assert_eq!(report[1]["reason"], "2 columns, the header has 3");
    let export = place.run("export", 0).0;
    assert!(export.contains(r#"{"name":"Chur\nCity","pop":38000,"zip":"7000"}"#), "{export}");
    assert!(export.contains(r#""alias":"03000""#), "{export}");
    // The ids are taken now: the same rows again are rejected, not doubled.
    let again = place.json(&format!("{line} --again"), 1);
    assert_eq!((&again["imported"], &again["rejected"]), (&json!(0), &json!(4)));
    let why = place.read("bad.ndjson");
    assert!(why.contains("another record of the collection has this id"), "{why}");
    assert!(!why.to_lowercase().contains("constraint"), "S23: in words, not in those of the store");
    let (_, why) = place.run("import towns.csv --type com.example/town@1 --map Nam=name", 2);
    assert!(why.contains("no column \"Nam\"; the columns are Name, Pop, Zip"), "{why}");
}

#[test]
fn import_infers_a_schema() {
    let place = Place::new();
    place.write("towns.csv", "name,pop,zip\nBern,134000,03000\nChur,38000.5,7000\n");
    let (shown, _) = place.run("import towns.csv --type com.example/town@1 --infer --dry-run", 0);
    assert!(shown.contains("\"number\"") && shown.contains("2 would be imported"), "{shown}");
    assert!(!place.path("stack.cairn").exists(), "a dry run makes no file");
    let done = place.json("import towns.csv --type com.example/town@1 --infer --json", 0);
    assert_eq!(done["schema"]["pop"]["kind"], "number");
    assert_eq!(done["schema"]["zip"]["kind"], "string");
    assert!(place.run("export", 0).0.contains(r#"{"name":"Bern","pop":134000,"zip":"03000"}"#));
    let (_, why) = place.run("import towns.csv --type com.example/other@1", 1);
    assert!(why.contains("com.example/other@1 is not registered"), "{why}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = Place::new();
    place.run("init", 0);
    place.write("a.json", r#"[{"a":1},{"a":"x"},{"__proto__":1}]"#);
    place.write("t.json", r#"{"id":"t@1","schema":{"a":{"kind":"number"}}}"#);
    place.run("type add t.json", 0);
    let before = (place.json("verify --json", 0), fs::read(place.path("stack.cairn")).unwrap());
    let done = place.json("import a.json --type t@1 --dry-run --json", 1);
    assert_eq!((&done["imported"], &done["rejected"]), (&json!(1), &json!(2)));
    let after = (place.json("verify --json", 0), fs::read(place.path("stack.cairn")).unwrap());
    assert!(before == after, "{} {}", before.0, after.0);
}

/// Killed in the middle, the same command brings in the rest: every row once.
#[test]
fn import_goes_on_after_a_kill() {
    const ROWS: usize = 5_000;
    let place = Place::new();
    place.run("init", 0);
    place.write("t.json", r#"{"id":"t@1","schema":{"n":{"kind":"number"}},"search":false}"#);
    place.run("type add t.json", 0);
    let rows: String = (0..ROWS).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    place.write("rows.ndjson", &rows);
    let line = "import rows.ndjson --type t@1 --json";
    let mut child =
        place.command(&format!("{line} --batch 1")).stdout(Stdio::null()).spawn().unwrap();
    // The log grows with every batch; some hundred batches in, the process dies.
    let log = place.path("stack.cairn-wal");
    while fs::metadata(&log).map_or(0, |m| m.len()) < 1 << 20 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let rest = place.json(line, 0)["imported"].as_u64().unwrap();
    assert!(rest > 0 && rest < ROWS as u64, "it went on, and not from the start: {rest}");
    let export = place.run("export", 0).0;
    let mut seen: Vec<u64> = export
        .lines()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line.pointer("/record/content/n").and_then(Value::as_u64)
        })
        .collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..ROWS as u64), "each row once: {} rows", seen.len());
    let (_, said) = place.run(line, 0);
    assert!(said.contains("was imported before"), "{said}");
}

/// A source that changed meanwhile is not continued blindly.
#[test]
fn a_changed_source_is_not_continued() {
    let place = Place::new();
    place.run("init", 0);
    place.write("t.json", r#"{"id":"t@1","schema":{}}"#);
    place.run("type add t.json", 0);
    place.write("rows.json", "[{\"a\":1},\n{\"a\":2},");
    let (_, why) = place.run("import rows.json --type t@1", 1);
    assert!(why.contains("2 rows imported") && why.contains("ends inside the array"), "{why}");
    place.write("rows.json", "[{\"a\":1},\n{\"a\":2},\n{\"a\":3}]");
    let (_, why) = place.run("import rows.json --type t@1", 1);
    assert!(why.contains("has changed since its import stopped at line 2"), "{why}");
}

#[test]
fn folders_become_attachments() {
    let place = Place::new();
    fs::create_dir_all(place.path("files/sub")).unwrap();
    place.write("files/a.txt", "hello");
    place.write("files/sub/b.png", "not really");
    place.write("files/sub/c.txt", "hello");
    place.write("files/empty", "");
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.txt", place.path("files/link")).unwrap();
    assert_eq!(place.json("import files --json", 0)["imported"], 4);
    let again = place.json("import files --json", 0);
    assert_eq!((&again["imported"], &again["present"]), (&json!(0), &json!(4)));
    let export = place.run("export", 0).0;
    assert!(
        export.contains("\"filename\":\"sub/b.png\"") && export.contains("image/png"),
        "{export}"
    );
    assert_eq!(place.json("doctor --json", 0)["blobs"], 3, "equal bytes are stored once");
}

/// Makes a stack with everything an export has to carry.
fn rich_stack(place: &Place) {
    place.run("init a.cairn", 0);
    let engine = place.engine("a.cairn");
    let owner = engine.owner_caller();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for id in ["com.example/note@1", "com.example/note@2", "_own@1"] {
            let input =
                json!({"text": {"kind": "string", "indexed": true}, "n": {"kind": "number"}});
            let input = cairn::engine::NewTypeInput {
                id: id.into(),
                name: "Note".into(),
                schema: input.as_object().unwrap().clone(),
                schema_hash: None,
                migrates_from: None,
                search: None,
            };
            engine.register_type(&owner, input).await.unwrap();
        }
        let object = |value: Value| value.as_object().unwrap().clone();
        let new = |content: Value| NewRecord {
            type_id: "com.example/note@1".into(),
            content: object(content),
            app: Some("com.example.app".into()),
            permissions: vec![json!({"access": "public"})],
            ..NewRecord::default()
        };
        let mut upload = engine
            .begin_upload(
                &owner,
                UploadInput {
                    media_type: "text/plain".into(),
                    filename: Some("ä.txt".into()),
                    app: None,
                    record: true,
                },
            )
            .await
            .unwrap();
        for n in 0..3_u8 {
            upload.write(vec![n; 200_000].into()).await.unwrap();
        }
        let file = upload.finish().await.unwrap().file_id;
        let first = engine.create(&owner, new(json!({"text": "one", "n": 1.50}))).await.unwrap();
        let second = engine
            .create(
                &owner,
                NewRecord {
                    parent: Some(first.id.clone()),
                    ..new(json!({"text": "zwei ✓", "x": {"y": [null, 1e30]}}))
                },
            )
            .await
            .unwrap();
        engine.update(&owner, &first.id, object(json!({"text": "uno"})), None).await.unwrap();
        for association in [
            json!({"kind": "tag", "label": "starred"}),
            json!({"kind": "attachment", "label": "scan", "fileId": file}),
            json!({"kind": "relationship", "label": "after", "recordId": second.id}),
        ] {
            engine.associate(&owner, &first.id, object(association), None).await.unwrap();
        }
        engine.set_permissions(&owner, &first.id, vec![], None).await.unwrap();
        engine
            .migrate(&owner, &second.id, "com.example/note@2", object(json!({"text": "two"})), None)
            .await
            .unwrap();
        engine.delete(&owner, &second.id, None).await.unwrap();
        // A collection whose rules are those of live, and a row with an id of its own choosing.
        let row = RowOp {
            verb: Verb::Set,
            entity: "todos".into(),
            id: Some("first".into()),
            data: object(json!({"title": "x"})),
            targets: Vec::new(),
            if_tx: None,
        };
        engine.mutate(&owner, vec![row]).await.unwrap().unwrap();
    });
    engine.close();
}

/// An export imported into an empty file gives an equal stack: records, histories, rights, files.
#[test]
fn an_export_makes_an_equal_stack() {
    let place = Place::new();
    rich_stack(&place);
    place.run("export a.cairn --output all.ndjson", 0);
    // A smaller limit for uploads is no reason to leave out what the other stack took.
    let done = place
        .command("import all.ndjson --file b.cairn")
        .env("CAIRN_ATTACHMENT_BYTES_MAX", "100000")
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && said.is_empty(), "same owner, nothing rejected: {said}");
    place.run("export b.cairn --output again.ndjson", 0);
    let (first, second) =
        (essence(&place.read("all.ndjson")), essence(&place.read("again.ndjson")));
    assert_eq!(first.iter().flatten().count(), 31);
    assert!(place.read("again.ndjson").contains("\"open\":true"));
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(a, b);
    }
    assert_eq!(first.len(), second.len());
    let counts = |name: &str| {
        let found = place.json(&format!("doctor {name} --json"), 0);
        [
            "owner",
            "types",
            "records",
            "deletedRecords",
            "versions",
            "associations",
            "blobs",
            "blobBytes",
            "publicRecords",
        ]
        .map(|key| found[key].clone())
    };
    assert_eq!(counts("a.cairn"), counts("b.cairn"));
    assert_eq!(place.json("verify b.cairn --json", 0)["sound"], true);
    // The copy works on: history is where it was, search finds words.
    let engine = place.engine("b.cairn");
    let owner = engine.owner_caller();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let query = cairn::engine::Query { search: Some("uno".into()), ..Default::default() };
    let page = runtime.block_on(engine.query(&owner, query)).unwrap();
    let versions = engine.versions(&owner, &page.records[0].id, None).unwrap().0;
    assert_eq!((page.records[0].version, versions.len()), (6, 5));
    engine.close();
    // With the bytes of files in a folder beside it.
    place.run("export a.cairn --output lean.ndjson --blobs files", 0);
    assert!(!place.read("lean.ndjson").contains("chunk"));
    let (_, why) = place.run("import lean.ndjson --file c.cairn", 1);
    assert!(why.contains("--blobs DIR"), "{why}");
    place.run("import lean.ndjson --file c.cairn --blobs files", 0);
    place.run("export c.cairn --output third.ndjson", 0);
    assert!(essence(&place.read("third.ndjson")) == second);
}

#[test]
fn a_cut_or_broken_export_is_refused() {
    let place = Place::new();
    rich_stack(&place);
    place.run("export a.cairn --output all.ndjson", 0);
    let whole = place.read("all.ndjson");
    let cut: Vec<&str> = whole.lines().collect();
    place.write("cut.ndjson", &(cut[..cut.len() - 1].join("\n") + "\n"));
    for line in ["import cut.ndjson --file b.cairn", "import cut.ndjson --file c.cairn --dry-run"] {
        let (_, why) = place.run(line, 1);
        assert!(why.contains("cut short"), "{why}");
    }
    assert!(!place.path("c.cairn").exists());
    // A changed byte of a file is noticed by its name.
    place.write("bad.ndjson", &whole.replacen("AAAA", "AAAB", 1));
    let (_, why) = place.run("import bad.ndjson --file d.cairn", 1);
    assert!(why.contains("is damaged"), "{why}");
    place.write("future.ndjson", &whole.replacen("\"export\":1", "\"export\":2", 1));
    let (_, why) = place.run("import future.ndjson --file e.cairn", 1);
    assert!(why.contains("install a newer cairn"), "{why}");
}

#[test]
fn settings_are_printed() {
    let place = Place::new();
    let (sample, _) = place.run("serve --print-config", 0);
    assert!(sample.contains("# listen = [\"127.0.0.1:7700\", \"[::1]:7700\"]"), "{sample}");
    place.write("cairn.toml", "durability = 'normal'\nowner_token = 'sesame-sesame'\n");
    let (used, _) = place.run("serve --config cairn.toml --listen 8080 --print-config", 0);
    assert!(used.contains("# set by: cairn.toml\ndurability = \"normal\""), "{used}");
    assert!(used.contains("# set by: flag\nlisten = [\"127.0.0.1:8080\""), "{used}");
    assert!(!used.contains("sesame"), "S70");
    place.write("cairn.toml", "durabilty = 'normal'\n");
    let (_, why) = place.run("serve --config cairn.toml", 2);
    assert!(why.contains("no setting \"durabilty\""), "{why}");
    assert!(!Path::new(&place.path("stack.cairn")).exists());
}

/// First start: three lines and not a word more; the link gives the owner a token, once; the next start has no link.
#[cfg(unix)]
#[test]
fn the_first_start_is_three_lines() {
    let place = Place::new();
    let mut served = place.serve("serve a.cairn");
    assert_eq!(served.lines.len(), 3, "{:?}", served.lines);
    assert_eq!(served.lines[0], format!("Cairn serves a.cairn at {}", served.url));
    let link = served.lines[1].strip_prefix("Owner link, works once: ").unwrap();
    let (page, secret) = link.split_once("#owner-link=").unwrap();
    assert_eq!((page, secret.len()), (format!("{}/_/", served.url).as_str(), 64), "S2");
    let body = json!({ "secret": secret }).to_string();
    let (status, answer) = served.ask("POST", "/_/owner-link", None, &body);
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap();
    assert_eq!(served.ask("GET", "/tokens", Some(token), "").0, 200);
    assert_eq!(served.ask("POST", "/_/owner-link", None, &body).0, 401, "it works once");
    served.signal("TERM");
    let (status, rest, log) = served.end();
    assert!(status.success() && rest.is_empty() && log.is_empty(), "{status} {rest:?} {log:?}");
    let again = place.serve("serve a.cairn");
    assert_eq!(again.lines.len(), 2, "{:?}", again.lines);
    assert_eq!(again.ask("GET", "/tokens", Some(token), "").0, 200);
}

/// Until it was used each start has a fresh link, and the one before is void. The first process is killed within its first
/// second, which once left a file that the second did not take for one of ours.
#[test]
fn an_unused_owner_link_is_replaced() {
    let place = Place::new();
    let secret = |served: &Served| served.lines[1].split_once("#owner-link=").unwrap().1.to_owned();
    let first = place.serve("serve");
    let old = secret(&first);
    drop(first);
    let second = place.serve("serve");
    assert_ne!(secret(&second), old);
    let spend = |secret: &str| {
        second.ask("POST", "/_/owner-link", None, &json!({ "secret": secret }).to_string()).0
    };
    assert_eq!((spend(&old), spend(&secret(&second))), (401, 200));
}

/// S2, S70: with an owner token there is no link, and the token is in no output.
#[cfg(unix)]
#[test]
fn s70_the_owner_token_is_not_shown() {
    let place = Place::new();
    let token = "sesame-open-sesame-open";
    let mut served = place.serve_with("serve --log debug", &[("CAIRN_OWNER_TOKEN", token)]);
    assert_eq!(served.lines.len(), 2, "{:?}", served.lines);
    assert_eq!(served.ask("GET", "/tokens", Some(token), "").0, 200);
    assert_eq!(served.ask("GET", "/tokens", Some("sesame-open-sesame-opem"), "").0, 401);
    assert_eq!(served.ask("GET", "/tokens", None, "").0, 401, "S7: loopback is no credential");
    served.signal("INT");
    let (status, rest, log) = served.end();
    assert!(status.success());
    assert!(
        !served.lines.concat().contains(token) && !rest.contains(token) && !log.contains(token)
    );
}

/// The ready file is whole when it appears and gone after the end; the file stands alone then.
#[cfg(unix)]
#[test]
fn ready_file_and_clean_end() {
    let place = Place::new();
    for signal in ["TERM", "INT", "HUP"] {
        let mut served = place.serve("serve a.cairn --ready-file ready.json");
        let path = place.path("ready.json");
        while !path.exists() {
            std::thread::yield_now();
        }
        let ready: Value = serde_json::from_str(&place.read("ready.json")).unwrap();
        assert_eq!(ready["url"], served.url.as_str());
        assert_eq!(ready["pid"], served.child.id());
        assert_eq!(format!("http://{}", ready["address"].as_str().unwrap()), served.url);
        assert_eq!(served.ask("GET", "/health", None, "").0, 200);
        // A connection that nobody uses does not hold up the end.
        let idle = served.connect();
        served.signal(signal);
        let (status, ..) = served.end();
        drop(idle);
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(!path.exists());
        for beside in ["a.cairn-wal", "a.cairn-shm", "a.cairn-lock"] {
            assert!(!place.path(beside).exists(), "{beside} after {signal}");
        }
    }
}

/// A second signal does not wait for requests in flight, and loses nothing that was answered.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    let token = "sesame-open-sesame-open";
    let mut served = place.serve_with("serve a.cairn", &[("CAIRN_OWNER_TOKEN", token)]);
    let (status, _) = served.ask("POST", "/tokens", Some(token), "{\"label\":\"kept\"}");
    assert_eq!(status, 201);
    // A request that stays unfinished: its body does not come.
    let mut stuck = served.connect();
    write!(
        stuck,
        "POST /records HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n"
    )
    .unwrap();
    // Asked for the body, the request is known to be in a handler.
    let mut line = String::new();
    BufReader::new(&stuck).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    served.signal("TERM");
    // No new connections: the first signal has been heard.
    while TcpStream::connect(served.url.trim_start_matches("http://")).is_ok() {
        std::thread::yield_now();
    }
    served.signal("TERM");
    assert_eq!(served.end().0.code(), Some(1));
    let kept = place.json("token list --file a.cairn --json", 0);
    assert_eq!(kept[0]["label"], "kept");
}

/// T1: whoever comes second is told who has the file; offline commands too.
#[test]
fn a_file_has_one_process() {
    let place = Place::new();
    let served = place.serve("serve a.cairn");
    let holder = format!("process {}", served.child.id());
    for line in [
        "serve a.cairn --listen 127.0.0.1:0",
        "export a.cairn",
        "token list --file a.cairn",
        "compact a.cairn",
    ] {
        let (_, why) = place.run(line, 1);
        assert!(why.contains("a.cairn is in use by"), "{why}");
        assert!(!cfg!(target_os = "linux") || why.contains(&holder), "{why}");
    }
    // Who only looks needs no rights over it.
    let found = place.json("verify a.cairn --json", 0);
    assert_eq!((&found["sound"], &found["inUse"]), (&json!(true), &json!(true)));
    drop(served);
}

#[test]
fn a_taken_port_is_named() {
    let place = Place::new();
    let served = place.serve("serve a.cairn");
    let taken = served.url.trim_start_matches("http://");
    let (_, why) = place.run(&format!("serve b.cairn --listen {taken}"), 1);
    assert!(why.contains(&format!("{taken} is in use by another program")), "{why}");
    assert!(!place.path("b.cairn-wal").exists());
}

/// A desktop program that ends, however it ends, takes its Cairn with it.
#[test]
fn exit_with_stdin() {
    let place = Place::new();
    let mut served = place.serve("serve a.cairn --exit-with-stdin");
    drop(served.child.stdin.take());
    let (status, ..) = served.end();
    assert_eq!(status.code(), Some(0));
    assert!(!place.path("a.cairn-wal").exists());
}

/// S1: an address that others can reach is named in a warning; the three lines stay as they are.
#[cfg(unix)]
#[test]
fn s1_addresses_beyond_loopback_are_warned_of() {
    let place = Place::new();
    let mut served = place.serve("serve a.cairn --listen 0.0.0.0:0 --no-rate-limit");
    assert_eq!(served.lines.len(), 3);
    assert!(served.url.starts_with("http://127.0.0.1:"), "{}", served.url);
    served.signal("TERM");
    let (_, _, log) = served.end();
    assert!(log.contains("0.0.0.0:0 can be reached from other machines"), "{log}");
}

/// Port 0 on both loopback addresses is one port, where there is IPv6.
#[test]
fn a_picked_port_is_the_same_on_both_addresses() {
    let place = Place::new();
    let served = place.serve("serve a.cairn --listen 0");
    assert_eq!(served.ask("GET", "/health", None, "").0, 200);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let port = served.url.rsplit(':').next().unwrap();
        TcpStream::connect(format!("[::1]:{port}")).unwrap();
    }
}

/// `--public` serves an application's files beside the API; a path that is no folder is named.
#[test]
fn a_public_folder_is_served() {
    let place = Place::new();
    fs::create_dir(place.path("site")).unwrap();
    place.write("site/data.json", "{\"hello\":true}");
    place.write("secret.json", "{}");
    let served = place.serve("serve a.cairn --public site");
    assert_eq!(served.ask("GET", "/data.json", None, ""), (200, json!({ "hello": true })));
    assert_eq!(served.ask("GET", "/health", None, "").0, 200);
    assert_eq!(served.ask("GET", "/..%2fsecret.json", None, "").0, 404);
    let (_, why) = place.run("serve b.cairn --listen 127.0.0.1:0 --public nowhere", 1);
    assert!(why.contains("nowhere cannot be served"), "{why}");
}

#[test]
fn client_types_are_printed() {
    let stack = Place::new();
    let definitions = r#"[
        {"id":"com.example/big-city@1","schema":{"name":{"kind":"string","required":true},"tags":{"kind":"array","items":{"kind":"string"}},
            "at":{"kind":"object","properties":{"lat":{"kind":"number","required":true}}},"odd name":{"kind":"boolean"}}},
        {"id":"com.example/note@1","schema":{}}, {"id":"com.example/note@2","schema":{}}, {"id":"org.other/note@1","schema":{}}]"#;
    stack.write("types.json", definitions);
    stack.run("init stack.cairn", 0);
    stack.run("type add --file stack.cairn types.json", 0);
    let (printed, _) = stack.run("types --lang ts --file stack.cairn", 0);
    for line in [
        "export interface BigCity {\n  name: string;\n  tags?: string[] | null;\n  at?: {\n    lat: number;",
        "  \"odd name\"?: boolean | null;",
        "export interface ComExampleNoteV2 {",
        "export interface OrgOtherNote {",
        "  \"com.example/big-city@1\": BigCity;",
        "  \"com.example/note@1\": ComExampleNoteV1;",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    assert!(
        !printed.contains("_config")
            && printed.matches('{').count() == printed.matches('}').count()
    );
    stack.run("types --lang cobol --file stack.cairn", 2);
}
