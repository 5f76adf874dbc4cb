//! A message as JSON for people and scripts: `{"mti": "0200", "fields": {"2": "...", "55": {"9F26": "..."}}}`.
//!
//! Text is text, bytes are hexadecimal text, parts keep the order they have on the wire, a repeated tag is a list,
//! and text that is not UTF-8 is `{"hex": "..."}`. What is written here is not masked.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::{
    composite::Composite,
    encoding::hex_text,
    error::{Expected, Fail, Place, WireError},
    field::Field,
    input::Input,
    message::Message,
    spec::Spec,
};

impl Message {
    /// The message as JSON, fields in order of number.
    pub fn to_json(&self) -> Json {
        let mut fields = Map::new();
        for number in self.fields() {
            let field = self.spec().field(number);
            let value = match (field, self.characters(number)) {
                (Some(field), Some(characters)) => field.json(&characters).ok(),
                _ => None,
            };
            let undecoded = || json!({ "hex": hex_text(self.raw(number).unwrap_or_default()) });
            fields.insert(number.to_string(), value.unwrap_or_else(undecoded));
        }
        json!({ "mti": self.mti(), "fields": fields })
    }

    /// A message from JSON: the inverse of [`Message::to_json`].
    pub fn from_json(spec: Arc<Spec>, json: &Json) -> Result<Message, WireError> {
        let shape = |place, what| WireError::new(place, None, Expected::Shape(what));
        let object =
            json.as_object().ok_or_else(|| shape(Place::Message, "an object with `mti` and `fields`"))?;
        if let Some(_unknown) = object.keys().find(|key| *key != "mti" && *key != "fields") {
            return Err(shape(Place::Message, "no other keys than `mti` and `fields`"));
        }
        let mti =
            object.get("mti").and_then(Json::as_str).ok_or_else(|| shape(Place::Mti, "`mti` as text"))?;
        let mut message = Message::new(spec, mti)?;
        let empty = Map::new();
        let fields = match object.get("fields") {
            Some(fields) => fields.as_object().ok_or_else(|| shape(Place::Message, "`fields` by number"))?,
            None => &empty,
        };
        for (key, value) in fields {
            let number = key.parse().map_err(|_| shape(Place::Message, "field numbers from 2 to 192"))?;
            if message.has(number) {
                return Err(shape(Place::Field(number), "each field once"));
            }
            let input = Input::from_json(value).map_err(|f| WireError::encoding(Place::Field(number), f))?;
            match &input {
                Input::Text(text) => message.set_text(number, text)?,
                Input::Bytes(_) | Input::Parts(_) | Input::Many(_) => message.put(number, None, &input)?,
            }
        }
        Ok(message)
    }
}

impl Field {
    fn json(&self, characters: &[u8]) -> Result<Json, Fail> {
        match &self.composite {
            Some(composite) => composite.json(characters),
            None => Ok(match self.plain(characters) {
                flux_signal::Value::Text(text) => Json::String(text.into()),
                _ if self.kind.is_bytes() => Json::String(hex_text(characters)),
                _ => json!({ "hex": hex_text(characters) }),
            }),
        }
    }
}

impl Composite {
    fn json(&self, content: &[u8]) -> Result<Json, Fail> {
        let mut parts = Map::new();
        self.walk(content, |item| {
            let Some(key) = self.visible_key(&item, content) else { return Ok(()) };
            let body = &content[item.body.clone()];
            let value = match item.part {
                Some(part) => part.field.json(&part.field.characters(body, item.units)?)?,
                None => self.unlisted_json(body),
            };
            match parts.get_mut(key.as_str()) {
                Some(Json::Array(list)) => list.push(value),
                Some(other) => *other = Json::Array(vec![other.take(), value]),
                None => drop(parts.insert(key.into(), value)),
            }
            Ok(())
        })?;
        Ok(Json::Object(parts))
    }

    fn unlisted_json(&self, body: &[u8]) -> Json {
        match (self.is_ber(), std::str::from_utf8(body)) {
            (true, _) => Json::String(hex_text(body)),
            (false, Ok(text)) => Json::String(text.to_owned()),
            (false, Err(_)) => json!({ "hex": hex_text(body) }),
        }
    }
}
