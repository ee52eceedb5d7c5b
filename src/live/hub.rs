//! The hub: one thread that matches commits and delivers, one that runs queries again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::group::{
    Change, Delivery, EncodedCache, Kept, RootRows, Sink, State, advance, difference,
};
use super::index::Index;
use super::statistics::Statistics;
use crate::engine::tree::Root;
use crate::engine::{self, Caller, Engine, Error, Followed, RootValue, Watched};

/// Changes that may wait for the hub.
pub const PENDING_MAX: usize = 100_000;

pub(super) type GroupId = u64;
type MemberId = u64;

/// A live query of somebody. Dropping it ends it.
pub struct Subscription {
    member: MemberId,
    gate: Arc<Gate>,
    messages: Sender<Message>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.member)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.gate.close();
        let _ = self.messages.send(Message::Unsubscribe(self.member));
    }
}

/// The way to one subscriber, shut when its subscription is dropped.
struct Gate {
    open: Mutex<bool>,
    sink: Arc<dyn Sink>,
}

impl Gate {
    fn deliver(&self, delivery: Delivery) {
        if *self.open.lock().expect("no holder of this lock panics") {
            self.sink.deliver(delivery);
        }
    }

    fn close(&self) {
        *self.open.lock().expect("no holder of this lock panics") = false;
    }
}

enum Message {
    Commit {
        last_tx: i64,
        changes: Vec<Followed>,
    },
    Subscribe {
        member: MemberId,
        request: Box<Request>,
    },
    Unsubscribe(MemberId),
    /// The rules changed: what callers may see is asked anew.
    Rights,
    /// An account changed: what it may see is asked anew, should its role or claims be others now.
    Account(Box<str>),
    Evaluated {
        group: GroupId,
        outcome: Box<Outcome>,
    },
    Stop,
}

struct Request {
    caller: Caller,
    roots: Arc<Vec<Root>>,
    watched: Watched,
    /// How often rights had changed when it was prepared.
    rights: u64,
    since: Option<i64>,
    gate: Arc<Gate>,
}

/// What the second thread is asked.
struct Job {
    group: GroupId,
    caller: Caller,
    roots: Arc<Vec<Root>>,
    /// Members that named the last unit they know.
    since: Vec<(MemberId, i64)>,
}

struct Outcome {
    result: Result<(i64, Vec<RootValue>), Error>,
    /// What those members saw then, where that can be told.
    then: HashMap<MemberId, Vec<RootValue>>,
}

/// The handle. Cheap to clone; the last one to go ends the threads.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

struct Inner {
    engine: Engine,
    messages: Sender<Message>,
    members: AtomicU64,
    active: Arc<AtomicU64>,
    /// Counts changes of rights; a message for each follows.
    rights: Arc<AtomicU64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        let _ = self.messages.send(Message::Stop);
        for thread in self.threads.lock().expect("no holder of this lock panics").drain(..) {
            let _ = thread.join();
        }
    }
}

