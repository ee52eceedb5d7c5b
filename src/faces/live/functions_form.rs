//! Declarative functions (live chapter 10): their definitions, arguments and placeholders.
//!
//! A function is a query or a list of operations with placeholders. It runs no code: a call checks
//! its arguments, puts values where placeholders stand, and what comes out is an ordinary query or
//! transaction.
//!
//! Knows definitions and callers. Does not know stored functions or how a result is computed.
//!
//! Invariants
//! L1. A definition that was read names only placeholders that exist, and only declared arguments.
//! L2. What an argument holds is an operand or a value; it never becomes an operator or a clause.
//! L3. In a filter a placeholder without a value matches nothing; in an operation it is `null`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::fault::{Details, FormFault, quoted};
use super::filter_form::{Lookup, Placeholders};
use super::mutate_form::{Mutation, OPS_MAX, parse_ops};
use super::names::is_id;
use super::pattern::Pattern;
use super::query_form::{LiveQuery, QueryLimits, parse_query_with};
use super::rules::{AuthContext, Gate};
use crate::util::json::{json_eq, num_cmp};
use crate::util::rng::Rng;

/// The longest name of a function.
pub const FUNCTION_NAME_CHARS_MAX: usize = 200;
/// Arguments, or fields of one object argument.
pub const ARGS_MAX: usize = 200;
/// How deep array items and object fields may be described.
pub const ARG_DEPTH_MAX: usize = 10;
/// Fresh ids that one call may ask for.
pub const FRESH_IDS_MAX: usize = 1_000;

/// A definition that was read.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    /// Hidden from callers.
    pub internal: bool,
    /// The definition as it is stored and listed.
    pub definition: Map<String, Value>,
    gate: Option<Gate>,
    args: Vec<(String, Arg)>,
    body: Body,
    result: Option<Value>,
}

#[derive(Clone, Debug)]
enum Body {
    Query(Value),
    Ops(Value),
}

#[derive(Clone, Debug)]
struct Arg {
    kind: ArgKind,
    optional: bool,
    allowed: Option<Vec<Value>>,
}

#[derive(Clone, Debug)]
enum ArgKind {
    Text { length: Bounds, pattern: Option<Pattern>, format: Option<Format> },
    Number { min: Option<Number>, max: Option<Number>, whole: bool },
    Boolean,
    Id,
    Array { items: Option<Box<Arg>>, length: Bounds },
    Object { fields: Option<Vec<(String, Arg)>> },
    Any,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    min: usize,
    max: usize,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Email,
    Url,
}

/// Whether a name may be a function's: `[A-Za-z0-9_.:/-]{1,200}`.
#[must_use]
pub fn is_function_name(name: &str) -> bool {
    (1..=FUNCTION_NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte))
}

impl Function {
    /// Reads a definition. `name` is the one from the address; the definition may repeat it.
    ///
    /// # Errors
    /// [`FormFault::InvalidArgument`] with a detail for every fault.
    pub fn parse(name: Option<&str>, definition: &Value) -> Result<Self, FormFault> {
        let Value::Object(definition) = definition else {
            return Err(FormFault::invalid("a function must be an object"));
        };
        let mut faults = Details::default();
        let inside = definition.get("name").and_then(Value::as_str);
        let given = name.or(inside).unwrap_or("");
        if !is_function_name(given) || definition.get("name").is_some_and(|is| is != given) {
            faults.push("name", "must be the name of the function");
        }
        for key in definition.keys() {
            const KEYS: &[&str] = &[
                "name",
                "kind",
                "args",
                "auth",
                "ops",
                "query",
                "result",
                "internal",
                "description",
            ];
            if !KEYS.contains(&key.as_str()) {
                faults.push(quoted(key), "unknown key");
            }
        }
        let args = match definition.get("args") {
            None => Vec::new(),
            Some(args) => read_fields("args", args, 0, &mut faults),
        };
        let gate = match definition.get("auth") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Gate::parse(&serde_json::json!({"auth": true})).ok(),
            Some(rule) => Gate::parse(rule).map_err(|fault| faults.push_fault("auth", fault)).ok(),
        };
        let internal = match definition.get("internal") {
            None => false,
            Some(Value::Bool(internal)) => *internal,
            Some(_) => {
                faults.push("internal", "must be true or false");
                false
            }
        };
        let body = read_body(definition, &args, &mut faults);
        let result = definition.get("result").cloned();
        if let Some(result) = &result {
            check_placeholders("result", result, &args, true, &mut faults);
        }
        faults.into_first()?;
        let body = body.ok_or_else(|| FormFault::at("kind", "must be query or mutation"))?;
        let mut definition = definition.clone();
        definition.insert("name".to_owned(), given.into());
        Ok(Self { name: given.to_owned(), internal, definition, gate, args, body, result })
    }

    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(self.body, Body::Query(_))
    }

    /// Whether the caller may call it.
    #[must_use]
    pub fn allows(&self, who: &AuthContext) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.allows(who))
    }

    /// Checks the arguments of a call and binds them.
    ///
    /// # Errors
    /// `Validation failed`, with a detail for every argument at fault.
    pub fn call(
        &self,
        args: Map<String, Value>,
        who: &AuthContext,
        rng: &Rng,
    ) -> Result<FunctionCall, FormFault> {
        let mut faults = Details::default();
        check_fields("", &args, &self.args, &mut faults);
        faults.into_result("Validation failed")?;
        Ok(FunctionCall {
            body: self.body.clone(),
            result: self.result.clone(),
            args,
            who: who.clone(),
            rng: rng.clone(),
            ids: RefCell::default(),
            outcome: None,
        })
    }
}

