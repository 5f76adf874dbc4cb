//! How bytes travel between two simulated hosts.

use std::time::Duration;

use crate::{Entropy, Instant};

/// The properties of a link, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Shortest time a write takes to arrive.
    pub latency_min: Duration,
    /// Longest time; each write draws its own, and order is kept.
    pub latency_max: Duration,
    /// Throughput of each connection; `None` is unlimited.
    pub bytes_per_s: Option<u64>,
    /// Bytes under way in one direction of a connection before a write waits, as a full socket buffer does.
    pub buffer_bytes_max: usize,
}

impl Default for Link {
    /// A local network: 200 to 800 microseconds, no limit of throughput, 64 KiB under way.
    fn default() -> Self {
        Self {
            latency_min: Duration::from_micros(200),
            latency_max: Duration::from_micros(800),
            bytes_per_s: None,
            buffer_bytes_max: 64 * 1024,
        }
    }
}

impl Link {
    pub(super) fn latency(&self, entropy: &Entropy) -> Duration {
        let spread_ns = self.latency_max.saturating_sub(self.latency_min).as_nanos() as u64;
        self.latency_min + Duration::from_nanos(entropy.below(spread_ns.saturating_add(1)))
    }

    /// When the last of `bytes`, put on a line busy until `busy_until`, has left the sender.
    pub(super) fn sent_at(&self, now: Instant, busy_until: Instant, bytes: usize) -> Instant {
        let takes_ns = match self.bytes_per_s {
            Some(rate) => (bytes as u128 * 1_000_000_000 / u128::from(rate.max(1))) as u64,
            None => 0,
        };
        now.max(busy_until) + Duration::from_nanos(takes_ns)
    }
}
