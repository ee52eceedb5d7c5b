//! One value computed over many records.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::order::value_cmp;

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// Every record.
    Count,
    /// Records where the operand is present and not null.
    CountPresent,
    /// Over numbers; 0 of nothing.
    Sum,
    /// Over numbers; `null` of nothing.
    Average,
    /// Over numbers and strings, numbers being smaller; `null` of nothing.
    Min,
    Max,
}

/// The computation under way. Whole numbers are added exactly; with fractions the sum is a compensated 64-bit float.
#[derive(Clone, Debug)]
pub struct Aggregate {
    kind: AggregateKind,
    count: i64,
    whole: i128,
    /// Fractions and what is too large for `whole`; `lost` is what rounding took from `real`.
    real: f64,
    lost: f64,
    any_real: bool,
    extreme: Option<Value>,
}

impl Aggregate {
    #[must_use]
    pub fn new(kind: AggregateKind) -> Self {
        Self { kind, count: 0, whole: 0, real: 0.0, lost: 0.0, any_real: false, extreme: None }
    }

    /// Takes in the operand's value of one record.
    pub fn add(&mut self, value: &Value) {
        match self.kind {
            AggregateKind::Count => self.count += 1,
            AggregateKind::CountPresent => self.count += i64::from(!value.is_null()),
            AggregateKind::Sum | AggregateKind::Average => {
                if let Value::Number(number) = value {
                    self.count += 1;
                    self.add_number(number);
                }
            }
            AggregateKind::Min => self.keep(value, Ordering::Less),
            AggregateKind::Max => self.keep(value, Ordering::Greater),
        }
    }

    fn add_number(&mut self, number: &Number) {
        if let Some(whole) = number.as_i64() {
            self.whole += i128::from(whole);
            return;
        }
        self.any_real = true;
        let number = number.as_f64().unwrap_or(f64::INFINITY);
        let sum = self.real + number;
        self.lost += if self.real.abs() >= number.abs() {
            (self.real - sum) + number
        } else {
            (number - sum) + self.real
        };
        self.real = sum;
    }

    fn keep(&mut self, value: &Value, wanted: Ordering) {
        let fits = matches!(value, Value::Number(_) | Value::String(_));
        if fits && self.extreme.as_ref().is_none_or(|best| value_cmp(value, best) == wanted) {
            self.extreme = Some(value.clone());
        }
    }

    /// The result. `null` also for a sum that no 64-bit float holds.
    #[must_use]
    pub fn finish(self) -> Value {
        match self.kind {
            AggregateKind::Count | AggregateKind::CountPresent => Value::from(self.count),
            AggregateKind::Sum => self.sum(),
            AggregateKind::Average if self.count == 0 => Value::Null,
            AggregateKind::Average => real_value(self.sum_real() / count_real(self.count)),
            AggregateKind::Min | AggregateKind::Max => self.extreme.unwrap_or(Value::Null),
        }
    }

    fn sum(&self) -> Value {
        if self.any_real {
            return real_value(self.sum_real());
        }
        // An i128 is a JSON number as it prints.
        self.whole.to_string().parse().map_or(Value::Null, Value::Number)
    }

    #[expect(clippy::cast_precision_loss, reason = "the result is a float")]
    fn sum_real(&self) -> f64 {
        self.whole as f64 + (self.real + self.lost)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of records stay far below 2^53")]
fn count_real(count: i64) -> f64 {
    count as f64
}

/// A float as JSON; whole ones without a fraction, as JavaScript prints them.
fn real_value(number: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number == 0.0 {
        return Value::from(0); // Never `-0`.
    }
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        return format!("{number:.0}").parse().map_or(Value::Null, Value::Number);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse;

    fn over(kind: AggregateKind, values: &str) -> String {
        let mut aggregate = Aggregate::new(kind);
        for value in parse(values.as_bytes()).unwrap().as_array().unwrap() {
            aggregate.add(value);
        }
        aggregate.finish().to_string()
    }

    #[test]
    fn results() {
        use AggregateKind::{Average, Count, CountPresent, Max, Min, Sum};
        let mixed = r#"[3,null,"b",1.5,true,[],"a"]"#;
        let cases = [
            (Count, mixed, "7"),
            (CountPresent, mixed, "6"),
            (Sum, mixed, "4.5"),
            (Average, mixed, "2.25"),
            (Min, mixed, "1.5"),
            (Max, mixed, "\"b\""),
            (Count, "[]", "0"),
            (Sum, "[]", "0"),
            (Average, "[]", "null"),
            (Min, "[null]", "null"),
            (Sum, "[9007199254740993,1]", "9007199254740994"),
            (Sum, "[0.1,0.2,-0.3]", "0"),
            (Sum, "[1.5,-1.5]", "0"),
            (Sum, "[-0.5,-1.5]", "-2"),
            (Average, "[1,2]", "1.5"),
            (Average, "[2,2]", "2"),
        ];
        for (kind, values, expected) in cases {
            let found = over(kind, values);
            // 0.1 + 0.2 - 0.3 is not 0 in binary; what is lost must be tiny.
            if values == "[0.1,0.2,-0.3]" {
                assert!(found.parse::<f64>().unwrap().abs() < 1e-16, "{found}");
            } else {
                assert_eq!(found, expected, "{kind:?} {values}");
            }
        }
    }
}
