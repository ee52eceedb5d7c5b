//! The documented dialect (A): chapters 12, 13 and 22.

use cairn::engine::Verb;
use serde_json::{Value, json};

use crate::client::{Client, Got};
use crate::stage::Stage;

fn subscribe(client: &mut Client, id: &str, query: Value) -> Value {
    client.ask(&json!({ "type": "subscribe", "id": id, "query": query }))
}

fn diff(id: &str, entity: &str, lists: [Value; 3], order: Option<Value>, tx: i64) -> Value {
    let [added, updated, removed] = lists;
    let mut diff = json!({ "type": "q-diff", "id": id, "entity": entity, "added": added,
                           "updated": updated, "removed": removed, "tx": tx });
    if let Some(order) = order {
        diff["order"] = order;
    }
    diff
}

/// Chapter 22, "Window with limit".
#[test]
fn a_window_with_a_limit() {
    let s = Stage::new();
    let user = s.user("a");
    let write = |verb, id: &str, data| s.write(&user.caller, verb, &format!("t/{id}"), data);
    for (id, p) in [("r1", 5), ("r2", 4)] {
        write(Verb::Set, id, json!({ "p": p }));
    }
    let tx = write(Verb::Set, "r3", json!({ "p": 3 }));
    let mut client = s.signed_in(&user);
    let query = json!({ "t": { "$order": { "p": "desc" }, "$limit": 2 } });
    let first = subscribe(&mut client, "s", query);
    let rows = json!([{ "id": "r1", "p": 5 }, { "id": "r2", "p": 4 }]);
    assert_eq!(first, json!({ "type": "q-init", "id": "s", "data": { "t": rows }, "tx": tx }));

    let tx = write(Verb::Insert, "r4", json!({ "p": 9 }));
    let lists = [json!([{ "id": "r4", "p": 9 }]), json!([]), json!(["r2"])];
    client.expect(&diff("s", "t", lists, Some(json!(["r4", "r1"])), tx));
    let tx = write(Verb::Delete, "r4", json!({}));
    let lists = [json!([{ "id": "r2", "p": 4 }]), json!([]), json!(["r4"])];
    client.expect(&diff("s", "t", lists, Some(json!(["r1", "r2"])), tx));
    let tx = write(Verb::Merge, "r2", json!({ "p": 7 }));
    let lists = [json!([]), json!([{ "id": "r2", "p": 7 }]), json!([])];
    client.expect(&diff("s", "t", lists, Some(json!(["r2", "r1"])), tx));
    // Outside of the window before and after: nothing, so the next thing to come is about r1.
    write(Verb::Merge, "r3", json!({ "p": 1 }));
    let tx = write(Verb::Merge, "r1", json!({ "n": 1 }));
    let lists = [json!([]), json!([{ "id": "r1", "n": 1 }]), json!([])];
    client.expect(&diff("s", "t", lists, None, tx));
}

/// Chapter 22, "Filter entry and exit".
#[test]
fn rows_enter_and_leave_a_filter() {
    let s = Stage::new();
    let user = s.user("a");
    let write = |data| s.write(&user.caller, Verb::Merge, "todos/x", data);
    s.write(&user.caller, Verb::Set, "todos/x", json!({ "done": true }));
    let mut client = s.signed_in(&user);
    let query = json!({ "todos": { "$where": { "done": false } } });
    assert_eq!(subscribe(&mut client, "s", query)["data"], json!({ "todos": [] }));
    let tx = write(json!({ "done": false }));
    let lists = [json!([{ "id": "x", "done": false }]), json!([]), json!([])];
    client.expect(&diff("s", "todos", lists, None, tx));
    let tx = write(json!({ "title": "t" }));
    let lists = [json!([]), json!([{ "id": "x", "title": "t" }]), json!([])];
    client.expect(&diff("s", "todos", lists, None, tx));
    let tx = write(json!({ "done": true }));
    client.expect(&diff("s", "todos", [json!([]), json!([]), json!(["x"])], None, tx));
    write(json!({ "title": "u" }));
    assert_eq!(
        client.ask(&json!({ "type": "ping", "id": "p" })),
        json!({ "type": "pong", "id": "p" })
    );
}

