//! May a schema replace another in place? Only when it merely adds.
//!
//! Knows the additive rule. Does not know records.
//!
//! Invariants
//! A1. When [`Schema::drift`] finds nothing, content valid under the old schema is valid under the
//!     new one, but for content that had undeclared fields of the new names.

use super::definition::{Field, Schema};
use super::validate::FieldFault;

impl Schema {
    /// What `new` changes other than by adding optional fields; empty when it is additive.
    ///
    /// Every old field must still be there with the same kind and the same effective `required`,
    /// through `properties` and `items`. Paths are dotted, with `[]` for an array's items.
    #[must_use]
    pub fn drift(old: &Self, new: &Self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        compare(old, new, "", &mut faults);
        faults
    }
}

fn compare(old: &Schema, new: &Schema, path: &str, faults: &mut Vec<FieldFault>) {
    let join =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, before) in old.fields() {
        match new.field(name) {
            None => faults.push(FieldFault::new(join(name), "the field was removed")),
            Some(after) => compare_field(before, after, join(name), faults),
        }
    }
    for (name, field) in new.fields() {
        if field.is_required() && old.field(name).is_none() {
            faults.push(FieldFault::new(join(name), "a new field must not be required"));
        }
    }
}

fn compare_field(before: &Field, after: &Field, path: String, faults: &mut Vec<FieldFault>) {
    if before.is_required() != after.is_required() {
        let message = if after.is_required() {
            "the field became required"
        } else {
            "the field became optional"
        };
        faults.push(FieldFault::new(path.as_str(), message));
    }
    if before.kind != after.kind {
        let message =
            format!("the kind changed from {} to {}", before.kind.name(), after.kind.name());
        faults.push(FieldFault::new(path, message));
        return;
    }
    if let (Some(before), Some(after)) = (&before.items, &after.items) {
        compare_field(before, after, format!("{path}[]"), faults);
    }
    if let (Some(before), Some(after)) = (&before.properties, &after.properties) {
        compare(before, after, &path, faults);
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::read;
    use super::*;

    fn drift(old: &str, new: &str) -> Vec<String> {
        Schema::drift(&read(old), &read(new)).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn adding_optional_fields_is_fine() {
        let old = r#"{"a":{"kind":"string"},"o":{"kind":"object","properties":{}}}"#;
        let new = r#"{"z":{"kind":"date","required":false},"o":{"kind":"object","required":false,
            "properties":{"p":{"kind":"number"}}},"a":{"kind":"string","indexed":true}}"#;
        assert!(drift(old, new).is_empty());
    }

    #[test]
    fn each_violation_names_its_path() {
        let old = r#"{"gone":{"kind":"string"},"kind":{"kind":"string"},"flip":{"kind":"string"},
            "loose":{"kind":"string","required":true},
            "list":{"kind":"array","items":{"kind":"object","properties":{"v":{"kind":"string"}}}},
            "grid":{"kind":"array","items":{"kind":"array","items":{"kind":"number"}}},
            "o":{"kind":"object","properties":{"x":{"kind":"string"}}}}"#;
        let new = r#"{"kind":{"kind":"text"},"flip":{"kind":"string","required":true},
            "loose":{"kind":"string"},
            "list":{"kind":"array","items":{"kind":"object","properties":{"v":{"kind":"number"}}}},
            "grid":{"kind":"array","items":{"kind":"array","items":{"kind":"string"}}},
            "o":{"kind":"object","properties":{"y":{"kind":"string","required":true}}},
            "fresh":{"kind":"string","required":true}}"#;
        assert_eq!(
            drift(old, new),
            ["gone", "kind", "flip", "loose", "list[].v", "grid[][]", "o.x", "o.y", "fresh"]
        );
    }
}
