//! Conditions and orders of `schema::filter` as SQL over `record r`.
//!
//! What SQLite's JSON functions express exactly is said in SQL; everything else goes through one function that runs the
//! in-memory evaluator on the record's content, so both forms are equal by construction. Numbers decide which: SQLite reads
//! them as 64-bit values, records hold decimals, so only whole numbers up to 2^53 are compared in SQL, and only with stored
//! whole numbers.
//!
//! A field index is reached by *hints*: conditions that the exact condition implies, spelled as the index is.
//!
//! Invariants
//! I1. A compiled condition is 0 or 1, never NULL, so `NOT` is plain negation. Hints may be NULL: they stand only in the
//!     outermost AND, where NULL is as good as 0.
//! I2. Values and paths are bound; literal are only names of registered fields, quoted by `types::field_expression`.
//!
//! tidy: sql: only type numbers and quoted names of registered fields are literal; values are bound

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as SqlValue, ValueRef};
use serde_json::{Map, Number, Value};

use super::error::{Result, StoreError};
use super::find::{Bind, Sql};
use super::types::{TypeInfo, field_expression, index_name, json_path};
use crate::schema::Kind;
use crate::schema::filter::{
    Comparison, DEPTH_MAX, FieldPath, Filter, Operand, OrderDirection, OrderKey, RecordView, Test,
    push_sort_key,
};
use crate::schema::words::Search;
use crate::util::id::RecordId;
use crate::util::json;

/// Tests said in SQL per statement; the rest of a larger filter goes through the function. Keeps statements short.
const NATIVE_TESTS_MAX: usize = 64;
/// Whole numbers up to here are exact whichever way SQLite reads them.
const EXACT_MAX: i64 = 1 << 53;
/// How a NUL is written in JSON. `json_extract` ends a text there, so such contents are compared by the function.
const NUL: &str = "\\u0000";

/// Registers the functions that statements of this module call. Direct only: nothing in a file's schema may call them.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("cairn_test", 2, flags, |context| {
        let filter = context.get_or_create_aux(0, read_parameter::<Filter>)?;
        let content = content(context, 1)?;
        Ok(filter.matches(&RecordView {
            content: &content,
            rid: 0,
            id: "",
            created_at: 0,
            updated_at: 0,
            subject: None,
        }))
    })?;
    connection.create_scalar_function("cairn_test", 6, flags, |context| {
        let filter = context.get_or_create_aux(0, read_parameter::<Filter>)?;
        let content = content(context, 1)?;
        let id: String = context.get(2)?;
        let subject: Option<String> = context.get(5)?;
        Ok(filter.matches(&RecordView {
            content: &content,
            rid: 0,
            id: &id,
            created_at: context.get(3)?,
            updated_at: context.get(4)?,
            subject: subject.as_deref(),
        }))
    })?;
    connection.create_scalar_function("cairn_order", 3, flags, |context| {
        let operand = context.get_or_create_aux(0, read_parameter::<Operand>)?;
        let content = content(context, 1)?;
        let at: i64 = context.get(2)?;
        let record = RecordView {
            content: &content,
            rid: 0,
            id: "",
            created_at: at,
            updated_at: at,
            subject: None,
        };
        let mut key = Vec::new();
        push_sort_key(&mut key, &operand.value(&record));
        Ok(if key.is_empty() { SqlValue::Null } else { SqlValue::Blob(key) })
    })?;
    connection.create_scalar_function("cairn_words", 2, flags, |context| {
        let search = context.get_or_create_aux(0, read_parameter::<Search>)?;
        Ok(search.matches_content(&content(context, 1)?))
    })?;
    connection.create_scalar_function("cairn_id", 1, flags, |context| {
        let rid: i64 = context.get(0)?;
        Ok(id_text(rid))
    })?;
    Ok(())
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn read_parameter<T: serde::de::DeserializeOwned>(value: ValueRef<'_>) -> Result<T, Fault> {
    Ok(serde_json::from_str(value.as_str()?)?)
}

fn content(context: &Context<'_>, argument: usize) -> rusqlite::Result<Map<String, Value>> {
    let fault = |fault: Fault| rusqlite::Error::UserFunctionError(fault);
    let text = context.get_raw(argument).as_str().map_err(|e| fault(e.into()))?;
    json::parse_object(text.as_bytes()).map_err(|e| fault(e.into()))
}

/// A record id as text; empty for a number that is none.
pub(crate) fn id_text(rid: i64) -> String {
    let mut text = String::new();
    if let Some(id) = RecordId::from_i64(rid) {
        id.push_to(&mut text);
    }
    text
}

