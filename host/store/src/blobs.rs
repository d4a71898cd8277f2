//! Files for what is too large for a row. The bytes are opaque here; rooms above encrypt them first.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
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
    /// How many [`BlobHold`]s there are.
    holds: Arc<Mutex<usize>>,
    execution: Execution,
}

impl BlobFolder {
    /// Opens the folder, makes it if need be, and removes what an interrupted write or a [`BlobHold`] left behind. Blocks.
    /// One process may have it open at a time; the store's file, which only one can open, guards that.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let root = root.into();
        for name in [PARTS, HELD] {
            let folder = root.join(name);
            if folder.exists() {
                fs::remove_dir_all(&folder).map_err(at(&folder))?;
            }
            make_folder(&folder).map_err(at(&folder))?;
        }
        sync_folder(&root)?;
        Ok(Self {
            root: root.into(),
            holds: Arc::default(),
            execution: Execution::Threads,
        })
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
        let (path, folder, this) = (self.path(id), self.folder(id), self.clone());
        self.blocking(move || {
            match this.remove(id, &path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
            // Even when nothing was there: the removal may be an earlier one that was cut off before this.
            if folder.exists() { sync_folder(&folder) } else { Ok(()) }
        })
        .await
    }

    /// Destroys a blob, or puts it where only holds find it.
    fn remove(&self, id: Uuid, path: &Path) -> io::Result<()> {
        let holds = self.lock_holds();
        if *holds == 0 {
            return fs::remove_file(path);
        }
        let held = self.root.join(HELD);
        let place = held.join(id.to_string());
        match fs::rename(path, &place) {
            // Either of the two may be missing: the blob, or the folder that it shall go to.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.try_exists()? => {
                make_folder(&held)?;
                fs::rename(path, &place)
            }
            renamed => renamed,
        }
    }

    /// Puts the folder of what was held aside, under a name of its own, with a new one in its place. For whoever has the lock.
    fn put_held_aside(&self) -> io::Result<PathBuf> {
        let number = ASIDE.fetch_add(1, Ordering::Relaxed);
        let held = self.root.join(HELD);
        let aside = self.root.join(PARTS).join(format!("{HELD}-{number}"));
        fs::rename(&held, &aside)?;
        make_folder(&held)?;
        Ok(aside)
    }

    /// Destroys what was put aside: where there is a runtime, on a thread of it that may block.
    fn destroy(&self, aside: PathBuf) {
        let work = move || {
            if let Err(error) = fs::remove_dir_all(&aside) {
                not_destroyed(&aside, &error);
            }
        };
        match Handle::try_current() {
            Ok(runtime) if self.execution == Execution::Threads => drop(runtime.spawn_blocking(work)),
            _ => work(),
        }
    }

    fn write_all(&self, blobs: &[(Uuid, Vec<u8>)]) -> Result<(), BlobError> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let mut new_folder = false;
        for (id, bytes) in blobs {
            let folder = self.folder(*id);
            if !folder.exists() {
                make_folder(&folder).map_err(at(&folder))?;
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
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|error| match error.kind() {
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

fn write_new(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
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

/// Whoever has this can still read every blob that was there when it was made. See [`BlobFolder::hold`].
#[derive(Debug)]
pub struct BlobHold {
    folder: BlobFolder,
}

impl BlobHold {
    /// Part of a blob, with the blob's size in bytes: up to `most` bytes from `from` on. `None` when there was no such
    /// blob.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn read(&self, id: Uuid, from: u64, most: u64) -> Result<Option<(u64, Vec<u8>)>, BlobError> {
        // A blob moves from its place to the held ones in one step, and never back.
        let places = [self.folder.path(id), self.folder.root.join(HELD).join(id.to_string())];
        self.folder
            .blocking(move || {
                for path in places {
                    let mut file = match File::open(&path) {
                        Ok(file) => file,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(at(&path)(error)),
                    };
                    let size = file.metadata().map_err(at(&path))?.len();
                    let mut bytes = Vec::new();
                    file.seek(SeekFrom::Start(from)).map_err(at(&path))?;
                    file.take(most).read_to_end(&mut bytes).map_err(at(&path))?;
                    return Ok(Some((size, bytes)));
                }
                Ok(None)
            })
            .await
    }
}

impl Drop for BlobHold {
    fn drop(&mut self) {
        let mut holds = self.folder.lock_holds();
        *holds = holds.saturating_sub(1);
        if *holds > 0 {
            return;
        }
        // Under the lock, so that nothing is moved there meanwhile. Destroying may take long, so that is done without it.
        let aside = self.folder.put_held_aside();
        drop(holds);
        match aside {
            Ok(aside) => self.folder.destroy(aside),
            Err(error) => not_destroyed(&self.folder.root.join(HELD), &error),
        }
    }
}

/// Where a blob lies in a folder of blobs.
pub(crate) fn place(root: &Path, id: Uuid) -> PathBuf {
    // The last byte is random; the first ones are the time and would put a year into one folder.
    let [.., last] = *id.as_bytes();
    root.join(format!("{last:02x}")).join(id.to_string())
}

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

/// Makes a folder, and those above it, that only their owner enters.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}
