//! The folder of backups: names, receipts, how many are kept.
//!
//! Beside each backup lies a receipt, `NAME.json`: what it holds, its SHA-256, when it was last verified. The newest backup that
//! was written elsewhere has the receipt `elsewhere.json`.
//!
//! Knows names and JSON. Does not know how a backup is made or what is in one.
//!
//! Invariants
//! F1. Only names that this program gives are listed, opened or removed: no other file of the folder is touched, and no name
//!     leads out of it.
//! F2. The newest backup that was found sound is never removed for being old.
//! F3. The folder and everything in it are private (SECURITY S65).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::remove_abandoned;
use crate::util::time;

/// Backups listed at most.
const LISTED_MAX: usize = 1_000;
/// Backups made within one second.
const SAME_SECOND_MAX: u32 = 100;
const ENDING: &str = ".cairn";
const ELSEWHERE: &str = "elsewhere";
/// Faults kept in a receipt.
const FAULTS_MAX: usize = 10;

/// Records of one type in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupType {
    pub type_id: String,
    pub records: i64,
    pub deleted_records: i64,
}

/// What is known of a backup. Instants are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Its name in the folder; a whole path when it was written elsewhere.
    pub name: String,
    pub at: i64,
    /// The newest unit it holds.
    pub tx: i64,
    pub bytes: u64,
    /// Of the file, in hex.
    pub sha256: String,
    /// Of what it holds, as `cairn verify` prints it.
    pub digest: String,
    pub verified_at: i64,
    /// Whether it was found whole then.
    pub sound: bool,
    #[serde(default)]
    pub faults: Vec<String>,
    pub records: i64,
    pub deleted_records: i64,
    pub versions: i64,
    pub files: i64,
    pub file_bytes: i64,
    pub types: Vec<BackupType>,
}

/// A backup in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupEntry {
    pub name: String,
    pub bytes: u64,
    /// When it was made, as its name says.
    pub at: i64,
    /// Missing when the file came from somewhere else and was not verified yet.
    pub receipt: Option<Receipt>,
}

/// Where the backups of one stack file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFolder {
    path: PathBuf,
    stem: String,
}

impl BackupFolder {
    /// The configured folder, or `FILE-backups` beside the file.
    #[must_use]
    pub fn of(file: &Path, configured: Option<&Path>) -> Self {
        let path = configured.map_or_else(
            || {
                let mut name = file.as_os_str().to_owned();
                name.push("-backups");
                PathBuf::from(name)
            },
            Path::to_owned,
        );
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
        let stem: String = stem.unwrap_or_default().chars().take(80).map(plain).collect();
        Self { path, stem: if stem.is_empty() { "stack".to_owned() } else { stem } }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, private.
    pub fn prepare(&self) -> std::io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path)
    }

    /// A name for a backup of this moment that no file has.
    ///
    /// # Errors
    /// When a hundred were made within this second.
    pub fn free_name(&self, now_ms: i64) -> std::io::Result<String> {
        let stamp: String =
            time::format_ms(now_ms).chars().filter(|c| !"-:".contains(*c)).take(15).collect();
        for number in 1..=SAME_SECOND_MAX {
            let again = if number == 1 { String::new() } else { format!("-{number}") };
            let name = format!("{}-{stamp}Z{again}{ENDING}", self.stem);
            if !self.path.join(&name).exists() {
                return Ok(name);
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }

    /// The backup of this name, when the name is one of ours and there is such a file.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        instant_of(name)?;
        let path = self.path.join(name);
        // A link could lead anywhere.
        path.symlink_metadata().is_ok_and(|found| found.is_file()).then_some(path)
    }

    /// Every backup, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<BackupEntry> {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return Vec::new() };
        let mut names: Vec<(i64, String)> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some((instant_of(&name)?, name)))
            .collect();
        names.sort_by(|a, b| (b.0, b.1.len(), &b.1).cmp(&(a.0, a.1.len(), &a.1)));
        let entry = |(at, name): (i64, String)| {
            let bytes = self.find(&name)?.metadata().ok()?.len();
            let receipt = self.receipt(&name);
            Some(BackupEntry { bytes, at, receipt, name })
        };
        names.into_iter().filter_map(entry).take(LISTED_MAX).collect()
    }

    /// One backup.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<BackupEntry> {
        let bytes = self.find(name)?.metadata().ok()?.len();
        let (at, receipt) = (instant_of(name)?, self.receipt(name));
        Some(BackupEntry { name: name.to_owned(), bytes, at, receipt })
    }

    fn receipt(&self, name: &str) -> Option<Receipt> {
        let text = std::fs::read(self.path.join(format!("{name}.json"))).ok()?;
        let receipt: Receipt = serde_json::from_slice(&text).ok()?;
        (receipt.name == name || name == ELSEWHERE).then_some(receipt)
    }

    /// The newest backup that was found sound, elsewhere or here.
    #[must_use]
    pub fn last_sound(&self) -> Option<Receipt> {
        let here = self.list().into_iter().filter_map(|entry| entry.receipt);
        here.chain(self.receipt(ELSEWHERE))
            .filter(|receipt| receipt.sound)
            .max_by_key(|receipt| receipt.at)
    }

    /// The newest backup in the folder, whatever is known of it.
    #[must_use]
    pub fn newest(&self) -> Option<BackupEntry> {
        self.list().into_iter().next()
    }

    /// Stores what is known of a backup.
    pub fn write_receipt(&self, receipt: &Receipt) -> std::io::Result<()> {
        self.prepare()?;
        let here = instant_of(&receipt.name).is_some();
        let name = if here { receipt.name.as_str() } else { ELSEWHERE };
        let mut kept = receipt.clone();
        kept.faults.truncate(FAULTS_MAX);
        let text = serde_json::to_vec_pretty(&kept)?;
        let (path, part) =
            (self.path.join(format!("{name}.json")), self.path.join(format!("{name}.json.part")));
        let _ = std::fs::remove_file(&part);
        let mut file = make_private(&part)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&part, &path)
    }

    /// Removes a backup and its receipt.
    pub fn remove(&self, name: &str) -> std::io::Result<()> {
        let Some(path) = self.find(name) else { return Err(std::io::ErrorKind::NotFound.into()) };
        std::fs::remove_file(path)?;
        let _ = std::fs::remove_file(self.path.join(format!("{name}.json")));
        Ok(())
    }

    /// Removes the oldest backups past `keep`; gives their names.
    pub fn keep_newest(&self, keep: usize) -> Vec<String> {
        let all = self.list();
        let sound = |entry: &&BackupEntry| entry.receipt.as_ref().is_some_and(|r| r.sound);
        let newest_sound = all.iter().find(sound).map(|entry| entry.name.clone());
        let mut removed = Vec::new();
        for entry in all.iter().skip(keep.max(1)) {
            if Some(&entry.name) != newest_sound.as_ref() && self.remove(&entry.name).is_ok() {
                removed.push(entry.name.clone());
            }
        }
        removed
    }

    /// Takes away what processes that were killed left half-written.
    pub fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            let half = name.strip_suffix(".part").is_some_and(|whole| {
                instant_of(whole.strip_suffix(".json").unwrap_or(whole)).is_some()
            });
            if half {
                remove_abandoned(&self.path.join(name));
            }
        }
    }
}

