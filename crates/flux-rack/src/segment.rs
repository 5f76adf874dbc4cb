//! Gears that share a task: a message that enters runs to completion in it, hop after hop as plain calls.
//!
//! The common path, [`Segment::step`], is synchronous. Whatever must wait (a fault, a full wire, a gear that waits)
//! leaves it as an [`Exception`] and is handled by [`Segment::handle`].

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use flux_gear::{Drain, Emission, Fault, FluxMsg, Held, InPort, OutPort, Outbox, Step, Waiting};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    cell::{Cell, State, TIMED_ONE_IN},
    rack::Shared,
    routes::{Routes, Target},
    wire::Wire,
};

mod faults;

/// A task that runs gears.
pub(crate) struct Segment {
    pub(crate) cells: Vec<Cell>,
    /// All wires that end here.
    intake: Vec<Arc<Wire>>,
    /// Rings when one of them has something.
    bell: Arc<Notify>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    out: Outbox,
    onward: Onward,
    /// Messages taken since the task last let the others run.
    since_yield: usize,
}

/// Messages a segment runs before it lets the other tasks of its core run.
const YIELD_AFTER_MESSAGES: usize = 512;

/// Where messages go from a gear: on this segment's stack, or to the edge of the segment.
struct Onward {
    /// What is still to be processed of the message that runs; the next on top.
    stack: Vec<Work>,
    /// By slot: what waits to cross to another segment, and how many went to a fused gear.
    crossings: Vec<Vec<Held>>,
    fused_tally: Vec<u64>,
    waiting_to_cross: usize,
}

/// A message about to be processed.
pub(crate) struct Work {
    cell: usize,
    port: InPort,
    msg: Held,
}

/// What a rack asks of a segment. Obeyed between batches, when no message is in hand.
pub(crate) enum Command {
    /// Start a gear.
    Start { cell: usize, started: oneshot::Sender<Result<(), Fault>> },
    /// Tell a gear to drain; the reply ends when it has nothing in hand. A gear that is down has nothing.
    Drain { cell: usize, draining: oneshot::Sender<Option<Drain>> },
    /// Reply once everything taken before is processed.
    Sync { done: oneshot::Sender<()> },
    /// Give the gears back and end.
    Leave,
}

/// Why a message could not simply go on.
enum Exception {
    Waits(Work, Waiting),
    Failed(Work, Fault),
    Panicked(Work),
    NotUp(Work),
    NoWire { cell: usize, strays: Vec<(OutPort, FluxMsg)> },
}

impl Segment {
    pub(crate) fn new(
        cells: Vec<Cell>,
        intake: Vec<Arc<Wire>>,
        bell: Arc<Notify>,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
        slots: usize,
    ) -> Segment {
        Segment {
            cells,
            intake,
            bell,
            commands,
            shared,
            out: Outbox::new(),
            onward: Onward {
                stack: Vec::new(),
                crossings: std::iter::repeat_with(Vec::new).take(slots).collect(),
                fused_tally: vec![0; slots],
                waiting_to_cross: 0,
            },
            since_yield: 0,
        }
    }

    /// Runs until told to leave; then gives its gears back.
    pub(crate) async fn run(mut self) -> Vec<Cell> {
        let mut batch = VecDeque::new();
        loop {
            let restart_at = self.cells.iter().filter_map(Cell::restart_at).min();
            let clock = self.shared.world.clock;
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    None | Some(Command::Leave) => return self.cells,
                    Some(command) => self.obey(command).await,
                },
                () = async { clock.sleep_until(restart_at.expect("guarded")).await }, if restart_at.is_some() => {
                    self.restart_due().await;
                }
                () = self.bell.notified() => self.work(&mut batch).await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // A reply nobody waits for is no loss: the rack has given up on this segment.
        match command {
            Command::Start { cell, started } => {
                let result = self.cells[cell].start(&self.shared).await;
                self.deliver_pending(cell).await;
                let _ = started.send(result);
            }
            Command::Drain { cell, draining } => {
                let drain = match &mut self.cells[cell].state {
                    State::Made(gear) | State::Up(gear) => {
                        catch_unwind(AssertUnwindSafe(|| gear.drain())).ok()
                    }
                    State::Down(_) => None,
                };
                let _ = draining.send(drain);
            }
            Command::Sync { done } => {
                let _ = done.send(());
            }
            Command::Leave => {}
        }
    }

    async fn restart_due(&mut self) {
        let now = self.shared.world.clock.now();
        for cell in 0..self.cells.len() {
            if self.cells[cell].restart_at().is_some_and(|at| at <= now) {
                self.cells[cell].restart(&self.shared).await;
                self.deliver_pending(cell).await;
            }
        }
    }

