//! What can go wrong below the hub's own rules.

use std::io::ErrorKind;
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_store::{ApplyError, BlobError, StoreError};
use thiserror::Error;

use crate::vault::VaultError;

/// A failure of storage, keys or bytes at rest.
#[derive(Debug, Clone, Error)]
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
    /// The disk is full.
    #[error("the disk is full: {0}; free some space")]
    Full(String),
    /// The disk failed in the middle of a write. Nothing is written until the hub is started again; only what is in
    /// memory can be read.
    #[error("{0}; start the hub again")]
    Stopped(StoreError),
    /// An instance that masks texts before they are stored could not look at them. Nothing was stored.
    #[error(
        "nothing was stored, since the instance \"{instance}\" could not mask what must be masked ({code}); see: mihwar plugin list"
    )]
    HeldBack {
        /// Which.
        instance: InstanceName,
        /// Why, in short.
        code: String,
        /// When to try again.
        retry_after: Duration,
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
    Store(#[source] StoreError),
    /// A file of the blob folder failed. It may be sound, and be read at another time.
    #[error("a stored file cannot be used: {0}")]
    Blob(String),
    /// A file of the blob folder is not there although something stored needs it.
    #[error("a stored file is missing: {0}; look for it in the last backup")]
    Lost(String),
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

impl Fault {
    /// Whether something at rest cannot be read, and will not be by trying again. Others must not suffer from it.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Vault(_) | Self::Damaged { .. } | Self::Lost(_))
    }

    /// Whether one thing at rest cannot be read now: it is damaged, or the system did not give its file, which may pass (too
    /// many files are open, say). For whoever can do without it.
    pub(crate) const fn is_unreadable(&self) -> bool {
        self.is_damage() || matches!(self, Self::Blob(_))
    }

    /// Whether there is no room to write, while disk and store are sound.
    pub(crate) const fn is_out_of_room(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Full(_))
    }

    /// Whether nothing can be written for now, while what is there can be read.
    pub(crate) const fn is_write_refused(&self) -> bool {
        matches!(
            self,
            Self::NoSpace { .. } | Self::Full(_) | Self::Stopped(_) | Self::Unknown
        )
    }
}

/// What becomes of a row of a read model that is needed and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDamage {
    /// It is passed over, and so is what happened to it, until the read models are made anew: verification names it, and
    /// nothing else stands still because of it.
    PassOver,
    /// The fold ends: what others are compared with has to be right.
    End,
}

/// The code of events that tell of content that cannot be read.
pub(crate) const UNREADABLE: &str = "content-unreadable";

/// A plugin's failure code as it may stand in the ledger for ever: a slug, since anything else could name a person.
pub(crate) fn event_code(code: &str) -> String {
    let slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=64).contains(&code.len()) && code.bytes().all(slug) {
        code.to_owned()
    } else {
        "plugin-error".to_owned()
    }
}

impl From<ApplyError> for Fault {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Stale(_) => Self::Contended,
            ApplyError::Busy { retry_after } => Self::Busy { retry_after },
            ApplyError::NoSpace { free, floor } => Self::NoSpace { free, floor },
            ApplyError::Unknown => Self::Unknown,
            ApplyError::Broken(error) => error.into(),
            other => Self::TooLarge(other.to_string()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stopped { .. } => Self::Stopped(error),
            other => Self::Store(other),
        }
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Io { source, .. }
                if matches!(
                    source.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
                ) =>
            {
                Self::Full(error.to_string())
            }
            BlobError::Missing(_) => Self::Lost(error.to_string()),
            _ => Self::Blob(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use mihwar_store::BlobError;

    use super::{Fault, event_code};

    #[test]
    fn a_file_that_is_not_there_is_damage_and_one_that_cannot_be_read_now_is_not() {
        let lost = Fault::from(BlobError::Missing(uuid::Uuid::nil()));
        assert!(lost.is_damage() && lost.is_unreadable(), "{lost}");
        let too_many_open = Fault::from(BlobError::Io {
            path: "blobs/3f/ملف".into(),
            source: Error::from(ErrorKind::Other),
        });
        assert!(
            !too_many_open.is_damage() && too_many_open.is_unreadable(),
            "{too_many_open}"
        );
    }

    #[test]
    fn only_a_slug_stands_in_the_ledger() {
        assert_eq!(event_code("http-503"), "http-503");
        for free_text in ["huda@example.com", "هدى", "not found", "", &"x".repeat(65)] {
            assert_eq!(event_code(free_text), "plugin-error");
        }
    }
}
