//! Account addresses of the live protocol (live 4), under `/api/auth` and for the application client.
//!
//! Reads and prints wire forms. What they mean is in `auth::accounts` and in the engine.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::{Code, Failure};
use super::fault::Detail;
use super::http::{Asked, Intake, LiveFace, reply, route};
use crate::auth::accounts::{AccountError, Session, SignUpForm, Spent, Welcome};
use crate::engine::accounts::{LinkPurpose, Profile, Proof, Terms};
use crate::net::{Guard, RateClass, Reply, Route};
use crate::util::time::format_ms;

/// What the break-glass token of the owner is called here.
const ADMIN_ID: &str = "admin";

/// Every account address, twice: as documented, and below `/v1/apps/{appId}`.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    macro_rules! both {
        ($method:ident $path:literal, $name:literal, $guard:ident, $run:ident, $doc:expr) => {{
            let document: fn(Route) -> Route = $doc;
            let guard = Guard::$guard;
            for (address, name) in [
                (concat!("/api/auth/", $path), concat!("live.auth.", $name)),
                (concat!("/v1/apps/{appId}/auth/", $path), concat!("live.apps.auth.", $name)),
            ] {
                let entry = (Method::$method, address);
                let entry = route(cx, entry, name, guard, Intake::default(), $run);
                all.push(document(entry.rate(rate_class($path))));
            }
        }};
    }
    both!(POST "signup", "signup", None, sign_up, |route| {
        fingerprinted(route)
            .summary("Create an account and sign in")
            .body(form(&["email", "password"], &["displayName", "name", "avatarUrl", "invitation"]))
            .reply(201, session_schema())
            .example(Some(json!({ "email": "user@example.com", "password": "a long passphrase" })),
                Some(session_example()))
            .fails(&[400, 403, 409, 413, 429, 503])
    });
    both!(POST "signin", "signin", None, sign_in, |route| {
        fingerprinted(route)
            .summary("Sign in; answers tokens, or a challenge when a second factor is set up")
            .body(form(&["email", "password"], &[]))
            .reply(200, session_schema())
            .example(Some(json!({ "email": "user@example.com", "password": "a long passphrase" })),
                Some(session_example()))
            .fails(&[400, 401, 413, 429, 503])
    });
    both!(POST "refresh", "refresh", None, refresh, |route| {
        fingerprinted(route)
            .summary("Exchange the refresh token; the old one dies")
            .body(form(&["refreshToken"], &[]))
            .reply(200, session_schema())
            .example(Some(json!({ "refreshToken": "dGhpcyBpcyBv…" })), Some(session_example()))
            .fails(&[400, 401, 413, 429, 503])
    });
    both!(POST "mfa/verify", "mfa.verify", Optional, mfa_verify, |route| {
        fingerprinted(route)
            .summary("Finish a sign-in with the second factor")
            .body(form(&[], &["mfaToken", "code", "recoveryCode"]))
            .reply(200, session_schema())
            .example(Some(json!({ "mfaToken": "q0Zt…", "code": "123456" })), Some(session_example()))
            .fails(&[400, 401, 413, 429, 503])
    });
    both!(POST "mfa/enable", "mfa.enable", Required, mfa_enable, |route| {
        let reply = json!({ "type": "object", "properties": {
            "secret": string(), "qrCodeUri": string(),
            "recoveryCodes": { "type": "array", "items": string() } } });
        route
            .summary("Set up a second factor; in force once confirmed")
            .reply(200, reply)
            .fails(&[401, 403, 409, 503])
    });
    both!(POST "mfa/confirm", "mfa.confirm", Required, mfa_confirm, |route| {
        route
            .summary("Put the second factor into force")
            .body(form(&["code"], &[]))
            .reply(200, flag("mfaEnabled"))
            .example(Some(json!({ "code": "123456" })), Some(json!({ "mfaEnabled": true })))
            .fails(&[400, 401, 403, 503])
    });
    both!(POST "mfa/disable", "mfa.disable", Required, mfa_disable, |route| {
        route
            .summary("Take the second factor away, within five minutes of a sign-in")
            .body(form(&[], &["code", "recoveryCode"]))
            .reply(200, flag("mfaEnabled"))
            .example(Some(json!({ "code": "123456" })), Some(json!({ "mfaEnabled": false })))
            .fails(&[400, 401, 403, 429, 503])
    });
    both!(POST "mfa/recovery-codes", "mfa.recovery_codes", Required, mfa_recovery_codes, |route| {
        let reply = json!({ "type": "object", "properties": {
            "recoveryCodes": { "type": "array", "items": string() } } });
        route
            .summary("Fresh recovery codes; the old ones are void")
            .body(form(&["code"], &[]))
            .reply(200, reply)
            .fails(&[400, 401, 403, 429, 503])
    });
    both!(GET "me", "me", Required, me, |route| {
        let example = json!({ "id": "usr_1hk153x00001", "email": "user@example.com",
            "role": "editor", "claims": { "plan": "pro" }, "mfaEnabled": true,
            "createdAt": "2026-04-05T12:00:00Z" });
        route
            .summary("Own profile")
            .reply(200, json!({ "type": "object", "properties": user_properties() }))
            .example(None, Some(example))
            .fails(&[401])
    });
    both!(POST "signout", "signout", Required, sign_out, |route| {
        route.summary("End this session").empty_reply(204).fails(&[401, 403, 503])
    });
    both!(GET "sessions", "sessions", Required, sessions, |route| {
        let one = json!({ "type": "object", "properties": { "id": string(), "device": string(),
            "ip": string(), "lastUsedAt": string(), "current": { "type": "boolean" } } });
        route
            .summary("Own live sessions, the one used last first")
            .reply(200, json!({ "type": "object",
                "properties": { "sessions": { "type": "array", "items": one } } }))
            .fails(&[401])
    });
    both!(DELETE "sessions", "sessions.end_others", Required, end_other_sessions, |route| {
        route.summary("End every session but this one").empty_reply(204).fails(&[401, 403, 503])
    });
    both!(DELETE "sessions/{id}", "sessions.end", Required, end_session, |route| {
        route.summary("End one of the own sessions").empty_reply(204).fails(&[401, 404, 503])
    });
    both!(POST "magic-link", "magic_link", None, magic_link, |route| {
        route
            .summary("Mail a link to sign in with; 404 where mail is not configured")
            .body(form(&["email"], &[]))
            .reply(200, flag("sent"))
            .example(Some(json!({ "email": "user@example.com" })), Some(json!({ "sent": true })))
            .fails(&[400, 404, 413, 429, 503])
    });
    both!(POST "verify", "verify", Optional, verify, |route| {
        fingerprinted(route)
            .summary("Use a mailed link: signs in, or confirms the address; signed in and without one: mail it")
            .body(form(&[], &["token"]))
            .reply(200, session_schema())
            .example(Some(json!({ "token": "q0Zt…" })), Some(session_example()))
            .fails(&[400, 401, 404, 413, 429, 503])
    });
    both!(POST "forgot-password", "forgot_password", None, forgot_password, |route| {
        route
            .summary("Mail a link that sets a new password; 404 where mail is not configured")
            .body(form(&["email"], &[]))
            .reply(200, flag("sent"))
            .example(Some(json!({ "email": "user@example.com" })),
                Some(json!({ "sent": true, "status": "ok" })))
            .fails(&[400, 404, 413, 429, 503])
    });
    both!(POST "reset-password", "reset_password", None, reset_password, |route| {
        route
            .summary("Set a new password by a mailed link; every session ends")
            .body(form(&["token", "newPassword"], &["new_password", "password"]))
            .reply(200, flag("success"))
            .example(Some(json!({ "token": "q0Zt…", "newPassword": "a long passphrase" })),
                Some(json!({ "status": true, "success": true, "message": "the password is set" })))
            .fails(&[400, 404, 413, 429, 503])
    });
    both!(POST "oauth", "oauth", None, not_configured, |route| {
        route.summary("Sign-in with another provider; not configured").fails(&[404])
    });
    both!(GET "oauth/{provider}/authorize", "oauth.authorize", None, not_configured, |route| {
        route.summary("Sign-in with another provider; not configured").fails(&[404])
    });
    all
}

