//! One row, as its caller may see it.

use serde_json::{Map, Value};

use super::{Row, USER_FAMILY, family_of, find_row, row_id};
use crate::engine::access::{Access, Action, is_ruled};
use crate::engine::commands::commit::parsed;
use crate::engine::error::{Error, Result};
use crate::engine::query::run::profile;
use crate::engine::record::type_of;
use crate::engine::{Caller, Engine};
use crate::schema::rules::{Decision, Operation};
use crate::store::RecordRow;

impl Engine {
    /// A live row of a collection, by alias or record id. Runs inline.
    ///
    /// # Errors
    /// [`Error::Denied`] where the caller may read nothing of the collection; else [`Error::Missing`] for a row that does
    /// not exist or that the caller may not read.
    pub fn get_row(&self, caller: &Caller, entity: &str, id: &str) -> Result<Row> {
        let family = family_of(entity);
        let missing = || Error::Missing { what: "record", id: format!("{entity}/{id}") };
        self.store().read(|view| {
            let access = Access::new(&self.inner, view, caller);
            if access.is_closed(family, Operation::Read)? {
                return Err(Error::Denied);
            }
            let row = find_row(view, family, id)?.ok_or_else(missing)?;
            if !access.may(Action::Read, &row)? {
                return Err(missing());
            }
            let fields = shown_fields(&access, &row)?;
            Ok(Row {
                entity: entity.to_owned(),
                id: row_id(&row),
                tx: row.tx,
                created_at: row.created_at,
                updated_at: row.updated_at,
                fields,
            })
        })
    }
}

/// The fields of a row that the caller may read.
pub(super) fn shown_fields(access: &Access<'_>, row: &RecordRow) -> Result<Map<String, Value>> {
    let info = type_of(access.view(), row.type_id)?;
    let mut content = parsed(row)?;
    if is_ruled(&info) {
        let rules = access.field_rules(&info.base, Operation::Read);
        access.mask(&rules, row, &mut content)?;
        if info.base == USER_FAMILY {
            profile(row, &rules, &mut content);
        }
    }
    Ok(content)
}

impl Access<'_> {
    /// Whether nothing of a collection is open to the caller for an operation, whatever the row.
    pub(super) fn is_closed(&self, family: &str, operation: Operation) -> Result<bool> {
        if family.starts_with('_') && family != USER_FAMILY {
            return Ok(operation != Operation::Read || !self.alone());
        }
        let types = self.view().types();
        let rows = types.family(family);
        let ruled = rows.is_empty()
            || rows.iter().filter_map(|row| types.by_row(*row)).any(|info| is_ruled(info));
        Ok(ruled && self.live_rule(family, operation)? == Decision::Deny)
    }
}
