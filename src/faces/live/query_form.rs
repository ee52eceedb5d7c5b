//! Every spelling of a query (live chapter 6, 6.9) becomes one [`LiveQuery`].
//!
//! The spellings: the documented map of entities, the descriptor (`collection`), the legacy typed
//! form (`type`), any of them wrapped in `query`, and SQL text (see [`super::sql_text`]).
//!
//! Knows syntax, names and limits. Does not know which entities exist, who asks, or how a query is
//! answered; of the answer only which shape the spelling calls for ([`Style`]).
//!
//! Invariants
//! Q1. A query that was read has 1 to [`ROOTS_MAX`] roots, nests at most the configured depth, has
//!     at most [`NODES_MAX`] nodes, and its filters together at most
//!     [`super::filter_form::PREDICATES_MAX`] predicates.
//! Q2. Roots, order keys and relations keep the order they were written in.
//! Q3. An unknown clause is refused by name, never ignored.

use serde_json::{Map, Value};

use super::fault::{FormFault, quoted};
use super::filter_form::{
    FilterReader, NoPlaceholders, Placeholders, Resolved, each_field, field_name, field_of,
    operand_of,
};
use super::names::{is_entity, is_field};
use super::sql_text;
use crate::schema::filter::{Filter, Operand, OrderDirection, OrderKey};

/// Root entities, or statements, of one request.
pub const ROOTS_MAX: usize = 20;
/// Nodes of one query, roots and relations together.
pub const NODES_MAX: usize = 200;
/// What `$limit` may say, and how many root records a query without one may have.
pub const RESULT_ROWS_MAX: u32 = 10_000;
/// Keys of one order.
pub const ORDER_KEYS_MAX: usize = 32;
/// Names of one `$select`.
pub const SELECT_NAMES_MAX: usize = 1_000;
/// Bytes and words of one `$search`.
pub const SEARCH_BYTES_MAX: usize = 1_000;
pub const SEARCH_WORDS_MAX: usize = 32;
/// Depth of relations: what must work, what is configured by default, what must be refused.
pub const DEPTH_LEAST: usize = 3;
pub const DEPTH_DEFAULT: usize = 6;
pub const DEPTH_MAX: usize = 12;
const _: () = assert!(DEPTH_LEAST <= DEPTH_DEFAULT && DEPTH_DEFAULT <= DEPTH_MAX);

/// The shape of the answer that the spelling of a query calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Keyed by entity, with `tx`.
    Map,
    /// `data` and `txId`.
    Data,
    /// `data` and `meta`.
    DataMeta,
    /// An array of `{data, meta}`, one for each root.
    Statements,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LiveQuery {
    pub roots: Vec<Root>,
    pub style: Style,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    pub entity: String,
    pub node: Node,
}

/// What is wanted of one entity or relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub filter: Filter,
    pub order: Vec<OrderKey>,
    pub limit: Option<u32>,
    pub offset: u64,
    pub search: Option<String>,
    /// Field names; `id` is always included.
    pub select: Option<Vec<String>>,
    pub aggregate: Option<Aggregate>,
    pub relations: Vec<(String, Node)>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            filter: Filter::True,
            order: Vec::new(),
            limit: None,
            offset: 0,
            search: None,
            select: None,
            aggregate: None,
            relations: Vec::new(),
        }
    }
}

impl Node {
    /// Whether its result is a window, so that live diffs carry the order (12.3).
    #[must_use]
    pub fn is_window(&self) -> bool {
        !self.order.is_empty() || self.limit.is_some() || self.offset > 0
    }

    /// The fields that this node alone filters, sorts, selects or aggregates by: those that must be
    /// readable (17.4). Dotted paths come as written, and some names more than once.
    pub fn each_named_field<'n>(&'n self, each: &mut dyn FnMut(&'n str)) {
        each_field(&self.filter, each);
        self.order.iter().for_each(|key| each(field_of(&key.operand)));
        self.select.iter().flatten().for_each(|name| each(name));
        for term in self.aggregate.iter().flat_map(|aggregate| &aggregate.terms) {
            if let Some(operand) = &term.of {
                each(field_of(operand));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computation {
    Count,
    Sum,
    Average,
    Least,
    Most,
}

impl Computation {
    /// The key of its value among several.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Least => "min",
            Self::Most => "max",
        }
    }
}

/// One value over all matching records.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateTerm {
    pub what: Computation,
    /// `None` only for a count: of records, not of values.
    pub of: Option<Operand>,
}

/// `$aggregate`. One term answers with its bare value, several with an object keyed by
/// [`Computation::key`].
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub terms: Vec<AggregateTerm>,
}

