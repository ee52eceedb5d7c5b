//! Files: upload in pieces, download, delete, garbage (stack protocol 10).
//!
//! Invariants
//! U1. Nothing is stored before the right to upload was checked.
//! U2. An upload holds at most one piece in memory; what is not finished is swept.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::commit::{self, parsed};
use super::create::{NewRecord, Source, prepare_on, store_prepared};
use super::special;
use crate::crypto::{self, Sha256};
use crate::engine::access::{ATTACHMENT, Access};
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Record};
use crate::store::{BlobRow, CHUNK_BYTES, RecordRow, Store, Unit, UploadId, View};

/// Life of an unreferenced file before garbage collection takes it, unless the caller says otherwise.
const GRACE_MS_DEFAULT: i64 = 24 * 3_600_000;
/// Blobs looked at between two breaths.
const GARBAGE_PAGE: i64 = 200;

/// What is known of a file before its bytes.
#[derive(Clone, Debug, Default)]
pub struct UploadInput {
    pub media_type: String,
    pub filename: Option<String>,
    pub app: Option<String>,
    /// Whether a metadata record is made.
    pub record: bool,
}

/// A file on its way in. Dropping it takes back what it stored.
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    caller: Caller,
    input: UploadInput,
}

/// Bytes on their way into a blob, whatever will refer to it. Dropping them takes back what was stored.
pub(super) struct Incoming {
    engine: Engine,
    bytes_max: u64,
    /// Set with the first full piece; small files never need it.
    upload: Option<UploadId>,
    pieces: i64,
    buffer: Vec<u8>,
    hash: Sha256,
    size: u64,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("size", &self.size).field("pieces", &self.pieces).finish()
    }
}

/// A stored file.
#[derive(Debug)]
pub struct Uploaded {
    pub record: Option<Record>,
    pub file_id: String,
    pub size: u64,
}

/// A file that the caller may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub(super) blob: i64,
    pub file_id: String,
    pub size: u64,
    /// As the first-recorded metadata says.
    pub media_type: Option<String>,
    /// The caller's own, else the first-recorded.
    pub filename: Option<String>,
}

/// What a garbage collection removed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub deleted: Vec<String>,
    pub reclaimed_bytes: u64,
}

impl Engine {
    /// Starts an upload.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::Denied`] without the right to create metadata or for another app's name.
    pub async fn begin_upload(&self, caller: &Caller, input: UploadInput) -> Result<Upload> {
        if caller.is_anonymous() {
            return Err(Error::Unauthenticated);
        }
        self.store().read(|view| {
            let access = Access::new(&self.inner, view, caller);
            if !access.may_create(ATTACHMENT)? {
                return Err(Error::Denied);
            }
            special::check_app(&access, input.app.as_deref())
        })?;
        let incoming = Incoming::new(self, self.options().attachment_bytes_max);
        Ok(Upload { incoming, caller: caller.clone(), input })
    }

    /// A file the caller may read.
    ///
    /// # Errors
    /// To the owner [`Error::Missing`]; to others missing and unreachable look alike: [`Error::Unauthenticated`] to nobody,
    /// [`Error::Denied`] to somebody.
    pub fn open_file(&self, caller: &Caller, file_id: &str) -> Result<StoredFile> {
        self.store().read(|view| {
            let access = Access::new(&self.inner, view, caller);
            let refusal = || match (access.alone(), caller.is_anonymous()) {
                (true, _) => Error::Missing { what: "file", id: file_id.to_owned() },
                (false, true) => Error::Unauthenticated,
                (false, false) => Error::Denied,
            };
            let well_formed = file_id.len() == 64
                && file_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let Some(blob) = (if well_formed { view.blob(file_id)? } else { None }) else {
                return Err(refusal());
            };
            if !access.may_access_file(file_id)? {
                return Err(refusal());
            }
            let first = special::established(view, file_id)?;
            let own = own_metadata(view, caller, file_id)?;
            let field = |row: &Option<RecordRow>, name: &str| -> Result<Option<String>> {
                let Some(row) = row else { return Ok(None) };
                Ok(parsed(row)?.get(name).and_then(Value::as_str).map(str::to_owned))
            };
            let filename = match field(&own, "filename")? {
                Some(name) => Some(name),
                None => field(&first, "filename")?,
            };
            Ok(StoredFile {
                blob: blob.id,
                file_id: blob.hash,
                size: u64::try_from(blob.size).unwrap_or(0),
                media_type: field(&first, "mimeType")?,
                filename,
            })
        })
    }

