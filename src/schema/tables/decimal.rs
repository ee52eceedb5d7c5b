//! Decimal numbers as text: rounding and printing without a binary fraction in between.
//!
//! Invariants
//! D1. Results hold no exponent, no `+`, no leading zeros but one before the point, and never `-0`.

/// Digits a number may have before or behind the point.
const DIGITS_MAX: usize = 60;

struct Digits {
    negative: bool,
    whole: Vec<u8>,
    fraction: Vec<u8>,
}

/// Takes a finite decimal number apart; `None` for anything else.
fn read(text: &str) -> Option<Digits> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, plain) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    if plain.ends_with('.')
        || plain.len() > DIGITS_MAX
        || exponent.unsigned_abs() as usize > DIGITS_MAX
    {
        return None;
    }
    let mut whole: Vec<u8> = whole.bytes().map(|byte| byte - b'0').collect();
    let mut fraction: Vec<u8> = fraction.bytes().map(|byte| byte - b'0').collect();
    for _ in 0..exponent.unsigned_abs() {
        if exponent > 0 {
            let next = if fraction.is_empty() { 0 } else { fraction.remove(0) };
            whole.push(next);
        } else {
            fraction.insert(0, whole.pop().unwrap_or(0));
        }
    }
    Some(Digits { negative, whole, fraction })
}

impl Digits {
    /// Half away from zero.
    fn round(&mut self, places: usize) {
        if self.fraction.len() <= places {
            return;
        }
        let up = self.fraction[places] >= 5;
        self.fraction.truncate(places);
        if !up {
            return;
        }
        for digit in self.fraction.iter_mut().rev().chain(self.whole.iter_mut().rev()) {
            if *digit < 9 {
                *digit += 1;
                return;
            }
            *digit = 0;
        }
        self.whole.insert(0, 1);
    }

    fn print(&self) -> String {
        let push = |out: &mut String, digits: &[u8]| {
            out.extend(digits.iter().map(|digit| char::from(b'0' + digit)));
        };
        let zero = self.whole.iter().chain(&self.fraction).all(|digit| *digit == 0);
        let mut out = String::new();
        if self.negative && !zero {
            out.push('-');
        }
        let lead = self.whole.iter().take_while(|digit| **digit == 0).count();
        match &self.whole[lead..] {
            [] => out.push('0'),
            rest => push(&mut out, rest),
        }
        if !self.fraction.is_empty() {
            out.push('.');
            push(&mut out, &self.fraction);
        }
        out
    }
}

/// The number without zeros at the end of its fraction.
pub(super) fn shortest(text: &str) -> Option<String> {
    let mut digits = read(text)?;
    while digits.fraction.last() == Some(&0) {
        digits.fraction.pop();
    }
    Some(digits.print())
}

/// The number with at most `places` digits behind the point, in its shortest form.
pub(super) fn rounded(text: &str, places: usize) -> Option<String> {
    let mut digits = read(text)?;
    digits.round(places);
    shortest(&digits.print())
}

/// The number with exactly `places` digits behind the point.
pub(super) fn fixed(text: &str, places: usize) -> Option<String> {
    let mut digits = read(text)?;
    digits.round(places);
    digits.fraction.resize(places, 0);
    Some(digits.print())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_exact() {
        for (text, places, expected) in [
            ("2.505", 2, "2.51"),
            ("-2.505", 2, "-2.51"),
            ("9.999", 2, "10"),
            ("0.004", 2, "0"),
            ("-0.004", 2, "0"),
            ("1e3", 2, "1000"),
            ("15e-1", 0, "2"),
            ("007", 0, "7"),
        ] {
            assert_eq!(rounded(text, places).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(fixed("2.5", 2).as_deref(), Some("2.50"));
        assert_eq!(fixed("2", 0).as_deref(), Some("2"));
        assert_eq!(shortest("2.500").as_deref(), Some("2.5"));
        for bad in ["", "-", "1.", ".5", "1e999", "NaN", "0x1", "1 ", "+1"] {
            assert_eq!(shortest(bad), None, "{bad}");
        }
    }
}
