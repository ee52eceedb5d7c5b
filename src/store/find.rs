//! A page of records: conditions, order and rights become one SQL statement with bound values.
//!
//! Invariants
//! F1. No text of a caller becomes SQL: values and JSON paths are bound; only type numbers and registered field names, quoted
//!     by `types::field_expression`, are literal.
//! F2. Rights are part of the WHERE clause, so a page is full and nothing leaks by counting.
//!
//! tidy: sql: only type numbers and quoted names of registered fields are literal; values are bound

use rusqlite::types::{ToSqlOutput, ValueRef};
use serde_json::Value;

use super::error::{Result, StoreError};
use super::record::{COLUMNS, RecordRow};
use super::types::{field_expression, json_path};
use super::view::{View, on_snapshot};
use super::{NameId, Store, TypeRowId};

/// A bound value.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl rusqlite::ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Real(n) => ValueRef::Real(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The value that `json_extract` gives for a JSON scalar; arrays and objects as their text.
pub fn json_bind(value: &Value) -> Bind {
    match value {
        Value::Null => Bind::Null,
        Value::Bool(bit) => Bind::Int(i64::from(*bit)),
        Value::Number(n) => match n.as_i64() {
            Some(n) => Bind::Int(n),
            None => Bind::Real(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Bind::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => Bind::Text(value.to_string()),
    }
}

/// Equality with one top-level content field. `null` also matches an absent field.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueTest {
    pub field: String,
    pub value: Value,
    /// The field has an index for the one type that is asked for.
    pub indexed: bool,
}

/// Exclusive bounds in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub before: Option<i64>,
    pub after: Option<i64>,
}

impl Span {
    fn is_open(self) -> bool {
        self == Self::default()
    }
}

/// Records with a relationship to `target`, optionally under one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    pub target: String,
    pub label: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    #[default]
    Created,
    Updated,
    Version,
}

impl SortKey {
    fn column(self) -> &'static str {
        match self {
            Self::Created => "r.created_at",
            Self::Updated => "r.updated_at",
            Self::Version => "r.version",
        }
    }

    pub fn of(self, row: &RecordRow) -> i64 {
        match self {
            Self::Created => row.created_at,
            Self::Updated => row.updated_at,
            Self::Version => row.version,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    #[default]
    Descending,
}

/// What the caller may read, resolved for one requester on one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Everything: the owner acting alone.
    pub all: bool,
    /// The subject is the owner: its half holds for every record.
    pub subject_all: bool,
    pub subject: Option<String>,
    pub subject_name: Option<NameId>,
    /// Record ids, as text, of the groups the subject is in, and of those it is admin of.
    pub groups: Vec<String>,
    pub admin_groups: Vec<String>,
    /// Types the subject may read whole, and those where it may read its own records.
    pub any_types: Vec<TypeRowId>,
    pub own_types: Vec<TypeRowId>,
    /// The principal's half: types it may read; `None` for all.
    pub principal_types: Option<Vec<TypeRowId>>,
    /// The permission to change a record is asked for, not that to read it: history is shown to those only.
    pub needs_write: bool,
    /// Types left out whatever the rest says.
    pub never_types: Vec<TypeRowId>,
}

/// A page of records.
#[derive(Clone, Debug, Default)]
pub struct Find {
    pub scope: Scope,
    /// `None` for every type; never records of `hidden_types`.
    pub types: Option<Vec<TypeRowId>>,
    pub hidden_types: Vec<TypeRowId>,
    /// `Some(None)`: records without a parent.
    pub parent: Option<Option<String>>,
    /// Any of; a name nobody ever used matches nothing.
    pub apps: Option<Vec<String>>,
    pub subjects: Option<Vec<String>>,
    pub principals: Option<Vec<String>>,
    pub tags: Vec<String>,
    pub has_attachment: Option<String>,
    pub file: Option<String>,
    pub related: Option<Related>,
    pub created: Span,
    pub updated: Span,
    /// An FTS5 expression made by `engine::search_syntax`.
    pub search: Option<String>,
    pub content: Vec<ValueTest>,
    pub include_deleted: bool,
    pub sort: SortKey,
    pub direction: Direction,
    /// Strictly after this sort value and record id.
    pub after: Option<(i64, i64)>,
    pub limit: i64,
    /// Look at the file as it was after this unit.
    pub as_of_tx: Option<i64>,
}

/// Matching documents up to which a search is driven from the index of words instead of walking the records in order.
const SEARCH_SET_MAX: usize = 5_000;
/// Types up to which a page over several of them is merged from one ordered part each.
const MERGED_TYPES_MAX: usize = 16;
/// Virtual-machine steps an inline page may take before it moves to a query thread; about a millisecond.
const INLINE_STEPS_MAX: i32 = 30_000;

