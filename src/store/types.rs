//! Registered types, kept in memory as a whole: there are tens of them, and every request needs one.
//!
//! tidy: sql: only type numbers and quoted names of registered fields are literal; values are bound

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::error::{Result, StoreError};
use super::record::COLUMNS;
use super::view::View;
use super::writer::Unit;
use crate::crypto;
use crate::schema::{Kind, Schema, TypeId};

/// Row id in table `type`.
pub type TypeRowId = i64;

/// A registered type.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    pub row_id: TypeRowId,
    pub collection: i64,
    /// `base@version`.
    pub id: String,
    pub base: String,
    pub version: i64,
    pub name: String,
    pub schema: Schema,
    /// The schema as it was sent.
    pub schema_text: String,
    pub schema_hash: String,
    pub migrates_from: Option<String>,
    pub search: bool,
    pub created_at: i64,
    /// Configuration of the collection, JSON.
    pub collection_config: Option<String>,
}

/// All registered types.
#[derive(Clone, Debug, Default)]
pub struct Types {
    by_row: HashMap<TypeRowId, Arc<TypeInfo>>,
    by_id: HashMap<String, TypeRowId>,
    by_family: HashMap<String, Vec<TypeRowId>>,
}

impl Types {
    pub(crate) fn load(connection: &Connection) -> Result<Self> {
        let mut types = Self::default();
        let mut statement = connection.prepare(
            "SELECT t.id, t.collection, c.name, t.version, t.name, t.schema, t.schema_hash, t.migrates_from, t.search,
                    t.created_at, c.config
               FROM type t
               JOIN collection c ON c.id = t.collection
              ORDER BY t.id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let base: String = row.get(2)?;
            let version: i64 = row.get(3)?;
            let schema_text: String = row.get(5)?;
            let schema = Schema::parse_text(&schema_text).map_err(|e| {
                StoreError::Refused(format!("type {base}@{version} is damaged: {e}"))
            })?;
            types.add(TypeInfo {
                row_id: row.get(0)?,
                collection: row.get(1)?,
                id: format!("{base}@{version}"),
                base,
                version,
                name: row.get(4)?,
                schema,
                schema_text,
                schema_hash: row.get(6)?,
                migrates_from: row.get(7)?,
                search: row.get(8)?,
                created_at: row.get(9)?,
                collection_config: row.get(10)?,
            });
        }
        Ok(types)
    }

    fn add(&mut self, info: TypeInfo) {
        let family = self.by_family.entry(info.base.clone()).or_default();
        if !family.contains(&info.row_id) {
            family.push(info.row_id);
        }
        self.by_id.insert(info.id.clone(), info.row_id);
        self.by_row.insert(info.row_id, Arc::new(info));
    }

    pub fn get(&self, id: &str) -> Option<&Arc<TypeInfo>> {
        self.by_row.get(self.by_id.get(id)?)
    }

    pub fn by_row(&self, row_id: TypeRowId) -> Option<&Arc<TypeInfo>> {
        self.by_row.get(&row_id)
    }

    /// Rows of every version of a family.
    pub fn family(&self, base: &str) -> &[TypeRowId] {
        self.by_family.get(base).map_or(&[], Vec::as_slice)
    }

    /// Ordered by base, then version.
    pub fn all(&self) -> Vec<Arc<TypeInfo>> {
        let mut all: Vec<_> = self.by_row.values().cloned().collect();
        all.sort_by(|a, b| (&a.base, a.version).cmp(&(&b.base, b.version)));
        all
    }
}

/// JSON path of one top-level key (SECURITY S55). `None` for keys SQLite's path language cannot name.
pub(crate) fn json_path(field: &str) -> Option<String> {
    if field.chars().any(char::is_control) {
        return None;
    }
    let mut path = String::with_capacity(field.len() + 5);
    path.push_str("$.\"");
    for c in field.chars() {
        if matches!(c, '"' | '\\') {
            path.push('\\');
        }
        path.push(c);
    }
    path.push('"');
    Some(path)
}

/// The expression a field index is made on and queries must spell alike. For declared fields only: the name comes from the
/// registry and is quoted here.
pub(crate) fn field_expression(alias: &str, field: &str) -> Option<String> {
    let path = json_path(field)?.replace('\'', "''");
    Some(format!("json_extract({alias}content, '{path}')"))
}

