//! Functions that make values, and methods that decide what is evaluated.

use crate::library::call::{array, expected, object};
use crate::library::{Accepts, Call, Cell, Default, Param, Prepared, Run, Spec, Touches};
use crate::node::{Argument, Node};
use crate::run::{Failure, Outcome, Runner, fail};
use crate::{Value, path};

pub(crate) const FUNCTIONS: &[Spec] = &[
    Spec::function(
        "counter",
        &[
            Param::new("min", Accepts::Lazy).or(Default::Int(1)),
            Param::new("max", Accepts::Lazy).or(Default::Int(i64::MAX)),
            Param::new("set", Accepts::Lazy).optional(),
        ],
        counter,
    ),
    Spec::function("count", &[Param::text("name")], count),
    Spec::function("deleted", &[], |_| Ok(Value::Deleted)),
    Spec::function("nothing", &[], |_| Ok(Value::Nothing)),
    Spec::function("pi", &[], |_| Ok(Value::Float(std::f64::consts::PI))),
    Spec::function(
        "range",
        &[Param::int("start"), Param::int("stop"), Param::int("step").or(Default::Int(1))],
        range,
    ),
    Spec::function("throw", &[Param::text("why")], |call| Err(Failure::new(call.text(0)?))),
];

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("apply", &[Param::text("mapping")], apply),
    Spec::new("catch", &[Param::query("fallback")], Run::Control(catch)),
    Spec::new("or", &[Param::new("fallback", Accepts::Lazy)], Run::Control(or)),
    Spec::new("from", &[Param::int("index")], Run::Control(from)).touching(Touches::Message),
    Spec::new("from_all", &[], Run::Control(from_all)).touching(Touches::Message),
    Spec::method("exists", &[Param::text("path")], |call, target| {
        Ok(Value::Bool(path::get(&target, &path::parse(call.text(0)?)).is_some()))
    }),
    Spec::method("get", &[Param::text("path")], |call, target| {
        let path = path::parse(call.text(0)?);
        Ok(path::get(&target, &path).map(std::borrow::Cow::into_owned).unwrap_or_default())
    }),
    Spec::method("type", &[], |_, target| Ok(Value::text(target.type_name()))),
    Spec::method("not_null", &[], |_, target| match target {
        Value::Null => fail!("value is null"),
        value => Ok(value),
    }),
    Spec::method("not_empty", &[], not_empty),
    Spec::method("array", &[], |_, target| match target {
        Value::Array(_) => Ok(target),
        other => Ok(Value::array(vec![other])),
    }),
    Spec::method("bool", &[Param::bool("default").optional()], boolean),
];

fn apply(call: &mut Call, target: Value) -> Outcome {
    if let Some(Prepared::Map(number)) = &call.site.prepared {
        return call.runner.apply(*number, target);
    }
    let name = call.text(0)?;
    match call.runner.program.names.get(name) {
        Some(number) => call.runner.apply(*number, target),
        None => fail!("no map has the name that `apply` was given"),
    }
}

fn catch(runner: &mut Runner, target: &Node, arguments: &[Argument]) -> Outcome {
    let failure = match runner.evaluate(target) {
        Err(failure) if !failure.is_final => failure,
        other => return other,
    };
    match arguments {
        [Argument::Query { slot, body }, ..] => {
            runner.set_slot(*slot, Value::String(failure.message.into()));
            runner.evaluate(body)
        }
        _ => Err(failure),
    }
}

fn or(runner: &mut Runner, target: &Node, arguments: &[Argument]) -> Outcome {
    match (runner.evaluate(target), arguments) {
        (Ok(value), _) if !value.is_null() => Ok(value),
        (Err(failure), _) if failure.is_final => Err(failure),
        (_, [Argument::Lazy(fallback), ..]) => runner.evaluate(fallback),
        (other, _) => other,
    }
}

fn from(runner: &mut Runner, target: &Node, arguments: &[Argument]) -> Outcome {
    let index = match arguments {
        [Argument::Constant(index), ..] => index.clone(),
        [Argument::Computed(node), ..] => runner.evaluate(node)?,
        _ => Value::Null,
    };
    let index = index.as_int().ok_or_else(|| expected("integer", &index))?;
    let size = runner.batch.len();
    match usize::try_from(index).ok().filter(|index| *index < size) {
        Some(index) => seen_from(runner, index, target),
        None => fail!("the batch has {size} messages, so none at {index}"),
    }
}