impl Hub {
    /// Starts the threads and follows the engine's commits.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let statistics = Arc::new(Statistics::new(engine.clock().clone()));
        Self::counting(engine, statistics)
    }

    /// As [`Hub::start`]; every run of a live query is counted.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn counting(engine: Engine, statistics: Arc<Statistics>) -> std::io::Result<Self> {
        let (messages, inbox) = channel();
        let (jobs, job_box) = channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let overflow = Arc::new(AtomicBool::new(false));
        {
            let (messages, pending, overflow) =
                (messages.clone(), Arc::clone(&pending), Arc::clone(&overflow));
            engine.follow(move |last_tx, changes| {
                let count = changes.len();
                if pending.fetch_add(count, Ordering::AcqRel) + count > PENDING_MAX {
                    pending.fetch_sub(count, Ordering::AcqRel);
                    overflow.store(true, Ordering::Release);
                    let _ = messages.send(Message::Commit { last_tx, changes: Vec::new() });
                } else {
                    let _ = messages.send(Message::Commit { last_tx, changes });
                }
            });
        }
        let rights = Arc::new(AtomicU64::new(0));
        {
            let (messages, rights) = (messages.clone(), Arc::clone(&rights));
            engine.on_rules_changed(move || {
                rights.fetch_add(1, Ordering::AcqRel);
                let _ = messages.send(Message::Rights);
            });
        }
        {
            let (messages, rights) = (messages.clone(), Arc::clone(&rights));
            engine.on_account_changed(move |user_id| {
                rights.fetch_add(1, Ordering::AcqRel);
                let _ = messages.send(Message::Account(user_id.into()));
            });
        }
        let active = Arc::new(AtomicU64::new(0));
        let worker = {
            let (engine, messages) = (engine.clone(), messages.clone());
            std::thread::Builder::new()
                .name("live-query".into())
                .spawn(move || run_jobs(&engine, &statistics, &job_box, &messages))?
        };
        let pump = {
            let mut pump = Pump {
                engine: engine.clone(),
                last_tx: engine.last_tx(),
                jobs,
                pending,
                overflow,
                active: Arc::clone(&active),
                rights: Arc::clone(&rights),
                groups: HashMap::new(),
                by_key: HashMap::new(),
                members: HashMap::new(),
                index: Index::default(),
                next_group: 0,
            };
            std::thread::Builder::new().name("live".into()).spawn(move || pump.run(&inbox))?
        };
        let threads = Mutex::new(vec![pump, worker]);
        let members = AtomicU64::new(0);
        Ok(Self { inner: Arc::new(Inner { engine, messages, members, active, rights, threads }) })
    }

    /// Follows a query. The first delivery is its result (or, with `since`, what changed after that unit where that can be
    /// told); then every change.
    ///
    /// # Errors
    /// As running the query.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        roots: Arc<Vec<Root>>,
        since: Option<i64>,
        sink: Arc<dyn Sink>,
    ) -> Result<Subscription, Error> {
        // Before the look, so that a change in between is noticed.
        let rights = self.inner.rights.load(Ordering::Acquire);
        // The caller may have been looked up before its account changed.
        let caller = &as_of_now(&self.inner.engine, caller)?;
        let watched = self.inner.engine.watch(caller, &roots)?;
        let gate = Arc::new(Gate { open: Mutex::new(true), sink });
        let member = self.inner.members.fetch_add(1, Ordering::Relaxed);
        let request = Box::new(Request {
            caller: caller.clone(),
            roots,
            watched,
            rights,
            since,
            gate: Arc::clone(&gate),
        });
        let messages = self.inner.messages.clone();
        messages.send(Message::Subscribe { member, request }).map_err(|_| Error::Busy)?;
        Ok(Subscription { member, gate, messages })
    }

    /// Live queries that are followed now.
    pub fn subscriptions(&self) -> u64 {
        self.inner.active.load(Ordering::Relaxed)
    }

    /// Rules, a role or claims changed: every live query is looked at anew.
    pub fn rules_changed(&self) {
        self.inner.rights.fetch_add(1, Ordering::AcqRel);
        let _ = self.inner.messages.send(Message::Rights);
    }

    /// Ends the threads; nothing is delivered after.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

fn run_jobs(
    engine: &Engine,
    statistics: &Statistics,
    jobs: &Receiver<Job>,
    messages: &Sender<Message>,
) {
    while let Ok(job) = jobs.recv() {
        let started = Instant::now();
        let mut then = HashMap::new();
        let mut result = None;
        for (member, since) in job.since {
            match engine.run_tree_since(&job.caller, &job.roots, since) {
                Ok((past, _)) => {
                    if let Some(past) = past {
                        then.insert(member, past);
                    }
                }
                Err(error) => {
                    result = Some(Err(error));
                    break;
                }
            }
        }
        let result = result.unwrap_or_else(|| {
            engine.run_tree_here(&job.caller, &job.roots).map(|answer| {
                (answer.tx, answer.roots.into_iter().map(|(_, value)| value).collect())
            })
        });
        statistics.query(started.elapsed());
        let outcome = Box::new(Outcome { result, then });
        if messages.send(Message::Evaluated { group: job.group, outcome }).is_err() {
            return;
        }
    }
}

/// How a member gets its first delivery.
enum Waiting {
    Fresh,
    Since(i64),
    /// It had a result under other rights.
    Carry(State),
}

struct Group {
    watched: Watched,
    roots: Arc<Vec<Root>>,
    /// Some member's: all see the same.
    caller: Caller,
    /// What members that are not waiting have, as of `tx`.
    state: Option<State>,
    tx: i64,
    members: HashMap<MemberId, Arc<Gate>>,
    waiting: HashMap<MemberId, Waiting>,
    running: bool,
    /// The newest change that a run must have seen.
    dirty: i64,
    /// Changes of plain groups that came while the first result is on its way.
    held: Vec<Arc<Vec<Followed>>>,
}

impl Group {
    fn is_plain(&self) -> bool {
        self.watched.roots.iter().all(|watch| watch.is_plain)
    }

