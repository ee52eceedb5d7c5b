//! Permissions and associations: from the wire form of the stack protocol to a checked one, and back to canonical text.

use serde_json::{Map, Value};

use super::error::{Error, Result};
use crate::schema::FieldFault;
use crate::store::{AssociationKind, AssociationRow};
use crate::util::json;

/// Entries one record may carry of each, so that a record stays a record.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// One entry of a record's permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    Public,
    Entity { entity: String, read: bool, write: bool },
    Group { group: String, read: bool, write: bool, admins_only: bool },
}

impl Permission {
    fn parse(value: &Value) -> Result<Self, &'static str> {
        let Value::Object(entry) = value else { return Err("must be an object") };
        let bit = |name: &str| match entry.get(name) {
            None => Ok(false),
            Some(Value::Bool(bit)) => Ok(*bit),
            Some(_) => Err("read and write must be true or false"),
        };
        let id = |name: &str| match entry.get(name) {
            Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
            _ => Err("names nobody"),
        };
        let made = match entry.get("access").and_then(Value::as_str) {
            Some("public") => return Ok(Self::Public),
            Some("entity") => {
                Self::Entity { entity: id("entityId")?, read: bit("read")?, write: bit("write")? }
            }
            Some("group") => {
                let admins_only = match entry.get("role") {
                    None => false,
                    Some(Value::String(role)) if role == "admin" => true,
                    Some(_) => return Err("the only role is \"admin\""),
                };
                let (read, write) = (bit("read")?, bit("write")?);
                Self::Group { group: id("groupId")?, read, write, admins_only }
            }
            _ => return Err("access must be public, entity or group"),
        };
        match made {
            Self::Entity { read: false, write: true, .. }
            | Self::Group { read: false, write: true, .. } => Err("write needs read"),
            made => Ok(made),
        }
    }

    fn push(&self, out: &mut String) {
        match self {
            Self::Public => out.push_str("{\"access\":\"public\"}"),
            Self::Entity { entity, read, write } => {
                out.push_str("{\"access\":\"entity\",\"entityId\":");
                json::push_string(out, entity);
                push_bits(out, *read, *write);
                out.push('}');
            }
            Self::Group { group, read, write, admins_only } => {
                out.push_str("{\"access\":\"group\",\"groupId\":");
                json::push_string(out, group);
                push_bits(out, *read, *write);
                out.push_str(if *admins_only { ",\"role\":\"admin\"}" } else { "}" });
            }
        }
    }
}

fn push_bits(out: &mut String, read: bool, write: bool) {
    out.push_str(if read { ",\"read\":true" } else { ",\"read\":false" });
    out.push_str(if write { ",\"write\":true" } else { ",\"write\":false" });
}

fn array_text<T>(items: &[T], push: impl Fn(&T, &mut String)) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    let mut text = String::from("[");
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        push(item, &mut text);
    }
    text.push(']');
    Some(text)
}

/// Checks a list of permissions; all faults are reported together.
pub(crate) fn parse_permissions(values: &[Value]) -> Result<Vec<Permission>, Vec<FieldFault>> {
    parse_all("permissions", values, Permission::parse)
}

/// The text that is stored and shown; `None` when the list is empty.
pub(crate) fn permissions_text(list: &[Permission]) -> Option<String> {
    array_text(list, Permission::push)
}

/// Reads what [`permissions_text`] wrote.
pub(crate) fn stored_permissions(text: Option<&str>) -> Vec<Permission> {
    stored(text, Permission::parse)
}

/// A typed edge from a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Association {
    pub kind: AssociationKind,
    pub label: String,
    /// File id, record id or DID; empty for a tag.
    pub target: String,
}

impl Association {
    /// Reads one association; `Err` says what is wrong with it.
    pub(crate) fn parse(value: &Value) -> Result<Self, &'static str> {
        let Value::Object(entry) = value else { return Err("must be an object") };
        Self::parse_object(entry)
    }

    pub(crate) fn parse_object(entry: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| match entry.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let label = text("label").ok_or("label is missing")?;
        let (kind, target) = match entry.get("kind").and_then(Value::as_str) {
            Some("tag") => (AssociationKind::Tag, String::new()),
            Some("attachment") => {
                (AssociationKind::Attachment, text("fileId").ok_or("fileId is missing")?)
            }
            Some("relationship") => {
                (AssociationKind::Relationship, text("recordId").ok_or("recordId is missing")?)
            }
            _ => return Err("kind must be tag, attachment or relationship"),
        };
        Ok(Self { kind, label, target })
    }

    fn push(&self, out: &mut String) {
        let (kind, target_key) = match self.kind {
            AssociationKind::Tag | AssociationKind::FileField => ("tag", None),
            AssociationKind::Attachment => ("attachment", Some("fileId")),
            AssociationKind::Relationship => ("relationship", Some("recordId")),
        };
        out.push_str("{\"kind\":\"");
        out.push_str(kind);
        out.push_str("\",\"label\":");
        json::push_string(out, &self.label);
        if let Some(key) = target_key {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            json::push_string(out, &self.target);
        }
        out.push('}');
    }

    pub(crate) fn row(&self) -> AssociationRow {
        AssociationRow { kind: self.kind, label: self.label.clone(), target: self.target.clone() }
    }
}

