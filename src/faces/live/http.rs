//! What every address of the live protocol has in common: credential, body, answer (live 3).
//!
//! Knows the order in which those are judged: application id, credential, body, handler. Does not know what an address
//! does.
//!
//! Invariants
//! H1. A missing or bad credential is refused before the body is looked at.
//! H2. An address that is for everybody does not look at credentials: a stale token does not stand in the way of a refresh.
//! H3. A token in the query string counts on event streams only.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::errors::{Code, Failure};
use super::query_form::QueryLimits;
use crate::auth::Auth;
use crate::auth::accounts::Accounts;
use crate::auth::device::device_text;
use crate::crypto::Sha256;
use crate::engine::accounts::Device;
use crate::engine::{Caller, Engine, Error, Idempotency};
use crate::live::Hub;
use crate::live::statistics::Statistics;
use crate::net::{Call, Dial, Guard, Rate, RateState, Reply, Route};
use crate::util::json::parse_object;

/// Bytes of a JSON body where an address says nothing else.
pub const JSON_BYTES_MAX: usize = 1 << 20;
/// Bytes of a JSON body that carries many operations.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
const APP_ID_CHARS_MAX: usize = 64;
/// Addresses of the application client; the same handlers answer them.
const APP_PREFIX: &str = "/v1/apps/{appId}/";
const SCHEME: &str = "bearer ";
const API_KEY: &str = "x-api-key";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_CHARS_MAX: usize = 128;
const FINGERPRINT: &str = "x-device-fingerprint";
/// A client that reads every answer as JSON, also one without a body (live 19.4).
const JSON_ONLY_AGENT: &str = "GuzzleHttp/";

/// What the handlers of this face work with.
pub struct LiveFace {
    pub engine: Engine,
    pub accounts: Arc<Accounts>,
    pub auth: Arc<Auth>,
    pub rate: Rate,
    /// The one application id that is served; any without one.
    pub app_id: Option<String>,
    /// The configured public address, for links; without one they name the host that was called.
    pub public_url: Option<String>,
    pub hub: Hub,
    pub statistics: Arc<Statistics>,
    pub limits: QueryLimits,
    /// When the process began to serve, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// The server's gauges, once it listens.
    pub dial: OnceLock<Dial>,
}

/// A call that passed the gate.
pub struct Asked {
    pub call: Call,
    pub who: Caller,
    /// It came to an address of the application client.
    pub by_app: bool,
    body: Bytes,
}

impl Asked {
    /// The body as a JSON object; a missing or blank one is `{}`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`
    pub fn object(&self) -> Result<Map<String, Value>, Failure> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        Ok(parse_object(&self.body)?)
    }

    /// The body as a JSON object, where one is needed.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`
    pub fn required_object(&self) -> Result<Map<String, Value>, Failure> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Err(Failure::invalid("the request needs a JSON object as its body"));
        }
        Ok(parse_object(&self.body)?)
    }

    /// The key under which the answer is remembered, when the client sent one (live 3.7).
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`
    pub fn idempotency(&self) -> Result<Option<Idempotency>, Failure> {
        let Some(key) = self.call.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let key = key.to_str().ok().filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Failure::invalid("Idempotency-Key must be 1 to 128 printable ASCII characters")
        })?;
        let mut hash = Sha256::default();
        for part in [self.call.method.as_str().as_bytes(), self.call.path.as_bytes(), &self.body] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Some(Idempotency { key: key.to_owned(), fingerprint: hash.finish() }))
    }

    /// The body as it came; empty where the handler takes it piece by piece.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The credential it came with, where that is one text: for streams, which ask again whether it is good.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match bearer(&self.call.headers) {
            Bearer::Token(token) => Some(token),
            Bearer::Malformed => None,
            Bearer::None => self.call.query.get("token").or_else(|| self.call.header(API_KEY)),
        }
    }

    /// Somebody, where an address serves others too.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`
    pub fn signed_in(&self) -> Result<&Caller, Failure> {
        if self.who.is_anonymous() { Err(Failure::unauthenticated()) } else { Ok(&self.who) }
    }

    /// Where the call comes from, for a session.
    #[must_use]
    pub fn device(&self) -> Device {
        let call = &self.call;
        Device {
            name: device_text(call.header(USER_AGENT.as_str())),
            ip: call.peer.to_string(),
            fingerprint: call
                .header(FINGERPRINT)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
        }
    }

    /// `204`; for a client that cannot read an empty answer, `200 {"ok":true}`.
    #[must_use]
    pub fn no_content(&self) -> Reply {
        let agent = self.call.header(USER_AGENT.as_str()).unwrap_or("");
        if self.call.headers.contains_key(API_KEY) && agent.starts_with(JSON_ONLY_AGENT) {
            Reply::json(StatusCode::OK, "{\"ok\":true}")
        } else {
            Reply::empty(StatusCode::NO_CONTENT)
        }
    }
}

/// A JSON answer.
#[must_use]
pub fn reply(status: StatusCode, body: &Value) -> Reply {
    Reply::json(status, body.to_string())
}

/// What a handler gets of the body, and where a token may stand.
#[derive(Clone, Copy, Debug)]
pub struct Intake {
    /// `None`: the handler takes the body piece by piece.
    pub body_bytes_max: Option<usize>,
    /// `?token=` counts: clients of event streams cannot set headers.
    pub token_in_query: bool,
    /// The rules say what callers without a credential may do, so that they pass where the rules let them do anything. A
    /// credential that is not good is refused all the same.
    pub by_rules: bool,
}

