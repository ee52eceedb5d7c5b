//! Words of texts, and search expressions over them.
//!
//! A word is a run of letters and digits, lower-cased. The full-text index is fed with words that are already taken apart
//! ([`text_of`]), so that the index and [`Search::matches`] see the same ones; a property test holds the two equal.
//!
//! Knows the user syntax of the stack protocol (section 9.5) and that of live (6.6). Does not know SQL.
//!
//! Invariants
//! W1. A [`Search`] has at most [`TERMS_MAX`] words and phrases and nests at most [`NESTING_MAX`] deep in parentheses.
//! W2. Printed for the index, every term is quoted and holds letters and digits only: no text of a caller is an operator.
//! W3. An expression of which nothing remains matches nothing, never everything.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Words and phrases in one expression (SECURITY S58).
pub const TERMS_MAX: usize = 32;
/// Length of an expression.
pub const SEARCH_BYTES_MAX: usize = 1_000;
/// Parentheses within parentheses that count; deeper ones are ignored.
pub const NESTING_MAX: usize = 2;
/// Longer strings are data, not text, and are not searched.
pub const STRING_BYTES_MAX: usize = 256 * 1024;
/// Words are cut to this length, in the index and in expressions.
pub const WORD_BYTES_MAX: usize = 256;

/// The words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|sign: char| !sign.is_alphanumeric()).filter(|run| !run.is_empty()).map(|run| {
        let mut word = String::with_capacity(run.len());
        for sign in run.chars().flat_map(char::to_lowercase) {
            if word.len() + sign.len_utf8() > WORD_BYTES_MAX {
                break;
            }
            word.push(sign);
        }
        word
    })
}

/// The words of every string in a content, nested ones included, as the index takes them: separated by one blank. A phrase
/// may run from one string into the next.
#[must_use]
pub fn text_of(content: &Map<String, Value>) -> String {
    let mut out = String::new();
    each_string(content, &mut |text| {
        for word in words(text) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(&word);
        }
    });
    out
}

/// The words of every string in a content, in the order of [`text_of`].
#[must_use]
pub fn words_of(content: &Map<String, Value>) -> Vec<String> {
    let mut out = Vec::new();
    each_string(content, &mut |text| out.extend(words(text)));
    out
}

/// Content nests at most `util::json::DEPTH_MAX` deep.
fn each_string(content: &Map<String, Value>, each: &mut dyn FnMut(&str)) {
    fn visit(value: &Value, each: &mut dyn FnMut(&str)) {
        match value {
            Value::String(text) if text.len() <= STRING_BYTES_MAX => each(text),
            Value::Array(items) => items.iter().for_each(|item| visit(item, each)),
            Value::Object(members) => members.values().for_each(|member| visit(member, each)),
            _ => {}
        }
    }
    content.values().for_each(|value| visit(value, each));
}

/// What to find. Its serialised form is for SQL parameters only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Search {
    /// Nothing remained of the expression: no record matches.
    Nothing,
    /// One word, or several in this order without others between.
    Phrase(Vec<String>),
    And(Vec<Search>),
    Or(Vec<Search>),
    /// The first, but not the second.
    Without(Box<Search>, Box<Search>),
}

/// Why an expression was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchFault {
    #[error("a search has at most {SEARCH_BYTES_MAX} bytes")]
    TooLong,
    #[error("a search has at most {TERMS_MAX} words and phrases")]
    TooManyTerms,
    #[error("a quoted phrase has no end")]
    OpenPhrase,
    #[error("{0} needs something on both sides")]
    Dangling(&'static str),
}

impl Search {
    /// Reads the syntax of the stack protocol: words, `"quoted phrases"`, `AND`, `OR`, `a NOT b`, parentheses. `*` is
    /// dropped, `:` is a blank, `NEAR(a b, n)` stands for its terms, a `NOT` without left side is dropped, parentheses are
    /// balanced and count down to [`NESTING_MAX`], empty pairs go away. Words side by side bind tighter than `NOT`, that
    /// tighter than `AND`, that tighter than `OR`.
    ///
    /// # Errors
    /// [`SearchFault`]: too long, too many terms, or an operator without a side.
    pub fn parse(text: &str) -> Result<Self, SearchFault> {
        let marks = clean(marks(text)?);
        let mut parser = Parser { marks, at: 0 };
        if parser.marks.is_empty() {
            return Ok(Self::Nothing);
        }
        parser.either()
    }

