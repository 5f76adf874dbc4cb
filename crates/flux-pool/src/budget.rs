//! A bound on the bytes in all queues of a pool together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What a queue takes at a time, so that the shared counter is not touched for each frame.
const STEP_BYTES: usize = 16 * 1024;

/// The budget of a pool.
#[derive(Debug)]
pub(crate) struct Budget {
    used_bytes: AtomicUsize,
    bytes_max: usize,
    freed: Notify,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used_bytes: AtomicUsize::new(0), bytes_max, freed: Notify::new() })
    }

    /// Bytes reserved by all queues.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Told whenever a queue gives back.
    pub(crate) fn freed(&self) -> &Notify {
        &self.freed
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|total| *total <= self.bytes_max)
        });
        taken.is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
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
