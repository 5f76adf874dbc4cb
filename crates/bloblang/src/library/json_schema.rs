//! JSON Schema, draft 7 and what draft 4 has besides: every problem of a document, by its path.

use std::collections::BTreeMap;

use regex::Regex;

use crate::library::{Call, Constants, Param, Prepared, Spec};
use crate::limits::REGEX_BYTES_MAX;
use crate::run::{Outcome, fail};
use crate::{Value, layout, moment};

pub(crate) const METHODS: &[Spec] =
    &[Spec::method("json_schema", &[Param::text("schema")], json_schema).prepared(prepare)];

/// How deeply validation may nest: references that never end stop here.
const DEPTH_MAX: usize = 128;

/// Problems of a document that are told.
const PROBLEMS_MAX: usize = 20;

/// A schema, and the regular expressions in it.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

fn prepare(constants: &Constants) -> Result<Prepared, String> {
    let text = constants.text(0).ok_or("needs a schema that is text")?;
    let root = Value::from_json(text.as_bytes())
        .map_err(|error| format!("has a schema that is no JSON: {error}"))?;
    let mut schema = Schema { root: Value::Null, patterns: BTreeMap::new() };
    schema.collect(&root)?;
    schema.root = root;
    Ok(Prepared::Schema(std::sync::Arc::new(schema)))
}

impl Schema {
    /// Compiles the patterns of a schema, wherever they are in it.
    fn collect(&mut self, schema: &Value) -> Result<(), String> {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            self.compile(pattern)?;
        }
        if let Some(properties) = schema.get("patternProperties").and_then(Value::as_object) {
            properties.iter().try_for_each(|(pattern, _)| self.compile(pattern))?;
        }
        match schema {
            Value::Object(object) => object.iter().try_for_each(|(_, value)| self.collect(value)),
            Value::Array(items) => items.iter().try_for_each(|item| self.collect(item)),
            _ => Ok(()),
        }
    }

    fn compile(&mut self, pattern: &str) -> Result<(), String> {
        let regex = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|_| format!("has a schema with the invalid pattern `{pattern}`"))?;
        self.patterns.insert(pattern.to_owned(), regex);
        Ok(())
    }
}

fn json_schema(call: &mut Call, target: Value) -> Outcome {
    let Prepared::Schema(schema) = &*call.prepared()? else { fail!("the argument is no schema") };
    let mut check = Check { call, schema, problems: Vec::new(), depth: 0 };
    check.value(&schema.root, &target, "(root)")?;
    if check.problems.is_empty() { Ok(target) } else { fail!("{}", check.problems.join("\n")) }
}

struct Check<'c, 's, 'r> {
    call: &'c mut Call<'s, 'r>,
    schema: &'c Schema,
    problems: Vec<String>,
    depth: usize,
}

