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
    /// An error is about one connection or about a limit of the process (`EMFILE`); the listener itself remains
    /// usable, so the caller waits a little and goes on.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        match &mut self.kind {
            Kind::Tcp { listener, socket } => {
                let (stream, _) = listener.accept().await?;
                socket.apply(&stream)?;
                Stream::tcp(stream)
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
