//! So much at once, and one more each second: of what anybody can cause.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use flux_world::Instant;
use parking_lot::Mutex;

use crate::limits::{ADDRESSES_MAX, UNKNOWN_BURST};

/// What is left of an allowance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    burst: u32,
    left: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(burst: u32, now: Instant) -> Allowance {
        Allowance { burst, left: burst.into(), at: now }
    }

    /// Whether one more is allowed.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let since: Duration = now.saturating_duration_since(self.at);
        (self.left, self.at) = ((self.left + since.as_secs_f64()).min(self.burst.into()), now);
        let is_allowed = self.left >= 1.0;
        if is_allowed {
            self.left -= 1.0;
        }
        is_allowed
    }

    /// Whether it is as it was at first, so that it need not be remembered.
    fn is_whole(&self, now: Instant) -> bool {
        self.left + now.saturating_duration_since(self.at).as_secs_f64() >= self.burst.into()
    }
}

/// An allowance for each address that shows no token.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<BTreeMap<IpAddr, Allowance>>);

impl Addresses {
    /// Whether the address may ask once more. Those that were not heard of for long are forgotten; when too many are known,
    /// nobody new is heard.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> bool {
        let mut known = self.0.lock();
        if known.len() >= ADDRESSES_MAX && !known.contains_key(&address) {
            known.retain(|_, allowance| !allowance.is_whole(now));
            if known.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        known.entry(address).or_insert_with(|| Allowance::new(UNKNOWN_BURST, now)).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_address_does_not_use_up_that_of_another() {
        let (clock, addresses) = (flux_world::Clock::real(), Addresses::default());
        let [one, two] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let taken = (0..200).filter(|_| addresses.take(one, clock.now())).count();
        assert_eq!(taken, UNKNOWN_BURST as usize);
        assert!(addresses.take(two, clock.now()));
        clock.sleep(Duration::from_secs(2)).await;
        let taken = (0..200).filter(|_| addresses.take(one, clock.now())).count();
        assert_eq!(taken, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded_and_forgotten() {
        let (clock, addresses) = (flux_world::Clock::real(), Addresses::default());
        let address = |at: usize| IpAddr::from((at as u128).to_be_bytes());
        for at in 0..ADDRESSES_MAX {
            assert!(addresses.take(address(at), clock.now()));
        }
        assert!(!addresses.take(address(ADDRESSES_MAX), clock.now()));
        clock.sleep(Duration::from_secs(1)).await;
        assert!(addresses.take(address(ADDRESSES_MAX), clock.now()));
        assert_eq!(addresses.0.lock().len(), 1);
    }
}
