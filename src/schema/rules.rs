//! The permission rules document (live chapter 17): parse it as a whole, then ask it.
//!
//! For an entity and an operation it says deny, allow, or which rows. It also says which fields are
//! hidden, who may use storage and who may join a presence room.
//!
//! Knows the document and what a caller is ([`AuthContext`]). Does not know records, nor what a
//! refusal looks like; it is not asked when no document is loaded (17.5).
//!
//! Invariants
//! R1. What is not allowed is denied: no rule for the entity and none for `*` means nobody.
//! R2. An empty rule is refused when the document is read; it never means everybody.
//! R3. A placeholder without a value takes rows away, never adds any.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fault::{Details, FormFault, quoted};
use super::filter::{DEPTH_MAX, Filter};
use super::filter_form::{FILTER_DEPTH_MAX, FilterReader, Lookup, Placeholders, all_of, any_of};
use super::names::{is_entity, is_field, is_system_entity};

/// The one version of the document there is.
pub const RULES_VERSION: u64 = 1;
/// How deep `any` and `all` may nest.
pub const RULE_DEPTH_MAX: usize = 6;
// The engine joins a query's filter with a rule's in one more level.
const _: () = assert!(RULE_DEPTH_MAX + FILTER_DEPTH_MAX < DEPTH_MAX);
/// Rules in one `any` or `all`.
pub const RULE_PARTS_MAX: usize = 100;

/// The role that passes every rule.
const ADMIN: &str = "admin";
/// The entry for entities that have none of their own.
const ANY_ENTITY: &str = "*";

/// Who asks, as rules and functions see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthContext {
    /// `None` for an anonymous caller.
    pub user_id: Option<String>,
    pub email: Option<String>,
    pub role: Option<String>,
    pub claims: Map<String, Value>,
    /// Unix milliseconds.
    pub now: i64,
}

impl AuthContext {
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.user_id.is_some() && self.role.as_deref() == Some(ADMIN)
    }

    /// The value of `userId`, `email`, `role` or `claims.<path>`; a `null` is no value.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.clone().map(Value::String);
        match path {
            "userId" => text(&self.user_id),
            "email" => text(&self.email),
            "role" => text(&self.role),
            _ => {
                let mut segments = path.strip_prefix("claims.")?.split('.');
                let mut value = self.claims.get(segments.next()?)?;
                for segment in segments {
                    value = value.get(segment)?;
                }
                Some(value.clone()).filter(|value| !value.is_null())
            }
        }
    }
}

