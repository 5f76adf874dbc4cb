//! Taking turns at dialling: so many attempts at a time, so many begun per second.

use std::sync::Arc;
use std::time::Duration;

use flux_world::{Clock, Instant};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::PoolConfig;

/// A handle to the gate that all dialling workers of a pool pass.
#[derive(Clone, Debug)]
pub struct DialGate {
    turns: Arc<Semaphore>,
    /// When the next attempt would begin if they kept the rate exactly.
    next: Arc<Mutex<Instant>>,
    interval: Duration,
    /// How far attempts may run ahead of the rate: a burst.
    ahead_max: Duration,
}

/// A turn; the next one in line gets it when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl DialGate {
    pub(crate) fn new(config: &PoolConfig, clock: Clock) -> Self {
        let interval = Duration::from_secs(1) / config.dials_per_s_max.get();
        let burst = u32::try_from(config.dials_max.get()).unwrap_or(u32::MAX);
        Self {
            turns: Arc::new(Semaphore::new(config.dials_max.get().min(Semaphore::MAX_PERMITS))),
            next: Arc::new(Mutex::new(clock.now())),
            interval,
            ahead_max: interval.saturating_mul(burst - 1),
        }
    }

    /// Waits for a turn; first come, first served. Cancel-safe.
    pub async fn enter(&self, clock: Clock) -> Turn {
        let permit = self.turns.clone().acquire_owned().await.expect("the semaphore is never closed");
        let begins_at = self.book(clock.now());
        clock.sleep_until(begins_at).await;
        Turn { _permit: permit }
    }

    fn book(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let booked = (*next).max(now);
        *next = booked + self.interval;
        now.max(booked.checked_sub(self.ahead_max).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let clock = Clock::real();
        let config = PoolConfig {
            dials_max: std::num::NonZeroUsize::new(3).unwrap(),
            dials_per_s_max: std::num::NonZeroU32::new(10).unwrap(),
            ..PoolConfig::default()
        };
        let gate = DialGate::new(&config, clock);
        let start = clock.now();
        let waits: Vec<u128> = (0..5).map(|_| (gate.book(start) - start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        let later = start + Duration::from_secs(10);
        assert_eq!(gate.book(later), later);
    }
}
