//! The tables of the file, and how their rows are written.

use std::sync::Arc;

use mihwar_ledger::{Frontier, Hash, TILE_WIDTH, TileId, leaf_hash};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};

use super::database::{OpenFile, Reading};
use super::spaces::RowTables;
use crate::StoreError;
use crate::tree::{TreeRows, complete_root};

/// Format of the file. Another number means that the tables mean something else, or that there may be more to the store
/// than its file. Whoever raises it says in `layout.rs` what becomes of older files.
pub(crate) const FORMAT: u32 = 3;

/// Sequence number → the entry's bytes.
pub(crate) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
/// [`tile_key`] → 256 hashes, or on level 0 the root over them. Full tiles only. Those that a store of an older format wrote
/// stay as they are: under [`old_tile_key`], on level 0 with 256 hashes.
pub(crate) const TILES: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("tiles");
/// Where a tile lies. The lowest level comes last: there are 256 times as many of it as of the next one, and a tree that
/// grows anywhere but at its end is left with nearly empty pages.
pub(crate) const fn tile_key(id: TileId) -> (u8, u64) {
    (!id.level, id.index)
}

/// Where a tile lies that a store of an older format wrote.
pub(crate) const fn old_tile_key(id: TileId) -> (u8, u64) {
    (id.level, id.index)
}

/// A tile as it is stored.
pub(crate) fn stored_tile(
    tiles: &redb::ReadOnlyTable<(u8, u64), &'static [u8]>,
    id: TileId,
) -> Result<Option<redb::AccessGuard<'static, &'static [u8]>>, StoreError> {
    for key in [tile_key(id), old_tile_key(id)] {
        let found = tiles.get(key).map_err(engine("reading a tile"))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Key of a row that was deleted from a space whose deletions are noted → version of the commit that deleted it. Made with
/// the first such deletion.
pub(crate) const REMOVED: TableDefinition<'_, &[u8], u64> = TableDefinition::new("removed");
/// The rows named below.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// [`FORMAT`], 4 bytes, big endian.
pub(crate) const META_FORMAT: &str = "format";
/// [`Head`] of the last commit.
pub(crate) const META_HEAD: &str = "head";
/// There while a log goes on from this file: only the two together are the store then. Says which log.
pub(crate) const META_LOG: &str = "log";

pub(crate) fn engine(what: &'static str) -> impl Fn(redb::StorageError) -> StoreError {
    move |error| StoreError::engine(what)(error.into())
}

pub(crate) fn opening(error: TableError) -> StoreError {
    StoreError::engine("opening a table")(error.into())
}

/// Version and tree of a snapshot.
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) frontier: Frontier,
}

impl Head {
    pub(crate) fn to_bytes(version: u64, frontier: &Frontier) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend_from_slice(&frontier.to_bytes());
        bytes
    }

    pub(crate) fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let meta = transaction.open_table(META).map_err(opening)?;
        let head = ReadableTable::get(&meta, META_HEAD)
            .map_err(engine("reading the head of the journal"))?
            .ok_or_else(|| StoreError::corrupt("the head of the journal is missing"))?;
        Self::from_bytes(head.value())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let (version, frontier) = bytes
            .split_first_chunk()
            .ok_or_else(|| StoreError::corrupt("the head of the journal is cut short"))?;
        Ok(Self {
            version: u64::from_be_bytes(*version),
            frontier: Frontier::from_bytes(frontier).map_err(|error| StoreError::corrupt(error.to_string()))?,
        })
    }
}

/// The format that a file says it has, as it is stored.
pub(crate) fn decode_format(bytes: &[u8]) -> Result<u32, StoreError> {
    let bytes = bytes.try_into();
    bytes
        .map(u32::from_be_bytes)
        .map_err(|_| StoreError::corrupt("the format is not a number"))
}

/// A read transaction with its tables opened once.
pub(crate) struct Snapshot {
    pub(crate) rows: RowTables,
    pub(crate) journal: redb::ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) tiles: redb::ReadOnlyTable<(u8, u64), &'static [u8]>,
    pub(crate) removed: Option<redb::ReadOnlyTable<&'static [u8], u64>>,
    pub(crate) head: Head,
    /// The last one: it may be closed when nobody reads it any more.
    _file: Arc<OpenFile>,
}

impl Snapshot {
    pub(crate) fn open(reading: Reading) -> Result<Self, StoreError> {
        let Reading { transaction, file } = reading;
        let removed = match transaction.open_table(REMOVED) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(opening(error)),
        };
        Ok(Self {
            journal: transaction.open_table(JOURNAL).map_err(opening)?,
            tiles: transaction.open_table(TILES).map_err(opening)?,
            removed,
            head: Head::read(&transaction)?,
            rows: RowTables::new(transaction),
            _file: file,
        })
    }
}

impl TreeRows for Snapshot {
    fn leaf(&self, sequence: u64) -> Result<Hash, StoreError> {
        ReadableTable::get(&self.journal, sequence)
            .map_err(engine("reading the journal"))?
            .map(|entry| leaf_hash(entry.value()))
            .ok_or_else(|| StoreError::corrupt(format!("journal entry {sequence} is missing")))
    }

    fn tile_root(&self, index: u64) -> Result<Hash, StoreError> {
        let id = TileId { level: 0, index };
        match &self.tile(id)?[..] {
            [root] => Ok(*root),
            // As it was stored before.
            hashes if hashes.len() == TILE_WIDTH => Ok(complete_root(hashes)),
            _ => Err(wrong_length(id)),
        }
    }

    fn full_tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        let hashes = self.tile(id)?;
        if hashes.len() == TILE_WIDTH {
            Ok(hashes)
        } else {
            Err(wrong_length(id))
        }
    }
}

impl Snapshot {
    /// The hashes stored for a tile.
    fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        let tile =
            stored_tile(&self.tiles, id)?.ok_or_else(|| StoreError::corrupt(format!("tile {id:?} is missing")))?;
        let (hashes, rest) = tile.value().as_chunks();
        if rest.is_empty() {
            Ok(hashes.iter().copied().map(Hash).collect())
        } else {
            Err(wrong_length(id))
        }
    }
}

fn wrong_length(id: TileId) -> StoreError {
    StoreError::corrupt(format!("tile {id:?} has a wrong length"))
}
