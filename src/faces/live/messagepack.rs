//! MessagePack frames as JSON values, and back (live 13.2).
//!
//! A frame is first walked byte by byte against the bounds of JSON bodies, without recursion and
//! without allocating for what it declares; only then is it decoded.
//!
//! Knows the encoding. Does not know what messages mean.
//!
//! Invariants
//! K1. A value that [`read`] returned keeps the bounds of [`crate::util::json`], so that recursion
//!     over it is safe and its text can be read back.
//! K2. Maps have text keys, text is UTF-8, and of equal keys the last wins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::ValueRef;
use serde_json::{Map, Number, Value};

use crate::util::json::{DEPTH_MAX, NODES_MAX, PRIVATE_KEY_PREFIX};
use crate::util::time::{MS_MAX, MS_MIN, format_ms};

/// Whole floats up to here become integers: all of them are exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// The extension type of timestamps.
const TIMESTAMP: i8 = -1;

/// Why a frame was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessagePackFault {
    #[error("not valid MessagePack")]
    Malformed,
    #[error("MessagePack nests deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("MessagePack has more than {NODES_MAX} values")]
    TooMany,
    #[error("map keys must be texts")]
    Key,
    #[error("unknown MessagePack extension type {0}")]
    Extension(i8),
}

/// Reads one value that fills `bytes`. Timestamps become RFC 3339 texts, binary becomes base64, a
/// float without a fraction an integer, and one that is no number `null`.
///
/// # Errors
/// [`MessagePackFault`].
pub fn read(bytes: &[u8]) -> Result<Value, MessagePackFault> {
    walk(bytes)?;
    let mut rest = bytes;
    // The walk bounded the depth, far below where the decoder would stop.
    let value = rmpv::decode::read_value_ref(&mut rest).map_err(|_| MessagePackFault::Malformed)?;
    json(&value)
}

/// The MessagePack form: text keys, integers in their shortest form, other numbers as 64-bit floats.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    rmpv::encode::write_value_ref(&mut out, &packed(value)).expect("a vector takes every byte");
    out
}

/// Checks lengths, depth and number of values.
fn walk(bytes: &[u8]) -> Result<(), MessagePackFault> {
    use MessagePackFault::{Malformed, TooDeep, TooMany};
    let mut at = 0;
    let mut nodes = 0;
    // How many values each open container still waits for.
    let mut open: Vec<usize> = Vec::new();
    loop {
        nodes += 1;
        if nodes > NODES_MAX {
            return Err(TooMany);
        }
        let marker = *bytes.get(at).ok_or(Malformed)?;
        at += 1;
        // Bytes of the length behind the marker, and bytes that follow beyond that length.
        let (length_bytes, extra) = match marker {
            0xc4 | 0xd9 => (1, 0),
            0xc5 | 0xda => (2, 0),
            0xc6 | 0xdb => (4, 0),
            0xc7 => (1, 1),
            0xc8 => (2, 1),
            0xc9 => (4, 1),
            0xdc | 0xde => (2, 0),
            0xdd | 0xdf => (4, 0),
            _ => (0, 0),
        };
        let mut length = 0usize;
        for _ in 0..length_bytes {
            length = length << 8 | usize::from(*bytes.get(at).ok_or(Malformed)?);
            at += 1;
        }
        let (payload, children) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, None),
            0x80..=0x8f => (0, Some(usize::from(marker & 15) * 2)),
            0x90..=0x9f => (0, Some(usize::from(marker & 15))),
            0xa0..=0xbf => (usize::from(marker & 31), None),
            0xc1 => return Err(Malformed),
            0xc4..=0xc9 | 0xd9..=0xdb => (length.checked_add(extra).ok_or(Malformed)?, None),
            0xcc | 0xd0 => (1, None),
            0xcd | 0xd1 => (2, None),
            0xca | 0xce | 0xd2 => (4, None),
            0xcb | 0xcf | 0xd3 => (8, None),
            0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), None),
            0xdc | 0xdd => (0, Some(length)),
            0xde | 0xdf => (0, Some(length.checked_mul(2).ok_or(Malformed)?)),
        };
        at = at.checked_add(payload).filter(|at| *at <= bytes.len()).ok_or(Malformed)?;
        if let Some(children) = children {
            // Every child takes at least one byte.
            if children > bytes.len() - at {
                return Err(Malformed);
            }
            if open.len() >= DEPTH_MAX {
                return Err(TooDeep);
            }
            open.push(children);
        }
        // A value that is done counts for its parent, which may be done by that.
        if children.is_none_or(|children| children == 0) {
            if children.is_some() {
                open.pop();
            }
            loop {
                match open.last_mut() {
                    None => return if at == bytes.len() { Ok(()) } else { Err(Malformed) },
                    Some(left) => {
                        *left -= 1;
                        if *left > 0 {
                            break;
                        }
                        open.pop();
                    }
                }
            }
        }
    }
}

