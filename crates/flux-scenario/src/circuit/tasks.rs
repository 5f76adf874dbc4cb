//! Which gears share a task: as many as can, without two tasks that each wait for the other.
//!
//! A task that hands a message over waits while the wire is full. So tasks must not wait in a circle: when two gears would
//! share a task and a way between them leads through another one, or through a journal, that task could wait for room
//! which only it can make.

use std::collections::BTreeSet;

use super::CircuitWire;
use crate::topology::Graph;

/// Chooses a task for each gear, and leaves `fused` set on those wires alone whose ends share one.
///
/// `sends` says of each wire whether a `process` half emits to it: then a task waits for it.
pub(super) fn share_out(gears: usize, sends: &[bool], wires: &mut [CircuitWire]) -> Vec<usize> {
    // Who sends to another rack waits for nobody here.
    let edge = CircuitWire::inner;
    let wanted: Vec<_> = wires.iter().filter(|wire| wire.fused).filter_map(edge).collect();
    let queued = wires.iter().zip(sends).filter(|(wire, sends)| **sends && !wire.fused);
    let queued: Vec<_> = queued.filter_map(|(wire, _)| edge(wire)).collect();
    let mut tasks = Tasks { of: (0..gears).collect(), wanted, queued };
    let wanted = tasks.wanted.clone();
    wanted.iter().for_each(|&(a, b)| tasks.merge(a, b));
    if tasks.wait_in_a_circle() {
        tasks.of = (0..gears).collect();
        // What stands between two gears may join them later, so until nothing changes.
        while wanted.iter().any(|&(a, b)| tasks.join(a, b)) {}
    }
    for wire in wires.iter_mut() {
        wire.fused &= wire.inner().is_some_and(|(from, to)| tasks.of[from] == tasks.of[to]);
    }
    tasks.of
}

/// The task of each gear so far.
struct Tasks {
    of: Vec<usize>,
    /// Wires that could be calls, as sender and receiver.
    wanted: Vec<(usize, usize)>,
    /// Wires that cannot.
    queued: Vec<(usize, usize)>,
}

impl Tasks {
    /// Lets the ends of a wire share a task, if they do not yet and may.
    fn join(&mut self, a: usize, b: usize) -> bool {
        let (from, to) = (self.of[a], self.of[b]);
        let waits = |&(a, b): &(usize, usize)| self.of[a] == from && self.of[b] == to;
        if from == to || self.queued.iter().any(waits) {
            return false;
        }
        let between: Vec<_> = self.between().collect();
        let others: BTreeSet<usize> =
            between.iter().filter(|edge| edge.0 == from && edge.1 != to).map(|edge| edge.1).collect();
        if Graph::new(self.of.len(), between).reachable(others).contains(&to) {
            return false;
        }
        self.merge(a, b);
        true
    }

    fn merge(&mut self, a: usize, b: usize) {
        let (from, to) = (self.of[a], self.of[b]);
        self.of.iter_mut().filter(|task| **task == to).for_each(|task| *task = from);
    }

    fn wait_in_a_circle(&self) -> bool {
        let graph = Graph::new(self.of.len(), self.between());
        let waits_for_itself = self.queued.iter().any(|&(a, b)| self.of[a] == self.of[b]);
        waits_for_itself || graph.parts().iter().any(|part| graph.is_cyclic(part))
    }

    /// Which task sends to which other one.
    fn between(&self) -> impl Iterator<Item = (usize, usize)> {
        let sends = self.wanted.iter().chain(&self.queued);
        sends.map(|&(a, b)| (self.of[a], self.of[b])).filter(|(a, b)| a != b)
    }
}
