//! Numbers about peers: counters that only grow, gauges of the moment, and how long sending takes.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_world::Instant;

use crate::id::PeerId;
use crate::state::{PeerState, Role};

/// Counters; they survive reconnects, and a pool's survive its peers.
///
/// Nothing disappears: `frames_in = frames_delivered + frames_in_dropped + queued`, and
/// `frames_accepted = frames_out + frames_out_dropped + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions opened.
    pub sessions: u64,
    /// Attempts to open one that failed.
    pub dials_failed: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Bytes of those frames.
    pub bytes_in: u64,
    /// Frames taken by the consumer or from the inbox.
    pub frames_delivered: u64,
    /// Frames received and dropped, by a full queue or a broken-off delivery.
    pub frames_in_dropped: u64,
    /// Frames taken from senders.
    pub frames_accepted: u64,
    /// Frames given to the operating system whole.
    pub frames_out: u64,
    /// Bytes of those frames.
    pub bytes_out: u64,
    /// Frames taken and then dropped, by a full queue, age, or a session that ended.
    pub frames_out_dropped: u64,
    /// Frames given back to their senders.
    pub frames_rejected: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.sessions += more.sessions;
        self.dials_failed += more.dials_failed;
        self.frames_in += more.frames_in;
        self.bytes_in += more.bytes_in;
        self.frames_delivered += more.frames_delivered;
        self.frames_in_dropped += more.frames_in_dropped;
        self.frames_accepted += more.frames_accepted;
        self.frames_out += more.frames_out;
        self.bytes_out += more.bytes_out;
        self.frames_out_dropped += more.frames_out_dropped;
        self.frames_rejected += more.frames_rejected;
    }
}

/// A snapshot of one peer.
#[derive(Clone, Debug)]
pub struct PeerStats {
    /// Whose.
    pub id: PeerId,
    /// How it came to be.
    pub role: Role,
    /// Where it is in its life.
    pub state: PeerState,
    /// What it did so far.
    pub counts: Counts,
    /// Frames waiting to be written or being written.
    pub queued_out_frames: usize,
    /// Their bytes.
    pub queued_out_bytes: usize,
    /// Frames waiting to be taken from the inbox.
    pub queued_in_frames: usize,
    /// Their bytes.
    pub queued_in_bytes: usize,
    /// When something last came in.
    pub heard_at: Option<Instant>,
    /// Time from accepting a frame to having written it; one in 64 is measured.
    pub send_latency: Latency,
    /// Sessions ended, by [`CloseReason::class`](crate::CloseReason::class).
    pub closes: BTreeMap<&'static str, u64>,
}

/// A snapshot of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Peers registered.
    pub peers: usize,
    /// Peers with an open session.
    pub peers_up: usize,
    /// What all peers did, those that are gone included.
    pub counts: Counts,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed because a listener was at its limit.
    pub refused: u64,
    /// Connections accepted whose handshake failed.
    pub handshakes_failed: u64,
    /// Connections that broke before they were accepted.
    pub broken: u64,
    /// Attempts to accept that met a limit of process or system.
    pub accepts_failed: u64,
    /// Events lost by slow subscribers.
    pub events_lagged: u64,
    /// Bytes reserved by all queues.
    pub queued_bytes: usize,
}

/// A histogram of durations: bucket `n` counts those below `2^n` microseconds and not below half of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The counts; the last bucket takes whatever is longer.
    pub buckets: [u64; Self::BUCKETS],
}

impl Latency {
    /// Up to about 8 s.
    pub const BUCKETS: usize = 24;

    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = duration.as_micros().min(u128::from(u64::MAX)) as u64;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(Self::BUCKETS - 1)] += 1;
    }

    /// The upper bound of the bucket in which the quantile `q` (0 to 1) lies; `None` when nothing was measured.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let total: u64 = self.buckets.iter().sum();
        let rank = (q.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let bucket = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(Duration::from_micros(1 << bucket))
    }
}

/// The counters of the receiving side, shared by the session and whoever asks.
#[derive(Debug, Default)]
pub(crate) struct InCounters {
    pub(crate) sessions: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_delivered: AtomicU64,
    pub(crate) frames_in_dropped: AtomicU64,
}

impl InCounters {
    pub(crate) fn add(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sessions: read(&self.sessions),
            dials_failed: read(&self.dials_failed),
            frames_in: read(&self.frames_in),
            bytes_in: read(&self.bytes_in),
            frames_delivered: read(&self.frames_delivered),
            frames_in_dropped: read(&self.frames_in_dropped),
            ..Counts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        for micros in [0, 1, 3, 3, 900, 3_000_000_000] {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!(latency.quantile(0.0), Some(Duration::from_micros(1)));
        assert_eq!(latency.quantile(0.5), Some(Duration::from_micros(4)));
        assert_eq!(latency.quantile(0.8), Some(Duration::from_micros(1024)));
        assert_eq!(latency.quantile(1.0), Some(Duration::from_micros(1 << 23)));
    }
}
