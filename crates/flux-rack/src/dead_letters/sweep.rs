//! Keeps the journal of dead letters short: what is old and still a letter is written anew at its end, so that what is in
//! front of it can go.
//!
//! ```text
//!   letter a  letter b  gone b  letter c  gone c  ...  │ [letter a, gone a]
//!   └──────────── goes when [ ] is safe ───────────────┘
//! ```
//!
//! The copy of a letter and the note that the old one is gone are one batch: after a crash there are both or none, so a letter
//! is never there twice and never missing. It begins when what was written since the last time is much more than what is still
//! a letter, so each byte is written anew a few times at most.

use std::{ops::ControlFlow, sync::Arc};

use flux_journal::walk;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::{disk::Index, record};
use crate::custody::{Appender, Site};

/// Segments that may be there beside what is still a letter, before a sweep is worth it.
const SPARE_SEGMENTS: u64 = 2;

/// Letters that are moved at a time, and bytes from which on no further one.
const STEP_LETTERS_MAX: usize = 256;
const STEP_BYTES: usize = 1 << 20;

/// Does it, as a task of its own.
pub(super) struct Sweeper {
    pub(super) site: Site,
    pub(super) appender: Arc<Appender>,
    /// How often the journal had been opened when the index was read.
    pub(super) generation: u64,
    pub(super) index: Arc<Mutex<Index>>,
    /// Rung when there is more than before, or less that counts.
    pub(super) wake: Arc<Notify>,
    /// Held while letters change their sequences; by others, so that they do not.
    pub(super) still: Arc<AsyncMutex<()>>,
}

impl Sweeper {
    /// Runs until the rack stops it.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                opened = self.appender.usable(self.generation) => {
                    let Some((journal, generation)) = opened else { return };
                    self.generation = generation;
                    self.index.lock().hold(&journal);
                }
                () = self.wake.notified() => {}
            }
            let spare = SPARE_SEGMENTS * self.site.config.segment_bytes;
            loop {
                let Some(note) = self.index.lock().sweep_before(spare) else { break };
                if !self.step(note).await {
                    break;
                }
            }
        }
    }

    /// Moves the oldest letters before `note`. False where it cannot go on now: there is no room, or one is being replayed.
    async fn step(&self, note: u64) -> bool {
        self.appender.all_safe().await;
        let guard = self.still.lock().await;
        let Some(from) = self.index.lock().oldest_before(note) else {
            self.index.lock().end_sweep();
            return true;
        };
        let mut moved = Vec::new();
        let mut can_go_on = true;
        for (old, body) in self.read(from, note).await {
            if !self.index.lock().can_move(old) {
                continue;
            }
            let bytes = body.len();
            match self.appender.try_append(&mut vec![body, record::write_gone(&[old])], Vec::new) {
                Ok(new) => {
                    self.index.lock().move_letter(old, new, bytes as u64);
                    moved.push(old);
                }
                Err(_) => {
                    can_go_on = false;
                    break;
                }
            }
        }
        drop(guard);
        self.appender.all_safe().await;
        let mut index = self.index.lock();
        index.moved_safely(&moved);
        if moved.contains(&from) {
            return can_go_on;
        }
        if can_go_on && index.can_move(from) {
            // It cannot be read, and keeps what is behind it until it can.
            index.end_sweep();
        }
        // One that is being replayed holds up those behind it: its end rings.
        false
    }

    /// Some of the letters from one on, as they lie on disk.
    async fn read(&self, from: u64, note: u64) -> Vec<(u64, Vec<u8>)> {
        let (site, index) = (self.site.clone(), self.index.clone());
        let call = move || {
            let (mut found, mut bytes) = (Vec::new(), 0);
            let walked = walk(&site.world, &site.directory, &site.keys().ok()?, from, &mut |record| {
                if index.lock().can_move(record.sequence) {
                    bytes += record.body.len();
                    found.push((record.sequence, record.body.to_vec()));
                }
                let is_enough = found.len() >= STEP_LETTERS_MAX || bytes >= STEP_BYTES;
                match is_enough || record.sequence + 1 >= note {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            // Letters that cannot be read stay where they are.
            walked.ok().map(|_| found)
        };
        self.site.world.disk.offload(call).await.unwrap_or_default()
    }
}
