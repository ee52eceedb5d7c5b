//! What all addresses have in common (live 2, 3).

use serde_json::json;

use crate::common::{Setup, call, server};
use crate::support::{entity, refused};

#[test]
fn unknown_addresses_and_wrong_methods() {
    let server = server();
    let who = server.person();
    for path in ["/api/data", "/api/data/a/b/c", "/api/query/", "/v1/apps/a/nothing", "/api/fn"] {
        refused(who.get(path), 404, "NOT_FOUND");
    }
    for (path, allowed) in [("/api/query", "OPTIONS, POST"), ("/api/mutate", "OPTIONS, POST")] {
        let reply = who.get(path);
        assert_eq!(reply.header("allow"), Some(allowed));
        refused(reply, 405, "INVALID_ARGUMENT");
    }
    assert_eq!(who.send(call("HEAD", &format!("/api/data/{}", entity()))).status, 200);
}

#[test]
fn application_ids() {
    let server = Setup::new().env("CAIRN_APP_ID", "mine").start();
    let who = server.owner();
    who.post("/v1/apps/mine/query", json!({ "collection": "todos" })).is(200);
    refused(who.post("/v1/apps/other/query", json!({ "collection": "todos" })), 404, "NOT_FOUND");
    refused(who.post("/v1/apps/a%20b/query", json!({ "collection": "todos" })), 404, "NOT_FOUND");
    let server = crate::common::server();
    let (who, t) = (server.person(), entity());
    who.post(&format!("/v1/apps/one/data/{t}"), json!({ "id": "a" })).is(201);
    who.get(&format!("/v1/apps/two/data/{t}/a")).is(200);
    refused(who.get(&format!("/v1/apps/{}/data/{t}", "a".repeat(65))), 404, "NOT_FOUND");
}

#[test]
fn credentials() {
    let server = server();
    let t = entity();
    let path = format!("/api/data/{t}");
    let with =
        |header: &str, value: &str| call("GET", &path).header(header, value).send(server.address);
    let token = server.person().token.unwrap();
    with("Authorization", &format!("bEARER {token}")).is(200);
    with("X-Api-Key", &token).is(200);
    refused(with("Authorization", &token), 401, "UNAUTHENTICATED");
    refused(with("Authorization", "Basic eDp5"), 401, "UNAUTHENTICATED");
    refused(with("X-Api-Key", "wrong"), 401, "UNAUTHENTICATED");
    let both = call("GET", &path).header("Authorization", &format!("Bearer {token}"));
    both.header("X-Api-Key", "wrong").send(server.address).is(200);
    // A token in the address counts on event streams only.
    refused(
        call("GET", &format!("{path}?token={token}")).send(server.address),
        401,
        "UNAUTHENTICATED",
    );
    // Who asks comes before what is asked.
    refused(call("POST", "/api/mutate").bytes(b"{").send(server.address), 401, "UNAUTHENTICATED");
    refused(call("GET", "/api/data/a%20b").send(server.address), 401, "UNAUTHENTICATED");
}

#[test]
fn every_answer_tells_the_rate() {
    let server = Setup::new().without_rate_switch().start();
    let who = server.person();
    let mut last = u64::MAX;
    for request in [
        call("GET", "/api/data/t"),
        call("POST", "/api/query").bytes(b"{"),
        call("GET", "/api/data/t/none"),
        call("DELETE", "/api/data/t"),
    ] {
        let reply = who.send(request);
        let number = |name: &str| reply.header(name).unwrap().parse::<u64>().unwrap();
        assert_eq!(number("x-ratelimit-limit"), 6_000);
        let (remaining, reset) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"));
        assert!(reset > 1_700_000_000);
        // It falls within a minute, and starts again with the next.
        assert!(remaining < last || remaining == 5_999, "{remaining} after {last}");
        last = remaining;
    }
    let reply = server.anonymous().get("/api/data/t");
    assert_eq!(reply.header("x-ratelimit-limit"), Some("600"));
}
