//! `/api/data/*`: records one at a time, and pages of them (live 8).
//!
//! Knows addresses, parameters and envelopes. Does not know rights or how records are found.
//!
//! Invariants
//! D1. A page, its total and whether more follows are of one snapshot.
//! D2. Ids and names are checked after percent-decoding, once.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{ETAG, IF_MATCH};
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::fault::{Detail, FormFault, quoted};
use super::http::{Asked, Intake, JSON_BYTES_MAX, LiveFace, at_both, reply};
use super::mutate::{Refused, record, row_op};
use super::mutate_form::{Mutation, parse_ops};
use super::names::{is_entity, is_id};
use super::query::push_tx;
use super::query_form::{Aggregate, AggregateTerm, Node, Root, parse_query};
use super::schemas;
use crate::engine::{MutateError, Mutated, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, RootValue, Row, Verb};
use crate::net::{Reply, Route};
use crate::schema::filter::AggregateKind;
use crate::util::json;

/// Keys of the envelope, which a record's own fields never take.
const ENVELOPE: [&str; 8] = ["data", "tx", "txId", "tx_id", "id", "entity", "error", "message"];
/// The longest cursor of ours.
const CURSOR_CHARS_MAX: usize = 64;

/// The data addresses.
pub fn routes(cx: &Arc<LiveFace>) -> Vec<Route> {
    let mut all = Vec::new();
    macro_rules! entry {
        ($method:ident $path:literal, $name:literal, $run:ident, $doc:expr) => {
            at_both!(
                all,
                cx,
                $method $path,
                $name,
                Optional,
                Intake::by_rules(JSON_BYTES_MAX),
                $run,
                $doc
            );
        };
    }
    entry!(GET "data/{entity}", "data.list", list, |route| {
        let page = json!({ "type": "object", "required": ["data", "total", "hasMore"],
            "properties": { "data": { "type": "array", "items": schemas::record() },
                "total": schemas::whole(), "hasMore": { "type": "boolean" },
                "cursor": { "type": ["string", "null"] } } });
        route
            .summary("A page of an entity's records")
            .query("limit", schemas::whole(), "Records of the page, 1 to 1000; 50 without it")
            .query("offset", schemas::whole(), "Records to leave out")
            .query("cursor", schemas::text(), "`cursor` of the page before")
            .query("order", schemas::text(), "`field` or `field:desc`; may be repeated")
            .query("where", schemas::text(), "A filter, as JSON")
            .reply(200, page)
            .example(None, Some(json!({ "data": [ { "id": "a", "title": "Buy groceries" } ],
                "total": 42, "hasMore": true, "has_more": true, "cursor": "bzUw" })))
            .fails(&[400, 401, 403, 429, 503])
    });
    entry!(POST "data/{entity}", "data.create", create, |route| {
        changes(route)
            .summary("Create a record; its id may be chosen")
            .header("Idempotency-Key", "A second request with this key gets the first answer")
            .reply(201, schemas::one_record())
            .example(
                Some(json!({ "title": "Buy groceries", "done": false })),
                Some(one_example(json!({ "title": "Buy groceries", "done": false }), Some(43))),
            )
            .fails(&[409])
    });
    entry!(DELETE "data/{entity}", "data.clear", clear, |route| {
        route
            .summary("Delete every record of an entity that the caller may delete")
            .empty_reply(204)
            .fails(&[400, 401, 403, 429, 503, 507])
    });
    entry!(GET "data/{entity}/{id}", "data.get", get, |route| {
        route
            .summary("One record; its last transaction is in ETag")
            .reply(200, schemas::one_record())
            .example(None, Some(one_example(json!({ "title": "Buy groceries" }), None)))
            .fails(&[400, 401, 403, 404, 429])
    });
    entry!(PATCH "data/{entity}/{id}", "data.update", update, |route| {
        updates(route).summary("Replace the fields that are sent").fails(&[404])
    });
    entry!(POST "data/{entity}/{id}", "data.update_by_post", update, |route| {
        updates(route).summary("As PATCH").fails(&[404])
    });
    entry!(PUT "data/{entity}/{id}", "data.replace", replace, |route| {
        updates(route).summary("Replace a record whole, or create it")
    });
    entry!(DELETE "data/{entity}/{id}", "data.delete", delete, |route| {
        route
            .summary("Delete a record")
            .header("If-Match", "Only if this transaction changed it last")
            .empty_reply(204)
            .fails(&[400, 401, 403, 404, 409, 429, 503, 507])
    });
    all
}

fn changes(route: Route) -> Route {
    route.body(schemas::object()).fails(&[400, 401, 403, 413, 429, 503, 507])
}

fn updates(route: Route) -> Route {
    changes(route)
        .header("If-Match", "Only if this transaction changed it last")
        .reply(200, schemas::one_record())
        .example(
            Some(json!({ "done": true })),
            Some(one_example(json!({ "title": "Buy groceries", "done": true }), Some(44))),
        )
        .fails(&[409])
}

fn one_example(fields: Value, tx: Option<i64>) -> Value {
    let fields = fields.as_object().cloned().unwrap_or_default();
    let (entity, id) = ("todos".into(), "a".into());
    envelope(Row { entity, id, tx: 43, created_at: 0, updated_at: 0, fields }, tx)
}

