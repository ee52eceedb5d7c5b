//! Tables of an application: collections that a document declares, with its grants and its field types.
//!
//! A table is a type of the engine; what the document says about it is kept beside the rules of live collections and asked
//! wherever those are, so every face meets the same gate and the same checks.
//!
//! Invariants
//! T1. A collection that an application declared stays closed to all but administrators while no application is loaded.
//! T2. A number is given to one record of a table only, whatever becomes of the record.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::access::Access;
use super::commands::{NewTypeInput, register_table};
use super::error::{Error, Result};
use super::{Caller, Engine, Inner};
use crate::schema::FieldFault;
use crate::schema::fault::FormFault;
use crate::schema::rules::{Decision, Operation, Rules};
use crate::schema::tables::{App, Phase, Table};
use crate::store::{StoreError, TypeInfo, Unit, View};

/// Configuration of a collection that an application declared.
pub(crate) const TABLES_CONFIG: &str = r#"{"face":"tables"}"#;

/// An application in force.
#[derive(Debug)]
pub(crate) struct TableBook {
    pub(crate) app: Arc<App>,
    pub(crate) rules: Rules,
}

/// What a caller may do with a table, whatever the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRights {
    pub read: bool,
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    /// Fields that are shown on no row.
    pub unreadable: Vec<String>,
    /// Fields that may not be written.
    pub unwritable: Vec<String>,
}

impl TableRights {
    #[must_use]
    pub fn reads(&self, field: &str) -> bool {
        self.read && !self.unreadable.iter().any(|hidden| hidden == field)
    }

    #[must_use]
    pub fn writes(&self, field: &str) -> bool {
        (self.create || self.update) && !self.unwritable.iter().any(|hidden| hidden == field)
    }
}

/// Whether an application declared the collection.
pub(crate) fn is_table(info: &TypeInfo) -> bool {
    info.collection_config.as_deref() == Some(TABLES_CONFIG)
}

impl Engine {
    /// Registers the tables of an application and puts its grants into force. Blocks; for the start of a process.
    /// `guests_write` counts for an application without accounts.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a collection of that name exists and is no table, [`Error::Drift`] where the records that
    /// are there would not fit.
    pub fn load_app(&self, app: Arc<App>, guests_write: bool) -> Result<()> {
        let rules = Rules::parse(&app.rules(guests_write)).map_err(|fault| match fault {
            FormFault::InvalidArgument { message, .. } | FormFault::TooComplex(message) => {
                Error::BadRequest(format!("the grants of the application: {message}"))
            }
        })?;
        let (inner, declared) = (Arc::clone(&self.inner), Arc::clone(&app));
        let write = move || {
            self.store().write_blocking(move |unit| {
                for table in &declared.tables {
                    register(&inner, unit, table)?;
                }
                Ok::<_, Error>(())
            })
        };
        // A server is started inside a runtime, whose threads must not wait: another one does.
        std::thread::scope(|scope| scope.spawn(write).join()).unwrap_or(Err(Error::Busy))?;
        self.inner.rules.declare(Arc::new(TableBook { app, rules }));
        Ok(())
    }

    /// The application in force.
    pub fn app(&self) -> Option<Arc<App>> {
        self.inner.rules().tables.as_ref().map(|book| Arc::clone(&book.app))
    }

    /// What the caller may do with a table.
    ///
    /// # Errors
    /// The store's.
    pub fn table_rights(&self, caller: &Caller, table: &Table) -> Result<TableRights> {
        let family = table.family.as_str();
        self.store().read(|view| {
            let access = Access::new(&self.inner, view, caller);
            let may =
                |operation| Ok::<_, Error>(access.live_rule(family, operation)? != Decision::Deny);
            let hidden = |operation| access.field_rules(family, operation).hidden;
            let (create, update) = (may(Operation::Create)?, may(Operation::Update)?);
            Ok(TableRights {
                read: may(Operation::Read)?,
                create,
                update,
                delete: may(Operation::Delete)?,
                unreadable: hidden(Operation::Read),
                unwritable: hidden(if create { Operation::Create } else { Operation::Update }),
            })
        })
    }

