//! Dialling: opening a link to a target, and the worker that does so again and again.

use std::fmt;
use std::sync::Arc;

use flux_world::{Backoff, ConnectOptions, Stream, Target, World};
use parking_lot::Mutex;

use crate::config::{ConfigError, PeerConfig};
use crate::control::Stop;
use crate::event::EventKind;
use crate::id::PeerId;
use crate::inbox::BoxFuture;
use crate::reason::{CloseReason, DialError};
use crate::session;
use crate::state::{PeerState, Role};
use crate::stats::InCounters;
use crate::transport::Link;
use crate::worker::{PoolPlugin, Worker, WorkerFactory};

/// Opens links to one target.
pub trait Dialer: Send + Sync + fmt::Debug + 'static {
    /// One attempt, handshake included. The worker brings the deadline and drops the future when it passes.
    fn dial<'a>(
        &'a self,
        world: &'a World,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>>;
}

/// Dials over the world's network; names are resolved at each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetDialer;

impl Dialer for NetDialer {
    fn dial<'a>(
        &'a self,
        world: &'a World,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(async move {
            let options = ConnectOptions { socket: config.socket, local: config.local };
            let stream = world.net.connect(target, &options).await?;
            config.transport.connect(stream, target, config).await
        })
    }
}

/// Begins with a connection that is open already, and dials over the world's network once that is lost.
#[derive(Debug)]
pub struct Resumed(Mutex<Option<Stream>>);

impl Resumed {
    /// Begins with `stream`.
    pub fn new(stream: Stream) -> Self {
        Self(Mutex::new(Some(stream)))
    }
}

impl Dialer for Resumed {
    fn dial<'a>(
        &'a self,
        world: &'a World,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        match self.0.lock().take() {
            Some(stream) => config.transport.connect(stream, target, config),
            None => NetDialer.dial(world, target, config),
        }
    }
}

/// Makes the worker of a dialled peer.
#[derive(Debug)]
pub struct DialFactory {
    /// Where to.
    pub target: Target,
    /// Its settings.
    pub config: PeerConfig,
    /// How.
    pub dialer: Arc<dyn Dialer>,
}

impl WorkerFactory for DialFactory {
    fn config(&self) -> &PeerConfig {
        &self.config
    }

    fn role(&self) -> Role {
        Role::Dialer(self.target.clone())
    }

    fn build(self, _: &PeerId) -> Result<Box<dyn Worker>, ConfigError> {
        Ok(Box::new(DialWorker { target: self.target, dialer: self.dialer }))
    }
}

struct DialWorker {
    target: Target,
    dialer: Arc<dyn Dialer>,
}

impl Worker for DialWorker {
    fn start(self: Box<Self>, plugin: PoolPlugin) -> BoxFuture<'static, CloseReason> {
        Box::pin(async move { self.live(&plugin).await })
    }
}

impl DialWorker {
    /// Dials, serves, waits, and again, until stopped or given up.
    async fn live(&self, plugin: &PoolPlugin) -> CloseReason {
        let (peer, world) = (plugin.peer(), &plugin.world);
        let mut backoff = Backoff::new(peer.config().backoff);
        let mut attempt = 0;
        loop {
            attempt += 1;
            plugin.show(PeerState::Dialing { attempt });
            match self.attempt(plugin).await {
                Err(stop) => return stop.reason,
                Ok(Ok(link)) => {
                    attempt = 0;
                    backoff.up(world.clock.now());
                    session::run(link, plugin).await;
                    if let Some(stop) = peer.control().stop_ordered() {
                        return stop.reason;
                    }
                }
                Ok(Err(error)) => {
                    InCounters::add(&peer.core().counters().dials_failed, 1);
                    tracing::debug!(peer = %peer.id(), target = %self.target, %error, attempt, "dialling failed");
                    peer.core().tell(EventKind::DialFailed { peer: peer.id().clone(), error: error.clone() });
                    if peer.config().attempts_max.is_some_and(|max| attempt >= max.get()) {
                        return CloseReason::GivenUp(error);
                    }
                }
            }
            if let Err(stop) = pause(plugin, &mut backoff).await {
                return stop.reason;
            }
        }
    }

    /// One attempt, or the order to stop that came first.
    async fn attempt(&self, plugin: &PoolPlugin) -> Result<Result<Link, DialError>, Stop> {
        let (peer, world) = (plugin.peer(), &plugin.world);
        let dial = async {
            let _turn = plugin.dial_gate.enter(world.clock).await;
            let dial = self.dialer.dial(world, &self.target, peer.config());
            world.clock.timeout(peer.config().dial_timeout, dial).await.unwrap_or(Err(DialError::TimedOut))
        };
        tokio::select! {
            biased;
            stop = peer.control().stopped() => Err(stop),
            dialled = dial => Ok(dialled),
        }
    }
}

/// Waits out the back-off; a kick ends it early.
async fn pause(plugin: &PoolPlugin, backoff: &mut Backoff) -> Result<(), Stop> {
    let (control, world) = (plugin.peer().control(), &plugin.world);
    let now = world.clock.now();
    let until = now + backoff.wait(now, &world.entropy);
    plugin.show(PeerState::Backoff { until, failures: backoff.failures() });
    tokio::select! {
        biased;
        stop = control.stopped() => Err(stop),
        () = control.kicked() => Ok(()),
        () = world.clock.sleep_until(until) => Ok(()),
    }
}
