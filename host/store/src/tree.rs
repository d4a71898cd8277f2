//! The ledger's tree as a writer keeps it: the frontier for the root, and the tiles that are not full yet.

use mihwar_ledger::{Frontier, Hash, TILE_WIDTH, TileId, TileSet, subtree_root};

use crate::StoreError;

/// Where the stored parts of the tree are read from.
pub(crate) trait TreeRows {
    /// Hash of the journal entry with this sequence number.
    fn leaf(&self, sequence: u64) -> Result<Hash, StoreError>;
    /// The root over the hashes of a full tile of level 0.
    fn tile_root(&self, index: u64) -> Result<Hash, StoreError>;
    /// A tile above level 0 that was full when it was written.
    fn full_tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError>;
}

/// The hashes of any tile of the tree of `size` leaves. Those of level 0 are the hashes of the entries, which are there
/// anyway: of such a tile its root alone is stored. Higher ones are stored when they are full; the rest is computed again
/// from what is below them.
pub(crate) fn tile_hashes(rows: &impl TreeRows, id: TileId, size: u64) -> Result<Vec<Hash>, StoreError> {
    let width = id.width(size);
    if width == TILE_WIDTH && id.level > 0 {
        return rows.full_tile(id);
    }
    (0..width as u64)
        .map(|place| {
            let below = id.index * TILE_WIDTH as u64 + place;
            match id.level.checked_sub(1) {
                None => rows.leaf(below),
                Some(0) => rows.tile_root(below),
                Some(level) => {
                    let tile = rows.full_tile(TileId { level, index: below })?;
                    Ok(complete_root(&tile))
                }
            }
        })
        .collect()
}

/// The tree of the journal, ready to append to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    frontier: Frontier,
    /// Per tile level, the hashes of its last tile, as long as that is not full.
    edges: Vec<Vec<Hash>>,
}

/// A tile that has just become full.
pub(crate) struct FullTile {
    pub(crate) id: TileId,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) root: Hash,
}

impl FullTile {
    /// As it is stored: all of its hashes, or of a tile of level 0 its root.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self.id.level {
            0 => self.root.0.to_vec(),
            _ => self.all_hashes(),
        }
    }

    /// As tiles of level 0 were stored, too, by versions before the log.
    pub(crate) fn all_hashes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

impl Tree {
    /// Takes up a stored tree again, and checks that frontier, tiles and entries agree on the root.
    pub(crate) fn load(frontier: Frontier, rows: &impl TreeRows) -> Result<Self, StoreError> {
        let size = frontier.size();
        let mut edges = Vec::new();
        let mut known = TileSet::new();
        for level in 0..8_u8 {
            let nodes = size >> (8 * u32::from(level));
            if nodes == 0 {
                break;
            }
            let id = TileId {
                level,
                index: nodes / TILE_WIDTH as u64,
            };
            let edge = tile_hashes(rows, id, size)?;
            known.insert(id, edge.clone());
            edges.push(edge);
        }
        // Every peak of the tree lies on its right edge, so in one of these tiles.
        let root = peaks_root(&known, size)
            .map_err(|id| StoreError::corrupt(format!("tile {id:?} of the ledger is missing")))?;
        if root != frontier.root() {
            return Err(StoreError::corrupt(format!(
                "the ledger's {size} entries have the root {root}, but {} was stored",
                frontier.root()
            )));
        }
        Ok(Self { frontier, edges })
    }

    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Adds a leaf and tells which tiles it filled.
    pub(crate) fn append(&mut self, leaf: Hash, filled: &mut Vec<FullTile>) {
        self.frontier.append(leaf);
        let mut hash = leaf;
        for level in 0..8_u8 {
            let place = usize::from(level);
            if self.edges.len() == place {
                self.edges.push(Vec::with_capacity(TILE_WIDTH));
            }
            let edge = &mut self.edges[place];
            edge.push(hash);
            if edge.len() < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::take(edge);
            hash = complete_root(&hashes);
            let tiles = self.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(1);
            filled.push(FullTile {
                id: TileId {
                    level,
                    index: tiles - 1,
                },
                hashes,
                root: hash,
            });
        }
    }
}

fn peaks_root(known: &TileSet, size: u64) -> Result<Hash, TileId> {
    subtree_root(known, 0, size)
}

/// Root over the hashes of a full tile: a frontier does not care how high its leaves are.
pub(crate) fn complete_root(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for hash in hashes {
        frontier.append(*hash);
    }
    frontier.root()
}
