//! The verbs of type grants, as bits.

/// Families that no grant ever reaches.
pub(crate) const NEVER_GRANTED: [&str; 6] =
    ["_grant", "_config", "_app", "_user", "_rules", "_function"];

/// A set of verbs. The bits are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Actions(i64);

const NAMES: [(&str, i64); 7] = [
    ("create", 1),
    ("read-own", 2),
    ("read-any", 4),
    ("update-own", 8),
    ("update-any", 16),
    ("delete-own", 32),
    ("delete-any", 64),
];
const OWN: i64 = 2 | 8 | 32;
const ANY: i64 = 4 | 16 | 64;

impl Actions {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const CREATE: Self = Self(1);
    pub(crate) const READ: Self = Self(2 | 4);
    pub(crate) const UPDATE: Self = Self(8 | 16);
    pub(crate) const DELETE: Self = Self(32 | 64);

    pub(crate) fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> i64 {
        self.0
    }

    /// The bit of a verb's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, bit)| Self(*bit))
    }

    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Holds at least one of `wanted`.
    pub(crate) fn any(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }

    /// The part that covers any record; `create` is one of them.
    #[must_use]
    pub(crate) fn any_record(self) -> Self {
        Self(self.0 & (ANY | 1))
    }

    /// The part that covers the requester's own records.
    #[must_use]
    pub(crate) fn own_record(self) -> Self {
        Self(self.0 & OWN)
    }
}
