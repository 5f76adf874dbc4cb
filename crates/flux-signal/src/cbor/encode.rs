//! Writes messages and values: equal content gives equal bytes.

use std::borrow::Cow;

use super::{
    BIGNUM, BIGNUM_NEGATIVE,
    field::{Field, HOP_GEAR, HOP_PORT, HOP_TIME},
    writer::{
        Length, Major, Sink, put_bignum, put_bytes, put_float, put_head, put_int, put_simple, put_text,
        put_wide,
    },
};
use crate::{Data, FluxId, FluxMsg, NESTING_MAX, TraceId, Value};

/// A value nested deeper than [`NESTING_MAX`], which no decoder of ours would take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data nested deeper than {NESTING_MAX} levels cannot be encoded")]
pub struct TooDeep;

/// Appends a message to `out`, which grows once. On an error `out` is as it was.
pub fn encode(msg: &FluxMsg, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    let data = match &msg.data {
        Data::Empty => None,
        Data::Tree(tree) => Some(Cow::Borrowed(&**tree)),
        Data::View(view) => Some(Cow::Owned(view.to_value())),
    };
    let data = data.as_deref().filter(|data| !matches!(data, Value::Null));
    let mut length = Length::default();
    put_message(&mut length, msg, data)?;
    out.reserve(length.0);
    put_message(out, msg, data)
}

/// Appends a value to `out`, which grows once. On an error `out` is as it was.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    let mut length = Length::default();
    put_value(&mut length, value, NESTING_MAX)?;
    out.reserve(length.0);
    put_value(out, value, NESTING_MAX)
}

fn put_message(out: &mut impl Sink, msg: &FluxMsg, data: Option<&Value>) -> Result<(), TooDeep> {
    let present = [
        !msg.payload.is_empty(),
        data.is_some(),
        msg.hops() > 0,
        !msg.metadata.is_empty(),
        !msg.trail().is_empty(),
        msg.flags != 0,
        msg.trace.is_some(),
        msg.cause.is_some(),
        msg.source.is_some(),
    ];
    put_head(out, Major::Map, 2 + present.into_iter().map(u64::from).sum::<u64>());
    out.put(Field::Id.encoded());
    put_id(out, msg.id);
    out.put(Field::Ts.encoded());
    put_int(out, msg.born_unix_ns);
    if !msg.payload.is_empty() {
        out.put(Field::Raw.encoded());
        put_bytes(out, &msg.payload);
    }
    if let Some(data) = data {
        out.put(Field::Data.encoded());
        put_value(out, data, NESTING_MAX)?;
    }
    if msg.hops() > 0 {
        out.put(Field::Hops.encoded());
        put_head(out, Major::Uint, u64::from(msg.hops()));
    }
    if !msg.metadata.is_empty() {
        out.put(Field::Meta.encoded());
        put_head(out, Major::Map, msg.metadata.len() as u64);
        for (key, value) in msg.metadata.iter() {
            put_text(out, key);
            put_text(out, value);
        }
    }
    if !msg.trail().is_empty() {
        put_trail(out, msg);
    }
    if msg.flags != 0 {
        out.put(Field::Flags.encoded());
        put_head(out, Major::Uint, u64::from(msg.flags));
    }
    if let Some(trace) = msg.trace {
        out.put(Field::Trace.encoded());
        put_trace(out, trace);
    }
    if let Some(cause) = msg.cause {
        out.put(Field::RefId.encoded());
        put_id(out, cause);
    }
    if let Some(source) = msg.source {
        out.put(Field::SrcId.encoded());
        put_id(out, source);
    }
    Ok(())
}

#[inline]
fn put_id(out: &mut impl Sink, id: FluxId) {
    put_bytes(out, &id.to_bytes());
}

fn put_trail(out: &mut impl Sink, msg: &FluxMsg) {
    out.put(Field::Path.encoded());
    put_head(out, Major::List, msg.trail().len() as u64);
    for hop in msg.trail() {
        put_head(out, Major::Map, 3);
        put_text(out, HOP_GEAR);
        put_id(out, hop.gear);
        put_text(out, HOP_PORT);
        put_id(out, hop.port);
        put_text(out, HOP_TIME);
        put_int(out, hop.unix_ns);
    }
}

/// The trace id as W3C writes it: 32 lower-case hexadecimal digits.
fn put_trace(out: &mut impl Sink, trace: TraceId) {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(trace.get().to_be_bytes()) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xF)]);
    }
    put_head(out, Major::Text, 32);
    out.put(&digits);
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

/// Writes a value with `room` for that many levels.
fn put_value(out: &mut impl Sink, value: &Value, room: usize) -> Result<(), TooDeep> {
    match value {
        Value::Null => put_simple(out, 22),
        Value::Bool(truth) => put_simple(out, 20 + u8::from(*truth)),
        Value::Int(n) => put_int(out, *n),
        Value::Wide(n) => put_wide(out, **n),
        Value::Float(float) => put_float(out, *float),
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => put_bytes(out, bytes),
        Value::Simple(simple) => put_simple(out, simple.number()),
        Value::List(list) => {
            let room = room.checked_sub(1).ok_or(TooDeep)?;
            put_head(out, Major::List, list.len() as u64);
            for item in list {
                put_value(out, item, room)?;
            }
        }
        Value::Map(map) => {
            let room = room.checked_sub(1).ok_or(TooDeep)?;
            put_head(out, Major::Map, map.len() as u64);
            for (key, value) in map.iter() {
                put_text(out, key);
                put_value(out, value, room)?;
            }
        }
        Value::Tag(tagged) => {
            let room = room.checked_sub(1).ok_or(TooDeep)?;
            match &**tagged {
                (tag @ (BIGNUM | BIGNUM_NEGATIVE), Value::Bytes(magnitude)) => {
                    put_bignum(out, *tag, magnitude)
                }
                (tag, value) => {
                    put_head(out, Major::Tag, *tag);
                    put_value(out, value, room)?;
                }
            }
        }
    }
    Ok(())
}
