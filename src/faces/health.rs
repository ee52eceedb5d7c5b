//! `/health` and `/api/health`: one body that the probes of every face understand.
//!
//! Knows the keys of the faces. Does not know what makes the file answer.
//!
//! Invariants
//! H1. No credential is needed. A bad one is still refused at `/health`, where the faces that own
//!     the address ask for that; `/api/health` does not look.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::envelope;
use crate::auth::{Auth, AuthError};
use crate::engine::Engine;
use crate::net::{Call, Guard, Reply, Route};
use crate::util::json::push_string;
use crate::util::time::format_ms;

/// What the answer is made of.
pub struct Health {
    pub engine: Engine,
    pub auth: Arc<Auth>,
    /// The application's name, as configured.
    pub app_name: String,
    /// A label that some clients show; `local` unless configured.
    pub region: String,
    /// When the process began to serve, in milliseconds since the Unix epoch.
    pub started_ms: i64,
}

/// The shared health addresses.
#[must_use]
pub fn health_routes(health: &Arc<Health>) -> Vec<Route> {
    let strict = Arc::clone(health);
    let plain = Arc::clone(health);
    vec![
        documented(Route::new(
            "cairn",
            Method::GET,
            "/health",
            "health",
            Guard::None,
            move |call: Call| {
                let reply = match strict.auth.caller(&call.headers) {
                    Err(AuthError::Rejected) => envelope::shared(
                        StatusCode::UNAUTHORIZED,
                        ("unauthorized", "UNAUTHENTICATED"),
                        "the credential is not valid",
                        &call.request_id,
                    ),
                    // A file that does not answer is what this address reports.
                    Ok(_) | Err(AuthError::Engine(_)) => strict.answer(&call.request_id),
                };
                async move { reply }
            },
        )),
        documented(Route::new(
            "cairn",
            Method::GET,
            "/api/health",
            "api.health",
            Guard::None,
            move |call: Call| {
                let reply = plain.answer(&call.request_id);
                async move { reply }
            },
        )),
    ]
}

fn documented(route: Route) -> Route {
    let text = json!({ "type": "string" });
    let schema = json!({
        "type": "object",
        "required": ["status", "timestamp", "service", "version", "uptime"],
        "properties": {
            "status": { "type": "string", "enum": ["ok", "error"] },
            "timestamp": { "type": "string", "format": "date-time" },
            "service": text,
            "version": text,
            "uptime": { "type": "integer", "description": "Seconds" },
            "app": { "type": "object", "properties": { "name": text } },
            "success": { "type": "boolean" },
            "data": { "type": "object" },
            "request_id": text
        }
    });
    route.summary("Whether the file answers").reply(200, schema).fails(&[503])
}

impl Health {
    fn answer(&self, request_id: &str) -> Reply {
        let healthy = self.engine.healthy();
        let now_ms = self.engine.clock().now_ms();
        let figures = Figures {
            status: if healthy { "ok" } else { "error" },
            timestamp: format_ms(now_ms),
            uptime_s: (now_ms - self.started_ms).max(0) / 1_000,
        };
        let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Reply::json(status, self.body(&figures, healthy, request_id))
    }

    fn body(&self, figures: &Figures, healthy: bool, request_id: &str) -> String {
        let mut out = String::with_capacity(512);
        out.push('{');
        self.push_common(&mut out, figures);
        out.push_str(",\"app\":{\"name\":");
        push_string(&mut out, &self.app_name);
        out.push_str(&format!("}},\"success\":{healthy},\"data\":{{"));
        self.push_common(&mut out, figures);
        out.push_str(",\"region\":");
        push_string(&mut out, &self.region);
        out.push_str("},\"request_id\":");
        push_string(&mut out, request_id);
        if !healthy {
            out.push_str(
                ",\"code\":\"SERVICE_UNAVAILABLE\",\"message\":\"the file does not answer\"",
            );
        }
        out.push('}');
        out
    }

    fn push_common(&self, out: &mut String, figures: &Figures) {
        out.push_str(&format!(
            "\"status\":\"{}\",\"timestamp\":\"{}\",\"service\":\"cairn\",\"version\":\"{}\",\"uptime\":{}",
            figures.status,
            figures.timestamp,
            env!("CARGO_PKG_VERSION"),
            figures.uptime_s
        ));
    }
}

/// What stands both at the top and in `data`.
struct Figures {
    status: &'static str,
    timestamp: String,
    uptime_s: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;
    use crate::net::{Body, Content, Query};
    use crate::util::clock::Clock;
    use crate::util::json::parse_object;
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    /// One body for every face; a bad credential matters at one of the two addresses only.
    #[test]
    fn both_addresses_answer_with_all_keys() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_704_067_200_000);
        let mut options = EngineOptions::default();
        options.store.clock = clock;
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let auth = Arc::new(Auth::new(engine.clone(), None, "http://localhost:7700".into()));
        let started_ms = engine.clock().now_ms();
        let (app_name, region) = ("Notes".to_owned(), "local".to_owned());
        let health = Arc::new(Health { engine, auth, app_name, region, started_ms });
        hand.advance_ms(61_500);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for route in health_routes(&health) {
            let ask = |headers: HeaderMap| {
                let call = Call {
                    method: Method::GET,
                    path: route.address.to_owned(),
                    params: Vec::new(),
                    query: Query::default(),
                    headers,
                    body: Body::whole(""),
                    peer: std::net::Ipv4Addr::LOCALHOST.into(),
                    request_id: "r-1".to_owned(),
                };
                let reply = runtime.block_on((route.run)(call));
                let Content::Bytes(bytes) = reply.content else { panic!("no body") };
                (reply.status.as_u16(), serde_json::Value::from(parse_object(&bytes).unwrap()))
            };
            let version = env!("CARGO_PKG_VERSION");
            let expected = json!({
                "status": "ok", "timestamp": "2024-01-01T00:01:01.500Z", "service": "cairn",
                "version": version, "uptime": 61, "app": { "name": "Notes" }, "success": true,
                "data": {
                    "status": "ok", "timestamp": "2024-01-01T00:01:01.500Z", "service": "cairn",
                    "version": version, "uptime": 61, "region": "local"
                },
                "request_id": "r-1"
            });
            assert_eq!(ask(HeaderMap::new()), (200, expected));
            let mut bad = HeaderMap::new();
            bad.insert(AUTHORIZATION, HeaderValue::from_static("Bearer nobody"));
            let (status, body) = ask(bad);
            if route.address == "/health" {
                assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")));
            } else {
                assert_eq!(status, 200);
            }
        }
    }
}
