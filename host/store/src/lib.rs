//! Storage for Mihwar: ordered byte keys, consistent snapshot views with paged scans, and atomic batches of guarded
//! edits with journal entries. Knows nothing about feedback.
//!
//! There are no interactive transactions: read a [`View`], compute, send a guarded [`Batch`], and read again on
//! [`ApplyError::Stale`]. That is what lets one writer group what waits into one commit.
//!
//! The journal is the ledger: every entry's bytes are a leaf of the Merkle tree in `mihwar-ledger`, in commit order.
//!
//! A store can be [backed up](backup) while it is written to, and restored elsewhere.
//!
//! Two engines: [`RedbStore`] (one file, durable) and [`MemoryStore`] (for tests). One conformance suite runs against
//! both. Bytes too large for a row go to a [`BlobFolder`]. Both reach the disk through [`FileSystem`], and [`SimulatedDisk`]
//! is one for tests.

pub mod backup;
mod batch;
mod blobs;
mod contract;
mod error;
mod file_system;
mod key;
mod memory;
mod nature;
mod new_file;
mod page;
mod plan;
mod proof;
mod queue;
mod range;
mod redb_engine;
mod simulated;
mod space;
mod tree;

pub use batch::{Batch, Commit, Edit, Guard, MAX_BATCH_BYTES, MAX_JOURNAL_ENTRY_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use blobs::{BlobError, BlobFolder, BlobHold};
pub use contract::{JournalEntry, MAX_PAGE_BYTES, MAX_PAGE_ROWS, Page, Row, Statistics, Store, Versioned, View};
pub use error::{ApplyError, StoreError};
pub use file_system::{FileId, FileMetadata, FileSystem, OpenedFile, Opening};
pub use key::{Key, KeyBuilder, KeyReadError, KeyReader, Space};
pub use memory::MemoryStore;
pub use nature::{Nature, Natures};
pub use new_file::{NewFile, Tee};
pub use proof::{LedgerProofError, prove_consistency, prove_inclusions};
pub use range::{KeyRange, Order};
pub use redb_engine::{
    CompactError, Compacted, CompactionProgress, CompactionStage, CompactionTell, Execution, Held, Integrity,
    LogExamined, LostGroup, Reached, RedbSettings, RedbStore, examine_log, hold, peek, repair, salvage_log,
};
pub use simulated::{DiskFault, DiskImage, Recording, SimulatedDisk};
pub use space::{FolderSpace, FreeSpace};

/// The seam below redb, so that a test can put a failing disk there: see [`RedbStore::open_with`].
pub use redb::StorageBackend;
