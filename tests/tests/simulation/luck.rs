//! Luck that belongs to a seed.

use mihwar_model::SplitMix64;

/// A repeatable sequence.
#[derive(Clone, Debug)]
pub(crate) struct Luck(SplitMix64);

impl Luck {
    /// The sequence of one actor: each has its own, so that what one draws does not change what another gets.
    pub(crate) fn of(seed: u64, actor: &str) -> Self {
        let mixed = actor.bytes().fold(seed ^ 0x6A09_E667_F3BC_C908, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let mut luck = Self(SplitMix64::new(mixed));
        luck.next();
        luck
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The numbers themselves.
    pub(crate) fn numbers(&mut self) -> &mut SplitMix64 {
        &mut self.0
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn chance(&mut self, of_a_thousand: u64) -> bool {
        self.next() % 1_000 < of_a_thousand
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
