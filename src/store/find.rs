//! A page of records: conditions, order and rights become one SQL statement with bound values.
//!
//! Invariants
//! F1. No text of a caller becomes SQL: values and JSON paths are bound; only type numbers and registered field names, quoted
//!     by `types::field_expression`, are literal.
//! F2. Rights are part of the WHERE clause, so a page is full and nothing leaks by counting.
//!
//! tidy: sql: only type numbers and quoted names of registered fields are literal; values are bound

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use serde_json::Value;

use super::error::{Result, StoreError};
use super::record::{COLUMNS, RecordRow};
use super::types::{TypeInfo, Types};
use super::view::{View, on_snapshot};
use super::{NameId, Store, TypeRowId, filter};
use crate::schema::Kind;
use crate::schema::filter::{
    Aggregate, AggregateKind, Filter, Operand, OrderKey, RecordView, Test,
};
use crate::schema::words::Search;
use crate::util::id::RecordId;
use crate::util::json;

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

/// Equality with one top-level content field, named literally. `null` also matches an absent field; arrays and objects never
/// match.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueTest {
    pub field: String,
    pub value: Value,
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
    /// Order of creation: by record id.
    Id,
}

impl SortKey {
    fn column(self) -> &'static str {
        match self {
            Self::Created => "r.created_at",
            Self::Updated => "r.updated_at",
            Self::Version => "r.version",
            Self::Id => "r.rid",
        }
    }

    pub fn of(self, row: &RecordRow) -> i64 {
        match self {
            Self::Created => row.created_at,
            Self::Updated => row.updated_at,
            Self::Version => row.version,
            Self::Id => row.rid,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    #[default]
    Descending,
}

impl Direction {
    fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
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
    /// Types whose records follow rules of their own instead of permissions and grants, and the rules that let some be seen.
    pub ruled_types: Vec<TypeRowId>,
    pub by_rule: Vec<(TypeRowId, Filter)>,
}

/// A page of records, or the set it is taken from.
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
    pub search: Option<Search>,
    pub content: Vec<ValueTest>,
    /// Only these records.
    pub rids: Option<Vec<i64>>,
    /// Must hold as well.
    pub filter: Option<Filter>,
    pub include_deleted: bool,
    pub sort: SortKey,
    pub direction: Direction,
    /// When not empty, orders instead of `sort`; ties are in order of creation. Pages go by `offset` then, not by `after`.
    pub order: Vec<OrderKey>,
    /// Strictly after this value of `sort` and record id.
    pub after: Option<(i64, i64)>,
    pub offset: i64,
    pub limit: i64,
    /// The file as it was after this unit. Every condition is about the state then, but `scope`, which is about the record
    /// as it is now.
    pub as_of_tx: Option<i64>,
}

/// Matching documents up to which a search is driven from the index of words instead of walking the records in order.
const SEARCH_SET_MAX: usize = 5_000;
/// Types up to which a page over several of them is merged from one ordered part each.
const MERGED_TYPES_MAX: usize = 16;
/// Virtual-machine steps an inline page may take before it moves to a query thread; about a millisecond.
const INLINE_STEPS_MAX: i32 = 30_000;
/// Rows an inline page may skip.
const INLINE_OFFSET_MAX: i64 = 200;

#[derive(Default)]
pub(super) struct Sql {
    text: String,
    values: Vec<Bind>,
}

impl Sql {
    pub(super) fn bind(&mut self, value: Bind) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    pub(super) fn text(&mut self, value: &str) -> String {
        self.bind(Bind::Text(value.to_owned()))
    }

