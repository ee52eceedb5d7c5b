//! One operation on one row.

use serde_json::{Map, Value};

use super::{LIVE_CONFIG, Row, USERS, family_of, find_row, row_id};
use crate::engine::access::{Access, Action, profile_faults};
use crate::engine::commands::commit::{self, Fresh, parsed};
use crate::engine::commands::{check_size, check_unique_fields, special};
use crate::engine::error::{Error, Result};
use crate::engine::links::{Association, ENTRIES_MAX, associations_text, stored_associations};
use crate::engine::{Caller, Inner, tables};
use crate::schema::rules::Operation;
use crate::schema::{FieldFault, Schema, TypeId, words};
use crate::store::{AssociationKind, NewType, Op, RecordRow, TypeInfo, Unit};
use crate::util::id::RecordId;
use crate::util::json;

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Create, or replace whole.
    Set,
    /// Create; an existing row is a conflict.
    Insert,
    /// Replace the named fields of an existing row.
    Merge,
    /// Merge, or create.
    Upsert,
    /// A missing row is no fault.
    Delete,
    /// Delete; a missing row is one.
    Remove,
    Link,
    Unlink,
}

/// One operation. Ids and names are checked by the face.
#[derive(Clone, Debug)]
pub struct RowOp {
    pub verb: Verb,
    pub entity: String,
    pub id: Option<String>,
    /// Fields, without `id`.
    pub data: Map<String, Value>,
    /// For links: label, target collection when named, target id.
    pub targets: Vec<(String, Option<String>, String)>,
    /// The row's last change must be this unit; 0: it must not exist.
    pub if_tx: Option<i64>,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Created,
    Updated,
    Deleted,
    Noop,
    Linked,
    Unlinked,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Noop => "noop",
            Self::Linked => "linked",
            Self::Unlinked => "unlinked",
        }
    }
}

/// The outcome of one operation; `row` after the unit, for those that store content.
#[derive(Clone, Debug)]
pub struct RowResult {
    pub entity: String,
    pub id: String,
    pub status: Status,
    pub row: Option<Row>,
}

/// Applies one operation inside a unit.
pub(super) fn apply(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    op: &RowOp,
) -> Result<RowResult> {
    let family = family_of(&op.entity);
    let found = match &op.id {
        Some(id) => find_row(unit, family, id)?,
        None => None,
    };
    let operation = match (op.verb, &found) {
        (Verb::Delete | Verb::Remove, _) => Operation::Delete,
        (Verb::Set | Verb::Upsert, None) | (Verb::Insert, _) => Operation::Create,
        (Verb::Set | Verb::Upsert, Some(_)) | (Verb::Merge | Verb::Link | Verb::Unlink, _) => {
            Operation::Update
        }
    };
    // Whether the row exists is nothing to tell to somebody who may do nothing here.
    if Access::new(inner, unit, caller).is_closed(family, operation)? {
        return Err(Error::Denied);
    }
    if let Some(expected) = op.if_tx {
        check_tx(inner, unit, caller, op, found.as_ref(), expected)?;
    }
    match (op.verb, found) {
        (Verb::Set, Some(row)) => write(inner, unit, caller, op, row, op.data.clone()),
        (Verb::Merge | Verb::Upsert, Some(row)) => {
            let mut content = parsed(&row)?;
            for (field, value) in &op.data {
                content.insert(field.clone(), value.clone());
            }
            write(inner, unit, caller, op, row, content)
        }
        (Verb::Insert, Some(row)) => {
            // A row that the caller may not see is no reason to tell of it, but its id is taken all the same.
            Err(Error::Conflict(format!("{}/{} exists already", op.entity, row_id(&row))))
        }
        (Verb::Set | Verb::Insert | Verb::Upsert, None) => create(inner, unit, caller, op),
        (Verb::Delete | Verb::Remove, Some(row)) => {
            visible(inner, unit, caller, op, &row)?;
            commit_delete(inner, unit, caller, row, op)
        }
        (Verb::Delete, None) => Ok(RowResult {
            entity: op.entity.clone(),
            id: op.id.clone().unwrap_or_default(),
            status: Status::Noop,
            row: None,
        }),
        (Verb::Link | Verb::Unlink, Some(row)) => link(inner, unit, caller, op, row),
        (Verb::Merge | Verb::Remove | Verb::Link | Verb::Unlink, None) => Err(missing(op)),
    }
}

