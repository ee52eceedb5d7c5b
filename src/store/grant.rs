//! What live `_grant` records allow, derived from them in the same unit, and the memory of who was given what.
//!
//! Invariants
//! G1. What is taken from memory is what the reader's own snapshot holds: [`RightsCount`] tells that no change of rights lies
//!     between the two. In the writer, and while a change is on its way, everything is read from the file.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::error::Result;
use super::view::View;
use super::writer::Unit;
use crate::util::id::RecordId;

/// Identities remembered; past that the memory is emptied and fills again.
const GIVEN_KEPT_MAX: usize = 10_000;

/// One grant: `grantee` `None` means any authenticated subject; `actions` are bits of `engine::access::Actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    pub family: String,
    pub grantee: Option<String>,
    pub actions: i64,
}

/// What one identity has been given, beside what records say themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub grants: Vec<GrantRow>,
    /// Record ids, as text, of the groups it is in, and whether as admin.
    pub groups: Vec<(String, bool)>,
}

/// Counts changes of rights. A change begins inside its unit, so before its commit, and is done after it.
#[derive(Debug, Default)]
struct RightsCount {
    begun: AtomicU64,
    done: AtomicU64,
}

/// Who was given what, as of one count of changes.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    count: RightsCount,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    /// Under the empty text: what everybody who is authenticated was given.
    given: HashMap<Arc<str>, Arc<Given>>,
}

impl Rights {
    /// A unit changes rights.
    pub(crate) fn change(&self) {
        self.count.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// The writer has committed, or taken back, whatever has begun.
    pub(crate) fn settle(&self) {
        let begun = self.begun();
        if self.count.done.load(Ordering::SeqCst) != begun {
            self.count.done.store(begun, Ordering::SeqCst);
        }
    }

    /// Changes so far, those on their way included.
    pub(crate) fn begun(&self) -> u64 {
        self.count.begun.load(Ordering::SeqCst)
    }

    /// The count before a snapshot is opened; `None` while a change is on its way.
    pub(crate) fn settled(&self) -> Option<u64> {
        let done = self.count.done.load(Ordering::SeqCst);
        (self.begun() == done).then_some(done)
    }

    fn get(&self, count: u64, who: &str) -> Option<Arc<Given>> {
        let kept = self.kept.read().expect("no holder of this lock panics");
        if kept.count == count { kept.given.get(who).cloned() } else { None }
    }

    fn put(&self, count: u64, who: &str, given: &Arc<Given>) {
        let mut kept = self.kept.write().expect("no holder of this lock panics");
        if kept.count > count {
            return;
        }
        if kept.count < count || kept.given.len() >= GIVEN_KEPT_MAX {
            *kept = Kept { count, given: HashMap::new() };
        }
        kept.given.insert(Arc::from(who), Arc::clone(given));
    }
}

impl View<'_> {
    /// What this identity was given by name.
    pub fn given_to(&self, who: &str) -> Result<Arc<Given>> {
        self.given(who, || {
            let groups = self.groups_of(who)?.into_iter();
            let shown = |(rid, admin)| Some((RecordId::from_i64(rid)?.to_string(), admin));
            Ok(Given { grants: self.grants_to(who)?, groups: groups.filter_map(shown).collect() })
        })
    }

    /// What everybody who is authenticated was given.
    pub fn given_to_all(&self) -> Result<Arc<Given>> {
        self.given("", || Ok(Given { grants: self.default_grants()?, groups: Vec::new() }))
    }

    fn given(&self, who: &str, read: impl FnOnce() -> Result<Given>) -> Result<Arc<Given>> {
        let rights = &self.shared.rights;
        let Some(count) = self.rights_settled else { return Ok(Arc::new(read()?)) };
        // Only now is the snapshot fixed, and only then can it be told that no change came before it.
        self.fix()?;
        if rights.begun() != count {
            return Ok(Arc::new(read()?));
        }
        if let Some(given) = rights.get(count, who) {
            return Ok(given);
        }
        let given = Arc::new(read()?);
        rights.put(count, who, &given);
        Ok(given)
    }

    /// Grants to this identity by name.
    fn grants_to(&self, grantee: &str) -> Result<Vec<GrantRow>> {
        let mut statement =
            self.prepare("SELECT family, grantee, actions FROM grant_right WHERE grantee = ?1")?;
        let rows = statement.query_map([grantee], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Grants to everybody who is authenticated.
    fn default_grants(&self) -> Result<Vec<GrantRow>> {
        let mut statement =
            self.prepare("SELECT family, grantee, actions FROM grant_right WHERE grantee IS NULL")?;
        let rows = statement.query_map([], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow { family: row.get(0)?, grantee: row.get(1)?, actions: row.get(2)? })
}

impl Unit<'_> {
    pub fn set_grant(&mut self, rid: i64, grant: Option<&GrantRow>) -> Result<()> {
        match grant {
            Some(grant) => self
                .prepare("INSERT OR REPLACE INTO grant_right (rid, family, grantee, actions) VALUES (?1, ?2, ?3, ?4)")?
                .execute((rid, &grant.family, &grant.grantee, grant.actions))?,
            None => self.prepare("DELETE FROM grant_right WHERE rid = ?1")?.execute([rid])?,
        };
        self.shared.rights.change();
        Ok(())
    }
}
