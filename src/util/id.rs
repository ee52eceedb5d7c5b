//! Record ids: 45 bits of milliseconds and 15 bits of suffix, as a number and as text.
//!
//! As text an id is 12 characters of lower-case Crockford base 32: nine for the milliseconds since
//! the Unix epoch, three for the suffix. Number order, text order and time order are the same.
//!
//! Knows the format and how to mint. Does not know which ids are taken, nor the fixed ids
//! (`_config`), which are aliases.
//!
//! Invariants
//! I1. A [`RecordId`] is always in `0..2^60`, so it always prints and orders as above.
//! I2. One [`IdMint`] gives strictly rising ids, whatever the clock does.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::clock::Clock;
use super::rng::Rng;

/// Characters in an id.
pub const ID_CHARS: usize = 12;
/// Characters of the timestamp part.
pub const TIMESTAMP_CHARS: usize = 9;
/// The largest instant an id can carry, in milliseconds since the Unix epoch (the year 3084).
pub const TIMESTAMP_MS_MAX: i64 = (1 << 45) - 1;
/// How far ahead of the clock an id handed to [`IdMint::observe`] may lie and still count: the
/// skew the protocol allows to ids chosen by clients. Beyond it, one imported id from the far
/// future would drag all later ids with it.
pub const OBSERVE_AHEAD_MS_MAX: i64 = 24 * 3_600_000;

const SUFFIX_BITS: u32 = 15;
const SUFFIX_MAX: i64 = (1 << SUFFIX_BITS) - 1;
const ID_MAX: i64 = (1 << 60) - 1;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const _: () = assert!(ID_MAX == (TIMESTAMP_MS_MAX << SUFFIX_BITS) | SUFFIX_MAX);

/// The id of a record.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordId(i64);

impl RecordId {
    /// The smallest id, for "after nothing".
    pub const MIN: Self = Self(0);
    /// The largest id, for "before nothing".
    pub const MAX: Self = Self(ID_MAX);

    /// The id with this number; `None` outside `0..2^60`.
    #[must_use]
    pub const fn from_i64(number: i64) -> Option<Self> {
        if number >= 0 && number <= ID_MAX { Some(Self(number)) } else { None }
    }

    /// The id as a number in `0..2^60`.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// Reads the text form: `^[0-9a-hjkmnp-tv-z]{12}$`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_CHARS {
            return None;
        }
        let mut number = 0;
        for byte in text.bytes() {
            number = number << 5 | digit(byte)?;
        }
        Some(Self(number))
    }

    /// The instant in the id, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp_ms(self) -> i64 {
        self.0 >> SUFFIX_BITS
    }

    /// Appends the text form, always [`ID_CHARS`] ASCII characters.
    pub fn push_to(self, out: &mut String) {
        push_base32(out, self.0, ID_CHARS);
    }

    fn new(timestamp_ms: i64, suffix: i64) -> Self {
        Self(timestamp_ms.clamp(0, TIMESTAMP_MS_MAX) << SUFFIX_BITS | suffix & SUFFIX_MAX)
    }

    fn suffix(self) -> i64 {
        self.0 & SUFFIX_MAX
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(ID_CHARS);
        self.push_to(&mut text);
        f.pad(&text)
    }
}

/// The nine characters for an instant; outside `0..=`[`TIMESTAMP_MS_MAX`] the nearest end.
#[must_use]
pub fn encode_timestamp(timestamp_ms: i64) -> String {
    let mut out = String::with_capacity(TIMESTAMP_CHARS);
    push_base32(&mut out, timestamp_ms.clamp(0, TIMESTAMP_MS_MAX), TIMESTAMP_CHARS);
    out
}

/// Mints ids. Shared between threads; one per file.
#[derive(Debug)]
pub struct IdMint {
    clock: Clock,
    rng: Rng,
    last: Mutex<Option<RecordId>>,
}

impl IdMint {
    /// A mint that has given nothing yet.
    #[must_use]
    pub fn new(clock: Clock, rng: Rng) -> Self {
        Self { clock, rng, last: Mutex::new(None) }
    }

    /// The next id: now and a random suffix; within one millisecond the previous suffix plus one;
    /// with the suffixes used up, the next millisecond and a new random suffix. A clock that steps
    /// back counts as standing still.
    #[must_use]
    pub fn mint(&self) -> RecordId {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms().clamp(0, TIMESTAMP_MS_MAX);
        let next = match *last {
            Some(before) if now_ms <= before.timestamp_ms() => {
                if before.suffix() < SUFFIX_MAX {
                    RecordId(before.0 + 1)
                } else {
                    RecordId::new(before.timestamp_ms() + 1, i64::from(self.rng.u15()))
                }
            }
            _ => RecordId::new(now_ms, i64::from(self.rng.u15())),
        };
        *last = Some(next);
        next
    }

