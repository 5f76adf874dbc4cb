//! What a table held: its journal read from the front.

use std::path::Path;

use flux_gear::storage::{Entries, StorageError};
use flux_journal::{Journal, Start};

use super::{
    ledger::{self, failed},
    record,
};

/// Reads everything there is, and settles it for nobody else.
const READER: &str = "replay";

/// Records read at a time.
const BATCH_RECORDS: usize = 1_024;

/// The entries that a journal tells of, and the length of what it told.
///
/// It may begin anywhere: what is live was written anew before anything in front of it was let go (`ledger.rs`), and what a
/// removed entry's record was in front of is gone with it. So nothing comes back, whatever the journal begins with.
pub(super) async fn entries(journal: &Journal, directory: &Path) -> Result<(Entries, u64), StorageError> {
    let unreadable = |why: String| StorageError::Unavailable(format!("{}: {why}", directory.display()));
    let until = journal.stats().next;
    // One that a crash left would go on where it stood.
    journal.forget(READER);
    let mut reader = journal.consumer(READER, Start::Oldest).map_err(failed)?;
    let (mut entries, mut bytes) = (Entries::default(), 0);
    while reader.low() < until {
        let batch = reader.next(BATCH_RECORDS).await.map_err(|why| unreadable(why.to_string()))?;
        if batch.skipped > 0 {
            tracing::warn!(directory = %directory.display(), records = batch.skipped, "changes of a table were lost before");
        }
        for found in &batch.records {
            bytes += ledger::disk_bytes(found.body.len());
            let (key, under) = record::decode(&found.body)
                .ok_or_else(|| unreadable(format!("record {} is no change of a table", found.sequence)))?;
            match under {
                Some(kept) => entries.put(key, kept),
                None => drop(entries.delete(&key)),
            }
        }
        if let Some(last) = batch.records.last() {
            reader.settle_until(last.sequence + 1);
        }
    }
    drop(reader);
    journal.forget(READER);
    Ok((entries, bytes))
}
