//! Methods that make a value of another type of it.

use crate::library::call::expected;
use crate::library::{Accepts, Param, Spec};
use crate::run::{Failure, Outcome, fail};
use crate::{Value, moment, number};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("string", &[], |call, target| match &target {
        Value::String(_) => Ok(target),
        Value::Bytes(bytes) => Ok(Value::from(String::from_utf8_lossy(bytes).into_owned())),
        other => {
            call.runner.reserve(other.weight())?;
            Ok(Value::from(to_text(other)))
        }
    }),
    Spec::method("bytes", &[], |call, target| match &target {
        Value::Bytes(_) => Ok(target),
        other => {
            call.runner.reserve(other.weight())?;
            Ok(Value::bytes(to_text(other).into_bytes()))
        }
    }),
    Spec::method("number", &[Param::new("default", Accepts::Number).optional()], |call, target| {
        let parsed = match &target {
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => return Ok(target),
            Value::String(_) | Value::Bytes(_) => target.as_str().and_then(number::parse),
            _ => None,
        };
        match (parsed, call.get(0)) {
            (Some(number), _) => Ok(number),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) if target.as_bytes().is_some() => fail!("the string is no number"),
            (None, None) => Err(expected("number", &target)),
        }
    }),
    Spec::method("float32", &[], |_, target| {
        let n = float(&target)? as f32;
        // The shortest digits of the small float are those that are shown.
        Ok(Value::Float(n.to_string().parse().unwrap_or(f64::from(n))))
    }),
    Spec::method("float64", &[], |_, target| Ok(Value::Float(float(&target)?))),
    Spec::method("int8", &[], |_, target| whole::<i8>(&target)),
    Spec::method("int16", &[], |_, target| whole::<i16>(&target)),
    Spec::method("int32", &[], |_, target| whole::<i32>(&target)),
    Spec::method("int64", &[], |_, target| whole::<i64>(&target)),
    Spec::method("uint8", &[], |_, target| whole::<u8>(&target)),
    Spec::method("uint16", &[], |_, target| whole::<u16>(&target)),
    Spec::method("uint32", &[], |_, target| whole::<u32>(&target)),
    Spec::method("uint64", &[], |_, target| whole::<u64>(&target)),
];

/// A value as text: what it says if it is text, and JSON if it is anything that has parts.
pub(crate) fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Float(n) => n.to_string(),
        Value::Timestamp(at) => moment::rfc3339(at),
        other => other.to_json(),
    }
}

fn float(target: &Value) -> Outcome<f64> {
    match target.as_str() {
        Some(text) => number::parse_float(text).ok_or_else(|| Failure::new("the string is no number")),
        None => target.as_float().ok_or_else(|| expected("number", target)),
    }
}

/// A whole number of a size; one that it does not hold, or a fraction, is refused.
fn whole<N: TryFrom<i128> + Into<i128>>(target: &Value) -> Outcome {
    let n = match target {
        Value::Int(n) => i128::from(*n),
        Value::Uint(n) => i128::from(*n),
        Value::Float(n) if n.fract() == 0.0 && n.abs() < 1e20 => *n as i128,
        Value::Float(_) => fail!("the number has a fraction: round it first"),
        Value::String(_) | Value::Bytes(_) => match target.as_str().and_then(number::parse_whole) {
            Some(n) => n,
            None => fail!("the string is no integer"),
        },
        other => return Err(expected("number", other)),
    };
    match N::try_from(n) {
        Ok(n) => Ok(Value::whole(n.into())),
        Err(_) => fail!("the number does not fit {} bits", size_of::<N>() * 8),
    }
}
