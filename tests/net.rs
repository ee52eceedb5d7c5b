//! The HTTP door over real sockets, with bytes written by hand.
//!
//! Every server listens on port 0 and is stopped by its test. Times that a rule names are injected
//! and short; a test waits for the server's answer, never for a time.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cairn::net::websocket::{self, Frame, Message, SendError};
use cairn::net::{
    BodyError, Content, Envelope, Guard, HeadLimits, Rate, RateClass, RateLimits, Refusal, Reply,
    Route, Router, Server, Settings, Times,
};
use cairn::util::clock::Clock;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

/// Longer than any answer takes, shorter than a hanging test.
const PATIENCE: Duration = Duration::from_secs(20);

struct Plain;

impl Envelope for Plain {
    fn refuse(&self, path: &str, refusal: &Refusal, _request_id: &str) -> Reply {
        let status = match refusal {
            Refusal::Unknown => 404,
            Refusal::WrongMethod => 405,
            Refusal::Malformed(_) => 400,
            Refusal::Origin => 403,
            Refusal::RateLimited(_) => 429,
            Refusal::Panicked => 500,
        };
        let text = format!(r#"{{"refused":"{refusal:?}","path":"{path}"}}"#);
        Reply::json(StatusCode::from_u16(status).unwrap(), text)
    }
}

fn text(text: impl Into<String>) -> Reply {
    let reply = Reply::new(StatusCode::OK, Content::Bytes(text.into().into()));
    reply.with(CONTENT_TYPE, "text/plain; charset=utf-8")
}

/// The most a `POST /echo` takes.
const ECHO_BYTES_MAX: usize = 1_000;

fn routes() -> Vec<Route> {
    let route =
        |method, address, run| Route::new("stack", method, address, address, Guard::None, run);
    vec![
        route(Method::GET, "/hello", |_| async { text("hello") }),
        Route::new("stack", Method::GET, "/items/{id}", "items", Guard::None, |call| async move {
            text(format!("{} {}", call.param(0), call.query.get("q").unwrap_or("-")))
        }),
        Route::new("stack", Method::DELETE, "/items/{name}", "gone", Guard::None, |_| async {
            Reply::empty(StatusCode::NO_CONTENT)
        }),
        Route::new("stack", Method::POST, "/echo", "echo", Guard::None, |mut call| async move {
            match call.body.read(ECHO_BYTES_MAX).await {
                Ok(bytes) => text(String::from_utf8_lossy(&bytes)),
                Err(BodyError::TooLarge) => Reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
                Err(BodyError::Broken) => Reply::empty(StatusCode::BAD_REQUEST),
            }
        }),
        Route::new("stack", Method::POST, "/unread", "unread", Guard::None, |_| async {
            Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)
        }),
        Route::new("stack", Method::GET, "/panic", "panic", Guard::None, |call| async move {
            assert!(call.path.is_empty(), "as the test wants");
            text("")
        }),
        Route::new("stack", Method::GET, "/large", "large", Guard::None, |_| async {
            text("x".repeat(64 * 1024 * 1024))
        }),
        Route::new("live", Method::GET, "/limited", "limited", Guard::None, |call| async move {
            match call.header("authorization") {
                Some("Bearer bad") => Reply::empty(StatusCode::UNAUTHORIZED),
                _ => text("ok"),
            }
        }),
        Route::new("stack", Method::POST, "/sign-in", "sign-in", Guard::None, |_| async {
            text("ok")
        })
        .rate(RateClass::SignIn),
    ]
}

struct Running {
    server: Server,
    address: SocketAddr,
}

fn quick() -> Times {
    Times {
        head: Duration::from_millis(80),
        idle: Duration::from_millis(120),
        body_quiet: Duration::from_millis(60),
        body_bytes_per_second: 1024 * 1024,
        whole_body: Duration::from_secs(5),
        write: Duration::from_millis(80),
        linger: Duration::from_millis(200),
        websocket_close: Duration::from_millis(60),
    }
}

