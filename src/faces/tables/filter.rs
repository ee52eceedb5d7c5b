//! The `filter`, `q` and `sort` parameters as the engine's conditions and orders (tables 9.5).
//!
//! Invariants
//! F1. At most [`DEPTH_MAX`] levels and [`LEAVES_MAX`] leaves.
//! F2. What the caller may not read cannot be named: the answer is that of a missing table.

use serde_json::{Map, Value};

use super::errors::Failure;
use crate::engine::TableRights;
use crate::schema::filter::{
    Comparison, Filter, Operand, OrderDirection, OrderKey, PATTERN_CHARS_MAX, Test,
};
use crate::schema::tables::{FieldType, Table};
use crate::util::json;
use crate::util::time::parse_instant;

/// SECURITY S57.
const DEPTH_MAX: usize = 6;
const LEAVES_MAX: usize = 100;
const LIST_ITEMS_MAX: usize = 1_000;
const SORT_KEYS_MAX: usize = 10;
const FILTER: &str = "filter";
const SORT: &str = "sort";

/// What a condition or an order may name.
pub(super) struct Names<'t> {
    pub(super) table: &'t Table,
    pub(super) rights: &'t TableRights,
}

/// A named field: how the engine reaches it, and its type where it is one of the table's.
struct Named<'t> {
    operand: Operand,
    kind: Option<&'t FieldType>,
    is_time: bool,
}

