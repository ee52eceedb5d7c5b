//! The file: one SQLite database, one writing thread, many readers.
//!
//! [`Store::write`] hands a closure to the writer, which runs it as a unit of a group commit and answers after the commit
//! is on disk. [`Store::read`] runs a closure inline on one read snapshot; [`Store::query`] runs it on one of a few query
//! threads under a deadline.
//!
//! The only module that knows SQL and rusqlite. Does not know who asks, or any wire format.
//!
//! Invariants
//! T1. Exactly one process and one thread write; a second process is told who holds the file.
//! T2. A reply to a write means that its transaction is durable (`synchronous=FULL`) or handed to the
//!     operating system (`normal`, by choice).
//! T3. No read snapshot outlives the closure it was opened for.
//! T4. The queues of the writer and of the query threads are bounded; past the bound callers get `Busy`.

mod account;
mod alias;
mod archive;
mod association;
mod backup;
mod blob;
mod change;
mod checkpoint;
mod compact;
mod error;
mod filter;
mod find;
mod grant;
mod halt;
mod idempotency;
mod lock;
mod mail_link;
mod maintain;
mod meta;
mod mfa_challenge;
mod migrate;
mod name;
mod open;
mod postbox;
mod prune;
mod query_threads;
mod record;
mod related;
mod restore;
mod resumable_upload;
mod salvage;
mod search;
mod session;
mod sign_in_failure;
mod signing_key;
#[cfg(test)]
mod tests;
mod token;
mod types;
mod view;
mod writer;

pub use account::AccountRow;
pub use alias::FIXED_IDS;
pub use archive::Archive;
pub use association::{AssociationKind, AssociationRow};
pub use backup::{BackupFile, BackupOrder, BackupStage, Cancel, remove_abandoned, sha256_of};
pub use blob::{BlobRow, CHUNK_BYTES, UploadId};
pub use change::{Actor, ChangeRow, Op, Replaced};
pub use compact::{Compacted, compact};
pub use error::{Result, StoreError};
pub use find::{
    Bind, Direction, Find, IsDeadline, Related, Scope, SortKey, Span, ValueTest, json_bind,
};
pub use grant::{Given, GrantRow};
pub use idempotency::AnswerRow;
pub use mail_link::{LinkPurpose, MailLinkRow};
pub use maintain::{Counts, TypeSize, Verification};
pub use mfa_challenge::ChallengeRow;
pub use name::NameId;
pub use open::{APPLICATION_ID, FORMAT, SCHEMA, check_file};
pub use prune::{Kept, WithHistory};
pub use query_threads::QUERY_QUEUE_MAX;
pub use record::RecordRow;
pub use restore::{Staging, finish_restore, restore_waits, staged_for};
pub use resumable_upload::{RESUMABLE_MS_MAX, ResumableRow};
pub use salvage::Salvaged;
pub use session::SessionRow;
pub use sign_in_failure::FailureRow;
pub use signing_key::SigningKeyRow;
pub use token::{NonceRow, TokenRow};
pub use types::{NewType, TypeInfo, TypeRowId, Types};
pub use view::View;
pub use writer::{BATCH_UNITS_MAX, Committed, Event, QUEUE_UNITS_MAX, Unit};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rusqlite::Connection;

use crate::util::clock::Clock;

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Flushed to the disk.
    #[default]
    Full,
    /// Handed to the operating system: survives a crash of the process, not of the machine.
    Normal,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    pub durability: Durability,
    pub clock: Clock,
    /// Threads for queries that may take long.
    pub query_threads: usize,
    /// How long one such query may run.
    pub query_deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            clock: Clock::system(),
            query_threads: 2,
            query_deadline: Duration::from_secs(10),
        }
    }
}

/// An open file. Cheap to clone; the last clone to go stops the threads and checkpoints.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What readers and writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    idle_readers: Mutex<Vec<Connection>>,
    names: name::Names,
    rights: grant::Rights,
    types: RwLock<Arc<Types>>,
    /// The unit that last changed them; changed under their lock.
    types_tx: AtomicI64,
    last_tx: AtomicI64,
    clock: Clock,
    halt: halt::Halt,
}

#[derive(Debug)]
struct Inner {
    // Order matters: fields drop from the top. Threads end and connections close before the lock is released.
    writer: writer::Writer,
    queries: query_threads::QueryThreads,
    checkpointer: checkpoint::Checkpointer,
    shared: Arc<Shared>,
    query_deadline: Duration,
    /// Given back when the store is closed, so that the same process may open the file again.
    lock: Mutex<Option<lock::FileLock>>,
}

