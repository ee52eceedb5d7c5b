//! SQL text as the short-form libraries send it (live 7.2), read into the form of all other queries.
//!
//! A small language of our own: statements of one grammar, no joins, no functions, no writing. No
//! part of the text ever reaches a database; operands are values, `$name` takes its value from
//! `vars`.
//!
//! Invariants
//! T1. Reading costs time linear in the text; recursion is bounded by [`NESTING_MAX`].
//! T2. A condition obeys the limits of filters: predicates, list elements, boolean depth.

use serde_json::{Map, Number, Value};

use super::fault::{FormFault, quoted};
use super::filter_form::{
    BOOLEAN_DEPTH_MAX, FilterReader, LIST_ITEMS_MAX, Operator, Resolved, all_of, any_of, operand_of,
};
use super::names::{is_entity, is_field, is_id};
use super::query_form::{Node, ORDER_KEYS_MAX, RESULT_ROWS_MAX, ROOTS_MAX, Root, SELECT_NAMES_MAX};
use crate::schema::filter::{Comparison, Filter, Operand, OrderDirection, OrderKey, Test};
use crate::util::json::NUMBER_CHARS_MAX;

/// Parentheses and NOTs that may be open at a time; redundant ones count here, but not as booleans.
pub const NESTING_MAX: usize = 32;
const _: () = assert!(BOOLEAN_DEPTH_MAX <= NESTING_MAX);

/// Reads one or more statements separated by `;`.
///
/// # Errors
/// [`FormFault`], naming the first word that does not fit, an unbound `$name`, or a limit.
pub fn parse_statements(
    text: &str,
    vars: &Map<String, Value>,
    filters: &mut FilterReader<'_>,
) -> Result<Vec<Root>, FormFault> {
    let mut reader = Reader { text, at: 0, vars, filters, nesting: 0 };
    let mut roots = Vec::new();
    loop {
        reader.skip_blanks();
        if reader.at_end() {
            break;
        }
        if roots.len() == ROOTS_MAX {
            return Err(FormFault::too_complex(format!("a query may have {ROOTS_MAX} statements")));
        }
        roots.push(reader.statement()?);
        reader.skip_blanks();
        if !reader.sign(";") && !reader.at_end() {
            return Err(reader.unexpected("the end of the statement"));
        }
    }
    if roots.is_empty() {
        return Err(FormFault::invalid("the query text is empty"));
    }
    Ok(roots)
}

struct Reader<'a, 'f, 'v> {
    text: &'a str,
    at: usize,
    vars: &'a Map<String, Value>,
    filters: &'f mut FilterReader<'v>,
    nesting: usize,
}

impl<'a> Reader<'a, '_, '_> {
    fn statement(&mut self) -> Result<Root, FormFault> {
        self.keyword("select")?;
        let select = self.fields()?;
        self.keyword("from")?;
        let (entity, id) = self.source()?;
        let mut node = Node { select, ..Node::default() };
        let mut conditions = Vec::new();
        if let Some(id) = id {
            conditions.push(Filter::Is(Operand::Id, Test::Equal(Value::String(id))));
        }
        if self.word_is("where") {
            let condition = self.disjunction()?;
            if boolean_depth(&condition) > BOOLEAN_DEPTH_MAX {
                return Err(too_deep());
            }
            conditions.push(condition);
        }
        node.filter = all_of(conditions);
        if self.word_is("order") {
            self.keyword("by")?;
            node.order = self.order()?;
        }
        if self.word_is("limit") {
            let rows = self.whole()?;
            let rows = u32::try_from(rows).ok().filter(|rows| *rows <= RESULT_ROWS_MAX);
            node.limit = Some(rows.ok_or_else(|| {
                FormFault::too_complex(format!("LIMIT may be {RESULT_ROWS_MAX}"))
            })?);
        }
        if self.word_is("start") {
            let _ = self.word_is("at");
            node.offset = self.whole()?;
        } else if self.word_is("offset") {
            node.offset = self.whole()?;
        }
        Ok(Root { entity, node })
    }

