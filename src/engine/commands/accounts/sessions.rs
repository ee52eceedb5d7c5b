//! Sessions: started by a sign-in, kept alive by refreshing, ended by somebody or by time.
//!
//! Invariants
//! S1. Of two exchanges of one refresh token exactly one succeeds; the other ends the session.
//! S2. A session that ended is refused by the next request, wherever it comes in.
//! S3. Secrets leave this file once, when they are made; the file keeps their SHA-256.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::watch;

use super::cache::KnownSession;
use super::{Profile, live, own};
use crate::crypto::{self, constant_time_eq};
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Inner};
use crate::store::{SessionRow, Unit, View};

/// However much it is used, a session ends then (SECURITY S35).
pub const SESSION_MS_MAX: i64 = 180 * 24 * 3_600_000;
/// Live sessions of one account; past that the ones unused longest end.
pub const SESSIONS_MAX: usize = 100;
/// Exchanged refresh tokens remembered for a session: more than 30 days of one every 15 minutes.
const SPENT_MAX: i64 = 4_096;
/// Expired sessions swept by one sign-in.
const SWEEP_ROWS: i64 = 100;
const SESSION_ID_BYTES: usize = 16;
const REFRESH_BYTES: usize = 32;
/// Removing a factor or changing a password needs a sign-in this recent (SECURITY S34).
pub(super) const FRESH_MS: i64 = 5 * 60_000;

/// Where a sign-in comes from.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// A few words for people.
    pub name: String,
    pub ip: String,
    /// What the client says it is; a session made with one is refreshed with the same one only.
    pub fingerprint: Option<String>,
}

impl Device {
    pub(super) fn fingerprint_hash(&self) -> Option<[u8; 32]> {
        self.fingerprint.as_ref().map(|text| crypto::sha256(text.as_bytes()))
    }
}

/// How long the sessions of a protocol live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Without a refresh.
    pub idle_ms: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { idle_ms: 30 * 24 * 3_600_000 }
    }
}

/// A session that was started or refreshed; the secret is shown this once.
#[derive(Clone)]
pub struct SignedIn {
    /// `sess_…`
    pub session: String,
    pub refresh_token: String,
    /// When the session ends unless it is refreshed, in milliseconds.
    pub expires_at: i64,
    pub profile: Profile,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedIn({}, {})", self.profile.user_id, self.session)
    }
}

/// What became of a refresh token.
#[derive(Clone, Debug)]
pub enum Refresh {
    Rotated(Box<SignedIn>),
    /// Unknown, expired, used before, or from another device.
    Refused,
}

/// A session as its account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    pub id: String,
    pub device: String,
    pub ip: String,
    pub created_at: i64,
    pub last_used_at: i64,
    /// The one that asks.
    pub current: bool,
}

/// Starts a session of a live account.
pub(super) fn start(
    inner: &Inner,
    unit: &mut Unit<'_>,
    rid: i64,
    device: &Device,
    terms: Terms,
) -> Result<SignedIn> {
    start_bound(inner, unit, rid, device, None, terms)
}

/// As [`start`]; bound to the device that the sign-in began on, when this one does not say what it is.
pub(super) fn start_bound(
    inner: &Inner,
    unit: &mut Unit<'_>,
    rid: i64,
    device: &Device,
    began_on: Option<[u8; 32]>,
    terms: Terms,
) -> Result<SignedIn> {
    let (now, rng) = (unit.at(), &inner.options.rng);
    let (account, record) = live(unit, rid)?.ok_or(Error::Unauthenticated)?;
    unit.remove_expired_sessions(now, SWEEP_ROWS)?;
    let refresh_token = rng.base64url(REFRESH_BYTES);
    let ends_at = now + SESSION_MS_MAX;
    let row = SessionRow {
        id: format!("sess_{}", rng.base64url(SESSION_ID_BYTES)),
        account: rid,
        device: device.name.clone(),
        ip: device.ip.clone(),
        fingerprint: device.fingerprint_hash().or(began_on),
        created_at: now,
        last_used_at: now,
        refresh: crypto::sha256(refresh_token.as_bytes()),
        generation: 0,
        idle_ms: terms.idle_ms,
        expires_at: ends_at.min(now + terms.idle_ms),
        ends_at,
    };
    let before = unit.sessions_of(rid)?;
    for old in before.iter().skip(SESSIONS_MAX - 1) {
        end(inner, unit, &old.id)?;
    }
    unit.insert_session(&row)?;
    Ok(SignedIn {
        session: row.id,
        refresh_token,
        expires_at: row.expires_at,
        profile: Profile::of(&account, &record)?,
    })
}

