//! Rows of named collections: the live view of records, by the ids that clients choose.
//!
//! A row is a record of a collection; its id is the record's alias where it has one. A collection that nobody declared is
//! made by the first write, open to any fields.
//!
//! Invariants
//! R1. A list of operations is one unit: all or nothing, one `tx`.
//! R2. A row is found by its alias first, then by its record id, and only in its own collection.

mod apply;
mod mutate;
mod read;

pub use apply::{RowOp, RowResult, Status, Verb};
pub use mutate::{Idempotency, MutateError, Mutated, Outcome};

use serde_json::{Map, Value};

use super::error::Result;
use crate::store::{RecordRow, StoreError, TypeInfo, View};
use crate::util::id::RecordId;

/// The collection of accounts, called `users` by applications.
pub const USERS: &str = "users";
/// The family behind [`USERS`].
pub(crate) const USER_FAMILY: &str = "_user";
/// What stands before the record id where an account is named.
pub(crate) const ACCOUNT_PREFIX: &str = "usr_";
/// Configuration of a collection that a live write made.
pub(crate) const LIVE_CONFIG: &str = r#"{"face":"live"}"#;

/// A live record as applications see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub entity: String,
    pub id: String,
    /// The unit that last changed it.
    pub tx: i64,
    /// Milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
    /// Fields, without `id`.
    pub fields: Map<String, Value>,
}

/// The family a collection's name stands for.
pub(crate) fn family_of(entity: &str) -> &str {
    if entity == USERS { USER_FAMILY } else { entity }
}

/// The name applications know a family by.
pub(crate) fn entity_of(family: &str) -> &str {
    if family == USER_FAMILY { USERS } else { family }
}

/// Whether the rules of the live protocol govern the collection.
pub(crate) fn is_live(info: &TypeInfo) -> bool {
    info.collection_config.as_deref() == Some(LIVE_CONFIG)
}

/// Whether a record of [`USER_FAMILY`] is somebody's account: those have a name of their own form.
pub(crate) fn is_account(row: &RecordRow) -> bool {
    let own = || RecordId::from_i64(row.rid).map(|id| format!("{ACCOUNT_PREFIX}{id}"));
    row.alias.as_deref().is_some_and(|alias| own().as_deref() == Some(alias))
}

/// The id applications see.
pub(crate) fn row_id(row: &RecordRow) -> String {
    match &row.alias {
        Some(alias) => alias.clone(),
        None => RecordId::from_i64(row.rid).map_or_else(String::new, |id| id.to_string()),
    }
}

/// A live row of a family, by alias or record id.
pub(crate) fn find_row(
    view: &View<'_>,
    family: &str,
    id: &str,
) -> Result<Option<RecordRow>, StoreError> {
    let types = view.types();
    let Some(info) = types.family(family).first().and_then(|row| types.by_row(*row)) else {
        return Ok(None);
    };
    let rid = match view.rid_of_alias(info.collection, id)? {
        Some(rid) => rid,
        None => match RecordId::parse(id) {
            Some(parsed) => parsed.as_i64(),
            None => return Ok(None),
        },
    };
    let row = view.record(rid)?;
    // A record with an alias answers to its alias alone.
    Ok(row.filter(|row| {
        row.deleted_at.is_none()
            && types.by_row(row.type_id).is_some_and(|info| info.base == family)
            && (row.alias.is_none() || row.alias.as_deref() == Some(id))
    }))
}
