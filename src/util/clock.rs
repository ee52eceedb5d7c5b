//! The clock, as a handle that is passed in.
//!
//! Knows where "now" comes from. Does not know dates or their text (see [`super::time`]).
//!
//! Invariants
//! C1. This is the only place that asks the operating system for the time of day.
//! C2. All clones of one handle show the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time of day. Cheap to clone. May step backwards, as the system's clock may.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

/// Moves the [`Clock`] that was made together with it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start_ms` until its [`ManualClock`] moves it.
    #[must_use]
    pub fn manual(start_ms: i64) -> (Self, ManualClock) {
        let shared = Arc::new(AtomicI64::new(start_ms));
        (Self(Source::Manual(Arc::clone(&shared))), ManualClock(shared))
    }

    /// Milliseconds since the Unix epoch, negative before it.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => system_ms(),
            Source::Manual(shared) => shared.load(Ordering::SeqCst),
        }
    }
}

impl ManualClock {
    /// Sets the time, in milliseconds since the Unix epoch; backwards is allowed.
    pub fn set_ms(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }

    /// Moves the time by `by_ms`, which may be negative.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods, reason = "this module is the clock")]
fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_all_clones() {
        let (clock, hand) = Clock::manual(1_000);
        let other = clock.clone();
        hand.advance_ms(500);
        assert_eq!(other.now_ms(), 1_500);
        hand.set_ms(7);
        assert_eq!(clock.now_ms(), 7);
    }

    #[test]
    fn system_clock_is_in_this_era() {
        assert!(Clock::system().now_ms() > 1_700_000_000_000);
    }
}
