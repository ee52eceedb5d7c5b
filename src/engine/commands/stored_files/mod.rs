//! Files by path (live protocol 11): a record of type `_file` whose chosen id is the path and whose bytes are a blob.
//!
//! So a file has history, an author and a place in export and search like any record. Storing to a path that is taken
//! replaces the record's content; its older versions keep naming their blobs until those are collected.
//!
//! Knows paths, media types, who may. Does not know forms, headers or addresses.
//!
//! Invariants
//! F1. A path names at most one file at a time: it is the alias of its record.
//! F2. Bytes and record become visible in one unit; a refused or broken upload leaves neither.
//! F3. The right to act is asked of the rules in the unit or snapshot that acts.

mod links;
mod ranges;
mod resumable;
#[cfg(test)]
mod tests;

pub use links::{LINK_SECONDS_MAX, Link};
pub use resumable::{Chunk, Completion, ResumableState};

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::commit::{self, Fresh, parsed};
use super::files::{Incoming, StoredFile};
use crate::engine::access::{Access, FILE};
use crate::engine::error::{Error, Result};
use crate::engine::record::shown_id;
use crate::engine::{Caller, Engine, Inner};
use crate::schema::file_path::FilePath;
use crate::schema::rules::StorageOperation;
use crate::schema::{FieldFault, words};
use crate::store::{BlobRow, Op, RecordRow, TypeInfo, Unit, View};
use crate::util::json;

const FILE_TYPE: &str = "_file@1";
/// Files in one page of the list.
pub const FILE_ROWS_MAX: u32 = 1_000;
/// Bytes of a media type.
const MEDIA_TYPE_BYTES_MAX: usize = 255;
const METADATA_ENTRIES_MAX: usize = 64;
/// Bytes of all names and values together.
const METADATA_BYTES_MAX: usize = 8 * 1024;
/// Longer texts are no cursors of ours: a path in base64.
const CURSOR_CHARS_MAX: usize = 1_400;

/// What is stored beside the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFile {
    pub path: FilePath,
    pub content_type: String,
    /// Texts by name.
    pub metadata: Map<String, Value>,
}

/// What is known of a stored file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileInfo {
    pub path: String,
    /// Id of its record.
    pub record: String,
    /// SHA-256 of the bytes.
    pub file_id: String,
    pub size: u64,
    pub content_type: String,
    pub metadata: Map<String, Value>,
    /// Milliseconds.
    pub updated_at: i64,
}

/// Files in order of path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilePage {
    pub files: Vec<FileInfo>,
    /// Where the next page goes on.
    pub cursor: Option<String>,
}

/// Bytes on their way to a path. Dropping it takes back what it stored.
#[derive(Debug)]
pub struct FileUpload {
    incoming: Incoming,
    engine: Engine,
    caller: Caller,
    bytes_max: u64,
}

impl NewFile {
    /// # Errors
    /// [`Error::Invalid`] for a media type that no header can carry and for metadata that is too large or no text.
    fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let printable = self.content_type.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !printable || !(1..=MEDIA_TYPE_BYTES_MAX).contains(&self.content_type.len()) {
            faults.push(FieldFault::new("contentType", "must be a media type"));
        }
        let texts: Option<Vec<usize>> = self
            .metadata
            .iter()
            .map(|(name, value)| Some(name.len() + value.as_str()?.len()))
            .collect();
        match texts {
            None => faults.push(FieldFault::new("metadata", "must be an object of texts")),
            Some(lengths)
                if lengths.len() > METADATA_ENTRIES_MAX
                    || lengths.iter().sum::<usize>() > METADATA_BYTES_MAX =>
            {
                faults.push(FieldFault::new("metadata", "is too large"));
            }
            Some(_) => {}
        }
        super::special::none(faults)
    }
}

impl FileInfo {
    fn of(path: &str, row: &RecordRow) -> Result<Self> {
        let mut content = parsed(row)?;
        let text = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let (file_id, content_type) = (text("fileId"), text("contentType"));
        let size = content.get("size").and_then(Value::as_u64).unwrap_or(0);
        let metadata = match content.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            record: shown_id(row),
            file_id,
            size,
            content_type,
            metadata,
            updated_at: row.updated_at,
        })
    }
}

