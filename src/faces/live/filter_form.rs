//! Filters as clients write them (live 6.1, 6.2) become a [`Filter`].
//!
//! Two spellings: the map (`{"done": false, "age": {"$gte": 18}}`) and the list of predicates
//! (`[{"field": "age", "op": ">=", "value": 18}]`), the latter with symbols and legacy names too.
//! Operands may hold placeholders (`$auth.userId`), which a [`Placeholders`] gives their value. A
//! value put in for one is an operand and never becomes an operator, whatever it holds.
//!
//! Knows the syntax and its limits. Does not know records: what a filter means is in
//! [`crate::schema::filter`].
//!
//! Invariants
//! F1. A filter that was read nests at most [`BOOLEAN_DEPTH_MAX`] booleans (plus the one a negated
//!     operator adds), and one [`FilterReader`] reads at most [`PREDICATES_MAX`] predicates.
//! F2. A predicate with a placeholder that has no value holds for no record, and neither does a
//!     negation of one: a missing claim can only take records away.

use serde_json::Value;

use super::fault::{FormFault, quoted};
use super::names::is_field;
use crate::schema::filter::{Comparison, FieldPath, Filter, Operand, Test};

/// Predicates in one request.
pub const PREDICATES_MAX: usize = 200;
/// Elements of one `$in` or `$nin`.
pub const LIST_ITEMS_MAX: usize = 1_000;
/// How deep `$and`, `$or` and `$not` may nest.
pub const BOOLEAN_DEPTH_MAX: usize = 6;
/// The longest `$like` pattern.
pub const LIKE_BYTES_MAX: usize = 1_000;

/// What a text in operand position stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// Itself.
    Literal,
    /// Another text: a placeholder whose `$` was escaped.
    Text(String),
    /// A placeholder that has no value now.
    Missing,
    Value(Value),
}

/// Gives placeholders their values.
pub trait Placeholders {
    fn lookup(&self, text: &str) -> Lookup;
}

/// For requests of clients, where every text stands for itself.
#[derive(Clone, Copy, Debug)]
pub struct NoPlaceholders;

impl Placeholders for NoPlaceholders {
    fn lookup(&self, _: &str) -> Lookup {
        Lookup::Literal
    }
}

/// One comparison of a field with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Compare(Comparison),
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    Like,
    Exists,
}

impl Operator {
    /// By the documented name with its `$`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "$eq" => Self::Equal,
            "$ne" => Self::NotEqual,
            "$gt" => Self::Compare(Comparison::Greater),
            "$gte" => Self::Compare(Comparison::GreaterOrEqual),
            "$lt" => Self::Compare(Comparison::Less),
            "$lte" => Self::Compare(Comparison::LessOrEqual),
            "$in" => Self::In,
            "$nin" => Self::NotIn,
            "$contains" => Self::Contains,
            "$startsWith" => Self::StartsWith,
            "$endsWith" => Self::EndsWith,
            "$like" | "$ilike" => Self::Like,
            "$exists" => Self::Exists,
            _ => return None,
        })
    }

    /// By symbol, legacy name (any case) or documented name.
    #[must_use]
    pub fn spelled(name: &str) -> Option<Self> {
        Some(match name {
            "=" | "==" => Self::Equal,
            "!=" => Self::NotEqual,
            ">" => Self::Compare(Comparison::Greater),
            ">=" => Self::Compare(Comparison::GreaterOrEqual),
            "<" => Self::Compare(Comparison::Less),
            "<=" => Self::Compare(Comparison::LessOrEqual),
            "not-in" => Self::NotIn,
            "array-contains" => Self::Contains,
            "starts-with" => Self::StartsWith,
            _ => match name.to_ascii_lowercase().as_str() {
                "eq" => Self::Equal,
                "neq" => Self::NotEqual,
                "gt" => Self::Compare(Comparison::Greater),
                "gte" => Self::Compare(Comparison::GreaterOrEqual),
                "lt" => Self::Compare(Comparison::Less),
                "lte" => Self::Compare(Comparison::LessOrEqual),
                "contains" => Self::Contains,
                "like" => Self::Like,
                "in" => Self::In,
                _ => return Self::named(name),
            },
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Equal => "$eq",
            Self::NotEqual => "$ne",
            Self::Compare(Comparison::Greater) => "$gt",
            Self::Compare(Comparison::GreaterOrEqual) => "$gte",
            Self::Compare(Comparison::Less) => "$lt",
            Self::Compare(Comparison::LessOrEqual) => "$lte",
            Self::In => "$in",
            Self::NotIn => "$nin",
            Self::Contains => "$contains",
            Self::StartsWith => "$startsWith",
            Self::EndsWith => "$endsWith",
            Self::Like => "$like",
            Self::Exists => "$exists",
        }
    }
}

