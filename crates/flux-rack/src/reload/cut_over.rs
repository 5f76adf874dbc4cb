//! The point of no return: wires lead where the draft says, and gears go on in their new segments.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
};

use flux_gear::{Held, InPort};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

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
    pub(super) async fn cut_over(&mut self, draft: Draft, mut standing: Standing) -> Vec<DeadLetter> {
        let Draft { assembly, untouched, routes, mut made, .. } = draft;
        let before = std::mem::replace(&mut self.assembly, assembly);
        let led: Vec<_> = (0..before.seats.len()).map(|gear| before.routes(gear)).collect();
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
        let ending = self.ending(&before);
        self.run_out(&before, &led, &ending, &mut next, &mut standing).await;
        strays.extend(self.end_wires(&before, &ending, &mut next, &mut standing));
        let mut segments: Vec<_> = std::mem::take(&mut self.segments).into_iter().map(Some).collect();
        for (at, untouched) in untouched.into_iter().enumerate() {
            let goes_on = untouched.and_then(|was| segments[was].take());
            let segment = goes_on.or_else(|| self.spawn(at, &mut next));
            self.segments.extend(segment);
        }
        self.retire(&before, standing);
        strays
    }

    /// The wires of the assembly before that are no longer in this one, or are calls in it, and which of both. A call
    /// would overtake what is in the queue.
    fn ending(&self, before: &Assembly) -> Vec<(usize, bool)> {
        let wires = before.wires.iter().enumerate();
        wires
            .filter_map(|(at, queues)| {
                match self.assembly.wires.iter().position(|others| is_same(others, queues)) {
                    None => Some((at, false)),
                    Some(now) if self.assembly.circuit.wires[now].fused => Some((at, true)),
                    Some(_) => None,
                }
            })
            .collect()
    }

    /// Runs what is in wires that end, so that what comes by the new ones does not overtake it: along the old wires,
    /// by all gears that stand still, those that are to go as well.
    async fn run_out(
        &self,
        before: &Assembly,
        led: &[Arc<Routes>],
        ending: &[(usize, bool)],
        next: &mut Standing,
        retiring: &mut Standing,
    ) {
        if ending.iter().all(|&(at, _)| before.wires[at].iter().all(|queue| queue.len() == 0)) {
            return;
        }
        let mut gears: Vec<(Cell, Arc<Routes>)> = Vec::new();
        let mut names = Vec::new();
        for &gear in &before.circuit.drain_order {
            let name = &before.circuit.gears[gear].name;
            for number in 0..before.seats[gear].places.len() {
                let key = (name.clone(), number);
                let Some(cell) = next.remove(&key).or_else(|| retiring.remove(&key)) else { continue };
                let routes = self.assembly.along(&led[gear], &before.circuit.gears[gear], &cell.outputs);
                gears.push((cell, Arc::new(routes)));
                names.push(key);
            }
        }
        let mut intakes = Vec::new();
        for &(at, _) in ending {
            let [.., receiver, port] = ends(&before.circuit, &before.circuit.wires[at]);
            for (number, queue) in before.wires[at].iter().enumerate() {
                let cell = names.iter().position(|name| (name.0.as_str(), name.1) == (receiver, number));
                let Some(cell) = cell else { continue };
                let port = gears[cell].0.inputs.iter().position(|input| input == port);
                let port = port.map(|port| InPort(port_number(port)));
                intakes.extend(port.map(|port| Intake { wire: queue.clone(), cell, port }));
            }
        }
        let until = self.shared.world.clock.now() + self.shared.settings.process_timeout;
        let (segment, _) = self.segment(gears, intakes);
        for (name, cell) in names.into_iter().zip(Box::pin(segment.run_out(until)).await) {
            let stays = self.assembly.gear(&name.0).is_some();
            if stays {
                next.insert(name, cell)
            } else {
                retiring.insert(name, cell)
            };
        }
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
        let (segment, handle) = self.segment(gears, intakes);
        handle(tokio::spawn(segment.run()))
    }

    /// A segment, and how to reach it once it runs.
    fn segment(
        &self,
        gears: Vec<(Cell, Arc<Routes>)>,
        intakes: Vec<Intake>,
    ) -> (Segment, impl FnOnce(JoinHandle<()>) -> SegmentHandle + use<>) {
        let (bell, recalled) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        intakes.iter().for_each(|intake| intake.wire.connect(&bell));
        let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
        let segment = Segment::new(gears, intakes, bell, obeyed, recalled.clone(), self.shared.clone());
        (segment, |task| SegmentHandle { commands, recalled, task })
    }

    /// Leaves what is in wires that end to their receivers. A wire from a gear that retires goes on until it has.
    fn end_wires(
        &mut self,
        before: &Assembly,
        ending: &[(usize, bool)],
        next: &mut Standing,
        retiring: &mut Standing,
    ) -> Vec<DeadLetter> {
        let mut strays = Vec::new();
        for &(at, is_called) in ending {
            let ends = ends(&before.circuit, &before.circuit.wires[at]);
            let [sender, _, receiver, port] = ends.map(str::to_owned);
            let from_retiree = retiring.iter().any(|((name, _), cell)| *name == sender && cell.is_up());
            for (number, queue) in before.wires[at].iter().enumerate() {
                if from_retiree && !is_called {
                    let to = (receiver.clone(), port.clone());
                    self.visitors.push(Visitor { wire: queue.clone(), from: sender.clone(), to });
                    continue;
                }
                if !is_called {
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
