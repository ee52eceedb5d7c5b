//! What every address of this face has in common: who asks, the table that is meant, the body (tables 3.3, 3.5).
//!
//! Invariants
//! G1. Checks come in the order of the protocol: rate, body size, credential, table, body.
//! G2. A credential that is not good makes the caller anonymous.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::errors::Failure;
use crate::auth::Auth;
use crate::engine::{Caller, Engine, TableRights};
use crate::net::{Call, Guard, Rate, Reply, Route};
use crate::schema::tables::{App, Table};
use crate::util::json::parse_object;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 1 << 20;
const SCHEME: &str = "bearer ";

/// What the handlers of this face work with.
pub struct TablesFace {
    pub engine: Engine,
    pub auth: Arc<Auth>,
    pub rate: Rate,
    pub app: Arc<App>,
}

/// A call whose caller is known.
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) who: Caller,
    body: Bytes,
}

/// What is done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Create,
    Update,
    Delete,
}

impl Asked {
    /// The body as an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Failure> {
        parse_object(&self.body).map_err(|fault| Failure::at("body", fault.to_string()))
    }
}

impl TablesFace {
    /// The table of the address and what the caller may do with it, where that includes what is needed.
    pub(super) fn table(
        &self,
        asked: &Asked,
        need: Need,
    ) -> Result<(&Table, TableRights), Failure> {
        let guest = asked.who.is_anonymous();
        let refused = || if guest { Failure::unauthorized() } else { Failure::not_found() };
        let table = self.app.table(asked.call.param(0)).ok_or_else(refused)?;
        let rights = self.engine.table_rights(&asked.who, table)?;
        let allowed = match need {
            Need::Read => rights.read,
            Need::Create => rights.create,
            Need::Update => rights.read && rights.update,
            Need::Delete => rights.read && rights.delete,
        };
        if allowed { Ok((table, rights)) } else { Err(refused()) }
    }

    fn caller(&self, call: &Call) -> Result<Caller, Failure> {
        let mut values = call.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Ok(Caller::anonymous());
        };
        let token = value.to_str().ok().and_then(|text| text.split_at_checked(SCHEME.len()));
        match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                Ok(self.auth.caller_of(token.trim())?.unwrap_or_default())
            }
            _ => Ok(Caller::anonymous()),
        }
    }
}

/// A table entry whose handler sees calls of known callers. With `Guard::Required` guests are refused, unless the
/// application has no accounts.
pub(super) fn route<F, R>(
    cx: &Arc<TablesFace>,
    (method, address): (Method, &'static str),
    name: &'static str,
    guard: Guard,
    run: F,
) -> Route
where
    F: Fn(Arc<TablesFace>, Asked) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Reply, Failure>> + Send + 'static,
{
    let cx = Arc::clone(cx);
    Route::new("tables", method, address, name, guard, move |call: Call| {
        let (cx, run) = (Arc::clone(&cx), run.clone());
        async move {
            let request_id = call.request_id.clone();
            let mut taken = None;
            let answer = match admit(&cx, call, guard, &mut taken).await {
                Ok(asked) => run(cx, asked).await,
                Err(failure) => Err(failure),
            };
            let mut reply = answer.unwrap_or_else(|failure| failure.into_reply(&request_id));
            reply.rate = taken;
            reply.unstored()
        }
    })
}

async fn admit(
    cx: &TablesFace,
    mut call: Call,
    guard: Guard,
    taken: &mut Option<crate::net::RateState>,
) -> Result<Asked, Failure> {
    let who = cx.caller(&call)?;
    // Guests are counted at the door.
    let key = who.account().map(|account| account.user_id.as_str()).or_else(|| who.principal());
    if let Some(state) = key.map(|key| cx.rate.take_user(key)) {
        *taken = Some(state);
        if !state.allowed {
            return Err(Failure::rate_limited(state.wait_s));
        }
    }
    let reads = matches!(call.method, Method::GET | Method::HEAD | Method::DELETE);
    if !reads && call.body.declared().is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(Failure::too_large(BODY_BYTES_MAX));
    }
    if guard == Guard::Required && who.is_anonymous() && cx.app.has_auth {
        return Err(Failure::unauthorized());
    }
    let body = match reads {
        true => Bytes::new(),
        false => {
            let read = call.body.read(BODY_BYTES_MAX).await;
            read.map_err(|fault| Failure::body(fault, BODY_BYTES_MAX))?
        }
    };
    Ok(Asked { call, who, body })
}

pub(super) fn reply(status: StatusCode, body: &Value) -> Reply {
    Reply::json(status, body.to_string())
}