async fn sign_up(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let form = SignUpForm {
        email: fields.required("email"),
        password: fields.required("password"),
        display_name: fields.optional("displayName").or_else(|| fields.optional("name")),
        avatar_url: fields.optional("avatarUrl"),
        metadata: fields.object("metadata"),
        invitation: fields.optional("invitation").filter(|text| !text.is_empty()),
    };
    fields.finish()?;
    let session = cx.accounts.sign_up(form, asked.device(), Terms::default()).await?;
    Ok(reply(StatusCode::CREATED, &session_body(&session)))
}

async fn sign_in(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let (login, password) = (fields.required("email"), fields.required("password"));
    fields.finish()?;
    welcome(&asked, cx.accounts.sign_in(&login, password, asked.device(), Terms::default()).await?)
}

/// What the first factor led to.
fn welcome(asked: &Asked, welcome: Welcome) -> Result<Reply, Failure> {
    match welcome {
        Welcome::Session(session) => Ok(reply(StatusCode::OK, &session_body(&session))),
        Welcome::SecondFactor(challenge) => {
            let mut body = Map::new();
            for (name, value) in [("mfaRequired", json!(true)), ("mfaToken", json!(challenge))] {
                body.insert(name.into(), value);
            }
            if asked.by_app {
                // That client takes any success for a signed-in user (live 2).
                return Err(Failure::new(Code::Unauthenticated, "a second factor is required")
                    .with_beside(body));
            }
            body.insert("mfa_required".into(), json!(true));
            body.insert("mfa_token".into(), json!(challenge));
            Ok(reply(StatusCode::OK, &Value::Object(body)))
        }
    }
}

