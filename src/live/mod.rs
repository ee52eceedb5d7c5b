//! Live queries: keep each subscriber in step with the journal.

pub mod diff;
