//! Issued tokens (stack 2.2, 2.3).

use serde_json::{Value, json};

use crate::common::{Key, Setup, call, instant, is_hex, is_instant, next, now_ms, server, text};

#[test]
fn a_token_is_shown_once_and_works() {
    let s = server();
    let owner = s.owner();
    let did = Key::of(next()).did;
    let made = owner.post("/tokens", json!({ "entityId": did, "label": "phone" })).is(201);
    assert!(is_hex(text(&made["token"]), 64) && is_hex(text(&made["id"]), 16), "{made}");
    assert_eq!(made["principalId"], json!(did));
    assert_eq!(made["subjectId"], json!(did));
    assert_eq!(made["entityId"], json!(did));
    assert_eq!(made["label"], "phone");
    assert_eq!(made["expiresAt"], Value::Null);
    assert!(is_instant(text(&made["createdAt"])));

    let list = owner.get("/tokens").is(200);
    let row = row_of(&list, &made).expect("listed");
    for key in ["principalId", "subjectId", "entityId", "label", "createdAt", "expiresAt"] {
        assert_eq!(row[key], made[key], "{key}");
    }
    assert!(row.get("token").is_none() && !list.to_string().contains(text(&made["token"])));
    s.with_token(text(&made["token"]), &did).get("/entity").missing();
}

fn row_of<'a>(list: &'a Value, token: &Value) -> Option<&'a Value> {
    list["tokens"].as_array().expect("a list").iter().find(|row| row["id"] == token["id"])
}

#[test]
fn defaults_name_the_owner_and_unset_members_are_null() {
    let s = server();
    let owner = s.owner();
    let made = owner.post("/tokens", json!({})).is(201);
    for key in ["principalId", "subjectId", "entityId"] {
        assert_eq!(made[key], json!(s.owner_did()));
    }
    assert!(made["label"].is_null() && made["expiresAt"].is_null());
    // It is the owner acting alone.
    s.with_token(text(&made["token"]), &s.owner_did()).get("/tokens").is(200);
}

#[test]
fn newest_first() {
    let s = Setup::new().start();
    let owner = s.owner();
    let made: Vec<Value> = (0..4)
        .map(|n| owner.post("/tokens", json!({ "label": n.to_string() })).is(201)["id"].clone())
        .collect();
    let list = owner.get("/tokens").is(200);
    let listed: Vec<Value> =
        list["tokens"].as_array().unwrap().iter().map(|t| t["id"].clone()).collect();
    let newest_first: Vec<Value> = made.into_iter().rev().collect();
    // Within a millisecond any order is newest first.
    if list["tokens"][0]["createdAt"] != list["tokens"][3]["createdAt"] {
        assert_eq!(listed[0], newest_first[0]);
        assert_eq!(listed[3], newest_first[3]);
    }
    assert_eq!(listed.len(), 4);
}

#[test]
fn revoking_ends_a_token_at_once() {
    let s = server();
    let owner = s.owner();
    let did = Key::of(next()).did;
    let made = owner.post("/tokens", json!({ "entityId": did })).is(201);
    let who = s.with_token(text(&made["token"]), &did);
    who.get("/records").is(200);
    let path = format!("/tokens/{}", text(&made["id"]));
    owner.delete(&path).is(204);
    who.get("/records").unauthorized();
    who.get("/.well-known/stack").unauthorized();
    assert!(row_of(&owner.get("/tokens").is(200), &made).is_none());
    owner.delete(&path).is(204);
    owner.delete("/tokens/unknown").is(204);
    owner.delete("/tokens/%00").is(204);
    owner.delete("/tokens/%ff").bad_request();
}

#[test]
fn expiry() {
    let s = server();
    let owner = s.owner();
    for dead in ["2000-01-01", "2000-01-01T00:00:00Z", "2000-01-01T00:00:00.5+02:00"] {
        let made = owner.post("/tokens", json!({ "expiresAt": dead })).is(201);
        assert!(is_instant(text(&made["expiresAt"])), "{made}");
        s.with_token(text(&made["token"]), "").get("/records").unauthorized();
    }
    let later = instant(now_ms() + 3_600_000);
    let made = owner.post("/tokens", json!({ "expiresAt": later })).is(201);
    assert_eq!(made["expiresAt"], json!(later));
    s.with_token(text(&made["token"]), "").get("/tokens").is(200);
}

#[test]
fn what_cannot_be_issued() {
    let s = server();
    let owner = s.owner();
    let before = owner.get("/tokens").is(200)["tokens"].as_array().unwrap().len();
    let _ = before;
    for bad in [
        json!("x"),
        json!(""),
        json!("did:"),
        json!("did:key:"),
        json!("did:Key:z"),
        json!("did:key:a b"),
        json!(5),
        json!([]),
    ] {
        owner.post("/tokens", json!({ "entityId": bad })).invalid(&["entityId"]);
        owner.post("/tokens", json!({ "onBehalfOf": bad })).invalid(&["onBehalfOf"]);
    }
    for bad in [
        json!("tomorrow"),
        json!(""),
        json!("2024-13-01"),
        json!("2024-02-30"),
        json!("9999999999999"),
    ] {
        owner.post("/tokens", json!({ "expiresAt": bad })).invalid(&["expiresAt"]);
    }
    for body in [json!([]), json!("x"), json!(1), json!(null)] {
        owner.post("/tokens", body).bad_request();
    }
}

/// Only the owner acting alone manages tokens; acting for the owner, or the owner acting for others, is not that.
#[test]
fn guard() {
    let s = server();
    let (owner_did, ann) = (s.owner_did(), s.person());
    let calls = [("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/x")];
    let others = [ann.clone(), s.delegate(&ann.did, &owner_did), s.delegate(&owner_did, &ann.did)];
    for (method, path) in calls {
        let request = call(method, path).json(&json!({}));
        s.anonymous().send(request.clone()).unauthorized();
        for who in &others {
            who.send(request.clone()).denied();
        }
    }
    // The guard is asked before the shape of the body.
    ann.send(call("POST", "/tokens").bytes(b"{")).denied();
    s.anonymous().send(call("POST", "/tokens").bytes(b"{")).unauthorized();
}

#[test]
fn tokens_survive_a_restart_and_only_their_hash_is_kept() {
    let s = Setup::new().start();
    let ann = s.person();
    let secret = ann.token.clone().unwrap();
    let setup = s.stop();
    let s = setup.start();
    let ann = s.with_token(&secret, &ann.did);
    ann.get("/records").is(200);
    let file = s.file();
    let setup = s.stop();
    let bytes = std::fs::read(file).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    assert!(!holds(secret.as_bytes()), "the secret is in the file");
    assert!(holds(ann.did.as_bytes()), "the row is in the file");
    drop(setup);
}