#[derive(Default)]
struct Sql {
    text: String,
    values: Vec<Bind>,
}

impl Sql {
    fn bind(&mut self, value: Bind) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn text(&mut self, value: &str) -> String {
        self.bind(Bind::Text(value.to_owned()))
    }

    fn and(&mut self, condition: &str) {
        self.text.push_str("\n   AND ");
        self.text.push_str(condition);
    }

    /// A list of texts as one bound JSON array.
    fn text_list(&mut self, values: &[String]) -> String {
        let json = serde_json::to_string(values).unwrap_or_else(|_| "[]".to_owned());
        let list = self.text(&json);
        format!("(SELECT value FROM json_each({list}))")
    }
}

/// Numbers made by ourselves, as SQL literals.
fn number_list(numbers: &[i64]) -> String {
    let items: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("({})", items.join(", "))
}

impl Find {
    /// Whether an index hands out the page in order, so that it may run on a runtime thread.
    fn is_cheap(&self) -> bool {
        self.scope.all
            && self.sort == SortKey::Created
            && self.search.is_none()
            && self.content.iter().all(|test| test.indexed)
            && self.apps.is_none()
            && self.subjects.is_none()
            && self.principals.is_none()
            && self.tags.is_empty()
            && self.has_attachment.is_none()
            && self.file.is_none()
            && self.related.is_none()
            && self.updated.is_open()
            && self.types.as_ref().is_none_or(|types| types.len() <= 1)
    }

    fn matches_nothing(&self) -> bool {
        let empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        self.types.as_ref().is_some_and(Vec::is_empty)
            || empty(&self.apps)
            || empty(&self.subjects)
            || empty(&self.principals)
    }

    fn sql(&self, search: &SearchPlan) -> Sql {
        let mut sql = Sql::default();
        let order = match self.direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        let limit = sql.bind(Bind::Int(self.limit));
        let column = self.sort.column();
        match &self.types {
            Some(types) if types.len() > 1 && types.len() <= MERGED_TYPES_MAX => {
                for (n, type_id) in types.iter().enumerate() {
                    let before = if n == 0 { "" } else { "\nUNION ALL\n" };
                    sql.text.push_str(before);
                    sql.text.push_str(&format!(
                        "SELECT * FROM (SELECT {COLUMNS}\n  FROM record r\n WHERE r.type = {type_id}"
                    ));
                    self.conditions(&mut sql, search);
                    sql.text.push_str(&format!(
                        "\n ORDER BY {column} {order}, r.rid {order}\n LIMIT {limit})"
                    ));
                }
                let position = match self.sort {
                    SortKey::Created => 5,
                    SortKey::Updated => 6,
                    SortKey::Version => 3,
                };
                sql.text.push_str(&format!(
                    "\n ORDER BY {position} {order}, 1 {order}\n LIMIT {limit}"
                ));
            }
            types => {
                sql.text.push_str(&format!("SELECT {COLUMNS}\n  FROM record r\n WHERE "));
                match types.as_deref() {
                    Some([only]) => sql.text.push_str(&format!("r.type = {only}")),
                    Some(several) => {
                        sql.text.push_str(&format!("r.type IN {}", number_list(several)));
                    }
                    None => sql
                        .text
                        .push_str(&format!("r.type NOT IN {}", number_list(&self.hidden_types))),
                }
                self.conditions(&mut sql, search);
                sql.text.push_str(&format!(
                    "\n ORDER BY {column} {order}, r.rid {order}\n LIMIT {limit}"
                ));
            }
        }
        sql
    }

