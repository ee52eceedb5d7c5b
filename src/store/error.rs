//! What can go wrong at or below SQLite, reduced to what callers act on.

/// Why the file did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of the writer or of the query threads is full; try again shortly.
    #[error("too many requests are waiting")]
    Busy,
    /// The query ran past its deadline.
    #[error("the query took too long")]
    Deadline,
    /// No space left; reading goes on, writing resumes when there is space.
    #[error("the disk is full")]
    Full,
    /// A flush failed: what is on the disk is not known, and this process writes nothing more (SECURITY S67).
    #[error("the disk failed to store a commit; nothing is written any more")]
    Unflushed,
    /// Pages of the file contradict each other; what can be read is read.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// A uniqueness rule of the schema was broken; in words for whoever asked, without tables and columns.
    #[error("already taken: {0}")]
    Taken(&'static str),
    /// Somebody asked for an end before it was done.
    #[error("it was interrupted")]
    Cancelled,
    /// The store is stopping or its writer has ended.
    #[error("the store is closed")]
    Closed,
    /// Another process owns the file.
    #[error("{path} is in use by {holder}; stop it first, or choose another file")]
    InUse { path: String, holder: String },
    /// Not a file of ours, too new, or damaged; the text says what to do.
    #[error("{0}")]
    Refused(String),
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    #[error("SQLite: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let Some(code) = error.sqlite_error_code() else { return Self::Sqlite(error) };
        match code {
            ErrorCode::OperationInterrupted => Self::Deadline,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::SystemIoFailure if is_flush(&error) => Self::Unflushed,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Damaged(error.to_string())
            }
            ErrorCode::ConstraintViolation => match &error {
                rusqlite::Error::SqliteFailure(cause, Some(text))
                    if cause.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                        || cause.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY =>
                {
                    Self::Taken(if text.contains("alias.") {
                        "another record of the collection has this id"
                    } else {
                        "something of this name or id is there"
                    })
                }
                _ => Self::Sqlite(error),
            },
            _ => Self::Sqlite(error),
        }
    }
}

fn is_flush(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    matches!(error, rusqlite::Error::SqliteFailure(cause, _)
        if [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(&cause.extended_code))
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;
