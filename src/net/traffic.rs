//! What was asked of the server lately: the last requests, the slow ones, and counters, in memory only.
//!
//! Knows methods, paths, statuses, times. Does not know bodies, headers, credentials or query strings: none of them is kept
//! (SECURITY S70).
//!
//! Invariants
//! T1. Memory is bounded: [`RECENT_MAX`] and [`SLOW_MAX`] requests, their paths cut at [`PATH_BYTES_MAX`].
//! T2. What is forgotten is still counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::util::clock::Clock;

/// Requests remembered, the newest ones.
const RECENT_MAX: usize = 1_000;
/// Slow requests remembered, also when many quick ones came after them.
const SLOW_MAX: usize = 200;
/// From when on a request is slow.
const SLOW: Duration = Duration::from_millis(100);
/// Bytes of a path that are kept.
const PATH_BYTES_MAX: usize = 200;

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// When its answer was ready, in milliseconds.
    pub at_ms: i64,
    pub request_id: String,
    pub method: Method,
    /// As sent, without the query.
    pub path: String,
    pub status: StatusCode,
    /// Until the answer was ready; sending it is not counted.
    pub took: Duration,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    /// Answered 4xx.
    pub refused: u64,
    /// Answered 5xx.
    pub failed: u64,
    pub spent: Duration,
    /// The slowest one since [`Traffic::begin_interval`].
    pub slowest: Duration,
}

#[derive(Debug, Default)]
struct Log {
    recent: VecDeque<Answered>,
    slow: VecDeque<Answered>,
    totals: Totals,
}

/// The log. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Traffic {
    clock: Clock,
    log: Arc<Mutex<Log>>,
}

impl Traffic {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, log: Arc::default() }
    }

    // Every change below is whole, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(
        &self,
        request_id: &str,
        (method, path): (Method, &str),
        status: StatusCode,
        took: Duration,
    ) {
        let answered = Answered {
            at_ms: self.clock.now_ms(),
            request_id: request_id.to_owned(),
            method,
            path: cut(path).to_owned(),
            status,
            took,
        };
        let mut log = self.lock();
        log.totals.requests += 1;
        log.totals.refused += u64::from(status.is_client_error());
        log.totals.failed += u64::from(status.is_server_error());
        log.totals.spent += took;
        log.totals.slowest = log.totals.slowest.max(took);
        if took >= SLOW {
            keep(&mut log.slow, answered.clone(), SLOW_MAX);
        }
        keep(&mut log.recent, answered, RECENT_MAX);
    }

    #[must_use]
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// As [`Traffic::totals`]; [`Totals::slowest`] starts again.
    pub fn begin_interval(&self) -> Totals {
        let mut log = self.lock();
        let totals = log.totals;
        log.totals.slowest = Duration::ZERO;
        totals
    }

    /// The newest requests, the latest first.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<Answered> {
        self.lock().recent.iter().rev().take(most).cloned().collect()
    }

    /// The newest slow requests, the latest first.
    #[must_use]
    pub fn slow(&self, most: usize) -> Vec<Answered> {
        self.lock().slow.iter().rev().take(most).cloned().collect()
    }
}

fn keep(list: &mut VecDeque<Answered>, one: Answered, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(one);
}

fn cut(path: &str) -> &str {
    let mut end = path.len().min(PATH_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_all_are_counted() {
        let (clock, _) = Clock::manual(7);
        let traffic = Traffic::new(clock);
        for n in 0..RECENT_MAX + 5 {
            let status = if n % 2 == 0 { StatusCode::OK } else { StatusCode::NOT_FOUND };
            traffic.note(&n.to_string(), (Method::GET, "/a"), status, Duration::from_millis(1));
        }
        let long = "/".repeat(PATH_BYTES_MAX - 1) + "äää";
        traffic.note("slow", (Method::POST, &long), StatusCode::BAD_GATEWAY, SLOW);
        let totals = traffic.begin_interval();
        assert_eq!((totals.requests, totals.refused, totals.failed), (1_006, 502, 1));
        assert_eq!(totals.slowest, SLOW);
        assert_eq!(traffic.totals().slowest, Duration::ZERO);
        let recent = traffic.recent(usize::MAX);
        assert_eq!((recent.len(), recent[0].request_id.as_str()), (RECENT_MAX, "slow"));
        assert!(recent[0].path.len() < PATH_BYTES_MAX && recent[0].at_ms == 7);
        assert_eq!(traffic.slow(9).len(), 1);
        assert_eq!(traffic.recent(2).len(), 2);
    }
}
