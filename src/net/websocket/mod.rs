//! WebSockets: the upgrade, a reader that judges frames, a sender with a bounded queue.
//!
//! A frame is encoded once ([`Frame`] shares its bytes) and may be sent to any number of sockets;
//! a socket's writer takes all that waits into one vectored write. An idle socket holds no buffer.
//!
//! Knows RFC 6455 without extensions. Does not know what messages mean.
//!
//! Invariants
//! W1. Beside the frame being written at most [`QUEUE_BYTES_MAX`] wait; more is refused as
//!     [`SendError::Full`], never dropped.
//! W2. After a close frame, ours or the peer's, nothing but its answer is sent.
//! W3. A socket that cannot write for [`super::Times::write`] is dropped.

mod codec;

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    self, CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::connection::{Stops, Times, WebSocketTicket};
use super::gate::Gate;
use super::{Call, Reply};
pub use codec::Frame;
use codec::{Decoder, Event};

/// What may wait in a socket's queue beside the frame being written (SECURITY S22).
pub const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// Messages a client may send, sustained, and at once after a pause.
pub const MESSAGES_PER_SECOND_MAX: u32 = 100;
const MESSAGES_BURST_MAX: u32 = 1_000;
/// Frames in one system call.
const WRITE_FRAMES_MAX: usize = 64;
/// One read from the socket.
const READ_BYTES: usize = 16 * 1024;
const KEY_CHARS: usize = 24;
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Close codes that this server sends by itself.
pub mod code {
    pub const NORMAL: u16 = 1000;
    /// The server stops.
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL: u16 = 1002;
    pub const NOT_UTF8: u16 = 1007;
    /// More messages than [`super::MESSAGES_PER_SECOND_MAX`].
    pub const POLICY: u16 = 1008;
    pub const TOO_LARGE: u16 = 1009;
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Bytes),
    /// Answered already.
    Ping,
    Pong,
    /// The end, by whichever side and for whatever reason; `None` without a code, or without a
    /// close frame at all.
    Close(Option<u16>),
}

/// Why a frame was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The client reads too slowly; the frame is given back.
    Full(Frame),
    Closed,
}

/// Answers an upgrade: the reply to return, and the socket once that reply is on its way. Spawn a
/// task that awaits it before returning the reply.
///
/// # Errors
/// The refusal (426 or 400, without content) when the call asks for no WebSocket, or not properly.
#[allow(clippy::result_large_err, reason = "a refusal is a reply, made once and returned at once")]
pub fn upgrade(
    call: &mut Call,
) -> Result<(Reply, impl Future<Output = Option<WebSocket>> + Send + 'static), Reply> {
    let headers = &call.headers;
    if call.method != Method::GET || !lists(headers, UPGRADE, "websocket") {
        return Err(upgrade_required());
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(upgrade_required());
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(bad_request()) };
    let key_fine = key.len() == KEY_CHARS && STANDARD.decode(key).is_ok_and(|k| k.len() == 16);
    if !key_fine || !lists(headers, CONNECTION, "upgrade") {
        return Err(bad_request());
    }
    let accept = accept_of(key.as_bytes());
    let Some((upgrade, connection)) = call.body.take_upgrade() else {
        return Err(upgrade_required());
    };
    let mut reply = Reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    reply.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let reply = reply.with(SEC_WEBSOCKET_ACCEPT, &accept);
    let opening = async move {
        let parts = upgrade.await.ok()?.downcast::<TokioIo<Gate>>().ok()?;
        let (socket, held) = parts.io.into_inner().into_socket();
        let mut input = Vec::from(parts.read_buf);
        input.extend_from_slice(&held);
        let (read, write) = socket.into_split();
        let shared = Arc::new(Shared::new(*connection.times()));
        let stops: Arc<dyn Stops> = Arc::clone(&shared) as Arc<dyn Stops>;
        let ticket = connection.registry().open_websocket(stops);
        tokio::spawn(write_out(write, Arc::clone(&shared), ticket));
        let decoder = Decoder::new(input);
        let reader = Reader { half: Some(read), shared, decoder, due: Instant::now(), ended: None };
        Some(WebSocket { reader })
    };
    Ok((reply, opening))
}

fn upgrade_required() -> Reply {
    let mut reply = Reply::empty(StatusCode::UPGRADE_REQUIRED);
    reply.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply
}

fn bad_request() -> Reply {
    Reply::empty(StatusCode::BAD_REQUEST)
}