/// The id a face shows, in SQL.
const SHOWN_ID: &str = "coalesce(r.alias, cairn_id(r.rid))";
const SUBJECT: &str = "(SELECT n.text FROM name n WHERE n.id = r.subject)";

/// Adds a filter to the outermost AND. `of` is the one type that the statement asks for, whose indexes may serve.
///
/// # Errors
/// [`StoreError::Refused`] when it nests too deep.
pub(crate) fn add_filter(sql: &mut Sql, filter: &Filter, of: Option<&TypeInfo>) -> Result<()> {
    if filter.depth() > DEPTH_MAX {
        return Err(StoreError::Refused(format!("a filter nests deeper than {DEPTH_MAX}")));
    }
    let mut parts = Vec::new();
    flatten(filter, &mut parts);
    let mut budget = NATIVE_TESTS_MAX;
    let mut rest = Vec::new();
    for part in parts {
        if let Filter::Is(operand, test) = part {
            hint(sql, operand, test, of);
            if let Some(condition) = hinted_text(sql, operand, test, of) {
                sql.and(&condition);
                continue;
            }
        }
        let tests = part.tests();
        if tests <= budget && is_native(part) {
            budget -= tests;
            let condition = native(sql, part);
            sql.and(&condition);
        } else {
            rest.push(part.clone());
        }
    }
    if let Some(last) = rest.pop() {
        let rest = if rest.is_empty() {
            last
        } else {
            rest.push(last);
            Filter::And(rest)
        };
        let condition = by_function(sql, &rest);
        sql.and(&condition);
    }
    Ok(())
}

/// A filter as one condition, for use inside a larger one.
pub(crate) fn condition(sql: &mut Sql, filter: &Filter) -> String {
    match filter {
        Filter::True => "TRUE".to_owned(),
        Filter::False => "FALSE".to_owned(),
        filter if filter.tests() <= NATIVE_TESTS_MAX && is_native(filter) => native(sql, filter),
        filter => by_function(sql, filter),
    }
}

fn flatten<'f>(filter: &'f Filter, out: &mut Vec<&'f Filter>) {
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| flatten(part, out)),
        Filter::True => {}
        other => out.push(other),
    }
}

/// Lists of shown ids of which the outermost AND asks one each.
pub(crate) fn ids_asked(filter: &Filter) -> Vec<Vec<String>> {
    let mut parts = Vec::new();
    flatten(filter, &mut parts);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    parts
        .iter()
        .filter_map(|part| match part {
            Filter::Is(Operand::Id, Test::Equal(Value::String(id))) => Some(vec![id.clone()]),
            // Other values equal no id.
            Filter::Is(Operand::Id, Test::In(list)) => Some(list.iter().filter_map(text).collect()),
            _ => None,
        })
        .collect()
}

/// Whether some part of the outermost AND finds its records through an index of `of`, by equality: then few rows are read
/// and the function runs on few.
pub(crate) fn uses_equality_index(filter: &Filter, of: &TypeInfo) -> bool {
    let mut parts = Vec::new();
    flatten(filter, &mut parts);
    parts.iter().any(|part| match part {
        Filter::Is(operand, Test::Equal(value)) => {
            indexed_field(operand, of).is_some()
                && match value {
                    Value::String(text) => !text.contains('\0'),
                    Value::Number(number) => small(number).is_some(),
                    _ => false,
                }
        }
        _ => false,
    })
}

/// The field behind an operand when it has an index of this type: its expression as the index spells it.
fn indexed_field(operand: &Operand, of: &TypeInfo) -> Option<String> {
    let name = plain_name(operand)?;
    of.schema.field(name).filter(|field| field.indexed || field.unique)?;
    field_expression("r.", name)
}

/// The top-level field that an operand names and nothing else, if SQLite's paths name it alike.
fn plain_name(operand: &Operand) -> Option<&str> {
    let name = match operand {
        Operand::Field(FieldPath(name)) if !name.contains('.') => name,
        Operand::Key(name) => name,
        _ => return None,
    };
    let odd = |sign: char| sign == '"' || sign == '\\' || sign.is_control();
    (!name.is_empty() && !name.contains(odd)).then_some(name)
}

/// A whole number that is exact in every form.
fn small(number: &Number) -> Option<i64> {
    number.as_i64().filter(|n| (-EXACT_MAX..=EXACT_MAX).contains(n))
}

