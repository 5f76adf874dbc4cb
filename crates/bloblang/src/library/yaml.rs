//! YAML in and out: the core schema of version 1.2, anchors and merge keys included.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::library::call::text;
use crate::library::{Call, Spec, types};
use crate::run::{Failure, Outcome, fail};
use crate::{Object, Text, Value, number};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("format_yaml", &[], |call, target| {
        call.runner.reserve(target.weight())?;
        let mut out = String::new();
        write(&mut out, &target, 0);
        Ok(Value::bytes(out.into_bytes()))
    }),
    Spec::method("parse_yaml", &[], parse),
];

/// How deeply a document may nest.
const DEPTH_MAX: usize = 64;

fn parse(call: &mut Call, target: Value) -> Outcome {
    let mut loader = Loader { parser: Parser::new_from_str(text(&target)?), anchors: BTreeMap::new(), call };
    let mut event = loader.next()?;
    while matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
        event = loader.next()?;
    }
    if event == Event::StreamEnd {
        return Ok(Value::Null);
    }
    let value = loader.value(event, 0)?;
    match loader.next()? {
        Event::DocumentEnd | Event::StreamEnd => Ok(value),
        _ => fail!("text follows the document"),
    }
}

struct Loader<'t, 'c, 's, 'r> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, Value>,
    call: &'c mut Call<'s, 'r>,
}

impl<'t> Loader<'t, '_, '_, '_> {
    fn next(&mut self) -> Outcome<Event<'t>> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                Err(Failure::new(format!("invalid YAML on line {}: {}", error.marker().line(), error.info())))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    /// The value that an event begins. What an alias repeats is shared, and so costs no more than once.
    fn value(&mut self, event: Event<'t>, depth: usize) -> Outcome {
        if depth > DEPTH_MAX {
            fail!("the document nests over {DEPTH_MAX} deep");
        }
        self.call.runner.reserve(size_of::<Value>())?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(value) => (value.clone(), 0),
                None => fail!("an alias within its own anchor"),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                (if is_text { Value::text(text) } else { scalar(&text) }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
                (Value::array(items), anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => fail!("a value is missing in the document"),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn mapping(&mut self, depth: usize) -> Outcome {
        let (mut object, mut merged) = (Object::new(), Vec::new());
        loop {
            let event = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key: Text = match event {
                Event::Scalar(text, ..) => Text::new(text),
                _ => fail!("a key that is no scalar in the document"),
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            match value {
                Value::Object(other) if is_merge => merged.push(other),
                Value::Array(others) if is_merge => {
                    merged.extend(others.iter().filter_map(|other| match other {
                        Value::Object(other) => Some(other.clone()),
                        _ => None,
                    }))
                }
                value => drop(object.insert(key, value)),
            }
        }
        for other in merged {
            self.call.runner.reserve(Value::Object(other.clone()).size())?;
            for (key, value) in other.iter() {
                if !object.contains_key(key) {
                    object.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(Value::object(object))
    }
}

/// What a scalar without quotes is.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | "+.inf" => return Value::Float(f64::INFINITY),
        "-.inf" => return Value::Float(f64::NEG_INFINITY),
        ".nan" => return Value::Float(f64::NAN),
        _ => {}
    }
    let starts_number =
        text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let whole = || match text.get(..2) {
        Some("0x" | "0o" | "0b") => number::parse_whole(text).map(Value::whole),
        _ => text.parse().ok().map(Value::whole),
    };
    match starts_number {
        true => whole().or_else(|| number::parse(text)).unwrap_or_else(|| Value::text(text)),
        false => Value::text(text),
    }
}

/// Blocks, each four columns in from what they belong to, and flow style for what is empty.
fn write(out: &mut String, value: &Value, column: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items.iter() {
                out.extend(std::iter::repeat_n(' ', column));
                out.push_str("- ");
                // The first line of an element stands beside its hyphen.
                let mut below = String::new();
                write(&mut below, item, column + 2);
                out.push_str(below.trim_start_matches(' '));
            }
        }
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object.iter() {
                out.extend(std::iter::repeat_n(' ', column));
                let is_block = match value {
                    Value::Array(items) => !items.is_empty(),
                    Value::Object(object) => !object.is_empty(),
                    _ => false,
                };
                out.push_str(&plain(key));
                out.push_str(if is_block { ":\n" } else { ": " });
                write(out, value, column + 4);
            }
        }
        leaf => {
            out.push_str(&leaf_text(leaf));
            out.push('\n');
        }
    }
}

fn leaf_text(leaf: &Value) -> String {
    match leaf {
        Value::String(text) => plain(text),
        Value::Float(n) if n.is_nan() => ".nan".into(),
        Value::Float(n) if n.is_infinite() => if *n > 0.0 { ".inf" } else { "-.inf" }.into(),
        Value::Bytes(_) => plain(&types::to_text(leaf)),
        Value::Timestamp(_) => types::to_text(leaf),
        other => other.to_json(),
    }
}

/// Text without quotes where it reads back as itself, else in quotes.
fn plain(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "_-./ ,+()@$%^;<>=~".contains(c);
    let reads_back = matches!(scalar(text), Value::String(_)) && !is_old_bool(text);
    let starts =
        text.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '/' || c == '(' || c == '.');
    if reads_back && starts && text.chars().all(is_word) && text.trim() == text {
        text.to_owned()
    } else {
        Value::text(text).to_json()
    }
}

/// What older versions of YAML take for a truth value.
fn is_old_bool(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off")
}
