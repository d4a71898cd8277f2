//! After a crash: from the file's last durable commit to where the log ends.

use redb::StorageBackend;

use super::super::applying::Tables;
use super::super::database::SharedDatabase;
use super::super::writer::Committed;
use super::frame::{self, ALIGNMENT, Frame, LogName, Origin, RowChange};
use super::{LogFile, LogNote, START};
use crate::StoreError;

/// Writes what is in the log and not in the file, in one durable commit. Gives the state of the file afterwards.
///
/// A frame that is not whole at the log's end is left out: it was being written when the process ended, and was never
/// acknowledged. Damage of the last whole frame looks the same, and so does a log whose end was overwritten with zeros: only
/// a later frame can say that one before it had been synced, and then that is refused as damage.
pub(crate) fn recover(database: &SharedDatabase, log: &LogFile, noted: &LogNote) -> Result<Committed, StoreError> {
    let mut reached = database.load()?;
    let mut frames = Frames::begin(&*log.backend, noted.name, &reached)?;
    let Some(first) = frames.next(&reached)? else {
        return Ok(reached);
    };
    let from = reached.version;
    let transaction = database.begin_write()?;
    {
        let mut tables = Tables::open(&transaction)?;
        let mut frame = Some(first);
        while let Some(Frame { changes, .. }) = frame {
            replay(&mut tables, &mut reached, &changes)?;
            frame = frames.next(&reached)?;
        }
        tables.finish(&reached)?;
    }
    transaction
        .commit()
        .map_err(|error| StoreError::engine("bringing the log's batches into the file")(error.into()))?;
    tracing::info!(
        batches = reached.version - from,
        log_bytes = frames.at,
        "the store was not closed in order; what its log has is in the file now"
    );
    Ok(reached)
}

pub(super) fn replay(tables: &mut Tables<'_>, reached: &mut Committed, changes: &[u8]) -> Result<(), StoreError> {
    for batch in frame::batches(changes)? {
        if batch.version != reached.version + 1 {
            return Err(StoreError::corrupt(format!(
                "the log has batch {} after batch {}",
                batch.version, reached.version
            )));
        }
        for (key, change) in batch.rows {
            match change {
                RowChange::Put(value) => tables.put(key, batch.version, value.to_vec()),
                RowChange::Removed { noted } => {
                    if noted {
                        tables.note_removed(&key, batch.version)?;
                    }
                    tables.remove(key, batch.version);
                }
            }
        }
        tables.append(&mut reached.tree, batch.entries)?;
        reached.version = batch.version;
    }
    Ok(())
}

/// The frames of the log's last pass.
struct Frames<'a> {
    log: &'a dyn StorageBackend,
    length: u64,
    name: LogName,
    origin: Origin,
    at: u64,
}

impl<'a> Frames<'a> {
    fn begin(log: &'a dyn StorageBackend, name: LogName, stored: &Committed) -> Result<Self, StoreError> {
        Ok(Self {
            log,
            length: log.len().map_err(reading)?,
            name,
            origin: stored.origin(),
            at: START,
        })
    }

    /// The whole frame of this log that begins there.
    fn read(&self, at: u64) -> Result<Option<Frame>, StoreError> {
        let found = frame::read(self.log, self.length, at).map_err(reading)?;
        Ok(found.filter(|frame| frame.head.name == self.name))
    }

    /// The frame that goes on from `reached`, if there is one.
    fn next(&mut self, reached: &Committed) -> Result<Option<Frame>, StoreError> {
        let Some(found) = self.read(self.at)?.filter(|frame| frame.head.origin == self.origin) else {
            self.check_rest()?;
            return Ok(None);
        };
        if found.head.before != reached.version {
            return Err(StoreError::corrupt(format!(
                "the log goes on from batch {} at byte {}, where batch {} should be the last one",
                found.head.before, self.at, reached.version
            )));
        }
        self.at = found.end;
        Ok(Some(found))
    }

    /// Looks whether anything is wrong with the log rather than at its end.
    fn check_rest(&self) -> Result<(), StoreError> {
        let mut at = self.at;
        while at < self.length {
            if let Some(Frame { head, .. }) = self.read(at)? {
                if head.origin == self.origin && head.synced > self.at {
                    return Err(StoreError::corrupt(format!(
                        "the log is damaged at byte {}: what was acknowledged there cannot be read, and what followed it is \
                         there at byte {at} (have the disk looked at first; what is whole: mihwar doctor --salvage-log)",
                        self.at
                    )));
                }
                let is_later = head.origin.version > self.origin.version;
                let is_another = head.origin.version == self.origin.version && head.origin.root != self.origin.root;
                if is_later || is_another {
                    return Err(StoreError::corrupt(format!(
                        "the log goes on from batch {}, and the store's file ends at batch {}: they do not belong together, or \
                         the disk lost what it had said to be safe",
                        head.origin.version, self.origin.version
                    )));
                }
            }
            at += ALIGNMENT;
        }
        Ok(())
    }
}

fn reading(error: impl Into<redb::Error>) -> StoreError {
    StoreError::engine("reading the log")(error.into())
}
