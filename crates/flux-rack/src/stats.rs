//! What is counted: per gear and per wire, monotonic, read without stopping anybody.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flux_gear::FaultClass;
use flux_world::Instant;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::durable::DurableStats;

/// A count that only grows. One writer at a time, any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sampled durations, up to a minute, to two significant digits.
#[derive(Debug)]
pub(crate) struct Latency(Mutex<Histogram<u32>>);

const LATENCY_NS_MAX: u64 = 60_000_000_000;

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 2).expect("the bounds are valid");
        Latency(Mutex::new(histogram))
    }
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.0.lock().saturating_record(ns.max(1));
    }

    fn merge(&mut self, other: &Latency) {
        self.0.get_mut().add(&*other.0.lock()).expect("all have the same bounds");
    }

    fn snapshot(&self) -> LatencyStats {
        let histogram = self.0.lock();
        let us = |q| histogram.value_at_quantile(q) as f64 / 1_000.0;
        LatencyStats { samples: histogram.len(), p50_us: us(0.5), p99_us: us(0.99), max_us: us(1.0) }
    }
}

/// Counts of one gear, shared by its instances.
#[derive(Debug, Default)]
pub(crate) struct GearCounters {
    pub(crate) processed: Counter,
    pub(crate) emitted: Counter,
    pub(crate) invalid: Counter,
    pub(crate) transient: Counter,
    pub(crate) fatal: Counter,
    pub(crate) retried: Counter,
    pub(crate) restarted: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) latency: Latency,
    /// What its instances wait for. Whoever waits holds it.
    waiting: Mutex<Vec<Weak<Waiting>>>,
}

/// An instance of a gear that waits for the world, with what a durable wire brought.
#[derive(Debug)]
pub(crate) struct Waiting {
    since: Instant,
    /// The wire by which that came into its segment.
    wire: Option<String>,
    /// The last fault, and whether it has lasted for as long as a message of a hot wire is tried.
    now: Mutex<(String, bool)>,
}

impl Waiting {
    /// What it is now.
    pub(crate) fn is_for(&self, why: String, is_long: bool) {
        *self.now.lock() = (why, is_long);
    }

    fn snapshot(&self, now: Instant) -> WaitingStats {
        let (why, is_long) = self.now.lock().clone();
        let lasted = now.saturating_duration_since(self.since).as_millis();
        let for_ms = u64::try_from(lasted).unwrap_or(u64::MAX);
        WaitingStats { why, for_ms, wire: self.wire.clone(), is_long }
    }
}

impl GearCounters {
    /// Begins to wait with what came by this wire.
    pub(crate) fn begin_to_wait(&self, since: Instant, wire: Option<String>) -> Arc<Waiting> {
        let waiting = Arc::new(Waiting { since, wire, now: Mutex::default() });
        let mut all = self.waiting.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&waiting));
        waiting
    }

    /// What it waits for: the longest of its instances.
    pub(crate) fn waiting(&self, now: Instant) -> Option<WaitingStats> {
        let all = self.waiting.lock();
        let longest = all.iter().filter_map(Weak::upgrade).min_by_key(|waiting| waiting.since);
        longest.map(|waiting| waiting.snapshot(now))
    }

    pub(crate) fn fault(&self, class: FaultClass) {
        match class {
            FaultClass::Invalid => self.invalid.add(1),
            FaultClass::Transient => self.transient.add(1),
            FaultClass::Fatal => self.fatal.add(1),
        }
    }

    pub(crate) fn snapshot(&self, name: &str, kind: &str, now: Instant) -> GearStats {
        GearStats {
            name: name.into(),
            kind: kind.into(),
            processed: self.processed.get(),
            emitted: self.emitted.get(),
            invalid: self.invalid.get(),
            transient: self.transient.get(),
            fatal: self.fatal.get(),
            retried: self.retried.get(),
            restarted: self.restarted.get(),
            dead_lettered: self.dead_lettered.get(),
            latency: self.latency.snapshot(),
            waiting: self.waiting(now),
        }
    }
}

