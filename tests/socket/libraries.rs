//! What the published libraries send and read (live 13.9, 13.10, 19, 22).

use cairn::engine::Verb;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Chapter 22, "App client subscription".
#[test]
fn the_application_client() {
    let s = Stage::new();
    let user = s.user("a");
    let tx = s.write(&user.caller, Verb::Set, "todos/y", json!({ "done": false }));
    let mut client = s.app_socket();
    let message = |kind: &str, id: &str, payload: Value| json!({ "type": kind, "payload": payload, "id": id });
    let answer =
        client.ask(&message("auth", "m_1", json!({ "appId": "my-app", "token": user.token })));
    let payload = json!({ "userId": user.id, "anonymous": false });
    assert_eq!(answer, json!({ "type": "auth-ok", "id": "m_1", "payload": payload }));

    let query =
        json!({ "collection": "todos", "where": [{ "field": "done", "op": "=", "value": false }] });
    let answer =
        client.ask(&message("subscribe", "m_2", json!({ "subId": "sub_1", "query": query })));
    let payload = json!({ "subId": "sub_1", "txId": tx.to_string() });
    assert_eq!(answer, json!({ "type": "query-result", "id": "m_2", "payload": payload }));
    let update = |data: Value, tx: i64| {
        let payload = json!({ "data": data, "txId": tx.to_string(), "tx": tx });
        json!({ "type": "subscription-update", "id": "sub_1", "payload": payload })
    };
    client.expect(&update(json!([{ "id": "y", "done": false }]), tx));

    let ops = json!([{ "kind": "delete", "entity": "todos", "id": "y" }]);
    let answer = client.ask(&message("transact", "m_3", json!({ "ops": ops })));
    let tx = answer["payload"]["tx"].as_i64().unwrap();
    assert_eq!((&answer["type"], &answer["id"]), (&json!("tx-ok"), &json!("m_3")));
    assert_eq!(answer["payload"]["txId"], tx.to_string());
    client.expect(&update(json!([]), tx));
    // Complete results, in order, after every change.
    for n in 1..4_i64 {
        let tx = s.write(&user.caller, Verb::Set, &format!("todos/r{n}"), json!({ "done": false }));
        let rows: Vec<Value> =
            (1..=n).map(|n| json!({ "id": format!("r{n}"), "done": false })).collect();
        client.expect(&update(rows.into(), tx));
    }

    let answer = client.ask(&message("query", "m_4", json!({ "collection": "todos", "limit": 1 })));
    assert_eq!((&answer["type"], &answer["id"]), (&json!("query-result"), &json!("m_4")));
    assert_eq!(answer["payload"]["data"], json!([{ "id": "r1", "done": false }]));
    let answer = client.ask(&message("query", "m_5", json!({ "nope": 1 })));
    assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!("m_5")));
    assert_eq!(answer["payload"]["code"], "INVALID_ARGUMENT");
    let bad = client.ask(&message("transact", "m_6", json!({ "ops": [] })));
    assert_eq!((&bad["type"], &bad["id"]), (&json!("tx-error"), &json!("m_6")));
    let answer = client.ask(&message("unsubscribe", "m_7", json!({ "subId": "sub_1" })));
    assert_eq!(
        answer,
        json!({ "type": "query-result", "id": "m_7", "payload": { "subId": "sub_1" } })
    );
    s.write(&user.caller, Verb::Set, "todos/late", json!({ "done": false }));
    let answer = client.ask(&message("ping", "m_8", Value::Null));
    assert_eq!(answer, json!({ "type": "pong", "id": "m_8", "payload": null }));
}

#[test]
fn nobody_and_the_owner() {
    let s = Stage::new();
    let mut client = s.app_socket();
    let message =
        |kind: &str, payload: Value| json!({ "type": kind, "payload": payload, "id": "m" });
    let answer = client.ask(&message("auth", json!({ "appId": "my-app", "anonymous": true })));
    assert_eq!(answer["payload"], json!({ "userId": null, "anonymous": true }));
    let answer = client.ask(&message("query", json!({ "collection": "todos" })));
    assert_eq!(
        (&answer["type"], &answer["payload"]["code"]),
        (&json!("error"), &json!("UNAUTHENTICATED"))
    );
    let ops = json!([{ "kind": "set", "entity": "todos", "id": "a", "data": {} }]);
    let answer = client.ask(&message("transact", json!({ "ops": ops })));
    assert_eq!(
        (&answer["type"], &answer["payload"]["code"]),
        (&json!("tx-error"), &json!("UNAUTHENTICATED"))
    );
    let query = json!({ "subId": "sub_1", "query": { "collection": "todos" } });
    assert_eq!(client.ask(&message("subscribe", query))["payload"]["code"], "UNAUTHENTICATED");
    let joined = client.ask(&message("presence-join", json!({ "roomId": "r" })));
    assert_eq!(joined["payload"]["code"], "UNAUTHENTICATED");

    let mut client = s.socket();
    let answer = client.ask(&json!({ "type": "auth", "token": crate::stage::OWNER_TOKEN }));
    assert_eq!(answer, json!({ "type": "auth-ok", "userId": "admin", "protocolVersion": 1 }));
}

