//! A listening socket, opened here or adopted from somewhere else.

use std::io;
use std::net::SocketAddr;

use super::options::SocketOptions;
use super::{ListenOptions, Stream};

/// A listening socket; dropping it closes it.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp {
        listener: tokio::net::TcpListener,
        socket: SocketOptions,
    },
    #[cfg(feature = "sim")]
    Sim(crate::sim::SimListener),
}

/// Why a connection was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// This connection broke before it was taken: reset, aborted, its network gone. The next may be waiting already.
    #[error("a connection broke before it was accepted: {0}")]
    Connection(#[source] io::Error),
    /// Process or system are at a limit (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), and the next attempt fails as well
    /// until that passes: wait a little.
    #[error("{0}")]
    Limit(#[source] io::Error),
}

impl AcceptError {
    /// Classifies what accept(2) says: Linux passes on errors that are pending on the new connection. What it does not
    /// know counts as a limit, for waiting a little is never wrong and trying at once may be a busy loop.
    fn from_os(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied => Self::Connection(error),
            _ => Self::Limit(error),
        }
    }
}

impl Listener {
    pub(super) fn tcp(listener: tokio::net::TcpListener, options: &ListenOptions) -> Self {
        Self { kind: Kind::Tcp { listener, socket: options.socket } }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(listener: crate::sim::SimListener) -> Self {
        Self { kind: Kind::Sim(listener) }
    }

    /// Adopts a socket that already listens, handed over by a former process or by a supervisor.
    pub fn from_std(listener: std::net::TcpListener, options: &ListenOptions) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::tcp(tokio::net::TcpListener::from_std(listener)?, options))
    }

    /// Gives the socket away, still listening; `Unsupported` in a simulation.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        match self.kind {
            Kind::Tcp { listener, .. } => listener.into_std(),
            #[cfg(feature = "sim")]
            Kind::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next connection. Cancel-safe: a connection is either returned or still waiting.
    ///
    /// After an error the listener remains usable; the error says whether to wait before the next attempt.
    pub async fn accept(&mut self) -> Result<Stream, AcceptError> {
        match &mut self.kind {
            Kind::Tcp { listener, socket } => {
                let (stream, peer) = listener.accept().await.map_err(AcceptError::from_os)?;
                let taken = socket.apply(&stream).and_then(|()| Stream::tcp(stream, peer));
                // It is accepted: whatever fails now is about this connection.
                taken.map_err(AcceptError::Connection)
            }
            #[cfg(feature = "sim")]
            Kind::Sim(listener) => listener.accept().await,
        }
    }

    /// Where it listens, the port chosen by the operating system included.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::Tcp { listener, .. } => listener.local_addr(),
            #[cfg(feature = "sim")]
            Kind::Sim(listener) => Ok(listener.local_addr()),
        }
    }
}
