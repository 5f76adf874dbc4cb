//! A datum of the language: cheap to clone, ordered by name, shared until somebody writes.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Zoned;

use crate::{Array, Object, Text};

/// One datum. Containers are shared, so that a clone costs a count and a write copies only what it touches.
///
/// ```
/// use bloblang::Value;
///
/// let value = Value::from_json(br#"{"id":7,"tags":["a","b"]}"#)?;
/// assert_eq!(value.get("tags").and_then(|tags| tags.index(1)), Some(&Value::from("b")));
/// assert_eq!(value.to_json(), r#"{"id":7,"tags":["a","b"]}"#);
/// # Ok::<(), bloblang::JsonError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing is known.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without a fraction.
    Int(i64),
    /// A number without a fraction that no `i64` holds.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// UTF-8 text.
    String(Text),
    /// Bytes, shared with the message they were cut from. In JSON they are base64.
    Bytes(Arc<Bytes>),
    /// A moment, with the time zone it was written in.
    Timestamp(Arc<Zoned>),
    /// Values in order.
    Array(Arc<Array>),
    /// Values by name.
    Object(Arc<Object>),
    /// A query's word for "take the target away"; no document holds it.
    Deleted,
    /// A query's word for "leave the target as it was"; no document holds it.
    Nothing,
}

impl Value {
    /// Text.
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::String(Text::new(text))
    }

    /// Bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Value {
        Value::Bytes(Arc::new(bytes.into()))
    }

    /// Values in order.
    pub fn array(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(items.into()))
    }

    /// Values by name.
    pub fn object(object: Object) -> Value {
        Value::Object(Arc::new(object))
    }

    /// An object of a few fields.
    pub(crate) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::object(fields.into_iter().map(|(key, value)| (Text::new(key), value)).collect())
    }

    /// A whole number in the smallest variant that holds it; a float when none does.
    pub(crate) fn whole(n: i128) -> Value {
        match (i64::try_from(n), u64::try_from(n)) {
            (Ok(n), _) => Value::Int(n),
            (_, Ok(n)) => Value::Uint(n),
            _ => Value::Float(n as f64),
        }
    }

    /// The name of its type, as the method `type` has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => "number",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "timestamp",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Deleted => "delete",
            Value::Nothing => "nothing",
        }
    }

    /// Text, or bytes that are text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Text or bytes, as bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::String(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number that is whole, and fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Float(n) if n.fract() == 0.0 && (-9.2e18..9.2e18).contains(n) => Some(*n as i64),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Uint(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(is) => Some(*is),
            _ => None,
        }
    }

    /// Values in order.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Values by name.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value of a name, if it is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The value at an index, if it is an array that has it.
    pub fn index(&self, index: usize) -> Option<&Value> {
        self.as_array()?.get(index)
    }

    /// Whether it stands for the absence of a value: null, or a word of a query.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Deleted | Value::Nothing)
    }

    /// Whether a query said with it what to do to its target, instead of what to put there.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self, Value::Deleted | Value::Nothing)
    }

    /// How many containers deep it is; zero for what is no container.
    pub(crate) fn depth(&self) -> u16 {
        match self {
            Value::Array(array) => array.depth().saturating_add(1),
            Value::Object(object) => object.depth().saturating_add(1),
            _ => 0,
        }
    }

    /// About how many bytes it takes with all that it holds, when nothing is shared.
    pub(crate) fn weight(&self) -> usize {
        let below = match self {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Array(array) => array.weight(),
            Value::Object(object) => object.weight(),
            _ => 0,
        };
        below.saturating_add(size_of::<Value>())
    }

    /// About how many bytes it takes, what it holds not counted.
    pub(crate) fn size(&self) -> usize {
        match self {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Array(array) => array.len() * size_of::<Value>(),
            Value::Object(object) => object.len() * size_of::<(Text, Value)>(),
            _ => 0,
        }
    }
}

/// Numbers are equal when their values are, text and bytes when their bytes are, moments when they are one.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null)
            | (Value::Deleted, Value::Deleted)
            | (Value::Nothing, Value::Nothing) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Uint(a), Value::Uint(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a.timestamp() == b.timestamp(),
            (Value::Array(a), Value::Array(b)) => Arc::ptr_eq(a, b) || a[..] == b[..],
            (Value::Object(a), Value::Object(b)) => Arc::ptr_eq(a, b) || a.iter().eq(b.iter()),
            _ => match (self.as_bytes(), other.as_bytes()) {
                (Some(a), Some(b)) => a == b,
                (None, None) => matches!((self.as_float(), other.as_float()), (Some(a), Some(b)) if a == b),
                _ => false,
            },
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Value {
        Value::Bool(is)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Float(n)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::bytes(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::array(items)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_three_words() {
        assert_eq!(size_of::<Value>(), 24);
        assert_eq!(size_of::<(Text, Value)>(), 48);
    }

    #[test]
    fn equality_is_that_of_the_language() {
        let value = |json: &str| Value::from_json(json.as_bytes()).unwrap();
        assert_eq!(value("1"), value("1.0"));
        assert_eq!(value("18446744073709551615"), Value::Float(18_446_744_073_709_551_615.0));
        assert_eq!(Value::bytes("a"), Value::text("a"));
        assert_ne!(value("1"), value("\"1\""));
        assert_ne!(value("null"), value("false"));
        assert_eq!(value(r#"{"a":1,"b":2,"a":3}"#).to_json(), r#"{"a":3,"b":2}"#);
    }
}
