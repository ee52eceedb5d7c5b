//! What WebSockets and event streams have in common: whose they are, and how changes are told (live 12 to 15).
//!
//! Knows dialects, credentials, times. Does not know transports.
//!
//! Invariants
//! T1. A stream ends within seconds of its session's or token's end; the end of an access token alone does not matter.
//! T2. A change is encoded once for all who read it in the same form under the same name.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::errors::{Code, Failure};
use super::fault::Detail;
use super::http::LiveFace;
use super::messages::{self, Dialect, ErrorText};
use super::query_form::{QueryLimits, parse_query};
use crate::engine::tree::Root;
use crate::engine::{Caller, Engine, RootValue};
use crate::live::diff::{Diff, Row, Updated};
use crate::live::presence::Presence;
use crate::live::{Change, Hub, RootRows};
use crate::net::{Route, Shutdown};
use crate::util::json::minify;

/// One message to a client of the short form: its libraries take no more than 1 MiB (live 19.3).
const SHORT_BYTES_MAX: usize = 900 * 1024;

/// How long things take; tests make them short.
#[derive(Clone, Copy, Debug)]
pub struct StreamTimes {
    /// Until a WebSocket says who it is.
    pub sign_in: Duration,
    /// Between two questions whether a client is there.
    pub ping: Duration,
    /// Without a sign of life.
    pub silence: Duration,
    /// Between two looks at a credential that tells nobody when it ends.
    pub credential: Duration,
    /// A query's first result.
    pub first_result: Duration,
    /// A client that has a full queue, until it has read it.
    pub stall: Duration,
    /// An event stream without an event.
    pub heartbeat: Duration,
}