impl Store {
    /// Opens the file at `path`, making it when it does not exist, migrating it when it is older.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process holds it, [`StoreError::Refused`] when it is not a stack file, is newer
    /// than this program, or is damaged.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let lock = lock::FileLock::acquire(path)?;
        let (lock, old) = restore::take_over(path, lock)?;
        if let Some(old) = old {
            let (name, old) = (path.display(), old.display());
            tracing::warn!("{name} was restored; the file before it is {old}");
        }
        let whole = open::open_writer(path, options).and_then(|connection| {
            let types = Types::load(&connection)?;
            let last_tx = change::last_tx(&connection)?;
            Ok((Some(connection), types, last_tx))
        });
        let (connection, types, last_tx) = match whole {
            Err(StoreError::Damaged(reason)) => open_damaged(path, &reason)?,
            other => other?,
        };
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            idle_readers: Mutex::new(Vec::new()),
            names: name::Names::default(),
            rights: grant::Rights::default(),
            types: RwLock::new(Arc::new(types)),
            types_tx: AtomicI64::new(0),
            last_tx: AtomicI64::new(last_tx),
            clock: options.clock.clone(),
            halt: halt::Halt::default(),
        });
        let checkpointer = checkpoint::Checkpointer::new();
        let writer = match connection {
            Some(connection) => {
                let signals = checkpointer.signals();
                let writer = writer::Writer::start(connection, Arc::clone(&shared), signals)?;
                checkpointer.start(Arc::clone(&shared), writer.requests())?;
                writer
            }
            None => {
                shared.halt.set(halt::Reason::Damaged);
                writer::Writer::none(Arc::clone(&shared))
            }
        };
        let queries = query_threads::QueryThreads::start(
            Arc::clone(&shared),
            options.query_threads,
            options.query_deadline,
        )?;
        let store = Self {
            inner: Arc::new(Inner {
                writer,
                queries,
                checkpointer,
                shared,
                query_deadline: options.query_deadline,
                lock: Mutex::new(Some(lock)),
            }),
        };
        if !store.is_read_only() {
            match store.sweep_uploads_of_last_run() {
                Err(StoreError::Damaged(reason)) => store.found_damaged(&reason),
                other => other?,
            }
        }
        Ok(store)
    }

    /// Whether the file was found damaged: what can be read is read, and nothing is written (SECURITY S68).
    pub fn is_read_only(&self) -> bool {
        self.inner.shared.halt.reason() == Some(halt::Reason::Damaged)
    }

    /// Stops writing to a file that turned out to be damaged.
    pub fn found_damaged(&self, reason: &str) {
        warn_damaged(self.path(), reason);
        self.inner.shared.halt.set(halt::Reason::Damaged);
    }

    /// Resolves when a flush has failed: nothing is acknowledged any more, and the process should end (SECURITY S67).
    pub async fn unsafe_to_go_on(&self) {
        self.inner.shared.halt.unsafe_to_go_on().await;
    }

    pub fn path(&self) -> &Path {
        &self.inner.shared.path
    }

    /// The newest committed unit.
    pub fn last_tx(&self) -> i64 {
        self.inner.shared.last_tx.load(Ordering::Acquire)
    }

    /// The registered types as of the newest commit.
    pub fn types(&self) -> Arc<Types> {
        self.inner.shared.types()
    }

    /// Called inside a unit that changes who was given what: what is remembered of it is not used from here on.
    pub fn rights_change(&self) {
        self.inner.shared.rights.change();
    }

    /// How many such changes there were, those on their way included.
    pub fn rights_changes(&self) -> u64 {
        self.inner.shared.rights.begun()
    }

    /// Bytes of the write-ahead log right now.
    pub fn wal_bytes(&self) -> u64 {
        open::wal_bytes(&self.inner.shared.path)
    }

    /// Runs `work` inline on one read snapshot. For reads by id and for indexed, limited pages only.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let shared = &self.inner.shared;
        let connection = shared.take_reader()?;
        let result = view::on_snapshot(&connection, shared, work);
        shared.give_back(connection);
        result
    }

    /// Runs `work` on the calling thread, on one read snapshot, under the deadline of queries. For threads that may wait.
    pub fn read_slowly<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let shared = &self.inner.shared;
        let mut connection = shared.take_reader()?;
        query_threads::set_deadline(&mut connection, self.inner.query_deadline)?;
        let result = view::on_snapshot(&connection, shared, work);
        query_threads::lift_deadline(&mut connection)?;
        shared.give_back(connection);
        result
    }

    /// As [`Store::read`], on a connection opened for this one call.
    ///
    /// For integrity checks: FTS5 checks its index against a structure that the connection remembers from its last use, and
    /// calls the file damaged when others have written since.
    pub fn read_apart<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let shared = &self.inner.shared;
        let connection = shared.open_reader()?;
        let result = view::on_snapshot(&connection, shared, work);
        shared.halt.close(connection);
        result
    }

    /// Runs `work` on a query thread, on one read snapshot, under the deadline.
    pub async fn query<T, E>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.queries.run(work).await
    }

    /// Runs `work` as one unit in the writer; resolves after the commit. An error leaves no trace of the unit: `work` either
    /// checks everything before its first write, or says `several_steps` so that it runs inside a savepoint.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(false, work).await
    }

    /// As [`Store::write`], for units whose later steps may fail after earlier ones wrote.
    pub async fn write_several<T, E>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(true, work).await
    }

    async fn submit<T, E>(
        &self,
        several_steps: bool,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner
            .writer
            .submit(several_steps, postbox::Postbox::own(), work)?
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Hands `work` to the writer and does not wait: for bookkeeping whose loss does no harm. With a full queue nothing happens.
    pub fn write_later(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<(), StoreError> + Send + 'static,
    ) {
        if let Err(error) = self.inner.writer.submit(false, None, work) {
            tracing::debug!(%error, "a note was not written");
        }
    }

    /// As [`Store::write_several`], blocking: for the command line and for callers without a runtime.
    pub fn write_blocking<T, E>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner
            .writer
            .submit(true, None, work)?
            .blocking_recv()
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// While this future runs, writes that are asked for on its thread get their answers a batch at a time. To be spawned once
    /// on a runtime that runs on one thread; nothing depends on it but cost.
    pub async fn deliver_answers() {
        postbox::deliver().await;
    }

    /// Calls `listener` on the writer thread after each commit, before its units are answered. It must not block.
    pub fn on_commit(&self, listener: impl Fn(&Committed) + Send + Sync + 'static) {
        self.inner.writer.listen(Box::new(listener));
    }

    /// Ends the threads after what is queued, empties the write-ahead log, closes every connection, gives the file back.
    pub fn close(&self) {
        self.inner.queries.stop();
        self.inner.checkpointer.stop();
        self.inner.shared.close_readers();
        self.inner.writer.stop();
        self.inner.lock.lock().expect("no holder of this lock panics").take();
    }
}

