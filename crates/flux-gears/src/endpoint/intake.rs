//! The way in: the frames of one read become one batch of messages, emitted from the task that reads.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use arc_swap::ArcSwap;
use flux_gear::{Bytes, Drain, EmitError, Emitter, Fault, FluxMsg, GearContext, Held, Lease, Link, OutPort};
use flux_pool::{Batch, CloseReason, CloseReport, Consumer, Delivery, PeerHandle, PeerPool};
use flux_world::Stream;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{
    Conn, Conns,
    gate::{Gate, Inside},
};

/// What a gear makes of its connections and of their frames.
pub(crate) trait Dialect: Send + Sync + 'static {
    /// The `conn.id` of a session that opened, and the lease for everything that will come in by it.
    fn greet(&self, peer: &PeerHandle) -> (String, Option<Lease>);

    /// What a frame is. Must not block.
    fn read(&self, conn: &Conn, frame: Bytes, unix_ns: i64) -> Received;

    /// A connection can be sent to from now on. Must not block.
    fn up(&self, conn: &Conn) {
        let _ = conn;
    }

    /// A connection is gone.
    fn down(&self, conn: &Conn) {
        let _ = conn;
    }

    /// A connection of another gear went down.
    fn gone_elsewhere(&self, conn_id: &str) {
        let _ = conn_id;
    }

    /// Connections of other gears may have gone down unheard.
    fn events_missed(&self) {}

    /// Ends when nothing is under way that only this process knows of, or nobody is there to end it.
    fn settled(&self) -> Drain {
        Box::pin(async {})
    }

    /// Sends nothing more by the connections there are, as others are to take their place. Ends when nothing is under way by
    /// them that others would send again.
    fn part(&self) -> Drain {
        Box::pin(async {})
    }

    /// Whether that is so.
    fn is_parting(&self) -> bool {
        false
    }

    /// Those others come: it sends by them.
    fn meet(&self) {}

    /// It goes on, although it was [settled](Dialect::settled).
    fn reopen(&self) {}

    /// The connections have ended for good: what is lost of what they had in hand, by reason. The rest is given back.
    fn lost(&self, report: &CloseReport) -> [(&'static str, u64); 2] {
        in_hand(report)
    }

    /// Whether a connection can go on in another process: nothing is under way by it that only this one knows of.
    fn may_move(&self, conn: &Conn) -> bool {
        let _ = conn;
        true
    }

    /// Messages that wait for a connection. They are the caller's from now on.
    fn take_waiting(&self) -> Vec<Held> {
        Vec::new()
    }

    /// A connection is here again that was opened for a message, under the name of its peer.
    fn resume(&self, peer: &str, stream: Stream, pool: &PeerPool) {
        let _ = (peer, stream, pool);
    }
}

/// Frames that connections had in hand, either way.
pub(crate) fn in_hand(report: &CloseReport) -> [(&'static str, u64); 2] {
    [("unwritten", report.frames_dropped), ("unread", report.frames_undelivered)]
}

/// What a frame is.
pub(crate) enum Received {
    /// A message to emit.
    Message(FluxMsg),
    /// Nothing to pass on: a sign of life, or something that was answered at once.
    Handled,
    /// No message, and why not.
    Malformed(&'static str),
}

/// What is done about a malformed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnMalformed {
    /// The connection is closed: who talks nonsense once has lost the thread.
    Disconnect,
    /// The frame is skipped: the connection serves others too.
    Skip,
}

/// The consumer of a gear's pool.
pub(super) struct Intake<D> {
    pub(super) role: ArcSwap<Role<D>>,
    /// The `conn.id` of connections that were open before, by their two ends.
    pub(super) known: Mutex<FxHashMap<(SocketAddr, SocketAddr), String>>,
    pub(super) link: Arc<Link>,
    pub(super) conns: Arc<Conns>,
    pub(super) gate: Gate,
}

/// What the gear to which the connections belong makes of them; in a live reload that becomes another gear.
pub(super) struct Role<D> {
    ctx: GearContext,
    emit: Emitter,
    out: OutPort,
    dialect: Arc<D>,
    on_malformed: OnMalformed,
}

impl<D> Role<D> {
    pub(super) fn new(
        ctx: &GearContext,
        emit: Emitter,
        dialect: Arc<D>,
        on_malformed: OnMalformed,
    ) -> Result<Role<D>, Fault> {
        Ok(Role { out: ctx.output("out")?, ctx: ctx.clone(), emit, dialect, on_malformed })
    }
}

impl<D: Dialect> Consumer for Intake<D> {
    fn deliver<'a>(&'a self, peer: &'a PeerHandle, batch: &'a mut Batch) -> Delivery<'a> {
        let Some(inside) = self.gate.enter() else {
            // Draining: this peer's socket is not read any more, while replies are still written to it. What was
            // read since is as if it had not been.
            self.link.refuse_frames(batch.frames.len() as u64);
            return Delivery::Wait(Box::pin(self.gate.over()));
        };
        let Some(conn) = self.conns.of_peer(peer.id()) else { return Delivery::Done };
        if conn.is_condemned.load(Ordering::Relaxed) {
            self.link.refuse_frames(batch.frames.len() as u64);
            return Delivery::Done;
        }
        let role = self.role.load_full();
        let mut handover =
            Handover { intake: self, role, msgs: conn.take_buffer(), conn, batch, _inside: inside };
        handover.read();
        match handover.role.emit.try_emit_all(handover.role.out, &mut handover.msgs) {
            Ok(()) if handover.msgs.is_empty() => Delivery::Done,
            _ => Delivery::Wait(Box::pin(handover.emit())),
        }
    }

    fn up(&self, peer: &PeerHandle) {
        let Some(link) = peer.link() else { return };
        let role = self.role.load();
        let Role { ctx, dialect, .. } = &**role;
        let (new, lease) = dialect.greet(peer);
        let id = self.known.lock().remove(&(link.local, link.peer)).unwrap_or(new);
        let metadata = ctx.connection_metadata(&id, link.peer);
        tracing::info!(gear = ctx.name(), conn = id, peer = %link.peer, tls = link.tls.is_some(), "connected");
        let conn = Arc::new(Conn::new(id, peer, metadata, lease));
        self.conns.insert(conn.clone());
        ctx.control().conn_up(ctx.name(), &conn.id);
        dialect.up(&conn);
    }

    fn down(&self, peer: &PeerHandle, reason: &CloseReason) {
        let Some(conn) = self.conns.remove(peer.id()) else { return };
        let is_malformed = matches!(
            reason,
            CloseReason::FrameTooLarge { .. } | CloseReason::Truncated { .. } | CloseReason::Protocol(_)
        );
        if is_malformed && !conn.is_condemned.load(Ordering::Relaxed) {
            self.link.refuse_frames(1);
        }
        if *reason == CloseReason::Moved {
            return;
        }
        let role = self.role.load();
        let Role { ctx, dialect, .. } = &**role;
        tracing::info!(gear = ctx.name(), conn = %conn.id, reason = reason.class(), why = %reason, "disconnected");
        ctx.control().conn_down(ctx.name(), &conn.id, reason.class());
        dialect.down(&conn);
    }
}

