//! Methods of objects, and those that walk a whole tree.

use std::sync::Arc;

use crate::library::arrays::map_each;
use crate::library::call::{expected, object};
use crate::library::general::members;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Object, Text, Value, path};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("assign", &[Param::any("with")], |call, target| {
        merge_all(call, target, Collision::Override)
    }),
    Spec::method("merge", &[Param::any("with")], |call, target| merge_all(call, target, Collision::Collect)),
    Spec::method("collapse", &[Param::bool("include_empty").or(Default::Bool(false))], collapse),
    Spec::method("explode", &[Param::text("path")], explode),
    Spec::method("filter", &[Param::query("test")], filter),
    Spec::method("key_values", &[], |_, target| {
        let pair = |(key, value)| Value::fields([("key", Value::String(key)), ("value", value)]);
        Ok(Value::array(object(target)?.into_iter().map(pair).collect()))
    }),
    Spec::method("keys", &[], |_, target| {
        Ok(Value::array(object(target)?.into_iter().map(|(key, _)| Value::String(key)).collect()))
    }),
    Spec::method("values", &[], |_, target| match &target {
        Value::Object(_) => Ok(Value::array(members(target)?)),
        other => Err(expected("object", other)),
    }),
    Spec::method("map_each", &[Param::query("query")], map_each),
    Spec::method("map_each_key", &[Param::query("query")], map_each_key),
    Spec::method("squash", &[], |call, target| {
        let mut whole = Value::object(Object::new());
        for item in call.elements(target)? {
            if item.as_object().is_none() {
                return Err(expected("object", &item));
            }
            call.runner.reserve(item.size())?;
            merge(&mut whole, item, Collision::Collect);
        }
        Ok(whole)
    }),
    Spec::method("with", &[], |call, target| {
        let paths = paths(call)?;
        Ok(Value::object(with(&object(target)?, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>())))
    })
    .taking_more(),
    Spec::method("without", &[], |call, target| {
        let mut target = Value::object(object(target)?);
        for path in paths(call)? {
            delete_field(&mut target, &path);
        }
        Ok(target)
    })
    .taking_more(),
];

fn paths(call: &Call) -> Outcome<Vec<Vec<Text>>> {
    let path = |value: &Value| match value.as_str() {
        Some(path) => Ok(path::parse(path)),
        None => fail!("a path is a string, not {}", value.type_name()),
    };
    call.values(0).map(path).collect()
}

/// Only what paths lead to; a path through something that is no object leads to nothing.
fn with(object: &Object, paths: &[&[Text]]) -> Object {
    let mut kept = Object::new();
    for (key, value) in object.iter() {
        let below: Vec<_> =
            paths.iter().filter(|path| path.first() == Some(key)).map(|path| &path[1..]).collect();
        match value {
            _ if below.iter().any(|rest| rest.is_empty()) => drop(kept.insert(key.clone(), value.clone())),
            Value::Object(inner) if !below.is_empty() => {
                kept.insert(key.clone(), Value::object(with(inner, &below)));
            }
            _ => {}
        }
    }
    kept
}

fn delete_field(target: &mut Value, path: &[Text]) {
    if let Value::Object(object) = target
        && let Some((segment, rest)) = path.split_first()
        && object.contains_key(segment)
    {
        let object = Arc::make_mut(object);
        if rest.is_empty() {
            object.remove(segment);
        } else {
            object.edit(segment, |field| delete_field(field, rest));
        }
    }
}

/// What becomes of two values with one key.
#[derive(Clone, Copy, PartialEq)]
enum Collision {
    Override,
    Collect,
}

fn merge_all(call: &mut Call, mut target: Value, collision: Collision) -> Outcome {
    let with = call.value(0);
    for side in [&target, &with] {
        if !matches!(side, Value::Object(_) | Value::Array(_)) {
            return Err(expected("object or array", side));
        }
    }
    call.runner.reserve(with.weight())?;
    merge(&mut target, with, collision);
    Ok(target)
}

