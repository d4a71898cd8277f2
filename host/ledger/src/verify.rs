//! Checking proofs: the iterative algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2. On purpose nothing here is
//! shared with the provers, so that one mistake cannot hide itself.

use crate::{Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The leaf cannot be in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// Index claimed, from 0.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A tree only grows out of a smaller or equal one.
    #[error("a tree of {new} leaves cannot have grown out of one of {old}")]
    Shrunk {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The proof has too few or too many hashes for the sizes.
    #[error("the proof has {length} hashes, which does not fit the sizes given")]
    ProofLength {
        /// Number of hashes in the proof.
        length: usize,
    },
    /// The proof leads to another root than the one given.
    #[error("the proof leads to the root {computed}, not to {expected}")]
    RootMismatch {
        /// Root that the proof leads to.
        computed: Hash,
        /// Root that was given.
        expected: Hash,
    },
}

/// Checks that the leaf with hash `leaf` is at `index` in the tree of `size` leaves with the root `root`.
///
/// # Errors
/// Any [`VerifyError`]: the proof shows nothing then.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::NoSuchLeaf { index, size });
    }
    let wrong_length = VerifyError::ProofLength { length: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut computed = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            computed = node_hash(sibling, &computed);
            // On the right edge, levels where the node has no sibling are skipped: it moves up unchanged.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            computed = node_hash(&computed, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    expect_root(computed, root)
}

/// Checks that the tree of `new` leaves with `new_root` starts with the tree of `old` leaves with `old_root`.
/// For `old == 0` any tree will do and the proof has to be empty.
///
/// # Errors
/// Any [`VerifyError`]: the proof shows nothing then.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), VerifyError> {
    let wrong_length = VerifyError::ProofLength { length: proof.len() };
    if old > new {
        return Err(VerifyError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(wrong_length);
        }
        let first = if old == 0 { Hash::of_empty_tree() } else { *new_root };
        return expect_root(first, old_root);
    }
    // A complete old tree is a node of the new one, so the prover leaves its hash out.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(wrong_length.clone())?
    };
    let skipped = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> skipped, (new - 1) >> skipped);
    let (mut computed_old, mut computed_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            computed_old = node_hash(sibling, &computed_old);
            computed_new = node_hash(sibling, &computed_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            computed_new = node_hash(&computed_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    expect_root(computed_old, old_root)?;
    expect_root(computed_new, new_root)
}

fn expect_root(computed: Hash, expected: &Hash) -> Result<(), VerifyError> {
    if computed == *expected {
        return Ok(());
    }
    Err(VerifyError::RootMismatch {
        computed,
        expected: *expected,
    })
}
