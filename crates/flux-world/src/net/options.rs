//! What can be asked of a socket before it carries anything.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Probes by the operating system on a silent connection (RFC 1122 section 4.2.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe; whole seconds.
    pub idle: Duration,
    /// Time between probes; whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection counts as lost.
    pub probes_max: u32,
}

impl Default for Keepalive {
    /// 30 s of silence, then 3 probes 10 s apart.
    fn default() -> Self {
        Self { idle: Duration::from_secs(30), interval: Duration::from_secs(10), probes_max: 3 }
    }
}

/// Options of every connected socket; `TCP_NODELAY` is always on, because frames are batched above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// TCP keepalive; `None` turns it off.
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged before the connection fails (`TCP_USER_TIMEOUT`, Linux only).
    pub user_timeout: Option<Duration>,
}

impl Default for SocketOptions {
    /// The default keepalive, and 60 s for unacknowledged bytes.
    fn default() -> Self {
        Self { keepalive: Some(Keepalive::default()), user_timeout: Some(Duration::from_secs(60)) }
    }
}

impl SocketOptions {
    pub(crate) fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        socket.set_tcp_nodelay(true)?;
        match self.keepalive {
            Some(keepalive) => socket.set_tcp_keepalive(
                &TcpKeepalive::new()
                    .with_time(keepalive.idle)
                    .with_interval(keepalive.interval)
                    .with_retries(keepalive.probes_max),
            )?,
            None => socket.set_keepalive(false)?,
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        Ok(())
    }
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Options of the connected socket.
    pub socket: SocketOptions,
    /// The local address to connect from; `None` leaves it to the operating system.
    pub local: Option<SocketAddr>,
}

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Options of each accepted socket.
    pub socket: SocketOptions,
    /// Connections the operating system holds ready for accepting; it may cap this lower.
    pub backlog: u32,
}

impl Default for ListenOptions {
    /// The default socket options and a backlog of 1024.
    fn default() -> Self {
        Self { socket: SocketOptions::default(), backlog: 1024 }
    }
}
