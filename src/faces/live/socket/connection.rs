//! One WebSocket's conversation: sign-in, requests in order, changes as they come (live 13, 15).
//!
//! One task takes a message, answers it, and only between two messages tells what the inbox holds. That alone gives the
//! order the protocol asks for: replies in the order of requests, a first result before its changes, the answer to a
//! transaction before the changes it made.
//!
//! Knows messages of all dialects. Does not know frames' bytes, queries or rights.
//!
//! Invariants
//! C1. Before `auth-ok`, and between it and the reply to the next message, nothing is sent that was not asked for.
//! C2. Of what does not fit into the socket's queue one frame waits here and the rest in the inbox; nothing is dropped
//!     silently.
//! C3. Whatever ends the conversation, its subscriptions and its places in rooms end with it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{Incoming, Outgoing};
use crate::faces::live::errors::{Code, Failure};
use crate::faces::live::messages::{
    self, Codec, Dialect, ErrorText, Message, MessageFault, PresenceChange, Request,
};
use crate::faces::live::streams::{
    Holder, Streams, complete, data_of, data_of_answer, dialect_of, documented, keyed, query_of,
    renew, say, short, short_initial,
};
use crate::faces::live::transactions::{refused, transact};
use crate::live::inbox::{Inbox, Item, Key};
use crate::live::presence::{Data, Member, News, Refusal, Write};
use crate::live::{Change, Delivery, RootRows, Subscription};
use crate::net::websocket::{self, Frame, SendError, code};

/// Live queries of one connection.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Messages in a row that were not understood.
const FAULTS_MAX: u32 = 20;
/// Changes told between two looks at what the client sends.
const TOLD_AT_ONCE: usize = 64;

/// The session ended, or there never was one.
const UNAUTHENTICATED: u16 = 4401;
/// No sign of life.
const SILENT: u16 = 4408;
/// The client reads too slowly.
const TRY_LATER: u16 = 1013;

/// The conversation is over; the socket was told.
struct Over;

type Flow<T = ()> = Result<T, Over>;

/// A live query of this connection.
struct Active {
    key: Key,
    /// The client's name for it.
    name: Box<str>,
    dialect: Dialect,
    /// Of clients that take complete results of several roots.
    latest: Vec<(String, RootRows)>,
    _subscription: Subscription,
}

/// A frame that did not fit, and what it tells of.
struct Owed {
    of: Of,
    frame: Frame,
}

enum Of {
    Query(Key),
    Room(Arc<str>),
    End,
}

/// A room this connection entered.
struct Joined {
    room: Arc<str>,
    dialect: Dialect,
}

pub(super) struct Connection<R, S> {
    cx: Arc<Streams>,
    reader: R,
    sender: S,
    inbox: Arc<Inbox>,
    codec: Codec,
    holder: Holder,
    id: Box<str>,
    /// In the rooms; made when the first one is entered.
    member: Option<Arc<Member>>,
    rooms: Vec<Joined>,
    /// In order of their keys.
    active: Vec<Active>,
    last_key: Key,
    last_dialect: Dialect,
    used_short: bool,
    /// The message after `auth-ok` was answered.
    greeted: bool,
    /// The queue was full: what waits goes out joined, after this.
    owed: Option<Owed>,
    faults: u32,
    seen: Instant,
    next_ping: Instant,
    next_look: Instant,
}

impl<R: Incoming, S: Outgoing> Connection<R, S> {
    pub(super) fn new(cx: Arc<Streams>, reader: R, sender: S) -> Self {
        /// Of the connection's id.
        const ID_BYTES: usize = 9;
        let now = Instant::now();
        let id = format!("conn-{}", cx.engine().rng().base64url(ID_BYTES));
        Self {
            next_ping: now + cx.times.ping,
            next_look: now + cx.times.credential,
            cx,
            reader,
            sender,
            inbox: Inbox::new(),
            codec: Codec::Json,
            holder: Holder::nobody(),
            id: id.into(),
            member: None,
            rooms: Vec::new(),
            active: Vec::new(),
            last_key: 0,
            last_dialect: Dialect::Documented,
            used_short: false,
            greeted: false,
            owed: None,
            faults: 0,
            seen: now,
        }
    }

    /// Until the socket closes.
    pub(super) async fn run(mut self) {
        // Boxed, so that a connection that waits is small.
        let _ = match Box::pin(self.sign_in()).await {
            Ok(()) => self.converse().await,
            Err(Over) => Err(Over),
        };
        if let Some(member) = &self.member {
            self.cx.presence.leave_all(member);
        }
    }

