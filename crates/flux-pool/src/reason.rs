//! Why a session ended or never began, classified so that callers can branch.

use std::io;
use std::sync::Arc;

use crate::framing::FramingError;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer ended the stream between two frames.
    #[error("the peer closed the connection")]
    PeerClean,
    /// The peer broke off: a reset.
    #[error("the peer broke off: {0}")]
    PeerError(Arc<str>),
    /// The peer announced or sent a frame above the limit.
    #[error("a frame exceeds the limit of {limit} bytes")]
    FrameTooLarge {
        /// The largest frame allowed, in bytes.
        limit: usize,
    },
    /// Nothing came in for the idle timeout, or no answer to a probe.
    #[error("nothing received for too long")]
    Idle,
    /// The peer ended the stream within a frame; what there is of it is not delivered.
    #[error("the peer closed the connection {bytes} bytes into a frame, which is dropped")]
    Truncated {
        /// Bytes of the frame that came.
        bytes: usize,
    },
    /// A connection was accepted and its handshake not completed in time.
    #[error("the handshake was not completed in time")]
    HandshakeTimeout,
    /// A frame was begun and not completed in time.
    #[error("a frame was not completed in time")]
    ReadTimeout,
    /// The peer did not take what was written in time.
    #[error("the peer did not take what was written in time")]
    WriteTimeout,
    /// A queue was full and its policy is to disconnect: the peer, or our own consumer, is too slow.
    #[error("a queue overflowed")]
    SlowConsumer,
    /// We closed it: removal, drain, or a command.
    #[error("closed on our side")]
    Local,
    /// It did not end: it goes on without this peer, in another pool.
    #[error("goes on elsewhere")]
    Moved,
    /// A newer peer took the id.
    #[error("replaced by a newer peer of the same name")]
    Replaced,
    /// The bytes make no frame.
    #[error("protocol violated: {0}")]
    Protocol(Arc<str>),
    /// The TLS layer failed.
    #[error("tls failed: {0}")]
    Tls(Arc<str>),
    /// The operating system reported something else.
    #[error("i/o failed: {0}")]
    Io(Arc<str>),
    /// No session was ever opened: dialling failed for the last time.
    #[error("dialling was given up: {0}")]
    GivenUp(DialError),
    /// The consumer or a worker panicked; the pool goes on without this session.
    #[error("a task of the session panicked")]
    Panicked,
}

impl CloseReason {
    /// The class as a word, for counters and log fields.
    pub fn class(&self) -> &'static str {
        match self {
            Self::PeerClean => "peer_clean",
            Self::PeerError(_) => "peer_error",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::Truncated { .. } => "truncated",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Idle => "idle",
            Self::ReadTimeout => "read_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::SlowConsumer => "slow_consumer",
            Self::Local => "local",
            Self::Moved => "moved",
            Self::Replaced => "replaced",
            Self::Protocol(_) => "protocol",
            Self::Tls(_) => "tls",
            Self::Io(_) => "io",
            Self::GivenUp(_) => "given_up",
            Self::Panicked => "panicked",
        }
    }

    /// Classifies an error of a socket or of the TLS layer on it.
    pub fn from_io(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.to_string().into());
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::PeerError(error.to_string().into()),
            io::ErrorKind::TimedOut => Self::WriteTimeout,
            _ => Self::Io(error.to_string().into()),
        }
    }
}

impl From<FramingError> for CloseReason {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::TooLarge { limit } => Self::FrameTooLarge { limit },
            FramingError::Truncated { bytes } => Self::Truncated { bytes },
            FramingError::Malformed(what) => Self::Protocol(what.into()),
        }
    }
}

/// Why one attempt to open a session failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DialError {
    /// The connection could not be opened: refused, unreachable, no such host.
    #[error("connecting failed: {0}")]
    Connect(#[source] Arc<io::Error>),
    /// Resolving, connecting and shaking hands took longer than allowed.
    #[error("no session within the time allowed")]
    TimedOut,
    /// The connection opened and its handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(Arc<str>),
    /// A dialer of somebody else's making failed.
    #[error("{0}")]
    Other(Arc<dyn std::error::Error + Send + Sync>),
}

impl DialError {
    /// The class as a word, for counters and log fields.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::TimedOut => "timed_out",
            Self::Handshake(_) => "handshake",
            Self::Other(_) => "other",
        }
    }
}

impl PartialEq for DialError {
    /// The same failure: what it says and, where there is one, the very same error value.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Connect(a), Self::Connect(b)) => Arc::ptr_eq(a, b),
            (Self::TimedOut, Self::TimedOut) => true,
            (Self::Handshake(a), Self::Handshake(b)) => a == b,
            (Self::Other(a), Self::Other(b)) => Arc::ptr_eq(a, b),
            (Self::Connect(_) | Self::TimedOut | Self::Handshake(_) | Self::Other(_), _) => false,
        }
    }
}

impl Eq for DialError {}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self::Connect(Arc::new(error))
    }
}
