//! Conditions on one record, and orders of records, as every face's filters and rules end up.
//!
//! [`Filter::matches`] and [`compare`] evaluate in memory; `store::filter` turns the same trees into SQL, and a property test
//! holds the two equal. Semantics are those of the live protocol, sections 6.1 to 6.4 and 6.8.
//!
//! Knows JSON values. Does not know who asks, which types exist, or SQL. Whoever builds a filter from a request bounds it
//! (SECURITY S57); the bounds here are those that evaluation needs.
//!
//! Invariants
//! Q1. A test holds or does not: there is no third value, so `Not` is plain negation.
//! Q2. Orders are total: ties end at the record id.

mod aggregate;
mod evaluate;
mod like;
mod order;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use aggregate::{Aggregate, AggregateKind};
pub use like::PATTERN_CHARS_MAX;
pub use order::{compare, push_sort_key};

/// How deep `And`, `Or` and `Not` may nest, leaves included: room for a face's filter within several rules.
pub const DEPTH_MAX: usize = 24;

/// A top-level field or a dotted path. A field whose literal name holds the dots wins over the path; a segment of digits
/// indexes an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldPath(pub String);

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operand {
    /// A content field.
    Field(FieldPath),
    /// A top-level content field by its literal name, never a path.
    Key(String),
    /// The id a face shows: the alias where there is one, else the record id as text.
    Id,
    /// Milliseconds, unless the content has a field of that name (`createdAt`, `updatedAt`), which then counts instead.
    CreatedAt,
    UpdatedAt,
    /// DID of the author.
    Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One test of one value. A missing field counts as `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// By JSON type and value; numbers numerically, objects whatever the key order.
    Equal(Value),
    /// Number with number, string with string (by code point); anything else is false.
    Compare(Comparison, Value),
    In(Vec<Value>),
    /// Substring, element, elements, or recursive object containment (live 6.2).
    Contains(Value),
    StartsWith(String),
    EndsWith(String),
    /// Case-insensitive; `%` any run, `_` one character, `\` escapes. Past [`PATTERN_CHARS_MAX`] it never holds.
    Like(String),
    /// Present and not null.
    Present,
}

/// A condition. `And` of nothing holds, `Or` of nothing does not. Its serialised form is for SQL parameters only, never for
/// a wire or the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Filter {
    True,
    False,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Is(Operand, Test),
}

impl Filter {
    /// How deep the tree nests; a leaf is 1. Compare with [`DEPTH_MAX`].
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::True | Self::False | Self::Is(..) => 1,
            Self::And(parts) | Self::Or(parts) => {
                1 + parts.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Not(inner) => 1 + inner.depth(),
        }
    }

    /// How many tests the tree has.
    #[must_use]
    pub fn tests(&self) -> usize {
        match self {
            Self::True | Self::False => 0,
            Self::Is(..) => 1,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::tests).sum(),
            Self::Not(inner) => inner.tests(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderDirection {
    Ascending,
    Descending,
}

/// One key of an order: numbers, strings, booleans, objects and arrays; missing and null last in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderKey {
    pub operand: Operand,
    pub direction: OrderDirection,
}

/// A record as conditions see it.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'r> {
    pub content: &'r Map<String, Value>,
    /// The number behind the record id: creation order.
    pub rid: i64,
    /// The id a face shows.
    pub id: &'r str,
    /// Milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
    /// DID of the author.
    pub subject: Option<&'r str>,
}