    fn conditions(&self, sql: &mut Sql, search: &SearchPlan) {
        if !self.include_deleted {
            sql.and("r.deleted_at IS NULL");
        }
        match &self.parent {
            None => {}
            Some(None) => sql.and("r.parent IS NULL"),
            Some(Some(parent)) => {
                let parent = sql.text(parent);
                sql.and(&format!("r.parent = {parent}"));
            }
        }
        for (column, names) in [
            ("r.app", &self.apps),
            ("r.subject", &self.subjects),
            ("r.principal", &self.principals),
        ] {
            if let Some(names) = names {
                let list = sql.text_list(names);
                sql.and(&format!("{column} IN (SELECT id FROM name WHERE text IN {list})"));
            }
        }
        for tag in &self.tags {
            let tag = sql.text(tag);
            sql.and(&format!(
                "EXISTS (SELECT 1 FROM association a WHERE a.rid = r.rid AND a.kind = 0 AND a.label = {tag})"
            ));
        }
        if let Some(label) = &self.has_attachment {
            let label = sql.text(label);
            sql.and(&format!(
                "EXISTS (SELECT 1 FROM association a WHERE a.rid = r.rid AND a.kind = 1 AND a.label = {label})"
            ));
        }
        if let Some(file) = &self.file {
            let file = sql.text(file);
            sql.and(&format!(
                "r.rid IN (SELECT rid FROM association WHERE kind IN (1, 3) AND target = {file})"
            ));
        }
        if let Some(related) = &self.related {
            let target = sql.text(&related.target);
            let label = match &related.label {
                Some(label) => format!(" AND label = {}", sql.text(label)),
                None => String::new(),
            };
            sql.and(&format!(
                "r.rid IN (SELECT rid FROM association WHERE kind = 2 AND target = {target}{label})"
            ));
        }
        for (column, span) in [("r.created_at", self.created), ("r.updated_at", self.updated)] {
            if let Some(before) = span.before {
                let before = sql.bind(Bind::Int(before));
                sql.and(&format!("{column} < {before}"));
            }
            if let Some(after) = span.after {
                let after = sql.bind(Bind::Int(after));
                sql.and(&format!("{column} > {after}"));
            }
        }
        for test in &self.content {
            value_condition(sql, test);
        }
        match (search, &self.search) {
            (SearchPlan::Few(rids), _) => sql.and(&format!("r.rid IN {}", number_list(rids))),
            (SearchPlan::Many, Some(expression)) => {
                let expression = sql.text(expression);
                sql.and(&format!("EXISTS (SELECT 1 FROM search WHERE search MATCH {expression} AND rowid = r.rid)"));
            }
            _ => {}
        }
        if let Some((value, rid)) = self.after {
            let value = sql.bind(Bind::Int(value));
            let rid = sql.bind(Bind::Int(rid));
            let past = match self.direction {
                Direction::Ascending => ">",
                Direction::Descending => "<",
            };
            let column = self.sort.column();
            sql.and(&format!("({column}, r.rid) {past} ({value}, {rid})"));
        }
        scope_condition(sql, &self.scope);
    }
}

fn value_condition(sql: &mut Sql, test: &ValueTest) {
    let (value, kinds) = match &test.value {
        Value::Null => (None, ""),
        Value::Bool(true) => (None, "'true'"),
        Value::Bool(false) => (None, "'false'"),
        Value::Number(n) => (
            Some(match n.as_i64() {
                Some(n) => Bind::Int(n),
                None => Bind::Real(n.as_f64().unwrap_or(f64::NAN)),
            }),
            "'integer', 'real'",
        ),
        Value::String(text) => (Some(Bind::Text(text.clone())), "'text'"),
        Value::Array(_) | Value::Object(_) => {
            sql.and("FALSE");
            return;
        }
    };
    let Some(path) = json_path(&test.field) else {
        // A key that a path cannot name: look at the keys one by one.
        let key = sql.text(&test.field);
        match (&test.value, value) {
            (Value::Null, _) => sql.and(&format!(
                "NOT EXISTS (SELECT 1 FROM json_each(r.content) j WHERE j.key = {key} AND j.type <> 'null')"
            )),
            (_, None) => sql.and(&format!(
                "EXISTS (SELECT 1 FROM json_each(r.content) j WHERE j.key = {key} AND j.type = {kinds})"
            )),
            (_, Some(value)) => {
                let value = sql.bind(value);
                sql.and(&format!(
                    "EXISTS (SELECT 1 FROM json_each(r.content) j WHERE j.key = {key} AND j.type IN ({kinds}) AND j.value = {value})"
                ));
            }
        }
        return;
    };
    let path = sql.text(&path);
    match (&test.value, value) {
        (Value::Null, _) => {
            sql.and(&format!("coalesce(json_type(r.content, {path}), 'null') = 'null'"));
        }
        (_, None) => sql.and(&format!("json_type(r.content, {path}) = {kinds}")),
        (_, Some(value)) => {
            let value = sql.bind(value);
            let extracted = match (test.indexed, field_expression("r.", &test.field)) {
                (true, Some(expression)) => expression,
                _ => format!("json_extract(r.content, {path})"),
            };
            sql.and(&format!(
                "{extracted} = {value} AND json_type(r.content, {path}) IN ({kinds})"
            ));
        }
    }
}

