//! From the tree of a document to an [`App`]: names, types, options, grants; every problem at once.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::document::{self, At, Faults};
use super::{
    App, FIELDS_MAX, Field, FieldType, Grant, ItemType, NumberRule, Permissions, RowRules,
    SYSTEM_FIELDS, TABLES_MAX, Table, TextRule,
};

pub(super) const REQUIRED: &str = "This field is required";

const NAME_CHARS_MAX: usize = 63;
const APP_NAME_CHARS_MAX: usize = 214;
const OPTIONS_MAX: usize = 500;
const PRECISION_MAX: u64 = 10;
const BUILT_IN_ROLES: [&str; 3] = ["admin", "member", "viewer"];
/// How deep conditions on rows may nest.
const ROW_RULE_DEPTH_MAX: usize = 5;

/// Words of SQL that no field and no table may be called, in one text.
const KEYWORDS: &str = "all alter and any as asc between by case cast check column constraint \
    create cross current_date current_time current_timestamp default delete desc distinct drop \
    else end exists false for foreign from full group having in index inner insert into is join \
    key left like limit not null offset on or order outer primary references right select set \
    table then to transaction true union unique update user using values view when where with";
/// Top-level keys that are accepted and have no effect here.
const KEPT_KEYS: &str = "pages forms automations connections buckets theme languages scripts \
    components actions env version description analytics defaultLanguage favicon design";
/// Keys of a table that are accepted and not served yet.
const KEPT_TABLE_KEYS: &str =
    "views comments aiAccess allowDestructive webhooks indexes description";
/// Keys of a table that change what its records may be, so that leaving them out would be wrong.
const MISSING_TABLE_KEYS: [&str; 3] = ["unique", "constraints", "foreignKeys"];
const STRATEGIES: [&str; 4] = ["emailAndPassword", "magicLink", "emailOtp", "oauth"];
/// Keys that every field may have.
const FIELD_KEYS: [&str; 8] =
    ["id", "name", "type", "required", "unique", "indexed", "default", "description"];

fn listed(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == word)
}

