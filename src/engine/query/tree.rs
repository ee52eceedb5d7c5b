//! A query over named collections as a tree: roots, their conditions, and relations to follow from each row.
//!
//! Data only. Faces parse into it; `engine::query::run` executes it.

use crate::schema::filter::{AggregateKind, Filter, Operand, OrderKey};
use crate::schema::filter_form::{each_field, field_of};

#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    pub entity: String,
    pub node: Node,
}

/// What is wanted of one entity or relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub filter: Filter,
    pub order: Vec<OrderKey>,
    pub limit: Option<u32>,
    pub offset: u64,
    /// Only records created after this one, by record id: where a page without an order of its own goes on.
    pub after: Option<i64>,
    pub search: Option<String>,
    /// Field names; `id` is always included.
    pub select: Option<Vec<String>>,
    pub aggregate: Option<Aggregate>,
    pub relations: Vec<(String, Node)>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            filter: Filter::True,
            order: Vec::new(),
            limit: None,
            offset: 0,
            after: None,
            search: None,
            select: None,
            aggregate: None,
            relations: Vec::new(),
        }
    }
}

impl Node {
    /// Whether its result is a window, so that live diffs carry the order (12.3).
    #[must_use]
    pub fn is_window(&self) -> bool {
        !self.order.is_empty() || self.limit.is_some() || self.offset > 0 || self.after.is_some()
    }

    /// The fields that this node alone filters, sorts, selects or aggregates by: those that must be
    /// readable (17.4). Dotted paths come as written, and some names more than once.
    pub fn each_named_field<'n>(&'n self, each: &mut dyn FnMut(&'n str)) {
        each_field(&self.filter, each);
        self.order.iter().for_each(|key| each(field_of(&key.operand)));
        self.select.iter().flatten().for_each(|name| each(name));
        for term in self.aggregate.iter().flat_map(|aggregate| &aggregate.terms) {
            if let Some(operand) = &term.of {
                each(field_of(operand));
            }
        }
    }
}

/// One value over all matching records.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateTerm {
    pub kind: AggregateKind,
    /// `None` only for a count of records.
    pub of: Option<Operand>,
}

impl AggregateTerm {
    /// The key of its value among several.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self.kind {
            AggregateKind::Count | AggregateKind::CountPresent => "count",
            AggregateKind::Sum => "sum",
            AggregateKind::Average => "avg",
            AggregateKind::Min => "min",
            AggregateKind::Max => "max",
        }
    }
}

/// `$aggregate`. One term answers with its bare value, several with an object keyed by
/// [`AggregateTerm::key`].
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub terms: Vec<AggregateTerm>,
}
