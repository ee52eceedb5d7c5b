//! Listeners, runtimes, connections; from a request on the wire to its route and back.
//!
//! One `current_thread` runtime per core, each on a thread of its own; a connection stays on the one
//! it was handed to (the one with the fewest). Handlers run there, inline.
//!
//! Knows sockets, threads and the order of checks. Does not know what a route means.
//!
//! Invariants
//! E1. A handler runs only after screen, host, origin, route and rate let the request through.
//! E2. Whatever happens to a request, its answer carries the headers of every answer, or the
//!     connection just ends.
//! E3. A panic of a handler ends its request and nothing else.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http::header::{ALLOW, CONNECTION, CONTENT_ENCODING, HeaderValue, RETRY_AFTER, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Handle as RuntimeHandle};
use tokio::sync::{mpsc, watch};

use super::call::Query;
use super::connection::{Dial, Gauges, InFlight, Registry, Ticket, Times};
use super::door::{Door, Visitor, has_credential};
use super::gate::Gate;
use super::outgoing::Outgoing;
use super::rate::RateState;
use super::route::names_no_limit;
use super::router::{BAD_PARAMETER, Found};
use super::screen::{HeadLimits, names_websocket};
use super::{
    Body, BoxFuture, Call, Content, Envelope, Handler, IpRange, Rate, RateClass, RateLimits,
    Refusal, Reply, Route, Router, Traffic,
};
use crate::util::clock::Clock;
use crate::util::rng::Rng;

/// Connections at once, unless half the file limit is less (SECURITY S16).
pub const CONNECTIONS_MAX: usize = 8_192;
/// How long accepting pauses when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Threads per runtime for reading static files.
const FILE_THREADS_MAX: usize = 4;
/// Bytes the library may buffer for an answer that is not read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How to serve. `Default` is what SECURITY asks for, on loopback.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public address: `https://stack.example.org`; its host is served, its origin trusted.
    pub base_url: Option<String>,
    /// More names under which this server may be asked (S10).
    pub hosts: Vec<String>,
    /// Origins whose pages may read answers (S12); `*` is all of them.
    pub origins: Vec<String>,
    /// Pages of `http://localhost:*` and `http://127.0.0.1:*` may read answers.
    pub dev: bool,
    /// Proxies whose `X-Forwarded-For` and `-Proto` are believed.
    pub trusted_proxies: Vec<IpRange>,
    pub rate: Rate,
    pub rng: Rng,
    /// Runtimes; 0 is one per core.
    pub workers: usize,
    pub connections_max: usize,
    pub times: Times,
    pub head: HeadLimits,
    /// Told when the server stops; share it with whatever runs on beside requests.
    pub shutdown: Shutdown,
    /// Where answered requests are noted.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            dev: false,
            trusted_proxies: Vec::new(),
            rate: Rate::new(Clock::system(), RateLimits::default()),
            rng: Rng::os(),
            workers: 0,
            connections_max: connections_max(),
            times: Times::default(),
            head: HeadLimits::default(),
            shutdown: Shutdown::new(),
            traffic: Traffic::new(Clock::system()),
        }
    }
}

/// [`CONNECTIONS_MAX`], or half of what the system allows this process to open.
fn connections_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    files.map_or(CONNECTIONS_MAX, |files| (files / 2).clamp(1, CONNECTIONS_MAX))
}

/// The news that the server stops. Cheap to clone; all clones learn it together.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    #[must_use]
    pub fn is_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it has begun.
    pub async fn begun(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

/// What all connections share.
struct Shared {
    door: Door,
    router: Router,
    envelope: Arc<dyn Envelope>,
    rate: Rate,
    rng: Rng,
    head: HeadLimits,
    http: http1::Builder,
    traffic: Traffic,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    registry: Arc<Registry>,
    shutdown: Shutdown,
    ended: watch::Sender<bool>,
    runtimes: Vec<RuntimeHandle>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({}, {:?})", self.address, self.registry)
    }
}

/// A connection on its way to a runtime, and its share of that runtime's load.
struct Arrival {
    stream: TcpStream,
    ticket: Ticket,
    _seat: Seat,
}

struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Worker {
    /// Bounded by the connection limit: every arrival holds a ticket.
    arrivals: mpsc::UnboundedSender<Arrival>,
    load: Arc<AtomicUsize>,
}

