//! How connections begin, live and end (live 13.3, 13.7, 13.8; SECURITY S22, S35).

use std::time::Duration;

use cairn::engine::{Role, Verb};
use cairn::faces::live::streams::StreamTimes;
use serde_json::{Value, json};

use crate::client::{Client, Got};
use crate::stage::Stage;

const SHORT: Duration = Duration::from_millis(100);

fn shut_out(client: &mut Client, message: &str) {
    let first = json!({ "type": "auth-error", "message": message, "code": "UNAUTHENTICATED" });
    client.expect(&first);
    client.expect(&json!({ "type": "auth-err", "error": message }));
    client.expect_close(4401);
}

#[test]
fn who_does_not_sign_in_is_shut_out() {
    let s = Stage::with(StreamTimes { sign_in: SHORT, ..StreamTimes::default() });
    shut_out(&mut s.socket(), "Authentication timeout");
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.socket();
    client.send(&json!({ "type": "auth", "token": "nope" }));
    shut_out(&mut client, "Invalid token");
    let sub = json!({ "type": "sub", "id": "l", "query": { "query": "SELECT * FROM t" } });
    for first in [json!({ "type": "ping" }), json!([]), sub] {
        let mut client = s.socket();
        client.send(&first);
        shut_out(&mut client, "Authentication required");
    }
    let mut client = s.app_socket();
    let message =
        json!({ "type": "auth", "id": "m", "payload": { "appId": "x", "token": "nope" } });
    let answer = client.ask(&message);
    assert_eq!(
        (&answer["type"], &answer["payload"]["code"]),
        (&json!("auth-error"), &json!("UNAUTHENTICATED"))
    );
    client.expect_close(4401);
    // A ping is answered before anybody signed in.
    let mut client = s.socket();
    client.frame(true, 9, b"x");
    let answer = client.ask(&json!({ "type": "auth", "token": user.token }));
    assert_eq!(answer["type"], "auth-ok");
}

#[test]
fn a_later_sign_in_replaces_the_token_of_the_same_user() {
    let s = Stage::new();
    let (user, other) = (s.user("a"), s.user("b"));
    let mut client = s.signed_in(&user);
    client.ask(&json!({ "type": "ping" }));
    let again = client.ask(&json!({ "type": "auth", "token": user.token }));
    assert_eq!(again["type"], "auth-ok");
    client.send(&json!({ "type": "auth", "token": other.token }));
    shut_out(&mut client, "The token is another user's");
}

#[test]
fn the_end_of_a_session_ends_its_connections() {
    let s = Stage::with(StreamTimes { credential: SHORT, ..StreamTimes::default() });
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.ask(&json!({ "type": "subscribe", "id": "s", "query": { "t": {} } }));
    s.end_session(&user);
    shut_out(&mut client, "The session has ended");
    let mut app = s.app_socket();
    app.send(
        &json!({ "type": "auth", "id": "m", "payload": { "appId": "x", "token": user.token } }),
    );
    assert_eq!(app.message()["type"], "auth-error");

    let (id, secret) = s.issue();
    let mut client = s.socket();
    client.ask(&json!({ "type": "auth", "token": secret }));
    s.revoke(&id);
    shut_out(&mut client, "The session has ended");
}

