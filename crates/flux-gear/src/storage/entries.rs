//! The entries of a table, in the order of their keys and in the order their time is up. Pure: the time is given.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use bytes::Bytes;

use super::StorageError;

/// What a table may hold at most. It holds it in memory too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries_max: usize,
    /// Bytes of keys and values, and [`ENTRY_BYTES`] for each entry.
    pub bytes_max: usize,
}

/// What an entry takes besides its key and its value, about.
const ENTRY_BYTES: usize = 128;

/// What is kept under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The value.
    pub value: Bytes,
    /// When its time is up, in milliseconds since the Unix epoch; never when absent.
    pub ends_unix_ms: Option<u64>,
}

/// Entries by key.
#[derive(Default)]
pub struct Entries {
    by_key: BTreeMap<Bytes, Kept>,
    /// Those whose time will be up.
    by_end: BTreeSet<(u64, Bytes)>,
    bytes: usize,
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What they take, as [`Bounds::bytes_max`] counts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is kept under a key.
    pub fn get(&self, key: &[u8]) -> Option<&Kept> {
        self.by_key.get(key)
    }

    /// Whether an entry may be put. One in the place of another may always be as long as that one.
    pub fn check_room(&self, key: &[u8], value: &[u8], bounds: Bounds) -> Result<(), StorageError> {
        let there = self.get(key).map(|kept| weight(key, &kept.value));
        let full = |held, held_max, unit| Err(StorageError::Full { held, held_max, unit });
        if there.is_none() && self.len() >= bounds.entries_max {
            return full(self.len(), bounds.entries_max, "entries");
        }
        let grows = weight(key, value).saturating_sub(there.unwrap_or(0));
        if grows > 0 && self.bytes.saturating_add(grows) > bounds.bytes_max {
            return full(self.bytes, bounds.bytes_max, "bytes");
        }
        Ok(())
    }

    /// Puts an entry, in the place of what was there.
    pub fn put(&mut self, key: Bytes, kept: Kept) {
        self.delete(&key);
        self.bytes += weight(&key, &kept.value);
        if let Some(ends) = kept.ends_unix_ms {
            self.by_end.insert((ends, key.clone()));
        }
        self.by_key.insert(key, kept);
    }

    /// Removes an entry; returns what was there.
    pub fn delete(&mut self, key: &[u8]) -> Option<Kept> {
        let (key, kept) = self.by_key.remove_entry(key)?;
        self.bytes -= weight(&key, &kept.value);
        if let Some(ends) = kept.ends_unix_ms {
            self.by_end.remove(&(ends, key));
        }
        Some(kept)
    }

    /// The entries behind a key, or all, in the order of their keys.
    pub fn after(&self, key: Option<&[u8]>) -> impl Iterator<Item = (&Bytes, &Kept)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_key.range::<[u8], _>((from, Bound::Unbounded))
    }

    /// The entries whose time is up, first the one whose was first.
    pub fn due(&self, now_unix_ms: u64) -> impl Iterator<Item = (&Bytes, &Kept)> {
        let due = self.by_end.iter().take_while(move |(ends, _)| *ends <= now_unix_ms);
        due.map(|(_, key)| (key, &self.by_key[key]))
    }

    /// When the next entry's time is up.
    pub fn first_end(&self) -> Option<u64> {
        self.by_end.first().map(|(ends, _)| *ends)
    }
}

fn weight(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(value: &'static str, ends_unix_ms: Option<u64>) -> Kept {
        Kept { value: Bytes::from_static(value.as_bytes()), ends_unix_ms }
    }

    fn filled() -> Entries {
        let mut entries = Entries::default();
        for (key, ends) in [("b", Some(20)), ("a", Some(30)), ("d", None), ("c", Some(10))] {
            entries.put(key.into(), kept(key, ends));
        }
        entries
    }

    fn keys<'a>(entries: impl Iterator<Item = (&'a Bytes, &'a Kept)>) -> String {
        entries.map(|(key, _)| std::str::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn entries_are_in_the_order_of_keys_and_of_ends() {
        let mut entries = filled();
        assert_eq!(keys(entries.after(None)), "abcd");
        assert_eq!(keys(entries.after(Some(b"b"))), "cd");
        assert_eq!((keys(entries.due(9)), keys(entries.due(29))), (String::new(), "cb".into()));
        assert_eq!(entries.first_end(), Some(10));
        entries.put("c".into(), kept("c", Some(99)));
        assert!(entries.delete(b"b") == Some(kept("b", Some(20))));
        assert_eq!((keys(entries.due(1_000)), entries.first_end()), ("ac".into(), Some(30)));
        assert!(entries.delete(b"b").is_none());
    }

    #[test]
    fn what_is_held_is_bounded_by_count_and_by_bytes() {
        let mut entries = filled();
        let bounds = |entries_max, bytes_max| Bounds { entries_max, bytes_max };
        let used = entries.bytes();
        assert!(entries.check_room(b"e", b"x", bounds(5, used + weight(b"e", b"x"))).is_ok());
        for (key, value, bounds, want) in [
            ("e", "x", bounds(4, usize::MAX), "4 of 4 entries"),
            ("e", "x", bounds(9, used + 1), "520 of 521 bytes"),
            ("a", "longer", bounds(9, used), "520 of 520 bytes"),
        ] {
            let why = entries.check_room(key.as_bytes(), value.as_bytes(), bounds).unwrap_err();
            assert_eq!(why.to_string(), format!("the table is full: {want}"));
        }
        assert!(entries.check_room(b"a", b"y", bounds(1, 0)).is_ok(), "no longer than what is there");
        for key in ["a", "b", "c", "d"] {
            entries.delete(key.as_bytes());
        }
        assert_eq!((entries.bytes(), entries.first_end(), entries.is_empty()), (0, None, true));
    }
}