/// The row must be as the caller saw it last; what it may not see it cannot have seen.
fn check_tx(
    inner: &Inner,
    unit: &Unit<'_>,
    caller: &Caller,
    op: &RowOp,
    found: Option<&RecordRow>,
    expected: i64,
) -> Result<()> {
    match found {
        Some(_) if expected == 0 => Err(Error::Conflict(format!(
            "{}/{} exists already",
            op.entity,
            op.id.as_deref().unwrap_or_default()
        ))),
        Some(row) => {
            visible(inner, unit, caller, op, row)?;
            if row.tx == expected {
                return Ok(());
            }
            Err(Error::Conflict(format!("the record was last changed by transaction {}", row.tx)))
        }
        None if expected == 0 => Ok(()),
        None if matches!(op.verb, Verb::Merge | Verb::Remove | Verb::Link | Verb::Unlink) => {
            Err(missing(op))
        }
        None => Err(Error::Conflict("the record does not exist".into())),
    }
}

fn missing(op: &RowOp) -> Error {
    let id = format!("{}/{}", op.entity, op.id.as_deref().unwrap_or_default());
    Error::Missing { what: "record", id }
}

/// What the caller may not read does not exist for it.
fn visible(
    inner: &Inner,
    unit: &Unit<'_>,
    caller: &Caller,
    op: &RowOp,
    row: &RecordRow,
) -> Result<()> {
    let access = Access::new(inner, unit, caller);
    if access.may(Action::Read, row)? { Ok(()) } else { Err(access.hidden(row, || missing(op))?) }
}

fn commit_delete(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    row: RecordRow,
    op: &RowOp,
) -> Result<RowResult> {
    let id = row_id(&row);
    crate::engine::commands::delete(inner, unit, caller, row, None)?;
    Ok(RowResult { entity: op.entity.clone(), id, status: Status::Deleted, row: None })
}

fn write(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    op: &RowOp,
    row: RecordRow,
    content: Map<String, Value>,
) -> Result<RowResult> {
    visible(inner, unit, caller, op, &row)?;
    let types = unit.types();
    let info = types.by_row(row.type_id).cloned().ok_or_else(|| missing(op))?;
    {
        let access = Access::new(inner, unit, caller);
        access.check(Action::Update, &row)?;
        access.check_written(&info, Operation::Update, Some(&row), op.data.keys())?;
    }
    let kept = if op.verb == Verb::Set { Map::new() } else { parsed(&row)? };
    let content = tables::admitted(inner, &info, &op.data, Some(&kept))?.unwrap_or(content);
    Access::new(inner, unit, caller).check_result(&info, &row, &content)?;
    if tables::is_table(&info) && parsed(&row)? == content {
        // Nothing changed: no version, and the time of the last change stays.
        return Ok(done(op, &row, Status::Noop, content));
    }
    check_content(&info, &content)?;
    check_unique_fields(unit, &info, &content, row.rid)?;
    let text = json::minify(&Value::Object(content.clone()));
    check_size(inner, &text)?;
    let actor = commit::actor(unit, caller)?;
    let next = RecordRow { content: text, ..row.clone() };
    let stored = commit::replace(inner, unit, &row, next, Op::Update, actor)?;
    Ok(done(op, &stored, Status::Updated, content))
}