/// Opens what can be read of a damaged file: its types and its newest unit, and no writing connection.
fn open_damaged(path: &Path, reason: &str) -> Result<(Option<Connection>, Types, i64)> {
    let opened = open::open_salvager(path).and_then(|connection| {
        let format: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format != FORMAT {
            return Err(StoreError::Damaged("it could not be brought to this format".into()));
        }
        Ok((None, Types::load(&connection)?, change::last_tx(&connection)?))
    });
    match opened {
        Ok(opened) => {
            warn_damaged(path, reason);
            Ok(opened)
        }
        Err(_) => {
            let name = path.display();
            Err(StoreError::Refused(format!(
                "{name} is damaged beyond reading ({reason}). Nothing was changed; keep it as it is and restore a backup to \
                 another name"
            )))
        }
    }
}

fn warn_damaged(path: &Path, reason: &str) {
    let name = path.display();
    tracing::error!(
        "{name} is damaged ({reason}); it is served read-only. Stop, run `cairn verify {name}` and `cairn doctor {name}`, and \
         restore a backup to another name"
    );
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queries.stop();
        self.checkpointer.stop();
        self.shared.close_readers();
        self.writer.stop();
    }
}

impl Shared {
    pub(crate) fn types(&self) -> Arc<Types> {
        Arc::clone(&self.types.read().expect("no holder of this lock panics"))
    }

    pub(crate) fn take_reader(&self) -> Result<Connection> {
        let idle = self.idle_readers.lock().expect("no holder of this lock panics").pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.open_reader(),
        }
    }

    fn open_reader(&self) -> Result<Connection> {
        match self.halt.reason() {
            Some(halt::Reason::Damaged) => open::open_salvager(&self.path),
            _ => open::open_reader(&self.path),
        }
    }

    /// Keeps the connection for the next reader. A connection that is still inside a transaction is closed instead.
    pub(crate) fn give_back(&self, connection: Connection) {
        const IDLE_READERS_MAX: usize = 8;
        let mut idle = self.idle_readers.lock().expect("no holder of this lock panics");
        if connection.is_autocommit() && idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        } else {
            drop(idle);
            self.halt.close(connection);
        }
    }

    fn close_readers(&self) {
        let mut idle = self.idle_readers.lock().expect("no holder of this lock panics");
        for connection in idle.drain(..) {
            self.halt.close(connection);
        }
    }
}
