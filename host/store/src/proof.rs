//! Proofs over the ledger in a view: fetches the few tiles that a proof needs.

use mihwar_ledger::{Hash, ProveError, TileId, TileSet, consistency_proof, inclusion_proof, subtree_root};

use crate::{StoreError, View};

/// Why a proof over the stored ledger could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerProofError {
    /// No such leaf, or the sizes are the wrong way round.
    #[error(transparent)]
    Prove(#[from] ProveError<std::convert::Infallible>),
    /// The proof is for a bigger tree than the view shows.
    #[error("the ledger has {size} entries here, not {asked}")]
    Beyond {
        /// Size that was asked for.
        asked: u64,
        /// Size of the ledger in the view.
        size: u64,
    },
    /// Reading failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The proofs that these entries are in the tree of the first `size` entries, in their order. `size` is at most the view's.
/// A tile that several of them need is read once.
///
/// # Errors
/// Any [`LedgerProofError`].
pub async fn prove_inclusions(
    view: &dyn View,
    sequences: &[u64],
    size: u64,
) -> Result<Vec<Vec<Hash>>, LedgerProofError> {
    let mut tiles = TileSet::new();
    let mut proofs = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let prove = |tiles: &TileSet| inclusion_proof(tiles, *sequence, size);
        proofs.push(with_tiles(view, size, &mut tiles, prove).await?);
    }
    Ok(proofs)
}

/// The proof that the tree of the first `old` entries is the beginning of the tree of the first `new` ones. `new` is at
/// most the view's.
///
/// # Errors
/// Any [`LedgerProofError`].
pub async fn prove_consistency(view: &dyn View, old: u64, new: u64) -> Result<Vec<Hash>, LedgerProofError> {
    with_tiles(view, new, &mut TileSet::new(), |tiles| {
        consistency_proof(tiles, old, new)
    })
    .await
}

/// Root of the tree of the first `size` entries. `size` is at most the view's.
pub(crate) async fn root_at(view: &dyn View, size: u64) -> Result<Hash, LedgerProofError> {
    if size == 0 {
        return Ok(Hash::of_empty_tree());
    }
    let root = |tiles: &TileSet| subtree_root(tiles, 0, size).map(|root| vec![root]);
    let mut tiles = TileSet::new();
    let roots = with_tiles(view, size, &mut tiles, |tiles| root(tiles).map_err(ProveError::Nodes)).await?;
    Ok(roots.first().copied().unwrap_or_else(Hash::of_empty_tree))
}

/// Proving is pure and cheap, reading is not: try, fetch the tile that was missing, try again. A proof touches about two
/// tiles per level.
async fn with_tiles(
    view: &dyn View,
    asked: u64,
    tiles: &mut TileSet,
    prove: impl Fn(&TileSet) -> Result<Vec<Hash>, ProveError<TileId>>,
) -> Result<Vec<Hash>, LedgerProofError> {
    let size = view.tree().size();
    if asked > size {
        return Err(LedgerProofError::Beyond { asked, size });
    }
    loop {
        let id = match prove(tiles) {
            Ok(proof) => return Ok(proof),
            Err(ProveError::Nodes(id)) => id,
            Err(ProveError::NoSuchLeaf { index, size }) => {
                return Err(ProveError::NoSuchLeaf { index, size }.into());
            }
            Err(ProveError::Shrunk { old, new }) => {
                return Err(ProveError::Shrunk { old, new }.into());
            }
        };
        // A tile that was fetched and still lacks the hash will never have it.
        if tiles.contains(id) {
            let what = format!("tile {id:?} of the ledger is too short");
            return Err(StoreError::Corrupt { what }.into());
        }
        tiles.insert(id, view.tile(id).await?);
    }
}