/// `$auth.…` and `$now`; `$$` at the start of a text is one `$`.
impl Placeholders for AuthContext {
    fn lookup(&self, text: &str) -> Lookup {
        if let Some(escaped) = text.strip_prefix("$$") {
            return Lookup::Text(format!("${escaped}"));
        }
        if text == "$now" {
            return Lookup::Value(Value::from(self.now));
        }
        match text.strip_prefix("$auth.") {
            Some(path) => self.value(path).map_or(Lookup::Missing, Lookup::Value),
            None => Lookup::Literal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Create,
    Update,
    Delete,
}

impl Operation {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "read" => Self::Read,
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageOperation {
    Upload,
    Read,
    Delete,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Deny,
    Allow,
    /// Only rows that match.
    Rows(Filter),
}

/// What a caller may not see or write of the fields. Fields not named are visible.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldDecision {
    /// On every row, so that naming one in a query is refused (17.4).
    pub hidden: Vec<String>,
    /// Visible on matching rows only.
    pub by_row: Vec<(String, Filter)>,
}

/// One rule. Filters are kept as written and read again for each caller: they are small, and a
/// placeholder may stand for a value of any type.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Fixed(bool),
    SignedIn,
    Role(Vec<String>),
    Where { written: Value, mentions_auth: bool },
    Any(Vec<Rule>),
    All(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
struct EntityRule {
    rule: Rule,
    fields: Vec<(String, Rule)>,
}

/// A rule that looks at the caller only, as storage, presence and functions have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate(Rule);

impl Gate {
    /// Reads a rule without rows.
    ///
    /// # Errors
    /// [`FormFault`], also for a `$where`.
    pub fn parse(written: &Value) -> Result<Self, FormFault> {
        let rule = parse_rule(written, 0)?;
        if has_rows(&rule) {
            return Err(FormFault::invalid("$where has no rows to look at here"));
        }
        Ok(Self(rule))
    }

    /// Whether the caller passes; the role `admin` always does.
    #[must_use]
    pub fn allows(&self, who: &AuthContext) -> bool {
        who.is_admin() || evaluate(&self.0, who) == Decision::Allow
    }
}

/// A document that was read whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    entities: BTreeMap<String, BTreeMap<Operation, EntityRule>>,
    upload: Option<Gate>,
    read: Option<Gate>,
    delete: Option<Gate>,
    file_bytes_max: Option<u64>,
    /// Lower case; `image/*` stands for all of them.
    allowed_types: Option<Vec<String>>,
    join: Option<Gate>,
}

impl Rules {
    /// Reads the document; all of its faults are reported together.
    ///
    /// # Errors
    /// [`FormFault::InvalidArgument`] with one detail for each fault, such as
    /// `entities.todos.read`.
    pub fn parse(document: &Value) -> Result<Self, FormFault> {
        let Value::Object(document) = document else {
            return Err(FormFault::invalid("the rules must be an object"));
        };
        let (mut rules, mut faults) = (Self::default(), Details::default());
        for (key, value) in document {
            match key.as_str() {
                "version" if value.as_u64() == Some(RULES_VERSION) => {}
                "version" => faults.push(key, format!("must be {RULES_VERSION}")),
                "entities" => rules.read_entities(value, &mut faults),
                "storage" => rules.read_storage(value, &mut faults),
                "presence" => rules.read_presence(value, &mut faults),
                _ => faults.push(quoted(key), "unknown key"),
            }
        }
        faults.into_result("the rules are not valid")?;
        Ok(rules)
    }

    /// What the caller may do with records of an entity.
    #[must_use]
    pub fn decide(&self, entity: &str, operation: Operation, who: &AuthContext) -> Decision {
        if who.is_admin() {
            return Decision::Allow;
        }
        match self.entity_rule(entity, operation) {
            Some(found) => evaluate(&found.rule, who),
            None => Decision::Deny,
        }
    }

    /// Whether a caller without a credential may do anything at all with records.
    #[must_use]
    pub fn admits_anonymous(&self) -> bool {
        let nobody = AuthContext::default();
        let mut rules = self.entities.values().flat_map(BTreeMap::values);
        rules.any(|found| evaluate(&found.rule, &nobody) != Decision::Deny)
    }

    /// Which fields the caller may not read, or with `Create` and `Update` not write.
    #[must_use]
    pub fn fields(&self, entity: &str, operation: Operation, who: &AuthContext) -> FieldDecision {
        let mut decision = FieldDecision::default();
        let rule = self.entity_rule(entity, operation).filter(|_| !who.is_admin());
        for (name, rule) in rule.iter().flat_map(|rule| &rule.fields) {
            match evaluate(rule, who) {
                Decision::Allow => {}
                Decision::Deny => decision.hidden.push(name.clone()),
                Decision::Rows(filter) => decision.by_row.push((name.clone(), filter)),
            }
        }
        decision
    }

    /// Whether the caller may use storage so; without a rule nobody may.
    #[must_use]
    pub fn storage_allows(&self, operation: StorageOperation, who: &AuthContext) -> bool {
        let gate = match operation {
            StorageOperation::Upload => &self.upload,
            StorageOperation::Read => &self.read,
            StorageOperation::Delete => &self.delete,
        };
        who.is_admin() || gate.as_ref().is_some_and(|gate| gate.allows(who))
    }

    /// The largest upload, where the document says one.
    #[must_use]
    pub fn file_bytes_max(&self) -> Option<u64> {
        self.file_bytes_max
    }

    /// Whether files of this media type may be uploaded; parameters (`; charset=…`) do not count.
    #[must_use]
    pub fn type_allowed(&self, media_type: &str) -> bool {
        let Some(allowed) = &self.allowed_types else { return true };
        let plain = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(group) => plain.starts_with(group),
            None => *allowed == plain,
        })
    }

