//! Gears that a reload took out finish what they have, then stop; and what a failed reload had begun is undone.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use flux_gear::{Held, InPort, Terminus};

use super::Standing;
use crate::{
    assembly::{Assembly, port_number},
    cell::Cell,
    dead_letters::DeadLetter,
    draft::Draft,
    rack::{Rack, SegmentHandle, Shared},
    routes::Routes,
    segment::Intake,
    wire::Wire,
};

/// How long.
const LINGER: Duration = Duration::from_secs(5);

/// A wire of the circuit before that somebody still sends by: a gear that retires, or a send that began before.
pub(crate) struct Visitor {
    pub(crate) wire: Arc<Wire>,
    /// Who sends.
    pub(crate) from: String,
    /// What they hold while they do.
    pub(crate) held: Weak<Routes>,
    /// Gear and port.
    pub(crate) to: (String, String),
}

impl Visitor {
    /// The end of the wire at a gear with these inputs.
    pub(super) fn intake(&self, cell: usize, inputs: &[String]) -> Option<Intake> {
        let port = inputs.iter().position(|input| *input == self.to.1)?;
        Some(Intake::new(self.wire.clone(), cell, InPort(port_number(port))))
    }
}

/// A gear on its way out, in a segment of its own.
struct Retiree {
    name: String,
    segment: SegmentHandle,
    /// It goes on receiving for a while: replies to what it sent may still come to it and not to the one in its place.
    lingers: bool,
    /// Wires from others that retire, with the port they end at.
    incoming: Vec<(Arc<Wire>, String)>,
    outgoing: Vec<Arc<Wire>>,
}

impl Rack {
    /// Lets gears that are no longer in the circuit finish and stop, sources first, in a task of the rack.
    pub(super) fn retire(&mut self, before: &Assembly, led: &[Arc<Routes>], mut leaving: Standing) {
        let mut retirees = Vec::new();
        for &gear in &before.circuit.drain_order {
            let name = &before.circuit.gears[gear].name;
            for number in 0..before.seats[gear].places.len() {
                let Some(cell) = leaving.remove(&(name.clone(), number)) else { continue };
                if cell.is_up() {
                    let is_replaced = self.assembly.gear(name).is_some();
                    // One that was replaced sends the way of the other.
                    let routes = if is_replaced {
                        before.routes(gear)
                    } else {
                        let leads =
                            |output: &str| before.targets(gear, &led[gear], output).unwrap_or_default();
                        Arc::new(Routes::queued(&cell.outputs, leads))
                    };
                    let lingers = is_replaced && before.circuit.gears[gear].terminus == Terminus::Io;
                    retirees.push(self.retiree(cell, routes, lingers));
                } else {
                    let shared = self.shared.clone();
                    self.retiring.spawn(async move { stop(cell, &shared).await });
                }
            }
        }
        self.visitors.retain(|visitor| visitor.held.strong_count() > 0 || !visitor.wire.is_finished());
        if !retirees.is_empty() {
            let shared = self.shared.clone();
            self.retiring.spawn(async move { finish(retirees, &shared).await });
        }
    }

    fn retiree(&self, cell: Cell, routes: Arc<Routes>, lingers: bool) -> Retiree {
        let to_it = || self.visitors.iter().filter(|visitor| visitor.to.0 == cell.name);
        let from_it = self.visitors.iter().filter(|visitor| visitor.from == cell.name);
        let intakes = to_it().filter_map(|visitor| visitor.intake(0, &cell.inputs)).collect();
        Retiree {
            incoming: to_it().map(|visitor| (visitor.wire.clone(), visitor.to.1.clone())).collect(),
            outgoing: from_it.map(|visitor| visitor.wire.clone()).collect(),
            lingers,
            name: cell.name.clone(),
            segment: self.run(vec![(cell, routes)], (intakes, Vec::new()), true),
        }
    }

    /// Stops what a draft had started; what that emitted becomes dead letters.
    pub(super) async fn abandon(&self, draft: Draft) {
        let Draft { assembly, made, .. } = draft;
        for (_, cell) in made {
            cell.stop(&self.shared).await;
        }
        for (wire, queues) in assembly.circuit.wires.iter().zip(&assembly.wires) {
            let receiver = &assembly.circuit.gears[wire.to.0];
            let is_new = self.assembly.queues_of(&assembly.circuit, wire).is_none();
            for queue in queues.iter().filter(|_| is_new) {
                bury(queue, &receiver.name, &receiver.inputs[wire.to.1], &self.shared).await;
            }
        }
    }
}

/// Drains gears one after the other, then stops them. At the deadline what is left becomes dead letters.
async fn finish(retirees: Vec<Retiree>, shared: &Shared) {
    let deadline = shared.world.clock.now() + shared.settings.drain_timeout;
    for Retiree { name, segment, lingers, incoming, outgoing } in retirees {
        if lingers {
            shared.world.clock.sleep(LINGER).await;
        }
        if shared.world.clock.timeout_at(deadline, drained(&segment, &incoming, shared)).await.is_err() {
            tracing::warn!(gear = name, "a gear that was taken out did not finish in time");
        }
        for (wire, port) in &incoming {
            bury(wire, &name, port, shared).await;
        }
        for cell in segment.leave(&shared.world, shared.settings.stop_timeout).await.unwrap_or_default() {
            stop(cell, shared).await;
        }
        outgoing.iter().for_each(|wire| wire.close());
        tracing::info!(gear = name, "gear taken out");
    }
}

async fn drained(segment: &SegmentHandle, incoming: &[(Arc<Wire>, String)], shared: &Shared) {
    for (wire, _) in incoming {
        wire.wait_until_empty().await;
    }
    segment.drain(0, shared.world.clock).await;
}

/// Stops a gear; what it had waiting becomes dead letters, unless a durable wire has it.
async fn stop(mut cell: Cell, shared: &Shared) {
    cell.give_back_patient();
    for (port, msg) in std::mem::take(&mut cell.pending) {
        let port = cell.inputs.get(usize::from(port.0)).cloned().unwrap_or_default();
        let letter = DeadLetter::gone(msg.release(), &cell.name, &port, shared.world.clock.unix_ns());
        shared.dead_letters.keep(letter).await;
    }
    cell.stop(shared).await;
}

/// Closes a wire that leads nowhere any more and keeps what is in it as dead letters.
async fn bury(wire: &Wire, gear: &str, port: &str, shared: &Shared) {
    wire.close();
    let mut left: VecDeque<Held> = VecDeque::new();
    wire.take(usize::MAX, &mut left);
    for held in left {
        let letter = DeadLetter::gone(held.release(), gear, port, shared.world.clock.unix_ns());
        shared.dead_letters.keep(letter).await;
    }
}
