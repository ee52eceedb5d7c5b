//! Field types of tables: what a value may be, the form it is stored in, the form it is shown in.
//!
//! Pure. Knows one value at a time. Does not know records, callers, or what else a document says.
//!
//! Invariants
//! F1. What [`FieldType::admit`] returns is admitted again unchanged.
//! F2. Stored numbers, dates and times sort as what they mean.

use serde_json::{Map, Value};

use super::decimal;
use crate::util::time;

/// Characters of the text types that hold one line.
const LINE_CHARS_MAX: usize = 255;
const EMAIL_CHARS_MAX: usize = 254;
/// Whole numbers that a client in JavaScript reads exactly.
const INTEGER_MAX: i64 = (1 << 53) - 1;
/// Elements of one list value.
const LIST_ITEMS_MAX: usize = 1_000;

/// Bounds and digits of a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberRule {
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Digits behind the point; more are rounded, half away from zero.
    pub precision: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    Line,
    Long,
    Email,
    Url,
    Color,
    /// Exactly so many digits.
    Digits(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    Text,
    Integer,
    Decimal,
    Boolean,
}

/// What a field holds, options included.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldType {
    Text(TextRule),
    Integer(NumberRule),
    /// Shown as text with its digits.
    Decimal(NumberRule),
    Number(NumberRule),
    Duration,
    Checkbox,
    Choice(Vec<String>),
    Choices {
        options: Vec<String>,
        max: Option<usize>,
    },
    Date {
        with_time: bool,
    },
    DateTime,
    Time,
    Json,
    Array {
        item: ItemType,
        max: Option<usize>,
    },
    Geolocation,
    /// Never stored, never sent.
    Button,
    /// When the record was made, or last changed: read-only.
    CreatedAt,
    UpdatedAt,
}

