//! Pattern match with `%`, `_` and `\`, ignoring case.
//!
//! The pattern runs as a set of states, one bit each, over the text: cost is text x pattern / 64 whatever the pattern, so no
//! text makes a pattern slow.

/// Longest pattern; a longer one never matches.
pub const PATTERN_CHARS_MAX: usize = 1_000;

/// Whether `text` as a whole matches `pattern`.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let Some(states) = States::read(pattern) else { return false };
    states.run(text)
}

/// State n stands before piece n of the pattern; the last one accepts.
struct States {
    /// Which state a character leaves, by folded character, sorted.
    leaves: Vec<(char, Vec<u64>)>,
    /// States that any character leaves.
    leaves_always: Vec<u64>,
    /// States that any character keeps: behind a `%`.
    stays: Vec<u64>,
    accepting: usize,
}

impl States {
    fn read(pattern: &str) -> Option<Self> {
        let chars = pattern.chars().take(PATTERN_CHARS_MAX + 1).count();
        if chars > PATTERN_CHARS_MAX {
            return None;
        }
        let blocks = chars / 64 + 1;
        let mut states = Self {
            leaves: Vec::new(),
            leaves_always: vec![0; blocks],
            stays: vec![0; blocks],
            accepting: 0,
        };
        let mut at = 0;
        let mut signs = pattern.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '%' => set(&mut states.stays, at),
                '_' => {
                    set(&mut states.leaves_always, at);
                    at += 1;
                }
                _ => {
                    // A lone `\` at the end stands for itself.
                    let literal = if sign == '\\' { signs.next().unwrap_or('\\') } else { sign };
                    let literal = fold(literal);
                    let found = states.leaves.binary_search_by_key(&literal, |entry| entry.0);
                    let place = found.unwrap_or_else(|place| {
                        states.leaves.insert(place, (literal, vec![0; blocks]));
                        place
                    });
                    set(&mut states.leaves[place].1, at);
                    at += 1;
                }
            }
        }
        states.accepting = at;
        Some(states)
    }

    fn run(&self, text: &str) -> bool {
        let blocks = self.stays.len();
        let mut now = vec![0u64; blocks];
        now[0] = 1;
        for sign in text.chars() {
            let found = self.leaves.binary_search_by_key(&fold(sign), |entry| entry.0);
            let leaves = found.ok().map(|place| &self.leaves[place].1);
            let mut carry = 0;
            let mut any = 0;
            for n in 0..blocks {
                let may = self.leaves_always[n] | leaves.map_or(0, |leaves| leaves[n]);
                let moved = now[n] & may;
                now[n] = (now[n] & self.stays[n]) | (moved << 1) | carry;
                carry = moved >> 63;
                any |= now[n];
            }
            if any == 0 {
                return false;
            }
        }
        now[self.accepting / 64] & (1 << (self.accepting % 64)) != 0
    }
}

fn set(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

/// The lower-case form where it is one character.
fn fold(sign: char) -> char {
    let mut lower = sign.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        let cases = [
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "aéc", true),
            ("a_c", "ac", false),
            ("ÉCOLE%", "école", true),
            (r"100\%", "100%", true),
            (r"100\%", "1000", false),
            (r"a\_b", "a_b", true),
            (r"a\_b", "axb", false),
            (r"a\\", r"a\", true),
            (r"a\", r"a\", true),
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%%__%", "ab", true),
            ("%%__%", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(like(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    /// With `%a%a…%b` a backtracking matcher needs longer than the universe has.
    #[test]
    fn no_pattern_is_slow() {
        let pattern = "%a".repeat(PATTERN_CHARS_MAX / 2 - 1) + "%b";
        assert!(!like(&pattern, &"a".repeat(5_000)));
        assert!(!like(&"a".repeat(PATTERN_CHARS_MAX + 1), &"a".repeat(PATTERN_CHARS_MAX + 1)));
    }

    fn simple(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|n| simple(rest, &text[n..])),
            ['_', rest @ ..] => !text.is_empty() && simple(rest, &text[1..]),
            [sign, rest @ ..] => text.first() == Some(sign) && simple(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(300) })]
        #[test]
        fn as_the_definition_says(pattern in "[ab%_]{0,8}", text in "[ab]{0,8}") {
            let signs = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &text), simple(&signs(&pattern), &signs(&text)));
        }

        #[test]
        fn long_patterns_cross_words(head in "[ab_]{60,70}", tail in "[ab%_]{0,5}", text in "[ab]{60,75}") {
            let pattern = format!("{head}{tail}");
            let signs = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &text), simple(&signs(&pattern), &signs(&text)));
            let open = text.clone() + "%";
            prop_assert!(like(&open, &text));
        }
    }
}
