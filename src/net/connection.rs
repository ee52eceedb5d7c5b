//! What is known about every open connection, and the sweep that ends the ones that took too long.
//!
//! Times are read from one coarse clock that the sweep moves, so that the path of a request never
//! asks the system for the time and never sets a timer.
//!
//! Knows times, flags and wakers. Does not know bytes.
//!
//! Invariants
//! N1. A connection is in the registry exactly while its [`Ticket`] lives.
//! N2. Marking a connection wakes its task; the task acts on the mark, nobody else does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long a client may take (SECURITY S15).
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From a request's first byte (or the connection's start) to the end of its head.
    pub head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// A body without a byte.
    pub body_quiet: Duration,
    /// Bytes a body must bring per second, counted after `body_quiet`.
    pub body_bytes_per_second: u64,
    /// A body that is read as one piece (JSON), in total.
    pub whole_body: Duration,
    /// Writing without progress.
    pub write: Duration,
    /// Reading on, and throwing away, what a refused client still sends, so that it sees the answer.
    pub linger: Duration,
    /// After our close frame, until the peer's.
    pub websocket_close: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_quiet: Duration::from_secs(15),
            body_bytes_per_second: 1024,
            whole_body: Duration::from_secs(60),
            write: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            websocket_close: Duration::from_secs(5),
        }
    }
}

impl Times {
    /// How often to sweep: often enough for the shortest time, never idly often.
    pub(super) fn sweep(&self) -> Duration {
        let shortest = [self.head, self.idle, self.write, self.linger].into_iter().min();
        (shortest.unwrap_or(self.head) / 4)
            .clamp(Duration::from_millis(10), Duration::from_millis(1_000))
    }
}

/// What the sweep found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    No,
    /// Between requests: close without a word.
    Idle,
    /// In a head: answer 408.
    Head,
    /// Not reading our answer, or lingering too long: drop.
    Dead,
}

const FIRST_HEAD: u8 = 0;
const BETWEEN: u8 = 1;
const HEAD: u8 = 2;
const LINGERING: u8 = 3;
const HANDED_OVER: u8 = 4;

/// One connection, shared by its task, its sockets' wrapper and the sweep.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: IpAddr,
    phase: AtomicU8,
    /// Coarse time at which the phase began.
    since_ms: AtomicU64,
    /// Coarse time at which writing stopped; 0 while it flows.
    write_blocked_ms: AtomicU64,
    in_flight: AtomicU32,
    expired: AtomicU8,
    stopping: AtomicBool,
    /// A body was too slow: whatever the handler says, the answer is 408 and the end.
    late: AtomicBool,
    /// Requests handed to the library, and taken by the service.
    pub(super) heads: AtomicU64,
    pub(super) calls: AtomicU64,
    /// Status of the refusal that stands in for request number `heads`; 0 is none.
    pub(super) refusal: AtomicU16,
    waker: Mutex<Option<Waker>>,
    times: Times,
    registry: Arc<Registry>,
}

