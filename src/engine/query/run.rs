//! Executes a tree of collections, conditions and relations on one snapshot.
//!
//! A root is one statement; a relation is one further statement for all parents (and each collection it leads to). Rules are
//! part of the statement; fields the caller may not read are gone before anything looks at them.
//!
//! Invariants
//! Q1. Every row shown passed the read rule of its own collection.
//! Q2. A hidden field never influences which rows are shown, nor their order.
//! Q3. An answer holds at most [`ROWS_MAX`] rows with nested ones, a root at most [`ROOT_ROWS_MAX`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::tree::{Aggregate, AggregateTerm, Node, Root};
use crate::engine::access::{Access, is_ruled};
use crate::engine::commands::commit::parsed;
use crate::engine::error::{Error, Result};
use crate::engine::links::stored_associations;
use crate::engine::record::{AsOf, shown_id};
use crate::engine::rows::{USER_FAMILY, USERS, entity_of, family_of, is_account, row_id};
use crate::engine::{Caller, Engine, Inner};
use crate::schema::filter::{self, Filter, Operand, RecordView, Test};
use crate::schema::filter_form::field_of;
use crate::schema::rules::{Decision, FieldDecision, Operation};
use crate::schema::words::Search;
use crate::store::{AssociationKind, Direction, Find, RecordRow, Scope, SortKey, View};
use crate::util::id::RecordId;
use crate::util::time;

/// Rows of one root.
pub(crate) const ROOT_ROWS_MAX: usize = 10_000;
/// Rows of a whole answer, nested ones included.
pub(crate) const ROWS_MAX: usize = 50_000;

/// One row as the query shows it; `fields` starts with `id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Creation order.
    pub rid: i64,
    pub id: String,
    /// Milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
    pub fields: Map<String, Value>,
}

/// What a root gave.
#[derive(Clone, Debug, PartialEq)]
pub enum RootValue {
    Rows(Vec<Shown>),
    /// Of a root with an aggregate.
    Value(Value),
}

/// An answer, and how it came about.
#[derive(Clone, Debug)]
pub struct Explained {
    pub answer: TreeAnswer,
    /// For each root, how SQLite finds its rows: one line per step.
    pub plans: Vec<(String, Vec<String>)>,
    /// The unit whose state was looked at, when it was not the newest.
    pub as_of: Option<i64>,
    /// Running it, without waiting.
    pub took: Duration,
}

/// The answer to a tree, on one snapshot.
#[derive(Clone, Debug)]
pub struct TreeAnswer {
    /// The newest unit visible.
    pub tx: i64,
    pub roots: Vec<(String, RootValue)>,
    /// A rule kept rows or fields from the caller, or might have.
    pub filtered: bool,
}

impl Engine {
    /// Runs every root on one snapshot.
    ///
    /// # Errors
    /// [`Error::Denied`] for a collection or a named field the caller may not read, [`Error::TooComplex`] past the bounds.
    pub async fn run_tree(&self, caller: &Caller, roots: Arc<Vec<Root>>) -> Result<TreeAnswer> {
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        let plan = inline_plan(&self.inner, &roots);
        let work = move |view: &View<'_>| run(&inner, view, &caller, &roots);
        match plan {
            Some(plan) => self.store().page(&plan, work).await,
            None => self.store().query(work).await,
        }
    }

