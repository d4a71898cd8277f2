//! The tiles of a tree, as they come about while leaves are added.

use crate::tile::complete_root;
use crate::{Hash, TILE_WIDTH, TileId};

/// Levels of tiles that 2^64 leaves fill.
const LEVELS: u8 = 8;

/// Keeps the last tile of each level, at most 256 hashes of each of 8, and hands out each tile when it is full.
#[derive(Clone, Debug, Default)]
pub struct Tiling {
    size: u64,
    edges: Vec<Vec<Hash>>,
}

impl Tiling {
    /// Of a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leaf. The tiles that it fills are put behind those in `full`, from the lowest level up.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<(TileId, Vec<Hash>)>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..LEVELS {
            let place = usize::from(level);
            if self.edges.len() == place {
                self.edges.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(edge) = self.edges.get_mut(place) else { return };
            edge.push(hash);
            if edge.len() < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::replace(edge, Vec::with_capacity(TILE_WIDTH));
            hash = complete_root(&hashes);
            let tiles = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(1);
            let index = tiles.saturating_sub(1);
            full.push((TileId { level, index }, hashes));
        }
    }

    /// The tiles that are begun and not full, from the lowest level up.
    pub fn begun(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        let size = self.size;
        let edges = (0..LEVELS).zip(&self.edges).filter(|(_, edge)| !edge.is_empty());
        edges.map(move |(level, edge)| {
            let index = size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            (TileId { level, index }, edge.as_slice())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tiling;
    use crate::{Frontier, Hash, TileId, TileSet, leaf_hash, subtree_root};

    #[test]
    fn the_tiles_of_every_size_give_the_tree_of_that_size() {
        let (mut tiling, mut frontier) = (Tiling::new(), Frontier::new());
        let (mut full, mut set) = (Vec::new(), TileSet::new());
        for number in 0_u64..70_000 {
            let leaf = leaf_hash(&number.to_be_bytes());
            tiling.append(leaf, &mut full);
            frontier.append(leaf);
            for (id, hashes) in full.drain(..) {
                assert_eq!((id.width(number + 1), hashes.len()), (256, 256), "{id:?}");
                set.insert(id, hashes);
            }
            if [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000].contains(&(number + 1)) {
                let mut whole = set.clone();
                for (id, hashes) in tiling.begun() {
                    assert_eq!(id.width(number + 1), hashes.len(), "{id:?}");
                    whole.insert(id, hashes.to_vec());
                }
                assert_eq!(subtree_root(&whole, 0, number + 1), Ok(frontier.root()), "{number}");
            }
        }
        assert!(set.contains(TileId { level: 1, index: 0 }));
        assert_eq!(subtree_root(&TileSet::new(), 0, 0), Ok(Hash::of_empty_tree()));
        assert_eq!(Tiling::new().begun().count(), 0);
    }
}
