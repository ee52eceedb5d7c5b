//! What every black-box test needs: a running server, a plain HTTP client, people with keys and tokens.
//!
//! Knows the process contract (command line, environment, ready file) and HTTP/1.1 as bytes. Does not know any
//! type of the server: what it sends and expects is text, so that a change of the wire is seen.
//!
//! Invariants
//! C1. A server ends with the value that started it, and its folder goes with it.
//! C2. Waiting has a deadline and always waits for something.
//! C3. Every answer is checked for what all answers have in common ([`Reply::manners`]).

#![allow(dead_code, reason = "each test executable uses a part of this")]
#![allow(unreachable_pub, reason = "shared by path, so `pub` is as far as it goes")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cairn::crypto::{Seed, did_key, ed25519_public, ed25519_sign, hex, sha256};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub const OWNER_TOKEN: &str = "owner-token-of-the-tests-0123456789abcdef";
pub const BASE_URL: &str = "https://stack.example.com";

const START_MAX: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(30);

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A number no other caller in this process gets.
pub fn next() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// How to start a server.
pub struct Setup {
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    folder: TempDir,
    /// The owner's key, so that a test can sign as the owner.
    owner: Key,
}

impl Setup {
    /// A fresh stack with a known owner and no rate limits.
    pub fn new() -> Self {
        let owner = Key::of(0);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = vec![
            ("CAIRN_OWNER_TOKEN".to_owned(), OWNER_TOKEN.to_owned()),
            ("CAIRN_OWNER_DID".to_owned(), owner.did.clone()),
            ("CAIRN_BASE_URL".to_owned(), BASE_URL.to_owned()),
        ];
        Self { environment, arguments: vec!["--no-rate-limit".to_owned()], folder, owner }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(n, _)| n != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(n, _)| n != name);
        self
    }

    /// With the limits on the rate of requests that a server has by itself.
    pub fn without_rate_switch(mut self) -> Self {
        self.arguments.retain(|argument| argument != "--no-rate-limit");
        self
    }

    /// The stack's file; it exists once a server has run.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("stack.cairn")
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn start(self) -> Server {
        let file = self.file();
        let ready = self.folder.path().join(format!("ready-{}", next()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .arg("serve")
            .arg(&file)
            .args(["--listen", "127.0.0.1:0", "--exit-with-stdin", "--ready-file"])
            .arg(&ready)
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"))
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable starts");
        let stdin = child.stdin.take();
        let log = Arc::new(Mutex::new(String::new()));
        let (said, hears) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        keep_lines(stdout, Arc::clone(&log), said.clone());
        keep_lines(stderr, Arc::clone(&log), said);
        let mut server = Server {
            child,
            stdin,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            setup: Some(self),
        };
        server.address = server.wait_ready(&ready, &hears);
        server
    }
}

/// Collects what the process prints and says so after each line.
fn keep_lines(from: impl Read + Send + 'static, log: Arc<Mutex<String>>, said: mpsc::Sender<()>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
            drop(log);
            // Nobody listens any more once the server is ready.
            let _ = said.send(());
        }
    });
}

/// A running server.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    setup: Option<Setup>,
}

impl Server {
    /// Waits until the ready file is whole. Each line the process prints, or a millisecond, is a reason to look again.
    fn wait_ready(&mut self, ready: &Path, hears: &Receiver<()>) -> SocketAddr {
        let end = Instant::now() + START_MAX;
        while Instant::now() < end {
            let text = std::fs::read_to_string(ready).unwrap_or_default();
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let address = value["address"].as_str().expect("the ready file names the address");
                assert_eq!(
                    value["pid"],
                    json!(self.child.id()),
                    "the ready file names the process"
                );
                assert!(value["url"].as_str().is_some_and(|url| url.starts_with("http")));
                return address.parse().expect("an address");
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            if hears.recv_timeout(Duration::from_millis(1)).is_err() {
                std::thread::yield_now();
            }
        }
        panic!("the server is not ready after {START_MAX:?}:\n{}", self.log());
    }