/// S49: a subscription is told what its account may see now, not what it might see when it began.
#[test]
fn a_change_of_role_or_claims_reaches_open_subscriptions() {
    let s = Stage::new();
    let (user, owner) = (s.user("a"), s.engine.owner_caller());
    s.rules(json!({ "version": 1, "entities": { "t": { "read": { "any": [
        { "role": "editor" }, { "$where": { "team": "$auth.claims.team" } } ] } } } }));
    s.write(&owner, Verb::Insert, "t/red", json!({ "team": "red" }));
    s.write(&owner, Verb::Insert, "t/blue", json!({ "team": "blue" }));
    let mut client = s.signed_in(&user);
    let window = json!({ "t": { "$order": { "team": "asc" }, "$limit": 5 } });
    for (id, query) in [("all", json!({ "t": {} })), ("window", window)] {
        let first = client.ask(&json!({ "type": "subscribe", "id": id, "query": query }));
        assert_eq!(first["data"]["t"].as_array().unwrap().len(), 2, "{first}");
    }
    let since = s.engine.last_tx();
    let told = |client: &mut crate::client::Client| {
        let mut both = [client.message(), client.message()];
        both.sort_by_key(|message| message["id"].as_str().unwrap().to_owned());
        both.map(|message| (message["added"].clone(), message["removed"].clone()))
    };
    s.set_role(&user, Role::Viewer);
    for (added, mut removed) in told(&mut client) {
        removed.as_array_mut().unwrap().sort_by_key(Value::to_string);
        assert_eq!((added, removed), (json!([]), json!(["blue", "red"])));
    }
    s.set_claims(&user, json!({ "team": "red" }));
    for (added, removed) in told(&mut client) {
        assert_eq!((added, removed), (json!([{ "id": "red", "team": "red" }]), json!([])));
    }
    // What it saw before, under other rights, cannot be told as a difference.
    let query = json!({ "t": {} });
    let again =
        client.ask(&json!({ "type": "subscribe", "id": "all", "query": query, "since": since }));
    assert_eq!(again["type"], "q-init", "{again}");
    // A change of something else runs nothing again and tells nothing.
    s.write(&owner, Verb::Merge, &format!("users/{}", user.id), json!({ "displayName": "A" }));
    s.write(&owner, Verb::Insert, "t/last", json!({ "team": "red" }));
    for (added, _) in told(&mut client) {
        assert_eq!(added, json!([{ "id": "last", "team": "red" }]));
    }
    s.set_role(&user, Role::Editor);
    for (added, removed) in told(&mut client) {
        assert_eq!((added, removed), (json!([{ "id": "blue", "team": "blue" }]), json!([])));
    }
}

/// C1: until a client has had an answer after `auth-ok`, it is asked by a control frame only.
#[test]
fn questions_whether_a_client_is_there() {
    let s = Stage::with(StreamTimes { ping: SHORT, ..StreamTimes::default() });
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    assert_eq!(client.next(), Got::Ping);
    assert_eq!(client.next(), Got::Ping);
    client.send(&json!({ "type": "pong" }));
    loop {
        match client.next() {
            Got::Ping => {}
            got => break assert_eq!(got, Got::Message(json!({ "type": "ping" }))),
        }
    }
    assert_eq!(client.next(), Got::Ping);
}

#[test]
fn a_silent_client_is_given_up() {
    let times = StreamTimes { silence: SHORT, ..StreamTimes::default() };
    let s = Stage::with(times);
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.expect_close(4408);
}

#[test]
fn the_server_says_goodbye() {
    let mut s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.ask(&json!({ "type": "subscribe", "id": "s", "query": { "t": {} } }));
    let reader = std::thread::spawn(move || client.expect_close(1001));
    assert!(s.stop(), "everybody left in time");
    reader.join().unwrap();
}

/// 13.8: what a client did not read in time comes joined, and gives the same result.
#[test]
fn a_slow_reader_misses_nothing() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.ask(&json!({ "type": "subscribe", "id": "s", "query": { "t": {} } }));
    // One row that is written again and again: far more than the sockets' buffers and the queue hold.
    let pad = "x".repeat(200_000);
    let mut tx = 0;
    for n in 0..120 {
        tx = s.write(&user.caller, Verb::Set, "t/a", json!({ "n": n, "pad": format!("{n}{pad}") }));
    }
    let (mut count, mut last, mut n) = (0, 0, json!(null));
    while last < tx {
        let diff = client.message();
        let now = diff["tx"].as_i64().unwrap();
        assert!(now > last);
        (count, last) = (count + 1, now);
        for row in
            diff["added"].as_array().unwrap().iter().chain(diff["updated"].as_array().unwrap())
        {
            n = row["n"].clone();
        }
    }
    assert_eq!(n, 119);
    assert!(count < 120, "some were joined");
}

/// 13.8: when joining does not help, the client is told to come back.
#[test]
fn a_reader_that_never_reads_is_given_up() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.ask(&json!({ "type": "subscribe", "id": "s", "query": { "t": {} } }));
    for n in 0..120 {
        let row = json!({ "pad": "x".repeat(200_000) });
        s.write(&user.caller, Verb::Set, &format!("t/r{n}"), row);
    }
    loop {
        match client.next() {
            Got::Message(_) | Got::Ping => {}
            got => break assert_eq!(got, Got::Close(1013)),
        }
    }
}
