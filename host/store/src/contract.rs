//! The contract that every engine keeps.

use std::time::Duration;

use async_trait::async_trait;
use mihwar_ledger::{Frontier, Hash, TileId};

use crate::{
    ApplyError, Batch, Commit, CompactError, Compacted, CompactionTell, Key, KeyRange, Natures, Order, StoreError,
};

/// Most rows, or journal entries, in one answer.
pub const MAX_PAGE_ROWS: usize = 10_000;
/// An answer ends early when its rows or entries pass this many bytes; it always has at least one.
pub const MAX_PAGE_BYTES: usize = 4_000_000;

/// A value with the number of the commit that last wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// [`Commit::version`] of the batch that last wrote the row: what [`crate::Guard::At`] compares.
    pub version: u64,
    /// The value.
    pub bytes: Vec<u8>,
}

/// A row of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Key of the row.
    pub key: Key,
    /// Value and version.
    pub value: Versioned,
}

/// Part of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows in the order asked for.
    pub rows: Vec<Row>,
    /// The rest of the range, to scan in the same order, if there are more rows. Only this says whether there are: a page
    /// may have fewer rows than asked for.
    pub next: Option<KeyRange>,
}

/// One entry of the journal: a leaf of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Number of the entry, from 0, without gaps.
    pub sequence: u64,
    /// The bytes as they were given and hashed.
    pub bytes: Vec<u8>,
}

/// What a store has done since it was opened, and how it stands. Also exported as metrics under `mihwar_store_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Commits of the engine; one may carry many batches.
    pub commits: u64,
    /// Times that the disk was told to make data durable.
    pub fsyncs: u64,
    /// Batches applied.
    pub batches: u64,
    /// Batches answered with an error after they were accepted.
    pub refused: u64,
    /// Rows put, added to or deleted.
    pub rows_written: u64,
    /// Journal entries appended.
    pub journal_entries: u64,
    /// Batches waiting now.
    pub queue_depth: u64,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Views open now.
    pub open_views: u64,
    /// Age of the oldest open view. An old one keeps the engine from reusing space.
    pub oldest_view: Option<Duration>,
}

/// Ordered bytes, atomic guarded batches, consistent snapshots, and a journal. Used as `Arc<dyn Store>`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A consistent snapshot of everything committed so far, including every batch that was answered. Drop it soon: space
    /// freed after it was taken cannot be used again while it lives.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or an engine failure.
    async fn view(&self) -> Result<Box<dyn View>, StoreError>;

    /// Rows as they are now, in the order of `keys`: what [`Store::view`] and [`View::get_many`] give, at the price of one
    /// call.
    ///
    /// # Errors
    /// As [`View::get`].
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.view().await?.get_many(keys).await
    }

    /// Applies a batch: all of it or nothing. It is durable when this answers `Ok`. Dropping the future does not take the
    /// batch back once it is waiting.
    ///
    /// # Errors
    /// Any [`ApplyError`]; after all but [`ApplyError::Unknown`], nothing of the batch was or will be applied.
    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError>;

    /// Finishes every batch that was accepted, refuses new ones and closes the file cleanly. Views that are still open
    /// fail from then on. Closing again does nothing.
    ///
    /// # Errors
    /// What the engine says when it closes the file. The store is closed nevertheless.
    async fn close(&self) -> Result<(), StoreError>;

    /// Rewrites the store's file without what was freed, while it is read and written. `tell` is told of every step. It
    /// goes on when the future is dropped. Views that are open stay valid; as long as one is, the old file takes its room,
    /// too. An engine without a file answers [`CompactError::NoFile`].
    ///
    /// # Errors
    /// Any [`CompactError`]: the file is as it was then.
    async fn compact(&self, _tell: CompactionTell) -> Result<Compacted, CompactError> {
        Err(CompactError::NoFile)
    }

    /// Figures since the store was opened.
    fn statistics(&self) -> Statistics;
}

/// A consistent snapshot: it never shows half a batch, nor anything later than itself.
#[async_trait]
pub trait View: Send + Sync {
    /// Version of the last commit that the snapshot shows; 0 before the first.
    fn version(&self) -> u64;

    /// The ledger's tree at this snapshot: its size is the number of journal entries.
    fn tree(&self) -> &Frontier;

    /// What becomes of each space's rows in a backup.
    fn natures(&self) -> &Natures;

    /// One row, or none.
    ///
    /// # Errors
    /// Closed, damaged, or an engine failure.
    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError>;

    /// Several rows in the order of `keys`, at the price of one call.
    ///
    /// # Errors
    /// As [`View::get`].
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError>;

    /// The first rows of a range, at least one if there is any, at most `limit` and at most [`MAX_PAGE_ROWS`].
    ///
    /// # Errors
    /// As [`View::get`].
    async fn scan(&self, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError>;

    /// Journal entries from the sequence number `from` on: at least one if there is any, at most `limit` and at most
    /// [`MAX_PAGE_ROWS`]. Empty at the end.
    ///
    /// # Errors
    /// As [`View::get`].
    async fn journal(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError>;

    /// The journal entries with these sequence numbers, in their order, at the price of one call; none for one that is not
    /// there. What they hold together is not bounded: ask for as many as fit memory, and for no more than [`MAX_PAGE_ROWS`].
    ///
    /// # Errors
    /// As [`View::get`].
    async fn entries(&self, sequences: &[u64]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut found = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let page = self.journal(*sequence, 1).await?;
            let entry = page.into_iter().find(|entry| entry.sequence == *sequence);
            found.push(entry.map(|entry| entry.bytes));
        }
        Ok(found)
    }

    /// The hashes of a tile of the ledger's tree: 256, fewer for a tile that is not full, none for one not begun.
    ///
    /// # Errors
    /// As [`View::get`].
    async fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError>;

    /// The first rows of a range that were there once and were deleted, with the version of the commit that did it last
    /// and without a value. Only in spaces whose deletions are noted ([`crate::Nature::is_kept`]). A row that was written
    /// again since is named all the same. In ascending order; limits as of [`View::scan`].
    ///
    /// # Errors
    /// As [`View::get`].
    async fn removed(&self, range: KeyRange, limit: usize) -> Result<Page, StoreError>;
}
