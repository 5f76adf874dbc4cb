//! A message as JSON, for people and scripts, and back without loss.
//!
//! | value | as JSON |
//! |---|---|
//! | null, truth, text, list, map | the same |
//! | integer of 64 bits, finite float | a number; a float has a point or an exponent |
//! | wider integer | `"int:-170141183460469231731687303715884105728"` |
//! | `NaN`, `Infinity`, `-Infinity` | `"float:NaN"` |
//! | bytes | `"hex:00ff"` |
//! | simple value | `"simple:23"`, which is `undefined` |
//! | tagged value | `{"tag:24": value}` |
//! | text that begins like one of these | `"text:"` and the text; so with the keys of maps |

mod read;

use serde_json::{Map, Value as Json, json};

pub use read::{JsonError, from_json};

use super::{
    diagnose,
    field::{Field, HOP_GEAR, HOP_PORT, HOP_TIME},
};
use crate::{FluxMsg, Hop, Value};

/// What text begins with that stands for another kind of value, or for itself.
const INT: &str = "int:";
const FLOAT: &str = "float:";
const HEX: &str = "hex:";
const SIMPLE: &str = "simple:";
const TAG: &str = "tag:";
const TEXT: &str = "text:";

/// The message under the keys of its envelope, in the same order, empty fields left out. Ids are UUIDs as text; the
/// rest is as the table of this module says. [`from_json`] reads it back.
///
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
        Value::Wide(n) => u64::try_from(**n).map_or_else(|_| format!("{INT}{n}").into(), Json::from),
        Value::Float(float) => match serde_json::Number::from_f64(*float) {
            Some(number) => Json::Number(number),
            None => format!("{FLOAT}{}", diagnose::float(*float)).into(),
        },
        Value::Text(text) => plain(text, &[INT, FLOAT, HEX, SIMPLE, TEXT]).into(),
        Value::Bytes(bytes) => hex(bytes),
        Value::List(list) => list.iter().map(value).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (plain(k, &[TAG, TEXT]), value(v))).collect(),
        Value::Tag(tagged) => json!({ format!("{TAG}{}", tagged.0): value(&tagged.1) }),
        Value::Simple(simple) => format!("{SIMPLE}{}", simple.number()).into(),
    }
}

/// Text that is meant as it is.
fn plain(text: &str, taken: &[&str]) -> String {
    let is_taken = taken.iter().any(|prefix| text.starts_with(prefix));
    format!("{}{text}", if is_taken { TEXT } else { "" })
}

fn hex(bytes: &[u8]) -> Json {
    let mut text = String::with_capacity(HEX.len() + 2 * bytes.len());
    text.push_str(HEX);
    diagnose::put_hex(&mut text, bytes);
    Json::String(text)
}
