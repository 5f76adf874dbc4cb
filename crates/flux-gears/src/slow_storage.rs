//! Storage for tests of gears: it outlives them, and takes its time.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use flux_gear::{
    Saved, StorageError, Table,
    storage::{
        Backlog, Bounds, Change, Entries, Kept, Ledger, Log, Opening, Pledge, Storage, StorageInMemory,
    },
};
use flux_world::{Clock, Instant};
use parking_lot::Mutex;

/// Storage whose disk takes ten milliseconds, and may break.
pub(crate) struct Slow {
    clock: Clock,
    kept: StorageInMemory,
    breaks: Arc<Mutex<bool>>,
}

impl Slow {
    /// Empty.
    pub(crate) fn new() -> Slow {
        let clock = Clock::real();
        Slow { clock, kept: StorageInMemory::new(clock), breaks: Arc::default() }
    }

    /// From now on nothing becomes safe.
    pub(crate) fn break_down(&self) {
        *self.breaks.lock() = true;
    }
}

struct SlowLedger {
    clock: Clock,
    under: Table,
    breaks: Arc<Mutex<bool>>,
}

struct Later {
    clock: Clock,
    at: Instant,
    breaks: Arc<Mutex<bool>>,
}

impl Storage for Slow {
    fn table<'a>(&'a self, gear: &'a str, name: &'a str, bounds: Bounds) -> Opening<'a, Table> {
        Box::pin(async move {
            let under = self.kept.table(gear, name, bounds).await?;
            let mut entries = Entries::default();
            for (key, entry) in under.page(None, usize::MAX) {
                let left = entry.ends_at.map(|ends| ends.saturating_duration_since(self.clock.now()));
                let ends_unix_ms = left.map(|left| self.clock.unix_ms() + left.as_millis() as u64);
                entries.put(key, Kept { value: entry.value, ends_unix_ms });
            }
            let ledger = SlowLedger { clock: self.clock, under, breaks: self.breaks.clone() };
            Ok(Table::open(entries, bounds, Box::new(ledger), self.clock))
        })
    }

    fn log<'a>(&'a self, gear: &'a str, name: &'a str) -> Opening<'a, (Log, Backlog)> {
        self.kept.log(gear, name)
    }
}

impl Ledger for SlowLedger {
    fn record(&mut self, change: Change<'_>) -> Result<Saved, StorageError> {
        match change {
            Change::Put { key, kept } => {
                let left = kept.ends_unix_ms.map(|ends| ends.saturating_sub(self.clock.unix_ms()));
                self.under.put(key, kept.value.clone(), left.map(Duration::from_millis)).map(drop)?;
            }
            Change::Delete { key } => drop(self.under.delete(key)?),
        }
        let at = self.clock.now() + Duration::from_millis(10);
        Ok(Saved::when(Later { clock: self.clock, at, breaks: self.breaks.clone() }))
    }

    fn tidy(&mut self, _: &Entries) {}
}

impl Pledge for Later {
    fn is_safe(&self) -> bool {
        self.at <= self.clock.now() && !*self.breaks.lock()
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + '_>> {
        Box::pin(async {
            self.clock.sleep_until(self.at).await;
            if *self.breaks.lock() { Err(StorageError::Failed("the disk broke".into())) } else { Ok(()) }
        })
    }
}
