//! Bring an earlier version back, and read earlier versions.

use super::commit::{self, parse_stored, parsed};
use super::create::check_unique_fields;
use super::special;
use super::update::{check_version, existing};
use crate::engine::access::{Access, Action};
use crate::engine::error::{Error, Result};
use crate::engine::links::stored_associations;
use crate::engine::record::type_of;
use crate::engine::{Caller, Engine, Record, Snapshot};
use crate::store::{Op, RecordRow};

/// Bytes after which one look into a history ends; the versions before have to be asked for.
const HISTORY_BYTES: usize = 1 << 20;

impl Engine {
    /// Content, type and associations become those of an earlier version; permissions, parent and author stay.
    pub async fn restore(
        &self,
        caller: &Caller,
        id: &str,
        version: i64,
        if_match: Option<i64>,
    ) -> Result<Record> {
        self.on_record(caller, id, move |inner, unit, caller, row| {
            let access = Access::new(inner, unit, caller);
            access.check(Action::Update, &row)?;
            let Some(snapshot) = unit.version(row.rid, version)? else {
                return Err(Error::Missing { what: "version", id: version.to_string() });
            };
            check_version(&row, if_match)?;
            let (old, info) = (type_of(unit, row.type_id)?, type_of(unit, snapshot.type_id)?);
            let (before, after) = (parsed(&row)?, parse_stored(&snapshot.content)?);
            let associations = stored_associations(snapshot.associations.as_deref());
            let files = info.schema.file_refs(&after).into_iter().map(|(_, file)| file);
            special::check_binding_rights(&access, &info.base, Some(&before), &after)?;
            access.check_references(info.base == special::GROUP, None, &associations, files)?;
            let mut faults = info.schema.validate(&after);
            faults.extend(special::binding_faults(&old.base, &before, &after));
            special::none(faults)?;
            special::check_config(&old.base, &before, &after)?;
            special::check_unique_bindings(unit, &info.base, &after, row.rid)?;
            if row.deleted_at.is_none() {
                check_unique_fields(unit, &info, &after, row.rid)?;
            }
            let actor = commit::actor(unit, caller)?;
            let next = RecordRow {
                content: snapshot.content,
                type_id: snapshot.type_id,
                associations: snapshot.associations,
                ..row.clone()
            };
            if old.base == special::GROUP {
                inner.rights_changed();
            }
            commit::replace(inner, unit, &row, next, Op::Restore, actor)
        })
        .await
    }

    /// Versions before `before`, newest first, or before the current one; some [`HISTORY_BYTES`] of them, and whether there
    /// are more. The current state is not among them.
    pub fn versions(
        &self,
        caller: &Caller,
        id: &str,
        before: Option<i64>,
    ) -> Result<(Vec<Snapshot>, bool)> {
        self.store().read(|view| {
            let row = existing(view, id)?;
            let access = Access::new(&self.inner, view, caller);
            if !access.may_see_history(&row)?.allows() {
                return Err(Error::Denied);
            }
            let alone = access.alone();
            let before = before.unwrap_or(row.version);
            let (states, more) = view.history(row.rid, before, HISTORY_BYTES)?;
            let snapshots: Result<_> = states
                .into_iter()
                .map(|state| Snapshot::of(view, state, row.subject, alone))
                .collect();
            Ok((snapshots?, more))
        })
    }

    /// One earlier version.
    pub fn version(&self, caller: &Caller, id: &str, version: i64) -> Result<Snapshot> {
        self.store().read(|view| {
            let row = existing(view, id)?;
            let access = Access::new(&self.inner, view, caller);
            if !access.may_see_history(&row)?.allows() {
                return Err(Error::Denied);
            }
            match view.version(row.rid, version)? {
                Some(state) => Snapshot::of(view, state, row.subject, access.alone()),
                None => Err(Error::Missing { what: "version", id: version.to_string() }),
            }
        })
    }
}
