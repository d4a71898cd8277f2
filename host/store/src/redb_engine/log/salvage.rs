//! What a damaged log still has: the groups before the damage, which can be taken, and those behind it, which cannot. A group
//! goes on from the one before it, as do the numbers of the ledger's entries: over a gap nothing can be put.

use redb::StorageBackend;

use super::super::applying::Tables;
use super::super::writer::Committed;
use super::frame::{self, ALIGNMENT, Frame, Origin, RowChange};
use super::recover::replay;
use super::{LogNote, START};
use crate::{Key, StoreError};

/// A group of batches that lies behind the damage of a log: whole, and of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostGroup {
    /// Where it begins in the log, in bytes.
    pub at: u64,
    /// Version of the last batch before it.
    pub before: u64,
    /// Version of its own last batch.
    pub last: u64,
    /// Rows that it wrote; those that it deleted are left out.
    pub rows: Vec<(Key, Vec<u8>)>,
    /// Its journal entries. Which numbers they had is not known.
    pub entries: Vec<Vec<u8>>,
}

/// What was found in a log.
#[derive(Default)]
pub(crate) struct Taken {
    /// Groups that go on from the file without a gap.
    pub(crate) groups: u64,
    /// What is wrong with the log; nothing when it ends as a crash ends one.
    pub(crate) damage: Option<String>,
    /// Groups behind that.
    pub(crate) beyond: Vec<LostGroup>,
}

/// Puts the groups that go on from `reached` without a gap into `tables`, and looks at what lies behind them. What the disk
/// does not give is as good as damaged.
pub(crate) fn take_whole(
    tables: &mut Tables<'_>,
    reached: &mut Committed,
    log: &dyn StorageBackend,
    noted: &LogNote,
) -> Result<Taken, StoreError> {
    let failed = |error| StoreError::engine("reading the log")(redb::Error::Io(error));
    let place = Place {
        log,
        length: log.len().map_err(failed)?,
        noted,
        origin: reached.origin(),
    };
    let (mut taken, mut at) = (Taken::default(), START);
    loop {
        let frame = match place.read(at) {
            Ok(Some(frame)) if frame.head.origin == place.origin => frame,
            Ok(_) => break,
            Err(error) => {
                taken.damage = Some(format!("the log cannot be read at byte {at}: {error}"));
                break;
            }
        };
        if !goes_on(&frame, reached) {
            let (before, version) = (frame.head.before, reached.version);
            taken.damage = Some(format!(
                "the log goes on from batch {before} at byte {at}, where batch {version} should be the last one"
            ));
            break;
        }
        replay(tables, reached, &frame.changes)?;
        taken.groups += 1;
        at = frame.end;
    }
    taken.beyond = place.beyond(at, taken.damage.is_some());
    if let (None, Some(first)) = (&taken.damage, taken.beyond.first()) {
        let (next, before, version) = (first.at, first.before, reached.version);
        taken.damage = Some(format!(
            "the log is damaged at byte {at}: batch {version} is the last one before it, and what is there at byte {next} goes \
             on from batch {before}"
        ));
    }
    Ok(taken)
}

/// Whether a frame's batches are those that come next.
fn goes_on(frame: &Frame, reached: &Committed) -> bool {
    let Ok(batches) = frame::batches(&frame.changes) else {
        return false;
    };
    let versions = batches.iter().map(|batch| batch.version);
    frame.head.before == reached.version && versions.zip(reached.version + 1..).all(|(found, next)| found == next)
}

/// A log, and which frames of it count.
struct Place<'a> {
    log: &'a dyn StorageBackend,
    length: u64,
    noted: &'a LogNote,
    origin: Origin,
}

impl Place<'_> {
    /// The whole frame of this log that begins there.
    fn read(&self, at: u64) -> std::io::Result<Option<Frame>> {
        let found = frame::read(self.log, self.length, at)?;
        Ok(found.filter(|frame| frame.head.name == self.noted.name))
    }

    /// Frames from `at` on that say that something is missing there. One of an earlier pass through the log says nothing, and
    /// neither does one that a crash cut off.
    fn beyond(&self, at: u64, is_damaged: bool) -> Vec<LostGroup> {
        let (mut found, mut next) = (Vec::new(), at);
        while next < self.length {
            next = match self.read(next) {
                Ok(Some(frame)) if self.counts(&frame, at, is_damaged) => {
                    found.push(lost(next, &frame));
                    frame.end
                }
                _ => next + ALIGNMENT,
            };
        }
        found
    }

    fn counts(&self, frame: &Frame, at: u64, is_damaged: bool) -> bool {
        let head = &frame.head;
        if head.origin == self.origin {
            return is_damaged || head.synced > at;
        }
        head.origin.version >= self.origin.version
    }
}

fn lost(at: u64, frame: &Frame) -> LostGroup {
    let batches = frame::batches(&frame.changes).unwrap_or_default();
    let before = frame.head.before;
    let mut group = LostGroup {
        at,
        before,
        last: batches.last().map_or(before, |batch| batch.version),
        rows: Vec::new(),
        entries: Vec::new(),
    };
    for batch in batches {
        for (key, change) in batch.rows {
            if let RowChange::Put(value) = change {
                group.rows.push((key, value.to_vec()));
            }
        }
        group.entries.extend(batch.entries);
    }
    group
}
