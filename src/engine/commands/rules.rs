//! The rules document of live collections: one record, written like any other, in force once its unit is committed.
//!
//! Invariants
//! R1. Whatever writes the record, an invalid document is refused and the rules in force are those of the record.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::commit::{self, parsed};
use super::create::create_checked;
use super::delete::{delete, undelete};
use super::update::check_size;
use crate::engine::error::{Error, Result};
use crate::engine::record::RULES_ID;
use crate::engine::{Caller, Engine, Inner};
use crate::schema::FieldFault;
use crate::schema::fault::FormFault;
use crate::schema::rules::Rules;
use crate::store::{FIXED_IDS, Op, RecordRow, Unit, View};
use crate::util::json;

const RULES_TYPE: &str = "_rules@1";
/// The field that holds the document.
const DOCUMENT: &str = "document";

/// The record, deleted or not.
fn record(view: &View<'_>) -> Result<Option<RecordRow>> {
    match view.rid_of_alias(FIXED_IDS, RULES_ID)? {
        Some(rid) => Ok(view.record(rid)?),
        None => Ok(None),
    }
}

/// The unit that last changed the rules as this snapshot has them; `None` where no record of them was ever made.
pub(crate) fn rules_tx(view: &View<'_>) -> Result<Option<i64>> {
    Ok(record(view)?.map(|row| row.tx))
}

/// The document of a record's content.
fn document_of(content: &Map<String, Value>) -> Result<Rules> {
    let document = content.get(DOCUMENT).unwrap_or(&Value::Null);
    Rules::parse(document).map_err(|fault| match fault {
        FormFault::InvalidArgument { message, details } if details.is_empty() => {
            Error::BadRequest(message)
        }
        FormFault::InvalidArgument { details, .. } => Error::Invalid(
            details
                .into_iter()
                .map(|detail| FieldFault::new(detail.field, detail.message))
                .collect(),
        ),
        FormFault::TooComplex(message) => Error::BadRequest(message),
    })
}

/// Called in the unit that stores a new state of a record of the family.
pub(crate) fn stored(inner: &Inner, unit: &mut Unit<'_>, row: &RecordRow) -> Result<()> {
    if row.alias.as_deref() != Some(RULES_ID) {
        return Ok(());
    }
    let document = match row.deleted_at {
        Some(_) => None,
        None => Some(Arc::new(document_of(&parsed(row)?)?)),
    };
    put_into_force(inner, unit, document);
    Ok(())
}

/// Called in the unit that removes a record of the family.
pub(crate) fn gone(inner: &Inner, unit: &mut Unit<'_>, row: &RecordRow) {
    if row.alias.as_deref() == Some(RULES_ID) {
        put_into_force(inner, unit, None);
    }
}

fn put_into_force(inner: &Inner, unit: &mut Unit<'_>, document: Option<Arc<Rules>>) {
    let (book, tx) = (Arc::clone(&inner.rules), unit.tx());
    unit.after_commit(move || book.replace(document, tx));
}

/// Puts the stored document into force when a file is opened.
pub(crate) fn load(inner: &Inner) -> Result<()> {
    let Some(row) = inner.store.read(record)? else { return Ok(()) };
    let document = match row.deleted_at {
        Some(_) => None,
        None => Some(Arc::new(document_of(&parsed(&row)?).unwrap_or_else(|error| {
            tracing::error!(%error, "the stored rules cannot be read: nobody is allowed anything");
            Rules::default()
        }))),
    };
    inner.rules.replace(document, row.tx);
    Ok(())
}

impl Engine {
    /// The rules document as it was written. For administrators.
    pub fn rules_document(&self, caller: &Caller) -> Result<Option<Map<String, Value>>> {
        self.check_admin(caller)?;
        self.store().read(|view| {
            let Some(row) = record(view)?.filter(|row| row.deleted_at.is_none()) else {
                return Ok(None);
            };
            Ok(match parsed(&row)?.shift_remove(DOCUMENT) {
                Some(Value::Object(document)) => Some(document),
                _ => None,
            })
        })
    }

    /// Whether a rules document is in force.
    pub fn has_rules(&self) -> bool {
        self.inner.rules().document.is_some()
    }

    /// Replaces the rules document; `None` takes it away. In force with the next request. For administrators.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every part at fault.
    pub async fn set_rules(
        &self,
        caller: &Caller,
        document: Option<Map<String, Value>>,
    ) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store().write_several(move |unit| set(&inner, unit, &caller, document)).await
    }

    /// Calls `listener` on the writer thread whenever other rules are in force. It must not block.
    pub fn on_rules_changed(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.inner.rules.listen(Box::new(listener));
    }
}

fn set(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    document: Option<Map<String, Value>>,
) -> Result<()> {
    // The record is the owner's; an administrator may change it here and in no other way.
    let owner = inner.owner_caller();
    let existing = record(unit)?;
    let Some(document) = document else {
        if let Some(row) = existing {
            delete(inner, unit, &owner, row, None)?;
        }
        return Ok(());
    };
    let mut content = Map::new();
    content.insert(DOCUMENT.to_owned(), Value::Object(document));
    document_of(&content)?;
    let Some(mut row) = existing else {
        create_checked(inner, unit, RULES_TYPE, content, Some(RULES_ID))?;
        return Ok(());
    };
    if row.deleted_at.is_some() {
        row = undelete(inner, unit, &owner, row, None)?;
    }
    let text = json::minify(&Value::Object(content));
    check_size(inner, &text)?;
    let actor = commit::actor(unit, caller)?;
    let next = RecordRow { content: text, ..row.clone() };
    commit::replace(inner, unit, &row, next, Op::Update, actor)?;
    Ok(())
}
