//! An application of the tables protocol: one document, read whole, typed.
//!
//! [`App::parse`] turns text into tables, fields and grants, or into every fault with its line, column and reason.
//!
//! Pure: knows what a document may say. Does not know files, records or callers.
//!
//! Invariants
//! A1. What is not served is refused: a document that was read is served as it says, but for what
//!     docs/tables.md lists as accepted and kept.
//! A2. Table names, families and ids are unique, and every name a grant or a rule mentions exists.

mod config;
mod decimal;
mod document;
mod fields;
mod grants;

use serde_json::{Map, Value};

pub use document::{Fault, Faults};
pub use fields::{FieldType, ItemType, NumberRule, TextRule};
pub use grants::{Grant, Permissions, RowRules};

use super::FieldFault;

/// Tables of one document, and fields of one table.
pub const TABLES_MAX: usize = 500;
pub const FIELDS_MAX: usize = 500;
/// Keys of a record that no client writes.
pub const SYSTEM_FIELDS: [&str; 4] = ["id", "created_at", "updated_at", "deleted_at"];

/// A document that was read whole.
#[derive(Clone, Debug)]
pub struct App {
    pub name: String,
    /// Whether the document has accounts; without them everybody is a guest.
    pub has_auth: bool,
    /// In the order of the document.
    pub tables: Vec<Table>,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub id: u64,
    pub name: String,
    /// The engine's name of the collection.
    pub family: String,
    pub description: Option<String>,
    pub fields: Vec<Field>,
    pub permissions: Option<Permissions>,
    pub rows: RowRules,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub id: u64,
    pub name: String,
    /// As written in the document.
    pub type_name: String,
    pub kind: FieldType,
    pub required: bool,
    pub unique: bool,
    pub indexed: bool,
    pub default: Option<Value>,
    /// Options of the type, as written.
    pub options: Map<String, Value>,
}

/// Whether a record is being made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Create,
    Update,
}

impl App {
    /// Reads a document.
    ///
    /// # Errors
    /// Every fault, with line, column and reason.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        config::read(text)
    }

    /// A table by id or by name.
    #[must_use]
    pub fn table(&self, id_or_name: &str) -> Option<&Table> {
        let by_name = self.tables.iter().find(|table| table.name == id_or_name);
        by_name.or_else(|| self.tables.iter().find(|table| table.id.to_string() == id_or_name))
    }

    /// The table behind a collection.
    #[must_use]
    pub fn of_family(&self, family: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family)
    }

    /// The grants as a rules document, by the names of collections. `guests_write` counts without accounts only.
    #[must_use]
    pub fn rules(&self, guests_write: bool) -> Value {
        grants::document(self, guests_write)
    }
}

impl Table {
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The schema under which the engine keeps the records.
    #[must_use]
    pub fn schema(&self) -> Map<String, Value> {
        let mut schema = Map::new();
        for field in self.fields.iter().filter(|field| field.kind.is_stored()) {
            let Some(kind) = field.kind.kind() else { continue };
            let mut definition = Map::new();
            definition.insert("kind".into(), Value::from(kind));
            if field.unique {
                definition.insert("unique".into(), Value::Bool(true));
            }
            if field.indexed {
                definition.insert("indexed".into(), Value::Bool(true));
            }
            schema.insert(field.name.clone(), Value::Object(definition));
        }
        schema
    }

    /// The written fields in the form they are stored, with defaults when a record is made.
    ///
    /// # Errors
    /// One fault for each field, in the order of the table's.
    pub fn admit(
        &self,
        written: &Map<String, Value>,
        phase: Phase,
        now_ms: i64,
    ) -> Result<Map<String, Value>, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut stored = Map::new();
        for name in written.keys().filter(|name| self.field(name).is_none()) {
            faults.push(FieldFault::new(name.as_str(), "is no field of this table"));
        }
        for field in &self.fields {
            let given = written.get(&field.name);
            if !field.kind.is_stored() {
                if given.is_some() {
                    let message = format!("Cannot write to readonly field '{}'", field.name);
                    faults.push(FieldFault::new(field.name.as_str(), message));
                }
                continue;
            }
            let value = match (given, phase) {
                (Some(value), _) => value.clone(),
                (None, Phase::Update) => continue,
                (None, Phase::Create) => field.default_value(now_ms),
            };
            let blank = value.as_str().is_some_and(|text| text.trim().is_empty());
            if value.is_null() || (field.required && blank) {
                if field.required {
                    faults.push(FieldFault::new(field.name.as_str(), config::REQUIRED));
                }
                stored.insert(field.name.clone(), Value::Null);
                continue;
            }
            match field.kind.admit(&value) {
                Ok(value) => {
                    stored.insert(field.name.clone(), value);
                }
                Err(message) => faults.push(FieldFault::new(field.name.as_str(), message)),
            }
        }
        if faults.is_empty() { Ok(stored) } else { Err(faults) }
    }
}

impl Field {
    fn default_value(&self, now_ms: i64) -> Value {
        let now = || Value::String(crate::util::time::format_ms(now_ms));
        match (&self.default, &self.kind) {
            (Some(Value::String(word)), kind) if config::is_now(kind, word) => now(),
            (Some(value), _) => value.clone(),
            (None, FieldType::Checkbox) => Value::Bool(false),
            (None, _) => Value::Null,
        }
    }
}
