//! Rewriting the file while it is in use: what is live goes into a fresh file beside it, what is written meanwhile
//! follows, and while the writer pauses for a moment the new file takes the old one's place.
//!
//! A crash at any moment leaves the old file or the new one, each whole: the new one is complete and synced before it is
//! renamed, and nothing is acknowledged between the last look at the old one and the sync of the folder. Views of the old
//! file go on reading it until they are dropped; its room is given back then.

mod changes;
mod switch;
mod tables;
mod target;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub(crate) use self::changes::ChangedKeys;
use self::changes::KeyList;
use self::switch::switch;
use self::target::{Room, Target};
use super::counters::Counters;
use super::database::SharedDatabase;
use super::schema::Head;
use super::writer::{Job, Writer};
use crate::file_system::remove_if_there;
use crate::queue::Queue;
use crate::{FileId, FileSystem, FreeSpace, StoreError};

/// The writer is asked to pause when no more keys than this are left to take over.
const PAUSE_KEYS: u64 = 5_000;
/// After so many rounds the writer pauses for whatever is left: it changes rows as fast as they can be taken over.
const ROUNDS: u32 = 12;

/// What a compaction is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionStage {
    /// Rows and entries go into the new file.
    Copying,
    /// What was written meanwhile follows.
    CatchingUp,
    /// The writer stands still; the new file is complete.
    Switching,
    /// The new file has the old one's name; the folder is not synced yet.
    Renamed,
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionProgress {
    /// What it is doing.
    pub stage: CompactionStage,
    /// Rows and entries taken over.
    pub done: u64,
    /// Rows and entries to be taken over; it grows with what is written meanwhile.
    pub total: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Room on the disk that the file took before, in bytes.
    pub before: u64,
    /// Room that it takes now.
    pub after: u64,
    /// Rows and entries taken over.
    pub rows: u64,
    /// How long the writer stood still.
    pub pause: Duration,
}

/// Why the file was not compacted. It is as it was, and in use as before; except after [`StoreError::Stopped`], which is said
/// when the disk fails just as the files change places: then the old file or the new one is there, each whole, and nothing is
/// written until the store is opened again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// There is no room for a second file.
    #[error(
        "compacting needs {needed} bytes beside the reserve of {floor}, and {free} are free; make room and try again"
    )]
    NoSpace {
        /// Bytes that the new file may take.
        needed: u64,
        /// Free bytes.
        free: u64,
        /// Bytes kept in reserve.
        floor: u64,
    },
    /// One compaction at a time.
    #[error("the store is being compacted already")]
    Running,
    /// The store has no file of its own.
    #[error("this store lies in no file that could be compacted")]
    NoFile,
    /// A table of the file is not known, and would be lost.
    #[error("the store has a table \"{table}\" that this version of mihwar does not know")]
    UnknownTable {
        /// Its name.
        table: String,
    },
    /// The store or the disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Is told of every step, on the thread that works: the writer waits for it in the last two.
pub type CompactionTell = Box<dyn Fn(CompactionProgress) + Send + Sync>;

fn could_not(what: &'static str) -> impl Fn(io::Error) -> CompactError {
    move |error| {
        CompactError::Store(StoreError::Engine {
            what,
            reason: error.to_string(),
        })
    }
}

fn reading_changes(error: io::Error) -> CompactError {
    could_not("keeping the list of changed rows")(error)
}

/// Where a store lies, and what a compaction may take.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) path: PathBuf,
    /// The file that is open. Another one after each compaction.
    pub(crate) file: OpenedId,
    pub(crate) cache_bytes: usize,
    pub(crate) space: Arc<dyn FreeSpace>,
    pub(crate) floor: u64,
}

/// Which file a store has open.
#[derive(Clone, Debug)]
pub(crate) struct OpenedId(Arc<Mutex<FileId>>);

impl OpenedId {
    pub(crate) fn new(id: FileId) -> Self {
        Self(Arc::new(Mutex::new(id)))
    }

    fn get(&self) -> FileId {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: FileId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

impl Home {
    /// Makes sure that the name still leads to the file that is open. Somebody may have moved the folder away under a running
    /// hub and restored another one in its place: that file, and what lies beside it, is theirs.
    ///
    /// # Errors
    /// It leads to another file, to none, or the system does not say.
    fn check_ours(&self) -> io::Result<()> {
        let shown = self.path.display();
        let found = match self.files.metadata(&self.path) {
            Ok(found) => found,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{shown}: {error}"))),
        };
        if found.id == self.file.get() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{shown} is another file than the one that is open: something was put in its place meanwhile, and stays as it is; \
             stop the hub, and find out which of the two is to be used before it starts again"
        )))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    }

    fn new_file(&self) -> PathBuf {
        self.beside(".compacting")
    }

    fn keys_file(&self) -> PathBuf {
        self.beside(".compacting.keys")
    }

    /// Room that the file takes on the disk.
    fn room(&self) -> Result<u64, CompactError> {
        let found = self.files.metadata(&self.path);
        Ok(found.map_err(could_not("looking at the file"))?.room)
    }

    /// Removes what a process left that died while it compacted. Only for whoever holds the file's lock.
    pub(crate) fn remove_leftovers(&self) {
        for path in [self.new_file(), self.keys_file()] {
            if let Err(error) = remove_if_there(&*self.files, &path) {
                tracing::warn!(path = %path.display(), %error, "what a compaction left could not be removed");
            }
        }
    }
}