/// Chapter 22, "Own write", a hundred times while somebody else writes too (13.6).
#[test]
fn the_answer_to_a_write_comes_before_its_change() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    subscribe(&mut client, "s", json!({ "todos": { "$where": { "done": false } } }));
    let op =
        |id: &str| json!({ "entity": "todos", "id": id, "op": "set", "data": { "done": false } });
    let answer = client.ask(&json!({ "type": "mutate", "id": "m1", "ops": [op("y")] }));
    let tx = answer["tx"].as_i64().unwrap();
    let result = &answer["results"][0];
    assert_eq!((&answer["type"], &answer["id"]), (&json!("mutate-ok"), &json!("m1")));
    let told = ["op", "id", "entity", "status"].map(|key| result[key].clone());
    assert_eq!(told, [json!("set"), json!("y"), json!("todos"), json!("created")]);
    let lists = [json!([{ "id": "y", "done": false }]), json!([]), json!([])];
    client.expect(&diff("s", "todos", lists, None, tx));

    let mut other = s.signed_in(&user);
    for n in 0..100 {
        other.send(&json!({ "type": "mutate", "id": "o", "ops": [op(&format!("o{n}"))] }));
        client.send(
            &json!({ "type": "mutate", "id": format!("m{n}"), "ops": [op(&format!("c{n}"))] }),
        );
    }
    let (mut answered, mut last, mut seen) = (Vec::new(), 0, 0);
    while seen < 200 || answered.len() < 100 {
        let message = client.message();
        let tx = message["tx"].as_i64().unwrap();
        if message["type"] == "mutate-ok" {
            assert_eq!(message["id"], format!("m{}", answered.len()), "in the order of requests");
            assert!(tx > last, "the answer to {tx} after a change of {last}");
            answered.push(tx);
        } else {
            assert!(tx > last, "rising");
            last = tx;
            seen += message["added"].as_array().unwrap().len();
        }
    }
}

/// Chapter 22, "Failed transaction": nothing is done, no number is used, nobody is told.
#[test]
fn a_failed_transaction_leaves_nothing() {
    let s = Stage::new();
    let user = s.user("a");
    let before = s.write(&user.caller, Verb::Set, "todos/a", json!({}));
    let mut client = s.signed_in(&user);
    subscribe(&mut client, "s", json!({ "todos": {} }));
    let ops = json!([{ "entity": "todos", "id": "z", "op": "set", "data": {} },
                     { "entity": "todos", "id": "nope", "op": "merge", "data": { "a": 1 } }]);
    let answer = client.ask(&json!({ "type": "mutate", "id": "m", "ops": ops }));
    assert_eq!((&answer["type"], &answer["id"]), (&json!("mutate-error"), &json!("m")));
    assert_eq!(answer["error"]["code"], "NOT_FOUND");
    assert_eq!(
        (&answer["error"]["status"], &answer["error"]["details"][0]["field"]),
        (&json!(404), &json!("ops[1]"))
    );
    let tx = s.write(&user.caller, Verb::Set, "todos/b", json!({}));
    assert_eq!(tx, before + 1);
    let lists = [json!([{ "id": "b" }]), json!([]), json!([])];
    client.expect(&diff("s", "todos", lists, None, tx));
    let faulty = client.ask(&json!({ "type": "mutate", "id": "m", "ops": [{ "op": "set" }] }));
    assert_eq!(faulty["error"]["code"], "INVALID_ARGUMENT");
}

#[test]
fn several_roots_aggregates_and_relations() {
    let s = Stage::new();
    let user = s.user("a");
    s.write(&user.caller, Verb::Set, "logs/a", json!({ "n": 1 }));
    let mut client = s.signed_in(&user);
    let count = json!({ "$aggregate": "count" });
    let first = subscribe(&mut client, "s", json!({ "todos": {}, "logs": count }));
    assert_eq!(first["type"], "q-init", "{first}");
    assert_eq!(first["data"], json!({ "todos": [], "logs": 1 }));
    let ops = json!([{ "entity": "todos", "id": "x", "op": "set", "data": {} },
                     { "entity": "logs", "id": "b", "op": "set", "data": {} }]);
    let tx =
        client.ask(&json!({ "type": "mutate", "id": "m", "ops": ops }))["tx"].as_i64().unwrap();
    let lists = [json!([{ "id": "x" }]), json!([]), json!([])];
    client.expect(&diff("s", "todos", lists, None, tx));
    client.expect(&json!({ "type": "q-diff", "id": "s", "entity": "logs", "value": 2,
                           "added": [], "updated": [], "removed": [], "tx": tx }));
}

