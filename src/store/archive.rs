//! A file that is only looked at: a backup, a suspect file, or one that another process has.
//!
//! Nothing is written to it and nothing is left beside it, so a backup keeps its SHA-256 however often it is verified. While
//! another process serves the file this is one more reader of SQLite's; otherwise nobody may begin to write meanwhile.
//!
//! Knows what surrounds a database file: log, lock, identity. Does not know what is looked for.
//!
//! Invariants
//! R1. The file and its log are never changed; a shared-memory file that was not there before is removed again.
//! R2. A file of a newer format is refused by its number, before anything else of it is read.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, RwLock};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{Result, StoreError};
use super::lock::FileLock;
use super::open::{self, beside};
use super::view::{View, on_snapshot};
use super::{Shared, Types, change, grant, halt, name};
use crate::util::clock::Clock;

/// An open look at a file.
#[derive(Debug)]
pub struct Archive {
    // The connection closes before the lock goes and before what it left is removed.
    connection: Option<Connection>,
    shared: Shared,
    lock: Option<FileLock>,
    /// A shared-memory file that this look has made.
    litter: Option<PathBuf>,
}

impl Archive {
    /// Opens a stack file for reading, whoever has it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it is none of ours or newer than this program, [`StoreError::Damaged`] when not even its
    /// tables can be listed.
    pub fn open(path: &Path) -> Result<Self> {
        open::check_file(path)?;
        let lock = FileLock::share(path)?;
        let alone = lock.is_some();
        Self::open_held(path, lock, alone)
    }

    /// As [`Archive::open`], for a file that the caller keeps everybody else from (`alone`), or that is behind `lock`.
    pub(super) fn open_held(path: &Path, lock: Option<FileLock>, alone: bool) -> Result<Self> {
        let has_log = open::wal_bytes(path) > 0;
        let memory = beside(path, "-shm");
        let litter = (alone && has_log && !memory.exists()).then_some(memory);
        let connection = connect(path, alone && !has_log)?;
        let (types, last_tx) = match describe(&connection) {
            Err(StoreError::Damaged(_)) => {
                // SQLite lists the tables of such a file only for those who could repair its schema; nobody does here.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
                describe(&connection).unwrap_or_default()
            }
            other => other?,
        };
        let shared = Shared {
            path: path.to_owned(),
            idle_readers: Mutex::default(),
            names: name::Names::default(),
            rights: grant::Rights::default(),
            types: RwLock::new(std::sync::Arc::new(types)),
            last_tx: AtomicI64::new(last_tx),
            types_tx: AtomicI64::new(0),
            clock: Clock::system(),
            halt: halt::Halt::default(),
        };
        Ok(Self { connection: Some(connection), shared, lock, litter })
    }

    /// Whether another process has the file open for writing.
    pub fn is_in_use(&self) -> bool {
        self.lock.is_none()
    }

    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Its registered types.
    pub fn types(&self) -> std::sync::Arc<Types> {
        self.shared.types()
    }

    /// Runs `work` on one snapshot.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        on_snapshot(self.connection(), &self.shared, work)
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("only drop takes it")
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The last one to close a file would copy its log back.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            let _ = connection.close();
        }
        if let Some(litter) = &self.litter {
            let _ = std::fs::remove_file(litter);
        }
    }
}

/// Its types and its newest unit.
fn describe(connection: &Connection) -> Result<(Types, i64)> {
    Ok((Types::load(connection)?, change::last_tx(connection)?))
}

/// `immutable`: nobody writes and there is no log, so SQLite needs no files beside it to read a file in WAL mode.
fn connect(path: &Path, immutable: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = if immutable {
        open::connect(Path::new(&immutable_uri(path)), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        open::connect(path, flags)?
    };
    open::only_read(&connection)?;
    Ok(connection)
}

/// The file as SQLite's URI that promises that it will not change.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    let text = path.to_string_lossy();
    let windows = cfg!(windows);
    if windows && path.is_absolute() {
        uri.push('/');
    }
    for c in text.chars() {
        match c {
            '\\' if windows => uri.push('/'),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '%' => uri.push_str("%25"),
            c => uri.push(c),
        }
    }
    // Two slashes in front would begin a host name.
    if let Some(rest) = uri.strip_prefix("file://") {
        uri = format!("file:///{}", rest.trim_start_matches('/'));
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A look changes no byte and leaves nothing, whatever the file is called.
    #[test]
    fn a_look_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.cairn", "a b?c#d%41.cairn"] {
            let path = folder.path().join(name);
            let store = Store::open(&path, &Options::default()).unwrap();
            store.write_blocking(|unit| unit.set_meta_text("kept", name)).unwrap();
            drop(store);
            let (before, beside) = (std::fs::read(&path).unwrap(), names(folder.path()));
            let archive = Archive::open(&path).unwrap();
            assert!(!archive.is_in_use());
            let kept = archive.read(|view| view.meta_text("kept")).unwrap();
            assert_eq!(kept.as_deref(), Some(name));
            let refused = Store::open(&path, &Options::default()).unwrap_err();
            assert!(matches!(refused, StoreError::InUse { .. }), "nobody writes meanwhile");
            drop(archive);
            assert_eq!(std::fs::read(&path).unwrap(), before);
            assert_eq!(names(folder.path()), beside);
        }
    }

    /// What is only in the log of a killed process is seen, and the log is not touched; so is what another one is writing.
    #[test]
    fn a_log_is_read_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let store = Store::open(&path, &Options::default()).unwrap();
        store.write_blocking(|unit| unit.set_meta_text("kept", "yes")).unwrap();
        let found = folder.path().join("found.cairn");
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&path, suffix), beside(&found, suffix)).unwrap();
        }
        let before = std::fs::read(beside(&found, "-wal")).unwrap();
        assert!(!before.is_empty());
        for (looked_at, in_use) in [(&path, true), (&found, false)] {
            let archive = Archive::open(looked_at).unwrap();
            assert_eq!(archive.is_in_use(), in_use);
            let kept = archive.read(|view| view.meta_text("kept")).unwrap();
            assert_eq!(kept.as_deref(), Some("yes"));
        }
        assert_eq!(std::fs::read(beside(&found, "-wal")).unwrap(), before);
        assert!(!beside(&found, "-shm").exists());
        store.write_blocking(|unit| unit.set_meta_text("more", "yes")).unwrap();
    }
}
