//! Refusals in the stack's envelope: `{"error":{"code","message",…}}`.
//!
//! Knows codes, statuses and their extra members. Does not know why a request was refused beyond
//! what the error itself says.
//!
//! Invariants
//! F1. Every kind of engine error is mapped here and nowhere else in this face.
//! F2. An internal fault is logged with the request's id; its answer holds that id and no cause.

use http::StatusCode;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::auth::{AuthError, HandshakeError};
use crate::engine::{Error, Kind};
use crate::net::{BodyError, Reply};
use crate::schema::FieldFault;
use crate::util::json::{JsonFault, push_string};

/// When to try again after a full queue or a query past its deadline.
const RETRY_AFTER_S: &str = "1";

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Most refusals have none; apart, so that results stay small.
    extra: Option<Box<Extra>>,
}

#[derive(Debug, Default)]
struct Extra {
    /// Further members of `error`, each with its leading comma.
    members: String,
    /// Further members beside `error`, each with its leading comma.
    beside: String,
    headers: Vec<(HeaderName, String)>,
    /// What goes to the log and not to the client.
    cause: Option<Error>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), extra: None }
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Could not be read as a request.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn permission() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission", "not allowed")
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn too_large(bytes_max: u64) -> Self {
        let message = format!("the body may have {bytes_max} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    }

    /// Read, but not acceptable.
    pub(super) fn invalid(faults: &[FieldFault]) -> Self {
        let mut failure = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation",
            format!("{} value(s) not acceptable", faults.len().max(1)),
        );
        let mut list = String::new();
        push_faults(&mut list, faults);
        let extra = failure.extra();
        extra.members = format!(",\"details\":{list}");
        // An older generation of clients reads the list at the top.
        extra.beside = extra.members.clone();
        failure
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.extra().headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer. `request_id` names the fault in the log.
    pub(super) fn into_reply(self, request_id: &str) -> Reply {
        let mut message = self.message;
        let extra = self.extra.map_or_else(Extra::default, |extra| *extra);
        if let Some(cause) = &extra.cause {
            tracing::error!(report = request_id, error = ?cause, "a request failed inside");
            message = format!("something went wrong here; report {request_id}");
        }
        let mut body = String::from("{\"error\":{\"code\":");
        push_string(&mut body, self.code);
        body.push_str(",\"message\":");
        push_string(&mut body, &message);
        body.push_str(&extra.members);
        body.push('}');
        body.push_str(&extra.beside);
        body.push('}');
        let reply = Reply::json(self.status, body);
        extra.headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, &value))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            Kind::BadRequest | Kind::TooComplex => Self::bad_request(text),
            Kind::Unauthenticated => Self::unauthorized("a credential is needed"),
            Kind::Denied => Self::permission(),
            Kind::NotFound => Self::not_found(text),
            Kind::Conflict => Self::new(StatusCode::CONFLICT, "conflict", text),
            Kind::Drift => drift(&error, text),
            Kind::Stale => stale(&error, text),
            Kind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", text),
            Kind::MediaType => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", text),
            Kind::Invalid => match &error {
                Error::Invalid(faults) => Self::invalid(faults),
                _ => Self::invalid(&[FieldFault::new("", text)]),
            },
            Kind::Timeout | Kind::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", text)
                    .with(RETRY_AFTER, RETRY_AFTER_S)
            }
            Kind::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", text),
            Kind::Internal => {
                let mut failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "");
                failure.extra().cause = Some(error);
                failure
            }
        }
    }
}

fn drift(error: &Error, text: String) -> Failure {
    let mut failure = Failure::new(StatusCode::CONFLICT, "schema_drift", text);
    if let Error::Drift { type_id, violations } = error {
        let out = &mut failure.extra().members;
        out.push_str(",\"schemaDrift\":{\"typeId\":");
        push_string(out, type_id);
        out.push_str(",\"violations\":");
        push_faults(out, violations);
        out.push('}');
    }
    failure
}

fn stale(error: &Error, text: String) -> Failure {
    let mut failure = Failure::new(StatusCode::PRECONDITION_FAILED, "version_conflict", text);
    if let Error::Stale { record, expected, actual } = error {
        let out = &mut failure.extra().members;
        out.push_str(",\"versionConflict\":{\"recordId\":");
        push_string(out, record);
        out.push_str(&format!(",\"expectedVersion\":{expected},\"actualVersion\":{actual}}}"));
    }
    failure
}

/// A list that clients may rely on not to be empty.
fn push_faults(out: &mut String, faults: &[FieldFault]) {
    let none = [FieldFault::new("", "not acceptable")];
    let faults = if faults.is_empty() { &none } else { faults };
    let mut sign = '[';
    for fault in faults {
        out.push(sign);
        out.push_str("{\"path\":");
        push_string(out, &fault.path);
        out.push_str(",\"message\":");
        push_string(out, &fault.message);
        out.push('}');
        sign = ',';
    }
    out.push(']');
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Rejected => Self::unauthorized("the credential is not valid"),
            AuthError::Engine(error) => error.into(),
        }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        let (status, code) = match &error {
            HandshakeError::InvalidDid => (StatusCode::BAD_REQUEST, "invalid_did"),
            HandshakeError::UnknownNonce => (StatusCode::UNAUTHORIZED, "unknown_nonce"),
            HandshakeError::ExpiredNonce => (StatusCode::UNAUTHORIZED, "expired_nonce"),
            HandshakeError::InvalidSignature => (StatusCode::UNAUTHORIZED, "invalid_signature"),
            HandshakeError::Engine(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        match error {
            HandshakeError::Engine(error) => error.into(),
            other => Self::new(status, code, other.to_string()),
        }
    }
}

impl From<JsonFault> for Failure {
    fn from(fault: JsonFault) -> Self {
        Self::bad_request(fault.to_string())
    }
}

/// A body that could not be had; `bytes_max` is what it was allowed.
pub(super) fn body_failure(error: BodyError, bytes_max: u64) -> Failure {
    match error {
        BodyError::TooLarge => Failure::too_large(bytes_max),
        BodyError::Broken => Failure::bad_request("the body ended early"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Content;

    fn body(failure: Failure) -> (u16, String) {
        let reply = failure.into_reply("r-1");
        let Content::Bytes(bytes) = reply.content else { panic!("no body") };
        (reply.status.as_u16(), String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn extra_members_stand_where_clients_look() {
        let stale = Error::Stale { record: "1hk153x00001".into(), expected: 3, actual: 4 };
        let (status, text) = body(stale.into());
        assert_eq!(status, 412);
        assert!(text.contains(
            r#""versionConflict":{"recordId":"1hk153x00001","expectedVersion":3,"actualVersion":4}"#
        ));
        let faults = vec![FieldFault::new("a.b[0]", "no \"good\"")];
        let (status, text) = body(Error::Invalid(faults.clone()).into());
        let list = r#""details":[{"path":"a.b[0]","message":"no \"good\""}]"#;
        assert_eq!(status, 422);
        assert_eq!(text.matches(list).count(), 2);
        assert!(text.ends_with(&format!("}},{list}}}")), "{text}");
        let (status, text) =
            body(Error::Drift { type_id: "a@1".into(), violations: faults }.into());
        assert_eq!(status, 409);
        assert!(text.contains(r#""schemaDrift":{"typeId":"a@1","violations":[{"path":"a.b[0]""#));
        crate::util::json::parse_object(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_list_of_faults_is_never_empty() {
        let (status, text) = body(Error::Invalid(Vec::new()).into());
        assert_eq!(status, 422);
        assert!(text.contains(r#""details":[{"path":"""#), "{text}");
    }
}