/// Ends a session; true when there was one.
fn end(inner: &Inner, unit: &mut Unit<'_>, id: &str) -> Result<bool> {
    let ended = unit.remove_session(id)?;
    if ended {
        let (sessions, id) = (Arc::clone(&inner.sessions), id.to_owned());
        unit.after_commit(move || sessions.forget(&id));
    }
    Ok(ended)
}

/// Ends every session of an account but one, and what was waiting for a second factor.
pub(super) fn end_all(
    inner: &Inner,
    unit: &mut Unit<'_>,
    rid: i64,
    except: Option<&str>,
) -> Result<()> {
    for session in unit.sessions_of(rid)? {
        if except != Some(&session.id) {
            unit.remove_session(&session.id)?;
        }
    }
    unit.remove_mfa_challenges_of(rid)?;
    super::changed(inner, unit, rid);
    Ok(())
}

/// Whether the caller's session was started just now, by signing in.
pub(super) fn is_fresh(view: &View<'_>, caller: &Caller, now: i64) -> Result<bool> {
    let Some(id) = caller.session() else { return Ok(false) };
    Ok(view.session(id)?.is_some_and(|session| now - session.created_at <= FRESH_MS))
}

fn refresh(inner: &Inner, unit: &mut Unit<'_>, token: &str, device: &Device) -> Result<Refresh> {
    let (now, hash) = (unit.at(), crypto::sha256(token.as_bytes()));
    let Some(session) = unit.session_by_refresh(&hash)? else {
        if let Some(stolen) = unit.session_of_spent(&hash)? {
            end(inner, unit, &stolen)?;
            tracing::warn!(session = stolen, "a refresh token was used twice; its session ended");
        }
        return Ok(Refresh::Refused);
    };
    let same_device = match (&session.fingerprint, device.fingerprint_hash()) {
        (None, _) => true,
        (Some(bound), Some(shown)) => constant_time_eq(bound, &shown),
        (Some(_), None) => false,
    };
    let account = live(unit, session.account)?;
    let (Some((account, record)), true) = (account, same_device && session.expires_at > now) else {
        end(inner, unit, &session.id)?;
        return Ok(Refresh::Refused);
    };
    let refresh_token = inner.options.rng.base64url(REFRESH_BYTES);
    let expires_at = session.ends_at.min(now + session.idle_ms);
    let next = crypto::sha256(refresh_token.as_bytes());
    unit.rotate_refresh(&session, &next, expires_at, SPENT_MAX)?;
    Ok(Refresh::Rotated(Box::new(SignedIn {
        session: session.id,
        refresh_token,
        expires_at,
        profile: Profile::of(&account, &record)?,
    })))
}

impl Engine {
    /// Exchanges a refresh token for a new one. One that was exchanged before, or comes from another device, ends its
    /// session.
    pub async fn refresh_session(&self, token: &str, device: Device) -> Result<Refresh> {
        let (inner, token) = (Arc::clone(&self.inner), token.to_owned());
        self.store().write(move |unit| refresh(&inner, unit, &token, &device)).await
    }

    /// Who is signed in with a session: `None` when it ended or its account is shut out. Notes the use.
    pub fn caller_of_session(&self, id: &str) -> Result<Option<Caller>> {
        let now = self.clock().now_ms();
        let Some(session) = self.known_session(id, now)? else { return Ok(None) };
        if session.is_touch_due(now) {
            let id = id.to_owned();
            self.store().write_later(move |unit| unit.touch_session(&id, now));
        }
        Ok(Some(session.caller.clone()))
    }

    /// Whether a session is still live; for streams, which ask again after every [`Engine::session_changes`].
    pub fn session_is_live(&self, id: &str) -> Result<bool> {
        Ok(self.known_session(id, self.clock().now_ms())?.is_some())
    }

    /// Who a session is, for something that hangs on it; the session counts as no more used than before.
    pub(crate) fn session_holder(&self, id: &str) -> Result<Option<Caller>> {
        let known = self.known_session(id, self.clock().now_ms())?;
        Ok(known.map(|session| session.caller.clone()))
    }

    /// Moves whenever a session ended or an account changed; which one is not told.
    pub fn session_changes(&self) -> watch::Receiver<u64> {
        self.inner.sessions.changes()
    }

