//! Chance: one cheap stream of random numbers, seeded by the operating system or by a simulation.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The increment of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A handle to a stream of random numbers; clones draw from the same stream.
///
/// One atomic addition per draw, no lock. Good for jitter, sampling and ids; **not** for keys, which come from the
/// cryptographic provider.
#[derive(Clone, Debug)]
pub struct Entropy {
    state: Arc<AtomicU64>,
}

impl Entropy {
    /// A stream nobody can repeat, seeded by the operating system.
    pub fn from_os() -> Self {
        // The hasher's keys are the operating system's randomness as the standard library hands it out.
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    /// The stream of `seed`: the same numbers each time.
    pub fn seeded(seed: u64) -> Self {
        Self { state: Arc::new(AtomicU64::new(seed)) }
    }

    /// The next 64 random bits.
    pub fn next_u64(&self) -> u64 {
        let state = self.state.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed).wrapping_add(GOLDEN_GAMMA);
        mix(state)
    }

    /// A number below `n`, uniform to within `n / 2^64`; 0 when `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A number in [0, 1).
    pub fn unit_f64(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A stream of its own, determined by this one's position: draws from one do not move the other.
    pub fn fork(&self) -> Self {
        Self::seeded(self.next_u64())
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let entropy = Entropy::seeded(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| entropy.next_u64()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn clones_share_a_stream_and_forks_do_not() {
        let (one, two) = (Entropy::seeded(7), Entropy::seeded(7));
        let clone = one.clone();
        assert_eq!(one.next_u64(), two.next_u64());
        assert_eq!(clone.next_u64(), two.next_u64());
        let fork = one.fork();
        let expected = two.fork().next_u64();
        fork.next_u64();
        assert_eq!(one.next_u64(), two.next_u64());
        assert_eq!(Entropy::seeded(7).next_u64(), Entropy::seeded(7).next_u64());
        assert_ne!(expected, two.next_u64());
    }

    #[test]
    fn bounds_hold() {
        let entropy = Entropy::from_os();
        assert_eq!(entropy.below(0), 0);
        assert_eq!(entropy.below(1), 0);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[entropy.below(5) as usize] = true;
            let unit = entropy.unit_f64();
            assert!((0.0..1.0).contains(&unit));
        }
        assert_eq!(seen, [true; 5]);
        let mut bytes = [0; 13];
        entropy.fill(&mut bytes);
        assert_ne!(bytes, [0; 13]);
    }
}
