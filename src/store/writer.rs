//! The one writing thread: group commit.
//!
//! Takes the first waiting unit, then whatever else is waiting up to [`BATCH_UNITS_MAX`], runs them in one SQLite
//! transaction, commits once, and answers all of them. A unit that fails is taken back alone.
//!
//! Invariants
//! W1. No unit is answered with success before its commit returned.
//! W2. `tx` numbers rise by commit order and are never given twice; a failed unit uses none.
//! W3. After a failed flush, or when the file is found damaged, nothing is run and nothing is acknowledged any more.
//! W4. A unit without savepoint that fails after it wrote takes its whole batch back (it broke its promise to check first):
//!     nothing half-written is ever committed.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::change::Op;
use super::checkpoint::Signals;
use super::error::{Result, StoreError};
use super::halt::Reason;
use super::postbox::{Letter, Postbox};
use super::record::RecordRow;
use super::types::Types;
use super::view::View;
use super::{NameId, Shared};

/// Units in one commit.
pub const BATCH_UNITS_MAX: usize = 512;
/// Units that may wait for the writer; past that the answer is `Busy`.
pub const QUEUE_UNITS_MAX: usize = 4_096;
const _: () = assert!(BATCH_UNITS_MAX <= QUEUE_UNITS_MAX);

/// How long the writer waits for readers before it leaves the log for later.
const CHECKPOINT_WAIT_MAX: Duration = Duration::from_millis(10);

/// One change of one record, for those who follow commits.
#[derive(Clone, Debug)]
pub struct Event {
    pub tx: i64,
    pub op: Op,
    /// `None` for a creation.
    pub before: Option<Arc<RecordRow>>,
    /// `None` for a purge.
    pub after: Option<Arc<RecordRow>>,
}

/// What a commit did, in order.
#[derive(Debug, Default)]
pub struct Committed {
    pub last_tx: i64,
    pub events: Vec<Event>,
}

/// One unit of writing. Reads go through the [`View`] it dereferences to and see the unit's own writes.
pub struct Unit<'c> {
    pub(crate) view: View<'c>,
    pub(crate) tx: i64,
    pub(crate) at: i64,
    pub(crate) tx_used: bool,
    pub(crate) types_changed: bool,
    pub(crate) new_names: Vec<(NameId, Arc<str>)>,
    pub(crate) events: Vec<Event>,
    pub(crate) listened: bool,
    pub(crate) afterwards: Vec<Afterwards>,
}

/// What a unit asks to have done once it is committed.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

impl<'c> std::ops::Deref for Unit<'c> {
    type Target = View<'c>;
    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl Unit<'_> {
    /// The number of this unit.
    pub fn tx(&self) -> i64 {
        self.tx
    }

    /// Whether this unit has journal entries.
    pub fn has_changed(&self) -> bool {
        self.tx_used
    }

    /// Tells those who follow commits what a change did. Costs nothing when nobody listens.
    pub fn announce(&mut self, op: Op, before: Option<&RecordRow>, after: Option<&RecordRow>) {
        if self.listened {
            let shared = |row: Option<&RecordRow>| row.map(|row| Arc::new(row.clone()));
            let event = Event { tx: self.tx, op, before: shared(before), after: shared(after) };
            self.events.push(event);
        }
    }

    /// Runs `work` on the writer thread after this unit was committed and before it is answered, so that what is
    /// remembered in memory follows the file even when nobody waits for the answer any more. It must not block.
    pub fn after_commit(&mut self, work: impl FnOnce() + Send + 'static) {
        self.afterwards.push(Box::new(work));
    }

