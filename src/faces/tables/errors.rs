//! Refusals in the envelope of this face: `{"success":false,"message","code",…}` (tables 3.4).
//!
//! Invariants
//! F1. A validation fault always names at least one field.
//! F2. Denied and missing are one answer.

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use crate::engine::{Error, Kind};
use crate::net::{BodyError, Reply};
use crate::schema::FieldFault;

const RETRY_AFTER_S: &str = "1";

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    faults: Vec<FieldFault>,
    /// What goes to the log and not to the client.
    cause: Option<Box<Error>>,
    wait_s: Option<u64>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            faults: Vec::new(),
            cause: None,
            wait_s: None,
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Authentication required")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Resource not found")
    }

    pub(super) fn too_large(bytes_max: usize) -> Self {
        let message = format!("the body may have {bytes_max} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    }

    pub(super) fn rate_limited(wait_s: u64) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { wait_s: Some(wait_s), ..Self::new(status, "RATE_LIMITED", "Too many requests") }
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    /// One part of the request.
    pub(super) fn at(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldFault::new(field, message)])
    }

    pub(super) fn invalid(faults: Vec<FieldFault>) -> Self {
        let message = match faults.as_slice() {
            [only] => only.message.clone(),
            _ => "One or more fields failed validation".to_owned(),
        };
        Self { faults, ..Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message) }
    }

    /// As [`Failure::invalid`], with a sentence of its own.
    pub(super) fn with_message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    pub(super) fn body(fault: BodyError, bytes_max: usize) -> Self {
        match fault {
            BodyError::TooLarge => Self::too_large(bytes_max),
            BodyError::Broken => Self::at("body", "the body ended early"),
        }
    }

    pub(super) fn into_reply(self, request_id: &str) -> Reply {
        if let Some(cause) = &self.cause {
            tracing::error!(report = request_id, error = ?cause, "a request failed inside");
        }
        let mut body = Map::new();
        body.insert("success".into(), Value::Bool(false));
        body.insert("message".into(), Value::String(self.message));
        body.insert("code".into(), Value::from(self.code));
        if !self.faults.is_empty() {
            if let [only] = self.faults.as_slice() {
                body.insert("field".into(), Value::String(only.path.clone()));
            }
            let entry =
                |fault: &FieldFault| json!({ "field": fault.path, "message": fault.message });
            body.insert("errors".into(), self.faults.iter().map(entry).collect());
        }
        let reply = Reply::json(self.status, Value::Object(body).to_string());
        match (self.wait_s, self.status) {
            (Some(seconds), _) => reply.with(RETRY_AFTER, &seconds.to_string()),
            (None, StatusCode::SERVICE_UNAVAILABLE) => reply.with(RETRY_AFTER, RETRY_AFTER_S),
            (None, _) => reply,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            Kind::Denied | Kind::NotFound => Self::not_found(),
            Kind::Unauthenticated => Self::unauthorized(),
            Kind::BadRequest | Kind::TooComplex | Kind::MediaType => Self::at("request", text),
            Kind::Conflict | Kind::Drift | Kind::Stale => match error {
                Error::Taken { field } => Self {
                    faults: vec![FieldFault::new(field, "this value is taken")],
                    ..Self::conflict("Resource already exists")
                },
                _ => Self::conflict(text),
            },
            Kind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", text),
            Kind::Invalid => match error {
                Error::Invalid(faults) if !faults.is_empty() => Self::invalid(faults),
                _ => Self::at("body", text),
            },
            Kind::Timeout | Kind::Busy | Kind::Full => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", text)
            }
            Kind::Internal => Self {
                cause: Some(Box::new(error)),
                ..Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "INTERNAL_ERROR",
                    "Something went wrong here",
                )
            },
        }
    }
}
