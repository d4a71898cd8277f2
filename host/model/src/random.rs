//! The door through which randomness enters.

use std::sync::Mutex;

/// Gives random bytes. Everything that needs salts, nonces or ids is handed one of these.
pub trait Randomness: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsRandomness;

impl Randomness for OsRandomness {
    #[expect(
        clippy::panic,
        reason = "without randomness no key or salt is safe; going on would be worse than stopping"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no random bytes: {error}");
        }
    }
}

/// A repeatable sequence of numbers for tests and simulation (SplitMix64): small, and good enough to choose by. Never for
/// secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end.max(1)
    }

    /// Fills `bytes`, with a number for every eight of them.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// [`SplitMix64`] as randomness, for tests and simulation. Never for secrets.
#[derive(Debug)]
pub struct SeededRandomness(Mutex<SplitMix64>);

impl SeededRandomness {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(SplitMix64::new(seed)))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        let mut numbers = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        numbers.fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_is_that_of_splitmix64() {
        let mut numbers = SplitMix64::new(1_234_567);
        let drawn = [0; 3].map(|_: u8| numbers.next_u64());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn bytes_are_those_of_the_numbers() {
        let (mut bytes, mut numbers) = ([0; 11], SplitMix64::new(7));
        SeededRandomness::new(7).fill(&mut bytes);
        assert_eq!(bytes[..8], numbers.next_u64().to_le_bytes());
        assert_eq!(bytes[8..], numbers.next_u64().to_le_bytes()[..3]);
        assert!(numbers.below(3) < 3);
        assert_eq!(numbers.below(0), 0);
    }
}