    /// Runs one step of a unit of several; when it fails, what it wrote is taken back and the unit goes on.
    pub fn attempt<T, E: From<StoreError>>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let run = |unit: &Self, sql: &str| -> Result<()> {
            unit.prepare(sql)?.execute([])?;
            Ok(())
        };
        run(self, "SAVEPOINT step")?;
        let (names, events) = (self.new_names.len(), self.events.len());
        let (afterwards, tx_used) = (self.afterwards.len(), self.tx_used);
        let (types, types_changed) = (self.view.types.clone(), self.types_changed);
        let result = step(self);
        if result.is_err() {
            run(self, "ROLLBACK TO step")?;
            // A unit whose every step was taken back does not use up its number.
            self.tx_used = tx_used;
            self.new_names.truncate(names);
            self.events.truncate(events);
            self.afterwards.truncate(afterwards);
            self.view.types = types;
            self.types_changed = types_changed;
        }
        run(self, "RELEASE step")?;
        result
    }

    /// As [`Unit::attempt`] for a step that checks everything before its first write: it costs no savepoint. Should it fail
    /// after it wrote all the same, that is the outer error, with which the whole unit must end.
    pub fn attempt_checked<T, E: From<StoreError>>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Result<T, E>, E> {
        let written = self.connection.total_changes();
        let (names, events) = (self.new_names.len(), self.events.len());
        let afterwards = self.afterwards.len();
        let result = step(self);
        if result.is_err() {
            if self.connection.total_changes() != written {
                return result.map(Ok);
            }
            self.new_names.truncate(names);
            self.events.truncate(events);
            self.afterwards.truncate(afterwards);
        }
        Ok(result)
    }

    /// The time of this unit, in milliseconds; never before that of an earlier unit.
    pub fn at(&self) -> i64 {
        self.at
    }
}

type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

struct Ran {
    failed: bool,
    answer: Answer,
}

type Work = Box<dyn FnOnce(&mut Unit<'_>) -> Ran + Send>;

/// A unit on its way to the writer.
struct Order {
    several_steps: bool,
    /// Where its answer goes; without one it is given on the writer's thread.
    postbox: Option<Arc<Postbox>>,
    work: Work,
}

enum Job {
    Unit(Order),
    RestartLog,
    EmptyLog,
    Stop,
}

/// Requests of the checkpoint thread.
#[derive(Clone)]
pub(crate) struct Requests(Sender<Job>);

impl Requests {
    pub(crate) fn restart_log(&self) {
        let _ = self.0.send(Job::RestartLog);
    }

    pub(crate) fn empty_log(&self) {
        let _ = self.0.send(Job::EmptyLog);
    }
}

type Listener = Box<dyn Fn(&Committed) + Send + Sync>;

#[derive(Default)]
struct Listeners {
    // Events are collected only when somebody listens.
    any: AtomicBool,
    list: RwLock<Vec<Listener>>,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    listeners: Arc<Listeners>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        shared: Arc<Shared>,
        signals: Arc<Signals>,
    ) -> Result<Self> {
        let (jobs, queue) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let listeners = Arc::new(Listeners::default());
        let mut state = Loop {
            connection,
            shared: Arc::clone(&shared),
            signals,
            queue,
            waiting: Arc::clone(&waiting),
            listeners: Arc::clone(&listeners),
            last_at: 0,
        };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.run()));
            if ended.is_err() {
                tracing::error!("the writer panicked; nothing is written any more");
                state.shared.halt.set(Reason::Unsafe);
            }
            let Loop { connection, shared, .. } = state;
            // Checkpoints and removes the log when it was the last connection.
            shared.halt.close(connection);
        })?;
        Ok(Self { shared, jobs, waiting, listeners, thread: Mutex::new(Some(thread)) })
    }

    /// A writer of a file that is only read: every unit is refused.
    pub(crate) fn none(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            jobs: channel().0,
            waiting: Arc::default(),
            listeners: Arc::default(),
            thread: Mutex::new(None),
        }
    }

    pub(crate) fn requests(&self) -> Requests {
        Requests(self.jobs.clone())
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.list.write().expect("no holder of this lock panics").push(listener);
        self.listeners.any.store(true, Ordering::Release);
    }

    pub(crate) fn submit<T, E>(
        &self,
        several_steps: bool,
        postbox: Option<Arc<Postbox>>,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, E>>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.shared.halt.check()?;
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE_UNITS_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |unit| {
            let result = work(unit);
            let failed = result.is_err();
            let answer: Answer = Box::new(move |not_committed| {
                let _ = sender.send(match not_committed {
                    Some(error) => result.and(Err(error.into())),
                    None => result,
                });
            });
            Ran { failed, answer }
        });
        if self.jobs.send(Job::Unit(Order { several_steps, postbox, work })).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.halt.check()?;
            return Err(StoreError::Closed);
        }
        Ok(receiver)
    }

    pub(crate) fn stop(&self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.lock().expect("no holder of this lock panics").take() {
            let _ = thread.join();
        }
    }
}

