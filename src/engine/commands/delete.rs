//! Soft delete, undelete, and removal for good.

use super::commit;
use super::create::check_unique_of;
use super::special::CONFIG;
use super::update::{check_version, existing};
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::record::{is_fixed, type_of};
use crate::engine::{Caller, Engine, Inner, Record};
use crate::store::{FIXED_IDS, Op, RecordRow, Unit};

impl Engine {
    /// Marks a record as deleted; history and associations stay. Deleting twice is no change.
    pub async fn delete(&self, caller: &Caller, id: &str, if_match: Option<i64>) -> Result<Record> {
        self.on_record(caller, id, move |inner, unit, caller, row| {
            delete(inner, unit, caller, row, if_match)
        })
        .await
    }

    pub async fn undelete(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<i64>,
    ) -> Result<Record> {
        self.on_record(caller, id, move |inner, unit, caller, row| {
            undelete(inner, unit, caller, row, if_match)
        })
        .await
    }

    /// Removes a record, its associations and its history. Journal entries stay, without content.
    pub async fn purge(&self, caller: &Caller, id: &str, if_match: Option<i64>) -> Result<()> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        let (inner, caller, id) =
            (std::sync::Arc::clone(&self.inner), caller.clone(), id.to_owned());
        self.store()
            .write_several(move |unit| {
                let row = existing(unit, &id)?;
                let access = Access::new(&inner, unit, &caller);
                access.check(Action::Delete, &row)?;
                access.check(Action::Purge, &row)?;
                refuse_config(unit, &row)?;
                check_version(&row, if_match)?;
                let actor = commit::actor(unit, &caller)?;
                commit::purge(&inner, unit, &row, actor)
            })
            .await
    }
}

pub(super) fn refuse_config(unit: &Unit<'_>, row: &RecordRow) -> Result<()> {
    if type_of(unit, row.type_id)?.base == CONFIG {
        return Err(Error::Conflict("the settings record cannot be deleted".into()));
    }
    Ok(())
}

pub(crate) fn delete(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    row: RecordRow,
    if_match: Option<i64>,
) -> Result<RecordRow> {
    Access::new(inner, unit, caller).check(Action::Delete, &row)?;
    refuse_config(unit, &row)?;
    check_version(&row, if_match)?;
    if row.deleted_at.is_some() {
        return Ok(row);
    }
    let actor = commit::actor(unit, caller)?;
    if let Some(alias) = &row.alias {
        // The chosen id is free again; the record keeps showing it. Fixed ids are kept elsewhere and stay.
        let collection = type_of(unit, row.type_id)?.collection;
        unit.remove_alias(collection, alias)?;
    }
    let next = RecordRow { deleted_at: Some(unit.at()), ..row.clone() };
    commit::replace(inner, unit, &row, next, Op::Delete, actor)
}

pub(crate) fn undelete(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    row: RecordRow,
    if_match: Option<i64>,
) -> Result<RecordRow> {
    Access::new(inner, unit, caller).check(Action::Delete, &row)?;
    check_version(&row, if_match)?;
    if row.deleted_at.is_none() {
        return Ok(row);
    }
    let info = type_of(unit, row.type_id)?;
    check_unique_of(unit, &info, &row)?;
    let fixed = |alias: &str| -> Result<bool> {
        Ok(is_fixed(alias) && unit.rid_of_alias(FIXED_IDS, alias)? == Some(row.rid))
    };
    if let Some(alias) = &row.alias
        && !fixed(alias)?
    {
        if unit.rid_of_alias(info.collection, alias)?.is_some() {
            return Err(Error::Conflict(format!("another record is called {alias} now")));
        }
        unit.add_alias(info.collection, alias, row.rid)?;
    }
    let actor = commit::actor(unit, caller)?;
    let next = RecordRow { deleted_at: None, ..row.clone() };
    commit::replace(inner, unit, &row, next, Op::Undelete, actor)
}
