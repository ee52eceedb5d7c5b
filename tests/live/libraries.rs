//! The requests that the published client libraries make, byte for byte where it matters (live 19).
//!
//! The short-form libraries (JavaScript, Python) label every request as JSON, also those without a body, and send SQL text;
//! the PHP library sends a key with every request and reads every answer as JSON.

use serde_json::{Value, json};

use crate::common::{Call, OWNER_TOKEN, Reply, Setup, call, server};
use crate::support::{entity, ids, refused};

/// As the short-form libraries send it after `use()`.
fn short_form(method: &str, path: &str, body: Option<Value>) -> Call {
    let request = call(method, path)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("X-DarshDB-NS", "test")
        .header("X-DarshDB-DB", "test");
    match body {
        Some(body) => request.bytes(body.to_string().as_bytes()),
        None => request,
    }
}

#[test]
fn short_form_records() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let send = |method, path: &str, body| who.send(short_form(method, path, body));
    let all = format!("/api/data/{t}");
    let one = format!("/api/data/{t}/darsh");
    // create("t:darsh", …), create("t", …)
    let made = send("POST", &all, Some(json!({ "id": "darsh", "name": "D" }))).is(201);
    assert_eq!(
        (&made["id"], &made["name"]),
        (&json!("darsh"), &json!("D")),
        "the body is the record"
    );
    send("POST", &all, Some(json!({ "name": "E" }))).is(201);
    // select("t"), select("t:darsh")
    assert_eq!(send("GET", &all, None).is(200)["data"].as_array().unwrap().len(), 2);
    assert_eq!(send("GET", &one, None).is(200)["name"], "D");
    // merge("t:darsh", …)
    assert_eq!(send("PATCH", &one, Some(json!({ "age": 3 }))).is(200)["age"], 3);
    // query(sql, vars)
    let sql =
        json!({ "query": format!("SELECT * FROM {t} WHERE age > $min"), "vars": { "min": 2 } });
    assert_eq!(ids(&send("POST", "/api/query", Some(sql)).is(200)["data"]), ["darsh"]);
    // insert(t, [..]): what comes back are the created records, in `data`
    let insert = json!({ "mutations": [{ "op": "insert", "entity": &t, "data": { "name": "F" } },
                                       { "op": "insert", "entity": &t, "data": { "name": "G" } }] });
    let done = send("POST", "/api/mutate", Some(insert)).is(200);
    assert_eq!(done["results"][1]["data"]["name"], "G");
    // relate(a, "likes", b)
    let relate = json!({ "mutations": [{ "op": "insert", "entity": "likes", "data": {
        "from_entity": &t, "from_id": "darsh", "to_entity": &t, "to_id": "x", "since": 1 } }] });
    assert_eq!(
        send("POST", "/api/mutate", Some(relate)).is(200)["results"][0]["status"],
        "created"
    );
    // batch(ops)
    let batch = json!({ "operations": [{ "method": "GET", "path": &one }, { "method": "DELETE", "path": &one }] });
    let answer = send("POST", "/api/batch", Some(batch)).is(200);
    assert_eq!(
        (&answer["results"][0]["name"], &answer["results"][1]["status"]),
        (&json!("D"), &json!(204))
    );
    // delete("t:darsh"), delete("t"): with a type and without a body
    refused(send("DELETE", &one, None), 404, "NOT_FOUND");
    send("DELETE", &all, None).is(204);
    // health(), version()
    assert_eq!(send("GET", "/api/health", None).is(200)["version"], env!("CARGO_PKG_VERSION"));
}

