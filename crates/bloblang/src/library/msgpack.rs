//! MessagePack in and out.
//!
//! One byte says what follows: small integers, short strings, arrays and maps have their length in it.

use crate::library::call::bytes;
use crate::library::{Spec, types};
use crate::run::{Failure, Outcome, fail};
use crate::{Object, Text, Value};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("format_msgpack", &[], |call, target| {
        call.runner.reserve(target.weight())?;
        let mut out = Vec::new();
        write(&mut out, &target);
        Ok(Value::bytes(out))
    }),
    Spec::method("parse_msgpack", &[], |call, target| {
        let mut reader = Reader { rest: bytes(&target)?, items: 0 };
        let value = reader.value(0)?;
        if !reader.rest.is_empty() {
            fail!("{} bytes follow the message", reader.rest.len());
        }
        call.runner.reserve(reader.items * size_of::<Value>())?;
        Ok(value)
    }),
];

/// How deeply a message may nest.
const DEPTH_MAX: usize = 128;

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Deleted | Value::Nothing => out.push(0xc0),
        Value::Bool(is) => out.push(0xc2 + u8::from(*is)),
        Value::Int(n) => write_int(out, *n),
        Value::Uint(n) => tagged(out, 0xcf, &n.to_be_bytes()),
        Value::Float(n) => tagged(out, 0xcb, &n.to_be_bytes()),
        Value::String(text) => {
            write_length(out, text.len(), Some((0xa0, 32)), [Some(0xd9), Some(0xda), Some(0xdb)]);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            write_length(out, bytes.len(), None, [Some(0xc4), Some(0xc5), Some(0xc6)]);
            out.extend_from_slice(bytes);
        }
        Value::Timestamp(_) => write(out, &Value::from(types::to_text(value))),
        Value::Array(items) => {
            write_length(out, items.len(), Some((0x90, 16)), [None, Some(0xdc), Some(0xdd)]);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(object) => {
            write_length(out, object.len(), Some((0x80, 16)), [None, Some(0xde), Some(0xdf)]);
            for (key, value) in object.iter() {
                write(out, &Value::String(key.clone()));
                write(out, value);
            }
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn write_int(out: &mut Vec<u8>, n: i64) {
    if let Ok(n) = u8::try_from(n) {
        if n < 0x80 { out.push(n) } else { tagged(out, 0xcc, &[n]) }
    } else if let Ok(n) = u16::try_from(n) {
        tagged(out, 0xcd, &n.to_be_bytes());
    } else if let Ok(n) = u32::try_from(n) {
        tagged(out, 0xce, &n.to_be_bytes());
    } else if let Ok(n) = i8::try_from(n) {
        if n >= -32 { out.push(n as u8) } else { tagged(out, 0xd0, &n.to_be_bytes()) }
    } else if let Ok(n) = i16::try_from(n) {
        tagged(out, 0xd1, &n.to_be_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        tagged(out, 0xd2, &n.to_be_bytes());
    } else if n < 0 {
        tagged(out, 0xd3, &n.to_be_bytes());
    } else {
        tagged(out, 0xcf, &n.to_be_bytes());
    }
}

/// A length in the tag if it is short, else after the smallest tag whose one, two or four bytes hold it.
fn write_length(out: &mut Vec<u8>, length: usize, short: Option<(u8, usize)>, tags: [Option<u8>; 3]) {
    let [one, two, four] = tags;
    match short {
        Some((tag, limit)) if length < limit => return out.push(tag | length as u8),
        _ => {}
    }
    match (u8::try_from(length), one, u16::try_from(length), two) {
        (Ok(length), Some(tag), ..) => tagged(out, tag, &[length]),
        (_, _, Ok(length), Some(tag)) => tagged(out, tag, &length.to_be_bytes()),
        // A value has fewer than 2^32 bytes: the budget of a run sees to that.
        _ => tagged(out, four.unwrap_or(0xc6), &(length as u32).to_be_bytes()),
    }
}

struct Reader<'b> {
    rest: &'b [u8],
    items: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Outcome<&'b [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| Failure::new("the message ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, size: usize) -> Outcome<u64> {
        Ok(self.take(size)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// A signed number of so many bytes.
    fn signed(&mut self, size: usize) -> Outcome {
        let shift = 64 - 8 * size;
        Ok(Value::Int((self.number(size)? as i64) << shift >> shift))
    }

    fn value(&mut self, depth: usize) -> Outcome {
        if depth > DEPTH_MAX {
            fail!("the message nests over {DEPTH_MAX} deep");
        }
        self.items += 1;
        let tag = self.take(1)?[0];
        match tag {
            0x00..=0x7f => Ok(Value::Int(tag.into())),
            0xe0..=0xff => Ok(Value::Int((tag as i8).into())),
            0x80..=0x8f => self.object(usize::from(tag & 0x0f), depth),
            0x90..=0x9f => self.array(usize::from(tag & 0x0f), depth),
            0xa0..=0xbf => self.text(usize::from(tag & 0x1f)),
            0xc0 => Ok(Value::Null),
            0xc2 | 0xc3 => Ok(Value::Bool(tag == 0xc3)),
            0xc4..=0xc6 => {
                let length = self.length(tag - 0xc4)?;
                Ok(Value::bytes(self.take(length)?.to_vec()))
            }
            0xca => Ok(Value::Float(f32::from_bits(self.number(4)? as u32).into())),
            0xcb => Ok(Value::Float(f64::from_bits(self.number(8)?))),
            0xcc..=0xcf => Ok(Value::whole(self.number(1 << (tag - 0xcc))?.into())),
            0xd0..=0xd3 => self.signed(1 << (tag - 0xd0)),
            0xd9..=0xdb => {
                let length = self.length(tag - 0xd9)?;
                self.text(length)
            }
            0xdc | 0xdd => {
                let length = self.length(tag - 0xdc + 1)?;
                self.array(length, depth)
            }
            0xde | 0xdf => {
                let length = self.length(tag - 0xde + 1)?;
                self.object(length, depth)
            }
            _ => fail!("an extension type, or an unknown one, in the message"),
        }
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, power: u8) -> Outcome<usize> {
        Ok(self.number(1 << power)? as usize)
    }

    fn text(&mut self, length: usize) -> Outcome {
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Value::text).map_err(|_| Failure::new("a string in the message is not UTF-8"))
    }

    fn array(&mut self, length: usize, depth: usize) -> Outcome {
        let items = (0..length).map(|_| self.value(depth + 1));
        Ok(Value::array(items.collect::<Outcome<Vec<_>>>()?))
    }

    fn object(&mut self, length: usize, depth: usize) -> Outcome {
        let mut entries = Vec::new();
        for _ in 0..length {
            let key: Text = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => fail!("a key of type {} in the message", other.type_name()),
            };
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Value::object(Object::from_entries(entries)))
    }
}
