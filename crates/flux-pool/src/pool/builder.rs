//! Building a pool: its settings and where its frames go.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flux_world::World;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Gone, Inner, PeerPool, Registry};
use crate::budget::Budget;
use crate::config::PoolConfig;
use crate::event::EventSender;
use crate::gate::DialGate;
use crate::inbox::{Consumer, Destination, Inbox, inbox};

/// A pool in the making.
#[derive(Debug)]
pub struct PoolBuilder {
    world: World,
    config: PoolConfig,
    is_paused: bool,
}

impl PoolBuilder {
    pub(super) fn new(world: World) -> Self {
        Self { world, config: PoolConfig::default(), is_paused: false }
    }

    /// A pool that lets nobody in and reads from nobody before [`PeerPool::resume`].
    pub fn paused(self, is_paused: bool) -> Self {
        Self { is_paused, ..self }
    }

    /// Settings other than the defaults.
    pub fn config(self, config: PoolConfig) -> Self {
        Self { config, ..self }
    }

    /// A pool whose frames go straight to `consumer`, in the task that reads them.
    pub fn consumer(self, consumer: Arc<dyn Consumer>) -> PeerPool {
        self.build(Destination::Direct(consumer))
    }

    /// A pool whose frames go to one inbox, fairly merged.
    pub fn inbox(self) -> (PeerPool, Inbox) {
        let (merge, inbox) = inbox();
        (self.build(Destination::Merged(merge)), inbox)
    }

    fn build(self, destination: Destination) -> PeerPool {
        let inner = Inner {
            dial_gate: DialGate::new(&self.config, self.world.clock),
            budget: Budget::new(self.config.bytes_max),
            events: EventSender::new(self.config.events_max.get()),
            world: self.world,
            config: self.config,
            destination,
            registry: RwLock::new(Registry::default()),
            tasks: TaskTracker::new(),
            paused: watch::Sender::new(self.is_paused),
            not_accepting: CancellationToken::new(),
            gone: Mutex::new(Gone::default()),
            accepted: AtomicU64::new(0),
            turned_away: Arc::default(),
        };
        PeerPool { inner: Arc::new(inner) }
    }
}