fn merge(target: &mut Value, with: Value, collision: Collision) {
    match (target, with) {
        (Value::Object(target), Value::Object(with)) => {
            let target = Arc::make_mut(target);
            for (key, value) in Arc::unwrap_or_clone(with) {
                if target.contains_key(&key) {
                    target.edit(&key, |field| merge(field, value, collision));
                } else {
                    target.insert(key, value);
                }
            }
        }
        (target, with) if collision == Collision::Override => *target = with,
        (target, with) => {
            let spread = |value: Value| match value {
                Value::Array(array) => Arc::unwrap_or_clone(array).into_vec(),
                other => vec![other],
            };
            let mut both = spread(std::mem::take(target));
            both.extend(spread(with));
            *target = Value::array(both);
        }
    }
}

fn collapse(call: &mut Call, target: Value) -> Outcome {
    if !matches!(target, Value::Object(_) | Value::Array(_)) {
        return Err(expected("object or array", &target));
    }
    let keeps_empty = call.flag(0);
    let mut flat = Vec::new();
    collapse_into(call, &mut flat, &mut String::new(), &target, keeps_empty)?;
    Ok(Value::object(flat.into_iter().collect()))
}

fn collapse_into(
    call: &mut Call,
    flat: &mut Vec<(Text, Value)>,
    at: &mut String,
    value: &Value,
    keeps_empty: bool,
) -> Outcome<()> {
    let length = at.len();
    let mut below = |call: &mut Call, key: &str, value: &Value| {
        if !at.is_empty() {
            at.push('.');
        }
        at.push_str(&key.replace('~', "~0").replace('.', "~1"));
        let done = collapse_into(call, flat, at, value, keeps_empty);
        at.truncate(length);
        done
    };
    match value {
        Value::Object(object) if !object.is_empty() => {
            object.iter().try_for_each(|(key, value)| below(call, key, value))
        }
        Value::Array(array) if !array.is_empty() => {
            array.iter().enumerate().try_for_each(|(n, value)| below(call, &n.to_string(), value))
        }
        Value::Object(_) | Value::Array(_) if !keeps_empty => Ok(()),
        leaf => {
            call.runner.reserve(at.len() + size_of::<(Text, Value)>())?;
            flat.push((Text::new(&at), leaf.clone()));
            Ok(())
        }
    }
}

fn explode(call: &mut Call, target: Value) -> Outcome {
    let path = path::parse(call.text(0)?);
    let found = path::get(&target, &path).map(std::borrow::Cow::into_owned);
    let mut explode_one = |value: Value| {
        let mut copy = target.clone();
        call.runner.reserve(copy.size())?;
        if let Err(blocked) = path::set(&mut copy, &path, value) {
            fail!("{}", blocked.message(&path));
        }
        Ok(copy)
    };
    match found {
        Some(Value::Array(items)) => {
            let items = Arc::unwrap_or_clone(items).into_vec();
            Ok(Value::array(items.into_iter().map(explode_one).collect::<Outcome<_>>()?))
        }
        Some(Value::Object(entries)) => {
            let entries = Arc::unwrap_or_clone(entries).into_iter();
            let exploded = entries.map(|(key, value)| Ok((key, explode_one(value)?)));
            Ok(Value::object(exploded.collect::<Outcome<_>>()?))
        }
        other => Err(expected("array or object", &other.unwrap_or_default())),
    }
}

fn filter(call: &mut Call, target: Value) -> Outcome {
    if let Value::Object(_) = target {
        let entries = object(target)?;
        call.runner.spend(entries.len())?;
        let mut kept = Vec::new();
        for (key, value) in entries {
            let pair = Value::fields([("key", Value::String(key.clone())), ("value", value.clone())]);
            if call.query(0, pair)? == Value::Bool(true) {
                kept.push((key, value));
            }
        }
        return Ok(Value::object(kept.into_iter().collect()));
    }
    let mut kept = Vec::new();
    for item in call.elements(target)? {
        if call.query(0, item.clone())? == Value::Bool(true) {
            kept.push(item);
        }
    }
    Ok(Value::array(kept))
}

fn map_each_key(call: &mut Call, target: Value) -> Outcome {
    let entries = object(target)?;
    call.runner.spend(entries.len())?;
    let mut mapped = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match call.query(0, Value::String(key.clone()))? {
            Value::Deleted => {}
            Value::Nothing => mapped.push((key, value)),
            Value::String(key) => mapped.push((key, value)),
            other => fail!("a key is a string, and the query yielded {}", other.type_name()),
        }
    }
    Ok(Value::object(mapped.into_iter().collect()))
}
