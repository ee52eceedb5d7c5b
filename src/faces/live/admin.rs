//! `/api/admin/*`: health, figures, what collections hold, rules, sessions (live 16, 17.6).
//!
//! Knows the published keys. Does not know where a figure comes from.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::http::{Asked, Intake, LiveFace, reply, route};
use super::schemas;
use crate::engine::{EntityInfo, Error, FieldKind, Role};
use crate::faces::Envelopes;
use crate::live::statistics::Reading;
use crate::net::{Call, Envelope as _, Gauges, Guard, Refusal, Reply, Route};
use crate::util::time::format_ms;

/// The version of the messages and addresses.
const PROTOCOL_VERSION: u32 = 1;
/// Sessions in the list of all.
const SESSIONS_MAX: u32 = 1_000;

/// The administration addresses.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let (intake, admin) = (Intake::default(), Guard::Admin);
    let rules = "/api/admin/rules";
    let mut all = vec![
        route(
            cx,
            (Method::GET, "/api/admin/health"),
            "live.admin.health",
            Guard::None,
            intake,
            health,
        )
        .summary("Whether the file answers, and how many are connected")
        .reply(200, schemas::object())
        .example(
            None,
            Some(json!({ "status": "healthy", "version": "0.1.0", "uptime": 86400,
                "postgres": "connected", "connections": { "websocket": 42, "http": 3 },
                "protocolVersion": 1, "storage": "sqlite", "database": "connected" })),
        )
        .fails(&[503]),
        route(cx, (Method::GET, "/api/admin/stats"), "live.admin.stats", admin, intake, stats)
            .summary("Figures since the start")
            .reply(200, schemas::object())
            .example(
                None,
                Some(json!({
                "queries": { "total": 150000, "perSecond": 1200, "avgLatencyMs": 1.4 },
                "mutations": { "total": 45000, "perSecond": 80, "avgLatencyMs": 3.2 },
                "subscriptions": { "active": 320 },
                "storage": { "totalFiles": 1500, "totalBytes": 2147483648_u64 },
                "users": { "total": 500, "activeToday": 120 } })),
            )
            .fails(&[401, 403, 429, 503]),
        route(cx, (Method::GET, "/api/admin/schema"), "live.admin.schema", admin, intake, schema)
            .summary("What entities hold: counts, fields, relations")
            .reply(
                200,
                json!({ "type": "object", "properties": {
                "entities": { "type": "array", "items": schemas::object() } } }),
            )
            .example(
                None,
                Some(json!({ "entities": [ { "name": "todos", "count": 1500,
                "attributes": [ { "name": "title", "type": "string", "count": 1500 } ],
                "relations": [ { "name": "userId", "target": "users", "count": 1500 } ] } ] })),
            )
            .fails(&[400, 401, 403, 429, 503]),
        route(
            cx,
            (Method::GET, "/api/admin/sessions"),
            "live.admin.sessions",
            admin,
            intake,
            sessions,
        )
        .summary("Live sessions of everybody, the one used last first")
        .reply(
            200,
            json!({ "type": "object", "properties": { "count": schemas::whole(),
                "sessions": { "type": "array", "items": schemas::object() } } }),
        )
        .fails(&[401, 403, 429, 503]),
        route(cx, (Method::GET, rules), "live.admin.rules", admin, intake, rules_document)
            .summary("The rules document; empty when there is none")
            .reply(200, schemas::object())
            .example(None, Some(rules_example()))
            .fails(&[401, 403, 429]),
        route(cx, (Method::PUT, rules), "live.admin.rules.set", admin, intake, set_rules)
            .summary("Replace the rules document")
            .body(schemas::object())
            .reply(200, schemas::object())
            .example(Some(rules_example()), Some(rules_example()))
            .fails(&[400, 401, 403, 413, 429, 503, 507]),
        route(cx, (Method::DELETE, rules), "live.admin.rules.remove", admin, intake, remove_rules)
            .summary("Take the rules document away")
            .empty_reply(204)
            .fails(&[401, 403, 429, 503, 507]),
    ];
    all.push(
        route(
            cx,
            (Method::POST, "/api/admin/invitations"),
            "live.admin.invite",
            admin,
            intake,
            invite,
        )
        .summary("Invite somebody, by mail where that is configured; `token` is the invitation for sign-up")
        .body(json!({ "type": "object", "required": ["email"],
            "properties": { "email": schemas::text(), "role": schemas::text() } }))
        .reply(201, schemas::object())
        .example(
            Some(json!({ "email": "ada@example.com", "role": "editor" })),
            Some(json!({ "email": "ada@example.com", "role": "editor", "token": "q0Zt…",
                "sent": false, "expiresAt": "2026-04-12T12:00:00Z" })),
        )
        .fails(&[400, 401, 403, 409, 413, 429, 503, 507]),
    );
    // What there is to administrate is for administrators to know (live 16.5).
    for (method, name) in UNKNOWN {
        let entry = (method, "/api/admin/{path*}");
        all.push(
            route(cx, entry, name, admin, intake, unknown)
                .unlisted()
                .summary("No such address")
                .fails(&[401, 403, 404, 429]),
        );
    }
    all
}

