//! May they: the one place that decides, for single records and for whole queries.
//!
//! Every rule has two halves (stack protocol 6.4): the subject decides whose work it is, the principal decides what may be
//! done. Both must hold. A decision names the rule that made it, so that it can be explained.
//!
//! Invariants
//! A1. Nothing is allowed that no rule allows.
//! A2. [`Access::may`] over a record and [`Access::scope`] over a query agree (a property test compares them).
//! A3. Rights are those of the snapshot, or of the unit, they are used in; what the store remembers of them is exactly that
//!     (`store::grant`, G1).

mod actions;
mod live;
mod references;
mod rule_book;
mod storage;

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

pub(crate) use actions::{Actions, NEVER_GRANTED};
pub use live::{AnonymousAccess, RuleSet};
pub(crate) use live::{context, is_ruled, profile_faults};
pub(crate) use references::ATTACHMENT;
pub(crate) use rule_book::RuleBook;
pub(crate) use storage::FILE;

use super::error::{Error, Result};
use super::links::{Permission, stored_associations, stored_permissions};
use super::record::type_of;
use super::rows::entity_of;
use super::{Caller, Inner};
use crate::schema::filter::Filter;
use crate::schema::rules::{Decision as RowDecision, Operation};
use crate::store::{
    AssociationKind, Given, GrantRow, RecordRow, Scope, StoreError, TypeRowId, View,
};

/// How a list is stored that makes a record public and nothing else.
const PUBLIC: &str = r#"[{"access":"public"}]"#;

/// What somebody wants to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Read,
    /// Content, associations, restore, and reading the version history.
    Update,
    /// Soft delete and undelete.
    Delete,
    /// Replace the permissions.
    Permit,
    /// Remove for good, migrate.
    Purge,
}

impl Action {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "read" => Self::Read,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "permit" => Self::Permit,
            "purge" => Self::Purge,
            _ => return None,
        })
    }

    fn verbs(self) -> Actions {
        match self {
            Self::Read => Actions::READ,
            Self::Update => Actions::UPDATE,
            Self::Delete => Actions::DELETE,
            Self::Permit | Self::Purge => Actions::NONE,
        }
    }
}

/// The rule that decided. Allowing rules first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    OwnerAlone,
    SubjectIsOwner,
    PublicEntry,
    EntityEntry,
    GroupEntry(String),
    /// A grant to this subject; `own` when it covers its own records only.
    Grant {
        family: String,
        own: bool,
    },
    GroupManager,
    Author,
    /// The rules of a live collection.
    LiveRule(String),
    // What refuses.
    NoLiveRule(String),
    /// Some fields are hidden from the caller, and this face does not mask.
    HiddenFields(String),
    OwnerOnly,
    GrantsAreTheOwners,
    NotGroupManager,
    NotAuthor,
    NoRule,
    Anonymous,
    /// The subject may, but the one acting for it has no grant.
    PrincipalHasNoGrant(String),
}

impl Rule {
    pub fn allows(&self) -> bool {
        match self {
            Self::OwnerAlone
            | Self::SubjectIsOwner
            | Self::PublicEntry
            | Self::EntityEntry
            | Self::GroupEntry(_)
            | Self::Grant { .. }
            | Self::GroupManager
            | Self::Author
            | Self::LiveRule(_) => true,
            Self::NoLiveRule(_)
            | Self::HiddenFields(_)
            | Self::OwnerOnly
            | Self::GrantsAreTheOwners
            | Self::NotGroupManager
            | Self::NotAuthor
            | Self::NoRule
            | Self::Anonymous
            | Self::PrincipalHasNoGrant(_) => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerAlone => f.write_str("the owner, acting alone, may do everything"),
            Self::SubjectIsOwner => f.write_str("the subject is the owner"),
            Self::PublicEntry => f.write_str("the record is public"),
            Self::EntityEntry => f.write_str("the record's permissions name the subject"),
            Self::GroupEntry(group) => {
                write!(f, "the record's permissions name group {group}, which the subject is in")
            }
            Self::Grant { family, own: true } => {
                write!(f, "a grant over the subject's own records of {family}")
            }
            Self::Grant { family, own: false } => write!(f, "a grant over {family}"),
            Self::GroupManager => f.write_str("manages the group"),
            Self::Author => f.write_str("wrote the record, or owns the stack"),
            Self::LiveRule(entity) => write!(f, "the rules of {entity} allow it"),
            Self::NoLiveRule(entity) => write!(f, "the rules of {entity} do not allow it"),
            Self::HiddenFields(entity) => {
                write!(f, "some fields of {entity} are hidden from the caller")
            }
            Self::OwnerOnly => f.write_str("only the owner, acting alone, may do this"),
            Self::GrantsAreTheOwners => {
                f.write_str("grants are changed by the owner, acting alone, only")
            }
            Self::NotGroupManager => f.write_str("groups are changed by their admins only"),
            Self::NotAuthor => f.write_str("permissions are set by the owner or the author only"),
            Self::NoRule => f.write_str("no permission and no grant covers this"),
            Self::Anonymous => f.write_str("nobody is signed in"),
            Self::PrincipalHasNoGrant(family) => {
                write!(f, "the subject may, but the one acting for it has no grant over {family}")
            }
        }
    }
}

