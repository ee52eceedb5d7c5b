//! The WebSocket of the live protocol, at `/ws` and for the application client (live 13).
//!
//! Upgrades, and hands the socket to a [`connection`]. Knows addresses. Does not know messages.

mod connection;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::http::{Asked, Intake, route};
use super::streams::Streams;
use crate::net::websocket::{self, Frame, Message, Reader, SendError, Sender};
use crate::net::{Guard, Reply, Route};

/// Where messages come from. Frames that carry none count as signs of life.
pub(super) trait Incoming: Send {
    /// May be dropped half-way without losing anything.
    fn next(&mut self) -> impl Future<Output = Message> + Send;
}

/// Where frames go.
pub(super) trait Outgoing: Send + Sync {
    fn try_send(&self, frame: Frame) -> Result<(), SendError>;
    fn close(&self, code: u16, reason: &str);
    /// Returns when all that waited is out, or nothing ever will be.
    fn drained(&self) -> impl Future<Output = ()> + Send;
}

impl Incoming for Reader {
    fn next(&mut self) -> impl Future<Output = Message> + Send {
        Self::next(self)
    }
}

impl Outgoing for Sender {
    fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        Self::try_send(self, frame)
    }

    fn close(&self, code: u16, reason: &str) {
        Self::close(self, code, reason);
    }

    fn drained(&self) -> impl Future<Output = ()> + Send {
        Self::drained(self)
    }
}

pub(super) fn routes(cx: &Arc<Streams>) -> Vec<Route> {
    let mut all = Vec::new();
    for (address, name) in [("/ws", "live.ws"), ("/v1/apps/{appId}/ws", "live.apps.ws")] {
        let intake = Intake { body_bytes_max: None, ..Intake::default() };
        let streams = Arc::clone(cx);
        let run = move |_, asked| std::future::ready(Ok(open(&streams, asked)));
        all.push(
            route(&cx.face, (Method::GET, address), name, Guard::None, intake, run)
                .summary("WebSocket: live queries, transactions, presence")
                .empty_reply(101)
                .fails(&[400, 403, 426]),
        );
    }
    all
}

fn open(cx: &Arc<Streams>, mut asked: Asked) -> Reply {
    match websocket::upgrade(&mut asked.call) {
        Err(refused) => not_upgraded(refused),
        Ok((reply, opening)) => {
            let cx = Arc::clone(cx);
            tokio::spawn(async move {
                if let Some(socket) = opening.await {
                    let (reader, sender) = socket.split();
                    connection::Connection::new(cx, reader, sender).run().await;
                }
            });
            reply
        }
    }
}

/// The refusal in this face's envelope.
fn not_upgraded(mut refused: Reply) -> Reply {
    let message = "this address speaks WebSocket, version 13";
    let status = refused.status.as_u16();
    let body = json!({
        "error": { "code": "INVALID_ARGUMENT", "message": message, "status": status },
        "message": message });
    let said = Reply::json(refused.status, body.to_string());
    refused.headers.extend(said.headers);
    Reply { headers: refused.headers, ..said }
}
