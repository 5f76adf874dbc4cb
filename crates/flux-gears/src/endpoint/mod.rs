//! What the I/O gears share: a pool of peers, known by `conn.id`, between the sockets and the wires.
//!
//! ```text
//! socket -> reader task -> Intake: a Dialect makes messages of frames -> wires
//! wires  -> process     -> Conns: by conn.id, or Dialled: by any      -> the peer's queue -> socket
//! ```
//! A reader that finds the wires full waits, and does not read its socket meanwhile. A `process` that finds a peer's
//! queue full has the peer disconnected, or waits for it, for `write_timeout` at most, by which time the pool has closed it.

mod conns;
mod dialled;
mod gate;
mod intake;
mod listen;
pub(crate) mod options;
mod peer;
mod send;
mod tls;
mod waiting_room;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use flux_gear::{ControlEvent, Emitter, Fault, GearContext, Outbox, Step};
use flux_pool::{AcceptConfig, CloseReason, Listening, PeerPool};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

pub(crate) use conns::{Conn, ConnIds, Conns};
pub(crate) use dialled::Dialled;
pub(crate) use intake::{Dialect, OnMalformed, Received};
pub(crate) use listen::{ListenAddress, warn_if_exposed};
pub use peer::WhenQueueFull;
pub(crate) use peer::{CLOSE_TIMEOUT, PeerSettings, connections_max, pool_config};
pub(crate) use send::{no_connection, not_now, send, send_back};
pub use tls::{ClientAuth, Tls};
pub(crate) use waiting_room::WaitingRoom;

use gate::Gate;
use intake::{Intake, Role};

/// Time for the farewell of all peers when the gear stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// The pool of one running gear, and what became of its connections.
pub(crate) struct Endpoint<D> {
    ctx: GearContext,
    /// The connections that are up.
    pub(crate) conns: Arc<Conns>,
    /// What tells the connections of this gear from others'.
    pub(crate) dialect: Arc<D>,
    /// The peers.
    pub(crate) pool: PeerPool,
    intake: Arc<Intake<D>>,
    listening: Option<Listening>,
    ended: CancellationToken,
}

impl<D: Dialect> Endpoint<D> {
    /// Makes the pool.
    pub(crate) fn open(
        ctx: &GearContext,
        emit: Emitter,
        dialect: D,
        on_malformed: OnMalformed,
        peers_max: usize,
    ) -> Result<Endpoint<D>, Fault> {
        let (conns, dialect) = (Arc::new(Conns::default()), Arc::new(dialect));
        let role = Role::new(ctx, emit, dialect.clone(), on_malformed)?;
        let intake = Arc::new(Intake {
            role: ArcSwap::from_pointee(role),
            link: ctx.control().link(ctx.name()),
            conns: conns.clone(),
            gate: Gate::default(),
        });
        let pool =
            PeerPool::builder(ctx.world().clone()).config(pool_config(peers_max)).consumer(intake.clone());
        let mut endpoint = Endpoint {
            ctx: ctx.clone(),
            conns,
            dialect,
            pool,
            intake,
            listening: None,
            ended: CancellationToken::new(),
        };
        endpoint.obey();
        Ok(endpoint)
    }

    /// Obeys commands to its connections, until the gear stops or another one goes on with them.
    fn obey(&mut self) {
        let Endpoint { ctx, conns, dialect, ended, .. } = self;
        ctx.spawn(obey(ctx.clone(), conns.clone(), dialect.clone(), ended.clone()));
    }

    /// Belongs to no gear for a while: its connections go on as they were meanwhile.
    pub(crate) fn let_go(self) -> Self {
        self.ended.cancel();
        self
    }

    /// Belongs to another gear from now on, which makes of its frames what its own `dialect` says.
    pub(crate) fn go_on(
        &mut self,
        ctx: &GearContext,
        emit: Emitter,
        dialect: Arc<D>,
        on_malformed: OnMalformed,
    ) -> Result<(), Fault> {
        let role = Role::new(ctx, emit, dialect.clone(), on_malformed)?;
        (self.ctx, self.dialect, self.ended) = (ctx.clone(), dialect, CancellationToken::new());
        self.intake.role.store(Arc::new(role));
        self.obey();
        Ok(())
    }

