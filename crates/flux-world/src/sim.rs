//! A world made of a seed: a paused clock, a repeatable chance, a network and disks in memory, with faults on command.
//!
//! The same seed and the same program give the same events in the same order at the same times, on a single-threaded
//! runtime whose clock is paused: time jumps to the next timer when every task waits. Three rules keep it so: `select!`
//! is `biased`, nothing iterates a hash map into an output, nothing starts a thread. Every host has a disk of its own, empty at first.
//!
//! ```
//! use flux_world::{ConnectOptions, ListenOptions, sim::Sim};
//!
//! let trace = Sim::run(7, async |sim| {
//!     let mut listener = sim.host("issuer").net.listen("0.0.0.0:8583", &ListenOptions::default()).await.unwrap();
//!     let target = "issuer:8583".parse().unwrap();
//!     sim.world().net.connect(&target, &ConnectOptions::default()).await.unwrap();
//!     listener.accept().await.unwrap();
//!     sim.trace()
//! });
//! assert!(trace[0].ends_with("local>issuer:8583 connects"));
//! ```

mod disk;
mod disk_faults;
mod faults;
mod host;
mod lane;
mod link;
mod network;
mod sectors;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use disk::SimDisk;
pub(crate) use disk::{SimFile, SimLock};
pub use disk_faults::DiskLatency;
pub(crate) use host::{Host, SimListener};
pub(crate) use lane::{SimRead, SimWrite};
pub use link::Link;
use network::Network;

use crate::{Clock, Disk, Entropy, Net, World};

/// The host a world stands on when none is named.
pub const LOCAL_HOST: &str = "local";

/// Simulated time starts at 2026-01-01 00:00:00 UTC.
const UNIX_NS_AT_START: i64 = 1_767_225_600_000_000_000;

/// A simulated world, its faults and its trace.
#[derive(Clone, Debug)]
pub struct Sim {
    network: Arc<Mutex<Network>>,
    clock: Clock,
    entropy: Entropy,
    /// A stream of its own, so that a disk more or less moves nothing else.
    disk_entropy: Entropy,
    disks: Arc<Mutex<BTreeMap<String, SimDisk>>>,
}

impl Sim {
    /// Runs `body` in the world of `seed`, on a runtime of its own with a paused clock.
    ///
    /// Panics inside of another runtime, as starting a second one does; there use [`Sim::new`].
    pub fn run<T>(seed: u64, body: impl AsyncFnOnce(Sim) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing from the operating system");
        runtime.block_on(async { body(Sim::new(seed)).await })
    }

    /// The world of `seed`, within a single-threaded runtime whose clock is paused (`#[tokio::test(start_paused = true)]`).
    pub fn new(seed: u64) -> Self {
        let entropy = Entropy::seeded(seed);
        let clock = Clock::simulated(UNIX_NS_AT_START);
        let network = Arc::new(Mutex::new(Network::new(clock, entropy.fork())));
        let disk_entropy = Entropy::seeded(!seed);
        Self { network, clock, entropy, disk_entropy, disks: Arc::default() }
    }

    /// The same machines after a restart, in a runtime of its own: disks as they are, the network new, no connection left.
    /// Wall time goes on from `unix_ns`.
    pub fn restarted(&self, seed: u64, unix_ns: i64) -> Self {
        let entropy = Entropy::seeded(seed);
        let clock = Clock::simulated(unix_ns);
        let network = Arc::new(Mutex::new(Network::new(clock, entropy.fork())));
        Self { network, clock, entropy, disk_entropy: self.disk_entropy.clone(), disks: self.disks.clone() }
    }

    /// The world as seen from [`LOCAL_HOST`].
    pub fn world(&self) -> World {
        self.host(LOCAL_HOST)
    }

    /// The world as seen from the host `name`, which exists from the first time it is named.
    pub fn host(&self, name: &str) -> World {
        World {
            clock: self.clock,
            entropy: self.entropy.clone(),
            net: Net::simulated(Host::new(self.network.clone(), name)),
            disk: Disk::simulated(self.disk(name)),
        }
    }

    /// The disk of a host, to crash it, fill it, slow it down.
    pub fn disk(&self, host: &str) -> SimDisk {
        let mut disks = self.disks.lock();
        disks.entry(host.to_owned()).or_insert_with(|| SimDisk::new(self.disk_entropy.fork())).clone()
    }

    /// What happened so far, a line per event with its time since the start.
    pub fn trace(&self) -> Vec<String> {
        self.network.lock().trace.lines()
    }

    /// Directions of connections of which at least one end is still held: two per open connection.
    pub fn open_lanes(&self) -> usize {
        self.network.lock().lanes.len()
    }

    /// Adds an event of the program under test to the trace.
    pub fn note(&self, what: &str) {
        self.network.lock().trace.note(what);
    }
}