/// An operand after its placeholders got their values.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// As the client wrote it: a wrong type is the client's fault.
    Written(Value),
    /// With something put in: a wrong type is nobody's fault, and holds for no record.
    Filled(Value),
    Missing,
}

/// A filter, and whether it depended on a placeholder without a value.
struct Read {
    filter: Filter,
    missing: bool,
}

impl Read {
    fn plain(filter: Filter) -> Self {
        Self { filter, missing: false }
    }

    const MISSING: Self = Self { filter: Filter::False, missing: true };
}

/// Reads the filters of one request; the predicates of all of them count together.
pub struct FilterReader<'a> {
    values: &'a dyn Placeholders,
    predicates: usize,
}

/// Reads one filter in which every text stands for itself.
///
/// # Errors
/// [`FormFault`], naming the unknown operator or the operand of a wrong type.
pub fn parse_filter(value: &Value) -> Result<Filter, FormFault> {
    FilterReader::new(&NoPlaceholders).read(value)
}

/// The operand that a field name or dotted path of a filter or an order stands for.
///
/// # Errors
/// The name is no field name.
pub fn operand_of(field: &str) -> Result<Operand, FormFault> {
    match field {
        "id" => Ok(Operand::Id),
        "createdAt" => Ok(Operand::CreatedAt),
        "updatedAt" => Ok(Operand::UpdatedAt),
        _ if is_field(field) => Ok(Operand::Field(FieldPath(field.to_owned()))),
        _ => Err(FormFault::invalid(format!("{:?} is not a field name", quoted(field)))),
    }
}

/// The field name that [`operand_of`] read.
#[must_use]
pub fn field_of(operand: &Operand) -> &str {
    match operand {
        Operand::Field(path) => &path.0,
        Operand::Key(name) => name,
        Operand::Id => "id",
        Operand::CreatedAt => "createdAt",
        Operand::UpdatedAt => "updatedAt",
        // No live filter names the author; rules and clients have `$auth.userId` and fields.
        Operand::Subject => "",
    }
}

/// Calls `each` with every field a filter looks at.
pub fn each_field<'f>(filter: &'f Filter, each: &mut dyn FnMut(&'f str)) {
    match filter {
        Filter::True | Filter::False => {}
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter().for_each(|part| each_field(part, each));
        }
        Filter::Not(part) => each_field(part, each),
        Filter::Is(operand, _) => each(field_of(operand)),
    }
}

/// All of them hold; one is itself, none is true.
#[must_use]
pub fn all_of(mut parts: Vec<Filter>) -> Filter {
    parts.retain(|part| *part != Filter::True);
    match parts.len() {
        0 => Filter::True,
        1 => parts.swap_remove(0),
        _ => Filter::And(parts),
    }
}

/// At least one holds; one is itself, none is false.
#[must_use]
pub fn any_of(mut parts: Vec<Filter>) -> Filter {
    parts.retain(|part| *part != Filter::False);
    match parts.len() {
        0 => Filter::False,
        1 => parts.swap_remove(0),
        _ => Filter::Or(parts),
    }
}

impl<'a> FilterReader<'a> {
    #[must_use]
    pub fn new(values: &'a dyn Placeholders) -> Self {
        Self { values, predicates: 0 }
    }

    /// Reads a filter in map form or as a list of predicates.
    ///
    /// # Errors
    /// [`FormFault`].
    pub fn read(&mut self, value: &Value) -> Result<Filter, FormFault> {
        match value {
            Value::Object(_) => Ok(self.map(value, 0)?.filter),
            Value::Array(predicates) => self.list(predicates),
            _ => Err(FormFault::invalid("$where must be an object or a list of predicates")),
        }
    }

    /// Reads a filter in map form only, as rules have it.
    ///
    /// # Errors
    /// [`FormFault`].
    pub fn read_map(&mut self, value: &Value) -> Result<Filter, FormFault> {
        Ok(self.map(value, 0)?.filter)
    }