/// A call whose arguments are fine. Fresh ids stay the same through its life.
#[derive(Debug)]
pub struct FunctionCall {
    body: Body,
    result: Option<Value>,
    args: Map<String, Value>,
    who: AuthContext,
    rng: Rng,
    ids: RefCell<BTreeMap<String, String>>,
    outcome: Option<Value>,
}

/// What a call does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    Query(LiveQuery),
    Mutations(Vec<Mutation>),
}

impl FunctionCall {
    /// The query or the operations with every value in its place.
    ///
    /// # Errors
    /// What came out is not a valid query or transaction, say because an argument is no valid id.
    pub fn work(&self, limits: QueryLimits) -> Result<Work, FormFault> {
        match &self.body {
            Body::Query(query) => Ok(Work::Query(parse_query_with(query, limits, self)?)),
            Body::Ops(ops) => Ok(Work::Mutations(parse_ops(&self.fill(ops))?)),
        }
    }

    /// What the caller gets, once the work has given `outcome`.
    #[must_use]
    pub fn result(mut self, outcome: Value) -> Value {
        match self.result.take() {
            None => outcome,
            Some(result) => {
                self.outcome = Some(outcome);
                self.fill(&result)
            }
        }
    }

    /// Recursion is bounded by the depth of parsed JSON.
    fn fill(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => match self.lookup(text) {
                Lookup::Literal => template.clone(),
                Lookup::Text(text) => Value::String(text),
                Lookup::Missing => Value::Null,
                Lookup::Value(value) => value,
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect()
            }
            _ => template.clone(),
        }
    }

    fn fresh_id(&self, name: &str) -> Lookup {
        let mut ids = self.ids.borrow_mut();
        if ids.len() >= FRESH_IDS_MAX && !ids.contains_key(name) {
            return Lookup::Missing;
        }
        let id = ids.entry(name.to_owned()).or_insert_with(|| uuid_v7(self.who.now, &self.rng));
        Lookup::Value(Value::String(id.clone()))
    }
}

impl Placeholders for FunctionCall {
    fn lookup(&self, text: &str) -> Lookup {
        let found =
            |value: Option<&Value>| value.map_or(Lookup::Missing, |v| Lookup::Value(v.clone()));
        if let Some(path) = text.strip_prefix("$args.") {
            let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
            return found(self.args.get(first).and_then(|value| at_path(value, rest)));
        }
        if let Some(name) = text.strip_prefix("$id.") {
            return self.fresh_id(name);
        }
        if let Some(outcome) = &self.outcome {
            if text == "$result" {
                return found(Some(outcome));
            }
            if let Some(path) = text.strip_prefix("$result.") {
                return found(at_path(outcome, Some(path)));
            }
        }
        self.who.lookup(text)
    }
}

/// Follows keys and indexes.
fn at_path<'v>(value: &'v Value, path: Option<&str>) -> Option<&'v Value> {
    path.into_iter().flat_map(|path| path.split('.')).try_fold(
        value,
        |value, segment| match value {
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            _ => value.get(segment),
        },
    )
}

