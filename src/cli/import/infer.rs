//! A schema from examples.
//!
//! Knows values and field kinds. Does not know where rows come from.
//!
//! Invariants
//! I1. Every value seen is valid under the schema: a field whose values disagree is left out, which allows anything.
//! I2. Nothing is `required`: a schema can be tightened by hand, but not loosened later.
//! I3. At most [`FIELDS_MAX`] fields are kept, nested ones included.

use serde_json::{Map, Value, json};

use crate::schema::RESERVED_KEYS;
use crate::util::{json as reader, time};

const FIELDS_MAX: usize = 1_000;
/// Deeper structures are not described.
const DEPTH_MAX: usize = 8;
/// A text longer than this, or with line breaks, is `text` rather than `string`.
const STRING_CHARS_MAX: usize = 200;

/// What has been seen of one place.
#[derive(Debug, Default)]
struct Seen {
    text: bool,
    long_text: bool,
    not_a_date: bool,
    number: bool,
    boolean: bool,
    array: Option<Box<Seen>>,
    object: Option<Guess>,
    /// Too deep or too many to describe.
    beyond: bool,
}

/// A growing description of rows.
#[derive(Debug, Default)]
pub(super) struct Guess {
    fields: Vec<(String, Seen)>,
}

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// JSON: they have kinds.
    Typed,
    /// CSV: they are all text.
    Text,
}

impl Guess {
    /// Takes one more row into account.
    pub(super) fn add(&mut self, row: &Map<String, Value>, cells: Cells, left: &mut FieldsLeft) {
        self.add_at(row, cells, left, 0);
        // A row with such a name is refused, so no field of a record ever has it.
        self.fields.retain(|(name, _)| !RESERVED_KEYS.contains(&name.as_str()));
    }

    fn add_at(
        &mut self,
        row: &Map<String, Value>,
        cells: Cells,
        left: &mut FieldsLeft,
        depth: usize,
    ) {
        for (name, value) in row {
            let place = self.fields.iter().position(|(known, _)| known == name);
            let place = match place {
                Some(place) => place,
                None if left.0 == 0 => continue,
                None => {
                    left.0 -= 1;
                    self.fields.push((name.clone(), Seen::default()));
                    self.fields.len() - 1
                }
            };
            self.fields[place].1.add(value, cells, left, depth + 1);
        }
    }

    /// The schema as it would be sent.
    pub(super) fn schema(&self) -> Map<String, Value> {
        self.fields
            .iter()
            .filter_map(|(name, seen)| Some((name.clone(), seen.definition()?)))
            .collect()
    }
}

/// How many more fields are described.
#[derive(Debug)]
pub(super) struct FieldsLeft(usize);

impl Default for FieldsLeft {
    fn default() -> Self {
        Self(FIELDS_MAX)
    }
}

impl Seen {
    fn add(&mut self, value: &Value, cells: Cells, left: &mut FieldsLeft, depth: usize) {
        if depth > DEPTH_MAX {
            self.beyond = true;
            return;
        }
        match value {
            Value::Null => {}
            Value::Bool(_) => self.boolean = true,
            Value::Number(_) => self.number = true,
            Value::String(text) if cells == Cells::Text => self.add_cell(text),
            Value::String(text) => self.add_text(text),
            Value::Array(items) => {
                let inner = self.array.get_or_insert_default();
                for item in items {
                    inner.add(item, cells, left, depth + 1);
                    // An item that is null is no value of any kind.
                    inner.beyond |= item.is_null();
                }
            }
            Value::Object(object) => {
                self.object.get_or_insert_default().add_at(object, cells, left, depth);
            }
        }
    }

    fn add_text(&mut self, text: &str) {
        self.text = true;
        self.long_text |= text.chars().count() > STRING_CHARS_MAX || text.contains('\n');
        self.not_a_date |= !time::is_date_field(text);
    }

    /// A cell is a number only when it is written as JSON writes one: `02134` stays text.
    fn add_cell(&mut self, text: &str) {
        match reader::parse(text.trim().to_ascii_lowercase().as_bytes()) {
            _ if text.is_empty() => {}
            Ok(Value::Number(_)) => self.number = true,
            Ok(Value::Bool(_)) => self.boolean = true,
            _ => self.add_text(text),
        }
        // A cell that is a number here and a word there is a word: see `definition`.
    }

