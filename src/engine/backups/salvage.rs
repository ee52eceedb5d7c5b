//! A new file of what can be read of a damaged one: the store finds rows, this makes them a stack again.
//!
//! Invariants
//! V1. Everything derived (search, associations, chosen ids, grants) is made from the records that were found.
//! V2. The result is verified like a backup before it gets its name.

use std::path::Path;

use super::{BackupStage, Cancel, sentence};
use crate::engine::commands::commit;
use crate::engine::error::{Error, Result};
use crate::engine::{Engine, EngineOptions};
use crate::store::{Salvaged, Staging};

/// Records in one unit.
const PAGE: i64 = 200;

/// Saves what can be read of `source` into the new file `target`. Runs on the calling thread.
///
/// # Errors
/// [`Error::Conflict`] with a sentence when nothing can be read, or when it was interrupted.
pub fn salvage(
    source: &Path,
    target: &Path,
    opening: &EngineOptions,
    cancel: &Cancel,
    progress: &mut dyn FnMut(BackupStage),
) -> Result<Salvaged> {
    let (mut staging, saved) =
        Staging::salvage(source, target, cancel, progress).map_err(sentence)?;
    staging.change(cancel, progress, |path| derive_all(path, opening))?;
    staging.keep(target).map_err(sentence)?;
    Ok(saved)
}

fn derive_all(path: &Path, opening: &EngineOptions) -> Result<()> {
    let engine = Engine::open(path, opening)?;
    let done = derive_open(&engine);
    engine.close();
    done
}

fn derive_open(engine: &Engine) -> Result<()> {
    let mut after = -1;
    engine.store().write_blocking(|unit| Ok::<_, Error>(unit.remake_indexes()?))?;
    loop {
        let last = engine.store().write_blocking(move |unit| {
            let page = unit.records_after(after, PAGE)?;
            for row in &page {
                commit::derive_fresh(unit, row)?;
            }
            Ok::<_, Error>(page.last().map(|row| row.rid))
        })?;
        match last {
            Some(rid) => after = rid,
            None => return Ok(()),
        }
    }
}
