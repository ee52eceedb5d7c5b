//! Uploads in ranges, in any order, that go on after an interruption (live protocol 11.8).
//!
//! Every range is on disk when it is answered for. The last step hashes what lies there and makes it a file.
//!
//! Invariants
//! R1. An upload belongs to its creator: to others it does not exist.
//! R2. The bytes that were hashed are the bytes that become the blob: a write in between is noticed and refused.

use std::sync::Arc;

use bytes::Bytes;

use super::super::files::{stored_size, sweep_later};
use super::ranges::{Range, Ranges};
use super::{FileInfo, NewFile, store_file};
use crate::crypto::{Sha256, hex};
use crate::engine::access::Access;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine};
use crate::schema::file_path::FilePath;
use crate::schema::rules::StorageOperation;
use crate::store::{CHUNK_BYTES, ResumableRow, StoreError, UploadId, View};
use crate::util::json;

/// Uploads one creator may have open.
const OPEN_MAX: i64 = 100;
/// Bytes of an upload's id before they are spelled out.
const ID_BYTES: usize = 16;
/// Pieces hashed in one read.
const HASHED_PIECES: i64 = 16;
const PIECE_BYTES: u64 = CHUNK_BYTES as u64;

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumableState {
    pub received: u64,
    pub size: u64,
}

/// What became of the wish to finish.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    Stored(FileInfo),
    /// These ranges are missing: first byte, and the byte after the last.
    Incomplete(Vec<(u64, u64)>),
}

/// A range on its way in. What was written before it broke off stays.
#[derive(Debug)]
pub struct Chunk {
    engine: Engine,
    caller: Caller,
    id: String,
    upload: UploadId,
    size: u64,
    /// Where the buffered bytes belong, and where the range ends.
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    received: u64,
}

impl Engine {
    /// Opens an upload of `size` bytes; returns its id.
    ///
    /// # Errors
    /// As for an upload in one go; [`Error::Conflict`] when the caller has too many open.
    pub async fn begin_resumable(
        &self,
        caller: &Caller,
        new: NewFile,
        size: u64,
    ) -> Result<String> {
        let id = self.rng().base64url(ID_BYTES);
        let (inner, caller, row_id) = (Arc::clone(&self.inner), caller.clone(), id.clone());
        let stale = self
            .store()
            .write_several(move |unit| {
                {
                    let access = Access::new(&inner, unit, &caller);
                    access.check_storage(StorageOperation::Upload)?;
                    access.check_media_type(&new.content_type)?;
                    let max = access.storage_bytes_max();
                    if size > max {
                        return Err(Error::TooLarge { limit: "upload", max });
                    }
                }
                new.check()?;
                let stale = unit.take_stale_resumables()?;
                let owner = owner_of(&caller).to_owned();
                if unit.resumables_of(&owner)? >= OPEN_MAX {
                    return Err(Error::Conflict(format!("{OPEN_MAX} uploads are open already")));
                }
                let upload = unit.begin_upload()?;
                let metadata = (!new.metadata.is_empty())
                    .then(|| json::minify(&serde_json::Value::Object(new.metadata.clone())));
                unit.insert_resumable(&ResumableRow {
                    id: row_id,
                    owner,
                    path: new.path.to_string(),
                    content_type: new.content_type,
                    metadata,
                    size: stored_size(size)?,
                    upload,
                    received: Ranges::default().text(),
                    revision: 0,
                    touched_at: 0,
                })?;
                Ok(stale)
            })
            .await?;
        for upload in stale {
            sweep_later(self.store(), upload);
        }
        Ok(id)
    }

    /// # Errors
    /// [`Error::Missing`] for an upload that is somebody else's, finished or given up.
    pub fn resumable(&self, caller: &Caller, id: &str) -> Result<ResumableState> {
        self.store().read(|view| {
            Access::new(&self.inner, view, caller).check_storage(StorageOperation::Upload)?;
            state(&own(view, caller, id)?)
        })
    }

    /// Starts taking the bytes from `first` to before `end`.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::BadRequest`] for a range outside the file.
    pub fn begin_chunk(&self, caller: &Caller, id: &str, first: u64, end: u64) -> Result<Chunk> {
        let row = self.store().read(|view| {
            Access::new(&self.inner, view, caller).check_storage(StorageOperation::Upload)?;
            own(view, caller, id)
        })?;
        let state = state(&row)?;
        if first >= end || end > state.size {
            return Err(Error::BadRequest("the range does not lie within the file".into()));
        }
        Ok(Chunk {
            engine: self.clone(),
            caller: caller.clone(),
            id: row.id,
            upload: row.upload,
            size: state.size,
            position: first,
            end,
            buffer: Vec::new(),
            received: state.received,
        })
    }

