//! Gears that share a task: messages that enter run to completion in it, hop after hop as plain calls.
//!
//! A batch stays together for as long as its messages do the same, so that a gear is entered once per batch. The common
//! path, [`Segment::advance`], is synchronous. Whatever must wait (a fault, a gear that waits) takes its turn on the
//! stack as an [`Exception`] and is handled by [`Segment::handle`].

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use flux_gear::{
    ControlEvent, Drain, Emission, Fault, Held, InPort, OutPort, Outbox, Step, Stretch, Waiting,
};
use flux_world::{Instant, planted};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

use crate::{
    cell::{Cell, State},
    rack::Shared,
    routes::Routes,
    wire::Wire,
};

mod faults;
mod onward;
mod patience;

use onward::{Exits, Onward, Todo, cross_into, cross_to};
pub(crate) use patience::Patience;
use patience::came_up;

/// A task that runs gears.
pub(crate) struct Segment {
    pub(crate) cells: Vec<Cell>,
    /// By cell: where its outputs lead.
    exits: Vec<Exits>,
    /// All wires that end here.
    intakes: Vec<Intake>,
    /// Wires of the circuit before that end here: what is still put into them comes before all else.
    visits: Vec<Intake>,
    /// Rings when one of them has something.
    bell: Arc<Notify>,
    heard: Heard,
    /// Connections that come up, while something waits.
    ups: Option<broadcast::Receiver<ControlEvent>>,
    /// The wire whose messages run.
    taking: Option<usize>,
    shared: Arc<Shared>,
    out: Outbox,
    onward: Onward,
    /// Messages taken since the task last let the others run.
    since_yield: usize,
    /// Whether messages were left to their gears for later, since the gears are wanted back: they come before others.
    is_set_aside: bool,
}

/// What a segment is told.
pub(crate) struct Heard {
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Whether its gears are wanted back, as soon as can be.
    pub(crate) recalled: watch::Receiver<bool>,
    /// Whether it waits for nobody any more: what a durable wire keeps goes back there.
    pub(crate) hurried: watch::Receiver<bool>,
}

/// The end of a wire, at a port of a gear of this segment.
pub(crate) struct Intake {
    pub(crate) wire: Arc<Wire>,
    pub(crate) cell: usize,
    pub(crate) port: InPort,
    /// The gear at which something waits that it brought: as long as it does, nothing more is taken.
    held_up_by: Option<usize>,
}

impl Intake {
    pub(crate) fn new(wire: Arc<Wire>, cell: usize, port: InPort) -> Intake {
        Intake { wire, cell, port, held_up_by: None }
    }
}

/// Messages a segment runs before it lets the other tasks of its core run.
const YIELD_AFTER_MESSAGES: usize = 512;

/// Messages about to be processed by one gear, in order.
struct Run {
    cell: usize,
    port: InPort,
    msgs: VecDeque<Held>,
}

/// A message about to be processed, or in the middle of it.
pub(crate) struct Work {
    cell: usize,
    port: InPort,
    msg: Held,
}

/// What a rack asks of a segment. Obeyed between batches, when no message is in hand.
pub(crate) enum Command {
    /// Tell a gear to drain.
    Drain { cell: usize, draining: oneshot::Sender<Draining> },
    /// Tell a gear to pause.
    Pause { cell: usize, within: Duration, draining: oneshot::Sender<Draining> },
    /// Tell a gear to go on after that.
    Resume { cell: usize, resumed: oneshot::Sender<()> },
    /// Reply once everything taken before is processed.
    Sync { done: oneshot::Sender<()> },
    /// Give the gears back and end, unless nobody waits for them any more.
    Leave { left: oneshot::Sender<Vec<Cell>> },
}

/// How far a gear is that was told to drain.
pub(crate) enum Draining {
    /// It has nothing in hand once this ends.
    Until(Drain),
    /// It has nothing in hand.
    Idle,
    /// It failed, and messages wait for it to be made again at this time.
    Down(Instant),
}

/// Why a gear did not take a message to the end of `process`.
enum Stop {
    NotUp,
    Fault(Fault),
    Panic,
}

/// Why a message could not simply go on.
enum Exception {
    Waits(Work, Waiting),
    Failed(Work, Fault),
    Panicked(Work),
    NotUp(Work),
    NoWire { cell: usize, strays: Vec<(OutPort, Held)> },
}

