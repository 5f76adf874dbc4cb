//! One change of a table as a record of its journal.
//!
//! ```text
//! offset 0        1              9         11      11+n
//!        +--------+--------------+---------+-------+----------------+
//!        | op     | ends, ms     | n       | key   | value          |
//!        +--------+--------------+---------+-------+----------------+
//! ```
//!
//! Numbers are little-endian. Op 1 puts an entry, 0 removes the one under the key and has no value. `ends` is when the
//! entry's time is up, in milliseconds since the Unix epoch, and all ones for never. A key has at most 65,535 bytes.

use flux_gear::{
    Bytes,
    storage::{Change, Kept},
};

/// What a record has besides its key and its value.
const OVERHEAD_BYTES: usize = 11;

/// Longest key.
pub(super) const KEY_BYTES_MAX: usize = u16::MAX as usize;

const DELETE: u8 = 0;
const PUT: u8 = 1;
const NEVER: u64 = u64::MAX;

/// Writes a change into an empty buffer; false when the key is too long.
pub(super) fn encode(change: Change<'_>, into: &mut Vec<u8>) -> bool {
    into.clear();
    let (op, key, ends, value) = match change {
        Change::Put { key, kept } => (PUT, key, kept.ends_unix_ms.unwrap_or(NEVER), &kept.value[..]),
        Change::Delete { key } => (DELETE, key, NEVER, &[][..]),
    };
    let Ok(key_bytes) = u16::try_from(key.len()) else { return false };
    into.push(op);
    into.extend_from_slice(&ends.to_le_bytes());
    into.extend_from_slice(&key_bytes.to_le_bytes());
    into.extend_from_slice(key);
    into.extend_from_slice(value);
    true
}

/// Reads a change: the key, and what is under it from now on. `None` when the record holds none.
pub(super) fn decode(body: &Bytes) -> Option<(Bytes, Option<Kept>)> {
    let (head, rest) = body.split_at_checked(OVERHEAD_BYTES)?;
    let ends = u64::from_le_bytes(head[1..9].try_into().ok()?);
    let key_bytes = usize::from(u16::from_le_bytes([head[9], head[10]]));
    let value = rest.get(key_bytes..)?;
    let key = body.slice(OVERHEAD_BYTES..OVERHEAD_BYTES + key_bytes);
    match head[0] {
        DELETE if value.is_empty() && ends == NEVER => Some((key, None)),
        PUT => {
            let value = body.slice(OVERHEAD_BYTES + key_bytes..);
            Some((key, Some(Kept { value, ends_unix_ms: Some(ends).filter(|ends| *ends != NEVER) })))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(change: Change<'_>, want: Expect) {
        let mut body = Vec::new();
        assert!(encode(change, &mut body));
        want.assert_eq(&body.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn the_format_is_pinned() {
        let kept = |ends_unix_ms| Kept { value: Bytes::from_static(b"v"), ends_unix_ms };
        check(
            Change::Put { key: b"key", kept: &kept(Some(0x0102)) },
            expect!["01 02 01 00 00 00 00 00 00 03 00 6b 65 79 76"],
        );
        check(
            Change::Put { key: b"k", kept: &kept(None) },
            expect!["01 ff ff ff ff ff ff ff ff 01 00 6b 76"],
        );
        check(Change::Delete { key: b"k" }, expect!["00 ff ff ff ff ff ff ff ff 01 00 6b"]);
        assert!(!encode(Change::Delete { key: &[0; KEY_BYTES_MAX + 1] }, &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn a_change_reads_back(key: Vec<u8>, value: Vec<u8>, ends in prop::option::of(0..u64::MAX), is_put: bool) {
            let kept = Kept { value: value.into(), ends_unix_ms: ends };
            let change = if is_put { Change::Put { key: &key, kept: &kept } } else { Change::Delete { key: &key } };
            let mut body = Vec::new();
            prop_assert!(encode(change, &mut body));
            let (read, under) = decode(&body.clone().into()).unwrap();
            prop_assert!(read == key && under == is_put.then_some(kept));
            for end in 0..OVERHEAD_BYTES + key.len() {
                prop_assert!(decode(&Bytes::copy_from_slice(&body[..end])).is_none());
            }
        }

        #[test]
        fn any_bytes_are_a_change_or_none(body: Vec<u8>) {
            if let Some((key, under)) = decode(&body.clone().into()) {
                let change = match &under {
                    Some(kept) => Change::Put { key: &key, kept },
                    None => Change::Delete { key: &key },
                };
                let mut again = Vec::new();
                prop_assert!(encode(change, &mut again) && again == body);
            }
        }
    }
}
