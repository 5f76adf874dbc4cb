//! Names one value of a message in a configuration: `data.card.pan`, `meta.conn.id`, `payload`.

use std::{fmt, str::FromStr};

use flux_signal::{Data, FluxMsg, Text, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value of a message, by name. Roots: `payload`, `flux_id`, `trace_id`, `src_id`, `meta.<key>` (the key may hold
/// dots) and `data.<path>`. A name without a root is a data path, or metadata when the data has no such path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Key {
    root: Root,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Root {
    Payload,
    Id,
    Trace,
    Source,
    /// Offset of the name after its root.
    Metadata(usize),
    Data(usize),
    Either,
}

/// The text names no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no value: write `data.<path>`, `meta.<key>`, `payload`, `flux_id`, `trace_id` or `src_id`"
)]
pub struct KeyParseError(String);

impl Key {
    /// The value as text, if the message has it. Integers are written in decimal; bytes that are UTF-8 are text.
    pub fn text(&self, msg: &FluxMsg) -> Option<Text> {
        match self.root {
            Root::Payload => std::str::from_utf8(&msg.payload).ok().map(Text::from),
            Root::Id => Some(shown(&msg.id)),
            Root::Trace => msg.trace.as_ref().map(shown),
            Root::Source => msg.source.as_ref().map(shown),
            Root::Metadata(at) => msg.metadata.get(&self.text[at..]).map(Text::from),
            Root::Data(at) => msg.data.get(&self.text[at..]).and_then(as_text),
            Root::Either => msg
                .data
                .get(&self.text)
                .and_then(as_text)
                .or_else(|| msg.metadata.get(&self.text).map(Text::from)),
        }
    }

    /// The value, if the message has it: as the data has it, bytes for the payload, text for all else.
    pub fn value(&self, msg: &FluxMsg) -> Option<Value> {
        match self.root {
            Root::Payload => Some(Value::Bytes(msg.payload.clone())),
            Root::Data(at) => msg.data.get(&self.text[at..]),
            Root::Either => msg.data.get(&self.text).or_else(|| self.text(msg).map(Value::Text)),
            Root::Id | Root::Trace | Root::Source | Root::Metadata(_) => self.text(msg).map(Value::Text),
        }
    }

    /// The value as people may see it. What a codec knows to be sensitive in its view of a message is hidden; of other
    /// values nothing is known, and they are as [`Key::text`] gives them.
    pub fn masked(&self, msg: &FluxMsg) -> Option<Text> {
        let of_data = |path: &str| match &msg.data {
            Data::View(view) => view.masked(path),
            data => data.get(path).and_then(as_text),
        };
        match self.root {
            Root::Data(at) => of_data(&self.text[at..]),
            Root::Either => of_data(&self.text).or_else(|| msg.metadata.get(&self.text).map(Text::from)),
            Root::Payload | Root::Id | Root::Trace | Root::Source | Root::Metadata(_) => self.text(msg),
        }
    }

    /// Removes the value from the message and returns it. The identity roots cannot be removed.
    pub fn take(&self, msg: &mut FluxMsg) -> Option<Value> {
        match self.root {
            Root::Payload => Some(Value::Bytes(std::mem::take(&mut msg.payload))),
            Root::Id | Root::Trace | Root::Source => None,
            Root::Metadata(at) => take_metadata(msg, &self.text[at..]),
            Root::Data(at) => take_data(msg, &self.text[at..]),
            Root::Either => take_data(msg, &self.text).or_else(|| take_metadata(msg, &self.text)),
        }
    }

    /// Puts back what [`Key::take`] removed. A path that cannot be written is left as it is and returned as false.
    pub fn put(&self, msg: &mut FluxMsg, value: Value) -> bool {
        match (self.root, value) {
            (Root::Payload, Value::Bytes(bytes)) => {
                msg.payload = bytes;
                true
            }
            (Root::Metadata(at), Value::Text(text)) => {
                msg.metadata.set(&self.text[at..], text);
                true
            }
            (Root::Data(at), value) => msg.data.set(&self.text[at..], value).is_ok(),
            (Root::Either, value) => msg.data.set(&self.text, value).is_ok(),
            _ => false,
        }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn take_metadata(msg: &mut FluxMsg, key: &str) -> Option<Value> {
    let text = msg.metadata.get(key).map(Text::from)?;
    msg.metadata.delete(key);
    Some(Value::Text(text))
}

fn take_data(msg: &mut FluxMsg, path: &str) -> Option<Value> {
    let value = msg.data.get(path)?;
    msg.data.delete(path);
    Some(value)
}

fn as_text(value: Value) -> Option<Text> {
    match value {
        Value::Text(text) => Some(text),
        Value::Int(n) => Some(shown(&n)),
        Value::Bytes(bytes) => std::str::from_utf8(&bytes).ok().map(Text::from),
        _ => None,
    }
}

fn shown(value: &impl fmt::Display) -> Text {
    use fmt::Write;
    let mut text = Text::default();
    write!(text, "{value}").expect("writing to text cannot fail");
    text
}

impl FromStr for Key {
    type Err = KeyParseError;

    fn from_str(text: &str) -> Result<Key, KeyParseError> {
        let root = match text {
            "payload" => Root::Payload,
            "flux_id" => Root::Id,
            "trace_id" => Root::Trace,
            "src_id" => Root::Source,
            _ if text.starts_with("meta.") => Root::Metadata("meta.".len()),
            _ if text.starts_with("data.") => Root::Data("data.".len()),
            _ => Root::Either,
        };
        let named = match root {
            Root::Metadata(at) | Root::Data(at) => &text[at..],
            _ => text,
        };
        if named.is_empty() || named.split('.').any(str::is_empty) {
            return Err(KeyParseError(text.into()));
        }
        Ok(Key { root, text: text.into() })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn msg() -> FluxMsg {
        let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, &b"raw"[..]);
        msg.metadata.set("conn.id", "c1");
        msg.data.set("card.pan", "4111".into()).unwrap();
        msg.data.set("n", 7.into()).unwrap();
        msg
    }

    use flux_signal::FluxId;

    #[test]
    fn every_root_is_read() {
        for (key, want) in [
            ("payload", Some("raw")),
            ("meta.conn.id", Some("c1")),
            ("data.card.pan", Some("4111")),
            ("card.pan", Some("4111")),
            ("conn.id", Some("c1")),
            ("n", Some("7")),
            ("data.missing", None),
            ("trace_id", None),
        ] {
            assert_eq!(key.parse::<Key>().unwrap().text(&msg()).as_deref(), want, "{key}");
        }
    }

    #[test]
    fn what_is_taken_can_be_put_back() {
        for key in ["meta.conn.id", "data.card.pan", "payload"] {
            let key: Key = key.parse().unwrap();
            let mut msg = msg();
            let before = key.text(&msg);
            let value = key.take(&mut msg).unwrap();
            assert_ne!(key.text(&msg), before, "{key}");
            assert!(key.put(&mut msg, value));
            assert_eq!(key.text(&msg), before, "{key}");
        }
    }

    #[test]
    fn a_name_without_a_name_is_refused() {
        for text in ["", "meta.", "data.", "data.a..b", "."] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
