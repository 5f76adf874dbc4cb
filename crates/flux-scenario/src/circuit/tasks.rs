//! Which gears share a task: as many as can, without two tasks that each wait for the other.
//!
//! A task that hands a message over waits while the wire is full. So tasks must not wait in a circle: when two gears would
//! share a task and a way between them leads through another one, that task could wait for room which only it can make.

use std::collections::BTreeSet;

use super::CircuitWire;
use crate::topology::Graph;

/// Chooses a task for each gear, and leaves `fused` set on those wires alone whose ends share one.
///
/// `calls` are the wires that `process` halves emit to: sender and receiver.
pub(super) fn share_out(gears: usize, calls: &[(usize, usize)], wires: &mut [CircuitWire]) -> Vec<usize> {
    let wanted: Vec<(usize, usize)> =
        wires.iter().filter(|wire| wire.fused).map(|wire| (wire.from.0, wire.to.0)).collect();
    let mut task_of: Vec<usize> = (0..gears).collect();
    wanted.iter().for_each(|&(a, b)| merge(&mut task_of, a, b));
    if waits_in_a_circle(&task_of, calls) {
        task_of = (0..gears).collect();
        // What stands between two gears may join them later, so until nothing changes.
        while wanted.iter().any(|&wire| joins(&mut task_of, wire, calls)) {}
    }
    for wire in wires.iter_mut() {
        wire.fused &= task_of[wire.from.0] == task_of[wire.to.0];
    }
    task_of
}

/// Lets the ends of a wire share a task, if they do not yet and may.
fn joins(task_of: &mut [usize], (a, b): (usize, usize), calls: &[(usize, usize)]) -> bool {
    let (from, to) = (task_of[a], task_of[b]);
    if from == to {
        return false;
    }
    let between = between_tasks(task_of, calls);
    let others: BTreeSet<usize> =
        between.iter().filter(|edge| edge.0 == from && edge.1 != to).map(|edge| edge.1).collect();
    if Graph::new(task_of.len(), between).reachable(others).contains(&to) {
        return false;
    }
    merge(task_of, a, b);
    true
}

fn merge(task_of: &mut [usize], a: usize, b: usize) {
    let (from, to) = (task_of[a], task_of[b]);
    task_of.iter_mut().filter(|task| **task == to).for_each(|task| *task = from);
}

fn waits_in_a_circle(task_of: &[usize], calls: &[(usize, usize)]) -> bool {
    let graph = Graph::new(task_of.len(), between_tasks(task_of, calls));
    graph.parts().iter().any(|part| graph.is_cyclic(part))
}

fn between_tasks(task_of: &[usize], calls: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let edges = calls.iter().map(|&(a, b)| (task_of[a], task_of[b]));
    edges.filter(|(a, b)| a != b).collect()
}
