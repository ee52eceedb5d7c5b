//! `cairn openapi`: the document of every address, without a server.

use anyhow::{Context, Result};

use super::{Outcome, output};
use crate::app::Cairn;
use crate::config::Config;
use crate::util::rng::Rng;

/// The routes are made with a stack behind them; an empty one does, in a folder that goes again.
pub(super) fn run() -> Result<Outcome> {
    let folder = std::env::temp_dir().join(format!("cairn-openapi-{}", Rng::os().hex(8)));
    std::fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let made = document(&folder.join("stack.cairn"));
    let removed = std::fs::remove_dir_all(&folder);
    output::line(format!("{:#}", made?))?;
    removed.with_context(|| format!("{} was left behind", folder.display()))?;
    Ok(Outcome::Done)
}

fn document(file: &std::path::Path) -> Result<serde_json::Value> {
    let mut config = Config::default();
    config.file = file.to_owned();
    let cairn = Cairn::with(config).map_err(super::offline::explain)?;
    let document = cairn.openapi();
    cairn.close();
    Ok(document?)
}
