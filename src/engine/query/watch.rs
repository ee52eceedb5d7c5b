//! Queries that are watched: what a commit means for one, without asking the file again where that can be told.
//!
//! A root without order, window, relations, aggregate and search is *plain*: a changed record is in its result or not by
//! itself alone. For others a watch says whether a change can concern the result at all; the query is then run again.
//!
//! Invariants
//! W1. [`Watch::show`] of a record is what running the query would show of it.
//! W2. A change that [`Watch::concerns`] denies does not change the result.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::run::{RootValue, Run, Shown, Source, TreeAnswer, profile, run, run_as_of};
use super::tree::Root;
use crate::engine::commands::commit::parsed;
use crate::engine::commands::rules::rules_tx;
use crate::engine::error::Result;
use crate::engine::rows::{ACCOUNT_PREFIX, USER_FAMILY, family_of, row_id};
use crate::engine::{Caller, Engine};
use crate::schema::filter::{Filter, Operand, RecordView, Test};
use crate::schema::rules::FieldDecision;
use crate::schema::words::Search;
use crate::store::{Committed, Event, Op, RecordRow, Types, View};
use crate::util::id::RecordId;
use crate::util::json;

/// A change of one record, with its contents parsed once for everybody who looks at it.
#[derive(Clone, Debug)]
pub struct Followed {
    pub tx: i64,
    pub rid: i64,
    /// The collection's name inside.
    pub family: String,
    before: Option<Image>,
    after: Option<Image>,
}

#[derive(Clone, Debug)]
struct Image {
    row: Arc<RecordRow>,
    content: Arc<Map<String, Value>>,
}

impl Image {
    /// What filters see of it; `id` is the one applications know.
    fn view<'r>(&'r self, id: &'r str) -> RecordView<'r> {
        RecordView {
            content: &self.content,
            rid: self.row.rid,
            id,
            created_at: self.row.created_at,
            updated_at: self.row.updated_at,
            subject: None,
        }
    }

    /// A deleted record is not there.
    fn of(row: Option<&Arc<RecordRow>>) -> Option<Self> {
        let row = row.filter(|row| row.deleted_at.is_none())?;
        let content = Arc::new(parsed(row).ok()?);
        Some(Self { row: Arc::clone(row), content })
    }
}

impl Followed {
    /// The value a top-level field had before, and has now.
    pub fn values(&self, field: &str) -> [Option<&Value>; 2] {
        [&self.before, &self.after].map(|image| image.as_ref().and_then(|i| i.content.get(field)))
    }

    /// Joins a later change of the same record in the same unit.
    fn and_then(&mut self, later: Self) {
        self.after = later.after;
    }
}

/// One root of a watched query, for one kind of caller.
#[derive(Clone, Debug)]
pub struct Watch {
    pub entity: String,
    family: String,
    /// Nothing but the record itself decides.
    pub is_plain: bool,
    /// Any change anywhere may concern it.
    follows_all: bool,
    /// The collection did not exist: who made it decides how it is governed.
    is_provisional: bool,
    /// Order or window matter to the client.
    pub is_window: bool,
    condition: Filter,
    search: Option<Search>,
    fields: FieldDecision,
    select: Option<Vec<String>>,
    /// A field that must equal a value for a record to concern this root.
    pub equality: Option<(String, String)>,
}

/// A watched query: equal keys see equal results.
#[derive(Clone, Debug)]
pub struct Watched {
    pub key: String,
    pub roots: Vec<Watch>,
}