    /// Every word of a text, in any order: the syntax of live.
    ///
    /// # Errors
    /// [`SearchFault`]: too long or too many words.
    pub fn all_words(text: &str) -> Result<Self, SearchFault> {
        check_length(text)?;
        let mut terms: Vec<_> = words(text).map(|word| Self::Phrase(vec![word])).collect();
        if terms.len() > TERMS_MAX {
            return Err(SearchFault::TooManyTerms);
        }
        Ok(match terms.len() {
            0 => Self::Nothing,
            1 => terms.remove(0),
            _ => Self::And(terms),
        })
    }

    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    /// Whether a list of words, as [`words_of`] makes it, matches.
    #[must_use]
    pub fn matches(&self, words: &[String]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Phrase(phrase) => words.windows(phrase.len()).any(|run| run == phrase),
            Self::And(parts) => parts.iter().all(|part| part.matches(words)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(words)),
            Self::Without(with, without) => with.matches(words) && !without.matches(words),
        }
    }

    /// Whether the texts in a content match.
    #[must_use]
    pub fn matches_content(&self, content: &Map<String, Value>) -> bool {
        self.matches(&words_of(content))
    }

    /// The expression for FTS5; `None` when nothing can match.
    #[must_use]
    pub fn to_fts5(&self) -> Option<String> {
        if self.is_nothing() {
            return None;
        }
        let mut out = String::new();
        self.print(&mut out);
        Some(out)
    }

    fn print(&self, out: &mut String) {
        let list = |out: &mut String, parts: &[Self], between: &str| {
            out.push('(');
            for (n, part) in parts.iter().enumerate() {
                if n > 0 {
                    out.push_str(between);
                }
                part.print(out);
            }
            out.push(')');
        };
        match self {
            Self::Nothing => {}
            Self::Phrase(words) => {
                out.push('"');
                out.push_str(&words.join(" "));
                out.push('"');
            }
            Self::And(parts) => list(out, parts, " AND "),
            Self::Or(parts) => list(out, parts, " OR "),
            Self::Without(with, without) => {
                out.push('(');
                with.print(out);
                out.push_str(" NOT ");
                without.print(out);
                out.push(')');
            }
        }
    }
}

fn check_length(text: &str) -> Result<(), SearchFault> {
    if text.len() > SEARCH_BYTES_MAX { Err(SearchFault::TooLong) } else { Ok(()) }
}

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Term(Vec<String>),
    And,
    Or,
    Not,
    Open,
    Close,
}

/// Takes an expression apart; terms without a word are gone already.
fn marks(text: &str) -> Result<Vec<Mark>, SearchFault> {
    check_length(text)?;
    let mut marks = Vec::new();
    let mut terms = 0;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|sign: char| sign.is_whitespace() || "*:".contains(sign));
        let Some(first) = rest.chars().next() else { return Ok(marks) };
        let length = match first {
            '(' | ')' => {
                marks.push(if first == '(' { Mark::Open } else { Mark::Close });
                1
            }
            '"' => {
                let inside = &rest[1..];
                let end = inside.find('"').ok_or(SearchFault::OpenPhrase)?;
                push_term(&mut marks, &mut terms, &inside[..end])?;
                end + 2
            }
            _ => {
                let ends = |sign: char| sign.is_whitespace() || "()\":".contains(sign);
                let end = rest.find(ends).unwrap_or(rest.len());
                match &rest[..end] {
                    "AND" => marks.push(Mark::And),
                    "OR" => marks.push(Mark::Or),
                    "NOT" => marks.push(Mark::Not),
                    "NEAR" if rest[end..].starts_with('(') => {
                        let inside = &rest[end + 1..];
                        let close = inside.find(')').unwrap_or(inside.len());
                        for part in near_terms(&inside[..close]) {
                            push_term(&mut marks, &mut terms, part)?;
                        }
                        rest = &inside[(close + 1).min(inside.len())..];
                        continue;
                    }
                    word => push_term(&mut marks, &mut terms, word)?,
                }
                end
            }
        };
        rest = &rest[length..];
    }
}

fn push_term(marks: &mut Vec<Mark>, terms: &mut usize, text: &str) -> Result<(), SearchFault> {
    let words: Vec<_> = words(text).collect();
    if !words.is_empty() {
        *terms += 1;
        if *terms > TERMS_MAX {
            return Err(SearchFault::TooManyTerms);
        }
        marks.push(Mark::Term(words));
    }
    Ok(())
}

