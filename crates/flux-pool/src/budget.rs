//! A bound on the bytes in all queues of a pool together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a queue takes at a time, so that the shared counter is not touched for each frame.
const STEP_BYTES: usize = 16 * 1024;

/// The budget of a pool.
#[derive(Debug)]
pub(crate) struct Budget {
    used_bytes: AtomicUsize,
    bytes_max: usize,
    waiters: AtomicUsize,
    freed: Notify,
}

/// Somebody who waits for budget to be freed; from its making on, none is missed.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    budget: &'a Budget,
    freed: Pin<Box<Notified<'a>>>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        let (used_bytes, waiters) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { used_bytes, bytes_max, waiters, freed: Notify::new() })
    }

    /// Bytes reserved by all queues.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Begins to wait for budget.
    pub(crate) fn waiter(&self) -> Waiter<'_> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut freed = Box::pin(self.freed.notified());
        freed.as_mut().enable();
        Waiter { budget: self, freed }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            used.checked_add(bytes).filter(|total| *total <= self.bytes_max)
        });
        taken.is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::SeqCst);
        // Who waits is counted before it tries to take, and this looks after giving: one of the two sees the other.
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

impl Waiter<'_> {
    /// Returns when some budget was freed.
    pub(crate) async fn freed(mut self) {
        self.freed.as_mut().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.budget.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What one queue holds of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    held_bytes: usize,
}

impl Share {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, held_bytes: 0 }
    }

    /// Whether the queue may hold `bytes` in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        if bytes <= self.held_bytes {
            return true;
        }
        let missing = bytes - self.held_bytes;
        let taken = [missing.max(STEP_BYTES), missing].into_iter().find(|ask| self.budget.take(*ask));
        self.held_bytes += taken.unwrap_or(0);
        taken.is_some()
    }

    /// The queue holds `bytes` now.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let excess = self.held_bytes.saturating_sub(bytes);
        if excess > 0 && (bytes == 0 || excess > 4 * STEP_BYTES) {
            self.held_bytes -= excess;
            self.budget.give(excess);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_in_steps_and_gives_everything_back() {
        let budget = Budget::new(40_000);
        let (mut one, mut two) = (Share::new(budget.clone()), Share::new(budget.clone()));
        assert!(one.grow_to(1));
        assert_eq!(budget.used_bytes(), STEP_BYTES);
        assert!(two.grow_to(20_000));
        assert!(!one.grow_to(30_000));
        assert!(one.grow_to(20_000), "exactly what is left");
        one.shrink_to(0);
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }
}
