//! The point of no return: wires lead where the draft says, and gears go on in their new segments.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use flux_gear::{Held, InPort, Key};
use flux_world::planted;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};

use super::{Standing, Visitor};
use crate::{
    assembly::{Assembly, Instance, port_number},
    cell::Cell,
    dead_letters::DeadLetter,
    draft::{Draft, partition_key},
    rack::{Rack, SegmentHandle},
    routes::{Routes, shard},
    segment::{Heard, Intake, Segment},
    wire::Wire,
};

/// Commands a segment may have waiting.
const COMMANDS_MAX: usize = 16;

/// A cut-over under way: every gear concerned stands still.
struct CutOver {
    before: Assembly,
    /// By gear of the assembly before: where it led.
    led: Vec<Arc<Routes>>,
    /// Gears of the new assembly.
    next: Standing,
    /// Those that are in it no more, or that another has replaced.
    leaving: Standing,
    /// What was on its way to a port that is no more.
    strays: Vec<DeadLetter>,
}

/// A wire of the assembly before that messages may not be left in.
#[derive(Clone, Copy)]
struct Ending {
    wire: usize,
    why: Why,
}

#[derive(Clone, Copy, PartialEq)]
enum Why {
    /// It is in the new assembly no more.
    Gone,
    /// The same, but its sender still has to finish what it has.
    SenderRetires,
    /// It is a call now, which would overtake what is in the queue.
    IsCall,
}

impl Rack {
    /// Becomes what the draft says. Returns what was on its way to a port that is no more.
    pub(super) async fn cut_over(&mut self, draft: Draft, standing: Standing) -> Vec<DeadLetter> {
        let Draft { assembly, untouched, routes, made, .. } = draft;
        let before = std::mem::replace(&mut self.assembly, assembly);
        let led = (0..before.seats.len()).map(|gear| before.routes(gear)).collect();
        let mut cut = CutOver { before, led, next: Standing::new(), leaving: standing, strays: Vec::new() };
        self.switch_patchbays(&cut.before, routes);
        self.seat(&mut cut, made);
        self.feed();
        let ending = self.ending(&cut);
        // Once while those whose push was under way still get theirs in, and once more when nobody can.
        self.run_out(&mut cut, &ending).await;
        for gone in ending.iter().filter(|ending| ending.why == Why::Gone) {
            cut.before.wires[gone.wire].iter().for_each(|queue| queue.close());
        }
        self.run_out(&mut cut, &ending).await;
        self.regroup(&mut cut);
        self.end_wires(&mut cut, &ending);
        // Before anything newer is taken from their wires.
        cut.leaving.values_mut().for_each(Cell::give_back_patient);
        let mut segments: Vec<_> = std::mem::take(&mut self.segments).into_iter().map(Some).collect();
        for (at, untouched) in untouched.into_iter().enumerate() {
            let goes_on = untouched.and_then(|was| segments[was].take());
            let segment = goes_on.or_else(|| self.spawn(at, &mut cut.next));
            self.segments.extend(segment);
        }
        self.retire(&cut.before, &cut.led, cut.leaving);
        cut.strays
    }

    /// From here on what gears' own tasks emit goes the new ways, also what those of a replaced gear still emit.
    fn switch_patchbays(&self, before: &Assembly, routes: Vec<Arc<Routes>>) {
        for (gear, routes) in routes.into_iter().enumerate() {
            let was = before.gear(&self.assembly.circuit.gears[gear].name);
            let patchbay = &self.assembly.seats[gear].patchbay;
            if let Some(was) = was.filter(|&was| !Arc::ptr_eq(&before.seats[was].patchbay, patchbay)) {
                let leads = |output: &str| self.assembly.targets(gear, &routes, output).unwrap_or_default();
                let translated = Routes::queued(&before.circuit.gears[was].outputs, leads);
                before.seats[was].patchbay.store(Arc::new(translated));
            }
            patchbay.store(routes);
        }
    }

    /// Gathers the gears of the new assembly: those that are kept, and those made, with what waited for the ones they
    /// replace.
    fn seat(&self, cut: &mut CutOver, mut made: BTreeMap<Instance, Cell>) {
        for &member in self.assembly.layout.iter().flatten() {
            let name = self.assembly.name(member);
            let Some(cell) = made.remove(&member) else {
                cut.next.extend(cut.leaving.remove_entry(&name));
                continue;
            };
            cut.next.insert(name.clone(), cell);
            let (Some(old), Some(new)) = (cut.leaving.get_mut(&name), cut.next.get_mut(&name)) else {
                continue;
            };
            old.patience = None;
            for (port, msg) in std::mem::take(&mut old.pending) {
                if planted("waiting_left_behind") {
                    continue;
                }
                let port = old.inputs.get(usize::from(port.0)).map_or("", String::as_str);
                match new.inputs.iter().position(|input| input == port) {
                    Some(at) => new.pending.push_back((InPort(port_number(at)), msg)),
                    None => cut.strays.push(self.stray(msg, &name.0, port)),
                }
            }
        }
    }