    /// Runs every root on one snapshot, the newest or an earlier one, and says how. For the owner alone.
    ///
    /// # Errors
    /// As [`Engine::run_tree`]; [`Error::BadRequest`] for relations at an earlier moment: they have no past.
    pub async fn run_tree_explained(
        &self,
        caller: &Caller,
        roots: Arc<Vec<Root>>,
        as_of: Option<AsOf>,
    ) -> Result<Explained> {
        self.check_alone(caller)?;
        if as_of.is_some() && roots.iter().any(|root| !root.node.relations.is_empty()) {
            return Err(Error::BadRequest(
                "relations cannot be followed in the past; ask for each collection by itself"
                    .into(),
            ));
        }
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store()
            .query(move |view: &View<'_>| {
                let as_of = as_of.map(|moment| moment.tx(view)).transpose()?;
                let began = Instant::now();
                let answer = run_as_of(&inner, view, &caller, &roots, as_of)?;
                let took = began.elapsed();
                let mut run = Run::new(&inner, view, &caller);
                run.as_of = as_of;
                let plans = roots
                    .iter()
                    .map(|root| Ok((root.entity.clone(), run.plan_of(root)?)))
                    .collect::<Result<_>>()?;
                Ok(Explained { answer, plans, as_of, took })
            })
            .await
    }

    /// How many rows of a collection hold, up to a bound, beside a page of them: for lists that say their total.
    pub async fn count_rows(
        &self,
        caller: &Caller,
        entity: &str,
        condition: Filter,
    ) -> Result<i64> {
        let (inner, caller, entity) = (Arc::clone(&self.inner), caller.clone(), entity.to_owned());
        self.store()
            .query(move |view| {
                let access = Access::new(&inner, view, &caller);
                let mut run = Run { view, access, as_of: None, rows: 0, filtered: false };
                let node = Node { filter: condition, ..Node::default() };
                let Some(source) = run.source(&entity, &node)? else { return Ok(0) };
                if source.in_memory.is_some() {
                    return Ok(i64::try_from(run.rows_of(&source, &node)?.len()).unwrap_or(0));
                }
                let find = source.find(&node, i64::MAX);
                Ok(view.count(&find, i64::MAX)?)
            })
            .await
    }
}

/// The statement of a query that may run inline when an index serves it: one root without relations.
fn inline_plan(inner: &Inner, roots: &[Root]) -> Option<Find> {
    let [Root { entity, node }] = roots else { return None };
    if !node.relations.is_empty() || node.aggregate.is_some() || node.search.is_some() {
        return None;
    }
    node.limit.filter(|limit| *limit <= 1_000)?;
    let types = inner.store.types().family(family_of(entity)).to_vec();
    let source = Source { types, ..Source::default() };
    Some(source.find(node, i64::from(node.limit?)))
}

pub(crate) fn run(
    inner: &Inner,
    view: &View<'_>,
    caller: &Caller,
    roots: &[Root],
) -> Result<TreeAnswer> {
    run_as_of(inner, view, caller, roots, None)
}

/// As [`run`], on the file as it was. Relations and collections with permissions have no past here; the caller sees to it.
pub(crate) fn run_as_of(
    inner: &Inner,
    view: &View<'_>,
    caller: &Caller,
    roots: &[Root],
    as_of: Option<i64>,
) -> Result<TreeAnswer> {
    let access = Access::new(inner, view, caller);
    let mut run = Run { view, access, as_of, rows: 0, filtered: false };
    let mut answered = Vec::with_capacity(roots.len());
    for root in roots {
        answered.push((root.entity.clone(), run.root(root)?));
    }
    Ok(TreeAnswer { tx: view.last_tx()?, roots: answered, filtered: run.filtered })
}

pub(super) struct Run<'a> {
    view: &'a View<'a>,
    access: Access<'a>,
    /// Look at the file as it was after this unit.
    as_of: Option<i64>,
    rows: usize,
    filtered: bool,
}

/// A collection as the caller may see it.
#[derive(Default)]
pub(super) struct Source {
    pub(super) types: Vec<i64>,
    /// The read rule.
    pub(super) filter: Option<Filter>,
    pub(super) scope: Option<Scope>,
    pub(super) fields: FieldDecision,
    /// A search that must not look at hidden fields runs here, over what is left.
    pub(super) in_memory: Option<Search>,
    pub(super) search: Option<Search>,
    pub(super) condition: Option<Filter>,
}

impl Source {
    fn find(&self, node: &Node, limit: i64) -> Find {
        let mut parts = Vec::new();
        let condition = self.condition.as_ref().unwrap_or(&node.filter);
        for part in self.filter.iter().chain([condition]) {
            if *part != Filter::True {
                parts.push(part.clone());
            }
        }
        let mut find = Find {
            types: Some(self.types.clone()),
            filter: Some(Filter::And(parts)),
            search: self.search.clone(),
            sort: SortKey::Id,
            direction: Direction::Ascending,
            order: node.order.clone(),
            offset: i64::try_from(node.offset).unwrap_or(i64::MAX),
            after: node.after.map(|rid| (rid, rid)),
            limit,
            ..Find::default()
        };
        match &self.scope {
            Some(scope) => find.scope = scope.clone(),
            None => find.scope.all = true,
        }
        find
    }
}

