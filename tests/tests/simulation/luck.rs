//! Luck that belongs to a seed.

/// A repeatable sequence (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Luck(u64);

impl Luck {
    /// The sequence of one actor: each has its own, so that what one draws does not change what another gets.
    pub(crate) fn of(seed: u64, actor: &str) -> Self {
        let mixed = actor.bytes().fold(seed ^ 0x6A09_E667_F3BC_C908, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let mut luck = Self(mixed);
        luck.next();
        luck
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
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
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}