    pub(super) fn and(&mut self, condition: &str) {
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

/// One ordered part of a page: some of the types, all searched the same way.
struct Part {
    types: String,
    /// The one type of this part, whose field indexes may serve.
    only: Option<Arc<TypeInfo>>,
    /// The index that hands out this part in the order asked.
    walk: Option<filter::OrderIndex>,
    /// Words are looked up in the index; else each record's texts are read.
    words_indexed: bool,
}

/// What a statement answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Page,
    /// How many, counted up to `limit`.
    Count,
    /// What aggregates look at, in no order.
    Values,
}

const VALUES: &str = "r.content, r.rid, coalesce(r.alias, cairn_id(r.rid)), r.created_at, r.updated_at, \
     (SELECT n.text FROM name n WHERE n.id = r.subject)";

/// The states that table `record` and the journal's replaced states held after a unit. Blanked history is absent.
fn past(tx: i64, seq: i64) -> String {
    format!(
        "WITH past (rid, type, version, tx, created_at, updated_at, deleted_at, subject, principal, app, parent, alias, \
         permissions, associations, content) AS (
    SELECT rid, type, version, tx, created_at, updated_at, deleted_at, subject, principal, app, parent, alias,
           permissions, associations, content
      FROM record
     WHERE tx <= {tx}
    UNION ALL
    SELECT n.rid, c.replaced ->> '$.t', c.version - 1, c.replaced ->> '$.x', n.created_at, c.replaced ->> '$.u',
           c.replaced ->> '$.d', n.subject, n.principal, n.app, n.parent, n.alias, c.replaced -> '$.p',
           c.replaced -> '$.a', c.replaced -> '$.c'
      FROM change c
     CROSS JOIN record n ON n.rid = c.rid
     WHERE c.seq > {seq}
       AND c.tx > {tx}
       AND c.replaced IS NOT NULL
       AND c.replaced ->> '$.x' <= {tx})\n"
    )
}

impl Find {
    /// Whether an index hands out the page in order, so that it may run on a runtime thread.
    fn is_cheap(&self, types: &Types) -> bool {
        self.scope.all
            && self.as_of_tx.is_none()
            && self.search.is_none()
            && self.apps.is_none()
            && self.subjects.is_none()
            && self.principals.is_none()
            && self.tags.is_empty()
            && self.has_attachment.is_none()
            && self.file.is_none()
            && self.related.is_none()
            && self.updated.is_open()
            && self.offset <= INLINE_OFFSET_MAX
            && self.types.as_ref().is_none_or(|types| types.len() <= 1)
            && self.is_cheap_within(self.only_type(types))
    }

    /// [`Self::is_cheap`] as far as fields and order go: a field is found by equality, and then the few found are sorted; or
    /// nothing is asked and an index gives the order.
    fn is_cheap_within(&self, only: Option<&TypeInfo>) -> bool {
        let filter = self.whole_filter();
        let found = only.is_some_and(|only| filter::uses_equality_index(&filter, only));
        let ordered = match self.order.as_slice() {
            [] => matches!(self.sort, SortKey::Created | SortKey::Id),
            [key] => only.is_some_and(|only| filter::order_index(key, only).is_some()),
            _ => false,
        };
        found || (ordered && filter == Filter::And(Vec::new()))
    }

