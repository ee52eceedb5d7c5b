//! Replace the permissions of a record.

use serde_json::Value;

use super::commit;
use super::update::check_version;
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::links::{parse_permissions, permissions_text};
use crate::engine::{Caller, Engine, Record};
use crate::store::{Op, RecordRow};

impl Engine {
    /// Replaces the whole list; an equal list is no change.
    pub async fn set_permissions(
        &self,
        caller: &Caller,
        id: &str,
        permissions: Vec<Value>,
        if_match: Option<i64>,
    ) -> Result<Record> {
        self.on_record(caller, id, move |inner, unit, caller, row| {
            Access::new(unit, &inner.owner, caller).check(Action::Permit, &row)?;
            check_version(&row, if_match)?;
            let list = parse_permissions(&permissions).map_err(Error::Invalid)?;
            let text = permissions_text(&list);
            if text == row.permissions {
                return Ok(row);
            }
            let actor = commit::actor(unit, caller)?;
            let next = RecordRow { permissions: text, ..row.clone() };
            commit::replace(inner, unit, &row, next, Op::Permit, actor)
        })
        .await
    }
}
