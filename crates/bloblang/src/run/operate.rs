//! The operators: numbers whole until one is not, text joined and compared, everything tested for equality.

/// Operators on values, and their failures in words.
pub(crate) mod compare {
    use std::cmp::Ordering;

    use crate::syntax::Operator;
    use crate::{Text, Value};

    /// Why an operator could not do its work.
    pub(crate) enum Refused {
        Types,
        ByZero,
    }

    impl Refused {
        /// In words, with the types and origins of both sides; their values stay out of it.
        pub(crate) fn message(
            &self,
            operator: Operator,
            left: (&Value, &str),
            right: (&Value, &str),
        ) -> String {
            let verb = match operator {
                Operator::Add => "add",
                Operator::Subtract => "subtract",
                Operator::Multiply => "multiply",
                Operator::Divide => "divide",
                Operator::Modulo => "take the remainder of",
                Operator::And | Operator::Or => "combine as bool",
                _ => "compare",
            };
            match self {
                Refused::ByZero => format!("cannot {verb} {}: {} is zero", left.1, right.1),
                Refused::Types => format!(
                    "cannot {verb} types {} (from {}) and {} (from {})",
                    left.0.type_name(),
                    left.1,
                    right.0.type_name(),
                    right.1
                ),
            }
        }
    }

    pub(crate) fn operate(operator: Operator, left: &Value, right: &Value) -> Result<Value, Refused> {
        let ordering = || order(left, right).ok_or(Refused::Types);
        Ok(Value::Bool(match operator {
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
            Operator::Less => ordering()? == Some(Ordering::Less),
            Operator::Greater => ordering()? == Some(Ordering::Greater),
            Operator::LessOrEqual => matches!(ordering()?, Some(Ordering::Less | Ordering::Equal)),
            Operator::GreaterOrEqual => matches!(ordering()?, Some(Ordering::Greater | Ordering::Equal)),
            Operator::And | Operator::Or => match (left, right) {
                (Value::Bool(a), Value::Bool(b)) if operator == Operator::And => *a && *b,
                (Value::Bool(a), Value::Bool(b)) => *a || *b,
                _ => return Err(Refused::Types),
            },
            Operator::Add => return add(left, right),
            Operator::Subtract => return number(left, right, i64::wrapping_sub, |a, b| a - b),
            Operator::Multiply => return number(left, right, i64::wrapping_mul, |a, b| a * b),
            Operator::Divide | Operator::Modulo => return divide(operator, left, right),
            Operator::Coalesce => unreachable!("coalescing evaluates its sides itself"),
        }))
    }

    /// How two numbers, two texts or two moments are ordered; nothing within if one of them is no number.
    pub(crate) fn order(left: &Value, right: &Value) -> Option<Option<Ordering>> {
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => Some(Some(a.cmp(b))),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(Some(a.timestamp().cmp(&b.timestamp()))),
            _ => match (left.as_bytes(), right.as_bytes()) {
                (Some(a), Some(b)) => Some(Some(a.cmp(b))),
                _ => Some(left.as_float()?.partial_cmp(&right.as_float()?)),
            },
        }
    }

    fn number(
        left: &Value,
        right: &Value,
        whole: impl Fn(i64, i64) -> i64,
        float: impl Fn(f64, f64) -> f64,
    ) -> Result<Value, Refused> {
        if let (Value::Int(a), Value::Int(b)) = (left, right) {
            return Ok(Value::Int(whole(*a, *b)));
        }
        match (left.as_float(), right.as_float()) {
            (Some(a), Some(b)) => Ok(Value::Float(float(a, b))),
            _ => Err(Refused::Types),
        }
    }

    fn add(left: &Value, right: &Value) -> Result<Value, Refused> {
        match (left.as_bytes(), right.as_bytes()) {
            (Some(a), Some(b)) => Ok(match (left.as_str(), right.as_str()) {
                (Some(a), Some(b)) => {
                    let mut joined = Text::with_capacity(a.len() + b.len());
                    joined.push_str(a);
                    joined.push_str(b);
                    Value::String(joined)
                }
                _ => Value::bytes([a, b].concat()),
            }),
            _ => number(left, right, i64::wrapping_add, |a, b| a + b),
        }
    }

    /// A quotient is a float; a remainder of whole numbers is whole.
    fn divide(operator: Operator, left: &Value, right: &Value) -> Result<Value, Refused> {
        let (Some(a), Some(b)) = (left.as_float(), right.as_float()) else { return Err(Refused::Types) };
        if b == 0.0 {
            return Err(Refused::ByZero);
        }
        match (operator, left, right) {
            (Operator::Divide, ..) => Ok(Value::Float(a / b)),
            (_, Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))),
            _ => Ok(Value::Float(a % b)),
        }
    }
}