    /// Whether the caller may join presence rooms; without a rule nobody may.
    #[must_use]
    pub fn presence_allows(&self, who: &AuthContext) -> bool {
        who.is_admin() || self.join.as_ref().is_some_and(|gate| gate.allows(who))
    }

    fn entity_rule(&self, entity: &str, operation: Operation) -> Option<&EntityRule> {
        let of = |name: &str| self.entities.get(name).and_then(|rules| rules.get(&operation));
        of(entity).or_else(|| of(ANY_ENTITY))
    }

    fn read_entities(&mut self, value: &Value, faults: &mut Details) {
        let Value::Object(entities) = value else {
            return faults.push("entities", "must be an object");
        };
        for (entity, operations) in entities {
            let at = format!("entities.{}", quoted(entity));
            if entity != ANY_ENTITY && (!is_entity(entity) || is_system_entity(entity)) {
                faults.push(&at, "is not the name of an entity");
                continue;
            }
            let Value::Object(operations) = operations else {
                faults.push(&at, "must be an object");
                continue;
            };
            let mut rules = BTreeMap::new();
            for (name, written) in operations {
                let at = format!("{at}.{}", quoted(name));
                match Operation::named(name) {
                    Some(operation) => {
                        if let Some(rule) = read_entity_rule(&at, operation, written, faults) {
                            rules.insert(operation, rule);
                        }
                    }
                    None => faults.push(at, "must be read, create, update or delete"),
                }
            }
            self.entities.insert(entity.clone(), rules);
        }
    }

    fn read_storage(&mut self, value: &Value, faults: &mut Details) {
        let Value::Object(storage) = value else {
            return faults.push("storage", "must be an object");
        };
        for (key, value) in storage {
            let at = format!("storage.{}", quoted(key));
            match key.as_str() {
                "upload" => self.upload = read_gate(&at, value, faults),
                "read" => self.read = read_gate(&at, value, faults),
                "delete" => self.delete = read_gate(&at, value, faults),
                "maxFileSize" => {
                    self.file_bytes_max = value.as_u64().filter(|bytes| *bytes > 0);
                    if self.file_bytes_max.is_none() {
                        faults.push(at, "must be a whole number of bytes");
                    }
                }
                "allowedTypes" => {
                    self.allowed_types = read_types(value);
                    if self.allowed_types.is_none() {
                        faults.push(at, "must be an array of media types");
                    }
                }
                _ => faults.push(at, "unknown key"),
            }
        }
    }

    fn read_presence(&mut self, value: &Value, faults: &mut Details) {
        let Value::Object(presence) = value else {
            return faults.push("presence", "must be an object");
        };
        for (key, value) in presence {
            let at = format!("presence.{}", quoted(key));
            match key.as_str() {
                "join" => self.join = read_gate(&at, value, faults),
                _ => faults.push(at, "unknown key"),
            }
        }
    }
}

fn read_gate(at: &str, written: &Value, faults: &mut Details) -> Option<Gate> {
    Gate::parse(written).map_err(|fault| faults.push_fault(at, fault)).ok()
}

fn read_types(value: &Value) -> Option<Vec<String>> {
    let is_type = |text: &str| {
        text.split_once('/').is_some_and(|(group, kind)| {
            !group.is_empty()
                && !group.contains('*')
                && (kind == "*" || !kind.contains('*'))
                && !kind.is_empty()
        })
    };
    let types = value.as_array()?.iter().map(Value::as_str);
    types.map(|text| text.filter(|text| is_type(text)).map(str::to_ascii_lowercase)).collect()
}

