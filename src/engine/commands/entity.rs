//! The owner's profile card.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::special::{ENTITY, cards_of};
use super::update::update;
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::record::shown_id;
use crate::engine::{Caller, Engine, Record};
use crate::store::{FIXED_IDS, RecordRow, View};

impl Engine {
    /// The `_entity@1` record of the owner, else a record that has the owner's DID as its id.
    pub fn owner_card(&self, caller: &Caller) -> Result<Record> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        self.store().read(|view| {
            let row = card(view, self.owner())?;
            Access::new(view, self.owner(), caller).check(Action::Read, &row)?;
            Record::from_row(view, row)
        })
    }

    pub async fn update_owner_card(
        &self,
        caller: &Caller,
        patch: Map<String, Value>,
    ) -> Result<Record> {
        self.check_alone(caller)?;
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store()
            .write_several(move |unit| {
                let row = card(unit, &inner.owner)?;
                let row = update(&inner, unit, &caller, row, patch, None)?;
                Record::from_row(unit, row)
            })
            .await
    }
}

fn card(view: &View<'_>, owner: &str) -> Result<RecordRow> {
    let types = view.types();
    let first = types.get("_entity@1").map(|info| info.row_id);
    let card = cards_of(view, ENTITY, owner)?
        .into_iter()
        .find(|row| row.deleted_at.is_none() && Some(row.type_id) == first);
    if let Some(card) = card {
        return Ok(card);
    }
    let by_id = match view.rid_of_alias(FIXED_IDS, owner)? {
        Some(rid) => view.record(rid)?,
        None => None,
    };
    by_id
        .filter(|row| row.deleted_at.is_none() && shown_id(row) == owner)
        .ok_or_else(|| Error::Missing { what: "profile", id: owner.to_owned() })
}
