//! The session driver: one open link from its first frame to its last, whoever opened it.
//!
//! Three parts: a reader task, a writer task, and this future, which sleeps until one of them ends or an order comes.
//! A consumer that holds up the reader holds up neither the writer nor the liveness of any other peer.

use std::future::poll_fn;

use bytes::Bytes;
use flux_world::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::blocks::stop_monitor::Cause;
use crate::blocks::{reader, stop_monitor, writer};
use crate::event::EventKind;
use crate::peer::{Detached, Detaching, PeerHandle};
use crate::reason::CloseReason;
use crate::state::PeerState;
use crate::stats::InCounters;
use crate::transport::{FrameRead, FrameWrite, Link};
use crate::worker::PoolPlugin;

/// Runs a session on an open link to its end and returns why it ended.
///
/// Tells `Connected` at its beginning and `Disconnected` at its end, also when it is aborted in between.
pub async fn run(link: Link, plugin: &PoolPlugin) -> CloseReason {
    let peer = plugin.peer();
    let number = peer.core().begin_session();
    let mut ending = Ending { plugin, reason: None };
    begin(&link, plugin);
    let mut tasks = Tasks::spawn(link, plugin);
    let cause = tokio::select! {
        biased;
        cause = stop_monitor::run(peer, number, &plugin.world) => cause,
        ended = tasks.first_ended() => match ended {
            Ended::Reader(reason) => tasks.half_closed(reason, number, plugin).await,
            Ended::Writer(reason) => Cause::Close(reason),
        },
    };
    let clock = plugin.world.clock;
    let reason = match cause {
        Cause::Stop(stop) => {
            tasks.take_leave(plugin, stop.until).await;
            if tasks.are_running() {
                peer.core().set_aborted();
            }
            tasks.abort().await;
            match &*peer.core().detaching() {
                Detaching::Done(_) => CloseReason::Moved,
                Detaching::No | Detaching::Wanted => stop.reason,
            }
        }
        Cause::Close(reason) => {
            if is_worth_a_farewell(&reason) {
                tasks.take_leave(plugin, clock.now() + peer.config().close_timeout).await;
            }
            tasks.break_off(plugin).await;
            reason
        }
    };
    ending.reason = Some(reason.clone());
    reason
}

fn begin(link: &Link, plugin: &PoolPlugin) {
    let (peer, now) = (plugin.peer(), plugin.world.clock.now());
    peer.core().heartbeat().restart(now);
    peer.outbound().open();
    plugin.show(PeerState::Up { link: link.info.clone(), since: now });
    tracing::debug!(peer = %peer.id(), addr = %link.info.peer, "peer is up");
    peer.core().tell(EventKind::Connected { peer: peer.id().clone(), link: link.info.clone() });
    plugin.inbox.tell_up();
}

/// Whether the link may still carry what is queued and a proper goodbye.
fn is_worth_a_farewell(reason: &CloseReason) -> bool {
    match reason {
        CloseReason::PeerClean
        | CloseReason::Truncated { .. }
        | CloseReason::FrameTooLarge { .. }
        | CloseReason::ReadTimeout
        | CloseReason::Local
        | CloseReason::Moved
        | CloseReason::Replaced
        | CloseReason::Protocol(_) => true,
        CloseReason::PeerError(_)
        | CloseReason::HandshakeTimeout
        | CloseReason::Idle
        | CloseReason::WriteTimeout
        | CloseReason::SlowConsumer
        | CloseReason::Tls(_)
        | CloseReason::Io(_)
        | CloseReason::GivenUp(_)
        | CloseReason::Panicked => false,
    }
}

/// Which task ended, and why.
enum Ended {
    Reader(CloseReason),
    Writer(CloseReason),
}

/// The two tasks of a session; dropping them aborts them.
struct Tasks {
    reader: Option<AbortOnDropHandle<(Box<dyn FrameRead>, CloseReason)>>,
    writer: Option<AbortOnDropHandle<CloseReason>>,
    read: Option<Box<dyn FrameRead>>,
}

