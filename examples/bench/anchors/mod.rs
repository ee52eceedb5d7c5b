//! What the machine can do, measured in the same run as the servers: the figures goals are ratios to.
//!
//! [`fdatasync_us`], [`group_commit`] and [`chunk_rows`] run in this process; [`serve`] is a child
//! process (`bench --anchor-hello`, `bench --anchor-reference`), so that its CPU is its own.

mod disk;
mod serve;

pub use disk::{chunk_rows, fdatasync_us, group_commit};
pub use serve::{Role, serve};

/// Tables of the reference: a record, its first version and a journal row per insert.
const SCHEMA: &str = "
    CREATE TABLE records (
        rid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, content TEXT NOT NULL,
        ver INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, actor TEXT);
    CREATE INDEX record_type ON records (type, updated);
    CREATE TABLE versions (
        rid INTEGER NOT NULL, version INTEGER NOT NULL, content TEXT, at INTEGER NOT NULL, actor TEXT,
        PRIMARY KEY (rid, version)) WITHOUT ROWID;
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, rid INTEGER NOT NULL, op INTEGER NOT NULL, version INTEGER NOT NULL,
        at INTEGER NOT NULL);";

/// At most so many inserts share a commit.
const BATCH_MAX: usize = 512;

/// A fresh database file with the reference's tables.
fn create(path: &std::path::Path, synchronous: &str) -> anyhow::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 16000;"
    ))?;
    connection.execute_batch(SCHEMA)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The three rows of one insert.
fn insert(connection: &rusqlite::Connection, id: &str, content: &str) -> rusqlite::Result<()> {
    let at = 1_700_000_000_000_i64;
    connection
        .prepare_cached(
            "INSERT INTO records (id, type, content, ver, created, updated, actor)
             VALUES (?1, 'note', ?2, 1, ?3, ?3, 'u1')",
        )?
        .execute((id, content, at))?;
    let rid = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "INSERT INTO versions (rid, version, content, at, actor) VALUES (?1, 1, ?2, ?3, 'u1')",
        )?
        .execute((rid, content, at))?;
    connection
        .prepare_cached("INSERT INTO journal (rid, op, version, at) VALUES (?1, 1, 1, ?2)")?
        .execute((rid, at))?;
    Ok(())
}

/// Runs one of the fixed statements that frame a transaction.
fn execute(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// An id that sorts by time: milliseconds, then chance, in hexadecimal.
fn new_id(random: &mut crate::document::Random) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |d| d.as_millis() as u64);
    format!("{now:012x}{:016x}{:04x}", random.next(), random.next() >> 48)
}
