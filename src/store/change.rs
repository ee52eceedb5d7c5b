//! The append-only journal, which is also the version history.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::NameId;
use super::error::{Result, StoreError};
use super::record::RecordRow;
use super::view::View;
use super::writer::Unit;

/// What a change did. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A unit that changed no record.
    Nothing = 0,
    Create = 1,
    Update = 2,
    Delete = 3,
    Undelete = 4,
    Purge = 5,
    Restore = 6,
    Migrate = 7,
    Associate = 8,
    Dissociate = 9,
    Permit = 10,
    /// Earlier versions of several records were let go by rule; no record changed.
    Prune = 11,
}

impl Op {
    const ALL: [Self; 12] = [
        Self::Nothing,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Undelete,
        Self::Purge,
        Self::Restore,
        Self::Migrate,
        Self::Associate,
        Self::Dissociate,
        Self::Permit,
        Self::Prune,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Purge => "purge",
            Self::Restore => "restore",
            Self::Migrate => "migrate",
            Self::Associate => "associate",
            Self::Dissociate => "dissociate",
            Self::Permit => "permit",
            Self::Prune => "prune",
        }
    }

    fn from_stored(number: i64) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|n| Self::ALL.get(n))
            .copied()
            .unwrap_or(Self::Nothing)
    }
}

/// A journal entry without the state it replaced.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    pub seq: i64,
    pub tx: i64,
    pub rid: i64,
    pub version: i64,
    pub op: Op,
    pub at: i64,
    pub actor: Option<NameId>,
    pub via: Option<NameId>,
}

impl ChangeRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            tx: row.get(1)?,
            rid: row.get(2)?,
            version: row.get(3)?,
            op: Op::from_stored(row.get(4)?),
            at: row.get(5)?,
            actor: row.get(6)?,
            via: row.get(7)?,
        })
    }
}

/// An earlier state of a record: what a change replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    pub version: i64,
    pub type_id: i64,
    /// The unit that had made this state.
    pub tx: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    pub permissions: Option<String>,
    pub associations: Option<String>,
    pub content: String,
}

#[derive(Deserialize)]
struct Stored<'a> {
    t: i64,
    x: i64,
    u: i64,
    #[serde(default)]
    d: Option<i64>,
    #[serde(borrow, default)]
    p: Option<&'a RawValue>,
    #[serde(borrow, default)]
    a: Option<&'a RawValue>,
    #[serde(borrow)]
    c: &'a RawValue,
}

impl Replaced {
    /// `text` is column `replaced` of the change that made `version + 1`.
    fn parse(version: i64, text: &str) -> Result<Self> {
        let stored: Stored<'_> = serde_json::from_str(text)
            .map_err(|e| StoreError::Refused(format!("a journal entry is damaged: {e}")))?;
        Ok(Self {
            version,
            type_id: stored.t,
            tx: stored.x,
            updated_at: stored.u,
            deleted_at: stored.d,
            permissions: stored.p.map(|p| p.get().to_owned()),
            associations: stored.a.map(|a| a.get().to_owned()),
            content: stored.c.get().to_owned(),
        })
    }

    /// The record as it was: what never changes comes from its current row.
    pub fn over(self, current: &RecordRow) -> RecordRow {
        RecordRow {
            type_id: self.type_id,
            version: self.version,
            tx: self.tx,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            permissions: self.permissions,
            associations: self.associations,
            content: self.content,
            parent: current.parent.clone(),
            alias: current.alias.clone(),
            ..*current
        }
    }
}

/// The stored form of the state that a change replaces.
fn stored_form(row: &RecordRow) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(row.content.len() + 96);
    let _ = write!(text, "{{\"t\":{},\"x\":{},\"u\":{}", row.type_id, row.tx, row.updated_at);
    if let Some(at) = row.deleted_at {
        let _ = write!(text, ",\"d\":{at}");
    }
    if let Some(permissions) = &row.permissions {
        let _ = write!(text, ",\"p\":{permissions}");
    }
    if let Some(associations) = &row.associations {
        let _ = write!(text, ",\"a\":{associations}");
    }
    let _ = write!(text, ",\"c\":{}}}", row.content);
    text
}

