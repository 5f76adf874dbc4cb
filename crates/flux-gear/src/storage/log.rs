//! What a gear has still to do, in order: appended now, read and settled later, also after a restart.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use super::{Saved, StorageError};

/// Where a host keeps a log.
pub trait LogStore: Send + Sync {
    /// Appends a record.
    fn append(&self, body: &[u8]) -> Result<Saved, StorageError>;

    /// Settles the record at a place.
    fn settle(&self, place: u64);

    /// The next records for the one reader, 1 to `records_max`; waits for them.
    fn next(&self, records_max: usize) -> Pin<Box<dyn Future<Output = Records> + Send + '_>>;
}

/// Records of a log: their places and what was appended.
pub type Records = Result<Vec<(u64, Bytes)>, StorageError>;

/// Appends to a log. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<dyn LogStore>);

/// The one reader of a log.
pub struct Backlog(Arc<dyn LogStore>);

impl Log {
    /// A log and its reader. For hosts.
    pub fn open(store: Arc<dyn LogStore>) -> (Log, Backlog) {
        (Log(store.clone()), Backlog(store))
    }

    /// Appends a record. The reader gets it once it is safe.
    pub fn append(&self, body: &[u8]) -> Result<Saved, StorageError> {
        self.0.append(body)
    }
}

impl Backlog {
    /// The next records, 1 to `records_max`, each with its place; waits for them. After a restart it begins with the oldest
    /// that is not settled.
    pub async fn next(&mut self, records_max: usize) -> Records {
        self.0.next(records_max).await
    }

    /// Settles a record, in any order: it is not given out again. After a crash it may be, if it was settled a moment
    /// before.
    pub fn settle(&self, place: u64) {
        self.0.settle(place);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backlog")
    }
}
