//! The seam: bytes by key, with compare-and-set; and objects, which are longer.

use std::fmt;

use bytes::Bytes;

use crate::bus::Answer;
use crate::names::Key;

/// The place of a change in its bucket, from 1. It rises with every change of any key, by one or more.
pub type Revision = u64;

/// Entries by key. Nothing expires: an end of life is a part of the value.
///
/// There is no change without a condition, so no writer overwrites what it has not seen.
pub trait Bucket: Send + Sync + fmt::Debug {
    /// The entry under a key.
    fn get(&self, key: Key) -> Answer<'_, Option<Entry>>;

    /// Puts an entry where there is none, or where one was deleted.
    fn create(&self, key: Key, value: Bytes) -> Answer<'_, Revision>;

    /// Replaces the entry that is at the revision `expected`; otherwise [`Error::Revision`](crate::Error::Revision).
    fn put(&self, key: Key, value: Bytes, expected: Revision) -> Answer<'_, Revision>;

    /// Removes the entry that is at the revision `expected`. The revision of the removal.
    fn delete(&self, key: Key, expected: Revision) -> Answer<'_, Revision>;

    /// All entries, by key.
    fn list(&self) -> Answer<'_, Vec<Entry>>;

    /// What is there and what changes, behind the revision `from`; 0 for everything.
    fn watch(&self, from: Revision) -> Answer<'_, Box<dyn Watch>>;
}

/// An entry. `Debug` shows how long its value is, and never what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// What is under it.
    pub value: Bytes,
    /// Since which change.
    pub revision: Revision,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} with {} bytes", self.key, self.revision, self.value.len())
    }
}

/// A watch tells what is there, level by level: of several changes of a key it may tell the last one only, but that one it
/// tells, whatever happens between it and the bucket. Outside of a list it tells in the order of revisions.
pub trait Watch: Send + fmt::Debug {
    /// The next update; waits for it for as long as it takes. Cancelling it loses nothing.
    fn next(&mut self) -> Answer<'_, Update>;
}

/// What a watch tells. [`Mirror`](crate::Mirror) makes a copy of the bucket of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// What was removed meanwhile is not known: from here to [`Update::Current`] all is told that is there, and what is not
    /// told is gone. Revisions may have gone back, if the store behind the bus was lost.
    Relisted,
    /// It is there.
    Put(Entry),
    /// It was removed.
    Deleted {
        /// Its key.
        key: Key,
        /// The revision of the removal.
        revision: Revision,
    },
    /// All up to this revision is told: a watch from it goes on here.
    Current {
        /// The revision.
        revision: Revision,
    },
}

/// Bytes by key that are too long for a bucket. The last one to put wins.
pub trait Objects: Send + Sync + fmt::Debug {
    /// Puts an object, whole or not at all.
    fn put(&self, key: Key, body: Bytes) -> Answer<'_, ()>;

    /// The object under a key, with its checks made.
    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>>;

    /// Removes it. False when there is none.
    fn delete(&self, key: Key) -> Answer<'_, bool>;

    /// What there is, by key, with lengths.
    fn list(&self) -> Answer<'_, Vec<(Key, u64)>>;
}
