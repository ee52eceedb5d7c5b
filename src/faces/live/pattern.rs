//! Patterns of function arguments (live chapter 10): a small regular-expression engine of our own.
//!
//! Understood: literals, `.`, classes (`[a-z0-9_]`, `[^…]`), `\d \w \s` and their opposites, escapes,
//! groups (`(…)`, `(?:…)`), `|`, `* + ? {n} {n,} {n,m}`, `^` and `$`. Anything else (look-around,
//! back-references, lazy quantifiers, flags) is refused when the pattern is read, so that no pattern
//! means something other than what its author expects.
//!
//! Knows texts. Does not know what they are for.
//!
//! Invariants
//! N1. Matching costs at most length of text times length of program; there is no backtracking.
//! N2. A program has at most [`PROGRAM_STEPS_MAX`] steps, and reading one nests at most
//!     [`GROUP_DEPTH_MAX`] groups.

/// The longest pattern.
pub const PATTERN_BYTES_MAX: usize = 1_000;
/// The longest program; counted repetitions make it grow.
pub const PROGRAM_STEPS_MAX: usize = 2_000;
/// Groups inside groups.
pub const GROUP_DEPTH_MAX: usize = 20;

/// Why a pattern was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    #[error("the pattern is not understood at byte {0}")]
    Syntax(usize),
    #[error("the pattern is too large")]
    TooLarge,
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// One character of the class.
    Take(Class),
    /// Both ways.
    Split(usize, usize),
    Jump(usize),
    Start,
    End,
    Match,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

