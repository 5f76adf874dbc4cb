//! A record as it lies on disk.
//!
//! ```text
//! offset 0        4        8        11      12        16          24          32
//!        +--------+--------+--------+-------+---------+-----------+-----------+--------------+---------+
//!        | head   | body   | body   | flags | synced  | sequence  | time, ns  | body         | 0 to 7  |
//!        | crc    | crc    | bytes  |       | bytes   |           | since 1970| body bytes   | zeros   |
//!        +--------+--------+--------+-------+---------+-----------+-----------+--------------+---------+
//! ```
//!
//! Numbers are little-endian; a record begins at a multiple of 8. Both checks are CRC-32C (RFC 3720 B.4) over the
//! segment's salt followed by: for the head, bytes 4 to 32; for the body, the body and its zeros. Two checks rather than one,
//! so that a damaged body does not hide the records behind it. The salt makes a record of another segment, or bytes that a
//! sender shaped like one, not a record of this segment.
//!
//! `synced bytes` is how much of this file, from its begin, was known to be on disk when the record was written. It is what
//! tells damage from a torn tail: see `survey.rs`.
//!
//! `flags`: the low four bits are the kind, bit 7 says that the batch goes on with the next record; the others are zero.
//! Where the segment names a key, the body of a data record is sealed (see `keys.rs`) and its last 16 bytes are the tag.

use crate::limits::SEQUENCE_MAX;
use crate::segment::Salt;

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes a sealed body is longer than the plain one.
pub(crate) const TAG_BYTES: usize = 16;
/// Records begin at multiples of this.
pub(crate) const ALIGN_BYTES: usize = 8;

const KIND_MASK: u8 = 0x0f;
const GOES_ON: u8 = 0x80;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A body somebody appended.
    Data = 0,
    /// Where a consumer stands (`cursor.rs`). Its sequence is that of the next data record, as for all that follow.
    Cursor = 1,
    /// The journal was closed in order: all before this is on disk.
    End = 2,
    /// Records that were moved aside by a repair: the body is how many, as eight bytes; the sequence is the first.
    Gap = 3,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Whether the next record belongs to the same batch.
    pub(crate) goes_on: bool,
    /// Length of the body as it lies on disk, tag included.
    pub(crate) body_bytes: u32,
    /// How much of the file was on disk before this was written.
    pub(crate) synced_bytes: u32,
    pub(crate) sequence: u64,
    pub(crate) time_ns: i64,
    body_crc: u32,
}

impl Header {
    /// The head of a record that is only gathered: its checks come with [`finish`].
    pub(crate) fn new(kind: Kind, body_bytes: usize, sequence: u64, time_ns: i64) -> Self {
        let body_bytes = u32::try_from(body_bytes).expect("a body's length was checked when it was taken");
        Self { kind, goes_on: false, body_bytes, synced_bytes: 0, sequence, time_ns, body_crc: 0 }
    }

    /// The head of a record, if its check holds.
    pub(crate) fn parse(bytes: &[u8], salt: &Salt) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        (word(bytes, 0) == salt.check(&bytes[4..])).then(|| Self::read(bytes)).flatten()
    }

    /// The head of a record in memory, whose check was made before or is not yet.
    pub(crate) fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let kind = match bytes[11] & KIND_MASK {
            0 => Kind::Data,
            1 => Kind::Cursor,
            2 => Kind::End,
            3 => Kind::Gap,
            _ => return None,
        };
        if bytes[11] & !(KIND_MASK | GOES_ON) != 0 || long(bytes, 16) >= SEQUENCE_MAX {
            return None;
        }
        Some(Self {
            kind,
            goes_on: bytes[11] & GOES_ON != 0,
            body_bytes: word(bytes, 8) & 0x00ff_ffff,
            synced_bytes: word(bytes, 12),
            sequence: long(bytes, 16),
            time_ns: long(bytes, 24) as i64,
            body_crc: word(bytes, 4),
        })
    }

    pub(crate) fn write(&self, into: &mut [u8; HEADER_BYTES]) {
        let flags = self.kind as u8 | if self.goes_on { GOES_ON } else { 0 };
        into[4..8].copy_from_slice(&self.body_crc.to_le_bytes());
        into[8..12].copy_from_slice(&(self.body_bytes | u32::from(flags) << 24).to_le_bytes());
        into[12..16].copy_from_slice(&self.synced_bytes.to_le_bytes());
        into[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        into[24..32].copy_from_slice(&self.time_ns.to_le_bytes());
    }

    /// Bytes of the whole record, head and zeros included.
    pub(crate) fn record_bytes(&self) -> usize {
        record_bytes(self.body_bytes as usize)
    }

    /// Whether the body, with its zeros, is what was written.
    pub(crate) fn has_body(&self, padded_body: &[u8], salt: &Salt) -> bool {
        salt.check(padded_body) == self.body_crc || flux_world::planted("torn_body_taken")
    }
}

/// Bytes a record with this body takes.
pub(crate) fn record_bytes(body_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).next_multiple_of(ALIGN_BYTES)
}

/// Appends a record without its checks to `into`, room for a tag included.
pub(crate) fn push(into: &mut Vec<u8>, header: Header, body: &[u8]) {
    let start = into.len();
    let mut head = [0; HEADER_BYTES];
    header.write(&mut head);
    into.extend_from_slice(&head);
    into.extend_from_slice(body);
    into.resize(start + header.record_bytes(), 0);
}

/// The bytes that the seal of a body covers beside it: what the reader goes by.
pub(crate) fn sealed_with(record: &[u8]) -> [u8; HEADER_BYTES - 8] {
    *record[8..].first_chunk().expect("a record has a head")
}

/// Says in a gathered record how much of the file is on disk.
pub(crate) fn set_synced(record: &mut [u8], synced_bytes: u32) {
    record[12..16].copy_from_slice(&synced_bytes.to_le_bytes());
}

/// Completes a record in place: makes both checks. Nothing may change after.
pub(crate) fn finish(record: &mut [u8], salt: &Salt) {
    let body = salt.check(&record[HEADER_BYTES..]);
    record[4..8].copy_from_slice(&body.to_le_bytes());
    let head = salt.check(&record[4..HEADER_BYTES]);
    record[..4].copy_from_slice(&head.to_le_bytes());
}

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("within the head"))
}

fn long(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the head"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(body in proptest::collection::vec(any::<u8>(), 0..600), sequence in 0..SEQUENCE_MAX, time_ns: i64, synced_bytes: u32, salt: [u8; 16], flip: proptest::sample::Index, bit in 0_u8..8) {
            let salt = Salt::new(salt);
            let mut bytes = Vec::new();
            push(&mut bytes, Header::new(Kind::Data, body.len(), sequence, time_ns), &body);
            set_synced(&mut bytes, synced_bytes);
            finish(&mut bytes, &salt);
            let header = Header::parse(&bytes, &salt).unwrap();
            prop_assert_eq!((header.sequence, header.time_ns, header.synced_bytes), (sequence, time_ns, synced_bytes));
            prop_assert_eq!(&bytes[HEADER_BYTES..HEADER_BYTES + body.len()], &body[..]);
            prop_assert!(header.has_body(&bytes[HEADER_BYTES..], &salt));

            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let is_whole = Header::parse(&bytes, &salt).is_some_and(|header| header.has_body(&bytes[HEADER_BYTES..], &salt));
            prop_assert!(!is_whole, "a flip of bit {} of byte {} is seen", bit, at);
        }
    }
}
