//! What changed between two values, as a list that turns one into the other.

use crate::library::call::expected;
use crate::library::{Call, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Text, Value, path};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("diff", &[Param::any("other")], |call, target| {
        let other = call.value(0);
        let mut changes = Vec::new();
        compare(call, &mut Vec::new(), &target, &other, &mut changes)?;
        Ok(Value::array(changes))
    }),
    Spec::method("patch", &[Param::any("changelog")], patch),
];

fn change(kind: &str, at: &[Text], from: &Value, to: &Value) -> Value {
    let path = at.iter().map(|segment| Value::String(segment.clone())).collect();
    Value::fields([
        ("Type", kind.into()),
        ("Path", Value::array(path)),
        ("From", from.clone()),
        ("To", to.clone()),
    ])
}

fn compare(
    call: &mut Call,
    at: &mut Vec<Text>,
    from: &Value,
    to: &Value,
    changes: &mut Vec<Value>,
) -> Outcome<()> {
    call.runner.reserve((at.len() + 1) * size_of::<Value>())?;
    let mut step = |call: &mut Call, key: Text, from: Option<&Value>, to: Option<&Value>| -> Outcome<()> {
        at.push(key);
        match (from, to) {
            (Some(from), Some(to)) => compare(call, at, from, to, changes)?,
            (Some(from), None) => changes.push(change("delete", at, from, &Value::Null)),
            (None, Some(to)) => changes.push(change("create", at, &Value::Null, to)),
            (None, None) => {}
        }
        at.pop();
        Ok(())
    };
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            for (key, value) in from.iter() {
                step(call, key.clone(), Some(value), to.get(key))?;
            }
            for (key, value) in to.iter().filter(|(key, _)| !from.contains_key(key)) {
                step(call, key.clone(), None, Some(value))?;
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            // What goes from the end goes first, so that the indexes before it stay.
            for n in (0..from.len().max(to.len())).rev() {
                if n >= to.len() {
                    step(call, n.to_string().into(), from.get(n), None)?;
                }
            }
            for n in 0..to.len() {
                step(call, n.to_string().into(), from.get(n), to.get(n))?;
            }
        }
        _ if from == to => {}
        _ => changes.push(change("update", at, from, to)),
    }
    Ok(())
}

fn patch(call: &mut Call, target: Value) -> Outcome {
    let changelog = call.value(0);
    let Some(changes) = changelog.as_array() else { return Err(expected("array", &changelog)) };
    let mut patched = target;
    for change in changes {
        call.runner.spend(1)?;
        call.runner.reserve(patched.size())?;
        let Some(segments) = change.get("Path").and_then(Value::as_array) else {
            fail!("a change has no `Path` that is an array");
        };
        let segments: Vec<Text> = segments.iter().filter_map(Value::as_str).map(Text::new).collect();
        let to = change.get("To").cloned().unwrap_or_default();
        match change.get("Type").and_then(Value::as_str) {
            Some("delete") => path::delete(&mut patched, &segments),
            Some("create" | "update") => set(&mut patched, segments, to)?,
            _ => fail!("a change has no `Type` that is create, update or delete"),
        }
    }
    Ok(patched)
}

/// Writes at a path, where an index one past the end of an array appends.
fn set(target: &mut Value, mut segments: Vec<Text>, to: Value) -> Outcome<()> {
    if let Some((last, before)) = segments.split_last()
        && let Some(parent) = path::get(target, before)
        && let Some(items) = parent.as_array()
        && last.parse() == Ok(items.len())
    {
        let end = segments.len() - 1;
        segments[end] = "-".into();
    }
    match path::set(target, &segments, to) {
        Ok(()) => Ok(()),
        Err(blocked) => fail!("{}", blocked.message(&segments)),
    }
}
