//! Rules of the families that come with the product: bindings, grants, the settings record, upload metadata
//! (stack protocol 6.4, 6.6, 7.1 to 7.10).

use serde_json::{Map, Value};

use crate::engine::access::{ATTACHMENT, Access, Actions, NEVER_GRANTED};
use crate::engine::error::{Error, Result};
use crate::schema::{FieldFault, family};
use crate::store::{RecordRow, TypeInfo, View};

pub(crate) const APP: &str = "_app";
pub(crate) const CONFIG: &str = "_config";
pub(crate) const ENTITY: &str = "_entity";
pub(crate) const USER: &str = "_user";
pub(crate) const GROUP: &str = "_group";
pub(crate) const RULES: &str = "_rules";

/// Fields that never change once set.
fn bound_fields(base: &str) -> &'static [&'static str] {
    match base {
        APP => &["did", "appId"],
        ENTITY => &["did"],
        // It is what the account signs in with; table `account` holds the same.
        USER => &["email"],
        _ => &[],
    }
}

fn text<'a>(content: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    content.get(field).and_then(Value::as_str)
}

/// Who may set the bindings of a card: 403 before anything else is looked at.
pub(crate) fn check_binding_rights(
    access: &Access<'_>,
    base: &str,
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
) -> Result<()> {
    if access.alone() {
        return Ok(());
    }
    let changes = |field: &str| after.get(field) != before.and_then(|content| content.get(field));
    let refused = match base {
        APP => {
            (changes("did") && after.contains_key("did"))
                || (changes("appId") && after.contains_key("appId"))
        }
        ENTITY => changes("did") && text(after, "did") == Some(access.owner()),
        _ => false,
    };
    if refused { Err(Error::Denied) } else { Ok(()) }
}

/// Bindings stay what they are; re-sending the same value is no change.
pub(crate) fn binding_faults(
    base: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<FieldFault> {
    bound_fields(base)
        .iter()
        .filter(|field| {
            before.get(**field).is_some_and(|value| !value.is_null())
                && after.get(**field) != before.get(**field)
        })
        .map(|field| FieldFault::new(*field, "cannot change once it is set"))
        .collect()
}

/// `_app.did` and `_entity.did` name one card each, whatever its version or state.
pub(crate) fn check_unique_bindings(
    view: &View<'_>,
    base: &str,
    content: &Map<String, Value>,
    except: i64,
) -> Result<()> {
    if base != APP && base != ENTITY {
        return Ok(());
    }
    let Some(did) = text(content, "did") else { return Ok(()) };
    for row in cards_of(view, base, did)? {
        if row.rid != except {
            return Err(Error::Conflict(format!("another {base} record has this did")));
        }
    }
    Ok(())
}

/// Every card of a family with this `did`, deleted ones too.
pub(crate) fn cards_of(view: &View<'_>, base: &str, did: &str) -> Result<Vec<RecordRow>> {
    let mut cards = Vec::new();
    for type_id in view.types().family(base) {
        cards.extend(view.records_with_text(*type_id, "did", did)?);
    }
    Ok(cards)
}

/// A delegated create that names its app must name the one its card says.
pub(crate) fn check_app(access: &Access<'_>, app: Option<&str>) -> Result<()> {
    let (Some(app), Some(principal)) = (app, access.caller().principal()) else { return Ok(()) };
    if !access.caller().is_delegated() {
        return Ok(());
    }
    for card in cards_of(access.view(), APP, principal)? {
        let content = super::commit::parsed(&card)?;
        if text(&content, "appId") != Some(app) {
            return Err(Error::Denied);
        }
    }
    Ok(())
}

/// A grant must name verbs that exist and a family that grants reach.
pub(crate) fn grant_faults(base: &str, content: &Map<String, Value>) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    if base != super::commit::GRANT {
        return faults;
    }
    if text(content, "typeId").is_some_and(|id| NEVER_GRANTED.contains(&family(id))) {
        faults.push(FieldFault::new("typeId", "records of this type cannot be granted"));
    }
    let actions = content.get("actions").and_then(Value::as_array);
    for (n, action) in actions.into_iter().flatten().enumerate() {
        if action.as_str().is_some_and(|name| Actions::named(name).is_none()) {
            faults.push(FieldFault::new(format!("actions[{n}]"), "unknown action"));
        }
    }
    faults
}

/// The owner named in the settings record never changes.
pub(crate) fn check_config(
    base: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Result<()> {
    if base == CONFIG && before.get("entityId") != after.get("entityId") {
        return Err(Error::Conflict("the owner of a stack cannot change".into()));
    }
    Ok(())
}

/// The first-recorded metadata of a file, deleted ones included: it fixes the file's media type.
pub(crate) fn established(view: &View<'_>, file: &str) -> Result<Option<RecordRow>> {
    let types = view.types();
    let Some(info) = types.get("_attachment@1") else { return Ok(None) };
    Ok(view.first_with_text(info.row_id, "fileId", file)?)
}

/// The media type that the first-recorded metadata gave a file.
pub(crate) fn established_media_type(view: &View<'_>, file: &str) -> Result<Option<String>> {
    let Some(row) = established(view, file)? else { return Ok(None) };
    Ok(text(&super::commit::parsed(&row)?, "mimeType").map(str::to_owned))
}

/// New metadata must agree with the established media type, which the answer does not tell.
pub(crate) fn check_media_type(
    view: &View<'_>,
    info: &TypeInfo,
    content: &Map<String, Value>,
) -> Result<()> {
    if info.base != ATTACHMENT {
        return Ok(());
    }
    let (Some(file), Some(media_type)) = (text(content, "fileId"), text(content, "mimeType"))
    else {
        return Ok(());
    };
    match established_media_type(view, file)? {
        Some(known) if known != media_type => {
            Err(Error::invalid("mimeType", "differs from the media type this file has"))
        }
        _ => Ok(()),
    }
}

/// Only the name of an upload may change.
pub(crate) fn attachment_patch_faults(
    base: &str,
    patch: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<FieldFault> {
    if base != ATTACHMENT {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if patch.contains_key("mimeType") {
        faults.push(FieldFault::new("mimeType", "cannot be changed"));
    }
    for field in ["fileId", "size"] {
        if before.get(field) != after.get(field) {
            faults.push(FieldFault::new(field, "cannot be changed"));
        }
    }
    faults
}

/// Faults into an error, when there are any.
pub(crate) fn none(faults: Vec<FieldFault>) -> Result<()> {
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}
