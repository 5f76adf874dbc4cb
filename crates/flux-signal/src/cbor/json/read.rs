//! Reads a message from the JSON that [`super::to_json`] writes.

use std::str::FromStr;

use serde_json::{Map as Object, Value as Json};

use super::{FLOAT, HEX, INT, SIMPLE, TAG, TEXT};
use crate::{
    Data, FluxId, FluxMsg, Hop, Map, Metadata, NESTING_MAX, Simple, Text, Value,
    cbor::field::{Field, HOP_GEAR, HOP_PORT, HOP_TIME},
};

/// JSON that is no message: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{at}` of the message: {what}")]
pub struct JsonError {
    /// The key, with dots where it is inside another.
    pub at: String,
    what: String,
}

type Read<T> = Result<T, JsonError>;

/// The message that [`super::to_json`] wrote. `id` and `ts` must be there; a key that no message has is an error.
pub fn from_json(json: &Json) -> Read<FluxMsg> {
    let fields = object(json, "the whole")?;
    let known = |key: &String| Field::of(key.as_bytes()).is_some();
    if let Some(stranger) = fields.keys().find(|key| !known(key)) {
        return Err(wrong(stranger, "a message has no such key"));
    }
    let get = |field: Field| fields.get(field.key());
    let required = |field: Field| get(field).ok_or_else(|| wrong(field.key(), "it is missing"));
    let id = parsed(required(Field::Id)?, Field::Id.key())?;
    let mut msg = FluxMsg::new(id, integer(required(Field::Ts)?, Field::Ts.key())?, "");
    if let Some(payload) = get(Field::Raw) {
        let Value::Bytes(payload) = value(payload, Field::Raw.key(), 0)? else {
            return Err(wrong(Field::Raw.key(), "expected bytes, as \"hex:00ff\""));
        };
        msg.payload = payload;
    }
    if let Some(data) = get(Field::Data) {
        msg.data = Data::from(value(data, Field::Data.key(), NESTING_MAX)?);
    }
    if let Some(metadata) = get(Field::Meta) {
        msg.metadata = entries(metadata)?;
    }
    let trail = get(Field::Path).map(trail).transpose()?.unwrap_or_default();
    let hops = get(Field::Hops).map(|hops| integer(hops, Field::Hops.key())).transpose()?;
    msg.set_hops(hops.unwrap_or_default(), trail);
    if let Some(flags) = get(Field::Flags) {
        msg.flags = integer(flags, Field::Flags.key())?;
    }
    msg.trace = get(Field::Trace).map(|id| parsed(id, Field::Trace.key())).transpose()?;
    msg.cause = get(Field::RefId).map(|id| parsed(id, Field::RefId.key())).transpose()?;
    msg.source = get(Field::SrcId).map(|id| parsed(id, Field::SrcId.key())).transpose()?;
    Ok(msg)
}

fn entries(metadata: &Json) -> Read<Metadata> {
    let entry = |(key, value): (&String, &Json)| {
        let at = format!("{}.{key}", Field::Meta.key());
        Ok((key.clone(), text(value, &at)?.to_owned()))
    };
    object(metadata, Field::Meta.key())?.iter().map(entry).collect()
}

fn trail(hops: &Json) -> Read<Vec<Hop>> {
    let at = Field::Path.key();
    let hops = hops.as_array().ok_or_else(|| wrong(at, "expected a list of hops"))?;
    let hop = |hop: &Json| {
        let hop = object(hop, at)?;
        let get = |key: &str| hop.get(key).ok_or_else(|| wrong(at, format!("a hop has no `{key}`")));
        let id = |key: &str| parsed::<FluxId>(get(key)?, at);
        Ok(Hop { gear: id(HOP_GEAR)?, port: id(HOP_PORT)?, unix_ns: integer(get(HOP_TIME)?, at)? })
    };
    hops.iter().map(hop).collect()
}

/// A value with `room` for that many levels below it.
fn value(json: &Json, at: &str, room: usize) -> Read<Value> {
    let deeper = || room.checked_sub(1).ok_or_else(|| wrong(at, format!("deeper than {NESTING_MAX} levels")));
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(n), _) => Value::integer(n),
            (None, Some(n)) => Value::Float(n),
            (None, None) => return Err(wrong(at, "a number that neither 128 bits nor a double hold")),
        },
        Json::String(text) => special(text, at)?,
        Json::Array(list) => {
            let room = deeper()?;
            Value::List(list.iter().map(|inner| value(inner, at, room)).collect::<Read<_>>()?)
        }
        Json::Object(object) => {
            let room = deeper()?;
            if let Some((tag, inner)) = tag(object) {
                return Ok(Value::Tag(Box::new((tag, value(inner, at, room)?))));
            }
            let entry = |(key, inner): (&String, &Json)| {
                let inner = value(inner, &format!("{at}.{key}"), room)?;
                Ok((Text::from(key.strip_prefix(TEXT).unwrap_or(key)), inner))
            };
            Value::Map(Map::from_entries(object.iter().map(entry).collect::<Read<_>>()?))
        }
    })
}

fn tag(object: &Object<String, Json>) -> Option<(u64, &Json)> {
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((key, inner)), None) => Some((key.strip_prefix(TAG)?.parse().ok()?, inner)),
        _ => None,
    }
}

/// Text, or what it stands for.
fn special(text: &str, at: &str) -> Read<Value> {
    let is_no = |what: &str| wrong(at, format!("what follows the colon is no {what}"));
    Ok(if let Some(digits) = text.strip_prefix(INT) {
        Value::integer(digits.parse().map_err(|_| is_no("integer of 128 bits"))?)
    } else if let Some(float) = text.strip_prefix(FLOAT) {
        Value::Float(float.parse().map_err(|_| is_no("float"))?)
    } else if let Some(digits) = text.strip_prefix(HEX) {
        Value::Bytes(bytes(digits).ok_or_else(|| is_no("even number of hexadecimal digits"))?.into())
    } else if let Some(number) = text.strip_prefix(SIMPLE) {
        let simple = number.parse().ok().and_then(Simple::new);
        Value::Simple(simple.ok_or_else(|| is_no("simple value of its own"))?)
    } else {
        text.strip_prefix(TEXT).unwrap_or(text).into()
    })
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()).collect()
}

fn object<'a>(json: &'a Json, at: &str) -> Read<&'a Object<String, Json>> {
    json.as_object().ok_or_else(|| wrong(at, "expected an object"))
}

fn text<'a>(json: &'a Json, at: &str) -> Read<&'a str> {
    json.as_str().ok_or_else(|| wrong(at, "expected text"))
}

fn integer<N: TryFrom<i128>>(json: &Json, at: &str) -> Read<N> {
    let number = json.as_number().and_then(serde_json::Number::as_i128);
    number.and_then(|n| N::try_from(n).ok()).ok_or_else(|| wrong(at, "expected an integer in its range"))
}

fn parsed<T: FromStr<Err: ToString>>(json: &Json, at: &str) -> Read<T> {
    text(json, at)?.parse().map_err(|why: T::Err| wrong(at, why.to_string()))
}

fn wrong(at: &str, what: impl Into<String>) -> JsonError {
    JsonError { at: at.into(), what: what.into() }
}
