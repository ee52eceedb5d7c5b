//! Looking over a whole file: integrity, counts, copies.

use std::path::Path;

use super::Store;
use super::blob::CHUNK_BYTES;
use super::error::{Result, StoreError};
use super::view::View;
use crate::crypto;

/// How much is in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub types: i64,
    pub records: i64,
    pub deleted_records: i64,
    pub changes: i64,
    pub versions: i64,
    pub associations: i64,
    pub blobs: i64,
    pub blob_bytes: i64,
    pub tokens: i64,
    pub file_bytes: i64,
    pub free_bytes: i64,
    pub last_tx: i64,
}

/// How many records a type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSize {
    pub type_id: String,
    pub records: i64,
    pub deleted_records: i64,
}

/// What a verification found. `faults` empty: the file is sound.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    pub counts: Counts,
    pub faults: Vec<String>,
    /// SHA-256 over the blobs' hashes, the records' states and the journal, in order.
    pub digest: String,
}

/// Faults after which a verification stops listing more.
const FAULTS_MAX: usize = 100;

impl View<'_> {
    pub fn counts(&self) -> Result<Counts> {
        let one =
            |sql: &str| -> Result<i64> { Ok(self.prepare(sql)?.query_row([], |row| row.get(0))?) };
        let page: i64 = one("PRAGMA page_size")?;
        Ok(Counts {
            types: one("SELECT count(*) FROM type")?,
            records: one("SELECT count(*) FROM record WHERE deleted_at IS NULL")?,
            deleted_records: one("SELECT count(*) FROM record WHERE deleted_at IS NOT NULL")?,
            changes: one("SELECT count(*) FROM change")?,
            versions: one("SELECT count(*) FROM change WHERE replaced IS NOT NULL")?,
            associations: one("SELECT count(*) FROM association WHERE kind < 3")?,
            blobs: one("SELECT count(*) FROM blob WHERE hash IS NOT NULL")?,
            blob_bytes: one("SELECT coalesce(sum(size), 0) FROM blob WHERE hash IS NOT NULL")?,
            tokens: one("SELECT count(*) FROM token")?,
            file_bytes: one("PRAGMA page_count")? * page,
            free_bytes: one("PRAGMA freelist_count")? * page,
            last_tx: one("SELECT coalesce((SELECT tx FROM change ORDER BY seq DESC LIMIT 1), 0)")?,
        })
    }

    /// Records of every type that has some, by type. Reads the whole table of records: for query threads.
    pub fn type_sizes(&self) -> Result<Vec<TypeSize>> {
        let mut statement = self.prepare(
            "SELECT c.name || '@' || t.version, s.records, s.deleted
               FROM (SELECT type, count(*) - count(deleted_at) AS records, count(deleted_at) AS deleted
                       FROM record
                      GROUP BY type) s
               JOIN type t ON t.id = s.type
               JOIN collection c ON c.id = t.collection
              ORDER BY c.name, t.version",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(TypeSize {
                type_id: row.get(0)?,
                records: row.get(1)?,
                deleted_records: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    /// Checks everything that can be checked: pages, indexes, foreign keys, every blob's bytes, the content of every record,
    /// versions without a gap. `progress` is told what is being looked at.
    pub fn verify(&self, mut progress: impl FnMut(&str)) -> Result<Verification> {
        let mut found = Verification { counts: self.counts()?, ..Verification::default() };
        progress("pages and indexes");
        self.list_faults("PRAGMA integrity_check(100)", "integrity", &mut found)?;
        progress("references");
        self.list_faults(
            "SELECT 'row ' || rowid || ' of ' || \"table\" FROM pragma_foreign_key_check",
            "reference",
            &mut found,
        )?;
        progress("records");
        self.list_faults(
            "SELECT 'record ' || rid || ' holds no JSON object' FROM record
              WHERE NOT json_valid(content) OR json_type(content) <> 'object' LIMIT 100",
            "record",
            &mut found,
        )?;
        self.list_faults(
            "SELECT 'version ' || version || ' of record ' || rid || ' is no JSON' FROM change
              WHERE replaced IS NOT NULL AND NOT json_valid(replaced) LIMIT 100",
            "history",
            &mut found,
        )?;
        self.list_faults(
            "SELECT 'a piece of an unknown blob: ' || id FROM blob_chunk
              WHERE (id >> 20) NOT IN (SELECT id FROM blob) LIMIT 100",
            "blob",
            &mut found,
        )?;
        progress("blobs");
        let mut digest = crypto::Sha256::new();
        let mut after = 0;
        loop {
            let page = self.blobs_after(after, 100)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for blob in &page {
                if let Some(fault) = self.blob_fault(blob)? {
                    found.fault(fault);
                }
                digest.update(blob.hash.as_bytes());
            }
        }
        progress("digest");
        let mut statement = self.connection.prepare(
            "SELECT rid, version, type, coalesce(deleted_at, 0), content FROM record ORDER BY rid",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..4 {
                digest.update(&row.get::<_, i64>(column)?.to_be_bytes());
            }
            digest.update(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?.as_bytes());
        }
        let mut statement = self.connection.prepare(
            "SELECT tx, rid, version, op, coalesce(replaced, '') FROM change ORDER BY seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..4 {
                digest.update(&row.get::<_, i64>(column)?.to_be_bytes());
            }
            digest.update(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?.as_bytes());
        }
        found.digest = crypto::hex(&digest.finish());
        Ok(found)
    }

    fn list_faults(&self, sql: &str, what: &str, found: &mut Verification) -> Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            if text != "ok" {
                found.fault(format!("{what}: {text}"));
            }
        }
        Ok(())
    }

    fn blob_fault(&self, blob: &super::BlobRow) -> Result<Option<String>> {
        let mut hash = crypto::Sha256::new();
        let (mut bytes, mut number) = (0_i64, 0);
        while let Some(piece) = self.blob_piece(blob.id, number)? {
            bytes += i64::try_from(piece.len()).unwrap_or(0);
            hash.update(&piece);
            number += 1;
            if piece.len() < CHUNK_BYTES {
                break;
            }
        }
        let is = crypto::hex(&hash.finish());
        Ok((is != blob.hash || bytes != blob.size).then(|| {
            format!(
                "blob {} holds {bytes} bytes with hash {is}, expected {} bytes",
                blob.hash, blob.size
            )
        }))
    }
}

impl Verification {
    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(text);
        }
    }
}

impl Store {
    /// Copies the file as it is at one moment to `target`, which must not exist, while writing goes on. The copy has mode 0600
    /// and is a stack file of its own. `progress` gets pages left and pages in all.
    pub fn copy_to(&self, target: &Path, mut progress: impl FnMut(i32, i32)) -> Result<()> {
        if target.exists() {
            return Err(StoreError::Refused(format!("{} exists already", target.display())));
        }
        drop(super::lock::open_private(target)?);
        let source = self.inner.shared.take_reader()?;
        let mut copy = super::open::open_copy(target)?;
        {
            // One read snapshot for the whole copy: what is written meanwhile does not restart it.
            source.execute_batch("BEGIN; SELECT count(*) FROM meta;")?;
            let backup = rusqlite::backup::Backup::new(&source, &mut copy)?;
            loop {
                let state = backup.step(256)?;
                let at = backup.progress();
                progress(at.remaining, at.pagecount);
                if state == rusqlite::backup::StepResult::Done {
                    break;
                }
                std::thread::yield_now();
            }
        }
        source.execute_batch("COMMIT")?;
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        drop(copy);
        self.inner.shared.give_back(source);
        Ok(())
    }
}