fn from_all(runner: &mut Runner, target: &Node, _: &[Argument]) -> Outcome {
    let seen = (0..runner.batch.len()).map(|index| seen_from(runner, index, target));
    let seen = seen.collect::<Outcome<Vec<_>>>()?;
    runner.made(Value::array(seen))
}

/// Evaluates with functions looking at another message of the batch.
fn seen_from(runner: &mut Runner, index: usize, target: &Node) -> Outcome {
    let outer = std::mem::replace(&mut runner.perspective, index);
    let value = runner.evaluate(target);
    runner.perspective = outer;
    value
}

fn not_empty(_: &mut Call, target: Value) -> Outcome {
    let is_empty = match &target {
        Value::String(_) | Value::Bytes(_) => target.size() == 0,
        Value::Array(array) => array.is_empty(),
        Value::Object(object) => object.is_empty(),
        other => return Err(expected("string, array or object", other)),
    };
    if is_empty {
        fail!("{} value is empty", target.type_name());
    }
    Ok(target)
}

fn boolean(call: &mut Call, target: Value) -> Outcome {
    let parsed = match &target {
        Value::Bool(is) => Some(*is),
        Value::String(_) | Value::Bytes(_) => match target.as_str() {
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Some(true),
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Some(false),
            _ => None,
        },
        other => other.as_float().map(|n| n != 0.0),
    };
    match (parsed, call.get(0)) {
        (Some(is), _) => Ok(Value::Bool(is)),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => Err(expected("bool", &target)),
    }
}

fn range(call: &mut Call) -> Outcome {
    let (start, stop, step) = (call.int(0)?, call.int(1)?, call.int(2)?);
    if step == 0 {
        fail!("the argument `step` is zero");
    }
    if (step > 0) != (start < stop) && start != stop {
        fail!("a range from {start} to {stop} cannot be walked in steps of {step}");
    }
    let distance = i128::from(stop) - i128::from(start);
    let count = (distance.unsigned_abs()).div_ceil(u128::from(step.unsigned_abs()));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    call.runner.reserve(count.saturating_mul(size_of::<Value>()))?;
    call.runner.spend(count)?;
    Ok(Value::array(
        (0..count).map(|n| Value::Int(start.wrapping_add(step.wrapping_mul(n as i64)))).collect(),
    ))
}

/// A number of `counter` that a query yields; it is no negative one.
fn natural(value: Option<Value>, what: &str) -> Outcome<i64> {
    match value.as_ref().and_then(Value::as_int) {
        Some(n) if n >= 0 => Ok(n),
        _ => fail!("`{what}` must be an integer that is not negative"),
    }
}

fn counter(call: &mut Call) -> Outcome {
    let set = call.lazy(2)?;
    let bounds = match &*call.cell() {
        Some(Cell::Counter { min, max, .. }) => Some((*min, *max)),
        _ => None,
    };
    let (min, max) = match bounds {
        Some(bounds) => bounds,
        None => (natural(call.lazy(0)?, "min")?, natural(call.lazy(1)?, "max")?),
    };
    if min > max {
        fail!("`min` is greater than `max`");
    }
    let mut cell = call.cell();
    let last = match &*cell {
        Some(Cell::Counter { last, .. }) => *last,
        _ => None,
    };
    let next = || match last {
        Some(last) if last < max => last + 1,
        _ => min,
    };
    let (yielded, kept) = match set {
        Some(Value::Null) => (last.unwrap_or(min), last),
        Some(Value::Deleted) => (min, Some(min)),
        Some(other) => match other.as_int() {
            Some(n) if n >= 0 => (n, Some(n)),
            _ if other == Value::Nothing => (next(), Some(next())),
            _ => fail!("`set` yields an integer that is not negative, null, a deletion, or nothing"),
        },
        None => (next(), Some(next())),
    };
    *cell = Some(Cell::Counter { last: kept, min, max });
    Ok(Value::Int(yielded))
}

fn count(call: &mut Call) -> Outcome {
    let program = call.runner.program;
    let mut counts = program.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = call.text(0)?;
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return Ok(Value::Int(*count));
    }
    if counts.len() == COUNTS_MAX {
        fail!("a mapping has at most {COUNTS_MAX} counters by name");
    }
    counts.insert(name.into(), 1);
    Ok(Value::Int(1))
}

/// Counters that `count` makes names for; a message could bring any number of them.
const COUNTS_MAX: usize = 10_000;

/// The elements of an array, or the values of an object.
pub(crate) fn members(target: Value) -> Outcome<Vec<Value>> {
    match target {
        Value::Object(_) => Ok(object(target)?.into_iter().map(|(_, value)| value).collect()),
        other => array(other),
    }
}
