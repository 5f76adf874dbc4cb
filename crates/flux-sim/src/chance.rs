//! Draws from one seed, in the words a plan is drawn in.

use std::ops::RangeInclusive;

use flux_world::Entropy;

/// A stream of draws that the same seed repeats.
pub(crate) struct Chance(Entropy);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(Entropy::seeded(seed))
    }

    /// A number of the range.
    pub(crate) fn between(&self, range: RangeInclusive<u32>) -> u32 {
        let span = u64::from(range.end() - range.start()) + 1;
        // Below a span of 32 bits, as the sum with the start is.
        range.start() + self.0.below(span) as u32
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&self, n: u32) -> bool {
        self.0.below(n.into()) == 0
    }

    /// One of the choices.
    pub(crate) fn pick<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.0.below(choices.len() as u64) as usize].clone()
    }

    /// A number that is small in most draws and large in some.
    pub(crate) fn skewed(&self, max: u32) -> u32 {
        let bits = self.0.below(u64::from(max.max(1).ilog2()) + 1);
        self.0.below(1 << (bits + 1)).min(max.into()) as u32
    }

    /// Another order, in which the last stays last.
    pub(crate) fn shuffle_all_but_last<T>(&self, items: &mut [T]) {
        for at in (1..items.len().saturating_sub(1)).rev() {
            items.swap(at, self.between(0..=at as u32) as usize);
        }
    }

    /// A stream of its own.
    pub(crate) fn seed(&self) -> u64 {
        self.0.next_u64()
    }
}
