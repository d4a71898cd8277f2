//! What has to be kept of a tree in order to append to it and to know its root.

use crate::{Hash, node_hash};

/// The right edge of a tree: the roots of the largest complete subtrees, from left to right. Their sizes are the binary
/// digits of the tree's size, so that a tree of any size fits in at most 64 hashes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, given as [`crate::leaf_hash`] of its bytes, at index [`Frontier::size`].
    pub fn append(&mut self, leaf: Hash) {
        // Every trailing one of the size is a complete subtree that the new leaf completes to one of twice the size.
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Root of the tree, as RFC 9162 section 2.1.1 defines it for every size.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Hash::of_empty_tree();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The frontier as bytes: size (8 bytes, big endian), then the hashes from left to right.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.peaks.len() * Hash::LENGTH);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for peak in &self.peaks {
            bytes.extend_from_slice(peak.as_bytes());
        }
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the number of hashes is not the one that the size calls for. Wrong hashes cannot be seen here: compare
    /// [`Frontier::root`] with a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let (size, peaks) = bytes
            .split_first_chunk::<8>()
            .ok_or(FrontierError::Short { length: bytes.len() })?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = peaks.as_chunks::<{ Hash::LENGTH }>();
        let expected = size.count_ones() as usize;
        if hashes.len() != expected || !rest.is_empty() {
            return Err(FrontierError::Length {
                size,
                expected: 8 + expected * Hash::LENGTH,
                length: bytes.len(),
            });
        }
        Ok(Self {
            size,
            peaks: hashes.iter().copied().map(Hash).collect(),
        })
    }
}

/// Bytes that are not a frontier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// Not even the size is there.
    #[error("a frontier starts with 8 bytes of size, but there are only {length} bytes")]
    Short {
        /// Bytes given.
        length: usize,
    },
    /// The hashes do not fit the size.
    #[error("the frontier of a tree of {size} leaves is {expected} bytes long, but there are {length}")]
    Length {
        /// Size that the bytes claim.
        size: u64,
        /// Length in bytes that this size calls for.
        expected: usize,
        /// Bytes given.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    /// The definition, word for word: split at the largest power of two below the size.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_empty_tree(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn root_equals_the_definition_at_every_size() {
        let mut frontier = Frontier::new();
        let mut leaves = Vec::new();
        for number in 0_u32..300 {
            assert_eq!(frontier.root(), root_by_definition(&leaves), "size {number}");
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).as_ref(), Ok(&frontier));
            let leaf = leaf_hash(&number.to_be_bytes());
            frontier.append(leaf);
            leaves.push(leaf);
        }
        assert_eq!(frontier.size(), 300);
    }

    #[test]
    fn bytes_of_a_wrong_length_are_refused() {
        let mut frontier = Frontier::new();
        for number in 0_u8..5 {
            frontier.append(leaf_hash(&[number]));
        }
        let bytes = frontier.to_bytes();
        assert_eq!(bytes.len(), 8 + 2 * 32);
        for cut in 0..bytes.len() {
            assert!(Frontier::from_bytes(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Frontier::from_bytes(&longer).is_err());
        let mut other_size = bytes;
        other_size[7] = 7;
        assert_eq!(
            Frontier::from_bytes(&other_size),
            Err(FrontierError::Length {
                size: 7,
                expected: 8 + 3 * 32,
                length: 72
            })
        );
    }
}
