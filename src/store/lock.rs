//! One process per file, by an advisory lock that the operating system drops with the process.
//!
//! On Linux the lock is `flock` on the database file itself: independent of the record locks SQLite takes, and no lock file
//! can stay behind. Elsewhere the two kinds may collide, so a file beside it carries the lock.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::error::{Result, StoreError};

#[derive(Debug)]
pub(crate) struct FileLock {
    // Closing any descriptor of a file drops the process's record locks on it, so this one is opened before SQLite opens the
    // file and closed after.
    _file: File,
    beside: Option<PathBuf>,
}

/// How often a file may be replaced under a process that is about to lock it.
const REPLACED_MAX: u32 = 8;

impl FileLock {
    /// The lock of the one process that may write.
    pub(crate) fn acquire(path: &Path) -> Result<Self> {
        for _ in 0..REPLACED_MAX {
            let beside = lock_file(path);
            let file = open_private(beside.as_deref().unwrap_or(path))?;
            match file.try_lock() {
                // A restore may have put another file there between opening and locking.
                Ok(()) if beside.is_some() || is_at(&file, path)? => {
                    return Ok(Self { _file: file, beside });
                }
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Err(in_use(path, &file)),
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Refused(format!("{} is replaced over and over", path.display())))
    }

    /// Keeps everybody from writing while a file is looked at, without changing anything. `None`: somebody has the file.
    pub(crate) fn share(path: &Path) -> Result<Option<Self>> {
        let beside = lock_file(path);
        let file = match &beside {
            None => File::open(path)?,
            // Where no file can be made, none can be written either.
            Some(beside) => match open_private(beside) {
                Ok(file) => file,
                Err(_) => return Ok(Some(Self { _file: File::open(path)?, beside: None })),
            },
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file, beside })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl FileLock {
    /// Whether the lock is on a file beside the database, which stays when that is replaced.
    pub(crate) fn is_beside(&self) -> bool {
        self.beside.is_some()
    }
}

/// The file that carries the lock where the database itself cannot.
fn lock_file(path: &Path) -> Option<PathBuf> {
    (!cfg!(target_os = "linux")).then(|| super::open::beside(path, "-lock"))
}

/// The refusal that names who has the file.
fn in_use(path: &Path, file: &File) -> StoreError {
    StoreError::InUse { path: path.display().to_string(), holder: holder(file) }
}

/// Whether `path` still is this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let held = file.metadata()?;
    Ok(std::fs::metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (held.dev(), held.ino())))
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> Result<bool> {
    Ok(true)
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Some(path) = &self.beside {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens or makes a file that only its owner may read.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    Ok(options.open(path)?)
}

/// Which process holds the lock, as far as the system tells.
#[cfg(target_os = "linux")]
fn holder(file: &File) -> String {
    use std::os::unix::fs::MetadataExt;
    let unknown = || "another process".to_owned();
    let Ok(metadata) = file.metadata() else { return unknown() };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return unknown() };
    // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"
    let inode = format!(":{}", metadata.ino());
    locks
        .lines()
        .filter(|line| line.contains("FLOCK") && !line.contains("->"))
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let of = fields.get(5)?;
            of.ends_with(&inode).then(|| fields.get(4).copied()).flatten()
        })
        .next()
        .map_or_else(unknown, |pid| match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim()),
            Err(_) => format!("process {pid}"),
        })
}

#[cfg(not(target_os = "linux"))]
fn holder(_file: &File) -> String {
    "another process".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second holder learns who has the file; the lock ends with the first.
    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let first = FileLock::acquire(&path).unwrap();
        let refused = FileLock::acquire(&path).unwrap_err().to_string();
        assert!(refused.contains("in use by"), "{refused}");
        if cfg!(target_os = "linux") {
            assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        }
        drop(first);
        FileLock::acquire(&path).unwrap();
    }
}
