//! What every change of a record does, in one place: the row, its journal entry, and everything derived from it.
//!
//! Invariants
//! M1. The index of associations, the words and the grants always are what the current row says.
//! M2. A change appends exactly one journal entry, with the state it replaced.

use serde_json::{Map, Value};

use super::special::{GROUP, RULES, USER};
use super::{accounts, rules};
use crate::engine::access::{Actions, NEVER_GRANTED};
use crate::engine::error::{Error, Result};
use crate::engine::links::{Association, stored_associations};
use crate::engine::record::type_of;
use crate::engine::{Caller, Inner, tables};
use crate::schema::{Kind, family, words};
use crate::store::{
    Actor, AssociationKind, AssociationRow, GrantRow, Op, RecordRow, TypeInfo, Unit,
};

/// The family whose records are grants.
pub(crate) const GRANT: &str = "_grant";

/// Whether a change of such a record changes what somebody was given.
fn gives_rights(info: &TypeInfo) -> bool {
    info.base == GRANT || info.base == GROUP
}

pub(crate) fn actor(unit: &mut Unit<'_>, caller: &Caller) -> Result<Actor> {
    let subject = caller.subject().map(|subject| unit.intern(subject)).transpose()?;
    let via = match caller.principal() {
        Some(principal) if caller.is_delegated() => Some(unit.intern(principal)?),
        _ => None,
    };
    Ok(Actor { subject, via })
}

/// A row at its beginning: version 1, made now by `actor`, with content and nothing else.
pub(crate) fn new_row(
    unit: &Unit<'_>,
    (rid, type_id): (i64, i64),
    actor: Actor,
    content: String,
) -> RecordRow {
    RecordRow {
        rid,
        type_id,
        version: 1,
        tx: unit.tx(),
        created_at: unit.at(),
        updated_at: unit.at(),
        deleted_at: None,
        subject: actor.subject,
        principal: actor.via,
        app: None,
        parent: None,
        alias: None,
        permissions: None,
        associations: None,
        content,
    }
}

/// A new record, ready to be stored: `content` is the row's content parsed, `text` its words.
pub(crate) struct Fresh<'a> {
    pub(crate) info: &'a TypeInfo,
    pub(crate) row: &'a RecordRow,
    pub(crate) associations: &'a [Association],
    pub(crate) content: &'a Map<String, Value>,
    pub(crate) text: &'a str,
}

/// Stores a new record.
pub(crate) fn insert(
    inner: &Inner,
    unit: &mut Unit<'_>,
    fresh: &Fresh<'_>,
    actor: Actor,
) -> Result<()> {
    let Fresh { info, row, associations, content, text } = *fresh;
    tables::check_stored(inner, info, content, None)?;
    unit.insert_record(row)?;
    for edge in edges(info, associations, content) {
        unit.add_edge(row.rid, &edge)?;
    }
    if info.search {
        unit.set_search_text(row.rid, text, false)?;
    }
    if info.base == GRANT {
        unit.set_grant(row.rid, grant_of(row, content).as_ref())?;
    }
    if gives_rights(info) {
        inner.rights_changed();
    }
    if info.base == RULES {
        rules::stored(inner, unit, row)?;
    }
    unit.append_change(row.rid, row.version, Op::Create, actor, None)?;
    unit.announce(Op::Create, None, Some(row));
    Ok(())
}

/// Stores a changed record: `after` has the new state but for `version`, `tx` and `updated_at`, which are set here.
pub(crate) fn replace(
    inner: &Inner,
    unit: &mut Unit<'_>,
    before: &RecordRow,
    mut after: RecordRow,
    op: Op,
    actor: Actor,
) -> Result<RecordRow> {
    after.version = before.version + 1;
    after.tx = unit.tx();
    after.updated_at = unit.at();
    if after.content != before.content {
        let info = type_of(unit, after.type_id)?;
        tables::check_stored(inner, &info, &parsed(&after)?, Some(&parsed(before)?))?;
    }
    unit.update_record(&after)?;
    derive(inner, unit, before, &after)?;
    unit.append_change(after.rid, after.version, op, actor, Some(before))?;
    unit.announce(op, Some(before), Some(&after));
    Ok(after)
}

/// Removes a record and everything derived from it; its journal entries stay without content.
pub(crate) fn purge(
    inner: &Inner,
    unit: &mut Unit<'_>,
    before: &RecordRow,
    actor: Actor,
) -> Result<()> {
    // What is gone for good is also gone from the pages it was on.
    unit.overwriting(|unit| {
        remove(inner, unit, before)?;
        Ok::<_, Error>(unit.blank_history(before.rid)?)
    })?;
    unit.append_change(before.rid, before.version + 1, Op::Purge, actor, None)?;
    unit.announce(Op::Purge, Some(before), None);
    Ok(())
}

/// Removes a record and everything derived from it, and leaves the journal alone.
pub(crate) fn remove(inner: &Inner, unit: &mut Unit<'_>, before: &RecordRow) -> Result<()> {
    let info = type_of(unit, before.type_id)?;
    unit.remove_record(before.rid)?;
    unit.remove_edges_of(before.rid)?;
    if info.search {
        unit.set_search_text(before.rid, "", true)?;
    }
    if info.base == GRANT {
        unit.set_grant(before.rid, None)?;
    }
    if gives_rights(&info) {
        inner.rights_changed();
    }
    if info.base == USER {
        accounts::changed(inner, unit, before.rid);
    }
    if info.base == RULES {
        rules::gone(inner, unit, before);
    }
    if let Some(alias) = &before.alias {
        unit.remove_alias(info.collection, alias)?;
        unit.remove_alias(crate::store::FIXED_IDS, alias)?;
    }
    Ok(())
}

