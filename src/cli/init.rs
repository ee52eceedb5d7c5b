//! `cairn init`: a stack file and its owner.

use anyhow::{Result, bail};
use serde_json::json;

use super::offline::{self, FileArgument, Offline};
use super::{Outcome, output};

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    target: FileArgument,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InitArgs) -> Result<Outcome> {
    let path = &args.target.file;
    if path.exists() {
        bail!(
            "{} exists already; choose another name, or start it with `cairn serve`",
            path.display()
        );
    }
    // The owner's DID, name and time zone come from the same variables as when a server makes the file.
    let offline = Offline::open_or_make(path, &offline::options()?)?;
    let owner = offline.engine.owner();
    if args.json {
        output::json(&json!({ "file": path.display().to_string(), "owner": owner }))?;
    } else {
        output::line(format_args!("made {} for {owner}", path.display()))?;
        output::line(format_args!("start it with: cairn serve {}", path.display()))?;
    }
    Ok(Outcome::Done)
}
