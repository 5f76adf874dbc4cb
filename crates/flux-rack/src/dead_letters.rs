//! Messages nobody could process, kept for inspection. Bounded: when it is full, those who have one more wait.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};

use flux_gear::{FluxMsg, Metadata};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// A message nobody could process, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// As the gear received it.
    pub msg: FluxMsg,
    /// The gear that could not process or deliver it.
    pub gear: String,
    /// The port it came in by, or was to leave by.
    pub port: String,
    /// One stable word: `invalid`, `no_wire`, `timeout`, `panic`, or the gear's own.
    pub reason: &'static str,
    /// What went wrong, without payload.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in nanoseconds since the Unix epoch.
    pub unix_ns: i64,
}

/// The dead letters of one rack, oldest first, in memory.
///
/// Principle 1 stands on this: a message that fails is either here or on an error port. So when the store is full
/// nothing is dropped: the gear with the next letter waits, its wires fill, and its sources stop reading.
#[derive(Debug)]
pub struct DeadLetters {
    letters: Mutex<VecDeque<DeadLetter>>,
    room: Semaphore,
    is_full_reported: AtomicBool,
}

impl DeadLetters {
    /// Room for `letters_max` letters.
    pub fn new(letters_max: usize) -> DeadLetters {
        DeadLetters {
            letters: Mutex::default(),
            room: Semaphore::new(letters_max.min(Semaphore::MAX_PERMITS)),
            is_full_reported: AtomicBool::new(false),
        }
    }

    /// Keeps a letter; waits while there is no room. Its lease settles: the message has come to an end.
    pub async fn keep(&self, mut letter: DeadLetter) {
        if self.room.available_permits() == 0 && !self.is_full_reported.swap(true, Ordering::AcqRel) {
            tracing::error!(
                gear = letter.gear,
                reason = letter.reason,
                "dead letter store is full: the gear waits until letters are taken out"
            );
        }
        // The semaphore is never closed.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        drop(letter.msg.take_lease());
        self.letters.lock().push_back(letter);
    }

    /// Takes out up to `max` letters, oldest first.
    pub fn take(&self, max: usize) -> Vec<DeadLetter> {
        let taken: Vec<_> = {
            let mut letters = self.letters.lock();
            let n = letters.len().min(max);
            letters.drain(..n).collect()
        };
        self.room.add_permits(taken.len());
        self.is_full_reported.store(false, Ordering::Release);
        taken
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.letters.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are by gear and reason.
    pub fn summary(&self) -> BTreeMap<(String, &'static str), usize> {
        let mut summary = BTreeMap::new();
        for letter in &*self.letters.lock() {
            *summary.entry((letter.gear.clone(), letter.reason)).or_default() += 1;
        }
        summary
    }
}

/// Stamps what went wrong on a message that goes to an error port.
pub(crate) fn stamp(metadata: &mut Metadata, gear: &str, reason: &'static str, message: &str) {
    use flux_gear::keys;
    metadata.set(keys::ERROR_GEAR, gear);
    metadata.set(keys::ERROR_REASON, reason);
    metadata.set(keys::ERROR_MESSAGE, message);
}
