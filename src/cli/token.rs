//! `cairn token`: credentials for programs and people.

use anyhow::{Result, anyhow};
use clap::{Args, Command, FromArgMatches, Subcommand};
use serde_json::{Value, json};

use super::offline::{FileFlag, Offline, explain};
use super::{Outcome, Usage, output};
use crate::engine::{NewToken, TokenRow};
use crate::util::time;

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print its secret, this once
    New(NewArgs),
    /// List tokens, without secrets
    List(ListArgs),
    /// End a token
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    #[command(flatten)]
    target: FileFlag,
    /// Who authenticates with it (a DID); the owner when left out
    #[arg(long = "for", value_name = "DID")]
    principal: Option<String>,
    /// For whom it acts (a DID); the same as --for when left out
    #[arg(long, value_name = "DID")]
    on_behalf_of: Option<String>,
    /// A name to recognise it by
    #[arg(long)]
    label: Option<String>,
    /// When it ends: a date or an instant such as 2030-01-31 or 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    target: FileFlag,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    target: FileFlag,
    /// The token's id, as `cairn token list` shows it
    id: String,
}

pub(super) fn command() -> Command {
    let about = Command::new("token").about("Make, list and revoke access tokens");
    TokenCommand::augment_subcommands(about).subcommand_required(true)
}

pub(super) fn run(matches: &clap::ArgMatches) -> Result<Outcome> {
    match TokenCommand::from_arg_matches(matches)? {
        TokenCommand::New(args) => new(args),
        TokenCommand::List(args) => list(&args),
        TokenCommand::Revoke(args) => revoke(&args),
    }
}

fn new(args: NewArgs) -> Result<Outcome> {
    let expires_at = match &args.expires {
        None => None,
        Some(text) => Some(time::parse_instant(text).ok_or_else(|| {
            Usage(format!("--expires {text:?} is no instant such as 2030-01-31T12:00:00Z"))
        })?),
    };
    let offline = Offline::open(&args.target.file)?;
    let engine = &offline.engine;
    let wanted = NewToken {
        principal: args.principal,
        subject: args.on_behalf_of,
        label: args.label,
        expires_at,
    };
    let (row, secret) =
        offline.wait(engine.issue_token(&engine.owner_caller(), wanted)).map_err(explain)?;
    if args.json {
        let mut shown = as_json(&row);
        shown["token"] = Value::String(secret);
        output::json(&shown)?;
    } else {
        output::line(&secret)?;
        eprintln!("token {} for {}; it is shown only now", row.id, row.principal);
    }
    Ok(Outcome::Done)
}

fn list(args: &ListArgs) -> Result<Outcome> {
    let offline = Offline::open(&args.target.file)?;
    let tokens = offline.engine.tokens(&offline.engine.owner_caller()).map_err(explain)?;
    if args.json {
        output::json(&tokens.iter().map(as_json).collect())?;
        return Ok(Outcome::Done);
    }
    let now = offline.engine.clock().now_ms();
    for row in &tokens {
        let end = match row.expires_at {
            None => "never expires".to_owned(),
            Some(at) if at <= now => format!("expired {}", time::format_ms(at)),
            Some(at) => format!("expires {}", time::format_ms(at)),
        };
        let label = row.label.as_deref().unwrap_or("-");
        output::line(format_args!(
            "{}  {}  {end}  {}",
            row.id,
            row.principal,
            label.escape_debug()
        ))?;
    }
    Ok(Outcome::Done)
}

fn revoke(args: &RevokeArgs) -> Result<Outcome> {
    let offline = Offline::open(&args.target.file)?;
    let (engine, owner) = (&offline.engine, offline.engine.owner_caller());
    let known = engine.tokens(&owner).map_err(explain)?.iter().any(|row| row.id == args.id);
    if !known {
        return Err(anyhow!("there is no token {}; `cairn token list` shows them", args.id));
    }
    offline.wait(engine.revoke_token(&owner, &args.id)).map_err(explain)?;
    output::line(format_args!("revoked {}", args.id))?;
    Ok(Outcome::Done)
}

fn as_json(row: &TokenRow) -> Value {
    json!({
        "id": row.id, "principalId": row.principal, "subjectId": row.subject, "label": row.label,
        "createdAt": time::format_ms(row.created_at), "expiresAt": row.expires_at.map(time::format_ms),
    })
}
