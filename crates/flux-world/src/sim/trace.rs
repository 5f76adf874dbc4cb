//! The event trace: what two runs of one seed are compared by.

use std::time::Duration;

use crate::{Clock, Instant};

/// Lines kept; what comes after is only counted.
const TRACE_LINES_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Trace {
    clock: Clock,
    started: Instant,
    lines: Vec<String>,
    skipped: u64,
}

impl Trace {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, started: clock.now(), lines: Vec::new(), skipped: 0 }
    }

    pub(super) fn note(&mut self, what: &str) {
        if self.lines.len() >= TRACE_LINES_MAX {
            self.skipped += 1;
            return;
        }
        let at: Duration = self.clock.now() - self.started;
        self.lines.push(format!("{:>12.6}s {what}", at.as_secs_f64()));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        if self.skipped > 0 {
            lines.push(format!("and {} more", self.skipped));
        }
        lines
    }
}
