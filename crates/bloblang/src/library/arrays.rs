//! Methods of arrays, and those that arrays share with text and objects.

use std::cmp::Ordering;

use crate::library::call::{array, bytes, expected, number, object, text};
use crate::library::general::members;
use crate::library::{Call, Param, Spec};
use crate::run::{Failure, Outcome, compare, fail};
use crate::{Value, library};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("all", &[Param::query("test")], |call, target| {
        let items = call.elements(target)?;
        let is_empty = items.is_empty();
        Ok(Value::Bool(!is_empty && first(call, items, |is| !is)?.is_none()))
    }),
    Spec::method("any", &[Param::query("test")], |call, target| {
        let items = call.elements(target)?;
        Ok(Value::Bool(first(call, items, |is| is)?.is_some()))
    }),
    Spec::method("append", &[], |call, target| {
        let mut items = array(target)?;
        items.extend(call.values(0).cloned());
        Ok(Value::array(items))
    })
    .taking_more(),
    Spec::method("concat", &[], |call, target| {
        let mut items = array(target)?;
        for more in call.values(0) {
            items.extend_from_slice(more.as_array().ok_or_else(|| expected("array", more))?);
        }
        Ok(Value::array(items))
    })
    .taking_more(),
    Spec::method("contains", &[Param::any("value")], contains),
    Spec::method("enumerated", &[], |call, target| {
        let pair = |(n, value)| Value::fields([("index", Value::Int(n as i64)), ("value", value)]);
        Ok(Value::array(call.elements(target)?.into_iter().enumerate().map(pair).collect()))
    }),
    Spec::method("find", &[Param::any("value")], |call, target| {
        let wanted = call.value(0);
        call.runner.walk(&target)?;
        let at = call.elements(target)?.iter().position(|item| *item == wanted);
        Ok(Value::Int(at.map_or(-1, |at| at as i64)))
    }),
    Spec::method("find_all", &[Param::any("value")], |call, target| {
        let wanted = call.value(0);
        call.runner.walk(&target)?;
        let items = call.elements(target)?;
        let is_wanted = |(n, item): (usize, &Value)| (*item == wanted).then_some(Value::Int(n as i64));
        Ok(Value::array(items.iter().enumerate().filter_map(is_wanted).collect()))
    }),
    Spec::method("find_by", &[Param::query("query")], |call, target| {
        for (n, item) in call.elements(target)?.into_iter().enumerate() {
            if call.query(0, item)? == Value::Bool(true) {
                return Ok(Value::Int(n as i64));
            }
        }
        Ok(Value::Int(-1))
    }),
    Spec::method("find_all_by", &[Param::query("query")], |call, target| {
        let mut found = Vec::new();
        for (n, item) in call.elements(target)?.into_iter().enumerate() {
            if call.query(0, item)? == Value::Bool(true) {
                found.push(Value::Int(n as i64));
            }
        }
        Ok(Value::array(found))
    }),
    Spec::method("flatten", &[], |call, target| {
        let mut flat = Vec::new();
        for item in call.elements(target)? {
            match item {
                Value::Array(_) => flat.extend(array(item)?),
                other => flat.push(other),
            }
        }
        Ok(Value::array(flat))
    }),
    Spec::method("fold", &[Param::any("initial"), Param::query("query")], |call, target| {
        let mut tally = call.value(0);
        for item in call.elements(target)? {
            tally = call.query(1, Value::fields([("tally", tally), ("value", item)]))?;
            tally = call.runner.made(tally)?;
        }
        Ok(tally)
    }),
    Spec::method("index", &[Param::int("index")], |call, target| {
        library::index(&target, call.int(0)?, false)
    }),
    Spec::method("length", &[], |_, target| match &target {
        Value::String(text) => Ok(Value::Int(text.chars().count() as i64)),
        Value::Bytes(bytes) => Ok(Value::Int(bytes.len() as i64)),
        Value::Array(array) => Ok(Value::Int(array.len() as i64)),
        Value::Object(object) => Ok(Value::Int(object.len() as i64)),
        other => Err(expected("string, array or object", other)),
    }),
    Spec::method("max", &[], |_, target| extreme(&target, Ordering::Greater)),
    Spec::method("min", &[], |_, target| extreme(&target, Ordering::Less)),
    Spec::method("reverse", &[], |_, target| match &target {
        Value::Bytes(bytes) => Ok(Value::bytes(bytes.iter().rev().copied().collect::<Vec<_>>())),
        _ => Ok(Value::from(text(&target)?.chars().rev().collect::<String>())),
    }),
    Spec::method("slice", &[Param::int("low"), Param::int("high").optional()], |call, target| {
        let high = call.get(1).and_then(Value::as_int);
        if let Some(high) = high
            && high >= 0
            && call.int(0)? > high
        {
            fail!("the lower bound {} is above the upper bound {high}", call.int(0)?);
        }
        library::slice(&target, [Some(call.int(0)?), high, None])
    }),
    Spec::method("sort", &[Param::query("compare").optional()], sort),
    Spec::method("sort_by", &[Param::query("query")], sort_by),
    Spec::method("split", &[Param::any("delimiter")], split),
    Spec::method("split_by", &[Param::query("predicate")], split_by),
    Spec::method("sum", &[], |call, target| {
        let (mut whole, mut float) = (Some(0i64), 0.0);
        for item in call.elements(target)? {
            let n = number(&item)?;
            float += n;
            whole = whole.and_then(|sum| {
                matches!(item, Value::Int(_)).then(|| sum.wrapping_add(item.as_int().unwrap_or(0)))
            });
        }
        Ok(whole.map_or(Value::Float(float), Value::Int))
    }),
    Spec::method("unique", &[Param::query("emit").optional()], unique),
    Spec::method("zip", &[], zip).taking_more(),
];

