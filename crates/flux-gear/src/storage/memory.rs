//! Storage that does not outlive the process: for tests of gears, and for a rack that is tried and not started.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use flux_world::Clock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Backlog, Bounds, Log, LogStore, Opening, Records, Saved, Storage, StorageError, Table};

/// Tables and logs in memory. They outlive the gears that open them, so that a test can make a gear again.
pub struct StorageInMemory {
    clock: Clock,
    tables: Mutex<BTreeMap<(String, String), Table>>,
    logs: Mutex<BTreeMap<(String, String), Arc<LogInMemory>>>,
}

/// Records in order, and those that are out.
#[derive(Default)]
struct LogInMemory {
    records: Mutex<Appended>,
    arrived: Notify,
}

#[derive(Default)]
struct Appended {
    /// What is not settled, by place; those before `given` are out.
    unsettled: VecDeque<(u64, Bytes)>,
    next: u64,
    given: u64,
}

impl StorageInMemory {
    /// Empty.
    pub fn new(clock: Clock) -> StorageInMemory {
        StorageInMemory { clock, tables: Mutex::default(), logs: Mutex::default() }
    }
}

impl Storage for StorageInMemory {
    fn table<'a>(&'a self, gear: &'a str, name: &'a str, bounds: Bounds) -> Opening<'a, Table> {
        let mut tables = self.tables.lock();
        let table = tables.entry((gear.into(), name.into()));
        let table = table.or_insert_with(|| Table::in_memory(bounds, self.clock)).clone();
        table.set_bounds(bounds);
        Box::pin(async { Ok(table) })
    }

    fn log<'a>(&'a self, gear: &'a str, name: &'a str) -> Opening<'a, (Log, Backlog)> {
        let log = self.logs.lock().entry((gear.into(), name.into())).or_default().clone();
        log.records.lock().given = 0;
        Box::pin(async { Ok(Log::open(log)) })
    }
}

impl LogStore for LogInMemory {
    fn append(&self, body: &[u8]) -> Result<Saved, StorageError> {
        let mut records = self.records.lock();
        let place = records.next;
        records.next += 1;
        records.unsettled.push_back((place, Bytes::copy_from_slice(body)));
        drop(records);
        self.arrived.notify_one();
        Ok(Saved::already())
    }

    fn settle(&self, place: u64) {
        self.records.lock().unsettled.retain(|(other, _)| *other != place);
    }

    fn next(&self, records_max: usize) -> Pin<Box<dyn Future<Output = Records> + Send + '_>> {
        Box::pin(async move {
            loop {
                let arrived = self.arrived.notified();
                let out = self.records.lock().give(records_max.max(1));
                if !out.is_empty() {
                    return Ok(out);
                }
                arrived.await;
            }
        })
    }
}

impl Appended {
    fn give(&mut self, records_max: usize) -> Vec<(u64, Bytes)> {
        let waiting = self.unsettled.iter().filter(|(place, _)| *place >= self.given);
        let out: Vec<_> = waiting.take(records_max).cloned().collect();
        if let Some((last, _)) = out.last() {
            self.given = last + 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_log_is_read_from_the_oldest_record_that_is_not_settled() {
        let storage = StorageInMemory::new(Clock::real());
        let (log, mut backlog) = storage.log("gear", "outbox").await.unwrap();
        for body in ["a", "b", "c"] {
            log.append(body.as_bytes()).unwrap().wait().await.unwrap();
        }
        assert_eq!(backlog.next(2).await.unwrap(), [(0, "a".into()), (1, "b".into())]);
        backlog.settle(1);
        assert_eq!(backlog.next(9).await.unwrap(), [(2, "c".into())]);
        let (_, mut again) = storage.log("gear", "outbox").await.unwrap();
        assert_eq!(again.next(9).await.unwrap(), [(0, "a".into()), (2, "c".into())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gear_finds_its_table_again_and_no_other() {
        let storage = StorageInMemory::new(Clock::real());
        let bounds = Bounds { entries_max: 9, bytes_max: 9_999 };
        let table = storage.table("a", "tickets", bounds).await.unwrap();
        table.put(b"k", "1", None).unwrap().wait().await.unwrap();
        assert_eq!(storage.table("a", "tickets", bounds).await.unwrap().len(), 1);
        assert_eq!(storage.table("b", "tickets", bounds).await.unwrap().len(), 0);
    }
}
