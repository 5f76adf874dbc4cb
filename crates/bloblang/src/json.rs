//! JSON in and out: whole numbers stay whole, names come out in order, bytes as base64, moments as RFC 3339.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{Object, Text, Value, moment, number};

/// Why bytes are not a JSON document. It says where, and quotes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    line: usize,
    column: usize,
    why: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON at line {}, column {}: {}", self.line, self.column, self.why)
    }
}

impl std::error::Error for JsonError {}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> JsonError {
        let why = match error.classify() {
            serde_json::error::Category::Eof => "the document ends too early",
            serde_json::error::Category::Syntax => "not what the syntax allows here, or nested too deeply",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "not a value",
        };
        JsonError { line: error.line(), column: error.column(), why }
    }
}

impl Value {
    /// Reads one JSON document, which may nest 127 deep.
    pub fn from_json(bytes: &[u8]) -> Result<Value, JsonError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Writes it on one line.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(128);
        Writer { out: &mut out, indent: None, escapes_html: false }.value(self, 0);
        out
    }

    /// Writes it with an indentation for each level, and perhaps with `<`, `>` and `&` escaped.
    pub(crate) fn to_pretty_json(&self, indent: Option<&str>, escapes_html: bool) -> String {
        let mut out = String::new();
        Writer { out: &mut out, indent, escapes_html }.value(self, 0);
        out
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::whole(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Vec::with_capacity(8);
        while let Some(Name(key)) = entries.next_key()? {
            object.push((key, entries.next_value()?));
        }
        Ok(Value::object(Object::from_entries(object)))
    }
}

/// The name of a field, read without a `String` between.
struct Name(Text);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(Text::new(text)))
            }
        }
        deserializer.deserialize_str(Any)
    }
}

struct Writer<'a> {
    out: &'a mut String,
    indent: Option<&'a str>,
    escapes_html: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Null | Value::Deleted | Value::Nothing => self.out.push_str("null"),
            Value::Bool(is) => self.out.push_str(if *is { "true" } else { "false" }),
            Value::Int(n) => self.display(n),
            Value::Uint(n) => self.display(n),
            Value::Float(n) if n.is_finite() => number::write_json(self.out, *n),
            Value::Float(_) => self.out.push_str("null"),
            Value::String(text) => self.string(text),
            Value::Bytes(bytes) => self.string(&crate::library::base64(bytes)),
            Value::Timestamp(at) => self.string(&moment::rfc3339(at)),
            Value::Array(array) => {
                self.list('[', ']', level, array.iter(), |w, item| w.value(item, level + 1));
            }
            Value::Object(object) => self.list('{', '}', level, object.iter(), |w, (key, value)| {
                w.string(key);
                w.out.push_str(if w.indent.is_some() { ": " } else { ":" });
                w.value(value, level + 1);
            }),
        }
    }

    fn display(&mut self, number: impl fmt::Display) {
        write!(self.out, "{number}").expect("a string takes everything");
    }

    fn list<T>(
        &mut self,
        open: char,
        close: char,
        level: usize,
        items: impl ExactSizeIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.out.push(open);
        let is_empty = items.len() == 0;
        for (n, each) in items.enumerate() {
            if n > 0 {
                self.out.push(',');
            }
            self.line(level + 1);
            item(self, each);
        }
        if !is_empty {
            self.line(level);
        }
        self.out.push(close);
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(indent, level));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut copied = 0;
        for (at, byte) in text.bytes().enumerate() {
            let is_plain = match byte {
                b'"' | b'\\' | 0..0x20 => false,
                b'<' | b'>' | b'&' => !self.escapes_html,
                _ => true,
            };
            if !is_plain {
                self.out.push_str(&text[copied..at]);
                self.escape(byte);
                copied = at + 1;
            }
        }
        self.out.push_str(&text[copied..]);
        self.out.push('"');
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.out.push_str("\\\""),
            b'\\' => self.out.push_str("\\\\"),
            b'\n' => self.out.push_str("\\n"),
            b'\r' => self.out.push_str("\\r"),
            b'\t' => self.out.push_str("\\t"),
            _ => write!(self.out, "\\u{byte:04x}").expect("a string takes everything"),
        }
    }
}
