//! The valet behind one lock, and the only task that watches its clock.

use std::sync::Arc;

use flux_gear::{EmitError, Emitter, FluxMsg, Held, OutPort, keys};
use flux_world::{Clock, Instant};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{exchange::Exchange, fingerprint::Fingerprint, valet::Valet};

/// Requests that time out together and are emitted in one go.
const EXPIRED_BATCH_MAX: usize = 32;
/// Outcomes forgotten under one lock by the task that watches the clock.
const FORGOTTEN_BATCH_MAX: usize = 256;

/// Where `process` and the task that watches the clock meet. The lock is held for the moment of one ticket.
pub(crate) struct Desk {
    counter: Mutex<Counter>,
    /// The clock is to be looked at earlier than was planned.
    earlier: Notify,
    /// Nothing is in hand any more.
    idle: Notify,
}

/// A request that waits for its reply.
pub(crate) struct Parked {
    pub(crate) request: Held,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) fingerprint: Fingerprint,
}

/// The reply to a request that may come again.
pub(crate) struct Outcome {
    pub(crate) reply: FluxMsg,
    pub(crate) fingerprint: Fingerprint,
}

/// What the lock guards.
pub(crate) struct Counter {
    pub(crate) valet: Valet<Parked, Outcome>,
    /// No new tickets.
    pub(crate) is_draining: bool,
    /// When the clock will be looked at.
    wake_at: Option<Instant>,
    /// Requests that timed out and are on their way to the error port.
    leaving: usize,
}

impl Counter {
    fn is_idle(&self) -> bool {
        self.valet.open() == 0 && self.leaving == 0
    }
}

impl Desk {
    pub(crate) fn new(valet: Valet<Parked, Outcome>) -> Desk {
        Desk {
            counter: Mutex::new(Counter { valet, is_draining: false, wake_at: None, leaving: 0 }),
            earlier: Notify::new(),
            idle: Notify::new(),
        }
    }

    /// Steps to the counter.
    pub(crate) fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock()
    }

    /// Leaves the counter, and tells those whom a change there concerns.
    pub(crate) fn leave(&self, mut counter: MutexGuard<'_, Counter>) {
        let next = counter.valet.next_wake();
        let is_earlier = next.is_some_and(|next| counter.wake_at.is_none_or(|planned| next < planned));
        if is_earlier {
            counter.wake_at = next;
        }
        let is_drained = counter.is_draining && counter.is_idle();
        drop(counter);
        if is_earlier {
            self.earlier.notify_one();
        }
        if is_drained {
            self.idle.notify_waiters();
        }
    }

    /// Refuses new tickets; ends when nothing is in hand.
    pub(crate) fn drain(self: Arc<Desk>) -> impl Future<Output = ()> + Send + 'static {
        self.counter().is_draining = true;
        async move {
            loop {
                let idle = self.idle.notified();
                if self.counter().is_idle() {
                    return;
                }
                idle.await;
            }
        }
    }

    /// Requests without an answer so far.
    pub(crate) fn in_hand(&self) -> usize {
        let counter = self.counter();
        counter.valet.open() + counter.leaving
    }

    /// Watches the clock until cancelled: requests whose time is up leave at the error port.
    pub(crate) async fn watch_clock(self: Arc<Desk>, clock: Clock, exit: Exit) {
        loop {
            let planned = self.plan();
            tokio::select! {
                biased;
                () = self.earlier.notified() => {}
                () = until(clock, planned) => self.expire(clock.now(), &exit).await,
            }
        }
    }

    fn plan(&self) -> Option<Instant> {
        let mut counter = self.counter();
        counter.wake_at = counter.valet.next_wake();
        counter.wake_at
    }

    async fn expire(&self, now: Instant, exit: &Exit) {
        loop {
            let batch = self.take_expired(now);
            if batch.0.is_empty() {
                return;
            }
            exit.emit(batch).await;
            let mut counter = self.counter();
            counter.leaving = 0;
            self.leave(counter);
        }
    }

    fn take_expired(&self, now: Instant) -> Batch {
        let mut counter = self.counter();
        counter.valet.forget(now, FORGOTTEN_BATCH_MAX);
        let expired = std::iter::from_fn(|| counter.valet.expire(now)).take(EXPIRED_BATCH_MAX);
        let batch = Batch(expired.map(|parked| parked.request.release()).collect());
        counter.leaving = batch.0.len();
        batch
    }
}

async fn until(clock: Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The way out for requests that timed out.
pub(crate) struct Exit {
    pub(crate) emit: Emitter,
    pub(crate) error: OutPort,
    pub(crate) gear: String,
}

impl Exit {
    async fn emit(&self, mut batch: Batch) {
        for msg in &mut batch.0 {
            msg.metadata.set(keys::ERROR_GEAR, self.gear.as_str());
            msg.metadata.set(keys::ERROR_REASON, "timeout");
            msg.metadata.set(keys::ERROR_MESSAGE, "no reply came in time");
        }
        while !batch.0.is_empty() {
            match self.emit.emit_all(self.error, &mut batch.0).await {
                Ok(()) => {}
                // What was not accepted is abandoned with the batch.
                Err(EmitError::Stopping) => return,
                Err(EmitError::Limit(why)) => {
                    let refused = Held::new(batch.0.remove(0));
                    tracing::error!(gear = self.gear, id = %refused.msg().id, error = %why, "timed-out request given up");
                }
            }
        }
    }
}

/// Requests that left the valet. Those not emitted, as when the gear is stopped meanwhile, abandon their leases.
struct Batch(Vec<FluxMsg>);

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.drain(..).map(Held::new).for_each(drop);
    }
}