    /// Gives the placeholders inside an operand their values.
    #[must_use]
    pub fn resolve(&self, written: &Value) -> Resolved {
        let mut filled = false;
        match self.fill(written, &mut filled) {
            None => Resolved::Missing,
            Some(value) if filled => Resolved::Filled(value),
            Some(value) => Resolved::Written(value),
        }
    }

    /// One predicate.
    ///
    /// # Errors
    /// The operand has a type the operator does not take, or a limit is exceeded.
    pub fn predicate(
        &mut self,
        operand: &Operand,
        operator: Operator,
        value: Resolved,
    ) -> Result<Filter, FormFault> {
        Ok(self.test(operand, operator, value)?.filter)
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<Read, FormFault> {
        let entries = match value {
            Value::Bool(true) => return Ok(Read::plain(Filter::True)),
            Value::Bool(false) => return Ok(Read::plain(Filter::False)),
            Value::Object(entries) => entries,
            _ => return Err(FormFault::invalid("a filter must be an object")),
        };
        let mut parts = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            parts.push(match key.as_str() {
                "$and" | "$or" => self.joined(key, value, deeper(depth)?)?,
                "$not" => negated(self.map(value, deeper(depth)?)?),
                _ if key.starts_with('$') => return Err(unknown_operator(key)),
                _ => self.entry(key, value, depth)?,
            });
        }
        Ok(join(parts, all_of))
    }

    fn joined(&mut self, key: &str, value: &Value, depth: usize) -> Result<Read, FormFault> {
        let Value::Array(elements) = value else {
            return Err(FormFault::invalid(format!("{key} must be an array of filters")));
        };
        if elements.len() > PREDICATES_MAX {
            return Err(too_many_predicates());
        }
        let mut parts = Vec::with_capacity(elements.len());
        for element in elements {
            parts.push(self.map(element, depth)?);
        }
        Ok(join(parts, if key == "$and" { all_of } else { any_of }))
    }

    /// `field: value` or `field: {"$op": value, …}`.
    fn entry(&mut self, field: &str, value: &Value, depth: usize) -> Result<Read, FormFault> {
        let operand = operand_of(field)?;
        match value {
            Value::Object(operators) if operators.keys().any(|key| key.starts_with('$')) => {
                self.operators(&operand, value, depth)
            }
            _ => self.test(&operand, Operator::Equal, self.resolve(value)),
        }
    }

    fn operators(
        &mut self,
        operand: &Operand,
        value: &Value,
        depth: usize,
    ) -> Result<Read, FormFault> {
        let Some(operators) = value.as_object().filter(|operators| !operators.is_empty()) else {
            return Err(FormFault::invalid(format!(
                "{}: $not takes an object of operators",
                quoted(field_of(operand))
            )));
        };
        let mut parts = Vec::with_capacity(operators.len());
        for (name, value) in operators {
            if name == "$not" {
                parts.push(negated(self.operators(operand, value, deeper(depth)?)?));
            } else if let Some(operator) = Operator::named(name) {
                parts.push(self.test(operand, operator, self.resolve(value))?);
            } else if name.starts_with('$') {
                return Err(unknown_operator(name));
            } else {
                return Err(FormFault::invalid(format!(
                    "{}: operators and plain keys cannot be mixed",
                    quoted(field_of(operand))
                )));
            }
        }
        Ok(join(parts, all_of))
    }

    fn list(&mut self, predicates: &[Value]) -> Result<Filter, FormFault> {
        if predicates.len() > PREDICATES_MAX {
            return Err(too_many_predicates());
        }
        let mut parts = Vec::with_capacity(predicates.len());
        for (n, predicate) in predicates.iter().enumerate() {
            let Value::Object(predicate) = predicate else {
                return Err(FormFault::invalid(format!("where[{n}] must be an object")));
            };
            let field = field_name(predicate)
                .ok_or_else(|| FormFault::invalid(format!("where[{n}] needs a field")))?;
            let name = predicate
                .get("op")
                .and_then(Value::as_str)
                .ok_or_else(|| FormFault::invalid(format!("where[{n}] needs an op")))?;
            let operator = Operator::spelled(name).ok_or_else(|| unknown_operator(name))?;
            let value = self.resolve(predicate.get("value").unwrap_or(&Value::Null));
            parts.push(self.test(&operand_of(field)?, operator, value)?.filter);
        }
        Ok(all_of(parts))
    }

