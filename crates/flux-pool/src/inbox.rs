//! The way in: frames of one read travel as one batch, to a consumer called directly or to the pool's fair inbox.
//!
//! [`InboxSender::deliver`] is the only way in and counts what passes. A consumer that makes its future wait, or a full
//! lane, holds up the reading of that one peer's socket and of no other.

mod lane;
mod merge;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flux_world::Instant;

use crate::id::PeerId;
use crate::peer::PeerHandle;
use crate::reason::CloseReason;
use crate::stats::InCounters;

pub(crate) use lane::Lane;
pub use merge::Inbox;
pub(crate) use merge::{Merge, inbox};

/// A future somebody else made.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Frames of one peer that arrived together, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When they were read.
    pub received_at: Instant,
    /// The number of the first frame among all of this peer, from 0, across reconnects.
    pub seq: u64,
    /// The frames.
    pub frames: Vec<Bytes>,
}

/// One frame with where and when it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who sent it.
    pub peer: &'a PeerId,
    /// What was sent.
    pub bytes: &'a Bytes,
    /// When the read that completed it returned.
    pub received_at: Instant,
    /// Its number among all of this peer, from 0.
    pub seq: u64,
}

impl Batch {
    /// The frames as messages of `peer`.
    pub fn messages<'a>(&'a self, peer: &'a PeerId) -> impl Iterator<Item = Message<'a>> {
        self.frames.iter().zip(self.seq..).map(move |(bytes, seq)| Message {
            peer,
            bytes,
            received_at: self.received_at,
            seq,
        })
    }

    fn bytes(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}

/// Takes frames in the task that reads them: the shortest way from a socket to a gear.
pub trait Consumer: Send + Sync + 'static {
    /// Takes the frames out of `batch`. What is left in it afterwards was refused and counts as dropped.
    ///
    /// Called in order, one batch at a time per peer, for many peers at once. While the returned future waits, this
    /// peer's socket is not read; it is dropped when the peer is stopped and its time is up.
    fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a>;

    /// A session opened; its first batch comes after this returned. Must not block.
    fn up(&self, peer: &PeerHandle) {
        let _ = peer;
    }

    /// The session ended; its last batch came before this is called. Must not block.
    fn down(&self, peer: &PeerHandle, reason: &CloseReason) {
        let _ = (peer, reason);
    }
}

/// Whether a batch has been taken. The answer without a future allocates nothing.
pub enum Delivery<'a> {
    /// It has been.
    Done,
    /// It will have been when this is through.
    Wait(BoxFuture<'a, ()>),
}

/// Where a pool's frames go.
#[derive(Clone)]
pub(crate) enum Destination {
    Direct(Arc<dyn Consumer>),
    Merged(Arc<Merge>),
}

/// One peer's way in.
#[derive(Clone)]
pub struct InboxSender {
    peer: PeerHandle,
    destination: Destination,
}

impl InboxSender {
    pub(crate) fn new(peer: PeerHandle, destination: Destination) -> Self {
        Self { peer, destination }
    }

    /// The peer whose way in this is.
    pub fn peer(&self) -> &PeerHandle {
        &self.peer
    }

    /// Delivers the frames of a batch and leaves it empty; numbers them.
    ///
    /// Waits as long as the consumer or the policy of the queue makes it. An error is the reason to close the session.
    /// Dropping the future drops what was not taken yet, counted.
    pub async fn deliver(&self, batch: &mut Batch) -> Result<(), CloseReason> {
        let counters = self.peer.core().counters();
        let frames = batch.frames.len();
        // One reader at a time counts, so the count is the number of the next frame.
        batch.seq = counters.frames_in.fetch_add(frames as u64, Ordering::Relaxed);
        InCounters::add(&counters.bytes_in, batch.bytes());
        match &self.destination {
            Destination::Direct(consumer) => {
                let refused = Remains { counters, batch, frames };
                match consumer.deliver(&self.peer, refused.batch) {
                    Delivery::Done => {}
                    Delivery::Wait(taken) => taken.await,
                }
                Ok(())
            }
            Destination::Merged(merge) => {
                let remains = Dropped { counters, batch };
                self.peer.core().lane().put(merge, &self.peer, remains.batch).await
            }
        }
    }

    pub(crate) fn tell_up(&self) {
        if let Destination::Direct(consumer) = &self.destination {
            consumer.up(&self.peer);
        }
    }

    pub(crate) fn tell_down(&self, reason: &CloseReason) {
        if let Destination::Direct(consumer) = &self.destination {
            consumer.down(&self.peer, reason);
        }
    }
}

/// Counts what the consumer took and what it left, also when it is interrupted.
struct Remains<'a> {
    counters: &'a InCounters,
    batch: &'a mut Batch,
    frames: usize,
}

impl Drop for Remains<'_> {
    fn drop(&mut self) {
        let left = self.batch.frames.len();
        self.batch.frames.clear();
        InCounters::add(&self.counters.frames_delivered, self.frames.saturating_sub(left));
        InCounters::add(&self.counters.frames_in_dropped, left);
    }
}

/// Counts what did not make it into the lane, also when interrupted.
struct Dropped<'a> {
    counters: &'a InCounters,
    batch: &'a mut Batch,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        InCounters::add(&self.counters.frames_in_dropped, self.batch.frames.len());
        self.batch.frames.clear();
    }
}
