//! Endings: of one peer, in favour of another, and of the whole pool; each bounded in time, with an account of it.

use std::time::Duration;

use flux_world::Instant;

use super::{AddError, PeerPool};
use crate::control::Stop;
use crate::id::PeerId;
use crate::inbox::Destination;
use crate::peer::{Detached, Detaching, PeerHandle};
use crate::reason::CloseReason;
use crate::state::PeerState;
use crate::stats::Counts;
use crate::worker::WorkerFactory;

/// What an ending did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// Frames written while closing.
    pub frames_flushed: u64,
    /// Outgoing frames dropped while closing.
    pub frames_dropped: u64,
    /// Incoming frames dropped while closing: a delivery was broken off, or they came too late.
    pub frames_undelivered: u64,
    /// Peers that had to be broken off because the time was up, by name.
    pub peers_aborted: Vec<PeerId>,
}

/// There is no peer of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no peer named {0}")]
pub struct NotFound(
    /// The name.
    pub PeerId,
);

/// The last part of the time allowed, kept for breaking off what is not done: a tenth, at most 100 ms.
fn reserve(within: Duration) -> Duration {
    (within / 10).min(Duration::from_millis(100))
}

impl PeerPool {
    /// Takes a peer out, writing what is queued for it within that time. When it returns the name is free and the
    /// session over.
    pub async fn remove(&self, id: &str, within: Duration) -> Result<CloseReport, NotFound> {
        let peer = self.peer(id).ok_or_else(|| NotFound(id.into()))?;
        Ok(self.stop(vec![peer], CloseReason::Local, within).await)
    }

    /// Adds a peer in place of the one of that name, if there is one: the newest wins.
    ///
    /// The old session is over before the new one begins, at the latest after `within`.
    pub async fn replace<F: WorkerFactory>(
        &self,
        id: impl Into<PeerId>,
        factory: F,
        within: Duration,
    ) -> Result<PeerHandle, AddError> {
        let id = id.into();
        if let Some(former) = self.peer(id.as_str()) {
            self.stop(vec![former], CloseReason::Replaced, within).await;
        }
        self.register(id, factory)
    }

    /// Ends the pool: stops accepting and dialling, writes what is queued, takes leave of each peer, breaks off what is
    /// not done in time, and tells what became of it. Returns within that time.
    pub async fn close(&self, within: Duration) -> CloseReport {
        let inner = &self.inner;
        inner.registry.write().is_closed = true;
        inner.not_accepting.cancel();
        inner.tasks.close();
        let deadline = inner.world.clock.now() + within;
        let report = self.stop(self.peers(), CloseReason::Local, within).await;
        // The listeners' loops; they end as soon as they are asked, unless the runtime itself is stuck.
        let _ = inner.world.clock.timeout_at(deadline, inner.tasks.wait()).await;
        if let Destination::Merged(merge) = &inner.destination {
            merge.end();
        }
        report
    }

    /// Lets nobody in and reads from no peer until [`PeerPool::resume`]; ends when what was read is delivered.
    pub async fn pause(&self) {
        self.inner.paused.send_replace(true);
        let peers = self.peers();
        peers.iter().for_each(|peer| peer.core().halt().pause());
        for peer in &peers {
            peer.core().halt().at_rest().await;
        }
    }

    /// Lets in and reads again.
    pub fn resume(&self) {
        self.inner.paused.send_replace(false);
        self.peers().iter().for_each(|peer| peer.core().halt().resume());
    }

    /// [Closes](PeerPool::close) the pool, but has connections go on without it, where that is wanted and possible: what is
    /// queued is written, and nothing but the socket and a part of a frame is left. Those are returned, by peer.
    pub async fn detach(
        &self,
        within: Duration,
        is_wanted: impl Fn(&PeerHandle) -> bool,
    ) -> (Vec<(PeerHandle, Detached)>, CloseReport) {
        let peers = self.peers();
        for peer in peers.iter().filter(|peer| is_wanted(peer)) {
            *peer.core().detaching() = Detaching::Wanted;
        }
        let report = self.close(within).await;
        let detached = |peer: PeerHandle| {
            let detaching = std::mem::take(&mut *peer.core().detaching());
            match detaching {
                Detaching::Done(detached) => Some((peer, detached)),
                Detaching::No | Detaching::Wanted => None,
            }
        };
        (peers.into_iter().filter_map(detached).collect(), report)
    }

    async fn stop(&self, peers: Vec<PeerHandle>, reason: CloseReason, within: Duration) -> CloseReport {
        let clock = self.inner.world.clock;
        let deadline = clock.now() + within;
        let until = deadline - reserve(within);
        let before = total(&peers);
        for peer in &peers {
            peer.control().stop(Stop { reason: reason.clone(), until });
        }
        self.await_ended(&peers, until + reserve(within) / 2).await;
        for peer in peers.iter().filter(|peer| !has_ended(peer)) {
            peer.core().set_aborted();
            self.abort(peer);
        }
        self.await_ended(&peers, deadline).await;
        let after = total(&peers);
        CloseReport {
            frames_flushed: after.frames_out - before.frames_out,
            frames_dropped: after.frames_out_dropped - before.frames_out_dropped,
            frames_undelivered: after.frames_in_dropped - before.frames_in_dropped,
            peers_aborted: peers.iter().filter(|p| p.core().was_aborted()).map(|p| p.id().clone()).collect(),
        }
    }

    async fn await_ended(&self, peers: &[PeerHandle], deadline: Instant) {
        let all = async {
            for peer in peers {
                let mut state = peer.watch();
                let ended = state.wait_for(|state| matches!(state, PeerState::Ended(_))).await;
                drop(ended);
            }
        };
        // Who has not ended by then is looked at next.
        let _ = self.inner.world.clock.timeout_at(deadline, all).await;
    }

    fn abort(&self, peer: &PeerHandle) {
        let registry = self.inner.registry.read();
        if let Some(entry) = registry.peers.get(peer.id().as_str()).filter(|entry| entry.peer.is_same(peer)) {
            entry.task.abort();
        }
    }
}

fn has_ended(peer: &PeerHandle) -> bool {
    matches!(peer.state(), PeerState::Ended(_))
}

fn total(peers: &[PeerHandle]) -> Counts {
    let mut total = Counts::default();
    peers.iter().for_each(|peer| total += peer.stats().counts);
    total
}