impl Server {
    /// Serves `listeners` (at least one) until [`Server::stop`].
    ///
    /// # Errors
    /// When the system gives no thread, no event queue, or the listeners are none.
    pub fn start(
        listeners: Vec<TcpListener>,
        settings: Settings,
        router: Router,
        envelope: Arc<dyn Envelope>,
    ) -> io::Result<Self> {
        let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
        let address = first.local_addr()?;
        let registry = Arc::new(Registry::new());
        let mut http = http1::Builder::new();
        // The gate keeps the times of heads, finer than the library could: idle and head differ.
        http.header_read_timeout(None)
            .max_header_size(
                settings.head.request_line_bytes_max + settings.head.header_bytes_max + 8,
            )
            .max_buf_size(ANSWER_BYTES_MAX);
        let shared = Arc::new(Shared {
            door: Door::new(&settings),
            router,
            envelope,
            rate: settings.rate.clone(),
            rng: settings.rng.clone(),
            head: settings.head,
            http,
            traffic: settings.traffic.clone(),
        });
        let ended = watch::Sender::new(false);
        let count = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let (mut workers, mut threads, mut runtimes) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(FILE_THREADS_MAX)
                .build()?;
            runtimes.push(runtime.handle().clone());
            let (arrivals, incoming) = mpsc::unbounded_channel();
            workers.push(Worker { arrivals, load: Arc::default() });
            let (shared, ended) = (Arc::clone(&shared), ended.subscribe());
            let thread = std::thread::Builder::new().name(format!("net-{n}")).spawn(move || {
                runtime.block_on(work(incoming, shared, ended));
                runtime.shutdown_background();
            })?;
            threads.push(thread);
        }
        let main = &runtimes[0];
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = {
                let _inside = main.enter();
                tokio::net::TcpListener::from_std(listener)?
            };
            let (registry, workers) = (Arc::clone(&registry), workers.clone());
            let limits = (settings.times, settings.connections_max);
            let shutdown = settings.shutdown.clone();
            main.spawn(async move {
                tokio::select! {
                    () = accept(listener, registry, workers, limits) => {}
                    () = shutdown.begun() => {}
                }
            });
        }
        let (every, swept) = (settings.times.sweep(), Arc::clone(&registry));
        main.spawn(async move {
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                swept.sweep();
            }
        });
        Ok(Self { address, registry, shutdown: settings.shutdown, ended, runtimes, threads })
    }

    /// Where the first listener listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.registry.gauges()
    }

    /// Reads the gauges wherever it is taken to.
    #[must_use]
    pub fn dial(&self) -> Dial {
        Dial(Arc::clone(&self.registry))
    }

    /// The runtimes, for tasks that live beside requests.
    #[must_use]
    pub fn runtimes(&self) -> &[RuntimeHandle] {
        &self.runtimes
    }

    /// Takes no more connections, lets requests finish, tells streams and WebSockets, then ends.
    /// Blocks at most `within`, and must not be called on one of the server's own threads.
    /// Returns whether everybody was done in time.
    pub fn stop(mut self, within: Duration) -> bool {
        self.end(within)
    }

    fn end(&mut self, within: Duration) -> bool {
        self.shutdown.begin();
        self.registry.stop();
        let all_done = self.registry.wait_empty(within);
        self.ended.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a network thread had panicked");
            }
        }
        all_done
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end(Duration::ZERO);
        }
    }
}

/// A runtime's life: takes connections until the end.
async fn work(
    mut incoming: mpsc::UnboundedReceiver<Arrival>,
    shared: Arc<Shared>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            // Without acceptors nothing arrives any more; what is open goes on.
            Some(arrival) = incoming.recv() => {
                tokio::spawn(connection(arrival, Arc::clone(&shared)));
            }
            _ = ended.wait_for(|ended| *ended) => return,
        }
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    registry: Arc<Registry>,
    workers: Vec<Worker>,
    (times, connections_max): (Times, usize),
) {
    let mut turn = 0_usize;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                let passing = matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::Interrupted
                );
                if !passing {
                    tracing::warn!(%error, "accepting pauses");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Some(ticket) = registry.open(peer.ip().to_canonical(), times, connections_max) else {
            continue;
        };
        let Ok(stream) = stream.into_std() else { continue };
        turn = turn.wrapping_add(1);
        let count = workers.len();
        let fewest = (0..count)
            .map(|n| &workers[(turn + n) % count])
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let Some(worker) = fewest else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(&worker.load));
        // A runtime that is gone means that the server ends.
        let _ = worker.arrivals.send(Arrival { stream, ticket, _seat: seat });
    }
}

