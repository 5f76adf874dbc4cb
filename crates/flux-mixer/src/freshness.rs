//! Whether a request is fresh: made now, and never seen.

use std::collections::{BTreeSet, VecDeque};

use flux_identity::Nonce;
use parking_lot::Mutex;

use crate::limits::{CLOCK_SKEW_MAX, NONCES_MAX};
use crate::refusal::Refusal;

/// The nonces that were seen, for as long as a request with one of them could be taken for fresh.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// What was made before is not known here.
    began_unix_ms: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: BTreeSet<Nonce>,
    /// The same, by when they may be forgotten.
    until: VecDeque<(u64, Nonce)>,
}

impl Freshness {
    pub(crate) fn new(began_unix_ms: u64) -> Freshness {
        Freshness { began_unix_ms, seen: Mutex::default() }
    }

    /// Takes a nonce that was not seen, of a request that was made now.
    pub(crate) fn take(&self, nonce: Nonce, made_unix_ms: u64, now_unix_ms: u64) -> Result<(), Refusal> {
        let skew = CLOCK_SKEW_MAX.as_millis() as u64;
        let stale = |why| Err(Refusal::Stale { why, now_unix_ms });
        if made_unix_ms.abs_diff(now_unix_ms) > skew {
            return stale("the clocks differ by more than five minutes; ask again by the clock of the Mixer");
        }
        if made_unix_ms < self.began_unix_ms {
            return stale("it was made before the Mixer began; ask again");
        }
        let mut seen = self.seen.lock();
        while let Some((_, nonce)) = seen.until.pop_front_if(|(until, _)| *until < now_unix_ms) {
            seen.nonces.remove(&nonce);
        }
        if seen.nonces.len() >= NONCES_MAX {
            return Err(Refusal::TooMany("too many racks enrol at once; ask again later".into()));
        }
        if !seen.nonces.insert(nonce) {
            return stale("it was seen before; ask again with a new nonce");
        }
        seen.until.push_back((now_unix_ms + 2 * skew, nonce));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_242_117_000;

    #[test]
    fn nothing_is_taken_twice_and_nothing_old() {
        let freshness = Freshness::new(NOW);
        let take = |byte, made, now| freshness.take(Nonce([byte; 32]), made, now).is_ok();
        let skew = CLOCK_SKEW_MAX.as_millis() as u64;
        assert!(take(1, NOW, NOW));
        assert!(!take(1, NOW, NOW), "a replay");
        assert!(!take(1, NOW + 1, NOW + 1), "and with another time");
        assert!(!take(2, NOW - 1, NOW), "from before the Mixer began");
        assert!(take(3, NOW + skew, NOW));
        assert!(!take(4, NOW + skew + 1, NOW));
        assert!(!take(4, NOW, NOW + skew + 1));
        // As long as a request could be fresh its nonce is known; from then on it is refused for its age.
        for later in [skew, 2 * skew, 2 * skew + 1, 10 * skew] {
            assert!(!take(3, NOW + skew, NOW + later), "{later}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let freshness = Freshness::new(NOW);
        let nonce = |at: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(at as u64).to_le_bytes());
            Nonce(bytes)
        };
        for at in 0..NONCES_MAX {
            freshness.take(nonce(at), NOW, NOW).unwrap();
        }
        let full = freshness.take(nonce(NONCES_MAX), NOW, NOW).unwrap_err();
        assert!(matches!(full, Refusal::TooMany(_)));
        let later = NOW + 2 * CLOCK_SKEW_MAX.as_millis() as u64 + 1;
        freshness.take(nonce(NONCES_MAX), later, later).unwrap();
        assert_eq!(freshness.seen.lock().nonces.len(), 1);
    }
}