/// The answer of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub rule: Rule,
}

impl From<Rule> for Decision {
    fn from(rule: Rule) -> Self {
        Self { allowed: rule.allows(), rule }
    }
}

/// What a requester has been given, beside what records say themselves.
#[derive(Default)]
struct Rights {
    subject: Arc<Given>,
    everybody: Arc<Given>,
    principal: Arc<Given>,
}

impl Rights {
    fn subject_grants(&self) -> impl Iterator<Item = &GrantRow> {
        self.subject.grants.iter().chain(&self.everybody.grants)
    }

    /// Groups of the subject: record id as text, and whether as admin.
    fn groups(&self) -> &[(String, bool)] {
        &self.subject.groups
    }
}

/// The rights of one requester on one snapshot.
pub(crate) struct Access<'a> {
    inner: &'a Inner,
    view: &'a View<'a>,
    owner: &'a str,
    caller: &'a Caller,
    rights: OnceCell<Rights>,
}

impl<'a> Access<'a> {
    pub(crate) fn new(inner: &'a Inner, view: &'a View<'a>, caller: &'a Caller) -> Self {
        Self { inner, view, owner: &inner.owner, caller, rights: OnceCell::new() }
    }

    /// The owner, for itself.
    pub(crate) fn alone(&self) -> bool {
        self.caller.principal() == Some(self.owner) && self.caller.subject() == Some(self.owner)
    }

    fn subject_is_owner(&self) -> bool {
        self.caller.subject() == Some(self.owner)
    }

    /// The principal's half holds without a grant.
    fn principal_is_free(&self) -> bool {
        !self.caller.is_delegated() || self.caller.principal() == Some(self.owner)
    }

    fn rights(&self) -> Result<&Rights, StoreError> {
        if let Some(rights) = self.rights.get() {
            return Ok(rights);
        }
        let mut rights = Rights::default();
        if let (Some(principal), Some(subject)) = (self.caller.principal(), self.caller.subject()) {
            if !self.subject_is_owner() {
                rights.subject = self.view.given_to(subject)?;
                rights.everybody = self.view.given_to_all()?;
            }
            if !self.principal_is_free() {
                rights.principal = self.view.given_to(principal)?;
            }
        }
        Ok(self.rights.get_or_init(|| rights))
    }

    fn granted_to_subject(&self, family: &str, verbs: Actions, own: bool) -> Result<Option<Rule>> {
        if NEVER_GRANTED.contains(&family) {
            return Ok(None);
        }
        let rights = self.rights()?;
        let holds = |wanted: Actions| {
            rights
                .subject_grants()
                .any(|g| g.family == family && Actions::from_bits(g.actions).any(wanted))
        };
        if holds(verbs.any_record()) {
            return Ok(Some(Rule::Grant { family: family.to_owned(), own: false }));
        }
        Ok((own && holds(verbs.own_record()))
            .then(|| Rule::Grant { family: family.to_owned(), own: true }))
    }

    /// The principal's half: when acting for somebody else, a grant for the verb, on own or any records.
    fn principal_may(&self, family: &str, verbs: Actions) -> Result<bool> {
        if self.principal_is_free() {
            return Ok(true);
        }
        if NEVER_GRANTED.contains(&family) {
            return Ok(false);
        }
        Ok(self
            .rights()?
            .principal
            .grants
            .iter()
            .any(|g| g.family == family && Actions::from_bits(g.actions).any(verbs)))
    }

    fn is_author(&self, row: &RecordRow) -> Result<bool> {
        let (Some(author), Some(subject)) = (row.subject, self.caller.subject()) else {
            return Ok(false);
        };
        Ok(&*self.view.name(author)? == subject)
    }