    async fn sign_in(&mut self) -> Flow {
        let deadline = Instant::now() + self.cx.times.sign_in;
        let message = loop {
            match timeout_at(deadline, self.reader.next()).await {
                Err(_) => {
                    return Err(self.shut_out(Dialect::Documented, None, "Authentication timeout"));
                }
                Ok(websocket::Message::Close(_)) => return Err(Over),
                Ok(websocket::Message::Ping | websocket::Message::Pong) => {}
                Ok(websocket::Message::Text(text)) => {
                    break messages::parse(Codec::Json, text.as_bytes());
                }
                Ok(websocket::Message::Binary(bytes)) => {
                    self.codec = Codec::MessagePack;
                    break messages::parse(Codec::MessagePack, &bytes);
                }
            }
        };
        match message {
            Ok(Message { dialect, id, request: Request::Auth { token, app } }) => {
                self.authenticate(dialect, id.as_deref(), token.as_deref(), app.as_deref()).await
            }
            Ok(Message { dialect, id, .. }) | Err(MessageFault { dialect, id, .. }) => {
                Err(self.shut_out(dialect, id.as_deref(), "Authentication required"))
            }
        }
    }

    /// Answers an `auth`, the first one or a later one.
    async fn authenticate(
        &mut self,
        dialect: Dialect,
        id: Option<&str>,
        token: Option<&str>,
        app: Option<&str>,
    ) -> Flow {
        let pinned = self.cx.face.app_id.as_deref();
        if let (Some(pinned), Some(app)) = (pinned, app)
            && pinned != app
        {
            return Err(self.shut_out(dialect, id, "Unknown application"));
        }
        let holder = match token {
            None => Some(Holder::nobody()),
            Some(token) => match Holder::of_token(&self.cx, token) {
                Ok(holder) => holder,
                Err(failure) => {
                    say(&failure, &self.id, |_| ());
                    return Err(self.shut_out(dialect, id, "Authentication is not possible now"));
                }
            },
        };
        let Some(holder) = holder else {
            return Err(self.shut_out(dialect, id, "Invalid token"));
        };
        if self.greeted && holder.user_id != self.holder.user_id {
            return Err(self.shut_out(dialect, id, "The token is another user's"));
        }
        self.holder = holder;
        self.last_dialect = dialect;
        let session = self.holder.caller.session().map(|session| &**session);
        let message = messages::auth_ok(dialect, id, self.holder.user_id.as_deref(), session);
        let now = Instant::now();
        (self.seen, self.next_ping) = (now, now + self.cx.times.ping);
        self.reply(&message).await
    }

    /// Tells that nobody is signed in, and closes.
    fn shut_out(&self, dialect: Dialect, id: Option<&str>, message: &str) -> Over {
        for message in messages::auth_failed(dialect, id, message) {
            let _ = self.sender.try_send(self.frame(&message));
        }
        self.sender.close(UNAUTHENTICATED, message);
        Over
    }

    fn close(&self, code: u16, reason: &str) -> Over {
        self.sender.close(code, reason);
        Over
    }

    async fn converse(&mut self) -> Flow {
        loop {
            let due = self.next_due();
            // Nothing that was not asked for until the client has had an answer (C1).
            let (greeted, behind) = (self.greeted, self.owed.is_some());
            tokio::select! {
                message = self.reader.next() => {
                    self.seen = Instant::now();
                    if let Some(member) = &self.member {
                        member.seen(self.cx.engine().clock().now_ms());
                    }
                    match message {
                        websocket::Message::Close(_) => return Err(Over),
                        websocket::Message::Ping | websocket::Message::Pong => {}
                        websocket::Message::Text(text) => {
                            Box::pin(self.take(text.as_bytes())).await?;
                        }
                        websocket::Message::Binary(bytes) => Box::pin(self.take(&bytes)).await?,
                    }
                }
                () = self.inbox.ready(), if greeted && !behind => self.tell()?,
                () = self.sender.drained(), if behind => {
                    self.tell()?;
                }
                () = self.holder.news() => self.look()?,
                () = sleep_until(due) => self.tick()?,
            }
        }
    }

    /// When the next thing has to be done without being asked.
    fn next_due(&self) -> Instant {
        let due = self.next_ping.min(self.seen + self.cx.times.silence);
        if self.holder.must_ask() { due.min(self.next_look) } else { due }
    }

