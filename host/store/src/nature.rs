//! What becomes of each space's rows in a backup.

use crate::{Key, Space};

/// What becomes of a space's rows in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Many rows that mostly stay: an increment has only those that changed, and the keys of those that were deleted. The
    /// engine notes deletions, so rows that come and go do not belong here.
    Lasting,
    /// As [`Nature::Lasting`], and each row stands for a blob: the last 16 bytes of its key are the blob's id.
    Filed,
    /// Few rows, or rows that come and go: every increment has all of them, in place of those before.
    Passing,
    /// Not in a backup: made anew where it is missing.
    Derived,
}

impl Nature {
    /// Whether deletions are noted for increments.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Lasting | Self::Filed)
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Lasting => 0,
            Self::Filed => 1,
            Self::Passing => 2,
            Self::Derived => 3,
        }
    }
}

/// The nature of every space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Natures([Nature; 256]);

impl Natures {
    /// The same for every space.
    #[must_use]
    pub const fn all(nature: Nature) -> Self {
        Self([nature; 256])
    }

    /// The same table with another nature for one space.
    #[must_use]
    pub const fn with(mut self, space: Space, nature: Nature) -> Self {
        self.0[space.0 as usize] = nature;
        self
    }

    /// The nature of a space.
    #[must_use]
    pub const fn of(&self, space: Space) -> Nature {
        self.0[space.0 as usize]
    }

    /// The nature of the space that a key lies in.
    #[must_use]
    pub fn of_key(&self, key: &Key) -> Nature {
        let space = key.as_bytes().first().copied().unwrap_or_default();
        self.of(Space(space))
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.iter().map(|nature| nature.to_byte()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 256] = bytes.try_into().ok()?;
        let mut natures = [Nature::Derived; 256];
        for (nature, byte) in natures.iter_mut().zip(bytes) {
            *nature = match byte {
                0 => Nature::Lasting,
                1 => Nature::Filed,
                2 => Nature::Passing,
                3 => Nature::Derived,
                _ => return None,
            };
        }
        Some(Self(natures))
    }
}