    fn only_type<'t>(&self, types: &'t Types) -> Option<&'t TypeInfo> {
        match self.types.as_deref() {
            Some([only]) => types.by_row(*only).map(Arc::as_ref),
            _ => None,
        }
    }

    fn matches_nothing(&self) -> bool {
        let empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        self.types.as_ref().is_some_and(Vec::is_empty)
            || empty(&self.apps)
            || empty(&self.subjects)
            || empty(&self.principals)
            || self.search.as_ref().is_some_and(Search::is_nothing)
    }

    /// `content` and `filter` as one.
    fn whole_filter(&self) -> Filter {
        let tests = self.content.iter().map(|test| match &test.value {
            Value::Array(_) | Value::Object(_) => Filter::False,
            value => Filter::Is(Operand::Key(test.field.clone()), Test::Equal(value.clone())),
        });
        Filter::And(tests.chain(self.filter.clone()).collect())
    }

    fn parts(&self, types: &Types) -> Vec<Part> {
        let is_indexed = |id: TypeRowId| types.by_row(id).is_none_or(|info| info.search);
        let part = |list: &[TypeRowId], words_indexed: bool| match list {
            [only] => Part {
                types: format!("r.type = {only}"),
                only: types.by_row(*only).cloned(),
                walk: None,
                words_indexed,
            },
            several => Part {
                types: format!("r.type IN {}", number_list(several)),
                only: None,
                walk: None,
                words_indexed,
            },
        };
        let searching = self.search.is_some();
        if self.as_of_tx.is_some() {
            return vec![match &self.types {
                Some(list) => part(list, false),
                None => Part {
                    types: format!("r.type NOT IN {}", number_list(&self.hidden_types)),
                    only: None,
                    walk: None,
                    words_indexed: false,
                },
            }];
        }
        let Some(list) = &self.types else {
            let mut apart: Vec<TypeRowId> = types
                .all()
                .iter()
                .map(|info| info.row_id)
                .filter(|id| searching && !is_indexed(*id) && !self.hidden_types.contains(id))
                .collect();
            apart.sort_unstable();
            let not = [self.hidden_types.as_slice(), &apart].concat();
            let mut parts = vec![Part {
                types: format!("r.type NOT IN {}", number_list(&not)),
                only: None,
                walk: None,
                words_indexed: true,
            }];
            if !apart.is_empty() {
                parts.push(part(&apart, false));
            }
            return parts;
        };
        let mut list = list.clone();
        list.sort_unstable();
        list.dedup();
        if list.len() <= MERGED_TYPES_MAX {
            return list.iter().map(|id| part(&[*id], is_indexed(*id))).collect();
        }
        if !searching {
            return vec![part(&list, true)];
        }
        let (indexed, apart): (Vec<_>, Vec<_>) = list.iter().partition(|id| is_indexed(**id));
        let parts = [(indexed, true), (apart, false)];
        parts
            .iter()
            .filter(|(list, _)| !list.is_empty())
            .map(|(list, indexed)| part(list, *indexed))
            .collect()
    }

    /// The statement for these parts, of which there is at least one. `seq` is the journal's place for `as_of_tx`.
    fn sql(
        &self,
        shape: Shape,
        parts: &[Part],
        search: &SearchPlan,
        types: &Types,
        seq: i64,
    ) -> Result<Sql> {
        let mut sql = Sql::default();
        let table = match self.as_of_tx {
            Some(tx) => {
                sql.text.push_str(&past(tx, seq));
                "past"
            }
            None => "record",
        };
        let (limit, offset) = (self.limit.max(0), self.offset.max(0));
        let bound_limit = sql.bind(Bind::Int(limit));
        match shape {
            Shape::Page => self.page_sql(&mut sql, table, parts, search, types, &bound_limit)?,
            Shape::Count | Shape::Values => {
                let columns = if shape == Shape::Count { "1" } else { VALUES };
                if shape == Shape::Count {
                    sql.text.push_str("SELECT count(*) FROM (");
                }
                for (n, part) in parts.iter().enumerate() {
                    sql.text.push_str(if n == 0 { "" } else { "\nUNION ALL\n" });
                    sql.text.push_str(&format!(
                        "SELECT {columns}\n  FROM {table} r\n WHERE {}",
                        part.types
                    ));
                    self.conditions(&mut sql, part, search, types)?;
                }
                sql.text.push_str(&format!("\n LIMIT {bound_limit}"));
                if shape == Shape::Count {
                    sql.text.push(')');
                }
            }
        }
        if shape == Shape::Page && offset > 0 {
            let offset = sql.bind(Bind::Int(offset));
            sql.text.push_str(&format!(" OFFSET {offset}"));
        }
        Ok(sql)
    }

    fn page_sql(
        &self,
        sql: &mut Sql,
        table: &str,
        parts: &[Part],
        search: &SearchPlan,
        types: &Types,
        limit: &str,
    ) -> Result<()> {
        let merged = parts.len() > 1;
        // Each part gives all rows up to the end of the page; the outer statement skips.
        let part_rows = if merged && self.offset > 0 {
            sql.bind(Bind::Int(self.limit.max(0).saturating_add(self.offset)))
        } else {
            limit.to_owned()
        };
        let mut keys = String::new();
        for (n, key) in self.order.iter().enumerate() {
            let expression = filter::order_expression(sql, &key.operand);
            keys.push_str(&format!(", {expression} AS k{n}"));
        }
        for (n, part) in parts.iter().enumerate() {
            let (before, open) = match (n, merged) {
                (_, false) => ("", ""),
                (0, true) => ("", "SELECT * FROM ("),
                (_, true) => ("\nUNION ALL\n", "SELECT * FROM ("),
            };
            let walk = part.walk.as_ref();
            let by = walk.map_or(String::new(), |walk| format!(" INDEXED BY {}", walk.index));
            sql.text.push_str(&format!(
                "{before}{open}SELECT {COLUMNS}{keys}\n  FROM {table} r{by}\n WHERE {}",
                part.types
            ));
            self.conditions(sql, part, search, types)?;
            sql.text.push_str(&format!("\n ORDER BY {}", self.part_order(walk)));
            if merged {
                sql.text.push_str(&format!("\n LIMIT {part_rows})"));
            }
        }
        if merged {
            sql.text.push_str(&format!("\n ORDER BY {}", self.merged_order()));
        }
        sql.text.push_str(&format!("\n LIMIT {limit}"));
        Ok(())
    }

    /// The field index that hands out this part in order, when nothing else finds a few records that are better sorted.
    /// SQLite has to be told: it thinks of the rows, not of stopping after a page.
    fn index_walk(&self, part: &Part) -> Option<filter::OrderIndex> {
        let of = part.only.as_deref().filter(|_| self.as_of_tx.is_none())?;
        let walk = filter::order_index(self.order.first()?, of)?;
        let filter = self.whole_filter();
        let few = self.file.is_some()
            || self.related.is_some()
            || self.search.is_some()
            || matches!(self.parent, Some(Some(_)))
            || filter::uses_equality_index(&filter, of)
            || !filter::ids_asked(&filter).is_empty();
        (!few).then_some(walk)
    }

    fn part_order(&self, walk: Option<&filter::OrderIndex>) -> String {
        let order = self.direction.sql();
        match (self.order.as_slice(), self.sort) {
            ([], SortKey::Id) => format!("r.rid {order}"),
            ([], sort) => format!("{} {order}, r.rid {order}", sort.column()),
            (keys, _) => {
                let mut terms = Vec::with_capacity(keys.len() + 2);
                // The index goes first and nearly decides; the exact key orders what the index holds for equal.
                if let Some(walk) = walk {
                    let direction = filter::direction(keys[0].direction);
                    terms.push(format!("{} {direction} NULLS LAST", walk.expression));
                }
                terms.extend(key_terms(keys));
                terms.push("r.rid ASC".to_owned());
                terms.join(", ")
            }
        }
    }

    fn merged_order(&self) -> String {
        let order = self.direction.sql();
        match (self.order.as_slice(), self.sort) {
            ([], SortKey::Id) => format!("1 {order}"),
            ([], SortKey::Created) => format!("5 {order}, 1 {order}"),
            ([], SortKey::Updated) => format!("6 {order}, 1 {order}"),
            ([], SortKey::Version) => format!("3 {order}, 1 {order}"),
            (keys, _) => {
                let mut terms: Vec<_> = key_terms(keys).collect();
                terms.push("1 ASC".to_owned());
                terms.join(", ")
            }
        }
    }

    fn conditions(
        &self,
        sql: &mut Sql,
        part: &Part,
        search: &SearchPlan,
        types: &Types,
    ) -> Result<()> {
        if !self.include_deleted {
            sql.and("r.deleted_at IS NULL");
        }
        if let Some(rids) = &self.rids {
            let list = serde_json::to_string(rids).unwrap_or_else(|_| "[]".to_owned());
            let list = sql.text(&list);
            sql.and(&format!("r.rid IN (SELECT value FROM json_each({list}))"));
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
        match self.as_of_tx {
            None => self.edge_conditions(sql),
            Some(_) => self.past_edge_conditions(sql, types),
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
        if !self.content.is_empty() || self.filter.is_some() {
            let filter = self.whole_filter();
            let now = self.as_of_tx.is_none();
            if now && !self.include_deleted {
                self.id_hints(sql, &filter, types);
            }
            filter::add_filter(sql, &filter, part.only.as_deref().filter(|_| now))?;
        }
        if let Some(words) = &self.search {
            match (part.words_indexed, search, words.to_fts5()) {
                (true, SearchPlan::Few(rids), _) => {
                    sql.and(&format!("r.rid IN {}", number_list(rids)));
                }
                (true, _, Some(expression)) => {
                    let expression = sql.text(&expression);
                    // Not EXISTS: SQLite would turn that into a join and begin with all that match.
                    sql.and(&format!(
                        "(SELECT 1 FROM search WHERE search MATCH {expression} AND rowid = r.rid) IS NOT NULL"
                    ));
                }
                _ => {
                    let condition = filter::words_condition(sql, words);
                    sql.and(&condition);
                }
            }
        }
        if let (Some((value, rid)), true) = (self.after, self.order.is_empty()) {
            let rid = sql.bind(Bind::Int(rid));
            let past = match self.direction {
                Direction::Ascending => ">",
                Direction::Descending => "<",
            };
            if self.sort == SortKey::Id {
                sql.and(&format!("r.rid {past} {rid}"));
            } else {
                let value = sql.bind(Bind::Int(value));
                let column = self.sort.column();
                sql.and(&format!("({column}, r.rid) {past} ({value}, {rid})"));
            }
        }
        scope_condition(sql, &self.scope, self.as_of_tx.is_some());
        Ok(())
    }

    /// Tags, attachments, files and relations, by the index of associations.
    fn edge_conditions(&self, sql: &mut Sql) {
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
    }

    /// The same of an earlier state, which has no index: from its own associations and fields.
    fn past_edge_conditions(&self, sql: &mut Sql, types: &Types) {
        let edge = |kind: &str, more: &str| {
            format!(
                "EXISTS (SELECT 1 FROM json_each(r.associations) a WHERE a.value ->> '$.kind' = '{kind}'{more})"
            )
        };
        let labelled = |sql: &mut Sql, label: &str| {
            format!(" AND a.value ->> '$.label' = {}", sql.text(label))
        };
        for tag in &self.tags {
            let label = labelled(sql, tag);
            sql.and(&edge("tag", &label));
        }
        if let Some(label) = &self.has_attachment {
            let label = labelled(sql, label);
            sql.and(&edge("attachment", &label));
        }
        if let Some(file) = &self.file {
            let file = sql.text(file);
            let mut ways =
                vec![edge("attachment", &format!(" AND a.value ->> '$.fileId' = {file}"))];
            for info in types.all() {
                let names: Vec<String> = info
                    .schema
                    .fields()
                    .filter(|(_, field)| field.kind == Kind::FileRef)
                    .map(|(name, _)| name.to_owned())
                    .collect();
                if !names.is_empty() {
                    let names = sql.text_list(&names);
                    ways.push(format!(
                        "(r.type = {} AND EXISTS (SELECT 1 FROM json_each(r.content) f WHERE f.key IN {names} \
                         AND f.type = 'text' AND f.value = {file}))",
                        info.row_id
                    ));
                }
            }
            sql.and(&format!("({})", ways.join(" OR ")));
        }
        if let Some(related) = &self.related {
            let mut more = format!(" AND a.value ->> '$.recordId' = {}", sql.text(&related.target));
            if let Some(label) = &related.label {
                more.push_str(&labelled(sql, label));
            }
            sql.and(&edge("relationship", &more));
        }
    }

    /// What tests of the shown id imply about record ids, so that a few records are found without a walk. Live records only:
    /// a deleted one has left table `alias`.
    fn id_hints(&self, sql: &mut Sql, filter: &Filter, types: &Types) {
        let Some(list) = &self.types else { return };
        for ids in filter::ids_asked(filter) {
            let rids: Vec<i64> =
                ids.iter().filter_map(|id| RecordId::parse(id).map(RecordId::as_i64)).collect();
            let mut collections = vec![0]; // Fixed ids.
            collections
                .extend(list.iter().filter_map(|id| types.by_row(*id)).map(|info| info.collection));
            let ids = sql.text_list(&ids);
            let rids = sql.text(&Value::from(rids).to_string());
            sql.and(&format!(
                "r.rid IN (SELECT a.rid FROM alias a WHERE a.collection IN {} AND a.id IN {ids} \
                 UNION ALL SELECT value FROM json_each({rids}))",
                number_list(&collections)
            ));
        }
    }
}

fn key_terms(keys: &[OrderKey]) -> impl Iterator<Item = String> {
    keys.iter()
        .enumerate()
        .map(|(n, key)| format!("k{n} {} NULLS LAST", filter::direction(key.direction)))
}

/// What the caller may read. `past`: the rows are earlier states, judged by the record as it is now.
fn scope_condition(sql: &mut Sql, scope: &Scope, past: bool) {
    if scope.all {
        return;
    }
    let r = if past { "o" } else { "r" };
    let mut conditions = Vec::new();
    let mut ordinary = None;
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
            "({r}.permissions IS NOT NULL AND EXISTS (SELECT 1 FROM json_each({r}.permissions) p WHERE {}))",
            entries.join(" OR ")
        ));
        if !scope.any_types.is_empty() {
            ways.push(format!("{r}.type IN {}", number_list(&scope.any_types)));
        }
        if let (Some(name), false) = (scope.subject_name, scope.own_types.is_empty()) {
            ways.push(format!(
                "({r}.subject = {name} AND {r}.type IN {})",
                number_list(&scope.own_types)
            ));
        }
        ordinary = Some(format!("({})", ways.join(" OR ")));
    }
    if scope.ruled_types.is_empty() {
        conditions.extend(ordinary);
    } else {
        let ruled = number_list(&scope.ruled_types);
        let ordinary = ordinary.unwrap_or_else(|| "TRUE".to_owned());
        let mut ways = vec![format!("({r}.type NOT IN {ruled} AND {ordinary})")];
        for (type_id, filter) in &scope.by_rule {
            let rule = super::filter::condition(sql, filter);
            ways.push(format!("({r}.type = {type_id} AND {rule})"));
        }
        conditions.push(format!("({})", ways.join(" OR ")));
    }
    if !scope.never_types.is_empty() {
        conditions.push(format!("{r}.type NOT IN {}", number_list(&scope.never_types)));
    }
    if let Some(types) = &scope.principal_types {
        conditions.push(format!("{r}.type IN {}", number_list(types)));
    }
    if past && !conditions.is_empty() {
        let all = conditions.join(" AND ");
        sql.and(&format!("EXISTS (SELECT 1 FROM record o WHERE o.rid = r.rid AND {all})"));
    } else {
        conditions.iter().for_each(|condition| sql.and(condition));
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
        Ok(self.find_within(find, usize::MAX)?.0)
    }

    /// As [`View::find`], but stops before the next row once `bytes_max` bytes of text are read; true when it stopped.
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn find_within(&self, find: &Find, bytes_max: usize) -> Result<(Vec<RecordRow>, bool)> {
        let (mut found, mut bytes, mut stopped) = (Vec::new(), 0_usize, false);
        self.run(find, Shape::Page, |row| {
            if bytes >= bytes_max {
                stopped = true;
                return Ok(ControlFlow::Break(()));
            }
            let row = RecordRow::read(row)?;
            bytes = bytes.saturating_add(row.text_bytes());
            found.push(row);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((found, stopped))
    }

    /// How many records there are in the whole set: order, `after`, `offset` and `limit` do not count. Counts no further
    /// than `rows_max`.
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn count(&self, find: &Find, rows_max: i64) -> Result<i64> {
        let mut count = 0;
        self.run(&whole_set(find, rows_max), Shape::Count, |row| {
            count = row.get(0)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// A value computed over the whole set, as [`View::count`] understands it. `operand` is not looked at for
    /// [`AggregateKind::Count`].
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn aggregate(&self, find: &Find, kind: AggregateKind, operand: &Operand) -> Result<Value> {
        let mut find = whole_set(find, i64::MAX);
        match kind {
            AggregateKind::Count => return Ok(Value::from(self.count(&find, i64::MAX)?)),
            AggregateKind::CountPresent => {
                let present = Filter::Is(operand.clone(), Test::Present);
                find.filter = Some(Filter::And(find.filter.into_iter().chain([present]).collect()));
                return Ok(Value::from(self.count(&find, i64::MAX)?));
            }
            _ => {}
        }
        let mut aggregate = Aggregate::new(kind);
        self.run(&find, Shape::Values, |row| {
            let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let content = json::parse_object(text.as_bytes())
                .map_err(|e| StoreError::Refused(format!("a record is damaged: {e}")))?;
            let (id, subject): (String, Option<String>) = (row.get(2)?, row.get(5)?);
            aggregate.add(&operand.value(&RecordView {
                content: &content,
                rid: row.get(1)?,
                id: &id,
                created_at: row.get(3)?,
                updated_at: row.get(4)?,
                subject: subject.as_deref(),
            }));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(aggregate.finish())
    }

    fn run(
        &self,
        find: &Find,
        shape: Shape,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if find.matches_nothing() {
            return Ok(());
        }
        let types = self.types();
        let mut parts = self.parts(find, &types)?;
        let plan = match find.search.as_ref().and_then(Search::to_fts5) {
            Some(expression) if parts.iter().any(|part| part.words_indexed) => {
                let rids = self.matching(&expression, SEARCH_SET_MAX + 1)?;
                if rids.is_empty() {
                    parts.retain(|part| !part.words_indexed);
                }
                if rids.len() > SEARCH_SET_MAX { SearchPlan::Many } else { SearchPlan::Few(rids) }
            }
            _ => SearchPlan::No,
        };
        if parts.is_empty() {
            return Ok(());
        }
        let sql = find.sql(shape, &parts, &plan, &types, self.seq_of(find)?)?;
        let mut run = |statement: &mut rusqlite::Statement<'_>| -> Result<()> {
            let mut rows = statement.query(rusqlite::params_from_iter(sql.values.iter()))?;
            while let Some(row) = rows.next()? {
                if each(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        match plan {
            // Its text is different each time: not worth a place among the prepared statements.
            SearchPlan::Few(_) => run(&mut self.connection.prepare(&sql.text)?),
            _ if find.as_of_tx.is_some() => run(&mut self.connection.prepare(&sql.text)?),
            _ => run(&mut *self.prepare(&sql.text)?),
        }
    }

    fn parts(&self, find: &Find, types: &Types) -> Result<Vec<Part>> {
        let mut parts = find.parts(types);
        for part in &mut parts {
            if let Some(walk) = find.index_walk(part) {
                part.walk = self.has_index(&walk.index)?.then_some(walk);
            }
        }
        Ok(parts)
    }

    fn seq_of(&self, find: &Find) -> Result<i64> {
        find.as_of_tx.map_or(Ok(0), |tx| self.seq_at_tx(tx))
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
        self.explain_shape(find, Shape::Page)
    }

    /// [`View::explain_find`] for [`View::count`].
    pub fn explain_count(&self, find: &Find, rows_max: i64) -> Result<(String, Vec<String>)> {
        self.explain_shape(&whole_set(find, rows_max), Shape::Count)
    }

    fn explain_shape(&self, find: &Find, shape: Shape) -> Result<(String, Vec<String>)> {
        let types = self.types();
        let parts = self.parts(find, &types)?;
        if parts.is_empty() {
            return Ok((String::new(), Vec::new()));
        }
        let sql = find.sql(shape, &parts, &SearchPlan::Many, &types, self.seq_of(find)?)?;
        // EXPLAIN reads nothing and so would not notice that the connection knows an older schema; this does.
        self.last_rid()?;
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text))?;
        let rows = statement.query_map(rusqlite::params_from_iter(sql.values.iter()), |row| {
            row.get::<_, String>(3)
        })?;
        Ok((sql.text.clone(), rows.collect::<rusqlite::Result<_>>()?))
    }
}

/// The set a page is taken from.
fn whole_set(find: &Find, rows_max: i64) -> Find {
    Find { order: Vec::new(), after: None, offset: 0, limit: rows_max, ..find.clone() }
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
        if find.is_cheap(&self.types()) {
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

#[cfg(test)]
mod tests;