    /// Accepts by other settings from now on, at the same address or at another. Those who are connected stay.
    pub(crate) async fn listen_on(
        &mut self,
        former: &ListenAddress,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), Fault> {
        let listening = self.listening.take();
        match listening {
            Some(listening) if former == address => {
                // Who connects meanwhile waits in the socket.
                let Some(listener) = listening.release().await else {
                    return self.listen(address, config).await;
                };
                let adopted = self.pool.adopt(listener, config);
                self.listening = Some(adopted.map_err(|why| Fault::fatal(why.to_string()).reason("listen"))?);
                Ok(())
            }
            Some(listening) if former.port() == address.port() => {
                // Both cannot be open at once.
                listening.close().await;
                let listened = self.listen(address, config.clone()).await;
                if listened.is_err() {
                    self.listen(former, config).await?;
                }
                listened
            }
            listening => {
                if let Err(why) = self.listen(address, config).await {
                    self.listening = listening;
                    return Err(why);
                }
                if let Some(former) = listening {
                    former.close().await;
                }
                Ok(())
            }
        }
    }

    /// Accepts in place of another one, whose connections cannot go on: they are written what is queued, and closed.
    pub(crate) async fn supersede(
        &mut self,
        mut other: Endpoint<D>,
        former: &ListenAddress,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), (Fault, Endpoint<D>)> {
        self.listening = other.listening.take();
        if let Err(why) = self.listen_on(former, address, config).await {
            other.listening = self.listening.take();
            return Err((why, other));
        }
        self.ctx.spawn(async move {
            other.drain().await;
            other.stop().await;
        });
        Ok(())
    }

    /// Accepts connections at `address`.
    pub(crate) async fn listen(
        &mut self,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), Fault> {
        let listening = listen::listen(&self.pool, address, config, self.ctx.world().clock).await?;
        let addr = listening.local_addr();
        self.ctx.control().link(self.ctx.name()).set_listening(Some(addr));
        tracing::info!(gear = self.ctx.name(), %addr, "listening");
        self.listening = Some(listening);
        Ok(())
    }

    /// Accepts no connection and reads no request any more; what is read already is emitted first. Replies are still
    /// written.
    pub(crate) fn drain(&mut self) -> impl Future<Output = ()> + Send + use<D> {
        let (intake, listening) = (self.intake.clone(), self.listening.take());
        intake.gate.close();
        let link = self.ctx.control().link(self.ctx.name());
        async move {
            if let Some(listening) = listening {
                listening.close().await;
                link.set_listening(None);
            }
            intake.gate.idle().await;
        }
    }

    /// Writes what is queued and closes every connection.
    pub(crate) async fn stop(self) {
        self.intake.gate.open_for_good();
        self.ended.cancel();
        let report = self.pool.close(STOP_TIMEOUT).await;
        if self.listening.is_some() {
            self.ctx.control().link(self.ctx.name()).set_listening(None);
        }
        let (unwritten, unread) = (report.frames_dropped, report.frames_undelivered);
        self.ctx.discarded("unwritten", unwritten);
        self.ctx.discarded("unread", unread);
        if unwritten > 0 || unread > 0 {
            tracing::warn!(
                gear = self.ctx.name(),
                unwritten,
                unread,
                "connections closed with frames in hand"
            );
        }
        let stats = self.pool.stats();
        let (refused, handshakes_failed) = (stats.refused, stats.handshakes_failed);
        if refused > 0 || handshakes_failed > 0 {
            tracing::warn!(
                gear = self.ctx.name(),
                refused,
                handshakes_failed,
                "connections were turned away"
            );
        }
        let counts = stats.counts;
        let (sessions, frames_in, frames_out) = (counts.sessions, counts.frames_in, counts.frames_out);
        tracing::info!(gear = self.ctx.name(), sessions, frames_in, frames_out, "connections closed");
    }
}

/// Obeys what is said to connections on the control plane, until the gear stops.
async fn obey<D: Dialect>(ctx: GearContext, conns: Arc<Conns>, dialect: Arc<D>, ended: CancellationToken) {
    let mut events = ctx.control().subscribe();
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(ControlEvent::ConnClose { conn, reason }) => {
                conns.with(&conn, |own| {
                    tracing::info!(gear = ctx.name(), conn, reason, "closing a connection as asked");
                    own.peer.disconnect(CloseReason::Local);
                });
            }
            Ok(ControlEvent::ConnDown { gear, conn, .. }) if gear != ctx.name() => {
                dialect.gone_elsewhere(&conn)
            }
            Ok(ControlEvent::ConnUp { .. } | ControlEvent::ConnDown { .. }) => {}
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(gear = ctx.name(), missed, "too slow for the events of connections");
                dialect.events_missed();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// A [`Step`] whose message has been dealt with once `done` ends well.
pub(crate) fn wait(done: impl Future<Output = Result<(), Fault>> + Send + 'static) -> Step {
    Step::Wait(Box::pin(async move { done.await.map(|()| Outbox::new()) }))
}