    fn wants_rows(&self) -> bool {
        self.members.values().any(|gate| gate.sink.wants_rows())
    }
}

struct Member {
    group: GroupId,
    caller: Caller,
    roots: Arc<Vec<Root>>,
    gate: Arc<Gate>,
}

struct Pump {
    engine: Engine,
    /// The newest unit that every group has looked at.
    last_tx: i64,
    jobs: Sender<Job>,
    pending: Arc<AtomicUsize>,
    overflow: Arc<AtomicBool>,
    active: Arc<AtomicU64>,
    rights: Arc<AtomicU64>,
    groups: HashMap<GroupId, Group>,
    by_key: HashMap<String, GroupId>,
    members: HashMap<MemberId, Member>,
    index: Index,
    next_group: GroupId,
}

impl Pump {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Commit { last_tx, changes } => self.commit(last_tx, changes),
                Message::Subscribe { member, request } => self.subscribe(member, *request),
                Message::Unsubscribe(member) => self.leave(member),
                Message::Rights => self.rights_changed(),
                Message::Account(user_id) => self.account_changed(&user_id),
                Message::Evaluated { group, outcome } => self.evaluated(group, *outcome),
                Message::Stop => return,
            }
            self.active.store(self.members.len() as u64, Ordering::Relaxed);
        }
    }

    fn subscribe(&mut self, id: MemberId, request: Request) {
        let Request { mut caller, roots, mut watched, rights, since, gate } = request;
        if rights != self.rights.load(Ordering::Acquire) {
            let now = as_of_now(&self.engine, &caller)
                .and_then(|caller| Ok((self.engine.watch(&caller, &roots)?, caller)));
            match now {
                Ok(now) => (watched, caller) = now,
                Err(error) => return gate.deliver(Delivery::Failed(error)),
            }
        }
        let waiting = since.map_or(Waiting::Fresh, Waiting::Since);
        self.join(id, Member { group: 0, caller, roots, gate }, watched, waiting);
    }

    /// Puts a member into the group of its equals and sees to its first delivery.
    fn join(&mut self, id: MemberId, mut member: Member, watched: Watched, waiting: Waiting) {
        let group_id = match self.by_key.get(&watched.key) {
            Some(group) => *group,
            None => self.new_group(&member, watched),
        };
        member.group = group_id;
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        group.members.insert(id, Arc::clone(&member.gate));
        let is_current = group.state.is_some() && !group.running && group.dirty <= group.tx;
        match (&group.state, &waiting) {
            (Some(state), Waiting::Fresh) if is_current => {
                let tx = group.tx.max(self.last_tx);
                member.gate.deliver(initial(&group.watched, state, tx));
            }
            (Some(state), Waiting::Carry(had)) if is_current => {
                let (tx, with_rows) = (group.tx.max(self.last_tx), member.gate.sink.wants_rows());
                tell_one(&member.gate, &group.watched, had, state, tx, with_rows);
            }
            _ => {
                group.waiting.insert(id, waiting);
                self.start(group_id);
            }
        }
        self.members.insert(id, member);
    }

    fn new_group(&mut self, member: &Member, watched: Watched) -> GroupId {
        self.next_group += 1;
        let id = self.next_group;
        self.index.add(id, &watched);
        self.by_key.insert(watched.key.clone(), id);
        let group = Group {
            watched,
            roots: Arc::clone(&member.roots),
            caller: member.caller.clone(),
            state: None,
            tx: 0,
            members: HashMap::new(),
            waiting: HashMap::new(),
            running: false,
            dirty: 0,
            held: Vec::new(),
        };
        self.groups.insert(id, group);
        id
    }

    /// Has the group's query run, unless it is running already.
    fn start(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if group.running {
            return;
        }
        group.running = true;
        let since = group
            .waiting
            .iter()
            .filter_map(|(member, waiting)| match waiting {
                Waiting::Since(tx) => Some((*member, *tx)),
                _ => None,
            })
            .collect();
        let (caller, roots) = (group.caller.clone(), Arc::clone(&group.roots));
        let _ = self.jobs.send(Job { group: id, caller, roots, since });
    }

    fn leave(&mut self, id: MemberId) {
        let Some(member) = self.members.remove(&id) else { return };
        self.leave_group(id, member.group);
    }

    fn leave_group(&mut self, id: MemberId, group_id: GroupId) {
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        group.members.remove(&id);
        group.waiting.remove(&id);
        if group.members.is_empty() {
            self.index.remove(group_id, &group.watched);
            self.by_key.remove(&group.watched.key);
            self.groups.remove(&group_id);
        }
    }

    fn commit(&mut self, last_tx: i64, changes: Vec<Followed>) {
        self.pending.fetch_sub(changes.len(), Ordering::AcqRel);
        if self.overflow.swap(false, Ordering::AcqRel) {
            let all: Vec<GroupId> = self.groups.keys().copied().collect();
            for id in all {
                self.mark(id, last_tx);
            }
        }
        // Unit by unit, so that each is one difference.
        let mut rest = if self.groups.is_empty() { Vec::new() } else { changes };
        while let Some(tx) = rest.first().map(|change| change.tx) {
            let later = rest.iter().position(|change| change.tx != tx).unwrap_or(rest.len());
            let tail = rest.split_off(later);
            self.unit(tx, Arc::new(rest));
            self.last_tx = self.last_tx.max(tx);
            rest = tail;
        }
        self.last_tx = self.last_tx.max(last_tx);
    }

    fn unit(&mut self, tx: i64, changes: Arc<Vec<Followed>>) {
        let mut concerned = HashSet::new();
        for change in changes.iter() {
            self.index.concerned(change, &mut concerned);
        }
        let outdated = concerned.iter().copied().filter(|id| {
            self.groups.get(id).is_some_and(|group| {
                let roots = &group.watched.roots;
                changes.iter().any(|change| roots.iter().any(|watch| watch.is_outdated_by(change)))
            })
        });
        // Their queries are run again, which sees this unit.
        self.regroup(outdated.collect());
        for id in concerned {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if group.is_plain() {
                if group.state.is_none() || group.running {
                    group.held.push(Arc::clone(&changes));
                } else if tx > group.tx {
                    step(group, tx, &changes);
                }
            } else {
                let roots = &group.watched.roots;
                if changes.iter().any(|change| roots.iter().any(|watch| watch.concerns(change))) {
                    self.mark(id, tx);
                }
            }
        }
    }

    /// A change may have altered the result: it is run again.
    fn mark(&mut self, id: GroupId, tx: i64) {
        if let Some(group) = self.groups.get_mut(&id)
            && tx > group.tx
        {
            group.dirty = group.dirty.max(tx);
            self.start(id);
        }
    }

    fn evaluated(&mut self, id: GroupId, outcome: Outcome) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.running = false;
        let (tx, values) = match outcome.result {
            Ok(result) => result,
            Err(error) => {
                self.fail(id, &error);
                return;
            }
        };
        let watches = &group.watched.roots;
        let state: State =
            watches.iter().zip(values).map(|(watch, value)| Kept::of(watch, value)).collect();
        let with_rows = group.wants_rows();
        if let Some(old) = group.state.take() {
            let roots = difference(watches, &old, &state, with_rows);
            if !roots.is_empty() {
                let change = Arc::new(Change { tx, roots, encoded: EncodedCache::default() });
                for (member, gate) in &group.members {
                    if !group.waiting.contains_key(member) {
                        gate.deliver(Delivery::Change(Arc::clone(&change)));
                    }
                }
            }
        }
        // Those who asked for the past after the run began wait for the next one.
        let mut again = false;
        for (member, waiting) in std::mem::take(&mut group.waiting) {
            let Some(gate) = group.members.get(&member) else { continue };
            match waiting {
                Waiting::Fresh => gate.deliver(initial(&group.watched, &state, tx)),
                Waiting::Carry(had) => {
                    tell_one(gate, &group.watched, &had, &state, tx, with_rows);
                }
                Waiting::Since(since) => match outcome.then.get(&member) {
                    Some(past) => {
                        let past = past.iter().cloned().map(|v| Kept::Whole(RootRows::of(v)));
                        let past: State = past.collect();
                        let roots = difference(&group.watched.roots, &past, &state, true);
                        let encoded = EncodedCache::default();
                        let change = Arc::new(Change { tx, roots, encoded });
                        gate.deliver(Delivery::Resumed { since, change });
                    }
                    None => gate.deliver(initial(&group.watched, &state, tx)),
                },
            }
        }
        group.state = Some(state);
        group.tx = tx;
        for changes in std::mem::take(&mut group.held) {
            if let Some(at) = changes.first().map(|change| change.tx).filter(|at| *at > group.tx) {
                step(group, at, &changes);
            }
        }
        if group.dirty > group.tx {
            again = true;
        }
        if again {
            self.start(id);
        }
    }

    /// Ends a group whose query cannot be run any more.
    fn fail(&mut self, id: GroupId, error: &Error) {
        let Some(group) = self.groups.remove(&id) else { return };
        self.index.remove(id, &group.watched);
        self.by_key.remove(&group.watched.key);
        for (member, gate) in group.members {
            self.members.remove(&member);
            gate.deliver(Delivery::Failed(again(error)));
        }
    }

    fn rights_changed(&mut self) {
        self.regroup(self.groups.keys().copied().collect());
    }

    /// Looks anew at the groups of whoever has other rights now; many changes of an account change none.
    fn account_changed(&mut self, user_id: &str) {
        let mut outdated = HashSet::new();
        for member in self.members.values() {
            let Some(account) = member.caller.account().filter(|one| one.user_id == user_id) else {
                continue;
            };
            // One whose session ended is told by whoever holds its connection.
            let now = as_of_now(&self.engine, &member.caller);
            if now.is_ok_and(|now| now.account() != Some(account)) {
                outdated.insert(member.group);
            }
        }
        self.regroup(outdated.into_iter().collect());
    }

    /// Every member of these groups finds its group anew; what it saw before goes along, so that it gets the difference.
    fn regroup(&mut self, ids: Vec<GroupId>) {
        let mut old_groups = HashMap::new();
        let mut members: Vec<MemberId> = Vec::new();
        for id in ids {
            let Some(group) = self.groups.remove(&id) else { continue };
            self.index.remove(id, &group.watched);
            self.by_key.remove(&group.watched.key);
            members.extend(group.members.keys());
            old_groups.insert(id, group);
        }
        for id in members {
            let Some(mut member) = self.members.remove(&id) else { continue };
            let old: Option<&mut Group> = old_groups.get_mut(&member.group);
            let waiting = old.and_then(|group| {
                // Who still waits goes on waiting for the same.
                group.waiting.remove(&id).or_else(|| group.state.clone().map(Waiting::Carry))
            });
            let waiting = waiting.unwrap_or(Waiting::Fresh);
            let now = as_of_now(&self.engine, &member.caller)
                .and_then(|caller| Ok((self.engine.watch(&caller, &member.roots)?, caller)));
            match now {
                Ok((watched, caller)) => {
                    member.caller = caller;
                    self.join(id, member, watched, waiting);
                }
                Err(error) => member.gate.deliver(Delivery::Failed(error)),
            }
        }
    }
}

