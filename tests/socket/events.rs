//! Event streams and the change feed (live 14).

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::time::Duration;

use cairn::engine::Verb;
use cairn::faces::live::streams::StreamTimes;
use serde_json::{Value, json};

use crate::stage::{Stage, User};

/// An event's name, id and data; comments are passed over.
fn event(stream: &mut BufReader<TcpStream>) -> (String, String, Value) {
    let (mut name, mut id, mut data) = (String::new(), String::new(), None);
    loop {
        let line = line(stream);
        if let Some(text) = line.strip_prefix("event: ") {
            name = text.to_owned();
        } else if let Some(text) = line.strip_prefix("id: ") {
            id = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = Some(serde_json::from_str(text).unwrap());
        } else if let (true, Some(data)) = (line.is_empty(), data.take()) {
            return (name, id, data);
        }
    }
}

/// A line, without the chunks' heads.
fn line(stream: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream goes on");
        if line.ends_with("\r\n") {
            continue;
        }
        return line.trim_end_matches('\n').to_owned();
    }
}

/// The last chunk.
fn expect_end(stream: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    while line != "0\r\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "an end, not a break");
    }
}

fn open(s: &Stage, path: &str, headers: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = s.stream(path, headers);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    (head, stream)
}

fn bearer(user: &User) -> String {
    format!("Accept: text/event-stream\r\nAuthorization: Bearer {}\r\n", user.token)
}

#[test]
fn a_query_as_events() {
    let s = Stage::new();
    let user = s.user("a");
    let before = s.write(&user.caller, Verb::Set, "todos/a", json!({ "done": false }));
    let q = "%7B%22todos%22%3A%7B%7D%7D";
    let (head, mut stream) = open(&s, &format!("/api/subscribe?q={q}"), &bearer(&user));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let lower = head.to_lowercase();
    for wanted in [
        "content-type: text/event-stream",
        "cache-control: no-cache, no-store",
        "x-accel-buffering: no",
        "x-ratelimit-limit: ",
    ] {
        assert!(lower.contains(wanted), "{wanted} in {head}");
    }
    let init =
        json!({ "id": "sub-1", "data": { "todos": [{ "id": "a", "done": false }] }, "tx": before });
    assert_eq!(event(&mut stream), ("q-init".into(), before.to_string(), init));
    let tx = s.write(&user.caller, Verb::Merge, "todos/a", json!({ "done": true }));
    let diff = json!({ "id": "sub-1", "entity": "todos", "added": [], "removed": [],
                       "updated": [{ "id": "a", "done": true }], "tx": tx });
    assert_eq!(event(&mut stream), ("q-diff".into(), tx.to_string(), diff.clone()));

    let path = format!("/api/subscribe?q={q}&since={before}&id=mine&token={}", user.token);
    let (_, mut resumed) = open(&s, &path, "");
    let mut diff = diff;
    (diff["id"], diff["since"]) = (json!("mine"), json!(before));
    assert_eq!(event(&mut resumed), ("q-diff".into(), tx.to_string(), diff));

    s.end_session(&user);
    let (name, _, data) = event(&mut stream);
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("UNAUTHENTICATED")));
    expect_end(&mut stream);
}

#[test]
fn a_table_and_complete_results() {
    let s = Stage::new();
    let user = s.user("a");
    let (_, mut table) = open(&s, "/api/subscribe?table=people", &bearer(&user));
    assert_eq!(event(&mut table).2["data"], json!({ "people": [] }));
    let query = "%7B%22collection%22%3A%22people%22%7D";
    let path = format!("/v1/apps/my-app/subscribe?query={query}&token={}", user.token);
    let (_, mut updates) = open(&s, &path, "");
    let (name, _, data) = event(&mut updates);
    assert_eq!((name.as_str(), &data["data"]), ("update", &json!([])));
    for n in 1..3_usize {
        let tx = s.write(&user.caller, Verb::Set, &format!("people/p{n}"), json!({}));
        let (name, id, data) = event(&mut updates);
        assert_eq!((name.as_str(), id), ("update", tx.to_string()));
        assert_eq!(data["txId"], tx.to_string());
        assert_eq!(data["data"].as_array().unwrap().len(), n);
        assert_eq!(event(&mut table).2["added"], json!([{ "id": format!("p{n}") }]));
    }
}