    fn tick(&mut self) -> Flow {
        let now = Instant::now();
        if now >= self.seen + self.cx.times.silence {
            return Err(self.close(SILENT, "no sign of life"));
        }
        if now >= self.next_ping {
            self.next_ping = now + self.cx.times.ping;
            // A client that does not read has no use for a question; it is found out by its silence.
            if self.greeted {
                let _ = self.sender.try_send(self.frame(&messages::ping()));
            }
            let _ = self.sender.try_send(Frame::ping());
            return self.look();
        }
        if self.holder.must_ask() && now >= self.next_look {
            self.next_look = now + self.cx.times.credential;
            return self.look();
        }
        Ok(())
    }

    /// Whether the holder is still good.
    fn look(&mut self) -> Flow {
        if self.holder.is_good(&self.cx) {
            return Ok(());
        }
        let dialect = self.last_dialect;
        Err(self.shut_out(dialect, None, "The session has ended"))
    }

    /// Takes one message and answers it.
    async fn take(&mut self, bytes: &[u8]) -> Flow {
        if self.holder.has_news() {
            self.look()?;
        }
        let message = match messages::parse(self.codec, bytes) {
            Ok(message) => message,
            Err(fault) => return self.not_understood(fault).await,
        };
        self.faults = 0;
        let Message { dialect, id, request } = message;
        self.last_dialect = dialect;
        self.used_short |= dialect == Dialect::ShortForm;
        self.answer(dialect, id.as_deref(), request).await?;
        self.greeted = true;
        Ok(())
    }

    async fn not_understood(&mut self, fault: MessageFault) -> Flow {
        self.used_short |= fault.dialect == Dialect::ShortForm;
        self.faults += 1;
        if self.faults > FAULTS_MAX {
            return Err(self.close(code::POLICY, "too many messages that make no sense"));
        }
        self.refuse(fault.dialect, fault.id.as_deref(), &fault.fault.into()).await?;
        self.greeted = true;
        Ok(())
    }

    async fn answer(&mut self, dialect: Dialect, id: Option<&str>, request: Request) -> Flow {
        match request {
            Request::Auth { token, app } => {
                self.authenticate(dialect, id, token.as_deref(), app.as_deref()).await
            }
            Request::Ping => self.reply(&messages::pong(dialect, id)).await,
            Request::Pong => Ok(()),
            Request::Query { query } => match self.query(&query).await {
                Ok((data, tx)) => self.reply(&messages::query_result(id, data, tx)).await,
                Err(failure) => self.refuse(dialect, id, &failure).await,
            },
            Request::Mutate { ops } => {
                let done = transact(self.cx.engine(), &self.holder.caller, &ops).await;
                let message = match done {
                    Ok(done) => messages::mutate_ok(dialect, id, done.tx, done.results),
                    Err(failure) => {
                        self.saying(&failure, |text| messages::mutate_error(dialect, id, text))
                    }
                };
                self.reply(&message).await
            }
            Request::Subscribe { subscription, query, since } => {
                let since = since.filter(|_| dialect == Dialect::Documented);
                match self.subscribe(dialect, id, &subscription, &query, since).await {
                    Ok(flow) => flow,
                    Err(failure) if dialect == Dialect::ShortForm => {
                        let refusal =
                            self.saying(&failure, |text| messages::sub_err(&subscription, text));
                        self.reply(&refusal).await
                    }
                    Err(failure) => self.refuse(dialect, id, &failure).await,
                }
            }
            Request::Unsubscribe { subscription } => {
                self.unsubscribe(dialect, &subscription);
                self.reply(&messages::unsubscribe_ok(dialect, id, &subscription)).await
            }
            Request::PresenceEnter { room, data } => {
                self.enter(dialect, id, &room, data, true).await
            }
            Request::PresenceUpdate { room, data } => {
                self.enter(dialect, id, &room, data, false).await
            }
            Request::PresenceLeave { room } => self.leave(dialect, id, &room).await,
        }
    }

    async fn query(&self, query: &Value) -> Result<(Value, i64), Failure> {
        let caller = &self.holder.caller;
        let answer = self.cx.engine().run_tree(caller, query_of(query)?.roots).await;
        let answer = answer.map_err(|error| refused(caller, error))?;
        Ok((data_of_answer(answer.roots), answer.tx))
    }

