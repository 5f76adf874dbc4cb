//! Accepting: the loop that never gives up on its listener, and the worker of an accepted connection.

use std::sync::Arc;
use std::time::Duration;

use flux_world::net::AcceptError;
use flux_world::{Clock, Listener, Stream};
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{ConfigError, PeerConfig};
use crate::doorman::Doorman;
use crate::id::PeerId;
use crate::inbox::BoxFuture;
use crate::reason::{CloseReason, DialError};
use crate::session;
use crate::state::{PeerState, Role};
use crate::transport::Link;
use crate::worker::{PoolPlugin, Worker, WorkerFactory};

/// The pause after the first failure to accept; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Accepts from one listener.
#[derive(Debug)]
pub struct Acceptor {
    listener: Listener,
    clock: Clock,
    /// The pause before the next attempt, after a failure.
    pause: Option<Duration>,
}

impl Acceptor {
    /// Accepts from `listener`.
    pub fn new(listener: Listener, clock: Clock) -> Self {
        Self { listener, clock, pause: None }
    }

    /// The next connection. At a limit, such as being out of file descriptors, it pauses before it tries again: 5 ms
    /// doubling to 1 s, and 5 ms again after a success. A connection that broke on its way in costs the others nothing.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Stream, AcceptError> {
        if let Some(pause) = self.pause {
            self.clock.sleep(pause).await;
        }
        let accepted = self.listener.accept().await;
        self.pause = match accepted {
            Ok(_) | Err(AcceptError::Connection(_)) => None,
            Err(AcceptError::Limit(_)) => {
                Some(self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX)))
            }
        };
        accepted
    }

    /// The listener, to be handed over.
    pub fn into_listener(self) -> Listener {
        self.listener
    }
}

/// Makes the worker of an accepted connection.
#[derive(Debug)]
pub(crate) struct AcceptFactory {
    pub(crate) stream: Stream,
    pub(crate) config: PeerConfig,
    pub(crate) place: OwnedSemaphorePermit,
    pub(crate) doorman: Arc<Doorman>,
}

impl WorkerFactory for AcceptFactory {
    fn config(&self) -> &PeerConfig {
        &self.config
    }

    fn role(&self) -> Role {
        Role::Acceptor(self.stream.local)
    }

    fn build(self, _: &PeerId) -> Result<Box<dyn Worker>, ConfigError> {
        Ok(Box::new(AcceptWorker { stream: self.stream, doorman: self.doorman, _place: self.place }))
    }
}

struct AcceptWorker {
    stream: Stream,
    doorman: Arc<Doorman>,
    /// Its place among the connections of the listener.
    _place: OwnedSemaphorePermit,
}

impl Worker for AcceptWorker {
    fn start(self: Box<Self>, plugin: PoolPlugin) -> BoxFuture<'static, CloseReason> {
        Box::pin(async move {
            let Self { stream, doorman, _place } = *self;
            let from = stream.peer;
            match shake_hands(stream, &plugin).await {
                Ok(link) => session::run(link, &plugin).await,
                Err(Unmet::Stopped(reason)) => reason,
                Err(Unmet::Failed(reason)) => {
                    doorman.handshake_failed(from, &reason);
                    reason
                }
            }
        })
    }
}

/// Why there is no session.
enum Unmet {
    /// We were asked to stop.
    Stopped(CloseReason),
    /// The handshake failed.
    Failed(CloseReason),
}

async fn shake_hands(stream: Stream, plugin: &PoolPlugin) -> Result<Link, Unmet> {
    let (peer, clock) = (plugin.peer(), plugin.world.clock);
    let config = peer.config();
    plugin.show(PeerState::Handshaking);
    let handshake = clock.timeout(config.handshake_timeout, config.transport.accept(stream, config));
    let outcome = tokio::select! {
        biased;
        stop = peer.control().stopped() => return Err(Unmet::Stopped(stop.reason)),
        outcome = handshake => outcome,
    };
    Err(Unmet::Failed(match outcome {
        Ok(Ok(link)) => return Ok(link),
        Ok(Err(DialError::Handshake(what))) => CloseReason::Tls(what),
        Ok(Err(error)) => CloseReason::Protocol(Arc::from(error.to_string())),
        Err(_) => CloseReason::HandshakeTimeout,
    }))
}
