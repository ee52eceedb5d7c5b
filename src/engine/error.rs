//! Why something did not happen, as a closed set that faces translate by kind.

use crate::schema::FieldFault;
use crate::store::{IsDeadline, StoreError};

/// Why a command or a query did not happen. All leave the file unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Could not be read as a request.
    #[error("{0}")]
    BadRequest(String),
    /// Nobody is calling, and somebody is needed.
    #[error("sign in first")]
    Unauthenticated,
    #[error("not allowed")]
    Denied,
    /// A field the caller may not read was named in a query.
    #[error("You do not have read access to {entity}.{field}")]
    FieldDenied { entity: String, field: String },
    /// More rows, depth or conditions than one answer may have.
    #[error("{0}")]
    TooComplex(String),
    #[error("{what} {id} does not exist")]
    Missing { what: &'static str, id: String },
    #[error("{0}")]
    Conflict(String),
    /// A value that another record holds, of a field that is unique.
    #[error("another record has the same {field}")]
    Taken { field: String },
    /// A schema that would break records of its type.
    #[error("the schema of {type_id} would change in a way that breaks its records")]
    Drift { type_id: String, violations: Vec<FieldFault> },
    /// The caller edited an older version; `actual` is what to rebase onto.
    #[error("version {expected} of {record} is stale, current is {actual}")]
    Stale { record: String, expected: i64, actual: i64 },
    #[error("{limit} allows {max} bytes")]
    TooLarge { limit: &'static str, max: u64 },
    /// Files of this media type are not taken here.
    #[error("files of type {0} are not allowed")]
    MediaType(String),
    #[error("{} field(s) rejected", .0.len())]
    Invalid(Vec<FieldFault>),
    #[error("the query took too long")]
    Timeout,
    #[error("too many requests are waiting; try again shortly")]
    Busy,
    #[error("the disk is full")]
    Full,
    /// At or below SQLite. If a commit itself failed the outcome is unknown: read again, then retry.
    #[error("storage failed")]
    Storage(#[source] StoreError),
}

/// The small closed set that faces translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    Unauthenticated,
    Denied,
    TooComplex,
    NotFound,
    Conflict,
    Drift,
    Stale,
    TooLarge,
    MediaType,
    Invalid,
    Timeout,
    Busy,
    Full,
    Internal,
}

impl Error {
    /// No `_` arm: a new variant must choose.
    pub fn kind(&self) -> Kind {
        match self {
            Self::BadRequest(_) => Kind::BadRequest,
            Self::Unauthenticated => Kind::Unauthenticated,
            Self::Denied | Self::FieldDenied { .. } => Kind::Denied,
            Self::TooComplex(_) => Kind::TooComplex,
            Self::Missing { .. } => Kind::NotFound,
            Self::Conflict(_) | Self::Taken { .. } => Kind::Conflict,
            Self::Drift { .. } => Kind::Drift,
            Self::Stale { .. } => Kind::Stale,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::MediaType(_) => Kind::MediaType,
            Self::Invalid(_) => Kind::Invalid,
            Self::Timeout => Kind::Timeout,
            Self::Busy => Kind::Busy,
            Self::Full => Kind::Full,
            Self::Storage(_) => Kind::Internal,
        }
    }

    /// One field that is not acceptable.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldFault::new(path, message)])
    }

    pub(crate) fn missing_record(id: &str) -> Self {
        Self::Missing { what: "record", id: id.to_owned() }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::Deadline => Self::Timeout,
            StoreError::Full => Self::Full,
            StoreError::Taken(what) => Self::Conflict(format!("already taken: {what}")),
            other => Self::Storage(other),
        }
    }
}

impl IsDeadline for Error {
    fn is_deadline(&self) -> bool {
        matches!(self, Self::Timeout)
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