pub(crate) fn last_tx(connection: &Connection) -> Result<i64> {
    Ok(connection
        .query_row("SELECT tx FROM change ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

const HISTORY: &str = "
    SELECT version, replaced
      FROM change
     WHERE rid = ?1
       AND version <= ?2
       AND replaced IS NOT NULL
     ORDER BY version DESC";

const ONE_VERSION: &str = "
    SELECT replaced
      FROM change
     WHERE rid = ?1
       AND version = ?2
       AND replaced IS NOT NULL";

/// Versions of one record rise with `tx`, so the first change after the point is the one with the smallest version.
const STATE_AT: &str = "
    SELECT version, replaced
      FROM change
     WHERE rid = ?1
       AND tx > ?2
       AND replaced IS NOT NULL
     ORDER BY version
     LIMIT 1";

const FEED: &str = "
    SELECT seq, tx, rid, version, op, at, actor, via
      FROM change
     WHERE seq > ?1
     ORDER BY seq
     LIMIT ?2";

impl View<'_> {
    /// Versions of a record before `before`, newest first, until `bytes_max` bytes are read: at least one when there is one.
    /// True when there are more.
    pub fn history(
        &self,
        rid: i64,
        before: i64,
        bytes_max: usize,
    ) -> Result<(Vec<Replaced>, bool)> {
        let mut statement = self.prepare(HISTORY)?;
        let mut rows = statement.query((rid, before))?;
        let (mut versions, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if bytes >= bytes_max {
                return Ok((versions, true));
            }
            let made: i64 = row.get(0)?;
            let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            versions.push(Replaced::parse(made - 1, text)?);
            bytes += text.len();
        }
        Ok((versions, false))
    }

    /// Whether a record was removed for good after a unit: what was shown of it then is not known any more.
    pub fn purged_since(&self, tx: i64) -> Result<bool> {
        let after = self.seq_at_tx(tx)?;
        Ok(self
            .prepare("SELECT 1 FROM change WHERE seq > ?1 AND op = 5 LIMIT 1")?
            .exists([after])?)
    }

    /// The newest unit this view sees.
    pub fn last_tx(&self) -> Result<i64> {
        Ok(self
            .prepare("SELECT tx FROM change ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?
            .unwrap_or(0))
    }

    /// One earlier version.
    pub fn version(&self, rid: i64, version: i64) -> Result<Option<Replaced>> {
        let Some(made) = version.checked_add(1) else { return Ok(None) };
        let text: Option<String> =
            self.prepare(ONE_VERSION)?.query_row((rid, made), |row| row.get(0)).optional()?;
        text.map(|text| Replaced::parse(version, &text)).transpose()
    }

    /// A record as it stood after unit `tx`: `None` when it did not exist then.
    pub fn state_at(&self, current: &RecordRow, tx: i64) -> Result<Option<RecordRow>> {
        if current.tx <= tx {
            return Ok(Some(current.clone()));
        }
        let found: Option<(i64, String)> = self
            .prepare(STATE_AT)?
            .query_row((current.rid, tx), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((made, text)) = found else { return Ok(None) };
        let state = Replaced::parse(made - 1, &text)?;
        Ok((state.tx <= tx).then(|| state.over(current)))
    }

    /// The journal after entry `seq`, in order.
    pub fn changes_after(&self, seq: i64, limit: i64) -> Result<Vec<ChangeRow>> {
        let mut statement = self.prepare(FEED)?;
        let rows = statement.query_map((seq, limit), ChangeRow::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The last journal entry with `tx` not above the given one; 0 when there is none. `tx` rises with `seq`, so this is a
    /// binary search and needs no index of its own.
    pub fn seq_at_tx(&self, tx: i64) -> Result<i64> {
        self.last_seq_where(|entry_tx, _| entry_tx <= tx)
    }

    /// The newest unit that was written no later than `at` (milliseconds).
    pub fn tx_at_time(&self, at: i64) -> Result<i64> {
        let seq = self.last_seq_where(|_, entry_at| entry_at <= at)?;
        Ok(self
            .prepare("SELECT tx FROM change WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?
            .unwrap_or(0))
    }

    fn last_seq_where(&self, holds: impl Fn(i64, i64) -> bool) -> Result<i64> {
        let mut low: i64 = 0; // `holds` up to here
        let mut high: i64 = self
            .prepare("SELECT coalesce(max(seq), 0) FROM change")?
            .query_row([], |r| r.get(0))?;
        let mut probe = self
            .prepare("SELECT seq, tx, at FROM change WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1")?;
        while low < high {
            let middle = low + (high - low + 1) / 2;
            let found = probe
                .query_row([middle], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
                .optional()?;
            match found {
                Some((seq, tx, at)) if seq > low => {
                    if holds(tx, at) {
                        low = middle
                    } else {
                        high = seq - 1
                    }
                }
                // Nothing between `low` and `middle`.
                _ => low = middle,
            }
        }
        Ok(low)
    }
}

/// Who made a change: for whom, and who acted when that was somebody else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Actor {
    pub subject: Option<NameId>,
    pub via: Option<NameId>,
}

const APPEND: &str = "
    INSERT INTO change (tx, rid, version, op, at, actor, via, replaced)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

impl Unit<'_> {
    /// Appends a change of this unit. `replaced` is the state it replaces; a creation and a purge keep none.
    pub fn append_change(
        &mut self,
        rid: i64,
        version: i64,
        op: Op,
        actor: Actor,
        replaced: Option<&RecordRow>,
    ) -> Result<()> {
        let text = replaced.map(stored_form);
        self.prepare(APPEND)?.execute((
            self.tx,
            rid,
            version,
            op as i64,
            self.at,
            actor.subject,
            actor.via,
            text,
        ))?;
        self.tx_used = true;
        Ok(())
    }

    /// Uses up this unit's number without a change.
    pub fn append_nothing(&mut self, actor: Actor) -> Result<()> {
        self.append_change(0, 0, Op::Nothing, actor, None)
    }

    /// Says in the journal that earlier versions were let go.
    pub fn append_prune(&mut self, actor: Actor) -> Result<()> {
        self.append_change(0, 0, Op::Prune, actor, None)
    }

    /// Drops the journal after entry `seq`, but for entries that were dated back to `tx`. For a file that is taken back.
    pub fn forget_changes(&mut self, seq: i64, tx: i64) -> Result<()> {
        self.prepare("DELETE FROM change WHERE seq > ?1 AND tx > ?2")?.execute((seq, tx))?;
        Ok(())
    }

    /// Gives what happened to a record after entry `seq` the number of an earlier unit, with which it stays.
    pub fn date_back(&mut self, rid: i64, seq: i64, tx: i64) -> Result<()> {
        self.prepare("UPDATE change SET tx = ?3 WHERE seq > ?2 AND rid = ?1")?
            .execute((rid, seq, tx))?;
        self.prepare("UPDATE record SET tx = ?2 WHERE rid = ?1")?.execute((rid, tx))?;
        Ok(())
    }

    /// Blanks every earlier state of a record; the entries themselves stay.
    pub fn blank_history(&mut self, rid: i64) -> Result<()> {
        self.prepare("UPDATE change SET replaced = NULL WHERE rid = ?1 AND replaced IS NOT NULL")?
            .execute([rid])?;
        Ok(())
    }
}
