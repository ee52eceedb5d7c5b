//! What can still be read of a damaged file, page by page.
//!
//! SQLite follows a tree from its root and stops at the first page that makes no sense, so one overwritten page near the root
//! hides everything below it. Here every page is looked at by itself: first those that the trees still lead to, then every
//! other page that looks like rows of one of our tables, unless the file says that it is free. A log beside the file is read
//! as far as its checksums hold.
//!
//! Source: "Database File Format" of the SQLite documentation, sections 1.2 to 1.6 and 4.
//!
//! Invariants
//! S1. The damaged file and its log are only read.
//! S2. Nothing from the file is trusted: every length and number is checked before it is used.
//! S3. A blob is kept only when its bytes have its hash; of a record the newest version found is kept.
//! S4. Whatever is left out is counted and said.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use rusqlite::Connection;

use super::backup::{self, BackupStage, Cancel, Part};
use super::blob::CHUNK_BYTES;
use super::error::{Result, StoreError};
use super::open::{self, beside};
use super::restore::Staging;
use super::{Archive, migrate};
use crate::crypto;

/// Payloads beyond this are no rows of ours (SECURITY S56).
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Lost blobs that are listed by name.
const LISTED_MAX: usize = 1_000;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Tables whose rows are found page by page, with the number of their columns.
const TABLES: [(&str, usize); 7] = [
    ("collection", 3),
    ("type", 9),
    ("name", 2),
    ("record", 15),
    ("change", 9),
    ("blob", 4),
    ("blob_chunk", 2),
];
/// Small tables that are copied as a whole, as far as SQLite still reads them.
const WHOLE: [&str; 4] = ["meta", "account", "recovery_code", "token"];

/// What was saved and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    pub pages: u64,
    /// Pages that hold neither rows of a known table nor anything else that a sound file has.
    pub pages_damaged: u64,
    pub records: i64,
    pub versions: i64,
    pub blobs: i64,
    /// Hashes of blobs whose bytes are not all there.
    pub blobs_lost: Vec<String>,
    /// Types whose description is lost; their records have a type that says so.
    pub types_lost: i64,
    /// Small tables that could not be read to their end.
    pub tables_lost: Vec<&'static str>,
}

impl Staging {
    /// Builds a new stack file of everything that can be read of `source`. What is derived (search, associations, chosen ids) is
    /// not in it yet.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when nothing of ours is in the file, [`StoreError::Cancelled`], faults of the disk.
    pub fn salvage(
        source: &Path,
        target: &Path,
        cancel: &Cancel,
        progress: &mut dyn FnMut(BackupStage),
    ) -> Result<(Self, Salvaged)> {
        let part = Part::begin(target)?;
        let copy = open::open_copy(&part.path)?;
        copy.pragma_update(None, "journal_mode", "OFF")?;
        copy.pragma_update(None, "synchronous", "OFF")?;
        migrate::create(&copy)?;
        copy.pragma_update(None, "foreign_keys", false)?;
        let mut saved = Salvaged::default();
        let mut pages = Pages::open(source)?;
        saved.pages = pages.count;
        copy.execute_batch("BEGIN")?;
        pages.scan(&copy, cancel, progress, &mut saved)?;
        whole_tables(source, &copy, &mut saved);
        settle(&copy, cancel, &mut saved)?;
        backup::unlabel(&copy)?;
        copy.execute_batch("COMMIT")?;
        drop(copy);
        if saved.records == 0 && saved.versions == 0 && saved.blobs == 0 {
            return Err(StoreError::Refused(format!(
                "{} holds nothing that can be read; restore a backup",
                source.display()
            )));
        }
        Ok((Self::unverified(part), saved))
    }
}

/// Whose rows a page holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Unknown,
    /// Free, or part of something that needs no saving.
    Other,
    Leaf(usize),
}

/// A damaged file, page by page, with what its log says about them.
struct Pages {
    file: File,
    page_bytes: usize,
    usable: usize,
    count: u64,
    /// Pages of the log, by number: where their newest content is.
    logged: HashMap<u64, u64>,
    log: Option<File>,
}

#[derive(Debug)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Other,
}

struct Row {
    rowid: i64,
    cells: Vec<Cell>,
}

