//! What a batch means, decided once for all engines: which rows it leaves behind, or why it is refused.

use std::collections::BTreeMap;

use crate::{ApplyError, Edit, Guard, Key, StoreError};

/// Rows as they are before a batch.
pub(crate) trait Present {
    fn version(&self, key: &Key) -> Result<Option<u64>, StoreError>;
    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The rows that a batch leaves behind, in key order; none means deleted.
pub(crate) type Writes = BTreeMap<Key, Option<Vec<u8>>>;

/// Judges the guards, then folds the edits; the first entry of the batch's journal will get the number `first_sequence`. Writes
/// nothing, so that a refused batch leaves no trace in a shared transaction.
pub(crate) fn plan(
    present: &impl Present,
    guards: &[Guard],
    edits: Vec<Edit>,
    first_sequence: u64,
) -> Result<Writes, ApplyError> {
    for guard in guards {
        let holds = match guard {
            Guard::Absent(key) => present.version(key)?.is_none(),
            Guard::At(key, version) => present.version(key)? == Some(*version),
        };
        if !holds {
            return Err(ApplyError::Stale(guard.key().clone()));
        }
    }
    let mut writes = Writes::new();
    for edit in edits {
        match edit {
            Edit::Put(key, value) => writes.insert(key, Some(value)),
            Edit::Delete(key) => writes.insert(key, None),
            Edit::Add(key, amount) => {
                let sum = add(present, &writes, &key, amount)?;
                writes.insert(key, Some(sum.to_le_bytes().to_vec()))
            }
            Edit::PutSequence(key, entry) => {
                let sequence = first_sequence + entry as u64;
                writes.insert(key, Some(sequence.to_le_bytes().to_vec()))
            }
        };
    }
    Ok(writes)
}

fn add(present: &impl Present, writes: &Writes, key: &Key, amount: i64) -> Result<i64, ApplyError> {
    let before = match writes.get(key) {
        Some(written) => written.clone(),
        None => present.value(key)?,
    };
    let invalid = |reason| ApplyError::Invalid {
        key: key.clone(),
        reason,
    };
    let before = match before {
        Some(bytes) => bytes
            .try_into()
            .map(i64::from_le_bytes)
            .map_err(|_| invalid("it is not a counter of 8 bytes"))?,
        None => 0,
    };
    before
        .checked_add(amount)
        .ok_or_else(|| invalid("the counter would overflow"))
}