/// RFC 9562, section 5.7.
fn uuid_v7(now_ms: i64, rng: &Rng) -> String {
    let mut bytes: [u8; 16] = rng.bytes();
    bytes[..6].copy_from_slice(&now_ms.max(0).to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crate::crypto::hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn read_body(
    definition: &Map<String, Value>,
    args: &[(String, Arg)],
    faults: &mut Details,
) -> Option<Body> {
    match definition.get("kind").and_then(Value::as_str) {
        Some("query") => {
            let Some(query) = definition.get("query") else {
                faults.push("query", "is required");
                return None;
            };
            if definition.contains_key("ops") {
                faults.push("ops", "belong to a mutation");
            }
            check_placeholders("query", query, args, false, faults);
            // Read with every placeholder empty, which shows all that does not depend on a call.
            if let Err(fault) = parse_query_with(query, QueryLimits::default(), &Empty) {
                faults.push_fault("query", fault);
            }
            Some(Body::Query(query.clone()))
        }
        Some("mutation") => {
            if definition.contains_key("query") {
                faults.push("query", "belongs to a query");
            }
            let ops = definition.get("ops");
            let fits = ops.and_then(Value::as_array).is_some_and(|ops| {
                (1..=OPS_MAX).contains(&ops.len()) && ops.iter().all(Value::is_object)
            });
            if !fits {
                faults.push("ops", format!("must be a list of 1 to {OPS_MAX} operations"));
                return None;
            }
            let ops = ops?;
            check_placeholders("ops", ops, args, false, faults);
            Some(Body::Ops(ops.clone()))
        }
        _ => {
            faults.push("kind", "must be query or mutation");
            None
        }
    }
}

/// Every placeholder without a value.
struct Empty;

impl Placeholders for Empty {
    fn lookup(&self, text: &str) -> Lookup {
        match text.strip_prefix("$$") {
            Some(escaped) => Lookup::Text(format!("${escaped}")),
            None if is_placeholder(text) => Lookup::Missing,
            None => Lookup::Literal,
        }
    }
}

fn is_placeholder(text: &str) -> bool {
    let name = text.split('.').next().unwrap_or("");
    matches!(name, "$args" | "$auth" | "$id" | "$now" | "$result")
}

/// Notes placeholders that never have a value. Recursion is bounded by the depth of parsed JSON.
fn check_placeholders(
    at: &str,
    template: &Value,
    args: &[(String, Arg)],
    with_result: bool,
    faults: &mut Details,
) {
    match template {
        Value::String(text) if is_placeholder(text) => {
            let (name, path) = text.split_once('.').unwrap_or((text, ""));
            let known = match name {
                "$args" => {
                    let first = path.split('.').next().unwrap_or("");
                    args.iter().any(|(name, _)| name == first)
                }
                "$auth" => {
                    matches!(path, "userId" | "email" | "role")
                        || path.strip_prefix("claims.").is_some_and(|claim| !claim.is_empty())
                }
                "$id" => !path.is_empty(),
                "$now" => text == "$now",
                _ => with_result,
            };
            if !known {
                faults.push(at, format!("unknown placeholder {:?}", quoted(text)));
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                check_placeholders(&format!("{at}[{n}]"), item, args, with_result, faults);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let at = format!("{at}.{}", quoted(key));
                check_placeholders(&at, member, args, with_result, faults);
            }
        }
        _ => {}
    }
}

fn read_fields(
    at: &str,
    written: &Value,
    depth: usize,
    faults: &mut Details,
) -> Vec<(String, Arg)> {
    match written {
        Value::Object(fields) if fields.len() <= ARGS_MAX => fields
            .iter()
            .filter_map(|(name, arg)| {
                let at = format!("{at}.{}", quoted(name));
                if name.is_empty() || name.contains('.') {
                    faults.push(at, "a name must be a text without a dot");
                    return None;
                }
                Some((name.clone(), read_arg(&at, arg, depth, faults)?))
            })
            .collect(),
        _ => {
            faults.push(at, format!("must be an object of at most {ARGS_MAX} types"));
            Vec::new()
        }
    }
}

fn read_arg(at: &str, written: &Value, depth: usize, faults: &mut Details) -> Option<Arg> {
    let Value::Object(members) = written else {
        faults.push(at, "must be an object with a type");
        return None;
    };
    if depth > ARG_DEPTH_MAX {
        faults.push(at, format!("types may nest {ARG_DEPTH_MAX} deep"));
        return None;
    }
    let name = members.get("type").and_then(Value::as_str).unwrap_or("");
    let own: &[&str] = match name {
        "string" => &["min", "max", "pattern", "format"],
        "number" => &["min", "max", "int"],
        "array" => &["items", "min", "max"],
        "object" => &["fields"],
        "boolean" | "id" | "any" => &[],
        _ => {
            faults.push(
                format!("{at}.type"),
                "must be string, number, boolean, id, array, object or any",
            );
            return None;
        }
    };
    for key in members.keys() {
        let common = ["type", "optional", "enum", "description"].contains(&key.as_str());
        if !common && !own.contains(&key.as_str()) {
            faults.push(format!("{at}.{}", quoted(key)), format!("unknown for type {name}"));
        }
    }
    let mut read = ArgReader { at, members, faults };
    let kind = match name {
        "string" => {
            ArgKind::Text { length: read.length(), pattern: read.pattern(), format: read.format() }
        }
        "number" => ArgKind::Number {
            min: read.number("min"),
            max: read.number("max"),
            whole: read.flag("int"),
        },
        "boolean" => ArgKind::Boolean,
        "id" => ArgKind::Id,
        "array" => {
            let length = read.length();
            let items = members.get("items").map(|items| {
                read_arg(&format!("{at}.items"), items, depth + 1, read.faults).map(Box::new)
            });
            ArgKind::Array { items: items.flatten(), length }
        }
        "object" => ArgKind::Object {
            fields: members
                .get("fields")
                .map(|fields| read_fields(&format!("{at}.fields"), fields, depth + 1, read.faults)),
        },
        _ => ArgKind::Any,
    };
    let optional = read.flag("optional");
    let allowed = match members.get("enum") {
        None => None,
        Some(Value::Array(values)) => Some(values.clone()),
        Some(_) => {
            read.fault("enum", "must be an array");
            None
        }
    };
    Some(Arg { kind, optional, allowed })
}

struct ArgReader<'a> {
    at: &'a str,
    members: &'a Map<String, Value>,
    faults: &'a mut Details,
}

impl ArgReader<'_> {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(format!("{}.{key}", self.at), message);
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.members.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.fault(key, "must be true or false");
                false
            }
        }
    }

    fn number(&mut self, key: &str) -> Option<Number> {
        match self.members.get(key) {
            None => None,
            Some(Value::Number(number)) => Some(number.clone()),
            Some(_) => {
                self.fault(key, "must be a number");
                None
            }
        }
    }

    fn length(&mut self) -> Bounds {
        let mut bounds = Bounds { min: 0, max: usize::MAX };
        for (key, bound) in [("min", &mut bounds.min), ("max", &mut bounds.max)] {
            let Some(value) = self.members.get(key) else { continue };
            match value.as_u64().and_then(|length| usize::try_from(length).ok()) {
                Some(length) => *bound = length,
                None => self.faults.push(format!("{}.{key}", self.at), "must be a whole number"),
            }
        }
        bounds
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let pattern = self.members.get("pattern")?;
        match pattern.as_str().map(Pattern::new) {
            Some(Ok(pattern)) => Some(pattern),
            Some(Err(fault)) => {
                self.fault("pattern", fault.to_string());
                None
            }
            None => {
                self.fault("pattern", "must be a string");
                None
            }
        }
    }

    fn format(&mut self) -> Option<Format> {
        match self.members.get("format")?.as_str() {
            Some("email") => Some(Format::Email),
            Some("url") => Some(Format::Url),
            _ => {
                self.fault("format", "must be email or url");
                None
            }
        }
    }
}

