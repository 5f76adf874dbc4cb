//! Messages on loan from a durable wire: settled, one never comes again; given up, it comes once more.

use std::sync::Arc;

use arc_swap::ArcSwap;
use flux_gear::{FluxMsg, Held, Lease};
use flux_journal::Settler;
use flux_signal::LeaseEnd;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::lines::Lines;
use crate::{stats::Counter, wire::Closed};

/// What is out of the journal of a wire, since it was opened.
pub(crate) struct Loans {
    settler: Settler,
    lines: Arc<ArcSwap<Lines>>,
    deliveries_max: u32,
    returns: Mutex<Returns>,
    /// Rings when there is something that did not simply go back into its queue.
    bell: Notify,
    given_out: Counter,
    ended: Counter,
    redelivered: Counter,
}

#[derive(Default)]
struct Returns {
    /// What was given up too often, or whose queue is closed.
    left: Vec<Loan>,
    /// Nothing is delivered any more: what is given up waits on disk.
    is_closed: bool,
}

/// A message of the journal.
pub(crate) struct Loan {
    pub(crate) sequence: u64,
    /// How often it was delivered.
    pub(crate) deliveries: u32,
    pub(crate) msg: FluxMsg,
}

impl Loans {
    pub(crate) fn new(settler: Settler, lines: Arc<ArcSwap<Lines>>, deliveries_max: u32) -> Arc<Loans> {
        Arc::new(Loans {
            settler,
            lines,
            deliveries_max,
            returns: Mutex::default(),
            bell: Notify::new(),
            given_out: Counter::default(),
            ended: Counter::default(),
            redelivered: Counter::default(),
        })
    }

    /// Lends a message. A copy of it is kept for as long, in its lease.
    pub(crate) fn lend(self: &Arc<Self>, loan: Loan) -> Held {
        let mut msg = loan.msg.clone();
        let loans = self.clone();
        self.given_out.add(1);
        msg.attach_lease(Lease::new(move |end| {
            loans.ended.add(1);
            match end {
                LeaseEnd::Settled => loans.settle(loan.sequence),
                LeaseEnd::Abandoned => loans.take_back(loan),
            }
        }));
        Held::new(msg)
    }

    /// The record is done with.
    pub(crate) fn settle(&self, sequence: u64) {
        self.settler.settle(sequence);
    }

    /// Records that are safe and not settled.
    pub(crate) fn unsettled(&self) -> u64 {
        self.settler.unsettled()
    }

    /// Messages that are out.
    pub(crate) fn out(&self) -> u64 {
        // In this order: what is lent in between is counted as out.
        let ended = self.ended.get();
        self.given_out.get() - ended
    }

    pub(crate) fn redelivered(&self) -> u64 {
        self.redelivered.get()
    }

    /// Whether it has been delivered as often as it may be.
    pub(crate) fn is_spent(&self, loan: &Loan) -> bool {
        loan.deliveries >= self.deliveries_max
    }

    /// Ends when something was given up that did not simply go back into its queue.
    pub(crate) async fn left(&self) {
        loop {
            if !self.returns.lock().left.is_empty() {
                return;
            }
            self.bell.notified().await;
        }
    }

    /// What that is, in the order of the journal.
    pub(crate) fn take_left(&self) -> Vec<Loan> {
        let mut left = std::mem::take(&mut self.returns.lock().left);
        left.sort_by_key(|loan| loan.sequence);
        left
    }

    /// Leaves what is given up from now on to the next opening of the journal.
    pub(crate) fn close(&self) {
        let left = {
            let mut returns = self.returns.lock();
            returns.is_closed = true;
            std::mem::take(&mut returns.left)
        };
        drop(left);
    }

    /// Delivers a message once more, before everything that was not delivered yet: at once, so that nothing overtakes it.
    fn take_back(self: &Arc<Self>, loan: Loan) {
        if self.returns.lock().is_closed {
            return;
        }
        if let Some(loan) = self.put_back(loan) {
            let mut returns = self.returns.lock();
            if !returns.is_closed {
                returns.left.push(loan);
                self.bell.notify_one();
            }
        }
    }

    /// Puts a message back into its queue; returns it when it is spent or the queue is closed.
    pub(crate) fn put_back(self: &Arc<Self>, loan: Loan) -> Option<Loan> {
        if self.is_spent(&loan) {
            return Some(loan);
        }
        let (lines, sequence) = (self.lines.load(), loan.sequence);
        let wire = &lines.wires[lines.shard(&loan.msg)];
        let mut loan = Some(loan);
        let again = || {
            let loan = loan.take().expect("asked for once");
            self.redelivered.add(1);
            self.lend(Loan { deliveries: loan.deliveries + 1, ..loan })
        };
        match wire.put_back(sequence, again) {
            Ok(()) | Err(Closed) => loan,
        }
    }
}
