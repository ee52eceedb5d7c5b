//! What live `_grant` records allow, derived from them in the same unit.

use super::error::Result;
use super::view::View;
use super::writer::Unit;

/// One grant: `grantee` `None` means any authenticated subject; `actions` are bits of `engine::access::Actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    pub family: String,
    pub grantee: Option<String>,
    pub actions: i64,
}

impl View<'_> {
    /// Grants to this identity by name.
    pub fn grants_to(&self, grantee: &str) -> Result<Vec<GrantRow>> {
        let mut statement =
            self.prepare("SELECT family, grantee, actions FROM grant_right WHERE grantee = ?1")?;
        let rows = statement.query_map([grantee], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Grants to everybody who is authenticated.
    pub fn default_grants(&self) -> Result<Vec<GrantRow>> {
        let mut statement =
            self.prepare("SELECT family, grantee, actions FROM grant_right WHERE grantee IS NULL")?;
        let rows = statement.query_map([], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow { family: row.get(0)?, grantee: row.get(1)?, actions: row.get(2)? })
}

impl Unit<'_> {
    pub fn set_grant(&mut self, rid: i64, grant: Option<&GrantRow>) -> Result<()> {
        match grant {
            Some(grant) => self
                .prepare("INSERT OR REPLACE INTO grant_right (rid, family, grantee, actions) VALUES (?1, ?2, ?3, ?4)")?
                .execute((rid, &grant.family, &grant.grantee, grant.actions))?,
            None => self.prepare("DELETE FROM grant_right WHERE rid = ?1")?.execute([rid])?,
        };
        Ok(())
    }
}
