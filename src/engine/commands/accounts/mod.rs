//! Accounts: who may sign in, and what is known of them.
//!
//! An account is a record of type `_user` (profile, role, claims: versioned, exportable) and a row that holds what it signs
//! in with (hot and secret). Everywhere else it is `usr_` and the id of that record.
//!
//! Knows names, roles, sessions, factors, counters of failure. Does not know passwords: `auth` hashes and compares them on
//! its own threads and hands in the results. Does not know tokens' forms.
//!
//! Invariants
//! A1. A login name belongs to one account, compared trimmed and in lower case.
//! A2. Whoever is disabled or deleted has no live session, at once and everywhere.
//! A3. What depends on a check made outside the unit (a password, a lock) is checked again inside it.

mod cache;
mod factors;
mod keys;
mod links;
mod lockout;
mod sessions;
mod sign_in;
#[cfg(test)]
mod tests;

pub use factors::{Answer, Enrolment, Proof};
pub use keys::{ACCESS_KEYS, LINK_KEYS, SigningKey};
pub use links::{Invitation, LETTER_PAUSE_MS, LinkPurpose, NewLink, link_ms};
pub use lockout::Lockout;
pub use sessions::{Device, Refresh, SESSION_MS_MAX, SESSIONS_MAX, SessionView, SignedIn, Terms};
pub use sign_in::{Attempt, Credentials, SecondFactor, SignIn};

pub(crate) use cache::SessionCache;
pub(crate) use keys::{has_keys, make_keys};

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::commit::{self, parsed};
use super::create::create_checked;
use super::special;
use super::update::check_size;
use crate::engine::error::{Error, Result};
use crate::engine::rows::ACCOUNT_PREFIX as USER_PREFIX;
use crate::engine::{Account, Caller, Engine, Inner, Role};
use crate::store::{AccountRow, Op, RecordRow, Unit, View};
use crate::util::id::RecordId;
use crate::util::json;

/// The type of an account's record.
const USER_TYPE: &str = "_user@1";
/// Claims travel in every access token, which travels in a header.
pub const CLAIMS_BYTES_MAX: usize = 4 * 1024;
/// Accounts in one page of the list.
const PAGE_ROWS_MAX: u32 = 1_000;
/// What an account may change of its own record.
const OWN_FIELDS: [&str; 3] = ["displayName", "avatarUrl", "metadata"];

/// The stored form of a login name.
#[must_use]
pub fn login_name(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// An account to be made. Names and password were checked by `auth`.
#[derive(Clone)]
pub struct NewAccount {
    /// As typed; an e-mail address wherever people sign up by themselves.
    pub login: String,
    /// PHC string; `None` for an account that signs in another way.
    pub password: Option<String>,
    pub role: Role,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
    pub metadata: Map<String, Value>,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewAccount({})", self.login)
    }
}

/// What is shown of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `usr_…`
    pub user_id: String,
    /// The login name.
    pub email: String,
    pub display_name: Option<String>,
    pub avatar_url: Option<String>,
    pub role: Role,
    pub metadata: Map<String, Value>,
    pub claims: Map<String, Value>,
    /// Milliseconds.
    pub created_at: i64,
    pub mfa_enabled: bool,
    /// Mail to the login name is known to arrive.
    pub email_verified: bool,
    pub disabled: bool,
}

impl Profile {
    fn of(account: &AccountRow, record: &RecordRow) -> Result<Self> {
        let content = parsed(record)?;
        let text = |name: &str| content.get(name).and_then(Value::as_str).map(str::to_owned);
        let object = |name: &str| match content.get(name) {
            Some(Value::Object(object)) => object.clone(),
            _ => Map::new(),
        };
        Ok(Self {
            user_id: user_id(account.rid),
            email: account.login.clone(),
            display_name: text("displayName"),
            avatar_url: text("avatarUrl"),
            role: role_of(&content),
            metadata: object("metadata"),
            claims: object("claims"),
            created_at: record.created_at,
            mfa_enabled: account.totp_enabled_at.is_some(),
            email_verified: account.verified_at.is_some(),
            disabled: account.disabled_at.is_some(),
        })
    }

    /// The account as rules ask about it.
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            user_id: self.user_id.clone(),
            email: Some(self.email.clone()),
            role: self.role,
            claims: self.claims.clone(),
        }
    }
}

/// A role that nobody knows is the least one.
fn role_of(content: &Map<String, Value>) -> Role {
    content.get("role").and_then(Value::as_str).and_then(Role::parse).unwrap_or(Role::Viewer)
}

fn user_id(rid: i64) -> String {
    let mut text = String::from(USER_PREFIX);
    if let Some(id) = RecordId::from_i64(rid) {
        id.push_to(&mut text);
    }
    text
}