/// The form in which scalar values are compared by an index.
pub fn value_key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(format!("s{text}")),
        Value::Bool(bit) => Some(format!("b{bit}")),
        Value::Number(number) => {
            let mut key = Vec::new();
            json::push_num_sort_key(&mut key, number);
            Some(format!("n{}", crate::crypto::hex(&key)))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Watch {
    /// The field a record's value is looked up by, see [`Watch::equality`].
    fn equality_of(filter: &Filter) -> Option<(String, String)> {
        match filter {
            Filter::Is(Operand::Field(path), Test::Equal(value)) if !path.0.contains('.') => {
                Some((path.0.clone(), value_key(value)?))
            }
            Filter::Is(Operand::Key(name), Test::Equal(value)) => {
                Some((name.clone(), value_key(value)?))
            }
            Filter::And(parts) => parts.iter().find_map(Self::equality_of),
            _ => None,
        }
    }

    /// The collection's name inside.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Any change, of whatever collection, may concern this root.
    pub fn follows_all(&self) -> bool {
        self.follows_all
    }

    /// Whether this root has to be looked at anew: the change is the first of a collection that did not exist.
    pub fn is_outdated_by(&self, change: &Followed) -> bool {
        self.is_provisional && self.is_of(change)
    }

    /// Whether the change is one of this root's collection.
    pub fn is_of(&self, change: &Followed) -> bool {
        change.family == self.family
    }

    fn matches(&self, image: &Image) -> bool {
        let id = row_id(&image.row);
        let holds = self.condition.matches(&image.view(&id));
        holds && self.search.as_ref().is_none_or(|search| search.matches_content(&image.content))
    }

    /// Whether the change may alter this root's result.
    pub fn concerns(&self, change: &Followed) -> bool {
        self.follows_all
            || (change.family == self.family
                && [&change.before, &change.after]
                    .into_iter()
                    .flatten()
                    .any(|image| self.matches(image)))
    }

    /// What a plain root shows of the record after the change; `None` when it is not in the result.
    pub fn show(&self, change: &Followed) -> Option<Shown> {
        if change.family != self.family {
            return None;
        }
        let image = change.after.as_ref().filter(|image| self.matches(image))?;
        let id = row_id(&image.row);
        let record = image.view(&id);
        let hidden = |name: &str| {
            self.fields.hidden.iter().any(|hidden| hidden == name)
                || self
                    .fields
                    .by_row
                    .iter()
                    .any(|(field, filter)| field == name && !filter.matches(&record))
        };
        let mut fields = Map::with_capacity(image.content.len() + 1);
        fields.insert("id".to_owned(), Value::String(id.clone()));
        let mut content = (*image.content).clone();
        if self.family == USER_FAMILY {
            profile(&image.row, &self.fields, &mut content);
        }
        match &self.select {
            Some(names) => {
                for name in names.iter().filter(|name| !hidden(name)) {
                    if let Some(value) = content.shift_remove(name) {
                        fields.insert(name.clone(), value);
                    }
                }
            }
            None => fields.extend(content.into_iter().filter(|(name, _)| !hidden(name))),
        }
        let RecordRow { rid, created_at, updated_at, .. } = *image.row;
        Some(Shown { rid, id, created_at, updated_at, fields })
    }
}

impl Engine {
    /// Prepares roots to be watched by a caller.
    ///
    /// # Errors
    /// As running them.
    pub fn watch(&self, caller: &Caller, roots: &[Root]) -> Result<Watched> {
        let inner = &self.inner;
        inner.store.read(|view: &View<'_>| {
            let mut watches = Vec::with_capacity(roots.len());
            // What two callers must have in common to share a result.
            let mut seen_by = String::new();
            let mut run = Run::new(inner, view, caller);
            for root in roots {
                let node = &root.node;
                let source = run.source_to_be(&root.entity, node)?;
                let follows_all = !node.relations.is_empty();
                let scoped = source.scope.as_ref().is_some_and(|scope| !scope.all);
                let is_provisional = source.types.is_empty();
                let personal = follows_all && !inner.is_admin(caller);
                if scoped || personal {
                    seen_by.push_str(&format!("{:?}", (caller.principal(), caller.subject())));
                }
                let Source { filter, fields, .. } = &source;
                seen_by.push_str(&format!("{filter:?}{fields:?}{is_provisional}"));
                let condition = Filter::And(
                    source
                        .filter
                        .iter()
                        .chain([source.condition.as_ref().unwrap_or(&node.filter)])
                        .cloned()
                        .collect(),
                );
                let search = source.in_memory.or(source.search);
                watches.push(Watch {
                    entity: root.entity.clone(),
                    family: family_of(&root.entity).to_owned(),
                    is_plain: !node.is_window()
                        && !follows_all
                        && node.aggregate.is_none()
                        && !scoped
                        // A search over masked fields looks at what is left of them.
                        && search.is_none(),
                    // Permissions of a record, of a group, a grant: anything may open or close it.
                    follows_all: follows_all || scoped,
                    is_provisional,
                    is_window: node.is_window(),
                    equality: Watch::equality_of(&condition),
                    condition,
                    search,
                    fields: source.fields,
                    select: node.select.clone(),
                });
            }
            Ok(Watched { key: format!("{roots:?}|{seen_by}"), roots: watches })
        })
    }

    /// Runs roots on the calling thread: for threads that may wait.
    pub fn run_tree_here(&self, caller: &Caller, roots: &[Root]) -> Result<TreeAnswer> {
        self.read_settled(|view| run(&self.inner, view, caller, roots))
    }

    /// Reads with the types and rules that the snapshot itself holds: what a live query tells for a unit must be what that unit
    /// shows, though both are put into force a moment after their commit.
    fn read_settled<T>(&self, read: impl Fn(&View<'_>) -> Result<T>) -> Result<T> {
        /// The writer may be put aside between the two by a busy machine. After a second what is in force will do.
        const LOOKS_MAX: usize = 1_000;
        const PAUSE: Duration = Duration::from_millis(1);
        let inner = &self.inner;
        for _ in 0..LOOKS_MAX {
            let answer = inner.store.read_slowly(|view| -> Result<_> {
                let stamp = || -> Result<_> {
                    let (types, rules) = (view.types_tx()?, inner.rules_tx());
                    let is_held = rules_tx(view)?.is_none_or(|held| held == rules);
                    Ok(types.filter(|_| is_held).map(|types| (types, rules)))
                };
                let before = stamp()?;
                if before.is_none() {
                    return Ok(None);
                }
                let answer = read(view);
                Ok((stamp()? == before).then_some(answer))
            })?;
            match answer {
                Some(answer) => return answer,
                None => std::thread::park_timeout(PAUSE),
            }
        }
        inner.store.read_slowly(read)
    }

    /// What roots showed after an earlier unit, beside what they show now; `None` where the past cannot be told.
    pub fn run_tree_since(
        &self,
        caller: &Caller,
        roots: &[Root],
        since: i64,
    ) -> Result<(Option<Vec<RootValue>>, TreeAnswer)> {
        let inner = &self.inner;
        self.read_settled(|view| {
            let now = run(inner, view, caller, roots)?;
            let simple = roots
                .iter()
                .all(|root| root.node.relations.is_empty() && root.node.aggregate.is_none());
            let mut ruled = Run::new(inner, view, caller);
            let mut tellable = simple
                && (0..=now.tx).contains(&since)
                && inner.rules_tx() <= since
                && account_tx(view, caller)? <= since
                && !view.purged_since(since)?;
            for root in roots {
                let source = ruled.source(&root.entity, &root.node)?;
                tellable &= source.is_none_or(|source| source.scope.is_none_or(|s| s.all));
            }
            if !tellable {
                return Ok((None, now));
            }
            let then = run_as_of(inner, view, caller, roots, Some(since))?;
            Ok((Some(then.roots.into_iter().map(|(_, value)| value).collect()), now))
        })
    }

    /// Calls `listener` on the writer thread after each commit, before its units are answered, with what changed, one entry
    /// per record and unit. It must not block.
    pub fn follow(&self, listener: impl Fn(i64, Vec<Followed>) + Send + Sync + 'static) {
        let shared = Arc::downgrade(&self.inner);
        self.inner.store.on_commit(move |committed: &Committed| {
            let Some(inner) = shared.upgrade() else { return };
            let types = inner.store.types();
            let mut followed: Vec<Followed> = Vec::with_capacity(committed.events.len());
            let mut places = HashMap::new();
            for change in committed.events.iter().flat_map(|event| changes_of(&types, event)) {
                match places.entry((change.tx, change.rid, change.family.clone())) {
                    Entry::Occupied(place) => {
                        let place: &usize = place.get();
                        followed[*place].and_then(change);
                    }
                    Entry::Vacant(place) => {
                        place.insert(followed.len());
                        followed.push(change);
                    }
                }
            }
            listener(committed.last_tx, followed);
        });
    }
}

/// The unit that last changed the caller's account: what it saw before, under another role perhaps, cannot be told.
fn account_tx(view: &View<'_>, caller: &Caller) -> Result<i64> {
    let Some(account) = caller.account() else { return Ok(0) };
    let rid = account.user_id.strip_prefix(ACCOUNT_PREFIX).and_then(RecordId::parse);
    let row = rid.map(|rid| view.record(rid.as_i64())).transpose()?.flatten();
    Ok(row.map_or(0, |row| row.tx))
}

/// A change as its collection sees it; one that moved a record to another collection is two.
fn changes_of(types: &Types, event: &Event) -> Vec<Followed> {
    let family = |row: Option<&Arc<RecordRow>>| {
        row.and_then(|row| types.by_row(row.type_id)).map(|info| info.base.clone())
    };
    let after = event.after.as_ref().filter(|_| event.op != Op::Purge);
    let (was, is) = (family(event.before.as_ref()), family(after));
    let make = |family: String, before, after| {
        let row: &Arc<RecordRow> = event.after.as_ref().or(event.before.as_ref())?;
        let (before, after) = (Image::of(before), Image::of(after));
        Some(Followed { tx: event.tx, rid: row.rid, family, before, after })
    };
    let before = event.before.as_ref();
    match (was, is) {
        (Some(was), Some(is)) if was != is => {
            make(was, before, None).into_iter().chain(make(is, None, after)).collect()
        }
        (was, is) => is.or(was).and_then(|f| make(f, before, after)).into_iter().collect(),
    }
}