struct Loop {
    connection: Connection,
    shared: Arc<Shared>,
    signals: Arc<Signals>,
    queue: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
    listeners: Arc<Listeners>,
    last_at: i64,
}

/// An answer to be given when the batch is done.
struct Owed {
    /// The unit was refused on its own.
    failed: bool,
    postbox: Option<Arc<Postbox>>,
    answer: Answer,
}

/// What a batch has done so far, published when it commits.
#[derive(Default)]
struct Batch {
    answers: Vec<Owed>,
    types: Option<Arc<Types>>,
    names: Vec<(NameId, Arc<str>)>,
    events: Vec<Event>,
    afterwards: Vec<Afterwards>,
    last_tx: i64,
}

impl Loop {
    fn run(&mut self) {
        while let Ok(first) = self.queue.recv() {
            if self.shared.halt.reason().is_some() {
                // The channel is dropped with the closure: its holder sees `Closed`. Who comes later is refused at once.
                drop(first);
                while let Ok(job) = self.queue.try_recv() {
                    drop(job);
                }
                return;
            }
            match first {
                Job::Unit(order) => {
                    if !self.batch(order) {
                        return;
                    }
                }
                Job::RestartLog => self.checkpoint("RESTART"),
                Job::EmptyLog => self.checkpoint("TRUNCATE"),
                Job::Stop => {
                    self.checkpoint("TRUNCATE");
                    return;
                }
            }
        }
    }

