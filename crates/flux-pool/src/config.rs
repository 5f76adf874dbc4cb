//! What can be set, per pool and per peer.
//!
//! Plain values with defaults; a peer's override the pool's with `PeerConfig { idle_timeout: .., ..pool.defaults() }`.
//! They are checked when a peer is added, every problem with the name of its field.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flux_world::net::SocketOptions;
use flux_world::{BackoffPolicy, ListenOptions};

use crate::framing::Framing;
use crate::transport::{Plain, Transport};

/// Settings of one peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// How bytes become frames.
    pub framing: Arc<dyn Framing>,
    /// What lies between the socket and the frames: nothing, or TLS.
    pub transport: Arc<dyn Transport>,
    /// The queue of frames waiting to be written.
    pub outbound: OutboundConfig,
    /// The queue of frames waiting to be taken by the pool's inbox; a direct consumer has none.
    pub inbound: InboundConfig,
    /// Time for resolving, connecting and the handshake of one attempt.
    pub dial_timeout: Duration,
    /// Time for the handshake of an accepted connection.
    pub handshake_timeout: Duration,
    /// Silence after which the session is closed. What we send does not count: only what comes in proves the peer alive.
    pub idle_timeout: Option<Duration>,
    /// Time to complete a frame of which the first byte came.
    pub read_timeout: Option<Duration>,
    /// Time for the peer to take one batch of writes.
    pub write_timeout: Duration,
    /// Time for the farewell: writing what is queued, the close handshake, the peer's end of stream.
    pub close_timeout: Duration,
    /// How long to go on writing to a peer which ended its stream, as a client does that half-closes after its request;
    /// not at all when it was sent as many frames as it sent.
    pub half_close_linger: Duration,
    /// A question asked regularly to provoke an answer.
    pub probe: Option<Probe>,
    /// Bytes of one read at most, and so of one batch; reads begin small and grow to it.
    pub read_bytes_max: usize,
    /// Waits between attempts of a dialled peer.
    pub backoff: BackoffPolicy,
    /// Failed attempts in a row before a dialled peer is given up; `None` never gives up.
    pub attempts_max: Option<NonZeroU32>,
    /// Options of the socket.
    pub socket: SocketOptions,
    /// The local address a dialled peer connects from.
    pub local: Option<SocketAddr>,
}

impl PeerConfig {
    /// The defaults, over plain TCP.
    pub fn new(framing: impl Framing + 'static) -> Self {
        Self {
            framing: Arc::new(framing),
            transport: Arc::new(Plain),
            outbound: OutboundConfig::default(),
            inbound: InboundConfig::default(),
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: None,
            read_timeout: None,
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(1),
            half_close_linger: Duration::ZERO,
            probe: None,
            read_bytes_max: 64 * 1024,
            backoff: BackoffPolicy::default(),
            attempts_max: None,
            socket: SocketOptions::default(),
            local: None,
        }
    }

    /// Every setting that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let frame_bytes_max = self.framing.frame_bytes_max();
        let rules = [
            (frame_bytes_max == 0, "framing.frame_bytes_max is 0"),
            (self.read_bytes_max == 0, "read_bytes_max is 0"),
            (self.dial_timeout.is_zero(), "dial_timeout is 0"),
            (self.handshake_timeout.is_zero(), "handshake_timeout is 0"),
            (self.write_timeout.is_zero(), "write_timeout is 0"),
            (self.close_timeout.is_zero(), "close_timeout is 0"),
            (self.idle_timeout.is_some_and(|t| t.is_zero()), "idle_timeout is 0, use none to turn it off"),
            (self.read_timeout.is_some_and(|t| t.is_zero()), "read_timeout is 0, use none to turn it off"),
            (self.outbound.bytes_max < frame_bytes_max, "outbound.bytes_max is smaller than a frame"),
            (self.inbound.bytes_max < frame_bytes_max, "inbound.bytes_max is smaller than a frame"),
            (self.backoff.cap < self.backoff.base, "backoff.cap is smaller than backoff.base"),
            (
                self.probe.as_ref().is_some_and(|p| p.every.is_zero() || p.answer_within.is_zero()),
                "probe.every or probe.answer_within is 0",
            ),
        ];
        let problems: Vec<&'static str> =
            rules.iter().filter(|(is_bad, _)| *is_bad).map(|(_, what)| *what).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }
}

/// Settings that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct ConfigError {
    /// One phrase per problem.
    pub problems: Vec<&'static str>,
}