/// One compaction at a time, and none after the store was closed.
#[derive(Default)]
pub(crate) struct Compactions {
    running: Mutex<()>,
    stop: Arc<AtomicBool>,
}

impl Compactions {
    /// Waits until none runs; none can begin any more.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a compaction works with.
pub(crate) struct Compaction {
    pub(crate) home: Home,
    pub(crate) database: SharedDatabase,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) compactions: Arc<Compactions>,
}

impl Compaction {
    /// Does it on a thread that may block.
    pub(crate) async fn start(self, tell: CompactionTell) -> Result<Compacted, CompactError> {
        let worked = tokio::task::spawn_blocking(move || self.run(tell)).await;
        worked.unwrap_or_else(|error| Err(could_not("compacting")(io::Error::other(error))))
    }

    fn run(self, tell: CompactionTell) -> Result<Compacted, CompactError> {
        let compactions = Arc::clone(&self.compactions);
        let _running = match compactions.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(CompactError::Running),
        };
        if compactions.stop.load(Ordering::Relaxed) {
            // The file may be somebody else's by now, and what lies beside it, too.
            return Err(StoreError::Closed.into());
        }
        let outcome = self.rewrite(tell);
        // Whatever happened, the writer notes no more keys.
        self.on_writer(|writer| writer.changes = None).ok();
        outcome
    }

    fn rewrite(&self, tell: CompactionTell) -> Result<Compacted, CompactError> {
        // Before anything beside it is touched.
        self.home.check_ours().map_err(could_not("looking at the file"))?;
        let before = self.home.room()?;
        let room = Room {
            space: Arc::clone(&self.home.space),
            floor: self.home.floor,
        };
        room.check(before)?;
        let stop = Arc::clone(&self.compactions.stop);
        let mut target = Target::create(&self.home, &self.counters, room, stop, tell)?;
        // From here on every changed key is noted; only then the first snapshot is taken.
        self.new_list()?;
        let mut entries = self.copy(&mut target)?;
        for _ in 0..ROUNDS {
            let Some(mut changes) = self.new_list()? else { break };
            let count = changes.count();
            entries = self.catch_up(&mut changes, entries, &mut target)?;
            if count <= PAUSE_KEYS {
                break;
            }
        }
        let rows = target.done;
        let started = Instant::now();
        let home = self.home.clone();
        let (old, pause) = self.on_writer(move |writer| {
            let began = Instant::now();
            switch(writer, &home, target, entries).map(|old| (old, began.elapsed()))
        })??;
        tracing::debug!(waited = ?started.elapsed(), ?pause, "the compacted file is in use");
        // Closing the old file takes a moment that the writer need not wait for.
        drop(old);
        // It is done, whether its file can be looked at or not.
        let after = self.home.room().unwrap_or_else(|error| {
            tracing::warn!(%error, "the room of the compacted file is not known; its length is told");
            self.counters.file_bytes.load(Ordering::Relaxed)
        });
        Ok(Compacted {
            before,
            after,
            rows,
            pause,
        })
    }

    /// Copies a snapshot, and tells how many entries its journal has.
    fn copy(&self, target: &mut Target) -> Result<u64, CompactError> {
        let reading = self.database.read()?;
        tables::check_all_known(&reading.transaction)?;
        target.total = tables::count_all(&reading.transaction)?;
        target.report(CompactionStage::Copying);
        tables::copy_all(&reading.transaction, target)?;
        Ok(Head::read(&reading.transaction)?.frontier.size())
    }

    fn catch_up(&self, changes: &mut KeyList, entries: u64, target: &mut Target) -> Result<u64, CompactError> {
        let reading = self.database.read()?;
        target.total = target.done + changes.count();
        target.report(CompactionStage::CatchingUp);
        tables::catch_up(changes, &reading.transaction, target)?;
        tables::append_journal(entries, &reading.transaction, target)?;
        Ok(Head::read(&reading.transaction)?.frontier.size())
    }

    /// Has the writer begin a new list of changed keys, and hand over the one before.
    fn new_list(&self) -> Result<Option<KeyList>, CompactError> {
        let list = ChangedKeys::create(&*self.home.files, &self.home.keys_file()).map_err(reading_changes)?;
        let before = self.on_writer(|writer| match &writer.failed {
            Some(error) => Err(error.clone()),
            None => Ok(writer.changes.replace(list)),
        })??;
        before.map(ChangedKeys::finish).transpose().map_err(reading_changes)
    }

    /// Runs `work` on the writer's thread, between two commits.
    fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let call = Box::new(move |writer: &mut Writer| {
            answer.send(work(writer)).ok();
        });
        self.queue.push_first(Job::Call(call)).map_err(|_| StoreError::Closed)?;
        answered.blocking_recv().map_err(|_| StoreError::Closed)
    }
}