/// A row on its way to the answer.
struct Item {
    row: RecordRow,
    /// The family it belongs to.
    family: String,
    /// Without what is hidden.
    content: Map<String, Value>,
    /// Relations that were expanded.
    expanded: Vec<(String, Value)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(inner: &'a Inner, view: &'a View<'a>, caller: &'a Caller) -> Self {
        let access = Access::new(inner, view, caller);
        Self { view, access, as_of: None, rows: 0, filtered: false }
    }

    /// The steps in which SQLite finds the rows of a root.
    fn plan_of(&mut self, root: &Root) -> Result<Vec<String>> {
        let Some(source) = self.source(&root.entity, &root.node)? else { return Ok(Vec::new()) };
        let limit = root.node.limit.map_or(i64::MAX, i64::from);
        let mut find = source.find(&root.node, limit);
        find.as_of_tx = self.as_of;
        let (_, steps) = match root.node.aggregate {
            Some(_) => self.view.explain_count(&find, i64::MAX)?,
            None => self.view.explain_find(&find)?,
        };
        Ok(steps)
    }

    fn root(&mut self, root: &Root) -> Result<RootValue> {
        let Some(source) = self.source(&root.entity, &root.node)? else {
            return Ok(match &root.node.aggregate {
                Some(aggregate) => RootValue::Value(in_memory(aggregate, std::iter::empty())),
                None => RootValue::Rows(Vec::new()),
            });
        };
        if let Some(aggregate) = &root.node.aggregate {
            return self.aggregate(&source, &root.node, aggregate).map(RootValue::Value);
        }
        let mut items = self.rows_of(&source, &root.node)?;
        self.expand(&mut items, &root.node)?;
        Ok(RootValue::Rows(items.into_iter().map(|item| item.show(&root.node)).collect()))
    }

    /// What the caller may see of a collection: `None` when there is nothing of it.
    pub(super) fn source(&mut self, entity: &str, node: &Node) -> Result<Option<Source>> {
        let source = self.source_to_be(entity, node)?;
        Ok((!source.types.is_empty()).then_some(source))
    }

    /// As [`Run::source`], also of a collection that does not exist yet: the rules that will govern it.
    pub(super) fn source_to_be(&mut self, entity: &str, node: &Node) -> Result<Source> {
        let family = family_of(entity);
        if family.starts_with('_') && family != USER_FAMILY && !self.access.alone() {
            return Err(Error::Denied);
        }
        let types = self.view.types();
        let rows = types.family(family).to_vec();
        let ruled = rows.is_empty()
            || rows.iter().filter_map(|row| types.by_row(*row)).any(|info| is_ruled(info));
        let mut source = Source { types: rows, ..Source::default() };
        if ruled {
            match self.access.live_rule(family, Operation::Read)? {
                Decision::Deny => return Err(Error::Denied),
                Decision::Allow => {}
                Decision::Rows(filter) => {
                    self.filtered = true;
                    source.filter = Some(filter);
                }
            }
            source.fields = self.access.field_rules(family, Operation::Read);
            self.guard_fields(entity, node, &mut source)?;
        } else {
            let scope = self.access.scope(false)?;
            self.filtered |= !scope.all;
            source.scope = Some(scope);
        }
        if let Some(text) = &node.search {
            let search = Search::all_words(text)
                .map_err(|fault| Error::BadRequest(format!("$search: {fault}")))?;
            let masked = !source.fields.hidden.is_empty() || !source.fields.by_row.is_empty();
            if masked { source.in_memory = Some(search) } else { source.search = Some(search) }
        }
        Ok(source)
    }

    /// Fields hidden on every row may not be named; those hidden on some rows count as missing there.
    fn guard_fields(&mut self, entity: &str, node: &Node, source: &mut Source) -> Result<()> {
        let fields = &source.fields;
        if fields.hidden.is_empty() && fields.by_row.is_empty() {
            return Ok(());
        }
        self.filtered = true;
        let top = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let mut refused = None;
        node.each_named_field(&mut |name| {
            if fields.hidden.iter().any(|hidden| *hidden == name || *hidden == top(name)) {
                refused.get_or_insert_with(|| name.to_owned());
            }
        });
        // An order or a sum over values that some rows hide would tell of them.
        let ordered = node.order.iter().map(|key| field_of(&key.operand));
        let summed = node
            .aggregate
            .iter()
            .flat_map(|aggregate| &aggregate.terms)
            .filter_map(|term| term.of.as_ref().map(field_of));
        for name in ordered.chain(summed) {
            if fields.by_row.iter().any(|(hidden, _)| *hidden == name || *hidden == top(name)) {
                refused.get_or_insert_with(|| name.to_owned());
            }
        }
        if let Some(field) = refused {
            return Err(Error::FieldDenied { entity: entity.to_owned(), field });
        }
        source.condition = Some(guarded(&node.filter, &fields.by_row, &top));
        Ok(())
    }