/// Whether a default stands for the moment a record is made.
pub(super) fn is_now(kind: &FieldType, word: &str) -> bool {
    matches!(kind, FieldType::Date { .. } | FieldType::DateTime)
        && matches!(word, "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "NOW()")
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<App, Faults> {
    let root = document::parse(text)?;
    let at = At::root(&root);
    let mut faults = Faults::default();
    let app = Reader { faults: &mut faults, roles: Vec::new() }.app(&at);
    if faults.is_empty() { Ok(app) } else { Err(faults) }
}

struct Reader<'f> {
    faults: &'f mut Faults,
    /// Roles that grants may name.
    roles: Vec<String>,
}

impl Reader<'_> {
    fn app(&mut self, at: &At<'_>) -> App {
        let mut app = App { name: String::new(), has_auth: false, tables: Vec::new() };
        let Some(entries) = at.entries() else {
            self.faults.push(at, "an application is a mapping with a name and tables");
            return app;
        };
        self.roles = BUILT_IN_ROLES.map(str::to_owned).to_vec();
        for (key, at) in &entries {
            self.refuse_references(at);
            match *key {
                "name" => match at.text().filter(|name| is_app_name(name)) {
                    Some(name) => app.name = name.to_owned(),
                    None => self.faults.push(at, "must be a name as npm packages have"),
                },
                "auth" => {
                    app.has_auth = true;
                    self.auth(at);
                }
                "tables" => {}
                key if listed(KEPT_KEYS, key) => {}
                _ => self.faults.push(at, "unknown key"),
            }
        }
        if !entries.iter().any(|(key, _)| *key == "name") {
            self.faults.push(at, "name is missing");
        }
        // Grants name roles, so they come last.
        if let Some(at) = at.get("tables") {
            app.tables = self.tables(&at, app.has_auth);
        }
        app
    }

    /// `$ref` is not followed, so that a document is one text.
    fn refuse_references(&mut self, at: &At<'_>) {
        for (key, below) in at.entries().unwrap_or_default() {
            if key == "$ref" {
                self.faults.push(&below, "references to other files are not supported yet");
            }
            self.refuse_references(&below);
        }
        for below in at.items().unwrap_or_default() {
            self.refuse_references(&below);
        }
    }

    fn auth(&mut self, at: &At<'_>) {
        if at.entries().is_none() {
            return self.faults.push(at, "must be a mapping");
        }
        for role in at.get("roles").and_then(|at| at.items()).unwrap_or_default() {
            match role.get("name").and_then(|at| at.text()).filter(|name| is_role(name)) {
                Some(name) if !self.roles.iter().any(|known| known == name) => {
                    self.roles.push(name.to_owned());
                }
                Some(_) => self.faults.push(&role, "this role exists already"),
                None => self.faults.push(&role, "a role needs a name in lower case"),
            }
        }
        for strategy in at.get("strategies").and_then(|at| at.items()).unwrap_or_default() {
            let kind = strategy.get("type").and_then(|at| at.text());
            if !kind.is_some_and(|kind| STRATEGIES.contains(&kind)) {
                let names = STRATEGIES.join(", ");
                self.faults.push(&strategy, format!("type must be one of {names}"));
            }
            let verify = strategy.get("requireEmailVerification");
            if let Some(at) = verify.filter(|at| at.bool() == Some(true)) {
                self.faults.push(&at, "verification by e-mail is not supported yet");
            }
        }
        if let Some(at) = at.get("defaultRole").filter(|at| at.text() != Some("member")) {
            self.faults.push(&at, "only member is supported yet: new accounts get that role");
        }
    }

    fn tables(&mut self, at: &At<'_>, has_auth: bool) -> Vec<Table> {
        let Some(items) = at.items() else {
            self.faults.push(at, "must be a list of tables");
            return Vec::new();
        };
        if items.len() > TABLES_MAX {
            self.faults.push(at, format!("at most {TABLES_MAX} tables"));
        }
        let mut tables: Vec<Table> = Vec::new();
        let taken: HashSet<u64> = items.iter().filter_map(|at| at.get("id")?.unsigned()).collect();
        let mut given = HashSet::new();
        let mut free = (1..).filter(|id| !taken.contains(id));
        for at in items.iter().take(TABLES_MAX) {
            let id = match at.get("id") {
                None => free.next().unwrap_or(0),
                Some(at) => match at.unsigned().filter(|id| *id > 0 && given.insert(*id)) {
                    Some(id) => id,
                    None => {
                        self.faults.push(&at, "must be a positive number of its own");
                        continue;
                    }
                },
            };
            let Some(table) = self.table(at, id, has_auth) else { continue };
            let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
            if tables.iter().any(|known| plain(&known.name) == plain(&table.name)) {
                self.faults.push(at, format!("another table is called like {}", table.name));
            }
            tables.push(table);
        }
        tables
    }

    fn table(&mut self, at: &At<'_>, id: u64, has_auth: bool) -> Option<Table> {
        let Some(entries) = at.entries() else {
            self.faults.push(at, "a table is a mapping with a name and fields");
            return None;
        };
        let Some(name_at) = at.get("name") else {
            self.faults.push(at, "a table needs a name");
            return None;
        };
        let name = name_at.text().unwrap_or("");
        if let Err(reason) = check_table_name(name) {
            self.faults.push(&name_at, reason);
        }
        let fields = match at.get("fields") {
            Some(at) => self.fields(&at),
            None => {
                self.faults.push(at, "a table needs fields");
                Vec::new()
            }
        };
        let mut table = Table {
            id,
            name: name.to_owned(),
            family: name.replace(' ', "_"),
            description: at.get("description").and_then(|at| at.text()).map(str::to_owned),
            fields,
            permissions: None,
            rows: RowRules::default(),
        };
        for (key, at) in &entries {
            match *key {
                "id" | "name" | "fields" => {}
                "permissions" => table.permissions = self.permissions(at, &table, has_auth),
                "rowLevelPermissions" => table.rows = self.row_rules(at, &table, has_auth),
                "primaryKey" => {
                    let kind = at.get("type").and_then(|at| at.text()).unwrap_or("auto-increment");
                    if !matches!(kind, "auto-increment" | "bigserial") {
                        self.faults.push(at, "only auto-increment keys are supported yet");
                    }
                }
                key if MISSING_TABLE_KEYS.contains(&key) => {
                    if at.items().is_none_or(|items| !items.is_empty()) {
                        self.faults.push(at, "is not supported yet");
                    }
                }
                key if listed(KEPT_TABLE_KEYS, key) => {}
                _ => self.faults.push(at, "unknown key of a table"),
            }
        }
        Some(table)
    }

    fn fields(&mut self, at: &At<'_>) -> Vec<Field> {
        let items = at.items().unwrap_or_default();
        if items.is_empty() || items.len() > FIELDS_MAX {
            self.faults.push(at, format!("must be a list of 1 to {FIELDS_MAX} fields"));
        }
        let taken: HashSet<u64> = items.iter().filter_map(|at| at.get("id")?.unsigned()).collect();
        let mut free = (1..).filter(|id| !taken.contains(id));
        let mut fields: Vec<Field> = Vec::new();
        let mut ids = HashSet::new();
        for at in items.iter().take(FIELDS_MAX) {
            let id = at.get("id").map_or_else(|| free.next(), |at| at.unsigned());
            let Some(id) = id.filter(|id| *id > 0 && ids.insert(*id)) else {
                self.faults.push(at, "id must be a positive number of its own");
                continue;
            };
            let Some(field) = self.field(at, id) else { continue };
            if fields.iter().any(|known| known.name == field.name) {
                self.faults.push(at, format!("another field is called {}", field.name));
            }
            fields.push(field);
        }
        fields
    }

    fn field(&mut self, at: &At<'_>, id: u64) -> Option<Field> {
        let Some(name_at) = at.get("name") else {
            self.faults.push(at, "a field needs a name");
            return None;
        };
        let name = name_at.text().unwrap_or("");
        if !is_field_name(name) || listed(KEYWORDS, name) {
            let reason = "must be a lower-case name of letters, digits and _, no word of SQL";
            self.faults.push(&name_at, reason);
        }
        let Some(type_at) = at.get("type") else {
            self.faults.push(at, "a field needs a type");
            return None;
        };
        let type_name = type_at.text().unwrap_or("");
        let kind = self.kind(at, &type_at, type_name)?;
        let stamps = [("created_at", FieldType::CreatedAt), ("updated_at", FieldType::UpdatedAt)];
        if SYSTEM_FIELDS.contains(&name) && !stamps.contains(&(name, kind.clone())) {
            self.faults.push(&name_at, "this name is the record's own");
        }
        let unique = self.flag(at, "unique");
        if unique && kind.is_stored() && kind.kind().is_none() {
            self.faults.push(at, "fields of this type cannot be unique");
        }
        let options = at
            .entries()
            .unwrap_or_default()
            .into_iter()
            .filter(|(key, _)| !FIELD_KEYS.contains(key))
            .map(|(key, at)| (key.to_owned(), at.value()))
            .collect();
        let mut field = Field {
            id,
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind,
            required: self.flag(at, "required"),
            unique,
            indexed: self.flag(at, "indexed"),
            default: None,
            options,
        };
        if let Some(at) = at.get("default") {
            field.default = self.default(&at, &field);
        }
        Some(field)
    }

    fn default(&mut self, at: &At<'_>, field: &Field) -> Option<Value> {
        let value = at.value();
        if value.is_null() || value.as_str().is_some_and(|word| is_now(&field.kind, word)) {
            return Some(value);
        }
        match field.kind.admit(&value) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.faults.push(at, reason);
                None
            }
        }
    }

    fn flag(&mut self, at: &At<'_>, key: &str) -> bool {
        let Some(at) = at.get(key) else { return false };
        at.bool().unwrap_or_else(|| {
            self.faults.push(&at, "must be true or false");
            false
        })
    }

    fn count(&mut self, at: &At<'_>, key: &str, max: u64) -> Option<usize> {
        let at = at.get(key)?;
        match at.unsigned().filter(|number| *number <= max) {
            Some(number) => usize::try_from(number).ok(),
            None => {
                self.faults.push(&at, format!("must be a whole number, at most {max}"));
                None
            }
        }
    }

    fn number(&mut self, at: &At<'_>, precision: Option<usize>) -> NumberRule {
        let mut bound = |key: &str| {
            let at = at.get(key)?;
            let number = at.value().as_f64();
            if number.is_none() {
                self.faults.push(&at, "must be a number");
            }
            number
        };
        let (min, max) = (bound("min"), bound("max"));
        let written = self.count(at, "precision", PRECISION_MAX);
        NumberRule { min, max, precision: written.or(precision) }
    }

    fn kind(&mut self, at: &At<'_>, type_at: &At<'_>, name: &str) -> Option<FieldType> {
        Some(match name {
            "single-line-text" | "phone-number" => FieldType::Text(TextRule::Line),
            "long-text" | "code" | "ai-categorize" | "ai-generate" | "ai-summary"
            | "ai-translate" => FieldType::Text(TextRule::Long),
            "email" => FieldType::Text(TextRule::Email),
            "url" => FieldType::Text(TextRule::Url),
            "color" => FieldType::Text(TextRule::Color),
            "barcode" => FieldType::Text(match at.get("format").and_then(|at| at.text()) {
                Some("EAN-13") => TextRule::Digits(13),
                Some("EAN-8") => TextRule::Digits(8),
                Some("UPC-A") => TextRule::Digits(12),
                _ => TextRule::Long,
            }),
            "integer" => {
                FieldType::Integer(NumberRule { precision: None, ..self.number(at, None) })
            }
            "decimal" => FieldType::Decimal(self.number(at, None)),
            "currency" => FieldType::Number(self.number(at, Some(2))),
            "percentage" => FieldType::Number(self.number(at, None)),
            "progress" => {
                let (min, max) = (Some(0.0), Some(100.0));
                FieldType::Number(NumberRule { min, max, precision: None })
            }
            "rating" => {
                let most = self.count(at, "max", 10).unwrap_or(5);
                let max = f64::from(u32::try_from(most).unwrap_or(5));
                FieldType::Integer(NumberRule { min: Some(1.0), max: Some(max), precision: None })
            }
            "duration" => FieldType::Duration,
            "checkbox" => FieldType::Checkbox,
            "single-select" | "status" => FieldType::Choice(self.options(at)),
            "multi-select" => FieldType::Choices {
                options: self.options(at),
                max: self.count(at, "maxSelections", OPTIONS_MAX as u64),
            },
            "date" => FieldType::Date { with_time: self.flag(at, "includeTime") },
            "datetime" => FieldType::DateTime,
            "time" => FieldType::Time,
            "json" | "ai-extract" | "ai-sentiment" | "ai-tag" => FieldType::Json,
            "array" => FieldType::Array {
                item: match at.get("itemType").and_then(|at| at.text()) {
                    Some("integer") => ItemType::Integer,
                    Some("decimal") => ItemType::Decimal,
                    Some("boolean") => ItemType::Boolean,
                    _ => ItemType::Text,
                },
                max: self.count(at, "maxItems", 1_000),
            },
            "geolocation" => FieldType::Geolocation,
            "button" => FieldType::Button,
            "created-at" => FieldType::CreatedAt,
            "updated-at" => FieldType::UpdatedAt,
            "rich-text"
            | "autonumber"
            | "deleted-at"
            | "created-by"
            | "updated-by"
            | "deleted-by"
            | "user"
            | "single-attachment"
            | "multiple-attachments"
            | "relationship"
            | "lookup"
            | "rollup"
            | "count"
            | "formula" => {
                let reason = format!("fields of type {name} are not supported yet");
                self.faults.push(type_at, reason);
                return None;
            }
            _ => {
                self.faults.push(type_at, format!("there is no field type {name:?}"));
                return None;
            }
        })
    }

    fn options(&mut self, at: &At<'_>) -> Vec<String> {
        let items = at.get("options").and_then(|at| at.items()).unwrap_or_default();
        let mut options: Vec<String> = Vec::new();
        for item in &items {
            let value = match item.get("value") {
                Some(value) => value.text_or_number(),
                None => item.text_or_number(),
            };
            match value {
                Some(value) if !options.contains(&value) => options.push(value),
                Some(_) => self.faults.push(item, "this option is there already"),
                None => self.faults.push(item, "an option is a text, or a mapping with a value"),
            }
        }
        if items.is_empty() || items.len() > OPTIONS_MAX {
            self.faults.push(at, format!("options must list 1 to {OPTIONS_MAX} values"));
        }
        options
    }

    fn permissions(&mut self, at: &At<'_>, table: &Table, has_auth: bool) -> Option<Permissions> {
        let Some(entries) = at.entries() else {
            self.faults.push(at, "must be a mapping");
            return None;
        };
        let mut given = Permissions::default();
        for (key, at) in &entries {
            match *key {
                "read" | "create" | "update" | "delete" => {
                    let grant = self.grant(at, has_auth);
                    given.written.insert((*key).to_owned(), at.value());
                    *match *key {
                        "read" => &mut given.read,
                        "create" => &mut given.create,
                        "update" => &mut given.update,
                        _ => &mut given.delete,
                    } = grant;
                }
                "comment" | "restore" | "permanentDelete" => drop(self.grant(at, has_auth)),
                "fields" => given.fields = self.field_grants(at, table, has_auth),
                "inherit" | "override" => self.faults.push(at, "is not supported yet"),
                _ => self.faults.push(at, "unknown operation"),
            }
        }
        Some(given)
    }

    fn field_grants(
        &mut self,
        at: &At<'_>,
        table: &Table,
        has_auth: bool,
    ) -> Vec<(String, Option<Grant>, Option<Grant>)> {
        let mut given: Vec<(String, Option<Grant>, Option<Grant>)> = Vec::new();
        let Some(items) = at.items() else {
            self.faults.push(at, "must be a list");
            return given;
        };
        for item in &items {
            let name = item.get("field").and_then(|at| at.text()).unwrap_or("");
            let twice = given.iter().any(|(known, ..)| known == name);
            if table.field(name).is_none() || twice {
                self.faults.push(item, "field must name a field of this table, once");
                continue;
            }
            let mut grant = |key: &str| item.get(key).and_then(|at| self.grant(&at, has_auth));
            given.push((name.to_owned(), grant("read"), grant("write")));
        }
        given
    }

    fn grant(&mut self, at: &At<'_>, has_auth: bool) -> Option<Grant> {
        match (at.text(), at.items()) {
            (Some("all"), _) => Some(Grant::All),
            (Some("authenticated"), _) if has_auth => Some(Grant::Authenticated),
            (_, Some(items)) if has_auth => {
                let mut roles = Vec::with_capacity(items.len());
                for item in &items {
                    match item.text() {
                        Some(name) if self.roles.iter().any(|role| role == name) => {
                            roles.push(name.to_owned());
                        }
                        // Nobody is in a group.
                        Some(name) if name.starts_with("group:") => {}
                        _ => self.faults.push(item, "there is no such role"),
                    }
                }
                Some(Grant::Roles(roles))
            }
            _ if !has_auth => {
                self.faults.push(at, "without auth only all can be granted");
                None
            }
            _ => {
                self.faults.push(at, "must be all, authenticated or a list of roles");
                None
            }
        }
    }

    fn row_rules(&mut self, at: &At<'_>, table: &Table, has_auth: bool) -> RowRules {
        let mut rules = RowRules::default();
        if !has_auth {
            self.faults.push(at, "rules on rows need auth");
            return rules;
        }
        let Some(entries) = at.entries() else {
            self.faults.push(at, "must be a mapping");
            return rules;
        };
        for (key, at) in &entries {
            let place = match *key {
                "read" => &mut rules.read,
                "write" => &mut rules.write,
                "create" => &mut rules.create,
                "delete" => &mut rules.delete,
                _ => {
                    self.faults.push(at, "must be read, write, create or delete");
                    continue;
                }
            };
            match at.get("when") {
                Some(when) => *place = self.condition(&when, table, 1),
                None => self.faults.push(at, "needs a condition in when"),
            }
        }
        rules
    }

    fn condition(&mut self, at: &At<'_>, table: &Table, depth: usize) -> Option<Value> {
        if depth > ROW_RULE_DEPTH_MAX {
            self.faults.push(at, "nests too deep");
            return None;
        }
        if let Some(conditions) = at.get("conditions").and_then(|at| at.items()) {
            let word = match at.get("logic").and_then(|at| at.text()) {
                Some("and") | None => "$and",
                Some("or") => "$or",
                Some(_) => {
                    self.faults.push(at, "logic is and or or");
                    return None;
                }
            };
            let parts: Option<Vec<Value>> =
                conditions.iter().map(|at| self.condition(at, table, depth + 1)).collect();
            return parts.filter(|parts| !parts.is_empty()).map(|parts| json!({ word: parts }));
        }
        let name = at.get("field").and_then(|at| at.text()).unwrap_or("");
        let Some(field) = table.field(name).filter(|field| field.kind.is_stored()) else {
            self.faults.push(at, "field must name a stored field of this table");
            return None;
        };
        let operator = match at.get("operator").and_then(|at| at.text()) {
            Some("eq") => "$eq",
            Some("neq") => "$ne",
            Some("in") => "$in",
            _ => {
                self.faults.push(at, "operator is eq, neq or in");
                return None;
            }
        };
        let Some(value_at) = at.get("value") else {
            self.faults.push(at, "needs a value");
            return None;
        };
        let value = match value_at.items() {
            Some(items) if operator == "$in" => {
                let values = items.iter().map(|at| self.operand(at, field));
                Value::Array(values.collect::<Option<Vec<_>>>()?)
            }
            _ => self.operand(&value_at, field)?,
        };
        let mut test = Map::new();
        test.insert(operator.to_owned(), value);
        Some(json!({ name: test }))
    }

    fn operand(&mut self, at: &At<'_>, field: &Field) -> Option<Value> {
        match at.text() {
            Some("$currentUser.id") => return Some(json!("$auth.userId")),
            Some("$currentUser.email") => return Some(json!("$auth.email")),
            Some(text) if text.starts_with("$currentUser") => {
                self.faults.push(at, "only the id and the email of $currentUser are supported yet");
                return None;
            }
            _ => {}
        }
        let admitted = match at.value() {
            Value::Null => Ok(Value::Null),
            value => field.kind.admit(&value),
        };
        match admitted {
            // A text that begins with a dollar is not a placeholder.
            Ok(Value::String(text)) if text.starts_with('$') => Some(json!(format!("${text}"))),
            Ok(value) => Some(value),
            Err(reason) => {
                self.faults.push(at, reason);
                None
            }
        }
    }
}

