//! The schema hash: SHA-256 of a canonical text that every implementation of the protocol makes.
//!
//! Knows the canonical order and text. Does not know when hashes are compared.
//!
//! Invariants
//! H1. Schemas that differ only in key order or in keys that do not count have the same text.

use std::cmp::Ordering;

use super::definition::{Field, Schema};
use crate::crypto;
use crate::util::json::push_string;

impl Schema {
    /// SHA-256 of [`Self::canonical`], 64 lower-case hex digits.
    #[must_use]
    pub fn hash(&self) -> String {
        crypto::hex(&crypto::sha256(self.canonical().as_bytes()))
    }

    /// The canonical JSON text: names, kinds and `required` where it is written, nothing else.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        push_schema(&mut out, self);
        out
    }
}

fn push_schema(out: &mut String, schema: &Schema) {
    let mut fields: Vec<_> = schema.fields().collect();
    fields.sort_by(|(a, _), (b, _)| name_cmp(a, b));
    out.push('{');
    for (place, (name, field)) in fields.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_field(out, field);
    }
    out.push('}');
}

fn push_field(out: &mut String, field: &Field) {
    out.push('{');
    if let Some(items) = &field.items {
        out.push_str("\"items\":");
        push_field(out, items);
        out.push(',');
    }
    out.push_str("\"kind\":");
    push_string(out, field.kind.name());
    if let Some(properties) = &field.properties {
        out.push_str(",\"properties\":");
        push_schema(out, properties);
    }
    if let Some(required) = field.required {
        out.push_str(if required { ",\"required\":true" } else { ",\"required\":false" });
    }
    out.push('}');
}

/// The order in which JavaScript lists the keys of an object whose keys were added sorted: array
/// indexes by number, then the others by UTF-16 code unit.
fn name_cmp(a: &str, b: &str) -> Ordering {
    match (array_index(a), array_index(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

/// An array index as ECMAScript defines it: canonical decimal text of `0..=2^32 - 2`.
fn array_index(name: &str) -> Option<u32> {
    let canonical = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|index| canonical && *index < u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::definition::read;

    #[test]
    fn known_hashes() {
        let vectors = [
            ("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
            (
                r#"{"title":{"kind":"string"}}"#,
                "2aa1b67cfc8eaf5e74cae7e04972004cbc0c34852c6b5b2cb829d2de1db2a25a",
            ),
            (
                r#"{"title":{"required":true,"kind":"string"}}"#,
                "bef6655eb4f68da197277e4a8198f5e8cdca874a9aa1b4699275fb0296d88c95",
            ),
            (
                r#"{"title":{"kind":"string","required":false}}"#,
                "cbceb47cd70a26c96a4be55c249096906bd3d93ec8eb1b3c44175a56373d4cb6",
            ),
            (
                r#"{"title":{"kind":"string"},"body":{"kind":"text","required":true},
                    "emails":{"kind":"array","items":{"kind":"object","properties":{
                        "value":{"kind":"string","required":true},"label":{"kind":"string"}}}}}"#,
                "ce54f22a2bafd2d731a7e8cdf7565b47a181900842f5acd493096a8a6811a820",
            ),
        ];
        for (text, hash) in vectors {
            assert_eq!(read(text).hash(), hash, "{text}");
        }
    }

    #[test]
    fn other_keys_do_not_count() {
        let plain = read(r#"{"a":{"kind":"string"}}"#);
        let rich =
            read(r#"{"a":{"label":"A","indexed":true,"unique":true,"items":1,"kind":"string"}}"#);
        assert_eq!(plain.hash(), rich.hash());
    }

    #[test]
    fn names_are_in_javascript_order() {
        let names = [
            "b",
            "10",
            "2",
            "01",
            "4294967295",
            "4294967294",
            "0",
            "",
            "+1",
            "\u{ff5e}",
            "\u{10000}",
            "B",
            "-1",
        ];
        let fields: Vec<String> =
            names.iter().map(|name| format!("\"{name}\":{{\"kind\":\"text\"}}")).collect();
        let canonical = read(&format!("{{{}}}", fields.join(","))).canonical();
        let order = [
            "0",
            "2",
            "10",
            "4294967294",
            "",
            "+1",
            "-1",
            "01",
            "4294967295",
            "B",
            "b",
            "\u{10000}",
            "\u{ff5e}",
        ];
        let expected: Vec<String> =
            order.iter().map(|name| format!("\"{name}\":{{\"kind\":\"text\"}}")).collect();
        assert_eq!(canonical, format!("{{{}}}", expected.join(",")));
    }

    #[test]
    fn names_are_escaped_like_json_stringify() {
        let canonical = read(r#"{"\u00e9\n\"":{"kind":"string"}}"#).canonical();
        assert_eq!(canonical, "{\"é\\n\\\"\":{\"kind\":\"string\"}}");
    }
}