impl Intake {
    /// For addresses of records: whom they serve is in the rules.
    #[must_use]
    pub fn by_rules(body_bytes_max: usize) -> Self {
        Self { body_bytes_max: Some(body_bytes_max), token_in_query: false, by_rules: true }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self { body_bytes_max: Some(JSON_BYTES_MAX), token_in_query: false, by_rules: false }
    }
}

/// A table entry whose handler sees calls that passed the gate. Addresses below `/v1/apps/{appId}/` lose that parameter.
pub fn route<F, R>(
    cx: &Arc<LiveFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    intake: Intake,
    run: F,
) -> Route
where
    F: Fn(Arc<LiveFace>, Asked) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    let cx = Arc::clone(cx);
    let by_app = address.starts_with(APP_PREFIX);
    Route::new("live", method, address, name, guard, move |call: Call| {
        let (cx, run) = (Arc::clone(&cx), run.clone());
        async move {
            let request_id = call.request_id.clone();
            let mut taken = None;
            let answer = match admit(&cx, call, guard, intake, by_app, &mut taken).await {
                Ok(asked) => {
                    let who = asked.who.clone();
                    run(cx, asked).await.map_err(|failure| failure.seen_by(&who))
                }
                Err(failure) => Err(failure),
            };
            let mut reply = answer.unwrap_or_else(|failure| failure.into_reply(&request_id));
            reply.rate = taken;
            reply.unstored()
        }
    })
}

/// Adds an address to a list twice: below `/api/` and below `/v1/apps/{appId}/`, where the application client calls.
macro_rules! at_both {
    ($all:ident, $cx:ident, $method:ident $path:literal, $name:literal, $guard:ident, $intake:expr, $run:ident, $doc:expr) => {{
        let document: fn($crate::net::Route) -> $crate::net::Route = $doc;
        for (address, name) in [
            (concat!("/api/", $path), concat!("live.", $name)),
            (concat!("/v1/apps/{appId}/", $path), concat!("live.apps.", $name)),
        ] {
            let entry = (::http::Method::$method, address);
            let guard = $crate::net::Guard::$guard;
            $all.push(document(super::http::route($cx, entry, name, guard, $intake, $run)));
        }
    }};
}
pub(super) use at_both;

async fn admit(
    cx: &LiveFace,
    mut call: Call,
    guard: Guard,
    intake: Intake,
    by_app: bool,
    taken: &mut Option<RateState>,
) -> Result<Asked, Failure> {
    if by_app {
        let app_id = if call.params.is_empty() { String::new() } else { call.params.remove(0) };
        if !is_app_id(&app_id) || cx.app_id.as_ref().is_some_and(|pinned| *pinned != app_id) {
            return Err(Failure::new(Code::NotFound, "this application does not exist"));
        }
    }
    let who = match guard {
        Guard::None => Caller::anonymous(),
        Guard::Optional if intake.by_rules => {
            let who = cx.caller(&call, intake.token_in_query)?;
            let admitted = |who: &Caller| !who.is_anonymous() || cx.engine.admits_anonymous();
            who.filter(admitted).ok_or_else(Failure::unauthenticated)?
        }
        // Here a credential that is not good is as good as none; the handler says when it needs one.
        Guard::Optional => cx.caller(&call, intake.token_in_query)?.unwrap_or_default(),
        Guard::Required | Guard::Owner | Guard::Admin => {
            let who = cx.caller(&call, intake.token_in_query)?;
            who.filter(|who| !who.is_anonymous()).ok_or_else(Failure::unauthenticated)?
        }
    };
    if let Some(account) = who.account() {
        cx.statistics.active(&account.user_id);
    }
    if let Some(state) = cx.take(&who) {
        *taken = Some(state);
        if !state.allowed {
            return Err(Failure::rate_limited(state.wait_s));
        }
    }
    match guard {
        Guard::Admin => cx.engine.check_admin(&who)?,
        Guard::Owner if !cx.engine.is_owner_alone(&who) => return Err(Error::Denied.into()),
        _ => {}
    }
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    let body = match intake.body_bytes_max {
        Some(bytes_max) if !reads => call.body.read(bytes_max).await?,
        _ => Bytes::new(),
    };
    Ok(Asked { call, who, by_app, body })
}

impl LiveFace {
    /// Takes a call from the caller's own bucket; calls without a credential are counted at the door.
    fn take(&self, who: &Caller) -> Option<RateState> {
        let key = match who.account() {
            Some(account) => Some(account.user_id.as_str()),
            None => who.principal(),
        };
        key.map(|key| self.rate.take_user(key))
    }

    /// Who sent a call: anonymous without a credential, `None` with a bad one. A bearer token decides alone; a key counts
    /// where there is none.
    fn caller(&self, call: &Call, token_in_query: bool) -> Result<Option<Caller>, Error> {
        match bearer(&call.headers) {
            Bearer::Token(token) => return self.auth.caller_of(token),
            Bearer::Malformed => return Ok(None),
            Bearer::None => {}
        }
        if let Some(token) = call.query.get("token").filter(|_| token_in_query) {
            return self.auth.caller_of(token);
        }
        match call.headers.get(API_KEY) {
            Some(key) => key.to_str().map_or(Ok(None), |key| self.auth.caller_of(key)),
            None => Ok(Some(Caller::anonymous())),
        }
    }
}

enum Bearer<'h> {
    None,
    Malformed,
    Token(&'h str),
}

/// One `Authorization` header; the scheme's name in any case.
fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Bearer::None };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    match text.and_then(|text| text.split_at_checked(SCHEME.len())) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Bearer::Token(token.trim()),
        _ => Bearer::Malformed,
    }
}

fn is_app_id(id: &str) -> bool {
    (1..=APP_ID_CHARS_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
