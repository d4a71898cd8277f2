//! Why a data folder is left as it is.

use std::path::PathBuf;

use thiserror::Error;

use super::FORMAT;

/// A data folder whose format does not let this hub work on it. Nothing was changed, except where it says so.
#[derive(Debug, Error)]
pub enum FormatError {
    /// A newer hub wrote it, or began to bring it to its own format.
    #[error(
        "{place} has format {found}, and this hub (mihwar {version}) knows format {FORMAT} and older: a newer hub wrote \
         it; use that version, or restore the backup that it made before its upgrade",
        place = place.display(), version = env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The file that says so.
        place: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The store's file is laid out in another way than this hub's.
    #[error(
        "{path} is laid out in format {found}, and this hub (mihwar {version}) reads layout {expected}; use the version \
         of mihwar that wrote it",
        path = path.display(), version = env!("CARGO_PKG_VERSION")
    )]
    OtherStore {
        /// The store's file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// That of this hub.
        expected: u32,
    },
    /// An older hub wrote it.
    #[error(
        "{place} has format {found}, and this hub works on format {FORMAT}; bring the folder there, with a backup first: \
         mihwar upgrade (or mihwar serve)",
        place = place.display()
    )]
    Older {
        /// The data folder.
        place: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An upgrade was cut off.
    #[error(
        "{place} is on its way to format {to}: its upgrade was cut off; finish it with: mihwar upgrade (or mihwar serve)",
        place = place.display()
    )]
    Unfinished {
        /// The data folder.
        place: PathBuf,
        /// Where it goes.
        to: u32,
    },
    /// The file `FORMAT` is not what a hub writes.
    #[error(
        "{path} is no format file: {detail}; expected is a first line such as \"format {FORMAT}\". Put back the one from \
         your backup; if the store beside it is sound, removing this file does as well: the hub then writes it anew",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder tells its format, but its store is gone.
    #[error(
        "{path} is missing, although {note} says that this folder has format {found}; restore the store from your \
         backup, or remove {note} to begin anew",
        path = path.display(), note = note.display()
    )]
    StoreGone {
        /// The store's file.
        path: PathBuf,
        /// The file `FORMAT`.
        note: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The two places that tell the format do not agree.
    #[error(
        "{note} says format {told}, and the store beside it says {found}: one of them comes from another folder or a \
         backup; put back what belongs together, or remove {note} if the store is the right one",
        note = note.display(), found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string())
    )]
    Mismatch {
        /// The file `FORMAT`.
        note: PathBuf,
        /// What it says.
        told: u32,
        /// What the store says; nothing when no hub finished its first start on it.
        found: Option<u32>,
    },
    /// There is a backup of an earlier upgrade in the way.
    #[error(
        "{path} is there already: a backup of an earlier upgrade; move it away, or delete it if you no longer need it, \
         and start again",
        path = path.display()
    )]
    BackupInTheWay {
        /// The folder of the backup.
        path: PathBuf,
    },
    /// Too little room for the backup.
    #[error(
        "the upgrade of {place} needs {needed} bytes of free space ({copy} for the backup and {floor} that stay in \
         reserve, storage.free-space-floor), and {free} are free; make room and start again",
        place = place.display(), needed = copy.saturating_add(*floor)
    )]
    NoRoom {
        /// The data folder.
        place: PathBuf,
        /// Bytes for the backup.
        copy: u64,
        /// Bytes in reserve.
        floor: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Names the path in a failure of the file system.
pub(super) fn at(path: &std::path::Path) -> impl Fn(std::io::Error) -> FormatError {
    move |source| FormatError::Io {
        path: path.to_owned(),
        source,
    }
}
