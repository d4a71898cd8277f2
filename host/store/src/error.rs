//! Why reading or writing failed.

use std::path::PathBuf;
use std::time::Duration;

use crate::Key;

/// The store itself cannot do its work. Cloneable, because one failed commit answers many writers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the file.
    #[error("{} is open in another process; stop that one first", path.display())]
    AlreadyOpen {
        /// The store's file.
        path: PathBuf,
    },
    /// The file has a format that this version does not read.
    #[error(
        "the store has format {found}, and this version reads format {expected}; use the version of mihwar that wrote it"
    )]
    Format {
        /// Format in the file.
        found: u32,
        /// Format of this version.
        expected: u32,
    },
    /// The store was closed, or is being closed.
    #[error("the store is closed")]
    Closed,
    /// What is stored contradicts itself: a damaged file. Restore a backup.
    #[error("the store is damaged: {what}; restore the last backup")]
    Corrupt {
        /// What contradicts what.
        what: String,
    },
    /// The disk failed, and what is on it is not known for sure. What is in memory can still be read.
    #[error("the disk failed ({reason}); the store takes no more writes until it is opened again")]
    Stopped {
        /// What was being done, and what the engine said.
        reason: String,
    },
    /// The engine or the disk below it failed.
    #[error("the storage engine failed while {what}: {reason}")]
    Engine {
        /// What was being done.
        what: &'static str,
        /// What the engine said.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn engine(what: &'static str) -> impl Fn(redb::Error) -> Self {
        move |error| match error {
            redb::Error::DatabaseClosed => Self::Closed,
            redb::Error::Corrupted(what) => Self::Corrupt { what },
            redb::Error::PreviousIo => Self::Stopped {
                reason: "before this".to_owned(),
            },
            error => Self::Engine {
                what,
                reason: error.to_string(),
            },
        }
    }

    /// The same where the writer met it: after a failure of the disk it writes no more.
    pub(crate) fn of_writing(self) -> Self {
        match self {
            Self::Engine { what, reason } => Self::Stopped {
                reason: format!("{what}: {reason}"),
            },
            other => other,
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

/// Why a batch was not applied; nothing of it is kept, except that [`ApplyError::Unknown`] leaves it open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A guard did not hold: the row changed in the meantime. Read again and decide again.
    #[error("row {0} has changed since it was read")]
    Stale(Key),
    /// A key, value, journal entry or the whole batch is over its limit. It will never fit.
    #[error("the {what} is {size} bytes long, over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// An edit that makes no sense: a programming error of the caller.
    #[error("row {key} cannot be changed like this: {reason}")]
    Invalid {
        /// Row that the edit names.
        key: Key,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Too much is waiting to be written. Nothing was accepted; come back later.
    #[error("too many writes are waiting; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// How long what waits is expected to take.
        retry_after: Duration,
    },
    /// The disk has less free space than the store keeps in reserve. Reading goes on.
    #[error("only {free} bytes are free on the disk and {floor} are kept in reserve; free some space")]
    NoSpace {
        /// Free bytes.
        free: u64,
        /// Bytes kept in reserve.
        floor: u64,
    },
    /// The commit failed half-way: the batch may be durable or not. Look (through a row that the batch would have
    /// written) before sending it again.
    #[error("it is not known whether the batch was written; look before sending it again")]
    Unknown,
    /// The store cannot write. The batch was not applied.
    #[error(transparent)]
    Broken(#[from] StoreError),
}
