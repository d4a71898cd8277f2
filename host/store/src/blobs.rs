//! Files for what is too large for a row. The bytes are opaque here; rooms above encrypt them first.

mod error;
mod hold;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend as _;
use tokio::runtime::Handle;
use uuid::Uuid;

pub use self::error::BlobError;
use self::error::{at, missing};
pub use self::hold::BlobHold;
use crate::file_system::{OsFiles, folder_of};
use crate::{Execution, FileSystem, OpenedFile, Opening};

/// A folder of blobs: `<root>/<two hex digits>/<id>`. A blob is complete and durable, or not there at all.
#[derive(Clone, Debug)]
pub struct BlobFolder {
    files: Arc<dyn FileSystem>,
    root: Arc<Path>,
    /// How many [`BlobHold`]s there are.
    holds: Arc<Mutex<usize>>,
    /// Folders in the root whose names are durable for certain. That one is there says nothing: whoever made it may have
    /// been killed, or have failed, before it was synced.
    lasting: Arc<Mutex<BTreeSet<PathBuf>>>,
    execution: Execution,
}

impl BlobFolder {
    /// Opens the folder, makes it if need be, and removes what an interrupted write or a [`BlobHold`] left behind. Blocks.
    /// One process may have it open at a time; the store's file, which only one can open, guards that.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        Self::open_on(Arc::new(OsFiles), root)
    }

    /// The same in another file system: for tests with a disk that fails or loses power.
    ///
    /// # Errors
    /// As [`BlobFolder::open`].
    pub fn open_on(files: Arc<dyn FileSystem>, root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let root: PathBuf = root.into();
        let blobs = Self {
            files,
            root: root.into(),
            holds: Arc::default(),
            lasting: Arc::default(),
            execution: Execution::Threads,
        };
        blobs.make_root(&blobs.root)?;
        for name in [PARTS, HELD] {
            let folder = blobs.root.join(name);
            blobs.remove_folder(&folder).map_err(at(&folder))?;
            blobs.make_folder(&folder).map_err(at(&folder))?;
        }
        // From here on what was in the two before is destroyed.
        blobs.sync_folder(&blobs.root)?;
        Ok(blobs)
    }

    /// The same folder, with its blocking work done there.
    #[must_use]
    pub fn with_execution(self, execution: Execution) -> Self {
        Self { execution, ..self }
    }

    /// Keeps what is deleted from here on readable through the hold, until it is dropped. For everybody else a deleted blob
    /// is gone at once. Its bytes are destroyed soon after the last hold was dropped, at the latest when the folder is opened
    /// again.
    #[must_use]
    pub fn hold(&self) -> BlobHold {
        *self.lock_holds() += 1;
        BlobHold { folder: self.clone() }
    }

    fn lock_holds(&self) -> MutexGuard<'_, usize> {
        // A number cannot be left half-changed by a panic.
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (path, files) = (self.path(id), Arc::clone(&self.files));
        self.blocking(move || {
            let file = open_blob(&*files, id, &path)?;
            let size = file.len().map_err(at(&path))?;
            read_part(&file, 0, size).map_err(at(&path))
        })
        .await
    }

    /// Part of a blob.
    ///
    /// # Errors
    /// [`BlobError::Range`], [`BlobError::Missing`] or [`BlobError::Io`].
    pub async fn read_range(&self, id: Uuid, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let (path, files) = (self.path(id), Arc::clone(&self.files));
        self.blocking(move || {
            let file = open_blob(&*files, id, &path)?;
            let size = file.len().map_err(at(&path))?;
            let length = range.end.checked_sub(range.start);
            let Some(length) = length.filter(|_| range.end <= size) else {
                return Err(BlobError::Range {
                    id,
                    start: range.start,
                    end: range.end,
                    size,
                });
            };
            read_part(&file, range.start, length).map_err(at(&path))
        })
        .await
    }

    /// Size of a blob in bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    pub async fn size(&self, id: Uuid) -> Result<u64, BlobError> {
        let (path, files) = (self.path(id), Arc::clone(&self.files));
        self.blocking(move || {
            let found = files.metadata(&path).map_err(missing(id, &path))?;
            Ok(found.length)
        })
        .await
    }

    /// Removes a blob. It stays removed after a power cut once this answers. Removing one that is not there does nothing:
    /// erasing may be repeated.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn delete(&self, id: Uuid) -> Result<(), BlobError> {
        let (path, folder, this) = (self.path(id), self.folder(id), self.clone());
        self.blocking(move || {
            match this.remove(id, &path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
            // Even when nothing was there: the removal may be an earlier one that was cut off before this.
            match this.files.sync_folder(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&folder)(error)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Destroys a blob, or puts it where only holds find it.
    fn remove(&self, id: Uuid, path: &Path) -> io::Result<()> {
        let holds = self.lock_holds();
        if *holds == 0 {
            return self.files.remove_file(path);
        }
        let held = self.root.join(HELD);
        let place = held.join(id.to_string());
        match self.files.rename(path, &place) {
            // Either of the two may be missing: the blob, or the folder that it shall go to.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_there(path)? => {
                self.make_folder(&held)?;
                self.files.rename(path, &place)
            }
            renamed => renamed,
        }
    }

    /// Puts the folder of what was held aside, under a name of its own, with a new one in its place. For whoever has the lock.
    fn put_held_aside(&self) -> io::Result<PathBuf> {
        let number = ASIDE.fetch_add(1, Ordering::Relaxed);
        let held = self.root.join(HELD);
        let aside = self.root.join(PARTS).join(format!("{HELD}-{number}"));
        self.files.rename(&held, &aside)?;
        self.make_folder(&held)?;
        Ok(aside)
    }

    /// Destroys what was put aside: where there is a runtime, on a thread of it that may block.
    fn destroy(&self, aside: PathBuf) {
        let files = Arc::clone(&self.files);
        let work = move || {
            if let Err(error) = files.remove_folder(&aside) {
                not_destroyed(&aside, &error);
            }
        };
        match Handle::try_current() {
            Ok(runtime) if self.execution == Execution::Threads => drop(runtime.spawn_blocking(work)),
            _ => work(),
        }
    }

    fn write_all(&self, blobs: &[(Uuid, Vec<u8>)]) -> Result<(), BlobError> {
        let mut folders = BTreeSet::new();
        for (id, bytes) in blobs {
            let folder = self.folder(*id);
            if !folders.contains(&folder) {
                if !self.is_there(&folder).map_err(at(&folder))? {
                    self.lock_lasting().remove(&folder);
                    self.make_folder(&folder).map_err(at(&folder))?;
                }
                folders.insert(folder);
            }
            self.write(*id, bytes)?;
        }
        for folder in &folders {
            self.sync_folder(folder)?;
        }
        if folders.is_subset(&self.lock_lasting()) {
            return Ok(());
        }
        self.sync_folder(&self.root)?;
        self.lock_lasting().append(&mut folders);
        Ok(())
    }

    fn write(&self, id: Uuid, bytes: &[u8]) -> Result<(), BlobError> {
        let (path, part) = (self.path(id), self.root.join(PARTS).join(id.to_string()));
        // Also keeps two writers of one id apart.
        let opened = self.files.open(&part, Opening::New);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BlobError::Exists(id),
            _ => at(&part)(error),
        })?;
        let written = write_new(&file, bytes).map_err(at(&part)).and_then(|()| {
            if self.is_there(&path).map_err(at(&path))? {
                return Err(BlobError::Exists(id));
            }
            self.files.rename(&part, &path).map_err(at(&path))
        });
        if written.is_err() {
            // The first error is the one to tell; what stays behind is removed when the folder is opened.
            self.files.remove_file(&part).ok();
        }
        written
    }

    /// Makes the root and what is missing above it, durably. Nothing in it is durable without its name.
    fn make_root(&self, root: &Path) -> Result<(), BlobError> {
        let above = folder_of(root);
        if self.is_there(&above).map_err(at(&above))? {
            self.sync_name_of(&above)?;
        } else {
            self.make_root(&above)?;
        }
        self.make_folder(root).map_err(at(root))?;
        // Even when it was there: whoever made it may have been cut off before this.
        self.sync_folder(&above)
    }

    /// Makes the name of the data folder durable, whose maker may have been cut off. Not every user may look into the folder
    /// that it lies in: then somebody else made it.
    fn sync_name_of(&self, folder: &Path) -> Result<(), BlobError> {
        match self.sync_folder(&folder_of(folder)) {
            Err(BlobError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        }
    }

    /// Makes a folder if it is not there. The one above it is.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        match self.files.make_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        match self.files.remove_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), BlobError> {
        self.files.sync_folder(folder).map_err(at(folder))
    }

    fn is_there(&self, path: &Path) -> io::Result<bool> {
        match self.files.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lock_lasting(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // At worst a folder is missing here, and is synced once more.
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, id: Uuid) -> PathBuf {
        let mut folder = self.path(id);
        folder.pop();
        folder
    }

    fn path(&self, id: Uuid) -> PathBuf {
        place(&self.root, id)
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

fn write_new(file: &OpenedFile, bytes: &[u8]) -> io::Result<()> {
    file.write(0, bytes)?;
    file.sync_data()
}

fn open_blob(files: &dyn FileSystem, id: Uuid, path: &Path) -> Result<OpenedFile, BlobError> {
    files.open(path, Opening::Reading).map_err(missing(id, path))
}

fn read_part(file: &OpenedFile, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read(from, &mut bytes)?;
    Ok(bytes)
}

fn not_destroyed(folder: &Path, error: &io::Error) {
    tracing::error!(folder = %folder.display(), "deleted files could not be destroyed, the next start does it: {error}");
}

/// Where blobs are written before they get their place, and where held ones lie for the moment in which they are destroyed.
const PARTS: &str = "unfinished";
/// Where deleted blobs are as long as somebody holds them.
const HELD: &str = "held";
/// Number of the next folder of held blobs that is destroyed.
static ASIDE: AtomicU64 = AtomicU64::new(0);

/// Where a blob lies in a folder of blobs.
pub(crate) fn place(root: &Path, id: Uuid) -> PathBuf {
    // The last byte is random; the first ones are the time and would put a year into one folder.
    let [.., last] = *id.as_bytes();
    root.join(format!("{last:02x}")).join(id.to_string())
}
