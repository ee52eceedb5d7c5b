//! JSON from strangers: one parser with bounds, and comparison of values as numbers mean them.
//!
//! The parser is our own because `serde_json` alone has no bound on nodes and, with the features
//! we use, reads two private object keys as instructions (`$serde_json::private::Number` and
//! `…::RawValue`, the latter a second document inside a string, past every bound). Bodies,
//! and texts stored from bodies, are therefore read with [`parse`] before any typed conversion.
//!
//! Knows JSON (RFC 8259). Does not know what a body means.
//!
//! Invariants
//! J1. A value that [`parse`] returned nests at most [`DEPTH_MAX`] deep, has at most [`NODES_MAX`]
//!     nodes and numbers of at most [`NUMBER_CHARS_MAX`] characters, so that recursion over it is
//!     safe.
//! J2. The parser itself does not recurse; hostile depth costs nothing but an answer.
//! J3. Of duplicate keys the last value wins, at the place of the first.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 64;
/// How many values a document may hold, containers included.
pub const NODES_MAX: usize = 100_000;
/// How long the text of a number may be.
pub const NUMBER_CHARS_MAX: usize = 64;

/// Keys that `serde_json` would take for its own when such a value is converted or read again.
const PRIVATE_KEY_PREFIX: &str = "$serde_json::private::";

/// Why a document was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON, not UTF-8, a byte order mark, something after the end, half a surrogate pair.
    #[error("not valid JSON: {0}")]
    Malformed(String),
    #[error("a JSON object is expected")]
    NotAnObject,
    #[error("JSON nests deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("JSON has more than {NODES_MAX} values")]
    TooMany,
    #[error("a number has more than {NUMBER_CHARS_MAX} characters")]
    NumberTooLong,
}

/// Reads one JSON document.
///
/// Cost: one pass over `bytes`. Number text is kept as it came.
///
/// # Errors
/// [`JsonFault`]; the bounds of J1 are faults of their own.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    let text =
        std::str::from_utf8(bytes).map_err(|fault| malformed("not UTF-8", fault.valid_up_to()))?;
    Parser { text, bytes, at: 0, nodes: 0 }.document()
}

/// Reads one JSON document that must be an object.
///
/// # Errors
/// As [`parse`], and [`JsonFault::NotAnObject`] for well-formed JSON of another kind.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    match parse(bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonFault::NotAnObject),
    }
}

/// The value as JSON text without blanks, keys in their order.
#[must_use]
pub fn minify(value: &Value) -> String {
    value.to_string()
}

/// Appends `text` as a JSON string with its quotes, escaped as JavaScript's `JSON.stringify` does.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if short.is_empty() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        } else {
            out.push_str(short);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Whether two values are equal: numbers by value (`1`, `1.0` and `10e-1` are one number), objects
/// whatever the order of their keys.
#[must_use]
pub fn json_eq(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => num_eq(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_eq(a, b))
        }
        (Value::Object(a), Value::Object(b)) => object_eq(a, b),
        _ => a == b,
    }
}

/// [`json_eq`] for two objects.
#[must_use]
pub fn object_eq(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len()
        && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| json_eq(value, other)))
}

/// Whether two numbers have the same value; see [`num_cmp`].
#[must_use]
pub fn num_eq(a: &Number, b: &Number) -> bool {
    a.as_str() == b.as_str() || num_cmp(a, b) == Ordering::Equal
}

/// Compares two numbers by value, exactly: decimal texts are not rounded to 64 bits first. Only
/// exponents beyond 18 digits count as equally large.
#[must_use]
pub fn num_cmp(a: &Number, b: &Number) -> Ordering {
    let (a, b) = (Decimal::read(a.as_str()), Decimal::read(b.as_str()));
    match (a.sign(), b.sign()) {
        (1, 1) => a.magnitude_cmp(&b),
        (-1, -1) => b.magnitude_cmp(&a),
        (a, b) => a.cmp(&b),
    }
}

