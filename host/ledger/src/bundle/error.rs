//! What can be wrong with a bundle.

use std::io;

use super::BUNDLE_FORMAT;
use crate::{EvidenceError, Hash, KeyError};

/// Why a bundle shows nothing. What was read of it until then may not be believed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Input(#[from] io::Error),
    /// Something else than a bundle.
    #[error("it is no bundle of a ledger: a bundle begins with a file that says {BUNDLE_FORMAT:?}")]
    Foreign,
    /// A bundle in a form that this version does not know.
    #[error("it is of the format {found}; this version reads {BUNDLE_FORMAT}: use a newer one")]
    Version {
        /// What the bundle says.
        found: String,
    },
    /// It ends before its end.
    #[error("it ends in the middle, at {file}: it was cut short; get it again")]
    Cut {
        /// Name of the file within the bundle.
        file: String,
    },
    /// Whoever wrote it could not go on, and said so.
    #[error("it is not whole, since the hub could not go on: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// A file within it is not what it should be.
    #[error("it is damaged: {file}: {what}")]
    Damaged {
        /// Name of the file within the bundle.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another file stands where one is needed.
    #[error("it is damaged: {expected} should come after {after}, but {found} does")]
    Order {
        /// The file before.
        after: String,
        /// The file that is missing.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The key that it names is none.
    #[error("it is damaged: key: {0}")]
    Key(KeyError),
    /// A checkpoint that was kept before is not signed by the key.
    #[error("{file}: {why}")]
    Checkpoint {
        /// Name of the file within the bundle, and the line.
        file: String,
        /// What is wrong with it.
        why: Box<EvidenceError>,
    },
    /// An entry is not the one that its tile speaks of.
    #[error(
        "entry {index} (counted from 0) is not the one whose hash stands in {file}: one of the two was changed, or an entry \
         before it was put in or left out"
    )]
    Entry {
        /// The entry's place in the ledger, from 0.
        index: u64,
        /// Name of the tile's file within the bundle.
        file: String,
    },
    /// The hashes above the entries are not theirs.
    #[error("the hashes in {file} are not those of the entries")]
    Tile {
        /// Name of the tile's file within the bundle.
        file: String,
    },
    /// The entries are not those that were signed when there were so many of them.
    #[error(
        "the first {size} entries have the root {computed}, but {whose} says {signed}: an entry before the {size}th was \
         changed, put in or left out after that was signed"
    )]
    Root {
        /// Entries that the checkpoint speaks of.
        size: u64,
        /// Root of the entries in the bundle.
        computed: Hash,
        /// Root that was signed.
        signed: Hash,
        /// Which checkpoint.
        whose: String,
    },
    /// It holds more than its checkpoint speaks of.
    #[error(
        "its checkpoint is of a shorter history, of {size} entries, than what it holds ({file}): nothing shows that the rest \
         was ever signed"
    )]
    Beyond {
        /// Entries that the checkpoint speaks of.
        size: u64,
        /// Name of the first file within the bundle that goes beyond.
        file: String,
    },
    /// A checkpoint from elsewhere that is of a longer history.
    #[error(
        "the bundle is of a shorter history: it has {size} entries, and the checkpoint speaks of {held}. It is NOT the whole \
         ledger: have a newer one exported; to check it as the ledger of its time, take checkpoints of at most {size} entries"
    )]
    Shorter {
        /// Entries in the bundle.
        size: u64,
        /// Entries that the checkpoint speaks of.
        held: u64,
    },
    /// The bundle's checkpoint is not signed by the key, or one from elsewhere does not go with it.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Something that a bundle has no place for.
    #[error("{what}")]
    Unfit {
        /// What, and why.
        what: String,
    },
}

impl BundleError {
    pub(super) fn damaged(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.into(),
            what: what.into(),
        }
    }
}
