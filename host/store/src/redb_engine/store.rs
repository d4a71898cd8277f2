//! Opening, closing, and the way of a batch to the writer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use redb::StorageBackend;
use tokio::sync::oneshot;

use super::backend::CountingBackend;
use super::compaction::{Compaction, Compactions, Home, OpenedId};
use super::containment::contained;
use super::counters::{Counters, OpenView};
use super::create;
use super::database::SharedDatabase;
use super::log::{LogPlace, begin_log};
use super::readers::Readers;
use super::scratch::{self, Keeping};
use super::settings::{Execution, RedbSettings};
use super::view::RedbView;
use super::writer::{Job, SpaceWatch, Writer, give_up};
use crate::file_system::{OsFiles, folder_of};
use crate::queue::{PushError, Queue};
use crate::{
    ApplyError, Batch, Commit, CompactError, Compacted, CompactionTell, FileSystem, FolderSpace, FreeSpace, Key,
    Natures, Statistics, Store, StoreError, Versioned, View,
};

/// A store in one redb file. Durable: what [`Store::apply`] answered `Ok` survives a kill of the process, and a power cut
/// as far as the disk keeps what it was told to.
pub struct RedbStore {
    inner: Arc<Inner>,
    /// Where its file lies, if it has one.
    home: Option<Home>,
}

struct Inner {
    database: SharedDatabase,
    queue: Arc<Queue<Job>>,
    readers: Readers,
    counters: Arc<Counters>,
    natures: Natures,
    closing: AtomicBool,
    execution: Execution,
    threads: Mutex<Threads>,
    compactions: Arc<Compactions>,
}

#[derive(Default)]
struct Threads {
    writer: Option<JoinHandle<Result<(), StoreError>>>,
    readers: Vec<JoinHandle<()>>,
    /// The writer itself, where there is no thread for it.
    inline: Option<Writer>,
}

impl RedbStore {
    /// Opens the file, or makes a new one; its folder has to exist. Blocks, after a crash for as long as repairing takes.
    ///
    /// # Errors
    /// [`StoreError::AlreadyOpen`], [`StoreError::Format`], [`StoreError::Corrupt`] or an engine failure.
    pub fn open(path: impl AsRef<Path>, settings: RedbSettings) -> Result<Self, StoreError> {
        let space = Arc::new(FolderSpace(folder_of(path.as_ref())));
        Self::open_on(Arc::new(OsFiles), path, space, settings)
    }

    /// The same in another file system, with another way to measure free space: for tests with a disk that fails, fills or
    /// loses power.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_on(
        files: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
        space: Arc<dyn FreeSpace>,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let file = create::backend(&*files, path)?;
        let opened = file.id();
        let log = LogPlace::beside(&files, path);
        let is_ours = || opened.still_at(&*files, path);
        let mut store = Self::open_at(file, Some(log), path, is_ours, Arc::clone(&space), settings)?;
        let home = Home {
            files,
            path: path.to_owned(),
            file: OpenedId::new(opened),
            cache_bytes: settings.cache_bytes,
            space,
            floor: settings.free_space_floor,
        };
        home.remove_leftovers();
        // A compaction needs a writer that works beside it.
        store.home = (settings.execution == Execution::Threads).then_some(home);
        Ok(store)
    }

    /// Opens a store on something else than a file and its log, with another way to measure free space: for tests of what
    /// needs no file.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_with(
        backend: impl StorageBackend,
        log: impl StorageBackend,
        space: Arc<dyn FreeSpace>,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        let log = LogPlace::Given(Box::new(log));
        Self::open_at(backend, Some(log), Path::new("(no file)"), || Ok(()), space, settings)
    }

    /// Makes an empty store for rows that can be computed again. It keeps the contract while it is open, but nothing of it
    /// is ever synced, and its file has no name in `folder`: the room is given back when the store is dropped or the
    /// process ends, however it ends. Its figures are not exported as metrics.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn scratch(folder: impl AsRef<Path>, settings: RedbSettings) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let space = Arc::new(FolderSpace(folder.to_owned()));
        Self::open_at(scratch::nameless(folder)?, None, folder, || Ok(()), space, settings)
    }

    /// Without a log, nothing of it is kept. `is_ours` is asked when the file is locked, before anything is changed.
    fn open_at(
        backend: impl StorageBackend,
        log: Option<LogPlace>,
        path: &Path,
        is_ours: impl FnOnce() -> Result<(), StoreError>,
        space: Arc<dyn FreeSpace>,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        let keeping = match log {
            Some(_) => Keeping::Durable,
            None => Keeping::Scratch,
        };
        let counters = Arc::new(Counters::of(keeping));
        let backend = CountingBackend::new(backend, Arc::clone(&counters));
        let (database, committed, log) = contained("opening the file", || {
            let database = SharedDatabase::open(backend, path, settings.cache_bytes)?.keeping(keeping);
            is_ours()?;
            database.prepare()?;
            let (committed, log) = match log {
                Some(place) => begin_log(&database, place, &counters, settings.log_bytes)?,
                None => (database.load()?, None),
            };
            Ok((database, committed, log))
        })?;
        let queue = Arc::new(Queue::new(settings.queue_batches.max(1), settings.queue_bytes));
        let writer = Writer {
            database: database.clone(),
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            committed,
            space: SpaceWatch::new(space, settings.free_space_floor),
            natures: settings.natures,
            log,
            failed: None,
            changes: None,
        };
        let (readers, threads) = match settings.execution {
            Execution::Threads => Threads::start(writer, settings.readers, keeping)?,
            Execution::Inline => {
                let threads = Threads {
                    inline: Some(writer),
                    ..Threads::default()
                };
                (Readers::inline(), threads)
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                queue,
                readers,
                counters,
                natures: settings.natures,
                closing: AtomicBool::new(false),
                execution: settings.execution,
                threads: Mutex::new(threads),
                compactions: Arc::default(),
            }),
            home: None,
        })
    }

    /// What is needed to compact its file, if it has one.
    fn compaction(&self) -> Option<Compaction> {
        Some(Compaction {
            home: self.home.clone()?,
            database: self.inner.database.clone(),
            queue: Arc::clone(&self.inner.queue),
            counters: Arc::clone(&self.inner.counters),
            compactions: Arc::clone(&self.inner.compactions),
        })
    }
}