fn start(settings: Settings) -> Running {
    start_with(settings, routes())
}

fn start_with(settings: Settings, routes: Vec<Route>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let router = Router::new(routes).unwrap();
    let settings = Settings { workers: 2, ..settings };
    let server = Server::start(vec![listener], settings, router, Arc::new(Plain)).unwrap();
    Running { address: server.address(), server }
}

impl Running {
    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// One request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer(request.starts_with("HEAD"))
    }

    fn stop(self) {
        assert!(self.server.stop(Duration::from_secs(10)));
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
    }

    /// Reads until `enough` says where the wanted part ends.
    fn until(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = enough(&self.read) {
                return Some(self.read.drain(..end).collect());
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(n) => self.read.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.read)),
            }
        }
    }

    fn head(&mut self) -> Option<String> {
        let head =
            self.until(|bytes| bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|n| n + 4));
        head.map(|head| String::from_utf8(head).unwrap())
    }

    fn answer(&mut self, no_body: bool) -> Answer {
        let head = self.head().expect("an answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if !no_body && let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            answer.body = self.until(|bytes| (bytes.len() >= length).then_some(length)).unwrap();
        }
        answer
    }

    /// Everything until the server closes.
    fn rest(&mut self) -> Vec<u8> {
        self.until(|_| None);
        std::mem::take(&mut self.read)
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn requests_reach_their_handlers_and_answers_carry_the_common_headers() {
    let running = start(Settings::default());
    let mut client = running.connect();
    client.send(get("/hello"));
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-ratelimit-limit", "1000000"),
        ("x-ratelimit-remaining", "1000000"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("x-ratelimit-reset").is_some());
    let first = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(first.len(), 36);
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.header("cache-control"), None);
    client.send(get("/items/a%2Fb?q=1+2"));
    let answer = client.answer(false);
    assert_eq!(answer.text(), "a/b 1 2");
    assert_ne!(answer.header("x-request-id").unwrap(), first);
    client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n");
    assert_eq!(client.answer(false).header("cache-control"), Some("no-store"));
    client.send(post("/echo", "some text"));
    assert_eq!(client.answer(false).text(), "some text");
    assert_eq!(running.server.gauges().requests, 4);
    running.stop();
}

#[test]
fn head_is_get_without_a_body_and_wrong_methods_are_told() {
    let running = start(Settings::default());
    let mut client = running.connect();
    client.send("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send(get("/items/x"));
    let head = client.answer(true);
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(client.answer(false).text(), "x -");
    client.send(post("/items/x", "{}"));
    let wrong = client.answer(false);
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.header("allow"), Some("DELETE, GET, HEAD, OPTIONS"));
    assert!(wrong.text().contains("WrongMethod"));
    client.send("DELETE /items/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let deleted = client.answer(false);
    assert_eq!((deleted.status, deleted.header("content-length")), (204, None));
    client.send(get("/nowhere"));
    assert_eq!(client.answer(false).status, 404);
    client.send(get("/items/%ff"));
    assert_eq!(client.answer(false).status, 400);
    running.stop();
}

#[test]
fn a_panic_ends_its_request_only() {
    let running = start(Settings::default());
    let mut client = running.connect();
    client.send(get("/panic"));
    let answer = client.answer(false);
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("as the test wants"));
    client.send(get("/hello"));
    assert_eq!(client.answer(false).status, 200);
    running.stop();
}

