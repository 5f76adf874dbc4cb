//! XML in and out: elements as keys, attributes with a hyphen before them, text beside attributes as `#text`.

use crate::library::call::{expected, text};
use crate::library::quoting::escape_html;
use crate::library::types::to_text;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Object, Value, number};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("parse_xml", &[Param::bool("cast").or(Default::Bool(false))], parse_xml),
    Spec::method(
        "format_xml",
        &[Param::text("indent").or(Default::Text("    ")), Param::bool("no_indent").or(Default::Bool(false))],
        format_xml,
    ),
];

/// How deeply elements may nest.
const DEPTH_MAX: usize = 128;

fn parse_xml(call: &mut Call, target: Value) -> Outcome {
    let mut reader = Reader { rest: text(&target)?, casts: call.flag(0) };
    loop {
        reader.skip_until_tag();
        if reader.rest.is_empty() {
            fail!("the document has no element");
        }
        if !reader.skip_markup()? {
            break;
        }
    }
    let (name, value) = reader.element(call, 0)?;
    while !reader.rest.trim_start().is_empty() {
        reader.rest = reader.rest.trim_start();
        if !reader.skip_markup()? {
            fail!("text follows the element of the document");
        }
    }
    Ok(Value::object([(name.into(), value)].into_iter().collect()))
}

struct Reader<'t> {
    rest: &'t str,
    casts: bool,
}

impl<'t> Reader<'t> {
    fn skip_until_tag(&mut self) {
        self.rest = &self.rest[self.rest.find('<').unwrap_or(self.rest.len())..];
    }

    /// Steps over a comment, an instruction or a declaration, if one is next.
    fn skip_markup(&mut self) -> Outcome<bool> {
        let end = match self.rest {
            rest if rest.starts_with("<!--") => "-->",
            rest if rest.starts_with("<?") => "?>",
            rest if rest.starts_with("<!") && !rest.starts_with("<![CDATA[") => ">",
            _ => return Ok(false),
        };
        self.after(end)?;
        Ok(true)
    }

    /// What stands before a mark, which is stepped over.
    fn after(&mut self, mark: &str) -> Outcome<&'t str> {
        match self.rest.split_once(mark) {
            Some((before, rest)) => {
                self.rest = rest;
                Ok(before)
            }
            None => fail!("the document ends before a `{mark}`"),
        }
    }

    fn name(&mut self) -> Outcome<&'t str> {
        let is_of_name = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
        let (name, rest) = self.rest.split_at(self.rest.find(|c| !is_of_name(c)).unwrap_or(self.rest.len()));
        if name.is_empty() {
            fail!("a name is missing in a tag");
        }
        self.rest = rest;
        Ok(name.rsplit_once(':').map_or(name, |(_, local)| local))
    }

    /// The element that begins here, with all that is in it.
    fn element(&mut self, call: &mut Call, depth: usize) -> Outcome<(String, Value)> {
        if depth > DEPTH_MAX {
            fail!("elements nest over {DEPTH_MAX} deep");
        }
        call.runner.reserve(2 * size_of::<Value>())?;
        self.rest = &self.rest[1..];
        let name = self.name()?;
        let mut object = Object::new();
        let mut content = String::new();
        if self.attributes(&mut object)? {
            self.content(call, depth, name, &mut object, &mut content)?;
        }
        let trimmed = content.trim();
        let value = match (object.is_empty(), trimmed.is_empty()) {
            (true, _) => self.cast(trimmed),
            (false, true) => Value::object(object),
            (false, false) => {
                object.insert("#text", self.cast(trimmed));
                Value::object(object)
            }
        };
        Ok((name.to_owned(), value))
    }

    /// Reads attributes up to the end of the tag; whether content follows.
    fn attributes(&mut self, object: &mut Object) -> Outcome<bool> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok(false);
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Ok(true);
            }
            let name = format!("-{}", self.name()?);
            self.rest = self.rest.trim_start();
            let Some(rest) = self.rest.strip_prefix('=') else { fail!("an attribute has no value") };
            self.rest = rest.trim_start();
            let value = match self.rest.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    self.rest = &self.rest[1..];
                    self.after(if quote == '"' { "\"" } else { "'" })?
                }
                _ => {
                    let is_end = |c: char| c.is_whitespace() || matches!(c, '>' | '/');
                    let (value, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
                    self.rest = rest;
                    value
                }
            };
            object.insert(name, self.cast(&html_escape::decode_html_entities(value)));
        }
    }

    fn content(
        &mut self,
        call: &mut Call,
        depth: usize,
        name: &str,
        object: &mut Object,
        content: &mut String,
    ) -> Outcome<()> {
        loop {
            let at = self.rest.find('<').unwrap_or(self.rest.len());
            content.push_str(&html_escape::decode_html_entities(&self.rest[..at]));
            self.rest = &self.rest[at..];
            if self.rest.is_empty() {
                fail!("the document ends within an element");
            }
            if let Some(rest) = self.rest.strip_prefix("</") {
                self.rest = rest;
                if self.name()? != name {
                    fail!("an element is closed by the end of another");
                }
                self.after(">")?;
                return Ok(());
            }
            if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                self.rest = rest;
                content.push_str(self.after("]]>")?);
                continue;
            }
            if self.skip_markup()? {
                continue;
            }
            let (key, value) = self.element(call, depth + 1)?;
            let is_new = !object.contains_key(&key);
            object.edit(&key, |field| match field {
                _ if is_new => *field = value,
                Value::Array(items) => std::sync::Arc::make_mut(items).push(value),
                first => *first = Value::array(vec![std::mem::take(first), value]),
            });
        }
    }

    fn cast(&self, text: &str) -> Value {
        let cast = match text {
            _ if !self.casts => None,
            "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => number::parse(text),
        };
        cast.unwrap_or_else(|| Value::text(text))
    }
}

