//! How a record looks on the wire (tables 9.1).

use serde_json::{Map, Value};

use crate::engine::TableRights;
use crate::schema::tables::{Field, FieldType, Table};
use crate::util::time::format_ms;

/// What a record is shown from.
pub(super) struct Source {
    pub(super) id: String,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    /// As stored, without what the caller may not read.
    pub(super) content: Map<String, Value>,
}

/// Fields of a table as this caller is shown them.
pub(super) struct Shape<'t> {
    fields: Vec<&'t Field>,
    /// Whether `fields` starts with `deleted_at`.
    with_deletion: bool,
}

impl<'t> Shape<'t> {
    /// Every field that the caller may read.
    pub(super) fn whole(table: &'t Table, rights: &TableRights) -> Self {
        let shown = |field: &&Field| field.kind != FieldType::Button && rights.reads(&field.name);
        Self { fields: table.fields.iter().filter(shown).collect(), with_deletion: true }
    }

    /// Only these; what may not be read is left out.
    pub(super) fn only(mut self, names: &[&str]) -> Self {
        self.fields.retain(|field| names.contains(&field.name.as_str()));
        self.with_deletion = names.contains(&"deleted_at");
        self
    }

    /// A record as lists hold it.
    pub(super) fn item(&self, mut source: Source) -> Map<String, Value> {
        let mut fields = Map::new();
        if self.with_deletion {
            fields.insert("deleted_at".into(), Value::Null);
        }
        let (created, updated) = (format_ms(source.created_at), format_ms(source.updated_at));
        for field in &self.fields {
            let value = match field.kind {
                FieldType::CreatedAt => Value::String(created.clone()),
                FieldType::UpdatedAt => Value::String(updated.clone()),
                _ => source.content.shift_remove(&field.name).unwrap_or(Value::Null),
            };
            fields.insert(field.name.clone(), field.kind.show(value));
        }
        let mut item = Map::new();
        item.insert("id".into(), Value::String(source.id));
        item.insert("fields".into(), Value::Object(fields));
        item.insert("createdAt".into(), Value::String(created));
        item.insert("updatedAt".into(), Value::String(updated));
        item
    }

    /// A record by itself: its fields stand beside the item's keys too.
    pub(super) fn record(&self, source: Source) -> Value {
        let mut record = self.item(source);
        if let Some(Value::Object(fields)) = record.get("fields").cloned() {
            for (name, value) in fields {
                record.entry(name).or_insert(value);
            }
        }
        Value::Object(record)
    }
}
