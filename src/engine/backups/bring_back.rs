//! Records of a backup as new versions of the records of today.
//!
//! A record that is there gets the backup's state as its next version; one that is gone comes back as it was, with its history
//! and its files. Types that are missing are registered as the backup has them.
//!
//! Invariants
//! G1. Nothing that is there is lost: what a record was before is its previous version.
//! G2. A record that is as the backup has it is left alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::Cancel;
use crate::crypto;
use crate::engine::access::ATTACHMENT;
use crate::engine::commands::{NewTypeInput, commit, import_exact_record, register_checked};
use crate::engine::error::{Error, Result};
use crate::engine::links::{Association, stored_associations};
use crate::engine::record::{rid_of, shown_id, type_of};
use crate::engine::{Inner, Record, Snapshot};
use crate::schema::family;
use crate::store::{Archive, AssociationKind, CHUNK_BYTES, Op, RecordRow, StoreError, Unit, View};
use crate::util::json;

/// Records looked at at once.
const PAGE: i64 = 32;

/// Which records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One, by id.
    Record(String),
    /// All of a type `base@version`, or of a collection when there is no version.
    Type(String),
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BroughtBack {
    /// Records that were gone.
    pub created: u64,
    /// Records that have the backup's state as a new version.
    pub changed: u64,
    /// Records that were as the backup has them.
    pub unchanged: u64,
    /// Files whose bytes were gone.
    pub files: u64,
}

pub(super) fn bring_back(
    inner: &Arc<Inner>,
    source: &Archive,
    wanted: &Wanted,
    cancel: &Cancel,
) -> Result<BroughtBack> {
    let mut done = BroughtBack::default();
    match wanted {
        Wanted::Record(id) => {
            let row = source.read(|view| match rid_of(view, id)? {
                Some(rid) => Ok::<_, Error>(view.record(rid)?),
                None => Ok(None),
            })?;
            let row = row.ok_or_else(|| Error::Missing { what: "record", id: id.clone() })?;
            one(inner, source, row, &mut done)?;
        }
        Wanted::Type(name) => {
            let types = source.types();
            let rows: Vec<i64> = match types.get(name) {
                Some(info) => vec![info.row_id],
                None => types.family(family(name)).to_vec(),
            };
            let versioned = name.contains('@') && types.get(name).is_none();
            if rows.is_empty() || versioned {
                return Err(Error::Missing { what: "type", id: name.clone() });
            }
            let mut after = -1;
            loop {
                let page = source.read(|view| view.records_after(after, PAGE))?;
                let Some(last) = page.last() else { break };
                after = last.rid;
                for row in page.into_iter().filter(|row| rows.contains(&row.type_id)) {
                    if cancel.is_cancelled() {
                        return Err(Error::Conflict("it was interrupted".into()));
                    }
                    one(inner, source, row, &mut done)?;
                }
            }
        }
    }
    Ok(done)
}

/// A record of the backup with all that has to come with it.
struct Past {
    record: Record,
    history: Vec<Snapshot>,
    types: Vec<NewTypeInput>,
}

fn one(inner: &Arc<Inner>, source: &Archive, row: RecordRow, done: &mut BroughtBack) -> Result<()> {
    let files = files_of(source, &row)?;
    for file in files {
        if copy_file(inner, source, &file)? {
            done.files += 1;
        }
        // What says its name and media type went with the file.
        for row in source.read(|view| metadata_of(view, &file))? {
            let gone = inner.store.read(|view| view.record(row.rid))?.is_none();
            if gone {
                put(inner, past(source, row)?)?;
            }
        }
    }
    match put(inner, past(source, row)?)? {
        Put::Created => done.created += 1,
        Put::Changed => done.changed += 1,
        Put::Unchanged => done.unchanged += 1,
    }
    Ok(())
}