/// One record; `tx` after a write.
fn envelope(row: Row, tx: Option<i64>) -> Value {
    let (entity, id) = (row.entity.clone(), row.id.clone());
    let mut body = Map::new();
    let spread: Vec<(String, Value)> = row
        .fields
        .iter()
        .filter(|(name, _)| !ENVELOPE.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    body.insert("data".into(), Value::Object(record(row)));
    if let Some(tx) = tx {
        push_tx(&mut body, tx);
        body.insert("tx_id".into(), json!(tx));
    }
    body.insert("id".into(), Value::String(id));
    body.insert("entity".into(), Value::String(entity));
    body.extend(spread);
    Value::Object(body)
}

fn entity(asked: &Asked) -> Result<&str, Failure> {
    let name = asked.call.param(0);
    if is_entity(name) {
        Ok(name)
    } else {
        let message = format!("{:?} is not the name of an entity", quoted(name));
        Err(FormFault::at("entity", message).into())
    }
}

fn entity_and_id(asked: &Asked) -> Result<(&str, &str), Failure> {
    let (entity, id) = (entity(asked)?, asked.call.param(1));
    if is_id(id) {
        Ok((entity, id))
    } else {
        Err(FormFault::at("id", format!("{:?} is not a valid id", quoted(id))).into())
    }
}

async fn get(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let (entity, id) = entity_and_id(&asked)?;
    let started = Instant::now();
    let row = cx.engine.get_row(&asked.who, entity, id);
    cx.statistics.query(started.elapsed());
    let row = row?;
    let tag = format!("\"{}\"", row.tx);
    Ok(reply(StatusCode::OK, &envelope(row, None)).with(ETAG, &tag))
}

async fn list(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let entity = entity(&asked)?;
    let page = Page::read(&asked)?;
    let node = json!({ "$where": page.filter, "$order": page.order, "$offset": page.offset });
    let mut body = Map::new();
    body.insert(entity.to_owned(), node);
    let mut roots = parse_query(&Value::Object(body), cx.limits)?.roots;
    let Some(root) = roots.first_mut() else { return Err(Failure::invalid("no entity")) };
    // One more than asked for tells whether there are more.
    root.node.limit = Some(page.limit + 1);
    root.node.after = page.after;
    let ordered = !root.node.order.is_empty();
    let count = AggregateTerm { kind: AggregateKind::Count, of: None };
    let total = Node {
        filter: root.node.filter.clone(),
        aggregate: Some(Aggregate { terms: vec![count] }),
        ..Node::default()
    };
    roots.push(Root { entity: entity.to_owned(), node: total });
    let mut found = cx.run_tree(&asked.who, roots).await?.roots.into_iter();
    let (rows, total) = match (found.next(), found.next()) {
        (Some((_, RootValue::Rows(rows))), Some((_, RootValue::Value(total)))) => (rows, total),
        _ => (Vec::new(), json!(0)),
    };
    let wanted = page.limit as usize;
    let more = rows.len() > wanted;
    let cursor = more.then(|| match rows.get(wanted - 1) {
        Some(last) if !ordered => Cursor::After(last.rid),
        _ => Cursor::Offset(page.offset + u64::from(page.limit)),
    });
    let data: Vec<Value> =
        rows.into_iter().take(wanted).map(|row| Value::Object(row.fields)).collect();
    Ok(reply(
        StatusCode::OK,
        &json!({ "data": data, "total": total, "hasMore": more, "has_more": more,
                 "cursor": cursor.map(Cursor::text) }),
    ))
}

/// What a list asks for.
struct Page {
    limit: u32,
    offset: u64,
    after: Option<i64>,
    filter: Value,
    order: Value,
}

impl Page {
    fn read(asked: &Asked) -> Result<Self, Failure> {
        let query = &asked.call.query;
        let limit = number(asked, "limit")?.unwrap_or(PAGE_ROWS_DEFAULT.into());
        let limit = limit.clamp(1, PAGE_ROWS_MAX.into());
        let mut offset = number(asked, "offset")?.unwrap_or(0);
        let mut after = None;
        if let Some(text) = query.get("cursor").filter(|text| !text.is_empty()) {
            match Cursor::parse(text) {
                Some(Cursor::Offset(to)) => offset = to,
                Some(Cursor::After(rid)) => (offset, after) = (0, Some(rid)),
                None => return Err(FormFault::at("cursor", "is none of ours").into()),
            }
        }
        let order = query.all("order").filter(|text| !text.is_empty()).map(|text| {
            let (field, direction) = match text.rsplit_once(':') {
                Some((field, direction)) => (field, direction),
                None => (text, "asc"),
            };
            json!({ "field": field, "direction": direction })
        });
        let order: Vec<Value> = order.collect();
        if after.is_some() && !order.is_empty() {
            return Err(FormFault::at("cursor", "is of a list in another order").into());
        }
        let filter = match query.get("where").filter(|text| !text.is_empty()) {
            None => json!({}),
            Some(text) => json::parse(text.as_bytes())
                .map_err(|fault| FormFault::at("where", fault.to_string()))?,
        };
        let limit = u32::try_from(limit).unwrap_or(PAGE_ROWS_MAX);
        Ok(Self { limit, offset, after, filter, order: Value::Array(order) })
    }
}

/// A whole number among the parameters.
fn number(asked: &Asked, name: &'static str) -> Result<Option<u64>, Failure> {
    match asked.call.query.get(name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(FormFault::at(name, "must be a whole number, zero or more").into()),
        },
    }
}