fn is_app_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '_'])
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._~".contains(&byte)
            })
    };
    let whole = match name.strip_prefix('@') {
        Some(rest) => rest.split_once('/').is_some_and(|(scope, name)| plain(scope) && plain(name)),
        None => plain(name),
    };
    whole && name.len() <= APP_NAME_CHARS_MAX
}

fn is_role(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

fn is_field_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn check_table_name(name: &str) -> Result<(), &'static str> {
    let lower = name.to_ascii_lowercase();
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- ".contains(&byte));
    if !fits {
        return Err("must be 1 to 63 letters, digits, _, - and blanks, a letter first");
    }
    if lower.starts_with("auth_") || lower.starts_with("system_") || listed(KEYWORDS, &lower) {
        return Err("is a name of the system, or a word of SQL");
    }
    // The names the engine answers to itself.
    if matches!(lower.as_str(), "users" | "tx") {
        return Err("is the name of a collection of the server itself");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::rules::Rules;
    use crate::schema::tables::Phase;

    const CRM: &str = "
name: crm
auth: {}
tables:
  - name: contacts
    fields:
      - { name: name, type: single-line-text, required: true }
      - { name: pay, type: currency, currency: USD }
      - { name: owner_id, type: single-line-text }
      - { name: stage, type: single-select, options: [Lead, Active], default: Lead }
    permissions:
      read: authenticated
      create: [member]
      update: [admin, member]
      fields:
        - { field: pay, read: [admin], write: [admin] }
    rowLevelPermissions:
      write: { when: { field: owner_id, operator: eq, value: $currentUser.id } }
";

    #[test]
    fn a_document_is_read() {
        let app = App::parse(CRM).unwrap();
        let table = app.table("contacts").unwrap();
        assert_eq!((table.id, table.fields.len()), (1, 4));
        assert!(std::ptr::eq(app.table("1").unwrap(), table));
        Rules::parse(&app.rules(true)).unwrap();
        let written = json!({ "name": "Ada", "pay": "12.345" });
        let stored = table.admit(written.as_object().unwrap(), Phase::Create, 0).unwrap();
        assert_eq!(
            Value::Object(stored).to_string(),
            r#"{"name":"Ada","pay":12.35,"owner_id":null,"stage":"Lead"}"#
        );
        let faults = table.admit(&Map::new(), Phase::Create, 0).unwrap_err();
        assert_eq!((faults.len(), faults[0].message.as_str()), (1, REQUIRED));
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = "
name: Crm
tables:
  - name: order
    fields:
      - { name: a, type: formula, formula: '1' }
      - { name: B, type: nothing }
  - name: people
    constraints: [{ name: c, check: 'a > 1' }]
    fields:
      - { name: a, type: single-select }
    permissions: { read: [member] }
";
        let faults = App::parse(text).unwrap_err();
        let told: Vec<(u64, &str)> =
            faults.iter().map(|fault| (fault.line, fault.pointer.as_str())).collect();
        assert_eq!(
            told,
            [
                (2, "/name"),
                (4, "/tables/0/name"),
                (6, "/tables/0/fields/0/type"),
                (7, "/tables/0/fields/1/name"),
                (7, "/tables/0/fields/1/type"),
                (11, "/tables/1/fields/0"),
                (9, "/tables/1/constraints"),
                (12, "/tables/1/permissions/read"),
            ],
            "{faults}"
        );
        assert!(faults.to_string().contains("line 6, column 26: /tables/0/fields/0/type: "));
    }
}
