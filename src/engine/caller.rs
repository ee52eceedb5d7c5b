//! Who asks: the one who authenticated, and for whom they act.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Prefix of an account's identity.
pub const ACCOUNT_DID: &str = "did:cairn:";

/// What an account may be. Faces spell the middle one `editor`, `member` or `authenticated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Admin,
    Editor,
    Viewer,
}

impl Role {
    /// The spelling of the live protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "admin" => Some(Self::Admin),
            "editor" => Some(Self::Editor),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
    }
}

/// A person who signed in, as far as rules may ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// `usr_` and the record id of the account's `_user` record.
    pub user_id: String,
    pub email: Option<String>,
    pub role: Role,
    pub claims: Map<String, Value>,
}

/// A requester. Made by `auth` from a credential; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    ids: Option<(Arc<str>, Arc<str>)>,
    account: Option<Arc<Account>>,
    /// The session this request came in; ending it ends streams and links made from it.
    session: Option<Arc<str>>,
    /// The id of the issued token it came with.
    token: Option<Arc<str>>,
}

impl Caller {
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// `principal` authenticated and acts for `subject`; both are DIDs.
    pub fn of(principal: &str, subject: &str) -> Self {
        let first: Arc<str> = Arc::from(principal);
        let second = if principal == subject { Arc::clone(&first) } else { Arc::from(subject) };
        Self { ids: Some((first, second)), account: None, session: None, token: None }
    }

    /// As [`Caller::of`], with an issued token; revoking it ends links made with it.
    pub fn of_token(principal: &str, subject: &str, token: &str) -> Self {
        Self { token: Some(Arc::from(token)), ..Self::of(principal, subject) }
    }

    /// Somebody who signed in, in a session.
    pub fn of_account(account: Arc<Account>, session: &str) -> Self {
        let did = format!("{ACCOUNT_DID}{}", account.user_id);
        Self { account: Some(account), session: Some(Arc::from(session)), ..Self::of(&did, &did) }
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

    pub fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    pub fn session(&self) -> Option<&Arc<str>> {
        self.session.as_ref()
    }

    /// The issued token, by id.
    pub fn token(&self) -> Option<&Arc<str>> {
        self.token.as_ref()
    }
}