    fn rows_of(&mut self, source: &Source, node: &Node) -> Result<Vec<Item>> {
        let cap = ROOT_ROWS_MAX + 1;
        let wanted = node.limit.map_or(cap, |limit| limit as usize);
        let mut items = Vec::new();
        if let Some(search) = &source.in_memory {
            // Every row of the collection passes here, so that hidden words find nothing.
            let mut all = source.find(node, i64::MAX);
            all.offset = 0;
            all.as_of_tx = self.as_of;
            let mut skip = node.offset;
            for row in self.view.find(&all)? {
                let item = self.item(source, row)?;
                if search.matches_content(&item.content) {
                    if skip > 0 {
                        skip -= 1;
                    } else if items.len() < wanted {
                        items.push(item);
                    }
                }
            }
        } else {
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            let mut find = source.find(node, limit);
            find.as_of_tx = self.as_of;
            for row in self.view.find(&find)? {
                items.push(self.item(source, row)?);
            }
        }
        if node.limit.is_none() && items.len() > ROOT_ROWS_MAX {
            return Err(Error::TooComplex(format!(
                "more than {ROOT_ROWS_MAX} records match; ask for pages with $limit"
            )));
        }
        self.take(items.len())?;
        Ok(items)
    }

    fn take(&mut self, rows: usize) -> Result<()> {
        self.rows += rows;
        if self.rows > ROWS_MAX {
            return Err(Error::TooComplex(format!("the answer has more than {ROWS_MAX} records")));
        }
        Ok(())
    }

    fn item(&self, source: &Source, row: RecordRow) -> Result<Item> {
        let mut content = parsed(&row)?;
        self.access.mask(&source.fields, &row, &mut content)?;
        let types = self.view.types();
        let family = types.by_row(row.type_id).map(|info| info.base.clone()).unwrap_or_default();
        if family == USER_FAMILY {
            profile(&row, &source.fields, &mut content);
        }
        Ok(Item { row, family, content, expanded: Vec::new() })
    }

    fn aggregate(&mut self, source: &Source, node: &Node, aggregate: &Aggregate) -> Result<Value> {
        if source.in_memory.is_some() {
            let whole = Node { limit: None, offset: 0, order: Vec::new(), ..node.clone() };
            let items = self.rows_of(source, &whole)?;
            let rows = items.iter().map(|item| (&item.row, &item.content));
            return Ok(in_memory(aggregate, rows));
        }
        let plain = Node { offset: 0, order: Vec::new(), ..node.clone() };
        let find = source.find(&plain, i64::MAX);
        let mut values = Vec::with_capacity(aggregate.terms.len());
        for term in &aggregate.terms {
            let value = match &term.of {
                None => Value::from(self.view.count(&find, i64::MAX)?),
                Some(operand) => self.view.aggregate(&find, term.kind, operand)?,
            };
            values.push((term.key(), value));
        }
        Ok(aggregate_value(values))
    }

