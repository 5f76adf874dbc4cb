//! Methods of numbers.

use crate::Value;
use crate::library::call::{expected, number};
use crate::library::{Accepts, Param, Spec};
use crate::run::Outcome;

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("abs", &[], |_, target| match &target {
        Value::Int(n) => Ok(Value::Int(n.checked_abs().unwrap_or(i64::MAX))),
        Value::Float(n) => Ok(Value::Float(n.abs())),
        Value::Uint(_) => Ok(target),
        other => Err(expected("number", other)),
    }),
    Spec::method("ceil", &[], |_, target| rounded(target, f64::ceil)),
    Spec::method("floor", &[], |_, target| rounded(target, f64::floor)),
    Spec::method("round", &[], |_, target| rounded(target, f64::round)),
    Spec::method("cos", &[], |_, target| Ok(Value::Float(number(&target)?.cos()))),
    Spec::method("sin", &[], |_, target| Ok(Value::Float(number(&target)?.sin()))),
    Spec::method("tan", &[], |_, target| Ok(Value::Float(number(&target)?.tan()))),
    Spec::method("log", &[], |_, target| Ok(Value::Float(number(&target)?.ln()))),
    Spec::method("log10", &[], |_, target| Ok(Value::Float(number(&target)?.log10()))),
    Spec::method("pow", &[Param::new("exponent", Accepts::Number)], |call, target| {
        Ok(Value::Float(number(&target)?.powf(call.float(0)?)))
    }),
];

/// A number without its fraction, whole if 64 bits hold it.
fn rounded(target: Value, round: fn(f64) -> f64) -> Outcome {
    let Value::Float(n) = target else {
        number(&target)?;
        return Ok(target);
    };
    let rounded = Value::Float(round(n));
    Ok(rounded.as_int().map_or(rounded, Value::Int))
}
