//! The text of an application document as a tree whose every value knows its line and column.
//!
//! YAML 1.2 core schema; JSON is read as the YAML it is. Knows text. Does not know what an application is.
//!
//! Invariants
//! D1. A key occurs once in a mapping; a second one is a fault.
//! D2. What [`parse`] takes in is bounded: [`DOCUMENT_BYTES_MAX`] bytes, [`DEPTH_MAX`] levels, and the parser's own budget
//!     for aliases.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// Bytes of an application document.
pub(super) const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// Levels of lists and mappings.
const DEPTH_MAX: usize = 64;
/// Problems that are reported at once.
const FAULTS_MAX: usize = 100;

/// Something wrong with an application document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer of the value at fault; empty for the document as a whole.
    pub pointer: String,
    /// From 1; 0 where no place is known.
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        match self.pointer.as_str() {
            "" => write!(f, "{}", self.message),
            pointer => write!(f, "{pointer}: {}", self.message),
        }
    }
}

/// Every problem of a document, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a problem; past [`FAULTS_MAX`] it is dropped.
    pub fn push(&mut self, at: &At<'_>, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            let (line, column) = (at.node.line, at.node.column);
            let (pointer, message) = (at.pointer.clone(), message.into());
            self.0.push(Fault { pointer, line, column, message });
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: u64,
    pub column: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A value, where it stands, and how one gets there.
#[derive(Clone, Debug)]
pub struct At<'n> {
    pub node: &'n Node,
    pub pointer: String,
}

impl<'n> At<'n> {
    #[must_use]
    pub fn root(node: &'n Node) -> Self {
        Self { node, pointer: String::new() }
    }

    /// A member of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<At<'n>> {
        self.entries()?.into_iter().find(|(name, _)| *name == key).map(|(_, at)| at)
    }

    /// The members of a mapping, in order; `None` when this is none.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(&'n str, At<'n>)>> {
        let Content::Map(entries) = &self.node.content else { return None };
        let below = |(key, node): &'n (String, Node)| {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            (key.as_str(), At { node, pointer: format!("{}/{escaped}", self.pointer) })
        };
        Some(entries.iter().map(below).collect())
    }

    /// The elements of a list; `None` when this is none.
    #[must_use]
    pub fn items(&self) -> Option<Vec<At<'n>>> {
        let Content::List(items) = &self.node.content else { return None };
        let below = |(n, node)| At { node, pointer: format!("{}/{n}", self.pointer) };
        Some(items.iter().enumerate().map(below).collect())
    }

    #[must_use]
    pub fn text(&self) -> Option<&'n str> {
        match &self.node.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        match &self.node.content {
            Content::Scalar(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    /// A text, or a number as it would be written.
    #[must_use]
    pub fn text_or_number(&self) -> Option<String> {
        match &self.node.content {
            Content::Scalar(Value::String(text)) => Some(text.clone()),
            Content::Scalar(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        }
    }

    #[must_use]
    pub fn unsigned(&self) -> Option<u64> {
        match &self.node.content {
            Content::Scalar(Value::Number(number)) => number.as_u64(),
            _ => None,
        }
    }

    /// The value without its places.
    #[must_use]
    pub fn value(&self) -> Value {
        self.node.value()
    }
}

impl Node {
    fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::value).collect(),
            Content::Map(entries) => {
                let member = |(key, node): &(String, Node)| (key.clone(), node.value());
                Value::Object(entries.iter().map(member).collect::<Map<_, _>>())
            }
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Map(entries) => entries.iter().map(|(_, n)| n.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads a document.
///
/// # Errors
/// One fault: a text that is no YAML has no second.
pub(super) fn parse(text: &str) -> Result<Node, Faults> {
    let whole = |line, column, message: String| {
        Faults(vec![Fault { pointer: String::new(), line, column, message }])
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the document has more than {DOCUMENT_BYTES_MAX} bytes");
        return Err(whole(0, 0, message));
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let node: Node = serde_saphyr::from_str_with_options(text, options).map_err(|fault| {
        let (line, column) = fault.location().map_or((0, 0), |at| (at.line(), at.column()));
        let message = fault.without_snippet().to_string();
        // The place is told apart from the reason.
        let reason = match message.split_once("column ") {
            Some((_, rest)) => rest.split_once(": ").map_or(message.as_str(), |(_, reason)| reason),
            None => &message,
        };
        whole(line, column, reason.to_owned())
    })?;
    if node.depth() > DEPTH_MAX {
        return Err(whole(0, 0, format!("the document nests deeper than {DEPTH_MAX} levels")));
    }
    Ok(node)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Spanned { value: content, referenced, .. } = Spanned::<Content>::deserialize(from)?;
        Ok(Self { line: referenced.line(), column: referenced.column(), content })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(value)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("must be a finite number"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Content, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((key, node)) = from.next_entry::<String, Node>()? {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("the key {key:?} occurs twice")));
            }
            entries.push((key, node));
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_places() {
        let node = parse("name: crm\ntables:\n  - name: people\n    fields: []\n").unwrap();
        let at = At::root(&node);
        let name = at.get("tables").unwrap().items().unwrap()[0].get("name").unwrap();
        assert_eq!((name.node.line, name.node.column), (3, 11));
        assert_eq!(name.pointer, "/tables/0/name");
        assert_eq!(at.value()["tables"][0]["fields"], serde_json::json!([]));
    }

    #[test]
    fn json_is_yaml_and_core_schema_booleans() {
        let node = parse(r#"{"a": [1, 2.5, null, true], "b": "x"}"#).unwrap();
        let expected = serde_json::json!({ "a": [1, 2.5, null, true], "b": "x" });
        assert_eq!(At::root(&node).value().to_string(), expected.to_string());
        let node = parse("a: no\nb: '12'\n").unwrap();
        assert_eq!(At::root(&node).value(), serde_json::json!({ "a": "no", "b": "12" }));
    }

    #[test]
    fn faults_say_line_and_column() {
        for (text, line) in [("a: 1\na: 2\n", 2), ("a: [1\nb: 2\n", 2), ("a: 1\n b: 2\n", 2)] {
            let faults = parse(text).unwrap_err();
            let fault = faults.iter().next().unwrap();
            assert!(fault.line >= line && fault.column > 0, "{text:?}: {fault:?}");
        }
    }
}