    /// The record's own permissions, for the subject.
    fn permits(&self, row: &RecordRow, write: bool) -> Result<Option<Rule>> {
        if self.subject_is_owner() {
            return Ok(Some(Rule::SubjectIsOwner));
        }
        if !write && row.permissions.as_deref() == Some(PUBLIC) {
            return Ok(Some(Rule::PublicEntry)); // By far the most frequent list: not parsed.
        }
        for entry in stored_permissions(row.permissions.as_deref()) {
            let rule = match entry {
                Permission::Public if !write => Rule::PublicEntry,
                Permission::Entity { entity, read, write: may_write }
                    if (if write { may_write } else { read })
                        && self.caller.subject() == Some(&entity) =>
                {
                    Rule::EntityEntry
                }
                Permission::Group { group, read, write: may_write, admins_only }
                    if (if write { may_write } else { read })
                        && self
                            .rights()?
                            .groups()
                            .iter()
                            .any(|(id, admin)| *id == group && (*admin || !admins_only)) =>
                {
                    Rule::GroupEntry(group)
                }
                _ => continue,
            };
            return Ok(Some(rule));
        }
        Ok(None)
    }

    /// Who may do what with an existing record.
    pub(crate) fn decide(&self, action: Action, row: &RecordRow) -> Result<Rule> {
        if self.alone() {
            return Ok(Rule::OwnerAlone);
        }
        let info = type_of(self.view, row.type_id)?;
        if is_ruled(&info) && !matches!(action, Action::Permit | Action::Purge) {
            let entity = entity_of(&info.base).to_owned();
            let allowed = self.live_allows(action, &info, row)?;
            return Ok(if allowed { Rule::LiveRule(entity) } else { Rule::NoLiveRule(entity) });
        }
        let family = info.base.clone();
        match (action, family.as_str()) {
            (Action::Purge, _) => Ok(Rule::OwnerOnly),
            // History stays on the ordinary gate, see `may_see_history`.
            (Action::Update | Action::Delete | Action::Permit, "_grant") => {
                Ok(Rule::GrantsAreTheOwners)
            }
            (Action::Update | Action::Delete | Action::Permit, "_group") => self.manages(row),
            (Action::Permit, _) => self.may_permit(row),
            (Action::Read | Action::Update | Action::Delete, family) => {
                self.ordinary(action, family, row)
            }
        }
    }

    fn ordinary(&self, action: Action, family: &str, row: &RecordRow) -> Result<Rule> {
        let verbs = action.verbs();
        let subject_rule = match self.permits(row, action != Action::Read)? {
            Some(rule) => Some(rule),
            None if self.caller.is_anonymous() => None,
            None => self.granted_to_subject(family, verbs, self.is_author(row)?)?,
        };
        let Some(rule) = subject_rule else {
            return Ok(if self.caller.is_anonymous() { Rule::Anonymous } else { Rule::NoRule });
        };
        if self.principal_may(family, verbs)? {
            Ok(rule)
        } else {
            Ok(Rule::PrincipalHasNoGrant(family.to_owned()))
        }
    }

    /// Group management: principal, and when delegated the subject too, is the owner or an admin of the group.
    fn manages(&self, row: &RecordRow) -> Result<Rule> {
        let (Some(principal), Some(subject)) = (self.caller.principal(), self.caller.subject())
        else {
            return Ok(Rule::Anonymous);
        };
        let list = stored_associations(row.associations.as_deref());
        let manager = |who: &str| {
            who == self.owner
                || list.iter().any(|a| {
                    a.kind == AssociationKind::Relationship && a.label == "admin" && a.target == who
                })
        };
        Ok(if manager(principal) && manager(subject) {
            Rule::GroupManager
        } else {
            Rule::NotGroupManager
        })
    }

    fn may_permit(&self, row: &RecordRow) -> Result<Rule> {
        let author = match row.subject {
            Some(id) => Some(self.view.name(id)?),
            None => None,
        };
        let (Some(principal), Some(subject)) = (self.caller.principal(), self.caller.subject())
        else {
            return Ok(Rule::Anonymous);
        };
        let one_of = |who: &str| who == self.owner || author.as_deref() == Some(who);
        Ok(if one_of(principal) && one_of(subject) { Rule::Author } else { Rule::NotAuthor })
    }

    /// Earlier versions are for those who may change the record.
    pub(crate) fn may_see_history(&self, row: &RecordRow) -> Result<Rule> {
        if self.alone() {
            return Ok(Rule::OwnerAlone);
        }
        let info = type_of(self.view, row.type_id)?;
        if info.base == "_group" {
            return self.manages(row);
        }
        if is_ruled(&info) {
            return match self.decide(Action::Update, row)? {
                Rule::LiveRule(entity) if self.has_hidden_fields(&info.base) => {
                    Ok(Rule::HiddenFields(entity))
                }
                rule => Ok(rule),
            };
        }
        self.ordinary(Action::Update, &info.base, row)
    }

