//! The changes of a table, written down in a journal, and the journal kept short.
//!
//! A journal is trimmed from the front, so before its front can go, what is live there is written anew at its end. That is a
//! *sweep*: it notes where the journal ends, goes through all entries in key order, a few with each change that is made, and
//! when the last of them is safe lets go of everything before the note.
//!
//! ```text
//!   put a  put b  del a  put c │ put d  [b]  del d  [c] │ ...
//!   └───── goes when [c] is safe ┘ noted
//! ```
//!
//! At no moment is a live entry only in what goes, so a crash loses nothing. What goes is always a whole front, so the record
//! of a removal never goes before that of what it removed, and nothing comes back.

use std::{future::Future, pin::Pin};

use flux_gear::{
    Bytes,
    storage::{Bounds, Change, Entries, Ledger, Pledge, Saved, StorageError},
};
use flux_journal::{AppendError, Config, Consumer, Journal, Receipt, Start};

use super::record;

/// Holds what is live: its low mark is the last sweep's note.
const HOLDER: &str = "table";

/// What may pile up before a sweep is worth it, besides twice what is live.
const SWEEP_BYTES_MIN: u64 = 1 << 20;

/// What a journal adds to a record, at most.
const JOURNAL_BYTES: usize = 64;

/// Entries that one change writes anew at most, and bytes from which on no further one.
const STEP_ENTRIES_MAX: usize = 8;
const STEP_BYTES: usize = 16 << 10;

/// A table's ledger.
pub(super) struct JournalLedger {
    journal: Journal,
    holder: Consumer,
    /// A record being made; a field so that its buffer is reused.
    buffer: Vec<u8>,
    /// Of what was appended last.
    last: Option<Receipt>,
    /// Length on disk of the records since the last note, about.
    bytes: u64,
    sweep: Sweep,
}

enum Sweep {
    /// There is no need.
    None,
    /// On its way: everything before `note` can go when all up to the last key is safe.
    On { note: u64, done: Option<Bytes> },
    /// All is written anew, and safe when the receipt says so.
    Waits { note: u64, receipt: Receipt },
}

/// The journal of a table with these bounds: it never fills up while sweeps keep up, which they do by construction.
pub(super) fn config(bounds: Bounds) -> Config {
    let bytes_max = bounds.bytes_max as u64;
    let segment_bytes = (bytes_max / 4).clamp(1 << 20, 64 << 20);
    Config {
        segment_bytes,
        // Also the longest record.
        gather_bytes_max: (segment_bytes / 2).min(4 << 20) as usize,
        bytes_max: bytes_max.saturating_mul(8).saturating_add(8 * segment_bytes),
        // Read once, before anything is written.
        recent_bytes_max: 0,
        ..Config::default()
    }
}

impl JournalLedger {
    /// Goes on with a journal from which so many bytes of records were replayed.
    pub(super) fn new(journal: Journal, replayed_bytes: u64) -> Result<JournalLedger, StorageError> {
        let holder = journal.consumer(HOLDER, Start::Oldest).map_err(failed)?;
        Ok(JournalLedger {
            journal,
            holder,
            buffer: Vec::new(),
            last: None,
            bytes: replayed_bytes,
            sweep: Sweep::None,
        })
    }

    fn append(&mut self, change: Change<'_>) -> Result<Receipt, StorageError> {
        let fits = record::encode(change, &mut self.buffer);
        if let Change::Put { key, .. } | Change::Delete { key } = change
            && !fits
        {
            return Err(StorageError::TooLong { bytes: key.len(), bytes_max: record::KEY_BYTES_MAX });
        }
        let receipt = self.journal.try_append(&self.buffer).map_err(refused)?;
        self.last = Some(receipt.clone());
        self.bytes += disk_bytes(self.buffer.len());
        Ok(receipt)
    }

    /// Writes the next few entries anew; what there is no room for now waits for the next change.
    fn step(&mut self, note: u64, done: Option<&Bytes>, live: &Entries) -> Sweep {
        let mut left = live.after(done.map(|key| &key[..]));
        let (mut done, mut bytes) = (done.cloned(), 0);
        for _ in 0..STEP_ENTRIES_MAX {
            let Some((key, kept)) = left.next() else {
                // Also of changes that were made meanwhile: what they replaced lies before the note.
                let receipt = self.last.clone().expect("a sweep begins with a change");
                return Sweep::Waits { note, receipt };
            };
            if bytes >= STEP_BYTES || self.append(Change::Put { key, kept }).is_err() {
                break;
            }
            bytes += key.len() + kept.value.len();
            done = Some(key.clone());
        }
        Sweep::On { note, done }
    }
}

impl Ledger for JournalLedger {
    fn record(&mut self, change: Change<'_>) -> Result<Saved, StorageError> {
        Ok(Saved::when(Promise(self.append(change)?)))
    }

    fn tidy(&mut self, live: &Entries) {
        self.sweep = match std::mem::replace(&mut self.sweep, Sweep::None) {
            Sweep::None if self.bytes > SWEEP_BYTES_MIN + 2 * live.bytes() as u64 => {
                self.bytes = 0;
                let note = self.last.as_ref().map_or(0, |receipt| receipt.sequences().end);
                Sweep::On { note, done: None }
            }
            Sweep::None => Sweep::None,
            Sweep::On { note, done } => self.step(note, done.as_ref(), live),
            Sweep::Waits { note, receipt } if receipt.is_safe() => {
                self.holder.settle_until(note);
                Sweep::None
            }
            waits @ Sweep::Waits { .. } => waits,
        };
    }
}

/// What a record takes on disk, about.
pub(super) fn disk_bytes(record_bytes: usize) -> u64 {
    (record_bytes + JOURNAL_BYTES) as u64
}

/// A receipt, as a gear knows it.
pub(super) struct Promise(pub(super) Receipt);

impl Pledge for Promise {
    fn is_safe(&self) -> bool {
        self.0.is_safe()
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + '_>> {
        Box::pin(async { self.0.wait().await.map_err(refused) })
    }
}

/// Why a journal did not take a record, as a gear knows it.
pub(super) fn refused(why: AppendError) -> StorageError {
    match why {
        AppendError::Full { full, .. } => StorageError::Busy(full.to_string()),
        AppendError::TooLong { bytes, bytes_max } => StorageError::TooLong { bytes, bytes_max },
        why => failed(why),
    }
}

pub(super) fn failed(why: impl std::error::Error) -> StorageError {
    StorageError::Failed(why.to_string())
}
