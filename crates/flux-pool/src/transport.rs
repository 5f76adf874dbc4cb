//! The seam between a socket and frames: a transport turns an open connection into a [`Link`] that reads and writes whole
//! frames.
//!
//! A byte transport (TCP, TLS) hands its two byte halves to [`Link::over_bytes`], which adds the framing. A message
//! transport (WebSocket) implements [`FrameRead`] and [`FrameWrite`] itself and needs no framing.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use bytes::Bytes;
use flux_world::{Stream, Target, net::WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::byte_link::{ByteRead, ByteWrite};
use crate::config::PeerConfig;
use crate::framing::FramingError;
use crate::inbox::BoxFuture;
use crate::reason::{CloseReason, DialError};
use crate::state::LinkInfo;

/// Turns open connections into links, from either side.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Shakes hands as the one who connected to `target`.
    fn connect<'a>(
        &'a self,
        stream: Stream,
        target: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>>;

    /// Shakes hands as the one who accepted.
    fn accept<'a>(&'a self, stream: Stream, config: &'a PeerConfig)
    -> BoxFuture<'a, Result<Link, DialError>>;
}

/// An open session's two halves.
pub struct Link {
    /// Its two ends.
    pub info: LinkInfo,
    /// What comes in.
    pub read: Box<dyn FrameRead>,
    /// What goes out.
    pub write: Box<dyn FrameWrite>,
}

/// The receiving half of a link.
pub trait FrameRead: Send {
    /// Appends the frames of one read to `frames`.
    ///
    /// `Ok` means that something came in, frames or not: it proves the peer alive. An error is the end, a clean one being
    /// [`CloseReason::PeerClean`]; the frames before it are in `frames`. Losing the future that polls loses nothing.
    fn poll_read(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<Result<(), CloseReason>>;

    /// Whether a frame has begun and not ended.
    fn is_within_frame(&self) -> bool;

    /// Takes what was read and is no whole frame yet.
    fn take_unread(&mut self) -> Bytes {
        Bytes::new()
    }
}

/// The sending half of a link.
pub trait FrameWrite: Send {
    /// Begins a new batch.
    fn begin(&mut self);

    /// Adds a frame to the batch. An error concerns this frame only, which is then not in it.
    fn load(&mut self, frame: &Bytes) -> Result<(), FramingError>;

    /// Adds the transport's own question for a sign of life, where it has one.
    fn load_ping(&mut self) {}

    /// Writes the batch to the last byte.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Frames of the batch written whole.
    fn frames_written(&self) -> usize;

    /// Whether the one after them was written in part.
    fn is_within_frame(&self) -> bool;

    /// Takes leave in the transport's own way: `close_notify`, a close frame, the end of the stream.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Gives the socket away, still open, when everything about the link is in it and in what is
    /// [unread](FrameRead::take_unread). Afterwards neither half is of use.
    fn detach(&mut self) -> Option<OwnedFd> {
        None
    }
}

impl Link {
    /// A link over two byte halves, with the framing of `config`.
    pub fn over_bytes<R, W>(read: R, write: W, info: LinkInfo, config: &PeerConfig) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::over(read, write, |_| None, info, config)
    }

    fn over<R, W>(
        read: R,
        write: W,
        detach: fn(&mut W) -> Option<OwnedFd>,
        info: LinkInfo,
        config: &PeerConfig,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let decoder = config.framing.decoder();
        Self {
            info,
            read: Box::new(ByteRead::new(read, decoder, config.read_bytes_max)),
            write: Box::new(ByteWrite::new(write, config.framing.encoder(), detach)),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Nothing between the socket and the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain;

impl Plain {
    fn link(stream: Stream, config: &PeerConfig) -> Link {
        let info = LinkInfo { local: stream.local, peer: stream.peer, tls: None };
        Link::over(stream.read, stream.write, WriteHalf::detach, info, config)
    }
}

impl Transport for Plain {
    fn connect<'a>(
        &'a self,
        stream: Stream,
        _: &'a Target,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::ready(Ok(Self::link(stream, config))))
    }

    fn accept<'a>(
        &'a self,
        stream: Stream,
        config: &'a PeerConfig,
    ) -> BoxFuture<'a, Result<Link, DialError>> {
        Box::pin(std::future::ready(Ok(Self::link(stream, config))))
    }
}
