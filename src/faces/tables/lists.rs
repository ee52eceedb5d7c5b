//! Pages of records (tables 3.6, 9.5).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::Failure;
use super::filter::Names;
use super::gate::{Asked, Need, TablesFace, reply};
use super::shape::{Shape, Source};
use crate::engine::RootValue;
use crate::engine::tree::{Aggregate, AggregateTerm, Node, Root};
use crate::net::Reply;
use crate::schema::filter::{AggregateKind, Filter};
use crate::schema::tables::{SYSTEM_FIELDS, Table};

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 100;
/// Parameters of the protocol that are not served yet; ignoring them would give wrong answers.
const MISSING: [&str; 8] = [
    "filterByFormula",
    "aggregate",
    "groupBy",
    "view",
    "format",
    "timezone",
    "deleted",
    "includeDeleted",
];

struct Window {
    limit: u64,
    offset: u64,
}

impl Window {
    fn read(asked: &Asked) -> Result<Self, Failure> {
        let number = |name: &'static str, least: u64, most: u64| {
            let Some(text) = asked.call.query.get(name) else { return Ok(None) };
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.map(Some).ok_or_else(|| {
                Failure::at(name, format!("must be a whole number, {least} to {most}"))
            })
        };
        const FAR: u64 = u32::MAX as u64;
        let limit = number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let offset = number("offset", 0, FAR)?;
        let page = number("page", 1, FAR)?;
        let offset = offset.unwrap_or_else(|| (page.unwrap_or(1) - 1) * limit);
        Ok(Self { limit, offset })
    }

    fn describe(&self, total: u64) -> Value {
        let page = self.offset / self.limit + 1;
        json!({
            "page": page, "limit": self.limit, "offset": self.offset, "total": total,
            "totalPages": total.div_ceil(self.limit),
            "hasNextPage": self.offset + self.limit < total,
            "hasPreviousPage": self.offset > 0,
        })
    }
}

/// The names in `fields`; an unknown one is a fault.
fn selected<'a>(asked: &'a Asked, table: &Table) -> Result<Option<Vec<&'a str>>, Failure> {
    let Some(text) = asked.call.query.get("fields") else { return Ok(None) };
    let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let known = |name: &str| table.field(name).is_some() || SYSTEM_FIELDS.contains(&name);
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(Failure::at("fields", format!("there is no field {name:?}"))),
        None => Ok(Some(names)),
    }
}

/// The fields a request wants to see.
pub(super) fn shape<'t>(
    asked: &Asked,
    table: &'t Table,
    rights: &crate::engine::TableRights,
) -> Result<Shape<'t>, Failure> {
    let whole = Shape::whole(table, rights);
    Ok(match selected(asked, table)? {
        Some(names) => whole.only(&names),
        None => whole,
    })
}

/// Parameters whose absence would change what an answer means.
pub(super) fn refuse_missing(asked: &Asked) -> Result<(), Failure> {
    let query = &asked.call.query;
    let given = |name: &&&str| query.get(name).is_some_and(|value| value != "false");
    match MISSING.iter().find(given) {
        Some(name) => Err(Failure::at(name, "is not supported yet")),
        None => Ok(()),
    }
}

pub(super) async fn list(cx: Arc<TablesFace>, asked: Asked) -> Result<Reply, Failure> {
    let (table, rights) = cx.table(&asked, Need::Read)?;
    refuse_missing(&asked)?;
    let window = Window::read(&asked)?;
    let shape = shape(&asked, table, &rights)?;
    let names = Names { table, rights: &rights };
    let query = &asked.call.query;
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
    let mut parts = Vec::new();
    if let Some(text) = given("filter") {
        parts.push(names.filter(text)?);
    }
    if let Some(text) = given("q") {
        parts.push(names.search(text)?);
    }
    let order = names.sort(given("sort").unwrap_or(""), given("order"))?;
    let filter = Filter::And(parts);
    let count = AggregateTerm { kind: AggregateKind::Count, of: None };
    let total = Node {
        filter: filter.clone(),
        aggregate: Some(Aggregate { terms: vec![count] }),
        ..Node::default()
    };
    let page = Node {
        filter,
        order,
        limit: u32::try_from(window.limit).ok(),
        offset: window.offset,
        ..Node::default()
    };
    let root = |node| Root { entity: table.family.clone(), node };
    let answer = cx.engine.run_tree(&asked.who, Arc::new(vec![root(page), root(total)])).await?;
    let (mut records, mut total) = (Vec::new(), 0);
    for (_, value) in answer.roots {
        match value {
            RootValue::Value(value) => total = value.as_u64().unwrap_or(0),
            RootValue::Rows(rows) => {
                records.extend(rows.into_iter().map(|row| {
                    Value::Object(shape.item(Source {
                        id: row.id,
                        created_at: row.created_at,
                        updated_at: row.updated_at,
                        content: row.fields,
                    }))
                }));
            }
        }
    }
    let body = json!({ "records": records, "pagination": window.describe(total) });
    Ok(reply(StatusCode::OK, &body))
}