    /// Follows a query and tells its first result.
    async fn subscribe(
        &mut self,
        dialect: Dialect,
        id: Option<&str>,
        name: &str,
        query: &Value,
        since: Option<i64>,
    ) -> Result<Flow, Failure> {
        let asked = query_of(query)?;
        self.end(|active| *active.name == *name);
        if self.active.len() >= SUBSCRIPTIONS_MAX {
            let message = format!("a connection may have {SUBSCRIPTIONS_MAX} live queries");
            return Err(Failure::new(Code::QueryTooComplex, message));
        }
        self.last_key += 1;
        let key = self.last_key;
        let caller = self.holder.caller.clone();
        let sink = self.inbox.sink(key, dialect == Dialect::App);
        let first = async {
            let subscription = self.cx.hub.subscribe(&caller, asked.roots, since, sink).await?;
            match timeout(self.cx.times.first_result, self.inbox.first(key)).await {
                Ok(Delivery::Failed(error)) => Err(error),
                Ok(first) => Ok((subscription, first)),
                Err(_) => Err(crate::engine::Error::Busy),
            }
        };
        let (subscription, first) = first.await.map_err(|error| {
            self.inbox.forget(key);
            refused(&caller, error)
        })?;
        let sub_id = sub_id(key);
        let (messages, latest) = match first {
            Delivery::Initial { tx, roots } => match dialect {
                Dialect::Documented => (vec![messages::q_init(name, keyed(&roots), tx)], vec![]),
                Dialect::ShortForm => (short_initial(name, &sub_id, &roots, tx), vec![]),
                Dialect::App => {
                    let reply = messages::subscribed(id, name, tx);
                    let update = messages::subscription_update(name, data_of(&roots), tx);
                    (vec![reply, update], roots)
                }
            },
            Delivery::Resumed { since, change } if change.roots.is_empty() => {
                let entity = asked.entities.first().map_or("", String::as_str);
                let nothing = Default::default();
                let message = messages::q_diff(name, entity, &nothing, change.tx, Some(since));
                (vec![message], vec![])
            }
            Delivery::Resumed { since, change } => (documented(name, &change, Some(since)), vec![]),
            Delivery::Change(_) | Delivery::Failed(_) => (vec![], vec![]),
        };
        // Of a single root every change brings all there is to tell.
        let latest = if latest.len() > 1 { latest } else { Vec::new() };
        let name = name.into();
        self.active.push(Active { key, name, dialect, latest, _subscription: subscription });
        for message in &messages {
            if let Err(over) = self.reply(message).await {
                return Ok(Err(over));
            }
        }
        Ok(Ok(()))
    }

    fn unsubscribe(&mut self, dialect: Dialect, name: &str) {
        self.end(|active| {
            *active.name == *name
                || (dialect == Dialect::ShortForm
                    && active.dialect == dialect
                    && sub_id(active.key) == name)
        });
    }

    /// Ends subscriptions; nothing of them is told any more.
    fn end(&mut self, ends: impl Fn(&Active) -> bool) {
        let (inbox, owed) = (&self.inbox, &mut self.owed);
        self.active.retain(|active| {
            let ends = ends(active);
            if ends {
                inbox.forget(active.key);
                owed.take_if(|owed| matches!(owed.of, Of::Query(key) if key == active.key));
            }
            !ends
        });
    }

    /// Tells what the inbox holds, as far as it fits.
    fn tell(&mut self) -> Flow {
        if self.inbox.is_overloaded() {
            return Err(self.close(TRY_LATER, "the client reads too slowly"));
        }
        let mut behind = false;
        if let Some(Owed { of, frame }) = self.owed.take() {
            behind = true;
            self.send_or_owe(of, frame)?;
        }
        for _ in 0..TOLD_AT_ONCE {
            if self.owed.is_some() {
                break;
            }
            let Some(item) = self.inbox.take(behind) else { break };
            if let Some((of, frame)) = self.told(item) {
                self.send_or_owe(of, frame)?;
            }
        }
        Ok(())
    }

    fn send_or_owe(&mut self, of: Of, frame: Frame) -> Flow {
        match self.sender.try_send(frame) {
            Ok(()) => Ok(()),
            Err(SendError::Closed) => Err(Over),
            Err(SendError::Full(frame)) => {
                self.owed = Some(Owed { of, frame });
                Ok(())
            }
        }
    }

