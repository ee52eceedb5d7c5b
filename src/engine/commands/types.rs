//! Register types (stack protocol 4.4).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::engine::error::{Error, Result};
use crate::engine::record::shown_id;
use crate::engine::rows::LIVE_CONFIG;
use crate::engine::{Caller, Engine, Inner};
use crate::schema::{FieldFault, Schema, TypeId};
use crate::store::{NewType, TypeInfo, Unit, View};
use crate::util::json;

/// Bytes of a schema's text.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Types one stack may hold: every request looks into the whole list.
const TYPES_MAX: usize = 10_000;

/// What somebody asks to register.
#[derive(Clone, Debug)]
pub struct NewTypeInput {
    pub id: String,
    pub name: String,
    pub schema: Map<String, Value>,
    /// Checked against the computed one; `None` when the caller has none (command line).
    pub schema_hash: Option<String>,
    pub migrates_from: Option<String>,
    /// Whether its records are in the full-text index; `None` keeps what is, on for a new type.
    pub search: Option<bool>,
}

impl Engine {
    /// Registers a type, or changes one in place when the change merely adds. For the owner alone.
    pub async fn register_type(
        &self,
        caller: &Caller,
        input: NewTypeInput,
    ) -> Result<Arc<TypeInfo>> {
        self.check_alone(caller)?;
        let inner = Arc::clone(&self.inner);
        let checked = Checked::new(input)?;
        self.store().write_several(move |unit| register(&inner, unit, checked)).await
    }

    /// Registers a type as it was in another file. One that is there already keeps what only it has, and the older age.
    pub async fn import_type(
        &self,
        input: NewTypeInput,
        exact: ExactType,
    ) -> Result<Arc<TypeInfo>> {
        let inner = Arc::clone(&self.inner);
        let checked = Checked { exact, ..Checked::new(input)? };
        self.store().write_several(move |unit| register(&inner, unit, checked)).await
    }
}

/// What only a copy of a type has.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactType {
    /// Milliseconds; now when absent.
    pub created_at: Option<i64>,
    /// Its collection was made through live, whose rules govern it.
    pub open: bool,
}

/// Records whose faults a check lists; the others are counted.
const EXAMPLES_MAX: usize = 20;
/// Faults that are listed of each.
const EXAMPLE_FAULTS_MAX: usize = 5;
const PAGE_ROWS: i64 = 500;

/// What registering a type would mean for the records that are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeCheck {
    /// The type exists and would change.
    pub exists: bool,
    /// The types whose records were looked at: the type itself, the one it migrates from, or all of its collection.
    pub looked_at: Vec<String>,
    pub records: u64,
    /// Records that the schema would not accept.
    pub failing: u64,
    /// Some of them: record id and faults.
    pub examples: Vec<(String, Vec<FieldFault>)>,
    /// Why registering would be refused: changes that break records of the type.
    pub drift: Vec<FieldFault>,
    /// Fields whose values would have to be unique and are not.
    pub duplicates: Vec<String>,
    pub indexes_made: Vec<String>,
    pub indexes_dropped: Vec<String>,
}

