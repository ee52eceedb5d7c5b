//! From nothing, or from an older format, to the schema of `schema.sql`.
//!
//! Invariants
//! M1. An applied migration never changes.
//! M2. An older file is copied before it is touched, and the copy is kept.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Result, StoreError};
use super::open::{APPLICATION_ID, FORMAT, SCHEMA, beside};

/// `MIGRATIONS[n]` brings a file of format `n + 1` to `n + 2`.
const MIGRATIONS: &[&str] = &[];
const _: () = assert!(MIGRATIONS.len() + 1 == FORMAT as usize);

pub(crate) fn create(connection: &Connection) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

pub(crate) fn migrate(path: &Path, connection: &Connection) -> Result<()> {
    let format: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format == FORMAT {
        return Ok(());
    }
    if format > FORMAT {
        // The number can still be in the log, where the look at the first page did not see it.
        return Err(super::open::too_new(path, format));
    }
    let first = usize::try_from(format - 1)
        .map_err(|_| StoreError::Refused(format!("{} has no format number", path.display())))?;
    let copy = beside(path, &format!(".format{format}"));
    if !copy.exists() {
        let text = copy.display().to_string();
        connection.execute("VACUUM INTO ?1", [&text])?;
        tracing::info!(copy = text, "the older file was copied before its migration");
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for step in &MIGRATIONS[first..] {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}