    /// The bytes from `offset` to the end of their piece, at most `length`. Empty past the end.
    ///
    /// # Errors
    /// [`Error::Missing`] when the file was deleted meanwhile.
    pub fn read_file(&self, file: &StoredFile, offset: u64, length: u64) -> Result<Bytes> {
        if offset >= file.size || length == 0 {
            return Ok(Bytes::new());
        }
        let piece_bytes = CHUNK_BYTES as u64;
        let number = i64::try_from(offset / piece_bytes).map_err(|_| file_missing(file))?;
        let piece = self
            .store()
            .read(|view| view.blob_piece(file.blob, number))?
            .ok_or_else(|| file_missing(file))?;
        let start = usize::try_from(offset % piece_bytes).unwrap_or(0).min(piece.len());
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let end = start.saturating_add(wanted).min(piece.len());
        if start == end {
            return Err(file_missing(file));
        }
        Ok(Bytes::from(piece).slice(start..end))
    }

    /// Removes a file's bytes and its metadata records with their history. For the owner alone.
    ///
    /// # Errors
    /// [`Error::Conflict`] while a record references it, [`Error::Missing`] when there is nothing of it.
    pub async fn delete_file(&self, caller: &Caller, file_id: &str) -> Result<()> {
        self.check_alone(caller)?;
        let removed = self.remove_file(caller, file_id, None).await?;
        match removed {
            Removed::Gone(_) => Ok(()),
            Removed::Referenced | Removed::TooYoung => {
                Err(Error::Conflict("a record references this file".into()))
            }
            Removed::Nothing => Err(Error::Missing { what: "file", id: file_id.to_owned() }),
        }
    }

    async fn remove_file(
        &self,
        caller: &Caller,
        file_id: &str,
        older_than: Option<i64>,
    ) -> Result<Removed> {
        let (inner, caller, file) = (Arc::clone(&self.inner), caller.clone(), file_id.to_owned());
        let (removed, upload) = self
            .store()
            .write_several(move |unit| -> Result<_> {
                if unit.is_referenced(&file)? {
                    return Ok((Removed::Referenced, None));
                }
                let metadata = metadata_of(unit, &file)?;
                let blob = unit.blob(&file)?;
                if metadata.is_empty() && blob.is_none() {
                    return Ok((Removed::Nothing, None));
                }
                if older_than.is_some_and(|at| newest(&metadata, blob.as_ref()) > at) {
                    return Ok((Removed::TooYoung, None));
                }
                let actor = commit::actor(unit, &caller)?;
                for row in &metadata {
                    commit::purge(&inner, unit, row, actor)?;
                }
                let bytes = blob.as_ref().map_or(0, |blob| blob.size);
                let upload = blob.map(|blob| unit.unname_blob(blob.id)).transpose()?;
                Ok((Removed::Gone(u64::try_from(bytes).unwrap_or(0)), upload))
            })
            .await?;
        if let Some(upload) = upload {
            self.store().sweep(upload).await?;
        }
        Ok(removed)
    }

    /// Removes files that no record references and that are older than the grace. For the owner alone.
    pub async fn collect_garbage(
        &self,
        caller: &Caller,
        grace_ms: Option<i64>,
        dry_run: bool,
    ) -> Result<Collected> {
        self.check_alone(caller)?;
        let limit = self.clock().now_ms() - grace_ms.unwrap_or(GRACE_MS_DEFAULT).max(0);
        let mut collected = Collected::default();
        let mut after = 0;
        loop {
            let (last, garbage) =
                self.store().query(move |view| garbage_after(view, after, limit)).await?;
            for (file, size) in garbage {
                if dry_run {
                    collected.deleted.push(file);
                    collected.reclaimed_bytes += size;
                } else if let Removed::Gone(size) =
                    self.remove_file(caller, &file, Some(limit)).await?
                {
                    collected.deleted.push(file);
                    collected.reclaimed_bytes += size;
                }
            }
            match last {
                Some(id) => after = id,
                None => return Ok(collected),
            }
        }
    }
}

enum Removed {
    Gone(u64),
    Referenced,
    TooYoung,
    Nothing,
}

fn file_missing(file: &StoredFile) -> Error {
    Error::Missing { what: "file", id: file.file_id.clone() }
}

/// Every metadata record of a file, in every state and version of the family, in order of creation.
fn metadata_of(view: &View<'_>, file: &str) -> Result<Vec<RecordRow>> {
    let mut rows = Vec::new();
    for type_id in view.types().family(ATTACHMENT) {
        rows.extend(view.records_with_text(*type_id, "fileId", file)?);
    }
    Ok(rows)
}

fn own_metadata(view: &View<'_>, caller: &Caller, file: &str) -> Result<Option<RecordRow>> {
    let Some(subject) = caller.subject() else { return Ok(None) };
    let Some(name) = view.name_id(subject)? else { return Ok(None) };
    Ok(metadata_of(view, file)?.into_iter().find(|row| row.subject == Some(name)))
}

/// When the file was last claimed by an upload.
fn newest(metadata: &[RecordRow], blob: Option<&BlobRow>) -> i64 {
    metadata
        .iter()
        .map(|row| row.created_at)
        .max()
        .or(blob.map(|blob| blob.created_at))
        .unwrap_or(0)
}

/// File ids and sizes.
type Garbage = Vec<(String, u64)>;

