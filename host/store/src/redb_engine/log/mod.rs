//! The log in front of the file: each group of batches is written here in one piece and synced, which makes it durable;
//! the file itself is made durable now and then, for many groups at once, and the log begins again.
//!
//! A durable commit of the file writes dozens of pages that lie scattered, and syncs twice. A group in the log is a few
//! pages that lie together, and one sync. Between two durable commits the file's newest state is in memory and in what
//! the operating system keeps; after a crash the file is as of its last durable commit, and [`recover`] brings it to where
//! the log ends. One pass through the log, from its beginning, goes on from one durable commit; the next pass overwrites it.

mod beginning;
mod frame;
mod place;
mod recover;
mod salvage;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::StorageBackend;

pub(crate) use self::beginning::begin_log;
use self::frame::{ALIGNMENT, Head, LogName};
pub(crate) use self::frame::{FrameBuilder, Origin};
pub(crate) use self::place::{LogFile, LogNote, LogPlace};
pub(crate) use self::recover::recover;
pub use self::salvage::LostGroup;
pub(crate) use self::salvage::{Taken, take_whole};
use super::counters::Counters;
use super::writer::Committed;

/// The log gets blocks by this many bytes, so that most frames overwrite what is there and syncing them changes no
/// metadata.
const GROWTH: u64 = 1 << 20;

/// Where frames begin: before them lies the log's name.
const START: u64 = ALIGNMENT;

/// Why a group is not in the log.
pub(crate) enum AppendError {
    /// Nothing was written: there is no room for it.
    Nothing(io::Error),
    /// The disk failed while it was written: it may be found there, or not.
    Unknown(io::Error),
}

/// The log of an open store.
pub(crate) struct Log {
    file: LogFile,
    counters: Arc<Counters>,
    name: LogName,
    /// The file is made durable when the log has this many bytes.
    limit: u64,
    length: u64,
    /// Up to where it has blocks: writing there changes no metadata.
    filled: u64,
    origin: Origin,
    /// Where the next frame begins. All before it is synced.
    end: u64,
    frame: FrameBuilder,
}

impl Committed {
    /// As what a pass through the log goes on from.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            version: self.version,
            root: self.tree.frontier().root(),
        }
    }
}

impl Log {
    /// Begins an empty log for a file whose last durable commit is this one. What is in `file` is lost, durably; the file
    /// must not say that it has a log.
    pub(crate) fn begin(file: LogFile, counters: Arc<Counters>, limit: u64, committed: &Committed) -> io::Result<Self> {
        let limit = START + limit.max(ALIGNMENT).next_multiple_of(ALIGNMENT);
        let mut name = LogName::default();
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        // What an earlier process left must not follow on a frame of this one. The length is there from the start, so that
        // a log that was cut off is known for one.
        file.backend.set_len(0)?;
        file.backend.set_len(limit)?;
        file.backend.write(0, &name)?;
        let log = Self {
            file,
            counters,
            name,
            limit,
            length: limit,
            filled: START,
            origin: committed.origin(),
            end: START,
            frame: FrameBuilder::default(),
        };
        log.sync()?;
        Ok(log)
    }

    fn sync(&self) -> io::Result<()> {
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mihwar_store_fsyncs_total").increment(1);
        self.file.backend.sync_data()
    }

    /// What the store's file is to say of it.
    pub(crate) fn note(&self) -> LogNote {
        LogNote {
            length: self.limit,
            name: self.name,
        }
    }

    /// Whether the next group goes here, or is made durable by a commit of the file.
    pub(crate) fn has_room(&self) -> bool {
        self.end < self.limit
    }

    /// What the next group is to be put into.
    pub(crate) fn begin_frame(&mut self) -> &mut FrameBuilder {
        self.frame.clear();
        &mut self.frame
    }

    /// Writes that group, and answers when it is durable. `before`: version of the last batch before it.
    pub(crate) fn append(&mut self, before: u64) -> Result<(), AppendError> {
        let head = Head {
            name: self.name,
            origin: self.origin,
            before,
            synced: self.end,
        };
        let Some(frame) = self.frame.finish(&head) else {
            return Err(AppendError::Nothing(io::Error::other(
                "the group is too large for the log",
            )));
        };
        let end = self.end + frame.len() as u64;
        if end > self.filled {
            let filled = end.max(self.filled + GROWTH.min(self.limit));
            if filled > self.length {
                self.file.backend.set_len(filled).map_err(AppendError::Nothing)?;
                self.length = filled;
            }
            fill(&*self.file.backend, self.filled, filled).map_err(AppendError::Nothing)?;
            self.filled = filled;
        }
        let written = self.file.backend.write(self.end, frame);
        written.map_err(AppendError::Unknown)?;
        self.sync().map_err(AppendError::Unknown)?;
        self.end = end;
        Ok(())
    }

    /// Begins again: the file was made durable, with this as its last commit.
    pub(crate) fn restart(&mut self, committed: &Committed) {
        self.origin = committed.origin();
        self.end = START;
        metrics::counter!("mihwar_store_checkpoints_total").increment(1);
        if self.length > self.limit.saturating_mul(2) {
            // After an unusually large group. If it fails, the log is longer than need be.
            match self.file.backend.set_len(self.limit) {
                Ok(()) => (self.length, self.filled) = (self.limit, self.filled.min(self.limit)),
                Err(error) => tracing::debug!(%error, "the log could not be made shorter"),
            }
        }
    }

    /// Overwrites what earlier groups left, durably, once [`Log::restart`] was called: contents that were deleted since would
    /// lie there until other groups come by.
    pub(crate) fn wipe(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.end, START, "what is in the file only");
        fill(&*self.file.backend, START, self.filled)?;
        self.sync()
    }

    /// Ends it: the file was made durable and says that it has no log.
    pub(crate) fn end(self) -> io::Result<()> {
        self.file.remove()
    }
}

/// Gives it blocks, so that syncing a frame does not have to.
fn fill(file: &dyn StorageBackend, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write(at, ZEROS.get(..count).unwrap_or(&ZEROS))?;
        at += count as u64;
    }
    Ok(())
}