    /// Takes a batch from every wire in turn, runs it, and lets the other tasks have the core.
    async fn work(&mut self, batch: &mut VecDeque<Held>) {
        let batch_max = self.shared.settings.batch_messages_max;
        let mut is_more = false;
        for at in 0..self.intake.len() {
            let wire = &self.intake[at];
            let taken = wire.take(batch_max, batch);
            if taken == 0 {
                continue;
            }
            self.since_yield += taken;
            let (cell, port) = (wire.to_cell, wire.to_port);
            let routes = self.shared.patchbay.load_full();
            while let Some(msg) = batch.pop_front() {
                if let Err(exception) = self.run_to_completion(Work { cell, port, msg }, &routes) {
                    self.handle(*exception, &routes).await;
                    self.run_stack(&routes).await;
                }
                if self.onward.waiting_to_cross >= batch_max {
                    self.cross(&routes).await;
                }
            }
            self.flush(&routes).await;
            is_more |= self.intake[at].len() > 0;
        }
        if is_more {
            self.bell.notify_one();
        }
        if self.since_yield >= YIELD_AFTER_MESSAGES {
            self.since_yield = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Runs what is on the stack, exceptions included.
    async fn run_stack(&mut self, routes: &Routes) {
        while let Some(work) = self.onward.stack.pop() {
            if let Err(exception) = self.run_to_completion(work, routes) {
                self.handle(*exception, routes).await;
            }
        }
    }

    /// Runs a message, and what is on the stack, until all is done or something must wait.
    fn run_to_completion(&mut self, mut work: Work, routes: &Routes) -> Result<(), Box<Exception>> {
        loop {
            work = match self.step(work, routes)? {
                Some(next) => next,
                None => match self.onward.stack.pop() {
                    Some(next) => next,
                    None => return Ok(()),
                },
            };
        }
    }

    /// Processes one message and routes what comes out; returns what is next when that is obvious.
    #[inline]
    fn step(&mut self, mut work: Work, routes: &Routes) -> Result<Option<Work>, Box<Exception>> {
        let cell = &mut self.cells[work.cell];
        let State::Up(gear) = &mut cell.state else { return Err(Box::new(Exception::NotUp(work))) };
        work.msg.count_hops(2);
        if work.msg.msg().hops() > self.shared.limits.hops_max {
            let over = self.shared.limits.check(work.msg.msg()).err().map(|over| over.to_string());
            return Err(Box::new(Exception::Failed(
                work,
                Fault::invalid(over.unwrap_or_default()).reason("hops"),
            )));
        }
        cell.tally.processed += 1;
        cell.tally.seen += 1;
        let clock = self.shared.world.clock;
        let began = cell.tally.seen.is_multiple_of(TIMED_ONE_IN).then(|| clock.now());
        let step = catch_unwind(AssertUnwindSafe(|| gear.process(work.port, work.msg.msg(), &mut self.out)));
        if let Some(began) = began {
            cell.counters.latency.record(clock.now().saturating_duration_since(began));
        }
        match step {
            Ok(Ok(Step::Done)) => {}
            Ok(Ok(Step::Wait(rest))) => return Err(Box::new(Exception::Waits(work, rest))),
            Ok(Err(fault)) => return Err(Box::new(Exception::Failed(work, fault))),
            Err(_) => return Err(Box::new(Exception::Panicked(work))),
        }
        // Two cases are worth a shortcut: the message ends here, or goes on as it is to the next gear of the segment.
        if self.out.is_empty() {
            drop(work.msg.release());
            return Ok(None);
        }
        if let Some(port) = self.out.take_only_forwarded() {
            if let [Target { fused: Some(next), slot, to_port, .. }] = routes.targets(cell.gear, port) {
                cell.tally.emitted += 1;
                self.onward.fused_tally[*slot] += 1;
                (work.cell, work.port) = (*next, *to_port);
                return Ok(Some(work));
            }
            self.out.forward(port);
        }
        self.route(work, routes).map(|()| None)
    }

    /// Sends what a gear emitted on its way; the message it came from is done with, unless it was forwarded.
    fn route(&mut self, work: Work, routes: &Routes) -> Result<(), Box<Exception>> {
        let bottom = self.onward.stack.len();
        let cell = &mut self.cells[work.cell];
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
            match routes.targets(cell.gear, port) {
                [] => strays.push((port, msg)),
                [targets @ .., last] => {
                    targets.iter().for_each(|target| self.onward.forward(target, msg.clone()));
                    self.onward.forward(last, msg);
                }
            }
        }
        // The first emission runs first, and to its end.
        self.onward.stack[bottom..].reverse();
        if strays.is_empty() { Ok(()) } else { Err(Box::new(Exception::NoWire { cell: work.cell, strays })) }
    }

    /// Sends a message out of a gear's port from outside `process`. Whether a wire leaves the port.
    fn emit(&mut self, cell: usize, port: OutPort, msg: FluxMsg, routes: &Routes) -> bool {
        let targets = routes.targets(self.cells[cell].gear, port);
        targets.iter().for_each(|target| self.onward.forward(target, msg.clone()));
        !targets.is_empty()
    }

    /// Hands over what waits to cross, waiting for room, so that back-pressure reaches this segment's own wires.
    async fn cross(&mut self, routes: &Routes) {
        for target in routes.gears.iter().flat_map(|gear| gear.outputs.iter().flatten()) {
            for (shard, wire) in target.wires.iter().enumerate() {
                let waiting = &mut self.onward.crossings[target.slot + shard];
                if !waiting.is_empty() {
                    // A closed wire means that the rack gives up: what is left abandons its lease.
                    let _ = wire.push(waiting).await;
                }
            }
        }
        self.onward.waiting_to_cross = 0;
    }

    /// Ends a batch: everything has crossed and is counted.
    async fn flush(&mut self, routes: &Routes) {
        if self.onward.waiting_to_cross > 0 {
            self.cross(routes).await;
        }
        self.cells.iter_mut().for_each(Cell::flush_tally);
        for target in routes.gears.iter().flat_map(|gear| gear.outputs.iter().flatten()) {
            let tally = std::mem::take(&mut self.onward.fused_tally[target.slot]);
            if tally > 0 {
                target.wires[0].counters.called(tally);
            }
        }
    }
}

impl Onward {
    fn forward(&mut self, target: &Target, msg: FluxMsg) {
        match target.fused {
            Some(cell) => {
                self.fused_tally[target.slot] += 1;
                self.stack.push(Work { cell, port: target.to_port, msg: msg.into() });
            }
            None => {
                self.waiting_to_cross += 1;
                self.crossings[target.slot + target.shard(&msg)].push(msg.into());
            }
        }
    }
}
