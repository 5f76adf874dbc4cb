//! The point of no return: wires lead where the draft says, and gears go on in their new segments.

use std::{collections::VecDeque, sync::Arc};

use flux_gear::{Held, InPort};
use tokio::sync::{Notify, mpsc};

use super::{Standing, Visitor};
use crate::{
    assembly::{Assembly, ends, port_number},
    cell::Cell,
    dead_letters::DeadLetter,
    draft::Draft,
    rack::{Rack, SegmentHandle},
    routes::Routes,
    segment::{Intake, Segment},
    wire::Wire,
};

/// Commands a segment may have waiting.
const COMMANDS_MAX: usize = 16;

impl Rack {
    /// Becomes what the draft says. Returns what was on its way to a port that is no more.
    pub(super) fn cut_over(&mut self, draft: Draft, mut standing: Standing) -> Vec<DeadLetter> {
        let Draft { assembly, untouched, routes, mut made, .. } = draft;
        let before = std::mem::replace(&mut self.assembly, assembly);
        for (seat, routes) in self.assembly.seats.iter().zip(routes) {
            seat.patchbay.store(routes);
        }
        let mut strays = Vec::new();
        let mut next = Standing::new();
        for &member in self.assembly.layout.iter().flatten() {
            let name = self.assembly.name(member);
            let Some(cell) = made.remove(&member) else {
                next.extend(standing.remove_entry(&name));
                continue;
            };
            next.insert(name.clone(), cell);
            if let Some(old) = standing.get_mut(&name) {
                for (port, msg) in std::mem::take(&mut old.pending) {
                    let port = old.inputs.get(usize::from(port.0)).cloned().unwrap_or_default();
                    strays.extend(self.leave_to(&mut next, &name, &port, [msg].into()));
                }
            }
        }
        strays.extend(self.end_wires(&before, &mut next, &mut standing));
        let mut segments: Vec<_> = std::mem::take(&mut self.segments).into_iter().map(Some).collect();
        for (at, untouched) in untouched.into_iter().enumerate() {
            let goes_on = untouched.and_then(|was| segments[was].take());
            let segment = goes_on.or_else(|| self.spawn(at, &mut next));
            self.segments.extend(segment);
        }
        self.retire(&before, standing);
        strays
    }

    /// Starts a segment of the assembly with its gears, if they are there.
    pub(super) fn spawn(&self, at: usize, from: &mut Standing) -> Option<SegmentHandle> {
        let members = self.assembly.layout[at].iter();
        let gears: Vec<_> = members
            .filter_map(|&member| {
                Some((from.remove(&self.assembly.name(member))?, self.assembly.routes(member.gear)))
            })
            .collect();
        if gears.is_empty() {
            return None;
        }
        let mut intakes = self.assembly.intakes(at);
        for (cell, (gear, _)) in gears.iter().enumerate() {
            let visitors = self.visitors.iter().filter(|visitor| visitor.to.0 == gear.name);
            intakes.extend(visitors.filter_map(|visitor| visitor.intake(cell, &gear.inputs)));
        }
        Some(self.run(gears, intakes))
    }

    /// Runs gears in a segment of their own.
    pub(super) fn run(&self, gears: Vec<(Cell, Arc<Routes>)>, intakes: Vec<Intake>) -> SegmentHandle {
        let bell = Arc::new(Notify::new());
        intakes.iter().for_each(|intake| intake.wire.connect(&bell));
        let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
        let segment = Segment::new(gears, intakes, bell, obeyed, self.shared.clone());
        SegmentHandle { commands, task: tokio::spawn(segment.run()) }
    }

    /// Leaves what is in wires that go, or that become calls, to their receivers. A wire from a gear that retires goes
    /// on until it has.
    fn end_wires(
        &mut self,
        before: &Assembly,
        next: &mut Standing,
        retiring: &mut Standing,
    ) -> Vec<DeadLetter> {
        let mut strays = Vec::new();
        for (wire, queues) in before.circuit.wires.iter().zip(&before.wires) {
            let [sender, _, receiver, port] = ends(&before.circuit, wire).map(str::to_owned);
            let goes_on = self.assembly.wires.iter().position(|others| is_same(others, queues));
            let becomes_calls =
                goes_on.is_some_and(|at| self.assembly.circuit.wires[at].fused) && !wire.fused;
            if goes_on.is_some() && !becomes_calls {
                continue;
            }
            let from_retiree = retiring.iter().any(|((name, _), cell)| *name == sender && cell.is_up());
            for (number, queue) in queues.iter().enumerate() {
                if goes_on.is_none() && from_retiree {
                    let to = (receiver.clone(), port.clone());
                    self.visitors.push(Visitor { wire: queue.clone(), from: sender.clone(), to });
                    continue;
                }
                if goes_on.is_none() {
                    queue.close();
                }
                let mut left = VecDeque::new();
                queue.take(usize::MAX, &mut left);
                let name = (receiver.clone(), number);
                let heirs = if self.assembly.gear(&receiver).is_some() { &mut *next } else { &mut *retiring };
                strays.extend(self.leave_to(heirs, &name, &port, left));
            }
        }
        strays
    }

    /// Leaves messages to a gear, to be processed before all others; gives them back where it has no such port.
    fn leave_to(
        &self,
        heirs: &mut Standing,
        (name, number): &(String, usize),
        port: &str,
        msgs: VecDeque<Held>,
    ) -> Vec<DeadLetter> {
        let key = (name.clone(), *number);
        let key = if heirs.contains_key(&key) { key } else { (name.clone(), 0) };
        if let Some(cell) = heirs.get_mut(&key)
            && let Some(at) = cell.inputs.iter().position(|input| input == port)
        {
            cell.pending.extend(msgs.into_iter().map(|msg| (InPort(port_number(at)), msg)));
            return Vec::new();
        }
        let unix_ns = self.shared.world.clock.unix_ns();
        let gone = |msg: Held| DeadLetter::gone(msg.release(), name, port, unix_ns);
        msgs.into_iter().map(gone).collect()
    }
}

fn is_same(queues: &[Arc<Wire>], others: &[Arc<Wire>]) -> bool {
    queues.len() == others.len() && queues.iter().zip(others).all(|(a, b)| Arc::ptr_eq(a, b))
}
