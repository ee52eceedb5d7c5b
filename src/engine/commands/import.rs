//! Many records at once, for the command line: batches as one unit, exact copies of an export, and the export itself.
//!
//! Invariants
//! P1. A row that is refused leaves no trace and does not stop the others of its batch.
//! P2. The mark of a batch is stored in its unit: after a crash, what the mark says is what is there.

use std::sync::Arc;

use super::commit::{self, Fresh, parsed};
use super::create::{NewRecord, Source, prepare_on, store_prepared};
use super::special;
use crate::engine::error::{Error, Result};
use crate::engine::links::{
    associations_text, parse_associations, parse_permissions, permissions_text,
};
use crate::engine::record::{CONFIG_ID, is_fixed, rid_of};
use crate::engine::{Caller, Engine, Inner, Record, Snapshot};
use crate::schema::words;
use crate::store::{Actor, BlobRow, FIXED_IDS, Op, RecordRow, TypeInfo, Unit};
use crate::util::id::RecordId;
use crate::util::json;

/// Rows of one batch.
const BATCH_ROWS_MAX: usize = 10_000;
const MARK: &str = "import:";

/// A record to import as the owner.
#[derive(Clone, Debug, Default)]
pub struct ImportRecord {
    pub record: NewRecord,
    /// Milliseconds; now when absent.
    pub created_at: Option<i64>,
    /// An id chosen elsewhere, unique in the collection.
    pub alias: Option<String>,
    /// The record is a copy: ids, authors, versions and instants are kept.
    pub exact: Option<ExactRecord>,
}

/// What only an exact copy has.
#[derive(Clone, Debug)]
pub struct ExactRecord {
    pub version: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    pub subject: Option<String>,
    pub principal: Option<String>,
    /// Oldest first.
    pub history: Vec<Snapshot>,
}

/// A record with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Exported {
    pub record: Record,
    /// Oldest first.
    pub history: Vec<Snapshot>,
}

impl Engine {
    /// Stores a batch as one unit, and with it the mark `(key, value)` that says how far the import is. Answers each row.
    ///
    /// # Errors
    /// When the unit as a whole could not be stored.
    pub async fn import_batch(
        &self,
        rows: Vec<ImportRecord>,
        mark: Option<(String, String)>,
    ) -> Result<Vec<Result<String>>> {
        if rows.len() > BATCH_ROWS_MAX {
            return Err(Error::BadRequest(format!("a batch holds at most {BATCH_ROWS_MAX} rows")));
        }
        let inner = Arc::clone(&self.inner);
        self.store()
            .write_several(move |unit| {
                let owner = inner.owner_caller();
                let mut results = Vec::with_capacity(rows.len());
                for row in rows {
                    // A chosen id can be taken, which is seen only as it is stored.
                    let checked = row.alias.is_none() && row.exact.is_none();
                    let step = |unit: &mut Unit<'_>| import_one(&inner, unit, &owner, row);
                    results.push(match checked {
                        true => unit.attempt_checked(step)?,
                        false => unit.attempt(step),
                    });
                }
                if let Some((key, value)) = mark {
                    unit.set_meta_text(&format!("{MARK}{key}"), &value)?;
                }
                Ok(results)
            })
            .await
    }

    /// How far an import got.
    pub fn import_mark(&self, key: &str) -> Result<Option<String>> {
        self.store().read(|view| Ok(view.meta_text(&format!("{MARK}{key}"))?))
    }

    /// Forgets how far an import got.
    pub async fn remove_import_mark(&self, key: &str) -> Result<()> {
        let key = format!("{MARK}{key}");
        self.store().write(move |unit| Ok(unit.remove_meta(&key)?)).await
    }

