//! `cairn types`: the stack's types for client programs.
//!
//! Knows TypeScript's words for the kinds of fields. Does not know how types are stored.
//!
//! Invariants
//! L1. The same types print the same text: types in order of their names, fields as declared.
//! L2. No two declarations have one name.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use super::offline::{FileFlag, Offline};
use super::{Outcome, output};
use crate::engine::TypeInfo;
use crate::schema::{Field, Kind, Schema};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// TypeScript
    Ts,
}

#[derive(Debug, clap::Args)]
pub(super) struct ClientTypesArgs {
    #[command(flatten)]
    target: FileFlag,
    /// The language to print
    #[arg(long, value_enum, default_value = "ts")]
    lang: Language,
    /// Types of the system too
    #[arg(long)]
    system: bool,
}

pub(super) fn run(args: &ClientTypesArgs) -> Result<Outcome> {
    let Language::Ts = args.lang;
    let offline = Offline::open(&args.target.file)?;
    let mut types = offline.engine.types().all();
    types.retain(|info| args.system || !info.base.starts_with('_'));
    types.sort_by(|a, b| (&a.base, a.version).cmp(&(&b.base, b.version)));
    output::line(typescript(&types).trim_end())?;
    Ok(Outcome::Done)
}

const HEAD: &str = "\
// The types of this stack. Printed by `cairn types --lang ts`; print again rather than edit.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A record as every address of the stack protocol answers it. */
export interface CairnRecord<T extends TypeId = TypeId> {
  id: string;
  typeId: T;
  version: number;
  content: Types[T];
  createdAt: string;
  updatedAt: string;
  entityId?: string;
  parentId?: string;
  deletedAt?: string;
}

export type TypeId = keyof Types;
";

fn typescript(types: &[Arc<TypeInfo>]) -> String {
    let names = names(types);
    let mut out = String::from(HEAD);
    for info in types {
        let _ = write!(out, "\n/** {}: {} */\n", comment(&info.id), comment(&info.name));
        let _ =
            writeln!(out, "export interface {} {}", names[&info.row_id], object(&info.schema, 0));
    }
    out.push_str(
        "\n/** Every type, by the id that records name it with. */\nexport interface Types {\n",
    );
    for info in types {
        let _ = writeln!(out, "  {}: {};", quoted(&info.id), names[&info.row_id]);
    }
    out.push_str("}\n");
    out
}

/// A name for each: the last part of the id; with its version where there are several, with everything before it where two
/// collections end alike.
fn names(types: &[Arc<TypeInfo>]) -> HashMap<i64, String> {
    let mut bases: BTreeMap<&str, usize> = BTreeMap::new();
    for info in types {
        *bases.entry(&info.base).or_default() += 1;
    }
    let last = |base: &str| identifier(base.rsplit('/').next().unwrap_or(base));
    let mut ends: HashMap<String, usize> = HashMap::new();
    for base in bases.keys() {
        *ends.entry(last(base)).or_default() += 1;
    }
    let mut taken: Vec<String> =
        ["Json", "CairnRecord", "TypeId", "Types"].map(String::from).into();
    let mut names = HashMap::new();
    for info in types {
        let short = last(&info.base);
        let mut name = if ends[&short] > 1 { identifier(&info.base) } else { short };
        if bases[info.base.as_str()] > 1 {
            let _ = write!(name, "V{}", info.version);
        }
        while taken.contains(&name) {
            name.push('_');
        }
        taken.push(name.clone());
        names.insert(info.row_id, name);
    }
    names
}

/// `com.example/big-city` → `ComExampleBigCity`.
fn identifier(text: &str) -> String {
    let mut name = String::new();
    let mut starts = true;
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            starts = true;
        } else if starts && (!name.is_empty() || letter.is_ascii_alphabetic()) {
            name.push(letter.to_ascii_uppercase());
            starts = false;
        } else if !name.is_empty() {
            name.push(letter);
        }
    }
    if name.is_empty() { "Type".to_owned() } else { name }
}

fn object(schema: &Schema, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let mut out = String::from("{\n");
    for (name, field) in schema.fields() {
        let (mark, or_null) = if field.is_required() { ("", "") } else { ("?", " | null") };
        let value = field_type(field, depth + 1);
        let _ = writeln!(out, "{indent}{}{mark}: {value}{or_null};", key(name));
    }
    // What is not declared may be there all the same.
    let _ = writeln!(out, "{indent}[field: string]: Json | undefined;");
    out.push_str(&"  ".repeat(depth));
    out.push('}');
    out
}

fn field_type(field: &Field, depth: usize) -> String {
    match field.kind {
        Kind::String | Kind::Text | Kind::Date | Kind::RecordRef | Kind::FileRef => "string".into(),
        Kind::Number => "number".into(),
        Kind::Boolean => "boolean".into(),
        Kind::Array => match &field.items {
            Some(items) if items.kind == Kind::Object => {
                format!("Array<{}>", field_type(items, depth))
            }
            Some(items) => format!("{}[]", field_type(items, depth)),
            None => "Json[]".into(),
        },
        Kind::Object => match &field.properties {
            Some(schema) => object(schema, depth),
            None => "{ [key: string]: Json }".into(),
        },
    }
}

fn key(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$');
    if first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$') {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A JSON text is a TypeScript one.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        for (text, name) in [
            ("note", "Note"),
            ("big-city", "BigCity"),
            ("com.example/a_b", "ComExampleAB"),
            ("2fast", "Fast"),
            ("…", "Type"),
        ] {
            assert_eq!(identifier(text), name);
        }
        assert_eq!(key("a b"), "\"a b\"");
        assert_eq!(key("a_b"), "a_b");
    }
}
