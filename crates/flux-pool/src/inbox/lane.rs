//! One peer's queue before the merged inbox: bounded, with the policy of its configuration.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use flux_world::{Clock, Instant};
use parking_lot::Mutex;

use super::{Batch, Merge};
use crate::budget::{Budget, Share};
use crate::config::{InboundConfig, WhenFull};
use crate::event::Queue;
use crate::peer::PeerHandle;
use crate::reason::CloseReason;
use crate::room::Room;
use crate::stats::InCounters;

/// The queue. The session puts batches in, the inbox takes them out in turn with those of other peers.
#[derive(Debug)]
pub(crate) struct Lane {
    clock: Clock,
    config: InboundConfig,
    counters: Arc<InCounters>,
    state: Mutex<State>,
    room: Room,
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Bytes>,
    /// Which of the frames were read together, in order.
    runs: VecDeque<Run>,
    bytes: usize,
    share: Share,
    /// Whether the inbox knows that there is something to take.
    is_ready: bool,
    is_overflowing: bool,
}

#[derive(Debug)]
struct Run {
    received_at: Instant,
    seq: u64,
    frames: usize,
}

impl Lane {
    pub(crate) fn new(
        clock: Clock,
        config: InboundConfig,
        budget: Arc<Budget>,
        counters: Arc<InCounters>,
    ) -> Self {
        let state = State {
            frames: VecDeque::new(),
            runs: VecDeque::new(),
            bytes: 0,
            share: Share::new(budget.clone()),
            is_ready: false,
            is_overflowing: false,
        };
        Self { clock, config, counters, state: Mutex::new(state), room: Room::new(clock, budget) }
    }

    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.frames.len(), state.bytes)
    }

    /// Moves the frames of `batch` into the queue, by its policy. What is left in `batch` was not taken.
    pub(super) async fn put(
        &self,
        merge: &Merge,
        peer: &PeerHandle,
        batch: &mut Batch,
    ) -> Result<(), CloseReason> {
        if merge.is_closed() || self.admit(merge, peer, batch) {
            return Ok(());
        }
        let at_most = match self.config.when_full {
            WhenFull::DropOldest | WhenFull::DropNewest => return Ok(()),
            WhenFull::Disconnect => return Err(CloseReason::SlowConsumer),
            WhenFull::Block { at_most } => at_most,
        };
        let deadline = at_most.map(|time| self.clock.now() + time);
        loop {
            let room = self.room.wait(deadline);
            if merge.is_closed() || self.admit(merge, peer, batch) {
                return Ok(());
            }
            if !room.await {
                return Err(CloseReason::SlowConsumer);
            }
        }
    }

    /// Takes as many frames as there is room for, and makes room where the policy says so.
    fn admit(&self, merge: &Merge, peer: &PeerHandle, batch: &mut Batch) -> bool {
        let mut state = self.state.lock();
        let mut fitting = state.room_for(&self.config, &batch.frames);
        let has_begun_to_overflow = fitting < batch.frames.len() && !state.is_overflowing;
        state.is_overflowing |= has_begun_to_overflow;
        if fitting < batch.frames.len() && self.config.when_full == WhenFull::DropOldest {
            let dropped = state.make_room(&self.config, batch);
            InCounters::add(&self.counters.frames_in_dropped, dropped);
            fitting = state.room_for(&self.config, &batch.frames);
        }
        let is_whole = fitting == batch.frames.len();
        let is_news = fitting > 0 && !state.is_ready;
        if fitting > 0 {
            state.push(batch, fitting);
            state.is_ready = true;
        }
        drop(state);
        if is_news {
            merge.ready(peer.clone());
        }
        if has_begun_to_overflow {
            peer.core().tell_overflow(Queue::Inbound);
        }
        is_whole
    }

    /// The oldest batch, and whether there is more.
    pub(super) fn take(&self) -> Option<(Batch, bool)> {
        let mut state = self.state.lock();
        let batch = state.pop_run();
        let has_more = !state.runs.is_empty();
        state.is_ready = has_more;
        state.is_overflowing &= has_more;
        drop(state);
        let batch = batch?;
        InCounters::add(&self.counters.frames_delivered, batch.frames.len());
        self.room.made();
        Some((batch, has_more))
    }

    /// Nobody will take anything any more: drops what is queued and releases who waits.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        while let Some(batch) = state.pop_run() {
            InCounters::add(&self.counters.frames_in_dropped, batch.frames.len());
        }
        drop(state);
        self.room.made();
    }
}

impl State {
    /// How many of the first `frames` fit.
    fn room_for(&mut self, config: &InboundConfig, frames: &[Bytes]) -> usize {
        let by_count = frames.len().min(config.frames_max.get().saturating_sub(self.frames.len()));
        let mut bytes = self.bytes;
        let fits = |frame: &&Bytes| {
            bytes += frame.len();
            bytes <= config.bytes_max
        };
        let fitting = frames[..by_count].iter().take_while(fits).count();
        let wanted: usize = frames[..fitting].iter().map(Bytes::len).sum();
        if self.share.grow_to(self.bytes + wanted) { fitting } else { 0 }
    }

    /// Drops the oldest frames, queued ones first, until the rest of `batch` fits; tells how many.
    fn make_room(&mut self, config: &InboundConfig, batch: &mut Batch) -> usize {
        let (mut first_kept, mut dropped) = (0, 0);
        let mut bytes = batch.bytes();
        loop {
            let frames = self.frames.len() + batch.frames.len() - first_kept;
            let fits = frames <= config.frames_max.get() && self.bytes + bytes <= config.bytes_max;
            if (fits && self.share.grow_to(self.bytes + bytes)) || first_kept == batch.frames.len() {
                break;
            }
            dropped += 1;
            if !self.drop_oldest() {
                bytes -= batch.frames[first_kept].len();
                first_kept += 1;
            }
        }
        batch.frames.drain(..first_kept);
        batch.seq += first_kept as u64;
        dropped
    }

    fn drop_oldest(&mut self) -> bool {
        let (Some(frame), Some(run)) = (self.frames.pop_front(), self.runs.front_mut()) else { return false };
        self.bytes -= frame.len();
        run.seq += 1;
        run.frames -= 1;
        if run.frames == 0 {
            self.runs.pop_front();
        }
        true
    }

    fn push(&mut self, batch: &mut Batch, frames: usize) {
        self.runs.push_back(Run { received_at: batch.received_at, seq: batch.seq, frames });
        batch.seq += frames as u64;
        for frame in batch.frames.drain(..frames) {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    fn pop_run(&mut self) -> Option<Batch> {
        let run = self.runs.pop_front()?;
        let frames: Vec<Bytes> = self.frames.drain(..run.frames).collect();
        self.bytes -= frames.iter().map(Bytes::len).sum::<usize>();
        self.share.shrink_to(self.bytes);
        Some(Batch { received_at: run.received_at, seq: run.seq, frames })
    }
}