#[test]
fn s10_a_foreign_host_is_refused_everywhere() {
    let running = start(Settings::default());
    for path in ["/hello", "/nowhere"] {
        let answer = running.ask(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
        assert_eq!((answer.status, answer.text()), (421, ""));
        assert!(answer.header("x-request-id").is_some());
        let answer = running.ask(&format!("GET {path} HTTP/1.1\r\n\r\n"));
        assert_eq!((answer.status, answer.text()), (400, ""));
    }
    running.stop();
}

#[test]
fn s11_s12_origins() {
    let running = start(Settings {
        origins: vec!["https://app.example.org".to_owned()],
        ..Settings::default()
    });
    let ask = |method: &str, origin: &str| {
        running.ask(&format!(
            "{method} /items/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n"
        ))
    };
    let refused = ask("DELETE", "https://evil.example");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Origin"));
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(refused.header("vary"), Some("Origin"));
    let listed = ask("DELETE", "https://app.example.org");
    assert_eq!(listed.status, 204);
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(listed.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    let preflight = ask("OPTIONS", "https://app.example.org");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("If-Match"));
    assert_eq!(preflight.header("allow"), Some("DELETE, GET, HEAD, OPTIONS"));
    let preflight = ask("OPTIONS", "https://evil.example");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, None));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"), "the rest is the same");
    running.stop();
}

#[test]
fn s14_heads_and_bodies_have_limits() {
    let running = start(Settings::default());
    let long = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(n));
    assert_eq!(running.ask(&long(8_100)).status, 404);
    let answer = running.ask(&long(8_300));
    assert_eq!((answer.status, answer.header("connection")), (414, Some("close")));
    assert!(answer.header("x-request-id").is_some());
    let field = |n: usize| {
        format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "b".repeat(n))
    };
    assert_eq!(running.ask(&field(32_000)).status, 200);
    assert_eq!(running.ask(&field(33_000)).status, 431);
    let fields = |n: usize| {
        format!("GET /hello HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: b\r\n".repeat(n))
    };
    assert_eq!(running.ask(&fields(99)).status, 200);
    assert_eq!(running.ask(&fields(100)).status, 431);
    assert_eq!(running.ask(&post("/echo", &"x".repeat(ECHO_BYTES_MAX))).status, 200);
    assert_eq!(running.ask(&post("/echo", &"x".repeat(ECHO_BYTES_MAX + 1))).status, 413);
    let chunked = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("100\r\n{}\r\n", "x".repeat(256));
    assert_eq!(running.ask(&format!("{chunked}{}0\r\n\r\n", chunk.repeat(3))).status, 200);
    assert_eq!(running.ask(&format!("{chunked}{}0\r\n\r\n", chunk.repeat(4))).status, 413);
    running.stop();
}

/// A client that sends all of a refused body before it reads used to find a reset connection.
#[test]
fn s14_a_client_that_sends_on_still_reads_its_refusal() {
    let running = start(Settings::default());
    for path in ["/echo", "/unread"] {
        let mut client = running.connect();
        client.send(post(path, &"x".repeat(4 * 1024 * 1024)));
        assert_eq!(client.answer(false).status, 413, "{path}");
    }
    running.stop();
}

#[test]
fn s15_slow_heads_bodies_and_readers_are_not_waited_for() {
    let running = start(Settings { times: quick(), ..Settings::default() });
    let mut silent = running.connect();
    assert_eq!(silent.rest(), b"");
    let mut slow = running.connect();
    slow.send("GET /hello HTTP/1.1\r\nHost: loc");
    let answer = slow.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    let mut idle = running.connect();
    idle.send(get("/hello"));
    assert_eq!(idle.answer(false).status, 200);
    assert_eq!(idle.rest(), b"");
    let mut body = running.connect();
    body.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
    let answer = body.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    let mut reader = running.connect();
    reader.send(get("/large"));
    assert!(reader.head().is_some());
    while running.server.gauges().connections > 0 {
        std::thread::yield_now();
    }
    running.stop();
}

#[test]
fn s16_beyond_the_limit_the_longest_waiting_connection_goes() {
    let running = start(Settings { connections_max: 2, ..Settings::default() });
    let mut first = running.connect();
    let mut second = running.connect();
    second.send(get("/hello"));
    assert_eq!(second.answer(false).status, 200);
    let mut third = running.connect();
    third.send(get("/hello"));
    assert_eq!(third.answer(false).status, 200);
    assert_eq!(first.rest(), b"");
    second.send(get("/hello"));
    assert_eq!(second.answer(false).status, 200);
    running.stop();
}

