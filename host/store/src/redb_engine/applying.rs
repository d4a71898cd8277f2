//! The tables of a transaction that batches are applied in.

use std::collections::BTreeMap;
use std::ops::Bound;

use mihwar_ledger::leaf_hash;
use redb::{Table, WriteTransaction};

use super::log::FrameBuilder;
use super::schema::{Head, JOURNAL, META, META_HEAD, REMOVED, TILES, engine, opening, tile_key};
use super::spaces::{PendingRow, RUN_BYTES_MIN, RowsInTransaction, space_of};
use super::writer::Committed;
use crate::plan::{Present, plan};
use crate::tree::Tree;
use crate::{ApplyError, Batch, Commit, Key, Natures, StoreError};

/// Rows that a group leaves behind, on top of what is stored. They are written at its end, in the order of their keys:
/// where keys ascend and batches come a little out of order, pages get full all the same, and a row that several batches
/// change is written once.
struct Pending<'transaction> {
    stored: RowsInTransaction<'transaction>,
    rows: BTreeMap<Key, PendingRow>,
}

impl Present for Pending<'_> {
    fn version(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.value.is_some().then_some(row.version)),
            None => self.stored.version(key),
        }
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.value.clone()),
            None => self.stored.value(key),
        }
    }
}

impl Pending<'_> {
    fn write(&mut self) -> Result<(), StoreError> {
        let rows: Vec<(Key, PendingRow)> = std::mem::take(&mut self.rows).into_iter().collect();
        rows.chunk_by(|(one, _), (next, _)| space_of(one) == space_of(next))
            .try_for_each(|rows| self.stored.write(rows))
    }
}

/// Entries that a group appends. They are written at its end, too.
#[derive(Default)]
struct Appended {
    /// Sequence number of the first.
    first: u64,
    entries: Vec<Vec<u8>>,
}

impl Appended {
    fn write(&mut self, journal: &mut Table<'_, u64, &'static [u8]>) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        let numbered = (self.first..).zip(&entries);
        let failed = engine("writing the journal");
        if entries.iter().map(Vec::len).sum::<usize>() < RUN_BYTES_MIN {
            for (sequence, entry) in numbered {
                journal.insert(sequence, entry.as_slice()).map_err(&failed)?;
            }
            return Ok(());
        }
        let mut end = journal.upper_bound_mut(Bound::<u64>::Unbounded).map_err(&failed)?;
        for (sequence, entry) in numbered {
            end.insert_before(sequence, entry.as_slice())
                .map_err(|error| StoreError::engine("writing the journal")(error.into()))?;
        }
        end.close().map_err(&failed)
    }
}

/// The tables of a group. Nothing of its rows and entries is written before [`Tables::finish`].
pub(crate) struct Tables<'transaction> {
    rows: Pending<'transaction>,
    appended: Appended,
    journal: Table<'transaction, u64, &'static [u8]>,
    tiles: Table<'transaction, (u8, u64), &'static [u8]>,
    /// Opened by the first deletion that is noted: most transactions have none.
    removed: Option<Table<'transaction, &'static [u8], u64>>,
    transaction: &'transaction WriteTransaction,
}

/// What is kept of what is applied, beside the rows.
pub(crate) struct Notes<'a> {
    pub(crate) natures: Natures,
    /// Keys of rows written, if they are to be noted.
    pub(crate) changed: Option<Vec<Key>>,
    /// The group's frame, if it goes into the log.
    pub(crate) frame: Option<&'a mut FrameBuilder>,
}

impl<'transaction> Tables<'transaction> {
    pub(crate) fn open(transaction: &'transaction WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            rows: Pending {
                stored: RowsInTransaction::new(transaction),
                rows: BTreeMap::new(),
            },
            appended: Appended::default(),
            removed: None,
            transaction,
            journal: transaction.open_table(JOURNAL).map_err(opening)?,
            tiles: transaction.open_table(TILES).map_err(opening)?,
        })
    }

    /// Applies one batch on top of those before it, or leaves no trace of it. Gives the number of rows written, too.
    pub(crate) fn apply(
        &mut self,
        next: &mut Committed,
        batch: Batch,
        notes: &mut Notes<'_>,
    ) -> Result<(Commit, u64), ApplyError> {
        let first_sequence = next.tree.size();
        let writes = plan(&self.rows, &batch.guards, batch.edits, first_sequence)?;
        let version = next.version + 1;
        let written = writes.len() as u64;
        if let Some(changed) = &mut notes.changed {
            changed.extend(writes.keys().cloned());
        }
        if let Some(frame) = &mut notes.frame {
            frame.batch(version, writes.len());
        }
        for (key, value) in writes {
            match value {
                Some(value) => {
                    if let Some(frame) = &mut notes.frame {
                        frame.put(&key, &value);
                    }
                    self.put(key, version, value);
                }
                None => {
                    let noted = notes.natures.of_key(&key).is_kept() && self.rows.version(&key)?.is_some();
                    if noted {
                        self.note_removed(&key, version)?;
                    }
                    if let Some(frame) = &mut notes.frame {
                        frame.remove(&key, noted);
                    }
                    self.remove(key, version);
                }
            }
        }
        if let Some(frame) = &mut notes.frame {
            frame.entries(&batch.journal);
        }
        self.append(&mut next.tree, batch.journal)?;
        next.version = version;
        let commit = Commit {
            version,
            first_sequence,
            tree_size: next.tree.size(),
        };
        Ok((commit, written))
    }

    pub(crate) fn put(&mut self, key: Key, version: u64, value: Vec<u8>) {
        let value = Some(value);
        self.rows.rows.insert(key, PendingRow { version, value });
    }

    pub(crate) fn remove(&mut self, key: Key, version: u64) {
        self.rows.rows.insert(key, PendingRow { version, value: None });
    }

    pub(crate) fn note_removed(&mut self, key: &Key, version: u64) -> Result<(), StoreError> {
        let table = match &mut self.removed {
            Some(table) => table,
            none => none.insert(self.transaction.open_table(REMOVED).map_err(opening)?),
        };
        table
            .insert(key.as_bytes(), version)
            .map_err(engine("noting a deletion"))?;
        Ok(())
    }

    pub(crate) fn append(&mut self, tree: &mut Tree, entries: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let mut filled = Vec::new();
        if self.appended.entries.is_empty() {
            self.appended.first = tree.size();
        }
        for entry in &entries {
            tree.append(leaf_hash(entry), &mut filled);
        }
        self.appended.entries.extend(entries);
        for tile in filled {
            self.tiles
                .insert(tile_key(tile.id), tile.to_bytes().as_slice())
                .map_err(engine("writing a tile"))?;
        }
        Ok(())
    }

    /// Writes the group's rows and entries, and how far the store is now.
    pub(crate) fn finish(&mut self, reached: &Committed) -> Result<(), StoreError> {
        self.rows.write()?;
        self.appended.write(&mut self.journal)?;
        let head = Head::to_bytes(reached.version, reached.tree.frontier());
        let mut meta = self.transaction.open_table(META).map_err(opening)?;
        meta.insert(META_HEAD, head.as_slice())
            .map_err(engine("writing the head of the journal"))?;
        Ok(())
    }
}
