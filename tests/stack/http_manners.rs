//! Bytes on the wire: framing, host, methods, keep-alive, headers of every answer (stack 1.1; SECURITY S10 to S19).

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::common::{OWNER_TOKEN, Reply, Server, call, server};

fn raw(s: &Server, text: &str) -> Option<Reply> {
    let answer = s.raw(text.replace("{host}", &s.address.to_string()).as_bytes());
    (!answer.is_empty()).then(|| Reply::parse(&answer, text.to_owned()))
}

#[test]
fn headers_of_every_answer() {
    let s = server();
    for (who, path) in [
        (s.owner(), "/tokens"),
        (s.owner(), "/records/1hk153x00001"),
        (s.anonymous(), "/tokens"),
        (s.anonymous(), "/.well-known/stack"),
        (s.owner(), "/nope"),
    ] {
        let reply = who.get(path);
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert!(reply.header("content-type").unwrap().starts_with("application/json"));
        assert!(
            !reply.header("server").unwrap_or_default().contains(char::is_numeric),
            "no version"
        );
        if who.token.is_some() {
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        }
        assert!(reply.header("set-cookie").is_none());
    }
}

/// Names of other hosts are refused before anything else is looked at: a rebound name reaches nothing.
#[test]
fn foreign_hosts() {
    let s = server();
    for host in [
        "evil.example",
        "localhost.evil.example",
        "stack.example.com.evil.example",
        "evilstack.example.com",
        "0.0.0.0",
        "a b",
        "",
        "127.0.0.1:99999",
        "localhost:x",
        "user@localhost",
    ] {
        for path in ["/health", "/.well-known/stack", "/records", "/nope"] {
            let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let reply = raw(&s, &text).expect("an answer");
            assert!(matches!(reply.status, 400 | 421), "{host:?} {path}: {}", reply.status);
            assert!(reply.body.is_empty(), "{reply}");
        }
    }
    for host in [
        "{host}",
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1",
        "[::1]",
        "[::1]:7700",
        "stack.example.com",
        "192.168.1.5:7700",
    ] {
        let text =
            format!("GET /.well-known/stack HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(&s, &text).expect("an answer").is(200);
    }
    for text in [
        "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET http://evil.example/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
    ] {
        let reply = raw(&s, text).expect("an answer");
        assert!(matches!(reply.status, 400 | 421), "{reply}");
    }
    raw(&s, "GET http://{host}/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .expect("an answer")
        .is(200);
}

/// Requests whose length is in doubt are refused and the connection ends: nothing is smuggled.
#[test]
fn framing_in_doubt() {
    let s = server();
    let smuggled = "GET /tokens HTTP/1.1\r\nHost: {host}\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 5x\r\n\r\nhello",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length : 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "X-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "X-A: \0\r\nContent-Length: 0\r\n\r\n",
        "X\0A: b\r\nContent-Length: 0\r\n\r\n",
        ": b\r\nContent-Length: 0\r\n\r\n",
        "X A: b\r\nContent-Length: 0\r\n\r\n",
    ] {
        let text = format!("POST /records/query HTTP/1.1\r\nHost: {{host}}\r\n{head}{smuggled}");
        let answer = s.raw(text.replace("{host}", &s.address.to_string()).as_bytes());
        let shown = String::from_utf8_lossy(&answer).into_owned();
        assert!(shown.starts_with("HTTP/1.1 400"), "{head:?}: {shown}");
        assert_eq!(shown.matches("HTTP/1.1 ").count(), 1, "one answer, then the end: {shown}");
    }
}

#[test]
fn heads_out_of_bounds() {
    let s = server();
    let long_path = format!(
        "GET /{} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n",
        "a".repeat(10_000)
    );
    let large = format!(
        "GET /health HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\nX-Large: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{}\r\n",
        (0..200).map(|n| format!("X-{n}: 1\r\n")).collect::<String>()
    );
    for (text, wanted) in
        [(&long_path, vec![414, 431, 400]), (&large, vec![431]), (&many, vec![431])]
    {
        let reply = raw(&s, text).expect("an answer");
        assert!(wanted.contains(&reply.status), "{} not in {wanted:?}", reply.status);
    }
    for text in [
        "GET\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: {host}\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = s.raw(text.replace("{host}", &s.address.to_string()).as_bytes());
        let shown = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty()
                || shown.starts_with("HTTP/1.1 4")
                || shown.starts_with("HTTP/1.0 4")
                || shown.starts_with("HTTP/1.1 505"),
            "{text:?}: {shown}"
        );
    }
    s.anonymous().get("/health").is(200);
}

#[test]
fn methods() {
    let s = server();
    for method in ["TRACE", "CONNECT"] {
        let text =
            format!("{method} /records HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(&s, &text).expect("an answer").status, 405);
    }
    for (method, path) in [
        ("PUT", "/records"),
        ("DELETE", "/records"),
        ("PATCH", "/tokens"),
        ("POST", "/.well-known/stack"),
        ("BREW", "/records"),
        ("DELETE", "/types"),
        ("PUT", "/entity"),
    ] {
        let reply = s.owner().send(call(method, path).json(&json!({})));
        assert!(reply.status == 405, "{method} {path}: {reply}");
    }
}

/// One connection serves many requests, in order, also when they come all at once.
#[test]
fn keep_alive_and_pipelining() {
    let s = server();
    let mut stream = TcpStream::connect(s.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let one = |path: &str, last: bool| {
        let close = if last { "Connection: close\r\n" } else { "" };
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {OWNER_TOKEN}\r\n{close}\r\n",
            s.address
        )
    };
    let mut all = String::new();
    for n in 0..10 {
        all.push_str(&one(if n % 2 == 0 { "/tokens" } else { "/records/1hk153x00001" }, n == 9));
    }
    stream.write_all(all.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let statuses: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404"].repeat(5));
}

/// Compressed bodies are not unpacked.
#[test]
fn compressed_requests() {
    let s = server();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let reply = s
            .owner()
            .send(call("POST", "/records/query").header("Content-Encoding", coding).bytes(b"{}"));
        assert_eq!(reply.status, 415, "{coding}: {reply}");
    }
    s.owner()
        .send(call("POST", "/records/query").header("Content-Encoding", "identity").bytes(b"{}"))
        .is(200);
}

/// A client that goes away in the middle of a body leaves nothing behind.
#[test]
fn a_body_that_never_ends() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let body = json!({ "typeId": kind, "content": { "a": 1 } }).to_string();
    for cut in [0, 1, body.len() / 2, body.len() - 1] {
        let mut stream = TcpStream::connect(s.address).unwrap();
        let head = format!(
            "POST /records HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {OWNER_TOKEN}\r\nContent-Length: {}\r\n\r\n",
            s.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..cut]).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let unfinished = "POST /attachments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 500000\r\n\r\n".replace("{host}", &s.address.to_string()).replace("{token}", OWNER_TOKEN);
    let mut stream = TcpStream::connect(s.address).unwrap();
    stream.write_all(unfinished.as_bytes()).unwrap();
    stream.write_all(&[7; 300_000]).unwrap();
    drop(stream);
    assert!(
        s.owner().find(json!({ "filter": { "typeId": kind, "includeDeleted": true } })).is_empty()
    );
    let partial = cairn::crypto::hex(&cairn::crypto::sha256(&[7; 300_000]));
    s.owner().get(&format!("/attachments/{partial}")).missing();
}