#[test]
fn s16_pipelined_requests_are_answered_in_order() {
    let running = start(Settings::default());
    let mut client = running.connect();
    const COUNT: usize = 300;
    let all: String = (0..COUNT).map(|n| get(&format!("/items/{n}"))).collect();
    client.send(all);
    for n in 0..COUNT {
        assert_eq!(client.answer(false).text(), format!("{n} -"));
    }
    running.stop();
}

#[test]
fn s17_bad_framing_is_refused_in_turn_and_ends_the_connection() {
    let running = start(Settings::default());
    for (bad, status) in [
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            400,
        ),
        ("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\nHost: localhost\n\n", 400),
        ("GET /<> HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0", 400),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET / HTTP/3.0\r\n\r\n", 505),
    ] {
        let mut client = running.connect();
        client.send(get("/hello"));
        client.send(bad);
        assert_eq!(client.answer(false).text(), "hello");
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.text()), (status, ""), "{bad:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), b"");
    }
    let mut client = running.connect();
    client
        .send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.answer(false).status, 400);
    running.stop();
}

#[test]
fn s18_compressed_bodies_are_refused() {
    let running = start(Settings::default());
    let request = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(running.ask(request).status, 415);
    running.stop();
}

#[test]
fn expect_continue_is_answered_when_the_body_is_wanted() {
    let running = start(Settings::default());
    let mut client = running.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 100 "));
    client.send("ok");
    assert_eq!(client.answer(false).text(), "ok");
    let mut client = running.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n");
    assert_eq!(client.answer(false).status, 413);
    running.stop();
}

#[test]
fn s33_rates_are_counted_by_address() {
    let (clock, hand) = Clock::manual(30_000);
    let limits = RateLimits { anonymous: 2, sign_in: 1, ..RateLimits::default() };
    let running = start(Settings { rate: Rate::new(clock, limits), ..Settings::default() });
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining").unwrap().to_owned();
    let first = running.ask(&get("/limited"));
    assert_eq!((first.status, left(&first).as_str()), (200, "1"));
    assert_eq!(first.header("x-ratelimit-reset"), Some("60"));
    let bad = "GET /limited HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bad\r\n\r\n";
    assert_eq!(running.ask(bad).status, 401);
    let refused = running.ask(bad);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")));
    let refused = running.ask(&get("/limited"));
    assert_eq!((refused.status, left(&refused).as_str()), (429, "0"));
    assert_eq!(running.ask(&get("/hello")).status, 200);
    assert_eq!(running.ask(&post("/sign-in", "")).status, 200);
    assert_eq!(running.ask(&post("/sign-in", "")).status, 429);
    hand.advance_ms(30_000);
    assert_eq!(running.ask(&get("/limited")).status, 200);
    running.stop();
}

