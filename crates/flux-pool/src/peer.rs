//! A peer as others see it: a handle to send by, to look at, and to give orders through.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use flux_world::{Clock, Instant};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

use crate::blocks::halt::Halt;
use crate::blocks::heartbeat::Heartbeat;
use crate::budget::Budget;
use crate::config::PeerConfig;
use crate::control::Control;
use crate::event::{EventKind, EventSender, Queue};
use crate::id::PeerId;
use crate::inbox::Lane;
use crate::outbound::{Confirm, Follower, Offered, Outbound, Outgoing, SendError, TrySendError};
use crate::reason::CloseReason;
use crate::state::{LinkInfo, PeerState, Role};
use crate::stats::{InCounters, PeerStats};

/// A handle to a peer. Clones are cheap and mean the same peer; it stays valid, and says so, when the peer is gone.
#[derive(Clone)]
pub struct PeerHandle {
    core: Arc<PeerCore>,
}

/// Whether the connection is to go on without this peer.
#[derive(Default)]
pub(crate) enum Detaching {
    /// No.
    #[default]
    No,
    /// It is, when the session is stopped.
    Wanted,
    /// It is on its own.
    Done(Detached),
}

/// An open connection that has left its peer, to be [resumed](flux_world::Stream::resume).
#[derive(Debug)]
pub struct Detached {
    /// The connection.
    pub socket: OwnedFd,
    /// What was read of it and is no whole frame yet.
    pub unread: Bytes,
}

/// What a peer's worker, its senders and its observers share.
pub(crate) struct PeerCore {
    id: PeerId,
    role: Role,
    config: PeerConfig,
    clock: Clock,
    outbound: Outbound,
    lane: Lane,
    control: Control,
    counters: Arc<InCounters>,
    heartbeat: Heartbeat,
    halt: Halt,
    detaching: Mutex<Detaching>,
    state: watch::Sender<PeerState>,
    /// The number of the latest session, from 1.
    session: AtomicU64,
    closes: Mutex<BTreeMap<&'static str, u64>>,
    /// Whether its end did not come in order but by running out of time.
    was_aborted: AtomicBool,
    events: EventSender,
}

impl PeerHandle {
    pub(crate) fn new(
        id: PeerId,
        role: Role,
        config: PeerConfig,
        clock: Clock,
        budget: Arc<Budget>,
        events: EventSender,
    ) -> Self {
        let counters = Arc::new(InCounters::default());
        let outbound =
            Outbound::new(clock, config.outbound, config.framing.frame_bytes_max(), budget.clone());
        let lane = Lane::new(clock, config.inbound, budget, counters.clone());
        let core = PeerCore {
            id,
            role,
            config,
            clock,
            outbound,
            lane,
            control: Control::new(),
            counters,
            heartbeat: Heartbeat::new(clock.now()),
            halt: Halt::default(),
            detaching: Mutex::default(),
            state: watch::Sender::new(PeerState::Idle),
            session: AtomicU64::new(0),
            closes: Mutex::default(),
            was_aborted: AtomicBool::new(false),
            events,
        };
        Self { core: Arc::new(core) }
    }

    /// Its name.
    pub fn id(&self) -> &PeerId {
        &self.core.id
    }

    /// How it came to be.
    pub fn role(&self) -> &Role {
        &self.core.role
    }

    /// Its settings.
    pub fn config(&self) -> &PeerConfig {
        &self.core.config
    }

    /// Queues a frame, or says at once why not. Never waits; concurrent callers are fine.
    pub fn try_send(&self, frame: Bytes) -> Result<(), TrySendError> {
        self.core.try_offer(std::iter::once(frame))
    }

    /// Queues a frame like [`try_send`](Self::try_send); the follower is told what becomes of it.
    pub fn try_send_followed(&self, frame: Bytes, follower: Box<dyn Follower>) -> Result<(), TrySendError> {
        match self.core.offer(std::iter::once(Outgoing { frame, follower: Some(follower) })) {
            Offered::Queued => Ok(()),
            Offered::Failed(error) => Err(error),
            Offered::Full(outgoing) => {
                self.core.outbound.count_rejected();
                Err(TrySendError::Full(outgoing.refused()))
            }
        }
    }