/// What was read, before it becomes steps.
enum Node {
    Empty,
    Take(Class),
    Start,
    End,
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, min: usize, max: Option<usize> },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternFault`].
    pub fn new(text: &str) -> Result<Self, PatternFault> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternFault::TooLarge);
        }
        let mut reader = Reader { text, at: 0, depth: 0 };
        let node = reader.either()?;
        if reader.at < text.len() {
            return Err(PatternFault::Syntax(reader.at));
        }
        let mut steps = Vec::new();
        compile(&node, &mut steps)?;
        push(&mut steps, Step::Match)?;
        Ok(Self(steps))
    }

    /// Whether some part of `text` matches; `^` and `$` tie it to the ends.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut now = Threads::new(self.0.len());
        let mut next = Threads::new(self.0.len());
        let mut signs = text.chars().peekable();
        let mut at_start = true;
        loop {
            let at_end = signs.peek().is_none();
            // A match may begin anywhere.
            if now.add(&self.0, 0, at_start, at_end) {
                return true;
            }
            let Some(sign) = signs.next() else { return false };
            let at_end = signs.peek().is_none();
            next.clear();
            for step in &now.list {
                if let Step::Take(class) = &self.0[*step]
                    && class.has(sign)
                    && next.add(&self.0, step + 1, false, at_end)
                {
                    return true;
                }
            }
            std::mem::swap(&mut now, &mut next);
            at_start = false;
        }
    }
}

/// The steps that are alive at one place of the text, each once.
struct Threads {
    list: Vec<usize>,
    seen: Vec<bool>,
    pending: Vec<usize>,
}

impl Threads {
    fn new(steps: usize) -> Self {
        Self { list: Vec::new(), seen: vec![false; steps], pending: Vec::new() }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
    }

    /// Follows everything that takes no character; true when that reaches the end of the program.
    fn add(&mut self, steps: &[Step], from: usize, at_start: bool, at_end: bool) -> bool {
        self.pending.push(from);
        while let Some(at) = self.pending.pop() {
            if std::mem::replace(&mut self.seen[at], true) {
                continue;
            }
            match &steps[at] {
                Step::Match => {
                    self.pending.clear();
                    return true;
                }
                Step::Take(_) => self.list.push(at),
                Step::Jump(to) => self.pending.push(*to),
                Step::Split(one, other) => self.pending.extend([*one, *other]),
                Step::Start if at_start => self.pending.push(at + 1),
                Step::End if at_end => self.pending.push(at + 1),
                Step::Start | Step::End => {}
            }
        }
        false
    }
}

impl Class {
    fn of(sign: char) -> Self {
        Self { negated: false, ranges: vec![(sign, sign)] }
    }

    fn has(&self, sign: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&sign)) != self.negated
    }
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const BLANKS: &[(char, char)] = &[('\t', '\r'), (' ', ' '), ('\u{a0}', '\u{a0}')];

fn named_class(letter: char) -> Option<Class> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => DIGITS,
        'w' => WORD,
        's' => BLANKS,
        _ => return None,
    };
    Some(Class { negated: letter.is_ascii_uppercase(), ranges: ranges.to_vec() })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn either(&mut self) -> Result<Node, PatternFault> {
        let mut ways = vec![self.sequence()?];
        while self.eat('|') {
            ways.push(self.sequence()?);
        }
        Ok(if ways.len() == 1 { ways.remove(0) } else { Node::Either(ways) })
    }

    fn sequence(&mut self) -> Result<Node, PatternFault> {
        let mut nodes = Vec::new();
        while let Some(sign) = self.peek().filter(|sign| !matches!(sign, '|' | ')')) {
            let start = self.at;
            let node = self.one(sign)?;
            let tied = matches!(node, Node::Start | Node::End);
            let node = self.repeated(node)?;
            if tied && matches!(node, Node::Repeat { .. }) {
                return Err(PatternFault::Syntax(start));
            }
            nodes.push(node);
        }
        Ok(if nodes.is_empty() { Node::Empty } else { Node::Sequence(nodes) })
    }

    fn one(&mut self, sign: char) -> Result<Node, PatternFault> {
        let fault = PatternFault::Syntax(self.at);
        self.at += sign.len_utf8();
        Ok(match sign {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Take(Class { negated: true, ranges: vec![('\n', '\n'), ('\r', '\r')] }),
            '[' => Node::Take(self.class()?),
            '\\' => Node::Take(self.escape()?),
            '(' => {
                self.depth += 1;
                if self.depth > GROUP_DEPTH_MAX {
                    return Err(PatternFault::TooLarge);
                }
                if self.eat('?') && !self.eat(':') {
                    return Err(fault);
                }
                let inner = self.either()?;
                if !self.eat(')') {
                    return Err(PatternFault::Syntax(self.at));
                }
                self.depth -= 1;
                inner
            }
            '*' | '+' | '?' | '{' | '}' | ']' => return Err(fault),
            _ => Node::Take(Class::of(sign)),
        })
    }

    fn repeated(&mut self, node: Node) -> Result<Node, PatternFault> {
        let start = self.at;
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.at += 1;
                let min = self.number().ok_or(PatternFault::Syntax(start))?;
                let max = if self.eat(',') { self.number() } else { Some(min) };
                if self.peek() != Some('}') || max.is_some_and(|max| max < min) {
                    return Err(PatternFault::Syntax(start));
                }
                (min, max)
            }
            _ => return Ok(node),
        };
        self.at += 1;
        // `a**`, `a+?` and the like mean different things elsewhere.
        if self.peek().is_some_and(|sign| matches!(sign, '*' | '+' | '?' | '{')) {
            return Err(PatternFault::Syntax(self.at));
        }
        Ok(Node::Repeat { node: Box::new(node), min, max })
    }

    fn class(&mut self) -> Result<Class, PatternFault> {
        let mut class = Class { negated: self.eat('^'), ranges: Vec::new() };
        loop {
            let start = self.at;
            let sign = self.next().ok_or(PatternFault::Syntax(start))?;
            let from = match sign {
                ']' if class.ranges.is_empty() => return Err(PatternFault::Syntax(start)),
                ']' => return Ok(class),
                '[' => return Err(PatternFault::Syntax(start)),
                '\\' => {
                    let escaped = self.escape()?;
                    match escaped.ranges.as_slice() {
                        [(one, other)] if one == other && !escaped.negated => *one,
                        _ if escaped.negated => return Err(PatternFault::Syntax(start)),
                        _ => {
                            class.ranges.extend(escaped.ranges);
                            continue;
                        }
                    }
                }
                _ => sign,
            };
            let rest = &self.text[self.at..];
            if !rest.starts_with('-') || rest.starts_with("-]") {
                class.ranges.push((from, from));
                continue;
            }
            self.at += 1;
            let to = match self.next() {
                Some('\\') => match self.escape()?.ranges.as_slice() {
                    [(one, other)] if one == other => *one,
                    _ => return Err(PatternFault::Syntax(start)),
                },
                Some(to) if to != '[' => to,
                _ => return Err(PatternFault::Syntax(start)),
            };
            if to < from {
                return Err(PatternFault::Syntax(start));
            }
            class.ranges.push((from, to));
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<Class, PatternFault> {
        let start = self.at;
        let sign = self.next().ok_or(PatternFault::Syntax(start))?;
        if let Some(class) = named_class(sign) {
            return Ok(class);
        }
        match sign {
            'n' => Ok(Class::of('\n')),
            'r' => Ok(Class::of('\r')),
            't' => Ok(Class::of('\t')),
            _ if sign.is_ascii_punctuation() || sign == ' ' => Ok(Class::of(sign)),
            _ => Err(PatternFault::Syntax(start)),
        }
    }

    fn number(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += digits;
        // Larger counts fail in the compiler, which bounds the program.
        rest[..digits].parse().ok()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.peek()?;
        self.at += sign.len_utf8();
        Some(sign)
    }

    fn eat(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }
}

fn push(steps: &mut Vec<Step>, step: Step) -> Result<usize, PatternFault> {
    if steps.len() >= PROGRAM_STEPS_MAX {
        return Err(PatternFault::TooLarge);
    }
    steps.push(step);
    Ok(steps.len() - 1)
}

/// Recursion is bounded by the depth of groups.
fn compile(node: &Node, steps: &mut Vec<Step>) -> Result<(), PatternFault> {
    match node {
        Node::Empty => {}
        Node::Take(class) => {
            push(steps, Step::Take(class.clone()))?;
        }
        Node::Start => {
            push(steps, Step::Start)?;
        }
        Node::End => {
            push(steps, Step::End)?;
        }
        Node::Sequence(nodes) => nodes.iter().try_for_each(|node| compile(node, steps))?,
        Node::Either(ways) => {
            let mut exits = Vec::new();
            for (n, way) in ways.iter().enumerate() {
                if n + 1 == ways.len() {
                    compile(way, steps)?;
                } else {
                    let split = push(steps, Step::Split(0, 0))?;
                    compile(way, steps)?;
                    exits.push(push(steps, Step::Jump(0))?);
                    steps[split] = Step::Split(split + 1, steps.len());
                }
            }
            for exit in exits {
                steps[exit] = Step::Jump(steps.len());
            }
        }
        Node::Repeat { node, min, max } => {
            if *min > PROGRAM_STEPS_MAX || max.is_some_and(|max| max > PROGRAM_STEPS_MAX) {
                return Err(PatternFault::TooLarge);
            }
            for _ in 0..*min {
                let before = steps.len();
                compile(node, steps)?;
                // Once nothing is nothing however often; counting on would cost without a bound.
                if steps.len() == before {
                    break;
                }
            }
            match max {
                None => {
                    let split = push(steps, Step::Split(0, 0))?;
                    compile(node, steps)?;
                    push(steps, Step::Jump(split))?;
                    steps[split] = Step::Split(split + 1, steps.len());
                }
                Some(max) => {
                    let mut splits = Vec::new();
                    for _ in *min..*max {
                        splits.push(push(steps, Step::Split(0, 0))?);
                        compile(node, steps)?;
                    }
                    for split in splits {
                        steps[split] = Step::Split(split + 1, steps.len());
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn matches_like_everybody_expects() {
        let cases: [(&str, &[&str], &[&str]); 20] = [
            ("", &["", "x"], &[]),
            ("b", &["b", "abc"], &["", "a"]),
            ("^b", &["b", "bc"], &["ab"]),
            ("b$", &["b", "ab"], &["ba"]),
            ("^$", &[""], &["a"]),
            ("^[a-z0-9_-]{3,5}$", &["abc", "a_-09"], &["ab", "abcdef", "ABC"]),
            ("^[^a-z]+$", &["AB1", "Ü"], &["", "Ab"]),
            (r"^\d{3}-\d{4}$", &["555-1234"], &["5555-1234", "555-123"]),
            (r"^\w+\s\w+$", &["a b", "a1\tb_"], &["ab", "a-b c"]),
            (r"^[\w.]+@\w+\.(com|org)$", &["a.b@c.com", "a@c.org"], &["a@c.net", "a@ccom"]),
            ("^(a|bc)*$", &["", "a", "bca", "aabc"], &["b", "ac"]),
            ("^(?:ab)?c$", &["c", "abc"], &["ac"]),
            ("^a{2}$", &["aa"], &["a", "aaa"]),
            ("^a{2,}$", &["aa", "aaaa"], &["a"]),
            ("^.$", &["x", "é", "😀"], &["", "xy", "\n"]),
            (r"^\D\S\W$", &["a-!"], &["1-!", "a !"]),
            (r"\^\$\.\\\[", &["x^$.\\["], &["^$"]),
            ("cat|dog", &["hotdog", "cats"], &["bird"]),
            ("^(|a)+$", &["", "aa"], &["b"]),
            (r"^[a\]\-z]+$", &["a]-z"], &["b"]),
        ];
        for (pattern, good, bad) in cases {
            let read = Pattern::new(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
            good.iter().for_each(|text| assert!(read.matches(text), "{pattern} {text:?}"));
            bad.iter().for_each(|text| assert!(!read.matches(text), "{pattern} {text:?}"));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in [
            "(",
            ")",
            "a)",
            "[",
            "[]",
            "[^]",
            "[a",
            "[b-a]",
            "[[:alpha:]]",
            "*",
            "+a",
            "a**",
            "a+?",
            "a{",
            "a{1",
            "a{x}",
            "a{2,1}",
            "{1}",
            "^*",
            "$+",
            "(?=a)",
            "(?<n>a)",
            "(?i)a",
            r"\1",
            r"\b",
            r"\p{L}",
            "\\",
            r"[\D]",
            r"[\w-z",
            "]",
            "}",
        ] {
            assert!(matches!(Pattern::new(pattern), Err(PatternFault::Syntax(_))), "{pattern}");
        }
    }

    /// The pattern that ruins a backtracking engine, and patterns that grow.
    #[test]
    fn cost_is_bounded() {
        let evil = Pattern::new("^(a*)*(a|aa)+$").unwrap();
        assert!(!evil.matches(&("a".repeat(20_000) + "b")));
        let nothing = Pattern::new("^((((){2000}){2000}){2000}){2000}$").unwrap();
        assert!(nothing.matches("") && !nothing.matches("a"));
        for pattern in [
            "a{3000}".to_owned(),
            "(a{50}){50}".to_owned(),
            "(((a{20}){20}){20}){20}".to_owned(),
            "(){99999999999}".to_owned() + "a{99999}",
            "a".repeat(PATTERN_BYTES_MAX + 1),
            "(".repeat(GROUP_DEPTH_MAX + 1),
        ] {
            assert!(Pattern::new(&pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in r"[ab.\[\]^$()|*+?{}0-9,\\dws:é-]{0,16}", text in "[ab1 é]{0,12}") {
            if let Ok(read) = Pattern::new(&pattern) {
                let _ = read.matches(&text);
            }
        }

        #[test]
        fn literals_match_themselves(text in "[a-zé ]{1,12}", around in "[0-9]{0,4}") {
            let read = Pattern::new(&text).unwrap();
            let whole = format!("{around}{text}{around}");
            prop_assert!(read.matches(&whole));
        }
    }
}
