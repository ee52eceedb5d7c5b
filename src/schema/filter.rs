//! Conditions on one record, as every face's filters and rules end up.
//!
//! Data only here; [`Filter::matches`] evaluates in memory, `store::filter` turns the same tree into SQL, and a property test
//! holds the two equal. Semantics are those of the live protocol, section 6.3.

use serde_json::Value;

/// A top-level field or a dotted path. A field whose literal name holds the dots wins over the path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(pub String);

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A content field.
    Field(FieldPath),
    /// The id a face shows: the alias where there is one, else the record id as text.
    Id,
    /// Milliseconds, unless the content has a field of that name (`createdAt`, `updatedAt`), which then counts instead.
    CreatedAt,
    UpdatedAt,
    /// DID of the author.
    Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One test of one value. A missing field counts as `null`.
#[derive(Clone, Debug, PartialEq)]
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
    /// Case-insensitive; `%` any run, `_` one character, `\` escapes.
    Like(String),
    /// Present and not null.
    Present,
}

/// A condition. `And` of nothing holds, `Or` of nothing does not.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    True,
    False,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Is(Operand, Test),
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