    fn test(
        &mut self,
        operand: &Operand,
        operator: Operator,
        value: Resolved,
    ) -> Result<Read, FormFault> {
        self.predicates += 1;
        if self.predicates > PREDICATES_MAX {
            return Err(too_many_predicates());
        }
        let (value, filled) = match value {
            Resolved::Written(value) => (value, false),
            Resolved::Filled(value) => (value, true),
            Resolved::Missing => return Ok(Read::MISSING),
        };
        let wrong = |wanted: &str| {
            if filled {
                return Ok(Read::MISSING);
            }
            Err(FormFault::invalid(format!(
                "{}: {} takes {wanted}",
                quoted(field_of(operand)),
                operator.name()
            )))
        };
        let is = |test: Test| Filter::Is(operand.clone(), test);
        let not = |test: Test| Filter::Not(Box::new(Filter::Is(operand.clone(), test)));
        let filter = match (operator, value) {
            (Operator::Equal, value) => is(Test::Equal(value)),
            (Operator::NotEqual, value) => not(Test::Equal(value)),
            (Operator::Compare(how), value @ (Value::Number(_) | Value::String(_))) => {
                is(Test::Compare(how, value))
            }
            // Nothing is more or less than null (6.3).
            (Operator::Compare(_), Value::Null) => Filter::False,
            (Operator::Compare(_), _) => return wrong("a number or a string"),
            (Operator::In | Operator::NotIn, Value::Array(items))
                if items.len() > LIST_ITEMS_MAX =>
            {
                return Err(FormFault::too_complex(format!(
                    "{} allows {LIST_ITEMS_MAX} elements, got {}",
                    operator.name(),
                    items.len()
                )));
            }
            (Operator::In, Value::Array(items)) if items.is_empty() => Filter::False,
            (Operator::In, Value::Array(items)) => is(Test::In(items)),
            (Operator::NotIn, Value::Array(items)) if items.is_empty() => Filter::True,
            (Operator::NotIn, Value::Array(items)) => not(Test::In(items)),
            (Operator::In | Operator::NotIn, _) => return wrong("an array"),
            (Operator::Contains, value) => is(Test::Contains(value)),
            (Operator::StartsWith, Value::String(text)) => is(Test::StartsWith(text)),
            (Operator::EndsWith, Value::String(text)) => is(Test::EndsWith(text)),
            (Operator::Like, Value::String(pattern)) if pattern.len() > LIKE_BYTES_MAX => {
                return Err(FormFault::too_complex(format!(
                    "a $like pattern may have {LIKE_BYTES_MAX} bytes"
                )));
            }
            (Operator::Like, Value::String(pattern)) => is(Test::Like(pattern)),
            (Operator::StartsWith | Operator::EndsWith | Operator::Like, _) => {
                return wrong("a string");
            }
            (Operator::Exists, Value::Bool(true)) => is(Test::Present),
            (Operator::Exists, Value::Bool(false)) => not(Test::Present),
            (Operator::Exists, _) => return wrong("true or false"),
        };
        Ok(Read::plain(filter))
    }

    /// `None` when a placeholder has no value. Recursion is bounded by the depth of parsed JSON.
    fn fill(&self, written: &Value, filled: &mut bool) -> Option<Value> {
        Some(match written {
            Value::String(text) => match self.values.lookup(text) {
                Lookup::Literal => written.clone(),
                Lookup::Text(text) => Value::String(text),
                Lookup::Missing => return None,
                Lookup::Value(value) => {
                    *filled = true;
                    value
                }
            },
            Value::Array(items) => Value::Array(
                items.iter().map(|item| self.fill(item, filled)).collect::<Option<_>>()?,
            ),
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, value)| Some((key.clone(), self.fill(value, filled)?)))
                    .collect::<Option<_>>()?,
            ),
            _ => written.clone(),
        })
    }
}

/// The `field` or `attribute` of a predicate or an order; of `<entity>/<name>` the name.
pub(super) fn field_name(of: &serde_json::Map<String, Value>) -> Option<&str> {
    if let Some(field) = of.get("field") {
        return field.as_str();
    }
    let attribute = of.get("attribute")?.as_str()?;
    Some(attribute.rsplit_once('/').map_or(attribute, |(_, name)| name))
}

fn join(parts: Vec<Read>, how: fn(Vec<Filter>) -> Filter) -> Read {
    let missing = parts.iter().any(|part| part.missing);
    Read { filter: how(parts.into_iter().map(|part| part.filter).collect()), missing }
}

