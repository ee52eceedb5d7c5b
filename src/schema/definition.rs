//! The schema language: from JSON to a checked form, keeping the JSON.
//!
//! Knows the kinds and their required parts. Does not know content.
//!
//! Invariants
//! D1. [`Schema::raw`] is the JSON that was parsed, unknown keys and order included.
//! D2. `items` is there exactly for arrays, `properties` exactly for objects.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// How deep definitions may nest, the outermost schema being depth 1.
pub const DEPTH_MAX: usize = 32;

/// What a field holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    String,
    /// A long string; the same check as `String`.
    Text,
    Number,
    Boolean,
    /// See [`crate::util::time::is_date_field`].
    Date,
    /// The id of a record; existence is not checked.
    RecordRef,
    /// 64 lower-case hex digits; existence is not checked.
    FileRef,
    Array,
    Object,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::String,
        Self::Text,
        Self::Number,
        Self::Boolean,
        Self::Date,
        Self::RecordRef,
        Self::FileRef,
        Self::Array,
        Self::Object,
    ];

    /// The kind with this name in a schema.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in a schema.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::RecordRef => "record-ref",
            Self::FileRef => "file-ref",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The definition of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub kind: Kind,
    /// As written; `None` when the key is absent, which the hash can tell from `false`.
    pub required: Option<bool>,
    /// An index for this field is wanted. Like `unique`, only a plain `true` counts: elsewhere
    /// these are unknown keys with any value.
    pub indexed: bool,
    /// No two live records of the type may hold the same value.
    pub unique: bool,
    /// The definition of each element, for arrays.
    pub items: Option<Box<Field>>,
    /// The nested schema, for objects.
    pub properties: Option<Schema>,
}

impl Field {
    /// Whether the field must be present; absent means no.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required == Some(true)
    }
}

/// A checked schema: named fields in the order they came, and the JSON they came from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schema {
    fields: Vec<(String, Field)>,
    /// Place in `fields` by name, so that comparing two large schemas stays linear.
    places: HashMap<String, usize>,
    raw: Map<String, Value>,
}

/// Why a schema is malformed; `path` is dotted, `[]` behind an array's name means its items.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    #[error("{path}: a field definition must be an object")]
    NotAnObject { path: String },
    #[error("{path}: a field definition needs a kind")]
    NoKind { path: String },
    #[error("{path}: unknown kind \"{kind}\"")]
    UnknownKind { path: String, kind: String },
    #[error("{path}: an array needs items, a field definition")]
    NoItems { path: String },
    #[error("{path}: an object needs properties, a schema")]
    NoProperties { path: String },
    #[error("{path}: required must be true or false")]
    NotABoolean { path: String },
    #[error("{path}: definitions nest deeper than {DEPTH_MAX}")]
    TooDeep { path: String },
}

impl Schema {
    /// Checks a schema and keeps it.
    ///
    /// # Errors
    /// [`SchemaFault`], the first one found in the order of the text.
    pub fn parse(raw: &Map<String, Value>) -> Result<Self, SchemaFault> {
        schema(raw, "", 1)
    }

    /// Reads a schema from its JSON text, as it is stored.
    ///
    /// # Errors
    /// A sentence when the text is no JSON object or a definition in it is malformed.
    pub fn parse_text(text: &str) -> Result<Self, String> {
        let raw = crate::util::json::parse_object(text.as_bytes()).map_err(|e| e.to_string())?;
        Self::parse(&raw).map_err(|e| e.to_string())
    }

    /// Names of the top-level fields that want an index: `indexed` or `unique`.
    #[must_use]
    pub fn indexed_fields(&self) -> Vec<String> {
        let wants = |field: &Field| field.indexed || field.unique;
        self.fields().filter(|(_, field)| wants(field)).map(|(name, _)| name.to_owned()).collect()
    }

    /// The fields, in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// The top-level field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.places.get(name).map(|place| &self.fields[*place].1)
    }

    /// The JSON this was parsed from, as it came.
    #[must_use]
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// Whether nothing is declared: any content goes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fields.is_empty()
    }
}

fn schema(raw: &Map<String, Value>, path: &str, depth: usize) -> Result<Schema, SchemaFault> {
    let mut fields = Vec::with_capacity(raw.len());
    for (name, definition) in raw {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        fields.push((name.clone(), field(definition, &path, depth)?));
    }
    let places =
        fields.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    Ok(Schema { fields, places, raw: raw.clone() })
}

