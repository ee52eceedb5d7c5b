//! Request rates: how many calls a key may still make in this minute.
//!
//! Windows are fixed: 60 seconds, from one minute of the clock to the next. `net` takes from the
//! buckets of client addresses, faces from those of users.
//!
//! Knows keys and the clock. Does not know who a key is.
//!
//! Invariants
//! R1. A window holds at most [`KEYS_MAX`] keys; later ones share one bucket, so that memory stays
//!     bounded and nobody escapes by inventing keys.
//! R2. Within one window `remaining` of a key falls with every call until it is 0.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::util::clock::Clock;

/// Length of a window.
const WINDOW_S: u64 = 60;
/// Keys of one window over all shards: 1 MiB of buckets.
const KEYS_MAX: usize = 65_536;
/// What `X-RateLimit-Limit` and `-Remaining` say where there is no limit.
pub const UNLIMITED: u32 = 1_000_000;
const SHARDS: usize = 16;
/// An IPv6 client owns a /64 at least.
const V6_PREFIX_BITS: u32 = 64;

/// Requests per minute; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    pub user: u32,
    /// Per address, without a credential.
    pub anonymous: u32,
    /// Per address, over all sign-in addresses (SECURITY S33).
    pub sign_in: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { user: 6_000, anonymous: 600, sign_in: 120 }
    }
}

impl RateLimits {
    /// No limits at all (`--no-rate-limit`).
    #[must_use]
    pub fn none() -> Self {
        Self { user: 0, anonymous: 0, sign_in: 0 }
    }
}

/// A bucket after a call was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    pub limit: u32,
    pub remaining: u32,
    /// Unix time in seconds at which the window ends.
    pub reset_s: u64,
    /// Seconds until then, at least 1.
    pub wait_s: u64,
    /// Whether this call is within the limit; otherwise answer 429.
    pub allowed: bool,
}

impl RateState {
    /// The one that says less is left; a refusal before anything.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let rank = |s: &Self| (s.allowed, s.remaining);
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// The buckets. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Rate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    limits: RateLimits,
    hasher: RandomState,
    shards: [Mutex<Window>; SHARDS],
}

#[derive(Debug, Default)]
struct Window {
    minute: u64,
    counts: HashMap<u64, u32>,
    /// Calls of keys beyond the bound.
    others: u32,
}

impl Rate {
    #[must_use]
    pub fn new(clock: Clock, limits: RateLimits) -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(Window::default()));
        Self(Arc::new(Inner { clock, limits, hasher: RandomState::new(), shards }))
    }

    #[must_use]
    pub fn limits(&self) -> RateLimits {
        self.0.limits
    }

    /// Takes a call from a key's bucket of `limit` calls a minute; a limit of 0 takes nothing.
    #[must_use]
    pub fn take(&self, key: &str, limit: u32) -> RateState {
        self.take_hash(self.0.hasher.hash_one(("key", key)), limit)
    }

    /// Takes a call from a user's bucket; `key` is the user's id, or a whole token.
    #[must_use]
    pub fn take_user(&self, key: &str) -> RateState {
        self.take(key, self.0.limits.user)
    }

    /// Takes a call from the bucket of clients without a credential.
    #[must_use]
    pub fn take_anonymous(&self, peer: IpAddr) -> RateState {
        self.take_hash(self.0.hasher.hash_one(("anonymous", prefix(peer))), self.0.limits.anonymous)
    }

    /// Takes a call from the bucket of sign-in addresses.
    #[must_use]
    pub fn take_sign_in(&self, peer: IpAddr) -> RateState {
        self.take_hash(self.0.hasher.hash_one(("sign-in", prefix(peer))), self.0.limits.sign_in)
    }

    /// The state of a call that counts nowhere.
    #[must_use]
    pub fn unlimited(&self) -> RateState {
        let (_, reset_s, wait_s) = self.window();
        RateState { limit: UNLIMITED, remaining: UNLIMITED, reset_s, wait_s, allowed: true }
    }

    /// Number of the minute, its end, and seconds until then.
    fn window(&self) -> (u64, u64, u64) {
        let now_s = u64::try_from(self.0.clock.now_ms().div_euclid(1_000)).unwrap_or(0);
        let minute = now_s / WINDOW_S;
        let reset_s = (minute + 1) * WINDOW_S;
        (minute, reset_s, reset_s - now_s)
    }

    fn take_hash(&self, hash: u64, limit: u32) -> RateState {
        if limit == 0 {
            return self.unlimited();
        }
        let (minute, reset_s, wait_s) = self.window();
        let shard = &self.0.shards[usize::from(hash.to_le_bytes()[7]) % SHARDS];
        let used = {
            let mut window = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if window.minute != minute {
                // A new map also gives back the memory of a crowded minute.
                *window = Window { minute, ..Window::default() };
            }
            let full = window.counts.len() >= KEYS_MAX / SHARDS;
            let count = if full && !window.counts.contains_key(&hash) {
                &mut window.others
            } else {
                window.counts.entry(hash).or_default()
            };
            *count = count.saturating_add(1);
            *count
        };
        let remaining = limit.saturating_sub(used);
        RateState { limit, remaining, reset_s, wait_s, allowed: used <= limit }
    }
}

