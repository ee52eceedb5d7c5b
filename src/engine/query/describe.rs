//! What collections hold: names, counts and types of fields, and which of them point at other records.
//!
//! Looked up by reading every record once, page by page, under the deadline of queries.
//!
//! Invariants
//! D1. At most one page of records, [`FIELDS_MAX`] fields and [`TARGETS_MAX`] targets of a field are in memory at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::engine::commands::commit::parsed;
use crate::engine::error::Result;
use crate::engine::links::stored_associations;
use crate::engine::rows::{USER_FAMILY, entity_of, is_live, row_id};
use crate::engine::{Caller, Engine};
use crate::schema::names::is_id;
use crate::store::{AssociationKind, RecordRow, View};
use crate::util::id::RecordId;

/// Fields of one collection that are told; an open one may have any number.
pub const FIELDS_MAX: usize = 1_000;
/// Collections that one field is found to point at.
const TARGETS_MAX: usize = 32;
/// References of one field after which its target is known well enough.
const HITS_MAX: u64 = 1_000;
const PAGE_ROWS: i64 = 500;

/// What a collection holds now.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityInfo {
    pub name: String,
    pub count: u64,
    /// By name.
    pub fields: Vec<FieldInfo>,
}

/// A field that some record has, or the label of links.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldInfo {
    pub name: String,
    /// Records that have it.
    pub count: u64,
    pub kind: FieldKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// `string`, `number`, …; `mixed` when values differ in type.
    Plain(&'static str),
    /// Points at records of this collection.
    Relation(String),
}

/// Figures that an operator wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub accounts: i64,
    pub files: i64,
    pub file_bytes: i64,
}

impl Engine {
    /// Every collection that holds something or is declared, by name. For administrators.
    pub async fn describe_entities(&self, caller: &Caller) -> Result<Vec<EntityInfo>> {
        self.check_admin(caller)?;
        self.store().query(describe).await
    }

    /// Accounts and stored files. For administrators.
    pub async fn totals(&self, caller: &Caller) -> Result<Totals> {
        self.check_admin(caller)?;
        self.store()
            .query(|view| {
                let (files, file_bytes) = view.file_totals()?;
                Ok(Totals { accounts: view.account_count()?, files, file_bytes })
            })
            .await
    }
}

fn describe(view: &View<'_>) -> Result<Vec<EntityInfo>> {
    let types = view.types();
    let mut families: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut declared = HashSet::new();
    for info in types.all() {
        if info.base.starts_with('_') && info.base != USER_FAMILY {
            continue;
        }
        let entity = entity_of(&info.base).to_owned();
        if !is_live(&info) && info.base != USER_FAMILY {
            declared.insert(entity.clone());
        }
        families.entry(entity).or_default().push(info.row_id);
    }
    let mut entities = Vec::with_capacity(families.len());
    for (name, rows) in families {
        let info = Collection::default().read(view, &name, &rows)?;
        if info.count > 0 || declared.contains(&name) {
            entities.push(info);
        }
    }
    Ok(entities)
}

/// What was seen of one field so far.
#[derive(Default)]
struct Seen {
    count: u64,
    kind: Option<&'static str>,
    targets: HashMap<Arc<str>, u64>,
    hits: u64,
}

impl Seen {
    fn add(&mut self, kind: &'static str) {
        self.count += 1;
        self.kind = match self.kind {
            None | Some("null") => Some(kind),
            Some(known) if known == kind || kind == "null" => Some(known),
            Some(_) => Some("mixed"),
        };
    }

    fn hit(&mut self, target: &Arc<str>, times: u64) {
        if self.targets.len() < TARGETS_MAX || self.targets.contains_key(target) {
            *self.targets.entry(Arc::clone(target)).or_default() += times;
        }
        self.hits += times;
    }

    fn target(&self) -> Option<String> {
        let most = self.targets.iter().max_by(|a, b| (a.1, b.0).cmp(&(b.1, a.0)));
        most.map(|(target, _)| target.to_string())
    }
}

#[derive(Default)]
struct Collection {
    count: u64,
    fields: BTreeMap<String, Seen>,
    links: BTreeMap<String, Seen>,
}

