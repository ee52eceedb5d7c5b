//! `cairn openapi`: the document that a server with these settings offers.

use anyhow::{Context, Result};

use super::{Outcome, output};
use crate::app::Cairn;
use crate::config::{self, Config, Sources};

#[derive(Debug, clap::Args)]
pub(super) struct OpenApiArgs {
    /// One line instead of indented text
    #[arg(long)]
    compact: bool,
}

pub(super) fn run(args: &OpenApiArgs) -> Result<Outcome> {
    let sources = Sources { variables: config::variables(), ..Sources::default() };
    let mut config = Config::load(&sources)?;
    // The addresses do not depend on what is stored: an empty file of its own, gone afterwards.
    let folder = std::env::temp_dir().join(format!("cairn-openapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    config.file = folder.join("empty.cairn");
    let document = Cairn::with(config).map_err(anyhow::Error::from).and_then(|cairn| {
        let document = cairn.openapi()?;
        cairn.close();
        Ok(document)
    });
    let _ = std::fs::remove_dir_all(&folder);
    let document = document?;
    if args.compact {
        output::json(&document)?;
    } else {
        output::line(format_args!("{document:#}"))?;
    }
    Ok(Outcome::Done)
}
