//! Settings of peers and pools that the I/O gears choose alike.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use flux_pool::{InboundConfig, OutboundConfig, PeerConfig, PoolConfig, WhenDown, WhenFull, framing::Raw};
use flux_world::{
    BackoffPolicy,
    net::{Keepalive, SocketOptions},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Time for the farewell of one peer: writing what is queued, and the peer's end of stream.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Bytes queued for one connection at most, if that is at least two frames.
const QUEUED_BYTES_MAX: usize = 16 << 20;

/// Bytes queued for all connections of a gear at most.
const QUEUED_BYTES_TOTAL_MAX: usize = 256 << 20;

/// Connections of a gear that are being opened at a time, and per second: a proxy opens one for each it accepts.
const DIALS_MAX: usize = 256;
const DIALS_PER_S_MAX: u32 = 10_000;

const _: () = assert!(super::waiting_room::WAITING_BYTES_MAX <= QUEUED_BYTES_MAX);

/// What happens when as many messages are queued for one connection as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenQueueFull {
    /// Everything that is sent through this gear waits for that peer, until it reads or `write_timeout` has passed.
    Wait,
    /// The peer is disconnected, so that it delays nobody else.
    Disconnect,
}

/// What the options of a gear say about its peers.
pub(crate) struct PeerSettings {
    pub(crate) frame_bytes_max: usize,
    pub(crate) queued_messages_max: NonZeroUsize,
    pub(crate) when_queue_full: WhenQueueFull,
    pub(crate) connect_timeout: Duration,
    /// 0 for none, like the other three.
    pub(crate) idle_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) tcp_keepalive: Duration,
    pub(crate) half_close_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) reconnect_wait: Duration,
    pub(crate) reconnect_wait_max: Duration,
}

impl PeerSettings {
    /// The settings of a peer, but for its framing and its transport.
    pub(crate) fn config(&self) -> PeerConfig {
        let some = |time: Duration| (!time.is_zero()).then_some(time);
        let keepalive = some(self.tcp_keepalive).map(|idle| Keepalive { idle, ..Keepalive::default() });
        let bytes_max = QUEUED_BYTES_MAX.max(self.frame_bytes_max.saturating_mul(2));
        let when_full = match self.when_queue_full {
            WhenQueueFull::Wait => WhenFull::Block { at_most: Some(self.write_timeout) },
            WhenQueueFull::Disconnect => WhenFull::Disconnect,
        };
        PeerConfig {
            outbound: OutboundConfig {
                frames_max: self.queued_messages_max,
                bytes_max,
                when_full,
                when_down: WhenDown::Reject,
            },
            // Not used, as frames go straight to the wires; a frame must fit all the same.
            inbound: InboundConfig { bytes_max, ..InboundConfig::default() },
            dial_timeout: self.connect_timeout,
            handshake_timeout: self.connect_timeout,
            idle_timeout: some(self.idle_timeout),
            read_timeout: some(self.read_timeout),
            write_timeout: self.write_timeout,
            close_timeout: CLOSE_TIMEOUT,
            half_close_linger: self.half_close_timeout,
            backoff: BackoffPolicy {
                base: self.reconnect_wait,
                cap: self.reconnect_wait_max.max(self.reconnect_wait),
                ..BackoffPolicy::default()
            },
            socket: SocketOptions { keepalive, ..SocketOptions::default() },
            ..PeerConfig::new(Raw { frame_bytes_max: self.frame_bytes_max })
        }
    }
}

/// The settings of a gear's pool of up to `peers_max` peers.
pub(crate) fn pool_config(peers_max: usize) -> PoolConfig {
    PoolConfig {
        peers_max,
        dials_max: NonZeroUsize::new(DIALS_MAX).expect("a constant above 0"),
        dials_per_s_max: NonZeroU32::new(DIALS_PER_S_MAX).expect("a constant above 0"),
        bytes_max: QUEUED_BYTES_TOTAL_MAX,
        ..PoolConfig::default()
    }
}

/// A number of connections as an option: 0 is no limit.
pub(crate) fn connections_max(option: u32) -> NonZeroUsize {
    NonZeroUsize::new(option as usize).unwrap_or(NonZeroUsize::MAX)
}
