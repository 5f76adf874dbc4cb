//! One connection of ours for each connection of others: what makes a client a proxy.
//!
//! ```text
//! first message of a source   ->  dialled under the source's conn.id; messages wait meanwhile
//! dialling failed             ->  what waits goes to the error port, the source is asked to close
//! upstream closed             ->  once all it sent has been dealt with, the source is asked to close
//! source closed               ->  closed too, a little later: its last messages may still be on their way here
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flux_gear::{Emitter, Fault, FluxMsg, GearContext, Held, Lease, Step};
use flux_pool::{AddError, CloseReason, Dialer, NetDialer, PeerConfig, PeerHandle, PeerPool, Resumed, Stop};
use flux_world::{Stream, Target};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio_util::task::TaskTracker;

use crate::endpoint::{CLOSE_TIMEOUT, WaitingRoom, no_connection, send, send_back};

/// How long a connection outlives its source.
const OUTLIVES_SOURCE: Duration = Duration::from_millis(250);

/// The connections, by the `conn.id` of their source.
pub(super) struct Upstreams {
    ctx: GearContext,
    emit: Emitter,
    target: Target,
    config: PeerConfig,
    waiting_messages_max: usize,
    by_source: RwLock<FxHashMap<Box<str>, Arc<Upstream>>>,
    /// One task per connection being dialled.
    dialling: TaskTracker,
}

struct Upstream {
    peer: PeerHandle,
    /// Whether nobody waits any more; then a frame is sent without a look into the room.
    is_open: AtomicBool,
    room: Mutex<WaitingRoom>,
}

impl Upstreams {
    pub(super) fn new(
        ctx: &GearContext,
        emit: Emitter,
        target: Target,
        config: PeerConfig,
        waiting_messages_max: usize,
    ) -> Arc<Upstreams> {
        let (ctx, by_source, dialling) = (ctx.clone(), RwLock::default(), TaskTracker::new());
        Arc::new(Upstreams { ctx, emit, target, config, waiting_messages_max, by_source, dialling })
    }

    /// Sends a message by the connection of its source, and dials that if there is none.
    pub(super) fn send(
        self: &Arc<Self>,
        source: &str,
        msg: &FluxMsg,
        pool: &PeerPool,
    ) -> Result<Step, Fault> {
        if let Some(upstream) = self.by_source.read().get(source) {
            return upstream.send(msg);
        }
        self.dial(source, pool)?.send(msg)
    }

    /// Ends when no message waits for a connection: each is open, or could not be opened.
    pub(super) async fn settled(self: Arc<Self>) {
        self.dialling.close();
        self.dialling.wait().await;
    }

    /// On this lease is everything that will come in by the connection. Its end, after the connection's own, means
    /// that all of it has been dealt with.
    pub(super) fn lease(&self, source: String) -> Lease {
        let control = self.ctx.control().clone();
        Lease::new(move |_| control.close_conn(&source, "upstream_closed"))
    }

    /// The connection of `source` can be sent to.
    pub(super) fn opened(&self, source: &str) {
        let Some(upstream) = self.by_source.read().get(source).cloned() else { return };
        let mut room = upstream.room.lock();
        room.empty_into(&upstream.peer);
        upstream.is_open.store(true, Ordering::Release);
        let left = if room.is_empty() { Vec::new() } else { room.close() };
        drop(room);
        self.give_back(left, "the queue of the connection is full");
    }

    /// The session of `peer` is over; it is not to be opened again.
    pub(super) fn closed(&self, peer: &PeerHandle) {
        self.forget(peer);
        self.end(peer);
    }

    /// The source of a connection is gone.
    pub(super) fn source_gone(&self, source: &str) {
        let Some(upstream) = self.by_source.read().get(source).cloned() else { return };
        let (ctx, peer) = (self.ctx.clone(), upstream.peer.clone());
        self.ctx.spawn(async move {
            ctx.world().clock.sleep(OUTLIVES_SOURCE).await;
            peer.control().stop(farewell(&ctx));
        });
    }

    /// Looks for sources that went unheard.
    pub(super) fn look_for_lost_sources(&self) {
        let mut sources: Vec<Box<str>> = self.by_source.read().keys().cloned().collect();
        sources.sort_unstable();
        sources.retain(|source| !self.ctx.control().is_up_elsewhere(source, self.ctx.name()));
        sources.iter().for_each(|source| self.source_gone(source));
    }

