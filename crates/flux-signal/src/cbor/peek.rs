//! Reads who a message is, and nothing else.

use super::{DecodeError, ITEM_NESTING_MAX, Problem, Strictness, field::Field, quick, reader::Reader};
use crate::FluxId;

/// What [`peek`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who the message is.
    pub id: FluxId,
    /// Nanoseconds since the Unix epoch at which it was made; 0 where a foreign writer left it out.
    pub born_unix_ns: i64,
    /// Length of the payload.
    pub payload_bytes: usize,
}

/// Reads the header of an encoded message without validating the rest.
///
/// Canonical order puts the header first, and nothing after it is touched. In any other order, and in a message without
/// a payload, the rest is passed over.
pub fn peek(bytes: &[u8]) -> Result<Header, DecodeError> {
    if let Some(header) = quick::peek(bytes) {
        return Ok(header);
    }
    let mut reader = Reader::new(bytes, Strictness::Lenient);
    let mut left = reader.map_head("a message, which is a map")?;
    let (mut id, mut born_unix_ns, mut payload_bytes) = (None, None, None);
    while (id.is_none() || born_unix_ns.is_none() || payload_bytes.is_none()) && reader.more(&mut left)? {
        match Field::of(&reader.text_item("a text as key")?) {
            Some(Field::Id) => id = Some(reader.id()?),
            Some(Field::Ts) => born_unix_ns = Some(reader.int("nanoseconds in 64 bits")?),
            Some(Field::Raw) => payload_bytes = Some(reader.byte_string("a byte string")?.len()),
            _ => reader.skip(ITEM_NESTING_MAX)?,
        }
    }
    Ok(Header {
        id: id.ok_or_else(|| Problem::Missing(Field::Id.key()).at(0))?,
        born_unix_ns: born_unix_ns.unwrap_or(0),
        payload_bytes: payload_bytes.unwrap_or(0),
    })
}
