//! Methods of text: cutting, joining, searching, replacing, and regular expressions.

use regex::{Captures, Regex};

use crate::library::call::{bytes, expected, like, text};
use crate::library::{Accepts, Call, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Object, Text, Value};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("capitalize", &[], |_, target| Ok(like(&target, capitalize(text(&target)?)))),
    Spec::method("uppercase", &[], |_, target| Ok(like(&target, text(&target)?.to_uppercase()))),
    Spec::method("lowercase", &[], |_, target| Ok(like(&target, text(&target)?.to_lowercase()))),
    Spec::method("has_prefix", &[Param::text("value")], |call, target| {
        Ok(Value::Bool(bytes(&target)?.starts_with(call.bytes(0)?)))
    }),
    Spec::method("has_suffix", &[Param::text("value")], |call, target| {
        Ok(Value::Bool(bytes(&target)?.ends_with(call.bytes(0)?)))
    }),
    Spec::method("index_of", &[Param::text("value")], |call, target| {
        let whole = text(&target)?;
        // What is text is counted in characters, as `length` and `slice` count it.
        let place = |at: usize| match target {
            Value::Bytes(_) => at,
            _ => whole[..at].chars().count(),
        };
        Ok(Value::Int(whole.find(call.text(0)?).map_or(-1, |at| place(at) as i64)))
    }),
    Spec::method("repeat", &[Param::int("count")], repeat),
    Spec::method("replace_all", &[Param::text("old"), Param::text("new")], |call, target| {
        replace(call, &[call.value(0), call.value(1)], target)
    }),
    Spec::method("replace_all_many", &[Param::new("values", Accepts::Array)], |call, target| {
        let pairs = call.items(0).to_vec();
        replace(call, &pairs, target)
    }),
    Spec::method("trim", &[Param::text("cutset").optional()], |call, target| {
        let trimmed = match call.optional_text(0)? {
            Some(cutset) => text(&target)?.trim_matches(|c| cutset.contains(c)),
            None => text(&target)?.trim(),
        };
        Ok(like(&target, trimmed.to_owned()))
    }),
    Spec::method("trim_prefix", &[Param::text("prefix")], |call, target| {
        let whole = text(&target)?;
        Ok(like(&target, whole.strip_prefix(call.text(0)?).unwrap_or(whole).to_owned()))
    }),
    Spec::method("trim_suffix", &[Param::text("suffix")], |call, target| {
        let whole = text(&target)?;
        Ok(like(&target, whole.strip_suffix(call.text(0)?).unwrap_or(whole).to_owned()))
    }),
    Spec::method("filepath_join", &[], filepath_join),
    Spec::method("filepath_split", &[], |_, target| {
        let path = text(&target)?;
        let (directory, file) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        Ok(Value::array(vec![directory.into(), file.into()]))
    }),
    Spec::method("join", &[Param::text("delimiter").optional()], join),
    Spec::method("re_match", &[Param::text("pattern")], |call, target| {
        Ok(Value::Bool(call.prepared()?.regex()?.is_match(text(&target)?)))
    })
    .with_regex(),
    Spec::method("re_find_all", &[Param::text("pattern")], |call, target| {
        let prepared = call.prepared()?;
        let regex = prepared.regex()?;
        Ok(Value::array(regex.find_iter(text(&target)?).map(|found| found.as_str().into()).collect()))
    })
    .with_regex(),
    Spec::method("re_find_all_submatch", &[Param::text("pattern")], |call, target| {
        let prepared = call.prepared()?;
        let regex = prepared.regex()?;
        let groups = |captures: Captures| {
            Value::array(
                captures.iter().map(|group| group.map_or("", |group| group.as_str()).into()).collect(),
            )
        };
        Ok(Value::array(regex.captures_iter(text(&target)?).map(groups).collect()))
    })
    .with_regex(),
    Spec::method("re_find_object", &[Param::text("pattern")], |call, target| {
        let prepared = call.prepared()?;
        let regex = prepared.regex()?;
        let found = regex.captures(text(&target)?).map(|captures| named_groups(regex, &captures));
        Ok(found.unwrap_or_else(|| Value::object(Object::new())))
    })
    .with_regex(),
    Spec::method("re_find_all_object", &[Param::text("pattern")], |call, target| {
        let prepared = call.prepared()?;
        let regex = prepared.regex()?;
        let all = regex.captures_iter(text(&target)?).map(|captures| named_groups(regex, &captures));
        Ok(Value::array(all.collect()))
    })
    .with_regex(),
    Spec::method("re_replace_all", &[Param::text("pattern"), Param::text("value")], re_replace_all)
        .with_regex(),
];