impl Engine {
    /// Whether somebody may use storage so; for a refusal before anything else is looked at.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] to nobody in particular, [`Error::Denied`] to somebody.
    pub fn check_storage(&self, caller: &Caller, operation: StorageOperation) -> Result<()> {
        self.store().read(|view| Access::new(&self.inner, view, caller).check_storage(operation))
    }

    /// # Errors
    /// [`Error::MediaType`] when the rules do not list it.
    pub fn check_media_type(&self, caller: &Caller, media_type: &str) -> Result<()> {
        self.store()
            .read(|view| Access::new(&self.inner, view, caller).check_media_type(media_type))
    }

    /// Starts taking bytes; what they are called is said at the end.
    ///
    /// # Errors
    /// As [`Engine::check_storage`]. Nothing is stored before.
    pub fn begin_file(&self, caller: &Caller) -> Result<FileUpload> {
        let bytes_max = self.store().read(|view| {
            let access = Access::new(&self.inner, view, caller);
            access.check_storage(StorageOperation::Upload)?;
            Ok::<_, Error>(access.storage_bytes_max())
        })?;
        let incoming = Incoming::new(self, bytes_max);
        Ok(FileUpload { incoming, engine: self.clone(), caller: caller.clone(), bytes_max })
    }

    /// A file the caller may read, and its bytes for [`Engine::read_file`].
    ///
    /// # Errors
    /// As [`Engine::check_storage`]; [`Error::Missing`].
    pub fn open_stored_file(
        &self,
        caller: &Caller,
        path: &FilePath,
    ) -> Result<(FileInfo, StoredFile)> {
        self.store().read(|view| {
            Access::new(&self.inner, view, caller).check_storage(StorageOperation::Read)?;
            open(view, path)?.ok_or_else(|| missing(path))
        })
    }

    /// Files whose path begins with `prefix`, in byte order.
    ///
    /// # Errors
    /// As [`Engine::check_storage`]; [`Error::BadRequest`] for a cursor that is none.
    pub async fn list_files(
        &self,
        caller: &Caller,
        prefix: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<FilePage> {
        let after = cursor.map(read_cursor).transpose()?;
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        let (prefix, limit) = (prefix.to_owned(), limit.clamp(1, FILE_ROWS_MAX));
        self.store()
            .query(move |view| {
                Access::new(&inner, view, &caller).check_storage(StorageOperation::Read)?;
                page(view, &prefix, limit, after.as_deref())
            })
            .await
    }

    /// Deletes a file. Its record stays as a deleted one, with its history; the path is free.
    ///
    /// # Errors
    /// As [`Engine::check_storage`]; [`Error::Missing`].
    pub async fn remove_stored_file(&self, caller: &Caller, path: &FilePath) -> Result<()> {
        let (inner, caller, path) = (Arc::clone(&self.inner), caller.clone(), path.clone());
        self.store()
            .write_several(move |unit| {
                Access::new(&inner, unit, &caller).check_storage(StorageOperation::Delete)?;
                let info = file_type(unit)?;
                let row = find(unit, &info, &path)?.ok_or_else(|| missing(&path))?;
                let actor = commit::actor(unit, &caller)?;
                unit.remove_alias(info.collection, path.as_str())?;
                let next = RecordRow { deleted_at: Some(unit.at()), ..row.clone() };
                commit::replace(&inner, unit, &row, next, Op::Delete, actor)?;
                Ok(())
            })
            .await
    }
}

impl FileUpload {
    /// Bytes that may come.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`]
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.incoming.write(bytes).await
    }

    /// Stores the last bytes and the record, replacing a file that has this path.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Invalid`], or that the right was lost meanwhile.
    pub async fn finish(self, new: NewFile) -> Result<FileInfo> {
        new.check()?;
        let (inner, caller) = (Arc::clone(&self.engine.inner), self.caller);
        self.incoming.finish(move |unit, blob| store_file(&inner, unit, &caller, &new, blob)).await
    }
}