impl FieldType {
    /// Whether clients may not write it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Button | Self::CreatedAt | Self::UpdatedAt)
    }

    /// Whether it is kept in the record's content.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        !self.is_read_only()
    }

    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Decimal(_) | Self::Number(_) | Self::Duration)
    }

    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Choices { .. } | Self::Array { .. })
    }

    /// The kind in the engine's schema, where one says something that always holds.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Text(_)
            | Self::Choice(_)
            | Self::Date { .. }
            | Self::DateTime
            | Self::Time
            | Self::Geolocation => Some("string"),
            Self::Integer(_) | Self::Decimal(_) | Self::Number(_) | Self::Duration => {
                Some("number")
            }
            Self::Checkbox => Some("boolean"),
            Self::Choices { .. }
            | Self::Array { .. }
            | Self::Json
            | Self::Button
            | Self::CreatedAt
            | Self::UpdatedAt => None,
        }
    }

    /// The form in which a value that is not null is stored.
    ///
    /// # Errors
    /// A sentence about the value.
    pub fn admit(&self, value: &Value) -> Result<Value, String> {
        match self {
            Self::Text(rule) => text(value).and_then(|text| rule.admit(text)).map(Value::from),
            Self::Integer(rule) => {
                let number = rule.admit(value)?;
                let whole = number.as_i64().filter(|n| (-INTEGER_MAX..=INTEGER_MAX).contains(n));
                whole.map(Value::from).ok_or_else(|| "must be a whole number".to_owned())
            }
            Self::Decimal(rule) | Self::Number(rule) => rule.admit(value),
            Self::Duration => duration(value),
            Self::Checkbox => match value {
                Value::Bool(yes) => Ok(Value::Bool(*yes)),
                Value::String(text) if text == "true" => Ok(Value::Bool(true)),
                Value::String(text) if text == "false" => Ok(Value::Bool(false)),
                _ => Err("must be true or false".to_owned()),
            },
            Self::Choice(options) => choice(value, options),
            Self::Choices { options, max } => {
                let items = list(value, *max)?;
                let mut kept: Vec<Value> = Vec::with_capacity(items.len());
                for item in items {
                    let item = choice(item, options)?;
                    if !kept.contains(&item) {
                        kept.push(item);
                    }
                }
                Ok(Value::Array(kept))
            }
            Self::Date { with_time: false } => date(value).map(Value::from),
            Self::Date { with_time: true } | Self::DateTime => instant(value).map(Value::from),
            Self::Time => text(value).and_then(clock_time).map(Value::from),
            Self::Json => Ok(value.clone()),
            Self::Array { item, max } => {
                let items = list(value, *max)?.iter().map(|value| item.admit(value));
                items.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Self::Geolocation => geolocation(value).map(Value::from),
            Self::Button | Self::CreatedAt | Self::UpdatedAt => Err("cannot be written".to_owned()),
        }
    }

    /// The form in which a stored value is shown.
    #[must_use]
    pub fn show(&self, value: Value) -> Value {
        match (self, &value) {
            (Self::Decimal(rule), Value::Number(number)) => {
                let text = number.to_string();
                Value::String(match rule.precision {
                    Some(digits) => decimal::fixed(&text, digits).unwrap_or(text),
                    None => decimal::shortest(&text).unwrap_or(text),
                })
            }
            _ => value,
        }
    }

    /// The value a filter compares with, in the form records hold it.
    ///
    /// # Errors
    /// A sentence, when the field can never hold such a value.
    pub fn comparable(&self, value: &Value) -> Result<Value, String> {
        match self {
            // A choice or a part of a text need not be a whole value of the field.
            Self::Text(_) | Self::Choice(_) => match value {
                Value::Number(number) => Ok(Value::String(number.to_string())),
                _ => text(value).map(Value::from),
            },
            Self::Integer(_) | Self::Decimal(_) | Self::Number(_) => {
                NumberRule::default().admit(value)
            }
            Self::Choices { .. } | Self::Array { .. } | Self::Json => Ok(value.clone()),
            Self::CreatedAt | Self::UpdatedAt => {
                let text = instant(value)?;
                time::parse_instant(&text).map(Value::from).ok_or_else(not_a_time)
            }
            _ => self.admit(value),
        }
    }
}

impl TextRule {
    fn admit(self, text: &str) -> Result<&str, String> {
        let chars = text.chars().count();
        let fits = match self {
            Self::Line if text.contains(['\n', '\r']) => return Err("must be one line".into()),
            Self::Line if chars > LINE_CHARS_MAX => {
                return Err(format!("must have at most {LINE_CHARS_MAX} characters"));
            }
            Self::Line | Self::Long => true,
            Self::Email => chars <= EMAIL_CHARS_MAX && is_email(text),
            Self::Url => is_url(text),
            Self::Color => {
                let hex = text.strip_prefix('#').unwrap_or("");
                hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            Self::Digits(count) => {
                text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
            }
        };
        match self {
            _ if fits => Ok(text),
            Self::Email => Err("must be an e-mail address".into()),
            Self::Url => Err("must be an absolute address with a scheme".into()),
            Self::Color => Err("must be a colour such as #1a2b3c".into()),
            Self::Digits(count) => Err(format!("must be {count} digits")),
            Self::Line | Self::Long => Err("must be text".into()),
        }
    }
}

impl NumberRule {
    fn admit(&self, value: &Value) -> Result<Value, String> {
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err("must be a number".into()),
        };
        let rounded = match self.precision {
            Some(digits) => decimal::rounded(&text, digits),
            None => decimal::shortest(&text),
        };
        let rounded = rounded.ok_or("must be a finite decimal number")?;
        let real: f64 = rounded.parse().map_err(|_| "must be a number")?;
        match (self.min, self.max) {
            (Some(min), _) if real < min => return Err(format!("must be at least {min}")),
            (_, Some(max)) if real > max => return Err(format!("must be at most {max}")),
            _ => {}
        }
        rounded.parse().map(Value::Number).map_err(|_| "must be a number".into())
    }
}

