//! The command line: one file per command, exit codes, what is printed.
//!
//! Knows arguments, terminals and people. Does not know protocols.
//!
//! Invariants
//! C1. Results go to standard output, everything else to standard error.
//! C2. Exit code 0: done; 1: failed, with one line that names the file, the reason and the next step; 2: wrong usage.
//! C3. A command that writes to a file by itself opens it as the one process that may; while a server has it, it is refused.
//!     backup and verify only read, beside whoever has it.
#![allow(clippy::print_stderr, reason = "the command line talks to people")]

mod backup;
mod client_types;
mod compact;
mod doctor;
mod dump;
mod export;
mod import;
mod init;
mod interrupt;
mod offline;
mod openapi;
mod output;
mod progress;
mod restore;
mod serve;
mod token;
mod types;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Command, FromArgMatches};

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It ran to its end, and what it found is bad: a damaged file, rejected rows. Already said.
    Bad,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    match dispatch(arguments()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            // A reader that went away (`| head`) wants no complaint.
            if !output::is_broken_pipe(&error) {
                eprintln!("cairn: {error:#}");
            }
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Wrong usage that only shows after the arguments were read: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// `cairn --listen …` means `cairn serve --listen …`; `cairn` alone too.
fn arguments() -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let of_program = ["-h", "--help", "-V", "--version"];
    let first = arguments.get(1).map(|a| a.to_string_lossy().into_owned());
    if first.is_none_or(|a| a.starts_with('-') && !of_program.contains(&a.as_str())) {
        arguments.insert(1.min(arguments.len()), "serve".into());
    }
    arguments
}

fn command() -> Command {
    Command::new("cairn")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A whole backend in one executable and one SQLite file")
        .after_help(
            "`cairn` alone is `cairn serve`. backup, verify and restore work while a server has the file; the other commands open\n\
             it themselves, so stop the server first.\n\
             Exit codes: 0 done, 1 failed, 2 wrong usage.",
        )
        .subcommand_required(true)
        .subcommand(serve::command())
        .subcommand(of::<init::InitArgs>("init", "Make a stack file and its owner"))
        .subcommand(token::command())
        .subcommand(types::command())
        .subcommand(
            of::<import::ImportArgs>("import", "Bring in NDJSON, JSON, CSV, a folder of files or an export").after_help(
                "Rows that do not fit are rejected, the others kept; any rejected row makes the exit code 1. The same command \
                 again after an interruption goes on where it stopped.",
            ),
        )
        .subcommand(of::<export::ExportArgs>(
            "export",
            "Write everything as NDJSON that `cairn import` reads",
        ))
        .subcommand(of::<verify::VerifyArgs>(
            "verify",
            "Check pages, references, histories and every blob of a file",
        ))
        .subcommand(of::<backup::BackupArgs>(
            "backup",
            "Copy the whole file, verified, while it is served or not",
        ))
        .subcommand(
            of::<restore::RestoreArgs>(
                "restore",
                "Put a verified backup in the place of the file, or bring records of it back",
            )
            .after_help(
                "The backup is verified before anything is changed, and the file that was there is kept under a dated name. \
                 While a server has the file, the server closes it and opens the restored one.",
            ),
        )
        .subcommand(of::<compact::CompactArgs>(
            "compact",
            "Apply the rules for versions, and write the file anew without free pages",
        ))
        .subcommand(of::<compact::PurgeArgs>(
            "purge",
            "Remove records so that no byte of them is left in the file: states, history, search, files",
        ))
        .subcommand(of::<openapi::OpenApiArgs>("openapi", "Print the OpenAPI document"))
        .subcommand(of::<client_types::ClientTypesArgs>(
            "types",
            "Print the stack's types for client programs",
        ))
        .subcommand(of::<doctor::DoctorArgs>(
            "doctor",
            "Say what is in a file and what deserves a look",
        ))
}

/// A command with these arguments. They come first: clap takes the comment of a flattened part for what the command does.
fn of<A: Args>(name: &'static str, about: &'static str) -> Command {
    A::augment_args(Command::new(name)).about(about)
}

fn dispatch(arguments: Vec<std::ffi::OsString>) -> Result<Outcome> {
    let matches = command().get_matches_from(arguments);
    let (name, matches) = matches.subcommand().unwrap_or(("serve", &matches));
    if name != "serve" {
        output::start_log(crate::config::LogLevel::Warn);
    }
    match name {
        "init" => init::run(&init::InitArgs::from_arg_matches(matches)?),
        "token" => token::run(matches),
        "type" => types::run(matches),
        "import" => import::run(&import::ImportArgs::from_arg_matches(matches)?),
        "export" => export::run(&export::ExportArgs::from_arg_matches(matches)?),
        "restore" => restore::run(&restore::RestoreArgs::from_arg_matches(matches)?),
        "compact" => compact::run(&compact::CompactArgs::from_arg_matches(matches)?),
        "purge" => compact::purge(&compact::PurgeArgs::from_arg_matches(matches)?),
        "backup" => backup::run(&backup::BackupArgs::from_arg_matches(matches)?),
        "verify" => verify::run(&verify::VerifyArgs::from_arg_matches(matches)?),
        "openapi" => openapi::run(&openapi::OpenApiArgs::from_arg_matches(matches)?),
        "types" => client_types::run(&client_types::ClientTypesArgs::from_arg_matches(matches)?),
        "doctor" => doctor::run(&doctor::DoctorArgs::from_arg_matches(matches)?),
        _ => serve::run(matches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        command().debug_assert();
    }
}