fn negated(part: Read) -> Read {
    if part.missing {
        return Read::MISSING;
    }
    Read::plain(Filter::Not(Box::new(part.filter)))
}

fn deeper(depth: usize) -> Result<usize, FormFault> {
    if depth >= BOOLEAN_DEPTH_MAX {
        return Err(FormFault::too_complex(format!(
            "$and, $or and $not may nest {BOOLEAN_DEPTH_MAX} deep"
        )));
    }
    Ok(depth + 1)
}

fn unknown_operator(name: &str) -> FormFault {
    FormFault::invalid(format!("unknown operator {:?}", quoted(name)))
}

fn too_many_predicates() -> FormFault {
    FormFault::too_complex(format!("a query may have {PREDICATES_MAX} predicates"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::json;

    fn field(name: &str, test: Test) -> Filter {
        Filter::Is(Operand::Field(FieldPath(name.to_owned())), test)
    }

    fn not(filter: Filter) -> Filter {
        Filter::Not(Box::new(filter))
    }

    fn more(how: Comparison, value: Value) -> Test {
        Test::Compare(how, value)
    }

    #[test]
    fn every_operator() {
        let cases = [
            (json!({}), Filter::True),
            (json!({"f": 1}), field("f", Test::Equal(json!(1)))),
            (json!({"f": null}), field("f", Test::Equal(Value::Null))),
            (json!({"f": [1]}), field("f", Test::Equal(json!([1])))),
            (json!({"f": {}}), field("f", Test::Equal(json!({})))),
            (json!({"f": {"a": 1}}), field("f", Test::Equal(json!({"a": 1})))),
            (json!({"f": {"$eq": {"$x": 1}}}), field("f", Test::Equal(json!({"$x": 1})))),
            (json!({"f": {"$ne": 5}}), not(field("f", Test::Equal(json!(5))))),
            (json!({"f": {"$gt": 1}}), field("f", more(Comparison::Greater, json!(1)))),
            (json!({"f": {"$gte": 1}}), field("f", more(Comparison::GreaterOrEqual, json!(1)))),
            (json!({"f": {"$lt": "a"}}), field("f", more(Comparison::Less, json!("a")))),
            (json!({"f": {"$lte": 1}}), field("f", more(Comparison::LessOrEqual, json!(1)))),
            (json!({"f": {"$lte": null}}), Filter::False),
            (json!({"f": {"$in": [1, null]}}), field("f", Test::In(vec![json!(1), Value::Null]))),
            (json!({"f": {"$in": []}}), Filter::False),
            (json!({"f": {"$nin": [1]}}), not(field("f", Test::In(vec![json!(1)])))),
            (json!({"f": {"$nin": []}}), Filter::True),
            (json!({"f": {"$contains": "x"}}), field("f", Test::Contains(json!("x")))),
            (json!({"f": {"$startsWith": "x"}}), field("f", Test::StartsWith("x".into()))),
            (json!({"f": {"$endsWith": "x"}}), field("f", Test::EndsWith("x".into()))),
            (json!({"f": {"$like": "x%"}}), field("f", Test::Like("x%".into()))),
            (json!({"f": {"$ilike": "x%"}}), field("f", Test::Like("x%".into()))),
            (json!({"f": {"$exists": true}}), field("f", Test::Present)),
            (json!({"f": {"$exists": false}}), not(field("f", Test::Present))),
            (json!({"f": {"$not": {"$eq": 1}}}), not(field("f", Test::Equal(json!(1))))),
            (
                json!({"f": {"$gt": 1, "$lt": 5}}),
                Filter::And(vec![
                    field("f", more(Comparison::Greater, json!(1))),
                    field("f", more(Comparison::Less, json!(5))),
                ]),
            ),
            (json!({"id": "a"}), Filter::Is(Operand::Id, Test::Equal(json!("a")))),
            (json!({"createdAt": 1}), Filter::Is(Operand::CreatedAt, Test::Equal(json!(1)))),
            (json!({"updatedAt": 1}), Filter::Is(Operand::UpdatedAt, Test::Equal(json!(1)))),
            (json!({"address.city": "x"}), field("address.city", Test::Equal(json!("x")))),
            (json!({"$and": []}), Filter::True),
            (json!({"$or": []}), Filter::False),
            (json!({"$and": [true, false]}), Filter::False),
            (
                json!({"$or": [{"a": 1}, {"b": 2}]}),
                Filter::Or(vec![
                    field("a", Test::Equal(json!(1))),
                    field("b", Test::Equal(json!(2))),
                ]),
            ),
            (json!({"$not": {"a": 1}}), not(field("a", Test::Equal(json!(1))))),
            // A text of a client is never a placeholder.
            (json!({"f": "$auth.userId"}), field("f", Test::Equal(json!("$auth.userId")))),
        ];
        for (written, wanted) in cases {
            assert_eq!(parse_filter(&written), Ok(wanted), "{written}");
        }
    }

    #[test]
    fn predicates_by_symbol_and_legacy_name() {
        let cases = [
            ("=", "$eq"),
            ("==", "$eq"),
            ("!=", "$ne"),
            (">", "$gt"),
            (">=", "$gte"),
            ("<", "$lt"),
            ("<=", "$lte"),
            ("contains", "$contains"),
            ("array-contains", "$contains"),
            ("starts-with", "$startsWith"),
            ("Eq", "$eq"),
            ("NEQ", "$ne"),
            ("gt", "$gt"),
            ("Gte", "$gte"),
            ("Lt", "$lt"),
            ("lte", "$lte"),
            ("Contains", "$contains"),
            ("LIKE", "$like"),
            ("$like", "$like"),
        ];
        for (spelled, name) in cases {
            let list = json!([{"field": "f", "op": spelled, "value": "x"}]);
            assert_eq!(parse_filter(&list), parse_filter(&json!({"f": {name: "x"}})), "{spelled}");
        }
        for (spelled, name) in [("in", "$in"), ("In", "$in"), ("not-in", "$nin")] {
            let list = json!([{"field": "f", "op": spelled, "value": [1]}]);
            assert_eq!(parse_filter(&list), parse_filter(&json!({"f": {name: [1]}})), "{spelled}");
        }
        let legacy = json!([{"attribute": "todos/done", "op": "Eq", "value": false}]);
        assert_eq!(parse_filter(&legacy), parse_filter(&json!({"done": false})));
        assert_eq!(parse_filter(&json!([])), Ok(Filter::True));
    }

    #[test]
    fn faults_name_what_is_wrong() {
        let cases = [
            (json!({"f": {"$regex": "x"}}), "$regex"),
            (json!({"$nor": []}), "$nor"),
            (json!({"f": {"$gt": 1, "x": 2}}), "mixed"),
            (json!({"f": {"x": 1, "$gt": 2}}), "mixed"),
            (json!({"f": {"$in": 1}}), "f: $in takes an array"),
            (json!({"f": {"$nin": "a"}}), "$nin takes an array"),
            (json!({"f": {"$like": 1}}), "$like takes a string"),
            (json!({"f": {"$startsWith": null}}), "$startsWith takes a string"),
            (json!({"f": {"$gt": true}}), "$gt takes a number or a string"),
            (json!({"f": {"$gt": []}}), "$gt takes a number or a string"),
            (json!({"f": {"$exists": 1}}), "$exists takes true or false"),
            (json!({"f": {"$not": 1}}), "$not takes an object"),
            (json!({"f": {"$not": {}}}), "$not takes an object"),
            (json!({"f": {"$not": {"a": 1}}}), "mixed"),
            (json!({"$and": {}}), "$and must be an array"),
            (json!({"$or": [1]}), "must be an object"),
            (json!({"$not": []}), "must be an object"),
            (json!({"": 1}), "not a field name"),
            (json!({"a\u{0}": 1}), "not a field name"),
            (json!("x"), "must be an object or a list"),
            (json!([1]), "where[0]"),
            (json!([{"op": "=", "value": 1}]), "needs a field"),
            (json!([{"field": "a", "value": 1}]), "needs an op"),
            (json!([{"field": "a", "op": "~", "value": 1}]), "\"~\""),
            (json!([{"field": "a", "op": "regex", "value": 1}]), "\"regex\""),
        ];
        for (written, part) in cases {
            match parse_filter(&written) {
                Err(FormFault::InvalidArgument { message, .. }) => {
                    assert!(message.contains(part), "{written}: {message}");
                }
                other => panic!("{written}: {other:?}"),
            }
        }
    }

    #[test]
    fn limits() {
        let nested = |levels: usize, key: &str| {
            (0..levels).fold(json!({"a": 1}), |inner, _| match key {
                "$not" => json!({"$not": inner}),
                _ => json!({key: [inner, {"b": 1}]}),
            })
        };
        for key in ["$and", "$or", "$not"] {
            assert!(parse_filter(&nested(6, key)).is_ok(), "{key}");
            assert!(matches!(parse_filter(&nested(7, key)), Err(FormFault::TooComplex(_))));
        }
        let many = |n: usize| json!({"$or": (0..n).map(|n| json!({"a": n})).collect::<Vec<_>>()});
        assert!(parse_filter(&many(200)).is_ok());
        assert!(matches!(parse_filter(&many(201)), Err(FormFault::TooComplex(_))));
        let list = |n: usize| json!({"a": {"$in": vec![1; n]}});
        assert!(parse_filter(&list(1_000)).is_ok());
        assert!(matches!(parse_filter(&list(1_001)), Err(FormFault::TooComplex(_))));
        let like = json!({"a": {"$like": "x".repeat(1_001)}});
        assert!(matches!(parse_filter(&like), Err(FormFault::TooComplex(_))));
    }

    struct Sample;

    impl Placeholders for Sample {
        fn lookup(&self, text: &str) -> Lookup {
            match text {
                "$me" => Lookup::Value(json!("usr_a")),
                "$teams" => Lookup::Value(json!(["a", "b"])),
                "$evil" => Lookup::Value(json!({"$ne": null})),
                "$none" => Lookup::Missing,
                _ if text.starts_with("$$") => Lookup::Text(text[1..].to_owned()),
                _ => Lookup::Literal,
            }
        }
    }

    fn with_sample(written: &Value) -> Filter {
        FilterReader::new(&Sample).read(written).unwrap()
    }

    #[test]
    fn placeholders_get_their_values() {
        let cases = [
            (json!({"f": "$me"}), field("f", Test::Equal(json!("usr_a")))),
            (json!({"f": {"$in": "$teams"}}), field("f", Test::In(vec![json!("a"), json!("b")]))),
            (
                json!({"f": {"$in": ["$me", "x"]}}),
                field("f", Test::In(vec![json!("usr_a"), json!("x")])),
            ),
            (json!({"f": "$$me"}), field("f", Test::Equal(json!("$me")))),
            (json!({"f": {"a": "$me"}}), field("f", Test::Equal(json!({"a": "usr_a"})))),
            // What was put in is an operand, never an operator.
            (json!({"f": "$evil"}), field("f", Test::Equal(json!({"$ne": null})))),
        ];
        for (written, wanted) in cases {
            assert_eq!(with_sample(&written), wanted, "{written}");
        }
    }

    /// 17.2: a placeholder with no value makes its predicate false, also under every negation.
    #[test]
    fn a_missing_value_only_takes_records_away() {
        let falses = [
            json!({"f": "$none"}),
            json!({"f": {"$ne": "$none"}}),
            json!({"f": {"$nin": ["a", "$none"]}}),
            json!({"f": {"$nin": "$none"}}),
            json!({"f": {"$gt": "$none"}}),
            json!({"f": {"$not": {"$eq": "$none"}}}),
            json!({"f": {"$not": {"$not": {"$eq": "$none"}}}}),
            json!({"$not": {"f": "$none"}}),
            json!({"$not": {"$not": {"f": "$none"}}}),
            json!({"$not": {"$and": [{"f": "$none"}, {"g": 1}]}}),
            json!({"$not": {"$or": [{"f": "$none"}, {"g": 1}]}}),
            json!({"$or": [{"f": "$none"}, {"$not": {"f": {"$ne": "$none"}}}]}),
            // A value of a type the operator does not take is as good as none.
            json!({"f": {"$in": "$me"}}),
            json!({"f": {"$nin": "$me"}}),
            json!({"f": {"$gt": "$teams"}}),
            json!({"$not": {"f": {"$gt": "$teams"}}}),
        ];
        for written in falses {
            assert_eq!(with_sample(&written), Filter::False, "{written}");
        }
        assert_eq!(
            with_sample(&json!({"$or": [{"f": "$none"}, {"g": 1}]})),
            field("g", Test::Equal(json!(1)))
        );
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[$a-c./]{0,6}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            "[$a-c.]{0,4}",
            "\\$(and|or|not|eq|in|nin|gt|like|exists)",
            "(field|op|value|attribute)"
        ];
        leaf.prop_recursive(8, 64, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((key.clone(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics(value in anything()) {
            let _ = parse_filter(&value);
            let _ = FilterReader::new(&Sample).read(&value);
        }
    }
}