/// Chapter 22, "Short-form live query".
#[test]
fn the_short_form() {
    let s = Stage::new();
    let user = s.user("a");
    let mut client = s.socket();
    let answer = client.ask(&json!({ "type": "auth", "token": user.token }));
    let wanted = json!({ "type": "auth-ok", "userId": user.id, "sessionId": user.session,
                         "session_id": user.session, "protocolVersion": 1 });
    assert_eq!(answer, wanted);
    let query = json!({ "query": "SELECT * FROM people" });
    let answer =
        client.ask(&json!({ "type": "sub", "id": "live_17", "query": query, "diff": true }));
    assert_eq!(
        answer,
        json!({ "type": "sub-ok", "id": "live_17", "sub_id": "s-1", "initial": [] })
    );
    let diff = |tx: i64, lists: [Value; 3]| {
        let [inserted, updated, deleted] = lists;
        let changes = json!({ "inserted": inserted, "updated": updated, "deleted": deleted });
        json!({ "type": "diff", "sub_id": "s-1", "id": "live_17", "tx": tx, "changes": changes })
    };
    let write = |verb, data| s.write(&user.caller, verb, "people/darsh", data);
    let tx = write(Verb::Set, json!({ "name": "D", "n": 1 }));
    let full = json!([{ "id": "darsh", "name": "D", "n": 1 }]);
    client.expect(&diff(tx, [full, json!([]), json!([])]));
    let tx = write(Verb::Merge, json!({ "n": 2 }));
    let full = json!([{ "id": "darsh", "name": "D", "n": 2 }]);
    client.expect(&diff(tx, [json!([]), full.clone(), json!([])]));
    let tx = write(Verb::Delete, json!({}));
    client.expect(&diff(tx, [json!([]), json!([]), full]));

    let ops = json!([{ "entity": "other", "id": "x", "op": "set", "data": {} }]);
    let answer = client.ask(&json!({ "type": "mut", "id": "m", "ops": ops }));
    assert_eq!((&answer["type"], &answer["id"]), (&json!("mut-ok"), &json!("m")));
    let answer = client.ask(&json!({ "type": "mut", "id": "m", "ops": [] }));
    assert!(answer["type"] == "mut-err" && answer["error"].is_string(), "{answer}");
    let bad = client.ask(&json!({ "type": "sub", "id": "l", "query": { "query": "DROP" } }));
    assert!(bad["type"] == "sub-err" && bad["id"] == "l" && bad["error"].is_string(), "{bad}");
    let kill = client.ask(&json!({ "type": "kill", "id": "k" }));
    assert!(kill["type"] == "error" && kill["error"].is_string(), "{kill}");
    let ended = client.ask(&json!({ "type": "unsub", "id": "u", "sub_id": "s-1" }));
    assert_eq!(ended, json!({ "type": "unsub-ok", "id": "u" }));
    write(Verb::Set, json!({}));
    assert_eq!(client.ask(&json!({ "type": "ping" })), json!({ "type": "pong" }));
    // Both dialects on one connection.
    let first = client.ask(&json!({ "type": "subscribe", "id": "a", "query": { "other": {} } }));
    assert_eq!(first["data"], json!({ "other": [{ "id": "x" }] }));
}

/// 19.3: a message stays below what the library takes.
#[test]
fn large_results_of_the_short_form_come_in_parts() {
    let s = Stage::new();
    let user = s.user("a");
    for n in 0..5 {
        s.write(&user.caller, Verb::Set, &format!("t/{n}"), json!({ "x": "x".repeat(400_000) }));
    }
    let mut client = s.signed_in(&user);
    let first =
        client.ask(&json!({ "type": "sub", "id": "l", "query": { "query": "SELECT * FROM t" } }));
    let mut rows = first["initial"].as_array().unwrap().len();
    assert_eq!(first["type"], "sub-ok");
    while rows < 5 {
        let more = client.message();
        assert!(more.to_string().len() < 1024 * 1024);
        rows += more["changes"]["inserted"].as_array().unwrap().len();
    }
}
