//! Add and remove one association.

use serde_json::{Map, Value};

use super::commit;
use super::special::GROUP;
use super::update::check_version;
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::links::{
    Association, ENTRIES_MAX, associations_text, one_association, stored_associations,
};
use crate::engine::record::type_of;
use crate::engine::{Caller, Engine, Inner, Record};
use crate::store::{Op, RecordRow, Unit};

impl Engine {
    /// Adds an association; one that is there already is no change.
    pub async fn associate(
        &self,
        caller: &Caller,
        id: &str,
        association: Map<String, Value>,
        if_match: Option<i64>,
    ) -> Result<Record> {
        let association = one_association(&association)?;
        self.on_record(caller, id, move |inner, unit, caller, row| {
            associate(inner, unit, caller, row, association, if_match)
        })
        .await
    }

    /// Removes an association by its identity; one that is not there is no change.
    pub async fn dissociate(
        &self,
        caller: &Caller,
        id: &str,
        association: Map<String, Value>,
        if_match: Option<i64>,
    ) -> Result<Record> {
        let association = one_association(&association)?;
        self.on_record(caller, id, move |inner, unit, caller, row| {
            Access::new(unit, &inner.owner, caller).check(Action::Update, &row)?;
            check_version(&row, if_match)?;
            let mut list = stored_associations(row.associations.as_deref());
            let before = list.len();
            list.retain(|known| *known != association);
            if list.len() == before {
                return Ok(row);
            }
            let actor = commit::actor(unit, caller)?;
            let next = RecordRow { associations: associations_text(&list), ..row.clone() };
            commit::replace(inner, unit, &row, next, Op::Dissociate, actor)
        })
        .await
    }
}

pub(crate) fn associate(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    row: RecordRow,
    association: Association,
    if_match: Option<i64>,
) -> Result<RecordRow> {
    let group = type_of(unit, row.type_id)?.base == GROUP;
    {
        let access = Access::new(unit, &inner.owner, caller);
        access.check(Action::Update, &row)?;
        check_version(&row, if_match)?;
        let one = std::slice::from_ref(&association);
        access.check_references(group, None, one, std::iter::empty())?;
    }
    let mut list = stored_associations(row.associations.as_deref());
    if list.contains(&association) {
        return Ok(row);
    }
    if list.len() >= ENTRIES_MAX {
        return Err(Error::invalid("associations", format!("at most {ENTRIES_MAX} entries")));
    }
    list.push(association);
    let actor = commit::actor(unit, caller)?;
    let next = RecordRow { associations: associations_text(&list), ..row.clone() };
    let row = commit::replace(inner, unit, &row, next, Op::Associate, actor)?;
    if group {
        inner.rights_changed();
    }
    Ok(row)
}
