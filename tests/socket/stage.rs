//! A server with the live face, its accounts, and a way to write past the network.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cairn::auth::Auth;
use cairn::auth::access_token::{ACCESS_TOKEN_S, AccessTokens};
use cairn::auth::accounts::{AccountSettings, Accounts, SignUpForm, SignUpPolicy};
use cairn::auth::password_pool::PasswordPool;
use cairn::crypto::password::Cost;
use cairn::engine::accounts::{Device, Terms};
use cairn::engine::{Caller, Engine, EngineOptions, NewRecord, NewTypeInput, Role, RowOp, Verb};
use cairn::faces::Envelopes;
use cairn::faces::live::http::LiveFace;
use cairn::faces::live::query_form::QueryLimits;
use cairn::faces::live::streams::{StreamTimes, Streams, routes};
use cairn::live::Hub;
use cairn::live::presence::Presence;
use cairn::live::statistics::Statistics;
use cairn::net::{Rate, RateLimits, Router, Server, Settings};
use cairn::util::rng::Rng;
use serde_json::{Map, Value, json};

use crate::client::{Client, PATIENCE};

pub(crate) const OWNER_TOKEN: &str = "the-break-glass-token";

pub(crate) struct User {
    pub(crate) token: String,
    pub(crate) id: String,
    pub(crate) session: String,
    pub(crate) caller: Caller,
}

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) hub: Hub,
    accounts: Arc<Accounts>,
    server: Option<Server>,
    pub(crate) address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(StreamTimes::default())
    }

    pub(crate) fn with(times: StreamTimes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let engine = Engine::open(&path, &EngineOptions::default()).unwrap();
        let hub = Hub::start(engine.clone()).unwrap();
        let presence = Presence::start(engine.clock().clone()).unwrap();
        let pool = Arc::new(PasswordPool::start(Cost::LEAST, Rng::seeded(7)).unwrap());
        let tokens = Arc::new(AccessTokens::new(engine.clone(), "cairn", ACCESS_TOKEN_S).unwrap());
        let policy = AccountSettings { sign_up: SignUpPolicy::Open, ..AccountSettings::default() };
        let accounts = Accounts::new(engine.clone(), pool, Arc::clone(&tokens), policy);
        let accounts = Arc::new(accounts);
        let auth = Auth::new(engine.clone(), Some(OWNER_TOKEN), "http://127.0.0.1".into())
            .with_verifier(Box::new(tokens));
        let rate = Rate::new(engine.clock().clone(), RateLimits::none());
        let settings = Settings { rate: rate.clone(), workers: 2, ..Settings::default() };
        let face = face(&engine, &hub, &accounts, auth, rate);
        let streams = Streams::new(face, presence, settings.shutdown.clone(), times);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new(routes(&streams)).unwrap();
        let server = Server::start(vec![listener], settings, router, Arc::new(Envelopes)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { engine, hub, accounts, server: Some(server), address, runtime, _folder: folder }
    }

    pub(crate) fn user(&self, name: &str) -> User {
        let form = SignUpForm {
            email: format!("{name}@example.com"),
            password: "correct horse battery".into(),
            display_name: None,
            avatar_url: None,
            metadata: Map::new(),
            invitation: None,
        };
        let session = self
            .runtime
            .block_on(self.accounts.sign_up(form, Device::default(), Terms::default()))
            .unwrap();
        let id = session.signed_in.profile.user_id.clone();
        let caller = self.engine.caller_of_session(&session.signed_in.session).unwrap().unwrap();
        User { token: session.access.text, id, session: session.signed_in.session, caller }
    }

    pub(crate) fn end_session(&self, user: &User) {
        self.runtime.block_on(self.engine.sign_out(&user.caller)).unwrap();
    }

    pub(crate) fn rules(&self, document: Value) {
        let owner = self.engine.owner_caller();
        let document = document.as_object().cloned();
        self.runtime.block_on(self.engine.set_rules(&owner, document)).unwrap();
    }

    pub(crate) fn set_role(&self, user: &User, role: Role) {
        let owner = self.engine.owner_caller();
        self.runtime.block_on(self.engine.set_role(&owner, &user.id, role)).unwrap();
    }

    pub(crate) fn set_claims(&self, user: &User, claims: Value) {
        let (owner, claims) = (self.engine.owner_caller(), claims.as_object().cloned().unwrap());
        self.runtime.block_on(self.engine.set_claims(&owner, &user.id, claims)).unwrap();
    }

    /// Issues a token of the stack, and revokes the one before with [`Stage::revoke`].
    pub(crate) fn issue(&self) -> (String, String) {
        let owner = self.engine.owner_caller();
        let issued = self.engine.issue_token(&owner, cairn::engine::NewToken::default());
        let (row, secret) = self.runtime.block_on(issued).unwrap();
        (row.id, secret)
    }

    pub(crate) fn revoke(&self, id: &str) {
        let owner = self.engine.owner_caller();
        self.runtime.block_on(self.engine.revoke_token(&owner, id)).unwrap();
    }

    /// Writes a row; the unit's number.
    pub(crate) fn write(&self, who: &Caller, verb: Verb, path: &str, data: Value) -> i64 {
        let (entity, id) = path.split_once('/').unwrap();
        let op = RowOp {
            verb,
            entity: entity.into(),
            id: Some(id.into()),
            data: data.as_object().cloned().unwrap_or_default(),
            targets: Vec::new(),
            if_tx: None,
        };
        self.runtime.block_on(self.engine.mutate(who, vec![op])).unwrap().unwrap().tx
    }

    /// A record of a stack type, which the owner alone may read.
    pub(crate) fn private_note(&self) -> String {
        let owner = self.engine.owner_caller();
        let note_type = NewTypeInput {
            id: "com.example/note@1".into(),
            name: "Note".into(),
            schema: json!({ "title": { "kind": "string" } }).as_object().cloned().unwrap(),
            schema_hash: None,
            migrates_from: None,
            search: None,
        };
        self.runtime.block_on(self.engine.register_type(&owner, note_type)).unwrap();
        let note = NewRecord { type_id: "com.example/note@1".into(), ..NewRecord::default() };
        self.runtime.block_on(self.engine.create(&owner, note)).unwrap().id
    }

    pub(crate) fn purge(&self, id: &str) {
        let owner = self.engine.owner_caller();
        self.runtime.block_on(self.engine.purge(&owner, id, None)).unwrap();
    }

    pub(crate) fn socket(&self) -> Client {
        Client::open(self.address, "/ws", "").unwrap()
    }

    pub(crate) fn app_socket(&self) -> Client {
        Client::open(self.address, "/v1/apps/my-app/ws", "").unwrap().binary()
    }

    /// A connection of the documented dialect that has signed in.
    pub(crate) fn signed_in(&self, user: &User) -> Client {
        let mut client = self.socket();
        let answer = client.ask(&json!({ "type": "auth", "token": user.token }));
        assert_eq!((&answer["type"], &answer["userId"]), (&json!("auth-ok"), &json!(user.id)));
        client
    }

    /// A request over a connection of its own; status and body, read to its end.
    pub(crate) fn get(&self, path: &str, headers: &str) -> (u16, Value) {
        let mut lines = self.stream(path, headers);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        let status = head[9..12].parse().unwrap();
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap_or("0");
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut lines, &mut body).unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) fn stream(&self, path: &str, headers: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address).unwrap();
        BufReader::new(stream)
    }

    pub(crate) fn stop(&mut self) -> bool {
        self.server.take().is_none_or(|server| server.stop(Duration::from_secs(10)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
        self.hub.stop();
        self.engine.close();
    }
}

fn face(
    engine: &Engine,
    hub: &Hub,
    accounts: &Arc<Accounts>,
    auth: Auth,
    rate: Rate,
) -> Arc<LiveFace> {
    Arc::new(LiveFace {
        engine: engine.clone(),
        accounts: Arc::clone(accounts),
        auth: Arc::new(auth),
        rate,
        app_id: None,
        public_url: None,
        hub: hub.clone(),
        statistics: Arc::new(Statistics::new(engine.clock().clone())),
        limits: QueryLimits::default(),
        started_ms: engine.clock().now_ms(),
        dial: OnceLock::new(),
    })
}