/// `a "b c", 5`: its words and phrases; the number behind the last comma is the distance.
fn near_terms(inside: &str) -> impl Iterator<Item = &str> {
    let terms = match inside.rsplit_once(',') {
        Some((terms, distance)) if distance.trim().bytes().all(|b| b.is_ascii_digit()) => terms,
        _ => inside,
    };
    // Odd pieces between quotes are phrases.
    terms.split('"').enumerate().flat_map(|(n, piece)| {
        let whole = n % 2 == 1;
        piece.split(move |sign: char| !whole && sign.is_whitespace())
    })
}

/// Balances parentheses, drops those that are too deep or empty, and each `NOT` without a left side.
fn clean(marks: Vec<Mark>) -> Vec<Mark> {
    let mut out: Vec<Mark> = Vec::with_capacity(marks.len());
    // Whether each open parenthesis is kept.
    let mut open: Vec<bool> = Vec::new();
    let close = |out: &mut Vec<Mark>| {
        if out.last() == Some(&Mark::Open) {
            out.pop();
        } else {
            out.push(Mark::Close);
        }
    };
    for mark in marks {
        match mark {
            Mark::Open => {
                let keep = open.iter().filter(|kept| **kept).count() < NESTING_MAX;
                open.push(keep);
                if keep {
                    out.push(Mark::Open);
                }
            }
            Mark::Close => {
                if open.pop() == Some(true) {
                    close(&mut out);
                }
            }
            Mark::Not if !matches!(out.last(), Some(Mark::Term(_) | Mark::Close)) => {}
            mark => out.push(mark),
        }
    }
    while let Some(kept) = open.pop() {
        if kept {
            close(&mut out);
        }
    }
    out
}

struct Parser {
    marks: Vec<Mark>,
    at: usize,
}