    /// Leaves what waits for an instance that no longer gets messages of that key to the one that does, once nothing is left in
    /// the wires that could be overtaken by that.
    fn regroup(&self, cut: &mut CutOver) {
        let mut moving = Vec::new();
        for (name, cell) in cut.next.iter_mut().chain(&mut cut.leaving) {
            let Some(gear) = self.assembly.gear(&name.0) else { continue };
            let instances = self.assembly.seats[gear].places.len();
            let Some(key) = self.key(gear) else { continue };
            let inputs = cell.inputs.clone();
            let is_at_home = |held: &Held| shard(Some(&key), instances, held.msg()) == name.1;
            let (stay, go): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut cell.pending).into_iter().partition(|(_, held)| is_at_home(held));
            if !go.is_empty() {
                cell.patience = None;
            }
            cell.pending = stay;
            for (port, msg) in go {
                moving.push((
                    name.clone(),
                    inputs.get(usize::from(port.0)).cloned().unwrap_or_default(),
                    msg,
                ));
            }
        }
        for (name, port, msg) in moving {
            self.leave_to(cut, &name, &port, [msg].into());
        }
    }

    fn key(&self, gear: usize) -> Option<Key> {
        partition_key(&self.assembly.circuit.gears[gear]).expect("the draft has read it")
    }

    fn stray(&self, msg: Held, gear: &str, port: &str) -> DeadLetter {
        DeadLetter::gone(msg.release(), gear, port, self.shared.world.clock.unix_ns())
    }

    fn ending(&self, cut: &CutOver) -> Vec<Ending> {
        let wires = cut.before.wires.iter().enumerate();
        wires
            .filter_map(|(wire, queues)| {
                let now = self.assembly.wires.iter().position(|others| is_same(others, queues));
                let [sender, ..] = cut.before.circuit.ends(&cut.before.circuit.wires[wire]);
                let is_sender =
                    |((name, _), cell): (&(String, usize), &Cell)| name == sender && cell.has_work();
                let why = match now {
                    Some(now) if self.assembly.circuit.wires[now].fused => Why::IsCall,
                    Some(_) => return None,
                    None if self.assembly.gear(sender).is_none() && cut.leaving.iter().any(is_sender) => {
                        Why::SenderRetires
                    }
                    None => Why::Gone,
                };
                Some(Ending { wire, why })
            })
            .collect()
    }

    /// Runs what is in wires that end, so that what comes by the new ones does not overtake it: along the old wires,
    /// by all gears that stand still, those that are to go as well.
    async fn run_out(&self, cut: &mut CutOver, ending: &[Ending]) {
        let queues = ending.iter().flat_map(|ending| &cut.before.wires[ending.wire]);
        // What a gear that goes has put off comes before what takes the shorter way from now on.
        let has_put_off = cut.leaving.values().any(|cell| cell.is_up() && !cell.pending.is_empty());
        if queues.map(|queue| queue.len()).sum::<usize>() == 0 && !has_put_off {
            return;
        }
        let CutOver { before, led, next, leaving, .. } = cut;
        let mut gears: Vec<(Cell, Arc<Routes>)> = Vec::new();
        let mut names = Vec::new();
        for &gear in &before.circuit.drain_order {
            let name = &before.circuit.gears[gear].name;
            let now = self.assembly.gear(name).map(|now| (now, self.assembly.routes(now)));
            for number in 0..before.seats[gear].places.len() {
                let key = (name.clone(), number);
                let Some(cell) = next.remove(&key).or_else(|| leaving.remove(&key)) else { continue };
                let new = |output: &str| {
                    now.as_ref().and_then(|(now, routes)| self.assembly.targets(*now, routes, output))
                };
                let leads = |output: &str| before.targets(gear, &led[gear], output).or_else(|| new(output));
                let routes = Routes::queued(&cell.outputs, |output| leads(output).unwrap_or_default());
                gears.push((cell, Arc::new(routes)));
                names.push(key);
            }
        }
        let mut intakes = Vec::new();
        for ending in ending {
            let [.., receiver, port] = before.circuit.ends(&before.circuit.wires[ending.wire]);
            for (number, queue) in before.wires[ending.wire].iter().enumerate() {
                let cell = names.iter().position(|name| (name.0.as_str(), name.1) == (receiver, number));
                let Some(cell) = cell else { continue };
                let port = gears[cell].0.inputs.iter().position(|input| input == port);
                let port = port.map(|port| InPort(port_number(port)));
                intakes.extend(port.map(|port| Intake::new(queue.clone(), cell, port)));
            }
        }
        let (segment, _) = self.segment(gears, (intakes, Vec::new()), false);
        for (name, cell) in names.into_iter().zip(Box::pin(segment.run_out()).await) {
            let stays = self.assembly.gear(&name.0).is_some();
            let standing = if stays { &mut *next } else { &mut *leaving };
            standing.insert(name, cell);
        }
    }

    /// Leaves what is still in wires that end to their receivers. A wire from a gear that retires goes on until it has.
    fn end_wires(&mut self, cut: &mut CutOver, ending: &[Ending]) {
        for &Ending { wire, why } in ending {
            let ends = cut.before.circuit.ends(&cut.before.circuit.wires[wire]);
            let [sender, _, receiver, port] = ends.map(str::to_owned);
            let led = cut.before.circuit.wires[wire].from.gear().map(|gear| &cut.led[gear]);
            let held = led.map(Arc::downgrade).unwrap_or_default();
            for (number, queue) in cut.before.wires[wire].clone().into_iter().enumerate() {
                let mut left = VecDeque::new();
                if why != Why::SenderRetires {
                    queue.take(usize::MAX, &mut left);
                }
                self.leave_to(cut, &(receiver.clone(), number), &port, left);
                if why != Why::IsCall {
                    let (to, from, held) = ((receiver.clone(), port.clone()), sender.clone(), held.clone());
                    self.visitors.push(Visitor { wire: queue, from, held, to });
                }
            }
        }
    }

    /// Leaves messages to a gear, to be processed before all others, if it has that port: to the instance that gets those of
    /// their keys from now on.
    fn leave_to(
        &self,
        cut: &mut CutOver,
        (name, number): &(String, usize),
        port: &str,
        msgs: VecDeque<Held>,
    ) {
        let now = self.assembly.gear(name);
        let standing = if now.is_some() { &mut cut.next } else { &mut cut.leaving };
        let instances = now.map_or(1, |gear| self.assembly.seats[gear].places.len());
        let key = now.and_then(|gear| {
            partition_key(&self.assembly.circuit.gears[gear]).expect("the draft has read it")
        });
        let same = if standing.contains_key(&(name.clone(), *number)) { *number } else { 0 };
        for msg in msgs {
            let number = if key.is_some() { shard(key.as_ref(), instances, msg.msg()) } else { same };
            if let Some(cell) = standing.get_mut(&(name.clone(), number))
                && let Some(at) = cell.inputs.iter().position(|input| input == port)
            {
                cell.pending.push_back((InPort(port_number(at)), msg));
                continue;
            }
            cut.strays.push(self.stray(msg, name, port));
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
        let mut visits = Vec::new();
        for (cell, (gear, _)) in gears.iter().enumerate() {
            let visitors = self.visitors.iter().filter(|visitor| visitor.to.0 == gear.name);
            visits.extend(visitors.filter_map(|visitor| visitor.intake(cell, &gear.inputs)));
        }
        Some(self.run(gears, (self.assembly.intakes(at), visits), false))
    }

    /// Runs gears in a segment of their own. One in a hurry waits for nobody.
    pub(super) fn run(
        &self,
        gears: Vec<(Cell, Arc<Routes>)>,
        ends: (Vec<Intake>, Vec<Intake>),
        is_hurried: bool,
    ) -> SegmentHandle {
        let (segment, handle) = self.segment(gears, ends, is_hurried);
        handle(tokio::spawn(segment.run()))
    }

    /// A segment, and how to reach it once it runs.
    fn segment(
        &self,
        gears: Vec<(Cell, Arc<Routes>)>,
        ends: (Vec<Intake>, Vec<Intake>),
        is_hurried: bool,
    ) -> (Segment, impl FnOnce(JoinHandle<()>) -> SegmentHandle + use<>) {
        let (bell, (recalled, heard)) = (Arc::new(Notify::new()), watch::channel(false));
        ends.0.iter().chain(&ends.1).for_each(|intake| intake.wire.connect(&bell));
        let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
        let (hurried, hastened) = watch::channel(is_hurried);
        let heard = Heard { commands: obeyed, recalled: heard, hurried: hastened };
        let segment = Segment::new(gears, ends, bell, heard, self.shared.clone());
        (segment, |task| SegmentHandle { commands, recalled, hurried, task })
    }
}

fn is_same(queues: &[Arc<Wire>], others: &[Arc<Wire>]) -> bool {
    queues.len() == others.len() && queues.iter().zip(others).all(|(a, b)| Arc::ptr_eq(a, b))
}
