//! The listening socket of an endpoint: opened here, or come from another process, and given away.

use std::{net::SocketAddr, os::fd::OwnedFd};

use flux_gear::Fault;
use flux_pool::{AcceptConfig, Listening, PeerHandle, PeerPool};
use flux_world::{Clock, ListenOptions, Listener, Stream};

use super::listen::{ListenAddress, listen};

/// Where an endpoint lets others in, if it does.
#[derive(Default)]
pub(super) struct Door {
    open: Option<Open>,
}

/// Where, and how those who come are treated.
struct Open {
    address: ListenAddress,
    config: AcceptConfig,
    listening: Listening,
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
        self.open = Some(Open { address: address.clone(), config, listening });
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
        if self.open.as_ref().is_some_and(|open| open.address == *address) {
            // Who connects meanwhile waits in the socket.
            return match self.release().await {
                Some(listener) => self.attend(pool, listener, address, config),
                None => self.open(pool, address, config, clock).await,
            };
        }
        if let Some(former) = self.open.take_if(|open| open.address.port() == address.port()) {
            // Both cannot be open at once.
            let Open { address: before, config: as_before, listening } = former;
            listening.close().await;
            let opened = self.open(pool, address, config, clock).await;
            if opened.is_err() {
                self.open(pool, &before, as_before, clock).await?;
            }
            return opened;
        }
        let mut other = Door::default();
        let addr = other.open(pool, address, config, clock).await?;
        std::mem::replace(self, other).close().await;
        Ok(addr)
    }

    /// Accepts from a socket that listens already.
    pub(super) fn adopt(
        &mut self,
        pool: &PeerPool,
        socket: OwnedFd,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<SocketAddr, Fault> {
        let options = ListenOptions { socket: config.peer.socket, backlog: config.backlog };
        let listener = Listener::from_std(std::net::TcpListener::from(socket), &options);
        self.attend(pool, listener.map_err(|why| no_listener(&why))?, address, config)
    }

    fn attend(
        &mut self,
        pool: &PeerPool,
        listener: Listener,
        address: &ListenAddress,
        config: AcceptConfig,
    ) -> Result<SocketAddr, Fault> {
        let listening = pool.adopt(listener, config.clone()).map_err(|why| no_listener(&why))?;
        let addr = listening.local_addr();
        self.open = Some(Open { address: address.clone(), config, listening });
        Ok(addr)
    }

    /// Takes a connection in that was accepted before.
    pub(super) fn admit(&self, stream: Stream) -> Option<PeerHandle> {
        self.open.as_ref()?.listening.admit(stream)
    }

    /// Gives the socket away, with the address it was asked to listen at.
    pub(super) async fn take(&mut self) -> Option<(ListenAddress, OwnedFd)> {
        let address = self.open.as_ref()?.address.clone();
        Some((address, self.release().await?.into_std().ok()?.into()))
    }

    async fn release(&mut self) -> Option<Listener> {
        self.open.take()?.listening.release().await
    }

    /// Whether somebody could be let in.
    pub(super) fn is_there(&self) -> bool {
        self.open.is_some()
    }

    /// Accepts nobody any more, and gives the address up.
    pub(super) async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.listening.close().await;
        }
    }
}

fn no_listener(why: &dyn std::fmt::Display) -> Fault {
    Fault::fatal(why.to_string()).reason("listen")
}
