//! Figures of a running server: how many queries and transactions, how fast, and for how many people.
//!
//! Invariants
//! S1. Memory is bounded: a minute of seconds for each meter, [`PEOPLE_MAX`] people a day.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::util::clock::Clock;

/// Seconds over which a rate is taken.
const WINDOW_S: usize = 60;
/// People counted in one day; later ones are not.
pub const PEOPLE_MAX: usize = 100_000;
const DAY_MS: i64 = 86_400_000;

/// What was counted since the process started.
#[derive(Debug)]
pub struct Statistics {
    clock: Clock,
    queries: Mutex<Meter>,
    mutations: Mutex<Meter>,
    today: Mutex<Today>,
    hasher: RandomState,
}

/// A meter, read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub total: u64,
    /// Over the last minute.
    pub per_second: f64,
    /// Over everything counted.
    pub average_ms: f64,
}

#[derive(Debug)]
struct Meter {
    total: u64,
    spent: Duration,
    /// The second a slot counts, and its count.
    seconds: [(i64, u32); WINDOW_S],
}

impl Default for Meter {
    fn default() -> Self {
        Self { total: 0, spent: Duration::ZERO, seconds: [(i64::MIN, 0); WINDOW_S] }
    }
}

impl Meter {
    fn add(&mut self, second: i64, took: Duration) {
        self.total += 1;
        self.spent += took;
        let slot = &mut self.seconds[slot_of(second)];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 = slot.1.saturating_add(1);
    }

    fn read(&self, second: i64) -> Reading {
        let recent = |at: i64| (0..WINDOW_S as i64).contains(&(second - at));
        let counted: u64 = self
            .seconds
            .iter()
            .filter(|(at, _)| *at != i64::MIN && recent(*at))
            .map(|(_, count)| u64::from(*count))
            .sum();
        let average_ms = if self.total == 0 {
            0.0
        } else {
            self.spent.as_secs_f64() * 1_000.0 / self.total as f64
        };
        let per_second = counted as f64 / WINDOW_S as f64;
        Reading { total: self.total, per_second, average_ms }
    }
}

fn slot_of(second: i64) -> usize {
    usize::try_from(second.rem_euclid(WINDOW_S as i64)).unwrap_or(0)
}

#[derive(Debug, Default)]
struct Today {
    day: i64,
    people: HashSet<u64>,
}

// Every change below is whole, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Statistics {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            queries: Mutex::default(),
            mutations: Mutex::default(),
            today: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    fn second(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    /// A query, a list, a single read or the evaluation of a live query.
    pub fn query(&self, took: Duration) {
        lock(&self.queries).add(self.second(), took);
    }

    /// A transaction.
    pub fn mutation(&self, took: Duration) {
        lock(&self.mutations).add(self.second(), took);
    }

    /// A request of somebody who is signed in.
    pub fn active(&self, user_id: &str) {
        let day = self.clock.now_ms().div_euclid(DAY_MS);
        let person = self.hasher.hash_one(user_id);
        let mut today = lock(&self.today);
        if today.day != day {
            *today = Today { day, people: HashSet::new() };
        }
        if today.people.len() < PEOPLE_MAX {
            today.people.insert(person);
        }
    }

    #[must_use]
    pub fn queries(&self) -> Reading {
        lock(&self.queries).read(self.second())
    }

    #[must_use]
    pub fn mutations(&self) -> Reading {
        lock(&self.mutations).read(self.second())
    }

    /// People with a request in the current day (UTC).
    #[must_use]
    pub fn active_today(&self) -> usize {
        let day = self.clock.now_ms().div_euclid(DAY_MS);
        let today = lock(&self.today);
        if today.day == day { today.people.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let (clock, hand) = Clock::manual(5_000);
        let statistics = Statistics::new(clock);
        assert_eq!(statistics.queries(), Reading::default());
        for _ in 0..120 {
            statistics.query(Duration::from_millis(2));
        }
        let reading = statistics.queries();
        assert_eq!((reading.total, reading.per_second, reading.average_ms), (120, 2.0, 2.0));
        hand.advance_ms(30_000);
        statistics.query(Duration::from_millis(2));
        assert_eq!(statistics.queries().per_second, 121.0 / 60.0);
        hand.advance_ms(30_000);
        assert_eq!(statistics.queries().per_second, 1.0 / 60.0);
        hand.advance_ms(-60_000);
        assert_eq!(statistics.queries().total, 121, "a clock that steps back loses nothing");
        assert_eq!(statistics.mutations().total, 0);
    }

    #[test]
    fn people_count_once_a_day() {
        let (clock, hand) = Clock::manual(DAY_MS - 1);
        let statistics = Statistics::new(clock);
        for who in ["usr_a", "usr_b", "usr_a"] {
            statistics.active(who);
        }
        assert_eq!(statistics.active_today(), 2);
        hand.advance_ms(1);
        assert_eq!(statistics.active_today(), 0);
        statistics.active("usr_b");
        assert_eq!(statistics.active_today(), 1);
    }
}