fn past(source: &Archive, row: RecordRow) -> Result<Past> {
    source.read(|view| {
        let mut history = Vec::new();
        let mut names = BTreeSet::new();
        for state in view.history(row.rid, row.version, usize::MAX)?.0.into_iter().rev() {
            let snapshot = Snapshot::of(view, state, row.subject, true)?;
            names.insert(snapshot.type_id.clone());
            history.push(snapshot);
        }
        let record = Record::from_row(view, row)?;
        names.insert(record.type_info.id.clone());
        let known = view.types();
        let types = names
            .iter()
            .filter_map(|name| known.get(name))
            .map(|info| {
                let schema = json::parse_object(info.schema_text.as_bytes()).map_err(|fault| {
                    Error::from(StoreError::Refused(format!(
                        "a type of the backup is damaged: {fault}"
                    )))
                })?;
                Ok(NewTypeInput {
                    id: info.id.clone(),
                    name: info.name.clone(),
                    schema,
                    schema_hash: None,
                    migrates_from: info.migrates_from.clone(),
                    search: Some(info.search),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Past { record, history, types })
    })
}

enum Put {
    Created,
    Changed,
    Unchanged,
}

fn put(inner: &Arc<Inner>, past: Past) -> Result<Put> {
    let shared = Arc::clone(inner);
    inner.store.write_blocking(move |unit| {
        for input in past.types {
            if unit.types().get(&input.id).is_none() {
                register_checked(&shared, unit, input)?;
            }
        }
        let rid = past.record.rid.as_i64();
        let Some(now) = unit.record(rid)? else {
            import_exact_record(&shared, unit, past.record, past.history)?;
            return Ok(Put::Created);
        };
        replace(&shared, unit, &now, &past.record)
    })
}

/// Gives a record that is there the state that the backup has.
fn replace(inner: &Inner, unit: &mut Unit<'_>, now: &RecordRow, past: &Record) -> Result<Put> {
    let types = unit.types();
    let info = types
        .get(&past.type_info.id)
        .cloned()
        .ok_or_else(|| Error::Missing { what: "type", id: past.type_info.id.clone() })?;
    let mut next = RecordRow {
        type_id: info.row_id,
        content: past.content.clone(),
        permissions: past.permissions.clone(),
        associations: past.associations.clone(),
        deleted_at: past.deleted_at.and(now.deleted_at.or(Some(unit.at()))),
        ..now.clone()
    };
    if *now == next {
        return Ok(Put::Unchanged);
    }
    let revived = now.deleted_at.is_some() && next.deleted_at.is_none();
    let content = commit::parse_stored(&next.content)?;
    if next.deleted_at.is_none() {
        crate::engine::commands::check_unique_fields(unit, &info, &content, now.rid)?;
    }
    if let Some(alias) = now.alias.clone().filter(|alias| shown_id(now) != *alias) {
        let collection = type_of(unit, now.type_id)?.collection;
        if revived && unit.rid_of_alias(collection, &alias)?.is_some() {
            // Another record has its chosen id by now; this one keeps the one it was born with.
            next.alias = None;
        } else if revived {
            unit.add_alias(collection, &alias, now.rid)?;
        } else if now.deleted_at.is_none() && next.deleted_at.is_some() {
            unit.remove_alias(collection, &alias)?;
        }
    }
    let actor = commit::actor(unit, &inner.owner_caller())?;
    commit::replace(inner, unit, now, next, Op::Restore, actor)?;
    Ok(Put::Changed)
}

/// Hashes of the files that a record refers to.
fn files_of(source: &Archive, row: &RecordRow) -> Result<Vec<String>> {
    source.read(|view| {
        let info = type_of(view, row.type_id)?;
        let content = commit::parse_stored(&row.content)?;
        let mut files: BTreeSet<String> =
            info.schema.file_refs(&content).into_iter().map(|(_, file)| file).collect();
        files.extend(
            stored_associations(row.associations.as_deref())
                .iter()
                .map(Association::row)
                .filter(|edge| edge.kind == AssociationKind::Attachment)
                .map(|edge| edge.target),
        );
        if info.base == ATTACHMENT {
            files.extend(content.get("fileId").and_then(Value::as_str).map(str::to_owned));
        }
        Ok(files.into_iter().collect())
    })
}

fn metadata_of(view: &View<'_>, file: &str) -> Result<Vec<RecordRow>> {
    let mut rows = Vec::new();
    for type_id in view.types().family(ATTACHMENT) {
        rows.extend(view.records_with_text(*type_id, "fileId", file)?);
    }
    Ok(rows)
}

/// Copies a file's bytes, when they are gone here. True when they were.
fn copy_file(inner: &Inner, source: &Archive, hash: &str) -> Result<bool> {
    if inner.store.read(|view| view.blob(hash))?.is_some() {
        return Ok(false);
    }
    let Some(blob) = source.read(|view| view.blob(hash))? else { return Ok(false) };
    let upload = inner.store.write_blocking(|unit| unit.begin_upload())?;
    let (mut digest, mut size, mut number) = (crypto::Sha256::new(), 0_i64, 0);
    while let Some(piece) = source.read(|view| view.blob_piece(blob.id, number))? {
        let last = piece.len() < CHUNK_BYTES;
        size += i64::try_from(piece.len()).unwrap_or(0);
        digest.update(&piece);
        inner.store.write_blocking(move |unit| unit.add_piece(upload, number, &piece))?;
        number += 1;
        if last {
            break;
        }
    }
    if crypto::hex(&digest.finish()) != hash || size != blob.size {
        // Without a name it is swept at the next start.
        return Err(Error::Conflict(format!("file {hash} is damaged in the backup")));
    }
    let hash = hash.to_owned();
    inner.store.write_blocking(move |unit| unit.finish_upload(upload, &hash, size))?;
    Ok(true)
}
