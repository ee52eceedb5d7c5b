//! Behaviour: who may do what, and doing it. One handle over one file.
//!
//! Knows records, types, versions, files, rights. Does not know any wire format, nor SQL.
//!
//! Invariants
//! E1. Every accessor takes the requester; there is no unguarded way to a record for a face.
//! E2. A write and its journal entry are one unit.

mod access;
pub mod backups;
mod caller;
mod commands;
mod error;
mod links;
mod query;
mod record;
mod rows;
mod setup;
mod tables;
#[cfg(test)]
mod tests;

pub use access::{Action, AnonymousAccess, Decision, Rule, RuleSet};
pub use caller::{ACCOUNT_DID, Account, Caller, Role};
pub use commands::accounts;
pub use commands::stored_files;
pub use commands::{
    Collected, ExactRecord, ExactType, Exported, FUNCTIONS_MAX, ImportRecord, NewRecord, NewToken,
    NewTypeInput, Pruned, StoredFile, TypeCheck, Upload, UploadInput, Uploaded, VersionRule,
};
pub use error::{Error, Kind, Result};
pub use query::changes::{CHANGES_DEFAULT, CHANGES_MAX, ChangeEntry, Changes, Since};
pub use query::describe::{EntityInfo, FIELDS_MAX, FieldInfo, FieldKind, Totals};
pub use query::run::{Explained, RootValue, Shown, TreeAnswer};
pub use query::tree;
pub use query::watch::{Followed, Watch, Watched, value_key};
pub use query::{PAGE_BYTES, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page, Query};
pub use record::{AsOf, CONFIG_ID, RULES_ID, Record, Snapshot};
pub(crate) use rows::is_live;
pub use rows::{
    Idempotency, MutateError, Mutated, Outcome, Row, RowOp, RowResult, Status, USERS, Verb,
};

pub use tables::TableRights;

pub use crate::store::{
    Counts, Direction, Durability, Options as StoreOptions, SortKey, Span, TokenRow, TypeInfo,
    TypeSize, Types, Verification,
};

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::schema::rules::AuthContext;
use crate::store::{self, Store, StoreError};
use crate::util::clock::Clock;
use crate::util::id::{IdMint, RecordId};
use crate::util::rng::Rng;
use access::{Access, RuleBook};
use commands::TokenCache;
use commands::accounts::SessionCache;

/// How an engine is opened.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub store: store::Options,
    pub rng: Rng,
    /// Fixed when the file is made; a key is generated without one.
    pub owner_did: Option<String>,
    pub owner_name: Option<String>,
    pub owner_handle: Option<String>,
    pub timezone: Option<String>,
    /// Bytes of one record's content, and of a JSON request.
    pub content_bytes_max: usize,
    pub attachment_bytes_max: u64,
    /// Bytes of one file that is stored under a path.
    pub storage_bytes_max: u64,
    /// Register the optional catalogue of common types.
    pub commons: bool,
    /// Faces answer "does not exist" for records the caller cannot read.
    pub unreadable_as_missing: bool,
    /// When wrong passwords lock a name.
    pub lockout: accounts::Lockout,
    /// What callers without a credential may do with live collections while there is no rules document.
    pub anonymous: AnonymousAccess,
    pub backups: backups::BackupOptions,
    /// Which earlier versions stay; without a rule for its collection every one does.
    pub version_rules: Vec<VersionRule>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            store: store::Options::default(),
            rng: Rng::os(),
            owner_did: None,
            owner_name: None,
            owner_handle: None,
            timezone: None,
            content_bytes_max: 1 << 20,
            attachment_bytes_max: 50 << 20,
            storage_bytes_max: 100 << 20,
            commons: false,
            unreadable_as_missing: false,
            lockout: accounts::Lockout::default(),
            anonymous: AnonymousAccess::None,
            backups: backups::BackupOptions::default(),
            version_rules: Vec::new(),
        }
    }
}

/// An open stack. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What commands need beside their unit.
#[derive(Debug)]
pub(crate) struct Inner {
    store: Store,
    mint: IdMint,
    owner: Arc<str>,
    options: EngineOptions,
    tokens: TokenCache,
    sessions: Arc<SessionCache>,
    rules: Arc<RuleBook>,
    timezone: Mutex<Option<setup::KnownTimezone>>,
    desk: backups::Desk,
    /// Turns true when the file is to be closed and opened again.
    restart: tokio::sync::watch::Sender<bool>,
}

impl Inner {
    fn clock(&self) -> &Clock {
        &self.options.store.clock
    }

    fn owner_caller(&self) -> Caller {
        Caller::of(&self.owner, &self.owner)
    }

    /// The rules of live collections in force.
    fn rules(&self) -> Arc<RuleSet> {
        self.rules.current()
    }

    /// The unit that last changed the rules, as far as this process knows: what callers saw before cannot be told by them.
    fn rules_tx(&self) -> i64 {
        self.rules.tx()
    }

    /// The owner acting alone.
    fn is_owner(&self, caller: &Caller) -> bool {
        caller.principal() == Some(&*self.owner) && !caller.is_delegated()
    }

    /// Passes the rules of live collections: the owner, and accounts with that role.
    fn is_admin(&self, caller: &Caller) -> bool {
        self.is_owner(caller) || caller.account().is_some_and(|account| account.role == Role::Admin)
    }

    /// Called inside the unit that changes a grant, a group or a type: rights checked before are stale.
    fn rights_changed(&self) {
        self.store.rights_change();
    }

    fn rights_epoch(&self) -> u64 {
        self.store.rights_changes()
    }
}

