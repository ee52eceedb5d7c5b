//! Who asks: the one who authenticated, and for whom they act.

use std::sync::Arc;

/// A requester. Made by `auth` from a credential; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    ids: Option<(Arc<str>, Arc<str>)>,
}

impl Caller {
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// `principal` authenticated and acts for `subject`; both are DIDs.
    pub fn of(principal: &str, subject: &str) -> Self {
        let first: Arc<str> = Arc::from(principal);
        let second = if principal == subject { Arc::clone(&first) } else { Arc::from(subject) };
        Self { ids: Some((first, second)) }
    }

    pub fn is_anonymous(&self) -> bool {
        self.ids.is_none()
    }

    pub fn principal(&self) -> Option<&str> {
        self.ids.as_ref().map(|(principal, _)| &**principal)
    }

    pub fn subject(&self) -> Option<&str> {
        self.ids.as_ref().map(|(_, subject)| &**subject)
    }

    /// Acts for somebody else.
    pub fn is_delegated(&self) -> bool {
        self.principal() != self.subject()
    }
}
