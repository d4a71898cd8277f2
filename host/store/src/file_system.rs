//! The door to the file system.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// What stores and blobs ask of the file system, so that a test can put a disk there that fails, fills or loses power
/// between any two calls.
///
/// Nothing is durable before it is synced: the contents of a file by [`StorageBackend::sync_data`], its name, or that of a
/// folder, by [`FileSystem::sync_folder`] of the folder that it lies in. Errors are the operating system's.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// `NotFound` when there is none, or `AlreadyExists` when there is to be none.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<OpenedFile>;

    /// What there is at `path`; of a link, what it leads to.
    ///
    /// # Errors
    /// `NotFound` when there is nothing.
    fn metadata(&self, path: &Path) -> io::Result<FileMetadata>;

    /// What there is at `path`, be it a link.
    ///
    /// # Errors
    /// `NotFound` when there is nothing.
    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata>;

    /// Gives a file or folder another name, in one step, over a file that has it.
    ///
    /// # Errors
    /// `NotFound` when there is nothing to rename, or no folder to put it into.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that none has; a file system that cannot refuse to replace does replace.
    ///
    /// # Errors
    /// `AlreadyExists` when something has it.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder that only its owner enters.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound` when the one above it is not there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// After one, any of the names that changed may be as they were.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// One that is there, to be read.
    Reading,
    /// One that is there, to be read and written.
    Writing,
    /// One that is not there yet, to be read and written, for its owner alone.
    New,
}

/// Which file something is, whatever names lead to it. As long as the file is open, no other one has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// Number of the device.
    pub device: u64,
    /// Number of the file on it.
    pub inode: u64,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMetadata {
    /// Which file it is.
    pub id: FileId,
    /// Its length in bytes.
    pub length: u64,
    /// Room that it takes on the disk, in bytes: less than its length where it has holes.
    pub room: u64,
}

/// An open file. Reading, writing and syncing it is [`StorageBackend`].
#[derive(Debug)]
pub struct OpenedFile {
    backend: Box<dyn StorageBackend>,
    id: FileId,
}

impl OpenedFile {
    /// The file behind `backend`.
    pub fn new(backend: impl StorageBackend, id: FileId) -> Self {
        Self {
            backend: Box::new(backend),
            id,
        }
    }

    /// Which file was opened: the name may lead to another one by now.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }
}

impl StorageBackend for OpenedFile {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.backend.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OsFiles;

impl FileSystem for OsFiles {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<OpenedFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(opening != Opening::Reading);
        options.create_new(opening == Opening::New).mode(0o600);
        let file = options.open(path)?;
        let id = described(&file.metadata()?).id;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(OpenedFile::new(backend, id))
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        Ok(described(&fs::metadata(path)?))
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        Ok(described(&fs::symlink_metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
            renamed => renamed.map_err(io::Error::from),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

fn described(found: &Metadata) -> FileMetadata {
    FileMetadata {
        id: FileId {
            device: found.dev(),
            inode: found.ino(),
        },
        length: found.len(),
        room: found.blocks() * 512,
    }
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Takes a file's name, if one has it.
pub(crate) fn remove_if_there(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match files.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_file_has_is_not_taken_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("جديد"), folder.path().join("قديم"));
        let write = |path: &Path, bytes: &[u8]| {
            let file = OsFiles.open(path, Opening::New).unwrap();
            file.write(0, bytes).unwrap();
            file.id()
        };
        write(&new, b"1");
        let id = write(&old, b"22");
        let kind = |refused: io::Result<()>| refused.unwrap_err().kind();
        assert_eq!(kind(OsFiles.rename_new(&new, &old)), io::ErrorKind::AlreadyExists);
        assert_eq!(
            kind(OsFiles.open(&old, Opening::New).map(drop)),
            io::ErrorKind::AlreadyExists
        );
        let found = OsFiles.metadata(&old).unwrap();
        assert_eq!((found.id, found.length), (id, 2));
        OsFiles.rename(&new, &old).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"1");
    }
}
