//! UUIDv7 ids without a lock: a monotonic clock-and-counter word beside a random word per source.

use std::sync::atomic::{AtomicU64, Ordering};

use flux_signal::FluxId;
use flux_world::World;

/// Makes ids that rise in the order they were made (RFC 9562 section 6.2, method 1: a counter of 16 bits beside the
/// millisecond, which runs into the next millisecond when it overflows) and do not collide between sources
/// (58 random bits each).
#[derive(Debug)]
pub struct IdSource {
    /// Milliseconds in the upper 48 bits, the counter in the lower 16.
    last: AtomicU64,
    node: u64,
}

const NODE_BITS: u32 = 58;

impl IdSource {
    /// A source with a random word of its own.
    pub fn new(world: &World) -> IdSource {
        IdSource { last: AtomicU64::new(0), node: world.entropy.next_u64() & ((1 << NODE_BITS) - 1) }
    }

    /// The next id, at the given Unix time in milliseconds.
    pub fn next(&self, unix_ms: u64) -> FluxId {
        let now = unix_ms << 16;
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)))
            .expect("the update always succeeds");
        let this = now.max(last + 1);
        FluxId::v7(this >> 16, u128::from(this & 0xFFFF) << NODE_BITS | u128::from(self.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_does_not() {
        let ids = IdSource::new(&World::real());
        let made: Vec<_> = [5, 5, 4, 9, 9].into_iter().map(|ms| ids.next(ms)).collect();
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
        assert_eq!(made.iter().map(|id| id.unix_ms()).collect::<Vec<_>>(), [5, 5, 5, 9, 9]);
        let many: Vec<_> = (0..70_000).map(|_| ids.next(10)).collect();
        assert!(many.is_sorted_by(|a, b| a < b));
    }
}
