//! The file that is to take the old one's place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::WriteTransaction;

use super::super::backend::CountingBackend;
use super::super::counters::Counters;
use super::super::create;
use super::super::database::SharedDatabase;
use super::{CompactError, CompactionProgress, CompactionStage, CompactionTell, Home, could_not};
use crate::file_system::remove_if_there;
use crate::{FileId, FileSystem, FreeSpace, StoreError};

/// The file in the making. Dropped before its time, it is removed.
pub(crate) struct Target {
    pub(crate) database: SharedDatabase,
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The file that was made at `path`.
    file: FileId,
    in_place: bool,
    pub(crate) room: Room,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) tell: CompactionTell,
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// What must stay free.
pub(crate) struct Room {
    pub(crate) space: Arc<dyn FreeSpace>,
    pub(crate) floor: u64,
}

impl Room {
    /// Refuses when fewer than `needed` bytes could be written above the reserve.
    pub(crate) fn check(&self, needed: u64) -> Result<(), CompactError> {
        let free = self.space.free_bytes().map_err(could_not("measuring the free space"))?;
        if free < needed.saturating_add(self.floor) {
            return Err(CompactError::NoSpace {
                needed,
                free,
                floor: self.floor,
            });
        }
        Ok(())
    }
}

/// Room that has to be left for the next transaction.
const SPARE_BYTES: u64 = 128 * 1024 * 1024;

impl Target {
    pub(crate) fn create(
        home: &Home,
        counters: &Arc<Counters>,
        room: Room,
        stop: Arc<AtomicBool>,
        tell: CompactionTell,
    ) -> Result<Self, CompactError> {
        let (files, path) = (Arc::clone(&home.files), home.new_file());
        remove_if_there(&*files, &path).map_err(could_not("removing what an earlier compaction left"))?;
        let opened = create::new_file(&*files, &path)?;
        let file = opened.id();
        let backend = CountingBackend::new(opened, Arc::clone(counters));
        let database = SharedDatabase::open(backend, &path, home.cache_bytes)?;
        let target = Self {
            database,
            files,
            path,
            file,
            in_place: false,
            room,
            stop,
            tell,
            done: 0,
            total: 0,
        };
        // A table of which the old file has no row is never copied, and has to be there all the same.
        target.database.prepare()?;
        Ok(target)
    }

    /// A transaction whose commit is durable, and no more than that: until the file is in place, nobody would miss it.
    pub(crate) fn begin(&self) -> Result<WriteTransaction, CompactError> {
        Ok(self.database.begin_plain_write()?)
    }

    pub(crate) fn commit(
        &mut self,
        transaction: WriteTransaction,
        rows: u64,
        stage: CompactionStage,
    ) -> Result<(), CompactError> {
        commit(transaction)?;
        self.done += rows;
        self.total = self.total.max(self.done);
        self.report(stage);
        if self.stop.load(Ordering::Relaxed) {
            return Err(StoreError::Closed.into());
        }
        // Others fill the disk, too. Giving up here is better than having the hub's own writes refused.
        self.room.check(SPARE_BYTES.min(self.room.floor))
    }

    pub(crate) fn abort(&self, transaction: WriteTransaction) -> Result<(), CompactError> {
        let failed = |error: redb::StorageError| StoreError::engine("ending a transaction")(error.into());
        Ok(transaction.abort().map_err(failed)?)
    }

    pub(crate) fn report(&self, stage: CompactionStage) {
        (self.tell)(CompactionProgress {
            stage,
            done: self.done,
            total: self.total,
        });
    }

    /// Renames it over the file that is open, and tells its length. From then on dropping it removes nothing.
    ///
    /// # Errors
    /// One of the two names leads to another file than it should; both files stay where they are.
    pub(crate) fn put_over(&mut self, home: &Home) -> io::Result<u64> {
        let found = self.files.symlink_metadata(&self.path)?;
        if found.id != self.file {
            return Err(io::Error::other(format!(
                "{} is another file than the one that was written; find out what else writes into this folder",
                self.path.display()
            )));
        }
        home.check_ours()?;
        self.files.rename(&self.path, &home.path)?;
        self.in_place = true;
        home.file.set(self.file);
        Ok(found.length)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.in_place {
            return;
        }
        // As long as it is open no other file is taken for it.
        let found = self.files.symlink_metadata(&self.path);
        let is_there = found.is_ok_and(|found| found.id == self.file);
        if let Err(error) = self.database.close() {
            tracing::debug!(%error, "a compaction that was given up");
        }
        if is_there && let Err(error) = remove_if_there(&*self.files, &self.path) {
            tracing::warn!(path = %self.path.display(), %error, "what a compaction left could not be removed");
        }
    }
}

pub(crate) fn commit(transaction: WriteTransaction) -> Result<(), StoreError> {
    transaction
        .commit()
        .map_err(|error| StoreError::engine("writing the compacted file")(error.into()))
}