/// The first element whose test yields a truth value that is wanted.
fn first(call: &mut Call, items: Vec<Value>, is_wanted: impl Fn(bool) -> bool) -> Outcome<Option<usize>> {
    for (n, item) in items.into_iter().enumerate() {
        match call.query(0, item)? {
            Value::Bool(is) if is_wanted(is) => return Ok(Some(n)),
            Value::Bool(_) => {}
            other => fail!("the test of element {n} yielded {}, not bool", other.type_name()),
        }
    }
    Ok(None)
}

fn contains(call: &mut Call, target: Value) -> Outcome {
    let wanted = call.value(0);
    call.runner.walk(&target)?;
    match &target {
        Value::String(_) | Value::Bytes(_) => {
            let (text, part) = (bytes(&target)?, bytes(&wanted)?);
            let found = match (std::str::from_utf8(text), std::str::from_utf8(part)) {
                (Ok(text), Ok(part)) => text.contains(part),
                _ if part.is_empty() => true,
                _ => {
                    call.runner.spend(text.len().saturating_mul(part.len()) / 64)?;
                    text.windows(part.len()).any(|window| window == part)
                }
            };
            Ok(Value::Bool(found))
        }
        Value::Array(_) | Value::Object(_) => Ok(Value::Bool(members(target)?.contains(&wanted))),
        other => Err(expected("string, array or object", other)),
    }
}

fn extreme(target: &Value, wanted: Ordering) -> Outcome {
    let items = target.as_array().ok_or_else(|| expected("array", target))?;
    let Some(mut best) = items.first() else { fail!("the array is empty") };
    number(best)?;
    for item in items {
        number(item)?;
        if compare::order(item, best) == Some(Some(wanted)) {
            best = item;
        }
    }
    Ok(best.clone())
}

