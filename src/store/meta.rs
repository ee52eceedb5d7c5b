//! Settings and counters of the file itself.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

impl View<'_> {
    pub fn meta_text(&self, key: &str) -> Result<Option<String>> {
        Ok(self
            .prepare("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }

    pub fn meta_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .prepare("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }
}

impl Unit<'_> {
    pub fn set_meta_text(&mut self, key: &str, value: &str) -> Result<()> {
        self.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute((key, value))?;
        Ok(())
    }

    pub fn set_meta_bytes(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute((key, value))?;
        Ok(())
    }

    pub fn remove_meta(&mut self, key: &str) -> Result<()> {
        self.prepare("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
        Ok(())
    }
}
