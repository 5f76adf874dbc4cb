//! Durable keyed state of one gear.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use flux_world::{Clock, Instant};
use parking_lot::Mutex;

use super::{Bounds, Entries, Kept, Saved, StorageError};

/// Durable keyed state of one gear: values by key, in key order, each with a time to live if it is to have one. Cheap to
/// clone; clones are the same table.
///
/// A change is seen at once by everybody who holds the table, and survives a crash from when its [`Saved`] resolves. Time
/// to live is counted by a clock that nobody can set while the process runs, and by the wall clock across a restart.
#[derive(Clone)]
pub struct Table(Arc<Shared>);

/// A table that is not kept open.
#[derive(Clone, Debug, Default)]
pub struct WeakTable(Weak<Shared>);

struct Shared {
    state: Mutex<State>,
    clock: Clock,
    opened_at: Instant,
    opened_unix_ms: u64,
}

struct State {
    entries: Entries,
    bounds: Bounds,
    ledger: Option<Box<dyn Ledger>>,
}

/// Where a host writes down what is changed in a table. Called in the order of the changes.
pub trait Ledger: Send {
    /// Writes down one change. On an error it is not made.
    fn record(&mut self, change: Change<'_>) -> Result<Saved, StorageError>;

    /// Called after each change with what the table holds now: the moment to write live entries anew, a few at a time, so
    /// that what lies before them can go.
    fn tidy(&mut self, live: &Entries);
}

/// One change of a table.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// An entry is put, in the place of any other.
    Put {
        /// Its key.
        key: &'a [u8],
        /// Its value and its end.
        kept: &'a Kept,
    },
    /// An entry is removed.
    Delete {
        /// Its key.
        key: &'a [u8],
    },
}

/// What a table holds under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// When its time is up; never when absent.
    pub ends_at: Option<Instant>,
}

/// Something is there already, and was left as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Occupied(pub Entry);

impl Table {
    /// A table with what the ledger says it held. For hosts.
    pub fn open(entries: Entries, bounds: Bounds, ledger: Box<dyn Ledger>, clock: Clock) -> Table {
        Table::new(entries, bounds, Some(ledger), clock)
    }

    /// A table that does not outlive the process.
    pub fn in_memory(bounds: Bounds, clock: Clock) -> Table {
        Table::new(Entries::default(), bounds, None, clock)
    }

    fn new(entries: Entries, bounds: Bounds, ledger: Option<Box<dyn Ledger>>, clock: Clock) -> Table {
        let state = Mutex::new(State { entries, bounds, ledger });
        let (opened_at, opened_unix_ms) = (clock.now(), clock.unix_ms());
        Table(Arc::new(Shared { state, clock, opened_at, opened_unix_ms }))
    }