/// What one client can be expected to own of the address space.
fn prefix(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> (128 - V6_PREFIX_BITS) << (128 - V6_PREFIX_BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_at_the_minute() {
        let (clock, hand) = Clock::manual(90_000);
        let rate = Rate::new(clock, RateLimits::default());
        let first = rate.take("usr_1", 2);
        assert_eq!((first.limit, first.remaining, first.allowed), (2, 1, true));
        assert_eq!((first.reset_s, first.wait_s), (120, 30));
        assert!(rate.take("usr_1", 2).allowed);
        let third = rate.take("usr_1", 2);
        assert_eq!((third.remaining, third.allowed), (0, false));
        assert!(rate.take("usr_2", 2).allowed);
        hand.advance_ms(30_000);
        assert_eq!(rate.take("usr_1", 2).remaining, 1);
    }

    #[test]
    fn s33_addresses_of_one_prefix_share_a_bucket() {
        let (clock, _hand) = Clock::manual(0);
        let rate = Rate::new(clock, RateLimits { sign_in: 1, ..RateLimits::default() });
        assert!(rate.take_sign_in("2001:db8::1".parse().unwrap()).allowed);
        assert!(!rate.take_sign_in("2001:db8::2".parse().unwrap()).allowed);
        assert!(rate.take_sign_in("2001:db8:0:1::1".parse().unwrap()).allowed);
        assert!(rate.take_sign_in("192.0.2.1".parse().unwrap()).allowed);
        assert!(!rate.take_sign_in("::ffff:192.0.2.1".parse().unwrap()).allowed);
        assert!(rate.take_anonymous("192.0.2.1".parse().unwrap()).allowed);
    }

    #[test]
    fn memory_is_bounded_by_a_shared_bucket() {
        let (clock, _hand) = Clock::manual(0);
        let rate = Rate::new(clock, RateLimits::default());
        let mut refused = 0;
        for n in 0..KEYS_MAX + 10_000 {
            refused += usize::from(!rate.take(&n.to_string(), 5).allowed);
        }
        let held: usize = rate.0.shards.iter().map(|s| s.lock().unwrap().counts.len()).sum();
        assert!(held <= KEYS_MAX);
        assert!(refused > 5_000);
    }

    #[test]
    fn no_limit_says_a_large_number() {
        let (clock, _hand) = Clock::manual(0);
        let rate = Rate::new(clock, RateLimits::none());
        let state = rate.take_user("usr_1");
        assert_eq!((state.limit, state.remaining, state.allowed), (UNLIMITED, UNLIMITED, true));
    }
}
