//! Files for what is too large for a row. The bytes are opaque here; rooms above encrypt them first.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::Execution;

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

/// A folder of blobs: `<root>/<two hex digits>/<id>`. A blob is complete and durable, or not there at all.
#[derive(Clone, Debug)]
pub struct BlobFolder {
    root: Arc<Path>,
    execution: Execution,
}

impl BlobFolder {
    /// Opens the folder, makes it if need be, and removes what an interrupted write left behind. Blocks. One process may
    /// have it open at a time; the store's file, which only one can open, guards that.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let root = root.into();
        let parts = root.join(PARTS);
        if parts.exists() {
            fs::remove_dir_all(&parts).map_err(at(&parts))?;
        }
        fs::create_dir_all(&parts).map_err(at(&parts))?;
        sync_folder(&root)?;
        Ok(Self {
            root: root.into(),
            execution: Execution::Threads,
        })
    }

    /// The same folder, with its blocking work done there.
    #[must_use]
    pub fn with_execution(self, execution: Execution) -> Self {
        Self { execution, ..self }
    }

    /// Writes a blob. It is durable when this answers.
    ///
    /// # Errors
    /// [`BlobError::Exists`] or [`BlobError::Io`].
    pub async fn put(&self, id: Uuid, bytes: Vec<u8>) -> Result<(), BlobError> {
        self.put_many(vec![(id, bytes)]).await
    }

    /// Writes several blobs; their folders are made durable together. They are durable when this answers `Ok`; after an
    /// error, some may be there.
    ///
    /// # Errors
    /// [`BlobError::Exists`] or [`BlobError::Io`].
    pub async fn put_many(&self, blobs: Vec<(Uuid, Vec<u8>)>) -> Result<(), BlobError> {
        let this = self.clone();
        self.blocking(move || this.write_all(&blobs)).await
    }

    /// A whole blob.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    pub async fn read(&self, id: Uuid) -> Result<Vec<u8>, BlobError> {
        let path = self.path(id);
        self.blocking(move || fs::read(&path).map_err(missing(id, &path))).await
    }

    /// Part of a blob.
    ///
    /// # Errors
    /// [`BlobError::Range`], [`BlobError::Missing`] or [`BlobError::Io`].
    pub async fn read_range(&self, id: Uuid, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let path = self.path(id);
        self.blocking(move || {
            let mut file = File::open(&path).map_err(missing(id, &path))?;
            let size = file.metadata().map_err(at(&path))?.len();
            let length = range.end.checked_sub(range.start);
            let Some(length) = length.filter(|_| range.end <= size) else {
                return Err(BlobError::Range {
                    id,
                    start: range.start,
                    end: range.end,
                    size,
                });
            };
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(range.start)).map_err(at(&path))?;
            file.take(length).read_to_end(&mut bytes).map_err(at(&path))?;
            Ok(bytes)
        })
        .await
    }

    /// Size of a blob in bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    pub async fn size(&self, id: Uuid) -> Result<u64, BlobError> {
        let path = self.path(id);
        self.blocking(move || {
            let metadata = fs::metadata(&path).map_err(missing(id, &path))?;
            Ok(metadata.len())
        })
        .await
    }

    /// Removes a blob. It stays removed after a power cut once this answers. Removing one that is not there does nothing:
    /// erasing may be repeated.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn delete(&self, id: Uuid) -> Result<(), BlobError> {
        let (path, folder) = (self.path(id), self.folder(id));
        self.blocking(move || {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
            // Even when nothing was there: the removal may be an earlier one that was cut off before this.
            if folder.exists() { sync_folder(&folder) } else { Ok(()) }
        })
        .await
    }

    fn write_all(&self, blobs: &[(Uuid, Vec<u8>)]) -> Result<(), BlobError> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let mut new_folder = false;
        for (id, bytes) in blobs {
            let folder = self.folder(*id);
            if !folder.exists() {
                fs::create_dir_all(&folder).map_err(at(&folder))?;
                new_folder = true;
            }
            self.write(*id, bytes)?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        for folder in &folders {
            sync_folder(folder)?;
        }
        if new_folder {
            sync_folder(&self.root)?;
        }
        Ok(())
    }

    fn write(&self, id: Uuid, bytes: &[u8]) -> Result<(), BlobError> {
        let (path, part) = (self.path(id), self.root.join(PARTS).join(id.to_string()));
        // Also keeps two writers of one id apart.
        let file = File::create_new(&part).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BlobError::Exists(id),
            _ => at(&part)(error),
        })?;
        let written = write_new(file, bytes).map_err(at(&part)).and_then(|()| {
            if path.exists() {
                return Err(BlobError::Exists(id));
            }
            fs::rename(&part, &path).map_err(at(&path))
        });
        if written.is_err() {
            // The first error is the one to tell; what stays behind is removed when the folder is opened.
            fs::remove_file(&part).ok();
        }
        written
    }

    fn folder(&self, id: Uuid) -> PathBuf {
        // The last byte is random; the first ones are the time and would put a year into one folder.
        let [.., last] = *id.as_bytes();
        self.root.join(format!("{last:02x}"))
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.folder(id).join(id.to_string())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        if self.execution == Execution::Inline {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(at(&self.root)(io::Error::other(error))))
    }
}

fn write_new(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
}

/// Where blobs are written before they get their place.
const PARTS: &str = "unfinished";

fn at(path: &Path) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Io {
        path: path.to_owned(),
        source,
    }
}

fn missing(id: Uuid, path: &Path) -> impl Fn(io::Error) -> BlobError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => BlobError::Missing(id),
        _ => at(path)(error),
    }
}

fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}
