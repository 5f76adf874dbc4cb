//! Holds a value against a JSON Schema and reports every place where it does not fit, with what to do.

use serde_json::{Map, Value as Json};

use crate::codes::Code;
use crate::forms::{check_format, limits_of};
use crate::limits::DEPTH_MAX;
use crate::node::{Entry, Node, Value};
use crate::reference::has_reference;
use crate::report::{Issue, Report};
use crate::resolve::{Mismatch, Schemas, View, is_of_type};
use crate::source::Span;
use crate::words::{closest, did_you_mean, listed, quoted};

/// Which codes the problems get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Racks, gears and wires themselves.
    Structure,
    /// The config of a gear.
    Config,
    /// The settings of a rack.
    Settings,
}

/// What can be wrong with one value.
#[derive(Clone, Copy)]
enum Problem {
    UnknownKey,
    WrongType,
    MissingKey,
    BadValue,
    OutOfRange,
}

impl Part {
    fn code(self, problem: Problem) -> Code {
        match (self, problem) {
            (Part::Structure, Problem::UnknownKey) => Code::UnknownKey,
            (Part::Structure, Problem::WrongType) => Code::WrongType,
            (Part::Structure, Problem::MissingKey) => Code::MissingKey,
            (Part::Structure, Problem::BadValue) => Code::BadValue,
            (Part::Structure, Problem::OutOfRange) => Code::OutOfRange,
            (Part::Config, Problem::UnknownKey) => Code::ConfigUnknownKey,
            (Part::Config, Problem::WrongType) => Code::ConfigWrongType,
            (Part::Config, Problem::MissingKey) => Code::ConfigMissingKey,
            (Part::Config, Problem::BadValue) => Code::ConfigBadValue,
            (Part::Config, Problem::OutOfRange) => Code::ConfigOutOfRange,
            (Part::Settings, Problem::UnknownKey) => Code::SettingUnknownKey,
            (Part::Settings, Problem::WrongType) => Code::SettingWrongType,
            // No setting is required, so what is missing is part of a value.
            (Part::Settings, Problem::MissingKey | Problem::BadValue) => Code::SettingBadValue,
            (Part::Settings, Problem::OutOfRange) => Code::SettingOutOfRange,
        }
    }
}

/// Reports everything about `node` that does not fit `schema`. `subject` names the value in messages, and `place` is
/// where an absent key is reported: usually the key the value stands under.
pub(crate) fn conform(
    report: &mut Report,
    part: Part,
    schemas: Schemas<'_>,
    schema: &Json,
    node: &Node,
    subject: &str,
    place: Span,
) {
    Conform { report, part, schemas }.value(schema, node, &Subject { name: subject, place }, 0);
}

struct Conform<'r, 's> {
    report: &'r mut Report,
    part: Part,
    schemas: Schemas<'s>,
}

/// How a value is called in a message, and where something missing inside it is reported.
struct Subject<'a> {
    name: &'a str,
    place: Span,
}

