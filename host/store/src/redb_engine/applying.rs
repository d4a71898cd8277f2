//! The tables of a transaction that batches are applied in.

use mihwar_ledger::leaf_hash;
use redb::{Table, WriteTransaction};

use super::log::FrameBuilder;
use super::schema::{Head, JOURNAL, META, META_HEAD, REMOVED, TILES, encode_row, encode_tile, engine, opening};
use super::spaces::RowsInTransaction;
use super::writer::Committed;
use crate::plan::plan;
use crate::tree::{FullTile, Tree};
use crate::{ApplyError, Batch, Commit, Key, Natures, StoreError};

pub(crate) struct Tables<'transaction> {
    rows: RowsInTransaction<'transaction>,
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
            rows: RowsInTransaction::new(transaction),
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
        let writes = plan(&self.rows, &batch.guards, batch.edits)?;
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
                    self.put(&key, version, &value)?;
                    if let Some(frame) = &mut notes.frame {
                        frame.put(&key, &value);
                    }
                }
                None => {
                    let noted = self.remove(&key)? && notes.natures.of_key(&key).is_kept();
                    if noted {
                        self.note_removed(&key, version)?;
                    }
                    if let Some(frame) = &mut notes.frame {
                        frame.remove(&key, noted);
                    }
                }
            }
        }
        let first_sequence = next.tree.size();
        self.append(&mut next.tree, &batch.journal)?;
        if let Some(frame) = &mut notes.frame {
            frame.entries(&batch.journal);
        }
        next.version = version;
        let commit = Commit {
            version,
            first_sequence,
            tree_size: next.tree.size(),
        };
        Ok((commit, written))
    }

    pub(crate) fn put(&mut self, key: &Key, version: u64, value: &[u8]) -> Result<(), StoreError> {
        self.rows.insert(key, &encode_row(version, value))
    }

    /// Deletes a row, and says whether it was there.
    pub(crate) fn remove(&mut self, key: &Key) -> Result<bool, StoreError> {
        self.rows.remove(key)
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

    pub(crate) fn append(&mut self, tree: &mut Tree, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut filled = Vec::new();
        for entry in entries {
            self.journal
                .insert(tree.size(), entry.as_slice())
                .map_err(engine("writing the journal"))?;
            tree.append(leaf_hash(entry), &mut filled);
        }
        for FullTile { id, hashes } in filled {
            self.tiles
                .insert((id.level, id.index), encode_tile(&hashes).as_slice())
                .map_err(engine("writing a tile"))?;
        }
        Ok(())
    }

    /// Writes how far the store is now.
    pub(crate) fn write_head(&self, reached: &Committed) -> Result<(), StoreError> {
        let head = Head::to_bytes(reached.version, reached.tree.frontier());
        let mut meta = self.transaction.open_table(META).map_err(opening)?;
        meta.insert(META_HEAD, head.as_slice())
            .map_err(engine("writing the head of the journal"))?;
        Ok(())
    }
}