impl Parser {
    fn take(&mut self, mark: &Mark) -> bool {
        let found = self.marks.get(self.at) == Some(mark);
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Search, SearchFault> {
        let mut parts = vec![self.both("OR")?];
        while self.take(&Mark::Or) {
            parts.push(self.both("OR")?);
        }
        Ok(joined(parts, Search::Or))
    }

    fn both(&mut self, operator: &'static str) -> Result<Search, SearchFault> {
        let mut parts = vec![self.without(operator)?];
        while self.take(&Mark::And) {
            parts.push(self.without("AND")?);
        }
        Ok(joined(parts, Search::And))
    }

    fn without(&mut self, operator: &'static str) -> Result<Search, SearchFault> {
        let mut found = self.beside(operator)?;
        while self.take(&Mark::Not) {
            found = Search::Without(Box::new(found), Box::new(self.beside("NOT")?));
        }
        Ok(found)
    }

    /// Terms and groups side by side. `operator` stands before, for the error.
    fn beside(&mut self, operator: &'static str) -> Result<Search, SearchFault> {
        let mut parts = Vec::new();
        loop {
            match self.marks.get(self.at) {
                Some(Mark::Term(words)) => {
                    parts.push(Search::Phrase(words.clone()));
                    self.at += 1;
                }
                Some(Mark::Open) => {
                    self.at += 1;
                    parts.push(self.either()?);
                    self.at += 1; // Its end is there: `clean` balanced them.
                }
                Some(Mark::And) if parts.is_empty() => return Err(SearchFault::Dangling("AND")),
                Some(Mark::Or) if parts.is_empty() => return Err(SearchFault::Dangling("OR")),
                _ if parts.is_empty() => return Err(SearchFault::Dangling(operator)),
                _ => return Ok(joined(parts, Search::And)),
            }
        }
    }
}

fn joined(mut parts: Vec<Search>, join: fn(Vec<Search>) -> Search) -> Search {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    fn printed(text: &str) -> String {
        Search::parse(text).unwrap().to_fts5().unwrap_or_else(|| "-".to_owned())
    }

    #[test]
    fn words_are_lower_cased_runs_of_letters_and_digits() {
        let found: Vec<_> = words("Éa-b_c 12x, ДОМ! ß²").collect();
        assert_eq!(found, ["éa", "b", "c", "12x", "дом", "ß²"]);
        assert_eq!(words(&"ä".repeat(200)).next().unwrap().len(), WORD_BYTES_MAX);
    }

    #[test]
    fn text_of_takes_every_string() {
        let content = r#"{"a":"One two","n":5,"b":{"c":["Three",{"d":"four"}]},"e":null,"f":"--"}"#;
        let content = parse_object(content.as_bytes()).unwrap();
        assert_eq!(text_of(&content), "one two three four");
        assert_eq!(words_of(&content), ["one", "two", "three", "four"]);
        let mut long = Map::new();
        long.insert("a".to_owned(), Value::from("x".repeat(STRING_BYTES_MAX + 1)));
        assert_eq!(text_of(&long), "");
    }

    #[test]
    fn expressions_are_cleaned_and_printed_with_every_term_quoted() {
        let cases = [
            ("Alpha", r#""alpha""#),
            ("alpha beta", r#"("alpha" AND "beta")"#),
            ("alpha AND beta OR gamma", r#"(("alpha" AND "beta") OR "gamma")"#),
            ("a OR b c", r#"("a" OR ("b" AND "c"))"#),
            ("a NOT b", r#"("a" NOT "b")"#),
            ("a NOT b NOT c", r#"(("a" NOT "b") NOT "c")"#),
            ("NOT a", r#""a""#),
            ("(NOT a) b", r#"("a" AND "b")"#),
            ("a NOT NOT b", r#"("a" NOT "b")"#),
            ("\"alpha beta\" gamma", r#"("alpha beta" AND "gamma")"#),
            ("foo*", r#""foo""#),
            ("* foo", r#""foo""#),
            ("title:foo", r#"("title" AND "foo")"#),
            ("NEAR(a b, 5) c", r#"("a" AND "b" AND "c")"#),
            ("NEAR(a \"b c\")", r#"("a" AND "b c")"#),
            ("NEAR(a b", r#"("a" AND "b")"#),
            ("near", r#""near""#),
            ("NEAR", r#""near""#),
            ("don't", r#""don t""#),
            ("(a", r#""a""#),
            ("a)) b", r#"("a" AND "b")"#),
            ("a () b", r#"("a" AND "b")"#),
            ("(( )) a", r#""a""#),
            ("(a OR b) c", r#"(("a" OR "b") AND "c")"#),
            ("((((a OR b)))) NOT c", r#"(("a" OR "b") NOT "c")"#),
            ("and or not", r#"("and" AND "or" AND "not")"#),
            ("a{b}^c", r#""a b c""#),
            ("", "-"),
            ("*", "-"),
            ("()", "-"),
            ("NOT", "-"),
            ("- + ^", "-"),
            ("\"\"", "-"),
        ];
        for (text, expected) in cases {
            assert_eq!(printed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        use SearchFault::{Dangling, OpenPhrase, TooLong, TooManyTerms};
        let many = "a ".repeat(TERMS_MAX + 1);
        let long = "a".repeat(SEARCH_BYTES_MAX + 1);
        let cases = [
            ("AND a", Dangling("AND")),
            ("a AND", Dangling("AND")),
            ("a OR", Dangling("OR")),
            ("OR", Dangling("OR")),
            ("a NOT", Dangling("NOT")),
            ("a AND OR b", Dangling("OR")),
            ("(a AND) b", Dangling("AND")),
            ("a \"b", OpenPhrase),
            (many.as_str(), TooManyTerms),
            (long.as_str(), TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(Search::parse(text), Err(expected), "{text}");
        }
        assert_eq!(Search::all_words(&many), Err(TooManyTerms));
    }

    #[test]
    fn matches_in_memory() {
        let words: Vec<_> = words("the quick brown fox").collect();
        let cases = [
            ("quick", true),
            ("qui", false),
            ("\"quick brown\"", true),
            ("\"brown quick\"", false),
            ("fox quick", true),
            ("fox cat", false),
            ("fox OR cat", true),
            ("fox NOT cat", true),
            ("fox NOT quick", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(Search::parse(text).unwrap().matches(&words), expected, "{text}");
        }
        assert!(Search::all_words("FOX, the AND").unwrap().to_fts5().unwrap().contains("\"and\""));
    }

    #[test]
    fn no_text_breaks_the_parser() {
        use proptest::prelude::*;
        let config = ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            failure_persistence: None,
            ..ProptestConfig::with_cases(500)
        };
        proptest!(config, |(text in "(AND|OR|NOT|NEAR|[()\"*: ,a-cé5]){0,20}")| {
            if let Ok(search) = Search::parse(&text) {
                let printed = search.to_fts5().unwrap_or_default();
                prop_assert_eq!(printed.matches('(').count(), printed.matches(')').count());
            }
        });
    }
}
