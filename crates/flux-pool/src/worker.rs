//! The worker contract: who owns a peer, and what it is given.
//!
//! | obligation | how it is kept |
//! |---|---|
//! | `start` lasts for the worker's whole life | its future is the life: when it returns, the peer leaves the pool |
//! | nothing happens after the end | `start` takes the worker by value |
//! | stopping is bounded | the order names a time; what outlives it is aborted |
//! | sending is concurrent | senders meet only the queue of the [`PeerHandle`], never the worker |
//! | stats never block | they are read from counters the worker only adds to |
//! | factories do not block, do not touch the pool | `build` is not async, receives no pool, and runs before its lock |
//! | whatever is delivered is counted | [`InboxSender::deliver`] counts, and there is no other way in |

use flux_world::World;

use crate::config::{ConfigError, PeerConfig};
use crate::gate::DialGate;
use crate::id::PeerId;
use crate::inbox::{BoxFuture, InboxSender};
use crate::peer::PeerHandle;
use crate::reason::CloseReason;
use crate::state::{PeerState, Role};

/// The owner of one peer, running in a task of the pool.
pub trait Worker: Send + 'static {
    /// Runs for the peer's whole life and returns why it ended.
    ///
    /// Must return soon after [`Control::stopped`](crate::Control::stopped) does, at the latest at the time it names.
    fn start(self: Box<Self>, plugin: PoolPlugin) -> BoxFuture<'static, CloseReason>;
}

/// Makes the worker of one peer.
pub trait WorkerFactory {
    /// The peer's settings; the pool makes its queues from them.
    fn config(&self) -> &PeerConfig;

    /// How the peer comes to be.
    fn role(&self) -> Role {
        Role::Custom
    }

    /// Makes the worker; an error is handed to whoever adds the peer.
    fn build(self, id: &PeerId) -> Result<Box<dyn Worker>, ConfigError>;
}

/// What the pool gives a worker to work with.
#[derive(Clone)]
pub struct PoolPlugin {
    /// The world.
    pub world: World,
    /// The way in for frames.
    pub inbox: InboxSender,
    /// The turn-taking of those who dial.
    pub dial_gate: DialGate,
}

impl PoolPlugin {
    /// The worker's peer: its settings, its outbound queue, its orders.
    pub fn peer(&self) -> &PeerHandle {
        self.inbox.peer()
    }

    /// Shows where the peer is in its life. [`session::run`](crate::session::run) does so by itself.
    pub fn show(&self, state: PeerState) {
        self.peer().core().set_state(state);
    }
}
