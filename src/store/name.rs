//! Interned texts: DIDs and app names, stored once and kept in memory while they are in use.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rusqlite::OptionalExtension;

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// Row id in table `name`.
pub type NameId = i64;

/// Texts kept in memory; past that the memory is emptied and fills again.
const NAMES_CACHED_MAX: usize = 20_000;

#[derive(Debug, Default)]
struct Maps {
    text_of: HashMap<NameId, Arc<str>>,
    id_of: HashMap<Arc<str>, NameId>,
}

#[derive(Debug, Default)]
pub(crate) struct Names {
    maps: RwLock<Maps>,
}

impl Names {
    fn id_of(&self, text: &str) -> Option<NameId> {
        self.maps.read().expect("no holder of this lock panics").id_of.get(text).copied()
    }

    pub(crate) fn publish(&self, new: Vec<(NameId, Arc<str>)>) {
        if new.is_empty() {
            return;
        }
        let mut maps = self.maps.write().expect("no holder of this lock panics");
        if maps.text_of.len() + new.len() > NAMES_CACHED_MAX {
            *maps = Maps::default();
        }
        for (id, text) in new {
            maps.id_of.insert(Arc::clone(&text), id);
            maps.text_of.insert(id, text);
        }
    }
}

impl View<'_> {
    /// The text of an interned name.
    pub fn name(&self, id: NameId) -> Result<Arc<str>> {
        if let Some(text) =
            self.shared.names.maps.read().expect("no holder of this lock panics").text_of.get(&id)
        {
            return Ok(Arc::clone(text));
        }
        let text: String = self
            .prepare("SELECT text FROM name WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let text: Arc<str> = Arc::from(text);
        self.remember(id, &text);
        Ok(text)
    }

    /// The id of a text that has been interned, `None` when it never was.
    pub fn name_id(&self, text: &str) -> Result<Option<NameId>> {
        if let Some(id) = self.shared.names.id_of(text) {
            return Ok(Some(id));
        }
        let id: Option<NameId> = self
            .prepare("SELECT id FROM name WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        if let Some(id) = id {
            self.remember(id, &Arc::from(text));
        }
        Ok(id)
    }

    /// Keeps what a reader found: names never change. What the writer sees may be taken back yet.
    fn remember(&self, id: NameId, text: &Arc<str>) {
        if !self.in_writer {
            self.shared.names.publish(vec![(id, Arc::clone(text))]);
        }
    }
}

impl Unit<'_> {
    /// The id of a text, interning it when it is new.
    pub fn intern(&mut self, text: &str) -> Result<NameId> {
        if let Some(id) = self.shared.names.id_of(text) {
            return Ok(id);
        }
        let id = match self.view.name_id(text)? {
            Some(id) => id,
            None => self.prepare("INSERT INTO name (text) VALUES (?1)")?.insert([text])?,
        };
        self.new_names.push((id, Arc::from(text)));
        Ok(id)
    }
}