/// Groups by name, or by number when they have none.
fn named_groups(regex: &Regex, captures: &Captures) -> Value {
    let group = |(n, name): (usize, Option<&str>)| {
        let text = captures.get(n).map_or("", |group| group.as_str());
        (name.map_or_else(|| Text::from(n.to_string()), Text::new), Value::text(text))
    };
    Value::object(regex.capture_names().enumerate().map(group).collect())
}

fn re_replace_all(call: &mut Call, target: Value) -> Outcome {
    let prepared = call.prepared()?;
    let regex = prepared.regex()?;
    let (whole, template) = (text(&target)?, call.text(1)?.to_owned());
    let (mut out, mut copied) = (String::new(), 0);
    for captures in regex.captures_iter(whole) {
        let found = captures.get_match();
        out.push_str(&whole[copied..found.start()]);
        captures.expand(&template, &mut out);
        copied = found.end();
        if out.len() > call.runner.bytes_left() {
            call.runner.reserve(out.len())?;
        }
    }
    out.push_str(&whole[copied..]);
    Ok(like(&target, out))
}

fn capitalize(text: &str) -> String {
    let mut is_within = false;
    let title = |c: char| {
        let starts = !is_within;
        is_within = c.is_alphanumeric() || matches!(c, '\'' | '_');
        if starts && c.is_alphabetic() { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(title).collect()
}

fn repeat(call: &mut Call, target: Value) -> Outcome {
    let count = usize::try_from(call.int(0)?).unwrap_or(0);
    call.runner.reserve(bytes(&target)?.len().saturating_mul(count))?;
    match &target {
        Value::Bytes(bytes) => Ok(Value::bytes(bytes.repeat(count))),
        _ => Ok(Value::from(text(&target)?.repeat(count))),
    }
}

/// Replaces by pairs, one pair after the other. What that could make at most is counted before it is made.
fn replace(call: &mut Call, pairs: &[Value], target: Value) -> Outcome {
    if !pairs.len().is_multiple_of(2) {
        fail!("the argument `values` has no replacement for its last element");
    }
    let mut out = text(&target)?.to_owned();
    for pair in pairs.chunks(2) {
        let (old, new) = (text(&pair[0])?, text(&pair[1])?);
        let matches = if old.is_empty() { out.len() + 1 } else { out.len() / old.len() };
        if out.len().saturating_add(matches.saturating_mul(new.len())) > call.runner.bytes_left() {
            let count = out.matches(old).count();
            call.runner.reserve(out.len().saturating_add(count.saturating_mul(new.len())))?;
        }
        call.runner.spend(out.len() / 64)?;
        out = out.replace(old, new);
    }
    Ok(like(&target, out))
}

/// Joins parts of a path, and makes it the shortest that means the same.
fn filepath_join(_: &mut Call, target: Value) -> Outcome {
    let parts = target.as_array().ok_or_else(|| expected("array", &target))?;
    let parts = parts.iter().map(text).collect::<Outcome<Vec<_>>>()?;
    let joined = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if joined.is_empty() {
        return Ok(Value::text(""));
    }
    let is_absolute = joined.starts_with('/');
    let mut clean: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if clean.last().is_some_and(|last| *last != "..") => drop(clean.pop()),
            ".." if is_absolute => {}
            part => clean.push(part),
        }
    }
    let path = clean.join("/");
    Ok(Value::from(match (is_absolute, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".into(),
        (false, false) => path,
    }))
}

fn join(call: &mut Call, target: Value) -> Outcome {
    let items = target.as_array().ok_or_else(|| expected("array", &target))?;
    let delimiter = call.optional_text(0)?.unwrap_or_default().to_owned();
    let mut parts = Vec::with_capacity(items.len());
    for (n, item) in items.iter().enumerate() {
        match item.as_str() {
            Some(part) => parts.push(part),
            None => fail!("element {n} is of type {}, and only strings can be joined", item.type_name()),
        }
    }
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let delimiters = delimiter.len().saturating_mul(parts.len());
    if length.saturating_add(delimiters) > call.runner.bytes_left() {
        call.runner.reserve(length.saturating_add(delimiters))?;
    }
    Ok(Value::from(parts.join(&delimiter)))
}
