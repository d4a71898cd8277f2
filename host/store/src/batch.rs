//! What a writer sends: guards, edits and journal entries that become durable together or not at all.

use crate::key::KEY_START_BYTES;
use crate::{ApplyError, Key, Space};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 10_000;
/// Longest value, in bytes. Larger things are blobs.
pub const MAX_VALUE_BYTES: usize = 100_000;
/// Longest journal entry, in bytes.
pub const MAX_JOURNAL_ENTRY_BYTES: usize = 100_000;
/// Largest batch: the sum of all keys, values and journal entries, in bytes.
pub const MAX_BATCH_BYTES: usize = 10_000_000;

/// Edits that are applied all or none, and only if every guard holds. The default batch is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must still be true when the batch is applied.
    pub guards: Vec<Guard>,
    /// Changes in order; a later edit of the same key sees the earlier one.
    pub edits: Vec<Edit>,
    /// Entries to append to the journal, in order. Each one is a leaf of the ledger.
    pub journal: Vec<Vec<u8>>,
}

/// A condition on a row as it was before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// There is no such row.
    Absent(Key),
    /// The row exists and was last written by the commit with this version.
    At(Key, u64),
}

/// A change to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Writes the row, whether it exists or not.
    Put(Key, Vec<u8>),
    /// Removes the row, if it exists.
    Delete(Key),
    /// Adds to a counter: a row of 8 bytes, a little-endian `i64`. A missing row counts as 0.
    Add(Key, i64),
    /// Writes the row with the sequence number that an entry of this batch's journal gets, counted from 0 there: a row of 8
    /// bytes, a little-endian `u64`. So a row can say where the ledger tells of it, which nobody knows before it is written.
    PutSequence(Key, usize),
}

/// What a batch became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Number of the commit: higher than every one before it. Rows that the batch wrote carry it as their version.
    pub version: u64,
    /// Sequence number of the batch's first journal entry; the others follow without gap. Without entries, the number
    /// that the next entry will get.
    pub first_sequence: u64,
    /// Number of journal entries after this batch: the size of the ledger's tree.
    pub tree_size: u64,
}

impl Guard {
    /// The row that is guarded.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::At(key, _) => key,
        }
    }
}

impl Edit {
    /// The row that is changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) | Self::Add(key, _) | Self::PutSequence(key, _) => key,
        }
    }

    /// Bytes of key and value: its part of [`Batch::size`].
    #[must_use]
    pub fn size(&self) -> usize {
        self.key().as_bytes().len()
            + match self {
                Self::Put(_, value) => value.len(),
                Self::Delete(_) => 0,
                Self::Add(..) => size_of::<i64>(),
                Self::PutSequence(..) => size_of::<u64>(),
            }
    }
}

impl Batch {
    /// Sum of all keys, values and journal entries, in bytes: what counts against [`MAX_BATCH_BYTES`].
    #[must_use]
    pub fn size(&self) -> usize {
        let guards = self.guards.iter().map(|guard| guard.key().as_bytes().len());
        let edits = self.edits.iter().map(Edit::size);
        let journal = self.journal.iter().map(Vec::len);
        guards.chain(edits).chain(journal).sum()
    }

    /// Refuses what no engine takes, before it costs anything.
    pub(crate) fn check(&self) -> Result<(), ApplyError> {
        for guard in &self.guards {
            limit("key", guard.key().as_bytes().len(), MAX_KEY_BYTES)?;
        }
        for edit in &self.edits {
            let key = edit.key();
            limit("key", key.as_bytes().len(), MAX_KEY_BYTES)?;
            if key.as_bytes().first().copied().map(Space) < Some(Space::FIRST_FREE) {
                return Err(ApplyError::Invalid {
                    key: key.clone(),
                    reason: "keys below space 0x10 belong to the store",
                });
            }
            if key.as_bytes().len() < KEY_START_BYTES {
                return Err(ApplyError::Invalid {
                    key: key.clone(),
                    reason: "a key begins with a space and an organisation",
                });
            }
            match edit {
                Edit::Put(_, value) => limit("value", value.len(), MAX_VALUE_BYTES)?,
                Edit::PutSequence(key, entry) if *entry >= self.journal.len() => {
                    return Err(ApplyError::Invalid {
                        key: key.clone(),
                        reason: "it names a journal entry that the batch does not have",
                    });
                }
                Edit::PutSequence(..) | Edit::Delete(_) | Edit::Add(..) => {}
            }
        }
        for entry in &self.journal {
            limit("journal entry", entry.len(), MAX_JOURNAL_ENTRY_BYTES)?;
        }
        limit("batch", self.size(), MAX_BATCH_BYTES)
    }
}

fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), ApplyError> {
    if size > limit {
        return Err(ApplyError::TooLarge { what, size, limit });
    }
    Ok(())
}