    /// Lets it hold more or less from now on. What it holds stays.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.0.state.lock().bounds = bounds;
    }

    /// Entries it holds.
    pub fn len(&self) -> usize {
        self.0.state.lock().entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is under a key, whether its time is up or not.
    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        self.0.state.lock().entries.get(key).map(|kept| self.0.entry(kept))
    }

    /// Puts a value under a key, in the place of what is there.
    pub fn put(
        &self,
        key: &[u8],
        value: impl Into<Bytes>,
        ttl: Option<Duration>,
    ) -> Result<Saved, StorageError> {
        self.0.put(&mut self.0.state.lock(), key, value.into(), ttl)
    }

    /// Puts a value under a key where nothing is, or says what is there.
    pub fn put_if_absent(
        &self,
        key: &[u8],
        value: impl Into<Bytes>,
        ttl: Option<Duration>,
    ) -> Result<Result<Saved, Occupied>, StorageError> {
        let mut state = self.0.state.lock();
        match state.entries.get(key) {
            Some(kept) => Ok(Err(Occupied(self.0.entry(kept)))),
            None => self.0.put(&mut state, key, value.into(), ttl).map(Ok),
        }
    }

    /// Removes what is under a key and returns it; `None` when nothing is.
    pub fn delete(&self, key: &[u8]) -> Result<Option<(Entry, Saved)>, StorageError> {
        let mut state = self.0.state.lock();
        let State { entries, ledger, .. } = &mut *state;
        if entries.get(key).is_none() {
            return Ok(None);
        }
        let saved = match ledger {
            Some(ledger) => ledger.record(Change::Delete { key })?,
            None => Saved::already(),
        };
        let kept = entries.delete(key).expect("it was there a moment ago, under the same lock");
        if let Some(ledger) = ledger {
            ledger.tidy(entries);
        }
        Ok(Some((self.0.entry(&kept), saved)))
    }

    /// Removes what is under a key if its value is this one; false when it is not.
    pub fn delete_if(&self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        let is_it = |there: Entry| there.value == value;
        Ok(self.get(key).is_some_and(is_it) && self.delete(key)?.is_some())
    }

    /// Removes what is under a key, if its value is this one and its time is up, without writing that down: should it come
    /// back after a restart, its time is up still.
    pub fn let_go(&self, key: &[u8], value: &[u8]) {
        let mut state = self.0.state.lock();
        let now = self.0.unix_ms();
        let is_over = |kept: &Kept| kept.value == value && kept.ends_unix_ms.is_some_and(|ends| ends <= now);
        if state.entries.get(key).is_some_and(is_over) {
            state.entries.delete(key);
        }
    }

    /// Entries behind a key, or from the first, in key order; `entries_max` at most. Ask again behind the last for more.
    pub fn page(&self, after: Option<&[u8]>, entries_max: usize) -> Vec<(Bytes, Entry)> {
        let state = self.0.state.lock();
        let page = state.entries.after(after).take(entries_max);
        page.map(|(key, kept)| (key.clone(), self.0.entry(kept))).collect()
    }

    /// Entries whose time is up, first the one whose was first; `entries_max` at most. They stay until they are deleted.
    pub fn due(&self, entries_max: usize) -> Vec<(Bytes, Entry)> {
        let state = self.0.state.lock();
        let due = state.entries.due(self.0.unix_ms()).take(entries_max);
        due.map(|(key, kept)| (key.clone(), self.0.entry(kept))).collect()
    }

    /// When the next entry's time is up.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.state.lock().entries.first_end().map(|ends| self.0.instant(ends))
    }

    /// The same table, not kept open. For hosts.
    pub fn downgrade(&self) -> WeakTable {
        WeakTable(Arc::downgrade(&self.0))
    }
}

impl WeakTable {
    /// The table, while somebody keeps it open.
    pub fn upgrade(&self) -> Option<Table> {
        self.0.upgrade().map(Table)
    }
}

impl Shared {
    fn put(
        &self,
        State { entries, bounds, ledger }: &mut State,
        key: &[u8],
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<Saved, StorageError> {
        entries.check_room(key, &value, *bounds)?;
        let ends_unix_ms = ttl.map(|ttl| self.unix_ms().saturating_add(millis(ttl)));
        let kept = Kept { value, ends_unix_ms };
        let saved = match ledger {
            Some(ledger) => ledger.record(Change::Put { key, kept: &kept })?,
            None => Saved::already(),
        };
        entries.put(Bytes::copy_from_slice(key), kept);
        if let Some(ledger) = ledger {
            ledger.tidy(entries);
        }
        Ok(saved)
    }

    /// The wall time at the opening, and what has passed since.
    fn unix_ms(&self) -> u64 {
        self.opened_unix_ms.saturating_add(millis(self.clock.now() - self.opened_at))
    }

    fn instant(&self, unix_ms: u64) -> Instant {
        self.opened_at + Duration::from_millis(unix_ms.saturating_sub(self.opened_unix_ms).min(FAR_MS))
    }

    fn entry(&self, kept: &Kept) -> Entry {
        Entry { value: kept.value.clone(), ends_at: kept.ends_unix_ms.map(|ends| self.instant(ends)) }
    }
}

/// A century: further ahead a clock need not be read, and could not be.
const FAR_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never keys or values: they may be card data.
        write!(f, "Table({} entries)", self.len())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} bytes)", self.value.len())
    }
}

