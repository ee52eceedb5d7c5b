//! The conversation over a transport in memory, whose queue is full when a test says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc};

use super::connection::Connection;
use super::*;
use crate::auth::Auth;
use crate::auth::access_token::{ACCESS_TOKEN_S, AccessTokens};
use crate::auth::accounts::{AccountSettings, Accounts};
use crate::auth::password_pool::PasswordPool;
use crate::crypto::password::Cost;
use crate::engine::{Engine, EngineOptions, RowOp, Verb};
use crate::faces::live::http::LiveFace;
use crate::faces::live::query_form::QueryLimits;
use crate::faces::live::streams::StreamTimes;
use crate::live::Hub;
use crate::live::presence::Presence;
use crate::live::statistics::Statistics;
use crate::net::{Rate, RateLimits, Shutdown};
use crate::util::rng::Rng;

const OWNER_TOKEN: &str = "the-break-glass-token";

/// What the server sends.
#[derive(Default)]
struct Wire {
    full: AtomicBool,
    frames: Mutex<Vec<Frame>>,
    closed: Mutex<Option<u16>>,
    moved: Notify,
}

#[derive(Clone, Default)]
struct Out(Arc<Wire>);

impl Outgoing for Out {
    fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        if self.0.full.load(Ordering::SeqCst) {
            self.0.moved.notify_waiters();
            return Err(SendError::Full(frame));
        }
        self.0.frames.lock().unwrap().push(frame);
        self.0.moved.notify_waiters();
        Ok(())
    }

    fn close(&self, code: u16, _reason: &str) {
        self.0.closed.lock().unwrap().get_or_insert(code);
        self.0.moved.notify_waiters();
    }

    async fn drained(&self) {
        self.0.until(|wire| !wire.full.load(Ordering::SeqCst)).await;
    }
}

impl Wire {
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if holds(self) {
                return;
            }
            moved.await;
        }
    }

    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// The messages so far.
    fn messages(&self) -> Vec<Value> {
        let frames = self.frames.lock().unwrap();
        let texts = frames.iter().filter(|frame| frame.bytes()[0] == 0x81);
        texts
            .map(|frame| {
                let bytes = frame.bytes();
                let start = match bytes[1] {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                };
                serde_json::from_slice(&bytes[start..]).unwrap()
            })
            .collect()
    }

    async fn message(&self, place: usize) -> Value {
        self.until(|wire| wire.messages().len() > place).await;
        self.messages().swap_remove(place)
    }
}

struct In(mpsc::UnboundedReceiver<Message>);

impl Incoming for In {
    async fn next(&mut self) -> Message {
        self.0.recv().await.unwrap_or(Message::Close(None))
    }
}

struct Stage {
    engine: Engine,
    streams: Arc<Streams>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let engine = Engine::open(&path, &EngineOptions::default()).unwrap();
        let hub = Hub::start(engine.clone()).unwrap();
        let presence = Presence::start(engine.clock().clone()).unwrap();
        let pool = Arc::new(PasswordPool::start(Cost::LEAST, Rng::seeded(7)).unwrap());
        let tokens = Arc::new(AccessTokens::new(engine.clone(), "cairn", ACCESS_TOKEN_S).unwrap());
        let accounts = Accounts::new(engine.clone(), pool, tokens, AccountSettings::default());
        let auth = Auth::new(engine.clone(), Some(OWNER_TOKEN), "http://127.0.0.1".into());
        let face = LiveFace {
            engine: engine.clone(),
            accounts: Arc::new(accounts),
            auth: Arc::new(auth),
            rate: Rate::new(engine.clock().clone(), RateLimits::none()),
            app_id: None,
            public_url: None,
            hub,
            statistics: Arc::new(Statistics::new(engine.clock().clone())),
            limits: QueryLimits::default(),
            started_ms: 0,
            dial: OnceLock::new(),
        };
        let times = StreamTimes::default();
        let streams = Streams::new(Arc::new(face), presence, Shutdown::new(), times);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { engine, streams, runtime, _folder: folder }
    }

    async fn write(&self, id: &str, data: Value) -> i64 {
        let op = RowOp {
            verb: Verb::Upsert,
            entity: "t".into(),
            id: Some(id.into()),
            data: data.as_object().cloned().unwrap_or_else(Map::new),
            targets: Vec::new(),
            if_tx: None,
        };
        self.engine.mutate(&self.engine.owner_caller(), vec![op]).await.unwrap().unwrap().tx
    }

    /// A connection that has signed in and follows `t`; its queue is full from now on.
    async fn follow(&self) -> (mpsc::UnboundedSender<Message>, Arc<Wire>) {
        let (to, from) = mpsc::unbounded_channel();
        let out = Out::default();
        let wire = Arc::clone(&out.0);
        tokio::spawn(Connection::new(Arc::clone(&self.streams), In(from), out).run());
        say(&to, json!({ "type": "auth", "token": OWNER_TOKEN }));
        say(&to, json!({ "type": "subscribe", "id": "s", "query": { "t": {} } }));
        assert_eq!(wire.message(1).await["type"], "q-init");
        wire.set_full(true);
        (to, wire)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.streams.face.hub.stop();
        self.engine.close();
    }
}