fn rid_of_user(user_id: &str) -> Result<i64> {
    user_id
        .strip_prefix(USER_PREFIX)
        .and_then(RecordId::parse)
        .map(RecordId::as_i64)
        .ok_or_else(|| missing(user_id))
}

fn missing(user_id: &str) -> Error {
    Error::Missing { what: "account", id: user_id.to_owned() }
}

/// An account that may sign in, with its record.
fn live(view: &View<'_>, rid: i64) -> Result<Option<(AccountRow, RecordRow)>> {
    let Some(account) = view.account(rid)?.filter(|account| account.disabled_at.is_none()) else {
        return Ok(None);
    };
    let record = view.record(rid)?.filter(|record| record.deleted_at.is_none());
    Ok(record.map(|record| (account, record)))
}

/// The account that is calling.
fn own(caller: &Caller) -> Result<i64> {
    match caller.account() {
        Some(account) => rid_of_user(&account.user_id),
        None if caller.is_anonymous() => Err(Error::Unauthenticated),
        None => Err(Error::Denied),
    }
}

/// Stores the record and the row of a new account. The name was found free in this unit.
fn insert(inner: &Inner, unit: &mut Unit<'_>, new: &NewAccount) -> Result<i64> {
    let login = login_name(&new.login);
    if unit.account_by_login(&login)?.is_some() {
        return Err(Error::Conflict("this name has an account already".into()));
    }
    let mut content = Map::new();
    content.insert("email".into(), json!(login));
    if let Some(name) = &new.display_name {
        content.insert("displayName".into(), json!(name));
    }
    if let Some(address) = &new.avatar_url {
        content.insert("avatarUrl".into(), json!(address));
    }
    content.insert("role".into(), json!(new.role.name()));
    if !new.metadata.is_empty() {
        content.insert("metadata".into(), Value::Object(new.metadata.clone()));
    }
    check_size(inner, &json::minify(&Value::Object(content.clone())))?;
    let mut record = create_checked(inner, unit, USER_TYPE, content, None)?;
    // Applications know the account by this id, in the collection `users` like everywhere.
    let alias = format!("{USER_PREFIX}{}", crate::engine::record::shown_id(&record));
    let collection = crate::engine::record::type_of(unit, record.type_id)?.collection;
    unit.add_alias(collection, &alias, record.rid)?;
    record.alias = Some(alias);
    unit.set_origin(&record)?;
    unit.insert_account(record.rid, &login, new.password.as_deref())?;
    Ok(record.rid)
}

/// What a change of an account's record or row does to those who are signed in with it.
pub(crate) fn changed(inner: &Inner, unit: &mut Unit<'_>, rid: i64) {
    let sessions = Arc::clone(&inner.sessions);
    unit.after_commit(move || sessions.forget_account(rid));
}

impl Engine {
    /// Whether a name is free. A hint: the writer decides.
    pub fn is_login_free(&self, login: &str) -> Result<bool> {
        let login = login_name(login);
        self.store().read(|view| Ok(view.account_by_login(&login)?.is_none()))
    }

    /// Makes an account and its first session.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name has an account.
    pub async fn sign_up(&self, new: NewAccount, device: Device, terms: Terms) -> Result<SignedIn> {
        let inner = Arc::clone(&self.inner);
        self.store()
            .write_several(move |unit| {
                let rid = insert(&inner, unit, &new)?;
                sessions::start(&inner, unit, rid, &device, terms)
            })
            .await
    }

    /// Makes an account without signing anybody in. For administrators.
    pub async fn create_account(&self, caller: &Caller, new: NewAccount) -> Result<Profile> {
        self.check_admin(caller)?;
        let inner = Arc::clone(&self.inner);
        self.store()
            .write_several(move |unit| {
                let rid = insert(&inner, unit, &new)?;
                profile(unit, rid)
            })
            .await
    }

    /// The caller's own account.
    ///
    /// # Errors
    /// [`Error::Denied`] for a caller that is no account, such as the owner's token.
    pub fn own_profile(&self, caller: &Caller) -> Result<Profile> {
        let rid = own(caller)?;
        self.store().read(|view| profile(view, rid))
    }

    /// Somebody's account: one's own, any for administrators.
    pub fn profile(&self, caller: &Caller, user_id: &str) -> Result<Profile> {
        if caller.account().is_none_or(|account| account.user_id != user_id) {
            self.check_admin(caller)?;
        }
        let rid = rid_of_user(user_id)?;
        self.store().read(|view| profile(view, rid))
    }

    /// Accounts in the order they were made, strictly after one. For administrators.
    pub fn accounts(
        &self,
        caller: &Caller,
        after: Option<&str>,
        rows: u32,
    ) -> Result<Vec<Profile>> {
        self.check_admin(caller)?;
        let after = after.map(rid_of_user).transpose()?.unwrap_or(-1);
        self.store().read(|view| {
            let rows = view.accounts_after(after, i64::from(rows.min(PAGE_ROWS_MAX)))?;
            rows.iter().map(|account| profile_of(view, account)).collect()
        })
    }

