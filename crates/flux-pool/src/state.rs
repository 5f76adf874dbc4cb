//! Where a peer is in its life, readable at any moment.
//!
//! ```text
//! Idle -> Dialing -> Up -> Draining -> Down -> Backoff -> Dialing -> ...      a dialled peer
//! Handshaking -> Up -> Draining -> Ended                                     an accepted one
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use flux_world::{Instant, Target};

use crate::reason::CloseReason;

/// Where a peer is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Registered; its worker has not begun.
    Idle,
    /// Connecting, or waiting for its turn to.
    Dialing {
        /// The number of this attempt since the last session, from 1.
        attempt: u32,
    },
    /// Accepted and shaking hands.
    Handshaking,
    /// A session is open.
    Up {
        /// The session.
        link: LinkInfo,
        /// Since when.
        since: Instant,
    },
    /// The session takes its leave: nothing new is accepted, what is queued is written.
    Draining,
    /// The session ended.
    Down(CloseReason),
    /// Waiting before the next attempt.
    Backoff {
        /// When it will be made.
        until: Instant,
        /// Failures in a row, as the back-off counts them.
        failures: u32,
    },
    /// The worker is done; the peer is no longer in the pool.
    Ended(CloseReason),
}

impl PeerState {
    /// Whether frames can be sent now.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// The state as a word, for gauges and log fields.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Dialing { .. } => "dialing",
            Self::Handshaking => "handshaking",
            Self::Up { .. } => "up",
            Self::Draining => "draining",
            Self::Down(_) => "down",
            Self::Backoff { .. } => "backoff",
            Self::Ended(_) => "ended",
        }
    }
}

/// The two ends of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The session over TLS, if it is.
    pub tls: Option<Arc<TlsInfo>>,
}

/// What a TLS handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The protocol version, `TLSv1_3`.
    pub version: String,
    /// The peer's own certificate in DER, if it sent one.
    pub peer_certificate: Option<Vec<u8>>,
}

/// How a peer came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connect to it, again and again.
    Dialer(Target),
    /// It connected to us, at this address of ours; when it is gone it is gone.
    Acceptor(SocketAddr),
    /// A worker of somebody else's making.
    Custom,
}
