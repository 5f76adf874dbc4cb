//! What the I/O gears share: a pool of peers, known by `conn.id`, between the sockets and the wires.
//!
//! ```text
//! socket -> reader task -> Intake: a Dialect makes messages of frames -> wires
//! wires  -> process     -> Conns: by conn.id, or Dialled: by any      -> the peer's queue -> socket
//! ```
//! A reader that finds the wires full waits, and does not read its socket meanwhile. A `process` that finds a peer's
//! queue full has the peer disconnected, or waits for it, for `write_timeout` at most, by which time the pool has closed it.

mod berth;
mod conns;
mod dialled;
mod door;
mod gate;
mod intake;
mod listen;
mod moving;
pub(crate) mod options;
mod peer;
mod redial;
mod send;
mod tls;
mod waiting_room;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use flux_gear::{ControlEvent, Emitter, Fault, GearContext, Outbox, Step};
use flux_pool::{AcceptConfig, CloseReason, CloseReport, PeerConfig, PeerPool};
use flux_world::{Stream, Target};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use berth::{Berth, Line, Way};
pub(crate) use conns::{Conn, ConnIds, Conns};
pub(crate) use intake::{Dialect, OnMalformed, Received, in_hand};
pub(crate) use listen::ListenAddress;
pub use peer::WhenQueueFull;
pub(crate) use peer::{CLOSE_TIMEOUT, PeerSettings, connections_max, pool_config};
pub(crate) use send::{no_connection, not_now, send, send_back};
pub use tls::{ClientAuth, Tls};
pub(crate) use waiting_room::WaitingRoom;

use dialled::Dialled;
use door::Door;
use gate::Gate;
use intake::{Intake, Role};
use redial::Redial;

/// Time for the farewell of all peers when the gear stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// The pool of one running gear, and what became of its connections.
pub(crate) struct Endpoint<D> {
    ctx: GearContext,
    /// The way to the wires.
    pub(crate) emit: Emitter,
    /// The connections that are up.
    pub(crate) conns: Arc<Conns>,
    /// What tells the connections of this gear from others'.
    pub(crate) dialect: Arc<D>,
    /// The peers.
    pub(crate) pool: PeerPool,
    /// Those it opens by itself.
    pub(crate) dialled: Option<Dialled>,
    /// Others take the place of those, until this is dropped.
    redialling: Option<DropGuard>,
    /// Connections that are open already, by the name that those have which are dialled.
    resumed: BTreeMap<String, Stream>,
    intake: Arc<Intake<D>>,
    /// Shared with the ends of it that take their time.
    door: Arc<tokio::sync::Mutex<Door>>,
    ended: CancellationToken,
    /// Whether it lets nobody in and reads from nobody.
    is_paused: bool,
}

impl<D: Dialect> Endpoint<D> {
    /// Makes the pool. One that is paused lets nobody in and reads from nobody before it is [resumed](Endpoint::resume).
    pub(crate) fn open(
        ctx: &GearContext,
        emit: Emitter,
        dialect: D,
        on_malformed: OnMalformed,
        (peers_max, is_paused): (usize, bool),
    ) -> Result<Endpoint<D>, Fault> {
        let (conns, dialect) = (Arc::new(Conns::default()), Arc::new(dialect));
        let role = Role::new(ctx, emit.clone(), dialect.clone(), on_malformed)?;
        let intake = Arc::new(Intake {
            role: ArcSwap::from_pointee(role),
            known: Mutex::default(),
            link: ctx.control().link(ctx.name()),
            conns: conns.clone(),
            gate: Gate::default(),
        });
        let pool = PeerPool::builder(ctx.world().clone()).config(pool_config(peers_max)).paused(is_paused);
        let pool = pool.consumer(intake.clone());
        let mut endpoint = Endpoint {
            ctx: ctx.clone(),
            emit,
            conns,
            dialect,
            pool,
            dialled: None,
            redialling: None,
            resumed: BTreeMap::new(),
            intake,
            door: Arc::default(),
            ended: CancellationToken::new(),
            is_paused,
        };
        if !is_paused {
            endpoint.obey();
        }
        Ok(endpoint)
    }

    /// Obeys commands to its connections, until the gear stops or another one goes on with them.
    fn obey(&mut self) {
        let Endpoint { ctx, conns, dialect, ended, .. } = self;
        ctx.spawn(obey(ctx.clone(), conns.clone(), dialect.clone(), ended.clone()));
    }