async fn refresh(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let token = match fields.optional("refresh_token") {
        Some(token) => token,
        None => fields.required("refreshToken"),
    };
    fields.finish()?;
    let session = cx.accounts.refresh(&token, asked.device()).await?;
    Ok(reply(StatusCode::OK, &session_body(&session)))
}

async fn mfa_verify(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let Some(challenge) = fields.optional("mfaToken").filter(|text| !text.is_empty()) else {
        if asked.who.is_anonymous() {
            fields.required("mfaToken");
            fields.proof();
            return Err(fields.finish().err().unwrap_or_else(Failure::unauthenticated));
        }
        return mfa_confirm(cx, asked).await;
    };
    let proof = fields.proof();
    fields.finish()?;
    let session =
        cx.accounts.second_factor(&challenge, proof, asked.device(), Terms::default()).await?;
    Ok(reply(StatusCode::OK, &session_body(&session)))
}

async fn mfa_enable(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let made = cx.accounts.enable_factor(&asked.who).await?;
    let body = json!({ "secret": made.secret, "qrCodeUri": made.uri,
                       "recoveryCodes": made.recovery_codes });
    Ok(reply(StatusCode::OK, &body))
}

async fn mfa_confirm(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let code = fields.required("code");
    fields.finish()?;
    cx.accounts.confirm_factor(&asked.who, &code).await?;
    Ok(reply(StatusCode::OK, &json!({ "mfaEnabled": true })))
}

async fn mfa_disable(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let proof = fields.proof();
    fields.finish()?;
    cx.accounts.disable_factor(&asked.who, proof).await?;
    Ok(reply(StatusCode::OK, &json!({ "mfaEnabled": false })))
}

async fn mfa_recovery_codes(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut fields = Fields::of(&asked)?;
    let code = fields.required("code");
    fields.finish()?;
    let codes = cx.accounts.renew_recovery_codes(&asked.who, Proof::Code(code)).await?;
    Ok(reply(StatusCode::OK, &json!({ "recoveryCodes": codes })))
}

