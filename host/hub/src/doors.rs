//! The doors to the world. Whatever a hub learns or does outside its own memory goes through one of them, so that a
//! simulation can stand behind each.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mihwar_model::{Clock, OsRandomness, Randomness, SystemClock};
use mihwar_sandbox::{CheckedNetwork, Engine, Transport};
use mihwar_store::{BlobError, BlobFolder, RedbSettings, RedbStore, Store, StoreError};

use crate::witness;

/// The doors to the world: time, randomness (and with both of them ids), disk and network.
#[derive(Clone)]
pub struct Doors {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub randomness: Arc<dyn Randomness>,
    /// Keeps what must last.
    pub disk: Arc<dyn Disk>,
    /// Carries plugins' requests.
    pub network: Arc<dyn Transport>,
    /// A sandbox that is there already. It has doors of its own, and the plugins that it holds need not be compiled
    /// again: hubs that come and go in one process share it. Without one, each hub makes its own.
    pub sandbox: Option<Engine>,
}

impl Doors {
    /// The machine's own.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(OsRandomness),
            disk: Arc::new(Folder),
            network: Arc::new(CheckedNetwork::default()),
            sandbox: None,
        }
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// The door to the disk. What only a person writes (configuration, secrets, the master key) is read past it.
#[async_trait]
pub trait Disk: Send + Sync + 'static {
    /// Opens the rows and the journal in this file, or makes them.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    async fn store(&self, file: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError>;

    /// Makes an empty store in the folder, for rows that can be computed again.
    ///
    /// # Errors
    /// As [`RedbStore::scratch`].
    async fn scratch(&self, folder: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError>;

    /// Opens the folder of sealed files, or makes it.
    ///
    /// # Errors
    /// As [`BlobFolder::open`].
    fn blobs(&self, folder: &Path) -> Result<BlobFolder, BlobError>;

    /// Whether what is kept lies in the data folder itself. Where it does not, the folder says nothing of its format.
    fn is_folder(&self) -> bool {
        true
    }

    /// Reads a plugin.
    ///
    /// # Errors
    /// What the system says.
    async fn plugin(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// Adds a checkpoint at the end of a file outside of the data folder, durably, unless it is the last one there.
    ///
    /// # Errors
    /// What the system says; a disk without such files says that it has none.
    async fn keep(&self, _file: &Path, _note: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

async fn opened(
    open: impl FnOnce() -> Result<RedbStore, StoreError> + Send + 'static,
) -> Result<Arc<dyn Store>, StoreError> {
    let store = tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| {
        Err(StoreError::Engine {
            what: "opening the file",
            reason: error.to_string(),
        })
    })?;
    Ok(Arc::new(store))
}

/// The machine's file system.
#[derive(Debug, Clone, Copy)]
struct Folder;

#[async_trait]
impl Disk for Folder {
    async fn store(&self, file: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError> {
        let file = file.to_owned();
        opened(move || RedbStore::open(file, settings)).await
    }

    async fn scratch(&self, folder: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError> {
        let folder = folder.to_owned();
        opened(move || RedbStore::scratch(folder, settings)).await
    }

    fn blobs(&self, folder: &Path) -> Result<BlobFolder, BlobError> {
        BlobFolder::open(folder)
    }

    async fn plugin(&self, file: &Path) -> io::Result<Vec<u8>> {
        tokio::fs::read(file).await
    }

    async fn keep(&self, file: &Path, note: &str) -> io::Result<()> {
        let (file, note) = (file.to_owned(), note.to_owned());
        tokio::task::spawn_blocking(move || witness::append(&file, &note))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
