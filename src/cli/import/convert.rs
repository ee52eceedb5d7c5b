//! From a row of the source to the content of a record: names, typed cells, the id.
//!
//! Knows mappings and field kinds. Does not know formats, files or the engine.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use crate::schema::{Kind, Schema};
use crate::util::json;

/// What to do with each row.
#[derive(Debug, Default)]
pub(super) struct Conversion {
    /// Column to field; `None` leaves the column out.
    fields: HashMap<String, Option<String>>,
    id_column: Option<String>,
    /// Cells of text that a schema gives a kind; rows of JSON have their kinds already.
    kinds: Option<HashMap<String, Kind>>,
}

impl Conversion {
    /// `maps` are `column=field`, an empty field leaves the column out.
    ///
    /// # Errors
    /// A map that is no pair, two columns for one field, and with `columns` a column that is not there.
    pub(super) fn new(
        maps: &[String],
        id_column: Option<&str>,
        columns: Option<&[String]>,
    ) -> Result<Self> {
        let mut conversion = Self { id_column: id_column.map(str::to_owned), ..Self::default() };
        let is_there = |column: &str| match columns {
            Some(columns) if !columns.iter().any(|c| c == column) => {
                bail!("there is no column {column:?}; the columns are {}", columns.join(", "))
            }
            _ => Ok(()),
        };
        for map in maps {
            let Some((column, field)) = map.split_once('=') else {
                bail!("--map {map:?}: COLUMN=FIELD is expected");
            };
            is_there(column)?;
            let field = (!field.is_empty()).then(|| field.to_owned());
            if conversion.fields.insert(column.to_owned(), field).is_some() {
                bail!("--map names column {column:?} twice");
            }
        }
        id_column.map_or(Ok(()), is_there)?;
        for column in columns.unwrap_or_default() {
            let field = conversion.field(column);
            let same = |other: &&String| *other != column && conversion.field(other) == field;
            if field.is_some()
                && let Some(other) = columns.unwrap_or_default().iter().find(same)
            {
                bail!("columns {column:?} and {other:?} are both field {:?}", field.unwrap_or(""));
            }
        }
        Ok(conversion)
    }

    /// Gives cells of text the kinds of `schema`.
    pub(super) fn type_cells(&mut self, schema: &Schema) {
        let kinds = schema.fields().map(|(name, field)| (name.to_owned(), field.kind)).collect();
        self.kinds = Some(kinds);
    }

    /// The field a column becomes; `None` when it is left out.
    fn field<'a>(&'a self, column: &'a str) -> Option<&'a str> {
        self.fields.get(column).map_or(Some(column), Option::as_deref)
    }

    /// The row's fields under their new names.
    pub(super) fn rename(&self, row: Map<String, Value>) -> Map<String, Value> {
        if self.fields.is_empty() {
            return row;
        }
        row.into_iter()
            .filter_map(|(column, value)| Some((self.field(&column)?.to_owned(), value)))
            .collect()
    }

    /// The id the row brings, and its content.
    ///
    /// # Errors
    /// A sentence for the report: the id is missing or no text or number.
    pub(super) fn apply(
        &self,
        row: Map<String, Value>,
    ) -> Result<(Option<String>, Map<String, Value>), String> {
        let id = match self.id_column.as_ref().map(|column| (column, row.get(column))) {
            None => None,
            Some((_, Some(Value::String(text)))) if !text.is_empty() => Some(text.clone()),
            Some((_, Some(Value::Number(number)))) => Some(number.to_string()),
            Some((column, _)) => return Err(format!("column {column}: no id")),
        };
        let mut content = self.rename(row);
        if let Some(kinds) = &self.kinds {
            content = content
                .into_iter()
                .filter_map(|(field, value)| {
                    let value = match value {
                        Value::String(text) => cell(text, kinds.get(&field).copied())?,
                        other => other,
                    };
                    Some((field, value))
                })
                .collect();
        }
        Ok((id, content))
    }
}

/// A cell as its field's kind wants it; an empty one is absent. What does not fit stays text, so that the check
/// against the schema names it.
fn cell(text: String, kind: Option<Kind>) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    let read = |fits: fn(&Value) -> bool| json::parse(text.trim().as_bytes()).ok().filter(fits);
    let value = match kind {
        Some(Kind::Number) => read(Value::is_number),
        Some(Kind::Boolean) => {
            json::parse(text.trim().to_ascii_lowercase().as_bytes()).ok().filter(Value::is_boolean)
        }
        Some(Kind::Array) => read(Value::is_array),
        Some(Kind::Object) => read(Value::is_object),
        _ => None,
    };
    Some(value.unwrap_or(Value::String(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        json::parse_object(text.as_bytes()).unwrap()
    }

    /// Cells become what the schema says; what cannot stays text and is refused later, never guessed.
    #[test]
    fn cells_get_kinds() {
        let schema = Schema::parse(&object(
            r#"{"n":{"kind":"number"},"b":{"kind":"boolean"},"s":{"kind":"string"},
                "l":{"kind":"array","items":{"kind":"string"}}}"#,
        ))
        .unwrap();
        let mut conversion =
            Conversion::new(&["x=".into(), "m=n".into()], Some("s"), None).unwrap();
        conversion.type_cells(&schema);
        let apply =
            |text| conversion.apply(object(text)).map(|(id, c)| (id, Value::Object(c).to_string()));
        let (id, content) = apply(
            r#"{"m":" 1.50","b":"TRUE","s":"007","l":"[\"a\"]","x":"gone","other":"1","e":""}"#,
        )
        .unwrap();
        assert_eq!(id.unwrap(), "007");
        assert_eq!(content, r#"{"n":1.50,"b":true,"s":"007","l":["a"],"other":"1"}"#);
        assert_eq!(apply(r#"{"m":"1,5","s":"a"}"#).unwrap().1, r#"{"n":"1,5","s":"a"}"#);
        assert_eq!(apply(r#"{"m":"1"}"#).unwrap_err(), "column s: no id");
    }

    #[test]
    fn mappings_are_checked() {
        let columns = ["a".to_owned(), "b".to_owned()];
        let fault = |maps: &[&str], id| {
            let maps: Vec<String> = maps.iter().map(|m| (*m).to_owned()).collect();
            Conversion::new(&maps, id, Some(&columns)).unwrap_err().to_string()
        };
        assert!(fault(&["c=d"], None).contains("no column \"c\"; the columns are a, b"));
        assert!(fault(&["a"], None).contains("COLUMN=FIELD"));
        assert!(fault(&["a=b"], None).contains("both field \"b\""));
        assert!(fault(&[], Some("id")).contains("no column \"id\""));
        assert!(Conversion::new(&["a=b".into(), "b=".into()], None, Some(&columns)).is_ok());
    }
}