    /// What the process printed so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn file(&self) -> PathBuf {
        self.setup().file()
    }

    pub fn folder(&self) -> &Path {
        self.setup().folder.path()
    }

    fn setup(&self) -> &Setup {
        self.setup.as_ref().expect("present until the server is taken apart")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process ends by itself.
    pub fn wait_code(&mut self) -> Option<i32> {
        self.child.wait().expect("the process ends").code()
    }

    /// Ends the process at once, as a power cut does, and keeps the folder for the next start.
    pub fn kill(mut self) -> Setup {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
        self.setup.take().expect("present until now")
    }

    /// Closes stdin, which asks the server to stop, waits for it and checks that it ended well.
    pub fn stop(mut self) -> Setup {
        drop(self.stdin.take());
        let status = self.child.wait().expect("the process ends");
        assert!(status.success(), "the server ended with {status}:\n{}", self.log());
        self.setup.take().expect("present until now")
    }

    pub fn owner_did(&self) -> String {
        self.setup().owner.did.clone()
    }

    pub fn owner_key(&self) -> Key {
        self.setup().owner.clone()
    }

    pub fn owner(&self) -> Who {
        self.with_token(OWNER_TOKEN, &self.owner_did())
    }

    pub fn anonymous(&self) -> Who {
        Who { address: self.address, token: None, did: String::new() }
    }

    pub fn with_token(&self, token: &str, did: &str) -> Who {
        Who { address: self.address, token: Some(token.to_owned()), did: did.to_owned() }
    }

    /// Somebody nobody knows, with a token of their own.
    pub fn person(&self) -> Who {
        self.person_of(&Key::of(next()).did)
    }

    pub fn person_of(&self, did: &str) -> Who {
        let token = self.owner().post("/tokens", json!({ "entityId": did })).is(201);
        self.with_token(text(&token["token"]), did)
    }

    /// A token with which `principal` acts for `subject`.
    pub fn delegate(&self, principal: &str, subject: &str) -> Who {
        let body = json!({ "entityId": principal, "onBehalfOf": subject });
        let token = self.owner().post("/tokens", body).is(201);
        self.with_token(text(&token["token"]), subject)
    }

    /// Registers a type no other test has, at version 1.
    pub fn new_type(&self, name: &str, schema: Value) -> String {
        let id = format!("com.example.t{}/{name}@1", next());
        self.register(&id, schema);
        id
    }

    pub fn register(&self, id: &str, schema: Value) -> Value {
        self.owner().post("/types", type_body(id, &schema)).is(201)
    }

    /// Writes a grant as the owner and returns its id. `grantee` `None` is a default grant.
    pub fn grant(&self, type_id: &str, actions: &[&str], grantee: Option<&str>) -> String {
        let mut content = json!({ "typeId": type_id, "actions": actions });
        if let Some(grantee) = grantee {
            content["granteeEntityId"] = json!(grantee);
        }
        id(&self.owner().make("_grant@1", content))
    }

    /// Sends bytes as they are and returns everything that comes back until the server closes.
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        exchange(self.address, bytes)
    }

    /// As [`Server::raw`], of a server that may be ending: what came of an answer, which may be nothing.
    pub fn raw_if_any(&self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(self.address)
            && stream.write_all(bytes).is_ok()
        {
            let _ = stream.read_to_end(&mut answer);
        }
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.setup.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The server that tests share while at least one of them holds it.
pub fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(Setup::new().start());
    *shared = Arc::downgrade(&server);
    server
}

/// An Ed25519 key and its DID. The same number gives the same key.
#[derive(Clone)]
pub struct Key {
    seed: Seed,
    pub did: String,
}

impl Key {
    pub fn of(number: u64) -> Self {
        let seed = Seed::from_bytes(sha256(format!("test key {number}").as_bytes()));
        let did = did_key::format(&ed25519_public(&seed));
        Self { seed, did }
    }

    /// A signature as the handshake wants it.
    pub fn sign(&self, message: &str) -> String {
        base64url(&ed25519_sign(&self.seed, message.as_bytes()))
    }
}

pub fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Somebody who sends requests: nobody, the owner, a person, an application on behalf of a person.
#[derive(Clone)]
pub struct Who {
    pub address: SocketAddr,
    pub token: Option<String>,
    /// The subject.
    pub did: String,
}

impl Who {
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send(call("GET", path))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: impl Into<Value>) -> Reply {
        self.send(call("POST", path).json(&body.into()))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: impl Into<Value>) -> Reply {
        self.send(call("PATCH", path).json(&body.into()))
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: impl Into<Value>) -> Reply {
        self.send(call("PUT", path).json(&body.into()))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send(call("DELETE", path))
    }

    /// A `POST` without a body.
    #[track_caller]
    pub fn poke(&self, path: &str) -> Reply {
        self.send(call("POST", path))
    }

    #[track_caller]
    pub fn send(&self, mut call: Call) -> Reply {
        if let Some(token) = &self.token {
            call = call.header("Authorization", &format!("Bearer {token}"));
        }
        call.send(self.address)
    }

    /// Creates a record that must be accepted.
    #[track_caller]
    pub fn make(&self, type_id: &str, content: Value) -> Value {
        self.create(json!({ "typeId": type_id, "content": content })).is(200)
    }

    #[track_caller]
    pub fn create(&self, body: Value) -> Reply {
        self.post("/records", body)
    }

    /// Ids of the query's answer, in order.
    #[track_caller]
    pub fn find(&self, body: Value) -> Vec<String> {
        ids(&self.post("/records/query", body).is(200))
    }

    /// Uploads bytes and returns the metadata record.
    #[track_caller]
    pub fn upload(&self, media_type: &str, bytes: &[u8]) -> Value {
        self.send(upload(media_type, bytes)).is(200)
    }
}