#[test]
fn refusals_come_before_the_stream() {
    let s = Stage::new();
    let user = s.user("a");
    let bearer = bearer(&user);
    assert_eq!(s.get("/api/subscribe?table=t", "").0, 401);
    assert_eq!(s.get("/api/subscribe?table=t&token=nope", "").0, 401);
    assert_eq!(s.get("/api/subscribe", &bearer).0, 400);
    assert_eq!(s.get("/api/subscribe?q=%7B", &bearer).0, 400);
    assert_eq!(s.get("/api/subscribe?table=_config", &bearer).0, 403);
    assert_eq!(s.get("/api/subscribe?table=t", &format!("{bearer}Origin: http://evil\r\n")).0, 403);
}

#[test]
fn a_quiet_stream_shows_that_it_lives_and_ends_with_the_server() {
    let heartbeat = Duration::from_millis(50);
    let mut s = Stage::with(StreamTimes { heartbeat, ..StreamTimes::default() });
    let user = s.user("a");
    let (_, mut stream) = open(&s, "/api/subscribe?table=t", &bearer(&user));
    event(&mut stream);
    while !line(&mut stream).starts_with(':') {}
    assert!(s.stop());
    expect_end(&mut stream);
}

#[test]
fn the_change_feed() {
    let s = Stage::new();
    let user = s.user("a");
    let start = s.engine.last_tx();
    let a = s.write(&user.caller, Verb::Set, "todos/a", json!({}));
    let b = s.write(&user.caller, Verb::Delete, "todos/a", json!({}));
    let bearer = format!("Authorization: Bearer {}\r\n", user.token);
    let (status, page) = s.get(&format!("/_/changes?since={start}&types=todos"), &bearer);
    assert_eq!(status, 200, "{page}");
    let told: Vec<_> = page["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (c["tx"].as_i64().unwrap(), c["op"].as_str().unwrap().to_owned(), c["typeId"].clone())
        })
        .collect();
    assert_eq!(
        told,
        [(a, "create".to_owned(), json!("todos@1")), (b, "delete".to_owned(), json!("todos@1"))]
    );
    assert_eq!((&page["next"], &page["tx"]), (&json!(b.to_string()), &json!(b)));
    // One at a time, nothing twice.
    let (_, one) = s.get(&format!("/_/changes?since={start}&types=todos&limit=1"), &bearer);
    let next = one["next"].as_str().unwrap();
    let (_, two) = s.get(&format!("/_/changes?since={next}&types=todos&limit=1"), &bearer);
    assert_eq!(
        (&one["changes"][0], &two["changes"][0]),
        (&page["changes"][0], &page["changes"][1])
    );
    for bad in ["since=x", "limit=0", "limit=1001", "wait=x"] {
        assert_eq!(s.get(&format!("/_/changes?{bad}"), &bearer).0, 400, "{bad}");
    }
    assert_eq!(s.get("/_/changes", "").0, 401);

    // What the owner keeps to itself is the owner's alone, also after it was removed for good.
    let note = s.private_note();
    let ids = |headers: &str, path: &str| -> Vec<Value> {
        let (status, page) = s.get(path, headers);
        assert_eq!(status, 200, "{page}");
        page["changes"].as_array().unwrap().iter().map(|change| change["id"].clone()).collect()
    };
    let owner = format!("Authorization: Bearer {}\r\n", crate::stage::OWNER_TOKEN);
    let path = format!("/_/changes?since={b}");
    assert_eq!(ids(&owner, &path), [json!(note)]);
    assert_eq!(ids(&owner, &format!("{path}&types=com.example/note")), [json!(note)]);
    assert_eq!(ids(&bearer, &path), [json!(null); 0]);
    s.purge(&note);
    assert_eq!(ids(&owner, &path), [json!(note), json!(note)]);
    assert_eq!(ids(&bearer, &path), [json!(null); 0]);
    let b = s.engine.last_tx();

    // Waits for what comes.
    let mut waiting = s.stream(&format!("/_/changes?since={b}&wait=50"), &bearer);
    let events = format!("{bearer}Accept: text/event-stream\r\n");
    let (_, mut stream) = open(&s, &format!("/_/changes?since={b}"), &events);
    let tx = s.write(&user.caller, Verb::Set, "todos/b", json!({}));
    let mut body = String::new();
    while !body.contains("\"changes\"") {
        let mut bytes = [0; 4096];
        let count = std::io::Read::read(&mut waiting, &mut bytes).unwrap();
        assert_ne!(count, 0);
        body.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    assert!(body.contains(&format!("\"tx\":{tx}")), "{body}");
    let (name, id, data) = event(&mut stream);
    assert_eq!((name.as_str(), id), ("change", tx.to_string()));
    assert_eq!((&data["op"], &data["version"]), (&json!("create"), &json!(1)));
}