/// Whether a header that is a list names `token`.
fn lists(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn accept_of(key: &[u8]) -> String {
    // Not a use of SHA-1 that anything relies on: RFC 6455 wants an echo no cache would give.
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(ACCEPT_SUFFIX);
    STANDARD.encode(digest.finish())
}

/// An open socket.
#[derive(Debug)]
pub struct WebSocket {
    reader: Reader,
}

impl WebSocket {
    /// The two directions. Dropping the reader closes the socket.
    #[must_use]
    pub fn split(self) -> (Reader, Sender) {
        let sender = Sender { shared: Arc::clone(&self.reader.shared) };
        (self.reader, sender)
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something to write, or the reader is done.
    ready: Notify,
    /// Told when all that waited was written.
    drained: Notify,
    /// Told once, when the writer has ended.
    ended: Notify,
    times: Times,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Not written yet, whether still in `frames` or taken by the writer.
    bytes: usize,
    /// Length of the frame being written.
    writing: usize,
    /// A close frame is in `frames`, or behind us.
    closing: bool,
    /// The peer's close frame has come, or the peer is gone: nothing to wait for.
    peer_done: bool,
    /// The writer has ended.
    gone: bool,
    /// What the reader left behind, to be read to its end before the socket closes: unread bytes
    /// would reset the connection, and the close frame might never arrive.
    abandoned: Option<OwnedReadHalf>,
}

impl Shared {
    fn new(times: Times) -> Self {
        Self {
            queue: Mutex::default(),
            ready: Notify::new(),
            drained: Notify::new(),
            ended: Notify::new(),
            times,
        }
    }

    /// A panic of another holder leaves a queue whole.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, frame: Frame) -> Result<(), SendError> {
        {
            let mut queue = self.queue();
            if queue.closing || queue.gone {
                return Err(SendError::Closed);
            }
            let length = frame.bytes().len();
            let waiting = queue.bytes - queue.writing;
            if queue.bytes > 0 && waiting + length > QUEUE_BYTES_MAX {
                return Err(SendError::Full(frame));
            }
            queue.bytes += length;
            queue.frames.push_back(frame.into_bytes());
        }
        self.ready.notify_one();
        Ok(())
    }

    fn close(&self, code: Option<u16>, reason: &str) {
        {
            let mut queue = self.queue();
            if queue.closing || queue.gone {
                return;
            }
            queue.closing = true;
            let frame = Frame::close(code, reason);
            queue.bytes += frame.bytes().len();
            queue.frames.push_back(frame.into_bytes());
        }
        self.ready.notify_one();
    }

    /// The peer will send nothing that matters any more.
    fn peer_done(&self) {
        self.queue().peer_done = true;
        self.ready.notify_one();
    }
}

impl Stops for Shared {
    fn stop(&self) {
        self.close(Some(code::GOING_AWAY), "");
    }
}

/// The way out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// Queues a frame. A frame larger than the whole queue is taken when nothing waits.
    ///
    /// # Errors
    /// [`SendError::Full`] gives it back; [`SendError::Closed`] after either side closed.
    pub fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        self.shared.push(frame)
    }

    /// Starts the closing handshake; what was queued before is sent first. Later calls do nothing.
    pub fn close(&self, code: u16, reason: &str) {
        self.shared.close(Some(code), reason);
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        let queue = self.shared.queue();
        queue.closing || queue.gone
    }

    /// Bytes that are not written yet.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.shared.queue().bytes
    }

    /// Returns when all that waits was written, or the socket is gone.
    pub async fn drained(&self) {
        loop {
            let drained = self.shared.drained.notified();
            {
                let queue = self.shared.queue();
                if queue.bytes == 0 || queue.gone {
                    return;
                }
            }
            drained.await;
        }
    }
}

/// The way in.
#[derive(Debug)]
pub struct Reader {
    /// Handed to the writer when the reader is dropped.
    half: Option<OwnedReadHalf>,
    shared: Arc<Shared>,
    decoder: Decoder,
    /// When the messages so far would be due at the sustained rate.
    due: Instant,
    ended: Option<Option<u16>>,
}

