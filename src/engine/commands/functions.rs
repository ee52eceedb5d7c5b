//! Declarative functions: records that hold a definition under the function's name.
//!
//! Knows where they are kept. Does not know what a definition says: the live protocol reads it before it is stored and
//! whenever it is called.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::commit::{self, parsed};
use super::create::create_checked;
use super::delete::delete;
use super::update::check_size;
use crate::engine::error::{Error, Result};
use crate::engine::record::type_of;
use crate::engine::{Caller, Engine, Inner};
use crate::store::{Op, RecordRow, Unit, View};
use crate::util::json;

const FUNCTION_TYPE: &str = "_function@1";
/// Functions of one stack.
pub const FUNCTIONS_MAX: usize = 1_000;

fn missing(name: &str) -> Error {
    Error::Missing { what: "function", id: name.to_owned() }
}

fn find(view: &View<'_>, name: &str) -> Result<Option<RecordRow>> {
    let types = view.types();
    let Some(info) = types.get(FUNCTION_TYPE) else { return Ok(None) };
    let Some(rid) = view.rid_of_alias(info.collection, name)? else { return Ok(None) };
    Ok(view.record(rid)?.filter(|row| row.deleted_at.is_none()))
}

fn definition_of(row: &RecordRow) -> Result<Map<String, Value>> {
    Ok(match parsed(row)?.shift_remove("definition") {
        Some(Value::Object(definition)) => definition,
        _ => Map::new(),
    })
}

fn all(view: &View<'_>) -> Result<Vec<RecordRow>> {
    let types = view.types();
    let Some(info) = types.get(FUNCTION_TYPE) else { return Ok(Vec::new()) };
    let (mut live, mut after) = (Vec::new(), (i64::MIN, i64::MIN));
    loop {
        let page = view.page_of_type(info.row_id, after, 500)?;
        let Some(last) = page.last() else { return Ok(live) };
        after = (last.created_at, last.rid);
        live.extend(page.into_iter().filter(|row| row.deleted_at.is_none()));
    }
}

impl Engine {
    /// The definition of a function, for whoever calls it: the definition says who may.
    pub fn function(&self, name: &str) -> Result<Option<Map<String, Value>>> {
        self.store().read(|view| find(view, name)?.as_ref().map(definition_of).transpose())
    }

    /// Every definition, by name. For administrators.
    pub async fn functions(&self, caller: &Caller) -> Result<Vec<Map<String, Value>>> {
        self.check_admin(caller)?;
        self.store()
            .query(|view| {
                let mut rows = all(view)?;
                rows.sort_by(|a, b| a.alias.cmp(&b.alias));
                rows.iter().map(definition_of).collect()
            })
            .await
    }

    /// Stores a function, replacing one of that name. The definition was checked by the face. For administrators.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there are [`FUNCTIONS_MAX`] already.
    pub async fn set_function(
        &self,
        caller: &Caller,
        name: &str,
        definition: Map<String, Value>,
    ) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, caller, name) = (Arc::clone(&self.inner), caller.clone(), name.to_owned());
        self.store().write_several(move |unit| set(&inner, unit, &caller, &name, definition)).await
    }

    /// Takes a function away. For administrators.
    ///
    /// # Errors
    /// [`Error::Missing`]
    pub async fn remove_function(&self, caller: &Caller, name: &str) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.store()
            .write_several(move |unit| {
                let row = find(unit, &name)?.ok_or_else(|| missing(&name))?;
                // The record is the owner's; an administrator may remove it here and in no other way.
                delete(&inner, unit, &inner.owner_caller(), row, None)?;
                Ok(())
            })
            .await
    }
}

fn set(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    name: &str,
    definition: Map<String, Value>,
) -> Result<()> {
    let mut content = Map::new();
    content.insert("name".to_owned(), json!(name));
    content.insert("definition".to_owned(), Value::Object(definition));
    let text = json::minify(&Value::Object(content.clone()));
    check_size(inner, &text)?;
    if let Some(row) = find(unit, name)? {
        let actor = commit::actor(unit, caller)?;
        let next = RecordRow { content: text, ..row.clone() };
        commit::replace(inner, unit, &row, next, Op::Update, actor)?;
        return Ok(());
    }
    if all(unit)?.len() >= FUNCTIONS_MAX {
        return Err(Error::Conflict(format!("there may be {FUNCTIONS_MAX} functions")));
    }
    let mut row = create_checked(inner, unit, FUNCTION_TYPE, content, None)?;
    let collection = type_of(unit, row.type_id)?.collection;
    unit.add_alias(collection, name, row.rid)?;
    row.alias = Some(name.to_owned());
    unit.set_origin(&row)?;
    Ok(())
}