/// Appends bytes whose order, compared byte by byte, is that of [`num_cmp`]; equal numbers give equal bytes.
pub fn push_num_sort_key(out: &mut Vec<u8>, number: &Number) {
    let decimal = Decimal::read(number.as_str());
    let sign = decimal.sign();
    out.push(match sign {
        -1 => 0,
        0 => 1,
        _ => 2,
    });
    if sign == 0 {
        return;
    }
    let from = out.len();
    // The sign bit turned over: negative powers come before positive ones.
    let point = decimal.point.cast_unsigned() ^ (1 << 63);
    out.extend_from_slice(&point.to_be_bytes());
    out.extend_from_slice(&decimal.digits);
    // Below every digit, so that a number comes before those that continue it, and after them when turned over.
    out.push(0);
    if sign < 0 {
        for byte in &mut out[from..] {
            *byte = !*byte;
        }
    }
}

/// `0.d1d2d3… x 10^point`, `digits` without zeros at either end; zero has none.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    fn read(text: &str) -> Self {
        /// Leaves room for adding the number of digits.
        const EXPONENT_MAX: i64 = 1_000_000_000_000_000_000;
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
            -EXPONENT_MAX
        } else {
            EXPONENT_MAX
        });
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let end = all.iter().rposition(|digit| *digit != b'0').map_or(leading, |last| last + 1);
        let whole_digits = i64::try_from(whole.len()).unwrap_or(i64::MAX / 4);
        let leading_digits = i64::try_from(leading).unwrap_or(i64::MAX / 4);
        Self {
            negative,
            digits: all[leading..end].to_vec(),
            point: exponent.clamp(-EXPONENT_MAX, EXPONENT_MAX) + whole_digits - leading_digits,
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Digit order is value order, because no digits end in zero and a prefix is the smaller.
    fn magnitude_cmp(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn malformed(what: &str, at: usize) -> JsonFault {
    JsonFault::Malformed(format!("{what} at byte {at}"))
}

/// An array or object that is still open.
enum Open {
    Array(Vec<Value>),
    /// With the key whose value comes next.
    Object(Map<String, Value>, String),
}

/// What stands where a value is expected.
enum Piece {
    Whole(Value),
    Start(Open),
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn document(mut self) -> Result<Value, JsonFault> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut done = match self.piece(open.len())? {
                Piece::Start(container) => {
                    open.push(container);
                    continue;
                }
                Piece::Whole(value) => value,
            };
            // Hand the value to its parent; a parent that closes is itself a value to hand on.
            loop {
                match open.pop() {
                    None => return self.end(done),
                    Some(Open::Array(mut items)) => {
                        items.push(done);
                        if self.comma_or(b']')? {
                            open.push(Open::Array(items));
                            break;
                        }
                        done = Value::Array(items);
                    }
                    Some(Open::Object(mut members, key)) => {
                        members.insert(key, done);
                        if self.comma_or(b'}')? {
                            self.skip_blanks();
                            let key = self.key()?;
                            open.push(Open::Object(members, key));
                            break;
                        }
                        done = Value::Object(members);
                    }
                }
            }
        }
    }

    fn end(mut self, value: Value) -> Result<Value, JsonFault> {
        self.skip_blanks();
        if self.at == self.bytes.len() {
            Ok(value)
        } else {
            Err(malformed("something after the end", self.at))
        }
    }

    /// Reads a scalar or an empty container whole, or opens a container.
    fn piece(&mut self, depth: usize) -> Result<Piece, JsonFault> {
        self.skip_blanks();
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(JsonFault::TooMany);
        }
        let value = match self.peek() {
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'[' | b'{') if depth >= DEPTH_MAX => return Err(JsonFault::TooDeep),
            Some(b'[') => {
                self.at += 1;
                if !self.closes(b']') {
                    return Ok(Piece::Start(Open::Array(Vec::new())));
                }
                Value::Array(Vec::new())
            }
            Some(b'{') => {
                self.at += 1;
                if !self.closes(b'}') {
                    let key = self.key()?;
                    return Ok(Piece::Start(Open::Object(Map::new(), key)));
                }
                Value::Object(Map::new())
            }
            _ => return Err(malformed("a value is expected", self.at)),
        };
        Ok(Piece::Whole(value))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn closes(&mut self, close: u8) -> bool {
        self.skip_blanks();
        let closes = self.peek() == Some(close);
        if closes {
            self.at += 1;
        }
        closes
    }

    /// After a member: true at a comma, false at the end of the container.
    fn comma_or(&mut self, close: u8) -> Result<bool, JsonFault> {
        self.skip_blanks();
        let comma = match self.peek() {
            Some(b',') => true,
            Some(byte) if byte == close => false,
            _ => return Err(malformed("a comma or the end of the list is expected", self.at)),
        };
        self.at += 1;
        Ok(comma)
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<String, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(malformed("a key is expected", self.at));
        }
        let start = self.at;
        let key = self.string()?;
        if key.starts_with(PRIVATE_KEY_PREFIX) {
            return Err(malformed("a reserved key", start));
        }
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(malformed("a colon is expected", self.at));
        }
        self.at += 1;
        Ok(key)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonFault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(malformed("a value is expected", self.at));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Number, JsonFault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        if self.bytes[whole] == b'0' && self.at > whole + 1 {
            return Err(malformed("a number with a leading zero", start));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.at - start > NUMBER_CHARS_MAX {
            return Err(JsonFault::NumberTooLong);
        }
        self.text[start..self.at].parse().map_err(|_| malformed("not a number", start))
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(malformed("a digit is expected", start)) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, JsonFault> {
        self.at += 1;
        let mut out = String::new();
        let mut from = self.at;
        loop {
            match self.peek() {
                None => return Err(malformed("an unfinished string", self.at)),
                Some(b'"') => {
                    out.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[from..self.at]);
                    out.push(self.escape()?);
                    from = self.at;
                }
                Some(0..0x20) => return Err(malformed("a control character", self.at)),
                Some(_) => self.at += 1,
            }
        }
    }

    /// One escape, from the backslash on; a surrogate pair counts as one.
    fn escape(&mut self) -> Result<char, JsonFault> {
        let start = self.at;
        let kind = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        let plain = match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.hex4()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return char::from_u32(unit).ok_or_else(|| malformed("a bad escape", start));
                }
                // Low half: only `\u` and four digits directly behind a high half will do.
                if unit >= 0xdc00 || !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(malformed("half a surrogate pair", start));
                }
                self.at += 2;
                let low = self.hex4()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(malformed("half a surrogate pair", start));
                }
                let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(joined).ok_or_else(|| malformed("a bad escape", start));
            }
            _ => return Err(malformed("a bad escape", start)),
        };
        Ok(plain)
    }

    fn hex4(&mut self) -> Result<u32, JsonFault> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let mut unit = 0;
        for byte in digits.ok_or_else(|| malformed("a bad escape", self.at))? {
            let digit = char::from(*byte).to_digit(16);
            unit = unit << 4 | digit.ok_or_else(|| malformed("a bad escape", self.at))?;
        }
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Value, JsonFault> {
        parse(text.as_bytes())
    }

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let texts = [
            r#"{"b":1,"a":[true,false,null,"x",{"y":{}},[],-0.5e+3]}"#,
            " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é😀""#,
            "0",
            "-0",
            "1e400",
            "123456789012345678901234567890.123",
        ];
        for text in texts {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        let texts = [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "[,]",
            "[1 2]",
            "]",
            "}",
            "[}",
            "{]",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "-01",
            "tru",
            "nul",
            "True",
            "NaN",
            "Infinity",
            "'a'",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\u{0}\"",
            "1 2",
            "{} x",
            "\u{feff}{}",
            "// c\n1",
            "\u{a0}1",
            "\"\\u",
        ];
        for text in texts {
            assert!(matches!(read(text), Err(JsonFault::Malformed(_))), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
        assert!(matches!(parse(b"\"\xff\""), Err(JsonFault::Malformed(_))));
        assert!(matches!(parse(b"\"\xed\xa0\x80\""), Err(JsonFault::Malformed(_))));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for text in
            [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\n""#, r#""\ud800\ud800""#]
        {
            assert!(matches!(read(text), Err(JsonFault::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn objects_only() {
        assert_eq!(parse_object(b"{}").unwrap().len(), 0);
        for text in ["null", "[]", "1", "\"{}\""] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonFault::NotAnObject));
        }
    }

    #[test]
    fn bounds_hold_at_the_bound_and_break_past_it() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(JsonFault::TooDeep));
        assert_eq!(read(&"[".repeat(1_000_000)), Err(JsonFault::TooDeep));
        assert_eq!(read(&"{\"a\":".repeat(200_000)), Err(JsonFault::TooDeep));

        let many = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
        assert!(read(&many(NODES_MAX - 1)).is_ok());
        assert_eq!(read(&many(NODES_MAX)), Err(JsonFault::TooMany));

        assert!(read(&"1".repeat(NUMBER_CHARS_MAX)).is_ok());
        assert_eq!(read(&"1".repeat(NUMBER_CHARS_MAX + 1)), Err(JsonFault::NumberTooLong));
    }

    #[test]
    fn last_duplicate_wins_at_the_first_place() {
        let value = read(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(minify(&value), r#"{"a":3,"b":2}"#);
    }

    /// `serde_json` would read the string as a second document, past every bound.
    #[test]
    fn private_keys_of_the_library_are_refused() {
        for key in [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
            "$serde_json::private::\\u0052awValue",
        ] {
            let text = format!("[{{\"{key}\":\"[1]\"}}]");
            assert!(matches!(read(&text), Err(JsonFault::Malformed(_))), "{key}");
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        let equal = [
            ("1", "1.0"),
            ("10e-1", "1"),
            ("0", "-0.0e7"),
            ("100", "1E+2"),
            ("0.00012", "12e-5"),
            ("18446744073709551616", "18446744073709551616.0"),
        ];
        for (a, b) in equal {
            assert!(num_eq(&number(a), &number(b)), "{a} {b}");
        }
        let rising = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-10",
            "-2",
            "-1.5",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000001",
            "1",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "1e400",
        ];
        for (place, a) in rising.iter().enumerate() {
            for (other, b) in rising.iter().enumerate() {
                assert_eq!(num_cmp(&number(a), &number(b)), place.cmp(&other), "{a} {b}");
            }
        }
    }

    #[test]
    fn values_compare_deeply() {
        let eq = |a: &str, b: &str| json_eq(&read(a).unwrap(), &read(b).unwrap());
        assert!(eq(r#"{"a":[1,{"b":2.0}],"c":null}"#, r#"{"c":null,"a":[1.0,{"b":2}]}"#));
        assert!(!eq("[1,2]", "[2,1]"));
        assert!(!eq(r#"{"a":null}"#, "{}"));
        assert!(!eq("1", "\"1\""));
        assert!(!eq("0", "false"));
    }

    #[test]
    fn strings_are_escaped_like_json_stringify() {
        let mut out = String::new();
        push_string(&mut out, "a\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}é\u{2028}😀");
        assert_eq!(out, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}é\u{2028}😀\"");
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_any_text(text in r#"[\[\]{}:,"\\u0-9a-fdD8eE+\-. tnrulsé]{0,40}"#) {
            let ours = read(&text);
            let theirs = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(&ours, &theirs);
                prop_assert_eq!(read(&minify(&ours)).unwrap(), ours);
            }
        }

        #[test]
        fn any_string_survives(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(read(&out).unwrap(), Value::String(text.clone()));
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn integers_order_as_integers(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(num_cmp(&Number::from(a), &Number::from(b)), a.cmp(&b));
        }

        #[test]
        fn floats_order_as_floats(a in -1e300..1e300_f64, b in -1e300..1e300_f64) {
            let (x, y) = (Number::from_f64(a).unwrap(), Number::from_f64(b).unwrap());
            prop_assert_eq!(num_cmp(&x, &y), a.partial_cmp(&b).unwrap());
        }
    }
}