impl Default for StreamTimes {
    fn default() -> Self {
        Self {
            sign_in: Duration::from_secs(5),
            ping: Duration::from_secs(30),
            silence: Duration::from_secs(90),
            credential: Duration::from_secs(4),
            first_result: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// What streams work with.
pub struct Streams {
    pub face: Arc<LiveFace>,
    pub hub: Hub,
    pub presence: Presence,
    pub times: StreamTimes,
    /// Streams end when the server stops.
    pub shutdown: Shutdown,
    /// The newest unit.
    pub(super) commits: watch::Receiver<i64>,
}

impl Streams {
    #[must_use]
    pub fn new(
        face: Arc<LiveFace>,
        hub: Hub,
        presence: Presence,
        shutdown: Shutdown,
        times: StreamTimes,
    ) -> Arc<Self> {
        let commits = face.engine.commits();
        Arc::new(Self { face, hub, presence, times, shutdown, commits })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.face.engine
    }
}

/// Every address of a stream, of presence and of the change feed.
#[must_use]
pub fn routes(cx: &Arc<Streams>) -> Vec<Route> {
    let mut all = super::socket::routes(cx);
    all.extend(super::events::routes(cx));
    all.extend(super::rooms::routes(cx));
    all.extend(super::changes::routes(cx));
    all
}

/// Who a stream belongs to, and how its end is learned.
pub(super) struct Holder {
    pub(super) caller: Caller,
    /// The user's id on the wire; nobody has none.
    pub(super) user_id: Option<Box<str>>,
    proof: Proof,
}

enum Proof {
    /// Ends are told.
    Session(watch::Receiver<u64>),
    /// Ends have to be asked for.
    Token(Box<str>),
    Nobody,
}

impl Holder {
    /// The holder of a token; `None` when it is not good.
    pub(super) fn of_token(cx: &Streams, token: &str) -> Result<Option<Self>, Failure> {
        // Before the look, so that an end in between is noticed.
        let changes = cx.engine().session_changes();
        let caller = cx.face.auth.caller_of(token)?;
        Ok(caller.map(|caller| Self::new(cx, caller, token, changes)))
    }

    /// Somebody whose request was let in; `token` is what it came with. Look at once whether it is good.
    pub(super) fn admitted(cx: &Streams, caller: Caller, token: &str) -> Self {
        Self::new(cx, caller, token, cx.engine().session_changes())
    }

    fn new(cx: &Streams, caller: Caller, token: &str, changes: watch::Receiver<u64>) -> Self {
        /// What the owner is called here.
        const OWNER: &str = "admin";
        let user_id = match caller.account() {
            Some(account) => Some(&*account.user_id),
            None if cx.engine().is_owner_alone(&caller) => Some(OWNER),
            None => caller.subject(),
        };
        let user_id = user_id.map(Into::into);
        let proof = match caller.session() {
            Some(_) => Proof::Session(changes),
            None => Proof::Token(token.into()),
        };
        Self { caller, user_id, proof }
    }

    pub(super) fn nobody() -> Self {
        Self { caller: Caller::anonymous(), user_id: None, proof: Proof::Nobody }
    }

    /// Returns when somebody's session ended or an account changed: look with [`Holder::is_good`].
    pub(super) async fn news(&mut self) {
        if let Proof::Session(changes) = &mut self.proof
            && changes.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Whether something is to be looked at now.
    pub(super) fn has_news(&self) -> bool {
        matches!(&self.proof, Proof::Session(changes) if changes.has_changed().unwrap_or(true))
    }

    /// Whether somebody has to ask from time to time.
    pub(super) fn must_ask(&self) -> bool {
        matches!(self.proof, Proof::Token(_))
    }

    /// Looks again; role and claims are those of now. A file that cannot be asked says nothing.
    pub(super) fn is_good(&mut self, cx: &Streams) -> bool {
        let found = match &mut self.proof {
            Proof::Nobody => return true,
            Proof::Token(token) => cx.face.auth.caller_of(token),
            Proof::Session(changes) => {
                changes.borrow_and_update();
                match self.caller.session() {
                    Some(session) => cx.engine().caller_of_session(session),
                    None => return false,
                }
            }
        };
        match found {
            Ok(Some(caller)) => self.caller = caller,
            Ok(None) => return false,
            Err(_) => {}
        }
        true
    }
}

/// A subscription's query.
pub(super) struct Asked {
    pub(super) roots: Arc<Vec<Root>>,
    /// More than one: results are keyed by entity.
    pub(super) entities: Box<[String]>,
}

/// Reads a query in any spelling.
pub(super) fn query_of(query: &Value) -> Result<Asked, Failure> {
    let query = parse_query(query, QueryLimits::default())?;
    let entities = query.roots.iter().map(|root| root.entity.clone()).collect();
    Ok(Asked { roots: Arc::new(query.roots), entities })
}

/// A failure as messages say it; what is unexpected goes to the log under `report`.
pub(super) fn say<T>(
    failure: &Failure,
    report: &str,
    build: impl FnOnce(&ErrorText<'_>) -> T,
) -> T {
    let hidden;
    let message = if failure.code == Code::Internal {
        tracing::error!(report, failure = ?failure, "a live request failed");
        hidden = format!("something went wrong here; report id {report}");
        &hidden
    } else {
        &failure.message
    };
    let details: &[Detail] = &failure.details;
    let (code, status) = (failure.code.name(), failure.code.status().as_u16());
    build(&ErrorText { code, message, status, details })
}

pub(super) fn value_of(rows: &RootRows) -> Value {
    match rows {
        RootRows::Rows(rows) => array_of(rows),
        RootRows::Value(value) => value.clone(),
    }
}

fn array_of(rows: &[Arc<Row>]) -> Value {
    rows.iter().map(|row| Value::Object(Row::clone(row))).collect()
}

/// Results keyed by their entity.
pub(super) fn keyed(roots: &[(String, RootRows)]) -> Map<String, Value> {
    roots.iter().map(|(entity, rows)| (entity.clone(), value_of(rows))).collect()
}

/// What clients that take complete results get as data: the only root's result, or all by entity.
pub(super) fn data_of(roots: &[(String, RootRows)]) -> Value {
    match roots {
        [(_, rows)] => value_of(rows),
        roots => Value::Object(keyed(roots)),
    }
}

/// As [`data_of`], of a query that was run once.
pub(super) fn data_of_answer(roots: Vec<(String, RootValue)>) -> Value {
    let value = |value: RootValue| match value {
        RootValue::Rows(rows) => {
            rows.into_iter().map(|row| Value::Object(row.fields)).collect::<Value>()
        }
        RootValue::Value(value) => value,
    };
    let mut roots = roots;
    if roots.len() == 1
        && let Some((_, only)) = roots.pop()
    {
        return value(only);
    }
    Value::Object(roots.into_iter().map(|(entity, root)| (entity, value(root))).collect())
}

/// The complete result of the only root, where the change has it.
pub(super) fn complete(change: &Change) -> Option<Vec<(String, RootRows)>> {
    let root = change.roots.first()?;
    let rows = root.rows.clone().or_else(|| root.value.clone().map(RootRows::Value))?;
    Some(vec![(root.entity.clone(), rows)])
}

/// A complete result that is kept up to date with the roots of changes.
pub(super) fn renew(latest: &mut [(String, RootRows)], change: &Change) {
    for root in &change.roots {
        if let (Some((_, kept)), Some(rows)) = (latest.get_mut(root.index), &root.rows) {
            *kept = rows.clone();
        }
    }
}

/// A change in the documented dialect: one message for each root.
pub(super) fn documented(id: &str, change: &Change, since: Option<i64>) -> Vec<Value> {
    let message = |root: &crate::live::RootChange| match (&root.value, &root.diff) {
        (Some(value), _) => messages::q_diff_value(id, &root.entity, value.clone(), change.tx),
        (None, Some(diff)) => messages::q_diff(id, &root.entity, diff, change.tx, since),
        (None, None) => messages::q_diff(id, &root.entity, &Diff::default(), change.tx, since),
    };
    change.roots.iter().map(message).collect()
}

/// A change in the short form, in messages small enough for its libraries.
pub(super) fn short(id: &str, sub_id: &str, change: &Change) -> Vec<Value> {
    let mut all = Vec::new();
    for root in &change.roots {
        let diff = match (&root.value, &root.diff) {
            (Some(value), _) => updated_value(value),
            (None, Some(diff)) => diff.clone(),
            (None, None) => continue,
        };
        for part in parts(diff) {
            all.push(messages::short_diff(id, sub_id, &part, change.tx));
        }
    }
    all
}

/// The first result in the short form; what does not fit into one message follows as inserted.
pub(super) fn short_initial(
    id: &str,
    sub_id: &str,
    roots: &[(String, RootRows)],
    tx: i64,
) -> Vec<Value> {
    let mut rows: Vec<Arc<Row>> = Vec::new();
    for (_, root) in roots {
        match root {
            RootRows::Rows(more) => rows.extend(more.iter().cloned()),
            RootRows::Value(value) => rows.push(Arc::new(value_row(value))),
        }
    }
    let mut parts = parts(Diff { added: rows, ..Diff::default() }).into_iter();
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| messages::short_diff(id, sub_id, &part, tx));
    std::iter::once(messages::sub_ok(id, sub_id, &first.added)).chain(rest).collect()
}

/// An aggregate, as the record that clients of the short form take.
fn value_row(value: &Value) -> Row {
    Row::from_iter([("value".to_owned(), value.clone())])
}

fn updated_value(value: &Value) -> Diff {
    let changes = value_row(value);
    let row = Arc::new(changes.clone());
    Diff { updated: vec![Updated { was: Arc::default(), row, changes }], ..Diff::default() }
}

/// A difference as several that each make a message of bounded size; a single row may still be larger.
fn parts(diff: Diff) -> Vec<Diff> {
    /// The part that has room for a row of `bytes`.
    fn place<'p>(parts: &'p mut Vec<Diff>, room: &mut usize, row: &Row) -> &'p mut Diff {
        let bytes = minify(&Value::Object(row.clone())).len() + 1;
        if parts.is_empty() || (bytes > *room && *room < SHORT_BYTES_MAX) {
            *room = SHORT_BYTES_MAX;
            parts.push(Diff::default());
        }
        *room = room.saturating_sub(bytes);
        let last = parts.len() - 1;
        &mut parts[last]
    }
    let (mut parts, mut room) = (Vec::new(), SHORT_BYTES_MAX);
    for row in diff.removed {
        place(&mut parts, &mut room, &row).removed.push(row);
    }
    for updated in diff.updated {
        place(&mut parts, &mut room, &updated.row).updated.push(updated);
    }
    for row in diff.added {
        place(&mut parts, &mut room, &row).added.push(row);
    }
    parts
}

/// The dialect of a message that answers nothing in particular: clients of the short form read errors as text.
pub(super) fn dialect_of(used_short: bool, dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::App => Dialect::App,
        _ if used_short => Dialect::ShortForm,
        other => other,
    }
}
