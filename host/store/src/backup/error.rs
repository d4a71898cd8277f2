//! Why a backup was not made, not read or not restored.

use std::io;
use std::path::PathBuf;

use super::frame::FORMAT;
use crate::{BlobError, StoreError};

/// Why a backup was not made, not read or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something else than a backup.
    #[error("{file} is no backup of mihwar")]
    Foreign {
        /// The file.
        file: String,
    },
    /// A format that this version does not read.
    #[error(
        "{file} has format {found}, and this version reads format {}; use the version of mihwar that made it",
        FORMAT
    )]
    Format {
        /// The file.
        file: String,
        /// Format in the file.
        found: u32,
    },
    /// The bytes are not what was written.
    #[error("{file} is damaged in chunk {chunk}, which begins at byte {offset}: {what}; use another copy of it")]
    Damaged {
        /// The file.
        file: String,
        /// Number of the chunk, from 0; the header is the first.
        chunk: u32,
        /// Where in the file the chunk begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The end is missing.
    #[error("{file} is cut short: it ends within chunk {chunk}, which begins at byte {offset}; use another copy of it")]
    CutShort {
        /// The file.
        file: String,
        /// Number of the chunk, from 0.
        chunk: u32,
        /// Where in the file the chunk begins.
        offset: u64,
    },
    /// The end is missing; nobody looked where.
    #[error("{file} is cut short: its end mark is missing; use another copy of it")]
    Unended {
        /// The file.
        file: String,
    },
    /// The hub could not finish it.
    #[error("{file} was not finished: {reason}")]
    Stopped {
        /// The file.
        file: String,
        /// What the hub said.
        reason: String,
    },
    /// Files that do not belong together, or not in this order.
    #[error("{file} cannot be used here: {what}")]
    Order {
        /// The file that does not fit.
        file: String,
        /// Why.
        what: String,
    },
    /// An increment that cannot be made.
    #[error("no increment can be made since that backup: {what}; make a full one")]
    Since {
        /// Why.
        what: String,
    },
    /// There is a file of this name.
    #[error("{} exists already, and a backup never overwrites anything; give another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("{place}: {source}")]
    Io {
        /// File or folder.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl BackupError {
    pub(super) fn io(place: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let place = place.into();
        move |source| Self::Io { place, source }
    }
}