/// What the operator may configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    depth: usize,
}

impl QueryLimits {
    /// Relations may nest this deep; kept between [`DEPTH_LEAST`] and [`DEPTH_MAX`].
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { depth: depth.clamp(DEPTH_LEAST, DEPTH_MAX) }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { depth: DEPTH_DEFAULT }
    }
}

/// Reads a query in any spelling.
///
/// # Errors
/// [`FormFault`]: malformed or unknown parts by name, and every limit of 6.10 that shows in the text.
pub fn parse_query(body: &Value, limits: QueryLimits) -> Result<LiveQuery, FormFault> {
    parse_query_with(body, limits, &NoPlaceholders)
}

/// Reads a query in which operands, limits, offsets and search texts may be placeholders.
///
/// # Errors
/// As [`parse_query`].
pub fn parse_query_with(
    body: &Value,
    limits: QueryLimits,
    values: &dyn Placeholders,
) -> Result<LiveQuery, FormFault> {
    let body = object(body, "a query")?;
    let mut reader = Reader { filters: FilterReader::new(values), limits, nodes: 0 };
    match body.get("query") {
        Some(Value::String(text)) => return reader.sql(text, body.get("vars")),
        Some(Value::Object(inner)) => {
            if let Some(Value::String(text)) = inner.get("query").or_else(|| inner.get("raw")) {
                return reader.sql(text, inner.get("vars").or_else(|| body.get("vars")));
            }
            if is_wrapper(body, inner) {
                let mut query = reader.plain(inner)?;
                query.style =
                    if query.roots.len() == 1 { Style::DataMeta } else { Style::Statements };
                return Ok(query);
            }
        }
        _ => {}
    }
    reader.plain(body)
}

/// `{"query": {…}}` is a wrapper when the inner object says so, or has only relations and fields to
/// offer; with only clauses inside, `query` is the name of an entity.
fn is_wrapper(outer: &Map<String, Value>, inner: &Map<String, Value>) -> bool {
    const BESIDES: &[&str] = &["query", "args", "vars", "diff"];
    if !outer.keys().all(|key| BESIDES.contains(&key.as_str())) {
        return false;
    }
    let named = |key: &str| inner.get(key).is_some_and(Value::is_string);
    named("type")
        || named("collection")
        || (!inner.is_empty() && inner.keys().all(|key| !key.starts_with('$')))
}

struct Reader<'a> {
    filters: FilterReader<'a>,
    limits: QueryLimits,
    nodes: usize,
}