impl Segment {
    /// A segment of gears, each with where its outputs lead, and the wires that end at them.
    pub(crate) fn new(
        gears: Vec<(Cell, Arc<Routes>)>,
        (intakes, visits): (Vec<Intake>, Vec<Intake>),
        bell: Arc<Notify>,
        heard: Heard,
        shared: Arc<Shared>,
    ) -> Segment {
        let mut slots = 0;
        let exits = |routes: Arc<Routes>| {
            let slot = slots;
            slots += routes.slots;
            Exits { routes, slot }
        };
        let (cells, routes): (Vec<_>, Vec<_>) = gears.into_iter().unzip();
        let exits: Vec<_> = routes.into_iter().map(exits).collect();
        Segment {
            cells,
            exits,
            intakes,
            visits,
            bell,
            heard,
            ups: None,
            taking: None,
            shared,
            out: Outbox::new(),
            onward: Onward::new(slots),
            since_yield: 0,
            is_set_aside: false,
        }
    }

    /// Runs until told to leave; then gives its gears back.
    pub(crate) async fn run(mut self) {
        self.catch_up().await;
        loop {
            let due_at = self.cells.iter().filter_map(Cell::due_at).min();
            let clock = self.shared.world.clock;
            tokio::select! {
                biased;
                command = self.heard.commands.recv() => match command {
                    None => return,
                    Some(Command::Leave { left }) => match left.send(self.cells) {
                        Ok(()) => return,
                        Err(cells) => {
                            self.cells = cells;
                            self.catch_up().await;
                        }
                    },
                    Some(command) => self.obey(command),
                },
                () = async { clock.sleep_until(due_at.expect("guarded")).await }, if due_at.is_some() => {
                    self.do_what_is_due().await;
                }
                Ok(()) = self.heard.recalled.changed(), if self.is_set_aside => {
                    if !*self.heard.recalled.borrow() {
                        self.catch_up().await;
                    }
                }
                Ok(()) = self.heard.hurried.changed() => self.hurry(),
                gear = came_up(&mut self.ups), if self.ups.is_some() => self.try_again_at(gear.as_deref()).await,
                () = self.bell.notified(), if !self.is_set_aside => self.work().await,
            }
        }
    }

    /// Runs what the wires that end here owe, all of what is in those that are closed, and what comes of it; then gives
    /// the gears back. What leaves by other wires does not wait for room there: nobody takes from them meanwhile.
    pub(crate) async fn run_out(mut self) -> Vec<Cell> {
        self.onward.forces = true;
        self.intakes.iter().for_each(|intake| intake.wire.owe());
        self.catch_up().await;
        while self.intakes.iter().any(|intake| intake.wire.owes()) {
            self.work().await;
        }
        self.cells
    }

    /// Runs what its gears have waiting, last gear first: that of one further down was sent earlier.
    async fn catch_up(&mut self) {
        self.is_set_aside = false;
        for cell in (0..self.cells.len()).rev() {
            self.try_again(cell).await;
        }
    }

    fn obey(&mut self, command: Command) {
        // A reply nobody waits for is no loss: the rack has given up on this segment.
        match command {
            Command::Drain { cell, draining } => {
                let _ = draining.send(self.cells[cell].drain());
            }
            Command::Pause { cell, within, draining } => {
                let _ = draining.send(self.cells[cell].pause(within));
            }
            Command::Resume { cell, resumed } => {
                self.cells[cell].resume();
                let _ = resumed.send(());
            }
            Command::Sync { done } => {
                let _ = done.send(());
            }
            Command::Leave { .. } => {}
        }
    }

    async fn do_what_is_due(&mut self) {
        let now = self.shared.world.clock.now();
        for cell in 0..self.cells.len() {
            if self.cells[cell].due_at().is_some_and(|at| at <= now) {
                if self.cells[cell].restart_at().is_some() {
                    self.cells[cell].restart(&self.shared).await;
                }
                self.try_again(cell).await;
            }
        }
    }