async fn me(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let mut body = if asked.who.account().is_some() {
        let profile = cx.engine.own_profile(&asked.who)?;
        let mut user = user_object(&profile);
        user.insert("claims".into(), Value::Object(profile.claims));
        user.insert("mfaEnabled".into(), json!(profile.mfa_enabled));
        user.insert("emailVerified".into(), json!(profile.email_verified));
        user
    } else {
        // The owner, or somebody known by a DID only.
        let owner = cx.engine.is_owner_alone(&asked.who);
        let id = if owner { ADMIN_ID } else { asked.who.subject().unwrap_or_default() };
        let role = if owner { "admin" } else { "editor" };
        let mut user = Map::new();
        user.insert("id".into(), json!(id));
        user.insert("email".into(), Value::Null);
        user.insert("role".into(), json!(role));
        user.insert("claims".into(), json!({}));
        user.insert("mfaEnabled".into(), json!(false));
        user.insert("createdAt".into(), Value::Null);
        user.insert("displayName".into(), Value::Null);
        user.insert("avatarUrl".into(), Value::Null);
        user.insert("metadata".into(), json!({}));
        user
    };
    let user = body.clone();
    body.insert("user".into(), Value::Object(user));
    body.insert("user_id".into(), body["id"].clone());
    body.insert("roles".into(), json!([body["role"]]));
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

async fn sign_out(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.sign_out(&asked.who).await?;
    Ok(asked.no_content())
}

async fn sessions(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let rows = match asked.who.account() {
        Some(_) => cx.engine.sessions(&asked.who)?,
        // A credential that is no account has no sessions to show.
        None => Vec::new(),
    };
    let one = |row: crate::engine::accounts::SessionView| {
        json!({ "id": row.id, "device": row.device, "ip": row.ip,
                "createdAt": format_ms(row.created_at),
                "lastUsedAt": format_ms(row.last_used_at), "current": row.current })
    };
    let list: Vec<Value> = rows.into_iter().map(one).collect();
    Ok(reply(StatusCode::OK, &json!({ "sessions": list })))
}

async fn end_other_sessions(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.end_other_sessions(&asked.who).await?;
    Ok(asked.no_content())
}

async fn end_session(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.end_session(&asked.who, asked.call.param(0)).await?;
    Ok(asked.no_content())
}

async fn magic_link(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    mail_link(&cx, &asked, LinkPurpose::SignIn)
}

async fn forgot_password(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    mail_link(&cx, &asked, LinkPurpose::ResetPassword)
}

/// The answer is the same whether or not there is such an account.
fn mail_link(cx: &LiveFace, asked: &Asked, purpose: LinkPurpose) -> Result<Reply, Failure> {
    if !cx.accounts.has_mail() {
        return Err(AccountError::NoMail.into());
    }
    let mut fields = Fields::of(asked)?;
    let email = fields.required("email");
    fields.finish()?;
    cx.accounts.send_link(&email, purpose)?;
    let message = "if there is such an account, a letter is on its way";
    Ok(reply(StatusCode::OK, &json!({ "sent": true, "status": "ok", "message": message })))
}

async fn verify(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    if !cx.accounts.has_mail() {
        return Err(AccountError::NoMail.into());
    }
    let mut fields = Fields::of(&asked)?;
    let Some(token) = fields.optional("token").filter(|text| !text.is_empty()) else {
        if asked.who.is_anonymous() {
            fields.required("token");
            return Err(fields.finish().err().unwrap_or_else(Failure::unauthenticated));
        }
        let sent = cx.accounts.send_verification(&asked.who)?;
        return Ok(reply(StatusCode::OK, &json!({ "sent": sent, "emailVerified": !sent })));
    };
    fields.finish()?;
    match cx.accounts.spend_link(&token, asked.device(), Terms::default()).await? {
        Spent::Welcome(done) => welcome(&asked, done),
        Spent::Verified => Ok(reply(StatusCode::OK, &json!({ "emailVerified": true }))),
    }
}

async fn reset_password(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    if !cx.accounts.has_mail() {
        return Err(AccountError::NoMail.into());
    }
    let mut fields = Fields::of(&asked)?;
    let token = fields.required("token");
    let given = ["newPassword", "new_password", "password"];
    let password = match given.iter().find(|name| fields.body.contains_key(**name)) {
        Some(name) => fields.required(name),
        None => fields.required("newPassword"),
    };
    fields.finish()?;
    match cx.accounts.reset_password(&token, password).await {
        Ok(()) => {}
        Err(error @ AccountError::BadLink) => {
            let message = error.to_string();
            let detail = Detail { field: "token".into(), message: message.clone() };
            return Err(Failure::invalid(message).with_details(vec![detail]));
        }
        Err(error) => return Err(error.into()),
    }
    let body = json!({ "status": true, "success": true, "message": "the password is set" });
    Ok(reply(StatusCode::OK, &body))
}

async fn not_configured(_: Arc<LiveFace>, _: Asked) -> Result<Reply, Failure> {
    Err(Failure::new(Code::NotFound, "sign-in with another provider is not configured here"))
}

/// A user as sign-up, sign-in and the `users` entity show it.
pub(super) fn user_object(profile: &Profile) -> Map<String, Value> {
    let mut user = Map::new();
    user.insert("id".into(), json!(profile.user_id));
    user.insert("email".into(), json!(profile.email));
    user.insert("role".into(), json!(profile.role.name()));
    user.insert("createdAt".into(), json!(format_ms(profile.created_at)));
    user.insert("displayName".into(), json!(profile.display_name));
    user.insert("avatarUrl".into(), json!(profile.avatar_url));
    user.insert("metadata".into(), Value::Object(profile.metadata.clone()));
    user
}

/// The documented keys, those of the libraries, and their snake-case aliases.
fn session_body(session: &Session) -> Value {
    let (signed_in, access) = (&session.signed_in, &session.access);
    let (token, refresh) = (&access.text, &signed_in.refresh_token);
    json!({
        "user": user_object(&signed_in.profile),
        "accessToken": token,
        "refreshToken": refresh,
        "tokens": { "accessToken": token, "refreshToken": refresh, "expiresAt": access.expires_at },
        "expiresIn": access.expires_in,
        "tokenType": "Bearer",
        "access_token": token,
        "refresh_token": refresh,
        "expires_in": access.expires_in,
        "token_type": "Bearer",
        "user_id": signed_in.profile.user_id,
    })
}

/// Fields of a body; what is wrong with them is collected, so that a client learns all of it at once.
struct Fields {
    body: Map<String, Value>,
    details: Vec<Detail>,
}

impl Fields {
    fn of(asked: &Asked) -> Result<Self, Failure> {
        Ok(Self { body: asked.object()?, details: Vec::new() })
    }

    fn fault(&mut self, field: &str, message: &str) {
        self.details.push(Detail { field: field.to_owned(), message: message.to_owned() });
    }

    /// A string with something in it.
    fn required(&mut self, field: &str) -> String {
        match self.body.get(field) {
            Some(Value::String(text)) if !text.trim().is_empty() => return text.clone(),
            Some(Value::String(_)) => self.fault(field, "must not be empty"),
            Some(Value::Null) | None => self.fault(field, "is required"),
            Some(_) => self.fault(field, "must be a string"),
        }
        String::new()
    }

    /// A string; `null` counts as absent.
    fn optional(&mut self, field: &str) -> Option<String> {
        match self.body.get(field) {
            Some(Value::String(text)) => return Some(text.clone()),
            Some(Value::Null) | None => {}
            Some(_) => self.fault(field, "must be a string"),
        }
        None
    }

    /// An object; `null` counts as absent, absent as empty.
    fn object(&mut self, field: &str) -> Map<String, Value> {
        match self.body.get(field) {
            Some(Value::Object(object)) => return object.clone(),
            Some(Value::Null) | None => {}
            Some(_) => self.fault(field, "must be an object"),
        }
        Map::new()
    }

    /// A code of the second factor, or one in its place.
    fn proof(&mut self) -> Proof {
        match self.optional("recoveryCode").filter(|text| !text.is_empty()) {
            Some(code) => Proof::RecoveryCode(code),
            None => Proof::Code(self.required("code")),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self.details.first() {
            None => Ok(()),
            Some(first) => {
                let message = format!("{} {}", first.field, first.message);
                Err(Failure::invalid(message).with_details(self.details))
            }
        }
    }
}

/// Addresses where somebody could guess count in the tight bucket (live 3.5).
fn rate_class(path: &str) -> RateClass {
    let guessed = ["signup", "signin", "refresh", "magic-link", "verify", "forgot-password"];
    if guessed.contains(&path) || path == "reset-password" || path.starts_with("mfa/") {
        RateClass::SignIn
    } else {
        RateClass::Standard
    }
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn form(required: &[&str], optional: &[&str]) -> Value {
    let properties: Map<String, Value> =
        required.iter().chain(optional).map(|name| ((*name).to_owned(), string())).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn flag(name: &str) -> Value {
    json!({ "type": "object", "properties": { name: { "type": "boolean" } } })
}

fn user_properties() -> Value {
    json!({ "id": string(), "email": string(), "role": string(), "createdAt": string(),
            "displayName": string(), "avatarUrl": string(), "metadata": { "type": "object" },
            "claims": { "type": "object" }, "mfaEnabled": { "type": "boolean" } })
}

fn session_schema() -> Value {
    let tokens = json!({ "type": "object", "properties": { "accessToken": string(),
        "refreshToken": string(), "expiresAt": { "type": "integer" } } });
    json!({ "type": "object", "properties": {
        "user": { "type": "object", "properties": user_properties() },
        "accessToken": string(), "refreshToken": string(), "tokens": tokens,
        "expiresIn": { "type": "integer" }, "tokenType": string(),
        "mfaRequired": { "type": "boolean" }, "mfaToken": string() } })
}

fn session_example() -> Value {
    json!({ "user": { "id": "usr_1hk153x00001", "email": "user@example.com",
                      "createdAt": "2026-04-05T12:00:00Z", "role": "editor" },
            "accessToken": "eyJhbGciOi…", "refreshToken": "dGhpcyBpcyBv…",
            "expiresIn": 900, "tokenType": "Bearer" })
}

fn fingerprinted(route: Route) -> Route {
    route.header("X-Device-Fingerprint", "Binds the session to this device")
}

#[cfg(test)]
mod tests;