impl Reader {
    /// The next message; after [`Message::Close`] that again and again. May be dropped half-way
    /// (`select!`, timeouts) without losing anything.
    pub async fn next(&mut self) -> Message {
        loop {
            if let Some(code) = self.ended {
                return Message::Close(code);
            }
            match self.decoder.next() {
                Ok(Some(Event::Message(message))) => {
                    if self.too_many() {
                        return self.fail(code::POLICY);
                    }
                    return message;
                }
                Ok(Some(Event::Ping(payload))) => {
                    if self.too_many() {
                        return self.fail(code::POLICY);
                    }
                    // A client that does not read its answers does without this one.
                    let _ = self.shared.push(Frame::pong(&payload));
                    return Message::Ping;
                }
                Ok(Some(Event::Pong)) => return Message::Pong,
                Ok(Some(Event::Close(code))) => {
                    self.shared.close(code, "");
                    return self.end(code);
                }
                Ok(None) => {
                    if !self.fill().await {
                        return self.end(None);
                    }
                }
                Err(code) => return self.fail(code),
            }
        }
    }

    /// Waits for bytes; `false` when none will come.
    async fn fill(&mut self) -> bool {
        loop {
            let Some(half) = &self.half else { return false };
            tokio::select! {
                ready = half.readable() => {
                    if ready.is_err() {
                        return false;
                    }
                }
                () = self.shared.ended.notified() => return false,
            }
            match self.read_now() {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// On the thread's stack, so that a waiting socket holds no buffer.
    fn read_now(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let Some(half) = &self.half else { return Ok(0) };
        let count = half.try_read(&mut bytes)?;
        self.decoder.push(&bytes[..count]);
        Ok(count)
    }

    fn fail(&mut self, code: u16) -> Message {
        self.shared.close(Some(code), "");
        self.end(Some(code))
    }

    fn end(&mut self, code: Option<u16>) -> Message {
        self.ended = Some(code);
        self.shared.peer_done();
        Message::Close(code)
    }

    /// SECURITY S22: 100 messages a second, a thousand at once after a pause.
    fn too_many(&mut self) -> bool {
        let (now, each) = (Instant::now(), Duration::from_secs(1) / MESSAGES_PER_SECOND_MAX);
        self.due = self.due.max(now) + each;
        self.due - now > each * MESSAGES_BURST_MAX
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.close(Some(code::NORMAL), "");
        self.shared.queue().abandoned = self.half.take();
        self.shared.ready.notify_one();
    }
}

/// The writer's life: until the close frame is out and answered, or the socket fails.
async fn write_out(mut half: OwnedWriteHalf, shared: Arc<Shared>, ticket: WebSocketTicket) {
    let closed = loop {
        let (batch, closing, peer_gone) = {
            let mut queue = shared.queue();
            (std::mem::take(&mut queue.frames), queue.closing, queue.peer_done)
        };
        if batch.is_empty() {
            if closing {
                break true;
            }
            if peer_gone {
                break false;
            }
            shared.drained.notify_waiters();
            shared.ready.notified().await;
            continue;
        }
        if write_batch(&half, &shared, batch).await.is_err() {
            break false;
        }
    };
    if closed {
        let _ = half.shutdown().await;
        let _ = timeout(shared.times.websocket_close, until_answered(&shared)).await;
    }
    shared.queue().gone = true;
    shared.ended.notify_one();
    shared.drained.notify_waiters();
    drop(half);
    drop(ticket);
}

/// Until the peer's close frame, or its end, was seen by the reader or, without one, by us.
async fn until_answered(shared: &Shared) {
    let half = loop {
        {
            let mut queue = shared.queue();
            if queue.peer_done {
                return;
            }
            if let Some(half) = queue.abandoned.take() {
                break half;
            }
        }
        shared.ready.notified().await;
    };
    while half.readable().await.is_ok() {
        match discard(&half) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn discard(half: &OwnedReadHalf) -> io::Result<usize> {
    half.try_read(&mut [0; READ_BYTES])
}

async fn write_batch(
    half: &OwnedWriteHalf,
    shared: &Shared,
    mut batch: VecDeque<Bytes>,
) -> io::Result<()> {
    while let Some(front) = batch.front() {
        shared.queue().writing = front.len();
        let written = {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
            let count = batch.len().min(WRITE_FRAMES_MAX);
            for (slice, frame) in slices.iter_mut().zip(&batch) {
                *slice = IoSlice::new(frame);
            }
            half.try_write_vectored(&slices[..count])
        };
        let mut written = match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let writable = timeout(shared.times.write, half.writable()).await;
                writable.map_err(|_| io::ErrorKind::TimedOut)??;
                continue;
            }
            Err(error) => return Err(error),
        };
        {
            let mut queue = shared.queue();
            queue.bytes -= written;
            queue.writing = 0;
        }
        while let Some(front) = batch.front_mut() {
            if written < front.len() {
                let _ = front.split_to(written);
                break;
            }
            written -= front.len();
            batch.pop_front();
        }
    }
    Ok(())
}