impl<'s> Conform<'_, 's> {
    fn issue(&self, problem: Problem, span: Span, message: String) -> Issue {
        Issue::new(self.part.code(problem), span, message)
    }

    fn value(&mut self, schema: &'s Json, node: &Node, subject: &Subject<'_>, depth: usize) {
        if depth > DEPTH_MAX || self.report.is_full() {
            return;
        }
        if schema == &Json::Bool(false) {
            let message = format!("{} is not allowed here", subject.name);
            return self.report.push(self.issue(Problem::BadValue, node.span, message));
        }
        let view = match self.schemas.resolve(schema, node) {
            Ok(view) => view,
            Err(mismatch) => return self.mismatch(mismatch, node, subject),
        };
        if view.maps.iter().any(|map| map.get("type").is_some_and(|word| !is_of_type(word, &node.value))) {
            let wanted = wanted(&view.maps);
            return self.wrong_type(&wanted, node, subject);
        }
        match &node.value {
            Value::Null | Value::Bool(_) => self.constant(&view, node, subject),
            Value::Number(_) => {
                self.constant(&view, node, subject);
                self.number(&view, node, subject);
            }
            Value::Text(text) => {
                self.constant(&view, node, subject);
                self.text(&view, text, node.span, subject);
            }
            Value::List(items) => self.list(&view, items, node.span, subject, depth),
            Value::Table(entries) => self.table(&view, entries, node, subject, depth),
        }
    }

    fn mismatch(&mut self, mismatch: Mismatch<'s>, node: &Node, subject: &Subject<'_>) {
        match mismatch {
            Mismatch::Type(branches) => {
                let wanted = wanted(&self.schemas.every_map(&branches));
                self.wrong_type(&wanted, node, subject);
            }
            Mismatch::NoneOf { property: None, options } => self.none_of(&options, node, subject.name),
            Mismatch::NoneOf { property: Some(property), options } => {
                let node = node.get(property).expect("an absent property is a mismatch of its own");
                self.none_of(&options, node, &format!("`{property}`"));
            }
            Mismatch::Untold { property, options } => {
                let message = format!("{} has no `{property}`", subject.name);
                let help = format!("add `{property}`: {}", listed(&options, "or"));
                self.report.push(self.issue(Problem::MissingKey, subject.place, message).help(help));
            }
            Mismatch::KeyNoneOf(keys) => {
                let (span, message) = match node.entries().first() {
                    Some(entry) => (entry.key_span, format!("{} has no key `{}`", subject.name, entry.key)),
                    None => (subject.place, format!("{} is empty", subject.name)),
                };
                let help = match node.entries().first().and_then(|entry| closest(&entry.key, &keys)) {
                    Some(key) => did_you_mean(key),
                    None => format!("write one of {}", listed(&keys, "or")),
                };
                self.report.push(self.issue(Problem::UnknownKey, span, message).help(help));
            }
        }
    }

    fn wrong_type(&mut self, wanted: &str, node: &Node, subject: &Subject<'_>) {
        let message = format!("{} must be {wanted}, found {}", subject.name, node.value.described());
        let mut issue = self.issue(Problem::WrongType, node.span, message);
        issue.help = retype_help(wanted, &node.value, subject.name);
        self.report.push(issue);
    }

    fn none_of(&mut self, options: &[&str], node: &Node, name: &str) {
        let Some(text) = node.as_text() else {
            let message =
                format!("{name} must be {}, found {}", listed(options, "or"), node.value.described());
            return self.report.push(self.issue(Problem::WrongType, node.span, message));
        };
        let message = format!("{name} cannot be {}", quoted(text));
        let mut help = format!("write {}", listed(options, "or"));
        if let Some(option) = closest(text, options) {
            help = format!("{} (It may be {}.)", did_you_mean(option), listed(options, "or"));
        }
        self.report.push(self.issue(Problem::BadValue, node.span, message).help(help));
    }

    fn constant(&mut self, view: &View<'s>, node: &Node, subject: &Subject<'_>) {
        let allowed: Option<Vec<&Json>> = view.maps.iter().find_map(|map| {
            map.get("const")
                .map(|only| vec![only])
                .or_else(|| Some(map.get("enum")?.as_array()?.iter().collect()))
        });
        let Some(allowed) = allowed else { return };
        let json = node.to_json();
        if allowed.contains(&&json) {
            return;
        }
        if let Some(words) = view.words().filter(|words| !words.is_empty() && node.as_text().is_some()) {
            return self.none_of(&words, node, subject.name);
        }
        let options = allowed.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
        let issue = self.issue(Problem::BadValue, node.span, format!("{} cannot be {json}", subject.name));
        self.report.push(issue.help(format!("write {options}")));
    }

    fn number(&mut self, view: &View<'s>, node: &Node, subject: &Subject<'_>) {
        let Value::Number(number) = &node.value else { return };
        let (mut least, mut most) =
            view.keyword("format").and_then(Json::as_str).map_or((None, None), limits_of);
        for map in &view.maps {
            least = at_most_one(least, map.get("minimum").and_then(as_i128), i128::max);
            most = at_most_one(most, map.get("maximum").and_then(as_i128), i128::min);
        }
        let value = number.as_i128().map_or(number.as_f64(), |whole| Some(whole as f64)).unwrap_or(0.0);
        let too_small =
            least.is_some_and(|least| number.as_i128().map_or(value < least as f64, |v| v < least));
        let too_large = most.is_some_and(|most| number.as_i128().map_or(value > most as f64, |v| v > most));
        if !too_small && !too_large {
            return;
        }
        let range = match (least, most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (_, most) => format!("at most {}", most.unwrap_or_default()),
        };
        let message = format!("{} must be {range}, found {number}", subject.name);
        self.report.push(self.issue(Problem::OutOfRange, node.span, message));
    }

    fn text(&mut self, view: &View<'s>, text: &str, span: Span, subject: &Subject<'_>) {
        if self.part == Part::Config && has_reference(text) {
            // What will stand there is known to the rack alone, and its gear looks at it.
            return;
        }
        let is_secret = view.keyword("x-flux-secret") == Some(&Json::Bool(true));
        let length = text.chars().count() as u64;
        let limit = |word| view.keyword(word).and_then(Json::as_u64);
        if limit("minLength").is_some_and(|least| length < least) {
            let message =
                if length == 0 { "must not be empty".to_owned() } else { "is too short".to_owned() };
            self.report.push(self.issue(Problem::OutOfRange, span, format!("{} {message}", subject.name)));
        }
        if let Some(most) = limit("maxLength").filter(|&most| length > most) {
            let message = format!("{} is longer than {most} characters", subject.name);
            self.report.push(self.issue(Problem::OutOfRange, span, message));
        }
        let Some(format) = view.keyword("format").and_then(Json::as_str) else { return };
        if let Err(why) = check_format(format, text) {
            let shown = if is_secret { "this".to_owned() } else { quoted(text) };
            let message = format!("{} cannot be {shown}", subject.name);
            self.report.push(self.issue(Problem::BadValue, span, message).help(why));
        }
    }

    fn list(&mut self, view: &View<'s>, items: &[Node], span: Span, subject: &Subject<'_>, depth: usize) {
        let limit = |word| view.keyword(word).and_then(Json::as_u64);
        let length = items.len() as u64;
        if let Some(least) = limit("minItems").filter(|&least| length < least) {
            let message = match length {
                0 => format!("{} must not be empty", subject.name),
                _ => format!("{} needs at least {least} items, found {length}", subject.name),
            };
            self.report.push(self.issue(Problem::OutOfRange, span, message));
        }
        if let Some(most) = limit("maxItems").filter(|&most| length > most) {
            let message = format!("{} may have at most {most} items, found {length}", subject.name);
            self.report.push(self.issue(Problem::OutOfRange, span, message));
        }
        for (index, item) in items.iter().enumerate() {
            let name = format!("item {} of {}", index + 1, subject.name);
            let place = item.entries().first().map_or(item.span, |entry| entry.key_span);
            for schema in view.maps.iter().filter_map(|map| map.get("items")) {
                self.value(schema, item, &Subject { name: &name, place }, depth + 1);
            }
        }
        if view.keyword("uniqueItems") == Some(&Json::Bool(true)) {
            self.unique(items, subject);
        }
    }

    fn unique(&mut self, items: &[Node], subject: &Subject<'_>) {
        let mut seen = std::collections::BTreeMap::new();
        for item in items {
            if let Some(first) = seen.insert(item.to_json().to_string(), item.span) {
                let issue =
                    self.issue(Problem::BadValue, item.span, format!("{} repeats this", subject.name));
                self.report.push(issue.related(first, "first here").help("remove one of them"));
            }
        }
    }

    fn table(
        &mut self,
        view: &View<'s>,
        entries: &[Entry],
        node: &Node,
        subject: &Subject<'_>,
        depth: usize,
    ) {
        for entry in entries {
            let mut schemas: Vec<&Json> = view.property(&entry.key).collect();
            schemas.extend(schemas.is_empty().then(|| view.additional()).flatten());
            if schemas.is_empty() && view.is_closed() {
                self.unknown_key(view, entry, subject);
            }
            let name = format!("`{}`", entry.key);
            for schema in schemas {
                self.value(schema, &entry.node, &Subject { name: &name, place: entry.key_span }, depth + 1);
            }
        }
        let mut missing: Vec<&str> = view.required().filter(|name| node.get(name).is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        for name in missing {
            self.missing_key(view, name, subject);
        }
    }

    fn unknown_key(&mut self, view: &View<'s>, entry: &Entry, subject: &Subject<'_>) {
        if self.report.is_full() {
            return;
        }
        let mut known: Vec<&str> = view.properties().map(|(name, _)| name).collect();
        known.sort_unstable();
        known.dedup();
        let message = format!("{} has no key `{}`", subject.name, entry.key);
        let help = match closest(&entry.key, &known) {
            Some(name) => did_you_mean(name),
            None if known.is_empty() => "remove it: nothing can be set here".to_owned(),
            None if known.len() == 1 => format!("the only key is `{}`", known[0]),
            None => format!("the keys are {}", listed(&known, "and")),
        };
        self.report.push(self.issue(Problem::UnknownKey, entry.key_span, message).help(help));
    }

    fn missing_key(&mut self, view: &View<'s>, name: &str, subject: &Subject<'_>) {
        let issue =
            self.issue(Problem::MissingKey, subject.place, format!("{} has no `{name}`", subject.name));
        let described = view.property(name).find_map(|schema| {
            let view = self.schemas.flat(schema);
            view.keyword("description")
                .and_then(Json::as_str)
                .map(|text| text.lines().next().unwrap_or_default())
        });
        let help = match described {
            Some(text) => format!("add `{name}`: {}", lower_start(text)),
            None => format!("add `{name}`"),
        };
        self.report.push(issue.help(help));
    }
}