/// signin({ user, pass }) sends names that are no addresses; signout has an empty body that says it is JSON.
#[test]
fn short_form_accounts() {
    let server = Setup::new().env("CAIRN_SIGNUP", "open").start();
    let nobody = server.anonymous();
    let body =
        json!({ "email": "a@example.com", "password": "correct horse battery", "name": "Ada" });
    let session = nobody.send(short_form("POST", "/api/auth/signup", Some(body.clone()))).is(201);
    assert_eq!(session["user"]["displayName"], "Ada");
    refused(nobody.send(short_form("POST", "/api/auth/signup", Some(body))), 409, "CONFLICT");
    let root = json!({ "email": "root", "password": "wrong" });
    refused(
        nobody.send(short_form("POST", "/api/auth/signin", Some(root))),
        401,
        "INVALID_CREDENTIALS",
    );
    let who = server.with_token(session["accessToken"].as_str().unwrap(), "");
    // fn without arguments, as the Python library calls it
    server
        .owner()
        .put("/api/admin/functions/f", json!({ "kind": "query", "query": { "t": {} } }))
        .is(200);
    let empty = short_form("POST", "/api/fn/f", None).header("Content-Length", "0");
    assert_eq!(who.send(empty).is(200)["result"], json!({ "t": [] }));
    // The own profile, by either name.
    let id = session["user"]["id"].as_str().unwrap();
    let own = format!("/api/data/users/{id}");
    assert_eq!(who.get(&own).is(200)["email"], "a@example.com");
    assert_eq!(who.patch(&own, json!({ "displayName": "A." })).is(200)["displayName"], "A.");
    refused(who.patch(&own, json!({ "role": "admin" })), 403, "PERMISSION_DENIED");
    refused(who.post("/api/data/users", json!({ "id": "x" })), 403, "PERMISSION_DENIED");
    who.send(short_form("POST", "/api/auth/signout", None).header("Content-Length", "0")).is(204);
    refused(who.get("/api/auth/me"), 401, "UNAUTHENTICATED");
}

#[test]
fn php() {
    let server = server();
    let t = entity();
    let send = |method: &str, path: &str, body: Value| -> Reply {
        let request = call(method, path)
            .header("X-Api-Key", OWNER_TOKEN)
            .header("User-Agent", "GuzzleHttp/7")
            .header("Accept", "application/json");
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send(server.address)
    };
    let all = format!("/api/data/{t}");
    assert_eq!(send("POST", &all, json!({ "id": "a", "n": 1 })).is(201)["data"]["n"], 1);
    assert_eq!(send("POST", &format!("{all}/a"), json!({ "n": 2 })).is(200)["data"]["n"], 2);
    let builder = json!({ "collection": &t, "where": [{ "field": "n", "op": ">=", "value": 2 }],
                          "orderBy": [{ "field": "n", "direction": "desc" }], "limit": 10 });
    let found = send("POST", "/api/query", builder).is(200);
    assert_eq!(ids(&found["data"]), ["a"]);
    assert!(found["txId"].is_string());
    let ops = json!({ "ops": [{ "kind": "set", "entity": &t, "id": "b", "data": {} }] });
    assert!(send("POST", "/api/transact", ops).is(200)["txId"].is_string());
    // It decodes every answer: no 204 for it.
    assert_eq!(send("DELETE", &format!("{all}/a"), Value::Null).is(200), json!({ "ok": true }));
    let missing = refused(send("DELETE", &format!("{all}/a"), Value::Null), 404, "NOT_FOUND");
    assert!(missing["message"].is_string());
}

/// `@darshjdb/client`: its REST transport, and the Next.js helpers.
#[test]
fn application_client() {
    let server = server();
    let (who, t) = (server.person(), entity());
    let ops = json!({ "ops": [{ "kind": "set", "entity": &t, "id": "y", "data": { "done": false } },
                              { "kind": "link", "entity": &t, "id": "y", "target": { "entity": &t, "id": "y" } }] });
    let done = who.post("/v1/apps/my-app/transact", ops).is(200);
    let query =
        json!({ "collection": &t, "where": [{ "field": "done", "op": "=", "value": false }] });
    let found = who.post("/v1/apps/my-app/query", query).is(200);
    assert_eq!(found["data"], json!([{ "id": "y", "done": false }]));
    let seen: i64 = found["txId"].as_str().unwrap().parse().unwrap();
    assert!(seen >= done["tx"].as_i64().unwrap());
    // Next.js: no id in a create
    let ops = json!({ "ops": [{ "entity": &t, "op": "set", "data": { "a": 1 } }] });
    assert_eq!(
        who.post("/api/mutate", ops).is(200)["results"][0]["id"].as_str().unwrap().len(),
        12
    );
}
