//! `/_/`: what the admin pages need and no protocol has: settings, figures over time, the request log, advice, accounts,
//! the check of a type before it is registered.
//!
//! Knows parameters and bodies. Does not know where a figure comes from, nor what a setting means.
//!
//! Invariants
//! A1. Every address here is for the owner or for administrators, and judged before its body is read.
//! A2. No secret is in an answer: a setting that holds one is shown as set or not.

mod figures;
mod types;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::envelope;
use crate::auth::accounts::Accounts;
use crate::auth::{Auth, AuthError};
use crate::engine::{Caller, Engine, Error, Kind};
use crate::live::Hub;
use crate::net::{BodyError, Call, Guard, Reply, Route, Traffic};
use crate::schema::FieldFault;
use crate::util::json::{JsonFault, parse_object};

pub use figures::{History, SAMPLE_EVERY};

/// Bytes of a JSON body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Faults named in one sentence.
const FAULTS_SAID_MAX: usize = 5;

/// A setting as it is shown.
#[derive(Clone, Debug)]
pub struct Setting {
    pub key: &'static str,
    /// As in the configuration file; `None` when it has none. A secret's is `"***"`.
    pub value: Option<String>,
    /// Default, a file, a variable, a flag.
    pub origin: String,
    pub about: String,
    pub variable: String,
    pub flag: Option<String>,
}

/// What the handlers work with.
pub struct AdminFace {
    pub engine: Engine,
    pub auth: Arc<Auth>,
    /// Where accounts have passwords; without the live face there are none.
    pub accounts: Option<Arc<Accounts>>,
    pub hub: Option<Hub>,
    pub settings: Vec<Setting>,
    /// What the settings deserve to have said about them.
    pub advice: Vec<String>,
    pub traffic: Traffic,
    pub history: History,
}

/// Every address of these pages that is not another face's.
#[must_use]
pub fn routes(cx: &Arc<AdminFace>) -> Vec<Route> {
    let mut all = figures::routes(cx);
    all.extend(types::routes(cx));
    all.extend(users::routes(cx));
    all
}

/// A call that passed the gate.
struct Asked {
    call: Call,
    who: Caller,
    body: Bytes,
}

impl Asked {
    fn object(&self) -> Result<Map<String, Value>, Failure> {
        Ok(parse_object(&self.body)?)
    }

    /// A number of a query parameter within bounds.
    fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.call.query.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Failure::bad_request(format!("{name} must be 1 to {most}")))
    }
}

/// Why a call was refused, in a sentence.
struct Failure {
    status: StatusCode,
    codes: (&'static str, &'static str),
    message: String,
}

impl Failure {
    fn new(status: StatusCode, stack: &'static str, live: &'static str, message: String) -> Self {
        Self { status, codes: (stack, live), message }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "INVALID_ARGUMENT", message.into())
    }

    fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "UNAUTHENTICATED", message.to_owned())
    }

    fn into_reply(self, request_id: &str) -> Reply {
        envelope::shared(self.status, self.codes, &self.message, request_id)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, stack, live) = match error.kind() {
            Kind::BadRequest | Kind::TooComplex => {
                (StatusCode::BAD_REQUEST, "bad_request", "INVALID_ARGUMENT")
            }
            Kind::Unauthenticated => return Self::unauthorized("a credential is needed"),
            Kind::Denied => (StatusCode::FORBIDDEN, "permission", "PERMISSION_DENIED"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found", "NOT_FOUND"),
            Kind::Conflict | Kind::Drift | Kind::Stale => {
                (StatusCode::CONFLICT, "conflict", "CONFLICT")
            }
            Kind::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "PAYLOAD_TOO_LARGE")
            }
            Kind::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", "UNSUPPORTED_MEDIA_TYPE")
            }
            Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "INVALID_ARGUMENT"),
            Kind::Timeout | Kind::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "UNAVAILABLE")
            }
            Kind::Full => (StatusCode::INSUFFICIENT_STORAGE, "storage_full", "STORAGE_FULL"),
            Kind::Internal => {
                tracing::error!(error = &error as &dyn std::error::Error, "a call failed");
                let message = "something went wrong on the server".to_owned();
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Self::new(status, "internal", "INTERNAL", message);
            }
        };
        let message = match &error {
            Error::Invalid(faults) | Error::Drift { violations: faults, .. } => said(faults),
            error => error.to_string(),
        };
        Self::new(status, stack, live, message)
    }
}

impl From<JsonFault> for Failure {
    fn from(fault: JsonFault) -> Self {
        Self::bad_request(fault.to_string())
    }
}

fn said(faults: &[FieldFault]) -> String {
    let said = faults.iter().take(FAULTS_SAID_MAX);
    said.map(|fault| format!("{}: {}", fault.path, fault.message)).collect::<Vec<_>>().join("; ")
}

/// A table entry whose handler sees calls that passed the gate.
fn route<F, R>(
    cx: &Arc<AdminFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    run: F,
) -> Route
where
    F: Fn(Arc<AdminFace>, Asked) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    let cx = Arc::clone(cx);
    Route::new("cairn", method, address, name, guard, move |call: Call| {
        let cx = Arc::clone(&cx);
        async move {
            let request_id = call.request_id.clone();
            let answer = match admit(&cx, call, guard).await {
                Ok(asked) => run(cx, asked).await,
                Err(failure) => Err(failure),
            };
            answer.unwrap_or_else(|failure| failure.into_reply(&request_id)).unstored()
        }
    })
}

async fn admit(cx: &AdminFace, mut call: Call, guard: Guard) -> Result<Asked, Failure> {
    let who = match cx.auth.caller(&call.headers) {
        Ok(who) => who,
        Err(AuthError::Rejected) => {
            return Err(Failure::unauthorized("the credential is not valid"));
        }
        Err(AuthError::Engine(error)) => return Err(error.into()),
    };
    cx.engine.check_admin(&who)?;
    if guard != Guard::Admin && !cx.engine.is_owner_alone(&who) {
        return Err(Error::Denied.into());
    }
    let body = match call.method {
        Method::GET | Method::HEAD | Method::DELETE => Bytes::new(),
        _ => call.body.read(BODY_BYTES_MAX).await.map_err(|fault| match fault {
            BodyError::TooLarge => {
                Error::TooLarge { limit: "body", max: BODY_BYTES_MAX as u64 }.into()
            }
            BodyError::Broken => Failure::bad_request("the body did not arrive whole"),
        })?,
    };
    Ok(Asked { call, who, body })
}

fn ok(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body.to_string())
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn whole() -> Value {
    json!({ "type": "integer" })
}

fn list_of(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object that has all of these, and no others are promised.
fn object_of(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
