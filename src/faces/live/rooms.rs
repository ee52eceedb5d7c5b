//! `GET /api/presence/{room}`: who is in a room (live 15.3).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::errors::Failure;
use super::http::{Asked, Intake, reply, route};
use super::streams::Streams;
use super::transactions::refused;
use crate::net::{Guard, Reply, Route};

pub(super) fn routes(cx: &Arc<Streams>) -> Vec<Route> {
    let mut all = Vec::new();
    for (address, name) in [
        ("/api/presence/{room}", "live.presence"),
        ("/v1/apps/{appId}/presence/{room}", "live.apps.presence"),
    ] {
        let streams = Arc::clone(cx);
        let run = move |_, asked| std::future::ready(show(&streams, &asked));
        let entry = (Method::GET, address);
        let peer = json!({ "type": "object", "properties": {
            "id": { "type": "string" }, "userId": { "type": "string" },
            "data": { "type": "object" } } });
        let schema = json!({ "type": "object", "properties": {
            "room": { "type": "string" }, "peers": { "type": "array", "items": peer } } });
        all.push(
            route(&cx.face, entry, name, Guard::Required, Intake::default(), run)
                .summary("Who is in a presence room")
                .reply(200, schema)
                .fails(&[401, 403]),
        );
    }
    all
}

fn show(cx: &Streams, asked: &Asked) -> Result<Reply, Failure> {
    cx.engine().check_presence(&asked.who).map_err(|error| refused(&asked.who, error))?;
    let room = asked.call.param(0);
    let peers: Vec<Value> = cx
        .presence
        .peers(room)
        .iter()
        .map(|peer| json!({ "id": *peer.id, "userId": *peer.user_id, "data": *peer.data }))
        .collect();
    // The last three are the answer of another protocol at this address.
    let body = json!({ "room": room, "peers": peers, "tenant_id": room, "total": 0, "users": [] });
    Ok(reply(StatusCode::OK, &body))
}
