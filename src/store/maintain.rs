//! Looking over a whole file: integrity, counts.

use rusqlite::Connection;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub counts: Counts,
    /// Records of every type that has some, by type.
    pub types: Vec<TypeSize>,
    pub faults: Vec<String>,
    /// SHA-256 over the blobs' hashes, the records' states and the journal, in order. Of a file with faults it says nothing.
    pub digest: String,
}

/// Faults after which a verification stops listing more.
const FAULTS_MAX: usize = 100;

type Check = fn(&View<'_>, &mut Verification, &dyn Fn() -> bool) -> Result<()>;

/// What a verification looks at, in order.
const STAGES: &[(&str, Check)] = &[
    ("counts", |view, found, cancelled| view.verify_counts(found, cancelled)),
    ("pages and indexes", |view, found, cancelled| view.verify_pages(found, cancelled)),
    ("references", |view, found, cancelled| view.verify_references(found, cancelled)),
    ("records", |view, found, cancelled| view.verify_records(found, cancelled)),
    ("blobs", |view, found, cancelled| view.verify_blobs(found, cancelled)),
    ("digest", |view, found, cancelled| view.verify_digest(found, cancelled)),
];

/// Records of every type that has some, by type.
pub(super) fn type_sizes(connection: &Connection) -> Result<Vec<TypeSize>> {
    let mut statement = connection.prepare(
        "SELECT c.name || '@' || t.version, s.records, s.deleted
           FROM (SELECT type, count(*) - count(deleted_at) AS records, count(deleted_at) AS deleted
                   FROM record
                  GROUP BY type) s
           JOIN type t ON t.id = s.type
           JOIN collection c ON c.id = t.collection
          ORDER BY c.name, t.version",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(TypeSize { type_id: row.get(0)?, records: row.get(1)?, deleted_records: row.get(2)? })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Adds every row to the digest: the first columns are numbers, those up to `columns.1` texts, each ended by its length.
fn digest_rows(
    connection: &Connection,
    sql: &str,
    columns: (usize, usize),
    digest: &mut crypto::Sha256,
) -> Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns.0 {
            digest.update(&row.get::<_, i64>(column)?.to_be_bytes());
        }
        for column in columns.0..columns.1 {
            let text = row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?;
            digest.update(text);
            digest.update(&(text.len() as u64).to_be_bytes());
        }
    }
    Ok(())
}

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
        type_sizes(self.connection)
    }

    /// Checks everything that can be checked: pages, indexes, foreign keys, every blob's bytes, the content of every record,
    /// versions without a gap. `progress` is told what is being looked at.
    pub fn verify(&self, progress: impl FnMut(&str)) -> Result<Verification> {
        self.verify_until(progress, &|| false)
    }

    /// As [`View::verify`]; ends with [`StoreError::Cancelled`] once `cancelled` says so.
    pub(super) fn verify_until(
        &self,
        mut progress: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Verification> {
        let mut found = Verification::default();
        for (stage, check) in STAGES {
            progress(stage);
            if cancelled() {
                return Err(StoreError::Cancelled);
            }
            match check(self, &mut found, cancelled) {
                // What cannot be read is what this looks for; the rest is still looked at.
                Err(error @ (StoreError::Damaged(_) | StoreError::Sqlite(_))) => {
                    found.fault(format!("{stage}: {error}"));
                }
                other => other?,
            }
        }
        Ok(found)
    }

    fn verify_counts(&self, found: &mut Verification, _: &dyn Fn() -> bool) -> Result<()> {
        found.counts = self.counts()?;
        found.types = self.type_sizes()?;
        Ok(())
    }

    fn verify_pages(&self, found: &mut Verification, _: &dyn Fn() -> bool) -> Result<()> {
        self.list_faults("PRAGMA integrity_check(100)", "integrity", found)
    }

    fn verify_references(&self, found: &mut Verification, _: &dyn Fn() -> bool) -> Result<()> {
        self.list_faults(
            "SELECT 'row ' || rowid || ' of ' || \"table\" FROM pragma_foreign_key_check",
            "reference",
            found,
        )
    }

    fn verify_records(&self, found: &mut Verification, _: &dyn Fn() -> bool) -> Result<()> {
        self.list_faults(
            "SELECT 'record ' || rid || ' holds no JSON object' FROM record
              WHERE NOT json_valid(content) OR json_type(content) <> 'object' LIMIT 100",
            "record",
            found,
        )?;
        self.list_faults(
            "SELECT 'version ' || version || ' of record ' || rid || ' is no JSON' FROM change
              WHERE replaced IS NOT NULL AND NOT json_valid(replaced) LIMIT 100",
            "history",
            found,
        )
    }

    fn verify_blobs(&self, found: &mut Verification, cancelled: &dyn Fn() -> bool) -> Result<()> {
        self.list_faults(
            "SELECT 'a piece of an unknown blob: ' || id FROM blob_chunk
              WHERE (id >> 20) NOT IN (SELECT id FROM blob) LIMIT 100",
            "blob",
            found,
        )?;
        let mut after = 0;
        loop {
            let page = self.blobs_after(after, 100)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for blob in &page {
                if cancelled() {
                    return Err(StoreError::Cancelled);
                }
                match self.blob_fault(blob) {
                    Err(StoreError::Damaged(reason)) => {
                        found.fault(format!("blob {} cannot be read: {reason}", blob.hash));
                    }
                    other => other?.into_iter().for_each(|fault| found.fault(fault)),
                }
            }
        }
    }

    fn verify_digest(&self, found: &mut Verification, _: &dyn Fn() -> bool) -> Result<()> {
        let mut digest = crypto::Sha256::new();
        let mut after = 0;
        loop {
            let page = self.blobs_after(after, 100)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            page.iter().for_each(|blob| digest.update(blob.hash.as_bytes()));
        }
        digest_rows(
            self.connection,
            "SELECT rid, version, type, coalesce(deleted_at, 0), created_at, content, coalesce(permissions, ''),
                    coalesce(associations, ''), coalesce(alias, ''), coalesce(parent, '')
               FROM record
              ORDER BY rid",
            (5, 10),
            &mut digest,
        )?;
        digest_rows(
            self.connection,
            "SELECT tx, rid, version, op, coalesce(replaced, '') FROM change ORDER BY seq",
            (4, 5),
            &mut digest,
        )?;
        found.digest = crypto::hex(&digest.finish());
        Ok(())
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
    pub(super) fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(text);
        }
    }
}
