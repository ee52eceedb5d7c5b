//! Randomness, as a handle that is passed in.
//!
//! Knows where random bytes come from and a few texts made of them. Does not know what they
//! protect.
//!
//! Invariants
//! R1. [`Rng::os`] hands out operating-system bytes only, each at most once; the per-thread buffer
//!     is wiped as it is used.
//! R2. [`Rng::seeded`] is for tests: the same seed gives the same bytes. Nothing else makes one.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// How many operating-system bytes a thread fetches at once: one system call per 256 ids.
const BUFFER_BYTES: usize = 4_096;
/// Larger requests skip the buffer.
const BUFFERED_BYTES_MAX: usize = 256;
const _: () = assert!(BUFFERED_BYTES_MAX <= BUFFER_BYTES);

/// Gives random bytes. Cheap to clone; clones of a seeded handle share one sequence.
#[derive(Clone, Debug)]
pub struct Rng(Source);

#[derive(Clone, Debug)]
enum Source {
    Os,
    Seeded(Arc<Mutex<u64>>),
}

struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    used: usize,
}

thread_local! {
    static BUFFER: RefCell<Buffer> =
        const { RefCell::new(Buffer { bytes: [0; BUFFER_BYTES], used: BUFFER_BYTES }) };
}

impl Rng {
    /// The operating system's generator, fit for secrets.
    #[must_use]
    pub fn os() -> Self {
        Self(Source::Os)
    }

    /// A repeatable sequence for tests, unfit for secrets.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(seed))))
    }

    /// Fills `out` with random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: no secret may be made then.
    pub fn fill(&self, out: &mut [u8]) {
        match &self.0 {
            Source::Os if out.len() > BUFFERED_BYTES_MAX => os_fill(out),
            Source::Os => BUFFER.with_borrow_mut(|buffer| buffer.take(out)),
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(8) {
                    chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// `bytes` random bytes as lower-case hex, twice as many characters.
    #[must_use]
    pub fn hex(&self, bytes: usize) -> String {
        let mut raw = vec![0; bytes];
        self.fill(&mut raw);
        let mut out = String::with_capacity(bytes * 2);
        for byte in raw {
            push_hex(&mut out, byte);
        }
        out
    }

    /// `bytes` random bytes as base64url without padding.
    #[must_use]
    pub fn base64url(&self, bytes: usize) -> String {
        let mut raw = vec![0; bytes];
        self.fill(&mut raw);
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// An unbiased number in `0..=32767`.
    #[must_use]
    pub fn u15(&self) -> u16 {
        u16::from_le_bytes(self.bytes()) & 0x7fff
    }

    /// An unbiased-enough 64-bit number, for jitter and sampling.
    #[must_use]
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A random UUID (RFC 9562 version 4), lower-case with hyphens.
    #[must_use]
    pub fn uuid_v4(&self) -> String {
        let mut raw: [u8; 16] = self.bytes();
        raw[6] = raw[6] & 0x0f | 0x40;
        raw[8] = raw[8] & 0x3f | 0x80;
        let mut out = String::with_capacity(36);
        for (place, byte) in raw.into_iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            push_hex(&mut out, byte);
        }
        out
    }
}

impl Buffer {
    fn take(&mut self, out: &mut [u8]) {
        if self.used + out.len() > BUFFER_BYTES {
            os_fill(&mut self.bytes);
            self.used = 0;
        }
        let part = &mut self.bytes[self.used..self.used + out.len()];
        out.copy_from_slice(part);
        part.fill(0);
        self.used += out.len();
    }
}

fn os_fill(out: &mut [u8]) {
    SystemRandom::new().fill(out).expect("the operating system gives random bytes");
}

/// Source: S. Vigna, SplitMix64, public domain reference `splitmix64.c`.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn seeded_repeats_and_os_does_not() {
        assert_eq!(Rng::seeded(7).hex(40), Rng::seeded(7).hex(40));
        assert_ne!(Rng::seeded(7).hex(40), Rng::seeded(8).hex(40));
        let seen: HashSet<String> = (0..5_000).map(|_| Rng::os().hex(16)).collect();
        assert_eq!(seen.len(), 5_000);
    }

    #[test]
    fn large_and_odd_requests_are_filled() {
        for length in [0, 1, 7, 255, 256, 257, 5_000] {
            for rng in [Rng::os(), Rng::seeded(1)] {
                let mut out = vec![0; length];
                rng.fill(&mut out);
                assert!(length < 16 || out.iter().any(|byte| *byte != 0));
            }
        }
    }

    #[test]
    fn texts_have_their_shape() {
        let rng = Rng::os();
        assert_eq!(rng.hex(32).len(), 64);
        assert_eq!(rng.base64url(18).len(), 24);
        let uuid = rng.uuid_v4();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
        assert!((0..1_000).all(|_| rng.u15() < 32_768));
    }
}