/// The queue of frames waiting to be written to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Frames queued or being written.
    pub frames_max: NonZeroUsize,
    /// Bytes queued or being written.
    pub bytes_max: usize,
    /// What happens to a frame that finds it full.
    pub when_full: WhenFull,
    /// What happens to a frame while no session is open.
    pub when_down: WhenDown,
}

impl Default for OutboundConfig {
    /// 1024 frames, 4 MiB; a sender waits up to 5 s for room; nothing is held for a peer that is away.
    fn default() -> Self {
        Self {
            frames_max: NonZeroUsize::new(1024).expect("1024 is not 0"),
            bytes_max: 4 * 1024 * 1024,
            when_full: WhenFull::Block { at_most: Some(Duration::from_secs(5)) },
            when_down: WhenDown::Reject,
        }
    }
}

/// The queue of frames read from a peer and not yet taken from the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundConfig {
    /// Frames queued.
    pub frames_max: NonZeroUsize,
    /// Bytes queued.
    pub bytes_max: usize,
    /// What happens when it is full; blocking stops reading from this peer's socket, and from no other.
    pub when_full: WhenFull,
}

impl Default for InboundConfig {
    /// 1024 frames, 4 MiB; when full the socket is not read, for as long as it takes.
    fn default() -> Self {
        Self {
            frames_max: NonZeroUsize::new(1024).expect("1024 is not 0"),
            bytes_max: 4 * 1024 * 1024,
            when_full: WhenFull::Block { at_most: None },
        }
    }
}

/// The policy of a full queue. What is dropped is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for room. After `at_most` a sender gets its frame back; a reader closes the session as
    /// [`SlowConsumer`](crate::CloseReason::SlowConsumer). `None` waits until the peer is stopped.
    Block {
        /// The longest wait.
        at_most: Option<Duration>,
    },
    /// Drop the oldest frames.
    DropOldest,
    /// Drop the frame that finds no room.
    DropNewest,
    /// Drop that frame and close the session as [`SlowConsumer`](crate::CloseReason::SlowConsumer).
    Disconnect,
}

/// The policy for outgoing frames while the peer is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// Give them back to the sender; drop and count what was queued when the session ended.
    Reject,
    /// Hold the newest ones for the next session, the oldest beyond this number are dropped.
    HoldNewest(NonZeroUsize),
    /// Hold them, within the queue's limits, until they are this old.
    HoldFor(Duration),
}

/// A question asked regularly, to tell a silent peer from a dead one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Silence before each question, give or take 10 %.
    pub every: Duration,
    /// Time for anything to come in after it; then the session is closed as idle.
    pub answer_within: Duration,
    /// The question; `None` uses the transport's own ping, where it has one.
    pub frame: Option<Bytes>,
}

/// Settings of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Peers of both roles.
    pub peers_max: usize,
    /// Attempts to connect at the same time.
    pub dials_max: NonZeroUsize,
    /// Attempts to connect begun per second; a burst of `dials_max` is let through.
    pub dials_per_s_max: NonZeroU32,
    /// Bytes in all queues of all peers together.
    pub bytes_max: usize,
    /// Events a subscriber may fall behind before it loses the oldest.
    pub events_max: NonZeroUsize,
}

impl Default for PoolConfig {
    /// 16,384 peers, 16 dials at a time and 500 a second, 256 MiB queued, 1024 events.
    fn default() -> Self {
        Self {
            peers_max: 16 * 1024,
            dials_max: NonZeroUsize::new(16).expect("16 is not 0"),
            dials_per_s_max: NonZeroU32::new(500).expect("500 is not 0"),
            bytes_max: 256 * 1024 * 1024,
            events_max: NonZeroUsize::new(1024).expect("1024 is not 0"),
        }
    }
}

/// Settings of a listener.
#[derive(Clone, Debug)]
pub struct AcceptConfig {
    /// Settings of each accepted peer.
    pub peer: PeerConfig,
    /// Connections at the same time; one more is closed at once and counted.
    pub connections_max: NonZeroUsize,
    /// Connections the operating system holds ready.
    pub backlog: u32,
}

impl AcceptConfig {
    /// Up to 4096 connections.
    pub fn new(peer: PeerConfig) -> Self {
        let connections_max = NonZeroUsize::new(4096).expect("4096 is not 0");
        Self { peer, connections_max, backlog: ListenOptions::default().backlog }
    }
}

impl From<PeerConfig> for AcceptConfig {
    fn from(peer: PeerConfig) -> Self {
        Self::new(peer)
    }
}