/// When a backup was made, by its name `stem-20240131T120000Z.cairn` or `…Z-2.cairn`; `None` for any other name.
fn instant_of(name: &str) -> Option<i64> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let stem = name.strip_suffix(ENDING).filter(|stem| stem.len() <= 120)?;
    if !stem.chars().all(plain) {
        return None;
    }
    let (before, again) = stem.rsplit_once('Z')?;
    let number = again.is_empty() || again.strip_prefix('-')?.parse::<u32>().is_ok();
    let (stem, stamp) = before.rsplit_once('-')?;
    if !number || stem.is_empty() || stamp.len() != 15 || !stamp.is_ascii() {
        return None;
    }
    let (date, clock) = stamp.split_once('T').filter(|(date, _)| date.len() == 8)?;
    time::parse_instant(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &clock[..2],
        &clock[2..4],
        &clock[4..]
    ))
}

fn make_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(name: &str, at: i64, sound: bool) -> Receipt {
        Receipt {
            name: name.to_owned(),
            at,
            tx: 1,
            bytes: 1,
            sha256: String::new(),
            digest: String::new(),
            verified_at: at,
            sound,
            faults: Vec::new(),
            records: 0,
            deleted_records: 0,
            versions: 0,
            files: 0,
            file_bytes: 0,
            types: Vec::new(),
        }
    }

    #[test]
    fn names_are_ours_or_nobodys() {
        let at = 1_704_067_200_000;
        for (name, is) in [
            ("stack-20240101T000000Z.cairn", Some(at)),
            ("my-stack-20240101T000000Z-2.cairn", Some(at)),
            ("stack.cairn", None),
            ("stack-20240101T000000Z", None),
            ("-20240101T000000Z.cairn", None),
            ("stack-20240101T000000Z-x.cairn", None),
            ("stack-20241301T000000Z.cairn", None),
            ("stack-2024010100000000.cairn", None),
            ("../stack-20240101T000000Z.cairn", None),
            ("a/stack-20240101T000000Z.cairn", None),
            ("stack-2024é01T00000Z.cairn", None),
            ("", None),
        ] {
            assert_eq!(instant_of(name), is, "{name}");
        }
    }

    /// The newest are kept, and the newest that is known to be sound whatever its age; other files are not looked at.
    #[test]
    fn old_ones_go_and_the_sound_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = BackupFolder::of(&home.path().join("a b.cairn"), None);
        folder.prepare().unwrap();
        let mut names = Vec::new();
        for second in 0..5 {
            let at = 1_704_067_200_000 + second * 1_000;
            let name = folder.free_name(at).unwrap();
            std::fs::write(folder.path().join(&name), "x").unwrap();
            folder.write_receipt(&receipt(&name, at, second < 2)).unwrap();
            names.push(name);
        }
        assert_eq!(names[0], "a_b-20240101T000000Z.cairn");
        let same_second = folder.free_name(1_704_067_200_001).unwrap();
        assert_eq!(same_second, "a_b-20240101T000000Z-2.cairn");
        std::fs::write(folder.path().join("notes.cairn"), "mine").unwrap();
        std::fs::write(folder.path().join(format!("{}.part", names[0])), "half").unwrap();
        folder.write_receipt(&receipt("/elsewhere/x.cairn", 5, true)).unwrap();
        assert_eq!(folder.last_sound().unwrap().name, names[1]);
        assert_eq!(folder.keep_newest(2), [names[2].clone(), names[0].clone()]);
        let left: Vec<String> = folder.list().into_iter().map(|entry| entry.name).collect();
        assert_eq!(left, [names[4].clone(), names[3].clone(), names[1].clone()]);
        assert!(folder.find("notes.cairn").is_none() && folder.remove("notes.cairn").is_err());
        folder.sweep();
        assert!(folder.path().join("notes.cairn").exists());
        assert!(!folder.path().join(format!("{}.part", names[0])).exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(folder.path()), 0o700);
            assert_eq!(mode(&folder.path().join(format!("{}.json", names[4]))), 0o600);
        }
    }
}
