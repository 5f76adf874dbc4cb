//! What is counted while load runs.

use std::time::Duration;

use flux_world::Instant;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency that is told from longer ones, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Requests by what became of them. Only those sent after the warm-up are counted, except for what must never happen.
pub(crate) struct Tally {
    /// By share of the mix, in its order.
    pub(crate) shares: Vec<Outcomes>,
    /// Answers that belong to another request, another terminal, or nobody's.
    pub(crate) cross_wired: u64,
    /// Answers to a request of ours that was answered, or given up, before.
    pub(crate) unexpected: u64,
    /// Frames that are no message.
    pub(crate) malformed: u64,
    /// Connections that ended before their time.
    pub(crate) disconnects: u64,
    /// In microseconds, from the time a request was due to the time its answer was read.
    pub(crate) latency: Histogram<u64>,
    /// When the last answer came.
    pub(crate) last_answer: Option<Instant>,
    recent: Histogram<u64>,
    recent_since: Instant,
}

/// Requests by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outcomes {
    /// Answered with response code 00.
    pub(crate) approved: u64,
    /// Answered with another one.
    pub(crate) declined: u64,
    /// Not answered in time.
    pub(crate) timed_out: u64,
    /// Not answered because the connection ended.
    pub(crate) lost: u64,
}

/// The load of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// Since the start, warm-up included.
    pub(crate) seconds: f64,
    pub(crate) tps: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Approved,
    Declined,
    TimedOut,
    Lost,
}

impl Outcomes {
    /// Requests that got an answer.
    pub(crate) fn answered(&self) -> u64 {
        self.approved + self.declined
    }
}

impl Tally {
    pub(super) fn new(shares: usize, now: Instant) -> Tally {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order");
        Tally {
            shares: vec![Outcomes::default(); shares],
            cross_wired: 0,
            unexpected: 0,
            malformed: 0,
            disconnects: 0,
            recent: latency.clone(),
            latency,
            last_answer: None,
            recent_since: now,
        }
    }

    /// All shares together.
    pub(crate) fn total(&self) -> Outcomes {
        self.shares.iter().fold(Outcomes::default(), |sum, share| Outcomes {
            approved: sum.approved + share.approved,
            declined: sum.declined + share.declined,
            timed_out: sum.timed_out + share.timed_out,
            lost: sum.lost + share.lost,
        })
    }

    /// A request that was answered, as part of what is measured or (during warm-up) not.
    pub(super) fn answered(&mut self, share: usize, ending: Ending, latency: Duration, is_measured: bool) {
        let us = (latency.as_micros() as u64).clamp(1, LATENCY_US_MAX);
        self.recent.saturating_record(us);
        if is_measured {
            self.latency.saturating_record(us);
            self.ended(share, ending);
        }
    }

    /// A measured request that ended.
    pub(super) fn ended(&mut self, share: usize, ending: Ending) {
        let outcomes = &mut self.shares[share];
        *match ending {
            Ending::Approved => &mut outcomes.approved,
            Ending::Declined => &mut outcomes.declined,
            Ending::TimedOut => &mut outcomes.timed_out,
            Ending::Lost => &mut outcomes.lost,
        } += 1;
    }

    /// The load since this was asked last.
    pub(super) fn moment(&mut self, started: Instant, now: Instant) -> Moment {
        let span = now.saturating_duration_since(self.recent_since).as_secs_f64();
        let moment = Moment {
            seconds: now.saturating_duration_since(started).as_secs_f64(),
            tps: if span > 0.0 { self.recent.len() as f64 / span } else { 0.0 },
            p50_us: self.recent.value_at_quantile(0.5),
            p99_us: self.recent.value_at_quantile(0.99),
        };
        self.recent.reset();
        self.recent_since = now;
        moment
    }
}
