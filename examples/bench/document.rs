//! The documents every target stores: 300 bytes of JSON each, the same for the same seed.
//!
//! Knows what the fields are for. `author` is what indexed lists filter by, `score` is what no index
//! covers, the body holds one rare word of [`RARE_WORDS`] and, in every third document, [`COMMON`].

use std::fmt::Write;

/// Bytes of a document's JSON text.
pub const DOCUMENT_BYTES: usize = 300;
/// The word in a third of all documents.
pub const COMMON: &str = "cairn";
/// How many rare words there are; each document holds one of them.
pub const RARE_WORDS: u64 = 10_000;
/// `score` is below this.
pub const SCORES: u64 = 1_000_000;

const WORDS: &[&str] = &[
    "harbor", "willow", "copper", "lantern", "meadow", "signal", "ribbon", "granite", "velvet",
    "summit", "orchard", "thistle", "paper", "window", "river", "marble", "garden", "engine",
    "letter", "basket", "silver", "candle", "bridge", "forest", "island", "mirror", "pocket",
    "saddle", "timber", "violin", "walnut", "anchor",
];

/// A small generator (xorshift), so that runs repeat exactly.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform enough in `0..n`; `n` is at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }
}

/// How many authors share `records` documents: each has at least 100, so that a page of 50 is full.
pub fn authors(records: u64) -> u64 {
    (records / 100).clamp(1, 1000)
}

/// Document number `n`, exactly [`DOCUMENT_BYTES`] long.
pub fn document(random: &mut Random, n: u64, authors: u64) -> String {
    let mut text = String::with_capacity(DOCUMENT_BYTES + 16);
    let _ = write!(
        text,
        r#"{{"title":"{} {} {n}","status":"s{}","author":"u{}","score":{},"done":{},"tags":["{}","{}"],"body":"rare{}"#,
        random.word(),
        random.word(),
        random.below(10),
        random.below(authors),
        random.below(SCORES),
        random.below(2) == 1,
        random.word(),
        random.word(),
        random.below(RARE_WORDS),
    );
    if n.is_multiple_of(3) {
        let _ = write!(text, " {COMMON}");
    }
    while text.len() < DOCUMENT_BYTES - 2 {
        let _ = write!(text, " {}", random.word());
    }
    text.truncate(DOCUMENT_BYTES - 2);
    text.push_str("\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_one_length() {
        let mut random = Random::new(1);
        for n in 0..2000 {
            let text = document(&mut random, n * 1_000_003, 1000);
            assert_eq!(text.len(), DOCUMENT_BYTES, "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert!(value["author"].as_str().expect("text").starts_with('u'));
        }
    }
}