impl Connection {
    fn enter(&self, phase: u8) {
        self.since_ms.store(self.registry.now_ms(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// A head has begun and is not complete.
    pub(super) fn head_began(&self) {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == BETWEEN {
            self.enter(HEAD);
        }
    }

    /// A head is complete.
    pub(super) fn head_ended(&self) {
        self.enter(BETWEEN);
    }

    pub(super) fn linger_began(&self) {
        if self.phase.load(Ordering::Relaxed) != LINGERING {
            self.enter(LINGERING);
        }
    }

    /// The socket belongs to a WebSocket now, which has times of its own.
    pub(super) fn handed_over(&self) {
        self.phase.store(HANDED_OVER, Ordering::Relaxed);
    }

    pub(super) fn write_blocked(&self) {
        if self.write_blocked_ms.load(Ordering::Relaxed) == 0 {
            self.write_blocked_ms.store(self.registry.now_ms(), Ordering::Relaxed);
        }
    }

    pub(super) fn write_flows(&self) {
        // An answer that still flows out is no idle connection, though its request is done.
        if self.phase.load(Ordering::Relaxed) == BETWEEN {
            self.since_ms.store(self.registry.now_ms(), Ordering::Relaxed);
        }
        if self.write_blocked_ms.load(Ordering::Relaxed) != 0 {
            self.write_blocked_ms.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn expired(&self) -> Expired {
        match self.expired.load(Ordering::Relaxed) {
            0 => Expired::No,
            1 => Expired::Idle,
            2 => Expired::Head,
            _ => Expired::Dead,
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn mark_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    /// The task to wake; a task's waker stays the same, so once is enough.
    pub(super) fn set_waker(&self, waker: Waker) {
        *lock(&self.waker) = Some(waker);
    }

    fn wake(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn expire(&self, why: Expired) {
        let code = match why {
            Expired::No => 0,
            Expired::Idle => 1,
            Expired::Head => 2,
            Expired::Dead => 3,
        };
        self.expired.store(code, Ordering::Relaxed);
        self.wake();
    }

    fn sweep(&self, now_ms: u64) {
        let past = |since: u64, limit: Duration| now_ms.saturating_sub(since) > millis(limit);
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == HANDED_OVER {
            return;
        }
        let blocked = self.write_blocked_ms.load(Ordering::Relaxed);
        if blocked != 0 {
            if past(blocked, self.times.write) {
                self.expire(Expired::Dead);
            }
            return;
        }
        let since = self.since_ms.load(Ordering::Relaxed);
        if phase == LINGERING {
            if past(since, self.times.linger) {
                self.expire(Expired::Dead);
            }
            return;
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return;
        }
        match phase {
            BETWEEN if past(since, self.times.idle) => self.expire(Expired::Idle),
            HEAD | FIRST_HEAD if past(since, self.times.head) => self.expire(Expired::Head),
            _ => {}
        }
    }
}

/// A request on its way: while one lives the client owes nothing.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Connection>);

impl InFlight {
    pub(super) fn new(connection: &Arc<Connection>) -> Self {
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        connection.registry.requests.fetch_add(1, Ordering::Relaxed);
        connection.registry.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connection))
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since_ms.store(self.0.registry.now_ms(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.registry.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Numbers for the metrics page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Since the start.
    pub requests: u64,
    pub in_flight: u64,
    pub connections: u64,
    pub websockets: u64,
}

/// Reads a server's gauges from elsewhere.
#[derive(Clone, Debug)]
pub struct Dial(pub(super) Arc<Registry>);

impl Dial {
    #[must_use]
    pub fn read(&self) -> Gauges {
        self.0.gauges()
    }
}

/// Something that is told when the server stops.
pub(super) trait Stops: Send + Sync {
    fn stop(&self);
}

/// All connections.
#[derive(Debug)]
pub(super) struct Registry {
    started: Instant,
    now_ms: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicU64,
    websockets: AtomicU64,
    open: Mutex<Open>,
    emptied: Condvar,
}

#[derive(Default)]
struct Open {
    next: u64,
    stopping: bool,
    connections: BTreeMap<u64, Arc<Connection>>,
    websockets: BTreeMap<u64, Arc<dyn Stops>>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} connections, {} websockets", self.connections.len(), self.websockets.len())
    }
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            now_ms: AtomicU64::new(1),
            requests: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            websockets: AtomicU64::new(0),
            open: Mutex::new(Open::default()),
            emptied: Condvar::new(),
        }
    }

    /// Milliseconds since the start as of the last sweep, never 0.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            requests: self.requests.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            connections: lock(&self.open).connections.len() as u64,
            websockets: self.websockets.load(Ordering::Relaxed),
        }
    }

    /// A new connection. Above `connections_max` the one that has waited longest for its first full
    /// head is dropped; `None` when there is none, or the server is stopping.
    pub(super) fn open(
        self: &Arc<Self>,
        peer: IpAddr,
        times: Times,
        connections_max: usize,
    ) -> Option<Ticket> {
        let mut open = lock(&self.open);
        if open.stopping {
            return None;
        }
        if open.connections.len() + open.websockets.len() >= connections_max {
            let waiting = |c: &&Arc<Connection>| {
                c.phase.load(Ordering::Relaxed) == FIRST_HEAD && c.expired() == Expired::No
            };
            open.connections.values().find(waiting)?.expire(Expired::Dead);
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection {
            peer,
            phase: AtomicU8::new(FIRST_HEAD),
            since_ms: AtomicU64::new(self.now_ms()),
            write_blocked_ms: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            expired: AtomicU8::new(0),
            stopping: AtomicBool::new(false),
            late: AtomicBool::new(false),
            heads: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            refusal: AtomicU16::new(0),
            waker: Mutex::new(None),
            times,
            registry: Arc::clone(self),
        });
        open.connections.insert(id, Arc::clone(&connection));
        Some(Ticket { id, connection })
    }

    /// A WebSocket that lives on after its connection was handed over.
    pub(super) fn open_websocket(self: &Arc<Self>, socket: Arc<dyn Stops>) -> WebSocketTicket {
        let mut open = lock(&self.open);
        if open.stopping {
            socket.stop();
        }
        let id = open.next;
        open.next += 1;
        open.websockets.insert(id, socket);
        self.websockets.fetch_add(1, Ordering::Relaxed);
        WebSocketTicket { id, registry: Arc::clone(self) }
    }

    /// Moves the coarse clock and marks what took too long.
    pub(super) fn sweep(&self) {
        let now_ms = millis(self.started.elapsed()).max(1);
        self.now_ms.store(now_ms, Ordering::Relaxed);
        for connection in lock(&self.open).connections.values() {
            connection.sweep(now_ms);
        }
    }

    /// Tells everybody, once; later connections are not taken.
    pub(super) fn stop(&self) {
        let mut open = lock(&self.open);
        open.stopping = true;
        for connection in open.connections.values() {
            connection.stopping.store(true, Ordering::Relaxed);
            connection.wake();
        }
        for socket in open.websockets.values() {
            socket.stop();
        }
    }

    /// Whether everybody left in time.
    pub(super) fn wait_empty(&self, within: Duration) -> bool {
        let open = lock(&self.open);
        let busy = |open: &mut Open| !open.connections.is_empty() || !open.websockets.is_empty();
        let (_open, waited) = self
            .emptied
            .wait_timeout_while(open, within, busy)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    fn leave(&self, remove: impl FnOnce(&mut Open)) {
        let mut open = lock(&self.open);
        remove(&mut open);
        if open.connections.is_empty() && open.websockets.is_empty() {
            self.emptied.notify_all();
        }
    }
}

/// A connection's place in the registry.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connection.registry.leave(|open| {
            open.connections.remove(&self.id);
        });
    }
}

/// A WebSocket's place in the registry.
#[derive(Debug)]
pub(super) struct WebSocketTicket {
    id: u64,
    registry: Arc<Registry>,
}

impl Drop for WebSocketTicket {
    fn drop(&mut self) {
        self.registry.websockets.fetch_sub(1, Ordering::Relaxed);
        self.registry.leave(|open| {
            open.websockets.remove(&self.id);
        });
    }
}

impl Connection {
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic of another holder leaves these maps whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