impl Tasks {
    fn spawn(link: Link, plugin: &PoolPlugin) -> Self {
        let reader = AbortOnDropHandle::new(tokio::spawn(read(link.read, plugin.clone())));
        let writer = AbortOnDropHandle::new(tokio::spawn(write(link.write, plugin.clone())));
        Self { reader: Some(reader), writer: Some(writer), read: None }
    }

    /// Waits for whichever task ends first. Cancel-safe.
    async fn first_ended(&mut self) -> Ended {
        tokio::select! {
            biased;
            ended = joined(&mut self.reader) => Ended::Reader(self.keep(ended)),
            ended = joined(&mut self.writer) => Ended::Writer(ended.unwrap_or_else(|reason| reason)),
        }
    }

    /// Waits for the reader, keeps its half of the link, and tells why it ended. Cancel-safe.
    async fn reader_ended(&mut self) -> CloseReason {
        let ended = joined(&mut self.reader).await;
        self.keep(ended)
    }

    /// Waits for the writer and tells why it ended. Cancel-safe.
    async fn writer_ended(&mut self) -> CloseReason {
        joined(&mut self.writer).await.unwrap_or_else(|reason| reason)
    }

    fn keep(&mut self, ended: Result<(Box<dyn FrameRead>, CloseReason), CloseReason>) -> CloseReason {
        match ended {
            Ok((read, reason)) => {
                self.read = Some(read);
                reason
            }
            Err(reason) => reason,
        }
    }

    /// The reader ended. If the peer only ended its own sending, it may still be waiting for answers; who had one for
    /// each of its frames is gone for good, and its place is somebody else's.
    async fn half_closed(&mut self, reason: CloseReason, session: u64, plugin: &PoolPlugin) -> Cause {
        let linger = plugin.peer().config().half_close_linger;
        let has_ended = matches!(reason, CloseReason::PeerClean | CloseReason::Truncated { .. });
        if !has_ended || linger.is_zero() || !plugin.peer().core().is_owed() {
            return Cause::Close(reason);
        }
        tokio::select! {
            biased;
            cause = stop_monitor::run(plugin.peer(), session, &plugin.world) => cause,
            // The peer's going, first noticed here, is still the peer's going.
            _ = self.writer_ended() => Cause::Close(reason),
            () = plugin.world.clock.sleep(linger) => Cause::Close(reason),
        }
    }

    /// Accepts nothing new, writes what is queued, says goodbye, waits for the peer's; gives up at `until`.
    async fn take_leave(&mut self, plugin: &PoolPlugin, until: Instant) {
        let (peer, clock) = (plugin.peer(), plugin.world.clock);
        plugin.show(PeerState::Draining);
        peer.core().halt().order();
        peer.outbound().drain();
        let in_order = async {
            if self.writer.is_some() {
                self.writer_ended().await;
            }
            if self.reader.is_some() {
                self.reader_ended().await;
            }
            if let Some(read) = &mut self.read {
                if let Detaching::Done(detached) = &mut *peer.core().detaching() {
                    detached.unread = read.take_unread();
                    return;
                }
                let patience = clock.now() + peer.config().close_timeout;
                // A peer that does not say goodbye in return has had its time.
                let _ = clock.timeout_at(patience, until_the_end(&mut **read, peer)).await;
            }
        };
        // What is not done by then is broken off by the caller.
        let _ = clock.timeout_at(until, in_order).await;
    }

    /// The link is of no more use. The consumer may finish the batch it is at, until an order to stop ends that too.
    async fn break_off(&mut self, plugin: &PoolPlugin) {
        plugin.show(PeerState::Draining);
        plugin.peer().core().halt().order();
        if let Some(writer) = &self.writer {
            writer.abort();
            self.writer_ended().await;
        }
        // Senders need not wait for the consumer to learn that nobody writes any more.
        plugin.peer().outbound().suspend();
        if self.reader.is_some() {
            let clock = plugin.world.clock;
            let peer = plugin.peer();
            let out_of_time = async {
                let stop = peer.control().stopped().await;
                clock.sleep_until(stop.until).await;
            };
            tokio::select! {
                biased;
                _ = self.reader_ended() => {}
                () = out_of_time => peer.core().set_aborted(),
            }
        }
        self.abort().await;
    }

