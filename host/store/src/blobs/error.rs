//! What can go wrong with blobs.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("blob {0} does not exist")]
    Missing(Uuid),
    /// There is a blob with this id already. Blobs are never overwritten.
    #[error("blob {0} exists already")]
    Exists(Uuid),
    /// The range reaches beyond the blob's end, or ends before it starts.
    #[error("bytes {start}..{end} are not all within blob {id} of {size} bytes")]
    Range {
        /// Id of the blob.
        id: Uuid,
        /// First byte asked for.
        start: u64,
        /// Byte after the last one asked for.
        end: u64,
        /// Size of the blob in bytes.
        size: u64,
    },
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The error of an operation at `path`.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The same where the blob itself is looked for there.
pub(super) fn missing(id: Uuid, path: &Path) -> impl Fn(io::Error) -> BlobError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => BlobError::Missing(id),
        _ => at(path)(error),
    }
}