/// A connection's life.
async fn connection(arrival: Arrival, shared: Arc<Shared>) {
    let connection = Arc::clone(&arrival.ticket.connection);
    let Ok(stream) = tokio::net::TcpStream::from_std(arrival.stream) else { return };
    // Without it small answers wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let gate = Gate::new(stream, Arc::clone(&connection), shared.head);
    let (http, served) = (shared.http.clone(), Arc::clone(&connection));
    let service =
        service_fn(move |request| serve(Arc::clone(&shared), InFlight::new(&served), request));
    let mut http = pin!(http.serve_connection(TokioIo::new(gate), service).with_upgrades());
    let (mut known, mut told) = (false, false);
    let result = poll_fn(|cx| {
        if !known {
            known = true;
            connection.set_waker(cx.waker().clone());
        }
        if !told && connection.is_stopping() {
            told = true;
            http.as_mut().graceful_shutdown();
        }
        http.as_mut().poll(cx)
    });
    if let Err(error) = result.await {
        tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
    }
}

/// A request's life.
async fn serve(
    shared: Arc<Shared>,
    in_flight: InFlight,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let connection = Arc::clone(in_flight.connection());
    let request_id = shared.rng.uuid_v4();
    let number = connection.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let refused = connection.refusal.load(Ordering::Relaxed);
    if refused != 0 && number == connection.heads.load(Ordering::Relaxed) {
        let reply = refusal_of_the_gate(refused);
        return Ok(shared.finish(reply, None, request_id, None, in_flight));
    }
    let (mut parts, incoming) = request.into_parts();
    let began = Instant::now();
    // Shares the request's bytes.
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let mut protocols = parts.headers.get_all(UPGRADE).iter();
    let wants_websocket = protocols.any(|value| names_websocket(value.as_bytes()));
    let visitor = match shared.door.enter(connection.peer, &parts) {
        Ok(visitor) => visitor,
        Err(status) => {
            let reply = closing(Reply::empty(status));
            return Ok(shared.finish(reply, None, request_id, None, in_flight));
        }
    };
    let body = Body::wire(incoming, upgrade, &connection);
    let (mut reply, rate) = shared.answer(parts, body, &visitor, &request_id).await;
    if connection.is_late() {
        reply = closing(Reply::empty(StatusCode::REQUEST_TIMEOUT));
    }
    if wants_websocket && reply.status != StatusCode::SWITCHING_PROTOCOLS {
        // What follows such a request was kept back and is not followed any further.
        reply = closing(reply);
    }
    shared.traffic.note(&request_id, (method, uri.path()), reply.status, began.elapsed());
    Ok(shared.finish(reply, Some(&visitor), request_id, rate, in_flight))
}

/// Whether calls without a valid credential count by their client's address.
fn counts_anonymous(route: &Route) -> bool {
    match route.rate {
        RateClass::Unlimited => false,
        RateClass::Standard => true,
        RateClass::SignIn => !names_no_limit(route.face),
    }
}

fn refusal_of_the_gate(status: u16) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut reply = closing(Reply::empty(status));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        reply.headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    reply
}

