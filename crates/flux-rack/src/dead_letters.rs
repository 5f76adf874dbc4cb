//! Messages nobody could process, kept for inspection and replay: in memory, or on disk where they outlive the process.

mod disk;
mod memory;
mod record;
mod search;
mod stopped;
mod sweep;

use std::{collections::BTreeMap, sync::OnceLock};

use flux_gear::{ERROR_PORT, FluxMsg, Lease, Metadata, keys};
use flux_signal::Text;
use flux_world::planted;
use parking_lot::Mutex;

use crate::custody::Site;

pub(crate) use disk::DiskLetters;
use memory::Memory;
pub use search::{Filter, Letter, Searched, search};
pub use stopped::Stopped;

/// The directory of their journal, in the state directory.
pub(crate) const DIRECTORY: &str = "dead-letters";

/// Reasons of one gear that are told apart in the log; a gear has a handful.
const REASONS_MAX: usize = 64;

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
    /// When it was first given up, in nanoseconds since the Unix epoch: it may have been replayed since.
    pub first_unix_ns: i64,
    /// When it was given up.
    pub unix_ns: i64,
}

impl DeadLetter {
    /// A message that `gear` gave up at a port.
    pub(crate) fn new(
        msg: FluxMsg,
        gear: &str,
        port: &str,
        reason: &'static str,
        message: String,
        attempts: u32,
        unix_ns: i64,
    ) -> DeadLetter {
        let (gear, port) = (gear.to_owned(), port.to_owned());
        DeadLetter {
            msg,
            gear,
            port,
            reason: reason.into(),
            message,
            attempts,
            first_unix_ns: unix_ns,
            unix_ns,
        }
    }

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
        let (gear, port) = (gear.into(), port.into());
        DeadLetter { msg, gear, port, reason, message, attempts: 1, first_unix_ns: unix_ns, unix_ns }
    }

    /// A message on its way to `gear.port` when a reload took that away.
    pub(crate) fn gone(msg: FluxMsg, gear: &str, port: &str, unix_ns: i64) -> DeadLetter {
        let message = format!("a reload took `{gear}.{port}` away while the message was on its way there");
        DeadLetter {
            msg,
            gear: gear.into(),
            port: port.into(),
            reason: "gone".into(),
            message,
            attempts: 0,
            first_unix_ns: unix_ns,
            unix_ns,
        }
    }

    /// Adds what its message says of failures before a replay, and takes that off the message.
    fn count_on(&mut self) {
        let number = |key| self.msg.metadata.get(key).and_then(|text| text.parse::<i64>().ok());
        let (attempts, first) = (number(keys::ERROR_ATTEMPTS), number(keys::ERROR_FIRST));
        if let Some(attempts) = attempts {
            let attempts = u32::try_from(attempts.max(0)).unwrap_or(u32::MAX);
            self.attempts = self.attempts.saturating_add(attempts);
            self.msg.metadata.delete(keys::ERROR_ATTEMPTS);
        }
        if let Some(first) = first {
            self.first_unix_ns = first;
            self.msg.metadata.delete(keys::ERROR_FIRST);
        }
    }
}

/// One that is dropped before it is kept abandons its lease.
impl Drop for DeadLetter {
    fn drop(&mut self) {
        if let Some(lease) = self.msg.take_lease() {
            lease.abandon();
        }
    }
}

/// The dead letters of one rack, oldest first.
///
/// Principle 1 stands on this: a message that fails is either here or on an error port. So when there is no room nothing is
/// dropped: the gear with the next letter waits, its wires fill, and its sources stop reading.
///
/// It speaks up early: at the first letter of each gear and reason, and whenever there are ten times as many.
#[derive(Debug)]
pub struct DeadLetters {
    memory: Memory,
    disk: OnceLock<DiskLetters>,
    /// Letters since the rack was made, by gear and reason.
    seen: Mutex<BTreeMap<String, BTreeMap<Text, u64>>>,
}

impl DeadLetters {
    /// Letters in memory: at most `letters_max` of `bytes_max` bytes together. One that is larger takes all the room.
    pub fn new(letters_max: usize, bytes_max: usize) -> DeadLetters {
        let memory = Memory::new(letters_max, bytes_max);
        DeadLetters { memory, disk: OnceLock::new(), seen: Mutex::default() }
    }

    /// Keeps letters on disk from now on. The journal is made with the first of them.
    pub(crate) fn keep_on_disk(&self, site: Site) {
        let _ = self.disk.set(DiskLetters::new(site));
    }

    /// Those on disk, where letters are kept there.
    pub(crate) fn disk(&self) -> Option<&DiskLetters> {
        self.disk.get()
    }

    /// Keeps a letter; waits while there is no room. Its lease settles when the letter is kept, on disk when it is safe
    /// there: the message has come to an end.
    pub async fn keep(&self, mut letter: DeadLetter) {
        letter.count_on();
        if let Some(letters) = self.count(&letter) {
            tell(&letter, letters);
        }
        // Given up while it waits for room, the message is not kept.
        let mut lease = letter.msg.take_lease().map(Keeping::new);
        if planted("letter_settled_before_kept")
            && let Some(lease) = lease.take()
        {
            lease.settle();
        }
        let not_kept = match self.disk.get() {
            Some(disk) => disk.keep(letter, lease).await,
            None => Some((letter, lease)),
        };
        if let Some((letter, lease)) = not_kept {
            self.memory.keep(letter, lease).await;
        }
    }

    /// Takes out up to `max` of the letters in memory, oldest first.
    pub fn take(&self, max: usize) -> Vec<DeadLetter> {
        self.memory.take(max)
    }

    /// How many there are, in memory and on disk.
    pub fn len(&self) -> usize {
        self.memory.len() + self.disk.get().map_or(0, DiskLetters::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are in memory, by gear and reason: those that are gone with the process.
    pub fn summary(&self) -> BTreeMap<(String, Text), u64> {
        self.memory.summary()
    }

    /// One more letter: how many of its gear and reason there were, this one counted. `None` for one reason too many.
    fn count(&self, letter: &DeadLetter) -> Option<u64> {
        let mut seen = self.seen.lock();
        if !seen.contains_key(&letter.gear) {
            seen.insert(letter.gear.clone(), BTreeMap::new());
        }
        let reasons = seen.get_mut(&letter.gear).expect("inserted above");
        if !reasons.contains_key(&letter.reason) {
            if reasons.len() >= REASONS_MAX {
                return None;
            }
            reasons.insert(letter.reason.clone(), 0);
        }
        let letters = reasons.get_mut(&letter.reason).expect("inserted above");
        *letters += 1;
        Some(*letters)
    }
}

/// The lease of a message until it is kept. Dropped before, it abandons it.
struct Keeping(Option<Lease>);

impl Keeping {
    fn new(lease: Lease) -> Keeping {
        Keeping(Some(lease))
    }

    fn settle(mut self) {
        self.0 = None;
    }

    /// The lease, for whoever ends it later.
    fn into_lease(mut self) -> Option<Lease> {
        self.0.take()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            lease.abandon();
        }
    }
}

/// Tells of the first letter of a gear and reason, and of every tenfold.
fn tell(DeadLetter { gear, port, reason, message, .. }: &DeadLetter, letters: u64) {
    match letters {
        // That message says what to wire.
        1 if reason == "no_wire" => tracing::warn!(gear, port, %reason, error = message, "dead letter"),
        1 => tracing::warn!(gear, port, %reason, error = message, "dead letter: wire its error port"),
        _ if letters == 10_u64.pow(letters.ilog10()) => {
            tracing::warn!(gear, %reason, letters, "dead letters");
        }
        _ => {}
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
