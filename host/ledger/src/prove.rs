//! Making proofs: the recursive definitions of RFC 9162 section 2.1.3.1 and 2.1.4.1, written down as they stand.

use crate::{Hash, node_hash};

/// A complete subtree: the one over the leaves `index·2^level .. (index+1)·2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height above the leaves; a leaf is at level 0.
    pub level: u8,
    /// Number of the node within its level, from the left.
    pub index: u64,
}

/// Where a prover finds the hashes of complete subtrees: memory, or tiles.
pub trait Nodes {
    /// Why a hash could not be given.
    type Error;

    /// The hash of a complete subtree.
    ///
    /// # Errors
    /// When the source does not hold it.
    fn node(&self, node: Node) -> Result<Hash, Self::Error>;
}

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf is not in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// Index asked for, from 0.
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
    /// The source of hashes failed.
    #[error("a hash of the tree is missing")]
    Nodes(#[source] E),
}

/// The siblings on the way from leaf `index` up to the root of the tree of `size` leaves, from the bottom up.
///
/// # Errors
/// [`ProveError::NoSuchLeaf`], or what the source of hashes says.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if index >= size {
        return Err(ProveError::NoSuchLeaf { index, size });
    }
    let mut proof = Vec::new();
    path(nodes, index, 0, size, &mut proof).map_err(ProveError::Nodes)?;
    Ok(proof)
}

/// What shows that the first `old` leaves of the tree of `new` leaves are the tree of `old` leaves. Empty when `old` is
/// 0 or equal to `new`: there is nothing to show then.
///
/// # Errors
/// [`ProveError::Shrunk`], or what the source of hashes says.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if old > new {
        return Err(ProveError::Shrunk { old, new });
    }
    let mut proof = Vec::new();
    if old > 0 && old < new {
        subproof(nodes, old, 0, new, true, &mut proof).map_err(ProveError::Nodes)?;
    }
    Ok(proof)
}

/// Root of the subtree over the leaves `start..end`, which has to be one that the definition of the tree produces;
/// `0..size` is the root of the whole tree. A subtree that is not complete is put together from complete ones.
///
/// # Errors
/// What the source of hashes says.
pub fn subtree_root<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let width = end.saturating_sub(start);
    if width == 0 {
        return Ok(Hash::of_empty_tree());
    }
    if width.is_power_of_two() {
        let level = width.ilog2();
        return nodes.node(Node {
            #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a u64 is below 64")]
            level: level as u8,
            index: start >> level,
        });
    }
    let middle = start + split(width);
    let left = subtree_root(nodes, start, middle)?;
    let right = subtree_root(nodes, middle, end)?;
    Ok(node_hash(&left, &right))
}

/// The largest power of two below `width` (which is at least 2): where the definition splits a tree.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

fn path<N: Nodes>(nodes: &N, index: u64, start: u64, end: u64, proof: &mut Vec<Hash>) -> Result<(), N::Error> {
    if end - start == 1 {
        return Ok(());
    }
    let middle = start + split(end - start);
    if index < middle {
        path(nodes, index, start, middle, proof)?;
        proof.push(subtree_root(nodes, middle, end)?);
    } else {
        path(nodes, index, middle, end, proof)?;
        proof.push(subtree_root(nodes, start, middle)?);
    }
    Ok(())
}

/// `known`: the verifier has the root of this subtree already, because it is the old tree's.
fn subproof<N: Nodes>(
    nodes: &N,
    old_end: u64,
    start: u64,
    end: u64,
    known: bool,
    proof: &mut Vec<Hash>,
) -> Result<(), N::Error> {
    if old_end == end {
        if !known {
            proof.push(subtree_root(nodes, start, end)?);
        }
        return Ok(());
    }
    let middle = start + split(end - start);
    if old_end <= middle {
        subproof(nodes, old_end, start, middle, known, proof)?;
        proof.push(subtree_root(nodes, middle, end)?);
    } else {
        subproof(nodes, old_end, middle, end, false, proof)?;
        proof.push(subtree_root(nodes, start, middle)?);
    }
    Ok(())
}
