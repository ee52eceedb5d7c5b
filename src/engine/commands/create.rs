//! Create a record: every check of the stack protocol 7.1, in its order.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::commit::{self, Fresh, parse_stored};
use super::special;
use crate::engine::access::{ATTACHMENT, Access};
use crate::engine::error::{Error, Result};
use crate::engine::links::{
    Association, associations_text, parse_associations, parse_permissions, permissions_text,
};
use crate::engine::{Caller, Engine, Inner, Record};
use crate::schema::{FieldFault, reserved_keys, words};
use crate::store::{
    Actor, AssociationKind, Bind, FIXED_IDS, RecordRow, TypeInfo, Unit, View, json_bind,
};
use crate::util::id::RecordId;
use crate::util::json;

/// How far a client's id may lie from the clock.
const ID_SKEW_MS_MAX: i64 = 24 * 3_600_000;

/// What somebody asks to store.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    pub id: Option<String>,
    pub type_id: String,
    pub content: Map<String, Value>,
    pub parent: Option<String>,
    pub app: Option<String>,
    /// Entries in wire form.
    pub permissions: Vec<Value>,
    pub associations: Vec<Value>,
}

/// Where a new record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Somebody's request: it proves nothing beyond itself.
    Request,
    /// The bytes of the file it describes came with it.
    Upload,
}

/// A new record after every check that needs no writer.
pub(crate) struct Prepared {
    info: Arc<TypeInfo>,
    id: RecordId,
    /// The client chose the id.
    chosen: bool,
    content: Map<String, Value>,
    content_text: String,
    words: String,
    parent: Option<String>,
    app: Option<String>,
    permissions: Option<String>,
    associations: Vec<Association>,
    /// Points at other records or files, which may go away before the writer gets to it.
    refers: bool,
    rights_epoch: u64,
}

impl Engine {
    /// Creates a record.
    ///
    /// # Errors
    /// In the order of the stack protocol 7.1.
    pub async fn create(&self, caller: &Caller, new: NewRecord) -> Result<Record> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        let inner = Arc::clone(&self.inner);
        // The owner's own records of plain types need nothing from the file: no snapshot is opened for them.
        let prepared = if self.is_owner_alone(caller) && !new.type_id.starts_with('_') {
            let types = self.types();
            let Some(info) = types.get(&new.type_id) else { return Err(no_such_type()) };
            prepare(&inner, None, caller, new, info, Source::Request)?
        } else {
            self.store().read(|view| prepare_on(&inner, view, caller, new, Source::Request))?
        };
        let caller = caller.clone();
        let several = prepared.has_edges();
        let work = move |unit: &mut Unit<'_>| {
            let row = store_prepared(&inner, unit, &caller, prepared)?;
            Record::from_row(unit, row)
        };
        if several {
            self.store().write_several(work).await
        } else {
            self.store().write(work).await
        }
    }
}

fn no_such_type() -> Error {
    Error::invalid("typeId", "no such type")
}

/// Checks a new record on a snapshot or inside a unit.
pub(crate) fn prepare_on(
    inner: &Inner,
    view: &View<'_>,
    caller: &Caller,
    new: NewRecord,
    source: Source,
) -> Result<Prepared> {
    let types = view.types();
    let info = types.get(&new.type_id).ok_or_else(no_such_type)?;
    let access = Access::new(inner, view, caller);
    prepare(inner, Some(&access), caller, new, info, source)
}