    /// The frames that tell something; `None` when there is nobody to tell any more.
    fn told(&mut self, item: Item) -> Option<(Of, Frame)> {
        match item {
            Item::Room(news) => {
                let dialect = self.rooms.iter().find(|joined| joined.room == news.room)?.dialect;
                let frame = self.frame(&self.news(dialect, &news)?);
                Some((Of::Room(Arc::clone(&news.room)), frame))
            }
            Item::Failed(key, error) => {
                let active = self.active.remove(self.place(key)?);
                let failure = refused(&self.holder.caller, error);
                let (dialect, name) = (active.dialect, Some(&*active.name));
                let message = self.saying(&failure, |text| messages::error(dialect, name, text));
                Some((Of::End, self.frame(&message)))
            }
            Item::Change(key, change) => {
                let place = self.place(key)?;
                let frames = told_change(&mut self.active[place], &change, self.codec)?;
                Some((Of::Query(key), Frame::encoded(frames)))
            }
        }
    }

    fn place(&self, key: Key) -> Option<usize> {
        self.active.binary_search_by_key(&key, |active| active.key).ok()
    }

    // Rooms.

    async fn enter(
        &mut self,
        dialect: Dialect,
        id: Option<&str>,
        room: &str,
        data: Map<String, Value>,
        is_entry: bool,
    ) -> Flow {
        if let Err(error) = self.cx.engine().check_presence(&self.holder.caller) {
            let failure = refused(&self.holder.caller, error);
            return self.refuse(dialect, id, &failure).await;
        }
        let member = self.member();
        let write = match dialect {
            // Entering again does not take away what was published.
            Dialect::App if is_entry => Write::Merge,
            Dialect::Documented if !is_entry => Write::Merge,
            _ => Write::Replace,
        };
        let news = match self.cx.presence.put(room, &member, Data::from(data), write) {
            Ok(news) => news,
            Err(refusal) => return self.refuse(dialect, id, &not_entered(refusal)).await,
        };
        let is_new = !news.joined.is_empty();
        match self.rooms.iter_mut().find(|joined| *joined.room == *room) {
            Some(joined) => joined.dialect = dialect,
            None => self.rooms.push(Joined { room: Arc::clone(&news.room), dialect }),
        }
        let message = match dialect {
            Dialect::Documented if is_entry || is_new => self.news(dialect, &news),
            Dialect::ShortForm if is_entry => Some(messages::pres_snap(room, &news.peers)),
            Dialect::App if is_entry => {
                let own = news.peers.iter().find(|peer| *peer.id == *self.id).cloned();
                own.map(|own| {
                    let others = others(&news, &self.id);
                    let room = app_room(room);
                    messages::presence_update(id.unwrap_or(""), Some(&room), &others, &own)
                })
            }
            Dialect::App => Some(messages::presence_done(id)),
            Dialect::Documented | Dialect::ShortForm => None,
        };
        match message {
            Some(message) => self.reply(&message).await,
            None => Ok(()),
        }
    }

    async fn leave(&mut self, dialect: Dialect, id: Option<&str>, room: &str) -> Flow {
        let member = self.member();
        let news = self.cx.presence.leave(room, &member);
        self.rooms.retain(|joined| *joined.room != *room);
        self.inbox.forget_room(room);
        self.owed.take_if(|owed| matches!(&owed.of, Of::Room(of) if **of == *room));
        match (dialect, news) {
            (Dialect::Documented, Some(news)) => {
                let change = PresenceChange { left: &news.left, ..PresenceChange::default() };
                let message = messages::presence_change(room, &news.peers, &self.id, change);
                self.reply(&message).await
            }
            (Dialect::App, _) => self.reply(&messages::presence_done(id)).await,
            _ => Ok(()),
        }
    }

    /// This connection, as the rooms know it.
    fn member(&mut self) -> Arc<Member> {
        let (cx, id, inbox) = (&self.cx, &self.id, &self.inbox);
        let user_id = self.holder.user_id.as_deref().unwrap_or("anonymous");
        let member = self.member.get_or_insert_with(|| {
            let now_ms = cx.engine().clock().now_ms();
            let weak: std::sync::Weak<Inbox> = Arc::downgrade(inbox);
            Member::new(id, user_id, now_ms, weak)
        });
        Arc::clone(member)
    }