impl Threads {
    fn start(writer: Writer, readers: usize, keeping: Keeping) -> Result<(Readers, Self), StoreError> {
        let failed = |error: std::io::Error| StoreError::Engine {
            what: "starting a thread",
            reason: error.to_string(),
        };
        let (readers, reader_threads) = Readers::start(readers).map_err(failed)?;
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || match keeping {
                Keeping::Durable => writer.run(),
                // The metrics speak of the one store that counts.
                Keeping::Scratch => metrics::with_local_recorder(&metrics::NoopRecorder, || writer.run()),
            })
            .map_err(|error| {
                readers.close();
                failed(error)
            })?;
        let threads = Self {
            writer: Some(writer),
            readers: reader_threads,
            inline: None,
        };
        Ok((readers, threads))
    }
}

/// Waits until everything accepted is written and the file is free again, so that it can be opened at once.
impl Drop for RedbStore {
    fn drop(&mut self) {
        if let Err(error) = self.inner.shut_down() {
            tracing::error!(%error, "the store could not be closed cleanly");
        }
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        let database = self.inner.database.clone();
        let open = OpenView::new(Arc::clone(&self.inner.counters));
        let snapshot = self.inner.readers.run(move || database.snapshot()).await?;
        Ok(Box::new(RedbView {
            snapshot: Arc::new(snapshot),
            readers: self.inner.readers.clone(),
            natures: self.inner.natures,
            _open: open,
        }))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let (database, keys) = (self.inner.database.clone(), keys.to_vec());
        self.inner.readers.run(move || database.get_many(&keys)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        batch.check()?;
        let size = batch.size();
        let (answer, answered) = oneshot::channel();
        match self.inner.queue.push(Job::Write { batch, answer }, size) {
            Ok(()) => {}
            Err(PushError::Full { waiting }) => {
                metrics::counter!("mihwar_store_busy_total").increment(1);
                return Err(ApplyError::Busy {
                    retry_after: self.inner.retry_after(waiting),
                });
            }
            Err(PushError::Closed) => return Err(self.inner.stopped().into()),
        }
        if self.inner.execution == Execution::Inline {
            // Once round all tasks, so that those that are ready to write share the commit.
            tokio::task::yield_now().await;
            self.inner.work_off();
        }
        answered.await.unwrap_or(Err(ApplyError::Unknown))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        if inner.execution == Execution::Inline {
            return inner.shut_down();
        }
        tokio::task::spawn_blocking(move || inner.shut_down())
            .await
            .unwrap_or_else(|error| {
                Err(StoreError::Engine {
                    what: "closing",
                    reason: error.to_string(),
                })
            })
    }

    async fn compact(&self, tell: CompactionTell) -> Result<Compacted, CompactError> {
        match self.compaction() {
            Some(compaction) => compaction.start(tell).await,
            None => Err(CompactError::NoFile),
        }
    }

    fn statistics(&self) -> Statistics {
        self.inner.counters.statistics(self.inner.queue.len())
    }
}

impl Inner {
    /// Writes what waits, where there is no thread for that.
    fn work_off(&self) {
        match self.threads.lock() {
            Ok(mut threads) => {
                if let Some(writer) = &mut threads.inline {
                    writer.work_off();
                }
            }
            // It panicked half-way: as when its thread had ended.
            Err(_poisoned) => give_up(&self.queue),
        }
    }

    fn shut_down(&self) -> Result<(), StoreError> {
        self.closing.store(true, Ordering::Relaxed);
        // Held until the end, so that a second caller waits for the first.
        let mut threads = self.threads();
        self.queue.close();
        let finished = match (threads.inline.take(), threads.writer.take()) {
            (Some(mut writer), _) => {
                writer.work_off();
                writer.finish()
            }
            (None, Some(writer)) => writer.join().unwrap_or_else(|_| {
                Err(StoreError::Engine {
                    what: "closing",
                    reason: "the writer had panicked; its message is in the log".to_owned(),
                })
            }),
            (None, None) => Ok(()),
        };
        self.compactions.end();
        self.readers.close();
        for reader in threads.readers.drain(..) {
            // A reader catches panics, so there is nothing to learn from how it ended.
            reader.join().ok();
        }
        let closed = contained("closing the file", || self.database.close());
        finished.and(closed)
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> StoreError {
        if self.closing.load(Ordering::Relaxed) {
            return StoreError::Closed;
        }
        StoreError::Engine {
            what: "writing",
            reason: "the writer panicked; its message is in the log".to_owned(),
        }
    }

    /// About as long as the writer needs for half of what waits, at the pace of its last commit.
    fn retry_after(&self, waiting: usize) -> Duration {
        let last = Duration::from_micros(self.counters.last_commit_micros.load(Ordering::Relaxed));
        let groups = u32::try_from(waiting / 512 + 1).unwrap_or(u32::MAX);
        (last.saturating_mul(groups)).clamp(Duration::from_millis(20), Duration::from_secs(5))
    }
}
