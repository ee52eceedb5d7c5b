//! Other origins (stack 1.7; SECURITY S11, S12).

use serde_json::json;

use crate::common::{Reply, Server, Setup, call, server};

const FRIEND: &str = "https://app.example.com";

fn preflight(s: &Server, origin: &str, path: &str) -> Reply {
    call("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "PATCH")
        .header("Access-Control-Request-Headers", "authorization, content-type, if-match, prefer")
        .send(s.address)
}

#[test]
fn nobody_is_allowed_by_default() {
    let s = server();
    for origin in
        [FRIEND, "http://localhost:3000", "null", "https://stack.example.com.evil.example"]
    {
        for path in ["/records", "/.well-known/stack", "/types"] {
            let reply = call("GET", path).header("Origin", origin).send(s.address);
            assert!(reply.header("access-control-allow-origin").is_none(), "{reply}");
            assert!(preflight(&s, origin, path).header("access-control-allow-origin").is_none());
        }
        // A page of another origin changes nothing, whatever it knows.
        let request =
            call("POST", "/tokens").json(&json!({ "label": "stolen" })).header("Origin", origin);
        s.owner().send(request).denied();
    }
    assert!(!s.owner().get("/tokens").text().contains("stolen"));
    // The server's own origins are no strangers.
    for own in [format!("http://{}", s.address), crate::common::BASE_URL.to_owned()] {
        s.owner()
            .send(call("POST", "/records/query").json(&json!({})).header("Origin", &own))
            .is(200);
    }
}

#[test]
fn a_listed_origin_is_allowed() {
    let s = Setup::new().env("TRUSTED_ORIGINS", FRIEND).start();
    let reply = s.owner().send(call("GET", "/records").header("Origin", FRIEND));
    assert_eq!(reply.header("access-control-allow-origin"), Some(FRIEND), "{reply}");
    assert!(reply.header("vary").is_some_and(|v| v.to_ascii_lowercase().contains("origin")));
    let exposed = reply.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["x-request-id", "content-disposition", "etag"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    s.owner().send(call("POST", "/tokens").json(&json!({})).header("Origin", FRIEND)).is(201);
    // Refusals can be read by the page too.
    let refused = call("GET", "/tokens").header("Origin", FRIEND).send(s.address);
    assert_eq!(refused.header("access-control-allow-origin"), Some(FRIEND));

    let reply = preflight(&s, FRIEND, "/records/1hk153x00001");
    assert_eq!(reply.status, 204, "{reply}");
    assert_eq!(reply.header("access-control-allow-origin"), Some(FRIEND));
    let methods = reply.header("access-control-allow-methods").unwrap();
    for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    let headers = reply.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
    for name in ["authorization", "content-type", "content-disposition", "if-match", "prefer"] {
        assert!(headers.contains(name), "{headers}");
    }
    for stranger in [
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://evil.example",
        "null",
    ] {
        assert!(
            preflight(&s, stranger, "/records").header("access-control-allow-origin").is_none(),
            "{stranger}"
        );
        assert!(
            s.owner()
                .send(call("GET", "/records").header("Origin", stranger))
                .header("access-control-allow-origin")
                .is_none()
        );
        s.owner()
            .send(call("POST", "/tokens").json(&json!({})).header("Origin", stranger))
            .denied();
    }
}

/// Even a bad credential is answered so that the page can read it.
#[test]
fn a_preflight_needs_no_credential() {
    let s = Setup::new().env("TRUSTED_ORIGINS", FRIEND).start();
    for path in ["/tokens", "/records", "/records/x/permissions", "/attachments"] {
        assert_eq!(preflight(&s, FRIEND, path).status, 204, "{path}");
    }
    let reply = call("GET", "/records")
        .header("Origin", FRIEND)
        .header("Authorization", "Bearer bad")
        .send(s.address);
    assert_eq!(reply.header("access-control-allow-origin"), Some(FRIEND));
    reply.unauthorized();
}