    fn definition(&self) -> Option<Value> {
        let structured = self.array.is_some() || self.object.is_some();
        let kinds =
            [self.text, self.number, self.boolean, self.array.is_some(), self.object.is_some()];
        if self.beyond || kinds.iter().filter(|kind| **kind).count() != 1 {
            return None;
        }
        if !structured {
            let kind = match (self.number, self.boolean) {
                (true, _) => "number",
                (_, true) => "boolean",
                _ if !self.not_a_date => "date",
                _ if self.long_text => "text",
                _ => "string",
            };
            return Some(json!({ "kind": kind }));
        }
        if let Some(object) = &self.object {
            return Some(json!({ "kind": "object", "properties": object.schema() }));
        }
        let items = self.array.as_ref()?.definition()?;
        Some(json!({ "kind": "array", "items": items }))
    }

    /// A column of cells with several readings is text after all.
    fn settle_cells(&mut self) {
        if [self.text, self.number, self.boolean].iter().filter(|kind| **kind).count() > 1 {
            (self.text, self.number, self.boolean, self.not_a_date) = (true, false, false, true);
        }
    }
}

impl Guess {
    /// To be called after the last row of cells: a column that was sometimes a number and sometimes a word is text.
    pub(super) fn settle_cells(&mut self) {
        self.fields.iter_mut().for_each(|(_, seen)| seen.settle_cells());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn guess(rows: &[&str], cells: Cells) -> String {
        let (mut guess, mut left) = (Guess::default(), FieldsLeft::default());
        for row in rows {
            guess.add(&reader::parse_object(row.as_bytes()).unwrap(), cells, &mut left);
        }
        if cells == Cells::Text {
            guess.settle_cells();
        }
        let schema = guess.schema();
        let parsed = Schema::parse(&schema).unwrap();
        if cells == Cells::Typed {
            for row in rows {
                let faults = parsed.validate(&reader::parse_object(row.as_bytes()).unwrap());
                assert!(faults.is_empty(), "I1: {row}: {faults:?}");
            }
        }
        parsed.canonical()
    }

    #[test]
    fn typed_values() {
        let rows = [
            r#"{"n":1,"d":"2024-01-01","s":"x","o":{"a":1},"l":["a"],"mixed":1,"none":null,"e":[]}"#,
            r#"{"n":2.5,"d":"2024-01-01T10:00:00Z","s":"2024-01-01","o":{"b":true},"l":[],"mixed":"x"}"#,
            r#"{"n":null,"long":"a\nb","l":["b"],"m":[1,null],"__proto__":1}"#,
        ];
        assert_eq!(
            guess(&rows, Cells::Typed),
            r#"{"d":{"kind":"date"},"l":{"items":{"kind":"string"},"kind":"array"},"long":{"kind":"text"},"n":{"kind":"number"},"o":{"kind":"object","properties":{"a":{"kind":"number"},"b":{"kind":"boolean"}}},"s":{"kind":"string"}}"#
        );
    }

    /// Postal codes are no numbers; a column that is not always a number is text.
    #[test]
    fn cells_of_text() {
        let rows = [
            r#"{"zip":"02134","age":"7","ok":"true","when":"2024-02-03","code":"12","empty":""}"#,
            r#"{"zip":"90210","age":"8.5","ok":"FALSE","when":"","code":"x1","empty":""}"#,
        ];
        assert_eq!(
            guess(&rows, Cells::Text),
            r#"{"age":{"kind":"number"},"code":{"kind":"string"},"ok":{"kind":"boolean"},"when":{"kind":"date"},"zip":{"kind":"string"}}"#
        );
    }

    /// I3: a hostile file does not grow the guess without end.
    #[test]
    fn fields_are_bounded() {
        let rows: Vec<String> = (0..1_500).map(|n| format!("{{\"f{n}\":1}}")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert_eq!(guess(&rows, Cells::Typed).matches("number").count(), FIELDS_MAX);
    }
}
