//! Runs seed after seed on all cores, until a time, a number of seeds, or a violation.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flux_world::Clock;

use crate::coverage::Coverage;
use crate::rules::Violation;
use crate::{draw, run};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Hunt {
    /// The first seed; the others follow.
    pub first: u64,
    /// How many, at most.
    pub seeds: u64,
    /// For how long, at most.
    pub time: Option<Duration>,
    /// Violations after which to stop.
    pub violations_max: usize,
}

/// A seed that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// The first rule it broke.
    #[serde(flatten)]
    pub violation: Violation,
}

/// What all the runs were like.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sum {
    /// Seeds that were run.
    pub seeds_run: u64,
    /// Seeds that broke a rule, lowest first.
    pub violations: Vec<Found>,
    /// In how many runs what was seen.
    pub coverage: Coverage,
}

impl Hunt {
    /// Runs the seeds, a thread per core. `prepare` is called first on each thread.
    pub fn run(&self, prepare: impl Fn() + Sync) -> Sum {
        let next = AtomicU64::new(0);
        let sum = Mutex::new(Sum::default());
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    prepare();
                    self.run_some(&next, &sum);
                });
            }
        });
        let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        sum.violations.sort_by_key(|found| found.seed);
        sum
    }

    fn run_some(&self, next: &AtomicU64, sum: &Mutex<Sum>) {
        // How long a hunt takes is real time: the simulated one begins anew with each seed.
        let began = Clock::real().now();
        let mut own = Coverage::default();
        let mut runs = 0;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let is_late = self.time.is_some_and(|time| Clock::real().now() - began >= time);
            if at >= self.seeds || is_late {
                break;
            }
            let seed = self.first.wrapping_add(at);
            let outcome = run(&draw(seed));
            own.add_run(&outcome.coverage);
            runs += 1;
            if let Some(violation) = outcome.violations.into_iter().next() {
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.violations.push(Found { seed, violation });
                if sum.violations.len() >= self.violations_max {
                    next.store(self.seeds, Ordering::Relaxed);
                }
            }
        }
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.seeds_run += runs;
        sum.coverage.add_sum(&own);
    }
}
