//! An open connection and its two halves.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[cfg(feature = "sim")]
use crate::sim::{SimRead, SimWrite};

/// An open connection. Take its halves apart to read and write from two tasks.
#[derive(Debug)]
pub struct Stream {
    /// What the peer sends.
    pub read: ReadHalf,
    /// What the peer receives; dropping it tells the peer that no more comes.
    pub write: WriteHalf,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub peer: SocketAddr,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub struct ReadHalf {
    kind: ReadKind,
    /// What was read of the connection before it came here, and is read first.
    before: Bytes,
}

/// The sending half of a connection; vectored writes are one system call.
#[derive(Debug)]
pub struct WriteHalf {
    kind: WriteKind,
}

#[derive(Debug)]
enum ReadKind {
    Tcp(OwnedReadHalf),
    #[cfg(feature = "sim")]
    Sim(SimRead),
}

#[derive(Debug)]
enum WriteKind {
    Tcp(OwnedWriteHalf),
    /// The connection goes on elsewhere.
    Detached,
    #[cfg(feature = "sim")]
    Sim(SimWrite),
}

impl Stream {
    /// The peer's address is given, for a connection that was reset meanwhile does not tell it any more.
    pub(super) fn tcp(stream: tokio::net::TcpStream, peer: SocketAddr) -> io::Result<Self> {
        let local = stream.local_addr()?;
        let (read, write) = stream.into_split();
        Ok(Self {
            read: ReadHalf { kind: ReadKind::Tcp(read), before: Bytes::new() },
            write: WriteHalf { kind: WriteKind::Tcp(write) },
            local,
            peer,
        })
    }

    /// A connection that was [detached](WriteHalf::detach), here or in another process, with what had been read of it.
    ///
    /// # Errors
    /// When it is no connected TCP socket, or was reset meanwhile.
    pub fn resume(socket: OwnedFd, unread: Bytes) -> io::Result<Self> {
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        let peer = socket.peer_addr()?;
        let mut stream = Self::tcp(tokio::net::TcpStream::from_std(socket)?, peer)?;
        stream.read.before = unread;
        Ok(stream)
    }

    #[cfg(feature = "sim")]
    pub(crate) fn simulated(read: SimRead, write: SimWrite, local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            read: ReadHalf { kind: ReadKind::Sim(read), before: Bytes::new() },
            write: WriteHalf { kind: WriteKind::Sim(write) },
            local,
            peer,
        }
    }
}

impl ReadHalf {
    /// Reads what is there, at most the buffer's free capacity, and returns how much; 0 is the end of the stream.
    ///
    /// The caller reserves the capacity, and so decides how many bytes one read may take. Cancel-safe.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.read_buf(buffer).await
    }
}

impl WriteHalf {
    /// Gives the connection away, still open: neither half is of use any more, and dropping them ends nothing. `None` where
    /// there is no socket to give, as in a simulation.
    pub fn detach(&mut self) -> Option<OwnedFd> {
        match std::mem::replace(&mut self.kind, WriteKind::Detached) {
            WriteKind::Tcp(half) => {
                let socket = half.as_ref().as_fd().try_clone_to_owned();
                match socket {
                    Ok(socket) => {
                        half.forget();
                        Some(socket)
                    }
                    // Without a descriptor to spare it stays here.
                    Err(_) => {
                        self.kind = WriteKind::Tcp(half);
                        None
                    }
                }
            }
            other => {
                self.kind = other;
                None
            }
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let n = self.before.len().min(buf.remaining());
            buf.put_slice(&self.before[..n]);
            self.before.advance(n);
            return Poll::Ready(Ok(()));
        }
        match &mut self.kind {
            ReadKind::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            #[cfg(feature = "sim")]
            ReadKind::Sim(half) => half.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            WriteKind::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            WriteKind::Detached => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            #[cfg(feature = "sim")]
            WriteKind::Sim(half) => half.poll_write(cx, &[IoSlice::new(bytes)]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            WriteKind::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            WriteKind::Detached => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            #[cfg(feature = "sim")]
            WriteKind::Sim(half) => half.poll_write(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind holds bytes back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            WriteKind::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            WriteKind::Detached => Poll::Ready(Ok(())),
            #[cfg(feature = "sim")]
            WriteKind::Sim(half) => Poll::Ready(half.shutdown()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}