fn json(value: &ValueRef<'_>) -> Result<Value, MessagePackFault> {
    Ok(match value {
        ValueRef::Nil => Value::Null,
        ValueRef::Boolean(value) => Value::Bool(*value),
        ValueRef::Integer(value) => match (value.as_i64(), value.as_u64()) {
            (Some(value), _) => Value::from(value),
            (None, Some(value)) => Value::from(value),
            (None, None) => return Err(MessagePackFault::Malformed),
        },
        ValueRef::F32(value) => number(f64::from(*value)),
        ValueRef::F64(value) => number(*value),
        ValueRef::String(text) => {
            Value::String(text.as_str().ok_or(MessagePackFault::Malformed)?.to_owned())
        }
        ValueRef::Binary(bytes) => Value::String(STANDARD.encode(bytes)),
        ValueRef::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        ValueRef::Map(members) => {
            let mut map = Map::with_capacity(members.len());
            for (key, value) in members {
                let ValueRef::String(key) = key else { return Err(MessagePackFault::Key) };
                let key = key.as_str().ok_or(MessagePackFault::Malformed)?;
                if key.starts_with(PRIVATE_KEY_PREFIX) {
                    return Err(MessagePackFault::Malformed);
                }
                map.insert(key.to_owned(), json(value)?);
            }
            Value::Object(map)
        }
        ValueRef::Ext(TIMESTAMP, bytes) => {
            Value::String(format_ms(timestamp_ms(bytes).ok_or(MessagePackFault::Malformed)?))
        }
        ValueRef::Ext(kind, _) => return Err(MessagePackFault::Extension(*kind)),
    })
}

fn number(float: f64) -> Value {
    if float.fract() == 0.0 && float.abs() <= WHOLE_MAX {
        // Printed without a fraction it reads as the integer it is; adding 0.0 drops a minus zero.
        if let Ok(whole) = format!("{:.0}", float + 0.0).parse::<i64>() {
            return Value::from(whole);
        }
    }
    Number::from_f64(float).map_or(Value::Null, Value::Number)
}

/// The three sizes of a timestamp: seconds; nanoseconds and seconds in one word; both apart.
fn timestamp_ms(bytes: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let word = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(word & 0x3_ffff_ffff).ok()?, u32::try_from(word >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = bytes.split_at(4);
            let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
            (i64::from_be_bytes(seconds.try_into().ok()?), nanos)
        }
        _ => return None,
    };
    let fraction_ms = i64::from(nanos / 1_000_000);
    let ms = seconds.checked_mul(1_000)?.checked_add(fraction_ms)?;
    (fraction_ms < 1_000 && (MS_MIN..=MS_MAX).contains(&ms)).then_some(ms)
}