fn field(definition: &Value, path: &str, depth: usize) -> Result<Field, SchemaFault> {
    let at = || path.to_owned();
    if depth > DEPTH_MAX {
        return Err(SchemaFault::TooDeep { path: at() });
    }
    let Value::Object(definition) = definition else {
        return Err(SchemaFault::NotAnObject { path: at() });
    };
    let kind = match definition.get("kind") {
        Some(Value::String(name)) => Kind::parse(name)
            .ok_or_else(|| SchemaFault::UnknownKind { path: at(), kind: name.clone() })?,
        _ => return Err(SchemaFault::NoKind { path: at() }),
    };
    let required = match definition.get("required") {
        None => None,
        Some(Value::Bool(required)) => Some(*required),
        Some(_) => return Err(SchemaFault::NotABoolean { path: at() }),
    };
    let mut made = Field {
        kind,
        required,
        indexed: definition.get("indexed") == Some(&Value::Bool(true)),
        unique: definition.get("unique") == Some(&Value::Bool(true)),
        items: None,
        properties: None,
    };
    match (kind, definition.get("items"), definition.get("properties")) {
        (Kind::Array, Some(items @ Value::Object(_)), _) => {
            made.items = Some(Box::new(field(items, &format!("{path}[]"), depth + 1)?));
        }
        (Kind::Array, _, _) => return Err(SchemaFault::NoItems { path: at() }),
        (Kind::Object, _, Some(Value::Object(properties))) => {
            made.properties = Some(schema(properties, path, depth + 1)?);
        }
        (Kind::Object, _, _) => return Err(SchemaFault::NoProperties { path: at() }),
        _ => {}
    }
    Ok(made)
}

#[cfg(test)]
pub(super) fn read(text: &str) -> Schema {
    Schema::parse(&crate::util::json::parse_object(text.as_bytes()).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> SchemaFault {
        Schema::parse(&crate::util::json::parse_object(text.as_bytes()).unwrap()).unwrap_err()
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        assert_eq!(Kind::parse("String"), None);
    }

    #[test]
    fn keeps_order_flags_and_unknown_keys() {
        let text = r#"{"b":{"kind":"string","indexed":true,"label":"B"},"a":{"unique":true,"kind":"number","required":false}}"#;
        let schema = read(text);
        assert_eq!(schema.fields().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a"]);
        let (b, a) = (schema.field("b").unwrap(), schema.field("a").unwrap());
        assert!(b.indexed && !b.unique && b.required.is_none());
        assert!(a.unique && !a.indexed && a.required == Some(false) && !a.is_required());
        assert_eq!(Value::Object(schema.raw().clone()).to_string(), text);
        assert!(!schema.is_open() && read("{}").is_open());
    }

    #[test]
    fn malformed_definitions_say_where() {
        let cases = [
            (r#"{"a":1}"#, "a: a field definition must be an object"),
            (r#"{"a":{}}"#, "a: a field definition needs a kind"),
            (r#"{"a":{"kind":7}}"#, "a: a field definition needs a kind"),
            (r#"{"a":{"kind":"int"}}"#, "a: unknown kind \"int\""),
            (r#"{"a":{"kind":"array"}}"#, "a: an array needs items, a field definition"),
            (r#"{"a":{"kind":"array","items":[]}}"#, "a: an array needs items, a field definition"),
            (r#"{"a":{"kind":"object"}}"#, "a: an object needs properties, a schema"),
            (
                r#"{"a":{"kind":"array","items":{"kind":"object","properties":{"b":{"kind":"x"}}}}}"#,
                "a[].b: unknown kind \"x\"",
            ),
            (r#"{"a":{"kind":"string","required":"yes"}}"#, "a: required must be true or false"),
        ];
        for (text, message) in cases {
            assert_eq!(fault(text).to_string(), message);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |arrays: usize| {
            let open = r#"{"kind":"array","items":"#.repeat(arrays);
            format!(r#"{{"a":{open}{{"kind":"string"}}{}}}"#, "}".repeat(arrays))
        };
        assert!(!read(&nested(DEPTH_MAX - 1)).is_open());
        assert!(matches!(fault(&nested(DEPTH_MAX)), SchemaFault::TooDeep { .. }));
    }
}
