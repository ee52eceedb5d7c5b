//! The rules of live collections: the rules document, or the default without one (live protocol 17).
//!
//! The same two questions as everywhere: may this one row (evaluated in memory), and which rows (a filter that goes into the
//! query). Admins and the owner pass all of it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Access, Action, Actions};
use crate::engine::commands::commit::parsed;
use crate::engine::error::{Error, Result};
use crate::engine::record::type_of;
use crate::engine::rows::{USER_FAMILY, USERS, entity_of, is_live, row_id};
use crate::engine::tables::{TableBook, is_table};
use crate::engine::{Caller, Inner, Role};
use crate::schema::FieldFault;
use crate::schema::filter::{Filter, Operand, RecordView, Test};
use crate::schema::rules::{AuthContext, Decision, FieldDecision, Operation, Rules};
use crate::store::{RecordRow, TypeInfo};

/// What callers without a credential may do while no rules document is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnonymousAccess {
    #[default]
    None,
    Read,
    Full,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub document: Option<Arc<Rules>>,
    pub anonymous: AnonymousAccess,
    /// The application whose tables are served.
    pub(crate) tables: Option<Arc<TableBook>>,
}

/// Fields of its own profile that an account may change.
const PROFILE_FIELDS: [&str; 3] = ["displayName", "avatarUrl", "metadata"];

impl Action {
    fn operation(self) -> Option<Operation> {
        match self {
            Self::Read => Some(Operation::Read),
            Self::Update => Some(Operation::Update),
            Self::Delete => Some(Operation::Delete),
            Self::Permit | Self::Purge => None,
        }
    }
}

/// What rules see of a caller.
pub(crate) fn context(inner: &Inner, caller: &Caller) -> AuthContext {
    let account = caller.account();
    let user_id = match account {
        Some(account) => Some(account.user_id.clone()),
        None => caller.subject().map(str::to_owned),
    };
    let role = match account {
        Some(account) => Some(account.role.name().to_owned()),
        None => inner.is_owner(caller).then(|| Role::Admin.name().to_owned()),
    };
    AuthContext {
        user_id,
        email: account.and_then(|account| account.email.clone()),
        role,
        claims: account.map(|account| account.claims.clone()).unwrap_or_default(),
        now: inner.clock().now_ms(),
    }
}

/// Whether the rules of live collections or those of an application decide over a type.
pub(crate) fn is_ruled(info: &TypeInfo) -> bool {
    is_live(info) || info.base == USER_FAMILY || is_table(info)
}

