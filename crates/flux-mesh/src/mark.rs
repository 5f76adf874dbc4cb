//! Where in an outbox a receiver is, and the stamp that says so on each record of an inbox.
//!
//! A record of an inbox is a record of an outbox behind where it was there:
//!
//! ```text
//! offset 0       8          16
//!        +-------+----------+--------------------+
//!        | epoch | sequence | the record         |   both big-endian; no record: it is a dead letter
//!        +-------+----------+--------------------+
//! ```
//!
//! So the mark is safe with the records and never apart from them: the last record of an inbox tells it.

use bytes::Bytes;

/// A receiver has all records of the outbox `epoch` before `next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Which outbox; 0 for none.
    pub epoch: u64,
    /// The sequence it has not.
    pub next: u64,
}

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 16;

/// A record of an inbox.
pub(crate) fn stamp(epoch: u64, sequence: u64, record: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(STAMP_BYTES + record.len());
    out.extend(epoch.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend_from_slice(record);
    out
}

/// The mark of whoever has this record of an inbox and all before it.
pub(crate) fn mark_of(record: &[u8]) -> Option<Mark> {
    let (epoch, rest) = record.split_first_chunk()?;
    let sequence = u64::from_be_bytes(*rest.first_chunk()?);
    Some(Mark { epoch: u64::from_be_bytes(*epoch), next: sequence.checked_add(1)? })
}

/// What a record of an inbox was in the outbox; none where it is with the dead letters, or never was one.
pub fn unstamped(record: &Bytes) -> Option<Bytes> {
    (record.len() > STAMP_BYTES).then(|| record.slice(STAMP_BYTES..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let record = stamp(0x0102, 3, b"0200");
        assert_eq!(record, *b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x030200");
        assert_eq!(mark_of(&record), Some(Mark { epoch: 0x0102, next: 4 }));
        assert_eq!(unstamped(&record.into()).unwrap(), "0200");
        assert_eq!(unstamped(&stamp(1, 2, b"").into()), None);
        assert_eq!(mark_of(&[0; 15]), None);
        assert_eq!(mark_of(&[0xFF; 16]), None);
    }
}