impl<'c> Check<'c, '_, '_> {
    fn tell(&mut self, at: &str, what: std::fmt::Arguments) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("{at} {what}"));
        }
    }

    /// Whether a value fits a schema, without telling why not.
    fn fits(&mut self, schema: &'c Value, value: &Value) -> Outcome<bool> {
        let outer = std::mem::take(&mut self.problems);
        let done = self.value(schema, value, "");
        let fits = self.problems.is_empty();
        self.problems = outer;
        done.map(|()| fits)
    }

    fn value(&mut self, schema: &'c Value, value: &Value, at: &str) -> Outcome<()> {
        self.call.runner.spend(1)?;
        if self.depth == DEPTH_MAX {
            fail!("the schema refers to itself without end, or too deeply");
        }
        self.depth += 1;
        match schema {
            Value::Bool(false) => self.tell(at, format_args!("is not allowed")),
            Value::Object(_) => match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => match self.resolve(reference) {
                    Some(schema) => self.value(schema, value, at)?,
                    None => fail!("the schema refers to `{reference}`, which is not in it"),
                },
                None => {
                    self.general(schema, value, at);
                    self.combined(schema, value, at)?;
                    match value {
                        Value::Array(items) => self.array(schema, items, at)?,
                        Value::Object(object) => self.object(schema, object, at)?,
                        _ => self.scalar(schema, value, at),
                    }
                }
            },
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    /// What `#/definitions/x` refers to.
    fn resolve(&self, reference: &str) -> Option<&'c Value> {
        let pointer = reference.strip_prefix('#')?;
        let mut target = &self.schema.root;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            target = match target {
                Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
                other => other.get(&segment)?,
            };
        }
        Some(target)
    }

    fn general(&mut self, schema: &Value, value: &Value, at: &str) {
        let given = match value {
            Value::Int(_) | Value::Uint(_) => "integer",
            Value::Bool(_) => "boolean",
            Value::Bytes(_) | Value::Timestamp(_) => "string",
            other => other.type_name(),
        };
        let is_whole = value.as_int().is_some();
        let is_of = |name: &Value| match name.as_str() {
            Some("number") => value.as_float().is_some(),
            Some("integer") => is_whole || given == "integer",
            Some(name) => name == given,
            None => false,
        };
        let expected: Option<Vec<&Value>> = match schema.get("type") {
            None => None,
            Some(Value::Array(names)) => Some(names.iter().collect()),
            Some(name) => Some(vec![name]),
        };
        if let Some(expected) = expected
            && !expected.iter().any(|name| is_of(name))
        {
            let names: Vec<_> = expected.iter().filter_map(|name| name.as_str()).collect();
            self.tell(at, format_args!("invalid type. expected: {}, given: {given}", names.join("/")));
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            self.tell(at, format_args!("must be one of the values that the schema lists"));
        }
        if let Some(only) = schema.get("const")
            && only != value
        {
            self.tell(at, format_args!("does not match the one value of the schema"));
        }
    }

    fn combined(&mut self, schema: &'c Value, value: &Value, at: &str) -> Outcome<()> {
        let list = |name: &str| schema.get(name).and_then(Value::as_array).unwrap_or_default();
        for each in list("allOf") {
            self.value(each, value, at)?;
        }
        for (name, is_fit) in [("anyOf", (|n| n > 0) as fn(usize) -> bool), ("oneOf", |n| n == 1)] {
            if schema.get(name).is_some() {
                let mut count = 0;
                for each in list(name) {
                    count += usize::from(self.fits(each, value)?);
                }
                if !is_fit(count) {
                    self.tell(at, format_args!("fits {count} of the schemas of {name}"));
                }
            }
        }
        if let Some(not) = schema.get("not")
            && self.fits(not, value)?
        {
            self.tell(at, format_args!("must not validate the schema of not"));
        }
        if let Some(condition) = schema.get("if") {
            let branch = if self.fits(condition, value)? { "then" } else { "else" };
            if let Some(branch) = schema.get(branch) {
                self.value(branch, value, at)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, schema: &Value, value: &Value, at: &str) {
        if let Some(n) = value.as_float() {
            let bound = |name: &str| schema.get(name).and_then(Value::as_float);
            // Draft 4 says with a flag that a bound itself is excluded.
            let is_exclusive = |name: &str| schema.get(name) == Some(&Value::Bool(true));
            let (least, most) = (bound("minimum"), bound("maximum"));
            if least.is_some_and(|least| n < least || n == least && is_exclusive("exclusiveMinimum"))
                || bound("exclusiveMinimum").is_some_and(|least| n <= least)
            {
                self.tell(at, format_args!("is less than the schema allows"));
            }
            if most.is_some_and(|most| n > most || n == most && is_exclusive("exclusiveMaximum"))
                || bound("exclusiveMaximum").is_some_and(|most| n >= most)
            {
                self.tell(at, format_args!("is greater than the schema allows"));
            }
            if let Some(unit) = bound("multipleOf").filter(|unit| *unit > 0.0) {
                let quotient = n / unit;
                if (quotient - quotient.round()).abs() > 1e-9 * quotient.abs().max(1.0) {
                    self.tell(at, format_args!("must be a multiple of {unit}"));
                }
            }
        }
        let Some(text) = value.as_str() else { return };
        let length = text.chars().count();
        self.count(schema, length, ["minLength", "maxLength"], "characters", at);
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.schema.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
        {
            self.tell(at, format_args!("does not match pattern '{pattern}'"));
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && !is_of_format(text, format)
        {
            self.tell(at, format_args!("does not match format '{format}'"));
        }
    }

    fn count(&mut self, schema: &Value, count: usize, [least, most]: [&str; 2], of: &str, at: &str) {
        let bound =
            |name: &str| schema.get(name).and_then(Value::as_int).and_then(|n| usize::try_from(n).ok());
        if let Some(least) = bound(least).filter(|least| count < *least) {
            self.tell(at, format_args!("must have at least {least} {of}"));
        }
        if let Some(most) = bound(most).filter(|most| count > *most) {
            self.tell(at, format_args!("must have at most {most} {of}"));
        }
    }

    fn array(&mut self, schema: &'c Value, items: &[Value], at: &str) -> Outcome<()> {
        self.count(schema, items.len(), ["minItems", "maxItems"], "items", at);
        for (n, item) in items.iter().enumerate() {
            let item_schema = match schema.get("items") {
                Some(Value::Array(places)) => places.get(n).or_else(|| schema.get("additionalItems")),
                each => each,
            };
            if let Some(item_schema) = item_schema {
                self.value(item_schema, item, &below(at, &n.to_string()))?;
            }
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.call.runner.spend(items.len().saturating_mul(items.len()))?;
            if (1..items.len()).any(|n| items[..n].contains(&items[n])) {
                self.tell(at, format_args!("items must be unique"));
            }
        }
        if let Some(contained) = schema.get("contains") {
            let mut has = false;
            for item in items {
                has = has || self.fits(contained, item)?;
            }
            if !has {
                self.tell(at, format_args!("must contain an item that the schema describes"));
            }
        }
        Ok(())
    }

    fn object(&mut self, schema: &'c Value, object: &crate::Object, at: &str) -> Outcome<()> {
        self.count(schema, object.len(), ["minProperties", "maxProperties"], "properties", at);
        for name in schema.get("required").and_then(Value::as_array).unwrap_or_default() {
            if let Some(name) = name.as_str()
                && !object.contains_key(name)
            {
                self.tell(at, format_args!("{name} is required"));
            }
        }
        let fields = |name: &str| schema.get(name).and_then(Value::as_object);
        for (key, value) in object.iter() {
            let mut is_known = false;
            if let Some(property) = fields("properties").and_then(|properties| properties.get(key)) {
                is_known = true;
                self.value(property, value, &below(at, key))?;
            }
            for (pattern, property) in fields("patternProperties").into_iter().flat_map(crate::Object::iter) {
                if self.schema.patterns.get(pattern.as_str()).is_some_and(|regex| regex.is_match(key)) {
                    is_known = true;
                    self.value(property, value, &below(at, key))?;
                }
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) if !is_known => {
                    self.tell(at, format_args!("additional property {key} is not allowed"));
                }
                Some(additional) if !is_known => self.value(additional, value, &below(at, key))?,
                _ => {}
            }
            if let Some(names) = schema.get("propertyNames") {
                self.value(names, &Value::String(key.clone()), &below(at, key))?;
            }
            match fields("dependencies").and_then(|dependencies| dependencies.get(key)) {
                Some(Value::Array(names)) => {
                    for name in
                        names.iter().filter_map(Value::as_str).filter(|name| !object.contains_key(name))
                    {
                        self.tell(at, format_args!("has a dependency on {name}"));
                    }
                }
                Some(dependency) => {
                    self.value(dependency, &Value::object(object.clone()), at)?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// The path of what is below a path.
fn below(at: &str, key: &str) -> String {
    if at == "(root)" { key.to_owned() } else { format!("{at}.{key}") }
}

fn is_of_format(text: &str, format: &str) -> bool {
    let is_laid_out = |layout: &str| layout::parse(text, layout).is_ok();
    match format {
        "date-time" => is_laid_out(moment::RFC3339),
        "date" => is_laid_out("2006-01-02"),
        "time" => is_laid_out("15:04:05Z07:00") || is_laid_out("15:04:05"),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')),
        "uri" => text.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }),
        "hostname" => {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.len() < 64
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            text.len() < 254 && text.split('.').all(is_label)
        }
        "uuid" => {
            let lengths: Vec<_> = text.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        "regex" => Regex::new(text).is_ok(),
        _ => true,
    }
}
