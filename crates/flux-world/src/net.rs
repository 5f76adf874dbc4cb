//! The network: connecting and listening, with separate read and write halves.
//!
//! The halves share no lock: a TCP socket splits into two owned halves, so that a reader and a writer task never meet.

mod listener;
mod options;
mod stream;
mod target;

use std::io;

use tokio::net::{TcpSocket, lookup_host};

pub use listener::{AcceptError, Listener};
pub use options::{ConnectOptions, Keepalive, ListenOptions, SocketOptions};
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use target::{Target, TargetError};

/// A handle to the network.
#[derive(Clone, Debug)]
pub struct Net {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Real,
    #[cfg(feature = "sim")]
    Sim(crate::sim::Host),
}

impl Net {
    /// The network of the operating system.
    pub fn real() -> Self {
        Self { kind: Kind::Real }
    }

    /// The network as seen from a simulated host.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(host: crate::sim::Host) -> Self {
        Self { kind: Kind::Sim(host) }
    }

    /// Opens a connection: resolves the name anew, tries its addresses in order, and returns the last one's error.
    ///
    /// Waits as long as the operating system does, which is minutes: the caller brings the deadline.
    pub async fn connect(&self, target: &Target, options: &ConnectOptions) -> io::Result<Stream> {
        match &self.kind {
            Kind::Real => connect_tcp(target, options).await,
            #[cfg(feature = "sim")]
            Kind::Sim(host) => host.connect(target).await,
        }
    }

    /// Listens on `addr`, `host:port`; without a host on all IPv4 interfaces. Port 0 takes a free one, which
    /// [`Listener::local_addr`] tells.
    pub async fn listen(&self, addr: &str, options: &ListenOptions) -> io::Result<Listener> {
        match &self.kind {
            Kind::Real => listen_tcp(addr, options).await,
            #[cfg(feature = "sim")]
            Kind::Sim(host) => host.listen(addr, options).map(Listener::simulated),
        }
    }
}

async fn connect_tcp(target: &Target, options: &ConnectOptions) -> io::Result<Stream> {
    let mut last = None;
    for addr in lookup_host((target.host(), target.port())).await? {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = options.local {
            socket.bind(local)?;
        }
        options.socket.apply(&socket)?;
        match socket.connect(addr).await {
            Ok(stream) => return Stream::tcp(stream, addr),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", target.host()))
    }))
}

async fn listen_tcp(addr: &str, options: &ListenOptions) -> io::Result<Listener> {
    let mut last = None;
    let addr = if addr.starts_with(':') { format!("0.0.0.0{addr}") } else { addr.to_owned() };
    for addr in lookup_host(&addr).await? {
        let bound = || {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restarted rack takes its port back while connections of its former life linger in TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            socket.listen(options.backlog)
        };
        match bound() {
            Ok(listener) => return Ok(Listener::tcp(listener, options)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{addr} is no address"))))
}