/// `access` is absent for the owner alone and a plain type.
fn prepare(
    inner: &Inner,
    access: Option<&Access<'_>>,
    caller: &Caller,
    new: NewRecord,
    info: &Arc<TypeInfo>,
    source: Source,
) -> Result<Prepared> {
    let rights_epoch = inner.rights_epoch();
    if let Some(access) = access {
        check_rights(access, caller, &new, info, source)?;
    }
    let id = new.id.as_deref().map(|id| checked_id(inner, id)).transpose()?;
    let mut faults = reserved_keys(&new.content);
    let associations = parse_associations(&new.associations);
    let refers = new.parent.is_some()
        || !new.associations.is_empty()
        || !info.schema.file_refs(&new.content).is_empty();
    if let Some(access) = access {
        let files = info.schema.file_refs(&new.content).into_iter().map(|(_, file)| file);
        access.check_references(
            info.base == special::GROUP,
            new.parent.as_deref(),
            associations.as_deref().unwrap_or_default(),
            files,
        )?;
    }
    faults.extend(info.schema.validate(&new.content));
    faults.extend(special::grant_faults(&info.base, &new.content));
    let permissions = collect(parse_permissions(&new.permissions), &mut faults);
    let mut associations = collect(associations, &mut faults);
    special::none(faults)?;
    if info.base == special::CONFIG {
        return Err(Error::Conflict("a stack has one settings record, _config".into()));
    }
    if let Some(access) = access {
        special::check_media_type(access.view(), info, &new.content)?;
        special::check_unique_bindings(access.view(), &info.base, &new.content, -1)?;
    }
    if info.base == special::GROUP
        && let Some(subject) = caller.subject()
    {
        let stamp = Association {
            kind: AssociationKind::Relationship,
            label: "admin".into(),
            target: subject.into(),
        };
        if !associations.contains(&stamp) {
            associations.push(stamp);
        }
    }
    let content = Value::Object(new.content);
    let content_text = json::minify(&content);
    let Value::Object(content) = content else { unreachable!("made two lines above") };
    Ok(Prepared {
        info: Arc::clone(info),
        chosen: id.is_some(),
        id: id.unwrap_or_else(|| inner.mint.mint()),
        words: if info.search { words::text_of(&content) } else { String::new() },
        content,
        content_text,
        parent: new.parent,
        app: new.app,
        permissions: permissions_text(&permissions),
        associations,
        refers,
        rights_epoch,
    })
}

fn collect<T: Default>(result: Result<T, Vec<FieldFault>>, faults: &mut Vec<FieldFault>) -> T {
    result.unwrap_or_else(|more| {
        faults.extend(more);
        T::default()
    })
}

/// Steps 4 to 7: what the requester must be allowed before the record itself is looked at.
fn check_rights(
    access: &Access<'_>,
    caller: &Caller,
    new: &NewRecord,
    info: &TypeInfo,
    source: Source,
) -> Result<()> {
    if !access.may_create(&info.base)? {
        return Err(Error::Denied);
    }
    if info.base == ATTACHMENT && source == Source::Request && !access.alone() {
        // One's own earlier metadata does not help: else knowing a hash would be enough to claim the file.
        let reachable = match new.content.get("fileId").and_then(Value::as_str) {
            Some(file) => access.reads_reference_to(file)?,
            None => false,
        };
        if !reachable {
            return Err(Error::Denied);
        }
    }
    if !new.permissions.is_empty()
        && caller.is_delegated()
        && caller.principal() != Some(access.owner())
    {
        return Err(Error::Denied);
    }
    special::check_binding_rights(access, &info.base, None, &new.content)?;
    special::check_app(access, new.app.as_deref())
}

/// Step 8: the form of a chosen id, then its distance from the clock.
fn checked_id(inner: &Inner, id: &str) -> Result<RecordId> {
    if id.starts_with('_') {
        return Err(Error::BadRequest("ids that start with _ are reserved".into()));
    }
    let Some(parsed) = RecordId::parse(id) else {
        return Err(Error::BadRequest("an id is 12 characters of Crockford base 32".into()));
    };
    if (parsed.timestamp_ms() - inner.clock().now_ms()).abs() > ID_SKEW_MS_MAX {
        return Err(Error::invalid("id", "its time is more than 24 hours from the server's"));
    }
    Ok(parsed)
}