fn read_entity_rule(
    at: &str,
    operation: Operation,
    written: &Value,
    faults: &mut Details,
) -> Option<EntityRule> {
    let read = |at: &str, written: &Value, faults: &mut Details| {
        parse_rule(written, 0).map_err(|fault| faults.push_fault(at, fault)).ok()
    };
    let Some(members) = written
        .as_object()
        .filter(|members| members.contains_key("allow") || members.contains_key("fields"))
    else {
        return read(at, written, faults).map(|rule| EntityRule { rule, fields: Vec::new() });
    };
    let (mut rule, mut fields) = (None, Vec::new());
    for (key, value) in members {
        let at = format!("{at}.{}", quoted(key));
        match (key.as_str(), value) {
            ("allow", _) => rule = read(&at, value, faults),
            ("fields", _) if operation == Operation::Delete => {
                faults.push(at, "a deletion has no fields");
            }
            ("fields", Value::Object(entries)) => {
                for (name, written) in entries {
                    let at = format!("{at}.{}", quoted(name));
                    if !is_field(name) || name == "id" {
                        faults.push(at, "is not the name of a field that can be hidden");
                    } else if let Some(rule) = read(&at, written, faults) {
                        fields.push((name.clone(), rule));
                    }
                }
            }
            ("fields", _) => faults.push(at, "must be an object"),
            _ => faults.push(at, "unknown key beside allow and fields"),
        }
    }
    if !members.contains_key("allow") {
        faults.push(at, "fields need an allow beside them");
    }
    rule.map(|rule| EntityRule { rule, fields })
}

fn parse_rule(written: &Value, depth: usize) -> Result<Rule, FormFault> {
    let members = match written {
        Value::Bool(fixed) => return Ok(Rule::Fixed(*fixed)),
        Value::Object(members) => members,
        _ => return Err(FormFault::invalid("a rule must be true, false or an object")),
    };
    let mut entries = members.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return Err(FormFault::invalid(
            "a rule has exactly one of auth, role, $where, any, all; combine rules with any or all",
        ));
    };
    match key.as_str() {
        "auth" if *value == Value::Bool(true) => Ok(Rule::SignedIn),
        "auth" => Err(FormFault::invalid("auth must be true")),
        "role" => parse_roles(value),
        "$where" => parse_where(value),
        "any" => Ok(Rule::Any(parse_parts(key, value, depth)?)),
        "all" => Ok(Rule::All(parse_parts(key, value, depth)?)),
        _ => Err(FormFault::invalid(format!("unknown rule {:?}", quoted(key)))),
    }
}

