//! The pool: peers by name, each owned by a worker, and the end of them all.

mod builder;
mod closing;
mod listening;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use flux_world::{Target, World};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::blocks::dialer::{DialFactory, Dialer, NetDialer};
use crate::budget::Budget;
use crate::config::{ConfigError, PeerConfig, PoolConfig};
use crate::doorman::TurnedAway;
use crate::event::{EventKind, EventSender, Events};
use crate::gate::DialGate;
use crate::id::PeerId;
use crate::inbox::{Destination, InboxSender};
use crate::peer::PeerHandle;
use crate::reason::CloseReason;
use crate::state::{PeerState, Role};
use crate::stats::{Counts, PoolStats};
use crate::worker::{PoolPlugin, WorkerFactory};

pub use builder::PoolBuilder;
pub use closing::{CloseReport, NotFound};
pub use listening::{ListenError, Listening};

/// A pool of peers. Clones are handles to the same pool; when the last one goes, so do all peers, at once.
#[derive(Clone)]
pub struct PeerPool {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    config: PoolConfig,
    destination: Destination,
    events: EventSender,
    budget: Arc<Budget>,
    dial_gate: DialGate,
    registry: RwLock<Registry>,
    tasks: TaskTracker,
    /// Whether nobody is let in or read from for a while.
    paused: watch::Sender<bool>,
    /// Cancelled when no listener shall accept any more.
    not_accepting: CancellationToken,
    gone: Mutex<Gone>,
    accepted: AtomicU64,
    turned_away: Arc<TurnedAway>,
}

#[derive(Default)]
struct Registry {
    peers: FxHashMap<PeerId, Entry>,
    is_closed: bool,
}

struct Entry {
    peer: PeerHandle,
    task: AbortHandle,
}

/// What peers did that are no longer in the pool.
#[derive(Default)]
struct Gone {
    counts: Counts,
    /// Those of which the inbox has not handed out everything yet; their counters still move.
    lingering: Vec<PeerHandle>,
}

impl Gone {
    fn add(&mut self, peer: PeerHandle) {
        self.lingering.push(peer);
        self.settle();
    }

    /// What they did so far.
    fn counts(&mut self) -> Counts {
        self.settle();
        let mut counts = self.counts;
        self.lingering.iter().for_each(|peer| counts += peer.stats().counts);
        counts
    }

    fn settle(&mut self) {
        let counts = &mut self.counts;
        self.lingering.retain(|peer| {
            let stats = peer.stats();
            let is_settled = stats.queued_in_frames == 0;
            if is_settled {
                *counts += stats.counts;
            }
            !is_settled
        });
    }
}

/// Why a peer was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// A peer of that name is there, perhaps on its way out.
    #[error("there is a peer named {0} already")]
    Exists(PeerId),
    /// The pool has as many peers as it may.
    #[error("the pool has its {0} peers already")]
    Full(usize),
    /// The settings make no sense.
    #[error("the settings make no sense: {0}")]
    Config(#[from] ConfigError),
}

impl PeerPool {
    /// A pool to be configured.
    pub fn builder(world: World) -> PoolBuilder {
        PoolBuilder::new(world)
    }

    /// Adds a peer we connect to, and stay connected to. Returns at once; the first attempt is under way.
    pub fn dial(
        &self,
        id: impl Into<PeerId>,
        target: Target,
        config: PeerConfig,
    ) -> Result<PeerHandle, AddError> {
        self.register(id, DialFactory { target, config, dialer: Arc::new(NetDialer) })
    }

    /// Adds a peer that `dialer` connects to.
    pub fn dial_with(
        &self,
        id: impl Into<PeerId>,
        target: Target,
        config: PeerConfig,
        dialer: Arc<dyn Dialer>,
    ) -> Result<PeerHandle, AddError> {
        self.register(id, DialFactory { target, config, dialer })
    }