    /// News of a room in a dialect.
    fn news(&self, dialect: Dialect, news: &News) -> Option<Value> {
        let change =
            PresenceChange { joined: &news.joined, updated: &news.updated, left: &news.left };
        Some(match dialect {
            Dialect::Documented => {
                messages::presence_change(&news.room, &news.peers, &self.id, change)
            }
            Dialect::ShortForm => messages::pres_diff(&news.room, change),
            Dialect::App => {
                let own = news.peers.iter().find(|peer| *peer.id == *self.id)?;
                let others = others(news, &self.id);
                messages::presence_update(&app_room(&news.room), None, &others, own)
            }
        })
    }

    // The way out.

    fn saying<T>(&self, failure: &Failure, build: impl FnOnce(&ErrorText<'_>) -> T) -> T {
        say(failure, &self.id, build)
    }

    async fn refuse(&mut self, dialect: Dialect, id: Option<&str>, failure: &Failure) -> Flow {
        let dialect = dialect_of(self.used_short, dialect);
        let message = self.saying(failure, |text| messages::error(dialect, id, text));
        self.reply(&message).await
    }

    fn frame(&self, message: &Value) -> Frame {
        frame(self.codec, message)
    }

    /// Sends what was asked for; waits while the queue is full.
    async fn reply(&mut self, message: &Value) -> Flow {
        let mut frame = self.frame(message);
        let deadline = Instant::now() + self.cx.times.stall;
        loop {
            frame = match self.sender.try_send(frame) {
                Ok(()) => return Ok(()),
                Err(SendError::Closed) => return Err(Over),
                Err(SendError::Full(frame)) => frame,
            };
            tokio::select! {
                () = self.sender.drained() => {}
                () = self.holder.news() => self.look()?,
                () = sleep_until(deadline) => {
                    return Err(self.close(TRY_LATER, "the client reads too slowly"));
                }
            }
        }
    }
}

/// A change as the subscription's client takes it.
fn told_change(active: &mut Active, change: &Change, codec: Codec) -> Option<Bytes> {
    let form = form(active.dialect, codec);
    let name = &*active.name;
    let shared = &change.encoded;
    Some(match active.dialect {
        Dialect::Documented => {
            shared.get_or_make((form, name), || frames(codec, &documented(name, change, None)))
        }
        Dialect::ShortForm => {
            let sub_id = sub_id(active.key);
            shared.get_or_make((form, &format!("{sub_id} {name}")), || {
                frames(codec, &short(name, &sub_id, change))
            })
        }
        Dialect::App if active.latest.is_empty() => {
            let root = complete(change)?;
            shared.get_or_make((form, name), || {
                let data = data_of(&root);
                frames(codec, &[messages::subscription_update(name, data, change.tx)])
            })
        }
        Dialect::App => {
            renew(&mut active.latest, change);
            let data = data_of(&active.latest);
            frames(codec, &[messages::subscription_update(name, data, change.tx)])
        }
    })
}

/// The server's name for a subscription of the short form.
fn sub_id(key: Key) -> String {
    format!("s-{key}")
}

/// The name under which clients of the application dialect get news of a room.
fn app_room(room: &str) -> String {
    format!("presence:{room}")
}

fn others(news: &News, id: &str) -> Vec<crate::live::presence::Peer> {
    news.peers.iter().filter(|peer| *peer.id != *id).cloned().collect()
}

fn not_entered(refusal: Refusal) -> Failure {
    let code = match refusal {
        Refusal::Name | Refusal::Data => Code::InvalidArgument,
        Refusal::RoomFull | Refusal::TooManyRooms | Refusal::TooManyOfOne => Code::RateLimited,
    };
    Failure::new(code, refusal.to_string())
}

/// A number for a dialect in a codec, to share encodings under.
fn form(dialect: Dialect, codec: Codec) -> u8 {
    let dialect = match dialect {
        Dialect::Documented => 0,
        Dialect::App => 1,
        Dialect::ShortForm => 2,
    };
    2 * dialect + u8::from(codec == Codec::MessagePack)
}

fn frame(codec: Codec, message: &Value) -> Frame {
    match codec {
        Codec::Json => Frame::text(&crate::util::json::minify(message)),
        Codec::MessagePack => Frame::binary(&messages::encode(codec, message)),
    }
}

/// Several messages, to be sent together.
fn frames(codec: Codec, messages: &[Value]) -> Bytes {
    if let [message] = messages {
        return frame(codec, message).bytes().clone();
    }
    let mut all = BytesMut::new();
    for message in messages {
        all.extend_from_slice(frame(codec, message).bytes());
    }
    all.freeze()
}