impl fmt::Debug for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Occupied")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { entries_max: 2, bytes_max: 10_000 };
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    /// Writes nothing down after so many changes.
    struct Failing(u32);

    impl Ledger for Failing {
        fn record(&mut self, _: Change<'_>) -> Result<Saved, StorageError> {
            self.0 = self.0.checked_sub(1).ok_or(StorageError::Busy("the disk is full".into()))?;
            Ok(Saved::already())
        }

        fn tidy(&mut self, _: &Entries) {}
    }

    #[tokio::test(start_paused = true)]
    async fn values_are_put_compared_and_deleted() {
        let table = Table::in_memory(BOUNDS, Clock::real());
        assert!(table.put_if_absent(b"k", "1", None).unwrap().is_ok());
        let Occupied(there) = table.put_if_absent(b"k", "2", None).unwrap().unwrap_err();
        assert_eq!((&there.value[..], there.ends_at), (&b"1"[..], None));
        assert!(table.put(b"k", "3", None).unwrap().is_safe());
        table.put(b"a", "4", None).unwrap().wait().await.unwrap();
        assert!(matches!(table.put(b"b", "5", None), Err(StorageError::Full { .. })));
        let page = table.page(None, 9);
        assert_eq!(page.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [b"a", b"k"]);
        assert_eq!(table.page(Some(b"a"), 9)[0].1.value, "3");
        assert_eq!(table.delete(b"k").unwrap().unwrap().0.value, "3");
        assert!(table.delete(b"k").unwrap().is_none());
        assert_eq!(table.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_stays_until_it_is_deleted() {
        let clock = Clock::real();
        let table = Table::in_memory(BOUNDS, clock);
        table.put(b"k", "1", SECOND).unwrap().wait().await.unwrap();
        assert_eq!(table.next_due(), Some(clock.now() + SECOND.unwrap()));
        clock.sleep(Duration::from_millis(999)).await;
        assert_eq!(table.due(9), []);
        clock.sleep(Duration::from_millis(1)).await;
        for _ in 0..2 {
            assert_eq!(table.due(9)[0].0, "k");
        }
        let _ = table.delete(b"k").unwrap();
        assert_eq!((table.due(9), table.next_due()), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_removed_only_if_it_is_the_one_meant() {
        let table = Table::in_memory(BOUNDS, Clock::real());
        table.put(b"k", "1", SECOND).unwrap().wait().await.unwrap();
        assert!(!table.delete_if(b"k", b"2").unwrap() && !table.delete_if(b"x", b"1").unwrap());
        table.let_go(b"k", b"1");
        assert_eq!(table.len(), 1, "its time is not up");
        Clock::real().sleep(SECOND.unwrap()).await;
        table.let_go(b"k", b"2");
        assert_eq!(table.len(), 1, "it is another");
        table.let_go(b"k", b"1");
        assert_eq!(table.len(), 0);
        table.put(b"k", "1", None).unwrap().wait().await.unwrap();
        assert!(table.delete_if(b"k", b"1").unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_down_is_not_changed() {
        let table = Table::open(Entries::default(), BOUNDS, Box::new(Failing(1)), Clock::real());
        table.put(b"k", "1", None).unwrap().wait().await.unwrap();
        assert!(matches!(table.put(b"k", "2", None), Err(StorageError::Busy(_))));
        assert!(matches!(table.delete(b"k"), Err(StorageError::Busy(_))));
        assert_eq!(table.get(b"k").unwrap().value, "1");
    }

    #[test]
    fn nothing_kept_is_ever_shown() {
        let table = Table::in_memory(BOUNDS, Clock::real());
        let _ = table.put(b"4111", "5222", None).unwrap();
        let shown = format!("{table:?} {:?} {:?}", table.get(b"4111"), table.page(None, 9)[0].1);
        assert!(!shown.contains("4111") && !shown.contains("5222"), "{shown}");
    }
}
