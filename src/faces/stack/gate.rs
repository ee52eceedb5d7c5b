//! What happens to every call before its handler: credential, size, the address's guard.
//!
//! Knows the order in which those are judged. Does not know what an address does.
//!
//! Invariants
//! G1. A bad credential is refused on every address, those for everybody included.
//! G2. A JSON body is in memory only below the engine's ceiling; an upload's is left unread.
//! G3. Whether the caller may touch a record is never asked here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::StackFace;
use super::errors::{Failure, body_failure};
use crate::engine::{Caller, Error, Kind};
use crate::net::{Call, Guard, Reply, Route};
use crate::util::json::parse_object;

/// A call that passed the gate.
pub(super) struct Asked {
    pub call: Call,
    pub who: Caller,
    /// The whole body; empty for reads and for uploads, whose body is still in `call`.
    pub body: Bytes,
}

impl Asked {
    /// The body as a JSON object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Failure> {
        Ok(parse_object(&self.body)?)
    }

    /// A query parameter; an empty one counts as absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.call.query.get(name).filter(|value| !value.is_empty())
    }
}

#[derive(Clone, Copy)]
enum Intake {
    /// Read whole, below the JSON ceiling.
    Whole,
    /// Left to the handler.
    Streamed,
}

/// A table entry whose handler sees calls that passed the gate.
pub(super) fn route<F, R>(
    cx: &Arc<StackFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    run: F,
) -> Route
where
    F: Fn(Arc<StackFace>, Asked) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    entry(cx, (method, address), name, guard, Intake::Whole, run)
}

/// [`route`] for a body that is taken piece by piece.
pub(super) fn streamed_route<F, R>(
    cx: &Arc<StackFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    run: F,
) -> Route
where
    F: Fn(Arc<StackFace>, Asked) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    entry(cx, (method, address), name, guard, Intake::Streamed, run)
}

fn entry<F, R>(
    cx: &Arc<StackFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    intake: Intake,
    run: F,
) -> Route
where
    F: Fn(Arc<StackFace>, Asked) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    let cx = Arc::clone(cx);
    let on_record = address.starts_with("/records/{id}");
    let face = if address.starts_with("/_/") { "cairn" } else { "stack" };
    Route::new(face, method, address, name, guard, move |call: Call| {
        let cx = Arc::clone(&cx);
        async move {
            let request_id = call.request_id.clone();
            let may_hide = on_record && cx.engine.options().unreadable_as_missing;
            let record = may_hide.then(|| call.param(0).to_owned());
            let (who, outcome) = match credential(&cx, &call) {
                Err(failure) => (Caller::anonymous(), Err(failure)),
                Ok(who) => {
                    let outcome = match admit(&cx, call, who.clone(), guard, intake).await {
                        Ok(asked) => run(Arc::clone(&cx), asked).await,
                        Err(failure) => Err(failure),
                    };
                    (who, outcome)
                }
            };
            let reply = outcome.unwrap_or_else(|failure| {
                if failure.status() == StatusCode::FORBIDDEN && !who.is_anonymous() {
                    tracing::info!(
                        principal = who.principal(),
                        subject = who.subject(),
                        address = name,
                        "refused"
                    );
                }
                hidden(&cx, &who, failure, record.as_deref()).into_reply(&request_id)
            });
            private(reply, &who)
        }
    })
}

/// Where unreadable records are to look like missing ones: a refusal of one becomes "not found".
fn hidden(cx: &StackFace, who: &Caller, failure: Failure, record: Option<&str>) -> Failure {
    let Some(id) = record.filter(|_| failure.status() == StatusCode::FORBIDDEN) else {
        return failure;
    };
    match cx.engine.get(who, id, None) {
        Err(error) if error.kind() == Kind::Denied => {
            Error::Missing { what: "record", id: id.to_owned() }.into()
        }
        _ => failure,
    }
}

fn credential(cx: &StackFace, call: &Call) -> Result<Caller, Failure> {
    Ok(cx.auth.caller(&call.headers)?)
}

async fn admit(
    cx: &StackFace,
    mut call: Call,
    who: Caller,
    guard: Guard,
    intake: Intake,
) -> Result<Asked, Failure> {
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    let body = match intake {
        Intake::Whole if !reads => {
            let bytes_max = cx.engine.options().content_bytes_max;
            call.body
                .read(bytes_max)
                .await
                .map_err(|error| body_failure(error, bytes_max as u64))?
        }
        Intake::Whole | Intake::Streamed => Bytes::new(),
    };
    match guard {
        Guard::None | Guard::Optional => {}
        Guard::Required | Guard::Owner | Guard::Admin if who.is_anonymous() => {
            return Err(Failure::unauthorized("a credential is needed"));
        }
        Guard::Required => {}
        Guard::Owner | Guard::Admin => {
            if !cx.engine.is_owner_alone(&who) {
                return Err(Failure::permission());
            }
        }
    }
    Ok(Asked { call, who, body })
}

/// Nothing that depends on who asks is kept by a cache; what everybody may see is asked for again.
fn private(mut reply: Reply, who: &Caller) -> Reply {
    let rule = if who.is_anonymous() { "no-cache" } else { "no-store" };
    reply.headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(rule));
    reply
}
