//! Names of types: `com.example/note@1` is version 1 of the collection `com.example/note`.
//!
//! Knows the form. Does not know which types exist.
//!
//! Invariants
//! N1. [`TypeId::parse`] and `Display` are inverse but for leading zeros of the version.

use std::fmt;

/// A type's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId {
    /// The collection's name, not empty.
    pub base: String,
    /// The number behind the last `@`, not negative.
    pub version: i64,
}

impl TypeId {
    /// Reads `^(.+)@([0-9]+)$`, split at the last `@`; `None` when it does not match, when the
    /// base holds a line break, or when the number does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (base, version) = split(text)?;
        Some(Self { base: base.to_owned(), version: version.parse().ok()? })
    }

    /// The name of this version.
    #[must_use]
    pub fn new(base: impl Into<String>, version: i64) -> Self {
        Self { base: base.into(), version }
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.base, self.version)
    }
}

/// The collection of a type id; a text without `@` and digits at its end is its own family.
#[must_use]
pub fn family(type_id: &str) -> &str {
    split(type_id).map_or(type_id, |(base, _)| base)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (base, version) = text.rsplit_once('@')?;
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let one_line = !base.is_empty() && !base.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
    (digits && one_line).then_some((base, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_at() {
        let id = TypeId::parse("a@2@10").unwrap();
        assert_eq!((id.base.as_str(), id.version), ("a@2", 10));
        assert_eq!(id.to_string(), "a@2@10");
        assert_eq!(TypeId::parse("com.example/note@007").unwrap().version, 7);
        assert_eq!(TypeId::new("_config", 1).to_string(), "_config@1");
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "note",
            "@1",
            "note@",
            "note@x",
            "note@-1",
            "note@1 ",
            "note@99999999999999999999",
            "a\nb@1",
        ] {
            assert_eq!(TypeId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_bare_base_is_its_own_family() {
        assert_eq!(family("com.example/note@1"), "com.example/note");
        assert_eq!(family("com.example/note"), "com.example/note");
        assert_eq!(family("a@b"), "a@b");
        assert_eq!(family("n@99999999999999999999"), "n");
    }
}
