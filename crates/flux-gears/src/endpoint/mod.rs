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
pub(crate) use send::{no_connection, send, send_back};
pub use tls::{ClientAuth, Tls};
pub(crate) use waiting_room::WaitingRoom;

use gate::Gate;
use intake::Intake;

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
    gate: Arc<Gate>,
    listening: Option<Listening>,
    ended: CancellationToken,
}

impl<D: Dialect> Endpoint<D> {
    /// Makes the pool, and obeys commands to its connections from now on.
    pub(crate) fn open(
        ctx: &GearContext,
        emit: Emitter,
        dialect: D,
        on_malformed: OnMalformed,
        peers_max: usize,
    ) -> Result<Endpoint<D>, Fault> {
        let (conns, dialect, gate) =
            (Arc::new(Conns::default()), Arc::new(dialect), Arc::new(Gate::default()));
        let intake = Intake {
            out: ctx.output("out")?,
            link: ctx.control().link(ctx.name()),
            ctx: ctx.clone(),
            emit,
            conns: conns.clone(),
            gate: gate.clone(),
            dialect: dialect.clone(),
            on_malformed,
        };
        let pool =
            PeerPool::builder(ctx.world().clone()).config(pool_config(peers_max)).consumer(Arc::new(intake));
        let ended = CancellationToken::new();
        ctx.spawn(obey(ctx.clone(), conns.clone(), dialect.clone(), ended.clone()));
        Ok(Endpoint { ctx: ctx.clone(), conns, dialect, pool, gate, listening: None, ended })
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
        let (gate, listening) = (self.gate.clone(), self.listening.take());
        gate.close();
        let link = self.ctx.control().link(self.ctx.name());
        async move {
            if let Some(listening) = listening {
                listening.close().await;
                link.set_listening(None);
            }
            gate.idle().await;
        }
    }

    /// Writes what is queued and closes every connection.
    pub(crate) async fn stop(self) {
        self.gate.open_for_good();
        self.ended.cancel();
        let report = self.pool.close(STOP_TIMEOUT).await;
        self.ctx.control().link(self.ctx.name()).set_listening(None);
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
