//! The rules in force, and who is told when they change.
//!
//! The document is a record (`_rules`), so it has history, export and one way to be written. What is kept here follows that
//! record: replaced after each commit that changed it, before the commit is answered.
//!
//! Invariants
//! B1. A document that cannot be read stands for one that allows nobody anything.
//! B2. Listeners are told after the new rules are in force.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::{AnonymousAccess, RuleSet};
use crate::engine::tables::TableBook;
use crate::schema::rules::Rules;

type Listener = Box<dyn Fn() + Send + Sync>;

pub(crate) struct RuleBook {
    current: RwLock<InForce>,
    listeners: RwLock<Vec<Listener>>,
}

/// One value, so that nobody sees other rules under the number of these.
struct InForce {
    rules: Arc<RuleSet>,
    /// The unit that last changed the document.
    tx: i64,
}

impl fmt::Debug for RuleBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuleBook")
    }
}

impl RuleBook {
    pub(crate) fn new(anonymous: AnonymousAccess) -> Self {
        let rules = Arc::new(RuleSet { document: None, anonymous, tables: None });
        Self { current: RwLock::new(InForce { rules, tx: 0 }), listeners: RwLock::default() }
    }

    // Every value behind these locks is whole at any time, so a poisoned lock is as good as any.
    pub(crate) fn current(&self) -> Arc<RuleSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// The unit that last changed the document: what callers saw before cannot be told by the rules in force.
    pub(crate) fn tx(&self) -> i64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).tx
    }

    /// Puts a document, or none, into force.
    pub(crate) fn replace(&self, document: Option<Arc<Rules>>, tx: i64) {
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            let rules = RuleSet { document, ..(*current.rules).clone() };
            *current = InForce { rules: Arc::new(rules), tx };
        }
        for listener in self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener();
        }
    }

    /// Puts an application into force.
    pub(crate) fn declare(&self, tables: Arc<TableBook>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.rules = Arc::new(RuleSet { tables: Some(tables), ..(*current.rules).clone() });
    }

    /// Puts a whole set into force, as if it had been configured.
    #[cfg(test)]
    pub(crate) fn set(&self, rules: RuleSet) {
        self.current.write().unwrap().rules = Arc::new(rules);
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
}