    /// Takes a batch from every wire in turn, runs it, and lets the other tasks have the core.
    async fn work(&mut self) {
        let mut is_more = false;
        for at in 0..self.intakes.len() {
            if self.is_set_aside {
                is_more = true;
                break;
            }
            if self.intakes[at].wire.len() == 0 || self.is_held_up(at) {
                continue;
            }
            (self.taking, self.intakes[at].held_up_by) = (Some(at), None);
            let Intake { wire, cell, port, .. } = &self.intakes[at];
            let (cell, port, mut msgs) = (*cell, *port, self.onward.buffer());
            self.since_yield += wire.take(self.shared.settings.batch_messages_max, &mut msgs);
            // What was put into a wire of the circuit before, was so before these.
            if self.visits.iter().any(|visit| visit.wire.len() > 0) {
                self.receive().await;
            }
            self.onward.run(cell, port, msgs);
            self.run_stack().await;
            self.flush().await;
            self.taking = None;
            is_more |= self.intakes[at].wire.len() > 0 && !self.is_held_up(at);
        }
        self.receive().await;
        if is_more {
            self.bell.notify_one();
        }
        if self.since_yield >= YIELD_AFTER_MESSAGES {
            self.since_yield = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Runs what is in the wires of the circuit before.
    async fn receive(&mut self) {
        for at in 0..self.visits.len() {
            let Intake { wire, cell, port, .. } = &self.visits[at];
            if wire.len() == 0 {
                continue;
            }
            let (cell, port, mut msgs) = (*cell, *port, self.onward.buffer());
            self.since_yield += wire.take(usize::MAX, &mut msgs);
            self.onward.run(cell, port, msgs);
            self.run_stack().await;
            self.flush().await;
        }
    }

    /// Does what is on the stack, until all is done. When something took its time and the gears are wanted back, what is next to
    /// be run is left to them for later, and so is whatever comes before that has its turn.
    async fn run_stack(&mut self) {
        while let Some(todo) = self.onward.stack.pop() {
            match todo {
                Todo::Run(Run { cell, port, msgs }) if self.is_set_aside => {
                    self.cells[cell].pending.extend(msgs.into_iter().map(|msg| (port, msg)));
                }
                Todo::Run(run) => self.advance(run),
                Todo::Exception(exception) => {
                    self.handle(*exception).await;
                    self.is_set_aside |= *self.heard.recalled.borrow();
                }
            }
            if self.onward.waiting_to_cross >= self.shared.settings.batch_messages_max {
                self.cross().await;
            }
        }
    }

    /// Takes messages through one gear, up to the first that does not do as those before it.
    fn advance(&mut self, mut run: Run) {
        if self.cells[run.cell].patience.is_some() {
            self.queue_up(&mut run);
        }
        let mut stretch = Stretch::new(&self.shared.limits);
        let step = self.process(&mut run, &mut stretch);
        let Run { cell, port, mut msgs } = run;
        if stretch.messages == msgs.len() && matches!(step, Ok(Step::Done)) {
            return self.pass(cell, stretch.port, msgs);
        }
        let mut passed = self.onward.buffer();
        passed.extend(msgs.drain(..stretch.messages));
        let other = msgs.pop_front().map(|msg| Work { cell, port, msg });
        // Others use the outbox before a failed attempt has its turn.
        if !matches!(step, Ok(Step::Done)) {
            self.out.clear();
        }
        // What comes first goes on top.
        if msgs.is_empty() {
            self.onward.recycle(msgs);
        } else {
            self.onward.stack.push(Todo::Run(Run { cell, port, msgs }));
        }
        let bottom = self.onward.stack.len();
        self.pass(cell, stretch.port, passed);
        let first = self.onward.stack.len() - bottom;
        match (other, step) {
            (Some(work), Ok(Step::Done)) => self.route(work),
            (Some(work), Ok(Step::Wait(rest))) => self.onward.except(Exception::Waits(work, rest)),
            (Some(work), Err(Stop::Fault(fault))) => self.onward.except(Exception::Failed(work, fault)),
            (Some(work), Err(Stop::Panic)) => self.onward.except(Exception::Panicked(work)),
            (Some(work), Err(Stop::NotUp)) => self.onward.except(Exception::NotUp(work)),
            (None, _) => {}
        }
        // What passed crossed first and was put down first: it also runs first.
        if !planted("failed_overtaken") {
            self.onward.stack[bottom..].rotate_left(first);
        }
    }

    /// Has the gear process messages, and counts them.
    fn process(&mut self, run: &mut Run, stretch: &mut Stretch) -> Result<Step, Stop> {
        let cell = &mut self.cells[run.cell];
        let State::Up(gear) = &mut cell.state else { return Err(Stop::NotUp) };
        let (msgs, out) = (run.msgs.make_contiguous(), &mut self.out);
        let clock = self.shared.world.clock;
        let began = cell.tally.is_timed(msgs.len()).then(|| clock.now());
        let step = catch_unwind(AssertUnwindSafe(|| gear.process_stretch(run.port, msgs, out, stretch)));
        let tried = msgs.len().min(stretch.messages + 1);
        if let Some(began) = began {
            let spent = clock.now().saturating_duration_since(began);
            cell.counters.latency.record(spent / u32::try_from(tried).unwrap_or(u32::MAX));
        }
        if stretch.messages > 0 {
            cell.suspect = None;
        }
        cell.tally.processed += tried as u64;
        if stretch.port.is_some() {
            cell.tally.emitted += stretch.messages as u64;
        }
        match step {
            Ok(Ok(step)) => Ok(step),
            Ok(Err(fault)) => Err(Stop::Fault(fault)),
            Err(_) => Err(Stop::Panic),
        }
    }

    /// Sends messages that all left by the same port on their way, or ends them.
    fn pass(&mut self, cell: usize, port: Option<OutPort>, mut msgs: VecDeque<Held>) {
        let Some(port) = port.filter(|_| !msgs.is_empty()) else {
            msgs.drain(..).for_each(Held::end);
            return self.onward.recycle(msgs);
        };
        let Exits { routes, slot } = &self.exits[cell];
        match routes.targets(port) {
            [targets @ .., last] => {
                let bottom = self.onward.stack.len();
                for target in targets {
                    let mut copies = self.onward.buffer();
                    copies.extend(msgs.iter().map(|held| Held::new(held.msg().clone())));
                    self.onward.forward(*slot, target, copies);
                }
                self.onward.forward(*slot, last, msgs);
                self.onward.stack[bottom..].reverse();
            }
            [] => {
                let strays = msgs.drain(..).map(|held| (port, held)).collect();
                self.onward.except(Exception::NoWire { cell, strays });
            }
        }
    }

    /// Sends what a gear emitted for one message on its way; that message is done with, unless it was forwarded.
    fn route(&mut self, work: Work) {
        let bottom = self.onward.stack.len();
        let cell = &mut self.cells[work.cell];
        cell.suspect = None;
        let mut strays = Vec::new();
        let mut from = Some(work.msg.release());
        let mut emissions = self.out.drain();
        cell.tally.emitted += emissions.len() as u64;
        while let Some((port, emission)) = emissions.next() {
            let msg = match emission {
                Emission::Forwarded if emissions.len() == 0 => from.take().expect("taken last"),
                Emission::Forwarded => from.clone().expect("not the last"),
                Emission::Made(mut msg) => {
                    msg.inherit_lease(from.as_ref().expect("not the last"));
                    msg
                }
            };
            if let Some(msg) = self.onward.send(&self.exits[work.cell], port, msg) {
                strays.push((port, Held::new(msg)));
            }
        }
        if !strays.is_empty() {
            self.onward.except(Exception::NoWire { cell: work.cell, strays });
        }
        // The first emission runs first, and to its end.
        self.onward.stack[bottom..].reverse();
    }

    /// Hands over what waits to cross, waiting for room, so that back-pressure reaches this segment's own wires.
    async fn cross(&mut self) {
        for Exits { routes, slot } in &self.exits {
            for target in routes.all() {
                for shard in 0..target.shards() {
                    let waiting = &mut self.onward.crossings[slot + target.slot + shard];
                    if !waiting.is_empty() {
                        match &target.durable {
                            None if self.onward.forces => target.wires[shard].force(waiting),
                            None => cross_to(&target.wires[shard], waiting, &mut self.heard.recalled).await,
                            Some(durable) => cross_into(durable, waiting, &mut self.heard.recalled).await,
                        }
                    }
                }
            }
        }
        self.onward.waiting_to_cross = 0;
    }

    /// Ends a batch: everything has crossed and is counted.
    async fn flush(&mut self) {
        if self.onward.waiting_to_cross > 0 {
            self.cross().await;
        }
        self.cells.iter_mut().for_each(Cell::flush_tally);
        for Exits { routes, slot } in &self.exits {
            for target in routes.all() {
                let tally = std::mem::take(&mut self.onward.fused_tally[slot + target.slot]);
                if tally > 0 {
                    target.wires[0].counters.called(tally);
                }
            }
        }
    }
}