impl<D> Intake<D> {
    /// A frame is no message: counted, and told when it ends the connection or the count doubled.
    #[cold]
    fn refuse(&self, role: &Role<D>, conn: &Conn, why: &str) {
        let refused = self.link.refuse_frames(1);
        let closes = role.on_malformed == OnMalformed::Disconnect;
        if closes || refused.is_power_of_two() {
            tracing::warn!(gear = role.ctx.name(), conn = %conn.id, why, refused, closes, "frame refused");
        }
        if closes {
            conn.is_condemned.store(true, Ordering::Relaxed);
            conn.peer.disconnect(CloseReason::Protocol(why.into()));
        }
    }
}

/// The frames of one read on their way to the wires. What is left of them when it ends, also by being broken off, is
/// counted and goes back to the pool.
struct Handover<'a, D> {
    intake: &'a Intake<D>,
    role: Arc<Role<D>>,
    conn: Arc<Conn>,
    batch: &'a mut Batch,
    msgs: Vec<FluxMsg>,
    _inside: Inside<'a>,
}

impl<D: Dialect> Handover<'_, D> {
    /// Makes messages of the frames. After a frame that ends the connection the others are left.
    fn read(&mut self) {
        let Handover { intake, role, conn, batch, msgs, .. } = self;
        let unix_ns = role.ctx.world().clock.unix_ns();
        let mut frames = batch.frames.drain(..);
        let mut left = Vec::new();
        while let Some(frame) = frames.next() {
            match role.dialect.read(conn, frame, unix_ns) {
                Received::Message(mut msg) => {
                    if let Some(lease) = &conn.lease {
                        msg.attach_lease(lease.clone());
                    }
                    msgs.push(msg);
                }
                Received::Handled => {}
                Received::Malformed(why) => {
                    intake.refuse(role, conn, why);
                    if role.on_malformed == OnMalformed::Disconnect {
                        left = frames.by_ref().collect();
                    }
                }
            }
        }
        drop(frames);
        if !left.is_empty() {
            intake.link.refuse_frames(left.len() as u64);
            batch.frames.append(&mut left);
        }
    }

    /// Emits, waiting for room: the back-pressure on this peer.
    async fn emit(mut self) {
        while !self.msgs.is_empty() {
            match self.role.emit.emit_all(self.role.out, &mut self.msgs).await {
                Ok(()) => {}
                Err(EmitError::Limit(limit)) => {
                    drop(Held::new(self.msgs.remove(0)));
                    self.intake.refuse(&self.role, &self.conn, &limit.to_string());
                }
                Err(EmitError::Stopping) => return,
            }
        }
    }
}

impl<D> Drop for Handover<'_, D> {
    fn drop(&mut self) {
        if !self.msgs.is_empty() {
            let (frames, conn) = (self.msgs.len(), &self.conn.id);
            self.intake.link.refuse_frames(frames as u64);
            tracing::warn!(gear = self.role.ctx.name(), %conn, frames, "frames left: the connection or the rack ended before the wires took them");
        }
        // Given up, not come to an end: whoever waits for that must not take it for one.
        self.batch.frames.extend(self.msgs.drain(..).map(|msg| Held::new(msg).msg().payload.clone()));
        self.conn.return_buffer(std::mem::take(&mut self.msgs));
    }
}
