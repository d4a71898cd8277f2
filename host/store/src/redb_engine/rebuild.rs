//! Filling a new file with rows and entries that another store wrote.

use std::path::Path;
use std::sync::Arc;

use redb::WriteTransaction;

use super::backend::CountingBackend;
use super::counters::Counters;
use super::create;
use super::database::SharedDatabase;
use super::schema::{Head, JOURNAL, META, META_HEAD, TILES, engine, opening, tile_key};
use super::spaces::RowsInTransaction;
use crate::file_system::OsFiles;
use crate::tree::{FullTile, Tree};
use crate::{Row, StoreError};

/// Memory for pages while a file is filled in the order of its keys.
const CACHE_BYTES: usize = 64 << 20;

/// A file that is being filled. Each call is one durable transaction; it is a store when [`Rebuild::finish`] was called.
pub(crate) struct Rebuild {
    database: SharedDatabase,
}

impl Rebuild {
    /// Makes the file, which must not be there.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let backend = create::new_file(&OsFiles, path)?;
        let backend = CountingBackend::new(backend, Arc::new(Counters::default()));
        let database = SharedDatabase::open(backend, path, CACHE_BYTES)?;
        database.prepare()?;
        Ok(Self { database })
    }

    /// Writes rows with the versions that they have.
    pub(crate) fn rows(&self, rows: &[Row]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let table = RowsInTransaction::new(&transaction);
            for row in rows {
                table.insert(&row.key, row.value.version, &row.value.bytes)?;
            }
        }
        commit(transaction)
    }

    /// Writes journal entries from the sequence number `first` on, and the tiles that they filled.
    pub(crate) fn entries(&self, first: u64, entries: &[Vec<u8>], filled: &[FullTile]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(JOURNAL).map_err(opening)?;
            for (sequence, entry) in (first..).zip(entries) {
                table
                    .insert(sequence, entry.as_slice())
                    .map_err(engine("writing the journal"))?;
            }
            let mut table = transaction.open_table(TILES).map_err(opening)?;
            for tile in filled {
                table
                    .insert(tile_key(tile.id), tile.to_bytes().as_slice())
                    .map_err(engine("writing a tile"))?;
            }
        }
        commit(transaction)
    }

    /// Writes version and tree, which makes a store of it.
    pub(crate) fn finish(&self, version: u64, tree: &Tree) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let head = Head::to_bytes(version, tree.frontier());
            let mut meta = transaction.open_table(META).map_err(opening)?;
            meta.insert(META_HEAD, head.as_slice())
                .map_err(engine("writing the head of the journal"))?;
        }
        commit(transaction)
    }

    /// Closes the file.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.database.close()
    }
}

fn commit(transaction: WriteTransaction) -> Result<(), StoreError> {
    transaction
        .commit()
        .map_err(|error| StoreError::engine("committing")(error.into()))
}