impl Engine {
    /// Opens a file, making it when it does not exist.
    ///
    /// # Errors
    /// [`Error::Storage`] with a sentence that says what to do.
    pub fn open(path: &Path, options: &EngineOptions) -> Result<Self> {
        let store = Store::open(path, &options.store)?;
        let owner = setup::owner(&store, options)?;
        let mint = IdMint::new(options.store.clock.clone(), options.rng.clone());
        let last = store.read(|view| view.last_rid())?;
        mint.observe(RecordId::from_i64(last).unwrap_or(RecordId::MIN));
        let inner = Arc::new(Inner {
            store,
            mint,
            owner: Arc::from(owner),
            options: options.clone(),
            tokens: TokenCache::default(),
            sessions: Arc::default(),
            rules: Arc::new(RuleBook::new(options.anonymous)),
            timezone: Mutex::new(None),
            desk: backups::Desk::default(),
            restart: tokio::sync::watch::Sender::new(false),
        });
        if !inner.store.is_read_only() {
            match setup::complete(&inner) {
                Err(Error::Storage(StoreError::Damaged(reason))) => {
                    inner.store.found_damaged(&reason);
                }
                other => other?,
            }
        }
        commands::load_rules(&inner)?;
        Ok(Self { inner })
    }

    /// Whether the file was found damaged when it was opened: what can be read is read, and nothing is written.
    pub fn is_read_only(&self) -> bool {
        self.inner.store.is_read_only()
    }

    /// Resolves when the disk failed to keep what it was given: nothing is acknowledged any more, and whoever runs this
    /// process should close the engine and end it, saying that it failed.
    pub async fn unsafe_to_go_on(&self) {
        self.inner.store.unsafe_to_go_on().await;
    }

    /// Ends a running backup, finishes what is queued, empties the log, closes the file.
    pub fn close(&self) {
        self.inner.desk.stop();
        self.inner.store.close();
    }

    /// The owner's DID.
    pub fn owner(&self) -> &str {
        &self.inner.owner
    }

    /// The owner, acting alone.
    pub fn owner_caller(&self) -> Caller {
        self.inner.owner_caller()
    }

    pub fn is_owner_alone(&self, caller: &Caller) -> bool {
        self.inner.is_owner(caller)
    }

    /// Passes the rules of live collections.
    pub fn is_admin(&self, caller: &Caller) -> bool {
        self.inner.is_admin(caller)
    }

    /// Whether a caller without a credential may do anything with live collections.
    pub fn admits_anonymous(&self) -> bool {
        let rules = self.inner.rules();
        match &rules.document {
            Some(document) => document.admits_anonymous(),
            None => rules.anonymous != AnonymousAccess::None,
        }
    }

    /// The caller as rules and functions ask about it.
    pub fn auth_context(&self, caller: &Caller) -> AuthContext {
        access::context(&self.inner, caller)
    }

    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    pub fn clock(&self) -> &Clock {
        self.inner.clock()
    }

    pub fn rng(&self) -> &Rng {
        &self.inner.options.rng
    }

    pub fn path(&self) -> &Path {
        self.inner.store.path()
    }

    pub fn types(&self) -> Arc<Types> {
        self.inner.store.types()
    }

    /// The newest committed unit.
    pub fn last_tx(&self) -> i64 {
        self.inner.store.last_tx()
    }

    /// The time zone in the settings record, else the configured one.
    pub fn timezone(&self) -> Option<String> {
        setup::timezone(&self.inner)
    }

    /// Whether the file answers a read.
    pub fn healthy(&self) -> bool {
        self.store().read(|view| view.record_exists(0)).is_ok()
    }

    pub fn counts(&self) -> Result<Counts> {
        self.store().read(|view| Ok(view.counts()?))
    }

    /// How much is in the file, in all and by type, on a query thread. For the owner alone.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Timeout`].
    pub async fn sizes(&self, caller: &Caller) -> Result<(Counts, Vec<TypeSize>)> {
        self.check_alone(caller)?;
        self.store().query(|view| Ok((view.counts()?, view.type_sizes()?))).await
    }

    /// Bytes of the write-ahead log right now.
    pub fn wal_bytes(&self) -> u64 {
        self.inner.store.wal_bytes()
    }

    /// Checks everything that can be checked; runs on the calling thread.
    pub fn verify(&self, progress: impl FnMut(&str)) -> Result<Verification> {
        self.store().read_apart(|view| Ok(view.verify(progress)?))
    }

    /// A record as it is, or as it was.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Denied`]. The past is for those who may see the record's history.
    pub fn get(&self, caller: &Caller, id: &str, as_of: Option<AsOf>) -> Result<Record> {
        self.store().read(|view| {
            let row = commands::existing(view, id)?;
            let access = Access::new(&self.inner, view, caller);
            let Some(moment) = as_of else {
                access.check_read_whole(&row)?;
                return Record::from_row(view, row);
            };
            if !access.may_see_history(&row)?.allows() {
                return Err(Error::Denied);
            }
            match view.state_at(&row, moment.tx(view)?)? {
                Some(past) => {
                    let mut record = Record::from_row(view, past)?;
                    if !access.alone() {
                        record.permissions = None;
                    }
                    Ok(record)
                }
                None => Err(Error::missing_record(id)),
            }
        })
    }

    /// What somebody may do with a record, and the rule that decided. For the owner alone.
    pub fn explain(
        &self,
        caller: &Caller,
        who: &Caller,
        action: Action,
        id: &str,
    ) -> Result<Decision> {
        self.check_alone(caller)?;
        self.store().read(|view| {
            let row = commands::existing(view, id)?;
            Ok(Access::new(&self.inner, view, who).decide(action, &row)?.into())
        })
    }

    /// While this future runs, writes that are asked for on its thread get their answers together (see
    /// [`Store::deliver_answers`]).
    pub async fn deliver_answers() {
        Store::deliver_answers().await;
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }
}
