//! Latencies: nanoseconds in, quantiles out, within about one per cent.
//!
//! Log-linear: each power of two is split into [`SUB`] / 2 equal buckets, so memory is fixed however
//! long a run is.

const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
/// Enough for every `u64`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * (SUB / 2) + SUB / 2;

#[derive(Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    pub count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl Histogram {
    pub fn add(&mut self, nanoseconds: u64) {
        self.buckets[index(nanoseconds)] += 1;
        self.count += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The value below which `share` (0 to 1) of all values lie, in microseconds; 0 when empty.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(n).min(self.max) as f64 / 1e3;
            }
        }
        self.max as f64 / 1e3
    }
}

fn index(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - (SUB_BITS - 1);
    shift as usize * (SUB / 2) + (value >> shift) as usize
}

/// The largest value of bucket `n`.
fn upper(n: usize) -> u64 {
    if n < SUB {
        return n as u64;
    }
    let shift = (n - SUB / 2) / (SUB / 2);
    let sub = n - shift * (SUB / 2);
    ((sub as u64 + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_and_are_narrow() {
        let mut last = 0;
        for value in 0..500_000_u64 {
            let n = index(value);
            assert!(n == last || n == last + 1, "gap at {value}");
            last = n;
            assert!(upper(n) >= value && upper(n) as f64 <= value as f64 * 1.017 + 1.0, "{value}");
        }
        assert!(index(u64::MAX) < BUCKETS);
        assert_eq!(upper(index(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_close() {
        let mut all = Histogram::default();
        assert_eq!(all.quantile_us(0.5), 0.0);
        for value in 1..=1000_u64 {
            all.add(value * 1000);
        }
        assert!((all.quantile_us(0.5) - 500.0).abs() < 10.0);
        assert!((all.quantile_us(0.99) - 990.0).abs() < 15.0);
        assert_eq!(all.quantile_us(1.0), 1000.0);
    }
}
