//! Refusals of the live protocol: one envelope, a closed list of codes (live 3.4).
//!
//! Knows codes, statuses and the kinds of the engine's and of auth's errors. Does not know addresses.
//!
//! Invariants
//! F1. Every refusal has the envelope; `status` in it is the status of the answer.
//! F2. Of an unexpected failure the client learns the request id only; the cause goes to the log.

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use super::fault::{DETAILS_MAX, Detail, FormFault};
use crate::auth::accounts::AccountError;
use crate::engine::{Caller, Error, Kind};
use crate::net::{BodyError, Reply};
use crate::util::json::JsonFault;

/// Seconds after which somebody who met a full queue may try again.
const BUSY_RETRY_S: u64 = 1;

/// The codes of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidArgument,
    InvalidCredentials,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    Conflict,
    QueryTooComplex,
    ResourceExceeded,
    AccountLocked,
    RateLimited,
    PayloadTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    Unavailable,
    StorageFull,
    Internal,
}

impl Code {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidArgument => ("INVALID_ARGUMENT", StatusCode::BAD_REQUEST),
            Self::InvalidCredentials => ("INVALID_CREDENTIALS", StatusCode::UNAUTHORIZED),
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            Self::PermissionDenied => ("PERMISSION_DENIED", StatusCode::FORBIDDEN),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::QueryTooComplex => ("QUERY_TOO_COMPLEX", StatusCode::BAD_REQUEST),
            Self::ResourceExceeded => ("RESOURCE_EXCEEDED", StatusCode::BAD_REQUEST),
            Self::AccountLocked => ("ACCOUNT_LOCKED", StatusCode::TOO_MANY_REQUESTS),
            Self::RateLimited => ("RATE_LIMITED", StatusCode::TOO_MANY_REQUESTS),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => {
                ("UNSUPPORTED_MEDIA_TYPE", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::RangeNotSatisfiable => ("INVALID_ARGUMENT", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            Self::StorageFull => ("STORAGE_FULL", StatusCode::INSUFFICIENT_STORAGE),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub details: Vec<Detail>,
    pub retry_after_s: Option<u64>,
    /// Further keys beside `error` and `message`.
    beside: Option<Box<Map<String, Value>>>,
    /// For the log.
    cause: Option<Box<Error>>,
    /// The rules do not let the caller; somebody nobody knows is asked to sign in instead.
    by_rules: bool,
}

impl Failure {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after_s: None,
            beside: None,
            cause: None,
            by_rules: false,
        }
    }

    /// `UNAUTHENTICATED`, without a reason that would help somebody who guesses.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "missing, invalid or expired credentials")
    }