impl<'t> Names<'t> {
    fn find(&self, name: &str, parameter: &str) -> Result<Named<'t>, Failure> {
        let system = |operand, is_time| Ok(Named { operand, kind: None, is_time });
        if let Some(field) = self.table.field(name) {
            if !self.rights.reads(name) {
                return Err(Failure::not_found());
            }
            let (operand, is_time) = match field.kind {
                FieldType::CreatedAt => (Operand::CreatedAt, true),
                FieldType::UpdatedAt => (Operand::UpdatedAt, true),
                FieldType::Button => {
                    return Err(Failure::at(parameter, format!("{name} holds nothing")));
                }
                _ => (Operand::Key(name.to_owned()), false),
            };
            return Ok(Named { operand, kind: Some(&field.kind), is_time });
        }
        match name {
            "id" => system(Operand::Id, false),
            "created_at" => system(Operand::CreatedAt, true),
            "updated_at" => system(Operand::UpdatedAt, true),
            // Live records have none.
            "deleted_at" => system(Operand::Key(name.to_owned()), true),
            _ => Err(Failure::at(parameter, format!("there is no field {name:?}"))),
        }
    }

    /// The `filter` parameter: JSON, or `field:value`.
    pub(super) fn filter(&self, text: &str) -> Result<Filter, Failure> {
        if text.trim_start().starts_with(['{', '[', '"']) {
            let written = json::parse(text.as_bytes())
                .map_err(|fault| Failure::at(FILTER, fault.to_string()))?;
            return self.node(&written, 1, &mut 0);
        }
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| Failure::at(FILTER, "must be JSON, or field:value"))?;
        self.test(&self.find(name, FILTER)?, "equals", Some(&Value::from(value)))
    }

    fn node(&self, written: &Value, depth: usize, leaves: &mut usize) -> Result<Filter, Failure> {
        let fault = |message: &str| Failure::at(FILTER, message);
        let Value::Object(members) = written else { return Err(fault("must be an object")) };
        if depth > DEPTH_MAX {
            return Err(Failure::at(FILTER, format!("nests deeper than {DEPTH_MAX}")));
        }
        for (word, all) in [("and", true), ("or", false)] {
            let Some(parts) = members.get(word) else { continue };
            let parts = parts.as_array().ok_or_else(|| fault("and and or hold lists"))?;
            let parts: Result<Vec<Filter>, Failure> =
                parts.iter().map(|part| self.node(part, depth + 1, leaves)).collect();
            return Ok(if all { Filter::And(parts?) } else { Filter::Or(parts?) });
        }
        *leaves += 1;
        if *leaves > LEAVES_MAX {
            return Err(Failure::at(FILTER, format!("has more than {LEAVES_MAX} conditions")));
        }
        self.leaf(members)
    }

    fn leaf(&self, members: &Map<String, Value>) -> Result<Filter, Failure> {
        let word = |key: &str| members.get(key).and_then(Value::as_str);
        let (Some(name), Some(operator)) = (word("field"), word("operator")) else {
            return Err(Failure::at(FILTER, "a condition has a field and an operator"));
        };
        self.test(&self.find(name, FILTER)?, operator, members.get("value"))
    }

    fn test(
        &self,
        named: &Named<'_>,
        operator: &str,
        value: Option<&Value>,
    ) -> Result<Filter, Failure> {
        let is = |test| Filter::Is(named.operand.clone(), test);
        let not = |filter| Filter::Not(Box::new(filter));
        let fault = |message: String| Failure::at(FILTER, message);
        let given = || value.ok_or_else(|| fault(format!("{operator} needs a value")));
        let equal = |value: &Value| match value {
            Value::Null => Ok(not(is(Test::Present))),
            value => named.comparable(value).map(|value| is(Test::Equal(value))).map_err(&fault),
        };
        let compare = |comparison| {
            let value = named.comparable(given()?).map_err(&fault)?;
            Ok(is(Test::Compare(comparison, value)))
        };
        let pattern = |before: &str, after: &str| {
            let text = match given()? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let pattern = format!("{before}{}{after}", escaped(&text));
            match pattern.chars().count() <= PATTERN_CHARS_MAX {
                true => Ok(is(Test::Like(pattern))),
                false => Err(fault("the text is too long".to_owned())),
            }
        };
        let among = || {
            let values = given()?.as_array().ok_or_else(|| fault("in needs a list".to_owned()))?;
            if values.len() > LIST_ITEMS_MAX {
                return Err(fault(format!("a list has at most {LIST_ITEMS_MAX} values")));
            }
            let (nulls, others): (Vec<&Value>, Vec<&Value>) =
                values.iter().partition(|value| value.is_null());
            let values: Result<Vec<Value>, String> =
                others.into_iter().map(|value| named.comparable(value)).collect();
            let found = is(Test::In(values.map_err(&fault)?));
            Ok(match nulls.is_empty() {
                true => found,
                false => Filter::Or(vec![not(is(Test::Present)), found]),
            })
        };
        let empty = || {
            let nothing = [Value::from(""), Value::Array(Vec::new())];
            let mut parts = vec![not(is(Test::Present))];
            parts.extend(nothing.map(|value| is(Test::Equal(value))));
            Filter::Or(parts)
        };
        match operator {
            "equals" | "eq" => equal(given()?),
            "notEquals" | "neq" => Ok(not(equal(given()?)?)),
            "greaterThan" | "gt" => compare(Comparison::Greater),
            "lessThan" | "lt" => compare(Comparison::Less),
            "greaterThanOrEqual" | "gte" => compare(Comparison::GreaterOrEqual),
            "lessThanOrEqual" | "lte" => compare(Comparison::LessOrEqual),
            "contains" if named.kind.is_some_and(FieldType::is_list) => {
                Ok(is(Test::Contains(given()?.clone())))
            }
            "contains" => pattern("%", "%"),
            "startsWith" => pattern("", "%"),
            "endsWith" => pattern("%", ""),
            "in" => among(),
            "notIn" => Ok(not(among()?)),
            "isNull" => Ok(not(is(Test::Present))),
            "isNotNull" => Ok(is(Test::Present)),
            "isEmpty" => Ok(empty()),
            "isNotEmpty" => Ok(not(empty())),
            "isTrue" => Ok(is(Test::Equal(Value::Bool(true)))),
            "isFalse" => Ok(not(is(Test::Equal(Value::Bool(true))))),
            _ => Err(fault(format!("there is no operator {operator:?}"))),
        }
    }

    /// The `q` parameter: a part of some text that the caller may read.
    pub(super) fn search(&self, text: &str) -> Result<Filter, Failure> {
        let pattern = format!("%{}%", escaped(text));
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            return Err(Failure::at("q", "the text is too long"));
        }
        let holds =
            |name: &str| Filter::Is(Operand::Key(name.to_owned()), Test::Like(pattern.clone()));
        let texts = self.table.fields.iter().filter(|field| {
            matches!(field.kind, FieldType::Text(_) | FieldType::Choice(_))
                && self.rights.reads(&field.name)
        });
        Ok(Filter::Or(texts.take(LEAVES_MAX).map(|field| holds(&field.name)).collect()))
    }

    /// The `sort` parameter; `order` is the direction of keys that say none.
    pub(super) fn sort(&self, text: &str, order: Option<&str>) -> Result<Vec<OrderKey>, Failure> {
        let direction = |word: &str| match word {
            "asc" => Ok(OrderDirection::Ascending),
            "desc" => Ok(OrderDirection::Descending),
            _ => Err(Failure::at(SORT, "a direction is asc or desc")),
        };
        let otherwise = direction(order.unwrap_or("asc"))?;
        let mut keys = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, direction) = match part.split_once(':') {
                Some((name, word)) => (name, direction(word)?),
                None => (part, otherwise),
            };
            let operand = self.find(name, SORT)?.operand;
            // Ids are numbers given in the order of creation, which is how ties end.
            if operand == Operand::Id {
                keys.push(OrderKey { operand: Operand::CreatedAt, direction });
            }
            keys.push(OrderKey { operand, direction });
        }
        if keys.len() > SORT_KEYS_MAX {
            return Err(Failure::at(SORT, format!("at most {SORT_KEYS_MAX} keys")));
        }
        Ok(keys)
    }
}

impl Named<'_> {
    fn comparable(&self, value: &Value) -> Result<Value, String> {
        match (self.kind, value) {
            (Some(kind), _) => kind.comparable(value),
            (None, Value::String(text)) if self.is_time => {
                let ms = parse_instant(text).ok_or("must be a date and time")?;
                Ok(Value::from(ms))
            }
            (None, Value::String(_)) => Ok(value.clone()),
            (None, Value::Number(number)) if !self.is_time => Ok(Value::String(number.to_string())),
            (None, _) => Err("must be a text or a number".to_owned()),
        }
    }
}

/// Literal text in a pattern.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