fn done(op: &RowOp, row: &RecordRow, status: Status, fields: Map<String, Value>) -> RowResult {
    let id = row_id(row);
    let shown = Row {
        entity: op.entity.clone(),
        id: id.clone(),
        tx: row.tx,
        created_at: row.created_at,
        updated_at: row.updated_at,
        fields,
    };
    RowResult { entity: op.entity.clone(), id, status, row: Some(shown) }
}

fn check_content(info: &TypeInfo, content: &Map<String, Value>) -> Result<()> {
    let faults: Vec<FieldFault> = info.schema.validate(content);
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// The type new rows of a collection get: the newest version, made open when there is none.
fn type_for(
    unit: &mut Unit<'_>,
    op: &RowOp,
    make: bool,
) -> Result<Option<std::sync::Arc<TypeInfo>>> {
    let family = family_of(&op.entity);
    let types = unit.types();
    let newest = types
        .family(family)
        .iter()
        .filter_map(|row| types.by_row(*row))
        .max_by_key(|info| info.version);
    if let Some(info) = newest {
        return Ok(Some(std::sync::Arc::clone(info)));
    }
    if !make {
        return Ok(None);
    }
    let schema = Schema::default();
    let made = unit.insert_type(NewType {
        id: TypeId::new(family, 1),
        name: op.entity.clone(),
        schema_text: "{}".into(),
        schema_hash: schema.hash(),
        schema,
        migrates_from: None,
        search: true,
        collection_config: Some(LIVE_CONFIG.into()),
        created_at: None,
    })?;
    Ok(Some(made))
}

fn create(inner: &Inner, unit: &mut Unit<'_>, caller: &Caller, op: &RowOp) -> Result<RowResult> {
    let known = type_for(unit, op, false)?;
    // An id in the stack's own form that is free is the record id itself; any other becomes the alias.
    let (rid, alias) = match &op.id {
        None => (inner.mint.mint(), None),
        Some(id) => match RecordId::parse(id).filter(|rid| is_near(inner, *rid)) {
            Some(rid) if !unit.record_exists(rid.as_i64())? => (rid, None),
            _ => (inner.mint.mint(), Some(id.clone())),
        },
    };
    let actor = commit::actor(unit, caller)?;
    let ids = (rid.as_i64(), known.as_ref().map_or(0, |info| info.row_id));
    let content = json::minify(&Value::Object(op.data.clone()));
    let mut row = RecordRow { alias, ..commit::new_row(unit, ids, actor, content) };
    // What a table makes of the fields is judged by its rules too, but faults are told only to those who may write.
    let admitted = known.as_deref().map(|info| tables::admitted(inner, info, &op.data, None));
    let (data, faults) = match admitted.transpose() {
        Ok(data) => (data.flatten(), None),
        Err(error) => (None, Some(error)),
    };
    let data = data.as_ref().unwrap_or(&op.data);
    {
        let access = Access::new(inner, unit, caller);
        if let Some(info) = known.as_deref().filter(|info| tables::is_table(info)) {
            // Defaults are the table's own; only what was written needs the right to write it.
            access.check_written(info, Operation::Create, None, op.data.keys())?;
            access.check_new_table_row(info, &row, data)?;
        } else {
            access.check_new_row(family_of(&op.entity), known.as_deref(), &row, data)?;
        }
    }
    if let Some(error) = faults {
        return Err(error);
    }
    row.content = json::minify(&Value::Object(data.clone()));
    if op.entity == USERS {
        special::none(profile_faults(&op.data))?;
    }
    let Some(info) = type_for(unit, op, true)? else { return Err(missing(op)) };
    check_content(&info, data)?;
    row.type_id = info.row_id;
    check_size(inner, &row.content)?;
    check_unique_fields(unit, &info, data, rid.as_i64())?;
    if row.alias.is_none() && tables::is_table(&info) {
        row.alias = Some(tables::next_number(unit, &info)?);
    }
    if let Some(alias) = &row.alias {
        unit.add_alias(info.collection, alias, row.rid)?;
    }
    let words = if info.search { words::text_of(data) } else { String::new() };
    let fresh = Fresh { info: &info, row: &row, associations: &[], content: data, text: &words };
    commit::insert(inner, unit, &fresh, actor)?;
    Ok(done(op, &row, Status::Created, data.clone()))
}

/// Ids that order near now may be the record's own; others would upset the order of creation.
fn is_near(inner: &Inner, id: RecordId) -> bool {
    const NEAR_MS: i64 = 60_000;
    (id.timestamp_ms() - inner.clock().now_ms()).abs() < NEAR_MS
}

fn link(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    op: &RowOp,
    row: RecordRow,
) -> Result<RowResult> {
    visible(inner, unit, caller, op, &row)?;
    Access::new(inner, unit, caller).check(Action::Update, &row)?;
    let mut list = stored_associations(row.associations.as_deref());
    let before = list.len();
    for (label, entity, id) in &op.targets {
        let target = resolve(unit, label, entity.as_deref(), id)?;
        match (op.verb, target) {
            (Verb::Link, None) => {
                let entity = entity.as_deref().unwrap_or(label);
                return Err(Error::Missing { what: "record", id: format!("{entity}/{id}") });
            }
            (Verb::Link, Some(target)) => {
                visible(inner, unit, caller, op, &target)?;
                let edge = edge(label, &target);
                if !list.contains(&edge) {
                    list.push(edge);
                }
            }
            (_, None) => {}
            (_, Some(target)) => {
                let edge = edge(label, &target);
                list.retain(|known| *known != edge);
            }
        }
    }
    if list.len() > ENTRIES_MAX {
        return Err(Error::invalid("target", format!("at most {ENTRIES_MAX} links")));
    }
    let (status, kind) = match op.verb {
        Verb::Link => (Status::Linked, Op::Associate),
        _ => (Status::Unlinked, Op::Dissociate),
    };
    let id = row_id(&row);
    if list.len() != before {
        let actor = commit::actor(unit, caller)?;
        let next = RecordRow { associations: associations_text(&list), ..row.clone() };
        commit::replace(inner, unit, &row, next, kind, actor)?;
    }
    Ok(RowResult { entity: op.entity.clone(), id, status, row: None })
}

fn edge(label: &str, target: &RecordRow) -> Association {
    Association {
        kind: AssociationKind::Relationship,
        label: label.to_owned(),
        target: crate::engine::record::shown_id(target),
    }
}

/// The row a link points at: in the named collection, else in the one called like the label, else wherever the id is.
fn resolve(
    unit: &Unit<'_>,
    label: &str,
    entity: Option<&str>,
    id: &str,
) -> Result<Option<RecordRow>> {
    if let Some(entity) = entity {
        return Ok(find_row(unit, family_of(entity), id)?);
    }
    if let Some(row) = find_row(unit, family_of(label), id)? {
        return Ok(Some(row));
    }
    holder_of(unit, id, &[])
}

/// The live row with this id, in the first of the preferred collections that has it, else the alphabetically first.
pub(crate) fn holder_of(
    view: &crate::store::View<'_>,
    id: &str,
    preferred: &[&str],
) -> Result<Option<RecordRow>> {
    for entity in preferred {
        if let Some(row) = find_row(view, family_of(entity), id)? {
            return Ok(Some(row));
        }
    }
    let types = view.types();
    let mut rids = view.rids_of_alias(id)?;
    rids.extend(RecordId::parse(id).map(RecordId::as_i64));
    let mut rows = Vec::new();
    for rid in rids {
        let Some(row) = view.record(rid)?.filter(|row| row.deleted_at.is_none()) else {
            continue;
        };
        if row_id(&row) == id
            && let Some(info) = types.by_row(row.type_id)
        {
            rows.push((info.base.clone(), row));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows.into_iter().next().map(|(_, row)| row))
}