fn closing(mut reply: Reply) -> Reply {
    reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

impl Shared {
    /// From a request that may come in to its reply, and the bucket it was taken from.
    async fn answer(
        &self,
        parts: Parts,
        body: Body,
        visitor: &Visitor,
        request_id: &str,
    ) -> (Reply, Option<RateState>) {
        let path = parts.uri.path();
        let refuse = |refusal: &Refusal| self.envelope.refuse(path, refusal, request_id);
        let found = self.router.find(&parts.method, path);
        if parts.method == Method::OPTIONS && !matches!(found, Found::Route(..)) {
            let mut reply = Reply::empty(StatusCode::NO_CONTENT);
            if let Found::WrongMethod(allow) = found {
                reply.headers.insert(ALLOW, allow);
            }
            Door::preflight(&mut reply.headers);
            return (reply, None);
        }
        if !self.door.origin_allowed(&parts, visitor) {
            return (refuse(&Refusal::Origin), None);
        }
        let (route, params) = match found {
            Found::Route(route, params) => (route, params),
            Found::BadParameter => {
                return (refuse(&Refusal::Malformed(BAD_PARAMETER.to_owned())), None);
            }
            Found::WrongMethod(allow) => {
                let mut reply = refuse(&Refusal::WrongMethod);
                reply.headers.insert(ALLOW, allow);
                return (reply, None);
            }
            Found::Unknown(fallback) => {
                let readable = matches!(parts.method, Method::GET | Method::HEAD);
                let Some(handler) = fallback.filter(|_| readable) else {
                    return (refuse(&Refusal::Unknown), None);
                };
                let uri = parts.uri.clone();
                let call = call(parts, Vec::new(), body, visitor, request_id);
                let reply = self.run(handler, call, uri.path(), request_id).await;
                let unknown = reply.status == StatusCode::NOT_FOUND
                    && matches!(reply.content, Content::Empty);
                let refused = || self.envelope.refuse(uri.path(), &Refusal::Unknown, request_id);
                return (if unknown { refused() } else { reply }, None);
            }
        };
        let compressed = parts.headers.get(CONTENT_ENCODING).is_some_and(|e| e != "identity");
        if compressed {
            let reason = "compressed request bodies are not accepted".to_owned();
            let mut reply = refuse(&Refusal::Malformed(reason));
            reply.status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return (reply, None);
        }
        let credential = has_credential(&parts.headers);
        let rate = self.take(route, visitor, credential);
        if let Some(state) = rate.filter(|state| !state.allowed) {
            return (refuse(&Refusal::RateLimited(state.wait_s)), Some(state));
        }
        // Shares the request's bytes, where a path of its own would be copied.
        let uri = parts.uri.clone();
        let call = call(parts, params, body, visitor, request_id);
        let mut reply = self.run(&route.run, call, uri.path(), request_id).await;
        let mut rate = reply.rate.or(rate);
        if credential && reply.rate.is_none() && counts_anonymous(route) {
            // The credential was none, or none was needed: it counts as an anonymous call.
            let state = self.rate.take_anonymous(visitor.peer);
            if reply.status == StatusCode::UNAUTHORIZED && !state.allowed {
                let refusal = Refusal::RateLimited(state.wait_s);
                reply = self.envelope.refuse(uri.path(), &refusal, request_id);
            }
            rate = Some(rate.map_or(state, |rate| rate.tighter(state)));
        }
        (reply, rate)
    }

    /// The buckets of the client's address that a call counts in.
    fn take(&self, route: &Route, visitor: &Visitor, credential: bool) -> Option<RateState> {
        let counts = !credential && counts_anonymous(route);
        let anonymous = counts.then(|| self.rate.take_anonymous(visitor.peer));
        if route.rate != RateClass::SignIn {
            return anonymous;
        }
        let state = self.rate.take_sign_in(visitor.peer);
        Some(anonymous.map_or(state, |other| state.tighter(other)))
    }

    async fn run(&self, handler: &Handler, call: Call, path: &str, request_id: &str) -> Reply {
        let started = catch_unwind(AssertUnwindSafe(|| handler(call)));
        let outcome = match started {
            Ok(future) => Caught(future).await,
            Err(panic) => Err(panic),
        };
        outcome.unwrap_or_else(|panic| {
            let said = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(request_id, path = ?path, said, "a handler panicked");
            self.envelope.refuse(path, &Refusal::Panicked, request_id)
        })
    }

    /// The reply as the library sends it.
    fn finish(
        &self,
        reply: Reply,
        visitor: Option<&Visitor>,
        request_id: String,
        rate: Option<RateState>,
        in_flight: InFlight,
    ) -> Response<Outgoing> {
        let mut headers = reply.headers;
        let rate = rate.or(reply.rate).unwrap_or_else(|| self.rate.unlimited());
        if reply.status == StatusCode::TOO_MANY_REQUESTS && !rate.allowed {
            headers.entry(RETRY_AFTER).or_insert_with(|| HeaderValue::from(rate.wait_s));
        }
        self.door.leave(&mut headers, visitor, request_id, &rate);
        let mut response = Response::new(Outgoing::new(reply.content, in_flight));
        *response.status_mut() = reply.status;
        *response.headers_mut() = headers;
        response
    }
}

fn call(
    parts: Parts,
    params: Vec<String>,
    body: Body,
    visitor: &Visitor,
    request_id: &str,
) -> Call {
    Call {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map_or_else(Query::default, Query::parse),
        method: parts.method,
        params,
        headers: parts.headers,
        body,
        peer: visitor.peer,
        request_id: request_id.to_owned(),
    }
}

/// A handler's future whose panic is a value.
struct Caught(BoxFuture<Reply>);

impl Future for Caught {
    type Output = std::thread::Result<Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Ready(reply)) => Poll::Ready(Ok(reply)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
