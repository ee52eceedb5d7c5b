//! Accounts for administrators: the list, making one, role, shutting out, ending sessions.
//!
//! Knows bodies. Does not know passwords, nor what a role may do.
//!
//! Invariants
//! U1. A password goes in and never comes out.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{AdminFace, Asked, Failure, list_of, object_of, ok, route, text};
use crate::auth::accounts::{AccountError, is_email};
use crate::engine::accounts::{NewAccount, Profile};
use crate::engine::{Error, Role};
use crate::net::{Guard, Reply, Route};
use crate::util::time::format_ms;

/// Accounts of one answer, when not said otherwise and at most.
const USERS_DEFAULT: usize = 100;
const USERS_MAX: usize = 1_000;
const _: () = assert!(USERS_DEFAULT <= USERS_MAX);
/// Characters of a display name.
const NAME_CHARS_MAX: usize = 200;

pub(super) fn routes(cx: &Arc<AdminFace>) -> Vec<Route> {
    let admin = Guard::Admin;
    let role = || json!({ "type": "string", "enum": ["admin", "editor", "viewer"] });
    let user = || {
        object_of(json!({ "id": text(), "email": text(), "role": role(),
            "displayName": { "type": ["string", "null"] }, "createdAt": text(),
            "mfaEnabled": { "type": "boolean" }, "disabled": { "type": "boolean" } }))
    };
    let example = json!({ "id": "usr_1m89b3wmqndy", "email": "ada@example.com", "role": "editor",
        "displayName": "Ada", "createdAt": "2026-11-25T12:33:01.639Z", "mfaEnabled": false,
        "disabled": false });
    vec![
        route(cx, (Method::GET, "/_/users"), "users.list", admin, list)
            .summary("Accounts, in the order they were made")
            .query("after", text(), "The id of the last one of the answer before")
            .query("limit", json!({ "type": "integer", "minimum": 1, "maximum": USERS_MAX }),
                "Default 100")
            .reply(200, object_of(json!({ "users": list_of(user()) })))
            .example(None, Some(json!({ "users": [example] })))
            .fails(&[400, 401, 403, 404]),
        route(cx, (Method::POST, "/_/users"), "users.create", admin, create)
            .summary("Make an account, whatever the setting signup says")
            .body(json!({ "type": "object", "required": ["email", "password"], "properties": {
                "email": text(), "password": text(), "displayName": text(), "role": role() } }))
            .reply(201, user())
            .fails(&[400, 401, 403, 409, 413, 422, 503]),
        route(cx, (Method::PATCH, "/_/users/{id}"), "users.update", admin, update)
            .summary("Change role or name, or shut an account out, which ends its sessions")
            .body(json!({ "type": "object", "properties": { "role": role(),
                "displayName": { "type": ["string", "null"] }, "disabled": { "type": "boolean" } } }))
            .reply(200, user())
            .fails(&[400, 401, 403, 404, 413, 422]),
        route(cx, (Method::DELETE, "/_/users/{id}/sessions"), "users.end_sessions", admin, end)
            .summary("End every session of an account")
            .empty_reply(204)
            .fails(&[401, 403, 404]),
    ]
}

async fn list(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let most = asked.number("limit", USERS_DEFAULT, USERS_MAX)?;
    let after = asked.call.query.get("after").filter(|id| !id.is_empty());
    let rows = u32::try_from(most).unwrap_or(u32::MAX);
    let users: Vec<Value> =
        cx.engine.accounts(&asked.who, after, rows)?.iter().map(shown).collect();
    Ok(ok(&json!({ "users": users })))
}

fn shown(profile: &Profile) -> Value {
    json!({
        "id": profile.user_id, "email": profile.email, "role": profile.role.name(),
        "displayName": profile.display_name, "createdAt": format_ms(profile.created_at),
        "mfaEnabled": profile.mfa_enabled, "disabled": profile.disabled,
    })
}

async fn create(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.object()?;
    let Some(accounts) = &cx.accounts else {
        return Err(Error::Conflict("accounts need the live face, which is off".into()).into());
    };
    let given = |key: &str| body.get(key).and_then(Value::as_str);
    let email = given("email").filter(|email| is_email(email));
    let email = email.ok_or_else(|| Error::invalid("email", "must be an e-mail address"))?;
    let password = given("password").unwrap_or_default();
    let role = role(&body)?.unwrap_or(Role::Editor);
    let display_name = name(&body)?.flatten();
    let hash =
        accounts.hash_new_password(email, password.to_owned()).await.map_err(
            |fault| match fault {
                AccountError::Engine(error) => Failure::from(error),
                other => Failure::bad_request(other.to_string()),
            },
        )?;
    let new = NewAccount {
        login: email.to_owned(),
        password: Some(hash),
        role,
        display_name,
        avatar_url: None,
        metadata: Map::new(),
    };
    let made = cx.engine.create_account(&asked.who, new).await?;
    tracing::info!(account = made.user_id, "an account was made");
    Ok(Reply::json(StatusCode::CREATED, shown(&made).to_string()))
}

async fn update(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let (body, id) = (asked.object()?, asked.call.param(0));
    let (role, name) = (role(&body)?, name(&body)?);
    let disabled = match body.get("disabled") {
        None => None,
        Some(Value::Bool(flag)) => Some(*flag),
        Some(_) => return Err(Failure::bad_request("disabled must be true or false")),
    };
    if role.is_none() && name.is_none() && disabled.is_none() {
        return Err(Failure::bad_request("role, displayName or disabled is needed"));
    }
    if let Some(name) = name {
        let mut patch = Map::new();
        patch.insert("displayName".into(), json!(name));
        cx.engine.update_profile(&asked.who, id, patch).await?;
    }
    if let Some(role) = role {
        cx.engine.set_role(&asked.who, id, role).await?;
    }
    if let Some(disabled) = disabled {
        cx.engine.set_disabled(&asked.who, id, disabled).await?;
        tracing::info!(account = id, disabled, "an account was shut out or let in");
    }
    Ok(ok(&shown(&cx.engine.profile(&asked.who, id)?)))
}

async fn end(cx: Arc<AdminFace>, asked: Asked) -> Result<Reply, Failure> {
    let id = asked.call.param(0);
    cx.engine.profile(&asked.who, id)?;
    cx.engine.end_sessions_of(&asked.who, id).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn role(body: &Map<String, Value>) -> Result<Option<Role>, Failure> {
    let Some(value) = body.get("role") else { return Ok(None) };
    let role = value.as_str().and_then(Role::parse);
    role.map(Some).ok_or_else(|| Failure::bad_request("role must be admin, editor or viewer"))
}

/// `Some(None)` takes the name away.
fn name(body: &Map<String, Value>) -> Result<Option<Option<String>>, Failure> {
    match body.get("displayName") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(name)) if name.chars().count() <= NAME_CHARS_MAX => {
            Ok(Some(Some(name.clone())))
        }
        Some(_) => Err(Failure::bad_request(format!(
            "displayName must be a text of at most {NAME_CHARS_MAX} characters"
        ))),
    }
}
