//! Messages nobody could process, kept for inspection. Bounded: when it is full, those who have one more wait.

use std::collections::{BTreeMap, VecDeque};

use flux_gear::{Bytes, ERROR_PORT, FluxMsg, Lease, Metadata, keys};
use flux_signal::Text;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

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
    /// When it was given up, in nanoseconds since the Unix epoch.
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
        DeadLetter { msg, gear, port, reason: reason.into(), message, attempts, unix_ns }
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
        DeadLetter { msg, gear: gear.into(), port: port.into(), reason, message, attempts: 1, unix_ns }
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
            unix_ns,
        }
    }
}

/// The dead letters of one rack, oldest first, in memory.
///
/// Principle 1 stands on this: a message that fails is either here or on an error port. So when the store is full
/// nothing is dropped: the gear with the next letter waits, its wires fill, and its sources stop reading.
///
/// It speaks up early: at the first letter of each gear and reason, whenever there are ten times as many, when it is
/// four fifths full, and when it is full.
#[derive(Debug)]
pub struct DeadLetters {
    letters_max: usize,
    bytes_max: usize,
    room_letters: Semaphore,
    room_bytes: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each with its share of the bytes.
    letters: VecDeque<(u32, DeadLetter)>,
    bytes: usize,
    /// Letters since the rack was made, by gear and reason.
    seen: BTreeMap<String, BTreeMap<Text, u64>>,
    is_nearly_full_reported: bool,
    is_full_reported: bool,
}

impl State {
    /// One more letter: how many of its gear and reason there were, this one counted. `None` for one reason too many.
    fn count(&mut self, letter: &DeadLetter) -> Option<u64> {
        if !self.seen.contains_key(&letter.gear) {
            self.seen.insert(letter.gear.clone(), BTreeMap::new());
        }
        let reasons = self.seen.get_mut(&letter.gear).expect("inserted above");
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

impl DeadLetters {
    /// Room for `letters_max` letters of `bytes_max` bytes together. A letter larger than that takes all the room.
    pub fn new(letters_max: usize, bytes_max: usize) -> DeadLetters {
        let semaphore = |permits: usize| Semaphore::new(permits.min(Semaphore::MAX_PERMITS));
        DeadLetters {
            letters_max,
            bytes_max,
            room_letters: semaphore(letters_max),
            room_bytes: semaphore(bytes_max),
            state: Mutex::default(),
        }
    }

    /// Keeps a letter; waits while there is no room. Its lease settles: the message has come to an end.
    pub async fn keep(&self, mut letter: DeadLetter) {
        let letters = self.state.lock().count(&letter);
        if let Some(letters) = letters {
            tell(&letter, letters);
        }
        // Given up while it waits for room, the message is not kept.
        let lease = letter.msg.take_lease().map(Keeping::new);
        // A payload may be a slice of a buffer many times its size; a letter that stays keeps only its own.
        letter.msg.payload = Bytes::copy_from_slice(&letter.msg.payload);
        let bytes = letter.msg.weight_bytes() + letter.message.len();
        let bytes = u32::try_from(bytes.min(self.bytes_max)).unwrap_or(u32::MAX).max(1);
        self.wait_for_room(&letter, bytes).await;
        if let Some(lease) = lease {
            lease.settle();
        }
        let mut state = self.state.lock();
        state.letters.push_back((bytes, letter));
        state.bytes += bytes as usize;
        if self.is_nearly_full(&state) && !std::mem::replace(&mut state.is_nearly_full_reported, true) {
            let (letters, bytes) = (state.letters.len(), state.bytes);
            tracing::warn!(
                letters,
                bytes,
                "dead letter store is nearly full: gears with more of them will wait"
            );
        }
    }

    async fn wait_for_room(&self, letter: &DeadLetter, bytes: u32) {
        let is_full = self.room_letters.available_permits() == 0
            || self.room_bytes.available_permits() < bytes as usize;
        if is_full && !std::mem::replace(&mut self.state.lock().is_full_reported, true) {
            tracing::error!(
                gear = letter.gear,
                reason = %letter.reason,
                "dead letter store is full: the gear waits until letters are taken out"
            );
        }
        // The semaphores are never closed.
        for (room, permits) in [(&self.room_letters, 1), (&self.room_bytes, bytes)] {
            if let Ok(permit) = room.acquire_many(permits).await {
                permit.forget();
            }
        }
    }

    fn is_nearly_full(&self, state: &State) -> bool {
        let is_nearly = |used: usize, max: usize| used >= max - max / 5;
        is_nearly(state.letters.len(), self.letters_max) || is_nearly(state.bytes, self.bytes_max)
    }

    /// Takes out up to `max` letters, oldest first.
    pub fn take(&self, max: usize) -> Vec<DeadLetter> {
        let (taken, bytes) = {
            let mut state = self.state.lock();
            let n = state.letters.len().min(max);
            let before = state.bytes;
            let taken: Vec<_> = state.letters.drain(..n).collect();
            state.bytes -= taken.iter().map(|(bytes, _)| *bytes as usize).sum::<usize>();
            state.is_full_reported = false;
            state.is_nearly_full_reported = self.is_nearly_full(&state);
            (taken, before - state.bytes)
        };
        self.room_letters.add_permits(taken.len());
        self.room_bytes.add_permits(bytes);
        taken.into_iter().map(|(_, letter)| letter).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.lock().letters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are by gear and reason.
    pub fn summary(&self) -> BTreeMap<(String, Text), u64> {
        let mut summary = BTreeMap::new();
        for (_, letter) in &self.state.lock().letters {
            *summary.entry((letter.gear.clone(), letter.reason.clone())).or_default() += 1;
        }
        summary
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