    /// As [`Access::check`] for reading, on faces that show content as it is stored: where fields are hidden from the
    /// caller, the record is.
    pub(crate) fn check_read_whole(&self, row: &RecordRow) -> Result<()> {
        self.check(Action::Read, row)?;
        let info = type_of(self.view, row.type_id)?;
        if is_ruled(&info) && self.has_hidden_fields(&info.base) {
            return Err(Error::Denied);
        }
        Ok(())
    }

    pub(crate) fn may(&self, action: Action, row: &RecordRow) -> Result<bool> {
        Ok(self.decide(action, row)?.allows())
    }

    /// Refuses what [`Access::decide`] does not allow.
    pub(crate) fn check(&self, action: Action, row: &RecordRow) -> Result<()> {
        if self.may(action, row)? { Ok(()) } else { Err(Error::Denied) }
    }

    pub(crate) fn may_create(&self, family: &str) -> Result<bool> {
        if self.alone() {
            return Ok(true);
        }
        let types = self.view.types();
        let ruled = types
            .family(family)
            .iter()
            .filter_map(|row| types.by_row(*row))
            .any(|info| is_ruled(info));
        if ruled {
            // Rules with a condition are checked on the content, by `check_new_row`.
            return Ok(self.live_rule(family, Operation::Create)? != RowDecision::Deny);
        }
        if self.caller.is_anonymous() {
            return Ok(false);
        }
        let subject = self.subject_is_owner()
            || self.granted_to_subject(family, Actions::CREATE, false)?.is_some();
        Ok(subject && self.principal_may(family, Actions::CREATE)?)
    }

    /// What the requester may read, for a query; the history scope when the query looks into the past.
    pub(crate) fn scope(&self, past: bool) -> Result<Scope> {
        if self.alone() {
            return Ok(Scope { all: true, ..Scope::default() });
        }
        let verbs = if past { Actions::UPDATE } else { Actions::READ };
        let mut scope = Scope {
            subject_all: self.subject_is_owner(),
            subject: self.caller.subject().map(str::to_owned),
            needs_write: past,
            ..Scope::default()
        };
        let types = self.view.types();
        let rows_of = |family: &str| -> Vec<TypeRowId> {
            if NEVER_GRANTED.contains(&family) {
                return Vec::new();
            }
            types.family(family).to_vec()
        };
        let rights = self.rights()?;
        for grant in rights.subject_grants() {
            let actions = Actions::from_bits(grant.actions);
            if actions.any(verbs.any_record()) {
                scope.any_types.extend(rows_of(&grant.family));
            } else if actions.any(verbs.own_record()) {
                scope.own_types.extend(rows_of(&grant.family));
            }
        }
        if let Some(subject) = self.caller.subject() {
            scope.subject_name = self.view.name_id(subject)?;
        }
        for (group, admin) in rights.groups() {
            scope.groups.push(group.clone());
            if *admin {
                scope.admin_groups.push(group.clone());
            }
        }
        if !self.principal_is_free() {
            let mut free = Vec::new();
            for grant in &rights.principal.grants {
                if Actions::from_bits(grant.actions).any(verbs) {
                    free.extend(rows_of(&grant.family));
                }
            }
            scope.principal_types = Some(free);
        }
        self.add_live_scope(&mut scope, if past { Operation::Update } else { Operation::Read })?;
        if past {
            // History of groups is for their managers; a page over the past leaves them to single reads.
            scope.never_types = types.family("_group").to_vec();
        }
        Ok(scope)
    }

    /// Live collections follow their rules, in this query too. Where fields are hidden from the caller the collection is left
    /// out: the query shows content as it is stored.
    fn add_live_scope(&self, scope: &mut Scope, operation: Operation) -> Result<()> {
        let types = self.view.types();
        for info in types.all().iter().filter(|info| is_ruled(info)) {
            scope.ruled_types.push(info.row_id);
            if self.has_hidden_fields(&info.base) {
                continue;
            }
            match self.live_rule(&info.base, operation)? {
                RowDecision::Deny => {}
                RowDecision::Allow => scope.by_rule.push((info.row_id, Filter::True)),
                // The past is matched against the record as it is now, which such a condition does not name.
                RowDecision::Rows(_) if operation == Operation::Update => {}
                RowDecision::Rows(filter) => scope.by_rule.push((info.row_id, filter)),
            }
        }
        Ok(())
    }

    pub(crate) fn caller(&self) -> &Caller {
        self.caller
    }

    pub(crate) fn owner(&self) -> &str {
        self.owner
    }

    pub(crate) fn view(&self) -> &View<'a> {
        self.view
    }
}
