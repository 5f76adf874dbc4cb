//! What a segment does when a message cannot simply go on.

use std::sync::Arc;

use flux_gear::{Fault, FaultClass, FluxMsg, Held, OutPort, Step, Waiting};
use flux_world::{Backoff, planted};

use super::{Exception, Segment, Work};
use crate::{
    cell::{Cell, State},
    contain::{Contained, panicked},
    dead_letters::{DeadLetter, stamp},
    stats::GearCounters,
};

impl Segment {
    pub(super) async fn handle(&mut self, exception: Exception) {
        match exception {
            Exception::Waits(work, rest) => self.wait(work, rest).await,
            Exception::Failed(work, fault) => self.failed(work, fault).await,
            Exception::Panicked(work) => self.gear_failed(work, panicked()).await,
            Exception::NotUp(work) => self.park(work).await,
            Exception::NoWire { cell, strays } => {
                for (port, msg) in strays {
                    self.stray(cell, port, msg).await;
                }
            }
        }
    }

    /// Waits for the rest of a `process` call, at most for the time a gear may take.
    async fn wait(&mut self, work: Work, rest: Waiting) {
        match self.bounded(rest, work.msg.msg().is_patient()).await {
            Ok(()) => self.route(work),
            Err(fault) => self.failed(work, fault).await,
        }
    }

    async fn bounded(&mut self, rest: Waiting, is_patient: bool) -> Result<(), Fault> {
        let clock = self.shared.world.clock;
        match clock.timeout(self.shared.settings.process_timeout, Contained(rest)).await {
            Ok(Ok(Ok(out))) => {
                self.out = out;
                Ok(())
            }
            Ok(Ok(Err(fault)) | Err(fault)) => Err(fault),
            Err(_) => {
                let class = if is_patient { FaultClass::Transient } else { FaultClass::Invalid };
                Err(Fault::new(class, "the gear took too long").reason("timeout"))
            }
        }
    }

    async fn failed(&mut self, work: Work, fault: Fault) {
        match fault.class() {
            FaultClass::Invalid => {
                self.cells[work.cell].counters.fault(fault.class());
                self.give_up(work, &fault, 1).await;
            }
            FaultClass::Transient if work.msg.msg().is_patient() => self.let_wait(work, &fault),
            FaultClass::Transient => self.retry(work, fault).await,
            FaultClass::Fatal => self.gear_failed(work, fault).await,
        }
    }

    /// Tries a message that no durable wire keeps again where it stands, so that order holds, until it succeeds, fails
    /// otherwise, has been tried often enough, or has taken too long.
    async fn retry(&mut self, work: Work, mut fault: Fault) {
        let (clock, settings) = (self.shared.world.clock, self.shared.settings.clone());
        let deadline = clock.now() + settings.process_timeout;
        let mut backoff = Backoff::new(settings.retry_backoff);
        let mut attempts = 1;
        self.cells[work.cell].counters.fault(fault.class());
        while attempts < settings.attempts_max {
            let wait = backoff.wait(clock.now(), &self.shared.world.entropy);
            if clock.now() + wait >= deadline {
                break;
            }
            clock.sleep(wait).await;
            attempts += 1;
            self.cells[work.cell].counters.retried.add(1);
            match self.attempt(&work).await {
                Ok(()) => return self.route(work),
                Err(again) => fault = again,
            }
            self.out.clear();
            if fault.class() == FaultClass::Fatal {
                return self.gear_failed(work, fault).await;
            }
            self.cells[work.cell].counters.fault(fault.class());
            if fault.class() == FaultClass::Invalid {
                break;
            }
        }
        self.give_up(work, &fault, attempts).await;
    }

