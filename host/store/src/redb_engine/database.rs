//! The open file: its first contents, its transactions, its end.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    WriteTransaction,
};

use super::layout::{self, Layout};
use super::log::LogNote;
use super::schema::{
    FORMAT, Head, JOURNAL, META, META_FORMAT, META_HEAD, META_LOG, Snapshot, TILES, decode_format, engine, opening,
};
use super::scratch::Keeping;
use super::spaces::RowTables;
use super::writer::Committed;
use crate::tree::Tree;
use crate::{Key, StoreError, Versioned};

/// The database, until it is closed; which file that is may change under it.
#[derive(Clone)]
pub(crate) struct SharedDatabase {
    files: Arc<RwLock<Files>>,
    keeping: Keeping,
}

struct Files {
    current: Arc<OpenFile>,
    /// Files whose place another one took, as long as somebody reads them.
    replaced: Vec<Weak<OpenFile>>,
}

/// An open file. Closed when it is dropped, or before.
pub(crate) struct OpenFile(RwLock<Option<Database>>);

impl OpenFile {
    fn with<T>(&self, begin: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.0.read().unwrap_or_else(PoisonError::into_inner);
        begin(database.as_ref().ok_or(StoreError::Closed)?)
    }

    fn close(&self) -> Result<(), StoreError> {
        let database = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        match database {
            Some(database) => database
                .close()
                .map_err(|error| StoreError::engine("closing the file")(error.into())),
            None => Ok(()),
        }
    }
}

/// A read transaction, with the file that has to stay open for it.
pub(crate) struct Reading {
    pub(crate) transaction: ReadTransaction,
    pub(crate) file: Arc<OpenFile>,
}

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
        Ok(Self {
            files: Arc::new(RwLock::new(Files {
                current: Arc::new(OpenFile(RwLock::new(Some(database)))),
                replaced: Vec::new(),
            })),
            keeping: Keeping::Durable,
        })
    }

    /// From here on its commits cost what this sort of keeping asks for.
    pub(crate) fn keeping(self, keeping: Keeping) -> Self {
        Self { keeping, ..self }
    }

    /// Makes the tables of a new file; brings one of an older format along, or refuses one of an unknown format.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        layout::bring_along(self, self.make_or_tell_layout()?)
    }

    /// The layout of the file, if this version can read it. A new one gets its tables and the format of this version.
    pub(crate) fn make_or_tell_layout(&self) -> Result<Layout, StoreError> {
        let transaction = self.begin_write()?;
        {
            let mut meta = transaction.open_table(META).map_err(opening)?;
            let found = meta
                .get(META_FORMAT)
                .map_err(engine("reading the format"))?
                .map(|format| format.value().to_vec());
            if let Some(found) = found {
                return Layout::of(decode_format(&found)?);
            }
            let failed = engine("writing the format");
            let head = Head::to_bytes(0, Tree::default().frontier());
            meta.insert(META_HEAD, head.as_slice()).map_err(&failed)?;
            meta.insert(META_FORMAT, FORMAT.to_be_bytes().as_slice())
                .map_err(&failed)?;
            transaction.open_table(JOURNAL).map_err(opening)?;
            transaction.open_table(TILES).map_err(opening)?;
        }
        transaction
            .commit()
            .map_err(|error| StoreError::engine("making a new store")(error.into()))?;
        Ok(Layout::Present)
    }

    /// The log that goes on from this file, if there is one.
    pub(crate) fn log(&self) -> Result<Option<LogNote>, StoreError> {
        noted_log(&self.read()?.transaction)
    }

    /// Makes durable what was committed so far, together with which log goes on from there, if any.
    pub(crate) fn checkpoint(&self, log: Option<LogNote>) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        {
            let mut meta = transaction.open_table(META).map_err(opening)?;
            let failed = engine("noting whether there is a log");
            if let Some(log) = log {
                meta.insert(META_LOG, log.to_bytes().as_slice()).map_err(failed)?;
            } else {
                meta.remove(META_LOG).map_err(failed)?;
            }
        }
        transaction
            .commit()
            .map_err(|error| StoreError::engine("making the file durable")(error.into()))
    }

    pub(crate) fn load(&self) -> Result<Committed, StoreError> {
        let snapshot = self.snapshot()?;
        Ok(Committed {
            version: snapshot.head.version,
            tree: Tree::load(snapshot.head.frontier.clone(), &snapshot)?,
        })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::open(self.read()?)
    }

    /// Rows as they are now. Opens no table but those that it reads.
    pub(crate) fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let Reading {
            transaction,
            file: _file,
        } = self.read()?;
        let rows = RowTables::new(transaction);
        keys.iter().map(|key| rows.get(key)).collect()
    }

    pub(crate) fn read(&self) -> Result<Reading, StoreError> {
        let file = self.file();
        let transaction = file.with(|database| {
            database
                .begin_read()
                .map_err(|error| StoreError::engine("beginning to read")(error.into()))
        })?;
        Ok(Reading { transaction, file })
    }

    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.begin_plain_write()?;
        if self.keeping == Keeping::Durable {
            // Contents come from strangers: without the second phase a crafted page could pass for a commit after a crash.
            transaction.set_two_phase_commit(true);
            // Opening after a crash then takes a moment instead of a walk through the whole file.
            transaction.set_quick_repair(true);
        }
        Ok(transaction)
    }

    /// A transaction for a file that is not in use yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "called by the writer, before it starts, and for a file that nobody else has"
    )]
    pub(crate) fn begin_plain_write(&self) -> Result<WriteTransaction, StoreError> {
        self.file().with(|database| {
            database
                .begin_write()
                .map_err(|error| StoreError::engine("beginning to write")(error.into()))
        })
    }

    fn file(&self) -> Arc<OpenFile> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&files.current)
    }

    /// From here on everything goes to the file of `other`. What is being read in the old one, which is handed back, stays
    /// readable.
    pub(crate) fn replace_by(&self, other: &Self) -> Arc<OpenFile> {
        let new = other.file();
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut files.current, new);
        files.replaced.retain(|file| file.strong_count() > 0);
        files.replaced.push(Arc::downgrade(&old));
        old
    }

    /// Closes the file, and ends what is still being read in it and those before.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        for replaced in files.replaced.iter().filter_map(Weak::upgrade) {
            if let Err(error) = replaced.close() {
                tracing::debug!(%error, "closing a file that was compacted away");
            }
        }
        files.current.close()
    }
}

/// The log that goes on from a file, if there is one.
pub(crate) fn noted_log(transaction: &ReadTransaction) -> Result<Option<LogNote>, StoreError> {
    let meta = transaction.open_table(META).map_err(opening)?;
    let found = ReadableTable::get(&meta, META_LOG).map_err(engine("looking for a log"))?;
    found
        .map(|note| LogNote::from_bytes(note.value()))
        .map(|note| note.ok_or_else(|| StoreError::corrupt("what the store says of its log cannot be read")))
        .transpose()
}
