//! Disks for tests: one that fails and loses power when told to, and one that holds a sync back.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use mihwar_store::{FreeSpace, RedbSettings, StorageBackend};
use redb::backends::InMemoryBackend;

/// Settings without a reserve, with a small cache.
pub(crate) fn settings() -> RedbSettings {
    RedbSettings {
        free_space_floor: 0,
        cache_bytes: 8 * 1024 * 1024,
        ..RedbSettings::default()
    }
}

/// More room than anything needs.
pub(crate) struct Endless;

impl FreeSpace for Endless {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// A disk with a volatile cache. From its `fail_at`th operation on, every operation fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// What a read sees.
    visible: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
    operations: u64,
    fail_at: Option<u64>,
}

#[derive(Clone, Debug)]
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
}

impl Disk {
    /// A disk with these contents.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let contents = Contents {
            visible: bytes.clone(),
            durable: bytes,
            ..Contents::default()
        };
        Self(Arc::new(Mutex::new(contents)))
    }

    pub(crate) fn fail_at(&self, operation: u64) {
        self.lock().fail_at = Some(operation);
    }

    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// What may be found after a power cut: all that was synced, and of the rest whatever `luck` lets through: changes
    /// are kept, lost, or (writes) torn at a sector, each on its own.
    pub(crate) fn after_power_cut(&self, mut luck: impl FnMut() -> Luck) -> Vec<u8> {
        let contents = self.lock();
        let mut bytes = contents.durable.clone();
        for change in &contents.unsynced {
            match (luck(), change) {
                (Luck::Kept, change) => change.apply(&mut bytes),
                (Luck::Torn, Change::Write(offset, data)) if data.len() > 512 => {
                    let half = data.len() / 2 / 512 * 512;
                    Change::Write(*offset, data[..half].to_vec()).apply(&mut bytes);
                }
                // The length is metadata: a file system keeps or loses it whole.
                (Luck::Torn | Luck::Lost, _) => {}
            }
        }
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    fn operation(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.lock();
        contents.operations += 1;
        if contents.fail_at.is_some_and(|fail_at| contents.operations >= fail_at) {
            return Err(io::Error::other("the disk is dead"));
        }
        Ok(contents)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Luck {
    Kept,
    Lost,
    Torn,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.operation()?.visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.operation()?;
        let start = usize::try_from(offset).unwrap();
        let found = contents.visible.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut contents = self.operation()?;
        let change = Change::Length(usize::try_from(length).unwrap());
        change.apply(&mut contents.visible);
        contents.unsynced.push(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.operation()?;
        let Contents { durable, unsynced, .. } = &mut *contents;
        for change in unsynced.drain(..) {
            change.apply(durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut contents = self.operation()?;
        let change = Change::Write(offset, data.to_vec());
        change.apply(&mut contents.visible);
        contents.unsynced.push(change);
        Ok(())
    }
}

/// A disk in memory whose syncs wait while the gate is shut.
#[derive(Debug)]
pub(crate) struct GatedDisk {
    inner: InMemoryBackend,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    shut: bool,
    waiting: bool,
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    /// Waits until a sync stands before the shut gate. Blocks.
    pub(crate) fn until_waiting(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.waiting).unwrap());
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting = state.shut;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.shut).unwrap();
        state.waiting = false;
    }
}

impl GatedDisk {
    pub(crate) fn new() -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (
            Self {
                inner: InMemoryBackend::new(),
                gate: Arc::clone(&gate),
            },
            gate,
        )
    }
}

impl StorageBackend for GatedDisk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}
