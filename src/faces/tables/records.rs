//! One record: make it, read it, change it, delete it (tables 9.1 to 9.7).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::gate::{Asked, Need, TablesFace, reply};
use super::lists::{refuse_missing, shape};
use super::shape::{Shape, Source};
use crate::engine::{MutateError, Row, RowOp, RowResult, TableRights, Verb};
use crate::net::Reply;
use crate::schema::FieldFault;
use crate::schema::tables::{SYSTEM_FIELDS, Table};

const REQUIRED: &str = "This field is required";
const UPDATED_AT: &str = "updatedAt";

impl From<Row> for Source {
    fn from(row: Row) -> Self {
        let Row { id, created_at, updated_at, fields, .. } = row;
        Self { id, created_at, updated_at, content: fields }
    }
}

/// What a body asks to write, and the state it was written against.
struct Written {
    fields: Map<String, Value>,
    updated_at: Option<String>,
}

/// Both forms of a body: `{"fields":{…}}`, and the fields themselves.
fn written(mut body: Map<String, Value>) -> Written {
    let updated_at = body.get(UPDATED_AT).and_then(Value::as_str).map(str::to_owned);
    let fields = match body.shift_remove("fields") {
        Some(Value::Object(fields)) => fields,
        other => {
            body.shift_remove(UPDATED_AT);
            body.extend(other.map(|value| ("fields".to_owned(), value)));
            body
        }
    };
    Written { fields, updated_at }
}

/// Steps 7 and 8 of the order of checks: names that are not, may not or must not be written.
fn check_names(
    fields: &Map<String, Value>,
    table: &Table,
    rights: &TableRights,
) -> Result<(), Failure> {
    let read_only = |name: &str| match table.field(name) {
        Some(field) => field.kind.is_read_only(),
        None => SYSTEM_FIELDS.contains(&name),
    };
    let mut faults = Vec::new();
    for name in fields.keys() {
        if read_only(name) {
            let message = format!("Cannot write to readonly field '{name}'");
            faults.push(FieldFault::new(name.as_str(), message));
        } else if table.field(name).is_none() {
            faults.push(FieldFault::new(name.as_str(), "is no field of this table"));
        }
    }
    if !faults.is_empty() {
        return Err(Failure::invalid(faults));
    }
    match fields.keys().all(|name| rights.writes(name)) {
        true => Ok(()),
        false => Err(Failure::not_found()),
    }
}

fn operation(verb: Verb, table: &Table, id: Option<&str>, data: Map<String, Value>) -> RowOp {
    let (entity, id) = (table.family.clone(), id.map(str::to_owned));
    RowOp { verb, entity, id, data, targets: Vec::new(), if_tx: None }
}

impl TablesFace {
    async fn write(&self, asked: &Asked, op: RowOp) -> Result<RowResult, Failure> {
        let done = self.engine.mutate(&asked.who, vec![op]).await?;
        let done = done.map_err(|MutateError { error, .. }| error)?;
        done.results.into_iter().next().ok_or_else(Failure::not_found)
    }
}

/// Missing fields have a message of their own when nothing else is wrong.
fn named_missing(error: crate::engine::Error) -> Failure {
    let missing = match &error {
        crate::engine::Error::Invalid(faults) => faults.iter().all(|f| f.message == REQUIRED),
        _ => false,
    };
    let failure = Failure::from(error);
    if missing { failure.with_message("Missing required fields") } else { failure }
}

pub(super) async fn create(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Create)?;
    let Written { fields, .. } = written(asked.object()?);
    check_names(&fields, table, &rights)?;
    let op = operation(Verb::Insert, table, None, fields);
    let done = match cx.engine.mutate(&asked.who, vec![op]).await? {
        Ok(done) => done.results.into_iter().next().and_then(|result| result.row),
        Err(MutateError { error, .. }) => return Err(named_missing(error)),
    };
    let row = done.ok_or_else(Failure::not_found)?;
    let record = Shape::whole(table, &rights).record(row.into());
    Ok(reply(StatusCode::CREATED, &record))
}

pub(super) async fn get(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Read)?;
    refuse_missing(&asked)?;
    let shape = shape(&asked, table, &rights)?;
    let row = cx.engine.get_row(&asked.who, &table.family, asked.call.param(1))?;
    Ok(reply(StatusCode::OK, &shape.record(row.into())))
}

pub(super) async fn update(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Update)?;
    let Written { fields, updated_at } = written(asked.object()?);
    check_names(&fields, table, &rights)?;
    let id = asked.call.param(1);
    let before = cx.engine.get_row(&asked.who, &table.family, id)?;
    let shape = Shape::whole(table, &rights);
    if fields.is_empty() {
        let item = shape.item(before.into());
        return Ok(reply(StatusCode::OK, &json!({ "record": item })));
    }
    let mut op = operation(Verb::Merge, table, Some(id), fields);
    if let Some(seen) = updated_at {
        if seen != crate::util::time::format_ms(before.updated_at) {
            return Err(Failure::conflict("the record was changed since it was read"));
        }
        // What happens between this look and the write is a conflict as well.
        op.if_tx = Some(before.tx);
    }
    let row = cx.write(&asked, op).await?.row.ok_or_else(Failure::not_found)?;
    Ok(reply(StatusCode::OK, &shape.record(row.into())))
}

pub(super) async fn delete(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, _) = cx.table(&asked, Need::Delete)?;
    for name in ["permanent", "purge"] {
        if asked.call.query.get(name).is_some_and(|value| value != "false") {
            return Err(Failure::at(name, "is not supported yet"));
        }
    }
    cx.write(&asked, operation(Verb::Remove, table, Some(asked.call.param(1)), Map::new())).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