/// Sorts by keys that are all numbers or all text. The sort is stable.
fn sorted(mut keyed: Vec<(Value, Value)>) -> Outcome {
    let kind = keyed.first().map(|(key, _)| key.type_name());
    let is_sortable = |key: &Value| key.as_bytes().is_some() || key.as_float().is_some_and(|n| !n.is_nan());
    for (key, _) in &keyed {
        if !is_sortable(key) || Some(key.type_name()) != kind {
            let kinds = (kind.unwrap_or("null"), key.type_name());
            fail!(
                "only numbers or strings can be sorted, all of one type: found {} and {}",
                kinds.0,
                kinds.1
            );
        }
    }
    keyed.sort_by(|(a, _), (b, _)| compare::order(a, b).flatten().unwrap_or(Ordering::Equal));
    Ok(Value::array(keyed.into_iter().map(|(_, item)| item).collect()))
}

fn sort(call: &mut Call, target: Value) -> Outcome {
    let items = call.elements(target)?;
    if !call.has(0) {
        return sorted(items.into_iter().map(|item| (item.clone(), item)).collect());
    }
    let is_less = |call: &mut Call, left: &Value, right: &Value| {
        let pair = Value::fields([("left", left.clone()), ("right", right.clone())]);
        match call.query(0, pair)? {
            Value::Bool(is) => Ok(is),
            other => fail!("the comparison yielded {}, not bool", other.type_name()),
        }
    };
    merge_sort(call, items, &is_less).map(Value::array)
}

/// A stable merge sort, whose comparison may fail, and whose comparison need not make sense.
fn merge_sort(
    call: &mut Call,
    mut items: Vec<Value>,
    is_less: &impl Fn(&mut Call, &Value, &Value) -> Outcome<bool>,
) -> Outcome<Vec<Value>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sort(call, items, is_less)?.into_iter().peekable();
    let mut right = merge_sort(call, right, is_less)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let takes_right = is_less(call, b, a)?;
        merged.extend(if takes_right { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

fn sort_by(call: &mut Call, target: Value) -> Outcome {
    let mut keyed = Vec::new();
    for item in call.elements(target)? {
        keyed.push((call.query(0, item.clone())?, item));
    }
    sorted(keyed)
}

fn split(call: &mut Call, target: Value) -> Outcome {
    let delimiter = call.value(0);
    call.runner.walk(&target)?;
    if let Value::Array(items) = &target {
        let segment = |segment: &[Value]| Value::array(segment.to_vec());
        return Ok(Value::array(items.split(|item| *item == delimiter).map(segment).collect()));
    }
    let (whole, delimiter) = (text(&target)?, text(&delimiter)?);
    let parts: Vec<Value> = if delimiter.is_empty() {
        whole.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))).collect()
    } else {
        whole.split(delimiter).map(Value::text).collect()
    };
    Ok(Value::array(parts))
}

fn split_by(call: &mut Call, target: Value) -> Outcome {
    let is_text = target.as_bytes().is_some();
    let items = match is_text {
        true => text(&target)?.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))).collect(),
        false => array(target)?,
    };
    call.runner.spend(items.len())?;
    let mut segments = vec![Vec::new()];
    for item in items {
        match call.query(0, item.clone())? {
            Value::Bool(true) => segments.push(Vec::new()),
            Value::Bool(false) => segments.last_mut().expect("there is always a last segment").push(item),
            other => fail!("the predicate yielded {}, not bool", other.type_name()),
        }
    }
    let segment = |segment: Vec<Value>| match is_text {
        true => Value::from(segment.iter().filter_map(Value::as_str).collect::<String>()),
        false => Value::array(segment),
    };
    Ok(Value::array(segments.into_iter().map(segment).collect()))
}

fn unique(call: &mut Call, target: Value) -> Outcome {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = Vec::new();
    for item in call.elements(target)? {
        let key = if call.has(0) { call.query(0, item.clone())? } else { item.clone() };
        let key = match (key.as_bytes(), key.as_float()) {
            (Some(text), _) => (true, text.to_vec()),
            (None, Some(n)) => (false, n.to_bits().to_be_bytes().to_vec()),
            _ => fail!("only numbers and strings can be told apart, not {}", key.type_name()),
        };
        if seen.insert(key) {
            kept.push(item);
        }
    }
    Ok(Value::array(kept))
}