    /// Changes display name, avatar and metadata: one's own, anybody's for administrators. `null` removes a field.
    ///
    /// # Errors
    /// [`Error::Denied`] for any other field.
    pub async fn update_profile(
        &self,
        caller: &Caller,
        user_id: &str,
        patch: Map<String, Value>,
    ) -> Result<Profile> {
        if caller.account().is_none_or(|account| account.user_id != user_id) {
            self.check_admin(caller)?;
        }
        if patch.keys().any(|key| !OWN_FIELDS.contains(&key.as_str())) {
            return Err(Error::Denied);
        }
        self.change_account(caller, user_id, move |content| {
            for (key, value) in patch {
                if value.is_null() {
                    content.shift_remove(&key);
                } else {
                    content.insert(key, value);
                }
            }
        })
        .await
    }

    /// Gives an account another role. For administrators; in force with the next request.
    pub async fn set_role(&self, caller: &Caller, user_id: &str, role: Role) -> Result<Profile> {
        self.check_admin(caller)?;
        self.change_account(caller, user_id, move |content| {
            content.insert("role".into(), json!(role.name()));
        })
        .await
    }

    /// Replaces the claims of an account. For administrators; in force with the next request.
    ///
    /// # Errors
    /// [`Error::TooLarge`] past [`CLAIMS_BYTES_MAX`].
    pub async fn set_claims(
        &self,
        caller: &Caller,
        user_id: &str,
        claims: Map<String, Value>,
    ) -> Result<Profile> {
        self.check_admin(caller)?;
        let claims = Value::Object(claims);
        if json::minify(&claims).len() > CLAIMS_BYTES_MAX {
            return Err(Error::TooLarge { limit: "claims", max: CLAIMS_BYTES_MAX as u64 });
        }
        self.change_account(caller, user_id, move |content| {
            content.insert("claims".into(), claims);
        })
        .await
    }

    /// Shuts an account out, which ends its sessions, or lets it in again. For administrators.
    pub async fn set_disabled(&self, caller: &Caller, user_id: &str, disabled: bool) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, rid) = (Arc::clone(&self.inner), rid_of_user(user_id)?);
        let user_id = user_id.to_owned();
        self.store()
            .write_several(move |unit| {
                if unit.account(rid)?.is_none() {
                    return Err(missing(&user_id));
                }
                let at = unit.at();
                unit.set_disabled(rid, disabled.then_some(at))?;
                if disabled {
                    sessions::end_all(&inner, unit, rid, None)?;
                }
                Ok(())
            })
            .await
    }

    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::Denied`] for everybody whom [`Engine::is_admin`] does not name.
    pub fn check_admin(&self, caller: &Caller) -> Result<()> {
        if self.is_admin(caller) {
            Ok(())
        } else if caller.is_anonymous() {
            Err(Error::Unauthenticated)
        } else {
            Err(Error::Denied)
        }
    }

    /// Changes the record of an account; rights were checked.
    async fn change_account(
        &self,
        caller: &Caller,
        user_id: &str,
        change: impl FnOnce(&mut Map<String, Value>) + Send + 'static,
    ) -> Result<Profile> {
        let (inner, caller, rid) = (Arc::clone(&self.inner), caller.clone(), rid_of_user(user_id)?);
        let user_id = user_id.to_owned();
        self.store()
            .write_several(move |unit| {
                let account = unit.account(rid)?.ok_or_else(|| missing(&user_id))?;
                let record = unit.record(rid)?.filter(|record| record.deleted_at.is_none());
                let record = record.ok_or_else(|| missing(&user_id))?;
                let mut content = parsed(&record)?;
                change(&mut content);
                let info = crate::engine::record::type_of(unit, record.type_id)?;
                special::none(info.schema.validate(&content))?;
                let content = json::minify(&Value::Object(content));
                check_size(&inner, &content)?;
                let actor = commit::actor(unit, &caller)?;
                let next = RecordRow { content, ..record.clone() };
                let record = commit::replace(&inner, unit, &record, next, Op::Update, actor)?;
                Profile::of(&account, &record)
            })
            .await
    }
}

fn profile(view: &View<'_>, rid: i64) -> Result<Profile> {
    let account = view.account(rid)?.ok_or_else(|| missing(&user_id(rid)))?;
    profile_of(view, &account)
}

fn profile_of(view: &View<'_>, account: &AccountRow) -> Result<Profile> {
    let record = view.record(account.rid)?.ok_or_else(|| missing(&user_id(account.rid)))?;
    Profile::of(account, &record)
}
