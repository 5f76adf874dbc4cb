//! A gear's log: a journal with one consumer.

use std::{future::Future, pin::Pin, sync::Arc};

use flux_gear::storage::{Backlog, Log, LogStore, Records, Saved, StorageError};
use flux_journal::{Config, Consumer, Journal, Settler, Start};
use tokio::sync::Mutex;

use super::ledger::{Promise, failed, refused};

/// The gear's own reader.
const READER: &str = "gear";

struct JournalLog {
    journal: Journal,
    settler: Settler,
    /// Held across the wait for records: there is one reader, and it waits for nobody else.
    reader: Mutex<Consumer>,
}

pub(super) fn config() -> Config {
    Config { segment_bytes: 16 << 20, bytes_max: 1 << 30, ..Config::default() }
}

pub(super) fn open(journal: Journal) -> Result<(Log, Backlog), StorageError> {
    let reader = journal.consumer(READER, Start::Oldest).map_err(failed)?;
    let settler = reader.settler();
    Ok(Log::open(Arc::new(JournalLog { journal, settler, reader: Mutex::new(reader) })))
}

impl LogStore for JournalLog {
    fn append(&self, body: &[u8]) -> Result<Saved, StorageError> {
        Ok(Saved::when(Promise(self.journal.try_append(body).map_err(refused)?)))
    }

    fn settle(&self, place: u64) {
        self.settler.settle(place);
    }

    fn next(&self, records_max: usize) -> Pin<Box<dyn Future<Output = Records> + Send + '_>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            loop {
                let batch = reader.next(records_max).await.map_err(failed)?;
                if batch.skipped > 0 {
                    tracing::warn!(records = batch.skipped, "records of a log were lost before");
                }
                if !batch.records.is_empty() {
                    return Ok(batch
                        .records
                        .into_iter()
                        .map(|record| (record.sequence, record.body))
                        .collect());
                }
            }
        })
    }
}
