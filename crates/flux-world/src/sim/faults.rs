//! What can go wrong on the simulated network, on command.

use super::Sim;
use super::link::Link;
use super::network::pair;

impl Sim {
    /// Sets how bytes travel between two hosts from now on.
    pub fn set_link(&self, a: &str, b: &str, link: Link) {
        self.network.lock().links.insert(pair(a, b), link);
    }

    /// Sets how bytes travel where no pair of hosts says otherwise.
    pub fn set_default_link(&self, link: Link) {
        self.network.lock().default_link = link;
    }

    /// Cuts the network between two hosts: connecting waits, what is sent stays under way.
    pub fn partition(&self, a: &str, b: &str) {
        let mut network = self.network.lock();
        network.parted.insert(pair(a, b));
        network.trace.note(&format!("partition {a} | {b}"));
    }

    /// Ends a partition: what was under way arrives.
    pub fn heal(&self, a: &str, b: &str) {
        let mut network = self.network.lock();
        let network = &mut *network;
        network.parted.remove(&pair(a, b));
        network.trace.note(&format!("heal {a} | {b}"));
        network.lanes.values_mut().filter(|lane| lane.joins(a, b)).for_each(|lane| lane.wake());
        network.healed.notify_waiters();
    }

    /// Makes the connections that are now open between two hosts half-open, in both directions and for good: whatever is
    /// sent is lost, and neither side is told. New connections work.
    pub fn unplug(&self, a: &str, b: &str) {
        let mut network = self.network.lock();
        network.trace.note(&format!("unplug {a} | {b}"));
        network.lanes.values_mut().filter(|lane| lane.joins(a, b)).for_each(|lane| lane.is_lossy = true);
    }

    /// Resets the connections that are now open between two hosts.
    pub fn reset(&self, a: &str, b: &str) {
        let mut network = self.network.lock();
        network.trace.note(&format!("reset {a} | {b}"));
        network.lanes.values_mut().filter(|lane| lane.joins(a, b)).for_each(|lane| lane.reset());
    }

    /// Lets a host refuse, or no longer refuse, new connections although it listens.
    pub fn set_refusing(&self, host: &str, is_refusing: bool) {
        let mut network = self.network.lock();
        match is_refusing {
            true => network.refusing.insert(host.to_owned()),
            false => network.refusing.remove(host),
        };
    }

    /// Lets the next `times` accepts on a host fail, as they do when the process is out of file descriptors.
    pub fn fail_accepts(&self, host: &str, times: u32) {
        let mut network = self.network.lock();
        network.accept_failures.insert(host.to_owned(), times);
        network.listeners.iter_mut().filter(|((name, _), _)| name == host).for_each(|(_, backlog)| {
            if let Some(waker) = backlog.waker.take() {
                waker.wake();
            }
        });
    }
}
