//! A change of a bucket as a record of its journal.
//!
//! ```text
//! offset 0        1              9        10      10+n
//!        +--------+--------------+--------+-------+----------------+
//!        | op     | revision     | n      | key   | value          |
//!        +--------+--------------+--------+-------+----------------+
//! ```
//!
//! Numbers are little-endian. Op 1 puts an entry, 0 removes the one under the key and has no value. What is written anew to
//! keep the journal short keeps its revision.

use bytes::{Buf, Bytes};

use crate::bucket::Revision;
use crate::names::Key;

const DELETE: u8 = 0;
const PUT: u8 = 1;

pub(super) fn encode(revision: Revision, key: &Key, value: Option<&Bytes>) -> Vec<u8> {
    let (key, body) = (key.as_str().as_bytes(), value.map_or(&[][..], |value| value));
    let mut record = Vec::with_capacity(10 + key.len() + body.len());
    record.push(if value.is_some() { PUT } else { DELETE });
    record.extend_from_slice(&revision.to_le_bytes());
    record.push(key.len() as u8);
    record.extend_from_slice(key);
    record.extend_from_slice(body);
    record
}

/// The revision, the key, and what is under it from then on. `None` when the record holds no change.
pub(super) fn decode(mut record: Bytes) -> Option<(Revision, Key, Option<Bytes>)> {
    let op = record.try_get_u8().ok()?;
    let revision = record.try_get_u64_le().ok()?;
    let key_bytes = usize::from(record.try_get_u8().ok()?);
    if record.len() < key_bytes {
        return None;
    }
    let key = Key::new(std::str::from_utf8(&record.split_to(key_bytes)).ok()?).ok()?;
    match op {
        PUT => Some((revision, key, Some(record))),
        DELETE if record.is_empty() => Some((revision, key, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_pinned() {
        let hex =
            |record: Vec<u8>| record.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let key = Key::new("k.1").unwrap();
        assert_eq!(hex(encode(0x0102, &key, Some(&"v".into()))), "01 02 01 00 00 00 00 00 00 03 6b 2e 31 76");
        assert_eq!(hex(encode(7, &key, None)), "00 07 00 00 00 00 00 00 00 03 6b 2e 31");
    }

    proptest! {
        #[test]
        fn a_change_reads_back(revision: u64, key in "[a-z]{1,9}(\\.[a-z=/]{1,9}){0,3}", value: Option<Vec<u8>>) {
            let (key, value) = (Key::new(key).unwrap(), value.map(Bytes::from));
            let record = encode(revision, &key, value.as_ref());
            prop_assert_eq!(decode(record.into()), Some((revision, key, value)));
        }

        #[test]
        fn any_bytes_are_a_change_or_none(record: Vec<u8>) {
            a_change_or_none(&record);
        }
    }

    fn a_change_or_none(record: &[u8]) {
        if let Some((revision, key, value)) = decode(Bytes::copy_from_slice(record)) {
            assert_eq!(encode(revision, &key, value.as_ref()), record);
        }
    }

    /// Replays the committed corpus; under `cargo bolero test` it is a fuzz target.
    #[test]
    fn changes_take_anything() {
        bolero::check!().with_iterations(0).for_each(a_change_or_none);
    }
}