pub fn upload(media_type: &str, bytes: &[u8]) -> Call {
    call("POST", "/attachments").header("Content-Type", media_type).bytes(bytes)
}

/// A request that is still being put together.
#[derive(Clone)]
pub struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

pub fn call(method: &str, path: &str) -> Call {
    Call {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        chunked: false,
    }
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").bytes(body.to_string().as_bytes())
    }

    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    pub fn if_match(self, version: i64) -> Self {
        self.header("If-Match", &format!("\"{version}\""))
    }

    pub fn represent(self) -> Self {
        self.header("Prefer", "return=representation")
    }

    /// Sends the body in chunks instead of naming its length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The request as bytes, for one connection that ends after it.
    pub fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let _ = write!(head, "Host: {address}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            head.push_str("Connection: close\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let mut out;
        match &self.body {
            Some(body) if self.chunked => {
                head.push_str("Transfer-Encoding: chunked\r\n\r\n");
                out = head.into_bytes();
                for piece in body.chunks(10_000) {
                    out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    out.extend_from_slice(piece);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"0\r\n\r\n");
            }
            Some(body) => {
                let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
                out = head.into_bytes();
                out.extend_from_slice(body);
            }
            None => {
                head.push_str("\r\n");
                out = head.into_bytes();
            }
        }
        out
    }

    #[track_caller]
    pub fn send(&self, address: SocketAddr) -> Reply {
        let answer = exchange(address, &self.to_bytes(address));
        let body = self.body.as_deref().unwrap_or_default();
        let body = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
        let request = format!("{} {} {:?} {body}", self.method, self.path, self.headers);
        let reply = Reply::parse(&answer, request);
        reply.manners();
        reply
    }
}

/// One connection: all bytes out, then everything in. A server may answer and close before it has read everything.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout can be set");
    stream.set_write_timeout(Some(ANSWER_MAX)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("an option can be set");
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if answer.is_empty() => {
                panic!(
                    "no answer: {error}; sent {:?}",
                    String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
                )
            }
            Err(_) => break,
        }
    }
    answer
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    request: String,
}

impl Reply {
    #[track_caller]
    pub fn parse(answer: &[u8], request: String) -> Self {
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end else {
            panic!("{request}\nno HTTP answer: {:?}", String::from_utf8_lossy(answer));
        };
        let head = String::from_utf8_lossy(&answer[..end]);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = answer[end + 4..].to_vec();
        if headers.iter().any(|(n, v)| n == "transfer-encoding" && v.contains("chunked")) {
            body = unchunk(&body);
        }
        Self { status: status.parse().unwrap_or(0), headers, body, request }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{self}\nthe body is not JSON: {error}"))
    }

