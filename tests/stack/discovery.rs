//! Discovery, health and unknown addresses (stack 1.1, 1.5, 11).

use serde_json::json;

use crate::common::{Setup, call, is_instant, is_uuid, server, text};

/// A client learns all it needs to know from one answer, and no credential is needed for it.
#[test]
fn discovery_describes_the_server() {
    let s = server();
    for who in [s.anonymous(), s.owner(), s.person()] {
        let body = who.get("/.well-known/stack").is(200);
        assert_eq!(body["version"], "1.0");
        assert_eq!(body["entityId"], json!(s.owner_did()));
        assert!(body.get("timezone").is_none(), "absent when not configured: {body}");
        let can = &body["capabilities"];
        assert_eq!(can["fullTextSearch"], true);
        assert_eq!(can["contentFieldQuery"], true);
        assert_eq!(can["sortableFields"], json!(["createdAt", "updatedAt", "version"]));
        assert_eq!(can["maxAttachmentBytes"], 52_428_800);
        assert_eq!(can["maxContentBytes"], 1_048_576);
        assert_eq!(body["auth"]["methods"], json!(["did-challenge"]));
    }
}

#[test]
fn timezone_is_told_when_configured() {
    let s = Setup::new().env("CAIRN_TIMEZONE", "America/New_York").start();
    let body = s.anonymous().get("/.well-known/stack").is(200);
    assert_eq!(body["timezone"], "America/New_York");
    let config = s.owner().get("/records/_config").is(200);
    assert_eq!(config["content"]["timezone"], "America/New_York");
}

/// Without a configured owner the server makes one, and keeps it.
#[test]
fn an_owner_is_generated_and_kept() {
    let s = Setup::new().without("CAIRN_OWNER_DID").start();
    let made = s.anonymous().get("/.well-known/stack").is(200)["entityId"].clone();
    assert!(cairn::crypto::did_key::parse(text(&made)).is_some(), "{made}");
    let s = s.stop().start();
    assert_eq!(s.anonymous().get("/.well-known/stack").is(200)["entityId"], made);
}

/// The owner is fixed when the file is made: another configured one is ignored, not adopted.
#[test]
fn another_owner_does_not_take_over() {
    let s = Setup::new().start();
    let (did, kept) = (s.owner_did(), s.owner().make("_group@1", json!({ "name": "g" })));
    let s = s.stop().env("CAIRN_OWNER_DID", &crate::common::Key::of(99).did).start();
    assert_eq!(s.anonymous().get("/.well-known/stack").is(200)["entityId"], json!(did));
    assert_eq!(
        s.owner().get(&format!("/records/{}", text(&kept["id"]))).is(200)["entityId"],
        json!(did)
    );
}

#[test]
fn health_answers_without_credential() {
    let body = server().anonymous().get("/health").is(200);
    assert_eq!(body["status"], "ok");
    assert!(is_instant(text(&body["timestamp"])), "{body}");
}

/// Addresses that do not exist, or exist with other words, are 404 with the stack's code.
#[test]
fn unknown_addresses() {
    let s = server();
    let owner = s.owner();
    for path in [
        "/nope",
        "/records/1hk153x00001/nope",
        "/records/1hk153x00001/versions/1/nope",
        "/tokens/a/b",
        "/types/a/b/c",
        "/records/",
        "/types/",
        "/tokens/",
        "/Records",
        "/.well-known/stacks",
        "//records",
    ] {
        owner.get(path).missing();
        s.anonymous().get(path).missing();
    }
}

/// A credential that is not good is refused everywhere, never taken for "nobody".
#[test]
fn a_bad_credential_is_401_on_every_route() {
    let s = server();
    let bad = [
        "Bearer nonsense",
        "Bearer ",
        "bearer owner-token-of-the-tests-0123456789abcdef",
        "Basic dXNlcjpwYXNz",
        "owner-token-of-the-tests-0123456789abcdef",
        "Bearer  owner-token-of-the-tests-0123456789abcdef",
        "Token x",
        "Bearer 0000000000000000000000000000000000000000000000000000000000000000",
    ];
    for path in
        ["/.well-known/stack", "/types", "/records", "/records/1hk153x00001", "/entity", "/tokens"]
    {
        for value in bad {
            call("GET", path).header("Authorization", value).send(s.address).unauthorized();
        }
    }
    for path in
        ["/auth/challenge", "/auth/token", "/records", "/records/query", "/types", "/attachments"]
    {
        let request =
            call("POST", path).json(&json!({})).header("Authorization", "Bearer nonsense");
        request.send(s.address).unauthorized();
    }
}

/// A token in the address is no credential (and the parameter is ignored).
#[test]
fn a_token_in_the_query_string_is_nobody() {
    let s = server();
    for name in ["token", "access_token", "authorization", "bearer"] {
        let path = format!("/tokens?{name}={}", crate::common::OWNER_TOKEN);
        s.anonymous().get(&path).unauthorized();
    }
}

#[test]
fn every_answer_has_its_own_request_id() {
    let s = server();
    let ids: Vec<String> = (0..5)
        .map(|_| s.anonymous().get("/.well-known/stack").header("x-request-id").unwrap().to_owned())
        .collect();
    assert!(ids.iter().all(|id| is_uuid(id)));
    assert!((1..5).all(|n| !ids[..n].contains(&ids[n])), "{ids:?}");
}
