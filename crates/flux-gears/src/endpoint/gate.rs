//! Counts the reads in hand, and lets no more begin once draining.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Set once the gate is closed; the bits above it count those inside.
const CLOSED: usize = 1;
const ONE: usize = 2;

/// The gate every read passes on its way to the wires.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: AtomicUsize,
    last_left: Notify,
    is_over: CancellationToken,
}

/// Somebody inside; leaves when dropped.
#[derive(Debug)]
pub(super) struct Inside<'a>(&'a Gate);

impl Gate {
    /// Goes in, unless the gate is closed. One atomic step, so that nobody slips in unseen by [`Gate::idle`].
    pub(super) fn enter(&self) -> Option<Inside<'_>> {
        let inside = Inside(self);
        if self.state.fetch_add(ONE, Ordering::AcqRel) & CLOSED == 0 { Some(inside) } else { None }
    }

    /// Nobody new goes in.
    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Ends when the gate is closed and nobody is inside.
    pub(super) async fn idle(&self) {
        loop {
            let left = self.last_left.notified();
            if self.state.load(Ordering::Acquire) == CLOSED {
                return;
            }
            left.await;
        }
    }

    /// Those who found it closed need not wait any longer: nothing will be taken from them.
    pub(super) fn open_for_good(&self) {
        self.is_over.cancel();
    }

    /// Ends after [`Gate::open_for_good`].
    pub(super) async fn over(&self) {
        self.is_over.cancelled().await;
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(ONE, Ordering::AcqRel) == CLOSED | ONE {
            self.0.last_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_idle_when_the_last_one_inside_has_left() {
        let gate = Gate::default();
        let inside = gate.enter().unwrap();
        gate.close();
        assert!(gate.enter().is_none());
        let mut idle = Box::pin(gate.idle());
        assert!(futures_poll(idle.as_mut()).await.is_none());
        drop(inside);
        idle.await;
    }

    /// Polls once.
    async fn futures_poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        tokio::select! { biased; done = future => Some(done), () = std::future::ready(()) => None }
    }
}
