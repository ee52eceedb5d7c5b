//! `cairn serve`: the default command.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Arg, Command};

use super::{Outcome, Usage, output};
use crate::config::{self, Config, Sources};

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";

pub(super) fn command() -> Command {
    config::add_flags(Command::new("serve").about("Serve a stack file (the default command)"))
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .env("CAIRN_CONFIG")
                .hide_env_values(true)
                .value_name("FILE")
                .help("Read settings from this file; see --print-config"),
        )
        .arg(
            Arg::new(PRINT_CONFIG)
                .long(PRINT_CONFIG)
                .value_name("FORMAT")
                .value_parser(["toml", "markdown"])
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("toml")
                .help("Print every setting as it would be used, as a sample cairn.toml, and end"),
        )
}

pub(super) fn run(matches: &clap::ArgMatches) -> Result<Outcome> {
    let config = load(matches)?;
    match matches.get_one::<String>(PRINT_CONFIG).map(String::as_str) {
        Some("markdown") => {
            output::line(config::reference().trim_end())?;
            return Ok(Outcome::Done);
        }
        Some(_) => {
            output::line(config.to_toml().trim_end())?;
            return Ok(Outcome::Done);
        }
        None => {}
    }
    output::start_log(config.log);
    Ok(Outcome::Done)
}

fn load(matches: &clap::ArgMatches) -> Result<Config> {
    let file = match matches.get_one::<String>(CONFIG).filter(|path| !path.is_empty()) {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("{path} cannot be read; --config names the settings file")
            })?;
            Some((PathBuf::from(path), text))
        }
    };
    let sources =
        Sources { file, variables: config::variables(), flags: config::flags_given(matches) };
    Ok(Config::load(&sources).map_err(|error| Usage(error.to_string()))?)
}