/// A list of texts without NUL, or of small whole numbers; as JSON.
fn plain_list(list: &[Value]) -> Option<(&'static str, String)> {
    let texts = list.iter().all(|v| v.as_str().is_some_and(|text| !text.contains('\0')));
    let numbers = list.iter().all(|v| matches!(v, Value::Number(n) if small(n).is_some()));
    let kind = match (texts, numbers) {
        _ if list.is_empty() => return None,
        (true, _) => "text",
        (_, true) => "integer",
        _ => return None,
    };
    Some((kind, Value::Array(list.to_vec()).to_string()))
}

/// Bounds around what SQLite may have rounded a number to.
fn around(number: &Number) -> Option<(Bind, Bind)> {
    if let Some(whole) = small(number) {
        return Some((Bind::Int(whole), Bind::Int(whole)));
    }
    let real = number.as_f64().filter(|real| real.is_finite())?;
    Some((Bind::Real(real.next_down().next_down()), Bind::Real(real.next_up().next_up())))
}

/// Adds what a test implies about an indexed expression.
fn hint(sql: &mut Sql, operand: &Operand, test: &Test, of: Option<&TypeInfo>) {
    let Some(of) = of else { return };
    let Some(field) = indexed_field(operand, of) else { return };
    let bound = |sql: &mut Sql, operator: &str, value: Bind| {
        let value = sql.bind(value);
        sql.and(&format!("{field} {operator} {value}"));
    };
    let text = |text: &str| Bind::Text(text.to_owned());
    match test {
        Test::Equal(Value::String(value)) if !value.contains('\0') => bound(sql, "=", text(value)),
        Test::Equal(Value::Bool(value)) => bound(sql, "=", Bind::Int(i64::from(*value))),
        Test::Equal(Value::Number(value)) => match around(value) {
            Some((low, high)) if low == high => bound(sql, "=", low),
            Some((low, high)) => {
                bound(sql, ">=", low);
                bound(sql, "<=", high);
            }
            None => {}
        },
        // Texts sort behind all numbers.
        Test::Compare(comparison, Value::Number(value)) => {
            let Some((low, high)) = around(value) else { return };
            match comparison {
                Comparison::Less | Comparison::LessOrEqual => bound(sql, "<=", high),
                Comparison::Greater | Comparison::GreaterOrEqual => {
                    bound(sql, ">=", low);
                    bound(sql, "<", text(""));
                }
            }
        }
        // A stored text may have been cut at a NUL, hence no strict bounds.
        Test::Compare(comparison, Value::String(value)) if !value.contains('\0') => {
            match comparison {
                Comparison::Less | Comparison::LessOrEqual => {
                    bound(sql, ">=", text(""));
                    bound(sql, "<=", text(value));
                }
                Comparison::Greater | Comparison::GreaterOrEqual => bound(sql, ">=", text(value)),
            }
        }
        Test::In(list) => {
            if let Some((_, list)) = plain_list(list) {
                let list = sql.text(&list);
                sql.and(&format!("{field} IN (SELECT value FROM json_each({list}))"));
            }
        }
        Test::StartsWith(prefix) if !prefix.is_empty() && !prefix.contains('\0') => {
            bound(sql, ">=", text(prefix));
            if let Some(after) = after_prefix(prefix) {
                bound(sql, "<", Bind::Text(after));
            }
        }
        _ => {}
    }
}

/// What is left to test of a text's equality beside its hint. The hint is exact but where SQLite cut a text at a NUL, and
/// where an array or an object is written like the text.
fn hinted_text(
    sql: &mut Sql,
    operand: &Operand,
    test: &Test,
    of: Option<&TypeInfo>,
) -> Option<String> {
    let Test::Equal(Value::String(value)) = test else { return None };
    indexed_field(operand, of?)?;
    if value.contains('\0') || value.starts_with(['[', '{']) {
        return None;
    }
    let exact = by_function(sql, &Filter::Is(operand.clone(), test.clone()));
    Some(format!("(CASE WHEN instr(r.content, '{NUL}') > 0 THEN {exact} ELSE 1 END)"))
}

/// The smallest text above every text that begins with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut signs: Vec<char> = prefix.chars().collect();
    while let Some(last) = signs.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            char::MAX => None,
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            signs.push(next);
            return Some(signs.into_iter().collect());
        }
    }
    None
}

fn is_native(filter: &Filter) -> bool {
    match filter {
        Filter::True | Filter::False => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().all(is_native),
        Filter::Not(inner) => is_native(inner),
        Filter::Is(operand, test) => match operand {
            Operand::Field(_) | Operand::Key(_) => {
                plain_name(operand).is_some() && is_native_test(test)
            }
            Operand::CreatedAt | Operand::UpdatedAt => is_native_instant(test),
            Operand::Id => match test {
                Test::Equal(_) | Test::Present => true,
                Test::In(list) => plain_list(list).is_some_and(|(kind, _)| kind == "text"),
                _ => false,
            },
            Operand::Subject => matches!(test, Test::Equal(_) | Test::Present),
        },
    }
}

