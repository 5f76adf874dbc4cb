//! Gears that a reload took out finish what they have, then stop; and what a failed reload had begun is undone.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use flux_gear::{Held, InPort, Terminus};
use tokio::sync::Notify;

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
    stay: Stay,
    /// Wires of the circuit before that it still takes from.
    incoming: Vec<Incoming>,
    outgoing: Vec<Arc<Wire>>,
}

/// What a gear on its way out still receives.
#[derive(Clone, Copy, PartialEq)]
enum Stay {
    /// All that is still sent to it: nobody is in its place.
    ToTheEnd,
    /// For a while, what is sent to it and not to the one in its place: replies to what it sent.
    Lingers,
    /// Nothing: that goes to the one in its place.
    Leaves,
}

/// A wire of the circuit before that a gear on its way out takes from.
struct Incoming {
    wire: Arc<Wire>,
    port: String,
    /// Who takes from it when the gear is gone, if somebody does.
    heir: Arc<Notify>,
    /// The gear itself.
    own: Arc<Notify>,
}

impl Rack {
    /// Lets gears that are no longer in the circuit finish and stop, sources first, in a task of the rack.
    pub(super) fn retire(&mut self, before: &Assembly, led: &[Arc<Routes>], mut leaving: Standing) {
        let mut retirees = Vec::new();
        for &gear in &before.circuit.drain_order {
            let name = &before.circuit.gears[gear].name;
            for number in 0..before.seats[gear].places.len() {
                let Some(cell) = leaving.remove(&(name.clone(), number)) else { continue };
                if cell.has_work() {
                    let is_replaced = self.assembly.gear(name).is_some();
                    // One that was replaced sends the way of the other.
                    let routes = if is_replaced {
                        before.routes(gear)
                    } else {
                        let leads =
                            |output: &str| before.targets(gear, &led[gear], output).unwrap_or_default();
                        Arc::new(Routes::queued(&cell.outputs, leads))
                    };
                    let stay = match before.circuit.gears[gear].terminus {
                        _ if !is_replaced => Stay::ToTheEnd,
                        // Nobody replies to what cannot be sent to; it would go on making messages beside the other.
                        Terminus::Io if cell.inputs.is_empty() => Stay::Leaves,
                        Terminus::Io => Stay::Lingers,
                        Terminus::Opaque | Terminus::Transparent => Stay::Leaves,
                    };
                    retirees.push(self.retiree(cell, routes, stay));
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

    fn retiree(&self, cell: Cell, routes: Arc<Routes>, stay: Stay) -> Retiree {
        let is_to_it = |visitor: &&Visitor| stay != Stay::Leaves && visitor.to.0 == cell.name;
        let to_it: Vec<&Visitor> = self.visitors.iter().filter(is_to_it).collect();
        let heirs: Vec<Arc<Notify>> = to_it.iter().map(|visitor| visitor.wire.bell()).collect();
        let from_it = self.visitors.iter().filter(|visitor| visitor.from == cell.name);
        let outgoing = from_it.map(|visitor| visitor.wire.clone()).collect();
        let intakes = to_it.iter().filter_map(|visitor| visitor.intake(0, &cell.inputs)).collect();
        let name = cell.name.clone();
        let segment = self.run(vec![(cell, routes)], (intakes, Vec::new()), true);
        let incoming = |(visitor, heir): (&Visitor, Arc<Notify>)| Incoming {
            wire: visitor.wire.clone(),
            port: visitor.to.1.clone(),
            heir,
            own: visitor.wire.bell(),
        };
        Retiree {
            incoming: to_it.into_iter().zip(heirs).map(incoming).collect(),
            outgoing,
            stay,
            name,
            segment,
        }
    }

    /// Stops what a draft had started; what that emitted becomes dead letters.
    pub(super) async fn abandon(&self, draft: Draft) {
        let Draft { assembly, made, .. } = draft;
        for (_, cell) in made {
            cell.stop(&self.shared).await;
        }
        for (wire, queues) in assembly.circuit.wires.iter().zip(&assembly.wires) {
            let [_, _, receiver, port] = assembly.circuit.ends(wire);
            let is_new = self.assembly.queues_of(&assembly.circuit, wire).is_none();
            for queue in queues.iter().filter(|_| is_new) {
                bury(queue, receiver, port, &self.shared).await;
            }
        }
    }
}

/// Drains gears one after the other, then stops them. At the deadline what is left becomes dead letters.
async fn finish(retirees: Vec<Retiree>, shared: &Shared) {
    let deadline = shared.world.clock.now() + shared.settings.drain_timeout;
    for Retiree { name, segment, stay, incoming, outgoing } in retirees {
        if stay == Stay::Lingers {
            shared.world.clock.sleep(LINGER).await;
        }
        if shared.world.clock.timeout_at(deadline, drained(&segment, &incoming, shared)).await.is_err() {
            tracing::warn!(gear = name, "a gear that was taken out did not finish in time");
        }
        for Incoming { wire, port, .. } in incoming.iter().filter(|_| stay == Stay::ToTheEnd) {
            bury(wire, &name, port, shared).await;
        }
        for cell in segment.leave(&shared.world, shared.settings.stop_timeout).await.unwrap_or_default() {
            stop(cell, shared).await;
        }
        // What is still sent to it is for the one in its place.
        for Incoming { wire, heir, own, .. } in &incoming {
            wire.reconnect(own, heir);
        }
        outgoing.iter().for_each(|wire| wire.close());
        tracing::info!(gear = name, "gear taken out");
    }
}

async fn drained(segment: &SegmentHandle, incoming: &[Incoming], shared: &Shared) {
    for Incoming { wire, .. } in incoming {
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
