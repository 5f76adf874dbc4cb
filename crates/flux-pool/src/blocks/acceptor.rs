//! Accepting: the loop that never gives up on its listener, and the worker of an accepted connection.

use std::sync::Arc;
use std::time::Duration;

use flux_world::{Clock, Listener, Stream};
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{ConfigError, PeerConfig};
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

    /// The next connection. After a failure, such as being out of file descriptors, it pauses before it tries again:
    /// 5 ms doubling to 1 s, and 5 ms again after a success. Cancel-safe.
    pub async fn next(&mut self) -> std::io::Result<Stream> {
        if let Some(pause) = self.pause {
            self.clock.sleep(pause).await;
        }
        let accepted = self.listener.accept().await;
        self.pause = match accepted {
            Ok(_) => None,
            Err(_) => Some(self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX))),
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
}

impl WorkerFactory for AcceptFactory {
    fn config(&self) -> &PeerConfig {
        &self.config
    }

    fn role(&self) -> Role {
        Role::Acceptor(self.stream.local)
    }

    fn build(self, _: &PeerId) -> Result<Box<dyn Worker>, ConfigError> {
        Ok(Box::new(AcceptWorker { stream: self.stream, _place: self.place }))
    }
}

struct AcceptWorker {
    stream: Stream,
    /// Its place among the connections of the listener.
    _place: OwnedSemaphorePermit,
}

impl Worker for AcceptWorker {
    fn start(self: Box<Self>, plugin: PoolPlugin) -> BoxFuture<'static, CloseReason> {
        Box::pin(async move {
            let Self { stream, _place } = *self;
            match shake_hands(stream, &plugin).await {
                Ok(link) => session::run(link, &plugin).await,
                Err(reason) => reason,
            }
        })
    }
}

async fn shake_hands(stream: Stream, plugin: &PoolPlugin) -> Result<Link, CloseReason> {
    let (peer, clock) = (plugin.peer(), plugin.world.clock);
    let config = peer.config();
    plugin.show(PeerState::Handshaking);
    let handshake = clock.timeout(config.handshake_timeout, config.transport.accept(stream, config));
    let outcome = tokio::select! {
        biased;
        stop = peer.control().stopped() => return Err(stop.reason),
        outcome = handshake => outcome,
    };
    match outcome {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(DialError::Handshake(what))) => Err(CloseReason::Tls(what)),
        Ok(Err(error)) => Err(CloseReason::Protocol(Arc::from(error.to_string()))),
        Err(_) => Err(CloseReason::ReadTimeout),
    }
}