impl Collection {
    fn read(mut self, view: &View<'_>, name: &str, types: &[i64]) -> Result<EntityInfo> {
        for type_id in types {
            let mut after = (i64::MIN, i64::MIN);
            loop {
                let page = view.page_of_type(*type_id, after, PAGE_ROWS)?;
                let Some(last) = page.last() else { break };
                after = (last.created_at, last.rid);
                self.add_page(view, name, &page)?;
            }
        }
        let mut fields: Vec<FieldInfo> = self
            .fields
            .into_iter()
            .map(|(field, seen)| {
                let target = seen.target().filter(|_| seen.kind == Some("string"));
                let kind = match target {
                    Some(target) => FieldKind::Relation(target),
                    None => FieldKind::Plain(seen.kind.unwrap_or("null")),
                };
                FieldInfo { name: field, count: seen.count, kind }
            })
            .collect();
        let links = self.links.into_iter().filter_map(|(label, seen)| {
            let kind = FieldKind::Relation(seen.target()?);
            Some(FieldInfo { name: label, count: seen.count, kind })
        });
        fields.extend(links);
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(EntityInfo { name: name.to_owned(), count: self.count, fields })
    }

    fn add_page(&mut self, view: &View<'_>, name: &str, page: &[RecordRow]) -> Result<()> {
        // Texts that may be ids, with the fields they stand in.
        let mut ids: HashMap<String, HashMap<String, u64>> = HashMap::new();
        let mut edges: Vec<(String, String)> = Vec::new();
        for row in page.iter().filter(|row| row.deleted_at.is_none()) {
            self.count += 1;
            for (field, value) in parsed(row)? {
                if name == entity_of(USER_FAMILY) && field == "claims" {
                    continue;
                }
                let full = self.fields.len() >= FIELDS_MAX;
                if full && !self.fields.contains_key(&field) {
                    continue;
                }
                let seen = self.fields.entry(field.clone()).or_default();
                seen.add(kind_of(&value));
                if let Value::String(text) = value
                    && seen.kind == Some("string")
                    && seen.hits < HITS_MAX
                    && is_id(&text)
                {
                    *ids.entry(text).or_default().entry(field).or_default() += 1;
                }
            }
            let mut labels = HashSet::new();
            for edge in stored_associations(row.associations.as_deref()) {
                if edge.kind == AssociationKind::Relationship {
                    if labels.insert(edge.label.clone()) {
                        self.links.entry(edge.label.clone()).or_default().count += 1;
                    }
                    edges.push((edge.label, edge.target));
                }
            }
        }
        for (id, entity) in holders(view, ids.keys().map(String::as_str))? {
            for (field, times) in ids.get(&id).into_iter().flatten() {
                if *entity != *name
                    && let Some(seen) = self.fields.get_mut(field)
                {
                    seen.hit(&entity, *times);
                }
            }
        }
        let targets: HashMap<String, Arc<str>> =
            records(view, edges.iter().map(|(_, target)| target.as_str()))?
                .into_iter()
                .filter_map(|row| {
                    let id = RecordId::from_i64(row.rid)?.to_string();
                    Some((id, collection_of(view, &row)?))
                })
                .collect();
        for (label, target) in edges {
            if let (Some(seen), Some(entity)) = (self.links.get_mut(&label), targets.get(&target)) {
                seen.hit(entity, 1);
            }
        }
        Ok(())
    }
}

/// Which collections hold records with these ids.
fn holders<'i>(
    view: &View<'_>,
    ids: impl Iterator<Item = &'i str>,
) -> Result<Vec<(String, Arc<str>)>> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    let mut rows = records(view, ids.iter().copied())?;
    // A record with a chosen id answers to that one alone.
    rows.retain(|row| row.alias.is_none());
    rows.extend(view.records_called(&ids)?);
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row_id(&row), collection_of(view, &row)?)))
        .collect())
}

/// The live records behind record ids.
fn records<'i>(view: &View<'_>, ids: impl Iterator<Item = &'i str>) -> Result<Vec<RecordRow>> {
    let mut rids: Vec<i64> = ids.filter_map(RecordId::parse).map(RecordId::as_i64).collect();
    rids.sort_unstable();
    rids.dedup();
    if rids.is_empty() { Ok(Vec::new()) } else { Ok(view.records_of(&rids)?) }
}

/// The name applications know a record's collection by; the product's own have none.
fn collection_of(view: &View<'_>, row: &RecordRow) -> Option<Arc<str>> {
    let types = view.types();
    let entity = entity_of(&types.by_row(row.type_id)?.base);
    (!entity.starts_with('_')).then(|| Arc::from(entity))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
