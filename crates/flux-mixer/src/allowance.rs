//! So much at once, and so much more each second: of what anybody can cause.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_world::Instant;
use parking_lot::Mutex;

/// What is left of an allowance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    burst: u32,
    each_second: u32,
    left: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(burst: u32, each_second: u32, now: Instant) -> Allowance {
        Allowance { burst, each_second, left: burst.into(), at: now }
    }

    /// Whether one more is allowed.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        (self.left, self.at) = (self.left_at(now), now);
        let is_allowed = self.left >= 1.0;
        if is_allowed {
            self.left -= 1.0;
        }
        is_allowed
    }

    /// What was taken did not count.
    fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(self.burst.into());
    }

    /// Whether it is as it was at first, so that it need not be remembered.
    fn is_whole(&self, now: Instant) -> bool {
        self.left_at(now) >= self.burst.into()
    }

    fn left_at(&self, now: Instant) -> f64 {
        let since: Duration = now.saturating_duration_since(self.at);
        (self.left + since.as_secs_f64() * f64::from(self.each_second)).min(self.burst.into())
    }
}

/// An allowance for each of those who are known by a `K`.
#[derive(Debug)]
pub(crate) struct Allowances<K> {
    burst: u32,
    each_second: u32,
    known_max: usize,
    known: Mutex<BTreeMap<K, Allowance>>,
}

impl<K: Ord> Allowances<K> {
    pub(crate) fn new(burst: u32, each_second: u32, known_max: usize) -> Allowances<K> {
        Allowances { burst, each_second, known_max, known: Mutex::default() }
    }

    /// Whether somebody may ask once more. Those that were not heard of for long are forgotten; when too many are known, nobody new
    /// is heard.
    pub(crate) fn take(&self, who: K, now: Instant) -> bool {
        let mut known = self.known.lock();
        if known.len() >= self.known_max && !known.contains_key(&who) {
            known.retain(|_, allowance| !allowance.is_whole(now));
            if known.len() >= self.known_max {
                return false;
            }
        }
        known.entry(who).or_insert_with(|| Allowance::new(self.burst, self.each_second, now)).take(now)
    }

    /// Whoever asked had a right to.
    pub(crate) fn give_back(&self, who: &K) {
        if let Some(allowance) = self.known.lock().get_mut(who) {
            allowance.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::limits::{ADDRESSES_MAX, UNKNOWN_BURST};

    fn addresses() -> Allowances<IpAddr> {
        Allowances::new(UNKNOWN_BURST, 1, ADDRESSES_MAX)
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_does_not_use_up_that_of_another() {
        let (clock, addresses) = (flux_world::Clock::real(), addresses());
        let [one, two] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let taken = (0..200).filter(|_| addresses.take(one, clock.now())).count();
        assert_eq!(taken, UNKNOWN_BURST as usize);
        assert!(addresses.take(two, clock.now()));
        addresses.give_back(&one);
        assert!(addresses.take(one, clock.now()) && !addresses.take(one, clock.now()));
        clock.sleep(Duration::from_secs(2)).await;
        let taken = (0..200).filter(|_| addresses.take(one, clock.now())).count();
        assert_eq!(taken, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded_and_forgotten() {
        let (clock, addresses) = (flux_world::Clock::real(), addresses());
        let address = |at: usize| IpAddr::from((at as u128).to_be_bytes());
        for at in 0..ADDRESSES_MAX {
            assert!(addresses.take(address(at), clock.now()));
        }
        assert!(!addresses.take(address(ADDRESSES_MAX), clock.now()));
        clock.sleep(Duration::from_secs(1)).await;
        assert!(addresses.take(address(ADDRESSES_MAX), clock.now()));
        assert_eq!(addresses.known.lock().len(), 1);
    }
}
