//! Instants as text: ISO 8601 in and out, in milliseconds since the Unix epoch.
//!
//! Knows the proleptic Gregorian calendar. Does not know the current time, time zones by name or
//! leap seconds.
//!
//! Invariants
//! T1. What [`format_ms`] prints, [`parse_instant`] reads back to the same number, within
//!     [`MS_MIN`]`..=`[`MS_MAX`].
//! T2. A text that names no real calendar value (`2024-02-30`, hour 24, second 60) is refused,
//!     never rounded to a neighbour.

/// `0000-01-01T00:00:00.000Z`.
pub const MS_MIN: i64 = -62_167_219_200_000;
/// `9999-12-31T23:59:59.999Z`.
pub const MS_MAX: i64 = 253_402_300_799_999;

const DAY_MS: i64 = 86_400_000;

/// Prints `ms` as `2024-01-01T00:00:00.000Z`. Outside the years 0000 to 9999 the nearest end.
#[must_use]
pub fn format_ms(ms: i64) -> String {
    let mut out = String::with_capacity(24);
    push_ms(&mut out, ms);
    out
}

/// Appends what [`format_ms`] returns: always 24 ASCII characters.
pub fn push_ms(out: &mut String, ms: i64) {
    let ms = ms.clamp(MS_MIN, MS_MAX);
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil_from_days(days);
    push_digits(out, year, 4);
    out.push('-');
    push_digits(out, month, 2);
    out.push('-');
    push_digits(out, day, 2);
    out.push('T');
    push_digits(out, of_day / 3_600_000, 2);
    out.push(':');
    push_digits(out, of_day / 60_000 % 60, 2);
    out.push(':');
    push_digits(out, of_day / 1_000 % 60, 2);
    out.push('.');
    push_digits(out, of_day % 1_000, 3);
    out.push('Z');
}

/// Reads an ISO 8601 date or date-time, or `None`.
///
/// Accepts `YYYY-MM-DD` (midnight UTC) and `YYYY-MM-DDThh:mm[:ss[.f…]][Z|±hh:mm|±hhmm|±hh]`;
/// without an offset the time is UTC. A fraction is cut, not rounded, to milliseconds. Small `t`
/// and `z` are accepted.
#[must_use]
pub fn parse_instant(text: &str) -> Option<i64> {
    let mut scan = Scan::new(text);
    let days = scan.date()?;
    if scan.at_end() {
        return Some(days * DAY_MS);
    }
    scan.one_of(b"Tt")?;
    let hour = scan.number(2, 23)?;
    scan.one_of(b":")?;
    let minute = scan.number(2, 59)?;
    let mut second = 0;
    let mut fraction_ms = 0;
    if scan.one_of(b":").is_some() {
        second = scan.number(2, 59)?;
        if scan.one_of(b".").is_some() {
            fraction_ms = scan.fraction_ms()?;
        }
    }
    let offset_min = if scan.at_end() || scan.one_of(b"Zz").is_some() {
        0
    } else {
        let sign = if scan.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = scan.number(2, 23)?;
        let minutes = if scan.at_end() {
            0
        } else {
            // The colon is optional here: `+0200` is ISO 8601's basic form.
            let _ = scan.one_of(b":");
            scan.number(2, 59)?
        };
        sign * (hours * 60 + minutes)
    };
    let of_day_ms = (hour * 60 + minute - offset_min) * 60_000 + second * 1_000 + fraction_ms;
    scan.at_end().then_some(days * DAY_MS + of_day_ms)
}

/// Whether `text` is a value of the schema kind `date`.
///
/// The form is `^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?)?$`, stricter
/// than [`parse_instant`], and it must name a real calendar instant.
#[must_use]
pub fn is_date_field(text: &str) -> bool {
    date_field(text).is_some()
}

fn date_field(text: &str) -> Option<()> {
    let mut scan = Scan::new(text);
    scan.date()?;
    if scan.at_end() {
        return Some(());
    }
    scan.one_of(b"T")?;
    scan.number(2, 23)?;
    scan.one_of(b":")?;
    scan.number(2, 59)?;
    scan.one_of(b":")?;
    scan.number(2, 59)?;
    if scan.one_of(b".").is_some() {
        scan.fraction_ms()?;
    }
    if !scan.at_end() && scan.one_of(b"Z").is_none() {
        scan.one_of(b"+-")?;
        scan.number(2, 23)?;
        scan.one_of(b":")?;
        scan.number(2, 59)?;
    }
    scan.at_end().then_some(())
}