    fn fields(&mut self) -> Result<Option<Vec<String>>, FormFault> {
        if self.sign("*") {
            return Ok(None);
        }
        let mut names = Vec::new();
        loop {
            if names.len() == SELECT_NAMES_MAX {
                return Err(FormFault::too_complex(format!(
                    "SELECT may have {SELECT_NAMES_MAX} names"
                )));
            }
            names.push(self.path()?.to_owned());
            if !self.sign(",") {
                return Ok(Some(names));
            }
        }
    }

    fn source(&mut self) -> Result<(String, Option<String>), FormFault> {
        let source = self.run(|byte| byte.is_ascii_alphanumeric() || b"_.:@~-".contains(&byte));
        let (entity, id) = match source.split_once(':') {
            Some((entity, id)) => (entity, Some(id)),
            None => (source, None),
        };
        if source.is_empty() {
            return Err(self.unexpected("an entity"));
        }
        if !is_entity(entity) {
            return Err(FormFault::invalid(format!(
                "{:?} is not the name of an entity",
                quoted(entity)
            )));
        }
        if id.is_some_and(|id| !is_id(id)) {
            return Err(FormFault::invalid(format!("{:?} is not an id", quoted(source))));
        }
        Ok((entity.to_owned(), id.map(str::to_owned)))
    }

    fn order(&mut self) -> Result<Vec<OrderKey>, FormFault> {
        let mut keys = Vec::new();
        loop {
            if keys.len() == ORDER_KEYS_MAX {
                return Err(FormFault::too_complex(format!(
                    "ORDER BY may have {ORDER_KEYS_MAX} keys"
                )));
            }
            let operand = operand_of(self.path()?)?;
            let direction = if self.word_is("desc") {
                OrderDirection::Descending
            } else {
                let _ = self.word_is("asc");
                OrderDirection::Ascending
            };
            keys.push(OrderKey { operand, direction });
            if !self.sign(",") {
                return Ok(keys);
            }
        }
    }

    fn disjunction(&mut self) -> Result<Filter, FormFault> {
        let mut parts = vec![self.conjunction()?];
        while self.word_is("or") {
            parts.push(self.conjunction()?);
        }
        Ok(any_of(parts))
    }

    fn conjunction(&mut self) -> Result<Filter, FormFault> {
        let mut parts = vec![self.negation()?];
        while self.word_is("and") {
            parts.push(self.negation()?);
        }
        Ok(all_of(parts))
    }