impl Reader<'_> {
    fn sql(&mut self, text: &str, vars: Option<&Value>) -> Result<LiveQuery, FormFault> {
        let none = Map::new();
        let vars = match vars {
            None | Some(Value::Null) => &none,
            Some(Value::Object(vars)) => vars,
            Some(_) => return Err(FormFault::at("vars", "must be an object")),
        };
        let roots = sql_text::parse_statements(text, vars, &mut self.filters)?;
        let style = if roots.len() == 1 { Style::DataMeta } else { Style::Statements };
        Ok(LiveQuery { roots, style })
    }

    /// Descriptor, legacy typed or documented form.
    fn plain(&mut self, body: &Map<String, Value>) -> Result<LiveQuery, FormFault> {
        if let Some(Value::String(entity)) = body.get("collection") {
            let node = self.descriptor(body)?;
            return Ok(LiveQuery { roots: vec![root(entity, node)?], style: Style::Data });
        }
        if let Some(Value::String(entity)) = body.get("type") {
            let node = self.typed(body, 0)?;
            return Ok(LiveQuery { roots: vec![root(entity, node)?], style: Style::DataMeta });
        }
        if body.is_empty() {
            return Err(FormFault::invalid("a query needs at least one entity"));
        }
        if body.len() > ROOTS_MAX {
            return Err(FormFault::too_complex(format!("a query may have {ROOTS_MAX} entities")));
        }
        let mut roots = Vec::with_capacity(body.len());
        for (entity, node) in body {
            if entity.starts_with('$') {
                return Err(unknown_clause(entity));
            }
            let node = self.node(entity, node, 0)?;
            roots.push(root(entity, node)?);
        }
        Ok(LiveQuery { roots, style: Style::Map })
    }

    fn node(&mut self, name: &str, value: &Value, depth: usize) -> Result<Node, FormFault> {
        let members = object(value, &format!("{:?}", quoted(name)))?;
        self.enter(depth)?;
        let mut node = Node::default();
        for (key, value) in members {
            if key == "$nested" {
                self.nested(&mut node, value, depth)?;
            } else if key.starts_with('$') {
                self.clause(&mut node, key, value)?;
            } else {
                let relation = self.node(key, value, depth + 1)?;
                add_relation(&mut node, key, relation)?;
            }
        }
        Ok(node)
    }

    /// One level of relations more; every node passes here once.
    fn enter(&mut self, depth: usize) -> Result<(), FormFault> {
        if depth > self.limits.depth {
            return Err(FormFault::too_complex(format!(
                "relations may nest {} deep",
                self.limits.depth
            )));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(FormFault::too_complex(format!("a query may have {NODES_MAX} nodes")));
        }
        Ok(())
    }

    fn clause(&mut self, node: &mut Node, key: &str, value: &Value) -> Result<(), FormFault> {
        match key {
            "$where" => node.filter = self.filters.read(value)?,
            "$order" => node.order = order(value)?,
            "$limit" => node.limit = Some(self.limit(key, value)?),
            "$offset" => node.offset = self.whole(key, value)?,
            "$search" => node.search = Some(self.search(value)?),
            "$select" => node.select = Some(select(value)?),
            "$aggregate" => node.aggregate = Some(aggregate(value)?),
            "$semantic" | "$hybrid" => {
                return Err(FormFault::at(key, "vector search is not available"));
            }
            _ => return Err(unknown_clause(key)),
        }
        Ok(())
    }

    fn descriptor(&mut self, body: &Map<String, Value>) -> Result<Node, FormFault> {
        self.enter(0)?;
        let mut node = Node::default();
        for (key, value) in body {
            match key.as_str() {
                "collection" => {}
                // Libraries send the parts they were not given as null.
                _ if value.is_null() => {}
                "where" => node.filter = self.filters.read(value)?,
                "order" | "orderBy" => node.order = order(value)?,
                "limit" => node.limit = Some(self.limit(key, value)?),
                "offset" => node.offset = self.whole(key, value)?,
                "select" => node.select = Some(select(value)?),
                _ => return Err(unknown_clause(key)),
            }
        }
        Ok(node)
    }

    fn typed(&mut self, body: &Map<String, Value>, depth: usize) -> Result<Node, FormFault> {
        self.enter(depth)?;
        let mut node = Node::default();
        for (key, value) in body {
            match key.as_str() {
                "type" => {}
                _ if value.is_null() => {}
                "$nested" => self.nested(&mut node, value, depth)?,
                _ if key.starts_with('$') => self.clause(&mut node, key, value)?,
                _ => return Err(unknown_clause(key)),
            }
        }
        Ok(node)
    }

    /// `[{"via_attribute": "todos/owner", "sub_query": {…}}]`
    fn nested(&mut self, node: &mut Node, value: &Value, depth: usize) -> Result<(), FormFault> {
        let Value::Array(entries) = value else {
            return Err(FormFault::at("$nested", "must be an array"));
        };
        for (n, entry) in entries.iter().enumerate() {
            let at = format!("$nested[{n}]");
            let entry = object(entry, &at)?;
            let via = entry.get("via_attribute").and_then(Value::as_str);
            let via = via.ok_or_else(|| FormFault::at(&at, "needs a via_attribute"))?;
            let key = via.rsplit_once('/').map_or(via, |(_, name)| name);
            let none = Map::new();
            let sub_query = match entry.get("sub_query") {
                None | Some(Value::Null) => &none,
                Some(sub_query) => object(sub_query, &format!("{at}.sub_query"))?,
            };
            let relation = self.typed(sub_query, depth + 1)?;
            add_relation(node, key, relation)?;
        }
        Ok(())
    }

    fn limit(&self, key: &str, value: &Value) -> Result<u32, FormFault> {
        let rows = self.whole(key, value)?;
        u32::try_from(rows).ok().filter(|rows| *rows <= RESULT_ROWS_MAX).ok_or_else(|| {
            FormFault::too_complex(format!("{key} may be {RESULT_ROWS_MAX}, got {rows}"))
        })
    }

    fn whole(&self, key: &str, value: &Value) -> Result<u64, FormFault> {
        let number = match self.filters.resolve(value) {
            Resolved::Written(value) | Resolved::Filled(value) => whole_number(&value),
            Resolved::Missing => None,
        };
        number.ok_or_else(|| FormFault::at(key, "must be a whole number, zero or more"))
    }

    fn search(&self, value: &Value) -> Result<String, FormFault> {
        let text = match self.filters.resolve(value) {
            Resolved::Written(Value::String(text)) | Resolved::Filled(Value::String(text)) => text,
            _ => String::new(),
        };
        if text.is_empty() {
            return Err(FormFault::at("$search", "must be a non-empty string"));
        }
        let words =
            text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
        if text.len() > SEARCH_BYTES_MAX || words.count() > SEARCH_WORDS_MAX {
            return Err(FormFault::too_complex(format!(
                "$search may have {SEARCH_WORDS_MAX} words and {SEARCH_BYTES_MAX} bytes"
            )));
        }
        Ok(text)
    }
}