fn is_native_test(test: &Test) -> bool {
    let value = |value: &Value| match value {
        Value::String(text) => !text.contains('\0'),
        Value::Number(number) => small(number).is_some(),
        _ => false,
    };
    match test {
        Test::Present | Test::Equal(Value::Null | Value::Bool(_)) => true,
        Test::Equal(other) | Test::Compare(_, other) => value(other),
        Test::In(list) => plain_list(list).is_some(),
        _ => false,
    }
}

fn is_native_instant(test: &Test) -> bool {
    match test {
        Test::Present => true,
        Test::Equal(Value::Number(n)) | Test::Compare(_, Value::Number(n)) => small(n).is_some(),
        _ => false,
    }
}

/// Whether a filter looks at the content alone.
fn only_content(filter: &Filter) -> bool {
    match filter {
        Filter::True | Filter::False => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().all(only_content),
        Filter::Not(inner) => only_content(inner),
        Filter::Is(operand, _) => matches!(operand, Operand::Field(_) | Operand::Key(_)),
    }
}

fn parameter<T: serde::Serialize>(sql: &mut Sql, value: &T) -> String {
    let text = serde_json::to_string(value).expect("plain data with text keys always serialises");
    sql.text(&text)
}

fn by_function(sql: &mut Sql, filter: &Filter) -> String {
    let test = parameter(sql, filter);
    if only_content(filter) {
        format!("cairn_test({test}, r.content)")
    } else {
        format!("cairn_test({test}, r.content, {SHOWN_ID}, r.created_at, r.updated_at, {SUBJECT})")
    }
}