    /// What every answer has: a request id, no sniffing, the length it announced, no body with 204.
    #[track_caller]
    fn manners(&self) {
        assert!(self.header("x-request-id").is_some_and(is_uuid), "{self}\nno request id");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self}");
        if let Some(length) = self.header("content-length") {
            let body = self.body.len().to_string();
            assert!(length == body || self.request.starts_with("HEAD"), "{self}\nthe length lies");
        }
        if self.status == 204 {
            assert!(self.body.is_empty(), "{self}\na body with 204");
        }
        assert_ne!(self.status, 500, "{self}\nan unexpected fault");
    }

    /// Expects this status; gives the JSON body, `null` without one.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        if status == 204 {
            return Value::Null;
        }
        let media = self.header("content-type").unwrap_or_default();
        assert!(media.starts_with("application/json"), "{self}\ncontent type {media}");
        self.json()
    }

    /// Expects the error envelope with this status and code.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Value {
        let shown = self.to_string();
        let body = self.is(status);
        assert_eq!(body["error"]["code"], json!(code), "{shown}");
        assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{shown}");
        body
    }

    /// Expects 422 with exactly these paths, in any order, in both places.
    #[track_caller]
    pub fn invalid(self, paths: &[&str]) -> Value {
        let shown = self.to_string();
        let body = self.fails(422, "validation");
        let details =
            body["error"]["details"].as_array().unwrap_or_else(|| panic!("{shown}\nno details"));
        let mut got: Vec<&str> = details.iter().map(|d| text(&d["path"])).collect();
        let mut wanted = paths.to_vec();
        got.sort_unstable();
        got.dedup();
        wanted.sort_unstable();
        assert_eq!(got, wanted, "{shown}");
        assert!(details.iter().all(|d| d["message"].is_string()), "{shown}");
        assert_eq!(body["details"], body["error"]["details"], "{shown}\nfor older callers");
        body
    }

    #[track_caller]
    pub fn bad_request(self) {
        self.fails(400, "bad_request");
    }

    #[track_caller]
    pub fn unauthorized(self) {
        self.fails(401, "unauthorized");
    }

    #[track_caller]
    pub fn denied(self) {
        self.fails(403, "permission");
    }

    #[track_caller]
    pub fn missing(self) {
        self.fails(404, "not_found");
    }

    #[track_caller]
    pub fn conflict(self) {
        self.fails(409, "conflict");
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.text();
        let shown: String = body.chars().take(2_000).collect();
        write!(f, "{}\n  => {} {shown}", self.request, self.status)
    }
}

fn unchunk(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size =
            usize::from_str_radix(size.split(';').next().unwrap_or("0").trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    out
}

/// The text of a JSON string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// The id of a record.
#[track_caller]
pub fn id(record: &Value) -> String {
    text(&record["id"]).to_owned()
}

#[track_caller]
pub fn version(record: &Value) -> i64 {
    record["version"].as_i64().unwrap_or_else(|| panic!("{record} has no version"))
}

/// Ids of the records in an envelope, in order.
#[track_caller]
pub fn ids(envelope: &Value) -> Vec<String> {
    let records = envelope["records"].as_array();
    records.unwrap_or_else(|| panic!("{envelope} is no envelope")).iter().map(id).collect()
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The body that registers a type, with the name `Name`.
pub fn type_body(id: &str, schema: &Value) -> Value {
    json!({ "id": id, "name": "Name", "schema": schema, "schemaHash": schema_hash(schema) })
}

/// The schema hash of stack 4.3, written from the text of the protocol.
pub fn schema_hash(schema: &Value) -> String {
    hex(&sha256(canonical_schema(schema).as_bytes()))
}

fn canonical_schema(schema: &Value) -> String {
    let empty = Map::new();
    let fields = schema.as_object().unwrap_or(&empty);
    let mut names: Vec<&String> = fields.keys().collect();
    let number = |name: &str| {
        let plain =
            name == "0" || (!name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()));
        name.parse::<u32>().ok().filter(|n| plain && *n < u32::MAX)
    };
    names.sort_by(|a, b| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.encode_utf16().cmp(b.encode_utf16()),
    });
    let fields: Vec<String> = names
        .iter()
        .map(|name| format!("{}:{}", json!(name), canonical_definition(&fields[*name])))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn canonical_definition(definition: &Value) -> String {
    let mut members = Vec::new();
    if definition["kind"] == "array" {
        members.push(format!("\"items\":{}", canonical_definition(&definition["items"])));
    }
    members.push(format!("\"kind\":{}", definition["kind"]));
    if definition["kind"] == "object" {
        members.push(format!("\"properties\":{}", canonical_schema(&definition["properties"])));
    }
    if let Some(required) = definition.get("required") {
        members.push(format!("\"required\":{required}"));
    }
    format!("{{{}}}", members.join(","))
}

/// `2024-01-01T00:00:00.000Z`, exactly this form.
pub fn is_instant(text: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form)
            .all(|(c, f)| if *f == b'd' { c.is_ascii_digit() } else { c == *f })
}

pub fn is_record_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b"0123456789abcdefghjkmnpqrstvwxyz".contains(&b))
}

pub fn is_hex(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Milliseconds since the epoch, as the server's machine sees them.
pub fn now_ms() -> i64 {
    cairn::util::clock::Clock::system().now_ms()
}

/// A well-formed record id for an instant.
pub fn id_at(ms: i64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let number = u64::try_from(ms).expect("after 1970") << 15 | (next() & 0x7fff);
    (0..12)
        .rev()
        .map(|n| char::from(ALPHABET[usize::try_from(number >> (5 * n) & 31).expect("below 32")]))
        .collect()
}

pub fn instant(ms: i64) -> String {
    cairn::util::time::format_ms(ms)
}
