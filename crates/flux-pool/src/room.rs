//! Waiting for room in a queue: it comes when the queue is emptied or the pool's budget is freed.

use std::sync::Arc;

use flux_world::{Clock, Instant};
use tokio::sync::Notify;

use crate::budget::Budget;

/// Where those wait who found a queue full.
#[derive(Debug)]
pub(crate) struct Room {
    clock: Clock,
    budget: Arc<Budget>,
    made: Notify,
}

impl Room {
    pub(crate) fn new(clock: Clock, budget: Arc<Budget>) -> Self {
        Self { clock, budget, made: Notify::new() }
    }

    /// There may be room now.
    pub(crate) fn made(&self) {
        self.made.notify_waiters();
    }

    /// Waits until there may be room, or until the deadline, which it tells by `false`.
    ///
    /// Room made after this is called and before the future is awaited counts: call this, try again, then await.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> impl Future<Output = bool> {
        let waiter = self.budget.waiter();
        let mut made = Box::pin(self.made.notified());
        made.as_mut().enable();
        async move {
            let either = async {
                tokio::select! {
                    biased;
                    () = made => {}
                    () = waiter.freed() => {}
                }
            };
            match deadline {
                Some(deadline) => self.clock.timeout_at(deadline, either).await.is_ok(),
                None => {
                    either.await;
                    true
                }
            }
        }
    }
}
