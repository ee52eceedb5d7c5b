//! Records as the engine hands them out.

use std::sync::Arc;

use super::error::Result;
use crate::store::{FIXED_IDS, NameId, RecordRow, Replaced, StoreError, TypeInfo, View};
use crate::util::id::RecordId;
use crate::util::time;

/// The one record that holds the stack's own settings.
pub const CONFIG_ID: &str = "_config";
/// The one record that holds the rules document of live collections.
pub const RULES_ID: &str = "_rules";

/// A record. Instants are milliseconds; `permissions` and `associations` are JSON arrays in the form of the stack protocol,
/// absent when empty; `content` is the JSON object as it came in, minified.
#[derive(Clone, Debug)]
pub struct Record {
    pub rid: RecordId,
    /// What the stack face shows: the fixed id where there is one, else the record id.
    pub id: String,
    pub type_info: Arc<TypeInfo>,
    pub version: i64,
    /// The unit that made this version.
    pub tx: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    /// The author.
    pub subject: Option<Arc<str>>,
    /// Who acted, when it was not the author.
    pub principal: Option<Arc<str>>,
    pub app: Option<Arc<str>>,
    pub parent: Option<String>,
    /// The id that a client or a protocol chose.
    pub alias: Option<String>,
    pub permissions: Option<String>,
    pub associations: Option<String>,
    pub content: String,
}

/// An earlier version of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub version: i64,
    pub type_id: String,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    pub subject: Option<Arc<str>>,
    /// Only for the owner acting alone.
    pub permissions: Option<String>,
    pub associations: Option<String>,
    pub content: String,
}

/// A moment of the past: after a unit, or at a time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    Tx(i64),
    Time(i64),
}

impl AsOf {
    /// Reads a `tx` number or an ISO 8601 instant.
    pub fn parse(text: &str) -> Option<Self> {
        // Digits only: `-1` and `+1` number no unit.
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::Tx);
        }
        time::parse_instant(text).map(Self::Time)
    }

    /// The last unit that had been written at that moment.
    pub(crate) fn tx(self, view: &View<'_>) -> Result<i64, StoreError> {
        match self {
            Self::Tx(tx) => Ok(tx),
            Self::Time(at) => view.tx_at_time(at),
        }
    }
}

/// The id a record is known by on the stack face.
pub(crate) fn shown_id(row: &RecordRow) -> String {
    match &row.alias {
        Some(alias) if is_fixed(alias) => alias.clone(),
        _ => RecordId::from_i64(row.rid).map_or_else(String::new, |id| id.to_string()),
    }
}

/// Ids outside the format that the stack face knows: `_config`, `_rules`, an imported owner card.
pub(crate) fn is_fixed(id: &str) -> bool {
    id == CONFIG_ID || id == RULES_ID || id.starts_with("did:")
}

/// The row number behind an id of the stack face.
pub(crate) fn rid_of(view: &View<'_>, id: &str) -> Result<Option<i64>, StoreError> {
    if let Some(id) = RecordId::parse(id) {
        return Ok(Some(id.as_i64()));
    }
    if is_fixed(id) { view.rid_of_alias(FIXED_IDS, id) } else { Ok(None) }
}

fn name(view: &View<'_>, id: Option<NameId>) -> Result<Option<Arc<str>>, StoreError> {
    id.map(|id| view.name(id)).transpose()
}

impl Record {
    pub(crate) fn from_row(view: &View<'_>, row: RecordRow) -> Result<Self> {
        let type_info = type_of(view, row.type_id)?;
        Ok(Self {
            id: shown_id(&row),
            rid: RecordId::from_i64(row.rid).unwrap_or(RecordId::MIN),
            type_info,
            version: row.version,
            tx: row.tx,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            subject: name(view, row.subject)?,
            principal: name(view, row.principal)?,
            app: name(view, row.app)?,
            parent: row.parent,
            alias: row.alias,
            permissions: row.permissions,
            associations: row.associations,
            content: row.content,
        })
    }
}

pub(crate) fn type_of(view: &View<'_>, type_id: i64) -> Result<Arc<TypeInfo>> {
    view.types().by_row(type_id).cloned().ok_or_else(|| {
        StoreError::Refused("a record names a type that is not registered".into()).into()
    })
}

impl Snapshot {
    pub(crate) fn of(
        view: &View<'_>,
        state: Replaced,
        subject: Option<NameId>,
        with_permissions: bool,
    ) -> Result<Self> {
        Ok(Self {
            version: state.version,
            type_id: type_of(view, state.type_id)?.id.clone(),
            updated_at: state.updated_at,
            deleted_at: state.deleted_at,
            subject: name(view, subject)?,
            permissions: if with_permissions { state.permissions } else { None },
            associations: state.associations,
            content: state.content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        assert_eq!(AsOf::parse("42"), Some(AsOf::Tx(42)));
        assert_eq!(AsOf::parse("2024"), Some(AsOf::Tx(2024)));
        assert_eq!(AsOf::parse("1970-01-01T00:00:01Z"), Some(AsOf::Time(1000)));
        assert_eq!(AsOf::parse("yesterday"), None);
        assert_eq!(AsOf::parse(""), None);
    }
}