    /// Hands every record, deleted ones too, to `each`, in order of ids, from one snapshot. Runs on the calling thread.
    pub fn export_each(&self, each: &mut dyn FnMut(Exported) -> Result<()>) -> Result<()> {
        /// Records held at once, each of which may have its megabyte.
        const PAGE: i64 = 32;
        self.store().read(|view| {
            let mut after = -1;
            loop {
                let page = view.records_after(after, PAGE)?;
                let Some(last) = page.last() else { return Ok(()) };
                after = last.rid;
                for row in page {
                    let mut history = Vec::new();
                    for state in view.history(row.rid, row.version, usize::MAX)?.0.into_iter().rev()
                    {
                        history.push(Snapshot::of(view, state, row.subject, true)?);
                    }
                    each(Exported { record: Record::from_row(view, row)?, history })?;
                }
            }
        })
    }
}

impl Engine {
    /// Stored files behind the internal number `after`, in the order they came; for exports.
    pub fn blobs_after(&self, after: i64, limit: i64) -> Result<Vec<BlobRow>> {
        self.store().read(|view| Ok(view.blobs_after(after, limit)?))
    }
}

fn import_one(
    inner: &Inner,
    unit: &mut Unit<'_>,
    owner: &Caller,
    row: ImportRecord,
) -> Result<String> {
    if let Some(exact) = row.exact {
        return import_exact(inner, unit, row.record, row.created_at, row.alias, exact);
    }
    let prepared = prepare_on(inner, unit, owner, row.record, Source::Request)?;
    let mut stored = store_prepared(inner, unit, owner, prepared)?;
    if row.created_at.is_some() || row.alias.is_some() {
        stored.created_at = row.created_at.unwrap_or(stored.created_at);
        stored.updated_at = stored.created_at;
        if let Some(alias) = row.alias {
            let info = crate::engine::record::type_of(unit, stored.type_id)?;
            unit.add_alias(info.collection, &alias, stored.rid)?;
            stored.alias = Some(alias);
        }
        unit.set_origin(&stored)?;
    }
    Ok(crate::engine::record::shown_id(&stored))
}

/// A record of another file of this stack that is not here any more, with its history.
pub(crate) fn import_exact_record(
    inner: &Inner,
    unit: &mut Unit<'_>,
    record: Record,
    history: Vec<Snapshot>,
) -> Result<String> {
    let listed = |text: Option<&str>| -> Vec<serde_json::Value> {
        match json::parse(text.unwrap_or("[]").as_bytes()) {
            Ok(serde_json::Value::Array(items)) => items,
            _ => Vec::new(),
        }
    };
    let new = NewRecord {
        id: Some(record.id.clone()),
        type_id: record.type_info.id.clone(),
        content: commit::parse_stored(&record.content)?,
        app: record.app.as_deref().map(str::to_owned),
        parent: record.parent.clone(),
        permissions: listed(record.permissions.as_deref()),
        associations: listed(record.associations.as_deref()),
    };
    let exact = ExactRecord {
        version: record.version,
        updated_at: record.updated_at,
        deleted_at: record.deleted_at,
        subject: record.subject.as_deref().map(str::to_owned),
        principal: record.principal.as_deref().map(str::to_owned),
        history,
    };
    let collection = unit.types().get(&new.type_id).map(|info| info.collection);
    let mut alias = record.alias.filter(|alias| !is_fixed(alias));
    if let (Some(chosen), Some(collection)) = (&alias, collection)
        && unit.rid_of_alias(collection, chosen)?.is_some()
    {
        // Another record is called that by now.
        alias = None;
    }
    import_exact(inner, unit, new, Some(record.created_at), alias, exact)
}

