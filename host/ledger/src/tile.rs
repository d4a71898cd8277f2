//! Tiles as in C2SP tlog-tiles: 256 hashes side by side at every eighth level, so that a big tree can be read in few
//! and cacheable pieces.

use std::collections::BTreeMap;

use crate::{Hash, Node, Nodes, node_hash};

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 256;
const TILE_HEIGHT: u8 = 8;

/// Names a tile: the hashes of the nodes at tree level `8·level`, from `256·index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Tile level; level 0 holds leaf hashes.
    pub level: u8,
    /// Number of the tile within its level, from the left.
    pub index: u64,
}

impl TileId {
    /// The tile from which a node's hash can be had.
    #[must_use]
    pub fn holding(node: Node) -> Self {
        let height = node.level % TILE_HEIGHT;
        Self {
            level: node.level / TILE_HEIGHT,
            index: node.index >> (TILE_HEIGHT - height),
        }
    }

    /// How many hashes this tile has in a tree of `size` leaves: 0 when it is not begun, 256 when full.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let nodes = size
            .checked_shr(u32::from(self.level) * u32::from(TILE_HEIGHT))
            .unwrap_or(0);
        let before = u128::from(self.index) * TILE_WIDTH as u128;
        let width = u128::from(nodes).saturating_sub(before).min(TILE_WIDTH as u128);
        width as usize
    }
}

/// Tiles in memory, as a source of hashes for proofs. A missing tile is an error that names the tile, so that a caller
/// with slow storage can fetch just that one and try again.
#[derive(Clone, Debug, Default)]
pub struct TileSet {
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl TileSet {
    /// A set without tiles.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tile, full or not, in place of an earlier one with the same name.
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) {
        self.tiles.insert(id, hashes);
    }

    /// Whether the set has this tile.
    #[must_use]
    pub fn contains(&self, id: TileId) -> bool {
        self.tiles.contains_key(&id)
    }
}

impl Nodes for TileSet {
    type Error = TileId;

    fn node(&self, node: Node) -> Result<Hash, TileId> {
        let id = TileId::holding(node);
        let height = node.level % TILE_HEIGHT;
        let width = 1_usize << height;
        // The node's place among the nodes of its height in this tile is below 256 >> height.
        #[expect(clippy::cast_possible_truncation, reason = "masked to below 256")]
        let place = (node.index & (u64::from(u8::MAX) >> height)) as usize;
        let hashes = self
            .tiles
            .get(&id)
            .and_then(|tile| tile.get(place * width..(place + 1) * width))
            .ok_or(id)?;
        Ok(complete_root(hashes))
    }
}

/// Root over hashes whose number is a power of two.
pub(crate) fn complete_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_empty_tree(),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&complete_root(left), &complete_root(right))
        }
    }
}
