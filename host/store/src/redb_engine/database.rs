//! The open file: its first contents, its transactions, its end.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    WriteTransaction,
};

use super::schema::{FORMAT, Head, JOURNAL, META, META_FORMAT, META_HEAD, ROWS, Snapshot, TILES, engine, get, opening};
use super::writer::Committed;
use crate::tree::Tree;
use crate::{Key, StoreError, Versioned};

/// The database, until it is closed.
#[derive(Clone)]
pub(crate) struct SharedDatabase(Arc<RwLock<Option<Database>>>);

impl SharedDatabase {
    pub(crate) fn open(backend: impl StorageBackend, path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        Self::open_by(Database::builder().set_cache_size(cache_bytes), backend, path)
    }

    /// Opens it after comparing every page with its checksum.
    pub(crate) fn open_checked(
        backend: impl StorageBackend,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true).set_cache_size(cache_bytes);
        Self::open_by(&mut builder, backend, path)
    }

    fn open_by(builder: &mut Builder, backend: impl StorageBackend, path: &Path) -> Result<Self, StoreError> {
        let database = builder
            .set_repair_callback(|repair| {
                // Parts per cent of a float below 1: exact enough for a log.
                tracing::warn!(progress = repair.progress(), "repairing the store after a crash");
            })
            .create_with_backend(backend)
            .map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                    StoreError::AlreadyOpen { path: path.to_owned() }
                }
                error => StoreError::engine("opening the file")(error.into()),
            })?;
        Ok(Self(Arc::new(RwLock::new(Some(database)))))
    }

    /// Makes the tables of a new file, or checks the format of an old one.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        {
            let mut meta = transaction.open_table(META).map_err(opening)?;
            let found = meta
                .get(META_FORMAT)
                .map_err(engine("reading the format"))?
                .map(|format| format.value().to_vec());
            if let Some(found) = found {
                let found = found
                    .try_into()
                    .map(u32::from_be_bytes)
                    .map_err(|_| StoreError::corrupt("the format is not a number"))?;
                return if found == FORMAT {
                    Ok(())
                } else {
                    Err(StoreError::Format {
                        found,
                        expected: FORMAT,
                    })
                };
            }
            let failed = engine("writing the format");
            let head = Head::to_bytes(0, Tree::default().frontier());
            meta.insert(META_HEAD, head.as_slice()).map_err(&failed)?;
            meta.insert(META_FORMAT, FORMAT.to_be_bytes().as_slice())
                .map_err(&failed)?;
            transaction.open_table(ROWS).map_err(opening)?;
            transaction.open_table(JOURNAL).map_err(opening)?;
            transaction.open_table(TILES).map_err(opening)?;
        }
        transaction
            .commit()
            .map_err(|error| StoreError::engine("making a new store")(error.into()))
    }

    pub(crate) fn load(&self) -> Result<Committed, StoreError> {
        let snapshot = self.snapshot()?;
        Ok(Committed {
            version: snapshot.head.version,
            tree: Tree::load(snapshot.head.frontier.clone(), &snapshot)?,
        })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::open(&self.begin_read()?)
    }

    /// Rows as they are now. Opens the one table that it reads.
    pub(crate) fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let rows = self.begin_read()?.open_table(ROWS).map_err(opening)?;
        keys.iter().map(|key| get(&rows, key)).collect()
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.with(|database| {
            database
                .begin_read()
                .map_err(|error| StoreError::engine("beginning to read")(error.into()))
        })
    }

    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "called by the writer, and once before it starts"
        )]
        let mut transaction = self.with(|database| {
            database
                .begin_write()
                .map_err(|error| StoreError::engine("beginning to write")(error.into()))
        })?;
        // Contents come from strangers: without the second phase a crafted page could pass for a commit after a crash.
        transaction.set_two_phase_commit(true);
        // Opening after a crash then takes a moment instead of a walk through the whole file.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn with<T>(&self, begin: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.0.read().unwrap_or_else(PoisonError::into_inner);
        begin(database.as_ref().ok_or(StoreError::Closed)?)
    }

    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let database = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        match database {
            Some(database) => database
                .close()
                .map_err(|error| StoreError::engine("closing the file")(error.into())),
            None => Ok(()),
        }
    }
}
