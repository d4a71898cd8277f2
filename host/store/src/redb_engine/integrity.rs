//! Looking at every page and every row of a file that nobody has open.

use std::path::Path;
use std::sync::Arc;

use redb::{ReadableTable, ReadableTableMetadata, StorageBackend};

use super::containment::contained;
use super::create;
use super::database::SharedDatabase;
use super::layout::{self, Layout, OldRows};
use super::log::{LogPlace, recover};
use super::overlay::Overlay;
use super::schema::{Snapshot, engine, stored_tile};
use super::store::RedbStore;
use crate::file_system::OsFiles;
use crate::tree::Tree;
use crate::{FileSystem, KeyRange, Row, StoreError};

/// Memory for the engine while it looks.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// What was looked at and found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Rows.
    pub rows: u64,
    /// Entries of the journal; their tree is the stored one.
    pub journal_entries: u64,
    /// Full tiles of the tree; each is that of the entries.
    pub tiles: u64,
    /// Length of the file in bytes.
    pub file_bytes: u64,
}

impl RedbStore {
    /// Reads the whole file and compares every page with its checksum, the journal with the root of its tree, and the tiles
    /// with the journal. Changes nothing, not even what opening would repair. Blocks for as long as reading the file takes.
    ///
    /// In use, a page's checksum is not looked at: damage to a row's bytes is found here first. What this cannot find are
    /// bytes that were wrong when they were written; the commitments of the ledger can (`mihwar ledger verify`).
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Engine`] name the first damage found; [`StoreError::AlreadyOpen`] when the
    /// file is in use.
    pub fn check_integrity(path: impl AsRef<Path>) -> Result<Integrity, StoreError> {
        let files: Arc<dyn FileSystem> = Arc::new(OsFiles);
        Self::check_integrity_on(&files, path)
    }

    /// The same in another file system: for tests with a damaged disk.
    ///
    /// # Errors
    /// As [`RedbStore::check_integrity`].
    pub fn check_integrity_on(files: &Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<Integrity, StoreError> {
        let path = path.as_ref();
        let file = create::existing(&**files, path)?;
        check(file, LogPlace::beside(files, path), path)
    }
}

fn check(backend: impl StorageBackend, log: LogPlace, path: &Path) -> Result<Integrity, StoreError> {
    let failed = |error: std::io::Error| StoreError::engine("reading the file")(redb::Error::Io(error));
    let overlay = Overlay::new(backend).map_err(failed)?;
    let file_bytes = StorageBackend::len(&overlay).map_err(failed)?;
    if file_bytes == 0 {
        return Err(StoreError::corrupt("the file is empty"));
    }
    contained("checking the file", || {
        let database = SharedDatabase::open_checked(overlay, path, CACHE_BYTES)?;
        // One of an older format is not brought along for this: that would all be in memory.
        let unmoved = match database.make_or_tell_layout()? {
            Layout::Present => 0,
            Layout::Older => {
                layout::refuse_old_log(database.log()?.is_some())?;
                OldRows::open(&database.read()?.transaction)?.count()?
            }
        };
        if let Some(noted) = database.log()? {
            recover(&database, &log.existing(&noted)?, &noted)?;
        }
        let snapshot = database.snapshot()?;
        let journal_entries = check_journal(&snapshot)?;
        let found = Integrity {
            rows: check_rows(&snapshot)? + unmoved,
            journal_entries: journal_entries.size(),
            tiles: snapshot.tiles.len().map_err(engine("counting tiles"))?,
            file_bytes,
        };
        drop(snapshot);
        database.close()?;
        Ok(found)
    })
}

fn check_rows(snapshot: &Snapshot) -> Result<u64, StoreError> {
    let mut rows = 0;
    for row in snapshot.rows.range(&KeyRange::all())? {
        let Row { key, value } = row?;
        let version = value.version;
        if version > snapshot.head.version {
            return Err(StoreError::corrupt(format!(
                "row {key} has version {version}, and the last commit was {}",
                snapshot.head.version
            )));
        }
        rows += 1;
    }
    Ok(rows)
}

/// Grows the tree again from the entries, and compares every full tile on the way.
fn check_journal(snapshot: &Snapshot) -> Result<Tree, StoreError> {
    let failed = engine("reading the journal");
    let mut tree = Tree::default();
    let mut filled = Vec::new();
    for entry in ReadableTable::iter(&snapshot.journal).map_err(&failed)? {
        let (sequence, bytes) = entry.map_err(&failed)?;
        if sequence.value() != tree.size() {
            return Err(StoreError::corrupt(format!("journal entry {} is missing", tree.size())));
        }
        tree.append(mihwar_ledger::leaf_hash(bytes.value()), &mut filled);
        for tile in filled.drain(..) {
            let id = tile.id;
            let stored = stored_tile(&snapshot.tiles, id)?;
            let is_that = |stored: &[u8]| stored == tile.to_bytes() || stored == tile.all_hashes();
            if !stored.is_some_and(|stored| is_that(stored.value())) {
                return Err(StoreError::corrupt(format!("tile {id:?} is not that of its entries")));
            }
        }
    }
    if *tree.frontier() != snapshot.head.frontier {
        return Err(StoreError::corrupt(format!(
            "the ledger's {} entries have the root {}, but {} for {} entries was stored",
            tree.size(),
            tree.frontier().root(),
            snapshot.head.frontier.root(),
            snapshot.head.frontier.size()
        )));
    }
    Ok(tree)
}