    /// Queues a frame like [`send`](Self::send); the follower is told what becomes of it.
    pub async fn send_followed(&self, frame: Bytes, follower: Box<dyn Follower>) -> Result<(), SendError> {
        self.core.send(Outgoing { frame, follower: Some(follower) }).await
    }

    /// Queues frames in order, up to the first that is not queued. Those after it stay in `frames`.
    ///
    /// The shortest way for a batch: one lock for all of it.
    pub fn try_send_batch(&self, frames: &mut VecDeque<Bytes>) -> Result<(), TrySendError> {
        self.core.try_offer(std::iter::from_fn(|| frames.pop_front()))
    }

    /// Queues a frame; while the queue is full, waits as long as its policy says.
    pub async fn send(&self, frame: Bytes) -> Result<(), SendError> {
        self.core.send(frame.into()).await
    }

    /// Queues a frame like [`send`](Self::send) and waits until the operating system has all of it.
    ///
    /// That it was written does not mean that the peer read it.
    pub async fn send_confirmed(&self, frame: Bytes) -> Result<(), SendError> {
        let (confirm, confirmed) = oneshot::channel();
        self.core.send(Outgoing { frame, follower: Some(Box::new(Confirm(confirm))) }).await?;
        confirmed.await.map_err(|_| SendError::NotWritten)
    }

    /// Where it is in its life.
    pub fn state(&self) -> PeerState {
        self.core.state.borrow().clone()
    }

    /// Its state as it changes.
    pub fn watch(&self) -> watch::Receiver<PeerState> {
        self.core.state.subscribe()
    }

    /// Whether frames can be sent now.
    pub fn is_up(&self) -> bool {
        self.core.state.borrow().is_up()
    }

    /// The two ends of the open session.
    pub fn link(&self) -> Option<LinkInfo> {
        match &*self.core.state.borrow() {
            PeerState::Up { link, .. } => Some(link.clone()),
            _ => None,
        }
    }

    /// Waits until a session is open; `false` when the peer left the pool instead. Bring a deadline.
    pub async fn wait_up(&self) -> bool {
        let mut state = self.core.state.subscribe();
        let settled = state.wait_for(|state| state.is_up() || matches!(state, PeerState::Ended(_))).await;
        settled.is_ok_and(|state| state.is_up())
    }

    /// A snapshot of its numbers. Never waits for the network.
    pub fn stats(&self) -> PeerStats {
        self.core.stats()
    }

    /// Closes the open session for `reason`; what is queued gets the close timeout to be written. A dialled peer comes
    /// back after its back-off.
    pub fn disconnect(&self, reason: CloseReason) {
        self.core.disconnect(reason);
    }

    /// Says that the peer waits for us from now on, or no longer: meanwhile its silence is not taken for its end.
    pub fn excuse(&self, is_excused: bool) {
        let heartbeat = &self.core.heartbeat;
        heartbeat.set_excused(is_excused);
        heartbeat.restart(self.core.clock.now());
    }

    /// Ends the wait before the next attempt to connect.
    pub fn kick(&self) {
        self.core.control.kick();
    }

    /// Commands to its worker.
    pub fn control(&self) -> &Control {
        &self.core.control
    }

    /// The queue its worker writes from.
    pub fn outbound(&self) -> &Outbound {
        &self.core.outbound
    }

    pub(crate) fn core(&self) -> &PeerCore {
        &self.core
    }

    /// Whether both mean the same peer, not just the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

/// A frame whose sender waits for room. Who breaks off the wait has it still.
struct Unqueued<'a> {
    outbound: &'a Outbound,
    outgoing: Option<Outgoing>,
}

impl Unqueued<'_> {
    fn take(mut self) -> Outgoing {
        self.outgoing.take().expect("taken once")
    }
}

impl Drop for Unqueued<'_> {
    fn drop(&mut self) {
        if let Some(outgoing) = self.outgoing.take() {
            self.outbound.count_rejected();
            outgoing.refused();
        }
    }
}

