//! Dead letters in memory: bounded, gone with the process.

use std::collections::{BTreeMap, VecDeque};

use flux_gear::Bytes;
use flux_signal::Text;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{DeadLetter, Keeping};

/// Letters, oldest first. When it is full whoever has one more waits. It says so when it is four fifths full, and when it
/// is full.
#[derive(Debug)]
pub(super) struct Memory {
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
    is_nearly_full_reported: bool,
    is_full_reported: bool,
}

impl Memory {
    /// Room for `letters_max` letters of `bytes_max` bytes together. A letter larger than that takes all the room.
    pub(super) fn new(letters_max: usize, bytes_max: usize) -> Memory {
        let semaphore = |permits: usize| Semaphore::new(permits.min(Semaphore::MAX_PERMITS));
        Memory {
            letters_max,
            bytes_max,
            room_letters: semaphore(letters_max),
            room_bytes: semaphore(bytes_max),
            state: Mutex::default(),
        }
    }

    /// Keeps a letter; waits while there is no room. The lease ends then.
    pub(super) async fn keep(&self, mut letter: DeadLetter, lease: Option<Keeping>) {
        // A payload may be a slice of a buffer many times its size; a letter that stays keeps only its own.
        letter.msg.payload = Bytes::copy_from_slice(&letter.msg.payload);
        let bytes = letter.msg.weight_bytes() + letter.message.len();
        let bytes = u32::try_from(bytes.min(self.bytes_max)).unwrap_or(u32::MAX).max(1);
        if flux_world::planted("full_letters_dropped") && self.room_letters.available_permits() == 0 {
            return;
        }
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
    pub(super) fn take(&self, max: usize) -> Vec<DeadLetter> {
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
    pub(super) fn len(&self) -> usize {
        self.state.lock().letters.len()
    }

    /// How many there are by gear and reason.
    pub(super) fn summary(&self) -> BTreeMap<(String, Text), u64> {
        let mut summary = BTreeMap::new();
        for (_, letter) in &self.state.lock().letters {
            *summary.entry((letter.gear.clone(), letter.reason.clone())).or_default() += 1;
        }
        summary
    }
}