fn parse_roles(value: &Value) -> Result<Rule, FormFault> {
    let roles: Option<Vec<String>> = match value {
        Value::String(role) => Some(vec![role.clone()]),
        Value::Array(roles) if !roles.is_empty() && roles.len() <= RULE_PARTS_MAX => {
            roles.iter().map(|role| role.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    roles
        .filter(|roles| roles.iter().all(|role| !role.is_empty()))
        .map(Rule::Role)
        .ok_or_else(|| FormFault::invalid("role must be a name or a list of names"))
}

fn parse_where(value: &Value) -> Result<Rule, FormFault> {
    if value.as_object().is_none_or(Map::is_empty) {
        return Err(FormFault::invalid("$where must be an object that is not empty"));
    }
    let mut mentions_auth = false;
    check_placeholders(value, &mut mentions_auth)?;
    // With every placeholder empty the reader skips exactly the operands whose type is not fixed.
    FilterReader::new(&AuthContext::default()).read_map(value)?;
    Ok(Rule::Where { written: value.clone(), mentions_auth })
}

fn parse_parts(key: &str, value: &Value, depth: usize) -> Result<Vec<Rule>, FormFault> {
    if depth >= RULE_DEPTH_MAX {
        return Err(FormFault::invalid(format!("any and all may nest {RULE_DEPTH_MAX} deep")));
    }
    match value.as_array() {
        Some(parts) if (1..=RULE_PARTS_MAX).contains(&parts.len()) => {
            parts.iter().map(|part| parse_rule(part, depth + 1)).collect()
        }
        _ => {
            Err(FormFault::invalid(format!("{key} must be a list of 1 to {RULE_PARTS_MAX} rules")))
        }
    }
}

/// Notes whether `$auth` is mentioned, and refuses a placeholder that never has a value. Recursion is
/// bounded by the depth of parsed JSON.
fn check_placeholders(value: &Value, mentions_auth: &mut bool) -> Result<(), FormFault> {
    match value {
        Value::String(text) if text == "$auth" || text.starts_with("$auth.") => {
            *mentions_auth = true;
            let path = text.strip_prefix("$auth.").unwrap_or("");
            let claim = path.strip_prefix("claims.");
            let known = matches!(path, "userId" | "email" | "role")
                || claim.is_some_and(|claim| claim.split('.').all(|segment| !segment.is_empty()));
            if known {
                return Ok(());
            }
            Err(FormFault::invalid(format!("unknown placeholder {:?}", quoted(text))))
        }
        Value::Array(items) => {
            items.iter().try_for_each(|item| check_placeholders(item, mentions_auth))
        }
        Value::Object(members) => {
            members.values().try_for_each(|member| check_placeholders(member, mentions_auth))
        }
        _ => Ok(()),
    }
}

fn has_rows(rule: &Rule) -> bool {
    match rule {
        Rule::Where { .. } => true,
        Rule::Any(parts) | Rule::All(parts) => parts.iter().any(has_rows),
        Rule::Fixed(_) | Rule::SignedIn | Rule::Role(_) => false,
    }
}

fn evaluate(rule: &Rule, who: &AuthContext) -> Decision {
    let plain = |allowed: bool| if allowed { Decision::Allow } else { Decision::Deny };
    match rule {
        Rule::Fixed(allowed) => plain(*allowed),
        Rule::SignedIn => plain(who.user_id.is_some()),
        Rule::Role(roles) => plain(
            who.user_id.is_some() && who.role.as_ref().is_some_and(|role| roles.contains(role)),
        ),
        Rule::Where { mentions_auth: true, .. } if who.user_id.is_none() => Decision::Deny,
        Rule::Where { written, .. } => match FilterReader::new(who).read_map(written) {
            Ok(Filter::True) => Decision::Allow,
            Ok(filter) => Decision::Rows(filter),
            // It was read when the document was; only a claim of absurd size can break a limit.
            Err(_) => Decision::Deny,
        },
        Rule::Any(parts) => {
            let mut rows = Vec::new();
            for part in parts {
                match evaluate(part, who) {
                    Decision::Allow => return Decision::Allow,
                    Decision::Deny => {}
                    Decision::Rows(filter) => rows.push(filter),
                }
            }
            if rows.is_empty() { Decision::Deny } else { Decision::Rows(any_of(rows)) }
        }
        Rule::All(parts) => {
            let mut rows = Vec::new();
            for part in parts {
                match evaluate(part, who) {
                    Decision::Allow => {}
                    Decision::Deny => return Decision::Deny,
                    Decision::Rows(filter) => rows.push(filter),
                }
            }
            if rows.is_empty() { Decision::Allow } else { Decision::Rows(all_of(rows)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::live::filter_form::parse_filter;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::json;

    /// The example of 17.1.
    fn sample() -> Value {
        json!({
            "version": 1,
            "entities": {
                "todos": {
                    "read": {"$where": {"userId": "$auth.userId"}},
                    "create": {"auth": true},
                    "update": {"$where": {"userId": "$auth.userId"}},
                    "delete": {"role": "admin"}
                },
                "users": {
                    "read": {
                        "allow": true,
                        "fields": {"email": {"$where": {"id": "$auth.userId"}}, "ssn": false}
                    }
                },
                "*": {"read": {"auth": true}}
            },
            "storage": {
                "upload": {"auth": true}, "read": {"auth": true}, "delete": {"role": "admin"},
                "maxFileSize": 10_485_760, "allowedTypes": ["image/jpeg", "image/PNG", "audio/*"]
            },
            "presence": {"join": {"auth": true}}
        })
    }

    fn rules() -> Rules {
        Rules::parse(&sample()).unwrap()
    }

    fn who(role: &str) -> AuthContext {
        AuthContext {
            user_id: Some("usr_a".to_owned()),
            email: Some("a@example.com".to_owned()),
            role: Some(role.to_owned()),
            claims: json!({"team": {"id": 7}, "teams": ["x", "y"], "none": null})
                .as_object()
                .unwrap()
                .clone(),
            now: 1_000,
        }
    }

    fn filter(value: Value) -> Filter {
        parse_filter(&value).unwrap()
    }

    #[test]
    fn the_example_of_the_protocol() {
        let (rules, editor, nobody) = (rules(), who("editor"), AuthContext::default());
        let mine = Decision::Rows(filter(json!({"userId": "usr_a"})));
        let cases = [
            ("todos", Operation::Read, &editor, mine.clone()),
            ("todos", Operation::Create, &editor, Decision::Allow),
            ("todos", Operation::Update, &editor, mine),
            ("todos", Operation::Delete, &editor, Decision::Deny),
            ("todos", Operation::Read, &nobody, Decision::Deny),
            ("todos", Operation::Create, &nobody, Decision::Deny),
            ("users", Operation::Read, &nobody, Decision::Allow),
            // Neither its own rule nor one for `*`.
            ("users", Operation::Create, &editor, Decision::Deny),
            ("other", Operation::Read, &editor, Decision::Allow),
            ("other", Operation::Read, &nobody, Decision::Deny),
            ("other", Operation::Update, &editor, Decision::Deny),
        ];
        for (entity, operation, who, wanted) in cases {
            assert_eq!(rules.decide(entity, operation, who), wanted, "{entity} {operation:?}");
        }
        for operation in [Operation::Read, Operation::Create, Operation::Update, Operation::Delete]
        {
            assert_eq!(rules.decide("x", operation, &who("admin")), Decision::Allow);
        }
    }

    #[test]
    fn fields_are_hidden_for_all_or_by_row() {
        let rules = rules();
        let decision = rules.fields("users", Operation::Read, &who("editor"));
        assert_eq!(decision.hidden, ["ssn"]);
        assert_eq!(decision.by_row, [("email".to_owned(), filter(json!({"id": "usr_a"})))]);
        // An anonymous caller fails the rule for every row.
        let decision = rules.fields("users", Operation::Read, &AuthContext::default());
        assert_eq!(decision.hidden, ["email", "ssn"]);
        assert_eq!(rules.fields("users", Operation::Read, &who("admin")), FieldDecision::default());
        assert_eq!(
            rules.fields("todos", Operation::Read, &who("editor")),
            FieldDecision::default()
        );
    }

    #[test]
    fn storage_and_presence() {
        let (rules, editor, nobody) = (rules(), who("editor"), AuthContext::default());
        assert!(rules.storage_allows(StorageOperation::Upload, &editor));
        assert!(!rules.storage_allows(StorageOperation::Upload, &nobody));
        assert!(!rules.storage_allows(StorageOperation::Delete, &editor));
        assert!(rules.storage_allows(StorageOperation::Delete, &who("admin")));
        assert_eq!(rules.file_bytes_max(), Some(10_485_760));
        for (media_type, allowed) in [
            ("image/jpeg", true),
            ("IMAGE/JPEG; q=1", true),
            ("image/png", true),
            ("image/gif", false),
            ("audio/ogg", true),
            ("", false),
        ] {
            assert_eq!(rules.type_allowed(media_type), allowed, "{media_type}");
        }
        assert!(rules.presence_allows(&editor) && !rules.presence_allows(&nobody));
        let empty = Rules::parse(&json!({})).unwrap();
        assert!(!empty.presence_allows(&editor) && empty.type_allowed("text/html"));
        assert!(!empty.storage_allows(StorageOperation::Read, &editor));
        assert_eq!(empty.decide("todos", Operation::Read, &editor), Decision::Deny);
    }

    fn decide(rule: &Value, who: &AuthContext) -> Decision {
        Rules::parse(&json!({"entities": {"t": {"read": rule}}}))
            .unwrap_or_else(|fault| panic!("{rule}: {fault:?}"))
            .decide("t", Operation::Read, who)
    }

    #[test]
    fn rule_forms() {
        let (editor, nobody) = (who("editor"), AuthContext::default());
        let rows = |value: Value| Decision::Rows(filter(value));
        let cases = [
            (json!(true), Decision::Allow, Decision::Allow),
            (json!(false), Decision::Deny, Decision::Deny),
            (json!({"auth": true}), Decision::Allow, Decision::Deny),
            (json!({"role": "editor"}), Decision::Allow, Decision::Deny),
            // No implied hierarchy.
            (json!({"role": "viewer"}), Decision::Deny, Decision::Deny),
            (json!({"role": ["viewer", "editor"]}), Decision::Allow, Decision::Deny),
            (json!({"$where": {"public": true}}), rows(json!({"public": true})), {
                rows(json!({"public": true}))
            }),
            (json!({"$where": {"e": "$auth.email"}}), rows(json!({"e": "a@example.com"})), {
                Decision::Deny
            }),
            (json!({"$where": {"r": "$auth.role"}}), rows(json!({"r": "editor"})), Decision::Deny),
            (json!({"$where": {"t": "$auth.claims.team.id"}}), rows(json!({"t": 7})), {
                Decision::Deny
            }),
            (
                json!({"$where": {"t": {"$in": "$auth.claims.teams"}}}),
                rows(json!({"t": {"$in": ["x", "y"]}})),
                Decision::Deny,
            ),
            (json!({"$where": {"at": {"$lt": "$now"}}}), rows(json!({"at": {"$lt": 1_000}})), {
                rows(json!({"at": {"$lt": 0}}))
            }),
            (json!({"$where": {"a": "$$auth.userId"}}), rows(json!({"a": "$auth.userId"})), {
                rows(json!({"a": "$auth.userId"}))
            }),
            (
                json!({"any": [{"role": "viewer"}, {"$where": {"a": 1}}, {"$where": {"b": 1}}]}),
                rows(json!({"$or": [{"a": 1}, {"b": 1}]})),
                rows(json!({"$or": [{"a": 1}, {"b": 1}]})),
            ),
            (json!({"any": [{"auth": true}, {"$where": {"a": 1}}]}), Decision::Allow, {
                rows(json!({"a": 1}))
            }),
            (
                json!({"all": [{"auth": true}, {"$where": {"a": 1}}, {"$where": {"b": 1}}]}),
                rows(json!({"a": 1, "b": 1})),
                Decision::Deny,
            ),
            (json!({"all": [true, {"auth": true}]}), Decision::Allow, Decision::Deny),
        ];
        for (rule, for_editor, for_nobody) in cases {
            assert_eq!(decide(&rule, &editor), for_editor, "{rule}");
            assert_eq!(decide(&rule, &nobody), for_nobody, "{rule}");
        }
    }

    /// 17.2, R3.
    #[test]
    fn a_missing_claim_takes_rows_away() {
        let none = Decision::Rows(Filter::False);
        for rule in [
            json!({"$where": {"t": "$auth.claims.absent"}}),
            json!({"$where": {"t": "$auth.claims.none"}}),
            json!({"$where": {"t": "$auth.claims.team.absent"}}),
            json!({"$where": {"t": {"$ne": "$auth.claims.absent"}}}),
            json!({"$where": {"t": {"$nin": ["$auth.claims.absent"]}}}),
            json!({"$where": {"$not": {"t": "$auth.claims.absent"}}}),
            json!({"$where": {"$not": {"$and": [{"t": "$auth.claims.absent"}, {"u": 1}]}}}),
        ] {
            assert_eq!(decide(&rule, &who("editor")), none, "{rule}");
        }
        // A role without an account is nobody's.
        let mut odd = who("admin");
        odd.user_id = None;
        assert_eq!(decide(&json!({"role": "admin"}), &odd), Decision::Deny);
    }

    #[test]
    fn every_fault_is_reported_with_its_place() {
        let document = json!({
            "version": 2,
            "extra": {},
            "entities": {
                "a b": {},
                "_user": {},
                "tx": {},
                "none": [],
                "t": {
                    "raed": true,
                    "read": {},
                    "create": {"auth": false},
                    "update": {"auth": true, "role": "x"},
                    "delete": {"allow": true, "fields": {}}
                },
                "u": {
                    "read": {"fields": {"a": false}},
                    "create": {"allow": 1, "fields": {"id": true, "$x": true, "y": {"magic": 1}}, "z": 1},
                    "update": {"$where": {"a": {"$regex": "x"}}},
                    "delete": {"any": []}
                },
                "v": {
                    "read": {"$where": {"a": "$auth.uid"}},
                    "create": {"role": []},
                    "update": {"$where": [{"field": "a", "op": "=", "value": 1}]},
                    "delete": {"allow": true, "fields": 1}
                },
                "w": {"read": {"$where": {}}}
            },
            "storage": {"upload": {"$where": {"a": 1}}, "maxFileSize": -1, "allowedTypes": ["*"], "x": 1},
            "presence": {"join": "all", "leave": true}
        });
        let Err(FormFault::InvalidArgument { details, .. }) = Rules::parse(&document) else {
            panic!()
        };
        let places: Vec<&str> = details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(
            places,
            [
                "version",
                "extra",
                "entities.a b",
                "entities._user",
                "entities.tx",
                "entities.none",
                "entities.t.raed",
                "entities.t.read",
                "entities.t.create",
                "entities.t.update",
                "entities.t.delete.fields",
                "entities.u.read",
                "entities.u.create.allow",
                "entities.u.create.fields.id",
                "entities.u.create.fields.$x",
                "entities.u.create.fields.y",
                "entities.u.create.z",
                "entities.u.update",
                "entities.u.delete",
                "entities.v.read",
                "entities.v.create",
                "entities.v.update",
                "entities.v.delete.fields",
                "entities.w.read",
                "storage.upload",
                "storage.maxFileSize",
                "storage.allowedTypes",
                "storage.x",
                "presence.join",
                "presence.leave",
            ]
        );
        let deep = (0..7).fold(json!(true), |inner, _| json!({"all": [inner]}));
        assert!(Rules::parse(&json!({"entities": {"t": {"read": deep}}})).is_err());
        for document in [json!(null), json!([]), json!({"entities": 1}), json!({"storage": 1})] {
            assert!(Rules::parse(&document).is_err(), "{document}");
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\$(auth|auth\\.userId|auth\\.claims\\.a|now|\\$x)".prop_map(Value::from),
        ];
        let key = prop_oneof![
            "(version|entities|storage|presence|read|create|allow|fields|auth|role|any|all|t|\\*)",
            "\\$(where|and|or|not|in|ne|gt)"
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
        fn nothing_panics(rule in anything()) {
            let _ = Rules::parse(&rule);
            if let Ok(rules) = Rules::parse(&json!({"entities": {"t": {"read": rule}}})) {
                let _ = rules.decide("t", Operation::Read, &who("editor"));
                let _ = rules.fields("t", Operation::Read, &AuthContext::default());
            }
        }
    }
}
