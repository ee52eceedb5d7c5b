//! Live queries: keep each subscriber in step with the journal.
//!
//! Subscriptions that see the same result form a group; a group keeps that result. After each commit the hub offers the
//! changes to the groups they can concern, found by collection and by an equality the query asks for. A plain group is
//! brought up to date by the changed record alone; the others are run again, on a thread of their own. What changed goes to
//! every member as one difference.
//!
//! Knows queries, callers, results. Does not know sockets or any wire format.
//!
//! Invariants
//! L1. A member gets its first result, then differences with strictly rising `tx`; applied in order they give what running
//!     the query at the last `tx` gives.
//! L2. Nothing is delivered after a [`Subscription`] was dropped.
//! L3. At most [`PENDING_MAX`] changes wait for the hub; past that they are let go and every group is run again.

pub mod diff;
mod group;
mod hub;
mod index;
pub mod statistics;
#[cfg(test)]
mod tests;

pub use group::{Change, Delivery, EncodedCache, RootChange, RootRows, Sink};
pub use hub::{Hub, PENDING_MAX, Subscription};
