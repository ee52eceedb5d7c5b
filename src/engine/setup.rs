//! What every stack has from its first start: an owner, the built-in types, the settings record, the owner's card.

use std::sync::PoisonError;

use serde_json::{Map, Value, json};

use super::commands::accounts::{has_keys, make_keys};
use super::commands::{NewTypeInput, commit, create_checked, register_checked, special};
use super::error::{Error, Result};
use super::record::CONFIG_ID;
use super::{EngineOptions, Inner};
use crate::crypto::{self, did_key};
use crate::schema::system;
use crate::store::{FIXED_IDS, Store, Unit, View};

const OWNER: &str = "owner";
const OWNER_SEED: &str = "owner_seed";

/// The owner of the file: as stored, else as configured, else a fresh key.
pub(super) fn owner(store: &Store, options: &EngineOptions) -> Result<String> {
    if let Some(stored) = store.read(|view| view.meta_text(OWNER))? {
        if let Some(configured) = options.owner_did.as_ref().filter(|did| **did != stored) {
            tracing::warn!(
                configured,
                stored,
                "the file has another owner than the configuration; the file's is kept"
            );
        }
        return Ok(stored);
    }
    let (owner, seed) = match &options.owner_did {
        Some(did) if did_key::is_did(did) => (did.clone(), None),
        Some(did) => return Err(Error::BadRequest(format!("the owner {did} is not a DID"))),
        None => {
            let (seed, public) = crypto::ed25519_generate(&options.rng);
            (did_key::format(&public), Some(*seed.expose()))
        }
    };
    let text = owner.clone();
    store.write_blocking(move |unit| {
        unit.set_meta_text(OWNER, &text)?;
        if let Some(seed) = seed {
            unit.set_meta_bytes(OWNER_SEED, &seed)?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(owner)
}

/// Brings a file up to what this program expects of it. Writes only what is missing.
pub(super) fn complete(inner: &std::sync::Arc<Inner>) -> Result<()> {
    let complete = inner.store.read(|view| is_complete(inner, view))?;
    if complete {
        return Ok(());
    }
    let shared = std::sync::Arc::clone(inner);
    inner.store.write_blocking(move |unit| {
        for (id, name, schema) in catalogue(&shared.options) {
            register(&shared, unit, id, name, schema)?;
        }
        for (id, field) in [("_entity@1", "did"), ("_app@1", "did"), ("_attachment@1", "fileId")] {
            if let Some(info) = unit.types().get(id).cloned() {
                unit.index_field(&info, field)?;
            }
        }
        if unit.rid_of_alias(FIXED_IDS, CONFIG_ID)?.is_none() {
            let mut content = object(json!({ "entityId": &*shared.owner }));
            if let Some(zone) = &shared.options.timezone {
                content.insert("timezone".into(), json!(zone));
            }
            create_checked(&shared, unit, "_config@1", content, Some(CONFIG_ID))?;
        }
        if let Some(content) = missing_card(&shared, unit)? {
            create_checked(&shared, unit, "_entity@1", content, None)?;
        }
        make_keys(&shared, unit)?;
        Ok::<_, Error>(())
    })
}

fn catalogue(options: &EngineOptions) -> Vec<system::BuiltIn> {
    let mut types = system::types();
    if options.commons {
        types.extend(system::commons());
    }
    types
}

fn is_complete(inner: &Inner, view: &View<'_>) -> Result<bool> {
    let types = view.types();
    let known = catalogue(&inner.options).iter().all(|(id, ..)| types.get(id).is_some());
    Ok(known
        && view.rid_of_alias(FIXED_IDS, CONFIG_ID)?.is_some()
        && missing_card(inner, view)?.is_none()
        && has_keys(view)?)
}

/// The owner's card, when a name is configured and no card of any version or state claims the owner.
fn missing_card(inner: &Inner, view: &View<'_>) -> Result<Option<Map<String, Value>>> {
    let Some(name) = &inner.options.owner_name else { return Ok(None) };
    if !special::cards_of(view, special::ENTITY, &inner.owner)?.is_empty() {
        return Ok(None);
    }
    let mut content = object(json!({ "did": &*inner.owner, "name": name }));
    if let Some(handle) = &inner.options.owner_handle {
        content.insert("handle".into(), json!(handle));
    }
    Ok(Some(content))
}

fn register(inner: &Inner, unit: &mut Unit<'_>, id: &str, name: &str, schema: Value) -> Result<()> {
    if unit.types().get(id).is_some() {
        return Ok(());
    }
    let input = NewTypeInput {
        id: id.to_owned(),
        name: name.to_owned(),
        schema: object(schema),
        schema_hash: None,
        migrates_from: None,
        search: None,
    };
    register_checked(inner, unit, input)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The time zone in the settings record, and the newest unit when it was read: every client asks for it first.
pub(super) type KnownTimezone = (i64, Option<String>);

pub(super) fn timezone(inner: &Inner) -> Option<String> {
    // Asked before the snapshot is opened: what is remembered is never older than it says.
    let now = inner.store.last_tx();
    if let Some((at, zone)) = &*inner.timezone.lock().unwrap_or_else(PoisonError::into_inner)
        && *at == now
    {
        return zone.clone();
    }
    let zone = read_timezone(inner);
    *inner.timezone.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, zone.clone()));
    zone
}

fn read_timezone(inner: &Inner) -> Option<String> {
    let stored = inner.store.read(|view| -> Result<Option<String>> {
        let Some(rid) = view.rid_of_alias(FIXED_IDS, CONFIG_ID)? else { return Ok(None) };
        let Some(row) = view.record(rid)? else { return Ok(None) };
        Ok(commit::parsed(&row)?.get("timezone").and_then(Value::as_str).map(str::to_owned))
    });
    stored.ok().flatten().or_else(|| inner.options.timezone.clone())
}