    /// Messages that wait for a connection.
    pub(super) fn take_waiting(&self) -> Vec<Held> {
        let by_source = self.by_source.read();
        let mut sources: Vec<_> = by_source.iter().collect();
        sources.sort_unstable_by_key(|(source, _)| *source);
        sources.into_iter().flat_map(|(_, upstream)| upstream.room.lock().close()).collect()
    }

    /// Goes on with the connection of a source that was open before.
    pub(super) fn resume(self: &Arc<Self>, source: &str, stream: Stream, pool: &PeerPool) {
        if let Err(why) = self.open(source, pool, Arc::new(Resumed::new(stream))) {
            tracing::warn!(gear = self.ctx.name(), conn = source, error = %why, "a connection cannot go on");
        }
    }

    fn dial(self: &Arc<Self>, source: &str, pool: &PeerPool) -> Result<Arc<Upstream>, Fault> {
        let upstream = self.open(source, pool, Arc::new(NetDialer))?;
        if !self.ctx.control().is_up_elsewhere(source, self.ctx.name()) {
            self.source_gone(source);
        }
        Ok(upstream)
    }

    fn open(
        self: &Arc<Self>,
        source: &str,
        pool: &PeerPool,
        dialer: Arc<dyn Dialer>,
    ) -> Result<Arc<Upstream>, Fault> {
        let mut by_source = self.by_source.write();
        let dialled = pool.dial_with(source, self.target.clone(), self.config.clone(), dialer);
        let peer = dialled.map_err(|why| match why {
            AddError::Exists(_) | AddError::Closed => no_connection("the connection has just been closed"),
            AddError::Full(_) | AddError::Config(_) => {
                Fault::invalid("too many connections").reason("too_many_connections").caused_by(why)
            }
        })?;
        let room = Mutex::new(WaitingRoom::new(self.waiting_messages_max));
        let upstream = Arc::new(Upstream { peer, is_open: AtomicBool::new(false), room });
        by_source.insert(source.into(), upstream.clone());
        drop(by_source);
        let (upstreams, dialled) = (self.clone(), upstream.clone());
        self.ctx.spawn(self.dialling.track_future(async move {
            if !dialled.peer.wait_up().await {
                upstreams.failed(&dialled).await;
            }
        }));
        Ok(upstream)
    }

    /// There is no connection and there will be none; or it is over already.
    async fn failed(&self, upstream: &Upstream) {
        if !self.forget(&upstream.peer) {
            return;
        }
        let source = upstream.peer.id().as_str();
        tracing::warn!(gear = self.ctx.name(), conn = source, target = %self.target, "cannot connect");
        let left = upstream.room.lock().close();
        send_back(&self.ctx, &self.emit, left, "cannot connect").await;
        self.ctx.control().close_conn(source, "upstream_unreachable");
    }

    /// Whether it was still known.
    fn forget(&self, peer: &PeerHandle) -> bool {
        let mut by_source = self.by_source.write();
        let is_it = |upstream: &Arc<Upstream>| std::ptr::eq(upstream.peer.control(), peer.control());
        let is_known = by_source.get(peer.id().as_str()).is_some_and(is_it);
        is_known && by_source.remove(peer.id().as_str()).is_some()
    }

    fn end(&self, peer: &PeerHandle) {
        peer.control().stop(farewell(&self.ctx));
    }

    fn give_back(&self, left: Vec<Held>, why: &'static str) {
        if !left.is_empty() {
            let (ctx, emit) = (self.ctx.clone(), self.emit.clone());
            self.ctx.spawn(async move { send_back(&ctx, &emit, left, why).await });
        }
    }
}

impl Upstream {
    fn send(&self, msg: &FluxMsg) -> Result<Step, Fault> {
        if !self.is_open.load(Ordering::Acquire) {
            let mut room = self.room.lock();
            // It may have opened in between.
            if !self.is_open.load(Ordering::Relaxed) {
                return room.keep(msg).map(|()| Step::Done);
            }
        }
        send(&self.peer, msg.payload.clone(), msg)
    }
}

/// The order to close for good, with time to write what is queued.
fn farewell(ctx: &GearContext) -> Stop {
    Stop { reason: CloseReason::Local, until: ctx.world().clock.now() + CLOSE_TIMEOUT }
}