fn say(to: &mpsc::UnboundedSender<Message>, message: Value) {
    to.send(Message::Text(message.to_string())).unwrap();
}

/// 12.7: one change that did not fit, the rest as one.
#[test]
fn a_full_queue_joins_what_follows() {
    let s = Stage::new();
    s.runtime.block_on(async {
        let (_to, wire) = s.follow().await;
        let mut last = 0;
        for n in 0..10 {
            last = s.write("a", json!({ "n": n })).await;
        }
        // The hub has told everything once a second follower of the same query knows the last change.
        let (_other, told) = s.follow().await;
        assert_eq!(told.messages()[1]["tx"], last);
        tokio::task::yield_now().await;
        wire.set_full(false);
        let first = wire.message(2).await;
        assert_eq!(first["added"], json!([{ "id": "a", "n": 0 }]));
        let rest = wire.message(3).await;
        assert_eq!(
            (&rest["updated"], &rest["tx"]),
            (&json!([{ "id": "a", "n": 9 }]), &json!(last))
        );
        assert_eq!(wire.messages().len(), 4);
    });
}

/// 13.6: nothing of a subscription after its end was confirmed, also not what waited.
#[test]
fn what_waited_is_forgotten_with_its_subscription() {
    let s = Stage::new();
    s.runtime.block_on(async {
        let (to, wire) = s.follow().await;
        s.write("a", json!({})).await;
        s.write("b", json!({})).await;
        let (_other, _) = s.follow().await;
        say(&to, json!({ "type": "unsubscribe", "id": "s" }));
        say(&to, json!({ "type": "ping", "id": "p" }));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        wire.set_full(false);
        assert_eq!(wire.message(2).await, json!({ "type": "unsubscribe-ok", "id": "s" }));
        assert_eq!(wire.message(3).await, json!({ "type": "pong", "id": "p" }));
        assert_eq!(wire.messages().len(), 4);
    });
}

/// 13.8: what does not get smaller by joining ends it.
#[test]
fn too_much_that_waits_closes_it() {
    let s = Stage::new();
    s.runtime.block_on(async {
        let (_to, wire) = s.follow().await;
        for n in 0..8 {
            s.write(&format!("r{n}"), json!({ "x": "x".repeat(300_000) })).await;
        }
        let (_other, _) = s.follow().await;
        wire.set_full(false);
        wire.until(|wire| wire.closed.lock().unwrap().is_some()).await;
        assert_eq!(*wire.closed.lock().unwrap(), Some(1013));
    });
}

/// PERFORMANCE G18: what a connection that waits keeps in memory, beside its socket and its query's place in the hub.
#[test]
fn a_waiting_connection_is_small() {
    const BYTES_MAX: usize = 2_048;
    let s = Stage::new();
    let (_to, from) = mpsc::unbounded_channel();
    let _inside = s.runtime.enter();
    let run = Connection::new(Arc::clone(&s.streams), In(from), Out::default()).run();
    let bytes = std::mem::size_of_val(&run);
    assert!(bytes <= BYTES_MAX, "{bytes}");
}