    /// Promises that later ids are above `id`: called with a file's last id when it is opened.
    ///
    /// An id more than [`OBSERVE_AHEAD_MS_MAX`] ahead of the clock is ignored.
    pub fn observe(&self, id: RecordId) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead_ms = id.timestamp_ms().saturating_sub(self.clock.now_ms());
        if ahead_ms <= OBSERVE_AHEAD_MS_MAX && last.is_none_or(|before| before < id) {
            *last = Some(id);
        }
    }
}

fn push_base32(out: &mut String, number: i64, chars: usize) {
    for place in (0..chars).rev() {
        let digit = usize::try_from(number >> (5 * place) & 31).unwrap_or(0);
        out.push(char::from(ALPHABET[digit]));
    }
}

fn digit(byte: u8) -> Option<i64> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'h' => byte - b'a' + 10,
        b'j' | b'k' => byte - b'j' + 18,
        b'm' | b'n' => byte - b'm' + 20,
        b'p'..=b't' => byte - b'p' + 22,
        b'v'..=b'z' => byte - b'v' + 27,
        _ => return None,
    };
    Some(i64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_vectors() {
        let vectors = [
            (0, "000000000"),
            (1, "000000001"),
            (1_704_067_200_000, "1hk153x00"),
            (1_755_806_400_000, "1k373ezg0"),
            (1_700_000_000_123, "1hf7yat3v"),
            (35_184_372_088_831, "zzzzzzzzz"),
        ];
        for (ms, text) in vectors {
            assert_eq!(encode_timestamp(ms), text);
            let id = RecordId::parse(&format!("{text}001")).unwrap();
            assert_eq!((id.timestamp_ms(), id.suffix()), (ms, 1));
            assert_eq!(id.to_string(), format!("{text}001"));
        }
    }

    #[test]
    fn alphabet_and_digits_agree() {
        for (value, byte) in ALPHABET.iter().enumerate() {
            assert_eq!(digit(*byte), i64::try_from(value).ok());
        }
        assert_eq!((0..=255).filter(|byte| digit(*byte).is_some()).count(), 32);
    }

    #[test]
    fn only_the_exact_form_is_read() {
        for text in [
            "",
            "1hk153x0000",
            "1hk153x000011",
            "1HK153X00001",
            "1hk153x0000i",
            "1hk153x0000u",
            "_config",
        ] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
        assert_eq!(RecordId::from_i64(-1), None);
        assert_eq!(RecordId::from_i64(1 << 60), None);
        assert_eq!(RecordId::parse("zzzzzzzzzzzz"), Some(RecordId::MAX));
        assert_eq!(RecordId::parse("000000000000"), RecordId::from_i64(0));
    }

    #[test]
    fn mint_rises_in_one_millisecond_and_when_the_clock_steps_back() {
        let (clock, hand) = Clock::manual(1_704_067_200_000);
        let mint = IdMint::new(clock, Rng::seeded(1));
        let first = mint.mint();
        assert_eq!(first.timestamp_ms(), 1_704_067_200_000);
        assert_eq!(mint.mint().as_i64(), first.as_i64() + 1);
        hand.advance_ms(-5_000);
        assert_eq!(mint.mint().as_i64(), first.as_i64() + 2);
        hand.advance_ms(6_000);
        assert_eq!(mint.mint().timestamp_ms(), 1_704_067_201_000);
    }

    #[test]
    fn used_up_suffixes_take_the_next_millisecond() {
        let (clock, _) = Clock::manual(1_000);
        let mint = IdMint::new(clock, Rng::seeded(2));
        mint.observe(RecordId::new(1_000, SUFFIX_MAX - 1));
        assert_eq!(mint.mint(), RecordId::new(1_000, SUFFIX_MAX));
        let next = mint.mint();
        assert_eq!(next.timestamp_ms(), 1_001);
        assert_eq!(mint.mint().as_i64(), next.as_i64() + 1);
    }

    #[test]
    fn observe_never_lowers_and_ignores_the_far_future() {
        let (clock, _) = Clock::manual(1_000_000);
        let mint = IdMint::new(clock, Rng::seeded(3));
        let near = RecordId::new(1_000_000 + OBSERVE_AHEAD_MS_MAX, 5);
        mint.observe(near);
        mint.observe(RecordId::new(1, 1));
        mint.observe(RecordId::MAX);
        assert_eq!(mint.mint().as_i64(), near.as_i64() + 1);
    }

    #[test]
    fn threads_never_get_the_same_id() {
        let mint = IdMint::new(Clock::system(), Rng::os());
        let mut all: Vec<RecordId> = std::thread::scope(|scope| {
            let hands: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..2_000).map(|_| mint.mint()).collect::<Vec<_>>()))
                .collect();
            hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
        });
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8_000);
    }
}