    fn expand(&mut self, items: &mut [Item], node: &Node) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        for (name, child) in &node.relations {
            let found = self.relation(items, name, child)?;
            for (item, value) in items.iter_mut().zip(found) {
                item.expanded.push((name.clone(), value));
            }
        }
        Ok(())
    }

    /// The value of one relation for each of the parents.
    fn relation(&mut self, items: &[Item], name: &str, node: &Node) -> Result<Vec<Value>> {
        let wishes: Vec<Wish> = items.iter().map(|item| Wish::of(item, name)).collect();
        let back = self.backward(items, &wishes, name)?;
        let rows = self.rows_wished(&wishes, &back)?;
        let pool = self.pool(rows, name, node)?;
        let exists = !self.view.types().family(family_of(name)).is_empty();
        let values = wishes.iter().enumerate().map(|(n, wish)| match wish {
            Wish::Links(ids) => pool.many(node, ids.iter().filter_map(|id| pool.named(id))),
            Wish::Many(ids) => pool.many(node, ids.iter().filter_map(|id| pool.called(id))),
            Wish::One(id) => pool.one(node, pool.called(id)),
            Wish::Nothing => match back.get(&n) {
                Some(rids) => pool.many(node, rids.iter().filter_map(|rid| pool.numbered(*rid))),
                None if exists => pool.many(node, std::iter::empty()),
                None => Value::Null,
            },
        });
        Ok(values.collect())
    }

    /// Every record that some parent points at, or that points at some parent.
    fn rows_wished(&self, wishes: &[Wish], back: &Backward) -> Result<Vec<RecordRow>> {
        let mut rids: Vec<i64> = back.values().flatten().copied().collect();
        let mut ids: Vec<&str> = Vec::new();
        for wish in wishes {
            match wish {
                Wish::Links(list) => rids
                    .extend(list.iter().filter_map(|id| RecordId::parse(id)).map(RecordId::as_i64)),
                Wish::One(id) => ids.push(id),
                Wish::Many(list) => ids.extend(list.iter().map(String::as_str)),
                Wish::Nothing => {}
            }
        }
        ids.sort_unstable();
        ids.dedup();
        rids.extend(ids.iter().filter_map(|id| RecordId::parse(id)).map(RecordId::as_i64));
        rids.sort_unstable();
        rids.dedup();
        let mut rows = if rids.is_empty() { Vec::new() } else { self.view.records_of(&rids)? };
        if !ids.is_empty() {
            rows.extend(self.view.records_called(&ids)?);
        }
        Ok(rows)
    }

    /// Groups rows by collection, keeps what the caller may read and the node asks for, and expands it.
    fn pool(&mut self, rows: Vec<RecordRow>, name: &str, node: &Node) -> Result<Pool> {
        let types = self.view.types();
        let mut families: HashMap<String, Vec<i64>> = HashMap::new();
        for row in rows {
            if let Some(info) = types.by_row(row.type_id) {
                families.entry(info.base.clone()).or_default().push(row.rid);
            }
        }
        let mut names: Vec<String> = families.keys().cloned().collect();
        // Where several collections hold an id: the one called like the relation, then its plural, then by name.
        let plural = format!("{name}s");
        let rank = |family: &str| match entity_of(family) {
            entity if entity == name => 0,
            entity if entity == plural => 1,
            _ => 2,
        };
        names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        let mut pool = Pool::default();
        for family in names {
            let Some(rids) = families.get_mut(&family) else { continue };
            rids.sort_unstable();
            rids.dedup();
            for item in self.visible(&family, rids, node)? {
                pool.add(item, node);
            }
        }
        Ok(pool)
    }

    /// The rows of one collection that the caller may read and the node asks for, in its order, expanded.
    fn visible(&mut self, family: &str, rids: &[i64], node: &Node) -> Result<Vec<Item>> {
        let source = match self.source(entity_of(family), node) {
            Ok(Some(source)) => source,
            // What may not be read is not there.
            Ok(None) | Err(Error::Denied) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut find = source.find(node, i64::try_from(ROWS_MAX).unwrap_or(i64::MAX) + 1);
        find.offset = 0;
        find.rids = Some(rids.to_vec());
        let mut items = Vec::new();
        for row in self.view.find(&find)? {
            let item = self.item(&source, row)?;
            let found = |search: &Search| search.matches_content(&item.content);
            if source.in_memory.as_ref().is_none_or(found) {
                items.push(item);
            }
        }
        self.take(items.len())?;
        self.expand(&mut items, node)?;
        Ok(items)
    }

    /// Rule 4: rows of the collection called like the relation that point at the parents, by link or by field.
    fn backward(&self, items: &[Item], wishes: &[Wish], name: &str) -> Result<Backward> {
        let mut found = Backward::new();
        let types = self.view.types().family(family_of(name)).to_vec();
        let asking: Vec<usize> =
            (0..items.len()).filter(|n| matches!(wishes[*n], Wish::Nothing)).collect();
        let (Some(first), false) = (asking.first(), types.is_empty()) else { return Ok(found) };
        let by_record: HashMap<String, usize> =
            asking.iter().map(|n| (shown_id(&items[*n].row), *n)).collect();
        let targets: Vec<&str> = by_record.keys().map(String::as_str).collect();
        for (target, rid) in self.view.pointing_at(&targets, &types)? {
            if let Some(n) = by_record.get(&target) {
                found.entry(*n).or_default().insert(rid);
            }
        }
        let by_id: HashMap<String, usize> =
            asking.iter().map(|n| (row_id(&items[*n].row), *n)).collect();
        // A field that is hidden, even on some rows, must not lead anywhere.
        let rules = self.access.field_rules(family_of(name), Operation::Read);
        let hidden = |field: &String| {
            rules.hidden.contains(field) || rules.by_row.iter().any(|(name, _)| name == field)
        };
        let fields: Vec<String> = reference_fields(entity_of(&items[*first].family))
            .into_iter()
            .filter(|field| !hidden(field))
            .collect();
        let list: Vec<Value> = by_id.keys().cloned().map(Value::String).collect();
        let refers =
            |field: &String| Filter::Is(Operand::Key(field.clone()), Test::In(list.clone()));
        let find = Find {
            types: Some(types),
            filter: Some(Filter::Or(fields.iter().map(refers).collect())),
            scope: Scope { all: true, ..Scope::default() },
            sort: SortKey::Id,
            direction: Direction::Ascending,
            limit: i64::try_from(ROWS_MAX).unwrap_or(i64::MAX) + 1,
            ..Find::default()
        };
        for row in self.view.find(&find)? {
            let content = parsed(&row)?;
            for field in &fields {
                let target = content.get(field).and_then(Value::as_str);
                if let Some(n) = target.and_then(|id| by_id.get(id)) {
                    found.entry(*n).or_default().insert(row.rid);
                }
            }
        }
        Ok(found)
    }
}

