//! A value on its way into a field, whether it came from a tree, from JSON or from code.

use std::borrow::Cow;

use flux_signal::Value;
use serde_json::Value as Json;

use crate::{
    encoding::hex_decode,
    error::{Expected, Fail},
};

/// What a field can be given. Parts keep the order they were given in.
pub(crate) enum Input<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Parts(Vec<(&'a str, Input<'a>)>),
    Many(Vec<Input<'a>>),
}

const SHAPE: Expected = Expected::Shape("text, bytes, a whole number, or parts by name");

impl<'a> Input<'a> {
    pub(crate) fn from_value(value: &'a Value) -> Result<Input<'a>, Fail> {
        Ok(match value {
            Value::Text(text) => Input::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Input::Bytes(Cow::Borrowed(bytes)),
            Value::Int(number) => Input::Text(Cow::Owned(number.to_string())),
            Value::List(list) => Input::Many(list.iter().map(Input::from_value).collect::<Result<_, _>>()?),
            Value::Map(map) => {
                let part = |(key, value)| Ok((key, Input::from_value(value).map_err(|f| f.within(key, 0))?));
                Input::Parts(map.iter().map(part).collect::<Result<_, Fail>>()?)
            }
            Value::Null
            | Value::Bool(_)
            | Value::Wide(_)
            | Value::Float(_)
            | Value::Tag(_)
            | Value::Simple(_) => return Err(SHAPE.into()),
        })
    }

    /// JSON has no bytes: `{"hex": "C1C2"}` stands for text that is not UTF-8.
    pub(crate) fn from_json(json: &'a Json) -> Result<Input<'a>, Fail> {
        Ok(match json {
            Json::String(text) => Input::Text(Cow::Borrowed(text)),
            Json::Number(number) if number.is_i64() || number.is_u64() => {
                Input::Text(Cow::Owned(number.to_string()))
            }
            Json::Array(list) => Input::Many(list.iter().map(Input::from_json).collect::<Result<_, _>>()?),
            Json::Object(map) => match map.get("hex").and_then(Json::as_str).filter(|_| map.len() == 1) {
                Some(hex) => Input::Bytes(Cow::Owned(hex_decode(hex.as_bytes())?)),
                None => {
                    let part = |(key, json): (&'a String, &'a Json)| {
                        Ok((key.as_str(), Input::from_json(json).map_err(|f| f.within(key, 0))?))
                    };
                    Input::Parts(map.iter().map(part).collect::<Result<_, Fail>>()?)
                }
            },
            Json::Null | Json::Bool(_) | Json::Number(_) => return Err(SHAPE.into()),
        })
    }
}