impl Engine {
    /// What [`Engine::register_type`] would do, without doing it. For the owner alone.
    ///
    /// # Errors
    /// As for registering, when the type's own text is not in order; [`Error::Timeout`] past the deadline.
    pub async fn check_type(&self, caller: &Caller, input: NewTypeInput) -> Result<TypeCheck> {
        self.check_alone(caller)?;
        let new = Checked::new(input)?;
        self.store().query(move |view: &View<'_>| check(view, &new)).await
    }
}

fn check(view: &View<'_>, new: &Checked) -> Result<TypeCheck> {
    let types = view.types();
    let old = types.get(&new.id.to_string()).cloned();
    let looked_at: Vec<Arc<TypeInfo>> = match (&old, &new.migrates_from) {
        (Some(old), _) => vec![Arc::clone(old)],
        (None, Some(from)) => types.get(from).cloned().into_iter().collect(),
        (None, None) => types
            .family(&new.id.base)
            .iter()
            .filter_map(|row| types.by_row(*row).cloned())
            .collect(),
    };
    let before = old.as_ref().map(|old| old.schema.indexed_fields()).unwrap_or_default();
    let after = new.schema.indexed_fields();
    let mut found = TypeCheck {
        exists: old.is_some(),
        looked_at: looked_at.iter().map(|info| info.id.clone()).collect(),
        drift: old.as_ref().map(|old| Schema::drift(&old.schema, &new.schema)).unwrap_or_default(),
        indexes_made: after.iter().filter(|name| !before.contains(name)).cloned().collect(),
        indexes_dropped: before.iter().filter(|name| !after.contains(name)).cloned().collect(),
        ..TypeCheck::default()
    };
    for info in &looked_at {
        for (name, _) in new.schema.fields().filter(|(_, field)| field.unique) {
            let known = found.duplicates.iter().any(|one| one == name);
            if !known && view.has_duplicates(info.row_id, name)? {
                found.duplicates.push(name.to_owned());
            }
        }
        let mut after = (i64::MIN, i64::MIN);
        loop {
            let page = view.page_of_type(info.row_id, after, PAGE_ROWS)?;
            let Some(last) = page.last() else { break };
            after = (last.created_at, last.rid);
            for row in page.iter().filter(|row| row.deleted_at.is_none()) {
                found.records += 1;
                let mut faults = new.schema.validate(&super::commit::parsed(row)?);
                if faults.is_empty() {
                    continue;
                }
                found.failing += 1;
                if found.examples.len() < EXAMPLES_MAX {
                    faults.truncate(EXAMPLE_FAULTS_MAX);
                    found.examples.push((shown_id(row), faults));
                }
            }
        }
    }
    Ok(found)
}

/// A type whose own text is in order.
pub(crate) struct Checked {
    id: TypeId,
    name: String,
    schema: Schema,
    schema_text: String,
    schema_hash: String,
    migrates_from: Option<String>,
    search: Option<bool>,
    collection_config: Option<String>,
    exact: ExactType,
}

impl Checked {
    pub(crate) fn new(input: NewTypeInput) -> Result<Self> {
        let schema_text = json::minify(&Value::Object(input.schema.clone()));
        if schema_text.len() > SCHEMA_BYTES_MAX {
            return Err(Error::TooLarge { limit: "schema", max: SCHEMA_BYTES_MAX as u64 });
        }
        // A malformed definition is hashed by what can be read of it, so that the hash is judged first.
        let parsed = Schema::parse(&input.schema);
        if let (Ok(schema), Some(given)) = (&parsed, &input.schema_hash)
            && schema.hash() != *given
        {
            return Err(Error::invalid("schemaHash", "is not the hash of this schema"));
        }
        let id = TypeId::parse(&input.id).ok_or_else(|| {
            Error::BadRequest("a type id is a name, @ and a number, as com.example/note@1".into())
        })?;
        let schema = parsed.map_err(|fault| Error::BadRequest(fault.to_string()))?;
        Ok(Self {
            schema_hash: schema.hash(),
            id,
            name: input.name,
            schema,
            schema_text,
            migrates_from: input.migrates_from,
            search: input.search,
            collection_config: None,
            exact: ExactType::default(),
        })
    }
}

/// For tables of an application; the collection gets this configuration when it is new.
pub(crate) fn register_table(
    inner: &Inner,
    unit: &mut Unit<'_>,
    input: NewTypeInput,
    config: &str,
) -> Result<Arc<TypeInfo>> {
    let new = Checked { collection_config: Some(config.to_owned()), ..Checked::new(input)? };
    register(inner, unit, new)
}

/// For types that come with the product.
pub(crate) fn register_checked(
    inner: &Inner,
    unit: &mut Unit<'_>,
    input: NewTypeInput,
) -> Result<()> {
    register(inner, unit, Checked::new(input)?).map(|_| ())
}

pub(crate) fn register(inner: &Inner, unit: &mut Unit<'_>, new: Checked) -> Result<Arc<TypeInfo>> {
    let types = unit.types();
    let Some(old) = types.get(&new.id.to_string()).cloned() else {
        if types.all().len() >= TYPES_MAX {
            return Err(Error::Conflict(format!("a stack holds at most {TYPES_MAX} types")));
        }
        let made = unit.insert_type(NewType {
            id: new.id,
            name: new.name,
            schema: new.schema,
            schema_text: new.schema_text,
            schema_hash: new.schema_hash,
            migrates_from: new.migrates_from,
            search: new.search.unwrap_or(true),
            collection_config: new
                .collection_config
                .or_else(|| new.exact.open.then(|| LIVE_CONFIG.into())),
            created_at: new.exact.created_at,
        })?;
        inner.rights_changed();
        return Ok(made);
    };
    if old.schema_hash != new.schema_hash {
        let violations = Schema::drift(&old.schema, &new.schema);
        if !violations.is_empty() {
            return Err(Error::Drift { type_id: old.id.clone(), violations });
        }
    }
    let search = new.search.unwrap_or(old.search);
    // Of a copy and what the file made by itself, the older is the one meant.
    let created_at = new.exact.created_at.map_or(old.created_at, |at| at.min(old.created_at));
    let same = old.schema_text == new.schema_text && old.name == new.name && old.search == search;
    if same && created_at == old.created_at {
        return Ok(old);
    }
    for (name, field) in new.schema.fields() {
        let was = old.schema.field(name).is_some_and(|field| field.unique);
        if field.unique && !was && unit.has_duplicates(old.row_id, name)? {
            return Err(Error::Conflict(format!("records of this type share values of {name}")));
        }
    }
    let info = TypeInfo {
        name: new.name,
        schema: new.schema,
        schema_text: new.schema_text,
        schema_hash: new.schema_hash,
        migrates_from: new.migrates_from.or_else(|| old.migrates_from.clone()),
        search,
        created_at,
        ..(*old).clone()
    };
    let changed = unit.update_type(&old, info)?;
    if changed.search != old.search {
        reindex(unit, &changed)?;
    }
    if file_fields(&changed.schema) != file_fields(&old.schema) {
        unit.reindex_file_fields(changed.row_id, &changed.schema)?;
    }
    Ok(changed)
}

fn file_fields(schema: &Schema) -> Vec<String> {
    let is_file = |field: &crate::schema::Field| field.kind == crate::schema::Kind::FileRef;
    schema.fields().filter(|(_, f)| is_file(f)).map(|(name, _)| name.to_owned()).collect()
}

/// Puts every record of a type into the full-text index, or takes them out.
fn reindex(unit: &mut Unit<'_>, info: &TypeInfo) -> Result<()> {
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let page = unit.page_of_type(info.row_id, after, 500)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (last.created_at, last.rid);
        for row in page {
            let content = super::commit::parsed(&row)?;
            let text = crate::schema::words::text_of(&content);
            if info.search {
                unit.set_search_text(row.rid, &text, false)?;
            } else if !text.is_empty() {
                unit.set_search_text(row.rid, "", true)?;
            }
        }
    }
}
