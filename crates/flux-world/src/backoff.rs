//! The one jittered back-off: how long to wait before trying again, decided without waiting.
//!
//! After the n-th failure in a row (n from 0) the wait is uniform in `[0, min(cap, base * 2^n)]`: *full jitter*, at the
//! cap too, so that a thousand peers which lost the same server do not come back in step. The count of failures is
//! forgotten only after a connection stayed up for `stable_after`; a peer that connects and drops at once keeps backing
//! off.

use std::time::Duration;

use crate::{Entropy, Instant};

/// How a back-off grows and when it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// Upper bound of the wait after the first failure.
    pub base: Duration,
    /// Upper bound of every wait.
    pub cap: Duration,
    /// How long a success must last before the failures before it are forgotten.
    pub stable_after: Duration,
    /// Whether the first retry happens at once.
    pub is_first_immediate: bool,
}

impl Default for BackoffPolicy {
    /// 1 s doubling to 60 s, forgotten after 30 s up, first retry jittered like the others.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            stable_after: Duration::from_secs(30),
            is_first_immediate: false,
        }
    }
}

/// The failures so far of one thing that is tried again and again.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    failures: u32,
    up_since: Option<Instant>,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, failures: 0, up_since: None }
    }

    /// How often it failed in a row, as far as remembered.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It works, since `now`.
    pub fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// It failed, or stopped working, at `now`: how long to wait before the next attempt.
    pub fn wait(&mut self, now: Instant, entropy: &Entropy) -> Duration {
        if let Some(since) = self.up_since.take()
            && now.saturating_duration_since(since) >= self.policy.stable_after
        {
            self.failures = 0;
        }
        let n = self.failures;
        self.failures = n.saturating_add(1);
        match (self.policy.is_first_immediate, n) {
            (true, 0) => Duration::ZERO,
            (true, n) => self.jittered(n - 1, entropy),
            (false, n) => self.jittered(n, entropy),
        }
    }

    /// Forgets the failures: someone who knows better wants it tried now.
    pub fn reset(&mut self) {
        *self = Self::new(self.policy);
    }

    fn jittered(&self, n: u32, entropy: &Entropy) -> Duration {
        let grown = self.policy.base.saturating_mul(2_u32.saturating_pow(n));
        let bound_ns = grown.min(self.policy.cap).as_nanos().min(u128::from(u64::MAX - 1)) as u64;
        Duration::from_nanos(entropy.below(bound_ns + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> BackoffPolicy {
        BackoffPolicy { base: SECOND, cap: 5 * SECOND, stable_after: 30 * SECOND, is_first_immediate: false }
    }

    fn now() -> Instant {
        crate::Clock::real().now()
    }

    #[test]
    fn the_bound_doubles_to_the_cap_and_jitter_fills_it_there_too() {
        let entropy = Entropy::seeded(1);
        let mut longest = [Duration::ZERO; 6];
        let mut shortest = [Duration::MAX; 6];
        for _ in 0..2_000 {
            let mut backoff = Backoff::new(policy());
            for n in 0..6 {
                let wait = backoff.wait(now(), &entropy);
                longest[n] = longest[n].max(wait);
                shortest[n] = shortest[n].min(wait);
            }
        }
        for (n, bound_s) in [1.0, 2.0, 4.0, 5.0, 5.0, 5.0].into_iter().enumerate() {
            let (low, high) = (shortest[n].as_secs_f64(), longest[n].as_secs_f64());
            assert!(low < 0.01 * bound_s && (0.99 * bound_s..=bound_s).contains(&high), "{n}: {low} {high}");
        }
    }

    #[test]
    fn a_flapping_peer_keeps_backing_off_and_a_stable_one_starts_over() {
        let entropy = Entropy::seeded(1);
        let mut backoff = Backoff::new(policy());
        let mut at = now();
        for n in 1..=4 {
            backoff.up(at);
            at += SECOND;
            backoff.wait(at, &entropy);
            assert_eq!(backoff.failures(), n);
        }
        backoff.up(at);
        at += 30 * SECOND;
        backoff.wait(at, &entropy);
        assert_eq!(backoff.failures(), 1);
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
    }

    #[test]
    fn the_first_retry_may_be_immediate() {
        let entropy = Entropy::seeded(1);
        let mut backoff = Backoff::new(BackoffPolicy { is_first_immediate: true, ..policy() });
        assert_eq!(backoff.wait(now(), &entropy), Duration::ZERO);
        assert!(backoff.wait(now(), &entropy) <= SECOND);
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_cap(seed: u64, base_ms in 0_u64..1 << 40, cap_ms in 0_u64..1 << 40, tries in 1_usize..80) {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            let entropy = Entropy::seeded(seed);
            let mut backoff = Backoff::new(BackoffPolicy { base, cap, ..policy() });
            for _ in 0..tries {
                prop_assert!(backoff.wait(now(), &entropy) <= cap);
            }
        }
    }
}
