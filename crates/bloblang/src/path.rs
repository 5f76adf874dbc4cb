//! Dotted paths: reading, writing and deleting what is at one.
//!
//! `a.b` is the field `b` of the field `a`. In a key, `~1` stands for a dot and `~0` for a tilde. Where an array is met,
//! the segment is an index, or `*` for all elements (reading), or `-` for a new one at the end (writing).

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Object, Text, Value};

/// The segments of a path; none if it is empty.
pub(crate) fn parse(path: &str) -> Vec<Text> {
    if path.is_empty() {
        return Vec::new();
    }
    let segment = |segment: &str| {
        if segment.contains('~') {
            segment.replace("~1", ".").replace("~0", "~").into()
        } else {
            Text::new(segment)
        }
    };
    path.split('.').map(segment).collect()
}

/// A path as it is written in a source.
pub(crate) fn display(path: &[Text]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*');
    let segment = |segment: &Text| {
        if !segment.is_empty() && segment.chars().all(is_plain) {
            segment.to_string()
        } else {
            format!("{segment:?}")
        }
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}

/// What is at a path, if anything is.
pub(crate) fn get<'v>(value: &'v Value, path: &[Text]) -> Option<Cow<'v, Value>> {
    let Some((segment, rest)) = path.split_first() else { return Some(Cow::Borrowed(value)) };
    match value {
        Value::Object(object) => get(object.get(segment)?, rest),
        Value::Array(array) if segment == "*" => {
            let each = |item| get(item, rest).map(Cow::into_owned);
            Some(Cow::Owned(Value::array(array.iter().filter_map(each).collect())))
        }
        Value::Array(array) => get(array.get(segment.parse::<usize>().ok()?)?, rest),
        _ => None,
    }
}

/// Why nothing can be written at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A value in the way is neither an object nor an array.
    By(&'static str),
    /// The segment is no index of the array in the way.
    NoIndex,
}

impl Blocked {
    pub(crate) fn message(&self, path: &[Text]) -> String {
        let path = display(path);
        match self {
            Blocked::By(kind) => format!("unable to set `{path}`: a value of type {kind} is in the way"),
            Blocked::NoIndex => format!("unable to set `{path}`: an array in the way has no such index"),
        }
    }
}

/// Puts a value at a path, making the objects on the way.
pub(crate) fn set(target: &mut Value, path: &[Text], value: Value) -> Result<(), Blocked> {
    let Some((segment, rest)) = path.split_first() else {
        *target = value;
        return Ok(());
    };
    if target.is_null() {
        *target = Value::object(Object::new());
    }
    match target {
        Value::Object(object) => {
            let object = Arc::make_mut(object);
            if rest.is_empty() {
                object.insert(segment.clone(), value);
                return Ok(());
            }
            object.edit(segment, |field| set(field, rest, value))
        }
        Value::Array(array) if segment == "-" => {
            let mut item = Value::Null;
            set(&mut item, rest, value)?;
            Arc::make_mut(array).push(item);
            Ok(())
        }
        Value::Array(array) => {
            let index = segment.parse().map_err(|_| Blocked::NoIndex)?;
            Arc::make_mut(array).edit(index, |item| set(item, rest, value)).unwrap_or(Err(Blocked::NoIndex))
        }
        other => Err(Blocked::By(other.type_name())),
    }
}

/// Takes away what is at a path, if anything is.
pub(crate) fn delete(target: &mut Value, path: &[Text]) {
    let Some((segment, rest)) = path.split_first() else { return };
    match target {
        Value::Object(object) if object.contains_key(segment) => {
            let object = Arc::make_mut(object);
            if rest.is_empty() {
                object.remove(segment);
            } else {
                object.edit(segment, |field| delete(field, rest));
            }
        }
        Value::Array(array) => {
            let Some(index) = segment.parse().ok().filter(|index| *index < array.len()) else { return };
            let array = Arc::make_mut(array);
            if rest.is_empty() {
                array.remove(index);
            } else {
                array.edit(index, |item| delete(item, rest));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_read() {
        let check = |json: &str, path: &str, expected: Option<&str>| {
            let value = value(json);
            let found = get(&value, &parse(path)).map(|found| found.to_json());
            assert_eq!(found.as_deref(), expected, "{path} in {json}");
        };
        check(r#"{"foo.foo":{"bar~bo":{"":{"baz":22}}}}"#, "foo~1foo.bar~0bo..baz", Some("22"));
        check(r#"{"foo":[0,1,{"bar":23}]}"#, "foo.2.bar", Some("23"));
        check(r#"{"foo":[{"bar":1},{},{"bar":2}]}"#, "foo.*.bar", Some("[1,2]"));
        check(r#"{"foo":[0]}"#, "foo.1", None);
        check(r#"{"foo":[0]}"#, "foo.bar", None);
        check(r#"{"foo":"x"}"#, "foo.bar", None);
        check("7", "", Some("7"));
    }

    #[test]
    fn paths_are_written() {
        let check = |json: &str, path: &str, expected: Result<&str, Blocked>| {
            let mut target = value(json);
            let written = set(&mut target, &parse(path), Value::Int(9));
            assert_eq!(written.map(|()| target.to_json()), expected.map(str::to_owned), "{path} in {json}");
        };
        check("null", "a.b", Ok(r#"{"a":{"b":9}}"#));
        check(r#"{"a":[1,2]}"#, "a.1", Ok(r#"{"a":[1,9]}"#));
        check(r#"{"a":[1]}"#, "a.-.b", Ok(r#"{"a":[1,{"b":9}]}"#));
        check(r#"{"a":[1]}"#, "a.1", Err(Blocked::NoIndex));
        check(r#"{"a":"x"}"#, "a.b", Err(Blocked::By("string")));
    }

    #[test]
    fn paths_are_deleted() {
        let check = |json: &str, path: &str, expected: &str| {
            let mut target = value(json);
            delete(&mut target, &parse(path));
            assert_eq!(target.to_json(), expected, "{path} in {json}");
        };
        check(r#"{"a":{"b":1,"c":2}}"#, "a.b", r#"{"a":{"c":2}}"#);
        check(r#"{"a":[1,2,3]}"#, "a.1", r#"{"a":[1,3]}"#);
        check(r#"{"a":1}"#, "b.c", r#"{"a":1}"#);
    }
}