impl ItemType {
    fn admit(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Boolean, Value::Bool(_)) => Ok(value.clone()),
            (Self::Integer, Value::Number(number)) if number.as_i64().is_some() => {
                Ok(value.clone())
            }
            (Self::Decimal, Value::Number(_)) => Ok(value.clone()),
            (Self::Text, _) => Err("must hold texts".into()),
            (Self::Boolean, _) => Err("must hold true and false".into()),
            (Self::Integer, _) => Err("must hold whole numbers".into()),
            (Self::Decimal, _) => Err("must hold numbers".into()),
        }
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be text".to_owned())
}

fn list(value: &Value, max: Option<usize>) -> Result<&[Value], String> {
    let items = value.as_array().ok_or("must be an array")?;
    let max = max.unwrap_or(LIST_ITEMS_MAX).min(LIST_ITEMS_MAX);
    if items.len() > max {
        return Err(format!("must have at most {max} elements"));
    }
    Ok(items)
}

fn choice(value: &Value, options: &[String]) -> Result<Value, String> {
    match value.as_str().filter(|text| options.iter().any(|option| option == text)) {
        Some(text) => Ok(Value::from(text)),
        None => Err(format!("must be one of {}", options.join(", "))),
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let blank = text.chars().any(|c| c.is_whitespace() || c.is_control());
    let named = domain == "localhost"
        || (domain.contains('.') && domain.split('.').all(|label| !label.is_empty()));
    !local.is_empty() && !domain.contains('@') && named && !blank
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && rest.trim_start_matches('/').chars().next().is_some()
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn not_a_time() -> String {
    "must be a date and time, as 2026-11-20T15:12:31Z".to_owned()
}

/// An instant as ISO 8601 UTC; without an offset it is UTC, a date alone is its midnight.
fn instant(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let candidates = [text.to_owned(), format!("{text}Z"), format!("{text}T00:00:00Z")];
    let ms = candidates.iter().find_map(|text| time::parse_instant(text)).ok_or_else(not_a_time)?;
    Ok(time::format_ms(ms))
}

fn date(value: &Value) -> Result<String, String> {
    let fault = || "must be a calendar date, as 2026-11-20".to_owned();
    let instant = instant(value).map_err(|_| fault())?;
    instant.split_once('T').map(|(day, _)| day.to_owned()).ok_or_else(fault)
}

fn clock_time(text: &str) -> Result<String, String> {
    let fault = || "must be a time, as 15:12 or 15:12:31".to_owned();
    let parts: Vec<&str> = text.split(':').collect();
    let two = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(two) {
        return Err(fault());
    }
    let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let (hour, minute) = (numbers[0], numbers[1]);
    let second = numbers.get(2).copied().unwrap_or(0);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(fault());
    }
    Ok(format!("{hour:02}:{minute:02}:{second:02}"))
}

/// Seconds, or `h:mm` and `h:mm:ss`.
fn duration(value: &Value) -> Result<Value, String> {
    let Some(text) = value.as_str().filter(|text| text.contains(':')) else {
        return NumberRule { min: Some(0.0), ..NumberRule::default() }.admit(value);
    };
    let fault = || "must be seconds, h:mm or h:mm:ss".to_owned();
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    let seconds = match parts.as_deref() {
        Some([hours, minutes]) if *minutes < 60 => {
            hours.checked_mul(3_600).map(|s| s + minutes * 60)
        }
        Some([hours, minutes, seconds]) if *minutes < 60 && *seconds < 60 => {
            hours.checked_mul(3_600).map(|s| s + minutes * 60 + seconds)
        }
        _ => None,
    };
    let most = INTEGER_MAX.unsigned_abs();
    seconds.filter(|seconds| *seconds <= most).map(Value::from).ok_or_else(fault)
}

/// `(lat,lng)`, from that or from `{lat,lng}`.
fn geolocation(value: &Value) -> Result<String, String> {
    let fault = || "must be (latitude,longitude)".to_owned();
    let read = |members: &Map<String, Value>| {
        Some((members.get("lat")?.as_f64()?, members.get("lng")?.as_f64()?))
    };
    let pair = match value {
        Value::Object(members) => read(members),
        Value::String(text) => text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
            .and_then(|text| text.split_once(','))
            .and_then(|(lat, lng)| Some((lat.trim().parse().ok()?, lng.trim().parse().ok()?))),
        _ => None,
    };
    let (lat, lng): (f64, f64) = pair.ok_or_else(fault)?;
    if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lng) {
        return Err("latitude is -90 to 90, longitude -180 to 180".to_owned());
    }
    Ok(format!("({lat},{lng})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_admitted_in_their_stored_form() {
        let money = NumberRule { precision: Some(2), ..NumberRule::default() };
        let options: Vec<String> = ["red", "blue"].map(str::to_owned).to_vec();
        let cases = [
            (FieldType::Integer(NumberRule::default()), json!("12"), Some(json!(12))),
            (FieldType::Integer(NumberRule::default()), json!(1.5), None),
            (FieldType::Decimal(money.clone()), json!("2.505"), Some(json!(2.51))),
            (FieldType::Number(money), json!(-0.125), Some(json!(-0.13))),
            (FieldType::Checkbox, json!("true"), Some(json!(true))),
            (FieldType::Checkbox, json!(1), None),
            (FieldType::Choice(options.clone()), json!("red"), Some(json!("red"))),
            (FieldType::Choice(options.clone()), json!("green"), None),
            (
                FieldType::Choices { options, max: Some(2) },
                json!(["blue", "blue"]),
                Some(json!(["blue"])),
            ),
            (
                FieldType::Date { with_time: false },
                json!("2026-02-28T23:30:00-01:00"),
                Some(json!("2026-03-01")),
            ),
            (FieldType::Date { with_time: false }, json!("2026-02-30"), None),
            (
                FieldType::DateTime,
                json!("2026-01-02T03:04:05"),
                Some(json!("2026-01-02T03:04:05.000Z")),
            ),
            (FieldType::Time, json!("07:05"), Some(json!("07:05:00"))),
            (FieldType::Time, json!("24:00"), None),
            (FieldType::Duration, json!("1:30"), Some(json!(5_400))),
            (FieldType::Text(TextRule::Email), json!("a@b.c"), Some(json!("a@b.c"))),
            (FieldType::Text(TextRule::Email), json!("a@b"), None),
            (
                FieldType::Text(TextRule::Url),
                json!("https://a.example"),
                Some(json!("https://a.example")),
            ),
            (FieldType::Text(TextRule::Url), json!("a.example"), None),
            (FieldType::Text(TextRule::Line), json!("a\nb"), None),
            (FieldType::Text(TextRule::Color), json!("#FFaa00"), Some(json!("#FFaa00"))),
            (FieldType::Geolocation, json!({ "lat": 1.5, "lng": -2 }), Some(json!("(1.5,-2)"))),
            (FieldType::Geolocation, json!("(91,0)"), None),
        ];
        for (kind, given, stored) in cases {
            let admitted = kind.admit(&given).ok();
            let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
            assert_eq!(text(&admitted), text(&stored), "{kind:?} {given}");
            if let Some(once) = admitted {
                assert_eq!(kind.admit(&once).map(|v| v.to_string()), Ok(once.to_string()));
            }
        }
    }

    #[test]
    fn decimals_are_shown_as_text() {
        let two = FieldType::Decimal(NumberRule { precision: Some(2), ..NumberRule::default() });
        assert_eq!(two.show(json!(2.5)), json!("2.50"));
        let any = FieldType::Decimal(NumberRule::default());
        assert_eq!(any.show(json!(2.5)), json!("2.5"));
    }
}