#[test]
fn stopping_lets_requests_finish_and_closes_idle_connections() {
    let (entered, waiting) = std::sync::mpsc::channel();
    let release = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&release);
    let route = Route::new("stack", Method::GET, "/wait", "wait", Guard::None, move |_| {
        let (entered, gate) = (entered.clone(), Arc::clone(&gate));
        async move {
            entered.send(()).unwrap();
            gate.notified().await;
            text("finished")
        }
    });
    let stream = Route::new("stack", Method::GET, "/stream", "stream", Guard::None, |_| async {
        let (sender, source) = tokio::sync::mpsc::channel(1);
        sender.send(Ok("first".into())).await.unwrap();
        tokio::spawn(async move { sender.closed().await });
        Reply::new(StatusCode::OK, Content::Stream { length: None, source })
    });
    let mut all = routes();
    all.extend([route, stream]);
    let running = start_with(Settings::default(), all);
    let (mut idle, mut busy, mut streaming) =
        (running.connect(), running.connect(), running.connect());
    idle.send(get("/hello"));
    assert_eq!(idle.answer(false).status, 200);
    busy.send(get("/wait"));
    waiting.recv().unwrap();
    streaming.send(get("/stream"));
    streaming.until(|bytes| bytes.windows(5).position(|w| w == b"first"));
    let (address, server) = (running.address, running.server);
    let stopping = std::thread::spawn(move || server.stop(PATIENCE));
    assert_eq!(idle.rest(), b"");
    assert!(streaming.rest().ends_with(b"0\r\n\r\n"));
    release.notify_one();
    let answer = busy.answer(false);
    assert_eq!((answer.text(), answer.header("connection")), ("finished", Some("close")));
    assert!(stopping.join().unwrap());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn head_limits_are_settings() {
    let head = HeadLimits { fields_max: 2, ..HeadLimits::default() };
    let running = start(Settings { head, ..Settings::default() });
    let request = "GET /hello HTTP/1.1\r\nHost: localhost\r\nA: 1\r\nB: 2\r\n\r\n";
    assert_eq!(running.ask(request).status, 431);
    running.stop();
}

