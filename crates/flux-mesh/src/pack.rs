//! A pack: what a mesh wire sends at a time, as CBOR that any reader of it can take apart.
//!
//! ```text
//! [ 1,                      the version
//!   epoch,                  which outbox: a newer one has a greater number
//!   after,                  it goes on where somebody is who has all records before this one
//!   first,                  the sequence of its first record; greater than `after` where those between are no more
//!   [h'..', h'..', ..]      its records in order, each a message as `flux_signal::cbor` draws it;
//!    or [offset, total, h'..']    or a part of one record: where it begins in it, how long that is, the part
//!   crc ]                   CRC-32C of all bytes before this number
//! ```
//!
//! Lengths are definite and heads as short as they can be: equal content is equal bytes. Sequences rise by one.

use std::fmt;

use bytes::Bytes;

use crate::cbor::{HEAD_BYTES_MAX, Major, Malformed, Reader, push, push_bytes};
use crate::limits::{PACK_RECORDS_MAX, RECORD_BYTES_MAX, SEQUENCE_MAX};

const VERSION: u64 = 1;
const ITEMS: u64 = 6;

/// What a pack is longer than its records with their heads, at most.
pub(crate) const OVERHEAD_BYTES: usize = 8 * HEAD_BYTES_MAX;

/// What a record takes beside its body, at most.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 5;

/// Records of one outbox, or a part of one.
#[derive(Clone, PartialEq, Eq)]
pub struct Pack {
    /// Which outbox.
    pub epoch: u64,
    /// It goes on where all records before this one are.
    pub after: u64,
    /// The sequence of its first record.
    pub first: u64,
    /// What it brings.
    pub content: Content,
}

/// What a pack brings.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Whole records, at least one.
    Records(Vec<Bytes>),
    /// A part of the record `first`.
    Part {
        /// Where in the record it begins.
        offset: usize,
        /// How long the record is.
        total: usize,
        /// The part.
        bytes: Bytes,
    },
}

impl Pack {
    /// Behind its last record.
    pub fn end(&self) -> u64 {
        match &self.content {
            Content::Records(records) => self.first + records.len() as u64,
            Content::Part { .. } => self.first + 1,
        }
    }

    /// As it is on the bus.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = match &self.content {
            Content::Records(records) => {
                records.iter().map(|record| record.len() + RECORD_OVERHEAD_BYTES).sum()
            }
            Content::Part { bytes, .. } => bytes.len(),
        };
        let mut out = Vec::with_capacity(OVERHEAD_BYTES + bytes);
        push(Major::List, ITEMS, &mut out);
        [VERSION, self.epoch, self.after, self.first].iter().for_each(|&n| push(Major::Uint, n, &mut out));
        match &self.content {
            Content::Records(records) => {
                push(Major::List, records.len() as u64, &mut out);
                records.iter().for_each(|record| push_bytes(record, &mut out));
            }
            Content::Part { offset, total, bytes } => {
                push(Major::List, 3, &mut out);
                push(Major::Uint, *offset as u64, &mut out);
                push(Major::Uint, *total as u64, &mut out);
                push_bytes(bytes, &mut out);
            }
        }
        let crc = crc32c::crc32c(&out);
        push(Major::Uint, crc.into(), &mut out);
        out
    }

    /// What [`Pack::encode`] wrote, and nothing else. Records are slices of `body`, not copies.
    pub fn decode(body: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body.clone());
        if reader.list()? != ITEMS {
            return Err(reader.problem("no pack"));
        }
        if reader.uint()? != VERSION {
            return Err(reader.problem("a version that this program does not read"));
        }
        let (epoch, after, first) = (reader.uint()?, reader.uint()?, reader.uint()?);
        if epoch == 0 || first < after || first >= SEQUENCE_MAX {
            return Err(reader.problem("a sequence that no outbox has"));
        }
        let content = content(&mut reader)?;
        let crc = u64::from(crc32c::crc32c(reader.before()));
        if reader.uint()? != crc {
            return Err(reader.problem("the check does not hold"));
        }
        reader.end()?;
        Ok(Self { epoch, after, first, content })
    }
}

fn content(reader: &mut Reader) -> Result<Content, Malformed> {
    let count = reader.list()?;
    if reader.is(Major::Bytes) {
        if count > PACK_RECORDS_MAX as u64 {
            return Err(reader.problem("too many records"));
        }
        return (0..count).map(|_| reader.bytes()).collect::<Result<_, _>>().map(Content::Records);
    }
    if count != 3 {
        return Err(reader.problem("neither records nor a part of one"));
    }
    let (offset, total, bytes) = (reader.uint()?, reader.uint()?, reader.bytes()?);
    let end = offset.checked_add(bytes.len() as u64);
    if bytes.is_empty() || total > RECORD_BYTES_MAX as u64 || end.is_none_or(|end| end > total) {
        return Err(reader.problem("a part that is not within its record"));
    }
    Ok(Content::Part { offset: offset as usize, total: total as usize, bytes })
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, after, first, content } = self;
        write!(f, "{epoch:x}: {content:?} from {first} after {after}")
    }
}

/// What is in it is never shown.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Records(records) => write!(f, "{} records", records.len()),
            Content::Part { offset, total, bytes } => {
                write!(f, "bytes {offset} to {} of {total}", offset + bytes.len())
            }
        }
    }
}

#[cfg(test)]
mod tests;
