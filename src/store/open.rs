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
pub const FORMAT: i32 = 2;
/// The complete schema of [`FORMAT`].
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// The log is truncated to this size when a checkpoint has emptied it.
const JOURNAL_BYTES_MAX: i64 = 64 << 20;
/// How long a connection waits for another one's lock.
pub(crate) const BUSY_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);
const STATEMENTS_CACHED_MAX: usize = 128;

/// Opens the writing connection: makes a new file, refuses a foreign or newer one, migrates an older one.
///
/// A file is made in one transaction of a rollback journal, before there is a write-ahead log: so its first page says whose it
/// is as soon as there is one, also when the process ends before the first checkpoint.
pub(crate) fn open_writer(path: &Path, options: &Options) -> Result<Connection> {
    let has_bytes = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.len() > 0);
    // A creation that was cut short: what the file holds counts only after SQLite has undone it, below.
    let unfinished = has_bytes(&beside(path, "-journal"));
    if has_bytes(path) && !unfinished {
        check_file(path)?;
        if !has_bytes(&beside(path, "-wal")) {
            check_length(path)?;
        }
    }
    restrict_mode(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    limit(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        migrate::create(&connection)?;
    } else if unfinished {
        check_file(path)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if options.durability == Durability::Normal {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    migrate::migrate(path, &connection)?;
    super::backup::unlabel(&connection)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    only_read(&connection)?;
    Ok(connection)
}

/// Opens a connection that reads what can be read of a damaged file: past its end there is nothing, and a table whose
/// description is spoiled is no reason to refuse the others.
pub(crate) fn open_salvager(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // SQLite opens such a file only for those who could repair its schema; `query_only` still keeps us from writing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    only_read(&connection)?;
    Ok(connection)
}

pub(crate) fn only_read(connection: &Connection) -> Result<()> {
    limit(connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    // Asks for the list of tables, which may be damaged: the size by default does as well then.
    let _ = connection.pragma_update(None, "cache_size", -4_000);
    Ok(())
}

/// Opens a connection for checkpoints; it never begins a transaction of its own.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "cache_size", -64)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    Ok(connection)
}

pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    // A plan may not depend on bound values: else partial indexes have SQLite plan a list anew for every value (12 % of it).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    filter::register(&connection)?;
    Ok(connection)
}

/// Limits for a file whose content, even its schema, may come from somebody else (SECURITY S56).
fn limit(connection: &Connection) -> Result<()> {
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
        return Err(too_new(path, format));
    }
    Ok(format)
}

/// Notices a file that was cut off. Only for a file that stands alone: with a log beside it, the first page may be older than
/// the rest.
fn check_length(path: &Path) -> Result<()> {
    use std::io::Read;
    let mut header = [0u8; 100];
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    file.read_exact(&mut header)?;
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    // 1 stands for 65536, see "The Database File Format", section 1.3.2.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    // The number of pages counts only when it was written together with the change counter.
    let pages = if number(24) == number(92) { u64::from(number(28)) } else { 0 };
    if bytes < pages * page {
        return Err(StoreError::Damaged(format!(
            "it was cut off: {bytes} bytes of {}",
            pages * page
        )));
    }
    Ok(())
}

/// The refusal of a file that a newer program has written.
pub(crate) fn too_new(path: &Path, format: i32) -> StoreError {
    StoreError::Refused(format!(
        "{} has format {format}, this program reads up to {FORMAT}. Nothing was changed; install a newer cairn to open it",
        path.display()
    ))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Store;

    /// Copies a file and what lies beside it, as they would be found after the machine stopped at this moment.
    fn as_found(path: &Path, into: &Path) -> PathBuf {
        let target = into.join("found.cairn");
        for suffix in ["", "-wal", "-journal"] {
            if beside(path, suffix).exists() {
                fs::copy(beside(path, suffix), beside(&target, suffix)).unwrap();
            }
        }
        target
    }

    /// S56: a connection that reads can do nothing else, and takes nothing of the file's schema for code.
    #[test]
    fn s56_readers_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let store = Store::open(&path, &Options::default()).unwrap();
        let reader = open_reader(&path).unwrap();
        for sql in [
            "DELETE FROM record",
            "CREATE TABLE other (a)",
            "ATTACH ':memory:' AS other",
            "PRAGMA user_version = 7",
            "SELECT load_extension('other')",
        ] {
            assert!(reader.execute_batch(sql).is_err(), "{sql}");
        }
        let number = |pragma: &str| -> i64 {
            reader.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap_or(0)
        };
        assert_eq!((number("query_only"), number("trusted_schema")), (1, 0));
        assert_eq!((number("cell_size_check"), number("mmap_size")), (1, 0));
        assert!(reader.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
            (Limit::SQLITE_LIMIT_LENGTH, 64 << 20),
        ] {
            assert!(reader.limit(limit).unwrap() <= most, "{limit:?}");
        }
        store.close();
    }

    /// A process killed before its first checkpoint left a file that was taken for somebody else's.
    #[test]
    fn a_file_that_was_never_checkpointed_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let store = Store::open(&path, &Options::default()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let found = as_found(&path, elsewhere.path());
        assert_eq!(check_file(&found).unwrap(), FORMAT);
        Store::open(&found, &Options::default()).unwrap();
        drop(store);
    }

    #[test]
    fn a_creation_that_was_cut_short_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        fs::write(&path, b"").unwrap();
        let cut = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        // More than the cache holds, so that pages reach the file before the commit.
        cut.execute_batch(
            "PRAGMA cache_size = 10;
             BEGIN;
             CREATE TABLE a (b);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO a SELECT randomblob(4000) FROM n;",
        )
        .unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let found = as_found(&path, elsewhere.path());
        assert!(fs::metadata(&found).unwrap().len() > 0, "pages were written");
        Store::open(&found, &Options::default()).unwrap();
        assert_eq!(check_file(&found).unwrap(), FORMAT);
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, b"").unwrap();
        let other = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        other.execute_batch("CREATE TABLE a (b)").unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        let refused = Store::open(&path, &Options::default()).unwrap_err().to_string();
        assert!(refused.contains("another program"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}