fn scope_condition(sql: &mut Sql, scope: &Scope) {
    if scope.all {
        return;
    }
    if !scope.subject_all {
        let mut ways = Vec::new();
        let bit = if scope.needs_write { "'$.write'" } else { "'$.read'" };
        let mut entries = Vec::new();
        if !scope.needs_write {
            entries.push("p.value ->> '$.access' = 'public'".to_owned());
        }
        if let Some(subject) = &scope.subject {
            let subject = sql.text(subject);
            entries.push(format!(
                "(p.value ->> '$.access' = 'entity' AND p.value ->> '$.entityId' = {subject} \
                 AND p.value -> {bit} = 'true')"
            ));
            if !scope.groups.is_empty() {
                let any = sql.text_list(&scope.groups);
                let admin = sql.text_list(&scope.admin_groups);
                entries.push(format!(
                    "(p.value ->> '$.access' = 'group' AND p.value -> {bit} = 'true' AND \
                     ((p.value ->> '$.role' IS NULL AND p.value ->> '$.groupId' IN {any}) OR \
                     (p.value ->> '$.role' = 'admin' AND p.value ->> '$.groupId' IN {admin})))"
                ));
            }
        }
        if entries.is_empty() {
            entries.push("FALSE".to_owned());
        }
        ways.push(format!(
            "(r.permissions IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(r.permissions) p WHERE {}))",
            entries.join(" OR ")
        ));
        if !scope.any_types.is_empty() {
            ways.push(format!("r.type IN {}", number_list(&scope.any_types)));
        }
        if let (Some(name), false) = (scope.subject_name, scope.own_types.is_empty()) {
            ways.push(format!(
                "(r.subject = {name} AND r.type IN {})",
                number_list(&scope.own_types)
            ));
        }
        sql.and(&format!("({})", ways.join(" OR ")));
    }
    if !scope.never_types.is_empty() {
        sql.and(&format!("r.type NOT IN {}", number_list(&scope.never_types)));
    }
    if let Some(types) = &scope.principal_types {
        sql.and(&format!("r.type IN {}", number_list(types)));
    }
}

/// How a search takes part in the statement.
enum SearchPlan {
    No,
    /// Few documents match: these.
    Few(Vec<i64>),
    /// Many match: walk the records in order and look each one up.
    Many,
}

impl View<'_> {
    /// The page, at most `limit` rows.
    ///
    /// # Errors
    /// [`StoreError::Deadline`] past the deadline of the thread it runs on.
    pub fn find(&self, find: &Find) -> Result<Vec<RecordRow>> {
        if find.matches_nothing() {
            return Ok(Vec::new());
        }
        let plan = match &find.search {
            None => SearchPlan::No,
            Some(expression) => {
                let rids = self.matching(expression, SEARCH_SET_MAX + 1)?;
                if rids.is_empty() {
                    return Ok(Vec::new());
                }
                if rids.len() > SEARCH_SET_MAX { SearchPlan::Many } else { SearchPlan::Few(rids) }
            }
        };
        let sql = find.sql(&plan);
        let rows = |mut statement: rusqlite::CachedStatement<'_>| -> Result<Vec<RecordRow>> {
            let rows = statement
                .query_map(rusqlite::params_from_iter(sql.values.iter()), RecordRow::read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        match plan {
            // Its text is different each time: not worth a place among the prepared statements.
            SearchPlan::Few(_) => {
                let mut statement = self.connection.prepare(&sql.text)?;
                let rows = statement
                    .query_map(rusqlite::params_from_iter(sql.values.iter()), RecordRow::read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            }
            _ => rows(self.prepare(&sql.text)?),
        }
    }

    /// Records whose words match an FTS5 expression, at most `limit`, in no order.
    pub fn matching(&self, expression: &str, limit: usize) -> Result<Vec<i64>> {
        let mut statement =
            self.prepare("SELECT rowid FROM search WHERE search MATCH ?1 LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map((expression, limit), |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The statement of a page and how SQLite runs it, for `explain` and for tests.
    pub fn explain_find(&self, find: &Find) -> Result<(String, Vec<String>)> {
        let sql = find.sql(&SearchPlan::Many);
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text))?;
        let rows = statement.query_map(rusqlite::params_from_iter(sql.values.iter()), |row| {
            row.get::<_, String>(3)
        })?;
        Ok((sql.text.clone(), rows.collect::<rusqlite::Result<_>>()?))
    }
}

impl Store {
    /// Runs `work` inline when the page is cheap and stays cheap, else on a query thread. `work` may therefore run twice.
    pub async fn page<T, E>(
        &self,
        find: &Find,
        work: impl Fn(&View<'_>) -> Result<T, E> + Send + Clone + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static + IsDeadline,
    {
        if find.is_cheap() {
            match self.read_within(INLINE_STEPS_MAX, &work) {
                Err(error) if error.is_deadline() => {}
                other => return other,
            }
        }
        self.query(work).await
    }

    fn read_within<T, E: From<StoreError>>(
        &self,
        steps: i32,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let shared = &self.inner.shared;
        let mut connection = shared.take_reader()?;
        connection.progress_handler(steps, Some(|| true)).map_err(StoreError::from)?;
        let result = on_snapshot(&connection, shared, work);
        connection.progress_handler(0, None::<fn() -> bool>).map_err(StoreError::from)?;
        shared.give_back(connection);
        result
    }
}

/// Lets [`Store::page`] see that a read ran out of its budget.
pub trait IsDeadline {
    fn is_deadline(&self) -> bool;
}

impl IsDeadline for StoreError {
    fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline)
    }
}
