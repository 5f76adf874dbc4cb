//! What a gear keeps in memory, on its way to another process: a list of `[key, value, when its time is up]`.
//!
//! The time is in milliseconds since 1970, 0 for never: clocks of one machine agree about it.

use std::time::Duration;

use flux_gear::{Table, Value, storage::Bounds};
use flux_world::Clock;

/// Entries read at a time.
const PAGE: usize = 1_024;

/// Whatever is packed was within bounds before.
const NO_BOUNDS: Bounds = Bounds { entries_max: usize::MAX, bytes_max: usize::MAX };

/// A table to be packed.
pub(crate) fn blank(clock: Clock) -> Table {
    Table::in_memory(NO_BOUNDS, clock)
}

/// All entries of a table.
pub(crate) fn pack(table: &Table, clock: Clock) -> Value {
    let (now, unix_ms) = (clock.now(), clock.unix_ms());
    let (mut packed, mut last) = (Vec::new(), None);
    loop {
        let page = table.page(last.as_deref(), PAGE);
        let Some((key, _)) = page.last() else { return Value::List(packed) };
        last = Some(key.clone());
        packed.extend(page.into_iter().map(|(key, entry)| {
            let left = entry.ends_at.map(|ends| ends.saturating_duration_since(now).as_millis());
            let ends = left.map_or(0, |left| unix_ms.saturating_add(u64::try_from(left).unwrap_or(u64::MAX)));
            Value::List(vec![Value::Bytes(key), Value::Bytes(entry.value), Value::integer(ends.into())])
        }));
    }
}

/// Puts packed entries into a table; how many were none.
pub(crate) fn unpack(packed: &Value, table: &Table, clock: Clock) -> usize {
    let Value::List(entries) = packed else { return usize::from(*packed != Value::Null) };
    let unix_ms = clock.unix_ms();
    let put = |entry: &Value| {
        let Value::List(parts) = entry else { return None };
        let [Value::Bytes(key), Value::Bytes(value), Value::Int(ends)] = &parts[..] else { return None };
        let ends = u64::try_from(*ends).ok()?;
        let ttl = (ends > 0).then(|| Duration::from_millis(ends.saturating_sub(unix_ms)));
        table.put(key, value.clone(), ttl).ok().map(drop)
    };
    entries.iter().filter(|entry| put(entry).is_none()).count()
}

#[cfg(test)]
mod tests {
    use flux_gear::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_packed_is_there_again() {
        let clock = Clock::real();
        let table = blank(clock);
        for n in 0..3_000_u32 {
            let ttl = (n % 3 > 0).then(|| Duration::from_secs(n.into()));
            drop(table.put(&n.to_be_bytes(), Bytes::from(vec![7; 3]), ttl).unwrap());
        }
        let (packed, other) = (pack(&table, clock), blank(clock));
        assert_eq!(unpack(&packed, &other, clock), 0);
        assert_eq!(other.len(), 3_000);
        let ends = other.get(&100_u32.to_be_bytes()).unwrap().ends_at.unwrap();
        let left = ends.saturating_duration_since(clock.now());
        assert!(left > Duration::from_secs(98) && left <= Duration::from_secs(100), "{left:?}");
        assert_eq!(other.get(&99_u32.to_be_bytes()).unwrap().ends_at, None);
    }

    proptest! {
        #[test]
        fn rubbish_is_counted(key: Vec<u8>, ends: i64, n in 0..4_usize) {
            let clock = Clock::real();
            let parts = vec![Value::Bytes(key.into()), Value::Bytes(Bytes::new()), Value::Int(ends)];
            let rubbish = Value::List(vec![Value::List(parts.into_iter().take(n).collect()), Value::Null]);
            let is_entry = n == 3 && ends >= 0;
            prop_assert_eq!(unpack(&rubbish, &blank(clock), clock), if is_entry { 1 } else { 2 });
        }
    }
}