/// The caller with role and claims as they are now; no use of the session is noted.
fn as_of_now(engine: &Engine, caller: &Caller) -> Result<Caller, Error> {
    match caller.session() {
        Some(session) => engine.session_holder(session)?.ok_or(Error::Unauthenticated),
        None => Ok(caller.clone()),
    }
}

/// Brings a plain group up to date with one unit.
fn step(group: &mut Group, tx: i64, changes: &[Followed]) {
    let with_rows = group.wants_rows();
    let Some(state) = group.state.as_mut() else { return };
    let changes: Vec<&Followed> = changes.iter().collect();
    let roots = advance(&group.watched.roots, state, &changes, with_rows);
    group.tx = tx;
    if roots.is_empty() {
        return;
    }
    let change = Arc::new(Change { tx, roots, encoded: EncodedCache::default() });
    for (member, gate) in &group.members {
        if !group.waiting.contains_key(member) {
            gate.deliver(Delivery::Change(Arc::clone(&change)));
        }
    }
}

fn initial(watched: &Watched, state: &State, tx: i64) -> Delivery {
    let roots =
        watched.roots.iter().zip(state).map(|(watch, kept)| (watch.entity.clone(), kept.rows()));
    Delivery::Initial { tx, roots: roots.collect() }
}

/// Tells one member what its result became, from what it had under other rights.
fn tell_one(gate: &Gate, watched: &Watched, had: &State, state: &State, tx: i64, with_rows: bool) {
    let roots = difference(&watched.roots, had, state, with_rows);
    if !roots.is_empty() {
        let change = Arc::new(Change { tx, roots, encoded: EncodedCache::default() });
        gate.deliver(Delivery::Change(change));
    }
}

/// The same error, once for each member.
fn again(error: &Error) -> engine::Error {
    match error {
        Error::Denied => Error::Denied,
        Error::Unauthenticated => Error::Unauthenticated,
        Error::TooComplex(text) => Error::TooComplex(text.clone()),
        Error::FieldDenied { entity, field } => {
            Error::FieldDenied { entity: entity.clone(), field: field.clone() }
        }
        Error::Timeout => Error::Timeout,
        other => Error::Conflict(other.to_string()),
    }
}
