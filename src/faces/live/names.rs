//! Names of entities, records and fields (live 5.1).
//!
//! Invariants
//! A1. An entity that passed [`is_entity`] is plain ASCII and at most [`ENTITY_CHARS_MAX`] long.

/// The longest name of an entity.
pub const ENTITY_CHARS_MAX: usize = 128;
/// The longest id of a record.
pub const ID_CHARS_MAX: usize = 128;
/// The longest name of a field, and the longest dotted path.
pub const FIELD_BYTES_MAX: usize = 256;

/// Would collide with a key of the response.
const RESERVED_ENTITY: &str = "tx";

/// `[A-Za-z_][A-Za-z0-9_-]{0,127}`, not `tx`.
#[must_use]
pub fn is_entity(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=ENTITY_CHARS_MAX).contains(&bytes.len())
        && (bytes[0].is_ascii_alphabetic() || bytes[0] == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
        && name != RESERVED_ENTITY
}

/// Whether an entity belongs to the product itself: the owner reads it, nobody writes it here.
#[must_use]
pub fn is_system_entity(name: &str) -> bool {
    name.starts_with('_')
}

/// 1 to 128 characters of `[A-Za-z0-9_.:@~-]`, the first alphanumeric or `_`.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    (1..=ID_CHARS_MAX).contains(&bytes.len())
        && (bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.:@~-".contains(byte))
}

/// Non-empty, at most 256 bytes, not starting with `$`, no control character.
#[must_use]
pub fn is_field(name: &str) -> bool {
    (1..=FIELD_BYTES_MAX).contains(&name.len())
        && !name.starts_with('$')
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities() {
        for name in ["todos", "_user", "A-b_9", "t", &"a".repeat(128)] {
            assert!(is_entity(name), "{name}");
        }
        for name in ["", "tx", "9a", "-a", "a b", "a.b", "ä", "a/b", "$a", &"a".repeat(129)] {
            assert!(!is_entity(name), "{name}");
        }
        assert!(is_system_entity("_user") && !is_system_entity("users"));
    }

    #[test]
    fn ids() {
        for id in ["darsh", "user-123", "_x", "a:b@c.d~e", "0", &"a".repeat(128)] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "-a", ".a", "a b", "a/b", "ä", "a%20", &"a".repeat(129)] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn fields() {
        for name in ["a", "a b", "ä", "a.b", "a$"] {
            assert!(is_field(name), "{name}");
        }
        for name in ["", "$a", "a\0", "a\n", &"a".repeat(257)] {
            assert!(!is_field(name), "{name}");
        }
    }
}
