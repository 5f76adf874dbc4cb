//! What a durable wire keeps waits for as long as the world is not ready for it: a peer that is away, a disk that is busy.
//!
//! ```text
//! transient fault -> the message stays with its gear, and so does what comes behind it on a durable wire's lease;
//!                    from the wire that brought it nothing more is taken
//! the back-off is over, or a connection of the gear came up -> all of it is tried again, in order
//! ```
//! The segment goes on meanwhile: other wires bring their messages to other gears, or to the same.

use std::sync::Arc;

use flux_gear::{ControlEvent, Fault};
use flux_world::{Backoff, Instant};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Run, Segment, Work};
use crate::{cell::Cell, stats};

/// What the messages that wait with a gear wait for.
pub(crate) struct Patience {
    /// When they are tried again.
    pub(crate) retry_at: Instant,
    backoff: Backoff,
    attempts: u32,
    /// Whether that is under way and has not failed yet.
    is_trying: bool,
    /// Whether nothing is tried again here: the rack is on its way out.
    pub(crate) is_over: bool,
    shown: Arc<stats::Waiting>,
}

impl Segment {
    /// Lets a message wait that failed, and what comes behind it. It is said once, when it takes long.
    pub(super) fn let_wait(&mut self, mut work: Work, fault: &Fault) {
        work.msg.uncount_hop();
        let (now, settings) = (self.shared.world.clock.now(), &self.shared.settings);
        let attempts_max = settings.attempts_max.max(1);
        let wire = self.taking.map(|at| self.intakes[at].wire.name.clone());
        let cell = &mut self.cells[work.cell];
        cell.counters.fault(fault.class());
        // It will be processed when it passes; this was an attempt that has to be made again.
        cell.tally.processed = cell.tally.processed.saturating_sub(1);
        cell.counters.retried.add(1);
        let patience = cell.patience.get_or_insert_with(|| Patience {
            retry_at: now,
            backoff: Backoff::new(settings.retry_backoff),
            attempts: 0,
            is_trying: false,
            is_over: false,
            shown: cell.counters.begin_to_wait(now, wire),
        });
        patience.is_trying = false;
        patience.attempts = patience.attempts.saturating_add(1);
        patience.retry_at = now + patience.backoff.wait(now, &self.shared.world.entropy);
        if patience.attempts == attempts_max {
            tracing::warn!(
                gear = cell.name,
                reason = fault.reason_word(),
                error = %fault,
                "a gear waits for the world; what a durable wire brought it waits too, on disk"
            );
        }
        patience.shown.is_for(fault.to_string(), patience.attempts >= attempts_max);
        cell.pending.push_front((work.port, work.msg));
        if *self.heard.hurried.borrow() {
            return cell.give_back_patient();
        }
        self.hold_up(work.cell);
        self.ups.get_or_insert_with(|| self.shared.control.subscribe());
    }

    /// Has messages of a durable wire wait behind those that wait already; the others are none of theirs.
    pub(super) fn queue_up(&mut self, run: &mut Run) {
        let cell = &mut self.cells[run.cell];
        if cell.patience.as_ref().is_none_or(|patience| patience.is_trying) {
            return;
        }
        let msgs = std::mem::take(&mut run.msgs).into_iter();
        let (patient, others): (Vec<_>, _) = msgs.partition(|held| held.msg().is_patient());
        run.msgs = others.into();
        if patient.is_empty() {
            return;
        }
        cell.pending.extend(patient.into_iter().map(|held| (run.port, held)));
        if *self.heard.hurried.borrow() {
            return cell.give_back_patient();
        }
        self.hold_up(run.cell);
    }

    /// Takes nothing more from the wire whose messages run, as long as one of them waits with this gear.
    fn hold_up(&mut self, cell: usize) {
        if let Some(at) = self.taking {
            self.intakes[at].held_up_by = Some(cell);
        }
    }

    /// Whether something that a wire brought waits. Who runs wires out lets all of it wait.
    pub(super) fn is_held_up(&self, intake: usize) -> bool {
        let by = self.intakes[intake].held_up_by;
        !self.onward.forces && by.is_some_and(|cell| self.cells[cell].patience.is_some())
    }

    /// Tries what waits with a gear again, in the order in which it came.
    pub(super) async fn try_again(&mut self, cell: usize) {
        let Some(patience) = &mut self.cells[cell].patience.as_mut().filter(|patience| !patience.is_over)
        else {
            return self.deliver_pending(cell).await;
        };
        patience.is_trying = true;
        patience.retry_at = self.shared.world.clock.now();
        self.requeue_pending(cell);
        self.run_returned(cell);
        self.run_stack().await;
        self.flush().await;
        let over = self.cells[cell].patience.take_if(|patience| patience.is_trying);
        if over.is_some_and(|patience| patience.attempts >= self.shared.settings.attempts_max.max(1)) {
            tracing::info!(gear = self.cells[cell].name, "a gear waits no more");
        }
        self.ups.take_if(|_| self.cells.iter().all(|cell| cell.patience.is_none()));
        // Wires may be taken from again.
        self.bell.notify_one();
    }

    /// What the gear had let go of and came back, such as frames of a connection that was lost, is older than what waits.
    fn run_returned(&mut self, cell: usize) {
        for intake in self.intakes.iter().filter(|intake| intake.held_up_by == Some(cell)) {
            let returned = intake.wire.take_returned();
            if !returned.is_empty() {
                self.onward.run(intake.cell, intake.port, returned);
            }
        }
    }

    /// A connection of this gear came up; of any, where that was missed.
    pub(super) async fn try_again_at(&mut self, gear: Option<&str>) {
        for cell in 0..self.cells.len() {
            let is_it = gear.is_none_or(|gear| self.cells[cell].name == gear);
            if is_it && self.cells[cell].patience.is_some() {
                self.try_again(cell).await;
            }
        }
    }

    /// Waits for nobody from now on. What waits goes back to its durable wire.
    pub(super) fn hurry(&mut self) {
        if *self.heard.hurried.borrow() {
            self.intakes.iter_mut().for_each(|intake| intake.held_up_by = None);
            self.cells.iter_mut().for_each(Cell::give_back_patient);
            self.bell.notify_one();
        }
    }
}

/// Ends when a connection came up: of which gear, unless that was missed. Cancel-safe.
pub(super) async fn came_up(ups: &mut Option<broadcast::Receiver<ControlEvent>>) -> Option<String> {
    let Some(ups) = ups else { return std::future::pending().await };
    loop {
        match ups.recv().await {
            Ok(ControlEvent::ConnUp { gear, .. }) => return Some(gear),
            Ok(ControlEvent::ConnDown { .. } | ControlEvent::ConnClose { .. }) => {}
            Err(RecvError::Lagged(_)) => return None,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
