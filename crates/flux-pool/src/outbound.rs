//! The queue of frames waiting to be written to one peer: bounded, with a policy for full and one for away.
//!
//! Senders only ever take a short lock; the writer takes everything queued at once and writes it without the lock.

mod send;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use flux_world::{Clock, Instant};
use parking_lot::{Mutex, MutexGuard};

use crate::budget::{Budget, Share};
use crate::config::{OutboundConfig, WhenDown, WhenFull};
use crate::room::Room;
use crate::stats::{Counts, Latency};

pub(crate) use send::{Confirm, Offered, Outgoing};
pub use send::{Follower, SendError, TrySendError};
pub use writing::{InFlight, Work};

/// One frame in this many has its way through the queue measured.
const SAMPLED_ONE_IN: u64 = 64;

/// The outbound queue of a peer. Senders share it; one writer at a time empties it.
#[derive(Debug)]
pub struct Outbound {
    clock: Clock,
    config: OutboundConfig,
    frame_bytes_max: usize,
    state: Mutex<State>,
    room: Room,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The writer, while it has nothing to do.
    idle_writer: Option<Waker>,
    queue: VecDeque<Entry>,
    /// A question to the peer, which overtakes the queue.
    probe: Option<Option<Bytes>>,
    /// Frames and bytes, queued and in flight.
    frames: usize,
    bytes: usize,
    share: Share,
    is_overflowing: bool,
    /// Those of frames that were lost, to be let go of outside the lock.
    lost: Vec<Box<dyn Follower>>,
    accepted: u64,
    written: u64,
    written_bytes: u64,
    dropped: u64,
    rejected: u64,
    latency: Latency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No session; the policy for a peer that is away applies.
    Down,
    /// A session's writer takes what is queued.
    Up,
    /// Nothing new; the writer takes what is queued, then ends.
    Draining,
    /// For good.
    Closed,
}

#[derive(Debug)]
struct Entry {
    frame: Bytes,
    /// When it was queued, for those that are measured or may expire.
    queued_at: Option<Instant>,
    follower: Option<Box<dyn Follower>>,
}

impl Outbound {
    pub(crate) fn new(
        clock: Clock,
        config: OutboundConfig,
        frame_bytes_max: usize,
        budget: Arc<Budget>,
    ) -> Self {
        let state = State {
            phase: Phase::Down,
            idle_writer: None,
            queue: VecDeque::new(),
            probe: None,
            frames: 0,
            bytes: 0,
            share: Share::new(budget.clone()),
            is_overflowing: false,
            lost: Vec::new(),
            accepted: 0,
            written: 0,
            written_bytes: 0,
            dropped: 0,
            rejected: 0,
            latency: Latency::default(),
        };
        let room = Room::new(clock, budget);
        Self { clock, config, frame_bytes_max, state: Mutex::new(state), room }
    }

    /// A session opened: what was held and is not too old will be written.
    pub(crate) fn open(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Up;
        if let WhenDown::HoldFor(age) = self.config.when_down {
            let is_fresh =
                |entry: &Entry| entry.queued_at.is_none_or(|at| now.saturating_duration_since(at) <= age);
            state.retain(is_fresh);
        }
        wake_writer(state);
    }

    /// The session will end: nothing new, and the writer ends when everything is written.
    pub(crate) fn drain(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Up {
            state.phase = Phase::Draining;
        }
        wake_writer(state);
        self.room.made();
    }

    /// The session ended and its writer with it: keeps what the policy says and drops the rest.
    pub(crate) fn suspend(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Down;
        state.probe = None;
        state.apply(self.config.when_down, now);
        release(state);
        self.room.made();
    }

    /// The peer is gone for good: drops everything, and from now on every frame is given back.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        state.retain(|_| false);
        wake_writer(state);
        self.room.made();
    }

    /// Asks the peer something, ahead of the queue; an unwritten question before it is replaced.
    pub(crate) fn probe(&self, frame: Option<Bytes>) {
        let mut state = self.state.lock();
        state.probe = Some(frame);
        wake_writer(state);
    }

    /// Frames and bytes queued or being written.
    pub fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.frames, state.bytes)
    }

    /// The sending half of the counters.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts {
            frames_accepted: state.accepted,
            frames_out: state.written,
            bytes_out: state.written_bytes,
            frames_out_dropped: state.dropped,
            frames_rejected: state.rejected,
            ..Counts::default()
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        self.state.lock().latency
    }

    /// Where senders wait who found the queue full.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// The longest a sender waits for room.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        match self.config.when_full {
            WhenFull::Block { at_most } => at_most,
            WhenFull::DropOldest | WhenFull::DropNewest | WhenFull::Disconnect => None,
        }
    }
}

/// The writer has something to do.
fn wake_writer(mut state: MutexGuard<'_, State>) {
    let idle_writer = state.idle_writer.take();
    release(state);
    if let Some(writer) = idle_writer {
        writer.wake();
    }
}

/// Gives up the lock, then the followers of frames that were lost: whoever they tell may come back here.
fn release(mut state: MutexGuard<'_, State>) {
    let lost = std::mem::take(&mut state.lost);
    drop(state);
    drop(lost);
}

impl State {
    fn push(&mut self, entry: Entry) {
        self.frames += 1;
        self.bytes += entry.frame.len();
        self.queue.push_back(entry);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.queue.pop_front() else { return false };
        self.lose(oldest);
        true
    }

    fn keep_newest(&mut self, frames_max: usize) {
        while self.queue.len() > frames_max {
            self.drop_oldest();
        }
        self.share.shrink_to(self.bytes);
    }

    /// The policy for a peer that is away, applied to what is queued.
    fn apply(&mut self, when_down: WhenDown, now: Instant) {
        match when_down {
            WhenDown::Reject => self.retain(|_| false),
            WhenDown::HoldNewest(frames_max) => self.keep_newest(frames_max.get()),
            WhenDown::HoldFor(_) => self.queue.iter_mut().for_each(|entry| {
                entry.queued_at.get_or_insert(now);
            }),
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&Entry) -> bool) {
        let mut kept = VecDeque::with_capacity(self.queue.len());
        for entry in std::mem::take(&mut self.queue) {
            match is_kept(&entry) {
                true => kept.push_back(entry),
                false => self.lose(entry),
            }
        }
        self.queue = kept;
        self.share.shrink_to(self.bytes);
    }

    /// A frame that will not be written.
    fn lose(&mut self, entry: Entry) {
        self.forget(&entry);
        self.dropped += 1;
        self.lost.extend(entry.follower);
    }

    /// Takes an entry off the books; what became of it is counted by the caller.
    fn forget(&mut self, entry: &Entry) {
        self.frames -= 1;
        self.bytes -= entry.frame.len();
    }
}
