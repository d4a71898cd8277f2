//! A look into a file that nobody serves, which changes no byte of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::{DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::containment::contained;
use super::create;
use super::database::{SharedDatabase, noted_log};
use super::layout::{Layout, OldRows, refuse_old_log};
use super::log::{LogPlace, recover};
use super::schema::{META, META_FORMAT, decode_format, engine, opening};
use super::spaces::RowTables;
use crate::file_system::OsFiles;
use crate::{FileSystem, Key, StoreError};

/// Memory for pages while a file is mended.
const CACHE_BYTES: usize = 20 << 20;

/// Looks up rows in the store's file at `path` without changing it. `None` when it was not closed in order: then only
/// opening it can tell, which repairs it. Blocks.
///
/// # Errors
/// [`StoreError::AlreadyOpen`] while somebody writes to it, [`StoreError::Format`], [`StoreError::Corrupt`] or an engine
/// failure.
pub fn peek(path: &Path, keys: &[Key]) -> Result<Option<Vec<Option<Vec<u8>>>>, StoreError> {
    contained("looking into the file", || look(path, keys))
}

fn look(path: &Path, keys: &[Key]) -> Result<Option<Vec<Option<Vec<u8>>>>, StoreError> {
    let length = std::fs::metadata(path).map(|found| found.len());
    if length.is_ok_and(|length| length == 0) {
        // Opening it would make a new store of it.
        return Err(StoreError::corrupt("its file is empty"));
    }
    let database = match open_to_read(path) {
        Ok(database) => database,
        Err(DatabaseError::RepairAborted) => return Ok(None),
        Err(error) => return Err(unopened(path, error)),
    };
    let transaction = database
        .begin_read()
        .map_err(|error| StoreError::engine("beginning to read")(error.into()))?;
    // First, because what another version's log means is not known.
    layout_of(&transaction)?;
    // Its last rows are in its log.
    if noted_log(&transaction)?.is_some() {
        return Ok(None);
    }
    // Where bringing an older one along was cut off, some rows have moved already.
    let unmoved = OldRows::open(&transaction)?;
    let rows = RowTables::new(transaction);
    let row = |key: &Key| match rows.get(key)? {
        Some(row) => Ok(Some(row.bytes)),
        None => unmoved.value(key),
    };
    let rows: Result<Vec<_>, StoreError> = keys.iter().map(row).collect();
    rows.map(Some)
}

/// Keeps everybody from writing to a store's file, so that it can be copied.
pub struct Held(ReadOnlyDatabase);

impl Held {
    /// Lets writers in again; dropping it does the same.
    ///
    /// # Errors
    /// An engine failure.
    pub fn release(self) -> Result<(), StoreError> {
        self.0
            .close()
            .map_err(|error| StoreError::engine("closing the file")(error.into()))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// Keeps writers from the store's file at `path`, which was closed in order, until the answer is dropped. Changes no byte
/// of it. Blocks.
///
/// # Errors
/// As [`peek`]; an engine failure for a file that has to be mended first.
pub fn hold(path: &Path) -> Result<Held, StoreError> {
    let database = open_to_read(path).map_err(|error| unopened(path, error))?;
    let transaction = database
        .begin_read()
        .map_err(|error| StoreError::engine("beginning to read")(error.into()))?;
    if noted_log(&transaction)?.is_some() {
        return Err(StoreError::Engine {
            what: "holding the file",
            reason: "it was not closed in order, and a part of the store is in its log; it has to be mended first"
                .to_owned(),
        });
    }
    drop(transaction);
    Ok(Held(database))
}

fn open_to_read(path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    redb::Builder::new().set_cache_size(1 << 20).open_read_only(path)
}

fn unopened(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::AlreadyOpen { path: path.to_owned() }
        }
        error => StoreError::engine("opening the file")(error.into()),
    }
}

/// Mends a file that was not closed in order, and brings what its log has into it; changes nothing else. Blocks.
///
/// # Errors
/// As [`peek`].
pub fn repair(path: &Path) -> Result<(), StoreError> {
    let files: Arc<dyn FileSystem> = Arc::new(OsFiles);
    let file = create::existing(&*files, path)?;
    let opened = file.id();
    contained("mending the file", || {
        let database = SharedDatabase::open(file, path, CACHE_BYTES)?;
        opened.still_at(&*files, path)?;
        // One of an older format stays so; what a newer one's log would mean is not known.
        if database.make_or_tell_layout()? == Layout::Older {
            refuse_old_log(database.log()?.is_some())?;
        }
        if let Some(noted) = database.log()? {
            let log = LogPlace::beside(&files, path).existing(&noted)?;
            recover(&database, &log, &noted)?;
            database.checkpoint(None)?;
            if let Err(error) = log.remove() {
                tracing::warn!(%error, "the log of the mended store could not be removed; it is of no use any more");
            }
        }
        database.close()
    })
}

/// Its layout, if it is one that this store can read.
fn layout_of(transaction: &ReadTransaction) -> Result<Layout, StoreError> {
    let meta = transaction.open_table(META).map_err(opening)?;
    let found = meta.get(META_FORMAT).map_err(engine("reading the format"))?;
    let found = found.ok_or_else(|| StoreError::corrupt("the format is missing"))?;
    Layout::of(decode_format(found.value())?)
}
