//! The valet behind one lock, and what is on its way because of it.

use std::sync::Arc;

use flux_gear::{FluxMsg, Held, OutPort, Saved};
use flux_world::{Clock, Instant};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{archive::timed_out, exchange::Exchange, fingerprint::Fingerprint, valet::Valet};
use crate::departures::Departures;

/// Requests that time out under one lock.
const EXPIRED_BATCH_MAX: usize = 32;
/// Outcomes forgotten under one lock by the task that watches the clock.
pub(super) const FORGOTTEN_BATCH_MAX: usize = 256;

/// Where `process` and the task that watches the clock meet. The lock is held for the moment of one ticket.
pub(crate) struct Desk {
    counter: Mutex<Counter>,
    /// The clock is to be looked at earlier than was planned.
    earlier: Notify,
    /// No request waits any more.
    idle: Notify,
    /// Messages on their way out that `process` did not emit.
    pub(crate) departures: Arc<Departures>,
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
}

impl Desk {
    pub(crate) fn new(valet: Valet<Parked, Outcome>) -> Desk {
        Desk {
            counter: Mutex::new(Counter { valet, is_draining: false, wake_at: None }),
            earlier: Notify::new(),
            idle: Notify::new(),
            departures: Arc::default(),
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
        let is_drained = counter.is_draining && counter.valet.open() == 0;
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
                if self.counter().valet.open() == 0 {
                    break;
                }
                idle.await;
            }
            self.departures.idle().await;
        }
    }

    /// Requests without an answer so far.
    pub(crate) fn in_hand(&self) -> usize {
        self.counter().valet.open()
    }

    /// Watches the clock until it is stopped: requests whose time is up leave at the error port.
    pub(crate) async fn watch_clock(self: Arc<Desk>, clock: Clock, exit: Exit, stop: CancellationToken) {
        let watch = async {
            loop {
                let planned = self.plan();
                tokio::select! {
                    biased;
                    () = self.earlier.notified() => {}
                    () = until(clock, planned) => while self.expire(clock.now(), &exit) {},
                }
            }
        };
        tokio::select! { biased; () = stop.cancelled() => {} () = watch => {} }
    }

    fn plan(&self) -> Option<Instant> {
        let mut counter = self.counter();
        counter.wake_at = counter.valet.next_wake();
        counter.wake_at
    }

    /// Lets go of requests whose time is up; whether there may be more.
    fn expire(&self, now: Instant, exit: &Exit) -> bool {
        let mut counter = self.counter();
        counter.valet.forget(now, FORGOTTEN_BATCH_MAX);
        let mut expired = 0;
        while expired < EXPIRED_BATCH_MAX
            && let Some(parked) = counter.valet.expire(now)
        {
            let request = timed_out(parked.request.release(), &exit.gear);
            self.departures.push(Saved::already(), exit.error, request);
            expired += 1;
        }
        self.leave(counter);
        expired == EXPIRED_BATCH_MAX
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
    pub(crate) error: OutPort,
    pub(crate) gear: String,
}
