//! The disk of a simulated machine: a cache that a power cut loses or tears, and faults when the script says so.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mihwar_store::{FreeSpace, StorageBackend};

use crate::luck::Luck;

/// What a disk does at one of its coming operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One operation fails, the next ones work again.
    Error,
    /// Nothing works from here on: the power is gone.
    Death,
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The process is killed: what it wrote is there, synced or not.
    Kill,
    /// The power is cut: of what was not synced, each write is kept, lost or torn on its own.
    PowerCut,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It failed, as ordered.
    Failed,
    /// The power went at it.
    Died,
}

#[derive(Default)]
struct Contents {
    store: FileContents,
    log: FileContents,
    /// Writes, syncs and changes of length since the disk is there.
    operations: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    /// Whether a fault has struck in this life.
    has_failed: bool,
    full: bool,
    /// Whether it says that it has synced, and has not.
    lies: bool,
    /// Handles of an earlier life are of no use.
    life: u64,
}

#[derive(Default)]
struct FileContents {
    /// What a read sees.
    visible: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
}

impl FileContents {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        let Self { durable, unsynced, .. } = self;
        unsynced.drain(..).for_each(|change| change.apply(durable));
    }

    fn end(&mut self, ending: Ending, luck: &mut Luck) {
        match ending {
            Ending::Kill => self.sync(),
            Ending::PowerCut => {
                let Self { durable, unsynced, .. } = self;
                unsynced.drain(..).for_each(|change| change.cut(luck, durable));
            }
        }
        self.visible.clone_from(&self.durable);
    }
}

/// Which of the store's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Store,
    Log,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(offset, data) => {
                let start = usize::try_from(*offset).unwrap();
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(data);
            }
        }
    }

    /// What a power cut leaves of it.
    fn cut(&self, luck: &mut Luck, bytes: &mut Vec<u8>) {
        match (luck.between(0, 4), self) {
            (0 | 1, change) => change.apply(bytes),
            (2, Self::Write(offset, data)) if data.len() > 512 => {
                let sectors = data.len() as u64 / 512;
                let kept = usize::try_from(luck.between(0, sectors - 1) * 512).unwrap();
                Self::Write(*offset, data[..kept].to_vec()).apply(bytes);
            }
            // The length is metadata: a file system keeps or loses it whole.
            _ => {}
        }
    }
}

/// A disk. Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk {
    contents: Arc<Mutex<Contents>>,
    tell: Arc<dyn Fn(Told) + Send + Sync>,
}

impl Disk {
    /// An empty disk that tells when a fault strikes.
    pub(crate) fn new(tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        Self {
            contents: Arc::default(),
            tell: Arc::new(tell),
        }
    }

    /// A file on it, for this life of the machine.
    pub(crate) fn file(&self, name: Name) -> File {
        File {
            disk: self.clone(),
            name,
            life: self.lock().life,
        }
    }

    /// Orders a fault at the operation that is so many away.
    pub(crate) fn order(&self, fault: Fault, after: u64) {
        let mut contents = self.lock();
        contents.fault = Some((contents.operations + after, fault));
    }

    /// From now on it is full, or has room.
    pub(crate) fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on it lies about syncs: what a power cut would lose is acknowledged all the same.
    pub(crate) fn lie(&self) {
        self.lock().lies = true;
    }

    /// Takes back every fault that was ordered.
    pub(crate) fn heal(&self) {
        let mut contents = self.lock();
        contents.fault = None;
        contents.full = false;
    }

    /// Whether whoever uses it has a reason to fail.
    pub(crate) fn is_in_trouble(&self) -> bool {
        let contents = self.lock();
        contents.has_failed || contents.full
    }

    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Begins again with nothing: what was being made for the first time was not finished.
    pub(crate) fn wipe(&self) {
        let mut contents = self.lock();
        contents.store = FileContents::default();
        contents.log = FileContents::default();
    }

    /// Ends a life. Nothing that still holds the file can reach it afterwards.
    pub(crate) fn end(&self, ending: Ending, luck: &mut Luck) {
        let mut contents = self.lock();
        contents.store.end(ending, luck);
        contents.log.end(ending, luck);
        contents.dead = false;
        contents.has_failed = false;
        contents.life += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FreeSpace for Disk {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(if self.lock().full { 1_000 } else { u64::MAX })
    }
}

/// A file of the store.
pub(crate) struct File {
    disk: Disk,
    name: Name,
    life: u64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("name", &self.name)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl File {
    /// Looks at the file; not an operation that a fault is ordered for, because how often redb reads is its own affair.
    fn look(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let contents = self.disk.lock();
        if contents.dead || contents.life != self.life {
            return Err(io::Error::other("the machine is off"));
        }
        Ok(contents)
    }

    /// Begins something that changes the disk.
    fn change(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.look()?;
        contents.operations += 1;
        let due = contents.fault.filter(|(at, _)| contents.operations >= *at);
        let Some((_, fault)) = due else {
            return Ok(contents);
        };
        contents.fault = None;
        contents.has_failed = true;
        contents.dead = fault == Fault::Death;
        drop(contents);
        (self.disk.tell)(match fault {
            Fault::Error => Told::Failed,
            Fault::Death => Told::Died,
        });
        Err(io::Error::other("the disk failed, as ordered"))
    }
}

impl Contents {
    fn file(&mut self, name: Name) -> &mut FileContents {
        match name {
            Name::Store => &mut self.store,
            Name::Log => &mut self.log,
        }
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.look()?.file(self.name).visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut contents = self.look()?;
        let start = usize::try_from(offset).unwrap();
        let found = contents.file(self.name).visible.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let change = Change::Length(usize::try_from(length).unwrap());
        self.change()?.file(self.name).change(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.change()?;
        if !contents.lies {
            contents.file(self.name).sync();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change()?
            .file(self.name)
            .change(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
