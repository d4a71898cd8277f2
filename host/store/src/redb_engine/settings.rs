//! What an operator can set, and where the work is done.

use crate::{Nature, Natures};

/// Where a store does its blocking work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// On threads of its own, so that no task ever waits for the disk.
    #[default]
    Threads,
    /// In the task that asks. In a runtime of one thread the order of everything then follows from the order of the
    /// tasks, which is what a simulation needs; a hub that serves would stand still at every fsync.
    Inline,
}

/// Limits of a [`crate::RedbStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedbSettings {
    /// Batches that may wait for the writer; one more is answered `Busy`. At least 1.
    pub queue_batches: usize,
    /// Bytes of batches that may wait for the writer.
    pub queue_bytes: usize,
    /// Reader threads. At least 1; none with [`Execution::Inline`].
    pub readers: usize,
    /// Bytes of free disk space below which batches are refused. A full disk can hurt more than the store.
    pub free_space_floor: u64,
    /// Batches become durable in a log beside the file. When it has this many bytes, the file itself is made durable and
    /// the log begins again. A longer one costs room, and time after a crash; a shorter one costs writing.
    pub log_bytes: u64,
    /// Memory that the engine may use as its page cache, in bytes.
    pub cache_bytes: usize,
    /// What becomes of each space's rows in a backup; not the operator's to choose, but that of the room above. Without
    /// its word every backup has all rows, and no deletion is noted: notes stay for ever.
    pub natures: Natures,
    /// Where reads and commits are made.
    pub execution: Execution,
}

impl Default for RedbSettings {
    fn default() -> Self {
        Self {
            queue_batches: 1_024,
            queue_bytes: 64_000_000,
            readers: 2,
            free_space_floor: 512 * 1024 * 1024,
            log_bytes: 1024 * 1024,
            cache_bytes: 256 * 1024 * 1024,
            natures: Natures::all(Nature::Passing),
            execution: Execution::Threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RedbSettings;
    use crate::Space;

    #[test]
    fn no_deletion_is_noted_unless_somebody_asks_for_it() {
        let natures = RedbSettings::default().natures;
        assert!((0..=u8::MAX).all(|space| !natures.of(Space(space)).is_kept()));
    }
}
