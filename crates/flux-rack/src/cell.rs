//! One gear where it runs: its state, its tally, and how it is started again after it failed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use flux_gear::{Emitter, Fault, FluxId, GearContext, Held, HostedGear, InPort, InitError, Parcel};
use flux_world::{Backoff, Instant};

use crate::{
    assembly::port_number,
    contain::{Contained, contained, panicked},
    rack::Shared,
    segment::{Draining, Patience},
    stats::GearCounters,
};

/// Makes a gear and its context anew: at boot, and after it failed.
pub(crate) type Make = Arc<dyn Fn() -> Result<(Box<dyn HostedGear>, GearContext), InitError> + Send + Sync>;

/// A gear in its segment.
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) counters: Arc<GearCounters>,
    pub(crate) state: State,
    /// Messages that arrived while the gear was not up, or wait for what it waits for, oldest first.
    pub(crate) pending: VecDeque<(InPort, Held)>,
    /// What those wait for, while the gear is up.
    pub(crate) patience: Option<Patience>,
    /// The message in hand when the gear failed, until one has passed: if it fails on it again, the message is at fault.
    /// It is the first that is tried again, so that no copy of it, which has the same id, is taken for it.
    pub(crate) suspect: Option<FluxId>,
    /// Counted here per message, added to the shared counters per batch.
    pub(crate) tally: Tally,
    pub(crate) emitter: Emitter,
    is_draining: bool,
    /// Whether another process is about to take over: what failed is not made again here.
    is_paused: bool,
    make: Make,
    ctx: GearContext,
    backoff: Backoff,
}

/// Whether a gear can process.
pub(crate) enum State {
    /// Made, not started: messages wait.
    Made(Box<dyn HostedGear>),
    /// It processes.
    Up(Box<dyn HostedGear>),
    /// It failed; it is made again then.
    Down(Instant),
    /// It is on its way from one state to another.
    Gone,
}

/// What became of what a gear leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bequest {
    /// There was none.
    Nothing,
    /// The heir has it.
    Taken,
    /// The heir had no use for it.
    Refused,
}

/// Counts since the last flush.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) processed: u64,
    pub(crate) emitted: u64,
    /// Messages to come before the next timed one.
    untimed: usize,
}

/// One message in so many is timed, with those of its batch: a clock reading costs as much as a hop.
const TIMED_ONE_IN: usize = 64;

impl Tally {
    /// Whether to time the next so many messages.
    pub(crate) fn is_timed(&mut self, messages: usize) -> bool {
        let left = self.untimed.checked_sub(messages);
        self.untimed = left.unwrap_or(TIMED_ONE_IN);
        left.is_none()
    }
}

/// What a cell is made of.
pub(crate) struct CellParts {
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) counters: Arc<GearCounters>,
    pub(crate) emitter: Emitter,
    pub(crate) make: Make,
    pub(crate) backoff: Backoff,
}

impl Cell {
    /// Makes the gear. Pure, as `init` is.
    pub(crate) fn new(parts: CellParts) -> Result<Cell, InitError> {
        let (hosted, ctx) = (parts.make)()?;
        Ok(Cell {
            name: parts.name,
            inputs: parts.inputs,
            outputs: parts.outputs,
            counters: parts.counters,
            state: State::Made(hosted),
            pending: VecDeque::new(),
            patience: None,
            suspect: None,
            is_draining: false,
            is_paused: false,
            tally: Tally::default(),
            emitter: parts.emitter,
            make: parts.make,
            ctx,
            backoff: parts.backoff,
        })
    }

    /// Starts a gear that is made; what waited for it is the caller's to deliver.
    pub(crate) async fn start(&mut self, shared: &Shared) -> Result<(), Fault> {
        let State::Made(gear) = &mut self.state else { return Ok(()) };
        let start = Contained(gear.start(self.emitter.clone()));
        let clock = shared.world.clock;
        let started = match clock.timeout(shared.settings.start_timeout, start).await {
            Ok(started) => started.and_then(|started| started),
            Err(_) => Err(Fault::fatal("start took too long").reason("timeout")),
        };
        if started.is_ok() {
            self.backoff.up(clock.now());
            self.state = match std::mem::replace(&mut self.state, State::Gone) {
                State::Made(gear) => State::Up(gear),
                as_it_is => as_it_is,
            };
        }
        started
    }

