//! How fast a backlog is sent: in bursts with rests between them, so that what is live finds the bus, the disks and the processors
//! free half of the time. Pure.

use std::time::Duration;

use flux_world::Instant;

use crate::limits::{PACK_BYTES_MAX, REST_MAX, WINDOW_BYTES_MAX};

/// The pace of a sender whose records have waited for long.
///
/// A burst is as much as the receiver has within twice the time that the shortest one took: over a line that is slow to answer that
/// is what fills it, on one machine it is little. After each there is a rest as long as it took, unless the backlog grew meanwhile:
/// who is fed faster than it sends does not rest.
#[derive(Debug)]
pub(crate) struct Pace {
    burst_bytes: usize,
    /// How long the shortest burst took.
    least: Duration,
    /// The burst that is out: when it began, and how many records were to be sent then.
    out: Option<(Instant, u64)>,
    rest_until: Option<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { burst_bytes: PACK_BYTES_MAX, least: Duration::MAX, out: None, rest_until: None }
    }

    /// Most that may be out.
    pub(crate) fn burst_bytes(&self) -> usize {
        self.burst_bytes
    }

    /// Until when nothing is sent.
    pub(crate) fn rest_until(&self) -> Option<Instant> {
        self.rest_until
    }

    /// Something old is sent, with so many records behind it. The first time since nothing was out, a burst begins.
    pub(crate) fn send(&mut self, behind: u64, now: Instant) {
        self.rest_until = None;
        self.out.get_or_insert((now, behind));
    }

    /// The receiver has all that was out; so many records are behind.
    pub(crate) fn arrived(&mut self, behind: u64, now: Instant) {
        let Some((began, before)) = self.out.take() else { return };
        let took = now.saturating_duration_since(began);
        self.least = self.least.min(took);
        self.burst_bytes = match took <= 2 * self.least {
            true => (2 * self.burst_bytes).min(WINDOW_BYTES_MAX),
            false => (self.burst_bytes / 2).max(PACK_BYTES_MAX),
        };
        self.rest_until = (behind < before).then(|| now + took.min(REST_MAX));
    }
}

#[cfg(test)]
mod tests {
    use flux_world::Clock;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A line that takes a time for anything, and a time for each pack.
    fn burst(pace: &mut Pace, line: Duration, pack: Duration, now: &mut Instant) -> Duration {
        pace.send(1_000, *now);
        let packs = pace.burst_bytes().div_ceil(PACK_BYTES_MAX) as u32;
        let took = line + packs * pack;
        *now += took;
        pace.arrived(900, *now);
        took
    }

    #[test]
    fn it_rests_as_long_as_it_worked_and_a_burst_is_what_fills_the_line() {
        for (line, pack, longest) in
            [(MS, MS, 5 * MS), (100 * MS, MS, 400 * MS), (100 * MS, MS / 100, 400 * MS)]
        {
            let (mut pace, mut now) = (Pace::new(), Clock::real().now());
            let mut bytes = Vec::new();
            for _ in 0..50 {
                let took = burst(&mut pace, line, pack, &mut now);
                assert!(took <= longest, "{took:?}");
                assert_eq!(pace.rest_until(), Some(now + took.min(REST_MAX)));
                bytes.push(pace.burst_bytes());
            }
            let largest = bytes[10..].iter().max().unwrap();
            let wanted = (line.as_nanos() / pack.as_nanos()) as usize * PACK_BYTES_MAX;
            assert!(*largest >= wanted.min(WINDOW_BYTES_MAX), "{largest} of {wanted}");
        }
    }

    #[test]
    fn who_is_fed_faster_than_it_sends_does_not_rest() {
        let (mut pace, now) = (Pace::new(), Clock::real().now());
        pace.send(1_000, now);
        pace.send(700, now + MS);
        pace.arrived(1_000, now + 3 * MS);
        assert_eq!(pace.rest_until(), None);
        pace.arrived(1_000, now + 9 * MS);
        pace.send(1_000, now + 10 * MS);
        pace.arrived(999, now + 12 * MS);
        assert_eq!(pace.rest_until(), Some(now + 14 * MS));
        pace.send(1_000, now + 20 * MS);
        assert_eq!(pace.rest_until(), None);
    }
}