impl Access<'_> {
    /// Which rows of a live collection the caller may act on.
    pub(crate) fn live_rule(&self, family: &str, operation: Operation) -> Result<Decision> {
        if self.inner.is_admin(self.caller) {
            return Ok(Decision::Allow);
        }
        let verbs = match operation {
            Operation::Read => Actions::READ,
            Operation::Create => Actions::CREATE,
            Operation::Update => Actions::UPDATE,
            Operation::Delete => Actions::DELETE,
        };
        if !self.principal_may(family, verbs)? {
            return Ok(Decision::Deny);
        }
        let rules = self.inner.rules();
        let entity = entity_of(family);
        let context = context(self.inner, self.caller);
        if self.is_table(family) {
            // Its grants are the application's, whatever the rules document says; without the application it is closed.
            let book = rules.tables.as_ref();
            return Ok(
                book.map_or(Decision::Deny, |book| book.rules.decide(entity, operation, &context))
            );
        }
        if let Some(document) = &rules.document {
            let decision = document.decide(entity, operation, &context);
            // Accounts are made and ended by the account calls, whatever a rule says.
            return Ok(match (entity, operation) {
                (USERS, Operation::Create | Operation::Delete) => Decision::Deny,
                (USERS, Operation::Update) => match own_profile(&context) {
                    Decision::Rows(own) => Decision::Rows(own),
                    other => other,
                },
                _ => decision,
            });
        }
        if self.caller.is_anonymous() {
            let open = match rules.anonymous {
                AnonymousAccess::None => false,
                AnonymousAccess::Read => operation == Operation::Read,
                AnonymousAccess::Full => true,
            };
            return Ok(if open && entity != USERS { Decision::Allow } else { Decision::Deny });
        }
        Ok(match (entity, operation) {
            (USERS, Operation::Read | Operation::Update) => own_profile(&context),
            (USERS, _) => Decision::Deny,
            _ => Decision::Allow,
        })
    }

    /// Fields the caller may not read, or not write.
    pub(crate) fn field_rules(&self, family: &str, operation: Operation) -> FieldDecision {
        if self.inner.is_admin(self.caller) {
            return FieldDecision::default();
        }
        let rules = self.inner.rules();
        let document = match &rules.tables {
            Some(book) if self.is_table(family) => Some(&book.rules),
            _ => rules.document.as_deref(),
        };
        match document {
            Some(document) => {
                document.fields(entity_of(family), operation, &context(self.inner, self.caller))
            }
            None => FieldDecision::default(),
        }
    }

    /// Whether an application declared the collection.
    fn is_table(&self, family: &str) -> bool {
        let types = self.view.types();
        types.family(family).iter().filter_map(|row| types.by_row(*row)).any(|info| is_table(info))
    }

    pub(super) fn live_allows(
        &self,
        action: Action,
        info: &TypeInfo,
        row: &RecordRow,
    ) -> Result<bool> {
        let Some(operation) = action.operation() else { return Ok(false) };
        match self.live_rule(&info.base, operation)? {
            Decision::Deny => Ok(false),
            Decision::Allow => Ok(true),
            Decision::Rows(filter) => self.row_matches(&filter, row, &parsed(row)?),
        }
    }

    /// Evaluates a condition on a row whose content is, or would be, `content`.
    pub(crate) fn row_matches(
        &self,
        filter: &Filter,
        row: &RecordRow,
        content: &Map<String, Value>,
    ) -> Result<bool> {
        let subject = row.subject.map(|id| self.view.name(id)).transpose()?;
        let id = row_id(row);
        Ok(filter.matches(&RecordView {
            content,
            rid: row.rid,
            id: &id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            subject: subject.as_deref(),
        }))
    }

    /// The refusal for a row that the caller may not read: outright denial says so, else the row does not exist.
    pub(crate) fn hidden(&self, row: &RecordRow, missing: impl FnOnce() -> Error) -> Result<Error> {
        let info = type_of(self.view, row.type_id)?;
        let denied =
            is_ruled(&info) && self.live_rule(&info.base, Operation::Read)? == Decision::Deny;
        Ok(if denied { Error::Denied } else { missing() })
    }

    /// The rule must also hold on what an update makes of the row.
    pub(crate) fn check_result(
        &self,
        info: &TypeInfo,
        row: &RecordRow,
        content: &Map<String, Value>,
    ) -> Result<()> {
        if !is_ruled(info) {
            return Ok(());
        }
        match self.live_rule(&info.base, Operation::Update)? {
            Decision::Allow => Ok(()),
            Decision::Rows(filter) if self.row_matches(&filter, row, content)? => Ok(()),
            Decision::Rows(_) | Decision::Deny => Err(Error::Denied),
        }
    }

    /// Fields that a write names must be writable.
    pub(crate) fn check_written<'f>(
        &self,
        info: &TypeInfo,
        operation: Operation,
        row: Option<&RecordRow>,
        fields: impl Iterator<Item = &'f String>,
    ) -> Result<()> {
        if !is_ruled(info) || self.inner.is_admin(self.caller) {
            return Ok(());
        }
        let own_profile = info.base == USER_FAMILY;
        let rules = self.field_rules(&info.base, operation);
        let content = row.map(parsed).transpose()?;
        for field in fields {
            if own_profile && !PROFILE_FIELDS.contains(&field.as_str()) {
                return Err(Error::Denied);
            }
            if rules.hidden.contains(field) {
                return Err(Error::Denied);
            }
            if let Some((_, filter)) = rules.by_row.iter().find(|(name, _)| name == field) {
                let holds = match (row, &content) {
                    (Some(row), Some(content)) => self.row_matches(filter, row, content)?,
                    _ => false,
                };
                if !holds {
                    return Err(Error::Denied);
                }
            }
        }
        Ok(())
    }

    /// May a row with this content be created in a collection; `info` is absent for one that does not exist yet.
    pub(crate) fn check_new_row(
        &self,
        family: &str,
        info: Option<&TypeInfo>,
        row: &RecordRow,
        content: &Map<String, Value>,
    ) -> Result<()> {
        if info.is_some_and(|info| !is_ruled(info)) {
            return if self.may_create(family)? { Ok(()) } else { Err(Error::Denied) };
        }
        match self.live_rule(family, Operation::Create)? {
            Decision::Deny => return Err(Error::Denied),
            Decision::Allow => {}
            Decision::Rows(filter) => {
                if !self.row_matches(&filter, row, content)? {
                    return Err(Error::Denied);
                }
            }
        }
        match info {
            Some(info) => self.check_written(info, Operation::Create, None, content.keys()),
            None => Ok(()),
        }
    }

    /// May a record of a table with this content be created; what was written is judged apart.
    pub(crate) fn check_new_table_row(
        &self,
        info: &TypeInfo,
        row: &RecordRow,
        content: &Map<String, Value>,
    ) -> Result<()> {
        match self.live_rule(&info.base, Operation::Create)? {
            Decision::Allow => Ok(()),
            Decision::Rows(filter) if self.row_matches(&filter, row, content)? => Ok(()),
            Decision::Rows(_) | Decision::Deny => Err(Error::Denied),
        }
    }

    /// Takes out of a row's fields what the caller may not read.
    pub(crate) fn mask(
        &self,
        rules: &FieldDecision,
        row: &RecordRow,
        content: &mut Map<String, Value>,
    ) -> Result<()> {
        let mut hidden = Vec::new();
        for (field, filter) in &rules.by_row {
            if content.contains_key(field) && !self.row_matches(filter, row, content)? {
                hidden.push(field);
            }
        }
        for field in rules.hidden.iter().chain(hidden) {
            content.shift_remove(field);
        }
        Ok(())
    }

    /// Whether some field of the collection is hidden from the caller, so that only faces that mask may show its records.
    pub(super) fn has_hidden_fields(&self, family: &str) -> bool {
        let rules = self.field_rules(family, Operation::Read);
        !rules.hidden.is_empty() || !rules.by_row.is_empty()
    }
}