    /// Calls `listener` with the user id, on the writer thread, whenever an account changed: its role, its claims, whether it
    /// may sign in. It must not block.
    pub fn on_account_changed(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        self.inner.sessions.listen(Box::new(move |rid| listener(&super::user_id(rid))));
    }

    fn known_session(&self, id: &str, now: i64) -> Result<Option<Arc<KnownSession>>> {
        let cache = &self.inner.sessions;
        if let Some(session) = cache.get(id).filter(|session| session.until > now) {
            return Ok(Some(session));
        }
        let epoch = cache.epoch();
        let read = self.store().read(|view| -> Result<_> {
            let Some(row) = view.session(id)?.filter(|row| row.expires_at > now) else {
                return Ok(None);
            };
            let Some((account, record)) = live(view, row.account)? else { return Ok(None) };
            Ok(Some((row, Profile::of(&account, &record)?)))
        })?;
        let Some((row, profile)) = read else { return Ok(None) };
        let session = Arc::new(KnownSession {
            account: row.account,
            caller: Caller::of_account(Arc::new(profile.account()), &row.id),
            until: row.expires_at,
            touched: AtomicI64::new(row.last_used_at),
        });
        cache.put(epoch, &row.id, Arc::clone(&session));
        Ok(Some(session))
    }

    /// The caller's own live sessions, the one used last first.
    pub fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>> {
        let (rid, now) = (own(caller)?, self.clock().now_ms());
        let rows = self.store().read(|view| view.sessions_of(rid))?;
        let current = caller.session();
        Ok(rows
            .into_iter()
            .filter(|row| row.expires_at > now)
            .map(|row| SessionView {
                current: current.is_some_and(|id| **id == *row.id),
                id: row.id,
                device: row.device,
                ip: row.ip,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
            })
            .collect())
    }

    /// Live sessions of everybody, the one used last first, each with its account; and how many there are. For
    /// administrators.
    pub async fn all_sessions(
        &self,
        caller: &Caller,
        rows: u32,
    ) -> Result<(Vec<(String, SessionView)>, i64)> {
        self.check_admin(caller)?;
        let (now, current) = (self.clock().now_ms(), caller.session().cloned());
        self.store()
            .query(move |view| {
                let list = view.sessions_used_last(now, i64::from(rows))?;
                let shown = |row: SessionRow| {
                    let view = SessionView {
                        current: current.as_ref().is_some_and(|id| **id == *row.id),
                        id: row.id,
                        device: row.device,
                        ip: row.ip,
                        created_at: row.created_at,
                        last_used_at: row.last_used_at,
                    };
                    (super::user_id(row.account), view)
                };
                Ok((list.into_iter().map(shown).collect(), view.session_count(now)?))
            })
            .await
    }

    /// Ends the session that the caller came in.
    ///
    /// # Errors
    /// [`Error::Denied`] for a credential without a session.
    pub async fn sign_out(&self, caller: &Caller) -> Result<()> {
        own(caller)?;
        let id = caller.session().ok_or(Error::Denied)?.to_string();
        let inner = Arc::clone(&self.inner);
        self.store()
            .write(move |unit| {
                end(&inner, unit, &id)?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Ends one of the caller's own sessions.
    ///
    /// # Errors
    /// [`Error::Missing`] for one that ended or is somebody else's.
    pub async fn end_session(&self, caller: &Caller, id: &str) -> Result<()> {
        let (inner, rid, id) = (Arc::clone(&self.inner), own(caller)?, id.to_owned());
        self.store()
            .write(move |unit| {
                let now = unit.at();
                let own = |row: &SessionRow| row.account == rid && row.expires_at > now;
                if !unit.session(&id)?.is_some_and(|row| own(&row)) {
                    return Err(Error::Missing { what: "session", id });
                }
                end(&inner, unit, &id)?;
                Ok(())
            })
            .await
    }

    /// Ends every session of the caller but the one it came in.
    pub async fn end_other_sessions(&self, caller: &Caller) -> Result<()> {
        let (inner, rid, caller) = (Arc::clone(&self.inner), own(caller)?, caller.clone());
        self.store()
            .write(move |unit| end_all(&inner, unit, rid, caller.session().map(|id| &**id)))
            .await
    }

    /// Ends every session of an account. For administrators.
    pub async fn end_sessions_of(&self, caller: &Caller, user_id: &str) -> Result<()> {
        self.check_admin(caller)?;
        let (inner, rid) = (Arc::clone(&self.inner), super::rid_of_user(user_id)?);
        self.store().write(move |unit| end_all(&inner, unit, rid, None)).await
    }
}
