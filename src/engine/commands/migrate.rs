//! Move a record to another type, with new content.

use serde_json::{Map, Value};

use super::commit::{self, parsed};
use super::create::check_unique_fields;
use super::special;
use super::update::check_version;
use crate::engine::access::{ATTACHMENT, Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::record::type_of;
use crate::engine::{Caller, Engine, Record};
use crate::schema::{FieldFault, reserved_keys};
use crate::store::{Op, RecordRow};
use crate::util::json;

impl Engine {
    /// The only way, apart from restore, by which a record changes its type. For the owner alone.
    pub async fn migrate(
        &self,
        caller: &Caller,
        id: &str,
        to_type: &str,
        content: Map<String, Value>,
        if_match: Option<i64>,
    ) -> Result<Record> {
        self.check_alone(caller)?;
        // An unregistered target is refused before the record is looked for.
        if self.types().get(to_type).is_none() {
            return Err(Error::invalid("toTypeId", "no such type"));
        }
        let to_type = to_type.to_owned();
        self.on_record(caller, id, move |inner, unit, caller, row| {
            Access::new(unit, &inner.owner, caller).check(Action::Purge, &row)?;
            let types = unit.types();
            let Some(info) = types.get(&to_type) else {
                return Err(Error::invalid("toTypeId", "no such type"));
            };
            check_version(&row, if_match)?;
            let old = type_of(unit, row.type_id)?;
            let before = parsed(&row)?;
            let mut faults = reserved_keys(&content);
            faults.extend(info.schema.validate(&content));
            faults.extend(special::grant_faults(&info.base, &content));
            faults.extend(special::binding_faults(&old.base, &before, &content));
            if old.base != info.base {
                faults.extend(special::binding_faults(&info.base, &before, &content));
            }
            if old.base == ATTACHMENT {
                faults.extend(
                    ["fileId", "size", "mimeType"]
                        .into_iter()
                        .filter(|field| before.get(*field) != content.get(*field))
                        .map(|field| FieldFault::new(field, "cannot be changed")),
                );
            }
            special::none(faults)?;
            if old.base != ATTACHMENT {
                special::check_media_type(unit, info, &content)?;
            }
            if old.base == special::CONFIG || info.base == special::CONFIG {
                special::check_config(special::CONFIG, &before, &content)?;
                if old.base != info.base {
                    return Err(Error::Conflict("the settings record keeps its type".into()));
                }
            }
            if info.base == special::GROUP && old.base != special::GROUP {
                return Err(Error::Conflict("a record cannot become a group".into()));
            }
            special::check_unique_bindings(unit, &info.base, &content, row.rid)?;
            if row.deleted_at.is_none() {
                check_unique_fields(unit, info, &content, row.rid)?;
            }
            let actor = commit::actor(unit, caller)?;
            let next = RecordRow {
                content: json::minify(&Value::Object(content)),
                type_id: info.row_id,
                ..row.clone()
            };
            commit::replace(inner, unit, &row, next, Op::Migrate, actor)
        })
        .await
    }
}