fn zip(call: &mut Call, target: Value) -> Outcome {
    let mut rows: Vec<Vec<Value>> = array(target)?.into_iter().map(|item| vec![item]).collect();
    for more in call.values(0) {
        let more = more.as_array().ok_or_else(|| expected("array", more))?;
        if more.len() != rows.len() {
            fail!("arrays of {} and {} elements cannot be zipped", rows.len(), more.len());
        }
        rows.iter_mut().zip(more).for_each(|(row, item)| row.push(item.clone()));
    }
    Ok(Value::array(rows.into_iter().map(Value::array).collect()))
}

/// The element at an index, from the end if it is negative. A character of text only where brackets ask for it.
pub(crate) fn index(target: &Value, index: i64, takes_text: bool) -> Outcome {
    let place = |length: usize| {
        let from_end = if index < 0 { index + length as i64 } else { index };
        usize::try_from(from_end).ok().filter(|at| *at < length).ok_or_else(|| {
            Failure::new(format!("index {index} is out of bounds: there are {length} elements"))
        })
    };
    match target {
        Value::Array(items) => Ok(items[place(items.len())?].clone()),
        Value::Bytes(bytes) => Ok(Value::Int(bytes[place(bytes.len())?].into())),
        Value::String(text) if takes_text => {
            let characters: Vec<char> = text.chars().collect();
            Ok(Value::text(characters[place(characters.len())?].encode_utf8(&mut [0; 4])))
        }
        other => Err(expected("array", other)),
    }
}

/// What is between two bounds, every so many elements; of text, characters.
pub(crate) fn slice(target: &Value, [low, high, step]: [Option<i64>; 3]) -> Outcome {
    let step = step.unwrap_or(1);
    if step == 0 {
        fail!("the step of a slice is zero");
    }
    let places = |length: usize| {
        let length = length as i64;
        // The places a bound may take: one before the start too, when walking backwards.
        let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let place =
            |bound: i64| (if bound < 0 { bound.saturating_add(length) } else { bound }).clamp(least, most);
        let low = low.map_or(if step > 0 { least } else { most }, place);
        let high = high.map_or(if step > 0 { most } else { least }, place);
        let mut at = low;
        std::iter::from_fn(move || {
            let is_within = if step > 0 { at < high } else { at > high };
            is_within.then(|| {
                let here = at as usize;
                at = at.saturating_add(step);
                here
            })
        })
    };
    match target {
        Value::Array(items) => Ok(Value::array(places(items.len()).map(|at| items[at].clone()).collect())),
        Value::Bytes(bytes) => Ok(Value::bytes(places(bytes.len()).map(|at| bytes[at]).collect::<Vec<_>>())),
        Value::String(text) if text.is_ascii() => {
            Ok(Value::from(places(text.len()).map(|at| char::from(text.as_bytes()[at])).collect::<String>()))
        }
        Value::String(text) => {
            let characters: Vec<char> = text.chars().collect();
            Ok(Value::from(places(characters.len()).map(|at| characters[at]).collect::<String>()))
        }
        other => Err(expected("array or string", other)),
    }
}

/// Elements or entries that a query changes: what it yields takes their place, or takes them away.
pub(crate) fn map_each(call: &mut Call, target: Value) -> Outcome {
    if let Value::Object(_) = target {
        let entries = object(target)?;
        call.runner.spend(entries.len())?;
        let mut mapped = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let pair = Value::fields([("key", Value::String(key.clone())), ("value", value.clone())]);
            match call.query(0, pair)? {
                Value::Deleted => {}
                Value::Nothing => mapped.push((key, value)),
                other => mapped.push((key, other)),
            }
        }
        return Ok(Value::object(mapped.into_iter().collect()));
    }
    let items = call.elements(target)?;
    let mut mapped = Vec::with_capacity(items.len());
    for item in items {
        match call.query(0, item.clone())? {
            Value::Deleted => {}
            Value::Nothing => mapped.push(item),
            other => mapped.push(other),
        }
    }
    Ok(Value::array(mapped))
}