/// The condition for a filter that [`is_native`] holds for.
fn native(sql: &mut Sql, filter: &Filter) -> String {
    let mut list = |parts: &[Filter], between: &str, none: &str| {
        let parts: Vec<_> = parts.iter().map(|part| native(sql, part)).collect();
        if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(between)) }
    };
    match filter {
        Filter::True => "1".to_owned(),
        Filter::False => "0".to_owned(),
        Filter::And(parts) => list(parts, " AND ", "1"),
        Filter::Or(parts) => list(parts, " OR ", "0"),
        Filter::Not(inner) => format!("(NOT {})", native(sql, inner)),
        Filter::Is(operand, test) => match operand {
            Operand::CreatedAt => instant(sql, "createdAt", "r.created_at", test),
            Operand::UpdatedAt => instant(sql, "updatedAt", "r.updated_at", test),
            Operand::Id => id(sql, test),
            Operand::Subject => subject(sql, test),
            Operand::Field(_) | Operand::Key(_) => match plain_name(operand) {
                Some(name) => field(sql, name, test),
                None => by_function(sql, filter),
            },
        },
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A test of a top-level field.
fn field(sql: &mut Sql, name: &str, test: &Test) -> String {
    let Some(path) = json_path(name) else { return "0".to_owned() };
    let path = sql.text(&path);
    let kind = format!("json_type(r.content, {path})");
    let (kind_asked, wanted) = match test {
        Test::Present => return format!("(coalesce({kind}, 'null') <> 'null')"),
        Test::Equal(Value::Null) => return format!("(coalesce({kind}, 'null') = 'null')"),
        Test::Equal(Value::Bool(value)) => return format!("({kind} IS '{value}')"),
        Test::Equal(value) => scalar(sql, "=", value),
        Test::Compare(comparison, value) => scalar(sql, sign(*comparison), value),
        Test::In(list) => {
            let (kind, list) = plain_list(list).unwrap_or(("text", "[]".to_owned()));
            let list = sql.text(&list);
            (kind, format!("IN (SELECT value FROM json_each({list}))"))
        }
        _ => return "0".to_owned(),
    };
    let exact = parameter(sql, &Filter::Is(Operand::Key(name.to_owned()), test.clone()));
    let exact = format!("cairn_test({exact}, r.content)");
    if kind_asked == "text" {
        format!(
            "(CASE WHEN {kind} IS NOT 'text' THEN 0 WHEN instr(r.content, '{NUL}') > 0 THEN {exact} \
             ELSE json_extract(r.content, {path}) {wanted} END)"
        )
    } else {
        format!(
            "(CASE {kind} WHEN 'integer' THEN json_extract(r.content, {path}) {wanted} WHEN 'real' THEN {exact} ELSE 0 END)"
        )
    }
}

/// The stored kind that a scalar is compared with in SQL, and the comparison.
fn scalar(sql: &mut Sql, sign: &str, value: &Value) -> (&'static str, String) {
    match value {
        Value::String(text) => ("text", format!("{sign} {}", sql.text(text))),
        Value::Number(number) => {
            let number = sql.bind(small(number).map_or(Bind::Null, Bind::Int));
            ("integer", format!("{sign} {number}"))
        }
        _ => ("text", "IS NULL".to_owned()),
    }
}

/// A test of a system time, which a content field of its name replaces.
fn instant(sql: &mut Sql, name: &str, column: &str, test: &Test) -> String {
    let own = field(sql, name, test);
    let system = match test {
        Test::Equal(value) => format!("({column} {})", scalar(sql, "=", value).1),
        Test::Compare(comparison, value) => {
            format!("({column} {})", scalar(sql, sign(*comparison), value).1)
        }
        _ => "1".to_owned(),
    };
    format!("(CASE WHEN json_type(r.content, '$.\"{name}\"') IS NULL THEN {system} ELSE {own} END)")
}

fn id(sql: &mut Sql, test: &Test) -> String {
    match test {
        Test::Present => "1".to_owned(),
        Test::Equal(Value::String(text)) => {
            let alias = sql.text(text);
            let rid =
                sql.bind(RecordId::parse(text).map_or(Bind::Null, |id| Bind::Int(id.as_i64())));
            // Parsing forgives spellings that are never shown, hence the second look.
            format!(
                "(CASE WHEN r.alias IS NOT NULL THEN r.alias = {alias} \
                 ELSE r.rid IS {rid} AND cairn_id(r.rid) = {alias} END)"
            )
        }
        Test::In(list) => {
            let list = sql.text(&Value::Array(list.clone()).to_string());
            format!("({SHOWN_ID} IN (SELECT value FROM json_each({list})))")
        }
        _ => "0".to_owned(),
    }
}

fn subject(sql: &mut Sql, test: &Test) -> String {
    match test {
        Test::Present => "(r.subject IS NOT NULL)".to_owned(),
        Test::Equal(Value::Null) => "(r.subject IS NULL)".to_owned(),
        Test::Equal(Value::String(text)) => {
            let text = sql.text(text);
            format!("coalesce(r.subject = (SELECT n.id FROM name n WHERE n.text = {text}), 0)")
        }
        _ => "0".to_owned(),
    }
}

/// What an order key sorts by, NULL where the value is missing or null.
pub(crate) fn order_expression(sql: &mut Sql, operand: &Operand) -> String {
    match operand {
        Operand::Id => SHOWN_ID.to_owned(),
        Operand::Subject => SUBJECT.to_owned(),
        Operand::UpdatedAt => {
            let operand = parameter(sql, operand);
            format!("cairn_order({operand}, r.content, r.updated_at)")
        }
        other => {
            let operand = parameter(sql, other);
            format!("cairn_order({operand}, r.content, r.created_at)")
        }
    }
}

/// A field index, by name and by what it is made on.
pub(crate) struct OrderIndex {
    pub(crate) index: String,
    pub(crate) expression: String,
}

/// The index that hands out records in the order of this key, ties unresolved. Only for fields whose
/// declared kind has one rank: the index sorts booleans among numbers and lists among texts. Where older records hold such
/// values the index has another name, so the caller asks whether this one is there.
pub(crate) fn order_index(key: &OrderKey, of: &TypeInfo) -> Option<OrderIndex> {
    let expression = indexed_field(&key.operand, of)?;
    let name = plain_name(&key.operand)?;
    let field = of.schema.field(name)?;
    let one_rank = match field.kind {
        Kind::String | Kind::Text | Kind::Number | Kind::Boolean => true,
        Kind::Date | Kind::RecordRef | Kind::FileRef => true,
        Kind::Array | Kind::Object => false,
    };
    one_rank.then(|| OrderIndex { index: index_name(of.row_id, name), expression })
}

pub(crate) fn direction(direction: OrderDirection) -> &'static str {
    match direction {
        OrderDirection::Ascending => "ASC",
        OrderDirection::Descending => "DESC",
    }
}

/// The condition that a record's own texts match, without the index.
pub(crate) fn words_condition(sql: &mut Sql, search: &Search) -> String {
    let search = parameter(sql, search);
    format!("cairn_words({search}, r.content)")
}