/// Makes the record of a file, or gives an existing one new content.
fn store_file(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    new: &NewFile,
    blob: &BlobRow,
) -> Result<FileInfo> {
    {
        let access = Access::new(inner, unit, caller);
        access.check_storage(StorageOperation::Upload)?;
        access.check_media_type(&new.content_type)?;
    }
    let info = file_type(unit)?;
    let path = new.path.as_str();
    let mut content = Map::new();
    content.insert("path".into(), json!(path));
    content.insert("fileId".into(), json!(blob.hash));
    content.insert("size".into(), json!(blob.size));
    content.insert("contentType".into(), json!(new.content_type));
    if !new.metadata.is_empty() {
        content.insert("metadata".into(), Value::Object(new.metadata.clone()));
    }
    let text = json::minify(&Value::Object(content.clone()));
    let actor = commit::actor(unit, caller)?;
    if let Some(row) = find(unit, &info, &new.path)? {
        let next = RecordRow { content: text, type_id: info.row_id, ..row.clone() };
        let stored = commit::replace(inner, unit, &row, next, Op::Update, actor)?;
        return FileInfo::of(path, &stored);
    }
    let ids = (inner.mint.mint().as_i64(), info.row_id);
    let row = RecordRow { alias: Some(path.to_owned()), ..commit::new_row(unit, ids, actor, text) };
    unit.add_alias(info.collection, path, row.rid)?;
    let words = if info.search { words::text_of(&content) } else { String::new() };
    let fresh =
        Fresh { info: &info, row: &row, associations: &[], content: &content, text: &words };
    commit::insert(inner, unit, &fresh, actor)?;
    FileInfo::of(path, &row)
}

fn file_type(view: &View<'_>) -> Result<Arc<TypeInfo>> {
    view.types().get(FILE_TYPE).cloned().ok_or(Error::Missing { what: "type", id: FILE.into() })
}

fn find(view: &View<'_>, info: &TypeInfo, path: &FilePath) -> Result<Option<RecordRow>> {
    let Some(rid) = view.rid_of_alias(info.collection, path.as_str())? else { return Ok(None) };
    Ok(view.record(rid)?.filter(|row| row.deleted_at.is_none()))
}

/// A file and its bytes, whoever asks.
fn open(view: &View<'_>, path: &FilePath) -> Result<Option<(FileInfo, StoredFile)>> {
    let Some(row) = find(view, &*file_type(view)?, path)? else { return Ok(None) };
    let info = FileInfo::of(path.as_str(), &row)?;
    let Some(blob) = view.blob(&info.file_id)? else { return Ok(None) };
    let stored = StoredFile {
        blob: blob.id,
        file_id: blob.hash,
        size: u64::try_from(blob.size).unwrap_or(0),
        media_type: Some(info.content_type.clone()),
        filename: Some(path.name().to_owned()),
    };
    Ok(Some((info, stored)))
}

fn missing(path: &FilePath) -> Error {
    Error::Missing { what: "file", id: path.to_string() }
}

fn page(view: &View<'_>, prefix: &str, limit: u32, after: Option<&str>) -> Result<FilePage> {
    let info = file_type(view)?;
    let mut page = FilePage::default();
    // One more than asked tells whether there are more.
    let found = view.aliases_with_prefix(info.collection, prefix, after, i64::from(limit) + 1)?;
    for (path, rid) in found {
        if page.files.len() == limit as usize {
            page.cursor = page.files.last().map(|file| URL_SAFE_NO_PAD.encode(&file.path));
            break;
        }
        if let Some(row) = view.record(rid)?.filter(|row| row.deleted_at.is_none()) {
            page.files.push(FileInfo::of(&path, &row)?);
        }
    }
    Ok(page)
}

fn read_cursor(text: &str) -> Result<String> {
    let refuse = || Error::BadRequest("the cursor is not one of this list's".into());
    if text.len() > CURSOR_CHARS_MAX {
        return Err(refuse());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
    String::from_utf8(bytes).map_err(|_| refuse())
}
