//! The senders' side of the outbound queue.

use std::fmt;

use bytes::Bytes;
use flux_world::Instant;
use tokio::sync::oneshot;

use super::{Entry, Outbound, Phase, SAMPLED_ONE_IN, State, release, wake_writer};
use crate::config::{WhenDown, WhenFull};

/// Why a frame was not queued. The frame comes back, except where the policy dropped it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError {
    /// The queue is full and its policy is to wait.
    #[error("the queue is full")]
    Full(Bytes),
    /// The queue is full; its policy dropped the frame.
    #[error("the queue is full and the frame was dropped")]
    Dropped,
    /// The queue is full; its policy dropped the frame and closes the session.
    #[error("the queue is full and the session is closed for it")]
    Overflowed,
    /// No session is open and frames are not held.
    #[error("the peer is not connected")]
    Disconnected(Bytes),
    /// The peer is gone or going.
    #[error("the peer is gone")]
    Closed(Bytes),
    /// The frame can never be sent.
    #[error("the frame exceeds the limit")]
    TooLarge(Bytes),
}

impl TrySendError {
    /// The frame, unless the policy dropped it.
    pub fn into_frame(self) -> Option<Bytes> {
        match self {
            Self::Full(frame) | Self::Disconnected(frame) | Self::Closed(frame) | Self::TooLarge(frame) => {
                Some(frame)
            }
            Self::Dropped | Self::Overflowed => None,
        }
    }
}

/// Why a frame was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not queued.
    #[error(transparent)]
    NotQueued(#[from] TrySendError),
    /// No room came up in time.
    #[error("no room in the queue within the time allowed")]
    TimedOut(Bytes),
    /// It was queued, and the session ended or the policy dropped it before it was written whole.
    #[error("the frame was queued and then dropped")]
    NotWritten,
}

/// A frame on its way into the queue.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) frame: Bytes,
    /// Told what becomes of the frame.
    pub(crate) follower: Option<Box<dyn Follower>>,
}

/// Follows a frame through the queue. Dropped without a word, the frame was queued and then lost.
pub trait Follower: Send + fmt::Debug {
    /// The operating system has all of it.
    fn written(self: Box<Self>);

    /// It was not queued; its sender is told why.
    fn refused(self: Box<Self>);
}

/// Tells who waits for it.
#[derive(Debug)]
pub(crate) struct Confirm(pub(crate) oneshot::Sender<()>);

impl Follower for Confirm {
    fn written(self: Box<Self>) {
        // Nobody waiting any more is fine.
        let _ = self.0.send(());
    }

    fn refused(self: Box<Self>) {}
}

impl Outgoing {
    /// The frame, which is not queued.
    pub(crate) fn refused(self) -> Bytes {
        if let Some(follower) = self.follower {
            follower.refused();
        }
        self.frame
    }
}

impl From<Bytes> for Outgoing {
    fn from(frame: Bytes) -> Self {
        Self { frame, follower: None }
    }
}

/// What became of it.
pub(crate) enum Offered {
    Queued,
    /// The queue is full and the frame may be offered again.
    Full(Outgoing),
    Failed(TrySendError),
}

/// What the policy says about a frame.
enum Verdict {
    Queue,
    Full,
    Refuse(fn(Bytes) -> TrySendError),
    Drop(TrySendError),
}

impl Outbound {
    /// Queues frames in order until one is not queued, and tells what became of the last one and whether an episode of
    /// overflow began just now. Takes one short lock and never waits.
    pub(crate) fn offer(&self, frames: impl Iterator<Item = Outgoing>) -> (Offered, bool) {
        let mut state = self.state.lock();
        let was_overflowing = state.is_overflowing;
        let mut offered = Offered::Queued;
        for outgoing in frames {
            offered = self.offer_one(&mut state, outgoing);
            if !matches!(offered, Offered::Queued) {
                break;
            }
        }
        let has_begun_to_overflow = state.is_overflowing && !was_overflowing;
        if state.phase == Phase::Up && !state.queue.is_empty() {
            wake_writer(state);
        } else {
            release(state);
        }
        (offered, has_begun_to_overflow)
    }

    fn offer_one(&self, state: &mut State, outgoing: Outgoing) -> Offered {
        match self.judge(state, outgoing.frame.len()) {
            Verdict::Queue => {
                state.accepted += 1;
                let queued_at = self.stamp(state);
                state.push(Entry { frame: outgoing.frame, queued_at, follower: outgoing.follower });
                Offered::Queued
            }
            Verdict::Full => Offered::Full(outgoing),
            Verdict::Refuse(error) => {
                state.rejected += 1;
                Offered::Failed(error(outgoing.refused()))
            }
            Verdict::Drop(error) => {
                state.accepted += 1;
                state.dropped += 1;
                drop(outgoing.refused());
                Offered::Failed(error)
            }
        }
    }

    /// A sender gave up on a full queue.
    pub(crate) fn count_rejected(&self) {
        self.state.lock().rejected += 1;
    }

    fn stamp(&self, state: &State) -> Option<Instant> {
        let may_expire = state.phase == Phase::Down && matches!(self.config.when_down, WhenDown::HoldFor(_));
        (may_expire || state.accepted.is_multiple_of(SAMPLED_ONE_IN)).then(|| self.clock.now())
    }

    fn judge(&self, state: &mut State, bytes: usize) -> Verdict {
        match (state.phase, self.config.when_down) {
            (Phase::Draining | Phase::Closed, _) => return Verdict::Refuse(TrySendError::Closed),
            (Phase::Down, WhenDown::Reject) => return Verdict::Refuse(TrySendError::Disconnected),
            (Phase::Down, WhenDown::HoldNewest(_) | WhenDown::HoldFor(_)) | (Phase::Up, _) => {}
        }
        if bytes > self.frame_bytes_max {
            return Verdict::Refuse(TrySendError::TooLarge);
        }
        if let (Phase::Down, WhenDown::HoldNewest(frames_max)) = (state.phase, self.config.when_down) {
            state.keep_newest(frames_max.get() - 1);
        }
        while !self.has_room(state, bytes) {
            state.is_overflowing = true;
            match self.config.when_full {
                WhenFull::Block { .. } => return Verdict::Full,
                WhenFull::DropNewest => return Verdict::Drop(TrySendError::Dropped),
                WhenFull::Disconnect => return Verdict::Drop(TrySendError::Overflowed),
                WhenFull::DropOldest if state.drop_oldest() => {}
                // Everything is being written, and what is being written cannot be dropped any more.
                WhenFull::DropOldest => return Verdict::Drop(TrySendError::Dropped),
            }
        }
        Verdict::Queue
    }

    fn has_room(&self, state: &mut State, bytes: usize) -> bool {
        state.frames < self.config.frames_max.get()
            && state.bytes + bytes <= self.config.bytes_max
            && state.share.grow_to(state.bytes + bytes)
    }
}