/// The account's own record.
fn own_profile(context: &AuthContext) -> Decision {
    match &context.user_id {
        Some(id) => Decision::Rows(Filter::Is(Operand::Id, Test::Equal(Value::String(id.clone())))),
        None => Decision::Deny,
    }
}

/// Faults of a profile field that has the wrong type.
pub(crate) fn profile_faults(data: &Map<String, Value>) -> Vec<FieldFault> {
    let text = |name: &str| match data.get(name) {
        None | Some(Value::Null | Value::String(_)) => None,
        Some(_) => Some(FieldFault::new(name, "must be text")),
    };
    let metadata = match data.get("metadata") {
        None | Some(Value::Null | Value::Object(_)) => None,
        Some(_) => Some(FieldFault::new("metadata", "must be an object")),
    };
    text("displayName").into_iter().chain(text("avatarUrl")).chain(metadata).collect()
}

impl crate::engine::Engine {
    /// Whether the caller may be in presence rooms: as the rules say; without rules, whoever signed in.
    ///
    /// # Errors
    /// [`Error::Denied`]
    pub fn check_presence(&self, caller: &Caller) -> Result<()> {
        let inner = &self.inner;
        let allowed = inner.is_admin(caller)
            || match &inner.rules().document {
                Some(document) => document.presence_allows(&context(inner, caller)),
                None => !caller.is_anonymous(),
            };
        if allowed { Ok(()) } else { Err(Error::Denied) }
    }
}