    /// Makes the file of what arrived.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Conflict`] when bytes arrived while it was made.
    pub async fn complete_resumable(&self, caller: &Caller, id: &str) -> Result<Completion> {
        let row = self.store().read(|view| {
            Access::new(&self.inner, view, caller).check_storage(StorageOperation::Upload)?;
            own(view, caller, id)
        })?;
        let size = state(&row)?.size;
        let gaps: Vec<Range> = Ranges::parse(&row.received)?.gaps(size);
        if !gaps.is_empty() {
            return Ok(Completion::Incomplete(gaps));
        }
        let new = new_file(&row)?;
        let hash = self.hash_of(row.upload, size).await?;
        let (inner, caller, upload) = (Arc::clone(&self.inner), caller.clone(), row.upload);
        let stored = self
            .store()
            .write_several(move |unit| {
                if own(unit, &caller, &row.id)?.revision != row.revision {
                    return Err(Error::Conflict("bytes arrived meanwhile; try again".into()));
                }
                let max = Access::new(&inner, unit, &caller).storage_bytes_max();
                if size > max {
                    return Err(Error::TooLarge { limit: "upload", max });
                }
                let blob = unit.finish_upload(row.upload, &hash, row.size)?;
                unit.remove_resumable(&row.id)?;
                store_file(&inner, unit, &caller, &new, &blob)
            })
            .await?;
        // Equal bytes may have been there already; then these are not needed.
        sweep_later(self.store(), upload);
        Ok(Completion::Stored(stored))
    }

    /// SHA-256 over the pieces, a few in each read, so that no snapshot is held for long.
    async fn hash_of(&self, upload: UploadId, size: u64) -> Result<String> {
        let pieces = stored_size(size.div_ceil(PIECE_BYTES))?;
        let (mut hash, mut next) = (Sha256::new(), 0);
        while next < pieces {
            let end = pieces.min(next + HASHED_PIECES);
            hash = self
                .store()
                .query(move |view| {
                    for number in next..end {
                        let piece = view.upload_piece(upload, number)?.ok_or_else(|| {
                            StoreError::Refused("an upload has lost a piece".into())
                        })?;
                        hash.update(&piece);
                    }
                    Ok::<_, Error>(hash)
                })
                .await?;
            next = end;
        }
        Ok(hex(&hash.finish()))
    }
}

impl Chunk {
    /// Takes the next bytes of the range.
    ///
    /// # Errors
    /// [`Error::BadRequest`] past its end.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.len() as u64 > self.end - self.position - self.buffer.len() as u64 {
            return Err(Error::BadRequest("the body is longer than its range".into()));
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let stop = self.end.min((self.position / PIECE_BYTES + 1) * PIECE_BYTES);
            let room = stop - self.position - self.buffer.len() as u64;
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.position + self.buffer.len() as u64 == stop {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// All bytes of the range came: how many of the file are there now.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the range is not full.
    pub async fn finish(self) -> Result<u64> {
        if self.position != self.end {
            return Err(Error::BadRequest("the body is shorter than its range".into()));
        }
        Ok(self.received)
    }

    /// Stores what is buffered: within one piece, and noted as received in the same unit.
    async fn flush(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        let (first, end) = (self.position, self.position + bytes.len() as u64);
        let number = stored_size(first / PIECE_BYTES)?;
        let piece_start = first / PIECE_BYTES * PIECE_BYTES;
        let piece_bytes = usize::try_from(PIECE_BYTES.min(self.size - piece_start));
        let start = usize::try_from(first - piece_start);
        let (Ok(piece_bytes), Ok(start)) = (piece_bytes, start) else {
            return Err(Error::BadRequest("the range does not lie within the file".into()));
        };
        let (caller, id, upload) = (self.caller.clone(), self.id.clone(), self.upload);
        self.received = self
            .engine
            .store()
            .write_several(move |unit| {
                let row = own(unit, &caller, &id)?;
                let mut ranges = Ranges::parse(&row.received)?;
                ranges.add(first, end)?;
                unit.write_into_piece(upload, number, start, &bytes, piece_bytes)?;
                unit.note_received(&id, &ranges.text())?;
                Ok::<_, Error>(ranges.bytes())
            })
            .await?;
        self.position = end;
        Ok(())
    }
}

fn owner_of(caller: &Caller) -> &str {
    caller.subject().unwrap_or("")
}

fn own(view: &View<'_>, caller: &Caller, id: &str) -> Result<ResumableRow> {
    view.resumable(id)?
        .filter(|row| row.owner == owner_of(caller))
        .ok_or_else(|| Error::Missing { what: "upload", id: id.to_owned() })
}

fn state(row: &ResumableRow) -> Result<ResumableState> {
    let size = u64::try_from(row.size).unwrap_or(0);
    Ok(ResumableState { received: Ranges::parse(&row.received)?.bytes(), size })
}

fn new_file(row: &ResumableRow) -> Result<NewFile> {
    let metadata = row.metadata.as_deref().map(super::super::commit::parse_stored).transpose()?;
    Ok(NewFile {
        path: FilePath::parse(&row.path).map_err(|fault| Error::BadRequest(fault.into()))?,
        content_type: row.content_type.clone(),
        metadata: metadata.unwrap_or_default(),
    })
}
