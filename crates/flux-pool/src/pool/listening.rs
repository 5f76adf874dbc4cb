//! Listening: connections become peers, up to a limit.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use flux_world::net::AcceptError;
use flux_world::{ListenOptions, Listener, Stream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Inner, PeerPool};
use crate::blocks::acceptor::{AcceptFactory, Acceptor};
use crate::config::{AcceptConfig, ConfigError};
use crate::doorman::Doorman;
use crate::id::PeerId;
use crate::peer::PeerHandle;

/// A listener of a pool. Dropping this does not stop it; closing it or the pool does.
pub struct Listening {
    local: SocketAddr,
    stopping: CancellationToken,
    door: Arc<Door>,
    task: JoinHandle<Option<Listener>>,
}

/// Why a listener was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The settings make no sense.
    #[error("the settings make no sense: {0}")]
    Config(#[from] ConfigError),
    /// The operating system refused.
    #[error("cannot listen on {addr}: {error}")]
    Io {
        /// The address asked for.
        addr: String,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
}

impl PeerPool {
    /// Listens on `addr`, `host:port`; each connection becomes a peer named `c-000000000001` and so on.
    pub async fn listen(
        &self,
        addr: &str,
        config: impl Into<AcceptConfig>,
    ) -> Result<Listening, ListenError> {
        let config = config.into();
        config.peer.check()?;
        let options = ListenOptions { socket: config.peer.socket, backlog: config.backlog };
        let io = |error| ListenError::Io { addr: addr.to_owned(), error };
        let listener = self.inner.world.net.listen(addr, &options).await.map_err(io)?;
        self.adopt(listener, config)
    }

    /// Accepts from a listener that is already open, as handed over by a former pool or process.
    pub fn adopt(
        &self,
        listener: Listener,
        config: impl Into<AcceptConfig>,
    ) -> Result<Listening, ListenError> {
        let (config, inner) = (config.into(), &self.inner);
        config.peer.check()?;
        let local = listener
            .local_addr()
            .map_err(|error| ListenError::Io { addr: "the adopted listener".into(), error })?;
        let registry = inner.registry.read();
        if registry.is_closed {
            return Err(ListenError::Closed);
        }
        let stopping = inner.not_accepting.child_token();
        let places = Arc::new(Semaphore::new(config.connections_max.get().min(Semaphore::MAX_PERMITS)));
        let (clock, events) = (inner.world.clock, inner.events.clone());
        let doorman = Arc::new(Doorman::new(local, clock, events, inner.turned_away.clone()));
        let pool = Arc::downgrade(inner);
        let door = Arc::new(Door { pool, config, places, doorman, is_wanted: AtomicBool::new(false) });
        let acceptor = Acceptor::new(listener, inner.world.clock);
        let task = inner.tasks.spawn(door.clone().attend(acceptor, stopping.clone()));
        drop(registry);
        Ok(Listening { local, stopping, door, task })
    }
}

impl Listening {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Stops accepting and closes the socket. The peers it brought stay.
    pub async fn close(self) {
        self.stopping.cancel();
        // A loop that panicked has closed its socket too.
        let _ = self.task.await;
    }

    /// Stops accepting and hands the open socket over; connections made meanwhile wait in it. `None` when the pool closed
    /// it before.
    pub async fn release(self) -> Option<Listener> {
        self.door.is_wanted.store(true, Ordering::Release);
        self.stopping.cancel();
        self.task.await.ok().flatten()
    }

    /// Takes a connection in that was accepted before, as if it had been now. `None` where there is no place for it.
    pub fn admit(&self, stream: Stream) -> Option<PeerHandle> {
        let pool = self.door.pool.upgrade().map(|inner| PeerPool { inner })?;
        self.door.admit(&pool, stream)
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("local", &self.local).finish_non_exhaustive()
    }
}

/// What the accept loop knows.
struct Door {
    pool: Weak<Inner>,
    config: AcceptConfig,
    places: Arc<Semaphore>,
    doorman: Arc<Doorman>,
    /// Whether the listener is to be handed over rather than closed.
    is_wanted: AtomicBool,
}

impl Door {
    async fn attend(
        self: Arc<Self>,
        mut acceptor: Acceptor,
        stopping: CancellationToken,
    ) -> Option<Listener> {
        self.accept_until(&mut acceptor, stopping).await;
        self.is_wanted.load(Ordering::Acquire).then(|| acceptor.into_listener())
    }

    async fn accept_until(&self, acceptor: &mut Acceptor, stopping: CancellationToken) {
        let Some(mut paused) = self.pool.upgrade().map(|inner| inner.paused.subscribe()) else { return };
        loop {
            let is_paused = *paused.borrow_and_update();
            let next = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                changed = paused.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                next = acceptor.next(), if !is_paused => next,
            };
            let Some(pool) = self.pool.upgrade().map(|inner| PeerPool { inner }) else { return };
            match next {
                Ok(stream) => drop(self.admit(&pool, stream)),
                Err(AcceptError::Connection(error)) => {
                    tracing::debug!(%error, "a connection broke before it was accepted");
                    self.doorman.broken();
                }
                Err(AcceptError::Limit(error)) => self.doorman.accept_failed(&error),
            }
        }
    }

    /// Makes a peer of the connection; without a place for it, closes it.
    fn admit(&self, pool: &PeerPool, stream: Stream) -> Option<PeerHandle> {
        let place = self.places.clone().try_acquire_owned();
        let added = place.ok().and_then(|place| {
            let n = pool.inner.accepted.fetch_add(1, Ordering::Relaxed) + 1;
            let (config, doorman) = (self.config.peer.clone(), self.doorman.clone());
            pool.register(PeerId::accepted(n), AcceptFactory { stream, config, place, doorman }).ok()
        });
        if added.is_none() {
            self.doorman.refused();
        }
        added
    }
}