    /// One more `process` call on a message, its wait included. What it emits is in the outbox.
    async fn attempt(&mut self, work: &Work) -> Result<(), Fault> {
        let State::Up(gear) = &mut self.cells[work.cell].state else {
            return Err(Fault::transient("the gear is down"));
        };
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gear.process(work.port, work.msg.msg(), &mut self.out)
        }));
        match step {
            Ok(Ok(Step::Done)) => Ok(()),
            Ok(Ok(Step::Wait(rest))) => self.bounded(rest, false).await,
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(panicked()),
        }
    }

    /// The message can never succeed here: it goes to the error port, else to the dead letters. Its fault is counted.
    async fn give_up(&mut self, work: Work, fault: &Fault, attempts: u32) {
        let cell = &mut self.cells[work.cell];
        cell.suspect = None;
        let name = cell.name.clone();
        tracing::debug!(gear = name, id = %work.msg.msg().id, reason = fault.reason_word(), error = %fault, "message failed");
        if let Some(port) = self.exits[work.cell].routes.error_port() {
            let mut msg = work.msg.release();
            stamp(&mut msg.metadata, &name, fault.reason_word(), &fault.to_string());
            self.onward.send(&self.exits[work.cell], port, msg);
        } else {
            let port = cell.inputs.get(usize::from(work.port.0)).cloned().unwrap_or_default();
            self.bury(work.cell, port, work.msg.release(), fault.reason_word(), fault.to_string(), attempts)
                .await;
        }
    }

    /// The gear as a whole failed. The message in hand is tried again after the restart, once: if the gear fails on
    /// it a second time, the message is at fault.
    async fn gear_failed(&mut self, work: Work, fault: Fault) {
        let id = work.msg.msg().id;
        let cell = &mut self.cells[work.cell];
        cell.fail(&fault, &self.shared).await;
        // What it waited for it waits for no longer: wires that were held up may be taken from again.
        self.bell.notify_one();
        if cell.suspect.replace(id) == Some(id) || planted("message_blamed_at_once") {
            self.give_up(work, &fault, 2).await;
        } else {
            cell.pending.push_front((work.port, work.msg));
        }
    }

    /// Keeps a message for a gear that is not up. When too many wait, the whole segment waits for the gear.
    async fn park(&mut self, work: Work) {
        let parked_max = self.shared.settings.lane_queue_size;
        while self.cells[work.cell].pending.len() >= parked_max {
            let Some(at) = self.cells[work.cell].restart_at() else { break };
            self.shared.world.clock.sleep_until(at).await;
            self.cells[work.cell].restart(&self.shared).await;
            if self.cells[work.cell].restart_at().is_none() {
                break;
            }
        }
        self.cells[work.cell].pending.push_back((work.port, work.msg));
        self.requeue_pending(work.cell);
    }

    /// Runs what waited for a gear that is up again.
    pub(super) async fn deliver_pending(&mut self, cell: usize) {
        self.requeue_pending(cell);
        self.run_stack().await;
        self.flush().await;
    }

    pub(super) fn requeue_pending(&mut self, cell: usize) {
        if matches!(self.cells[cell].state, State::Up(_)) {
            for (port, msg) in self.cells[cell].pending.drain(..).rev() {
                self.onward.run(cell, port, [msg].into());
            }
        }
    }

    /// A message that left by a port without a wire.
    async fn stray(&mut self, cell: usize, port: OutPort, msg: Held) {
        let Cell { name, outputs, counters, .. } = &self.cells[cell];
        let port = outputs.get(port.place()).map_or("", String::as_str);
        let letter = DeadLetter::stray(msg.release(), name, port, self.shared.world.clock.unix_ns());
        self.keep(letter, counters.clone()).await;
    }

    async fn bury(
        &mut self,
        cell: usize,
        port: String,
        msg: FluxMsg,
        reason: &'static str,
        message: String,
        attempts: u32,
    ) {
        let Cell { name, counters, .. } = &self.cells[cell];
        let unix_ns = self.shared.world.clock.unix_ns();
        let letter = DeadLetter::new(msg, name, &port, reason, message, attempts, unix_ns);
        self.keep(letter, counters.clone()).await;
    }

    /// Counted once it is kept: until then its message may still be given up.
    async fn keep(&mut self, letter: DeadLetter, counters: Arc<GearCounters>) {
        self.shared.dead_letters.keep(letter).await;
        counters.dead_lettered.add(1);
    }
}