/// `at` is empty for the arguments themselves.
fn check_fields(
    at: &str,
    given: &Map<String, Value>,
    wanted: &[(String, Arg)],
    faults: &mut Details,
) {
    let place = |name: &str| match at {
        "" => quoted(name),
        _ => format!("{at}.{}", quoted(name)),
    };
    for (name, arg) in wanted {
        match given.get(name) {
            None if arg.optional => {}
            None => faults.push(place(name), "is required"),
            Some(value) => check_value(&place(name), value, arg, faults),
        }
    }
    for name in given.keys().filter(|name| !wanted.iter().any(|(known, _)| known == *name)) {
        faults.push(place(name), "unknown argument");
    }
}

fn check_value(at: &str, value: &Value, arg: &Arg, faults: &mut Details) {
    if arg.optional && value.is_null() {
        return;
    }
    if let Some(allowed) = &arg.allowed
        && !allowed.iter().any(|one| json_eq(one, value))
    {
        return faults.push(at, "is not one of the allowed values");
    }
    match (&arg.kind, value) {
        (ArgKind::Text { length, pattern, format }, Value::String(text)) => {
            let chars = text.chars().count();
            if chars < length.min {
                faults.push(at, format!("must have at least {} characters", length.min));
            } else if chars > length.max {
                faults.push(at, format!("must have at most {} characters", length.max));
            } else if pattern.as_ref().is_some_and(|pattern| !pattern.matches(text)) {
                faults.push(at, "does not match the pattern");
            } else if format.is_some_and(|format| !format.fits(text)) {
                faults.push(at, "does not have the right format");
            }
        }
        (ArgKind::Text { .. }, _) => faults.push(at, "must be a string"),
        (ArgKind::Number { min, max, whole }, Value::Number(number)) => {
            if min.as_ref().is_some_and(|min| num_cmp(number, min).is_lt()) {
                faults.push(at, "is too small");
            } else if max.as_ref().is_some_and(|max| num_cmp(number, max).is_gt()) {
                faults.push(at, "is too large");
            } else if *whole && !is_whole(number) {
                faults.push(at, "must be a whole number");
            }
        }
        (ArgKind::Number { .. }, _) => faults.push(at, "must be a number"),
        (ArgKind::Boolean, Value::Bool(_)) | (ArgKind::Any, _) => {}
        (ArgKind::Boolean, _) => faults.push(at, "must be true or false"),
        (ArgKind::Id, Value::String(id)) if is_id(id) => {}
        (ArgKind::Id, _) => faults.push(at, "must be an id"),
        (ArgKind::Array { items, length }, Value::Array(values)) => {
            if values.len() < length.min {
                faults.push(at, format!("must have at least {} items", length.min));
            } else if values.len() > length.max {
                faults.push(at, format!("must have at most {} items", length.max));
            } else if let Some(items) = items {
                for (n, value) in values.iter().enumerate() {
                    check_value(&format!("{at}[{n}]"), value, items, faults);
                }
            }
        }
        (ArgKind::Array { .. }, _) => faults.push(at, "must be an array"),
        (ArgKind::Object { fields }, Value::Object(given)) => {
            if let Some(fields) = fields {
                check_fields(at, given, fields, faults);
            }
        }
        (ArgKind::Object { .. }, _) => faults.push(at, "must be an object"),
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

impl Format {
    fn fits(self, text: &str) -> bool {
        let plain = !text.contains(|sign: char| sign.is_whitespace() || sign.is_control());
        let rest = match self {
            // One `@` with text on both sides, at most 254 bytes: as for accounts.
            Self::Email => {
                return plain
                    && text.len() <= 254
                    && text.split_once('@').is_some_and(|(local, domain)| {
                        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
                    });
            }
            Self::Url => text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")),
        };
        plain
            && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::live::filter_form::parse_filter;
    use crate::faces::live::mutate_form::Action;
    use crate::schema::filter::Filter;
    use serde_json::json;

    /// The example of chapter 10.
    fn sample() -> Value {
        json!({
            "name": "createTodo", "kind": "mutation",
            "args": {"title": {"type": "string", "min": 1, "max": 500}, "listId": {"type": "id"}},
            "auth": true,
            "ops": [{"op": "insert", "entity": "todos", "id": "$id.todo",
                "data": {"title": "$args.title", "listId": "$args.listId", "done": false,
                    "userId": "$auth.userId", "createdAt": "$now", "price": "$$5"}}],
            "result": "$id.todo"
        })
    }

    fn who() -> AuthContext {
        AuthContext {
            user_id: Some("usr_a".to_owned()),
            now: 1_775_390_400_000,
            ..Default::default()
        }
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn function(definition: Value) -> Function {
        Function::parse(Some("f"), &definition).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn places(result: Result<impl std::fmt::Debug, FormFault>) -> Vec<String> {
        match result {
            Err(FormFault::InvalidArgument { details, .. }) => {
                details.into_iter().map(|detail| detail.field).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_the_protocol() {
        let function = Function::parse(None, &sample()).unwrap();
        assert_eq!((function.name.as_str(), function.is_query()), ("createTodo", false));
        let (who, rng) = (who(), Rng::seeded(1));
        assert!(function.allows(&who) && !function.allows(&AuthContext::default()));
        let args = object(json!({"title": "Milk", "listId": "l1"}));
        let call = function.call(args, &who, &rng).unwrap();
        let Work::Mutations(mutations) = call.work(QueryLimits::default()).unwrap() else {
            panic!()
        };
        let Action::Insert { id: Some(id), data } = &mutations[0].action else { panic!() };
        assert_eq!(id.len(), 36);
        assert!(id.starts_with("019d5d83-9e00-7"), "{id}");
        let wanted = json!({"title": "Milk", "listId": "l1", "done": false, "userId": "usr_a",
            "createdAt": 1_775_390_400_000i64, "price": "$5"});
        assert_eq!(Value::Object(data.clone()), wanted);
        let id = id.clone();
        assert_eq!(call.result(json!([])), json!(id), "the same name is the same id");
    }

    #[test]
    fn queries_take_arguments_as_operands_only() {
        let function = function(json!({
            "kind": "query",
            "args": {"filter": {"type": "any"}, "n": {"type": "number", "optional": true}},
            "query": {"todos": {"$where": {"a": "$args.filter", "owner": {"$ne": "$auth.email"}}, "$limit": "$args.n"}}
        }));
        let (who, rng) = (who(), Rng::seeded(1));
        let node = |args: Value| {
            let call = function.call(object(args), &who, &rng).unwrap();
            match call.work(QueryLimits::default()).unwrap() {
                Work::Query(mut query) => query.roots.remove(0).node,
                Work::Mutations(_) => panic!(),
            }
        };
        let found = node(json!({"filter": {"$ne": null}, "n": 5}));
        assert_eq!(found.limit, Some(5));
        // The e-mail address has no value, so that predicate holds for nobody.
        let equal = parse_filter(&json!({"a": {"$eq": {"$ne": null}}})).unwrap();
        assert_eq!(found.filter, Filter::And(vec![equal, Filter::False]));
        assert_eq!(node(json!({"filter": 1})).limit, None);
    }

    #[test]
    fn results() {
        let (who, rng) = (who(), Rng::seeded(1));
        let give = |result: Value, outcome: Value| {
            let function =
                function(json!({"kind": "query", "args": {"a": {"type": "any", "optional": true}},
                "query": {"t": {}}, "result": result}));
            function.call(object(json!({"a": {"b": [1, 2]}})), &who, &rng).unwrap().result(outcome)
        };
        let outcome = json!({"t": [{"id": "x"}]});
        assert_eq!(give(json!("$result.t.0.id"), outcome.clone()), json!("x"));
        assert_eq!(give(json!("$result"), outcome.clone()), outcome);
        assert_eq!(
            give(json!({"a": ["$args.a.b.1", "$args.a.c"]}), outcome),
            json!({"a": [2, null]})
        );
        let plain = function(json!({"kind": "query", "query": {"t": {}}}));
        assert_eq!(plain.call(Map::new(), &who, &rng).unwrap().result(json!(7)), json!(7));
    }

    #[test]
    fn arguments_are_checked() {
        let function = function(json!({"kind": "query", "query": {"t": {}}, "args": {
            "text": {"type": "string", "min": 2, "max": 3, "optional": true},
            "code": {"type": "string", "pattern": "^[a-z]+$", "optional": true},
            "mail": {"type": "string", "format": "email", "optional": true},
            "url": {"type": "string", "format": "url", "optional": true},
            "n": {"type": "number", "min": 1, "max": 2.5, "optional": true},
            "i": {"type": "number", "int": true, "optional": true},
            "b": {"type": "boolean", "optional": true},
            "id": {"type": "id", "optional": true},
            "list": {"type": "array", "items": {"type": "object", "fields": {"x": {"type": "number"}}}, "max": 2, "optional": true},
            "pick": {"type": "any", "enum": ["a", 1], "optional": true}
        }}));
        let (who, rng) = (who(), Rng::seeded(1));
        let call = |args: Value| function.call(object(args), &who, &rng).map(|_| ());
        for good in [
            json!({}),
            json!({"text": null}),
            json!({"text": "üü", "code": "abc", "mail": "a@b", "url": "https://a.example/x?y", "n": 2.5, "i": 3.0,
                "b": false, "id": "a-1", "list": [{"x": 1}, {"x": 2}], "pick": 1.0}),
        ] {
            assert_eq!(call(good.clone()), Ok(()), "{good}");
        }
        for (bad, place) in [
            (json!({"text": "x"}), "text"),
            (json!({"text": "xxxx"}), "text"),
            (json!({"text": 1}), "text"),
            (json!({"code": "A"}), "code"),
            (json!({"mail": "a"}), "mail"),
            (json!({"mail": "a@b@c"}), "mail"),
            (json!({"mail": "a b@c"}), "mail"),
            (json!({"url": "ftp://a"}), "url"),
            (json!({"url": "http:///x"}), "url"),
            (json!({"n": 0.5}), "n"),
            (json!({"n": 3}), "n"),
            (json!({"n": "1"}), "n"),
            (json!({"i": 1.5}), "i"),
            (json!({"b": 0}), "b"),
            (json!({"id": "a/b"}), "id"),
            (json!({"list": {}}), "list"),
            (json!({"list": [1, 2, 3]}), "list"),
            (json!({"list": [{"x": 1}, {"x": "1"}]}), "list[1].x"),
            (json!({"list": [{}]}), "list[0].x"),
            (json!({"list": [{"x": 1, "y": 2}]}), "list[0].y"),
            (json!({"pick": "b"}), "pick"),
            (json!({"other": 1}), "other"),
        ] {
            assert_eq!(places(call(bad.clone())), [place], "{bad}");
        }
        let Err(fault) = Function::parse(None, &sample()).unwrap().call(Map::new(), &who, &rng)
        else {
            panic!()
        };
        assert_eq!(fault.to_string(), "Validation failed");
        assert_eq!(places(Err::<(), _>(fault)), ["title", "listId"]);
    }

    #[test]
    fn definitions_are_checked_whole() {
        let cases = [
            (json!({"kind": "query", "query": {"t": {}}, "name": "g"}), vec!["name"]),
            (json!({"kind": "code", "query": {}}), vec!["kind"]),
            (json!({}), vec!["kind"]),
            (json!({"kind": "query"}), vec!["query"]),
            (json!({"kind": "query", "query": {"t": {"$x": 1}}}), vec!["query"]),
            (json!({"kind": "query", "query": {"t": {}}, "ops": []}), vec!["ops"]),
            (json!({"kind": "mutation"}), vec!["ops"]),
            (json!({"kind": "mutation", "ops": []}), vec!["ops"]),
            (json!({"kind": "mutation", "ops": [1]}), vec!["ops"]),
            (
                json!({"kind": "mutation", "ops": [{"data": {"a": "$args.x", "b": "$auth.id", "c": "$result.x"}}]}),
                vec!["ops[0].data.a", "ops[0].data.b", "ops[0].data.c"],
            ),
            (
                json!({"kind": "query", "query": {"t": {}}, "auth": {"$where": {"a": 1}}}),
                vec!["auth"],
            ),
            (
                json!({"kind": "query", "query": {"t": {}}, "internal": 1, "extra": 1}),
                vec!["extra", "internal"],
            ),
            (
                json!({"kind": "query", "query": {"t": {}}, "args": {
                    "a": 1, "b": {"type": "date"}, "c": {"type": "string", "pattern": "(", "int": true},
                    "d": {"type": "number", "min": "1"}, "e": {"type": "array", "items": {}},
                    "f": {"type": "object", "fields": {"x": {}}}, "g": {"type": "any", "enum": 1, "optional": 1}
                }}),
                vec![
                    "args.a",
                    "args.b.type",
                    "args.c.int",
                    "args.c.pattern",
                    "args.d.min",
                    "args.e.items.type",
                    "args.f.fields.x.type",
                    "args.g.optional",
                    "args.g.enum",
                ],
            ),
            (json!({"kind": "query", "query": {"t": {}}, "args": []}), vec!["args"]),
        ];
        for (definition, wanted) in cases {
            assert_eq!(places(Function::parse(Some("f"), &definition)), wanted, "{definition}");
        }
        assert!(Function::parse(None, &json!({"kind": "query", "query": {"t": {}}})).is_err());
        let deep = (0..12)
            .fold(json!({"type": "any"}), |inner, _| json!({"type": "array", "items": inner}));
        assert!(
            Function::parse(
                Some("f"),
                &json!({"kind": "query", "query": {"t": {}}, "args": {"a": deep}})
            )
            .is_err()
        );
        for (name, good) in [("a/b:c.d-e_1", true), ("", false), ("a b", false), ("ä", false)] {
            assert_eq!(is_function_name(name), good, "{name}");
        }
    }
}