impl Pages {
    fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut header = [0; 100];
        let known = file.read_exact(&mut header).is_ok();
        let size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let plain = known && size.is_power_of_two() && size >= 512;
        // This program writes pages of 4096 bytes.
        let page_bytes = if plain { size } else { 4_096 };
        let reserved = if plain { usize::from(header[20]) } else { 0 };
        let usable = page_bytes.saturating_sub(reserved).max(480);
        let count = bytes.div_ceil(page_bytes as u64);
        let mut pages = Self { file, page_bytes, usable, count, logged: HashMap::new(), log: None };
        pages.read_log(&beside(path, "-wal"));
        Ok(pages)
    }

    /// Finds the pages of every commit that is whole in the log. A log that makes no sense is no log.
    fn read_log(&mut self, path: &Path) {
        let Ok(mut log) = File::open(path) else { return };
        let mut header = [0; LOG_HEADER];
        if log.read_exact(&mut header).is_err() {
            return;
        }
        let number = |bytes: &[u8], at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let big = match number(&header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return,
        };
        if number(&header, 8) as usize != self.page_bytes {
            return;
        }
        let mut sum = checksum((0, 0), &header[..24], big);
        if sum != (number(&header, 24), number(&header, 28)) {
            return;
        }
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        let mut at = LOG_HEADER as u64;
        let mut frame = vec![0; FRAME_HEADER + self.page_bytes];
        while log.read_exact(&mut frame).is_ok() {
            let (head, page) = frame.split_at(FRAME_HEADER);
            sum = checksum(checksum(sum, &head[..8], big), page, big);
            let whole = head[8..16] == header[16..24]
                && sum == (number(head, 16), number(head, 20))
                && number(head, 0) > 0;
            if !whole {
                break;
            }
            waiting.push((u64::from(number(head, 0)), at + FRAME_HEADER as u64));
            let pages_then = u64::from(number(head, 4));
            if pages_then > 0 {
                self.logged.extend(waiting.drain(..));
                self.count = self.count.max(pages_then);
            }
            at += frame.len() as u64;
        }
        self.log = Some(log);
    }

    /// A page by its number, from one on; `None` past the end.
    fn page(&mut self, number: u64) -> Option<Vec<u8>> {
        if number == 0 || number > self.count {
            return None;
        }
        let mut page = vec![0; self.page_bytes];
        match (self.logged.get(&number), &mut self.log) {
            (Some(at), Some(log)) => {
                log.seek(SeekFrom::Start(*at)).ok()?;
                log.read_exact(&mut page).ok()?;
            }
            _ => {
                self.file.seek(SeekFrom::Start((number - 1) * self.page_bytes as u64)).ok()?;
                self.file.read_exact(&mut page).ok()?;
            }
        }
        Some(page)
    }

    fn scan(
        &mut self,
        copy: &Connection,
        cancel: &Cancel,
        progress: &mut dyn FnMut(BackupStage),
        saved: &mut Salvaged,
    ) -> Result<()> {
        let total = self.count;
        let mut uses = vec![Use::Unknown; usize::try_from(total).unwrap_or(0) + 1];
        self.mark_free(&mut uses);
        let roots = self.roots(&mut uses);
        for (table, root) in roots {
            self.mark_tree(root, table, &mut uses);
        }
        // What the trees lead to comes first: a page that is only guessed may be older.
        for guess in [false, true] {
            for number in 1..=total {
                if number.is_multiple_of(256) {
                    progress(BackupStage::Copying { done: number, total });
                    if cancel.is_cancelled() {
                        return Err(StoreError::Cancelled);
                    }
                }
                let at = usize::try_from(number).unwrap_or(0);
                match (uses[at], guess) {
                    (Use::Leaf(table), false) => {
                        let Some(page) = self.page(number) else { continue };
                        for row in self.rows(&page, number, Some(&mut uses)) {
                            put(copy, table, &row)?;
                        }
                    }
                    (Use::Unknown, true) => {
                        let Some(page) = self.page(number) else {
                            saved.pages_damaged += 1;
                            continue;
                        };
                        let rows = self.rows(&page, number, None);
                        let mut known = plausible(&page);
                        for row in rows {
                            if let Some(table) = table_of(copy, &row)? {
                                known = true;
                                put(copy, table, &row)?;
                            }
                        }
                        saved.pages_damaged += u64::from(!known);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Pages that the file says are free: they may hold rows that were removed.
    fn mark_free(&mut self, uses: &mut [Use]) {
        let Some(first) = self.page(1) else { return };
        let mut trunk = u64::from(number_at(&first, 32));
        let mut left = self.count;
        while trunk > 0 && left > 0 {
            left -= 1;
            let Some(page) = self.page(trunk) else { return };
            match usize::try_from(trunk).ok().and_then(|at| uses.get_mut(at)) {
                Some(place) if *place == Use::Unknown => *place = Use::Other,
                _ => return,
            }
            let leaves = (number_at(&page, 4) as usize).min(self.usable / 4 - 2);
            for leaf in 0..leaves {
                if let Some(place) = uses.get_mut(number_at(&page, 8 + 4 * leaf) as usize) {
                    *place = Use::Other;
                }
            }
            trunk = u64::from(number_at(&page, 0));
        }
    }

    /// Where our tables begin, as the file's own list says.
    fn roots(&mut self, uses: &mut [Use]) -> Vec<(usize, u64)> {
        let mut roots = Vec::new();
        let mut pages = vec![1];
        let mut seen = HashSet::new();
        while let Some(number) = pages.pop() {
            if !seen.insert(number) {
                continue;
            }
            let Some(page) = self.page(number) else { continue };
            let start = if number == 1 { 100 } else { 0 };
            if let Some(place) = usize::try_from(number).ok().and_then(|at| uses.get_mut(at)) {
                *place = Use::Other;
            }
            match page[start] {
                5 => pages.extend(self.children(&page, start)),
                13 => {
                    for row in self.rows(&page, number, Some(uses)) {
                        let [Cell::Text(kind), Cell::Text(name), _, Cell::Int(root), _] =
                            row.cells.as_slice()
                        else {
                            continue;
                        };
                        let Ok(root) = u64::try_from(*root) else { continue };
                        match TABLES.iter().position(|(table, _)| table == name) {
                            Some(table) if kind == "table" => roots.push((table, root)),
                            // Nothing of it has to be guessed.
                            _ if root > 0 => self.mark_other(root, uses),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        roots
    }

    fn children(&self, page: &[u8], start: usize) -> Vec<u64> {
        let cells = usize::from(short_at(page, start + 3));
        let mut children = vec![u64::from(number_at(page, start + 8))];
        for cell in 0..cells.min(self.usable / 6) {
            let at = usize::from(short_at(page, start + 12 + 2 * cell));
            if at + 4 <= page.len() {
                children.push(u64::from(number_at(page, at)));
            }
        }
        children
    }

    fn mark_tree(&mut self, root: u64, table: usize, uses: &mut [Use]) {
        let mut pages = vec![root];
        while let Some(number) = pages.pop() {
            let at = usize::try_from(number).unwrap_or(0);
            if at == 0 || uses.get(at) != Some(&Use::Unknown) {
                continue;
            }
            let Some(page) = self.page(number) else { continue };
            match page[0] {
                5 => {
                    uses[at] = Use::Other;
                    pages.extend(self.children(&page, 0));
                }
                13 => uses[at] = Use::Leaf(table),
                // Overwritten: what it led to is guessed.
                _ => {}
            }
        }
    }

    fn mark_other(&mut self, root: u64, uses: &mut [Use]) {
        let mut pages = vec![root];
        while let Some(number) = pages.pop() {
            let at = usize::try_from(number).unwrap_or(0);
            if at == 0 || uses.get(at) != Some(&Use::Unknown) {
                continue;
            }
            let Some(page) = self.page(number) else { continue };
            match page[0] {
                2 | 5 => pages.extend(self.children(&page, 0)),
                10 | 13 => {}
                _ => continue,
            }
            uses[at] = Use::Other;
        }
    }

    /// The rows of a leaf of a table, as far as they make sense. Pages their ends lie on are marked.
    fn rows(&mut self, page: &[u8], number: u64, mut uses: Option<&mut [Use]>) -> Vec<Row> {
        let start = if number == 1 { 100 } else { 0 };
        if page[start] != 13 {
            return Vec::new();
        }
        let cells = usize::from(short_at(page, start + 3)).min(self.usable / 4);
        let mut rows = Vec::new();
        for cell in 0..cells {
            let pointer = start + 8 + 2 * cell;
            if pointer + 2 > page.len() {
                break;
            }
            let at = usize::from(short_at(page, pointer));
            if let Some(row) = self.row(page, at, uses.as_deref_mut()) {
                rows.push(row);
            }
        }
        rows
    }

    fn row(&mut self, page: &[u8], at: usize, uses: Option<&mut [Use]>) -> Option<Row> {
        let (bytes, used) = varint(page.get(at..)?)?;
        let length = usize::try_from(bytes).ok().filter(|length| *length <= PAYLOAD_BYTES_MAX)?;
        let (rowid, more) = varint(page.get(at + used..)?)?;
        let begin = at + used + more;
        // "The amount of payload that spills": section 1.6.
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = if length <= most {
            length
        } else {
            let fits = least + (length - least) % (self.usable - 4);
            if fits <= most { fits } else { least }
        };
        let mut payload = page.get(begin..begin + local)?.to_vec();
        if local < length {
            let first = u64::from(number_at(page.get(begin + local..begin + local + 4)?, 0));
            self.follow(first, length, &mut payload, uses)?;
        }
        Some(Row { rowid, cells: cells(&payload)? })
    }

    /// Appends the rest of a payload that spills over other pages.
    fn follow(
        &mut self,
        first: u64,
        length: usize,
        payload: &mut Vec<u8>,
        mut uses: Option<&mut [Use]>,
    ) -> Option<()> {
        let mut next = first;
        while payload.len() < length {
            let page = self.page(next)?;
            if let Some(uses) = uses.as_deref_mut()
                && let Some(place) = usize::try_from(next).ok().and_then(|at| uses.get_mut(at))
                && *place == Use::Unknown
            {
                *place = Use::Other;
            }
            next = u64::from(number_at(&page, 0));
            let part = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + part)?);
        }
        Some(())
    }
}

/// Whether a page that holds no row of ours may be one of a sound file: an index, a branch, an emptied page, the rest of a row.
fn plausible(page: &[u8]) -> bool {
    matches!(page[0], 0 | 2 | 5 | 10 | 13)
}

fn short_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(two) => u16::from_be_bytes([two[0], two[1]]),
        None => 0,
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(four) => u32::from_be_bytes([four[0], four[1], four[2], four[3]]),
        None => 0,
    }
}

/// A variable-length number and how many bytes it took.
fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value: u64 = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            value = (value << 8) | u64::from(*byte);
            return Some((value.cast_signed(), 9));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value.cast_signed(), at + 1));
        }
    }
    None
}