impl PeerCore {
    fn try_offer(&self, frames: impl Iterator<Item = Bytes>) -> Result<(), TrySendError> {
        match self.offer(frames.map(Outgoing::from)) {
            Offered::Queued => Ok(()),
            Offered::Failed(error) => Err(error),
            Offered::Full(outgoing) => {
                self.outbound.count_rejected();
                Err(TrySendError::Full(outgoing.refused()))
            }
        }
    }

    fn offer(&self, frames: impl Iterator<Item = Outgoing>) -> Offered {
        let (offered, has_begun_to_overflow) = self.outbound.offer(frames);
        if has_begun_to_overflow {
            self.tell_overflow(Queue::Outbound);
        }
        if let Offered::Failed(TrySendError::Overflowed) = offered {
            self.disconnect(CloseReason::SlowConsumer);
        }
        offered
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), SendError> {
        let mut outgoing = match self.offer(std::iter::once(outgoing)) {
            Offered::Queued => return Ok(()),
            Offered::Failed(error) => return Err(error.into()),
            Offered::Full(outgoing) => outgoing,
        };
        let deadline = self.outbound.send_timeout().map(|time| self.clock.now() + time);
        loop {
            let room = self.outbound.room().wait(deadline);
            let unqueued = match self.offer(std::iter::once(outgoing)) {
                Offered::Queued => return Ok(()),
                Offered::Failed(error) => return Err(error.into()),
                Offered::Full(outgoing) => Unqueued { outbound: &self.outbound, outgoing: Some(outgoing) },
            };
            let has_room = room.await;
            outgoing = unqueued.take();
            if !has_room {
                self.outbound.count_rejected();
                return Err(SendError::TimedOut(outgoing.refused()));
            }
        }
    }

    pub(crate) fn disconnect(&self, reason: CloseReason) {
        self.control.disconnect(self.session.load(Ordering::Acquire), reason);
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(crate) fn counters(&self) -> &InCounters {
        &self.counters
    }

    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    pub(crate) fn halt(&self) -> &Halt {
        &self.halt
    }

    pub(crate) fn detaching(&self) -> MutexGuard<'_, Detaching> {
        self.detaching.lock()
    }

    pub(crate) fn set_state(&self, state: PeerState) {
        self.state.send_replace(state);
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        self.events.emit(self.clock.now(), kind);
    }

    pub(crate) fn tell_overflow(&self, queue: Queue) {
        self.tell(EventKind::Overflowing { peer: self.id.clone(), queue });
    }

    /// Whether it sent more frames than it was sent. Without knowing the protocol an answer for each is all that can be
    /// said.
    pub(crate) fn is_owed(&self) -> bool {
        self.counters.frames_in.load(Ordering::Relaxed) > self.outbound.counts().frames_out
    }

    /// A session begins; returns its number.
    pub(crate) fn begin_session(&self) -> u64 {
        self.counters.sessions.fetch_add(1, Ordering::Relaxed);
        self.halt.renew();
        self.session.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(crate) fn set_aborted(&self) {
        self.was_aborted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_aborted(&self) -> bool {
        self.was_aborted.load(Ordering::Relaxed)
    }

    pub(crate) fn count_close(&self, reason: &CloseReason) {
        *self.closes.lock().entry(reason.class()).or_default() += 1;
    }

    pub(crate) fn stats(&self) -> PeerStats {
        let mut counts = self.counters.counts();
        counts += self.outbound.counts();
        let (queued_out_frames, queued_out_bytes) = self.outbound.depth();
        let (queued_in_frames, queued_in_bytes) = self.lane.depth();
        PeerStats {
            id: self.id.clone(),
            role: self.role.clone(),
            state: self.state.borrow().clone(),
            counts,
            queued_out_frames,
            queued_out_bytes,
            queued_in_frames,
            queued_in_bytes,
            heard_at: self.heard_at(),
            send_latency: self.outbound.latency(),
            closes: self.closes.lock().clone(),
        }
    }

    fn heard_at(&self) -> Option<Instant> {
        (self.heartbeat.beats() > 0).then(|| self.heartbeat.last())
    }
}

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerHandle({}, {})", self.core.id, self.core.state.borrow().name())
    }
}