    /// When a table was first declared; `None` before it is registered.
    pub fn table_since(&self, table: &Table) -> Option<i64> {
        self.types().get(&type_id(table)).map(|info| info.created_at)
    }
}

fn type_id(table: &Table) -> String {
    format!("{}@1", table.family)
}

fn register(inner: &Inner, unit: &mut Unit<'_>, table: &Table) -> Result<()> {
    let known = unit.collection(&table.family)?;
    if known.is_some_and(|(_, config)| config.as_deref() != Some(TABLES_CONFIG)) {
        let name = &table.name;
        return Err(Error::Conflict(format!(
            "the table {name} cannot be made: a collection of that name exists that no application declared"
        )));
    }
    let input = NewTypeInput {
        id: type_id(table),
        name: table.name.clone(),
        schema: table.schema(),
        schema_hash: None,
        migrates_from: None,
        search: Some(true),
    };
    register_table(inner, unit, input, TABLES_CONFIG).map(drop)
}

/// The table behind a type, while its application is loaded.
fn table_of<'b>(book: Option<&'b Arc<TableBook>>, info: &TypeInfo) -> Option<&'b Table> {
    book.filter(|_| is_table(info))?.app.of_family(&info.base)
}

/// What a write makes of a record's content: the written fields in their stored form, over what was there.
pub(super) fn admitted(
    inner: &Inner,
    info: &TypeInfo,
    written: &Map<String, Value>,
    before: Option<&Map<String, Value>>,
) -> Result<Option<Map<String, Value>>> {
    if !is_table(info) {
        return Ok(None);
    }
    let rules = inner.rules();
    let Some(table) = table_of(rules.tables.as_ref(), info) else { return Ok(None) };
    let phase = if before.is_some() { Phase::Update } else { Phase::Create };
    let stored = table.admit(written, phase, inner.clock().now_ms()).map_err(Error::Invalid)?;
    let mut content = before.cloned().unwrap_or_default();
    content.extend(stored);
    Ok(Some(content))
}

/// Whatever way content came, a table's record holds what its fields may be, in the form they are stored in. Fields that did
/// not change are left alone: the document may have changed since. Without its application a table has no field types.
pub(super) fn check_stored(
    inner: &Inner,
    info: &TypeInfo,
    content: &Map<String, Value>,
    before: Option<&Map<String, Value>>,
) -> Result<()> {
    let rules = inner.rules();
    let Some(table) = table_of(rules.tables.as_ref(), info) else { return Ok(()) };
    let mut changed = Map::new();
    for (name, value) in content {
        if before.and_then(|before| before.get(name)) != Some(value) {
            changed.insert(name.clone(), value.clone());
        }
    }
    let stored =
        table.admit(&changed, Phase::Update, inner.clock().now_ms()).map_err(Error::Invalid)?;
    let mut faults: Vec<FieldFault> = changed
        .iter()
        .filter(|(name, value)| stored.get(*name) != Some(value))
        .map(|(name, _)| FieldFault::new(name.as_str(), "is not in the form this table keeps"))
        .collect();
    let missing = table.fields.iter().filter(|field| {
        let had = before.is_none_or(|before| before.get(&field.name).is_some_and(|v| !v.is_null()));
        had && field.required && content.get(&field.name).is_none_or(Value::is_null)
    });
    faults.extend(missing.map(|field| FieldFault::new(field.name.as_str(), "is required")));
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// The number of the next record of a table. Called in the unit that makes it.
pub(super) fn next_number(unit: &mut Unit<'_>, info: &TypeInfo) -> Result<String, StoreError> {
    let key = format!("table_number.{}", info.collection);
    let mut number = last_number(unit, &key)? + 1;
    // Somebody may have chosen a number as an id through another face.
    while unit.rid_of_alias(info.collection, &number.to_string())?.is_some() {
        number += 1;
    }
    unit.set_meta_text(&key, &number.to_string())?;
    Ok(number.to_string())
}

fn last_number(view: &View<'_>, key: &str) -> Result<i64, StoreError> {
    Ok(view.meta_text(key)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}