fn packed(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Null => ValueRef::Nil,
        Value::Bool(value) => ValueRef::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => ValueRef::Integer(value.into()),
            (None, Some(value)) => ValueRef::Integer(value.into()),
            // A number beyond a float's range has no other form here than infinity.
            (None, None) => ValueRef::F64(number.as_f64().unwrap_or(f64::INFINITY)),
        },
        Value::String(text) => ValueRef::String(text.as_str().into()),
        Value::Array(items) => ValueRef::Array(items.iter().map(packed).collect()),
        Value::Object(members) => ValueRef::Map(
            members
                .iter()
                .map(|(key, value)| (ValueRef::String(key.as_str().into()), packed(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use serde_json::json;

    #[test]
    fn round_trip_in_the_shortest_form() {
        let cases = [
            (json!(null), vec![0xc0]),
            (json!(true), vec![0xc3]),
            (json!(5), vec![5]),
            (json!(-1), vec![0xff]),
            (json!(200), vec![0xcc, 200]),
            (json!(1.5), vec![0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
            (json!("a"), vec![0xa1, b'a']),
            (json!([]), vec![0x90]),
            (json!({"a": 1}), vec![0x81, 0xa1, b'a', 1]),
        ];
        for (value, bytes) in cases {
            assert_eq!(write(&value), bytes, "{value}");
            assert_eq!(read(&bytes), Ok(value));
        }
        let deep =
            json!({"type": "x", "payload": {"ops": [{"a": [1, -70_000, u64::MAX, "ü", {}]}]}});
        assert_eq!(read(&write(&deep)), Ok(deep));
    }

    #[test]
    fn what_javascript_sends() {
        let cases: [(&[u8], Value); 12] = [
            // Timestamps of all three sizes.
            (&[0xd6, 0xff, 0x65, 0x92, 0x00, 0x80], json!("2024-01-01T00:00:00.000Z")),
            (
                &[0xd7, 0xff, 0x77, 0x35, 0x94, 0x00, 0x65, 0x92, 0x00, 0x80],
                json!("2024-01-01T00:00:00.500Z"),
            ),
            (
                &[0xc7, 12, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                json!("1969-12-31T23:59:59.000Z"),
            ),
            // Binary, and floats without a fraction.
            (&[0xc4, 3, 1, 2, 3], json!("AQID")),
            (&[0xcb, 0x40, 0x45, 0, 0, 0, 0, 0, 0], json!(42)),
            (&[0xcb, 0xc0, 0x45, 0, 0, 0, 0, 0, 0], json!(-42)),
            (&[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0], json!(0)),
            (&[0xca, 0x3f, 0xc0, 0, 0], json!(1.5)),
            (&[0xca, 0x3f, 0x80, 0, 0], json!(1)),
            (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], json!(null)),
            (&[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], json!(null)),
            (&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2], json!({"a": 2})),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(read(bytes), Ok(wanted), "{bytes:02x?}");
        }
    }

    #[test]
    fn hostile_frames_are_refused() {
        let private = write(&json!({"$serde_json::private::RawValue": "[1]"}));
        let cases: [(&[u8], MessagePackFault); 16] = [
            (&[], MessagePackFault::Malformed),
            (&[0xc1], MessagePackFault::Malformed),
            (&[1, 2], MessagePackFault::Malformed),
            (&[0x91], MessagePackFault::Malformed),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff], MessagePackFault::Malformed),
            (&[0xdf, 0xff, 0xff, 0xff, 0xff], MessagePackFault::Malformed),
            (&[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'], MessagePackFault::Malformed),
            (&[0xc6, 0xff, 0xff, 0xff, 0xff], MessagePackFault::Malformed),
            (&[0xc9, 0xff, 0xff, 0xff, 0xff, 0xff], MessagePackFault::Malformed),
            (&[0xa2, b'a'], MessagePackFault::Malformed),
            (&[0xa1, 0xff], MessagePackFault::Malformed),
            (&[0x81, 1, 1], MessagePackFault::Key),
            (&[0xd4, 5, 0], MessagePackFault::Extension(5)),
            (&[0xd4, 0xff, 0], MessagePackFault::Malformed),
            (&[0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], MessagePackFault::Malformed),
            (&private, MessagePackFault::Malformed),
        ];
        for (bytes, fault) in cases {
            assert_eq!(read(bytes), Err(fault), "{bytes:02x?}");
        }
    }

    #[test]
    fn bounds_hold_at_the_bound_and_break_past_it() {
        let nested = |depth: usize| {
            let mut bytes = vec![0x91; depth - 1];
            bytes.push(0x90);
            bytes
        };
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(MessagePackFault::TooDeep));
        assert_eq!(read(&vec![0x91; 1_000_000]), Err(MessagePackFault::TooDeep));
        let many = |items: u32| {
            let mut bytes = vec![0xdd];
            bytes.extend(items.to_be_bytes());
            bytes.resize(5 + items as usize, 0xc0);
            bytes
        };
        assert!(read(&many(99_999)).is_ok());
        assert_eq!(read(&many(100_000)), Err(MessagePackFault::TooMany));
        let mut deepest = vec![0x91; DEPTH_MAX];
        deepest.push(0xc0);
        assert!(read(&deepest).is_ok());
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e6..1e6_f64).prop_map(|float| Value::from(float.trunc() + 0.5)),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 20, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                proptest::collection::vec((".{0,5}", inner), 0..20)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in anything()) {
            prop_assert_eq!(read(&write(&value)), Ok(value));
        }

        /// The walk and the decoder agree: what one accepts the other does not choke on.
        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
            if walk(&bytes).is_ok() {
                let mut rest = bytes.as_slice();
                assert!(rmpv::decode::read_value_ref(&mut rest).is_ok() && rest.is_empty());
            }
        }
    }
}
