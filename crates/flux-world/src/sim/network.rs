//! The state of the simulated network: hosts, listeners, lanes, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Notify;

use super::lane::Lane;
use super::link::Link;
use super::trace::Trace;
use crate::{Clock, Entropy, Stream};

/// Ports below are for listeners that name theirs (RFC 6335: dynamic ports start here).
const EPHEMERAL_PORT_MIN: u16 = 49_152;

#[derive(Debug)]
pub(crate) struct Network {
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) trace: Trace,
    pub(super) listeners: BTreeMap<(String, u16), Backlog>,
    pub(super) lanes: BTreeMap<u64, Lane>,
    pub(super) links: BTreeMap<(String, String), Link>,
    pub(super) default_link: Link,
    pub(super) parted: BTreeSet<(String, String)>,
    pub(super) refusing: BTreeSet<String>,
    pub(super) accept_failures: BTreeMap<String, u32>,
    /// Told whenever a partition ends, for the connects that wait it out.
    pub(super) healed: Arc<Notify>,
    hosts: BTreeMap<String, HostEntry>,
    lanes_made: u64,
    connections_made: u64,
}

#[derive(Debug)]
struct HostEntry {
    ip: Ipv4Addr,
    port_next: u16,
}

/// Connections made and not yet accepted.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) waiting: VecDeque<Stream>,
    pub(super) waiting_max: usize,
    pub(super) waker: Option<Waker>,
}

impl Network {
    pub(super) fn new(clock: Clock, entropy: Entropy) -> Self {
        Self {
            clock,
            entropy,
            trace: Trace::new(clock),
            listeners: BTreeMap::new(),
            lanes: BTreeMap::new(),
            links: BTreeMap::new(),
            default_link: Link::default(),
            parted: BTreeSet::new(),
            refusing: BTreeSet::new(),
            accept_failures: BTreeMap::new(),
            healed: Arc::new(Notify::new()),
            hosts: BTreeMap::new(),
            lanes_made: 0,
            connections_made: 0,
        }
    }

    /// Gives the host an address in 10.0.0.0/8, in the order of naming.
    pub(super) fn add_host(&mut self, name: &str) {
        if !self.hosts.contains_key(name) {
            let ip = Ipv4Addr::from(0x0A00_0001 + self.hosts.len() as u32);
            self.hosts.insert(name.to_owned(), HostEntry { ip, port_next: EPHEMERAL_PORT_MIN });
        }
    }

    /// The host that `asked`, a name or an address, means on host `from`.
    pub(super) fn resolve(&self, from: &str, asked: &str) -> Option<String> {
        if asked == "localhost" || self.hosts.contains_key(asked) {
            return Some(if asked == "localhost" { from } else { asked }.to_owned());
        }
        match asked.parse::<IpAddr>().ok()? {
            ip if ip.is_loopback() || ip.is_unspecified() => Some(from.to_owned()),
            IpAddr::V4(ip) => self.hosts.iter().find(|(_, host)| host.ip == ip).map(|(name, _)| name.clone()),
            IpAddr::V6(_) => None,
        }
    }

    pub(super) fn addr(&self, host: &str, port: u16) -> SocketAddr {
        let ip = self.hosts.get(host).map_or(Ipv4Addr::UNSPECIFIED, |entry| entry.ip);
        SocketAddr::new(ip.into(), port)
    }

    /// A port of `host` nobody listens on.
    pub(super) fn free_port(&mut self, host: &str) -> u16 {
        let entry = self.hosts.get_mut(host).expect("a host is added before its world is handed out");
        loop {
            let port = entry.port_next;
            entry.port_next = if port == u16::MAX { EPHEMERAL_PORT_MIN } else { port + 1 };
            if !self.listeners.contains_key(&(host.to_owned(), port)) {
                return port;
            }
        }
    }

    pub(super) fn link(&self, a: &str, b: &str) -> Link {
        self.links.get(&pair(a, b)).copied().unwrap_or(self.default_link)
    }

    pub(super) fn is_parted(&self, a: &str, b: &str) -> bool {
        self.parted.contains(&pair(a, b))
    }

    pub(super) fn add_connection(&mut self) -> u64 {
        self.connections_made += 1;
        self.connections_made
    }

    pub(super) fn add_lane(&mut self, from: &str, to: &str, connection: u64) -> u64 {
        self.lanes_made += 1;
        self.lanes.insert(self.lanes_made, Lane::new(from, to, connection, self.clock.now()));
        self.lanes_made
    }
}

/// The key of what holds between two hosts in both directions.
pub(super) fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}
