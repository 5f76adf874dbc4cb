//! The two halves of a link over bytes: reading cuts frames off a growing buffer, writing gathers frames into few calls.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::framing::{Decoder, Encoder, FramingError};
use crate::reason::CloseReason;
use crate::transport::{FrameRead, FrameWrite};
use crate::write_batch::WriteBatch;

/// The first read of a session; each read that fills its buffer doubles the next.
const READ_BYTES_FIRST: usize = 4 * 1024;

/// A read begins only with this much room, so that the end of a buffer does not cost a call for a few bytes.
const READ_BYTES_MIN: usize = 1024;

pub(crate) struct ByteRead<R> {
    io: R,
    decoder: Box<dyn Decoder>,
    buffer: BytesMut,
    read_bytes: usize,
    read_bytes_max: usize,
}

impl<R> ByteRead<R> {
    pub(crate) fn new(io: R, decoder: Box<dyn Decoder>, read_bytes_max: usize) -> Self {
        let read_bytes = READ_BYTES_FIRST.min(read_bytes_max);
        Self { io, decoder, buffer: BytesMut::new(), read_bytes, read_bytes_max }
    }

    /// The stream ended, with what is in the buffer.
    fn ended(&mut self, frames: &mut Vec<Bytes>) -> CloseReason {
        match self.decoder.finish(&mut self.buffer, frames) {
            Ok(()) => CloseReason::PeerClean,
            Err(error) => error.into(),
        }
    }
}

impl<R: AsyncRead + Send + Unpin> FrameRead for ByteRead<R> {
    fn poll_read(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<Result<(), CloseReason>> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN.min(self.read_bytes) {
            self.buffer.reserve(self.read_bytes);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = match ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buffer)) {
            Ok(0) => return Poll::Ready(Err(self.ended(frames))),
            Ok(read) => read,
            // An end of the connection without the goodbye of TLS. Frames say themselves where they end: somebody who
            // cuts the connection short is noticed as he is without TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Poll::Ready(Err(self.ended(frames)));
            }
            Err(error) => return Poll::Ready(Err(CloseReason::from_io(&error))),
        };
        if read == room {
            self.read_bytes = (self.read_bytes * 2).min(self.read_bytes_max);
        }
        self.decoder.decode(&mut self.buffer, frames)?;
        Poll::Ready(Ok(()))
    }

    fn is_within_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer).freeze()
    }
}

pub(crate) struct ByteWrite<W> {
    io: W,
    encoder: Box<dyn Encoder>,
    batch: WriteBatch,
    detach: fn(&mut W) -> Option<OwnedFd>,
}

impl<W> ByteWrite<W> {
    pub(crate) fn new(io: W, encoder: Box<dyn Encoder>, detach: fn(&mut W) -> Option<OwnedFd>) -> Self {
        Self { io, encoder, batch: WriteBatch::default(), detach }
    }
}

impl<W: AsyncWrite + Send + Unpin> FrameWrite for ByteWrite<W> {
    fn begin(&mut self) {
        self.batch.clear();
    }

    fn load(&mut self, frame: &Bytes) -> Result<(), FramingError> {
        let encoded = self.encoder.encode(frame, &mut self.batch);
        match encoded {
            Ok(()) => self.batch.end_frame(),
            Err(_) => self.batch.undo_frame(),
        }
        encoded
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.batch.poll_write(cx, &mut self.io)
    }

    fn frames_written(&self) -> usize {
        self.batch.frames_written()
    }

    fn is_within_frame(&self) -> bool {
        self.batch.is_within_frame()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn detach(&mut self) -> Option<OwnedFd> {
        (self.detach)(&mut self.io)
    }
}