    fn negation(&mut self) -> Result<Filter, FormFault> {
        let not = self.word_is("not");
        if !not && !self.sign("(") {
            return self.predicate();
        }
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(too_deep());
        }
        let inner = if not {
            Filter::Not(Box::new(self.negation()?))
        } else {
            let inner = self.disjunction()?;
            if !self.sign(")") {
                return Err(self.unexpected("\")\""));
            }
            inner
        };
        self.nesting -= 1;
        Ok(inner)
    }

    fn predicate(&mut self) -> Result<Filter, FormFault> {
        let operand = operand_of(self.path()?)?;
        if self.word_is("is") {
            let operator = if self.word_is("not") { Operator::NotEqual } else { Operator::Equal };
            self.keyword("null")?;
            return self.filters.predicate(&operand, operator, Resolved::Written(Value::Null));
        }
        if self.word_is("not") {
            self.keyword("in")?;
            let list = self.list()?;
            return self.filters.predicate(&operand, Operator::NotIn, list);
        }
        if self.word_is("in") {
            let list = self.list()?;
            return self.filters.predicate(&operand, Operator::In, list);
        }
        let operator = self.operator()?;
        let value = self.operand()?;
        self.filters.predicate(&operand, operator, value)
    }

    fn operator(&mut self) -> Result<Operator, FormFault> {
        /// Longer signs first.
        const SIGNS: &[(&str, Operator)] = &[
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::Compare(Comparison::LessOrEqual)),
            (">=", Operator::Compare(Comparison::GreaterOrEqual)),
            ("=", Operator::Equal),
            ("<", Operator::Compare(Comparison::Less)),
            (">", Operator::Compare(Comparison::Greater)),
        ];
        for (sign, operator) in SIGNS {
            if self.sign(sign) {
                return Ok(*operator);
            }
        }
        if self.word_is("like") {
            return Ok(Operator::Like);
        }
        if self.word_is("contains") {
            return Ok(Operator::Contains);
        }
        Err(self.unexpected("an operator"))
    }

    /// `( … )`, `[ … ]`, or a `$name` bound to an array.
    fn list(&mut self) -> Result<Resolved, FormFault> {
        let close = if self.sign("(") {
            ")"
        } else if self.sign("[") {
            "]"
        } else if self.peek() == Some(b'$') {
            return self.operand();
        } else {
            return Err(self.unexpected("a list"));
        };
        let (mut items, mut filled) = (Vec::new(), false);
        if close == "]" && self.sign(close) {
            return Ok(Resolved::Written(Value::Array(items)));
        }
        loop {
            if items.len() == LIST_ITEMS_MAX {
                return Err(FormFault::too_complex(format!("IN allows {LIST_ITEMS_MAX} elements")));
            }
            match self.operand()? {
                Resolved::Written(item) => items.push(item),
                Resolved::Filled(item) => {
                    items.push(item);
                    filled = true;
                }
                Resolved::Missing => return Ok(Resolved::Missing),
            }
            if self.sign(close) {
                let items = Value::Array(items);
                return Ok(match filled {
                    true => Resolved::Filled(items),
                    false => Resolved::Written(items),
                });
            }
            if !self.sign(",") {
                return Err(self.unexpected("\",\" or the end of the list"));
            }
        }
    }

    fn operand(&mut self) -> Result<Resolved, FormFault> {
        self.skip_blanks();
        match self.peek() {
            Some(b'\'' | b'"') => Ok(Resolved::Written(Value::String(self.string()?))),
            Some(b'$') => {
                self.at += 1;
                let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let value = self.vars.get(name).ok_or_else(|| {
                    FormFault::invalid(format!("${} is not bound in vars", quoted(name)))
                })?;
                Ok(self.filters.resolve(value))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Resolved::Written(Value::Number(self.number()?))),
            _ if self.word_is("true") => Ok(Resolved::Written(Value::Bool(true))),
            _ if self.word_is("false") => Ok(Resolved::Written(Value::Bool(false))),
            _ if self.word_is("null") => Ok(Resolved::Written(Value::Null)),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Closed by the quote that opened it. A doubled quote is one quote; after a backslash a quote,
    /// a backslash, `n`, `r` and `t` are what they are in JSON, anything else keeps its backslash.
    fn string(&mut self) -> Result<String, FormFault> {
        let rest = &self.text[self.at..];
        let mut signs = rest.char_indices();
        let Some((_, quote)) = signs.next() else { return Err(self.unexpected("a value")) };
        let mut out = String::new();
        while let Some((at, sign)) = signs.next() {
            if sign == quote {
                if !rest[at + 1..].starts_with(quote) {
                    self.at += at + 1;
                    return Ok(out);
                }
                out.push(quote);
                signs.next();
            } else if sign == '\\' {
                match signs.next().map(|(_, escaped)| escaped) {
                    Some('n') => out.push('\n'),
                    Some('r') => out.push('\r'),
                    Some('t') => out.push('\t'),
                    Some(escaped @ ('\\' | '\'' | '"')) => out.push(escaped),
                    Some(other) => out.extend(['\\', other]),
                    None => break,
                }
            } else {
                out.push(sign);
            }
        }
        Err(FormFault::invalid("an unfinished string in the query text"))
    }

    fn number(&mut self) -> Result<Number, FormFault> {
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        Some(text)
            .filter(|text| text.len() <= NUMBER_CHARS_MAX)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| FormFault::invalid(format!("{:?} is not a number", quoted(text))))
    }

    fn whole(&mut self) -> Result<u64, FormFault> {
        self.skip_blanks();
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || b"+-.$_".contains(&byte));
        Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| FormFault::invalid(format!("{:?} is not a whole number", quoted(text))))
    }

    /// `name`, `first-name`, `address.city`, `tags.0`.
    fn path(&mut self) -> Result<&'a str, FormFault> {
        self.skip_blanks();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
        let starts = |byte: u8| word(byte) && !byte.is_ascii_digit();
        if bytes.get(start).copied().is_some_and(starts) {
            let mut at = start;
            while let Some(byte) = bytes.get(at).copied() {
                // A hyphen or a dot belongs to the name only between two letters.
                let joins =
                    (byte == b'-' || byte == b'.') && bytes.get(at + 1).copied().is_some_and(word);
                if !word(byte) && !joins {
                    break;
                }
                at += 1;
            }
            let path = &self.text[start..at];
            if is_field(path) && !is_reserved(path) {
                self.at = at;
                return Ok(path);
            }
        }
        Err(self.unexpected("a field"))
    }

    fn keyword(&mut self, word: &str) -> Result<(), FormFault> {
        if self.word_is(word) {
            return Ok(());
        }
        Err(self.unexpected(&word.to_ascii_uppercase()))
    }

    /// Consumes the word if it comes next, in any case and as a whole.
    fn word_is(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let rest = &self.text.as_bytes()[self.at..];
        let whole = rest
            .get(word.len())
            .is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii());
        let found = whole
            && rest
                .get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// The bytes from here on that fit; `fits` must refuse everything that is not ASCII.
    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|byte| !fits(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn unexpected(&self, wanted: &str) -> FormFault {
        let rest = self.text[self.at..].trim_start();
        if rest.is_empty() {
            return FormFault::invalid(format!("the query text ends where {wanted} is expected"));
        }
        let word: String = rest.chars().take_while(|sign| !sign.is_whitespace()).take(32).collect();
        FormFault::invalid(format!(
            "expected {wanted} at byte {} of the query text, found {:?}",
            self.text.len() - rest.len(),
            quoted(&word)
        ))
    }
}