    /// Adds a peer owned by a worker of the factory's making, and starts it. Needs a runtime.
    pub fn register(
        &self,
        id: impl Into<PeerId>,
        factory: impl WorkerFactory,
    ) -> Result<PeerHandle, AddError> {
        let (id, inner) = (id.into(), &self.inner);
        factory.config().check()?;
        let peer = PeerHandle::new(
            id.clone(),
            factory.role(),
            factory.config().clone(),
            inner.world.clock,
            inner.budget.clone(),
            inner.events.clone(),
        );
        // Before the lock: a factory may take its time, and nobody waits for it.
        let worker = factory.build(&id)?;
        let plugin = PoolPlugin {
            world: inner.world.clone(),
            inbox: InboxSender::new(peer.clone(), inner.destination.clone()),
            dial_gate: inner.dial_gate.clone(),
        };
        let mut registry = inner.registry.write();
        if registry.is_closed {
            return Err(AddError::Closed);
        }
        if registry.peers.contains_key(&id) {
            return Err(AddError::Exists(id));
        }
        if registry.peers.len() >= inner.config.peers_max {
            return Err(AddError::Full(inner.config.peers_max));
        }
        if *inner.paused.borrow() {
            peer.core().halt().pause();
        }
        let mut leaving =
            Leaving { pool: Arc::downgrade(inner), peer: peer.clone(), reason: CloseReason::Local };
        let task = inner.tasks.spawn(async move {
            let reason = worker.start(plugin).await;
            leaving.because(reason);
        });
        registry.peers.insert(id, Entry { peer: peer.clone(), task: task.abort_handle() });
        Ok(peer)
    }

    /// The peer of that name.
    pub fn peer(&self, id: &str) -> Option<PeerHandle> {
        self.inner.registry.read().peers.get(id).map(|entry| entry.peer.clone())
    }

    /// All peers, by name.
    pub fn peers(&self) -> Vec<PeerHandle> {
        let mut peers: Vec<PeerHandle> =
            self.inner.registry.read().peers.values().map(|entry| entry.peer.clone()).collect();
        peers.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        peers
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.inner.registry.read().peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events from now on.
    pub fn events(&self) -> Events {
        self.inner.events.subscribe()
    }

    /// A snapshot of the pool's numbers. Never waits for the network.
    pub fn stats(&self) -> PoolStats {
        let (inner, peers) = (&self.inner, self.peers());
        let mut counts = inner.gone.lock().counts();
        let live = peers.iter().filter(|peer| !matches!(peer.state(), PeerState::Ended(_)));
        live.for_each(|peer| counts += peer.stats().counts);
        let turned_away = &inner.turned_away;
        PoolStats {
            peers: peers.len(),
            peers_up: peers.iter().filter(|peer| peer.is_up()).count(),
            counts,
            accepted: inner.accepted.load(Ordering::Relaxed),
            refused: turned_away.refused.load(Ordering::Relaxed),
            handshakes_failed: turned_away.handshakes_failed.load(Ordering::Relaxed),
            broken: turned_away.broken.load(Ordering::Relaxed),
            accepts_failed: turned_away.accepts_failed.load(Ordering::Relaxed),
            events_lagged: inner.events.lagged(),
            queued_bytes: inner.budget.used_bytes(),
        }
    }
}

impl fmt::Debug for PeerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerPool").field("peers", &self.peers()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.not_accepting.cancel();
        self.registry.get_mut().peers.values().for_each(|entry| entry.task.abort());
        if let Destination::Merged(merge) = &self.destination {
            merge.end();
        }
    }
}

/// A peer's leaving the pool, done exactly once, however its worker ends.
struct Leaving {
    pool: Weak<Inner>,
    peer: PeerHandle,
    reason: CloseReason,
}

impl Leaving {
    fn because(&mut self, reason: CloseReason) {
        self.reason = reason;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.reason = CloseReason::Panicked;
        }
        let (peer, reason) = (&self.peer, self.reason.clone());
        peer.outbound().close();
        if let Some(pool) = self.pool.upgrade() {
            let mut registry = pool.registry.write();
            if registry.peers.get(peer.id().as_str()).is_some_and(|entry| entry.peer.is_same(peer)) {
                registry.peers.remove(peer.id().as_str());
            }
            pool.gone.lock().add(peer.clone());
        }
        peer.core().set_state(PeerState::Ended(reason.clone()));
        let was_ordered = peer.control().stop_ordered().is_some();
        if !was_ordered {
            if !matches!(peer.role(), Role::Acceptor(_)) {
                tracing::warn!(peer = %peer.id(), reason = reason.class(), "peer is given up");
            }
            peer.core().tell(EventKind::Retired { peer: peer.id().clone(), reason });
        }
    }
}