/// A page of blobs: those that are garbage with their sizes, and the id to go on from.
fn garbage_after(view: &View<'_>, after: i64, limit: i64) -> Result<(Option<i64>, Garbage)> {
    let page = view.blobs_after(after, GARBAGE_PAGE)?;
    let last = page.last().map(|blob| blob.id);
    let mut garbage = Vec::new();
    for blob in page {
        if view.is_referenced(&blob.hash)? {
            continue;
        }
        if newest(&metadata_of(view, &blob.hash)?, Some(&blob)) <= limit {
            garbage.push((blob.hash, u64::try_from(blob.size).unwrap_or(0)));
        }
    }
    Ok((last, garbage))
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] past the ceiling for files.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.incoming.write(bytes).await
    }

    /// Stores the last piece and the metadata record.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file is known under another media type, which the answer does not tell.
    pub async fn finish(self) -> Result<Uploaded> {
        let Self { incoming, caller, input } = self;
        let (inner, size) = (Arc::clone(&incoming.engine.inner), incoming.size);
        let (record, file_id) = incoming
            .finish(move |unit, stored| {
                let record = if input.record {
                    let row = add_metadata(&inner, unit, &caller, &input, stored)?;
                    Some(Record::from_row(unit, row)?)
                } else {
                    None
                };
                Ok((record, stored.hash.clone()))
            })
            .await?;
        Ok(Uploaded { record, file_id, size })
    }
}

impl Incoming {
    pub(super) fn new(engine: &Engine, bytes_max: u64) -> Self {
        Self {
            engine: engine.clone(),
            bytes_max,
            upload: None,
            pieces: 0,
            buffer: Vec::new(),
            hash: Sha256::new(),
            size: 0,
        }
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.bytes_max {
            return Err(Error::TooLarge { limit: "upload", max: self.bytes_max });
        }
        self.hash.update(&bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = CHUNK_BYTES - self.buffer.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == CHUNK_BYTES {
                self.store_piece().await?;
            }
        }
        Ok(())
    }

    async fn store_piece(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.buffer);
        let (known, number) = (self.upload, self.pieces);
        let upload = self
            .engine
            .store()
            .write_several(move |unit| {
                let upload = match known {
                    Some(upload) => upload,
                    None => unit.begin_upload()?,
                };
                unit.add_piece(upload, number, &piece)?;
                Ok::<_, Error>(upload)
            })
            .await?;
        self.upload = Some(upload);
        self.pieces += 1;
        Ok(())
    }

    /// Stores the last piece and, in the same unit, what refers to the blob.
    pub(super) async fn finish<T: Send + 'static>(
        mut self,
        refer: impl FnOnce(&mut Unit<'_>, &BlobRow) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.upload.is_some() && !self.buffer.is_empty() {
            self.store_piece().await?;
        }
        let file = crypto::hex(&std::mem::take(&mut self.hash).finish());
        let (upload, size) = (self.upload, self.size);
        let rest = std::mem::take(&mut self.buffer);
        // However this ends, dropping `self` sweeps: pieces that became the blob's are left alone, those of refused or
        // repeated bytes go.
        self.engine
            .store()
            .write_several(move |unit| {
                let stored = match upload {
                    Some(upload) => unit.finish_upload(upload, &file, stored_size(size)?)?,
                    None => unit.put_blob(&file, &rest)?,
                };
                refer(unit, &stored)
            })
            .await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            sweep_later(self.engine.store(), upload);
        }
    }
}

/// Removes the pieces of an upload that came to nothing, a few at a time, beside other work. What became a blob stays.
pub(super) fn sweep_later(store: &Store, upload: UploadId) {
    let store = store.clone();
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            runtime.spawn(async move {
                if let Err(error) = store.sweep(upload).await {
                    tracing::warn!(%error, "an abandoned upload waits for the next start to be swept");
                }
            });
        }
        // Without a runtime the next start sweeps it.
        Err(_) => tracing::warn!("an abandoned upload waits for the next start to be swept"),
    }
}

pub(super) fn stored_size(size: u64) -> Result<i64> {
    i64::try_from(size).map_err(|_| Error::TooLarge { limit: "upload", max: i64::MAX as u64 })
}

fn add_metadata(
    inner: &crate::engine::Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    input: &UploadInput,
    blob: &BlobRow,
) -> Result<RecordRow> {
    // Whoever brings the bytes may record them: the owner's gate on references is for those who only know a hash.
    let mut content = Map::new();
    content.insert("fileId".into(), json!(blob.hash));
    content.insert("mimeType".into(), json!(input.media_type));
    content.insert("size".into(), json!(blob.size));
    if let Some(filename) = &input.filename {
        content.insert("filename".into(), json!(filename));
    }
    let new = NewRecord {
        type_id: "_attachment@1".into(),
        content,
        app: input.app.clone(),
        ..NewRecord::default()
    };
    let prepared = prepare_on(inner, unit, caller, new, Source::Upload)?;
    store_prepared(inner, unit, caller, prepared)
}