/// Words that cannot be a field, so that a missing part is noticed where it is missing.
fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &["select", "from", "where", "order", "limit", "and", "or", "not"];
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// Levels of And, Or and Not. A negated test is one predicate, as `$ne` is.
fn boolean_depth(filter: &Filter) -> usize {
    match filter {
        Filter::True | Filter::False | Filter::Is(..) => 0,
        Filter::Not(part) if matches!(**part, Filter::Is(..)) => 0,
        Filter::Not(part) => 1 + boolean_depth(part),
        Filter::And(parts) | Filter::Or(parts) => {
            1 + parts.iter().map(boolean_depth).max().unwrap_or(0)
        }
    }
}

fn too_deep() -> FormFault {
    FormFault::too_complex(format!("AND, OR and NOT may nest {BOOLEAN_DEPTH_MAX} deep"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::live::filter_form::{NoPlaceholders, parse_filter};
    use proptest::prelude::proptest;
    use serde_json::json;

    fn read_with(text: &str, vars: &Value) -> Result<Vec<Root>, FormFault> {
        parse_statements(text, vars.as_object().unwrap(), &mut FilterReader::new(&NoPlaceholders))
    }

    fn read(text: &str) -> Root {
        let mut roots =
            read_with(text, &json!({})).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(roots.len(), 1, "{text}");
        roots.remove(0)
    }

    fn condition(text: &str) -> Filter {
        read(&format!("SELECT * FROM t WHERE {text}")).node.filter
    }

    #[test]
    fn statements() {
        let root = read(
            "select name, address.city from users-2 order by age desc, name asc, x limit 5 start at 2;",
        );
        assert_eq!(root.entity, "users-2");
        assert_eq!(root.node.select, Some(vec!["name".to_owned(), "address.city".to_owned()]));
        let directions: Vec<_> = root.node.order.iter().map(|key| key.direction).collect();
        assert_eq!(
            directions,
            [OrderDirection::Descending, OrderDirection::Ascending, OrderDirection::Ascending]
        );
        assert_eq!((root.node.limit, root.node.offset), (Some(5), 2));
        assert_eq!(read("SELECT * FROM t START 3").node.offset, 3);
        assert_eq!(read("SELECT * FROM t OFFSET 3").node.offset, 3);
        assert_eq!(read("\n SELECT\t*\r\nFROM t ").node, Node::default());

        let root = read("SELECT * FROM users:darsh");
        assert_eq!(root.entity, "users");
        assert_eq!(root.node.filter, parse_filter(&json!({"id": "darsh"})).unwrap());
        let root = read("SELECT * FROM users:a-1.b@c WHERE age = 1");
        assert_eq!(root.node.filter, parse_filter(&json!({"id": "a-1.b@c", "age": 1})).unwrap());

        let two = read_with("SELECT * FROM a; SELECT * FROM b ;", &json!({})).unwrap();
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn conditions() {
        let cases = [
            ("a = 1", json!({"a": 1})),
            ("a == 'x'", json!({"a": "x"})),
            ("a != 1", json!({"a": {"$ne": 1}})),
            ("a <> 1", json!({"a": {"$ne": 1}})),
            ("a < 1", json!({"a": {"$lt": 1}})),
            ("a<=1.5", json!({"a": {"$lte": 1.5}})),
            ("a > -2.5", json!({"a": {"$gt": -2.5}})),
            ("a>=1", json!({"a": {"$gte": 1}})),
            ("a LIKE 'x%'", json!({"a": {"$like": "x%"}})),
            ("a contains \"x\"", json!({"a": {"$contains": "x"}})),
            ("a = null", json!({"a": null})),
            ("a IS NULL", json!({"a": null})),
            ("a is not null", json!({"a": {"$ne": null}})),
            ("a = TRUE AND b = false", json!({"a": true, "b": false})),
            ("a IN (1, 'x', null)", json!({"a": {"$in": [1, "x", null]}})),
            ("a IN [1,2]", json!({"a": {"$in": [1, 2]}})),
            ("a IN []", json!({"a": {"$in": []}})),
            ("a NOT IN (1)", json!({"a": {"$nin": [1]}})),
            ("NOT a = 1", json!({"$not": {"a": 1}})),
            ("NOT (a = 1 OR b = 2)", json!({"$not": {"$or": [{"a": 1}, {"b": 2}]}})),
            ("a = 1 OR b = 2 AND c = 3", json!({"$or": [{"a": 1}, {"b": 2, "c": 3}]})),
            (
                "(a = 1 OR b = 2) AND c = 3",
                json!({"$and": [{"$or": [{"a": 1}, {"b": 2}]}, {"c": 3}]}),
            ),
            ("address.city = 'x'", json!({"address.city": "x"})),
            ("tags.0 = 'x'", json!({"tags.0": "x"})),
            ("first-name = 'x'", json!({"first-name": "x"})),
            ("größe = 1", json!({"größe": 1})),
            ("order_by = 1 and notes = 2", json!({"order_by": 1, "notes": 2})),
            ("a = 'it''s' AND b = \"say \\\"hi\\\"\"", json!({"a": "it's", "b": "say \"hi\""})),
            (r"a LIKE '50\%' AND b = 'x\\y\n'", json!({"a": {"$like": "50\\%"}, "b": "x\\y\n"})),
            ("a = 'x; SELECT * FROM b'", json!({"a": "x; SELECT * FROM b"})),
            ("a = '$name'", json!({"a": "$name"})),
            ("createdAt > 5", json!({"createdAt": {"$gt": 5}})),
        ];
        for (text, same) in cases {
            assert_eq!(condition(text), parse_filter(&same).unwrap(), "{text}");
        }
    }

    #[test]
    fn variables_are_values() {
        let vars = json!({"min": 18, "ids": ["a", "b"], "evil": "x' OR 1 = 1", "o": {"$ne": null}});
        let filter = |text: &str| {
            read_with(&format!("SELECT * FROM t WHERE {text}"), &vars)
                .map(|mut roots| roots.remove(0).node.filter)
        };
        let same = |value: Value| Ok(parse_filter(&value).unwrap());
        assert_eq!(filter("a > $min"), same(json!({"a": {"$gt": 18}})));
        assert_eq!(filter("a IN $ids"), same(json!({"a": {"$in": ["a", "b"]}})));
        assert_eq!(filter("a IN ($min, 1)"), same(json!({"a": {"$in": [18, 1]}})));
        assert_eq!(filter("a = $evil"), same(json!({"a": "x' OR 1 = 1"})));
        assert_eq!(filter("a = $o"), same(json!({"a": {"$eq": {"$ne": null}}})));
        for text in ["a = $other", "a = $", "a IN $min"] {
            assert!(matches!(filter(text), Err(FormFault::InvalidArgument { .. })), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let texts = [
            "",
            " ; ",
            "SELECT",
            "SELECT *",
            "SELECT * FROM",
            "SELECT FROM t",
            "SELECT a, FROM t",
            "SELECT *, a FROM t",
            "SELECT count() FROM t",
            "SELECT count() FROM t GROUP BY a",
            "SELECT * FROM t GROUP BY a",
            "SELECT * FROM t, u",
            "SELECT * FROM tx",
            "SELECT * FROM t:",
            "SELECT * FROM t:-a",
            "SELECT * FROM 9t",
            "SELECT ->knows->person FROM person",
            "SELECT * FROM a->b",
            "CREATE users SET name = 'x'",
            "RELATE a->b->c",
            "DELETE FROM users",
            "LIVE SELECT * FROM users",
            "SELECT * FROM t WHERE",
            "SELECT * FROM t WHERE a",
            "SELECT * FROM t WHERE a =",
            "SELECT * FROM t WHERE a = b",
            "SELECT * FROM t WHERE a = 1 AND",
            "SELECT * FROM t WHERE (a = 1",
            "SELECT * FROM t WHERE a = 1)",
            "SELECT * FROM t WHERE a IN ()",
            "SELECT * FROM t WHERE a IN (1",
            "SELECT * FROM t WHERE a IN (1]",
            "SELECT * FROM t WHERE a = 'x",
            "SELECT * FROM t WHERE a = 'x\\",
            "SELECT * FROM t WHERE a = 1x",
            "SELECT * FROM t WHERE a = 01",
            "SELECT * FROM t WHERE a = 1.",
            "SELECT * FROM t WHERE a IS 1",
            "SELECT * FROM t WHERE a NOT LIKE 'x'",
            "SELECT * FROM t WHERE a > true",
            "SELECT * FROM t WHERE a LIKE 1",
            "SELECT * FROM t WHERE $where = 1",
            "SELECT * FROM t ORDER a",
            "SELECT * FROM t ORDER BY",
            "SELECT * FROM t ORDER BY a up",
            "SELECT * FROM t LIMIT",
            "SELECT * FROM t LIMIT -1",
            "SELECT * FROM t LIMIT 1.5",
            "SELECT * FROM t LIMIT x",
            "SELECT * FROM t LIMIT 99999999999999999999999",
            "SELECT * FROM t START at",
            "SELECT * FROM t -- comment",
            "SELECT * FROM t SELECT * FROM u",
            "SELECTX * FROM t",
        ];
        for text in texts {
            assert!(
                matches!(read_with(text, &json!({})), Err(FormFault::InvalidArgument { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn limits() {
        let complex =
            |text: String| matches!(read_with(&text, &json!({})), Err(FormFault::TooComplex(_)));
        let parens =
            |n: usize| format!("SELECT * FROM t WHERE {}a = 1{}", "(".repeat(n), ")".repeat(n));
        assert!(!complex(parens(NESTING_MAX)));
        assert!(complex(parens(NESTING_MAX + 1)));
        assert!(complex(parens(1_000_000)));
        let nots =
            |n: usize| format!("SELECT * FROM t WHERE {}(a = 1 AND b = 2)", "NOT ".repeat(n));
        assert!(!complex(nots(5)));
        assert!(complex(nots(6)));
        assert!(complex(nots(1_000_000)));
        let list = |n: usize| format!("SELECT * FROM t WHERE a IN [{}1]", "1,".repeat(n - 1));
        assert!(!complex(list(1_000)));
        assert!(complex(list(1_001)));
        let many = |n: usize| format!("SELECT * FROM t WHERE a = 1{}", " OR a = 1".repeat(n - 1));
        assert!(!complex(many(200)));
        assert!(complex(many(201)));
        assert!(complex("SELECT * FROM t LIMIT 10001".to_owned()));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,60}") {
            let _ = read_with(&text, &json!({}));
        }

        #[test]
        fn nothing_panics_on_words(
            words in proptest::collection::vec(
                "(SELECT|FROM|WHERE|NOT|AND|OR|IN|IS|NULL|LIKE|ORDER|BY|LIMIT|START|\\*|t|a\\.b|t:x|1|-2|'x'|\"|\\(|\\)|\\[|,|=|<|\\$v|;|é)",
                0..20,
            )
        ) {
            let _ = read_with(&words.join(" "), &json!({"v": 1}));
            let start = format!("SELECT * FROM t WHERE {}", words.join(" "));
            let _ = read_with(&start, &json!({"v": 1}));
        }
    }
}
