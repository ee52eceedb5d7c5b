//! The full-text index: exact at once, written in the same unit as the record.

use super::error::Result;
use super::writer::Unit;

impl Unit<'_> {
    /// Indexes the words of a record. `text` is made by `schema::words::text_of`; empty: the record leaves the index.
    pub fn set_search_text(&mut self, rid: i64, text: &str, was_indexed: bool) -> Result<()> {
        if was_indexed {
            self.prepare("DELETE FROM search WHERE rowid = ?1")?.execute([rid])?;
        }
        if !text.is_empty() {
            self.prepare("INSERT INTO search (rowid, text) VALUES (?1, ?2)")?
                .execute((rid, text))?;
        }
        Ok(())
    }
}