/// For each asking parent, by place, the rows that point at it.
type Backward = BTreeMap<usize, BTreeSet<i64>>;

/// What a parent points at by the name of a relation (live protocol 6.7, rules 1 to 3).
enum Wish {
    /// Outgoing links, as record ids.
    Links(Vec<String>),
    One(String),
    Many(Vec<String>),
    /// Nothing: others may point back.
    Nothing,
}

impl Wish {
    fn of(item: &Item, name: &str) -> Self {
        let links: Vec<String> = stored_associations(item.row.associations.as_deref())
            .into_iter()
            .filter(|a| a.kind == AssociationKind::Relationship && a.label == name)
            .map(|a| a.target)
            .collect();
        if !links.is_empty() {
            return Self::Links(links);
        }
        match item.content.get(name) {
            Some(Value::String(id)) => return Self::One(id.clone()),
            Some(Value::Array(ids)) if ids.iter().all(Value::is_string) => {
                let text = |id: &Value| id.as_str().map(str::to_owned);
                return Self::Many(ids.iter().filter_map(text).collect());
            }
            _ => {}
        }
        for field in [format!("{name}Id"), format!("{name}_id")] {
            if let Some(Value::String(id)) = item.content.get(&field) {
                return Self::One(id.clone());
            }
        }
        Self::Nothing
    }
}

/// Fields by which rows refer to one of a collection: its singular, and owners for accounts.
fn reference_fields(entity: &str) -> Vec<String> {
    let singular = match entity.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => entity.strip_suffix('s').unwrap_or(entity).to_owned(),
    };
    let mut fields = vec![format!("{singular}Id"), format!("{singular}_id")];
    if entity == USERS {
        fields.extend(["ownerId".to_owned(), "owner_id".to_owned()]);
    }
    fields
}

/// Rows that a relation leads to, in the order the node asks for.
#[derive(Default)]
struct Pool {
    rows: Vec<Pooled>,
    by_rid: HashMap<i64, usize>,
    by_record: HashMap<String, usize>,
    /// The first collection that holds the id, in order of preference.
    by_id: HashMap<String, usize>,
}

struct Pooled {
    content: Map<String, Value>,
    row: RecordRow,
    shown: Value,
}

impl Pool {
    fn add(&mut self, item: Item, node: &Node) {
        let n = self.rows.len();
        self.by_rid.insert(item.row.rid, n);
        self.by_record.insert(shown_id(&item.row), n);
        self.by_id.entry(row_id(&item.row)).or_insert(n);
        let (content, row) = (item.content.clone(), item.row.clone());
        self.rows.push(Pooled { content, row, shown: Value::Object(item.show(node).fields) });
    }

    fn numbered(&self, rid: i64) -> Option<usize> {
        self.by_rid.get(&rid).copied()
    }

    fn named(&self, record: &str) -> Option<usize> {
        self.by_record.get(record).copied()
    }

