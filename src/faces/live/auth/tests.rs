//! The account addresses, called as the door calls them, over a real file and a clock moved by hand.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use serde_json::Value;

use super::*;
use crate::auth::Auth;
use crate::auth::access_token::{ACCESS_TOKEN_S, AccessTokens};
use crate::auth::accounts::{AccountSettings, Accounts, SignUpPolicy};
use crate::auth::password_pool::PasswordPool;
use crate::crypto::password::Cost;
use crate::crypto::totp;
use crate::engine::{Engine, EngineOptions};
use crate::net::{Body, Call, Content, Query, Rate, RateLimits};
use crate::util::clock::{Clock, ManualClock};
use crate::util::json::parse_object;
use crate::util::rng::Rng;

const START_MS: i64 = 1_775_390_400_000;
const OWNER_TOKEN: &str = "the-break-glass-token";
const PASSWORD: &str = "correct horse battery";

struct Live {
    _folder: tempfile::TempDir,
    engine: Engine,
    tokens: Arc<AccessTokens>,
    clock: Clock,
    hand: ManualClock,
    routes: Vec<Route>,
    runtime: tokio::runtime::Runtime,
}

struct Answer {
    status: u16,
    body: Value,
    headers: HeaderMap,
}

impl Answer {
    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| {
            panic!("{pointer} is no text in {}", self.body);
        })
    }

    /// The envelope of a refusal, whole.
    fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.text("/error/code")), (status, code), "{}", self.body);
        assert_eq!(self.body["error"]["status"], status);
        assert_eq!(self.body["error"]["message"], self.body["message"]);
        assert!(!self.body.to_string().contains(PASSWORD));
    }
}

impl Live {
    fn new() -> Self {
        Self::with(SignUpPolicy::Open, None)
    }