const UNKNOWN: [(Method, &str); 5] = [
    (Method::GET, "live.admin.unknown.get"),
    (Method::POST, "live.admin.unknown.post"),
    (Method::PUT, "live.admin.unknown.put"),
    (Method::PATCH, "live.admin.unknown.patch"),
    (Method::DELETE, "live.admin.unknown.delete"),
];

async fn invite(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let body = asked.required_object()?;
    let email = body.get("email").and_then(Value::as_str).unwrap_or("");
    let role = match body.get("role") {
        None | Some(Value::Null) => Role::Editor,
        Some(role) => role
            .as_str()
            .and_then(Role::parse)
            .ok_or_else(|| Error::invalid("role", "must be admin, editor or viewer"))?,
    };
    let (link, sent) = cx.accounts.invite(&asked.who, email, role).await?;
    let body = json!({ "email": link.login, "role": role.name(), "token": link.secret,
        "sent": sent, "expiresAt": format_ms(link.expires_at) });
    Ok(reply(StatusCode::CREATED, &body))
}

async fn unknown(_: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let Call { path, request_id, .. } = &asked.call;
    Ok(Envelopes.refuse(path, &Refusal::Unknown, request_id))
}

fn rules_example() -> Value {
    json!({ "version": 1, "entities": { "todos": {
        "read": { "$where": { "userId": "$auth.userId" } },
        "create": { "auth": true },
        "delete": { "role": "admin" } } } })
}

async fn health(cx: Arc<LiveFace>, _: Asked) -> Result<Reply, Failure> {
    let healthy = cx.engine.healthy();
    let gauges = cx.dial.get().map(crate::net::Dial::read).unwrap_or_default();
    let Gauges { websockets, in_flight, .. } = gauges;
    let word = |yes, no| if healthy { yes } else { no };
    let connected = word("connected", "disconnected");
    let body = json!({
        "status": word("healthy", "unhealthy"),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": (cx.engine.clock().now_ms() - cx.started_ms).max(0) / 1_000,
        "postgres": connected,
        "connections": { "websocket": websockets, "http": in_flight },
        "protocolVersion": PROTOCOL_VERSION,
        "storage": "sqlite",
        "database": connected,
    });
    Ok(reply(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body))
}

async fn stats(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let totals = cx.engine.totals(&asked.who).await?;
    let shown = |reading: Reading| {
        json!({ "total": reading.total, "perSecond": rounded(reading.per_second),
                "avgLatencyMs": rounded(reading.average_ms) })
    };
    let body = json!({
        "queries": shown(cx.statistics.queries()),
        "mutations": shown(cx.statistics.mutations()),
        "subscriptions": { "active": cx.hub.subscriptions() },
        "storage": { "totalFiles": totals.files, "totalBytes": totals.file_bytes },
        "users": { "total": totals.accounts, "activeToday": cx.statistics.active_today() },
    });
    Ok(reply(StatusCode::OK, &body))
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

async fn schema(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let entities: Vec<Value> =
        cx.engine.describe_entities(&asked.who).await?.into_iter().map(shown_entity).collect();
    Ok(reply(StatusCode::OK, &json!({ "entities": entities })))
}

fn shown_entity(entity: EntityInfo) -> Value {
    let (mut attributes, mut relations) = (Vec::new(), Vec::new());
    for field in entity.fields {
        let (name, count) = (field.name, field.count);
        match field.kind {
            FieldKind::Plain(kind) => {
                attributes.push(json!({ "name": name, "type": kind, "count": count }));
            }
            FieldKind::Relation(target) => {
                relations.push(json!({ "name": name, "target": target, "count": count }));
            }
        }
    }
    json!({ "name": entity.name, "count": entity.count, "attributes": attributes,
            "relations": relations })
}

async fn sessions(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let (list, count) = cx.engine.all_sessions(&asked.who, SESSIONS_MAX).await?;
    let sessions: Vec<Value> = list
        .into_iter()
        .map(|(user, session)| {
            json!({ "id": session.id, "userId": user, "device": session.device, "ip": session.ip,
                    "createdAt": format_ms(session.created_at),
                    "lastUsedAt": format_ms(session.last_used_at), "current": session.current })
        })
        .collect();
    Ok(reply(StatusCode::OK, &json!({ "sessions": sessions, "count": count })))
}

async fn rules_document(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let document = cx.engine.rules_document(&asked.who)?.unwrap_or_default();
    Ok(reply(StatusCode::OK, &Value::Object(document)))
}

async fn set_rules(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let document: Map<String, Value> = asked.required_object()?;
    match cx.engine.set_rules(&asked.who, Some(document.clone())).await {
        Ok(()) => Ok(reply(StatusCode::OK, &Value::Object(document))),
        Err(error @ Error::Invalid(_)) => {
            let mut failure = Failure::from(error);
            failure.message = "the rules are not valid".into();
            Err(failure)
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove_rules(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.set_rules(&asked.who, None).await?;
    Ok(asked.no_content())
}