/// A socket that echoes texts, closes on request, and can be flooded.
fn echo_socket() -> Route {
    Route::new("live", Method::GET, "/ws", "ws", Guard::None, |mut call| async move {
        let (reply, opening) = match websocket::upgrade(&mut call) {
            Ok(opened) => opened,
            Err(refusal) => return refusal,
        };
        tokio::spawn(async move {
            let Some(socket) = opening.await else { return };
            let (mut reader, sender) = socket.split();
            loop {
                match reader.next().await {
                    Message::Text(text) if text == "close" => sender.close(4001, "as asked"),
                    Message::Text(text) if text == "drop" => {
                        sender.close(4002, "");
                        return;
                    }
                    Message::Text(text) if text == "flood" => {
                        let frame = Frame::text(&"x".repeat(64 * 1024));
                        let full = (0..10_000).find_map(|_| sender.try_send(frame.clone()).err());
                        assert!(matches!(full, Some(SendError::Full(_))));
                        assert!(sender.waiting_bytes() <= 2 * websocket::QUEUE_BYTES_MAX);
                        sender.drained().await;
                        sender.try_send(Frame::text("drained")).unwrap();
                    }
                    Message::Text(text) => sender.try_send(Frame::text(&text)).unwrap(),
                    Message::Binary(bytes) => sender.try_send(Frame::binary(&bytes)).unwrap(),
                    Message::Ping | Message::Pong => {}
                    Message::Close(_) => return,
                }
            }
        });
        reply
    })
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

impl Client {
    fn upgraded(running: &Running) -> Self {
        let mut client = running.connect();
        client.send(UPGRADE);
        let head = client.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.to_lowercase().contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        client
    }

    /// A masked frame (with the mask 0) of up to 64 KiB.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first, 0x80 | 126];
        bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        if payload.len() < 126 {
            bytes.truncate(2);
            bytes[1] = 0x80 | u8::try_from(payload.len()).unwrap();
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        self.send(bytes);
    }

    /// First byte and payload of a frame; `None` when the server has closed.
    fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.until(|bytes| {
            let wide = match bytes.get(1)? {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            (bytes.len() >= wide).then_some(wide)
        })?;
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes([head[2], head[3]])),
            127 => usize::try_from(u64::from_be_bytes(head[2..].try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        let payload = self.until(|bytes| (bytes.len() >= length).then_some(length))?;
        Some((head[0], payload))
    }
}

fn start_socket(settings: Settings) -> Running {
    start_with(settings, vec![echo_socket()])
}

#[test]
fn s22_websockets_carry_messages_both_ways() {
    let running = start_socket(Settings::default());
    let mut client = running.connect();
    // Frames that follow the request at once are not lost.
    let mut eager = UPGRADE.as_bytes().to_vec();
    eager.extend_from_slice(b"\x81\x85\0\0\0\0eager");
    client.send(eager);
    assert!(client.head().unwrap().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.receive(), Some((0x81, b"eager".to_vec())));
    assert_eq!(running.server.gauges().websockets, 1);
    client.frame(0x01, b"in ");
    client.frame(0x89, b"between");
    client.frame(0x80, b"parts");
    assert_eq!(client.receive(), Some((0x8a, b"between".to_vec())));
    assert_eq!(client.receive(), Some((0x81, b"in parts".to_vec())));
    let large = vec![9; 60_000];
    client.frame(0x82, &large);
    assert_eq!(client.receive(), Some((0x82, large)));
    client.frame(0x88, &[0x03, 0xe8]);
    assert_eq!(client.receive(), Some((0x88, vec![0x03, 0xe8])));
    assert_eq!(client.receive(), None);
    running.stop();
}

#[test]
fn s22_closing_starts_at_either_side() {
    let running = start_socket(Settings::default());
    for (word, code) in [("close", 4001_u16), ("drop", 4002)] {
        let mut client = Client::upgraded(&running);
        client.frame(0x81, word.as_bytes());
        let (first, payload) = client.receive().unwrap();
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        client.frame(0x88, &payload);
        assert_eq!(client.receive(), None);
    }
    running.stop();
}

#[test]
fn s22_violations_close_with_their_code() {
    let running = start_socket(Settings::default());
    for (bytes, code) in [
        (b"\x81\x01x".to_vec(), 1002_u16),
        (b"\xc1\x80\0\0\0\0".to_vec(), 1002),
        (b"\x81\x81\0\0\0\0\xff".to_vec(), 1007),
        (b"\x81\xff\0\0\0\0\0\x10\0\x01\0\0\0\0".to_vec(), 1009),
    ] {
        let mut client = Client::upgraded(&running);
        client.send(&bytes);
        assert_eq!(client.receive(), Some((0x88, code.to_be_bytes().to_vec())));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.receive(), None);
    }
    let mut client = Client::upgraded(&running);
    for _ in 0..1_200 {
        client.frame(0x8a, b"");
        client.frame(0x81, b"a");
    }
    let last = std::iter::from_fn(|| client.receive()).find(|(first, _)| *first == 0x88);
    assert_eq!(last, Some((0x88, 1008_u16.to_be_bytes().to_vec())));
    running.stop();
}

#[test]
fn s22_a_slow_reader_fills_its_queue_and_no_more() {
    let running = start_socket(Settings::default());
    let mut client = Client::upgraded(&running);
    client.frame(0x81, b"flood");
    let mut frames = 0;
    loop {
        let (_, payload) = client.receive().unwrap();
        if payload == b"drained" {
            break;
        }
        assert_eq!(payload.len(), 64 * 1024);
        frames += 1;
    }
    assert!(frames >= 15, "{frames}");
    drop(client);
    running.stop();
}

#[test]
fn s22_a_request_that_is_no_proper_upgrade_is_refused() {
    let running = start_socket(Settings::default());
    assert_eq!(running.ask(&get("/ws")).status, 426);
    let version = running.ask(&UPGRADE.replace("Version: 13", "Version: 8"));
    assert_eq!((version.status, version.header("sec-websocket-version")), (426, Some("13")));
    assert_eq!(version.header("connection"), Some("close"));
    assert_eq!(running.ask(&UPGRADE.replace("jZQ==", "jZ==")).status, 400);
    let origin = UPGRADE.replace("Upgrade: w", "Origin: https://evil.example\r\nUpgrade: w");
    assert_eq!(running.ask(&origin).status, 403);
    running.stop();
}

#[test]
fn stopping_closes_websockets_with_1001() {
    let running = start_socket(Settings::default());
    let mut client = Client::upgraded(&running);
    client.frame(0x81, b"here");
    assert!(client.receive().is_some());
    let server = running.server;
    let stopping = std::thread::spawn(move || server.stop(PATIENCE));
    assert_eq!(client.receive(), Some((0x88, 1001_u16.to_be_bytes().to_vec())));
    client.frame(0x88, &[0x03, 0xe9]);
    assert_eq!(client.receive(), None);
    assert!(stopping.join().unwrap());
}

#[test]
fn event_streams_are_sent_as_they_are_made() {
    let (release, gate) = tokio::sync::oneshot::channel::<()>();
    let gate = std::sync::Mutex::new(Some(gate));
    let route = Route::new("live", Method::GET, "/events", "events", Guard::None, move |_| {
        let gate = gate.lock().unwrap().take().unwrap();
        async move {
            let (sender, reply) = cairn::net::event_stream();
            tokio::spawn(async move {
                sender.send(cairn::net::StreamEvent::new("a", "1", "{}")).await.unwrap();
                gate.await.unwrap();
                sender.send(cairn::net::StreamEvent::new("b", "2", "{}")).await.unwrap();
            });
            reply
        }
    });
    let running = start_with(Settings::default(), vec![route]);
    let mut client = running.connect();
    client.send(get("/events"));
    let head = client.head().unwrap();
    assert!(head.contains("text/event-stream") && head.contains("no-cache"), "{head}");
    let first = |bytes: &[u8]| bytes.windows(6).position(|w| w == b"id: 1\n").map(|_| bytes.len());
    assert!(client.until(first).is_some());
    release.send(()).unwrap();
    assert!(client.until(|bytes| bytes.ends_with(b"0\r\n\r\n").then_some(bytes.len())).is_some());
    running.stop();
}

#[test]
fn s60_a_folder_is_served_and_nothing_around_it() {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("secret.txt"), "secret").unwrap();
    let root = outer.path().join("public");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(root.join("index.html"), "<p>start").unwrap();
    std::fs::write(root.join("sub/index.html"), "<p>sub").unwrap();
    std::fs::write(root.join(".hidden"), "secret").unwrap();
    let large: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::write(root.join("large.bin"), &large).unwrap();
    let folder = cairn::net::files::Folder::open(&root).unwrap();
    let router = Router::with_fallback(routes(), Some(folder.handler())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server =
        Server::start(vec![listener], Settings::default(), router, Arc::new(Plain)).unwrap();
    let running = Running { address: server.address(), server };
    let page = running.ask(&get("/"));
    assert_eq!((page.status, page.text()), (200, "<p>start"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(running.ask(&get("/sub/")).text(), "<p>sub");
    let moved = running.ask(&get("/sub"));
    assert_eq!((moved.status, moved.header("location")), (308, Some("/sub/")));
    assert_eq!(running.ask(&get("/hello")).text(), "hello");
    let whole = running.ask(&get("/large.bin"));
    assert_eq!(whole.body, large);
    let etag = whole.header("etag").unwrap();
    let with = |line: &str| {
        running.ask(&format!("GET /large.bin HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n"))
    };
    let part = with("Range: bytes=100000-199998");
    assert_eq!((part.status, &part.body[..]), (206, &large[100_000..199_999]));
    assert_eq!(part.header("content-range"), Some("bytes 100000-199998/200000"));
    let beyond = with("Range: bytes=200000-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */200000")));
    assert_eq!(with(&format!("If-None-Match: {etag}")).status, 304);
    let head = running.ask("HEAD /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("200000")));
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/../../secret.txt",
        "/..%2fsecret.txt",
        "/.hidden",
        "/nothing",
        "/sub//index.html",
    ] {
        let answer = running.ask(&get(path));
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("Unknown"), "{path}");
    }
    assert_eq!(running.ask(&post("/index.html", "")).status, 404);
    running.stop();
}
