//! Shows a message as JSON, for people and scripts. It is not read back: numbers and byte strings lose their type.

use serde_json::{Map, Value as Json, json};

use super::{
    diagnose,
    field::{Field, HOP_GEAR, HOP_PORT, HOP_TIME},
};
use crate::{FluxMsg, Hop, Simple, Value};

/// The message under the keys of its envelope, in the same order, empty fields left out.
///
/// Ids are UUIDs as text, bytes are `"hex:"` and hexadecimal digits, integers beyond 64 bits and floats that JSON does
/// not have (`NaN`, `Infinity`) are text, `undefined` is null, and a tagged value is `{"tag": number, "value": ..}`.
/// It shows all content: mask card data before.
pub fn to_json(msg: &FluxMsg) -> Json {
    let mut fields = Map::new();
    let mut put = |field: Field, value: Json| fields.insert(field.key().into(), value);
    put(Field::Id, msg.id.to_string().into());
    put(Field::Ts, msg.born_unix_ns.into());
    if !msg.payload.is_empty() {
        put(Field::Raw, hex(&msg.payload));
    }
    match msg.data.to_value() {
        Value::Null => None,
        data => put(Field::Data, value(&data)),
    };
    if msg.hops() > 0 {
        put(Field::Hops, msg.hops().into());
    }
    if !msg.metadata.is_empty() {
        put(Field::Meta, msg.metadata.iter().map(|(k, v)| (k.to_owned(), Json::from(v))).collect());
    }
    if !msg.trail().is_empty() {
        put(Field::Path, msg.trail().iter().map(hop).collect());
    }
    if msg.flags != 0 {
        put(Field::Flags, msg.flags.into());
    }
    if let Some(trace) = msg.trace {
        put(Field::Trace, trace.to_string().into());
    }
    if let Some(cause) = msg.cause {
        put(Field::RefId, cause.to_string().into());
    }
    if let Some(source) = msg.source {
        put(Field::SrcId, source.to_string().into());
    }
    Json::Object(fields)
}

fn hop(hop: &Hop) -> Json {
    json!({ HOP_GEAR: hop.gear.to_string(), HOP_PORT: hop.port.to_string(), HOP_TIME: hop.unix_ns })
}

fn value(tree: &Value) -> Json {
    match tree {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(n) => Json::from(*n),
        Value::Wide(n) => u64::try_from(**n).map_or_else(|_| Json::from(n.to_string()), Json::from),
        Value::Float(float) => match serde_json::Number::from_f64(*float) {
            Some(number) => Json::Number(number),
            None => diagnose::float(*float).into(),
        },
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => hex(bytes),
        Value::List(list) => list.iter().map(value).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.to_owned(), value(v))).collect(),
        Value::Tag(tagged) => json!({ "tag": tagged.0, "value": value(&tagged.1) }),
        Value::Simple(simple) if *simple == Simple::UNDEFINED => Json::Null,
        Value::Simple(simple) => json!({ "simple": simple.number() }),
    }
}

fn hex(bytes: &[u8]) -> Json {
    let mut text = String::with_capacity(4 + 2 * bytes.len());
    text.push_str("hex:");
    diagnose::put_hex(&mut text, bytes);
    Json::String(text)
}
