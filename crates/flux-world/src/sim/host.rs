//! A simulated host: connecting from it and listening on it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;

use super::lane::{SimRead, SimWrite};
use super::network::{Backlog, Network};
use crate::net::AcceptError;
use crate::{ListenOptions, Stream, Target};

/// A handle to one host of the simulated network.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    network: Arc<Mutex<Network>>,
    name: String,
}

impl Host {
    pub(super) fn new(network: Arc<Mutex<Network>>, name: &str) -> Self {
        network.lock().add_host(name);
        Self { network, name: name.to_owned() }
    }

    pub(crate) async fn connect(&self, target: &Target) -> io::Result<Stream> {
        let (to, there, back) = {
            let network = self.network.lock();
            let to = network.resolve(&self.name, target.host()).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no host is named {}", target.host()))
            })?;
            let link = network.link(&self.name, &to);
            (to, link.latency(&network.entropy), link.latency(&network.entropy))
        };
        tokio::time::sleep(there).await;
        self.wait_while_parted(&to).await;
        let stream = self.shake_hands(&to, target.port())?;
        tokio::time::sleep(back).await;
        Ok(stream)
    }

    async fn wait_while_parted(&self, to: &str) {
        loop {
            let healed = self.network.lock().healed.clone();
            let healed = healed.notified();
            if !self.network.lock().is_parted(&self.name, to) {
                return;
            }
            healed.await;
        }
    }

    /// Leaves the far end of a new connection in the listener's backlog and returns the near one.
    fn shake_hands(&self, to: &str, port: u16) -> io::Result<Stream> {
        let mut guard = self.network.lock();
        let network = &mut *guard;
        let key = (to.to_owned(), port);
        let has_room = network.listeners.get(&key).is_some_and(|b| b.waiting.len() < b.waiting_max);
        if !has_room || network.refusing.contains(to) {
            network.trace.note(&format!("{}>{to}:{port} is refused", self.name));
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let local = network.free_port(&self.name);
        let (local, peer) = (network.addr(&self.name, local), network.addr(to, port));
        let connection = network.add_connection();
        let outward = network.add_lane(&self.name, to, connection);
        let inward = network.add_lane(to, &self.name, connection);
        network.trace.note(&format!("#{connection} {}>{to}:{port} connects", self.name));
        let ends = |read, write, local, peer| {
            let read = SimRead::new(self.network.clone(), read);
            Stream::simulated(read, SimWrite::new(self.network.clone(), write), local, peer)
        };
        let backlog = network.listeners.get_mut(&key).expect("looked up above under the same lock");
        backlog.waiting.push_back(ends(outward, inward, peer, local));
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(ends(inward, outward, local, peer))
    }

    pub(crate) fn listen(&self, addr: &str, options: &ListenOptions) -> io::Result<SimListener> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{addr} is no address"));
        let port =
            addr.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).ok_or_else(invalid)?;
        let mut network = self.network.lock();
        let port = if port == 0 { network.free_port(&self.name) } else { port };
        let key = (self.name.clone(), port);
        if network.listeners.contains_key(&key) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let waiting_max = options.backlog as usize;
        network.listeners.insert(key, Backlog { waiting: VecDeque::new(), waiting_max, waker: None });
        let local = network.addr(&self.name, port);
        Ok(SimListener { network: self.network.clone(), host: self.name.clone(), local })
    }
}

/// A simulated listening socket.
#[derive(Debug)]
pub(crate) struct SimListener {
    network: Arc<Mutex<Network>>,
    host: String,
    local: SocketAddr,
}

impl SimListener {
    pub(crate) async fn accept(&mut self) -> Result<Stream, AcceptError> {
        std::future::poll_fn(|cx| {
            let mut network = self.network.lock();
            let failures = network.accept_failures.get_mut(&self.host);
            if let Some(left) = failures.filter(|left| **left > 0) {
                *left -= 1;
                let full = io::Error::other("too many open files, simulated");
                return Poll::Ready(Err(AcceptError::Limit(full)));
            }
            let backlog = network.listeners.get_mut(&(self.host.clone(), self.local.port()));
            let backlog = backlog.expect("a listener is registered until it is dropped");
            match backlog.waiting.pop_front() {
                Some(stream) => Poll::Ready(Ok(stream)),
                None => {
                    backlog.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        // The streams nobody accepted close only after the lock is released: closing takes it again.
        let unaccepted = self.network.lock().listeners.remove(&(self.host.clone(), self.local.port()));
        drop(unaccepted);
    }
}
