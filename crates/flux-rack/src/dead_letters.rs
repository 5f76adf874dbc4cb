//! Messages nobody could process, kept for inspection. Bounded: when it is full, those who have one more wait.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};

use flux_gear::{ERROR_PORT, FluxMsg, Metadata, keys};
use flux_signal::Text;
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
    pub reason: Text,
    /// What went wrong, without payload.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in nanoseconds since the Unix epoch.
    pub unix_ns: i64,
}

impl DeadLetter {
    /// A message that left `gear` by a port without a wire. Where that is an error port, the gear has said on the message
    /// itself why it is there.
    pub(crate) fn stray(msg: FluxMsg, gear: &str, port: &str, unix_ns: i64) -> DeadLetter {
        let own = |key| msg.metadata.get(key).filter(|_| msg.metadata.get(keys::ERROR_GEAR) == Some(gear));
        let (reason, message) = match (port, own(keys::ERROR_REASON)) {
            (ERROR_PORT, Some(reason)) => (reason, own(keys::ERROR_MESSAGE).unwrap_or_default().to_owned()),
            _ => (
                "no_wire",
                format!("no wire leaves `{gear}.{port}`: wire it to a gear, or to a `null` gear to discard"),
            ),
        };
        let reason = Text::from(reason);
        DeadLetter { msg, gear: gear.into(), port: port.into(), reason, message, attempts: 1, unix_ns }
    }
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
                reason = %letter.reason,
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
    pub fn summary(&self) -> BTreeMap<(String, Text), usize> {
        let mut summary = BTreeMap::new();
        for letter in &*self.letters.lock() {
            *summary.entry((letter.gear.clone(), letter.reason.clone())).or_default() += 1;
        }
        summary
    }
}

/// Stamps what went wrong on a message that goes to an error port.
pub(crate) fn stamp(metadata: &mut Metadata, gear: &str, reason: &'static str, message: &str) {
    metadata.set(keys::ERROR_GEAR, gear);
    metadata.set(keys::ERROR_REASON, reason);
    metadata.set(keys::ERROR_MESSAGE, message);
}

#[cfg(test)]
mod tests {
    use flux_gear::FluxId;

    use super::*;

    #[test]
    fn why_a_stray_message_is_there_is_what_its_gear_said_of_it() {
        let check = |stamp_of: Option<&str>, port: &str, want: (&str, &str)| {
            let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, "");
            if let Some(gear) = stamp_of {
                stamp(&mut msg.metadata, gear, "timeout", "no reply came in time");
            }
            let letter = DeadLetter::stray(msg, "switch", port, 7);
            assert_eq!((letter.reason.as_str(), letter.message.as_str()), want, "{stamp_of:?} {port}");
            assert_eq!((letter.gear.as_str(), letter.port.as_str(), letter.unix_ns), ("switch", port, 7));
        };
        let no_wire = |port| {
            format!("no wire leaves `switch.{port}`: wire it to a gear, or to a `null` gear to discard")
        };
        check(Some("switch"), "error", ("timeout", "no reply came in time"));
        check(None, "error", ("no_wire", &no_wire("error")));
        check(Some("other"), "error", ("no_wire", &no_wire("error")));
        check(Some("switch"), "out", ("no_wire", &no_wire("out")));
    }
}