/// Brings everything that is derived from a record from one state to another.
pub(crate) fn derive(
    inner: &Inner,
    unit: &mut Unit<'_>,
    before: &RecordRow,
    after: &RecordRow,
) -> Result<()> {
    let same_content = before.content == after.content && before.type_id == after.type_id;
    let (old, new) = (type_of(unit, before.type_id)?, type_of(unit, after.type_id)?);
    let has_files = |info: &TypeInfo| info.schema.fields().any(|(_, f)| f.kind == Kind::FileRef);
    let contents = if same_content { None } else { Some((parsed(before)?, parsed(after)?)) };
    if before.associations != after.associations
        || (!same_content && (has_files(&old) || has_files(&new)))
    {
        let empty = Map::new();
        let (was, is) = contents.as_ref().map_or((&empty, &empty), |(was, is)| (was, is));
        // File fields of unchanged content are in neither list, so they stay.
        let had = edges(&old, &stored_associations(before.associations.as_deref()), was);
        let has = edges(&new, &stored_associations(after.associations.as_deref()), is);
        let kept: std::collections::HashSet<&AssociationRow> = has.iter().collect();
        for gone in had.iter().filter(|edge| !kept.contains(edge)) {
            unit.remove_edge(after.rid, gone)?;
        }
        let known: std::collections::HashSet<&AssociationRow> = had.iter().collect();
        for fresh in has.iter().filter(|edge| !known.contains(edge)) {
            unit.add_edge(after.rid, fresh)?;
        }
    }
    if let Some((was, is)) = &contents {
        let text = |info: &TypeInfo, content: &Map<String, Value>| {
            if info.search { words::text_of(content) } else { String::new() }
        };
        let (was, is) = (text(&old, was), text(&new, is));
        if was != is {
            unit.set_search_text(after.rid, &is, !was.is_empty())?;
        }
    }
    if old.base == GRANT || new.base == GRANT {
        let content = parsed(after)?;
        let grant = if new.base == GRANT { grant_of(after, &content) } else { None };
        unit.set_grant(after.rid, grant.as_ref())?;
    }
    if gives_rights(&old) || gives_rights(&new) {
        inner.rights_changed();
    }
    if old.base == USER || new.base == USER {
        accounts::changed(inner, unit, after.rid);
    }
    if new.base == RULES {
        rules::stored(inner, unit, after)?;
    } else if old.base == RULES {
        rules::gone(inner, unit, before);
    }
    Ok(())
}

/// Makes everything that is derived from a record again. A record whose content cannot be read has nothing derived.
pub(crate) fn derive_fresh(unit: &mut Unit<'_>, row: &RecordRow) -> Result<()> {
    let info = type_of(unit, row.type_id)?;
    let Ok(content) = parsed(row) else { return Ok(()) };
    unit.remove_edges_of(row.rid)?;
    for edge in edges(&info, &stored_associations(row.associations.as_deref()), &content) {
        unit.add_edge(row.rid, &edge)?;
    }
    if info.search {
        unit.set_search_text(row.rid, &words::text_of(&content), true)?;
    }
    if info.base == GRANT {
        unit.set_grant(row.rid, grant_of(row, &content).as_ref())?;
    }
    Ok(())
}

/// The content of a stored record.
pub(crate) fn parsed(row: &RecordRow) -> Result<Map<String, Value>> {
    parse_stored(&row.content)
}

/// Content that was accepted once: bounds were checked then.
pub(crate) fn parse_stored(text: &str) -> Result<Map<String, Value>> {
    crate::util::json::parse_object(text.as_bytes()).map_err(|fault| {
        crate::store::StoreError::Refused(format!("stored content is damaged: {fault}")).into()
    })
}

fn edges(
    info: &TypeInfo,
    associations: &[Association],
    content: &Map<String, Value>,
) -> Vec<AssociationRow> {
    let mut edges: Vec<AssociationRow> = associations.iter().map(Association::row).collect();
    edges.extend(
        info.schema.file_refs(content).into_iter().map(|(label, target)| AssociationRow {
            kind: AssociationKind::FileField,
            label,
            target,
        }),
    );
    edges
}

/// The right that a `_grant` record gives, as far as evaluation heeds it.
fn grant_of(row: &RecordRow, content: &Map<String, Value>) -> Option<GrantRow> {
    if row.deleted_at.is_some() {
        return None;
    }
    let target = family(content.get("typeId")?.as_str()?).to_owned();
    if NEVER_GRANTED.contains(&target.as_str()) {
        return None;
    }
    let grantee = match content.get("granteeEntityId") {
        // Only a missing key makes a default grant; groups as grantees are not resolved, so such a grant covers nobody.
        None if content.contains_key("granteeGroupId") => return None,
        None => None,
        Some(Value::String(grantee)) if !grantee.is_empty() => Some(grantee.clone()),
        Some(_) => return None,
    };
    let actions = content
        .get("actions")?
        .as_array()?
        .iter()
        .filter_map(|action| Actions::named(action.as_str()?))
        .fold(Actions::NONE, Actions::with);
    Some(GrantRow { family: target, grantee, actions: actions.bits() })
}
