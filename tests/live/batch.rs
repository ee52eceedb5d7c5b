//! `POST /api/batch` (live 9.4).

use serde_json::json;

use crate::common::{call, server};
use crate::support::{entity, refused};

#[test]
fn each_operation_stands_alone() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let data = format!("/api/data/{t}");
    let operations = json!([
        { "method": "POST", "path": &data, "body": { "id": "a", "v": 1 } },
        { "method": "post", "path": &data, "body": { "id": "a" } },
        { "method": "GET", "path": format!("{data}?limit=1") },
        { "method": "PATCH", "path": format!("{data}/a"), "body": { "status": "open" } },
        { "method": "POST", "path": "/api/query", "body": { "query": format!("SELECT v FROM {t}; SELECT * FROM {t}") } },
        { "method": "DELETE", "path": format!("{data}/a") },
        { "method": "GET", "path": format!("{data}/a") },
    ]);
    let answer = who.post("/api/batch", json!({ "operations": operations })).is(200);
    assert!(answer["duration_ms"].is_number());
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].clone()).collect();
    assert_eq!(
        statuses,
        [json!(201), json!(409), json!(200), json!("open"), json!(200), json!(204), json!(404)]
    );
    assert_eq!(results[2]["total"], 1);
    assert_eq!(results[4]["data"][0]["data"], json!([{ "id": "a", "v": 1 }]));
    assert_eq!(results[5], json!({ "status": 204 }));
    assert_eq!(results[6]["error"]["code"], "NOT_FOUND");
    who.post(
        "/v1/apps/my-app/batch",
        json!({ "operations": [{ "method": "GET", "path": &data }] }),
    )
    .is(200);
}

#[test]
fn what_a_batch_does_not_call() {
    let server = server();
    let who = server.person();
    let operations = json!([
        { "method": "POST", "path": "/api/batch", "body": {} },
        { "method": "GET", "path": "/records" },
        { "method": "GET", "path": "/api/subscribe?q=x" },
        { "method": "POST", "path": "/api/storage/upload" },
        { "method": "BREW", "path": "/api/query" },
        { "path": "/api/query" },
        7,
        { "method": "DELETE", "path": "/api/query" },
    ]);
    let answer = who.post("/api/batch", json!({ "operations": operations })).is(200);
    for result in answer["results"].as_array().unwrap() {
        assert_eq!(
            (&result["status"], &result["error"]["code"]),
            (&json!(400), &json!("INVALID_ARGUMENT")),
            "{result}"
        );
    }
    let unknown = json!({ "operations": [{ "method": "GET", "path": "/api/nothing" }] });
    assert_eq!(who.post("/api/batch", unknown).is(200)["results"][0]["status"], 404);
    for body in
        [json!({}), json!({ "operations": [] }), json!({ "operations": vec![json!({}); 51] })]
    {
        refused(who.post("/api/batch", body), 400, "INVALID_ARGUMENT");
    }
    let one = json!({ "operations": [{ "method": "GET", "path": "/api/admin/stats" }] });
    assert_eq!(who.post("/api/batch", one.clone()).is(200)["results"][0]["status"], 403);
    refused(server.anonymous().send(call("POST", "/api/batch").json(&one)), 401, "UNAUTHENTICATED");
}

/// The tight limit on sign-ins holds inside a batch too.
#[test]
fn a_batch_is_no_way_around_the_limit_on_sign_ins() {
    let server = crate::common::Setup::new()
        .env("CAIRN_SIGN_IN_ATTEMPTS_PER_MINUTE", "3")
        .without_rate_switch()
        .start();
    let who = server.owner();
    let attempt =
        json!({ "method": "POST", "path": "/api/auth/refresh", "body": { "refreshToken": "x" } });
    let answer = who.post("/api/batch", json!({ "operations": vec![attempt; 5] })).is(200);
    let statuses: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|r| r["status"].clone()).collect();
    // The minute may turn in between, which lets one more through.
    assert!(statuses.contains(&json!(429)), "{statuses:?}");
    assert_eq!(statuses[0], 401);
}
