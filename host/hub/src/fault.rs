//! What can go wrong below the hub's own rules.

use std::time::Duration;

use mihwar_store::{ApplyError, StoreError};
use thiserror::Error;

use crate::vault::VaultError;

/// A failure of storage, keys or bytes at rest.
#[derive(Debug, Error)]
pub enum Fault {
    /// The write queue is full.
    #[error("the hub is writing as fast as it can; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The disk is nearly full; writes are refused before it is.
    #[error("only {free} bytes are free, below the floor of {floor} (storage.free-space-floor); free some space")]
    NoSpace {
        /// Free bytes.
        free: u64,
        /// The configured floor.
        floor: u64,
    },
    /// Rows kept changing under the operation.
    #[error("the same rows were changed by others again and again; try again")]
    Contended,
    /// The disk failed in the middle of a commit.
    #[error("it is not known whether this was written; look before doing it again")]
    Unknown,
    /// A batch is beyond the store's limits.
    #[error("{0}")]
    TooLarge(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// A file of the blob folder failed.
    #[error("a stored file cannot be used: {0}")]
    Blob(String),
    /// Sealed bytes do not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Bytes at rest are not what was written.
    #[error("{what} is damaged: {detail}; run: mihwar ledger verify")]
    Damaged {
        /// Which row.
        what: &'static str,
        /// What the decoder said.
        detail: String,
    },
    /// A value has no encoding.
    #[error("a value has no encoding: {0}")]
    Encoding(String),
}

impl From<ApplyError> for Fault {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Stale(_) => Self::Contended,
            ApplyError::Busy { retry_after } => Self::Busy { retry_after },
            ApplyError::NoSpace { free, floor } => Self::NoSpace { free, floor },
            ApplyError::Unknown => Self::Unknown,
            ApplyError::Broken(error) => Self::Store(error),
            other => Self::TooLarge(other.to_string()),
        }
    }
}