    fn are_running(&self) -> bool {
        self.reader.is_some() || self.writer.is_some()
    }

    async fn abort(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
            self.reader_ended().await;
        }
        if let Some(writer) = &self.writer {
            writer.abort();
            self.writer_ended().await;
        }
    }
}

async fn read(mut read: Box<dyn FrameRead>, plugin: PoolPlugin) -> (Box<dyn FrameRead>, CloseReason) {
    let (peer, clock) = (plugin.peer(), plugin.world.clock);
    let frame_timeout = peer.config().read_timeout;
    let (heartbeat, halt) = (peer.core().heartbeat(), peer.core().halt());
    let reason = reader::run(&mut *read, &plugin.inbox, heartbeat, clock, frame_timeout, halt).await;
    (read, reason)
}

/// Writes until told to drain, then takes leave of the peer.
async fn write(mut write: Box<dyn FrameWrite>, plugin: PoolPlugin) -> CloseReason {
    let (peer, clock) = (plugin.peer(), plugin.world.clock);
    match writer::run(&mut *write, peer.outbound(), clock, peer.config().write_timeout).await {
        Some(reason) => reason,
        None if detach(&mut *write, peer) => CloseReason::Local,
        None => {
            let goodbye =
                clock.timeout(peer.config().close_timeout, poll_fn(|cx| write.poll_close(cx))).await;
            match goodbye {
                Ok(Ok(())) => CloseReason::Local,
                Ok(Err(error)) => CloseReason::from_io(&error),
                Err(_) => CloseReason::WriteTimeout,
            }
        }
    }
}

/// Lets the connection go on without the peer, if that is wanted and possible.
fn detach(write: &mut dyn FrameWrite, peer: &PeerHandle) -> bool {
    let mut detaching = peer.core().detaching();
    if !matches!(*detaching, Detaching::Wanted) {
        return false;
    }
    let socket = write.detach();
    let is_detached = socket.is_some();
    if let Some(socket) = socket {
        *detaching = Detaching::Done(Detached { socket, unread: Bytes::new() });
    }
    is_detached
}

/// Reads and drops, counted, what still comes until the peer ends too. A socket closed with unread input resets the
/// connection, which could destroy our last words on their way.
async fn until_the_end(read: &mut dyn FrameRead, peer: &PeerHandle) {
    let mut late: Vec<Bytes> = Vec::new();
    while poll_fn(|cx| read.poll_read(cx, &mut late)).await.is_ok() {
        let counters = peer.core().counters();
        InCounters::add(&counters.frames_in, late.len());
        InCounters::add(&counters.bytes_in, late.iter().map(Bytes::len).sum());
        InCounters::add(&counters.frames_in_dropped, late.len());
        late.clear();
    }
}

/// Waits for a task and takes it out; for ever, when it is out already.
async fn joined<T>(task: &mut Option<AbortOnDropHandle<T>>) -> Result<T, CloseReason> {
    let Some(running) = task else { return std::future::pending().await };
    let ended = running.await;
    *task = None;
    ended.map_err(|error| if error.is_panic() { CloseReason::Panicked } else { CloseReason::Local })
}

/// The end of a session, told exactly once, however it comes.
struct Ending<'a> {
    plugin: &'a PoolPlugin,
    /// `None` while the session runs: seen when it is aborted.
    reason: Option<CloseReason>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let peer = self.plugin.peer();
        let reason = self.reason.take().unwrap_or_else(|| {
            peer.core().set_aborted();
            CloseReason::Local
        });
        peer.outbound().suspend();
        peer.core().count_close(&reason);
        self.plugin.show(PeerState::Down(reason.clone()));
        tracing::debug!(peer = %peer.id(), reason = reason.class(), "peer is down");
        self.plugin.inbox.tell_down(&reason);
        peer.core().tell(EventKind::Disconnected { peer: peer.id().clone(), reason });
    }
}
