//! Secrets by reference: what stands for a secret in a value, and what takes its place.
//!
//! ```text
//! ${secret:NAME}     a whole value or a part of one; NAME is letters, digits, `_`, `-` and `.`, up to 64, and begins with none of `.-`
//! ```

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::node::{Node, Value};
use crate::source::Span;

/// What a reference begins with.
const BEGIN: &str = "${secret:";
/// Longest name of a secret.
const NAME_BYTES_MAX: usize = 64;

/// What is wrong with a reference.
const RULE: &str =
    "a secret is named as in `${secret:DB_PASSWORD}`: letters, digits, `_`, `-` and `.`, up to 64";

/// Puts what `find` finds in the place of each reference in a value, at any depth. Keys are left as they are.
///
/// # Errors
/// The first that `find` has, or what is wrong with a reference.
pub fn resolve(value: &mut Json, find: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<(), String> {
    match value {
        Json::String(text) if has_reference(text) => {
            let mut resolved = String::with_capacity(text.len());
            for piece in pieces(text) {
                match piece? {
                    Piece::Text(text) => resolved.push_str(text),
                    Piece::Secret(name) => resolved.push_str(&find(name)?),
                }
            }
            *text = resolved;
            Ok(())
        }
        Json::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, find)),
        Json::Object(map) => map.values_mut().try_for_each(|value| resolve(value, find)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}

/// The secrets that a configuration refers to; what is no reference is left out.
pub fn secrets_of(value: &Json) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in texts(&Node::from_json(value, Span::default())) {
        names.extend(names_in(&text));
    }
    names
}

/// The same, each with the place of the value that it stands in.
pub fn secrets_in(node: &Node) -> Vec<(String, Span)> {
    let texts = texts(node).into_iter();
    texts.flat_map(|(span, text)| names_in(&text).into_iter().map(move |name| (name, span))).collect()
}

/// Whether a text refers to a secret, well or badly.
pub(crate) fn has_reference(text: &str) -> bool {
    text.contains(BEGIN)
}

/// What is wrong with the references of a configuration, each with its place.
pub(crate) fn flaws(node: &Node) -> Vec<(Span, String)> {
    let texts = texts(node).into_iter();
    texts.filter_map(|(span, text)| Some((span, pieces(&text).find_map(Result::err)?))).collect()
}

enum Piece<'a> {
    Text(&'a str),
    Secret(&'a str),
}

/// A text, cut where its references begin and end.
fn pieces(text: &str) -> impl Iterator<Item = Result<Piece<'_>, String>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(reference) = rest.strip_prefix(BEGIN) else {
            let (before, behind) = rest.split_at(rest.find(BEGIN).unwrap_or(rest.len()));
            rest = behind;
            return Some(Ok(Piece::Text(before)));
        };
        match reference.split_once('}') {
            Some((name, behind)) if is_name(name) => {
                rest = behind;
                Some(Ok(Piece::Secret(name)))
            }
            Some(_) | None => {
                rest = "";
                Some(Err(RULE.into()))
            }
        }
    })
}

fn names_in(text: &str) -> Vec<String> {
    let name = |piece| match piece {
        Ok(Piece::Secret(name)) => Some(str::to_owned(name)),
        Ok(Piece::Text(_)) | Err(_) => None,
    };
    pieces(text).filter_map(name).collect()
}

/// Whether it names a secret: it is a part of the name of a file, of a variable, and of nothing above them.
fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with(['.', '-'])
        && name.bytes().all(is_letter)
}

/// Every text in a value, with its place.
fn texts(node: &Node) -> Vec<(Span, String)> {
    let (mut found, mut left) = (Vec::new(), vec![node]);
    while let Some(node) = left.pop() {
        match &node.value {
            Value::Text(text) if has_reference(text) => found.push((node.span, text.clone())),
            Value::List(items) => left.extend(items.iter().rev()),
            Value::Table(entries) => left.extend(entries.iter().rev().map(|entry| &entry.node)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn resolved(mut value: Json) -> Result<Json, String> {
        let mut find = |name: &str| match name {
            "none" => Err("there is none".to_owned()),
            name => Ok(format!("<{name}>")),
        };
        resolve(&mut value, &mut find).map(|()| value)
    }

    #[test]
    fn references_are_replaced_wherever_they_stand_in_a_value() {
        let value = json!({
            "${secret:key}": "${secret:a}", "url": "pg://me:${secret:b.c}@${secret:d-e}/x", "n": 7,
            "list": [{"deep": "${secret:f_1}"}, "plain $ {secret:x} ${field}"],
        });
        let names = ["a", "b.c", "d-e", "f_1"].map(str::to_owned);
        assert_eq!(secrets_of(&value), names.into());
        let want = json!({
            "${secret:key}": "<a>", "url": "pg://me:<b.c>@<d-e>/x", "n": 7,
            "list": [{"deep": "<f_1>"}, "plain $ {secret:x} ${field}"],
        });
        assert_eq!(resolved(value).unwrap(), want);
        assert_eq!(resolved(json!(["${secret:none}"])).unwrap_err(), "there is none");
    }

    #[test]
    fn what_names_no_secret_is_refused() {
        let long = format!("${{secret:{}}}", "x".repeat(NAME_BYTES_MAX + 1));
        for bad in [
            "${secret:}",
            "${secret:a b}",
            "${secret:../x}",
            "${secret:.x}",
            "${secret:a",
            "${secret:a/b}",
            &long,
        ] {
            assert_eq!(resolved(json!(bad)).unwrap_err(), RULE, "{bad}");
            assert_eq!(flaws(&Node::from_json(&json!([bad]), Span::default())).len(), 1, "{bad}");
        }
        // What a secret is made of is not looked at again.
        let mut find = |_: &str| Ok("${secret:other}".to_owned());
        let mut value = json!("${secret:a}");
        resolve(&mut value, &mut find).unwrap();
        assert_eq!(value, "${secret:other}");
    }

    proptest! {
        #[test]
        fn any_text_is_resolved_or_refused(text in "((\\$\\{secret:)|[a-z}. ]|\\PC){0,40}") {
            let names = secrets_of(&json!(text));
            match resolved(json!(text)) {
                Ok(value) if names.is_empty() => prop_assert_eq!(value, json!(text)),
                Ok(value) => {
                    let value = value.as_str().unwrap();
                    let is_there = |name: &String| value.contains(&["<", name, ">"].concat());
                    prop_assert!(names.iter().all(is_there));
                }
                Err(why) => prop_assert!(why == RULE || names.contains("none")),
            }
        }
    }
}