/// What is left for the writer: what may have changed since, uniqueness, and storing.
pub(crate) fn store_prepared(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    prepared: Prepared,
) -> Result<RecordRow> {
    let alone = caller.principal() == Some(&*inner.owner) && !caller.is_delegated();
    if !alone && (prepared.refers || prepared.rights_epoch != inner.rights_epoch()) {
        let access = Access::new(inner, unit, caller);
        if !access.may_create(&prepared.info.base)? {
            return Err(Error::Denied);
        }
        let files = prepared.info.schema.file_refs(&prepared.content);
        access.check_references(
            prepared.info.base == special::GROUP,
            prepared.parent.as_deref(),
            &prepared.associations,
            files.into_iter().map(|(_, file)| file),
        )?;
    }
    special::check_media_type(unit, &prepared.info, &prepared.content)?;
    special::check_unique_bindings(unit, &prepared.info.base, &prepared.content, -1)?;
    let rid = prepared.id.as_i64();
    check_unique_fields(unit, &prepared.info, &prepared.content, rid)?;
    if prepared.chosen && unit.record_exists(rid)? {
        return Err(Error::Conflict(format!("id {} is in use", prepared.id)));
    }
    let actor = commit::actor(unit, caller)?;
    let ids = (rid, prepared.info.row_id);
    let row = RecordRow {
        app: prepared.app.as_deref().map(|app| unit.intern(app)).transpose()?,
        parent: prepared.parent,
        permissions: prepared.permissions,
        associations: associations_text(&prepared.associations),
        ..commit::new_row(unit, ids, actor, prepared.content_text)
    };
    let fresh = Fresh {
        info: &prepared.info,
        row: &row,
        associations: &prepared.associations,
        content: &prepared.content,
        text: &prepared.words,
    };
    commit::insert(inner, unit, &fresh, actor)?;
    Ok(row)
}

impl Prepared {
    /// Storing takes several statements that depend on one another.
    fn has_edges(&self) -> bool {
        !self.associations.is_empty()
    }
}

/// Fields declared `unique` hold a value once among the live records of their type.
pub(crate) fn check_unique_fields(
    view: &View<'_>,
    info: &TypeInfo,
    content: &Map<String, Value>,
    except: i64,
) -> Result<()> {
    for (name, _) in info.schema.fields().filter(|(_, field)| field.unique) {
        let Some(value) = content.get(name).map(json_bind) else { continue };
        if value != Bind::Null && view.holds_value(info.row_id, name, &value, except)? {
            return Err(Error::Taken { field: name.to_owned() });
        }
    }
    Ok(())
}

/// For commands that undo a deletion: the values must be free again.
pub(crate) fn check_unique_of(view: &View<'_>, info: &TypeInfo, row: &RecordRow) -> Result<()> {
    if info.schema.fields().any(|(_, field)| field.unique) {
        check_unique_fields(view, info, &parse_stored(&row.content)?, row.rid)?;
    }
    Ok(())
}

/// A record of the product's own making: no author, no gate. `fixed` is an id outside the format.
pub(crate) fn create_checked(
    inner: &Inner,
    unit: &mut Unit<'_>,
    type_id: &str,
    content: Map<String, Value>,
    fixed: Option<&str>,
) -> Result<RecordRow> {
    let types = unit.types();
    let info = types.get(type_id).ok_or_else(no_such_type)?;
    let rid = inner.mint.mint().as_i64();
    if let Some(alias) = fixed {
        unit.add_alias(FIXED_IDS, alias, rid)?;
    }
    let text = if info.search { words::text_of(&content) } else { String::new() };
    let (ids, actor) = ((rid, info.row_id), Actor::default());
    let content_text = json::minify(&Value::Object(content.clone()));
    let row = RecordRow {
        alias: fixed.map(str::to_owned),
        ..commit::new_row(unit, ids, actor, content_text)
    };
    let fresh = Fresh { info, row: &row, associations: &[], content: &content, text: &text };
    commit::insert(inner, unit, &fresh, actor)?;
    Ok(row)
}