/// Records of one type by a text field; the type is a literal so that its partial index applies.
pub(crate) fn text_lookup_sql(type_id: TypeRowId, field: &str) -> String {
    let expression = field_expression("r.", field).unwrap_or_else(|| "NULL".to_owned());
    format!(
        "SELECT {COLUMNS} FROM record r WHERE r.type = {type_id} AND {expression} = ?1 ORDER BY r.created_at, r.rid"
    )
}

/// Name of a field's index: generated, so that no field name is part of it.
pub(crate) fn index_name(row_id: TypeRowId, field: &str) -> String {
    let digest = crypto::sha256(field.as_bytes());
    let mut name = format!("field_{row_id}_");
    for byte in &digest[..6] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Ends the name of an index that finds records but must not order them.
const MIXED: &str = "_mixed";

/// What a caller asks to register.
#[derive(Clone, Debug)]
pub struct NewType {
    pub id: TypeId,
    pub name: String,
    pub schema: Schema,
    pub schema_text: String,
    pub schema_hash: String,
    pub migrates_from: Option<String>,
    pub search: bool,
    /// Configuration of the collection, stored when the collection is new.
    pub collection_config: Option<String>,
    /// Milliseconds; now when absent.
    pub created_at: Option<i64>,
}

impl View<'_> {
    /// Configuration of a collection.
    pub fn collection(&self, name: &str) -> Result<Option<(i64, Option<String>)>> {
        Ok(self
            .prepare("SELECT id, config FROM collection WHERE name = ?1")?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// Whether an index of this name is there.
    pub(crate) fn has_index(&self, name: &str) -> Result<bool> {
        Ok(self
            .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1")?
            .exists([name])?)
    }

    /// Whether a live record of the type holds the same value in a field.
    pub fn holds_value(
        &self,
        type_id: TypeRowId,
        field: &str,
        value: &super::Bind,
        except: i64,
    ) -> Result<bool> {
        let Some(expression) = field_expression("r.", field) else { return Ok(false) };
        let sql = format!(
            "SELECT 1 FROM record r WHERE r.type = {type_id} AND {expression} = ?1 AND r.deleted_at IS NULL AND r.rid <> ?2 \
             LIMIT 1"
        );
        Ok(self.prepare(&sql)?.exists((value, except))?)
    }
}

impl View<'_> {
    /// Whether two live records of the type hold the same value in a field.
    pub fn has_duplicates(&self, type_id: TypeRowId, field: &str) -> Result<bool> {
        let Some(expression) = field_expression("r.", field) else { return Ok(false) };
        let sql = format!(
            "SELECT 1 FROM record r WHERE r.type = {type_id} AND r.deleted_at IS NULL AND {expression} IS NOT NULL
              GROUP BY {expression} HAVING count(*) > 1 LIMIT 1"
        );
        Ok(self.prepare(&sql)?.exists([])?)
    }
}

impl Unit<'_> {
    /// Makes an index for a field of a type that does not declare one: look-ups the product itself depends on.
    pub fn index_field(&mut self, info: &TypeInfo, field: &str) -> Result<()> {
        let Some(expression) = field_expression("", field) else { return Ok(()) };
        let name = index_name(info.row_id, field);
        self.connection.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {name} ON record ({expression}, created_at) WHERE type = {}",
            info.row_id
        ))?;
        Ok(())
    }

    /// Rebuilds the edges of a type's `file-ref` fields, after its schema gained or lost some.
    pub fn reindex_file_fields(&mut self, type_id: TypeRowId, schema: &Schema) -> Result<()> {
        self.prepare(
            "DELETE FROM association
              WHERE kind = 3
                AND rid IN (SELECT rid FROM record WHERE type = ?1)",
        )?
        .execute([type_id])?;
        for (field, _) in schema.fields().filter(|(_, f)| f.kind == crate::schema::Kind::FileRef) {
            let Some(path) = json_path(field) else { continue };
            self.prepare(
                "INSERT OR IGNORE INTO association (rid, kind, label, target)
                 SELECT rid, 3, ?2, json_extract(content, ?3)
                   FROM record
                  WHERE type = ?1
                    AND json_type(content, ?3) = 'text'",
            )?
            .execute((type_id, field, path))?;
        }
        Ok(())
    }

    /// Registers a type that is not there yet.
    pub fn insert_type(&mut self, new: NewType) -> Result<Arc<TypeInfo>> {
        let (collection, config) = match self.collection(&new.id.base)? {
            Some(found) => found,
            None => {
                let id = self
                    .prepare("INSERT INTO collection (name, config) VALUES (?1, ?2)")?
                    .insert((&new.id.base, &new.collection_config))?;
                (id, new.collection_config)
            }
        };
        let at = new.created_at.unwrap_or(self.at);
        let row_id = self
            .prepare(
                "INSERT INTO type (collection, version, name, schema, schema_hash, migrates_from, search, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .insert((
                collection,
                new.id.version,
                &new.name,
                &new.schema_text,
                &new.schema_hash,
                &new.migrates_from,
                new.search,
                at,
            ))?;
        let info = TypeInfo {
            row_id,
            collection,
            id: new.id.to_string(),
            base: new.id.base,
            version: new.id.version,
            name: new.name,
            schema: new.schema,
            schema_text: new.schema_text,
            schema_hash: new.schema_hash,
            migrates_from: new.migrates_from,
            search: new.search,
            created_at: at,
            collection_config: config,
        };
        self.make_indexes(None, &info)?;
        Ok(self.remember_type(info))
    }

    /// Stores a changed type under the same id.
    pub fn update_type(&mut self, old: &TypeInfo, info: TypeInfo) -> Result<Arc<TypeInfo>> {
        self.prepare(
            "UPDATE type
                SET name = ?2, schema = ?3, schema_hash = ?4, migrates_from = ?5, search = ?6, created_at = ?7
              WHERE id = ?1",
        )?
        .execute((
            info.row_id,
            &info.name,
            &info.schema_text,
            &info.schema_hash,
            &info.migrates_from,
            info.search,
            info.created_at,
        ))?;
        self.make_indexes(Some(old), &info)?;
        Ok(self.remember_type(info))
    }

    fn remember_type(&mut self, info: TypeInfo) -> Arc<TypeInfo> {
        let mut types = (*self.view.types()).clone();
        let row_id = info.row_id;
        types.add(info);
        let info = Arc::clone(&types.by_row[&row_id]);
        self.view.types = Some(Arc::new(types));
        self.types_changed = true;
        info
    }

    /// Whether records written before the field was declared hold values that the index would sort among values of another
    /// kind: booleans are numbers to it, lists and objects texts.
    fn holds_mixed_kinds(&self, of: &TypeInfo, field: &str) -> Result<bool> {
        let alike = match of.schema.field(field).map(|field| field.kind) {
            Some(Kind::Boolean) => "'true', 'false', 'null'",
            _ => "'integer', 'real', 'text', 'null'",
        };
        let sql = format!(
            "SELECT 1 FROM record r WHERE r.type = {} AND coalesce(json_type(r.content, ?1), 'null') NOT IN ({alike}) LIMIT 1",
            of.row_id
        );
        Ok(self.connection.prepare(&sql)?.exists([json_path(field)])?)
    }

    /// Makes the field indexes of every type that are missing.
    pub fn remake_indexes(&mut self) -> Result<()> {
        for info in self.types().all() {
            self.make_indexes(None, &info)?;
        }
        Ok(())
    }

    /// Makes and drops field indexes as the type says. Sorted by time within a value, so that a filtered page needs no sort.
    fn make_indexes(&mut self, old: Option<&TypeInfo>, new: &TypeInfo) -> Result<()> {
        let before = old.map(|old| old.schema.indexed_fields()).unwrap_or_default();
        let after = new.schema.indexed_fields();
        for field in &before {
            if !after.contains(field) {
                let name = index_name(new.row_id, field);
                self.connection.execute_batch(&format!(
                    "DROP INDEX IF EXISTS {name}; DROP INDEX IF EXISTS {name}{MIXED}"
                ))?;
            }
        }
        for field in &after {
            if before.contains(field) {
                continue;
            }
            let Some(expression) = field_expression("", field) else { continue };
            let name = index_name(new.row_id, field);
            let mixed = if self.holds_mixed_kinds(new, field)? { MIXED } else { "" };
            self.connection.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS {name}{mixed} ON record ({expression}, created_at) WHERE type = {}",
                new.row_id
            ))?;
        }
        Ok(())
    }
}