/// Where the next page starts. In order of creation it is a place among the records, which stays right while others are
/// made and deleted; in another order it is a number of records.
enum Cursor {
    Offset(u64),
    After(i64),
}

impl Cursor {
    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Offset(offset) => format!("o{offset}"),
            Self::After(rid) => format!("a{rid}"),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        match plain.split_at_checked(1)? {
            ("o", offset) => offset.parse().ok().map(Self::Offset),
            ("a", rid) => rid.parse().ok().map(Self::After),
            _ => None,
        }
    }
}

async fn create(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let op = operation("insert", entity(&asked)?, None, asked.required_object()?)?;
    write(&cx, &asked, op, StatusCode::CREATED).await
}

async fn update(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let (entity, id) = entity_and_id(&asked)?;
    let mut op = operation("merge", entity, Some(id), asked.required_object()?)?;
    op.if_tx = if_match(&asked)?;
    write(&cx, &asked, op, StatusCode::OK).await
}

async fn replace(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let (entity, id) = entity_and_id(&asked)?;
    let mut op = operation("set", entity, Some(id), asked.required_object()?)?;
    op.if_tx = if_match(&asked)?;
    write(&cx, &asked, op, StatusCode::OK).await
}

async fn write(
    cx: &LiveFace,
    asked: &Asked,
    op: Mutation,
    status: StatusCode,
) -> Result<Reply, Failure> {
    let created = status == StatusCode::CREATED;
    let entity = op.entity.clone();
    let render = move |done: Mutated| {
        let Mutated { tx, results } = done;
        let row = results.into_iter().next().map(|result| match result.row {
            Some(row) => row,
            None => {
                Row { entity, id: result.id, tx, created_at: 0, updated_at: 0, fields: Map::new() }
            }
        });
        (status, row.map_or(Value::Null, |row| envelope(row, Some(tx))))
    };
    if created {
        return cx.transact(asked, vec![row_op(op)], Refused::Whole, render).await;
    }
    let done = cx.mutate(asked, vec![row_op(op)]).await?;
    let tag = format!("\"{}\"", done.tx);
    let (status, body) = render(done);
    Ok(reply(status, &body).with(ETAG, &tag))
}

impl LiveFace {
    /// Runs operations whose answer is not remembered.
    async fn mutate(
        &self,
        asked: &Asked,
        ops: Vec<crate::engine::RowOp>,
    ) -> Result<Mutated, Failure> {
        let started = Instant::now();
        match self.engine.mutate(&asked.who, ops).await? {
            Ok(done) => {
                self.statistics.mutation(started.elapsed());
                Ok(done)
            }
            Err(MutateError { error, .. }) => Err(error.into()),
        }
    }
}

/// One operation, with faults named as the client knows the fields.
fn operation(
    verb: &str,
    entity: &str,
    id: Option<&str>,
    data: Map<String, Value>,
) -> Result<Mutation, Failure> {
    let op = json!([{ "op": verb, "entity": entity, "id": id, "data": data }]);
    let own = |field: &str| {
        let field = field.strip_prefix("ops[0].").unwrap_or(field);
        field.strip_prefix("data.").unwrap_or(field).to_owned()
    };
    match parse_ops(&op) {
        Ok(mut mutations) => Ok(mutations.remove(0)),
        Err(FormFault::InvalidArgument { details, .. }) => {
            let details: Vec<Detail> = details
                .into_iter()
                .map(|detail| Detail { field: own(&detail.field), ..detail })
                .collect();
            let first = details.first().map(|d| format!("{}: {}", d.field, d.message));
            Err(Failure::invalid(first.unwrap_or_default()).with_details(details))
        }
        Err(fault) => Err(fault.into()),
    }
}

/// The transaction that must have changed the record last.
fn if_match(asked: &Asked) -> Result<Option<i64>, Failure> {
    let Some(value) = asked.call.headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match bare.parse::<i64>() {
        Ok(tx) if tx > 0 => Ok(Some(tx)),
        _ => Err(FormFault::at("If-Match", "must be a transaction number in quotes").into()),
    }
}

async fn delete(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let (entity, id) = entity_and_id(&asked)?;
    let mut op = row_op(operation("delete", entity, Some(id), Map::new())?);
    op.verb = Verb::Remove;
    op.if_tx = if_match(&asked)?;
    cx.mutate(&asked, vec![op]).await?;
    Ok(asked.no_content())
}

async fn clear(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let started = Instant::now();
    cx.engine.clear(&asked.who, entity(&asked)?).await?;
    cx.statistics.mutation(started.elapsed());
    Ok(asked.no_content())
}