    #[must_use]
    pub fn rate_limited(wait_s: u64) -> Self {
        Self { retry_after_s: Some(wait_s), ..Self::new(Code::RateLimited, "too many requests") }
    }

    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// What the rules refuse is, for a caller without a credential, `UNAUTHENTICATED` (live 17.3).
    #[must_use]
    pub fn seen_by(self, caller: &Caller) -> Self {
        if self.by_rules && caller.is_anonymous() { Self::unauthenticated() } else { self }
    }

    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self.details.truncate(DETAILS_MAX);
        self
    }

    /// Adds keys beside `error` and `message`.
    #[must_use]
    pub fn with_beside(mut self, beside: Map<String, Value>) -> Self {
        self.beside = Some(Box::new(beside));
        self
    }

    /// The `error` object and the keys beside it; WebSocket messages use it too.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Map<String, Value> {
        let message = match self.code {
            Code::Internal => format!("something went wrong here; report id {request_id}"),
            _ => self.message.clone(),
        };
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code.name()));
        error.insert("message".into(), json!(message));
        error.insert("status".into(), json!(self.code.status().as_u16()));
        if matches!(self.code, Code::AccountLocked | Code::RateLimited) {
            error.insert("retryAfter".into(), json!(self.retry_after_s.unwrap_or(1)));
        }
        if !self.details.is_empty() {
            let detail = |one: &Detail| json!({ "field": one.field, "message": one.message });
            error.insert("details".into(), self.details.iter().map(detail).collect());
        }
        let mut body = Map::new();
        body.insert("error".into(), Value::Object(error));
        body.insert("message".into(), json!(message));
        if let Some(beside) = &self.beside {
            body.extend((**beside).clone());
        }
        body
    }

    #[must_use]
    pub fn into_reply(self, request_id: &str) -> Reply {
        if let Some(cause) = &self.cause {
            tracing::error!(request_id, error = ?cause, "a request failed");
        }
        let text = Value::Object(self.body(request_id)).to_string();
        let reply = Reply::json(self.code.status(), text);
        match self.retry_after_s {
            Some(seconds) => reply.with(RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            Kind::BadRequest | Kind::Invalid => Code::InvalidArgument,
            Kind::Unauthenticated => return Self::unauthenticated(),
            Kind::Denied => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::Conflict | Kind::Drift | Kind::Stale => Code::Conflict,
            Kind::TooLarge => Code::PayloadTooLarge,
            Kind::MediaType => Code::UnsupportedMediaType,
            Kind::Timeout | Kind::TooComplex => Code::QueryTooComplex,
            Kind::Busy => Code::Unavailable,
            Kind::Full => Code::StorageFull,
            Kind::Internal => Code::Internal,
        };
        let message = match &error {
            // Records are named with their collection already: todos/abc.
            Error::Missing { what: "record", id } => format!("{id} does not exist"),
            error => error.to_string(),
        };
        let mut failure = Self::new(code, message);
        failure.by_rules = matches!(error, Error::Denied);
        match error {
            Error::Invalid(faults) | Error::Drift { violations: faults, .. } => {
                if let (Code::InvalidArgument, Some(first)) = (code, faults.first()) {
                    failure.message = format!("{}: {}", first.path, first.message);
                }
                let detail = |fault: crate::schema::FieldFault| Detail {
                    field: fault.path,
                    message: fault.message,
                };
                failure.details = faults.into_iter().take(DETAILS_MAX).map(detail).collect();
            }
            Error::Busy => failure.retry_after_s = Some(BUSY_RETRY_S),
            Error::Storage(_) => failure.cause = Some(Box::new(error)),
            _ => {}
        }
        failure
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let code = match &error {
            AccountError::InvalidCredentials | AccountError::InvalidCode => {
                Code::InvalidCredentials
            }
            AccountError::Locked { .. } => Code::AccountLocked,
            AccountError::Unauthenticated | AccountError::BadLink => {
                return Self::unauthenticated();
            }
            AccountError::SignUpClosed | AccountError::NotFresh => Code::PermissionDenied,
            AccountError::NotEnrolled => Code::InvalidArgument,
            AccountError::NoMail => Code::NotFound,
            AccountError::Engine(_) => Code::Internal,
        };
        let message = error.to_string();
        match error {
            AccountError::Engine(error) => error.into(),
            AccountError::Locked { retry_after_s } => {
                Self { retry_after_s: Some(retry_after_s), ..Self::new(code, message) }
            }
            _ => Self::new(code, message),
        }
    }
}

impl From<FormFault> for Failure {
    fn from(fault: FormFault) -> Self {
        match fault {
            FormFault::InvalidArgument { message, details } => {
                Self::invalid(message).with_details(details)
            }
            FormFault::TooComplex(message) => Self::new(Code::QueryTooComplex, message),
        }
    }
}

impl From<JsonFault> for Failure {
    fn from(fault: JsonFault) -> Self {
        Self::invalid(fault.to_string())
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => {
                Self::new(Code::PayloadTooLarge, "the request body is too large")
            }
            BodyError::Broken => Self::invalid("the request body ended early"),
        }
    }
}
