//! Where a store's log lies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;

use super::frame::LogName;
use crate::file_system::folder_of;
use crate::{FileId, FileSystem, OpenedFile, Opening, StoreError};

/// What a store's file says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogNote {
    /// Its length in bytes, at least.
    pub(crate) length: u64,
    pub(crate) name: LogName,
}

impl LogNote {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.length.to_be_bytes()[..], &self.name].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        Some(Self {
            length: u64::from_be_bytes(*length),
            name: rest.try_into().ok()?,
        })
    }
}

/// Where a log is to be found or made. Only for whoever has locked the store's file.
pub(crate) enum LogPlace {
    /// Beside the store's file.
    Path { files: Arc<dyn FileSystem>, path: PathBuf },
    /// Given by a test.
    Given(Box<dyn StorageBackend>),
}

/// An open log. It has the file's name as long as the store is in use.
pub(crate) struct LogFile {
    pub(crate) backend: Box<dyn StorageBackend>,
    place: Option<NamedFile>,
}

/// Where a log has its name, and which file that was.
struct NamedFile {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    id: FileId,
}

impl LogPlace {
    /// The log of the store in the file at `store`.
    pub(crate) fn beside(files: &Arc<dyn FileSystem>, store: &Path) -> Self {
        Self::Path {
            files: Arc::clone(files),
            path: Self::path_beside(store),
        }
    }

    /// Where that log lies.
    pub(crate) fn path_beside(store: &Path) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(".wal");
        PathBuf::from(name)
    }

    /// The log that must be there, because the store's file says so.
    pub(crate) fn existing(self, noted: &LogNote) -> Result<LogFile, StoreError> {
        let file = self.open()?;
        let path = file.place.as_ref().map(|named| named.path.as_path());
        let failed = |error| failed(path.unwrap_or(Path::new("the log")), &error);
        let found = file.backend.len().map_err(failed)?;
        if found < noted.length {
            return Err(StoreError::corrupt(format!(
                "the log is cut off: {found} bytes are there of at least {}. What was acknowledged last may \
                 be missing (what is whole: mihwar doctor --salvage-log)",
                noted.length
            )));
        }
        let mut name = LogName::default();
        file.backend.read(0, &mut name).map_err(failed)?;
        if name != noted.name {
            return Err(StoreError::corrupt(
                "the log is not the one that goes on from this store (if you have the two that belong together, put them back \
                 instead)",
            ));
        }
        Ok(file)
    }

    fn open(self) -> Result<LogFile, StoreError> {
        let (files, path) = match self {
            Self::Given(backend) => return Ok(LogFile { backend, place: None }),
            Self::Path { files, path } => (files, path),
        };
        match files.open(&path, Opening::Writing) {
            Ok(file) => Ok(LogFile::named(file, files, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::corrupt(format!(
                "{} is missing: the store was not closed in order, and what was acknowledged last lies there (if you have it, \
                 put it back beside the store instead)",
                path.display()
            ))),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// A log to begin with; what is there is of no use.
    pub(crate) fn make(self) -> io::Result<LogFile> {
        let (files, path) = match self {
            Self::Given(backend) => return Ok(LogFile { backend, place: None }),
            Self::Path { files, path } => (files, path),
        };
        let file = match files.open(&path, Opening::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => files.open(&path, Opening::Writing),
            opened => opened,
        }?;
        // It is there after a power cut only when its folder says so.
        files.sync_folder(&folder_of(&path))?;
        Ok(LogFile::named(file, files, path))
    }
}

impl LogFile {
    fn named(file: OpenedFile, files: Arc<dyn FileSystem>, path: PathBuf) -> Self {
        let id = file.id();
        Self {
            backend: Box::new(file),
            place: Some(NamedFile { files, path, id }),
        }
    }

    /// Takes its contents and its name. That need not be durable: a file without a log does not look for one. Where somebody
    /// has put another file in its place, a restored store's say, that one stays.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.backend.set_len(0)?;
        let Some(NamedFile { files, path, id }) = self.place else {
            return Ok(());
        };
        match files.symlink_metadata(&path) {
            Ok(found) if found.id == id => files.remove_file(&path),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Engine {
        what: "opening the log",
        reason: format!("{}: {error}", path.display()),
    }
}
