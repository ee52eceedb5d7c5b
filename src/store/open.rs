//! Opening connections: identity of the file, pragmas, format.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::error::{Result, StoreError};
use super::{Durability, Options, filter, migrate};

/// "CARN": marks a SQLite file as ours.
pub const APPLICATION_ID: i32 = 0x4341_524E;
/// The format this program writes.
pub const FORMAT: i32 = 1;
/// The complete schema of [`FORMAT`].
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// The log is truncated to this size when a checkpoint has emptied it.
const JOURNAL_BYTES_MAX: i64 = 64 << 20;
const STATEMENTS_CACHED_MAX: usize = 128;

/// Opens the writing connection: makes a new file, refuses a foreign or newer one, migrates an older one.
pub(crate) fn open_writer(path: &Path, options: &Options) -> Result<Connection> {
    let new = std::fs::metadata(path).is_ok_and(|m| m.len() == 0);
    if !new {
        check_file(path)?;
    }
    restrict_mode(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(
        None,
        "synchronous",
        match options.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        },
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    if new {
        migrate::create(&connection)?
    } else {
        migrate::migrate(path, &connection)?
    }
    Ok(connection)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    Ok(connection)
}

/// Opens a connection for checkpoints; it never begins a transaction of its own.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "cache_size", -64)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    filter::register(&connection)?;
    Ok(connection)
}

/// Limits for a file whose content, even its schema, may come from somebody else (SECURITY S56).
fn harden(connection: &Connection) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 500)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)?;
    Ok(())
}

/// Reads the identity of an existing file without changing it.
///
/// # Errors
/// [`StoreError::Refused`] with a sentence that says what to do.
pub fn check_file(path: &Path) -> Result<i32> {
    let name = path.display();
    let mut header = [0u8; 100];
    {
        use std::io::Read;
        let mut file = std::fs::File::open(path)?;
        file.read_exact(&mut header).map_err(|_| {
            StoreError::Refused(format!(
                "{name} is not a stack file: it is shorter than a database header. Choose another file, or restore a \
                 backup over it"
            ))
        })?;
        // The descriptor is closed here; on Linux that would drop SQLite's record locks, but none are held yet.
    }
    if &header[..16] != b"SQLite format 3\0" {
        return Err(StoreError::Refused(format!(
            "{name} is not a stack file: it is not a SQLite database. Choose another file"
        )));
    }
    let number = |at: usize| {
        i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (format, application) = (number(60), number(68));
    if application != APPLICATION_ID {
        return Err(StoreError::Refused(format!(
            "{name} is a SQLite database of another program (application id {application:#x}). Choose another file"
        )));
    }
    if format > FORMAT {
        return Err(StoreError::Refused(format!(
            "{name} has format {format}, this program reads up to {FORMAT}. Nothing was changed; install a newer cairn to \
             open it"
        )));
    }
    Ok(format)
}

pub(crate) fn wal_bytes(path: &Path) -> u64 {
    std::fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len())
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Mode 0600, whatever it was before (SECURITY S65).
#[cfg(unix)]
fn restrict_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "the file was readable by others; it is private now");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn restrict_mode(_path: &Path) -> Result<()> {
    Ok(())
}

/// Opens the empty target of a copy.
pub(crate) fn open_copy(path: &Path) -> Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}