/// A cursor over ASCII text; every step consumes what it matched or returns `None`.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn one_of(&mut self, set: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !set.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }

    /// Exactly `digits` decimal digits with a value of at most `max`.
    fn number(&mut self, digits: usize, max: i64) -> Option<i64> {
        let text = self.rest.get(..digits)?;
        let mut value = 0;
        for byte in text {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i64::from(byte - b'0');
        }
        if value > max {
            return None;
        }
        self.rest = &self.rest[digits..];
        Some(value)
    }

    /// One or more digits after the point; the first three count.
    fn fraction_ms(&mut self) -> Option<i64> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        let mut ms = 0;
        for place in 0..3 {
            let digit = if place < length { i64::from(self.rest[place] - b'0') } else { 0 };
            ms = ms * 10 + digit;
        }
        self.rest = &self.rest[length..];
        Some(ms)
    }

    /// `YYYY-MM-DD` as days since the epoch.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4, 9_999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 12)?;
        self.one_of(b"-")?;
        let day = self.number(2, 31)?;
        if month == 0 || day == 0 || day > month_days(year, month) {
            return None;
        }
        Some(days_from_civil(year, month, day))
    }
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Appends `value` with leading zeros; `value` must be below `10^width`, `width` at most 4.
fn push_digits(out: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(char::from(b"0123456789"[usize::try_from(digit).unwrap_or(0)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_reads_back() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_704_067_200_000, "2024-01-01T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (MS_MIN, "0000-01-01T00:00:00.000Z"),
            (MS_MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(format_ms(ms), text);
            assert_eq!(parse_instant(text), Some(ms));
        }
        assert_eq!(format_ms(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(format_ms(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_ten_thousand_years_survives() {
        for day in MS_MIN / DAY_MS..=MS_MAX / DAY_MS {
            let (year, month, of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, of_month), day);
        }
    }

    #[test]
    fn reads_dates_offsets_and_fractions() {
        let same = [
            "2024-01-01",
            "2024-01-01T00:00",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00Z",
            "2024-01-01t00:00:00z",
            "2024-01-01T02:00:00+02:00",
            "2024-01-01T02:00:00+0200",
            "2023-12-31T19:30:00.000-04:30",
            "2024-01-01T00:00:00.0009Z",
        ];
        for text in same {
            assert_eq!(parse_instant(text), Some(1_704_067_200_000), "{text}");
        }
        assert_eq!(parse_instant("2024-01-01T00:00:00.5"), Some(1_704_067_200_500));
    }

    #[test]
    fn refuses_what_names_no_instant() {
        let wrong = [
            "",
            "yesterday",
            "2024",
            "2024-1-1",
            "2024-13-01",
            "2024-00-01",
            "2024-02-30",
            "2023-02-29",
            "2024-01-01T24:00:00Z",
            "2024-01-01T23:60:00Z",
            "2024-01-01T23:59:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00ZZ",
            "2024-01-01 00:00:00",
            " 2024-01-01",
            "2024-01-01T",
            "2024-01-01Z",
            "٢٠٢٤-01-01",
        ];
        for text in wrong {
            assert_eq!(parse_instant(text), None, "{text}");
            assert!(!is_date_field(text), "{text}");
        }
    }

    #[test]
    fn date_field_is_stricter() {
        for text in [
            "2024-02-29",
            "2024-01-01T10:00:00",
            "2024-01-01T10:00:00.123456Z",
            "2024-01-01T10:00:00-05:00",
        ] {
            assert!(is_date_field(text), "{text}");
        }
        for text in [
            "2024-01-01T10:00",
            "2024-01-01T10:00:00+0200",
            "2024-01-01T10:00:00+02",
            "2024-01-01t10:00:00z",
            "2024-01-01T10:00:00+02:60",
        ] {
            assert!(!is_date_field(text), "{text}");
        }
    }
}
