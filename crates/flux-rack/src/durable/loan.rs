//! Messages on loan from a durable wire: settled, one never comes again; given up, it comes once more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use flux_gear::{FluxMsg, Held, Lease};
use flux_journal::Settler;
use flux_signal::LeaseEnd;
use flux_world::planted;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::lines::Lines;
use crate::{stats::Counter, wire::Closed};

/// What is out of the journal of a wire, since it was opened. It outlives whoever delivers: what a receiver has when a reload
/// takes the wire out, it still has when the wire is back.
pub(crate) struct Loans {
    /// How often the journal was opened before, and this time.
    generation: u64,
    /// Behind the last record that was lent.
    lent_until: AtomicU64,
    settler: Settler,
    lines: Arc<ArcSwap<Lines>>,
    given_up_max: u32,
    last_orders: LastOrders,
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
    /// What was given up so, and how often.
    on_disk: BTreeMap<u64, u32>,
}

/// Whether the rack drains: a message that comes to no end then ends the deliveries.
pub(crate) type LastOrders = Arc<AtomicBool>;

/// A message of the journal.
pub(crate) struct Loan {
    pub(crate) sequence: u64,
    /// How often it was given up.
    pub(crate) given_up: u32,
    pub(crate) msg: FluxMsg,
}

impl Loans {
    pub(crate) fn new(
        generation: u64,
        settler: Settler,
        lines: Arc<ArcSwap<Lines>>,
        given_up_max: u32,
        last_orders: LastOrders,
    ) -> Arc<Loans> {
        Arc::new(Loans {
            generation,
            lent_until: AtomicU64::new(0),
            settler,
            lines,
            given_up_max,
            last_orders,
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
        self.lent_until.fetch_max(loan.sequence + 1, Ordering::AcqRel);
        msg.attach_lease(Lease::patient(move |end| {
            loans.ended.add(1);
            match end {
                LeaseEnd::Abandoned if planted("given_up_counts_as_done") => loans.settle(loan.sequence),
                LeaseEnd::Settled => loans.settle(loan.sequence),
                LeaseEnd::Returned => loans.take_back(loan),
                LeaseEnd::Abandoned => loans.take_back(Loan { given_up: loan.given_up + 1, ..loan }),
            }
        }));
        Held::new(msg)
    }

    /// Goes on after a stop, when the journal is still the one that was opened then.
    pub(crate) fn reopen(&self, generation: u64) -> bool {
        let is_same = self.generation == generation && !planted("wire_forgets_what_is_out");
        if is_same {
            self.returns.lock().is_closed = false;
        }
        is_same
    }

    /// How often a record was given up so far. `None`: its receiver has it.
    pub(crate) fn given_up(&self, sequence: u64) -> Option<u32> {
        if sequence >= self.lent_until.load(Ordering::Acquire) {
            return Some(0);
        }
        self.returns.lock().on_disk.remove(&sequence)
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

    /// Whether it was given up as often as it may be.
    pub(crate) fn is_spent(&self, loan: &Loan) -> bool {
        loan.given_up >= self.given_up_max
    }

    /// Ends when something was given up that did not simply go back into its queue, or when nothing more is delivered.
    pub(crate) async fn left(&self) {
        loop {
            {
                let returns = self.returns.lock();
                if returns.is_closed || !returns.left.is_empty() {
                    return;
                }
            }
            self.bell.notified().await;
        }
    }

    /// Whether nothing more is delivered.
    pub(crate) fn is_closed(&self) -> bool {
        self.returns.lock().is_closed
    }

    /// The first of that in the order of the journal.
    pub(crate) fn take_left(&self) -> Option<Loan> {
        let left = &mut self.returns.lock().left;
        let first = (0..left.len()).min_by_key(|&at| left[at].sequence)?;
        Some(left.swap_remove(first))
    }

    /// Leaves a message to whoever delivers next.
    pub(crate) fn leave_on_disk(&self, loan: &Loan) {
        self.returns.lock().on_disk.insert(loan.sequence, loan.given_up);
    }

    /// Leaves what is given up from now on to the next opening of the journal.
    pub(crate) fn close(&self) {
        let left = {
            let mut returns = self.returns.lock();
            returns.is_closed = true;
            let left = std::mem::take(&mut returns.left);
            returns.on_disk.extend(left.iter().map(|loan| (loan.sequence, loan.given_up)));
            left
        };
        drop(left);
    }

    /// Delivers a message once more, before everything that was not delivered yet: at once, so that nothing overtakes it.
    /// While the rack drains it waits on disk instead, and so does everything behind it.
    fn take_back(self: &Arc<Self>, loan: Loan) {
        {
            let mut returns = self.returns.lock();
            if returns.is_closed {
                returns.on_disk.insert(loan.sequence, loan.given_up);
                return;
            }
        }
        if self.last_orders.load(Ordering::Acquire) {
            self.close();
            self.bell.notify_one();
            return self.lines.load().recall();
        }
        if let Some(loan) = self.put_back(loan) {
            let mut returns = self.returns.lock();
            if returns.is_closed {
                returns.on_disk.insert(loan.sequence, loan.given_up);
            } else {
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
            self.lend(loan)
        };
        match wire.put_back(sequence, again) {
            Ok(()) | Err(Closed) => loan,
        }
    }
}