    /// Takes a failed gear down, gives back what it held, and says when it will be tried again.
    pub(crate) async fn fail(&mut self, fault: &Fault, shared: &Shared) {
        let now = shared.world.clock.now();
        let wait = self.backoff.wait(now, &shared.world.entropy);
        let failed = std::mem::replace(&mut self.state, State::Down(now + wait));
        self.counters.fault(fault.class());
        // What waits for the world waits for the gear now.
        // Whoever gives back what waits does so to the end, or what comes behind it would come first.
        self.patience.take_if(|patience| !patience.is_over);
        tracing::error!(gear = self.name, reason = fault.reason_word(), error = %fault, retry_in = ?wait, "gear failed");
        if let State::Made(gear) | State::Up(gear) = failed {
            self.give_back(gear, shared).await;
        }
    }

    /// Has the gear leave what it has to the gear in `heir`, which is not started yet. A gear that has left something
    /// is as if it had not been started either; one whose legacy was refused has it back and must be started.
    pub(crate) fn bequeath(&mut self, heir: &mut Cell) -> Bequest {
        let (State::Up(gear) | State::Made(gear), State::Made(next)) = (&mut self.state, &mut heir.state)
        else {
            return Bequest::Nothing;
        };
        let Some(legacy) = contained(|| gear.hand_over()).flatten() else { return Bequest::Nothing };
        // An heir that panics has what it took.
        let refused = contained(|| next.take_over(legacy)).flatten();
        let bequest = if refused.is_some() { Bequest::Refused } else { Bequest::Taken };
        if let Some(refused) = refused {
            contained(|| gear.take_over(refused));
        }
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Up(gear) => State::Made(gear),
            as_it_is => as_it_is,
        };
        bequest
    }

    /// The input port of that name.
    pub(crate) fn port(&self, name: &str) -> Option<InPort> {
        let at = self.inputs.iter().position(|input| input == name)?;
        Some(InPort(port_number(at)))
    }

    /// Whether the gear is started.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// When something is to be done about it: it failed, or what waits is to be tried again.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let waits = self.patience.as_ref().filter(|patience| !patience.is_over);
        self.restart_at().or_else(|| waits.map(|patience| patience.retry_at))
    }

    /// Gives back what waits for the world and is safe on a durable wire, and from now on what comes behind it. What waits for
    /// the gear to be made again goes on waiting for that.
    pub(crate) fn give_back_patient(&mut self) {
        let Some(patience) = &mut self.patience else { return };
        patience.is_over = true;
        let waiting = std::mem::take(&mut self.pending).into_iter();
        let (patient, others): (Vec<_>, _) = waiting.partition(|(_, held)| held.msg().is_patient());
        self.pending = others.into();
        patient.into_iter().for_each(|(_, held)| held.give_back());
    }

    /// Whether it may still have something to send: it is started, or messages wait until it is again.
    pub(crate) fn has_work(&self) -> bool {
        self.is_up() || !self.pending.is_empty()
    }

    /// When a failed gear is due.
    pub(crate) fn restart_at(&self) -> Option<Instant> {
        match self.state {
            State::Down(at) if !self.is_paused => Some(at),
            State::Down(_) | State::Made(_) | State::Up(_) | State::Gone => None,
        }
    }

    /// Tells the gear that another process is about to take over.
    pub(crate) fn pause(&mut self, within: Duration) -> Draining {
        self.is_paused = true;
        match &mut self.state {
            State::Up(gear) => contained(|| gear.pause(within)).map_or(Draining::Idle, Draining::Until),
            State::Made(_) | State::Down(_) | State::Gone => Draining::Idle,
        }
    }

    /// Tells it that nobody does.
    pub(crate) fn resume(&mut self) {
        self.is_paused = false;
        if let State::Up(gear) = &mut self.state {
            contained(|| gear.resume());
        }
    }

    /// Has the gear take what one of its kind left in another process.
    pub(crate) fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        let State::Made(gear) = &mut self.state else { return Ok(()) };
        contained(|| gear.move_in(parcel)).unwrap_or_else(|| Err(panicked()))
    }

    /// Stops the gear for good; what it leaves to another process, and the messages that waited for it.
    pub(crate) async fn move_out(mut self, shared: &Shared) -> (Parcel, VecDeque<(InPort, Held)>) {
        let mut parcel = Parcel::default();
        if let State::Made(gear) | State::Up(gear) = std::mem::replace(&mut self.state, State::Gone) {
            let moved =
                shared.world.clock.timeout(shared.settings.stop_timeout, Contained(gear.move_out())).await;
            match moved {
                Ok(Ok(moved)) => parcel = moved,
                Ok(Err(fault)) => {
                    tracing::error!(gear = self.name, error = %fault, "gear failed while moving out")
                }
                Err(_) => tracing::error!(gear = self.name, "gear did not move out in time"),
            }
            self.end_tasks(shared).await;
        }
        (parcel, self.pending)
    }

    /// Tells the gear to drain. One that fails later is told again when it is made again, and brings in nothing new.
    pub(crate) fn drain(&mut self) -> Draining {
        self.is_draining = true;
        match &mut self.state {
            State::Made(gear) | State::Up(gear) => {
                // A panic while draining leaves nothing to wait for.
                contained(|| gear.drain()).map_or(Draining::Idle, Draining::Until)
            }
            State::Down(restart_at) if !self.pending.is_empty() => Draining::Down(*restart_at),
            State::Down(_) | State::Gone => Draining::Idle,
        }
    }

    /// Makes and starts a failed gear again.
    pub(crate) async fn restart(&mut self, shared: &Shared) {
        self.counters.restarted.add(1);
        let made = (self.make)().map_err(|why| Fault::fatal(why.to_string()).reason("init"));
        let started = match made {
            Ok((gear, ctx)) => {
                (self.state, self.ctx) = (State::Made(gear), ctx);
                self.start(shared).await
            }
            Err(fault) => Err(fault),
        };
        match started {
            Ok(()) => {
                tracing::info!(gear = self.name, "gear restarted");
                if self.is_draining {
                    // It was just made, so there is nothing in hand to wait for.
                    drop(self.drain());
                }
            }
            Err(fault) => self.fail(&fault, shared).await,
        }
    }

    /// Stops the gear for good.
    pub(crate) async fn stop(mut self, shared: &Shared) {
        self.give_back_patient();
        if !self.pending.is_empty() {
            shared.discards.add(&self.name, "down", self.pending.len() as u64);
        }
        if let State::Made(gear) | State::Up(gear) = std::mem::replace(&mut self.state, State::Gone) {
            self.give_back(gear, shared).await;
        }
    }

    async fn give_back(&mut self, gear: Box<dyn HostedGear>, shared: &Shared) {
        let stopped = shared.world.clock.timeout(shared.settings.stop_timeout, Contained(gear.stop())).await;
        match stopped {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::error!(gear = self.name, error = %fault, "gear failed while stopping"),
            Err(_) => tracing::error!(gear = self.name, "gear did not stop in time"),
        }
        self.end_tasks(shared).await;
    }

    async fn end_tasks(&mut self, shared: &Shared) {
        if shared.world.clock.timeout(shared.settings.stop_timeout, self.ctx.end_tasks()).await.is_err() {
            tracing::error!(gear = self.name, "tasks of the gear did not end in time");
        }
    }

    /// Adds what was counted since the last time to the shared counters.
    pub(crate) fn flush_tally(&mut self) {
        if self.tally.processed > 0 {
            self.counters.processed.add(std::mem::take(&mut self.tally.processed));
            self.counters.emitted.add(std::mem::take(&mut self.tally.emitted));
        }
    }
}