    /// Belongs to no gear for a while: its connections go on as they were meanwhile.
    pub(crate) fn let_go(mut self) -> Self {
        self.ended.cancel();
        self.redialling = None;
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
        let role = Role::new(ctx, emit.clone(), dialect.clone(), on_malformed)?;
        (self.ctx, self.emit, self.dialect) = (ctx.clone(), emit, dialect);
        self.ended = CancellationToken::new();
        self.intake.role.store(Arc::new(role));
        self.obey();
        Ok(())
    }

    /// Connects to `target` so many times, and again after each loss.
    pub(crate) fn dial(
        &mut self,
        target: &Target,
        connections: u16,
        config: &PeerConfig,
    ) -> Result<(), Fault> {
        let dialled = Dialled::dial(&self.pool, target, connections, config, &mut self.resumed);
        self.dialled = Some(dialled.map_err(|why| options::bad_config(why.to_string()))?);
        Ok(())
    }

    /// Connects to `target` instead of where it is connected, so many times, once nothing is under way there.
    pub(crate) fn redial(&mut self, target: &Target, connections: u16, config: &PeerConfig) {
        let redial = Redial {
            pool: self.pool.clone(),
            dialect: self.dialect.clone(),
            clock: self.ctx.world().clock,
            target: target.clone(),
            connections,
            config: config.clone(),
        };
        self.redialling = Some(redial.begin(&self.ctx));
    }

    /// Accepts connections at `address`.
    pub(crate) async fn listen(
        &mut self,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), Fault> {
        let opened = self.door.lock().await.open(&self.pool, address, config, self.ctx.world().clock).await;
        self.note_listening(Some(opened?));
        Ok(())
    }

    /// Accepts by other settings from now on, at the same address or at another. Those who are connected stay.
    pub(crate) async fn listen_on(
        &mut self,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), Fault> {
        let opened = self.door.lock().await.reopen(&self.pool, address, config, self.ctx.world().clock).await;
        self.note_listening(Some(opened?));
        Ok(())
    }

    /// Accepts in place of another one, whose connections cannot go on: they are written what is queued, and closed.
    pub(crate) async fn supersede(
        &mut self,
        mut other: Endpoint<D>,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<(), (Fault, Endpoint<D>)> {
        std::mem::swap(&mut self.door, &mut other.door);
        if let Err(why) = self.listen_on(address, config).await {
            std::mem::swap(&mut self.door, &mut other.door);
            return Err((why, other));
        }
        self.ctx.spawn(async move {
            other.drain().await;
            other.stop().await;
        });
        Ok(())
    }

    fn note_listening(&self, addr: Option<SocketAddr>) {
        self.ctx.control().link(self.ctx.name()).set_listening(addr);
        if let Some(addr) = addr {
            tracing::info!(gear = self.ctx.name(), %addr, "listening");
        }
    }

    /// Says so once when others than this machine can connect and nothing is encrypted.
    fn warn_if_exposed<L: Line>(&self, line: &L) {
        if let Way::Listen { is_encrypted, .. } = line.way() {
            listen::warn_if_exposed(&self.ctx, is_encrypted);
        }
    }

    /// Accepts no connection and reads no request any more; what is read already is emitted first. Replies are still
    /// written.
    pub(crate) fn drain(&mut self) -> impl Future<Output = ()> + Send + use<D> {
        let (intake, door) = (self.intake.clone(), self.door.clone());
        intake.gate.close();
        let link = self.ctx.control().link(self.ctx.name());
        async move {
            let mut door = door.lock().await;
            if door.is_there() {
                door.close().await;
                link.set_listening(None);
            }
            drop(door);
            intake.gate.idle().await;
        }
    }

    /// Writes what is queued and closes every connection.
    pub(crate) async fn stop(mut self) {
        self.redialling = None;
        self.intake.gate.open_for_good();
        self.ended.cancel();
        let report = self.pool.close(STOP_TIMEOUT).await;
        if self.door.lock().await.is_there() {
            self.ctx.control().link(self.ctx.name()).set_listening(None);
        }
        self.report_left(&report);
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

    /// Says what connections had in hand when they ended, and is lost.
    fn report_left(&self, report: &CloseReport) {
        for (reason, messages) in self.dialect.lost(report) {
            self.ctx.discarded(reason, messages);
            if messages > 0 {
                tracing::warn!(
                    gear = self.ctx.name(),
                    reason,
                    messages,
                    "connections closed with messages in hand"
                );
            }
        }
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
