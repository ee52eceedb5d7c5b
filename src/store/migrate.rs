//! From nothing, or from an older format, to the schema of `schema.sql`.
//!
//! Invariants
//! M1. An applied migration never changes.
//! M2. An older file is copied before it is touched, and the copy is kept. A copy that has its name is whole.
//! M3. A migration that fails, or whose result is not sound, leaves the file as it was.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Result, StoreError};
use super::lock;
use super::open::{APPLICATION_ID, FORMAT, SCHEMA, beside};

/// `MIGRATIONS[n]` brings a file of format `n + 1` to `n + 2`.
const MIGRATIONS: &[&str] = &[include_str!("formats/to_2.sql")];
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
    if format > FORMAT {
        // The number can still be in the log, where the look at the first page did not see it.
        return Err(super::open::too_new(path, format));
    }
    let Some(steps) = usize::try_from(format - 1).ok().and_then(|first| MIGRATIONS.get(first..))
    else {
        return Err(StoreError::Refused(format!("{} has no format number", path.display())));
    };
    apply(path, connection, format, steps)
}

/// Takes a file of this format through these steps, one format each.
fn apply(path: &Path, connection: &Connection, format: i32, steps: &[&str]) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let copy = copy_before(path, connection, format)?;
    tracing::info!(copy = %copy.display(), "the older file was copied before its migration");
    // Dropped without a commit it takes everything back.
    let transaction = connection.unchecked_transaction()?;
    let mut reached = format;
    for step in steps {
        transaction.execute_batch(step)?;
        reached += 1;
    }
    transaction.pragma_update(None, "user_version", reached)?;
    let fault: Option<String> = transaction
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
        .map(|text| (text != "ok").then_some(text))?;
    let broken = transaction.prepare("PRAGMA foreign_key_check")?.exists([])?;
    if fault.is_some() || broken {
        return Err(StoreError::Refused(format!(
            "{} could not be brought to format {reached}: {}. It was left as it was; {} is a copy of it",
            path.display(),
            fault.unwrap_or_else(|| "a reference leads nowhere".into()),
            copy.display()
        )));
    }
    Ok(transaction.commit()?)
}

/// Copies the file as it is beside itself, private and on the disk, under a name that says what state it holds: another try
/// makes the same copy again, another state another one.
fn copy_before(path: &Path, connection: &Connection, format: i32) -> Result<PathBuf> {
    let tx = super::change::last_tx(connection)?;
    let copy = beside(path, &format!(".format{format}-tx{tx}"));
    let part = beside(&copy, ".part");
    match std::fs::remove_file(&part) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(fault.into()),
        _ => {}
    }
    let file = lock::open_private(&part)?;
    connection.execute("VACUUM INTO ?1", [&part.display().to_string()])?;
    file.sync_all()?;
    std::fs::rename(&part, &copy)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;

    use super::*;
    use crate::store::{Options, Store};

    /// Tables and indexes of a file, as SQLite describes them.
    fn described(connection: &Connection) -> Vec<(String, String)> {
        connection
            .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    fn open(path: &Path) -> Connection {
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
    }

    /// A file as the store makes it, with a row to lose.
    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("a.cairn");
        let store = Store::open(&path, &Options::default()).unwrap();
        store.write_blocking(|unit| unit.set_meta_text("kept", "yes")).unwrap();
        store.close();
        path
    }

    fn copies(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(".format"))
            .collect();
        names.sort();
        names
    }

    /// The whole current schema is what `schema.sql` says, and a file from nothing has exactly that.
    #[test]
    fn a_new_file_is_what_schema_sql_says() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(&file(folder.path()));
        let said = Connection::open_in_memory().unwrap();
        said.execute_batch(SCHEMA).unwrap();
        assert_eq!(described(&made), described(&said));
        assert!(copies(folder.path()).is_empty());
    }

    /// A file of each earlier format, brought up, is what `schema.sql` says.
    #[test]
    fn every_format_becomes_the_current_one() {
        let said = Connection::open_in_memory().unwrap();
        said.execute_batch(SCHEMA).unwrap();
        for (steps, earlier) in [(0, include_str!("formats/1.sql"))] {
            let old = Connection::open_in_memory().unwrap();
            old.execute_batch(earlier).unwrap();
            for step in &MIGRATIONS[steps..] {
                old.execute_batch(step).unwrap();
            }
            assert_eq!(described(&old), described(&said));
        }
    }

    /// An older file (here: one of today, with the steps of two later formats) is copied, brought up, and nothing is lost.
    #[test]
    fn an_older_file_is_copied_and_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let connection = open(&path);
        let steps = [
            "CREATE TABLE later (a TEXT NOT NULL); INSERT INTO later SELECT key FROM meta;",
            "ALTER TABLE later ADD COLUMN b INTEGER NOT NULL DEFAULT 7;",
        ];
        apply(&path, &connection, FORMAT, &steps).unwrap();
        let format: i32 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(format, FORMAT + 2);
        let kept: i64 = connection
            .query_row("SELECT b FROM later WHERE a = 'kept'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 7);
        // The copy is a file of the old format that opens, and nobody else may read it.
        let names = copies(folder.path());
        assert_eq!(names, [format!("a.cairn.format{FORMAT}-tx0")]);
        let copy = folder.path().join(&names[0]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let store = Store::open(&copy, &Options::default()).unwrap();
        assert_eq!(store.read(|view| view.meta_text("kept")).unwrap().as_deref(), Some("yes"));
        // And the file itself is now one for a newer program, which says so and changes nothing.
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let refused = Store::open(&path, &Options::default()).unwrap_err().to_string();
        assert!(refused.contains("install a newer cairn"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// A step that fails, or that leaves a reference to nowhere, changes nothing; trying again makes no second copy.
    #[test]
    fn a_failed_migration_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let before = described(&open(&path));
        let broken = [
            "CREATE TABLE later (a); INSERT INTO nowhere VALUES (1);",
            "CREATE TABLE up (id INTEGER PRIMARY KEY); CREATE TABLE down (up INTEGER REFERENCES up);
             INSERT INTO down VALUES (5);",
        ];
        for step in broken {
            let connection = open(&path);
            connection.pragma_update(None, "foreign_keys", false).unwrap();
            apply(&path, &connection, FORMAT, &[step]).unwrap_err();
            assert_eq!(described(&connection), before, "{step}");
        }
        assert_eq!(copies(folder.path()).len(), 1);
        let store = Store::open(&path, &Options::default()).unwrap();
        assert_eq!(store.read(|view| view.meta_text("kept")).unwrap().as_deref(), Some("yes"));
    }
}
