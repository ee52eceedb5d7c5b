//! `cairn type`: look at and register types.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Command, FromArgMatches, Subcommand};
use serde_json::{Map, Value, json};

use super::offline::{FileFlag, Offline, explain};
use super::{Outcome, output};
use crate::engine::{NewTypeInput, TypeInfo, is_live};
use crate::util::{json as reader, time};

/// Type definitions in one file.
const TYPES_MAX: usize = 1_000;

#[derive(Debug, Subcommand)]
enum TypeCommand {
    /// List types
    List(ListArgs),
    /// Register the type or the array of types in a JSON file
    Add(AddArgs),
    /// Print one type
    Show(ShowArgs),
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
struct AddArgs {
    #[command(flatten)]
    target: FileFlag,
    /// `{"id":"com.example/note@1","name":"Note","schema":{"title":{"kind":"string"}}}`, or an array of these
    definition: PathBuf,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    target: FileFlag,
    /// Such as com.example/note@1
    id: String,
}

pub(super) fn command() -> Command {
    let about = Command::new("type").about("List, add and show types");
    TypeCommand::augment_subcommands(about).subcommand_required(true)
}

pub(super) fn run(matches: &clap::ArgMatches) -> Result<Outcome> {
    match TypeCommand::from_arg_matches(matches)? {
        TypeCommand::List(args) => list(&args),
        TypeCommand::Add(args) => add(&args),
        TypeCommand::Show(args) => show(&args),
    }
}

fn list(args: &ListArgs) -> Result<Outcome> {
    let offline = Offline::open(&args.target.file)?;
    let all = offline.engine.types().all();
    if args.json {
        output::json(&all.iter().map(|info| as_json(info)).collect())?;
        return Ok(Outcome::Done);
    }
    for info in all {
        let fields: Vec<&str> = info.schema.fields().map(|(name, _)| name).collect();
        output::line(format_args!("{}  {}", info.id, fields.join(" ")))?;
    }
    Ok(Outcome::Done)
}

fn add(args: &AddArgs) -> Result<Outcome> {
    let path = &args.definition;
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("{name} cannot be read"))?;
    let document =
        reader::parse(&bytes).map_err(|fault| anyhow!("{name} is no type definition: {fault}"))?;
    let definitions = match document {
        Value::Array(all) if all.len() > TYPES_MAX => {
            bail!("{name} holds more than {TYPES_MAX} types")
        }
        Value::Array(all) => all,
        one => vec![one],
    };
    let wanted: Vec<NewTypeInput> = definitions
        .into_iter()
        .map(|definition| {
            read_definition(definition).with_context(|| format!("{name} is no type definition"))
        })
        .collect::<Result<_>>()?;
    let offline = Offline::open(&args.target.file)?;
    let (engine, owner) = (&offline.engine, offline.engine.owner_caller());
    for input in wanted {
        let id = input.id.clone();
        let info = offline
            .wait(engine.register_type(&owner, input))
            .map_err(explain)
            .with_context(|| format!("{name}: {id} was not registered"))?;
        output::line(format_args!("registered {}", info.id))?;
    }
    Ok(Outcome::Done)
}

fn show(args: &ShowArgs) -> Result<Outcome> {
    let offline = Offline::open(&args.target.file)?;
    let types = offline.engine.types();
    let info = types
        .get(&args.id)
        .ok_or_else(|| anyhow!("there is no type {}; `cairn type list` shows them", args.id))?;
    output::line(format!("{:#}", as_json(info)))?;
    Ok(Outcome::Done)
}

/// The body of `POST /types`; the hash may be left out, the name defaults to the last part of the id.
pub(super) fn read_definition(definition: Value) -> Result<NewTypeInput> {
    let Value::Object(mut definition) = definition else { bail!("a JSON object is expected") };
    let mut text = |key: &str| match definition.remove(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(anyhow!("{key} must be a text")),
    };
    let id = text("id")?.context("id is missing")?;
    let name = text("name")?;
    let (schema_hash, migrates_from) = (text("schemaHash")?, text("migratesFrom")?);
    let search = match definition.remove("search") {
        None => None,
        Some(Value::Bool(flag)) => Some(flag),
        Some(_) => bail!("search must be true or false"),
    };
    let schema = match definition.remove("schema") {
        Some(Value::Object(schema)) => schema,
        _ => bail!("schema must be an object"),
    };
    let name = name.unwrap_or_else(|| display_name(&id));
    Ok(NewTypeInput { id, name, schema, schema_hash, migrates_from, search })
}

/// `com.example/city@1` → `City`.
pub(super) fn display_name(id: &str) -> String {
    let base = crate::schema::family(id);
    let last = base.rsplit('/').next().unwrap_or(base);
    let mut letters = last.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A type as `POST /types` reads it.
pub(super) fn as_json(info: &TypeInfo) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(info.id));
    shown.insert("name".into(), json!(info.name));
    shown.insert("schema".into(), Value::Object(info.schema.raw().clone()));
    shown.insert("schemaHash".into(), json!(info.schema_hash));
    if let Some(from) = &info.migrates_from {
        shown.insert("migratesFrom".into(), json!(from));
    }
    shown.insert("search".into(), json!(info.search));
    shown.insert("createdAt".into(), json!(time::format_ms(info.created_at)));
    if is_live(info) {
        shown.insert("open".into(), json!(true));
    }
    Value::Object(shown)
}