fn format_xml(call: &mut Call, target: Value) -> Outcome {
    let Some(object) = target.as_object() else { return Err(expected("object", &target)) };
    call.runner.reserve(target.weight())?;
    let indent = if call.flag(1) { None } else { Some(call.text(0)?.to_owned()) };
    let mut writer = Writer { out: String::new(), indent };
    let mut fields = object.iter();
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) if !matches!(value, Value::Array(_)) && !name.starts_with('-') => {
            writer.element(name, value, 0)?;
        }
        _ => writer.element("doc", &target, 0)?,
    }
    Ok(Value::bytes(writer.out.into_bytes()))
}

struct Writer {
    out: String,
    indent: Option<String>,
}

impl Writer {
    fn element(&mut self, name: &str, value: &Value, level: usize) -> Outcome<()> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "<>&\"'/=".contains(c)) {
            fail!("a key that cannot be the name of an element");
        }
        if let Value::Array(items) = value {
            return items.iter().try_for_each(|item| self.element(name, item, level));
        }
        self.line(level);
        self.out.push_str(&format!("<{name}"));
        let Value::Object(object) = value else {
            match value {
                Value::Null => self.out.push_str("/>"),
                other => self.out.push_str(&format!(">{}</{name}>", escape_html(&to_text(other)))),
            }
            return Ok(());
        };
        let mut has_children = false;
        for (key, value) in object.iter() {
            match key.strip_prefix('-') {
                Some(attribute) => {
                    self.out.push_str(&format!(" {attribute}=\"{}\"", escape_html(&to_text(value))));
                }
                None => has_children |= key != "#text",
            }
        }
        self.out.push('>');
        if let Some(text) = object.get("#text") {
            self.out.push_str(&escape_html(&to_text(text)));
        }
        for (key, value) in object.iter().filter(|(key, _)| !key.starts_with('-') && *key != "#text") {
            self.element(key, value, level + 1)?;
        }
        if has_children {
            self.line(level);
        }
        self.out.push_str(&format!("</{name}>"));
        Ok(())
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = &self.indent
            && !self.out.is_empty()
        {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(indent.as_str(), level));
        }
    }
}
