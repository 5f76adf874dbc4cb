//! When a peer was last heard: set by whoever receives, watched by the keepalive.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flux_world::Instant;

/// Signs of life of one peer. Sending is none: it proves nothing about the other side.
#[derive(Debug)]
pub struct Heartbeat {
    origin: Instant,
    last_ns: AtomicU64,
    beats: AtomicU64,
    is_deaf: AtomicBool,
    is_excused: AtomicBool,
}

impl Heartbeat {
    /// Nothing heard yet; silence is counted from `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            last_ns: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            is_deaf: AtomicBool::new(false),
            is_excused: AtomicBool::new(false),
        }
    }

    /// Something came in at `at`.
    pub fn beat(&self, at: Instant) {
        self.restart(at);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Silence is counted from `at` although nothing came in: a session began.
    pub fn restart(&self, at: Instant) {
        let since = at.saturating_duration_since(self.origin).as_nanos() as u64;
        self.last_ns.store(since, Ordering::Relaxed);
    }

    /// Whether we are not listening ourselves, because the consumer holds up the reader: that silence is ours.
    pub fn set_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::Relaxed);
    }

    /// Whether the peer waits for us: that silence is ours, too.
    pub fn set_excused(&self, is_excused: bool) {
        self.is_excused.store(is_excused, Ordering::Relaxed);
    }

    /// Whether its silence is ours.
    pub fn is_excused(&self) -> bool {
        self.is_deaf.load(Ordering::Relaxed) || self.is_excused.load(Ordering::Relaxed)
    }

    /// When the peer was last heard, or the session began.
    pub fn last(&self) -> Instant {
        self.origin + Duration::from_nanos(self.last_ns.load(Ordering::Relaxed))
    }

    /// How often it was heard.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }
}