fn root(entity: &str, node: Node) -> Result<Root, FormFault> {
    if !is_entity(entity) {
        return Err(FormFault::invalid(format!(
            "{:?} is not the name of an entity",
            quoted(entity)
        )));
    }
    Ok(Root { entity: entity.to_owned(), node })
}

fn add_relation(node: &mut Node, key: &str, relation: Node) -> Result<(), FormFault> {
    if !is_field(key) {
        return Err(FormFault::invalid(format!("{:?} is not the name of a relation", quoted(key))));
    }
    if node.relations.iter().any(|(other, _)| other == key) {
        return Err(FormFault::invalid(format!("relation {:?} is asked for twice", quoted(key))));
    }
    node.relations.push((key.to_owned(), relation));
    Ok(())
}

fn order(value: &Value) -> Result<Vec<OrderKey>, FormFault> {
    let mut keys = Vec::new();
    match value {
        Value::Object(map) => order_map(map, &mut keys)?,
        Value::Array(entries) if entries.len() > ORDER_KEYS_MAX => return Err(too_many_keys()),
        Value::Array(entries) => {
            for entry in entries {
                let entry = object(entry, "an entry of $order")?;
                if is_order_entry(entry) {
                    let field = field_name(entry)
                        .ok_or_else(|| FormFault::at("$order", "a field name must be a string"))?;
                    let direction = match entry.get("direction") {
                        None | Some(Value::Null) => OrderDirection::Ascending,
                        Some(direction) => order_direction(field, direction)?,
                    };
                    keys.push(OrderKey { operand: operand_of(field)?, direction });
                } else {
                    order_map(entry, &mut keys)?;
                }
            }
        }
        _ => return Err(FormFault::at("$order", "must be an object or an array of objects")),
    }
    if keys.len() > ORDER_KEYS_MAX {
        return Err(too_many_keys());
    }
    Ok(keys)
}

/// `{"field": "age", "direction": "asc"}` rather than an order by fields called so.
fn is_order_entry(entry: &Map<String, Value>) -> bool {
    ["field", "attribute"].into_iter().filter_map(|key| entry.get(key)).any(|name| {
        entry.contains_key("direction") || name.as_str().and_then(direction_named).is_none()
    })
}

fn order_map(map: &Map<String, Value>, keys: &mut Vec<OrderKey>) -> Result<(), FormFault> {
    for (field, direction) in map {
        let direction = order_direction(field, direction)?;
        keys.push(OrderKey { operand: operand_of(field)?, direction });
    }
    Ok(())
}

fn order_direction(field: &str, value: &Value) -> Result<OrderDirection, FormFault> {
    value.as_str().and_then(direction_named).ok_or_else(|| {
        FormFault::at("$order", format!("{} must be \"asc\" or \"desc\"", quoted(field)))
    })
}

fn direction_named(name: &str) -> Option<OrderDirection> {
    if name.eq_ignore_ascii_case("asc") {
        Some(OrderDirection::Ascending)
    } else if name.eq_ignore_ascii_case("desc") {
        Some(OrderDirection::Descending)
    } else {
        None
    }
}

