//! Which bytes of something arrived: ranges without overlap, in order.
//!
//! Invariants
//! A1. Ranges are not empty and do not touch: what can be one range is one.
//! A2. There are at most [`RANGES_MAX`] of them.

use crate::engine::error::{Error, Result};
use crate::store::StoreError;

/// Separate ranges that are remembered of one upload.
const RANGES_MAX: usize = 1_024;

/// First byte, and the byte after the last.
pub(super) type Range = (u64, u64);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// Reads what [`Ranges::text`] wrote.
    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map(Self).map_err(|fault| {
            StoreError::Refused(format!("the ranges of an upload are damaged: {fault}")).into()
        })
    }

    pub(super) fn text(&self) -> String {
        let all: Vec<String> =
            self.0.iter().map(|(first, end)| format!("[{first},{end}]")).collect();
        format!("[{}]", all.join(","))
    }

    /// Adds the bytes from `first` to before `end`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when there would be too many separate ranges.
    pub(super) fn add(&mut self, first: u64, end: u64) -> Result<()> {
        if first >= end {
            return Ok(());
        }
        let from = self.0.partition_point(|(_, known_end)| *known_end < first);
        let to = self.0.partition_point(|(known_first, _)| *known_first <= end);
        let touched = self.0.get(from..to).unwrap_or(&[]);
        let first = touched.first().map_or(first, |range| range.0.min(first));
        let end = touched.last().map_or(end, |range| range.1.max(end));
        if touched.is_empty() && self.0.len() >= RANGES_MAX {
            return Err(Error::BadRequest(format!("more than {RANGES_MAX} separate ranges")));
        }
        self.0.splice(from..to.max(from), [(first, end)]);
        Ok(())
    }

    /// How many bytes arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(first, end)| end - first).sum()
    }

    /// The ranges that are missing of `size` bytes.
    pub(super) fn gaps(&self, size: u64) -> Vec<Range> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for (first, end) in &self.0 {
            if at < *first {
                gaps.push((at, *first));
            }
            at = *end;
        }
        if at < size {
            gaps.push((at, size));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    #[test]
    fn touching_ranges_become_one() {
        let mut ranges = Ranges::default();
        for (first, end) in [(10, 20), (0, 5), (5, 5), (30, 40), (20, 25), (26, 30), (25, 26)] {
            ranges.add(first, end).unwrap();
        }
        assert_eq!(ranges.text(), "[[0,5],[10,40]]");
        assert_eq!(Ranges::parse(&ranges.text()).unwrap(), ranges);
        assert_eq!((ranges.bytes(), ranges.gaps(50)), (35, vec![(5, 10), (40, 50)]));
        assert_eq!(Ranges::default().gaps(0), vec![]);
        assert!(Ranges::parse("[[1]]").is_err());
    }

    #[test]
    fn there_is_an_end_to_scattered_ranges() {
        let mut ranges = Ranges::default();
        for n in 0..RANGES_MAX as u64 {
            ranges.add(n * 3, n * 3 + 1).unwrap();
        }
        assert!(ranges.add(100_000, 100_001).is_err());
        ranges.add(1, 3).unwrap();
    }

    proptest! {
        /// Against a set of bytes.
        #[test]
        fn ranges_are_the_bytes_they_stand_for(parts in proptest::collection::vec((0u64..40, 0u64..12), 0..20)) {
            let (mut ranges, mut set) = (Ranges::default(), std::collections::BTreeSet::new());
            for (first, length) in parts {
                ranges.add(first, first + length).unwrap();
                set.extend(first..first + length);
            }
            assert_eq!(ranges.bytes(), set.len() as u64);
            let missing: Vec<u64> = ranges.gaps(60).iter().flat_map(|(f, e)| *f..*e).collect();
            assert_eq!(missing, (0..60).filter(|n| !set.contains(n)).collect::<Vec<_>>());
            assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