/// Counts of one wire.
#[derive(Debug, Default)]
pub(crate) struct WireCounters {
    queued: Counter,
    called: Counter,
    blocked: Counter,
    latency: Latency,
}

impl WireCounters {
    pub(crate) fn passed(&self, n: usize) {
        self.queued.add(n as u64);
    }

    pub(crate) fn called(&self, n: u64) {
        self.called.add(n);
    }

    pub(crate) fn blocked(&self) {
        self.blocked.add(1);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.latency.record(time);
    }

    /// The counts of a wire that is several queues, one for each instance of the receiving gear.
    pub(crate) fn snapshot<'a>(
        name: &str,
        queues: impl Iterator<Item = (&'a WireCounters, usize)>,
        durable: Option<DurableStats>,
    ) -> WireStats {
        let mut latency = Latency::default();
        let (mut queued, mut called, mut blocked, mut depth) = (0, 0, 0, 0);
        for (counters, queue_depth) in queues {
            queued += counters.queued.get();
            called += counters.called.get();
            blocked += counters.blocked.get();
            depth += queue_depth;
            latency.merge(&counters.latency);
        }
        WireStats {
            name: name.into(),
            // What comes out of a journal may come again.
            passed: durable.as_ref().map_or(queued + called, |durable| durable.accepted),
            queued,
            blocked,
            depth,
            latency: latency.snapshot(),
            durable,
        }
    }
}

/// Everything counted in a rack at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct RackStats {
    /// Gears in the order of the scenario.
    pub gears: Vec<GearStats>,
    /// Wires in the order of the scenario.
    pub wires: Vec<WireStats>,
    /// Dead letters held.
    pub dead_letters: usize,
}

/// Counts of one gear since it was first made; a restart does not reset them.
#[derive(Debug, Clone, Serialize)]
pub struct GearStats {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Messages it processed, failed ones included.
    pub processed: u64,
    /// Messages it emitted, from `process` and from its own tasks.
    pub emitted: u64,
    /// Messages it refused for good.
    pub invalid: u64,
    /// Attempts that may succeed later.
    pub transient: u64,
    /// Times it failed as a whole, panics included.
    pub fatal: u64,
    /// Attempts made again.
    pub retried: u64,
    /// Times it was started again.
    pub restarted: u64,
    /// Its messages that became dead letters.
    pub dead_lettered: u64,
    /// Time one message took in `process`, of one message in 64.
    pub latency: LatencyStats,
    /// What it waits for, with what a durable wire brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStats>,
}

/// A gear that waits for the world: its messages are safe on a durable wire meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingStats {
    /// The fault, as of the last attempt.
    pub why: String,
    /// For how long.
    pub for_ms: u64,
    /// The wire by which the first message that waits came; not known after a reload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<String>,
    /// Whether it was tried as often as a message of a hot wire would be.
    pub is_long: bool,
}

impl fmt::Display for WaitingStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wire {
            Some(wire) => write!(f, "waits with what came by `{wire}`: {}", self.why),
            None => write!(f, "waits with what a durable wire brought: {}", self.why),
        }
    }
}

/// Counts of one wire.
#[derive(Debug, Clone, Serialize)]
pub struct WireStats {
    /// `gear.port -> gear.port`, or the id it was given.
    pub name: String,
    /// Messages that passed, as calls and by queue.
    pub passed: u64,
    /// Of those, messages that crossed tasks by queue.
    pub queued: u64,
    /// Times a sender waited for room.
    pub blocked: u64,
    /// Messages in the queue now.
    pub depth: usize,
    /// Time in the queue, of one message at a time.
    pub latency: LatencyStats,
    /// What its journal holds, when it is durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable: Option<DurableStats>,
}

/// Sampled latency, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LatencyStats {
    /// Samples taken.
    pub samples: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Largest.
    pub max_us: f64,
}