fn import_exact(
    inner: &Inner,
    unit: &mut Unit<'_>,
    new: NewRecord,
    created_at: Option<i64>,
    chosen: Option<String>,
    exact: ExactRecord,
) -> Result<String> {
    let id = new.id.clone().ok_or_else(|| Error::invalid("id", "is missing"))?;
    let types = unit.types();
    let info = types
        .get(&new.type_id)
        .ok_or_else(|| Error::invalid("typeId", format!("{} is not registered", new.type_id)))?
        .clone();
    let permissions = parse_permissions(&new.permissions).map_err(Error::Invalid)?;
    let associations = parse_associations(&new.associations).map_err(Error::Invalid)?;
    let (rid, alias) = match RecordId::parse(&id) {
        Some(parsed) => (parsed.as_i64(), chosen),
        None if is_fixed(&id) => {
            let rid = rid_of(unit, &id)?.unwrap_or_else(|| inner.mint.mint().as_i64());
            (rid, Some(id.clone()))
        }
        None => return Err(Error::invalid("id", "is not a record id")),
    };
    let there = unit.record(rid)?;
    if let Some(there) = &there {
        replaceable(inner, &id, there, &new)?;
    }
    let row = RecordRow {
        rid,
        type_id: info.row_id,
        version: exact.version,
        tx: unit.tx(),
        created_at: created_at.unwrap_or(exact.updated_at),
        updated_at: exact.updated_at,
        deleted_at: exact.deleted_at,
        subject: exact.subject.as_deref().map(|who| unit.intern(who)).transpose()?,
        principal: exact.principal.as_deref().map(|who| unit.intern(who)).transpose()?,
        app: new.app.as_deref().map(|app| unit.intern(app)).transpose()?,
        parent: new.parent,
        alias,
        permissions: permissions_text(&permissions),
        associations: associations_text(&associations),
        content: json::minify(&serde_json::Value::Object(new.content.clone())),
    };
    let actor = Actor { subject: row.subject, via: row.principal };
    if let Some(fresh) = there {
        commit::purge(inner, unit, &fresh, actor)?;
    }
    // A deleted record has given its chosen id free; a fixed one is kept for ever.
    if let Some(alias) = row.alias.as_ref().filter(|alias| is_fixed(alias)) {
        unit.add_alias(FIXED_IDS, alias, rid)?;
    } else if let (Some(alias), None) = (&row.alias, row.deleted_at) {
        unit.add_alias(info.collection, alias, rid)?;
    }
    let text = if info.search { words::text_of(&new.content) } else { String::new() };
    let fresh = Fresh {
        info: &info,
        row: &row,
        associations: &associations,
        content: &new.content,
        text: &text,
    };
    commit::insert(inner, unit, &fresh, actor)?;
    add_history(unit, &info, &row, &exact.history, actor)?;
    inner.mint.observe(RecordId::from_i64(rid).unwrap_or(RecordId::MIN));
    Ok(id)
}

/// The settings record is there in every file; as long as nothing changed it, a copy of the same owner's takes its place.
/// Everything else must be new.
fn replaceable(inner: &Inner, id: &str, there: &RecordRow, new: &NewRecord) -> Result<()> {
    if id != CONFIG_ID || there.version > 1 {
        return Err(Error::Conflict(format!("id {id} is in use")));
    }
    let known = parsed(there)?;
    special::check_config(special::CONFIG, &known, &new.content).map_err(|_| {
        Error::Conflict(format!(
            "the export belongs to another owner; make the file with CAIRN_OWNER_DID set to the exported one (this file's \
             is {})",
            inner.owner
        ))
    })
}

/// The journal of a copied record: each earlier version as the state that the next one replaced.
fn add_history(
    unit: &mut Unit<'_>,
    info: &TypeInfo,
    row: &RecordRow,
    history: &[Snapshot],
    actor: Actor,
) -> Result<()> {
    let types = unit.types();
    for past in history {
        let type_id = types.get(&past.type_id).map_or(info.row_id, |info| info.row_id);
        let state = RecordRow {
            type_id,
            version: past.version,
            updated_at: past.updated_at,
            deleted_at: past.deleted_at,
            permissions: past.permissions.clone(),
            associations: past.associations.clone(),
            content: past.content.clone(),
            ..row.clone()
        };
        unit.append_change(row.rid, past.version + 1, Op::Update, actor, Some(&state))?;
    }
    Ok(())
}
