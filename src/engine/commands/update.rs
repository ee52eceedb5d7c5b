//! Change the content of a record by a patch of its top-level keys.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::commit::{self, parsed};
use super::create::check_unique_fields;
use super::special;
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::record::{rid_of, shown_id, type_of};
use crate::engine::{Caller, Engine, Inner, Record};
use crate::schema::reserved_keys;
use crate::store::{Op, RecordRow, Unit, View};
use crate::util::json;

impl Engine {
    /// Applies a merge patch to the top level of the content: `null` removes a key, any other value replaces it whole.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &str,
        patch: Map<String, Value>,
        if_match: Option<i64>,
    ) -> Result<Record> {
        self.on_record(caller, id, move |inner, unit, caller, row| {
            update(inner, unit, caller, row, patch, if_match)
        })
        .await
    }

    /// Runs a command on one record as one unit of the writer. The record is looked up there: missing is 404 for everybody.
    pub(super) async fn on_record(
        &self,
        caller: &Caller,
        id: &str,
        work: impl FnOnce(&Inner, &mut Unit<'_>, &Caller, RecordRow) -> Result<RecordRow>
        + Send
        + 'static,
    ) -> Result<Record> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        let (inner, caller, id) = (Arc::clone(&self.inner), caller.clone(), id.to_owned());
        self.store()
            .write_several(move |unit| {
                let row = existing(unit, &id)?;
                let row = work(&inner, unit, &caller, row)?;
                Record::from_row(unit, row)
            })
            .await
    }
}

/// The current state of a record.
pub(crate) fn existing(view: &View<'_>, id: &str) -> Result<RecordRow> {
    let found = match rid_of(view, id)? {
        Some(rid) => view.record(rid)?,
        None => None,
    };
    found.ok_or_else(|| Error::missing_record(id))
}

/// The caller's version must be the current one.
pub(crate) fn check_version(row: &RecordRow, if_match: Option<i64>) -> Result<()> {
    match if_match {
        Some(expected) if expected != row.version => {
            Err(Error::Stale { record: shown_id(row), expected, actual: row.version })
        }
        _ => Ok(()),
    }
}

pub(crate) fn update(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    row: RecordRow,
    patch: Map<String, Value>,
    if_match: Option<i64>,
) -> Result<RecordRow> {
    let info = type_of(unit, row.type_id)?;
    let access = Access::new(unit, &inner.owner, caller);
    access.check(Action::Update, &row)?;
    check_version(&row, if_match)?;
    special::none(reserved_keys(&patch))?;
    let before = parsed(&row)?;
    let mut after = before.clone();
    for (key, value) in &patch {
        if value.is_null() {
            after.shift_remove(key);
        } else {
            after.insert(key.clone(), value.clone());
        }
    }
    special::check_binding_rights(&access, &info.base, Some(&before), &after)?;
    let files = info.schema.file_refs(&patch).into_iter().map(|(_, file)| file);
    access.check_references(false, None, &[], files)?;
    let mut faults = info.schema.validate(&after);
    faults.extend(special::attachment_patch_faults(&info.base, &patch, &before, &after));
    faults.extend(special::binding_faults(&info.base, &before, &after));
    faults.extend(special::grant_faults(&info.base, &after));
    special::none(faults)?;
    special::check_config(&info.base, &before, &after)?;
    special::check_unique_bindings(unit, &info.base, &after, row.rid)?;
    if row.deleted_at.is_none() {
        check_unique_fields(unit, &info, &after, row.rid)?;
    }
    let content = json::minify(&Value::Object(after));
    check_size(inner, &content)?;
    let actor = commit::actor(unit, caller)?;
    let next = RecordRow { content, ..row.clone() };
    commit::replace(inner, unit, &row, next, Op::Update, actor)
}

/// Patches must not grow a record past what one request may carry.
pub(crate) fn check_size(inner: &Inner, content: &str) -> Result<()> {
    let max = inner.options.content_bytes_max;
    if content.len() > max {
        return Err(Error::TooLarge { limit: "record content", max: max as u64 });
    }
    Ok(())
}