    fn called(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    fn one(&self, node: &Node, found: Option<usize>) -> Value {
        if node.aggregate.is_some() {
            return self.many(node, found.into_iter());
        }
        found.map_or(Value::Null, |n| self.rows[n].shown.clone())
    }

    fn many(&self, node: &Node, found: impl Iterator<Item = usize>) -> Value {
        let mut seen = HashSet::new();
        let mut places: Vec<usize> = found.filter(|n| seen.insert(*n)).collect();
        if let Some(aggregate) = &node.aggregate {
            let rows: Vec<&Pooled> = places.iter().map(|n| &self.rows[*n]).collect();
            return in_memory(aggregate, rows.iter().map(|row| (&row.row, &row.content)));
        }
        if !node.order.is_empty() {
            places.sort_unstable();
        }
        let offset = usize::try_from(node.offset).unwrap_or(usize::MAX);
        let limit = node.limit.map_or(usize::MAX, |limit| limit as usize);
        let window = places.into_iter().skip(offset).take(limit);
        Value::Array(window.map(|n| self.rows[n].shown.clone()).collect())
    }
}

impl Item {
    fn show(mut self, node: &Node) -> Shown {
        let id = row_id(&self.row);
        let mut fields = Map::with_capacity(self.content.len() + 1);
        fields.insert("id".to_owned(), Value::String(id.clone()));
        match &node.select {
            Some(names) => {
                for name in names {
                    if let Some(value) = self.content.shift_remove(name) {
                        fields.insert(name.clone(), value);
                    }
                }
            }
            None => fields.extend(self.content),
        }
        for (name, value) in self.expanded {
            fields.insert(name, value);
        }
        let RecordRow { rid, created_at, updated_at, .. } = self.row;
        Shown { rid, id, created_at, updated_at, fields }
    }
}

/// The profile that others see of an account: every field of it, but those that `rules` hide. Plain records that an
/// administrator put beside the accounts are shown as they are.
pub(crate) fn profile(row: &RecordRow, rules: &FieldDecision, content: &mut Map<String, Value>) {
    if !is_account(row) {
        return;
    }
    content.shift_remove("claims");
    let empty = [
        ("displayName", Value::Null),
        ("avatarUrl", Value::Null),
        ("metadata", Value::Object(Map::new())),
        ("createdAt", Value::String(time::format_ms(row.created_at))),
    ];
    for (field, value) in empty {
        let hides = |name: &String| *name == field;
        if !rules.hidden.iter().any(hides) && !rules.by_row.iter().any(|(name, _)| hides(name)) {
            content.entry(field).or_insert(value);
        }
    }
}

/// Replaces tests of fields that some rows hide: where hidden, the field counts as missing.
fn guarded(filter: &Filter, by_row: &[(String, Filter)], top: &impl Fn(&str) -> String) -> Filter {
    let all = |parts: &[Filter]| parts.iter().map(|part| guarded(part, by_row, top)).collect();
    match filter {
        Filter::True | Filter::False => filter.clone(),
        Filter::And(parts) => Filter::And(all(parts)),
        Filter::Or(parts) => Filter::Or(all(parts)),
        Filter::Not(inner) => Filter::Not(Box::new(guarded(inner, by_row, top))),
        Filter::Is(operand, test) => {
            let name = field_of(operand);
            let rule = by_row.iter().find(|(field, _)| field == name || *field == top(name));
            let Some((_, rule)) = rule else { return filter.clone() };
            if test.holds(&Value::Null) {
                Filter::Or(vec![Filter::Not(Box::new(rule.clone())), filter.clone()])
            } else {
                Filter::And(vec![rule.clone(), filter.clone()])
            }
        }
    }
}

fn aggregate_value(mut values: Vec<(&'static str, Value)>) -> Value {
    if values.len() == 1 {
        return values.remove(0).1;
    }
    Value::Object(values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn in_memory<'r>(
    aggregate: &Aggregate,
    rows: impl Iterator<Item = (&'r RecordRow, &'r Map<String, Value>)> + Clone,
) -> Value {
    let compute = |term: &AggregateTerm| {
        let mut total = filter::Aggregate::new(term.kind);
        for (row, content) in rows.clone() {
            let id = row_id(row);
            let record = RecordView {
                content,
                rid: row.rid,
                id: &id,
                created_at: row.created_at,
                updated_at: row.updated_at,
                subject: None,
            };
            match &term.of {
                Some(operand) => total.add(&operand.value(&record)),
                None => total.add(&Value::Null),
            }
        }
        total.finish()
    };
    aggregate_value(aggregate.terms.iter().map(|term| (term.key(), compute(term))).collect())
}