#[test]
fn subscriptions_are_replaced_and_ended() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    subscribe(&mut client, "s", json!({ "one": {} }));
    assert_eq!(subscribe(&mut client, "s", json!({ "two": {} }))["data"], json!({ "two": [] }));
    s.write(&user.caller, Verb::Set, "one/a", json!({}));
    let tx = s.write(&user.caller, Verb::Set, "two/a", json!({}));
    client.expect(&diff("s", "two", [json!([{ "id": "a" }]), json!([]), json!([])], None, tx));
    for _ in 0..2 {
        let ended = client.ask(&json!({ "type": "unsubscribe", "id": "s" }));
        assert_eq!(ended, json!({ "type": "unsubscribe-ok", "id": "s" }));
    }
    s.write(&user.caller, Verb::Set, "two/b", json!({}));
    assert_eq!(client.ask(&json!({ "type": "ping" })), json!({ "type": "pong" }));
    assert_eq!(s.hub.subscriptions(), 0);
}

/// 13.8: who names the last transaction it knows gets the difference.
#[test]
fn a_subscription_goes_on_where_it_was() {
    let s = Stage::new();
    let user = s.user("a");
    let since = s.write(&user.caller, Verb::Set, "t/a", json!({ "n": 1 }));
    let tx = s.write(&user.caller, Verb::Set, "t/b", json!({}));
    let mut client = s.signed_in(&user);
    let ask =
        |since| json!({ "type": "subscribe", "id": "s", "query": { "t": {} }, "since": since });
    let mut wanted = diff("s", "t", [json!([{ "id": "b" }]), json!([]), json!([])], None, tx);
    wanted["since"] = json!(since);
    assert_eq!(client.ask(&ask(since)), wanted);
    let mut nothing = diff("s", "t", [json!([]), json!([]), json!([])], None, tx);
    nothing["since"] = json!(tx);
    assert_eq!(client.ask(&ask(tx)), nothing);
    assert_eq!(client.ask(&ask(tx + 1_000))["type"], "q-init", "a future it cannot know");
}

#[test]
fn faults_are_answered_and_end_it_after_twenty() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    client.frame(true, 1, b"{");
    let fault = client.message();
    assert_eq!(
        (&fault["type"], &fault["error"]["code"]),
        (&json!("error"), &json!("INVALID_ARGUMENT"))
    );
    assert_eq!(fault["message"], fault["error"]["message"]);
    let fault = subscribe(&mut client, "s", json!({ "t": { "$nope": 1 } }));
    assert_eq!((&fault["type"], &fault["id"]), (&json!("error"), &json!("s")));
    for _ in 0..20 {
        assert_eq!(client.ask(&json!({ "type": "nope", "id": "n" }))["id"], "n");
    }
    client.send(&json!([]));
    client.expect_close(1008);
}

#[test]
fn frames_that_break_the_rules() {
    let s = Stage::new();
    let user = s.user("a");
    let end = |send: &dyn Fn(&mut Client), code| {
        let mut client = s.signed_in(&user);
        send(&mut client);
        client.expect_close(code);
    };
    end(&|client| client.raw(&[0x81, 2, b'{', b'}']), 1002);
    end(&|client| client.frame(true, 1, b"\xff"), 1007);
    end(&|client| client.frame(true, 1, &vec![b' '; 1024 * 1024 + 1]), 1009);
    // The same message in a thousand frames is fine.
    let mut client = s.signed_in(&user);
    client.send_in_pieces(&json!({ "type": "ping", "id": "p", "pad": "x".repeat(900_000) }));
    assert_eq!(client.message()["id"], "p");
    client.frame(true, 8, &1000_u16.to_be_bytes());
    assert_eq!(client.next(), Got::Close(1000));
}

#[test]
fn refusals_before_there_is_a_socket() {
    let s = Stage::new();
    let open = |headers: &str| Client::open(s.address, "/ws", headers).err();
    assert!(open("Origin: https://evil.example\r\n").unwrap().starts_with("HTTP/1.1 403 "));
    assert!(open(&format!("Origin: http://{}\r\n", s.address)).is_none());
    let (status, body) = s.get("/ws", "");
    assert_eq!((status, &body["error"]["status"]), (426, &json!(426)));
    assert!(
        Client::open(s.address, "/v1/apps/a%20b/ws", "")
            .err()
            .unwrap()
            .starts_with("HTTP/1.1 404 ")
    );
}

#[test]
fn a_connection_has_a_thousand_queries() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.signed_in(&user);
    for n in 0..1_000 {
        client.send(&json!({ "type": "subscribe", "id": format!("s{n}"), "query": { "t": {} } }));
        // The door takes a thousand messages at once, then a hundred a second.
        if n % 100 == 99 {
            (0..100).for_each(|_| assert_eq!(client.message()["type"], "q-init"));
        }
    }
    assert_eq!(s.hub.subscriptions(), 1_000);
}