    fn checkpoint(&self, mode: &str) {
        if self.shared.halt.reason().is_some() {
            return;
        }
        let sql = match mode {
            "RESTART" => "PRAGMA wal_checkpoint(RESTART)",
            _ => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        // A reader that holds its snapshot for long (a backup, an export) is not waited for: it would be everybody's wait.
        let _ = self.connection.busy_timeout(CHECKPOINT_WAIT_MAX);
        if let Err(error) = self.connection.query_row(sql, [], |_| Ok(())).map_err(StoreError::from)
        {
            tracing::warn!(%error, mode, "a checkpoint failed");
            self.shared.halt.look_at(&error);
        }
        let _ = self.connection.busy_timeout(super::open::BUSY_WAIT_MAX);
    }

    /// Runs a batch that starts with `first`. False when the writer must end.
    fn batch(&mut self, first: Order) -> bool {
        let mut batch =
            Batch { last_tx: self.shared.last_tx.load(Ordering::Acquire), ..Batch::default() };
        let mut after = None;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let result = self.execute("BEGIN IMMEDIATE").and_then(|()| {
            self.unit(&mut batch, first)?;
            while batch.answers.len() < BATCH_UNITS_MAX {
                match self.queue.try_recv() {
                    Ok(Job::Unit(order)) => {
                        self.waiting.fetch_sub(1, Ordering::Relaxed);
                        self.unit(&mut batch, order)?;
                    }
                    Ok(other) => {
                        after = Some(other);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.execute("COMMIT")
        });
        match result {
            Ok(()) => self.publish(batch),
            Err(error) => {
                if !self.connection.is_autocommit() {
                    let _ = self.execute("ROLLBACK");
                }
                self.shared.rights.settle();
                tracing::error!(%error, units = batch.answers.len(), "a commit failed and was taken back");
                self.shared.halt.look_at(&error);
                for owed in batch.answers {
                    // A unit that was refused on its own keeps its own answer.
                    (owed.answer)((!owed.failed).then(|| same(&error)));
                }
            }
        }
        match after {
            Some(Job::Stop) => {
                self.checkpoint("TRUNCATE");
                false
            }
            Some(Job::RestartLog) => {
                self.checkpoint("RESTART");
                true
            }
            Some(Job::EmptyLog) => true, // Not idle after all.
            _ => true,
        }
    }

    /// Runs one unit inside the open transaction. An error means the whole batch has to go.
    fn unit(&mut self, batch: &mut Batch, order: Order) -> Result<()> {
        let Order { several_steps, postbox, work } = order;
        self.last_at = self.last_at.max(self.shared.clock.now_ms());
        if several_steps {
            self.execute("SAVEPOINT unit")?;
        }
        let written = self.connection.total_changes();
        let mut unit = Unit {
            view: View {
                connection: &self.connection,
                shared: &self.shared,
                types: batch.types.clone(),
                in_writer: true,
                rights_settled: None,
                fixed: Cell::new(true),
            },
            tx: batch.last_tx + 1,
            at: self.last_at,
            tx_used: false,
            types_changed: false,
            new_names: Vec::new(),
            events: Vec::new(),
            listened: self.listeners.any.load(Ordering::Acquire),
            afterwards: Vec::new(),
        };
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut unit)));
        let Unit { view, tx, tx_used, types_changed, new_names, events, afterwards, .. } = unit;
        let types = view.types;
        let Ok(ran) = ran else {
            // The caller's channel is dropped with the closure: it sees `Closed`.
            tracing::error!("a unit panicked and was taken back");
            if several_steps {
                return self
                    .execute("ROLLBACK TO unit")
                    .and_then(|()| self.execute("RELEASE unit"));
            }
            return if self.connection.total_changes() == written {
                Ok(())
            } else {
                Err(StoreError::Refused("a neighbouring request failed; try again".into()))
            };
        };
        if self.connection.is_autocommit() {
            // SQLite takes the whole transaction back by itself when the disk is full or fails.
            batch.answers.push(Owed { failed: false, postbox, answer: ran.answer });
            return Err(StoreError::Full);
        }
        if ran.failed {
            let dirty = self.connection.total_changes() != written;
            batch.answers.push(Owed { failed: true, postbox, answer: ran.answer });
            if several_steps {
                self.execute("ROLLBACK TO unit")?;
                self.execute("RELEASE unit")?;
            } else if dirty {
                return Err(StoreError::Refused("a neighbouring request failed; try again".into()));
            }
            return Ok(());
        }
        if several_steps {
            self.execute("RELEASE unit")?;
        }
        batch.answers.push(Owed { failed: false, postbox, answer: ran.answer });
        if tx_used {
            batch.last_tx = tx;
        }
        if types_changed {
            batch.types = types;
        }
        batch.names.extend(new_names);
        batch.events.extend(events);
        batch.afterwards.extend(afterwards);
        Ok(())
    }

    fn publish(&self, batch: Batch) {
        self.signals.committed.store(true, Ordering::Relaxed);
        if let Some(types) = batch.types {
            let mut current = self.shared.types.write().expect("no holder of this lock panics");
            *current = types;
            self.shared.types_tx.store(batch.last_tx, Ordering::Release);
        }
        self.shared.names.publish(batch.names);
        self.shared.rights.settle();
        self.shared.last_tx.store(batch.last_tx, Ordering::Release);
        for work in batch.afterwards {
            work();
        }
        if !batch.events.is_empty() {
            let committed = Committed { last_tx: batch.last_tx, events: batch.events };
            for listener in
                self.listeners.list.read().expect("no holder of this lock panics").iter()
            {
                listener(&committed);
            }
        }
        // One piece of post for each thread that waits.
        let mut post: Vec<(Arc<Postbox>, Vec<Letter>)> = Vec::new();
        for Owed { postbox, answer, .. } in batch.answers {
            let Some(postbox) = postbox else {
                answer(None);
                continue;
            };
            let letter: Letter = Box::new(move || answer(None));
            match post.iter_mut().find(|(to, _)| Arc::ptr_eq(to, &postbox)) {
                Some((_, letters)) => letters.push(letter),
                None => post.push((postbox, vec![letter])),
            }
        }
        for (to, letters) in post {
            to.post(letters);
        }
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// The error of a failed commit, once for each unit of the batch.
fn same(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        StoreError::Busy => StoreError::Busy,
        StoreError::Unflushed => StoreError::Unflushed,
        StoreError::Damaged(text) => StoreError::Damaged(text.clone()),
        other => StoreError::Refused(other.to_string()),
    }
}