/// Checks a list of associations; duplicates collapse, all faults are reported together.
pub(crate) fn parse_associations(values: &[Value]) -> Result<Vec<Association>, Vec<FieldFault>> {
    let list = parse_all("associations", values, Association::parse)?;
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    Ok(list.into_iter().filter(|association| seen.insert(association.clone())).collect())
}

/// The text that is stored and shown; `None` when the list is empty.
pub(crate) fn associations_text(list: &[Association]) -> Option<String> {
    array_text(list, Association::push)
}

/// Reads what [`associations_text`] wrote.
pub(crate) fn stored_associations(text: Option<&str>) -> Vec<Association> {
    stored(text, Association::parse)
}

fn parse_all<T>(
    name: &str,
    values: &[Value],
    parse: impl Fn(&Value) -> Result<T, &'static str>,
) -> Result<Vec<T>, Vec<FieldFault>> {
    if values.len() > ENTRIES_MAX {
        return Err(vec![FieldFault::new(name, format!("at most {ENTRIES_MAX} entries"))]);
    }
    let (mut list, mut faults) = (Vec::with_capacity(values.len()), Vec::new());
    for (n, value) in values.iter().enumerate() {
        match parse(value) {
            Ok(item) => list.push(item),
            Err(message) => faults.push(FieldFault::new(format!("{name}[{n}]"), message)),
        }
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}

fn stored<T>(text: Option<&str>, parse: impl Fn(&Value) -> Result<T, &'static str>) -> Vec<T> {
    let Some(text) = text else { return Vec::new() };
    let values: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    values.iter().filter_map(|value| parse(value).ok()).collect()
}

/// For callers that name one association outside a list.
pub(crate) fn one_association(value: &Map<String, Value>) -> Result<Association> {
    Association::parse_object(value).map_err(|message| Error::BadRequest(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is stored is the wire form, and reading it gives the same list.
    #[test]
    fn permissions_round_trip() {
        let wire = vec![
            json!({"access":"public"}),
            json!({"access":"entity","entityId":"did:x:a","read":true}),
            json!({"access":"group","groupId":"1hk153x00001","read":true,"write":true,"role":"admin"}),
        ];
        let list = parse_permissions(&wire).unwrap();
        let text = permissions_text(&list).unwrap();
        assert_eq!(
            text,
            r#"[{"access":"public"},{"access":"entity","entityId":"did:x:a","read":true,"write":false},{"access":"group","groupId":"1hk153x00001","read":true,"write":true,"role":"admin"}]"#
        );
        assert_eq!(stored_permissions(Some(&text)), list);
    }

    #[test]
    fn malformed_permissions_are_named() {
        let wire = vec![
            json!({"access":"public"}),
            json!({"access":"everybody"}),
            json!({"access":"entity","entityId":""}),
            json!({"access":"entity","entityId":"did:x:a","read":1}),
            json!({"access":"entity","entityId":"did:x:a","write":true}),
            json!({"access":"group","groupId":"g","read":true,"role":"boss"}),
            json!(7),
        ];
        let faults = parse_permissions(&wire).unwrap_err();
        let paths: Vec<&str> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths[0], "permissions[1]");
        assert_eq!(paths.len(), 6);
    }

    #[test]
    fn associations_collapse_and_round_trip() {
        let tag = json!({"kind":"tag","label":"a \"b\""});
        let list = parse_associations(&[tag.clone(), tag]).unwrap();
        assert_eq!(list.len(), 1);
        let text = associations_text(&list).unwrap();
        assert_eq!(stored_associations(Some(&text)), list);
        assert!(parse_associations(&[json!({"kind":"tag","label":""})]).is_err());
        assert!(parse_associations(&[json!({"kind":"attachment","label":"x"})]).is_err());
    }
}