/// Starts a sentence from a schema as a continuation, without its full stop.
fn lower_start(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + &text[first.len_utf8()..]
        }
        (Some(first), Some(' ')) => first.to_lowercase().collect::<String>() + &text[first.len_utf8()..],
        _ => text.to_owned(),
    }
}

/// What the schemas ask for, in words.
fn wanted(maps: &[&Map<String, Json>]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for map in maps {
        match map.get("format").and_then(Json::as_str) {
            Some("duration") => words.push("a duration like \"5s\""),
            Some("byte-size") => words.push("a size like \"64KiB\""),
            _ => {
                let types = match map.get("type") {
                    Some(Json::String(word)) => vec![word.as_str()],
                    Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
                    _ => match map.get("const").or_else(|| map.get("enum")?.get(0)) {
                        Some(Json::String(_)) => vec!["string"],
                        _ => Vec::new(),
                    },
                };
                words.extend(types.into_iter().filter_map(type_word));
            }
        }
    }
    let mut distinct: Vec<&str> = Vec::new();
    for word in words {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    if distinct.is_empty() { "something else".to_owned() } else { distinct.join(" or ") }
}

fn type_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a table",
        _ => return None,
    })
}

fn retype_help(wanted: &str, value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Null if wanted == "text" => {
            Some("write one; a bare `null` is nothing, and the word in quotes is text: \"null\"".to_owned())
        }
        Value::Table(entries) if name == "`gears`" && wanted == "a list" => {
            let gear = entries.first().map_or("NAME", |entry| &entry.key);
            Some(format!(
                "write each gear as an item of its own: `- name: {gear}`, with its `type` and `config`"
            ))
        }
        Value::Number(number) if wanted.contains("a duration") => {
            Some(format!("say the unit: \"{number}s\""))
        }
        Value::Number(_) | Value::Bool(_) if wanted == "text" => Some("put it in quotes".to_owned()),
        Value::Text(text) if wanted.contains("number") && text.parse::<f64>().is_ok() => {
            Some("write it without quotes".to_owned())
        }
        Value::Text(text) if wanted == "true or false" => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write true".to_owned()),
            "no" | "off" | "n" | "false" => Some("write false".to_owned()),
            _ => None,
        },
        Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::Table(_) if wanted == "a list" => {
            Some("put it in [ ]".to_owned())
        }
        _ => None,
    }
}

fn as_i128(json: &Json) -> Option<i128> {
    json.as_number()?.as_i128().or_else(|| json.as_f64().map(|value| value as i128))
}

fn at_most_one(a: Option<i128>, b: Option<i128>, pick: fn(i128, i128) -> i128) -> Option<i128> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