    fn with(sign_up: SignUpPolicy, app_id: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(START_MS);
        let mut options = EngineOptions::default();
        options.store.clock = clock.clone();
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let pool = Arc::new(PasswordPool::start(Cost::LEAST, Rng::seeded(7)).unwrap());
        let tokens = Arc::new(AccessTokens::new(engine.clone(), "cairn", ACCESS_TOKEN_S).unwrap());
        let settings = AccountSettings { sign_up, ..AccountSettings::default() };
        let accounts = Arc::new(Accounts::new(engine.clone(), pool, Arc::clone(&tokens), settings));
        let auth = Auth::new(engine.clone(), Some(OWNER_TOKEN), "http://127.0.0.1".into())
            .with_verifier(Box::new(Arc::clone(&tokens)));
        let cx = Arc::new(LiveFace {
            engine: engine.clone(),
            accounts,
            auth: Arc::new(auth),
            rate: Rate::new(clock.clone(), RateLimits { user: 30, ..RateLimits::default() }),
            app_id: app_id.map(str::to_owned),
            public_url: None,
            hub: crate::live::Hub::start(engine.clone()).unwrap(),
            statistics: Arc::new(crate::live::statistics::Statistics::new(clock.clone())),
            limits: crate::faces::live::query_form::QueryLimits::default(),
            started_ms: START_MS,
            dial: std::sync::OnceLock::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { _folder: folder, engine, tokens, clock, hand, routes: routes(&cx), runtime }
    }

    /// Calls `METHOD path`; `headers` are `name: value`.
    fn raw(&self, method_path: &str, body: &str, headers: &[(&'static str, &str)]) -> Answer {
        let (method, path) = method_path.split_once(' ').unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        let matches = |address: &str| {
            let pattern: Vec<&str> = address.split('/').collect();
            (pattern.len() == parts.len()).then(|| {
                let pairs = pattern.iter().zip(&parts);
                pairs.clone().all(|(p, s)| p.starts_with('{') || p == s).then(|| {
                    pairs
                        .filter(|(p, _)| p.starts_with('{'))
                        .map(|(_, s)| (*s).to_owned())
                        .collect::<Vec<String>>()
                })
            })?
        };
        let (route, params) = self
            .routes
            .iter()
            .filter(|route| route.method == *method)
            .find_map(|route| Some((route, matches(route.address)?)))
            .unwrap_or_else(|| panic!("no route for {method_path}"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let call = Call {
            method: route.method.clone(),
            path: path.to_owned(),
            params,
            query: Query::default(),
            headers: map,
            body: Body::whole(body.to_owned()),
            peer: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
            request_id: "r-1".into(),
        };
        let reply = self.runtime.block_on((route.run)(call));
        let body = match reply.content {
            Content::Bytes(bytes) => parse_object(&bytes).unwrap().into(),
            _ => Value::Null,
        };
        Answer { status: reply.status.as_u16(), body, headers: reply.headers }
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.raw(&format!("POST {path}"), &body.to_string(), &[])
    }

    fn call(&self, method_path: &str, token: &str, body: Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.raw(method_path, &text, &[("authorization", &format!("Bearer {token}"))])
    }

    fn sign_up(&self) -> Answer {
        let answer = self.post(
            "/api/auth/signup",
            json!({ "email": " Ada@Example.com ", "password": PASSWORD, "name": "Ada" }),
        );
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    fn sign_in(&self, password: &str) -> Answer {
        let form = json!({ "email": "ada@example.com", "password": password });
        self.post("/api/auth/signin", form)
    }

    fn code(&self, secret: &str, steps: i64) -> String {
        let seed = totp::unbase32(secret).unwrap();
        totp::code_of(&seed, totp::step_at(self.clock.now_ms()) + steps)
    }

    /// Puts a second factor into force; answers its secret.
    fn enrol(&self, token: &str) -> String {
        let made = self.call("POST /api/auth/mfa/enable", token, Value::Null);
        assert_eq!(made.status, 200, "{}", made.body);
        assert!(made.text("/qrCodeUri").starts_with("otpauth://totp/Cairn:ada%40example.com?"));
        assert_eq!(made.body["recoveryCodes"].as_array().unwrap().len(), 10);
        let secret = made.text("/secret").to_owned();
        let code = self.code(&secret, 0);
        let on = self.call("POST /api/auth/mfa/confirm", token, json!({ "code": code }));
        assert_eq!((on.status, &on.body["mfaEnabled"]), (200, &json!(true)));
        secret
    }
}

/// live 4.1: every key that the page and the libraries read.
#[test]
fn sign_up_answers_a_session() {
    let live = Live::new();
    let made = live.sign_up();
    let user = &made.body["user"];
    assert!(made.text("/user/id").starts_with("usr_") && made.text("/user/id").len() == 16);
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["displayName"], "Ada");
    assert_eq!(user["role"], "editor");
    assert_eq!(user["createdAt"], "2026-04-05T12:00:00.000Z");
    assert_eq!(made.body["tokens"]["expiresAt"], START_MS + 900_000);
    assert_eq!(made.body["tokens"]["accessToken"], made.body["accessToken"]);
    assert_eq!(made.body["expiresIn"], 900);
    assert_eq!(made.body["tokenType"], "Bearer");
    for (snake, camel) in [
        ("access_token", "accessToken"),
        ("refresh_token", "refreshToken"),
        ("expires_in", "expiresIn"),
        ("token_type", "tokenType"),
    ] {
        assert_eq!(made.body[snake], made.body[camel]);
    }
    assert_eq!(made.body["user_id"], user["id"]);
    assert_eq!(made.text("/accessToken").split('.').count(), 3);
    assert!(made.text("/refreshToken").len() >= 43);
    assert_eq!(made.headers["cache-control"], "no-store");
    assert!(!made.body.to_string().contains("argon2"));
}

/// Every rule of 4.1 and its code; what a caller may not choose is ignored.
#[test]
fn sign_up_refusals() {
    let live = Live::new();
    let fields = |answer: &Answer| -> Vec<String> {
        let details = answer.body["error"]["details"].as_array().unwrap();
        details.iter().map(|d| d["field"].as_str().unwrap().to_owned()).collect()
    };
    let long = "a".repeat(250) + "@b.co";
    for (form, wrong) in [
        (json!({}), vec!["email", "password"]),
        (json!({ "email": "ada@example.com" }), vec!["password"]),
        (json!({ "email": 7, "password": PASSWORD }), vec!["email"]),
        (json!({ "email": "ada", "password": PASSWORD }), vec!["email"]),
        (json!({ "email": "a@b@c", "password": PASSWORD }), vec!["email"]),
        (json!({ "email": "@b", "password": PASSWORD }), vec!["email"]),
        (json!({ "email": long, "password": PASSWORD }), vec!["email"]),
        (json!({ "email": "a@b", "password": "short" }), vec!["password"]),
        (json!({ "email": "a@b", "password": "x".repeat(129) }), vec!["password"]),
        (json!({ "email": "a@b", "password": "password1" }), vec!["password"]),
        (json!({ "email": "a", "password": "x" }), vec!["email", "password"]),
        (
            json!({ "email": "a@b", "password": PASSWORD, "displayName": "x".repeat(201) }),
            vec!["displayName"],
        ),
        (json!({ "email": "a@b", "password": PASSWORD, "metadata": [] }), vec!["metadata"]),
    ] {
        let answer = live.post("/api/auth/signup", form);
        answer.refused(400, "INVALID_ARGUMENT");
        assert_eq!(fields(&answer), wrong);
    }
    for text in ["{", "[]", "\"a\"", "nul"] {
        live.raw("POST /api/auth/signup", text, &[]).refused(400, "INVALID_ARGUMENT");
    }
    let large = " ".repeat(1 << 20) + "{}";
    live.raw("POST /api/auth/signup", &large, &[]).refused(413, "PAYLOAD_TOO_LARGE");
    live.sign_up();
    let again = json!({ "email": "ADA@example.com", "password": PASSWORD });
    live.post("/api/auth/signup", again).refused(409, "CONFLICT");
    let greedy = live.post(
        "/api/auth/signup",
        json!({ "email": "eve@example.com", "password": PASSWORD, "role": "admin",
                "roles": ["admin"], "claims": { "a": 1 }, "id": "usr_me", "emailVerified": true }),
    );
    assert_eq!(greedy.status, 201);
    let me = live.call("GET /api/auth/me", greedy.text("/accessToken"), Value::Null);
    assert_eq!((&me.body["role"], &me.body["claims"]), (&json!("editor"), &json!({})));
    assert_ne!(me.body["id"], "usr_me");
}

/// S2: closed and by-invitation stacks take nobody in here.
#[test]
fn sign_up_may_be_closed() {
    for policy in [SignUpPolicy::Invite, SignUpPolicy::Closed] {
        let live = Live::with(policy, None);
        let form = json!({ "email": "ada@example.com", "password": PASSWORD });
        live.post("/api/auth/signup", form).refused(403, "PERMISSION_DENIED");
    }
}

/// 4.2: unknown name and wrong password are told apart by nothing.
#[test]
fn sign_in_and_its_refusals() {
    let live = Live::new();
    live.sign_up();
    let good = live.sign_in(PASSWORD);
    assert_eq!((good.status, &good.body["user"]["email"]), (200, &json!("ada@example.com")));
    let wrong = live.sign_in("wrong password");
    wrong.refused(401, "INVALID_CREDENTIALS");
    let unknown = live.post("/api/auth/signin", json!({ "email": "root", "password": "pass" }));
    unknown.refused(401, "INVALID_CREDENTIALS");
    assert_eq!(unknown.body, wrong.body);
    for form in [
        json!({}),
        json!({ "email": "", "password": "x" }),
        json!({ "email": "a", "password": "" }),
        json!({ "email": "a", "password": 7 }),
    ] {
        live.post("/api/auth/signin", form).refused(400, "INVALID_ARGUMENT");
    }
    // A stale token of an earlier session does not stand in the way.
    let form = json!({ "email": "ada@example.com", "password": PASSWORD });
    assert_eq!(live.call("POST /api/auth/signin", "stale", form).status, 200);
}

/// 4.5, on the wire.
#[test]
fn the_sixth_attempt_is_locked_out() {
    let live = Live::new();
    live.sign_up();
    for _ in 0..5 {
        live.sign_in("wrong password").refused(401, "INVALID_CREDENTIALS");
    }
    live.hand.advance_ms(2 * 60_000);
    let locked = live.sign_in(PASSWORD);
    locked.refused(429, "ACCOUNT_LOCKED");
    assert_eq!(locked.body["error"]["retryAfter"], 1_680);
    assert_eq!(locked.headers["retry-after"], "1680");
    assert!(locked.text("/message").contains("28 minutes"), "{}", locked.body);
    live.hand.advance_ms(28 * 60_000);
    assert_eq!(live.sign_in(PASSWORD).status, 200);
}

/// 3.3 and 4.3: which credentials count, and which do not.
#[test]
fn credentials_of_requests() {
    let live = Live::new();
    let made = live.sign_up();
    let (token, refresh) = (made.text("/accessToken"), made.text("/refreshToken"));
    let me = |headers: &[(&'static str, &str)]| live.raw("GET /api/auth/me", "", headers);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(me(&[("authorization", &format!("{scheme} {token}"))]).status, 200);
    }
    for bad in ["", "Bearer", "Bearer ", "Basic abc", token, "Bearer a.b.c"] {
        me(&[("authorization", bad)]).refused(401, "UNAUTHENTICATED");
    }
    me(&[]).refused(401, "UNAUTHENTICATED");
    live.call("GET /api/auth/me", refresh, Value::Null).refused(401, "UNAUTHENTICATED");
    live.post("/api/auth/refresh", json!({ "refreshToken": token }))
        .refused(401, "UNAUTHENTICATED");
    // The last characters are bits of the signature.
    let (body, _) = token.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", body.split_once('.').unwrap().1);
    for forged in [format!("{body}."), format!("{body}.AAAA"), none] {
        live.call("GET /api/auth/me", &forged, Value::Null).refused(401, "UNAUTHENTICATED");
    }
    let bearer = format!("Bearer {token}");
    assert_eq!(me(&[("authorization", &bearer), ("x-api-key", "unknown")]).status, 200);
    me(&[("x-api-key", "unknown")]).refused(401, "UNAUTHENTICATED");
    let owner = me(&[("x-api-key", OWNER_TOKEN)]);
    assert_eq!((owner.status, owner.text("/id"), owner.text("/role")), (200, "admin", "admin"));
    assert_eq!(owner.body["email"], Value::Null);
    live.hand.advance_ms(15 * 60_000 + 59_000);
    assert_eq!(live.call("GET /api/auth/me", token, Value::Null).status, 200, "leeway");
    live.hand.advance_ms(1_000);
    live.call("GET /api/auth/me", token, Value::Null).refused(401, "UNAUTHENTICATED");
}

/// 3.5: the bucket is the user's, whatever the token.
#[test]
fn a_user_has_so_many_calls_a_minute() {
    let live = Live::new();
    let tokens = [live.sign_up(), live.sign_in(PASSWORD)];
    let me =
        |n: usize| live.call("GET /api/auth/me", tokens[n % 2].text("/accessToken"), Value::Null);
    for n in 0..30 {
        assert_eq!(me(n).status, 200);
    }
    let refused = me(30);
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(refused.body["error"]["retryAfter"], 60);
    assert_eq!(refused.headers["retry-after"], "60");
    live.hand.advance_ms(60_000);
    assert_eq!(me(31).status, 200);
}

/// 4.7: flat, and again in `user`.
#[test]
fn me_is_flat_and_nested() {
    let live = Live::new();
    let made = live.sign_up();
    let token = made.text("/accessToken");
    let owner = live.engine.owner_caller();
    let claims = json!({ "plan": "pro" }).as_object().cloned().unwrap();
    live.runtime.block_on(live.engine.set_claims(&owner, made.text("/user/id"), claims)).unwrap();
    let me = live.call("GET /api/auth/me", token, Value::Null).body;
    assert_eq!(me["claims"], json!({ "plan": "pro" }));
    assert_eq!(me["mfaEnabled"], false);
    assert_eq!((&me["avatarUrl"], &me["metadata"]), (&Value::Null, &json!({})));
    for key in ["id", "email", "role", "claims", "mfaEnabled", "createdAt", "displayName"] {
        assert_eq!(me["user"][key], me[key], "{key}");
    }
}

/// live 22, "Refresh reuse".
#[test]
fn refresh_reuse() {
    let live = Live::new();
    let made = live.sign_up();
    let first = made.text("/refreshToken");
    live.hand.advance_ms(1_000);
    let rotated = live.post("/api/auth/refresh", json!({ "refreshToken": first }));
    assert_eq!(rotated.status, 200);
    let (token, second) = (rotated.text("/accessToken"), rotated.text("/refreshToken"));
    assert_eq!(rotated.body["tokens"]["expiresAt"], START_MS + 901_000);
    assert!(second != first && token != made.text("/accessToken"));
    assert_eq!(live.call("GET /api/auth/me", token, Value::Null).status, 200);
    for dead in [first, second] {
        live.post("/api/auth/refresh", json!({ "refresh_token": dead }))
            .refused(401, "UNAUTHENTICATED");
    }
    live.call("GET /api/auth/me", token, Value::Null).refused(401, "UNAUTHENTICATED");
    for form in [json!({}), json!({ "refreshToken": "" }), json!({ "refreshToken": 7 })] {
        live.post("/api/auth/refresh", form).refused(400, "INVALID_ARGUMENT");
    }
}

#[test]
fn a_fingerprint_binds_the_session() {
    let live = Live::new();
    live.sign_up();
    let form = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
    let print = [("x-device-fingerprint", "f1")];
    let made = live.raw("POST /api/auth/signin", &form, &print);
    let body = json!({ "refreshToken": made.text("/refreshToken") }).to_string();
    let again = live.raw("POST /api/auth/refresh", &body, &print);
    assert_eq!(again.status, 200);
    let body = json!({ "refreshToken": again.text("/refreshToken") }).to_string();
    live.raw("POST /api/auth/refresh", &body, &[]).refused(401, "UNAUTHENTICATED");
    live.call("GET /api/auth/me", again.text("/accessToken"), Value::Null)
        .refused(401, "UNAUTHENTICATED");
}

/// 4.8 and 19.4: an empty answer, but for the client that cannot read one.
#[test]
fn sign_out_ends_the_session() {
    let live = Live::new();
    let token = live.sign_up().text("/accessToken").to_owned();
    let out = live.call("POST /api/auth/signout", &token, Value::Null);
    assert_eq!((out.status, &out.body), (204, &Value::Null));
    live.call("POST /api/auth/signout", &token, Value::Null).refused(401, "UNAUTHENTICATED");
    let bearer = format!("Bearer {}", live.sign_in(PASSWORD).text("/accessToken"));
    let php = [("authorization", &*bearer), ("x-api-key", "k"), ("user-agent", "GuzzleHttp/7")];
    let out = live.raw("POST /api/auth/signout", "", &php);
    assert_eq!((out.status, &out.body), (200, &json!({ "ok": true })));
    live.call("POST /api/auth/signout", OWNER_TOKEN, Value::Null).refused(403, "PERMISSION_DENIED");
}

/// 4.9
#[test]
fn sessions_are_listed_and_ended() {
    let live = Live::new();
    let first = live.sign_up();
    live.hand.advance_ms(1_000);
    let form = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
    let agent = [(
        "user-agent",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    )];
    let second = live.raw("POST /api/auth/signin", &form, &agent);
    let token = second.text("/accessToken");
    let list = live.call("GET /api/auth/sessions", token, Value::Null);
    let rows = list.body["sessions"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["current"], &rows[1]["current"]), (&json!(true), &json!(false)));
    assert_eq!(rows[0]["device"], "Chrome on macOS");
    assert_eq!(rows[1]["device"], "Unknown device");
    assert_eq!(rows[0]["ip"], "203.0.113.9");
    assert_eq!(rows[0]["lastUsedAt"], "2026-04-05T12:00:01.000Z");
    let path = format!("DELETE /api/auth/sessions/{}", list.text("/sessions/1/id"));
    assert_eq!(live.call(&path, token, Value::Null).status, 204);
    live.call(&path, token, Value::Null).refused(404, "NOT_FOUND");
    live.call("GET /api/auth/me", first.text("/accessToken"), Value::Null)
        .refused(401, "UNAUTHENTICATED");
    let third = live.sign_in(PASSWORD);
    assert_eq!(live.call("DELETE /api/auth/sessions", token, Value::Null).status, 204);
    live.call("GET /api/auth/me", third.text("/accessToken"), Value::Null)
        .refused(401, "UNAUTHENTICATED");
    assert_eq!(live.call("GET /api/auth/me", token, Value::Null).status, 200);
    let owner = live.call("GET /api/auth/sessions", OWNER_TOKEN, Value::Null);
    assert_eq!(owner.body, json!({ "sessions": [] }));
}

/// 4.6: the whole way, with its refusals.
#[test]
fn second_factor() {
    let live = Live::new();
    let token = live.sign_up().text("/accessToken").to_owned();
    live.call("POST /api/auth/mfa/confirm", &token, json!({ "code": "123456" }))
        .refused(400, "INVALID_ARGUMENT");
    let secret = live.enrol(&token);
    live.call("POST /api/auth/mfa/enable", &token, Value::Null).refused(409, "CONFLICT");

    let asked = live.sign_in(PASSWORD);
    assert_eq!((asked.status, &asked.body["mfaRequired"]), (200, &json!(true)));
    for key in ["accessToken", "refreshToken", "tokens", "user", "access_token"] {
        assert!(asked.body.get(key).is_none(), "{key}");
    }
    let challenge = asked.text("/mfaToken");
    let verify = |form: Value| live.post("/api/auth/mfa/verify", form);
    verify(json!({})).refused(400, "INVALID_ARGUMENT");
    verify(json!({ "mfaToken": challenge })).refused(400, "INVALID_ARGUMENT");
    verify(json!({ "mfaToken": challenge, "code": "000000" })).refused(401, "INVALID_CREDENTIALS");
    let code = live.code(&secret, 1);
    verify(json!({ "mfaToken": "unknown", "code": code })).refused(401, "UNAUTHENTICATED");
    let done = verify(json!({ "mfaToken": challenge, "code": code }));
    assert_eq!(done.status, 200);
    assert_eq!(done.body["user"]["email"], "ada@example.com");
    verify(json!({ "mfaToken": challenge, "code": code })).refused(401, "UNAUTHENTICATED");
    let token = done.text("/accessToken");
    live.call("GET /api/auth/me", challenge, Value::Null).refused(401, "UNAUTHENTICATED");

    live.hand.advance_ms(60_000);
    let code = live.code(&secret, 0);
    let codes = live.call("POST /api/auth/mfa/recovery-codes", token, json!({ "code": code }));
    assert_eq!(codes.status, 200);
    let recovery = codes.text("/recoveryCodes/0");
    live.call("POST /api/auth/mfa/disable", token, json!({ "code": "000000" }))
        .refused(401, "INVALID_CREDENTIALS");
    let off = live.call("POST /api/auth/mfa/disable", token, json!({ "recoveryCode": recovery }));
    assert_eq!((off.status, &off.body["mfaEnabled"]), (200, &json!(false)));
    assert!(live.sign_in(PASSWORD).body.get("accessToken").is_some());
}

/// `mfa/verify` with a bearer token and no challenge confirms.
#[test]
fn verify_is_an_alias_of_confirm() {
    let live = Live::new();
    let token = live.sign_up().text("/accessToken").to_owned();
    let made = live.call("POST /api/auth/mfa/enable", &token, Value::Null);
    let code = live.code(made.text("/secret"), 0);
    let on = live.call("POST /api/auth/mfa/verify", &token, json!({ "code": code }));
    assert_eq!((on.status, &on.body["mfaEnabled"]), (200, &json!(true)));
}

/// live 2: the application client's addresses, and their one difference.
#[test]
fn addresses_of_the_application_client() {
    let live = Live::with(SignUpPolicy::Open, Some("my-app"));
    let form = json!({ "email": "ada@example.com", "password": PASSWORD });
    let made = live.post("/v1/apps/my-app/auth/signup", form.clone());
    assert_eq!(made.status, 201);
    for other in ["other", "a%20b"] {
        live.post(&format!("/v1/apps/{other}/auth/signin"), form.clone()).refused(404, "NOT_FOUND");
    }
    let token = made.text("/accessToken");
    let me = live.call("GET /v1/apps/my-app/auth/me", token, Value::Null);
    assert_eq!(me.body["user"]["email"], "ada@example.com");
    live.enrol(token);
    let asked = live.post("/v1/apps/my-app/auth/signin", form);
    asked.refused(401, "UNAUTHENTICATED");
    assert_eq!(asked.body["mfaRequired"], true);
    assert!(!asked.text("/mfaToken").is_empty());
    let list = live.call("GET /v1/apps/my-app/auth/sessions", token, Value::Null);
    let path = format!("DELETE /v1/apps/my-app/auth/sessions/{}", list.text("/sessions/0/id"));
    assert_eq!(live.call(&path, token, Value::Null).status, 204);
    let oauth = live.raw("GET /v1/apps/my-app/auth/oauth/github/authorize", "", &[]);
    oauth.refused(404, "NOT_FOUND");
    assert!(oauth.text("/message").contains("not configured"));
}

/// Changing a password needs the old one and a fresh sign-in, and ends the other sessions.
#[test]
fn a_password_is_changed() {
    let live = Live::new();
    let (first, second) = (live.sign_up(), live.sign_in(PASSWORD));
    let caller = live.tokens.verify(second.text("/accessToken")).unwrap().unwrap();
    let pool = Arc::new(PasswordPool::start(Cost::LEAST, Rng::seeded(8)).unwrap());
    let accounts = Accounts::new(
        live.engine.clone(),
        pool,
        Arc::clone(&live.tokens),
        AccountSettings::default(),
    );
    let change = |old: &str, new: &str| {
        live.runtime.block_on(accounts.change_password(&caller, old, new.to_owned()))
    };
    assert!(change("wrong password", "another passphrase").is_err());
    assert!(change(PASSWORD, "short").is_err());
    change(PASSWORD, "another passphrase").unwrap();
    let me = |answer: &Answer| {
        live.call("GET /api/auth/me", answer.text("/accessToken"), Value::Null).status
    };
    assert_eq!((me(&first), me(&second)), (401, 200));
    live.sign_in(PASSWORD).refused(401, "INVALID_CREDENTIALS");
    assert_eq!(live.sign_in("another passphrase").status, 200);
    live.hand.advance_ms(5 * 60_000 + 1);
    assert!(change("another passphrase", "yet another passphrase").is_err());
}

/// A fresh key signs; tokens of the one before still count, older ones do not.
#[test]
fn keys_rotate_under_tokens() {
    let live = Live::new();
    let token = live.sign_up().text("/accessToken").to_owned();
    let owner = live.engine.owner_caller();
    live.runtime.block_on(live.tokens.rotate_key(&owner)).unwrap();
    assert_eq!(live.call("GET /api/auth/me", &token, Value::Null).status, 200);
    live.runtime.block_on(live.tokens.rotate_key(&owner)).unwrap();
    live.call("GET /api/auth/me", &token, Value::Null).refused(401, "UNAUTHENTICATED");
    let fresh = live.sign_in(PASSWORD);
    assert_eq!(live.call("GET /api/auth/me", fresh.text("/accessToken"), Value::Null).status, 200);
}

/// The documents know every address; names and addresses are not given twice.
#[test]
fn every_address_is_documented() {
    let live = Live::new();
    let mut names: Vec<&str> = live.routes.iter().map(|route| route.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (count, 38));
    for route in &live.routes {
        assert!(!route.doc.summary.is_empty(), "{route:?}");
        assert!(!route.doc.replies.is_empty() || route.doc.fails == [404], "{route:?}");
        assert_eq!(route.face, "live");
    }
}
