//! Time: a monotonic clock to measure and wait with, a wall clock to stamp with.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use tokio::time::Instant;
pub use tokio::time::error::Elapsed;

/// A handle to the clock; a copy of it shows the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Wall,
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    System,
    /// The wall clock of a simulation: it started at `unix_ns_at_origin` and advances with the monotonic one.
    #[cfg(feature = "sim")]
    Simulated {
        origin: Instant,
        unix_ns_at_origin: i64,
    },
}

#[allow(clippy::disallowed_methods, reason = "this is the door the lint sends everybody else to")]
impl Clock {
    /// The clock of the operating system.
    pub fn real() -> Self {
        Self { wall: Wall::System }
    }

    /// A clock that reads `unix_ns` now and advances with the runtime's (paused) clock.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(unix_ns: i64) -> Self {
        Self { wall: Wall::Simulated { origin: Instant::now(), unix_ns_at_origin: unix_ns } }
    }

    /// The monotonic time; about 25 ns, so read it once per batch rather than once per message.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Wall time in nanoseconds since 1970-01-01 UTC. Negative before it; wraps in the year 2262.
    pub fn unix_ns(&self) -> i64 {
        match self.wall {
            Wall::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => since.as_nanos() as i64,
                Err(before) => -(before.duration().as_nanos() as i64),
            },
            #[cfg(feature = "sim")]
            Wall::Simulated { origin, unix_ns_at_origin } => {
                unix_ns_at_origin + Instant::now().duration_since(origin).as_nanos() as i64
            }
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC; 0 before it.
    pub fn unix_ms(&self) -> u64 {
        (self.unix_ns() / 1_000_000).max(0) as u64
    }

    /// Waits for `duration`; cancelled by dropping the future.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`; returns at once when it has passed.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
    }

    /// Runs `future` for at most `duration`; when time is up it is dropped and [`Elapsed`] returned.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(duration, future).await
    }

    /// Runs `future` until `deadline` at the latest; a passed deadline still polls it once.
    pub async fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(deadline, future).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_is_the_same_in_both_units() {
        let clock = Clock::real();
        let (before, ns, after) = (clock.unix_ms(), clock.unix_ns(), clock.unix_ms());
        let ms = ns as u64 / 1_000_000;
        assert!((before..=after).contains(&ms), "{before} <= {ms} <= {after}");
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_drops_what_takes_too_long() {
        let clock = Clock::real();
        let started = clock.now();
        assert!(clock.timeout(Duration::from_secs(3), std::future::pending::<()>()).await.is_err());
        assert_eq!(clock.now() - started, Duration::from_secs(3));
        assert_eq!(clock.timeout(Duration::ZERO, async { 7 }).await.ok(), Some(7));
    }
}