fn select(value: &Value) -> Result<Vec<String>, FormFault> {
    let fault = || FormFault::at("$select", "must be an array of field names");
    let names = value.as_array().ok_or_else(fault)?;
    if names.len() > SELECT_NAMES_MAX {
        return Err(FormFault::too_complex(format!("$select may have {SELECT_NAMES_MAX} names")));
    }
    names
        .iter()
        .map(|name| name.as_str().filter(|name| is_field(name)).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(fault)
}

fn aggregate(value: &Value) -> Result<Aggregate, FormFault> {
    let count = AggregateTerm { what: Computation::Count, of: None };
    let operators = match value {
        Value::String(name) if name == "count" => return Ok(Aggregate { terms: vec![count] }),
        Value::Object(operators) if !operators.is_empty() => operators,
        _ => {
            return Err(FormFault::at("$aggregate", "must be \"count\" or an object of operators"));
        }
    };
    let mut terms = Vec::with_capacity(operators.len());
    for (name, of) in operators {
        let what = match name.as_str() {
            "$count" => Computation::Count,
            "$sum" => Computation::Sum,
            "$avg" => Computation::Average,
            "$min" => Computation::Least,
            "$max" => Computation::Most,
            _ => {
                return Err(FormFault::at(
                    "$aggregate",
                    format!("unknown operator {:?}", quoted(name)),
                ));
            }
        };
        terms.push(match of {
            Value::Bool(true) if what == Computation::Count => count.clone(),
            Value::String(field) => AggregateTerm { what, of: Some(operand_of(field)?) },
            _ => return Err(FormFault::at("$aggregate", format!("{name} takes a field name"))),
        });
    }
    Ok(Aggregate { terms })
}

/// A non-negative integer; `20.0` is one.
fn whole_number(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number.as_u64().or_else(|| {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        let float = number.as_f64()?;
        let whole = float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&float);
        // Printed without a fraction, a whole float reads as an integer.
        whole.then(|| format!("{float:.0}").trim_start_matches('-').parse().ok())?
    })
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, FormFault> {
    value.as_object().ok_or_else(|| FormFault::invalid(format!("{what} must be an object")))
}

fn unknown_clause(key: &str) -> FormFault {
    FormFault::invalid(format!("unknown clause {:?}", quoted(key)))
}

fn too_many_keys() -> FormFault {
    FormFault::too_complex(format!("$order may have {ORDER_KEYS_MAX} keys"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::live::filter_form::parse_filter;
    use crate::util::json;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::json;

    fn read(text: &str) -> LiveQuery {
        let body = json::parse(text.as_bytes()).unwrap();
        parse_query(&body, QueryLimits::default()).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    fn refused(text: &str) -> FormFault {
        let body = json::parse(text.as_bytes()).unwrap();
        parse_query(&body, QueryLimits::default()).expect_err(text)
    }

    fn filter(value: Value) -> Filter {
        parse_filter(&value).unwrap()
    }

    fn order_of(node: &Node) -> Vec<(&str, OrderDirection)> {
        node.order.iter().map(|key| (field_of(&key.operand), key.direction)).collect()
    }

    /// The example that opens chapter 6.
    #[test]
    fn the_documented_form() {
        let query = read(
            r#"{"todos": {"$where": {"done": false}, "$order": {"createdAt": "desc"}, "$limit": 20, "owner": {}}}"#,
        );
        assert_eq!(query.style, Style::Map);
        let [Root { entity, node }] = query.roots.as_slice() else { panic!() };
        assert_eq!(entity, "todos");
        assert_eq!(node.filter, filter(json!({"done": false})));
        assert_eq!(
            node.order,
            [OrderKey { operand: Operand::CreatedAt, direction: OrderDirection::Descending }]
        );
        assert_eq!((node.limit, node.offset), (Some(20), 0));
        assert_eq!(node.relations, [("owner".to_owned(), Node::default())]);
        assert!(node.is_window() && !node.relations[0].1.is_window());
    }

    #[test]
    fn every_clause() {
        let query = read(
            r#"{"t": {"$where": [{"field": "a", "op": "=", "value": 1}], "$order": [{"b": "ASC"}, {"a": "Desc"}],
                "$limit": 0, "$offset": 5.0, "$search": "Two words", "$select": ["a", "b"], "x": {"$limit": 1, "y": {}}},
                "u": {}}"#,
        );
        let node = &query.roots[0].node;
        assert_eq!(node.filter, filter(json!({"a": 1})));
        assert_eq!(
            order_of(node),
            [("b", OrderDirection::Ascending), ("a", OrderDirection::Descending)]
        );
        assert_eq!((node.limit, node.offset), (Some(0), 5));
        assert_eq!(node.search.as_deref(), Some("Two words"));
        assert_eq!(node.select, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(node.relations[0].1.limit, Some(1));
        assert_eq!(node.relations[0].1.relations[0].0, "y");
        assert_eq!(query.roots[1].node, Node::default());
    }

    #[test]
    fn named_fields_are_told() {
        let query = read(
            r#"{"t": {"$where": {"$or": [{"a": 1}, {"$not": {"b.c": 1}}]}, "$order": {"d": "asc"},
                "$select": ["e"], "$aggregate": {"$sum": "f"}, "rel": {"$where": {"g": 1}}}}"#,
        );
        let mut fields = Vec::new();
        query.roots[0].node.each_named_field(&mut |field| fields.push(field));
        assert_eq!(fields, ["a", "b.c", "d", "e", "f"]);
    }

    #[test]
    fn order_keeps_the_written_order() {
        use OrderDirection::{Ascending, Descending};
        let cases = [
            (r#"{"z": "desc", "a": "asc"}"#, vec![("z", Descending), ("a", Ascending)]),
            (r#"[{"z": "desc"}, {"a": "asc", "b": "asc"}]"#, {
                vec![("z", Descending), ("a", Ascending), ("b", Ascending)]
            }),
            (r#"[{"field": "z", "direction": "DESC"}]"#, vec![("z", Descending)]),
            (r#"[{"attribute": "t/z", "direction": "asc"}]"#, vec![("z", Ascending)]),
            (r#"[{"field": "z"}]"#, vec![("z", Ascending)]),
            (r#"[{"field": "desc"}]"#, vec![("field", Descending)]),
            (r#"[{"field": "desc", "direction": "asc"}]"#, vec![("desc", Ascending)]),
            (r#"{"field": "desc"}"#, vec![("field", Descending)]),
            (r#"{"address.city": "asc"}"#, vec![("address.city", Ascending)]),
            ("{}", vec![]),
            ("[]", vec![]),
        ];
        for (order, wanted) in cases {
            let query = read(&format!(r#"{{"t": {{"$order": {order}}}}}"#));
            assert_eq!(order_of(&query.roots[0].node), wanted, "{order}");
        }
    }

    #[test]
    fn aggregates() {
        let terms = |text: &str| {
            let query = read(&format!(r#"{{"t": {{"$aggregate": {text}}}}}"#));
            let terms = query.roots[0].node.aggregate.clone().unwrap().terms;
            terms
                .iter()
                .map(|term| {
                    let of = term.of.as_ref().map_or("*", |of| field_of(of));
                    format!("{} {of}", term.what.key())
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(terms(r#""count""#), ["count *"]);
        assert_eq!(terms(r#"{"$count": true}"#), ["count *"]);
        assert_eq!(terms(r#"{"$count": "f"}"#), ["count f"]);
        assert_eq!(
            terms(r#"{"$max": "a", "$sum": "f", "$avg": "f", "$min": "b.c"}"#),
            ["max a", "sum f", "avg f", "min b.c"]
        );
    }

    /// 6.9: all spellings of one query.
    #[test]
    fn every_spelling() {
        let map = read(
            r#"{"users": {"$where": {"age": {"$gt": 18}}, "$order": {"age": "desc"}, "$limit": 5, "$offset": 2}}"#,
        );
        let same = [
            (
                r#"{"collection": "users", "where": [{"field": "age", "op": ">", "value": 18}],
                    "order": [{"field": "age", "direction": "desc"}], "limit": 5, "offset": 2}"#,
                Style::Data,
            ),
            (
                r#"{"collection": "users", "where": [{"field": "age", "op": ">", "value": 18}],
                    "orderBy": [{"field": "age", "direction": "desc"}], "limit": 5, "offset": 2, "select": null}"#,
                Style::Data,
            ),
            (
                r#"{"type": "users", "$where": [{"attribute": "users/age", "op": "Gt", "value": 18}],
                    "$order": [{"attribute": "users/age", "direction": "Desc"}], "$limit": 5, "$offset": 2}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": {"type": "users", "$where": [{"attribute": "age", "op": "Gt", "value": 18}],
                    "$order": [{"attribute": "age", "direction": "desc"}], "$limit": 5, "$offset": 2}, "args": {}}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": {"collection": "users", "where": [{"field": "age", "op": ">", "value": 18}],
                    "order": [{"field": "age", "direction": "desc"}], "limit": 5, "offset": 2}}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": {"users": {"$where": {"age": {"$gt": 18}}, "$order": {"age": "desc"}, "$limit": 5, "$offset": 2}}}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": "SELECT * FROM users WHERE age > 18 ORDER BY age DESC LIMIT 5 START 2"}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": {"raw": "SELECT * FROM users WHERE age > $a ORDER BY age DESC LIMIT 5 START 2"}, "vars": {"a": 18}}"#,
                Style::DataMeta,
            ),
            (
                r#"{"query": {"query": "SELECT * FROM users WHERE age > 18 ORDER BY age DESC LIMIT 5 START 2", "diff": true}}"#,
                Style::DataMeta,
            ),
        ];
        for (text, style) in same {
            let query = read(text);
            assert_eq!(query.roots, map.roots, "{text}");
            assert_eq!(query.style, style, "{text}");
        }
    }

    #[test]
    fn nested_in_the_legacy_form() {
        let typed = read(
            r#"{"type": "todos", "$nested": [{"via_attribute": "todos/owner"},
                {"via_attribute": "tags", "sub_query": {"type": "tag", "$limit": 3, "$nested": [{"via_attribute": "x"}]}}]}"#,
        );
        let map = read(r#"{"todos": {"owner": {}, "tags": {"$limit": 3, "x": {}}}}"#);
        assert_eq!(typed.roots, map.roots);
        let inside = read(r#"{"todos": {"$nested": [{"via_attribute": "owner"}]}}"#);
        assert_eq!(inside.roots[0].node.relations[0].0, "owner");
    }

    #[test]
    fn entities_called_like_a_key_stay_queryable() {
        for (text, entity) in [
            (r#"{"collection": {}}"#, "collection"),
            (r#"{"type": {"$limit": 1}}"#, "type"),
            (r#"{"query": {"$limit": 1}}"#, "query"),
            (r#"{"query": {}}"#, "query"),
            (r#"{"query": {"$limit": 1, "owner": {}}}"#, "query"),
            (r#"{"query": {"owner": {}}, "todos": {}}"#, "query"),
            (r#"{"query": {"query": {}}}"#, "query"),
        ] {
            assert_eq!(read(text).roots[0].entity, entity, "{text}");
        }
    }

    #[test]
    fn several_statements_are_several_roots() {
        let query = read(r#"{"query": "SELECT * FROM a; SELECT * FROM a WHERE x = 1;"}"#);
        assert_eq!(query.style, Style::Statements);
        assert_eq!(query.roots.len(), 2);
        let wrapped = read(r#"{"query": {"a": {}, "b": {}}}"#);
        assert_eq!(wrapped.style, Style::Statements);
    }

    #[test]
    fn faults_name_what_is_wrong() {
        let cases = [
            ("[]", "must be an object"),
            ("{}", "at least one entity"),
            (r#"{"todos": []}"#, "\"todos\" must be an object"),
            (r#"{"todos": {"owner": true}}"#, "\"owner\" must be an object"),
            (r#"{"todos": {"$wher": {}}}"#, "\"$wher\""),
            (r#"{"$where": {}}"#, "\"$where\""),
            (r#"{"tx": {}}"#, "\"tx\""),
            (r#"{"to dos": {}}"#, "\"to dos\""),
            (r#"{"t": {"": {}}}"#, "name of a relation"),
            (r#"{"t": {"$where": 1}}"#, "$where"),
            (r#"{"t": {"$limit": -1}}"#, "$limit"),
            (r#"{"t": {"$limit": 1.5}}"#, "$limit"),
            (r#"{"t": {"$limit": "1"}}"#, "$limit"),
            (r#"{"t": {"$limit": null}}"#, "$limit"),
            (r#"{"t": {"$offset": -1}}"#, "$offset"),
            (r#"{"t": {"$offset": 1e300}}"#, "$offset"),
            (r#"{"t": {"$order": {"a": "up"}}}"#, "a must be"),
            (r#"{"t": {"$order": {"a": 1}}}"#, "a must be"),
            (r#"{"t": {"$order": "a"}}"#, "$order"),
            (r#"{"t": {"$order": [{"field": 1}]}}"#, "$order"),
            (r#"{"t": {"$search": ""}}"#, "$search"),
            (r#"{"t": {"$search": 1}}"#, "$search"),
            (r#"{"t": {"$select": "a"}}"#, "$select"),
            (r#"{"t": {"$select": [1]}}"#, "$select"),
            (r#"{"t": {"$aggregate": "sum"}}"#, "$aggregate"),
            (r#"{"t": {"$aggregate": {}}}"#, "$aggregate"),
            (r#"{"t": {"$aggregate": {"$median": "a"}}}"#, "$median"),
            (r#"{"t": {"$aggregate": {"$sum": true}}}"#, "$sum"),
            (r#"{"t": {"$semantic": {}}}"#, "vector search is not available"),
            (r#"{"t": {"$hybrid": {}}}"#, "vector search is not available"),
            (r#"{"t": {"$nested": {}}}"#, "$nested"),
            (r#"{"t": {"$nested": [{}]}}"#, "$nested[0]"),
            (r#"{"t": {"a": {}, "$nested": [{"via_attribute": "a"}]}}"#, "twice"),
            (r#"{"collection": "a b"}"#, "\"a b\""),
            (r#"{"collection": "a", "filter": {}}"#, "\"filter\""),
            (r#"{"type": "a", "where": []}"#, "\"where\""),
            (r#"{"query": "SELECT * FROM a", "vars": []}"#, "vars"),
            (r#"{"query": 1}"#, "\"query\" must be an object"),
            (r#"{"t": {"$where": {"a": {"$regex": "x"}}}}"#, "$regex"),
        ];
        for (text, part) in cases {
            match refused(text) {
                FormFault::InvalidArgument { message, .. } => {
                    assert!(message.contains(part), "{text}: {message}");
                }
                FormFault::TooComplex(message) => panic!("{text}: {message}"),
            }
        }
    }

    /// 6.7, 6.10, 21.
    #[test]
    fn limits() {
        let body = |text: String| json::parse(text.as_bytes()).unwrap();
        let nested = |depth: usize| {
            body(format!("{{\"t\":{}{{}}{}}}", "{\"r\":".repeat(depth), "}".repeat(depth)))
        };
        for (configured, depth) in [(6, 6), (3, 3), (1, 3), (12, 12), (99, 12)] {
            let limits = QueryLimits::new(configured);
            assert!(parse_query(&nested(depth), limits).is_ok());
            assert!(matches!(
                parse_query(&nested(depth + 1), limits),
                Err(FormFault::TooComplex(_))
            ));
        }
        let roots = |n: usize| {
            let all: Vec<String> = (0..n).map(|n| format!("\"t{n}\":{{}}")).collect();
            format!("{{{}}}", all.join(","))
        };
        let wheres = |n: usize| {
            let all: Vec<String> = (0..n).map(|n| format!("\"a{n}\":1")).collect();
            format!(
                "{{\"t\":{{\"$where\":{{{}}}}},\"u\":{{\"$where\":{{\"b\":1}}}}}}",
                all.join(",")
            )
        };
        let order = |n: usize| {
            let all: Vec<String> = (0..n).map(|n| format!("\"a{n}\":\"asc\"")).collect();
            format!("{{\"t\":{{\"$order\":{{{}}}}}}}", all.join(","))
        };
        let relations = |n: usize| {
            let all: Vec<String> = (0..n).map(|n| format!("\"a{n}\":{{}}")).collect();
            format!("{{\"t\":{{{}}}}}", all.join(","))
        };
        let search = |n: usize| format!(r#"{{"t":{{"$search":"{}"}}}}"#, "a ".repeat(n));
        let statements = |n: usize| format!(r#"{{"query":"{}"}}"#, "select * from t;".repeat(n));
        let limit = |n: usize| format!(r#"{{"t":{{"$limit":{n}}}}}"#);
        let cases: [(&dyn Fn(usize) -> String, usize); 7] = [
            (&roots, 20),
            (&wheres, 199),
            (&order, 32),
            (&relations, 199),
            (&search, 32),
            (&statements, 20),
            (&limit, 10_000),
        ];
        for (text, max) in cases {
            assert!(!read(&text(max)).roots.is_empty());
            assert!(matches!(refused(&text(max + 1)), FormFault::TooComplex(_)), "{max}");
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(asc|desc|count|t|a/b|SELECT \\* FROM a|)".prop_map(Value::from),
        ];
        let key = prop_oneof![
            "[$a-c/]{0,3}",
            "\\$(where|order|limit|offset|search|select|aggregate|nested|count|sum|in)",
            "(query|raw|vars|args|collection|type|where|order|limit|field|attribute|op|direction|via_attribute|sub_query)"
        ];
        leaf.prop_recursive(6, 48, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((key.clone(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics(value in anything()) {
            if let Ok(query) = parse_query(&value, QueryLimits::default()) {
                assert!((1..=ROOTS_MAX).contains(&query.roots.len()));
            }
        }
    }
}
