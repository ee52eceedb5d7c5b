//! Credentials over the wire: issued tokens, the handshake, the owner's one-time link.
//!
//! Knows their bodies. Does not know how they are kept or judged.
//!
//! Invariants
//! K1. A secret appears in the answer that made it and nowhere else.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::StackFace;
use super::dto::{self, ok, push_instant, push_text};
use super::errors::Failure;
use super::gate::Asked;
use crate::crypto::did_key::is_did;
use crate::engine::NewToken;
use crate::net::Reply;
use crate::schema::FieldFault;
use crate::util::json::push_string;
use crate::util::time::parse_instant;

pub(super) async fn list(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let rows = cx.engine.tokens(&asked.who)?;
    let mut out = String::from("{\"tokens\":");
    dto::push_all(&mut out, &rows, |out, row| dto::push_token(out, row, None));
    out.push('}');
    Ok(ok(out))
}

pub(super) async fn issue(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let new = new_token(&asked.object()?)?;
    let (row, secret) = cx.engine.issue_token(&asked.who, new).await?;
    tracing::info!(principal = row.principal, subject = row.subject, "a token was issued");
    let mut out = String::new();
    dto::push_token(&mut out, &row, Some(&secret));
    Ok(Reply::json(StatusCode::CREATED, out))
}

/// `null` counts as absent everywhere; a label that is no text does too.
fn new_token(body: &Map<String, Value>) -> Result<NewToken, Failure> {
    let mut faults = Vec::new();
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    let mut did = |key: &str| {
        let value = given(key)?;
        let did = value.as_str().filter(|text| is_did(text));
        if did.is_none() {
            faults.push(FieldFault::new(key, "expected a DID"));
        }
        did.map(str::to_owned)
    };
    let (principal, subject) = (did("entityId"), did("onBehalfOf"));
    let expires_at = given("expiresAt").and_then(|value| {
        let instant = value.as_str().and_then(parse_instant);
        if instant.is_none() {
            faults.push(FieldFault::new("expiresAt", "expected an ISO date or date-time"));
        }
        instant
    });
    if !faults.is_empty() {
        return Err(Failure::invalid(&faults));
    }
    let label = given("label").and_then(Value::as_str).map(str::to_owned);
    Ok(NewToken { principal, subject, label, expires_at })
}

pub(super) async fn revoke(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.revoke_token(&asked.who, asked.call.param(0)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn challenge(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.object()?;
    let opened = cx.auth.challenge(text(&body, "did")).await?;
    let mut out = String::from("{\"nonce\":");
    push_string(&mut out, &opened.nonce);
    push_instant(&mut out, "expiresAt", opened.expires_at);
    out.push('}');
    Ok(ok(out))
}

pub(super) async fn redeem(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.object()?;
    let did = text(&body, "did");
    let redeemed = cx.auth.redeem(did, text(&body, "nonce"), text(&body, "signature")).await?;
    let mut out = String::from("{\"token\":");
    push_string(&mut out, &redeemed.token);
    push_instant(&mut out, "expiresAt", redeemed.expires_at);
    push_text(&mut out, "principalId", did);
    push_text(&mut out, "subjectId", did);
    out.push('}');
    Ok(ok(out))
}

pub(super) async fn owner_link(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.object()?;
    let secret =
        text(&body, "secret").ok_or_else(|| Failure::bad_request("secret must be a text"))?;
    let Some(token) = cx.auth.spend_owner_link(secret).await? else {
        return Err(Failure::unauthorized("this link was used, or is not the latest one"));
    };
    let mut out = String::from("{\"token\":");
    push_string(&mut out, &token);
    push_text(&mut out, "entityId", Some(cx.engine.owner()));
    out.push('}');
    Ok(ok(out))
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    fn read(text: &str) -> Result<NewToken, Failure> {
        new_token(&parse_object(text.as_bytes()).unwrap())
    }

    #[test]
    fn everything_is_optional() {
        let new = read(r#"{"entityId":null,"label":7,"expiresAt":null,"more":1}"#).unwrap();
        assert!(new.principal.is_none() && new.subject.is_none());
        assert!(new.label.is_none() && new.expires_at.is_none());
        let new = read(
            r#"{"entityId":"did:web:a","onBehalfOf":"did:web:b","label":"l","expiresAt":"2001-01-01"}"#,
        )
        .unwrap();
        assert_eq!(new.principal.as_deref(), Some("did:web:a"));
        assert_eq!(new.subject.as_deref(), Some("did:web:b"));
        assert_eq!(new.expires_at, Some(978_307_200_000));
    }

    #[test]
    fn every_fault_is_named() {
        for text in [
            r#"{"entityId":"alice"}"#,
            r#"{"entityId":""}"#,
            r#"{"onBehalfOf":7}"#,
            r#"{"expiresAt":"soon"}"#,
            r#"{"expiresAt":1}"#,
        ] {
            assert_eq!(
                read(text).unwrap_err().status(),
                StatusCode::UNPROCESSABLE_ENTITY,
                "{text}"
            );
        }
    }
}
