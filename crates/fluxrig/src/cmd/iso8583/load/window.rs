//! The requests of a connection that wait for their answers, in the order they were sent.
//!
//! ```text
//! sequence   first            first + 3
//! pending    [ waits, settled, waits, waits ]      the front always waits
//! ```

use std::collections::VecDeque;

use flux_world::Instant;

/// Requests between the oldest that waits and the newest, settled ones included: half of the trace numbers, so that a
/// number says which request is meant.
const WINDOW_REQUESTS_MAX: usize = 400_000;

/// See above.
#[derive(Default)]
pub(super) struct Window {
    first: u64,
    pending: VecDeque<Pending>,
    waiting: usize,
}

/// A request that was sent.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    /// When it was due to be sent.
    pub(super) started: Instant,
    /// The second that it bears, since 1970.
    pub(super) second: i64,
    is_settled: bool,
}

impl Window {
    /// Whether another request may wait beside those that do.
    pub(super) fn has_room(&self, waiting_max: usize) -> bool {
        self.waiting < waiting_max && self.pending.len() < WINDOW_REQUESTS_MAX
    }

    /// The number of the request that is sent next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.pending.len() as u64
    }

    /// The number of the oldest request of the window.
    pub(super) fn first_sequence(&self) -> u64 {
        self.first
    }

    /// Adds the request that was sent.
    pub(super) fn push(&mut self, started: Instant, second: i64) {
        self.pending.push_back(Pending { started, second, is_settled: false });
        self.waiting += 1;
    }

    /// The request so many after the first, if it waits.
    pub(super) fn pending(&self, place: usize) -> Option<Pending> {
        self.pending.get(place).copied().filter(|pending| !pending.is_settled)
    }

    /// When the oldest request that waits was started.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.pending.front().map(|pending| pending.started)
    }

    /// Settles a request that waits, and says when it was started.
    pub(super) fn settle(&mut self, place: usize) -> Instant {
        let pending = &mut self.pending[place];
        let started = pending.started;
        pending.is_settled = true;
        self.waiting -= 1;
        while self.pending.pop_front_if(|pending| pending.is_settled).is_some() {
            self.first += 1;
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use flux_world::Clock;

    use super::*;

    #[test]
    fn requests_settle_in_any_order_and_the_front_always_waits() {
        let now = Clock::real().now();
        let mut window = Window::default();
        for _ in 0..4 {
            window.push(now, 0);
        }
        assert!(!window.has_room(4));
        for (place, first, waits) in [(1, 0, true), (0, 2, true), (1, 2, true), (0, 4, false)] {
            window.settle(place);
            assert_eq!((window.first_sequence(), window.oldest().is_some()), (first, waits));
        }
        assert_eq!(window.next_sequence(), 4);
        assert!(window.pending(0).is_none() && window.has_room(1));
    }
}
