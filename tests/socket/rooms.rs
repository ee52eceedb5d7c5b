//! Presence over sockets (live 15, 22).

use serde_json::{Value, json};

use crate::client::Client;
use crate::stage::{Stage, User};

fn enter(s: &Stage, user: &User, data: &Value) -> (Client, Value, String) {
    let mut client = s.signed_in(user);
    let entry = json!({ "type": "presence-enter", "room": "d", "data": data });
    let snapshot = client.ask(&entry);
    let own = snapshot["self"].as_str().unwrap().to_owned();
    (client, snapshot, own)
}

/// Chapter 22, "Presence", and what another dialect and HTTP see of it.
#[test]
fn the_transcript() {
    let s = Stage::new();
    let (a, b) = (s.user("a"), s.user("b"));
    let peer =
        |id: &str, user: &User, data: Value| json!({ "id": id, "userId": user.id, "data": data });
    let change = |peers: Value, own: &str, joined: Value, updated: Value, left: Value| {
        json!({ "type": "presence-change", "room": "d", "peers": peers, "self": own,
                "joined": joined, "updated": updated, "left": left })
    };
    let none = || json!([]);
    let (mut c1, snapshot, id1) = enter(&s, &a, &json!({ "name": "A" }));
    let one = peer(&id1, &a, json!({ "name": "A" }));
    assert_eq!(snapshot, change(json!([one]), &id1, json!([one]), none(), none()));
    let (mut c2, snapshot, id2) = enter(&s, &b, &json!({ "name": "B" }));
    let two = peer(&id2, &b, json!({ "name": "B" }));
    assert_eq!(snapshot, change(json!([one, two]), &id2, json!([two]), none(), none()));
    c1.expect(&change(json!([one, two]), &id1, json!([two]), none(), none()));

    c2.send(&json!({ "type": "presence-update", "room": "d", "data": { "cursor": { "x": 1 } } }));
    let two = peer(&id2, &b, json!({ "name": "B", "cursor": { "x": 1 } }));
    c1.expect(&change(json!([one, two]), &id1, none(), json!([two]), none()));
    c2.expect(&change(json!([one, two]), &id2, none(), json!([two]), none()));

    let bearer = format!("Authorization: Bearer {}\r\n", a.token);
    let (status, body) = s.get("/api/presence/d", &bearer);
    assert_eq!((status, &body["room"], &body["peers"]), (200, &json!("d"), &json!([one, two])));
    assert_eq!(s.get("/v1/apps/x/presence/d", &bearer).1["peers"], json!([one, two]));
    assert_eq!(s.get("/api/presence/no%20one", &bearer).1["peers"], json!([]));
    assert_eq!(s.get("/api/presence/d", "").0, 401);

    drop(c2);
    c1.expect(&change(json!([one]), &id1, none(), none(), json!([id2])));
    c1.send(&json!({ "type": "presence-leave", "room": "d" }));
    c1.expect(&change(none(), &id1, none(), none(), json!([id1])));
    c1.send(&json!({ "type": "presence-leave", "room": "d" }));
    assert_eq!(
        c1.ask(&json!({ "type": "ping" })),
        json!({ "type": "pong" }),
        "not in the room is fine"
    );
}

#[test]
fn other_dialects_share_the_rooms() {
    let s = Stage::new();
    let user = s.user("a");
    let mut app = s.app_socket();
    let message =
        |kind: &str, payload: Value| json!({ "type": kind, "payload": payload, "id": "m" });
    app.ask(&message("auth", json!({ "appId": "x", "token": user.token })));
    let joined = app.ask(&message("presence-join", json!({ "roomId": "d" })));
    let payload = &joined["payload"];
    assert_eq!((&joined["type"], &joined["id"]), (&json!("presence-update"), &json!("m")));
    assert_eq!((&payload["peers"], &payload["self"]["state"]), (&json!([]), &json!({})));
    assert!(payload["self"]["lastSeen"].is_i64());
    let sub_id = payload["subId"].clone();
    let done = app.ask(&message("presence-publish", json!({ "roomId": "d", "state": { "x": 1 } })));
    assert_eq!(done["payload"], json!({ "ok": true }));

    let mut short = s.signed_in(&user);
    let snap = short.ask(&json!({ "type": "pres-join", "room": "d", "state": { "y": 2 } }));
    let members = json!([{ "user_id": user.id, "state": { "x": 1 } }, { "user_id": user.id, "state": { "y": 2 } }]);
    assert_eq!(snap, json!({ "type": "pres-snap", "room": "d", "members": members }));
    // Its own publishing may come first, or with the newcomer.
    let push = loop {
        let push = app.message();
        assert_eq!(push["id"], sub_id, "{push}");
        if push["payload"]["peers"] != json!([]) {
            break push;
        }
    };
    assert_eq!(push["payload"]["peers"][0]["state"], json!({ "y": 2 }));
    assert_eq!(push["payload"]["self"]["state"], json!({ "x": 1 }));
    // Publishing replaces.
    app.send(&message("presence-publish", json!({ "roomId": "d", "state": { "z": 3 } })));
    let mut seen = short.message();
    while seen["updated"] != json!([{ "user_id": user.id, "state": { "z": 3 } }]) {
        seen = short.message();
    }
    assert_eq!((&seen["type"], &seen["room"]), (&json!("pres-diff"), &json!("d")));
}
