//! The listening socket of an endpoint: open, held shut for a while, or moved to another endpoint.

use std::{net::SocketAddr, os::fd::OwnedFd};

use flux_gear::Fault;
use flux_pool::{AcceptConfig, Listening, PeerHandle, PeerPool};
use flux_world::{Clock, ListenOptions, Listener, Stream};

use super::listen::{ListenAddress, listen};

/// Where an endpoint lets others in, if it does.
#[derive(Default)]
pub(super) struct Door {
    place: Option<Place>,
    state: State,
}

/// Where, and how those who come are treated.
struct Place {
    address: ListenAddress,
    config: AcceptConfig,
}

#[derive(Default)]
enum State {
    #[default]
    Absent,
    Open(Listening),
    /// Who connects waits in the socket.
    Shut(Listener),
}

impl Door {
    /// Listens. Returns where, which is the operating system's choice for port 0.
    pub(super) async fn open(
        &mut self,
        pool: &PeerPool,
        address: &ListenAddress,
        config: AcceptConfig,
        clock: Clock,
    ) -> Result<SocketAddr, Fault> {
        let listening = listen(pool, address, config.clone(), clock).await?;
        let addr = listening.local_addr();
        self.place = Some(Place { address: address.clone(), config });
        self.state = State::Open(listening);
        Ok(addr)
    }

    /// Listens by other settings, at the same address or at another. After an error it is open as it was.
    pub(super) async fn reopen(
        &mut self,
        pool: &PeerPool,
        address: &ListenAddress,
        config: AcceptConfig,
        clock: Clock,
    ) -> Result<SocketAddr, Fault> {
        let same_port = |place: &Place| place.address.port() == address.port();
        if self.place.as_ref().is_some_and(|place| place.address == *address) {
            self.shut().await;
            if let Some(place) = &mut self.place {
                place.config = config.clone();
            }
            return match self.unshut(pool)? {
                Some(addr) => Ok(addr),
                None => self.open(pool, address, config, clock).await,
            };
        }
        if self.place.as_ref().is_some_and(same_port) {
            // Both cannot be open at once.
            let former = self.place.take();
            self.close().await;
            let opened = self.open(pool, address, config, clock).await;
            if let (Err(_), Some(Place { address, config })) = (&opened, former) {
                self.open(pool, &address, config, clock).await?;
            }
            return opened;
        }
        let mut other = Door::default();
        let addr = other.open(pool, address, config, clock).await?;
        std::mem::replace(self, other).close().await;
        Ok(addr)
    }

    /// Opens a socket that listens already.
    pub(super) fn adopt(
        &mut self,
        pool: &PeerPool,
        socket: OwnedFd,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<Option<SocketAddr>, Fault> {
        let options = ListenOptions { socket: config.peer.socket, backlog: config.backlog };
        let listener = Listener::from_std(std::net::TcpListener::from(socket), &options);
        self.state = State::Shut(listener.map_err(|why| no_listener(&why))?);
        self.place = Some(Place { address: address.clone(), config });
        self.unshut(pool)
    }

    /// Accepts nobody for a while.
    pub(super) async fn shut(&mut self) {
        self.state = match std::mem::take(&mut self.state) {
            State::Open(listening) => listening.release().await.map_or(State::Absent, State::Shut),
            as_it_is => as_it_is,
        };
    }

    /// Accepts again, those first who connected meanwhile.
    pub(super) fn unshut(&mut self, pool: &PeerPool) -> Result<Option<SocketAddr>, Fault> {
        let (Some(place), true) = (&self.place, matches!(self.state, State::Shut(_))) else {
            return Ok(None);
        };
        let State::Shut(listener) = std::mem::take(&mut self.state) else { return Ok(None) };
        let listening = pool.adopt(listener, place.config.clone()).map_err(|why| no_listener(&why))?;
        let addr = listening.local_addr();
        self.state = State::Open(listening);
        Ok(Some(addr))
    }

    /// Takes a connection in that was accepted before.
    pub(super) fn admit(&self, stream: Stream) -> Option<PeerHandle> {
        match &self.state {
            State::Open(listening) => listening.admit(stream),
            State::Shut(_) | State::Absent => None,
        }
    }

    /// Gives a socket that is shut away, with the address it was asked to listen at.
    pub(super) fn take(&mut self) -> Option<(ListenAddress, OwnedFd)> {
        match (std::mem::take(&mut self.state), self.place.take()) {
            (State::Shut(listener), Some(place)) => Some((place.address, listener.into_std().ok()?.into())),
            _ => None,
        }
    }

    /// Whether somebody could be let in, now or later.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.state, State::Absent)
    }

    /// Accepts nobody any more, and gives the address up.
    pub(super) async fn close(&mut self) {
        self.place = None;
        if let State::Open(listening) = std::mem::take(&mut self.state) {
            listening.close().await;
        }
    }
}

fn no_listener(why: &dyn std::fmt::Display) -> Fault {
    Fault::fatal(why.to_string()).reason("listen")
}