/// The columns of a row.
fn cells(payload: &[u8]) -> Option<Vec<Cell>> {
    let (header, mut at) = varint(payload)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= payload.len())?;
    let mut body = header;
    let mut cells = Vec::new();
    while at < header {
        let (kind, used) = varint(payload.get(at..header)?)?;
        at += used;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = payload.get(body..body.checked_add(size)?)?;
        body += size;
        cells.push(match kind {
            0 => Cell::Null,
            8 => Cell::Int(0),
            9 => Cell::Int(1),
            1..=6 => {
                let negative = bytes[0] & 0x80 != 0;
                let first = if negative { -1_i64 } else { 0 };
                Cell::Int(bytes.iter().fold(first, |value, byte| (value << 8) | i64::from(*byte)))
            }
            7 => Cell::Other,
            kind if kind % 2 == 0 => Cell::Blob(bytes.to_vec()),
            _ => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Cell::Text(text),
                Err(_) => Cell::Other,
            },
        });
    }
    Some(cells)
}

/// The log's running checksum, section 4.2.
fn checksum(from: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    let (mut a, mut b) = from;
    for eight in bytes.as_chunks::<8>().0 {
        let word = |four: [u8; 4]| {
            if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        a = a.wrapping_add(word([eight[0], eight[1], eight[2], eight[3]])).wrapping_add(b);
        b = b.wrapping_add(word([eight[4], eight[5], eight[6], eight[7]])).wrapping_add(a);
    }
    (a, b)
}

/// Whose row this is, by its columns alone.
fn table_of(copy: &Connection, row: &Row) -> Result<Option<usize>> {
    use Cell::{Blob, Int, Null, Text};
    let named = |name: &str| TABLES.iter().position(|(table, _)| *table == name);
    let hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Ok(match row.cells.as_slice() {
        [Null, Int(_), Int(_), Int(_), Int(_), Int(_), .., Text(content)]
            if row.cells.len() == 15 && content.starts_with('{') =>
        {
            named("record")
        }
        [
            Null,
            Int(_),
            Int(_),
            Int(_),
            Int(op),
            Int(_),
            Null | Int(_),
            Null | Int(_),
            Null | Text(_),
        ] if (0..100).contains(op) => named("change"),
        [Null, Int(_), Int(_), Text(_), Text(schema), Text(_), ..]
            if row.cells.len() == 9 && schema.starts_with('{') =>
        {
            named("type")
        }
        [Null, Text(text), Int(_), Int(_)] if hash(text) => named("blob"),
        [Null, Text(_), Null | Text(_)] => named("collection"),
        [Null, Text(text)] if text.starts_with("did:") => named("name"),
        // The index of the search has rows of this form as well: only pieces that a blob lacks are taken.
        [Null, Blob(bytes)] => {
            let size: Option<i64> = copy
                .query_row("SELECT size FROM blob WHERE id = ?1", [row.rowid >> 20], |row| {
                    row.get(0)
                })
                .ok();
            let piece = CHUNK_BYTES as i64;
            let before = (row.rowid & ((1 << 20) - 1)) * piece;
            let fits = |size: i64| bytes.len() as i64 == (size - before).min(piece);
            if size.is_some_and(fits) { named("blob_chunk") } else { None }
        }
        _ => None,
    })
}

/// Stores a row, unless the table has a newer one or it is none.
fn put(copy: &Connection, table: usize, row: &Row) -> Result<()> {
    let (name, columns) = TABLES[table];
    if row.cells.len() != columns || !matches!(row.cells[0], Cell::Null) {
        return Ok(());
    }
    let cell = |at: usize| -> rusqlite::types::Value {
        match &row.cells[at] {
            Cell::Int(number) => (*number).into(),
            Cell::Text(text) => text.clone().into(),
            Cell::Blob(bytes) => bytes.clone().into(),
            Cell::Null | Cell::Other => rusqlite::types::Value::Null,
        }
    };
    let values =
        std::iter::once(rusqlite::types::Value::from(row.rowid)).chain((1..columns).map(cell));
    // A row with a value of the wrong kind is refused by the strict table: it is no row of ours.
    let sql = match name {
        "collection" => {
            "INSERT OR IGNORE INTO collection (id, name, config) VALUES (?1, ?2, ?3)"
        }
        "name" => {
            "INSERT OR IGNORE INTO name (id, text) VALUES (?1, ?2)"
        }
        "type" => {
            "INSERT OR IGNORE INTO type (id, collection, version, name, schema, schema_hash, migrates_from, search,
                                             created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        }
        "record" => {
            "INSERT INTO record (rid, type, version, tx, created_at, updated_at, deleted_at, subject, principal, app, parent,
                                     alias, permissions, associations, content)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
                  WHERE json_valid(?15)
                 ON CONFLICT (rid) DO UPDATE
                    SET type = excluded.type, version = excluded.version, tx = excluded.tx,
                        created_at = excluded.created_at, updated_at = excluded.updated_at,
                        deleted_at = excluded.deleted_at, subject = excluded.subject, principal = excluded.principal,
                        app = excluded.app, parent = excluded.parent, alias = excluded.alias,
                        permissions = excluded.permissions, associations = excluded.associations,
                        content = excluded.content
                  WHERE excluded.version > record.version"
        }
        "change" => {
            "INSERT OR IGNORE INTO change (seq, tx, rid, version, op, at, actor, via, replaced)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, iif(json_valid(?9), ?9, NULL))"
        }
        "blob" => {
            "INSERT OR IGNORE INTO blob (id, hash, size, created_at) VALUES (?1, ?2, ?3, ?4)"
        }
        _ => {
            "INSERT OR IGNORE INTO blob_chunk (id, bytes) VALUES (?1, ?2)"
        }
    };
    let stored = copy.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values));
    match stored {
        Ok(_) => Ok(()),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies the small tables as far as SQLite reads them.
fn whole_tables(source: &Path, copy: &Connection, saved: &mut Salvaged) {
    let Ok(archive) = Archive::open(source) else {
        saved.tables_lost.extend(WHOLE);
        return;
    };
    for table in WHOLE {
        if copy_table(archive.connection(), copy, table).is_err() {
            saved.tables_lost.push(table);
        }
    }
}

fn copy_table(from: &Connection, to: &Connection, table: &str) -> Result<()> {
    // tidy: sql: the names are those of the constant list above
    let mut select = from.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let places = vec!["?"; columns].join(", ");
    // tidy: sql: the names are those of the constant list above
    let mut insert = to.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES ({places})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values: Vec<rusqlite::types::Value> =
            (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// Makes what was found consistent: blobs are whole or gone, every record has a type, no reference leads nowhere.
fn settle(copy: &Connection, cancel: &Cancel, saved: &mut Salvaged) -> Result<()> {
    let blobs: Vec<(i64, String, i64)> = copy
        .prepare("SELECT id, hash, size FROM blob WHERE hash IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, hash, size) in blobs {
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        if !is_whole(copy, id, &hash, size)? {
            copy.execute("DELETE FROM blob WHERE id = ?1", [id])?;
            if saved.blobs_lost.len() < LISTED_MAX {
                saved.blobs_lost.push(hash);
            }
        }
    }
    copy.execute_batch(
        "DELETE FROM blob WHERE hash IS NULL;
         DELETE FROM blob_chunk WHERE (id >> 20) NOT IN (SELECT id FROM blob);
         INSERT OR IGNORE INTO collection (id, name)
         SELECT DISTINCT collection, 'salvaged.collection' || collection
           FROM type
          WHERE collection NOT IN (SELECT id FROM collection);",
    )?;
    let lost: Vec<i64> = copy
        .prepare("SELECT DISTINCT type FROM record WHERE type NOT IN (SELECT id FROM type)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in lost {
        saved.types_lost += 1;
        let name = format!("salvaged.type{id}");
        copy.execute("INSERT INTO collection (name) VALUES (?1)", [&name])?;
        copy.execute(
            "INSERT INTO type (id, collection, version, name, schema, schema_hash, created_at)
             VALUES (?1, last_insert_rowid(), 1, ?2, '{}', '', 0)",
            (id, &name),
        )?;
    }
    copy.execute_batch(
        "UPDATE record SET subject = NULL WHERE subject NOT IN (SELECT id FROM name);
         UPDATE record SET principal = NULL WHERE principal NOT IN (SELECT id FROM name);
         UPDATE record SET app = NULL WHERE app NOT IN (SELECT id FROM name);
         UPDATE change SET actor = NULL WHERE actor NOT IN (SELECT id FROM name);
         UPDATE change SET via = NULL WHERE via NOT IN (SELECT id FROM name);
         DELETE FROM account WHERE rid NOT IN (SELECT rid FROM record);
         DELETE FROM recovery_code WHERE account NOT IN (SELECT rid FROM account);",
    )?;
    // Chosen ids are found through a table of their own, of two records with one the younger has it; the owner stands in the
    // settings record as well.
    copy.execute_batch(
        "INSERT OR IGNORE INTO alias (collection, id, rid)
         SELECT 0, alias, rid
           FROM record
          WHERE alias IN ('_config', '_rules')
             OR alias LIKE 'did:%'
          ORDER BY updated_at DESC;
         INSERT OR IGNORE INTO alias (collection, id, rid)
         SELECT t.collection, r.alias, r.rid
           FROM record r
           JOIN type t ON t.id = r.type
          WHERE r.alias IS NOT NULL
            AND r.deleted_at IS NULL
            AND r.alias NOT IN ('_config', '_rules')
            AND r.alias NOT LIKE 'did:%'
          ORDER BY r.updated_at DESC;
         INSERT OR IGNORE INTO meta (key, value)
         SELECT 'owner', json_extract(content, '$.entityId')
           FROM record
          WHERE alias = '_config'
            AND json_type(content, '$.entityId') = 'text';",
    )?;
    let count = |sql: &str| -> Result<i64> { Ok(copy.query_row(sql, [], |row| row.get(0))?) };
    saved.records = count("SELECT count(*) FROM record")?;
    saved.versions = count("SELECT count(*) FROM change WHERE replaced IS NOT NULL")?;
    saved.blobs = count("SELECT count(*) FROM blob")?;
    Ok(())
}

fn is_whole(copy: &Connection, id: i64, hash: &str, size: i64) -> Result<bool> {
    let mut digest = crypto::Sha256::new();
    let mut bytes = 0;
    let mut statement =
        copy.prepare_cached("SELECT bytes FROM blob_chunk WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
    let mut rows = statement.query((id << 20, (id + 1) << 20))?;
    while let Some(row) = rows.next()? {
        let piece = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
        bytes += i64::try_from(piece.len()).unwrap_or(0);
        digest.update(piece);
    }
    Ok(bytes == size && crypto::hex(&digest.finish()) == hash)
}
